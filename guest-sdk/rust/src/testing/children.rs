//! Children that closures answer.
//!
//! They end while the flow waits, on the test's clock: in the order of their times, and those of one time in the order of
//! their starts.

use std::fmt;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::Backend;
use crate::children::{FlowRef, NewChild, Priority, ReturnWhen, Status};
use crate::crossing::from_json;
use crate::{Execution, FlowError, HostError, Outputs};

/// The longest key of a limit, in characters.
const LONGEST_KEY: usize = 128;

/// A child that a flow under test started. Native only.
#[derive(Clone, Debug, PartialEq)]
pub struct StartedChild {
    /// The flow that it runs.
    pub flow: FlowRef,
    /// What it was started with.
    pub input: Value,
    /// Whether it goes on when its parent has ended.
    pub is_detached: bool,
    /// Its place among those that wait for a slot, where one was set.
    pub priority: Option<Priority>,
    /// A key and how many executions of it may run at once, where that was limited.
    pub concurrency: Option<(String, u32)>,
}

/// What a flow can start, and what it started.
#[derive(Debug, Default)]
pub(super) struct Children {
    flows: Vec<Flow>,
    started: Vec<Running>,
}

struct Flow {
    flow: FlowRef,
    takes: Duration,
    answer: Box<dyn FnMut(Value) -> Result<Outputs, FlowError>>,
}

impl fmt::Debug for Flow {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Flow").field("flow", &self.flow).field("takes", &self.takes).finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct Running {
    child: StartedChild,
    ends_at: SystemTime,
    status: Status,
    message: Option<String>,
    failure: Option<FlowError>,
    outputs: Value,
}

/// Tests: native only.
impl Execution {
    /// The same execution with a flow that it can start. The closure takes the input of such a child and gives its outputs,
    /// or the error with which it fails.
    ///
    /// The child ends as soon as its parent waits: for it, for another child or for a time.
    ///
    /// Another flow of the same crate is tested along like this:
    ///
    /// ```
    /// use flowhost_guest::{Execution, FlowError, Input, Outputs, json};
    ///
    /// fn count(this: &Execution, input: Input<String>) -> Result<Outputs, FlowError> {
    ///     Ok(Outputs::new().set("words", input.split_whitespace().count()))
    /// }
    ///
    /// let this = Execution::for_test()
    ///     .with_child("count", |input| count(&Execution::for_test(), Input::from_json(&input.to_string())?));
    /// let outputs: serde_json::Value = this.children().run("count", "one two")?;
    /// assert_eq!(outputs, json!({ "words": 2 }));
    /// # Ok::<(), flowhost_guest::HostError>(())
    /// ```
    #[must_use]
    pub fn with_child(
        self,
        flow: impl Into<FlowRef>,
        answer: impl FnMut(Value) -> Result<Outputs, FlowError> + 'static,
    ) -> Self {
        self.with_slow_child(flow, Duration::ZERO, answer)
    }

    /// The same execution with a flow that it can start and that takes so long, for tests of what happens meanwhile.
    #[must_use]
    pub fn with_slow_child(
        self,
        flow: impl Into<FlowRef>,
        takes: Duration,
        answer: impl FnMut(Value) -> Result<Outputs, FlowError> + 'static,
    ) -> Self {
        let flow = Flow { flow: flow.into(), takes, answer: Box::new(answer) };
        self.backend.children.borrow_mut().flows.push(flow);
        self
    }

    /// The children that the flow started so far, in order.
    pub fn children_started(&self) -> Vec<StartedChild> {
        self.backend.children.borrow().started.iter().map(|running| running.child.clone()).collect()
    }
}

impl Backend {
    pub(crate) fn clone_execution(&self, input: Option<&str>) -> Result<String, HostError> {
        let flow = FlowRef::Name(self.name.clone());
        let input = input.map_or_else(|| self.input.to_string(), str::to_owned);
        let clone = NewChild { backend: self, flow, input, is_detached: true, priority: None, concurrency: None };
        self.start_child(clone)
    }

