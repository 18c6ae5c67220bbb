//! Answers → text for people, at most so many columns wide.

pub mod front;
pub mod html;
pub mod svg;

use super::answer::{
    Alternative, Answer, Carrier, Change, FigureMoves, FigureName, Front, Kind, Line, Move, NotChosen, Sensitivity,
    StepWhyNot, Value, WhatIf, Why, WhyNot,
};
use super::figures::Used;
use super::names::{said, shown};
use crate::plan::model::EvidenceKind;
use crate::plan::render::{kind, metric, points, table};
use crate::units::counted;
use comfy_table::CellAlignment;
use rust_decimal::{Decimal, dec};
use std::fmt::Write;

/// An answer as text.
pub fn text(answer: &Answer, width: u16) -> String {
    match &answer.answer {
        Kind::Why(a) => why(a, answer, width),
        Kind::WhyNot(a) => why_not(a, answer, width),
        Kind::WhatIf(a) => what_if(a, answer, width),
        Kind::Pareto(a) => pareto(a, answer, width),
        Kind::Sensitivity(a) => sensitivity(a, answer, width),
    }
}

fn pareto(front: &Front, answer: &Answer, width: u16) -> String {
    let mut out = format!("{} of `{}` on `{}`\n\n", front.metrics.join(", "), answer.job, answer.cluster);
    out.push_str(&front::table(front, width));
    out
}

