//! Pools of places that no taker has for itself alone.
//!
//! One taker holds at most half of what is free to it ([`is_fair_share`]): a webhook, a flow, a user, a remote host. A place
//! that is given back goes to those who wait, a taker at a time, so that the many of one taker do not wait in front of the
//! first of another.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flowhost_model::is_fair_share;
use tokio::sync::{Notify, oneshot};

/// What names a taker.
pub(crate) trait Taker: Clone + Eq + Hash {}

impl<K: Clone + Eq + Hash> Taker for K {}

/// A pool. Each place is taken in the name of `KEYS` takers, each of which must have its share left. Cheap to clone.
pub(crate) struct Pool<K: Taker, const KEYS: usize = 1>(Arc<Shared<K, KEYS>>);

struct Shared<K: Taker, const KEYS: usize> {
    inner: Mutex<Inner<K, KEYS>>,
    /// Notified of each place that is given back.
    freed: Arc<Notify>,
}

/// Who holds or wants a place; `None` for a place whose taker is named later.
type Takers<K, const KEYS: usize> = Option<[K; KEYS]>;

struct Inner<K: Taker, const KEYS: usize> {
    free: usize,
    /// Taken, for a taker that is not named yet.
    unnamed: usize,
    held: HashMap<K, usize>,
    /// The lanes that somebody waits in, in the order of their turns.
    turns: VecDeque<Takers<K, KEYS>>,
    waiting: HashMap<Takers<K, KEYS>, VecDeque<Waiter<K, KEYS>>>,
    next: u64,
    is_closed: bool,
}

struct Waiter<K: Taker, const KEYS: usize> {
    number: u64,
    granted: oneshot::Sender<Place<K, KEYS>>,
}

/// A place in a pool; dropping it gives the place back.
pub(crate) struct Place<K: Taker, const KEYS: usize = 1> {
    pool: Pool<K, KEYS>,
    takers: Takers<K, KEYS>,
    /// Whether the pool notifies of its return.
    is_told: bool,
}

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoPlace {
    /// The taker has its share; others would get a place.
    Share,
    /// Every place is taken.
    Full,
}

/// Leaves the lane when the wait is given up.
struct Waiting<'a, K: Taker, const KEYS: usize> {
    pool: &'a Pool<K, KEYS>,
    takers: Takers<K, KEYS>,
    number: u64,
}

impl<K: Taker, const KEYS: usize> Pool<K, KEYS> {
    pub(crate) fn new(size: usize) -> Self {
        Self::watched(size, Arc::default())
    }

    /// A pool that notifies `freed` of each place that is given back.
    pub(crate) fn watched(size: usize, freed: Arc<Notify>) -> Self {
        let inner = Inner {
            free: size,
            unnamed: 0,
            held: HashMap::new(),
            turns: VecDeque::new(),
            waiting: HashMap::new(),
            next: 0,
            is_closed: false,
        };
        Self(Arc::new(Shared { inner: Mutex::new(inner), freed }))
    }

    /// Takes a place if there is one for these takers now.
    pub(crate) fn try_take(&self, takers: [K; KEYS]) -> Result<Place<K, KEYS>, NoPlace> {
        let takers = Some(takers);
        let mut inner = self.lock();
        // Whoever waits cannot have a place now: this takes nobody's turn.
        if inner.may_take(&takers) {
            inner.take(&takers);
            return Ok(self.place(takers));
        }
        Err(inner.why_not(&takers))
    }

    /// Takes a place as soon as there is one for these takers. `None` once the pool is closed.
    pub(crate) async fn take(&self, takers: [K; KEYS]) -> Option<Place<K, KEYS>> {
        self.take_for(Some(takers)).await
    }

    /// Takes a place for a taker that [`Place::named`] names later, if there is one now.
    pub(crate) fn try_take_unnamed(&self) -> Option<Place<K, KEYS>> {
        let mut inner = self.lock();
        inner.may_take(&None).then(|| {
            inner.take(&None);
            self.place(None)
        })
    }

    /// Takes a place for a taker that [`Place::named`] names later.
    pub(crate) async fn take_unnamed(&self) -> Option<Place<K, KEYS>> {
        self.take_for(None).await
    }

