//! `mkbc simulate` by the real binary: goldens in `tests/simulate/` (`BLESS=1` rewrites them), the page, and bad input.

#[path = "cli/mkbc.rs"]
mod mkbc;

use flate2::Compression;
use flate2::write::GzEncoder;
use mkbc::{Bless, Done, Mkbc, repository};
use serde_json::Value;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;

/// A folder with two jobs, the cluster, and one of them set up by hand.
fn folder() -> Mkbc {
    let mkbc = Mkbc::new();
    for name in ["letters.mkb", "invoices.mkb", "cluster.mkb"] {
        mkbc.write(name, fs::read_to_string(repository().join("tests/fleet").join(name)).expect(name));
    }
    mkbc
}

/// Four hours: letters by day, invoices in the third hour.
fn trace() -> String {
    let mut csv = "timestamp,job,input,output\n".to_string();
    for second in 0..4 * 3600 {
        let hour = second / 3600;
        let every = [20, 4, 4, 60][hour];
        if second % every == 0 {
            let _ = writeln!(csv, "{second},letters,{},{}", 100 + second % 700, 20 + second % 60);
        }
        if hour == 2 && second % 6 == 0 {
            let _ = writeln!(csv, "{second}.5,invoices,{},{}", 300 + second % 100, 50);
        }
    }
    csv
}

fn simulate(mkbc: &Mkbc, more: &[&str]) -> Done {
    let both = ["simulate", "letters.mkb", "invoices.mkb", "--cluster", "cluster.mkb"];
    mkbc.run(&both.iter().copied().chain(more.iter().copied()).collect::<Vec<_>>())
}

#[test]
fn policies_side_by_side_on_a_trace() {
    let (mkbc, bless) = (folder(), Bless::default());
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    packed.write_all(trace().as_bytes()).expect("packed");
    mkbc.write("trace.csv.gz", packed.finish().expect("packed"));
    let report = ["--report", "sim.html", "--format", "json"];
    let short = ["--rounds", "200", "--epoch", "2h", "--policy", "per-job,joint,adaptive"];
    let done = simulate(&mkbc, &[&["--trace", "trace.csv.gz"][..], &report, &short].concat());
    assert_eq!(done.code, Some(0), "{}", done.err);
    let page = mkbc.read("sim.html");
    assert_eq!(page.matches("<svg").count(), 9);
    assert!(page.contains("mkbc simulate letters.mkb invoices.mkb --cluster cluster.mkb --trace trace.csv.gz"));
    let json: Value = serde_json::from_str(&done.out).expect("JSON");
    let policies = json["policies"].as_array().expect("policies");
    let rows = trace().lines().count() as u64 - 1;
    let mut figures = String::new();
    for policy in policies {
        let (name, outcome) = (policy["policy"].as_str().expect("a name"), &policy["outcome"]);
        let number = |path: &str| outcome.pointer(path).and_then(Value::as_f64).expect(path);
        assert_eq!(number("/runs/arrived"), rows as f64, "{name}");
        assert_eq!(number("/runs/done") + number("/runs/in_flight"), rows as f64, "{name}");
        let _ = writeln!(figures, "{name}");
        for path in ["/gpus_mean", "/gpus_peak", "/spent/cost_usd", "/spent/busy_wh", "/runs/latency/p95_s", "/changes"]
        {
            let _ = writeln!(figures, "  {path} {:.3}", number(path));
        }
    }
    bless.golden(&repository().join("tests/simulate/policies.txt"), &figures);
    // The optimum of all is no dearer than everybody's own, and planning anew no dearer than for the peak.
    let cost = |at: usize| policies[at]["outcome"]["spent"]["cost_usd"].as_f64().expect("a cost");
    assert!(cost(1) <= cost(0) && cost(2) <= cost(1), "{figures}");
    bless.end();
}

