//! A node and where its relaxation leans -> plans: whole replicas are settled kind after kind, and the relaxation says each time what
//! the others make of it. At the end nearly every job has one configuration, and [`Primal::fit`] finds room for the rest.

use super::master::{Effort, Lean, Master, Node};
use super::primal::Primal;
use super::{ROUNDS, Search, rounded};

/// Above which fraction a dive rounds up, one dive after the other.
const HALVES: [f64; 5] = [0.5, 0.35, 0.65, 0.42, 0.58];
/// Kinds in use that are so near to whole replicas are settled together with the nearest; further ones by every second dive into a
/// large fleet, which is sooner down.
const NEAR: f64 = 0.3;
const FURTHER: f64 = 0.5;
/// Steps between two looks for a plan.
const LOOK: u64 = 8;

/// Jobs from which a fleet is large: ruin and recreate no longer comes by most of what is good, and nodes hardly raise the bound.
const LARGE: usize = 40;

/// How many dives there were, what came of them, and the work they took.
pub(super) struct Dives {
    large: bool,
    count: usize,
    /// Dives since the last that found a better plan.
    fruitless: u64,
    work: u64,
}

impl Dives {
    /// None yet, into a fleet of so many jobs.
    pub(super) fn new(jobs: usize) -> Self {
        Dives { large: jobs >= LARGE, count: 0, fruitless: 0, work: 0 }
    }

    /// Whether it is time for another, out of so much work on bounds and dives: a third of it, of a large fleet half, and less as they
    /// find nothing.
    pub(super) fn due(&self, work: u64) -> bool {
        let share = if self.large { 4 + self.fruitless } else { 6 + 6 * self.fruitless };
        self.work * share < 2 * work
    }
}

impl Search<'_> {
    /// Goes down from a node. Returns the rounds it took.
    pub(super) fn dive(
        &self,
        (master, primal): (&mut Master, &mut Primal),
        dives: &mut Dives,
        (node, lean): (&Node, &Lean),
    ) -> u64 {
        let half = HALVES[dives.count % HALVES.len()];
        let near = if dives.large && dives.count.is_multiple_of(2) { FURTHER } else { NEAR };
        let (mut node, mut lean) = (node.clone(), lean.clone());
        let (from, cost) = (master.work(), primal.best.as_ref().map(|best| best.cost));
        dives.count += 1;
        dives.fruitless += 1;
        let mut spent = 0u64;
        while !(self.late)() && settle(&mut node, &lean, half, near) {
            let limit = primal.best.as_ref().map_or(i128::MAX, |best| best.cost);
            // What the node above was bounded by would end this one at once.
            node.bound = 0;
            lean = master.bound(&mut node, limit, Effort::Dive, self.late, &mut |_, _, _| ());
            spent += 1;
            if node.bound >= limit {
                break;
            }
            if spent.is_multiple_of(LOOK) {
                self.fit(primal, &lean, half);
            }
        }
        let limit = primal.best.as_ref().map_or(i128::MAX, |best| best.cost);
        if node.bound < limit {
            self.fit(primal, &lean, half);
            primal.improve(ROUNDS, self.late);
            spent += u64::from(ROUNDS);
        }
        if primal.best.as_ref().map(|best| best.cost) != cost {
            dives.fruitless = 0;
        }
        dives.work += master.work() - from;
        spent
    }

    fn fit(&self, primal: &mut Primal, lean: &Lean, half: f64) {
        if lean.shares.iter().all(|shares| !shares.is_empty()) {
            let replicas: Vec<i64> = lean.replicas.iter().map(|r| (r + 1.0 - half).floor() as i64).collect();
            primal.fit(rounded(lean), &replicas, self.late);
        }
    }
}

/// Settles the replicas of the kind that is nearest to a whole number of them, and of others in use that are near; `false` where all are whole.
fn settle(node: &mut Node, lean: &Lean, half: f64, near: f64) -> bool {
    let mut nearest: Option<(f64, usize)> = None;
    let mut whole = Vec::with_capacity(lean.replicas.len());
    for (kind, replicas) in lean.replicas.iter().enumerate() {
        let part = replicas - replicas.floor();
        let (far, at) =
            if part > half { ((1.0 - part) / (1.0 - half), replicas.ceil()) } else { (part / half, replicas.floor()) };
        let (least, most) = node.range[kind];
        whole.push((far, (at as i64).clamp(least, most)));
        if least < most && far > 1e-6 && nearest.is_none_or(|n| far < n.0) {
            nearest = Some((far, kind));
        }
    }
    let Some((_, first)) = nearest else { return false };
    for (kind, (far, at)) in whole.into_iter().enumerate() {
        if kind == first || (far < near && lean.replicas[kind] > 0.5) {
            node.range[kind] = (at, at);
        }
    }
    true
}
