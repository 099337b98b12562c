//! The command line against a running host.

use flowhost_tests::{Host, Ran, Setup, component, until};
use serde_json::{Value, json};

/// A file with a guest's component.
fn file(guest: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(format!("{guest}.wasm"));
    std::fs::write(&file, component(guest)).unwrap();
    let file = file.to_str().unwrap().to_owned();
    (folder, file)
}

#[test]
fn the_tour_from_deploy_to_logs() {
    let host = Host::start();
    let (_folder, hello) = file("hello");
    let deployed = host.cli(&["deploy", &hello, "--name", "hello", "--json"]).json();
    assert_eq!((&deployed["flow"]["name"], &deployed["version"]["version"]), (&json!("hello"), &json!(1)));
    assert_eq!(host.cli(&["deploy", &hello, "--name", "hello", "--json"]).json()["is_unchanged"], true);

    let created =
        host.cli(&["webhook", "create", "greet", "--flow", "hello", "--key", "k3y-0123456789ab", "--json"]).json();
    assert_eq!([&created["is_enabled"], &created["is_key_required"], &created["is_productive"]], [false, true, true]);
    let problem = host.cli(&["call", "greet", "--key", "k3y-0123456789ab", "--json"]).problem(5);
    assert_eq!(problem["code"], "webhook.not-found");
    assert_eq!(host.cli(&["webhook", "enable", "greet", "--json"]).json()["is_enabled"], true);
    let listed = host.cli(&["webhook", "list", "--json"]).json();
    assert_eq!(listed[0]["name"], "greet");

    let called = host.cli(&["call", "greet", "--key", "k3y-0123456789ab", "-d", r#"{"name":"Ada"}"#, "--json"]).json();
    assert_eq!(called["output_value"], json!({ "greeting": "Hello, Ada!" }));
    let from_input =
        host.cli_with_input(&["call", "greet", "--key", "k3y-0123456789ab", "-d", "-", "--json"], r#"{"name":"Bob"}"#);
    assert_eq!(from_input.json()["output_value"], json!({ "greeting": "Hello, Bob!" }));
    let plain = host.cli(&["call", "greet", "--key", "k3y-0123456789ab"]);
    assert_eq!(plain.exit, Some(0));
    assert_eq!(serde_json::from_str::<Value>(&plain.stdout).unwrap(), json!({ "greeting": "Hello, world!" }));
    assert_eq!(host.cli(&["call", "greet", "--key", "wrong", "--json"]).problem(4)["code"], "webhook.unauthorized");

    let accepted = host.cli(&["call", "greet", "--key", "k3y-0123456789ab", "--async", "--json"]).json();
    let id = accepted["id"].as_str().unwrap();
    assert!(accepted["location"].as_str().unwrap().starts_with(&format!("{}/api/latest/execution/{id}", host.url())));
    host.wait_until_ended(id);
    assert_eq!(host.cli(&["executions", "show", id, "--json"]).json()["status"], "ENDED_SUCCESS");
    let listed = host.cli(&["executions", "list", "--limit", "2", "--json"]).json();
    assert_eq!((listed.as_array().unwrap().len(), &listed[0]["id"]), (2, &json!(id)));
    let logs = host.cli(&["logs", id, "--json"]).json();
    assert_eq!(logs["message"], "greeting world");
    assert!(host.cli(&["logs", id]).stdout.contains("greeting world"));

    assert_eq!(host.cli(&["webhook", "disable", "greet", "--json"]).json()["is_enabled"], false);
    assert_eq!(host.cli(&["call", "greet", "--key", "k3y-0123456789ab"]).exit, Some(5));
}

#[test]
fn a_webhook_is_made_with_the_roles_of_its_executions() {
    let host = Host::start();
    host.deploy("settings");
    let create = ["webhook", "create", "keeper", "--flow", "settings", "--enable", "--role"];
    let problem = host.cli(&[&create[..], &["Nobody", "--json"]].concat()).problem(6);
    assert!(problem["detail"].as_str().unwrap().contains("roles[0]"), "{problem}");
    let created = host.cli(&[&create[..], &["Developer", "--json"]].concat()).json();
    assert_eq!(created["roles"].as_array().unwrap().len(), 1, "{created}");
    let save = json!({ "ops": [{ "op": "save", "name": "kept", "value": 1 }] }).to_string();
    let called = host.cli(&["call", "keeper", "-d", &save, "--json"]).json();
    assert_eq!(called["output_value"]["results"], json!([{ "ok": null }]));
}

#[test]
fn a_webhook_wants_a_login_answers_for_its_flow_and_is_deleted() {
    let host = Host::start();
    host.deploy("hello");
    let create = ["webhook", "create", "members", "--flow", "hello", "--enable"];
    let created = host.cli(&[&create[..], &["--login", "--answer", "flow", "--json"]].concat()).json();
    assert_eq!((&created["require_login"], &created["options"]), (&json!(true), &json!({ "answer": "flow" })));
    host.post("/api/latest/webhook/members/call", "").send().problem(401, "webhook.unauthorized");
    host.webhook("open", "hello");
    let listed = host.cli(&["webhook", "list"]).stdout;
    let logins = listed.lines().map(|line| line.split_whitespace().nth(4).unwrap());
    assert_eq!(logins.collect::<Vec<_>>(), ["LOGIN", "needed", "none"], "{listed}");

    let deleted = host.cli(&["webhook", "delete", "members"]);
    assert!(deleted.exit == Some(0) && deleted.stderr.contains("trash restore webhook members"), "{deleted:?}");
    host.post("/api/latest/webhook/members/call", "").send().problem(404, "webhook.not-found");
    assert_eq!(host.cli(&["webhook", "delete", "members", "--json"]).problem(5)["code"], "record.not-found");
    // A setting is deleted as what it is.
    host.set("client.webhook.form", "flow_name: hello\nuser_name: admin").ok();
    let refused = host.cli(&["webhook", "delete", "form", "--json"]).problem(6);
    assert!(refused["detail"].as_str().unwrap().contains("client.webhook.form"), "{refused}");
}

#[test]
fn lists_go_on_beyond_a_page_of_the_api() {
    let host = Host::start();
    host.deploy("hello");
    for number in 0..60 {
        host.create("setting", &json!({ "name": format!("s{number}"), "value": number })).ok();
        host.create("webhook", &json!({ "name": format!("w{number}"), "flow_name": "hello" })).ok();
    }
    for kind in ["setting", "webhook"] {
        assert_eq!(host.cli(&[kind, "list", "--json"]).json().as_array().unwrap().len(), 60, "{kind}");
        assert_eq!(host.cli(&[kind, "list"]).stdout.lines().count(), 61, "{kind}");
    }
}

/// Does something with the numbers below `count`, from four threads.
fn for_each_number(count: usize, act: impl Fn(usize) + Sync) {
    std::thread::scope(|scope| {
        for first in 0..4 {
            let act = &act;
            scope.spawn(move || (first..count).step_by(4).for_each(act));
        }
    });
}

#[test]
fn lists_go_on_beyond_the_largest_page() {
    const COUNT: usize = 1_001;
    let host = Host::start();
    let webhook = host.webhook("greet", "hello");
    for_each_number(COUNT, |number| {
        host.create("setting", &json!({ "name": format!("s{number}"), "value": number })).ok();
        webhook.call_async(&host, &json!({}));
    });
    for list in [&["setting", "list"][..], &["executions", "list", "--limit", "100000"]] {
        let ran = host.cli(list);
        assert_eq!((ran.stdout.lines().count(), &*ran.stderr), (COUNT + 1, ""), "{list:?}");
        let ran = host.cli(&[list, &["--json"]].concat());
        assert_eq!((ran.json().as_array().unwrap().len(), &*ran.stderr), (COUNT, ""), "{list:?}");
    }
    let cut = host.cli(&["executions", "list", "--limit", "1000"]);
    assert_eq!(cut.stdout.lines().count(), 1_001);
    assert!(cut.stderr.contains("there are more; `--limit 10000`"), "{}", cut.stderr);
    let cut = host.cli(&["executions", "list", "--json"]);
    assert_eq!(cut.json().as_array().unwrap().len(), 50);
    let note: Value = serde_json::from_str(&cut.stderr).unwrap();
    assert!(note["note"].as_str().unwrap().contains("--limit 500"), "{note}");
}

#[test]
fn list_of_locks_links_its_next_page() {
    let host = Host::start();
    let keeper = host.webhook_with("keeper", "locks", &json!({ "roles": [{ "role_name": "Developer" }] }));
    let hold = |name: &str| {
        let operations = json!([{ "op": "acquire", "name": name }, { "op": "sleep", "name": name, "ms": 600_000 }]);
        keeper.call_async(&host, &json!({ "ops": operations }))
    };
    for name in ["a", "b"] {
        hold(name);
    }
    until("both are held", || (host.read("lock").ok().as_array().unwrap().len() == 2).then_some(()));
    let page = host.read("lock?limit=1");
    assert!(page.header("link").unwrap().contains("rel=\"next\""), "{page:?}");
}

#[test]
fn flows_are_listed_and_shown() {
    let host = Host::start();
    host.deploy("hello");
    let listed = host.cli(&["flow", "list", "--json"]).json();
    assert_eq!(listed[0]["name"], "hello");
    assert_eq!(host.cli(&["flow", "show", "hello", "--json"]).json()["active_version"], 1);
    let shown = host.cli(&["flow", "show", "hello"]).stdout;
    assert!(shown.contains("sha256:"), "{shown}");
    assert_eq!(host.cli(&["flow", "show", "nobody", "--json"]).problem(5)["code"], "record.not-found");
    assert_eq!(host.cli(&["flow", "delete", "hello"]).exit, Some(0));
    assert_eq!(host.cli(&["flow", "list", "--json"]).json(), json!([]));
}

#[test]
fn a_flow_is_allowed_to_call_hosts_outside() {
    let host = Host::start();
    let flow = host.deploy("hello")["flow"]["id"].as_str().unwrap().to_owned();
    host.change(&format!("flow/{flow}"), &json!({ "options": { "max_executions": 7 } })).ok();
    let allow = |lines: &[&str]| host.cli(&[&["flow", "allow", "hello", "--json"], lines].concat());
    let options = allow(&["https://a.example", "GET https://b.example"]).json()["options"].clone();
    let lines = json!(["https://a.example", "GET https://b.example"]);
    assert_eq!(options, json!({ "max_executions": 7, "http_allow": lines }));
    assert_eq!(allow(&["https://a.example"]).json()["options"], options);
    let problem = allow(&["ftp://c.example"]).problem(6);
    assert!(problem["detail"].as_str().unwrap().contains("`ftp://c.example`"), "{problem}");
    let denied = host.cli(&["flow", "deny", "hello", "https://a.example"]);
    assert_eq!((denied.exit, denied.stdout.as_str()), (Some(0), "GET https://b.example\n"));
    assert!(host.cli(&["flow", "show", "hello"]).stdout.contains("GET https://b.example"));
}

#[test]
fn a_setting_makes_a_webhook_that_is_called_by_client_and_name() {
    let host = Setup::new().flag("--workspace", "acme").start();
    host.deploy("hello");
    assert_eq!(host.cli(&["user", "create", "kevin", "--json"]).json()["name"], "kevin");
    // In development mode its user must be active, which the operator is.
    let value = "flow_name: hello\nuser_name: admin\nkey: k3y-0123456789ab\nmode: dev\n";
    let set = host.cli_with_input(&["setting", "set", "client.webhook.greet", "-", "--json"], value).json();
    assert_eq!(set["value"]["key"], "********");
    let called = host.cli(&["call", "acme/greet", "--key", "k3y-0123456789ab", "--json"]).json();
    assert_eq!(called["is_productive"], false);
    let problem =
        host.cli_with_input(&["setting", "set", "client.webhook.bad", "-", "--json"], "flow: hello").problem(6);
    assert_eq!(problem["code"], "record.invalid");
}

#[test]
fn empty_input_is_no_value_of_a_setting() {
    let host = Host::start();
    let set = |input: &str| host.cli_with_input(&["setting", "set", "rate", "-", "--json"], input);
    assert_eq!(set("7").json()["value"], 7);
    for empty in ["", "\n", "# a comment alone\n"] {
        let refused = set(empty).problem(6);
        assert_eq!(refused["code"], "record.invalid");
        assert!(refused["detail"].as_str().unwrap().contains("write `null`"), "{refused}");
    }
    assert_eq!(host.cli(&["setting", "get", "rate"]).stdout, "7\n");
    assert_eq!(set("null").json()["value"], Value::Null);
    assert_eq!(set("\"\"").json()["value"], "");
}

#[test]
fn every_failure_has_its_exit_code() {
    let host = Host::start();
    host.webhook("fails", "fail");
    host.webhook("sleeps", "sleeper");
    let failed = host.cli(&["call", "fails", "-d", r#"{"message":"no"}"#, "--json"]).problem(1);
    assert_eq!((&failed["code"], &failed["detail"]), (&json!("flow.error"), &json!("no")));
    let plain = host.cli(&["call", "fails", "-d", r#"{"message":"no"}"#]);
    assert_eq!((plain.exit, &*plain.stdout), (Some(1), ""));
    assert!(plain.stderr.starts_with("error: no (flow.error)\n"), "{}", plain.stderr);

    assert_eq!(host.cli(&["call"]).exit, Some(2));
    assert_eq!(host.cli(&["dance"]).exit, Some(2));
    let nobody = host.cli(&["webhook", "list", "--server", "http://127.0.0.1:1", "--json"]).problem(3);
    assert_eq!(nobody["code"], "cli.unreachable");
    assert_eq!(host.cli(&["webhook", "list", "--token", "x", "--json"]).problem(4)["code"], "access.unauthorized");
    let nonsense = host.cli(&["executions", "show", "nonsense", "--json"]).problem(5);
    assert_eq!(nonsense["code"], "cli.not-found");
    assert!(nonsense["next"].as_str().unwrap().contains("executions list"), "{nonsense}");
    let unknown = "01a202e4-f47d-72a3-b440-9b77d4430568";
    assert_eq!(host.cli(&["executions", "show", unknown, "--json"]).problem(5)["code"], "record.not-found");
    assert_eq!(
        host.cli(&["webhook", "create", "fails", "--flow", "fail", "--json"]).problem(6)["code"],
        "record.name-taken"
    );
    let folder = tempfile::tempdir().unwrap();
    let garbage = folder.path().join("garbage.wasm");
    std::fs::write(&garbage, "garbage").unwrap();
    let refused = host.cli(&["deploy", garbage.to_str().unwrap(), "--name", "x", "--json"]).problem(6);
    assert_eq!(refused["code"], "component.invalid");
    assert_eq!(host.cli(&["deploy", "/no/such/file", "--name", "x", "--json"]).problem(8)["code"], "cli.local");
}

#[test]
fn execution_is_named_by_latest_or_by_the_beginning_of_its_id() {
    let host = Host::start();
    assert_eq!(host.cli(&["executions", "show", "latest", "--json"]).problem(5)["code"], "cli.not-found");
    let webhook = host.webhook("greet", "hello");
    let ids = [1, 2].map(|_| webhook.call(&host, &json!({})).send().ok()["id"].as_str().unwrap().to_owned());
    let show = |id: &str| host.cli(&["executions", "show", id, "--json"]);
    assert_eq!(show("latest").json()["id"], ids[1]);
    assert_eq!(host.cli(&["logs", "latest", "--json"]).json()["message"], "greeting world");
    for id in &ids {
        // Long enough to be the only one, and in any form.
        assert_eq!(show(&id[..35]).json()["id"], **id);
        assert_eq!(show(&id[..35].to_uppercase().replace('-', "")).json()["id"], **id);
        assert!(host.cli(&["logs", &id[..35]]).stdout.contains("greeting world"));
    }
    let several = show(&ids[0][..2]).problem(2);
    assert_eq!(several["code"], "cli.usage");
    assert!(ids.iter().all(|id| several["next"].as_str().unwrap().contains(id)), "{several}");
    assert_eq!(show("ffff").problem(5)["code"], "cli.not-found");
    let waiting = host.webhook("sleeps", "sleeper").call_async(&host, &json!({ "ms": 600_000 }));
    // Another may have come meanwhile: what changes something wants an id.
    let refused = host.cli(&["executions", "cancel", "latest", "--json"]).problem(5);
    assert!(refused["next"].as_str().unwrap().contains("give an id"), "{refused}");
    assert_eq!(host.cli(&["executions", "cancel", &waiting[..35]]).exit, Some(0));
    assert_eq!(host.wait_until_ended(&waiting).status(), "ENDED_CANCELLED");
}

#[test]
fn server_is_named_before_the_noun_and_without_a_scheme() {
    let host = Host::start();
    host.deploy("hello");
    let (data, address) = (host.data().to_str().unwrap(), host.address().to_string());
    for line in [
        &["--server", &address, "--data", data, "--json", "flow", "list"][..],
        &["--json", &format!("--server={}", host.url()), "flow", "list", "--data", data],
        &["flow", "--server", &address, "list", "--data", data, "--json"],
    ] {
        assert_eq!(Ran::alone(line).json()[0]["name"], "hello", "{line:?}");
    }
    let refused = Ran::alone(&["--json", "flow", "list", "--server", "https://127.0.0.1:1"]).problem(2);
    assert!(refused["detail"].as_str().unwrap().contains("http://"), "{refused}");
}

#[test]
fn wrong_command_line_is_json_where_json_is_asked_for() {
    for (line, detail, next) in [
        (&["executions", "show", "--json"][..], "<ID>", "usage: flowhost executions show [OPTIONS] <ID>"),
        (&["--json", "executions"], "list, show, cancel", "usage: flowhost executions [OPTIONS] <COMMAND>"),
        (&["executions", "list", "--json", "--limit", "many"], "'many'", "usage: flowhost executions list [OPTIONS]"),
        (&["dance", "--json"], "'dance'", "usage: flowhost <COMMAND>"),
        (&["--json"], "--json", "usage: flowhost <COMMAND>"),
    ] {
        let problem = Ran::alone(line).problem(2);
        assert_eq!((&problem["code"], &problem["next"]), (&json!("cli.usage"), &json!(next)), "{line:?}");
        assert!(problem["detail"].as_str().unwrap().contains(detail), "{problem}");
    }
    let plain = Ran::alone(&["executions", "show"]);
    assert!(plain.exit == Some(2) && plain.stderr.starts_with("error: "), "{plain:?}");
}

#[test]
fn usage_shows_optional_values_as_options() {
    let host = Host::start();
    // The server stands in the environment, and the key is given.
    let ran = host.cli(&["call", "--key", "k"]);
    assert!(ran.exit == Some(2) && ran.stderr.contains("Usage: flowhost call [OPTIONS] <NAME>\n"), "{}", ran.stderr);
    let ran = host.cli(&["executions", "list", "--status", "RUNNING", "--nope"]);
    assert!(
        ran.exit == Some(2) && ran.stderr.contains("Usage: flowhost executions list [OPTIONS]\n"),
        "{}",
        ran.stderr
    );
}

#[test]
fn log_lines_have_their_day() {
    let host = Host::start();
    let id = host.webhook("greet", "hello").call(&host, &json!({})).send().ok()["id"].as_str().unwrap().to_owned();
    let at = host.log_of(&id)[0]["at"].as_str().unwrap().to_owned();
    let logs = host.cli(&["logs", &id]).stdout;
    assert!(logs.starts_with(&format!("{} {}Z ", &at[..10], &at[11..23])), "{logs}");
}

#[test]
fn a_caller_who_waits_for_a_cancelled_execution_is_told() {
    let host = Host::start();
    let webhook = host.webhook("sleeps", "sleeper");
    let id = webhook.call_async(&host, &json!({ "ms": 600_000 }));
    host.wait_until(&id, "waits", |execution| execution["status"] == "WAITING");
    assert_eq!(host.cli(&["executions", "cancel", &id]).exit, Some(0));
    host.wait_until_ended(&id);
    let shown = until("it is listed as cancelled", || {
        let listed = host.cli(&["executions", "list", "--status", "ended_cancelled", "--json"]).json();
        listed.as_array().unwrap().first().cloned()
    });
    assert_eq!(shown["id"], id.as_str());
}

#[test]
fn execution_that_has_ended_is_not_acted_on() {
    let host = Host::start();
    let webhook = host.webhook("greet", "hello");
    let ended = webhook.call(&host, &json!({})).send().ok();
    for verb in ["cancel", "pause", "resume"] {
        let act = ["executions", verb, ended["id"].as_str().unwrap()];
        let refused = host.cli(&[&act[..], &["--json"]].concat()).problem(6);
        assert_eq!(refused["code"], "record.conflict", "{verb}");
        let ran = host.cli(&act);
        assert_eq!((ran.exit, &*ran.stdout), (Some(6), ""), "{ran:?}");
        assert!(ran.stderr.contains("has ended already (ENDED_SUCCESS)"), "{ran:?}");
    }
    assert_eq!(host.read(&format!("execution/{}", ended["id"].as_str().unwrap())).ok()["status"], "ENDED_SUCCESS");
}

#[test]
fn hangup_ends_the_server_in_order() {
    let host = Host::start();
    let webhook = host.webhook("sleeps", "sleeper");
    std::thread::scope(|scope| {
        let call = scope.spawn(|| webhook.call(&host, &json!({ "ms": 1_500 })).send().ok());
        until("it runs", || {
            let running = host.read("execution?limit=1").ok();
            // A synchronous one is listed when it has run for a second.
            (running[0]["status"] == "RUNNING" || running[0]["status"] == "WAITING").then_some(())
        });
        host.hang_up();
        assert_eq!(call.join().unwrap()["status"], "ENDED_SUCCESS");
    });
    assert_eq!(host.wait().code(), Some(0));
    assert!(host.log().contains("SIGHUP"), "{}", host.log());
}

#[test]
fn server_whose_terminal_is_gone_ends_in_order() {
    let start = r#"
        d=$(mktemp -d); trap 'rm -rf "$d"' EXIT
        serve() { flowhost serve --data "$d/data" --listen 127.0.0.1:0 > "$d/out" & echo $! > "$d/pid"; }
        # The pipe's reader ends at once, so that no line of the log can be written.
        { serve; code=0; wait $! || code=$?; echo $code > "$d/code"; } 2>&1 | true &
        until grep -q listens "$d/out" 2>/dev/null || [ -s "$d/code" ]; do sleep 0.05; done
        kill -HUP "$(cat "$d/pid")"
        until [ -s "$d/code" ]; do sleep 0.05; done
        cat "$d/code""#;
    let ended = Host::shared().shell(start);
    assert_eq!((ended.exit, &*ended.stdout), (Some(0), "0\n"), "{ended:?}");
}

#[test]
fn server_under_nohup_outlives_its_terminal() {
    let start = r#"
        d=$(mktemp -d)
        nohup flowhost serve --data "$d/data" --listen 127.0.0.1:0 > "$d/out" 2>/dev/null & pid=$!
        trap 'kill "$pid"; wait "$pid"; rm -rf "$d"' EXIT
        until grep -q listens "$d/out"; do sleep 0.05; done
        kill -HUP "$pid"
        sleep 0.5
        url=$(sed 's/flowhost listens on //' "$d/out")
        flowhost flow list --json --server "$url" --data "$d/data""#;
    let listed = Host::shared().shell(start);
    assert_eq!(listed.stdout, "[]\n", "{listed:?}");
}

#[test]
fn a_host_that_cannot_start_says_why() {
    let host = Host::start();
    // A wrong flag is a wrong command line; anything else is this machine's matter.
    let wrong = Setup::new().set("cpu_mss", 1).try_start().unwrap_err();
    assert_eq!(wrong.status.code(), Some(2));
    assert!(wrong.stderr.contains("did you mean `cpu_ms`?"), "{}", wrong.stderr);
    let wrong = Setup::new().config("listen = 8080").try_start().unwrap_err();
    assert_eq!(wrong.status.code(), Some(8));
    assert!(wrong.stderr.contains("config.toml: `listen` must be text in quotes"), "{}", wrong.stderr);
    let taken = Setup::new().flag("--listen", &host.address().to_string()).try_start().unwrap_err();
    assert_eq!(taken.status.code(), Some(8));
    let words = format!("cannot listen on {}", host.address());
    assert!(taken.stderr.contains(&words), "{}", taken.stderr);
    assert_eq!(Ran::alone(&["serve", "--listen", "nowhere"]).exit, Some(2));
    assert_eq!(Ran::alone(&["serve", "--listen", "127.0.0.1:0", "--data", "/proc/none"]).exit, Some(8));
}
