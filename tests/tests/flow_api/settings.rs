//! Settings as flows read and change them.

use std::collections::BTreeSet;

use flowhost_tests::{Ended, Host, Setup, Webhook};
use serde_json::{Value, json};

use flowhost_tests::scene::{
    DAY, children_of, items, parent_of, patient, perform, results, setting, settings, text, until_status, webhook,
    webhook_with,
};

fn get(name: &str) -> Value {
    json!({ "op": "get", "name": name })
}

fn exists(name: &str) -> Value {
    json!({ "op": "exists", "name": name })
}

fn save(name: &str, value: Value) -> Value {
    json!({ "op": "save", "name": name, "value": value })
}

fn delete(name: &str) -> Value {
    json!({ "op": "delete", "name": name })
}

fn names(prefix: &str) -> Value {
    json!({ "op": "names", "prefix": prefix })
}

fn increment(name: &str, by: i64) -> Value {
    json!({ "op": "increment", "name": name, "by": by })
}

/// `expected` and `value` are empty for none, or hold the one.
fn compare_and_set(name: &str, expected: &[Value], value: &[Value]) -> Value {
    let mut operation = json!({ "op": "compare-and-set", "name": name });
    for (member, value) in [("expected", expected), ("value", value)] {
        if let [value] = value {
            operation[member] = value.clone();
        }
    }
    operation
}

#[test]
fn a_setting_is_made_read_replaced_and_deleted() {
    let host = Host::shared();
    let webhook = webhook(host, "settings-life", "settings");
    let value = json!({ "b": [1, null, "ü"], "a": { "n": 12_345_678_901_234_567_890_u64 } });
    let operations = json!([
        get("life"),
        exists("life"),
        delete("life"),
        save("life", value.clone()),
        get("life"),
        exists("life"),
        save("life", Value::Null),
        get("life"),
        exists("life"),
        delete("life"),
        exists("life"),
        save("life", json!("in the end")),
    ]);
    let expected = json!([null, false, false, null, value, true, null, null, true, true, false, null]);
    assert_eq!(json!(perform(host, &webhook, operations)), expected);
    // At once for others as well.
    assert_eq!(setting(host, "life"), Some(json!("in the end")));
    host.set("life", "by: hand").ok();
    assert_eq!(perform(host, &webhook, json!([get("life")])), [json!({ "by": "hand" })]);
}

#[test]
fn a_deleted_setting_is_gone_for_good() {
    let host = Host::shared();
    let webhook = webhook(host, "settings-gone", "settings");
    perform(host, &webhook, json!([save("gone", json!(1)), delete("gone")]));
    let trash = host.read("setting?trash=true&limit=1000").ok();
    assert!(items(&trash).iter().all(|record| record["name"] != "gone"));
}

#[test]
fn names_are_listed_by_what_they_begin_with() {
    let host = Host::start();
    let webhook = webhook(&host, "settings", "settings");
    let made = ["shop.b", "shop.a", "shop/a", "shop", "Shop.c", "shopping", "sh%p", "sh_p", "é.ü"];
    perform(&host, &webhook, made.iter().map(|name| save(name, json!(1))).collect());
    let lists = [
        ("shop.", json!(["shop.a", "shop.b"])),
        ("shop", json!(["shop", "shop.a", "shop.b", "shop/a", "shopping"])),
        ("Shop", json!(["Shop.c"])),
        ("sh%", json!(["sh%p"])),
        ("sh_", json!(["sh_p"])),
        ("é", json!(["é.ü"])),
        ("nothing", json!([])),
    ];
    for (prefix, expected) in lists {
        assert_eq!(perform(&host, &webhook, json!([names(prefix)])), [expected], "{prefix}");
    }
    assert_eq!(items(&perform(&host, &webhook, json!([names("")]))[0]).len(), made.len());
}

#[test]
fn more_names_than_one_page_are_listed_whole() {
    let host = patient().start();
    let webhook = webhook(&host, "settings", "settings");
    let many: Vec<String> = (0..1_100).map(|number| format!("many.{number:04}")).collect();
    perform(&host, &webhook, many.iter().map(|name| save(name, json!(1))).collect());
    assert_eq!(perform(&host, &webhook, json!([names("many.")])), [json!(many)]);
}

