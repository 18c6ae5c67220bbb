//! What fails for good and who stands in for it, within one run.

use super::samples::{Diary, call, go, plan, process, step, value};
use super::*;
use crate::plan::model::{Fallback, PlanClause, PlanStep};

/// A step of these commands; each but the first is a fallback.
fn in_turn(commands: &[(&str, &[&str])]) -> PlanStep {
    let of = |(name, command): &(&str, &[&str])| {
        let mut step = step(0, process(&[command], "lines"), &[("x", Type::Text)], Type::Text);
        step.implementation = (*name).to_owned();
        step
    };
    let mut first = of(&commands[0]);
    let by = |other: PlanStep| Fallback {
        implementation: other.implementation,
        label: None,
        knobs: BTreeMap::new(),
        hardware: other.hardware,
        engine: other.engine,
        predicted: other.predicted,
        evidence: Vec::new(),
    };
    first.fallbacks = commands[1..].iter().map(|c| by(of(c))).collect();
    first
}

fn one(step: PlanStep) -> Plan {
    plan(Type::Text, vec![call(0, value(0), 1)], (value(1), Type::Text), vec![step])
}

#[test]
fn the_first_that_can_carries_a_call_out_and_the_report_says_who() {
    let step = in_turn(&[("a", &["false"]), ("b", &["no-such-program-here"]), ("c", &["echo", "by c"])]);
    let folder = tempfile::tempdir().expect("a folder");
    let diary = Diary::default();
    let report = go(&one(step.clone()), json!("x"), folder.path(), &diary);
    assert_eq!(report.result, Ok(json!("by c")));
    assert_eq!(report.steps[0].stood_in, BTreeMap::from([("c".to_owned(), 1)]));
    assert_eq!((report.steps[0].implementation.as_str(), report.steps[0].attempts), ("a", 3));
    let diary = diary.0.into_inner().expect("a diary");
    assert!(diary.contains(&"left a b".to_owned()) && diary.contains(&"left b c".to_owned()), "{diary:?}");
    let table = report::table(&one(step), &report);
    assert!(table.contains("step_0: c stood in for a, which failed for good, in 1 call"), "{table}");
}

#[test]
fn who_would_break_a_line_beside_another_is_passed_for_who_does_not() {
    // The choice of both steps fails; its first fallback does nine tenths as well, or half.
    let go_on = |quality: &str, limit: &str| {
        let steps = [0, 1].map(|n| {
            let mut step = in_turn(&[("a", &["false"]), ("b", &["echo", "b"]), ("c", &["echo", "c"])]);
            step.id = crate::ir::workflow::StepId(n);
            step.fallbacks[0].predicted.quality = quality.parse().expect("a share");
            step
        });
        let nodes = vec![call(0, value(0), 1), call(1, value(1), 2)];
        let mut plan = plan(Type::Text, nodes, (value(2), Type::Text), steps.to_vec());
        let limit: Decimal = limit.parse().expect("a share");
        plan.clauses = vec![PlanClause {
            text: "quality >= LIMIT".into(),
            line: 1,
            metric: "quality".into(),
            limit,
            value: Decimal::ONE,
            slack: Decimal::ONE - limit,
            soft: false,
            holds: true,
            price: None,
        }];
        let folder = tempfile::tempdir().expect("a folder");
        let report = go(&plan, json!("x"), folder.path(), &Diary::default());
        let by = report.steps.iter().flat_map(|step| step.stood_in.keys().cloned()).collect::<Vec<_>>();
        (report.result.map_err(|error| error.to_string()), by)
    };
    assert_eq!(go_on("0.9", "0.8"), (Ok(json!("b")), vec!["b".to_owned(), "b".to_owned()]));
    assert_eq!(go_on("0.9", "0.85"), (Ok(json!("c")), vec!["b".to_owned(), "c".to_owned()]));
    assert_eq!(go_on("0.5", "0.85"), (Ok(json!("c")), vec!["c".to_owned(), "c".to_owned()]));
}

#[test]
fn where_all_fail_the_first_says_why() {
    let step = in_turn(&[("a", &["ls", "/nonexistent/first"]), ("b", &["false"])]);
    let folder = tempfile::tempdir().expect("a folder");
    let error = go(&one(step), json!("x"), folder.path(), &Diary::default()).result.expect_err("both fail").to_string();
    assert!(
        error.contains("/nonexistent/first")
            && error.contains("; b, which stood in, failed too: `false` ended with status 1")
            && error.contains("no fallback of the plan could do better"),
        "{error}"
    );
}

#[test]
fn one_bad_item_is_not_the_end_of_the_choice() {
    // The choice fails on one item of five: the others are its own.
    let step =
        in_turn(&[("a", &["sh", "-c", "[ \"$1\" != 3 ] && echo \"a$1\"", "sh", "{x}"]), ("b", &["echo", "b{x}"])]);
    let body = Region { nodes: vec![call(0, value(1), 2)], result: value(2) };
    let map = Node::Map { over: value(0), item: ValueId(1), body, output: ValueId(3) };
    let plan = plan(list(Type::Text), vec![map], (value(3), list(Type::Text)), vec![step]);
    let folder = tempfile::tempdir().expect("a folder");
    let report = go(&plan, json!(["1", "2", "3", "4", "5"]), folder.path(), &Diary::default());
    assert_eq!(report.result, Ok(json!(["a1", "a2", "b3", "a4", "a5"])));
    assert_eq!(report.steps[0].stood_in, BTreeMap::from([("b".to_owned(), 1)]));
}

#[test]
fn what_lies_with_the_data_goes_to_nobody_else() {
    let mut step = in_turn(&[("a", &["false"]), ("b", &["echo", "b"])]);
    step.engine = crate::plan::model::Engine::Builtin { function: "calculator".into(), options: BTreeMap::new() };
    step.params = vec![("expression".into(), Type::Text)];
    step.output = Type::Text;
    let node = Node::Call {
        step: crate::ir::workflow::StepId(0),
        args: vec![("expression".to_owned(), value(0))],
        output: ValueId(1),
    };
    let plan = plan(Type::Text, vec![node], (value(1), Type::Text), vec![step]);
    let folder = tempfile::tempdir().expect("a folder");
    let fault = go(&plan, json!("no sum at all"), folder.path(), &Diary::default()).result.expect_err("no sum").fault;
    assert!(!crate::run::carriers::replaceable(&fault), "{fault:?}");
}
