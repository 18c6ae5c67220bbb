//! Joint plans by the real binary: goldens in `tests/fleet/` (`BLESS=1` rewrites them), edited plans, and bad input.

#[path = "cli/mkbc.rs"]
mod mkbc;

use mkbc::{Bless, Done, Mkbc, repository};
use serde_json::Value;
use std::fs;

/// A folder with the jobs and the cluster.
fn fleet() -> Mkbc {
    let mkbc = Mkbc::new();
    for name in ["letters.mkb", "invoices.mkb", "cluster.mkb"] {
        mkbc.write(name, fs::read_to_string(repository().join("tests/fleet").join(name)).expect(name));
    }
    mkbc
}

const BOTH: [&str; 7] =
    ["plan", "letters.mkb", "invoices.mkb", "--cluster", "cluster.mkb", "--load", "letters=30/min,invoices=12/min"];

fn plan(mkbc: &Mkbc, more: &[&str]) -> Done {
    mkbc.run(&BOTH.iter().copied().chain(more.iter().copied()).collect::<Vec<_>>())
}

/// What the text says of the work that the proof took changes with the engine.
fn masked(text: &str) -> String {
    let line = |line: &str| match line.find(" (by native, ") {
        Some(at) => format!("{} (by native)\n", &line[..at]),
        None => format!("{line}\n"),
    };
    text.lines().map(line).collect()
}

#[test]
fn two_jobs_share_instances() {
    let (mkbc, bless) = (fleet(), Bless::default());
    let done = plan(&mkbc, &["-o", "joint.json"]);
    assert_eq!(done.code, Some(0), "{}", done.err);
    bless.golden(&repository().join("tests/fleet/shared.txt"), &masked(&done.out));
    let mut json: Value = serde_json::from_str(&mkbc.read("joint.json")).expect("JSON");
    let schema = mkbc.run(&["schema", "joint"]).out;
    bless.golden(&repository().join("docs/joint.schema.json"), &schema);
    let schema = jsonschema::validator_for(&serde_json::from_str(&schema).expect("JSON")).expect("a schema");
    assert!(schema.is_valid(&json), "{:?}", schema.iter_errors(&json).next().map(|e| e.to_string()));
    assert_eq!(json["proof"]["optimal"], Value::Bool(true));
    assert!(json["instances"].as_array().is_some_and(|kinds| !kinds.is_empty()));
    // What the library says of the jobs is in their plans, which have goldens of their own.
    json["proof"]["nodes"] = Value::Null;
    for job in json["jobs"].as_array_mut().expect("jobs") {
        job["plan"] = Value::Null;
    }
    bless.golden(&repository().join("tests/fleet/shared.json"), &format!("{json:#}\n"));
    let verified = mkbc.run(&["verify", "joint.json", "--source", "letters.mkb"]);
    assert_eq!(verified.code, Some(0), "{}", verified.err);
    // The same again, from what runs: nothing is switched.
    let again = plan(&mkbc, &["--from", "joint.json"]);
    assert!(again.out.contains("switching: 0 started, 0 stopped"), "{}", again.out);
    bless.end();
}

