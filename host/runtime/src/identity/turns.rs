//! Turns at work of which only little is done at once, shared fairly among those who want some.
//!
//! A login takes a place first, and one network has only a share of the places, so that a flood from one address always
//! leaves some. Turns go around the networks. Within a network the newest name goes first: a login does not wait behind
//! the many that arrived before it.
//!
//! A login of a known user, who has logged in from the same network before, has a place of its own kind, and every other
//! turn: neither its own network nor all others together keep it waiting.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flowhost_model::is_fair_share;
use indexmap::IndexMap;
use tokio::sync::oneshot;

use crate::caller::CallerNetwork;

/// Who wants a turn.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Lane {
    /// A change of records, which holds up every other change meanwhile: it always has a place, and the next turn.
    Change,
    /// A login of a user who has logged in from the same network before.
    Known {
        /// The name of the user.
        name: String,
    },
    /// Any other login.
    Stranger {
        /// The network that it comes from, or `None` where an embedder does not know it.
        network: Option<CallerNetwork>,
        /// The name of the user.
        name: String,
    },
}

/// All places that may be taken are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoPlace;

/// Hands turns out.
#[derive(Debug)]
pub(crate) struct Turns {
    at_once: usize,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Turns under way.
    running: usize,
    known_places: Places<String>,
    stranger_places: Places<Option<CallerNetwork>>,
    /// Changes that wait.
    changes: VecDeque<Waiting>,
    /// Logins of known users that wait, by name, in the order of their turns.
    known: IndexMap<String, VecDeque<Waiting>>,
    /// Other logins that wait, by network, in the order of their turns. The last of the names of a network is the next.
    strangers: IndexMap<Option<CallerNetwork>, IndexMap<String, VecDeque<Waiting>>>,
    /// Whether the last login that had waited was one of a known user.
    was_known: bool,
}

/// Places that logins have taken, whether they run or wait.
#[derive(Debug)]
struct Places<K> {
    free: u64,
    taken_by: HashMap<K, u64>,
}

/// Tells one who waits that the turn has come.
type Waiting = oneshot::Sender<()>;

/// A place, and with it a turn once [`Turns::turn`] has returned it. Dropping it gives both up.
#[derive(Debug)]
pub(crate) struct Turn {
    turns: Arc<Turns>,
    lane: Lane,
    /// Until the turn has come.
    waiting: Option<oneshot::Receiver<()>>,
}

impl<K: Clone + Eq + Hash> Places<K> {
    fn new(free: usize) -> Self {
        Self { free: free as u64, taken_by: HashMap::new() }
    }

    fn take(&mut self, taker: &K) -> Result<(), NoPlace> {
        let taken = self.taken_by.get(taker).copied().unwrap_or_default();
        if !is_fair_share(taken, 1, self.free) {
            return Err(NoPlace);
        }
        self.free -= 1;
        *self.taken_by.entry(taker.clone()).or_default() += 1;
        Ok(())
    }

    fn give_back(&mut self, taker: &K) {
        self.free += 1;
        if let Some(taken) = self.taken_by.get_mut(taker) {
            *taken -= 1;
            if *taken == 0 {
                self.taken_by.remove(taker);
            }
        }
    }
}

impl Turns {
    /// `at_once` turns run at once. So many `places` there are for those that run or wait: as many for known users as for
    /// strangers.
    pub(crate) fn new(at_once: usize, places: usize) -> Self {
        let state = State {
            running: 0,
            known_places: Places::new(places),
            stranger_places: Places::new(places),
            changes: VecDeque::new(),
            known: IndexMap::new(),
            strangers: IndexMap::new(),
            was_known: false,
        };
        Self { at_once, state: Mutex::new(state) }
    }

    /// Takes a place and waits for the turn.
    pub(crate) async fn turn(self: &Arc<Self>, lane: Lane) -> Result<Turn, NoPlace> {
        let mut turn = self.take_place(lane)?;
        if let Some(waiting) = turn.waiting.as_mut() {
            // The sender is gone only with the lane, which this place keeps.
            let _come = waiting.await;
            turn.waiting = None;
        }
        Ok(turn)
    }

