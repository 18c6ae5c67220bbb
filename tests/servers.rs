//! Model servers: the command lines that start them, and a real one (llama.cpp's own server, over a tiny model with random weights) that
//! `mkbc run` starts, shares, starts again and stops.
//!
//! The real one needs `~/.cache/mkbc/llama`, a virtual environment with `xllamacpp` and `gguf` (docs/servers.md); without it these tests
//! say that they are skipped.

#[path = "cli/mkbc.rs"]
mod mkbc;

use mkbc::{Bless, Mkbc, repository};
use murakkab::plan::model::Serve;
use murakkab::run::servers::command::{Launch, Place, command};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Goldens: what would be started is what stands in this file. vLLM, `transformers serve` and llama.cpp have been run on cores (below), SGLang and Ollama nowhere.
#[test]
fn command_lines_of_servers() {
    let gpus = ["GPU-aaaa".to_owned(), "GPU-bbbb".to_owned()];
    let mut text = String::new();
    let cases = [
        ("vllm", "vllm", "chat", "/w/llama", &gpus[..], 32, 8192),
        ("vllm", "vllm", "embeddings", "/w/bge", &gpus[..1], 1, 0),
        ("vllm", "vllm", "chat", "/w/llama", &[], 1, 0),
        ("sglang", "sglang", "chat", "/w/llama", &gpus[..], 8, 8192),
        ("sglang", "/venv/bin/python3", "embeddings", "/w/bge", &gpus[..1], 1, 0),
        ("llama_cpp", "llama-server", "chat", "/w/llama.gguf", &gpus[..1], 4, 4096),
        ("llama_cpp", "llama-server", "embeddings", "/w/bge.gguf", &[], 1, 0),
        ("llama_cpp", "llama-server", "rerank", "/w/bge.gguf", &[], 1, 0),
        ("llama_cpp", "/venv/bin/python", "chat", "/w/llama.gguf", &[], 1, 4096),
        ("ollama", "ollama", "chat", "llama3.1:8b", &gpus[..1], 2, 4096),
        ("ollama", "ollama", "chat", "llama3.1:8b", &[], 1, 0),
        ("transformers", "transformers", "chat", "/w/llama", &gpus[..1], 8, 0),
    ];
    for (server, program, api, weights, gpus, parallel, context) in cases {
        let arguments =
            if server == "vllm" && context > 0 { vec!["--dtype".into(), "bfloat16".into()] } else { Vec::new() };
        let serve = Serve { server: server.into(), weights: weights.into(), context, parallel, arguments };
        let threads = if gpus.is_empty() { 8 } else { 0 };
        let launch = Launch {
            serve: &serve,
            model: "org/model",
            api,
            program,
            weights,
            port: 12345,
            gpus,
            threads,
            share: 0.4234,
            cache: 3 << 30,
            sleeps: gpus.len() == 1,
            place: Place::Here,
        };
        let line = command(&launch).expect("a command line");
        let where_to = if gpus.is_empty() { "cores".to_owned() } else { format!("{} GPUs", gpus.len()) };
        text.push_str(&format!("{server}, {api}, on {where_to}, {parallel} at once, context {context}\n"));
        for (name, value) in &line.env {
            text.push_str(&format!("  {name}={value}\n"));
        }
        if let Some(key) = line.key {
            text.push_str(&format!("  {key}=[random]\n"));
        }
        text.push_str(&format!("  {}\n", line.argv.join(" ")));
        text.push_str(&format!("  there when /{} answers; asked for `{}`\n\n", line.health, line.model));
    }
    let bless = Bless::default();
    bless.golden(&repository().join("tests/servers/commands.txt"), &text);
    bless.end();
    let serve = Serve { server: "triton".into(), weights: "w".into(), context: 0, parallel: 1, arguments: Vec::new() };
    let launch = Launch {
        serve: &serve,
        model: "m",
        api: "chat",
        program: "triton",
        weights: "w",
        port: 1,
        gpus: &[],
        threads: 1,
        share: 0.9,
        cache: 0,
        sleeps: false,
        place: Place::Here,
    };
    assert!(command(&launch).is_err_and(|f| f.message.contains("cannot start the server `triton`")));
}

