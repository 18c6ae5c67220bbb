//! What plans of a small library of our own come to: ends of intervals, percentiles.

#[path = "space/agents.rs"]
mod agents;

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
    let limits = Limits { nodes: 100_000, out_of_time: None, z3_ms: 0, certify: Certify::Off, judge: None };
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

#[test]
fn what_no_plan_can_hold_is_refused_and_never_rounded_down() {
    // The solver counts milliseconds up to 2^44.
    let with = |seconds: &str| {
        let profile = format!(
            "{HEADER},,quality,90,%,,,estimated,t\n,1,latency,{seconds},s,,,estimated,t\n,2,latency,1.7592186044416e10,s,,,estimated,t\n"
        );
        under_load("minimize latency", ON_CORES, &profile, "[shorten(\"a word\")]")
    };
    let edge = with("17592186044.416").expect("a plan");
    assert_eq!(edge.total.latency_s, rust_decimal::dec!(17592186044.416));
    // One of a thousandth more, and far more, are not to be had: two cores are.
    for beyond in ["17592186044.417", "9000000000000", "2e15", "7e27"] {
        let plan = with(beyond).expect("a plan");
        assert_eq!((plan.steps[0].hardware.units, plan.total.latency_s), (2, edge.total.latency_s), "{beyond}");
    }
    let only = format!("{HEADER},,quality,90,%,,,estimated,t\n,,latency,9e12,s,,,estimated,t\n");
    let said = under_load("minimize latency", ON_CORES, &only, "[shorten(\"a word\")]").expect_err("nothing is left");
    assert!(said.contains("its `cost` of 2250000000 usd is more than a plan can hold (17592186.044416 usd)"), "{said}");
    // A limit beyond what any plan comes to is none, and stands with limits that are some.
    let limits = "slo {\n    cost <= 99999999999999 usd\n    latency <= 9e9 s\n  }".replace("9e9", "9000000000");
    let said =
        under_load(&limits, ON_CORES, &only.replace("9e12", "1e10"), "[shorten(\"a word\")]").expect_err("too slow");
    assert!(said.contains("latency <= 9000000000 s"), "{said}");
}

#[test]
fn what_few_runs_come_to_costs_them_alone() {
    let library = ON_CORES.replace(
        "-> Text {\n  work input = text.tokens\n}",
        "-> Text {\n  work input = text.tokens\n  size tokens = 5 tok\n}",
    );
    let profile =
        format!("{HEADER},,quality,90,%,,,estimated,t\n,1,latency,2,s,,,estimated,t\n,1,power,36,W,,,estimated,t\n");
    let of = |share: &str| {
        let body = format!(
            "let first = shorten(\"a word\")\n  if first == \"x\" expect {share} % {{ [shorten(first)] }} else {{ [first] }}"
        );
        let plan = under_load("minimize cost", &library, &profile, &body).expect("a plan");
        (plan.steps[1].predicted.clone(), plan.total.cost_usd)
    };
    let (whole, _) = of("100");
    assert_eq!((whole.latency_s, whole.energy_wh), (rust_decimal::dec!(2), Some(rust_decimal::dec!(0.02))));
    assert_eq!(whole.cost_usd, rust_decimal::dec!(0.0005));
    // A run in a hundred pays for two seconds of a core, and takes as long.
    let (rare, total) = of("1");
    assert_eq!((rare.latency_s, rare.energy_wh), (rust_decimal::dec!(2), Some(rust_decimal::dec!(0.0002))));
    assert_eq!((rare.cost_usd, total), (rust_decimal::dec!(0.000005), rust_decimal::dec!(0.000505)));
}