#[test]
fn a_value_is_replaced_only_if_it_is_the_expected_one() {
    let host = Host::shared();
    let webhook = webhook(host, "settings-compare", "settings");
    let (one, two, object) = ([json!(1)], [json!(2)], [json!({ "a": 1, "b": [2] })]);
    let operations = json!([
        compare_and_set("cas", &one, &two),
        compare_and_set("cas", &[], &[]),
        exists("cas"),
        compare_and_set("cas", &[], &one),
        compare_and_set("cas", &[], &two),
        get("cas"),
        compare_and_set("cas", &two, &[]),
        compare_and_set("cas", &one, &object),
        compare_and_set("cas", &[json!({ "b": [2], "a": 1 })], &two),
        get("cas"),
        compare_and_set("cas", &two, &[json!(null)]),
        // Null is a value, and not the absence of one.
        compare_and_set("cas", &[], &one),
        compare_and_set("cas", &[json!(null)], &[]),
        exists("cas"),
    ]);
    let expected = json!([false, true, false, true, false, 1, false, true, true, 2, true, false, true, false]);
    assert_eq!(json!(perform(host, &webhook, operations)), expected);
}

#[test]
fn of_several_executions_that_take_a_lock_one_gets_it() {
    let host = Host::shared();
    let webhook = webhook(host, "settings-lock", "settings");
    let take = json!({ "ops": [compare_and_set("lock", &[], &[json!("mine")])] });
    let ids: Vec<String> = (0..20).map(|_| webhook.call_async(host, &take)).collect();
    let taken = ids.iter().filter(|id| results(host.wait_until_ended(id).outputs())[0] == true);
    assert_eq!(taken.count(), 1);
}

#[test]
fn what_is_added_side_by_side_is_all_counted() {
    let host = Host::shared();
    let webhook = webhook(host, "settings-count", "counter");
    let ids: Vec<String> =
        (0..20).map(|_| webhook.call_async(host, &json!({ "name": "count", "times": 10 }))).collect();
    let ended: Vec<Ended> = ids.iter().map(|id| host.wait_until_ended(id)).collect();
    let sums = ended.iter().flat_map(|ended| items(&ended.outputs()["sums"])).map(|sum| sum.as_i64().unwrap());
    assert_eq!(sums.collect::<BTreeSet<i64>>(), (1..=200).collect());
    assert_eq!(setting(host, "count"), Some(json!(200)));
}

#[test]
fn only_whole_numbers_of_64_bits_are_added_to() {
    let host = Host::shared();
    let webhook = webhook(host, "settings-add", "settings");
    let refused = json!(["settings.not-a-number"]);
    let operations = json!([increment("add", 5), increment("add", -7), increment("add", 0), get("add")]);
    assert_eq!(perform(host, &webhook, operations), [5, -2, -2, -2]);
    for (value, by, expected) in [
        (json!(i64::MAX - 1), 1, json!(i64::MAX)),
        (json!(i64::MAX), 1, refused.clone()),
        (json!(i64::MIN), -1, refused.clone()),
        (json!(u64::MAX), -1, refused.clone()),
        (json!(1.5), 1, refused.clone()),
        (json!("1"), 1, refused.clone()),
        (json!(null), 1, refused.clone()),
        (json!({}), 1, refused.clone()),
    ] {
        let operations = json!([save("add", value.clone()), increment("add", by), get("add")]);
        let results = perform(host, &webhook, operations);
        assert_eq!(results[1], expected, "{value}");
        assert_eq!(results[2], if expected == refused { value } else { expected });
    }
}

#[test]
fn what_cannot_be_a_setting_is_refused_and_the_flow_goes_on() {
    let host = Host::shared();
    let webhook = webhook(host, "settings-wrong", "settings");
    for name in ["", " ", " blank", "blank ", "\ttab", "a\nb", &"x".repeat(129)] {
        let operations = [
            get(name),
            exists(name),
            save(name, json!(1)),
            delete(name),
            increment(name, 1),
            compare_and_set(name, &[], &[json!(1)]),
        ];
        for (operation, result) in operations.iter().zip(perform(host, &webhook, json!(operations))) {
            assert_eq!(result, json!(["record.invalid"]), "{operation}");
        }
    }
    let raw = |text: &str| json!({ "op": "save", "name": "wrong", "raw": text });
    for text in ["", "{", "{} {}", "nul", "'a'", "NaN"] {
        assert_eq!(perform(host, &webhook, json!([raw(text)])), [json!(["json.invalid"])], "{text}");
    }
    assert_eq!(setting(host, "wrong"), None);
    assert_eq!(perform(host, &webhook, json!([save(&"é".repeat(128), json!(1))])), [json!(null)]);
}

