//! What tests of several suites do.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use crate::{Answer, Host, Setup, Webhook};
use flowhost_model::RecordId;
use rusqlite::Connection;
use serde_json::{Value, json};

/// More milliseconds than any test takes.
pub const DAY: u64 = 24 * 3_600_000;

/// A host on which no limit of time ends an execution, nor the wait for it.
pub fn patient() -> Setup {
    let limits = ["cpu_ms", "wall_ms", "wait_ms", "admission_wait_ms"];
    limits.into_iter().fold(Setup::new(), |setup, limit| setup.set(limit, DAY))
}

/// The host that tests share on which whatever waits leaves memory at once. It lives as long as this program.
pub fn unloading() -> &'static Host {
    static UNLOADING: OnceLock<Host> = OnceLock::new();
    UNLOADING.get_or_init(|| Setup::new().set("unload_ms", 1).start())
}

/// Hosts that tests share: one on which waits are spent in memory, at first, and one on which they are spent in the store.
pub fn resident_and_unloaded() -> [&'static Host; 2] {
    [Host::shared(), unloading()]
}

/// A webhook for a guest, whose executions may do with flows, settings and webhooks what they like.
pub fn webhook(host: &Host, name: &str, guest: &str) -> Webhook {
    webhook_with(host, name, guest, json!({}))
}

/// [`webhook`], with more members of its record.
pub fn webhook_with(host: &Host, name: &str, guest: &str, members: Value) -> Webhook {
    let mut all = json!({ "roles": [{ "role_name": "Developer" }] });
    all.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    host.webhook_with(name, guest, &all)
}

/// The text of a member.
pub fn text<'a>(record: &'a Value, member: &str) -> &'a str {
    record[member].as_str().unwrap_or_else(|| panic!("`{member}` is no text: {record}"))
}

/// The items of a list.
pub fn items(list: &Value) -> &Vec<Value> {
    list.as_array().unwrap_or_else(|| panic!("no list: {list}"))
}

/// Begins to perform operations in an execution that nobody waits for: its id.
pub fn begin(host: &Host, webhook: &Webhook, operations: Value) -> String {
    webhook.call_async(host, &json!({ "ops": operations }))
}

/// Performs operations: their [`results`].
///
/// # Panics
///
/// When the execution does not end well.
pub fn perform(host: &Host, webhook: &Webhook, operations: Value) -> Vec<Value> {
    let answer = webhook.call(host, &json!({ "ops": operations })).send().ok();
    results(&answer["output_value"])
}

/// What each of the operations gave, out of the outputs of a guest that performs them: a value, or a code as `[code]`.
pub fn results(outputs: &Value) -> Vec<Value> {
    let results = items(&outputs["results"]).iter();
    results.map(|result| result.get("ok").cloned().unwrap_or_else(|| json!([result["code"]]))).collect()
}

/// An action of an execution.
pub fn act(host: &Host, id: &str, action: &str) -> Answer {
    let target = format!("/api/latest/execution/{id}/action/{action}?plain=true");
    host.request("POST", &target).as_operator().send()
}

/// An execution as it stands.
pub fn execution(host: &Host, id: &str) -> Value {
    host.read(&format!("execution/{id}")).ok()
}

/// Waits until an execution has this status.
pub fn until_status(host: &Host, id: &str, status: &str) -> Value {
    host.wait_until(id, &format!("is {status}"), |execution| execution["status"] == status)
}

/// Waits until an execution has left memory, to wait for a time in the store.
pub fn until_unloaded(host: &Host, id: &str) -> Value {
    let has_left = |execution: &Value| execution["status"] == "WAITING" && execution["wake_at"].is_string();
    host.wait_until(id, "has left memory", has_left)
}

/// The executions that another has started, in the order of their start.
pub fn children_of(host: &Host, parent: &str) -> Vec<Value> {
    let filter = format!("%7B%22field%22:%22parent_id%22,%22value%22:%22{parent}%22%7D");
    let list = host.read(&format!("execution?filter={filter}&order=created_at&limit=1000&fields=id")).ok();
    items(&list).iter().map(|child| execution(host, text(child, "id"))).collect()
}

/// The id of the message of an execution.
pub fn message_of(host: &Host, execution: &str) -> String {
    let filter = format!("%7B%22field%22:%22execution_id%22,%22value%22:%22{execution}%22%7D");
    let list = host.read(&format!("message?filter={filter}")).ok();
    text(&items(&list)[0], "id").to_owned()
}

/// Answers a message as an operator.
pub fn respond(host: &Host, message: &str, response: &Value) -> Answer {
    host.post_json(&format!("/api/latest/message/{message}/respond?plain=true"), response).as_operator().send()
}

/// The values of the settings that begin with a prefix, by what follows it.
pub fn settings(host: &Host, prefix: &str) -> BTreeMap<String, Value> {
    let all = host.all("setting");
    let named = all.iter();
    named.filter_map(|one| Some((text(one, "name").strip_prefix(prefix)?.to_owned(), one["value"].clone()))).collect()
}

/// The value of a setting; none where there is no such setting.
pub fn setting(host: &Host, name: &str) -> Option<Value> {
    settings(host, name).remove("")
}

/// The messages of a flow in the log of its execution.
pub fn said(host: &Host, id: &str) -> Vec<String> {
    let log = host.log_of(id);
    let lines = log.iter().filter(|line| line["source"] == "flow");
    lines.map(|line| text(line, "message").to_owned()).collect()
}

/// The messages of the host in the log of an execution.
pub fn said_by_host(host: &Host, id: &str) -> Vec<String> {
    let log = host.log_of(id);
    let lines = log.iter().filter(|line| line["source"] == "host");
    lines.map(|line| text(line, "message").to_owned()).collect()
}

/// The database of a host whose process has ended.
pub fn database(host: &Host) -> Connection {
    Connection::open(host.data().join("flowhost.sqlite3")).unwrap()
}

/// Makes the time of every wait in the store of a host come whose process has ended.
pub fn let_time_come(host: &Host) {
    assert!(database(host).execute("UPDATE execution SET wake_at = 1 WHERE status = 2", []).unwrap() > 0);
}

/// The bytes of an execution's id, as the database has it.
pub fn key(id: &str) -> [u8; 16] {
    *id.parse::<RecordId>().unwrap().as_bytes()
}

/// The payload of a `parent` with these children.
pub fn parent_of(children: Value, more: Value) -> Value {
    let mut payload = json!({ "children": children });
    payload.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    payload
}
