//! `flowhost:flow/messages`: asking people.
//!
//! A message's record is one transaction with the entry in the journal. A wait is two journal points: when it begins, with the
//! time at which it ends at the latest, and when it has ended.

use flowhost_engine::{Call, State, Waited, WholeState};
use flowhost_model::{Message, MessageStatus, Operation, Record, RecordId, RecordType};
use flowhost_store::{Awaits, Expected, RecordWrite, StoredRecord, Write};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use wasmtime::component::{Linker, Resource};

use super::bindings::flowhost::flow::messages;
use super::drafts::{DRAFTS_BYTES, Texts};
use super::refusal::{NAME_BYTES, Told, or_refuse, parse, refusal, shown};
use super::sleep::{timeout_from_now, what_is_left};
use super::{asking, tell};
use crate::capability::Capability;
use crate::execution::Live;
use crate::host::Host;
use crate::json_schema::{self, SIZE_LIMIT as FORM_LIMIT};
use crate::message::{MESSAGES, SUBJECT_LIMIT, Settled, TEXT_LIMIT, settled};
use crate::record::RecordChange;

/// The capability `messages`.
pub(super) struct MessagesCapability;

/// A message that has not been sent yet. The generated code re-exports it.
#[allow(unreachable_pub)]
#[derive(Serialize)]
pub struct Draft {
    subject: String,
    text: Option<String>,
    form: Option<String>,
    recipient: Option<String>,
    #[serde(skip)]
    texts: Texts,
}

impl Capability for MessagesCapability {
    fn interfaces(&self) -> &[&str] {
        &["flowhost:flow/messages"]
    }

    fn link(&self, linker: &mut Linker<State>) -> wasmtime::Result<()> {
        messages::add_to_linker::<_, WholeState>(linker, |state| state)
    }
}

fn not_found(message: &str) -> messages::HostError {
    refusal("messages.not-found", format!("`{}` is no message of this execution", shown(message)))
}

fn invalid(reason: impl Into<String>) -> messages::HostError {
    refusal("messages.invalid", reason)
}

fn invalid_subject() -> messages::HostError {
    invalid(format!("a subject is one line of 1 to {SUBJECT_LIMIT} characters"))
}

/// Why a draft is refused that was given a text or a form which is too large.
fn too_large(what: &str, limit: usize) -> String {
    format!("{what} has at most {limit} bytes, and all that was not sent yet {DRAFTS_BYTES} together")
}

fn no_such_user(name: &str) -> messages::HostError {
    invalid(format!("there is no enabled user `{}`", shown(name)))
}

/// Refuses what is too long for an id.
fn fits_id(message: &str) -> Told<()> {
    if message.len() > NAME_BYTES { Err(not_found(message)) } else { Ok(()) }
}

/// The id of a message of this execution.
fn own(live: &Live, message: &str) -> Told<RecordId> {
    message.parse().ok().filter(|id| live.has_message(*id)).ok_or_else(|| not_found(message))
}

/// The message that a draft becomes, unless it is refused.
fn prepare(host: &Host, live: &Live, draft: &Draft) -> Told<Record<Message>> {
    let by = host.acting(live);
    host.permit(&by, Operation::Create, RecordType::Message, live.start.project_id)?;
    if live.message_count() >= MESSAGES {
        return Err(refusal("messages.too-many", format!("an execution sends at most {MESSAGES} messages")));
    }
    let subject = &draft.subject;
    if subject.trim().is_empty() || subject.chars().count() > SUBJECT_LIMIT || subject.chars().any(char::is_control) {
        return Err(invalid_subject());
    }
    let parsed = |form: &String| parse(|| format!("the form of the message `{}`", shown(subject)), form, FORM_LIMIT);
    let form: Option<Value> = draft.form.as_ref().map(parsed).transpose()?;
    if let Some(form) = &form {
        json_schema::compile(form).map_err(|reason| refusal("messages.invalid-form", format!("the form: {reason}")))?;
    }
    let snapshot = host.snapshot();
    let recipient = draft.recipient.as_ref().map(|name| snapshot.user_named(name).ok_or_else(|| no_such_user(name)));
    let recipient = recipient.transpose()?;
    let body = Message {
        subject: subject.clone(),
        text: draft.text.clone(),
        form,
        recipient_id: recipient.map(|(id, _)| id),
        recipient_name: recipient.map(|(_, user)| user.name.clone()),
        status: MessageStatus::Open,
        response: None,
        responded_by: None,
        responder_name: None,
        responded_at: None,
        execution_id: live.id,
    };
    let mut record = Record::new("message", Some(by.user_id), body, host.now()).map_err(crate::Problem::from)?;
    record.meta.name = record.meta.id.to_string();
    record.meta.project_id = live.start.project_id;
    record.meta.bundle_id = live.start.bundle_id.filter(|_| live.start.project_id.is_none());
    (record.meta.created_at, record.meta.modified_at) = (host.now(), host.now());
    Ok(record)
}