/// Jobs that are planned one after another share what the first ones left of whole replicas; the plan is verified like any, and its bound is one on
/// all jobs at once.
#[test]
fn jobs_that_are_planned_apart_are_one_plan() {
    let mkbc = fleet();
    let read = |name: &str| -> (f64, f64) {
        let json: Value = serde_json::from_str(&mkbc.read(name)).expect("JSON");
        let number = |path: &str| json.pointer(path).and_then(Value::as_str).and_then(|text| text.parse().ok());
        (number("/total/usd_per_hour").expect("a total"), number("/proof/bound_usd_per_hour").expect("a bound"))
    };
    assert_eq!(plan(&mkbc, &["-o", "whole.json"]).code, Some(0));
    let done = plan(&mkbc, &["--split", "1", "-o", "split.json"]);
    assert_eq!(done.code, Some(0), "{}", done.err);
    assert_eq!(mkbc.run(&["verify", "split.json"]).code, Some(0));
    let ((whole, optimum), (split, bound)) = (read("whole.json"), read("split.json"));
    assert_eq!(whole, optimum);
    assert!(bound <= whole && whole <= split && split <= whole * 1.5, "{bound} {whole} {split}");
    let small = "cluster small {\n  a100 * 1 at 3.43 usd/h\n  cpu * 4 at 0.0893 usd/h\n}\n";
    mkbc.write("small.mkb", small);
    let load = "letters=200/min,invoices=200/min";
    let words = ["plan", "letters.mkb", "invoices.mkb", "--cluster", "small.mkb", "--load", load, "--split", "1"];
    let done = mkbc.run(&words);
    assert_eq!(done.code, Some(1), "{}", done.out);
    assert!(done.err.contains("there is no room for"), "{}", done.err);
}

/// The bound of a joint plan is proved in a file that holds for the same jobs and for no higher bound.
#[test]
fn the_bound_of_a_joint_plan_is_proved_in_a_file() {
    let mkbc = fleet();
    let done = plan(&mkbc, &["-o", "joint.json", "--proof", "proof.json"]);
    assert_eq!(done.code, Some(0), "{}", done.err);
    assert!(done.err.contains("the proof of the bound, by z3"), "{}", done.err);
    let verify = || mkbc.run(&["verify", "joint.json", "--source", "letters.mkb", "--proof", "proof.json"]);
    let done = verify();
    assert_eq!(done.code, Some(0), "{}", done.err);
    let (_, proved) = done.out.split_once("proved that no plan costs less than ").expect("a bound");
    let bound: f64 = proved.trim().strip_suffix(" usd/h").expect("a price").parse().expect("a number");
    let json: Value = serde_json::from_str(&mkbc.read("joint.json")).expect("JSON");
    let total: f64 = json["total"]["usd_per_hour"].as_str().expect("a total").parse().expect("a number");
    assert!(0.0 < bound && bound <= total, "{bound} of {total}");
    let proof: Value = serde_json::from_str(&mkbc.read("proof.json")).expect("JSON");
    let cost = proof["certificate"]["jobs"][0]["cost"].as_i64().expect("a cost");
    let price = proof["certificate"]["load"][0].as_i64().expect("a price");
    for (path, value, why) in [
        ("/certificate/jobs/0/cost", Value::from(cost + 1), "what `letters` costs at least"),
        ("/certificate/load/0", Value::from(-1 - price), "a price is negative"),
        ("/certificate/load", Value::Array(Vec::new()), "not one price per kind"),
        ("/problem", Value::from("0"), "it is about another problem"),
        ("/fleet_version", Value::from(99), "of version 99"),
    ] {
        let mut wrong = proof.clone();
        *wrong.pointer_mut(path).expect(path) = value;
        mkbc.write("proof.json", wrong.to_string());
        let done = verify();
        assert!(done.code == Some(1) && done.err.contains(why), "{path}: {}{}", done.out, done.err);
    }
    let done = plan(&mkbc, &["--split", "1", "--proof", "proof.json"]);
    assert!(done.code == Some(2) && done.err.contains("leave out `--split`"), "{}", done.err);
}

