//! Space + the solver's choice → plan.

use super::model::{
    COMPILER, ClusterSpec, Conditions, Evidence, Hardware, Hashes, Input, PLAN_VERSION, Plan, PlanClause, PlanInstance,
    PlanStep, PlanWish, Pool, Predicted, Totals,
};
use super::place::place;
use super::reason::reason;
use super::{compose, engine, fallback};
use crate::check::program::{Job, Metric, QualityRule};
use crate::diag::source::{FileId, Sources, Span};
use crate::ir::workflow::{InAgent, StepId, Workflow};
use crate::library::Library;
use crate::solve::outcome::{Solution, Status};
use crate::space::either::cost_together;
use crate::space::encode::{Encoded, Origin, wishes};
use crate::space::ends::End;
use crate::space::quality::contribution;
use crate::space::reporters::{self, is_allowed};
use crate::space::sharing::{Carries, Instance};
use crate::space::sizes::InputSizes;
use crate::space::{Candidate, Figured, Machines, Space, Streamed, until_first};
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use std::collections::{BTreeMap, BTreeSet};

/// Digits that a plan keeps behind the point.
const DIGITS: u32 = 9;

/// What a plan is built from.
pub struct BuildInput<'a> {
    /// The job.
    pub job: &'a Job,
    /// The data flow.
    pub workflow: &'a Workflow,
    /// Candidates with figures.
    pub space: &'a Space,
    /// The problem that was solved.
    pub encoded: &'a Encoded,
    /// Its solution.
    pub solution: &'a Solution,
    /// The library.
    pub library: &'a Library,
    /// The machines.
    pub machines: &'a Machines,
    /// The sizes of the inputs.
    pub sizes: &'a InputSizes,
    /// The soft limits and rules that hold.
    pub kept: &'a [Origin],
    /// Those that do not.
    pub broken: &'a [Origin],
    /// The sources, for line numbers.
    pub sources: &'a Sources,
    /// The job's file.
    pub file: FileId,
    /// Digests.
    pub hashes: Hashes,
}

/// Builds the plan; an error where a fallback that the job names cannot be had, in words.
pub fn build(input: &BuildInput) -> Result<Plan, String> {
    let (whole, chosen) = (input.workflow, &input.solution.choice);
    let left = compose::taken(whole, input.space, chosen, input.library);
    let (compositions, parts) =
        compose::compositions(whole, input.space, input.encoded, chosen, &left, (input.job, input.library));
    let taken = |index: usize| &left.space.steps[index].options[left.choice[index]];
    let used = used(&left.choice, &left.space);
    let instances: Vec<PlanInstance> = used.iter().map(|at| instance(&input.space.instances[*at], input)).collect();
    let mut steps: Vec<PlanStep> = left.from.iter().map(|index| step(*index, input)).collect();
    for ((index, step), part) in steps.iter_mut().enumerate().zip(parts) {
        step.fallbacks = fallback::of_step(index, step, &left, input);
        step.id = StepId(index as u32);
        step.part = part;
        step.instance = taken(index).shared.and_then(|at| used.iter().position(|u| *u == at));
        if let Some(at) = step.instance {
            step.hardware = instances[at].hardware.clone();
        }
    }
    if fallback::named(whole)
        && let Some(why) = fallback::unkept(input, &left, &steps)
    {
        return Err(why);
    }
    let placement = match input.space.terms.rate {
        Some(_) => place(&steps, &instances, input.library),
        None => Vec::new(),
    };
    let total = totals_of(&left.choice, &left.space, &input.job.quality_rule, input.library);
    // The encoded problem holds the soft lines that were kept; they are told apart from the hard ones here.
    let hard = input.encoded.origins.iter().filter(|o| !input.kept.iter().any(|k| same(k, o)));
    let hard = hard.filter_map(|o| clause(o, false, true, &total, input));
    let kept = input.kept.iter().filter_map(|o| clause(o, true, true, &total, input));
    let broken = input.broken.iter().filter_map(|o| clause(o, true, false, &total, input));
    let clauses = hard.chain(kept).chain(broken).collect();
    let pools = input
        .machines
        .pools
        .iter()
        .map(|(n, (units, price))| (n.to_string(), Pool { units: *units, usd_per_hour: *price }));
    let stated = input.job.wishes.len();
    // A bound is that of the first wish that is not proved, which may be one that the job does not state.
    let unproved = match input.solution.proof.status {
        Status::Feasible { wish, .. } => wish + 1,
        Status::Optimal => 0,
    };
    Ok(Plan {
        version: PLAN_VERSION,
        compiler: COMPILER.to_string(),
        job: input.job.name.to_string(),
        hashes: input.hashes.clone(),
        cluster: ClusterSpec { name: input.machines.name.to_string(), pools: pools.collect() },
        inputs: input
            .workflow
            .inputs
            .iter()
            .map(|(name, ty, value)| {
                let sizes = input.sizes.get(name).into_iter().flatten();
                let sizes = sizes.map(|(path, size)| (path.to_string(), *size)).collect();
                Input { name: name.to_string(), ty: ty.clone(), value: *value, sizes }
            })
            .collect(),
        result: input.workflow.result.clone(),
        body: left.workflow.body.clone(),
        wishes: wishes(input.job).into_iter().take(stated.max(1).max(unproved)).map(|m| wish(m, &total)).collect(),
        steps,
        instances,
        compositions,
        tail_steps: compose::tail_steps(input.workflow, input.space),
        placement,
        clauses,
        total,
        quality_rule: input.job.quality_rule.name().to_string(),
        measured_quality: input.job.quality_rule.table().cloned(),
        rate_per_s: input.space.terms.rate,
        rate_from: input.job.rate.as_ref().and_then(|rate| rate.trace.as_ref()).map(|trace| trace.to_string()),
        robust: input.space.terms.end == End::Worst,
        proof: input.solution.proof.clone(),
        programs: BTreeMap::new(),
        beside: Vec::new(),
    })
}

