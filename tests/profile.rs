//! `mkbc profile` with a real program: a copy of a file, as large as the sample, and a pause that a knob sets.

#[path = "cli/mkbc.rs"]
mod mkbc;

use mkbc::Mkbc;
use serde_json::Value;
use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

/// A tool whose time is known: `pause` seconds and the copying of its input.
const LIBRARY: &str = "/// Copies a text.
task copy(text: Text) -> Text {
  work characters = text.tokens
  size tokens = text.tokens
}

/// `sleep` and `echo`.
tool copier implements copy {
  knob pause in [0.05, 0.2]
  runs on cpu * [1, 64]
  engine process {
    command [\"sleep\", \"{pause}\"]
    command [\"echo\", \"{text}\"]
  }
  profile \"copier.csv\"
}
";

/// A tool that takes longer than anybody waits.
const SLOW: &str = "use tools

tool slow implements copy {
  runs on cpu * 1
  engine process { command [\"sleep\", \"300\"] }
  profile \"slow.csv\"
}
";

/// What somebody guessed, far off.
const GUESSES: &str = "pause,device,units,figure,value,unit,low,high,evidence,source
,cpu,,latency,7,s,,,estimated,a guess
,cpu,,latency.p95,9,s,,,estimated,a guess
,cpu,,power,10,W,,,estimated,a guess
,,,quality,50,%,,,estimated,a guess
";

const JOB: &str = "use tools

/// A copy.
job copies(text: Text) -> Text {
  expect text of 3 tok

  copy(text)
}
";

fn folder() -> Mkbc {
    let mkbc = Mkbc::new();
    fs::create_dir_all(mkbc.path("lib/profiles")).expect("a folder");
    mkbc.write("lib/tools.mkb", LIBRARY);
    mkbc.write("lib/profiles/copier.csv", GUESSES);
    mkbc.write("job.mkb", JOB);
    mkbc
}

const MEASURE: [&str; 10] =
    ["profile", "copier", "--library", "lib", "--text", "hello", "hello hello hello", "--most", "3", "-o"];

fn rows(mkbc: &Mkbc, file: &str) -> Vec<Vec<String>> {
    let text = mkbc.read(file);
    text.lines().skip(1).map(|l| l.split(',').map(str::to_string).collect()).collect()
}

#[test]
fn what_is_measured_is_what_it_takes_and_stands_before_guesses() {
    let mkbc = folder();
    let done = mkbc.run(&[&MEASURE[..], &["lib"]].concat());
    assert_eq!(done.code, Some(0), "{done:?}");
    let rows = rows(&mkbc, "lib/measured/copier.csv");
    for pause in ["0.05", "0.2"] {
        // date, task, pause, characters, device, units, figure, value, unit, low, high, evidence, source: 64 cores are not here.
        let row = rows.iter().find(|r| r[2] == pause && r[5] == "1" && r[6] == "latency").expect("a row");
        let seconds: f64 = row[7].parse().expect("a number");
        let least: f64 = pause.parse().expect("a number");
        assert!(seconds >= least && seconds < least + 5.0, "{row:?}");
        assert_eq!(row[11], "measured");
        assert!(row[3].contains(".."), "the work of the samples: {row:?}");
        let memory = rows.iter().find(|r| r[2] == pause && r[6] == "memory").expect("a program's memory is seen");
        assert!(memory[7].parse::<f64>().expect("a number") > 0.0);
    }
    assert!(rows.iter().all(|r| r[5] != "64"));
    // The plan counts with it, and with the guess where nothing was measured.
    let plan = mkbc.run(&["plan", "job.mkb", "--library", "lib", "--cluster", "cpu_only", "--json"]);
    let plan: Value = serde_json::from_str(&plan.out).unwrap_or_else(|e| panic!("{e}: {plan:?}"));
    let predicted = &plan["steps"][0]["predicted"];
    let latency: f64 = predicted["latency_s"].as_str().expect("a number").parse().expect("a number");
    assert!(latency < 6.0, "{predicted}");
    let p95: f64 = predicted["latency_p95_s"].as_str().expect("a number").parse().expect("a number");
    assert!(p95 < 9.0, "a guessed percentile is mixed with a measured time: {predicted}");
    assert_eq!(predicted["quality"], "0.5");
    // Far more work than that of the samples is extrapolated, which is said, or refused.
    mkbc.write("job.mkb", JOB.replace("of 3 tok", "of 3000 tok"));
    let base = ["plan", "job.mkb", "--library", "lib", "--cluster", "cpu_only"];
    let far = mkbc.run(&base);
    let line = |l: &&str| l.starts_with("extrapolated: ") && l.contains("`latency`");
    let said = far.out.lines().find(line).is_some_and(|l| l.contains(" of copy are for characters "));
    assert!(far.code == Some(0) && said, "{far:?}");
    let refused = mkbc.run(&[&base[..], &["--strict-evidence"]].concat());
    assert!(refused.code == Some(1) && refused.err.contains("and a call has 3000"), "{refused:?}");
    mkbc.write("job.mkb", JOB);
    // A file of an earlier version, without ranges, is added to.
    let text = mkbc.read("lib/measured/copier.csv");
    let without =
        |line: &str| line.split(',').enumerate().filter(|(i, _)| *i != 3).map(|(_, c)| c).collect::<Vec<_>>().join(",");
    let earlier: Vec<String> = text.lines().map(without).collect();
    mkbc.write("lib/measured/copier.csv", earlier.join("\n") + "\n");
    assert_eq!(mkbc.run(&[&MEASURE[..], &["lib"]].concat()).code, Some(0));
    assert_eq!(mkbc.read("lib/measured/copier.csv"), text);
}

#[test]
fn power_that_cannot_be_counted_is_estimated_from_the_load() {
    let mkbc = folder();
    let measure = [&MEASURE[..], &["lib", "--knob", "pause=0.05"]].concat();
    assert_eq!(mkbc.run(&measure).code, Some(0));
    let power = |mkbc: &Mkbc| rows(mkbc, "lib/measured/copier.csv").into_iter().find(|r| r[6] == "power");
    let row = power(&mkbc).expect("a row");
    let watts: f64 = row[7].parse().expect("a number");
    if row[11] == "measured" {
        return; // This machine has a counter.
    }
    // A program that sleeps keeps no core busy.
    assert!(row[11] == "estimated" && (0.0..8.0).contains(&watts), "{row:?}");
    let formula = "no energy counter: 10.42 W of each `cpu` as the library declares it x ";
    assert!(row[12].trim_start_matches('"').starts_with(formula), "{row:?}");
    assert!(row[12].contains("busy (processor time / wall time of the runs)"), "{row:?}");
    // What somebody has published is better than that.
    let mkbc = folder();
    let published = GUESSES.replace("power,10,W,,,estimated,a guess", "power,10,W,,,published,https://example.com");
    mkbc.write("lib/profiles/copier.csv", published);
    assert_eq!(mkbc.run(&measure).code, Some(0));
    assert_eq!(power(&mkbc), None);
}

#[test]
fn a_killed_session_goes_on_where_it_stopped() {
    let mkbc = folder();
    let record = mkbc.path("lib/measured/copier.runs.jsonl");
    let lines = || fs::read_to_string(&record).unwrap_or_default().lines().map(str::to_string).collect::<Vec<_>>();
    let arguments = [&MEASURE[..], &["lib", "--least", "3"]].concat();
    let mut first = mkbc.command(arguments.iter().copied());
    let mut first = first.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("mkbc starts");
    let begun = Instant::now();
    while lines().len() < 3 {
        assert!(begun.elapsed() < Duration::from_secs(60), "nothing is recorded");
        std::thread::sleep(Duration::from_millis(5));
    }
    first.kill().expect("killed");
    let _ = first.wait();
    let before = lines();
    assert_eq!(mkbc.run(&arguments).code, Some(0));
    let after = lines();
    assert_eq!(after[..before.len() - 1], before[..before.len() - 1], "earlier runs are kept");
    // Two settings, two samples: one warm-up and three runs each, none again.
    assert_eq!(after.len(), 16);
    // A third session has nothing to do.
    assert_eq!(mkbc.run(&arguments).code, Some(0));
    assert_eq!(lines(), after);
}

/// Ctrl-C and SIGTERM are heard: the call under way ends, and it is said what is recorded.
#[test]
fn a_session_that_is_stopped_says_what_it_leaves() {
    let mkbc = folder();
    let record = mkbc.path("lib/measured/copier.runs.jsonl");
    let lines = || fs::read_to_string(&record).unwrap_or_default().lines().count();
    let stopped = |arguments: &[&str], signal: &str, begun: &dyn Fn() -> bool| {
        let mut child = mkbc.command(arguments.iter().copied());
        let child = child.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("mkbc starts");
        let since = Instant::now();
        while !begun() {
            assert!(since.elapsed() < Duration::from_secs(60), "nothing is begun");
            std::thread::sleep(Duration::from_millis(5));
        }
        let kill = std::process::Command::new("kill").args([signal, &child.id().to_string()]).status();
        assert!(kill.is_ok_and(|done| done.success()));
        let output = child.wait_with_output().expect("it ends");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let many = ["profile", "copier", "--library", "lib", "--text", "a", "b a", "--least", "20", "-o", "lib"];
    let (code, said) = stopped(&many, "-TERM", &|| lines() >= 2);
    assert_eq!(code, Some(143), "{said}");
    assert!(said.contains("recorded so far: ") && said.contains("goes on from there"), "{said}");
    assert!(lines() >= 2);
    // Nothing is left of a session that recorded nothing.
    mkbc.write("lib/slow.mkb", SLOW);
    mkbc.write("lib/profiles/slow.csv", GUESSES.replace("pause,", "").replace("\n,", "\n"));
    let slow = ["profile", "slow", "--library", "lib", "-o", "out", "--text", "a", "b a"];
    let empty = mkbc.path("out/measured/slow.runs.jsonl");
    let (code, said) = stopped(&slow, "-INT", &|| empty.exists());
    assert_eq!(code, Some(130), "{said}");
    assert!(said.contains("no run was finished") && !empty.exists(), "{said}");
}

#[test]
fn one_sample_splits_nothing_and_earlier_ones_count() {
    let mkbc = folder();
    let table = "lib/measured/copier.csv";
    let base = ["profile", "copier", "--library", "lib", "-o", "lib", "--knob", "pause=0.05", "--most", "3", "--text"];
    let done = mkbc.run(&[&base[..], &["it's one"]].concat());
    assert_eq!(done.code, Some(0), "{done:?}");
    assert!(done.err.contains("no figure is written") && !mkbc.path(table).exists(), "{}", done.err);
    // Together with what is recorded, the second is enough; and a single one of them changes nothing any more.
    assert_eq!(mkbc.run(&[&base[..], &["this is another"]].concat()).code, Some(0));
    let both = rows(&mkbc, table);
    assert!(mkbc.read(table).contains("runs: 3 of it's one, 3 of this is another"), "{}", mkbc.read(table));
    assert_eq!(mkbc.run(&[&base[..], &["it's one"]].concat()).code, Some(0));
    let figures = |rows: &[Vec<String>]| rows.iter().map(|row| row[..8].to_vec()).collect::<Vec<_>>();
    assert_eq!(figures(&rows(&mkbc, table)), figures(&both));
    // The command in the evidence is one.
    let text = mkbc.read(table);
    let command = text.lines().nth(1).and_then(|row| row.split("; ").last()).expect("a command").trim_end_matches('"');
    assert!(command.starts_with("mkbc profile copier --knob pause=0.05 --most 3"), "{command}");
    let script = command.replacen("mkbc", mkbc::BINARY, 1);
    let mut shell = std::process::Command::new("sh");
    let done = mkbc.end(shell.args(["-c", &format!("{script} -o lib")]).current_dir(mkbc.path(".")));
    assert_eq!(done.code, Some(0), "{command}: {}", done.err);
}

#[test]
fn bad_input_is_told_and_changes_nothing() {
    let mkbc = folder();
    let refused = |more: &[&str], status: i32, says: &str| {
        let done = mkbc.run(more);
        assert_eq!(done.code, Some(status), "{more:?}: {done:?}");
        assert!(done.err.contains(says), "{more:?}: {}", done.err);
    };
    let base = ["profile", "copier", "--library", "lib"];
    let with = |more: &[&'static str]| [&base[..], more].concat();
    refused(&["profile", "copyer", "--library", "lib"], 2, "did you mean `copier`?");
    refused(&with(&[]), 2, "give samples to measure with: --text (Text)");
    refused(&with(&["--texts", "a"]), 2, "did you mean `--text`?");
    refused(&with(&["--text", "a", "--knob", "pause=3"]), 2, "`pause` cannot be `3`: it is one of 0.05, 0.2");
    refused(&with(&["--text", "a", "--knob", "speed=3"]), 2, "`copier` has no knob `speed`");
    refused(&with(&["--text", "a", "--units", "64"]), 1, "no setting that this machine has devices for");
    refused(&with(&["--text", "a", "--within", "nan"]), 2, "take numbers above zero");
    refused(&with(&["--text", "a", "--least", "5", "--most", "2"]), 2, "`--most` no less than it");
    mkbc.write("samples.jsonl", "{\"text\": \"a\"}\n{\"txt\": 1}\n");
    refused(&with(&["--samples", "samples.jsonl"]), 1, "`samples.jsonl`, line 2: the task `copy` has no `txt`");
    refused(&["profile", "openai_chat", "--task", "summarise", "--text", "a"], 1, "costs money");
    fs::create_dir_all(mkbc.path("out/measured")).expect("a folder");
    mkbc.write("out/measured/copier.csv", "a,b\n1,2\n");
    refused(&with(&["--text", "a", "b a", "--most", "3", "-o", "out"]), 1, "its columns are not");
    assert_eq!(mkbc.read("out/measured/copier.csv"), "a,b\n1,2\n");
}

#[test]
fn tables_of_others_are_taken_over_and_checked_before_they_are_written() {
    let mkbc = folder();
    mkbc.write("table.csv", "wait,seconds\n0.05,1.5\n0.2,1.75\n");
    let import = |unit: &str| {
        let figure = format!("latency=seconds:{unit}");
        let fixed = ["profile", "import", "csv", "table.csv", "--for", "copier", "--library", "lib", "-o", "lib"];
        let rest = ["--column", "pause=wait", "--set", "device=cpu", "--evidence", "published", "--source", "a paper"];
        mkbc.run(&[&fixed[..], &rest[..], &["--figure", &figure]].concat())
    };
    let wrong = import("usd");
    assert_eq!(wrong.code, Some(1), "{wrong:?}");
    assert!(wrong.err.contains("`latency` cannot be in `usd`"), "{}", wrong.err);
    // It is said where the figure stands in the table.
    assert!(wrong.err.contains("┌─ table.csv:2:6"), "{}", wrong.err);
    assert!(!mkbc.path("lib/measured/copier.imported.csv").exists());
    let done = import("s");
    assert_eq!(done.code, Some(0), "{done:?}");
    assert!(done.err.contains("warning: `a paper` does not say an address"), "{}", done.err);
    // The same again changes nothing.
    let text = mkbc.read("lib/measured/copier.imported.csv");
    assert_eq!(text.lines().count(), 3);
    assert_eq!(import("s").code, Some(0));
    assert_eq!(mkbc.read("lib/measured/copier.imported.csv"), text);
    let plan = mkbc.run(&["plan", "job.mkb", "--library", "lib", "--cluster", "cpu_only", "--json"]);
    let plan: Value = serde_json::from_str(&plan.out).unwrap_or_else(|e| panic!("{e}: {plan:?}"));
    assert_eq!(plan["steps"][0]["predicted"]["latency_s"], "1.5");
}

/// A program that answers as `aiconfigurator` 0.9 does; it notes what it was asked.
const FAKE: &str = "#!/bin/sh\necho \"$@\" >>asked\ncat <<'END'\n  Backend: vllm (0.14.0)\n  TTFT: 84.700 ms\n  TPOT: 6.491 ms\n  Memory (GPU): 19.43 GB\nEND\n";
const SERVED: &str = "
task say(text: Text) -> Text {
  work input = text.tokens
  work output = 10 tok
  size tokens = 10 tok
}
model speaker implements say {
  knob batch in [1, 8]
  concurrency batch
  runs on h100 * [1, 2]
  engine server { serve vllm, model \"org/m\" }
  profile \"speaker.csv\"
}
";
const SUMMARY: &str = "MLPerf Results Summary\nSUT name : PySUT\nScenario : Server\nMode     : PerformanceOnly\nResult is : VALID\n\
    Completed tokens per second                 : 29522.56\n50.00 percentile first token latency (ns)   : 950532291\n\
    50.00 percentile time to output token (ns)   : 132613828\n";

#[test]
fn what_others_estimated_or_measured_of_serving_is_taken_over_by_the_commands() {
    let mkbc = folder();
    mkbc.write("lib/tools.mkb", format!("{LIBRARY}{SERVED}"));
    let head = "device,units,figure,value,unit,low,high,evidence,source";
    mkbc.write("lib/profiles/speaker.csv", format!("{head}\n,,quality,50,%,,,estimated,a guess of nobody\n"));
    mkbc.write("aiconfigurator", FAKE);
    fs::set_permissions(mkbc.path("aiconfigurator"), std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .expect("a program");
    let to = ["--for", "speaker", "--library", "lib", "-o", "lib"];
    let asked = [
        "--model-path",
        "org/m",
        "--system",
        "h100_sxm=h100",
        "--tp",
        "1,2",
        "--batch",
        "1",
        "--input",
        "512",
        "--program",
        "./aiconfigurator",
    ];
    let done = mkbc.run(&[&["profile", "import", "aiconfigurator"], &to[..], &asked[..]].concat());
    assert_eq!(done.code, Some(0), "{done:?}");
    let calls = mkbc.read("asked");
    assert!(
        calls.contains("--isl 512") && calls.contains("--tp-size 2") && calls.contains("--system h100_sxm"),
        "{calls}"
    );
    let rows = mkbc.read("lib/measured/speaker.aiconfigurator.csv");
    assert!(rows.contains("ttft,84.7,ms") && rows.contains("memory,38.86,GB") && rows.contains("estimated"), "{rows}");
    // The experts of a mixture are parted as the device's part of everything else is.
    fs::create_dir_all(mkbc.path("mixture")).expect("a folder");
    mkbc.write("mixture/config.json", "{\"num_experts\": 64}");
    let mixture = asked.map(|word| if word == "org/m" { "mixture" } else { word });
    let done = mkbc.run(&[&["profile", "import", "aiconfigurator"], &to[..], &mixture[..]].concat());
    assert!(
        done.code == Some(0)
            && mkbc.read("asked").contains("--tp-size 2 --batch-size 1 --isl 512 --osl 128 --moe-tp-size 2")
    );
    let rows = mkbc.read("lib/measured/speaker.aiconfigurator.csv");
    // A program that fails, or says something else, changes nothing.
    mkbc.write("aiconfigurator", "#!/bin/sh\necho no such model >&2\nexit 1\n");
    let failed = mkbc.run(&[&["profile", "import", "aiconfigurator"], &to[..], &asked[..]].concat());
    assert!(failed.code == Some(1) && failed.err.contains("no such model"), "{failed:?}");
    assert_eq!(mkbc.read("lib/measured/speaker.aiconfigurator.csv"), rows);

    mkbc.write("mlperf_log_summary.txt", SUMMARY);
    let of = [
        "mlperf_log_summary.txt",
        "--source",
        "https://example.com/results",
        "--set",
        "device=h100",
        "--set",
        "units=1",
        "--set",
        "batch=8",
    ];
    let done = mkbc.run(&[&["profile", "import", "mlperf"], &of[..], &to[..]].concat());
    assert_eq!(done.code, Some(0), "{done:?}");
    let rows = mkbc.read("lib/measured/speaker.mlperf.csv");
    assert!(
        rows.contains("ttft,950.5,ms") && rows.contains("throughput,29523,tok/s") && rows.contains("published"),
        "{rows}"
    );
    let checked = mkbc.run(&["library", "audit", "--library", "lib"]);
    assert!(checked.out.contains("speaker"), "{checked:?}");
}
