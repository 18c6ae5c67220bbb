//! Model servers that a run starts: shared, started again, placed, made to give way, and gone afterwards.
//!
//! The server is a FAKE (`tests/servers/fake_server.py`): a real process that is started as vLLM would be and answers from a script. What
//! a real one answers is shown by `tests/servers.rs`.

use super::samples::{self, Diary, call, plan, process, step, value};
use super::*;
use crate::ir::workflow::{Node, Region, ValueId};
use crate::plan::model::{Engine, Hardware, Placed, PlanStep, Pool, Provider, Serve};
use crate::run::devices::{Gpu, Gpus, Inventory};
use crate::run::servers::{Patience, Servers};
use rust_decimal::Decimal;
use rust_decimal::dec;
use serde_json::json;

const FAKE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/servers/fake_server.py");

/// A folder with weights and a record of what the fake server saw.
struct Stage(tempfile::TempDir);

impl Stage {
    fn new() -> Stage {
        let folder = tempfile::tempdir().expect("a folder");
        for model in ["a", "b", "c"] {
            std::fs::create_dir_all(folder.path().join("weights").join(model)).expect("a folder");
            std::fs::write(folder.path().join("weights").join(model).join("config.json"), "{}").expect("a file");
        }
        Stage(folder)
    }

    fn at(&self, name: &str) -> String {
        self.0.path().join(name).to_string_lossy().into_owned()
    }

    /// A step that a server answers, which behaves as told.
    fn step(&self, id: u32, model: &str, fake: Value) -> PlanStep {
        let mut fake = fake;
        fake["record"] = json!(self.at("record"));
        let serve = Serve {
            server: "vllm".into(),
            weights: model.into(),
            context: 0,
            parallel: 2,
            arguments: vec!["--fake".into(), fake.to_string()],
        };
        let engine = Engine::Openai(Provider {
            api: "chat".into(),
            model: format!("org/{model}"),
            url_env: "TEST_SERVER_URL".into(),
            url: "http://127.0.0.1:9/v1".into(),
            key_env: String::new(),
            system: String::new(),
            prompt: "{x}".into(),
            max_tokens: 5,
            functions: String::new(),
            reasoning: String::new(),
            long: None,
            prices: Default::default(),
            work: Default::default(),
            serve: Some(serve),
            calls_per_s: None,
            tokens_per_s: None,
            together: 0,
        });
        step(id, engine, &[("x", Type::Text)], Type::Text)
    }

    /// What the servers saw, a line each.
    fn seen(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.at("record")).unwrap_or_default();
        text.lines().map(|l| serde_json::from_str(l).expect("JSON")).collect()
    }

    fn starts(&self) -> Vec<Value> {
        self.seen().into_iter().filter(|l| !l["start"].is_null()).collect()
    }

    /// Whether a server of this stage runs.
    fn running(&self) -> bool {
        samples::running(&self.at("record"))
    }

    fn go(&self, plan: &Plan, x: Value, machine: Inventory) -> (RunReport, Vec<String>) {
        self.with(plan, x, Servers::on(machine, patience()), true)
    }

    /// Runs a plan; the servers end with it, or are kept by the caller.
    fn with(&self, plan: &Plan, x: Value, servers: Servers, end: bool) -> (RunReport, Vec<String>) {
        let weights = self.at("weights");
        let env = |name: &str| match name {
            "MKBC_VLLM" => Some(FAKE.to_owned()),
            "MKBC_WEIGHTS" => Some(weights.clone()),
            _ => samples::environment(name),
        };
        let diary = Diary::default();
        let mut cx = RunContext::new(self.0.path().join("run"), &diary, &env);
        cx.backoff = Duration::from_millis(1);
        cx.deadlines.first = Duration::from_secs(3);
        cx.servers = Some(servers.clone());
        let report = block_on(async {
            let report = run(plan, BTreeMap::from([("x".to_owned(), x)]), &cx).await;
            if end {
                servers.stop(false, &diary).await;
            }
            report
        });
        (report.expect("a runtime"), diary.0.into_inner().expect("a diary"))
    }
}

pub(super) fn patience() -> Patience {
    Patience { start: Duration::from_secs(20), crashes: 2, backoff: Duration::from_millis(1) }
}

pub(super) fn machine(gpus: &[(&str, u64)]) -> Inventory {
    let gpu = |(at, (name, gb)): (usize, &(&str, u64))| Gpu {
        name: (*name).to_owned(),
        uuid: format!("GPU-{at}"),
        memory: Some(gb * 1_000_000_000),
        capability: None,
        used: None,
        power_w: None,
        power_limit_w: None,
        pci: None,
        mig: None,
        nvlinks: None,
        part: false,
    };
    let gpus = Gpus::Devices(gpus.iter().enumerate().map(gpu).collect());
    Inventory { gpus, ..devices::inventory() }
}