/// The interpreter with llama.cpp's server; none, and said so, where it is not installed.
fn llama() -> Option<PathBuf> {
    let home = std::env::var_os("HOME").map(PathBuf::from)?;
    let python = home.join(".cache/mkbc/llama/bin/python");
    let works = Command::new(&python).args(["-c", "import xllamacpp, gguf"]).status().is_ok_and(|s| s.success());
    if !works {
        eprintln!("skipped: `{}` with xllamacpp and gguf is not there (docs/servers.md)", python.display());
    }
    works.then_some(python)
}

/// A program of the virtual environment that `tests/servers/get_vllm.sh` makes; none, and said so, where it is not installed.
fn of_vllm(program: &str) -> Option<PathBuf> {
    let home = std::env::var_os("HOME").map(PathBuf::from)?;
    let path = home.join(".cache/mkbc/vllm/bin").join(program);
    if !path.is_file() {
        eprintln!("skipped: `{}` is not there (tests/servers/get_vllm.sh)", path.display());
        return None;
    }
    Some(path)
}

/// The interpreter beside a program.
fn python_of(program: &Path) -> Command {
    Command::new(program.with_file_name("python"))
}

/// The folder that `tests/servers/get_ollama.sh` makes; none, and said so, where it is not there.
fn ollama() -> Option<PathBuf> {
    let folder = std::env::var_os("HOME").map(PathBuf::from)?.join(".cache/mkbc/ollama");
    if !folder.join("ollama/ollama-lib").is_file() {
        eprintln!("skipped: `{}` is not there (tests/servers/get_ollama.sh)", folder.display());
        return None;
    }
    Some(folder)
}

/// What kills the server with these weights, and nothing else: its guard has mkbc's own command line.
const KILL: &str = "for p in /proc/[0-9]*; do\n  if tr '\\0' '\\n' < $p/cmdline 2>/dev/null | grep -qx -- \"$1\"; then\n    \
                    n=${p#/proc/}; [ $n != $$ ] && kill -9 $n\n  fi\ndone\necho killed\n";

/// Writes a program into the folder.
fn script(mkbc: &Mkbc, name: &str, text: &str) {
    fs::create_dir_all(mkbc.path(name).parent().expect("a folder")).expect("a folder");
    mkbc.write(name, text);
    fs::set_permissions(mkbc.path(name), fs::Permissions::from_mode(0o755)).expect("a program");
}

/// A folder with a job of two questions to one model, a tool between them that does as told, the model's weights and its server.
fn stage(between: &str) -> Option<Mkbc> {
    let python = llama()?;
    let mkbc = Mkbc::new();
    let adapter = repository().join("tests/servers/llama_server.py");
    script(&mkbc, "bin/llama-server", &format!("#!/bin/sh\nexec {} {} \"$@\"\n", python.display(), adapter.display()));
    let made = Command::new(&python)
        .arg(repository().join("tests/data/tiny_gguf.py"))
        .arg(mkbc.path("tiny.gguf"))
        .status()
        .expect("Python starts");
    assert!(made.success());
    job(&mkbc, between, "{ good: Bool }", "serve llama_cpp\n    weights \"tiny.gguf\"\n    context 2048", "tiny.gguf");
    Some(mkbc)
}

/// The same with a server of the virtual environment of vLLM, and a tiny Llama.
fn stage_vllm(program: &str, between: &str, mood: &str, engine: &str) -> Option<Mkbc> {
    let path = of_vllm(program)?;
    let kernels = "from vllm.platforms import current_platform as here; assert here.is_cpu(); here.import_kernels()";
    if program == "vllm" && !python_of(&path).args(["-c", kernels]).status().is_ok_and(|s| s.success()) {
        eprintln!("skipped: vLLM's kernels do not run on this processor (tests/servers/get_vllm.sh)");
        return None;
    }
    let mkbc = Mkbc::new();
    script(&mkbc, &format!("bin/{program}"), &format!("#!/bin/sh\nexec {} \"$@\"\n", path.display()));
    let made = python_of(&path)
        .arg(repository().join("tests/data/tiny_llama.py"))
        .arg(mkbc.path("tiny"))
        .status()
        .expect("Python starts");
    assert!(made.success());
    let weights = mkbc.path("tiny").display().to_string();
    job(&mkbc, between, mood, &format!("{engine}\n    weights \"{weights}\""), "tiny");
    Some(mkbc)
}

