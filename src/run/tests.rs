//! Whole runs of small plans with real programs.

mod demands;
mod media;
mod order;
mod programs;
mod python;
pub mod samples;
mod sandbox;
mod seats;
mod servers;
mod stand_ins;

use super::fault::FaultKind;
use super::*;
use crate::ir::workflow::{Node, Op, Operand, Region, ValueId};
use samples::{Diary, call, go, plan, process, result, step, value};
use serde_json::json;
use std::os::unix::fs::PermissionsExt;
use std::time::Instant;

fn list(ty: Type) -> Type {
    Type::List(Box::new(ty))
}

/// Whether two sleeps that do not depend on each other overlap, each holding so many cores.
fn two_sleeps_overlap(units: u32) -> bool {
    let engine = process(&[&["sleep", "0.4"], &["echo", "{x}"]], "lines");
    let mut steps: Vec<_> = (0..2).map(|i| step(i, engine.clone(), &[("x", Type::Text)], Type::Text)).collect();
    steps.iter_mut().for_each(|s| s.hardware.units = units);
    let both = Node::Compute { op: Op::Add, args: vec![value(1), value(2)], output: ValueId(3) };
    let nodes = vec![call(0, value(0), 1), call(1, value(0), 2), both];
    let plan = plan(Type::Text, nodes, (value(3), Type::Text), steps);
    let folder = tempfile::tempdir().expect("a folder");
    let report = go(&plan, json!("a"), folder.path(), &Diary::default());
    assert_eq!(report.result, Ok(json!("aa")));
    report.steps[1].from_s < report.steps[0].to_s && report.steps[0].from_s < report.steps[1].to_s
}

#[test]
fn independent_steps_run_at_the_same_time_unless_devices_are_short() {
    if devices::cpu::cores() >= 2 {
        assert!(two_sleeps_overlap(1));
    }
    // More cores than there are: a step gets all of them, and the other waits.
    assert!(!two_sleeps_overlap(64));
}

#[test]
fn maps_keep_order_and_report_items() {
    let engine = process(&[&["sleep", "{x}"], &["echo", "{x}"]], "lines");
    let steps = vec![step(0, engine, &[("x", Type::Text)], Type::Text)];
    let body = Region { nodes: vec![call(0, value(1), 2)], result: value(2) };
    let map = Node::Map { over: value(0), item: ValueId(1), body, output: ValueId(3) };
    let plan = plan(list(Type::Text), vec![map], (value(3), list(Type::Text)), steps);
    let folder = tempfile::tempdir().expect("a folder");
    let diary = Diary::default();
    let report = go(&plan, json!(["0.3", "0.1", "0.0"]), folder.path(), &diary);
    assert_eq!(report.result, Ok(json!(["0.3", "0.1", "0.0"])));
    let diary = diary.0.into_inner().expect("a diary");
    assert_eq!(diary[0], "start step_0");
    assert_eq!(diary[3..], ["item step_0 3/3", "finish step_0 3"]);
    assert_eq!((report.steps[0].calls, report.steps[0].attempts), (3, 3));
    assert!(report.steps[0].cost_usd.is_some_and(|c| c > 0.0));
    let table = report::table(&plan, &report);
    assert!(table.contains("step_0") && table.contains("~ estimated"), "{table}");
    let mode = std::fs::metadata(&report.folder).expect("a folder").permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    assert!(report.folder.join("report.json").is_file());
}

#[test]
fn an_error_names_its_step_stops_the_rest_and_keeps_what_is_done() {
    let good = process(&[&["echo", "{x}"]], "lines");
    let bad = process(&[&["sleep", "0.2"], &["ls", "/nonexistent/thing"]], "lines");
    let long = process(&[&["sleep", "95.317"], &["echo"]], "lines");
    let steps =
        [good, bad, long].into_iter().zip(0..).map(|(e, i)| step(i, e, &[("x", Type::Text)], Type::Text)).collect();
    let nodes = vec![call(0, value(0), 1), call(1, value(1), 2), call(2, value(1), 3)];
    let plan = plan(Type::Text, nodes, (value(3), Type::Text), steps);
    let folder = tempfile::tempdir().expect("a folder");
    let diary = Diary::default();
    let begun = Instant::now();
    let report = go(&plan, json!("a"), folder.path(), &diary);
    assert!(begun.elapsed().as_secs() < 10);
    let error = report.result.expect_err("ls fails").to_string();
    assert!(
        error.starts_with("step `step_1` (tool, line 11) failed: `ls` ended with status 2\n  it said:\n"),
        "{error}"
    );
    assert!(error.contains("/nonexistent/thing"));
    let kept = std::fs::read_to_string(folder.path().join("run/steps/00-step_0/0000/output.json")).expect("kept");
    assert_eq!(kept, "\"a\"\n");
    assert!(!running("sleep 95.317"));
    assert_eq!(diary.0.into_inner().expect("a diary").last().map(String::as_str), Some("fail step_1"));
}

