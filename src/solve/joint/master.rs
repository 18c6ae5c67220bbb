//! A fleet's menus and a node (ranges of replicas, barred options) -> a lower bound of the cost, exact in integers, and where
//! the relaxation leans.
//!
//! The relaxation chooses a mixture of whole configurations of each job (columns, made as they are needed by exact solves at
//! the current prices) and a fractional number of replicas; rounded cuts on each kind ([`super::cut`]) bring the whole
//! replicas back. Its multipliers, floored to integers, price the jobs once more, and that Lagrangian value is the bound: no
//! float is trusted.

mod keep;
mod price;

pub use self::price::Lagrange;
use self::price::Prices;
use super::best::Chef;
use super::cut::Cut;
use super::lp::Lp;
use super::menu::{Menu, OWN};
use super::problem::Fleet;
use std::collections::BTreeSet;

/// Rounds of cuts at the root, and at each further node.
const CUT_ROUNDS: (u32, u32) = (40, 3);
/// Rounds of new columns on the way down.
const DIVE_ROUNDS: usize = 4;
/// A round of cuts that closes less of the gap is the last one.
const LEAST_GAIN: f64 = 0.01;
/// Nodes of one job's search before its bound stands in for its optimum.
const JOB_NODES: u64 = 200_000;
/// Parts of a limit in the tables that bound one job's search.
const PARTS: usize = 48;
/// Columns beyond this number are thrown out by their reduced cost.
const MOST_COLUMNS: usize = 1_000;
/// So many more columns are kept for each job.
const COLUMNS_PER_JOB: usize = 15;

/// A part of the search space.
#[derive(Clone, Debug)]
pub struct Node {
    /// By kind: the fewest and the most replicas.
    pub range: Vec<(i64, i64)>,
    /// Options that may not be taken: job, place, dish.
    pub barred: BTreeSet<(u32, u32, u32)>,
    /// No plan in it costs less, in micro-dollars an hour.
    pub bound: i128,
}

/// Where the relaxation leans.
#[derive(Clone, Debug, Default)]
pub struct Lean {
    /// By kind: replicas.
    pub replicas: Vec<f64>,
    /// By job: configurations with their shares, largest first.
    pub shares: Vec<Vec<(f64, Vec<u32>)>>,
}

/// The work of one solve of a job, about, in nanoseconds.
pub const SOLVE: u64 = 20_000;

/// How much a bound is worth.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Effort {
    /// All rounds of cuts.
    Root,
    /// Some.
    Node,
    /// No cuts and few new columns: only where the relaxation leans is asked.
    Dive,
}

/// What a column stands for.
#[derive(Clone, Debug, PartialEq)]
enum Role {
    Surplus,
    Escape,
    Replica(u32),
    Config(u32, Vec<u32>),
}

/// The relaxation, kept from node to node.
pub struct Master<'a> {
    fleet: &'a Fleet,
    menus: &'a [Menu],
    chefs: Vec<Chef<'a>>,
    lp: Lp,
    roles: Vec<Role>,
    /// By kind: its row, once a column loads it. Of most kinds that options could use, no column ever does, and rows are dear.
    kind_rows: Vec<Option<u32>>,
    /// By kind: the replicas that the node of now leaves to it.
    ranges: Vec<(i64, i64)>,
    pool_rows: Vec<u32>,
    job_rows: Vec<u32>,
    least_rows: Vec<Option<u32>>,
    most_rows: Vec<Option<u32>>,
    cuts: Vec<(u32, Cut)>,
    seen: Vec<BTreeSet<Vec<u32>>>,
    warm: Vec<Option<Vec<u32>>>,
    unit: f64,
    escape: f64,
    shift: u32,
    constant: i128,
    /// The multipliers of the best bound at the root.
    lagrange: Option<(i128, Lagrange)>,
    /// By job: its best configuration at the price of full replicas.
    first: Vec<Vec<u32>>,
    /// Jobs that no number of replicas that may be lets keep their clauses.
    pub impossible: Vec<usize>,
    /// Solves of single jobs so far.
    pub solves: u64,
}

