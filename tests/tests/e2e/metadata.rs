//! What flows say about themselves in their components.

use flowhost_tests::{Host, Setup, Webhook, component, scene, workspace_file};
use serde_json::{Value, json};

/// A component that says this about itself, and nothing else.
fn saying(data: &str) -> Vec<u8> {
    let mut said = component("hello");
    let length = |length: usize| {
        let mut bytes = Vec::new();
        let mut rest = length;
        while rest >= 0x80 {
            bytes.push(u8::try_from(rest & 0x7f).unwrap() | 0x80);
            rest >>= 7;
        }
        bytes.push(u8::try_from(rest).unwrap());
        bytes
    };
    let name = "flowhost:flow";
    let section = [&length(name.len()), name.as_bytes(), data.as_bytes()].concat();
    said.push(0);
    said.extend(length(section.len()));
    said.extend(section);
    said
}

#[test]
fn what_a_flow_says_about_itself_is_kept_with_its_version_and_grants_nothing() {
    let host = Setup::new()
        .flag("--set", "http_allow=https://*.example.com")
        .variable("FLOWHOST_SECRET_KEY", &"ab".repeat(32))
        .start();
    let deployed = host.deploy("forward");
    let schema: Value = serde_json::from_slice(&workspace_file("examples/forward/schemas/event.json")).unwrap();
    let expected = json!({
        "title": "Forward events",
        "description": "Sends an event to another service, with that service's token.",
        "input_schema": schema,
        "hosts": ["POST https://events.example.com"],
        "secrets": ["forward-token"],
    });
    assert_eq!(deployed["version"]["metadata"], expected);
    let lacks = json!({ "hosts_of_flow": ["POST https://events.example.com"], "hosts_of_host": [], "secrets": ["forward-token"] });
    assert_eq!(deployed["missing"], lacks);
    let flow = host.read("flow/forward?by=name").ok();
    assert_eq!(flow["metadata"], expected);
    assert_eq!(flow["options"], json!(null));
    let path = format!("flow/{}", flow["id"].as_str().unwrap());
    assert_eq!(host.read(&format!("{path}/version")).ok()[0]["metadata"], expected);

    // Whoever gives it what it wants is told of no more.
    host.change(&path, &json!({ "options": { "http_allow": ["https://events.example.com"] } })).ok();
    host.create("secret", &json!({ "name": "forward-token", "value": "the token" })).ok();
    let nothing = json!({ "hosts_of_flow": [], "hosts_of_host": [], "secrets": [] });
    assert_eq!(host.deploy("forward")["missing"], nothing);

    // Another version says something else, and the former is what it was.
    host.deploy_as("forward", component("hello")).ok();
    assert_eq!(host.read(&path).ok()["metadata"], json!(null));
    let versions = host.read(&format!("{path}/version")).ok();
    assert_eq!([versions[0].get("metadata"), versions[1].get("metadata")], [None, Some(&expected)]);
    let activate = host.post_json(&format!("/api/latest/{path}/action/activate"), &json!({ "version": 1 }));
    activate.as_operator().send().ok();
    assert_eq!(host.read(&path).ok()["metadata"], expected);
    host.terminate();
    host.wait();
    let host = host.restart();
    assert_eq!(host.read(&path).ok()["metadata"], expected);
}

#[test]
fn a_deployment_tells_what_the_flow_wants() {
    let host = Host::start();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("flow.wasm");
    std::fs::write(
        &file,
        saying(
            r#"{"title": "Says hello", "hosts": ["https://a.example", "https://b';id;'.example"], "secrets": ["greeting", "a'; id"]}"#,
        ),
    )
    .unwrap();
    let ran = host.cli(&["deploy", file.to_str().unwrap(), "--name", "wants"]);
    assert_eq!(ran.exit, Some(0), "{ran:?}");
    assert!(ran.stdout.starts_with("wants version 1 is active, a new flow: Says hello\n"), "{}", ran.stdout);
    for note in [
        r"`flowhost flow allow wants 'https://a.example' 'https://b'\'';id;'\''.example'`",
        "`http_allow`",
        "`flowhost secret set greeting`",
        // A shell takes what is copied for one word.
        r"`flowhost secret set 'a'\''; id'`",
    ] {
        assert!(ran.stderr.contains(note), "`{note}` is not in {}", ran.stderr);
    }
}

