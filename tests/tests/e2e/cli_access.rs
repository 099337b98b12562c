//! Users, roles, tokens and the trash by the command line.

use flowhost_tests::{Host, Ran};
use serde_json::{Value, json};

/// The names in the first column of a table, without its head.
fn names(ran: &Ran) -> Vec<&str> {
    assert_eq!(ran.exit, Some(0), "{ran:?}");
    ran.stdout.lines().skip(1).map(|line| line.split("  ").next().unwrap()).collect()
}

#[test]
fn a_user_gets_a_password_and_roles() {
    let host = Host::start();
    let created = host.cli(&["user", "create", "kevin", "--role", "User", "--json"]).json();
    assert_eq!([&created["name"], &created["has_password"]], [&json!("kevin"), &json!(false)]);
    let login = |password: &str| {
        let login = json!({ "user_name": "kevin", "password": password });
        host.post_json("/api/latest/auth/login", &login).send()
    };
    let set = host.cli_with_input(&["user", "password", "kevin", "-", "--json"], "correct horse\n").json();
    assert_eq!(set["has_password"], true);
    login("correct horse").ok();
    let short = host.cli_with_input(&["user", "password", "kevin", "-", "--json"], "short").problem(6);
    assert_eq!(short["code"], "record.invalid");
    login("correct horse").ok();
    host.cli(&["user", "roles", "kevin", "Operator", "Developer", "--json"]).json();
    let listed = host.cli(&["user", "list"]);
    assert_eq!(names(&listed), ["admin", "kevin"]);
    assert!(listed.stdout.contains("Operator, Developer"), "{}", listed.stdout);
    let unknown = host.cli(&["user", "roles", "kevin", "Nobody", "--json"]).problem(6);
    assert_eq!(unknown["code"], "record.invalid");
    assert_eq!(host.cli(&["user", "roles", "kevin", "--none", "--json"]).json()["roles"], json!([]));
    assert_eq!(host.cli(&["user", "disable", "kevin", "--json"]).json()["is_enabled"], false);
    login("correct horse").problem(401, "access.login-failed");
    assert_eq!(host.cli(&["user", "enable", "kevin", "--json"]).json()["is_enabled"], true);
    login("correct horse").ok();
    assert_eq!(host.cli(&["user", "delete", "kevin"]).exit, Some(0));
    login("correct horse").problem(401, "access.login-failed");
    assert_eq!(host.cli(&["user", "enable", "kevin", "--json"]).problem(5)["code"], "record.not-found");
    assert_eq!(host.cli(&["user", "password", "admin", "/no/such/file", "--json"]).problem(8)["code"], "cli.local");
}

#[test]
fn user_roles_without_a_role_changes_nothing() {
    let host = Host::start();
    let created = host.cli(&["user", "create", "kevin", "--role", "User", "--role", "Operator", "--json"]).json();
    let shown = host.cli(&["user", "roles", "kevin"]);
    assert_eq!((shown.exit, &*shown.stdout), (Some(0), "User\nOperator\n"), "{shown:?}");
    assert!(shown.stderr.contains("--none"), "{shown:?}");
    assert_eq!(host.cli(&["user", "roles", "kevin", "--json"]).json(), created);
    assert_eq!(host.cli(&["user", "roles", "kevin", "User", "--none"]).exit, Some(2));
    assert_eq!(host.cli(&["user", "roles", "kevin", "--none", "--json"]).json()["roles"], json!([]));
    assert_eq!(host.cli(&["user", "roles", "kevin"]).stdout, "");
}

#[test]
fn a_role_is_made_of_types_and_operations_and_may_end_at_a_project() {
    let host = Host::start();
    let project = host.create("project", &json!({ "name": "harbour" })).ok();
    let create = ["role", "create", "auditor", "--permit", "flow:READ", "--permit", "EXECUTION:*"];
    let role = host.cli(&[&create[..], &["--project", "harbour", "--json"]].concat()).json();
    let expected = json!([
        { "project_id": project["id"], "record_type": "FLOW", "operation": "READ" },
        { "project_id": project["id"], "record_type": "EXECUTION" },
    ]);
    assert_eq!(role["permissions"], expected);
    let shown = host.cli(&["role", "show", "auditor"]);
    let lines: Vec<Vec<&str>> = shown.stdout.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines, [["TYPE", "OPERATION", "PROJECT"], ["FLOW", "READ", "harbour"], ["EXECUTION", "*", "harbour"]]);
    assert!(names(&host.cli(&["role", "list"])).contains(&"auditor"));
    assert_eq!(host.cli(&["role", "show", "auditor", "--json"]).json(), role);
    let everything = host.cli(&["role", "create", "all", "--permit", "*:*", "--json"]).json();
    assert_eq!(everything["permissions"], json!([{}]));
    assert_eq!(host.cli(&["role", "create", "none"]).exit, Some(2));
    assert_eq!(host.cli(&["role", "create", "bad", "--permit", "FLOWER:READ"]).exit, Some(2));
    let nowhere = host.cli(&["role", "create", "bad", "--permit", "FLOW:READ", "--project", "no", "--json"]);
    assert_eq!(nowhere.problem(5)["code"], "record.not-found");
    assert_eq!(host.cli(&["role", "delete", "auditor"]).exit, Some(0));
    assert_eq!(host.cli(&["role", "show", "auditor", "--json"]).problem(5)["code"], "record.not-found");
    assert_eq!(host.cli(&["role", "delete", "Admin", "--json"]).problem(6)["code"], "record.readonly");
}

