//! A shape of nodes that do nothing → how long the runtime takes for them, and the memory it takes.

use crate::ir::workflow::{Node, Op, Operand, Region, StepId, ValueId};
use crate::plan::model::{Conditions, Engine, Hardware, Input, Plan, PlanStep, Pool, Predicted};
use crate::run::journal::{Journal, RunInfo, record::Stored};
use crate::run::observer::Silent;
use crate::run::remote::Remote;
use crate::run::value::held::Held;
use crate::run::{RunContext, run_held};
use crate::types::Type;
use rust_decimal::Decimal;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, Runtime};

/// How nodes hang together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Each waits for the one before.
    Chain,
    /// None waits for another: a map over a list.
    Fan,
}

/// What a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An operation of the language.
    Compute,
    /// A call of a step: it is admitted, measured, checked and, with a journal, recorded.
    Step,
    /// A call of a Python function ([`PYTHON`]), in a process that is kept between calls.
    Python,
    /// A call of a program.
    Process,
}

/// The Python file whose function nodes of [`Kind::Python`] call, and what is in it.
pub const PYTHON: (&str, &str) =
    ("same.py", "import murakkab\n\n\n@murakkab.tool\ndef same(x: int) -> int:\n    return x\n");

/// Where it is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Store {
    /// Nowhere.
    Memory,
    /// In the journal, as a step without cost is (`synchronous=NORMAL`).
    Normal,
    /// In the journal and on the disk before it counts, as a step that costs money is (`FULL`), without the files that such a step leaves in
    /// its folder; as many calls at a time as the map has items under way.
    Full,
}

/// Runs so many nodes in a folder; the time from the start of the run to its answer.
pub fn measure(shape: Shape, kind: Kind, store: Store, nodes: u32, folder: &Path) -> Result<Duration, String> {
    timed((shape, kind, store), nodes, folder, (&runtime()?, None))
}

/// What runs are driven by; connections of whoever carries out their calls live as long as it does.
pub fn runtime() -> Result<Runtime, String> {
    Builder::new_current_thread().enable_all().build().map_err(|e| format!("cannot start the runtime: {e}"))
}

/// The same, where somebody else may carry the calls out.
pub fn timed(
    (shape, kind, store): (Shape, Kind, Store),
    nodes: u32,
    folder: &Path,
    (runtime, remote): (&Runtime, Option<&dyn Remote>),
) -> Result<Duration, String> {
    let plan = plan(shape, kind, store, nodes);
    let input = match shape {
        Shape::Chain => json!(0).into(),
        Shape::Fan => Held::list(nodes as usize, (0..nodes).map(Value::from), folder).map_err(|fault| fault.message)?,
    };
    let recorder = match store {
        Store::Memory => None,
        Store::Normal | Store::Full => {
            let said = |fault: crate::run::fault::Fault| fault.message;
            let mut journal = Journal::open(&folder.join(".mkbc")).map_err(said)?;
            let text = serde_json::to_string(&plan).map_err(|e| e.to_string())?;
            let info = RunInfo {
                job: plan.job.clone(),
                key: None,
                identity: "bench".into(),
                plan: journal.blobs().put(&text).map_err(said)?,
                inputs: Stored::Inline(Value::Null),
                folder: None,
                folders: Vec::new(),
                at: String::new(),
                made_of: None,
                no_cache: false,
            };
            let run = journal.begin(&info).map_err(said)?;
            let recorder = journal.attach(&run, String::new()).map_err(said)?;
            Some(if store == Store::Full { recorder.weighing_all() } else { recorder })
        }
    };
    let env = |name: &str| std::env::var(name).ok();
    let place = recorder.as_ref().map_or_else(|| folder.join("run"), |r| r.folder().to_path_buf());
    let usual = RunContext::new(place, &Silent, &env);
    let api_calls = usual.fan_out as u32;
    let folders = vec![folder.to_path_buf()];
    let cx = RunContext { recorder: recorder.as_ref(), outputs: false, api_calls, folders, remote, ..usual };
    let begun = Instant::now();
    let report = runtime.block_on(run_held(&plan, BTreeMap::from([("x".to_owned(), input)]), &cx));
    let took = begun.elapsed();
    report.result.map(|_| took).map_err(|e| e.to_string())
}

