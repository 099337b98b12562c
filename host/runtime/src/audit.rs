//! The audit log: who did what, and who was refused.
//!
//! It is a target of the host's log, [`TARGET`], and has the events of [`AuditEvent`] alone. An entry names users, webhooks,
//! records and addresses, and never a value, a key or a token. Text that a stranger chose has its control characters replaced.
//!
//! A burst of refusals is one line, and every ten seconds one more with their number, so that an attack fills no disk. So are
//! the settings, files and messages that one execution writes; any other change is a line of its own.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use flowhost_model::{Actor, ActorKind, Execution, RecordId, RecordType};

use crate::caller::CallerNetwork;
use crate::execution::Live;
use crate::host::Host;
use crate::problem::Code;

/// The target of the entries in the host's log.
pub const TARGET: &str = "flowhost::audit";

/// How long entries of one kind are counted before their number is written.
const WINDOW: Duration = Duration::from_secs(10);

/// The most kinds of refusals, and of changes, that are counted apart in a window. Further ones are counted by their event alone.
const KINDS_MAX: usize = 1_000;

/// The most characters of a text that a stranger chose.
const TEXT_MAX: usize = 200;

/// What an entry tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AuditEvent {
    /// A webhook call was refused before an execution began.
    CallRefused(Code),
    /// A request of the REST API was refused.
    RequestRefused(Code),
    /// A request of the REST API that changes something succeeded.
    RequestDone,
    /// A flow changed a record.
    RecordChanged,
    /// An execution ended because its flow panicked, trapped, or exceeded a limit.
    FlowFailed(Code),
}

impl AuditEvent {
    fn name(self) -> &'static str {
        match self {
            Self::CallRefused(_) => "call.refused",
            Self::RequestRefused(_) => "request.refused",
            Self::RequestDone => "request.done",
            Self::RecordChanged => "record.changed",
            Self::FlowFailed(_) => "flow.failed",
        }
    }

    fn code(self) -> Option<&'static str> {
        match self {
            Self::CallRefused(code) | Self::RequestRefused(code) | Self::FlowFailed(code) => Some(code.as_str()),
            Self::RequestDone | Self::RecordChanged => None,
        }
    }

    /// The event in words, for a log that people read.
    fn words(self) -> &'static str {
        match self {
            Self::CallRefused(Code::WebhookKeyWrong) => "a call with a wrong key was refused",
            Self::CallRefused(_) => "a call was refused",
            Self::RequestRefused(Code::LoginFailed) => "a login failed",
            Self::RequestRefused(Code::LockedOut) => "a login was refused after too many failed",
            Self::RequestRefused(_) => "a request was refused",
            Self::RequestDone => "a request was carried out",
            Self::RecordChanged => "a flow changed a record",
            Self::FlowFailed(_) => "a flow failed",
        }
    }
}

/// An entry of the audit log.
#[derive(Clone, Copy, Debug)]
pub struct AuditEntry<'a> {
    /// What it tells.
    pub event: AuditEvent,
    /// The user who asked, where the host knows that.
    pub user: Option<&'a str>,
    /// The webhook that was called.
    pub webhook: Option<&'a str>,
    /// The caller's address.
    pub address: Option<IpAddr>,
    /// The method and the path of a request of the REST API. A query is left out: it may hold a ticket.
    pub request: Option<(&'a str, &'a str)>,
    /// The record that the request made or changed, where the path does not name it, or the execution whose flow failed.
    pub record: Option<RecordId>,
}

/// What became of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Change {
    Created,
    Updated,
    Trashed,
    Deleted,
}

impl Change {
    fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Trashed => "trashed",
            Self::Deleted => "deleted",
        }
    }
}

/// A record that a flow changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ChangedRecord {
    pub(crate) record: RecordId,
    pub(crate) record_type: RecordType,
    /// What became of it.
    pub(crate) change: Change,
    /// Whether it is what flows write by the thousand: then the changes of one execution are counted together.
    pub(crate) is_state: bool,
}

/// The execution whose flow changes records, and whose permissions it has.
#[derive(Clone, Copy, Debug)]
struct Changing<'a> {
    execution: RecordId,
    actor: Option<Actor>,
    /// The name of the actor if it is a user.
    user: Option<&'a str>,
    /// The webhook whose call started the execution.
    webhook: Option<&'a str>,
}

/// Entries that are counted together.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Kind {
    event: AuditEvent,
    user: Option<String>,
    webhook: Option<String>,
    network: Option<CallerNetwork>,
    execution: Option<RecordId>,
    change: Option<(Change, RecordType)>,
}

impl Kind {
    /// All entries of an event.
    fn any(event: AuditEvent) -> Self {
        Self { event, user: None, webhook: None, network: None, execution: None, change: None }
    }
}

