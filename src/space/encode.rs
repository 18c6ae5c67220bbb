//! Space + clauses → the solver's problem, in integers that are rounded against the user.

use super::compose::composes;
use super::{Candidate, Figured, Figures, Space, Streamed, until_first};
use crate::check::program::{Clause, Job, Metric, Pin, QualityRule, Rule, RuleKind};
use crate::diag::source::Span;
use crate::ir::reach::reached;
use crate::ir::stream::Role;
use crate::ir::workflow::{Step, ValueId, Workflow};
use crate::library::end_to_end::Form;
use crate::library::{Implementation, Library};
use crate::solve::problem::{self, Aggregate, Bound, Capacity, Choice, Figure, Problem, Wish};
use crate::space::Machines;
use crate::space::colocate::FULL;
use crate::space::either::ladders;
use crate::space::load::BUSY;
use crate::space::quality::contribution;
use crate::space::sharing::{Carries, Instance};
use ecow::EcoString;
use rust_decimal::prelude::ToPrimitive;
use rust_decimal::{Decimal, RoundingStrategy};
use std::collections::{BTreeMap, BTreeSet};

/// Antichains beyond this number are not listed; all steps together stand in for them.
const MAX_ANTICHAINS: usize = 256;
/// Quality loss of a step whose quality is zero.
const LOST: i64 = 1_000_000_000;
/// More than any figure of one of a few steps: the solver refuses what sums beyond 2⁵⁰.
const MOST: i64 = 1 << 44;
/// A limit from here on is none: no plan that the solver holds comes to more.
pub const NO_LIMIT: i64 = 1 << 50;
/// Megabytes of a gigabyte.
const THOUSAND: Decimal = Decimal::from_parts(1_000, 0, 0, false, 0);
/// Millionths.
const MILLION: Decimal = Decimal::from_parts(1_000_000, 0, 0, false, 0);
/// Units of quality loss: ⌈−10⁷ ln quality⌉.
const LOSS_SCALE: f64 = 1e7;

/// What a clause of the problem stands for.
#[derive(Clone, Debug)]
pub enum Origin {
    /// A limit of the job.
    Clause(Clause),
    /// A rule of the job.
    Rule(Rule),
    /// A pin at a call: the step, and the pin.
    StepPin(usize, Pin),
    /// A rule of a job that is called, for the steps that come from it.
    Called(Rule, BTreeSet<usize>),
    /// What all calls of an agent may cost together: which agent, how much in dollars, as written.
    AgentCost(u32, Decimal, Span),
    /// Energy is limited or wished by this line, and some choices' energy is unknown.
    EnergyKnown(EcoString, Span),
}

impl Origin {
    /// Its line.
    pub fn span(&self) -> Span {
        match self {
            Origin::Clause(clause) => clause.span,
            Origin::Rule(rule) | Origin::Called(rule, _) => rule.span,
            Origin::StepPin(_, pin) => pin.span,
            Origin::EnergyKnown(_, span) | Origin::AgentCost(_, _, span) => *span,
        }
    }
}

/// A problem, with what its clauses stand for and which option each choice is.
#[derive(Clone, Debug)]
pub struct Encoded {
    /// For the solver.
    pub problem: Problem,
    /// By clause.
    pub origins: Vec<Origin>,
}

/// What is encoded.
pub struct Input<'a> {
    /// The job's clauses, wishes, rules.
    pub job: &'a Job,
    /// Soft limits and rules that are to hold.
    pub kept: &'a [Origin],
    /// The data flow.
    pub workflow: &'a Workflow,
    /// Candidates with figures.
    pub space: &'a Space,
    /// The library.
    pub library: &'a Library,
    /// The machines.
    pub machines: &'a Machines,
    /// The lines whose limits are taken as they are. The others are looser by one unit a step and agent, what rounding up may add: no plan is
    /// lost, and one that is found must be checked in exact decimals.
    pub strict: &'a BTreeSet<Span>,
}