fn on(step: PlanStep, device: &str, units: u32, gb: Decimal) -> PlanStep {
    let mut step = PlanStep { hardware: Hardware { device: device.into(), units, replicas: 1 }, ..step };
    step.predicted.memory_gb = gb;
    step
}

/// One step after the other, each on what the one before said.
fn chain(steps: Vec<PlanStep>) -> Plan {
    let last = steps.len() as u32;
    let nodes = (0..last).map(|i| call(i, value(i), i + 1)).collect();
    let mut plan = plan(Type::Text, nodes, (value(last), Type::Text), steps);
    plan.cluster.pools.insert("h100".into(), Pool { units: 4, usd_per_hour: Decimal::ONE });
    plan
}

#[test]
fn steps_share_a_server_that_starts_once_and_is_gone_afterwards() {
    let stage = Stage::new();
    let plan = chain(vec![stage.step(0, "a", json!({})), stage.step(1, "a", json!({}))]);
    let (report, diary) = stage.go(&plan, json!("hi"), machine(&[]));
    assert_eq!(report.result, Ok(json!("fake: fake: hi")));
    let starts = stage.starts();
    assert_eq!(starts.len(), 1, "{starts:?}");
    // On cores it must not find a GPU, and no key of ours.
    assert_eq!(starts[0]["gpus"], "");
    let env = starts[0]["env"].to_string();
    assert!(env.contains("VLLM_API_KEY") && !env.contains("CARGO"), "{env}");
    let argv = starts[0]["start"].to_string();
    assert!(argv.contains("--served-model-name") && !argv.contains("--gpu-memory-utilization"), "{argv}");
    assert!(!stage.running());
    assert_eq!(stage.seen().last().map(|l| l["end"].clone()), Some(json!("asked to")));
    let server = &report.servers[0];
    assert_eq!((server.starts, server.crashes, server.as_planned), (1, 0, true));
    assert_eq!(server.devices, ["cpu"]);
    assert!(server.peak_gb.is_some_and(|gb| gb > 0.001), "{server:?}");
    assert!(report.steps[0].memory_gb.is_some());
    assert!(server.log.starts_with(&report.folder));
    let servers: Vec<&String> = diary.iter().filter(|l| l.starts_with("server")).collect();
    assert_eq!(servers, ["server Starting", "server Ready", "server Stopped"]);
}

#[test]
fn a_server_outlives_a_run_where_somebody_keeps_it() {
    let stage = Stage::new();
    let plan = chain(vec![stage.step(0, "a", json!({}))]);
    let servers = Servers::on(machine(&[]), patience());
    for _ in 0..2 {
        let (report, _) = stage.with(&plan, json!("hi"), servers.clone(), false);
        assert_eq!(report.result, Ok(json!("fake: hi")));
    }
    assert_eq!(stage.starts().len(), 1);
    assert_eq!(servers.processes().len(), 1);
    drop(servers);
    assert!(!stage.running());
}

#[test]
fn a_server_that_dies_is_started_again_and_the_call_is_made_again() {
    let stage = Stage::new();
    let fake = json!({"crash": stage.at("crashed")});
    let plan = chain(vec![stage.step(0, "a", fake)]);
    let (report, diary) = stage.go(&plan, json!("please crash"), machine(&[]));
    assert_eq!(report.result, Ok(json!("fake: please crash")));
    assert_eq!(stage.starts().len(), 2);
    assert_eq!((report.servers[0].starts, report.servers[0].crashes), (2, 1));
    assert!(diary.iter().any(|l| l == "server Crashed"), "{diary:?}");
    // The step's own attempts are for its own failures.
    assert_eq!(report.steps[0].attempts, 1);
    assert!(!stage.running());
}

#[test]
fn a_server_that_always_dies_is_given_up_with_what_it_said() {
    let stage = Stage::new();
    let plan = chain(vec![stage.step(0, "a", json!({"crash": "/proc/never"}))]);
    let (report, _) = stage.go(&plan, json!("crash"), machine(&[]));
    let error = report.result.expect_err("it never answers").to_string();
    assert!(error.contains("was killed (signal 9") && error.contains("3 times in a row"), "{error}");
    assert!(error.contains("FAKE: I was told to crash") && error.contains("server.log"), "{error}");
    assert_eq!(stage.starts().len(), 3);
    assert!(!stage.running());
}

