//! `slo`, `minimize`, `prefer` limits, `expect`: units, dimensions and sense.

use super::program::{Clause, Expectation, Job, Metric, Stands, Tier, Wish};
use super::{Context, errors, load, quantity};
use crate::diag::source::Span;
use crate::diag::{Diagnostics, nearest};
use crate::library::size;
use crate::syntax::ast::{self, BinaryOp, Name, Preference, StmtKind};
use crate::syntax::errors::CURRENCIES;
use crate::types::{Size, Type};
use crate::units::{self, Dimension};
use ecow::{EcoString, eco_format};
use rust_decimal::Decimal;
use std::cmp::Ordering;

/// Reads the limits, wishes and expectations of a job.
pub fn check_clauses(body: &[ast::Stmt], job: &mut Job, context: &Context, cx: &mut Diagnostics) {
    for stmt in body {
        match &stmt.kind {
            StmtKind::Slo(clauses) => {
                for clause in clauses {
                    let read = read_clause(clause, job, context, cx);
                    job.clauses.extend(read);
                }
            }
            StmtKind::Prefer(Preference::Clause(clause)) => {
                let read = read_clause(clause, job, context, cx);
                job.preferred.extend(read);
            }
            StmtKind::Wish(wishes) => {
                for wish in wishes {
                    let Some(wish) = read_wish(wish, cx) else { continue };
                    match job.wishes.iter().find(|w| w.metric == wish.metric) {
                        Some(first) => cx.push(errors::wished_twice(wish.span, wish.metric.name(), first.span)),
                        None => job.wishes.push(wish),
                    }
                }
            }
            StmtKind::Expect(said @ (ast::Expectation::Rate(_) | ast::Expectation::Trace(..))) => {
                load::read(said, stmt.span, job, context.library, cx);
            }
            StmtKind::Expect(expectation) => {
                let Some(read) = read_expectation(expectation, stmt.span, job, cx) else { continue };
                let again = |e: &&Expectation| {
                    let both = |a: Option<Decimal>, b: Option<Decimal>| a.is_some() && b.is_some();
                    let sizes = e.size == read.size && both(e.each, read.each);
                    e.input == read.input && (sizes || both(e.count, read.count))
                };
                if let Some(first) = job.expectations.iter().find(again) {
                    cx.push(errors::said_twice(stmt.span, "expect", first.span));
                }
                job.expectations.push(read);
            }
            _ => {}
        }
    }
    let mut superfluous = Vec::new();
    for (i, clause) in job.clauses.iter().enumerate() {
        let tighter = job.clauses.iter().enumerate().find(|(j, other)| {
            i != *j
                && clause.metric == other.metric
                && tighter(other, clause).is_some_and(|by| by.is_gt() || (by.is_eq() && *j < i))
        });
        if let Some((_, other)) = tighter {
            superfluous.push((clause.span, &clause.text, other.span));
        }
    }
    // A generated file may have thousands of them.
    for (span, text, other) in superfluous.iter().take(SHOWN) {
        cx.push(errors::superfluous(*span, text, *other));
    }
    if let Some((span, ..)) = superfluous.get(SHOWN) {
        cx.push(errors::more_superfluous(*span, superfluous.len() - SHOWN));
    }
}

/// Which of two limits on one metric asks for more, where that is known without the job's data flow and sizes.
fn tighter(one: &Clause, other: &Clause) -> Option<Ordering> {
    let place = |tier: &Tier| Tier::ALL.iter().position(|t| t == tier);
    let (more, less) = if one.metric == Metric::Quality { (one, other) } else { (other, one) };
    match (&more.stands, &less.stands) {
        (Stands::Tier(more), Stands::Tier(less)) => Some(place(less).cmp(&place(more))),
        (Stands::PerItem { limit: more, .. }, Stands::PerItem { limit: less, .. }) => Some(more.cmp(less)),
        (Stands::Itself, Stands::Itself) => Some(more.limit.cmp(&less.limit)),
        _ => None,
    }
}

/// Superfluous limits beyond this number are counted, not shown one by one.
const SHOWN: usize = 16;

