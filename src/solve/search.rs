//! A [`Model`] and a goal -> the best plan, proved by exhaustion, or the best plan and a bound when the budget runs out.
//!
//! Depth-first branch and bound. Every cut rests on [`propagate`](super::propagate) or on a bound of
//! [`relax`](super::relax), both in exact integers; floats only choose where to look.

use std::collections::BTreeMap;

use super::basis::Basis;
use super::branch::{Split, round, splits};
use super::budget::Budget;
use super::enumerate::{Ended, Line, Walk};
use super::model::{Ceiling, Domain, Model, Row};
use super::presolve::value;
use super::price::{Bound, Goal, Hints, Multipliers, Price};
use super::problem::Aggregate;
use super::propagate::{Cutoff, propagate};
use super::record::Cases;
use super::relax::{Relaxation, Said};
use super::simplex::Answer;

/// What a search found.
pub struct Found {
    /// The best plan, one column per step, and its value.
    pub best: Option<(Vec<u32>, i64)>,
    /// No plan has a smaller value.
    pub bound: i64,
    /// Whether everything was searched: the best is optimal, or there is none.
    pub exhausted: bool,
    /// What helps z3 to refute anything better.
    pub hints: Hints,
}

/// Searches for the best plan; one with the value of `known` is not looked for again. `carried` are rows that every plan
/// satisfies.
pub fn search(model: &Model, goal: Goal, known: Option<Vec<u32>>, carried: &[Price], budget: &Budget) -> Found {
    let mut domain = model.domain.clone();
    let mut learned = Learned { best: None, said: Vec::new(), proofs: Vec::new(), cases: Cases::default() };
    learned.cases.cut = !budget.record;
    learned.cases.open(0, None);
    if let Some(columns) = known {
        learned.offer(model, goal, &columns);
    }
    let mut dive = true;
    while propagate(model, &Cutoff::default(), &mut domain) && carried.iter().all(|price| price.fix(&mut domain)) {
        // What is left is searched without the rest, so that nothing walks over columns that are gone.
        let keep = domain.all().to_vec();
        let space = model.space.restrict(&keep);
        let small = model.restrict(&space, &keep);
        let mut search = Search::new(model, &small, keep, goal, learned);
        let root = Node { domain: small.domain.clone(), basis: None, bound: 0, guess: 0, case: 0 };
        let stage = if dive { Stage::Root } else { Stage::Again };
        if !budget.spend() {
            return search.found(budget, Some(0));
        }
        let Some(root) = search.tighten(root, stage) else {
            return search.found(budget, None);
        };
        let left: Vec<u32> = root.node.domain.all().iter().map(|&column| search.keep[column as usize]).collect();
        if 4 * left.len() > 3 * search.keep.len() {
            return search.run(root, budget);
        }
        learned = search.learned();
        dive = false;
        domain.retain(|_, column| left.binary_search(&column).is_ok());
    }
    let bound = learned.best.as_ref().map_or(i64::MAX, |best| best.1);
    learned.cases.close(0);
    let hints = Relaxation::hints(model, goal, &learned.said, &[], learned.cases);
    Found { best: learned.best, bound, exhausted: true, hints }
}

/// What a search knows, whatever columns are left.
struct Learned {
    best: Option<(Vec<u32>, i64)>,
    said: Vec<Said>,
    proofs: Vec<Multipliers>,
    cases: Cases,
}

impl Learned {
    /// Takes a plan that is better than the best so far.
    fn offer(&mut self, model: &Model, goal: Goal, columns: &[u32]) -> bool {
        let mut columns = columns.to_vec();
        model.space.close(&mut columns);
        let worth = match goal {
            Goal::Any => 0,
            Goal::Sum(figure) => value(model.space, &columns, figure, Aggregate::Sum),
            Goal::Path(figure) => value(model.space, &columns, figure, Aggregate::Path),
        };
        let better = self.best.as_ref().is_none_or(|best| worth < best.1) && model.admits(&columns);
        if better {
            self.best = Some((columns, worth));
        }
        better
    }
}

struct Node {
    domain: Domain,
    basis: Option<Basis>,
    /// No plan of the domain has a smaller value.
    bound: i64,
    /// What the relaxation says of that bound, not proved: the order of visits.
    guess: i64,
    /// Where the record has it.
    case: usize,
}

