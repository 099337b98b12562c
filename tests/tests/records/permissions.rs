//! Who may do what.

use flowhost_tests::scene::text;
use flowhost_tests::{Host, component};
use serde_json::{Value, json};

use crate::person::{Person, act_on, login, names, path};

const NOBODY: &str = "01a202e4-f47d-72a3-b440-9b77d4430568";

#[test]
fn a_record_that_may_not_be_read_is_answered_like_one_that_does_not_exist() {
    let host = Host::shared();
    let webhook = host.webhook("perm-hidden", "canary");
    let id = webhook.call(host, &json!({})).send().ok()["id"].clone();
    let hidden = [
        ("webhook", webhook.record.clone()),
        ("flow", host.read("flow/canary?by=name").ok()),
        ("setting", host.create("setting", &json!({ "name": "perm-hidden" })).ok()),
        ("role", host.read("role/Admin?by=name").ok()),
        ("user", host.read("user/admin?by=name").ok()),
        ("execution", json!({ "id": id })),
    ];
    let stranger = Person::with(host, "perm-stranger", &json!([{ "record_type": "BUNDLE" }]));
    for (record_type, record) in &hidden {
        let id = text(record, "id");
        let same = |path: &str, method: &str, body: &Value| {
            let answer = |path: String| {
                let answer = stranger.request(method, &path).body(body.to_string()).send();
                answer.problem(404, "record.not-found").to_string().replace(id, NOBODY)
            };
            assert_eq!(answer(path.to_owned()), answer(path.replace(id, NOBODY)), "{method} {path}");
        };
        same(&path(record_type, record), "GET", &Value::Null);
        if *record_type == "execution" {
            same(&format!("execution/{id}/log"), "GET", &Value::Null);
            for action in ["cancel", "resume", "rerun", "set-productive"] {
                same(&format!("execution/{id}/action/{action}"), "POST", &Value::Null);
            }
            continue;
        }
        same(&path(record_type, record), "PATCH", &json!({ "description": "x" }));
        same(&path(record_type, record), "DELETE", &Value::Null);
        same(&format!("{}?permanently=true", path(record_type, record)), "DELETE", &Value::Null);
        same(&format!("{}/history", path(record_type, record)), "GET", &Value::Null);
        same(&format!("{}/action/restore", path(record_type, record)), "POST", &Value::Null);
        let name = text(record, "name");
        let by_name = |name: &str| {
            let problem = stranger.read(&format!("{record_type}/{name}?by=name")).problem(404, "record.not-found");
            problem.to_string().replace(name, "NAME")
        };
        assert_eq!(by_name(name), by_name("perm-nothing"), "{record_type}");
        let list = stranger.read(record_type).ok();
        assert!(!names(&list).contains(&name), "{record_type}");
    }
    assert_eq!(stranger.read("execution").ok(), json!([]));
    let filter = "%7B%22field%22:%22name%22,%22value%22:%22perm-hidden%22%7D";
    assert_eq!(names(&host.read(&format!("setting?filter={filter}")).ok()), ["perm-hidden"]);
    assert_eq!(stranger.read(&format!("setting?filter={filter}")).ok(), json!([]));
    assert_eq!(host.read(&webhook.record_path()).ok()["is_deleted"], false);
    // To refer to a flow is to use it.
    let maker = Person::with(host, "perm-maker", &json!([{ "record_type": "WEBHOOK" }, { "record_type": "SETTING" }]));
    let refused = |record: &Value| {
        let problem = maker.create("webhook", record).problem(422, "record.invalid");
        text(&problem, "detail").to_owned()
    };
    let missing = refused(&json!({ "name": "perm-maker", "flow_name": "perm-none" }));
    assert_eq!(
        refused(&json!({ "name": "perm-maker", "flow_name": "canary" })).replace("canary", "perm-none"),
        missing
    );
    refused(&json!({ "name": "perm-maker", "flow_id": hidden[1].1["id"] }));
    maker.set("client.webhook.perm-maker", "flow_name: canary\nuser_name: perm-maker").problem(403, "access.forbidden");
}

