//! Local models in worker processes: what a job says when they are not there, and a real worker (`workers/candle`) with tiny weights.
//!
//! The real one has to be built (`make workers`); without it that test says that it is skipped. How the engine copes with a worker that
//! fails, hangs or dies is in `tests/engines.rs`.

#[path = "cli/mkbc.rs"]
mod mkbc;

use mkbc::{Mkbc, have, repository};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

const FIXTURES: &str = "workers/candle/tests/fixtures";

/// The worker, where it is built.
fn worker() -> Option<PathBuf> {
    let target = repository().join("workers/candle/target");
    let built = ["release", "debug"].map(|profile| target.join(profile).join("mkbc-candle"));
    let named = std::env::var_os("MKBC_CANDLE").map(PathBuf::from);
    let found = named.into_iter().chain(built).find(|path| path.is_file());
    if found.is_none() {
        eprintln!("skipped: the worker for local models is not built (make workers)");
    }
    found
}

/// A job whose texts are embedded one by one, by a model with these weights.
fn stage(weights: &str) -> Mkbc {
    let mkbc = Mkbc::new();
    fs::create_dir_all(mkbc.path("lib/profiles")).expect("a folder");
    mkbc.write(
        "lib/tiny.mkb",
        format!(
            "use std.retrieval\n\nmodel tiny implements embed {{\n  license \"Apache-2.0\"\n  runs on cpu * 1\n  engine worker {{\n    \
             serve candle\n    model \"{weights}\"\n    function embed\n  }}\n  profile \"tiny.csv\"\n}}\n"
        ),
    );
    mkbc.write(
        "lib/profiles/tiny.csv",
        "device,units,figure,value,unit,low,high,evidence,source\ncpu,,latency,0.1,s,,,estimated,made for this test\n\
         cpu,,memory,0.1,GB,,,estimated,made for this test\ncpu,,power,5,W,,,estimated,made for this test\n\
         ,,quality,50,%,,,estimated,made for this test\n",
    );
    mkbc.write(
        "job.mkb",
        "use std.retrieval\nuse tiny\n\n/// The vector of each text.\njob vectors(texts: List[Text]) -> List[List[Embedding]] {\n  \
         expect texts * 5\n  using tiny\n  for text in texts {\n    embed([text])\n  }\n}\n",
    );
    mkbc
}

fn expected() -> (Vec<String>, Vec<Vec<f64>>) {
    let text = fs::read_to_string(repository().join(FIXTURES).join("bert/expected.json")).expect("the fixture");
    let golden: Value = serde_json::from_str(&text).expect("JSON");
    let part = |name: &str| golden[name].clone();
    (
        serde_json::from_value(part("texts")).expect("texts"),
        serde_json::from_value(part("embeddings")).expect("vectors"),
    )
}

#[test]
fn a_real_worker_loads_once_answers_call_after_call_and_is_gone_afterwards() {
    let Some(worker) = worker() else { return };
    let (texts, vectors) = expected();
    // More calls than can overlap: some of them are answered by a worker that answered before.
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let (texts, vectors) = (vec![texts; 2 * cores].concat(), vec![vectors; 2 * cores].concat());
    let mkbc = stage("bert");
    let starts = mkbc.path("starts").display().to_string();
    mkbc.write("worker", format!("#!/bin/sh\necho started >> '{starts}'\nexec '{}' \"$@\"\n", worker.display()));
    fs::set_permissions(mkbc.path("worker"), fs::Permissions::from_mode(0o755)).expect("a program");
    let mut command = mkbc.command(["run", "job.mkb", "--library", "lib", "--json", "--texts"]);
    command.args(&texts).env("MKBC_CANDLE", mkbc.path("worker")).env("MKBC_WEIGHTS", repository().join(FIXTURES));
    let done = mkbc.end(&mut command);
    assert_eq!(done.code, Some(0), "{}", done.err);
    let report: Value = serde_json::from_str(&done.out).expect("a report");
    let found: Vec<Vec<Vec<f64>>> = serde_json::from_value(report["result"]["ok"].clone()).expect("vectors");
    assert_eq!(found.len(), vectors.len());
    for (text, (found, wanted)) in texts.iter().zip(found.iter().zip(&vectors)) {
        let apart = found[0].iter().zip(wanted).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(found.len() == 1 && found[0].len() == wanted.len() && apart < 1e-4, "{text}: {apart}");
    }
    assert!(report["steps"][0]["memory_gb"].as_f64().is_some_and(|gb| gb > 0.001), "{report:#}");
    assert!((1..=cores).contains(&mkbc.read("starts").lines().count()), "{}", mkbc.read("starts"));
    // Workers are at work in a folder of the run.
    let folders =
        fs::read_dir("/proc").expect("/proc").flatten().filter_map(|e| fs::read_link(e.path().join("cwd")).ok());
    let left: Vec<PathBuf> = folders.filter(|folder| folder.starts_with(mkbc.path(""))).collect();
    assert!(left.is_empty(), "a worker is left in {left:?}");
}