struct Search<'m> {
    /// The model that was asked about, for plans and hints.
    outer: &'m Model<'m>,
    /// The model that is searched.
    model: &'m Model<'m>,
    /// The columns of the model that was asked about, of the columns that are searched.
    keep: Vec<u32>,
    goal: Goal,
    relaxation: Relaxation<'m>,
    best: Option<(Vec<u32>, i64)>,
    cutoff: Cutoff,
    proofs: Vec<Multipliers>,
    cases: Cases,
    /// The most free columns of a node that is enumerated.
    free: usize,
}

/// Combinations kept for z3: the root's, and the latest leaves'.
const MOST_PROOFS: usize = 64;
/// Pivots of a node, and of one side of a split that is only tried.
const PIVOTS: usize = 3_000;
const PROBE_PIVOTS: usize = 40;

/// How often a dive starts from the open node with the lowest bound.
const DIVE_EVERY: u64 = 16;

/// How much to invest in a node.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Many rounds of rows, and a dive.
    Root,
    /// Many rounds of rows.
    Again,
    /// A dive.
    Dive,
    /// Neither.
    Plunge,
}

/// A node that is bounded: what is left of it, its basis, the relaxed point, and the bound with its proof.
struct Bounded {
    node: Node,
    basis: Basis,
    point: Vec<(u32, f64)>,
    proved: Option<(Multipliers, Bound)>,
}

/// Columns that an enumeration may try before the search branches instead, and the free columns from which it is not tried.
const WALK: u64 = 4_000;
const FREE: usize = 120;
/// Steps of a window around the best plan, and columns tried in it.
const WINDOW: usize = 6;
const WINDOW_WALK: u64 = 1_500;
/// Free columns at which a dive tries all that is left.
const DIVE_FREE: usize = 60;
/// Columns that a dive takes back.
const MOST_WRONG: usize = 6;

impl<'m> Search<'m> {
    fn new(outer: &'m Model<'m>, model: &'m Model<'m>, keep: Vec<u32>, goal: Goal, learned: Learned) -> Self {
        let relaxation = Relaxation::new(model, goal, &model.domain, &learned.said);
        let Learned { best, proofs, cases, .. } = learned;
        let mut search =
            Search { outer, model, keep, goal, relaxation, best, cutoff: Cutoff::default(), proofs, cases, free: FREE };
        search.cut();
        search
    }

    fn learned(self) -> Learned {
        Learned { best: self.best, said: self.relaxation.said().to_vec(), proofs: self.proofs, cases: self.cases }
    }

    /// The result, with the lowest bound of what is still open.
    fn found(self, budget: &Budget, open: Option<i64>) -> Found {
        let value = self.best.as_ref().map_or(i64::MAX, |best| best.1);
        let mut proofs = self.proofs;
        let surplus = proofs.len().saturating_sub(budget.prices);
        // The root's stays, and then the latest.
        proofs.drain(surplus.min(1)..(surplus + 1).min(proofs.len()).max(surplus.min(1)));
        let hints = Relaxation::hints(self.outer, self.goal, self.relaxation.said(), &proofs, self.cases);
        Found { best: self.best, bound: open.unwrap_or(i64::MAX).min(value), exhausted: open.is_none(), hints }
    }

    fn run(mut self, root: Bounded, budget: &Budget) -> Found {
        let mut open = BTreeMap::new();
        let (mut visits, mut picks) = (2u64, 0u64);
        let mut children = self.children(root);
        loop {
            let mut next = children.pop();
            for mut far in children {
                far.basis.iter_mut().for_each(Basis::pack);
                open.insert((far.guess, visits), far);
                visits += 1;
            }
            // Plunge to a leaf, then go on from the open node with the lowest bound.
            let picked = next.is_none();
            let Some(node) = next.take().or_else(|| Some(open.pop_first()?.1)) else {
                return self.found(budget, None);
            };
            children = Vec::new();
            if (self.goal == Goal::Any && self.best.is_some()) || self.limit().is_some_and(|limit| node.bound > limit) {
                self.cases.close(node.case);
                continue;
            }
            if !budget.spend() {
                let least = open.values().map(|node: &Node| node.bound).min().unwrap_or(i64::MAX);
                return self.found(budget, Some(node.bound.min(least)));
            }
            picks += u64::from(picked);
            let stage = if picked && picks.is_multiple_of(DIVE_EVERY) { Stage::Dive } else { Stage::Plunge };
            if let Some(bounded) = self.tighten(node, stage) {
                children = self.children(bounded);
            }
        }
    }