/// Whether a process has this in its command line.
fn running(pattern: &str) -> bool {
    // A killed child may take a moment to go.
    std::thread::sleep(Duration::from_millis(200));
    samples::running(pattern)
}

#[test]
fn a_cancelled_run_stops_at_once_and_leaves_no_child() {
    let engine = process(&[&["timeout", "94.713", "sleep", "94.713"], &["echo"]], "lines");
    let plan = plan(
        Type::Text,
        vec![call(0, value(0), 1)],
        (value(1), Type::Text),
        vec![step(0, engine, &[("x", Type::Text)], Type::Text)],
    );
    let folder = tempfile::tempdir().expect("a folder");
    let cx = RunContext::new(folder.path().join("run"), &observer::Silent, &samples::environment);
    let switch = cx.cancel.clone();
    let begun = Instant::now();
    let report = block_on(async {
        let stop = async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            switch.cancel();
        };
        tokio::join!(run(&plan, BTreeMap::from([("x".to_owned(), json!("a"))]), &cx), stop).0
    });
    let report = report.expect("a runtime");
    assert_eq!(report.result.expect_err("stopped").fault.kind, FaultKind::Cancelled);
    assert!(begun.elapsed().as_secs_f64() < 3.0);
    assert!(!running("sleep 94.713"));
}

/// Not a test of its own: what the next one kills.
#[test]
fn victim() {
    if std::env::var_os("MKBC_TEST_VICTIM").is_some() {
        // A script that waits for a program of its own, of which the kernel does not know that it is ours.
        let engine = process(&[&["sh", "-c", "sleep 91.337; true"]], "lines");
        let s = step(0, engine, &[("x", Type::Text)], Type::Text);
        let _ = result(&plan(Type::Text, vec![call(0, value(0), 1)], (value(1), Type::Text), vec![s]), json!("a"));
    }
}

#[test]
fn a_killed_runtime_takes_its_children_along() {
    let tests = std::env::current_exe().expect("this program");
    let arguments = ["run::tests::victim", "--exact"];
    let mut runtime = std::process::Command::new(tests)
        .args(arguments)
        .env("MKBC_TEST_VICTIM", "1")
        .stdout(std::process::Stdio::null())
        .spawn()
        .expect("a second runtime");
    let begun = Instant::now();
    while !running("sleep 91.337") {
        assert!(begun.elapsed().as_secs() < 20, "the second runtime started nothing");
    }
    runtime.kill().expect("killed");
    runtime.wait().expect("gone");
    let killed = Instant::now();
    while running("sleep 91.337") {
        assert!(killed.elapsed().as_secs() < 5, "it outlives its runtime");
    }
}

#[test]
fn loops_carry_and_branches_choose() {
    let compute = |op, args, output| Node::Compute { op, args, output: ValueId(output) };
    let one = || Operand::Literal(json!(1));
    let body = Region {
        nodes: vec![
            compute(Op::Add, vec![value(1), one()], 2),
            compute(Op::Ge, vec![value(2), Operand::Literal(json!(3))], 3),
        ],
        result: value(2),
    };
    let repeat = |limit| Node::Repeat {
        expected: None,
        limit,
        carry: Some((ValueId(1), value(0))),
        body: body.clone(),
        until: value(3),
        output: ValueId(4),
    };
    let till = |limit, x| result(&plan(Type::Int, vec![repeat(limit)], (value(4), Type::Int), Vec::new()), json!(x));
    assert_eq!(till(10, 0), Ok(json!(3)));
    assert_eq!(till(2, 0), Ok(json!(2)));
    assert_eq!(till(10, 7), Ok(json!(8)));
    let branch = Node::Branch {
        when: value(1),
        share: None,
        then: Region { nodes: vec![compute(Op::Div, vec![one(), value(0)], 2)], result: value(2) },
        otherwise: Region { nodes: Vec::new(), result: value(0) },
        output: ValueId(3),
    };
    let nodes = vec![compute(Op::Lt, vec![value(0), one()], 1), branch];
    let plan = plan(Type::Int, nodes, (value(3), Type::Int), Vec::new());
    assert_eq!(result(&plan, json!(5)), Ok(json!(5)));
    assert_eq!(result(&plan, json!(0)).expect_err("no quotient").kind, FaultKind::Data);
}