/// Speech and continued texts: that a job's media, lists and knobs reach a model, and its answers have the declared types.
#[test]
fn other_families_answer_in_the_types_of_their_tasks() {
    let Some(worker) = worker().filter(|_| have(&["ffprobe"])) else { return };
    let mkbc = stage("bert");
    let model = |name: &str, task: &str, weights: &str, rest: &str| {
        format!(
            "model {name} implements {task} {{\n  license \"MIT\"\n  runs on cpu * 1\n  engine worker {{\n    serve candle\n    \
             model \"{weights}\"\n    {rest}\n  }}\n  profile \"tiny.csv\"\n}}\n"
        )
    };
    let models = [
        model("hears", "speech_to_text", "whisper", "function transcribe\n    language \"de\""),
        model("goes_on", "continue_texts", "qwen2", "function generate\n    max_tokens \"12\""),
    ];
    mkbc.write("lib/more.mkb", format!("use std.speech\nuse candle\n\n{}", models.concat()));
    mkbc.write(
        "speech.mkb",
        "use std.speech\nuse more\n\n/// What is said.\njob speech(sound: Audio) -> Transcript {\n  \
         using hears\n  speech_to_text(sound)\n}\n",
    );
    mkbc.write(
        "texts.mkb",
        "use candle\nuse more\n\n/// More of it.\njob texts(begin: List[Text]) -> List[Text] {\n  \
         expect begin * 3\n  using goes_on\n  continue_texts(begin)\n}\n",
    );
    let library = repository().join("workers/candle/library");
    let run = |job: &str, arguments: &[&str]| {
        let mut command = mkbc.command(["run", job, "--library", "lib", "--json", "--library"]);
        command.arg(&library).args(arguments);
        let done = mkbc.end(command.env("MKBC_CANDLE", &worker).env("MKBC_WEIGHTS", repository().join(FIXTURES)));
        assert_eq!(done.code, Some(0), "{job}: {}", done.err);
        serde_json::from_str::<Value>(&done.out).expect("a report")["result"]["ok"].clone()
    };
    let sound = repository().join(FIXTURES).join("whisper/sound.wav").display().to_string();
    let heard = run("speech.mkb", &["--sound", &sound]);
    assert_eq!(heard["language"], "de");
    assert!(heard["segments"].is_array(), "{heard}");
    let golden = fs::read_to_string(repository().join(FIXTURES).join("qwen2/expected.json")).expect("the fixture");
    let golden: Value = serde_json::from_str(&golden).expect("JSON");
    let prompts: Vec<String> = serde_json::from_value(golden["prompts"].clone()).expect("prompts");
    let arguments: Vec<&str> = ["--begin"].into_iter().chain(prompts.iter().map(String::as_str)).collect();
    assert_eq!(run("texts.mkb", &arguments), golden["answers"]);
}