#[test]
fn a_server_that_cannot_start_is_said_in_its_words_and_one_that_is_deaf_is_not_waited_for() {
    let stage = Stage::new();
    let (report, _) =
        stage.go(&chain(vec![stage.step(0, "a", json!({"die": "no such layer"}))]), json!("x"), machine(&[]));
    let error = report.result.expect_err("it ends").to_string();
    assert!(error.contains("ended with status 1") && error.contains("FAKE: no such layer"), "{error}");
    // One that never worked is not started again and again; its first error counts, which many lines may hide.
    assert!(error.contains("2 times in a row"), "{error}");
    let before = stage.starts().len();
    assert_eq!(before, 2);
    let cause = format!("ValueError: too little memory\n{}see above", "  at some line\n".repeat(2000));
    let (report, _) = stage.go(&chain(vec![stage.step(0, "a", json!({"die": cause}))]), json!("x"), machine(&[]));
    let error = report.result.expect_err("it ends").to_string();
    assert!(error.contains("ValueError: too little memory") && error.contains("see above"), "{error}");
    let servers = Servers::on(machine(&[]), Patience { start: Duration::from_millis(400), ..patience() });
    let (report, _) = stage.with(&chain(vec![stage.step(0, "a", json!({"deaf": true}))]), json!("x"), servers, true);
    let error = report.result.expect_err("it is deaf");
    assert_eq!(error.fault.kind, FaultKind::Timeout, "{error}");
    assert!(!stage.running());
}

#[test]
fn a_server_that_hangs_is_killed_and_another_attempt_gets_a_new_one() {
    let stage = Stage::new();
    let mut one = stage.step(0, "a", json!({"hang": stage.at("hung"), "deaf": true}));
    one.engine = stage.step(0, "a", json!({"hang": stage.at("hung")})).engine;
    one.conditions.retries = 1;
    let (report, _) = stage.go(&chain(vec![one]), json!("hang"), machine(&[]));
    // It still answers whether it is there: the server is kept, and the call is made again.
    assert_eq!(report.result, Ok(json!("fake: hang")));
    assert_eq!((report.steps[0].attempts, report.servers[0].starts), (2, 1));
}

#[test]
fn nothing_is_left_even_of_what_left_the_group_and_does_not_listen() {
    let stage = Stage::new();
    let plan = chain(vec![stage.step(0, "a", json!({"child": "83.919", "stubborn": true}))]);
    let servers = Servers::on(machine(&[]), patience());
    let (report, _) = stage.with(&plan, json!("hi"), servers.clone(), false);
    assert_eq!(report.result, Ok(json!("fake: hi")));
    assert!(samples::running("sleep 83.919"));
    drop(servers);
    assert!(!stage.running() && !samples::running("sleep 83.919"));
}

/// Not a test of its own: what the next one kills.
#[test]
fn victim_with_a_server() {
    if std::env::var_os("MKBC_TEST_SERVER_VICTIM").is_some() {
        let stage = Stage::new();
        let mut second = step(1, process(&[&["sleep", "86.213"]], "lines"), &[("x", Type::Text)], Type::Text);
        second.hardware.units = 1;
        let plan = chain(vec![stage.step(0, "a", json!({"child": "82.747"})), second]);
        let _ = stage.go(&plan, json!("hi"), machine(&[]));
    }
}

#[test]
fn a_killed_runtime_takes_its_servers_along() {
    let tests = std::env::current_exe().expect("this program");
    let mut runtime = std::process::Command::new(tests)
        .args(["run::tests::servers::victim_with_a_server", "--exact"])
        .env("MKBC_TEST_SERVER_VICTIM", "1")
        .stdout(std::process::Stdio::null())
        .spawn()
        .expect("a second runtime");
    let begun = Instant::now();
    while !samples::running("sleep 86.213") || !samples::running("sleep 82.747") {
        assert!(begun.elapsed().as_secs() < 60, "the second runtime started nothing");
        std::thread::sleep(Duration::from_millis(50));
    }
    runtime.kill().expect("killed");
    runtime.wait().expect("gone");
    std::thread::sleep(Duration::from_millis(500));
    assert!(!samples::running("sleep 86.213") && !samples::running("sleep 82.747"));
}