    fn limit(&self) -> Option<i64> {
        self.best.as_ref().map(|best| best.1 - 1)
    }

    /// Takes a plan that is better than the best so far.
    fn offer(&mut self, columns: &[u32]) {
        let outer: Vec<u32> = columns.iter().map(|&column| self.keep[column as usize]).collect();
        let mut learned =
            Learned { best: self.best.take(), said: Vec::new(), proofs: Vec::new(), cases: Cases::default() };
        let better = learned.offer(self.outer, self.goal, &outer);
        self.best = learned.best;
        if better {
            self.cut();
        }
    }

    /// Asks for something better than the best so far.
    fn cut(&mut self) {
        let (Some(limit), space) = (self.limit(), self.model.space) else { return };
        match self.goal {
            Goal::Any => (),
            Goal::Sum(figure) => match &mut self.cutoff.row {
                Some(row) => row.rhs = limit,
                None => {
                    let steps: Vec<usize> = (0..self.model.domain.steps()).collect();
                    self.cutoff.row = Some(Row::new(space, &steps, limit, |c| space.sum(c, figure)));
                }
            },
            Goal::Path(figure) => self.cutoff.ceiling = Some(Ceiling { figure, limit }),
        }
    }

    /// Keeps what excludes something of a case.
    fn record(&mut self, case: usize, proof: Multipliers) {
        if !self.cases.cut {
            self.cases.by(case, &proof);
        }
        if self.proofs.contains(&proof) {
            return;
        }
        if self.proofs.len() >= MOST_PROOFS {
            self.proofs.remove(1);
        }
        self.proofs.push(proof);
    }

    /// Bounds a node and drops what it cannot take; `None` when it holds nothing better.
    fn tighten(&mut self, node: Node, stage: Stage) -> Option<Bounded> {
        let case = node.case;
        let left = self.narrow(node, stage);
        if left.is_none() {
            self.cases.close(case);
        }
        left
    }

    fn narrow(&mut self, mut node: Node, stage: Stage) -> Option<Bounded> {
        let root = matches!(stage, Stage::Root | Stage::Again);
        let mut dive = matches!(stage, Stage::Root | Stage::Dive);
        loop {
            if !propagate(self.model, &self.cutoff, &mut node.domain) {
                return None;
            }
            if let Some(columns) = node.domain.single() {
                self.offer(&columns);
                return None;
            }
            let mut basis = node.basis.take().unwrap_or_else(|| Basis::cheapest(&self.relaxation.lp, &node.domain));
            let proved = match self.bound(&mut node, &mut basis, root) {
                Bounding::Closed => return None,
                Bounding::Proved(proved) => Some(proved),
                Bounding::Unproved => None,
            };
            let point = self.relaxation.lp.primal(&basis);
            self.offer(&round(&point, &node.domain));
            if self.goal == Goal::Any && self.best.is_some() {
                return None;
            }
            let fixed = match &proved {
                Some((proof, bound)) if bound.excludes(self.limit()) => {
                    self.record(node.case, proof.clone());
                    return None;
                }
                Some((proof, bound)) => {
                    let fixed = bound.fix(&mut node.domain, self.limit());
                    if fixed && !self.cases.cut {
                        self.cases.by(node.case, proof);
                    }
                    fixed
                }
                None => false,
            };
            if fixed {
                node.basis = Some(basis);
                continue;
            }
            if std::mem::take(&mut dive) {
                let before = self.limit();
                if stage == Stage::Dive || before.is_none() {
                    self.dive(node.domain.clone(), basis.clone());
                }
                if self.goal != Goal::Any && (stage == Stage::Root || self.limit() != before) {
                    self.polish(&node.domain, &proved);
                }
                if self.limit() != before {
                    node.basis = Some(basis);
                    continue;
                }
            }
            return Some(Bounded { node, basis, point, proved });
        }
    }

