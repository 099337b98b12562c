//! Webhooks that want a login.

use flowhost_tests::scene::text;
use flowhost_tests::{Answer, Host, Request, Webhook};
use serde_json::{Value, json};

use crate::person::{Person, login};

fn webhook(host: &Host, name: &str, members: &Value) -> Webhook {
    let mut members = members.clone();
    members["require_login"] = json!(true);
    host.webhook_with(name, "echo", &members)
}

/// Everything that the flow and whoever reads the execution see of a call.
fn seen(host: &Host, answer: &Answer) -> String {
    let id = text(&answer.ok(), "id").to_owned();
    format!(
        "{}{}{}",
        answer.text(),
        host.read(&format!("execution/{id}")).text(),
        host.read(&format!("execution/{id}/log")).text()
    )
}

#[test]
fn a_call_without_a_login_is_unauthorised() {
    let host = Host::shared();
    let webhook = webhook(host, "login-none", &json!({}));
    for authorization in
        [None, Some(""), Some("wrong"), Some("Bearer wrong"), Some("Basic YWRtaW46eA=="), Some("Bearer ")]
    {
        let request = host.post(webhook.path(), "{}");
        let request = authorization.into_iter().fold(request, |request, value| request.header("Authorization", value));
        let answer = request.send();
        answer.problem(401, "webhook.unauthorized");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer realm=\"flowhost\""));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
    }
    let cookie = host.post(webhook.path(), "{}").header("Cookie", "flowhost_session=wrong").send();
    cookie.problem(401, "webhook.unauthorized");
    assert_eq!(host.executions_of("login-none"), [] as [Value; 0]);
}

#[test]
fn a_login_without_the_permission_to_call_is_forbidden() {
    let host = Host::shared();
    let webhook = webhook(host, "login-forbidden", &json!({}));
    let stranger = Person::with(host, "login-stranger", &json!([{ "record_type": "FLOW" }]));
    let caller = Person::with(host, "login-caller", &json!([{ "record_type": "WEBHOOK", "operation": "READ" }]));
    let call = |person: &Person<'_>| host.post(webhook.path(), "").header("Authorization", &person.token).send();
    call(&stranger).problem(403, "access.forbidden");
    call(&caller).ok();
    assert_eq!(host.executions_of("login-forbidden").len(), 1);
    // A role for another project does not open it.
    let project = host.create("project", &json!({ "name": "login-elsewhere" })).ok();
    let there = json!([{ "project_id": project["id"], "record_type": "WEBHOOK", "operation": "READ" }]);
    let elsewhere = Person::with(host, "login-elsewhere", &there);
    call(&elsewhere).problem(403, "access.forbidden");
    host.change(&webhook.record_path(), &json!({ "project_id": project["id"] })).ok();
    call(&elsewhere).ok();
}

#[test]
fn a_token_comes_raw_with_bearer_or_as_the_cookie_and_is_seen_by_nobody() {
    let host = Host::shared();
    let webhook = webhook(host, "login-carrier", &json!({}));
    let caller = Person::in_role(host, "login-carrier", "User");
    host.change(&format!("user/{}", caller.id()), &json!({ "password": "correct horse" })).ok();
    let session = login(host, "login-carrier", "correct horse").ok();
    let session = text(&session, "token");
    for token in [caller.token.as_str(), session] {
        let requests: [Request<'_>; 5] = [
            host.post(webhook.path(), "{}").header("Authorization", token),
            host.post(webhook.path(), "{}").header("authorization", format!("Bearer {token}")),
            host.post(webhook.path(), "{}").header("Authorization", format!("bearer {token}")),
            host.post(webhook.path(), "{}").header("Cookie", format!("flowhost_session={token}")),
            host.post(webhook.path(), "{}")
                .header("Authorization", token)
                .header("Cookie", format!("flowhost_session={token}")),
        ];
        for request in requests {
            let answer = request.send();
            let seen = seen(host, &answer);
            let base64 = data_encoding::BASE64.encode(token.as_bytes());
            for secret in [token, &base64[..base64.len() - 4], "authorization", "flowhost_session"] {
                assert!(!seen.contains(secret), "`{secret}` in {seen}");
            }
        }
    }
}

