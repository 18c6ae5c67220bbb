//! A plan and what its run took -> a table: predicted against measured, step by step.

pub mod clauses;
pub mod html;
pub mod machine;

use super::RunReport;
use super::fault::printable;
use super::meter::{Basis, StepMeasure};
use crate::plan::model::{Plan, PlanStep};
use crate::units::counted;
use comfy_table::presets::ASCII_MARKDOWN;
use comfy_table::{Cell, CellAlignment, Table};
use rust_decimal::prelude::ToPrimitive;
use serde::Serialize;

/// The table, with a line of totals and a note on every figure that was not measured.
pub fn table<A: Serialize>(plan: &Plan, report: &RunReport<A>) -> String {
    let plan = &plan.clone().with_steps(&report.changes);
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN);
    table.set_header([
        "step", "by", "calls", "time s", "planned", "off", "usd", "planned", "Wh", "planned", "tokens", "waited s",
    ]);
    for m in &report.steps {
        let Some(step) = plan.steps.iter().find(|s| s.id == m.step) else {
            continue;
        };
        table.add_row(row(m, step));
    }
    let cost = sum(report.steps.iter().map(|m| m.cost_usd));
    let energy = sum(report.steps.iter().map(|m| m.energy_wh));
    let total = &plan.total;
    let at_least = if total.energy_known { "" } else { ">=" };
    let calls: u64 = report.steps.iter().map(|m| m.calls).sum();
    let tokens = report.steps.iter().map(|m| m.tokens_in.saturating_add(m.tokens_out)).fold(0, u64::saturating_add);
    table.add_row([
        Cell::new("total"),
        Cell::new(""),
        right(calls.to_string()),
        right(number(Some(report.wall_s + report.earlier_s))),
        right(number(total.latency_s.to_f64())),
        Cell::new(""),
        right(number(cost)),
        right(number(total.cost_usd.to_f64())),
        right(number(energy)),
        right(format!("{at_least}{}", number(total.energy_wh.to_f64()))),
        right(tokens.to_string()),
        Cell::new(""),
    ]);
    let mut text = table.trim_fmt();
    if let Some(error) = median_error(plan, report) {
        text.push_str(&format!(
            "\nlatency of steps, measured against planned: {:.0} % off in the median",
            error * 100.0
        ));
    }
    text.push_str(&clauses::lines(&report.clauses));
    if report.steps.iter().any(|m| m.energy_basis == Some(Basis::Estimated)) {
        text.push_str("\n~ estimated: the plan's power times the measured time; no energy counter could be read");
    }
    for message in &report.adapted {
        text.push_str(&format!("\n{}", printable(message)));
    }
    for line in report.steps.iter().flat_map(otherwise) {
        text.push_str(&format!("\n{}", printable(&line)));
    }
    if report.steps.iter().any(|m| m.cost_usd.is_none()) {
        text.push_str("\n- not known: a provider's bill is not visible here");
    }
    if let Some(unsettled) = report.unsettled {
        text.push_str(&format!("\nnot in usd: {unsettled}"));
    }
    text.push_str(&machine::lines(report));
    text
}

/// Who carried a step out in place of the plan's choice, and why; results that were those of other runs.
pub fn otherwise(m: &StepMeasure) -> Vec<String> {
    let (name, first) = (&m.name, &m.implementation);
    let again = m.planned_again.iter();
    let mut lines: Vec<String> = again
        .map(|by| format!("{name}: {by} carried it out instead of {first}, since the rest was planned again"))
        .collect();
    lines.extend(m.stood_in.iter().map(|(by, calls)| {
        let calls = counted(*calls, "call");
        format!("{name}: {by} stood in for {}, which failed for good, in {calls}", m.choice())
    }));
    lines.extend((m.cached > 0).then(|| format!("{name}: {} from the cache", counted(m.cached, "result"))));
    lines
}

/// What a step's predicted latency is about: the time of all its calls added up, since they are predicted one after the other; for a
/// provider or a batch, which work on several at once, the time from the first to the last.
pub fn measured_s(m: &StepMeasure, step: &PlanStep) -> f64 {
    let overlaps = step.hardware.device == "api" || step.instance.is_some();
    if overlaps { m.wall_s } else { m.busy_s }
}

/// By what share of the prediction a step's time is off; none where nothing was predicted, or the step did not finish.
pub fn error(m: &StepMeasure, step: &PlanStep) -> Option<f64> {
    let predicted = step.predicted.latency_s.to_f64().filter(|s| *s > 0.0)?;
    // What another run made, or somebody else carried out, says nothing of the prediction.
    let own = m.cached == 0 && m.stood_in.is_empty();
    (own && m.calls > 0 && m.calls == m.started).then(|| measured_s(m, step) / predicted - 1.0)
}

/// The median of the errors' sizes over the steps that take a hundredth of the run, and ten milliseconds, or more: what takes no time
/// cannot be far off in a way that matters.
pub fn median_error<A: Serialize>(plan: &Plan, report: &RunReport<A>) -> Option<f64> {
    let all: f64 = report.steps.iter().map(|m| m.busy_s).sum();
    let steps = report.steps.iter().filter(|m| m.busy_s >= (all / 100.0).max(0.01));
    let errors = steps.filter_map(|m| error(m, plan.steps.iter().find(|s| s.id == m.step)?).map(f64::abs));
    crate::profile::fit::median(&errors.collect::<Vec<_>>())
}

fn row(m: &StepMeasure, step: &PlanStep) -> Vec<Cell> {
    let predicted = &step.predicted;
    let energy = match m.energy_basis {
        Some(Basis::Estimated) => format!("~{}", number(m.energy_wh)),
        _ => number(m.energy_wh),
    };
    let calls = if m.calls == m.started { m.calls.to_string() } else { format!("{} of {}", m.calls, m.started) };
    let tokens = if m.tokens_in == 0 && m.tokens_out == 0 {
        "-".to_owned()
    } else {
        format!("{}+{}", m.tokens_in, m.tokens_out)
    };
    vec![
        Cell::new(printable(&m.name)),
        Cell::new(printable(m.choice())),
        right(calls),
        right(number(Some(measured_s(m, step)))),
        right(number(predicted.latency_s.to_f64())),
        right(percent(error(m, step))),
        right(number(m.cost_usd)),
        right(number(predicted.cost_usd.to_f64())),
        right(energy),
        right(number(predicted.energy_wh.and_then(|wh| wh.to_f64()))),
        right(tokens),
        right(number(Some(m.queue_s))),
    ]
}

fn right(text: String) -> Cell {
    Cell::new(text).set_alignment(CellAlignment::Right)
}

/// The sum, if every part is known.
fn sum(parts: impl Iterator<Item = Option<f64>>) -> Option<f64> {
    parts.sum()
}

/// A share with its sign: `+12 %`.
pub fn percent(share: Option<f64>) -> String {
    share.map_or_else(|| "-".to_owned(), |e| format!("{:+.0} %", e * 100.0))
}

/// Three digits, whatever the size.
fn number(n: Option<f64>) -> String {
    match n {
        None => "-".to_owned(),
        Some(0.0) => "0".to_owned(),
        Some(n) if n.abs() >= 100.0 => format!("{n:.0}"),
        Some(n) if n.abs() >= 1.0 => format!("{n:.2}"),
        Some(n) if n.abs() >= 0.001 => format!("{n:.4}"),
        Some(n) => format!("{n:.1e}"),
    }
}
