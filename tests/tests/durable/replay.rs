//! A flow that is run again is told what it was told before, or is stopped.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use flowhost_tests::{Ended, Host, Setup, Webhook, after_every_commit, component};
use rusqlite::params;
use serde_json::{Value, json};

use flowhost_tests::scene::{
    DAY, act, children_of, database, items, key, let_time_come, said, setting, settings, text, until_unloaded, webhook,
};

/// What the store of a host that was cut off has of the settings of `replayed`: those of each execution, by their steps.
fn kept_steps(host: &Host) -> BTreeMap<String, BTreeSet<String>> {
    let database = database(host);
    let mut statement = database.prepare("SELECT name FROM record WHERE record_type = 'SETTING'").unwrap();
    let names = statement.query_map([], |row| row.get::<_, String>(0)).unwrap();
    let mut kept: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for name in names {
        let name = name.unwrap();
        if let Some((id, step)) = name.strip_prefix("replayed.").and_then(|name| name.split_once('.')) {
            kept.entry(id.to_owned()).or_default().insert(step.to_owned());
        }
    }
    kept
}

/// Checks that an execution of `replayed` did everything once.
fn did_all_once(host: &Host, id: &str, ended: &Ended) {
    assert_eq!(ended.status(), "ENDED_SUCCESS", "{}", ended.record);
    let steps: Vec<&str> = items(&ended.outputs()["steps"]).iter().map(|step| step.as_str().unwrap()).collect();
    let once: BTreeMap<String, Value> = steps.iter().map(|step| ((*step).to_owned(), json!(1))).collect();
    assert_eq!(settings(host, &format!("replayed.{id}.")), once);
    let logged: Vec<String> = steps.iter().map(|step| format!("step {step}")).collect();
    assert_eq!(said(host, id), logged);
    let children = children_of(host, id);
    assert_eq!(children.len(), 1);
    let child = &ended.outputs()["observed"]["child"];
    assert_eq!((&child["id"], &child["outputs"]), (&children[0]["id"], &children[0]["output_value"]));
}

#[test]
fn a_flow_that_is_cut_off_after_any_of_its_commits_ends_as_if_it_were_not() {
    let host = Setup::new().set("unload_ms", 1).start();
    host.deploy("counter");
    let replayed = webhook(&host, "replayed", "replayed");
    let payload = json!({ "child": "counter", "child_input": { "name": "in-child", "times": 3 }, "nap_ms": 5 });
    let kept = RefCell::new(BTreeMap::new());
    let call = |host: &Host, _| {
        let answer = replayed.call(host, &payload).try_send();
        if answer.is_none() {
            host.wait();
            kept.replace(kept_steps(host));
        }
        answer
    };
    // Its settings, its child with three of its own, its waits.
    let host = after_every_commit(host, &replayed, 13, call, |host, commits, ended| {
        let id = text(&ended.record, "id");
        did_all_once(host, id, ended);
        let steps = kept.borrow().get(id).cloned().unwrap_or_default();
        let all = items(&ended.outputs()["steps"]);
        let first: BTreeSet<String> =
            all.iter().take(steps.len()).map(|step| step.as_str().unwrap().to_owned()).collect();
        assert_eq!(steps, first, "after {commits} commits");
    });
    let all = host.executions_of("replayed");
    let succeeded = all.iter().filter(|execution| execution["status"] == "ENDED_SUCCESS").count();
    assert_eq!(setting(&host, "replayed.turn"), Some(json!(succeeded)));
    assert_eq!(setting(&host, "in-child"), Some(json!(3 * succeeded)));
}

/// Puts a component in the place of the one that a flow was deployed with, in the data folder of a host that has ended.
fn swap(host: &Host, flow: &str, component: &[u8]) {
    let database = database(host);
    let blob: i64 = database
        .query_row(
            "SELECT blob FROM flow_version JOIN record ON record.id = flow_id WHERE record_type = 'FLOW' AND name = ?",
            [flow],
            |row| row.get(0),
        )
        .unwrap();
    database.execute("DELETE FROM blob_chunk WHERE blob = ?", [blob]).unwrap();
    database.execute("INSERT INTO blob_chunk (blob, chunk, bytes) VALUES (?, 0, ?)", params![blob, component]).unwrap();
    database.execute("UPDATE blob SET size = ? WHERE key = ?", params![component.len() as i64, blob]).unwrap();
    fs::remove_dir_all(host.data().join("artifacts")).unwrap();
}

