//! `flowhost:flow/locks`: locks on names.
//!
//! To get or give back a lock is one transaction with its entry in the journal. A wait is two journal points: when it begins,
//! with the time at which it ends at the latest, and when it has ended. How often the lock was looked at in between is in no
//! journal.

use std::sync::Arc;
use std::time::Duration;

use flowhost_engine::{Call, State, WaitLimit, Waited, WholeState};
use flowhost_model::{Operation, RecordId, RecordType, Timestamp};
use flowhost_store::{Awaits, LockKey, Write};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use wasmtime::component::Linker;

use super::asking;
use super::bindings::flowhost::flow::locks;
use super::refusal::{Told, fits_name, or_refuse, refusal};
use super::sleep::LONGEST;
use crate::capability::Capability;
use crate::execution::Live;
use crate::host::Host;
use crate::lock::{Decision, LOCKS};
use crate::record::own_name;

/// The capability `locks`.
pub(super) struct LocksCapability;

impl Capability for LocksCapability {
    fn interfaces(&self) -> &[&str] {
        &["flowhost:flow/locks"]
    }

    fn link(&self, linker: &mut Linker<State>) -> wasmtime::Result<()> {
        locks::add_to_linker::<_, WholeState>(linker, |state| state)
    }
}

/// Refuses what is no name of a lock, and who may not lock.
fn permit(host: &Host, live: &Live, name: &str) -> Told<()> {
    own_name(name)?;
    host.permit(&host.acting(live), Operation::Update, RecordType::Setting, live.start.project_id)?;
    Ok(())
}

/// The lock of this name in the project of an execution.
fn key(live: &Live, name: &str) -> LockKey {
    LockKey { project_id: live.start.project_id, name: name.to_owned() }
}

/// A lock as an execution finds it that wants it.
enum Found {
    Own,
    Free(Decision),
    Taken,
}

async fn look(host: &Host, live: &Live, name: &str) -> Told<Found> {
    permit(host, live, name)?;
    let key = key(live, name);
    let decision = host.decide_on_lock(&key).await;
    let lock = host.store().lock(&key).await?;
    if lock.as_ref().is_some_and(|lock| lock.execution == live.id) {
        return Ok(Found::Own);
    }
    if host.store().lock_count(live.id).await? >= LOCKS {
        return Err(refusal("locks.too-many", format!("an execution holds at most {LOCKS} locks")));
    }
    Ok(if lock.is_some() { Found::Taken } else { Found::Free(decision) })
}

/// Makes the lock the execution's own, in one transaction with what the flow was just told.
async fn take(
    state: &mut State,
    host: &Host,
    live: &Arc<Live>,
    name: &str,
    decision: Decision,
) -> wasmtime::Result<()> {
    let write = Write::AcquireLock { key: key(live, name), execution: live.id, at: host.now() };
    host.step(state, live, vec![write], move |_, _| drop(decision)).await
}

/// What a flow is told that wants a lock: where it has none yet, until when it waits for it.
#[derive(Serialize, Deserialize)]
enum Begun {
    Held,
    Waits { until: Option<i64> },
}

/// Looks at a lock, and takes it where it is free. `told` says what the flow is told: whether it has the lock now.
async fn begin<T: Serialize + DeserializeOwned>(
    state: &mut State,
    call: Call,
    name: &str,
    told: impl FnOnce(&mut State, bool) -> T,
) -> wasmtime::Result<Told<T>> {
    if let Some(told) = state.replay(&call)? {
        return Ok(told);
    }
    let (host, live) = asking(state)?;
    let found = look(&host, &live, name).await;
    let told: Told<T> = match &found {
        Ok(found) => Ok(told(state, !matches!(found, Found::Taken))),
        Err(refused) => Err(refused.clone()),
    };
    state.record(call, &told)?;
    if let Ok(Found::Free(decision)) = found {
        take(state, &host, &live, name, decision).await?;
    }
    Ok(told)
}

/// Who holds a lock. It is told from the journal when the flow is run again.
async fn holder(state: &mut State, call: Call, name: &str) -> wasmtime::Result<Told<Option<RecordId>>> {
    if let Some(told) = state.replay(&call)? {
        return Ok(told);
    }
    let (host, live) = asking(state)?;
    let told: Told<Option<RecordId>> = match permit(&host, &live, name) {
        Ok(()) => {
            let lock = host.store().lock(&key(&live, name)).await;
            lock.map(|lock| lock.map(|lock| lock.execution)).map_err(Into::into)
        }
        Err(refused) => Err(refused),
    };
    state.record(call, &told)?;
    Ok(told)
}

