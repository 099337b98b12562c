//! Lists: filters, orders, pages, fields.

use std::fmt::Write as _;

use flowhost_tests::scene::text;
use flowhost_tests::{Answer, Host};
use serde_json::{Value, json};

use crate::person::{names, path};

fn escaped(value: &str) -> String {
    value.bytes().fold(String::new(), |mut escaped, byte| {
        write!(escaped, "%{byte:02X}").unwrap();
        escaped
    })
}

fn list(host: &Host, what: &str, filter: &Value, more: &str) -> Answer {
    host.read(&format!("{what}?filter={}{more}", escaped(&filter.to_string())))
}

/// Settings, some of them with a description, one read-only.
fn settings(host: &Host, prefix: &str) -> Vec<Value> {
    ["b", "A", "c", "é", "d%"]
        .iter()
        .enumerate()
        .map(|(number, name)| {
            let description = (number % 2 == 0).then(|| format!("{prefix} {number}"));
            let members = json!({
                "name": format!("{prefix}-{name}"), "description": description, "is_readonly": *name == "c",
            });
            host.create("setting", &members).ok()
        })
        .collect()
}

#[test]
fn every_comparison_finds_what_it_says() {
    let host = Host::start();
    let made = settings(&host, "op");
    let third = made[2]["created_at"].clone();
    let default = made[0]["project_id"].clone();
    for (filter, expected) in [
        (json!({ "field": "name", "value": "op-b" }), "b"),
        (json!({ "field": "name", "op": "eq", "value": "op-b" }), "b"),
        (json!({ "field": "name", "op": "ne", "value": "op-b" }), "A c d% é"),
        (json!({ "field": "name", "op": "lt", "value": "op-c" }), "A b"),
        (json!({ "field": "name", "op": "le", "value": "op-c" }), "A b c"),
        (json!({ "field": "name", "op": "gt", "value": "op-c" }), "d% é"),
        (json!({ "field": "name", "op": "ge", "value": "op-c" }), "c d% é"),
        (json!({ "field": "name", "op": "like", "value": "OP-_" }), "A b c é"),
        (json!({ "field": "name", "op": "like", "value": "%" }), "A b c d% é"),
        (json!({ "field": "name", "op": "in", "value": ["op-c", "op-b", "x"] }), "b c"),
        (json!({ "field": "name", "op": "in", "value": [] }), ""),
        (json!({ "field": "description", "op": "is_null", "value": true }), "A é"),
        (json!({ "field": "description", "op": "is_null", "value": false }), "b c d%"),
        (json!({ "field": "description", "value": null }), "A é"),
        (json!({ "field": "description", "op": "ne", "value": "op 0" }), "A c d% é"),
        (json!({ "field": "is_readonly", "value": true }), "c"),
        (json!({ "field": "created_at", "op": "lt", "value": third }), "A b"),
        (json!({ "field": "created_at", "op": "ge", "value": third }), "c d% é"),
        (json!({ "field": "id", "value": made[1]["id"] }), "A"),
        (json!({ "field": "project_id", "value": default }), "A b c d% é"),
        (json!({ "not": { "field": "is_readonly", "value": true } }), "A b d% é"),
        (
            json!({ "and": [
                { "field": "name", "op": "gt", "value": "op-A" },
                { "or": [{ "field": "name", "value": "op-b" }, { "not": { "field": "name", "op": "lt", "value": "op-d%" } }] },
            ] }),
            "b d% é",
        ),
    ] {
        let found = list(&host, "setting", &filter, "").ok();
        let found: Vec<&str> = names(&found).iter().map(|name| name.strip_prefix("op-").unwrap()).collect();
        assert_eq!(found.join(" "), expected, "{filter}");
    }
}

