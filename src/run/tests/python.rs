//! Python functions as steps, with a real interpreter.

use super::*;
use crate::plan::model::Engine;

const MODULE: &str = r#"
import dataclasses, os, sys, time, typing
import murakkab

@dataclasses.dataclass
class Point:
    x: int
    note: typing.Optional[str] = None

@murakkab.tool
def double(x: Point) -> Point:
    print("doubling", x.x)
    print("to stderr", file=sys.stderr)
    os.system("echo from a child")
    return Point(x.x * 2, x.note)

@murakkab.tool
def who(x: str) -> int:
    return os.getpid()

@murakkab.tool
def act(x: str) -> str:
    if x == "raise":
        raise ValueError("no \x1b[2Jsuch thing")
    if x == "exit":
        sys.exit(3)
    if x == "die":
        print("last words", flush=True)
        os._exit(7)
    if x == "segfault":
        import ctypes
        ctypes.string_at(0)
    if x == "hang":
        os.system("sleep 93.117 & wait")
    if x == "big":
        return "x" * (65 << 20)
    if x == "flood":
        for _ in range(200_000):
            print("0123456789" * 5)
        return "flooded"
    if x == "wrong":
        return 3
    if x == "nan":
        return float("nan")
    if x == "closed":
        os.close(2); os.close(1)
        return "closed"
    if x == "forged":
        os.write(1, b"\x00\x00\x00\x02{}")
        return "not forged"
    return os.environ.get("OPENAI_API_KEY", "no key")
"#;

fn python(function: &str, x: Type, output: Type) -> crate::plan::model::PlanStep {
    let engine = Engine::Python {
        module: "tools.py".into(),
        function: function.into(),
        interpreter: "python3".into(),
        together: 0,
    };
    step(0, engine, &[("x", x)], output)
}

/// Runs a plan beside the module.
fn beside(module: &str, plan: &Plan, x: Value) -> (RunReport, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("tools.py"), module).expect("written");
    let mut cx = RunContext::new(folder.path().join("run"), &observer::Silent, &samples::environment);
    cx.folders = vec![folder.path().to_path_buf()];
    cx.backoff = Duration::from_millis(1);
    let report = block_on(run(plan, BTreeMap::from([("x".to_owned(), x)]), &cx)).expect("a runtime");
    (report, folder)
}

fn one(function: &str, x: Type, output: Type, given: Value) -> (Result<Value, fault::Fault>, tempfile::TempDir) {
    let steps = vec![python(function, x.clone(), output.clone())];
    let plan = plan(x, vec![call(0, value(0), 1)], (value(1), output), steps);
    let (report, folder) = beside(MODULE, &plan, given);
    (report.result.map_err(|e| e.fault), folder)
}

fn act(what: &str) -> Result<Value, fault::Fault> {
    one("act", Type::Text, Type::Text, json!(what)).0
}

#[test]
fn a_dataclass_goes_in_and_out_and_what_is_printed_is_a_log() {
    let point = Type::Record(
        "Point".into(),
        vec![("x".into(), Type::Int), ("note".into(), Type::Optional(Box::new(Type::Text)))],
    );
    let (result, folder) = one("double", point.clone(), point, json!({"x": 21, "note": "é"}));
    assert_eq!(result, Ok(json!({"x": 42, "note": "é"})));
    let log = std::fs::read_to_string(folder.path().join("run/steps/00-step_0/0000/out-1/log.txt")).expect("a log");
    let mut lines: Vec<&str> = log.lines().filter(|l| !l.is_empty()).collect();
    lines.sort_unstable();
    assert_eq!(lines, ["doubling 21", "from a child", "to stderr"]);
}

#[test]
fn a_worker_stays_warm_and_an_exception_does_not_end_it() {
    let (text, whole) = (Type::Text, Type::Int);
    let mut steps = vec![python("who", text.clone(), whole.clone())];
    steps[0].hardware.units = 64;
    let body = Region { nodes: vec![call(0, value(1), 2)], result: value(2) };
    let map = Node::Map { over: value(0), item: ValueId(1), body, output: ValueId(3) };
    let plan = plan(list(text), vec![map], (value(3), list(whole)), steps);
    let (report, _folder) = beside(MODULE, &plan, json!(["a", "b", "c", "d"]));
    let pids = report.result.expect("four answers");
    assert!(pids.as_array().is_some_and(|p| p.len() == 4 && p.iter().all(|pid| *pid == p[0])), "{pids}");
    // Nothing of it is left after the run.
    let pid = &pids[0];
    std::thread::sleep(Duration::from_millis(200));
    assert!(!std::path::Path::new(&format!("/proc/{pid}/cmdline")).exists_with_content());
}

