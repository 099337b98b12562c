//! A slash command for Slack that runs a flow: `/run export {"month": "2026-11"}`.
//!
//! Slack wants its answer within three seconds, and a flow may take hours. So this one says at once what it begins, goes on, and
//! posts what came of it to the address that Slack gives for that. What it may run is a list in the setting
//! `slack-command.flows`. That it may post to Slack is for the host's `http_allow` and the flow's `options.http_allow` to say;
//! `flowhost deploy` tells which of them lacks it.
//!
//! Give Slack the webhook's address with its key: `https://flows.example/api/latest/webhook/slack/call?key=…`.
//!
//! ```sh
//! flowhost webhook create slack --flow slack-command --role Developer --enable
//! curl http://127.0.0.1:8080/api/latest/webhook/slack/call -H @requests/run.headers --data-binary @requests/run.form
//! ```

use flowhost_guest::{Execution, FlowError, Input, Outputs, flow, form, json};
use serde::Deserialize;
use serde_json::Value;

/// The names of the flows that may be run.
const FLOWS: &str = "slack-command.flows";

/// What Slack sends, as far as it matters here.
#[derive(Deserialize)]
struct Command {
    command: String,
    #[serde(default)]
    text: String,
    user_name: String,
    #[serde(default, deserialize_with = "form::optional")]
    response_url: Option<String>,
}

#[flow(
    title = "Run flows from Slack",
    description = "A slash command: answers at once, and posts what came of it.",
    hosts = ["POST https://hooks.slack.com"]
)]
fn slack_command(this: &Execution, input: Input<Command>) -> Result<Outputs, FlowError> {
    let Command { command, text, user_name, response_url } = input.json;
    let (name, arguments) = match text.trim().split_once(char::is_whitespace) {
        Some((name, arguments)) => (name, arguments.trim()),
        None => (text.trim(), ""),
    };
    let allowed: Vec<String> = this.settings().get(FLOWS)?.unwrap_or_default();
    if !allowed.iter().any(|allowed| allowed == name) {
        let choice = if allowed.is_empty() { "nothing yet".to_owned() } else { allowed.join(", ") };
        return tell(this, &format!("Usage: `{command} FLOW {{\"its\": \"input\"}}`. To run: {choice}."));
    }
    let arguments = match arguments {
        "" => Ok(Value::Null),
        arguments => serde_json::from_str(arguments),
    };
    let arguments = match arguments {
        Ok(arguments) => arguments,
        Err(error) => return tell(this, &format!("What follows `{name}` is no JSON: {error}.")),
    };
    let child = match this.children().start(name, &arguments) {
        Ok(child) => child,
        Err(refused) => return tell(this, &format!("`{name}` cannot be run: {}.", refused.message())),
    };
    this.response().json(&in_channel(&format!("@{user_name} runs `{name}`.")))?;
    this.response().send()?;

    // From here on nobody waits, and the flow may take its time.
    let said = match child.wait() {
        Ok(()) => format!("`{name}` has ended: ```{}```", child.outputs::<Value>()?),
        Err(failed) => format!("`{name}` has failed: {}.", failed.message()),
    };
    if let Some(url) = response_url {
        // A result that Slack does not take is still in the execution.
        let posted = this.http().post(url).json(&in_channel(&said)).send().and_then(|answer| answer.success());
        if let Err(refused) = posted {
            this.warn(format_args!("the result could not be posted: {refused}"));
        }
    }
    Ok(Outputs::new().set("flow", name).set("execution", child.id()).set("said", said))
}

/// A message that everybody in the channel sees.
fn in_channel(text: &str) -> Value {
    json!({ "response_type": "in_channel", "text": text })
}

/// Answers something that only its caller sees.
fn tell(this: &Execution, text: &str) -> Result<Outputs, FlowError> {
    this.response().json(&json!({ "response_type": "ephemeral", "text": text }))?;
    Ok(Outputs::new().set("said", text))
}

#[cfg(test)]
mod tests {
    use flowhost_guest::http::Response;

    use super::*;

    const HOOK: &str = "https://hooks.slack.com/commands/T1/2/3";

    fn slack() -> Execution {
        Execution::for_test()
            .with_setting(FLOWS, json!(["export", "broken"]))
            .with_child("export", |input| Ok(Outputs::new().set("rows", 3).set("of", input)))
            .with_child("broken", |_| Err(FlowError::new("no disk")))
            .with_response("POST", HOOK, Response::for_test(200))
    }

    fn run(this: &Execution, text: &str) -> (Value, Outputs) {
        let form = json!({ "command": "/run", "text": text, "user_name": "ada", "response_url": HOOK });
        let outputs = slack_command(this, Input::from_json(&form.to_string()).unwrap()).unwrap();
        (serde_json::from_str(this.answer().unwrap().text()).unwrap(), outputs)
    }

    #[test]
    fn the_answer_comes_first_and_the_result_later() {
        let this = slack();
        let (answer, outputs) = run(&this, " export  {\"month\": 11} ");
        assert_eq!(answer, json!({ "response_type": "in_channel", "text": "@ada runs `export`." }));
        assert!(this.answer().unwrap().is_sent);
        assert_eq!(this.children_started()[0].input, json!({ "month": 11 }));
        let posted: Value = serde_json::from_slice(&this.requests_sent()[0].body).unwrap();
        assert_eq!(posted["text"], "`export` has ended: ```{\"rows\":3,\"of\":{\"month\":11}}```");
        assert_eq!(outputs.get("said"), Some(&posted["text"]));
    }

    #[test]
    fn a_failure_is_a_result() {
        let this = slack();
        let (_, outputs) = run(&this, "broken");
        assert!(outputs.get("said").unwrap().as_str().unwrap().contains("no disk"));
        assert_eq!(this.requests_sent().len(), 1);
    }

    #[test]
    fn a_result_that_cannot_be_posted_is_kept() {
        let this = Execution::for_test()
            .with_setting(FLOWS, json!(["export"]))
            .with_child("export", |_| Ok(Outputs::new()))
            .with_response_refused("POST", HOOK, "http.not-allowed");
        let (_, outputs) = run(&this, "export");
        assert_eq!(outputs.get("said").unwrap(), "`export` has ended: ```{}```");
        assert!(this.logged()[0].message.contains("could not be posted"));
    }

    #[test]
    fn a_mistake_is_told_to_its_caller_alone() {
        for (text, told) in
            [("", "To run: export, broken."), ("drop-tables", "To run: export, broken."), ("export {", "is no JSON")]
        {
            let this = slack();
            let (answer, _) = run(&this, text);
            assert_eq!(answer["response_type"], "ephemeral");
            assert!(answer["text"].as_str().unwrap().contains(told), "{answer}");
            assert!(this.children_started().is_empty() && !this.answer().unwrap().is_sent);
        }
        let (answer, _) = run(&Execution::for_test(), "export");
        assert!(answer["text"].as_str().unwrap().ends_with("To run: nothing yet."));
        let unknown = Execution::for_test().with_setting(FLOWS, json!(["export"]));
        assert!(run(&unknown, "export").0["text"].as_str().unwrap().contains("cannot be run"));
    }
}