impl<'a> Master<'a> {
    /// The relaxation with one column per job, its best at the price of a full replica.
    pub fn new(fleet: &'a Fleet, menus: &'a [Menu], root: &Node, ceiling: i128) -> Master<'a> {
        let dearest = |menu: &Menu| -> i128 {
            let dish = |d: &super::menu::Dish| -> i128 {
                let rent = if d.kind == OWN { 0 } else { dearest_rent(fleet, d.kind as usize, d.load) };
                i128::from(d.fee) + rent
            };
            menu.steps.iter().map(|step| step.iter().map(dish).max().unwrap_or(0)).sum()
        };
        let most = menus.iter().map(dearest).max().unwrap_or(0).max(1);
        let bits = 128 - most.leading_zeros();
        let mut master = Master {
            fleet,
            menus,
            chefs: menus.iter().map(|menu| Chef::new(menu, JOB_NODES, PARTS)).collect(),
            lp: Lp::new(),
            roles: Vec::new(),
            kind_rows: vec![None; fleet.kinds.len()],
            ranges: root.range.clone(),
            pool_rows: Vec::new(),
            job_rows: Vec::new(),
            least_rows: vec![None; fleet.kinds.len()],
            most_rows: vec![None; fleet.kinds.len()],
            cuts: Vec::new(),
            seen: vec![BTreeSet::new(); menus.len()],
            warm: vec![None; menus.len()],
            unit: 1.0,
            escape: 1.0,
            shift: 60u32.saturating_sub(bits).min(30),
            constant: fleet.kinds.iter().map(|k| i128::from(k.stop) * i128::from(k.running)).sum(),
            lagrange: None,
            first: Vec::new(),
            impossible: Vec::new(),
            solves: 0,
        };
        master.start(root, ceiling);
        master
    }

    fn start(&mut self, root: &Node, ceiling: i128) {
        let fleet = self.fleet;
        let prices = Prices {
            load: (0..fleet.kinds.len()).map(|kind| self.unit_price(kind)).collect(),
            cut: Vec::new(),
            pool: vec![0; fleet.pools.len()],
        };
        let mut first = Vec::new();
        for job in 0..self.menus.len() {
            let table = self.table(job, &prices, root);
            let found = self.chefs[job].best(&table, None);
            self.solves += 1;
            if found.best.is_none() && found.exact {
                self.impossible.push(job);
            }
            first.push(found.best);
        }
        let scale = (1u64 << self.shift) as f64;
        let total: f64 = first.iter().flatten().map(|best| best.price as f64 / scale).sum();
        self.unit = (total / self.menus.len().max(1) as f64).max(1.0);
        // Not to carry out a job costs more than everything else together.
        self.escape = 40.0 * ceiling as f64 / self.unit;
        for pool in &fleet.pools {
            let row = self.row(-(pool.units as f64), &[]);
            self.pool_rows.push(row);
        }
        // What runs now costs something even where nothing uses it any more.
        for at in (0..fleet.kinds.len()).filter(|at| fleet.kinds[*at].running > 0) {
            self.kind_row(at);
        }
        for (job, best) in first.into_iter().enumerate() {
            let row = self.row(1.0, &[]);
            self.job_rows.push(row);
            self.add(self.escape, vec![(row, 1.0)], Role::Escape);
            self.first.push(best.as_ref().map_or_else(Vec::new, |best| best.dishes.clone()));
            if let Some(best) = best {
                self.config(job, best.dishes);
            }
        }
    }

    /// A measure of the work done so far, about a nanosecond each.
    pub fn work(&self) -> u64 {
        self.lp.work + self.solves * SOLVE
    }

    /// The multipliers of the best bound at the root.
    pub fn lagrange(&self) -> Option<&Lagrange> {
        self.lagrange.as_ref().map(|best| &best.1)
    }

    /// By job: its best configuration at the price of full replicas; empty where none was found.
    pub fn first(&self) -> Vec<Vec<u32>> {
        self.first.clone()
    }

    /// The row of a kind, with the columns of its replicas.
    fn kind_row(&mut self, at: usize) -> u32 {
        if let Some(row) = self.kind_rows[at] {
            return row;
        }
        let kind = &self.fleet.kinds[at];
        let row = self.row(0.0, &[]);
        self.kind_rows[at] = Some(row);
        let mut entries = vec![(row, 1.0)];
        entries.extend(kind.uses.iter().map(|(pool, units)| (self.pool_rows[*pool], -(*units as f64))));
        if kind.running > 0 {
            let kept = self.row(-(kind.running as f64), &[]);
            let mut entries = entries.clone();
            entries.push((kept, -1.0));
            self.add((kind.price - kind.stop) as f64 / self.unit, entries, Role::Replica(at as u32));
        }
        self.add((kind.price + kind.start) as f64 / self.unit, entries, Role::Replica(at as u32));
        self.confine(at);
        row
    }

    fn row(&mut self, rhs: f64, entries: &[(u32, f64)]) -> u32 {
        let row = self.lp.row(rhs, entries);
        self.roles.push(Role::Surplus);
        row
    }

    fn add(&mut self, cost: f64, entries: Vec<(u32, f64)>, role: Role) {
        self.lp.column(cost, entries);
        self.roles.push(role);
    }

    /// Adds a configuration of a job as a column, unless it is there.
    pub fn config(&mut self, job: usize, dishes: Vec<u32>) -> bool {
        if !self.seen[job].insert(dishes.clone()) {
            return false;
        }
        let (cost, entries) = self.column(job, &dishes);
        self.add(cost, entries, Role::Config(job as u32, dishes));
        true
    }

    fn column(&mut self, job: usize, dishes: &[u32]) -> (f64, Vec<(u32, f64)>) {
        let mut cost = 0.0;
        let mut entries = vec![(self.job_rows[job], 1.0)];
        let mut loads: Vec<(usize, i64, u32)> = Vec::new();
        for (place, dish) in dishes.iter().enumerate() {
            let dish = &self.menus[job].steps[place][*dish as usize];
            cost += dish.fee as f64;
            if dish.kind != OWN && dish.load > 0 {
                loads.push((dish.kind as usize, dish.load, place as u32));
            }
        }
        let used: BTreeSet<usize> = loads.iter().map(|load| load.0).collect();
        for kind in used {
            let load: f64 = loads.iter().filter(|l| l.0 == kind).map(|l| l.1 as f64).sum();
            let row = self.kind_row(kind);
            entries.push((row, -load / (self.fleet.kinds[kind].capacity.max(1)) as f64));
        }
        for (row, cut) in &self.cuts {
            let on = loads.iter().filter(|l| l.0 == cut.kind);
            let sum: i64 = on.map(|(_, load, place)| cut.coefficient((job as u32, *place), *load)).sum();
            if sum > 0 {
                entries.push((*row, -(sum as f64) / cut.over as f64));
            }
        }
        (cost / self.unit, entries)
    }

    /// Bounds a node from below; stops early once the bound reaches `limit`. `None` when the node holds no plan at all.
    pub fn bound(
        &mut self,
        node: &mut Node,
        limit: i128,
        effort: Effort,
        clock: &dyn Fn() -> bool,
        each: &mut dyn FnMut(&Lean, i128, u64),
    ) -> Lean {
        self.enter(node);
        let root = effort == Effort::Root;
        let (mut rounds, most) = match effort {
            Effort::Root => (CUT_ROUNDS.0, 2_000),
            Effort::Node => (CUT_ROUNDS.1, 2_000),
            Effort::Dive => (0, DIVE_ROUNDS),
        };
        let mut last = i128::MIN;
        let mut lean = Lean::default();
        for round in 0..most {
            if !self.lp.optimise(20_000, clock) && round > 4 {
                break;
            }
            let prices = self.prices();
            let (bound, added) = self.price(&prices, node);
            if root && bound < i128::MAX && self.lagrange.as_ref().is_none_or(|best| best.0 < bound) {
                self.lagrange = Some((bound, self.at(&prices)));
            }
            node.bound = node.bound.max(bound);
            if node.bound >= limit || clock() {
                break;
            }
            let value = self.lp.value() * self.unit + self.constant as f64;
            // What is left of the gap says how exact it is worth to be.
            let gap = if limit == i128::MAX { value.abs() } else { (limit - node.bound) as f64 };
            let close = (bound as f64) >= value - 0.02 * gap;
            if added == 0 || close {
                lean = self.lean();
                if root {
                    each(&lean, node.bound, self.work());
                }
                let gain = (node.bound.saturating_sub(last)) as f64;
                if rounds == 0 || gain < LEAST_GAIN * gap {
                    break;
                }
                last = node.bound;
                self.forget_cuts();
                if !self.cut(&lean) {
                    break;
                }
                rounds -= 1;
            }
            if self.lp.columns.len() > MOST_COLUMNS + COLUMNS_PER_JOB * self.menus.len() {
                self.purge();
            }
        }
        if lean.replicas.is_empty() {
            lean = self.lean();
        }
        lean
    }

    /// Sets ranges and costs as a node has them.
    fn enter(&mut self, node: &Node) {
        self.ranges.clone_from(&node.range);
        for (kind, &(least, _)) in node.range.iter().enumerate() {
            if least > 0 {
                self.kind_row(kind);
            }
            if self.kind_rows[kind].is_some() {
                self.confine(kind);
            }
        }
        for at in 0..self.roles.len() {
            let Role::Config(job, dishes) = &self.roles[at] else { continue };
            let job = *job as usize;
            let out = dishes.iter().enumerate().any(|(place, dish)| {
                let taken = &self.menus[job].steps[place][*dish as usize];
                (taken.kind != OWN && taken.load > 0 && node.range[taken.kind as usize].1 == 0)
                    || node.barred.contains(&(job as u32, place as u32, *dish))
            });
            let fees = || dishes.iter().enumerate().map(|(p, d)| self.menus[job].steps[p][*d as usize].fee as f64);
            self.lp.columns[at].cost = if out { self.escape } else { fees().sum::<f64>() / self.unit };
        }
    }

    /// Keeps the replicas of a kind within the range of now.
    fn confine(&mut self, kind: usize) {
        let (least, most) = self.ranges[kind];
        let entries = |roles: &[Role], sign: f64| -> Vec<(u32, f64)> {
            let own = roles.iter().enumerate().filter(|(_, role)| **role == Role::Replica(kind as u32));
            own.map(|(at, _)| (at as u32, sign)).collect()
        };
        if least > 0 && self.least_rows[kind].is_none() {
            let entries = entries(&self.roles, 1.0);
            self.least_rows[kind] = Some(self.row(0.0, &entries));
        }
        if self.most_rows[kind].is_none() && most < self.loosest(kind) {
            let entries = entries(&self.roles, -1.0);
            self.most_rows[kind] = Some(self.row(0.0, &entries));
        }
        if let Some(row) = self.least_rows[kind] {
            self.lp.set_rhs(row, least as f64);
        }
        if let Some(row) = self.most_rows[kind] {
            self.lp.set_rhs(row, -(most as f64));
        }
    }

    /// More replicas than the pools could hold of a kind: a range up to there needs no row.
    fn loosest(&self, kind: usize) -> i64 {
        let kind = &self.fleet.kinds[kind];
        let fit = kind.uses.iter().filter(|u| u.1 > 0).map(|(pool, units)| self.fleet.pools[*pool].units / units).min();
        match kind.most {
            Some(_) => i64::MAX,
            None => fit.unwrap_or(0),
        }
    }

    fn lean(&self) -> Lean {
        let mut lean = Lean { replicas: vec![0.0; self.fleet.kinds.len()], shares: vec![Vec::new(); self.menus.len()] };
        for (column, value) in self.lp.values().filter(|(_, value)| *value > 1e-9) {
            match &self.roles[column as usize] {
                Role::Replica(kind) => lean.replicas[*kind as usize] += value,
                Role::Config(job, dishes) => lean.shares[*job as usize].push((value, dishes.clone())),
                Role::Surplus | Role::Escape => {}
            }
        }
        for shares in &mut lean.shares {
            shares.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
        }
        lean
    }
}

/// What a load could cost at most with replicas of its own.
fn dearest_rent(fleet: &Fleet, kind: usize, load: i64) -> i128 {
    let kind = &fleet.kinds[kind];
    let replicas = i128::from(load) / i128::from(kind.capacity.max(1)) + 2;
    (i128::from(kind.price) + i128::from(kind.start)) * replicas * 2
}
