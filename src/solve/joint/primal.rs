//! A fleet's menus -> ever better plans: ruin some jobs, and let each answer best to what the others left, at the marginal
//! price of whole replicas.

use super::best::{Chef, NEVER, keeps};
use super::menu::{Dish, Menu, OWN};
use super::problem::Fleet;

/// Nodes that one answer of a job may take.
const NODES: u64 = 3_000;

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
    held: Vec<i64>,
    /// Micro-dollars an hour, with the fines for what is too much.
    pub cost: i128,
    fees: i128,
}

/// The search for plans, kept from call to call.
pub struct Primal<'a> {
    fleet: &'a Fleet,
    menus: &'a [Menu],
    chefs: Vec<Chef<'a>>,
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
            chefs: menus.iter().map(|menu| Chef::new(menu, NODES)).collect(),
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
        let mut draft = self.empty(dishes);
        for job in 0..self.menus.len() {
            self.put(&mut draft, job, 1);
        }
        self.settle(&mut draft);
        for _ in 0..3 {
            let before = draft.cost;
            for job in 0..self.menus.len() {
                self.answer(&mut draft, job, 1024, None, true);
            }
            if draft.cost >= before {
                break;
            }
        }
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
        let pools = self.fleet.pools.iter().zip(&draft.held).all(|(pool, held)| *held <= pool.units);
        let kinds = self.fleet.kinds.iter().zip(&draft.replicas);
        pools && kinds.into_iter().all(|(kind, replicas)| kind.most.is_none_or(|most| *replicas <= most))
    }

    fn empty(&self, dishes: Vec<Vec<u32>>) -> Draft {
        let (kinds, pools) = (self.fleet.kinds.len(), self.fleet.pools.len());
        Draft { dishes, loads: vec![0; kinds], replicas: vec![0; kinds], held: vec![0; pools], cost: 0, fees: 0 }
    }

    fn dish(&self, job: usize, place: usize, dish: u32) -> &'a Dish {
        &self.menus[job].steps[place][dish as usize]
    }

    /// Adds (or takes away) what a job puts on the kinds; replicas and cost are settled later.
    fn put(&self, draft: &mut Draft, job: usize, sign: i64) {
        for place in 0..self.menus[job].steps.len() {
            let dish = self.dish(job, place, draft.dishes[job][place]);
            draft.fees += i128::from(dish.fee * sign);
            if dish.kind != OWN {
                draft.loads[dish.kind as usize] += dish.load * sign;
            }
        }
    }

    /// The fewest replicas that carry a load, or those that run where stopping them costs more.
    fn needed(&self, kind: usize, load: i64) -> i64 {
        let kind = &self.fleet.kinds[kind];
        let need = match kind.capacity {
            0 if load == 0 => 0,
            0 => i64::MAX >> 20,
            capacity => load / capacity + i64::from(load % capacity != 0),
        };
        if kind.stop > kind.price { need.max(kind.running.min(kind.most.unwrap_or(i64::MAX))) } else { need }
    }

    fn settle(&self, draft: &mut Draft) {
        let mut cost = draft.fees;
        draft.held.iter_mut().for_each(|held| *held = 0);
        let mut many: i128 = 0;
        for (at, kind) in self.fleet.kinds.iter().enumerate() {
            let replicas = self.needed(at, draft.loads[at]);
            draft.replicas[at] = replicas;
            cost += kind.cost(replicas);
            many += i128::from((replicas - kind.most.unwrap_or(i64::MAX)).max(0));
            kind.uses.iter().for_each(|(pool, units)| draft.held[*pool] = draft.held[*pool].saturating_add(units.saturating_mul(replicas)));
        }
        for (pool, held) in self.fleet.pools.iter().zip(&draft.held) {
            many += i128::from((held - pool.units).max(0));
        }
        draft.cost = cost + many * self.fine;
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
            let left = self.fleet.pools[*pool].units - draft.held[*pool];
            let more = units.saturating_mul(after - before);
            cost += i128::from((more - left.max(0)).max(0)) * self.fine;
        }
        cost.clamp(0, 1 << 52) as i64
    }

    /// Lets a job answer best to what the others leave. `whole` of 1024 parts of the price are for whole replicas, the rest for
    /// the share of one; a barred kind is not used. With `strict`, the old answer stays where the new one is no better.
    fn answer(&mut self, draft: &mut Draft, job: usize, whole: i64, barred: Option<usize>, strict: bool) {
        let old = (draft.dishes[job].clone(), draft.cost);
        self.put(draft, job, -1);
        self.settle(draft);
        let mut table = Vec::with_capacity(self.menus[job].steps.len());
        for step in &self.menus[job].steps {
            let mut prices = Vec::with_capacity(step.len());
            for dish in step {
                prices.push(if dish.kind == OWN {
                    dish.fee
                } else if Some(dish.kind as usize) == barred {
                    NEVER
                } else {
                    let at = dish.kind as usize;
                    let kind = &self.fleet.kinds[at];
                    let share = i128::from(kind.price) * i128::from(dish.load) / i128::from(kind.capacity.max(1));
                    let mixed = i128::from(self.marginal(draft, at, dish.load)) * i128::from(whole)
                        + share.min(1 << 50) * i128::from(1024 - whole);
                    // A little of the share in any case, so that room that is free is not wasted.
                    dish.fee.saturating_add((mixed / 1024) as i64).saturating_add((share / 64).min(1 << 44) as i64)
                });
            }
            table.push(prices);
        }
        let warm = if strict { Some(old.0.as_slice()) } else { None };
        let found = self.chefs[job].best(&table, warm);
        self.solves += 1;
        if let Some(best) = found.best {
            draft.dishes[job] = best.dishes;
        }
        self.put(draft, job, 1);
        self.settle(draft);
        if strict && draft.cost > old.1 {
            self.put(draft, job, -1);
            draft.dishes[job] = old.0;
            self.put(draft, job, 1);
            self.settle(draft);
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
            let (jobs, barred) = self.ruin(&current);
            if jobs.is_empty() {
                continue;
            }
            let mut draft = current.clone();
            for &job in &jobs {
                self.put(&mut draft, job, -1);
            }
            self.settle(&mut draft);
            let whole = [1024, 1024, 800, 400][self.random.below(4)];
            for &job in &jobs {
                // `answer` takes the job away first, so it is put back as it was.
                self.put(&mut draft, job, 1);
                self.answer(&mut draft, job, whole, barred, false);
            }
            for &job in &jobs {
                self.answer(&mut draft, job, 1024, None, true);
            }
            let heat = 3e-4 * (1.0 - (self.rounds % 3000) as f64 / 3000.0) * current.cost as f64;
            let allowed = -heat * (1.0 - self.random.unit()).ln();
            if (draft.cost as f64) <= current.cost as f64 + allowed {
                current = draft;
                self.keep(&current);
            }
            if self.rounds % 3000 == 0
                && let Some(best) = &self.best
            {
                current = best.clone();
            }
        }
        self.current = Some(current);
    }

    /// Some jobs to take away, in random order, and a kind to do without.
    fn ruin(&mut self, draft: &Draft) -> (Vec<usize>, Option<usize>) {
        let jobs = self.menus.len();
        let used: Vec<usize> = (0..self.fleet.kinds.len()).filter(|kind| draft.loads[*kind] > 0).collect();
        let on = |kind: usize| -> Vec<usize> {
            let uses = |job: &usize| {
                (draft.dishes[*job].iter().enumerate())
                    .any(|(place, dish)| self.menus[*job].steps[place][*dish as usize].kind as usize == kind)
            };
            (0..jobs).filter(uses).collect()
        };
        let way = if used.is_empty() { 0 } else { self.random.below(4) };
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
                (taken, barred)
            }
            // A kind closed.
            3 => {
                let kind = used[self.random.below(used.len())];
                let mut users = on(kind);
                self.random.shuffle(&mut users);
                users.truncate(16);
                (users, Some(kind))
            }
            _ => {
                let mut all: Vec<usize> = (0..jobs).collect();
                self.random.shuffle(&mut all);
                all.truncate(2 + self.random.below(7));
                (all, None)
            }
        }
    }
}

/// Numbers that look random and are the same each time (SplitMix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }

    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    fn shuffle(&mut self, items: &mut [usize]) {
        for at in (1..items.len()).rev() {
            let other = self.below(at + 1);
            items.swap(at, other);
        }
    }
}
