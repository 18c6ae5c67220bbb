//! A fleet's menus -> ever better plans: ruin some jobs, and let each answer best to what the others left, at the marginal
//! price of whole replicas.

mod fit;

use super::best::{Chef, NEVER, keeps};
use super::menu::{Dish, Menu, OWN};
use super::problem::Fleet;
use std::collections::BTreeSet;

/// Nodes that one answer of a job may take.
const NODES: u64 = 3_000;
/// Parts of a limit in the tables that bound it.
const PARTS: usize = 16;
/// Rounds from hot to cold.
const CYCLE: u64 = 2_000;

/// A plan being improved.
#[derive(Clone, Debug)]
pub struct Draft {
    /// By job and step of its menu: the dish.
    pub dishes: Vec<Vec<u32>>,
    /// By kind.
    loads: Vec<i64>,
    /// By kind.
    pub replicas: Vec<i64>,
    /// By pool: units held.
    held: Vec<i128>,
    /// Micro-dollars an hour, with the fines for what is too much.
    pub cost: i128,
    /// The same without the fines for the pools.
    own: i128,
}

/// The search for plans, kept from call to call.
pub struct Primal<'a> {
    fleet: &'a Fleet,
    menus: &'a [Menu],
    chefs: Vec<Chef<'a>>,
    /// By kind: the jobs that could use it.
    could: Vec<Vec<usize>>,
    /// By job, step and dish: what its share of a replica costs.
    shares: Vec<Vec<Vec<i64>>>,
    table: Vec<Vec<i64>>,
    random: Random,
    /// Micro-dollars an hour for each unit of a pool, or replica, too many.
    fine: i128,
    /// The plan that the search is at.
    pub current: Option<Draft>,
    /// The cheapest plan that holds.
    pub best: Option<Draft>,
    /// Solves of single jobs so far.
    pub solves: u64,
    rounds: u64,
}

