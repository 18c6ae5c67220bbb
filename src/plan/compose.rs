//! The ways that composed calls go in a choice → the part of the data flow that is left, and what a plan says of each way; and
//! back, from a plan to the ways of its job.

use super::model::{Plan, PlanComposition, PlanPart};
use super::reason::{said, superlative};
use crate::check::program::{Job, Metric};
use crate::ir::dag::Dag;
use crate::ir::resolve::{Resolved, resolve};
use crate::ir::stream::roles;
use crate::ir::workflow::{Part, Step, StepId, Way, Workflow};
use crate::library::Library;
use crate::library::profile::Setting;
use crate::solve::check::{Violation, check};
use crate::space::encode::{Encoded, wishes};
use crate::space::ends::Ends;
use crate::space::tail::Combine;
use crate::space::{Candidate, Space, Terms};
use crate::types::Type;
use std::borrow::Cow;

/// What is left of a workflow and of its space where every composed call has gone one way.
pub struct Taken<'a> {
    /// The workflow, without choices.
    pub workflow: Cow<'a, Workflow>,
    /// The space of its steps.
    pub space: Cow<'a, Space>,
    /// One option per step.
    pub choice: Vec<usize>,
    /// By step, its index in the whole workflow.
    pub from: Vec<usize>,
}

/// Leaves out what a choice leaves out.
pub fn taken<'a>(workflow: &'a Workflow, space: &'a Space, choice: &[usize], library: &Library) -> Taken<'a> {
    if workflow.steps.iter().all(|step| step.ways.is_empty()) {
        let from = (0..workflow.steps.len()).collect();
        return Taken { workflow: Cow::Borrowed(workflow), space: Cow::Borrowed(space), choice: choice.to_vec(), from };
    }
    let Resolved { workflow: resolved, from } = resolve(workflow, &|step| space.picked(workflow, choice, step));
    let steps = from.iter().map(|old| space.steps[*old].clone()).collect();
    let dag = Dag::of(&resolved.body, from.len());
    let is_text = |step: &Step| library.tasks.get(&step.task).is_some_and(|task| task.result == Type::Text);
    let text: Vec<bool> = resolved.steps.iter().map(is_text).collect();
    let terms = Terms { roles: roles(&resolved.body, &dag, &text), ..space.terms.clone() };
    let mut left = Space { steps, dag, terms, instances: space.instances.clone() };
    let choice: Vec<usize> = from.iter().map(|old| choice[*old]).collect();
    // What a step is to the first token may depend on which way other calls go.
    for (step, option) in choice.iter().enumerate() {
        if left.terms.role(step) != space.terms.role(from[step])
            && let Some(figures) = left.figures_at(library, step, *option, &Ends::all(left.terms.end))
        {
            left.steps[step].options[*option].figures = figures;
        }
    }
    Taken { workflow: Cow::Owned(resolved), space: Cow::Owned(left), choice, from }
}

/// Among how many steps the share of late runs is split; none where nothing was to be chosen.
pub fn tail_steps(workflow: &Workflow, space: &Space) -> Option<u64> {
    match space.terms.combine {
        Combine::Steps(parts) if workflow.steps.iter().any(|step| !step.ways.is_empty()) => Some(parts),
        _ => None,
    }
}

/// What a plan says of the composed calls, and which step is a part of which of them.
pub fn compositions(
    workflow: &Workflow,
    space: &Space,
    encoded: &Encoded,
    choice: &[usize],
    taken: &Taken,
    (job, library): (&Job, &Library),
) -> (Vec<PlanComposition>, Vec<Option<PlanPart>>) {
    let wish = wishes(job).first().copied().unwrap_or(Metric::Cost);
    let mut all = Vec::new();
    let mut parts = vec![None; taken.from.len()];
    for (gate, step) in workflow.steps.iter().enumerate() {
        let Some(number) = space.picked(workflow, choice, gate) else { continue };
        let Way { composition, knobs } = &step.ways[number];
        let of = Some((StepId(gate as u32), number));
        for (part, old) in parts.iter_mut().zip(&taken.from) {
            if let Some(Part { answers, of: found, .. }) = &workflow.steps[*old].part
                && *found == of
            {
                *part = Some(PlanPart { composition: all.len(), answers: *answers });
            }
        }
        all.push(PlanComposition {
            call: step.name.to_string(),
            task: step.task.to_string(),
            composition: composition.to_string(),
            label: library
                .implementations
                .get(composition)
                .and_then(|entry| entry.label.as_ref())
                .map(|l| l.to_string()),
            knobs: knobs.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect(),
            reason: reason(gate, space, encoded, choice, wish),
        });
    }
    (all, parts)
}

