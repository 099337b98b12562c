//! What a store holds while its call runs.

use std::any::Any;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use wasmtime::component::{HasData, ResourceTable};

use crate::invoke::Invocation;
use crate::journal::{Call, Journal, JournalFull};
use crate::log::Log;
use crate::memory::{FlowMemory, HostMemory, MemoryLimiter, NoHostMemory};
use crate::meter::Meter;
use crate::outcome::{LimitedOutput, Outcome};
use crate::wait::{Holds, Residence};
use crate::wasi::Wasi;

/// The data of one call's store: the same type for every host, with slots for what capabilities bring.
pub struct State {
    /// The resources that the flow holds handles to. Its capacity is the budget of handles.
    pub table: ResourceTable,
    /// The execution's journal.
    pub journal: Journal,
    /// The execution's log.
    pub log: Arc<Log>,
    pub(crate) residence: Arc<dyn Residence>,
    pub(crate) meter: Arc<Meter>,
    pub(crate) holds: Arc<Holds>,
    pub(crate) memory: MemoryLimiter,
    pub(crate) host_memory: HostMemory,
    pub(crate) wasi: Wasi,
    slots: Slots,
    ending: Option<Outcome>,
    panic: Option<(String, Option<String>)>,
}

/// Gives generated code the whole state: the second type parameter of each `add_to_linker`.
pub struct WholeState;

impl HasData for WholeState {
    type Data<'a> = &'a mut State;
}

/// One value per capability, found by its type.
///
/// A call has a handful of them, so that a walk over the list is faster than a map.
#[derive(Default)]
pub struct Slots(Vec<Box<dyn Any + Send>>);

impl Slots {
    /// No slots.
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts a value in the slot of its type, in place of a former one.
    pub fn insert<T: Any + Send>(&mut self, value: T) {
        match self.get_mut::<T>() {
            Some(slot) => *slot = value,
            None => self.0.push(Box::new(value)),
        }
    }

    fn get_or_default<T: Any + Send + Default>(&mut self) -> &mut T {
        let known = self.0.iter().position(|slot| slot.is::<T>());
        let place = known.unwrap_or(self.0.len());
        if known.is_none() {
            self.0.push(Box::new(T::default()));
        }
        // The slot at this place has the type.
        self.0[place].downcast_mut().unwrap_or_else(|| unreachable!())
    }

    /// The value in the slot of this type.
    pub fn get_mut<T: Any + Send>(&mut self) -> Option<&mut T> {
        self.0.iter_mut().find_map(|slot| slot.downcast_mut())
    }
}

