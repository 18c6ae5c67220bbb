//! What an agent costs at most: plans against every order in which its tools may be called, and against every choice of who carries them out.

use murakkab::compile::prepare::Compiled;
use murakkab::compile::{Target, Texts, anywhere, check_file, plan};
use murakkab::diag::Diagnostics;
use murakkab::plan::model::Plan;
use murakkab::plan::verify::verify;
use murakkab::solve::{Certify, Limits};
use murakkab::space::Machines;
use murakkab::space::ends::End;
use murakkab::space::sizes::InputSizes;
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use std::collections::BTreeMap;

/// What a second on one core costs, in dollars.
const SECOND: f64 = 0.25;
/// What a turn of the model costs, in dollars.
const TURN: f64 = 0.125;

/// A tool under one setting: dollars a call, seconds a call, quality.
type Way = (f64, f64, f64);

/// Three tools, each with three settings; `at_once` of its calls may be under way together.
fn library(tools: &[[Way; 3]], at_once: u32) -> (String, BTreeMap<String, String>) {
    let mut text = String::from(
        "device cpu { kind cpu }
type Turn {
  does: Text
  args: Json
  answer: Json
  refused: Json
}
task next_turn(wanted: Text, so_far: Json, powers: Json) -> Turn {
  work calls = 1
  size args.tokens   = 10 tok
  size answer.tokens = 10 tok
  size tokens        = 10 tok
}
tool turner implements next_turn {
  runs on cpu * 1
  engine process { command [\"true\"] }
  profile \"turner.csv\"
}
",
    );
    let head = "v,device,units,figure,value,unit,low,high,evidence,source\n";
    let row = |v: &str, figure: &str, value: f64, unit: &str| {
        format!("{v},cpu,,{figure},{value},{unit},,,estimated,made for this test\n")
    };
    let fixed = |figures: &[(&str, f64, &str)]| {
        let rows: String = figures.iter().map(|(figure, value, unit)| row("", figure, *value, unit)).collect();
        format!("{head}{rows}").replace("v,device", "device").replace("\n,cpu", "\ncpu")
    };
    let turner = fixed(&[("latency", 0.0, "s"), ("cost", TURN, "usd"), ("quality", 100.0, "%")]);
    let mut profiles = BTreeMap::from([("turner.csv".to_string(), turner)]);
    for (number, ways) in tools.iter().enumerate() {
        text += &format!(
            "task t{number}(text: Text) -> Text {{\n  work calls = 1\n  size tokens = 10 tok\n}}\n\
             tool carrier{number} implements t{number} {{\n  knob v in [x, y, z]\n  concurrency {at_once}\n  runs on cpu * 1\n  \
             engine process {{ command [\"true\"] }}\n  profile \"t{number}.csv\"\n}}\n"
        );
        let rows = ["x", "y", "z"].iter().zip(ways).map(|(v, (fee, seconds, quality))| {
            row(v, "latency", *seconds, "s") + &row(v, "cost", *fee, "usd") + &row(v, "quality", *quality, "%")
        });
        profiles.insert(format!("t{number}.csv"), format!("{head}{}", rows.collect::<String>()));
    }
    (text, profiles)
}

fn planned(tools: &[[Way; 3]], at_once: u32, job: &str) -> Result<Plan, String> {
    let (text, profiles) = library(tools, at_once);
    let mut texts = Texts::default();
    let module = texts.sources.add("own.mkb", text);
    texts.modules.push(("own".into(), module));
    for (name, rows) in profiles {
        let file = texts.sources.add(name.clone(), rows);
        texts.profiles.insert(name.into(), file);
    }
    let file = texts.sources.add("job.mkb", job);
    let mut cx = Diagnostics::default();
    let checked = check_file(&texts, file, &mut cx);
    assert!(!cx.has_errors(), "{:?}", cx.iter().map(|d| d.message.clone()).collect::<Vec<_>>());
    let hourly = Decimal::from_f64_retain(SECOND * 3600.0).expect("a price");
    let machines = Machines { name: "rented".into(), pools: BTreeMap::from([("cpu".into(), (8, hourly))]) };
    let limits = Limits { nodes: 100_000, out_of_time: None, z3_ms: 0, certify: Certify::Off, judge: None };
    let measured = InputSizes::new();
    let end = End::Typical;
    let target = Target { job: None, machines: &machines, measured: &measured, usable: &anywhere, limits, end };
    let compiled = Compiled { texts: &texts, file, checked: &checked, lock: None };
    plan(compiled, &target, &mut cx).map(|(_, decision)| decision.plan)
}

fn job(limit: f64, steps: u32) -> String {
    format!(
        "use own\njob j(text: Text) -> Text {{\n  slo {{ cost <= {limit} usd }}\n  maximize quality\n  expect text of 20 tok\n  \
         agent(text, tools: [t0, t1, t2], steps: {steps})\n}}\n"
    )
}

/// The most that `calls` calls of tools with these costs come to, by trying every order.
fn dearest(costs: &[f64], calls: u32) -> f64 {
    if calls == 0 {
        return 0.0;
    }
    costs.iter().map(|cost| cost + dearest(costs, calls - 1)).fold(0.0, f64::max)
}

/// The best quality that a limit allows, and the least that it costs at most, by trying every choice.
fn best(tools: &[[Way; 3]], steps: u32, limit: f64) -> Option<(f64, f64)> {
    let mut best: Option<(f64, f64)> = None;
    for choice in 0..27usize {
        let chosen = [choice % 3, choice / 3 % 3, choice / 9];
        let ways: Vec<Way> = tools.iter().zip(chosen).map(|(ways, at)| ways[at]).collect();
        let costs: Vec<f64> = ways.iter().map(|(fee, seconds, _)| fee + seconds * SECOND).collect();
        let cost = f64::from(steps) * TURN + dearest(&costs, steps - 1);
        let quality: f64 = ways.iter().map(|(.., quality)| quality / 100.0).product();
        if cost <= limit + 1e-9 && best.is_none_or(|(q, c)| quality > q + 1e-12 || quality > q - 1e-12 && cost < c) {
            best = Some((quality, cost));
        }
    }
    best
}

fn float(value: Decimal) -> f64 {
    value.to_f64().expect("a number")
}

#[test]
fn an_agent_costs_at_most_what_its_dearest_calls_do() {
    let mut rng = fastrand::Rng::with_seed(7);
    let (mut planned_ones, mut refused) = (0, 0);
    for case in 0..24 {
        // Costs that lie close together, in parts of which floats hold every sum.
        let mut way = || {
            let (fee, seconds) = (f64::from(rng.u32(0..24)) / 64.0, f64::from(rng.u32(0..8)) / 4.0);
            (fee, seconds, f64::from(rng.u32(70..100)))
        };
        let tools: Vec<[Way; 3]> = (0..3).map(|_| [way(), way(), way()]).collect();
        let steps = rng.u32(2..6);
        let limit = f64::from(rng.u32(20..160)) / 64.0 + f64::from(steps) * TURN;
        let found = planned(&tools, 1, &job(limit, steps));
        match (best(&tools, steps, limit), found) {
            (None, found) => {
                refused += 1;
                assert!(found.is_err(), "case {case}: a plan within {limit}, and there is none: {tools:?}");
            }
            (Some((quality, cost)), found) => {
                planned_ones += 1;
                let plan = found.unwrap_or_else(|why| panic!("case {case}: {why}: {tools:?} {steps} {limit}"));
                let (own_quality, own_cost) = (float(plan.total.quality), float(plan.total.cost_usd));
                assert!((own_quality - quality).abs() < 1e-7, "case {case}: {own_quality} and {quality}: {tools:?}");
                assert!((own_cost - cost).abs() < 1e-7, "case {case}: {own_cost} and {cost}: {tools:?} {steps}");
            }
        }
    }
    assert!(planned_ones >= 8 && refused >= 3, "{planned_ones} plans, {refused} refused: the cases ask too little");
}

#[test]
fn a_plan_that_hides_what_tools_cost_does_not_pass() {
    let way = |fee| [(fee, 1.0, 90.0); 3];
    let plan = planned(&[way(0.5), way(0.25), way(0.125)], 1, &job(9.0, 3)).expect("a plan");
    assert_eq!(verify(&plan), Vec::<String>::new());
    // 3 turns, and 2 calls of the dearest.
    assert_eq!(float(plan.total.cost_usd), 3.0 * TURN + 2.0 * (0.5 + SECOND));
    let mut more = plan.clone();
    let dear = more.steps.iter().position(|s| s.task == "t0").expect("a tool");
    more.steps[dear].predicted.either_usd = Decimal::from(4);
    assert!(!verify(&more).is_empty(), "more by the call than in all");
    let mut less = plan.clone();
    less.steps[dear].predicted.either_usd = Decimal::ZERO;
    assert!(!verify(&less).is_empty(), "the total is another one");
    let mut turn = plan;
    let at = turn.steps.iter().position(|s| s.task == "next_turn").expect("the model");
    turn.steps[at].predicted.either_usd = turn.steps[at].predicted.cost_usd;
    assert!(!verify(&turn).is_empty(), "every round has a turn");
}

/// What agents that go through two texts at once cost at most in a round: each calls one tool, and calls of one tool share its core.
fn dearest_round(tools: &[[Way; 3]]) -> f64 {
    let cost = |tool: usize, calls: u32| {
        let (fee, seconds, _) = tools[tool][0];
        f64::from(calls) * fee + f64::from(calls.div_ceil(2)) * seconds * SECOND
    };
    let pairs = (0..3).flat_map(|a| (0..3).map(move |b| (a, b)));
    pairs.map(|(a, b)| if a == b { cost(a, 2) } else { cost(a, 1) + cost(b, 1) }).fold(0.0, f64::max)
}

#[test]
fn calls_that_share_a_core_are_no_reason_to_count_less() {
    let mut rng = fastrand::Rng::with_seed(11);
    for case in 0..8 {
        let mut tool = || {
            let way = (f64::from(rng.u32(0..16)) / 64.0, f64::from(rng.u32(1..8)) / 4.0, 90.0);
            [way; 3]
        };
        let tools = [tool(), tool(), tool()];
        let job = "use own\njob j(texts: List[Text]) -> List[Text] {\n  expect texts * 2 of 20 tok\n  \
            for text in texts { agent(text, tools: [t0, t1, t2], steps: 4) }\n}\n";
        let plan = planned(&tools, 2, job).expect("a plan");
        let worst = 2.0 * 4.0 * TURN + 3.0 * dearest_round(&tools);
        let bound = float(plan.total.cost_usd);
        assert!(bound >= worst - 1e-9, "case {case}: {bound} is less than the {worst} that it may cost: {tools:?}");
        let sum: f64 = plan.steps.iter().map(|s| float(s.predicted.cost_usd)).sum();
        assert!(bound <= sum + 1e-9, "case {case}: {bound} is more than all of them cost, {sum}");
    }
}
