//! A [`Model`] and a goal -> the best plan, proved by exhaustion, or the best plan and a bound when the budget runs out.
//!
//! Depth-first branch and bound. Every cut rests on [`propagate`](super::propagate) or on a bound of
//! [`relax`](super::relax), both in exact integers; floats only choose where to look.

mod bound;
mod open;
mod primal;
mod probe;

use self::bound::Bounding;
use self::open::Open;
use self::primal::FREE;
use self::probe::{Branching, Gains};
use super::basis::Basis;
use super::branch::round;
use super::budget::Budget;
use super::enumerate::Ended;
use super::model::{Ceiling, Domain, Model, Row};
use super::presolve::value;
use super::price::{Bound, Goal, Hints, Multipliers, Price};
use super::problem::Aggregate;
use super::propagate::{Cutoff, extent, propagate};
use super::record::Cases;
use super::relax::{Relaxation, Said};

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
    let mut learned =
        Learned { best: None, said: Vec::new(), basis: None, proofs: Vec::new(), cases: Cases::default() };
    learned.cases.cut = !budget.record;
    learned.cases.open(0, None);
    if let Some(columns) = known {
        offer(&mut learned.best, model, goal, &columns);
    }
    let (mut dive, mut proved) = (true, 0);
    while propagate(model, &Cutoff::default(), &mut domain) && carried.iter().all(|price| price.fix(&mut domain)) {
        // What is left is searched without the rest, so that nothing walks over columns that are gone; only those stay that the
        // relaxation goes on from.
        let basis = learned.basis.take();
        let mut keep = domain.all().to_vec();
        keep.extend(basis.iter().flat_map(Basis::columns));
        keep.sort_unstable();
        keep.dedup();
        let basis = basis.map(|basis| basis.renamed(|column| keep.partition_point(|&kept| kept < column) as u32));
        let space = model.space.restrict(&keep);
        let small = model.restrict(&space, &keep);
        let mut left = small.domain.clone();
        left.retain(|step, column| domain.of(step).binary_search(&keep[column as usize]).is_ok());
        let mut search = Search::new(model, &small, keep, goal, learned, budget);
        let root = Node { domain: left, basis, bound: 0, guess: 0, case: 0 };
        let stage = if dive { Stage::Root } else { Stage::Again };
        // Once begun, the root is looked at as often as it loses columns, whatever the nodes; and without a plan yet once, whatever the
        // clock says.
        let out = !budget.spend();
        if out && ((dive && budget.is_spent()) || (search.best.is_some() && budget.out_of_time())) {
            let least = least(&small, goal).max(proved);
            return search.found(budget, Some(least));
        }
        let Some(root) = search.tighten(root, stage) else {
            return search.found(budget, None);
        };
        proved = proved.max(root.node.bound);
        let left: Vec<u32> = root.node.domain.all().iter().map(|&column| search.keep[column as usize]).collect();
        if 4 * left.len() > 3 * domain.all().len() {
            if budget.is_spent() && budget.record && !budget.out_of_time() {
                search.harvest(&root);
            }
            return if out && search.best.is_some() {
                search.found(budget, Some(proved))
            } else {
                search.run(root, budget)
            };
        }
        learned = search.learned(root.basis);
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
    /// The basis that the relaxation ended with.
    basis: Option<Basis>,
    proofs: Vec<Multipliers>,
    cases: Cases,
}

/// What no plan of a model is under: every step takes the least that it may.
fn least(model: &Model, goal: Goal) -> i64 {
    let of = |weight: &dyn Fn(u32) -> i64| -> Vec<i64> {
        (0..model.domain.steps()).map(|step| extent(&model.domain, step, weight).0).collect()
    };
    match goal {
        Goal::Any => 0,
        Goal::Sum(figure) => of(&|column| model.space.sum(column as usize, figure)).iter().sum(),
        Goal::Path(figure) => model.space.longest(&of(&|column| model.space.figure(column as usize, figure))).0,
    }
}

/// Takes a plan that is better than the best so far.
fn offer(best: &mut Option<(Vec<u32>, i64)>, model: &Model, goal: Goal, columns: &[u32]) -> bool {
    let mut columns = columns.to_vec();
    model.space.close(&mut columns);
    let worth = match goal {
        Goal::Any => 0,
        Goal::Sum(figure) => value(model.space, &columns, figure, Aggregate::Sum),
        Goal::Path(figure) => value(model.space, &columns, figure, Aggregate::Path),
    };
    let better = best.as_ref().is_none_or(|best| worth < best.1) && model.admits(&columns);
    if better {
        *best = Some((columns, worth));
    }
    better
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
    /// What splits of each kind have gained.
    gains: Vec<Gains>,
    /// The clock that the root looks at between rounds.
    budget: &'m Budget<'m>,
}

