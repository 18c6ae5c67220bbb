//! Compositions: the best of all ways by brute force over a small library, plans that are tampered with, and real runs. Providers are
//! FAKES that answer from a script (`tests/run/provider.rs`): no model is asked anything here.

#[path = "cli/mkbc.rs"]
mod mkbc;
#[path = "run/provider.rs"]
mod provider;

use mkbc::{Mkbc, have};
use murakkab::compile::prepare::Compiled;
use murakkab::compile::{Checked, Target, Texts, anywhere, check_file, plan};
use murakkab::diag::Diagnostics;
use murakkab::diag::source::FileId;
use murakkab::plan::audit::audit;
use murakkab::plan::model::Plan;
use murakkab::plan::verify::verify_against;
use murakkab::solve::{Certify, Limits};
use murakkab::space::Machines;
use murakkab::space::ends::End;
use murakkab::space::sizes::InputSizes;
use provider::{KEY, Provider, chat};
use serde_json::Value;
use std::collections::BTreeMap;

const LIBRARY: &str = r#"
device cpu { kind cpu }
type Verdict { ok: Bool, why: Text }
task answer(q: Text, hint: Text?) -> Text {
  work q.tokens
  size tokens = 100 tok
}
task check(q: Text, a: Text) -> Verdict {
  work a.tokens
  size why.tokens = 10 tok
}
task vote(all: List[Text]) -> Text {
  size tokens = all.tokens / all.count
}
model ask implements answer {
  knob v in [a, b, c]
  knob w in [1, 2]
  size tokens = 100 tok * w
  runs on cpu * 1
  engine server { serve fake }
  profile "ask.csv"
}
model judge implements check {
  knob j in [d, e]
  runs on cpu * 1
  engine server { serve fake }
  profile "judge.csv"
}
tool count implements vote {
  runs on cpu * 1
  engine builtin { function majority_answer }
  profile "count.csv"
}
compose several implements answer {
  knob n in [2, 3]
  profile "several.csv"
  let tries = for _try in 1 to n { answer(q, hint) }
  vote(tries)
}
type Attempt { text: Text, hint: Text }
compose reflect implements answer {
  knob tries in [1, 2]
  let last = repeat attempt = Attempt(text: "", hint: "") up to tries until verdict.ok {
    let text = answer(q, attempt.hint)
    let verdict = check(q, text)
    Attempt(text: text, hint: verdict.why)
  }
  last.text
}
compose turns implements answer {
  profile "turns.csv"
  let first = answer(q, hint)
  let verdict = check(q, first)
  if verdict.ok expect 60 % { first } else { answer(q, verdict.why) }
}
"#;

/// The library and a job's file.
struct Sources {
    texts: Texts,
    file: FileId,
}

fn sources(profiles: &[(&str, String)], job: &str) -> Sources {
    let mut texts = Texts::default();
    let library = texts.sources.add("own.mkb", LIBRARY);
    texts.modules.push(("own".into(), library));
    for (name, rows) in profiles {
        let file = texts.sources.add(*name, rows.clone());
        texts.profiles.insert((*name).into(), file);
    }
    let file = texts.sources.add("job.mkb", job);
    Sources { texts, file }
}

fn checked(sources: &Sources) -> Checked {
    let mut cx = Diagnostics::default();
    let checked = check_file(&sources.texts, sources.file, &mut cx);
    assert!(!cx.has_errors(), "{:?}", cx.iter().map(|d| d.message.clone()).collect::<Vec<_>>());
    checked
}

/// The plan for four cores that cost nothing; an error where no plan keeps the limits.
fn planned(sources: &Sources, checked: &Checked, cx: &mut Diagnostics) -> Result<Plan, String> {
    let machines = Machines { name: "free".into(), pools: BTreeMap::from([("cpu".into(), (4, 0.into()))]) };
    let limits = Limits { nodes: 1_000_000, out_of_time: None, z3_ms: 0, certify: Certify::Off, judge: None };
    let measured = InputSizes::new();
    let end = End::Typical;
    let target = Target { job: None, machines: &machines, measured: &measured, usable: &anywhere, limits, end };
    let compiled = Compiled { texts: &sources.texts, file: sources.file, checked, lock: None };
    plan(compiled, &target, cx).map(|(_, decision)| decision.plan)
}

/// Figures of a small library, made from a seed.
struct Figures {
    /// Cost of a call in thousandths of a dollar, of a token in millionths, seconds, quality; by variant and size of the answer.
    ask: Vec<(u32, u32, u32, f64)>,
    judge: Vec<(u32, u32, u32, f64)>,
    /// The share of the errors left by two and three answers, by three of `b`, and by turns.
    left: [f64; 4],
}