#[test]
fn a_soft_line_gives_way_where_the_load_does_not_fit_with_it() {
    let mkbc = fleet();
    mkbc.write("cpus.mkb", "cluster cpus {\n  cpu * 24 at 0.0893 usd/h\n}\n");
    let letters = mkbc.read("letters.mkb");
    let soft =
        letters.replace("  using chat(variant: qwen3_8b)\n", "  prefer quality >= 50 %\n  prefer latency <= 30 s\n");
    mkbc.write("letters.mkb", soft.replace("quality >= 35 %", "quality >= 10 %"));
    let words = ["plan", "letters.mkb", "--cluster", "cpus.mkb", "-o", "joint.json", "--load"];
    let at = |load| mkbc.run(&[&words[..], &[load]].concat());
    let slow = at("letters=1/min");
    assert!(slow.code == Some(0) && !slow.out.contains("broken"), "{}{}", slow.out, slow.err);
    let fast = at("letters=20/min");
    assert_eq!(fast.code, Some(0), "{}", fast.err);
    let line = |text: &str| fast.out.lines().find(|line| line.contains(text)).unwrap_or_default().to_owned();
    assert!(line("prefer quality >= 50 %").ends_with("(preferred, broken)"), "{}", fast.out);
    assert!(line("prefer latency <= 30 s").contains("slack"), "{}", fast.out);
    assert!(!line("prefer latency <= 30 s").contains("broken"), "{}", fast.out);
    let verified = mkbc.run(&["verify", "joint.json", "--source", "letters.mkb"]);
    assert_eq!(verified.code, Some(0), "{}", verified.err);
}

#[test]
fn a_plan_for_a_cluster_of_a_file_is_one_value() {
    let done = fleet().run(&["plan", "letters.mkb", "--cluster", "cluster.mkb", "--format", "json", "--json"]);
    assert_eq!(done.code, Some(0), "{}", done.err);
    let plan: Value = serde_json::from_str(&done.out).expect("one value of JSON");
    assert_eq!(plan["job"], "letters");
}

#[test]
fn a_joint_plan_that_was_edited_does_not_verify() {
    let mkbc = fleet();
    assert_eq!(plan(&mkbc, &["-o", "joint.json"]).code, Some(0));
    let whole: Value = serde_json::from_str(&mkbc.read("joint.json")).expect("JSON");
    let edits: [(&str, Value); 9] = [
        ("/instances/0/replicas", 0.into()),
        ("/instances/0/load", "0.000001".into()),
        ("/instances/0/usd_per_hour", "0".into()),
        ("/jobs/0/rate", "0.001".into()),
        ("/jobs/0/rate", "-1".into()),
        ("/jobs/0/routes/0/instance", 1.into()),
        ("/total/usd_per_hour", "0.01".into()),
        ("/proof/bound_usd_per_hour", "99".into()),
        ("/cluster/pools/cpu/units", 0.into()),
    ];
    for (path, value) in edits {
        let mut edited = whole.clone();
        let was = edited.pointer_mut(path).unwrap_or_else(|| panic!("{path}"));
        assert_ne!(*was, value, "{path}");
        *was = value;
        mkbc.write("edited.json", edited.to_string());
        let done = mkbc.run(&["verify", "edited.json"]);
        assert_eq!(done.code, Some(1), "{path}: {}", done.out);
        assert!(!done.err.contains("panicked"), "{path}: {}", done.err);
    }
}

#[test]
fn a_trace_is_a_load() {
    let mkbc = fleet();
    mkbc.write("trace.csv", "timestamp,job\n0,letters\n1,letters\n30,letters\n400,invoices\n");
    let done = mkbc.run(&["plan", "letters.mkb", "invoices.mkb", "--cluster", "cluster.mkb", "--load", "trace.csv"]);
    assert_eq!(done.code, Some(0), "{}", done.err);
    assert!(done.out.contains("letters (letters.mkb): 180 runs/h"), "{}", done.out);
    assert!(done.out.contains("invoices (invoices.mkb): 60 runs/h"), "{}", done.out);
}

/// The letters' job with a load of its own.
fn letters_expecting(mkbc: &Mkbc, load: &str) {
    let job = fs::read_to_string(repository().join("tests/fleet/letters.mkb")).expect("a job");
    mkbc.write("letters.mkb", job.replace("  minimize cost\n", &format!("  minimize cost\n  expect {load}\n")));
}

/// Packed with gzip.
fn packed(text: &str) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut out, text.as_bytes()).expect("packed");
    out.finish().expect("packed")
}

