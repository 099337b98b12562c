//! Locks on names, which executions hold.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use data_encoding::BASE64URL_NOPAD;
use flowhost_model::{LogLevel, Operation, RecordId, RecordType};
use flowhost_store::{Lock, LockKey, LockQuery, Write};
use serde::Serialize;
use serde_json::json;
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
    /// Its name, one of those of its project.
    pub name: String,
    /// The project; none for executions of no project.
    pub project_id: Option<RecordId>,
    /// The name of the project.
    pub project_name: Option<String>,
    /// The execution that holds it.
    pub execution_id: RecordId,
    /// The name of the execution's flow.
    pub flow_name: String,
    /// Since when it holds the lock.
    pub since: String,
}

/// Which locks of a name are meant.
#[derive(Clone, Copy, Debug)]
pub enum LockProject<'a> {
    /// Any project's, where only one has such a lock.
    Any,
    /// That of executions of no project.
    None,
    /// That of the project of this name.
    Named(&'a str),
}

impl Deciding {
    async fn on(&self, lock: &LockKey) -> Decision {
        let mut hasher = DefaultHasher::new();
        lock.hash(&mut hasher);
        // The remainder is less than the number of stripes, whatever the width of a pointer.
        let stripe = (hasher.finish() % STRIPES as u64) as usize;
        self.0[stripe].clone().lock_owned().await
    }
}

/// That a lock is free or the execution's own.
pub(crate) struct LockIsFree {
    host: Host,
    key: LockKey,
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
            let decision = self.host.decide_on_lock(&self.key).await;
            let is_free = match self.host.store().lock(&self.key).await {
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
    pub(crate) async fn decide_on_lock(&self, lock: &LockKey) -> Decision {
        self.deciding().on(lock).await
    }

    /// That a lock is free or the execution's own.
    ///
    /// An execution that waits in the store receives the lock there in the write that releases it.
    pub(crate) fn lock_is_free(&self, key: LockKey, execution: RecordId) -> LockIsFree {
        // Before the store is asked, so that no release is missed.
        let release = self.events().of(Event::Released(key.clone()));
        LockIsFree { host: self.clone(), key, execution, release, turn: None }
    }

    /// Tells everybody that a lock was released, now that this is kept.
    pub(crate) fn lock_was_released(&self, lock: LockKey) {
        self.events().tell(&Event::Released(lock));
        // Who waited in the store has it, and is nobody's.
        self.queue().note_unclaimed();
    }

    /// Returns a page of the locks that executions hold, by name: those of the projects whose executions the identity may
    /// read.
    pub async fn list_locks(&self, by: &Identity, request: ListRequest) -> Result<List<LockView>, Problem> {
        let limit = request.limit();
        if limit == 0 {
            return Ok(List { items: Vec::new(), next: None });
        }
        let after = request.after.as_deref().map(place).transpose()?;
        let locks = self.store().locks(LockQuery { after, limit, name: None, in_projects: readable(by) }).await?;
        let is_full = locks.len() == limit as usize;
        let next = locks.last().filter(|_| is_full).map(|last| place_behind(&last.key));
        let parents = self.parents(locks.iter().map(|lock| lock.key.project_id)).await?;
        let view = |lock: Lock| {
            let project_name = parents.get(lock.key.project_id).map(|project| project.name.clone());
            let Lock { key: LockKey { project_id, name }, execution, flow_name, since } = lock;
            LockView { name, project_id, project_name, execution_id: execution, flow_name, since: since.to_string() }
        };
        Ok(List { items: locks.into_iter().map(view).collect(), next })
    }

    /// Takes a lock from the execution that holds it, which goes on without.
    ///
    /// Problems: `record.not-found` if no execution that the identity may read holds such a lock, `record.conflict` if several
    /// projects have one and none of them is named, `access.forbidden` without the permission to update the settings of its
    /// project.
    pub async fn break_lock(&self, by: &Identity, name: &str, project: LockProject<'_>) -> Result<(), Problem> {
        let key = self.lock_named(by, name, project).await?;
        self.permit(by, Operation::Update, RecordType::Setting, key.project_id)?;
        let decision = self.decide_on_lock(&key).await;
        let execution = self.store().lock(&key).await?.ok_or_else(|| missing(name))?.execution;
        let at = self.now();
        self.store().write(vec![Write::ReleaseLock { key: key.clone(), execution, at }]).await?;
        drop(decision);
        tracing::warn!(lock = %name, project = ?key.project_id, %execution, by = %by.user_name, "a lock was broken");
        if let Some(live) = self.registry().get(execution) {
            live.log_host(LogLevel::Warn, format!("`{}` broke the lock `{name}`.", by.user_name));
        }
        self.lock_was_released(key);
        Ok(())
    }

    /// Returns the lock of this name that an execution holds which the identity may read.
    async fn lock_named(&self, by: &Identity, name: &str, project: LockProject<'_>) -> Result<LockKey, Problem> {
        let project_id = match project {
            LockProject::Any => {
                let query = LockQuery { after: None, limit: 2, name: Some(name.to_owned()), in_projects: readable(by) };
                let mut found = self.store().locks(query).await?;
                return match (found.pop(), found.is_empty()) {
                    (None, _) => Err(missing(name)),
                    (Some(only), true) => Ok(only.key),
                    (Some(_), false) => {
                        let detail = format!("several projects have a lock `{name}`; say which by `project`, its name");
                        Err(Problem::new(Code::RecordConflict, detail))
                    }
                };
            }
            LockProject::None => None,
            LockProject::Named(project) => Some(self.record_id(by, RecordType::Project, project).await?),
        };
        if by.access.may(Operation::Read, RecordType::Execution, project_id) {
            Ok(LockKey { project_id, name: name.to_owned() })
        } else {
            Err(missing(name))
        }
    }
}

fn missing(name: &str) -> Problem {
    Problem::new(Code::RecordNotFound, format!("no execution holds the lock `{name}`"))
}

/// The projects whose locks an identity may see; none for all of them.
fn readable(by: &Identity) -> Option<Vec<RecordId>> {
    match by.access.projects(Operation::Read, RecordType::Execution) {
        Reach::Everything => None,
        Reach::Projects(projects) => Some(projects),
        Reach::Nothing => Some(Vec::new()),
    }
}

/// The place in a list behind a lock, as a text that callers send back.
fn place_behind(lock: &LockKey) -> String {
    let place = (&lock.name, lock.project_id.map(|id| id.to_string()));
    BASE64URL_NOPAD.encode(json!(place).to_string().as_bytes())
}

fn place(text: &str) -> Result<LockKey, Problem> {
    let invalid = || Problem::new(Code::Malformed, "`after`: it is not where a page of this list ended");
    let json = BASE64URL_NOPAD.decode(text.as_bytes()).map_err(|_| invalid())?;
    let (name, project): (String, Option<String>) = serde_json::from_slice(&json).map_err(|_| invalid())?;
    let project_id = project.map(|id| id.parse()).transpose().map_err(|_| invalid())?;
    Ok(LockKey { project_id, name })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn place_in_a_list_of_locks_is_read_back() {
        for project_id in [None, Some(RecordId::new())] {
            let key = LockKey { project_id, name: "a/b \"c\"".to_owned() };
            assert_eq!(place(&place_behind(&key)).unwrap(), key);
        }
        for wrong in ["", "a", "name", "bnVsbA"] {
            assert_eq!(place(wrong).unwrap_err().code, Code::Malformed, "{wrong}");
        }
    }
}
