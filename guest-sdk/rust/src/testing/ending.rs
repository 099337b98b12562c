//! Ends that do not return: a test sees them all the same.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use super::{Backend, short};
use crate::{Execution, FlowError, Outputs};

/// How a flow under test ended. Native only.
#[derive(Clone, Debug, PartialEq)]
pub enum Ending {
    /// It returned.
    Returned(Result<Outputs, FlowError>),
    /// By [`Execution::end_success`] with this message.
    Success(String),
    /// By [`Execution::end_error`].
    Error(FlowError),
    /// By [`Execution::end_cancelled`] with this message.
    Cancelled(String),
}

/// Tests: native only.
impl Execution {
    /// Runs a flow that may end itself, and gives how it ended. What it set and logged is seen as ever.
    ///
    /// # Panics
    ///
    /// When the flow does.
    pub fn ending(&self, flow: impl FnOnce() -> Result<Outputs, FlowError>) -> Ending {
        match catch_unwind(AssertUnwindSafe(flow)) {
            Ok(returned) => Ending::Returned(returned),
            Err(unwound) => match unwound.downcast::<Ending>() {
                Ok(ending) => *ending,
                Err(panic) => resume_unwind(panic),
            },
        }
    }
}

impl Backend {
    pub(crate) fn end_success(&self, message: String) -> ! {
        end(Ending::Success(short(message)))
    }

    pub(crate) fn end_error(&self, error: FlowError) -> ! {
        end(Ending::Error(error))
    }

    pub(crate) fn end_cancelled(&self, message: String) -> ! {
        end(Ending::Cancelled(short(message)))
    }
}

/// Leaves the flow as a panic does, without being one: nothing is printed.
fn end(ending: Ending) -> ! {
    resume_unwind(Box::new(ending))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flow_may_end_from_wherever_it_is() {
        let this = Execution::for_test();
        let ends: [(Ending, &dyn Fn()); 3] = [
            (Ending::Success("done".into()), &|| this.end_success("done")),
            (Ending::Error(FlowError::new("lost")), &|| this.end_error(FlowError::new("lost"))),
            (Ending::Cancelled(String::new()), &|| this.end_cancelled("")),
        ];
        for (expected, end) in ends {
            let ending = this.ending(|| {
                this.info("before");
                end();
                unreachable!()
            });
            assert_eq!(ending, expected);
        }
        assert_eq!(this.logged().len(), 3);
        assert_eq!(this.ending(|| Ok(Outputs::new())), Ending::Returned(Ok(Outputs::new())));
    }

    #[test]
    #[should_panic = "its own"]
    fn a_panic_stays_one() {
        Execution::for_test().ending(|| panic!("its own"));
    }
}
