//! One suite that every engine passes: the same cases, whatever carries a step out. A table of engines and cases is printed
//! (`cargo test --test engines -- --nocapture`).
//!
//! What answers is an actor or a host that does as told (tests/engines/), over real processes, pipes and sockets; there is no model.

#[path = "engines/host.rs"]
mod host;
#[path = "engines/old.rs"]
mod old;
#[path = "engines/tools.rs"]
mod tools;

use murakkab::plan::model::Plan;
use murakkab::run::engines::mcp::pin;
use murakkab::run::fault::FaultKind;
use murakkab::run::observer::Silent;
use murakkab::run::{RunContext, RunReport, block_on, run};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// The key that every engine is given; it must appear nowhere.
const KEY: &str = "sk-canary-engines-5b1e/+";

/// What an engine is asked to do, and what must come of it.
const CASES: [&str; 8] = ["answer", "fail", "hang", "cancel", "big", "garbage", "secret", "drip"];

/// How a case ends.
#[derive(Debug, PartialEq)]
enum Verdict {
    /// As it must.
    Good,
    /// The engine has no such thing.
    None(&'static str),
    /// What is wrong.
    Bad(String),
}

/// An engine under test.
struct Engine {
    name: &'static str,
    /// The engine of a plan, for a case.
    engine: fn(&Stage, &str) -> Value,
    /// Cases that it cannot have, and why.
    without: &'static [(&'static str, &'static str)],
}

/// What an engine is given, and what it gives.
struct Shape {
    param: &'static str,
    ty: Value,
    x: Value,
    output: Value,
}

impl Engine {
    fn shape(&self, stage: &Stage, asked: &str) -> Shape {
        let of = |param, ty, x, output| Shape { param, ty, x, output };
        let file = |name: &str| stage.folder.path().join(name);
        match self.name {
            // A browser takes an address and yields a page, which is an object.
            "browser" => of("url", json!("text"), json!(format!("{}/{asked}/page", stage.host)), json!("json")),
            "openai chat, structure" => {
                of("x", json!("text"), json!(asked), json!({"record": ["What", [["what", "text"]]]}))
            }
            "openai chat, a picture" => of("x", json!("image"), json!({"file": file("a.png")}), json!("text")),
            "openai embeddings" => of("x", json!({"list": "text"}), json!([asked]), json!({"list": "embedding"})),
            "openai transcription" => {
                of("x", json!("audio"), json!({"file": file("a.wav"), "duration": 4.0}), json!("text"))
            }
            _ => of("x", json!("text"), json!(asked), json!("text")),
        }
    }
}

struct Stage {
    folder: tempfile::TempDir,
    host: String,
    tools: String,
    old: String,
}

fn repository(file: &str) -> String {
    format!("{}/{file}", env!("CARGO_MANIFEST_DIR"))
}

impl Stage {
    fn address(&self, case: &str) -> String {
        format!("{}/{case}/v1", self.host)
    }

    fn provider(&self, api: &str, case: &str, serve: Value) -> Value {
        let kind = match api {
            "messages" => "anthropic",
            "converse" => "bedrock",
            _ => "openai",
        };
        let mut engine = json!({
            "kind": kind, "api": api, "model": "m", "url_env": "ENGINES_NO_URL", "url": self.address(case),
            "key_env": "ENGINES_KEY", "system": "", "prompt": "{x}", "max_tokens": 50, "prices": {},
        });
        if !serve.is_null() {
            engine["serve"] = serve;
        }
        engine
    }

