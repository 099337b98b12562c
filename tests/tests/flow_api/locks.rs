//! Locks on names.

use flowhost_tests::{Host, Setup, Webhook, after_every_commit};
use serde_json::{Value, json};

use flowhost_tests::scene::{
    DAY, act, begin, execution, items, patient, perform, resident_and_unloaded, results, said, setting, text,
    until_status, until_unloaded, webhook, webhook_with,
};

fn acquire(name: &str) -> Value {
    json!({ "op": "acquire", "name": name })
}

/// A wait that is seen to have left memory.
fn acquire_within(name: &str, timeout_ms: u64) -> Value {
    json!({ "op": "acquire", "name": name, "timeout_ms": timeout_ms })
}

fn op(op: &str, name: &str) -> Value {
    json!({ "op": op, "name": name })
}

fn sleep(ms: u64) -> Value {
    json!({ "op": "sleep", "ms": ms })
}

/// Begins to hold a lock, until it is cancelled.
fn hold(host: &Host, webhook: &Webhook, name: &str) -> String {
    let id = begin(host, webhook, json!([acquire(name), sleep(DAY)]));
    until_said(host, &id, &format!("ok Acquire {name}"));
    until_status(host, &id, "WAITING");
    id
}

/// Begins to wait for a lock that somebody holds, and does so where waits are spent on this host.
fn want(host: &Host, webhook: &Webhook, name: &str, is_unloaded: bool) -> String {
    let id = begin(host, webhook, json!([acquire_within(name, DAY), op("holder", name)]));
    if is_unloaded {
        until_unloaded(host, &id)
    } else {
        until_status(host, &id, "WAITING")
    };
    id
}

fn until_said(host: &Host, id: &str, message: &str) {
    flowhost_tests::until(message, || said(host, id).iter().any(|said| said == message).then_some(()));
}

fn locks(host: &Host) -> Vec<Value> {
    items(&host.read("lock?limit=1000").ok()).clone()
}

/// Who holds a lock, as operators see it.
fn holder(host: &Host, name: &str) -> Option<String> {
    let lock = locks(host).into_iter().find(|lock| lock["name"] == name)?;
    Some(text(&lock, "execution_id").to_owned())
}

/// That an execution has got the lock that it waited for, and ended.
fn assert_got(host: &Host, id: &str) {
    let ended = host.wait_until_ended(id);
    assert_eq!(ended.status(), "ENDED_SUCCESS", "{}", ended.record);
    assert_eq!(results(ended.success()), [Value::Null, json!(id)]);
}

#[test]
fn of_several_executions_one_at_a_time_holds_a_lock() {
    for host in resident_and_unloaded() {
        let webhook = webhook(host, "lock-one", "locks");
        let add = json!({ "op": "add", "name": "lock-one", "ms": 5 });
        let operations = json!([acquire("lock-one"), add, op("release", "lock-one")]);
        let ids: Vec<String> = (0..12).map(|_| begin(host, &webhook, operations.clone())).collect();
        for id in &ids {
            let ended = host.wait_until_ended(id);
            assert_eq!((ended.status(), &ended.record["attempt"]), ("ENDED_SUCCESS", &json!(1)), "{}", ended.record);
        }
        assert_eq!(setting(host, "lock-one"), Some(json!(12)));
        assert_eq!(holder(host, "lock-one"), None);
    }
}

#[test]
fn a_lock_is_taken_once_and_given_back_once() {
    let host = Host::shared();
    let webhook = webhook(host, "lock-life", "locks");
    let ops = ["is-held", "holder", "try-acquire", "acquire", "is-held", "release", "is-held", "release", "holder"];
    let results = perform(host, &webhook, ops.iter().map(|kind| op(kind, "lock-life")).collect());
    let expected = json!([false, null, true, null, true, null, false, ["locks.lost"], null]);
    assert_eq!(json!(results), expected);
    let other = hold(host, &webhook, "lock-life");
    let results = perform(host, &webhook, ops[..3].iter().map(|kind| op(kind, "lock-life")).collect());
    assert_eq!(json!(results), json!([false, other, false]));
    assert_eq!(perform(host, &webhook, json!([op("release", "lock-life")])), [json!(["locks.lost"])]);
    assert_eq!(holder(host, "lock-life"), Some(other.clone()));
    host.cancel(&other).ok();
}