/// Runs a second, and the job's body, for four cores at 3.6 dollars an hour in all.
fn under_load(rate: &str, library: &str, profile: &str, body: &str) -> Result<Plan, String> {
    let mut texts = Texts::default();
    let own = texts.sources.add("own.mkb", format!("device cpu {{ kind cpu }}\n{library}"));
    texts.modules.push(("own".into(), own));
    let profile = texts.sources.add("own.csv", profile);
    texts.profiles.insert("own.csv".into(), profile);
    let job = format!(
        "use own\njob j(texts: List[Text]) -> List[Text] {{\n  {rate}\n  expect texts * 10 of 100 tok\n  {body}\n}}\n"
    );
    let file = texts.sources.add("job.mkb", job);
    let mut cx = Diagnostics::default();
    let checked = check_file(&texts, file, &mut cx);
    let price = rust_decimal::dec!(0.9);
    let machines = Machines { name: "four".into(), pools: BTreeMap::from([("cpu".into(), (4, price))]) };
    let limits = Limits { nodes: 100_000, out_of_time: None, z3_ms: 0, certify: Certify::Off, judge: None };
    let measured = InputSizes::new();
    let end = End::Typical;
    let target = Target { job: None, machines: &machines, measured: &measured, usable: &anywhere, limits, end };
    let compiled = Compiled { texts: &texts, file, checked: &checked, lock: None };
    let made = plan(compiled, &target, &mut cx).map(|(_, decision)| decision.plan);
    made.map_err(|_| murakkab::diag::render::text(&cx, &texts.sources, false))
}

const EACH: &str = "for text in texts { shorten(text) }";
const HEADER: &str = "device,units,figure,value,unit,low,high,evidence,source\n";
const ON_CORES: &str = "task shorten(text: Text) -> Text {\n  work input = text.tokens\n}\n\
    tool cut implements shorten {\n  runs on cpu * [1, 2]\n  engine process { command [\"echo\", \"{text}\"] }\n  profile \"own.csv\"\n}\n";

#[test]
fn hardware_keeps_up_with_the_load_and_is_paid_for_all_the_time() {
    let profile = format!(
        "{HEADER},,quality,90,%,,,estimated,t\n,1,latency,0.1,s,,,estimated,t\n,2,latency,0.07,s,,,estimated,t\n"
    );
    let plan = under_load("expect 2 requests/s", ON_CORES, &profile, EACH).expect("a plan");
    // Ten calls of 0.1 s keep a core busy for a second a run: two runs a second need 2 / 0.8 cores.
    let hardware = &plan.steps[0].hardware;
    assert_eq!((hardware.units, hardware.replicas), (1, 3));
    // Three cores at 0.9 usd/h for half a second each.
    assert_eq!(plan.total.cost_usd, rust_decimal::dec!(0.000375));
    // 3.5 runs a second need 4.4 single cores, or 3.06 pairs: too many for four.
    let refused = under_load("expect 3.5 requests/s", ON_CORES, &profile, EACH).expect_err("too much");
    assert!(refused.contains("the load needs 5 `cpu`, and `four` has 4"), "{refused}");
    assert!(under_load("expect 12600 requests/h", ON_CORES, &profile, EACH).is_err(), "the same load");
    // Without a load the same step is paid for the second that it runs.
    let alone = under_load("minimize cost", ON_CORES, &profile, EACH).expect("a plan");
    assert_eq!((alone.steps[0].hardware.replicas, alone.total.cost_usd), (1, rust_decimal::dec!(0.00025)));
}

#[test]
fn under_a_load_all_steps_share_the_machines() {
    // One after the other, two steps may use the same cores; overlapping runs need both at once.
    let profile = format!(
        "{HEADER},,quality,90,%,,,estimated,t\n,1,latency,0.1,s,,,estimated,t\n,2,latency,0.1,s,,,estimated,t\n"
    );
    let twice = "for text in texts { shorten(shorten(text)) }";
    let library = ON_CORES.replace("profile", "size tokens = text.tokens\n  profile");
    assert!(under_load("minimize cost", &library, &profile, twice).is_ok());
    let held = |plan: Plan| plan.steps.iter().map(|s| s.hardware.held()).sum::<u32>();
    assert_eq!(under_load("expect 1.5 requests/s", &library, &profile, twice).map(held), Ok(4));
    assert!(under_load("expect 2 requests/s", &library, &profile, twice).is_err());
}