fn instance(shared: &Instance, input: &BuildInput) -> PlanInstance {
    let (implementation, knobs) = match &shared.carries {
        Carries::Model { implementation, knobs } => (Some(implementation.to_string()), knobs.as_slice()),
        Carries::Models { .. } => (None, &[][..]),
    };
    PlanInstance {
        implementation,
        knobs: knobs.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect(),
        hardware: Hardware { device: shared.device.to_string(), units: shared.units, replicas: shared.replicas },
        cost_usd: cost_of(shared, input.space),
    }
}

fn step(index: usize, input: &BuildInput) -> PlanStep {
    let called = &input.workflow.steps[index];
    let option = &input.space.steps[index].options[input.solution.choice[index]];
    let candidate = &input.space.steps[index].candidates[option.candidate];
    let (task, entry) = (&input.library.tasks[&called.task], &input.library.implementations[&candidate.implementation]);
    let figures = &option.figures;
    let line = called.span.filter(|s| s.file == input.file).map_or(0, |s| input.sources.line_column(s).0 as u32);
    PlanStep {
        id: StepId(index as u32),
        name: called.name.to_string(),
        task: called.task.to_string(),
        line,
        implementation: entry.name.to_string(),
        label: entry.label.as_ref().map(|l| l.to_string()),
        knobs: candidate.knobs.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect(),
        hardware: Hardware { device: candidate.device.to_string(), units: candidate.units, replicas: figures.replicas },
        engine: engine::lower(entry, candidate, task),
        params: task.params.iter().map(|(n, t)| (n.to_string(), t.clone())).collect(),
        output: task.result.clone(),
        calls: figures.calls.normalize(),
        conditions: Conditions {
            retries: called.retries,
            timeout_ms: called.timeout.and_then(|t| (t * Decimal::from(1000)).ceil().to_u64()),
            cache: called.cache.map(Into::into),
        },
        predicted: predicted_of(option),
        instance: None,
        part: None,
        agent: called.agent.clone().map(|agent| InAgent { cost_at: None, ..agent }),
        evidence: option.evidence.to_vec(),
        reporters: reporters(index, input),
        reason: reason(index, &input.solution.choice, input.space, input.encoded, input.job),
        fallbacks: Vec::new(),
    }
}

/// By whom the qualities are that were compared for a step, the choice's own first; nothing where nobody says other ones, or the job says
/// nothing of quality.
fn reporters(index: usize, input: &BuildInput) -> Vec<String> {
    let step = &input.space.steps[index];
    if !reporters::compares(input.job) {
        return Vec::new();
    }
    let judge = step.judge.as_deref();
    let by = |at: usize| reporters::reporter(input.library, &step.candidates[at], judge).map(|by| by.to_string());
    let called = &input.workflow.steps[index];
    let options: BTreeSet<usize> = step.options.iter().map(|option| option.candidate).collect();
    let options = options.into_iter().filter(|at| is_allowed(&step.candidates[*at], called, input.job, input.library));
    let mut all: BTreeSet<String> = options.filter_map(by).collect();
    match by(step.options[input.solution.choice[index]].candidate).filter(|_| judge.is_some() || all.len() > 1) {
        Some(own) => {
            all.remove(&own);
            std::iter::once(own).chain(all).collect()
        }
        None => Vec::new(),
    }
}

