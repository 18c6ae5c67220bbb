//! A [`Model`] and a goal -> the best plan, proved by exhaustion, or the best plan and a bound when the budget runs out.
//!
//! Depth-first branch and bound. Every cut rests on [`propagate`](super::propagate) or on a bound of
//! [`relax`](super::relax), both in exact integers; floats only choose where to look.

use std::collections::BTreeMap;

use super::branch::{Split, round, splits};
use super::budget::Budget;
use super::model::{Ceiling, Domain, Model, Row};
use super::presolve::value;
use super::price::{Cases, Goal, Hints, Multipliers};
use super::problem::Aggregate;
use super::propagate::{Cutoff, propagate};
use super::relax::Relaxation;
use super::simplex::{Answer, Basis};

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

/// Searches for the best plan; one with the value of `known` is not looked for again.
pub fn search(model: &Model, goal: Goal, known: Option<Vec<u32>>, budget: &Budget) -> Found {
    let mut domain = model.domain.clone();
    if !propagate(model, &Cutoff::default(), &mut domain) {
        return Found { best: None, bound: i64::MAX, exhausted: true, hints: Hints::default() };
    }
    let mut search = Search {
        model,
        goal,
        relaxation: Relaxation::new(model, goal, &domain),
        best: None,
        cutoff: Cutoff::default(),
        cases: Cases::default(),
    };
    if let Some(columns) = known {
        search.offer(&columns);
    }
    search.run(domain, budget)
}

struct Node {
    domain: Domain,
    basis: Option<Basis>,
    bound: i64,
    case: usize,
}

struct Search<'m> {
    model: &'m Model<'m>,
    goal: Goal,
    relaxation: Relaxation<'m>,
    best: Option<(Vec<u32>, i64)>,
    cutoff: Cutoff,
    cases: Cases,
}

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
    /// A dive.
    Dive,
    /// Neither.
    Plunge,
}