#[test]
fn a_wait_for_a_lock_lasts_as_long_as_it_says_and_names_the_holder() {
    for host in resident_and_unloaded() {
        let webhook = webhook(host, "lock-timeout", "locks");
        let holding = hold(host, &webhook, "lock-timeout");
        for ms in [0, 1, 50] {
            let operations = json!([acquire_within("lock-timeout", ms), op("is-held", "lock-timeout")]);
            let id = begin(host, &webhook, operations);
            let ended = host.wait_until_ended(&id);
            assert_eq!(results(ended.success()), [json!(["locks.wait-timeout"]), json!(false)]);
            assert!(text(&ended.outputs()["results"][0], "message").contains(&holding));
        }
        host.cancel(&holding).ok();
        host.wait_until_ended(&holding);
        let results = perform(host, &webhook, json!([acquire_within("lock-timeout", 0)]));
        assert_eq!(results, [Value::Null]);
    }
}

#[test]
fn a_lock_is_released_when_its_execution_ends_in_whatever_way() {
    for (host, is_unloaded) in resident_and_unloaded().into_iter().zip([false, true]) {
        let webhook = webhook(host, "lock-end", "locks");
        let held = || json!([acquire("lock-end"), acquire("lock-end-too"), sleep(200)]);
        let success = held();
        let mut error = held();
        error.as_array_mut().unwrap().push(json!({ "op": "fail" }));
        for (operations, status) in [(success, "ENDED_SUCCESS"), (error, "ENDED_ERROR")] {
            let first = begin(host, &webhook, operations);
            until_said(host, &first, "ok Acquire lock-end-too");
            let next = begin(host, &webhook, json!([acquire("lock-end"), op("holder", "lock-end")]));
            assert_eq!(host.wait_until_ended(&first).status(), status);
            assert_got(host, &next);
        }
        let first = hold(host, &webhook, "lock-end");
        let next = want(host, &webhook, "lock-end", is_unloaded);
        host.cancel(&first).ok();
        assert_got(host, &next);
        assert_eq!((holder(host, "lock-end"), holder(host, "lock-end-too")), (None, None));
    }
    // So it is where the flow is stopped: by itself in the middle, by its own fault, or by a limit.
    let ways = [
        ("end-success", "ENDED_SUCCESS", None),
        ("end-cancelled", "ENDED_CANCELLED", None),
        ("panic", "ENDED_ERROR", Some("flow.panic")),
        ("trap", "ENDED_ERROR", Some("flow.trap")),
        ("grow", "ENDED_ERROR", Some("flow.memory-limit")),
        ("spin", "ENDED_ERROR", Some("flow.cpu-limit")),
    ];
    let late = [("spin", "ENDED_ERROR", Some("flow.time-limit"))];
    let small = Setup::new().set("unload_ms", 1).set("memory_bytes", 16 << 20);
    let quick = Setup::new().set("cpu_ms", DAY).set("wall_ms", 2_000);
    for (setup, ways) in [(small, &ways[..]), (quick, &late[..])] {
        let host = setup.start();
        let webhook = webhook(&host, "locks", "locks");
        for &(way, status, code) in ways {
            let first = begin(&host, &webhook, json!([acquire("lock-end"), sleep(20), { "op": way }]));
            until_said(&host, &first, "ok Acquire lock-end");
            let next = begin(&host, &webhook, json!([acquire("lock-end"), op("holder", "lock-end")]));
            let ended = host.wait_until_ended(&first);
            assert_eq!((ended.status(), ended.failure()), (status, code), "{way}: {}", ended.record);
            assert_got(&host, &next);
        }
        assert_eq!(holder(&host, "lock-end"), None);
    }
}

#[test]
fn who_does_not_wait_any_more_does_not_keep_the_others_waiting() {
    for (host, is_unloaded) in resident_and_unloaded().into_iter().zip([false, true]) {
        let webhook = webhook(host, "lock-gone", "locks");
        let first = hold(host, &webhook, "lock-gone");
        let [cancelled, paused, last] = [(); 3].map(|()| want(host, &webhook, "lock-gone", is_unloaded));
        host.cancel(&cancelled).ok();
        assert_eq!(host.wait_until_ended(&cancelled).status(), "ENDED_CANCELLED");
        assert_eq!(act(host, &paused, "pause").ok()["status"], "PAUSED");
        assert_eq!(holder(host, "lock-gone"), Some(first.clone()));
        host.cancel(&first).ok();
        assert_got(host, &last);
        // It waits as before when it goes on.
        let again = hold(host, &webhook, "lock-gone");
        act(host, &paused, "resume").ok();
        if is_unloaded {
            until_unloaded(host, &paused)
        } else {
            until_status(host, &paused, "WAITING")
        };
        host.cancel(&again).ok();
        assert_got(host, &paused);
    }
}

#[test]
fn who_waits_outside_of_memory_gets_the_lock_in_the_order_of_admission() {
    let host = Setup::new().set("unload_ms", 1).start();
    let webhook = webhook(&host, "locks", "locks");
    let first = hold(&host, &webhook, "order");
    let waiting: Vec<String> = (0..5).map(|_| want(&host, &webhook, "order", true)).collect();
    host.cancel(&first).ok();
    let mut since = Vec::new();
    for id in &waiting {
        assert_got(&host, id);
        since.push(text(&execution(&host, id), "ended_at").to_owned());
    }
    assert!(since.is_sorted(), "{since:?}");
}