/// The metric of a path like `latency.p95`.
fn read_metric(path: &[Name], cx: &mut Diagnostics) -> Option<Metric> {
    let first = path.first()?;
    let at = first.span.to(path[path.len() - 1].span);
    let Some((metric, _)) = Metric::ALL.iter().find(|(_, n)| *n == first.text) else {
        if ["rate", "throughput"].contains(&first.text.as_str()) {
            let what = format!("a limit on `{}`", first.text);
            let why = "how often the job is run is what its hardware is sized for, and no figure of a run";
            let instead = "say it beside the limits: under `expect 30 requests/s`, every plan carries that rate";
            cx.push(errors::unsupported(at, &what, why, instead));
        } else {
            let names = Metric::ALL.iter().map(|(_, n)| *n).filter(|n| !n.contains('.'));
            let near = nearest(&first.text, names);
            cx.push(errors::unknown_metric(first.span, &first.text, near));
        }
        return None;
    };
    if let Some(beyond) = path.get(2) {
        let part = Span { start: path[1].span.end, ..beyond.span };
        cx.push(errors::no_percentile(beyond.span, &format!("{}.{}", first.text, path[1].text), &beyond.text, part));
        return None;
    }
    match (metric, path.get(1).map(|n| n.text.as_str())) {
        (_, None) => Some(*metric),
        (Metric::Latency, Some("mean" | "p50")) => Some(Metric::Latency),
        (Metric::Latency, Some("p95")) => Some(Metric::LatencyP95),
        (Metric::Latency, Some("p99")) => Some(Metric::LatencyP99),
        (Metric::Ttft | Metric::Tpot, Some("mean" | "p50")) => Some(*metric),
        (Metric::Ttft, Some("p95")) => Some(Metric::TtftP95),
        (Metric::Ttft, Some("p99")) => Some(Metric::TtftP99),
        (Metric::Tpot, Some("p95")) => Some(Metric::TpotP95),
        (Metric::Tpot, Some("p99")) => Some(Metric::TpotP99),
        (metric, Some(other)) => {
            let part = crate::diag::source::Span { start: first.span.end, ..path[1].span };
            cx.push(errors::no_percentile(path[1].span, metric.name(), other, part));
            None
        }
    }
}

/// The list of whose items a limit speaks; none where it is that of a run.
fn per_item(per: &Name, metric: Metric, job: &Job, cx: &mut Diagnostics) -> Option<EcoString> {
    if per.text == "run" {
        return None;
    }
    if per.text != "item" {
        let why = "a limit holds for a run, or for an item of the job's list";
        let instead = match (per.text.as_str(), metric) {
            ("token" | "tok", Metric::Latency | Metric::Tpot) => "limit the time of each token: `tpot <= 50 ms`",
            _ => "write `per item` or `per run`",
        };
        cx.push(errors::unsupported(per.span, &format!("a limit per {}", per.text), why, instead));
        return None;
    }
    let why = match metric {
        Metric::Cost | Metric::Energy => "",
        Metric::Latency | Metric::LatencyP95 | Metric::LatencyP99 => {
            "items are worked on side by side: no plan says when one of them is done"
        }
        Metric::Ttft | Metric::TtftP95 | Metric::TtftP99 | Metric::Tpot | Metric::TpotP95 | Metric::TpotP99 => {
            "tokens are counted in the result of a run"
        }
        Metric::Quality => "quality is that of the run's result, of which each item is a part",
        Metric::Gpus => "GPUs are held by the run, not by its items",
    };
    if !why.is_empty() {
        let what = format!("a limit on `{}` per item", metric.name());
        cx.push(errors::unsupported(per.span, &what, why, "limit the whole run: leave out `per item`"));
        return None;
    }
    let lists = job.params.iter().map(|id| job.local(*id)).filter(|local| matches!(local.ty, Type::List(_)));
    match lists.collect::<Vec<_>>()[..] {
        [list] => Some(list.name.clone()),
        [] => {
            cx.push(errors::no_items(per.span, "no input of the job is a list"));
            None
        }
        [first, second, ..] => {
            let why = format!("`{}` and `{}` are lists", first.name, second.name);
            cx.push(errors::no_items(per.span, &why));
            None
        }
    }
}