#[test]
fn a_trace_that_a_job_names_is_the_load_that_the_command_line_would_make_of_it() {
    let mkbc = fleet();
    let of_both = "timestamp,job\n0,letters\n1,letters\n30,letters\n31,invoices\n400,invoices\n";
    mkbc.write("arrivals.csv", of_both);
    mkbc.write("alone.jsonl.gz", packed("{\"timestamp\": 0}\n{\"timestamp\": 1000}\n{\"timestamp\": 59999}\n"));
    for trace in ["arrivals.csv", "alone.jsonl.gz"] {
        letters_expecting(&mkbc, &format!("trace \"{trace}\""));
        let command = ["plan", "letters.mkb", "--cluster", "cluster.mkb"];
        let alone = mkbc.run(&[&command[..], &["-o", "plan.json"]].concat());
        assert_eq!(alone.code, Some(0), "{}", alone.err);
        let said = format!("for 0.05 runs/s (the busiest minute of `{trace}`)");
        assert!(alone.out.contains(&said), "{}", alone.out);
        let plan: Value = serde_json::from_str(&mkbc.read("plan.json")).expect("JSON");
        assert_eq!((&plan["rate_per_s"], &plan["rate_from"]), (&"0.05".into(), &trace.into()));
        let verified = mkbc.run(&["verify", "plan.json", "--source", "letters.mkb"]);
        assert_eq!(verified.code, Some(0), "{}", verified.err);
    }
    // Beside another job, it counts where the command line says nothing of it.
    let both = ["plan", "letters.mkb", "invoices.mkb", "--cluster", "cluster.mkb", "--load"];
    for (load, rate) in [("invoices=1/min", "180 runs/h"), ("invoices=1/min,letters=7/min", "420 runs/h")] {
        letters_expecting(&mkbc, "trace \"arrivals.csv\"");
        let done = mkbc.run(&[&both[..], &[load, "-o", "joint.json"]].concat());
        assert_eq!(done.code, Some(0), "{}", done.err);
        assert!(done.out.contains(&format!("letters (letters.mkb): {rate}")), "{}", done.out);
        let verified = mkbc.run(&["verify", "joint.json", "--source", "letters.mkb"]);
        assert_eq!(verified.code, Some(0), "{}", verified.err);
    }
}

#[test]
fn a_plan_for_a_trace_that_changed_does_not_verify() {
    let mkbc = fleet();
    mkbc.write("arrivals.csv", "timestamp\n0\n1\n2\n");
    letters_expecting(&mkbc, "trace \"arrivals.csv\"");
    let done = mkbc.run(&["plan", "letters.mkb", "--cluster", "cluster.mkb", "-o", "plan.json"]);
    assert_eq!(done.code, Some(0), "{}", done.err);
    mkbc.write("arrivals.csv", "timestamp\n0\n1\n2\n3\n4\n5\n");
    let other = mkbc.run(&["verify", "plan.json", "--source", "letters.mkb"]);
    assert_eq!(other.code, Some(1));
    assert!(
        other.err.contains("the job's rate is another: 0.1 requests/s by `arrivals.csv` as it now is"),
        "{}",
        other.err
    );
    // Neither does one that claims a number for what is a trace.
    mkbc.write("arrivals.csv", "timestamp\n0\n1\n2\n");
    let claims = mkbc.read("plan.json").replace("  \"rate_from\": \"arrivals.csv\",\n", "");
    mkbc.write("claims.json", claims);
    let claimed = mkbc.run(&["verify", "claims.json", "--source", "letters.mkb"]);
    assert!(claimed.code == Some(1) && claimed.err.contains("the job's rate is another"), "{}", claimed.err);
    assert_eq!(mkbc.run(&["verify", "plan.json", "--source", "letters.mkb"]).code, Some(0));
}

