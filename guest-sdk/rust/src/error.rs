//! How a flow fails, and how a call into the host does.

use std::error::Error;
use std::fmt;

use serde_json::Value;

/// Why a flow ends without success.
///
/// The `?` operator makes one of any error; its message then holds the error and all its sources. Where one of them is a
/// [`HostError`], the flow error has its code. For that reason this type is not itself a [`std::error::Error`].
#[derive(Clone, Debug, PartialEq)]
pub struct FlowError(Box<Failure>);

/// What a [`FlowError`] says; boxed, since it travels through every `?`.
#[derive(Clone, Debug, PartialEq)]
struct Failure {
    message: String,
    code: Option<String>,
    details: Option<Value>,
    retryable: bool,
}

impl FlowError {
    /// The code of an input that does not fit what the flow expects; a waiting caller is answered with status 422.
    pub const INVALID_INPUT: &str = "flow.invalid-input";

    /// A failure with one sentence for the person who reads the execution.
    pub fn new(message: impl fmt::Display) -> Self {
        Self(Box::new(Failure { message: message.to_string(), code: None, details: None, retryable: false }))
    }

    /// A failure that is the caller's to repair, with the code [`INVALID_INPUT`](Self::INVALID_INPUT).
    pub fn invalid_input(message: impl fmt::Display) -> Self {
        Self::new(message).with_code(Self::INVALID_INPUT)
    }

    /// A failure that somebody else had.
    #[cfg(target_family = "wasm")]
    pub(crate) fn told(message: String, code: Option<String>, details: Option<Value>) -> Self {
        Self(Box::new(Failure { message, code, details, retryable: false }))
    }

    /// Names the failure for programs. Codes that begin with `flowhost.` are the host's.
    #[must_use]
    pub fn with_code(mut self, code: impl Into<String>) -> Self {
        self.0.code = Some(code.into());
        self
    }

    /// Adds whatever else a program may want to know.
    #[must_use]
    pub fn with_details(mut self, details: impl Into<Value>) -> Self {
        self.0.details = Some(details.into());
        self
    }

    /// Says that the same input may succeed at another time.
    #[must_use]
    pub fn retryable(mut self) -> Self {
        self.0.retryable = true;
        self
    }

    /// The sentence for people.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The name for programs, if there is one.
    pub fn code(&self) -> Option<&str> {
        self.0.code.as_deref()
    }

    /// What was added for programs, if anything.
    pub fn details(&self) -> Option<&Value> {
        self.0.details.as_ref()
    }

    /// Whether the same input may succeed at another time.
    pub fn is_retryable(&self) -> bool {
        self.0.retryable
    }
}

impl fmt::Display for FlowError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0.message)
    }
}

impl<E: Error + 'static> From<E> for FlowError {
    fn from(error: E) -> Self {
        let error: &(dyn Error + 'static) = &error;
        if let Some(refused) = error.downcast_ref::<HostError>() {
            return Self::new(&refused.message).with_code(&refused.code);
        }
        let mut message = error.to_string();
        let mut code = None;
        let mut source = error.source();
        while let Some(cause) = source {
            if let Some(refused) = cause.downcast_ref::<HostError>() {
                code.get_or_insert_with(|| refused.code.clone());
            }
            let text = cause.to_string();
            // Many errors repeat their source in their own text.
            if !message.ends_with(&text) {
                message.push_str(": ");
                message.push_str(&text);
            }
            source = cause.source();
        }
        let failure = Self::new(message);
        match code {
            Some(code) => failure.with_code(code),
            None => failure,
        }
    }
}

/// Why the host refused a call that the flow made. The flow may handle it and go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostError {
    pub(crate) code: String,
    pub(crate) message: String,
}

impl HostError {
    pub(crate) fn new(code: &str, message: impl fmt::Display) -> Self {
        Self { code: code.into(), message: message.to_string() }
    }

    /// A stable name, listed in the host's documentation.
    pub fn code(&self) -> &str {
        &self.code
    }

    /// What was refused, and why.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for HostError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} ({})", self.message, self.code)
    }
}

impl Error for HostError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Outer(std::num::ParseIntError);

    impl fmt::Display for Outer {
        fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("the quantity cannot be read")
        }
    }

    impl Error for Outer {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(&self.0)
        }
    }

    #[derive(Debug)]
    struct NoBread(HostError);

    impl fmt::Display for NoBread {
        fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("no bread today")
        }
    }

    impl Error for NoBread {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(&self.0)
        }
    }

    fn read(text: &str) -> Result<u32, FlowError> {
        Ok(text.parse().map_err(Outer)?)
    }

    #[test]
    fn any_error_becomes_a_flow_error_with_its_sources() {
        let error = read("two").unwrap_err();
        assert_eq!(error.message(), "the quantity cannot be read: invalid digit found in string");
        assert_eq!(error.code(), None);
        assert!(!error.is_retryable());
    }

    #[test]
    fn a_source_that_the_message_repeats_is_said_once() {
        let error: FlowError = std::io::Error::other("disk gone").into();
        assert_eq!(error.message(), "disk gone");
    }

    #[test]
    fn a_refused_call_keeps_its_code() {
        let refused = HostError::new("children.failed", "child `a` failed: no flour");
        let error: FlowError = refused.clone().into();
        assert_eq!((error.message(), error.code()), ("child `a` failed: no flour", Some("children.failed")));
        let error: FlowError = NoBread(refused).into();
        assert_eq!(error.code(), Some("children.failed"));
        assert_eq!(error.message(), "no bread today: child `a` failed: no flour (children.failed)");
    }

    #[test]
    fn a_flow_error_carries_what_was_added() {
        let error =
            FlowError::new("full").with_code("signup.full").with_details(serde_json::json!({"seats": 0})).retryable();
        assert_eq!((error.code(), error.is_retryable()), (Some("signup.full"), true));
        assert_eq!(error.details().unwrap()["seats"], 0);
    }
}
