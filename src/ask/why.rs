//! Step → why it is carried out as it is: the lines that decide, the best plan with anything else, what that would break.

use super::answer::{Alternative, Change, Deciding, Excluded, Why, changes};
use super::names::{carrier, line, step_name};
use super::resolve::{Fits, Plan, Resolved, Twist, resolve, total};
use super::{Asked, what_if};
use crate::plan::build::total_of;
use crate::plan::model::Totals;
use crate::space::Candidate;
use crate::space::encode::{Origin, wishes};
use std::cmp::Ordering;

/// Says why a step is carried out as it is.
pub fn why(asked: &Asked, step: usize) -> Why {
    let chosen = asked.candidate(step, asked.choice);
    let before = total(asked, asked.choice);
    let space = &asked.prepared.space.steps[step];
    let option = &space.options[asked.choice[step]];
    let mut alternatives: Vec<(Option<Plan>, Alternative)> = Vec::new();
    for (what, fits) in otherwise(asked, step, chosen) {
        let (found, broken) = best_with(asked, step, &*fits);
        alternatives.push(alternative(asked, step, what, found, &broken, &before));
    }
    alternatives.sort_by(|(a, _), (b, _)| match (a, b) {
        (Some(a), Some(b)) => compare(asked, &a.total, &b.total),
        (a, b) => b.is_some().cmp(&a.is_some()),
    });
    let mut excluded: Vec<Excluded> = space
        .excluded
        .iter()
        .map(|(name, why)| Excluded { implementation: name.to_string(), why: why.clone() })
        .collect();
    excluded.sort();
    excluded.dedup();
    Why {
        step: step_name(asked, step),
        chosen: carrier(chosen),
        evidence: option.evidence.first().cloned(),
        wishes: what_if::wished(&asked.prepared.job),
        better: Vec::new(),
        decided_by: deciding(asked, step, chosen, &before),
        alternatives: alternatives.into_iter().map(|(_, a)| a).collect(),
        total: before,
        excluded,
    }
}

/// What the best plan has that the one asked of has not; empty where that is as good in every wish.
pub fn better(asked: &Asked, best: &[usize]) -> Vec<Change> {
    let (mine, theirs) = (total(asked, asked.choice), total(asked, best));
    match compare(asked, &theirs, &mine) {
        Ordering::Less => changes(&mine, &theirs),
        _ => Vec::new(),
    }
}

/// The lines without which, one at a time, the best plan carries the step out otherwise.
fn deciding(asked: &Asked, step: usize, chosen: &Candidate, before: &Totals) -> Vec<Deciding> {
    let mut found = Vec::new();
    for (clause, origin) in asked.encoded.origins.iter().enumerate() {
        // What needs energy to be known is a line that is asked about by itself.
        if matches!(origin, Origin::EnergyKnown(..)) {
            continue;
        }
        let Resolved::Plan(plan) = resolve(asked, &Twist { without: &[clause], ..Twist::default() }) else {
            continue;
        };
        let other = asked.candidate(step, &plan.choice);
        if other != chosen {
            let (line, instead) = (line(asked, origin), carrier(other));
            found.push(Deciding { line, instead, changes: changes(before, &plan.total) });
        }
    }
    found
}