/// Figures as a plan holds them.
pub fn predicted(figures: &crate::space::Figures) -> Predicted {
    let kept = |d: Decimal| d.round_dp(DIGITS).normalize();
    Predicted {
        latency_s: kept(figures.latency),
        latency_p95_s: kept(figures.latency_p95),
        latency_p99_s: kept(figures.latency_p99),
        cost_usd: kept(figures.cost),
        either_usd: kept(figures.either),
        energy_wh: figures.energy.map(kept),
        quality: kept(figures.quality),
        memory_gb: kept(figures.memory),
        streamed: figures.streamed.as_ref().map(|s| Streamed {
            ttft_s: kept(s.ttft_s),
            ttft_p95_s: kept(s.ttft_p95_s),
            ttft_p99_s: kept(s.ttft_p99_s),
            tpot_s: kept(s.tpot_s),
            tpot_p95_s: kept(s.tpot_p95_s),
            tpot_p99_s: kept(s.tpot_p99_s),
        }),
    }
}

/// GPUs that steps and instances hold, all together.
pub fn gpus(steps: &[PlanStep], instances: &[PlanInstance], library: &Library) -> u32 {
    let gpu = |device: &str| library.devices.get(device).is_some_and(|d| d.gpu);
    let own = steps.iter().filter(|s| s.instance.is_none()).map(|s| &s.hardware);
    let all = own.chain(instances.iter().map(|i| &i.hardware));
    all.filter(|h| gpu(&h.device)).map(Hardware::held).sum()
}

/// What a choice of options comes to: the totals that a plan of it has.
pub fn totals_of(choice: &[usize], space: &Space, rule: &QualityRule, library: &Library) -> Totals {
    let kept = |d: Decimal| d.round_dp(DIGITS).normalize();
    let chosen: Vec<(&Candidate, &Figured)> = space.steps.iter().zip(choice).map(|(s, o)| s.taken(*o)).collect();
    let steps: Vec<Predicted> = chosen.iter().map(|(_, option)| predicted_of(option)).collect();
    let used = used(choice, space);
    let shared = || used.iter().map(|at| &space.instances[*at]);
    let longest = |of: &dyn Fn(&Predicted) -> Decimal| kept(space.dag.longest(&|i| of(&steps[i])).0);
    let own = |(index, step): (usize, &Predicted)| {
        if space.steps[index].role.is_some() {
            return step.quality;
        }
        let name = space.steps[index].name.as_str();
        contribution(rule, (index, name), chosen[index].0, step.quality, space.terms.end).unwrap_or_default()
    };
    let quality = rule.total(steps.iter().enumerate().map(own));
    let gpu = |device: &str| library.devices.get(device).is_some_and(|d| d.gpu);
    let own = chosen.iter().filter(|(_, option)| option.shared.is_none());
    let own = own.map(|(c, option)| (&c.device, c.units, option.figures.replicas));
    let held = own.chain(shared().map(|i| (&i.device, i.units, i.replicas)));
    let standing = shared().map(|i| cost_of(i, space)).sum::<Decimal>();
    let costs = space.steps.iter().zip(&steps).map(|(s, p)| (s.tool_of, p.cost_usd, p.either_usd));
    Totals {
        latency_s: longest(&|p| p.latency_s),
        latency_p95_s: longest(&|p| p.latency_p95_s),
        latency_p99_s: longest(&|p| p.latency_p99_s),
        cost_usd: kept(cost_together(costs) + standing),
        energy_wh: kept(steps.iter().filter_map(|s| s.energy_wh).sum()),
        energy_known: steps.iter().all(|s| s.energy_wh.is_some()),
        quality: kept(quality),
        gpus: held.filter(|(device, ..)| gpu(device)).map(|(_, units, times)| units.saturating_mul(times)).sum(),
        streamed: streamed(&steps, space),
    }
}

