//! Plan → text for people: every choice with its figures, its reason and its evidence; clauses with their slack; the proof.

use super::build::weakest;
use super::fallback::in_place;
use super::model::{Evidence, EvidenceKind, Hardware, Placed, Plan, PlanClause, PlanStep, PriceChange, ShadowPrice};
use crate::check::program::Metric;
use crate::ir::workflow::StepId;
use crate::solve::outcome::{NATIVE, Proof, Status};
use crate::space::encode::unscale;
use crate::space::reporters::named;
use crate::units::{counted, shown};
use comfy_table::presets::UTF8_HORIZONTAL_ONLY;
use comfy_table::{CellAlignment, ContentArrangement, Table};
use rust_decimal::{Decimal, dec};
use std::fmt::Write;

/// The plan as text, at most `width` columns wide.
pub fn text(plan: &Plan, width: u16) -> String {
    let mut out = String::new();
    let robust = if plan.robust { ", robust: every figure at the worst end of its interval" } else { "" };
    let rate = plan.rate_per_s.map_or(String::new(), |r| format!(", for {}/s", counted(shown(r, 4), "run")));
    let from = plan.rate_from.as_ref().map_or(String::new(), |trace| format!(" (the busiest minute of `{trace}`)"));
    let _ = writeln!(out, "plan for `{}` on `{}`{rate}{from}{robust}\n", plan.job, plan.cluster.name);
    let (p95, p99) = (plan.speaks_of("latency.p95"), plan.speaks_of("latency.p99"));
    let tails = |p95_s: Decimal, p99_s: Decimal| {
        let shown = [(p95, p95_s), (p99, p99_s)].into_iter().filter(|(wanted, _)| *wanted);
        shown.map(|(_, time)| seconds(time)).collect::<Vec<_>>()
    };
    let mut header = vec!["step", "line", "carried out by", "on", "latency"];
    header.extend([(p95, "p95"), (p99, "p99")].into_iter().filter(|(wanted, _)| *wanted).map(|(_, name)| name));
    header.extend(["cost", "energy", "quality"]);
    let mut table = table(width, &header);
    for column in 4..header.len() {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    for step in &plan.steps {
        let p = &step.predicted;
        let mut row = vec![
            step.name.clone(),
            if step.line == 0 { "fill".to_string() } else { step.line.to_string() },
            carried_out_by(step),
            hardware(step),
            seconds(p.latency_s),
        ];
        row.extend(tails(p.latency_p95_s, p.latency_p99_s));
        let energy = p.energy_wh.map_or("unknown".to_string(), watt_hours);
        // What votes, checks or joins in a composition is in the quality of the steps that answer.
        let answers = step.part.as_ref().is_none_or(|part| part.answers.is_some());
        let quality = if answers { percent(p.quality) } else { String::new() };
        row.extend([dollars(p.cost_usd), energy, quality]);
        table.add_row(row);
    }
    for instance in &plan.instances {
        let knobs: Vec<String> = instance.knobs.iter().map(|(n, v)| format!("{n} {v}")).collect();
        let Hardware { device, units, replicas } = &instance.hardware;
        let what = match &instance.implementation {
            Some(name) if knobs.is_empty() => name.clone(),
            Some(name) => format!("{name} ({})", knobs.join(", ")),
            None => "several models side by side".to_string(),
        };
        let times = if *replicas == 1 { String::new() } else { format!(", {replicas} times") };
        let mut row =
            vec!["(shared)".to_string(), String::new(), what, format!("{device} * {units}{times}"), String::new()];
        row.extend([p95, p99].into_iter().filter(|wanted| *wanted).map(|_| String::new()));
        row.extend([dollars(instance.cost_usd), String::new(), String::new()]);
        table.add_row(row);
    }
    let t = &plan.total;
    let energy = if t.energy_known { watt_hours(t.energy_wh) } else { format!("≥ {}", watt_hours(t.energy_wh)) };
    let gpus = counted(t.gpus, "GPU");
    let mut row = vec!["total".to_string(), String::new(), gpus, "critical path".to_string(), seconds(t.latency_s)];
    row.extend(tails(t.latency_p95_s, t.latency_p99_s));
    row.extend([dollars(t.cost_usd), energy, percent(t.quality)]);
    table.add_row(row);
    let _ = writeln!(out, "{table}");
    if plan.steps.iter().filter(|s| !s.predicted.either_usd.is_zero()).count() > 1 {
        let _ = writeln!(
            out,
            "a round of an agent calls one of its tools: by the call, the total has what the dearest costs"
        );
    }
    let _ = writeln!(out, "\nwhy");
    for c in &plan.compositions {
        let knobs: Vec<String> = c.knobs.iter().map(|(n, v)| format!("{n}: {v}")).collect();
        let knobs = if knobs.is_empty() { String::new() } else { format!("({})", knobs.join(", ")) };
        let _ = writeln!(out, "  {}: composed by `{}{knobs}`: {}", c.call, c.composition, c.reason);
    }
    for step in &plan.steps {
        let _ = writeln!(out, "  {}: {}", step.name, step.reason);
    }
    if plan.steps.iter().any(|s| !s.fallbacks.is_empty()) {
        let _ = writeln!(out, "\nif it fails for good");
        for step in plan.steps.iter().filter(|s| !s.fallbacks.is_empty()) {
            let by = in_place(step).map(|s| format!("{} on {}", carried_out_by(&s), hardware(&s)));
            let _ = writeln!(out, "  {}: {}", step.name, by.collect::<Vec<_>>().join(", then "));
        }
    }
    if !plan.clauses.is_empty() {
        let _ = writeln!(out, "\nclauses");
        for c in &plan.clauses {
            let verdict = match (c.holds, c.soft) {
                (true, _) => "holds",
                (false, true) => "preferred, broken",
                (false, false) => "BROKEN",
            };
            let slack = if c.metric == "rule" {
                String::new()
            } else {
                format!(", {} (slack {})", metric(&c.metric, c.value), metric(&c.metric, c.slack))
            };
            let _ = writeln!(out, "  {}  {}: {verdict}{slack}", at_line(c.line), c.text);
            if let Some(price) = c.price.as_ref().and_then(|p| priced(c, p)) {
                let _ = writeln!(out, "            {price}");
            }
        }
    }
    if !plan.placement.is_empty() {
        let _ = writeln!(out, "\nplacement");
        for line in placement(plan) {
            let _ = writeln!(out, "  {line}");
        }
    }
    let assumed: Vec<String> = plan
        .inputs
        .iter()
        .filter(|i| !i.sizes.is_empty())
        .map(|i| {
            let sizes: Vec<String> = i.sizes.iter().map(|(path, v)| format!("{path} {}", shown(*v, 2))).collect();
            format!("{} ({})", i.name, sizes.join(", "))
        })
        .collect();
    if !assumed.is_empty() {
        let _ = writeln!(out, "\nfor inputs of this size: {}", assumed.join("; "));
    }
    for line in extrapolated(plan) {
        let _ = writeln!(out, "extrapolated: {line}");
    }
    if let Some(line) = listed(plan, |e| e.unbounded) {
        let _ = writeln!(out, "for work that is not said: {line}");
    }
    let late = |metric: &str| metric.contains(".p9");
    let asked = plan.clauses.iter().map(|clause| &clause.metric).chain(plan.wishes.iter().map(|wish| &wish.text));
    if let Some(line) = listed(plan, |e| e.exact).filter(|_| asked.into_iter().any(|metric| late(metric))) {
        let _ = writeln!(out, "without a spread, so that percentiles count them as exact: {line}");
    }
    if let Some(line) = judged(plan) {
        let _ = writeln!(out, "compared by one reporter's qualities: {line}");
    }
    for line in mixed(plan) {
        let _ = writeln!(out, "reporters differ: {line}");
    }
    if let Some(e) = weakest(&plan.steps) {
        let _ = writeln!(out, "weakest evidence: {} is {} ({})", e.figure, kind(e.kind), e.source);
    }
    let wishes: Vec<&str> = plan.wishes.iter().map(|w| w.text.as_str()).collect();
    let proof = match plan.proof.status {
        Status::Optimal => {
            let case = if plan.robust { ", in the worst case" } else { "" };
            format!("optimal ({}{case}), proved by {}", wishes.join(", then "), proved_by(&plan.proof))
        }
        Status::Feasible { wish, bound } => feasible(plan, wish, bound),
    };
    let (kept, all) = plan.proof.kept;
    let _ = writeln!(
        out,
        "{proof}; {}, {kept} after presolve, {}, {} of z3",
        counted(all, "option"),
        counted(plan.proof.nodes, "node"),
        counted(plan.proof.z3_checks, "call")
    );
    out
}

/// How far a plan is from proved: the wishes that are, and what the first one that is not cannot be under.
pub fn feasible(plan: &Plan, wish: usize, bound: i64) -> String {
    let before: Vec<&str> = plan.wishes.iter().take(wish).map(|w| w.text.as_str()).collect();
    let before = if wish == 0 { String::new() } else { format!("{} is proved, and then ", before.join(", then ")) };
    let said = format!("feasible, not proved optimal: {before}");
    let open = plan.wishes.get(wish).and_then(|w| Some((w.text.split_once(' ')?.1, w.value)));
    let known = open.and_then(|(wish, value)| Some((Metric::ALL.iter().find(|(_, n)| *n == wish)?, value)));
    match known {
        Some(((of, name), value)) if bound > 0 => {
            let side = if *of == Metric::Quality { "above" } else { "under" };
            let best = unscale(*of, bound);
            let gap = (value - best).abs().checked_div(value.max(best)).unwrap_or_default();
            let gap = shown(gap * dec!(100), 2);
            format!("{said}no plan has a {name} {side} {} (gap {gap} %)", metric(name, best))
        }
        _ => format!("{said}how much better a plan could be was not found in time"),
    }
}

/// Who proved a plan; where z3 was asked and did not confirm all of it, that too.
pub fn proved_by(proof: &Proof) -> String {
    let silent = proof.by == NATIVE && proof.z3_checks > 0;
    if silent { format!("{}; z3 was asked, and gave no answer to some of it", proof.by) } else { proof.by.clone() }
}

/// `a100 0 to 3: question_answer, 61 GB each`, neighbours that carry the same together.
fn placement(plan: &Plan) -> Vec<String> {
    let alike = |a: &Placed, b: &Placed| {
        (&a.device, &a.steps) == (&b.device, &b.steps) && a.index + 1 == b.index && a.memory_gb == b.memory_gb
    };
    let name = |id: &StepId| plan.steps.get(id.0 as usize).map_or("", |s| s.name.as_str());
    let line = |group: &[Placed]| {
        let (first, last) = (group.first()?, group.last()?);
        let which = match first.index == last.index {
            true => format!("{} {}", first.device, first.index),
            false => format!("{} {} to {}", first.device, first.index, last.index),
        };
        let names: Vec<&str> = first.steps.iter().map(name).collect();
        let each = if group.len() > 1 { " each" } else { "" };
        Some(format!("{which}: {}, {} GB{each}", names.join(", "), shown(first.memory_gb, 1)))
    };
    plan.placement.chunk_by(alike).filter_map(line).collect()
}

/// A difference of two percentages, which is no percentage.
pub fn points(by: Decimal) -> String {
    let by = shown(by * dec!(100), 2);
    if by == "1" { "1 point".to_string() } else { format!("{by} points") }
}

/// What a limit costs: `1 s less: +$0.03; 1 s more: −$0.01`; `None` where moving it changes nothing.
pub fn priced(clause: &PlanClause, price: &ShadowPrice) -> Option<String> {
    let amount = |name: &str, by: Decimal| match name {
        "quality" => format!("{} of quality", points(by)),
        _ => metric(name, by),
    };
    let change = |name: &str, by: Decimal| {
        let what = if matches!(name, "cost" | "quality") { String::new() } else { format!(" of {name}") };
        format!("{}{}{what}", if by.is_sign_negative() { "−" } else { "+" }, amount(name, by.abs()))
    };
    let side = |moved: &Option<PriceChange>| match moved {
        None => "no plan".to_string(),
        Some(c) if c.change.is_zero() && c.cost_usd.is_zero() => "nothing".to_string(),
        Some(c) => {
            let mut parts: Vec<String> = Vec::new();
            parts.extend((!c.change.is_zero()).then(|| change(&c.metric, c.change)));
            parts.extend((c.metric != "cost" && !c.cost_usd.is_zero()).then(|| change("cost", c.cost_usd)));
            parts.join(", ")
        }
    };
    let (tighter, looser) = (side(&price.tighter), side(&price.looser));
    if tighter == "nothing" && looser == "nothing" {
        return None;
    }
    let step = amount(&clause.metric, price.step);
    let (less, more) = if clause.metric == "quality" { ("more", "less") } else { ("less", "more") };
    Some(format!("{step} {less} changes {tighter}; {step} {more} changes {looser}"))
}

/// An empty table with a header.
pub fn table(width: u16, header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_HORIZONTAL_ONLY).set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
    table.set_header(header);
    table
}

