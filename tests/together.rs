//! Calls that are made as one: which come together, what each gets back, and what failures, limits and kills leave of that. Real processes and a
//! real HTTP server; the models in them are FAKES that count what they are asked.

#[path = "cli/mkbc.rs"]
mod mkbc;
#[path = "run/provider.rs"]
mod provider;

use mkbc::{Done, Mkbc, repository};
use provider::{Act, KEY, Provider, Seen, say};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

const PROFILE: &str = "device,units,figure,value,unit,low,high,evidence,source
,,latency,1,s,,,estimated,made for this test
,,quality,90,%,,,estimated,made for this test
";

/// What calls that go on wait for here: longer than any of these runs takes, so that only what is counted ends a wait.
const LONG: &str = "600";

/// A project with one engine for the standard task `embed`, and this job.
fn project(runs: &str, engine: &str, job: &str) -> Mkbc {
    let mkbc = Mkbc::new();
    fs::create_dir_all(mkbc.path("lib/profiles")).expect("a folder");
    mkbc.write(
        "lib/vectors.mkb",
        format!(
            "use std.retrieval\n\n/// A FAKE, made for this test.\nmodel vectors implements embed {{\n  runs on {runs}\n  \
             engine {engine}\n  profile \"vectors.csv\"\n}}\n\n/// Waits until a file is there.\ntask after(text: Text) -> Text {{\n  work text.tokens\n  \
             size tokens = text.tokens\n}}\ntool waits implements after {{\n  runs on cpu * 1\n  engine process {{ command [\"sh\", \"{}\", \"{{text}}\"] }}\n  \
             profile \"vectors.csv\"\n}}\n",
            mkbc.path("after.sh").display()
        ),
    );
    mkbc.write(
        "after.sh",
        format!("until test -e '{}'; do sleep 0.01; done; echo \"$1\"\n", mkbc.path("go").display()),
    );
    mkbc.write("lib/profiles/vectors.csv", PROFILE);
    mkbc.write("job.mkb", format!("use std.retrieval\nuse vectors\n\n{job}"));
    mkbc
}

fn openai(together: u32) -> String {
    format!(
        "openai {{ api embeddings, model \"m\", url \"https://example.org/v1\", url_env VECTORS_URL, key env VECTORS_KEY, \
         together {together} }}"
    )
}

/// Vectors of one map after the other.
const TWO_MAPS: &str = "/// The vectors of all texts.
job vectors_of(xs: List[Text], ys: List[Text]) -> List[List[List[Embedding]]] {
  expect xs * 5
  expect ys * 4
  using vectors

  let a = for x in xs { embed([x]) retry 1 }
  let b = for y in ys { embed([y]) retry 1 }
  [a, b]
}
";

/// The texts of a request.
fn texts(seen: &Seen) -> Vec<String> {
    serde_json::from_value(seen.body["input"].clone()).expect("texts")
}

/// The vector that a text has here: its bytes.
fn vector(text: &str) -> Value {
    text.bytes().map(f64::from).collect()
}

/// The vectors of a request's texts but for those that are left out, and a token for each byte.
fn embedded(seen: &Seen, but: &str) -> Act {
    let texts = texts(seen);
    let all = texts.iter().enumerate().filter(|(_, text)| *text != but);
    let data: Vec<Value> = all.map(|(i, text)| json!({"index": i, "embedding": vector(text)})).collect();
    let bytes: usize = texts.iter().map(String::len).sum();
    say(200, json!({"data": data, "usage": {"prompt_tokens": bytes}}))
}

fn run(mkbc: &Mkbc, url: &str, arguments: &[&str]) -> Done {
    let all = [&["run", "job.mkb", "--library", "lib", "--json", "--adapt", "off"], arguments].concat();
    mkbc.end(mkbc.command(all).env("VECTORS_URL", url).env("VECTORS_KEY", KEY))
}

fn report(done: &Done) -> Value {
    assert_eq!(done.code, Some(0), "{}", done.err);
    serde_json::from_str(&done.out).expect("a report")
}

