//! What people do to executions: cancel, pause, resume, run once more, make productive.

use std::sync::Arc;

use flowhost_model::{Execution, LogLevel, Operation, RecordId, RecordType, Status};

use super::cancel::wholly;
use super::{Act, Lineage, Start, StopReason};
use crate::host::Host;
use crate::identity::Identity;
use crate::problem::{Code, Problem};
use crate::webhook::{FlowTarget, IncomingRequest};

/// How often an execution is looked for that is to be paused: it goes from one place to another some few times at most.
const PAUSES: usize = 100;

/// Returns the problem of an action that came after the execution's end.
fn has_ended(status: Status, done: &str) -> Problem {
    let detail = format!("the execution has ended already ({status}); only one that has not ended can be {done}");
    Problem::new(Code::RecordConflict, detail)
}

fn refuse_ended_otherwise(execution: &Execution) -> Result<(), Problem> {
    match execution.status {
        Status::EndedCancelled => Ok(()),
        status if status.is_ended() => Err(has_ended(status, "cancelled")),
        _ => Ok(()),
    }
}

impl Host {
    async fn steerable(&self, by: &Identity, id: RecordId) -> Result<Execution, Problem> {
        let execution = self.read_execution(by, id).await?;
        self.permit(by, Operation::Update, RecordType::Execution, execution.project_id)?;
        Ok(execution)
    }

    /// Ends an execution that has not ended, and its children with it. Returns it as it stood when it was told. To cancel a
    /// cancelled execution again changes nothing and is no error, so that a client can repeat a request whose answer got lost.
    ///
    /// # Errors
    ///
    /// `record.conflict` if it has ended in another way.
    pub async fn cancel(&self, by: &Identity, id: RecordId) -> Result<Execution, Problem> {
        refuse_ended_otherwise(&self.steerable(by, id).await?)?;
        let live = self.registry().get(id);
        self.end_cancelled(id).await?;
        let execution = match live {
            Some(live) => live.execution(),
            None => self.execution(id).await?,
        };
        refuse_ended_otherwise(&execution)?;
        Ok(execution)
    }

    /// Takes an execution out of memory, until somebody resumes it. What its flow was told is told again then; what it did
    /// since its last change of something outside is done again.
    ///
    /// Problem: `record.conflict` where it has ended.
    pub async fn pause(&self, by: &Identity, id: RecordId) -> Result<Execution, Problem> {
        let user = self.steerable(by, id).await?.user_id;
        for _ in 0..PAUSES {
            let host = self.clone();
            wholly(async move { host.pause_once(id, user).await }).await?;
            let execution = self.execution(id).await?;
            match execution.status {
                Status::Paused => return Ok(execution),
                status if status.is_ended() => {
                    return Err(has_ended(status, "paused"));
                }
                // It was on its way from one place to another.
                _ => tokio::task::yield_now().await,
            }
        }
        // Its end could not be kept, for instance.
        tracing::error!(execution = %id, "an execution that is to be paused is neither in memory nor ready to go on");
        Err(Problem::new(
            Code::RecordConflict,
            "the execution can be neither run nor paused before the host's next start",
        ))
    }

    async fn pause_once(&self, id: RecordId, user: Option<RecordId>) -> Result<(), Problem> {
        self.queue().until_loaded(id).await;
        let queued = self.queue().remove(id);
        if let Some(live) = self.registry().get(id).filter(|_| queued.is_none()) {
            live.stop(StopReason::Pause);
            live.left().await;
            return Ok(());
        }
        match self.store().pause_execution(id, super::PAUSED.to_owned()).await {
            Ok(()) => {
                self.paused().count(user);
                drop(queued);
                self.superseded(id).await;
            }
            Err(flowhost_store::Error::NotFound) => {}
            Err(error) => {
                if let Some(queued) = queued {
                    self.queue().push(queued);
                }
                return Err(error.into());
            }
        }
        Ok(())
    }

    /// Lets a paused execution run, for a user who may do all that it may.
    pub async fn resume(&self, by: &Identity, id: RecordId) -> Result<Execution, Problem> {
        let execution = self.steerable(by, id).await?;
        self.resume_as(by, Act::Resume, &execution).await
    }

    async fn resume_as(&self, by: &Identity, act: Act, execution: &Execution) -> Result<Execution, Problem> {
        self.refuse_if_draining()?;
        let id = execution.id;
        if execution.status.is_ended() {
            return Err(has_ended(execution.status, "resumed"));
        }
        if execution.status != Status::Paused {
            let detail = format!("the execution is {}, not PAUSED", execution.status);
            return Err(Problem::new(Code::RecordConflict, detail));
        }
        self.authorize(by, act, self.origin(execution).await?.actor, None)?;
        let webhook = execution.webhook.as_ref().map(|webhook| webhook.id);
        let place = self.admission().queue_place(webhook, execution.flow.id)?;
        let host = self.clone();
        wholly(async move {
            let ticket = host.store().resume_execution(host.owner_id(), id).await?;
            host.paused().discount(ticket.user_id);
            // By hand, so whether or not its user was active.
            host.push_ticket(ticket, false, Some(place));
            Ok(())
        })
        .await?;
        self.execution(id).await
    }

    /// Starts the same flow with the same input and request, in its present version. It acts as the first execution did, and
    /// its record says that `by` started it.
    pub async fn rerun(&self, by: &Identity, id: RecordId) -> Result<RecordId, Problem> {
        let execution = self.steerable(by, id).await?;
        let missing = || Problem::new(Code::FlowNotFound, "the flow of the execution is gone");
        let version = self.snapshot().active_version(&FlowTarget::Id(execution.flow.id)).ok_or_else(missing)?;
        let origin = self.origin(&execution).await?;
        let actor = self.authorize(by, Act::Rerun, origin.actor, None)?;
        self.refuse_if_draining()?;
        version.check_input(self, &execution.input_value).await?;
        let start = Start {
            flow: version.flow.clone(),
            webhook: execution.webhook,
            project_id: execution.project_id,
            bundle_id: execution.bundle_id,
            created_by: Some(by.user_id),
            user_id: Some(by.user_id),
            actor,
            lineage: Lineage::default(),
            priority: execution.priority,
            concurrency: None,
            is_productive: execution.is_productive,
            input: execution.input_value,
            request: origin.request.map(|request| Arc::new(IncomingRequest::from_record(request))),
            key: None,
            budget: self.limits().budget,
            is_durable: true,
        };
        let place = self.admission().queue_place(start.webhook.as_ref().map(|webhook| webhook.id), start.flow.id)?;
        let live = Arc::new(self.admit(start)?);
        let (name, first) = (&by.user_name, execution.id);
        live.log_host(LogLevel::Info, format!("`{name}` runs the execution {first} again, with its permissions."));
        self.accept_live(live, place, None).await
    }

    /// Switches an execution of development mode to productive; a paused one then runs.
    pub async fn set_productive(&self, by: &Identity, id: RecordId) -> Result<Execution, Problem> {
        let execution = self.steerable(by, id).await?;
        if execution.status != Status::Paused {
            if execution.is_productive {
                return Ok(execution);
            }
            let detail = "only an execution that is paused in development mode can be switched";
            return Err(Problem::new(Code::RecordConflict, detail));
        }
        // Before the change: one who may not do it changes nothing.
        self.authorize(by, Act::SetProductive, self.origin(&execution).await?.actor, None)?;
        if !execution.is_productive {
            self.store().set_productive(id, true).await?;
        }
        self.resume_as(by, Act::SetProductive, &execution).await
    }
}