#[test]
fn a_value_has_its_largest_size() {
    let host = Setup::new().set("body_bytes", 4 << 20).start();
    let webhook = webhook_with(&host, "settings", "settings", json!({ "options": { "max_body_bytes": 4 << 20 } }));
    let large = |bytes: usize| save("large", json!("x".repeat(bytes)));
    let operations = json!([large(1 << 20), exists("large"), large((1 << 20) - 100), exists("large")]);
    let results = perform(&host, &webhook, operations);
    assert_eq!(results, [json!(["request.too-large"]), json!(false), json!(null), json!(true)]);
}

#[test]
fn what_is_read_only_is_not_changed() {
    let host = Host::shared();
    let webhook = webhook(host, "settings-readonly", "settings");
    let record = host.create("setting", &json!({ "name": "readonly", "value": 1, "is_readonly": true })).ok();
    let operations = json!([
        save("readonly", json!(2)),
        increment("readonly", 1),
        compare_and_set("readonly", &[json!(1)], &[json!(2)]),
        compare_and_set("readonly", &[json!(1)], &[]),
        delete("readonly"),
        get("readonly"),
    ]);
    let refused = json!(["record.readonly"]);
    let expected = [&refused, &refused, &refused, &refused, &refused, &json!(1)];
    assert_eq!(perform(host, &webhook, operations).iter().collect::<Vec<_>>(), expected);
    let kept = host.read(&format!("setting/{}", text(&record, "id"))).ok();
    assert_eq!([&kept["value"], &kept["modified_at"]], [&record["value"], &record["modified_at"]]);
}

/// Every operation on a setting.
fn all_on(name: &str) -> Value {
    json!([
        get(name),
        exists(name),
        names(name),
        save(name, json!(2)),
        compare_and_set(name, &[json!(2)], &[json!(3)]),
        increment(name, 1),
        delete(name),
    ])
}

const FORBIDDEN: &str = "access.forbidden";

#[test]
fn an_execution_of_a_webhook_acts_with_the_roles_that_propagate() {
    let host = Host::shared();
    host.create("setting", &json!({ "name": "acting.roles", "value": 1 })).ok();
    let permissions = json!([{ "record_type": "SETTING" }]);
    host.create("role", &json!({ "name": "acting-settings", "permissions": permissions })).ok();
    let acting = |name: &str, roles: Value| {
        let webhook = webhook_with(host, name, "settings", json!({ "roles": roles }));
        perform(host, &webhook, all_on("acting.roles"))
    };
    let nothing = vec![json!([FORBIDDEN]); 7];
    assert_eq!(acting("acting-no-role", json!([])), nothing);
    assert_eq!(acting("acting-other", json!([{ "role_name": "Webhook" }])), nothing);
    let kept = json!([{ "role_name": "acting-settings", "propagate": false }, { "role_name": "Webhook" }]);
    assert_eq!(acting("acting-kept", kept), nothing);
    assert_eq!(setting(host, "acting.roles"), Some(json!(1)));
    let lent = json!([{ "role_name": "acting-settings" }]);
    let expected = json!([1, true, ["acting.roles"], null, true, 4, true]);
    assert_eq!(json!(acting("acting-lent", lent)), expected);
}

#[test]
fn each_operation_on_a_setting_needs_its_permission() {
    let host = Host::shared();
    let with = |operations: &[&str], name: &str| {
        let role = format!("needs-{}", operations.join("-"));
        let permissions: Vec<Value> =
            operations.iter().map(|operation| json!({ "record_type": "SETTING", "operation": operation })).collect();
        host.create("role", &json!({ "name": role, "permissions": permissions })).ok();
        let webhook = webhook_with(host, &role, "settings", json!({ "roles": [{ "role_name": role }] }));
        json!(perform(host, &webhook, all_on(name)))
    };
    host.create("setting", &json!({ "name": "needs", "value": 2 })).ok();
    let no = || json!([FORBIDDEN]);
    assert_eq!(with(&["READ"], "needs"), json!([2, true, ["needs"], no(), no(), no(), no()]));
    assert_eq!(with(&["READ", "UPDATE"], "needs"), json!([2, true, ["needs"], null, true, 4, no()]));
    assert_eq!(with(&["READ", "DELETE"], "needs"), json!([4, true, ["needs"], no(), false, no(), true]));
    // Neither is there one any more.
    assert_eq!(with(&["READ", "CREATE"], "needs"), json!([null, false, [], null, no(), no(), no()]));
}

