//! What the solver says of a [`Problem`](super::problem::Problem).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The solver's word on a problem.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// A choice that satisfies every clause.
    Solved(Solution),
    /// No choice can; why.
    Conflict(Conflict),
    /// Neither was found within the limits; why, in words.
    Unknown(String),
}

/// One choice per step.
#[derive(Clone, Debug, PartialEq)]
pub struct Solution {
    /// The index of the chosen option, per step.
    pub choice: Vec<usize>,
    /// The value of each wish, in order.
    pub values: Vec<i64>,
    /// How far this is proved.
    pub proof: Proof,
}

/// Who proved what z3 was not asked about, or gave no answer to.
pub const NATIVE: &str = "native";

/// How far a solution is proved to be the best.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Proof {
    /// Proved optimal, or the gap.
    pub status: Status,
    /// Who proved it: `z3 4.8.12`, or `native` where z3 was not asked or gave no answer.
    pub by: String,
    /// Calls to z3.
    pub z3_checks: u32,
    /// Nodes that the branch and bound visited.
    pub nodes: u64,
    /// Options left after presolve, of how many.
    pub kept: (usize, usize),
}

/// Whether a solution is the best.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// No better choice exists: proved for every wish in order.
    Optimal,
    /// The best so far. `wish` is the first wish that is not proved; its value cannot be under `bound`.
    Feasible {
        /// Index of the first wish that is not proved.
        wish: usize,
        /// Proved lower bound of that wish.
        bound: i64,
    },
}

/// Why there is no plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// A minimal set of clauses that cannot hold together (indices, ascending), the one whose last clauses are stated first.
    /// Empty: the steps cannot be carried out at all (no options, coupling or capacity).
    pub core: Vec<usize>,
    /// The other minimal sets that cannot hold together, in lexicographic order; a few of them if there are many.
    pub others: Vec<Vec<usize>>,
    /// Whether z3 confirmed that the core cannot be satisfied.
    pub confirmed: bool,
    /// For each numeric clause of the core, the best value that all the other clauses allow (`None`: none does).
    pub reachable: Vec<(usize, Option<i64>)>,
    /// For each numeric clause of any of the sets for which all other clauses allow no value, or of which `reachable` does not
    /// speak: the best value that the rest of its set allows, in the first set that has it.
    pub alone: Vec<(usize, i64)>,
    /// The smallest sets of clauses that make a plan possible once they are relaxed; all of one size.
    pub repairs: Vec<Repair>,
}

/// Changes that together make a plan possible.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repair {
    /// `(clause, limit)`: each limit is the least under the other clauses and the changes before it; a clause without a limit
    /// is dropped (limit 0).
    pub changes: Vec<(usize, i64)>,
}
