//! Executions that are paused and resumed.

use flowhost_model::Timestamp;
use flowhost_tests::{Host, Setup, until};
use serde_json::{Value, json};

use flowhost_tests::scene::{
    DAY, act, children_of, execution, parent_of, resident_and_unloaded, said, settings, text, unloading, until_status,
    until_unloaded, webhook, webhook_with,
};

/// Pauses an execution, and sees that it is.
fn pause(host: &Host, id: &str) {
    let paused = act(host, id, "pause").ok();
    assert_eq!(
        (&paused["status"], &paused["ended_at"], &paused["wake_at"]),
        (&json!("PAUSED"), &Value::Null, &Value::Null)
    );
    assert_eq!(execution(host, id), paused);
}

fn resume(host: &Host, id: &str) {
    assert_eq!(act(host, id, "resume").ok()["id"], *id);
}

/// Waits until the host's clock shows so many milliseconds after an execution's start.
fn until_after_start(execution: &Value, milliseconds: i64) {
    let began: Timestamp = serde_json::from_value(execution["started_at"].clone()).unwrap();
    until("the time has come", || {
        (Timestamp::now().as_micros() > began.as_micros() + milliseconds * 1000).then_some(())
    });
}

/// Hosts on which waits are spent in the store, and in memory.
fn unloading_and_resident(setup: &Setup) -> [Host; 2] {
    [1, DAY].map(|unload_ms| setup.clone().set("unload_ms", unload_ms).start())
}

/// Waits until a call of the webhook `unstable` sleeps. Its execution is in the store from its first change on, so that it is
/// seen at once.
fn until_asleep(host: &Host) -> String {
    until("the call sleeps", || {
        let executions = host.executions_of("unstable");
        let asleep = executions.iter().find(|execution| execution["status"] == "WAITING")?;
        Some(text(asleep, "id").to_owned())
    })
}

/// That the flow `unstable-a` has made each of its changes once.
fn assert_made_once(host: &Host) {
    let made: Vec<Value> = settings(host, "unstable.").into_values().collect();
    assert_eq!(made, [1, 1, 1]);
}

#[test]
fn a_computing_execution_is_paused_and_goes_on_from_its_journal() {
    let host = Setup::new().set("cpu_ms", DAY).set("wall_ms", DAY).set("unload_ms", DAY).start();
    host.deploy("wait-forever");
    let id = webhook(&host, "busy", "busy-parent").call_async(&host, &json!({ "flow": "wait-forever" }));
    let child = until("it has a child", || children_of(&host, &id).pop());
    until_status(&host, text(&child, "id"), "WAITING");
    for _ in 0..2 {
        until_status(&host, &id, "RUNNING");
        pause(&host, &id);
        resume(&host, &id);
    }
    host.wait_until(&id, "computes again", |execution| {
        execution["status"] == "RUNNING" && execution["output_value"]["child"] == child["id"]
    });
    // It is no attempt more, and the child is the one that it started.
    assert_eq!(execution(&host, &id)["attempt"], 1);
    assert_eq!(children_of(&host, &id).len(), 1);
    host.cancel(&id).ok();
    assert_eq!(host.wait_until_ended(text(&child, "id")).status(), "ENDED_CANCELLED");
}

#[test]
fn a_sleeping_execution_sleeps_no_longer_for_a_pause_and_does_nothing_meanwhile() {
    let begun = resident_and_unloaded().map(|host| {
        let nap = webhook(host, "pause-sleep", "nap");
        ["for_ms", "wasi_ms"].map(|kind| (host, nap.call_async(host, &json!({ kind: 3_000 }))))
    });
    let asleep = begun.as_flattened().iter().map(|(host, id)| {
        let asleep = until_status(host, id, "WAITING");
        pause(host, id);
        (*host, asleep)
    });
    for (host, asleep) in asleep.collect::<Vec<_>>() {
        let id = text(&asleep, "id");
        until_after_start(&asleep, 3_200);
        assert_eq!(execution(host, id)["status"], "PAUSED");
        assert_eq!(said(host, id), ["nap 1 begins"]);
        resume(host, id);
        let ended = host.wait_until_ended(id);
        assert_eq!((ended.status(), &ended.record["attempt"]), ("ENDED_SUCCESS", &json!(1)));
        assert_eq!(said(host, id), ["nap 1 begins", "nap 1 ends"]);
    }
}

