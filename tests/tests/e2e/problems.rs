//! What a caller is told when it did not work: each code with its status and its members.

use flowhost_tests::{Answer, Host, Setup, Webhook};
use serde_json::{Value, json};

/// The problem, and the record of its execution, which say the same.
fn failed(host: &Host, answer: &Answer, status: u16, code: &str) -> (Value, Value) {
    let problem = answer.problem(status, code);
    let id = problem["execution"]["id"].as_str().unwrap();
    assert_eq!(answer.header("flowhost-execution-id"), Some(id));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    // It repeats what the caller and the flow wrote.
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    let record = host.wait_until_ended(id).record;
    assert_eq!(record["status"], "ENDED_ERROR");
    assert_eq!(record["failure"]["code"], code);
    assert_eq!(record["failure"]["message"], problem["detail"]);
    assert_eq!(record["failure"]["retryable"], problem["retryable"]);
    let mut shown = record.clone();
    // The trace shows the flow's inside: it is for operators.
    shown["failure"].as_object_mut().unwrap().remove("trace");
    for (member, value) in problem["execution"].as_object().unwrap() {
        assert_eq!(&shown[member], value, "{member}");
    }
    (problem, record)
}

/// What browsers send when a person opens an address.
const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8";

/// The header fields of two answers to one request, but for those that describe the body, differ from answer to answer, or are of a
/// page alone.
fn assert_same_headers(page: &Answer, document: &Answer) {
    let of_body = ["content-type", "content-length", "content-security-policy", "date", "flowhost-execution-id"];
    let others = |answer: &Answer| -> Vec<(String, String)> {
        answer.headers.iter().filter(|(name, _)| !of_body.contains(&&**name)).cloned().collect()
    };
    assert_eq!(others(page), others(document));
}

#[test]
fn browser_gets_a_problem_as_a_page() {
    let host = &Host::start();
    let fails = host.webhook("page-fails", "fail");
    host.webhook_with("page-key", "hello", &json!({ "key": "k3y-0123456789ab" }));
    let error = json!({ "message": "<script>alert(1)</script> & more" });
    for (method, target, body, status, code, words) in [
        ("GET", "/it's/not", None, 404, "request.not-found", "there is nothing at /it&#39;s/not"),
        ("GET", "/api/latest/webhook/page-none/call", None, 404, "webhook.not-found", "No such webhook"),
        ("GET", "/api/latest/webhook/page-key/call", None, 401, "webhook.unauthorized", "Not authorised"),
        ("GET", "/api/latest/flow", None, 401, "access.unauthorized", "send a token"),
        ("DELETE", "/api/latest/alive", None, 405, "request.method-not-allowed", "Method not allowed"),
        ("POST", fails.path(), Some(&error), 500, "flow.error", "&lt;script&gt;alert(1)&lt;/script&gt; &amp; more"),
    ] {
        let ask = |accept: Option<&str>| {
            let mut request = host.request(method, target);
            if let Some(body) = body {
                request = request.body(body.to_string());
            }
            match accept {
                Some(accept) => request.header("Accept", accept).send(),
                None => request.send(),
            }
        };
        let page = ask(Some(BROWSER));
        assert_eq!((page.status, page.header("vary")), (status, Some("accept")), "{target}");
        assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
        assert_eq!(page.header("content-security-policy"), Some("default-src 'none'"));
        let text = page.text();
        assert!(text.contains(words) && text.contains(&format!("<code>{code}</code>")), "{text}");
        assert!(!text.contains("<script"), "{text}");
        let execution = page.header("flowhost-execution-id");
        assert_eq!(execution.is_some(), code == "flow.error");
        assert!(execution.is_none_or(|id| text.contains(&format!("<code>{id}</code>"))), "{text}");
        for program in [None, Some("*/*"), Some("application/json"), Some("application/json, text/plain, */*")] {
            let document = ask(program);
            document.problem(status, code);
            assert_eq!(document.header("vary"), Some("accept"));
            assert_same_headers(&page, &document);
        }
    }
    // What is no problem stays as it is.
    let called = host.webhook("page-hello", "hello").call(host, &json!({})).header("Accept", BROWSER).send();
    assert_eq!((called.ok()["status"].as_str(), called.header("vary")), (Some("ENDED_SUCCESS"), None));
}

