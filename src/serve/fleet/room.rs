//! So many places for the calls of all runs -> who has one next: those of higher priority, then who asked first. Whoever has waited longest is
//! passed over [`PATIENCE`] times in a row at most, as in the queue of runs.

use crate::serve::queue::PATIENCE;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;

/// Places, shared by threads.
#[derive(Debug, Default)]
pub struct Room(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Below zero where more are taken than there are by now.
    free: i64,
    asked: u64,
    waiting: BTreeMap<Turn, oneshot::Sender<Seat>>,
    /// The same, by who asked first.
    order: BTreeSet<(u64, Reverse<u8>)>,
    /// How often in a row somebody else than the longest waiting went.
    passed: u32,
}

/// The highest priority first, then who asked first.
type Turn = (Reverse<u8>, u64);

/// A place, until dropped.
#[derive(Debug)]
pub struct Seat(Option<Arc<Room>>);

impl Drop for Seat {
    fn drop(&mut self) {
        if let Some(room) = self.0.take() {
            room.grow(1);
        }
    }
}

impl Room {
    /// So many places.
    pub fn of(places: u64) -> Arc<Room> {
        let free = i64::try_from(places).unwrap_or(i64::MAX);
        Arc::new(Room(Mutex::new(State { free, ..State::default() })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// So many more places, or fewer.
    pub fn grow(self: &Arc<Room>, places: i64) {
        let mut state = self.state();
        state.free = state.free.saturating_add(places);
        drop(state);
        self.serve();
    }

    /// Waits for a place; none where the room is gone.
    pub async fn enter(self: &Arc<Room>, priority: u8) -> Option<Seat> {
        let (tell, told) = oneshot::channel();
        let turn = {
            let mut state = self.state();
            let turn = (Reverse(priority), state.asked);
            state.asked += 1;
            state.waiting.insert(turn, tell);
            state.order.insert((turn.1, turn.0));
            turn
        };
        let _leaves = Leaves { room: self, turn };
        self.serve();
        told.await.ok()
    }

    /// Gives free places to those whose turn it is.
    fn serve(self: &Arc<Room>) {
        loop {
            let mut state = self.state();
            let Some((tell, _)) = Some(&mut *state).filter(|state| state.free > 0).and_then(State::next) else {
                return;
            };
            state.free -= 1;
            drop(state);
            if let Err(mut unheard) = tell.send(Seat(Some(self.clone()))) {
                // Given back here, so that many such places do not serve one inside another.
                unheard.0 = None;
                self.state().free += 1;
            }
        }
    }

    #[cfg(test)]
    fn seen(&self) -> (i64, usize, usize) {
        let state = self.state();
        (state.free, state.waiting.len(), state.order.len())
    }
}

impl State {
    /// Takes out whoever is next.
    fn next(&mut self) -> Option<(oneshot::Sender<Seat>, Turn)> {
        let (first, (asked, priority)) = (*self.waiting.first_key_value()?.0, *self.order.first()?);
        let oldest = (priority, asked);
        let turn = if self.passed >= PATIENCE { oldest } else { first };
        self.passed = if turn == oldest { 0 } else { self.passed + 1 };
        self.order.remove(&(turn.1, turn.0));
        self.waiting.remove(&turn).map(|tell| (tell, turn))
    }
}

/// Takes a call that waits no longer out of the room.
struct Leaves<'a> {
    room: &'a Arc<Room>,
    turn: Turn,
}

impl Drop for Leaves<'_> {
    fn drop(&mut self) {
        let mut state = self.room.state();
        state.waiting.remove(&self.turn);
        state.order.remove(&(self.turn.1, self.turn.0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::block_on;
    use futures_util::stream::{FuturesUnordered, StreamExt};

    /// The order in which calls of these priorities get the one place, all asked in this order while it is taken.
    fn order(priorities: &[u8]) -> Vec<usize> {
        block_on(async {
            let room = Room::of(1);
            let held = room.enter(0).await.expect("free");
            let asks = |(n, priority): (usize, &u8)| {
                let (room, priority) = (room.clone(), *priority);
                async move { (n, room.enter(priority).await.expect("a place")) }
            };
            let mut line: FuturesUnordered<_> = priorities.iter().enumerate().map(asks).collect();
            tokio::select! { biased; _ = line.next() => panic!("it is taken"), () = std::future::ready(()) => {} }
            drop(held);
            let mut order = Vec::new();
            while let Some((n, _seat)) = line.next().await {
                order.push(n);
            }
            assert_eq!(room.seen(), (1, 0, 0));
            order
        })
        .expect("a runtime")
    }

    #[test]
    fn higher_priorities_go_first_and_equals_in_order() {
        assert_eq!(order(&[4, 4, 7, 0, 7]), [2, 4, 0, 1, 3]);
    }

    #[test]
    fn nobody_waits_for_ever() {
        let many = [&[0][..], &[9; 40]].concat();
        let found = order(&many);
        assert_eq!(found.iter().position(|n| *n == 0), Some(PATIENCE as usize));
    }

    #[test]
    fn whoever_waits_no_longer_is_in_nobodys_way() {
        block_on(async {
            let room = Room::of(1);
            let held = room.enter(0).await.expect("free");
            tokio::select! { biased; _ = room.enter(9) => panic!("it is taken"), () = std::future::ready(()) => {} }
            room.grow(-1);
            drop(held);
            assert_eq!(room.seen(), (0, 0, 0));
            room.grow(1);
            assert!(room.enter(0).await.is_some());
            assert_eq!(room.seen(), (1, 0, 0));
        })
        .expect("a runtime");
    }
}
