//! What the host holds for a flow behind handles to what is not sent or started yet: limited for each text, and for all of
//! an execution's together.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use flowhost_engine::{HostMemory, State};

use super::bindings::flowhost::flow::types::HostError;
use super::refusal::{INPUT_BYTES, Told};

/// Bytes that all drafts of an execution hold together, but for the bodies of its requests. Two inputs of the largest size, so
/// that one can be made while another is there.
pub(super) const DRAFTS_BYTES: usize = 2 * INPUT_BYTES;

/// Room for drafts, in bytes. Clones are the same room.
#[derive(Clone)]
pub(super) struct Room(Arc<AtomicUsize>);

impl Room {
    pub(super) fn new(bytes: usize) -> Self {
        Self(Arc::new(AtomicUsize::new(bytes)))
    }
}

impl Default for Room {
    fn default() -> Self {
        Self::new(DRAFTS_BYTES)
    }
}

/// Bytes that something takes of a room, until it is dropped.
pub(super) struct Held {
    room: Room,
    /// The host's, which all executions share.
    memory: HostMemory,
    bytes: usize,
}

impl Held {
    /// Nothing yet.
    pub(super) fn of(room: Room, memory: HostMemory) -> Self {
        Self { room, memory, bytes: 0 }
    }

    /// Nothing yet, of the room for all drafts of an execution.
    pub(super) fn of_drafts(state: &mut State) -> Self {
        Self::of(state.slot_or_default::<Room>().clone(), state.host_memory())
    }

    /// Nothing yet, of the same room.
    pub(super) fn another(&self) -> Self {
        Self::of(self.room.clone(), self.memory.clone())
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes so many bytes more; false where there is no room for them. Where it is the host that has no memory for them, the
    /// call ends in a moment.
    pub(super) fn grow(&mut self, by: usize) -> bool {
        let take = |room: usize| room.checked_sub(by);
        if self.room.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_err() {
            return false;
        }
        self.bytes += by;
        let is_taken = self.memory.take(by);
        if !is_taken {
            self.bytes -= by;
            self.room.0.fetch_add(by, Ordering::Relaxed);
        }
        is_taken
    }

    /// Gives back what it takes beyond so many bytes.
    pub(super) fn shrink_to(&mut self, bytes: usize) {
        let less = self.bytes.saturating_sub(bytes);
        self.room.0.fetch_add(less, Ordering::Relaxed);
        self.memory.give_back(less);
        self.bytes = self.bytes.min(bytes);
    }

    /// All that it takes, which is another's from now on.
    pub(super) fn take(&mut self) -> Self {
        std::mem::replace(self, self.another())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.shrink_to(0);
    }
}

/// The texts that a draft holds, and why it will be refused where it was given one that is too large.
pub(super) struct Texts {
    held: Held,
    refused: Option<HostError>,
}

impl Texts {
    /// None yet.
    pub(super) fn new(state: &mut State) -> Self {
        Self { held: Held::of_drafts(state), refused: None }
    }

    /// Keeps a text in place of a former one. One with more than `limit` bytes is dropped, and so is one for which there is no
    /// room: the draft is refused for it.
    pub(super) fn keep(
        &mut self,
        place: &mut String,
        text: String,
        limit: usize,
        refuse: impl FnOnce(&str) -> HostError,
    ) {
        self.held.shrink_to(self.held.bytes() - place.len());
        if text.len() <= limit && self.held.grow(text.len()) {
            *place = text;
        } else {
            *place = String::new();
            self.refused.get_or_insert_with(|| refuse(&text));
        }
    }

    /// Refuses a draft that was given a text which is too large.
    pub(super) fn check(&self) -> Told<()> {
        self.refused.clone().map_or(Ok(()), Err)
    }
}

#[cfg(test)]
mod tests {
    use super::super::refusal::too_large;
    use super::*;

    fn texts(room: &Room) -> Texts {
        Texts { held: Held::of(room.clone(), HostMemory::unlimited()), refused: None }
    }

    fn refuse(text: &str) -> HostError {
        too_large("the text", text.len(), 10)
    }

    #[test]
    fn a_draft_keeps_nothing_that_is_too_large() {
        let room = Room::new(100);
        let (mut draft, mut text) = (texts(&room), String::new());
        draft.keep(&mut text, "1234567890".to_owned(), 10, refuse);
        assert!(text.len() == 10 && draft.check().is_ok());
        draft.keep(&mut text, "1".repeat(11), 10, refuse);
        assert_eq!((text.capacity(), draft.held.bytes()), (0, 0));
        assert!(draft.check().unwrap_err().message.contains("11 bytes"));
    }

    #[test]
    fn drafts_share_their_room_and_give_it_back() {
        let room = Room::new(10);
        let (mut one, mut of_one) = (texts(&room), String::new());
        let (mut other, mut of_other) = (texts(&room), String::new());
        for _ in 0..10 {
            // In place of the former.
            one.keep(&mut of_one, "123456".to_owned(), 10, refuse);
        }
        assert!(one.check().is_ok());
        other.keep(&mut of_other, "12345".to_owned(), 10, refuse);
        assert!(other.check().is_err());
        drop(one);
        let mut third = texts(&room);
        third.keep(&mut of_other, "1234567890".to_owned(), 10, refuse);
        assert!(third.check().is_ok());
        let mut taken = third.held.take();
        drop(third);
        assert!(!texts(&room).held.grow(1));
        taken.shrink_to(9);
        assert!(texts(&room).held.grow(1));
    }
}
