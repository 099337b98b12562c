//! Outputs: set while a flow runs, returned at its end, kept when it fails.

use flowhost::Code;
use serde_json::json;

use crate::fixture::Fixture;

#[tokio::test]
async fn returned_outputs_go_over_those_that_were_set() {
    let fixture = Fixture::new(&["outputs"]).await;
    let plan = json!({ "set": { "a": 1, "b": [2] }, "return": { "b": { "x": null }, "c": "3" } });
    assert_eq!(fixture.outputs("outputs", plan).await, json!({ "a": 1, "b": { "x": null }, "c": "3" }));
    assert_eq!(fixture.outputs("outputs", json!({})).await, json!({}));
}

#[tokio::test]
async fn outputs_that_were_set_are_kept_when_the_flow_fails() {
    let fixture = Fixture::new(&["outputs"]).await;
    let plan = json!({ "set": { "a": 1 }, "fail": "too late" });
    let execution = fixture.failed("outputs", plan, Code::FlowError).await;
    assert_eq!(execution.output_value.get(), r#"{"a":1}"#);
    let recorded = fixture.host.execution(execution.id).await.unwrap();
    assert_eq!(recorded.output_value.get(), r#"{"a":1}"#);
}