/// The capability's value was never put into its slot. A fault of the host.
#[derive(Debug, thiserror::Error)]
#[error("the execution has no slot of type {0}")]
struct MissingSlot(&'static str);

/// The longest text, in bytes, of what the record of a failed execution holds for people: a panic's message, a trace.
const TEXT_LIMIT: usize = 16 << 10;

/// In how many bytes of a text secrets are looked for where only its beginning is kept. Far more than is kept, since a secret
/// that is cut in two is not found any more.
const MASKED_LIMIT: usize = 1 << 20;

/// The last byte of an entry that is either bytes or a refusal: at the end, so that the bytes need not move.
const BYTES: u8 = 1;
const REFUSAL: u8 = 0;

/// Leaves at most so many bytes of a text, and of its memory.
fn cut(text: &mut String, limit: usize) {
    if text.len() > limit {
        text.truncate(text.floor_char_boundary(limit));
        text.shrink_to_fit();
    }
}

/// Stops the guest; the reason is kept in [`State`].
#[derive(Debug, thiserror::Error)]
#[error("the call was ended by the host")]
struct Stopped;

impl State {
    pub(crate) fn new(invocation: Invocation, meter: Arc<Meter>, flow_memory: Arc<FlowMemory>) -> Self {
        let Invocation { budget, log, seed, slots, clock, kept, residence } = invocation;
        let mut table = ResourceTable::new();
        table.set_max_capacity(budget.handles);
        Self {
            table,
            journal: Journal::new(clock, kept, budget.journal_entries, budget.journal_bytes),
            log,
            residence,
            meter,
            holds: Arc::default(),
            memory: MemoryLimiter::new(budget.memory_bytes, flow_memory.clone()),
            host_memory: HostMemory::new(flow_memory),
            wasi: Wasi::new(seed),
            slots,
            ending: None,
            panic: None,
        }
    }

    /// What the flow was told when it made this call before; none where it goes on for real, which is to end in
    /// [`State::record`].
    ///
    /// Error: the journal does not fit, which ends the call.
    pub fn replay<T: DeserializeOwned>(&mut self, call: &Call) -> wasmtime::Result<Option<T>> {
        self.end_if_short()?;
        match self.journal.replay(call) {
            Ok(None) => Ok(None),
            Ok(Some(told)) => match serde_json::from_slice(&told) {
                Ok(told) => Ok(Some(told)),
                Err(error) => Err(self.end(Outcome::JournalDamaged(error.to_string()))),
            },
            Err(divergence) => Err(self.end(Outcome::Diverged(divergence))),
        }
    }

    /// [`State::replay`] of a call that is in the journal only where something happened: none where the flow's next entry is
    /// another.
    pub fn replay_if_next<T: DeserializeOwned>(&mut self, call: &Call) -> wasmtime::Result<Option<T>> {
        if self.journal.is_next(call) { self.replay(call) } else { Ok(None) }
    }

    /// Passes the journal point: what the flow is told becomes part of the execution. It reaches the store with the next
    /// thing that is visible outside.
    ///
    /// Error: the journal is full, which ends the call.
    pub fn record<T: Serialize>(&mut self, call: Call, told: &T) -> wasmtime::Result<()> {
        let told = serde_json::to_vec(told)?;
        self.host_memory.take(told.len());
        self.end_if_short()?;
        self.journal.record(call, told).map_err(|JournalFull| self.end_with_output_limit(LimitedOutput::Journal))
    }

    /// [`State::replay`] of what [`State::record_bytes`] recorded.
    pub fn replay_bytes<E: DeserializeOwned>(&mut self, call: &Call) -> wasmtime::Result<Option<Result<Vec<u8>, E>>> {
        self.end_if_short()?;
        let mut told = match self.journal.replay(call) {
            Ok(None) => return Ok(None),
            Ok(Some(told)) => told,
            Err(divergence) => return Err(self.end(Outcome::Diverged(divergence))),
        };
        match told.pop() {
            Some(BYTES) => Ok(Some(Ok(told))),
            Some(REFUSAL) => match serde_json::from_slice(&told) {
                Ok(refused) => Ok(Some(Err(refused))),
                Err(error) => Err(self.end(Outcome::JournalDamaged(error.to_string()))),
            },
            _ => Err(self.end(Outcome::JournalDamaged("an entry of bytes is none".to_owned()))),
        }
    }

    /// [`State::record`] of bytes, which are kept as they are, or of a refusal.
    pub fn record_bytes<E: Serialize>(&mut self, call: Call, told: &Result<Vec<u8>, E>) -> wasmtime::Result<()> {
        let (mut entry, kind) = match told {
            Ok(bytes) => (bytes.clone(), BYTES),
            Err(refused) => (serde_json::to_vec(refused)?, REFUSAL),
        };
        entry.push(kind);
        self.host_memory.take(entry.len());
        self.end_if_short()?;
        self.journal.record(call, entry).map_err(|JournalFull| self.end_with_output_limit(LimitedOutput::Journal))
    }

    /// The memory that the host takes for this call beside its instance.
    pub fn host_memory(&self) -> HostMemory {
        self.host_memory.clone()
    }

    /// Whether the host has less memory than the call needs and its budget allows.
    pub(crate) fn is_short(&self) -> bool {
        self.memory.is_short() || self.host_memory.is_short()
    }

    fn end_if_short(&self) -> wasmtime::Result<()> {
        if self.is_short() { Err(NoHostMemory.into()) } else { Ok(()) }
    }

    /// The value that a capability put into its slot for this execution.
    ///
    /// Error: there is none, which ends the call as a fault of the host.
    pub fn slot<T: Any + Send>(&mut self) -> wasmtime::Result<&mut T> {
        match self.slots.get_mut() {
            Some(slot) => Ok(slot),
            None => {
                let missing = MissingSlot(std::any::type_name::<T>());
                self.ending = Some(Outcome::HostFault(missing.to_string()));
                Err(missing.into())
            }
        }
    }

    /// The value in the slot of its type, which is made where there is none yet.
    pub fn slot_or_default<T: Any + Send + Default>(&mut self) -> &mut T {
        self.slots.get_or_default()
    }

    /// Ends the call with this outcome: a host function returns the error to stop the guest at once.
    pub fn end(&mut self, outcome: Outcome) -> wasmtime::Error {
        // The first reason is the true one: what follows are its consequences.
        self.ending.get_or_insert(outcome);
        Stopped.into()
    }

    /// Ends the call because the flow gave the host too much.
    pub fn end_with_output_limit(&mut self, what: LimitedOutput) -> wasmtime::Error {
        self.end(Outcome::OutputLimit(what))
    }

    /// Adds a resource to the table, for a handle that the flow gets.
    ///
    /// Error: the flow holds too many, which ends the call.
    pub fn push_resource<T: Send + 'static>(
        &mut self,
        resource: T,
    ) -> wasmtime::Result<wasmtime::component::Resource<T>> {
        self.table.push(resource).map_err(|_| self.end_with_output_limit(LimitedOutput::Handles))
    }

    /// The beginning of a text of the flow, masked: at most `limit` bytes.
    pub fn masked_beginning(&self, mut text: String, limit: usize) -> String {
        cut(&mut text, MASKED_LIMIT);
        let mut text = self.log.mask().mask(text);
        cut(&mut text, limit);
        text
    }

    /// Keeps the message of a panic, in case the instance aborts next. One that is very long loses its end.
    pub fn note_panic(&mut self, message: String, place: Option<String>) {
        let message = self.masked_beginning(message, TEXT_LIMIT);
        self.panic = Some((message, place.map(|place| self.masked_beginning(place, TEXT_LIMIT))));
    }

    /// Whether the call waits and has left memory.
    pub(crate) fn is_suspended(&self) -> bool {
        matches!(self.ending, Some(Outcome::Suspended(_) | Outcome::Postponed))
    }

    pub(crate) fn take_ending(&mut self) -> Option<Outcome> {
        self.ending.take()
    }

    pub(crate) fn take_panic(&mut self) -> Option<(String, Option<String>)> {
        self.panic.take()
    }
}