/// What [`TWO_MAPS`] gives.
fn all_of(lists: [&[&str]; 2]) -> Value {
    json!(lists.map(|list| list.iter().map(|text| json!([vector(text)])).collect::<Vec<_>>()))
}

const XS: [&str; 5] = ["x1", "x2", "x3", "x4", "x5"];
const YS: [&str; 4] = ["y1", "y2", "y3", "y4"];

fn maps() -> Vec<&'static str> {
    [&["--xs"][..], &XS, &["--ys"], &YS].concat()
}

// ---- which come together ----

#[test]
fn items_of_different_maps_share_requests_up_to_their_size() {
    let mkbc = project("api", &openai(3), TWO_MAPS);
    let provider = Provider::start(|_, seen| embedded(seen, ""));
    // Nine calls are three full requests: nobody waits for the end of the time.
    let done = run(&mkbc, &provider.url, &[&["--gather", LONG][..], &maps()].concat());
    let report = report(&done);
    assert_eq!(report["result"]["ok"], all_of([&XS, &YS]));
    let requests: Vec<Vec<String>> = provider.seen().iter().map(texts).collect();
    let sizes: Vec<usize> = requests.iter().map(Vec::len).collect();
    assert_eq!(sizes, [3, 3, 3], "{requests:?}");
    let mixed =
        |texts: &&Vec<String>| texts.iter().any(|t| t.starts_with('x')) && texts.iter().any(|t| t.starts_with('y'));
    assert!(requests.iter().filter(mixed).count() > 0, "{requests:?}");
    let of = |name: &str| report["steps"].as_array().into_iter().flatten().map(|s| s[name].clone()).collect::<Vec<_>>();
    assert_eq!((of("calls"), of("together")), (vec![json!(5), json!(4)], vec![json!(5), json!(4)]));
    // What was read is each call's own, though it was one request.
    assert_eq!(of("tokens_in"), [json!(10), json!(8)]);
}

#[test]
fn without_any_time_what_is_ready_at_once_still_comes_together() {
    let mkbc = project("api", &openai(3), TWO_MAPS);
    let provider = Provider::start(|_, seen| embedded(seen, ""));
    let done = run(&mkbc, &provider.url, &[&["--gather", "0"][..], &maps()].concat());
    assert_eq!(report(&done)["result"]["ok"], all_of([&XS, &YS]));
    assert_eq!(provider.seen().iter().map(|seen| texts(seen).len()).collect::<Vec<_>>(), [3, 3, 3]);
}

/// A call that comes only once the request of the other was sent.
const LATER: &str = "/// Vectors of both.
job both(one: Text, other: Text) -> List[List[Embedding]] {
  SLO
  using vectors

  let a = embed([one])
  let b = embed([after(other)])
  [a, b]
}
";

/// Whether the other call of [`LATER`] came by itself: what it waits for appears with the first request.
fn comes_by_itself(slo: &str, gather: &str) {
    let mkbc = project("api", &openai(8), &LATER.replace("  SLO\n", slo));
    let go = mkbc.path("go");
    let provider = Provider::start(move |_, seen| {
        fs::write(&go, "").expect("a file");
        embedded(seen, "")
    });
    let done = run(&mkbc, &provider.url, &["--gather", gather, "--one", "a", "--other", "b"]);
    assert_eq!(report(&done)["result"]["ok"], json!([[vector("a")], [vector("b")]]));
    assert_eq!(provider.seen().iter().map(texts).collect::<Vec<_>>(), [["a"], ["b"]]);
}

#[test]
fn the_time_that_a_run_waits_ends() {
    comes_by_itself("", "0.05");
}

#[test]
fn a_run_waits_no_longer_than_its_plan_has_time() {
    // The calls are planned to take 2 s, one after the other.
    comes_by_itself("  slo { latency <= 2.05 s }\n", LONG);
}

#[test]
fn different_steps_come_together_within_the_time() {
    let mkbc = project("api", &openai(2), &LATER.replace("  SLO\n", ""));
    mkbc.write("go", "");
    let provider = Provider::start(|_, seen| embedded(seen, ""));
    let done = run(&mkbc, &provider.url, &["--gather", LONG, "--one", "a", "--other", "b"]);
    assert_eq!(report(&done)["result"]["ok"], json!([[vector("a")], [vector("b")]]));
    assert_eq!(provider.seen().iter().map(texts).collect::<Vec<_>>(), [["a", "b"]]);
}