#[test]
fn a_flow_that_does_otherwise_is_stopped_and_the_first_difference_is_shown() {
    let host = Setup::new().set("unload_ms", 1).start();
    let unstable = webhook(&host, "unstable", "unstable-a");
    let differences = [
        (
            "order",
            1,
            r#"settings.increment ["unstable.first",1]"#,
            r#"called `settings.increment ["unstable.second",1]`"#,
        ),
        (
            "argument",
            2,
            r#"settings.increment ["unstable.second",1]"#,
            r#"called `settings.increment ["unstable.second",2]`"#,
        ),
        ("call", 2, r#"settings.increment ["unstable.second",1]"#, r#"called `settings.delete "unstable.second"`"#),
        ("more", 3, "sleep.for-duration 86400000000", r#"called `settings.increment ["unstable.more",1]`"#),
        ("fewer", 2, r#"settings.increment ["unstable.second",1]"#, "called `sleep.for-duration 86400000000`"),
        ("end", 2, r#"settings.increment ["unstable.second",1]"#, "ended"),
        ("stop", 2, r#"settings.increment ["unstable.second",1]"#, "ended"),
    ];
    let ids =
        differences.map(|(differs, ..)| unstable.call_async(&host, &json!({ "for_ms": DAY, "differs": differs })));
    for id in &ids {
        until_unloaded(&host, id);
    }
    host.kill();
    swap(&host, "unstable-a", &component("unstable-b"));
    let_time_come(&host);
    let host = host.restart();
    for (id, (differs, number, before, now)) in ids.iter().zip(differences) {
        let ended = host.wait_until_ended(id);
        assert_eq!(ended.failure(), Some("execution.diverged"), "{differs}: {}", ended.record);
        let expected = format!("its call number {number} was `{before}`, and now it {now}");
        let message = text(&ended.record["failure"], "message");
        assert!(message.ends_with(&expected), "{differs}: {message}");
        assert_eq!(ended.record["status_message"], *message);
    }
    // None of them did anything more.
    let expected = [("first".to_owned(), json!(7)), ("second".to_owned(), json!(7))];
    assert_eq!(settings(&host, "unstable."), BTreeMap::from(expected));
}

/// Executions that sleep in the store, of a host that has ended.
fn asleep(host: &Host, webhook: &Webhook, count: usize) -> Vec<String> {
    let ids: Vec<String> = (0..count).map(|_| webhook.call_async(host, &json!({ "for_ms": DAY }))).collect();
    for id in &ids {
        until_unloaded(host, id);
    }
    host.kill();
    ids
}

#[test]
fn a_damaged_journal_ends_its_execution_and_nobody_else_notices() {
    let host = Setup::new().set("unload_ms", 1).start();
    let unstable = webhook(&host, "unstable", "unstable-a");
    let ids = asleep(&host, &unstable, 5);
    let database = database(&host);
    let damage = |id: &str, sql: &str| {
        let journal = "execution = (SELECT seq FROM execution WHERE id = ?)";
        assert_eq!(database.execute(&format!("{sql} WHERE {journal} AND entry = 1"), [key(id)]).unwrap(), 1);
    };
    damage(&ids[0], "DELETE FROM execution_journal");
    damage(&ids[1], "UPDATE execution_journal SET result = X'7B'");
    damage(&ids[2], "UPDATE execution_journal SET result = X'22'");
    damage(&ids[3], "UPDATE execution_journal SET digest = X'01'");
    database.execute("UPDATE execution SET wake_at = 1", []).unwrap();
    drop(database);
    let host = host.restart();
    for id in &ids[..4] {
        let ended = host.wait_until_ended(id);
        assert_eq!(ended.failure(), Some("execution.journal-damaged"), "{}", ended.record);
    }
    assert_eq!(host.wait_until_ended(&ids[4]).status(), "ENDED_SUCCESS");
    // It can be started anew.
    let again = act(&host, &ids[0], "rerun").ok();
    until_unloaded(&host, text(&again, "id"));
}

#[test]
fn a_journal_that_is_full_ends_its_execution() {
    let host = Setup::new().set("journal_entries", 3).start();
    let counter = webhook(&host, "counter", "counter");
    let problem =
        counter.call(&host, &json!({ "name": "full", "times": 10 })).send().problem(500, "flow.journal-limit");
    assert_eq!(problem["fault"], "flow");
    assert_eq!(setting(&host, "full"), Some(json!(3)));
    // Reads count as well; what fits is taken.
    let reader = webhook(&host, "hostcalls", "hostcalls");
    reader.call(&host, &json!({ "count": 3 })).send().ok();
    reader.call(&host, &json!({ "count": 4 })).send().problem(500, "flow.journal-limit");
    counter.call(&host, &json!({ "name": "full", "times": 3 })).send().ok();
}

#[test]
fn the_bytes_of_a_journal_are_limited_too() {
    let host = Setup::new().set("journal_bytes", 10_000).start();
    host.set("large", json!("x".repeat(3_000)).to_string()).ok();
    let reader = webhook(&host, "hostcalls", "hostcalls");
    reader.call(&host, &json!({ "name": "large", "count": 3 })).send().ok();
    reader.call(&host, &json!({ "name": "large", "count": 4 })).send().problem(500, "flow.journal-limit");
}

#[test]
fn an_execution_goes_on_with_the_version_that_it_began_with() {
    let host = Setup::new().set("unload_ms", 1).start();
    let unstable = webhook(&host, "unstable", "unstable-a");
    let id = asleep(&host, &unstable, 1).remove(0);
    let host = host.restart();
    host.deploy_as("unstable-a", component("canary")).ok();
    act(&host, &id, "pause").ok();
    // Woken by hand, it sleeps on.
    act(&host, &id, "resume").ok();
    until_unloaded(&host, &id);
    host.kill();
    let_time_come(&host);
    let host = host.restart();
    let ended = host.wait_until_ended(&id);
    assert_eq!((ended.status(), &ended.outputs()["variant"]), ("ENDED_SUCCESS", &json!("a")));
    assert_eq!(ended.record["flow"]["version"], 1);
}
