//! What a job demands of a run: rent stays within the limit on cost, and every limit is said with what was measured.

use super::samples::{Diary, call, environment, go, plan, process, step, value};
use crate::plan::model::{Plan, PlanClause};
use crate::run::fault::FaultKind;
use crate::run::shown::story::Story;
use crate::run::{RunContext, block_on, report, run};
use crate::types::Type;
use rust_decimal::{Decimal, dec};
use serde_json::json;
use std::collections::BTreeMap;

fn clause(metric: &str, limit: Decimal, soft: bool) -> PlanClause {
    PlanClause {
        text: format!("{metric} <= {limit}"),
        line: 3,
        metric: metric.to_owned(),
        limit,
        value: Decimal::ZERO,
        slack: limit,
        soft,
        holds: true,
        price: None,
    }
}

/// Two steps, one after the other, each of which sleeps for a fifth of a second on a core that costs a dollar an hour.
fn sleeps(each_usd: Decimal, clauses: Vec<PlanClause>) -> Plan {
    let engine = process(&[&["sleep", "0.2"], &["echo", "{x}"]], "lines");
    let mut steps: Vec<_> = (0..2).map(|i| step(i, engine.clone(), &[("x", Type::Text)], Type::Text)).collect();
    steps.iter_mut().for_each(|s| s.predicted.cost_usd = each_usd);
    let nodes = vec![call(0, value(0), 1), call(1, value(1), 2)];
    let plan = plan(Type::Text, nodes, (value(2), Type::Text), steps);
    Plan { clauses, ..plan }
}

/// The kind of fault that a run ended with, its message, and what was begun.
fn ended(plan: &Plan) -> (Option<FaultKind>, String, Vec<String>) {
    let folder = tempfile::tempdir().expect("a folder");
    let diary = Diary::default();
    let report = go(plan, json!("a"), folder.path(), &diary);
    let begun = diary.0.into_inner().expect("a diary").into_iter().filter(|line| line.starts_with("start")).collect();
    let fault = report.result.err().map(|error| error.fault);
    (fault.as_ref().map(|f| f.kind), fault.map(|f| f.message).unwrap_or_default(), begun)
}

#[test]
fn no_step_begins_whose_rent_is_more_than_what_is_left() {
    let limited = |each, limit| ended(&sleeps(each, vec![clause("cost", limit, false)]));
    let (kind, message, begun) = limited(dec!(0.5), dec!(0.1));
    assert_eq!((kind, begun.len()), (Some(FaultKind::Budget), 0), "{message}");
    assert!(message.contains("planned to cost 0.5 usd, and 0.1 usd of `cost <= 0.1` are left"), "{message}");
    // The first takes five times what is planned, and leaves too little for the second.
    let (kind, message, begun) = limited(dec!(0.00001), dec!(0.00003));
    assert_eq!((kind, begun.len()), (Some(FaultKind::Budget), 1), "{message}");
    assert_eq!(limited(dec!(0.00001), dec!(1)).0, None);
    assert_eq!(ended(&sleeps(dec!(0.5), vec![clause("cost", dec!(0.1), true)])).0, None, "a wish stops nothing");
}

#[test]
fn whoever_runs_it_may_allow_less() {
    let folder = tempfile::tempdir().expect("a folder");
    let diary = Diary::default();
    let cx =
        RunContext { most_usd: Some(dec!(0.4)), ..RunContext::new(folder.path().join("run"), &diary, &environment) };
    let plan = sleeps(dec!(0.5), Vec::new());
    let report = block_on(run(&plan, BTreeMap::from([("x".to_owned(), json!("a"))]), &cx)).expect("a runtime");
    assert_eq!(report.result.expect_err("it costs more").fault.kind, FaultKind::Budget);
}

#[test]
fn every_limit_is_said_with_what_was_measured() {
    let clauses = vec![
        clause("latency", dec!(0.1), false),
        clause("energy", dec!(0.000001), true),
        clause("cost", dec!(1), false),
        clause("quality", dec!(0.8), false),
    ];
    let plan = sleeps(Decimal::ZERO, clauses);
    let folder = tempfile::tempdir().expect("a folder");
    let report = go(&plan, json!("a"), folder.path(), &Diary::default());
    let holds: Vec<Option<bool>> = report.clauses.iter().map(|kept| kept.holds).collect();
    assert_eq!(holds, [Some(false), Some(false), Some(true), None]);
    let story = Story::of(Some(plan.clone()), &[], BTreeMap::new(), Vec::new(), None);
    let (table, page) = (report::table(&plan, &report), report::html::page(&story, &plan, &report, None));
    for part in [" <= 0.1: BROKEN, 0", "preferred, broken", "cost <= 1: holds, $0", "quality <= 0.8: not known"] {
        assert!(table.contains(part), "{part}: {table}");
        assert!(page.contains(&crate::html::escaped(part)), "{part}: {page}");
    }
    let warning = report::clauses::warning(&report.clauses).expect("one is broken");
    assert!(warning.contains("latency <= 0.1: BROKEN") && !warning.contains("energy"), "{warning}");
}
