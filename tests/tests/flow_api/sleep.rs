//! Sleeps, however long.

use flowhost_model::Timestamp;
use flowhost_tests::{Host, Setup, until};
use serde_json::{Value, json};

use flowhost_tests::scene::{
    DAY, act, database, execution, items, let_time_come, parent_of, resident_and_unloaded, said, text, unloading,
    until_status, until_unloaded, webhook,
};

/// The clock of a `nap` around its sleeps, in microseconds.
fn naps(outputs: &Value) -> Vec<(u64, u64)> {
    let number = |nap: &Value, member: &str| nap[member].as_u64().unwrap();
    items(&outputs["naps"]).iter().map(|nap| (number(nap, "before"), number(nap, "after"))).collect()
}

fn microseconds(record: &Value, member: &str) -> u64 {
    let time: Timestamp = serde_json::from_value(record[member].clone()).unwrap();
    u64::try_from(time.as_micros()).unwrap()
}

/// The calls in the journal of an execution, in the store of a host that has ended.
fn journal(host: &Host, id: &str) -> Vec<String> {
    let database = database(host);
    let sql =
        "SELECT call FROM execution_journal WHERE execution = (SELECT seq FROM execution WHERE id = ?) ORDER BY entry";
    let mut statement = database.prepare(sql).unwrap();
    let calls = statement.query_map([flowhost_tests::scene::key(id)], |row| row.get(0)).unwrap();
    calls.map(Result::unwrap).collect()
}

#[test]
fn a_sleep_lasts_as_long_as_it_says() {
    for host in resident_and_unloaded() {
        let nap = webhook(host, "sleep-for", "nap");
        for kind in ["for_ms", "wasi_ms"] {
            let ended = host.wait_until_ended(&nap.call_async(host, &json!({ kind: 20, "times": 3 })));
            assert_eq!(ended.status(), "ENDED_SUCCESS", "{}", ended.record);
            for (before, after) in naps(ended.outputs()) {
                assert!(after - before >= 20_000, "{kind}: {before} {after}");
            }
        }
    }
}

#[test]
fn the_clock_stands_still_but_at_what_the_flow_asks_of_the_host() {
    for host in resident_and_unloaded() {
        let nap = webhook(host, "sleep-clock", "nap");
        let ended = host.wait_until_ended(&nap.call_async(host, &json!({ "for_ms": 5, "times": 3 })));
        let naps = naps(ended.outputs());
        // It begins where the execution begins, and nothing moves it between the end of a sleep and the next.
        assert_eq!(naps[0].0, microseconds(&ended.record, "started_at"));
        assert_eq!([naps[0].1, naps[1].1], [naps[1].0, naps[2].0]);
        assert!(naps[2].1 <= microseconds(&ended.record, "ended_at"));
    }
}

#[test]
fn a_crash_does_not_lengthen_a_wait_that_has_lasted_a_second() {
    const HOUR: u64 = 3_600_000;
    let host = Setup::new().set("unload_ms", DAY).start();
    let nap = webhook(&host, "nap", "nap");
    // Its caller waits, so nothing else makes it durable.
    let _caller = nap.call(&host, &json!({ "for_ms": HOUR })).start();
    let id = until("it is kept", || {
        let executions = host.executions_of("nap");
        let kept = executions.iter().find(|execution| execution["is_durable"] == true)?;
        Some(text(kept, "id").to_owned())
    });
    let before_the_crash = u64::try_from(Timestamp::now().as_micros()).unwrap();
    host.kill();
    let host = Setup::new().set("unload_ms", 1).data_of(&host).start();
    let asleep = until_unloaded(&host, &id);
    assert_eq!(asleep["attempt"], 2);
    let wakes = microseconds(&asleep, "wake_at");
    assert!(wakes < before_the_crash + HOUR * 1000, "it wakes at {wakes}, and was asleep at {before_the_crash}");
    host.cancel(&id).ok();
}

