//! A problem, a claim about it and a [`Certificate`] -> whether the certificate proves the claim.
//!
//! The claim is that a plan is optimal, wish by wish, or that some clauses clash. The checker shares no code with the search, the
//! relaxation or z3: it reads the problem as stated, adds up every combination of its rows anew, and looks itself at
//! what the certificate leaves open, at most as long as the certificate says. A wrong multiplier, a missing row or a missing case
//! can only make it refuse.
//!
//! A stage refutes `wish <= value - 1` under the clauses and the values of the earlier wishes. Its tree divides the options of one
//! step after another; each part lists the combinations that exclude options of it or all of it. Figures are checked first to be small
//! enough for sums to be exact. Options that another one replaces are left out, which the checker decides itself: both carry out
//! the same step, with the same classes, needs, rules, instance, uses and clauses over several steps, and none of the figures of the one that
//! stays is larger. Among the plans that would refute the claim, one with the fewest such options has none.

mod exhaust;
mod make;
mod rows;

use serde::{Deserialize, Serialize};

use self::exhaust::Exhaust;
pub use self::make::{certify, certify_conflict};
use self::rows::Rows;
use super::check::check;
use super::problem::{Origin, Problem, Wish};

/// A proof that a plan is optimal or that clauses clash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// One refutation per wish, in their order; one in all for a clash.
    pub stages: Vec<Stage>,
    /// How many nodes the checker visits at most where a part is not closed by its combinations.
    pub nodes: u64,
}

/// A refutation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stage {
    /// The rows of the problem that combinations take.
    pub rows: Vec<Origin>,
    /// Combinations: `(index into rows, multiplier)`, no multiplier below 0.
    pub combinations: Vec<Vec<(usize, i64)>>,
    /// The tree, each part before its own parts. Empty: nothing is divided.
    pub parts: Vec<Part>,
}

/// A part of what is to be refuted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// The combinations that exclude something of it, as indices.
    pub by: Vec<usize>,
    /// How it is divided; `None` when the rest of it is looked at.
    pub split: Option<Split>,
}

/// The options of a step in two halves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Split {
    /// The step; instances follow the steps and have the options closed (0) and open (1).
    pub step: usize,
    /// The options of the first half; all others are in the second.
    pub options: Vec<usize>,
    /// The two parts, as indices.
    pub parts: [usize; 2],
}

/// Checks that the choice keeps every clause and that no choice is better, wish by wish.
pub fn verify(problem: &Problem, choice: &[usize], certificate: &Certificate) -> Result<(), String> {
    let values = check(problem, choice).map_err(|violation| format!("the choice is no plan: {violation}"))?;
    if certificate.stages.len() != problem.wishes.len() {
        return Err(format!("{} wishes, {} stages", problem.wishes.len(), certificate.stages.len()));
    }
    let clauses: Vec<usize> = (0..problem.clauses.len()).collect();
    let mut bounds: Vec<(Wish, i64)> = Vec::new();
    let mut left = certificate.nodes;
    for (stage, (&wish, &value)) in certificate.stages.iter().zip(problem.wishes.iter().zip(&values.wishes)) {
        // Figures are not negative.
        if value > 0 {
            let mut claimed = bounds.clone();
            claimed.push((wish, value - 1));
            refute(problem, &clauses, &claimed, stage, &mut left)
                .map_err(|why| format!("that nothing is better in {}: {why}", spoken(&wish)))?;
        }
        bounds.push((wish, value));
    }
    Ok(())
}

/// What a part of a problem is called in files.
fn spoken(part: &impl Serialize) -> String {
    serde_json::to_string(part).map_or_else(|_| "?".to_owned(), |name| format!("`{name}`"))
}

/// Checks that no choice keeps all of the given clauses.
pub fn verify_conflict(problem: &Problem, core: &[usize], certificate: &Certificate) -> Result<(), String> {
    let [stage] = certificate.stages.as_slice() else {
        return Err(format!("{} stages instead of one", certificate.stages.len()));
    };
    refute(problem, core, &[], stage, &mut certificate.nodes.clone())
}

/// Checks that no choice keeps every clause and has less than `least` of the wish.
pub fn verify_least(problem: &Problem, wish: Wish, least: i64, certificate: &Certificate) -> Result<(), String> {
    // Figures are not negative.
    if least <= 0 {
        return Ok(());
    }
    let [stage] = certificate.stages.as_slice() else {
        return Err(format!("{} stages instead of one", certificate.stages.len()));
    };
    let clauses: Vec<usize> = (0..problem.clauses.len()).collect();
    refute(problem, &clauses, &[(wish, least - 1)], stage, &mut certificate.nodes.clone())
}

/// Checks that no choice keeps the clauses and the bounds; takes the nodes that it visits from `left`.
fn refute(
    problem: &Problem,
    clauses: &[usize],
    bounds: &[(Wish, i64)],
    stage: &Stage,
    left: &mut u64,
) -> Result<(), String> {
    let rows = Rows::new(problem, clauses, bounds)?;
    let mut exhaust = Exhaust::new(&rows, stage, left)?;
    exhaust.run()
}