// ---- failures ----

#[test]
fn a_text_without_a_vector_is_asked_for_again_and_the_others_are_not() {
    let mkbc = project("api", &openai(9), TWO_MAPS);
    let provider = Provider::start(|n, seen| embedded(seen, if n == 0 { "x2" } else { "" }));
    let done = run(&mkbc, &provider.url, &[&["--gather", LONG][..], &maps()].concat());
    let report = report(&done);
    assert_eq!(report["result"]["ok"], all_of([&XS, &YS]));
    let requests: Vec<Vec<String>> = provider.seen().iter().map(texts).collect();
    assert_eq!((requests.len(), &requests[1]), (2, &vec!["x2".to_owned()]));
    assert_eq!(report["steps"][0]["attempts"], 6, "{report:#}");
    assert_eq!(report["steps"][0]["started"], 5);
}

#[test]
fn where_nobody_says_which_text_is_refused_each_is_asked_for_alone() {
    let mkbc = project("api", &openai(3), TWO_MAPS);
    let provider = Provider::start(|_, seen| match texts(seen).iter().any(|text| text == "x2") {
        true => say(400, json!({"error": {"message": "a text is refused"}})),
        false => embedded(seen, ""),
    });
    let done = run(&mkbc, &provider.url, &[&["--gather", LONG, "--keep-going"][..], &maps()].concat());
    assert_eq!(done.code, Some(1), "{}", done.out);
    assert!(
        done.err.contains("a text is refused") || done.out.contains("a text is refused"),
        "{}{}",
        done.out,
        done.err
    );
    let mut sizes: Vec<usize> = provider.seen().iter().map(|seen| texts(seen).len()).collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [1, 1, 1, 3, 3, 3], "x1, x2 and x3 once more, each alone");
    // All but one are done; the rest is one request once the provider takes the text.
    let provider = Provider::start(|_, seen| embedded(seen, ""));
    let resumed =
        mkbc.end(mkbc.command(["resume", "1", "--json"]).env("VECTORS_URL", &provider.url).env("VECTORS_KEY", KEY));
    assert_eq!(report(&resumed)["result"]["ok"], all_of([&XS, &YS]));
    assert_eq!(provider.seen().iter().map(texts).collect::<Vec<_>>(), [["x2"]]);
}

#[test]
fn a_provider_that_is_busy_is_asked_again_with_all_of_them() {
    let mkbc = project("api", &openai(9), TWO_MAPS);
    let provider = Provider::start(|n, seen| match n {
        0 => say(503, json!({"error": {"message": "busy"}})),
        _ => embedded(seen, ""),
    });
    let done = run(&mkbc, &provider.url, &[&["--gather", LONG][..], &maps()].concat());
    assert_eq!(report(&done)["result"]["ok"], all_of([&XS, &YS]));
    let seen = provider.seen();
    assert_eq!(seen.iter().map(|seen| texts(seen).len()).collect::<Vec<_>>(), [9, 9]);
    assert!(seen.iter().all(|seen| !seen.once.is_empty()), "each has a key of its own");
}

// ---- engines of one's own ----

/// A Python tool that says how many calls it was sent as one, and refuses a text the first time that it sees it.
const TOOL: &str = r#"
import os
from typing import List

import murakkab

HERE = os.path.dirname(os.path.abspath(__file__))


@murakkab.tool
def embed(texts: List[str]) -> List[murakkab.Embedding]:
    with open(os.path.join(HERE, "seen"), "a") as seen:
        seen.write("alone " + " ".join(texts) + "\n")
    return [murakkab.Embedding(map(float, text.encode())) for text in texts]


@murakkab.together(embed)
def embed_many(calls):
    with open(os.path.join(HERE, "seen"), "a") as seen:
        seen.write("together " + " ".join(call["texts"][0] for call in calls) + "\n")
    refused = ValueError("not now")
    return [refused if call["texts"] == ["y2"] else [list(map(float, call["texts"][0].encode()))] for call in calls]
