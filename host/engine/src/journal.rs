//! The one point that every call of a flow passes when it reads or changes the world outside the guest.
//!
//! What a flow was told is kept. A flow that is run again is told the same, call by call, until the journal is exhausted;
//! from there on it goes on for real. Entries collect in memory; whoever makes something of the execution visible outside
//! writes them first ([`Journal::take_pending`]).

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use flowhost_model::{JournalEntry, Timestamp};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::clock::Clock;

/// The longest text of a call in its entry, in bytes: it is for people, the digest tells calls apart.
const SHOWN_LIMIT: usize = 200;

/// What an entry costs beside its text and result: its number, time and digest in the store.
const ENTRY_OVERHEAD: usize = 64;

/// A call that passes the journal point: what is asked.
#[derive(Debug)]
pub struct Call {
    shown: String,
    digest: [u8; 32],
}

impl Call {
    /// The call of this name with this request, whose JSON form tells it from other calls.
    pub fn new(name: &'static str, request: &impl Serialize) -> Self {
        // What cannot be written as JSON differs from nothing; requests are made of texts and numbers.
        let request = serde_json::to_string(request).unwrap_or_default();
        let digest = Sha256::new().chain_update(name).chain_update([0]).chain_update(&request).finalize().into();
        let end = request.floor_char_boundary(SHOWN_LIMIT);
        let shown = match request.get(..end) {
            Some("null") | None => name.to_owned(),
            Some(whole) if end == request.len() => format!("{name} {whole}"),
            Some(beginning) => format!("{name} {beginning}…"),
        };
        Self { shown, digest }
    }
}

/// Where a flow that is run again asked for something else than before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Divergence {
    /// The number of the call, counted from 1.
    pub number: u64,
    /// What the journal has there.
    pub journal: String,
    /// What the flow did there; none where it ended.
    pub flow: Option<String>,
}

/// A call that changes something, and the entries of which the last says so.
#[derive(Debug)]
pub struct Step {
    /// The number of the first entry, counted from 0.
    pub first: u64,
    /// The entries that the store does not have.
    pub entries: Vec<JournalEntry>,
    /// What the last of them takes of the journal's room.
    pub cost: usize,
}

/// The journal holds as much as it may.
#[derive(Clone, Copy, Debug)]
pub(crate) struct JournalFull;

/// What the store has of an execution's journal.
#[derive(Debug, Default)]
pub struct Kept {
    /// When the execution began; none where it begins now.
    pub began: Option<Timestamp>,
    /// The entries, the first first.
    pub entries: Vec<JournalEntry>,
    /// Whether the execution comes back because the time of its wait has come.
    pub is_woken: bool,
}

/// The journal of one execution.
///
/// Time belongs to it: a flow's clocks show the time of the last journal point and stand still between two points.
#[derive(Debug)]
pub struct Journal {
    clock: Arc<dyn Clock>,
    /// The flow's monotonic clock counts from here.
    began: Timestamp,
    /// The flow's wall clock.
    now: Timestamp,
    /// What is still to be told again.
    replay: VecDeque<JournalEntry>,
    /// What the store does not have.
    pending: Vec<JournalEntry>,
    /// How many points the flow has passed.
    points: u64,
    /// What its entries take, those that are still to be told again among them.
    bytes: usize,
    limits: Limits,
    waited: Duration,
    is_woken: bool,
}

#[derive(Clone, Copy, Debug)]
struct Limits {
    entries: u64,
    bytes: usize,
}

impl Journal {
    /// The journal of an execution that begins, or begins again, now.
    pub(crate) fn new(clock: Arc<dyn Clock>, kept: Kept, entries: u64, bytes: usize) -> Self {
        let began = kept.began.unwrap_or_else(|| clock.now());
        Self {
            clock,
            began,
            now: began,
            bytes: kept.entries.iter().map(cost).sum(),
            replay: kept.entries.into(),
            pending: Vec::new(),
            points: 0,
            limits: Limits { entries, bytes },
            waited: Duration::ZERO,
            is_woken: kept.is_woken,
        }
    }

    /// When the execution began.
    pub fn began(&self) -> Timestamp {
        self.began
    }

    /// The time of the last journal point.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// The time of the last journal point, since the execution began. Never goes back.
    pub fn elapsed(&self) -> Duration {
        self.now.since(self.began)
    }

    /// The time that the flow spent waiting, up to the last journal point.
    pub fn waited(&self) -> Duration {
        self.waited
    }

    /// The host's clock, which a flow sees at journal points only.
    pub fn clock(&self) -> Arc<dyn Clock> {
        self.clock.clone()
    }

    /// How many journal points the execution has passed.
    pub fn points(&self) -> u64 {
        self.points
    }

    /// How many bytes more it may take.
    pub fn room(&self) -> usize {
        self.limits.bytes.saturating_sub(self.bytes)
    }