#[test]
fn servers_lie_where_the_plan_says_and_it_is_told() {
    let stage = Stage::new();
    let steps = vec![
        on(stage.step(0, "a", json!({})), "h100", 2, dec!(60)),
        on(stage.step(1, "b", json!({})), "h100", 1, dec!(30)),
        on(stage.step(2, "c", json!({})), "h100", 1, dec!(20)),
    ];
    let mut plan = chain(steps);
    let placed = |index, steps: &[u32], memory_gb| Placed {
        device: "h100".into(),
        index,
        steps: steps.iter().map(|s| crate::ir::workflow::StepId(*s)).collect(),
        memory_gb,
    };
    // Tensor parallel over two, and two side by side on a third.
    plan.placement = vec![placed(0, &[0], dec!(30)), placed(1, &[0], dec!(30)), placed(3, &[1, 2], dec!(50))];
    let gpus =
        [("NVIDIA H100 A", 80), ("NVIDIA H100 B", 80), ("NVIDIA L4", 24), ("NVIDIA H100 C", 80), ("NVIDIA H100 D", 80)];
    let (report, _) = stage.go(&plan, json!("hi"), machine(&gpus));
    assert_eq!(report.result, Ok(json!("fake: fake: fake: hi")));
    let found: BTreeMap<String, (String, String)> = stage
        .starts()
        .iter()
        .map(|s| {
            let argv: Vec<&str> = s["start"].as_array().expect("arguments").iter().filter_map(Value::as_str).collect();
            let after = |name: &str| argv.iter().position(|a| *a == name).map_or("-", |at| argv[at + 1]).to_owned();
            let about = format!("tp {} share {}", after("--tensor-parallel-size"), after("--gpu-memory-utilization"));
            (after("--served-model-name"), (s["gpus"].as_str().expect("GPUs").to_owned(), about))
        })
        .collect();
    // The plan's `h100 3` is the fourth H100, whatever else is in the machine.
    assert_eq!(found["org/a"], ("GPU-0,GPU-1".into(), "tp 2 share 0.38".into()));
    assert_eq!(found["org/b"], ("GPU-4".into(), "tp 1 share 0.38".into()));
    assert_eq!(found["org/c"], ("GPU-4".into(), "tp 1 share 0.25".into()));
    assert!(report.servers.iter().all(|s| s.as_planned && s.peak_gb.is_none()), "{:?}", report.servers);
    let planned: Vec<&str> = report.servers.iter().map(|s| s.planned.as_str()).collect();
    assert_eq!(planned, ["h100 0, h100 1", "h100 3", "h100 3"]);
}

#[test]
fn the_idle_sleep_where_another_needs_the_memory_and_wake_when_they_are_needed() {
    let stage = Stage::new();
    let gpu = |id, model: &str| on(stage.step(id, model, json!({})), "h100", 1, dec!(60));
    let plan = chain(vec![gpu(0, "a"), gpu(1, "b"), gpu(2, "a")]);
    let (report, diary) = stage.go(&plan, json!("hi"), machine(&[("NVIDIA H100", 80)]));
    assert_eq!(report.result, Ok(json!("fake: fake: fake: hi")));
    let said: Vec<Value> = stage.seen().iter().map(|l| l["said"].clone()).filter(|s| !s.is_null()).collect();
    assert_eq!(stage.starts().len(), 2, "{diary:?}");
    assert_eq!(said[..2], [json!("/sleep?level=1"), json!("/sleep?level=1")], "{diary:?}");
    assert_eq!(said[2], json!("/wake_up"), "{diary:?}");
    assert!(!stage.running());
}

#[test]
fn what_does_not_fit_the_machine_is_said_before_anything_starts() {
    let stage = Stage::new();
    let plan = chain(vec![on(stage.step(0, "a", json!({})), "h100", 1, dec!(90))]);
    let (report, _) = stage.go(&plan, json!("hi"), machine(&[("NVIDIA H100", 80)]));
    let error = report.result.expect_err("too large").to_string();
    assert!(error.contains("90.0 GB on `h100`, of which 76.0 GB can be had"), "{error}");
    let (report, _) = stage.go(&plan, json!("hi"), machine(&[]));
    let error = report.result.expect_err("no GPU").to_string();
    assert!(error.contains("on 1 `h100`, and this machine has 0"), "{error}");
    assert!(stage.starts().is_empty());
}