/// How the result's tokens come: the longest path up to the first ones, and the slowest of those behind.
fn streamed(steps: &[Predicted], space: &Space) -> Streamed {
    let kept = |d: Decimal| d.round_dp(DIGITS).normalize();
    let first = |whole: &dyn Fn(&Predicted) -> Decimal, of: &dyn Fn(&Streamed) -> Decimal| {
        let added = |i: usize| until_first(space.terms.role(i), whole(&steps[i]), steps[i].streamed.as_ref().map(of));
        kept(space.dag.longest(&added).0)
    };
    let slowest = |of: &dyn Fn(&Streamed) -> Decimal| {
        steps.iter().filter_map(|s| s.streamed.as_ref()).map(of).max().unwrap_or_default()
    };
    Streamed {
        ttft_s: first(&|p| p.latency_s, &|s| s.ttft_s),
        ttft_p95_s: first(&|p| p.latency_p95_s, &|s| s.ttft_p95_s),
        ttft_p99_s: first(&|p| p.latency_p99_s, &|s| s.ttft_p99_s),
        tpot_s: slowest(&|s| s.tpot_s),
        tpot_p95_s: slowest(&|s| s.tpot_p95_s),
        tpot_p99_s: slowest(&|s| s.tpot_p99_s),
    }
}

/// The shared instances that a choice uses.
fn used(choice: &[usize], space: &Space) -> BTreeSet<usize> {
    space.steps.iter().zip(choice).filter_map(|(step, option)| step.options[*option].shared).collect()
}

/// Dollars of a run for a shared instance, as a plan holds them.
fn cost_of(shared: &Instance, space: &Space) -> Decimal {
    let cost = space.terms.rate.and_then(|rate| shared.cost(&space.terms.pools, rate)).unwrap_or_default();
    cost.round_dp(DIGITS).normalize()
}

/// An option's figures as a plan holds them, beside what a shared instance costs.
pub(super) fn predicted_of(option: &Figured) -> Predicted {
    Predicted { cost_usd: option.cost().round_dp(DIGITS).normalize(), ..predicted(&option.figures) }
}

/// A metric of the totals, in base units.
pub fn total_of(metric: Metric, total: &Totals) -> Decimal {
    match metric {
        Metric::Cost => total.cost_usd,
        Metric::Latency => total.latency_s,
        Metric::LatencyP95 => total.latency_p95_s,
        Metric::LatencyP99 => total.latency_p99_s,
        Metric::Quality => total.quality,
        Metric::Energy => total.energy_wh,
        Metric::Gpus => Decimal::from(total.gpus),
        Metric::Ttft => total.streamed.ttft_s,
        Metric::TtftP95 => total.streamed.ttft_p95_s,
        Metric::TtftP99 => total.streamed.ttft_p99_s,
        Metric::Tpot => total.streamed.tpot_s,
        Metric::TpotP95 => total.streamed.tpot_p95_s,
        Metric::TpotP99 => total.streamed.tpot_p99_s,
    }
}

fn wish(metric: Metric, total: &Totals) -> PlanWish {
    let word = if metric == Metric::Quality { "maximize" } else { "minimize" };
    PlanWish { text: format!("{word} {}", metric.name()), value: total_of(metric, total) }
}

fn same(a: &Origin, b: &Origin) -> bool {
    match (a, b) {
        (Origin::Clause(a), Origin::Clause(b)) => a.span == b.span,
        (Origin::Rule(a), Origin::Rule(b)) => a.span == b.span,
        _ => false,
    }
}

/// A line of the plan; `kept` says whether a rule holds, while a limit shows it by its value.
fn clause(origin: &Origin, soft: bool, kept: bool, total: &Totals, input: &BuildInput) -> Option<PlanClause> {
    // What the command line adds stands in no line of the file.
    let line = |span: Span| if span.file == input.file { input.sources.line_column(span).0 as u32 } else { 0 };
    match origin {
        Origin::Clause(c) => {
            let value = total_of(c.metric, total);
            let slack = if c.metric == Metric::Quality { value - c.limit } else { c.limit - value };
            Some(PlanClause {
                text: if soft { format!("prefer {}", c.text) } else { c.text.to_string() },
                line: line(c.span),
                metric: c.metric.name().to_string(),
                limit: c.limit.normalize(),
                value,
                slack: slack.normalize(),
                soft,
                holds: slack >= Decimal::ZERO,
                price: None,
            })
        }
        Origin::Rule(r) => Some(PlanClause {
            text: r.text.to_string(),
            line: line(r.span),
            metric: "rule".to_string(),
            limit: Decimal::ZERO,
            value: Decimal::ZERO,
            slack: Decimal::ZERO,
            soft: soft || r.soft,
            holds: kept,
            price: None,
        }),
        Origin::Called(..) | Origin::StepPin(..) | Origin::EnergyKnown(..) | Origin::AgentCost(..) => None,
    }
}

/// The evidence of a whole plan by kind, weakest first.
pub fn weakest(steps: &[PlanStep]) -> Option<&Evidence> {
    steps.iter().flat_map(|s| s.evidence.first()).min()
}