/// Encodes the choice of one option per step.
pub fn encode(input: &Input) -> Encoded {
    let mut origins: Vec<Origin> = input.job.clauses.iter().cloned().map(Origin::Clause).collect();
    origins.extend(input.job.rules.iter().filter(|r| !r.soft).cloned().map(Origin::Rule));
    for (step, s) in input.workflow.steps.iter().enumerate() {
        origins.extend(s.pins.iter().cloned().map(|p| Origin::StepPin(step, p)));
    }
    origins.extend(of_called(input.workflow));
    let mut agents = BTreeSet::new();
    for agent in input.workflow.steps.iter().filter_map(|s| s.agent.as_ref()) {
        if let (Some(usd), Some(span), true) = (agent.cost_usd, agent.cost_at, agents.insert(agent.number)) {
            origins.push(Origin::AgentCost(agent.number, usd, span));
        }
    }
    origins.extend(input.kept.iter().cloned());
    let limit = origins.iter().find_map(|o| match o {
        Origin::Clause(c) if c.metric == Metric::Energy => Some((c.text.clone(), c.span)),
        _ => None,
    });
    let wished =
        input.job.wishes.iter().find(|w| w.metric == Metric::Energy).map(|w| ("minimize energy".into(), w.span));
    if let Some((text, span)) = limit.or(wished) {
        origins.push(Origin::EnergyKnown(text, span));
    }
    let mut problem = Problem { edges: input.space.dag.edges(), ..Problem::default() };
    let pools: Vec<&EcoString> = input.machines.pools.keys().collect();
    // Under a load the runs overlap, and so do all steps.
    let together = input.space.dag.antichains(MAX_ANTICHAINS).filter(|_| input.space.terms.rate.is_none());
    let together = together.unwrap_or_else(|| vec![(0..input.space.steps.len()).collect()]);
    for pool in &pools {
        let units = i64::from(input.machines.pools[*pool].0);
        problem.capacities.push(Capacity { units, together: together.clone() });
    }
    // The memory of each GPU that several models share is a resource of its own.
    let mut memories = BTreeMap::new();
    for (at, instance) in input.space.instances.iter().enumerate() {
        if let Carries::Models { memory_gb } = instance.carries {
            let units = (memory_gb * FULL * THOUSAND).floor().to_i64().unwrap_or(0);
            memories.insert(at, problem.capacities.len());
            problem.capacities.push(Capacity { units, together: vec![(0..input.space.steps.len()).collect()] });
        }
    }
    let tainted: Vec<BTreeSet<usize>> = origins
        .iter()
        .map(|o| match o {
            Origin::Rule(Rule { kind: RuleKind::NoPiiToClosed { inputs }, .. }) => {
                let inputs: BTreeSet<ValueId> = inputs
                    .iter()
                    .filter_map(|id| input.workflow.inputs.iter().find(|(n, ..)| *n == input.job.local(*id).name))
                    .map(|(_, _, value)| *value)
                    .collect();
                reached(&input.workflow.body.nodes, inputs)
            }
            Origin::Called(_, steps) => steps.clone(),
            _ => BTreeSet::new(),
        })
        .collect();
    let (rule, end) = (&input.job.quality_rule, input.space.terms.end);
    for (index, step) in input.space.steps.iter().enumerate() {
        let choices = step.options.iter().map(|option| {
            let candidate = &step.candidates[option.candidate];
            let breaks =
                (0..origins.len()).filter(|c| breaks(&origins[*c], index, candidate, option, &tainted[*c], input));
            let pool = pools.iter().position(|p| **p == candidate.device);
            let pool = pool.map(|p| (p, held(candidate, option))).filter(|(_, held)| *held > 0);
            let memory = option.shared.and_then(|at| memories.get(&at)).map(|m| (*m, megabytes(option)));
            // What the parts of a composition count for is in their figures.
            let own = option.figures.quality;
            let quality = match &step.role {
                Some(_) => Some(own),
                None => contribution(rule, (index, &step.name), candidate, own, end),
            };
            let (role, quality) = (input.space.terms.role(index), quality.unwrap_or_default());
            Choice {
                figures: integers(option, role, candidate, quality, input.library),
                uses: pool.into_iter().chain(memory).collect(),
                class: candidate.class,
                needs: option.needs.clone(),
                breaks: breaks.collect(),
                instance: option.shared,
                load: option.shared.map_or(0, |_| load(option, input.space.terms.rate)),
                opens: Vec::new(),
            }
        });
        problem.steps.push(problem::Step { choices: choices.collect() });
    }
    let instances = input.space.instances.iter();
    problem.instances = instances.map(|i| instance(i, &pools, input)).collect();
    let agents = ladders(input.space, &mut problem);
    let slack = |o: &Origin| match o {
        Origin::Clause(c) if input.strict.contains(&c.span) => 0,
        _ => (input.space.steps.len() + agents) as i64,
    };
    problem.clauses = origins.iter().map(|o| problem::Clause { bound: bound(o, rule, slack(o)) }).collect();
    problem.wishes = wishes(input.job).into_iter().map(|m| wish(m, rule)).collect();
    Encoded { problem, origins }
}