    async fn take_for(&self, takers: Takers<K, KEYS>) -> Option<Place<K, KEYS>> {
        let (granted, number) = {
            let mut inner = self.lock();
            if inner.may_take(&takers) {
                inner.take(&takers);
                drop(inner);
                return Some(self.place(takers));
            }
            if inner.is_closed {
                return None;
            }
            inner.wait(&takers)
        };
        let _waiting = Waiting { pool: self, takers, number };
        granted.await.ok()
    }

    /// Whether every place is taken.
    #[cfg(test)]
    pub(crate) fn is_full(&self) -> bool {
        self.lock().free == 0
    }

    /// Why these takers, who have waited for a place, have none.
    pub(crate) fn why_not(&self, takers: [K; KEYS]) -> NoPlace {
        self.lock().why_not(&Some(takers))
    }

    /// Gives no more places, and tells those who wait for one.
    pub(crate) fn close(&self) {
        let mut inner = self.lock();
        inner.is_closed = true;
        inner.turns.clear();
        let waiting = std::mem::take(&mut inner.waiting);
        drop(inner);
        drop(waiting);
        self.0.freed.notify_one();
    }

    fn place(&self, takers: Takers<K, KEYS>) -> Place<K, KEYS> {
        Place { pool: self.clone(), takers, is_told: true }
    }

