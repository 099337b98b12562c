//! Who is asking: passwords, sessions, lock-outs and API tokens.

use flowhost_tests::scene::text;
use flowhost_tests::{Answer, Host, Request, Setup, until};
use serde_json::{Value, json};

use crate::person::{Person, login, path};

const PASSWORD: &str = "correct horse";

/// A user with a password, in the role `Developer`.
fn user(host: &Host, name: &str) -> Value {
    let members = json!({ "name": name, "password": PASSWORD, "roles": [{ "role_name": "Developer" }] });
    host.create("user", &members).ok()
}

fn with(host: &Host, token: &str, what: &str) -> Answer {
    host.get(&format!("/api/latest/{what}")).header("Authorization", token).send()
}

#[test]
fn a_login_gives_a_token_and_a_cookie() {
    let host = Host::shared();
    let user = user(host, "id-login");
    let answer = login(host, "id-login", PASSWORD);
    let session = answer.ok();
    assert_eq!([&session["identity_id"], &session["user_name"]], [&user["id"], &json!("id-login")]);
    let token = text(&session, "token");
    assert_eq!(token.split('.').count(), 3, "{token}");
    let cookie = answer.header("set-cookie").unwrap();
    assert!(cookie.starts_with(&format!("flowhost_session={token}; ")), "{cookie}");
    for attribute in ["HttpOnly", "SameSite=Strict", "Path=/"] {
        assert!(cookie.split("; ").any(|part| part == attribute), "{cookie}");
    }
    let seconds: u64 = cookie.split("Max-Age=").nth(1).unwrap().parse().unwrap();
    assert!((29 * 24 * 3600..=30 * 24 * 3600).contains(&seconds), "{seconds}");
    for authorization in [token.to_owned(), format!("Bearer {token}")] {
        with(host, &authorization, "flow").ok();
    }
    // As clients of the modelled system send it.
    let method = json!({ "user_name": "id-login", "password": PASSWORD, "authentication_method": "cloudomation" });
    host.post_json("/api/latest/auth/login", &method).send().ok();
    let read = host.read(&path("user", &user)).ok();
    assert!(read["last_login"].is_string() && read["last_activity"].is_string());
}

#[test]
fn a_wrong_name_a_wrong_password_and_a_user_without_one_are_told_alike() {
    let host = Host::shared();
    user(host, "id-wrong");
    host.user("id-no-password");
    let disabled = user(host, "id-disabled");
    host.change(&path("user", &disabled), &json!({ "is_enabled": false })).ok();
    let trashed = user(host, "id-trashed");
    assert_eq!(host.delete(&path("user", &trashed)).status, 204);
    let expected = login(host, "id-wrong", "wrong").problem(401, "access.login-failed");
    for (name, password) in [
        ("id-nobody", PASSWORD),
        ("id-no-password", ""),
        ("id-no-password", PASSWORD),
        ("id-disabled", PASSWORD),
        ("id-trashed", PASSWORD),
    ] {
        let answer = login(host, name, password);
        assert_eq!(answer.problem(401, "access.login-failed"), expected, "{name}");
        assert_eq!(answer.header("set-cookie"), None);
    }
    let ldap = json!({ "user_name": "id-wrong", "password": PASSWORD, "authentication_method": "ldap:x" });
    host.post_json("/api/latest/auth/login", &ldap).send().problem(400, "request.malformed");
    host.post_json("/api/latest/auth/login", &json!({ "user_name": "id-wrong" })).send().problem(422, "record.invalid");
    host.post("/api/latest/auth/login", "{").send().problem(400, "request.malformed-json");
}