/// Reads something of a message.
async fn read<T: Serialize + DeserializeOwned>(
    state: &mut State,
    name: &'static str,
    message: String,
    of: impl FnOnce(Message) -> T + Send,
) -> wasmtime::Result<Told<T>> {
    or_refuse!(fits_id(&message));
    let call = Call::new(name, &message);
    if let Some(told) = state.replay(&call)? {
        return Ok(told);
    }
    let (host, live) = asking(state)?;
    let told: Told<T> = match own(&live, &message) {
        Ok(id) => match host.message(id).await {
            Ok(Some(kept)) => Ok(of(kept.record.body)),
            Ok(None) => Err(not_found(&message)),
            Err(problem) => Err(problem.into()),
        },
        Err(refused) => Err(refused),
    };
    tell(state, call, &told)?;
    Ok(told)
}

impl messages::HostNewMessage for State {
    fn new(&mut self, subject: String) -> wasmtime::Result<Resource<Draft>> {
        let mut texts = Texts::new(self);
        let mut kept = String::new();
        // In UTF-8 a character has four bytes at most.
        texts.keep(&mut kept, subject, SUBJECT_LIMIT * 4, |_| invalid_subject());
        self.push_resource(Draft { subject: kept, text: None, form: None, recipient: None, texts })
    }

    fn set_text(&mut self, message: Resource<Draft>, text: String) -> wasmtime::Result<()> {
        let Draft { text: place, texts, .. } = self.table.get_mut(&message)?;
        texts.keep(place.get_or_insert_default(), text, TEXT_LIMIT, |_| invalid(too_large("a text", TEXT_LIMIT)));
        Ok(())
    }

    fn set_form(&mut self, message: Resource<Draft>, schema: String) -> wasmtime::Result<()> {
        let Draft { form, texts, .. } = self.table.get_mut(&message)?;
        let refuse = |_: &str| refusal("messages.invalid-form", too_large("a form", FORM_LIMIT));
        texts.keep(form.get_or_insert_default(), schema, FORM_LIMIT, refuse);
        Ok(())
    }

    fn set_recipient(&mut self, message: Resource<Draft>, user: String) -> wasmtime::Result<()> {
        let Draft { recipient, texts, .. } = self.table.get_mut(&message)?;
        texts.keep(recipient.get_or_insert_default(), user, NAME_BYTES, no_such_user);
        Ok(())
    }

    async fn send(&mut self, message: Resource<Draft>) -> wasmtime::Result<Told<String>> {
        let (host, live) = asking(self)?;
        or_refuse!(self.table.get(&message)?.texts.check());
        let call = Call::new("messages.send", self.table.get(&message)?);
        if let Some(told) = self.replay::<Told<RecordId>>(&call)? {
            return Ok(told.map(|id| {
                live.add_message(id);
                id.to_string()
            }));
        }
        let prepared = prepare(&host, &live, self.table.get(&message)?);
        let told: Told<RecordId> = prepared.as_ref().map(|record| record.meta.id).map_err(Clone::clone);
        self.record(call, &told)?;
        if let Ok(record) = prepared {
            let id = record.meta.id;
            let write = RecordWrite {
                record: StoredRecord::from_record(&record)?,
                expected: Expected::Absent,
                commit_message: None,
                is_remembered: false,
            };
            let opened = Write::OpenMessage { message: id, execution: live.id };
            let change = RecordChange { writes: vec![Write::Record(write), opened], effects: Vec::new() };
            let (changed, by) = (change.changed(&host.snapshot()), live.clone());
            host.step(self, &live, change.writes, move |host, _| host.audit_changes(&by, &changed)).await?;
            live.add_message(id);
        }
        Ok(told.map(|id| id.to_string()))
    }

