//! A node -> the bound that the relaxation proves for it, in exact integers.

use super::super::basis::Basis;
use super::super::price::{Bound, Multipliers};
use super::super::simplex::Answer;
use super::{LEAST, Node, PIVOTS, Search};

/// Rounds of rows of the root, and of another node.
const ROOT_ROUNDS: usize = 60;
const ROUNDS: usize = 4;
/// By how much of a limit a thick path is violated before it becomes a row.
const ROOT_LEAST: f64 = 1e-3;

/// What the relaxation says of a node.
pub(super) enum Bounding {
    /// It holds nothing better.
    Closed,
    /// A bound, in exact integers; whether the relaxed point satisfies every row that was looked for.
    Proved((Multipliers, Bound), bool),
    /// No bound.
    Unproved,
}

impl Search<'_> {
    /// Solves the relaxation, adding violated rows.
    pub(super) fn bound(&mut self, node: &mut Node, basis: &mut Basis, root: bool) -> Bounding {
        let (rounds, mut settled) = (if root { ROOT_ROUNDS } else { ROUNDS }, false);
        for round in 0..rounds {
            // Multipliers of fewer rows bound as well.
            if root && round > 0 && self.budget.out_of_time() {
                break;
            }
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
                    settled = !self.relaxation.separate(basis, if root { ROOT_LEAST } else { LEAST });
                    if settled {
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
        if excluded { Bounding::Closed } else { Bounding::Proved((proof, bound), settled) }
    }
}