#[test]
fn a_trace_that_gives_no_load_is_said_at_its_line_of_the_job() {
    let mkbc = fleet();
    mkbc.write("empty.csv", "timestamp\n");
    mkbc.write("soon.csv", "timestamp\n1\nsoon\n");
    mkbc.write("others.csv", "timestamp,job\n1,invoices\n");
    mkbc.write("torn.csv.gz", &packed("timestamp\n1\n")[..20]);
    mkbc.write("bytes.csv", [b't', 0xff, b'\n']);
    fs::create_dir(mkbc.path("folder.csv")).expect("made");
    for (name, says) in [
        ("gone.csv", "no such file beside the job's"),
        ("empty.csv", "it has no arrivals"),
        ("soon.csv", "line 3: `soon` is no time"),
        ("others.csv", "its column `job` has `invoices`"),
        ("torn.csv.gz", ""),
        ("bytes.csv", ""),
        ("folder.csv", "it is no regular file"),
    ] {
        letters_expecting(&mkbc, &format!("trace \"{name}\""));
        for command in [vec!["check", "letters.mkb"], vec!["plan", "letters.mkb", "--cluster", "cluster.mkb"]] {
            let done = mkbc.run(&command);
            assert_eq!(done.code, Some(1), "{name}: {}", done.out);
            for part in ["error[E0723]", "letters.mkb:13:16", name, says] {
                assert!(done.err.contains(part), "{name}: {part}: {}", done.err);
            }
        }
        let joint =
            mkbc.run(&["plan", "letters.mkb", "invoices.mkb", "--cluster", "cluster.mkb", "--load", "invoices=1/s"]);
        assert!(joint.code == Some(1) && joint.err.contains("E0723"), "{}", joint.err);
    }
}

#[test]
fn a_job_that_does_not_fit_is_named_with_what_would_help() {
    let mkbc = fleet();
    mkbc.write("small.mkb", "cluster small {\n  a100 * 1 at 3.43 usd/h\n  cpu * 4 at 0.0893 usd/h\n}\n");
    let load = "letters=200/min,invoices=200/min";
    let done = mkbc.run(&["plan", "letters.mkb", "invoices.mkb", "--cluster", "small.mkb", "--load", load]);
    assert_eq!(done.code, Some(1), "{}", done.out);
    assert!(
        done.err.contains("not admitted: `invoices`") || done.err.contains("not admitted: `letters`"),
        "{}",
        done.err
    );
    // One core is not enough for both; one more is said to be, and is.
    let tight =
        |cores: u32| format!("cluster tight {{\n  a100 * 1 at 3.43 usd/h\n  cpu * {cores} at 0.0893 usd/h\n}}\n");
    let planned = |cores: u32| {
        mkbc.write("tight.mkb", tight(cores));
        let load = "letters=60/min,invoices=60/min";
        mkbc.run(&["plan", "letters.mkb", "invoices.mkb", "--cluster", "tight.mkb", "--load", load])
    };
    let done = planned(1);
    assert_eq!(done.code, Some(1), "{}", done.out);
    assert!(done.err.contains("any one of these lets them fit:\n        1 more `cpu`\n"), "{}", done.err);
    assert_eq!(planned(2).code, Some(0));
}