#[test]
fn servers_load_while_earlier_steps_run_and_calls_overlap_up_to_the_batch() {
    let stage = Stage::new();
    let first = step(0, process(&[&["sleep", "1.5"], &["echo", "{x}"]], "lines"), &[("x", Type::Text)], Type::Text);
    let plan = chain(vec![first, stage.step(1, "a", json!({}))]);
    let (report, diary) = stage.go(&plan, json!("hi"), machine(&[]));
    assert_eq!(report.result, Ok(json!("fake: hi")));
    let at = |what: &str| diary.iter().position(|l| l == what).unwrap_or_else(|| panic!("no `{what}` in {diary:?}"));
    assert!(at("server Ready") < at("finish step_0 1"), "{diary:?}");
    // Four items, of which the server takes two at once.
    let body = Region { nodes: vec![call(0, value(1), 2)], result: value(2) };
    let map = Node::Map { over: value(0), item: ValueId(1), body, output: ValueId(3) };
    let texts = Type::List(Box::new(Type::Text));
    let many = super::samples::plan(texts.clone(), vec![map], (value(3), texts), vec![stage.step(0, "b", json!({}))]);
    let (report, _) = stage.go(&many, json!(["slow 1", "slow 2", "slow 3", "slow 4"]), machine(&[]));
    assert_eq!(report.result, Ok(json!(["fake: slow 1", "fake: slow 2", "fake: slow 3", "fake: slow 4"])));
    let measure = &report.steps[0];
    assert!(measure.busy_s > measure.wall_s * 1.3, "they did not overlap: {measure:?}");
}

#[test]
fn an_address_wins_and_what_is_missing_is_known_beforehand() {
    let stage = Stage::new();
    let plan = chain(vec![stage.step(0, "nowhere", json!({}))]);
    let env = |name: &str| match name {
        "MKBC_VLLM" => Some(FAKE.to_owned()),
        "PATH" | "HOME" => Some("/nonexistent".to_owned()),
        _ => None,
    };
    let missing = preflight::missing(&plan, &env, &[]);
    assert_eq!(missing.len(), 1, "{missing:?}");
    assert!(missing[0].to_string().contains("the weights of `nowhere` are not on this machine"), "{}", missing[0]);
    let nothing = |name: &str| (name == "PATH").then(|| "/nonexistent".to_owned());
    let found: Vec<String> = preflight::missing(&plan, &nothing, &[]).iter().map(ToString::to_string).collect();
    assert!(found[0].contains("the model server `vllm` is not installed") && found.len() == 2, "{found:?}");
    let attached = |name: &str| (name == "TEST_SERVER_URL").then(|| "http://127.0.0.1:9/v1".to_owned());
    assert!(preflight::missing(&plan, &attached, &[]).is_empty());
    let folder = tempfile::tempdir().expect("a folder");
    let cx = RunContext::new(folder.path(), &observer::Silent, &attached);
    let report = block_on(run(&plan, BTreeMap::from([("x".to_owned(), json!("a"))]), &cx)).expect("a runtime");
    let error = report.result.expect_err("nobody is there").to_string();
    assert!(error.contains("127.0.0.1:9 cannot be reached"), "{error}");
    assert!(report.servers.is_empty());
}

#[test]
fn energy_of_cores_is_measured_where_the_kernel_shows_it_and_nobodys_is_stated_apart() {
    let folder = tempfile::tempdir().expect("a folder");
    let zone = folder.path().join("intel-rapl:0");
    std::fs::create_dir_all(&zone).expect("a folder");
    std::fs::write(zone.join("max_energy_range_uj"), "1000000000").expect("a file");
    let counter = zone.join("energy_uj");
    std::fs::write(&counter, "0").expect("a file");
    // The step itself moves the FAKE counter: by 7200 J.
    let command = format!("echo 7200000000 > {}", counter.display());
    std::fs::write(zone.join("max_energy_range_uj"), "100000000000").expect("a file");
    let engine = process(&[&["sh", "-c", &command], &["echo", "{x}"]], "lines");
    let plan = plan(
        Type::Text,
        vec![call(0, value(0), 1)],
        (value(1), Type::Text),
        vec![step(0, engine, &[("x", Type::Text)], Type::Text)],
    );
    let diary = Diary::default();
    let mut cx = RunContext::new(folder.path().join("run"), &diary, &samples::environment);
    cx.powercap = folder.path().to_path_buf();
    let report = block_on(run(&plan, BTreeMap::from([("x".to_owned(), json!("a"))]), &cx)).expect("a runtime");
    let cores = f64::from(devices::cpu::cores());
    let measured = &report.steps[0];
    assert_eq!(measured.energy_basis, Some(meter::Basis::Measured));
    assert!(measured.energy_wh.is_some_and(|wh| (wh - 2.0 / cores).abs() < 1e-9), "{measured:?}");
    let cpu = &report.energy[0];
    assert!((cpu.total_wh - 2.0).abs() < 1e-9 && (cpu.idle_wh - (2.0 - 2.0 / cores)).abs() < 1e-9, "{cpu:?}");
    assert!(measured.planned.is_some_and(|p| p.energy_wh == Some(1.0)));
    let said = report::table(&plan, &report);
    assert!(said.contains("cpu: ") && said.contains("Wh of nobody"), "{said}");
}
