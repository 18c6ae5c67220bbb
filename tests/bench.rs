//! `mkbc bench solver`, `plan --export` and `--cross-check` as people meet them.

#[path = "cli/mkbc.rs"]
mod mkbc;

use mkbc::{BINARY, Mkbc, repository};
use serde_json::Value;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, iter};

/// A family with everything that instances can have but instances themselves, and one with those.
const FAMILIES: [&str; 4] =
    ["--family", "realistic-4x8-tight-coupled-side2-pools", "--family", "shared-4x6-infeasible"];

/// Where programs are looked for: first in the environment that `.ci/setup all` makes.
fn places() -> OsString {
    let home = || Path::new(&env::var_os("HOME").unwrap_or_default()).join(".cache");
    let cache = env::var_os("XDG_CACHE_HOME").map_or_else(home, PathBuf::from);
    let path = env::var_os("PATH").unwrap_or_default();
    let all = iter::once(cache.join("mkbc/highs/bin")).chain(env::split_paths(&path));
    env::join_paths(all).expect("no place has a colon")
}

/// Whether HiGHS can be had the way `mkbc` finds it.
fn has_highs() -> bool {
    let runs = |program: &str, arguments: &[&str]| {
        let mut command = Command::new(program);
        let done = command.args(arguments).env("PATH", places()).stdin(Stdio::null()).output();
        done.is_ok_and(|done| done.status.success())
    };
    runs("highs", &["--version"]) || runs("python3", &["-c", "import highspy"])
}

/// Statuses and values by name and seed.
fn answers(json: &str) -> BTreeMap<(String, u64), (Value, Value)> {
    let all: Value = serde_json::from_str(json).expect("results are JSON");
    assert_eq!((&all["format"], &all["version"]), (&"murakkab-results".into(), &1.into()));
    let of = |r: &Value| {
        let key = (r["name"].as_str().expect("a name").to_owned(), r["seed"].as_u64().expect("a seed"));
        assert!(r["cpu_ms"].as_f64().is_some_and(|ms| ms > 0.0), "{r}");
        (key, (r["status"].clone(), r["values"].clone()))
    };
    all["results"].as_array().expect("results").iter().map(of).collect()
}

#[test]
fn instances_that_are_written_are_solved_alike_when_read() {
    let mkbc = Mkbc::new();
    let mut arguments = vec!["bench", "solver", "--seeds", "3", "--write", "whole", "--json", "made.json"];
    arguments.extend(FAMILIES);
    let made = mkbc.run(&arguments);
    assert_eq!(made.code, Some(0), "{made:?}");
    assert!(made.out.contains("realistic-4x8-tight-coupled-side2-pools"), "{}", made.out);
    let read = mkbc.run(&[
        "bench",
        "solver",
        "--read",
        "whole",
        "--certify",
        "off",
        "--json",
        "read.json",
        "--write-reduced",
        "small",
    ]);
    assert_eq!(read.code, Some(0), "{read:?}");
    let small = mkbc.run(&["bench", "solver", "--read", "small", "--certify", "full", "--json", "small.json"]);
    assert_eq!(small.code, Some(0), "{small:?}");
    let made = answers(&mkbc.read("made.json"));
    assert_eq!(made.len(), 6);
    assert_eq!(made, answers(&mkbc.read("read.json")));
    assert_eq!(made, answers(&mkbc.read("small.json")));
    let all = |name: &str, status: &str| {
        let of = made.iter().filter(|(key, _)| key.0 == name);
        assert!(of.map(|(_, answer)| &answer.0).all(|found| found == status), "{made:?}");
    };
    all("realistic-4x8-tight-coupled-side2-pools", "optimal");
    all("shared-4x6-infeasible", "infeasible");
}

#[test]
fn what_is_no_instance_is_refused_with_the_reason() {
    let mkbc = Mkbc::new();
    let cases = [
        ("text.json", "hello", "`text.json` is no JSON object"),
        ("plan.json", "{\"format\": \"murakkab-plan\"}", "`plan.json` is no instance"),
        (
            "later.json",
            "{\"format\": \"murakkab-instance\", \"version\": 9}",
            "`later.json` is an instance of another version",
        ),
        (
            "typo.json",
            "{\"format\": \"murakkab-instance\", \"version\": 1, \"name\": \"x\", \"problem\": {\"stebs\": []}}",
            "unknown field `stebs`",
        ),
        (
            "edge.json",
            "{\"format\": \"murakkab-instance\", \"version\": 1, \"name\": \"x\", \"problem\": {\"edges\": [[0, 1]]}}",
            "there are only 0 steps",
        ),
    ];
    for (file, text, reason) in cases {
        mkbc.write(file, text);
        let done = mkbc.run(&["bench", "solver", "--read", file]);
        assert_eq!(done.code, Some(1), "{done:?}");
        assert!(done.err.contains(reason) && !done.err.contains("panicked"), "{}", done.err);
    }
    for (arguments, reason) in [
        (["--family", "realistic-20-tight"], "needs a size such as `20x100`"),
        (["--family", "realistic-9999x9999-tight"], "each from 1 to 1000"),
        (["--family", "fancy-2x2-tight"], "begins with none of"),
        (["--family", "adversarial-2x2-tight-coupled"], "`coupled` is none of its"),
        (["--time-limit", "-1"], "from 0 to 86400"),
        (["--time-limit", "NaN"], "from 0 to 86400"),
    ] {
        let done = mkbc.run(&["bench", "solver", &format!("{}={}", arguments[0], arguments[1])]);
        assert_eq!(done.code, Some(2), "{done:?}");
        assert!(done.err.contains(reason), "{}", done.err);
    }
}

