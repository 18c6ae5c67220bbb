//! The solver's conflict → a diagnostic in the source: which clauses clash, what each could reach, what would help.

use crate::check::program::{Clause, Metric, Rule, RuleKind};
use crate::diag::source::Span;
use crate::diag::{Diagnostic, Way};
use crate::ir::workflow::Workflow;
use crate::solve::outcome::Conflict;
use crate::space::Space;
use crate::space::encode::{Encoded, Origin, allows, unscale};
use crate::space::errors::left_out;
use rust_decimal::{Decimal, RoundingStrategy};

/// E0710: the clauses that cannot hold together.
pub fn explain(conflict: &Conflict, encoded: &Encoded, space: &Space, workflow: &Workflow, job: Span) -> Diagnostic {
    let steps = workflow.steps.len();
    let span_of = |c: usize| encoded.origins[c].span();
    let Some((first, rest)) = conflict.core.split_first() else {
        return Diagnostic::error("E0711", "the steps do not fit the machines", job, "no clause is to blame")
            .help("plan for larger machines: `--cluster NAME`, or `on NAME` in the job");
    };
    if let ([only], Some((step, why))) = (conflict.core.as_slice(), shut_out(conflict.core[0], encoded, space)) {
        let task = &workflow.steps[step].task;
        let said = super::reason::said(&encoded.origins[*only]);
        let at = span_of(*only);
        let d = Diagnostic::error(
            "E0710",
            format!("nothing that can carry out `{task}` keeps {said}"),
            at,
            "leaves no choice",
        );
        let d = match workflow.steps[step].span {
            Some(call) if call != at => d.because(call, format!("`{task}` is called here")),
            _ => d,
        };
        return d.help(why);
    }
    let name = |c: &usize| super::reason::said(&encoded.origins[*c]);
    let message = match rest {
        [] => format!("no plan can keep {}", name(first)),
        _ => format!("no plan can keep {} at once", list(&conflict.core.iter().map(name).collect::<Vec<_>>())),
    };
    let reach = |c: usize| {
        let best = conflict.reachable.iter().find(|(r, _)| *r == c).and_then(|(_, best)| *best);
        let alone = conflict.alone.iter().find(|(r, _)| *r == c).map(|(_, best)| *best);
        match (&encoded.origins[c], best, alone) {
            (Origin::Clause(clause), Some(best), _) => {
                format!("the others allow {} here", in_unit(clause, best, steps))
            }
            (Origin::Clause(clause), None, Some(best)) if conflict.core.len() == 1 => {
                let end = if clause.metric == Metric::Quality { "most" } else { "least" };
                format!("{} is the {end} possible, whatever the others ask", in_unit(clause, best, steps))
            }
            (Origin::Clause(clause), None, Some(best)) => {
                format!("at best {} here, and another limit is out of reach as well", in_unit(clause, best, steps))
            }
            (Origin::Clause(_), None, None) => "what the others allow here was not found in time".to_string(),
            _ => "clashes".to_string(),
        }
    };
    let mut d = Diagnostic::error("E0710", message, span_of(*first), reach(*first));
    for c in rest {
        d = d.because(span_of(*c), reach(*c));
    }
    let limit = |c: &usize| matches!(encoded.origins[*c], Origin::Clause(_));
    let mut told = conflict.core.clone();
    for c in conflict.others.iter().flatten() {
        if !told.contains(c) {
            d = d.because(
                span_of(*c),
                if limit(c) { format!("clashes as well: {}", reach(*c)) } else { "clashes as well".to_string() },
            );
            told.push(*c);
        }
    }
    let sets: Vec<String> = conflict.others.iter().map(|set| list(&set.iter().map(name).collect::<Vec<_>>())).collect();
    let also = if sets.is_empty() { String::new() } else { format!("; these clash as well: {}", sets.join("; ")) };
    let mut ways: Vec<String> = Vec::new();
    for repair in &conflict.repairs {
        let (mut way, mut made) = (Vec::new(), Vec::new());
        for (c, limit) in &repair.changes {
            match &encoded.origins[*c] {
                Origin::Clause(clause) => {
                    let text = in_unit(clause, *limit, steps);
                    way.push(format!("`{}` → `{text}`", clause.text));
                    made.push((format!("relax `{}` to `{text}`", clause.text), (clause.limit_span, text.clone())));
                    if d.fix.is_none() && repair.changes.len() == 1 {
                        d = d.fix(format!("relax the limit to `{text}`"), clause.limit_span, text);
                    }
                }
                origin => {
                    let text = format!("drop {}", super::reason::said(origin));
                    // A rule is a line of its own; what else clashes is part of one.
                    if let Origin::Rule(rule) = origin {
                        made.push((text.clone(), (rule.span, String::new())));
                    }
                    way.push(text);
                }
            }
        }
        if made.len() == repair.changes.len() {
            let (titles, edits): (Vec<String>, _) = made.into_iter().unzip();
            d.ways.push(Way { title: list(&titles), edits });
        }
        ways.push(list(&way));
    }
    let ways = match (ways.as_slice(), conflict.repairs.first().map(|repair| repair.changes.len())) {
        ([], _) | (_, None) => "no change that makes a plan was found within the limits".to_string(),
        (_, Some(1)) => format!("one change is enough: {}", ways.join(", or ")),
        (_, Some(size)) => format!("no single change is enough, {size} together are: {}", ways.join(", or ")),
    };
    d.help(ways + &also + &absent(space))
}

