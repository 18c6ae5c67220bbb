//! A chosen plan → for each step, what may carry it out where its choice fails for good: each, with all other choices as they are, keeps
//! every clause and rule. What the job names comes first, then the best on the job's wishes.

use super::audit::fits;
use super::build::{BuildInput, predicted_of, total_of, totals_of};
use super::compose::Taken;
use super::engine;
use super::model::{Engine, Fallback, Hardware, PlanStep};
use super::reason::{said, shown};
use crate::check::program::Metric;
use crate::ir::workflow::{Step, Workflow};
use crate::library::Library;
use crate::solve::check::{Violation, check};
use crate::solve::problem::Problem;
use crate::space::encode::Origin;
use crate::space::{Candidate, Figured};
use std::collections::BTreeMap;

/// Fallbacks of a step that nobody named.
pub const MOST: usize = 3;
/// Fallbacks of a step, those that are named included.
pub const MOST_NAMED: usize = 16;
/// Settings of one implementation that are tried, the best on the wishes first.
const TRIED: usize = 24;

/// The step in each of its fallbacks' hands.
pub fn in_place(step: &PlanStep) -> impl Iterator<Item = PlanStep> + '_ {
    step.fallbacks.iter().map(|by| step.standing_in(by))
}

/// What may carry out the step at a position of the plan, whose choice is made.
pub fn of_step(position: usize, step: &PlanStep, left: &Taken, input: &BuildInput) -> Vec<Fallback> {
    let Some(search) = Search::new(position, step, left, input) else { return Vec::new() };
    let mut groups: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for option in search.options() {
        groups.entry(search.taken(option).0.implementation.as_str()).or_default().push(option);
    }
    let mut found: Vec<(Rank, Fallback)> = Vec::new();
    for (name, options) in groups {
        let named = search.called.fallbacks.iter().position(|n| n == name);
        let tried = search.best_first(options).into_iter().take(TRIED);
        if let Some((values, option)) = tried.filter_map(|o| Some((search.keeps(o, named.is_some()).ok()?, o))).next() {
            found.push(((named.unwrap_or(usize::MAX), values), search.fallback(option)));
        }
    }
    found.sort_by(|(a, _), (b, _)| a.cmp(b));
    let named = found.iter().take_while(|((named, _), _)| *named < usize::MAX).count();
    let mut ranked: Vec<Fallback> = found.into_iter().map(|(_, by)| by).collect();
    // One account that fails takes all that depend on it along: somebody else is among those that are kept.
    let own = step.engine.account(&step.implementation);
    let elsewhere = |by: &Fallback| by.engine.account(&by.implementation) != own;
    let last = MOST.max(named).saturating_sub(1);
    if !ranked.iter().take(last + 1).any(elsewhere)
        && let Some(other) = ranked.iter().position(elsewhere)
    {
        let other = ranked.remove(other);
        ranked.insert(last.max(named).min(ranked.len()), other);
    }
    ranked.truncate(MOST.max(named).min(MOST_NAMED));
    ranked
}

/// Why a fallback that the job names is not in the plan, in words; the first that is not.
pub fn unkept(input: &BuildInput, left: &Taken, steps: &[PlanStep]) -> Option<String> {
    for (position, step) in steps.iter().enumerate() {
        let called = &input.workflow.steps[left.from[position]];
        let Some(name) = missing(step, called) else { continue };
        let said = match Search::new(position, step, left, input) {
            None => "nothing can stand in for a part of a composition, or under a rate".to_string(),
            Some(search) => search.why_not(name),
        };
        let line = if step.line == 0 { String::new() } else { format!(" (line {})", step.line) };
        return Some(format!("`{name}` cannot be the fallback of `{}`{line}: {said}", step.name));
    }
    None
}

/// A fallback that a call names and a step has not.
fn missing<'a>(step: &PlanStep, called: &'a Step) -> Option<&'a str> {
    let has = |name: &str| step.implementation == name || step.fallbacks.iter().any(|f| f.implementation == name);
    called.fallbacks.iter().map(|n| n.as_str()).find(|name| !has(name))
}

/// What a step's fallbacks are not of what its call asks.
pub fn unasked(step: &PlanStep, called: &Step, library: &Library) -> Vec<String> {
    let mut wrong = Vec::new();
    if let Some(name) = missing(step, called) {
        wrong.push(format!("step `{}` lacks the fallback `{name}` of its call", step.name));
    }
    for other in in_place(step) {
        let named = called.fallbacks.iter().any(|n| n.as_str() == other.implementation);
        if !named && !called.pins.iter().all(|pin| fits(&other, pin, library)) {
            wrong.push(format!("the fallback `{}` of `{}` is not what its call pins", other.implementation, step.name));
        }
    }
    wrong
}

/// Where a fallback stands: where the job names it, then what it does to the wishes.
type Rank = (usize, Vec<i64>);

struct Search<'s> {
    position: usize,
    index: usize,
    called: &'s Step,
    step: &'s PlanStep,
    left: &'s Taken<'s>,
    input: &'s BuildInput<'s>,
    /// The problem without the pins of this call.
    unpinned: Option<Problem>,
}

