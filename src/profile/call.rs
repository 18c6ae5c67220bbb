//! A setting and a sample → a plan of one step, and what one run of it takes.

use super::record::Run;
use super::{Sample, Subject, Work, named};
use crate::digest::digest;
use crate::ir::workflow::{Node, Operand, Region, StepId, ValueId};
use crate::library::Concurrency;
use crate::plan::engine::lower;
use crate::plan::model::{Conditions, Engine, Hardware, Input, Plan, PlanStep, Pool, Predicted};
use crate::run::devices::cpu::processor_seconds;
use crate::run::fault::{Fault, RunError};
use crate::run::meter::Basis;
use crate::run::{RunContext, block_on};
use crate::space::Candidate;
use crate::types::Type;
use rust_decimal::Decimal;
use serde_json::Value;
use std::collections::BTreeMap;

/// How many calls a setting makes at once: its batch, where a knob is one.
pub fn batch(subject: Subject, setting: &Candidate) -> u32 {
    match &subject.entry.concurrency {
        Concurrency::Fixed(_) => 1,
        Concurrency::Knob(knob) => {
            let value = setting.knobs.iter().find(|(n, _)| n == knob).and_then(|(_, v)| v.parse().ok());
            value.unwrap_or(1).max(1)
        }
    }
}

/// What identifies the runs of a sample in a setting on a machine: whatever would make another figure.
pub fn key(subject: Subject, setting: &Candidate, sample: &Sample, machine: &str) -> String {
    let engine = serde_json::to_string(&lower(subject.entry, setting, subject.task)).unwrap_or_default();
    let args = serde_json::to_string(&sample.args).unwrap_or_default();
    let task = subject.task.name.as_str();
    digest([task, subject.entry.name.as_str(), &named(setting), &engine, &sample.name, &args, machine])
}

/// What all runs of a setting have in common, whatever the sample.
pub fn key_of_all(subject: Subject, setting: &Candidate, machine: &str) -> String {
    let engine = serde_json::to_string(&lower(subject.entry, setting, subject.task)).unwrap_or_default();
    digest([subject.task.name.as_str(), subject.entry.name.as_str(), &named(setting), &engine, machine])
}

/// What a run is of.
#[derive(Clone, Copy)]
pub struct Of<'a> {
    /// [`key`] of it.
    pub key: &'a str,
    /// [`key_of_all`] of it.
    pub all: &'a str,
    /// The setting.
    pub setting: &'a Candidate,
    /// The sample.
    pub sample: &'a Sample,
    /// Its work.
    pub work: &'a Work,
}

/// A plan that makes one call, or one round of a batch, with the arguments as the plan's inputs.
pub fn plan(subject: Subject, setting: &Candidate) -> Plan {
    let task = subject.task;
    let inputs: Vec<Input> = task
        .params
        .iter()
        .zip(0..)
        .map(|((name, ty), id)| Input {
            name: name.to_string(),
            ty: ty.clone(),
            value: ValueId(id),
            sizes: BTreeMap::new(),
        })
        .collect();
    let next = inputs.len() as u32;
    let args = inputs.iter().map(|i| (i.name.clone(), Operand::Value(i.value))).collect();
    let call = Node::Call { step: StepId(0), args, output: ValueId(next) };
    let rounds = batch(subject, setting);
    let (nodes, result, ty) = if rounds == 1 {
        (vec![call], ValueId(next), task.result.clone())
    } else {
        // A round of a batch is a map over as many items; which item it is does not matter to the call.
        let body = Region { nodes: vec![call], result: Operand::Value(ValueId(next)) };
        let over = Operand::Literal(Value::from((0..rounds).collect::<Vec<_>>()));
        let map = Node::Map { over, item: ValueId(next + 1), body, output: ValueId(next + 2) };
        (vec![map], ValueId(next + 2), Type::List(Box::new(task.result.clone())))
    };
    let step = PlanStep {
        id: StepId(0),
        name: task.name.to_string(),
        task: task.name.to_string(),
        line: 0,
        implementation: subject.entry.name.to_string(),
        label: None,
        knobs: setting.knobs.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect(),
        hardware: Hardware { device: setting.device.to_string(), units: setting.units, replicas: 1 },
        instance: None,
        part: None,
        agent: None,
        engine: lower(subject.entry, setting, task),
        params: task.params.iter().map(|(n, t)| (n.to_string(), t.clone())).collect(),
        output: task.result.clone(),
        calls: Decimal::from(rounds),
        conditions: Conditions::default(),
        predicted: Predicted::default(),
        evidence: Vec::new(),
        reporters: Vec::new(),
        reason: "it is measured".into(),
        fallbacks: Vec::new(),
    };
    let pool = Pool { units: setting.units, usd_per_hour: Decimal::ZERO };
    let pools = BTreeMap::from([(setting.device.to_string(), pool)]);
    let body = Region { nodes, result: Operand::Value(result) };
    Plan::to_measure(format!("profile_{}", subject.entry.name), pools, inputs, body, ty, vec![step])
}