#[test]
fn every_operation_needs_its_permission() {
    let host = Host::shared();
    let setting = host.create("setting", &json!({ "name": "perm-crud", "value": 1 })).ok();
    let path = path("setting", &setting);
    let with = |name: &str, operations: &[&str]| {
        let permissions: Vec<Value> =
            operations.iter().map(|operation| json!({ "record_type": "SETTING", "operation": operation })).collect();
        Person::with(host, name, &json!(permissions))
    };
    let reader = with("perm-reader", &["READ"]);
    assert_eq!(reader.read(&path).ok()["value"], 1);
    reader.change(&path, &json!({ "value": 2 })).problem(403, "access.forbidden");
    reader.delete(&path).problem(403, "access.forbidden");
    reader.create(&format!("{path}/action/restore"), &json!({})).problem(403, "access.forbidden");
    reader.create("setting", &json!({ "name": "perm-crud-2" })).problem(403, "access.forbidden");
    reader.set("perm-crud", "2").problem(403, "access.forbidden");
    reader.set("perm-crud-2", "2").problem(403, "access.forbidden");
    assert_eq!(host.read(&path).ok(), setting);
    let creator = with("perm-creator", &["CREATE"]);
    creator.create("setting", &json!({ "name": "perm-crud-3" })).ok();
    creator.read("setting/perm-crud-3?by=name").problem(404, "record.not-found");
    let updater = with("perm-updater", &["READ", "UPDATE"]);
    assert_eq!(updater.change(&path, &json!({ "value": 2 })).ok()["value"], 2);
    updater.delete(&path).problem(403, "access.forbidden");
    let deleter = with("perm-deleter", &["READ", "DELETE"]);
    deleter.change(&path, &json!({ "value": 3 })).problem(403, "access.forbidden");
    assert_eq!(deleter.delete(&path).status, 204);
    updater.create(&format!("{path}/action/restore"), &json!({})).problem(403, "access.forbidden");
    deleter.create(&format!("{path}/action/restore"), &json!({})).ok();
    // Nothing of it is for another type.
    deleter.read("flow/canary?by=name").problem(404, "record.not-found");
    let problem = reader.delete(&path).problem(403, "access.forbidden");
    assert!(text(&problem, "detail").contains("DELETE"));
}

#[test]
fn a_role_for_a_project_shows_the_projects_own_record() {
    let host = Host::shared();
    let [own, other] = ["perm-shown", "perm-hidden"].map(|name| host.create("project", &json!({ "name": name })).ok());
    let permissions = json!([{ "project_id": own["id"], "record_type": "SETTING", "operation": "READ" }]);
    let person = Person::with(host, "perm-shown", &permissions);
    assert_eq!(person.read(&path("project", &own)).ok()["name"], "perm-shown");
    person.read("project/perm-shown?by=name").ok();
    person.read(&format!("{}/history", path("project", &own))).ok();
    person.read(&path("project", &other)).problem(404, "record.not-found");
    assert_eq!(names(&person.read("project").ok()), ["perm-shown"]);
    let not_it = "project?filter=%7B%22not%22:%7B%22field%22:%22name%22,%22value%22:%22perm-shown%22%7D%7D";
    assert_eq!(person.read(not_it).ok(), json!([]));
    // To read it is all.
    person.change(&path("project", &own), &json!({ "description": "mine" })).problem(403, "access.forbidden");
    person.delete(&path("project", &own)).problem(403, "access.forbidden");
    // Whoever has no project sees none.
    let stranger = Person::with(host, "perm-shown-nothing", &json!([{ "record_type": "FLOW" }]));
    assert_eq!(stranger.read("project").ok(), json!([]));
    stranger.read(&path("project", &own)).problem(404, "record.not-found");
}