#[test]
fn stated_rates_a_plan_by_hand_and_jobs_set_up_by_hand() {
    let (mkbc, bless) = (folder(), Bless::default());
    let load = "letters=30/min|10/min,invoices=12/min";
    let planned = mkbc.run(&[
        "plan",
        "letters.mkb",
        "invoices.mkb",
        "--cluster",
        "cluster.mkb",
        "--load",
        "letters=90/min,invoices=12/min",
        "-o",
        "mine.json",
    ]);
    assert_eq!(planned.code, Some(0), "{}", planned.err);
    let by_hand = mkbc.read("letters.mkb").replace("using chat(variant: qwen3_8b)", "using chat(variant: gemma_3_27b)");
    mkbc.write("hand.mkb", by_hand);
    let more = ["--load", load, "--hours", "2", "--policy", "static,joint,mine", "--policy-plan", "mine=mine.json"];
    let hand = ["--by-hand", "hand.mkb", "--mtbf", "1h", "--seed", "7", "--tier", "office=letters,invoices"];
    let done = simulate(&mkbc, &more.iter().chain(&hand).copied().collect::<Vec<_>>());
    assert_eq!(done.code, Some(0), "{}", done.err);
    bless.golden(&repository().join("tests/simulate/by_hand.txt"), &done.out);
    bless.end();
}

#[test]
fn devices_that_go_and_prices_that_move_are_planned_for() {
    let (mkbc, bless) = (folder(), Bless::default());
    let load =
        ["--load", "letters=90/min,invoices=12/min", "--hours", "4", "--policy", "joint,adaptive", "--rounds", "200"];
    let figures = |more: &[&str]| {
        let done = simulate(&mkbc, &[&load[..], more, &["--format", "json"]].concat());
        assert_eq!(done.code, Some(0), "{}", done.err);
        let json: Value = serde_json::from_str(&done.out).expect("JSON");
        let number = |at: usize, path: &str| json["policies"][at]["outcome"].pointer(path).and_then(Value::as_f64);
        let mut lines = format!("{}\n", more.join(" "));
        for (at, policy) in ["joint", "adaptive"].iter().enumerate() {
            let of = |path: &str| number(at, path).expect(path);
            let (cost, late, lost, changes) = (of("/spent/cost_usd"), of("/runs/late"), of("/lost"), of("/changes"));
            let _ = writeln!(lines, "  {policy}: {cost:.2} usd, {late} late, {lost} lost, {changes} changes");
        }
        lines
    };
    let mut all = figures(&[]);
    all += &figures(&["--change", "90min: l4 * 0"]);
    all += &figures(&["--change", "90min: l4 at 9 usd/h", "--change", "3h: l4 at 0.8 usd/h"]);
    all += &figures(&["--spot", "l4=40%/h", "--spot-back", "20min"]);
    bless.golden(&repository().join("tests/simulate/devices.txt"), &all);
    bless.end();
}

/// As a service does, `adaptive` looks at its plan between epochs: here the load grows long before the next one, which is planned at the end.
#[test]
fn loads_that_leave_the_plan_are_planned_for_before_the_epoch_ends() {
    let mkbc = folder();
    let load = "letters=6/min|6/min|6/min|6/min|6/min|6/min|120/min|120/min,invoices=6/min";
    let more = ["--load", load, "--hours", "8", "--epoch", "4h", "--policy", "joint,adaptive", "--rounds", "200"];
    let done = simulate(&mkbc, &[&more[..], &["--format", "json"]].concat());
    assert_eq!(done.code, Some(0), "{}", done.err);
    let json: Value = serde_json::from_str(&done.out).expect("JSON");
    let of = |at: usize, path: &str| json["policies"][at]["outcome"].pointer(path).and_then(Value::as_f64).expect(path);
    assert!(of(1, "/spent/gpu_hours") < of(0, "/spent/gpu_hours"), "{}", done.out);
    // Until it was there, runs waited; all but the last ones have ended.
    assert!(of(1, "/runs/in_flight") < 50.0, "{}", done.out);
}