#[test]
fn what_was_done_before_a_pause_is_not_done_again() {
    let begun = unloading_and_resident(&Setup::new()).map(|host| {
        let id = webhook(&host, "unstable", "unstable-a").call_async(&host, &json!({ "for_ms": 3_000 }));
        (host, id)
    });
    for (host, id) in &begun {
        until_status(host, id, "WAITING");
        for _ in 0..3 {
            pause(host, id);
            resume(host, id);
        }
    }
    for (host, id) in &begun {
        assert_eq!(host.wait_until_ended(id).status(), "ENDED_SUCCESS");
        assert_made_once(host);
    }
}

#[test]
fn a_queued_execution_is_paused_and_takes_its_turn_when_it_is_resumed() {
    let host = Setup::new().set("unload_ms", DAY).start();
    let flow = host.deploy("sleeper")["flow"].clone();
    host.change(&format!("flow/{}", text(&flow, "id")), &json!({ "options": { "max_executions": 1 } })).ok();
    let sleeper = webhook(&host, "sleeper", "sleeper");
    let first = sleeper.call_async(&host, &json!({ "ms": DAY }));
    until_status(&host, &first, "WAITING");
    let [second, third] = [0, 1].map(|_| sleeper.call_async(&host, &json!({ "ms": 0 })));
    pause(&host, &second);
    host.cancel(&first).ok();
    assert_eq!(host.wait_until_ended(&third).status(), "ENDED_SUCCESS");
    let paused = execution(&host, &second);
    assert_eq!((&paused["status"], &paused["started_at"]), (&json!("PAUSED"), &Value::Null));
    resume(&host, &second);
    assert_eq!(host.wait_until_ended(&second).status(), "ENDED_SUCCESS");
}

#[test]
fn a_caller_whose_execution_is_paused_waits_as_long_as_callers_wait() {
    let called = unloading_and_resident(&Setup::new()).map(|host| {
        let options = json!({ "options": { "wait_ms": 4_000 } });
        let unstable = webhook_with(&host, "unstable", "unstable-a", options);
        let caller = unstable.call(&host, &json!({ "for_ms": 3_500 })).start();
        (host, caller)
    });
    let paused = called.map(|(host, caller)| {
        let id = until_asleep(&host);
        pause(&host, &id);
        (host, caller, id)
    });
    for (host, mut caller, id) in paused {
        // Nobody resumes it in time.
        let problem = caller.answer("POST").problem(504, "webhook.wait-limit");
        assert_eq!((&problem["execution"]["id"], &problem["execution"]["status"]), (&json!(id), &json!("PAUSED")));
        resume(&host, &id);
        assert_eq!(host.wait_until_ended(&id).status(), "ENDED_SUCCESS");
        assert_made_once(&host);
    }
}

#[test]
fn a_caller_gets_the_answer_of_an_execution_that_is_resumed_in_time() {
    let called = unloading_and_resident(&Setup::new().set("wait_ms", DAY)).map(|host| {
        let caller = webhook(&host, "unstable", "unstable-a").call(&host, &json!({ "for_ms": 3_000 })).start();
        (host, caller)
    });
    let resumed = called.map(|(host, caller)| {
        let id = until_asleep(&host);
        pause(&host, &id);
        resume(&host, &id);
        (host, caller, id)
    });
    for (_host, mut caller, id) in resumed {
        let answered = caller.answer("POST").ok();
        assert_eq!((&answered["id"], &answered["status"]), (&json!(id), &json!("ENDED_SUCCESS")));
    }
}

#[test]
fn what_is_paused_is_cancelled() {
    for host in resident_and_unloaded() {
        let id = webhook(host, "pause-cancel", "wait-forever").call_async(host, &json!(null));
        until_status(host, &id, "WAITING");
        pause(host, &id);
        host.cancel(&id).ok();
        let ended = host.wait_until_ended(&id);
        assert_eq!((ended.status(), &ended.record["status_message"]), ("ENDED_CANCELLED", &json!("cancelled")));
        for action in ["pause", "resume"] {
            act(host, &id, action).problem(409, "record.conflict");
        }
    }
}

#[test]
fn what_is_paused_is_not_paused_again_and_what_is_not_is_not_resumed() {
    let host = unloading();
    let id = webhook(host, "pause-twice", "wait-forever").call_async(host, &json!(null));
    until_unloaded(host, &id);
    act(host, &id, "resume").problem(409, "record.conflict");
    pause(host, &id);
    // It is as it should be.
    assert_eq!(act(host, &id, "pause").ok()["status"], "PAUSED");
    resume(host, &id);
    until_unloaded(host, &id);
    assert_eq!(said(host, &id), ["asleep"]);
    host.cancel(&id).ok();
}