    /// The parts of a node, the one to visit first last; none when an enumeration has settled it.
    fn children(&mut self, mut bounded: Bounded) -> Vec<Node> {
        loop {
            let next = match self.walk(&bounded) {
                Some(Ended::Complete) => {
                    self.cases.close(bounded.node.case);
                    return Vec::new();
                }
                // A better plan: what it leaves is less.
                Some(Ended::Stopped) if self.goal == Goal::Any => return Vec::new(),
                Some(Ended::Stopped) => Node { basis: Some(bounded.basis), ..bounded.node },
                Some(Ended::TooMany) | None => match self.branch(&bounded.node, &bounded.basis, &bounded.point) {
                    Branching::Open(children) => return children,
                    Branching::Narrowed(side) => side,
                    Branching::Closed => return Vec::new(),
                },
            };
            match self.tighten(next, Stage::Plunge) {
                Some(tightened) => bounded = tightened,
                None => return Vec::new(),
            }
        }
    }

    /// Enumerates a node that is small; `None` when it is not.
    fn walk(&mut self, bounded: &Bounded) -> Option<Ended> {
        let domain = &bounded.node.domain;
        let free = domain.free();
        if free > self.free {
            return None;
        }
        let ended = self.walk_on(domain, &bounded.proved, WALK);
        match ended {
            Ended::Complete => {
                self.free = self.free.max(free + free / 8);
                if let Some((proof, _)) = &bounded.proved {
                    self.record(bounded.node.case, proof.clone());
                }
            }
            Ended::TooMany => self.free = self.free.min(free - free / 8),
            Ended::Stopped => (),
        }
        Some(ended)
    }

    /// Enumerates a domain until a better plan is found.
    fn walk_on(&mut self, domain: &Domain, proved: &Option<(Multipliers, Bound)>, allowed: u64) -> Ended {
        let mut lines = Vec::new();
        if let (Some((proof, bound)), Some(limit)) = (proved, self.limit()) {
            if bound.excess.len() == domain.all().len() {
                lines.push(Line::shrink(&bound.excess, bound.slope * i128::from(limit) - bound.least));
            } else {
                let bound = self.relaxation.bound(proof, domain);
                let slack = bound.slope * i128::from(limit) - bound.least;
                if slack < 0 {
                    return Ended::Complete;
                }
                lines.push(Line::shrink(&bound.excess, slack));
            }
        }
        for row in self.relaxation.plain().chain(&self.cutoff.row) {
            let coef = domain.all().iter().map(|&column| row.coef[column as usize]).collect();
            lines.push(Line { coef, rhs: row.rhs });
        }
        let mut walk = Walk::new(self.model.space, domain, &lines, allowed);
        walk.run(&mut |columns| {
            let before = self.best.as_ref().map(|best| best.1);
            self.offer(columns);
            self.best.as_ref().map(|best| best.1) == before
        })
    }

    /// Solves the relaxation, adding violated rows.
    fn bound(&mut self, node: &mut Node, basis: &mut Basis, root: bool) -> Bounding {
        let rounds = if root { 60 } else { 8 };
        for _ in 0..rounds {
            match self.relaxation.solve(basis, &node.domain, self.limit(), PIVOTS) {
                Answer::Infeasible(ray) => {
                    let proof = self.relaxation.round_ray(&ray);
                    if self.relaxation.bound(&proof, &node.domain).excludes(None) {
                        self.record(node.case, proof);
                        return Bounding::Closed;
                    }
                    return Bounding::Unproved;
                }
                Answer::Optimal => {
                    basis.relax();
                    if !self.relaxation.separate(basis) {
                        break;
                    }
                }
                Answer::Cutoff | Answer::Stalled => break,
            }
        }
        let Some(proof) = self.relaxation.round(basis) else {
            return Bounding::Unproved;
        };
        let bound = self.relaxation.bound(&proof, &node.domain);
        let excluded = bound.excludes(self.limit());
        if root || excluded {
            self.record(node.case, proof.clone());
        } else if bound.value() > node.bound && !self.cases.cut {
            self.cases.by(node.case, &proof);
        }
        node.bound = node.bound.max(bound.value());
        if excluded { Bounding::Closed } else { Bounding::Proved((proof, bound)) }
    }