#[test]
fn locks_and_waits_for_them_outlive_a_crash_and_a_restart() {
    for unload_ms in [1, DAY] {
        let host = Setup::new().set("unload_ms", unload_ms).start();
        let webhook = webhook(&host, "locks", "locks");
        let first = hold(&host, &webhook, "kept");
        let next = want(&host, &webhook, "kept", unload_ms == 1);
        let host = host.crash();
        until_status(&host, &next, "WAITING");
        assert_eq!(holder(&host, "kept"), Some(first.clone()));
        host.terminate();
        assert!(host.wait().success());
        let host = host.restart();
        until_status(&host, &next, "WAITING");
        assert_eq!(holder(&host, "kept"), Some(first.clone()));
        host.cancel(&first).ok();
        assert_got(&host, &next);
        assert_eq!(said(&host, &next), ["ok Acquire kept", "ok Holder kept"]);
    }
}

/// The process ends after each of the commits in turn, and the flow is told the same whenever that is.
#[test]
fn a_lock_is_taken_and_given_back_once_also_where_the_host_crashes_in_between() {
    let operations = json!({ "ops": [
        op("try-acquire", "a"), op("acquire", "b"), op("release", "a"), op("is-held", "a"), op("release", "a"),
        op("try-acquire", "a"), op("release", "b"), op("holder", "a"),
    ]});
    let host = Host::start();
    let webhook = webhook(&host, "locks", "locks");
    let call = |host: &Host, _| webhook.call(host, &operations).try_send();
    // Six changes.
    let host = after_every_commit(host, &webhook, 4, call, |_, commits, ended| {
        let results = results(ended.outputs());
        let expected = json!([true, null, null, false, ["locks.lost"], true, null]);
        assert_eq!(json!(results[..7]), expected, "after {commits} commits");
    });
    assert!(locks(&host).is_empty());
}

#[test]
fn a_hostile_flow_takes_no_more_locks_than_it_may() {
    let host = patient().set("journal_entries", 3_000).start();
    let webhook = webhook(&host, "locks", "locks");
    let ended = webhook.call(&host, &json!({ "flood": "take" })).send().ok();
    assert_eq!(ended["output_value"], json!({ "code": "locks.too-many", "taken": 1000 }));
    webhook.call(&host, &json!({ "flood": "swap" })).send().problem(500, "flow.journal-limit");
    assert!(locks(&host).is_empty());
}

#[test]
fn locks_have_names_and_take_a_permission() {
    let host = Host::shared();
    let able = webhook(host, "lock-able", "locks");
    let unable = webhook_with(host, "lock-unable", "locks", json!({ "roles": [{ "role_name": "User" }] }));
    for kind in ["acquire", "try-acquire", "release", "is-held", "holder"] {
        for name in ["", " a", "a ", &"n".repeat(129)] {
            assert_eq!(perform(host, &able, json!([op(kind, name)])), [json!(["record.invalid"])], "{kind} {name}");
        }
        assert_eq!(perform(host, &able, json!([op("acquire", &"ü".repeat(128))])), [Value::Null]);
        assert_eq!(perform(host, &unable, json!([op(kind, "a")])), [json!(["access.forbidden"])], "{kind}");
    }
}

#[test]
fn an_operator_sees_and_breaks_locks() {
    for (host, is_unloaded) in resident_and_unloaded().into_iter().zip([false, true]) {
        let webhook = webhook(host, "lock-break", "locks");
        let name = "lock/break ü?";
        let operations = json!([acquire(name), sleep(DAY), op("is-held", name), op("release", name)]);
        let first = begin(host, &webhook, operations);
        until_status(host, &first, "WAITING");
        let next = want(host, &webhook, name, is_unloaded);
        let lock = locks(host).into_iter().find(|lock| lock["name"] == name).unwrap();
        assert_eq!([&lock["execution_id"], &lock["flow_name"]], [&json!(first), &json!("locks")]);
        let listed = host.cli(&["locks", "ls"]).stdout;
        assert!(listed.contains(name) && listed.contains(&first), "{listed}");
        assert!(items(&host.cli(&["locks", "ls", "--json"]).json()).contains(&lock));

        host.delete("lock/never-taken").problem(404, "record.not-found");
        let stranger = token_of(host, &format!("lock-stranger-{is_unloaded}"), json!([]));
        let reader = json!([{ "record_type": "EXECUTION", "operation": "READ" }]);
        let reader = token_of(host, &format!("lock-reader-{is_unloaded}"), reader);
        for (token, status, code) in [(stranger, 404, "record.not-found"), (reader, 403, "access.forbidden")] {
            let request = host.request("DELETE", "/api/latest/lock/lock%2Fbreak%20%C3%BC%3F");
            request.header("Authorization", token).send().problem(status, code);
        }
        assert_eq!(holder(host, name), Some(first.clone()));
        assert_eq!(host.cli(&["locks", "break", name]).exit, Some(0));
        assert_got(host, &next);
        assert_eq!(execution(host, &first)["status"], "WAITING");
        host.cancel(&first).ok();
    }
}