impl Search<'_> {
    fn run(mut self, domain: Domain, budget: &Budget) -> Found {
        let mut open = BTreeMap::new();
        let case = self.cases.open(0, None, Vec::new());
        let mut next = Some(Node { domain, basis: None, bound: 0, case });
        let (mut visits, mut picks) = (0u64, 0u64);
        // Plunge to a leaf, then go on from the open node with the lowest bound.
        while let Some((node, picked)) =
            next.take().map(|node| (node, false)).or_else(|| Some((open.pop_first()?.1, true)))
        {
            if (self.goal == Goal::Any && self.best.is_some()) || self.limit().is_some_and(|limit| node.bound > limit) {
                continue;
            }
            if !budget.spend() {
                open.insert((node.bound, visits), node);
                break;
            }
            picks += u64::from(picked);
            let stage = if visits == 0 {
                Stage::Root
            } else if picked && picks.is_multiple_of(DIVE_EVERY) {
                Stage::Dive
            } else {
                Stage::Plunge
            };
            visits += 2;
            let mut children = self.expand(node, stage);
            next = children.pop();
            for mut far in children {
                far.basis.iter_mut().for_each(Basis::pack);
                open.insert((far.bound, visits), far);
            }
        }
        let exhausted = open.is_empty();
        let value = self.best.as_ref().map_or(i64::MAX, |best| best.1);
        let bound = open.first_key_value().map(|(key, _)| key.0).unwrap_or(i64::MAX).min(value);
        let hints = self.relaxation.hints(self.cases);
        Found { best: self.best, bound, exhausted, hints }
    }

    fn limit(&self) -> Option<i64> {
        self.best.as_ref().map(|best| best.1 - 1)
    }

    /// Takes a plan that is better than the best so far.
    fn offer(&mut self, columns: &[u32]) {
        let space = self.model.space;
        let mut columns = columns.to_vec();
        space.close(&mut columns);
        let columns = columns.as_slice();
        let worth = match self.goal {
            Goal::Any => 0,
            Goal::Sum(figure) => value(space, columns, figure, Aggregate::Sum),
            Goal::Path(figure) => value(space, columns, figure, Aggregate::Path),
        };
        if self.limit().is_some_and(|limit| worth > limit) || !self.model.admits(columns) {
            return;
        }
        match self.goal {
            Goal::Any => (),
            Goal::Sum(figure) => match &mut self.cutoff.row {
                Some(row) => row.rhs = worth - 1,
                None => {
                    let steps: Vec<usize> = (0..columns.len()).collect();
                    self.cutoff.row = Some(Row::new(space, &steps, worth - 1, |c| space.sum(c, figure)));
                }
            },
            Goal::Path(figure) => self.cutoff.ceiling = Some(Ceiling { figure, limit: worth - 1 }),
        }
        self.best = Some((columns.to_vec(), worth));
    }

    /// Bounds a node; its children, the one to visit first last.
    fn expand(&mut self, mut node: Node, stage: Stage) -> Vec<Node> {
        let mut dive = stage != Stage::Plunge;
        loop {
            if !propagate(self.model, &self.cutoff, &mut node.domain) {
                return Vec::new();
            }
            if let Some(columns) = node.domain.single() {
                self.offer(&columns);
                return Vec::new();
            }
            let mut basis = node.basis.take().unwrap_or_else(|| self.relaxation.lp.start(&node.domain));
            if !self.bound(&mut node, &mut basis, stage == Stage::Root) {
                return Vec::new();
            }
            let point = self.relaxation.lp.primal(&basis);
            let rounded = round(&point, &node.domain);
            self.offer(&rounded);
            if self.goal == Goal::Any && self.best.is_some() {
                return Vec::new();
            }
            let fixed = match self.relaxation.round(&basis) {
                Some(proof) => {
                    let bound = self.relaxation.bound(&proof, &node.domain);
                    let excluded = bound.excludes(self.limit());
                    let fixed = !excluded && bound.fix(&mut node.domain, self.limit());
                    if excluded || fixed {
                        self.cases.by(node.case, proof);
                    }
                    if excluded {
                        return Vec::new();
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
                self.dive(node.domain.clone(), basis.clone());
                if self.limit() != before {
                    node.basis = Some(basis);
                    continue;
                }
            }
            match self.branch(&node, &basis, &point) {
                Branching::Open(children) => return children,
                Branching::Narrowed(side) => node = side,
                Branching::Closed => return Vec::new(),
            }
        }
    }

    /// Solves the relaxation, adding violated rows; `false` when the node holds nothing better.
    fn bound(&mut self, node: &mut Node, basis: &mut Basis, root: bool) -> bool {
        let rounds = if root { 60 } else { 8 };
        for _ in 0..rounds {
            match self.relaxation.solve(basis, &node.domain, self.limit(), PIVOTS) {
                Answer::Infeasible(ray) => {
                    let proof = self.relaxation.round_ray(&ray);
                    if self.relaxation.bound(&proof, &node.domain).excludes(None) {
                        self.cases.by(node.case, proof);
                        return false;
                    }
                    return true;
                }
                Answer::Optimal => {
                    let point = self.relaxation.lp.primal(basis);
                    let target = self.relaxation.lp.target(basis);
                    if !self.relaxation.separate(&point, target) {
                        break;
                    }
                }
                Answer::Cutoff | Answer::Stalled => break,
            }
        }
        let Some(proof) = self.relaxation.round(basis) else {
            return true;
        };
        let bound = self.relaxation.bound(&proof, &node.domain);
        let excluded = bound.excludes(self.limit());
        if excluded || bound.value() > node.bound {
            self.cases.by(node.case, proof);
        }
        node.bound = node.bound.max(bound.value());
        !excluded
    }

    /// Fixes one step after another to where the relaxation leans, to find a first plan.
    fn dive(&mut self, mut domain: Domain, mut basis: Basis) {
        for _ in 0..2 * domain.steps() {
            if let Some(columns) = domain.single() {
                self.offer(&columns);
                return;
            }
            let point = self.relaxation.lp.primal(&basis);
            self.offer(&round(&point, &domain));
            let open = point.iter().filter(|pair| domain.of(self.relaxation.lp.step[pair.0 as usize]).len() > 1);
            let lean = open.fold(None, |best: Option<(u32, f64)>, &pair| match best {
                Some(best) if best.1 >= pair.1 => Some(best),
                _ => Some(pair),
            });
            let Some((column, _)) = lean else { return };
            let at = self.relaxation.lp.step[column as usize];
            let mut fixed = domain.clone();
            fixed.retain(|step, other| step != at || other == column);
            if !propagate(self.model, &self.cutoff, &mut fixed) {
                domain.retain(|_, other| other != column);
                if !propagate(self.model, &self.cutoff, &mut domain) {
                    return;
                }
            } else {
                domain = fixed;
            }
            match self.relaxation.solve(&mut basis, &domain, self.limit(), PIVOTS) {
                Answer::Optimal => (),
                Answer::Infeasible(_) | Answer::Cutoff | Answer::Stalled => return,
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
        let case = self.cases.open(node.case, Some(split.half(left)), probe.by);
        probe.open.map(|(objective, side)| (objective, Node { case, ..side }))
    }

    /// A few pivots on one side of a split.
    fn probe(&mut self, mut domain: Domain, bound: i64, basis: &Basis) -> Probe {
        if !propagate(self.model, &self.cutoff, &mut domain) {
            return Probe { open: None, by: Vec::new() };
        }
        let mut basis = basis.clone();
        let answer = self.relaxation.solve(&mut basis, &domain, self.limit(), PROBE_PIVOTS);
        let proof = match &answer {
            Answer::Infeasible(ray) => Some(self.relaxation.round_ray(ray)),
            Answer::Optimal | Answer::Cutoff | Answer::Stalled => self.relaxation.round(&basis),
        };
        let (mut node, mut by) = (Node { domain, basis: None, bound, case: 0 }, Vec::new());
        if let Some(proof) = proof {
            let proved = self.relaxation.bound(&proof, &node.domain);
            let excluded = proved.excludes(self.limit());
            if excluded || proved.value() > bound {
                by.push(proof);
            }
            if excluded {
                return Probe { open: None, by };
            }
            node.bound = bound.max(proved.value());
        }
        let objective = self.relaxation.lp.objective(&basis);
        node.basis = Some(basis);
        Probe { open: Some((objective, node)), by }
    }
}

/// What a look at one side of a split says.
struct Probe {
    /// Its objective in the relaxation and the node that it would be; `None` when it is proved to hold nothing better.
    open: Option<(f64, Node)>,
    /// What proves its bound, or that it holds nothing better.
    by: Vec<Multipliers>,
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
