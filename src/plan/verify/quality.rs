//! A job's quality, by its rule, from what its steps contribute.

use super::super::model::{Plan, PlanStep};
use crate::check::program::QualityRule;
use crate::library::end_to_end::Setting;
use rust_decimal::Decimal;
use std::sync::Arc;

/// The quality of a plan by its job's rule; none where the rule has none for its steps.
pub fn quality(plan: &Plan) -> Option<Decimal> {
    quality_by(plan, &rule_of(plan)?)
}

pub(super) fn quality_by(plan: &Plan, rule: &QualityRule) -> Option<Decimal> {
    Some(rule.total(shares(plan, rule)?.into_iter()))
}

/// What each step contributes to the job's quality.
pub(super) fn shares(plan: &Plan, rule: &QualityRule) -> Option<Vec<Decimal>> {
    plan.steps.iter().enumerate().map(|(index, step)| share(rule, index, step, plan.robust)).collect()
}

/// What a step contributes to the job's quality.
pub(super) fn share(rule: &QualityRule, index: usize, step: &PlanStep, worst: bool) -> Option<Decimal> {
    let knob = |name: &str| step.knobs.get(name).cloned();
    let (quality, implementation) = (step.predicted.quality, step.implementation.as_str());
    // What a part of a composition counts for is its quality; no table speaks of it.
    if step.part.is_some() {
        return (!matches!(rule, QualityRule::Measured(_))).then_some(quality);
    }
    rule.contribution(&Setting { index, step: &step.name, implementation, knob: &knob, quality, worst })
}

/// The rule that a plan names; none where it names none that there is.
pub(super) fn rule_of(plan: &Plan) -> Option<QualityRule> {
    match (plan.quality_rule.as_str(), &plan.measured_quality) {
        ("product", None) => Some(QualityRule::Product),
        ("min", None) => Some(QualityRule::Min),
        ("measured", Some(rule)) => Some(QualityRule::Measured(Arc::new(rule.clone()))),
        _ => None,
    }
}
