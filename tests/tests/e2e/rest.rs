//! The REST API: records and executions for whoever has a token.

use flowhost_tests::{Host, Setup, component, until};
use serde_json::{Value, json};

const NOBODY: &str = "01a202e4-f47d-72a3-b440-9b77d4430568";

#[test]
fn the_host_says_that_it_is_alive_to_everybody() {
    let host = Setup::new().flag("--workspace", "acme").start();
    let alive = host.get("/api/latest/alive").send().ok();
    let expected =
        json!({ "status": "ok", "name": "flowhost", "version": env!("CARGO_PKG_VERSION"), "workspace": "acme" });
    assert_eq!(alive, expected);
}

#[test]
fn the_host_says_that_it_is_ready_to_everybody_and_is_not_there_once_it_was_told_to_stop() {
    let host = Host::start();
    assert_eq!(host.get("/api/latest/ready").send().ok(), json!({ "status": "ready" }));
    host.terminate();
    host.wait();
    assert!(std::net::TcpStream::connect(host.address()).is_err());
}

#[test]
fn everything_else_needs_a_token() {
    let host = Host::shared();
    for (method, path) in [
        ("GET", "flow"),
        ("POST", "flow?name=a"),
        ("GET", &format!("flow/{NOBODY}")),
        ("GET", &format!("flow/{NOBODY}/version")),
        ("GET", &format!("flow/{NOBODY}/version/1/component")),
        ("GET", "webhook"),
        ("POST", "webhook"),
        ("GET", &format!("webhook/{NOBODY}")),
        ("PATCH", &format!("webhook/{NOBODY}")),
        ("DELETE", &format!("webhook/{NOBODY}")),
        ("GET", "setting"),
        ("GET", &format!("setting/{NOBODY}")),
        ("PUT", &format!("setting/{NOBODY}")),
        ("PUT", "setting/a?by=name"),
        ("DELETE", &format!("setting/{NOBODY}")),
        ("GET", "user"),
        ("POST", "user"),
        ("GET", "execution"),
        ("GET", &format!("execution/{NOBODY}")),
        ("GET", &format!("execution/{NOBODY}/log")),
        ("POST", &format!("execution/{NOBODY}/action/cancel")),
    ] {
        for token in [None, Some("Bearer wrong"), Some("wrong"), Some("Basic YTpi"), Some("Bearer "), Some("")] {
            let request = host.request(method, &format!("/api/latest/{path}")).body("{}");
            let request = match token {
                Some(token) => request.header("Authorization", token),
                None => request,
            };
            let answer = request.send();
            answer.problem(401, "access.unauthorized");
            assert_eq!(answer.header("www-authenticate"), Some("Bearer realm=\"flowhost\""), "{method} {path}");
        }
    }
}

#[test]
fn the_token_is_taken_with_and_without_bearer() {
    let host = Host::shared();
    let token = host.token();
    for authorization in [format!("Bearer {token}"), format!("bearer {token}"), token] {
        host.get("/api/latest/flow").header("Authorization", authorization).send().ok();
    }
}