#[test]
fn the_cookie_reads_but_never_changes() {
    let host = Host::shared();
    let user = user(host, "id-cookie");
    let session = login(host, "id-cookie", PASSWORD).ok();
    let cookie = format!("theme=dark; flowhost_session={}", text(&session, "token"));
    let by_cookie = |method: &str, what: &str, body: &Value| {
        let request = host.request(method, &format!("/api/latest/{what}")).body(body.to_string());
        request.header("Cookie", &cookie).header("Content-Type", "application/json").send()
    };
    for what in ["flow", &path("user", &user), "execution", &format!("{}/token", path("user", &user))] {
        host.get(&format!("/api/latest/{what}")).header("Cookie", &cookie).send().ok();
    }
    for (method, what) in [
        ("POST", "setting".to_owned()),
        ("PATCH", path("user", &user)),
        ("DELETE", path("user", &user)),
        ("PUT", "setting/id-cookie?by=name".to_owned()),
        ("POST", format!("{}/token", path("user", &user))),
        ("POST", format!("{}/action/restore", path("user", &user))),
        ("POST", "auth/logout".to_owned()),
        ("POST", "flow?name=id-cookie".to_owned()),
    ] {
        by_cookie(method, &what, &json!({ "name": "id-cookie" })).problem(401, "access.unauthorized");
    }
    host.read("setting/id-cookie?by=name").problem(404, "record.not-found");
    // A forged one reads nothing, and a wrong header is not helped by a right cookie.
    host.get("/api/latest/flow").header("Cookie", format!("{cookie}x")).send().problem(401, "access.unauthorized");
    let both = host.get("/api/latest/flow").header("Cookie", &cookie).header("Authorization", "wrong");
    both.send().problem(401, "access.unauthorized");
}

#[test]
fn a_logout_ends_the_sessions_and_clears_the_cookie() {
    let host = Host::shared();
    let user = user(host, "id-logout");
    let issued = host.create(&format!("{}/token", path("user", &user)), &json!({ "name": "kept" })).ok();
    let [one, two] = [(); 2].map(|()| text(&login(host, "id-logout", PASSWORD).ok(), "token").to_owned());
    with(host, &one, "flow").ok();
    let out = host.post("/api/latest/auth/logout", "").header("Authorization", &one).send();
    assert_eq!(out.status, 204);
    assert!(out.header("set-cookie").unwrap().starts_with("flowhost_session=; "));
    assert!(out.header("set-cookie").unwrap().contains("Max-Age=0"));
    for token in [&one, &two] {
        with(host, token, "flow").problem(401, "access.unauthorized");
    }
    // API tokens stay, and a new login is another session.
    with(host, text(&issued, "token"), "flow").ok();
    with(host, text(&login(host, "id-logout", PASSWORD).ok(), "token"), "flow").ok();
    host.post("/api/latest/auth/logout", "").send().problem(401, "access.unauthorized");
}

#[test]
fn a_login_and_a_logout_leave_the_users_record_as_it_is() {
    let host = Host::shared();
    let user = path("user", &user(host, "id-untouched"));
    let history = format!("{user}/history");
    let (before, entries) = (host.read(&user), host.read(&history).ok());
    let session = login(host, "id-untouched", PASSWORD).ok();
    with(host, text(&session, "token"), "flow").ok();
    let out = host.post("/api/latest/auth/logout", "").header("Authorization", text(&session, "token")).send();
    assert_eq!(out.status, 204);
    let after = host.read(&user);
    assert_eq!(after.header("etag"), before.header("etag"));
    assert_eq!(after.ok()["modified_at"], before.ok()["modified_at"]);
    assert!(before.ok()["last_login"].is_null() && after.ok()["last_login"].is_string());
    assert_eq!(host.read(&history).ok(), entries);
}

#[test]
fn a_logout_holds_after_a_crash() {
    let host = Host::start();
    user(&host, "id-crash");
    let token = text(&login(&host, "id-crash", PASSWORD).ok(), "token").to_owned();
    assert_eq!(host.post("/api/latest/auth/logout", "").header("Authorization", &token).send().status, 204);
    let host = host.crash();
    with(&host, &token, "flow").problem(401, "access.unauthorized");
    with(&host, text(&login(&host, "id-crash", PASSWORD).ok(), "token"), "flow").ok();
    assert!(host.read("user/id-crash?by=name").ok()["last_login"].is_string());
}