/// The plan with a prompt that begins like none before: what a server still has of an earlier run it would not read again, and not all say
/// so. Other engines are asked the same as ever.
pub fn anew(plan: &Plan, number: usize) -> Plan {
    let mut plan = plan.clone();
    for provider in plan.steps.iter_mut().filter_map(|step| step.engine.provider_mut()) {
        let first = if provider.system.is_empty() { &mut provider.prompt } else { &mut provider.system };
        if !first.is_empty() {
            *first = format!("({number}) {first}");
        }
    }
    plan
}

/// Runs a plan of one step once.
pub fn run_once(plan: &Plan, sample: &Sample, cx: &RunContext<'_>) -> Result<Took, RunError> {
    let before = processor_seconds();
    let report = block_on(crate::run::run(plan, sample.args.clone(), cx));
    // What a server spends is its own, and is not seen from here.
    let served = plan.steps.iter().any(|step| step.engine.provider().is_some());
    let processor_s = before.zip(processor_seconds()).map(|(from, to)| to - from).filter(|_| !served);
    let report = report.map_err(|e| Fault::plan(format!("cannot start the runtime: {e}")))?;
    report.result?;
    let step = report.steps.into_iter().next();
    Ok(step.map_or_else(Took::default, |m| Took {
        // Calls of one round overlap: what the round took is what counts.
        seconds: if m.calls > 1 { m.wall_s } else { m.busy_s },
        memory_gb: m.memory_gb,
        joules: m.energy_wh.filter(|_| m.energy_basis == Some(Basis::Measured)).map(|wh| wh * 3600.0),
        tokens_in: m.tokens_in,
        tokens_out: m.tokens_out,
        tokens_cached: m.tokens_cached,
        ttft_s: m.ttft_s.filter(|first| m.attempts == m.calls && *first <= m.busy_s),
        processor_s,
    }))
}

/// What one run took.
#[derive(Clone, Copy, Debug, Default)]
pub struct Took {
    /// Wall time, seconds.
    pub seconds: f64,
    /// Memory, gigabytes.
    pub memory_gb: Option<f64>,
    /// Energy by a counter, joules.
    pub joules: Option<f64>,
    /// Tokens read by a provider.
    pub tokens_in: u64,
    /// Tokens written by it.
    pub tokens_out: u64,
    /// Tokens among those read that it had from a cache.
    pub tokens_cached: u64,
    /// Seconds until the first token of an answer, the mean of a round; none where a call took more than one request, or nobody says it.
    pub ttft_s: Option<f64>,
    /// Processor time of us and the programs of the call, seconds; none where a server did the work.
    pub processor_s: Option<f64>,
}

impl Took {
    /// As a line of the record.
    pub fn run(self, of: Of<'_>, warm_up: bool, date: &str) -> Run {
        let work = of.work.iter().map(|(dimension, n)| (dimension.to_string(), *n)).collect();
        Run {
            key: of.key.to_string(),
            setting: named(of.setting),
            sample: of.sample.name.clone(),
            of: of.all.to_string(),
            work,
            warm_up,
            date: date.to_string(),
            seconds: self.seconds,
            memory_gb: self.memory_gb,
            joules: self.joules,
            load: crate::run::devices::cpu::load(),
            tokens_in: self.tokens_in,
            tokens_out: self.tokens_out,
            tokens_cached: self.tokens_cached,
            processor_s: self.processor_s,
            ttft_s: self.ttft_s,
        }
    }
}

/// Whether calls of an engine cost money at a provider.
pub fn is_paid(engine: &Engine) -> bool {
    engine.provider().is_some_and(|provider| provider.serve.is_none())
}
