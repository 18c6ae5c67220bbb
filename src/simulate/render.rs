//! Outcomes of several policies → text for people, and JSON.

use super::compare::Compared;
use super::measure::{OfKind, Outcome};
use crate::plan::render::table;
use crate::units::{counted, shown};
use comfy_table::{CellAlignment, Table};
use rust_decimal::Decimal;
use serde_json::{Value, json};
use std::fmt::Write;

/// The policy that others are compared with.
pub const BASE: &str = "static";

/// What is said above the figures.
pub struct Heading<'a> {
    /// The cluster.
    pub cluster: &'a str,
    /// The jobs.
    pub jobs: &'a [String],
    /// Hours simulated.
    pub hours: f64,
    /// The seed.
    pub seed: u64,
}

/// Names with what came of them.
pub type Results = [(String, Compared)];

/// The outcomes that there are.
pub fn outcomes(results: &Results) -> impl Iterator<Item = &Outcome> {
    results.iter().filter_map(|(_, compared)| compared.outcome.as_ref().ok())
}

/// A number for people: at most so many digits behind the point.
pub fn number(value: f64, digits: u32) -> String {
    Decimal::from_f64_retain(value).map_or_else(|| "-".to_string(), |value| shown(value.round_dp(digits + 6), digits))
}

/// A percentile of the times of so many runs, for people: of none there is none.
fn time(seconds: f64, runs: u64) -> String {
    if runs == 0 { "-".to_string() } else { number(seconds, 2) }
}

/// A share for people.
pub fn share(value: f64) -> String {
    format!("{} %", number(value * 100.0, 2))
}

/// `2.8 x`; a dash where there is nothing to compare with.
pub fn times(base: f64, value: f64) -> String {
    if value > 0.0 { format!("{} x", number(base / value, 2)) } else { "-".to_string() }
}

/// The names of the figures of [`row`].
pub const COLUMNS: [&str; 12] =
    ["policy", "GPUs", "most", "GPU-h", "cost usd", "energy kWh", "busy", "p50 s", "p95 s", "p99 s", "late", "quality"];

/// A policy's figures.
pub fn row(outcome: &Outcome) -> [String; 12] {
    let (spent, runs) = (&outcome.spent, &outcome.runs);
    [
        outcome.policy.clone(),
        number(outcome.gpus_mean, 1),
        outcome.gpus_peak.to_string(),
        number(spent.gpu_hours, 1),
        number(spent.cost_usd, 2),
        number(spent.energy_wh() / 1000.0, 3),
        share(outcome.busy),
        time(runs.latency.p50_s, runs.done),
        time(runs.latency.p95_s, runs.done),
        time(runs.latency.p99_s, runs.done),
        share(runs.late_share),
        share(runs.quality),
    ]
}

/// The names of the figures of [`against_base`].
pub const SAVED: [&str; 5] = ["against static", "GPUs at most", "GPU-h", "cost", "energy"];

/// By how much each other policy takes less than [`BASE`], where that is among them.
pub fn against_base<'o>(all: &'o [&Outcome]) -> impl Iterator<Item = [String; 5]> + 'o {
    let base = all.iter().find(|outcome| outcome.policy == BASE);
    base.into_iter().flat_map(move |base| {
        all.iter().filter(|outcome| outcome.policy != BASE).map(move |outcome| {
            let (than, spent) = (&base.spent, &outcome.spent);
            [
                outcome.policy.clone(),
                times(base.gpus_peak as f64, outcome.gpus_peak as f64),
                times(than.gpu_hours, spent.gpu_hours),
                times(than.cost_usd, spent.cost_usd),
                times(than.energy_wh(), spent.energy_wh()),
            ]
        })
    })
}

/// The names of the figures of [`of_jobs`].
pub const OF_JOBS: [&str; 12] =
    ["job", "policy", "arrived", "done", "p50 s", "p95 s", "p99 s", "limit", "late", "GPU-h", "cost usd", "energy kWh"];

/// Every job's and every tier's figures under every policy.
pub fn of_jobs(results: &Results) -> Vec<[String; 12]> {
    let all = |outcome: &Outcome| outcome.jobs.len() + outcome.tiers.len();
    let rows = outcomes(results).map(all).max().unwrap_or(0);
    let one = |at: usize, outcome: &Outcome| {
        let of = outcome.jobs.iter().chain(&outcome.tiers).nth(at)?;
        let (runs, latency) = (&of.runs, &of.runs.latency);
        Some([
            of.job.clone(),
            outcome.policy.clone(),
            runs.arrived.to_string(),
            runs.done.to_string(),
            time(latency.p50_s, runs.done),
            time(latency.p95_s, runs.done),
            time(latency.p99_s, runs.done),
            of.limit.clone().unwrap_or_else(|| "-".to_string()),
            share(runs.late_share),
            number(of.spent.gpu_hours, 1),
            number(of.spent.cost_usd, 2),
            number(of.spent.energy_wh() / 1000.0, 3),
        ])
    };
    (0..rows).flat_map(|at| outcomes(results).filter_map(move |outcome| one(at, outcome))).collect()
}