#[test]
fn a_forged_token_is_none() {
    let host = Host::shared();
    user(host, "id-forged");
    let token = text(&login(host, "id-forged", PASSWORD).ok(), "token").to_owned();
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let (header, payload) = signed.split_once('.').unwrap();
    let encode = |text: &str| data_encoding::BASE64URL_NOPAD.encode(text.as_bytes());
    let admin = host.read("user/admin?by=name").ok();
    let claims = data_encoding::BASE64URL_NOPAD.decode(payload.as_bytes()).unwrap();
    let claims: Value = serde_json::from_slice(&claims).unwrap();
    let mut as_admin = claims.clone();
    as_admin["sub"] = admin["id"].clone();
    let first = if signature.starts_with('A') { "B" } else { "A" };
    for forged in [
        format!("{header}.{}.{signature}", encode(&as_admin.to_string())),
        format!("{}.{}.", encode(r#"{"alg":"none","typ":"JWT"}"#), encode(&as_admin.to_string())),
        format!("{}.{payload}.{signature}", encode(r#"{"alg":"none","typ":"JWT"}"#)),
        format!("{signed}.{first}{}", &signature[1..]),
        format!("{signed}."),
        signed.to_owned(),
        format!("{token}A"),
    ] {
        assert_ne!(forged, token);
        with(host, &forged, "flow").problem(401, "access.unauthorized");
    }
    // Another host's token is none here.
    let other = Host::start();
    user(&other, "id-forged");
    with(host, text(&login(&other, "id-forged", PASSWORD).ok(), "token"), "flow").problem(401, "access.unauthorized");
    with(host, &other.token(), "flow").problem(401, "access.unauthorized");
    with(host, &token, "flow").ok();
}

#[test]
fn an_expired_session_is_none() {
    let host = Setup::new().set("session_ms", 1_000).start();
    user(&host, "id-expired");
    let session = login(&host, "id-expired", PASSWORD).ok();
    let token = text(&session, "token");
    let expired = until("the session has expired", || {
        let answer = with(&host, token, "flow");
        (answer.status != 200).then_some(answer)
    });
    expired.problem(401, "access.unauthorized");
    // It is the session that has expired, not the user.
    login(&host, "id-expired", PASSWORD).ok();
}

#[test]
fn sessions_outlive_the_process() {
    let host = Host::start();
    user(&host, "id-restart");
    let token = text(&login(&host, "id-restart", PASSWORD).ok(), "token").to_owned();
    let host = host.crash();
    with(&host, &token, "flow").ok();
}

#[test]
fn five_failures_in_a_row_lock_a_name_out() {
    let host = Host::shared();
    let user = user(host, "id-locked");
    for name in ["id-locked", "id-unknown"] {
        for _ in 0..4 {
            login(host, name, "wrong").problem(401, "access.login-failed");
        }
    }
    // A success in between, and the count begins anew.
    let session = login(host, "id-locked", PASSWORD).ok();
    for _ in 0..5 {
        login(host, "id-locked", "wrong").problem(401, "access.login-failed");
    }
    login(host, "id-unknown", "wrong").problem(401, "access.login-failed");
    // From here on the right password does not help, nor do blanks. A lock-out does not tell whether there is the user.
    let locked = login(host, "id-locked", PASSWORD);
    let problem = locked.problem(429, "access.locked-out");
    assert_eq!(problem["retryable"], true);
    let seconds: u64 = locked.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=30).contains(&seconds), "{seconds}");
    for name in [" id-locked ", "id-unknown"] {
        assert_eq!(login(host, name, PASSWORD).problem(429, "access.locked-out"), problem);
    }
    assert_eq!(host.read(&path("user", &user)).ok()["is_locked_out"], true);
    // Others log in, and who is in stays in.
    self::user(host, "id-not-locked");
    login(host, "id-not-locked", PASSWORD).ok();
    with(host, text(&session, "token"), "flow").ok();
}

/// A login that a trusted proxy says comes from an address.
fn login_from<'a>(host: &'a Host, from: &str, user: &str, password: &str) -> Request<'a> {
    let login = json!({ "user_name": user, "password": password });
    host.post_json("/api/latest/auth/login", &login).header("X-Forwarded-For", from)
}

