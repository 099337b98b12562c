//! Who wants to be told when an execution has ended.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flowhost_model::{Execution, RecordId, Status};
use tokio::sync::{mpsc, oneshot};

use super::FlowAnswer;
use crate::problem::Problem;

/// Where what a caller waits for is sent.
pub(crate) type Answer = oneshot::Sender<Result<Answered, Problem>>;

/// What a caller waits for.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "nearly all are ends, and each of these would be allocated")]
pub(crate) enum Answered {
    /// The end of the execution, and the answer that its flow shaped.
    Ended(Execution, Option<Box<FlowAnswer>>),
    /// An answer of a flow that goes on.
    Early(Box<FlowAnswer>),
}

/// Those who wait for the ends of executions that they do not run themselves. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Ends(Arc<Mutex<HashMap<RecordId, Vec<Waiter>>>>);

enum Waiter {
    /// The caller of an execution that left memory meanwhile.
    Caller(Answer),
    /// A parent.
    Parent(mpsc::UnboundedSender<(RecordId, Status)>),
}

/// The ends of some executions, as long as somebody listens.
pub(crate) struct Listening {
    ends: Ends,
    ids: Vec<RecordId>,
    told: mpsc::UnboundedReceiver<(RecordId, Status)>,
}

impl Listening {
    /// The next end; none when nothing ends here any more.
    pub(crate) async fn next(&mut self) -> Option<(RecordId, Status)> {
        self.told.recv().await
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.told.close();
        let mut ends = self.ends.lock();
        for id in &self.ids {
            if let Some(waiters) = ends.get_mut(id) {
                waiters.retain(|waiter| !waiter.is_gone());
                if waiters.is_empty() {
                    ends.remove(id);
                }
            }
        }
    }
}

impl Waiter {
    fn is_gone(&self) -> bool {
        match self {
            Self::Caller(answer) => answer.is_closed(),
            Self::Parent(told) => told.is_closed(),
        }
    }
}

impl Ends {
    /// Sends the end of an execution to its caller.
    pub(crate) fn answer(&self, id: RecordId, answer: Answer) {
        self.add(id, Waiter::Caller(answer));
    }

    /// Whether somebody waits for the answer of an execution.
    pub(crate) fn has_caller(&self, id: RecordId) -> bool {
        let is_caller = |waiter: &Waiter| matches!(waiter, Waiter::Caller(answer) if !answer.is_closed());
        self.lock().get(&id).is_some_and(|waiters| waiters.iter().any(is_caller))
    }

    /// Takes out who waits for the answer of an execution.
    pub(crate) fn take_caller(&self, id: RecordId) -> Option<Answer> {
        let mut ends = self.lock();
        let waiters = ends.get_mut(&id)?;
        let place = waiters.iter().position(|waiter| matches!(waiter, Waiter::Caller(_)))?;
        let waiter = waiters.swap_remove(place);
        if waiters.is_empty() {
            ends.remove(&id);
        }
        match waiter {
            Waiter::Caller(answer) => Some(answer),
            Waiter::Parent(_) => None,
        }
    }

    /// The ends of these executions from now on.
    pub(crate) fn of(&self, ids: Vec<RecordId>) -> Listening {
        let (teller, told) = mpsc::unbounded_channel();
        for id in &ids {
            self.add(*id, Waiter::Parent(teller.clone()));
        }
        Listening { ends: self.clone(), ids, told }
    }

    /// Tells everybody that an execution has ended, now that its end is kept.
    pub(crate) fn tell(&self, execution: &Execution) {
        let waiters = self.lock().remove(&execution.id);
        for waiter in waiters.into_iter().flatten() {
            // Who has gone away does not mind.
            match waiter {
                Waiter::Caller(answer) => drop(answer.send(Ok(Answered::Ended(execution.clone(), None)))),
                Waiter::Parent(told) => drop(told.send((execution.id, execution.status))),
            }
        }
    }

    /// Tells the callers of an execution that its end could not be kept. Its parent waits on: the end may be kept later.
    pub(crate) fn fail(&self, id: RecordId, problem: impl Fn() -> Problem) {
        while let Some(answer) = self.take_caller(id) {
            let _gone = answer.send(Err(problem()));
        }
    }

    /// Tells all callers that nothing ends here any more.
    pub(crate) fn close(&self) {
        self.lock().clear();
    }

    fn add(&self, id: RecordId, waiter: Waiter) {
        let mut ends = self.lock();
        let waiters = ends.entry(id).or_default();
        waiters.retain(|waiter| !waiter.is_gone());
        waiters.push(waiter);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<RecordId, Vec<Waiter>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem::Code;

    #[tokio::test]
    async fn an_end_that_could_not_be_kept_is_told_to_callers_and_parents_wait_on() {
        let (ends, id) = (Ends::default(), RecordId::new());
        let (answer, answered) = oneshot::channel();
        let mut parent = ends.of(vec![id]);
        ends.answer(id, answer);
        ends.fail(id, || Problem::new(Code::HostStorageFull, "full"));
        assert_eq!(answered.await.unwrap().unwrap_err().code, Code::HostStorageFull);
        assert!(matches!(ends.lock()[&id][..], [Waiter::Parent(_)]));
        ends.close();
        assert!(parent.next().await.is_none());
    }
}
