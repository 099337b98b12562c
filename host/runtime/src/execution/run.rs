//! An execution's task: from its slot to its record.

use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use flowhost_engine::{Invocation, Outcome, Program, Slots};
use flowhost_model::Execution;
use flowhost_store::Store;
use futures_util::FutureExt;
use tokio::sync::{OnceCell, OwnedSemaphorePermit, oneshot};

use super::{Admission, Counted, Live, Registered, Registry, Slot, end};
use crate::capability::{Capability, ExecutionContext};
use crate::flow::Programs;
use crate::problem::{Code, Problem};

/// An execution that runs longer than this is put into the store while it runs, so that its caller's id resolves whatever
/// happens to this process.
const RECORD_AFTER: Duration = Duration::from_secs(1);

/// What every task of a host needs. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Launch {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) registry: Registry,
    pub(crate) admission: Admission,
    pub(crate) capabilities: Arc<[Box<dyn Capability>]>,
    pub(crate) programs: Programs,
}

/// Runs an execution in a slot, as a task of its own. The receiver gets its end after that is recorded; dropping the
/// receiver does not end the execution.
pub(crate) fn launch(
    launch: &Launch,
    live: Arc<Live>,
    program: Program,
    slot: Slot,
    counted: Option<Counted>,
) -> oneshot::Receiver<Result<Execution, Problem>> {
    let (answer, answered) = oneshot::channel();
    let registered = launch.registry.add(live.clone());
    let launch = launch.clone();
    tokio::spawn(async move {
        let ended = run(&launch, live, Ok(program), slot).await;
        // In this order: whoever sees the end may call again at once.
        drop((counted, registered));
        // The caller may have gone away.
        let _gone = answer.send(ended);
    });
    answered
}

/// Runs an execution that is in the store already, when there is a slot for it.
pub(crate) fn launch_queued(
    launch: &Launch,
    live: Arc<Live>,
    program: Arc<OnceCell<Program>>,
    place: Option<OwnedSemaphorePermit>,
    counted: Option<Counted>,
) {
    let registered: Registered = launch.registry.add(live.clone());
    let launch = launch.clone();
    tokio::spawn(async move {
        let cancelled = live.cancelled.clone();
        let slot = tokio::select! {
            slot = launch.admission.queued_slot() => slot,
            () = cancelled.cancelled() => None,
        };
        drop(place);
        let ended = match slot {
            Some(slot) => {
                let program = launch.programs.get(live.flow.digest, &program).await;
                run(&launch, live, program, slot).await
            }
            None if live.cancelled.is_cancelled() => finish(&launch, &live, Outcome::Cancelled).await,
            // The host stops; the execution is in the store and runs after the next start.
            None => return,
        };
        drop((counted, registered));
        if let Err(problem) = ended {
            tracing::error!(code = %problem.code, detail = %problem.detail, "the end of an execution was not kept; it runs again after the next start");
        }
    });
}

async fn run(
    launch: &Launch,
    live: Arc<Live>,
    program: Result<Program, Problem>,
    slot: Slot,
) -> Result<Execution, Problem> {
    live.begin();
    let outcome = match program {
        // A capability that panics must not take the execution's record with it.
        Ok(program) => {
            let ended = AssertUnwindSafe(invoke(launch, &live, &program)).catch_unwind().await;
            ended.unwrap_or_else(|_| Outcome::HostFault("a function of the host panicked".into()))
        }
        Err(problem) => Outcome::HostFault(problem.detail),
    };
    drop(slot);
    finish(launch, &live, outcome).await
}

async fn invoke(launch: &Launch, live: &Arc<Live>, program: &Program) -> Outcome {
    let mut slots = Slots::new();
    let context = ExecutionContext::new(live.clone());
    for capability in launch.capabilities.iter() {
        capability.prepare(&context, &mut slots);
    }
    let invocation = Invocation { budget: live.budget, log: live.log.clone(), seed: live.seed, slots };
    let mut call = pin!(program.invoke(invocation, live.input.get(), live.cancelled.cancelled()));
    tokio::select! {
        biased;
        report = &mut call => return report.outcome,
        () = tokio::time::sleep(RECORD_AFTER) => {}
    }
    // The call goes on while the row is written.
    let (report, recorded) = tokio::join!(call, live.record(&*launch.store));
    if let Err(problem) = recorded {
        tracing::warn!(execution = %live.id, detail = %problem.detail, "a running execution could not be recorded");
    }
    report.outcome
}

async fn finish(launch: &Launch, live: &Live, outcome: Outcome) -> Result<Execution, Problem> {
    let ended = end::ended(live, outcome);
    match live.record_end(&*launch.store, ended.clone()).await {
        Ok(()) => Ok(ended),
        Err(problem) => {
            tracing::error!(execution = %live.id, detail = %problem.detail, "the end of an execution could not be recorded");
            Err(problem)
        }
    }
}

/// What a problem of an ended execution is called; none where it succeeded.
pub(crate) fn problem_of(execution: &Execution) -> Option<Code> {
    use flowhost_model::Status;
    match execution.status {
        Status::EndedSuccess => None,
        Status::EndedCancelled => Some(Code::ExecutionCancelled),
        _ => {
            let code = execution.failure.as_ref().and_then(|failure| Code::from_name(&failure.code));
            Some(code.unwrap_or(Code::FlowError))
        }
    }
}
