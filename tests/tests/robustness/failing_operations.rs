//! Storage operations that fail and then work again: whatever was accepted ends as it would have ended.

use flowhost_tests::faults::{Faults, Plan};
use flowhost_tests::scene::webhook;
use flowhost_tests::{Answer, Host, Setup, Webhook, until};
use rustix::io::Errno;
use serde_json::{Value, json};

/// What is called while operations fail.
struct Scene {
    faults: Faults,
    host: Host,
    hello: Webhook,
    calls: Vec<(Webhook, Value)>,
}

/// What became of one round of calls.
#[derive(Default)]
struct Round {
    accepted: Vec<String>,
    refused: u64,
}

fn answer_of(webhook: &Webhook, host: &Host, payload: &Value, query: &str) -> Answer {
    host.post_json(&format!("{}{query}", webhook.path()), payload).send()
}

impl Scene {
    fn new() -> Self {
        let faults = Faults::new();
        let host = Setup::new().set("unload_ms", 1).faults(&faults).start();
        let made = |guest: &str| webhook(&host, guest, guest);
        let hello = webhook(&host, "direct", "hello");
        let lock = |op: &str| json!({ "op": op, "name": "a" });
        let send = json!({ "op": "send", "subject": "Really?" });
        let wait = json!({ "op": "wait", "message": 0, "timeout_ms": 86_400_000_u64 });
        let child = json!({ "flow": "hello", "input": {} });
        let calls = vec![
            (made("hello"), json!({})),
            (made("counter"), json!({ "name": "counted", "times": 2 })),
            (made("nap"), json!({ "for_ms": 20, "times": 2 })),
            (made("locks"), json!({ "ops": [lock("acquire"), lock("is-held"), lock("release")] })),
            (made("parent"), json!({ "children": [child, child], "when": "ALL_SUCCEEDED" })),
            (made("messages"), json!({ "ops": [send, wait, { "op": "response", "message": 0 }] })),
        ];
        Self { faults, host, hello, calls }
    }

    /// Calls everything, and waits until all that was accepted has ended well.
    fn round(&self) -> Round {
        let mut round = Round::default();
        let mut asked = Vec::new();
        for (webhook, payload) in &self.calls {
            let answer = answer_of(webhook, &self.host, payload, "?async");
            match answer.status {
                202 => {
                    let id = answer.json()["id"].as_str().unwrap().to_owned();
                    if webhook.name() == "messages" {
                        asked.push(id.clone());
                    }
                    round.accepted.push(id);
                }
                500 | 503 => {
                    assert_eq!(answer.header("flowhost-execution-id"), None, "{}", answer.text());
                    round.refused += 1;
                }
                status => panic!("{status}: {}", answer.text()),
            }
        }
        let direct = answer_of(&self.hello, &self.host, &json!({}), "");
        match (direct.status, direct.header("flowhost-execution-id")) {
            (200, Some(id)) => round.accepted.push(id.to_owned()),
            (500 | 503, None) => round.refused += 1,
            _ => panic!("{}: {:?} {}", direct.status, direct.headers, direct.text()),
        }
        for execution in &asked {
            self.respond(execution);
        }
        for id in &round.accepted {
            let ended = until("the execution has ended", || {
                let answer = self.host.read(&format!("execution/{id}"));
                let execution = (answer.status == 200).then(|| answer.json())?;
                execution["status"].as_str().unwrap().starts_with("ENDED_").then_some(execution)
            });
            assert_eq!(ended["status"], "ENDED_SUCCESS", "{ended}\n{}", self.host.log());
        }
        round
    }

    /// Answers the message of an execution, as often as it takes.
    fn respond(&self, execution: &str) {
        let filter = format!("%7B%22field%22:%22execution_id%22,%22value%22:%22{execution}%22%7D");
        until("the message is answered", || {
            let list = self.host.read(&format!("message?filter={filter}"));
            let message = (list.status == 200).then(|| list.json())?[0]["id"].as_str()?.to_owned();
            let target = format!("/api/latest/message/{message}/respond?plain=true");
            let status = self.host.post_json(&target, &json!(true)).as_operator().send().status;
            matches!(status, 200 | 409).then_some(())
        });
    }

    /// The sum of all that was counted.
    fn counted(&self) -> i64 {
        let setting = self.host.read("setting/counted?by=name");
        if setting.status == 200 { setting.json()["value"].as_i64().unwrap() } else { 0 }
    }

    /// Lets so many operations fail with an error, from the one of this number on, while everything is called. Gives how many
    /// calls were accepted and refused.
    fn fail(&self, error: Errno, first: u64, times: u64) -> (usize, u64) {
        let before = self.counted();
        self.faults.arm(&Plan::new(error).first(first).times(times));
        let (mut accepted, mut refused, mut counters) = (0, 0, 0);
        while accepted == 0 || self.faults.matched() < first {
            let round = self.round();
            counters += round.accepted.iter().filter(|id| self.is_counter(id)).count();
            (accepted, refused) = (accepted + round.accepted.len(), refused + round.refused);
        }
        self.faults.disarm();
        assert_eq!(self.counted() - before, 2 * i64::try_from(counters).unwrap(), "{}", self.host.log());
        (accepted, refused)
    }

    fn is_counter(&self, id: &str) -> bool {
        let execution = until("it can be read", || {
            let answer = self.host.read(&format!("execution/{id}"));
            (answer.status == 200).then(|| answer.json())
        });
        execution["name"] == "counter"
    }
}

#[test]
fn accepted_calls_end_well_though_operations_fail() {
    let scene = Scene::new();
    for (error, times) in [(Errno::IO, 1), (Errno::NOSPC, 1), (Errno::IO, 30), (Errno::NOSPC, 30)] {
        for first in [1, 23, 90, 250] {
            scene.fail(error, first, times);
        }
    }
}

/// For as long as it takes; the environment says which part: `FAULTS_FROM`, `FAULTS_TO` and `FAULTS_STEP`.
#[test]
#[ignore = "takes half an hour"]
fn each_of_the_first_500_operations_may_fail() {
    let number = |name: &str, usual: u64| std::env::var(name).map_or(usual, |value| value.parse().unwrap());
    let (from, to, step) = (number("FAULTS_FROM", 1), number("FAULTS_TO", 500), number("FAULTS_STEP", 1));
    let scene = Scene::new();
    for (error, times) in [(Errno::IO, 1), (Errno::NOSPC, 1), (Errno::IO, 30), (Errno::NOSPC, 30)] {
        let (mut plans, mut accepted, mut refused) = (0, 0, 0);
        for first in (from..=to).step_by(usize::try_from(step).unwrap()) {
            let (more, fewer) = scene.fail(error, first, times);
            (plans, accepted, refused) = (plans + 1, accepted + more, refused + fewer);
        }
        eprintln!("{error} {times} times: {plans} plans, {accepted} accepted and ended well, {refused} refused");
    }
}
