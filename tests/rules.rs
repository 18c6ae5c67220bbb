//! Rules over choices: those of a job that another one calls hold for the steps that come from it, in plans and in what `verify`
//! reads of them; a question about personal data sees which inputs the job says hold it.

use murakkab::ask::question;
use murakkab::check::program::{Reuse, RuleKind};
use murakkab::check::select;
use murakkab::compile::prepare::Compiled;
use murakkab::compile::{Checked, Target, Texts, anywhere, check_file, plan};
use murakkab::diag::Diagnostics;
use murakkab::plan::audit::audit;
use murakkab::plan::model::Plan;
use murakkab::solve::{Certify, Limits};
use murakkab::space::Machines;
use murakkab::space::ends::End;
use murakkab::space::sizes::InputSizes;
use std::collections::BTreeMap;

const LIBRARY: &str = "device cpu { kind cpu }
device small {
  kind gpu
  memory 16 GB
}
device large {
  kind gpu
  memory 80 GB
}
device blank { kind gpu }
tool served implements think {
  runs on gpu * 1
  engine process { command [\"echo\", \"{text}\"] }
  profile \"served.csv\"
}
task think(text: Text) -> Text {
  work text.tokens
  size tokens = text.tokens / 2
}
task shorten(text: Text) -> Text {
  work text.tokens
  size tokens = text.tokens / 2
}
tool good implements shorten {
  access closed
  license proprietary
  region us
  runs on cpu * 1
  engine process { command [\"echo\", \"{text}\"] }
  profile \"good.csv\"
}
task send(text: Text) -> Text {
  work text.tokens
  size tokens = text.tokens / 2
}
tool sender implements send {
  knob which in [learner, monthly, silent, forgetful]
  access closed
  runs on api
  retention 30 d estimated \"made up for this test\"
  retention forgetful 0 d estimated \"made up for this test\"
  training learner yes estimated \"made up for this test\"
  training monthly no estimated \"made up for this test\"
  training forgetful no estimated \"made up for this test\"
  engine openai { model \"{which}\", url \"http://127.0.0.1:1/v1\" }
  profile \"sender.csv\"
}
tool mute implements send {
  access closed
  runs on api
  engine openai { model \"mute\", url \"http://127.0.0.1:1/v1\" }
  profile \"mute.csv\"
}
tool local implements send {
  runs on cpu * 1
  engine process { command [\"echo\", \"{text}\"] }
  profile \"local.csv\"
}
tool own implements shorten {
  license mit
  runs on cpu * 1
  engine process { command [\"echo\", \"{text}\"] }
  profile \"own.csv\"
}
";

/// The one whose memory nobody states is the fastest, and the largest is the slowest.
const SERVED: &str = "device,units,figure,value,unit,low,high,evidence,source
blank,,latency,1,s,,,estimated,made for this test
small,,latency,2,s,,,estimated,made for this test
large,,latency,3,s,,,estimated,made for this test
,,quality,90,%,,,estimated,made for this test
";

/// The worse with what it is sent, the better its answers.
const SENDER: &str = "which,device,units,figure,value,unit,low,high,evidence,source
,,,latency,1,s,,,estimated,made for this test
learner,,,quality,90,%,,,estimated,made for this test
silent,,,quality,80,%,,,estimated,made for this test
monthly,,,quality,70,%,,,estimated,made for this test
forgetful,,,quality,60,%,,,estimated,made for this test
";

fn profile(quality: u32) -> String {
    format!(
        "device,units,figure,value,unit,low,high,evidence,source\n,,latency,1,s,,,estimated,made for this test\n\
         ,,quality,{quality},%,,,estimated,made for this test\n"
    )
}

/// A file whose job `main` calls `inner`, which says these rules.
fn source(rules: &str, main: &str) -> String {
    format!(
        "use own\njob inner(secret: Text, public: Text) -> Text {{\n{rules}  let a = shorten(secret)\n  let b = shorten(public)\n  \
         a + b\n}}\njob main(secret: Text, public: Text) -> Text {{\n  maximize quality\n  expect secret of 100 tok\n  \
         expect public of 100 tok\n{main}\n}}\n"
    )
}

fn read(source: &str) -> (Texts, murakkab::diag::source::FileId, Checked) {
    let mut texts = Texts::default();
    let library = texts.sources.add("own.mkb", LIBRARY);
    texts.modules.push(("own".into(), library));
    for (name, quality) in [("good.csv", 99), ("own.csv", 50)] {
        let file = texts.sources.add(name, profile(quality));
        texts.profiles.insert(name.into(), file);
    }
    for (name, quality) in [("mute.csv", 99), ("local.csv", 10)] {
        let file = texts.sources.add(name, profile(quality));
        texts.profiles.insert(name.into(), file);
    }
    let sender = texts.sources.add("sender.csv", SENDER);
    texts.profiles.insert("sender.csv".into(), sender);
    let served = texts.sources.add("served.csv", SERVED);
    texts.profiles.insert("served.csv".into(), served);
    let file = texts.sources.add("job.mkb", source);
    let mut cx = Diagnostics::default();
    let checked = check_file(&texts, file, &mut cx);
    assert!(!cx.has_errors(), "{source}: {:?}", cx.sorted());
    (texts, file, checked)
}

fn planned(source: &str) -> Plan {
    let (texts, file, checked) = read(source);
    let pools = ["cpu", "small", "large", "blank"].map(|device| (device.into(), (9, 0.into())));
    let machines = Machines { name: "free".into(), pools: BTreeMap::from(pools) };
    let limits = Limits { nodes: 100_000, out_of_time: None, z3_ms: 0, certify: Certify::Off, judge: None };
    let (measured, end) = (InputSizes::new(), End::Typical);
    let target = Target { job: Some("main"), machines: &machines, measured: &measured, usable: &anywhere, limits, end };
    let compiled = Compiled { texts: &texts, file, checked: &checked, lock: None };
    let mut cx = Diagnostics::default();
    match plan(compiled, &target, &mut cx) {
        Ok((_, decision)) => decision.plan,
        Err(why) => panic!("{why}: {:?}", cx.sorted()),
    }
}

/// What carries out the steps, in order.
fn carriers(plan: &Plan) -> Vec<&str> {
    plan.steps.iter().map(|step| step.implementation.as_str()).collect()
}

const BOTH: &str = "  inner(secret, public)";

#[test]
fn every_rule_holds_for_the_steps_of_the_called_job_alone() {
    assert_eq!(carriers(&planned(&source("", BOTH))), ["good", "good"]);
    let rules = ["avoid good", "only open_models", "license permissive", "using own", "no pii to closed models"];
    for rule in rules {
        let said = format!("  {rule}\n");
        assert_eq!(carriers(&planned(&source(&said, BOTH))), ["own", "own"], "{rule}");
        // What the caller does with its values is its own.
        let after = "  let short = inner(secret, public)\n  shorten(short)";
        assert_eq!(carriers(&planned(&source(&said, after))), ["own", "own", "good"], "{rule}");
    }
}

#[test]
fn personal_data_is_followed_through_the_called_job() {
    let rules = "  pii secret\n  no pii to closed models\n";
    assert_eq!(carriers(&planned(&source(rules, BOTH))), ["own", "good"]);
    // A step that the caller runs on the same data is another step: it does not take the rule away.
    let twice = "  let mine = shorten(secret)\n  let theirs = inner(secret, public)\n  mine + theirs";
    assert_eq!(carriers(&planned(&source(rules, twice))), ["good", "own", "good"]);
    // The way of a constant is not seen, so that nothing of it gets out.
    assert_eq!(carriers(&planned(&source(rules, "  inner(\"born in 1970\", public)"))), ["own", "own"]);
}

#[test]
fn a_plan_that_breaks_a_rule_of_a_called_job_does_not_pass() {
    let (free, kept) = (source("", BOTH), source("  pii secret\n  no pii to closed models\n", BOTH));
    let (_, _, checked) = read(&kept);
    let job = select(&checked.program, Some("main")).expect("the job");
    let wrong = audit(&planned(&free), job, &checked.program, &checked.library);
    assert_eq!(wrong, ["step `shorten` breaks `no pii to closed models` of the job that it comes from"]);
    assert_eq!(audit(&planned(&kept), job, &checked.program, &checked.library), Vec::<String>::new());
}

#[test]
fn a_condition_on_hardware_takes_what_the_library_states_so_much_memory_of() {
    let job = |rule: &str, call: &str| {
        format!(
            "use own\njob main(text: Text) -> Text {{\n  minimize latency\n  expect text of 9 tok\n{rule}  think(text){call}\n}}\n"
        )
    };
    let free = planned(&job("", ""));
    assert_eq!(free.steps[0].hardware.device, "blank");
    for (condition, device) in [
        ("memory >= 16 GB", "small"),
        ("memory >= 15 GiB", "large"),
        ("memory >= 16.000001 GB", "large"),
        ("memory >= 1 GB, memory >= 80 GB", "large"),
    ] {
        for (rule, call) in [
            (format!("  using served on gpu({condition})\n"), String::new()),
            (String::new(), format!(" on gpu({condition}) * [1, 2]")),
            (String::new(), format!(" using served on gpu({condition})")),
        ] {
            let asked = job(&rule, &call);
            let plan = planned(&asked);
            assert_eq!(plan.steps[0].hardware.device, device, "{asked}");
            let (_, _, checked) = read(&asked);
            let judged = |plan: &Plan| audit(plan, &checked.program.jobs[0], &checked.program, &checked.library);
            assert_eq!(judged(&plan), Vec::<String>::new());
            // The same plan on what is not known to have it.
            let mut wrong = plan.clone();
            wrong.steps[0].hardware.device = "blank".into();
            let said = if rule.is_empty() { "is not what its call pins" } else { "breaks `using served on gpu" };
            assert!(judged(&wrong).iter().any(|why| why.contains(said)), "{asked}: {:?}", judged(&wrong));
        }
    }
}

/// A provider of which nobody says what it does is none that keeps the rule; machines of one's own keep nothing for others.
#[test]
fn providers_that_keep_or_learn_are_left_out() {
    let job = |rules: &str| {
        format!(
            "use own\njob main(text: Text) -> Text {{\n  maximize quality\n  expect text of 100 tok\n{rules}  send(text)\n}}\n"
        )
    };
    let carried = |plan: &Plan| {
        let step = &plan.steps[0];
        step.knobs.get("which").cloned().unwrap_or_else(|| step.implementation.clone())
    };
    let free = planned(&job(""));
    assert_eq!(carried(&free), "mute");
    for (rules, by) in [
        ("  retention 31 d\n", "learner"),
        ("  retention 30 d\n", "learner"),
        ("  retention 29 d\n", "forgetful"),
        ("  retention 0 s\n", "forgetful"),
        ("  no training on inputs\n", "monthly"),
        ("  no training on inputs\n  retention 0 d\n", "forgetful"),
        ("  no training on inputs\n  only open_models\n", "local"),
    ] {
        let asked = job(rules);
        let plan = planned(&asked);
        assert_eq!(carried(&plan), by, "{asked}");
        let (_, _, checked) = read(&asked);
        let judged = |plan: &Plan| audit(plan, &checked.program.jobs[0], &checked.program, &checked.library);
        assert_eq!(judged(&plan), Vec::<String>::new());
        assert!(judged(&free).iter().any(|why| why.contains(rules.lines().next().expect("a rule").trim())), "{asked}");
    }
}

#[test]
fn a_question_about_personal_data_sees_the_jobs() {
    let job =
        "use own\njob j(secret: Text, public: Text) -> Text {\n  pii secret\n  shorten(secret) + shorten(public)\n}\n";
    let (mut texts, _, checked) = read(job);
    let mut job = checked.program.jobs[0].clone();
    let secret = job.params[0];
    let mut cx = Diagnostics::default();
    question::change(
        question::WHAT_IF,
        "no pii to closed models",
        &mut job,
        &checked.library,
        &mut texts.sources,
        &mut cx,
    )
    .expect("a change");
    assert!(matches!(&job.rules[0].kind, RuleKind::NoPiiToClosed { inputs } if *inputs == [secret]), "{:?}", job.rules);
    for (text, said) in [("cache off", Reuse::Off), ("cache 2 h", Reuse::For(7_200_000))] {
        question::change(question::WHAT_IF, text, &mut job, &checked.library, &mut texts.sources, &mut cx)
            .expect("a change");
        assert_eq!(job.cache, Some(said));
    }
    for text in ["let x = 3", "goal \"x\""] {
        let mut cx = Diagnostics::default();
        let refused =
            question::change(question::WHAT_IF, text, &mut job, &checked.library, &mut texts.sources, &mut cx);
        assert!(
            matches!(refused, Err(question::Unread::Because(why)) if why.contains("nothing that a question can change"))
        );
    }
}