    pub(crate) fn start_child(&self, child: NewChild<'_>) -> Result<String, HostError> {
        let mut children = self.children.borrow_mut();
        let Some(flow) = children.flows.iter().find(|flow| flow.flow == child.flow) else {
            let message = format_args!("the test has no child of the flow `{}`", child.flow);
            return Err(HostError::new("flow.not-found", message));
        };
        if let Some((key, limit)) = &child.concurrency
            && (key.is_empty() || key.chars().count() > LONGEST_KEY || *limit == 0)
        {
            return Err(HostError::new("children.invalid-limit", format_args!("the limit {limit} of the key `{key}`")));
        }
        let ends_at = self.now() + flow.takes;
        let started = StartedChild {
            input: from_json(format_args!("the input of `{}`", child.flow), &child.input)?,
            flow: child.flow,
            is_detached: child.is_detached,
            priority: child.priority,
            concurrency: child.concurrency,
        };
        children.started.push(Running {
            child: started,
            ends_at,
            status: Status::Running,
            message: None,
            failure: None,
            outputs: json!({}),
        });
        Ok(id_of(children.started.len() - 1))
    }

    pub(crate) fn wait_for_children(
        &self,
        ids: &[String],
        when: ReturnWhen,
        timeout: Option<u64>,
    ) -> Result<Vec<String>, HostError> {
        if ids.is_empty() {
            return Err(HostError::new("children.nothing-to-wait-for", "no child was named"));
        }
        let named = ids.iter().map(|id| self.index_of(id)).collect::<Result<Vec<_>, _>>()?;
        let last_moment = timeout.and_then(|timeout| self.now().checked_add(Duration::from_micros(timeout)));
        loop {
            let next = {
                let children = self.children.borrow();
                if let Some(ended) = children.ended(&named, when)? {
                    return Ok(ended.into_iter().map(id_of).collect());
                }
                children.next(&named)
            };
            match (next, last_moment) {
                (Some((time, _)), Some(last_moment)) if time > last_moment => {
                    self.pass(last_moment);
                    return Err(HostError::new("children.wait-timeout", "the children did not end in time"));
                }
                (Some((time, child)), _) => self.pass_until(time, child),
                (None, _) => return Err(HostError::new("children.nothing-to-wait-for", "all children have ended")),
            }
        }
    }

    pub(crate) fn child_status(&self, id: &str) -> Result<Status, HostError> {
        self.child(id, |child| child.status)
    }

    pub(crate) fn child_message(&self, id: &str) -> Result<Option<String>, HostError> {
        self.child(id, |child| child.message.clone())
    }

    pub(crate) fn child_failure(&self, id: &str) -> Result<Option<FlowError>, HostError> {
        self.child(id, |child| child.failure.clone())
    }

    pub(crate) fn child_outputs(&self, id: &str) -> Result<String, HostError> {
        self.child(id, |child| child.outputs.to_string())
    }

    pub(crate) fn cancel_child(&self, id: &str) -> Result<(), HostError> {
        self.child(id, |child| {
            if !child.status.is_ended() {
                child.status = Status::EndedCancelled;
                child.message = Some("cancelled by its parent".into());
            }
        })
    }

    /// Lets time go by.
    pub(super) fn pass(&self, time: SystemTime) {
        self.pass_until(time, usize::MAX);
    }

    /// Lets time go by, but of what happens at its last moment only what comes no later than the end of this child.
    fn pass_until(&self, time: SystemTime, child: usize) {
        self.now.set(self.now().max(time));
        self.children.borrow_mut().end(time, child);
    }

    fn child<T>(&self, id: &str, look: impl FnOnce(&mut Running) -> T) -> Result<T, HostError> {
        let index = self.index_of(id)?;
        self.children.borrow_mut().started.get_mut(index).map(look).ok_or_else(|| not_found(id))
    }

    fn index_of(&self, id: &str) -> Result<usize, HostError> {
        let count = self.children.borrow().started.len();
        (0..count).find(|index| id_of(*index) == id).ok_or_else(|| not_found(id))
    }
}

impl Children {
    /// Those of the named that have ended, if that ends the wait.
    fn ended(&self, named: &[usize], when: ReturnWhen) -> Result<Option<Vec<usize>>, HostError> {
        let is_ended = |index: &&usize| self.started[**index].status.is_ended();
        let ended: Vec<usize> = named.iter().filter(is_ended).copied().collect();
        if when == ReturnWhen::AllSucceeded
            && let Some(index) = ended.iter().find(|index| self.started[**index].status != Status::EndedSuccess)
        {
            let failed = &self.started[*index];
            let why = failed.message.as_deref().unwrap_or_default();
            let message = format_args!("child {} of the flow `{}`: {why}", id_of(*index), failed.child.flow);
            return Err(HostError::new("children.failed", message));
        }
        let enough = if when == ReturnWhen::FirstEnded { 1 } else { named.len() };
        Ok((ended.len() >= enough).then_some(ended))
    }