/// `whisper (variant small) [lowest tier]`.
pub fn carried_out_by(step: &PlanStep) -> String {
    let knobs: Vec<String> = step.knobs.iter().map(|(n, v)| format!("{n} {v}")).collect();
    let knobs = if knobs.is_empty() { String::new() } else { format!(" ({})", knobs.join(", ")) };
    let label = step.label.as_ref().map_or(String::new(), |l| format!(" [{l}]"));
    format!("{}{knobs}{label}", step.implementation)
}

/// `cpu * 2`, `api`.
pub fn hardware(step: &PlanStep) -> String {
    match step.hardware.units {
        _ if step.instance.is_some() => format!("{} * {}, shared", step.hardware.device, step.hardware.units),
        0 => step.hardware.device.clone(),
        units if step.hardware.replicas != 1 => {
            format!("{} * {units}, {} times", step.hardware.device, step.hardware.replicas)
        }
        units => format!("{} * {units}", step.hardware.device),
    }
}

/// The figures that a plan uses for work that they are not for, each once a step.
fn extrapolated(plan: &Plan) -> Vec<String> {
    let of_step = |step: &PlanStep| -> Vec<String> {
        let mut by: Vec<(&String, Vec<String>)> = Vec::new();
        for evidence in &step.evidence {
            let Some(outside) = &evidence.outside else { continue };
            let figure = format!("`{}`", evidence.figure);
            match by.iter_mut().find(|(other, _)| *other == outside) {
                Some((_, figures)) => figures.push(figure),
                None => by.push((outside, vec![figure])),
            }
        }
        let line = |(outside, figures): (&String, Vec<String>)| {
            let are = if figures.len() == 1 { "is" } else { "are" };
            format!("{} of {} {are} {outside}", figures.join(", "), step.name)
        };
        by.into_iter().map(line).collect()
    };
    plan.steps.iter().flat_map(of_step).collect()
}

