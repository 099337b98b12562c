//! Executions that are ready and wait for a slot: whose turn it is.
//!
//! Of each priority there is a lane for each webhook, or for each flow where no webhook started it, and the lanes take turns,
//! so that a flood of one does not starve the rest. An execution whose flow or key has as many executions as it may have is
//! set aside until one of those has ended.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use flowhost_engine::Program;
use flowhost_model::{Priority, RecordId};
use flowhost_store::Ticket;
use tokio::sync::{Notify, OnceCell, OwnedSemaphorePermit, oneshot};

use super::{Counted, Live, Registered};

/// Every so many turns begin with the least urgent, so that nothing waits for ever.
const FAIR_TURN: u64 = 16;

/// An execution in the queue.
pub(crate) struct Queued {
    pub(crate) ticket: Ticket,
    /// The execution itself, where it is in memory already.
    pub(crate) loaded: Option<Loaded>,
    /// Whether the time of its wait has come.
    pub(crate) is_woken: bool,
    /// The limit for which it was set aside, and whose free place it was given; whoever does not take it gives it on.
    pub(crate) called_for: Option<Limited>,
    pub(crate) since: Instant,
    /// Held until it begins.
    pub(crate) place: Option<OwnedSemaphorePermit>,
    /// Held until it ends or leaves memory.
    pub(crate) counted: Option<Counted>,
}

/// An execution in memory that has not begun.
pub(crate) struct Loaded {
    pub(crate) live: Arc<Live>,
    pub(crate) registered: Registered,
    pub(crate) program: Arc<OnceCell<Program>>,
}

/// What at most so many executions at once have in common.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Limited {
    /// Their flow.
    Flow(RecordId),
    /// The key that flows gave them.
    Key(String),
}

/// The queue of a host. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Queue(Arc<Shared>);

#[derive(Default)]
struct Shared {
    inner: Mutex<Inner>,
    filled: Notify,
    unclaimed: Notify,
}

#[derive(Default)]
struct Inner {
    levels: [Level; Priority::ALL.len()],
    limits: HashMap<Limited, Limit>,
    turns: u64,
    /// How many are in lanes.
    ready: usize,
    is_closed: bool,
}

/// The lanes of one priority, those whose turn comes first first.
#[derive(Default)]
struct Level {
    turns: VecDeque<RecordId>,
    lanes: HashMap<RecordId, VecDeque<Queued>>,
}

/// What runs under a limit, and who was set aside for it.
#[derive(Default)]
struct Limit {
    running: u32,
    aside: VecDeque<Aside>,
}

enum Aside {
    Queued(Box<Queued>),
    /// A caller who waits, and how many may run.
    Caller(oneshot::Sender<Holding>, u32),
}

/// What an execution counts against; dropping it lets the next one run.
pub(crate) struct Holding {
    queue: Queue,
    limits: Vec<Limited>,
}

impl Queue {
    /// Puts an execution at the end of its lane.
    pub(crate) fn push(&self, queued: Queued) {
        let mut inner = self.lock();
        if inner.is_closed {
            return;
        }
        inner.push(queued, false);
        drop(inner);
        self.0.filled.notify_one();
    }

    /// Ready when there is somebody to take; false when there will be nobody any more. To be called by one task.
    pub(crate) async fn filled(&self) -> bool {
        loop {
            {
                let inner = self.lock();
                if inner.is_closed || inner.ready > 0 {
                    return !inner.is_closed;
                }
            }
            self.0.filled.notified().await;
        }
    }

    /// The store has executions that nobody owns.
    pub(crate) fn note_unclaimed(&self) {
        self.0.unclaimed.notify_one();
    }

    /// Ready when the store has executions that nobody owns, or the queue is closed. To be called by one task.
    pub(crate) async fn unclaimed(&self) {
        self.0.unclaimed.notified().await;
    }

