//! Executions that have not ended, as they are seen while they run.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use flowhost_engine::Log;
use flowhost_model::{Execution, FlowRef, RawValue, RecordId, Status, Timestamp, WebhookRef};
use flowhost_store::{ExecutionRow, Store};
use tokio_util::sync::CancellationToken;

use super::Outputs;
use crate::limits::Budget;
use crate::problem::Problem;
use crate::webhook::IncomingRequest;

/// What an execution is started with.
pub(crate) struct Start {
    pub(crate) flow: FlowRef,
    pub(crate) webhook: Option<WebhookRef>,
    pub(crate) project_id: Option<RecordId>,
    pub(crate) bundle_id: Option<RecordId>,
    /// The identity that starts it.
    pub(crate) created_by: Option<RecordId>,
    /// The user that answers for it.
    pub(crate) user_id: Option<RecordId>,
    pub(crate) is_productive: bool,
    pub(crate) input: Box<RawValue>,
    pub(crate) request: Option<Arc<IncomingRequest>>,
    pub(crate) budget: Budget,
    pub(crate) is_durable: bool,
}

/// An execution between its admission and its end.
pub(crate) struct Live {
    pub(crate) id: RecordId,
    pub(crate) flow: FlowRef,
    pub(crate) webhook: Option<WebhookRef>,
    pub(crate) project_id: Option<RecordId>,
    pub(crate) bundle_id: Option<RecordId>,
    pub(crate) created_by: Option<RecordId>,
    pub(crate) user_id: Option<RecordId>,
    pub(crate) is_productive: bool,
    pub(crate) is_durable: bool,
    pub(crate) attempt: u32,
    pub(crate) input: Box<RawValue>,
    pub(crate) request: Option<Arc<IncomingRequest>>,
    pub(crate) budget: Budget,
    pub(crate) seed: [u8; 32],
    pub(crate) created_at: Timestamp,
    pub(crate) log: Arc<Log>,
    pub(crate) cancelled: CancellationToken,
    moving: Mutex<Moving>,
    /// Whether the store has a row of it. Held across the insertion, so that the end waits for it.
    recorded: tokio::sync::Mutex<bool>,
}

/// What changes while it runs.
struct Moving {
    /// When this attempt began.
    began: Option<Timestamp>,
    /// When the first attempt began.
    started_at: Option<Timestamp>,
    progress: Option<String>,
    outputs: Outputs,
}