#[test]
fn until_a_time_is_until_the_hosts_clock_shows_it() {
    for host in resident_and_unloaded() {
        let nap = webhook(host, "sleep-until", "nap");
        let until = u64::try_from(Timestamp::now().as_micros()).unwrap() + 300_000;
        let ended = host.wait_until_ended(&nap.call_async(host, &json!({ "until": until })));
        assert!(naps(ended.outputs())[0].1 >= until);
        assert!(microseconds(&ended.record, "ended_at") >= until);
    }
}

#[test]
fn a_time_that_has_passed_is_no_wait() {
    for host in resident_and_unloaded() {
        let nap = webhook(host, "sleep-past", "nap");
        for past in
            [json!({ "until": 0 }), json!({ "until": 1_000_000 }), json!({ "for_ms": 0 }), json!({ "wasi_ms": 0 })]
        {
            assert_eq!(nap.call(host, &past).send().ok()["status"], "ENDED_SUCCESS", "{past}");
        }
    }
}

#[test]
fn a_sleep_for_a_century_is_refused() {
    let host = Host::shared();
    let nap = webhook(host, "sleep-century", "nap");
    let years = |years: u64| years * 366 * DAY;
    let now = u64::try_from(Timestamp::now().as_micros()).unwrap();
    for century in [
        json!({ "for_ms": years(100) }),
        json!({ "for_ms": years(10) + 1 }),
        json!({ "until": now + years(100) * 1000 }),
        json!({ "until": u64::MAX }),
    ] {
        let problem = nap.call(host, &century).send().problem(500, "flow.error");
        let failure = &problem["execution"]["failure"];
        assert_eq!(failure["flow_code"], "sleep.too-long", "{century}");
        // It says what was asked for.
        let asked = century["for_ms"].as_u64().map(|ms| ms * 1000).or(century["until"].as_u64()).unwrap();
        assert!(failure["message"].as_str().unwrap().contains(&asked.to_string()), "{failure}");
    }
    let decade = nap.call_async(host, &json!({ "for_ms": years(10) }));
    until_status(host, &decade, "WAITING");
    host.cancel(&decade).ok();
}

#[test]
fn what_sleeps_waits_and_is_seen_to() {
    let host = Host::shared();
    let resident = webhook(host, "sleep-status", "wait-forever").call_async(host, &json!(null));
    assert_eq!(until_status(host, &resident, "WAITING")["wake_at"], Value::Null);
    let host = unloading();
    for payload in [json!({ "for_ms": DAY }), json!({ "wasi_ms": DAY })] {
        let id = webhook(host, &format!("sleep-status-{}", payload.as_object().unwrap().keys().next().unwrap()), "nap")
            .call_async(host, &payload);
        let asleep = until_unloaded(host, &id);
        let whole = microseconds(&asleep, "wake_at") - microseconds(&asleep, "started_at");
        assert!((DAY * 1000..(DAY + 3_600_000) * 1000).contains(&whole), "{whole}");
        assert_eq!(asleep["ended_at"], Value::Null);
        host.cancel(&id).ok();
        let ended = host.wait_until_ended(&id);
        assert_eq!((ended.status(), &ended.record["wake_at"]), ("ENDED_CANCELLED", &Value::Null));
    }
}

#[test]
fn waiting_counts_in_no_limit() {
    for unload_ms in [1, DAY] {
        let host = Setup::new().set("wall_ms", 800).set("cpu_ms", 800).set("unload_ms", unload_ms).start();
        let nap = webhook(&host, "nap", "nap");
        let ids = ["for_ms", "wasi_ms"].map(|kind| nap.call_async(&host, &json!({ kind: 500, "times": 3 })));
        for id in ids {
            let ended = host.wait_until_ended(&id);
            assert_eq!(ended.status(), "ENDED_SUCCESS", "{}", ended.record);
            let lived = microseconds(&ended.record, "ended_at") - microseconds(&ended.record, "started_at");
            let ran = ended.record["run_time_us"].as_u64().unwrap();
            assert!(lived >= 1_500_000 && ran < 800_000, "{lived} {ran}");
        }
    }
}