/// What is minimised, in order: the job's wishes, then what makes the answer the only sensible one. A job that wishes nothing
/// and does not limit quality wants the best answer within its limits; one that limits quality wants it cheap.
pub fn wishes(job: &Job) -> Vec<Metric> {
    let mut all: Vec<Metric> = Vec::new();
    let best_first = job.wishes.is_empty() && !job.clauses.iter().any(|c| c.metric == Metric::Quality);
    let rest = match best_first {
        true => [Metric::Quality, Metric::Cost, Metric::Latency],
        false => [Metric::Cost, Metric::Quality, Metric::Latency],
    };
    for metric in job.wishes.iter().map(|w| w.metric).chain(rest) {
        if !all.contains(&metric) {
            all.push(metric);
        }
    }
    all
}

/// The solver's figure behind a metric.
pub fn figure(metric: Metric) -> Figure {
    match metric {
        Metric::Cost => Figure::Cost,
        Metric::Latency => Figure::Latency,
        Metric::LatencyP95 => Figure::LatencyP95,
        Metric::LatencyP99 => Figure::LatencyP99,
        Metric::Quality => Figure::Loss,
        Metric::Energy => Figure::Energy,
        Metric::Gpus => Figure::Gpus,
        Metric::Ttft => Figure::Ttft,
        Metric::TtftP95 => Figure::TtftP95,
        Metric::TtftP99 => Figure::TtftP99,
        Metric::Tpot => Figure::Tpot,
        Metric::TpotP95 => Figure::TpotP95,
        Metric::TpotP99 => Figure::TpotP99,
    }
}

fn aggregate(metric: Metric, rule: &QualityRule) -> Aggregate {
    match (metric, rule.form()) {
        (Metric::Latency | Metric::LatencyP95 | Metric::LatencyP99, _) => Aggregate::Path,
        (Metric::Ttft | Metric::TtftP95 | Metric::TtftP99, _) => Aggregate::Path,
        (Metric::Tpot | Metric::TpotP95 | Metric::TpotP99, _) => Aggregate::Max,
        (Metric::Quality, Form::Min) => Aggregate::Max,
        _ => Aggregate::Sum,
    }
}

fn wish(metric: Metric, rule: &QualityRule) -> Wish {
    Wish { figure: figure(metric), over: aggregate(metric, rule) }
}

fn bound(origin: &Origin, rule: &QualityRule, slack: i64) -> Bound {
    match origin {
        Origin::Clause(clause) => Bound::AtMost {
            figure: figure(clause.metric),
            over: aggregate(clause.metric, rule),
            limit: limit(clause, slack),
        },
        _ => Bound::Rule,
    }
}

/// Whether a limit, looser by one unit a step, still allows a value.
pub fn allows(metric: Metric, limit: Decimal, steps: usize, value: i64) -> bool {
    floor(metric, limit) + steps as i64 >= value
}

