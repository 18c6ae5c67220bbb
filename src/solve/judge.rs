//! Constraints over Booleans, and who decides them: z3 in this process, or in one of its own, which may end without harm.

use serde::{Deserialize, Serialize};

/// A constraint. Booleans have numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Constraint {
    /// Exactly one of these holds.
    One(Vec<u32>),
    /// The weights, above 0, of those that hold add up to at most the limit.
    AtMost(Vec<(u32, i32)>, i32),
    /// At least one of these is as it says.
    Any(Vec<(u32, bool)>),
}

/// The word on all constraints of a trial.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Word {
    /// They contradict each other.
    Refuted,
    /// They hold together where these Booleans hold and no others.
    Satisfied(Vec<u32>),
    /// No answer.
    Unknown,
}

/// What one trial may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// Milliseconds of one word.
    pub ms: u32,
    /// Steps of work of one word, which are the same on every machine.
    pub work: u32,
    /// Megabytes.
    pub megabytes: u32,
    /// Whether nothing that was decided before may sway which answer is found.
    pub fresh: bool,
}

/// Constraints that are decided together, and may grow between two words.
pub trait Trial {
    /// Adds a constraint.
    fn assert(&mut self, constraint: Constraint);

    /// The word on all of them.
    fn decide(&mut self) -> Word;
}

/// Who decides.
pub trait Judge: Sync {
    /// Begins a trial; `None` where nobody can decide.
    fn begin(&self, terms: Terms) -> Option<Box<dyn Trial + '_>>;

    /// Gets ready while there is time.
    fn warm_up(&self) {}
}
