//! Composed calls → candidates that stand for a way, candidates that stand for nothing, and what a composition makes of the
//! quality of its steps.

use super::ends::{Basis, Ends, RowId};
use super::{Candidate, Figured, Figures, Input, Space, StepSpace};
use crate::ir::dag::Dag;
use crate::ir::resolve::{Resolved, resolve};
use crate::ir::stream;
use crate::ir::workflow::{Part, Step, StepId, Way, Workflow};
use crate::library::end_to_end::Form;
use crate::library::evidence::Evidence;
use crate::library::profile::{Figure, Setting};
use crate::library::{Implementation, Library};
use ecow::{EcoString, eco_format};
use rust_decimal::prelude::{FromPrimitive, ToPrimitive};
use rust_decimal::{Decimal, RoundingStrategy};
use std::collections::{BTreeMap, BTreeSet};

/// Digits that a quality keeps which counts for a share of the answers; the last one is rounded down.
const DIGITS: u32 = 6;

impl Candidate {
    /// The candidate that stands for one way of a composed call; the steps of that way do the work.
    pub fn of_way(task: &EcoString, way: &Way) -> Candidate {
        let (implementation, knobs) = (way.composition.clone(), way.knobs.clone());
        Candidate { task: task.clone(), implementation, knobs, device: EcoString::new(), units: 0, class: 0 }
    }

    /// The candidate of a step that the chosen way leaves out.
    pub fn absent(task: &EcoString) -> Candidate {
        let (implementation, device) = (EcoString::new(), EcoString::new());
        Candidate { task: task.clone(), implementation, knobs: Vec::new(), device, units: 0, class: 0 }
    }

    /// Whether it stands for a way.
    pub fn goes(&self, way: &Way) -> bool {
        self.is_idle() && self.implementation == way.composition && self.knobs == way.knobs
    }

    /// Whether the step is left out.
    pub fn is_absent(&self) -> bool {
        self.implementation.is_empty()
    }

    /// Whether nothing is executed: the step is left out, or its parts do the work.
    pub fn is_idle(&self) -> bool {
        self.device.is_empty()
    }
}

/// What a step in a composition counts for.
#[derive(Clone, Debug, PartialEq)]
pub struct Role {
    /// The composition, with its knobs.
    pub way: Way,
    /// The share of the answers that are this step's.
    pub answers: Option<Decimal>,
    /// How qualities combine in the job.
    pub rule: Form,
}

impl Role {
    /// The share of the errors that the composition leaves, with the step carried out by a candidate; `None` without a profile.
    fn errors<'l>(&self, library: &'l Library, candidate: &Candidate) -> Option<(RowId, &'l Figure)> {
        let entry = library.implementations.get(&self.way.composition)?;
        let knobs = [self.way.knobs.as_slice(), candidate.knobs.as_slice()].concat();
        let setting = Setting {
            task: entry.tasks.first()?,
            knobs: &knobs,
            device: &candidate.device,
            units: candidate.units,
            work: &[],
            by: None,
        };
        let (row, figure) = entry.profile.row("errors", &setting)?;
        Some((RowId { implementation: entry.name.clone(), figure: "errors".into(), row }, figure))
    }

    /// A step's quality as it counts in the job's.
    ///
    /// Without a profile every step counts as it would by itself, so that no composition is better than its parts. With one, the
    /// steps that answer count alone: of their errors the profile's share is left, and each counts as often as the answer is its
    /// own. A program or built-in function gives the same answer again: no composition leaves fewer of its errors.
    fn count(&self, own: Decimal, errors: Option<Decimal>, same_again: bool) -> Decimal {
        let Some(errors) = errors else { return own };
        let Some(share) = self.answers else { return Decimal::ONE };
        let errors = if same_again { errors.max(Decimal::ONE) } else { errors };
        let left = (Decimal::ONE - own).checked_mul(errors).unwrap_or(Decimal::ONE);
        let quality = (Decimal::ONE - left).clamp(Decimal::ZERO, Decimal::ONE);
        // The weighted geometric mean is at most the mean: what answers in turns is not better than each as often as its turn is.
        let weighted = quality.to_f64().map(|q| q.powf(share.to_f64().unwrap_or(1.0))).and_then(Decimal::from_f64);
        match (self.rule, weighted) {
            (Form::Product, Some(weighted)) if share < Decimal::ONE => {
                weighted.round_dp_with_strategy(DIGITS, RoundingStrategy::ToZero).clamp(quality, Decimal::ONE)
            }
            _ => quality,
        }
    }

    /// Figures of a candidate with its quality as it counts.
    pub fn counted(&self, mut figures: Figures, candidate: &Candidate, library: &Library, ends: &Ends) -> Figures {
        let errors = self.errors(library, candidate).map(|(id, figure)| ends.value(&id, figure));
        let entry = library.implementations.get(&candidate.implementation);
        let kind = entry.and_then(|e| e.engine.as_ref()).map_or("", |e| e.kind.as_str());
        figures.quality = self.count(figures.quality, errors, ["process", "builtin"].contains(&kind));
        figures
    }

    /// The row that it rests on, where the step's quality does.
    pub fn basis(&self, library: &Library, candidate: &Candidate) -> Option<Basis> {
        self.answers?;
        let (id, figure) = self.errors(library, candidate)?;
        Some(Basis {
            id,
            value: figure.value,
            low: figure.interval.0,
            high: figure.interval.1,
            evidence: figure.evidence,
            source: figure.source.clone(),
        })
    }

    /// The same as evidence.
    pub fn evidence(&self, library: &Library, candidate: &Candidate) -> Option<Evidence> {
        let basis = self.basis(library, candidate)?;
        let figure = basis.id.figure.to_string();
        Some(Evidence {
            kind: basis.evidence,
            figure,
            source: basis.source.to_string(),
            outside: None,
            unbounded: false,
            exact: false,
        })
    }
}

