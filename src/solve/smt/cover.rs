//! The closed cases of a search -> z3's word on whether they leave anything out.
//!
//! One Boolean per split that the search made, *the step takes one of these options*; a closed case is the clause that not all
//! of its splits hold. Every plan makes each split true or false, so that *unsat* says that every plan is in a closed case.

use std::collections::BTreeMap;

use z3::SatResult;
use z3::ast::Bool;

use super::super::record::Cases;
use super::{Ask, one_of, solver};

/// Whether z3 refutes that anything is left beside the leaves; `None` when it does not answer.
pub fn covered(cases: &Cases, leaves: &[usize], ask: &Ask) -> Option<bool> {
    let solver = solver(ask)?;
    let mut splits: BTreeMap<(usize, &[u32]), Bool> = BTreeMap::new();
    for &leaf in leaves {
        let mut sides = cases.sides(leaf);
        // From the first split on, so that z3 starts where the search did.
        sides.reverse();
        let mut clause = Vec::with_capacity(sides.len());
        for side in sides {
            let next = splits.len() as u32;
            let split = splits.entry((side.step, &side.columns)).or_insert_with(|| Bool::new_const(next));
            clause.push(if side.inside { split.not() } else { split.clone() });
        }
        solver.assert(one_of(clause));
    }
    match solver.check() {
        SatResult::Unsat => Some(true),
        SatResult::Sat => Some(false),
        SatResult::Unknown => None,
    }
}
