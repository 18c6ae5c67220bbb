//! What a figure rests on.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where a figure comes from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// The weakest kind first.
    pub kind: EvidenceKind,
    /// The figure.
    pub figure: String,
    /// The address, formula, or device, date and runs.
    pub source: String,
}

/// How much a figure can be trusted; the weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EvidenceKind {
    /// By a formula.
    Estimated,
    /// By somebody else.
    Published,
    /// By us.
    Measured,
}