    fn drop(&mut self, message: Resource<Draft>) -> wasmtime::Result<()> {
        self.table.delete(message)?;
        Ok(())
    }
}

impl messages::Host for State {
    async fn wait(&mut self, message: String, timeout: Option<u64>) -> wasmtime::Result<Told<String>> {
        let (host, live) = asking(self)?;
        let id = match own(&live, &message) {
            Ok(id) => id,
            Err(refused) => return Ok(Err(refused)),
        };
        let call = Call::new("messages.wait", &(&message, timeout));
        let until: Option<i64> = match self.replay(&call)? {
            Some(told) => told,
            None => {
                let until = timeout_from_now(&host, timeout);
                self.record(call, &until)?;
                until
            }
        };
        live.set_awaits(Some(Awaits::Message(id)));
        let limit = what_is_left(&host, until);
        let waited = self.wait_for(Call::new("messages.settled", &()), limit, host.message_settled(id)).await?;
        live.set_awaits(None);
        Ok(match waited {
            Waited::Event(Settled::Answered(response)) => Ok(response),
            Waited::Event(Settled::Closed) => {
                Err(refusal("messages.closed", format!("nobody can respond to the message {id} any more")))
            }
            Waited::Time => {
                let detail = format!("nobody responded to the message {id} in time; it stays open");
                Err(refusal("messages.wait-timeout", detail))
            }
        })
    }

    async fn get_response(&mut self, message: String) -> wasmtime::Result<Told<Option<String>>> {
        // A response that is null is told from none.
        read(self, "messages.get-response", message, |message| match settled(&message) {
            Some(Settled::Answered(response)) => Some(response),
            _ => None,
        })
        .await
    }

    async fn get_responder(&mut self, message: String) -> wasmtime::Result<Told<Option<String>>> {
        read(self, "messages.get-responder", message, |message| message.responder_name).await
    }

    async fn close(&mut self, message: String) -> wasmtime::Result<Told<()>> {
        or_refuse!(fits_id(&message));
        let call = Call::new("messages.close", &message);
        if let Some(told) = self.replay(&call)? {
            return Ok(told);
        }
        let (host, live) = asking(self)?;
        // Held until it is kept: nobody responds meanwhile.
        let writing = host.writing(live.start.flow.id).await;
        let kept = match own(&live, &message) {
            Ok(id) => match host.message(id).await {
                Ok(Some(kept)) => Ok(kept),
                Ok(None) => Err(not_found(&message)),
                Err(problem) => Err(problem.into()),
            },
            Err(refused) => Err(refused),
        };
        let told: Told<()> = kept.as_ref().map(|_| ()).map_err(Clone::clone);
        tell(self, call, &told)?;
        if let Ok(mut kept) = kept
            && kept.record.body.status == MessageStatus::Open
        {
            kept.record.body.status = MessageStatus::Closed;
            kept.record.meta.modified_at = host.now();
            let writes = kept.settle().map_err(|problem| wasmtime::Error::msg(problem.detail))?;
            let change = RecordChange { writes, effects: Vec::new() };
            let (changed, by) = (change.changed(&host.snapshot()), live.clone());
            let closed = move |host: &Host, _| {
                // No other execution waits for the message, and this one does not now.
                drop(writing);
                host.audit_changes(&by, &changed);
            };
            host.step(self, &live, change.writes, closed).await?;
        }
        Ok(told)
    }
}
