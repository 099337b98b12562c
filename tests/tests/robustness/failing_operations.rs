//! Storage operations that fail and then work again: whatever was accepted ends as it would have ended.

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use flowhost_tests::faults::{Faults, Operation, Plan};
use flowhost_tests::scene::{database, webhook};
use flowhost_tests::{Answer, Host, Setup, Webhook, until};
use rustix::io::Errno;
use serde_json::{Value, json};

/// The webhook that is called synchronously.
const DIRECT: &str = "direct";

/// How operations fail: with an error, so many in a row.
const WAYS: [(Errno, u64); 4] = [(Errno::IO, 1), (Errno::NOSPC, 1), (Errno::IO, 30), (Errno::NOSPC, 30)];

/// Operations that fail in a row, from the one of this number on.
#[derive(Clone, Copy, Debug)]
struct Failing {
    error: Errno,
    first: u64,
    times: u64,
}

impl Failing {
    fn plan(self) -> Plan {
        Plan::new(self.error).first(self.first).times(self.times)
    }
}

impl fmt::Display for Failing {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{} × {} from operation {}", name_of(self.error), self.times, self.first)
    }
}

fn name_of(error: Errno) -> &'static str {
    if error == Errno::NOSPC { "ENOSPC" } else { "EIO" }
}

/// How many calls were accepted and refused.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    accepted: usize,
    refused: u64,
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, more: Self) {
        self.accepted += more.accepted;
        self.refused += more.refused;
    }
}

/// What is called while operations fail.
struct Scene {
    faults: Faults,
    host: Host,
    calls: Vec<(Webhook, Value)>,
    /// What executions of each webhook end with when nothing fails.
    expected: BTreeMap<String, Value>,
    /// Every accepted execution and its outputs.
    ended: BTreeMap<String, Value>,
    /// Every value of the setting that was returned to `counter`.
    sums: BTreeSet<i64>,
}