/// A limit in integers, rounded down, and then looser by `slack`.
pub fn limit(clause: &Clause, slack: i64) -> i64 {
    floor(clause.metric, clause.limit) + if clause.metric == Metric::Gpus { 0 } else { slack }
}

fn floor(metric: Metric, limit: Decimal) -> i64 {
    if metric == Metric::Quality {
        let loss = if limit.is_zero() { MOST } else { (-LOSS_SCALE * ln(limit) - 1e-5).floor() as i64 };
        return loss.max(0);
    }
    let scaled = limit.checked_mul(scale(metric)).map(|d| d.floor());
    scaled.and_then(|d| d.to_i64()).unwrap_or(NO_LIMIT).min(NO_LIMIT)
}

/// A limit of the problem, back in base units.
pub fn unscale(metric: Metric, value: i64) -> Decimal {
    if metric == Metric::Quality {
        let quality = (-(value as f64) / LOSS_SCALE).exp();
        return Decimal::from_f64_retain(quality)
            .unwrap_or_default()
            .round_dp_with_strategy(5, RoundingStrategy::ToZero);
    }
    Decimal::from(value) / scale(metric)
}

fn scale(metric: Metric) -> Decimal {
    Decimal::from(match metric {
        Metric::Cost | Metric::Tpot | Metric::TpotP95 | Metric::TpotP99 => 1_000_000,
        Metric::Latency | Metric::LatencyP95 | Metric::LatencyP99 | Metric::Energy => 1_000,
        Metric::Ttft | Metric::TtftP95 | Metric::TtftP99 => 1_000,
        Metric::Quality | Metric::Gpus => 1,
    })
}

fn ln(value: Decimal) -> f64 {
    value.to_f64().unwrap_or(0.0).ln()
}

/// The devices that a choice holds.
fn held(candidate: &Candidate, option: &Figured) -> i64 {
    if option.shared.is_some() {
        return 0;
    }
    i64::from(candidate.units) * i64::from(option.figures.replicas)
}

/// A shared instance, in integers: it costs its part of the time, and may be busy for so many millionths of a second in a second.
fn instance(instance: &Instance, pools: &[&EcoString], input: &Input) -> problem::Instance {
    let Instance { device, units, replicas, .. } = instance;
    let (terms, held) = (&input.space.terms, i64::from(*units) * i64::from(*replicas));
    let cost = terms.rate.and_then(|rate| instance.cost(&terms.pools, rate));
    let mut figures = problem::Figures::default();
    figures[Figure::Cost.index()] = cost.map_or(MOST, |cost| up(cost, Metric::Cost));
    if input.library.devices.get(device).is_some_and(|d| d.gpu) {
        figures[Figure::Gpus.index()] = held;
    }
    let capacity = (BUSY * Decimal::from(*replicas) * MILLION).floor().to_i64().unwrap_or(0);
    let pool = pools.iter().position(|p| *p == device);
    problem::Instance { figures, uses: pool.map(|p| (p, held)).into_iter().collect(), capacity: Some(capacity) }
}

/// The memory that an option fills, rounded up.
fn megabytes(option: &Figured) -> i64 {
    let megabytes = option.figures.memory.checked_mul(THOUSAND).and_then(|m| m.ceil().to_i64());
    megabytes.unwrap_or(MOST).min(MOST)
}

/// What an option takes of an instance's capacity, rounded up.
fn load(option: &Figured, rate: Option<Decimal>) -> i64 {
    let busy = option.figures.busy.checked_mul(rate.unwrap_or_default()).and_then(|b| b.checked_mul(MILLION));
    busy.and_then(|b| b.ceil().to_i64()).unwrap_or(MOST).min(MOST)
}

/// Whether a plan can hold what a shared instance costs a run.
pub fn holds_cost(cost: Decimal) -> bool {
    cost.checked_mul(scale(Metric::Cost)).is_some_and(|scaled| scaled <= Decimal::from(MOST))
}

