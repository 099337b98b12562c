//! The memory budget of one call, and that of all calls together.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flowhost_model::is_fair_share;
use wasmtime::{Error, ResourceLimiter, Result};

use crate::config::CORE_INSTANCES_PER_COMPONENT;
use crate::host_memory;

/// What one element of a table costs: a pointer.
const TABLE_ELEMENT_BYTES: usize = size_of::<usize>();

/// What a call may take without asking for its share, at the most: small calls have nothing to do with each other.
const OWN_BYTES: u64 = 4 << 20;

/// How much less the host may take for a call, beside its instance, without asking for a share.
const OWN_OF_HOST: u64 = 16;

/// The memory that all calls of an engine may take together.
#[derive(Debug)]
pub(crate) struct GuestMemory {
    /// What the instance of each call has for itself.
    own: u64,
    /// What the host may take for each call beside that.
    own_of_host: u64,
    /// What is left of what the calls share.
    free: AtomicU64,
}

/// What the calls of one flow take of the shared memory together: at most half of what is free to them.
#[derive(Debug)]
pub(crate) struct FlowMemory {
    guests: Arc<GuestMemory>,
    held: AtomicU64,
}

/// The host has no memory for a growth that the flow's budget allows. Stops the guest: one that were told that it may not
/// grow would do something else than when it is run again.
#[derive(Debug, thiserror::Error)]
#[error("the host has no memory left for the flow")]
pub(crate) struct NoHostMemory;

impl GuestMemory {
    /// `bytes` for at most so many calls at once.
    pub(crate) fn new(bytes: u64, calls: u32) -> Self {
        let calls = u64::from(calls.max(1));
        let own = OWN_BYTES.min(bytes / 2 / calls);
        let own_of_host = own / OWN_OF_HOST;
        let free = bytes.saturating_sub((own + own_of_host).saturating_mul(calls));
        Self { own, own_of_host, free: AtomicU64::new(free) }
    }
}

impl FlowMemory {
    pub(crate) fn new(guests: Arc<GuestMemory>) -> Self {
        Self { guests, held: AtomicU64::new(0) }
    }

    fn take(&self, bytes: u64) -> bool {
        let take = |free: u64| {
            let held = self.held.load(Ordering::Relaxed);
            is_fair_share(held, bytes, free).then(|| free.saturating_sub(bytes))
        };
        let is_taken = self.guests.free.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok();
        if is_taken {
            self.held.fetch_add(bytes, Ordering::Relaxed);
        }
        is_taken
    }