#[test]
fn a_parent_waits_for_a_child_that_is_paused() {
    let families = resident_and_unloaded().map(|host| {
        host.deploy("nap");
        let child = json!({ "flow": "nap", "input": { "for_ms": 6_000 } });
        let payload = parent_of(json!([child]), json!({ "when": "ALL_SUCCEEDED" }));
        (host, webhook(host, "pause-child", "parent").call_async(host, &payload))
    });
    let paused = families.map(|(host, parent)| {
        let child = until("it has a child that sleeps", || {
            children_of(host, &parent).pop().filter(|child| child["status"] == "WAITING")
        });
        pause(host, text(&child, "id"));
        (host, parent, child)
    });
    for (host, parent, child) in paused {
        let id = text(&child, "id");
        until_after_start(&child, 6_200);
        assert_eq!(until_status(host, &parent, "WAITING")["ended_at"], Value::Null);
        resume(host, id);
        assert_eq!(host.wait_until_ended(&parent).outputs()["statuses"], json!(["ENDED_SUCCESS"]));
    }
}

#[test]
fn a_paused_execution_stays_so_over_a_crash() {
    let begun = unloading_and_resident(&Setup::new()).map(|host| {
        let id = webhook(&host, "unstable", "unstable-a").call_async(&host, &json!({ "for_ms": 6_000 }));
        (host, id)
    });
    let crashed = begun.map(|(host, id)| {
        until_status(&host, &id, "WAITING");
        pause(&host, &id);
        let before = execution(&host, &id);
        (host.crash(), id, before)
    });
    for (host, id, before) in crashed {
        until_after_start(&before, 6_200);
        assert_eq!(execution(&host, &id), before);
        resume(&host, &id);
        let ended = host.wait_until_ended(&id);
        assert_eq!((ended.status(), &ended.record["attempt"]), ("ENDED_SUCCESS", &json!(1)));
        assert_made_once(&host);
    }
}

#[test]
fn who_may_not_update_executions_pauses_none() {
    let host = unloading();
    let id = webhook(host, "pause-permitted", "wait-forever").call_async(host, &json!(null));
    until_unloaded(host, &id);
    let user = host.create("user", &json!({ "name": "pause-viewer", "roles": [{ "role_name": "User" }] })).ok();
    let target = format!("user/{}/token", text(&user, "id"));
    let token = text(&host.create(&target, &json!({ "name": "t" })).ok(), "token").to_owned();
    let pause = format!("/api/latest/execution/{id}/action/pause?plain=true");
    let answer = host.request("POST", &pause).header("Authorization", token).send();
    answer.problem(403, "access.forbidden");
    assert_eq!(execution(host, &id)["status"], "WAITING");
    host.cancel(&id).ok();
}

#[test]
fn in_development_mode_what_waits_is_paused_when_its_user_goes_inactive() {
    let host = Setup::new().set("unload_ms", 1).set("development_ms", 5_000).start();
    host.deploy("nap");
    let kevin = json!({ "name": "kevin", "password": "correct horse" });
    host.create("user", &kevin).ok();
    host.set("client.webhook.nap", "flow_name: nap\nuser_name: kevin\nmode: dev").ok();
    let login = json!({ "user_name": "kevin", "password": "correct horse" });
    host.post_json("/api/latest/auth/login", &login).send().ok();
    let call = |payload: &Value| {
        let answer = host.post_json("/api/latest/webhook/default/nap?async", payload).send();
        assert_eq!(answer.status, 202, "{}", answer.text());
        answer.json()["id"].as_str().unwrap().to_owned()
    };
    let (long, due) = (call(&json!({ "for_ms": DAY })), call(&json!({ "for_ms": 5_500 })));
    let asleep = until_unloaded(&host, &due);
    until_unloaded(&host, &long);
    for id in [&long, &due] {
        let paused = until_status(&host, id, "PAUSED");
        assert_eq!((&paused["is_productive"], &paused["ended_at"]), (&json!(false), &Value::Null));
    }
    until_after_start(&asleep, 6_000);
    assert_eq!(execution(&host, &due)["status"], "PAUSED");
    // By hand it goes on, though its user is as inactive as before.
    resume(&host, &due);
    let ended = host.wait_until_ended(&due);
    assert_eq!((ended.status(), &ended.record["is_productive"]), ("ENDED_SUCCESS", &json!(false)));
    host.cancel(&long).ok();
    assert_eq!(host.wait_until_ended(&long).status(), "ENDED_CANCELLED");
}