impl Live {
    /// A new execution, admitted now.
    pub(crate) fn new(start: Start) -> Result<Self, Problem> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(Problem::host)?;
        let Start {
            flow,
            webhook,
            project_id,
            bundle_id,
            created_by,
            user_id,
            is_productive,
            input,
            request,
            budget,
            is_durable,
        } = start;
        Ok(Self {
            id: RecordId::new(),
            flow,
            webhook,
            project_id,
            bundle_id,
            created_by,
            user_id,
            is_productive,
            is_durable,
            attempt: 1,
            input,
            request,
            budget,
            seed,
            created_at: Timestamp::now(),
            log: Arc::new(Log::new(budget.log_bytes)),
            cancelled: CancellationToken::new(),
            moving: Mutex::new(Moving { began: None, started_at: None, progress: None, outputs: Outputs::default() }),
            recorded: tokio::sync::Mutex::new(false),
        })
    }

    /// An execution that a former process of the host left behind.
    pub(crate) fn recovered(row: ExecutionRow, budget: Budget) -> Self {
        let execution = row.execution;
        Self {
            id: execution.id,
            flow: execution.flow,
            webhook: execution.webhook,
            project_id: execution.project_id,
            bundle_id: execution.bundle_id,
            created_by: execution.created_by,
            user_id: execution.user_id,
            is_productive: execution.is_productive,
            is_durable: execution.is_durable,
            attempt: execution.attempt,
            input: execution.input_value,
            request: row.request.map(|request| Arc::new(IncomingRequest::from_record(request))),
            budget,
            seed: row.seed,
            created_at: execution.created_at,
            log: Arc::new(Log::new(budget.log_bytes)),
            cancelled: CancellationToken::new(),
            moving: Mutex::new(Moving {
                began: None,
                started_at: execution.started_at,
                progress: None,
                outputs: Outputs::default(),
            }),
            recorded: tokio::sync::Mutex::new(true),
        }
    }

    /// Notes that its flow begins to run.
    pub(crate) fn begin(&self) {
        let now = Timestamp::now();
        let mut moving = self.lock();
        moving.began = Some(now);
        moving.started_at.get_or_insert(now);
    }

    /// When the host ends it, by its wall limit.
    pub(crate) fn deadline(&self) -> Timestamp {
        self.lock().began.unwrap_or_else(Timestamp::now).saturating_add(self.budget.wall)
    }

    pub(crate) fn set_progress(&self, message: String) {
        self.lock().progress = Some(message);
    }

    /// Works on the outputs.
    pub(crate) fn with_outputs<R>(&self, work: impl FnOnce(&mut Outputs) -> R) -> R {
        work(&mut self.lock().outputs)
    }

    /// The execution as it stands now.
    pub(crate) fn execution(&self) -> Execution {
        let moving = self.lock();
        Execution {
            id: self.id,
            flow: self.flow.clone(),
            webhook: self.webhook.clone(),
            project_id: self.project_id,
            bundle_id: self.bundle_id,
            created_by: self.created_by,
            user_id: self.user_id,
            status: if moving.began.is_some() { Status::Running } else { Status::Scheduled },
            status_message: moving.progress.clone(),
            failure: None,
            is_productive: self.is_productive,
            attempt: self.attempt,
            is_durable: self.is_durable,
            input_value: self.input.clone(),
            output_value: moving.outputs.to_json(),
            created_at: self.created_at,
            started_at: moving.started_at,
            ended_at: None,
        }
    }

    /// Makes sure that the store has a row of it, and that the row says where it stands.
    pub(crate) async fn record(&self, store: &dyn Store) -> Result<(), Problem> {
        let mut recorded = self.recorded.lock().await;
        let execution = self.execution();
        if *recorded {
            return match store.set_execution_status(self.id, execution.status, execution.status_message).await {
                // It has ended meanwhile, and its row says so.
                Err(flowhost_store::Error::NotFound) => Ok(()),
                told => Ok(told?),
            };
        }
        let deadline = execution.started_at.map(|_| self.deadline());
        let request = self.request.as_ref().map(|request| request.to_record());
        store.insert_execution(ExecutionRow { execution, request, seed: self.seed, deadline }).await?;
        *recorded = true;
        Ok(())
    }

    /// Puts it into the store to wait for somebody who resumes it.
    pub(crate) async fn record_paused(&self, store: &dyn Store) -> Result<(), Problem> {
        let mut execution = self.execution();
        execution.status = Status::Paused;
        execution.status_message =
            Some("paused: its user was not active lately; resume it, or make it productive".into());
        let request = self.request.as_ref().map(|request| request.to_record());
        store.insert_execution(ExecutionRow { execution, request, seed: self.seed, deadline: None }).await?;
        Ok(())
    }

    /// Keeps its end and its log. Only then may an answer name the end.
    pub(crate) async fn record_end(&self, store: &dyn Store, ended: Execution) -> Result<(), Problem> {
        let mut recorded = self.recorded.lock().await;
        store.end_execution(ended, self.log.lines(), *recorded).await?;
        *recorded = true;
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Moving> {
        self.moving.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The executions that have not ended, by id.
#[derive(Clone, Default)]
pub(crate) struct Registry(Arc<Mutex<HashMap<RecordId, Arc<Live>>>>);

/// Keeps an execution in the registry until it is dropped.
pub(crate) struct Registered {
    registry: Registry,
    live: Arc<Live>,
}

impl Registry {
    pub(crate) fn add(&self, live: Arc<Live>) -> Registered {
        self.lock().insert(live.id, live.clone());
        Registered { registry: self.clone(), live }
    }

    pub(crate) fn get(&self, id: RecordId) -> Option<Arc<Live>> {
        self.lock().get(&id).cloned()
    }

    /// All of them, in no order.
    pub(crate) fn all(&self) -> Vec<Arc<Live>> {
        self.lock().values().cloned().collect()
    }

    /// Waits until none is left, for `limit` at most. Gives how many are left.
    pub(crate) async fn wait_until_empty(&self, limit: Duration) -> usize {
        let deadline = tokio::time::Instant::now() + limit;
        loop {
            let left = self.lock().len();
            if left == 0 || tokio::time::Instant::now() >= deadline {
                return left;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<RecordId, Arc<Live>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.registry.lock().remove(&self.live.id);
    }
}

#[cfg(test)]
mod tests {
    use flowhost_engine::Outcome;
    use flowhost_model::Digest;
    use flowhost_store::sqlite::{SqliteOptions, SqliteStore};

    use super::*;
    use crate::execution::end::ended;

    #[tokio::test]
    async fn to_record_what_has_just_ended_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(folder.path(), SqliteOptions::default()).unwrap();
        let flow = FlowRef { id: RecordId::new(), name: "f".into(), version: 1, digest: Digest([0; 32]) };
        let start = Start {
            flow,
            webhook: None,
            project_id: None,
            bundle_id: None,
            created_by: None,
            user_id: None,
            is_productive: true,
            input: RawValue::NULL.to_owned(),
            request: None,
            budget: Budget::default(),
            is_durable: false,
        };
        let live = Live::new(start).unwrap();
        live.begin();
        live.record(&store).await.unwrap();
        assert_eq!(store.execution(live.id).await.unwrap().unwrap().status, Status::Running);
        live.record_end(&store, ended(&live, Outcome::Success("{}".into()))).await.unwrap();
        live.record(&store).await.unwrap();
        assert_eq!(store.execution(live.id).await.unwrap().unwrap().status, Status::EndedSuccess);
    }
}
