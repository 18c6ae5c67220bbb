//! Plan + the plan of a changed job → what the change makes of it.

use super::answer::{Line, WhatIf, changes};
use crate::check::program::{Job, Metric};
use crate::plan::diff::diff;
use crate::plan::model::{Plan, Totals};
use crate::plan::render::{feasible, proved_by};
use crate::solve::outcome::Status;
use crate::space::encode::wishes;

/// What a change makes of a plan; `before` is `None` where there was no plan.
pub fn what_if(asked: &[String], replaced: Vec<Line>, before: Option<&Plan>, after: &Plan) -> WhatIf {
    WhatIf {
        asked: asked.to_vec(),
        replaced,
        cluster: after.cluster.name.clone(),
        diff: before.map_or_else(Vec::new, |b| diff(b, after)),
        changes: before.map_or_else(Vec::new, |b| changes(&b.total, &after.total)),
        total: Totals::clone(&after.total),
        proof: proof(after),
        optimal: after.proof.status == Status::Optimal,
    }
}

/// `optimal, proved by z3 4.8.12`
pub fn proof(plan: &Plan) -> String {
    match plan.proof.status {
        Status::Optimal => format!("optimal, proved by {}", proved_by(&plan.proof)),
        Status::Feasible { wish, bound } => feasible(plan, wish, bound),
    }
}

/// The wishes of a job in words, most important first; those that it does not state say so.
pub fn wished(job: &Job) -> Vec<String> {
    let word = |metric: Metric| if metric == Metric::Quality { "maximize" } else { "minimize" };
    let stated = |metric: Metric| if job.wishes.iter().any(|w| w.metric == metric) { "" } else { " (by default)" };
    wishes(job).into_iter().map(|m| format!("{} {}{}", word(m), m.name(), stated(m))).collect()
}
