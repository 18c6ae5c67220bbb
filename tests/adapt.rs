//! Runs that do not go as planned: what fails for good is left for a fallback of the plan, what is late or dear makes the rest be planned again,
//! what was reserved stays spent, what was made is found again. The tools and models here are FAKES that say so; the fake provider
//! (`tests/run/provider.rs`) answers from a script.

#[path = "cli/mkbc.rs"]
mod mkbc;
#[path = "run/provider.rs"]
mod provider;

use mkbc::{Bless, Done, Mkbc, repository};
use murakkab::run::journal::Journal;
use murakkab::run::journal::record::{Record, Source};
use provider::{KEY, Provider, chat, say};
use serde_json::{Value, json};
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Two tasks. `slow` takes as long as its file says, whatever its profile does; `thorough` and `quick` say who they are.
const DESK: &str = r#"
/// Fakes with round figures, made for these tests.
task first(text: Text) -> Text {
  work text.tokens
  size tokens = text.tokens
}
task second(text: Text) -> Text {
  work text.tokens
  size tokens = text.tokens
}
tool slow implements first {
  runs on cpu * 1
  engine process { command ["sh", "slow.sh", "{text}"] }
  profile "slow.csv"
}
tool other implements first {
  runs on cpu * 1
  engine process { command ["sh", "-c", "echo by-other"] }
  profile "other.csv"
}
tool thorough implements second {
  runs on cpu * 1
  engine process { command ["sh", "thorough.sh", "{text}"] }
  profile "thorough.csv"
}
tool quick implements second {
  runs on cpu * 1
  engine process { command ["echo", "{text} quick"] }
  profile "quick.csv"
}
"#;

fn profile(latency: &str, quality: &str) -> String {
    format!(
        "device,units,figure,value,unit,low,high,evidence,source\ncpu,,latency,{latency},s,,,estimated,made for tests\n\
         ,,quality,{quality},%,,,estimated,made for tests\n"
    )
}

/// A project whose tool `slow` and `thorough` are these scripts.
fn desk(slow: &str, thorough: &str, job: &str) -> Mkbc {
    let mkbc = Mkbc::new();
    fs::create_dir_all(mkbc.path("lib/profiles")).expect("a folder");
    for (name, latency, quality) in
        [("slow", "0.05", "99"), ("other", "0.5", "98"), ("thorough", "4", "99"), ("quick", "0.05", "90")]
    {
        mkbc.write(&format!("lib/profiles/{name}.csv"), profile(latency, quality));
    }
    let at = |name: &str| mkbc.path(name).display().to_string();
    mkbc.write("slow.sh", slow);
    mkbc.write("thorough.sh", thorough);
    mkbc.write("lib/desk.mkb", DESK.replace("slow.sh", &at("slow.sh")).replace("thorough.sh", &at("thorough.sh")));
    mkbc.write("job.mkb", job);
    mkbc
}

const JOB: &str = "use desk\n\njob answer(text: Text) -> Text {\n  expect text of 10 tok\n  slo {\n    latency <= 5 s\n    \
                   quality >= 80 %\n  }\n  maximize quality\n\n  let a = first(text)\n  second(a)\n}\n";

fn run(mkbc: &Mkbc, more: &[&str]) -> Done {
    mkbc.run(&[&["run", "job.mkb", "--library", "lib", "--text", "x"], more].concat())
}

fn records(mkbc: &Mkbc, run: u64) -> Vec<Record> {
    let journal = Journal::existing(&mkbc.path(".mkbc")).expect("a journal").expect("one");
    journal.records(run).expect("records")
}

fn adapted(mkbc: &Mkbc) -> Vec<String> {
    let message = |record: Record| if let Record::Adapted { message, .. } = record { Some(message) } else { None };
    records(mkbc, 1).into_iter().filter_map(message).collect()
}

// ---- late ----

#[test]
fn a_step_that_is_late_makes_a_later_one_quicker() {
    let late = "sleep 1.5; echo late\n";
    let mkbc = desk(late, "echo \"$1 thorough\"\n", JOB);
    let done = run(&mkbc, &[]);
    assert_eq!((done.code, done.out.trim()), (Some(0), "late quick"), "{}", done.err);
    let said = adapted(&mkbc);
    assert_eq!(said.len(), 1, "{said:?}");
    for part in [
        "`latency <= 5 s` would be broken",
        "first took 1.",
        "planned 0.05 s",
        "second: `quick` on cpu * 1 instead of `thorough`",
    ] {
        assert!(said[0].contains(part), "{part}: {}", said[0]);
    }
    assert!(done.err.contains("the rest is planned again"), "{}", done.err);
    let report: Value =
        serde_json::from_str(&fs::read_to_string(mkbc.path(".mkbc/runs/1/report.json")).expect("a report"))
            .expect("JSON");
    assert_eq!(report["adapted"][0], said[0]);
    assert_eq!(report["steps"][1]["planned_again"], "quick", "{report:#}");
    assert_eq!(report["steps"][1]["stood_in"], Value::Null, "nothing failed: {report:#}");
    assert!(mkbc.run(&["logs", "1"]).out.contains("the rest is planned again"));
}

/// What the job gives where `second` has several calls, and `first` is late.
fn late_for_all(limit: &str, body: &str) -> (Value, Vec<String>) {
    let job = JOB.replace("-> Text", "-> List[Text]").replace("5 s", limit).replace("  second(a)\n", body);
    let mkbc = desk("sleep 1.5; echo late\n", "echo \"$1 thorough\"\n", &job);
    let done = run(&mkbc, &["--json"]);
    assert_eq!(done.code, Some(0), "{}", done.err);
    let report: Value = serde_json::from_str(&done.out).expect("JSON");
    (report["result"]["ok"].clone(), adapted(&mkbc))
}

#[test]
fn a_change_holds_for_all_items_of_a_map_and_for_every_step_that_it_names() {
    // The draft is dear: what is left pays no answer of the large model for each of the three.
    let provider =
        Provider::start(|n, _| if n == 0 { tokens("a draft", 100, 900) } else { tokens("polished", 100, 100) });
    let job = PAID.replace("LIMIT", "0.024").replace("-> Text", "-> List[Text]");
    let mkbc = models(&job.replace("  polish(a)\n", "  for x in [a, a, a] { polish(x) }\n"));
    let done = with(&mkbc, &provider.url, None, &ARGUMENTS);
    assert_eq!(done.code, Some(0), "{}", done.err);
    let seen = provider.seen();
    let asked: Vec<&str> = seen.iter().filter_map(|s| s.body["model"].as_str()).collect();
    assert_eq!(asked, ["large", "small", "small", "small"], "{}", done.err);
    let (answer, said) = late_for_all("5 s", "  let b = second(a)\n  let c = second(a) retry 1\n  [b, c]\n");
    assert_eq!(answer, json!(["late quick", "late quick"]), "{said:?}");
}

