//! The memory for executions that wait in the queue: what does not fit waits in the store alone.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::Live;

/// What an execution in memory takes beside its input and its request, in bytes.
const OVERHEAD: u64 = 2 << 10;

/// Bytes that executions in the queue may hold together. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct WaitingBytes(Arc<AtomicU64>);

/// The bytes of an execution that waits in memory; dropping it gives them back.
#[derive(Debug)]
pub(crate) struct HeldBytes {
    room: WaitingBytes,
    bytes: u64,
}

impl WaitingBytes {
    pub(crate) fn new(bytes: u64) -> Self {
        Self(Arc::new(AtomicU64::new(bytes)))
    }

    /// Takes the room of an execution; `None` where there is not so much.
    pub(crate) fn hold(&self, live: &Live) -> Option<HeldBytes> {
        let request = live.start.request.as_ref().map_or(0, |request| request.held_bytes());
        self.take((live.start.input.get().len() + request) as u64 + OVERHEAD)
    }

    fn take(&self, bytes: u64) -> Option<HeldBytes> {
        let taken = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |room| room.checked_sub(bytes));
        taken.ok().map(|_| HeldBytes { room: self.clone(), bytes })
    }
}

impl Drop for HeldBytes {
    fn drop(&mut self) {
        self.room.0.fetch_add(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_do_not_fit_are_refused_until_others_leave() {
        let room = WaitingBytes::new(100);
        let (first, second) = (room.take(60).unwrap(), room.take(40).unwrap());
        assert!(room.take(1).is_none());
        drop(first);
        assert!(room.take(61).is_none());
        drop((second, room.take(60).unwrap()));
        assert!(room.take(100).is_some());
    }
}