    fn give_back(&self, bytes: u64) {
        self.held.fetch_sub(bytes, Ordering::Relaxed);
        self.guests.free.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// What the host takes for one call beside its instance: what the flow hands over, and what it is told. Clones are the same.
///
/// Where there is not so much, the call is ended as soon as it returns, passes a journal point or waits: nobody is told of
/// what it did since.
#[derive(Clone, Debug)]
pub struct HostMemory(Arc<OfCall>);

#[derive(Debug)]
struct OfCall {
    flow: Arc<FlowMemory>,
    taken: Mutex<Taken>,
    is_short: AtomicBool,
}

#[derive(Debug, Default)]
struct Taken {
    all: u64,
    /// How much of it is shared memory.
    shared: u64,
}

/// Memory that is given back when this is dropped.
#[derive(Debug)]
pub struct HeldMemory {
    memory: HostMemory,
    bytes: u64,
}

impl HostMemory {
    pub(crate) fn new(flow: Arc<FlowMemory>) -> Self {
        Self(Arc::new(OfCall { flow, taken: Mutex::default(), is_short: AtomicBool::new(false) }))
    }

    /// As much as there may be, for a test of what takes it.
    pub fn unlimited() -> Self {
        Self::new(Arc::new(FlowMemory::new(Arc::new(GuestMemory::new(u64::MAX, 1)))))
    }

    /// Takes so many bytes until the call's end, or until they are given back. Returns false where there are not so many: then
    /// the call ends in a moment.
    pub fn take(&self, bytes: usize) -> bool {
        let mut taken = self.taken();
        let all = taken.all.saturating_add(bytes as u64);
        let more = all.saturating_sub(self.0.flow.guests.own_of_host).saturating_sub(taken.shared);
        if more > 0 && !self.0.flow.take(more) {
            self.0.is_short.store(true, Ordering::Relaxed);
            return false;
        }
        *taken = Taken { all, shared: taken.shared + more };
        true
    }

    /// Gives back what was taken.
    pub fn give_back(&self, bytes: usize) {
        let mut taken = self.taken();
        taken.all = taken.all.saturating_sub(bytes as u64);
        let less = taken.shared.saturating_sub(taken.all.saturating_sub(self.0.flow.guests.own_of_host));
        if less > 0 {
            taken.shared -= less;
            self.0.flow.give_back(less);
        }
    }

    /// Nothing yet, of what is taken for a while.
    pub fn held(&self) -> HeldMemory {
        HeldMemory { memory: self.clone(), bytes: 0 }
    }

    /// Whether there was not as much as the call needs.
    pub(crate) fn is_short(&self) -> bool {
        self.0.is_short.load(Ordering::Relaxed)
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.0.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HeldMemory {
    /// Takes so many bytes more, as [`HostMemory::take`].
    pub fn grow(&mut self, bytes: usize) -> bool {
        let is_taken = self.memory.take(bytes);
        self.bytes += if is_taken { bytes as u64 } else { 0 };
        is_taken
    }
}

impl Drop for HeldMemory {
    fn drop(&mut self) {
        self.memory.give_back(usize::try_from(self.bytes).unwrap_or(usize::MAX));
    }
}

impl Drop for OfCall {
    fn drop(&mut self) {
        let shared = self.taken.get_mut().unwrap_or_else(PoisonError::into_inner).shared;
        if shared > 0 {
            self.flow.give_back(shared);
        }
    }
}

/// Counts the memories and tables of an instance together against one budget, where wasmtime's own limits are per memory.
#[derive(Debug)]
pub(crate) struct MemoryLimiter {
    room: usize,
    used: usize,
    denied: bool,
    flow: Arc<FlowMemory>,
    /// What it holds of the memory that all calls share.
    shared: u64,
    /// Whether there was not as much as the call's own budget allows.
    is_short: bool,
}

impl MemoryLimiter {
    pub(crate) fn new(budget: usize, flow: Arc<FlowMemory>) -> Self {
        Self { room: budget, used: 0, denied: false, flow, shared: 0, is_short: false }
    }

    /// Whether the host had less memory than the call's own budget allows.
    pub(crate) fn is_short(&self) -> bool {
        self.is_short
    }

    /// Whether a growth was refused. A guest whose `memory.grow` fails aborts with a trap that says nothing of memory.
    pub(crate) fn denied(&self) -> bool {
        self.denied
    }

    /// Bytes in use at the most: memories and tables never shrink.
    pub(crate) fn used(&self) -> usize {
        self.used
    }

    fn take(&mut self, bytes: usize) -> Result<bool> {
        let Some(room) = self.room.checked_sub(bytes) else {
            self.denied = true;
            return Ok(false);
        };
        let used = self.used + bytes;
        let more = (used as u64).saturating_sub(self.flow.guests.own).saturating_sub(self.shared);
        if more > 0 {
            if !self.flow.take(more) {
                self.is_short = true;
                return Err(NoHostMemory.into());
            }
            self.shared += more;
        }
        (self.room, self.used) = (room, used);
        Ok(true)
    }
}

impl Drop for MemoryLimiter {
    fn drop(&mut self) {
        if self.shared > 0 {
            self.flow.give_back(self.shared);
        }
    }
}

impl ResourceLimiter for MemoryLimiter {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> Result<bool> {
        // Beyond its own maximum the growth fails in any case and must not be counted.
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        self.take(desired.saturating_sub(current))
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        self.take(desired.saturating_sub(current).saturating_mul(TABLE_ELEMENT_BYTES))
    }

    // Told that a growth within its budget failed, the guest would abort, or return an error, and be blamed for it.
    fn memory_grow_failed(&mut self, error: Error) -> Result<()> {
        if host_memory::is_exhausted(&error) { Err(error) } else { Ok(()) }
    }

    fn table_grow_failed(&mut self, error: Error) -> Result<()> {
        if host_memory::is_exhausted(&error) { Err(error) } else { Ok(()) }
    }

    // A pool has places for as many; without one, this keeps what instances themselves take within bounds.
    fn instances(&self) -> usize {
        CORE_INSTANCES_PER_COMPONENT as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    /// The memory of an engine for two calls at once.
    fn guests(mebibytes: usize) -> Arc<GuestMemory> {
        Arc::new(GuestMemory::new((mebibytes * MIB) as u64, 2))
    }

    fn flow(guests: &Arc<GuestMemory>) -> Arc<FlowMemory> {
        Arc::new(FlowMemory::new(guests.clone()))
    }

    fn limiter(budget: usize) -> MemoryLimiter {
        MemoryLimiter::new(budget, flow(&guests(1_000)))
    }

    #[test]
    fn memories_and_tables_share_one_budget() {
        let mut limiter = limiter(1000);
        assert!(limiter.memory_growing(0, 600, None).unwrap());
        assert!(limiter.table_growing(0, 40, None).unwrap());
        assert!(!limiter.denied());
        assert!(!limiter.memory_growing(0, 100, None).unwrap());
        assert!(limiter.denied());
        assert_eq!(limiter.used(), 920);
    }

    #[test]
    fn growth_that_the_host_has_no_memory_for_ends_the_call() {
        let mut limiter = limiter(1000);
        let mapping = || Error::from(rustix::io::Errno::NOMEM).context("mprotect");
        assert!(limiter.memory_grow_failed(mapping()).is_err());
        assert!(limiter.table_grow_failed(mapping()).is_err());
        assert!(limiter.memory_grow_failed(wasmtime::format_err!("Memory maximum size exceeded")).is_ok());
    }

    #[test]
    fn a_growth_beyond_a_memorys_own_maximum_is_no_denial() {
        let mut limiter = limiter(1000);
        assert!(!limiter.memory_growing(0, 200, Some(100)).unwrap());
        assert!(!limiter.denied());
    }

    #[test]
    fn flow_that_takes_much_leaves_memory_to_other_flows() {
        // 100 MiB are shared beside the 4 MiB of each call, and the 256 KiB of the host for it.
        let guests = Arc::new(GuestMemory::new((108 * MIB + MIB / 2) as u64, 2));
        let (greedy, other) = (flow(&guests), flow(&guests));
        let mut first = MemoryLimiter::new(128 * MIB, greedy.clone());
        assert!(first.memory_growing(0, 44 * MIB, None).unwrap());
        let mut second = MemoryLimiter::new(128 * MIB, greedy);
        assert!(second.memory_growing(0, 14 * MIB, None).unwrap());
        assert!(second.memory_growing(14 * MIB, 16 * MIB, None).unwrap_err().is::<NoHostMemory>());
        assert!(!second.denied());
        let mut third = MemoryLimiter::new(128 * MIB, other);
        assert!(third.memory_growing(0, 24 * MIB, None).unwrap());
        drop((first, second, third));
        assert_eq!(guests.free.load(Ordering::Relaxed), 100 << 20);
    }

    #[test]
    fn small_calls_run_though_others_hold_all_shared_memory() {
        let guests = guests(16);
        guests.free.store(0, Ordering::Relaxed);
        let mut small = MemoryLimiter::new(128 * MIB, flow(&guests));
        assert!(small.memory_growing(0, 4 * MIB, None).unwrap());
        assert!(small.memory_growing(4 * MIB, 5 * MIB, None).is_err());
    }

    #[test]
    fn calls_have_less_for_themselves_where_there_is_little() {
        let guests = guests(4);
        assert_eq!((guests.own, guests.own_of_host), (1 << 20, 1 << 16));
        assert_eq!(guests.free.load(Ordering::Relaxed), (2 << 20) - (2 << 16));
    }

    #[test]
    fn what_the_host_holds_for_a_call_is_part_of_the_same_memory() {
        let guests = guests(16);
        let all = guests.free.load(Ordering::Relaxed);
        let memory = HostMemory::new(flow(&guests));
        assert!(memory.take(100 << 10));
        assert_eq!(guests.free.load(Ordering::Relaxed), all);
        let mut held = memory.held();
        assert!(held.grow(MIB) && held.grow(MIB));
        assert_eq!(guests.free.load(Ordering::Relaxed), all - (2 << 20) - (100 << 10) + (256 << 10));
        drop(held);
        assert_eq!(guests.free.load(Ordering::Relaxed), all);
        assert!(!memory.is_short() && !memory.take(8 * MIB) && memory.is_short());
        assert!(memory.take(MIB));
        let clone = memory.clone();
        drop(memory);
        assert!(guests.free.load(Ordering::Relaxed) < all);
        drop(clone);
        assert_eq!(guests.free.load(Ordering::Relaxed), all);
    }
}
