//! Executions that are ready and wait for a slot: whose turn it is.
//!
//! Of each priority there is a lane for each webhook, or for each flow where no webhook started it, and the lanes take turns,
//! so that a flood of one does not starve the rest. An execution whose flow or key has as many executions as it may have is
//! set aside until one of those has ended.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use flowhost_engine::Program;
use flowhost_model::{Priority, RecordId};
use flowhost_store::Ticket;
use tokio::sync::{Notify, OnceCell, oneshot};

use super::waiting_bytes::HeldBytes;
use super::{Counted, Live, QueuePlace, Registered};

/// Every so many turns begin with the least urgent, so that nothing waits for ever.
const FAIR_TURN: u64 = 16;

/// An execution in the queue.
pub(crate) struct Queued {
    pub(crate) ticket: Ticket,
    /// The execution itself, where it is in memory already.
    pub(crate) loaded: Option<Loaded>,
    /// Whether the time of its wait has come.
    pub(crate) is_woken: bool,
    pub(crate) since: Instant,
    /// Held until it begins.
    pub(crate) place: Option<QueuePlace>,
    /// Held until it ends or leaves memory.
    pub(crate) counted: Option<Counted>,
    /// The limit for which it was set aside, and that has room for it now.
    pub(super) called_by: Option<Limited>,
}

impl Queued {
    /// An execution that is ready from now on.
    pub(crate) fn new(ticket: Ticket, loaded: Option<Loaded>) -> Self {
        let (is_woken, since) = (false, Instant::now());
        Self { ticket, loaded, is_woken, since, place: None, counted: None, called_by: None }
    }

    /// Whether it came from the store: what was accepted here holds a place.
    fn is_brought(&self) -> bool {
        self.loaded.is_none() && self.place.is_none()
    }
}

/// An execution in memory that has not begun.
pub(crate) struct Loaded {
    pub(crate) live: Arc<Live>,
    pub(crate) registered: Registered,
    pub(crate) program: Arc<OnceCell<Program>>,
    /// Its share of the memory for what waits, held until it begins.
    #[expect(dead_code, reason = "held")]
    pub(crate) held: HeldBytes,
}

/// What at most so many executions at once have in common.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Limited {
    /// Their flow.
    Flow(RecordId),
    /// The key that flows of a project, or of none, gave them.
    Key(Option<RecordId>, String),
    /// That the host may die of them, as it did before: each runs alone among them, so that none is suspected for another.
    Suspects,
}

/// The queue of a host. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Queue(Arc<Shared>);

#[derive(Default)]
struct Shared {
    inner: Mutex<Inner>,
    filled: Notify,
    unclaimed: Notify,
    loaded: Notify,
}

#[derive(Default)]
struct Inner {
    levels: [Level; Priority::ALL.len()],
    limits: HashMap<Limited, Limit>,
    turns: u64,
    /// How many are in lanes.
    ready: usize,
    /// How many of them came from the store.
    brought: usize,
    /// Those that were taken and are not in the registry yet.
    loading: HashSet<RecordId>,
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
    /// Those that were set aside, are in their lanes again, and have a place kept for them.
    called: u32,
    /// With how many may run.
    aside: VecDeque<(Aside, u32)>,
}

enum Aside {
    Queued(Box<Queued>),
    /// A caller who waits.
    Caller(oneshot::Sender<Holding>),
}

