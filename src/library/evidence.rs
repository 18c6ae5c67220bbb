//! What a figure rests on.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

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
    /// What it is for, and the work that lies outside of that, or why nothing was held against it; `None` where the work lies inside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outside: Option<String>,
    /// Whether it is a time by work that does not say for how much: nobody can tell whether the work lies inside.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unbounded: bool,
    /// Whether it is a time that nobody gives an interval or percentiles of: percentiles of runs count it as exact.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub exact: bool,
}

/// What a plan's figures must rest on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Demand {
    /// The weakest kind that counts.
    pub least: EvidenceKind,
    /// Whether a figure may be used for work that it is not for; the plan then says so.
    pub beyond: bool,
    /// Whether qualities by several people may be compared; the plan then says so.
    pub mixed: bool,
}

impl Default for Demand {
    fn default() -> Demand {
        Demand { least: EvidenceKind::Estimated, beyond: true, mixed: false }
    }
}

impl Demand {
    /// Why figures that rest on this are not used; `None` where they are.
    pub fn refuses(&self, evidence: &[Evidence]) -> Option<String> {
        let weak = evidence.iter().find(|e| e.kind < self.least);
        let said = |e: &Evidence| {
            let unbounded = || e.unbounded.then(|| "for work that it does not say".to_owned());
            e.outside.clone().or_else(unbounded)
        };
        let beyond = evidence.iter().filter(|_| !self.beyond).find_map(|e| Some((e, said(e)?)));
        weak.map(|e| format!("its `{}` is {}, and at least {} is asked for", e.figure, e.kind, self.least))
            .or_else(|| beyond.map(|(e, outside)| format!("its `{}` is {outside}", e.figure)))
    }
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

impl EvidenceKind {
    /// All, the strongest first.
    pub const ALL: [EvidenceKind; 3] = [EvidenceKind::Measured, EvidenceKind::Published, EvidenceKind::Estimated];

    /// The kind that is called so.
    pub fn parse(word: &str) -> Option<EvidenceKind> {
        EvidenceKind::ALL.into_iter().find(|kind| kind.text() == word)
    }

    /// In lower case.
    pub fn text(self) -> &'static str {
        match self {
            EvidenceKind::Estimated => "estimated",
            EvidenceKind::Published => "published",
            EvidenceKind::Measured => "measured",
        }
    }
}

impl fmt::Display for EvidenceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}