fn read_clause(clause: &ast::Clause, job: &Job, context: &Context, cx: &mut Diagnostics) -> Option<Clause> {
    let metric = read_metric(&clause.metric, cx)?;
    let (op, op_span) = clause.op;
    let wanted = if metric == Metric::Quality { BinaryOp::Ge } else { BinaryOp::Le };
    if op != wanted {
        let touches = clause.metric.last().is_some_and(|name| name.span.end == op_span.start);
        cx.push(errors::wrong_comparison(op_span, metric.name(), wanted.text(), touches));
    }
    let input = clause.per.as_ref().and_then(|per| per_item(per, metric, job, cx));
    let quantity = match &clause.limit.kind {
        ast::ExprKind::Number(quantity) => quantity,
        ast::ExprKind::Error => return None,
        ast::ExprKind::Name(name)
            if metric == Metric::Quality
                && let Some(tier) = Tier::named(name) =>
        {
            return Some(Clause {
                metric,
                limit: Decimal::ZERO,
                stands: Stands::Tier(tier),
                span: clause.span,
                limit_span: clause.limit.span,
                unit: ("%".into(), Decimal::new(1, 2)),
                text: as_written(clause, context),
            });
        }
        _ => {
            cx.push(errors::limit_not_constant(clause.limit.span));
            return None;
        }
    };
    let (dimension, unit, example) = match metric {
        Metric::Cost => (Dimension::MONEY, "usd", "2 usd"),
        Metric::Latency | Metric::LatencyP95 | Metric::LatencyP99 => (Dimension::TIME, "s", "60 s"),
        Metric::Ttft | Metric::TtftP95 | Metric::TtftP99 => (Dimension::TIME, "s", "2 s"),
        Metric::Tpot | Metric::TpotP95 | Metric::TpotP99 => (Dimension::TIME, "ms", "50 ms"),
        Metric::Energy => (Dimension::ENERGY, "Wh", "0.5 kWh"),
        Metric::Quality => (Dimension::NONE, "%", "80 %"),
        Metric::Gpus => (Dimension::NONE, "", "4"),
    };
    let measured = quantity::measure(quantity, cx)?;
    if quantity.unit.is_none() && metric != Metric::Gpus {
        // A currency in front of the number is said where it stands.
        let before = context.sources.get(quantity.span.file).text.get(..quantity.span.start as usize);
        if before.is_some_and(|text| text.ends_with(CURRENCIES.map(|(sign, _)| sign))) {
            return None;
        }
        cx.push(errors::missing_unit(quantity.span, metric.name(), &quantity.number, unit));
        return None;
    }
    if measured.dimension != dimension {
        let what = format!("`{}`", metric.name());
        cx.push(errors::wrong_dimension(quantity.span, &what, dimension, measured.dimension, example));
        return None;
    }
    let unit_is = |text: &str| quantity.unit.as_ref().is_some_and(|unit| unit.text == text);
    if metric == Metric::Quality && !unit_is("%") {
        cx.push(errors::not_its_unit(quantity.span, "quality", "a percentage", example));
        return None;
    }
    if metric == Metric::Gpus && quantity.unit.is_some() {
        cx.push(errors::not_its_unit(quantity.span, "gpus", "a number without a unit", example));
        return None;
    }
    if metric == Metric::Quality && measured.value > Decimal::ONE {
        cx.push(errors::impossible_limit(quantity.span, "quality ends at 100 %"));
        return None;
    }
    let unit_text: EcoString = quantity.unit.as_ref().map_or(EcoString::new(), |u| u.text.clone());
    if metric == Metric::Gpus && !measured.value.fract().is_zero() {
        cx.push(errors::not_whole(quantity.span, "the number of GPUs"));
        return None;
    }
    let factor = if unit_text.is_empty() { Decimal::ONE } else { units::resolve(&unit_text)?.1 };
    let text = as_written(clause, context);
    let unit = (unit_text, factor);
    let (stands, limit_span, unit) = match (input, &clause.per) {
        (Some(input), Some(per)) => {
            let each = (eco_format!("{} per {}", unit.0, per.text), unit.1);
            let stands = Stands::PerItem { input, limit: measured.value, unit, text: text.clone() };
            (stands, quantity.span.to(per.span), each)
        }
        _ => (Stands::Itself, quantity.span, unit),
    };
    Some(Clause { metric, limit: measured.value, stands, span: clause.span, limit_span, unit, text })
}