    /// Fixes one step after another to where the relaxation leans, to find a first plan; takes back what turns out wrong.
    fn dive(&mut self, mut domain: Domain, mut basis: Basis) {
        let (mut wrong, mut before): (usize, Option<(Domain, Basis, u32)>) = (0, None);
        for _ in 0..3 * domain.steps() {
            if let Some(columns) = domain.single() {
                let value = self.limit();
                self.offer(&columns);
                if self.limit() != value || wrong == MOST_WRONG {
                    return;
                }
            }
            let lp = &self.relaxation.lp;
            let point = lp.primal(&basis);
            let open = |pair: &&(u32, f64)| domain.of(lp.step[pair.0 as usize] as usize).len() > 1;
            let lean = point.iter().filter(open).fold(None, |best: Option<(u32, f64)>, &pair| match best {
                Some(best) if best.1 >= pair.1 => Some(best),
                _ => Some(pair),
            });
            let ahead = lean.and_then(|(column, _)| {
                let at = lp.step[column as usize] as usize;
                let mut fixed = domain.clone();
                fixed.retain(|step, other| step != at || other == column);
                Some((column, propagate(self.model, &self.cutoff, &mut fixed).then_some(fixed)))
            });
            let taken = match ahead {
                Some((column, Some(fixed))) => {
                    before = Some((std::mem::replace(&mut domain, fixed), basis.clone(), column));
                    true
                }
                Some((column, None)) => {
                    before = Some((domain.clone(), basis.clone(), column));
                    false
                }
                None => false,
            };
            let mut solved = taken && self.resolve(&mut basis, &domain);
            if solved && domain.free() <= DIVE_FREE {
                // The rest is small enough to try it all.
                match self.finish(&basis, &domain) {
                    Ended::Stopped => return,
                    Ended::Complete => solved = false,
                    Ended::TooMany => (),
                }
            }
            if !solved {
                // The column that was taken last is not part of a better plan of what was left then.
                let Some((left, last, column)) = before.take().filter(|_| wrong < MOST_WRONG) else { return };
                (domain, basis) = (left, last);
                wrong += 1;
                domain.retain(|_, other| other != column);
                if !propagate(self.model, &self.cutoff, &mut domain) || !self.resolve(&mut basis, &domain) {
                    return;
                }
            }
        }
    }

    /// Solves the relaxation with the rows that are violated; `false` when nothing better is left.
    fn resolve(&mut self, basis: &mut Basis, domain: &Domain) -> bool {
        for _ in 0..4 {
            match self.relaxation.solve(basis, domain, self.limit(), PIVOTS) {
                Answer::Optimal if self.relaxation.separate(basis) => (),
                Answer::Optimal => break,
                Answer::Infeasible(_) | Answer::Cutoff | Answer::Stalled => return false,
            }
        }
        true
    }

    /// Enumerates the end of a dive, plan after better plan; `Stopped` when there is one.
    fn finish(&mut self, basis: &Basis, domain: &Domain) -> Ended {
        let before = self.limit();
        loop {
            let proved = self.relaxation.round(basis).map(|proof| {
                let bound = self.relaxation.bound(&proof, domain);
                (proof, bound)
            });
            if proved.as_ref().is_some_and(|(_, bound)| bound.excludes(self.limit())) {
                break;
            }
            match self.walk_on(domain, &proved, WALK) {
                Ended::Stopped if self.goal != Goal::Any => (),
                Ended::TooMany if self.limit() == before => return Ended::TooMany,
                Ended::Stopped | Ended::TooMany | Ended::Complete => break,
            }
        }
        if self.limit() == before && !(self.goal == Goal::Any && self.best.is_some()) {
            Ended::Complete
        } else {
            Ended::Stopped
        }
    }

    /// Looks for better plans that differ from the best so far in a few steps only: all of them, window by window.
    fn polish(&mut self, domain: &Domain, proved: &Option<(Multipliers, Bound)>) {
        let steps = domain.steps();
        let mut order: Vec<usize> = (0..steps).filter(|&step| domain.of(step).len() > 1).collect();
        let size = WINDOW.min(order.len());
        let mut seed = 0x9E37_79B9_7F4A_7C15u64;
        let mut idle = 0;
        while idle < order.len() && size > 0 {
            // Numbers that do not repeat soon; the same on every machine.
            for place in 0..size {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let other = place + (seed >> 33) as usize % (order.len() - place);
                order.swap(place, other);
            }
            let Some(best) = self.best.as_ref().map(|best| best.0.clone()) else { return };
            let mut window = domain.clone();
            let free = &order[..size];
            window.retain(|step, column| free.contains(&step) || self.keep[column as usize] == best[step]);
            // A step of the best plan may have lost its option to the bound; then only windows with that step are full.
            idle += 1;
            if !window.is_empty() && self.walk_on(&window, proved, WINDOW_WALK) == Ended::Stopped {
                idle = 0;
            }
        }
    }

