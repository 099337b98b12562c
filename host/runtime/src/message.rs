//! Messages: what executions ask people.

use flowhost_model::{LogLevel, Message, MessageStatus, Operation, Record, RecordId, RecordType};
use flowhost_store::{Expected, RecordWrite, StoredRecord, Write};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::execution::{Awaited, Event};
use crate::host::Host;
use crate::identity::Identity;
use crate::json_schema;
use crate::problem::{Code, Problem};
use crate::record::RecordView;

/// The most messages of one execution: more is rather a mistake, and people are asked by each.
pub(crate) const MESSAGES: usize = 1_000;

/// The longest subject, in characters.
pub(crate) const SUBJECT_LIMIT: usize = 256;

/// The longest text, in bytes.
pub(crate) const TEXT_LIMIT: usize = 64 << 10;

/// The largest response, in bytes: it goes into the journal of the execution that waits for it.
pub(crate) const RESPONSE_LIMIT: usize = 256 << 10;

/// What became of a message that is not open any more.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Settled {
    /// Somebody responded, with this JSON.
    Answered(String),
    Closed,
}

/// A message, and what guards a change of it against those of others.
pub(crate) struct Kept {
    pub(crate) record: Record<Message>,
    revision: u64,
}

/// What became of a message; none as long as it is open.
pub(crate) fn settled(message: &Message) -> Option<Settled> {
    match message.status {
        MessageStatus::Open => None,
        MessageStatus::Answered => {
            Some(Settled::Answered(message.response.as_ref().unwrap_or(&Value::Null).to_string()))
        }
        MessageStatus::Closed => Some(Settled::Closed),
    }
}

fn closed() -> Problem {
    Problem::new(Code::MessageClosed, "the message is not open any more")
}

impl Kept {
    fn of(stored: StoredRecord) -> Result<Self, Problem> {
        let revision = stored.revision;
        Ok(Self { record: stored.into_record()?, revision })
    }

    /// The writes after which an open message is as it is here, and not open.
    pub(crate) fn settle(&self) -> Result<Vec<Write>, Problem> {
        let write = RecordWrite {
            record: StoredRecord::from_record(&self.record)?,
            expected: Expected::Revision(self.revision),
            commit_message: None,
            is_remembered: false,
        };
        Ok(vec![Write::SettleMessage(self.record.meta.id), Write::Record(write)])
    }
}

/// That a message is not open any more.
pub(crate) struct MessageSettled {
    host: Host,
    id: RecordId,
    event: Awaited,
}

impl flowhost_engine::Event for MessageSettled {
    type Output = Settled;

    async fn look(&mut self) -> Option<Settled> {
        let mut pauses = self.host.outage().pauses();
        loop {
            let found = match self.host.message(self.id).await {
                Ok(Some(kept)) => settled(&kept.record.body),
                Ok(None) => Some(Settled::Closed),
                Err(problem) => {
                    pauses.after(&problem).await;
                    continue;
                }
            };
            pauses.done();
            return found;
        }
    }

    async fn changed(&mut self) {
        if !self.event.happened().await {
            // The host is about to end.
            std::future::pending().await
        }
    }
}

impl Host {
    /// A message; none where it is gone.
    pub(crate) async fn message(&self, id: RecordId) -> Result<Option<Kept>, Problem> {
        let stored = self.store().record(id).await?;
        stored.filter(|stored| stored.record_type == RecordType::Message).map(Kept::of).transpose()
    }

    /// That a message is not open any more.
    pub(crate) fn message_settled(&self, id: RecordId) -> MessageSettled {
        // Before the store is asked, so that nothing is missed.
        let event = self.events().of(Event::Settled(id));
        MessageSettled { host: self.clone(), id, event }
    }

    /// Tells who waits that a message is not open any more, now that this is kept.
    pub(crate) fn message_was_settled(&self, id: RecordId) {
        self.events().tell(&Event::Settled(id));
        // Who waited in the store is nobody's now.
        self.queue().note_unclaimed();
    }

    /// Responds to a message with a JSON text. Its execution goes on with that.
    ///
    /// Problems: `record.not-found`, `access.forbidden` without the permission to update messages in its project or where it is
    /// for somebody else, `message.invalid-response` with what does not fit its form, `message.closed` where it was
    /// responded to or closed before.
    pub async fn respond_to_message(
        &self,
        by: &Identity,
        id: RecordId,
        response: &[u8],
    ) -> Result<RecordView, Problem> {
        if response.len() > RESPONSE_LIMIT {
            return Err(Problem::new(Code::TooLarge, format!("a response has at most {RESPONSE_LIMIT} bytes")));
        }
        let response: Value = serde_json::from_slice(response)
            .map_err(|error| Problem::new(Code::MalformedJson, format!("the response: {error}")))?;
        let stored = self.readable(by, RecordType::Message, id).await?;
        self.permit(by, Operation::Update, RecordType::Message, stored.meta.project_id)?;
        let message = Kept::of(stored)?.record.body;
        if message.recipient_id.is_some_and(|recipient| recipient != by.user_id) {
            let recipient = message.recipient_name.unwrap_or_default();
            return Err(Problem::new(Code::Forbidden, format!("the message is for `{recipient}` alone")));
        }
        if message.status != MessageStatus::Open {
            return Err(closed());
        }
        let response = match message.form {
            None => response,
            // The form never changes. To look at a large response may take long.
            Some(form) => self.run_blocking(by.user_id, move || fitting(&form, response)).await??,
        };
        let _writing = self.writing(by.user_id).await;
        let mut kept = self.message(id).await?.ok_or_else(closed)?;
        if kept.record.body.status != MessageStatus::Open {
            return Err(closed());
        }
        let now = self.now();
        let Record { meta, body } = &mut kept.record;
        (meta.modified_at, meta.modified_by) = (now, Some(by.user_id));
        (body.status, body.response) = (MessageStatus::Answered, Some(response));
        (body.responded_by, body.responded_at) = (Some(by.user_id), Some(now));
        body.responder_name = Some(by.user_name.clone());
        let execution = body.execution_id;
        match self.store().write(kept.settle()?).await {
            // Its execution has ended meanwhile.
            Err(flowhost_store::Error::Conflict) => return Err(closed()),
            written => written?,
        };
        self.message_was_settled(id);
        if let Some(live) = self.registry().get(execution) {
            live.log_host(LogLevel::Info, format!("`{}` responded to the message {id}.", by.user_name));
        }
        self.read_record(by, RecordType::Message, id).await
    }
}

/// The response, if it fits the form.
fn fitting(form: &Value, response: Value) -> Result<Value, Problem> {
    let schema = json_schema::compile(form).map_err(|reason| Problem::host(format!("a message's form: {reason}")))?;
    let violations = schema.violations(&response);
    if violations.is_empty() {
        return Ok(response);
    }
    Err(Problem::invalid(Code::MessageInvalidResponse, "the response does not fit the form of the message", violations))
}