#[test]
fn failed_logins_from_elsewhere_lock_no_user_out() {
    let host = Setup::new().flag("--set", "trusted_proxies=127.0.0.1").start();
    user(&host, "id-owner");
    let login = |from: &str, password: &str| login_from(&host, from, "id-owner", password).send();
    for _ in 0..5 {
        login("2001:db8:1:2::1", "wrong").problem(401, "access.login-failed");
    }
    login("2001:db8:1:2::1", PASSWORD).problem(429, "access.locked-out");
    login("2001:db8:1:2:ffff::1", PASSWORD).problem(429, "access.locked-out");
    login("2001:db8:1:3::1", PASSWORD).ok();
    login("198.51.100.1", PASSWORD).ok();
    // An address that the caller wrote is not the caller's.
    login("198.51.100.1, 2001:db8:1:2::1", PASSWORD).problem(429, "access.locked-out");
}

#[test]
fn flood_of_wrong_logins_keeps_no_caller_out() {
    let host = Setup::new().flag("--set", "trusted_proxies=127.0.0.1").start();
    user(&host, "id-flooded");
    let token = text(&login(&host, "id-flooded", PASSWORD).ok(), "token").to_owned();
    let wrong = |number: usize, from: &str| login_from(&host, from, &format!("id-wrong-{number}"), "wrong").start();
    let mut flood: Vec<_> = (0..100).map(|number| wrong(number, "198.51.100.1")).collect();
    login_from(&host, "198.51.100.1", "id-flooded", PASSWORD).send().ok();
    login_from(&host, "198.51.100.2", "id-flooded", PASSWORD).send().ok();
    with(&host, &token, "flow").ok();
    for login in &mut flood {
        login.answer("POST").problem(401, "access.login-failed");
    }
    // More at once than have a place: those from elsewhere still have one.
    let mut flood: Vec<_> = (0..300).map(|number| wrong(number, "198.51.100.3")).collect();
    login_from(&host, "198.51.100.4", "id-flooded", PASSWORD).send().ok();
    // The newest are answered first.
    flood.iter_mut().rev().for_each(|login| drop(login.answer("POST")));
}

#[test]
fn users_known_at_an_address_log_in_after_a_flood_from_there() {
    let host = Setup::new().flag("--set", "trusted_proxies=127.0.0.1").start();
    let office = "198.51.100.5";
    for name in ["id-known", "id-guest"] {
        user(&host, name);
    }
    login_from(&host, office, "id-known", PASSWORD).send().ok();
    // More failures than one address may have, of which as many wait at once as there are places for.
    for flood in 0..3 {
        let wrong = |number: usize| login_from(&host, office, &format!("id-wrong-{flood}-{number}"), "wrong").start();
        let mut flood: Vec<_> = (0..100).map(wrong).collect();
        login_from(&host, office, "id-known", PASSWORD).send().ok();
        // The newest are answered first.
        flood.iter_mut().rev().for_each(|login| drop(login.answer("POST")));
    }
    login_from(&host, office, "id-guest", PASSWORD).send().problem(429, "access.locked-out");
    login_from(&host, office, "id-known", PASSWORD).send().ok();
    // The known name is not free to be guessed.
    for _ in 0..5 {
        login_from(&host, office, "id-known", "wrong").send().problem(401, "access.login-failed");
    }
    login_from(&host, office, "id-known", PASSWORD).send().problem(429, "access.locked-out");
}

#[test]
fn passwords_are_never_read_back() {
    let host = Setup::new().variable("FLOWHOST_LOG", "debug").start();
    let user = user(&host, "id-hidden");
    login(&host, "id-hidden", PASSWORD).ok();
    login(&host, "id-hidden", "wrong password").problem(401, "access.login-failed");
    for what in [path("user", &user), "user".to_owned(), format!("{}/history", path("user", &user))] {
        let answer = host.read(&what);
        answer.ok();
        for secret in [PASSWORD, "argon2", "password_hash", "sessions_valid_from", "digest", "api_tokens"] {
            assert!(!answer.text().contains(secret), "`{secret}` in {}", answer.text());
        }
    }
    assert_eq!(user["has_password"], true);
    for secret in [PASSWORD, "wrong password", "argon2"] {
        assert!(!host.log().contains(secret));
    }
    let kept = std::fs::read_dir(host.data()).unwrap().filter_map(|entry| std::fs::read(entry.unwrap().path()).ok());
    let mut has_hash = false;
    for bytes in kept {
        assert!(!bytes.windows(PASSWORD.len()).any(|window| window == PASSWORD.as_bytes()));
        has_hash |= bytes.windows(10).any(|window| window == b"$argon2id$");
    }
    assert!(has_hash, "there was something to look at");
}