#[test]
fn what_a_provider_takes_is_shared_by_all_jobs() {
    let mkbc = Mkbc::new();
    let library = "/// Shorter.\ntask shorten(text: Text) -> Text {\n  work input = text.tokens\n}\n\
        model far implements shorten {\n  access closed\n  limit 600 requests/min\n  runs on api\n  engine openai { model \"m\" }\n  \
        profile \"far.csv\"\n}\n";
    let profile = "device,units,figure,value,unit,low,high,evidence,source\n,,quality,90,%,,,estimated,t\n\
        ,,latency,0.1,s,,,estimated,t\n,,cost,0.001,usd,,,estimated,t\n";
    fs::create_dir_all(mkbc.path("own/profiles")).expect("a folder");
    mkbc.write("own/own.mkb", library);
    mkbc.write("own/profiles/far.csv", profile);
    mkbc.write("desk.mkb", "cluster desk {\n  cpu * 2 at 0.1 usd/h\n}\n");
    for name in ["one", "two"] {
        let job =
            format!("use own\njob {name}(text: Text) -> Text {{\n  expect text of 100 tok\n  shorten(text)\n}}\n");
        mkbc.write(&format!("{name}.mkb"), job);
    }
    let at = |load: &str, out: &[&str]| {
        let words = ["plan", "one.mkb", "two.mkb", "--library", "own", "--cluster", "desk.mkb", "--load", load];
        mkbc.run(&[&words[..], out].concat())
    };
    // Ten requests a second are all that it takes.
    let done = at("one=4/s,two=6/s", &["-o", "joint.json"]);
    assert_eq!(done.code, Some(0), "{}", done.err);
    assert!(done.out.contains("far by the call, 21.6 usd/h, 60 % of what it takes"), "{}", done.out);
    assert_eq!(mkbc.run(&["verify", "joint.json", "--library", "own"]).code, Some(0));
    let edited = mkbc.read("joint.json").replace("\"0.6\"", "\"0.5\"");
    mkbc.write("edited.json", edited);
    assert_eq!(mkbc.run(&["verify", "edited.json", "--library", "own"]).code, Some(1));
    let done = at("one=5/s,two=6/s", &[]);
    assert_eq!(done.code, Some(1), "{}", done.out);
    assert!(done.err.contains("error[E0621]") && done.err.contains("% of what `far` takes"), "{}", done.err);
    // A cluster's file is a cluster for one job as well.
    let words = ["one.mkb", "--library", "own", "--cluster", "desk.mkb"];
    for (verb, more) in [("plan", &[][..]), ("why", &["shorten"][..]), ("what-if", &["cost <= 1 usd"][..])] {
        let done = mkbc.run(&[&[verb][..], &words[..1], more, &words[1..]].concat());
        assert_eq!(done.code, Some(0), "{verb}: {}", done.err);
        assert!(done.out.contains("`desk`"), "{verb}: {}", done.out);
    }
}