impl<'s> Search<'s> {
    /// None where nothing may stand in: hardware that stands ready is not there twice, and a part's quality is its composition's.
    fn new(position: usize, step: &'s PlanStep, left: &'s Taken, input: &'s BuildInput) -> Option<Search<'s>> {
        let index = left.from[position];
        let called = &input.workflow.steps[index];
        let same_role = left.space.terms.role(position) == input.space.terms.role(index);
        if input.space.terms.rate.is_some() || called.part.is_some() || !same_role {
            return None;
        }
        let unpinned = (!called.fallbacks.is_empty()).then(|| {
            let mut problem = input.encoded.problem.clone();
            let own = |c: &usize| matches!(&input.encoded.origins[*c], Origin::StepPin(of, _) if *of == index);
            problem.steps[index].choices.iter_mut().for_each(|choice| choice.breaks.retain(|c| !own(c)));
            problem
        });
        Some(Search { position, index, called, step, left, input, unpinned })
    }

    fn taken(&self, option: usize) -> (&Candidate, &Figured) {
        self.left.space.steps[self.position].taken(option)
    }

    /// Options that could stand in: another implementation, or the same one on another device, whose output is of the same size, so
    /// that the figures of later steps hold.
    fn options(&self) -> Vec<usize> {
        let space = &self.left.space.steps[self.position];
        let mine = self.taken(self.left.choice[self.position]).0;
        let runs = !matches!(self.step.engine, Engine::Planned { .. });
        let whole = &self.input.solution.choice;
        let class = |step: usize| self.input.space.steps[step].taken(whole[step]).0.class;
        let fits = |option: &usize| {
            let (candidate, figured) = space.taken(*option);
            let entry = self.input.library.implementations.get(&candidate.implementation);
            let other = candidate.implementation != mine.implementation || candidate.device != mine.device;
            let plain = !candidate.is_idle() && entry.is_some_and(|entry| entry.flow.is_none());
            // What is labelled as less than it may be taken for stands in only where the job names it.
            let label = entry.and_then(|e| e.label.as_ref()).map(|l| l.as_str());
            let named = self.called.fallbacks.contains(&candidate.implementation);
            let plain = plain && (named || label.is_none() || label == self.step.label.as_deref());
            other
                && plain
                && figured.shared.is_none()
                && candidate.class == mine.class
                && figured.needs.iter().all(|(of, needed)| class(*of) == *needed)
                && !(runs && matches!(self.engine(candidate), Some(Engine::Planned { .. }) | None))
        };
        (0..space.options.len()).filter(fits).collect()
    }

    /// Options in the order of their own figures on the wishes.
    fn best_first(&self, mut options: Vec<usize>) -> Vec<usize> {
        let problem = &self.input.encoded.problem;
        let figures = |o: usize| &problem.steps[self.index].choices[o].figures;
        options
            .sort_by_key(|o| (problem.wishes.iter().map(|w| figures(*o)[w.figure.index()]).collect::<Vec<i64>>(), *o));
        options
    }

    /// What the wishes come to with another option here, where every line holds, in integers and in exact decimals.
    fn keeps(&self, option: usize, named: bool) -> Result<Vec<i64>, String> {
        let origins = &self.input.encoded.origins;
        let problem = self.unpinned.as_ref().filter(|_| named).unwrap_or(&self.input.encoded.problem);
        let mut changed = self.input.solution.choice.clone();
        changed[self.index] = option;
        let values = check(problem, &changed).map_err(|violation| match violation {
            Violation::Clause { clause, .. } => format!("it breaks {}", said(&origins[clause])),
            Violation::Capacity { .. } => "the machines have no room for it beside the other steps".to_string(),
            other => other.to_string(),
        })?;
        let mut choice = self.left.choice.clone();
        choice[self.position] = option;
        let total = totals_of(&choice, &self.left.space, &self.input.job.quality_rule, self.input.library);
        let broken = origins.iter().find(|origin| {
            let Origin::Clause(clause) = origin else { return false };
            let value = total_of(clause.metric, &total);
            if clause.metric == Metric::Quality { value < clause.limit } else { value > clause.limit }
        });
        match broken {
            Some(origin) => Err(format!("it breaks {}", said(origin))),
            None => Ok(values.wishes),
        }
    }

    fn engine(&self, candidate: &Candidate) -> Option<Engine> {
        let entry = self.input.library.implementations.get(&candidate.implementation)?;
        Some(engine::lower(entry, candidate, self.input.library.tasks.get(&self.called.task)?))
    }

    fn fallback(&self, option: usize) -> Fallback {
        let (candidate, figured) = self.taken(option);
        let entry = self.input.library.implementations.get(&candidate.implementation);
        let none = || Engine::Planned { name: "none".into(), options: BTreeMap::new() };
        let replicas = figured.figures.replicas;
        Fallback {
            implementation: candidate.implementation.to_string(),
            label: entry.and_then(|e| e.label.as_ref()).map(|l| l.to_string()),
            knobs: candidate.knobs.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect(),
            hardware: Hardware { device: candidate.device.to_string(), units: candidate.units, replicas },
            engine: self.engine(candidate).unwrap_or_else(none),
            predicted: predicted_of(figured),
            evidence: figured.evidence.to_vec(),
        }
    }

    fn why_not(&self, name: &str) -> String {
        let space = &self.left.space.steps[self.position];
        if let Some((_, why)) = space.excluded.iter().find(|(n, _)| n == name) {
            return why.clone();
        }
        let mut options = self.options();
        options.retain(|o| self.taken(*o).0.implementation == name);
        let options = self.best_first(options);
        let Some(first) = options.first() else {
            return "its output is of another size, or this version cannot execute it".to_string();
        };
        let why = self.keeps(*first, true).err().unwrap_or_else(|| "it is not among the first".to_string());
        format!("{why} (tried: {})", shown(self.taken(*first).0))
    }
}

/// Whether any call of a workflow names fallbacks.
pub fn named(workflow: &Workflow) -> bool {
    workflow.steps.iter().any(|s| !s.fallbacks.is_empty())
}