/// The same with Ollama, under a name of its own, which has a tiny model among its own.
fn stage_ollama(between: &str) -> Option<Mkbc> {
    let (python, folder) = (llama()?, ollama()?);
    let mkbc = Mkbc::new();
    let (named, at) = (mkbc.path("ollama-here"), folder.display());
    let program = format!(
        "#!/bin/bash\nexport LD_LIBRARY_PATH={at}/aside:{at}/lib OLLAMA_MODELS={}\nexec -a {} {at}/ollama/ollama-lib \"$@\"\n",
        mkbc.path("models").display(),
        named.display()
    );
    script(&mkbc, "bin/ollama", &program);
    // Ollama takes weights in by its own service alone.
    let taken_in = format!(
        "set -e\n{} {} tiny.gguf\nexport HOME=$PWD\n\
         export OLLAMA_HOST=127.0.0.1:$({} -c 'import socket; s = socket.socket(); s.bind((\"127.0.0.1\", 0)); print(s.getsockname()[1])')\n\
         echo 'FROM ./tiny.gguf' >Modelfile\nbin/ollama serve >taken.log 2>&1 & server=$!\n\
         for i in $(seq 100); do bin/ollama list >/dev/null 2>&1 && break; sleep 0.1; done\n\
         bin/ollama create tiny -f Modelfile; kill $server\n",
        python.display(),
        repository().join("tests/data/tiny_gguf.py").display(),
        python.display()
    );
    let made = Command::new("bash").args(["-c", &taken_in]).current_dir(mkbc.path("")).output().expect("bash starts");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    job(&mkbc, between, "{ good: Bool }", "serve ollama\n    context 2048", "ollama-here");
    Some(mkbc)
}