impl<'a> Primal<'a> {
    /// A search with no plan yet.
    pub fn new(fleet: &'a Fleet, menus: &'a [Menu]) -> Primal<'a> {
        let dearest = fleet.kinds.iter().map(|kind| i128::from(kind.price + kind.start)).max().unwrap_or(0);
        let fees = menus.iter().flat_map(|m| m.steps.iter().flatten()).map(|dish| i128::from(dish.fee)).max();
        Primal {
            fleet,
            menus,
            chefs: menus.iter().map(|menu| Chef::new(menu, NODES, PARTS)).collect(),
            could: could(fleet, menus),
            shares: menus.iter().map(|menu| menu.steps.iter().map(|step| shares(fleet, step)).collect()).collect(),
            table: Vec::new(),
            random: Random(0x9e37_79b9_7f4a_7c15),
            fine: (dearest + fees.unwrap_or(0)).max(1) * 20,
            current: None,
            best: None,
            solves: 0,
            rounds: 0,
        }
    }

    /// Takes up a plan from elsewhere.
    pub fn offer(&mut self, mut dishes: Vec<Vec<u32>>) {
        for (job, dishes) in dishes.iter_mut().enumerate().filter(|(job, dishes)| !keeps(&self.menus[*job], dishes)) {
            let table: Vec<Vec<i64>> =
                self.menus[job].steps.iter().map(|step| step.iter().map(|dish| dish.fee).collect()).collect();
            self.solves += 1;
            match self.chefs[job].best(&table, None).best {
                Some(best) => *dishes = best.dishes,
                None => return,
            }
        }
        let mut draft = self.drafted(dishes);
        for _ in 0..3 {
            let before = draft.cost;
            for job in 0..self.menus.len() {
                self.answer(&mut draft, job);
            }
            if draft.cost >= before {
                break;
            }
        }
        self.take_up(draft);
    }

    /// The draft of a choice for every job, kept where it is the best so far.
    fn drafted(&mut self, dishes: Vec<Vec<u32>>) -> Draft {
        let mut draft = self.empty(dishes);
        for job in 0..self.menus.len() {
            self.put(&mut draft, job, 1);
        }
        self.keep(&draft);
        draft
    }

    /// Goes on from a draft where it is better than what the search is at.
    fn take_up(&mut self, draft: Draft) {
        self.keep(&draft);
        if self.current.as_ref().is_none_or(|current| draft.cost < current.cost) {
            self.current = Some(draft);
        }
    }

    fn keep(&mut self, draft: &Draft) {
        if self.holds(draft) && self.best.as_ref().is_none_or(|best| draft.cost < best.cost) {
            self.best = Some(draft.clone());
        }
    }

    fn holds(&self, draft: &Draft) -> bool {
        let pools = self.fleet.pools.iter().zip(&draft.held).all(|(pool, held)| *held <= i128::from(pool.units));
        let kinds = self.fleet.kinds.iter().zip(&draft.replicas);
        pools && kinds.into_iter().all(|(kind, replicas)| kind.most.is_none_or(|most| *replicas <= most))
    }

    fn empty(&self, dishes: Vec<Vec<u32>>) -> Draft {
        let (kinds, pools) = (self.fleet.kinds.len(), self.fleet.pools.len());
        let nothing =
            Draft { dishes, loads: vec![0; kinds], replicas: vec![0; kinds], held: vec![0; pools], cost: 0, own: 0 };
        let mut draft = nothing;
        for (at, kind) in self.fleet.kinds.iter().enumerate() {
            draft.own += kind.cost(0);
            self.shift(&mut draft, at, 0);
        }
        draft
    }

    fn dish(&self, job: usize, place: usize, dish: u32) -> &'a Dish {
        &self.menus[job].steps[place][dish as usize]
    }

    /// Adds (or takes away) what a job puts on the kinds.
    fn put(&self, draft: &mut Draft, job: usize, sign: i64) {
        for place in 0..self.menus[job].steps.len() {
            let dish = self.dish(job, place, draft.dishes[job][place]);
            draft.own += i128::from(dish.fee * sign);
            if dish.kind != OWN && dish.load > 0 {
                self.shift(draft, dish.kind as usize, dish.load * sign);
            }
        }
        draft.cost = draft.own + self.crowding(draft);
    }

    /// Changes the load of a kind, and with it replicas, cost and units held.
    fn shift(&self, draft: &mut Draft, at: usize, load: i64) {
        draft.loads[at] += load;
        let (before, after) = (draft.replicas[at], self.needed(at, draft.loads[at]));
        if before == after {
            return;
        }
        let kind = &self.fleet.kinds[at];
        draft.replicas[at] = after;
        draft.own += kind.cost(after) - kind.cost(before);
        let most = kind.most.unwrap_or(i64::MAX);
        draft.own += i128::from((after - most).max(0) - (before - most).max(0)) * self.fine;
        for (pool, units) in &kind.uses {
            draft.held[*pool] += i128::from(*units) * i128::from(after - before);
        }
    }

    /// The fines for units that the pools do not have.
    fn crowding(&self, draft: &Draft) -> i128 {
        let pools = self.fleet.pools.iter().zip(&draft.held);
        pools.map(|(pool, held)| (held - i128::from(pool.units)).max(0)).sum::<i128>() * self.fine
    }

    /// The fewest replicas that carry a load.
    fn needed(&self, kind: usize, load: i64) -> i64 {
        let kind = &self.fleet.kinds[kind];
        match kind.capacity {
            0 if load == 0 => 0,
            0 => i64::MAX >> 20,
            capacity => load / capacity + i64::from(load % capacity != 0),
        }
    }

    /// What more load on a kind costs at the margin.
    fn marginal(&self, draft: &Draft, at: usize, load: i64) -> i64 {
        let kind = &self.fleet.kinds[at];
        let (before, after) = (draft.replicas[at], self.needed(at, draft.loads[at].saturating_add(load)));
        if before == after {
            return 0;
        }
        let mut cost = kind.cost(after) - kind.cost(before);
        let most = kind.most.unwrap_or(i64::MAX);
        cost += i128::from((after - most).max(0) - (before - most).max(0)) * self.fine;
        for (pool, units) in &kind.uses {
            let left = i128::from(self.fleet.pools[*pool].units) - draft.held[*pool];
            let more = i128::from(*units) * i128::from(after - before);
            cost += (more - left.max(0)).max(0) * self.fine;
        }
        cost.clamp(0, 1 << 52) as i64
    }

    /// Lets a job answer best to what the others leave, unless its old answer is better.
    fn answer(&mut self, draft: &mut Draft, job: usize) {
        let (dishes, cost) = (draft.dishes[job].clone(), draft.cost);
        self.put(draft, job, -1);
        self.choose(draft, job, 1024, Lure::default(), true);
        self.put(draft, job, 1);
        if draft.cost > cost {
            self.put(draft, job, -1);
            draft.dishes[job] = dishes;
            self.put(draft, job, 1);
        }
    }

    /// Chooses for a job that is not in the draft. `whole` of 1024 parts of the price are for whole replicas, the rest for
    /// the share of one; `warm` says that what it had is a start.
    fn choose(&mut self, draft: &mut Draft, job: usize, whole: i64, lure: Lure, warm: bool) {
        let price = |search: &Self, draft: &Draft, dish: &Dish, share: i64| {
            let at = dish.kind as usize;
            if dish.kind == OWN || Some(at) == lure.free {
                dish.fee
            } else if Some(at) == lure.barred {
                NEVER
            } else {
                let marginal = search.marginal(draft, at, dish.load);
                let mixed = marginal * whole + share * (1024 - whole);
                // A little of the share in any case, so that room that is free is not wasted.
                dish.fee + mixed / 1024 + share / 64
            }
        };
        self.ask(draft, job, warm, price);
    }

    /// Chooses for a job at prices of its options. `price` is given an option and what its share of a replica costs.
    fn ask(&mut self, draft: &mut Draft, job: usize, warm: bool, price: impl Fn(&Self, &Draft, &Dish, i64) -> i64) {
        let mut table = std::mem::take(&mut self.table);
        table.resize_with(self.menus[job].steps.len().max(table.len()), Vec::new);
        for ((step, shares), prices) in self.menus[job].steps.iter().zip(&self.shares[job]).zip(&mut table) {
            prices.clear();
            prices.extend(step.iter().zip(shares).map(|(dish, &share)| price(self, draft, dish, share)));
        }
        let found = self.chefs[job].best(&table, warm.then_some(draft.dishes[job].as_slice()));
        self.table = table;
        self.solves += 1;
        if let Some(best) = found.best {
            draft.dishes[job] = best.dishes;
        }
    }

    /// Ruins and recreates so many times.
    pub fn improve(&mut self, rounds: u32, clock: &dyn Fn() -> bool) {
        let Some(mut current) = self.current.take() else { return };
        for _ in 0..rounds {
            if clock() {
                break;
            }
            self.rounds += 1;
            let (jobs, barred, free) = self.ruin(&current);
            if jobs.is_empty() {
                continue;
            }
            let mut draft = current.clone();
            for &job in &jobs {
                self.put(&mut draft, job, -1);
            }
            let whole = [1024, 1024, 800, 400][self.random.below(4)];
            for &job in &jobs {
                self.choose(&mut draft, job, whole, Lure { barred, free }, false);
                self.put(&mut draft, job, 1);
            }
            for &job in &jobs {
                self.answer(&mut draft, job);
            }
            let heat = self.heat(&current) * (1.0 - (self.rounds % CYCLE) as f64 / CYCLE as f64);
            let allowed = -heat * (1.0 - self.random.unit()).ln();
            if (draft.cost as f64) <= current.cost as f64 + allowed {
                current = draft;
                self.keep(&current);
            }
            if self.rounds.is_multiple_of(CYCLE)
                && let Some(best) = &self.best
            {
                current = best.clone();
            }
        }
        self.current = Some(current);
    }

    /// How much more a plan may cost to be taken up: a share of what a replica costs.
    fn heat(&self, draft: &Draft) -> f64 {
        let used = self.fleet.kinds.iter().zip(&draft.replicas).filter(|(_, replicas)| **replicas > 0);
        let (sum, count) = used.fold((0.0, 0.0), |(sum, count), (kind, _)| (sum + kind.price as f64, count + 1.0));
        (0.02 + 3.0 / self.menus.len() as f64).min(0.3) * sum / f64::max(count, 1.0)
    }

    /// Some jobs to take away, in random order, and a kind to do without.
    fn ruin(&mut self, draft: &Draft) -> (Vec<usize>, Option<usize>, Option<usize>) {
        let jobs = self.menus.len();
        let used: Vec<usize> = (0..self.fleet.kinds.len()).filter(|kind| draft.loads[*kind] > 0).collect();
        let on = |kind: usize| -> Vec<usize> {
            let uses = |job: &usize| {
                (draft.dishes[*job].iter().enumerate())
                    .any(|(place, dish)| self.menus[*job].steps[place][*dish as usize].kind as usize == kind)
            };
            (0..jobs).filter(uses).collect()
        };
        let way = if used.is_empty() { 0 } else { self.random.below(5) };
        match way {
            // One replica less: so many jobs that the rest fits.
            1 | 2 => {
                let kind = used[self.random.below(used.len())];
                let mut users = on(kind);
                self.random.shuffle(&mut users);
                let capacity = self.fleet.kinds[kind].capacity;
                let mut over = draft.loads[kind] - (draft.replicas[kind] - 1).saturating_mul(capacity);
                let mut taken = Vec::new();
                for job in users {
                    if over <= 0 || taken.len() >= 12 {
                        break;
                    }
                    let load = |(place, dish): (usize, &u32)| {
                        let dish = self.dish(job, place, *dish);
                        if dish.kind as usize == kind { dish.load } else { 0 }
                    };
                    over -= draft.dishes[job].iter().enumerate().map(load).sum::<i64>();
                    taken.push(job);
                }
                let barred = (way == 2).then_some(kind);
                (taken, barred, None)
            }
            // A kind closed.
            3 => {
                let kind = used[self.random.below(used.len())];
                let mut users = on(kind);
                self.random.shuffle(&mut users);
                users.truncate(16);
                (users, Some(kind), None)
            }
            // A kind opened: those that could use it may have it for nothing, and then see what it costs.
            4 => {
                let kind = self.random.below(self.fleet.kinds.len());
                let mut all: Vec<usize> = self.could[kind].clone();
                self.random.shuffle(&mut all);
                all.truncate(2 + self.random.below(10));
                (all, None, Some(kind))
            }
            _ => {
                let mut all: Vec<usize> = (0..jobs).collect();
                self.random.shuffle(&mut all);
                all.truncate(2 + self.random.below(7));
                (all, None, None)
            }
        }
    }
}