/// Callers whose turn has come, to be told outside of the lock.
type Callers = Vec<(oneshot::Sender<Holding>, Limited)>;

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

    /// Whether none is ready.
    pub(crate) fn is_empty(&self) -> bool {
        self.lock().ready == 0
    }

    /// Ready when something came into the queue since the last call, or it was closed. To be called by one task.
    pub(crate) async fn changed(&self) {
        self.0.filled.notified().await;
    }

    /// Takes the execution whose turn it is among those whose flow has a share of the slots left. `limit_of` says how many
    /// executions of a flow may run, `has_share` whether a flow may have another slot.
    pub(crate) fn pop_for(
        &self,
        limit_of: impl Fn(RecordId) -> Option<u32>,
        has_share: impl Fn(RecordId) -> bool,
    ) -> Option<(Queued, Holding)> {
        let mut callers = Callers::new();
        let popped = self.lock().pop(limit_of, has_share, &mut callers);
        // The task that takes knows that others are ready: without callers there is nothing to tell.
        if !callers.is_empty() {
            self.tell(callers);
        }
        popped.map(|(queued, limits)| (queued, Holding { queue: self.clone(), limits }))
    }

    /// Counts an execution of a flow that is not in the queue. Gives what to wait for where there are `limit` already, or
    /// where others wait for their turn. Without a limit it is counted as well: the flow may be given one while it runs.
    pub(crate) fn enter_flow(&self, flow: RecordId, limit: Option<u32>) -> Result<Holding, oneshot::Receiver<Holding>> {
        let limited = Limited::Flow(flow);
        let mut inner = self.lock();
        let place = inner.limits.entry(limited.clone()).or_default();
        place.forget_gone();
        if limit.is_none_or(|limit| place.aside.is_empty() && place.taken() < limit) {
            place.running += 1;
            return Ok(Holding { queue: self.clone(), limits: vec![limited] });
        }
        let limit = limit.unwrap_or(u32::MAX);
        let (free, freed) = oneshot::channel();
        place.aside.push_back((Aside::Caller(free), limit));
        Err(freed)
    }

    /// Takes an execution out of the queue; none where it is not there.
    pub(crate) fn remove(&self, id: RecordId) -> Option<Queued> {
        let mut callers = Callers::new();
        let removed = self.lock().remove(id, &mut callers);
        self.tell(callers);
        removed
    }

    #[cfg(test)]
    fn pop(&self, limit_of: impl Fn(RecordId) -> Option<u32>) -> Option<(Queued, Holding)> {
        self.pop_for(limit_of, |_| true)
    }

    /// As if an execution had been taken that is not in memory.
    #[cfg(test)]
    pub(super) fn note_loading(&self, id: RecordId) {
        self.lock().loading.insert(id);
    }

    /// An execution that was taken is in the registry, or cannot be.
    pub(crate) fn note_loaded(&self, id: RecordId) {
        self.lock().loading.remove(&id);
        self.0.loaded.notify_waiters();
    }

    /// Ready when an execution is not on its way from the queue to the registry.
    pub(crate) async fn until_loaded(&self, id: RecordId) {
        loop {
            let loaded = self.0.loaded.notified();
            if !self.lock().loading.contains(&id) {
                return;
            }
            loaded.await;
        }
    }

    /// Takes those out of `ids` that are in the queue, or on their way from there into memory.
    pub(crate) fn remove_known(&self, ids: &mut HashSet<RecordId>) {
        let inner = self.lock();
        ids.retain(|id| !inner.loading.contains(id));
        let ready = inner.levels.iter().flat_map(|level| level.lanes.values().flatten());
        let aside = inner.limits.values().flat_map(|limit| &limit.aside).filter_map(|(aside, _)| match aside {
            Aside::Queued(queued) => Some(&**queued),
            Aside::Caller(_) => None,
        });
        for queued in ready.chain(aside) {
            ids.remove(&queued.ticket.id);
        }
    }

    /// How many from the store are ready. Those that are set aside wait for others of their own.
    pub(crate) fn brought(&self) -> usize {
        self.lock().brought
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
        let aside: Vec<_> = inner.limits.values_mut().flat_map(|limit| limit.aside.drain(..)).collect();
        (inner.ready, inner.brought) = (0, 0);
        drop(inner);
        // Outside of the lock: what is dropped may come back to it.
        drop((left, aside));
        self.0.filled.notify_one();
        self.0.unclaimed.notify_one();
    }

    fn release(&self, limits: &[Limited]) {
        let mut callers = Callers::new();
        let mut inner = self.lock();
        for limited in limits {
            inner.leave(limited, &mut callers);
        }
        drop(inner);
        self.tell(callers);
    }

    /// Tells callers that their turn has come. The place of one who has gone away is the next one's: in a loop, since there
    /// may be thousands.
    fn tell(&self, mut callers: Callers) {
        while let Some((caller, limited)) = callers.pop() {
            let holding = Holding { queue: self.clone(), limits: vec![limited.clone()] };
            if let Err(mut refused) = caller.send(holding) {
                refused.limits.clear();
                self.lock().leave(&limited, &mut callers);
            }
        }
        if self.lock().ready > 0 {
            self.0.filled.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Holding {
    fn drop(&mut self) {
        if !self.limits.is_empty() {
            self.queue.release(&std::mem::take(&mut self.limits));
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
        self.brought += usize::from(queued.is_brought());
        if is_first {
            waiting.push_front(queued)
        } else {
            waiting.push_back(queued)
        }
        self.ready += 1;
    }

    fn next(&mut self, has_share: &impl Fn(RecordId) -> bool) -> Option<Queued> {
        if self.ready == 0 {
            return None;
        }
        self.turns += 1;
        let is_fair = self.turns.is_multiple_of(FAIR_TURN);
        let mut order: [usize; Priority::ALL.len()] = [2, 1, 0];
        if is_fair {
            order.reverse();
        }
        let queued = order.into_iter().find_map(|level| self.levels[level].next(has_share));
        if let Some(queued) = &queued {
            self.ready -= 1;
            self.brought -= usize::from(queued.is_brought());
        }
        queued
    }

    fn pop(
        &mut self,
        limit_of: impl Fn(RecordId) -> Option<u32>,
        has_share: impl Fn(RecordId) -> bool,
        callers: &mut Callers,
    ) -> Option<(Queued, Vec<Limited>)> {
        while let Some(mut queued) = self.next(&has_share) {
            let called_by = queued.called_by.take();
            if let Some(limit) = called_by.as_ref().and_then(|limited| self.limits.get_mut(limited)) {
                limit.called = limit.called.saturating_sub(1);
            }
            let ticket = &queued.ticket;
            // Without a limit it is counted as well: the flow may be given one while it runs.
            let by_flow = (Limited::Flow(ticket.flow_id), limit_of(ticket.flow_id).unwrap_or(u32::MAX));
            let by_key =
                ticket.concurrency.as_ref().map(|own| (Limited::Key(own.project_id, own.key.clone()), own.limit));
            let by_deaths = ticket.is_suspect().then_some((Limited::Suspects, 1));
            let limits: Vec<(Limited, u32)> = std::iter::once(by_flow).chain(by_key).chain(by_deaths).collect();
            let is_full =
                |(limited, most): &&(Limited, u32)| self.limits.get(limited).is_some_and(|one| one.taken() >= *most);
            let taken = match limits.iter().find(is_full) {
                Some((limited, most)) => {
                    let aside = &mut self.limits.entry(limited.clone()).or_default().aside;
                    let entry = (Aside::Queued(Box::new(queued)), *most);
                    // One that was called keeps its turn.
                    if called_by.as_ref() == Some(limited) {
                        aside.push_front(entry)
                    } else {
                        aside.push_back(entry)
                    }
                    None
                }
                None => {
                    let limits: Vec<Limited> = limits.into_iter().map(|(limited, _)| limited).collect();
                    for limited in &limits {
                        self.limits.entry(limited.clone()).or_default().running += 1;
                    }
                    if queued.loaded.is_none() {
                        self.loading.insert(queued.ticket.id);
                    }
                    Some((queued, limits))
                }
            };
            // Whatever became of it: its place may be another's.
            if let Some(limited) = called_by {
                self.call(&limited, callers);
            }
            if taken.is_some() {
                return taken;
            }
        }
        None
    }

    fn remove(&mut self, id: RecordId, callers: &mut Callers) -> Option<Queued> {
        for level in &mut self.levels {
            let found = level.lanes.iter_mut().find_map(|(lane, waiting)| {
                let place = waiting.iter().position(|queued| queued.ticket.id == id)?;
                waiting.remove(place).map(|queued| (*lane, queued, waiting.is_empty()))
            });
            if let Some((lane, mut queued, is_empty)) = found {
                if is_empty {
                    level.lanes.remove(&lane);
                    level.turns.retain(|known| *known != lane);
                }
                self.ready -= 1;
                self.brought -= usize::from(queued.is_brought());
                if let Some(limited) = queued.called_by.take() {
                    if let Some(limit) = self.limits.get_mut(&limited) {
                        limit.called = limit.called.saturating_sub(1);
                    }
                    self.call(&limited, callers);
                }
                return Some(queued);
            }
        }
        for limit in self.limits.values_mut() {
            let is_it = |(aside, _): &(Aside, u32)| matches!(aside, Aside::Queued(one) if one.ticket.id == id);
            let place = limit.aside.iter().position(is_it);
            if let Some((Aside::Queued(queued), _)) = place.and_then(|place| limit.aside.remove(place)) {
                return Some(*queued);
            }
        }
        None
    }

    fn leave(&mut self, limited: &Limited, callers: &mut Callers) {
        if let Some(limit) = self.limits.get_mut(limited) {
            limit.running = limit.running.saturating_sub(1);
        }
        self.call(limited, callers);
    }

    /// Lets those that were set aside for a limit try again, as many as it has room for.
    fn call(&mut self, limited: &Limited, callers: &mut Callers) {
        while let Some(limit) = self.limits.get_mut(limited) {
            limit.forget_gone();
            match limit.aside.pop_front() {
                Some((aside, most)) if limit.taken() >= most => {
                    limit.aside.push_front((aside, most));
                    return;
                }
                Some((Aside::Queued(mut queued), _)) => {
                    limit.called += 1;
                    queued.called_by = Some(limited.clone());
                    self.push(*queued, true);
                }
                Some((Aside::Caller(caller), _)) => {
                    limit.running += 1;
                    callers.push((caller, limited.clone()));
                }
                None => {
                    if limit.taken() == 0 {
                        self.limits.remove(limited);
                    }
                    return;
                }
            }
        }
    }
}

impl Limit {
    /// How many run or have a place kept for them.
    fn taken(&self) -> u32 {
        self.running + self.called
    }

    /// Forgets callers at the front who have gone away.
    fn forget_gone(&mut self) {
        while matches!(self.aside.front(), Some((Aside::Caller(caller), _)) if caller.is_closed()) {
            self.aside.pop_front();
        }
    }
}

impl Level {
    fn next(&mut self, has_share: &impl Fn(RecordId) -> bool) -> Option<Queued> {
        let first = |lane| self.lanes.get(lane).and_then(VecDeque::front);
        let turn = self.turns.iter().position(|lane| first(lane).is_some_and(|one| has_share(one.ticket.flow_id)))?;
        let lane = self.turns.remove(turn)?;
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
    use futures_util::FutureExt;

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
            deaths: 0,
        }
    }

    fn push(queue: &Queue, ticket: Ticket) -> RecordId {
        let id = ticket.id;
        queue.push(Queued::new(ticket, None));
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
    fn flow_with_its_share_of_slots_is_passed_over_and_keeps_its_turn() {
        let queue = Queue::default();
        let (stuck, other) = (RecordId::new(), RecordId::new());
        let first = push(&queue, ticket(stuck, Priority::High));
        let second = push(&queue, ticket(other, Priority::Low));
        let third = push(&queue, ticket(other, Priority::Low));
        // They run on: the end of one would be a change.
        let mut running = Vec::new();
        let mut pop_others = || {
            let (queued, holding) = queue.pop_for(|_| None, |flow| flow != stuck)?;
            running.push(holding);
            Some(queued.ticket.id)
        };
        assert!(queue.changed().now_or_never().is_some());
        assert_eq!((pop_others(), pop_others(), pop_others()), (Some(second), Some(third), None));
        // A task that looked in vain waits for a change.
        assert!(queue.changed().now_or_never().is_none());
        assert!(!queue.is_empty());
        assert_eq!(pop(&queue).unwrap().0, first);
        assert!(queue.is_empty());
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
        let key = |key: &str| Some(ConcurrencyLimit { project_id: None, key: key.into(), limit: 1 });
        let mut ids = Vec::new();
        for own in [key("a"), key("a"), key("b"), None] {
            ids.push(push(&queue, Ticket { concurrency: own, ..ticket(flow, Priority::Normal) }));
        }
        let first = pop(&queue).unwrap();
        let others = [pop(&queue).unwrap(), pop(&queue).unwrap()];
        assert_eq!((first.0, others[0].0, others[1].0), (ids[0], ids[2], ids[3]));
        assert!(pop(&queue).is_none());
        drop(first);
        assert_eq!(pop(&queue).unwrap().0, ids[1]);
    }

    #[test]
    fn projects_do_not_share_keys() {
        let queue = Queue::default();
        let mut ids = Vec::new();
        for project_id in [None, Some(RecordId::new()), Some(RecordId::new()), None] {
            let concurrency = Some(ConcurrencyLimit { project_id, key: "a".into(), limit: 1 });
            ids.push(push(&queue, Ticket { concurrency, ..ticket(RecordId::new(), Priority::Normal) }));
        }
        let running: Vec<_> = std::iter::from_fn(|| pop(&queue)).collect();
        assert_eq!(running.iter().map(|(id, _)| *id).collect::<Vec<_>>(), ids[..3]);
    }

    #[test]
    fn flow_that_gets_a_limit_counts_what_runs() {
        let queue = Queue::default();
        let flow = RecordId::new();
        push(&queue, ticket(flow, Priority::Normal));
        let running = [pop(&queue).unwrap().1, queue.enter_flow(flow, None).ok().unwrap()];
        assert!(queue.enter_flow(flow, Some(2)).is_err());
        push(&queue, ticket(flow, Priority::Normal));
        assert!(queue.pop(|_| Some(2)).is_none());
        drop(running);
        assert!(queue.pop(|_| Some(2)).is_some());
        // A limit that is taken away stops no call, though others were set aside for it.
        let _held = queue.enter_flow(flow, Some(2)).ok();
        push(&queue, ticket(flow, Priority::Normal));
        assert!(queue.enter_flow(flow, None).is_ok());
    }

    #[test]
    fn a_place_that_is_not_taken_goes_to_the_next() {
        let queue = Queue::default();
        let (flow, other) = (RecordId::new(), RecordId::new());
        let key = Some(ConcurrencyLimit { project_id: None, key: "a".into(), limit: 1 });
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
        let held = queue.enter_flow(flow, Some(1)).ok().unwrap();
        let gone = queue.enter_flow(flow, Some(1)).err().unwrap();
        let waiting = queue.enter_flow(flow, Some(1)).err().unwrap();
        drop(gone);
        drop(held);
        drop(waiting.await.unwrap());
        assert!(queue.enter_flow(flow, Some(1)).is_ok());
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
        assert!(queue.pop(|_| Some(1)).is_none());
    }

    #[test]
    fn what_is_set_aside_is_called_though_the_limit_or_the_one_before_it_is_gone() {
        let flow = RecordId::new();
        for is_removed in [false, true] {
            let queue = Queue::default();
            let ids: Vec<RecordId> = (0..4).map(|_| push(&queue, ticket(flow, Priority::Normal))).collect();
            let running = queue.pop(|_| Some(1)).unwrap();
            assert!(queue.pop(|_| Some(1)).is_none());
            drop(running);
            // The second is called; it goes away, or runs without a limit.
            if is_removed {
                queue.remove(ids[1]).unwrap();
            } else {
                assert_eq!(pop(&queue).unwrap().0, ids[1]);
            }
            assert_eq!(pop(&queue).unwrap().0, ids[2]);
            assert_eq!(pop(&queue).unwrap().0, ids[3]);
        }
    }

    #[test]
    fn what_waits_for_a_key_keeps_no_place_of_its_flow() {
        let queue = Queue::default();
        let flow = RecordId::new();
        let key = Some(ConcurrencyLimit { project_id: None, key: "a".into(), limit: 1 });
        let other = push(&queue, Ticket { concurrency: key.clone(), ..ticket(RecordId::new(), Priority::High) });
        let of_key = queue.pop(|_| None).unwrap();
        assert_eq!(of_key.0.ticket.id, other);
        let first = push(&queue, ticket(flow, Priority::Normal));
        let blocked = push(&queue, Ticket { concurrency: key, ..ticket(flow, Priority::Normal) });
        let last = push(&queue, ticket(flow, Priority::Normal));
        let take = || queue.pop(|id| (id == flow).then_some(1)).map(|(queued, holding)| (queued.ticket.id, holding));
        let running = take().unwrap();
        assert_eq!(running.0, first);
        assert!(take().is_none());
        drop(running);
        let running = take().unwrap();
        assert_eq!(running.0, last);
        drop((running, of_key));
        assert_eq!(take().unwrap().0, blocked);
    }

    #[tokio::test]
    async fn callers_who_went_away_leave_their_turn_to_others_however_many_they_are() {
        let queue = Queue::default();
        let flow = RecordId::new();
        let held = queue.enter_flow(flow, Some(1)).ok().unwrap();
        let mut gone: Vec<_> = (0..100_000).map(|_| queue.enter_flow(flow, Some(1)).err().unwrap()).collect();
        let last = queue.enter_flow(flow, Some(1)).err().unwrap();
        let first = gone.remove(0);
        drop(gone);
        drop(held);
        drop(first.await.unwrap());
        drop(last.await.unwrap());
        assert!(queue.lock().limits.is_empty());
    }
}
