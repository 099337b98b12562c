//! Flows that hand the host far larger texts than it takes, or have it hold many, are refused, and cost it little memory.

use flowhost_tests::{Host, Setup, Webhook, scene};
use serde_json::json;

use crate::footprint::Footprint;

/// Bytes of the texts: most of what a flow's memory holds together with a copy or two of it.
const TEXT: usize = 32 << 20;

/// By how much the host may grow at its peak, in KiB: by the flow's memory, and by a copy of the text that it hands over. If the
/// host parsed such a text, or held all drafts, it would be gigabytes.
const GROWTH_KIB: u64 = 256 << 10;

/// Operations of the guest, and the code of the refusal.
const REFUSED: [(&str, &str); 64] = [
    ("settings.get", "record.invalid"),
    ("settings.exists", "record.invalid"),
    ("settings.names", "record.invalid"),
    ("settings.names-after", "record.invalid"),
    ("settings.save", "request.too-large"),
    ("settings.save-name", "record.invalid"),
    ("settings.delete", "record.invalid"),
    ("settings.expected", "request.too-large"),
    ("settings.compare-and-set", "request.too-large"),
    ("settings.increment", "record.invalid"),
    ("files.stat", "record.invalid"),
    ("files.read", "record.invalid"),
    ("files.write", "record.invalid"),
    ("files.write-type", "record.invalid"),
    ("files.append", "record.invalid"),
    ("files.list", "record.invalid"),
    ("files.delete", "record.invalid"),
    ("locks.acquire", "record.invalid"),
    ("locks.try-acquire", "record.invalid"),
    ("locks.release", "record.invalid"),
    ("locks.is-held", "record.invalid"),
    ("locks.get-holder", "record.invalid"),
    ("secrets.placeholder", "secrets.not-found"),
    ("secrets.get", "secrets.not-found"),
    ("records.type", "records.unknown-type"),
    ("records.get", "record.not-found"),
    ("records.list", "records.unknown-type"),
    ("records.filter", "request.too-large"),
    ("records.order", "request.too-large"),
    ("records.after", "request.too-large"),
    ("records.create", "request.too-large"),
    ("records.update", "request.too-large"),
    ("records.update-name", "record.not-found"),
    ("records.delete", "record.not-found"),
    ("messages.subject", "messages.invalid"),
    ("messages.text", "messages.invalid"),
    ("messages.form", "messages.invalid-form"),
    ("messages.recipient", "messages.invalid"),
    ("messages.wait", "messages.not-found"),
    ("messages.get-response", "messages.not-found"),
    ("messages.close", "messages.not-found"),
    ("children.flow", "flow.not-found"),
    ("children.flow-id", "flow.not-found"),
    ("children.input", "request.too-large"),
    ("children.key", "children.invalid-limit"),
    ("children.wait", "children.not-found"),
    ("children.get-status", "children.not-found"),
    ("children.cancel", "children.not-found"),
    ("execution.clone", "request.too-large"),
    ("response.set-header", "response.headers-too-large"),
    ("response.set-header-name", "response.headers-too-large"),
    ("response.set-file", "record.invalid"),
    ("response.start-body", "response.headers-too-large"),
    ("http.method", "http.too-large"),
    ("http.url", "http.too-large"),
    ("http.header", "http.too-large"),
    ("http.body", "http.too-large"),
    ("wasi-http.fields", "ErrorCode::HttpRequestHeaderSectionSize(None)"),
    ("wasi-http.path", "invalid"),
    ("wasi-http.authority", "invalid"),
    ("wasi-http.scheme", "invalid"),
    ("wasi-http.method", "invalid"),
    // That many names, each of one byte.
    ("children.wait-many", "request.too-large"),
    ("records.exists", ""),
];

/// Operations of the guest that end its execution.
const ENDED: [(&str, &str); 8] = [
    ("execution.set-output", "flow.output-limit"),
    ("execution.merge-outputs", "flow.output-limit"),
    ("execution.replace-outputs", "flow.output-limit"),
    ("execution.append-output", "flow.output-limit"),
    ("execution.log", "flow.output-limit"),
    ("execution.log-fields", "flow.output-limit"),
    ("response.set-body", "flow.output-limit"),
    ("http.send-all", "flow.journal-limit"),
];

/// Operations of the guest that leave a draft behind a handle, the bytes that each is given, and the code of the last refusal.
const HELD: [(&str, usize, &str); 11] = [
    ("messages.subject", 1 << 20, "messages.invalid"),
    ("messages.text", 1 << 20, "messages.invalid"),
    ("messages.form", 1 << 20, "messages.invalid-form"),
    ("messages.recipient", 1 << 20, "messages.invalid"),
    ("children.flow", 1 << 20, "flow.not-found"),
    // As large as it may be by itself.
    ("children.input", 1 << 20, "request.too-large"),
    ("http.url", 1 << 20, "http.too-large"),
    ("http.body", 1 << 20, "http.too-large"),
    ("http.header", 60_000, "http.too-large"),
    ("wasi-http.fields", 60_000, "ErrorCode::HttpRequestHeaderSectionSize(None)"),
    ("wasi-http.authority", 16_000, ""),
];

struct Hoard {
    host: Host,
    webhook: Webhook,
    before: Footprint,
}

impl Hoard {
    fn start() -> Self {
        let host = Setup::new().set("cpu_ms", 600_000).set("wall_ms", 600_000).set("wait_ms", 600_000).start();
        let webhook = scene::webhook(&host, "hoarder", "hoarder");
        webhook.call(&host, &json!({ "op": "settings.get", "bytes": 10 })).send().ok();
        let before = Footprint::of(&host);
        Self { host, webhook, before }
    }

    fn refused(&self, op: &str, bytes: usize, times: usize, code: &str) {
        let payload = json!({ "op": op, "bytes": bytes, "times": times });
        let ended = self.webhook.call(&self.host, &payload).send().ok();
        assert_eq!(ended["output_value"]["code"].as_str().unwrap_or_default(), code, "{op}");
        self.is_small(op);
    }

    fn is_small(&self, op: &str) {
        let grown = Footprint::of(&self.host).peak_kib - self.before.memory_kib;
        assert!(grown < GROWTH_KIB, "{op}: by {} MiB", grown >> 10);
    }
}

#[test]
fn a_text_that_is_far_too_large_is_refused_and_costs_little() {
    let hoard = Hoard::start();
    for (op, code) in REFUSED {
        let bytes = if op == "children.wait-many" { 1 << 20 } else { TEXT };
        hoard.refused(op, bytes, 1, code);
    }
    for (op, code) in ENDED {
        let payload = json!({ "op": op, "bytes": if op == "http.send-all" { 10_500 } else { TEXT } });
        hoard.webhook.call(&hoard.host, &payload).send().problem(500, code);
        hoard.is_small(op);
    }
    hoard.refused("execution.progress", TEXT, 1, "");
    // Of the largest size: it is looked at.
    hoard.refused("children.input", (16 << 20) - 1, 1, "flow.not-found");
    hoard.refused("children.input", 16 << 20, 1, "request.too-large");
    let log = hoard.host.log();
    assert!(!log.contains("panicked") && !log.contains("ERROR"), "{log}");
}

#[test]
fn many_drafts_hold_little() {
    let hoard = Hoard::start();
    for (op, bytes, code) in HELD {
        hoard.refused(op, bytes, 800, code);
    }
    // One request that is named often is as large as that many.
    hoard.refused("http.send-all", 2_000, 1, "http.too-large");
}
