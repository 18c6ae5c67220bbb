//! Steps that run programs and built-in functions: what they are given, what they may do, how they fail.

use super::samples::{Diary, call, go, plan, process, result, step, value};
use crate::ir::workflow::{Node, StepId, ValueId};
use crate::plan::model::{Conditions, Engine};
use crate::run::fault::FaultKind;
use crate::types::Type;
use serde_json::json;
use std::collections::BTreeMap;

#[test]
fn nothing_in_a_value_is_ever_a_command() {
    let folder = tempfile::tempdir().expect("a folder");
    let canary = folder.path().join("canary");
    let at = canary.display();
    let corpus = [
        format!("; touch {at}"),
        format!("$(touch {at})"),
        format!("`touch {at}`"),
        format!("\n touch {at}\n"),
        format!("\" && touch {at} #"),
        "' -rf | > {out} {x.file} {{x}} %s \\n".to_owned(),
        "-rf".to_owned(),
    ];
    let engine = process(&[&["printf", "%s", "={x}"]], "lines");
    let plan = plan(
        Type::Text,
        vec![call(0, value(0), 1)],
        (value(1), Type::Text),
        vec![step(0, engine, &[("x", Type::Text)], Type::Text)],
    );
    for text in corpus {
        let got = result(&plan, json!(text)).expect("printf runs");
        assert_eq!(got, json!(format!("={text}").trim_end_matches('\n')));
    }
    assert!(!canary.exists());
}

#[test]
fn attempts_deadlines_and_results_of_another_type() {
    let with = |engine: Engine, output: Type, conditions: Conditions| {
        let mut s = step(0, engine, &[("x", Type::Text), ("y", Type::Optional(Box::new(Type::Text)))], output.clone());
        s.conditions = conditions;
        plan(Type::Text, vec![call(0, value(0), 1)], (value(1), output), vec![s])
    };
    let folder = tempfile::tempdir().expect("a folder");
    let diary = Diary::default();
    let failing =
        with(process(&[&["false"]], "lines"), Type::Text, Conditions { retries: 2, timeout_ms: None, cache: None });
    let report = go(&failing, json!("a"), folder.path(), &diary);
    assert_eq!(report.result.expect_err("fails").fault.message, "`false` ended with status 1 (attempt 3)");
    assert_eq!((report.steps[0].attempts, report.steps[0].calls, report.steps[0].started), (3, 0, 1));
    assert_eq!(diary.0.into_inner().expect("a diary")[1..3], ["retry 1", "retry 2"]);
    let slow = with(
        process(&[&["sleep", "93.1"]], "lines"),
        Type::Text,
        Conditions { retries: 0, timeout_ms: Some(200), cache: None },
    );
    assert_eq!(result(&slow, json!("a")).expect_err("too slow").kind, FaultKind::Timeout);
    let wrong = with(process(&[&["echo", "{\"a\": 1}"]], "json"), Type::Int, Conditions::default());
    assert!(result(&wrong, json!("a")).expect_err("no Int").message.starts_with("the result is no Int: at `$`"));
    let absent = with(process(&[&["echo", "[{y}]"]], "lines"), Type::Text, Conditions::default());
    assert_eq!(result(&absent, json!("a")), Ok(json!("[]")));
    let none = with(
        process(&[&["no-such-program-here"]], "lines"),
        Type::Text,
        Conditions { retries: 5, timeout_ms: None, cache: None },
    );
    assert_eq!(
        result(&none, json!("a")).expect_err("missing").message,
        "the program `no-such-program-here` is not installed"
    );
    let planned =
        with(Engine::Planned { name: "vllm".into(), options: BTreeMap::new() }, Type::Text, Conditions::default());
    assert_eq!(result(&planned, json!("a")).expect_err("planned").kind, FaultKind::Unsupported);
}

#[test]
fn builtin_functions_run_in_plans() {
    let engine = Engine::Builtin {
        function: "extractive_summary".into(),
        options: BTreeMap::from([("sentences".into(), "1".into())]),
    };
    let s = step(0, engine, &[("x", Type::Text)], Type::Text);
    let args = vec![("x".to_owned(), value(0))];
    let nodes = vec![Node::Call { step: StepId(0), args, output: ValueId(1) }];
    let plan = plan(Type::Text, nodes, (value(1), Type::Text), vec![s]);
    assert_eq!(result(&plan, json!("One sentence only.")), Ok(json!("One sentence only.")));
}