/// By kind: the jobs that could use it, in order.
fn could(fleet: &Fleet, menus: &[Menu]) -> Vec<Vec<usize>> {
    let mut could: Vec<Vec<usize>> = vec![Vec::new(); fleet.kinds.len()];
    for (job, menu) in menus.iter().enumerate() {
        let used = menu.steps.iter().flatten().map(|dish| dish.kind as usize);
        let used: BTreeSet<usize> = used.filter(|kind| *kind < could.len()).collect();
        used.into_iter().for_each(|kind| could[kind].push(job));
    }
    could
}

/// What the share of a replica costs that each option takes, rounded down.
pub(super) fn shares(fleet: &Fleet, step: &[Dish]) -> Vec<i64> {
    let share = |dish: &Dish| {
        let Some(kind) = fleet.kinds.get(dish.kind as usize) else { return 0 };
        let share = i128::from(kind.price) * i128::from(dish.load) / i128::from(kind.capacity.max(1));
        share.min(1 << 50) as i64
    };
    step.iter().map(share).collect()
}

/// What makes a job answer otherwise than prices say.
#[derive(Clone, Copy, Default)]
struct Lure {
    /// A kind that must not be used.
    barred: Option<usize>,
    /// A kind that costs nothing.
    free: Option<usize>,
}

/// Numbers that look random and are the same each time (SplitMix64).
struct Random(u64);

impl Random {
    fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.draw() % n.max(1) as u64) as usize
    }

    fn unit(&mut self) -> f64 {
        (self.draw() >> 11) as f64 / (1u64 << 53) as f64
    }

    fn shuffle(&mut self, items: &mut [usize]) {
        for at in (1..items.len()).rev() {
            let other = self.below(at + 1);
            items.swap(at, other);
        }
    }
}