/// Why a call is composed: what no plain call keeps, if that is it.
fn reason(gate: usize, space: &Space, encoded: &Encoded, choice: &[usize], wish: Metric) -> String {
    let best = format!("{} of all ways", superlative(wish));
    let mut broken: Option<usize> = None;
    let mut plain = 0;
    for (option, figured) in space.steps[gate].options.iter().enumerate() {
        let (candidate, _) = space.steps[gate].taken(option);
        if candidate.is_idle() {
            continue;
        }
        plain += 1;
        let Some(changed) = instead(gate, option, candidate, space, choice) else { continue };
        match check(&encoded.problem, &changed) {
            Err(Violation::Clause { clause, .. }) if broken.is_none_or(|b| b == clause) => broken = Some(clause),
            // What other steps depend on cannot be judged by itself.
            Err(Violation::Clause { .. }) | Ok(_) => return best,
            Err(_) if figured.needs.is_empty() => return best,
            Err(_) => {}
        }
    }
    match broken {
        Some(clause) => format!("no plain call keeps {}", said(&encoded.origins[clause])),
        None if plain == 0 => "nothing carries it out by itself".to_string(),
        None => best,
    }
}

/// The choice with a plain call in the place of a composed one.
fn instead(gate: usize, option: usize, candidate: &Candidate, space: &Space, choice: &[usize]) -> Option<Vec<usize>> {
    let mut changed = choice.to_vec();
    changed[gate] = option;
    let class = candidate.class;
    for (at, step) in space.steps.iter().enumerate() {
        let here = step.options[choice[at]].needs.iter().any(|(of, needed)| *of == gate && *needed != class);
        if here && step.role.is_some() {
            let out = |o: &crate::space::Figured| {
                step.candidates[o.candidate].is_absent() && o.needs.contains(&(gate, class))
            };
            changed[at] = step.options.iter().position(out)?;
        }
    }
    Some(changed)
}

/// The way that a plan goes at a call of its job, as an index into the call's ways; none for a plain call. `Err` where the
/// call has no such way.
pub fn pick(plan: &Plan, workflow: &Workflow, step: usize) -> Result<Option<usize>, String> {
    let called = &workflow.steps[step];
    let Some(composed) = plan.compositions.iter().find(|c| c.call == called.name.as_str()) else { return Ok(None) };
    let same = |way: &Way| {
        way.composition == composed.composition
            && way.knobs.iter().map(|(n, v)| (n.as_str(), v.as_str())).eq(knobs_in_order(composed, way))
    };
    let found = called.ways.iter().position(same);
    found.map(Some).ok_or_else(|| format!("the call `{}` cannot be composed as the plan has it", called.name))
}

/// A plan holds knobs by name, a way in order of declaration.
fn knobs_in_order<'p>(composed: &'p PlanComposition, way: &Way) -> Vec<(&'p str, &'p str)> {
    if composed.knobs.len() != way.knobs.len() {
        return vec![("", "")];
    }
    let of = |name: &str| composed.knobs.iter().find(|(n, _)| *n == name).map(|(n, v)| (n.as_str(), v.as_str()));
    way.knobs.iter().filter_map(|(name, _)| of(name)).collect()
}

/// What a step of a plan is in a composition, by the knobs in the library's order; `Err` where the library has no such thing.
pub fn part(plan: &Plan, part: &PlanPart, library: &Library) -> Result<Part, String> {
    let composed =
        plan.compositions.get(part.composition).ok_or("a step is part of a composition that is not there")?;
    let entry = library.implementations.get(composed.composition.as_str()).filter(|entry| entry.flow.is_some());
    let entry = entry.ok_or_else(|| format!("the library has no composition `{}`", composed.composition))?;
    let declared = |(name, values): &(ecow::EcoString, Vec<ecow::EcoString>)| {
        let value = composed.knobs.get(name.as_str())?;
        values.iter().find(|v| *v == value.as_str()).map(|v| (name.clone(), v.clone()))
    };
    let knobs: Vec<_> = entry.knobs.iter().filter_map(declared).collect();
    let setting = Setting { task: composed.task.as_str(), knobs: &knobs, device: "", units: 0, work: &[], by: None };
    let unknown = entry.profile.names().next().is_some() && entry.profile.figure("errors", &setting).is_none();
    if knobs.len() != composed.knobs.len() || knobs.len() != entry.knobs.len() || unknown {
        return Err(format!("the library has no `{}` as the call `{}` uses it", composed.composition, composed.call));
    }
    let way = Way { composition: entry.name.clone(), knobs };
    Ok(Part { way, answers: part.answers, of: None })
}
