//! A flow that fails ends with what it said, in words for whoever reads the record.

use flowhost::Code;
use flowhost::model::Status;
use serde_json::json;

use crate::fixture::Fixture;

#[tokio::test]
async fn a_panic_ends_with_its_message_and_place() {
    let fixture = Fixture::new(&["panics"]).await;
    let execution = fixture.failed("panics", json!("out of ideas"), Code::FlowPanic).await;
    let message = execution.status_message.unwrap();
    assert!(message.starts_with("the flow panicked at panics.rs:") || message.contains("/panics.rs:"), "{message}");
    assert!(message.ends_with(": out of ideas"), "{message}");
    assert!(execution.failure.unwrap().trace.is_some());
    // What came before it is kept.
    assert_eq!(execution.output_value.get(), r#"{"reached":true}"#);
    assert_eq!(fixture.log(execution.id).await[0].message, "about to panic");
}

#[tokio::test]
async fn a_trap_ends_with_its_reason_and_a_trace() {
    let fixture = Fixture::new(&["trap", "deep-recursion"]).await;
    let execution = fixture.failed("trap", json!(null), Code::FlowTrap).await;
    assert!(execution.status_message.unwrap().contains("unreachable"));
    assert!(execution.failure.unwrap().trace.is_some());
    fixture.failed("deep-recursion", json!(null), Code::FlowTrap).await;
}

#[tokio::test]
async fn a_flow_that_leaves_its_process_is_told_to_return() {
    let fixture = Fixture::new(&["exit"]).await;
    for code in [0, 1, 7] {
        let execution = fixture.failed("exit", json!(code), Code::FlowTrap).await;
        assert!(execution.status_message.unwrap().contains("returned nothing"));
    }
}

#[tokio::test]
async fn an_error_is_kept_as_the_flow_returned_it() {
    let fixture = Fixture::new(&["fail"]).await;
    let error = json!({ "message": "the mail server is away", "code": "mail.away", "details": { "tries": 3 }, "retryable": true });
    let execution = fixture.failed("fail", error, Code::FlowError).await;
    assert_eq!(execution.status, Status::EndedError);
    assert_eq!(execution.status_message.as_deref(), Some("the mail server is away"));
    let failure = execution.failure.unwrap();
    assert_eq!(failure.flow_code.as_deref(), Some("mail.away"));
    assert_eq!(failure.details.unwrap().get(), r#"{"tries":3}"#);
    assert!(failure.retryable);
}

#[tokio::test]
async fn input_that_does_not_fit_names_the_field() {
    let fixture = Fixture::new(&["sleeper"]).await;
    let execution = fixture.failed("sleeper", json!({ "ms": "long" }), Code::FlowInvalidInput).await;
    assert!(execution.status_message.unwrap().contains("`ms`"));
}

#[tokio::test]
async fn outputs_that_are_no_json_object_are_an_error_of_the_flow() {
    let fixture = Fixture::new(&["list-output", "invalid-json-output"]).await;
    let execution = fixture.failed("list-output", json!(null), Code::FlowError).await;
    let expected = "outputs must be a JSON object, or null for none; the flow returned an array";
    assert_eq!(execution.status_message.unwrap(), expected);
    let execution = fixture.failed("invalid-json-output", json!(null), Code::FlowError).await;
    let message = execution.status_message.unwrap();
    assert!(message.starts_with("outputs must be JSON"), "{message}");
}

#[tokio::test]
async fn calls_with_text_that_is_no_json_are_refused_or_kept_as_text() {
    let fixture = Fixture::new(&["invalid-json-calls"]).await;
    let execution = fixture.call("invalid-json-calls", json!(null)).await;
    assert_eq!(execution.output_value.get(), r#"{"code":"json.invalid"}"#);
    let execution = fixture.failed("invalid-json-calls", json!("fail"), Code::FlowError).await;
    assert_eq!(execution.failure.unwrap().details.unwrap().get(), r#""not json""#);
}