#[test]
fn a_new_password_ends_the_sessions_and_the_old_password() {
    let host = Host::shared();
    let user = user(host, "id-change");
    let token = text(&login(host, "id-change", PASSWORD).ok(), "token").to_owned();
    // Every identity may change its own password, though not every property.
    let own = host.request("PATCH", &format!("/api/latest/{}", path("user", &user)));
    let own = |change: Value| own.clone().body(change.to_string()).header("Authorization", &token).send();
    own(json!({ "name": "id-other" })).problem(403, "access.forbidden");
    own(json!({ "password": "another password", "is_enabled": true })).problem(403, "access.forbidden");
    own(json!({ "password": "short" })).problem(422, "record.invalid");
    own(json!({ "password": "another password" })).ok();
    with(host, &token, "flow").problem(401, "access.unauthorized");
    login(host, "id-change", PASSWORD).problem(401, "access.login-failed");
    login(host, "id-change", "another password").ok();
    host.change(&path("user", &user), &json!({ "password": null })).ok();
    login(host, "id-change", "another password").problem(401, "access.login-failed");
    assert_eq!(host.read(&path("user", &user)).ok()["has_password"], false);
}

#[test]
fn disabling_or_trashing_a_user_ends_what_they_have() {
    let host = Host::shared();
    for name in ["id-out-disabled", "id-out-trashed"] {
        let user = user(host, name);
        let tokens = format!("{}/token", path("user", &user));
        let issued = host.create(&tokens, &json!({ "name": "t" })).ok();
        let session = login(host, name, PASSWORD).ok();
        if name == "id-out-disabled" {
            host.change(&path("user", &user), &json!({ "is_enabled": false })).ok();
        } else {
            assert_eq!(host.delete(&path("user", &user)).status, 204);
            // Nobody comes back by a token that is made for one in the trash.
            host.create(&tokens, &json!({ "name": "late" })).problem(409, "record.readonly");
        }
        for token in [text(&issued, "token"), text(&session, "token")] {
            with(host, token, "flow").problem(401, "access.unauthorized");
        }
        login(host, name, PASSWORD).problem(401, "access.login-failed");
    }
}

#[test]
fn an_api_token_is_shown_once_and_kept_as_a_digest() {
    let host = Host::start();
    let person = Person::in_role(&host, "id-token", "Developer");
    assert!(person.token.starts_with("fh_") && person.token.len() > 40, "{}", person.token);
    let tokens = format!("{}/token", path("user", &person.record));
    let listed = person.read(&tokens);
    let listed_json = listed.ok();
    assert_eq!(listed_json.as_array().unwrap().len(), 1);
    assert_eq!([&listed_json[0]["name"], &listed_json[0]["expires_at"]], [&json!("test"), &Value::Null]);
    assert!(listed_json[0].get("token").is_none() && listed_json[0].get("digest").is_none());
    let secret = person.token.as_bytes();
    for entry in std::fs::read_dir(host.data()).unwrap() {
        let Ok(bytes) = std::fs::read(entry.unwrap().path()) else { continue };
        assert!(!bytes.windows(secret.len()).any(|window| window == secret));
    }
    assert!(!host.log().contains(&person.token));
    // It outlives the process.
    let token = person.token.clone();
    let host = host.crash();
    with(&host, &token, "flow").ok();
}