/// What the steps could choose from as well, if it were here.
fn absent(space: &Space) -> String {
    let mut all: Vec<String> = Vec::new();
    for (name, why) in space.steps.iter().flat_map(|step| &step.absent) {
        let line = format!("`{name}`: {why}");
        if !all.contains(&line) {
            all.push(line);
        }
    }
    let more = all.len().saturating_sub(4);
    all.truncate(4);
    let more = if more > 0 { format!("; and {more} more") } else { String::new() };
    if all.is_empty() {
        String::new()
    } else {
        format!(". Left out, since it cannot run here: {}{more}", all.join("; "))
    }
}

/// The first step whose every choice breaks a rule, with what there is and what was left out before.
fn shut_out(rule: usize, encoded: &Encoded, space: &Space) -> Option<(usize, String)> {
    let step = encoded.problem.steps.iter().position(|s| s.choices.iter().all(|c| c.breaks.contains(&rule)))?;
    let mut parts: Vec<String> = Vec::new();
    let mut offered: Vec<&str> = space.steps[step].candidates.iter().map(|c| c.implementation.as_str()).collect();
    offered.dedup();
    if !offered.is_empty() {
        let names: Vec<String> = offered.iter().map(|n| format!("`{n}`")).collect();
        parts.push(format!("these could, and break it: {}", names.join(", ")));
    }
    // What the line itself names is what its reader asks about.
    let pinned = match &encoded.origins[rule] {
        Origin::StepPin(_, pin)
        | Origin::Called(Rule { kind: RuleKind::Pin(pin), .. }, _)
        | Origin::Rule(Rule { kind: RuleKind::Pin(pin), .. }) => Some(pin),
        _ => None,
    };
    let mut left_out = left_out(&space.steps[step].excluded, &pinned.into_iter().collect::<Vec<_>>());
    left_out.truncate(4);
    if !left_out.is_empty() {
        parts.push(format!("left out before: {}", left_out.join("; ")));
    }
    parts.push("change the line, or add a model or tool that keeps it".to_string());
    Some((step, parts.join(". ")))
}

fn list(names: &[String]) -> String {
    match names.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
        None => String::new(),
    }
}

/// A value of the problem in the unit of a clause, rounded to what the clause would have to say.
pub fn in_unit(clause: &Clause, value: i64, steps: usize) -> String {
    let mut base = unscale(clause.metric, value);
    // What rounding took from a round number is given back where the limit then still allows it.
    let round = base.round_dp(4);
    if clause.metric == Metric::Quality && allows(clause.metric, round, steps, value) {
        base = round;
    }
    let scaled = base / clause.unit.1;
    let (digits, strategy) = match clause.metric {
        Metric::Quality => (2, RoundingStrategy::ToZero),
        Metric::Gpus => (0, RoundingStrategy::AwayFromZero),
        _ => (if scaled < Decimal::ONE { 6 } else { 3 }, RoundingStrategy::AwayFromZero),
    };
    let number = scaled.round_dp_with_strategy(digits, strategy).normalize();
    if clause.unit.0.is_empty() { number.to_string() } else { format!("{number} {}", clause.unit.0) }
}