#[test]
fn what_leaves_memory_often_logs_each_line_once() {
    let host = unloading();
    let nap = webhook(host, "sleep-log", "nap");
    let expected: Vec<String> =
        (1..=5).flat_map(|number| [format!("nap {number} begins"), format!("nap {number} ends")]).collect();
    for kind in ["for_ms", "wasi_ms"] {
        let id = nap.call_async(host, &json!({ kind: 20, "times": 5 }));
        let ended = host.wait_until_ended(&id);
        assert_eq!((ended.status(), &ended.record["attempt"]), ("ENDED_SUCCESS", &json!(1)));
        assert_eq!(said(host, &id), expected, "{kind}");
    }
}

#[test]
fn progress_and_outputs_stay_visible_while_it_waits() {
    let host = unloading();
    host.deploy("outputs");
    let sleeper = webhook(host, "sleep-progress", "sleeper").call_async(host, &json!({ "ms": DAY }));
    assert_eq!(until_unloaded(host, &sleeper)["status_message"], "asleep");
    let child = json!({ "flow": "outputs", "input": {} });
    let sleeps = parent_of(json!([child]), json!({ "when": "ALL_ENDED", "then_sleep_ms": DAY }));
    let parent = webhook(host, "sleep-outputs", "parent").call_async(host, &sleeps);
    let asleep = until_unloaded(host, &parent);
    assert_eq!(asleep["output_value"]["ended"], asleep["output_value"]["ids"]);
    let lines = said(host, &parent);
    assert_eq!(lines, [format!("started {}", asleep["output_value"]["ids"][0].as_str().unwrap()), "waited".into()]);
    // In the list as well, and after it was in memory again.
    act(host, &parent, "pause").ok();
    act(host, &parent, "resume").ok();
    assert_eq!(until_unloaded(host, &parent)["output_value"], asleep["output_value"]);
    assert_eq!(said(host, &parent), lines);
}

/// Executions that sleep: by the host's interface, by WASI, and until a time.
fn sleepers(host: &Host) -> Vec<String> {
    let nap = webhook(host, "nap", "nap");
    let until = u64::try_from(Timestamp::now().as_micros()).unwrap() + DAY * 1000;
    [json!({ "for_ms": DAY }), json!({ "wasi_ms": DAY }), json!({ "until": until })]
        .iter()
        .map(|payload| nap.call_async(host, payload))
        .collect()
}

#[test]
fn what_sleeps_in_the_store_sleeps_on_after_a_restart_and_after_a_crash() {
    let host = Setup::new().set("unload_ms", 1).start();
    let ids = sleepers(&host);
    let before: Vec<Value> = ids.iter().map(|id| until_unloaded(&host, id)).collect();
    host.terminate();
    host.wait();
    let host = host.restart();
    let after = |host: &Host| ids.iter().map(|id| execution(host, id)).collect::<Vec<_>>();
    assert_eq!(after(&host), before);
    let host = host.crash();
    assert_eq!(after(&host), before);
    host.kill();
    let_time_come(&host);
    let host = host.restart();
    for id in &ids {
        let ended = host.wait_until_ended(id);
        assert_eq!((ended.status(), &ended.record["attempt"]), ("ENDED_SUCCESS", &json!(1)), "{}", ended.record);
        assert_eq!(said(&host, id), ["nap 1 begins", "nap 1 ends"]);
    }
}

