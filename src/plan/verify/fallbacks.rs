//! Plan → what is wrong with its fallbacks: each of them, in the place of its step and with all others as they are, must keep every clause,
//! and its figures and engine must be the library's.

use super::{expected, is, overfull, quality_by, recompute, strange};
use crate::check::program::{Metric, QualityRule};
use crate::ir::dag::Dag;
use crate::library::Library;
use crate::plan::build::total_of;
use crate::plan::fallback::MOST_NAMED;
use crate::plan::model::{Plan, PlanStep};
use crate::space::{Figured, Space};
use rust_decimal::Decimal;

/// Fallbacks that break something in the place of their step.
pub fn unfit(plan: &Plan, dag: &Dag, rule: &QualityRule) -> Vec<String> {
    let mut wrong = Vec::new();
    for (index, step) in plan.steps.iter().enumerate().filter(|(_, s)| !s.fallbacks.is_empty()) {
        if plan.rate_per_s.is_some() || step.part.is_some() || step.fallbacks.len() > MOST_NAMED {
            wrong.push(format!("step `{}` cannot have these fallbacks", step.name));
            continue;
        }
        for by in &step.fallbacks {
            let mut other = plan.clone();
            other.steps[index] = step.standing_in(by);
            wrong.extend(
                breaking(&other, index, dag, rule)
                    .map(|what| format!("the fallback `{}` of step `{}` {what}", by.implementation, step.name)),
            );
        }
    }
    wrong
}

/// What a plan with a fallback in its place breaks.
fn breaking(plan: &Plan, index: usize, dag: &Dag, rule: &QualityRule) -> Option<String> {
    let step = &plan.steps[index];
    let has = plan.cluster.pools.get(&step.hardware.device).map_or(0, |p| p.units);
    if strange(step) {
        return Some("has a figure that is negative or beyond reason".to_string());
    }
    if step.hardware.device != "api" && step.hardware.held() > has || !overfull(plan, dag).is_empty() {
        return Some("needs more hardware than there is".to_string());
    }
    let Some(quality) = quality_by(plan, rule) else { return Some("has no quality by the job's rule".to_string()) };
    let total = recompute(plan, dag, quality);
    let broken = plan.clauses.iter().filter(|c| c.metric != "rule" && c.holds && c.metric != "gpus").find(|clause| {
        let metric = Metric::ALL.iter().find(|(_, name)| *name == clause.metric).map(|(metric, _)| *metric);
        metric.is_none_or(|metric| {
            let value = total_of(metric, &total);
            if metric == Metric::Quality { value < clause.limit } else { value > clause.limit }
        })
    });
    broken.map(|clause| format!("breaks `{}`", clause.text))
}

/// Fallbacks that are not as the library says; `taken` are the options that the plan's steps are.
pub fn unlike(plan: &Plan, space: &Space, taken: &[Option<&Figured>], library: &Library) -> Vec<String> {
    let mut wrong = Vec::new();
    let class = |step: usize| taken[step].map(|option| space.steps[step].candidates[option.candidate].class);
    for (index, step) in plan.steps.iter().enumerate() {
        for by in &step.fallbacks {
            let other = step.standing_in(by);
            let options = &space.steps[index];
            let meant = |o: &&Figured| {
                let candidate = &options.candidates[o.candidate];
                o.shared.is_none()
                    && is(&other, candidate)
                    && Some(candidate.class) == class(index)
                    && o.needs.iter().all(|(of, needed)| class(*of) == Some(*needed))
            };
            let option = options.options.iter().find(meant);
            if !option.is_some_and(|option| is_of(&other, option, &options.candidates[option.candidate], plan, library))
            {
                let (name, step) = (&by.implementation, &step.name);
                wrong.push(format!("the fallback `{name}` of step `{step}` is not as the library has it"));
            }
        }
    }
    wrong
}

fn is_of(
    step: &PlanStep,
    option: &Figured,
    candidate: &crate::space::Candidate,
    plan: &Plan,
    library: &Library,
) -> bool {
    let entry = library.implementations.get(step.implementation.as_str());
    let task = library.tasks.get(step.task.as_str());
    let lowered = entry.zip(task).is_some_and(|(entry, task)| {
        entry.label.as_deref() == step.label.as_deref()
            && crate::plan::engine::lower(entry, candidate, task) == step.engine
    });
    // More GPUs than a clause allows are a matter of the library, which says what a GPU is.
    let mut steps = plan.steps.clone();
    steps[step.id.0 as usize] = step.clone();
    let gpus = Decimal::from(crate::plan::build::gpus(&steps, &plan.instances, library));
    let many = plan.clauses.iter().any(|c| c.metric == "gpus" && c.holds && gpus > c.limit);
    lowered
        && !many
        && expected(&option.figures, step) == step.predicted
        && *option.evidence == *step.evidence
        && option.figures.replicas == step.hardware.replicas
}