    /// Whether the flow is being told what it was told before.
    pub fn is_replaying(&self) -> bool {
        !self.replay.is_empty()
    }

    /// The entries that the store does not have, which leave the journal, and the number of the first, counted from 0.
    pub fn take_pending(&mut self) -> (u64, Vec<JournalEntry>) {
        let pending = std::mem::take(&mut self.pending);
        (self.points - pending.len() as u64, pending)
    }

    /// A copy of the entries that the store does not have, and the number of the first, counted from 0.
    pub fn pending(&self) -> (u64, Vec<JournalEntry>) {
        (self.points - self.pending.len() as u64, self.pending.clone())
    }

    /// The store has the first `count` of the pending entries now.
    pub fn note_kept(&mut self, count: usize) {
        self.pending.drain(..count.min(self.pending.len()));
    }

    /// Takes the last entry back: what the flow is told in it has not been done yet. Until [`Journal::note_step`] says that it is
    /// done, the journal ends before it, whatever becomes of the call meanwhile.
    pub fn begin_step(&mut self) -> Option<Step> {
        let entry = self.pending.pop()?;
        self.points -= 1;
        let cost = cost(&entry);
        self.bytes -= cost;
        let (first, mut entries) = self.pending();
        entries.push(entry);
        Some(Step { first, entries, cost })
    }

    /// The store has the entries of a step of this cost, and what was to be done is done.
    pub fn note_step(&mut self, cost: usize) {
        self.pending.clear();
        self.points += 1;
        self.bytes += cost;
    }

    /// Whether the execution came back because the time of its wait has come. True once.
    pub(crate) fn take_woken(&mut self) -> bool {
        std::mem::take(&mut self.is_woken)
    }

    /// Whether this is the call that the flow made next, before.
    pub(crate) fn is_next(&self, call: &Call) -> bool {
        self.replay.front().is_some_and(|entry| entry.digest == call.digest)
    }

    /// What the flow was told when it made this call before; none where it goes on for real.
    pub(crate) fn replay(&mut self, call: &Call) -> Result<Option<Vec<u8>>, Divergence> {
        let Some(entry) = self.replay.front() else { return Ok(None) };
        if entry.digest != call.digest {
            return Err(self.divergence(entry.call.clone(), Some(call.shown.clone())));
        }
        let Some(entry) = self.replay.pop_front() else { return Ok(None) };
        self.points += 1;
        self.now = self.now.max(entry.at);
        Ok(Some(entry.result))
    }

    /// Where the flow ended though its journal goes on.
    pub(crate) fn unfinished(&self) -> Option<Divergence> {
        self.replay.front().map(|entry| self.divergence(entry.call.clone(), None))
    }

    fn divergence(&self, journal: String, flow: Option<String>) -> Divergence {
        Divergence { number: self.points + 1, journal, flow }
    }

    /// Passes the journal point for real: what the flow is told becomes part of the execution, and time moves on.
    pub(crate) fn record(&mut self, call: Call, result: Vec<u8>) -> Result<(), JournalFull> {
        // The system's clock may be set back; the execution's never is.
        let at = self.now.max(self.clock.now());
        let entry = JournalEntry { at, call: call.shown, digest: call.digest, result };
        let bytes = self.bytes + cost(&entry);
        if self.points >= self.limits.entries || bytes > self.limits.bytes {
            return Err(JournalFull);
        }
        self.bytes = bytes;
        self.points += 1;
        self.now = at;
        self.pending.push(entry);
        // What the execution came back for is behind it.
        self.is_woken = false;
        Ok(())
    }

    /// Notes that the flow waited from then until its last point.
    pub fn note_wait(&mut self, since: Timestamp) {
        self.waited += self.now.since(since);
    }
}

