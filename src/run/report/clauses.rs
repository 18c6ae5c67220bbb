//! A plan's limits and what a run took -> which of them it kept. Time, money and energy are measured; of the rest, and of a share of runs, no
//! single run says anything.

use crate::plan::model::Plan;
use crate::plan::render::{at_line, metric};
use crate::run::budget::Unsettled;
use crate::run::fault::printable;
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What a run took in all, as far as it is known.
#[derive(Clone, Copy, Debug)]
pub struct Taken {
    /// Wall time of all runtimes that worked on it, seconds.
    pub latency_s: f64,
    /// Money, dollars.
    pub cost_usd: Option<f64>,
    /// Requests that the money does not count, since nobody knows their end.
    pub unsettled: Option<Unsettled>,
    /// Energy, watt-hours.
    pub energy_wh: Option<f64>,
    /// The quality that is planned of those who carried it out, where others than the plan's choices did.
    pub quality: Option<Decimal>,
    /// Whether it has its answer: one that has none may still break what it has kept so far.
    pub whole: bool,
}

/// A clause of the job, and what a run made of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Kept {
    /// As in the source: `latency <= 2 s`.
    pub text: String,
    /// Its line in the source, 1-based; 0 where the command line says it.
    pub line: u32,
    /// What is bounded.
    pub metric: String,
    /// Whether it is a wish that may be broken.
    pub soft: bool,
    /// The limit.
    #[serde(default)]
    pub limit: Decimal,
    /// What was measured, in the metric's unit (usd, s, Wh).
    pub measured: Option<f64>,
    /// What is planned of those who carried it out, where others than the plan's choices did, in the metric's unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub planned: Option<Decimal>,
    /// What the plan promises of a wish that it gave up and that one run does not tell, in the metric's unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given_up: Option<Decimal>,
    /// What may come on top of what was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unsettled: Option<Unsettled>,
    /// Whether it holds, where that is known.
    pub holds: Option<bool>,
}

impl Kept {
    /// Whether a limit that is no wish is broken.
    pub fn broken(&self) -> bool {
        self.holds == Some(false) && !self.soft
    }
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = match (self.holds, self.soft) {
            (None, _) if self.unsettled.is_some() => "not known",
            (None, _) => "not known from one run",
            (Some(true), _) => "holds",
            (Some(false), true) => "preferred, broken",
            (Some(false), false) => "BROKEN",
        };
        write!(f, "{}: {verdict}", printable(&self.text))?;
        if let Some(measured) = self.measured.and_then(|n| Decimal::try_from(n).ok()) {
            write!(f, ", {} measured", metric(&self.metric, measured))?;
        }
        if let Some(planned) = self.planned {
            let less = if planned < self.limit { ", which is less" } else { "" };
            write!(f, "; of those who stood in, {} is planned{less}", metric(&self.metric, planned))?;
        }
        if let Some(value) = self.given_up {
            write!(f, "; the plan gave it up: {} is planned", metric(&self.metric, value))?;
        }
        self.unsettled.map_or(Ok(()), |unsettled| write!(f, ", and {unsettled}"))
    }
}

/// The clauses of a plan, without rules, which a plan keeps or not before anything is run.
pub fn clauses(plan: &Plan, taken: &Taken) -> Vec<Kept> {
    let of = |name: &str| match name {
        "latency" => Some(taken.latency_s),
        "cost" => taken.cost_usd,
        "energy" => taken.energy_wh,
        _ => None,
    };
    let limits = plan.clauses.iter().filter(|clause| clause.metric != "rule");
    let kept = limits.map(|clause| {
        let measured = of(&clause.metric);
        // Sums of binary fractions are no more exact than this.
        let limit = clause.limit.to_f64().unwrap_or(f64::INFINITY) * (1.0 + 1e-9);
        let unsettled = taken.unsettled.filter(|_| clause.metric == "cost");
        let more = unsettled.map_or(0.0, |u| u.usd);
        // What may still come on top of it leaves open whether it holds.
        let within = measured.filter(|n| *n > limit || n + more <= limit).map(|n| n <= limit);
        Kept {
            text: clause.text.clone(),
            line: clause.line,
            metric: clause.metric.clone(),
            soft: clause.soft,
            measured,
            unsettled,
            planned: taken.quality.filter(|_| clause.metric == "quality"),
            given_up: (measured.is_none() && clause.soft && !clause.holds).then_some(clause.value),
            limit: clause.limit,
            holds: within.filter(|within| taken.whole || !within),
        }
    });
    kept.collect()
}

/// A line for each clause, as `plan` has them.
pub fn lines(clauses: &[Kept]) -> String {
    clauses.iter().map(|kept| format!("\n{}  {kept}", at_line(kept.line))).collect()
}

/// What is said of limits that a run broke; none where it broke none.
pub fn warning(clauses: &[Kept]) -> Option<String> {
    let broken: Vec<String> = clauses.iter().filter(|kept| kept.broken()).map(Kept::to_string).collect();
    (!broken.is_empty()).then(|| format!("the run broke what its job demands: {}", broken.join("; ")))
}