#[test]
fn quality_is_not_given_away_where_calls_are_made_at_once() {
    // Two calls of four seconds, one after the other, would be late behind the first step; at once they are not.
    if std::thread::available_parallelism().map_or(1, std::num::NonZero::get) < 2 {
        eprintln!("skipped: one core makes one call at a time");
        return;
    }
    let (answer, said) = late_for_all("8.6 s", "  for x in [a, a] { second(x) }\n");
    assert_eq!(answer, json!(["late thorough", "late thorough"]), "{said:?}");
    assert!(said.is_empty(), "{said:?}");
}

#[test]
fn it_is_only_said_or_nothing_is_done_where_that_is_asked_for() {
    let late = "sleep 1.5; echo late\n";
    let mkbc = desk(late, "echo \"$1 thorough\"\n", JOB);
    let done = run(&mkbc, &["--adapt", "show"]);
    assert_eq!((done.code, done.out.trim()), (Some(0), "late thorough"), "{}", done.err);
    assert!(done.err.contains("the rest could be planned again: second: `quick`"), "{}", done.err);
    let mkbc = desk(late, "echo \"$1 thorough\"\n", JOB);
    let done = run(&mkbc, &["--adapt", "off"]);
    assert_eq!((done.code, done.out.trim()), (Some(0), "late thorough"), "{}", done.err);
    assert!(adapted(&mkbc).is_empty());
}

#[test]
fn quality_is_not_lowered_below_its_line() {
    let job = JOB.replace("80 %", "95 %");
    let mkbc = desk("sleep 1.5; echo late\n", "echo \"$1 thorough\"\n", &job);
    let done = run(&mkbc, &[]);
    assert_eq!((done.code, done.out.trim()), (Some(0), "late thorough"), "{}", done.err);
    let said = adapted(&mkbc);
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains("nothing that is left keeps"), "{said:?}");
    assert!(said[0].contains("`quality >= 95 %`") && said[0].contains("the run goes on as planned"), "{said:?}");
}

#[test]
fn a_run_that_goes_as_planned_is_left_alone() {
    let mkbc = desk("echo early\n", "echo \"$1 thorough\"\n", JOB);
    let done = run(&mkbc, &[]);
    assert_eq!((done.code, done.out.trim()), (Some(0), "early thorough"), "{}", done.err);
    assert!(adapted(&mkbc).is_empty());
}

