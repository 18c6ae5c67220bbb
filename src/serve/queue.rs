//! Runs that wait -> which one is next. Pure data: no clock, no threads, no IO.
//!
//! Higher priorities go first. Among equals, tenants share by weight: each has a clock of its own that goes on by the cost of what it takes,
//! divided by its weight, and the tenant whose clock is furthest behind is next (stride scheduling). Who was idle does not save time up. Where
//! lower priorities were passed over [`PATIENCE`] times, the oldest of them is next, so that nobody waits for ever.

use super::sites::Needs;
use super::store::Accepted;
use std::collections::BTreeMap;
use std::sync::Arc;

/// How often lower priorities are passed over before one of them is next.
pub const PATIENCE: u32 = 16;
/// The highest priority; the lowest is 0.
pub const HIGHEST: u8 = 9;
/// What a tenant's clock goes on by for a cost of 1 at weight 1; large, so that weights divide it well.
const STRIDE: u128 = 1 << 20;

/// A run that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Which.
    pub id: u64,
    /// Whose.
    pub tenant: String,
    /// 0 to [`HIGHEST`].
    pub priority: u8,
    /// What it takes of a worker's time, as predicted, in milliseconds; at least 1 counts.
    pub cost: u64,
    /// Whether it is of a deployed workflow: its calls take places on instances, which this server counts.
    pub placed: bool,
    /// What it needs of the machine that carries it out.
    pub needs: Arc<Needs>,
}

impl From<&Accepted> for Waiting {
    fn from(run: &Accepted) -> Waiting {
        Waiting {
            id: run.id,
            tenant: run.tenant.clone(),
            priority: run.priority,
            cost: run.cost_ms,
            placed: run.workflow.is_some(),
            needs: Arc::default(),
        }
    }
}

/// How many may wait, and a tenant's share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// Runs that may wait at once.
    pub most: usize,
    /// What it gets of the workers, against the weights of others.
    pub weight: u32,
}

/// Why nothing more is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// The tenant has as many runs waiting as it may.
    Tenant,
    /// All tenants together have.
    All,
}

/// A place among those who wait: when they came.
type Place = (u8, u64);

#[derive(Debug, Default)]
struct Lane {
    /// By priority (as 255 minus it, so that the first is the highest) and order of arrival.
    waiting: BTreeMap<Place, Waiting>,
    /// Places that were promised, and not taken yet.
    promised: usize,
    weight: u32,
    clock: u128,
}

/// The runs that wait.
#[derive(Debug)]
pub struct Queue {
    most: usize,
    lanes: BTreeMap<String, Lane>,
    /// Where each run is, by its number.
    places: BTreeMap<u64, (String, Place)>,
    promised: usize,
    arrived: u64,
    /// The clock of who was served last: who comes anew begins there.
    clock: u128,
    passed_over: u32,
}

impl Queue {
    /// An empty queue for so many runs.
    pub fn new(most: usize) -> Queue {
        Queue {
            most,
            lanes: BTreeMap::new(),
            places: BTreeMap::new(),
            promised: 0,
            arrived: 0,
            clock: 0,
            passed_over: 0,
        }
    }

    /// Promises a tenant a place, which [`put`](Queue::put) takes or [`release`](Queue::release) gives back.
    pub fn promise(&mut self, tenant: &str, share: Share) -> Result<(), Full> {
        if self.places.len() + self.promised >= self.most {
            return Err(Full::All);
        }
        let lane = self.lanes.entry(tenant.to_owned()).or_default();
        if lane.waiting.len() + lane.promised >= share.most {
            return Err(Full::Tenant);
        }
        lane.weight = share.weight;
        lane.promised += 1;
        self.promised += 1;
        Ok(())
    }

    /// Gives a promised place back.
    pub fn release(&mut self, tenant: &str) {
        if let Some(lane) = self.lanes.get_mut(tenant).filter(|lane| lane.promised > 0) {
            lane.promised -= 1;
            self.promised -= 1;
        }
    }

    /// Takes a promised place.
    pub fn put(&mut self, run: Waiting) {
        self.release(&run.tenant);
        self.restore(run, None);
    }

    /// Takes in a run that was accepted earlier, however many wait.
    pub fn restore(&mut self, run: Waiting, weight: Option<u32>) {
        let place = (u8::MAX - run.priority.min(HIGHEST), self.arrived);
        self.arrived += 1;
        let lane = self.lanes.entry(run.tenant.clone()).or_default();
        lane.weight = weight.unwrap_or(lane.weight);
        if lane.waiting.is_empty() {
            lane.clock = lane.clock.max(self.clock);
        }
        self.places.insert(run.id, (run.tenant.clone(), place));
        lane.waiting.insert(place, run);
    }

    /// Takes out the run that is next.
    pub fn take(&mut self) -> Option<Waiting> {
        self.take_of(&|_| true)
    }