    /// Tries some splits and takes the one whose weaker side and stronger side both bound best.
    fn branch(&mut self, node: &Node, basis: &Basis, point: &[(u32, f64)]) -> Branching {
        let objective = self.relaxation.lp.objective(basis);
        let mut best: Option<(f64, Split, [Probe; 2])> = None;
        for split in splits(&self.relaxation, &node.domain, basis, point) {
            let [left, right] = [true, false].map(|left| self.probe(split.side(&node.domain, left), node.bound, basis));
            if let (Some(a), Some(b)) = (&left.open, &right.open) {
                let score = (a.0 - objective).max(1e-9) * (b.0 - objective).max(1e-9);
                if best.as_ref().is_none_or(|(most, ..)| score > *most) {
                    best = Some((score, split, [left, right]));
                }
                continue;
            }
            return match (self.settle(node, &split, true, left), self.settle(node, &split, false, right)) {
                (Some((_, side)), _) | (_, Some((_, side))) => Branching::Narrowed(side),
                (None, None) => Branching::Closed,
            };
        }
        let Some((_, split, [left, right])) = best else { return Branching::Closed };
        match (self.settle(node, &split, true, left), self.settle(node, &split, false, right)) {
            (Some(left), Some(right)) if left.0 <= right.0 => Branching::Open(vec![right.1, left.1]),
            (Some(left), Some(right)) => Branching::Open(vec![left.1, right.1]),
            (left, right) => Branching::Open(left.into_iter().chain(right).map(|side| side.1).collect()),
        }
    }

    /// Records one side of the split that was taken.
    fn settle(&mut self, node: &Node, split: &Split, left: bool, probe: Probe) -> Option<(f64, Node)> {
        if self.cases.cut {
            return probe.open.map(|(objective, side)| (objective, Node { case: node.case, ..side }));
        }
        let case = self.cases.open(node.case, Some(split.half(left, &self.keep)));
        match (probe.by, &probe.open) {
            (Some(proof), None) => self.record(case, proof),
            (Some(proof), Some(_)) => self.cases.by(case, &proof),
            (None, _) => (),
        }
        if probe.open.is_none() {
            self.cases.close(case);
        }
        probe.open.map(|(objective, side)| (objective, Node { case, ..side }))
    }

    /// A few pivots on one side of a split.
    fn probe(&mut self, mut domain: Domain, bound: i64, basis: &Basis) -> Probe {
        if !propagate(self.model, &self.cutoff, &mut domain) {
            return Probe { open: None, by: None };
        }
        let mut basis = basis.clone();
        let answer = self.relaxation.solve(&mut basis, &domain, self.limit(), PROBE_PIVOTS);
        let proof = match &answer {
            Answer::Infeasible(ray) => Some(self.relaxation.round_ray(ray)),
            Answer::Cutoff => self.relaxation.round(&basis),
            Answer::Optimal | Answer::Stalled => None,
        };
        let objective = self.relaxation.lp.objective(&basis);
        let guess = bound.max(self.relaxation.value(objective));
        let (mut node, mut by) = (Node { domain, basis: None, bound, guess, case: 0 }, None);
        if let Some(proof) = proof {
            let proved = self.relaxation.bound(&proof, &node.domain);
            let excluded = proved.excludes(self.limit());
            node.bound = bound.max(proved.value());
            if excluded || node.bound > bound {
                by = Some(proof);
            }
            if excluded {
                return Probe { open: None, by };
            }
        }
        node.basis = Some(basis);
        Probe { open: Some((objective, node)), by }
    }
}

/// What a look at one side of a split says.
struct Probe {
    /// Its objective in the relaxation and the node that it would be; `None` when it is proved to hold nothing better.
    open: Option<(f64, Node)>,
    /// What proves its bound, or that it holds nothing better.
    by: Option<Multipliers>,
}

/// What the relaxation says of a node.
enum Bounding {
    /// It holds nothing better.
    Closed,
    /// A bound, in exact integers.
    Proved((Multipliers, Bound)),
    /// No bound.
    Unproved,
}

/// What became of a node.
enum Branching {
    /// Two parts to visit, the more promising one last.
    Open(Vec<Node>),
    /// One side of a split was excluded: the node is the other.
    Narrowed(Node),
    /// Nothing better is left.
    Closed,
}