#[test]
fn a_worker_dies_with_mkbc_however_that_ends() {
    let mkbc = stage("bert");
    // No worker at all: it never gets ready.
    let pid = mkbc.path("pid").display().to_string();
    mkbc.write("worker", format!("#!/bin/sh\necho $$ > '{pid}.new'; mv '{pid}.new' '{pid}'\nexec sleep 97.241\n"));
    fs::set_permissions(mkbc.path("worker"), fs::Permissions::from_mode(0o755)).expect("a program");
    let mut command = mkbc.command(["run", "job.mkb", "--library", "lib", "--quiet", "--texts", "a"]);
    command.env("MKBC_CANDLE", mkbc.path("worker")).env("MKBC_WEIGHTS", repository().join(FIXTURES));
    let mut run = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("mkbc");
    let until = |what: &str, done: &dyn Fn() -> bool| {
        for _ in 0..600 {
            if done() {
                return;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("{what}");
    };
    until("no worker was started", &|| mkbc.path("pid").exists());
    run.kill().and_then(|()| run.wait()).expect("killed");
    let about = PathBuf::from("/proc").join(mkbc.read("pid").trim()).join("cmdline");
    until("the worker is left", &|| !fs::read(&about).is_ok_and(|line| line.starts_with(b"sleep")));
}

#[test]
fn weights_of_another_digest_are_refused() {
    let Some(worker) = worker() else { return };
    let mkbc = stage("bert");
    let library = mkbc.read("lib/tiny.mkb").replace("function embed", "sha256 \"0000\"\n    function embed");
    mkbc.write("lib/tiny.mkb", library);
    let mut command = mkbc.command(["run", "job.mkb", "--library", "lib", "--texts", "a"]);
    command.env("MKBC_CANDLE", &worker).env("MKBC_WEIGHTS", repository().join(FIXTURES));
    let done = mkbc.end(&mut command);
    assert_eq!(done.code, Some(1), "{}", done.out);
    for part in ["WeightsError", "SHA-256", "model.safetensors"] {
        assert!(done.err.contains(part), "no `{part}`: {}", done.err);
    }
}

#[test]
fn a_worker_or_weights_that_are_not_there_are_errors_that_say_how_to_get_them() {
    let mkbc = stage("org/none");
    let plan = mkbc.run(&["plan", "job.mkb", "--library", "lib", "--cluster", "azure_mixed", "--out", "plan.json"]);
    assert_eq!(plan.code, Some(0), "{}", plan.err);
    let run = |variables: &[(&str, &str)]| {
        let mut command = mkbc.command(["run", "job.mkb", "--library", "lib", "--plan", "plan.json", "--texts", "a"]);
        let done = mkbc.end(command.env("PATH", "/usr/bin:/bin").envs(variables.iter().copied()));
        assert_eq!(done.code, Some(1), "{}", done.out);
        done.err
    };
    let said = run(&[]);
    for part in ["`mkbc-candle`, which runs local models, is not installed", "--path workers/candle", "MKBC_CANDLE"] {
        assert!(said.contains(part), "no `{part}`: {said}");
    }
    for part in ["the weights of `org/none` are not on this machine", "huggingface-cli download org/none"] {
        assert!(said.contains(part), "no `{part}`: {said}");
    }
    assert!(run(&[("MKBC_CANDLE", "/nonexistent")]).contains("MKBC_CANDLE names `/nonexistent`"));
    let doctor = mkbc.end(mkbc.command(["doctor", "--library", "lib"]).env("PATH", "/usr/bin:/bin"));
    assert!(doctor.out.contains("local models: the program `mkbc-candle`"), "{}", doctor.out);
}

#[test]
fn the_library_of_local_models_is_one() {
    let mkbc = Mkbc::new();
    let library = repository().join("workers/candle/library").display().to_string();
    let done = mkbc.run(&["library", "--library", &library]);
    assert_eq!(done.code, Some(0), "{}", done.err);
    for name in ["minilm_local", "clip_local", "whisper_local", "small_local", "continue_texts"] {
        assert!(done.out.contains(name), "no `{name}`: {}", done.out);
    }
    let wrong = "engine worker { serve candle, modle \"m\", function embed }";
    mkbc.write(
        "wrong.mkb",
        format!("use std.retrieval\n\nmodel wrong implements embed {{\n  runs on cpu * 1\n  {wrong}\n}}\n"),
    );
    let done = mkbc.run(&["check", "wrong.mkb"]);
    assert_eq!(done.code, Some(1));
    let said = done.out + &done.err;
    assert!(said.contains("modle") && said.contains("model"), "{said}");
}
