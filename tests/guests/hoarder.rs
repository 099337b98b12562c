//! Hands one function of the host a text that is far too large, or holds many drafts that have one, and says what it was told.
//!
//! The payload is `{"op", "bytes", "times"}`: an operation of [`perform`], the size of the text, which is a JSON array of zeros,
//! and how often it is done: each draft is held until the last was tried. The output `code` is that of the last refusal, or
//! null.

#![cfg(target_family = "wasm")]

use flowhost_guest::bindings::flowhost::flow::children::{self, FlowRef, NewChild, ReturnWhen};
use flowhost_guest::bindings::flowhost::flow::execution::{self, Level};
use flowhost_guest::bindings::flowhost::flow::http::{self, NewRequest};
use flowhost_guest::bindings::flowhost::flow::messages::{self, NewMessage};
use flowhost_guest::bindings::flowhost::flow::records::{self, RecordRef};
use flowhost_guest::bindings::flowhost::flow::types::HostError;
use flowhost_guest::bindings::flowhost::flow::{files, locks, response, secrets, settings};
use flowhost_guest::{FlowError, Input, Outputs, flow};
use serde::Deserialize;
use wasip2::http::outgoing_handler::handle;
use wasip2::http::types::{Fields, Method, OutgoingRequest, Scheme};

#[derive(Deserialize)]
struct Plan {
    op: String,
    bytes: usize,
    #[serde(default = "once")]
    times: usize,
}

fn once() -> usize {
    1
}

/// What is held until the last was tried.
#[derive(Default)]
struct Held {
    messages: Vec<NewMessage>,
    children: Vec<NewChild>,
    requests: Vec<NewRequest>,
    fields: Vec<Fields>,
    outgoing: Vec<OutgoingRequest>,
}

#[flow]
fn hoarder(plan: Input<Plan>) -> Result<Outputs, FlowError> {
    let mut text = String::with_capacity(plan.bytes + 2);
    text.push_str("[0");
    while text.len() + 1 < plan.bytes {
        text.push_str(",0");
    }
    text.push(']');
    let mut held = Held::default();
    let mut told = Ok(());
    for _ in 0..plan.times {
        told = perform(&plan.op, &text, &mut held);
    }
    Ok(Outputs::new().set("code", told.err()))
}

/// The code of a refusal.
fn code<T>(told: Result<T, HostError>) -> Result<(), String> {
    told.map(drop).map_err(|refused| {
        assert!(refused.message.len() < 1_000, "a refusal of {} bytes", refused.message.len());
        refused.code
    })
}

fn ok<T>(_: T) -> Result<(), String> {
    Ok(())
}

fn named(text: &str) -> RecordRef {
    RecordRef::Name(text.to_owned())
}

