//! Choice → why it and nothing else: the nearest better alternative, and the clause that it would break.

use crate::check::program::{Job, Metric};
use crate::solve::check::{Violation, check};
use crate::solve::problem::Problem;
use crate::space::encode::{Encoded, Origin, figure, wishes};
use crate::space::{Candidate, Space};

/// One sentence for the choice of a step.
pub fn reason(step: usize, choice: &[usize], space: &Space, encoded: &Encoded, job: &Job) -> String {
    let options = &space.steps[step].options;
    let chosen = &options[choice[step]];
    let wish = wishes(job).first().copied().unwrap_or(Metric::Cost);
    let mine = weight(step, choice[step], &encoded.problem, wish);
    let candidates = &space.steps[step].candidates;
    let usable = candidates.iter().filter(|c| !c.is_idle()).count();
    if usable <= 1 {
        return "the only choice".to_string();
    }
    // What is better on the first wish, the nearest first; it must break something, or it would have been chosen.
    let mut better: Vec<(i64, usize)> = (0..options.len())
        .filter(|o| options[*o].candidate != chosen.candidate && !candidates[options[*o].candidate].is_idle())
        .filter(|o| wish != Metric::Energy || options[*o].figures.energy.is_some())
        .map(|o| (weight(step, o, &encoded.problem, wish), o))
        .filter(|(w, _)| *w < mine)
        .collect();
    better.sort_by_key(|(w, o)| (std::cmp::Reverse(*w), *o));
    for (_, other) in &better {
        let mut changed = choice.to_vec();
        changed[step] = *other;
        if let Err(Violation::Clause { clause, .. }) = check(&encoded.problem, &changed) {
            let name = shown(&space.steps[step].candidates[options[*other].candidate]);
            return format!("{name} has {} {}, but breaks {}", less(wish), wish.name(), said(&encoded.origins[clause]));
        }
    }
    if better.is_empty() {
        return format!("{} of {usable} choices", superlative(wish));
    }
    format!("together with the other steps, {} of {usable} choices", superlative(wish))
}

fn weight(step: usize, option: usize, problem: &Problem, wish: Metric) -> i64 {
    problem.steps[step].choices[option].figures[figure(wish).index()]
}

fn less(metric: Metric) -> &'static str {
    if metric == Metric::Quality { "more" } else { "less" }
}

pub(super) fn superlative(metric: Metric) -> String {
    if metric == Metric::Quality { "the best quality".to_string() } else { format!("the least {}", metric.name()) }
}

/// What a clause of the problem stands for, as people wrote it.
pub fn said(origin: &Origin) -> String {
    match origin {
        Origin::Clause(c) => format!("`{}`", c.text),
        Origin::Rule(r) | Origin::Called(r, _) => format!("`{}`", r.text),
        Origin::StepPin(..) => "the pin at the call".to_string(),
        Origin::AgentCost(_, usd, _) => format!("what the agent may cost, {} usd", usd.normalize()),
        Origin::EnergyKnown(text, _) => format!("`{text}`, for which energy must be known"),
    }
}

/// A candidate in a few words: `whisper(variant: small, batch: 8) on a100 * 1`.
pub fn shown(candidate: &Candidate) -> String {
    let knobs: Vec<String> = candidate.knobs.iter().map(|(n, v)| format!("{n}: {v}")).collect();
    let knobs = if knobs.is_empty() { String::new() } else { format!("({})", knobs.join(", ")) };
    let units = if candidate.units > 0 { format!(" * {}", candidate.units) } else { String::new() };
    format!("`{}{knobs}` on {}{units}", candidate.implementation, candidate.device)
}