#[test]
fn a_provider_takes_no_more_than_it_says() {
    let library = |limit: &str| {
        format!(
            "task shorten(text: Text) -> Text {{\n  work input = text.tokens\n}}\n\
             model far implements shorten {{\n  access closed\n  region us\n  {limit}\n  runs on api\n  \
             engine openai {{ model \"m\" }}\n  profile \"own.csv\"\n}}\n"
        )
    };
    let profile = format!(
        "{HEADER},,quality,90,%,,,estimated,t\n,,latency,0.1,s,,,estimated,t\n,,cost.per.input,2,usd/Mtok,,,estimated,t\n"
    );
    let at = |limit: &str, lines: &str| under_load(lines, &library(limit), &profile, EACH);
    // Ten calls a run, with 100 tokens each, at 2 dollars for a million.
    let plan = at("limit 600 requests/min", "expect 1 request/s").expect("exactly as much as it takes");
    assert_eq!(plan.total.cost_usd, rust_decimal::dec!(0.002));
    let refused = at("limit 599 requests/min", "expect 1 request/s").expect_err("one too many");
    assert!(refused.contains("the load sends 10 requests/s, and it takes 599 requests/min"), "{refused}");
    assert!(at("limit 60 ktok/min", "expect 1 request/s").is_ok());
    let refused = at("limit 59 ktok/min", "expect 1 request/s").expect_err("too many tokens");
    assert!(refused.contains("1000 tok/s, and it takes 59 ktok/min"), "{refused}");
    // One run by itself waits: the last of ten calls begins nine minutes after the first.
    let waits = at("limit 1 request/min", "minimize cost").expect("nothing says how long it may take").total;
    assert_eq!([waits.latency_s, waits.latency_p95_s], [rust_decimal::dec!(540.1); 2]);
    assert!(at("limit 1 request/min", "slo { latency <= 9 min }").is_err());
    assert!(at("limit 1 request/min", "slo { latency <= 9.1 min }").is_ok());
    // So does its first token, which the last call gives.
    let written = library("limit 1 request/min").replace("work input", "work output = 10 tok\n  work input");
    let by_token = format!("{profile},,latency.per.output,0.01,s/tok,,,estimated,t\n");
    let total = under_load("minimize cost", &written, &by_token, EACH).expect("a plan").total;
    let first = [total.streamed.ttft_s, total.streamed.ttft_p95_s, total.streamed.ttft_p99_s];
    assert_eq!((first, total.latency_s), ([rust_decimal::dec!(540.1); 3], rust_decimal::dec!(540.2)));
    // Price and region are limits like others.
    assert!(at("limit 600 requests/min", "slo { cost <= 0.0019 usd }").is_err());
    assert!(at("limit 600 requests/min", "region eu").is_err());
    assert!(at("limit 600 requests/min", "region us").is_ok());
}

#[test]
fn each_model_of_a_provider_has_a_limit_of_its_own() {
    let library = "task shorten(text: Text) -> Text {\n  work input = text.tokens\n}\n\
        model far implements shorten {\n  knob variant in [small, large]\n  limit 6000 requests/min\n  limit small 60 requests/min\n  \
        limit small 60 ktok/min\n  runs on api\n  engine openai { model \"{variant}\" }\n  profile \"own.csv\"\n}\n";
    let profile = format!(
        "variant,{HEADER},,,quality,90,%,,,estimated,t\n,,,latency,0.1,s,,,estimated,t\nsmall,,,cost,0.01,usd,,,estimated,t\n\
         large,,,cost,0.02,usd,,,estimated,t\n"
    );
    let chosen = |lines: &str| {
        let plan = under_load(lines, library, &profile, EACH).expect("a plan");
        let provider = plan.steps[0].engine.provider().expect("a provider").clone();
        // A sixtieth of 60 is 1 but for the last digit.
        let rounded = |per_s: Option<rust_decimal::Decimal>| per_s.map(|n| n.round_dp(9));
        (provider.model, rounded(provider.calls_per_s), rounded(provider.tokens_per_s))
    };
    let (one, hundred, thousand) = (rust_decimal::dec!(1), rust_decimal::dec!(100), rust_decimal::dec!(1000));
    assert_eq!(chosen("minimize cost"), ("small".into(), Some(one), Some(thousand)));
    // Ten calls at once begin within nine seconds, or a tenth of one.
    assert_eq!(chosen("minimize cost\n  slo { latency <= 1 s }"), ("large".into(), Some(hundred), None));
    assert_eq!(chosen("minimize cost\n  expect 1 request/s"), ("large".into(), Some(hundred), None));
}