/// The first figure of an option that a plan of so many steps cannot hold, in words; `None` where all fit. What is beyond is refused, for
/// rounding it down to what fits would make it look better than it is.
pub fn beyond(figures: &Figures, cost: Decimal, steps: usize) -> Option<String> {
    let most = MOST.min(NO_LIMIT / steps.max(1) as i64);
    let Figures { latency, latency_p95, latency_p99, energy, .. } = figures;
    let all = [
        (Metric::Cost, cost),
        (Metric::Latency, *latency),
        (Metric::LatencyP95, *latency_p95),
        (Metric::LatencyP99, *latency_p99),
        (Metric::Energy, energy.unwrap_or_default()),
    ];
    let tpot = figures
        .streamed
        .iter()
        .flat_map(|s| [(Metric::Tpot, s.tpot_s), (Metric::TpotP95, s.tpot_p95_s), (Metric::TpotP99, s.tpot_p99_s)]);
    let over = |(metric, value): &(Metric, Decimal)| match value.checked_mul(scale(*metric)) {
        Some(scaled) => scaled > Decimal::from(most),
        None => true,
    };
    let (metric, value) = all.into_iter().chain(tpot).find(over)?;
    let unit = match metric {
        Metric::Cost => "usd",
        Metric::Energy => "Wh",
        _ => "s",
    };
    let holds = unscale(metric, most).normalize();
    Some(format!(
        "its `{}` of {} {unit} is more than a plan can hold ({holds} {unit})",
        metric.name(),
        value.normalize()
    ))
}

/// A figure in integers, rounded up.
pub fn up(value: Decimal, metric: Metric) -> i64 {
    let scaled = value.checked_mul(scale(metric)).map(|d| d.round_dp_with_strategy(0, RoundingStrategy::AwayFromZero));
    scaled.and_then(|d| d.to_i64()).unwrap_or(MOST).min(MOST)
}

/// The figures of an option in integers, rounded up; `quality` is what it contributes to the job's.
fn integers(
    option: &Figured,
    role: Role,
    candidate: &Candidate,
    quality: Decimal,
    library: &Library,
) -> problem::Figures {
    let f = &option.figures;
    let loss = if quality.is_zero() {
        LOST
    } else if quality == Decimal::ONE {
        0
    } else {
        (-LOSS_SCALE * ln(quality) + 1e-5).ceil() as i64
    };
    let gpus = if library.devices.get(&candidate.device).is_some_and(|d| d.gpu) { held(candidate, option) } else { 0 };
    let mut figures = problem::Figures::default();
    figures[Figure::Cost.index()] = up(option.cost(), Metric::Cost);
    figures[Figure::Energy.index()] = up(f.energy.unwrap_or_default(), Metric::Energy);
    figures[Figure::Loss.index()] = loss;
    figures[Figure::Latency.index()] = up(f.latency, Metric::Latency);
    figures[Figure::LatencyP95.index()] = up(f.latency_p95, Metric::LatencyP95);
    figures[Figure::LatencyP99.index()] = up(f.latency_p99, Metric::LatencyP99);
    figures[Figure::Gpus.index()] = gpus;
    let first = |whole, of: &dyn Fn(&Streamed) -> Decimal| until_first(role, whole, f.streamed.as_ref().map(of));
    figures[Figure::Ttft.index()] = up(first(f.latency, &|s| s.ttft_s), Metric::Ttft);
    figures[Figure::TtftP95.index()] = up(first(f.latency_p95, &|s| s.ttft_p95_s), Metric::TtftP95);
    figures[Figure::TtftP99.index()] = up(first(f.latency_p99, &|s| s.ttft_p99_s), Metric::TtftP99);
    if let Some(streamed) = &f.streamed {
        figures[Figure::Tpot.index()] = up(streamed.tpot_s, Metric::Tpot);
        figures[Figure::TpotP95.index()] = up(streamed.tpot_p95_s, Metric::TpotP95);
        figures[Figure::TpotP99.index()] = up(streamed.tpot_p99_s, Metric::TpotP99);
    }
    figures
}