#[test]
fn a_role_for_a_project_ends_at_its_border() {
    let host = Host::shared();
    let [own, other] = ["perm-own", "perm-other"].map(|name| host.create("project", &json!({ "name": name })).ok());
    let [inside, outside] = [("perm-inside", &own), ("perm-outside", &other)]
        .map(|(name, project)| host.create("setting", &json!({ "name": name, "project_id": project["id"] })).ok());
    let person = Person::with(host, "perm-project", &json!([{ "project_id": own["id"] }]));
    person.read(&path("setting", &inside)).ok();
    person.read(&path("setting", &outside)).problem(404, "record.not-found");
    assert_eq!(names(&person.read("setting?limit=1000").ok()), ["perm-inside"]);
    assert_eq!(names(&person.read("setting?order=-name&limit=1").ok()), ["perm-inside"]);
    person.create("setting", &json!({ "name": "perm-in", "project_id": own["id"] })).ok();
    person
        .create("setting", &json!({ "name": "perm-out", "project_id": other["id"] }))
        .problem(403, "access.forbidden");
    // Without a place it would go to the default project.
    person.create("setting", &json!({ "name": "perm-out" })).problem(403, "access.forbidden");
    // Nothing moves over the border, in neither direction.
    person.change(&path("setting", &inside), &json!({ "project_id": other["id"] })).problem(403, "access.forbidden");
    person.change(&path("setting", &inside), &json!({ "project_id": null })).problem(403, "access.forbidden");
    person.change(&path("setting", &outside), &json!({ "project_id": own["id"] })).problem(404, "record.not-found");
    assert_eq!(host.read(&path("setting", &inside)).ok()["project_id"], own["id"]);
    // Executions are where the flow is.
    let webhook = host.webhook("perm-project", "canary");
    let flow = host.deploy_as("perm-project", component("canary")).ok()["flow"].clone();
    host.change(&webhook.record_path(), &json!({ "flow_id": flow["id"] })).ok();
    let call = || host.post(webhook.path(), "").send().ok()["id"].as_str().unwrap().to_owned();
    let elsewhere = call();
    host.change(&path("flow", &flow), &json!({ "project_id": own["id"] })).ok();
    let here = call();
    person.read(&format!("execution/{here}")).ok();
    person.read(&format!("execution/{elsewhere}")).problem(404, "record.not-found");
    person.read(&format!("execution/{elsewhere}/log")).problem(404, "record.not-found");
    let listed = person.read("execution").ok();
    assert_eq!(listed.as_array().unwrap().iter().map(|execution| text(execution, "id")).collect::<Vec<_>>(), [here]);
}

#[test]
fn nobody_lends_more_than_they_have_by_roles() {
    let host = Host::shared();
    let permissions = json!([
        { "record_type": "USER" }, { "record_type": "ROLE" }, { "record_type": "WEBHOOK" },
        { "record_type": "FLOW", "operation": "READ" },
    ]);
    let manager = Person::with(host, "perm-manager", &permissions);
    host.deploy("canary");
    let forbidden = |answer: flowhost_tests::Answer| {
        answer.problem(403, "access.forbidden");
    };
    for role in ["Admin", "Developer", "Operator"] {
        let roles = json!([{ "role_name": role }]);
        forbidden(manager.create("user", &json!({ "name": "perm-lent", "roles": roles })));
        forbidden(manager.change(&path("user", &manager.record), &json!({ "roles": roles })));
        let webhook = json!({ "name": "perm-lent", "flow_name": "canary", "roles": roles });
        forbidden(manager.create("webhook", &webhook));
    }
    manager.create("user", &json!({ "name": "perm-lent", "roles": [{ "role_name": "perm-manager" }] })).ok();
    // Nor by the permissions of a role.
    forbidden(manager.create("role", &json!({ "name": "perm-more", "permissions": [{}] })));
    forbidden(manager.create("role", &json!({ "name": "perm-more", "permissions": [{ "record_type": "SETTING" }] })));
    let less = json!({ "name": "perm-less", "permissions": [{ "record_type": "FLOW", "operation": "READ" }] });
    let less = manager.create("role", &less).ok();
    forbidden(manager.change(&path("role", &less), &json!({ "permissions": [{ "record_type": "FLOW" }] })));
    let own = host.read("role/perm-manager?by=name").ok();
    forbidden(manager.change(&path("role", &own), &json!({ "permissions": [{}] })));
    assert_eq!(host.read(&path("role", &own)).ok()["permissions"], permissions);
    // Nor by a role that comes back from the trash.
    let strong = host.create("role", &json!({ "name": "perm-strong", "permissions": [{}] })).ok();
    host.change(
        &path("user", &manager.record),
        &json!({ "roles": [{ "role_name": "perm-manager" }, { "role_name": "perm-strong" }] }),
    )
    .ok();
    manager.read("setting").ok();
    manager.create("setting", &json!({ "name": "perm-strong" })).ok();
    assert_eq!(host.delete(&path("role", &strong)).status, 204);
    manager.create("setting", &json!({ "name": "perm-strong-2" })).problem(403, "access.forbidden");
    forbidden(manager.create(&format!("{}/action/restore", path("role", &strong)), &json!({})));
}