    /// A model server of one's own, which the run starts by its command line, and which is a FAKE.
    fn server(&self, server: &str, weights: &str, case: &str) -> Value {
        let never = self.folder.path().join(format!("hung-{case}-never/x"));
        let fake = json!({"hang": never}).to_string();
        let serve =
            json!({"server": server, "weights": weights, "context": 0, "parallel": 1, "arguments": ["--fake", fake]});
        self.provider("chat", case, serve)
    }
}

const ENGINES: [Engine; 21] = [
    Engine {
        name: "process",
        engine: |_, case| {
            let command = ["python3", &repository("tests/engines/actor.py"), case].map(str::to_owned);
            json!({"kind": "process", "commands": [command], "reader": "json", "options": {}})
        },
        without: &[],
    },
    Engine {
        name: "python",
        engine: |_, _| {
            let module = repository("tests/engines/actor.py");
            json!({"kind": "python", "module": module, "function": "act", "interpreter": "python3"})
        },
        without: &[],
    },
    Engine {
        name: "worker",
        engine: |_, _| json!({"kind": "worker", "worker": "candle", "model": "w", "function": "act", "options": {}}),
        without: &[],
    },
    Engine {
        name: "mcp (initialize, standard input)",
        engine: |_, _| {
            let command = ["python3", &repository("tests/engines/actor.py"), "--mcp"].map(str::to_owned);
            mcp(json!({"command": command, "env": [], "url": "", "url_env": "", "key_env": ""}))
        },
        without: &[],
    },
    Engine {
        name: "mcp (server/discover, HTTP)",
        engine: |stage, _| {
            mcp(json!({"command": [], "env": [], "url": stage.tools, "url_env": "", "key_env": "ENGINES_KEY"}))
        },
        without: &[
            ("garbage", "its server is the protocol's SDK, which sends none"),
            ("drip", "the SDK's server sends signs of life by itself, and the limit of `hang` holds against them"),
        ],
    },
    Engine {
        name: "mcp (initialize, HTTP with events)",
        engine: |stage, _| {
            mcp(json!({"command": [], "env": [], "url": stage.old, "url_env": "", "key_env": "ENGINES_KEY"}))
        },
        without: &[
            ("garbage", "its server is the protocol's SDK, which sends none"),
            ("drip", "the SDK's server sends none"),
        ],
    },
    Engine {
        name: "browser",
        engine: |_, _| json!({"kind": "browser", "action": "open"}),
        without: &[("garbage", "any bytes are a page"), ("secret", "it is given no key")],
    },
    Engine {
        name: "http",
        engine: |stage, case| {
            json!({"kind": "http", "method": "post", "url": stage.address(case), "url_env": "ENGINES_NO_URL", "path": "/act",
                "query": {}, "headers": {}, "fields": {"x": "x"}, "body": "", "key_env": "ENGINES_KEY", "key_in": "",
                "text": false})
        },
        without: &[],
    },
    Engine { name: "openai chat", engine: |stage, case| stage.provider("chat", case, Value::Null), without: &[] },
    Engine {
        name: "openai responses",
        engine: |stage, case| stage.provider("responses", case, Value::Null),
        without: &[],
    },
    Engine { name: "anthropic", engine: |stage, case| stage.provider("messages", case, Value::Null), without: &[] },
    Engine { name: "bedrock", engine: |stage, case| stage.provider("converse", case, Value::Null), without: &[] },
    Engine {
        name: "openai chat, structure",
        engine: |stage, case| {
            let mut engine = stage.provider("chat", case, Value::Null);
            engine["url"] = json!(format!("{}/structure", stage.address(case)));
            engine
        },
        without: &[],
    },
    Engine {
        name: "openai chat, a picture",
        engine: |stage, case| stage.provider("chat", case, Value::Null),
        without: &[],
    },
    Engine {
        name: "openai embeddings",
        engine: |stage, case| stage.provider("embeddings", case, Value::Null),
        without: &[],
    },
    Engine {
        name: "openai transcription",
        engine: |stage, case| stage.provider("transcription", case, Value::Null),
        without: &[],
    },
    Engine { name: "server: vllm", engine: |stage, case| stage.server("vllm", "w", case), without: &[] },
    Engine { name: "server: sglang", engine: |stage, case| stage.server("sglang", "w", case), without: &[] },
    Engine { name: "server: llama.cpp", engine: |stage, case| stage.server("llama_cpp", "w.gguf", case), without: &[] },
    Engine { name: "server: ollama", engine: |stage, case| stage.server("ollama", "w", case), without: &[] },
    Engine {
        name: "server: transformers",
        engine: |stage, case| stage.server("transformers", "w", case),
        without: &[],
    },
];

fn mcp(server: Value) -> Value {
    let schema = pin::digest(&tools::tool());
    json!({"kind": "mcp", "tool": "act", "schema": schema, "names": {}, "nulls": [], "answer": "", "server": server})
}

/// A plan of one step on one engine.
fn plan(engine: Value, shape: &Shape, timeout_ms: Option<u64>) -> Plan {
    let Shape { param, ty, output, .. } = shape;
    let figures = json!({"latency_s": "1", "latency_p95_s": "1", "latency_p99_s": "1", "cost_usd": "0", "energy_wh": null,
        "quality": "1", "memory_gb": "0"});
    let streamed = serde_json::to_value(murakkab::plan::model::Streamed::default()).expect("JSON");
    let step = json!({
        "id": 0, "name": "act", "task": "act", "line": 1, "implementation": "actor", "label": null, "knobs": {},
        "hardware": {"device": "cpu", "units": 1, "replicas": 1}, "instance": null, "engine": engine,
        "params": [[param, ty]], "output": output, "calls": "1",
        "conditions": {"retries": 0, "timeout_ms": timeout_ms}, "predicted": figures, "evidence": [], "reason": "",
    });
    let plan = json!({
        "version": murakkab::plan::model::PLAN_VERSION, "compiler": "test", "job": "job",
        "hashes": {"source": "", "library": "", "lock": null},
        "cluster": {"name": "here", "pools": {"cpu": {"units": 2, "usd_per_hour": "0"}}},
        "inputs": [{"name": "x", "type": ty, "value": 0, "sizes": {}}], "result": output,
        "body": {"nodes": [{"kind": "call", "step": 0, "args": [[param, {"value": 0}]], "output": 1}], "result": {"value": 1}},
        "steps": [step], "instances": [], "clauses": [], "wishes": [],
        "total": {"latency_s": "1", "latency_p95_s": "1", "latency_p99_s": "1", "cost_usd": "0", "energy_wh": "0",
            "energy_known": false, "quality": "1", "gpus": 0, "streamed": streamed},
        "quality_rule": "product", "rate_per_s": null, "robust": false,
        "proof": {"status": "optimal", "by": "test", "z3_checks": 0, "nodes": 0, "kept": [0, 0]},
    });
    serde_json::from_value(plan).unwrap_or_else(|e| panic!("the plan of the test: {e}"))
}

/// Whether a program is on the PATH.
fn installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// Runs a case, in a folder of its own. Returns what came of it, and how long it took.
fn go(stage: &Stage, engine: &Engine, case: &str) -> (RunReport, Duration, PathBuf) {
    let asked = if case == "cancel" { "hang" } else { case };
    let timeout = matches!(case, "hang" | "drip").then_some(1500);
    let shape = engine.shape(stage, asked);
    let plan = plan((engine.engine)(stage, asked), &shape, timeout);
    let weights = stage.folder.path().to_string_lossy().into_owned();
    let env = |name: &str| match name {
        "ENGINES_KEY" | "OPENAI_API_KEY" => Some(KEY.to_owned()),
        "MKBC_WEB_ALLOW" => Some("127.0.0.1,".to_owned() + stage.host.trim_start_matches("http://")),
        "MKBC_VLLM" | "MKBC_SGLANG" | "MKBC_LLAMA_CPP" | "MKBC_OLLAMA" | "MKBC_TRANSFORMERS" => {
            Some(repository("tests/servers/fake_server.py"))
        }
        "OLLAMA_MODELS" => Some(format!("{weights}/ollama")),
        "MKBC_CANDLE" => Some(repository("tests/workers/fake_worker.py")),
        "MKBC_WEIGHTS" => Some(weights.clone()),
        _ => std::env::var(name).ok(),
    };
    let folder = stage.folder.path().join(format!("{}-{case}", engine.name.replace(' ', "-")));
    let mut cx = RunContext::new(&folder, &Silent, &env);
    cx.backoff = Duration::from_millis(1);
    let switch = cx.cancel.clone();
    let begun = Instant::now();
    let report = block_on(async {
        let stop = async {
            if case == "cancel" {
                tokio::time::sleep(Duration::from_millis(1500)).await;
                switch.cancel();
            }
        };
        let inputs = BTreeMap::from([("x".to_owned(), shape.x.clone())]);
        tokio::join!(run(&plan, inputs, &cx), stop).0
    });
    (report.expect("a runtime"), begun.elapsed(), folder)
}

/// All files under a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|e| e.path());
    entries.flat_map(|p| if p.is_dir() { files(&p) } else { vec![p] }).collect()
}