#[test]
fn role_in_use_is_deleted_only_by_force() {
    let host = Host::start();
    host.deploy("hello");
    host.cli(&["role", "create", "auditor", "--permit", "FLOW:READ", "--json"]).json();
    host.cli(&["user", "create", "kevin", "--role", "auditor", "--json"]).json();
    host.cli(&["webhook", "create", "greet", "--flow", "hello", "--role", "auditor", "--json"]).json();
    let refused = host.cli(&["role", "delete", "auditor", "--json"]).problem(6);
    assert_eq!(refused["code"], "cli.refused");
    for word in ["the user kevin", "the webhook greet"] {
        assert!(refused["detail"].as_str().unwrap().contains(word), "{refused}");
    }
    assert!(refused["next"].as_str().unwrap().contains("--force"), "{refused}");
    host.cli(&["role", "show", "auditor", "--json"]).json();
    let forced = host.cli(&["role", "delete", "auditor", "--force"]);
    assert!(forced.exit == Some(0) && forced.stderr.contains("the user kevin, the webhook greet lost"), "{forced:?}");
    assert_eq!(host.cli(&["role", "show", "auditor", "--json"]).problem(5)["code"], "record.not-found");
}

#[test]
fn a_token_is_shown_once_and_can_be_revoked() {
    let host = Host::start();
    host.cli(&["user", "create", "ci", "--role", "Developer", "--role", "Operator", "--json"]).json();
    let create = ["token", "create", "ci", "build", "--role", "Operator", "--expires-at", "2999-01-01T00:00:00Z"];
    let made = host.cli(&create);
    let token = made.stdout.trim();
    assert!(made.stderr.contains("not shown again"), "{}", made.stderr);
    let try_it = || host.cli(&["setting", "list", "--token", token, "--json"]);
    try_it().json();
    // Narrowed to a role that sets none.
    let set = ["setting", "set", "x", "-", "--token", token, "--json"];
    assert_eq!(host.cli_with_input(&set, "1").problem(4)["code"], "access.forbidden");
    let listed = host.cli(&["token", "list", "ci", "--json"]);
    assert_eq!((&listed.json()[0]["name"], listed.stdout.contains(token)), (&json!("build"), false));
    assert_eq!(names(&host.cli(&["token", "list", "ci"])), ["build"]);
    assert_eq!(host.cli(&["token", "revoke", "ci", "deploy", "--json"]).problem(5)["code"], "cli.not-found");
    assert_eq!(host.cli(&["token", "revoke", "ci", "build"]).exit, Some(0));
    assert_eq!(try_it().problem(4)["code"], "access.unauthorized");
    let id = host.cli(&["token", "create", "ci", "second", "--json"]).json()["id"].as_str().unwrap().to_owned();
    host.cli(&["token", "create", "ci", "second", "--json"]).json();
    assert_eq!(host.cli(&["token", "revoke", "ci", "second", "--json"]).problem(2)["code"], "cli.usage");
    assert_eq!(host.cli(&["token", "revoke", "ci", &id]).exit, Some(0));
    assert_eq!(host.cli(&["token", "create", "nobody", "x", "--json"]).problem(5)["code"], "record.not-found");
}

