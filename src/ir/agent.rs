//! What an agent's model is asked with: its tools and the type of its answer, as the data flow hands them to the model's step.

use crate::library::place::Places;
use crate::types::Type;
use serde::{Deserialize, Serialize};

/// The most tokens that a model is shown of one thing: of what it is given, of a tool's result. A token is about four bytes.
pub const MOST_SHOWN: u32 = 2_000;

/// What an agent may do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Powers {
    /// The most steps; in the last one it answers.
    pub steps: u32,
    /// The type of its answer.
    pub answer: Type,
    /// What it may call.
    pub tools: Vec<Tool>,
}

/// A tool as the model sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tool {
    /// The task.
    pub name: String,
    /// What the library says of it.
    pub says: String,
    /// What the model gives.
    pub params: Vec<(String, Type)>,
    /// What the library declares of them, where their names do not say it: which take a place or are executed.
    #[serde(default, skip_serializing_if = "Places::is_empty")]
    pub places: Places,
    /// Whether its result is code, which may be executed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub gives_code: bool,
}
