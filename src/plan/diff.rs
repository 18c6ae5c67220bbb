//! Two plans of a job → what changed, in lines.

use super::model::Plan;
use super::render;

/// What changed from `old` to `new`; empty where nothing did.
pub fn diff(old: &Plan, new: &Plan) -> Vec<String> {
    let mut lines = Vec::new();
    let knobs = |s: &super::model::PlanStep| match s.knobs.is_empty() {
        true => "none".to_string(),
        false => s.knobs.iter().map(|(n, v)| format!("{n} {v}")).collect::<Vec<_>>().join(", "),
    };
    for step in &new.steps {
        match old.steps.iter().find(|s| s.name == step.name) {
            None => lines.push(format!("+ {}: {} on {}", step.name, step.implementation, render::hardware(step))),
            Some(before) => {
                let parts = [
                    ("", before.implementation.clone(), step.implementation.clone()),
                    ("knobs ", knobs(before), knobs(step)),
                    ("on ", render::hardware(before), render::hardware(step)),
                ];
                for (what, a, b) in parts.into_iter().filter(|(_, a, b)| a != b) {
                    lines.push(format!("~ {}: {what}{a} → {b}", step.name));
                }
            }
        }
    }
    for step in old.steps.iter().filter(|s| !new.steps.iter().any(|n| n.name == s.name)) {
        lines.push(format!("- {}: {}", step.name, step.implementation));
    }
    let totals = [
        ("latency", old.total.latency_s, new.total.latency_s),
        ("cost", old.total.cost_usd, new.total.cost_usd),
        ("energy", old.total.energy_wh, new.total.energy_wh),
        ("quality", old.total.quality, new.total.quality),
    ];
    for (name, a, b) in totals.into_iter().filter(|(_, a, b)| a != b) {
        lines.push(format!("~ {name}: {} → {}", render::metric(name, a), render::metric(name, b)));
    }
    lines
}
