//! What a list may cost the host: its time, its bytes, and what it reads.

use std::thread;

use flowhost_tests::scene::{items, text};
use flowhost_tests::{Host, Setup};
use serde_json::{Value, json};

use crate::person::{Person, path};

/// A text of which a pattern of `a`s and a `b` matches no part, and is compared with all of them.
const LONG_TEXT: usize = 64 << 10;

/// A person who may make and list settings, and has made many with long descriptions.
fn hoarder(host: &Host) -> Person<'_> {
    let person = Person::with(host, "hoarder", &json!([{ "record_type": "SETTING" }]));
    let description = "a".repeat(LONG_TEXT);
    for number in 0..100 {
        let setting = json!({ "name": format!("long-{number}"), "value": 1, "description": description });
        person.create("setting", &setting).ok();
    }
    person
}

/// A list that compares each description with as many patterns as a filter may have, of which none matches.
fn costly() -> String {
    let pattern = format!("%{}b%", "a".repeat(120));
    let term = json!({ "field": "description", "op": "like", "value": pattern });
    let filter = json!({ "or": [term, term, term, term] }).to_string();
    let escaped: String = filter.bytes().map(|byte| format!("%{byte:02X}")).collect();
    format!("setting?filter={escaped}")
}

#[test]
fn costly_lists_end_while_others_are_served() {
    let host = Setup::new().set("list_ms", 100).start();
    let person = hoarder(&host);
    thread::scope(|scope| {
        let lists: Vec<_> = (0..5).map(|_| scope.spawn(|| person.read(&costly()))).collect();
        // Single records, which have connections that no list takes.
        for number in 0..20 {
            assert_eq!(host.read(&format!("setting/long-{number}?by=name")).ok()["value"], 1);
        }
        for list in lists {
            list.join().unwrap().problem(422, "request.too-costly");
        }
    });
    assert_eq!(
        items(&person.read("setting?filter=%7B%22field%22:%22name%22,%22value%22:%22long-7%22%7D").ok()).len(),
        1
    );
}

#[test]
fn host_stops_while_costly_lists_are_under_way() {
    let host = Setup::new().set("list_ms", 3_600_000).set("drain_timeout_ms", 1).start();
    let person = hoarder(&host);
    thread::scope(|scope| {
        for _ in 0..5 {
            scope.spawn(|| person.request("GET", &costly()).try_send());
        }
        let began = processor_time(&host);
        // More than all that is not a list takes here.
        flowhost_tests::until("the lists are under way", || (processor_time(&host) > began + 20).then_some(()));
        host.terminate();
        assert!(host.wait().success());
    });
}

/// The processor time of a host's process, in hundredths of a second.
fn processor_time(host: &Host) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", host.process_id())).unwrap();
    // Behind the name, which may hold blanks; user time and system time are the fields 14 and 15.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    fields[11..=12].iter().map(|time| time.parse::<u64>().unwrap()).sum()
}

#[test]
fn text_of_a_record_has_a_limit() {
    let host = Host::shared();
    let setting = json!({ "name": "text-limit", "value": 1, "description": "a".repeat(LONG_TEXT) });
    let setting = path("setting", &host.create("setting", &setting).ok());
    for (member, text) in
        [("description", "a".repeat(LONG_TEXT + 1)), ("commit_message", "ä".repeat(LONG_TEXT / 2 + 1))]
    {
        let problem = host.change(&setting, &json!({ member: text })).problem(422, "record.invalid");
        let detail = text_of(&problem);
        assert!(
            detail.starts_with(&format!("`{member}`: has ")) && detail.ends_with("at most 65536 are allowed"),
            "{detail}"
        );
    }
}

fn text_of(problem: &Value) -> &str {
    text(problem, "detail")
}

#[test]
fn filter_has_a_limit_of_patterns() {
    let term = json!({ "field": "name", "op": "like", "value": "%a%" });
    let filter = json!({ "or": vec![term; 21] }).to_string();
    let escaped: String = filter.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let problem = Host::shared().read(&format!("setting?filter={escaped}")).problem(400, "request.malformed");
    assert!(text_of(&problem).contains("`filter.or[20].value`"), "{problem}");
}

#[test]
fn long_text_orders_a_list_by_its_beginning() {
    let host = Host::start();
    let names = ["b", "a", "c"];
    for name in names {
        let description = format!("{name}{}", "x".repeat(LONG_TEXT - 1));
        host.create("setting", &json!({ "name": name, "value": 1, "description": description })).ok();
    }
    let listed = host.all("setting?order=-description&fields=name");
    assert_eq!(listed.iter().map(|one| text(one, "name")).collect::<Vec<_>>(), ["c", "b", "a"]);
    let page = host.get("/api/latest/setting?order=description&limit=1").as_operator().send().ok();
    assert!(text(&page, "next").len() < 1_000, "{page}");
}

#[test]
fn page_of_executions_ends_at_its_bytes() {
    let host = Host::start();
    let webhook = host.webhook_with("large", "hello", &json!({ "options": { "max_body_bytes": 2 << 20 } }));
    let payload = json!({ "name": "Ada", "more": "x".repeat(3 << 19) });
    let mut ids: Vec<String> =
        (0..5).map(|_| text(&webhook.call(&host, &payload).send().ok(), "id").to_owned()).collect();
    ids.reverse();
    let listed = |page: &Value| -> Vec<String> {
        items(&page["execution"]).iter().map(|one| text(one, "id").to_owned()).collect()
    };
    let read = |query: &str| host.get(&format!("/api/latest/execution?{query}")).as_operator().send().ok();
    let first = read("fields=id,input_value&limit=10");
    assert_eq!(listed(&first), ids[..3]);
    assert_eq!(first["execution"][0]["input_value"]["json"], payload);
    let next = text(&first, "next");
    let second = read(&format!("fields=id,input_value&limit=10&after={next}"));
    assert_eq!((listed(&second), &second["next"]), (ids[3..].to_vec(), &Value::Null));
    // What is not asked for is not read, so all are on one page.
    for query in ["", "fields=id,status"] {
        let page = read(query);
        assert_eq!(listed(&page), ids);
        let members = page["execution"][0].as_object().unwrap();
        assert!(!members.contains_key("input_value") && !members.contains_key("output_value"), "{members:?}");
    }
    let one = host.read(&format!("execution/{}", ids[0])).ok();
    assert_eq!(one["input_value"]["json"], payload);
}

#[test]
fn page_of_records_ends_at_its_bytes() {
    let host = Host::start();
    let value = json!("x".repeat(1 << 20 >> 1));
    for number in 10..22 {
        host.create("setting", &json!({ "name": format!("large-{number}"), "value": value })).ok();
    }
    let read = |query: &str| host.get(&format!("/api/latest/setting?{query}limit=100")).as_operator().send().ok();
    let first = read("");
    assert_eq!(items(&first["setting"]).len(), 8);
    let second = read(&format!("after={}&", text(&first, "next")));
    assert_eq!((items(&second["setting"]).len(), &second["next"]), (4, &Value::Null));
    let named = read("fields=name,created_at&");
    assert_eq!((items(&named["setting"]).len(), &named["next"]), (12, &Value::Null));
    assert_eq!(named["setting"][0].as_object().unwrap().len(), 2);
    assert_eq!(host.cli(&["setting", "list", "--json"]).json().as_array().unwrap().len(), 12);
}