#[test]
fn a_wrong_filter_or_order_is_refused_with_its_place() {
    let host = Host::shared();
    for (what, filter, place) in [
        ("setting", json!({ "field": "colour", "value": 1 }), "`filter.field`: a setting has no property `colour`"),
        ("user", json!({ "field": "password", "value": "x" }), "filter.field"),
        ("user", json!({ "field": "password_hash", "op": "like", "value": "%" }), "filter.field"),
        ("webhook", json!({ "field": "key", "value": "x" }), "filter.field"),
        ("webhook", json!({ "field": "url", "value": "x" }), "worked out"),
        ("webhook", json!({ "and": [{ "field": "is_enabled", "value": "yes" }] }), "filter.and[0].value"),
        ("setting", json!({ "field": "name", "op": "near", "value": "x" }), "filter.op"),
        ("setting", json!({ "field": "created_at", "op": "gt", "value": "today" }), "filter.value"),
        ("setting", json!({ "field": "name", "op": "in", "value": "x" }), "filter.value"),
        ("setting", json!({ "or": [] }), "filter.or"),
        ("setting", json!([]), "filter"),
        ("execution", json!({ "field": "status", "value": "ENDED_WELL" }), "filter"),
    ] {
        let problem = list(host, what, &filter, "").problem(400, "request.malformed");
        assert!(text(&problem, "detail").contains(place), "{filter}: {problem}");
    }
    for query in [
        "order=colour",
        "order=value",
        "order=",
        "order=name,,",
        "limit=x",
        "limit=-1",
        "after=nonsense",
        "by=x",
        "plain=x",
        "filter=x",
        "filter=",
        "fields=colour",
        "fields=",
        "trash=x",
        "colour=red",
    ] {
        host.read(&format!("setting?{query}")).problem(400, "request.malformed");
    }
}