trait Content {
    fn exists_with_content(&self) -> bool;
}

impl Content for std::path::Path {
    /// A zombie has no command line.
    fn exists_with_content(&self) -> bool {
        std::fs::read(self).is_ok_and(|line| !line.is_empty())
    }
}

#[test]
fn faults_of_a_function_are_faults_of_its_step() {
    let raised = act("raise").expect_err("raises");
    assert_eq!(raised.message, "`act` of `tools.py` raised ValueError: no [2Jsuch thing");
    let traceback = raised.detail.expect("a traceback");
    assert!(traceback.contains("tools.py\", line 24, in act") && !traceback.contains("worker.py"), "{traceback}");
    assert_eq!(act("exit").expect_err("exits").message, "`act` of `tools.py` raised SystemExit: 3");
    let died = act("die").expect_err("dies");
    assert_eq!(died.message, "the Python worker of `tools.py`, in `act`, ended with status 7");
    assert!(died.detail.is_some_and(|d| d.contains("last words")) && died.transient);
    let crashed = act("segfault").expect_err("crashes");
    assert!(crashed.message.ends_with("was ended by signal 11"), "{}", crashed.message);
    assert!(crashed.detail.is_some_and(|d| d.contains("Segmentation fault")));
    assert!(act("big").expect_err("too big").message.contains("65 MB, and at most 64 MB"));
    assert!(act("wrong").expect_err("no text").message.starts_with("the result is no Text"));
    assert!(act("nan").expect_err("no JSON").message.contains("not JSON compliant"));
}

#[test]
fn output_of_user_code_is_never_taken_for_the_protocol() {
    assert_eq!(act("forged"), Ok(json!("not forged")));
    assert_eq!(act("flood"), Ok(json!("flooded")));
    assert_eq!(act("closed"), Ok(json!("closed")));
    assert_eq!(act("env"), Ok(json!("no key")));
}

#[test]
fn a_function_that_hangs_is_killed_with_what_it_started_and_tried_again_in_a_new_worker() {
    let mut steps = vec![python("act", Type::Text, Type::Text)];
    steps[0].conditions = crate::plan::model::Conditions { retries: 1, timeout_ms: Some(700), cache: None };
    let plan = plan(Type::Text, vec![call(0, value(0), 1)], (value(1), Type::Text), steps);
    let (report, _folder) = beside(MODULE, &plan, json!("hang"));
    let fault = report.result.expect_err("hangs").fault;
    assert_eq!((fault.kind, fault.message.as_str()), (FaultKind::Timeout, "no result within 0.7 s (attempt 2)"));
    assert_eq!(report.steps[0].attempts, 2);
    assert!(!running("sleep 93.117"));
}

#[test]
fn what_is_missing_is_said() {
    let with = |module: &str| {
        let steps = vec![python("act", Type::Text, Type::Text)];
        let plan = plan(Type::Text, vec![call(0, value(0), 1)], (value(1), Type::Text), steps);
        beside(module, &plan, json!("a")).0.result.expect_err("cannot be imported").fault
    };
    let missing = with("import no_such_module_here\n");
    assert!(missing.message.contains("`tools.py` cannot be imported: ModuleNotFoundError"), "{}", missing.message);
    assert!(missing.help.is_some_and(|h| h.contains("python3")));
    assert!(with("def broken(:\n").message.contains("SyntaxError"));
    assert!(with("import sys; sys.exit(0)\n").message.contains("SystemExit"));
    assert!(with("x = 1\n").message.contains("no tool `act`"));
    let steps = vec![python("act", Type::Text, Type::Text)];
    let plan = plan(Type::Text, vec![call(0, value(0), 1)], (value(1), Type::Text), steps);
    let nowhere = preflight::missing(&plan, &samples::environment, &[PathBuf::from("/nonexistent")]);
    assert!(nowhere[0].to_string().contains("there is no file `tools.py` in `/nonexistent`"), "{}", nowhere[0]);
}
