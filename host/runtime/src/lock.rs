//! Locks on names, which executions hold.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use flowhost_model::{LogLevel, Operation, RecordId, RecordType};
use flowhost_store::{Lock, Write};
use serde::Serialize;
use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::access::Reach;
use crate::execution::{Awaited, Event};
use crate::host::Host;
use crate::identity::Identity;
use crate::problem::{Code, Problem};
use crate::record::{List, ListRequest};

/// The most locks that one execution holds: more is rather a mistake, and each is a row that its end deletes.
pub(crate) const LOCKS: u64 = 1_000;

/// Locks whose names differ hardly ever wait for each other.
const STRIPES: usize = 64;

/// Lets one at a time decide about a lock.
pub(crate) struct Deciding([Arc<Mutex<()>>; STRIPES]);

impl Default for Deciding {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Arc::default()))
    }
}

/// The right to decide about a lock, to be held until the decision is kept.
pub(crate) type Decision = OwnedMutexGuard<()>;

/// A lock as the API shows it.
#[derive(Clone, Debug, Serialize)]
pub struct LockView {
    /// Its name.
    pub name: String,
    /// The execution that holds it.
    pub execution_id: RecordId,
    /// The name of the execution's flow.
    pub flow_name: String,
    /// Since when it holds the lock.
    pub since: String,
}

impl From<Lock> for LockView {
    fn from(lock: Lock) -> Self {
        let Lock { name, execution, flow_name, since, .. } = lock;
        Self { name, execution_id: execution, flow_name, since: since.to_string() }
    }
}

impl Deciding {
    async fn on(&self, name: &str) -> Decision {
        let mut hasher = DefaultHasher::new();
        name.hash(&mut hasher);
        // The remainder is less than the number of stripes, whatever the width of a pointer.
        let stripe = (hasher.finish() % STRIPES as u64) as usize;
        self.0[stripe].clone().lock_owned().await
    }
}

/// That a lock is free or the execution's own.
pub(crate) struct LockIsFree {
    host: Host,
    name: String,
    execution: RecordId,
    release: Awaited,
    /// Where it is free, the right to take it.
    pub(crate) turn: Option<Decision>,
}

impl flowhost_engine::Event for LockIsFree {
    /// A text, since the journal could not tell an event that is nothing from the time that is over.
    type Output = String;

    async fn look(&mut self) -> Option<String> {
        let mut pauses = self.host.outage().pauses();
        loop {
            let decision = self.host.decide_on_lock(&self.name).await;
            let is_free = match self.host.store().lock(&self.name).await {
                Ok(None) => {
                    self.turn = Some(decision);
                    true
                }
                Ok(Some(lock)) => lock.execution == self.execution,
                Err(error) => {
                    drop(decision);
                    pauses.after(&error).await;
                    continue;
                }
            };
            pauses.done();
            return is_free.then(|| "free".to_owned());
        }
    }

    async fn changed(&mut self) {
        if !self.release.happened().await {
            // The host is about to end.
            std::future::pending().await
        }
    }
}

impl Host {
    /// To be held from looking at a lock until what was decided is kept.
    pub(crate) async fn decide_on_lock(&self, name: &str) -> Decision {
        self.deciding().on(name).await
    }

    /// That a lock is free or the execution's own.
    ///
    /// An execution that waits in the store is given the lock there by whoever releases it.
    pub(crate) fn lock_is_free(&self, name: String, execution: RecordId) -> LockIsFree {
        // Before the store is asked, so that no release is missed.
        let release = self.events().of(Event::Released(name.clone()));
        LockIsFree { host: self.clone(), name, execution, release, turn: None }
    }

    /// Tells everybody that a lock was released, now that this is kept.
    pub(crate) fn lock_was_released(&self, name: String) {
        self.events().tell(&Event::Released(name));
        // Who waited in the store has it, and is nobody's.
        self.queue().note_unclaimed();
    }

    /// The locks that executions hold which the identity may read, by name. Pages are continued behind a name.
    pub async fn list_locks(&self, by: &Identity, request: ListRequest) -> Result<List<LockView>, Problem> {
        let limit = request.limit();
        if limit == 0 {
            return Ok(List { items: Vec::new(), next: None });
        }
        let locks = self.store().locks(request.after.as_deref(), limit).await?;
        let is_full = locks.len() == limit as usize;
        let next = locks.last().filter(|_| is_full).map(|last| last.name.clone());
        let may_read = |lock: &Lock| by.access.may(Operation::Read, RecordType::Execution, lock.project_id);
        Ok(List { items: locks.into_iter().filter(may_read).map(LockView::from).collect(), next })
    }

    /// Takes a lock from the execution that holds it, which goes on without.
    ///
    /// Problems: `access.forbidden` without the permission to update all settings, `record.not-found` where nobody holds the
    /// lock.
    pub async fn break_lock(&self, by: &Identity, name: &str) -> Result<(), Problem> {
        if by.access.projects(Operation::Update, RecordType::Setting) != Reach::Everything {
            let detail = format!("`{}` has no permission UPDATE for the settings of all projects", by.user_name);
            return Err(Problem::new(Code::Forbidden, detail));
        }
        let decision = self.decide_on_lock(name).await;
        let missing = || Problem::new(Code::RecordNotFound, format!("nobody holds the lock `{name}`"));
        let execution = self.store().lock(name).await?.ok_or_else(missing)?.execution;
        let (name, at) = (name.to_owned(), self.now());
        self.store().write(vec![Write::ReleaseLock { name: name.clone(), execution, at }]).await?;
        drop(decision);
        tracing::warn!(lock = %name, %execution, by = %by.user_name, "a lock was broken");
        if let Some(live) = self.registry().get(execution) {
            live.log_host(LogLevel::Warn, format!("`{}` broke the lock `{name}`.", by.user_name));
        }
        self.lock_was_released(name);
        Ok(())
    }
}