#[test]
fn list_that_may_not_be_read_says_so() {
    let host = Host::start();
    host.webhook("greet", "hello");
    host.cli(&["user", "create", "stranger", "--json"]).json();
    let token = host.cli(&["token", "create", "stranger", "test"]).stdout.trim().to_owned();
    let lists = [
        (&["flow", "list"][..], "FLOW:READ"),
        (&["webhook", "list"], "WEBHOOK:READ"),
        (&["executions", "list"], "EXECUTION:READ"),
        (&["setting", "list"], "SETTING:READ"),
        (&["messages", "list"], "MESSAGE:READ"),
        (&["secret", "list"], "SECRET:READ"),
        (&["locks", "list"], "EXECUTION:READ"),
        (&["role", "list"], "ROLE:READ"),
        (&["trash", "list"], "may not read"),
    ];
    for (list, permission) in lists {
        let ran = host.cli(&[list, &["--token", &token]].concat());
        assert_eq!((ran.exit, ran.stdout.lines().count()), (Some(0), 1), "{ran:?}");
        assert!(ran.stderr.contains(permission), "{list:?}: {ran:?}");
        let ran = host.cli(&[list, &["--token", &token, "--json"]].concat());
        assert_eq!(ran.json(), json!([]));
        let note: Value = serde_json::from_str(&ran.stderr).unwrap();
        assert!(note["note"].as_str().unwrap().contains(permission), "{note}");
        // An operator's empty list is empty.
        assert_eq!(host.cli(list).stderr, "", "{list:?}");
    }
}

#[test]
fn advice_tells_a_wrong_token_from_one_that_lacks_a_role() {
    let host = Host::start();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("hello.wasm");
    std::fs::write(&file, flowhost_tests::component("hello")).unwrap();
    host.cli(&["user", "create", "reader", "--role", "User", "--json"]).json();
    let token = host.cli(&["token", "create", "reader", "test"]).stdout.trim().to_owned();
    let deploy = |token: &str| host.cli(&["deploy", file.to_str().unwrap(), "--name", "hello", "--token", token]);
    let wrong = deploy("fh_wrong");
    assert!(wrong.exit == Some(4) && wrong.stderr.contains("give a valid token"), "{wrong:?}");
    let lacking = deploy(&token);
    assert!(lacking.exit == Some(4) && lacking.stderr.contains("flowhost user roles"), "{lacking:?}");
    assert!(!lacking.stderr.contains("give a valid token"), "{lacking:?}");
    host.webhook_with("members", "hello", &json!({ "require_login": true }));
    let call = host.cli(&["call", "members"]);
    assert!(call.exit == Some(4) && call.stderr.contains("Bearer TOKEN") && !call.stderr.contains("--key"), "{call:?}");
    host.webhook_with("locked", "hello", &json!({ "key": "k3y-0123456789ab" }));
    let call = host.cli(&["call", "locked"]);
    assert!(call.exit == Some(4) && call.stderr.contains("--key"), "{call:?}");
}

#[test]
fn webhooks_of_a_user_who_leaves_are_named_and_marked() {
    let host = Host::start();
    host.deploy("hello");
    host.cli(&["user", "create", "ada", "--role", "User", "--json"]).json();
    host.set("client.webhook.greet", "flow_name: hello\nuser_name: ada").ok();
    host.set("client.webhook.other", "flow_name: hello\nuser_name: admin").ok();
    let warning = |name: &str| host.cli(&["webhook", "show", name, "--json"]).json()["warning"].clone();
    assert_eq!([warning("greet"), warning("other")], [Value::Null, Value::Null]);
    let leaves = [
        &["user", "disable", "ada"][..],
        // Said again, since it is still so.
        &["user", "delete", "ada"],
    ];
    for leave in leaves {
        let left = host.cli(leave);
        assert!(left.exit == Some(0) && left.stderr.contains("client.webhook.greet"), "{left:?}");
        assert!(left.stderr.contains("flowhost setting delete") && !left.stderr.contains("webhook.other"), "{left:?}");
        let why = warning("greet");
        assert!(why.as_str().unwrap().contains("its user `ada` is gone or disabled"), "{why}");
        assert_eq!(warning("other"), Value::Null);
        for shown in [&["webhook", "list"][..], &["webhook", "show", "greet"]] {
            let shown = host.cli(shown);
            assert!(shown.stdout.contains("its user `ada` is gone or disabled"), "{shown:?}");
        }
    }
    let note: Value = serde_json::from_str(&host.cli(&["user", "disable", "admin", "--json"]).stderr).unwrap();
    assert_eq!(note["code"], "record.readonly");
    assert_eq!(host.cli(&["trash", "restore", "user", "ada"]).exit, Some(0));
    assert_eq!(host.cli(&["user", "enable", "ada"]).exit, Some(0));
    assert_eq!(warning("greet"), Value::Null);
    let note = host.cli(&["user", "disable", "ada", "--json"]);
    assert_eq!(note.json()["is_enabled"], false);
    let note: Value = serde_json::from_str(&note.stderr).unwrap();
    assert!(note["note"].as_str().unwrap().contains("client.webhook.greet"), "{note}");
    // What is offered ends it.
    assert_eq!(host.cli(&["setting", "delete", "client.webhook.greet"]).exit, Some(0));
    host.post("/api/latest/webhook/default/greet", "").send().problem(404, "webhook.not-found");
}