fn judge(stage: &Stage, engine: &Engine, case: &str) -> Verdict {
    if let Some((_, why)) = engine.without.iter().find(|(name, _)| *name == case) {
        return Verdict::None(why);
    }
    if engine.name == "browser" && !installed("chromium") {
        return Verdict::None("`chromium` is not installed");
    }
    let (report, took, folder) = go(stage, engine, case);
    let said = match &report.result {
        Ok(value) => format!("answered {value}"),
        Err(error) => error.to_string(),
    };
    let bad = |why: &str| {
        Verdict::Bad(format!("{}, {case}: {why}: {}", engine.name, said.chars().take(600).collect::<String>()))
    };
    let kind = report.result.as_ref().err().map(|e| e.fault.kind);
    // Whatever it was, the key is nowhere, and nothing takes as long as what hangs.
    let secret = KEY.as_bytes();
    let leaks = |p: &PathBuf| fs::read(p).is_ok_and(|text| text.windows(secret.len()).any(|w| w == secret));
    if said.contains(KEY) || files(&folder).iter().any(leaks) {
        return bad("the key leaked");
    }
    // A program that would sleep for a minute was not waited for.
    if took > Duration::from_secs(50) {
        return bad("it took as long as it was made to hang");
    }
    let browser = engine.name == "browser";
    let good = match case {
        // A page's own words are not in the message; that it was refused is.
        "fail" if browser => kind == Some(FaultKind::Provider) && said.contains("status 400"),
        // What loads for ever is read as far as it is bounded, or given up.
        // The SDK's client ends the session over an answer that is too large, and does not say why.
        "big" if engine.name.contains("HTTP") => kind == Some(FaultKind::Provider),
        "big" if browser => report.result.is_err() || said.len() < 1 << 20,
        "answer" if engine.name == "openai embeddings" => said.contains("[[7.25]]"),
        "answer" => said.contains("did answer") || said.contains("fake: answer"),
        "fail" => {
            matches!(kind, Some(FaultKind::Process | FaultKind::Provider | FaultKind::Answer))
                && said.contains("failed as told")
        }
        "hang" => kind == Some(FaultKind::Timeout),
        "drip" => kind == Some(FaultKind::Timeout),
        "cancel" => kind == Some(FaultKind::Cancelled),
        "big" => {
            matches!(kind, Some(FaultKind::Process | FaultKind::Provider | FaultKind::Answer)) && said.contains("MB")
        }
        "garbage" => matches!(kind, Some(FaultKind::Process | FaultKind::Provider | FaultKind::Answer)),
        // What a program sees of our environment, or what a host gives back: that the key is not in it was looked at above.
        "secret" => report.result.is_ok() || kind.is_some(),
        _ => false,
    };
    // The run's folder tells of a failure, and holds no result of it.
    if report.result.is_err() == folder.join("result.json").exists() {
        return bad("the result on the disk is another one");
    }
    if good { Verdict::Good } else { bad("it should have ended otherwise") }
}