#[test]
fn a_page_of_another_origin_does_not_call_in_its_readers_name() {
    let host = Host::shared();
    let webhook = webhook(host, "login-origin", &json!({}));
    let caller = Person::in_role(host, "login-origin", "User");
    let cookie = format!("flowhost_session={}", caller.token);
    let call = |method: &str, headers: &[(&'static str, &str)]| {
        let request = host.request(method, webhook.path()).header("Cookie", &cookie);
        headers.iter().fold(request, |request, (name, value)| request.header(name, *value)).send()
    };
    let own = host.url();
    let other = [("Sec-Fetch-Site", "same-site"), ("Sec-Fetch-Site", "cross-site"), ("Origin", "http://127.0.0.1:1")];
    for (name, value) in other {
        for method in ["POST", "PUT", "PATCH", "DELETE"] {
            call(method, &[(name, value)]).problem(401, "webhook.unauthorized");
        }
        for method in ["GET", "HEAD"] {
            assert_eq!(call(method, &[(name, value)]).status, 200, "{method}");
        }
        // A token is not sent by a browser of itself.
        call("POST", &[(name, value), ("Authorization", &caller.token)]).ok();
    }
    for headers in [&[][..], &[("Sec-Fetch-Site", "same-origin")], &[("Sec-Fetch-Site", "none")], &[("Origin", &own)]] {
        call("POST", headers).ok();
    }
}

#[test]
fn what_did_not_carry_the_login_is_left_as_it_was() {
    let host = Host::shared();
    let caller = Person::in_role(host, "login-left", "User");
    let wanted = webhook(host, "login-left", &json!({}));
    let cookie = format!("theme=dark; flowhost_session={}; lang=de", caller.token);
    let answer = host.post(wanted.path(), "{}").header("X-A", "1").header("Cookie", cookie).header("X-B", "2").send();
    let headers = answer.ok()["input_value"]["headers"].clone();
    assert_eq!([&headers["cookie"], &headers["x-a"], &headers["x-b"]], ["theme=dark; lang=de", "1", "2"]);
    // A webhook that wants no login leaves the header to the flow, whatever it holds.
    let open = host.webhook("login-open", "echo");
    for value in ["Basic YWRtaW46eA==", "wrong"] {
        let execution = host.post(open.path(), "{}").header("Authorization", value).send().ok();
        assert_eq!(execution["input_value"]["headers"]["authorization"], value);
    }
}

#[test]
fn a_key_and_a_login_are_both_needed_where_both_are_set() {
    let host = Host::shared();
    let webhook = webhook(host, "login-key", &json!({ "key": "k3y-0123456789ab" }));
    let caller = Person::in_role(host, "login-key", "User");
    let with_key = format!("{}?key=k3y-0123456789ab", webhook.path());
    let wanted = |answer: Answer| {
        answer.problem(401, "webhook.unauthorized");
        answer.header("www-authenticate").unwrap().to_owned()
    };
    assert_eq!(wanted(host.post(&with_key, "").send()), "Bearer realm=\"flowhost\"");
    let without_key = host.post(webhook.path(), "").header("Authorization", &caller.token).send();
    assert_eq!(wanted(without_key), "ApiKey realm=\"flowhost webhook\"");
    let answer = host.post(&with_key, "").header("Authorization", &caller.token).send();
    let seen = seen(host, &answer);
    assert!(!seen.contains("k3y-0123456789ab") && !seen.contains(&caller.token));
}

#[test]
fn an_asynchronous_call_wants_it_too_and_keeps_none_of_it() {
    let host = Host::start();
    let webhook = webhook(&host, "login-async", &json!({}));
    let caller = Person::in_role(&host, "login-async", "User");
    let target = format!("{}?async", webhook.path());
    host.post(&target, "").send().problem(401, "webhook.unauthorized");
    let answer = host.post(&target, "").header("Authorization", &caller.token).send();
    assert_eq!(answer.status, 202);
    let ended = host.wait_until_ended(text(&answer.json(), "id"));
    assert_eq!(ended.status(), "ENDED_SUCCESS");
    assert_eq!(ended.record["input_value"]["headers"].get("authorization"), None);
    let secret = caller.token.as_bytes();
    for entry in std::fs::read_dir(host.data()).unwrap() {
        let Ok(bytes) = std::fs::read(entry.unwrap().path()) else { continue };
        assert!(!bytes.windows(secret.len()).any(|window| window == secret));
    }
}

#[test]
fn a_revoked_token_does_not_call() {
    let host = Host::shared();
    let webhook = webhook(host, "login-revoked", &json!({}));
    let caller = Person::in_role(host, "login-revoked", "User");
    let call = || host.post(webhook.path(), "").header("Authorization", &caller.token).send();
    call().ok();
    host.change(&format!("user/{}", caller.id()), &json!({ "is_enabled": false })).ok();
    call().problem(401, "webhook.unauthorized");
}