#[test]
fn what_browsers_and_robots_ask_for_is_answered() {
    let host = Host::shared();
    let icon = host.get("/favicon.ico").header("Accept", "image/*").send();
    assert_eq!((icon.status, icon.text()), (204, ""));
    let robots = host.get("/robots.txt").send();
    assert_eq!((robots.status, robots.text()), (200, "User-agent: *\nDisallow: /\n"));
    assert_eq!(robots.header("content-type"), Some("text/plain; charset=utf-8"));
}

#[test]
fn an_error_of_the_flow_carries_its_message_code_details_and_whether_to_retry() {
    let host = Host::shared();
    let webhook = host.webhook("problem-error", "fail");
    let details = json!({ "missing": ["a", "b"] });
    let error = json!({ "message": "out of stock", "code": "stock.empty", "details": details, "retryable": true });
    let (problem, record) = failed(host, &webhook.call(host, &error).send(), 500, "flow.error");
    assert_eq!(problem["fault"], "flow");
    assert_eq!(problem["detail"], "out of stock");
    assert_eq!(problem["retryable"], true);
    assert_eq!(problem["execution"]["status_message"], "out of stock");
    assert_eq!(problem["execution"]["input_value"]["json"], error);
    assert_eq!(record["failure"]["flow_code"], "stock.empty");
    assert_eq!(record["failure"]["details"], details);

    let (problem, record) = failed(host, &webhook.call(host, &json!({ "message": "no" })).send(), 500, "flow.error");
    assert_eq!(problem["retryable"], false);
    assert_eq!([&record["failure"]["flow_code"], &record["failure"]["details"]], [&Value::Null; 2]);
}

#[test]
fn input_that_does_not_fit_is_the_callers_fault() {
    let host = Host::shared();
    let webhook = host.webhook("problem-input", "fail");
    for (payload, detail) in [
        (json!({ "code": "x" }), "the input does not fit: `json.message`: missing"),
        (
            json!({ "message": 1 }),
            "the input does not fit: `json.message`: invalid type: integer `1`, expected a string",
        ),
    ] {
        let (problem, _) = failed(host, &webhook.call(host, &payload).send(), 422, "flow.invalid-input");
        assert_eq!(problem["fault"], "caller");
        assert_eq!(problem["detail"], detail);
    }
    // A flow may say so itself.
    let own = json!({ "message": "no such colour", "code": "flow.invalid-input" });
    failed(host, &webhook.call(host, &own).send(), 422, "flow.invalid-input");
}

#[test]
fn a_panic_is_told_with_its_message_and_place_and_keeps_what_was_set() {
    let host = Host::shared();
    let webhook = host.webhook_with("problem-panic", "panics", &json!({ "is_productive": false }));
    let (problem, record) = failed(host, &webhook.call(host, &json!("bad day")).send(), 500, "flow.panic");
    assert_eq!(problem["fault"], "flow");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("bad day") && detail.contains("panics.rs:"), "{detail}");
    assert_eq!(problem["execution"]["output_value"], json!({ "reached": true }));
    let log = host.log_of(record["id"].as_str().unwrap());
    assert_eq!(log[0]["message"], "about to panic");
}

#[test]
fn a_trap_is_told_and_harms_nobody_else() {
    let host = Host::shared();
    for guest in ["trap", "deep-recursion", "exit"] {
        let members = json!({ "is_productive": false });
        let webhook = host.webhook_with(&format!("problem-{guest}"), guest, &members);
        let (problem, _) = failed(host, &webhook.call(host, &json!(3)).send(), 500, "flow.trap");
        assert_eq!(problem["fault"], "flow");
    }
    host.webhook("problem-none", "canary").call(host, &json!(null)).send().ok();
}