#[test]
fn a_role_for_a_project_reaches_the_settings_of_that_project_only() {
    let host = Host::shared();
    let [own, other] = ["reach-own", "reach-other"].map(|name| {
        let project = host.create("project", &json!({ "name": name })).ok();
        host.create("setting", &json!({ "name": name, "value": 1, "project_id": project["id"] })).ok();
        project
    });
    let permissions = json!([{ "project_id": own["id"], "record_type": "SETTING" }]);
    host.create("role", &json!({ "name": "reach", "permissions": permissions })).ok();
    let members = json!({ "roles": [{ "role_name": "reach" }] });
    let webhook = webhook_with(host, "reach", "settings", members);
    let operations = json!([
        names("reach-"),
        get("reach-own"),
        increment("reach-own", 1),
        get("reach-other"),
        exists("reach-other"),
        delete("reach-other"),
        compare_and_set("reach-other", &[json!(1)], &[json!(2)]),
    ]);
    let expected = json!([["reach-own"], 1, 2, null, false, false, false]);
    assert_eq!(json!(perform(host, &webhook, operations)), expected);
    // A name that another has may not be written, nor does the flow learn what is there.
    for operation in [save("reach-other", json!(2)), increment("reach-other", 1)] {
        assert_eq!(perform(host, &webhook, json!([operation])), [json!(["record.name-taken"])]);
    }
    assert_eq!(setting(host, "reach-other"), Some(json!(1)));
    assert_ne!(own["id"], other["id"]);
}

#[test]
fn an_execution_of_the_setting_form_acts_as_its_user() {
    let host = Host::shared();
    host.deploy("settings");
    let [able, unable] = [("acting-able", "Developer"), ("acting-unable", "User")].map(|(name, role)| {
        let user = host.create("user", &json!({ "name": name, "roles": [{ "role_name": role }] })).ok();
        host.set(&format!("client.webhook.{name}"), format!("flow_name: settings\nuser_name: {name}")).ok();
        user
    });
    let call = |name: &str, operations: Value| {
        let path = format!("/api/latest/webhook/default/{name}");
        results(&host.post_json(&path, &json!({ "ops": operations })).send().ok()["output_value"])
    };
    let made = call("acting-able", json!([increment("acting-user", 1)]));
    assert_eq!(made, [1]);
    let record = host.read("setting/acting-user?by=name").ok();
    assert_eq!([&record["created_by"], &record["modified_by"]], [&able["id"], &able["id"]]);
    assert_eq!(call("acting-unable", json!([get("acting-user")])), [json!([FORBIDDEN])]);
    // The user's roles at this moment count.
    let user = format!("user/{}", text(&unable, "id"));
    host.change(&user, &json!({ "roles": [{ "role_name": "Developer" }] })).ok();
    assert_eq!(call("acting-unable", json!([increment("acting-user", 1)])), [2]);
    host.change(&user, &json!({ "roles": [] })).ok();
    assert_eq!(call("acting-unable", json!([get("acting-user")])), [json!([FORBIDDEN])]);
}

#[test]
fn a_child_acts_as_its_parent() {
    let host = Host::shared();
    host.deploy("settings");
    host.create("setting", &json!({ "name": "acting-child", "value": 1 })).ok();
    let reads = json!([{ "record_type": "FLOW", "operation": "READ" }]);
    host.create("role", &json!({ "name": "acting-flows", "permissions": reads })).ok();
    let able = webhook(host, "acting-parent", "parent");
    let members = json!({ "roles": [{ "role_name": "acting-flows" }] });
    let unable = webhook_with(host, "acting-poor-parent", "parent", members);
    let child = json!({ "flow": "settings", "input": { "ops": [get("acting-child"), increment("acting-child", 1)] } });
    let grandchild =
        json!({ "flow": "parent", "input": parent_of(json!([child]), json!({ "when": "ALL_SUCCEEDED" })) });
    let waits = json!({ "when": "ALL_SUCCEEDED" });
    let run = |webhook: &Webhook, child: &Value| {
        host.wait_until_ended(&webhook.call_async(host, &parent_of(json!([child]), waits.clone()))).outputs()["child_outputs"][0].clone()
    };
    assert_eq!(results(&run(&able, &child)), [1, 2]);
    assert_eq!(results(&run(&able, &grandchild)["child_outputs"][0]), [2, 3]);
    let no = json!([FORBIDDEN]);
    assert_eq!(results(&run(&unable, &child)), [no.clone(), no.clone()]);
    assert_eq!(results(&run(&unable, &grandchild)["child_outputs"][0]), [no.clone(), no]);
}