    /// Takes the execution whose turn it is. `limit_of` says how many executions of a flow may run.
    pub(crate) fn pop(&self, limit_of: impl Fn(RecordId) -> Option<u32>) -> Option<(Queued, Holding)> {
        let mut inner = self.lock();
        let mut callers = Vec::new();
        let mut popped = None;
        while let Some(mut queued) = inner.next() {
            let ticket = &queued.ticket;
            let by_flow = limit_of(ticket.flow_id).map(|limit| (Limited::Flow(ticket.flow_id), limit));
            let by_key = ticket.concurrency.as_ref().map(|own| (Limited::Key(own.key.clone()), own.limit));
            let limits: Vec<(Limited, u32)> = by_flow.into_iter().chain(by_key).collect();
            let full = limits.iter().find(|(limited, limit)| inner.running(limited) >= *limit);
            if let Some((limited, _)) = full {
                let called_for = queued.called_for.take();
                let aside = Aside::Queued(Box::new(queued));
                let waiting = &mut inner.limits.entry(limited.clone()).or_default().aside;
                match called_for {
                    // Somebody else was faster.
                    Some(called_for) if called_for == *limited => waiting.push_front(aside),
                    Some(called_for) => {
                        waiting.push_back(aside);
                        inner.call_next(&called_for, &mut callers);
                    }
                    None => waiting.push_back(aside),
                }
                continue;
            }
            let limits = inner.enter(limits.into_iter().map(|(limited, _)| limited).collect());
            popped = Some((queued, Holding { queue: self.clone(), limits }));
            break;
        }
        drop(inner);
        self.call(callers);
        popped
    }

    /// Counts an execution of a flow that is not in the queue. Gives what to wait for where there are `limit` already.
    pub(crate) fn enter_flow(&self, flow: RecordId, limit: u32) -> Result<Holding, oneshot::Receiver<Holding>> {
        let limited = Limited::Flow(flow);
        let mut inner = self.lock();
        if inner.running(&limited) < limit {
            let limits = inner.enter(vec![limited]);
            return Ok(Holding { queue: self.clone(), limits });
        }
        let (free, freed) = oneshot::channel();
        inner.limits.entry(limited).or_default().aside.push_back(Aside::Caller(free, limit));
        Err(freed)
    }

    /// Takes an execution out of the queue; none where it is not there.
    pub(crate) fn remove(&self, id: RecordId) -> Option<Queued> {
        let mut inner = self.lock();
        let mut callers = Vec::new();
        let removed = inner.remove(id);
        if let Some(called_for) = removed.as_ref().and_then(|queued| queued.called_for.as_ref()) {
            inner.call_next(called_for, &mut callers);
        }
        let is_filled = inner.ready > 0;
        drop(inner);
        self.call(callers);
        if is_filled {
            self.0.filled.notify_one();
        }
        removed
    }

    /// How many are ready or set aside.
    pub(crate) fn len(&self) -> usize {
        let inner = self.lock();
        let aside: usize = inner.limits.values().map(|limit| limit.aside.len()).sum();
        inner.ready + aside
    }

    /// Whether the queue was emptied for good.
    pub(crate) fn is_closed(&self) -> bool {
        self.lock().is_closed
    }

    /// Empties the queue, for good: what is in it goes on from the store.
    pub(crate) fn close(&self) {
        let mut inner = self.lock();
        inner.is_closed = true;
        let left = std::mem::take(&mut inner.levels);
        let aside: Vec<Aside> = inner.limits.values_mut().flat_map(|limit| limit.aside.drain(..)).collect();
        inner.ready = 0;
        drop(inner);
        // Outside of the lock: what is dropped may come back to it.
        drop((left, aside));
        self.0.filled.notify_one();
        self.0.unclaimed.notify_one();
    }

    fn release(&self, limits: &[Limited]) {
        let mut inner = self.lock();
        let mut callers = Vec::new();
        for limited in limits {
            inner.leave(limited);
            inner.call_next(limited, &mut callers);
        }
        let is_filled = inner.ready > 0;
        drop(inner);
        self.call(callers);
        if is_filled {
            self.0.filled.notify_one();
        }
    }