/// The names of the figures of [`of_kinds`].
pub const OF_KINDS: [&str; 7] = ["instance", "policy", "replicas", "busy", "batch", "calls", "waited s"];

/// Every policy's kinds of instances.
pub fn of_kinds(results: &Results) -> Vec<[String; 7]> {
    let one = |outcome: &Outcome, kind: &OfKind| {
        [
            kind.kind.clone(),
            outcome.policy.clone(),
            number(kind.replicas, 2),
            share(kind.busy),
            number(kind.batch, 2),
            kind.calls.to_string(),
            number(kind.waited_s, 3),
        ]
    };
    outcomes(results).flat_map(|outcome| outcome.kinds.iter().map(move |kind| one(outcome, kind))).collect()
}

/// What is to be known of the figures, one thing a line.
pub fn notes(results: &Results) -> Vec<String> {
    let mut notes = Vec::new();
    for (name, compared) in results {
        match &compared.outcome {
            Err(unfit) => notes.push(format!("{name} is not simulated: {}", unfit.why)),
            Ok(outcome) => {
                if compared.refused > 0 {
                    let times = counted(compared.refused, "time");
                    notes.push(format!("{name}: {times} there was no plan, and the former one went on"));
                }
                if outcome.reused > 0.0 {
                    notes.push(format!("{name}: {} of what goes in had been read before", share(outcome.reused)));
                }
                if outcome.failures > 0 {
                    notes.push(format!("{name}: {} broke", counted(outcome.failures, "replica")));
                }
                if outcome.lost > 0 {
                    notes.push(format!("{name}: {} lost their devices", counted(outcome.lost, "replica")));
                }
                let waits: Vec<String> = outcome
                    .jobs
                    .iter()
                    .filter(|job| job.runs.in_flight > 0)
                    .map(|job| format!("{} of {} of `{}`", job.runs.in_flight, job.runs.arrived, job.job))
                    .collect();
                if !waits.is_empty() {
                    notes
                        .push(format!("{name}: runs that had not ended when the simulation did: {}", waits.join(", ")));
                }
            }
        }
    }
    let mut unknown: Vec<&String> = results.iter().flat_map(|(_, compared)| &compared.unknown).collect();
    unknown.sort();
    unknown.dedup();
    if !unknown.is_empty() {
        let all: Vec<&str> = unknown.iter().map(|what| what.as_str()).collect();
        notes.push(format!("not in the energy, since no power is known: {}", all.join(", ")));
    }
    notes
}

/// The outcomes as text, at most `width` columns wide.
pub fn text(heading: &Heading, results: &Results, width: u16) -> String {
    let mut out = String::new();
    let runs = outcomes(results).map(|outcome| outcome.runs.arrived).max().unwrap_or(0);
    let _ = writeln!(
        out,
        "{} of {} on `{}` in {} h, seed {}\n",
        counted(runs, "run"),
        heading.jobs.join(", "),
        heading.cluster,
        number(heading.hours, 2),
        heading.seed
    );
    let all: Vec<&Outcome> = outcomes(results).collect();
    let tables = [
        aligned(width, &COLUMNS, 1, all.iter().map(|outcome| row(outcome))),
        aligned(width, &SAVED, 1, against_base(&all)),
        aligned(width, &OF_JOBS, 2, of_jobs(results).into_iter()),
    ];
    for table in tables.iter().filter(|table| table.row_count() > 0) {
        let _ = writeln!(out, "{table}\n");
    }
    let notes = notes(results);
    if !notes.is_empty() {
        let _ = writeln!(out, "{}", notes.join("\n"));
    }
    out
}

/// A table whose columns behind the first ones, which are words, stand to the right.
fn aligned<const N: usize>(
    width: u16,
    header: &[&str; N],
    words: usize,
    rows: impl Iterator<Item = [String; N]>,
) -> Table {
    let mut table = table(width, header);
    table.add_rows(rows);
    (words..N).for_each(|at| {
        if let Some(column) = table.column_mut(at) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    });
    table
}

/// The outcomes as JSON.
pub fn value(heading: &Heading, results: &Results) -> Value {
    let one = |(name, compared): &(String, Compared)| match &compared.outcome {
        Ok(outcome) => json!({ "policy": name, "refused": compared.refused, "outcome": outcome }),
        Err(unfit) => json!({ "policy": name, "does_not_fit": unfit.why }),
    };
    json!({
        "cluster": heading.cluster,
        "jobs": heading.jobs,
        "hours": heading.hours,
        "seed": heading.seed,
        "quantile_error": super::sketch::ERROR,
        "notes": notes(results),
        "policies": results.iter().map(one).collect::<Vec<_>>(),
    })
}