#[test]
fn a_long_chain_and_a_wide_fan_run_quickly() {
    let one = Operand::Literal(json!(1));
    let add = |i: u32| Node::Compute { op: Op::Add, args: vec![value(i), one.clone()], output: ValueId(i + 1) };
    let chain = plan(Type::Int, (0..2000).map(add).collect(), (value(2000), Type::Int), Vec::new());
    let begun = Instant::now();
    assert_eq!(result(&chain, json!(0)), Ok(json!(2000)));
    let body = Region {
        nodes: vec![Node::Compute { op: Op::Neg, args: vec![value(1)], output: ValueId(2) }],
        result: value(2),
    };
    let map = Node::Map { over: value(0), item: ValueId(1), body, output: ValueId(3) };
    let wide = plan(list(Type::Int), vec![map], (value(3), list(Type::Int)), Vec::new());
    let items: Vec<i64> = (0..20_000).collect();
    let negated: Vec<i64> = items.iter().map(|i| -i).collect();
    assert_eq!(result(&wide, json!(items)), Ok(json!(negated)));
    assert!(begun.elapsed().as_secs() < 5, "{:?}", begun.elapsed());
}

#[test]
fn broken_plans_and_inputs_are_errors() {
    let neg = |from, to| Node::Compute { op: Op::Neg, args: vec![value(from)], output: ValueId(to) };
    let kind = |nodes, result_at| {
        result(&plan(Type::Int, nodes, (value(result_at), Type::Int), Vec::new()), json!(1)).map_err(|f| f.kind)
    };
    assert_eq!(kind(vec![neg(2, 1), neg(1, 2)], 1), Err(FaultKind::Plan));
    assert_eq!(kind(vec![neg(9, 1)], 1), Err(FaultKind::Plan));
    assert_eq!(kind(vec![call(7, value(0), 1)], 1), Err(FaultKind::Plan));
    assert_eq!(kind(Vec::new(), 5), Err(FaultKind::Plan));
    let identity = plan(Type::Int, Vec::new(), (value(0), Type::Int), Vec::new());
    assert_eq!(
        result(&identity, json!("a")).expect_err("no Int").message,
        "the input `x`: at `$`: expected Int, found the text \"a\""
    );
    let old = Plan { version: 99, ..identity.clone() };
    assert_eq!(result(&old, json!(1)).expect_err("old").kind, FaultKind::Plan);
    let folder = tempfile::tempdir().expect("a folder");
    let cx = RunContext::new(folder.path(), &observer::Silent, &samples::environment);
    let missing = block_on(run(&identity, BTreeMap::new(), &cx)).expect("a runtime").result.expect_err("missing");
    assert_eq!(missing.to_string(), "the input `x` (Int) is missing\n  help: give it with --x");
    let unwritable = RunContext::new("/proc/nowhere", &observer::Silent, &samples::environment);
    let report =
        block_on(run(&identity, BTreeMap::from([("x".to_owned(), json!(1))]), &unwritable)).expect("a runtime");
    assert_eq!(report.result.expect_err("no folder").fault.kind, FaultKind::Storage);
}

#[test]
fn a_folder_that_was_used_before_shows_only_the_new_run() {
    let folder = tempfile::tempdir().expect("a folder");
    let with = |command: &[&str]| {
        let s = step(0, process(&[command], "lines"), &[("x", Type::Text)], Type::Text);
        plan(Type::Text, vec![call(0, value(0), 1)], (value(1), Type::Text), vec![s])
    };
    let run_in = |plan: &Plan| go(plan, json!("a"), folder.path(), &Diary::default()).result;
    let touched = with(&["touch", "left-over"]);
    assert_eq!(run_in(&touched), Ok(json!("")));
    assert!(folder.path().join("run/result.json").exists());
    assert_eq!(run_in(&with(&["ls"])), Ok(json!("")));
    assert!(run_in(&with(&["false"])).is_err());
    assert!(!folder.path().join("run/result.json").exists());
}