fn cost(entry: &JournalEntry) -> usize {
    ENTRY_OVERHEAD + entry.call.len() + entry.result.len()
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[derive(Debug)]
    struct Fixed(Mutex<i64>);

    impl Clock for Fixed {
        fn now(&self) -> Timestamp {
            Timestamp(*self.0.lock().unwrap())
        }
    }

    fn at(micros: i64) -> Arc<Fixed> {
        Arc::new(Fixed(Mutex::new(micros)))
    }

    fn journal(clock: &Arc<Fixed>, kept: Kept) -> Journal {
        Journal::new(clock.clone(), kept, 3, 10_000)
    }

    #[test]
    fn time_moves_at_journal_points_only_and_never_back() {
        let clock = at(100);
        let mut journal = journal(&clock, Kept::default());
        *clock.0.lock().unwrap() = 200;
        assert_eq!((journal.now(), journal.elapsed()), (Timestamp(100), Duration::ZERO));
        journal.record(Call::new("a", &1), b"1".to_vec()).unwrap();
        assert_eq!((journal.now(), journal.elapsed()), (Timestamp(200), Duration::from_micros(100)));
        *clock.0.lock().unwrap() = 50;
        journal.record(Call::new("a", &2), b"1".to_vec()).unwrap();
        assert_eq!(journal.now(), Timestamp(200));
    }

    #[test]
    fn what_was_told_is_told_again_and_then_it_goes_on() {
        let clock = at(100);
        let mut first = journal(&clock, Kept::default());
        first.record(Call::new("get", &"a"), b"1".to_vec()).unwrap();
        *clock.0.lock().unwrap() = 300;
        first.record(Call::new("get", &"b"), b"2".to_vec()).unwrap();
        let (number, entries) = first.take_pending();
        assert_eq!((number, entries.len()), (0, 2));

        *clock.0.lock().unwrap() = 9_000;
        let mut again = journal(&clock, Kept { began: Some(Timestamp(100)), entries, is_woken: false });
        assert_eq!(again.replay(&Call::new("get", &"a")).unwrap().unwrap(), b"1");
        assert_eq!(again.replay(&Call::new("get", &"b")).unwrap().unwrap(), b"2");
        assert_eq!((again.now(), again.elapsed()), (Timestamp(300), Duration::from_micros(200)));
        assert!(again.replay(&Call::new("get", &"c")).unwrap().is_none());
        again.record(Call::new("get", &"c"), b"3".to_vec()).unwrap();
        assert_eq!(again.take_pending().0, 2);
    }

    #[test]
    fn the_first_difference_is_shown() {
        let clock = at(100);
        let mut first = journal(&clock, Kept::default());
        first.record(Call::new("get", &"a"), b"1".to_vec()).unwrap();
        first.record(Call::new("get", &"b"), b"2".to_vec()).unwrap();
        let kept = Kept { entries: first.take_pending().1, ..Kept::default() };
        let mut again = journal(&clock, kept);
        again.replay(&Call::new("get", &"a")).unwrap();
        let difference = again.replay(&Call::new("set", &"b")).unwrap_err();
        let expected = Divergence { number: 2, journal: "get \"b\"".into(), flow: Some("set \"b\"".into()) };
        assert_eq!(difference, expected);
        assert_eq!(again.unfinished().unwrap(), Divergence { flow: None, ..expected });
    }

    #[test]
    fn a_step_that_is_not_made_leaves_the_journal_as_it_was_before() {
        let clock = at(100);
        let mut journal = journal(&clock, Kept::default());
        journal.record(Call::new("get", &"a"), b"1".to_vec()).unwrap();
        journal.record(Call::new("set", &"a"), b"2".to_vec()).unwrap();
        let step = journal.begin_step().unwrap();
        assert_eq!((step.first, step.entries.len()), (0, 2));
        let (first, pending) = journal.pending();
        assert_eq!((first, pending.len(), pending[0].result.as_slice()), (0, 1, &b"1"[..]));
        journal.record(Call::new("set", &"a"), b"2".to_vec()).unwrap();
        let step = journal.begin_step().unwrap();
        journal.note_step(step.cost);
        assert_eq!((journal.points(), journal.pending().0, journal.pending().1.len()), (2, 2, 0));
    }

    #[test]
    fn what_is_kept_while_the_flow_waits_is_not_pending_any_more() {
        let clock = at(100);
        let mut journal = journal(&clock, Kept::default());
        journal.record(Call::new("get", &"a"), b"1".to_vec()).unwrap();
        let (first, entries) = journal.pending();
        assert_eq!((first, entries.len(), journal.pending().1.len()), (0, 1, 1));
        journal.note_kept(entries.len());
        journal.record(Call::new("get", &"b"), b"2".to_vec()).unwrap();
        assert_eq!(journal.take_pending().0, 1);
    }

    #[test]
    fn a_journal_has_its_limits_also_over_several_runs() {
        let clock = at(100);
        let mut first = journal(&clock, Kept::default());
        assert!(first.record(Call::new("get", &"a"), vec![0; 10_000]).is_err());
        for _ in 0..3 {
            first.record(Call::new("get", &"a"), b"1".to_vec()).unwrap();
        }
        assert!(first.record(Call::new("get", &"a"), b"1".to_vec()).is_err());
        let room = first.room();
        let mut again = journal(&clock, Kept { entries: first.take_pending().1, ..Kept::default() });
        // What is still to be told again takes its room already.
        assert_eq!(again.room(), room);
        while again.replay(&Call::new("get", &"a")).unwrap().is_some() {}
        assert!(again.record(Call::new("get", &"a"), b"1".to_vec()).is_err());
    }

    #[test]
    fn a_call_shows_the_beginning_of_a_long_request_and_differs_by_its_end() {
        let (one, other) = ("x".repeat(1_000) + "a", "x".repeat(1_000) + "b");
        let (one, other) = (Call::new("save", &one), Call::new("save", &other));
        assert_eq!(one.shown, other.shown);
        assert!(one.shown.len() < 300 && one.shown.ends_with('…'));
        assert_ne!(one.digest, other.digest);
    }
}
