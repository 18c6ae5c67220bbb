//! Workflow + library + machines → space: everything that could carry out each step, with its figures as functions of the
//! sizes that upstream choices lead to.

pub mod candidates;
pub mod colocate;
pub mod compose;
pub mod either;
pub mod encode;
pub mod ends;
pub mod errors;
pub mod figures;
pub mod limits;
pub mod load;
pub mod quality;
pub mod reporters;
pub mod shape;
pub mod sharing;
pub mod sizes;
pub mod table;
pub mod tail;
pub mod tier;

use crate::diag::Diagnostics;
use crate::ir::dag::Dag;
use crate::ir::stream::Role;
use crate::ir::workflow::{Step, Workflow};
use crate::library::end_to_end::Form;
use crate::library::evidence::Evidence;
use crate::library::{Cluster, Implementation, Library};
use crate::types::Type;
use compose::Chooser;
use ecow::EcoString;
use ends::End;
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sharing::Instance;
use sizes::InputSizes;
use std::collections::BTreeMap;
use std::sync::Arc;
use tail::Combine;

/// The machines that a plan may use.
#[derive(Clone, Debug, PartialEq)]
pub struct Machines {
    /// Their name: a cluster's, or `here`.
    pub name: EcoString,
    /// Pools by device: how many, dollars an hour.
    pub pools: BTreeMap<EcoString, (u32, Decimal)>,
}

impl Machines {
    /// The machines of a cluster.
    pub fn of(cluster: &Cluster) -> Machines {
        let pools = cluster.pools.iter().map(|(device, units, price)| (device.clone(), (*units, *price)));
        Machines { name: cluster.name.clone(), pools: pools.collect() }
    }
}

/// Says whether an implementation can be used at all (its program is installed, its key is set); the reason where it cannot.
pub type Usable<'a> = dyn Fn(&Implementation) -> Result<(), String> + 'a;

/// What the space is built from.
pub struct Input<'a> {
    /// The data flow.
    pub workflow: &'a Workflow,
    /// The library.
    pub library: &'a Library,
    /// The machines.
    pub machines: &'a Machines,
    /// The sizes of the job's inputs.
    pub sizes: &'a InputSizes,
    /// What can be used.
    pub usable: &'a Usable<'a>,
    /// Where in their intervals the figures that a plan counts with are taken.
    pub end: End,
    /// How often the job is run: runs a second; `None` for one run by itself.
    pub rate: Option<Decimal>,
    /// How qualities combine in the job.
    pub rule: Form,
    /// Among how many steps the share of late runs is split at least; a plan of composed calls keeps what it was chosen with.
    pub parts: Option<u64>,
    /// Which candidates are looked at; `None` for all.
    pub only: Option<&'a Only<'a>>,
}

/// Says whether a candidate of a step is looked at.
pub type Only<'a> = dyn Fn(usize, &Candidate) -> bool + 'a;

/// What figures are computed with beside the library.
#[derive(Clone, Debug, Default)]
pub struct Terms {
    /// Pools by device: how many, dollars an hour.
    pub pools: BTreeMap<EcoString, (u32, Decimal)>,
    /// Where in their intervals the figures of [`Figured::figures`] are taken.
    pub end: End,
    /// How the tails of steps make that of the run.
    pub combine: Combine,
    /// Among how many steps at most the share of late runs is split, where calls could be composed.
    pub parts: Option<u64>,
    /// What each step is to the first token of the result.
    pub roles: Vec<Role>,
    /// How often the job is run: runs a second.
    pub rate: Option<Decimal>,
}

/// Everything that could carry out a workflow.
#[derive(Clone, Debug)]
pub struct Space {
    /// By step.
    pub steps: Vec<StepSpace>,
    /// The DAG of the steps.
    pub dag: Dag,
    /// What its figures are computed with.
    pub terms: Terms,
    /// What steps may share, by [`Figured::shared`].
    pub instances: Vec<Instance>,
}