/// Writes entries.
#[derive(Debug, Default)]
pub struct Audit {
    refusals: Counts,
    /// Changes that flows make, apart from refusals: a flow that makes very many hides no attack.
    changes: Counts,
}

/// The entries since they were last written, by their kind.
#[derive(Debug, Default)]
struct Counts(Mutex<HashMap<Kind, u64>>);

impl Audit {
    /// Writes an entry. One that is part of a burst is counted, and written with the others of its kind.
    pub fn record(&self, entry: &AuditEntry<'_>) {
        if entry.event != AuditEvent::RequestDone && !self.is_first(entry) {
            return;
        }
        let AuditEntry { event, user, webhook, address, request, record } = *entry;
        let (method, path) = request.unzip();
        tracing::info!(
            target: TARGET,
            event = event.name(),
            code = event.code(),
            user = user.map(printable),
            webhook = webhook.map(printable),
            address = address.map(display),
            method = method.map(printable),
            path = path.map(printable),
            record = record.map(display),
            "{}",
            event.words(),
        );
    }

    /// Writes an entry if the execution ended because its flow failed.
    pub(crate) fn ended(&self, execution: &Execution) {
        let code = execution.failure.as_ref().and_then(|failure| Code::from_name(&failure.code));
        if let Some(code) = code.filter(|code| code.is_flow_failure()) {
            self.record(&AuditEntry {
                event: AuditEvent::FlowFailed(code),
                user: None,
                webhook: execution.webhook.as_ref().map(|webhook| webhook.name.as_str()),
                address: None,
                request: None,
                record: Some(execution.id),
            });
        }
    }

    /// Writes an entry for a record that a flow changed, or counts it with the others of its kind.
    fn record_changed(&self, by: &Changing<'_>, changed: &ChangedRecord) {
        let Changing { execution, actor, user, webhook } = *by;
        let ChangedRecord { record, record_type, change, is_state } = *changed;
        let event = AuditEvent::RecordChanged;
        let kind = || Kind {
            user: user.map(str::to_owned),
            webhook: webhook.map(str::to_owned),
            execution: Some(execution),
            change: Some((change, record_type)),
            ..Kind::any(event)
        };
        if is_state && !self.changes.is_first(kind()) {
            return;
        }
        tracing::info!(
            target: TARGET,
            event = event.name(),
            change = change.name(),
            record_type = record_type.as_str(),
            record = display(record),
            execution = display(execution),
            actor = actor.map(|actor| display(actor.id)),
            user = user.map(printable),
            webhook = webhook.map(printable),
            "{}",
            event.words(),
        );
    }

    /// Writes the numbers of entries that were counted.
    pub fn flush(&self) {
        for (kind, count) in self.refusals.take().into_iter().chain(self.changes.take()) {
            let Kind { event, user, webhook, network, execution, change } = kind;
            tracing::info!(
                target: TARGET,
                event = event.name(),
                code = event.code(),
                user = user.as_deref().map(printable),
                webhook = webhook.as_deref().map(printable),
                network = network.map(display),
                execution = execution.map(display),
                change = change.map(|(change, _)| change.name()),
                record_type = change.map(|(_, record_type)| record_type.as_str()),
                count,
                "{}, and {count} more within {} s",
                event.words(),
                WINDOW.as_secs(),
            );
        }
    }

    /// Whether an entry is the first of its kind in the window. Otherwise it is counted.
    fn is_first(&self, entry: &AuditEntry<'_>) -> bool {
        self.refusals.is_first(Kind {
            user: entry.user.map(str::to_owned),
            webhook: entry.webhook.map(str::to_owned),
            network: entry.address.map(CallerNetwork::from),
            ..Kind::any(entry.event)
        })
    }
}

impl Counts {
    /// Whether an entry is the first of its kind in the window. Otherwise it is counted.
    fn is_first(&self, mut kind: Kind) -> bool {
        let mut unwritten = self.unwritten();
        if unwritten.len() >= KINDS_MAX && !unwritten.contains_key(&kind) {
            kind = Kind::any(kind.event);
        }
        match unwritten.get_mut(&kind) {
            Some(count) => {
                *count += 1;
                false
            }
            None => {
                unwritten.insert(kind, 0);
                true
            }
        }
    }

    /// Takes the numbers that are not written yet. A kind that went on is still counted, one that did not begins anew.
    fn take(&self) -> Vec<(Kind, u64)> {
        let mut unwritten = self.unwritten();
        unwritten.retain(|_, count| *count > 0);
        unwritten.iter_mut().map(|(kind, count)| (kind.clone(), std::mem::take(count))).collect()
    }