#[test]
fn bad_input_is_refused_in_words() {
    let mkbc = fleet();
    mkbc.write("empty.csv", "timestamp\n");
    mkbc.write("nobody.csv", "timestamp\n1\n");
    mkbc.write("stranger.csv", "timestamp,job\n1,letter\n");
    mkbc.write("no_pools.mkb", "cluster none {\n}\n");
    mkbc.write("zero.mkb", "cluster zero {\n  cpu * 0 at 1 usd/h\n}\n");
    mkbc.write("no_cluster.mkb", "use std.document\n");
    mkbc.write("old.json", "{}");
    let both = ["letters.mkb", "invoices.mkb"];
    let load = "letters=1/s,invoices=1/s";
    let cases: Vec<(Vec<&str>, &str)> = vec![
        (vec!["--cluster", "cluster.mkb", "--load", "empty.csv"], "it has no arrivals"),
        (vec!["--cluster", "cluster.mkb", "--load", "nobody.csv"], "has no column `job`"),
        (vec!["--cluster", "cluster.mkb", "--load", "stranger.csv"], "did you mean `letters`?"),
        (vec!["--cluster", "cluster.mkb", "--load", "letters=1/s"], "no load for `invoices`"),
        (vec!["--cluster", "cluster.mkb", "--load", "letters=0/s,invoices=1/s"], "must be more than 0"),
        (vec!["--cluster", "cluster.mkb", "--load", "letters=-1/s,invoices=1/s"], "must be more than 0"),
        (vec!["--cluster", "cluster.mkb", "--load", "letters=NaN/s,invoices=1/s"], "is no rate"),
        (vec!["--cluster", "cluster.mkb", "--load", "letters=1e300/s,invoices=1/s"], "is no rate"),
        (vec!["--cluster", "cluster.mkb", "--load", "letters=1000000000/s,invoices=1/s"], ""),
        (vec!["--cluster", "cluster.mkb", "--load", "letters=1/s,letters=2/s"], "twice"),
        (vec!["--cluster", "cluster.mkb", "--load", "gone.csv"], "No such file"),
        (vec!["--cluster", "no_pools.mkb", "--load", load], "has no devices"),
        (vec!["--cluster", "zero.mkb", "--load", load], ""),
        (vec!["--cluster", "no_cluster.mkb", "--load", load], "has no cluster"),
        (vec!["--cluster", "gone.mkb", "--load", load], "there is no file"),
        (vec!["--load", load], "say the cluster"),
        (vec!["--cluster", "cluster.mkb", "--load", load, "--utilisation", "0"], "more than 0"),
        (vec!["--cluster", "cluster.mkb", "--load", load, "--utilisation", "NaN"], "more than 0"),
        (vec!["--cluster", "cluster.mkb", "--load", load, "--time-limit", "1e9"], "seconds"),
        (vec!["--cluster", "cluster.mkb", "--load", load, "--window", "0"], "seconds from 1"),
        (vec!["--cluster", "cluster.mkb", "--load", load, "--from", "old.json"], "no joint plan"),
        (vec!["--cluster", "cluster.mkb", "--load", load, "letters.mkb"], "given twice"),
    ];
    for (more, says) in cases {
        let arguments: Vec<&str> = ["plan"].into_iter().chain(both).chain(more).collect();
        let done = mkbc.run(&arguments);
        assert!(matches!(done.code, Some(1 | 2)), "{arguments:?}: {:?} {}", done.code, done.out);
        assert!(done.err.contains(says) && !done.err.contains("panicked"), "{arguments:?}: {}", done.err);
    }
}

#[test]
fn no_time_gives_a_plan_with_its_gap_or_says_so() {
    let mkbc = fleet();
    let done = plan(&mkbc, &["--time-limit", "0"]);
    assert!(
        done.code == Some(0) && done.out.contains("no plan costs less") || done.err.contains("within the limits"),
        "{done:?}"
    );
}

#[test]
fn the_papers_jobs_are_jobs_of_its_library() {
    let mkbc = Mkbc::new();
    let paper = repository().join("bench/paper");
    let jobs = ["video_accuracy", "video_latency", "code_accuracy", "code_latency", "video_by_hand", "code_by_hand"];
    for library in ["p50", "p90"] {
        let library = paper.join(library).display().to_string();
        for job in jobs {
            let file = paper.join("jobs").join(format!("{job}.mkb")).display().to_string();
            let done = mkbc.run(&["check", &file, "--library", &library]);
            assert_eq!(done.code, Some(0), "{job}: {}", done.err);
        }
    }
}