"#;

fn python(mkbc: &Mkbc) {
    mkbc.write("lib/tool.py", TOOL);
}

/// A line of [`TOOL`]'s that says that all calls came as one.
const ALL: &str = "together x1 x2 x3 x4 x5 y1 y2 y3 y4";

/// The words of a line in order.
fn sorted(line: &str) -> String {
    let mut words: Vec<&str> = line.split(' ').collect();
    words.sort_unstable();
    words.join(" ")
}

const PYTHON: &str = "python { module \"tool.py\", function embed, together 9 }";

#[test]
fn a_python_tool_takes_several_calls_and_one_fails_for_itself() {
    let mkbc = project("cpu * 1", PYTHON, TWO_MAPS);
    python(&mkbc);
    let done = run(&mkbc, "", &[&["--gather", LONG][..], &maps()].concat());
    let report = report(&done);
    assert_eq!(report["result"]["ok"], all_of([&XS, &YS]));
    let seen = mkbc.read("lib/seen");
    let (first, rest) = seen.split_once('\n').expect("lines");
    assert_eq!((sorted(first), rest), (ALL.to_owned(), "alone y2\n"));
    // The time of the one call is parted among those that it was for.
    let steps = &report["steps"];
    let busy = |n: usize| steps[n]["busy_s"].as_f64().expect("seconds");
    assert!(busy(0) + busy(1) <= 1.5 * report["wall_s"].as_f64().expect("seconds"), "{report:#}");
}

#[test]
fn a_model_worker_takes_several_calls() {
    let engine = "worker { serve candle, model \"w\", function embed, together 9 }";
    let mkbc = project("cpu * 1", engine, TWO_MAPS);
    python(&mkbc);
    fs::create_dir_all(mkbc.path("weights/w")).expect("a folder");
    mkbc.write("weights/w/config.json", "{}");
    mkbc.write(
        "worker",
        format!(
            "#!/usr/bin/env python3\n# A FAKE: it has the command line and the pipe of a worker for local models, and no model.\n\
             import sys\nsys.path.insert(0, {:?})\nfrom murakkab.worker import Pipe, serve\n\
             serve(Pipe(int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[5])), {:?})\n",
            repository().join("python").display().to_string(),
            mkbc.path("lib/tool.py").display().to_string()
        ),
    );
    fs::set_permissions(mkbc.path("worker"), fs::Permissions::from_mode(0o755)).expect("a program");
    let all =
        [&["run", "job.mkb", "--library", "lib", "--json", "--gather", LONG, "--adapt", "off"][..], &maps()].concat();
    let mut command = mkbc.command(all);
    command.env("MKBC_CANDLE", mkbc.path("worker")).env("MKBC_WEIGHTS", mkbc.path("weights"));
    // A model's refusal is for good: the same call would fail again.
    let done = mkbc.end(&mut command);
    assert!(done.code == Some(1) && done.err.contains("ValueError: not now"), "{}{}", done.out, done.err);
    mkbc.write("lib/tool.py", TOOL.replace("[\"y2\"]", "[\"none\"]"));
    let done = mkbc.end(&mut command);
    assert_eq!(report(&done)["result"]["ok"], all_of([&XS, &YS]));
    let seen = mkbc.read("lib/seen");
    assert_eq!(seen.lines().last().map(sorted).as_deref(), Some(ALL));
}

/// A program that notes each call that it is told, and does not end with those that hold `x5` as long as a file is not there.
const PROGRAM: &str = r#"
import json, os, sys, time

calls = json.load(open(sys.argv[1]))
here = os.path.dirname(os.path.abspath(__file__))
texts = [call["arguments"]["texts"][0] for call in calls]
with open(os.path.join(here, "seen"), "a") as seen:
    for call, text in zip(calls, texts):
        seen.write(text + " " + call["key"] + "\n")
while "x5" in texts and not os.path.exists(os.path.join(here, "go")):
    time.sleep(0.01)
