//! What executions in memory wait for, beside the ends of others and times.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flowhost_model::RecordId;
use flowhost_store::LockKey;
use tokio::sync::watch;

/// Something that happens, maybe more than once.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Event {
    /// The lock was released.
    Released(LockKey),
    /// The message with this id was responded to, or closed.
    Settled(RecordId),
}

/// Who in memory waits for which event. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Events(Arc<Mutex<HashMap<Event, watch::Sender<()>>>>);

/// One event, as long as somebody waits for it.
pub(crate) struct Awaited {
    events: Events,
    event: Event,
    told: watch::Receiver<()>,
}

impl Awaited {
    /// Ready when it has happened since this was made, or since the last time; false when nothing happens here any more.
    pub(crate) async fn happened(&mut self) -> bool {
        self.told.changed().await.is_ok()
    }
}

impl Drop for Awaited {
    fn drop(&mut self) {
        let mut events = self.events.lock();
        // This receiver is still counted.
        if events.get(&self.event).is_some_and(|teller| teller.receiver_count() <= 1) {
            events.remove(&self.event);
        }
    }
}

impl Events {
    /// To be asked for before it is looked whether the event has happened already.
    pub(crate) fn of(&self, event: Event) -> Awaited {
        let told = self.lock().entry(event.clone()).or_insert_with(|| watch::Sender::new(())).subscribe();
        Awaited { events: self.clone(), event, told }
    }

    /// It has happened, and is kept.
    pub(crate) fn tell(&self, event: &Event) {
        if let Some(teller) = self.lock().get(event) {
            teller.send_replace(());
        }
    }

    /// Nothing happens here any more.
    pub(crate) fn close(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Event, watch::Sender<()>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn event(name: &str) -> Event {
        Event::Released(LockKey { project_id: None, name: name.to_owned() })
    }

    #[tokio::test]
    async fn an_event_is_told_to_all_who_asked_before_it_and_kept_for_nobody() {
        let events = Events::default();
        events.tell(&event("a"));
        let (mut one, mut two, mut other) = (events.of(event("a")), events.of(event("a")), events.of(event("b")));
        assert!(one.happened().now_or_never().is_none());
        events.tell(&event("a"));
        assert!(one.happened().await && two.happened().await);
        assert!(one.happened().now_or_never().is_none() && other.happened().now_or_never().is_none());
        drop(one);
        events.tell(&event("a"));
        assert!(two.happened().await);
        drop((two, other));
        assert!(events.lock().is_empty());
    }

    #[tokio::test]
    async fn a_closed_hub_lets_nobody_wait() {
        let events = Events::default();
        let mut awaited = events.of(event("a"));
        events.close();
        assert!(!awaited.happened().await);
    }
}