/// What a part counts for under a rule of quality.
pub fn role(part: &Part, rule: Form) -> Role {
    Role { way: part.way.clone(), answers: part.answers, rule }
}

/// Adds to each step that chooses its ways, and to each part of a way the candidate that it is left out.
pub fn offer(input: &Input, steps: &mut [StepSpace]) {
    for (index, step) in input.workflow.steps.iter().enumerate() {
        for (number, way) in step.ways.iter().enumerate() {
            match missing(number, index, way, input, steps) {
                Some(why) => steps[index].excluded.push((way.composition.clone(), why)),
                None => steps[index].candidates.push(Candidate::of_way(&step.task, way)),
            }
        }
    }
    for (step, space) in input.workflow.steps.iter().zip(steps.iter_mut()) {
        space.role = step.part.as_ref().map(|part| role(part, input.rule));
        if step.part.as_ref().is_some_and(|part| part.of.is_some()) {
            space.candidates.push(Candidate::absent(&step.task));
        }
    }
}

/// Why a way cannot be gone.
fn missing(number: usize, gate: usize, way: &Way, input: &Input, steps: &[StepSpace]) -> Option<String> {
    let set: Vec<String> = way.knobs.iter().map(|(n, v)| format!("{n} {v}")).collect();
    let set = if set.is_empty() { String::new() } else { format!(" with {}", set.join(", ")) };
    let entry = input.library.implementations.get(&way.composition)?;
    let task = &input.workflow.steps[gate].task;
    let setting = Setting { task, knobs: &way.knobs, device: "", units: 0, work: &[], by: None };
    if entry.profile.names().next().is_some() && entry.profile.figure("errors", &setting).is_none() {
        return Some(format!("its profile has no `errors`{set}"));
    }
    let parts = input.workflow.steps.iter().zip(steps).filter(|(step, _)| is_part(step, gate, number));
    let empty = parts.into_iter().find(|(_, space)| space.candidates.is_empty());
    empty.map(|(step, _)| format!("nothing carries out its `{}` on `{}`{set}", step.task, input.machines.name))
}

fn is_part(step: &Step, gate: usize, way: usize) -> bool {
    let of = step.part.as_ref().and_then(|part| part.of);
    of.is_some_and(|(step, number)| step.0 as usize == gate && number == way)
}

/// The most steps that are there at once, whatever is chosen; `None` where nothing is to be chosen.
pub fn most_steps(workflow: &Workflow) -> Option<u64> {
    let mut most = workflow.steps.iter().filter(|s| s.part.as_ref().is_none_or(|p| p.of.is_none())).count();
    let mut composed = false;
    for (gate, step) in workflow.steps.iter().enumerate().filter(|(_, s)| !s.ways.is_empty()) {
        composed = true;
        let parts = |way| workflow.steps.iter().filter(|s| is_part(s, gate, way)).count();
        most += (0..step.ways.len()).map(parts).max().unwrap_or(0);
    }
    composed.then_some(most as u64)
}