#[test]
fn lists_are_ordered_as_asked_for() {
    let host = Host::start();
    settings(&host, "order");
    let ordered = |order: &str| {
        let list = host.read(&format!("setting?order={order}")).ok();
        names(&list).iter().map(|name| name.strip_prefix("order-").unwrap().to_owned()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(names(&host.read("setting").ok()).len(), 5);
    assert_eq!(ordered("name"), "A b c d% é");
    assert_eq!(ordered("-name"), "é d% c b A");
    assert_eq!(ordered("created_at"), "b A c é d%");
    assert_eq!(ordered("-created_at"), "d% é c A b");
    // Null comes before everything else, `false` before `true`.
    assert_eq!(ordered("description,name"), "A é b c d%");
    assert_eq!(ordered("-is_readonly,-name"), "c é d% b A");
}

/// All pages of a list, followed by `next` as the answer has it.
fn pages(host: &Host, what: &str) -> Vec<Vec<String>> {
    let mut target = format!("/api/latest/{what}");
    let mut pages = Vec::new();
    loop {
        let answer = host.get(&target).as_operator().send();
        let body = answer.ok();
        let (name, list) = body.as_object().unwrap().iter().next().unwrap();
        assert!(what.starts_with(name.as_str()));
        pages.push(names(list).iter().map(|name| (*name).to_owned()).collect());
        match answer.header("link") {
            None => {
                assert_eq!(body.get("next"), None);
                return pages;
            }
            Some(link) => {
                let next = link.strip_prefix('<').and_then(|link| link.strip_suffix(">; rel=\"next\"")).unwrap();
                assert!(next.contains(&format!("after={}", text(&body, "next"))), "{next}");
                target = next.to_owned();
            }
        }
    }
}

#[test]
fn pages_follow_each_other_without_gaps_also_while_records_come_and_go() {
    let host = Host::start();
    settings(&host, "page");
    let whole: Vec<String> =
        names(&host.read("setting?order=name").ok()).iter().map(|name| (*name).to_owned()).collect();
    for order in ["name", "-name", "created_at", "-created_at", "description,-name", "-is_readonly"] {
        for limit in 1..=6 {
            let pages = pages(&host, &format!("setting?limit={limit}&order={order}"));
            assert!(pages.iter().all(|page| page.len() <= limit), "{pages:?}");
            let mut all = pages.concat();
            assert_eq!(all.len(), 5, "{order} {limit}: {all:?}");
            all.sort_unstable();
            let mut expected = whole.clone();
            expected.sort_unstable();
            assert_eq!(all, expected, "{order} {limit}");
        }
    }
    // A page goes on behind where it ended, also where that is gone meanwhile.
    let first = host.get("/api/latest/setting?limit=2&order=name").as_operator().send().ok();
    let after = escaped(text(&first, "next"));
    assert_eq!(names(&first["setting"]), ["page-A", "page-b"]);
    assert_eq!(host.delete("setting/page-b?by=name").status, 204);
    host.create("setting", &json!({ "name": "page-a" })).ok();
    host.create("setting", &json!({ "name": "page-bb" })).ok();
    let second = host.read(&format!("setting?limit=2&order=name&after={after}")).ok();
    assert_eq!(names(&second), ["page-bb", "page-c"]);
    // The place in one order is none in another.
    host.read(&format!("setting?order=created_at&after={after}")).problem(400, "request.malformed");
}

#[test]
fn a_list_has_fifty_records_unless_asked_for_otherwise() {
    let host = Host::start();
    for number in 0..60 {
        host.create("project", &json!({ "name": format!("p{number:02}") })).ok();
    }
    assert_eq!(names(&host.read("project").ok()).len(), 50);
    assert_eq!(names(&host.read("project?limit=1000").ok()).len(), 61);
    assert_eq!(names(&host.read("project?limit=0").ok()).len(), 0);
}

#[test]
fn webhooks_of_both_forms_are_in_one_order_and_one_pagination() {
    let host = Host::start();
    host.deploy("canary");
    for name in ["b", "d", "e"] {
        host.webhook(name, "canary");
    }
    for name in ["a", "c", "d"] {
        host.set(&format!("client.webhook.{name}"), "flow_name: canary\nuser_name: admin").ok();
    }
    for (order, expected) in
        [("", "abcdde"), ("&order=name", "abcdde"), ("&order=-name", "eddcba"), ("&order=created_at", "bdeacd")]
    {
        for limit in 1..=7 {
            let pages = pages(&host, &format!("webhook?limit={limit}{order}"));
            assert!(pages.iter().all(|page| page.len() <= limit), "{pages:?}");
            assert_eq!(pages.concat().concat(), expected, "{order} {limit}");
        }
    }
    let found = list(&host, "webhook", &json!({ "field": "name", "op": "ge", "value": "d" }), "").ok();
    assert_eq!(names(&found), ["d", "d", "e"]);
    assert_eq!(names(&host.read("webhook?trash=true").ok()), [""; 0]);
}

#[test]
fn fields_choose_properties() {
    let host = Host::shared();
    let made = host.create("setting", &json!({ "name": "fields", "value": 1 })).ok();
    let expected = json!({ "id": made["id"], "name": "fields", "value": 1 });
    assert_eq!(host.read(&format!("{}?fields=value,name,%20id", path("setting", &made))).ok(), expected);
    assert_eq!(host.read("setting/fields?by=name&fields=id,name,value").ok(), expected);
    let list = list(host, "setting", &json!({ "field": "name", "value": "fields" }), "&fields=id,value,name").ok();
    assert_eq!(list, json!([expected]));
    let problem = host.read("setting?fields=id,colour").problem(400, "request.malformed");
    assert!(text(&problem, "detail").contains("`colour`"));
}

#[test]
fn lists_and_records_are_wrapped_unless_asked_for_plainly() {
    let host = Host::start();
    let made = host.create("setting", &json!({ "name": "wrapped" })).ok();
    let get = |what: &str| host.get(&format!("/api/latest/{what}")).as_operator().send().ok();
    assert_eq!(get("setting"), json!({ "setting": [made] }));
    assert_eq!(get("setting/wrapped?by=name"), json!({ "setting": made }));
    assert_eq!(get("setting?plain=True"), json!([made]));
    assert_eq!(get("setting?plain=false"), json!({ "setting": [made] }));
    assert_eq!(get("setting?trash=true"), json!({ "setting": [] }));
}

#[test]
fn executions_are_filtered_by_time_status_and_flow() {
    let host = Host::start();
    let good = host.webhook("good", "canary");
    let bad = host.webhook("bad", "fail");
    let ids: Vec<String> = [&good, &bad, &good]
        .iter()
        .map(|webhook| {
            webhook.call(&host, &json!({ "message": "no" })).send().header("flowhost-execution-id").unwrap().to_owned()
        })
        .collect();
    let found = |filter: Value, more: &str| -> Vec<String> {
        let list = list(&host, "execution", &filter, more).ok();
        list.as_array().unwrap().iter().map(|execution| text(execution, "id").to_owned()).collect()
    };
    let flow = host.read("flow/canary?by=name").ok();
    let second = host.read(&format!("execution/{}", ids[1])).ok();
    assert_eq!(found(json!({ "field": "status", "value": "ENDED_ERROR" }), ""), [ids[1].clone()]);
    assert_eq!(found(json!({ "field": "flow_id", "value": flow["id"] }), ""), [ids[2].clone(), ids[0].clone()]);
    assert_eq!(
        found(json!({ "field": "flow_id", "value": flow["id"] }), "&order=created_at"),
        [ids[0].clone(), ids[2].clone()]
    );
    assert_eq!(found(json!({ "field": "webhook_id", "value": bad.record["id"] }), ""), [ids[1].clone()]);
    assert_eq!(
        found(json!({ "field": "created_at", "op": "gt", "value": second["created_at"] }), ""),
        [ids[2].clone()]
    );
    assert_eq!(found(json!({ "field": "is_productive", "value": false }), ""), [""; 0]);
    let pages = pages(&host, "execution?limit=2");
    assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [2, 1]);
}