#[test]
fn nobody_becomes_somebody_who_may_do_more() {
    let host = Host::shared();
    let manager = Person::with(host, "perm-users", &json!([{ "record_type": "USER" }]));
    let admin = host.read("user/admin?by=name").ok();
    let boss = host.create("user", &json!({ "name": "perm-boss", "roles": [{ "role_name": "Admin" }] })).ok();
    for target in [&admin, &boss] {
        manager
            .create(&format!("{}/token", path("user", target)), &json!({ "name": "t" }))
            .problem(403, "access.forbidden");
        manager.change(&path("user", target), &json!({ "password": "known to me" })).problem(403, "access.forbidden");
    }
    login(host, "perm-boss", "known to me").problem(401, "access.login-failed");
    let plain = host.user("perm-plain");
    manager.create(&format!("{}/token", path("user", &plain)), &json!({ "name": "t" })).ok();
    manager.change(&path("user", &plain), &json!({ "password": "known to me" })).ok();
    login(host, "perm-plain", "known to me").ok();
}

#[test]
fn a_name_is_taken_only_by_who_may_do_what_its_webhooks_may_then() {
    let host = Host::shared();
    host.deploy("canary");
    let permissions = json!([
        { "record_type": "USER" }, { "record_type": "WEBHOOK" }, { "record_type": "SETTING" },
        { "record_type": "FLOW", "operation": "READ" },
    ]);
    let manager = Person::with(host, "perm-renamer", &permissions);
    let user =
        |name: &str, role: &str| host.create("user", &json!({ "name": name, "roles": [{ "role_name": role }] })).ok();
    // One of the name is in the trash already, and may do everything.
    let trashed = user("perm-name-weak", "Admin");
    assert_eq!(host.delete(&path("user", &trashed)).status, 204);
    let (weak, strong) = (user("perm-name-weak", "perm-renamer"), user("perm-name-strong", "Admin"));
    manager.set("client.webhook.perm-name", "flow_name: canary\nuser_name: perm-name-weak").ok();
    manager.change(&path("user", &weak), &json!({ "name": "perm-name-away" })).ok();
    let taken = manager.change(&path("user", &strong), &json!({ "name": "perm-name-weak" }));
    assert!(text(&taken.problem(403, "access.forbidden"), "detail").contains("`name`"));
    let restore = format!("{}/action/restore", path("user", &trashed));
    manager.create(&restore, &json!({})).problem(403, "access.forbidden");
    // To send the name back is no change.
    manager.change(&path("user", &strong), &json!({ "name": "perm-name-strong", "description": "d" })).ok();
    host.change(&path("user", &strong), &json!({ "name": "perm-name-strongest" })).ok();
    act_on(host, &restore, &json!({})).ok();
}

#[test]
fn nobody_uses_the_roles_of_a_webhook_for_what_they_may_not_do() {
    let host = Host::shared();
    let flows = ["canary", "echo"].map(|flow| host.deploy(flow)["flow"]["id"].clone());
    let permissions = json!([{ "record_type": "WEBHOOK" }, { "record_type": "FLOW", "operation": "READ" }]);
    let keeper = Person::with(host, "perm-keeper", &permissions);
    let hook = |name: &str, roles: Value| {
        host.webhook_with(name, "canary", &json!({ "key": "k3y-0123456789ab", "require_login": true, "roles": roles }))
    };
    let strong = hook("perm-lends", json!([{ "role_name": "Admin" }]));
    let at = strong.record_path();
    for change in [
        json!({ "flow_id": flows[1] }),
        json!({ "flow_name": "echo" }),
        json!({ "key": "mine-0123456789ab" }),
        json!({ "key": null }),
        json!({ "require_login": false }),
        json!({ "require_login": null }),
    ] {
        keeper.change(&at, &change).problem(403, "access.forbidden");
    }
    keeper.create(&format!("{at}/action/rotate-key"), &json!({})).problem(403, "access.forbidden");
    host.post(&format!("{}?key=k3y-0123456789ab", strong.path()), "")
        .header("Authorization", &keeper.token)
        .send()
        .ok();
    // What others decided is switched on and off, and what is sent back is no change.
    let same = json!({ "flow_id": flows[0], "flow_name": "canary", "require_login": true, "description": "d" });
    for change in [json!({ "is_enabled": false }), json!({ "is_enabled": true }), same] {
        keeper.change(&at, &change).ok();
    }
    assert_eq!(keeper.delete(&at).status, 204);
    keeper.create(&format!("{at}/action/restore"), &json!({})).problem(403, "access.forbidden");
    act_on(host, &format!("{at}/action/restore"), &json!({})).ok();
    // Nor are the roles taken away, to be given back by a person who does not see what changed meanwhile.
    keeper.change(&at, &json!({ "flow_id": flows[1], "roles": [] })).problem(403, "access.forbidden");
    keeper.change(&at, &json!({ "roles": [] })).problem(403, "access.forbidden");
    // Without the roles there is nothing to lend, nor by those that executions do not get.
    host.change(&at, &json!({ "roles": [] })).ok();
    keeper.change(&at, &json!({ "flow_id": flows[1] })).ok();
    let own = hook("perm-lends-nothing", json!([{ "role_name": "Admin", "propagate": false }]));
    keeper
        .change(&own.record_path(), &json!({ "flow_name": "echo", "key": "mine-0123456789ab", "require_login": false }))
        .ok();
    keeper.create(&format!("{}/action/rotate-key", own.record_path()), &json!({})).ok();
}