impl Scene {
    fn new() -> Self {
        let faults = Faults::new();
        let host = Setup::new().set("unload_ms", 1).faults(&faults).start();
        let made = |guest: &str| webhook(&host, guest, guest);
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
            (webhook(&host, DIRECT, "hello"), json!({})),
        ];
        let (expected, ended, sums) = Default::default();
        let mut scene = Self { faults, host, calls, expected, ended, sums };
        let tally = scene.round();
        assert_eq!((tally.accepted, tally.refused), (scene.calls.len(), 0));
        scene
    }

    /// Calls everything, and returns the ids of what was accepted with the names of the webhooks.
    fn call(&self) -> (Vec<(String, String)>, Tally) {
        let (mut accepted, mut tally) = (Vec::new(), Tally::default());
        for (webhook, payload) in &self.calls {
            let is_direct = webhook.name() == DIRECT;
            let query = if is_direct { "" } else { "?async" };
            let answer = self.host.post_json(&format!("{}{query}", webhook.path()), payload).send();
            match (answer.status, answer.header("flowhost-execution-id")) {
                (200, Some(id)) if is_direct => accepted.push((webhook.name().to_owned(), id.to_owned())),
                (202, _) if !is_direct => {
                    let id = answer.json()["id"].as_str().unwrap().to_owned();
                    accepted.push((webhook.name().to_owned(), id));
                }
                (500 | 503, None) => tally.refused += 1,
                _ => panic!("{}: {} {:?} {}", webhook.name(), answer.status, answer.headers, answer.text()),
            }
        }
        tally.accepted = accepted.len();
        (accepted, tally)
    }

    /// Waits until everything that was accepted has ended, and looks at what it ended with.
    fn see_the_end(&mut self, accepted: Vec<(String, String)>) {
        for (webhook, id) in &accepted {
            if webhook == "messages" {
                self.respond(id);
            }
        }
        for (webhook, id) in accepted {
            let ended = until(&format!("execution {id} of `{webhook}` has ended"), || {
                let execution = read(self.host.read(&format!("execution/{id}")))?;
                execution["status"].as_str().unwrap().starts_with("ENDED_").then_some(execution)
            });
            assert_eq!(ended["status"], "ENDED_SUCCESS", "{ended}");
            let outputs = &ended["output_value"];
            if webhook == "counter" {
                for sum in outputs["sums"].as_array().unwrap() {
                    assert!(self.sums.insert(sum.as_i64().unwrap()), "{sum} was returned twice");
                }
            }
            let comparable = comparable(&webhook, outputs);
            let expected = self.expected.entry(webhook).or_insert_with(|| comparable.clone());
            assert_eq!(*expected, comparable, "{ended}");
            self.ended.insert(id, outputs.clone());
        }
    }

    fn round(&mut self) -> Tally {
        let (accepted, tally) = self.call();
        self.see_the_end(accepted);
        tally
    }

    /// Answers the message of an execution, as often as it takes.
    fn respond(&self, execution: &str) {
        let filter = format!("%7B%22field%22:%22execution_id%22,%22value%22:%22{execution}%22%7D");
        until(&format!("the message of {execution} is answered"), || {
            let list = read(self.host.read(&format!("message?filter={filter}")))?;
            let target = format!("/api/latest/message/{}/respond?plain=true", list[0]["id"].as_str()?);
            let status = self.host.post_json(&target, &json!(true)).as_operator().send().status;
            matches!(status, 200 | 409).then_some(())
        });
    }

    /// The sum of all that was counted.
    fn counted(&self) -> i64 {
        until("the setting can be read", || {
            let setting = self.host.read("setting/counted?by=name");
            match setting.status {
                404 => Some(0),
                200 => setting.json()["value"].as_i64(),
                _ => None,
            }
        })
    }

    /// Lets operations fail while everything is called.
    fn fail(&mut self, failing: Failing) -> Tally {
        self.fail_by(&failing.plan(), failing.first)
    }

    /// Lets operations fail by a plan that is about more than so many while everything is called.
    fn fail_by(&mut self, plan: &Plan, first: u64) -> Tally {
        self.faults.arm(plan);
        let mut tally = Tally::default();
        while tally.accepted == 0 || self.faults.matched() < first {
            tally += self.round();
        }
        self.faults.disarm();
        // What was refused has not counted.
        assert_eq!(self.counted(), i64::try_from(self.sums.len()).unwrap());
        tally
    }

    /// Ends the host in the midst of what it was just called for, and lets operations of the starts that follow fail until one
    /// of them succeeds.
    fn fail_at_start(&mut self, failing: Failing) -> Tally {
        let (accepted, tally) = self.call();
        self.host.kill();
        self.faults.arm(&failing.plan());
        self.host = self.host.started_again();
        self.see_the_end(accepted);
        while self.faults.matched() < failing.first {
            self.round();
        }
        self.faults.disarm();
        assert_eq!(self.counted(), i64::try_from(self.sums.len()).unwrap());
        tally
    }

    /// After another crash everything is as it was seen, and the database is whole.
    fn outlives_a_crash(&mut self) {
        self.host.kill();
        let found: String = database(&self.host).query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
        assert_eq!(found, "ok");
        self.host = self.host.started_again();
        for (id, outputs) in &self.ended {
            let execution = self.host.read(&format!("execution/{id}")).ok();
            assert_eq!((&execution["status"], &execution["output_value"]), (&json!("ENDED_SUCCESS"), outputs));
        }
        assert_eq!(self.counted(), i64::try_from(self.sums.len()).unwrap());
    }
}

/// The record in an answer; none where the storage failed.
fn read(answer: Answer) -> Option<Value> {
    (answer.status == 200).then(|| answer.json())
}

/// The part of the outputs that is the same in every execution.
fn comparable(webhook: &str, outputs: &Value) -> Value {
    let count = |member: &str| json!(outputs[member].as_array().map(Vec::len));
    match webhook {
        "counter" => count("sums"),
        "nap" => count("naps"),
        // The rest are ids of children.
        "parent" => json!([outputs["statuses"], outputs["child_outputs"]]),
        // The first is the message's id.
        "messages" => json!(outputs["results"].as_array().map(|results| &results[1..])),
        _ => outputs.clone(),
    }
}

#[test]
fn accepted_calls_end_well_though_operations_fail() {
    let mut scene = Scene::new();
    for (error, times) in WAYS {
        for first in [1, 23, 90, 250] {
            scene.fail(Failing { error, first, times });
        }
    }
    scene.outlives_a_crash();
}

/// SQLite reports a read that fails as a damaged file. The caches are empty after a start, so that there is something to read.
#[test]
fn accepted_calls_end_well_though_reads_fail() {
    let mut scene = Scene::new();
    for first in (1..=40).step_by(13) {
        scene.host.kill();
        scene.host = scene.host.started_again();
        scene.fail_by(&Plan::new(Errno::IO).operations(&[Operation::Read]).first(first), first);
    }
}

