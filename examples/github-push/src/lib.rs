//! Takes GitHub's webhook deliveries and sums up what was pushed.
//!
//! Set it up as a webhook of a repository or an organisation with the event `push`, in either of GitHub's content types. Every push
//! gives one sentence for people, the commits by title and author, and the files that changed in all: what a chat message or a
//! deployment needs. GitHub's `ping`, sent when the webhook is made, is answered; any other event is accepted and marked as
//! ignored, since GitHub counts a refusal as a failed delivery.
//!
//! Give GitHub a secret, and keep it as the secret `github-push`, with `--readable`, and give the webhook the role `Developer`, which
//! may read it: the flow refuses deliveries without GitHub's signature then. Without that secret it takes those that are not
//! signed, and warns.
//!
//! ```sh
//! flowhost deploy target/guests/github-push.wasm --name github-push
//! flowhost webhook create github-push --flow github-push --enable
//! cd examples/github-push
//! curl http://127.0.0.1:8080/api/latest/webhook/github-push/call -H @requests/push.headers --data-binary @requests/push.json
//! ```

mod push;
mod signature;

use flowhost_guest::{Execution, FlowError, Input, Level, Outputs, flow, json};
use push::Push;
use serde::Deserialize;
use serde_json::Value;

/// The name of the secret that GitHub signs its deliveries with.
const SECRET: &str = "github-push";

/// What the flow reads of a `ping`.
#[derive(Deserialize)]
struct Ping {
    zen: String,
    hook_id: u64,
}

/// A delivery as GitHub sends it unless told otherwise: a form with the JSON in one field.
#[derive(Deserialize)]
struct Form {
    payload: String,
}

#[flow]
fn github_push(this: &Execution, input: Input<Value>) -> Result<Outputs, FlowError> {
    match this.secrets().get(SECRET) {
        Ok(secret) => signature::check(this, &secret)?,
        // What GitHub signs is meant to be checked.
        Err(error) if !signature::is_signed(this) && error.code().starts_with("secrets.") => {
            this.warn(format_args!("deliveries are not checked, since there is no secret `{SECRET}`"));
        }
        Err(error) if error.code() == "secrets.not-found" => {
            let advice = "make it with `is_readable`, and give the webhook a role that may read it";
            return Err(FlowError::new(format!("the delivery is signed, and there is no secret `{SECRET}`: {advice}")));
        }
        Err(error) => return Err(error.into()),
    }
    let event = input
        .header("x-github-event")
        .ok_or_else(|| FlowError::invalid_input("no delivery of GitHub: the header `X-GitHub-Event` is missing"))?
        .to_owned();
    let delivery = input.header("x-github-delivery");
    this.log(Level::Info, "delivery", &json!({ "event": event, "delivery": delivery }));

    let input = payload(input)?;
    let outputs = match event.as_str() {
        "push" => Outputs::of(&input.payload::<Push>()?.summary())?,
        "ping" => {
            let Ping { zen, hook_id } = input.payload()?;
            Outputs::new().set("hook_id", hook_id).set("zen", zen)
        }
        _ => Outputs::new().set("ignored", true),
    };
    Ok(outputs.set("event", event))
}

/// Returns the input with the delivery as its payload, also where it came as a form.
fn payload(input: Input<Value>) -> Result<Input<Value>, FlowError> {
    let is_form =
        input.header("content-type").is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"));
    if !is_form {
        return Ok(input);
    }
    let form: Form = input.payload()?;
    let json = serde_json::from_str(&form.payload)
        .map_err(|error| FlowError::invalid_input(format_args!("the form's field `payload` is no JSON: {error}")))?;
    Ok(Input { json, ..input })
}

#[cfg(test)]
mod tests {
    use flowhost_guest::Request;

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
    fn a_delivery_may_be_a_form() {
        let json = include_str!("../requests/push.json");
        let sent = Input::new(json!({ "payload": json })).with_header("X-GitHub-Event", "push");
        let sent = sent.with_header("Content-Type", "application/x-www-form-urlencoded");
        let outputs = github_push(&Execution::for_test(), sent).unwrap();
        assert_eq!(outputs, deliver("push", json).unwrap());
        let cut = Input::new(json!({ "payload": "{" })).with_header("X-GitHub-Event", "push");
        let cut = cut.with_header("Content-Type", "application/x-www-form-urlencoded");
        let error = github_push(&Execution::for_test(), cut).unwrap_err();
        assert!(error.message().starts_with("the form's field `payload` is no JSON: "), "{error}");
    }

    #[test]
    fn with_a_secret_only_what_is_signed_is_taken() {
        let deliver = |header: Option<&str>| {
            let request = Request::for_test("POST").with_body("Hello, World!");
            let request =
                header.into_iter().fold(request, |request, value| request.with_header("X-Hub-Signature-256", value));
            let this = Execution::for_test().with_request(request).with_secret(SECRET, "It's a Secret to Everybody");
            github_push(&this, Input::new(json!({})).with_header("X-GitHub-Event", "star"))
        };
        // The example of GitHub's documentation.
        let right = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
        assert_eq!(deliver(Some(right)).unwrap().get("ignored").unwrap(), true);
        for wrong in [None, Some("sha256=00"), Some("757107ea"), Some(&right.replace("7571", "8571"))] {
            assert_eq!(deliver(wrong).unwrap_err().code(), Some("github.signature"), "{wrong:?}");
        }
        let request = Request::for_test("POST").with_header("X-Hub-Signature-256", right);
        let this = Execution::for_test().with_request(request);
        let error = github_push(&this, Input::new(json!({})).with_header("X-GitHub-Event", "star")).unwrap_err();
        assert!(error.message().starts_with("the delivery is signed, and there is no secret"), "{error}");
        let child = Execution::for_test().with_secret(SECRET, "It's a Secret to Everybody");
        assert_eq!(github_push(&child, Input::new(json!({}))).unwrap_err().code(), Some("github.signature"));
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
