//! What a crash leaves behind, and what the next start makes of it.

use flowhost_tests::scene::{DAY, begin, message_of, patient, respond, results, until_unloaded, webhook};
use flowhost_tests::{Host, Setup, until};
use serde_json::{Value, json};

/// Sleeps longer than any test.
pub(crate) fn forever() -> Value {
    json!({ "ms": DAY })
}

/// Waits until a synchronous call of the webhook is seen to run, and gives the execution's id.
pub(crate) fn running(host: &Host, webhook: &str) -> String {
    until("the execution runs", || {
        let executions = host.executions_of(webhook);
        let running = executions.iter().find(|execution| execution["status"] == "WAITING")?;
        Some(running["id"].as_str().unwrap().to_owned())
    })
}

fn messages(host: &Host, id: &str) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    host.log_of(id).iter().map(|line| (text(&line["source"]), text(&line["message"]))).collect()
}

#[test]
fn what_was_accepted_runs_again_after_a_crash() {
    let host = patient().set("executions", 1).start();
    let spin = host.webhook("spin", "spin");
    let hello = host.webhook("hello", "hello");
    // Holds the only slot, so that the others wait in the queue.
    let first = spin.call_async(&host, &json!(null));
    host.wait_until(&first, "runs", |execution| execution["status"] == "RUNNING");
    let waiting: Vec<String> =
        (0..10).map(|number| hello.call_async(&host, &json!({ "name": number.to_string() }))).collect();
    host.kill();

    let host = Setup::new().set("executions", 1).data_of(&host).start();
    for (number, id) in waiting.iter().enumerate() {
        let ended = host.wait_until_ended(id);
        assert_eq!(ended.status(), "ENDED_SUCCESS");
        assert_eq!(ended.record["attempt"], 2);
        assert_eq!(ended.outputs()["greeting"], format!("Hello, {number}!"));
        let log = messages(&host, id);
        let expected = "The host stopped before attempt 1 had ended. It is run again.";
        assert_eq!(log[0], ("host".into(), expected.into()));
        assert_eq!(log[1], ("flow".into(), format!("greeting {number}")));
    }
    let ended = host.wait_until_ended(&first);
    assert_eq!((ended.failure(), &ended.record["attempt"]), (Some("flow.cpu-limit"), &json!(2)));
}

#[test]
fn a_second_crash_counts_another_attempt() {
    let host = patient().set("unload_ms", DAY).start();
    let id = host.webhook("sleeper", "sleeper").call_async(&host, &forever());
    host.wait_until(&id, "waits", |execution| execution["status"] == "WAITING");
    let host = host.crash();
    host.wait_until(&id, "waits again", |execution| execution["status"] == "WAITING" && execution["attempt"] == 2);
    let host = host.crash();
    host.wait_until(&id, "waits again", |execution| execution["status"] == "WAITING" && execution["attempt"] == 3);
    host.cancel(&id).ok();
    assert_eq!(host.wait_until_ended(&id).status(), "ENDED_CANCELLED");
    // What has ended stays as it was.
    let host = host.crash();
    assert_eq!(host.wait_until_ended(&id).record["attempt"], 3);
}

#[test]
fn a_synchronous_execution_that_a_crash_cut_off_is_interrupted() {
    let host = patient().set("unload_ms", DAY).start();
    let webhook = host.webhook("sleeper", "sleeper");
    let _caller = webhook.call(&host, &forever()).start();
    let id = running(&host, "sleeper");
    let host = host.crash();
    let ended = host.wait_until_ended(&id);
    assert_eq!((ended.status(), ended.failure()), ("ENDED_ERROR", Some("execution.interrupted")));
    assert_eq!(ended.record["failure"]["retryable"], true);
    let expected = "The host stopped before the execution had ended.";
    assert_eq!(messages(&host, &id), [("host".to_owned(), expected.to_owned())]);
    webhook.call(&host, &json!({ "ms": 1 })).send().ok();
}

#[test]
fn whatever_was_answered_is_kept() {
    let host = Host::start();
    let webhook = host.webhook("hello", "hello");
    let answered: Vec<Value> = (0..20).map(|_| webhook.call(&host, &json!({})).send().ok()["id"].clone()).collect();
    let host = host.crash();
    for id in answered {
        assert_eq!(host.wait_until_ended(id.as_str().unwrap()).status(), "ENDED_SUCCESS");
    }
    assert_eq!(host.executions_of("hello").len(), 20);
}

#[test]
fn answer_before_a_crash_wins_over_a_limit_that_passes() {
    let host = patient().set("executions", 1).set("unload_ms", 1).start();
    let (messages, spin) = (webhook(&host, "messages", "messages"), host.webhook("spin", "spin"));
    let send = json!({ "op": "send", "subject": "Really?" });
    let limit = std::time::Duration::from_millis(2_000);
    let wait = json!({ "op": "wait", "message": 0, "timeout_ms": limit.as_millis() as u64 });
    let id = begin(&host, &messages, json!([send, wait]));
    until_unloaded(&host, &id);
    // Has the only slot, so that the answer is not told before the crash.
    let busy = spin.call_async(&host, &json!(null));
    host.wait_until(&busy, "runs", |execution| execution["status"] == "RUNNING");
    let began = std::time::Instant::now();
    respond(&host, &message_of(&host, &id), &json!({ "yes": true })).ok();
    host.kill();
    // The limit passes while the host is down.
    std::thread::sleep(limit.saturating_sub(began.elapsed()));
    let host = host.restart();
    let ended = host.wait_until_ended(&id);
    assert_eq!(results(ended.success())[1], json!({ "yes": true }));
}