#[test]
fn a_batch_takes_so_many_items_at_once() {
    let library = "task shorten(text: Text) -> Text {\n  work input = text.tokens\n}\n\
        model near implements shorten {\n  knob batch in [1, 4, 8]\n  concurrency batch\n  runs on cpu * 1\n  \
        engine server { serve own }\n  profile \"own.csv\"\n}\n";
    let profile = format!(
        "batch,{HEADER},,,quality,90,%,,,estimated,t\n1,,,latency,1,s,,,estimated,t\n4,,,latency,1.5,s,,,estimated,t\n"
    );
    let plan = |lines: &str| under_load(lines, library, &profile, EACH).expect("a plan");
    let batch = |plan: &Plan| plan.steps[0].knobs["batch"].clone();
    // Ten items are three batches of four, and ten of one; of eight nothing is known, and nothing is made up.
    let quick = plan("minimize latency");
    assert_eq!((batch(&quick).as_str(), quick.total.latency_s), ("4", rust_decimal::dec!(4.5)));
    // Under a load other runs fill the third batch: 2.5 batches of 1.5 s.
    let loaded = plan("expect 0.6 requests/s");
    assert_eq!((batch(&loaded).as_str(), loaded.steps[0].hardware.replicas), ("4", 3));
}

/// A served model that takes 40 ms a call.
const SERVED: &str = "task shorten(text: Text) -> Text {\n  work input = text.tokens\n  size tokens = text.tokens\n}\n\
    model near implements shorten {\n  runs on cpu * 1\n  engine server { serve own }\n  profile \"own.csv\"\n}\n";

#[test]
fn steps_of_one_job_share_a_served_model_under_a_load() {
    let profile = format!("{HEADER},,quality,90,%,,,estimated,t\n,,latency,0.04,s,,,estimated,t\n");
    let at = |rate: &str, library: &str| {
        let twice = "for text in texts { shorten(shorten(text)) }";
        under_load(&format!("minimize cost\n  {rate}"), library, &profile, twice).expect("a plan")
    };
    // Each step keeps a core busy for 0.4 s a run: together exactly the 80 % of one.
    let plan = at("expect 1 request/s", SERVED);
    assert_eq!(plan.instances.len(), 1);
    assert_eq!((plan.instances[0].hardware.replicas, plan.total.cost_usd), (1, rust_decimal::dec!(0.00025)));
    assert!(plan.steps.iter().all(|s| s.instance == Some(0) && s.predicted.cost_usd.is_zero()));
    // A little more, and one replica would be too busy.
    let plan = at("expect 1.1 requests/s", SERVED);
    let replicas = plan
        .instances
        .iter()
        .map(|i| &i.hardware)
        .chain(plan.steps.iter().filter(|s| s.instance.is_none()).map(|s| &s.hardware));
    assert_eq!(replicas.map(|h| h.replicas).sum::<u32>(), 2);
    // Programs that are started for each call, and runs without a load, share nothing.
    let programs = SERVED.replace("server { serve own }", "process { command [\"echo\", \"{text}\"] }");
    assert!(at("expect 1 request/s", &programs).instances.is_empty());
    assert!(at("", SERVED).instances.is_empty());
}

#[test]
fn a_plan_that_hides_what_an_instance_is_does_not_pass() {
    let profile = format!("{HEADER},,quality,90,%,,,estimated,t\n,,latency,0.04,s,,,estimated,t\n");
    let twice = "for text in texts { shorten(shorten(text)) }";
    let honest = under_load("minimize cost\n  expect 1 request/s", SERVED, &profile, twice).expect("a plan");
    assert_eq!(murakkab::plan::verify::verify(&honest), [""; 0]);
    let changed = |change: fn(&mut Plan)| {
        let mut plan = honest.clone();
        change(&mut plan);
        !murakkab::plan::verify::verify(&plan).is_empty()
    };
    assert!(changed(|plan| plan.instances[0].cost_usd = 0.into()));
    assert!(changed(|plan| plan.instances[0].hardware.replicas = 2));
    assert!(changed(|plan| plan.steps[1].instance = Some(1)));
    assert!(changed(|plan| plan.rate_per_s = None));
    assert!(changed(|plan| plan.instances.clear()));
}