    /// When the next of the named ends, and which that is.
    fn next(&self, named: &[usize]) -> Option<(SystemTime, usize)> {
        let running = named.iter().filter(|index| !self.started[**index].status.is_ended());
        running.map(|index| (self.started[*index].ends_at, *index)).min()
    }

    /// Ends what ends no later than that.
    fn end(&mut self, time: SystemTime, child: usize) {
        let due = |(index, running): &(usize, &mut Running)| {
            !running.status.is_ended() && (running.ends_at, *index) <= (time, child)
        };
        for (_, running) in self.started.iter_mut().enumerate().filter(due) {
            let Some(flow) = self.flows.iter_mut().find(|flow| flow.flow == running.child.flow) else { continue };
            match (flow.answer)(running.child.input.clone()) {
                Ok(outputs) => {
                    running.status = Status::EndedSuccess;
                    running.outputs = outputs.into();
                }
                Err(error) => {
                    running.status = Status::EndedError;
                    running.message = Some(error.message().into());
                    running.failure = Some(if error.code().is_some() { error } else { error.with_code("flow.error") });
                }
            }
        }
    }
}

fn id_of(index: usize) -> String {
    format!("00000000-0000-7000-8000-{:012}", index + 1)
}

fn not_found(id: &str) -> HostError {
    HostError::new("children.not-found", format_args!("`{id}` is no child of this execution"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    /// `good` gives its input back at once, `slow` after ten seconds, and `bad` fails after one.
    fn parent() -> Execution {
        let echo = |input| Ok(Outputs::new().set("input", input));
        Execution::for_test().with_child("good", echo).with_slow_child("slow", second(10), echo).with_slow_child(
            "bad",
            second(1),
            |_| Err(FlowError::new("no flour")),
        )
    }

    #[test]
    fn a_child_ends_when_its_parent_waits() {
        let this = parent();
        let child = this.children().start("good", &7).unwrap();
        assert_eq!((child.status().unwrap(), child.outputs::<Value>().unwrap()), (Status::Running, json!({})));
        child.wait().unwrap();
        assert_eq!(child.status().unwrap(), Status::EndedSuccess);
        assert_eq!((child.outputs::<Value>().unwrap(), child.message().unwrap()), (json!({ "input": 7 }), None));
        assert_eq!(this.children().run::<Value>("good", "text").unwrap(), json!({ "input": "text" }));
    }

    #[test]
    fn a_sleep_lets_children_end_that_take_no_longer() {
        let this = parent();
        let children = ["good", "slow"].map(|flow| this.children().start(flow, &()).unwrap());
        this.sleep().for_duration(second(9)).unwrap();
        let statuses = || children.each_ref().map(|child| child.status().unwrap());
        assert_eq!(statuses(), [Status::EndedSuccess, Status::Running]);
        this.sleep().for_duration(second(1)).unwrap();
        assert_eq!(statuses(), [Status::EndedSuccess, Status::EndedSuccess]);
    }

    #[test]
    fn the_first_end_comes_first() {
        let this = parent();
        let start = this.now();
        let [slow, bad, good, again] = ["slow", "bad", "good", "good"].map(|flow| this.children().start(flow, &()));
        let mut running = vec![slow.unwrap(), bad.unwrap(), good.unwrap(), again.unwrap()];
        let mut order = Vec::new();
        while !running.is_empty() {
            let ended = this.children().wait(&running, ReturnWhen::FirstEnded, None).unwrap();
            order.push((ended.len(), ended[0].id().to_owned(), this.now().duration_since(start).unwrap()));
            running.retain(|child| !ended.contains(child));
        }
        let expected = [(2, 0), (3, 0), (1, 1), (0, 10)].map(|(index, time)| (1, id_of(index), second(time)));
        assert_eq!(order, expected);
    }

    #[test]
    fn all_ended_has_those_that_failed() {
        let this = parent();
        let children = ["bad", "slow"].map(|flow| this.children().start(flow, &()).unwrap());
        let ended = this.children().wait(&children, ReturnWhen::AllEnded, None).unwrap();
        assert_eq!(ended, children);
        assert_eq!(children[0].status().unwrap(), Status::EndedError);
        assert_eq!(children[0].message().unwrap().unwrap(), "no flour");
        assert_eq!(children[0].failure().unwrap().unwrap().code(), Some("flow.error"));
        assert_eq!(children[1].failure().unwrap(), None);
    }

    #[test]
    fn a_failure_ends_a_wait_for_success_at_once() {
        let this = parent();
        let children = ["slow", "bad"].map(|flow| this.children().start(flow, &()).unwrap());
        let refused = this.children().wait(&children, ReturnWhen::AllSucceeded, None).unwrap_err();
        assert_eq!(refused.code(), "children.failed");
        assert_eq!(refused.message(), format!("child {} of the flow `bad`: no flour", children[1].id()));
        assert_eq!(children[0].status().unwrap(), Status::Running);
        assert_eq!(this.children().run::<Value>("bad", &()).unwrap_err().code(), "children.failed");
    }

    #[test]
    fn a_wait_ends_after_its_time() {
        let this = parent();
        let start = this.now();
        let children = ["good", "slow"].map(|flow| this.children().start(flow, &()).unwrap());
        let wait = |seconds| this.children().wait(&children, ReturnWhen::AllEnded, Some(second(seconds)));
        assert_eq!(wait(3).unwrap_err().code(), "children.wait-timeout");
        assert_eq!((this.now(), children[0].status().unwrap()), (start + second(3), Status::EndedSuccess));
        assert_eq!(wait(7).unwrap().len(), 2);
        assert_eq!(wait(0).unwrap().len(), 2);
    }

    #[test]
    fn a_cancelled_child_does_nothing() {
        let this = Execution::for_test().with_child("never", |_| unreachable!());
        let child = this.children().start("never", &()).unwrap();
        child.cancel().unwrap();
        assert_eq!(child.status().unwrap(), Status::EndedCancelled);
        assert_eq!(child.wait().unwrap_err().code(), "children.failed");
        this.sleep().for_duration(second(1)).unwrap();

        let this = parent();
        let ended = this.children().start("good", &()).unwrap();
        ended.wait().unwrap();
        ended.cancel().unwrap();
        assert_eq!(ended.status().unwrap(), Status::EndedSuccess);
    }

    #[test]
    fn starts_are_remembered() {
        let this = Execution::for_test().with_child(FlowRef::Id("an-id".into()), |_| Ok(Outputs::new()));
        let child = this.children().new_child(FlowRef::Id("an-id".into()), &[1, 2]).unwrap();
        child.detached().priority(Priority::High).concurrency("customer-7", 1).start().unwrap();
        let expected = StartedChild {
            flow: FlowRef::Id("an-id".into()),
            input: json!([1, 2]),
            is_detached: true,
            priority: Some(Priority::High),
            concurrency: Some(("customer-7".into(), 1)),
        };
        assert_eq!(this.children_started(), [expected]);
    }

    #[test]
    fn a_clone_is_a_detached_child_of_the_same_flow() {
        let this = Execution::for_test().with_input(json!([1])).with_child("test", |_| Ok(Outputs::new()));
        this.clone_execution().unwrap().wait().unwrap();
        this.clone_execution_with(&"other").unwrap();
        let started = this.children_started();
        assert_eq!([&started[0].input, &started[1].input], [&json!([1]), &json!("other")]);
        assert!(started.iter().all(|child| child.is_detached && child.flow == FlowRef::from("test")));
        assert_eq!(parent().clone_execution().unwrap_err().code(), "flow.not-found");
    }

    #[test]
    fn what_cannot_be_started_or_waited_for_is_refused() {
        let this = parent();
        let children = this.children();
        assert_eq!(children.start("unknown", &()).unwrap_err().code(), "flow.not-found");
        assert_eq!(children.start(FlowRef::Id("good".into()), &()).unwrap_err().code(), "flow.not-found");
        let long = "k".repeat(LONGEST_KEY + 1);
        for (key, limit) in [("", 1), (long.as_str(), 1), ("key", 0)] {
            let refused = children.new_child("good", &()).unwrap().concurrency(key, limit).start();
            assert_eq!(refused.unwrap_err().code(), "children.invalid-limit");
        }
        let odd = std::collections::BTreeMap::from([(vec![1], 2)]);
        assert_eq!(children.start("good", &odd).unwrap_err().code(), "json.invalid");
        let refused = children.wait(&[], ReturnWhen::AllEnded, None);
        assert_eq!(refused.unwrap_err().code(), "children.nothing-to-wait-for");
        let other = parent();
        let stranger = other.children().start("good", &()).unwrap();
        let refused = children.wait(&[stranger], ReturnWhen::AllEnded, None);
        assert_eq!(refused.unwrap_err().code(), "children.not-found");
    }
}