/// The job, its model with this engine, and the tool, which is told the path of the weights.
fn job(mkbc: &Mkbc, between: &str, mood: &str, engine: &str, weights: &str) {
    fs::create_dir_all(mkbc.path("lib/profiles")).expect("a folder");
    script(mkbc, "between.sh", between);
    let mood = if mood == "Text" { String::new() } else { format!("type Mood {mood}\n") };
    let ty = if mood.is_empty() { "Text" } else { "Mood" };
    mkbc.write(
        "lib/tiny.mkb",
        format!(
            "{mood}task feel(about: Text) -> {ty} {{\n  work about.tokens\n  \
             prompt \"Is this good? {{about}}\"\n  max_tokens 200\n}}\n\
             task pass(mood: {ty}) -> Text {{\n  size tokens = 4 tok\n}}\n\
             model tiny implements feel {{\n  license \"Apache-2.0\"\n  runs on cpu * 1\n  engine server {{\n    \
             {engine}\n    model \"tiny\"\n    url \"http://127.0.0.1:8080/v1\"\n    url_env TINY_BASE_URL\n  }}\n  \
             profile \"tiny.csv\"\n}}\n\
             tool passing implements pass {{\n  runs on cpu * 1\n  engine process {{ command [\"sh\", \"{}\", \"{}\"] }}\n  \
             profile \"tiny.csv\"\n}}\n",
            mkbc.path("between.sh").display(),
            mkbc.path(weights).display()
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
        format!(
            "use tiny\n\n/// Two questions to one model.\njob twice(about: Text) -> {ty} {{\n  expect about of 20 tok\n  let first = feel(about)\n  \
             let passed = pass(first)\n  feel(passed)\n}}\n"
        ),
    );
}

/// Runs the job with llama.cpp's server where it would be installed, or elsewhere.
fn go(mkbc: &Mkbc, path: Option<&str>) -> mkbc::Done {
    let arguments = ["run", "job.mkb", "--library", "lib", "--json", "--about", "the sea"];
    let mut command = mkbc.command(arguments);
    let own = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", path.map_or_else(|| format!("{}:{own}", mkbc.path("bin").display()), str::to_owned));
    mkbc.end(&mut command)
}

/// Whether a process has this file among its arguments.
fn runs_with(mkbc: &Mkbc, file: &str) -> bool {
    let file = mkbc.path(file).display().to_string();
    let lines = fs::read_dir("/proc").expect("/proc").flatten().filter_map(|e| fs::read(e.path().join("cmdline")).ok());
    lines.map(|l| String::from_utf8_lossy(&l).into_owned()).any(|l| l.split('\0').any(|argument| argument == file))
}

#[test]
fn a_real_server_is_shared_by_two_steps_and_gone_afterwards() {
    let Some(mkbc) = stage("echo passed\n") else { return };
    let done = go(&mkbc, None);
    assert_eq!(done.code, Some(0), "{}", done.err);
    let report: Value = serde_json::from_str(&done.out).expect("a report");
    // Its words are random; that they have the form which was asked for is the server's work.
    assert!(report["result"]["ok"]["good"].is_boolean(), "{report:#}");
    let servers = report["servers"].as_array().expect("servers");
    assert_eq!(servers.len(), 1, "{servers:?}");
    let server = &servers[0];
    assert_eq!((&server["starts"], &server["crashes"]), (&Value::from(1), &Value::from(0)), "{server:#}");
    assert_eq!(server["steps"].as_array().map(Vec::len), Some(2));
    assert_eq!((&server["devices"][0], &server["as_planned"]), (&Value::from("cpu"), &Value::from(true)));
    // A process with llama.cpp in it holds tens of megabytes.
    assert!(server["peak_gb"].as_f64().is_some_and(|gb| (0.02..2.0).contains(&gb)), "{server:#}");
    assert!(report["steps"][0]["planned"]["energy_wh"].is_number(), "{report:#}");
    assert!(report["steps"][0]["memory_gb"].is_number() && report["steps"][0]["tokens_out"].as_u64() > Some(0));
    assert!(!runs_with(&mkbc, "tiny.gguf"), "it is still there");
    let logs = mkbc.run(&["logs", "1"]).out;
    for what in ["starting on cpu", "ready on cpu", "stopped on cpu"] {
        assert!(logs.contains(&format!("server llama_cpp of feel, feel_2: {what}")), "no `{what}`: {logs}");
    }
}

#[test]
fn a_real_server_that_is_killed_is_started_again_and_the_run_finishes() {
    let Some(mkbc) = stage(KILL) else { return };
    let done = go(&mkbc, None);
    assert_eq!(done.code, Some(0), "{}", done.err);
    let report: Value = serde_json::from_str(&done.out).expect("a report");
    let server = &report["servers"][0];
    assert_eq!((&server["starts"], &server["crashes"]), (&Value::from(2), &Value::from(1)), "{server:#}");
    assert!(mkbc.run(&["logs", "1"]).out.contains("died, and is started again"));
    assert!(!runs_with(&mkbc, "tiny.gguf"), "it is still there");
}

/// vLLM itself, on cores: started, asked for JSON of a schema, shared, killed, started again, gone.
#[test]
fn a_real_vllm_is_shared_killed_started_again_and_gone_afterwards() {
    let engine = "serve vllm\n    context 1024\n    arguments [\"--dtype\", \"bfloat16\", \"--enforce-eager\"]";
    let Some(mkbc) = stage_vllm("vllm", KILL, "{ good: Bool }", engine) else { return };
    let done = go(&mkbc, None);
    assert_eq!(done.code, Some(0), "{}", done.err);
    let report: Value = serde_json::from_str(&done.out).expect("a report");
    assert!(report["result"]["ok"]["good"].is_boolean(), "{report:#}");
    let server = &report["servers"][0];
    assert_eq!((&server["starts"], &server["crashes"]), (&Value::from(2), &Value::from(1)), "{server:#}");
    assert_eq!(server["steps"].as_array().map(Vec::len), Some(2));
    assert!(report["steps"][0]["tokens_out"].as_u64() > Some(0) && report["steps"][0]["ttft_s"].is_number());
    assert!(!runs_with(&mkbc, "tiny"), "it is still there");
}

/// Ollama itself, on cores: started, asked for JSON of a schema, shared, killed, started again, gone, and its runner with it.
#[test]
fn a_real_ollama_is_shared_killed_started_again_and_gone_afterwards() {
    let Some(mkbc) = stage_ollama(KILL) else { return };
    let mut command = mkbc.command(["run", "job.mkb", "--library", "lib", "--json", "--about", "the sea"]);
    let path = format!("{}:{}", mkbc.path("bin").display(), std::env::var("PATH").unwrap_or_default());
    let done = mkbc.end(command.env("PATH", path).env("OLLAMA_MODELS", mkbc.path("models")));
    assert_eq!(done.code, Some(0), "{}", done.err);
    let report: Value = serde_json::from_str(&done.out).expect("a report");
    assert!(report["result"]["ok"]["good"].is_boolean(), "{report:#}");
    let server = &report["servers"][0];
    assert_eq!((&server["starts"], &server["crashes"]), (&Value::from(2), &Value::from(1)), "{server:#}");
    assert_eq!(server["steps"].as_array().map(Vec::len), Some(2));
    assert!(report["steps"][0]["tokens_out"].as_u64() > Some(0) && report["steps"][0]["ttft_s"].is_number());
    let blobs = fs::read_dir(mkbc.path("models/blobs")).expect("what it took in").flatten();
    let kept: Vec<String> = blobs.map(|b| format!("models/blobs/{}", b.file_name().display())).collect();
    assert!(!runs_with(&mkbc, "ollama-here") && !kept.iter().any(|blob| runs_with(&mkbc, blob)), "it is still there");
}

/// `transformers serve` itself, on cores. It has no structured output, so that it is asked for text.
#[test]
fn a_real_transformers_serve_is_shared_and_gone_afterwards() {
    let Some(mkbc) = stage_vllm("transformers", "echo passed\n", "Text", "serve transformers") else { return };
    let done = go(&mkbc, None);
    let report: Value = serde_json::from_str(&done.out).expect("a report");
    let server = &report["servers"][0];
    assert_eq!((&server["starts"], &server["crashes"]), (&Value::from(1), &Value::from(0)), "{server:#} {}", done.err);
    // Random words do not end: that they came as text, up to the limit, is an answer.
    let (words, kind) = (&report["result"]["ok"], &report["result"]["error"]["fault"]["kind"]);
    assert!(words.is_string() || kind == "answer", "{report:#}");
    assert!(report["steps"][0]["tokens_out"].as_u64() > Some(0), "{report:#}");
    assert!(!runs_with(&mkbc, "tiny"), "it is still there");
}

#[test]
fn a_server_without_its_program_or_weights_is_an_error_that_says_how_to_get_them() {
    let Some(mkbc) = stage("echo passed\n") else { return };
    let plan = mkbc.run(&["plan", "job.mkb", "--library", "lib", "--cluster", "azure_mixed", "--out", "plan.json"]);
    assert_eq!(plan.code, Some(0), "{}", plan.err);
    let run = |mkbc: &Mkbc, path: Option<String>| {
        let mut command =
            mkbc.command(["run", "job.mkb", "--library", "lib", "--plan", "plan.json", "--about", "the sea"]);
        mkbc.end(command.env("PATH", path.unwrap_or_else(|| mkbc.path("bin").display().to_string())))
    };
    let done = run(&mkbc, Some("/usr/bin:/bin".into()));
    assert_eq!(done.code, Some(1), "{}", done.out);
    for part in ["the model server `llama-server` is not installed", "MKBC_LLAMA_CPP", "TINY_BASE_URL"] {
        assert!(done.err.contains(part), "no `{part}`: {}", done.err);
    }
    fs::remove_file(mkbc.path("tiny.gguf")).expect("gone");
    let done = run(&mkbc, None);
    assert_eq!(done.code, Some(1), "{}", done.out);
    assert!(done.err.contains("the weights of `tiny.gguf` are not on this machine"), "{}", done.err);
    let doctor = mkbc.run(&["doctor", "--library", "lib"]);
    assert!(doctor.out.contains("the model server `vllm` is not installed"), "{}", doctor.out);
}