#[test]
fn a_change_of_roles_is_effective_for_the_next_call_of_a_running_execution() {
    let host = Setup::new().set("unload_ms", DAY).start();
    let flow = host.deploy("sleeper")["flow"].clone();
    // A child waits for its turn until the one before it is cancelled.
    host.change(&format!("flow/{}", text(&flow, "id")), &json!({ "options": { "max_executions": 1 } })).ok();
    let before = webhook(&host, "before", "sleeper").call_async(&host, &json!({ "ms": DAY }));
    until_status(&host, &before, "WAITING");
    let replayed = webhook(&host, "replayed", "replayed");
    let payload = json!({ "child": "sleeper", "child_input": { "ms": 0 } });
    let begin = || {
        let id = replayed.call_async(&host, &payload);
        host.wait_until(&id, "waits for its child", |execution| {
            execution["status"] == "WAITING" && !children_of(&host, &id).is_empty()
        });
        id
    };
    let (stripped, steps) = (begin(), |id: &str| settings(&host, &format!("replayed.{id}.")).len());
    let begun = steps(&stripped);
    assert!(begun > 0);
    host.change(&replayed.record_path(), &json!({ "roles": [] })).ok();
    host.cancel(&before).ok();
    let ended = host.wait_until_ended(&stripped);
    assert_eq!(ended.record["failure"]["flow_code"], FORBIDDEN, "{}", ended.record);
    assert_eq!(steps(&stripped), begun);
}

#[test]
fn a_flow_makes_a_webhook_within_its_permissions_and_never_reads_its_key() {
    let host = Host::shared();
    host.deploy("canary");
    for (name, role) in [("hook-user", "User"), ("hook-admin", "Admin")] {
        host.create("user", &json!({ "name": name, "roles": [{ "role_name": role }] })).ok();
    }
    let developer = webhook(host, "hook-developer", "settings");
    let hook = |user: &str| json!({ "flow_name": "canary", "user_name": user, "key": "flow-made-secret" });
    let operations = json!([
        save("client.webhook.hook-lent", hook("hook-admin")),
        save("client.webhook.hook-wrong", json!({ "flow_name": "canary", "keys": "a" })),
        save("client.webhook.hook-made", hook("hook-user")),
        get("client.webhook.hook-made"),
        compare_and_set("client.webhook.hook-made", &[hook("hook-user")], &[json!({})]),
    ]);
    let results = perform(host, &developer, operations);
    assert_eq!(results[0], json!([FORBIDDEN]));
    assert_eq!(results[1], json!(["record.invalid"]));
    assert_eq!(results[2], json!(null));
    assert_eq!(results[3], json!({ "flow_name": "canary", "user_name": "hook-user", "key": "********" }));
    assert_eq!(results[4], false);
    let path = "/api/latest/webhook/default/hook-made";
    host.post(path, "").send().problem(401, "webhook.unauthorized");
    host.post(&format!("{path}?key=flow-made-secret"), "").send().ok();
    host.post("/api/latest/webhook/default/hook-lent?key=flow-made-secret", "")
        .send()
        .problem(404, "webhook.not-found");

    // With settings alone none is made, changed or deleted.
    host.create("role", &json!({ "name": "hook-settings", "permissions": [{ "record_type": "SETTING" }] })).ok();
    let poor = webhook_with(host, "hook-poor", "settings", json!({ "roles": [{ "role_name": "hook-settings" }] }));
    let operations = json!([
        save("client.webhook.hook-poor", hook("hook-user")),
        save("client.webhook.hook-made", json!({ "flow_name": "canary" })),
        delete("client.webhook.hook-made"),
    ]);
    assert_eq!(perform(host, &poor, operations), vec![json!([FORBIDDEN]); 3]);
    host.post(&format!("{path}?key=flow-made-secret"), "").send().ok();
    // What was deleted by a flow is gone at once.
    assert_eq!(perform(host, &developer, json!([delete("client.webhook.hook-made")])), [true]);
    host.post(&format!("{path}?key=flow-made-secret"), "").send().problem(404, "webhook.not-found");
}

#[test]
fn what_a_flow_changed_stays_also_if_it_fails_or_the_host_does() {
    let host = Setup::new().set("journal_entries", 2).start();
    let counter = webhook(&host, "counter", "counter");
    counter.call(&host, &json!({ "name": "kept", "times": 3 })).send().problem(500, "flow.journal-limit");
    let host = host.crash();
    assert_eq!(setting(&host, "kept"), Some(json!(2)));
}