impl Figures {
    fn new(seed: u64) -> Figures {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut model = || {
            let (cost, token, latency) = (random.u32(1..60), random.u32(0..40), random.u32(1..9));
            (cost, token, latency, f64::from(random.u32(50..99)) / 100.0)
        };
        let ask = (0..6).map(|_| model()).collect();
        let judge = (0..2).map(|_| model()).collect();
        let mut percent = |range: std::ops::Range<u32>| f64::from(random.u32(range)) / 100.0;
        let left = [percent(50..110), percent(30..100), percent(20..100), percent(60..140)];
        Figures { ask, judge, left }
    }

    fn profiles(&self) -> Vec<(&'static str, String)> {
        const END: &str = "device,units,figure,value,unit,low,high,evidence,source\n";
        let model = |head: &str, cells: &dyn Fn(usize) -> String, rows: &[(u32, u32, u32, f64)]| {
            let mut text = format!("{head},{END}");
            for (i, (cost, token, latency, quality)) in rows.iter().enumerate() {
                let figures = [
                    format!("latency,{latency},s"),
                    format!("cost,{},usd", f64::from(*cost) / 1000.0),
                    format!("cost.per.tokens,{},usd/tok", f64::from(*token) / 1e6),
                    format!("quality,{},%", (quality * 100.0).round()),
                ];
                for figure in figures {
                    text.push_str(&format!("{},cpu,,{figure},,,estimated,made for this test\n", cells(i)));
                }
            }
            text
        };
        let variants = |i: usize| format!("{},{}", ["a", "b", "c"][i / 2], 1 + i % 2);
        let percent = |share: f64| (share * 100.0).round();
        let several = format!(
            "n,v,{END}2,,,,errors,{},%,,,estimated,made for this test\n3,,,,errors,{},%,,,estimated,made for this test\n\
             3,b,,,errors,{},%,,,estimated,made for this test\n",
            percent(self.left[0]),
            percent(self.left[1]),
            percent(self.left[2])
        );
        vec![
            ("ask.csv", model("v,w", &variants, &self.ask)),
            ("judge.csv", model("j", &|i| ["d", "e"][i].to_string(), &self.judge)),
            ("count.csv", format!("{END},,latency,0,s,,,estimated,test\n,,quality,100,%,,,estimated,test\n")),
            ("several.csv", several),
            ("turns.csv", format!("{END},,errors,{},%,,,estimated,made for this test\n", percent(self.left[3]))),
        ]
    }

    /// Every way to carry out a call on so many tokens: cost, seconds, quality, tokens of the answer. By hand.
    fn ways(&self, tokens: f64) -> Vec<(f64, f64, f64, f64)> {
        let call = |(cost, token, latency, quality): (u32, u32, u32, f64), tokens: f64| {
            (f64::from(cost) / 1e3 + f64::from(token) / 1e6 * tokens, f64::from(latency), quality)
        };
        let left = |errors: f64, quality: f64| (1.0 - errors * (1.0 - quality)).clamp(0.0, 1.0);
        let weighed = |quality: f64, share: f64| ((quality.powf(share) * 1e6).floor() / 1e6).max(quality);
        let size = |i: usize| 100.0 * (1 + i % 2) as f64;
        let mut all = Vec::new();
        for (i, model) in self.ask.iter().enumerate() {
            let (cost, time, quality) = call(*model, tokens);
            all.push((cost, time, quality, size(i)));
            for n in [2usize, 3] {
                let errors = if n == 2 { self.left[0] } else { self.left[if i / 2 == 1 { 2 } else { 1 }] };
                all.push((cost * n as f64, time * n as f64, left(errors, quality), size(i)));
            }
            for judge in &self.judge {
                let (judging, judged, just) = call(*judge, size(i));
                for rounds in [1.0, 2.0] {
                    all.push(((cost + judging) * rounds, (time + judged) * rounds, quality * just, size(i)));
                }
                for (k, second) in self.ask.iter().enumerate() {
                    let (again, late, other) = call(*second, tokens);
                    let (q1, q2) = (left(self.left[3], quality), left(self.left[3], other));
                    let mixed = weighed(q1, 0.6) * weighed(q2, 0.4);
                    all.push((cost + judging + 0.4 * again, time + judged + late, mixed, size(i).max(size(k))));
                }
            }
        }
        all
    }
}

/// Two composed calls, the second on what the first answers.
fn job(quality: f64, latency: f64) -> String {
    format!(
        "use own\njob j(text: Text) -> Text {{\n  slo {{\n    quality >= {quality:.4} %\n    latency <= {latency:.2} s\n  }}\n  \
         minimize cost\n  expect text of 150 tok\n  let first = answer(text)\n  answer(first)\n}}\n"
    )
}