/// Whether a choice breaks a rule.
fn breaks(
    origin: &Origin,
    step: usize,
    candidate: &Candidate,
    option: &Figured,
    tainted: &BTreeSet<usize>,
    input: &Input,
) -> bool {
    // What is not there breaks nothing; how it comes not to be there is judged at the call.
    if candidate.is_absent() {
        return false;
    }
    let Some(entry) = input.library.implementations.get(&candidate.implementation) else { return true };
    match origin {
        Origin::Clause(_) => false,
        Origin::EnergyKnown(..) => option.figures.energy.is_none(),
        // No call of an agent by itself may cost more than all may; the run holds their sum.
        Origin::AgentCost(number, usd, _) => {
            let agent = input.workflow.steps[step].agent.as_ref();
            agent.is_some_and(|a| a.number == *number) && option.cost() > *usd
        }
        Origin::StepPin(pinned, pin) => *pinned == step && !matches_pin(candidate, pin, input.library),
        Origin::Called(rule, steps) => {
            steps.contains(&step) && breaks_rule(rule, step, candidate, entry, tainted, input)
        }
        Origin::Rule(rule) => breaks_rule(rule, step, candidate, entry, tainted, input),
    }
}

fn breaks_rule(
    rule: &Rule,
    step: usize,
    candidate: &Candidate,
    entry: &Implementation,
    tainted: &BTreeSet<usize>,
    input: &Input,
) -> bool {
    match &rule.kind {
        RuleKind::Pin(pin) => breaks_pin(pin, &input.workflow.steps[step], candidate, input.library),
        RuleKind::Avoid(name) => entry.name == *name,
        RuleKind::OnlyOpen => !entry.open,
        RuleKind::Region(region) => entry.region.as_ref().is_some_and(|r| r != region),
        RuleKind::Permissive => !entry.is_permissive(),
        RuleKind::Retention(most) => {
            entry.retention(&candidate.device, &candidate.knobs).is_none_or(|kept| kept > *most)
        }
        RuleKind::NoTraining => entry.trains(&candidate.device, &candidate.knobs) != Some(false),
        RuleKind::NoPiiToClosed { .. } => !entry.open && tainted.contains(&step),
    }
}

/// Whether a pin of a job speaks of a step, and the candidate is not what it asks for.
pub fn breaks_pin(pin: &Pin, called: &Step, candidate: &Candidate, library: &Library) -> bool {
    let applies = match pin.implementation.as_ref().and_then(|i| library.implementations.get(i)) {
        // A composition is pinned where it is offered; a model where there is a call, not where its parts are.
        Some(i) if composes(i) => called.ways.iter().any(|way| way.composition == i.name),
        Some(i) => i.tasks.contains(&called.task) && !candidate.is_idle(),
        None => !candidate.is_idle(),
    };
    applies && !matches_pin(candidate, pin, library)
}

/// The rules of called jobs, each once with all the steps that it holds for.
fn of_called(workflow: &Workflow) -> Vec<Origin> {
    let mut rules: BTreeMap<Span, (Rule, BTreeSet<usize>)> = BTreeMap::new();
    for (step, called) in workflow.steps.iter().enumerate() {
        for rule in &called.rules {
            rules.entry(rule.span).or_insert_with(|| (rule.clone(), BTreeSet::new())).1.insert(step);
        }
    }
    rules.into_values().map(|(rule, steps)| Origin::Called(rule, steps)).collect()
}

/// Whether a candidate is what a pin asks for.
pub fn matches_pin(candidate: &Candidate, pin: &Pin, library: &Library) -> bool {
    let device = pin.device.as_ref().is_none_or(|d| {
        *d == candidate.device || (d == "gpu" && library.devices.get(&candidate.device).is_some_and(|d| d.gpu))
    });
    pin.implementation.as_ref().is_none_or(|i| *i == candidate.implementation)
        && pin.knobs.iter().all(|k| candidate.knobs.contains(k))
        && device
        && pin.memory_gb.is_none_or(|least| library.has_memory(&candidate.device, least) == Some(true))
        && (pin.units.is_empty() || pin.units.contains(&candidate.units))
}