/// A trace, a job or a fleet with which nothing can be simulated, and what is said of it: always with the line.
#[test]
fn bad_input_is_refused_with_its_line() {
    let (mkbc, bless) = (folder(), Bless::default());
    let own = mkbc.read("letters.mkb");
    let model = "using chat(variant: qwen3_8b)";
    mkbc.write("unknown_variant.mkb", own.replace(model, "using chat(variant: qwen9_8b)"));
    mkbc.write("unknown_model.mkb", own.replace(model, "using chatt"));
    mkbc.write("large.mkb", own.replace(model, "using large_chat(variant: llama_3_1_405b)"));
    mkbc.write("small.mkb", "cluster small {\n  l4 * 1 at 0.8 usd/h\n  cpu * 8 at 0.09 usd/h\n}\n");
    mkbc.write("free.mkb", own.replace(model, ""));
    mkbc.write("tiny.mkb", "cluster tiny {\n  cpu * 4 at 0.09 usd/h\n}\n");
    let traces: [(&str, &[u8]); 19] = [
        ("unsorted.csv", b"timestamp,input,output\n1,5,5\n3,5,5\n2,5,5\n"),
        ("zero.csv", b"timestamp,input,output\n1,5,5\n2,5,0\n"),
        ("negative.csv", b"timestamp,input,output\n1,-5,5\n"),
        ("infinite.csv", b"timestamp,input,output\n1,inf,5\n"),
        ("no_size.csv", b"timestamp,input,output\n1,5,5\n2,5,\n"),
        ("short.csv", b"timestamp,input,output\n1,5,5\n2,5\n"),
        ("long.csv", b"timestamp,input,output\n1,5,5\n2,5,5,5\n"),
        ("twice.csv", b"timestamp,input,ContextTokens\n1,5,5\n"),
        ("no_time.csv", b"timestamp,input,output\n1,5,5\nsoon,5,5\n"),
        ("no_column.csv", b"time,input,output\n1,5,5\n"),
        ("other_job.csv", b"timestamp,job\n1,letters\n2,parcels\n"),
        ("no_text.csv", b"timestamp,input,output\n1,5,5\n\xff,5,5\n"),
        ("empty.csv", b""),
        ("broken.jsonl", b"{\"timestamp\": 1, \"input_length\": 5}\n{\"timestamp\": 2, \"input_le"),
        ("list.jsonl", b"{\"timestamp\": 1}\n[2]\n"),
        ("no_size.jsonl", b"{\"timestamp\": 1, \"input_length\": 5}\n\n{\"timestamp\": 2}\n"),
        ("sudden_size.jsonl", b"{\"timestamp\": 1}\n{\"timestamp\": 2, \"output_length\": 5}\n"),
        ("no_time.jsonl", b"{\"timestamp\": 1}\n{\"input_length\": 5}\n"),
        ("cut_off.csv.gz", b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\x2b"),
    ];
    let mut said = String::new();
    let mut refused = |words: &[&str]| {
        let done = mkbc.run(&[&["simulate"], words].concat());
        assert_eq!((done.code, done.out.as_str()), (Some(1), ""), "{words:?}");
        let _ = writeln!(said, "$ mkbc simulate {}\n{}", words.join(" "), done.err);
    };
    for (name, bytes) in traces {
        mkbc.write(name, bytes);
        refused(&["letters.mkb", "--cluster", "cluster.mkb", "--trace", name]);
    }
    for (job, cluster) in
        [("unknown_variant.mkb", "cluster.mkb"), ("unknown_model.mkb", "cluster.mkb"), ("large.mkb", "small.mkb")]
    {
        refused(&[job, "--cluster", cluster, "--load", "letters=30/min"]);
    }
    // Devices of the right kind, but too few for one instance: every policy says so, and the job's line is shown.
    let words = ["simulate", "free.mkb", "--cluster", "tiny.mkb", "--load", "letters=30/min", "--hours", "0.1"];
    let done = mkbc.run(&words);
    assert_eq!(done.code, Some(1), "{}", done.err);
    // How far the search for changes gets in its time is the machine's.
    let err: Vec<&str> = done.err.lines().filter(|line| !line.contains("not every change was tried")).collect();
    let _ = writeln!(said, "$ mkbc {}\n{}\n{}\n", words.join(" "), done.out, err.join("\n"));
    bless.golden(&repository().join("tests/simulate/refused.txt"), &said);
    bless.end();
}

/// A trace ends with its last arrival, and its runs end behind that: each is counted, and what is still open when no more time is given is said.
#[test]
fn runs_that_are_open_at_the_end_go_on_or_are_said() {
    let mkbc = folder();
    mkbc.write("trace.csv", "timestamp,job\n0,letters\n1,letters\n2,letters\n2,invoices\n");
    let open = |more: &[&str]| {
        let done =
            simulate(&mkbc, &[&["--trace", "trace.csv", "--policy", "joint", "--format", "json"], more].concat());
        assert_eq!(done.code, Some(0), "{}", done.err);
        let json: Value = serde_json::from_str(&done.out).expect("JSON");
        let runs = &json["policies"][0]["outcome"]["runs"];
        let count = |of: &str| runs[of].as_u64().expect("a count");
        (count("arrived"), count("done"), count("in_flight"), json["notes"].to_string())
    };
    let (arrived, done, in_flight, notes) = open(&[]);
    assert_eq!((arrived, done, in_flight), (4, 4, 0), "{notes}");
    let (arrived, done, in_flight, notes) = open(&["--drain", "0s"]);
    assert_eq!((arrived, done, in_flight), (4, 0, 4), "{notes}");
    assert!(
        notes.contains("had not ended when the simulation did: 3 of 3 of `letters`, 1 of 1 of `invoices`"),
        "{notes}"
    );
}

#[test]
fn what_cannot_be_simulated_is_said() {
    let mkbc = folder();
    let load = "letters=30/min,invoices=12/min";
    mkbc.write("bad.csv", "timestamp,job,input\n0,letters,5\n5,letters,0\n");
    mkbc.write("small.mkb", "cluster small {\n  l4 * 1 at 0.8 usd/h\n  cpu * 1 at 0.09 usd/h\n}\n");
    for (arguments, code, said) in [
        (vec!["--trace", "bad.csv"], 1, "the trace `bad.csv`: line 3: the size `0` is not more than zero"),
        (vec!["--load", "letters=30/min"], 2, "no load for `invoices`"),
        (vec!["--load", "letter=30/min"], 2, "there is no job `letter`: did you mean `letters`?"),
        (vec!["--load", load, "--hours", "0"], 2, "`--hours` takes more than 0"),
        (vec!["--load", load, "--epoch", "soon"], 2, "`--epoch` takes a time such as"),
        (vec!["--load", load, "--policy", "best"], 2, "there is no policy `best`: there are static"),
        (vec!["--load", load, "--by-hand", "cluster.mkb"], 1, "`cluster.mkb` has no job"),
        (vec!["--load", load, "--change", "2h: l5 * 3"], 2, "the cluster has no `l5`: did you mean `l4`?"),
        (vec!["--load", load, "--change", "2h: l4 * -1"], 2, "`--change` takes a time and what there is from then on"),
        (vec!["--load", load, "--change", "soon: l4 * 1"], 2, "`--change` takes a time such as"),
        (vec!["--load", load, "--tier", "gold=letter"], 2, "there is no job `letter`: did you mean `letters`?"),
        (vec!["--load", load, "--spot", "l4=5"], 2, "`--spot` takes a device and how often one goes"),
    ] {
        let done = simulate(&mkbc, &arguments);
        let text = format!("{}{}", done.out, done.err);
        assert!(done.code == Some(code) && text.contains(said), "{arguments:?}: {:?}\n{text}", done.code);
    }
    // Where nothing was simulated there is no report, and what is to be said of a job is said once, however often it is prepared.
    let over = ["--load", "letters=1000000/s,invoices=12/min", "--hours", "1", "--report", "none.html"];
    let done = simulate(&mkbc, &over);
    assert!(done.code == Some(1) && !mkbc.path("none.html").exists(), "{}{}", done.out, done.err);
    mkbc.write("plain.mkb", "use std.llm\n\njob plain(text: Text) -> Text {\n  summarise(text)\n}\n");
    let done =
        mkbc.run(&["simulate", "plain.mkb", "--cluster", "azure_mixed", "--load", "plain=1/s", "--hours", "0.01"]);
    assert_eq!((done.code, done.err.matches("I0702").count()), (Some(0), 1), "{}", done.err);
    // A policy that does not fit is said to, and the others go on.
    let done = mkbc.run(&[
        "simulate",
        "letters.mkb",
        "invoices.mkb",
        "--cluster",
        "small.mkb",
        "--load",
        load,
        "--hours",
        "0.2",
        "--policy",
        "per-job,joint",
    ]);
    assert_eq!(done.code, Some(0), "{}", done.err);
    assert!(done.out.contains("per-job is not simulated: it needs 2 `cpu`"), "{}", done.out);
}