/// Every other implementation; the same one with other knobs; the same with the same knobs on each other device and in
/// other numbers of the same.
pub fn otherwise<'f>(asked: &Asked<'f, '_>, step: usize, chosen: &'f Candidate) -> Vec<(String, Box<Fits<'f>>)> {
    let candidates = &asked.prepared.space.steps[step].candidates;
    let mut all: Vec<(String, Box<Fits<'f>>)> = Vec::new();
    let mut names: Vec<&str> = candidates.iter().map(|c| c.implementation.as_str()).collect();
    names.dedup();
    for name in names.into_iter().filter(|name| *name != chosen.implementation) {
        let said = if name.is_empty() { "left out".to_string() } else { format!("`{name}`") };
        all.push((said, Box::new(move |c| c.implementation == name)));
    }
    let same = |c: &&Candidate| c.implementation == chosen.implementation;
    if candidates.iter().filter(same).any(|c| c.knobs != chosen.knobs) {
        let fits = move |c: &Candidate| c.implementation == chosen.implementation && c.knobs != chosen.knobs;
        all.push(("other knobs".to_string(), Box::new(fits)));
    }
    let like = move |c: &Candidate| c.implementation == chosen.implementation && c.knobs == chosen.knobs;
    let mut devices: Vec<&str> =
        candidates.iter().filter(|c| like(c) && *c != chosen).map(|c| c.device.as_str()).collect();
    devices.sort_unstable();
    devices.dedup();
    for device in devices {
        let what = if device == chosen.device { format!("other number of {device}") } else { format!("on {device}") };
        all.push((what, Box::new(move |c| like(c) && c.device == device && c != chosen)));
    }
    all
}

/// The best plan in which a step is carried out by what fits, without the soft lines that clash with that.
fn best_with(asked: &Asked, step: usize, fits: &Fits) -> (Resolved, Vec<usize>) {
    let mut broken: Vec<usize> = Vec::new();
    loop {
        let found = resolve(asked, &Twist { only: Some((step, fits)), without: &broken, ..Twist::default() });
        let Resolved::Conflict(conflict) = &found else { return (found, broken) };
        let clashing = |c: &&usize| is_soft(asked, &asked.encoded.origins[**c]) && !broken.contains(c);
        let soft: Vec<usize> = conflict.core.iter().filter(clashing).copied().collect();
        if soft.is_empty() {
            return (found, broken);
        }
        broken.extend(soft);
    }
}

/// Whether a line of the plan's problem is one that may be broken.
pub fn is_soft(asked: &Asked, origin: &Origin) -> bool {
    let job = &asked.prepared.job;
    match origin {
        Origin::Clause(c) => job.preferred.iter().any(|p| p.span == c.span),
        Origin::Rule(r) => r.soft,
        Origin::Called(..) | Origin::StepPin(..) | Origin::EnergyKnown(..) | Origin::AgentCost(..) => false,
    }
}

fn alternative(
    asked: &Asked,
    step: usize,
    what: String,
    found: Resolved,
    broken: &[usize],
    before: &Totals,
) -> (Option<Plan>, Alternative) {
    let mut made = Alternative {
        what,
        carrier: None,
        changes: Vec::new(),
        differs_in: None,
        also: Vec::new(),
        breaks: Vec::new(),
        note: None,
    };
    let lines = |clauses: &[usize]| clauses.iter().map(|c| line(asked, &asked.encoded.origins[*c])).collect();
    match found {
        Resolved::Plan(plan) => {
            made.breaks = lines(broken);
            made.carrier = Some(carrier(asked.candidate(step, &plan.choice)));
            made.changes = changes(before, &plan.total);
            made.differs_in = differs_in(asked, before, &plan.total);
            made.also = also(asked, step, &plan.choice);
            made.note = (!plan.optimal).then(|| "not proved the best such plan".to_string());
            (Some(plan), made)
        }
        Resolved::Conflict(conflict) => {
            made.breaks = lines(&conflict.core);
            let unknown = |c: &usize| matches!(asked.encoded.origins[*c], Origin::EnergyKnown(..));
            made.note = if made.breaks.is_empty() {
                Some("does not fit with the other steps on these machines".to_string())
            } else {
                conflict.core.iter().any(unknown).then(|| "its energy is not known".to_string())
            };
            (None, made)
        }
        Resolved::Unknown(why) => {
            made.note = Some(why);
            (None, made)
        }
    }
}

/// The other steps that a choice carries out otherwise.
fn also(asked: &Asked, step: usize, choice: &[usize]) -> Vec<String> {
    let steps = asked.prepared.workflow.steps.iter().enumerate();
    let changed =
        steps.filter(|(at, _)| *at != step && asked.candidate(*at, choice) != asked.candidate(*at, asked.choice));
    changed.map(|(_, s)| s.name.to_string()).collect()
}

/// Which totals the wishes, in order, prefer.
pub fn compare(asked: &Asked, a: &Totals, b: &Totals) -> Ordering {
    let orders = wishes(&asked.prepared.job).into_iter().map(|metric| {
        let order = total_of(metric, a).cmp(&total_of(metric, b));
        if metric == crate::check::program::Metric::Quality { order.reverse() } else { order }
    });
    orders.fold(Ordering::Equal, Ordering::then)
}

/// The first wish in which totals differ.
pub fn differs_in(asked: &Asked, a: &Totals, b: &Totals) -> Option<String> {
    let different = wishes(&asked.prepared.job).into_iter().find(|m| total_of(*m, a) != total_of(*m, b));
    different.map(|m| m.name().to_string())
}