/// The figures of a kind, by step.
fn listed(plan: &Plan, kind: impl Fn(&Evidence) -> bool) -> Option<String> {
    let of_step = |step: &PlanStep| {
        let figures = step.evidence.iter().filter(|e| kind(e)).map(|e| format!("`{}`", e.figure));
        let figures: std::collections::BTreeSet<String> = figures.collect();
        let listed = figures.into_iter().collect::<Vec<_>>().join(", ");
        (!listed.is_empty()).then(|| format!("{listed} of {}", step.name))
    };
    let all: Vec<String> = plan.steps.iter().filter_map(of_step).collect();
    (!all.is_empty()).then(|| all.join("; "))
}

/// The steps for which what others judged was left out.
fn judged(plan: &Plan) -> Option<String> {
    let of_step = |step: &PlanStep| match step.reporters.as_slice() {
        [own] => Some(format!("{} by {}", step.name, named(own))),
        _ => None,
    };
    let all: Vec<String> = plan.steps.iter().filter_map(of_step).collect();
    (!all.is_empty())
        .then(|| format!("{} (`--any-reporter` compares all, `--choices` lists what is left out)", all.join("; ")))
}

/// The steps for which qualities by several reporters were compared, which may have measured differently.
fn mixed(plan: &Plan) -> Vec<String> {
    let of_step = |step: &PlanStep| {
        let (own, others) = step.reporters.split_first().filter(|(_, others)| !others.is_empty())?;
        let others: Vec<&str> = others.iter().map(|by| named(by)).collect();
        Some(format!(
            "the quality of {} is by {}, and was compared with some by {}",
            step.name,
            named(own),
            others.join("; ")
        ))
    };
    plan.steps.iter().filter_map(of_step).collect()
}

