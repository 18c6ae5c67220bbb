//! A plan and what its run took -> a table: predicted against measured, step by step.

use super::RunReport;
use super::fault::printable;
use super::meter::{Basis, StepMeasure};
use crate::plan::model::{Plan, Predicted};
use comfy_table::presets::ASCII_MARKDOWN;
use comfy_table::{Cell, CellAlignment, Table};
use rust_decimal::prelude::ToPrimitive;

/// The table, with a line of totals and a note on every figure that was not measured.
pub fn table(plan: &Plan, report: &RunReport) -> String {
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN);
    table.set_header([
        "step", "by", "calls", "time s", "planned", "usd", "planned", "Wh", "planned", "tokens", "waited s",
    ]);
    for m in &report.steps {
        let Some(step) = plan.steps.iter().find(|s| s.id == m.step) else {
            continue;
        };
        table.add_row(row(m, &step.predicted));
    }
    let cost = sum(report.steps.iter().map(|m| m.cost_usd));
    let energy = sum(report.steps.iter().map(|m| m.energy_wh));
    let total = &plan.total;
    let at_least = if total.energy_known { "" } else { ">=" };
    let calls: u64 = report.steps.iter().map(|m| m.calls).sum();
    let tokens: u64 = report.steps.iter().map(|m| m.tokens_in + m.tokens_out).sum();
    table.add_row([
        Cell::new("total"),
        Cell::new(""),
        right(calls.to_string()),
        right(number(Some(report.wall_s))),
        right(number(total.latency_s.to_f64())),
        right(number(cost)),
        right(number(total.cost_usd.to_f64())),
        right(number(energy)),
        right(format!("{at_least}{}", number(total.energy_wh.to_f64()))),
        right(tokens.to_string()),
        Cell::new(""),
    ]);
    let mut text = table.trim_fmt();
    if report.steps.iter().any(|m| m.energy_basis == Some(Basis::Estimated)) {
        text.push_str("\n~ estimated: the plan's power times the measured time; no energy counter could be read");
    }
    if report.steps.iter().any(|m| m.cost_usd.is_none()) {
        text.push_str("\n- not known: a provider's bill is not visible here");
    }
    text
}

fn row(m: &StepMeasure, predicted: &Predicted) -> Vec<Cell> {
    let energy = match m.energy_basis {
        Some(Basis::Estimated) => format!("~{}", number(m.energy_wh)),
        _ => number(m.energy_wh),
    };
    let calls = if m.calls == m.started { m.calls.to_string() } else { format!("{} of {}", m.calls, m.started) };
    let tokens =
        if m.tokens_in + m.tokens_out == 0 { "-".to_owned() } else { format!("{}+{}", m.tokens_in, m.tokens_out) };
    vec![
        Cell::new(printable(&m.name)),
        Cell::new(printable(&m.implementation)),
        right(calls),
        right(number(Some(m.wall_s))),
        right(number(predicted.latency_s.to_f64())),
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
