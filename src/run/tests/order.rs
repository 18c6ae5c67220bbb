//! Who goes first where there is one device for many calls.

use super::samples::{Diary, call, go, plan, process, step, value};
use crate::ir::workflow::{Node, Op, ValueId};
use crate::plan::model::Plan;
use crate::types::Type;
use rust_decimal::Decimal;
use serde_json::json;

/// Three steps that wait for nobody, and a long one behind the last of them, on one core.
fn one_core() -> Plan {
    let engine = process(&[&["echo", "{x}"]], "lines");
    let mut steps: Vec<_> = (0..4).map(|i| step(i, engine.clone(), &[("x", Type::Text)], Type::Text)).collect();
    steps[3].predicted.latency_s = Decimal::from(100);
    let joined = |args, output| Node::Compute { op: Op::Add, args, output: ValueId(output) };
    let nodes = vec![
        call(0, value(0), 1),
        call(1, value(0), 2),
        call(2, value(0), 3),
        call(3, value(3), 4),
        joined(vec![value(1), value(2)], 5),
        joined(vec![value(5), value(4)], 6),
    ];
    let mut plan = plan(Type::Text, nodes, (value(6), Type::Text), steps);
    plan.cluster.pools.values_mut().for_each(|pool| pool.units = 1);
    plan
}

#[test]
fn the_critical_path_goes_first_and_the_rest_in_the_order_of_the_source() {
    for _ in 0..3 {
        let (folder, diary) = (tempfile::tempdir().expect("a folder"), Diary::default());
        let report = go(&one_core(), json!("a"), folder.path(), &diary);
        assert_eq!(report.result.expect("an answer"), json!("aaa"));
        let begun = diary.0.into_inner().expect("a diary");
        let begun: Vec<&str> = begun.iter().filter_map(|line| line.strip_prefix("start ")).collect();
        // In the order of asking it would be 0, 1, 2, 3. When step_2 ends, the core goes to one of those who wait; step_3, which comes only then,
        // passes the other.
        assert_eq!(begun, ["step_2", "step_0", "step_3", "step_1"]);
    }
}