#[test]
fn the_best_of_all_ways_is_found() {
    let (mut composed, mut plain, mut none) = (0, 0, 0);
    for seed in 0..40 {
        let figures = Figures::new(seed);
        let mut random = fastrand::Rng::with_seed(1000 + seed);
        let (quality, latency) = (random.f64() * 40.0 + 58.0, random.f64() * 60.0 + 8.0);
        let best = figures
            .ways(150.0)
            .into_iter()
            .flat_map(|(c, t, q, size)| {
                figures.ways(size).into_iter().map(move |(c2, t2, q2, _)| (c + c2, t + t2, q * q2))
            })
            .filter(|(_, t, q)| *t <= latency && *q * 100.0 >= quality)
            .map(|(c, ..)| c)
            .fold(f64::INFINITY, f64::min);
        let sources = sources(&figures.profiles(), &job(quality, latency));
        let checked = checked(&sources);
        let mut cx = Diagnostics::default();
        match planned(&sources, &checked, &mut cx) {
            Ok(plan) => {
                let cost: f64 = plan.total.cost_usd.to_string().parse().expect("a number");
                // The solver counts in millionths of a dollar, rounded up at each step.
                assert!((cost - best).abs() <= 1e-5, "seed {seed}: {cost}, and the best is {best}");
                assert_eq!(verify_against(&plan, &checked.library), [""; 0], "seed {seed}");
                if plan.compositions.is_empty() { plain += 1 } else { composed += 1 }
            }
            Err(why) => {
                assert!(best.is_infinite(), "seed {seed}: {best} is possible, and there is no plan: {why}");
                none += 1;
            }
        }
    }
    assert!(composed > 10 && plain > 5 && none > 0, "the cases say little: {composed}, {plain}, {none}");
}

#[test]
fn a_plan_that_claims_another_composition_is_refused() {
    let figures = Figures::new(7);
    let text = "use own\njob j(text: Text) -> Text {\n  minimize cost\n  using several(n: 3)\n  expect text of 150 tok\n  answer(text)\n}\n";
    let sources = sources(&figures.profiles(), text);
    let checked = checked(&sources);
    let plan = planned(&sources, &checked, &mut Diagnostics::default()).expect("a plan");
    assert_eq!(plan.compositions.len(), 1);
    assert_eq!(plan.steps.iter().map(|s| s.name.as_str()).collect::<Vec<_>>(), ["several_3.answer", "several_3.vote"]);
    let faults = |changed: &Plan| {
        let mut wrong = verify_against(changed, &checked.library);
        wrong.extend(audit(changed, &checked.program.jobs[0], &checked.program, &checked.library));
        wrong
    };
    assert_eq!(faults(&plan), [""; 0]);
    let tampered: [fn(&mut Plan); 8] = [
        |p| p.compositions.clear(),
        |p| p.compositions[0].composition = "reflect".into(),
        |p| p.compositions[0].knobs = BTreeMap::from([("n".into(), "2".into())]),
        |p| p.compositions[0].knobs.clear(),
        |p| p.compositions[0].call = "another".into(),
        |p| p.steps[0].part = None,
        |p| p.steps[1].part.as_mut().expect("a part").answers = Some(1.into()),
        |p| p.tail_steps = Some(1),
    ];
    for (n, tamper) in tampered.into_iter().enumerate() {
        let mut changed = plan.clone();
        tamper(&mut changed);
        assert!(!faults(&changed).is_empty(), "change {n} passes");
    }
}

#[test]
fn nothing_is_composed_for_a_job_that_does_not_ask_for_it() {
    let figures = Figures::new(3);
    let library =
        "use own\njob j(text: Text) -> Text {\n  maximize quality\n  expect text of 150 tok\n  answer(text)\n}\n";
    let sources = sources(&figures.profiles(), library);
    assert_eq!(checked(&sources).program.compositions.len(), 3);
    let mkbc = Mkbc::new();
    mkbc.write(
        "job.mkb",
        "use std.math\njob j(problem: Text) -> Text {\n  maximize quality\n  solve_math(problem)\n}\n",
    );
    let done = mkbc.run(&["plan", "job.mkb", "--cluster", "azure_mixed", "--json"]);
    let plan: Value = serde_json::from_str(&done.out).unwrap_or_else(|e| panic!("{e}: {}", done.err));
    assert!(plan.get("compositions").is_none(), "{plan:#}");
}

/// `mkbc run` with a provider in the place of OpenAI's.
fn run(mkbc: &Mkbc, provider: &Provider, arguments: &[&str]) -> mkbc::Done {
    let arguments = [&["run", "job.mkb", "--quiet", "--folder", "out"], arguments].concat();
    mkbc.end(mkbc.command(arguments).env("OPENAI_BASE_URL", &provider.url).env("OPENAI_API_KEY", KEY))
}