/// What came of each case, engine by engine; most of them wait, and some can do so at once.
fn verdicts(stage: &Stage) -> Vec<Vec<Verdict>> {
    let next = AtomicUsize::new(0);
    let mut all: Vec<(usize, Vec<Verdict>)> = std::thread::scope(|scope| {
        let work = || {
            let mut done = Vec::new();
            loop {
                let at = next.fetch_add(1, Ordering::SeqCst);
                let Some(engine) = ENGINES.get(at) else { return done };
                done.push((at, CASES.iter().map(|case| judge(stage, engine, case)).collect()));
            }
        };
        let workers: Vec<_> = (0..3).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("it judges")).collect()
    });
    all.sort_by_key(|(at, _)| *at);
    all.into_iter().map(|(_, verdicts)| verdicts).collect()
}

#[test]
fn every_engine_passes_every_case() {
    let folder = tempfile::tempdir().expect("a folder");
    let stage = Stage { folder, host: host::start(), tools: tools::start(), old: old::start() };
    let ollama = "ollama/manifests/registry.ollama.ai/library/w/latest";
    let files: [(&str, &[u8]); 5] =
        [("w/config.json", b"{}"), ("w.gguf", b"GGUF"), (ollama, b"{}"), ("a.png", b"\x89PNG\r\n"), ("a.wav", b"RIFF")];
    for (name, bytes) in files {
        let path = stage.folder.path().join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, bytes).expect("a file");
    }
    let width = ENGINES.iter().map(|e| e.name.len()).max().unwrap_or(0);
    let mut table = format!("{:width$}", "");
    CASES.iter().for_each(|case| table.push_str(&format!("  {case:>7}")));
    let mut wrong = Vec::new();
    let mut notes = Vec::new();
    for (engine, verdicts) in ENGINES.iter().zip(verdicts(&stage)) {
        table.push_str(&format!("\n{:width$}", engine.name));
        for (case, verdict) in CASES.iter().zip(verdicts) {
            let shown = match verdict {
                Verdict::Good => "ok",
                Verdict::None(why) => {
                    notes.push(format!("{}, {case}: {why}", engine.name));
                    "-"
                }
                Verdict::Bad(why) => {
                    wrong.push(why);
                    "WRONG"
                }
            };
            table.push_str(&format!("  {shown:>7}"));
        }
    }
    println!("{table}\n{}", notes.join("\n"));
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    // Nothing that was made to hang is left.
    std::thread::sleep(Duration::from_millis(300));
    let lines = fs::read_dir("/proc").expect("/proc").flatten().filter_map(|e| fs::read(e.path().join("cmdline")).ok());
    let left =
        lines.map(|l| String::from_utf8_lossy(&l).replace('\0', " ")).find(|l| l.contains("tests/engines/actor.py"));
    assert!(left.is_none_or(|l| l.contains("cargo") || l.contains("grep")), "an actor is left");
}

#[test]
fn how_long_a_server_takes_to_start_is_not_its_calls_time() {
    let folder = tempfile::tempdir().expect("a folder");
    let start = format!("sleep 3; exec python3 {} --mcp", repository("tests/engines/actor.py"));
    let server = json!({"command": ["sh", "-c", start], "env": [], "url": "", "url_env": "", "key_env": ""});
    let shape = Shape { param: "x", ty: json!("text"), x: json!("answer"), output: json!("text") };
    let plan = plan(mcp(server), &shape, Some(2500));
    let env = |name: &str| std::env::var(name).ok();
    let cx = RunContext::new(folder.path().join("run"), &Silent, &env);
    let report = block_on(run(&plan, BTreeMap::from([("x".to_owned(), shape.x)]), &cx)).expect("a runtime");
    assert!(
        report.result.as_ref().is_ok_and(|answer| answer.to_string().contains("did answer")),
        "{:?}",
        report.result
    );
}