/// An agent calls one of its tools a round: in a fleet, too, what grows with the calls is what the dearest costs, for the limits and for the total.
#[test]
fn an_agents_tools_cost_in_a_fleet_what_they_cost_alone() {
    let mkbc = Mkbc::new();
    let task = |name: &str| {
        format!(
            "/// Looks {name}.\ntask {name}(text: Text) -> Text {{\n  work calls = 1\n  size tokens = 10 tok\n}}\n\
             model {name}_by implements {name} {{\n  access closed\n  knob v in [good, poor]\n  runs on api\n  engine openai {{ model \"m\" }}\n  \
             profile \"{name}.csv\"\n}}\n"
        )
    };
    fs::create_dir_all(mkbc.path("own/profiles")).expect("a folder");
    mkbc.write("own/own.mkb", task("near") + &task("far") + &task("plain"));
    // The good `near` is dearer than the poor one, and no dearer than `far`, beside which it costs nothing more.
    for (name, good, poor) in [("near", "0.003", "0.001"), ("far", "0.004", "0.002"), ("plain", "0.001", "0.001")] {
        let rows = [("good", "95", good), ("poor", "70", poor)].map(|(v, quality, cost)| {
            format!("{v},,,quality,{quality},%,,,estimated,t\n{v},,,latency,0.1,s,,,estimated,t\n{v},,,cost,{cost},usd,,,estimated,t\n")
        });
        let head = "v,device,units,figure,value,unit,low,high,evidence,source\n";
        mkbc.write(&format!("own/profiles/{name}.csv"), format!("{head}{}", rows.concat()));
    }
    mkbc.write("desk.mkb", "cluster desk {\n  cpu * 2 at 0.1 usd/h\n}\n");
    mkbc.write("two.mkb", "use own\njob two(text: Text) -> Text {\n  expect text of 100 tok\n  plain(text)\n}\n");
    let job = |clauses: &str| {
        format!(
            "use own\njob one(text: Text) -> Text {{\n{clauses}  expect text of 100 tok\n  \
             agent(text, tools: [near, far], steps: 4) using openai_agent(variant: \"gpt-4o-mini\")\n}}\n"
        )
    };
    let on = ["--library", "own", "--cluster", "desk.mkb"];
    let alone = |clauses: &str| -> Value {
        mkbc.write("one.mkb", job(clauses));
        let done = mkbc.run(&[&["plan", "one.mkb", "-o", "one.json"][..], &on].concat());
        assert_eq!(done.code, Some(0), "{clauses}: {}", done.err);
        serde_json::from_str(&mkbc.read("one.json")).expect("JSON")
    };
    let usd = |value: &Value| value.as_str().and_then(|text| text.parse::<f64>().ok()).expect("money");
    let dearest = usd(&alone("  maximize quality\n")["total"]["cost_usd"]);
    // Under no limit, under one that the dearest tool just keeps (the sum of the tools would not), and where cost is all.
    let limited = format!("  slo {{ cost <= {dearest} usd }}\n  maximize quality\n");
    for clauses in ["  maximize quality\n", limited.as_str(), "  minimize cost\n"] {
        let single = alone(clauses);
        let words = ["plan", "one.mkb", "two.mkb", "--load", "one=2/s,two=1/s", "-o", "joint.json"];
        let done = mkbc.run(&[&words[..], &on].concat());
        assert_eq!(done.code, Some(0), "{clauses}: {}", done.err);
        let joint: Value = serde_json::from_str(&mkbc.read("joint.json")).expect("JSON");
        let taken = |plan: &Value| -> Vec<Value> {
            plan["steps"].as_array().expect("steps").iter().map(|step| step["knobs"].clone()).collect()
        };
        assert_eq!(taken(&joint["jobs"][0]["plan"]), taken(&single), "{clauses}");
        let (hourly, one, two) = (&joint["total"]["usd_per_hour"], usd(&single["total"]["cost_usd"]), 0.001);
        let expected = 3600.0 * (2.0 * one + two);
        assert!((usd(hourly) - expected).abs() < 1e-4, "{clauses}: {hourly} is not {expected}");
        assert_eq!(joint["proof"]["optimal"], Value::Bool(true), "{clauses}");
        assert_eq!(mkbc.run(&["verify", "joint.json", "--library", "own"]).code, Some(0), "{clauses}");
    }
    // The tool that is not the dearest is not paid for, and a plan that says so does not verify.
    let mut edited: Value = serde_json::from_str(&mkbc.read("joint.json")).expect("JSON");
    edited["jobs"][0]["routes"][1]["fees_usd_per_hour"] = edited["jobs"][0]["routes"][2]["fees_usd_per_hour"].clone();
    mkbc.write("edited.json", edited.to_string());
    let done = mkbc.run(&["verify", "edited.json", "--library", "own"]);
    assert!(done.code == Some(1) && done.err.contains("by the call"), "{} {}", done.out, done.err);
}