#[test]
fn anonymous_caller_learns_that_a_flow_failed_and_no_more() {
    let host = Host::shared();
    for (guest, input, code) in [
        ("panics", json!("bad day"), "flow.panic"),
        ("trap", json!(31_415_926), "flow.trap"),
        ("exit", json!(31_415_926), "flow.trap"),
    ] {
        let name = format!("problem-inside-{guest}");
        let webhook = host.webhook(&name, guest);
        let answer = webhook.call(host, &input).send();
        let problem = answer.problem(500, code);
        let execution = problem["execution"].as_object().unwrap();
        let id = execution["id"].as_str().unwrap();
        assert!(problem["detail"].as_str().unwrap().contains(id), "{problem}");
        assert_eq!(execution["failure"]["message"], problem["detail"]);
        assert_eq!((&execution["status"], &execution["failure"]["code"]), (&json!("ENDED_ERROR"), &json!(code)));
        assert_eq!(execution["webhook"]["name"], name.as_str());
        for inside in ["bad day", "31415926", ".rs", "sha256", "wasm", "input_value", "output_value"] {
            assert!(!answer.text().contains(inside), "`{inside}` in {problem}");
        }
        // The record has all of it, and so has the caller who has the ticket.
        let record = host.wait_until_ended(id).record;
        assert_ne!(record["failure"]["message"], problem["detail"]);
        assert_eq!(record["input_value"]["json"], input);
    }
}

#[test]
fn caller_who_may_read_the_execution_sees_the_panic() {
    let host = Host::shared();
    let webhook = host.webhook_with("problem-login", "panics", &json!({ "require_login": true }));
    let (problem, _) = failed(host, &webhook.call(host, &json!("bad day")).as_operator().send(), 500, "flow.panic");
    assert!(problem["detail"].as_str().unwrap().contains("bad day"), "{problem}");
    let caller = host.create(
        "role",
        &json!({ "name": "caller", "permissions": [{ "record_type": "WEBHOOK", "operation": "READ" }] }),
    );
    caller.ok();
    let user = host.create("user", &json!({ "name": "caller", "roles": [{ "role_name": "caller" }] })).ok();
    let token = host.create(&format!("user/{}/token", user["id"].as_str().unwrap()), &json!({ "name": "t" })).ok();
    let token = token["token"].as_str().unwrap();
    let answer = webhook.call(host, &json!("bad day")).header("Authorization", token).send();
    answer.problem(500, "flow.panic");
    assert!(!answer.text().contains("bad day"), "{}", answer.text());
}

#[test]
fn ticket_of_an_asynchronous_call_shows_the_panic() {
    let host = Host::shared();
    let webhook = host.webhook("problem-ticket", "panics");
    let accepted = host.post_json(&format!("{}?async", webhook.path()), &json!("bad day")).send();
    host.wait_until_ended(accepted.json()["id"].as_str().unwrap());
    let seen = host.get(accepted.header("location").unwrap()).send().ok();
    assert!(seen["failure"]["message"].as_str().unwrap().contains("bad day"), "{seen}");
}

#[test]
fn what_a_flow_returns_must_be_an_object() {
    let host = Host::shared();
    for guest in ["invalid-json-output", "list-output"] {
        let webhook = host.webhook(&format!("problem-{guest}"), guest);
        failed(host, &webhook.call(host, &json!({})).send(), 500, "flow.error");
    }
}