#[test]
fn the_majority_of_real_answers_is_the_answer() {
    let provider = Provider::start(|n, _| chat(["It is 3.", "So x = 4", "x is 4.0", "4?", "5", "6"][n % 6]));
    let mkbc = Mkbc::new();
    mkbc.write(
        "job.mkb",
        "use std.compose\nuse std.math\njob j(problem: Text) -> Text {\n  using best_of_n(n: 6)\n  solve_math(problem)\n}\n",
    );
    let done = run(&mkbc, &provider, &["--problem", "Solve x + 1 = 5."]);
    assert_eq!(done.code, Some(0), "{}", done.err);
    assert_eq!(provider.seen().len(), 6, "six answers");
    let report: Value = serde_json::from_str(&mkbc.read("out/report.json")).expect("a report");
    assert_eq!(report["steps"].as_array().map(Vec::len), Some(2), "{report:#}");
    // Answers come in any order; what most of them come to does not depend on it.
    assert!(["So x = 4", "x is 4.0", "4?"].contains(&done.out.trim()), "{}", done.out);
}

#[test]
fn voices_of_a_debate_see_each_other() {
    let provider = Provider::start(|_, request| {
        let prompt = request.prompt();
        chat(if prompt.contains("1. seven") && prompt.contains("3. seven") { "It is 8" } else { "seven" })
    });
    let mkbc = Mkbc::new();
    mkbc.write(
        "job.mkb",
        "use std.compose\nuse std.math\njob j(problem: Text) -> Text {\n  using debate(rounds: 1)\n  solve_math(problem)\n}\n",
    );
    let done = run(&mkbc, &provider, &["--problem", "What is 3 + 5?"]);
    assert_eq!((done.code, done.out.trim()), (Some(0), "It is 8"), "{}", done.err);
    assert_eq!(provider.seen().len(), 6, "three voices, twice");
}

#[test]
fn a_cascade_asks_again_only_where_answers_disagree() {
    // Two of three agree: enough for 60 in a hundred, and not for all.
    for (threshold, agreeing, requests, answer) in [(60, 2, 3, "x = 4"), (100, 2, 4, "x = 5"), (100, 3, 3, "x = 4")] {
        let said = move |n: usize| if n == 3 { "x = 5" } else { ["x = 7", "x = 4"][usize::from(n < agreeing)] };
        let provider = Provider::start(move |n, _| chat(said(n)));
        let mkbc = Mkbc::new();
        let job = format!(
            "use std.compose\nuse std.math\njob j(problem: Text) -> Text {{\n  using cascade(threshold: {threshold})\n  solve_math(problem)\n}}\n"
        );
        mkbc.write("job.mkb", &job);
        let done = run(&mkbc, &provider, &["--problem", "Solve x + 1 = 5."]);
        assert_eq!((done.code, done.out.trim()), (Some(0), answer), "{}", done.err);
        assert_eq!(provider.seen().len(), requests);
    }
}

#[test]
fn reviewers_of_a_code_debate_are_heard() {
    const RIGHT: &str = "def add(a, b):\n    return a + b";
    let provider = Provider::start(|_, request| {
        let prompt = request.prompt();
        match () {
            () if prompt.contains("You review") => chat("It subtracts."),
            () if prompt.contains("1. It subtracts.") && prompt.contains("2. It subtracts.") => chat(RIGHT),
            () => chat("def add(a, b):\n    return a - b"),
        }
    });
    let mkbc = Mkbc::new();
    mkbc.write(
        "job.mkb",
        "use std.compose\njob j(request: Text, tests: Text) -> Text {\n  using code_debate(rounds: 1)\n  write_passing_code(request, tests)\n}\n",
    );
    let done = run(&mkbc, &provider, &["--request", "Write add(a, b).", "--tests", "none"]);
    assert_eq!((done.code, done.out.trim()), (Some(0), RIGHT), "{}", done.err);
    assert_eq!(provider.seen().len(), 4, "a program, two reviews, a program");
}

#[test]
fn the_first_program_whose_tests_pass_is_the_answer() {
    if !have(&["python3"]) {
        return;
    }
    const RIGHT: &str = "def add(a, b):\n    return a + b";
    let wrong = "def add(a, b):\n    return a - b";
    let provider = Provider::start(move |n, _| chat(if n == 1 { RIGHT } else { wrong }));
    let mkbc = Mkbc::new();
    mkbc.write(
        "job.mkb",
        "use std.compose\njob j(request: Text, tests: Text) -> Text {\n  using first_that_passes(n: 3)\n  write_passing_code(request, tests)\n}\n",
    );
    let tests =
        "import unittest\nclass T(unittest.TestCase):\n    def test(self):\n        self.assertEqual(add(2, 3), 5)\n";
    let done = run(&mkbc, &provider, &["--request", "Write add(a, b).", "--tests", tests]);
    assert_eq!((done.code, done.out.trim()), (Some(0), RIGHT), "{}", done.err);
    assert_eq!(provider.seen().len(), 3);
}