fn why(a: &Why, answer: &Answer, width: u16) -> String {
    let mut out = String::new();
    let place = if a.step.line == 0 { "a fill".to_string() } else { format!("line {}", a.step.line) };
    let _ = writeln!(out, "`{}` ({place}) of `{}` on `{}`", a.step.name, answer.job, answer.cluster);
    let _ = writeln!(out, "is carried out by {}\n", shown(&a.chosen));
    if !a.better.is_empty() {
        let _ = writeln!(out, "this plan is not the best one, which comes to {}\n", moved(&a.better));
    }
    if a.alternatives.is_empty() {
        let _ = writeln!(out, "it is the only choice");
    }
    for d in &a.decided_by {
        let _ =
            writeln!(out, "decided by {}: without it, {} ({})", said(&d.line), shown(&d.instead), moved(&d.changes));
    }
    if a.decided_by.is_empty() && !a.alternatives.is_empty() {
        let _ = match a.better.as_slice() {
            [] => writeln!(out, "no single line decides it: it serves the wishes best ({})", a.wishes.join(", then ")),
            _ => writeln!(out, "no single line decides it"),
        };
    }
    if !a.alternatives.is_empty() {
        let _ = writeln!(out, "\nthe best plans with anything else in its place, nearest first");
        let mut table = table(width, &["otherwise", "carried out by", "latency", "cost", "energy", "quality", "then"]);
        for column in 2..6 {
            if let Some(column) = table.column_mut(column) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        for alternative in &a.alternatives {
            let of = |name| of_metric(&alternative.changes, name);
            table.add_row(vec![
                alternative.what.clone(),
                alternative.carrier.as_ref().map_or("no plan".to_string(), shown),
                of("latency"),
                of("cost"),
                of("energy"),
                of("quality"),
                then(alternative),
            ]);
        }
        let _ = writeln!(out, "{table}");
    }
    if let Some(e) = &a.evidence {
        let _ = writeln!(out, "\nweakest evidence: {} is {} ({})", e.figure, kind(e.kind), e.source);
    }
    if !a.excluded.is_empty() {
        let _ = writeln!(out, "\nnot to be had here");
        for e in &a.excluded {
            let _ = writeln!(out, "  {}: {}", e.implementation, e.why);
        }
    }
    out
}

fn then(a: &Alternative) -> String {
    let mut parts = Vec::new();
    if !a.breaks.is_empty() {
        parts.push(format!("breaks {}", lines(&a.breaks)));
    }
    match &a.differs_in {
        Some(metric) => match a.changes.iter().find(|c| c.metric == *metric).map(worse) {
            Some(true) => parts.push(format!("worse in {metric}")),
            _ => parts.push(format!("better in {metric}")),
        },
        None if a.carrier.is_some() => parts.push("equally good".to_string()),
        None => {}
    }
    if !a.also.is_empty() {
        parts.push(format!("changes {}", a.also.join(", ")));
    }
    parts.extend(a.note.clone());
    parts.join("; ")
}

fn why_not(a: &WhyNot, answer: &Answer, width: u16) -> String {
    let mut out = format!("`{}` for `{}` on `{}`\n", a.asked, answer.job, answer.cluster);
    for StepWhyNot { step, chosen, verdict } in &a.steps {
        let place = if step.line == 0 { "a fill".to_string() } else { format!("line {}", step.line) };
        let _ = writeln!(out, "\n{} ({place}), carried out by {}", step.name, shown(chosen));
        match verdict {
            NotChosen::IsChosen => {
                let _ = writeln!(out, "  the plan has it already");
            }
            NotChosen::Worse { carrier, changes, differs_in, diff } => {
                let said = match differs_in {
                    Some(metric) => format!("the plan with it is worse in {metric}"),
                    None => "the plan with it is equally good".to_string(),
                };
                let _ = writeln!(out, "  {said}: {}", shown(carrier));
                let _ = writeln!(out, "{}", indented(&compared(changes, width.saturating_sub(2))));
                for line in diff.iter().filter(|l| !is_total(l)) {
                    let _ = writeln!(out, "  {line}");
                }
            }
            NotChosen::Conflict { lines: core, said } => {
                let clash = if core.is_empty() { "the machines".to_string() } else { lines(core) };
                let _ = writeln!(out, "  no plan has it: it clashes with {clash}");
                for line in said {
                    let _ = writeln!(out, "    {line}");
                }
            }
            NotChosen::Excluded { why } => {
                let _ = writeln!(out, "  it cannot be used here");
                for line in why {
                    let _ = writeln!(out, "    {line}");
                }
            }
            NotChosen::Unknown { why } => {
                let _ = writeln!(out, "  {why}");
            }
        }
    }
    out
}

fn what_if(a: &WhatIf, answer: &Answer, width: u16) -> String {
    let asked: Vec<String> = a.asked.iter().map(|a| format!("`{a}`")).collect();
    let mut out = format!("`{}` on `{}` with {}\n", answer.job, a.cluster, asked.join(", "));
    for line in &a.replaced {
        let _ = writeln!(out, "  in place of {}", said(line));
    }
    out.push('\n');
    if a.changes.is_empty() {
        let _ = writeln!(out, "there was no plan before; now there is");
        let t = &a.total;
        let totals = [("latency", t.latency_s), ("cost", t.cost_usd), ("energy", t.energy_wh), ("quality", t.quality)];
        for (name, value) in totals.into_iter().filter(|(name, _)| t.energy_known || *name != "energy") {
            let _ = writeln!(out, "  {name}: {}", metric(name, value));
        }
    } else if a.diff.is_empty() {
        let same = match a.optimal {
            true => "nothing changes: the plan is the best one with it as well",
            false => "the same plan was found with it",
        };
        let _ = writeln!(out, "{same}");
    } else {
        let _ = writeln!(out, "{}\n", compared(&a.changes, width));
        for line in a.diff.iter().filter(|l| !is_total(l)) {
            let _ = writeln!(out, "{line}");
        }
    }
    let _ = writeln!(out, "\n{}", a.proof);
    out
}

/// Lines of a diff that repeat what the table of totals shows.
fn is_total(line: &str) -> bool {
    line.strip_prefix("~ ").and_then(|l| l.split_once(": ")).is_some_and(|(name, rest)| {
        crate::check::program::Metric::ALL.iter().any(|(_, metric)| *metric == name) && rest.contains(" → ")
    })
}

fn sensitivity(a: &Sensitivity, answer: &Answer, width: u16) -> String {
    let mut out = format!("what the plan for `{}` on `{}` hangs on\n\n", answer.job, answer.cluster);
    let (moving, still): (Vec<&FigureMoves>, Vec<&FigureMoves>) =
        a.figures.iter().partition(|f| f.down.is_some() || f.up.is_some());
    if moving.is_empty() {
        let of = if a.bounded.is_some() { " of those examined" } else { "" };
        let _ = writeln!(
            out,
            "no figure{of} changes the plan by itself, moved to nothing or to {} times its value",
            a.up_to
        );
    } else {
        let mut table = table(width, &["figure", "is", "evidence", "down to", "up to", "then"]);
        for f in moving.iter().take(MOST_ROWS) {
            let side = |m: &Option<Move>| m.as_ref().map_or("–".to_string(), |m| moved_to(m, &f.name));
            let then: Vec<String> = [("down", &f.down), ("up", &f.up)]
                .iter()
                .filter_map(|(way, m)| m.as_ref().map(|m| format!("{way}: {}", m.then)))
                .collect();
            table.add_row(vec![
                figure(&f.name, f.used),
                value(&f.name, f.value),
                evidence(f.evidence, &f.source),
                side(&f.down),
                side(&f.up),
                then.join("\n"),
            ]);
        }
        let _ = writeln!(out, "{table}");
        out.push_str(&more(moving.len()));
    }
    if !still.is_empty() {
        let (count, their) = if still.len() == 1 {
            ("1 figure changes".to_string(), "its")
        } else {
            (format!("{} figures change", still.len()), "their")
        };
        let to = format!("moved to nothing or to {} times {their} value", a.up_to);
        let _ = writeln!(out, "\n{count} nothing, {to}");
    }
    out.push('\n');
    out.push_str(&measured(&a.measure_first, &a.wish, a.bounded.is_some(), width));
    if let Some(why) = &a.bounded {
        let _ = writeln!(out, "\nincomplete: {why}");
    }
    out
}

fn measured(list: &[Value], wish: &str, cut: bool, width: u16) -> String {
    if list.is_empty() && cut {
        return "as far as was searched, no measurement would change the plan\n".to_string();
    }
    if list.is_empty() {
        return "no measurement would change the plan: it is the best one at both ends of every figure's interval\n"
            .to_string();
    }
    let mut out = String::from("measure first: what is lost at an end of a figure's interval if the plan is kept\n");
    let mut table = table(width, &["figure", "interval", "evidence", "at", "lost", "then"]);
    for v in list.iter().take(MOST_ROWS) {
        table.add_row(vec![
            figure(&v.name, true),
            format!("{} to {}", value(&v.name, v.interval.0), value(&v.name, v.interval.1)),
            evidence(v.evidence, &v.source),
            value(&v.name, v.at),
            v.regret.map_or("a line".to_string(), |lost| format!("{} of {wish}", metric(wish, lost))),
            v.then.clone(),
        ]);
    }
    let _ = writeln!(out, "{table}");
    out.push_str(&more(list.len()));
    out
}

/// Rows that people read; a program takes all of them from the JSON.
const MOST_ROWS: usize = 12;

fn more(rows: usize) -> String {
    match rows.saturating_sub(MOST_ROWS) {
        0 => String::new(),
        more => format!("{more} more: `--format json` has all of them, with their sources in full\n"),
    }
}

/// The kind of evidence and the beginning of its source.
fn evidence(of: EvidenceKind, source: &str) -> String {
    const MOST: usize = 60;
    let mut short: String = source.chars().take(MOST).collect();
    if source.chars().count() > MOST {
        short.push('…');
    }
    format!("{} ({short})", kind(of))
}

/// How many of the figures that a plan rests on count as exact: nobody gives an interval for them.
pub fn exact(used: &[Used]) -> String {
    let own = || used.iter().filter(|figure| figure.used);
    let exact = own().filter(|figure| figure.basis.low == figure.basis.high).count();
    format!(
        "of {} that the plan rests on, {exact} have no interval and count as exact\n",
        counted(own().count(), "figure")
    )
}

/// The one measurement that is worth most, in a line for the plan.
pub fn first_measurement(list: &[Value], wish: &str, cut: usize) -> String {
    let searched =
        if cut > 0 { format!("{cut} questions were not answered: as far as was searched, ") } else { String::new() };
    match list.first() {
        None => format!("{searched}no measurement would change the plan\n"),
        Some(v) => {
            let lost = v.regret.map_or(String::new(), |lost| format!(" (worth {} of {wish})", metric(wish, lost)));
            let name = figure(&v.name, true);
            format!("{searched}measure first: {name}: at {}, {}{lost}\n", value(&v.name, v.at), v.then)
        }
    }
}

fn figure(name: &FigureName, used: bool) -> String {
    let setting = if name.setting.is_empty() { String::new() } else { format!(" ({})", name.setting) };
    let competitor = if used { "" } else { ", of a competitor" };
    format!("{} of {}{setting}{competitor}", name.figure, name.implementation)
}

fn value(name: &FigureName, value: Decimal) -> String {
    let number = value.round_sf(4).unwrap_or(value).normalize();
    match name.figure.split('.').next().unwrap_or_default() {
        "latency" => format!("{number} s"),
        "cost" => format!("${number}"),
        "power" => format!("{number} W"),
        "quality" => format!("{} %", (value * dec!(100)).round_sf(4).unwrap_or(value).normalize()),
        _ => number.to_string(),
    }
}

fn moved_to(m: &Move, name: &FigureName) -> String {
    format!("{} ({} %)", value(name, m.to), signed((m.ratio * dec!(100)).round_dp(1)))
}

fn signed(value: Decimal) -> String {
    if value.is_sign_negative() { format!("−{}", value.abs().normalize()) } else { format!("+{}", value.normalize()) }
}

/// Every metric before and after.
fn compared(changes: &[Change], width: u16) -> String {
    let mut table = table(width, &["", "before", "after", "change"]);
    for column in 1..4 {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    for c in changes.iter().filter(|c| !c.before.is_zero() || !c.after.is_zero()) {
        table.add_row(vec![
            c.metric.clone(),
            metric(&c.metric, c.before),
            metric(&c.metric, c.after),
            if c.before == c.after { "=".to_string() } else { difference(c) },
        ]);
    }
    table.to_string()
}

/// `+$0.12`
pub fn difference(c: &Change) -> String {
    let sign = if c.after < c.before { "−" } else { "+" };
    format!("{sign}{}", unsigned(c))
}

fn unsigned(c: &Change) -> String {
    let by = (c.after - c.before).abs();
    if c.metric == "quality" { points(by) } else { metric(&c.metric, by) }
}

fn worse(c: &Change) -> bool {
    if c.metric == "quality" { c.after < c.before } else { c.after > c.before }
}

fn of_metric(changes: &[Change], name: &str) -> String {
    match changes.iter().find(|c| c.metric == name) {
        None => "unknown".to_string(),
        Some(c) if c.before == c.after => "=".to_string(),
        Some(c) => format!("{} ({})", metric(name, c.after), difference(c)),
    }
}

/// What changes in what is wished for and limited most: cost, latency, quality.
fn moved(changes: &[Change]) -> String {
    let names = ["cost", "latency", "quality"];
    let parts = changes.iter().filter(|c| names.contains(&c.metric.as_str()) && c.before != c.after);
    let parts: Vec<String> = parts.map(|c| format!("{} {}", c.metric, difference(c))).collect();
    if parts.is_empty() { "at no price".to_string() } else { parts.join(", ") }
}

fn lines(lines: &[Line]) -> String {
    lines.iter().map(said).collect::<Vec<_>>().join(" and ")
}

fn indented(text: &str) -> String {
    text.lines().map(|l| format!("  {l}")).collect::<Vec<_>>().join("\n")
}

/// The steps of a plan in a few words.
fn carried(steps: &[(String, Carrier)]) -> String {
    // What a composed call leaves out is no part of a plan.
    let there = steps.iter().filter(|(_, c)| !c.implementation.is_empty());
    there.map(|(name, c)| format!("{name}: {}", shown(c))).collect::<Vec<_>>().join("\n")
}