#[test]
fn an_api_token_is_revoked_by_its_id() {
    let host = Host::shared();
    let person = Person::in_role(host, "id-revoke", "Developer");
    let tokens = format!("{}/token", path("user", &person.record));
    let other = person.create(&tokens, &json!({ "name": "other" })).ok();
    let other_token = text(&other, "token");
    with(host, other_token, "flow").ok();
    assert_eq!(person.delete(&format!("{tokens}/{}", text(&other, "id"))).status, 204);
    with(host, other_token, "flow").problem(401, "access.unauthorized");
    with(host, &person.token, "flow").ok();
    person.delete(&format!("{tokens}/{}", text(&other, "id"))).problem(404, "record.not-found");
    assert_eq!(person.read(&tokens).ok().as_array().unwrap().len(), 1);
}

#[test]
fn an_api_token_ends_when_it_expires() {
    let host = Host::shared();
    let person = Person::in_role(host, "id-expiry", "Developer");
    let tokens = format!("{}/token", path("user", &person.record));
    let past = json!({ "name": "past", "expires_at": "2020-01-01T00:00:00Z" });
    person.create(&tokens, &past).problem(422, "record.invalid");
    person.create(&tokens, &json!({ "name": "bad", "expires_at": "soon" })).problem(422, "record.invalid");
    let later = person.create(&tokens, &json!({ "name": "later", "expires_at": "2100-01-01T00:00:00Z" })).ok();
    with(host, text(&later, "token"), "flow").ok();
    let soon = std::time::SystemTime::now() + std::time::Duration::from_secs(5);
    let micros = soon.duration_since(std::time::UNIX_EPOCH).unwrap().as_micros();
    let soon = flowhost_model::Timestamp(i64::try_from(micros).unwrap()).to_string();
    let soon = person.create(&tokens, &json!({ "name": "soon", "expires_at": soon })).ok();
    let expired = until("the token has expired", || {
        let answer = with(host, text(&soon, "token"), "flow");
        (answer.status != 200).then_some(answer)
    });
    expired.problem(401, "access.unauthorized");
    with(host, text(&later, "token"), "flow").ok();
}

#[test]
fn an_api_token_can_be_narrowed_to_some_roles() {
    let host = Host::shared();
    let [viewer, developer] = ["User", "Developer"].map(|role| host.read(&format!("role/{role}?by=name")).ok());
    let roles = json!([{ "role_name": "User" }, { "role_name": "Developer" }]);
    let user = host.create("user", &json!({ "name": "id-narrow", "password": PASSWORD, "roles": roles })).ok();
    let tokens = format!("{}/token", path("user", &user));
    let issued = host.create(&tokens, &json!({ "name": "all" })).ok();
    let whole = Person { host, token: text(&issued, "token").to_owned(), record: user.clone() };
    let narrowed = whole.create(&tokens, &json!({ "name": "ci", "role_ids": [viewer["id"]] })).ok();
    let narrowed = whole.by_token(text(&narrowed, "token"));
    narrowed.read("flow").ok();
    narrowed.create("setting", &json!({ "name": "id-narrow" })).problem(403, "access.forbidden");
    whole.create("setting", &json!({ "name": "id-narrow" })).ok();
    // It neither widens itself nor lends what it lacks: not by another token, a password or a setting.
    narrowed.create(&tokens, &json!({ "name": "wide" })).problem(403, "access.forbidden");
    narrowed.change(&path("user", &user), &json!({ "password": "known to me" })).problem(403, "access.forbidden");
    login(host, "id-narrow", PASSWORD).ok();
    let admin = host.read("role/Admin?by=name").ok();
    let foreign = whole.create(&tokens, &json!({ "name": "admin", "role_ids": [admin["id"]] }));
    assert!(text(&foreign.problem(422, "record.invalid"), "detail").contains("`role_ids`"));
    // A role that the user loses is lost to the token too.
    host.change(&path("user", &user), &json!({ "roles": [{ "role_id": developer["id"] }] })).ok();
    let none = narrowed.read("flow").ok();
    assert_eq!(none, json!([]));
}