impl locks::Host for State {
    async fn acquire(&mut self, name: String, timeout: Option<u64>) -> wasmtime::Result<Told<()>> {
        or_refuse!(fits_name(&name));
        let call = Call::new("locks.acquire", &(&name, timeout));
        let begun = begin(self, call, &name, |state, is_held| {
            let now = state.journal.clock().now();
            let longest = |timeout| Duration::from_micros(timeout).min(LONGEST);
            match is_held {
                true => Begun::Held,
                false => Begun::Waits { until: timeout.map(|timeout| now.saturating_add(longest(timeout)).0) },
            }
        });
        let until = match begun.await? {
            Ok(Begun::Waits { until }) => until,
            Ok(Begun::Held) => return Ok(Ok(())),
            Err(refused) => return Ok(Err(refused)),
        };
        let (host, live) = asking(self)?;
        let key = key(&live, &name);
        live.set_awaits(Some(Awaits::Lock(key.clone())));
        let limit = WaitLimit { until: until.map(Timestamp), is_relative: true };
        let mut turn = None;
        // A text, since the journal could not tell an event that is nothing from the time that is over.
        let free = async {
            host.lock_is_free(&key, live.id, &mut turn).await;
            "free".to_owned()
        };
        let waited = self.wait(Call::new("locks.released", &()), limit, free).await?;
        live.set_awaits(None);
        if matches!(waited, Waited::Event(_)) {
            // Without a turn it was given the lock in the store, or told so before.
            if let Some(decision) = turn {
                take(self, &host, &live, &name, decision).await?;
            }
            return Ok(Ok(()));
        }
        // The lock may have become its own at this very moment.
        Ok(match holder(self, Call::new("locks.holder", &name), &name).await? {
            Ok(Some(holder)) if holder == live.id => Ok(()),
            Ok(Some(holder)) => {
                let detail = format!("the lock `{name}` did not become free in time; the execution {holder} holds it");
                Err(refusal("locks.wait-timeout", detail))
            }
            Ok(None) => {
                Err(refusal("locks.wait-timeout", format!("the lock `{name}` became free just when the time was over")))
            }
            Err(refused) => Err(refused),
        })
    }

    async fn try_acquire(&mut self, name: String) -> wasmtime::Result<Told<bool>> {
        or_refuse!(fits_name(&name));
        begin(self, Call::new("locks.try-acquire", &name), &name, |_, is_held| is_held).await
    }

    async fn release(&mut self, name: String) -> wasmtime::Result<Told<()>> {
        or_refuse!(fits_name(&name));
        let call = Call::new("locks.release", &name);
        if let Some(told) = self.replay(&call)? {
            return Ok(told);
        }
        let (host, live) = asking(self)?;
        let key = key(&live, &name);
        let decision = host.decide_on_lock(&key).await;
        let told: Told<()> = match permit(&host, &live, &name) {
            Ok(()) => match host.store().lock(&key).await {
                Ok(Some(lock)) if lock.execution == live.id => Ok(()),
                Ok(_) => Err(refusal("locks.lost", format!("the execution does not hold the lock `{name}`"))),
                Err(error) => Err(error.into()),
            },
            Err(refused) => Err(refused),
        };
        self.record(call, &told)?;
        if told.is_ok() {
            let write = Write::ReleaseLock { key: key.clone(), execution: live.id, at: host.now() };
            let after = move |host: &Host, _| {
                drop(decision);
                host.lock_was_released(key);
            };
            host.step(self, &live, vec![write], after).await?;
        }
        Ok(told)
    }

    async fn is_held(&mut self, name: String) -> wasmtime::Result<Told<bool>> {
        or_refuse!(fits_name(&name));
        let own = asking(self)?.1.id;
        let holder = holder(self, Call::new("locks.is-held", &name), &name).await?;
        Ok(holder.map(|holder| holder == Some(own)))
    }

    async fn get_holder(&mut self, name: String) -> wasmtime::Result<Told<Option<String>>> {
        or_refuse!(fits_name(&name));
        let holder = holder(self, Call::new("locks.get-holder", &name), &name).await?;
        Ok(holder.map(|holder| holder.map(|id| id.to_string())))
    }
}