/// Combinations kept for z3: the root's, and the latest leaves'.
const MOST_PROOFS: usize = 64;
/// Pivots of a node.
const PIVOTS: usize = 3_000;

/// By how much of a limit a thick path is violated before it becomes a row, but at the root.
const LEAST: f64 = 1e-2;

/// Nodes until which a search goes on for a first plan when time is out.
const GRACE: u64 = 100;

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

impl<'m> Search<'m> {
    fn new(
        outer: &'m Model<'m>,
        model: &'m Model<'m>,
        keep: Vec<u32>,
        goal: Goal,
        learned: Learned,
        budget: &'m Budget<'m>,
    ) -> Self {
        let relaxation = Relaxation::new(model, goal, &model.domain, &learned.said);
        let Learned { best, proofs, cases, .. } = learned;
        let gains = vec![Gains::default(); 2 * model.domain.steps()];
        let mut search = Search {
            outer,
            model,
            keep,
            goal,
            relaxation,
            best,
            cutoff: Cutoff::default(),
            proofs,
            cases,
            free: FREE,
            gains,
            budget,
        };
        search.cut();
        search
    }

    fn learned(self, basis: Basis) -> Learned {
        let basis = Some(basis.renamed(|column| self.keep[column as usize]));
        let said = self.relaxation.said().to_vec();
        Learned { best: self.best, said, basis, proofs: self.proofs, cases: self.cases }
    }

    /// The result, with the lowest bound of what is still open.
    fn found(self, budget: &Budget, open: Option<i64>) -> Found {
        let value = self.best.as_ref().map_or(i64::MAX, |best| best.1);
        let mut proofs = self.proofs;
        match budget.prices.get() {
            0 => proofs.clear(),
            // The root's stays, and then the latest.
            wanted if wanted < proofs.len() => drop(proofs.drain(1..=proofs.len() - wanted)),
            _ => (),
        }
        let hints = Relaxation::hints(self.outer, self.goal, self.relaxation.said(), &proofs, self.cases);
        Found { best: self.best, bound: open.unwrap_or(i64::MAX).min(value), exhausted: open.is_none(), hints }
    }

    fn run(mut self, root: Bounded, budget: &Budget) -> Found {
        let (whole, start) = (root.node.domain.clone(), root.basis.clone());
        let mut polished = self.limit();
        let mut open = Open::new(self.model.space);
        let mut picks = 0u64;
        let mut children = self.children(root);
        loop {
            let mut next = children.pop();
            children.into_iter().for_each(|far| open.put(far));
            // Plunge to a leaf, then go on from the open node with the lowest bound.
            let picked = next.is_none();
            let Some(node) = next.take().or_else(|| open.take()) else { return self.found(budget, None) };
            children = Vec::new();
            if (self.goal == Goal::Any && self.best.is_some()) || self.limit().is_some_and(|limit| node.bound > limit) {
                self.cases.close(node.case);
                continue;
            }
            let late = !budget.spend() && (self.best.is_some() || budget.is_spent() || open.seen() > GRACE);
            if late || open.is_full() {
                return self.found(budget, Some(node.bound.min(open.least())));
            }
            picks += u64::from(picked);
            if self.goal != Goal::Any && self.limit() != polished {
                self.polish(&whole, &start);
                polished = self.limit();
            }
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
        let better = offer(&mut self.best, self.outer, self.goal, &outer);
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
            let (proved, settled) = match self.bound(&mut node, &mut basis, root) {
                Bounding::Closed => return None,
                Bounding::Proved(proved, settled) => (Some(proved), settled),
                Bounding::Unproved => (None, false),
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
                // While no column of the point goes, the relaxation says the same again.
                let same = settled && propagate(self.model, &self.cutoff, &mut node.domain);
                if !(same && self.holds(&node.domain, &point)) {
                    node.basis = Some(basis);
                    continue;
                }
            }
            if std::mem::take(&mut dive) {
                let before = self.limit();
                if stage == Stage::Dive || before.is_none() {
                    self.dive(node.domain.clone(), basis.clone());
                }
                if self.goal != Goal::Any && (stage == Stage::Root || self.limit() != before) {
                    self.polish(&node.domain, &basis);
                }
                if self.limit() != before {
                    node.basis = Some(basis);
                    continue;
                }
            }
            return Some(Bounded { node, basis, point, proved });
        }
    }

    /// Whether a domain has every column of a point.
    fn holds(&self, domain: &Domain, point: &[(u32, f64)]) -> bool {
        let step = |column: u32| self.relaxation.lp.step[column as usize] as usize;
        point.iter().all(|&(column, _)| domain.of(step(column)).binary_search(&column).is_ok())
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
                    Branching::Narrowed(side) => *side,
                    Branching::Closed => return Vec::new(),
                },
            };
            match self.tighten(next, Stage::Plunge) {
                Some(tightened) => bounded = tightened,
                None => return Vec::new(),
            }
        }
    }
}
