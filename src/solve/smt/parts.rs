//! Closed cases and their price rows -> z3's word on whether they leave anything out.
//!
//! The options of a step fall into *parts*, which the cases do not tell apart; z3 gets one Boolean per part. A case becomes the
//! price row that closes it, each part with its least coefficient, or, where that row needs what others excluded first, the
//! plain clause that the case holds nothing. z3 then refutes that any choice of parts is left.

use std::collections::BTreeMap;

use z3::ast::Bool;
use z3::{SatResult, Solver};

use super::super::model::{Domain, Model};
use super::super::price::{Hints, Side};
use super::super::replay::{Leaf, Replay};
use super::{Ask, Scaled, at_most, exactly_one, one_of, solver};

/// The parts of the steps that the cases divide.
struct Parts {
    /// Per step, its parts: columns of the root, ascending. A step that no case divides has one.
    of: Vec<Vec<Vec<u32>>>,
    /// Per step, the Boolean of its first part; `usize::MAX` for a step with one part.
    first: Vec<usize>,
}

/// What a case leaves to each step that it divides.
type Sides<'h> = BTreeMap<usize, Vec<&'h Side>>;

/// Whether z3 refutes that anything is left beside the cases; `None` when it does not answer.
pub fn covered(model: &Model, hints: &Hints, replay: &Replay, value: i64, ask: &Ask) -> Option<bool> {
    let sides: Vec<Sides> = replay.leaves.iter().map(|leaf| sides(hints, leaf.case)).collect();
    let parts = Parts::new(&replay.root, &sides);
    let count: usize = parts.of.iter().map(Vec::len).filter(|&len| len > 1).sum();
    let bools: Vec<Bool> = (0..count).map(|place| Bool::new_const(place as u32)).collect();
    let solver = solver(ask)?;
    for (of, &first) in parts.of.iter().zip(&parts.first) {
        if of.len() > 1 {
            solver.assert(exactly_one(bools[first..first + of.len()].iter().collect()));
        }
    }
    for (leaf, sides) in replay.leaves.iter().zip(&sides) {
        parts.close(&solver, &bools, model, hints, replay, leaf, sides, value);
    }
    if std::env::var("DBG").is_ok() {
        eprintln!(
            "parts {:?} count {count} leaves {} root {}",
            parts.of.iter().map(Vec::len).collect::<Vec<_>>(),
            sides.len(),
            replay.root.all().len()
        );
    }
    match solver.check() {
        SatResult::Unsat => Some(true),
        SatResult::Sat => Some(false),
        SatResult::Unknown => None,
    }
}

fn sides(hints: &Hints, case: usize) -> Sides<'_> {
    let (mut sides, mut at) = (Sides::new(), case);
    while let Some(side) = &hints.cases.list[at].side {
        sides.entry(side.step).or_default().push(side);
        at = hints.cases.list[at].parent;
    }
    sides
}

/// Whether all sides have the column.
fn inside(sides: &[&Side], column: u32) -> bool {
    sides.iter().all(|side| side.has(column))
}

impl Parts {
    fn new(root: &Domain, cases: &[Sides]) -> Self {
        let (mut of, mut first, mut next) = (Vec::new(), Vec::new(), 0);
        for step in 0..root.steps() {
            let mut parts = vec![root.of(step).to_vec()];
            for side in cases.iter().filter_map(|case| case.get(&step)).flatten() {
                let mut finer = Vec::with_capacity(parts.len() + 1);
                for part in parts {
                    let (a, b): (Vec<u32>, Vec<u32>) = part.iter().partition(|&&column| side.has(column));
                    finer.extend([a, b].into_iter().filter(|part| !part.is_empty()));
                }
                parts = finer;
            }
            first.push(if parts.len() > 1 { next } else { usize::MAX });
            next += if parts.len() > 1 { parts.len() } else { 0 };
            of.push(parts);
        }
        Parts { of, first }
    }

    /// Tells the solver that a case is closed.
    #[allow(clippy::too_many_arguments)]
    fn close(
        &self,
        solver: &Solver,
        bools: &[Bool],
        model: &Model,
        hints: &Hints,
        replay: &Replay,
        leaf: &Leaf,
        sides: &Sides,
        value: i64,
    ) {
        let steps: Vec<usize> = sides.keys().copied().filter(|&step| self.of[step].len() > 1).collect();
        if let Some(by) = leaf.by {
            let columns = replay.root.all();
            let price = hints.price(model.space, &hints.cases.proofs[by], columns, value);
            let coef_of = |column: u32| price.coef[columns.binary_search(&column).unwrap_or(0)];
            let least = |part: &[u32]| part.iter().map(|&column| coef_of(column)).min().unwrap_or(0);
            // A step that the case does not divide counts with its least.
            let rest = (0..self.of.len()).filter(|step| !steps.contains(step));
            let rhs = price.rhs - rest.map(|step| least(replay.root.of(step))).sum::<i128>();
            let (mut coef, mut groups, mut taken, mut case) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
            for &step in &steps {
                groups.push(self.of[step].len());
                for (place, part) in self.of[step].iter().enumerate() {
                    coef.push(least(part));
                    taken.push(bools[self.first[step] + place].clone());
                    case.push(part.first().is_some_and(|&column| inside(&sides[&step], column)));
                }
            }
            let scaled = Scaled::new(&coef, rhs, &groups);
            if scaled.excludes(&case, &groups) {
                solver.assert(at_most(&taken, &scaled));
                return;
            }
        }
        if std::env::var("DBG").is_ok() {
            eprint!("{}", if leaf.by.is_some() { 'r' } else { '.' });
        }
        let mut clause = Vec::new();
        for &step in &steps {
            for (place, part) in self.of[step].iter().enumerate() {
                if !part.first().is_some_and(|&column| inside(&sides[&step], column)) {
                    clause.push(bools[self.first[step] + place].clone());
                }
            }
        }
        solver.assert(one_of(clause));
    }
}