/// Everything that could carry out a step.
#[derive(Clone, Debug, Default)]
pub struct StepSpace {
    /// Its name, unique in the job.
    pub name: EcoString,
    /// Implementation × knobs × hardware.
    pub candidates: Vec<Candidate>,
    /// Candidates under what upstream choices lead to; at least one for each candidate.
    pub options: Vec<Figured>,
    /// What was left out, and why.
    pub excluded: Vec<(EcoString, String)>,
    /// Of these, what would need something that is not here: a program, a key.
    pub absent: Vec<(EcoString, String)>,
    /// How many different ways its output sizes can behave.
    pub classes: u32,
    /// How often a loop around it begins again: these calls wait for one another, however many could be under way at once.
    pub in_turn: Decimal,
    /// The share of runs that come to it at all.
    pub share: Decimal,
    /// By whom its qualities are, where they are compared and several people say some; each option's own otherwise.
    pub judge: Option<EcoString>,
    /// A size that its work needs and nothing says.
    pub missing: Option<shape::Missing>,
    /// What it counts for in the composition that it is a part of.
    pub role: Option<compose::Role>,
    /// The agent that it is a tool of: a round of it calls one of its tools.
    pub tool_of: Option<u32>,
}

impl Space {
    /// What is left of it where one option of each step is settled.
    pub fn narrowed(&self, choice: &[usize]) -> Space {
        let step = |(step, option): (&StepSpace, &usize)| {
            let (candidate, figured) = step.taken(*option);
            StepSpace {
                name: step.name.clone(),
                candidates: vec![candidate.clone()],
                options: vec![Figured { candidate: 0, ..figured.clone() }],
                excluded: Vec::new(),
                absent: Vec::new(),
                judge: step.judge.clone(),
                missing: None,
                role: step.role.clone(),
                ..*step
            }
        };
        let steps = self.steps.iter().zip(choice).map(step).collect();
        Space { steps, dag: self.dag.clone(), terms: self.terms.clone(), instances: self.instances.clone() }
    }
}

impl StepSpace {
    /// An option with its candidate.
    pub fn taken(&self, option: usize) -> (&Candidate, &Figured) {
        let figured = &self.options[option];
        (&self.candidates[figured.candidate], figured)
    }
}

/// An implementation with its knobs set, on some hardware.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The task that it carries out.
    pub task: EcoString,
    /// The implementation's name.
    pub implementation: EcoString,
    /// Knobs, in order of declaration.
    pub knobs: Vec<(EcoString, EcoString)>,
    /// `cpu`, `a100`, `api`, …
    pub device: EcoString,
    /// How many.
    pub units: u32,
    /// How its output sizes behave.
    pub class: u32,
}

/// A candidate with its figures, for one combination of upstream classes.
#[derive(Clone, Debug)]
pub struct Figured {
    /// Index into [`StepSpace::candidates`].
    pub candidate: usize,
    /// The upstream classes that the figures assume: `(step, class)`.
    pub needs: Vec<(usize, u32)>,
    /// The instance that it uses together with other steps, which then is what stands ready in place of its own hardware.
    pub shared: Option<usize>,
    /// The work of one call, by dimension.
    pub work: Vec<(EcoString, Decimal)>,
    /// The figures that a plan counts with: the typical ones, or the worst for a robust plan.
    pub figures: Figures,
    /// What they rest on, weakest first: options of a step that rest on the same share it.
    pub evidence: Arc<[Evidence]>,
}

/// Figures of a step, for all its calls in one run.
#[derive(Clone, Debug, PartialEq)]
pub struct Figures {
    /// Calls in one run.
    pub calls: Decimal,
    /// How often the hardware is there, to keep up with the job's rate; once without a rate.
    pub replicas: u32,
    /// Seconds for which a run keeps one replica busy.
    pub busy: Decimal,
    /// What of the cost is for hardware of its own that stands ready for the job's rate.
    pub standing: Decimal,
    /// Wall time of all calls, seconds.
    pub latency: Decimal,
    /// Such times that 95 % of all runs stay within the longest path of them, seconds.
    pub latency_p95: Decimal,
    /// The same for 99 %.
    pub latency_p99: Decimal,
    /// What it gives the result token by token.
    pub streamed: Option<Streamed>,
    /// Dollars.
    pub cost: Decimal,
    /// Of a tool of an agent: what of the cost grows with its calls, each of which is one that no other tool of the agent has.
    pub either: Decimal,
    /// Watt-hours; `None` where nobody knows (a provider's machines).
    pub energy: Option<Decimal>,
    /// 0 to 1.
    pub quality: Decimal,
    /// Gigabytes.
    pub memory: Decimal,
}