#[test]
fn what_cannot_be_read_is_refused() {
    let host = Host::shared();
    host.deploy_as("says", saying("{}")).ok();
    for (data, reason) in [
        ("no json".to_owned(), "`flowhost:flow`, cannot be used"),
        (r#"{"title": 1}"#.to_owned(), "invalid type"),
        (r#"{"hosts": ["a.example"]}"#.to_owned(), "`a.example` is no line of an allow-list"),
        (r#"{"input_schema": 1}"#.to_owned(), "`input_schema` is no JSON Schema"),
        (r#"{"input_schema": {"type": "texts"}}"#.to_owned(), "`input_schema`: `/type`"),
        (r##"{"output_schema": {"$ref": "#"}}"##.to_owned(), "`output_schema`: the schema refers to itself"),
        (format!(r#"{{"description": "{}"}}"#, "x".repeat(65_536)), "at most 65536"),
        (r#"{"title": "\u001b]0;owned\u0007"}"#.to_owned(), "`title` holds control characters"),
        (r#"{"hosts": ["GET\nhttps://a.example"]}"#.to_owned(), "`hosts[0]` holds control characters"),
        (r#"{"secrets": ["\u001b[2J"]}"#.to_owned(), "`secrets[0]` holds control characters"),
        (r#"{"secrets": [" "]}"#.to_owned(), "`secrets[0]`: a name must not be empty"),
    ] {
        let problem = host.deploy_as("says", saying(&data)).problem(422, "component.invalid");
        assert!(problem["detail"].as_str().unwrap().contains(reason), "{problem}");
    }
    let versions = host.read("flow/says/version?by=name").ok();
    assert_eq!(versions.as_array().unwrap().len(), 1);
}

#[test]
fn input_that_does_not_fit_the_flows_own_schema_is_refused_before_it_runs() {
    let host = Host::start();
    let schema = json!({
        "type": ["object", "null"], "properties": { "name": { "type": "string" }, "age": { "minimum": 0 } },
    });
    host.deploy_as("strict", saying(&json!({ "input_schema": schema }).to_string())).ok();
    let flow = host.read("flow/strict?by=name").ok();
    let flow = format!("flow/{}", flow["id"].as_str().unwrap());
    let members = json!({ "name": "strict", "flow_name": "strict", "is_enabled": true, "key": "k3y-0123456789ab" });
    let webhook = Webhook { record: host.create("webhook", &members).ok() };
    let call = |payload: &str| host.post(&format!("{}?key=k3y-0123456789ab", webhook.path()), payload).send();
    // Until it is asked for, the schema is documentation.
    let unfit = call(r#"{"age": -1}"#).ok();
    host.change(&flow, &json!({ "options": { "validate_input": true } })).ok();
    let fit = call(r#"{"name": "Ada", "age": 36}"#).ok();
    assert_eq!(fit["output_value"]["greeting"], "Hello, Ada!");
    call("").ok();
    let before = host.executions_of("strict").len();
    let problem = call(r#"{"name": 7, "age": -1}"#).problem(422, "flow.invalid-input");
    let mut places: Vec<&str> =
        problem["violations"].as_array().unwrap().iter().map(|one| one["place"].as_str().unwrap()).collect();
    places.sort_unstable();
    assert_eq!(places, ["/age", "/name"], "{problem}");
    // However large it is.
    let large = json!({ "name": 7, "more": "x".repeat(100_000) }).to_string();
    call(&large).problem(422, "flow.invalid-input");
    let accepted = host.post(&format!("{}?key=k3y-0123456789ab&async", webhook.path()), r#"{"name": 7}"#).send();
    accepted.problem(422, "flow.invalid-input");
    // Who has no key is told nothing of the schema.
    host.post(webhook.path(), r#"{"name": 7}"#).send().problem(401, "webhook.unauthorized");
    assert_eq!(host.executions_of("strict").len(), before);

    // Nor is it run again on what it took before.
    let rerun = |execution: &Value| {
        let path = format!("execution/{}/action/rerun", execution["id"].as_str().unwrap());
        host.post_json(&format!("/api/latest/{path}?plain=true"), &json!({})).as_operator().send()
    };
    assert_eq!(rerun(&unfit).problem(422, "flow.invalid-input")["violations"][0]["place"], "/age");
    assert_eq!(host.executions_of("strict").len(), before);
    rerun(&fit).ok();

    // So is a child.
    let parent = scene::webhook(&host, "parent", "parent");
    let children =
        json!([{ "flow": "strict", "input": { "name": 7 } }, { "flow": "strict", "input": { "name": "Ada" } }]);
    let plan = scene::parent_of(children, json!({ "when": "ALL_ENDED", "handle": true }));
    let outputs = parent.call(&host, &plan).send().ok()["output_value"].clone();
    assert_eq!(outputs["refused"][0]["code"], "flow.invalid-input", "{outputs}");
    assert_eq!(outputs["child_outputs"], json!([{ "greeting": "Hello, Ada!" }]));
}

/// Replaces the schema of all deployed flows by one that an earlier version of the host accepted.
fn store_recursive_schema(host: &Host) {
    let connection = rusqlite::Connection::open(host.data().join("flowhost.sqlite3")).unwrap();
    let schema = r##"{"$ref": "#"}"##;
    let update =
        "UPDATE record SET body = json_set(body, '$.metadata.input_schema', json(?)) WHERE record_type = 'FLOW'";
    assert_eq!(connection.execute(update, [schema]).unwrap(), 1);
}

#[test]
fn stored_schema_that_is_rejected_now_refuses_calls() {
    let host = Host::start();
    host.deploy_as("strict", saying(r#"{"input_schema": {"type": "object"}}"#)).ok();
    let path = format!("flow/{}", host.read("flow/strict?by=name").ok()["id"].as_str().unwrap());
    let members = json!({ "name": "strict", "flow_name": "strict", "is_enabled": true });
    let webhook = Webhook { record: host.create("webhook", &members).ok() };
    let call = |host: &Host, query: &str| host.post(&format!("{}{query}", webhook.path()), "{}").send();
    let restarted = |host: Host| {
        host.terminate();
        host.wait();
        store_recursive_schema(&host);
        host.restart()
    };
    // Until the options ask for a check, the schema is documentation.
    let host = restarted(host);
    let ended = call(&host, "").ok();
    host.change(&path, &json!({ "options": { "validate_input": true } })).ok();
    let host = restarted(host);
    assert!(host.log().contains("calls of the flow are refused") && host.log().contains("strict"), "{}", host.log());
    let executions = host.executions_of("strict").len();
    for query in ["", "?async"] {
        let problem = call(&host, query).problem(500, "flow.invalid-schema");
        assert!(!problem.to_string().contains("refers to itself"), "{problem}");
    }
    let rerun = format!("execution/{}/action/rerun", ended["id"].as_str().unwrap());
    host.create(&rerun, &json!({})).problem(500, "flow.invalid-schema");
    assert_eq!(host.executions_of("strict").len(), executions);
    assert_eq!(host.read(&path).ok()["has_syntax_error"], true);
    // A version that can be checked makes it good.
    host.deploy_as("strict", saying(r#"{"input_schema": {"type": ["object"]}}"#)).ok();
    call(&host, "").ok();
    assert_eq!(host.read(&path).ok()["has_syntax_error"], false);
}