#[test]
fn the_operators_token_is_the_owners_alone_and_never_in_the_log() {
    use std::os::unix::fs::PermissionsExt;
    let host = Setup::new().variable("FLOWHOST_LOG", "debug").start();
    let mode = std::fs::metadata(host.data().join("operator-token")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    host.read("user").ok();
    let token = host.token();
    assert!(token.len() > 40 && !host.log().contains(&token));
    // It stays the same, and another one is made for whoever has removed it.
    let host = host.crash();
    assert_eq!(host.token(), token);
    std::fs::remove_file(host.data().join("operator-token")).unwrap();
    let host = host.crash();
    assert_ne!(host.token(), token);
    host.read("user").ok();
    host.get("/api/latest/user").header("Authorization", token).send().problem(401, "access.unauthorized");
}

#[test]
fn records_are_wrapped_unless_asked_for_plainly() {
    let host = Host::shared();
    let webhook = host.webhook("rest-plain", "canary").record;
    let path = format!("/api/latest/webhook/{}", webhook["id"].as_str().unwrap());
    let read = |query: &str| host.get(&format!("{path}{query}")).as_operator().send().ok();
    assert_eq!(read(""), json!({ "webhook": webhook }));
    assert_eq!(read("?plain=false"), json!({ "webhook": webhook }));
    for query in ["?plain=true", "?plain", "?plain=True"] {
        assert_eq!(read(query), webhook);
    }
    let list = host.get("/api/latest/webhook").as_operator().send().ok();
    assert!(list["webhook"].as_array().unwrap().contains(&webhook));
    assert!(host.read("webhook").ok().as_array().unwrap().contains(&webhook));
    assert_eq!(host.read("webhook/rest-plain?by=name").ok(), webhook);
}

#[test]
fn a_webhook_is_created_disabled_changed_and_deleted() {
    let host = Host::shared();
    let flow = host.deploy("canary")["flow"]["id"].clone();
    let created = host.create("webhook", &json!({ "name": "rest-life", "flow_name": "canary" })).ok();
    let expected = json!({
        "id": created["id"], "name": "rest-life", "description": null,
        "created_at": created["created_at"], "created_by": created["created_by"],
        "modified_at": created["created_at"], "modified_by": created["created_by"],
        "form": "record", "flow_id": flow, "flow_name": "canary", "is_enabled": false, "is_key_required": false,
        "is_productive": true, "options": { "answer": "execution" }, "url": "/api/latest/webhook/rest-life/call",
    });
    for (member, value) in expected.as_object().unwrap() {
        assert_eq!(created[member], *value, "{member}");
    }
    let path = "/api/latest/webhook/rest-life/call";
    host.post(path, "").send().problem(404, "webhook.not-found");

    let record = format!("webhook/{}", created["id"].as_str().unwrap());
    let enabled = host.change(&record, &json!({ "is_enabled": true, "description": "a test" })).ok();
    assert_eq!((&enabled["is_enabled"], &enabled["description"]), (&json!(true), &json!("a test")));
    host.post(path, "").send().ok();
    host.deploy("outputs");
    host.change(&record, &json!({ "flow_name": "outputs", "options": { "answer": "outputs" }, "description": null }))
        .ok();
    assert_eq!(host.post(path, r#"{"return":{"a":1}}"#).send().ok(), json!({ "a": 1 }));
    host.change(&record, &json!({ "is_enabled": false })).ok();
    host.post(path, "").send().problem(404, "webhook.not-found");
    assert_eq!(host.delete("webhook/rest-life?by=name").status, 204);
    assert_eq!(host.read(&record).ok()["is_deleted"], true);
    host.read("webhook/rest-life?by=name").problem(404, "record.not-found");
    assert_eq!(host.delete(&format!("{record}?permanently=true")).status, 204);
    host.read(&record).problem(404, "record.not-found");
    host.change(&record, &json!({})).problem(404, "record.not-found");
}

#[test]
fn two_records_of_one_name_are_refused() {
    let host = Host::shared();
    let webhook = host.webhook("rest-twice", "canary");
    let again = json!({ "name": " rest-twice ", "flow_name": "canary" });
    let problem = host.create("webhook", &again).problem(409, "record.name-taken");
    assert_eq!(problem["fault"], "caller");
    assert!(problem["detail"].as_str().unwrap().contains("rest-twice"));
    host.user("rest-twice");
    host.create("user", &json!({ "name": "rest-twice" })).problem(409, "record.name-taken");
    assert_eq!(host.read("webhook/rest-twice?by=name").ok(), webhook.record);
}

#[test]
fn a_record_that_is_not_valid_is_refused_with_the_reason() {
    let host = Host::shared();
    host.deploy("canary");
    for (record, word) in [
        (json!({ "flow_name": "canary" }), "name"),
        (json!({ "name": "", "flow_name": "canary" }), "empty"),
        (json!({ "name": "rest-bad" }), "flow_name"),
        (json!({ "name": "rest-bad", "flow_name": "rest-none" }), "no flow named `rest-none`"),
        (json!({ "name": "rest-bad", "flow_name": "canary", "flow_id": NOBODY }), "another record"),
        (json!({ "name": "rest-bad", "flow_id": NOBODY }), "no flow"),
        (json!({ "name": "rest-bad", "flow_name": "canary", "enabled": true }), "`enabled`"),
        (json!({ "name": "rest-bad", "flow_name": "canary", "is_enabled": "yes" }), "true or false"),
        (json!({ "name": "rest-bad", "flow_name": "canary", "options": { "max_executions": 0 } }), "max_executions"),
        (json!({ "name": "rest-bad", "flow_name": "canary", "options": { "wait": 0 } }), "`wait`"),
        (json!({ "name": "rest-bad", "flow_name": "canary", "key": "" }), "key"),
        (json!([]), ""),
    ] {
        let problem = host.create("webhook", &record).problem(422, "record.invalid");
        assert!(problem["detail"].as_str().unwrap().contains(word), "{record}: {problem}");
    }
    for body in ["", "{", "nonsense"] {
        let answer = host.post("/api/latest/webhook", body).as_operator().send();
        answer.problem(400, "request.malformed-json");
    }
    let webhook = host.webhook("rest-good", "canary");
    host.change(&webhook.record_path(), &json!({ "name": "" })).problem(422, "record.invalid");
    host.post("/api/latest/user", "x".repeat((2 << 20) + 1)).as_operator().send().problem(413, "request.too-large");
}

#[test]
fn users_are_created_and_listed_without_what_authorises_them() {
    let host = Host::shared();
    let user = host.user("rest-user");
    assert_eq!((&user["name"], &user["is_enabled"]), (&json!("rest-user"), &json!(true)));
    let answer = host.read("user");
    let users = answer.ok();
    assert!(users.as_array().unwrap().contains(&user));
    assert!(users.as_array().unwrap().iter().any(|user| user["name"] == "admin"));
    assert!(!answer.text().contains("digest"));
}

#[test]
fn what_is_not_there_is_not_found() {
    let host = Host::shared();
    for path in ["flow", "webhook", "setting", "execution"] {
        host.read(&format!("{path}/{NOBODY}")).problem(404, "record.not-found");
        host.read(&format!("{path}/nonsense")).problem(404, "record.not-found");
    }
    for path in ["flow", "webhook", "setting"] {
        host.read(&format!("{path}/rest-nothing?by=name")).problem(404, "record.not-found");
    }
    host.read(&format!("execution/{NOBODY}/log")).problem(404, "record.not-found");
    // An id of another type is none of this type.
    let flow = host.deploy("canary")["flow"]["id"].as_str().unwrap().to_owned();
    host.read(&format!("webhook/{flow}")).problem(404, "record.not-found");
    host.read(&format!("setting/{flow}")).problem(404, "record.not-found");
    host.delete(&format!("setting/{flow}")).problem(404, "record.not-found");
}

#[test]
fn an_unknown_address_and_another_method_are_problems_too() {
    let host = Host::shared();
    for path in ["/", "/api", "/api/latest/nothing", "/api/latest/flow/", "/api/1/flow", "/%ff", "//"] {
        host.get(path).as_operator().send().problem(404, "request.not-found");
    }
    let answer = host.request("PUT", "/api/latest/flow").as_operator().send();
    answer.problem(405, "request.method-not-allowed");
    let allowed = answer.header("allow").unwrap();
    assert!(allowed.contains("GET") && allowed.contains("POST"), "{allowed}");
}

#[test]
fn a_type_takes_the_methods_that_its_definition_knows() {
    let host = Host::shared();
    for (path, allowed) in [
        ("bundle", "GET,HEAD,POST"),
        ("workspace", "GET,HEAD"),
        ("execution", "GET,HEAD"),
        (&format!("bundle/{NOBODY}"), "GET,HEAD,PATCH,DELETE"),
        (&format!("setting/{NOBODY}"), "GET,HEAD,PATCH,DELETE,PUT"),
        (&format!("organization/{NOBODY}"), "GET,HEAD,PATCH"),
    ] {
        let answer = host.request("OPTIONS", &format!("/api/latest/{path}")).as_operator().send();
        answer.problem(405, "request.method-not-allowed");
        assert_eq!(answer.header("allow"), Some(allowed), "{path}");
    }
    host.request("PUT", &format!("/api/latest/bundle/{NOBODY}"))
        .as_operator()
        .send()
        .problem(405, "request.method-not-allowed");
    let restore = format!("/api/latest/workspace/{NOBODY}/action/restore");
    host.request("POST", &restore).as_operator().send().problem(404, "request.not-found");
}

#[test]
fn a_deployment_answers_with_the_entity_tag_of_its_flow() {
    let host = Host::shared();
    let deployed = host.deploy_as("rest-tag", component("canary"));
    let id = deployed.json()["flow"]["id"].as_str().unwrap().to_owned();
    assert_eq!(deployed.header("etag"), host.read(&format!("flow/{id}")).header("etag"));
    assert!(deployed.header("etag").is_some());
}

#[test]
fn malformed_parameters_are_problems_too() {
    let host = Host::shared();
    for path in [
        "execution?limit=many",
        "execution?limit=-1",
        "execution?status=ENDED_WELL",
        "flow?by=colour",
        "execution?status=%ff",
        &format!("flow/{NOBODY}/version/one/component"),
        &format!("execution/{NOBODY}/log?from=x"),
        "flow/%ff?by=name",
    ] {
        host.read(path).problem(400, "request.malformed");
    }
    host.read("execution?before=nonsense").problem(404, "record.not-found");
    host.read("execution?flow=rest-nothing").problem(404, "record.not-found");
    host.read("execution?webhook=rest-nothing").problem(404, "record.not-found");
}

#[test]
fn executions_are_listed_newest_first_in_pages_by_flow_webhook_and_status() {
    let host = Host::start();
    let one = host.webhook("one", "outputs");
    let other = host.webhook("other", "canary");
    let calls: Vec<String> = (0..5)
        .map(|number| {
            let payload = if number == 2 { json!({ "fail": "x" }) } else { json!({}) };
            let answer = one.call(&host, &payload).send();
            answer.header("flowhost-execution-id").unwrap().to_owned()
        })
        .collect();
    let last = other.call(&host, &json!({})).send().ok()["id"].as_str().unwrap().to_owned();
    let list = |query: &str| -> Vec<String> {
        let list = host.read(&format!("execution{query}")).ok();
        list.as_array().unwrap().iter().map(|execution| execution["id"].as_str().unwrap().to_owned()).collect()
    };
    let newest_first: Vec<String> = calls.iter().rev().cloned().collect();
    assert_eq!(list(""), [std::slice::from_ref(&last), &*newest_first].concat());
    assert_eq!(list("?flow=outputs"), newest_first);
    assert_eq!(list("?webhook=other"), [last]);
    assert_eq!(list("?status=ENDED_ERROR"), [calls[2].clone()]);
    assert_eq!(list("?status=RUNNING"), [""; 0]);
    assert_eq!(list("?webhook=one&limit=2"), newest_first[..2]);
    assert_eq!(list(&format!("?webhook=one&limit=2&before={}", newest_first[1])), newest_first[2..4]);
    assert_eq!(list("?limit=0"), [""; 0]);
}

#[test]
fn an_accepted_execution_that_runs_is_listed_as_running() {
    let host = Setup::new().set("cpu_ms", 600_000).set("wall_ms", 600_000).start();
    let id = host.webhook("runs", "spin").call_async(&host, &json!(null));
    let running = until("the execution is listed as running", || {
        let list = host.read("execution?status=RUNNING").ok();
        list.as_array().unwrap().first().cloned()
    });
    assert_eq!((&running["id"], &running["status"]), (&json!(id), &json!("RUNNING")));
    assert_eq!(host.read("execution?status=SCHEDULED").ok(), json!([]));
}

#[test]
fn the_log_has_levels_sources_and_fields_and_is_read_in_parts() {
    let host = Host::shared();
    let webhook = host.webhook("rest-log", "logger");
    let id = webhook.call(host, &json!({})).send().ok()["id"].as_str().unwrap().to_owned();
    let log = host.log_of(&id);
    let told: Vec<(&str, &str, &str)> = log
        .iter()
        .map(|line| ["level", "source", "message"].map(|member| line[member].as_str().unwrap()).into())
        .collect();
    let expected = [
        ("trace", "flow", "a trace line"),
        ("debug", "flow", "a debug line"),
        ("info", "flow", "an info line"),
        ("warn", "flow", "a warn line"),
        ("error", "flow", "an error line"),
        ("info", "flow", "with fields"),
        ("info", "flow", "with a list for fields"),
        ("info", "flow", "with broken fields"),
        ("info", "flow", "two\nlines, a tab\t, a bell \u{7} and ünïcödé"),
        ("info", "stdout", "to standard output"),
        ("warn", "stderr", "to standard error"),
        ("info", "stdout", "two"),
        ("info", "stdout", "lines"),
        ("info", "stdout", "bytes \u{fffd} that are no text"),
        ("info", "stdout", "no line end"),
    ];
    assert_eq!(told, expected);
    assert_eq!(log[5]["fields"], json!({ "number": 1, "nested": { "list": [true, null] } }));
    assert_eq!(log[6]["fields"], json!({ "value": [1, 2] }));
    assert_eq!(log[7]["fields"], json!({ "value": "{not json" }));
    assert_eq!(log[0].get("fields"), None);
    let times: Vec<&str> = log.iter().map(|line| line["at"].as_str().unwrap()).collect();
    assert!(times.is_sorted(), "{times:?}");
    let part: Value = host.read(&format!("execution/{id}/log?from=3&limit=2")).ok();
    assert_eq!(part, json!([log[3], log[4]]));
}

#[test]
fn every_answer_keeps_browsers_from_guessing_its_type() {
    let host = Host::shared();
    for target in ["/api/latest/alive", "/api/latest/nothing", "/api/latest/flow", "/api/latest/webhook/none/call", "/"]
    {
        assert_eq!(host.get(target).send().header("x-content-type-options"), Some("nosniff"), "{target}");
    }
    let listed = host.get("/api/latest/flow").as_operator().send();
    assert_eq!((listed.status, listed.header("x-content-type-options")), (200, Some("nosniff")));
}
