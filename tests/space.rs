//! What plans of a small library of our own come to: ends of intervals, percentiles.

use murakkab::compile::prepare::Compiled;
use murakkab::compile::{Target, Texts, anywhere, check_file, plan};
use murakkab::diag::Diagnostics;
use murakkab::plan::model::Plan;
use murakkab::solve::{Certify, Limits};
use murakkab::space::Machines;
use murakkab::space::ends::End;
use murakkab::space::sizes::InputSizes;
use std::collections::BTreeMap;

const LIBRARY: &str = "device cpu { kind cpu }
task shorten(text: Text) -> Text {
  work text.tokens
  size tokens = text.tokens / 2
}
tool cut implements shorten {
  knob v in [a, b, c]
  runs on cpu * 1
  engine process { command [\"echo\", \"{text}\"] }
  profile \"cut.csv\"
}
";

/// Figure, setting, value, unit, low, high.
type Line = (&'static str, &'static str, f64, &'static str, f64, f64);

/// `a` is the cheapest and breaks a limit at its ends, `b` keeps them all, `c` is dear.
const LINES: [Line; 10] = [
    ("latency", "a", 1.0, "s", 0.5, 4.0),
    ("latency.per.tokens", "a", 0.01, "s/tok", 0.005, 0.02),
    ("latency", "b", 1.5, "s", 1.0, 2.0),
    ("latency.per.tokens", "b", 0.01, "s/tok", 0.005, 0.015),
    ("latency", "c", 1.0, "s", 1.0, 1.1),
    ("cost", "b", 0.002, "usd", 0.001, 0.003),
    ("cost", "c", 0.9, "usd", 0.5, 1.0),
    ("quality", "a", 90.0, "%", 85.0, 95.0),
    ("quality", "b", 92.0, "%", 90.0, 95.0),
    ("quality", "c", 99.0, "%", 98.0, 99.0),
];

/// The profile, each figure at one end (bit 0: low, bit 1: high) or, without bits, with its interval.
fn profile(bits: Option<u32>) -> String {
    let mut text = String::from("v,device,units,figure,value,unit,low,high,evidence,source\n");
    for (i, (figure, v, value, unit, low, high)) in LINES.iter().enumerate() {
        let cells = match bits.map(|b| b >> i & 1) {
            None => format!("{value},{unit},{low},{high}"),
            Some(0) => format!("{low},{unit},,"),
            Some(_) => format!("{high},{unit},,"),
        };
        text.push_str(&format!("{v},cpu,,{figure},{cells},estimated,made for this test\n"));
    }
    text
}

/// The plan of a job for four cores that cost nothing.
fn planned(job: &str, profile: String, end: End) -> Result<Plan, String> {
    let mut texts = Texts::default();
    let library = texts.sources.add("own.mkb", LIBRARY);
    texts.modules.push(("own".into(), library));
    let cut = texts.sources.add("cut.csv", profile);
    texts.profiles.insert("cut.csv".into(), cut);
    let file = texts.sources.add("job.mkb", job);
    let mut cx = Diagnostics::default();
    let checked = check_file(&texts, file, &mut cx);
    let machines = Machines { name: "free".into(), pools: BTreeMap::from([("cpu".into(), (4, 0.into()))]) };
    let limits = Limits { nodes: 100_000, out_of_time: None, z3_ms: 0, certify: Certify::Off };
    let measured = InputSizes::new();
    let target = Target { job: None, machines: &machines, measured: &measured, usable: &anywhere, limits, end };
    let compiled = Compiled { texts: &texts, file, checked: &checked, lock: None };
    plan(compiled, &target, &mut cx).map(|(_, decision)| decision.plan)
}

fn job(pins: [Option<&str>; 2]) -> String {
    let pin = |i: usize| pins[i].map_or(String::new(), |v| format!(" using cut(v: {v})"));
    format!(
        "use own\njob j(text: Text) -> Text {{\n  slo {{\n    latency <= 8 s\n    cost <= 0.1 usd\n    quality >= 70 %\n  }}\n  \
         minimize cost\n  expect text of 100 tok\n  let short = shorten(text){}\n  shorten(short){}\n}}\n",
        pin(0),
        pin(1)
    )
}

/// The combinations of ends at which the choices of a plan break a limit.
fn broken(plan: &Plan) -> usize {
    let knob = |i: usize| plan.steps[i].knobs.get("v").map(String::as_str);
    let pinned = job([knob(0), knob(1)]);
    (0..1u32 << LINES.len()).filter(|bits| planned(&pinned, profile(Some(*bits)), End::Typical).is_err()).count()
}

#[test]
fn no_combination_of_ends_breaks_a_robust_plan() {
    let (typical, robust) =
        (planned(&job([None; 2]), profile(None), End::Typical), planned(&job([None; 2]), profile(None), End::Worst));
    let (typical, robust) = (typical.expect("a plan"), robust.expect("a robust plan"));
    assert!(robust.robust && !typical.robust);
    assert!(broken(&typical) > 0, "the test asks nothing: the typical plan holds everywhere too");
    assert_eq!(broken(&robust), 0);
    assert!(robust.total.cost_usd > typical.total.cost_usd);
}

/// Rows `figure,value,unit,low,high` of a profile without knobs that matter.
fn rows(rows: &[&str]) -> String {
    let rows = rows.iter().map(|row| format!(",,,{row},estimated,made for this test\n")).collect::<String>();
    format!(
        "v,device,units,figure,value,unit,low,high,evidence,source\n,,,quality,90,%,,,estimated,made for this test\n{rows}"
    )
}

fn one_step(lines: &str) -> String {
    format!("use own\njob j(text: Text) -> Text {{\n  {lines}\n  expect text of 100 tok\n  shorten(text)\n}}\n")
}

/// Latency, and what 95 % and 99 % of runs stay within.
fn latencies(lines: &str, profile: &[&str], end: End) -> [f64; 3] {
    let total = planned(&one_step(lines), rows(profile), end).expect("a plan").total;
    [total.latency_s, total.latency_p95_s, total.latency_p99_s].map(|d| d.to_string().parse().expect("a number"))
}

fn near(found: [f64; 3], wanted: [f64; 3]) -> bool {
    found.iter().zip(wanted).all(|(f, w)| (f - w).abs() < 1e-4 * w)
}

#[test]
fn percentiles_are_those_of_the_profile_or_of_the_interval() {
    // One part: its percentiles are the run's. The 99th of a lognormal through 2 and 3 is 2 · 1.5^(2.3263 / 1.6449).
    let p99 = 2.0 * 1.5f64.powf(2.326348 / 1.644854);
    let latency = |more: &[&str], end| latencies("", &[&["latency,2,s,1,3"], more].concat(), end);
    assert!(near(latency(&[], End::Typical), [2.0, 3.0, p99]));
    let given = ["latency.p95,2.5,s,2.4,2.6", "latency.p99,3.5,s,3.4,3.6"];
    // The 99th is farther out than a lognormal through the 95th: it decides the spread.
    let p95 = 2.0 * 1.75f64.powf(1.644854 / 2.326348);
    assert!(near(latency(&given, End::Typical), [2.0, p95, 3.5]));
    // At the worst ends, the median may be 3, with 3.6 as the 99th, or 1, with 2.6 as the 95th.
    let worst = [3.0, 3.0 * 1.2f64.powf(1.644854 / 2.326348), 2.6f64.powf(2.326348 / 1.644854)];
    assert!(near(latency(&given, End::Worst), worst));
}

#[test]
fn limits_on_typical_and_late_runs_stand_side_by_side() {
    let profile = ["latency,2,s,1,3"];
    let job = |p95: &str| {
        one_step(&format!("slo {{\n    latency <= 2 s\n    latency.p95 <= {p95}\n    latency.p99 <= 4 s\n  }}"))
    };
    let plan = planned(&job("3.001 s"), rows(&profile), End::Typical).expect("a plan");
    assert_eq!(
        plan.clauses.iter().map(|c| c.metric.as_str()).collect::<Vec<_>>(),
        ["latency", "latency.p95", "latency.p99"]
    );
    assert!(planned(&job("2.99 s"), rows(&profile), End::Typical).is_err());
}