#[test]
fn a_resumed_run_goes_by_the_plan_that_it_was_changed_to() {
    // The tool that is put in fails as long as nobody mends it.
    let mkbc = desk("sleep 1.5; echo late\n", "echo \"$1 thorough\"\n", JOB);
    let text = fs::read_to_string(mkbc.path("lib/desk.mkb")).expect("the library");
    let script = mkbc.path("quick.sh").display().to_string();
    mkbc.write(
        "lib/desk.mkb",
        text.replace(r#"["echo", "{text} quick"]"#, &format!(r#"["sh", "{script}", "{{text}}"]"#)),
    );
    mkbc.write("quick.sh", "exit 3\n");
    mkbc.write("thorough.sh", "exit 4\n");
    let done = run(&mkbc, &[]);
    assert_eq!(done.code, Some(1), "{}{}", done.out, done.err);
    mkbc.write("quick.sh", "echo \"$1 mended\"\n");
    let done = mkbc.run(&["resume", "1"]);
    assert_eq!((done.code, done.out.trim()), (Some(0), "late mended"), "{}", done.err);
    assert!(done.err.contains("the rest is planned again"), "the report still says so: {}", done.err);
}

// ---- fallbacks ----

const FALLBACK: &str = "use desk\n\njob answer(text: Text) -> Text {\n  expect text of 10 tok\n  slo { quality >= 80 % }\n  \
                        maximize quality\n\n  let a = first(text) fallback other\n  second(a)\n}\n";

#[test]
fn what_fails_for_good_is_left_for_the_next() {
    let mkbc = desk("echo broken >&2; exit 7\n", "echo \"$1 thorough\"\n", FALLBACK);
    let plan = mkbc.run(&["plan", "job.mkb", "--library", "lib", "--cluster", "here", "-o", "plan.json"]);
    assert!(plan.out.contains("if it fails for good") && plan.out.contains("first: other on cpu * 1"), "{}", plan.out);
    assert!(plan.out.contains("second: quick on cpu * 1"), "what nobody names is found as well: {}", plan.out);
    let verified = mkbc.run(&["verify", "plan.json", "--library", "lib", "--source", "job.mkb"]);
    assert_eq!(verified.code, Some(0), "{}", verified.err);
    let done = run(&mkbc, &[]);
    assert_eq!((done.code, done.out.trim()), (Some(0), "by-other thorough"), "{}", done.err);
    assert!(done.err.contains("first: slow failed for good (`sh` ended with status 7"), "{}", done.err);
    assert!(done.err.contains("other stood in for slow"), "{}", done.err);
    let left = records(&mkbc, 1)
        .into_iter()
        .any(|r| matches!(r, Record::Left { from, to, .. } if from == "slow" && to == "other"));
    assert!(left, "it is journalled");
    assert!(mkbc.run(&["logs", "1"]).out.contains("slow failed for good, other stands in"));
}

#[test]
fn a_plan_whose_fallback_breaks_a_line_does_not_pass() {
    let mkbc = desk("echo a\n", "echo b\n", FALLBACK);
    let planned = mkbc.run(&["plan", "job.mkb", "--library", "lib", "--cluster", "here", "-o", "plan.json"]);
    assert_eq!(planned.code, Some(0), "{}", planned.err);
    let mut plan: Value = serde_json::from_str(&mkbc.read("plan.json")).expect("JSON");
    let verify = |plan: &Value| {
        mkbc.write("changed.json", plan.to_string());
        mkbc.run(&["verify", "changed.json", "--library", "lib", "--source", "job.mkb"])
    };
    assert_eq!(verify(&plan).code, Some(0));
    let good = plan["steps"][0]["fallbacks"][0].clone();
    plan["steps"][0]["fallbacks"][0]["predicted"]["quality"] = json!("0.5");
    let wrong = verify(&plan);
    assert!(
        wrong.code == Some(1) && wrong.err.contains("the fallback `other` of step `first` breaks `quality >= 80 %`"),
        "{}",
        wrong.err
    );
    plan["steps"][0]["fallbacks"][0] = good.clone();
    plan["steps"][0]["fallbacks"][0]["engine"]["commands"][0][0] = json!("rm");
    let wrong = verify(&plan);
    assert!(wrong.code == Some(1) && wrong.err.contains("is not as the library has it"), "{}", wrong.err);
    plan["steps"][0]["fallbacks"] = json!([]);
    let wrong = verify(&plan);
    assert!(wrong.code == Some(1) && wrong.err.contains("lacks the fallback `other`"), "{}", wrong.err);
}

#[test]
fn a_fallback_that_cannot_keep_a_line_is_refused_with_the_line() {
    let job = FALLBACK.replace("80 %", "98 %");
    let mkbc = desk("echo a\n", "echo b\n", &job);
    let done = mkbc.run(&["plan", "job.mkb", "--library", "lib", "--cluster", "here"]);
    assert_eq!(done.code, Some(1), "{}", done.out);
    assert!(
        done.err.contains("`other` cannot be the fallback of `first` (line 8): it breaks `quality >= 98 %`"),
        "{}",
        done.err
    );
}

// ---- providers: dear, lying, refusing ----

/// Models of two providers, and a dear and a cheap one of the first.
fn models(job: &str) -> Mkbc {
    let mkbc = Mkbc::new();
    fs::create_dir_all(mkbc.path("lib/profiles")).expect("a folder");
    let mut library = String::from(
        "/// Fakes with round figures, made for these tests.\ntask draft(text: Text) -> Text {\n  work input = text.tokens\n  \
         work output = 100 tok\n  size tokens = 100 tok\n  system \"You draft.\"\n  prompt \"{text}\"\n  max_tokens 1000\n}\n\
         task polish(text: Text) -> Text {\n  work input = text.tokens\n  work output = 100 tok\n  size tokens = 100 tok\n  \
         system \"You polish.\"\n  prompt \"{text}\"\n  max_tokens 1000\n}\n",
    );
    for (name, account, tasks, price, quality) in [
        ("large", "A", "draft, polish", "20", "99"),
        ("small", "A", "polish", "2", "90"),
        ("elsewhere", "B", "draft, polish", "20", "95"),
    ] {
        library.push_str(&format!(
            "model {name} implements {tasks} {{\n  access closed\n  runs on api\n  engine openai {{\n    model \"{name}\"\n    \
             url \"https://example.org/{account}\"\n    url_env URL_{account}\n    key env KEY_{account}\n  }}\n  profile \"{name}.csv\"\n}}\n"
        ));
        mkbc.write(
            &format!("lib/profiles/{name}.csv"),
            format!(
                "device,units,figure,value,unit,low,high,evidence,source\n,,latency,0.1,s,,,estimated,made for tests\n\
                 ,,cost.per.input,1,usd/Mtok,,,estimated,made for tests\n,,cost.per.output,{price},usd/Mtok,,,estimated,made for tests\n\
                 ,,quality,{quality},%,,,estimated,made for tests\n"
            ),
        );
    }
    mkbc.write("lib/models.mkb", library);
    mkbc.write("job.mkb", job);
    mkbc
}

const PAID: &str = "use models\n\njob answer(text: Text) -> Text {\n  expect text of 100 tok\n  slo {\n    cost <= LIMIT usd\n    \
                    quality >= 80 %\n  }\n  maximize quality\n\n  let a = draft(text)\n  polish(a)\n}\n";

fn with(mkbc: &Mkbc, a: &str, b: Option<&str>, arguments: &[&str]) -> Done {
    let mut command = mkbc.command(arguments);
    command.env("URL_A", a).env("KEY_A", KEY);
    if let Some(b) = b {
        command.env("URL_B", b).env("KEY_B", KEY);
    }
    mkbc.end(&mut command)
}

const ARGUMENTS: [&str; 6] = ["run", "job.mkb", "--library", "lib", "--text", "Something."];

/// An answer that says how many tokens it was.
fn tokens(content: &str, read: u64, written: u64) -> provider::Act {
    let usage = json!({"prompt_tokens": read, "completion_tokens": written});
    say(
        200,
        json!({"choices": [{"message": {"role": "assistant", "content": content}, "finish_reason": "stop"}], "usage": usage}),
    )
}

#[test]
fn a_step_that_is_dear_makes_a_later_one_cheaper() {
    // The draft writes nine times as much as was planned: what is left pays no second answer of the large model.
    let provider =
        Provider::start(|n, _| if n == 0 { tokens("a draft", 100, 900) } else { tokens("polished", 100, 100) });
    let mkbc = models(&PAID.replace("LIMIT", "0.02"));
    let done = with(&mkbc, &provider.url, None, &[&ARGUMENTS[..], &["--report", "run.html"]].concat());
    assert_eq!((done.code, done.out.trim()), (Some(0), "polished"), "{}", done.err);
    let seen = provider.seen();
    let asked: Vec<&str> = seen.iter().filter_map(|s| s.body["model"].as_str()).collect();
    assert_eq!(asked, ["large", "small"]);
    // Wherever it is said who carried it out, it is said why: nothing failed.
    let why = "polish: small carried it out instead of large, since the rest was planned again";
    for text in [&done.err, &mkbc.read("run.html")] {
        assert!(text.contains(why) && !text.contains("failed for good"), "{text}");
    }
    assert!(mkbc.read("run.html").contains("<small>instead of large</small>"), "{}", mkbc.read("run.html"));
    let shown = mkbc.run(&["show", "1"]).out;
    assert!(shown.contains("| polish | small for large |"), "{shown}");
    // Another run goes as planned: the plans were the same, and what was carried out was not.
    let provider = Provider::start(|n, _| tokens(if n == 0 { "a draft" } else { "polished" }, 100, 100));
    assert_eq!(with(&mkbc, &provider.url, None, &[&ARGUMENTS[..], &["--quiet"]].concat()).code, Some(0));
    let compared = mkbc.run(&["compare", "1", "2"]).out;
    for part in ["small on api for large", "90 %", "89.1 %", "98 %", "the plans differ", "~ polish: small → large"] {
        assert!(compared.contains(part), "{part}: {compared}");
    }
    let bless = Bless::default();
    bless.golden(&repository().join("tests/adapt/dear.txt"), &format!("{}\n", adapted(&mkbc).join("\n")));
    bless.end();
}

#[test]
fn a_refused_key_opens_the_circuit_and_another_provider_answers() {
    let a = Provider::start(|_, _| say(401, json!({"error": {"message": "no"}})));
    let b = Provider::start(|_, _| tokens("from elsewhere", 10, 10));
    let mkbc = models(&PAID.replace("LIMIT", "1"));
    let done = with(&mkbc, &a.url, Some(&b.url), &ARGUMENTS);
    assert_eq!((done.code, done.out.trim()), (Some(0), "from elsewhere"), "{}", done.err);
    assert_eq!(a.seen().len(), 1, "nobody asks again with a key that was refused");
    assert_eq!(b.seen().len(), 2);
    assert!(done.err.contains("draft: large failed for good"), "{}", done.err);
    assert!(done.err.contains("elsewhere stands in"), "{}", done.err);
    // What stood in is what the report counts, at its own prices.
    let report: Value =
        serde_json::from_str(&fs::read_to_string(mkbc.path(".mkbc/runs/1/report.json")).expect("a report"))
            .expect("JSON");
    assert_eq!(report["steps"][0]["stood_in"]["elsewhere"], 1, "{report:#}");
    assert_eq!(report["steps"][0]["implementation"], "large");
    let cost = report["steps"][0]["cost_usd"].as_f64().expect("a cost");
    assert!((cost - (10.0 * 1e-6 + 10.0 * 20e-6)).abs() < 1e-12, "{cost}");
}

#[test]
fn quality_that_was_lost_to_a_fallback_is_not_lost_again_to_a_change() {
    // The choice refuses the draft; who stands in does it worse, and so dear that the rest must be cheaper.
    let run = |quality: &str| {
        let a = Provider::start(|_, seen| match seen.body["model"].as_str() {
            Some("large") => say(400, json!({"error": {"message": "no"}})),
            _ => tokens("polished", 100, 100),
        });
        let b = Provider::start(|_, _| tokens("a dear draft", 100, 900));
        let mkbc = models(&PAID.replace("LIMIT", "0.02").replace("80 %", quality));
        let done = with(&mkbc, &a.url, Some(&b.url), &ARGUMENTS);
        let asked: Vec<String> = a.seen().iter().filter_map(|s| s.body["model"].as_str().map(str::to_owned)).collect();
        (done, asked)
    };
    // 95 % of the one that stood in, and 90 % of the small one.
    let (done, asked) = run("85 %");
    assert_eq!((done.code, asked.last().map(String::as_str)), (Some(0), Some("small")), "{}", done.err);
    assert!(done.err.contains("of those who stood in, 85.5 % is planned\n"), "{}", done.err);
    let (done, asked) = run("86 %");
    assert_eq!(done.code, Some(1), "{}{}", done.out, done.err);
    assert!(!asked.iter().any(|model| model == "small"), "{asked:?}: {}", done.err);
    assert!(done.err.contains("nothing that is left keeps") && done.err.contains("`quality >= 86 %`"), "{}", done.err);
}

#[test]
fn fallbacks_that_would_together_break_a_line_do_not_both_stand_in() {
    // Each alone keeps 93 %; both come to 95 % of 95 %.
    let refusing = |refused: usize| {
        Provider::start(move |n, _| match n {
            n if n < refused => say(400, json!({"error": {"message": "no"}})),
            _ => tokens("by large", 10, 10),
        })
    };
    let a = refusing(2);
    let b = Provider::start(|_, _| tokens("from elsewhere", 10, 10));
    let job = PAID.replace("LIMIT", "1").replace("80 %", "93 %");
    let mkbc = models(&job);
    let done = with(&mkbc, &a.url, Some(&b.url), &ARGUMENTS);
    assert_eq!((done.code, b.seen().len()), (Some(1), 1), "{}{}", done.out, done.err);
    for part in ["step `polish`", "`elsewhere` may not stand in: `quality >= 93 %` would be broken (90.25 %)"] {
        assert!(done.err.contains(part), "{part}: {}", done.err);
    }
    // Who stood in before the run was resumed counts as well; what failed is mended.
    let done = with(&mkbc, &a.url, Some(&b.url), &["resume", "1"]);
    assert_eq!((done.code, done.out.trim()), (Some(0), "by large"), "{}", done.err);
    let said = "quality >= 93 %: not known from one run; of those who stood in, 94";
    assert!(done.err.contains(said), "{}", done.err);
    let shown = mkbc.run(&["show", "1"]).out;
    assert!(shown.contains("| draft  | large, then elsewhere |") && shown.contains(said), "{shown}");
    // So it is where both fail at once.
    let a = refusing(usize::MAX);
    let both =
        job.replace("  polish(a)\n", "  let b = draft(text) retry 1\n  [a, b]\n").replace("-> Text", "-> List[Text]");
    let done = with(&models(&both), &a.url, Some(&b.url), &ARGUMENTS);
    assert!(done.code == Some(1) && done.err.contains("`elsewhere` may not stand in"), "{}{}", done.out, done.err);
}

#[test]
fn a_later_step_makes_good_what_fallbacks_lose() {
    // Each fallback keeps 84 % beside the cheap model at the end; both do so only with a better one there.
    let a = Provider::start(|n, _| match n {
        n if n < 2 => say(400, json!({"error": {"message": "no"}})),
        _ => tokens("polished", 100, 100),
    });
    let b = Provider::start(|_, _| tokens("polished", 100, 100));
    let job = PAID.replace("LIMIT", "1").replace("80 %", "84 %").replace("maximize quality", "minimize cost");
    let body = "  let a = draft(text) using large fallback elsewhere\n  let b = polish(a) using large fallback elsewhere\n  polish(b)\n";
    let mkbc = models(&job.replace("  let a = draft(text)\n  polish(a)\n", body));
    let done = with(&mkbc, &a.url, Some(&b.url), &ARGUMENTS);
    assert_eq!((done.code, done.out.trim()), (Some(0), "polished"), "{}", done.err);
    let said = adapted(&mkbc);
    assert_eq!(said.len(), 1, "{said:?}");
    let why = "`elsewhere` stands in for `polish`; so that every line is kept, the rest is planned again: polish_2: ";
    assert!(said[0].starts_with(why) && said[0].contains("instead of `small`"), "{said:?}");
    let asked: Vec<Value> = a.seen().into_iter().chain(b.seen()).map(|s| s.body["model"].clone()).collect();
    assert!(!asked.contains(&json!("small")), "{asked:?}");
    let shown = mkbc.run(&["show", "1"]).out;
    assert!(shown.contains("for small ") && shown.contains("of those who stood in, 8"), "{shown}");
}

#[test]
fn the_time_of_a_runtime_that_was_killed_counts_to_its_end() {
    // It has no record of its last seconds: the call was under way.
    let mkbc = desk("sleep 300\n", "echo \"$1 thorough\"\n", JOB);
    let mut child =
        mkbc.command(["run", "job.mkb", "--library", "lib", "--text", "x", "--quiet"]).spawn().expect("mkbc");
    let alive = mkbc.path(".mkbc/runs/1/run.alive");
    while !fs::read_to_string(&alive).is_ok_and(|text| text.ends_with('\n')) {
        assert!(child.try_wait().expect("a status").is_none(), "it ended");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    child.kill().and_then(|()| child.wait()).expect("killed");
    let runs: Value = serde_json::from_str(&mkbc.run(&["runs", "--json"]).out).expect("JSON");
    assert!(runs[0]["took_s"].as_f64().is_some_and(|s| s >= 1.0), "{runs:#}");
    mkbc.write("slow.sh", "echo early\n");
    let done = mkbc.run(&["resume", "1", "--json"]);
    assert_eq!(done.code, Some(0), "{}", done.err);
    let report: Value = serde_json::from_str(&done.out).expect("JSON");
    assert!(report["earlier_s"].as_f64().is_some_and(|s| s >= 1.0), "{report:#}");
}

#[test]
fn items_that_wait_do_not_go_to_an_account_that_was_refused_meanwhile() {
    let a = Provider::start(|_, _| say(401, json!({"error": {"message": "no"}})));
    let b = Provider::start(|_, _| tokens("from elsewhere", 10, 10));
    let many = vec!["text"; 40].join(", ");
    let body = format!("  for x in [{many}] {{ draft(x) }}\n");
    let job = PAID.replace("LIMIT", "5").replace("-> Text", "-> List[Text]");
    let mkbc = models(&job.replace("  let a = draft(text)\n  polish(a)\n", &body));
    let done = with(&mkbc, &a.url, Some(&b.url), &ARGUMENTS);
    assert_eq!(done.code, Some(0), "{}", done.err);
    // As many as are asked at a time: all of these were on their way when the first came back.
    assert!(a.seen().len() <= 8, "no more than were under way");
    assert_eq!(b.seen().len(), 40);
    assert_eq!(done.err.matches("draft: large failed for good").count(), 1, "said once: {}", done.err);
}

#[test]
fn a_call_that_was_refused_its_money_leaves_its_step_to_be_chosen_anew() {
    let provider =
        Provider::start(|n, _| if n == 0 { tokens("a draft", 100, 900) } else { tokens("polished", 100, 100) });
    let mkbc = models(&PAID.replace("LIMIT", "0.02"));
    let done = with(&mkbc, &provider.url, None, &[&ARGUMENTS[..], &["--adapt", "show"]].concat());
    assert!(done.code == Some(1) && done.err.contains("the call is not made"), "{}", done.err);
    let done = with(&mkbc, &provider.url, None, &["resume", "1"]);
    assert_eq!((done.code, done.out.trim()), (Some(0), "polished"), "{}", done.err);
    let seen = provider.seen();
    assert_eq!(seen.iter().filter_map(|s| s.body["model"].as_str()).collect::<Vec<_>>(), ["large", "small"]);
}

/// A project whose run, with so many dollars, was killed while its first request was under way.
fn killed_over_its_draft(limit: &str) -> Mkbc {
    let arrived = Arc::new(AtomicBool::new(false));
    let seen = arrived.clone();
    let provider = Provider::start(move |_, _| {
        seen.store(true, Ordering::SeqCst);
        std::thread::sleep(std::time::Duration::from_secs(30));
        tokens("late", 100, 100)
    });
    let mkbc = models(&PAID.replace("LIMIT", limit));
    let mut command = mkbc.command(ARGUMENTS);
    let mut child = command.env("URL_A", &provider.url).env("KEY_A", KEY).spawn().expect("it starts");
    while !arrived.load(Ordering::SeqCst) {
        assert!(child.try_wait().expect("a status").is_none(), "it ended before it asked");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    child.kill().expect("killed");
    child.wait().expect("dead");
    mkbc
}

#[test]
fn money_that_was_reserved_stays_spent_after_a_crash() {
    // The first runtime dies between its call and the record of it: the provider may have charged.
    let mkbc = killed_over_its_draft("0.03");
    let kept: Vec<String> = records(&mkbc, 1)
        .into_iter()
        .filter_map(|r| if let Record::Reserved { usd, .. } = r { Some(usd.normalize().to_string()) } else { None })
        .collect();
    assert_eq!(kept.len(), 1, "it was on the disk before the request: {kept:?}");
    let spent: f64 = kept[0].parse().expect("dollars");
    assert!(spent > 0.02 && spent < 0.03, "the most that a thousand tokens can cost: {spent}");
    // Nothing like a second draft at the most that it can cost is left; the last of it is, and is not exceeded.
    let runs = mkbc.run(&["runs"]).out;
    assert!(runs.contains(&format!("-, {spent:.6} more at most")), "{runs}");
    let healthy = Provider::start(|_, _| tokens("again", 100, 2000));
    let done = with(&mkbc, &healthy.url, None, &["resume", "1"]);
    assert_eq!(done.code, Some(1), "{}{}", done.out, done.err);
    assert!(done.err.contains("of `cost <= 0.03 usd` are left"), "{}", done.err);
    for part in ["of 1 request whose end nobody knows", "`mkbc resume 1 --slo \"cost <= … usd\"` goes on"] {
        assert!(done.err.contains(part), "{part}: {}", done.err);
    }
    let after = records(&mkbc, 1);
    let settled: f64 = after
        .iter()
        .filter_map(|r| if let Record::Settled { usd, .. } = r { usd.to_string().parse::<f64>().ok() } else { None })
        .sum();
    let open = spent;
    assert!(settled + open <= 0.03 + 1e-12, "{settled} + {open}");
}

#[test]
fn a_resumed_run_may_be_given_more_and_says_what_nobody_knows() {
    let provider = Provider::start(|n, _| tokens(if n == 0 { "a draft" } else { "polished" }, 100, 900));
    let mkbc = models(&PAID.replace("LIMIT", "0.02"));
    let plain = [&ARGUMENTS[..], &["--adapt", "off"]].concat();
    let done = with(&mkbc, &provider.url, None, &plain);
    assert_eq!(done.code, Some(1), "the polish does not fit: {}", done.err);
    // What was paid is said also where the run failed.
    let runs: Value = serde_json::from_str(&mkbc.run(&["runs", "--json"]).out).expect("JSON");
    assert_eq!(runs[0]["cost_usd"], json!(0.0181), "{runs:#}");
    let wrong = with(&mkbc, &provider.url, None, &["resume", "1", "--slo", "quality >= 10 %"]);
    assert!(wrong.code == Some(2) && wrong.err.contains("the plan of a run stays as it is"), "{}", wrong.err);
    let wrong = with(&mkbc, &provider.url, None, &["resume", "1", "--slo", "minimize cost"]);
    assert!(wrong.code == Some(2) && wrong.err.contains("is no limit"), "{}", wrong.err);
    let done = with(&mkbc, &provider.url, None, &["resume", "1", "--slo", "cost <= 0.05 usd"]);
    assert_eq!((done.code, done.out.trim()), (Some(0), "polished"), "{}", done.err);
    assert!(done.err.contains("run 1 goes on under `cost <= 0.05 usd`"), "{}", done.err);
    assert!(done.err.contains("cost <= 0.05 usd: holds, $0.0362 measured"), "{}", done.err);
    assert!(mkbc.run(&["logs", "1"]).out.contains("goes on under `cost <= 0.05 usd`"));
    let shown = mkbc.run(&["show", "1"]).out;
    assert!(shown.contains("cost <= 0.05 usd: holds") && !shown.contains("cost <= 0.02 usd"), "{shown}");
}

#[test]
fn a_limit_that_was_raised_once_is_that_of_every_later_runtime() {
    let mkbc = killed_over_its_draft("0.0235");
    let failing = Provider::start(|_, _| say(400, json!({"error": {"message": "no"}})));
    let raised = ["resume", "1", "--slo", "cost <= 1 usd", "--adapt", "off"];
    assert_eq!(with(&mkbc, &failing.url, None, &raised).code, Some(1));
    let healthy = Provider::start(|_, _| tokens("polished", 100, 100));
    let done = with(&mkbc, &healthy.url, None, &["resume", "1", "--adapt", "off"]);
    assert_eq!((done.code, done.out.trim()), (Some(0), "polished"), "{}", done.err);
    // The request that was under way when it was killed stays beside the clause.
    assert!(done.err.contains("cost <= 1 usd: holds, $0.0042 measured, and at most $0.02"), "{}", done.err);
    let shown = mkbc.run(&["show", "1"]).out;
    assert!(shown.contains("of 1 request whose end nobody knows"), "{shown}");
}

#[test]
fn a_call_that_was_refused_for_money_leaves_its_step_free() {
    let provider = Provider::start(|n, _| {
        tokens(if n == 0 { "a draft" } else { "polished" }, 100, if n == 0 { 900 } else { 100 })
    });
    let mkbc = models(&PAID.replace("LIMIT", "0.02"));
    let done = with(&mkbc, &provider.url, None, &[&ARGUMENTS[..], &["--adapt", "show"]].concat());
    assert_eq!(done.code, Some(1), "{}", done.err);
    let done = with(&mkbc, &provider.url, None, &["resume", "1"]);
    assert_eq!((done.code, done.out.trim()), (Some(0), "polished"), "{}", done.err);
    let seen = provider.seen();
    let asked: Vec<&str> = seen.iter().filter_map(|s| s.body["model"].as_str()).collect();
    assert_eq!(asked, ["large", "small"], "nothing was sent for the step before: {}", done.err);
}

#[test]
fn the_rest_of_a_resumed_run_is_planned_within_what_is_left() {
    // The first runtime dies over its draft, of which nobody knows whether it was charged.
    let healthy = Provider::start(|n, _| tokens(if n == 0 { "a draft" } else { "polished" }, 100, 100));
    let mkbc = killed_over_its_draft("0.0235");
    let done = with(&mkbc, &healthy.url, None, &["resume", "1"]);
    assert_eq!((done.code, done.out.trim()), (Some(0), "polished"), "{}", done.err);
    let seen = healthy.seen();
    let asked: Vec<&str> = seen.iter().filter_map(|s| s.body["model"].as_str()).collect();
    assert_eq!(asked, ["large", "small"], "what was begun goes on as it was, the rest is cheaper: {}", done.err);
    let said = adapted(&mkbc);
    assert_eq!(said.len(), 1, "{said:?}");
    for part in ["`cost <= 0.0235 usd` would be broken", "went to requests that were lost", "polish: `small`"] {
        assert!(said[0].contains(part), "{part}: {}", said[0]);
    }
    assert!(done.err.contains("the rest is planned again"), "{}", done.err);
    assert!(done.err.contains("measured, and at most $0.02"), "{}", done.err);
    assert!(done.err.contains("of 1 request whose end nobody knows"), "{}", done.err);
    // As it was planned, where one wants that, or where the job is another one now.
    for (change, arguments) in [(false, &["resume", "1", "--adapt", "off"][..]), (true, &["resume", "1"])] {
        let mkbc = killed_over_its_draft("0.0235");
        if change {
            mkbc.write("job.mkb", format!("// Changed.\n{}", mkbc.read("job.mkb")));
        }
        let done = with(&mkbc, &healthy.url, None, arguments);
        assert_eq!(adapted(&mkbc), [""; 0], "{}", done.err);
        let asked = healthy.seen().iter().filter(|s| s.body["model"] == "large").count();
        assert!(asked > 0, "{}", done.err);
        assert_eq!(done.err.contains("job.mkb` has changed since"), change, "{}", done.err);
    }
}

#[test]
fn a_provider_that_lies_spends_all_that_was_reserved_also_after_a_restart() {
    let lying = Provider::start(|_, _| tokens("free of charge", 0, 0));
    let mkbc = models(&PAID.replace("LIMIT", "0.03"));
    let done = with(&mkbc, &lying.url, None, &[&ARGUMENTS[..], &["--adapt", "off"]].concat());
    // The draft counts as the most that it could have cost; the polish may write what is left of it.
    let spent: f64 = records(&mkbc, 1)
        .iter()
        .filter_map(|r| if let Record::Settled { usd, .. } = r { usd.to_string().parse::<f64>().ok() } else { None })
        .sum();
    assert!(spent > 0.02 && spent <= 0.03 + 1e-12, "{spent}: {}", done.err);
}

#[test]
fn the_same_request_carries_the_same_key_until_it_is_answered() {
    let provider = Provider::start(|n, _| match n {
        0 => say(200, "{\"choices\": [").cut(),
        1 => say(500, json!({"error": {"message": "oops"}})),
        _ => chat("done"),
    });
    let job = PAID.replace("LIMIT", "1").replace("draft(text)", "draft(text) retry 3");
    let mkbc = models(&job);
    let done = with(&mkbc, &provider.url, None, &[&ARGUMENTS[..], &["--quiet", "--report", "run.html"]].concat());
    assert_eq!(done.code, Some(0), "{}", done.err);
    let page = mkbc.read("run.html");
    for (part, times) in [("class=\"retry\"", 2), ("until the next attempt", 2), ("Attempts that failed</h3>", 1)] {
        assert_eq!(page.matches(part).count(), times, "{part}: {page}");
    }
    assert!(page.contains("<small>planned 100 + 100</small>"), "tokens of the second step: {page}");
    let keys: Vec<String> = provider.seen().into_iter().map(|s| s.once).collect();
    assert!(keys.iter().all(|key| key.len() == 64), "{keys:?}");
    assert_eq!(keys[0], keys[1], "nobody knows what came of the first");
    assert_ne!(keys[1], keys[2], "the second was answered, and that answer is not wanted again");
    assert_ne!(keys[2], keys[3], "another step");
}

// ---- the cache ----

#[test]
fn what_came_from_the_cache_cost_nothing() {
    let provider = Provider::start(|_, _| tokens("kept", 100, 100));
    let mkbc = models(&PAID.replace("LIMIT", "1"));
    let cached = [&ARGUMENTS[..], &["--cache"]].concat();
    assert_eq!(with(&mkbc, &provider.url, None, &cached).code, Some(0));
    let done = with(&mkbc, &provider.url, None, &cached);
    assert_eq!(provider.seen().len(), 2, "{}", done.err);
    assert!(done.err.contains("cost <= 1 usd: holds, $0 measured"), "{}", done.err);
    assert!(!done.err.contains("is not visible here"), "{}", done.err);
    assert!(mkbc.run(&["runs"]).out.contains("| 0.000000 |"), "{}", mkbc.run(&["runs"]).out);
}

#[test]
fn a_second_run_finds_what_the_first_one_made() {
    let job = "use desk\n\njob answer(text: Text) -> Text {\n  expect text of 10 tok\n\n  let a = first(text) cache on\n  second(a)\n}\n";
    let mkbc = desk("echo once >> made.txt; echo kept\n", "echo \"$1 thorough\"\n", job);
    let made = mkbc.path("made.txt").display().to_string();
    mkbc.write("slow.sh", format!("echo once >> {made}; echo kept\n"));
    let times = || mkbc.read("made.txt").lines().count();
    let first = run(&mkbc, &[]);
    assert_eq!((first.code, first.out.trim()), (Some(0), "kept thorough"), "{}", first.err);
    let second = run(&mkbc, &[]);
    assert_eq!((second.code, second.out.trim()), (Some(0), "kept thorough"), "{}", second.err);
    assert_eq!(times(), 1);
    assert!(second.err.contains("first: 1 result from the cache"), "{}", second.err);
    let cached = records(&mkbc, 2).into_iter().any(|r| matches!(r, Record::Result { source: Source::Cached, .. }));
    assert!(cached, "it is journalled");
    assert_eq!(run(&mkbc, &["--no-cache"]).code, Some(0));
    assert_eq!(times(), 2);
    // Another tool is another key.
    mkbc.write("slow.sh", format!("echo once >> {made}; echo changed\n"));
    assert_eq!(run(&mkbc, &[]).out.trim(), "changed thorough");
    assert_eq!(times(), 3);
    let listed = mkbc.run(&["cache", "list", "--json"]);
    let listed: Value = serde_json::from_str(&listed.out).expect("JSON");
    assert_eq!(listed.as_array().map(Vec::len), Some(2), "{listed:#}");
    assert_eq!(listed[0]["implementation"], "slow");
    assert!(mkbc.run(&["cache", "gc", "--most", "0"]).out.starts_with("2 results removed"));
    assert_eq!(run(&mkbc, &[]).out.trim(), "changed thorough");
    assert_eq!(times(), 4);
}

#[test]
fn a_result_that_is_older_than_the_job_says_is_made_again() {
    let job = |cache: &str| {
        format!("use desk\n\njob answer(text: Text) -> Text {{\n  expect text of 10 tok\n\n  first(text) {cache}\n}}\n")
    };
    let mkbc = desk("", "", &job("cache weekly"));
    let made = mkbc.path("made.txt").display().to_string();
    mkbc.write("slow.sh", format!("echo once >> {made}; echo kept\n"));
    let times = |cache: &str| {
        mkbc.write("job.mkb", job(cache));
        let done = run(&mkbc, &[]);
        assert_eq!((done.code, done.out.trim()), (Some(0), "kept"), "{}", done.err);
        mkbc.read("made.txt").lines().count()
    };
    assert_eq!([times("cache weekly"), times("cache weekly"), times("cache 2 h")], [1, 1, 1]);
    // A run takes longer to begin than this.
    assert_eq!([times("cache 1 ms"), times("cache 1 ms")], [2, 3]);
    assert_eq!([times("cache weekly"), times("cache on"), times("cache off")], [3, 3, 4]);
    let listed = mkbc.run(&["cache", "list", "--json"]);
    let listed: Value = serde_json::from_str(&listed.out).expect("JSON");
    assert!(listed[0]["made"].as_str().is_some_and(|made| made.starts_with("20")), "{listed:#}");
    let plan: Value =
        serde_json::from_str(&mkbc.run(&["plan", "job.mkb", "--library", "lib", "--cluster", "here", "--json"]).out)
            .expect("a plan");
    assert_eq!(plan["steps"][0]["conditions"]["cache"], false, "{plan:#}");
    mkbc.write("job.mkb", job("cache daily"));
    let plan: Value =
        serde_json::from_str(&mkbc.run(&["plan", "job.mkb", "--library", "lib", "--cluster", "here", "--json"]).out)
            .expect("a plan");
    assert_eq!(plan["steps"][0]["conditions"]["cache"]["at_most_ms"], 86_400_000, "{plan:#}");
}

#[test]
fn failures_and_what_nobody_asked_to_keep_are_not_kept() {
    let job = "use desk\n\njob answer(text: Text) -> Text {\n  expect text of 10 tok\n\n  first(text)\n}\n";
    let mkbc = desk("exit 1\n", "", job);
    mkbc.write("job.mkb", job.replace("first(text)", "first(text) using slow cache on"));
    assert_eq!(run(&mkbc, &[]).code, Some(1));
    let empty = |mkbc: &Mkbc| mkbc.run(&["cache", "list", "--json"]).out.trim() == "[]";
    assert!(empty(&mkbc));
    let mkbc = desk("echo a\n", "", job);
    assert_eq!(run(&mkbc, &[]).code, Some(0));
    assert!(empty(&mkbc), "a tool of one's own may have effects");
    assert_eq!(run(&mkbc, &["--cache"]).code, Some(0));
    assert!(!empty(&mkbc), "unless one says that it has none");
}

// ---- looking at runs ----

#[test]
fn two_runs_are_compared_step_by_step() {
    let mkbc = desk("echo a\n", "echo \"$1 thorough\"\n", JOB);
    assert_eq!(run(&mkbc, &[]).code, Some(0));
    mkbc.write("job.mkb", JOB.replace("second(a)", "second(a) using quick"));
    assert_eq!(run(&mkbc, &[]).code, Some(0));
    let shown = mkbc.run(&["compare", "1", "2"]);
    assert_eq!(shown.code, Some(0), "{}", shown.err);
    for part in [
        "thorough on cpu * 1",
        "quick on cpu * 1",
        "the plans differ:",
        "second: thorough → quick",
        "the answers differ",
        "whole run",
        "99 %",
        "90 %",
    ] {
        assert!(shown.out.contains(part), "{part}: {}", shown.out);
    }
    let json: Value = serde_json::from_str(&mkbc.run(&["compare", "1", "2", "--json"]).out).expect("JSON");
    assert_eq!(json["steps"][1]["before"]["choice"], "thorough on cpu * 1", "{json:#}");
    assert_eq!(
        (json["same_answer"].as_bool(), json["steps"][0]["after"]["measured"]["calls"].as_u64()),
        (Some(false), Some(1))
    );
    let same = mkbc.run(&["compare", "1", "1"]).out;
    assert!(same.contains("the plans are the same") && same.contains("the answers are the same"), "{same}");
    assert_eq!(mkbc.run(&["compare", "1", "9"]).code, Some(1));
}

#[test]
fn top_shows_runs_as_text_and_on_a_real_terminal() {
    use std::io::{Read, Write};
    let mkbc = desk("echo a\n", "echo b\n", JOB);
    assert_eq!(run(&mkbc, &[]).code, Some(0));
    let once = mkbc.run(&["top", "--once"]);
    assert_eq!(once.code, Some(0), "{}", once.err);
    for part in ["0 live, 1 shown", "answer", "done", "2 of 2 steps", "thorough"] {
        assert!(once.out.contains(part), "{part}: {}", once.out);
    }
    if !mkbc::have(&["script", "stty"]) {
        return;
    }
    // `script` gives it a terminal; it draws until q is pressed, and leaves the terminal as it was.
    let command = format!("stty rows 30 cols 110; {} top --every 0.1; echo left with $?", mkbc::BINARY);
    let mut child = std::process::Command::new("script")
        .args(["-qefc", &command, "/dev/null"])
        .current_dir(mkbc.path(""))
        .env("TERM", "xterm")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("script starts");
    let mut from = child.stdout.take().expect("output");
    let mut seen = Vec::new();
    let mut part = [0; 4096];
    while !String::from_utf8_lossy(&seen).contains("q quits") {
        let n = from.read(&mut part).expect("output");
        assert!(n > 0, "it ended before it drew: {}", String::from_utf8_lossy(&seen));
        seen.extend_from_slice(&part[..n]);
    }
    child.stdin.as_mut().expect("input").write_all(b"q").expect("a key");
    from.read_to_end(&mut seen).expect("output");
    child.wait().expect("it ends");
    let seen = String::from_utf8_lossy(&seen);
    assert!(seen.contains("left with 0") && seen.contains("\u{1b}[?1049l"), "{seen}");
}

#[test]
fn a_plan_from_a_file_is_run_as_it_is() {
    let job = "use desk\n\njob answer(texts: List[Text]) -> List[Text] {\n  expect texts * 2 of 10 tok\n  slo {\n    latency <= 9 s\n    \
               quality >= 80 %\n  }\n  maximize quality\n\n  for text in texts {\n    let a = first(text)\n    second(a)\n  }\n}\n";
    let mkbc = desk("echo \"$1\"\n", "echo \"$1 thorough\"\n", job);
    let words = ["run", "job.mkb", "--library", "lib", "--plan", "plan.json", "--texts", "a", "b", "c", "d", "e", "f"];
    let planned = mkbc.run(&["plan", "job.mkb", "--library", "lib", "--cluster", "here", "-o", "plan.json"]);
    assert!(planned.out.contains("thorough"), "{}{}", planned.out, planned.err);
    // A plan from a file is run as it is, and says that it is.
    let done = mkbc.run(&words);
    assert_eq!(done.code, Some(0), "{}", done.err);
    assert!(done.out.contains("a thorough") && adapted(&mkbc).is_empty(), "{}", done.out);
    let refused = mkbc.run(&[&words[..], &["--adapt", "on"]].concat());
    assert_eq!(refused.code, Some(2), "{}", refused.err);
}
