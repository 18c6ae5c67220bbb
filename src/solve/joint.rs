//! A [`Fleet`](problem::Fleet) -> an [`Outcome`]: one option per step of each job and replicas per kind, with a bound below
//! which no plan can cost, or what stands in the way.
//!
//! Plans come from [`primal`] (ruin and recreate over exact answers of single jobs) and from dives into the relaxation ([`dive`]), bounds from [`master`] (configurations
//! made as needed, rounded cuts, a Lagrangian value in exact integers), and proofs from branching over replicas and options.
//! [`check`] judges every plan and shares no code with any of them.

mod best;
pub mod check;
mod cut;
mod dive;
mod least;
mod lp;
mod master;
mod menu;
mod primal;
pub mod problem;
pub mod proof;
#[cfg(test)]
mod tests;

pub use self::least::least;

use self::dive::Dives;
use self::master::{Effort, Lean, Master, Node, SOLVE};
use self::menu::{Menu, OWN, menu};
use self::primal::{Draft, Primal};
use self::problem::Fleet;
use std::collections::{BTreeMap, BTreeSet};

/// How long to look.
#[derive(Clone, Copy)]
pub struct Limits<'a> {
    /// Rounds of search and nodes in all; what makes an answer the same on every machine.
    pub rounds: u64,
    /// Says when time is out; asked every few solves.
    pub out_of_time: Option<&'a (dyn Fn() -> bool + Sync)>,
    /// Whether any plan will do: only the question of whether there is one is asked.
    pub any: bool,
    /// How near to its bound the cost of a plan must be for a search of [`PATIENCE`] to end, in millionths of it; 0 for a proof.
    pub enough: u32,
}

impl Default for Limits<'_> {
    fn default() -> Self {
        Limits { rounds: 20_000, out_of_time: None, any: false, enough: 0 }
    }
}

/// The engine's word on a fleet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A plan that [`check::check`] accepts.
    Planned(Planned),
    /// There is none: these jobs cannot be carried out even alone and on any number of replicas, or (empty) not together.
    Refused(Vec<usize>),
    /// Neither was found within the limits; why, in words.
    Unknown(String),
}

/// A joint plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// By job and step: the option.
    pub choice: Vec<Vec<usize>>,
    /// By kind.
    pub replicas: Vec<i64>,
    /// Micro-dollars an hour, switching included.
    pub cost: i128,
    /// No plan costs less.
    pub bound: i128,
    /// Nodes of the branch and bound.
    pub nodes: u64,
    /// Exact solves of single jobs.
    pub solves: u64,
}

impl Planned {
    /// Whether no plan is cheaper.
    pub fn optimal(&self) -> bool {
        self.bound >= self.cost
    }

    /// The share of the cost that is not proved necessary.
    pub fn gap(&self) -> f64 {
        if self.cost <= self.bound { 0.0 } else { (self.cost - self.bound) as f64 / self.cost as f64 }
    }
}

/// Of so many nodes, so many go down to where plans are found.
const CYCLE: u32 = 100;
const DIVE: u32 = 25;
/// Where more nodes than this, by jobs, are open, the search ends: memory is bounded, too.
const MOST_OPEN: usize = 400_000;
/// Rounds of plan search at a time.
const ROUNDS: u32 = 150;
/// Exact solves of single jobs after which a plan that is near enough to its bound ends the search.
pub const PATIENCE: u64 = 5_000;

/// Finds the cheapest fleet that keeps every clause of every job.
pub fn solve(fleet: &Fleet, limits: &Limits) -> Outcome {
    if let Err(words) = problem::faults(fleet) {
        return Outcome::Unknown(words);
    }
    let menus: Vec<Option<Menu>> = fleet.jobs.iter().map(menu).collect();
    let hopeless: Vec<usize> = (0..menus.len()).filter(|job| menus[*job].is_none()).collect();
    if !hopeless.is_empty() {
        return Outcome::Refused(hopeless);
    }
    let menus: Vec<Menu> = menus.into_iter().flatten().collect();
    let (late, rounds) = (|| limits.out_of_time.is_some_and(|clock| clock()), limits.rounds);
    Search { fleet, menus: &menus, late: &late, rounds, any: limits.any, enough: limits.enough }.run()
}