/// How far evidence goes, in a word.
pub fn kind(kind: EvidenceKind) -> &'static str {
    kind.text()
}

/// A value of a metric, for people.
pub fn metric(name: &str, value: Decimal) -> String {
    metric_to(name, value, 0)
}

/// The same with so many digits more than are usual.
pub fn metric_to(name: &str, value: Decimal, more: u32) -> String {
    let (factor, digits) = grain(name, value);
    let number = shown(value.saturating_mul(factor), digits + more);
    match name {
        "cost" => format!("${number}"),
        "latency" | "latency.p95" | "latency.p99" | "ttft" | "ttft.p95" | "ttft.p99" => format!("{number} s"),
        "tpot" | "tpot.p95" | "tpot.p99" => format!("{number} ms"),
        "energy" => format!("{number} Wh"),
        "quality" => format!("{number} %"),
        _ => number,
    }
}

/// The value that people are shown by [`metric_to`].
pub fn rounded(name: &str, value: Decimal, more: u32) -> Decimal {
    let (factor, digits) = grain(name, value);
    value.saturating_mul(factor).round_dp(digits + more) / factor
}

/// By what a value is multiplied to be shown, and its digits behind the point.
fn grain(name: &str, value: Decimal) -> (Decimal, u32) {
    let one = Decimal::ONE;
    match name {
        "cost" => (one, if value.abs() >= one { 2 } else { 5 }),
        "latency" | "latency.p95" | "latency.p99" | "ttft" | "ttft.p95" | "ttft.p99" => {
            (one, if value >= dec!(100) { 0 } else { 2 })
        }
        "tpot" | "tpot.p95" | "tpot.p99" => (dec!(1000), 2),
        "energy" => (one, 3),
        "quality" => (dec!(100), 1),
        _ => (one, 2),
    }
}

/// The option that adds lines to a job.
pub const SLO: &str = "--slo";

/// Where a clause stands: its line, or the option that says it.
pub fn at_line(line: u32) -> String {
    if line == 0 { format!("{SLO:<8}") } else { format!("line {line:>3}") }
}

/// Seconds, for people.
pub fn seconds(value: Decimal) -> String {
    metric("latency", value)
}

/// Dollars, for people.
pub fn dollars(value: Decimal) -> String {
    metric("cost", value)
}

/// Watt-hours, for people.
pub fn watt_hours(value: Decimal) -> String {
    metric("energy", value)
}

/// A ratio, for people.
pub fn percent(value: Decimal) -> String {
    metric("quality", value)
}