#[test]
fn webhooks_whose_flow_goes_are_named_and_marked() {
    let host = Host::start();
    host.webhook("greet", "hello");
    host.set("client.webhook.form", "flow_name: hello\nuser_name: admin").ok();
    host.webhook("other", "outputs");
    let deleted = host.cli(&["flow", "delete", "hello"]);
    assert!(deleted.exit == Some(0) && deleted.stderr.contains("answer 404: form, greet\n"), "{deleted:?}");
    let listed = host.cli(&["webhook", "list", "--json"]).json();
    let marked: Vec<(&str, bool)> = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|webhook| (webhook["name"].as_str().unwrap(), webhook["warning"].is_string()))
        .collect();
    assert_eq!(marked, [("form", true), ("greet", true), ("other", false)]);
    let shown = host.cli(&["webhook", "show", "greet"]).stdout;
    assert!(shown.contains("its flow does not exist any more"), "{shown}");
    let shown = host.cli(&["webhook", "show", "form"]).stdout;
    assert!(shown.contains("there is no flow `hello`"), "{shown}");
    assert_eq!(host.cli(&["flow", "delete", "outputs", "--json"]).exit, Some(0));
    host.deploy("echo");
    assert_eq!(host.cli(&["flow", "delete", "echo"]).stderr.lines().count(), 1);
}

#[test]
fn what_is_in_the_trash_comes_back_or_goes_for_good() {
    let host = Host::start();
    assert_eq!(host.cli(&["trash", "list", "--json"]).json(), json!([]));
    let make = |value: u64| host.create("setting", &json!({ "name": "twice", "value": value })).ok();
    let twice: Vec<Value> = [1, 2]
        .into_iter()
        .map(|value| {
            let made = make(value);
            assert_eq!(host.delete("setting/twice?by=name").status, 204);
            made
        })
        .collect();
    host.user("once");
    assert_eq!(host.cli(&["user", "delete", "once"]).exit, Some(0));
    let listed = host.cli(&["trash", "list"]);
    assert_eq!(names(&listed), ["setting", "setting", "user"]);
    assert_eq!(host.cli(&["trash", "list", "--json"]).json().as_array().unwrap().len(), 3);
    let several = host.cli(&["trash", "restore", "setting", "twice"]);
    let id = twice[1]["id"].as_str().unwrap();
    assert_eq!(several.exit, Some(2));
    assert!(several.stderr.contains(id), "{}", several.stderr);
    assert_eq!(host.cli(&["trash", "restore", "setting", id, "--json"]).json()["value"], 2);
    assert_eq!(host.cli(&["trash", "delete", "setting", "twice"]).exit, Some(0));
    host.read(&format!("setting/{}", twice[0]["id"].as_str().unwrap())).problem(404, "record.not-found");
    assert_eq!(host.cli(&["trash", "restore", "user", "once"]).exit, Some(0));
    host.read("user/once?by=name").ok();
    assert_eq!(host.cli(&["trash", "delete", "user", "once", "--json"]).problem(5)["code"], "cli.not-found");
    assert_eq!(host.cli(&["trash", "restore", "execution", "x"]).exit, Some(2));
}

#[test]
fn operators_token_goes_to_this_machine_only() {
    let host = Host::start();
    // Of the addresses for documentation: nothing is ever sent there.
    let other = "http://192.0.2.1:8080";
    let run = |more: &[&str]| host.cli(&[&["flow", "list", "--json", "--server", other], more].concat());
    let problem = run(&[]).problem(4);
    assert_eq!(problem["code"], "cli.unauthorized");
    for word in ["operator-token", "this machine only", other] {
        assert!(problem["detail"].as_str().unwrap().contains(word), "{problem}");
    }
    assert!(problem["next"].as_str().unwrap().contains("--token"), "{problem}");
    // One that was given is not sent where everyone on the way reads it.
    let problem = run(&["--token", "fh_given"]).problem(2);
    assert!(problem["next"].as_str().unwrap().contains("--plain-http"), "{problem}");
    let call = ["call", "hello", "--key", "k", "--json", "--server", other];
    assert_eq!(host.cli(&call).problem(2)["code"], "cli.usage");
    let own = host.url().replace("127.0.0.1", "localhost");
    assert_eq!(host.cli(&["flow", "list", "--json", "--server", &own]).json(), json!([]));
    std::fs::write(host.data().join("operator-token"), "").unwrap();
    let problem = host.cli(&["flow", "list", "--json"]).problem(4);
    assert!(problem["next"].as_str().unwrap().contains("start the server again"), "{problem}");
}