#[test]
fn a_setting_never_lends_more_than_its_writer_has() {
    let host = Host::shared();
    host.deploy("canary");
    let developer = Person::in_role(host, "perm-developer", "Developer");
    let [strong, weak] = [("perm-strong-user", "Admin"), ("perm-weak-user", "User")]
        .map(|(name, role)| host.create("user", &json!({ "name": name, "roles": [{ "role_name": role }] })).ok());
    let value = |user: &Value| format!("flow_name: canary\nuser_name: {}", text(user, "name"));
    let name = "client.webhook.perm-lend";
    developer.set(name, &value(&strong)).problem(403, "access.forbidden");
    developer.set(name, "flow_name: canary\nuser_name: admin").problem(403, "access.forbidden");
    host.read("setting/client.webhook.perm-lend?by=name").problem(404, "record.not-found");
    developer.set(name, &value(&developer.record)).ok();
    developer.set(name, &value(&weak)).ok();
    developer.set(name, &value(&strong)).problem(403, "access.forbidden");
    // Nor by another way to the same value.
    let setting = host.read("setting/client.webhook.perm-lend?by=name").ok();
    let to_strong = json!({ "value": { "flow_name": "canary", "user_name": "perm-strong-user" } });
    developer.change(&path("setting", &setting), &to_strong).problem(403, "access.forbidden");
    let plain = json!({ "name": "perm-lend-plain", "value": to_strong["value"] });
    let plain = developer.create("setting", &plain).ok();
    let renamed = json!({ "name": "client.webhook.perm-lend-2" });
    developer.change(&path("setting", &plain), &renamed).problem(403, "access.forbidden");
    // An administrator's setting is not changed by others, nor brought back.
    host.set("client.webhook.perm-strong", "flow_name: canary\nuser_name: admin").ok();
    let strong_setting = host.read("setting/client.webhook.perm-strong?by=name").ok();
    developer
        .change(&path("setting", &strong_setting), &json!({ "description": "x" }))
        .problem(403, "access.forbidden");
    assert_eq!(developer.delete(&path("setting", &strong_setting)).status, 204);
    let restore = format!("{}/action/restore", path("setting", &strong_setting));
    developer.create(&restore, &json!({})).problem(403, "access.forbidden");
    act_on(host, &restore, &json!({})).ok();
    // Who may write settings makes no webhooks by it, and takes none away.
    let permissions = json!([{ "record_type": "SETTING" }, { "record_type": "FLOW" }]);
    let writer = Person::with(host, "perm-writer", &permissions);
    writer.set("perm-writer", "1").ok();
    writer
        .set("client.webhook.perm-writer", "flow_name: canary\nuser_name: perm-writer")
        .problem(403, "access.forbidden");
    writer.delete(&path("setting", &setting)).problem(403, "access.forbidden");
    writer.change(&path("setting", &setting), &json!({ "name": "perm-gone" })).problem(403, "access.forbidden");
    host.post("/api/latest/webhook/default/perm-lend", "").send().ok();
}

#[test]
fn the_default_roles_are_there_and_the_administrators_is_fixed() {
    let host = Host::start();
    assert_eq!(names(&host.read("role").ok()), ["Admin", "Developer", "Operator", "Schedule", "User", "Webhook"]);
    let admin = host.read("role/Admin?by=name").ok();
    assert_eq!(admin["permissions"], json!([{}]));
    let user = host.read("user/admin?by=name").ok();
    let project_and_name = json!({ "name": "Boss" });
    for refused in [
        host.change(&path("role", &admin), &json!({ "permissions": [] })),
        host.change(&path("role", &admin), &project_and_name),
        host.change(&path("role", &admin), &json!({ "is_readonly": true })),
        host.delete(&path("role", &admin)),
        host.delete(&format!("{}?permanently=true", path("role", &admin))),
        host.delete(&path("user", &user)),
        host.change(&path("user", &user), &json!({ "roles": [] })),
        host.change(&path("user", &user), &json!({ "is_enabled": false })),
        host.change(&path("user", &user), &project_and_name),
    ] {
        refused.problem(409, "record.readonly");
    }
    // The others are records like any other, also after a restart.
    let operator = host.read("role/Operator?by=name").ok();
    assert_eq!(host.delete(&format!("{}?permanently=true", path("role", &operator))).status, 204);
    let viewer = host.read("role/User?by=name").ok();
    host.change(&path("role", &viewer), &json!({ "permissions": [] })).ok();
    let host = host.crash();
    assert_eq!(names(&host.read("role").ok()), ["Admin", "Developer", "Schedule", "User", "Webhook"]);
    assert_eq!(host.read("role/User?by=name").ok()["permissions"], json!([]));
}

