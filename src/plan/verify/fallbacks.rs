//! Plan → what is wrong with its fallbacks: each of them, in the place of its step and with all others as they are, must keep every clause,
//! and its figures and engine must be the library's.

use super::{expected, is, overfull, quality_by, recompute, rule_of, strange};
use crate::check::program::{Metric, QualityRule};
use crate::ir::dag::Dag;
use crate::library::Library;
use crate::plan::build::total_of;
use crate::plan::fallback::MOST_NAMED;
use crate::plan::model::{Plan, PlanClause, PlanStep};
use crate::plan::render::metric;
use crate::space::{Figured, Space};
use crate::units::shown;
use rust_decimal::Decimal;
use std::fmt;

/// A clause that a plan keeps, and would not with others in the places of some of its steps.
#[derive(Clone, Debug, PartialEq)]
pub struct Broken {
    /// As in the source.
    pub text: String,
    /// What is bounded.
    pub metric: String,
    /// What it would come to; none where the job's rule has no quality for these steps.
    pub value: Option<Decimal>,
    /// Whether it is a wish.
    pub soft: bool,
}

impl Broken {
    /// Whether it is a limit on quality, which nothing that happens later makes good again.
    pub fn worsens(&self) -> bool {
        self.metric == "quality" && !self.soft
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.value {
            // As exactly as the limit may be stated: what is just below it must not look like it.
            Some(value) if self.metric == "quality" => {
                write!(f, "`{}` would be broken ({} %)", self.text, shown(value * Decimal::ONE_HUNDRED, 4))
            }
            Some(value) => write!(f, "`{}` would be broken ({})", self.text, metric(&self.metric, value)),
            None => write!(f, "nobody could say whether `{}` is kept", self.text),
        }
    }
}

/// What a plan would break of the clauses that it keeps, where some of its steps have others in the places of those that it chose.
pub fn broken(plan: &Plan) -> Vec<Broken> {
    let dag = Dag::of(&plan.body, plan.steps.len());
    let quality = rule_of(plan).and_then(|rule| quality_by(plan, &rule));
    clauses_broken(plan, &dag, quality).collect()
}

/// The same, with the quality that the plan has by its rule, if it has one.
fn clauses_broken(plan: &Plan, dag: &Dag, quality: Option<Decimal>) -> impl Iterator<Item = Broken> {
    let total = recompute(plan, dag, quality.unwrap_or_default());
    let kept = plan.clauses.iter().filter(|c| c.metric != "rule" && c.holds && c.metric != "gpus");
    kept.filter_map(move |clause| {
        let bounded = Metric::ALL.iter().find(|(_, name)| *name == clause.metric).map(|(metric, _)| *metric);
        let value = match bounded {
            Some(Metric::Quality) => quality,
            bounded => bounded.map(|metric| total_of(metric, &total)),
        };
        let kept = value.is_some_and(|value| match bounded {
            Some(Metric::Quality) => value >= clause.limit,
            _ => value <= clause.limit,
        });
        let PlanClause { text, metric, soft, .. } = clause;
        (!kept).then(|| Broken { text: text.clone(), metric: metric.clone(), value, soft: *soft })
    })
}

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
    clauses_broken(plan, dag, Some(quality)).next().map(|clause| format!("breaks `{}`", clause.text))
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