/// A writer whose answers come token by token, on a device of its own.
const WRITER: &str = "device cpu { kind cpu }
task write(text: Text) -> Text {
  work input = text.tokens
  work output = 50 tok
  size tokens = 50 tok
}
task count(text: Text) -> Int { work text.tokens }
model pen implements write {
  knob v in [a, b]
  runs on cpu * 1
  engine server { serve own }
  profile \"pen.csv\"
}
tool counter implements count {
  runs on cpu * 1
  engine process { command [\"wc\"] }
  profile \"count.csv\"
}
";

/// `a` begins late and writes fast, `b` the other way round; a count takes two seconds.
const PEN: &str = "v,device,units,figure,value,unit,low,high,evidence,source
a,,,latency,3,s,,,estimated,made for this test
a,,,latency.per.output,0.01,s/tok,,0.02,estimated,made for this test
b,,,latency,0.5,s,,1,estimated,made for this test
b,,,latency.per.output,0.1,s/tok,,,estimated,made for this test
,,,latency.per.input,0.001,s/tok,,,estimated,made for this test
,,,quality,90,%,,,estimated,made for this test
";
const COUNT: &str = "device,units,figure,value,unit,low,high,evidence,source
,,latency,2,s,,,estimated,made for this test
,,quality,90,%,,,estimated,made for this test
";

/// The plan of a body that writes; `lines` are limits and wishes.
fn written(result: &str, lines: &str, body: &str) -> Result<Plan, String> {
    let mut texts = Texts::default();
    let library = texts.sources.add("own.mkb", WRITER);
    texts.modules.push(("own".into(), library));
    for (name, text) in [("pen.csv", PEN), ("count.csv", COUNT)] {
        let file = texts.sources.add(name, text);
        texts.profiles.insert(name.into(), file);
    }
    let types = "type Both { text: Text, words: Int }\ntype Two { one: Text, other: Text }\n";
    let job = format!(
        "use own\n{types}job j(text: Text, texts: List[Text]) -> {result} {{\n{lines}\n  expect text of 100 tok\n  \
         expect texts * 3 of 100 tok\n{body}\n}}\n"
    );
    let file = texts.sources.add("job.mkb", job);
    let mut cx = Diagnostics::default();
    let checked = check_file(&texts, file, &mut cx);
    let machines = Machines { name: "free".into(), pools: BTreeMap::from([("cpu".into(), (9, 0.into()))]) };
    let limits = Limits { nodes: 100_000, out_of_time: None, z3_ms: 0, certify: Certify::Off, judge: None };
    let measured = InputSizes::new();
    let target =
        Target { job: None, machines: &machines, measured: &measured, usable: &anywhere, limits, end: End::Typical };
    let compiled = Compiled { texts: &texts, file, checked: &checked, lock: None };
    let made = plan(compiled, &target, &mut cx).map(|(_, decision)| decision.plan);
    made.map_err(|why| format!("{why}: {:?}", cx.iter().map(|d| d.message.clone()).collect::<Vec<_>>()))
}

/// The times of a plan's tokens: to the first one, and for each further one.
fn tokens(result: &str, body: &str) -> [f64; 2] {
    let total = written(result, "  minimize latency", body).expect("a plan").total;
    [total.streamed.ttft_s, total.streamed.tpot_s].map(|d| d.to_string().parse().expect("a number"))
}

#[test]
fn the_first_token_waits_for_what_the_result_waits_for() {
    // One call: what it takes before its first token, 0.5 s + 100 tok · 1 ms, and 50 tokens of 100 ms behind it.
    let pinned = |step: &str| format!("  write({step}) using pen(v: b)");
    assert_eq!(tokens("Text", &pinned("text")), [0.6, 0.1]);
    // The step before counts in full: 0.6 + 5 s; the second one reads 50 tokens.
    let chain = format!("  let first = write(text) using pen(v: b)\n{}", pinned("first"));
    assert_eq!(tokens("Text", &chain), [6.15, 0.1]);
    // A map's result begins when the last of its parts does.
    assert_eq!(tokens("List[Text]", "  for t in texts { write(t) using pen(v: b) }"), [11.8, 0.1]);
    // A record has two parts: the text, whose tokens come, and the count, which waits for all of the text.
    let both = "  let made = write(text) using pen(v: b)\n  let words = count(made)\n  Both(text: made, words: words)";
    assert_eq!(tokens("Both", both), [7.6, 0.1]);
    // Of two parts the later one counts for the first token, the slower one for the tokens behind it.
    let two = "  let one = write(text) using pen(v: a)\n  let other = write(text) using pen(v: b)\n  Two(one: one, other: other)";
    assert_eq!(tokens("Two", two), [3.1, 0.1]);
    // What is computed from a text, and what a loop yields, is there when it is whole.
    assert_eq!(tokens("Text", "  let made = write(text) using pen(v: b)\n  made + made"), [5.6, 0.0]);
    let looped = "  repeat made = text up to 2 until count(made) > 3 {\n    write(made) using pen(v: b)\n  }";
    let [first, each] = tokens("Text", looped);
    assert!(first > 10.0 && each == 0.0, "{first} {each}");
}

#[test]
fn limits_on_tokens_choose_the_writer() {
    let one = |lines: &str| written("Text", lines, "  write(text)").expect("a plan").steps[0].knobs["v"].clone();
    // Fewer seconds in all: 3.6 s against 5.6 s.
    assert_eq!(one("  minimize latency"), "a");
    assert_eq!(one("  slo { ttft <= 600 ms }\n  minimize latency"), "b");
    assert_eq!(one("  slo { tpot <= 10 ms }\n  minimize ttft"), "a");
    assert_eq!(one("  minimize ttft"), "b");
    assert_eq!(one("  minimize tpot, then ttft"), "a");
    // The upper ends are 95th percentiles: 1 s and 0.1 s of `b`, 0.02 s of `a`.
    assert_eq!(one("  slo { ttft.p95 <= 1.1 s }\n  minimize latency"), "b");
    assert!(written("Text", "  slo { ttft.p95 <= 1.099 s }\n  minimize latency", "  write(text)").is_err());
    assert_eq!(one("  slo { tpot.p95 <= 20.001 ms }\n  minimize ttft"), "a");
    assert!(written("Text", "  slo { tpot.p95 <= 19.9 ms }", "  write(text)").is_err());
    let clash = written("Text", "  slo {\n    ttft <= 599 ms\n  }", "  write(text)").expect_err("no plan");
    assert!(clash.contains("no plan can keep `ttft <= 599 ms`"), "{clash}");
}

#[test]
fn every_limit_on_tokens_gets_what_trying_every_plan_gets() {
    let body = |pins: [&str; 2]| format!("  let first = write(text){}\n  write(first){}", pins[0], pins[1]);
    let pins = [" using pen(v: a)", " using pen(v: b)"];
    let every: Vec<Plan> = pins
        .iter()
        .flat_map(|one| pins.iter().map(|two| written("Text", "", &body([one, two])).expect("a plan")))
        .collect();
    type Of = fn(&Plan) -> rust_decimal::Decimal;
    let metrics: [(&str, Of); 6] = [
        ("ttft", |p| p.total.streamed.ttft_s),
        ("ttft.p95", |p| p.total.streamed.ttft_p95_s),
        ("ttft.p99", |p| p.total.streamed.ttft_p99_s),
        ("tpot", |p| p.total.streamed.tpot_s),
        ("tpot.p95", |p| p.total.streamed.tpot_p95_s),
        ("tpot.p99", |p| p.total.streamed.tpot_p99_s),
    ];
    let mut tried = 0;
    for (name, of) in metrics {
        let best = every.iter().map(of).min().expect("plans");
        let wished = written("Text", &format!("  minimize {name}"), &body(["", ""])).expect("a plan");
        assert_eq!(of(&wished), best, "minimize {name}");
        for limit in every.iter().map(of) {
            let lines = format!("  slo {{ {name} <= {limit} s }}\n  minimize latency");
            let found = written("Text", &lines, &body(["", ""])).expect("a plan");
            let fits = every.iter().filter(|p| of(p) <= limit);
            assert_eq!(Some(found.total.latency_s), fits.map(|p| p.total.latency_s).min(), "{lines}");
            tried += 1;
        }
    }
    assert_eq!(tried, 24);
}

/// What a model of a step needs, in two variants: memory in GB, seconds of a call, quality in percent.
type Needs = [[u32; 3]; 2];

/// The plan of a chain of steps, each with a model of its own, on so many GPUs of 10 GB at 3.6 dollars an hour.
fn on_gpus(needs: &[Needs], gpus: u32, lines: &str) -> Result<Plan, String> {
    let mut texts = Texts::default();
    let mut library = String::from("device tiny {\n  kind gpu\n  memory 10 GB\n}\n");
    let mut body = String::new();
    for (at, variants) in needs.iter().enumerate() {
        library.push_str(&format!(
            "task t{at}(text: Text) -> Text {{\n  work text.tokens\n  size tokens = text.tokens\n}}\n\
             model m{at} implements t{at} {{\n  knob v in [a, b]\n  runs on tiny * 1\n  engine server {{ serve own }}\n  \
             profile \"m{at}.csv\"\n}}\n"
        ));
        let mut profile = format!("v,{HEADER}");
        for (v, [memory, seconds, quality]) in ["a", "b"].iter().zip(variants) {
            profile.push_str(&format!(
                "{v},,,memory,{memory},GB,,,estimated,t\n{v},,,latency,0.{seconds},s,,,estimated,t\n\
                 {v},,,quality,{quality},%,,,estimated,t\n"
            ));
        }
        let name = format!("m{at}.csv");
        let file = texts.sources.add(&name, profile);
        texts.profiles.insert(name.as_str().into(), file);
        let from = if at == 0 { "text".to_string() } else { format!("v{}", at - 1) };
        body.push_str(&match at + 1 == needs.len() {
            true => format!("  t{at}({from})\n"),
            false => format!("  let v{at} = t{at}({from})\n"),
        });
    }
    let own = texts.sources.add("own.mkb", library);
    texts.modules.push(("own".into(), own));
    let job = format!("use own\njob j(text: Text) -> Text {{\n{lines}\n  expect text of 100 tok\n{body}}}\n");
    let file = texts.sources.add("job.mkb", job);
    let mut cx = Diagnostics::default();
    let checked = check_file(&texts, file, &mut cx);
    let pools = BTreeMap::from([("tiny".into(), (gpus, rust_decimal::dec!(3.6)))]);
    let machines = Machines { name: "few".into(), pools };
    let limits = Limits { nodes: 1_000_000, out_of_time: None, z3_ms: 0, certify: Certify::Off, judge: None };
    let measured = InputSizes::new();
    let target =
        Target { job: None, machines: &machines, measured: &measured, usable: &anywhere, limits, end: End::Typical };
    let compiled = Compiled { texts: &texts, file, checked: &checked, lock: None };
    let made = plan(compiled, &target, &mut cx).map(|(_, decision)| decision.plan);
    made.map_err(|_| murakkab::diag::render::text(&cx, &texts.sources, false))
}

#[test]
fn models_lie_side_by_side_on_a_gpu_that_is_large_and_fast_enough() {
    let small = [[4, 3, 90], [4, 3, 90]];
    let at = |needs: &[Needs], gpus: u32, rate: &str| {
        on_gpus(needs, gpus, &format!("  minimize cost\n  expect {rate} requests/s"))
    };
    // Two times 4 GB are less than 90 % of 10, and two times 0.3 s less than 80 % of a second.
    let plan = at(&[small, small], 2, "1").expect("a plan");
    assert_eq!((plan.total.gpus, plan.total.cost_usd), (1, rust_decimal::dec!(0.001)));
    assert_eq!(plan.placement.len(), 1);
    assert_eq!((plan.placement[0].steps.len(), plan.placement[0].memory_gb), (2, 8.into()));
    assert!(plan.instances.len() == 1 && plan.instances[0].implementation.is_none());
    // Twice as often, each keeps a GPU busy for 60 % of the time; a third one of 4 GB does not fit either.
    assert_eq!(at(&[small, small], 2, "2").expect("a plan").total.gpus, 2);
    assert_eq!(at(&[small; 3], 2, "0.5").expect("a plan").total.gpus, 2);
    assert!(at(&[small; 3], 1, "0.5").expect_err("no plan").contains("E0711"));
    // Without a load each step has its GPU for itself while it runs, one after the other.
    let alone = on_gpus(&[small, small], 2, "  minimize cost").expect("a plan");
    assert_eq!((alone.total.gpus, alone.placement.len()), (2, 0));

    let changed = |change: fn(&mut Plan)| {
        let mut plan = plan.clone();
        change(&mut plan);
        murakkab::plan::verify::verify(&plan).join("; ")
    };
    assert_eq!(changed(|_| {}), "");
    assert!(changed(|p| p.placement[0].memory_gb = 4.into()).contains("fill 8 GB, and the plan says 4"));
    assert!(changed(|p| p.placement[0].index = 2).contains("`few` has no `tiny` 2"));
    assert!(changed(|p| p.placement[0].steps.truncate(1)).contains("does not carry the steps that share it"));
    assert!(changed(|p| p.placement.push(p.placement[0].clone())).contains("placed twice"));
    assert!(changed(|p| p.rate_per_s = None).contains("without a rate nothing stands ready"));
}

/// The fewest GPUs that any variants with the quality need, by trying every place of every step.
fn fewest(needs: &[Needs], gpus: u32, rate: f64, quality: f64) -> Option<u32> {
    let (steps, places) = (needs.len(), gpus as usize);
    let mut best: Option<u32> = None;
    for variants in 0..1usize << steps {
        let variant = |at: usize| needs[at][variants >> at & 1];
        let product: f64 = (0..steps).map(|at| f64::from(variant(at)[2]) / 100.0).product();
        if product < quality {
            continue;
        }
        for code in 0..places.pow(steps as u32) {
            let place = |at: usize| code / places.pow(at as u32) % places;
            let (mut memory, mut busy, mut used) = (vec![0.0; places], vec![0.0; places], vec![0; places]);
            for at in 0..steps {
                memory[place(at)] += f64::from(variant(at)[0]);
                busy[place(at)] += f64::from(variant(at)[1]) / 10.0 * rate;
                used[place(at)] += 1;
            }
            let fits = (0..places).all(|g| busy[g] <= 0.8 + 1e-9 && (used[g] < 2 || memory[g] <= 9.0));
            if fits {
                let held = used.iter().filter(|u| **u > 0).count() as u32;
                best = Some(best.map_or(held, |b| b.min(held)));
            }
        }
    }
    best
}

#[test]
fn the_fewest_gpus_are_those_that_trying_every_place_finds() {
    let mut seed = 7u64;
    let mut below = |n: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((seed >> 33) % n) as u32
    };
    let (mut plans, mut shared) = (0, 0);
    for case in 0..60 {
        let steps = 2 + case % 3;
        let needs: Vec<Needs> =
            (0..steps).map(|_| [0; 2].map(|_: u32| [1 + below(9), 1 + below(6), 80 + below(20)])).collect();
        let (gpus, rate, quality) = (1 + below(4), 0.5 + f64::from(below(3)) / 4.0, f64::from(40 + below(40)));
        let lines = format!("  slo {{ quality >= {quality} % }}\n  minimize cost\n  expect {rate} requests/s");
        let found = on_gpus(&needs, gpus, &lines);
        let wanted = fewest(&needs, gpus, rate, quality / 100.0);
        assert_eq!(found.as_ref().map(|p| p.total.gpus).ok(), wanted, "case {case}: {needs:?} on {gpus}, {lines}");
        plans += usize::from(wanted.is_some());
        shared += usize::from(found.is_ok_and(|p| p.placement.iter().any(|g| g.steps.len() > 1)));
    }
    assert!(plans > 30 && shared > 15, "{plans} plans, {shared} with a shared GPU");
}
