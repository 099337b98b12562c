//! `flowhost:flow/settings`: named JSON values that outlive the execution.
//!
//! Reads are told from the journal when the flow is run again; a change is one transaction with its entry.

use std::sync::Arc;

use flowhost_engine::{Call, State, WholeState};
use flowhost_model::RecordId;
use flowhost_store::{StoredRecord, Write};
use serde_json::{Value, json};
use tokio::sync::OwnedMutexGuard;
use wasmtime::component::Linker;

use super::bindings::flowhost::flow::settings;
use super::refusal::{Told, parse, refusal};
use crate::capability::{Capability, ExecutionContext};
use crate::execution::Live;
use crate::host::Host;
use crate::identity::Identity;
use crate::setting::WEBHOOK_PREFIX;

/// The capability `settings`.
pub(super) struct SettingsCapability;

impl Capability for SettingsCapability {
    fn interfaces(&self) -> &[&str] {
        &["flowhost:flow/settings"]
    }

    fn link(&self, linker: &mut Linker<State>) -> wasmtime::Result<()> {
        settings::add_to_linker::<_, WholeState>(linker, |state| state)
    }
}

/// Who asks.
struct Asking {
    host: Host,
    live: Arc<Live>,
    by: Identity,
}

fn asking(state: &mut State) -> wasmtime::Result<Asking> {
    let context = state.slot::<ExecutionContext>()?;
    let (host, live) = (context.host().clone(), context.live().clone());
    let by = host.acting(&live);
    Ok(Asking { host, live, by })
}

/// What a call means for a setting, and what the flow is told of it.
enum Change {
    None,
    Save(Value),
    Delete,
}

/// Reads a setting, decides what becomes of it, and makes that one step with what the flow is told.
async fn change<T: serde::Serialize + serde::de::DeserializeOwned>(
    state: &mut State,
    call: Call,
    name: &str,
    decide: impl FnOnce(Option<Value>) -> Told<(T, Change)> + Send,
) -> wasmtime::Result<Told<T>> {
    if let Some(told) = state.replay(&call)? {
        return Ok(told);
    }
    let Asking { host, live, by } = asking(state)?;
    // Held until the change is kept and effective: nobody else writes a record meanwhile.
    let writing = host.writing().await;
    // Where the execution is: it is the identity that makes the record.
    let project = live.start.project_id;
    match prepare(&host, &by, name, project, decide).await {
        Ok((told, None)) => {
            let told = Ok(told);
            state.record(call, &told)?;
            Ok(told)
        }
        Ok((told, Some((write, record, is_deleted)))) => {
            let told: Told<T> = Ok(told);
            state.record(call, &told)?;
            let after = move |host: &Host, revision| effective(host, record, is_deleted, revision, writing);
            host.step(state, &live, vec![write], after).await?;
            Ok(told)
        }
        Err(refused) => {
            let told: Told<T> = Err(refused);
            state.record(call, &told)?;
            Ok(told)
        }
    }
}

/// A write with the record it is about, and whether it deletes that.
type Prepared = (Write, StoredRecord, bool);

async fn prepare<T>(
    host: &Host,
    by: &Identity,
    name: &str,
    project: Option<RecordId>,
    decide: impl FnOnce(Option<Value>) -> Told<(T, Change)>,
) -> Told<(T, Option<Prepared>)> {
    let present = host.setting(by, name).await?.map(|(_, value)| value);
    let (told, change) = decide(present)?;
    let prepared = match change {
        Change::None => None,
        Change::Save(value) => {
            let (write, record) = host.save_setting(by, name, value, project).await?;
            Some((write, record, false))
        }
        Change::Delete => host.delete_setting(by, name).await?.map(|(write, record)| (write, record, true)),
    };
    Ok((told, prepared))
}

fn effective(host: &Host, mut record: StoredRecord, is_deleted: bool, revision: u64, writing: OwnedMutexGuard<()>) {
    record.revision = revision;
    if !record.meta.name.starts_with(WEBHOOK_PREFIX) {
        // Nothing else of a setting is in the snapshot, which is copied for each change.
        return;
    }
    let applied = if is_deleted {
        host.forget(record.meta.id);
        Ok(())
    } else {
        host.apply(record)
    };
    if let Err(problem) = applied {
        tracing::error!(detail = %problem.detail, "a setting that a flow wrote is not effective before the next start");
    }
    drop(writing);
}

async fn read<T: serde::Serialize + serde::de::DeserializeOwned>(
    state: &mut State,
    call: Call,
    read: impl AsyncFnOnce(&Host, &Identity) -> Told<T>,
) -> wasmtime::Result<Told<T>> {
    if let Some(told) = state.replay(&call)? {
        return Ok(told);
    }
    let Asking { host, by, .. } = asking(state)?;
    let told = read(&host, &by).await;
    state.record(call, &told)?;
    Ok(told)
}

impl settings::Host for State {
    async fn get(&mut self, name: String) -> wasmtime::Result<Told<Option<String>>> {
        let call = Call::new("settings.get", &name);
        read(self, call, async move |host, by| Ok(host.setting(by, &name).await?.map(|(_, value)| value.to_string())))
            .await
    }

    async fn exists(&mut self, name: String) -> wasmtime::Result<Told<bool>> {
        let call = Call::new("settings.exists", &name);
        read(self, call, async move |host, by| Ok(host.setting(by, &name).await?.is_some())).await
    }

    async fn names(
        &mut self,
        prefix: String,
        after: Option<String>,
        limit: u32,
    ) -> wasmtime::Result<Told<Vec<String>>> {
        let call = Call::new("settings.names", &(&prefix, &after, limit));
        read(self, call, async move |host, by| Ok(host.setting_names(by, &prefix, after.as_deref(), limit).await?))
            .await
    }

    async fn save(&mut self, name: String, value: String) -> wasmtime::Result<Told<()>> {
        let call = Call::new("settings.save", &(&name, &value));
        change(self, call, &name, |_| Ok(((), Change::Save(parse("the value", &value)?)))).await
    }

    async fn delete(&mut self, name: String) -> wasmtime::Result<Told<bool>> {
        let call = Call::new("settings.delete", &name);
        change(self, call, &name, |present| match present {
            Some(_) => Ok((true, Change::Delete)),
            None => Ok((false, Change::None)),
        })
        .await
    }

    async fn compare_and_set(
        &mut self,
        name: String,
        expected: Option<String>,
        value: Option<String>,
    ) -> wasmtime::Result<Told<bool>> {
        let call = Call::new("settings.compare-and-set", &(&name, &expected, &value));
        change(self, call, &name, |present| {
            let expected: Option<Value> =
                expected.map(|expected| parse("the expected value", &expected)).transpose()?;
            let value: Option<Value> = value.map(|value| parse("the value", &value)).transpose()?;
            if present != expected {
                return Ok((false, Change::None));
            }
            let change = match (value, present) {
                (Some(value), _) => Change::Save(value),
                (None, Some(_)) => Change::Delete,
                (None, None) => Change::None,
            };
            Ok((true, change))
        })
        .await
    }

    async fn increment(&mut self, name: String, by: i64) -> wasmtime::Result<Told<i64>> {
        let call = Call::new("settings.increment", &(&name, by));
        change(self, call, &name, |present| {
            let present = present.unwrap_or(json!(0));
            let not_a_number = || {
                let reason = format!("`{name}` holds {present}, which is not a whole number that can be added to");
                refusal("settings.not-a-number", reason)
            };
            let sum = present.as_i64().and_then(|present| present.checked_add(by)).ok_or_else(not_a_number)?;
            Ok((sum, Change::Save(json!(sum))))
        })
        .await
    }
}
