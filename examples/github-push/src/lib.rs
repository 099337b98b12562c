//! Takes GitHub's webhook deliveries and sums up what was pushed.
//!
//! Set it up as a webhook of a repository or an organisation, with the content type `application/json` and the event
//! `push`. Every push gives one sentence for people, the commits by title and author, and the files that changed in all:
//! what a chat message or a deployment needs. GitHub's `ping`, sent when the webhook is made, is answered; any other event
//! is accepted and marked as ignored, since GitHub counts a refusal as a failed delivery.
//!
//! ```sh
//! flowhost webhook create github-push --flow github-push --enable
//! curl http://127.0.0.1:8080/api/latest/webhook/github-push/call -H @requests/push.headers --data-binary @requests/push.json
//! ```

mod push;

use flowhost_guest::{Execution, FlowError, Input, Level, Outputs, flow, json};
use push::Push;
use serde::Deserialize;
use serde_json::Value;

/// What the flow reads of a `ping`.
#[derive(Deserialize)]
struct Ping {
    zen: String,
    hook_id: u64,
}

#[flow]
fn github_push(this: &Execution, input: Input<Value>) -> Result<Outputs, FlowError> {
    let event = input
        .header("x-github-event")
        .ok_or_else(|| FlowError::invalid_input("no delivery of GitHub: the header `X-GitHub-Event` is missing"))?;
    let delivery = input.header("x-github-delivery");
    this.log(Level::Info, "delivery", &json!({ "event": event, "delivery": delivery }));

    let outputs = match event {
        "push" => Outputs::of(&input.payload::<Push>()?.summary())?,
        "ping" => {
            let Ping { zen, hook_id } = input.payload()?;
            Outputs::new().set("hook_id", hook_id).set("zen", zen)
        }
        _ => Outputs::new().set("ignored", true),
    };
    Ok(outputs.set("event", event))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deliver(event: &str, payload: &str) -> Result<Outputs, FlowError> {
        let input = Input::<Value>::from_json(payload)?.with_header("X-GitHub-Event", event);
        github_push(&Execution::for_test(), input)
    }

    #[test]
    fn a_push_is_summed_up() {
        let outputs = deliver("push", include_str!("../requests/push.json")).unwrap();
        let summary = "jpetersen pushed 3 commits to main of harbour-works/tide-tables";
        assert_eq!(outputs.get("summary").unwrap(), summary);
        assert_eq!(outputs.get("event").unwrap(), "push");
    }

    #[test]
    fn a_ping_is_answered() {
        let outputs = deliver("ping", include_str!("../requests/ping.json")).unwrap();
        assert_eq!(outputs.get("hook_id").unwrap(), 534_402_117);
    }

    #[test]
    fn another_event_is_ignored() {
        let outputs = deliver("star", "{}").unwrap();
        assert_eq!(outputs, Outputs::new().set("ignored", true).set("event", "star"));
    }

    #[test]
    fn what_is_no_delivery_is_refused() {
        let error = github_push(&Execution::for_test(), Input::new(json!({}))).unwrap_err();
        assert!(error.message().contains("X-GitHub-Event"));
        let error = deliver("push", r#"{"ref": "refs/heads/main"}"#).unwrap_err();
        assert_eq!(error.message(), "the input does not fit: `before`: missing");
        assert_eq!(error.code(), Some(FlowError::INVALID_INPUT));
    }
}
