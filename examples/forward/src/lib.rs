//! Forwards an event to another service, in the name of whoever holds that service's token.
//!
//! The payload is an event: `id`, `kind` and any `data`. It is sent as JSON to the address in the setting `forward.url`, with the
//! token in the secret `forward-token`. The flow never has the token: it puts a placeholder into the request, and the host
//! puts the token in its place, if the secret names the host that the request goes to.
//!
//! So it is with whatever a service wants as it is: a token in a header, a user and a password as `Authorization: Basic`, a key in the
//! query or the body. A signature is computed from the secret (an HMAC of the body, as AWS or GitHub want it), and this flow would
//! compute it from the placeholder: a flow that signs reads the value with `this.secrets().get(…)`, from a secret whose
//! `is_readable` is set, and holds it.
//!
//! ```sh
//! flowhost webhook create forward --flow forward --role Developer --enable
//! flowhost secret set forward-token --host events.example.com
//! flowhost setting set forward.url - <<< '"https://events.example.com/v1/events"'
//! curl 'http://127.0.0.1:8080/api/latest/webhook/forward/call?async' -d @requests/order.json
//! ```
//!
//! The event's id is the idempotency key: the request may be sent again, by the host after a crash or by whoever sends the event
//! anew, and the service takes it once. How it went stands in the output `delivery`, also where the flow fails: with `forward.rejected`
//! where the service does not want the event, and with `forward.unavailable`, which is worth another try, where it cannot be
//! reached, is busy or fails.

use std::time::Duration;

use flowhost_guest::http::Response;
use flowhost_guest::{Execution, FlowError, HostError, Input, Outputs, flow, json};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The setting with the address.
const URL: &str = "forward.url";

/// The secret with the token.
const TOKEN: &str = "forward-token";

/// How long the service may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The payload.
#[derive(Deserialize, Serialize)]
struct Event {
    id: String,
    kind: String,
    #[serde(default)]
    data: Value,
}

#[flow(
    title = "Forward events",
    description = "Sends an event to another service, with that service's token.",
    input_schema = "schemas/event.json",
    hosts = ["POST https://events.example.com"],
    secrets = ["forward-token"]
)]
fn forward(this: &Execution, event: Input<Event>) -> Result<Outputs, FlowError> {
    let event = event.json;
    let url: String = this.settings().get(URL)?.ok_or_else(|| {
        FlowError::new(format!("the setting `{URL}` names no address")).with_code("forward.unconfigured")
    })?;
    let token = this.secrets().placeholder(TOKEN)?;
    this.progress(format_args!("forwards {} {}", event.kind, event.id));
    let sent = this
        .http()
        .post(&url)
        .header("Authorization", format!("Bearer {token}"))
        .header("Idempotency-Key", &event.id)
        .json(&event)
        .timeout(TIMEOUT)
        .send();
    match sent {
        Ok(response) => delivered(this, &event, &response),
        Err(refused) => not_sent(this, refused),
    }
}

/// What an answer of the service means.
fn delivered(this: &Execution, event: &Event, response: &Response) -> Result<Outputs, FlowError> {
    let status = response.status();
    let told = |delivery: &str| this.set_output("delivery", &json!({ "status": delivery, "http_status": status }));
    match status {
        200..300 => {
            this.info(format_args!("{} {} was taken", event.kind, event.id));
            told("delivered")?;
            Ok(Outputs::new())
        }
        408 | 429 | 500..600 => {
            told("unavailable")?;
            let failed = FlowError::new(format!("the service answered {status}")).with_code("forward.unavailable");
            Err(failed.retryable())
        }
        _ => {
            told("rejected")?;
            let beginning: String = response.text().chars().take(500).collect();
            let rejected = FlowError::new(format!("the service rejected the event with {status}"));
            Err(rejected.with_code("forward.rejected").with_details(json!({ "answer": beginning })))
        }
    }
}

/// What it means that there is no answer. What is not configured as it should be keeps its code, which says what to do.
fn not_sent(this: &Execution, refused: HostError) -> Result<Outputs, FlowError> {
    this.set_output("delivery", &json!({ "status": "unavailable", "code": refused.code() }))?;
    match refused.code() {
        "http.name-not-found" | "http.connection-failed" | "http.tls-failed" | "http.timeout" => {
            let failed = FlowError::new(format!("the service cannot be reached: {}", refused.message()));
            Err(failed.with_code("forward.unavailable").retryable())
        }
        _ => Err(refused.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVICE: &str = "https://events.example.com/v1/events";

    fn configured() -> Execution {
        Execution::for_test().with_setting(URL, SERVICE).with_unreadable_secret(TOKEN, "the token of the service")
    }

    fn order(this: &Execution) -> Result<Outputs, FlowError> {
        forward(this, Input::from_json(include_str!("../requests/order.json"))?)
    }

    #[test]
    fn an_event_is_sent_with_a_placeholder_and_its_id() {
        let this = configured().with_response("POST", SERVICE, Response::for_test(202));
        order(&this).unwrap();
        let sent = this.requests_sent().remove(0);
        let header = |name: &str| {
            let value = sent.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).unwrap().1.clone();
            String::from_utf8(value).unwrap()
        };
        assert_eq!(header("Authorization"), format!("Bearer {}", this.secrets().placeholder(TOKEN).unwrap()));
        assert_eq!(header("Idempotency-Key"), "evt-2041");
        let event: Value = serde_json::from_str(include_str!("../requests/order.json")).unwrap();
        assert_eq!(serde_json::from_slice::<Value>(&sent.body).unwrap(), event);
        assert_eq!(this.outputs_set()["delivery"], json!({ "status": "delivered", "http_status": 202 }));
    }

    #[test]
    fn an_answer_says_whether_another_try_is_worth_it() {
        for (status, delivery, code, retryable) in [
            (400, "rejected", "forward.rejected", false),
            (301, "rejected", "forward.rejected", false),
            (429, "unavailable", "forward.unavailable", true),
            (503, "unavailable", "forward.unavailable", true),
        ] {
            let this = configured().with_response("POST", SERVICE, Response::for_test(status).with_body("no"));
            let failed = order(&this).unwrap_err();
            assert_eq!((failed.code(), failed.is_retryable()), (Some(code), retryable), "{status}");
            assert_eq!(this.outputs_set()["delivery"], json!({ "status": delivery, "http_status": status }));
        }
    }

    #[test]
    fn what_was_not_sent_is_worth_another_try_unless_it_may_not_be_sent() {
        for (refused, code, retryable) in [
            ("http.timeout", "forward.unavailable", true),
            ("http.connection-failed", "forward.unavailable", true),
            ("http.not-allowed", "http.not-allowed", false),
            ("secrets.not-allowed", "secrets.not-allowed", false),
        ] {
            let this = configured().with_response_refused("POST", SERVICE, refused);
            let failed = order(&this).unwrap_err();
            assert_eq!((failed.code(), failed.is_retryable()), (Some(code), retryable), "{refused}");
            assert_eq!(this.outputs_set()["delivery"]["code"], refused);
        }
    }

    #[test]
    fn without_its_setting_and_its_secret_nothing_is_sent() {
        let this = Execution::for_test();
        assert_eq!(order(&this).unwrap_err().code(), Some("forward.unconfigured"));
        let this = this.with_setting(URL, SERVICE);
        assert_eq!(order(&this).unwrap_err().code(), Some("secrets.not-found"));
        assert!(this.requests_sent().is_empty());
    }
}