#[test]
fn the_default_roles_do_what_they_are_for() {
    let host = Host::shared();
    let webhook = host.webhook("perm-default", "canary");
    let [user, developer, operator] =
        ["User", "Developer", "Operator"].map(|role| Person::in_role(host, &format!("perm-default-{role}"), role));
    let setting = host.create("setting", &json!({ "name": "perm-default" })).ok();
    for person in [&user, &developer, &operator] {
        person.read(&webhook.record_path()).ok();
        person.read("execution?limit=1").ok();
        // Who may do what is for none of them to decide.
        person.create("user", &json!({ "name": "perm-x" })).problem(403, "access.forbidden");
        person.create("role", &json!({ "name": "perm-x", "permissions": [] })).problem(403, "access.forbidden");
        person.create("project", &json!({ "name": "perm-x" })).problem(403, "access.forbidden");
    }
    user.read(&path("setting", &setting)).problem(404, "record.not-found");
    user.change(&webhook.record_path(), &json!({ "is_enabled": true })).problem(403, "access.forbidden");
    operator.change(&webhook.record_path(), &json!({ "is_enabled": true })).ok();
    operator.create(&format!("{}/action/rotate-key", webhook.record_path()), &json!({})).ok();
    operator.change(&path("setting", &setting), &json!({ "value": 1 })).problem(403, "access.forbidden");
    operator.deploy("perm-default", &component("canary")).problem(403, "access.forbidden");
    developer.deploy("perm-default", &component("canary")).ok();
    developer.change(&path("setting", &setting), &json!({ "value": 1 })).ok();
    // A user without a role sees itself and nothing else.
    let none = host.user("perm-default-none");
    let issued = host.create(&format!("{}/token", path("user", &none)), &json!({ "name": "t" })).ok();
    let nobody = Person { host, token: text(&issued, "token").to_owned(), record: none };
    assert_eq!(nobody.read(&path("user", &nobody.record)).ok()["name"], "perm-default-none");
    assert_eq!(nobody.read("webhook").ok(), json!([]));
    nobody.read(&webhook.record_path()).problem(404, "record.not-found");
}

#[test]
fn a_change_is_effective_for_the_next_call_after_it_was_answered() {
    let host = Host::shared();
    let person = Person::with(host, "perm-next", &json!([]));
    let role = host.read("role/perm-next?by=name").ok();
    let webhook = host.webhook_with("perm-next", "canary", &json!({ "require_login": true }));
    let call = || host.post(webhook.path(), "").header("Authorization", &person.token).send().status;
    let permit = |permissions: Value| host.change(&path("role", &role), &json!({ "permissions": permissions })).ok();
    for _ in 0..20 {
        assert_eq!(call(), 403);
        permit(json!([{ "record_type": "WEBHOOK", "operation": "READ" }]));
        assert_eq!(call(), 200);
        permit(json!([]));
    }
    permit(json!([{ "record_type": "WEBHOOK" }]));
    for _ in 0..20 {
        host.change(&path("user", &person.record), &json!({ "roles": [] })).ok();
        assert_eq!(call(), 403);
        host.change(&path("user", &person.record), &json!({ "roles": [{ "role_id": role["id"] }] })).ok();
        assert_eq!(call(), 200);
    }
    assert_eq!(host.delete(&path("role", &role)).status, 204);
    assert_eq!(call(), 403);
    act_on(host, &format!("{}/action/restore", path("role", &role)), &json!({})).ok();
    assert_eq!(call(), 200);
}