    fn release(&self, takers: &Takers<K, KEYS>, is_told: bool) {
        let mut inner = self.lock();
        inner.give_back(takers);
        let granted = inner.grant();
        drop(inner);
        // Outside of the lock: the place of one who has gone away comes back to it.
        for (waiter, takers) in granted {
            let _gone = waiter.granted.send(self.place(takers));
        }
        if is_told {
            self.0.freed.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner<K, KEYS>> {
        self.0.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Taker, const KEYS: usize> Clone for Pool<K, KEYS> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<K: Taker, const KEYS: usize> Inner<K, KEYS> {
    fn may_take(&self, takers: &Takers<K, KEYS>) -> bool {
        !self.is_closed && self.free > 0 && self.have_share(takers, self.free)
    }

    /// Whether each taker has some of its share left while so many places are free.
    fn have_share(&self, takers: &Takers<K, KEYS>, free: usize) -> bool {
        let held = |taker: &K| self.held.get(taker).copied().unwrap_or_default();
        takers.iter().flatten().all(|taker| is_fair_share(held(taker) as u64, 1, free as u64))
    }

    /// A place without a taker counts as free: it may be given back at once, and says nothing about who has too much.
    fn why_not(&self, takers: &Takers<K, KEYS>) -> NoPlace {
        let free = self.free + self.unnamed;
        let is_full = self.is_closed || free == 0 || (self.free == 0 && self.have_share(takers, free));
        if is_full { NoPlace::Full } else { NoPlace::Share }
    }

    fn take(&mut self, takers: &Takers<K, KEYS>) {
        self.free -= 1;
        self.unnamed += usize::from(takers.is_none());
        self.count(takers);
    }

    fn count(&mut self, takers: &Takers<K, KEYS>) {
        for taker in takers.iter().flatten() {
            *self.held.entry(taker.clone()).or_default() += 1;
        }
    }

    fn give_back(&mut self, takers: &Takers<K, KEYS>) {
        self.free += 1;
        self.unnamed -= usize::from(takers.is_none());
        for taker in takers.iter().flatten() {
            if let Some(held) = self.held.get_mut(taker) {
                *held -= 1;
                if *held == 0 {
                    self.held.remove(taker);
                }
            }
        }
    }

    fn wait(&mut self, takers: &Takers<K, KEYS>) -> (oneshot::Receiver<Place<K, KEYS>>, u64) {
        let (granted, receiver) = oneshot::channel();
        let number = self.next;
        self.next += 1;
        let lane = self.waiting.entry(takers.clone()).or_default();
        if lane.is_empty() {
            self.turns.push_back(takers.clone());
        }
        lane.push_back(Waiter { number, granted });
        (receiver, number)
    }

    /// Gives what is free to those who wait and may have it, a lane at a time.
    fn grant(&mut self) -> Vec<(Waiter<K, KEYS>, Takers<K, KEYS>)> {
        let mut granted = Vec::new();
        while self.free > 0
            && let Some(turn) = self.turns.iter().position(|takers| self.may_take(takers))
            && let Some(takers) = self.turns.remove(turn)
        {
            let Some(lane) = self.waiting.get_mut(&takers) else { continue };
            let waiter = lane.pop_front();
            if lane.is_empty() {
                self.waiting.remove(&takers);
            } else {
                self.turns.push_back(takers.clone());
            }
            if let Some(waiter) = waiter.filter(|waiter| !waiter.granted.is_closed()) {
                self.take(&takers);
                granted.push((waiter, takers));
            }
        }
        granted
    }

    fn forget(&mut self, takers: &Takers<K, KEYS>, number: u64) {
        let Some(lane) = self.waiting.get_mut(takers) else { return };
        // Numbers grow towards the end.
        if let Ok(place) = lane.binary_search_by_key(&number, |waiter| waiter.number) {
            lane.remove(place);
        }
        if lane.is_empty() {
            self.waiting.remove(takers);
            self.turns.retain(|known| known != takers);
        }
    }
}

impl<K: Taker, const KEYS: usize> Place<K, KEYS> {
    /// Whether these takers may have this place, which has no taker yet.
    pub(crate) fn fits(&self, takers: &[K; KEYS]) -> bool {
        let inner = self.pool.lock();
        // As if it were free.
        let free = inner.free as u64 + 1;
        takers.iter().all(|taker| is_fair_share(inner.held.get(taker).copied().unwrap_or_default() as u64, 1, free))
    }

    /// Names the takers of a place that has none yet.
    pub(crate) fn named(mut self, takers: [K; KEYS]) -> Self {
        let mut inner = self.pool.lock();
        inner.unnamed -= usize::from(self.takers.is_none());
        self.takers = Some(takers);
        inner.count(&self.takers);
        drop(inner);
        self
    }

    /// Gives a place back that was of no use, without a notice.
    pub(crate) fn give_back(mut self) {
        self.is_told = false;
    }
}

impl<K: Taker, const KEYS: usize> Drop for Place<K, KEYS> {
    fn drop(&mut self) {
        self.pool.release(&self.takers, self.is_told);
    }
}

impl<K: Taker, const KEYS: usize> Drop for Waiting<'_, K, KEYS> {
    fn drop(&mut self) {
        self.pool.lock().forget(&self.takers, self.number);
    }
}

impl<K: Taker, const KEYS: usize> fmt::Debug for Pool<K, KEYS> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").finish_non_exhaustive()
    }
}

impl<K: Taker, const KEYS: usize> fmt::Debug for Place<K, KEYS> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Place").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    /// All places that a taker gets at once.
    fn all_of(pool: &Pool<&'static str>, taker: &'static str) -> Vec<Place<&'static str>> {
        std::iter::from_fn(|| pool.try_take([taker]).ok()).collect()
    }

    #[test]
    fn flood_of_one_taker_leaves_places_to_others() {
        let pool = Pool::new(100);
        let flood = all_of(&pool, "flood");
        assert_eq!(flood.len(), 50);
        assert_eq!(pool.try_take(["flood"]).unwrap_err(), NoPlace::Share);
        assert_eq!(all_of(&pool, "other").len(), 25);
        drop(flood);
        assert_eq!(all_of(&pool, "other").len(), 50);
    }

    #[test]
    fn pool_without_a_place_says_that_it_is_full() {
        let pool = Pool::new(1);
        let place = pool.try_take(["one"]).unwrap();
        assert!(pool.is_full());
        assert_eq!(pool.try_take(["other"]).unwrap_err(), NoPlace::Full);
        drop(place);
        assert!(!pool.is_full() && pool.lock().held.is_empty());
    }

    #[test]
    fn place_without_a_taker_does_not_hide_who_has_a_share() {
        let pool = Pool::new(2);
        let (held, unnamed) = (pool.try_take(["one"]).unwrap(), pool.try_take_unnamed().unwrap());
        assert_eq!(pool.try_take(["one"]).unwrap_err(), NoPlace::Share);
        assert_eq!(pool.try_take(["other"]).unwrap_err(), NoPlace::Full);
        let named = unnamed.named(["other"]);
        assert_eq!(pool.try_take(["one"]).unwrap_err(), NoPlace::Full);
        drop((held, named));
        drop(pool.try_take_unnamed());
        assert_eq!(pool.lock().unnamed, 0);
    }

    #[test]
    fn place_with_two_takers_needs_a_share_of_each() {
        let pool = Pool::<_, 2>::new(8);
        let held: Vec<_> =
            (0..9).filter_map(|flow| pool.try_take([format!("flow {flow}"), "dead".into()]).ok()).collect();
        assert_eq!(held.len(), 4);
        assert!(pool.try_take(["flow 0".into(), "alive".into()]).is_ok());
    }

    #[tokio::test]
    async fn first_of_one_taker_does_not_wait_behind_the_many_of_another() {
        let pool = Pool::new(2);
        let (one, other) = (pool.try_take(["flood"]).unwrap(), pool.try_take(["other"]).unwrap());
        let mut many: Vec<_> = (0..3).map(|_| Box::pin(pool.take(["flood"]))).collect();
        assert!(many.iter_mut().all(|waits| waits.now_or_never().is_none()));
        let mut late = Box::pin(pool.take(["late"]));
        assert!((&mut late).now_or_never().is_none());
        drop(other);
        let late = late.await.unwrap();
        assert!(many.iter_mut().all(|waits| waits.now_or_never().is_none()));
        drop(one);
        assert!((&mut many[0]).now_or_never().flatten().is_some());
        drop(late);
    }

    #[tokio::test]
    async fn waiter_that_gives_up_leaves_its_lane() {
        let pool = Pool::new(1);
        let place = pool.try_take(["one"]).unwrap();
        let mut gone = Box::pin(pool.take(["one"]));
        let mut stays = Box::pin(pool.take(["one"]));
        assert!((&mut gone).now_or_never().is_none() && (&mut stays).now_or_never().is_none());
        drop(gone);
        assert_eq!(pool.lock().waiting.values().map(VecDeque::len).sum::<usize>(), 1);
        drop(place);
        drop(stays.await.unwrap());
        let inner = pool.lock();
        assert!(inner.free == 1 && inner.waiting.is_empty() && inner.turns.is_empty());
    }

    #[tokio::test]
    async fn place_granted_to_a_waiter_that_gives_up_is_free_again() {
        let pool = Pool::new(1);
        let place = pool.try_take(["one"]).unwrap();
        let mut gone = Box::pin(pool.take(["other"]));
        assert!((&mut gone).now_or_never().is_none());
        drop(place);
        assert!(pool.is_full());
        drop(gone);
        assert!(!pool.is_full());
    }

    #[tokio::test]
    async fn unnamed_place_counts_for_the_taker_that_is_named() {
        let pool = Pool::new(4);
        let held = all_of(&pool, "one");
        let unnamed = pool.take_unnamed().await.unwrap();
        assert!(!unnamed.fits(&["one"]) && unnamed.fits(&["other"]));
        let named = unnamed.named(["other"]);
        assert_eq!(pool.lock().held["other"], 1);
        drop((held, named));
        assert!(pool.lock().held.is_empty());
    }

    #[tokio::test]
    async fn only_places_that_were_used_notify_of_their_return() {
        let freed = Arc::new(Notify::new());
        let pool = Pool::<&str>::watched(1, freed.clone());
        pool.take_unnamed().await.unwrap().give_back();
        assert!(freed.notified().now_or_never().is_none());
        drop(pool.take(["one"]).await);
        assert!(freed.notified().now_or_never().is_some());
    }

    #[tokio::test]
    async fn closed_pool_sends_away_whoever_waits() {
        let pool = Pool::new(1);
        let place = pool.try_take(["one"]).unwrap();
        let mut waits = Box::pin(pool.take(["other"]));
        assert!((&mut waits).now_or_never().is_none());
        pool.close();
        assert!(waits.await.is_none());
        drop(place);
        assert!(pool.take(["other"]).await.is_none());
    }
}