    /// Takes out the run that is next of those that somebody may carry out.
    pub fn take_of(&mut self, may: &dyn Fn(&Waiting) -> bool) -> Option<Waiting> {
        let first = |lane: &Lane| lane.waiting.iter().find(|(_, run)| may(run)).map(|(place, _)| *place);
        let highest = self.lanes.values().filter_map(first).map(|(priority, _)| priority).min()?;
        if self.passed_over >= PATIENCE {
            self.passed_over = 0;
            let may_be = |(tenant, place): &&(String, Place)| {
                self.lanes.get(tenant).and_then(|lane| lane.waiting.get(place)).is_some_and(may)
            };
            let lower = self.places.values().filter(|(_, place)| place.0 > highest).filter(may_be);
            if let Some((tenant, place)) = lower.min_by_key(|(_, place)| place.1).cloned() {
                return self.serve(&tenant, place);
            }
        }
        let ready = self.lanes.iter().filter_map(|(name, lane)| Some((lane, name, first(lane)?)));
        let ready = ready.filter(|(_, _, place)| place.0 == highest);
        let (_, tenant, place) = ready.min_by_key(|(lane, _, place)| (lane.clock, place.1))?;
        let tenant = tenant.clone();
        let others = self.lanes.values().filter_map(|lane| lane.waiting.last_key_value());
        let passed = others.map(|(place, _)| place.0).max().is_some_and(|lowest| lowest > highest);
        self.passed_over = if passed { self.passed_over + 1 } else { 0 };
        self.serve(&tenant, place)
    }

    fn serve(&mut self, tenant: &str, place: Place) -> Option<Waiting> {
        let lane = self.lanes.get_mut(tenant)?;
        let run = lane.waiting.remove(&place)?;
        self.places.remove(&run.id);
        self.clock = self.clock.max(lane.clock);
        lane.clock += u128::from(run.cost.max(1)) * STRIDE / u128::from(lane.weight.max(1));
        Some(run)
    }