struct Search<'a> {
    fleet: &'a Fleet,
    menus: &'a [Menu],
    late: &'a dyn Fn() -> bool,
    rounds: u64,
    any: bool,
    enough: u32,
}

impl Search<'_> {
    fn run(&self) -> Outcome {
        let mut root = self.root();
        let ceiling = self.ceiling(&root);
        let mut primal = Primal::new(self.fleet, self.menus);
        let mut master = Master::new(self.fleet, self.menus, &root, ceiling);
        if !master.impossible.is_empty() {
            return Outcome::Refused(master.impossible);
        }
        primal.offer(master.first());
        primal.improve(ROUNDS, self.late);
        let mut spent = u64::from(ROUNDS);
        if let Some(best) = primal.best.as_ref().filter(|_| self.any) {
            return self.finish(best, 0, 1, master.solves + primal.solves);
        }
        // A bound beyond what any plan could cost says that there is none.
        let limit = primal.best.as_ref().map_or(ceiling, |best| best.cost);
        let lean = master.bound(&mut root, limit, Effort::Root, self.late, &mut |lean, _, work| {
            primal.offer(rounded(lean));
            spent += self.keep_up(&mut primal, work);
        });
        let mut open = vec![(root, lean)];
        let (mut bound, mut nodes) = (open[0].0.bound, 1u64);
        let mut dives = Dives::new(self.menus.len());
        if !self.settled(&master, &primal, bound) {
            spent += self.dive((&mut master, &mut primal), &mut dives, (&open[0].0, &open[0].1));
        }
        // Nodes that bound least are parted first.
        let (mut next, mut since) = (Some(0), 0);
        while !open.is_empty() {
            bound = bound.max(open.iter().map(|(node, _)| node.bound).min().unwrap_or(bound));
            let cost = primal.best.as_ref().map_or(ceiling, |best| best.cost);
            if bound >= cost
                || self.settled(&master, &primal, bound)
                || (self.late)()
                || spent >= self.rounds
                || (self.any && primal.best.is_some())
                || open.len() > MOST_OPEN / self.menus.len().max(1)
            {
                break;
            }
            let at = next.take().unwrap_or_else(|| lowest(&open));
            let (node, lean) = open.swap_remove(at);
            if node.bound >= cost {
                continue;
            }
            if lean.shares.iter().all(|shares| !shares.is_empty()) {
                primal.offer(rounded(&lean));
            }
            if dives.due(master.work()) {
                spent += self.dive((&mut master, &mut primal), &mut dives, (&node, &lean));
            }
            spent += 1 + self.keep_up(&mut primal, master.work());
            let children = self.branch(&node, &lean);
            if children.is_empty() {
                // Every option is settled: its only plan is tried, and nothing is left of it.
                primal.offer(self.only(&node));
                continue;
            }
            let from = open.len();
            for mut child in children {
                nodes += 1;
                let cost = primal.best.as_ref().map_or(ceiling, |best| best.cost);
                let lean = master.bound(&mut child, cost, Effort::Node, self.late, &mut |_, _, _| ());
                if child.bound < cost {
                    open.push((child, lean));
                }
            }
            // From time to time it goes on downwards, where plans are found; else it raises the lowest bound.
            since += 1;
            next = (from..open.len()).min_by_key(|at| open[*at].0.bound).filter(|_| since % CYCLE < DIVE);
        }
        let exhausted = open.is_empty();
        // What is left of the budget goes into better plans.
        while !exhausted && spent < self.rounds && !(self.late)() {
            if self.settled(&master, &primal, bound) || (self.any && primal.best.is_some()) {
                break;
            }
            primal.improve(ROUNDS, self.late);
            spent += u64::from(ROUNDS);
        }
        let hopeless = exhausted || bound >= ceiling;
        match &primal.best {
            Some(best) => {
                let bound = if exhausted { best.cost } else { bound };
                self.finish(best, bound, nodes, master.solves + primal.solves)
            }
            None if hopeless => Outcome::Refused(Vec::new()),
            None => Outcome::Unknown("no plan was found within the limits, and none was excluded".to_owned()),
        }
    }

    /// Whether the best plan is as good as it must be: proved, or near enough to the bound after a long search.
    fn settled(&self, master: &Master, primal: &Primal, bound: i128) -> bool {
        let Some(cost) = primal.best.as_ref().map(|best| best.cost) else { return false };
        let long = master.solves + primal.solves >= PATIENCE;
        bound >= cost || (long && cost - bound <= cost.saturating_mul(i128::from(self.enough)) / 1_000_000)
    }

    fn finish(&self, best: &Draft, bound: i128, nodes: u64, solves: u64) -> Outcome {
        let options = |(dishes, menu): (&Vec<u32>, &Menu)| {
            let mut options = vec![0; dishes.len()];
            for (place, dish) in dishes.iter().enumerate() {
                options[menu.order[place]] = menu.steps[place][*dish as usize].option as usize;
            }
            options
        };
        let choice: Vec<Vec<usize>> = best.dishes.iter().zip(self.menus).map(options).collect();
        let (replicas, cost) = (best.replicas.clone(), best.cost);
        match check::check(self.fleet, &choice, &replicas) {
            Ok(value) if value.cost == cost => {
                Outcome::Planned(Planned { choice, replicas, cost, bound: bound.min(cost), nodes, solves })
            }
            other => Outcome::Unknown(format!("the plan found does not check: {other:?}")),
        }
    }

    /// One more than what any plan could cost.
    fn ceiling(&self, root: &Node) -> i128 {
        let kinds = self.fleet.kinds.iter().zip(&root.range);
        let rent: i128 = kinds.map(|(kind, (least, most))| kind.cost(*least).max(kind.cost(*most))).sum();
        let fees = self.menus.iter().flat_map(|menu| &menu.steps);
        let fees: i128 = fees.map(|step| step.iter().map(|dish| i128::from(dish.fee)).max().unwrap_or(0)).sum();
        rent + fees + 1
    }

    /// Lets the search for plans have as much of the work as the bounds have had. Returns the rounds it took.
    fn keep_up(&self, primal: &mut Primal, work: u64) -> u64 {
        let mut rounds = 0;
        while primal.solves * SOLVE < work && !(self.late)() {
            primal.improve(ROUNDS / 10, self.late);
            rounds += u64::from(ROUNDS / 10);
        }
        rounds
    }

    /// All replicas that pools, limits and loads leave room for.
    fn root(&self) -> Node {
        let mut loads = vec![0i128; self.fleet.kinds.len()];
        for step in self.menus.iter().flat_map(|menu| &menu.steps) {
            let mut most: BTreeMap<u32, i64> = BTreeMap::new();
            for dish in step.iter().filter(|dish| dish.kind != OWN) {
                let most = most.entry(dish.kind).or_default();
                *most = dish.load.max(*most);
            }
            most.into_iter().for_each(|(kind, load)| loads[kind as usize] += i128::from(load));
        }
        let range = self.fleet.kinds.iter().zip(loads).map(|(kind, load)| {
            let capacity = i128::from(kind.capacity);
            let needed = if capacity == 0 { 0 } else { (load + capacity - 1) / capacity };
            let fit =
                kind.uses.iter().filter(|used| used.1 > 0).map(|(pool, units)| self.fleet.pools[*pool].units / units);
            let most = kind.most.into_iter().chain(fit).min().unwrap_or(i64::MAX);
            (0, i64::try_from(needed).unwrap_or(i64::MAX).min(most))
        });
        Node { range: range.collect(), barred: BTreeSet::new(), bound: 0 }
    }

    /// Parts a node in two: by the number of replicas of a kind, or else by an option of a step. Nothing where every
    /// option is settled.
    fn branch(&self, node: &Node, lean: &Lean) -> Vec<Node> {
        let mut best: Option<(f64, usize)> = None;
        for (kind, replicas) in lean.replicas.iter().enumerate() {
            let part = replicas - replicas.floor();
            let price = self.fleet.kinds[kind].price.max(1) as f64;
            let score = part.min(1.0 - part) * price;
            let (least, most) = node.range[kind];
            if part > 1e-5 && part < 1.0 - 1e-5 && least < most && best.is_none_or(|b| score > b.0) {
                best = Some((score, kind));
            }
        }
        if let Some((_, kind)) = best {
            let (least, most) = node.range[kind];
            let at = (lean.replicas[kind].floor() as i64).clamp(least, most - 1);
            let (mut below, mut above) = (node.clone(), node.clone());
            below.range[kind] = (least, at);
            above.range[kind] = (at + 1, most);
            return vec![below, above];
        }
        // The step that is split most evenly between options.
        let mut split: Option<(f64, u32, u32, u32)> = None;
        for (job, shares) in lean.shares.iter().enumerate() {
            for place in 0..self.menus[job].steps.len() {
                let mut by_dish: BTreeMap<u32, f64> = BTreeMap::new();
                shares.iter().for_each(|(share, dishes)| *by_dish.entry(dishes[place]).or_default() += share);
                let main = by_dish.iter().fold((0, 0.0), |best, (d, s)| if *s > best.1 { (*d, *s) } else { best });
                let better = main.1 < 1.0 - 1e-6 && main.1 > 0.0 && split.is_none_or(|s| main.1 < s.0);
                if better && self.left(node, job, place).is_some_and(|left| left.contains(&main.0)) {
                    split = Some((main.1, job as u32, place as u32, main.0));
                }
            }
        }
        let (job, place, dish) = match split {
            Some((_, job, place, dish)) => (job, place, dish),
            None => match self.unsettled(node, lean) {
                Some(found) => found,
                None => return Vec::new(),
            },
        };
        let (mut with, mut without) = (node.clone(), node.clone());
        for other in 0..self.menus[job as usize].steps[place as usize].len() as u32 {
            if other != dish {
                with.barred.insert((job, place, other));
            }
        }
        without.barred.insert((job, place, dish));
        vec![with, without]
    }

    /// A step with several options left, where the relaxation splits nothing.
    fn unsettled(&self, node: &Node, lean: &Lean) -> Option<(u32, u32, u32)> {
        for (job, menu) in self.menus.iter().enumerate() {
            for place in 0..menu.steps.len() {
                if let Some(left) = self.left(node, job, place) {
                    let leans = lean.shares.get(job).and_then(|s| s.first()).map(|s| s.1[place]);
                    let dish = leans.filter(|dish| left.contains(dish)).unwrap_or(left[0]);
                    return Some((job as u32, place as u32, dish));
                }
            }
        }
        None
    }

    /// The options that a node leaves to a step, where there are several.
    fn left(&self, node: &Node, job: usize, place: usize) -> Option<Vec<u32>> {
        let free = |dish: &u32| !node.barred.contains(&(job as u32, place as u32, *dish));
        let left: Vec<u32> = (0..self.menus[job].steps[place].len() as u32).filter(free).collect();
        (left.len() > 1).then_some(left)
    }

    /// The options of a node that leaves each step one.
    fn only(&self, node: &Node) -> Vec<Vec<u32>> {
        let dish = |job: usize, place: usize| {
            let free = |dish: &u32| !node.barred.contains(&(job as u32, place as u32, *dish));
            (0..self.menus[job].steps[place].len() as u32).find(free).unwrap_or(0)
        };
        (0..self.menus.len())
            .map(|job| (0..self.menus[job].steps.len()).map(|place| dish(job, place)).collect())
            .collect()
    }
}

/// The node that bounds least.
fn lowest(open: &[(Node, Lean)]) -> usize {
    (0..open.len()).min_by_key(|at| (open[*at].0.bound, std::cmp::Reverse(*at))).unwrap_or(0)
}

/// Each job's largest share.
fn rounded(lean: &Lean) -> Vec<Vec<u32>> {
    let first = |shares: &Vec<(f64, Vec<u32>)>| match shares.first() {
        Some((_, dishes)) => dishes.clone(),
        None => Vec::new(),
    };
    lean.shares.iter().map(first).collect()
}
