//! By whom the qualities are that are compared for a step: two people may have measured differently.

use super::encode::{breaks_pin, matches_pin, wishes};
use super::{Candidate, Space};
use crate::check::program::{Job, Metric, Pin, RuleKind};
use crate::ir::workflow::Workflow;
use crate::library::Library;
use crate::library::profile::Setting;
use ecow::EcoString;
use std::collections::{BTreeMap, BTreeSet};

/// Whether a plan of a job is chosen by quality: it limits or wishes it, or says nothing of what it wishes.
pub fn compares(job: &Job) -> bool {
    let limits = job.clauses.iter().chain(&job.preferred).map(|clause| clause.metric);
    // What is wished behind the job's own wishes only settles between equals.
    let wished = wishes(job).into_iter().take(job.wishes.len().max(1));
    limits.chain(wished).any(|metric| metric == Metric::Quality)
}

/// Who says how good a candidate is: empty where nobody is named, none where nobody says it.
pub fn reporter(library: &Library, task: &str, candidate: &Candidate) -> Option<EcoString> {
    let entry = library.implementations.get(&candidate.implementation)?;
    let Candidate { knobs, device, units, .. } = candidate;
    let figure = entry.profile.figure("quality", &Setting { task, knobs, device, units: *units, work: &[] })?;
    Some(figure.reporter.clone().unwrap_or_default())
}

/// A reporter, for people.
pub fn named(by: &str) -> &str {
    if by.is_empty() { "nobody named" } else { by }
}

/// Leaves to each step what is judged by one reporter: by the one who judged most models and tools. Of what is pinned, nothing else is compared.
pub fn restrict(space: &mut Space, job: &Job, workflow: &Workflow, library: &Library) {
    let everywhere = job.rules.iter().filter_map(|rule| match &rule.kind {
        RuleKind::Pin(pin) => Some(pin),
        _ => None,
    });
    let everywhere: Vec<&Pin> = everywhere.collect();
    for (step, called) in space.steps.iter_mut().zip(&workflow.steps) {
        let may = |candidate: &Candidate| {
            called.pins.iter().all(|pin| matches_pin(candidate, pin, library))
                && !everywhere.iter().any(|pin| breaks_pin(pin, called, candidate, library))
        };
        let by: Vec<Option<EcoString>> =
            step.candidates.iter().map(|candidate| reporter(library, called.task.as_str(), candidate)).collect();
        let mut judged: BTreeMap<&EcoString, BTreeSet<&EcoString>> = BTreeMap::new();
        for candidate in step.options.iter().map(|option| option.candidate) {
            if !may(&step.candidates[candidate]) {
                continue;
            }
            if let Some(by) = &by[candidate] {
                judged.entry(by).or_default().insert(&step.candidates[candidate].implementation);
            }
        }
        // Of those with as many, the first by name.
        let most = judged.iter().rev().max_by_key(|(_, entries)| entries.len()).map(|(by, _)| (*by).clone());
        let Some(most) = most.filter(|_| judged.len() > 1) else { continue };
        let mut out: BTreeSet<(EcoString, String)> = BTreeSet::new();
        step.options.retain(|option| {
            let other = by[option.candidate].as_ref().filter(|by| **by != most);
            if let Some(other) = other {
                let why = format!(
                    "its `quality` is by {}, and those that it would be compared with are by {}",
                    named(other),
                    named(&most)
                );
                out.insert((step.candidates[option.candidate].implementation.clone(), why));
            }
            other.is_none()
        });
        step.excluded.extend(out);
    }
}
