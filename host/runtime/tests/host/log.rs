//! What a flow writes becomes lines of its execution's log.

use flowhost::model::LogLevel::{Debug, Error, Info, Trace, Warn};
use flowhost::model::LogSource::{Flow, Stderr, Stdout};
use flowhost::model::RawValue;
use serde_json::{Value, json};

use crate::fixture::Fixture;

fn fields(fields: &RawValue) -> Value {
    serde_json::from_str(fields.get()).unwrap()
}

#[tokio::test]
async fn every_way_to_write_gives_lines_in_order() {
    let fixture = Fixture::new(&["logger"]).await;
    let execution = fixture.call("logger", json!(null)).await;
    let log = fixture.log(execution.id).await;
    let lines: Vec<_> = log
        .iter()
        .map(|line| (line.level, line.source, line.message.as_str(), line.fields.as_deref().map(fields)))
        .collect();
    assert_eq!(
        lines,
        [
            (Trace, Flow, "a trace line", None),
            (Debug, Flow, "a debug line", None),
            (Info, Flow, "an info line", None),
            (Warn, Flow, "a warn line", None),
            (Error, Flow, "an error line", None),
            (Info, Flow, "with fields", Some(json!({ "number": 1, "nested": { "list": [true, null] } }))),
            (Info, Flow, "with a list for fields", Some(json!({ "value": [1, 2] }))),
            (Info, Flow, "with broken fields", Some(json!({ "value": "{not json" }))),
            (Info, Flow, "two\nlines, a tab\t, a bell \u{7} and ünïcödé", None),
            (Info, Stdout, "to standard output", None),
            (Warn, Stderr, "to standard error", None),
            (Info, Stdout, "two", None),
            (Info, Stdout, "lines", None),
            (Info, Stdout, "bytes \u{fffd} that are no text", None),
            (Info, Stdout, "no line end", None),
        ]
    );
    assert!(log.is_sorted_by_key(|line| line.at));
}