fn perform(op: &str, text: &str, held: &mut Held) -> Result<(), String> {
    let message = |held: &mut Held, new: NewMessage| {
        let sent = code(new.send());
        held.messages.push(new);
        sent
    };
    let child = |held: &mut Held, new: NewChild| {
        let started = code(new.start());
        held.children.push(new);
        started
    };
    match op {
        "settings.get" => code(settings::get(text)),
        "settings.exists" => code(settings::exists(text)),
        "settings.names" => code(settings::names(text, None, 1)),
        "settings.names-after" => code(settings::names("", Some(text), 1)),
        "settings.save" => code(settings::save("hoard", text)),
        "settings.save-name" => code(settings::save(text, "1")),
        "settings.delete" => code(settings::delete(text)),
        "settings.expected" => code(settings::compare_and_set("hoard", Some(text), Some("1"))),
        "settings.compare-and-set" => code(settings::compare_and_set("hoard", None, Some(text))),
        "settings.increment" => code(settings::increment(text, 1)),
        "files.stat" => code(files::stat(text)),
        "files.read" => code(files::read(text, 0, 1)),
        "files.write" => code(files::write(text, b"", None)),
        "files.write-type" => code(files::write("hoard", b"", Some(text))),
        "files.append" => code(files::append(text, b"")),
        "files.list" => code(files::list(text, None, 1)),
        "files.delete" => code(files::delete(text)),
        "locks.acquire" => code(locks::acquire(text, None)),
        "locks.try-acquire" => code(locks::try_acquire(text)),
        "locks.release" => code(locks::release(text)),
        "locks.is-held" => code(locks::is_held(text)),
        "locks.get-holder" => code(locks::get_holder(text)),
        "secrets.placeholder" => code(secrets::placeholder(text)),
        "secrets.get" => code(secrets::get(text)),
        "records.type" => code(records::get(text, &named("hoard"))),
        "records.get" => code(records::get("setting", &named(text))),
        "records.exists" => code(records::exists("setting", &named(text)).map(|exists| assert!(!exists))),
        "records.list" => code(records::list(text, None, None, None, 1)),
        "records.filter" => code(records::list("setting", Some(text), None, None, 1)),
        "records.order" => code(records::list("setting", None, Some(text), None, 1)),
        "records.after" => code(records::list("setting", None, None, Some(text), 1)),
        "records.create" => code(records::create("setting", text)),
        "records.update" => code(records::update("setting", &named("hoard"), text)),
        "records.update-name" => code(records::update("setting", &named(text), "{}")),
        "records.delete" => code(records::delete("setting", &named(text), true)),
        "messages.subject" => message(held, NewMessage::new(text)),
        "messages.text" => {
            let new = NewMessage::new("hoard");
            new.set_text(text);
            message(held, new)
        }
        "messages.form" => {
            let new = NewMessage::new("hoard");
            new.set_form(text);
            message(held, new)
        }
        "messages.recipient" => {
            let new = NewMessage::new("hoard");
            new.set_recipient(text);
            message(held, new)
        }
        "messages.wait" => code(messages::wait(text, Some(1))),
        "messages.get-response" => code(messages::get_response(text)),
        "messages.close" => code(messages::close(text)),
        "children.flow" => child(held, NewChild::new(&FlowRef::Name(text.to_owned()), "{}")),
        "children.flow-id" => child(held, NewChild::new(&FlowRef::Id(text.to_owned()), "{}")),
        "children.input" => child(held, NewChild::new(&FlowRef::Name("nobody-has-this".to_owned()), text)),
        "children.key" => {
            let new = NewChild::new(&FlowRef::Name("hoarder".to_owned()), "{}");
            new.limit_concurrency(text, 1);
            child(held, new)
        }
        "children.wait" => code(children::wait(&[text.to_owned()], ReturnWhen::AllEnded, None)),
        "children.wait-many" => code(children::wait(&vec!["x".to_owned(); text.len()], ReturnWhen::AllEnded, None)),
        "children.get-status" => code(children::get_status(text)),
        "children.cancel" => code(children::cancel(text)),
        "execution.clone" => code(execution::clone(Some(text))),
        "execution.set-output" => code(execution::set_output("hoard", text)),
        "execution.merge-outputs" => code(execution::merge_outputs(text)),
        "execution.replace-outputs" => code(execution::replace_outputs(text)),
        "execution.append-output" => code(execution::append_output("hoard", text)),
        "execution.log" => ok(execution::log(Level::Info, text, None)),
        "execution.log-fields" => ok(execution::log(Level::Info, "hoard", Some(text))),
        "execution.progress" => ok(execution::progress(text)),
        "response.set-header" => code(response::set_header("x-hoard", text.as_bytes())),
        "response.set-header-name" => code(response::set_header(text, b"hoard")),
        "response.set-body" => code(response::set_body("text/plain", text.as_bytes())),
        "response.set-file" => code(response::set_file(text)),
        "response.start-body" => code(response::start_body(text)),
        "http.method" => request(held, NewRequest::new(text, "https://example.com/")),
        "http.url" => request(held, NewRequest::new("GET", text)),
        "http.header" => {
            let new = NewRequest::new("GET", "https://example.com/");
            new.append_header("x-hoard", text.as_bytes());
            request(held, new)
        }
        "http.body" => {
            let new = NewRequest::new("PUT", "https://example.com/");
            new.set_body(text.as_bytes());
            request(held, new)
        }
        // One request, again and again.
        "http.send-all" => {
            let new = NewRequest::new("GET", "https://example.com/");
            new.append_header("x-hoard", "x".repeat(60_000).as_bytes());
            let mut all = http::send_all(&vec![&new; text.len()]);
            code(all.pop().expect("one result for each"))
        }
        "wasi-http.fields" => {
            let fields = Fields::new();
            fields.append("x-hoard", text.as_bytes()).map_err(|error| format!("{error:?}"))?;
            let again = fields.clone();
            held.fields.push(fields);
            let request = OutgoingRequest::new(again);
            request.set_authority(Some("example.com")).map_err(|()| "authority".to_owned())?;
            handle(request, None).map(drop).map_err(|error| format!("{error:?}"))
        }
        "wasi-http.path" => outgoing(held, |request| request.set_path_with_query(Some(&path(text)))),
        "wasi-http.authority" => outgoing(held, |request| request.set_authority(Some(&letters(text)))),
        "wasi-http.scheme" => outgoing(held, |request| request.set_scheme(Some(&Scheme::Other(letters(text))))),
        "wasi-http.method" => outgoing(held, |request| request.set_method(&Method::Other(letters(text)))),
        op => panic!("there is no operation {op}"),
    }
}

fn request(held: &mut Held, new: NewRequest) -> Result<(), String> {
    let sent = code(new.send());
    held.requests.push(new);
    sent
}

fn outgoing(held: &mut Held, set: impl FnOnce(&OutgoingRequest) -> Result<(), ()>) -> Result<(), String> {
    let request = OutgoingRequest::new(Fields::new());
    let told = set(&request).map_err(|()| "invalid".to_owned());
    held.outgoing.push(request);
    told
}

fn path(text: &str) -> String {
    format!("/{}", letters(text))
}

fn letters(text: &str) -> String {
    "a".repeat(text.len())
}