#[test]
fn a_narrowed_token_does_not_lend_its_users_other_roles_by_a_setting() {
    let host = Host::shared();
    let permissions = json!([
        { "record_type": "WEBHOOK" }, { "record_type": "SETTING" }, { "record_type": "FLOW", "operation": "READ" },
    ]);
    let role = host.create("role", &json!({ "name": "id-hooks", "permissions": permissions })).ok();
    let roles = json!([{ "role_name": "id-hooks" }, { "role_name": "Developer" }]);
    let user = host.create("user", &json!({ "name": "id-lender", "roles": roles })).ok();
    let tokens = format!("{}/token", path("user", &user));
    let wide = host.create(&tokens, &json!({ "name": "wide" })).ok();
    let narrow = host.create(&tokens, &json!({ "name": "narrow", "role_ids": [role["id"]] })).ok();
    let [wide, narrow] =
        [wide, narrow].map(|issued| Person { host, token: text(&issued, "token").to_owned(), record: user.clone() });
    let value = "flow_name: canary\nuser_name: id-lender";
    narrow.set("client.webhook.id-lender", value).problem(403, "access.forbidden");
    wide.set("client.webhook.id-lender", value).ok();
}

#[test]
fn cookie_of_a_login_is_secure_behind_tls() {
    let cookie = |host: &Host, proto: &str| {
        user(host, &format!("tls-{proto}"));
        let login = json!({ "user_name": format!("tls-{proto}"), "password": PASSWORD });
        let answer = host.post_json("/api/latest/auth/login", &login).header("X-Forwarded-Proto", proto).send();
        answer.header("set-cookie").unwrap().to_owned()
    };
    let (plain, proxied) = (Host::start(), Setup::new().flag("--set", "trusted_proxies=127.0.0.1").start());
    let public = Setup::new().flag("--set", "public_url=https://flows.example").start();
    assert!(!cookie(&plain, "https").contains("Secure"), "a caller says so");
    assert!(cookie(&proxied, "https").ends_with("; Secure"));
    assert!(!cookie(&proxied, "http").contains("Secure"));
    assert!(cookie(&public, "http").ends_with("; Secure"));
}

#[test]
fn narrowed_token_changes_nothing_of_its_users_account() {
    let host = Host::shared();
    let viewer = host.read("role/User?by=name").ok();
    let roles = json!([{ "role_name": "User" }, { "role_name": "Developer" }]);
    let members = json!({ "name": "id-account", "password": PASSWORD, "email": "own@example.org", "roles": roles });
    let user = host.create("user", &members).ok();
    let (at, tokens) = (path("user", &user), format!("{}/token", path("user", &user)));
    let issue = |members: Value| host.create(&tokens, &members).ok();
    let (whole, narrowed) =
        (issue(json!({ "name": "whole" })), issue(json!({ "name": "n", "role_ids": [viewer["id"]] })));
    let by = |issued: &Value| Person { host, token: text(issued, "token").to_owned(), record: user.clone() };
    let session = text(&login(host, "id-account", PASSWORD).ok(), "token").to_owned();
    let holder = by(&narrowed);
    for change in
        [json!({ "email": "mine@example.org" }), json!({ "description": "mine" }), json!({ "password": "known to me" })]
    {
        holder.change(&at, &change).problem(403, "access.forbidden");
    }
    holder.delete(&format!("{tokens}/{}", text(&whole, "id"))).problem(403, "access.forbidden");
    holder.create("auth/logout", &json!({})).problem(403, "access.forbidden");
    assert_eq!(host.read(&at).ok()["email"], "own@example.org");
    for token in [text(&whole, "token"), &session] {
        with(host, token, "flow").ok();
    }
    // What was not narrowed may, and a token that another person has by now ends itself.
    by(&whole).change(&at, &json!({ "email": "new@example.org", "description": "mine" })).ok();
    assert_eq!(holder.delete(&format!("{tokens}/{}", text(&narrowed, "id"))).status, 204);
    with(host, &holder.token, "flow").problem(401, "access.unauthorized");
    assert_eq!(by(&whole).create("auth/logout", &json!({})).status, 204);
    with(host, &session, "flow").problem(401, "access.unauthorized");
}
