//! One call: a fresh store, an instance, a budget, an outcome.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;

use wasmtime::component::ResourceTableError;
use wasmtime::{Store, Trap, UpdateDeadline, WasmBacktrace};

use crate::bindings::flowhost::flow::types;
use crate::budget::Budget;
use crate::clock::Clock;
use crate::engine::Program;
use crate::guest_threads::{self, Signals};
use crate::host_memory;
use crate::journal::Kept;
use crate::log::Log;
use crate::memory::NoHostMemory;
use crate::meter::{Meter, Metered};
use crate::outcome::{FlowError, LimitedOutput, Outcome, Report};
use crate::state::{Slots, State};
use crate::trace;
use crate::wait::Residence;
use crate::wasi::LogBudgetExceeded;

/// Handles that wasmtime counts beyond ours: those to resources of the guest's own. Ours are refused first, with a reason.
const GUEST_HANDLES: usize = 10_000;

/// What a call is given beside its input.
pub struct Invocation {
    /// Its limits.
    pub budget: Budget,
    /// Where its lines go.
    pub log: Arc<Log>,
    /// The seed of its randomness.
    pub seed: [u8; 32],
    /// What its capabilities need.
    pub slots: Slots,
    /// The host's clock.
    pub clock: Arc<dyn Clock>,
    /// What it was told when it ran before.
    pub kept: Kept,
    /// Decides how long it stays in memory while it waits.
    pub residence: Arc<dyn Residence>,
}

impl Program {
    /// Runs the flow once on `input`, a JSON text. Always returns an outcome; the instance and all it held are gone then.
    ///
    /// A flow that computes for longer than a moment does so on the engine's own threads. `cancelled` ends the call when it is
    /// ready, also while the guest is busy or waits for the host.
    pub async fn invoke(&self, invocation: Invocation, input: &str, cancelled: impl Future<Output = ()>) -> Report {
        let (meter, signals) = (Arc::new(Meter::new()), Arc::new(Signals::default()));
        let call = Box::pin(self.clone().call(invocation, input.to_owned(), meter.clone(), signals.clone()));
        self.threads.run(call, &signals, &meter, &self.pace, cancelled).await
    }

    /// The call itself, which any thread may drive.
    async fn call(self, invocation: Invocation, input: String, meter: Arc<Meter>, signals: Arc<Signals>) -> Report {
        let budget = invocation.budget;
        let mut store = Store::new(&self.engine, State::new(invocation, meter.clone(), self.memory.clone()));
        store.limiter(|state| &mut state.memory);
        // Above every budget of ours, so that what is too large is refused by us, with a reason.
        store.set_hostcall_fuel(budget.memory_bytes.max(budget.output_bytes).saturating_add(1 << 20));
        store.set_max_component_handles(budget.handles.saturating_add(GUEST_HANDLES));
        let (callback_meter, callback_signals) = (meter.clone(), signals.clone());
        store.epoch_deadline_callback(move |mut context| {
            let spent = callback_meter.spent_in_poll();
            if spent >= budget.cpu {
                Err(context.data_mut().end(Outcome::CpuLimit))
            } else if guest_threads::is_short(spent) {
                // A tick that met a short call by chance, or the machine was busy elsewhere.
                Ok(UpdateDeadline::Continue(1))
            } else {
                callback_signals.interrupt();
                // tokio's own yield goes to the end of the queue; waking oneself would run this task again at once.
                Ok(UpdateDeadline::YieldCustom(1, Box::pin(tokio::task::yield_now())))
            }
        });
        // Relative to the present tick, so as late as possible; 0 would make every call yield once.
        store.set_epoch_deadline(1);

        // Beside the copy that the flow has in its own memory.
        store.data().host_memory.take(input.len().saturating_mul(2));
        let ended = {
            let call = pin!(async {
                let flow = self.flow.instantiate_async(&mut store).await?;
                // The generated call wants the type that WIT's alias `json` became.
                flow.flowhost_flow_handler().call_run(&mut store, &input).await
            });
            let call = Metered { meter: meter.clone(), call };
            tokio::select! {
                biased;
                // First, so that a busy guest gets no further slice.
                () = signals.cancelled() => Ended::Cancelled,
                result = call => Ended::Returned(result),
                () = meter.has_run_for(budget.wall) => Ended::TimeLimit,
            }
        };

        // The instance is gone with its store; what the host kept for it stays.
        let mut state = store.into_data();
        if matches!(ended, Ended::Returned(_) | Ended::TimeLimit) && !state.is_suspended() {
            // One that is run again writes the line anew.
            state.finish_output();
        }
        let outcome = match ended {
            Ended::Cancelled => Outcome::Cancelled,
            Ended::TimeLimit => Outcome::TimeLimit,
            Ended::Returned(_) if state.is_short() => Outcome::HostExhausted(NoHostMemory.to_string()),
            Ended::Returned(Ok(returned)) if size(&returned) > budget.output_bytes => {
                Outcome::OutputLimit(LimitedOutput::Outputs)
            }
            Ended::Returned(Ok(returned)) => match (state.journal.unfinished(), returned) {
                (Some(divergence), _) => Outcome::Diverged(divergence),
                (None, Ok(output)) => Outcome::Success(output),
                (None, Err(error)) => Outcome::FlowError(error.into()),
            },
            Ended::Returned(Err(error)) => failed(&mut state, &error),
        };
        let (cpu, run_time, memory_bytes) = (meter.spent(), meter.run_time(), state.memory.used());
        Report { outcome, cpu, run_time, memory_bytes, journal: state.journal }
    }
}

enum Ended {
    Returned(wasmtime::Result<Result<String, types::FlowError>>),
    Cancelled,
    TimeLimit,
}

/// Bytes of text that a flow returned, as outputs or as an error: both are kept and answered.
fn size(returned: &Result<String, types::FlowError>) -> usize {
    match returned {
        Ok(output) => output.len(),
        Err(types::FlowError { message, code, details, retryable: _ }) => {
            message.len() + code.as_ref().map_or(0, String::len) + details.as_ref().map_or(0, String::len)
        }
    }
}

/// Finds out why a call ended without returning.
fn failed(state: &mut State, error: &wasmtime::Error) -> Outcome {
    if let Some(outcome) = state.take_ending() {
        // What a flow does itself is held against its journal, in whatever way it ends.
        let is_its_own = matches!(outcome, Outcome::Ended(_) | Outcome::FlowError(_));
        return match state.journal.unfinished().filter(|_| is_its_own) {
            Some(divergence) => Outcome::Diverged(divergence),
            None => outcome,
        };
    }
    if state.memory.denied() {
        return Outcome::MemoryLimit;
    }
    if error.is::<LogBudgetExceeded>() {
        return Outcome::OutputLimit(LimitedOutput::Log);
    }
    if matches!(error.downcast_ref(), Some(ResourceTableError::Full)) {
        return Outcome::OutputLimit(LimitedOutput::Handles);
    }
    if let Some(outcome) = host_memory::exhausted(error) {
        return outcome;
    }
    let trace = error.downcast_ref::<WasmBacktrace>().map(trace::text);
    if let Some((message, place)) = state.take_panic() {
        return Outcome::Panic { message, place, trace };
    }
    let message = match error.downcast_ref::<Trap>() {
        Some(trap) => trap.to_string(),
        None => error.root_cause().to_string(),
    };
    Outcome::Trap { message, trace }
}

impl From<types::FlowError> for FlowError {
    fn from(error: types::FlowError) -> Self {
        let types::FlowError { message, code, details, retryable } = error;
        Self { message, code, details, retryable }
    }
}
