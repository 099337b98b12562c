//! Turns at work of which only little is done at once, shared fairly among those who want some.
//!
//! A login takes a place first. One network takes at most half of the places that the others leave free, so that a flood
//! from one address always leaves places. Turns go around the networks, and within a network around the names, so that one
//! login does not wait behind a hundred of others.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use indexmap::IndexMap;
use tokio::sync::oneshot;

use crate::caller::CallerNetwork;

/// Who wants a turn.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Lane {
    /// A change of records, which holds up every other change meanwhile: it always has a place, and the next turn.
    Change,
    /// A login.
    Login {
        /// The network that it comes from, or `None` where an embedder does not know it.
        network: Option<CallerNetwork>,
        /// The name of the user.
        name: String,
    },
}

impl Lane {
    fn is_login(&self) -> bool {
        matches!(self, Self::Login { .. })
    }

    fn network(&self) -> Option<CallerNetwork> {
        match self {
            Self::Change => None,
            Self::Login { network, .. } => *network,
        }
    }
}

/// All places that may be taken are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoPlace;

/// Hands turns out.
#[derive(Debug)]
pub(crate) struct Turns {
    at_once: usize,
    places: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Turns under way.
    running: usize,
    /// Places that logins have taken, whether they run or wait.
    taken: usize,
    taken_by: HashMap<Option<CallerNetwork>, usize>,
    /// Changes that wait.
    changes: VecDeque<Waiting>,
    /// Logins that wait: networks and the names of each, in the order of their turns.
    logins: IndexMap<Option<CallerNetwork>, IndexMap<String, VecDeque<Waiting>>>,
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

impl Turns {
    /// `at_once` turns run at once, and `places` run or wait.
    pub(crate) fn new(at_once: usize, places: usize) -> Self {
        Self { at_once, places, state: Mutex::default() }
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
        if lane.is_login() {
            let own = state.taken_by.get(&lane.network()).copied().unwrap_or(0);
            let others = state.taken - own;
            if state.taken >= self.places || own >= (self.places - others).div_ceil(2) {
                return Err(NoPlace);
            }
            state.taken += 1;
            *state.taken_by.entry(lane.network()).or_default() += 1;
        }
        let waiting = if state.running < self.at_once {
            state.running += 1;
            None
        } else {
            let (come, waiting) = oneshot::channel();
            match &lane {
                Lane::Change => state.changes.push_back(come),
                Lane::Login { network, name } => {
                    state.logins.entry(*network).or_default().entry(name.clone()).or_default().push_back(come);
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

    /// Takes the next login out. A network and a name with more of them go to the end.
    fn next_login(&mut self) -> Option<Waiting> {
        let (network, mut names) = self.logins.shift_remove_index(0)?;
        let (name, mut waiting) = names.shift_remove_index(0)?;
        let next = waiting.pop_front();
        if !waiting.is_empty() {
            names.insert(name, waiting);
        }
        if !names.is_empty() {
            self.logins.insert(network, names);
        }
        next
    }

    /// Takes out those of a lane that do not wait any more.
    fn forget_those_who_left(&mut self, lane: &Lane) {
        let waits = |come: &Waiting| !come.is_closed();
        match lane {
            Lane::Change => self.changes.retain(waits),
            Lane::Login { network, name } => {
                let Some(names) = self.logins.get_mut(network) else { return };
                if let Some(waiting) = names.get_mut(name) {
                    waiting.retain(waits);
                    if waiting.is_empty() {
                        names.shift_remove(name);
                    }
                }
                if names.is_empty() {
                    self.logins.shift_remove(network);
                }
            }
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let has_turn = self.waiting.as_mut().is_none_or(|waiting| {
            waiting.close();
            waiting.try_recv().is_ok()
        });
        let mut state = self.turns.state();
        if self.lane.is_login() {
            let network = self.lane.network();
            state.taken -= 1;
            if let Some(own) = state.taken_by.get_mut(&network) {
                *own -= 1;
                if *own == 0 {
                    state.taken_by.remove(&network);
                }
            }
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
        Lane::Login { network: Some(IpAddr::V4(Ipv4Addr::new(192, 0, 2, network)).into()), name: name.to_owned() }
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
        let mut other_name = turns.take_place(lane(1, "b")).unwrap();
        let mut elsewhere = turns.take_place(lane(2, "a")).unwrap();
        drop(running);
        assert_eq!(flood.iter_mut().map(has_come).filter(|has_come| *has_come).count(), 1);
        assert!(!has_come(&mut other_name) && !has_come(&mut elsewhere));
        flood.remove(0).end();
        assert!(has_come(&mut elsewhere) && !has_come(&mut other_name));
        elsewhere.end();
        assert!(has_come(&mut other_name));
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
        assert_eq!((state.running, state.taken, state.logins.len()), (0, 0, 0));
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