#[test]
fn account_changes_only_by_who_may_do_what_it_may_or_could() {
    let host = Host::shared();
    let manager = Person::with(host, "perm-account", &json!([{ "record_type": "USER" }, { "record_type": "ROLE" }]));
    let strong = json!({ "name": "perm-account-strong", "permissions": [{ "record_type": "SETTING" }] });
    let strong = path("role", &host.create("role", &strong).ok());
    let roles = json!([{ "role_name": "perm-account-strong" }]);
    let members = json!({ "name": "perm-account-boss", "email": "b@example.org", "roles": roles });
    let boss = host.create("user", &members).ok();
    let at = path("user", &boss);
    let issued = host.create(&format!("{at}/token"), &json!({ "name": "t" })).ok();
    let token = format!("{at}/token/{}", text(&issued, "id"));
    let refused = || {
        for change in [
            json!({ "is_enabled": false }),
            json!({ "is_enabled": true, "password": "known to me" }),
            json!({ "roles": [] }),
            json!({ "roles": [{ "role_name": "perm-account" }] }),
            json!({ "name": "perm-account-other" }),
            json!({ "email": "me@example.org" }),
            json!({ "password": null }),
        ] {
            manager.change(&at, &change).problem(403, "access.forbidden");
        }
        manager.delete(&at).problem(403, "access.forbidden");
        manager.delete(&format!("{at}?permanently=true")).problem(403, "access.forbidden");
        manager.delete(&token).problem(403, "access.forbidden");
        manager.create(&format!("{at}/token"), &json!({ "name": "mine" })).problem(403, "access.forbidden");
    };
    refused();
    // Nor what it may is taken away by its role.
    manager.change(&strong, &json!({ "permissions": [] })).problem(403, "access.forbidden");
    manager.delete(&strong).problem(403, "access.forbidden");
    manager.change(&at, &json!({ "description": "sits on the left" })).ok();
    // What an administrator takes away may be given back, so that it counts still: disabled, without the role, without
    // either, with the role in the trash.
    host.change(&at, &json!({ "is_enabled": false })).ok();
    manager.change(&at, &json!({ "is_enabled": true })).problem(403, "access.forbidden");
    manager.change(&at, &json!({ "password": "known to me" })).problem(403, "access.forbidden");
    host.change(&at, &json!({ "is_enabled": true, "roles": [{ "role_name": "perm-account" }] })).ok();
    let held = host.read(&at).ok()["roles"].clone();
    for change in [json!({ "roles": [] }), json!({ "password": "known to me" }), json!({ "is_enabled": false })] {
        manager.change(&at, &change).problem(403, "access.forbidden");
    }
    manager.change(&at, &json!({ "roles": held })).ok();
    host.change(&at, &json!({ "roles": [] })).ok();
    assert_eq!(host.delete(&strong).status, 204);
    manager.change(&at, &json!({ "password": "known to me" })).problem(403, "access.forbidden");
    manager.create(&format!("{at}/token"), &json!({ "name": "mine" })).problem(403, "access.forbidden");
    assert_eq!(host.delete(&at).status, 204);
    manager.create(&format!("{at}/action/restore"), &json!({})).problem(403, "access.forbidden");
    manager.delete(&format!("{at}?permanently=true")).problem(403, "access.forbidden");
    act_on(host, &format!("{at}/action/restore"), &json!({})).ok();
    assert!(!host.read(&at).text().contains("former_roles"));
    // Who may do no more is managed as before.
    let plain = path("user", &host.create("user", &json!({ "name": "perm-account-plain", "roles": [] })).ok());
    for change in
        [json!({ "password": "known to me" }), json!({ "is_enabled": false }), json!({ "name": "perm-account-p" })]
    {
        manager.change(&plain, &change).ok();
    }
    manager.create(&format!("{plain}/token"), &json!({ "name": "t" })).ok();
    assert_eq!(manager.delete(&plain).status, 204);
    manager.create(&format!("{plain}/action/restore"), &json!({})).ok();
}