/// Times of a step whose tokens are the result's, in seconds; those of a percentile are such that this share of all runs stays within
/// the longest path of them (to the first token), or within the largest of them (for a token).
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Streamed {
    /// From its start until every part of the result that it gives has its first token.
    pub ttft_s: Decimal,
    /// The same for 95 % of all runs.
    pub ttft_p95_s: Decimal,
    /// The same for 99 %.
    pub ttft_p99_s: Decimal,
    /// For each further token.
    pub tpot_s: Decimal,
    /// The same for 95 % of all runs.
    pub tpot_p95_s: Decimal,
    /// The same for 99 %.
    pub tpot_p99_s: Decimal,
}

/// What a step adds to the path to the result's first token, where that path runs through it; `whole` is what it takes in full.
pub fn until_first(role: Role, whole: Decimal, first: Option<Decimal>) -> Decimal {
    match role {
        Role::Aside => Decimal::ZERO,
        Role::Gives { last: true } => first.unwrap_or(whole),
        Role::Gives { last: false } | Role::Before => whole,
    }
}

impl Terms {
    /// What a step is to the first token of the result.
    pub fn role(&self, step: usize) -> Role {
        self.roles.get(step).copied().unwrap_or(Role::Before)
    }
}

/// Builds the space; steps that nothing can carry out are reported.
pub fn build(input: &Input, cx: &mut Diagnostics) -> Space {
    let dag = Dag::of(&input.workflow.body, input.workflow.steps.len());
    let steps = input.workflow.steps.len();
    let parts = input.parts.or_else(|| compose::most_steps(input.workflow));
    let combine = match parts {
        Some(parts) => Combine::Steps(parts.max(1)),
        None => Combine::of(&dag, steps),
    };
    let task = |step: &Step| input.library.tasks.get(&step.task);
    let text = input.workflow.steps.iter().map(|step| task(step).is_some_and(|task| task.result == Type::Text));
    let roles = compose::roles(input.workflow, &dag, &text.collect::<Vec<_>>());
    let terms = Terms { pools: input.machines.pools.clone(), end: input.end, combine, parts, roles, rate: input.rate };
    let mut steps: Vec<StepSpace> = {
        let each = input.workflow.steps.iter().enumerate();
        each.map(|(index, step)| candidates::enumerate(index, step, input)).collect()
    };
    compose::offer(input, &mut steps);
    let shapes = shape::propagate(input, &mut steps, cx);
    let choosers = input.workflow.steps.iter().enumerate();
    let choosers: BTreeMap<usize, Chooser> =
        choosers.filter_map(|(index, step)| Some((index, compose::chooser(step, &steps)?))).collect();
    for (index, step) in steps.iter_mut().enumerate() {
        step.name = input.workflow.steps[index].name.clone();
        step.tool_of = either::tool_of(&input.workflow.steps[index]);
        figures::fill(index, step, &shapes, &choosers, &terms, input);
        // What has no shape was said to stand too deep.
        if step.options.is_empty()
            && shapes[index].is_some()
            && let Some(span) = input.workflow.steps[index].span
        {
            let task = &input.workflow.steps[index].task;
            if let Some(missing) = step.missing.clone() {
                cx.push(missing.diagnostic(span, task));
                continue;
            }
            cx.push(errors::no_candidate(
                span,
                &input.workflow.steps[index].task,
                &input.machines.name,
                &step.excluded,
                &input.workflow.steps[index].pins,
            ));
        }
    }
    let mut space = Space { steps, dag, terms, instances: Vec::new() };
    sharing::share(&mut space, input.library);
    colocate::colocate(&mut space, input.library);
    space
}