    fn call(&self, callers: Vec<(oneshot::Sender<Holding>, Limited)>) {
        for (caller, limited) in callers {
            // One who has gone away drops what it is sent, which calls the next.
            let _gone = caller.send(Holding { queue: self.clone(), limits: vec![limited] });
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Holding {
    fn drop(&mut self) {
        if !self.limits.is_empty() {
            self.queue.clone().release(&std::mem::take(&mut self.limits));
        }
    }
}

impl Inner {
    fn push(&mut self, queued: Queued, is_first: bool) {
        let lane = queued.ticket.webhook_id.unwrap_or(queued.ticket.flow_id);
        let level = &mut self.levels[queued.ticket.priority as usize];
        let waiting = level.lanes.entry(lane).or_default();
        if waiting.is_empty() {
            level.turns.push_back(lane);
        }
        if is_first {
            waiting.push_front(queued)
        } else {
            waiting.push_back(queued)
        }
        self.ready += 1;
    }

    fn next(&mut self) -> Option<Queued> {
        if self.ready == 0 {
            return None;
        }
        self.turns += 1;
        let is_fair = self.turns.is_multiple_of(FAIR_TURN);
        let mut order: [usize; Priority::ALL.len()] = [2, 1, 0];
        if is_fair {
            order.reverse();
        }
        let queued = order.into_iter().find_map(|level| self.levels[level].next());
        if queued.is_some() {
            self.ready -= 1;
        }
        queued
    }

    fn remove(&mut self, id: RecordId) -> Option<Queued> {
        for level in &mut self.levels {
            let found = level.lanes.iter_mut().find_map(|(lane, waiting)| {
                let place = waiting.iter().position(|queued| queued.ticket.id == id)?;
                waiting.remove(place).map(|queued| (*lane, queued, waiting.is_empty()))
            });
            if let Some((lane, queued, is_empty)) = found {
                if is_empty {
                    level.lanes.remove(&lane);
                    level.turns.retain(|known| *known != lane);
                }
                self.ready -= 1;
                return Some(queued);
            }
        }
        for limit in self.limits.values_mut() {
            let place = limit.aside.iter().position(|aside| matches!(aside, Aside::Queued(one) if one.ticket.id == id));
            if let Some(Aside::Queued(queued)) = place.and_then(|place| limit.aside.remove(place)) {
                return Some(*queued);
            }
        }
        None
    }

    fn running(&self, limited: &Limited) -> u32 {
        self.limits.get(limited).map_or(0, |limit| limit.running)
    }

    fn enter(&mut self, limits: Vec<Limited>) -> Vec<Limited> {
        for limited in &limits {
            self.limits.entry(limited.clone()).or_default().running += 1;
        }
        limits
    }

    fn leave(&mut self, limited: &Limited) {
        if let Some(limit) = self.limits.get_mut(limited) {
            limit.running = limit.running.saturating_sub(1);
        }
    }

    /// Lets the next of those who were set aside for a limit try again.
    fn call_next(&mut self, limited: &Limited, callers: &mut Vec<(oneshot::Sender<Holding>, Limited)>) {
        let Some(limit) = self.limits.get_mut(limited) else { return };
        match limit.aside.pop_front() {
            Some(Aside::Queued(mut queued)) => {
                queued.called_for = Some(limited.clone());
                self.push(*queued, true);
            }
            Some(Aside::Caller(caller, most)) if limit.running < most => {
                limit.running += 1;
                callers.push((caller, limited.clone()));
            }
            Some(caller) => limit.aside.push_front(caller),
            None if limit.running == 0 => {
                self.limits.remove(limited);
            }
            None => {}
        }
    }
}

impl Level {
    fn next(&mut self) -> Option<Queued> {
        let lane = self.turns.pop_front()?;
        let waiting = self.lanes.get_mut(&lane)?;
        let queued = waiting.pop_front();
        if waiting.is_empty() {
            self.lanes.remove(&lane);
        } else {
            self.turns.push_back(lane);
        }
        queued
    }
}

#[cfg(test)]
mod tests {
    use flowhost_model::ConcurrencyLimit;

    use super::*;

    fn ticket(lane: RecordId, priority: Priority) -> Ticket {
        Ticket {
            id: RecordId::new(),
            flow_id: lane,
            webhook_id: None,
            priority,
            concurrency: None,
            is_productive: true,
            user_id: None,
        }
    }

    fn push(queue: &Queue, ticket: Ticket) -> RecordId {
        let id = ticket.id;
        let (since, is_woken) = (Instant::now(), false);
        queue.push(Queued { ticket, loaded: None, is_woken, called_for: None, since, place: None, counted: None });
        id
    }

    fn pop(queue: &Queue) -> Option<(RecordId, Holding)> {
        queue.pop(|_| None).map(|(queued, holding)| (queued.ticket.id, holding))
    }

    #[test]
    fn a_flood_of_one_does_not_starve_the_rest() {
        let queue = Queue::default();
        let (flood, other) = (RecordId::new(), RecordId::new());
        let first = push(&queue, ticket(flood, Priority::Normal));
        for _ in 0..1_000 {
            push(&queue, ticket(flood, Priority::Normal));
        }
        let late = push(&queue, ticket(other, Priority::Normal));
        assert_eq!(pop(&queue).unwrap().0, first);
        assert_eq!(pop(&queue).unwrap().0, late);
    }

    #[test]
    fn the_urgent_goes_first_and_nothing_waits_for_ever() {
        let queue = Queue::default();
        let low = push(&queue, ticket(RecordId::new(), Priority::Low));
        for _ in 0..100 {
            push(&queue, ticket(RecordId::new(), Priority::High));
        }
        let turns: Vec<RecordId> = (0..FAIR_TURN).map(|_| pop(&queue).unwrap().0).collect();
        assert_eq!(turns.iter().position(|id| *id == low), Some(turns.len() - 1));
    }

    #[test]
    fn a_flow_runs_as_often_as_it_may() {
        let queue = Queue::default();
        let flow = RecordId::new();
        let ids: Vec<RecordId> = (0..3).map(|_| push(&queue, ticket(flow, Priority::Normal))).collect();
        let take = || queue.pop(|_| Some(2)).map(|(queued, holding)| (queued.ticket.id, holding));
        let (first, second) = (take().unwrap(), take().unwrap());
        assert_eq!((first.0, second.0), (ids[0], ids[1]));
        assert!(take().is_none());
        drop(second);
        assert_eq!(take().unwrap().0, ids[2]);
        drop(first);
        assert!(queue.lock().limits.values().all(|limit| limit.running == 0));
    }

    #[test]
    fn executions_of_one_key_run_as_often_as_it_says_and_others_pass() {
        let queue = Queue::default();
        let flow = RecordId::new();
        let key = |key: &str| Some(ConcurrencyLimit { key: key.into(), limit: 1 });
        let mut ids = Vec::new();
        for own in [key("a"), key("a"), key("b"), None] {
            ids.push(push(&queue, Ticket { concurrency: own, ..ticket(flow, Priority::Normal) }));
        }
        let first = pop(&queue).unwrap();
        let others = [pop(&queue).unwrap(), pop(&queue).unwrap()];
        assert_eq!((first.0, others[0].0, others[1].0), (ids[0], ids[2], ids[3]));
        assert!(pop(&queue).is_none());
        assert_eq!(queue.len(), 1);
        drop(first);
        assert_eq!(pop(&queue).unwrap().0, ids[1]);
    }

    #[test]
    fn a_place_that_is_not_taken_goes_to_the_next() {
        let queue = Queue::default();
        let (flow, other) = (RecordId::new(), RecordId::new());
        let key = Some(ConcurrencyLimit { key: "a".into(), limit: 1 });
        let keyed = |flow| Ticket { concurrency: key.clone(), ..ticket(flow, Priority::Normal) };
        let take = || queue.pop(|of| (of == flow).then_some(1)).map(|(queued, holding)| (queued.ticket.id, holding));
        let in_flow = push(&queue, ticket(flow, Priority::Normal));
        let with_key = push(&queue, keyed(other));
        let held = [take().unwrap(), take().unwrap()];
        assert_eq!([held[0].0, held[1].0], [in_flow, with_key]);
        let both = push(&queue, keyed(flow));
        let rest: Vec<RecordId> = (0..3).map(|_| push(&queue, ticket(flow, Priority::Normal))).collect();
        assert!(take().is_none());
        let [(_, flow_held), key_held] = held;
        // The first of those behind it waits for its key, so the second runs.
        drop(flow_held);
        let second = take().unwrap();
        assert_eq!(second.0, rest[0]);
        assert!(take().is_none());
        // One that was called is taken out: the next is called.
        drop(second);
        assert_eq!(queue.remove(rest[1]).unwrap().ticket.id, rest[1]);
        assert_eq!(take().unwrap().0, rest[2]);
        drop(key_held);
        assert_eq!(take().unwrap().0, both);
    }

    #[tokio::test]
    async fn a_caller_waits_for_its_turn_among_those_of_its_flow() {
        let queue = Queue::default();
        let flow = RecordId::new();
        let held = queue.enter_flow(flow, 1).ok().unwrap();
        let gone = queue.enter_flow(flow, 1).err().unwrap();
        let waiting = queue.enter_flow(flow, 1).err().unwrap();
        drop(gone);
        drop(held);
        drop(waiting.await.unwrap());
        assert!(queue.enter_flow(flow, 1).is_ok());
    }

    #[test]
    fn what_is_taken_out_is_gone() {
        let queue = Queue::default();
        let flow = RecordId::new();
        let ids: Vec<RecordId> = (0..2).map(|_| push(&queue, ticket(flow, Priority::Normal))).collect();
        let holding = queue.pop(|_| Some(1)).unwrap();
        assert!(queue.pop(|_| Some(1)).is_none());
        assert_eq!(queue.remove(ids[1]).unwrap().ticket.id, ids[1]);
        assert!(queue.remove(ids[1]).is_none());
        drop(holding);
        assert_eq!(queue.len(), 0);
    }
}