#[test]
fn flow_under_a_webhooks_name_runs_only_if_its_maker_may_lend() {
    let host = Host::start();
    let developer = Person::in_role(&host, "perm-deployer", "Developer");
    let address = |name: &str| format!("/api/latest/webhook/default/{name}");
    let call = |name: &str| host.post(&address(name), "").send();
    let runs = |name: &str| host.read(&format!("webhook/{name}?by=name")).ok()["flow_id"].clone();
    let bind = |name: &str, user: &str| {
        host.set(&format!("client.webhook.{name}"), format!("flow_name: {name}\nuser_name: {user}")).ok();
        call(name).problem(404, "webhook.not-found");
    };
    // A deployment, a record, a new name and a restoration: each gives a flow the name.
    for way in ["deploy", "create", "rename", "restore"] {
        let name = format!("perm-bind-{way}");
        let trashed = (way == "restore").then(|| {
            let flow = developer.deploy(&name, &component("canary")).ok()["flow"].clone();
            assert_eq!(developer.delete(&path("flow", &flow)).status, 204);
            flow
        });
        bind(&name, "admin");
        let other = format!("{name}-other");
        let flow = match way {
            "deploy" => developer.deploy(&name, &component("canary")).ok()["flow"].clone(),
            "create" => {
                let flow = developer.create("flow", &json!({ "name": name })).ok();
                developer.deploy(&name, &component("canary")).ok();
                flow
            }
            "rename" => {
                let flow = developer.deploy(&other, &component("canary")).ok()["flow"].clone();
                developer.change(&path("flow", &flow), &json!({ "name": name })).ok()
            }
            _ => developer.create(&format!("{}/action/restore", path("flow", &trashed.unwrap())), &json!({})).ok(),
        };
        call(&name).problem(404, "webhook.not-found");
        assert_eq!(runs(&name), Value::Null, "{way}");
        assert!(host.log().contains(&format!("client.webhook.{name}")), "the operator is told: {way}");
        // Nor does another change of the flow, nor the next start.
        developer.change(&path("flow", &flow), &json!({ "description": "mine" })).ok();
        call(&name).problem(404, "webhook.not-found");
        // A user who may lend the webhook's user says that it is right.
        host.set(&format!("client.webhook.{name}"), format!("flow_name: {name}\nuser_name: admin")).ok();
        assert_eq!(call(&name).ok()["flow"]["id"], flow["id"], "{way}");
        assert_eq!(runs(&name), flow["id"]);
        // The name away and back again: it is the same flow.
        developer.change(&path("flow", &flow), &json!({ "name": other })).ok();
        call(&name).problem(404, "webhook.not-found");
        developer.change(&path("flow", &flow), &json!({ "name": name })).ok();
        call(&name).ok();
        // Another one under the name is not.
        developer.change(&path("flow", &flow), &json!({ "name": other })).ok();
        developer.deploy(&name, &component("canary")).ok();
        call(&name).problem(404, "webhook.not-found");
    }
    // A deployer who may do all that the user may needs no one else's consent.
    bind("perm-bind-own", "perm-deployer");
    let flow = developer.deploy("perm-bind-own", &component("canary")).ok()["flow"].clone();
    assert_eq!(call("perm-bind-own").ok()["flow"]["id"], flow["id"]);
    bind("perm-bind-admin", "admin");
    host.deploy_as("perm-bind-admin", component("canary")).ok();
    call("perm-bind-admin").ok();
    let host = host.crash();
    host.post(&address("perm-bind-admin"), "").send().ok();
    host.post(&address("perm-bind-deploy"), "").send().problem(404, "webhook.not-found");
}

#[test]
fn restored_setting_runs_the_flow_that_its_restorer_may_use() {
    let host = Host::shared();
    let developer = Person::in_role(host, "perm-rebind", "Developer");
    let name = "perm-rebind";
    host.deploy_as(name, component("canary")).ok();
    let setting = host.set("client.webhook.perm-rebind", format!("flow_name: {name}\nuser_name: admin")).ok();
    let call = || host.post("/api/latest/webhook/default/perm-rebind", "").send();
    call().ok();
    assert_eq!(host.delete(&path("setting", &setting)).status, 204);
    assert_eq!(developer.delete("flow/perm-rebind?by=name").status, 204);
    let flow = developer.deploy(name, &component("canary")).ok()["flow"].clone();
    let restore = format!("{}/action/restore", path("setting", &setting));
    developer.create(&restore, &json!({})).problem(403, "access.forbidden");
    act_on(host, &restore, &json!({})).ok();
    assert_eq!(call().ok()["flow"]["id"], flow["id"]);
    // Together with its project.
    let project = host.create("project", &json!({ "name": name })).ok();
    for record in [path("setting", &setting), path("flow", &flow)] {
        host.change(&record, &json!({ "project_id": project["id"] })).ok();
    }
    assert_eq!(host.delete(&path("project", &project)).status, 204);
    call().problem(404, "webhook.not-found");
    act_on(host, &format!("{}/action/restore", path("project", &project)), &json!({})).ok();
    assert_eq!(call().ok()["flow"]["id"], flow["id"]);
}
