//! Pools of which one caller gets a share, never all.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use flowhost_model::is_fair_share;
use tokio::sync::Notify;
use tokio::time::Instant;

/// Places, or bytes, that callers take and give back. One caller takes at most half of what the others leave free, so that
/// there is always as much left for the next caller as for the greediest one.
#[derive(Debug)]
pub(crate) struct Pool<K: Eq + Hash + Copy> {
    total: u64,
    taken: Mutex<Taken<K>>,
    waiting: AtomicUsize,
    given_back: Notify,
}

#[derive(Debug)]
struct Taken<K> {
    sum: u64,
    by_caller: HashMap<K, u64>,
}

/// What a caller has taken; dropping it gives all of it back.
#[derive(Debug)]
pub(crate) struct Share<K: Eq + Hash + Copy> {
    pool: Arc<Pool<K>>,
    /// `None` if the taker stands for many callers, and only the whole pool limits it.
    caller: Option<K>,
    amount: u64,
}

impl<K: Eq + Hash + Copy> Pool<K> {
    pub(crate) fn new(total: u64) -> Arc<Self> {
        let taken = Mutex::new(Taken { sum: 0, by_caller: HashMap::new() });
        Arc::new(Self { total, taken, waiting: AtomicUsize::new(0), given_back: Notify::new() })
    }

    /// Returns the most that one caller can have, which it gets if the pool is otherwise free.
    pub(crate) fn largest_share(&self) -> u64 {
        self.total.div_ceil(2)
    }

    /// Takes an amount for a caller, or returns `None` if that is more than it may have now. Without a caller, what is free
    /// is the only limit.
    pub(crate) fn take(self: &Arc<Self>, caller: Option<K>, amount: u64) -> Option<Share<K>> {
        let mut share = Share { pool: self.clone(), caller, amount: 0 };
        share.grow(amount).then_some(share)
    }

    /// Takes an amount that is there already, however much there is.
    pub(crate) fn take_anyway(self: &Arc<Self>, caller: K, amount: u64) -> Share<K> {
        let mut taken = self.lock();
        taken.sum += amount;
        *taken.by_caller.entry(caller).or_default() += amount;
        Share { pool: self.clone(), caller: Some(caller), amount }
    }

    /// Waits until a caller has some of its share left or holds nothing, for `limit` at most. Returns whether that is so.
    pub(crate) async fn has_share_within(&self, caller: K, limit: Duration) -> bool {
        self.wait_until(limit, || {
            let taken = self.lock();
            let own = taken.by_caller.get(&caller).copied().unwrap_or_default();
            own == 0 || is_fair_share(own, 1, self.total.saturating_sub(taken.sum))
        })
        .await
    }