    fn unwritten(&self) -> MutexGuard<'_, HashMap<Kind, u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Host {
    /// Writes an entry for each record that the flow of an execution changed.
    pub(crate) fn audit_changes(&self, live: &Live, changed: &[ChangedRecord]) {
        let actor = live.start.actor;
        let user = actor.filter(|actor| actor.kind != ActorKind::Webhook).map(|actor| actor.id);
        let user = user.and_then(|id| self.snapshot().user(id).map(|user| user.name.clone()));
        let webhook = live.start.webhook.as_ref().map(|webhook| webhook.name.as_str());
        let by = Changing { execution: live.id, actor, user: user.as_deref(), webhook };
        changed.iter().for_each(|changed| self.audit().record_changed(&by, changed));
    }

    /// Writes the numbers of entries that were counted as long as the host lives.
    pub(crate) fn keep_audit(&self) {
        let host = self.downgrade();
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(WINDOW).await;
                match host.upgrade() {
                    Some(host) => host.audit().flush(),
                    None => break,
                }
            }
        });
    }
}

/// Returns the text without what would break a line or disguise another, and of bounded length.
pub fn printable(text: &str) -> String {
    let is_disguise =
        |char: char| matches!(char, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let chars = text.chars().map(|char| if char.is_control() || is_disguise(char) { '\u{fffd}' } else { char });
    let mut printable: String = chars.take(TEXT_MAX).collect();
    if printable.len() < text.len() && text.chars().nth(TEXT_MAX).is_some() {
        printable.push('…');
    }
    printable
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn refused(webhook: &str, address: u32) -> AuditEntry<'_> {
        AuditEntry {
            event: AuditEvent::CallRefused(Code::WebhookKeyWrong),
            user: None,
            webhook: Some(webhook),
            address: Some(Ipv4Addr::from_bits(address).into()),
            request: None,
            record: None,
        }
    }

    #[test]
    fn burst_is_one_line_and_its_number() {
        let audit = Audit::default();
        assert!(audit.is_first(&refused("a", 1)));
        (0..412).for_each(|_| assert!(!audit.is_first(&refused("a", 1))));
        assert!(audit.is_first(&refused("a", 2)), "another address");
        assert!(audit.is_first(&refused("b", 1)), "another webhook");
        let counted = audit.refusals.take();
        assert_eq!(
            counted.iter().map(|(kind, count)| (kind.webhook.as_deref(), *count)).collect::<Vec<_>>(),
            [(Some("a"), 412)]
        );
        assert!(!audit.is_first(&refused("a", 1)), "a burst that goes on is counted");
        assert!(audit.is_first(&refused("b", 1)), "one that ended begins anew");
        assert_eq!(audit.refusals.take().len(), 1);
        assert!(audit.refusals.take().is_empty());
    }

    #[test]
    fn refusals_of_many_addresses_are_few_lines() {
        let audit = Audit::default();
        let lines = (0..100_000).filter(|number| audit.is_first(&refused("a", *number))).count();
        assert!(lines <= KINDS_MAX + 1, "{lines}");
        assert!(audit.refusals.unwritten().len() <= KINDS_MAX + 1);
        assert_eq!(audit.refusals.take().iter().map(|(_, count)| count).sum::<u64>() as usize, 100_000 - lines);
    }

    fn written(change: Change, is_state: bool) -> ChangedRecord {
        ChangedRecord { record: RecordId::new(), record_type: RecordType::Setting, change, is_state }
    }

    #[test]
    fn state_of_one_execution_is_one_line_and_its_number() {
        let audit = Audit::default();
        let by = |execution| Changing { execution, actor: None, user: None, webhook: Some("w") };
        let (one, other) = (RecordId::new(), RecordId::new());
        (0..100).for_each(|_| audit.record_changed(&by(one), &written(Change::Updated, true)));
        audit.record_changed(&by(one), &written(Change::Deleted, true));
        (0..3).for_each(|_| audit.record_changed(&by(other), &written(Change::Updated, true)));
        (0..5).for_each(|_| audit.record_changed(&by(one), &written(Change::Created, false)));
        let mut counted: Vec<_> =
            audit.changes.take().into_iter().map(|(kind, count)| (kind.execution, count)).collect();
        counted.sort_unstable_by_key(|(_, count)| *count);
        assert_eq!(counted, [(Some(other), 2), (Some(one), 99)]);
        assert!(audit.refusals.take().is_empty(), "changes leave the refusals alone");
    }

    #[test]
    fn text_of_strangers_breaks_no_line() {
        assert_eq!(printable("a\nb\u{1b}[31mc\u{202e}d\u{2028}"), "a\u{fffd}b\u{fffd}[31mc\u{fffd}d\u{fffd}");
        assert_eq!(printable(&"é".repeat(1_000_000)).chars().count(), TEXT_MAX + 1);
        assert_eq!(printable("plain"), "plain");
    }
}
