//! Parents, children and grandchildren that a crash meets.

use flowhost_tests::scene::patient;
use flowhost_tests::{Host, Webhook};
use serde_json::{Value, json};

/// Three generations that wait for each other, and the last for a day.
struct Family {
    webhook: Webhook,
    grandparent: String,
    parent: String,
    child: String,
}

impl Family {
    fn start(host: &Host, when: &str) -> Self {
        host.deploy("wait-forever");
        let webhook = host.webhook_of_admin("family", "parent");
        let child = json!({ "flow": "wait-forever", "input": {} });
        let parent = json!({ "flow": "parent", "input": { "children": [child], "when": when } });
        let grandparent = webhook.call_async(host, &json!({ "children": [parent], "when": when }));
        let parent = only_child(host, &grandparent);
        let child = only_child(host, &parent);
        let family = Self { webhook, grandparent, parent, child };
        family.all_wait(host);
        family
    }

    fn ids(&self) -> [&str; 3] {
        [&self.grandparent, &self.parent, &self.child]
    }

    fn all_wait(&self, host: &Host) {
        for id in self.ids() {
            host.wait_until(id, "waits", |execution| execution["status"] == "WAITING");
        }
    }

    /// Waits until all have left memory, where their rows wait as well.
    fn all_have_left(&self, host: &Host) {
        let waits = |id: &str| host.executions_in("WAITING").iter().any(|execution| execution["id"] == *id);
        flowhost_tests::until("all have left", || self.ids().into_iter().all(waits).then_some(()));
    }

    fn is_whole(&self, host: &Host) {
        assert_eq!(only_child(host, &self.grandparent), self.parent);
        assert_eq!(only_child(host, &self.parent), self.child);
        assert_eq!(host.executions_of(self.webhook.name()).len(), 1);
    }

    fn attempts(&self, host: &Host) -> [Value; 3] {
        self.ids().map(|id| host.read(&format!("execution/{id}")).ok()["attempt"].clone())
    }

    fn statuses(&self, host: &Host) -> [String; 3] {
        self.ids().map(|id| host.wait_until_ended(id).status().to_owned())
    }
}

/// The child whose id an execution has set as an output.
fn only_child(host: &Host, parent: &str) -> String {
    let filter = format!("execution?filter=%7B%22field%22:%22parent_id%22,%22value%22:%22{parent}%22%7D");
    flowhost_tests::until("the child is there", || {
        let children = host.read(&filter).ok();
        let children = children.as_array().unwrap();
        assert!(children.len() < 2, "{children:?}");
        Some(children.first()?["id"].as_str()?.to_owned())
    })
}

trait Lists {
    fn executions_in(&self, status: &str) -> Vec<Value>;
}

impl Lists for Host {
    fn executions_in(&self, status: &str) -> Vec<Value> {
        self.all(&format!("execution?status={status}"))
    }
}

#[test]
fn a_family_in_memory_goes_on_after_a_crash() {
    let host = patient().set("unload_ms", 3_600_000).start();
    let family = Family::start(&host, "ALL_ENDED");
    let host = host.crash();
    family.all_wait(&host);
    family.is_whole(&host);
    assert_eq!(family.attempts(&host), [json!(2), json!(2), json!(2)]);
    host.cancel(&family.child).ok();
    assert_eq!(family.statuses(&host), ["ENDED_SUCCESS", "ENDED_SUCCESS", "ENDED_CANCELLED"]);
}

#[test]
fn a_family_out_of_memory_goes_on_after_a_crash() {
    let host = patient().set("unload_ms", 1).start();
    let family = Family::start(&host, "ALL_ENDED");
    family.all_have_left(&host);
    let host = host.crash();
    family.all_wait(&host);
    family.is_whole(&host);
    assert_eq!(family.attempts(&host), [json!(1), json!(1), json!(1)]);
    host.cancel(&family.child).ok();
    assert_eq!(family.statuses(&host), ["ENDED_SUCCESS", "ENDED_SUCCESS", "ENDED_CANCELLED"]);
}

#[test]
fn a_child_that_does_not_end_well_fails_those_who_wait_for_success() {
    let host = patient().set("unload_ms", 1).start();
    let family = Family::start(&host, "ALL_SUCCEEDED");
    family.all_have_left(&host);
    host.cancel(&family.child).ok();
    assert_eq!(family.statuses(&host), ["ENDED_ERROR", "ENDED_ERROR", "ENDED_CANCELLED"]);
}

#[test]
fn a_cancelled_grandparent_takes_all_along() {
    for unload_ms in [1, 3_600_000] {
        let host = patient().set("unload_ms", unload_ms).start();
        let family = Family::start(&host, "ALL_ENDED");
        host.cancel(&family.grandparent).ok();
        let host = host.crash();
        assert_eq!(family.statuses(&host), ["ENDED_CANCELLED", "ENDED_CANCELLED", "ENDED_CANCELLED"]);
    }
}
