//! Small plans for tests.

use crate::ir::workflow::{Node, Operand, Region, StepId, ValueId};
use crate::plan::model::*;
use crate::run::fault::Fault;
use crate::run::observer::{Event, Observer};
use crate::run::{RunContext, RunReport, block_on, run};
use crate::types::Type;
use rust_decimal::Decimal;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Mutex;

/// The value with this number.
pub fn value(id: u32) -> Operand {
    Operand::Value(ValueId(id))
}

/// A step that runs an engine on one core.
pub fn step(id: u32, engine: Engine, params: &[(&str, Type)], output: Type) -> PlanStep {
    PlanStep {
        id: StepId(id),
        name: format!("step_{id}"),
        task: "t".into(),
        line: id + 10,
        implementation: "tool".into(),
        label: None,
        knobs: BTreeMap::new(),
        hardware: Hardware { device: "cpu".into(), units: 1, replicas: 1 },
        instance: None,
        part: None,
        agent: None,
        engine,
        params: params.iter().map(|(n, t)| ((*n).to_owned(), t.clone())).collect(),
        output,
        calls: Decimal::ONE,
        conditions: Conditions::default(),
        predicted: Predicted {
            either_usd: Decimal::ZERO,
            latency_s: Decimal::ONE,
            latency_p95_s: Decimal::ONE,
            latency_p99_s: Decimal::ONE,
            cost_usd: Decimal::ZERO,
            energy_wh: Some(Decimal::ONE),
            quality: Decimal::ONE,
            memory_gb: Decimal::ZERO,
            streamed: None,
        },
        evidence: Vec::new(),
        reporters: Vec::new(),
        reason: String::new(),
        fallbacks: Vec::new(),
    }
}

/// An engine that runs these commands and reads text.
pub fn process(commands: &[&[&str]], reader: &str) -> Engine {
    let commands = commands.iter().map(|c| c.iter().map(|a| (*a).to_owned()).collect()).collect();
    Engine::Process { commands, reader: reader.to_owned(), options: BTreeMap::new() }
}

/// A call of a step with the argument `x`.
pub fn call(step: u32, x: Operand, output: u32) -> Node {
    Node::Call { step: StepId(step), args: vec![("x".to_owned(), x)], output: ValueId(output) }
}

/// A plan with one input `x` (value 0).
pub fn plan(x: Type, nodes: Vec<Node>, result: (Operand, Type), steps: Vec<PlanStep>) -> Plan {
    let pools = BTreeMap::from([("cpu".into(), Pool { units: 2, usd_per_hour: Decimal::ONE })]);
    let inputs = vec![Input { name: "x".into(), ty: x, value: ValueId(0), sizes: BTreeMap::new() }];
    let body = Region { nodes, result: result.0 };
    let plan = Plan::to_measure("job".into(), pools, inputs, body, result.1, steps);
    let one = Decimal::ONE;
    let total =
        Totals { latency_s: one, cost_usd: one, energy_wh: one, quality: one, energy_known: true, ..plan.total };
    Plan { total, ..plan }
}

/// Remembers the kinds of events.
#[derive(Default)]
pub struct Diary(pub Mutex<Vec<String>>);

impl Observer for Diary {
    fn event(&self, event: &Event<'_>) {
        let entry = match event {
            Event::StepStarted { step, .. } => format!("start {}", step.name),
            Event::ItemDone { step, done, of, .. } => format!("item {} {done}/{of}", step.name),
            Event::Retried { attempt, .. } => format!("retry {attempt}"),
            Event::Left { step, to, .. } => format!("left {} {}", step.implementation, to.implementation),
            Event::Draining { .. } => "draining".to_owned(),
            Event::Adapted { message } => format!("adapted {message}"),
            Event::StepFinished { step, calls } => format!("finish {} {calls}", step.name),
            Event::Server(event) => format!("server {:?}", event.state),
            Event::Piece { text, .. } => format!("piece {text}"),
            Event::Failed { step, .. } => format!("fail {}", step.map_or("", |s| s.name.as_str())),
        };
        self.0.lock().expect("a diary").push(entry);
    }
}

/// Our environment.
pub fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Runs a plan on `x`; the folder is kept by the caller.
pub fn go(plan: &Plan, x: Value, folder: &std::path::Path, diary: &Diary) -> RunReport {
    let mut cx = RunContext::new(folder.join("run"), diary, &environment);
    cx.backoff = std::time::Duration::from_millis(1);
    block_on(run(plan, BTreeMap::from([("x".to_owned(), x)]), &cx)).expect("a runtime")
}

/// Runs a plan on `x` in a folder of its own.
pub fn result(plan: &Plan, x: Value) -> Result<Value, Fault> {
    let folder = tempfile::tempdir().expect("a folder");
    go(plan, x, folder.path(), &Diary::default()).result.map_err(|e| e.fault)
}

/// Whether a process (other than a test's own) has this in its command line.
pub fn running(pattern: &str) -> bool {
    let processes = std::fs::read_dir("/proc").expect("/proc").filter_map(Result::ok);
    let line = |e: std::fs::DirEntry| std::fs::read(e.path().join("cmdline")).ok();
    let mut lines = processes.filter_map(line).map(|l| String::from_utf8_lossy(&l).replace('\0', " "));
    lines.any(|l| l.contains(pattern))
}