/// The token of a new user with these permissions.
fn token_of(host: &Host, name: &str, permissions: Value) -> String {
    host.create("role", &json!({ "name": name, "permissions": permissions })).ok();
    let user = host.create("user", &json!({ "name": name, "roles": [{ "role_name": name }] })).ok();
    let token = host.create(&format!("user/{}/token", text(&user, "id")), &json!({ "name": "t" })).ok();
    text(&token, "token").to_owned()
}

#[test]
fn projects_do_not_share_locks() {
    let host = Setup::new().set("unload_ms", 1).start();
    let project = host.create("project", &json!({ "name": "Elsewhere" })).ok();
    let home = json!({ "project_name": "Elsewhere", "execution_location": "webhook_record" });
    let (here, there) = (webhook(&host, "here", "locks"), webhook_with(&host, "there", "locks", home));
    let first = hold(&host, &here, "stock");
    // It is not held up by the other, whether it asks or waits.
    assert_eq!(perform(&host, &there, json!([op("try-acquire", "stock"), op("holder", "stock")]))[0], json!(true));
    let second = hold(&host, &there, "stock");
    let next = want(&host, &there, "stock", true);
    host.cancel(&first).ok();
    host.wait_until_ended(&first);
    assert_eq!(execution(&host, &next)["status"], "WAITING");

    let first = hold(&host, &here, "stock");
    let seen = |list: &Value| -> Vec<(String, String)> {
        let lock = |lock: &Value| (text(lock, "project_name").to_owned(), text(lock, "execution_id").to_owned());
        items(list).iter().map(lock).collect()
    };
    let (home, elsewhere) = (("Default project".to_owned(), first.clone()), ("Elsewhere".to_owned(), second.clone()));
    assert_eq!(seen(&host.read("lock").ok()), [home.clone(), elsewhere.clone()]);
    let (home, elsewhere) = ([home], [elsewhere]);
    let page = |query: &str, token: &str| {
        host.get(&format!("/api/latest/lock?{query}")).header("Authorization", token).send().ok()
    };
    // A page that is full names the place of the next one.
    let one = page("limit=1", &host.token());
    assert_eq!(seen(&one["lock"]), home);
    let two = page(&format!("limit=1&after={}", text(&one, "next")), &host.token());
    assert_eq!(seen(&two["lock"]), elsewhere);
    // No user sees, nor pages through, the names of projects whose executions they may not read.
    let permission = json!([{ "project_id": project["id"], "record_type": "EXECUTION", "operation": "READ" }]);
    let member = token_of(&host, "member", permission);
    assert_eq!(seen(&page("limit=2", &member)["lock"]), elsewhere);
    assert_eq!(page("limit=1", &token_of(&host, "stranger", json!([]))), json!({ "lock": [] }));

    host.delete("lock/stock").problem(409, "record.conflict");
    assert_eq!(host.cli(&["locks", "break", "stock", "--project", "Elsewhere"]).exit, Some(0));
    assert_got(&host, &next);
    assert_eq!(seen(&host.read("lock").ok()), home);
    assert_eq!(host.cli(&["locks", "break", "stock"]).exit, Some(0));
    assert!(locks(&host).is_empty());
}

#[test]
fn a_flow_whose_lock_was_broken_is_told_so() {
    let host = Setup::new().set("unload_ms", DAY).start();
    let webhook = webhook(&host, "locks", "locks");
    let gate = hold(&host, &webhook, "gate");
    let operations = json!([acquire("broken"), acquire("gate"), op("is-held", "broken"), op("release", "broken")]);
    let first = begin(&host, &webhook, operations);
    until_said(&host, &first, "ok Acquire broken");
    assert_eq!(host.delete("lock/broken").status, 204);
    assert_eq!(perform(&host, &webhook, json!([op("try-acquire", "broken")])), [json!(true)]);
    host.cancel(&gate).ok();
    let ended = host.wait_until_ended(&first);
    assert_eq!(results(ended.success()), [Value::Null, Value::Null, json!(false), json!(["locks.lost"])]);
    let log = host.log_of(&first);
    assert!(log.iter().any(|line| line["message"] == "`admin` broke the lock `broken`."), "{log:?}");
}