    fn take_place(self: &Arc<Self>, lane: Lane) -> Result<Turn, NoPlace> {
        let mut state = self.state();
        match &lane {
            Lane::Change => {}
            Lane::Known { name } => state.known_places.take(name)?,
            Lane::Stranger { network, .. } => state.stranger_places.take(network)?,
        }
        let waiting = if state.running < self.at_once {
            state.running += 1;
            None
        } else {
            let (come, waiting) = oneshot::channel();
            match &lane {
                Lane::Change => state.changes.push_back(come),
                Lane::Known { name } => state.known.entry(name.clone()).or_default().push_back(come),
                Lane::Stranger { network, name } => {
                    let names = state.strangers.entry(*network).or_default();
                    names.entry(name.clone()).or_default().push_back(come);
                }
            }
            Some(waiting)
        };
        Ok(Turn { turns: self.clone(), lane, waiting })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Passes a turn on to the next who still waits for it.
    fn pass_on(&mut self) {
        self.running -= 1;
        while let Some(next) = self.changes.pop_front().or_else(|| self.next_login()) {
            if next.send(()).is_ok() {
                self.running += 1;
                return;
            }
        }
    }

    /// Takes the next login out: one of a known user and one of a stranger in turns.
    fn next_login(&mut self) -> Option<Waiting> {
        let is_known = if self.was_known { self.strangers.is_empty() } else { !self.known.is_empty() };
        self.was_known = is_known;
        if is_known { self.next_known() } else { self.next_stranger() }
    }

    /// A name with more of them goes to the end.
    fn next_known(&mut self) -> Option<Waiting> {
        let (name, mut waiting) = self.known.shift_remove_index(0)?;
        let next = waiting.pop_front();
        if !waiting.is_empty() {
            self.known.insert(name, waiting);
        }
        next
    }

    /// A network with more of them goes to the end, and a name with more of them behind all others of its network.
    fn next_stranger(&mut self) -> Option<Waiting> {
        let (network, mut names) = self.strangers.shift_remove_index(0)?;
        let (name, mut waiting) = names.pop()?;
        let next = waiting.pop_front();
        if !waiting.is_empty() {
            names.shift_insert(0, name, waiting);
        }
        if !names.is_empty() {
            self.strangers.insert(network, names);
        }
        next
    }

    /// Takes out those of a lane that do not wait any more.
    fn forget_those_who_left(&mut self, lane: &Lane) {
        match lane {
            Lane::Change => self.changes.retain(|come| !come.is_closed()),
            Lane::Known { name } => retain_waiting(&mut self.known, name),
            Lane::Stranger { network, name } => {
                let Some(names) = self.strangers.get_mut(network) else { return };
                retain_waiting(names, name);
                if names.is_empty() {
                    self.strangers.shift_remove(network);
                }
            }
        }
    }
}

fn retain_waiting(names: &mut IndexMap<String, VecDeque<Waiting>>, name: &str) {
    let Some(waiting) = names.get_mut(name) else { return };
    waiting.retain(|come| !come.is_closed());
    if waiting.is_empty() {
        names.shift_remove(name);
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let has_turn = self.waiting.as_mut().is_none_or(|waiting| {
            waiting.close();
            waiting.try_recv().is_ok()
        });
        let mut state = self.turns.state();
        match &self.lane {
            Lane::Change => {}
            Lane::Known { name } => state.known_places.give_back(name),
            Lane::Stranger { network, .. } => state.stranger_places.give_back(network),
        }
        if has_turn {
            state.pass_on();
        } else {
            state.forget_those_who_left(&self.lane);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use futures_util::FutureExt;

    use super::*;

    fn lane(network: u8, name: &str) -> Lane {
        Lane::Stranger { network: Some(IpAddr::V4(Ipv4Addr::new(192, 0, 2, network)).into()), name: name.to_owned() }
    }

    fn known(name: &str) -> Lane {
        Lane::Known { name: name.to_owned() }
    }

    /// Whether the turn of a place has come.
    fn has_come(turn: &mut Turn) -> bool {
        turn.waiting.as_mut().is_none_or(|waiting| waiting.try_recv().is_ok())
    }

    #[test]
    fn one_network_takes_half_of_what_the_others_leave() {
        let turns = Arc::new(Turns::new(1, 64));
        let take = |network: u8| std::iter::from_fn(|| turns.take_place(lane(network, "a")).ok()).collect::<Vec<_>>();
        let first = take(1);
        assert_eq!(first.len(), 32);
        let second = take(2);
        assert_eq!(second.len(), 16);
        let more: Vec<_> = (3..=6).map(take).collect();
        assert!(more.iter().all(|taken| !taken.is_empty()), "there is a place for each network");
        drop((first, second));
        assert!(take(7).len() > 16, "places that were left are free again");
    }

    #[test]
    fn turns_go_around_the_networks_and_their_names() {
        let turns = Arc::new(Turns::new(1, 64));
        let running = turns.take_place(lane(1, "a")).unwrap();
        let mut flood: Vec<_> = (0..20).map(|_| turns.take_place(lane(1, "a")).unwrap()).collect();
        let mut elsewhere = turns.take_place(lane(2, "a")).unwrap();
        drop(running);
        assert_eq!(flood.iter_mut().map(has_come).filter(|has_come| *has_come).count(), 1);
        let mut other_name = turns.take_place(lane(1, "b")).unwrap();
        assert!(!has_come(&mut other_name) && !has_come(&mut elsewhere));
        flood.remove(0).end();
        assert!(has_come(&mut elsewhere) && !has_come(&mut other_name));
        elsewhere.end();
        assert!(has_come(&mut other_name));
    }

    #[test]
    fn newest_name_of_a_network_does_not_wait_behind_many() {
        let turns = Arc::new(Turns::new(1, 400));
        let running = turns.take_place(lane(1, "first")).unwrap();
        let mut flood: Vec<_> =
            (0..100).map(|number| turns.take_place(lane(1, &format!("wrong-{number}"))).unwrap()).collect();
        let mut right = turns.take_place(lane(1, "right")).unwrap();
        drop(running);
        assert!(has_come(&mut right) && !flood.iter_mut().any(has_come));
    }

    #[test]
    fn known_user_has_a_place_and_every_other_turn() {
        let turns = Arc::new(Turns::new(1, 4));
        let running = turns.take_place(lane(1, "a")).unwrap();
        let mut strangers: Vec<_> = (2..=4).filter_map(|network| turns.take_place(lane(network, "a")).ok()).collect();
        assert_eq!(turns.take_place(lane(9, "a")).map(drop), Err(NoPlace));
        let mut ada = vec![turns.take_place(known("ada")).unwrap(), turns.take_place(known("ada")).unwrap()];
        assert_eq!(turns.take_place(known("ada")).map(drop), Err(NoPlace), "one user has a share, too");
        let mut grace = turns.take_place(known("grace")).unwrap();
        drop(running);
        assert!(has_come(&mut ada[0]) && !strangers.iter_mut().any(has_come));
        ada.remove(0).end();
        assert!(has_come(&mut strangers[0]) && !has_come(&mut grace));
        strangers.remove(0).end();
        assert!(has_come(&mut grace) && !has_come(&mut ada[0]));
        drop((grace, ada, strangers));
    }

    impl Turn {
        /// Ends a turn whose coming a test has looked at.
        fn end(mut self) {
            self.waiting = None;
        }
    }

    #[test]
    fn change_has_a_place_and_the_next_turn_in_a_flood() {
        let turns = Arc::new(Turns::new(1, 2));
        let running = turns.take_place(lane(1, "a")).unwrap();
        let mut login = turns.take_place(lane(2, "a")).unwrap();
        assert_eq!(turns.take_place(lane(3, "a")).map(drop), Err(NoPlace));
        let mut change = turns.take_place(Lane::Change).unwrap();
        drop(running);
        assert!(has_come(&mut change) && !has_come(&mut login));
        change.end();
        assert!(has_come(&mut login));
    }

    #[tokio::test]
    async fn turn_of_a_caller_that_left_goes_to_the_next() {
        let turns = Arc::new(Turns::new(1, 64));
        let running = turns.turn(lane(1, "a")).await.unwrap();
        let mut left = Box::pin(turns.turn(lane(1, "a")));
        let mut came_and_left = Box::pin(turns.turn(lane(2, "a")));
        let mut next = Box::pin(turns.turn(lane(3, "a")));
        for waiting in [&mut left, &mut came_and_left, &mut next] {
            assert!(waiting.now_or_never().is_none());
        }
        drop(left);
        drop(running);
        drop(came_and_left);
        assert!(next.now_or_never().unwrap().is_ok());
        let state = turns.state();
        assert_eq!((state.running, state.stranger_places.free, state.strangers.len()), (0, 64, 0));
    }

    #[tokio::test]
    async fn no_more_run_at_once_than_may() {
        let turns = Arc::new(Turns::new(2, 64));
        let (one, two) = (turns.turn(lane(1, "a")).await.unwrap(), turns.turn(lane(1, "b")).await.unwrap());
        let mut third = Box::pin(turns.turn(lane(2, "c")));
        assert!((&mut third).now_or_never().is_none());
        drop(one);
        assert!(third.now_or_never().is_some());
        drop(two);
    }
}
