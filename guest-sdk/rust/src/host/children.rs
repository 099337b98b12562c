//! Children that the host runs.

use super::Backend;
use crate::bindings::flowhost::flow::children;
use crate::children::{FlowRef, NewChild, Priority, ReturnWhen, Status};
use crate::crossing::from_json;
use crate::{FlowError, HostError};

impl Backend {
    pub(crate) fn start_child(&self, child: NewChild<'_>) -> Result<String, HostError> {
        let flow = match child.flow {
            FlowRef::Name(name) => children::FlowRef::Name(name),
            FlowRef::Id(id) => children::FlowRef::Id(id),
        };
        let new = children::NewChild::new(&flow, &child.input);
        if child.is_detached {
            new.detach();
        }
        if let Some(priority) = child.priority {
            new.set_priority(match priority {
                Priority::Low => children::Priority::Low,
                Priority::Normal => children::Priority::Normal,
                Priority::High => children::Priority::High,
            });
        }
        if let Some((key, limit)) = child.concurrency {
            new.limit_concurrency(&key, limit);
        }
        Ok(new.start()?)
    }

    pub(crate) fn wait_for_children(
        &self,
        ids: &[String],
        when: ReturnWhen,
        timeout: Option<u64>,
    ) -> Result<Vec<String>, HostError> {
        let when = match when {
            ReturnWhen::AllEnded => children::ReturnWhen::AllEnded,
            ReturnWhen::AllSucceeded => children::ReturnWhen::AllSucceeded,
            ReturnWhen::FirstEnded => children::ReturnWhen::FirstEnded,
        };
        Ok(children::wait(ids, when, timeout)?)
    }

    pub(crate) fn child_status(&self, id: &str) -> Result<Status, HostError> {
        Ok(match children::get_status(id)? {
            children::Status::Scheduled => Status::Scheduled,
            children::Status::Running => Status::Running,
            children::Status::Waiting => Status::Waiting,
            children::Status::Paused => Status::Paused,
            children::Status::EndedSuccess => Status::EndedSuccess,
            children::Status::EndedError => Status::EndedError,
            children::Status::EndedCancelled => Status::EndedCancelled,
        })
    }

    pub(crate) fn child_message(&self, id: &str) -> Result<Option<String>, HostError> {
        Ok(children::get_message(id)?)
    }

    pub(crate) fn child_failure(&self, id: &str) -> Result<Option<FlowError>, HostError> {
        Ok(children::get_failure(id)?.map(|failure| {
            let details = failure.details.as_deref().map(|details| from_json("the details", details));
            let told = FlowError::told(failure.message, failure.code, details.and_then(Result::ok));
            if failure.retryable { told.retryable() } else { told }
        }))
    }

    pub(crate) fn child_outputs(&self, id: &str) -> Result<String, HostError> {
        Ok(children::get_outputs(id)?)
    }

    pub(crate) fn cancel_child(&self, id: &str) -> Result<(), HostError> {
        Ok(children::cancel(id)?)
    }
}
