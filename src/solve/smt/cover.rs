//! The closed cases of a search -> z3's word on whether they leave anything out.
//!
//! One Boolean per split that the search made, *the step takes one of these options*; a closed case is the clause that not all
//! of its splits hold. Every plan makes each split true or false, so that *unsat* says that every plan is in a closed case.

use std::collections::BTreeMap;

use super::super::judge::{Constraint, Trial, Word};
use super::super::record::Cases;

/// Whether z3 refutes that anything is left beside the leaves; `None` when it does not answer.
pub fn covered(cases: &Cases, leaves: &[usize], trial: &mut dyn Trial) -> Option<bool> {
    let mut splits: BTreeMap<(usize, &[u32]), u32> = BTreeMap::new();
    for &leaf in leaves {
        let mut sides = cases.sides(leaf);
        // From the first split on, so that z3 starts where the search did.
        sides.reverse();
        let mut clause = Vec::with_capacity(sides.len());
        for side in sides {
            let next = splits.len() as u32;
            let split = *splits.entry((side.step, &side.columns)).or_insert(next);
            clause.push((split, !side.inside));
        }
        trial.assert(Constraint::Any(clause));
    }
    match trial.decide() {
        Word::Refuted => Some(true),
        Word::Satisfied(_) => Some(false),
        Word::Unknown => None,
    }
}