print(json.dumps([{"value": [list(map(float, text.encode()))]} for text in texts]))
"#;

fn wait_for(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..6000 {
        if holds() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("{what}");
}

#[test]
fn after_a_kill_no_finished_call_of_a_batch_is_made_again() {
    let mkbc =
        project("cpu * 1", "process { command [\"python3\", \"PROGRAM\", \"{calls}\"], read json, together 4 }", "");
    let program: PathBuf = mkbc.path("program.py");
    let library = mkbc.read("lib/vectors.mkb").replace("PROGRAM", &program.display().to_string());
    mkbc.write("lib/vectors.mkb", library);
    mkbc.write("program.py", PROGRAM);
    mkbc.write("job.mkb", format!("use std.retrieval\nuse vectors\n\n{}", TWO_MAPS.replace("xs * 5", "xs * 8")));
    let xs = ["x1", "x2", "x3", "x4", "x5", "x6", "x7", "x8"];
    let all = [&["run", "job.mkb", "--library", "lib", "--quiet", "--gather", LONG, "--xs"][..], &xs, &["--ys"], &YS]
        .concat();
    let mut command = mkbc.command(all);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("mkbc");
    let done = || {
        let shown = mkbc.run(&["show", "1", "--json"]);
        let shown: Value = serde_json::from_str(&shown.out).unwrap_or_default();
        let steps = shown["steps"].as_array().cloned().unwrap_or_default();
        steps.iter().filter_map(|step| step["calls"].as_u64()).sum::<u64>()
    };
    let begun = || fs::read_to_string(mkbc.path("seen")).unwrap_or_default().lines().count();
    // The batch with x5 hangs; the two others are recorded, call by call.
    wait_for("two batches are done, and the third begun", || begun() == 12 && done() == 8);
    child.kill().and_then(|()| child.wait()).expect("killed");
    mkbc.write("go", "");
    let resumed = mkbc.run(&["resume", "1", "--json"]);
    assert_eq!(report(&resumed)["result"]["ok"], all_of([&xs, &YS]));
    let seen = mkbc.read("seen");
    for text in xs.iter().chain(&YS) {
        let keys: Vec<&str> = seen.lines().filter(|line| line.starts_with(text)).collect();
        let wanted = if ["x5", "x6", "x7", "x8"].contains(text) { 2 } else { 1 };
        assert_eq!(keys.len(), wanted, "{text}: {seen}");
        assert!(keys.iter().all(|key| *key == keys[0]), "the same call has the same key: {keys:?}");
    }
    assert_eq!(mkbc.run(&["journal", "verify"]).code, Some(0));
}

#[test]
fn a_run_that_is_stopped_ends_a_batch_with_all_its_children() {
    let mkbc =
        project("cpu * 1", "process { command [\"sh\", \"hangs.sh\", \"{calls}\"], read json, together 9 }", TWO_MAPS);
    let script = mkbc.path("hangs.sh").display().to_string();
    mkbc.write("lib/vectors.mkb", mkbc.read("lib/vectors.mkb").replace("hangs.sh", &script));
    mkbc.write("hangs.sh", format!("echo $$ > '{}'; exec sleep 97.432\n", mkbc.path("pid").display()));
    let all =
        [&["run", "job.mkb", "--library", "lib", "--quiet", "--gather", "0", "--grace", "0"][..], &maps()].concat();
    let mut command = mkbc.command(all);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("mkbc");
    wait_for("the program began", || fs::read_to_string(mkbc.path("pid")).is_ok_and(|pid| pid.ends_with('\n')));
    let about = PathBuf::from("/proc").join(mkbc.read("pid").trim()).join("cmdline");
    let signalled = std::process::Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
    assert!(signalled.expect("kill").success());
    assert_eq!(child.wait().expect("it ends").code(), Some(143));
    wait_for("the program is left", || !fs::read(&about).is_ok_and(|line| line.starts_with(b"sleep")));
    let shown: Value = serde_json::from_str(&mkbc.run(&["show", "1", "--json"]).out).expect("JSON");
    assert_eq!(shown["state"], "stopped", "{shown:#}");
}