/// The most memory that this process held so far, bytes; none where the system does not say.
pub fn peak() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib << 10)
}

fn node(kind: Kind, x: Operand, output: u32) -> Node {
    match kind {
        Kind::Compute => {
            Node::Compute { op: Op::Add, args: vec![x, Operand::Literal(json!(0))], output: ValueId(output) }
        }
        _ => Node::Call { step: StepId(0), args: vec![("x".to_owned(), x)], output: ValueId(output) },
    }
}

fn plan(shape: Shape, kind: Kind, store: Store, nodes: u32) -> Plan {
    let value = |id: u32| Operand::Value(ValueId(id));
    let (input, result, body) = match shape {
        Shape::Chain => {
            let nodes = (0..nodes).map(|n| node(kind, value(n), n + 1));
            (Type::Int, Type::Int, Region { result: value(nodes.len() as u32), nodes: nodes.collect() })
        }
        Shape::Fan => {
            let list = Type::List(Box::new(Type::Int));
            let body = Region { nodes: vec![node(kind, value(1), 2)], result: value(2) };
            let map = Node::Map { over: value(0), item: ValueId(1), body, output: ValueId(3) };
            (list.clone(), list, Region { nodes: vec![map], result: value(3) })
        }
    };
    let pools = BTreeMap::from([("cpu".into(), Pool { units: 64, usd_per_hour: Decimal::ZERO })]);
    let inputs = vec![Input { name: "x".into(), ty: input, value: ValueId(0), sizes: BTreeMap::new() }];
    let steps = if kind == Kind::Compute { Vec::new() } else { vec![step(kind, store, nodes)] };
    Plan::to_measure("bench".into(), pools, inputs, body, result, steps)
}

/// A step that gives back what it is given. What costs money is asked of a provider: of such calls there may be more at a time than cores.
fn step(kind: Kind, store: Store, calls: u32) -> PlanStep {
    let device = if store == Store::Full { "api" } else { "cpu" };
    let engine = match kind {
        Kind::Python => Engine::Python {
            module: PYTHON.0.into(),
            function: "same".into(),
            interpreter: "python3".into(),
            together: 0,
        },
        Kind::Process => Engine::Process {
            commands: vec![vec!["echo".into(), "{x}".into()]],
            reader: "json".into(),
            options: BTreeMap::new(),
        },
        Kind::Step | Kind::Compute => Engine::Builtin { function: "same".into(), options: BTreeMap::new() },
    };
    PlanStep {
        id: StepId(0),
        name: "same".into(),
        task: "same".into(),
        line: 0,
        implementation: "same".into(),
        label: None,
        knobs: BTreeMap::new(),
        hardware: Hardware { device: device.into(), units: 1, replicas: 1 },
        instance: None,
        part: None,
        engine,
        params: vec![("x".into(), Type::Int)],
        output: Type::Int,
        calls: Decimal::from(calls),
        conditions: Conditions::default(),
        predicted: Predicted::default(),
        evidence: Vec::new(),
        reporters: Vec::new(),
        reason: String::new(),
        fallbacks: Vec::new(),
        agent: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shape_kind_and_store_runs() {
        for shape in [Shape::Chain, Shape::Fan] {
            let all = [Store::Memory, Store::Normal, Store::Full];
            let of = |kind, stores: &[Store]| stores.iter().map(|store| (kind, *store)).collect::<Vec<_>>();
            let slow = [Kind::Python, Kind::Process].map(|kind| (kind, Store::Normal));
            let cases = [of(Kind::Compute, &all), of(Kind::Step, &all), slow.to_vec()].concat();
            for (kind, store) in cases {
                let folder = tempfile::tempdir().expect("a folder");
                std::fs::write(folder.path().join(PYTHON.0), PYTHON.1).expect("a module");
                let took = measure(shape, kind, store, 5, folder.path());
                assert!(took.is_ok(), "{shape:?} {kind:?} {store:?}: {took:?}");
            }
        }
        assert!(peak().is_some_and(|bytes| bytes > 1 << 20));
    }
}