    /// Tries until it succeeds, whenever something is given back, for `limit` at most. Returns whether it has succeeded.
    async fn wait_until(&self, limit: Duration, mut try_it: impl FnMut() -> bool) -> bool {
        if try_it() {
            return true;
        }
        let _waiting = Waiting::of(&self.waiting);
        let until = Instant::now() + limit;
        loop {
            let given_back = self.given_back.notified();
            let mut given_back = std::pin::pin!(given_back);
            // Before the next look, so that what is given back meanwhile is not missed.
            given_back.as_mut().enable();
            if try_it() {
                return true;
            }
            if tokio::time::timeout_at(until, given_back).await.is_err() {
                return try_it();
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Taken<K>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Eq + Hash + Copy> Share<K> {
    pub(crate) fn amount(&self) -> u64 {
        self.amount
    }

    /// [`Pool::largest_share`] of its pool.
    pub(crate) fn largest(&self) -> u64 {
        self.pool.largest_share()
    }

    /// Takes more. Returns `false`, and takes nothing, if that is more than the caller may have now.
    pub(crate) fn grow(&mut self, more: u64) -> bool {
        let is_shared = self.caller.is_some();
        self.grow_if(more, |own, free| if is_shared { is_fair_share(own, more, free) } else { more <= free })
    }

    /// Takes more if what the caller has and what is free allow it.
    fn grow_if(&mut self, more: u64, is_allowed: impl FnOnce(u64, u64) -> bool) -> bool {
        let mut taken = self.pool.lock();
        let own = self.caller.map_or(0, |caller| taken.by_caller.get(&caller).copied().unwrap_or_default());
        if !is_allowed(own, self.pool.total.saturating_sub(taken.sum)) {
            return false;
        }
        taken.sum += more;
        if let Some(caller) = self.caller {
            *taken.by_caller.entry(caller).or_default() += more;
        }
        self.amount += more;
        true
    }

    /// [`Share::grow`], which waits until there is room, for `limit` at most.
    pub(crate) async fn grow_within(&mut self, more: u64, limit: Duration) -> bool {
        let pool = self.pool.clone();
        pool.wait_until(limit, || self.grow(more)).await
    }

    /// Takes more as soon as so much is free, also beyond the caller's share, within `limit`: others have made room for it.
    pub(crate) async fn grow_into_room_within(&mut self, more: u64, limit: Duration) -> bool {
        let pool = self.pool.clone();
        pool.wait_until(limit, || self.grow_if(more, |_, free| more <= free)).await
    }
}

impl<K: Eq + Hash + Copy> Drop for Share<K> {
    fn drop(&mut self) {
        if self.amount == 0 {
            return;
        }
        let mut taken = self.pool.lock();
        taken.sum -= self.amount;
        if let Some(caller) = self.caller
            && let Some(own) = taken.by_caller.get_mut(&caller)
        {
            *own -= self.amount;
            if *own == 0 {
                taken.by_caller.remove(&caller);
            }
        }
        drop(taken);
        if self.pool.waiting.load(Ordering::SeqCst) > 0 {
            self.pool.given_back.notify_waiters();
        }
    }
}

/// One who waits for room; dropped when it does so no longer.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn of(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes one after the other until the pool refuses.
    fn greedy(pool: &Arc<Pool<u8>>, caller: u8) -> Vec<Share<u8>> {
        std::iter::from_fn(|| pool.take(Some(caller), 1)).collect()
    }

    #[test]
    fn one_caller_takes_at_most_half() {
        let pool = Pool::new(1000);
        let first = greedy(&pool, 1);
        assert_eq!(first.len(), 500);
        let others: Vec<_> = (2..8).map(|caller| greedy(&pool, caller)).collect();
        assert_eq!((others[0].len(), others[1].len()), (250, 125));
        assert!(others.iter().all(|taken| !taken.is_empty()), "the last who comes is served as well");
        drop(first);
        assert!(!greedy(&pool, 1).is_empty());
    }

    #[test]
    fn smallest_pool_serves_one_caller() {
        let pool = Pool::new(1);
        let held = pool.take(Some(1), 1).unwrap();
        assert!(pool.take(Some(1), 1).is_none() && pool.take(Some(2), 1).is_none());
        drop(held);
        assert!(pool.take(Some(2), 1).is_some());
    }

    #[test]
    fn taker_for_many_callers_is_limited_by_the_pool_alone() {
        let pool = Pool::new(10);
        let _proxy = pool.take(None, 9).unwrap();
        assert!(pool.take(None, 2).is_none());
        assert!(pool.take(Some(1), 1).is_some());
    }

    #[test]
    fn what_is_given_back_leaves_nothing_behind() {
        let pool = Pool::new(100);
        let mut share = pool.take(Some(1), 10).unwrap();
        assert!(share.grow(40) && !share.grow(1));
        assert_eq!(pool.largest_share(), 50);
        drop(share);
        let taken = pool.lock();
        assert_eq!((taken.sum, taken.by_caller.len()), (0, 0));
    }

    #[tokio::test]
    async fn waiting_share_grows_when_room_is_given_back() {
        let pool = Pool::new(100);
        let held = pool.take(Some(1), 50).unwrap();
        let mut share = pool.take(Some(1), 0).unwrap();
        assert!(!share.grow_within(50, Duration::from_millis(1)).await, "no room in that time");
        let (grown, ()) = tokio::join!(share.grow_within(50, Duration::from_secs(3600)), async {
            tokio::task::yield_now().await;
            drop(held);
        });
        assert!(grown);
    }
}