#[test]
fn no_time_gives_no_wrong_answer() {
    let mkbc = Mkbc::new();
    let done = mkbc.run(&[
        "bench",
        "solver",
        "--family",
        "realistic-20x30-tight",
        "--seeds",
        "1",
        "--time-limit",
        "0",
        "--json",
        "out.json",
    ]);
    assert_eq!(done.code, Some(0), "{done:?}");
    let answers = answers(&mkbc.read("out.json"));
    assert!(answers.values().all(|(status, _)| status != "infeasible" && status != "optimal"), "{answers:?}");
}

#[test]
fn a_job_is_exported_in_each_form() {
    let mkbc = Mkbc::new();
    let job = repository().join("examples/video_qa.mkb").display().to_string();
    for form in ["json", "smt2", "mps"] {
        let done = mkbc.run(&["plan", &job, "--export", &format!("job.{form}"), "--cluster", "azure_mixed"]);
        assert_eq!(done.code, Some(0), "{done:?}");
    }
    let solved = mkbc.run(&["bench", "solver", "--read", "job.json"]);
    assert_eq!(solved.code, Some(0), "{solved:?}");
    assert!(mkbc.read("job.1.mps").ends_with("ENDATA\n"));
    assert!(mkbc.read("job.1.smt2").ends_with("(check-sat)\n"));
    let other = mkbc.run(&["plan", &job, "--export", "job.xls"]);
    assert_eq!(other.code, Some(2), "{other:?}");
    assert!(other.err.contains("a file ends in .json, .smt2 or .mps"), "{}", other.err);
}

#[test]
fn highs_agrees_or_is_said_to_be_missing() {
    let mkbc = Mkbc::new();
    let mut arguments = vec!["bench", "solver", "--seeds", "2", "--cross-check"];
    arguments.extend(FAMILIES);
    // A PATH without Python and HiGHS: nothing else is started.
    let missing = mkbc.end(mkbc.command(&arguments).env("PATH", mkbc.path("nowhere")));
    assert_eq!(missing.code, Some(1), "{missing:?}");
    assert!(missing.err.contains("python3 -m pip install highspy"), "{}", missing.err);
    if !has_highs() {
        let missing = "HiGHS is not here: python3 -m pip install highspy";
        assert!(env::var_os("MKBC_REQUIRE_TOOLS").is_none(), "{missing}, and MKBC_REQUIRE_TOOLS is set");
        eprintln!("{missing}");
        return;
    }
    // The module may be found through an environment that tests do not pass on.
    let mut command = mkbc.command(&arguments);
    command.envs(env::vars_os()).env("PATH", places());
    let done = mkbc.end(&mut command);
    assert_eq!(done.code, Some(0), "{done:?}");
    assert!(done.out.contains("HiGHS agrees on 4 of 4 problems"), "{}", done.out);
}

/// The script beside the benchmark reads the fleets that it writes, and no plan contradicts a bound.
#[test]
fn a_peer_reads_the_fleets_that_are_written() {
    if !has_highs() {
        let missing = "HiGHS is not here: python3 -m pip install highspy";
        assert!(env::var_os("MKBC_REQUIRE_TOOLS").is_none(), "{missing}, and MKBC_REQUIRE_TOOLS is set");
        eprintln!("{missing}");
        return;
    }
    let mkbc = Mkbc::new();
    std::fs::create_dir(mkbc.path("fleets")).expect("a folder");
    let made = mkbc.run(&["bench", "joint", "--jobs", "2", "--seeds", "1", "--time-limit", "0", "--write", "fleets"]);
    assert_eq!(made.code, Some(0), "{made:?}");
    let fleets = std::fs::read_dir(mkbc.path("fleets")).expect("the folder").map(|entry| entry.expect("a file").path());
    let mut command = Command::new("python3");
    command.arg(repository().join("bench/joint_peers.py")).args([
        "--peers",
        "highs",
        "--seconds",
        "2",
        "--mkbc",
        BINARY,
    ]);
    let done = command.args(fleets).env("PATH", places()).output().expect("Python");
    let said = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success(), "{said}{}", String::from_utf8_lossy(&done.stderr));
    assert!(said.contains("highs: a plan for") && said.contains("no contradiction"), "{said}");
}

#[test]
fn memory_does_not_grow_with_the_items_of_a_map() {
    let mkbc = Mkbc::new();
    let peak = |nodes: &str| {
        let words = ["bench", "runtime", "--shape", "fan", "--kind", "compute", "--store", "memory", "--repeat", "1"];
        let done = mkbc.run(&[&words[..], &["--json", "--nodes", nodes]].concat());
        assert_eq!(done.code, Some(0), "{done:?}");
        let rows: Value = serde_json::from_str(&done.out).expect("JSON");
        rows[0]["peak_bytes"].as_u64().expect("bytes") >> 20
    };
    let (few, many) = (peak("5000"), peak("105000"));
    // As values in memory, 100,000 more items and their results would take 14 MiB.
    assert!(many <= few + 6, "{few} MiB for 5,000 items, {many} MiB for 105,000");
}
