//! The places of connections. Each network has its share of them, and a connection that rests makes room for a newcomer.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use flowhost::CallerNetwork;
use tokio_util::sync::CancellationToken;

use crate::activity::Activity;
use crate::share::{Pool, Share};

/// The connections that there may be at once.
#[derive(Debug)]
pub(crate) struct Places {
    pool: Arc<Pool<CallerNetwork>>,
    /// Tells all connections that the server stops.
    stop: CancellationToken,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    next: u64,
    connections: HashMap<u64, Connection>,
}

/// A connection that may be asked to make room.
#[derive(Debug)]
struct Connection {
    network: CallerNetwork,
    activity: Arc<Activity>,
    leave: CancellationToken,
}

/// The place of a connection; dropping it gives it back.
#[derive(Debug)]
pub(crate) struct Place {
    places: Arc<Places>,
    /// Its number among those that may be asked to make room.
    number: Option<u64>,
    activity: Arc<Activity>,
    leave: CancellationToken,
    _share: Share<CallerNetwork>,
}

impl Places {
    pub(crate) fn new(count: usize, stop: CancellationToken) -> Arc<Self> {
        Arc::new(Self { pool: Pool::new(count as u64), stop, open: Mutex::default() })
    }

    /// Takes a place for a connection of a network; without one, for a connection that stands for many callers.
    pub(crate) fn take(self: &Arc<Self>, network: Option<CallerNetwork>) -> Option<Place> {
        Some(self.place(network, self.pool.take(network, 1)?))
    }

    /// Asks a connection that rests to make room for a newcomer. Returns whether there is one: one of the network with the
    /// most, which has more than the newcomer's also without it.
    ///
    /// A newcomer's network may have connections: those that its callers have closed count until the host has seen it.
    pub(crate) fn ask_to_leave(&self, network: Option<CallerNetwork>) -> bool {
        let resting = network.and_then(|newcomer| self.greediest_resting(newcomer));
        resting.is_some_and(|resting| {
            resting.cancel();
            true
        })
    }

    /// Waits until there is the place for which a connection [was asked to leave](Self::ask_to_leave), for `limit` at most.
    pub(crate) async fn take_what_was_left(
        self: &Arc<Self>,
        network: Option<CallerNetwork>,
        limit: Duration,
    ) -> Option<Place> {
        let mut share = self.pool.take(network, 0)?;
        share.grow_into_room_within(1, limit).await.then(|| self.place(network, share))
    }

    fn place(self: &Arc<Self>, network: Option<CallerNetwork>, share: Share<CallerNetwork>) -> Place {
        let (activity, leave) = (Activity::new(), self.stop.child_token());
        let number = network.map(|network| {
            let mut open = self.lock();
            let number = open.next;
            open.next += 1;
            let (activity, leave) = (activity.clone(), leave.clone());
            open.connections.insert(number, Connection { network, activity, leave });
            number
        });
        Place { places: self.clone(), number, activity, leave, _share: share }
    }

    /// The connection that has rested for the longest, of the network with the most of them.
    fn greediest_resting(&self, newcomer: CallerNetwork) -> Option<CancellationToken> {
        let open = self.lock();
        let mut counts: HashMap<CallerNetwork, usize> = HashMap::new();
        for connection in open.connections.values().filter(|connection| !connection.leave.is_cancelled()) {
            *counts.entry(connection.network).or_default() += 1;
        }
        let count_of = |network| counts.get(&network).copied().unwrap_or_default();
        let enough = count_of(newcomer) + 2;
        let resting = open.connections.values().filter(|one| one.activity.is_resting() && !one.leave.is_cancelled());
        let of_many = resting.filter(|connection| count_of(connection.network) >= enough);
        let greediest = of_many.max_by_key(|connection| {
            let rests_since = connection.activity.idle_at(Duration::ZERO);
            (count_of(connection.network), std::cmp::Reverse(rests_since))
        });
        greediest.map(|connection| connection.leave.clone())
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// What the connection is in the middle of.
    pub(crate) fn activity(&self) -> &Arc<Activity> {
        &self.activity
    }

    /// Ready when the connection is to make room, or the server stops.
    pub(crate) fn told_to_leave(&self) -> impl Future<Output = ()> + use<> {
        self.leave.clone().cancelled_owned()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            self.places.lock().connections.remove(&number);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use futures_util::FutureExt;

    use super::*;

    fn network(number: u8) -> Option<CallerNetwork> {
        Some(IpAddr::V4(Ipv4Addr::new(192, 0, 2, number)).into())
    }

    fn places(count: usize) -> Arc<Places> {
        Places::new(count, CancellationToken::new())
    }

    /// All places that a network gets.
    fn all_of(places: &Arc<Places>, number: u8) -> Vec<Place> {
        std::iter::from_fn(|| places.take(network(number))).collect()
    }

    #[tokio::test]
    async fn resting_connection_of_the_greediest_network_makes_room() {
        let places = places(7);
        let mut greedy: Vec<_> = (1..=3).flat_map(|number| all_of(&places, number)).collect();
        assert!(greedy.len() == 7 && places.take(network(9)).is_none());
        // The one that has rested for the longest is busy, so that the next one has to leave.
        let _running = greedy[0].activity().begin();
        assert!(places.ask_to_leave(network(9)));
        let mut newcomer = Box::pin(places.take_what_was_left(network(9), Duration::from_secs(3600)));
        assert!((&mut newcomer).now_or_never().is_none());
        let told: Vec<_> = greedy.iter().map(|place| place.told_to_leave().now_or_never().is_some()).collect();
        assert_eq!(told, [false, true, false, false, false, false, false]);
        drop(greedy.remove(1));
        assert!(newcomer.await.is_some());
    }

    #[tokio::test]
    async fn network_gets_as_many_as_the_greediest_and_no_more() {
        let places = places(8);
        let mut greedy: Vec<_> = (1..=3).flat_map(|number| all_of(&places, number)).collect();
        assert_eq!(greedy.len(), 7);
        let mut newcomers = vec![places.take(network(9)).unwrap()];
        assert!(places.take(network(9)).is_none());
        // 4, 2 and 1 of the others, and then 3, 2 and 1.
        assert!(places.ask_to_leave(network(9)));
        greedy.retain(|place| place.told_to_leave().now_or_never().is_none());
        newcomers.push(places.take_what_was_left(network(9), Duration::ZERO).await.unwrap());
        assert!(!places.ask_to_leave(network(9)) && !places.ask_to_leave(None));
        assert_eq!((greedy.len(), newcomers.len()), (6, 2));
    }

    #[test]
    fn all_leave_when_the_server_stops() {
        let stop = CancellationToken::new();
        let places = Places::new(2, stop.clone());
        let (counted, of_many) = (places.take(network(1)).unwrap(), places.take(None).unwrap());
        stop.cancel();
        assert!([counted, of_many].iter().all(|place| place.told_to_leave().now_or_never().is_some()));
    }

    #[test]
    fn only_connection_of_a_network_stays() {
        let places = places(1);
        let only = places.take(network(1)).unwrap();
        assert!(!places.ask_to_leave(network(2)));
        assert!(only.told_to_leave().now_or_never().is_none());
    }
}