#[test]
fn outputs_that_were_set_are_kept_when_the_flow_fails_and_merged_when_it_does_not() {
    let host = Host::shared();
    let webhook = host.webhook("problem-outputs", "outputs");
    let set = json!({ "set": { "a": 1, "b": 2 }, "fail": "late" });
    let (problem, _) = failed(host, &webhook.call(host, &set).send(), 500, "flow.error");
    assert_eq!(problem["execution"]["output_value"].to_string(), r#"{"a":1,"b":2}"#);
    let set = json!({ "set": { "a": 1, "b": 2 }, "return": { "a": 3 } });
    assert_eq!(webhook.call(host, &set).send().ok()["output_value"].to_string(), r#"{"a":3,"b":2}"#);
}

#[test]
fn a_flow_that_uses_up_its_budget_ends_with_the_budgets_code() {
    let host = Setup::new().set("cpu_ms", 500).set("memory_bytes", 32 << 20).set("log_bytes", 64 << 10).start();
    let cases = [
        ("spin", json!({}), "flow.cpu-limit", "500 ms"),
        ("spin-hostcalls", json!({}), "flow.cpu-limit", "500 ms"),
        ("start-loop", json!({}), "flow.cpu-limit", "500 ms"),
        ("memory-bomb", json!({}), "flow.memory-limit", "33554432 bytes"),
        ("big-output", json!({ "bytes": 1 << 20 }), "flow.output-limit", "outputs"),
        ("big-output", json!({ "bytes": 1 << 20, "set": true }), "flow.output-limit", "outputs"),
        ("log-flood", json!({}), "flow.output-limit", "log"),
        ("handle-flood", json!({}), "flow.output-limit", "handles"),
    ];
    for (guest, payload, code, detail) in cases {
        let name = format!("limit-{guest}");
        let webhook = match host.read(&format!("webhook/{name}?by=name")) {
            known if known.status == 200 => Webhook { record: known.json() },
            _ => host.webhook(&name, guest),
        };
        let (problem, _) = failed(&host, &webhook.call(&host, &payload).send(), 500, code);
        assert_eq!(problem["fault"], "flow");
        assert!(problem["detail"].as_str().unwrap().contains(detail), "{guest}: {}", problem["detail"]);
    }
    // One that stays within it does not.
    host.webhook("limit-none", "memory-bomb").call(&host, &json!({ "mib": 16 })).send().ok();
}

#[test]
fn a_flow_that_does_not_end_in_its_time_is_ended() {
    let host = Setup::new().variable("FLOWHOST_WALL_MS", "100").set("cpu_ms", 600_000).start();
    let webhook = host.webhook("limit-wall", "spin");
    let (problem, _) = failed(&host, &webhook.call(&host, &json!(null)).send(), 504, "flow.time-limit");
    assert_eq!(problem["fault"], "flow");
    assert_eq!(problem["retryable"], true);
    assert!(problem["detail"].as_str().unwrap().contains("100 ms"), "{problem}");
}

#[test]
fn a_caller_waits_for_so_long_and_the_execution_goes_on() {
    let host = Host::shared();
    let webhook = host.webhook_with("limit-wait", "sleeper", &json!({ "options": { "wait_ms": 1 } }));
    let answer = webhook.call(host, &json!({ "ms": 1_000 })).send();
    let problem = answer.problem(504, "webhook.wait-limit");
    let id = problem["execution"]["id"].as_str().unwrap();
    assert_eq!(answer.header("flowhost-execution-id"), Some(id));
    assert_eq!(problem["execution"]["ended_at"], Value::Null);
    let ended = host.wait_until_ended(id);
    assert_eq!(ended.status(), "ENDED_SUCCESS");
    assert!(ended.outputs()["slept_ms"].as_u64().unwrap() >= 1_000);
}

#[test]
fn the_hosts_wait_holds_where_the_webhook_has_none() {
    let host = Setup::new().config("wait_ms = 1\n").start();
    let webhook = host.webhook("limit-wait", "sleeper");
    webhook.call(&host, &json!({ "ms": 600_000 })).send().problem(504, "webhook.wait-limit");
}

#[test]
fn a_cancelled_execution_is_told_to_its_caller() {
    let host = Host::shared();
    let webhook = host.webhook("problem-cancelled", "sleeper");
    let mut call = webhook.call(host, &json!({ "ms": 600_000 })).start();
    // A synchronous execution is in the list once it has run for a while.
    let id = flowhost_tests::until("the execution is listed", || {
        Some(host.executions_of("problem-cancelled").first()?["id"].as_str()?.to_owned())
    });
    host.cancel(&id).ok();
    let answer = call.answer("POST");
    let problem = answer.problem(409, "execution.cancelled");
    assert_eq!(problem["execution"]["id"], id.as_str());
    assert_eq!(problem["execution"]["status"], "ENDED_CANCELLED");
    let record = host.wait_until_ended(&id).record;
    assert_eq!(record["status"], "ENDED_CANCELLED");
    // Once it has ended, it stays as it is.
    assert_eq!(host.cancel(&id).ok(), record);
    host.cancel("01a202e4-f47d-72a3-b440-9b77d4430568").problem(404, "record.not-found");
}

#[test]
fn a_webhook_that_is_busy_says_so() {
    let host = Host::shared();
    let webhook = host.webhook_with("problem-busy", "sleeper", &json!({ "options": { "max_executions": 1 } }));
    let first = webhook.call_async(host, &json!({ "ms": 600_000 }));
    for target in [webhook.path().to_owned(), format!("{}?async", webhook.path())] {
        let answer = host.post_json(&target, &json!({ "ms": 0 })).send();
        let problem = answer.problem(429, "webhook.busy");
        assert_eq!((problem["fault"].as_str(), problem["retryable"].as_bool()), (Some("caller"), Some(true)));
        assert_eq!(problem["execution"], Value::Null);
        assert_eq!(answer.header("retry-after"), Some("1"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
    }
    // Another webhook of the same flow is not concerned.
    host.webhook("problem-not-busy", "sleeper").call(host, &json!({ "ms": 0 })).send().ok();
    host.cancel(&first).ok();
    host.wait_until_ended(&first);
    webhook.call(host, &json!({ "ms": 0 })).send().ok();
}

#[test]
fn a_host_that_is_busy_says_so() {
    let setup = Setup::new().set("executions", 1).set("queued", 1).set("admission_wait_ms", 0);
    let host = setup.set("cpu_ms", 600_000).set("wall_ms", 600_000).start();
    let webhook = host.webhook("busy", "sleeper");
    let running = host.webhook("spinning", "spin").call_async(&host, &json!(null));
    host.wait_until(&running, "runs", |execution| execution["status"] == "RUNNING");
    let refused = |target: &str| {
        let answer = host.post_json(target, &json!({ "ms": 0 })).send();
        let problem = answer.problem(503, "host.busy");
        assert_eq!((problem["fault"].as_str(), problem["retryable"].as_bool()), (Some("host"), Some(true)));
        assert_eq!(answer.header("retry-after"), Some("1"));
    };
    refused(webhook.path());
    let queued = webhook.call_async(&host, &json!({ "ms": 0 }));
    refused(&format!("{}?async", webhook.path()));
    assert_eq!(host.read(&format!("execution/{queued}")).ok()["status"], "SCHEDULED");
    // The queue moves on when there is room.
    host.cancel(&running).ok();
    assert_eq!(host.wait_until_ended(&queued).status(), "ENDED_SUCCESS");
    webhook.call(&host, &json!({ "ms": 0 })).send().ok();
}

#[test]
fn a_host_that_is_about_to_stop_answers_what_it_has_begun_and_refuses_the_rest() {
    let host = Host::start();
    let webhook = host.webhook("draining", "sleeper");
    let mut running = webhook.call(&host, &json!({ "ms": 6_000 })).start();
    flowhost_tests::until("the execution runs", || host.executions_of("draining").pop());
    // This one has sent its head, and the host waits for its body.
    let mut late = host.connect();
    let head = "Content-Length: 2\r\nExpect: 100-continue\r\nConnection: close\r\n";
    late.write(format!("POST {} HTTP/1.1\r\nHost: x\r\n{head}\r\n", webhook.path()));
    late.interim();
    let mut idle = host.connect();
    idle.write("GET /api/latest/alive HTTP/1.1\r\nHost: x\r\n\r\n");
    idle.answer("GET").ok();
    host.terminate();
    // The host closes idle connections as soon as it refuses calls.
    assert_eq!(idle.closed(), b"");
    late.write("{}");
    let answer = late.answer("POST");
    let problem = answer.problem(503, "host.draining");
    assert_eq!((problem["fault"].as_str(), problem["retryable"].as_bool()), (Some("host"), Some(true)));
    assert_eq!(answer.header("retry-after"), Some("1"));
    // Whoever comes now is told so, and whoever asks whether calls are taken.
    let refused = webhook.call(&host, &json!({ "ms": 0 })).send();
    refused.problem(503, "host.draining");
    assert_eq!(refused.header("retry-after"), Some("1"));
    host.get("/api/latest/ready").send().problem(503, "host.draining");
    assert_eq!(running.answer("POST").ok()["status"], "ENDED_SUCCESS");
    assert!(host.wait().success());
}