#[test]
fn what_sleeps_in_memory_sleeps_on_after_a_restart() {
    let host = Setup::new().set("unload_ms", DAY).start();
    let ids = sleepers(&host);
    ids.iter().for_each(|id| drop(until_status(&host, id, "WAITING")));
    host.terminate();
    assert!(host.wait().success());
    let told: Vec<Vec<String>> = ids.iter().map(|id| journal(&host, id)).collect();
    assert!(told.iter().all(|journal| journal.len() == 1), "{told:?}");
    let host = host.restart();
    for id in &ids {
        assert_eq!(until_status(&host, id, "WAITING")["attempt"], 1);
        // It is the same sleep.
        act(&host, id, "pause").ok();
        assert_eq!(said(&host, id), ["nap 1 begins"]);
        act(&host, id, "resume").ok();
        until_status(&host, id, "WAITING");
    }
    host.terminate();
    host.wait();
    assert_eq!(ids.iter().map(|id| journal(&host, id)).collect::<Vec<_>>(), told);
}

#[test]
fn what_sleeps_in_memory_sleeps_after_a_crash() {
    let host = Setup::new().set("unload_ms", DAY).start();
    let ids = sleepers(&host);
    ids.iter().for_each(|id| drop(until_status(&host, id, "WAITING")));
    let host = host.crash();
    for id in &ids {
        assert_eq!(until_status(&host, id, "WAITING")["attempt"], 2);
        host.cancel(id).ok();
        assert_eq!(host.wait_until_ended(id).status(), "ENDED_CANCELLED");
    }
}

#[test]
fn what_became_due_while_no_host_ran_goes_on_at_the_next_start() {
    let host = Setup::new().set("unload_ms", 1).start();
    let nap = webhook(&host, "nap", "nap");
    let id = nap.call_async(&host, &json!({ "for_ms": 3_000 }));
    let wake_at = microseconds(&until_unloaded(&host, &id), "wake_at");
    host.kill();
    flowhost_tests::until("the time has come", || {
        (Timestamp::now().as_micros().cast_unsigned() > wake_at).then_some(())
    });
    let host = host.restart();
    let ended = host.wait_until_ended(&id);
    assert_eq!(ended.status(), "ENDED_SUCCESS");
    assert!(naps(ended.outputs())[0].1 >= wake_at);
}

#[test]
fn a_caller_gets_the_answer_of_an_execution_that_left_memory() {
    let host = unloading();
    let nap = webhook(host, "sleep-sync", "nap");
    let answer = nap.call(host, &json!({ "for_ms": 200, "times": 2 })).send().ok();
    assert_eq!((&answer["status"], naps(&answer["output_value"]).len()), (&json!("ENDED_SUCCESS"), 2));
    let failed = nap.call(host, &json!({ "for_ms": 100, "until": u64::MAX })).send().problem(500, "flow.error");
    assert_eq!(failed["execution"]["failure"]["flow_code"], "sleep.too-long");
}

#[test]
fn the_wait_for_a_turn_and_the_running_are_told_apart() {
    let host = Setup::new().set("unload_ms", DAY).start();
    let flow = host.deploy("sleeper")["flow"].clone();
    host.change(&format!("flow/{}", text(&flow, "id")), &json!({ "options": { "max_executions": 1 } })).ok();
    let sleeper = webhook(&host, "sleeper", "sleeper");
    let first = sleeper.call_async(&host, &json!({ "ms": DAY }));
    until_status(&host, &first, "WAITING");
    let second = sleeper.call_async(&host, &json!({ "ms": 300 }));
    let created = microseconds(&until_status(&host, &second, "SCHEDULED"), "created_at");
    let until = Timestamp::now().as_micros().cast_unsigned() + 200_000;
    flowhost_tests::until("it has waited", || (Timestamp::now().as_micros().cast_unsigned() > until).then_some(()));
    host.cancel(&first).ok();
    let ended = host.wait_until_ended(&second).record;
    let (queued, ran) = (ended["queue_wait_us"].as_u64().unwrap(), ended["run_time_us"].as_u64().unwrap());
    let (began, over) = (microseconds(&ended, "started_at"), microseconds(&ended, "ended_at"));
    assert!(queued >= 190_000 && began - created >= 200_000, "{ended}");
    // The clocks of the two are not the same.
    assert!(over - began >= 300_000 && ran <= over - began - 200_000, "{ended}");
}