/// What each step is to the result's first token; a part, where its way is gone and other calls are plain.
pub fn roles(workflow: &Workflow, dag: &Dag, text: &[bool]) -> Vec<stream::Role> {
    if workflow.steps.iter().all(|step| step.ways.is_empty()) {
        return stream::roles(&workflow.body, dag, text);
    }
    let mut all = vec![stream::Role::Aside; workflow.steps.len()];
    let ways = workflow.steps.iter().filter_map(|step| step.part.as_ref()?.of);
    let ways: BTreeSet<Option<(StepId, usize)>> = ways.map(Some).chain([None]).collect();
    for way in ways {
        let picked = |step: usize| way.filter(|(gate, _)| gate.0 as usize == step).map(|(_, number)| number);
        let Resolved { workflow: resolved, from } = resolve(workflow, &picked);
        let text: Vec<bool> = from.iter().map(|old| text[*old]).collect();
        let roles = stream::roles(&resolved.body, &Dag::of(&resolved.body, from.len()), &text);
        for (old, role) in from.iter().zip(roles) {
            if workflow.steps[*old].part.as_ref().and_then(|part| part.of) == way {
                all[*old] = role;
            }
        }
    }
    all
}

/// What the class of a step that chooses says of a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chooser {
    /// The step that chooses.
    pub step: usize,
    /// How many classes it has.
    pub classes: u32,
    /// The class in which this part is there; `None` where its way cannot be gone.
    pub here: Option<u32>,
}

/// The step that chooses whether a part is there; once classes are given.
pub fn chooser(step: &Step, steps: &[StepSpace]) -> Option<Chooser> {
    let Part { way, of, .. } = step.part.as_ref()?;
    let gate = (*of)?.0.0 as usize;
    let here = steps[gate].candidates.iter().find(|c| c.goes(way)).map(|c| c.class);
    Some(Chooser { step: gate, classes: steps[gate].classes, here })
}

/// The options of the candidates that do nothing: a way, whatever else is chosen, and what is left out, wherever another way is
/// gone.
pub fn idle(step: &StepSpace, chooser: Option<Chooser>) -> Vec<Figured> {
    let mut options = Vec::new();
    for (number, _) in step.candidates.iter().enumerate().filter(|(_, c)| c.is_idle()) {
        let figured = |needs| Figured {
            candidate: number,
            needs,
            shared: None,
            work: Vec::new(),
            figures: nothing(),
            evidence: [].into(),
        };
        match chooser {
            None => options.push(figured(Vec::new())),
            Some(Chooser { step, classes, here }) => {
                let without = (0..classes).filter(|class| Some(*class) != here);
                options.extend(without.map(|class| figured(vec![(step, class)])));
            }
        }
    }
    options
}

fn nothing() -> Figures {
    Figures {
        calls: Decimal::ZERO,
        replicas: 0,
        busy: Decimal::ZERO,
        standing: Decimal::ZERO,
        latency: Decimal::ZERO,
        latency_p95: Decimal::ZERO,
        latency_p99: Decimal::ZERO,
        streamed: None,
        cost: Decimal::ZERO,
        either: Decimal::ZERO,
        energy: Some(Decimal::ZERO),
        quality: Decimal::ONE,
        memory: Decimal::ZERO,
    }
}

/// Whether classes can come together: a part has the class of its work only where its way is gone, so that work which depends
/// on parts that are not there need not be computed.
pub fn possible(classes: &BTreeMap<usize, u32>, choosers: &BTreeMap<usize, Chooser>) -> bool {
    classes.iter().all(|(step, class)| match choosers.get(step) {
        // What is left out counts as the first class.
        Some(chooser) => *class == 0 || classes.get(&chooser.step).is_none_or(|c| Some(*c) == chooser.here),
        None => true,
    })
}

impl Space {
    /// The way that a composed call goes under a choice, as an index into its step's ways.
    pub fn picked(&self, workflow: &Workflow, choice: &[usize], step: usize) -> Option<usize> {
        let (candidate, _) = self.steps.get(step)?.taken(*choice.get(step)?);
        workflow.steps[step].ways.iter().position(|way| candidate.goes(way))
    }
}

/// A composition in a few words: `best_of_n(n: 5)`.
pub fn shown(way: &Way) -> EcoString {
    let knobs: Vec<String> = way.knobs.iter().map(|(n, v)| format!("{n}: {v}")).collect();
    if knobs.is_empty() { way.composition.clone() } else { eco_format!("{}({})", way.composition, knobs.join(", ")) }
}

/// Whether an implementation composes others.
pub fn composes(entry: &Implementation) -> bool {
    entry.flow.is_some()
}