    /// Takes a run out, if it waits.
    pub fn remove(&mut self, id: u64) -> bool {
        let Some((tenant, place)) = self.places.remove(&id) else { return false };
        self.lanes.get_mut(&tenant).is_some_and(|lane| lane.waiting.remove(&place).is_some())
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// How many runs of each tenant wait, of those who have any.
    pub fn lengths(&self) -> impl Iterator<Item = (&str, usize)> {
        self.lanes.iter().map(|(name, lane)| (name.as_str(), lane.waiting.len())).filter(|(_, n)| *n > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SHARE: Share = Share { most: 100, weight: 1 };

    fn run(id: u64, tenant: &str, priority: u8, cost: u64) -> Waiting {
        Waiting { id, tenant: tenant.to_owned(), priority, cost, placed: false, needs: Arc::default() }
    }

    fn put(queue: &mut Queue, run: Waiting, weight: u32) {
        queue.promise(&run.tenant, Share { weight, ..SHARE }).expect("there is room");
        queue.put(run);
    }

    #[test]
    fn a_tenant_and_all_have_only_so_much_room() {
        let mut queue = Queue::new(3);
        let two = Share { most: 2, weight: 1 };
        assert_eq!(queue.promise("a", two), Ok(()));
        put(&mut queue, run(1, "a", 0, 1), 1);
        assert_eq!(queue.promise("a", two), Err(Full::Tenant), "a promise counts");
        assert_eq!(queue.promise("b", two), Ok(()));
        assert_eq!(queue.promise("b", two), Err(Full::All));
        queue.release("a");
        queue.release("a");
        assert_eq!(queue.promise("a", two), Ok(()), "what was given back twice was given back once");
        assert_eq!(queue.promise("b", two), Err(Full::All));
    }

    #[test]
    fn weights_are_shares_of_time_and_not_of_runs() {
        let mut queue = Queue::new(1000);
        for n in 0..60 {
            put(&mut queue, run(n, "long", 0, 100), 1);
            put(&mut queue, run(100 + n, "short", 0, 10), 3);
        }
        let taken: Vec<Waiting> = (0..44).filter_map(|_| queue.take()).collect();
        let time = |who: &str| taken.iter().filter(|r| r.tenant == who).map(|r| r.cost).sum::<u64>();
        let (long, short) = (time("long"), time("short"));
        assert!(short.abs_diff(3 * long) <= 300, "{short} for a weight of 3, {long} for one of 1");
    }

    #[test]
    fn who_was_idle_has_saved_nothing_up() {
        let mut queue = Queue::new(1000);
        (0..50).for_each(|n| put(&mut queue, run(n, "busy", 0, 1), 1));
        (0..40).for_each(|_| drop(queue.take()));
        (50..90).for_each(|n| put(&mut queue, run(n, "late", 0, 1), 1));
        let next: Vec<String> = (0..10).filter_map(|_| queue.take()).map(|r| r.tenant).collect();
        assert!((4..=6).contains(&next.iter().filter(|t| *t == "late").count()), "{next:?}");
    }

    #[test]
    fn a_low_priority_is_passed_over_only_so_often() {
        let mut queue = Queue::new(1000);
        put(&mut queue, run(0, "poor", 0, 1), 1);
        (1..90).for_each(|n| put(&mut queue, run(n, "rich", 9, 1), 1));
        let at = (0..90).filter_map(|_| queue.take()).position(|r| r.id == 0);
        assert_eq!(at, Some(PATIENCE as usize));
    }

    #[test]
    fn who_may_not_carry_all_out_gets_the_next_that_it_may() {
        let mut queue = Queue::new(1000);
        put(&mut queue, Waiting { placed: true, ..run(1, "a", 9, 1) }, 1);
        put(&mut queue, run(2, "a", 0, 1), 1);
        put(&mut queue, run(3, "a", 0, 1), 1);
        let mut elsewhere = || queue.take_of(&|run| !run.placed).map(|run| run.id);
        assert_eq!([elsewhere(), elsewhere(), elsewhere()], [Some(2), Some(3), None]);
        assert_eq!(queue.take().map(|run| run.id), Some(1));
    }

    #[derive(Clone, Debug)]
    enum Act {
        Put { tenant: u8, priority: u8, cost: u64 },
        Take,
        Remove(u64),
    }

    fn acts() -> impl Strategy<Value = Act> {
        prop_oneof![
            (0..4_u8, 0..12_u8, 0..1_000_u64).prop_map(|(tenant, priority, cost)| Act::Put { tenant, priority, cost }),
            Just(Act::Take),
            (0..40_u64).prop_map(Act::Remove),
        ]
    }

    proptest! {
        /// Whatever is done, each run that was put in comes out once or was removed, bounds hold, and higher priorities of a tenant come
        /// before its lower ones but for what was passed over.
        #[test]
        fn nothing_is_lost_and_nothing_comes_twice(acts in prop::collection::vec(acts(), 0..200)) {
            let mut queue = Queue::new(24);
            let share = Share { most: 9, weight: 2 };
            let mut inside = std::collections::BTreeSet::new();
            for (id, act) in acts.into_iter().enumerate() {
                match act {
                    Act::Put { tenant, priority, cost } => {
                        let tenant = format!("t{tenant}");
                        let own = queue.lengths().find(|(t, _)| *t == tenant).map_or(0, |(_, n)| n);
                        let room = if queue.len() >= 24 { Err(Full::All) } else if own >= 9 { Err(Full::Tenant) } else { Ok(()) };
                        prop_assert_eq!(queue.promise(&tenant, share), room);
                        if room.is_ok() {
                            queue.put(run(id as u64, &tenant, priority, cost));
                            inside.insert(id as u64);
                        }
                    }
                    Act::Take => match queue.take() {
                        Some(run) => prop_assert!(inside.remove(&run.id)),
                        None => prop_assert!(inside.is_empty()),
                    },
                    Act::Remove(id) => prop_assert_eq!(queue.remove(id), inside.remove(&id)),
                }
                prop_assert_eq!(queue.len(), inside.len());
                prop_assert_eq!(queue.lengths().map(|(_, n)| n).sum::<usize>(), inside.len());
            }
            while let Some(run) = queue.take() {
                prop_assert!(inside.remove(&run.id));
            }
            prop_assert!(inside.is_empty() && queue.is_empty());
        }

        /// While all tenants have work, no tenant's time over its weight is ahead of another's by more than one run of each.
        #[test]
        fn time_over_weight_stays_together(weights in prop::collection::vec(1..6_u32, 2..5), costs in prop::collection::vec(1..50_u64, 1..8)) {
            let mut queue = Queue::new(10_000);
            let most = *costs.iter().max().expect("one");
            let mut id = 0;
            for (tenant, weight) in weights.iter().enumerate() {
                for n in 0..200 {
                    put_any(&mut queue, run(id, &format!("t{tenant}"), 0, costs[n % costs.len()]), *weight);
                    id += 1;
                }
            }
            let mut time = vec![0_u64; weights.len()];
            for _ in 0..150 {
                let run = queue.take().expect("all have work");
                let tenant: usize = run.tenant[1..].parse().expect("a number");
                time[tenant] += run.cost;
                for a in 0..weights.len() {
                    for b in 0..weights.len() {
                        let (of_a, of_b) = (time[a] as f64 / f64::from(weights[a]), time[b] as f64 / f64::from(weights[b]));
                        let slack = most as f64 / f64::from(weights[a]) + most as f64 / f64::from(weights[b]);
                        prop_assert!(of_a - of_b <= slack + 1e-6, "{time:?} for {weights:?}");
                    }
                }
            }
        }
    }

    fn put_any(queue: &mut Queue, run: Waiting, weight: u32) {
        queue.restore(run, Some(weight));
    }
}
