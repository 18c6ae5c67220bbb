//! Closed cases and their price rows -> z3's word on whether they leave anything out.
//!
//! The options of a step fall into *parts*, which the cases do not tell apart; z3 gets one Boolean per part. A case becomes the
//! price row that closes it, each part with its least coefficient, or, where that row needs what others excluded first, the
//! plain clause that the case holds nothing. z3 then refutes that any choice of parts is left.

use std::collections::BTreeMap;

use z3::ast::Bool;
use z3::{SatResult, Solver};

use super::super::model::{Domain, Model};
use super::super::record::{Record, Side};
use super::{Ask, Scaled, at_most, exactly_one, one_of, solver};

/// The parts of the steps that the cases divide.
struct Parts<'a> {
    root: &'a Domain,
    /// Per step, its parts: columns of the root, ascending. A step that no case divides has one.
    of: Vec<Vec<Vec<u32>>>,
    /// One Boolean per part, of the steps that have several.
    taken: Vec<Vec<Bool>>,
}

/// What a case leaves to each step that it divides.
type Sides<'r> = BTreeMap<usize, Vec<&'r Side>>;

/// Whether z3 refutes that anything of the root is left beside the leaves; `None` when it does not answer.
pub fn covered(
    model: &Model,
    record: &Record,
    root: &Domain,
    leaves: &[usize],
    value: Option<i64>,
    ask: &Ask,
) -> Option<bool> {
    let mut cases: Vec<Sides> = Vec::with_capacity(leaves.len());
    for &leaf in leaves {
        let mut sides = Sides::new();
        for side in record.cases.sides(leaf) {
            sides.entry(side.step).or_default().push(side);
        }
        cases.push(sides);
    }
    let parts = Parts::new(root, &cases);
    let solver = solver(ask)?;
    for taken in parts.taken.iter().filter(|taken| !taken.is_empty()) {
        solver.assert(exactly_one(taken.iter().collect()));
    }
    for (&leaf, sides) in leaves.iter().zip(&cases) {
        let by = record.cases.list[leaf].by.last().map(|&place| &record.cases.proofs[place]);
        let price = by.filter(|by| value.is_some() || by.slope == 0);
        let price = price.map(|by| record.price(model.space, by, root.all(), value.unwrap_or(0)));
        parts.close(&solver, sides, price);
    }
    match solver.check() {
        SatResult::Unsat => Some(true),
        SatResult::Sat => Some(false),
        SatResult::Unknown => None,
    }
}

/// Whether all sides have the column.
fn inside(sides: &[&Side], column: u32) -> bool {
    sides.iter().all(|side| side.has(column))
}

impl<'a> Parts<'a> {
    fn new(root: &'a Domain, cases: &[Sides]) -> Self {
        let (mut of, mut taken, mut next) = (Vec::new(), Vec::new(), 0u32);
        for step in 0..root.steps() {
            let mut seen: Vec<&[u32]> = Vec::new();
            let mut parts = vec![root.of(step).to_vec()];
            for side in cases.iter().filter_map(|case| case.get(&step)).flatten() {
                if seen.contains(&side.columns.as_slice()) {
                    continue;
                }
                seen.push(&side.columns);
                let mut finer = Vec::with_capacity(parts.len() + 1);
                for part in parts {
                    let (a, b): (Vec<u32>, Vec<u32>) = part.into_iter().partition(|&column| side.has(column));
                    finer.extend([a, b].into_iter().filter(|part| !part.is_empty()));
                }
                parts = finer;
            }
            let bools = if parts.len() > 1 { parts.len() as u32 } else { 0 };
            taken.push((next..next + bools).map(Bool::new_const).collect());
            next += bools;
            of.push(parts);
        }
        Parts { root, of, taken }
    }

    /// Tells the solver that a case is closed: by its price row over the root, if that row does so alone.
    fn close(&self, solver: &Solver, sides: &Sides, price: Option<(Vec<i128>, i128)>) {
        let divided: Vec<usize> = sides.keys().copied().filter(|&step| self.of[step].len() > 1).collect();
        let whole = |step: &usize, part: &[u32]| part.first().is_some_and(|&column| inside(&sides[step], column));
        if let Some((coef, rhs)) = price {
            let coef_of = |column: u32| coef[self.root.all().binary_search(&column).unwrap_or(0)];
            let least = |part: &[u32]| part.iter().map(|&column| coef_of(column)).min().unwrap_or(0);
            // A step that the case does not divide counts with its least.
            let rest = (0..self.of.len()).filter(|step| !divided.contains(step));
            let rhs = rhs - rest.map(|step| least(self.root.of(step))).sum::<i128>();
            let (mut coef, mut groups, mut taken, mut case) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
            for step in &divided {
                groups.push(self.of[*step].len());
                coef.extend(self.of[*step].iter().map(|part| least(part)));
                case.extend(self.of[*step].iter().map(|part| whole(step, part)));
                taken.extend(&self.taken[*step]);
            }
            let scaled = Scaled::new(&coef, rhs, &groups);
            if scaled.excludes(&case, &groups) {
                solver.assert(at_most(&taken, &scaled));
                return;
            }
        }
        let outside = divided.iter().flat_map(|step| {
            let parts = self.of[*step].iter().zip(&self.taken[*step]);
            parts.filter(move |(part, _)| !whole(step, part)).map(|(_, taken)| taken.clone())
        });
        solver.assert(one_of(outside.collect()));
    }
}