#[test]
fn accepted_calls_end_well_though_starts_fail() {
    let mut scene = Scene::new();
    for ((error, times), first) in WAYS.into_iter().zip([40, 1, 1, 40]) {
        scene.fail_at_start(Failing { error, first, times });
    }
    scene.outlives_a_crash();
}

/// Which part, by how many hosts at once, the environment says: `FAULTS_FROM`, `FAULTS_TO`, `FAULTS_STEP`, `FAULTS_LANES`.
#[test]
#[ignore = "takes minutes"]
fn each_of_the_first_500_operations_may_fail() {
    sweep(500, Scene::fail);
}

/// As [`each_of_the_first_500_operations_may_fail`], from the start of a host that finds what another has accepted.
#[test]
#[ignore = "takes minutes"]
fn each_of_the_first_250_operations_of_a_start_may_fail() {
    sweep(250, Scene::fail_at_start);
}

/// A plan with another end than it should have.
struct Wrong {
    failing: Failing,
    why: String,
    /// Where the data and the log are.
    kept: PathBuf,
}

/// What came of the plans of one way to fail.
#[derive(Default)]
struct Sum {
    plans: usize,
    tally: Tally,
    longest: Duration,
}

fn sweep(last: u64, run: fn(&mut Scene, Failing) -> Tally) {
    let number = |name: &str, usual: u64| std::env::var(name).map_or(usual, |value| value.parse().unwrap());
    let (from, to, step) = (number("FAULTS_FROM", 1), number("FAULTS_TO", last), number("FAULTS_STEP", 1));
    let numbers = || (from..=to).step_by(usize::try_from(step).unwrap());
    let all =
        WAYS.iter().flat_map(|(error, times)| numbers().map(|first| Failing { error: *error, first, times: *times }));
    let plans: Mutex<VecDeque<Failing>> = Mutex::new(all.collect());
    let (sums, wrongs) = (Mutex::new(BTreeMap::<(u64, &str), Sum>::new()), Mutex::new(Vec::new()));
    // One after the other: what compiles flows would keep the others waiting.
    let making = Mutex::new(());
    let made = || {
        let _turn = lock(&making);
        Scene::new()
    };
    let began = Instant::now();
    thread::scope(|threads| {
        for _ in 0..number("FAULTS_LANES", 4) {
            threads.spawn(|| {
                let mut scene = made();
                let mut last = None;
                loop {
                    let Some(failing) = lock(&plans).pop_front() else { break };
                    let started = Instant::now();
                    let outcome = catch_unwind(AssertUnwindSafe(|| run(&mut scene, failing)));
                    let mut sums = lock(&sums);
                    let sum = sums.entry((failing.times, name_of(failing.error))).or_default();
                    sum.plans += 1;
                    sum.longest = sum.longest.max(started.elapsed());
                    match outcome {
                        Ok(tally) => sum.tally += tally,
                        Err(panic) => {
                            drop(sums);
                            lock(&wrongs).push(Wrong { failing, why: text_of(&*panic), kept: scene.host.keep() });
                            scene = made();
                        }
                    }
                    last = Some(failing);
                }
                let crashed = catch_unwind(AssertUnwindSafe(|| scene.outlives_a_crash()));
                if let (Err(panic), Some(failing)) = (crashed, last) {
                    let why = format!("in the end: {}", text_of(&*panic));
                    lock(&wrongs).push(Wrong { failing, why, kept: scene.host.keep() });
                }
            });
        }
    });
    let (sums, wrongs) = (lock(&sums), lock(&wrongs));
    eprintln!("operations {from} to {to}, every {step}., in {} s", began.elapsed().as_secs());
    eprintln!(
        "{:<14} {:>6} {:>9} {:>8} {:>6} {:>12}",
        "failing", "plans", "accepted", "refused", "wrong", "longest plan"
    );
    for ((times, error), Sum { plans, tally, longest }) in &*sums {
        let is_of_it = |wrong: &&Wrong| (wrong.failing.times, name_of(wrong.failing.error)) == (*times, *error);
        let wrong = wrongs.iter().filter(is_of_it).count();
        let Tally { accepted, refused } = tally;
        let longest = longest.as_millis();
        eprintln!("{error:<7} × {times:<4} {plans:>6} {accepted:>9} {refused:>8} {wrong:>6} {longest:>9} ms");
    }
    for Wrong { failing, why, kept } in &*wrongs {
        eprintln!("wrong: {failing}: {why}\n    data and log: {}", kept.display());
    }
    assert!(wrongs.is_empty(), "{} plans went wrong", wrongs.len());
}

fn lock<T>(shared: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a panic says.
fn text_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}