fn as_written(clause: &ast::Clause, context: &Context) -> EcoString {
    context.sources.text(clause.span).split_whitespace().collect::<Vec<_>>().join(" ").into()
}

/// A quantity of a size, for messages.
fn example(size: Size) -> &'static str {
    match size {
        Size::Seconds => "300 s",
        Size::Tokens => "800 tok",
        Size::Count => "3",
    }
}

/// A line that says the sizes of an input, for messages; none where it has none.
fn line_about(name: &str, ty: &Type, item: &Type) -> Option<String> {
    let count = if matches!(ty, Type::List(_)) { " * 10" } else { "" };
    let each = item.sizes().first().map_or(String::new(), |(_, size)| format!(" of {}", example(*size)));
    (!count.is_empty() || !each.is_empty()).then(|| format!("expect {name}{count}{each}"))
}

fn read_wish(wish: &ast::Wish, cx: &mut Diagnostics) -> Option<Wish> {
    let metric = read_metric(&wish.metric, cx)?;
    if wish.maximize != (metric == Metric::Quality) {
        cx.push(errors::wrong_direction(wish.span, metric.name(), if wish.maximize { "maximize" } else { "minimize" }));
        return None;
    }
    Some(Wish { metric, span: wish.span })
}

fn read_expectation(
    expectation: &ast::Expectation,
    span: Span,
    job: &Job,
    cx: &mut Diagnostics,
) -> Option<Expectation> {
    let (path, count, each) = match expectation {
        ast::Expectation::Input { path, count, each } => (path, count, each),
        ast::Expectation::Rate(_) | ast::Expectation::Trace(..) => return None,
    };
    let name = path.first()?;
    let Some(input) = job.params.iter().copied().find(|p| job.local(*p).name == name.text) else {
        let near = nearest(&name.text, job.params.iter().map(|p| job.local(*p).name.as_str()));
        cx.push(errors::unknown_name(name.span, &name.text, near));
        return None;
    };
    let ty = &job.local(input).ty;
    let item = match ty {
        Type::List(item) => item,
        other => other,
    };
    // That its type is none was said where it stands.
    if *item == Type::Unknown {
        return None;
    }
    let size: EcoString = match path.get(1) {
        Some(size) => size.text.clone(),
        None => item.sizes().first().map_or(EcoString::new(), |(n, _)| (*n).into()),
    };
    let known = path.len() < 2 || (path.len() == 2 && size::size_of(item, &size).is_some());
    if let Some(part) = path.last().filter(|_| !known) {
        let near = nearest(&part.text, item.sizes().iter().map(|(n, _)| *n));
        cx.push(errors::unknown_field(part.span, item, &part.text, near));
        return None;
    }
    if let (None, None, Some(example)) = (each, count, line_about(&name.text, ty, item)) {
        cx.push(errors::bad_rule(span, "expect", &example));
        return None;
    }
    let each = match (each, size::size_of(item, &size)) {
        (None, _) => None,
        (Some(q), Some(s)) => {
            Some(quantity::of_dimension(q, size::dimension_of(s), &format!("`{size}`"), example(s), cx)?)
        }
        (Some(q), None) => {
            cx.push(errors::unknown_field(q.span, item, &size, None));
            return None;
        }
    };
    let count = match (count, ty) {
        (None, _) => None,
        (Some(q), Type::List(_)) => Some(quantity::of_dimension(q, Dimension::NONE, "a count", "10", cx)?),
        (Some(q), other) => {
            cx.push(errors::not_counted(q.span, &name.text, other));
            return None;
        }
    };
    Some(Expectation { input, size, count, each, span })
}
