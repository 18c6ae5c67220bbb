//! GPUs of steps that no server answers: which ones a call sees, and that these are the plan's.
//!
//! The machine is made up (`servers::machine`): nothing here touches a GPU. The steps print what they may see.

use super::samples::{Diary, call, environment, plan, process, step, value};
use super::servers::{machine, patience};
use super::*;
use crate::ir::workflow::{Node, Region, StepId, ValueId};
use crate::plan::model::{Hardware, Placed, Pool};
use crate::run::servers::Servers;
use rust_decimal::Decimal;
use serde_json::json;

const GPUS: [(&str, u64); 5] =
    [("NVIDIA H100 A", 80), ("NVIDIA H100 B", 80), ("NVIDIA L4", 24), ("NVIDIA H100 C", 80), ("NVIDIA H100 D", 80)];

/// What four calls at once, each of some H100s, see; and the report.
fn seen(units: u32, placement: &[u32]) -> (Result<Vec<String>, String>, RunReport) {
    let engine = process(&[&["sleep", "0.5"], &["sh", "-c", "echo $CUDA_VISIBLE_DEVICES"]], "lines");
    let mut one = step(0, engine, &[("x", Type::Text)], Type::Text);
    one.hardware = Hardware { device: "h100".into(), units, replicas: 1 };
    let texts = Type::List(Box::new(Type::Text));
    let body = Region { nodes: vec![call(0, value(1), 2)], result: value(2) };
    let map = Node::Map { over: value(0), item: ValueId(1), body, output: ValueId(3) };
    let mut plan = plan(texts.clone(), vec![map], (value(3), texts), vec![one]);
    plan.cluster.pools.insert("h100".into(), Pool { units: 4, usd_per_hour: Decimal::ONE });
    let placed =
        |index: &u32| Placed { device: "h100".into(), index: *index, steps: vec![StepId(0)], memory_gb: Decimal::ONE };
    plan.placement = placement.iter().map(placed).collect();
    let folder = tempfile::tempdir().expect("a folder");
    let diary = Diary::default();
    let mut cx = RunContext::new(folder.path().join("run"), &diary, &environment);
    cx.servers = Some(Servers::on(machine(&GPUS), patience()));
    let inputs = BTreeMap::from([("x".to_owned(), json!(["a", "b", "c", "d"]))]);
    let report = block_on(run(&plan, inputs, &cx)).expect("a runtime");
    let found = match &report.result {
        Ok(lines) => {
            let mut lines: Vec<String> = serde_json::from_value(lines.clone()).expect("lines");
            lines.sort();
            Ok(lines)
        }
        Err(error) => Err(error.to_string()),
    };
    (found, report)
}

#[test]
fn calls_at_the_same_time_are_on_gpus_of_their_own_and_it_is_told() {
    let (found, report) = seen(1, &[]);
    assert_eq!(found.expect("lines"), ["GPU-0", "GPU-1", "GPU-3", "GPU-4"]);
    let step = &report.steps[0];
    assert_eq!((step.devices.len(), step.as_planned), (4, Some(true)), "{step:?}");
    let (found, _) = seen(2, &[]);
    assert_eq!(found.expect("lines"), ["GPU-0,GPU-1", "GPU-0,GPU-1", "GPU-3,GPU-4", "GPU-3,GPU-4"]);
}

#[test]
fn a_plan_that_numbers_its_gpus_is_obeyed_or_refused() {
    // The plan's `h100 3` is the fourth H100, whatever else is in the machine.
    let (found, report) = seen(1, &[3]);
    assert_eq!(found.expect("lines"), ["GPU-4"; 4]);
    assert_eq!(report.steps[0].devices, ["GPU-4"]);
    let said = seen(1, &[7]).0.expect_err("there is none");
    assert!(said.contains("places a step on `h100 7`, and this machine has 4 `h100`"), "{said}");
}
