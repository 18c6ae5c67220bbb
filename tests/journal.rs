//! Runs that are killed, stopped, raced and damaged, with the real program and real child processes: what is finished is never done again,
//! and the answer is that of a run that nobody touched.
//!
//! `MKBC_CHAOS=500 MKBC_CHAOS_NODES=200 cargo test --release --test journal kill -- --nocapture` kills as often as it says.

#[path = "journal/faults.rs"]
mod faults;
#[path = "cli/mkbc.rs"]
mod mkbc;

use mkbc::{Done, Mkbc};
use murakkab::run::journal::Journal;
use murakkab::run::journal::record::{CallId, Record};
use murakkab::run::journal::replay::Replay;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

/// A tool that adds a line to a file when it begins and one when it ends, each with the key of the call.
const COUNTER: &str = "#!/bin/sh
echo \"begin $MKBC_IDEMPOTENCY_KEY\" >> \"$1\"
sleep $3
echo \"end $MKBC_IDEMPOTENCY_KEY\" >> \"$1\"
echo \"$2+\"
";

const PROFILE: &str = "device,units,figure,value,unit,low,high,evidence,source
cpu,,latency,0.01,s,,,estimated,made for this test
,,quality,99,%,,,estimated,made for this test
";

/// A job of maps, chains and a loop over a tool that counts.
fn counting(pause: &str) -> Mkbc {
    let mkbc = Mkbc::new();
    fs::create_dir_all(mkbc.path("lib/profiles")).expect("a folder");
    mkbc.write("counter.sh", COUNTER);
    mkbc.write("lib/profiles/count.csv", PROFILE);
    let (script, file) = (mkbc.path("counter.sh"), mkbc.path("count.txt"));
    mkbc.write(
        "lib/count.mkb",
        format!(
            "task count(text: Text) -> Text\ntool counter implements count {{\n  runs on cpu * 1\n  \
             engine process {{ command [\"sh\", \"{}\", \"{}\", \"{{text}}\", \"{pause}\"] }}\n  profile \"count.csv\"\n}}\n",
            script.display(),
            file.display()
        ),
    );
    mkbc.write(
        "job.mkb",
        "use count\n\ntype Both {\n  all: List[Text]\n  last: Text\n}\n\n/// Counts.\njob counting(xs: List[Text]) -> Both {\n  expect xs * 10\n\n  \
         let all = for x in xs {\n    let a = count(x)\n    let b = count(a)\n    count(b)\n  }\n  \
         let last = repeat t = \"r\" up to 4 until done {\n    let next = count(t)\n    let done = next == \"r+++\"\n    next\n  }\n  \
         Both(all: all, last: count(last))\n}\n",
    );
    mkbc
}

/// The arguments of a run over so many items.
fn arguments(items: usize) -> Vec<String> {
    let words = ["run", "job.mkb", "--library", "lib", "--json", "--xs"].map(str::to_owned);
    words.into_iter().chain((0..items).map(|n| format!("x{n}"))).collect()
}

/// Calls of such a run: three an item, three rounds, and one at the end.
fn calls(items: usize) -> usize {
    3 * items + 4
}

fn answer_of(done: &Done) -> Value {
    let report: Value = serde_json::from_str(&done.out).unwrap_or_else(|e| panic!("{e}: {} {}", done.out, done.err));
    report["result"]["ok"].clone()
}

fn spawn<A: AsRef<str>>(mkbc: &Mkbc, arguments: &[A]) -> Child {
    let mut command = mkbc.command(arguments.iter().map(|a| a.as_ref().to_owned()));
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts")
}

fn project(mkbc: &Mkbc) -> PathBuf {
    mkbc.path(".mkbc")
}

fn records(mkbc: &Mkbc, run: u64) -> Vec<Record> {
    let journal = Journal::existing(&project(mkbc)).expect("a journal that can be opened");
    journal.map(|j| j.records(run).unwrap_or_default()).unwrap_or_default()
}

/// How often each key began, and how often it ended.
fn counted(mkbc: &Mkbc) -> BTreeMap<String, (usize, usize)> {
    let mut counts: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    for line in fs::read_to_string(mkbc.path("count.txt")).unwrap_or_default().lines() {
        match line.split_once(' ') {
            Some(("begin", key)) => counts.entry(key.to_owned()).or_default().0 += 1,
            Some(("end", key)) => counts.entry(key.to_owned()).or_default().1 += 1,
            other => panic!("{other:?}"),
        }
    }
    counts
}

/// Keys of calls, by path.
fn keys(records: &[Record]) -> BTreeMap<String, String> {
    let key = |r: &Record| match r {
        Record::Intent { call: CallId { path, .. }, idempotency, .. } => Some((path.clone(), idempotency.clone())),
        _ => None,
    };
    records.iter().filter_map(key).collect()
}

fn number(name: &str, usual: usize) -> usize {
    std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(usual)
}

/// SplitMix64: where a run is killed, from a seed, so that it can be repeated.
fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[derive(Debug, Default)]
struct Chaos {
    kills: usize,
    begun: usize,
    duplicates: usize,
    allowed: usize,
    most_in_flight: usize,
}

/// Kills a run at random instants until it is done, so many times at most. Panics where a finished call is made again, where two calls of
/// one key are not excused by a kill, or where the answer is another.
fn kill_until_done(mkbc: &Mkbc, items: usize, wanted: &Value, kills: usize, state: &mut u64) -> Chaos {
    let mut chaos = Chaos::default();
    let mut settled: BTreeMap<String, usize> = BTreeMap::new();
    loop {
        let resumable = !records(mkbc, 1).is_empty();
        let words = if resumable { ["resume", "1", "--json"].map(str::to_owned).to_vec() } else { arguments(items) };
        let mut child = spawn(mkbc, &words);
        let last = chaos.kills >= kills;
        let until = Instant::now() + Duration::from_millis(if last { 300_000 } else { 1 + random(state) % 800 });
        let ended = loop {
            match child.try_wait().expect("a status") {
                Some(status) => break Some(status),
                None if Instant::now() >= until => break None,
                None => std::thread::sleep(Duration::from_millis(1)),
            }
        };
        let Some(status) = ended else {
            child.kill().expect("killed");
            child.wait().expect("dead");
            chaos.kills += 1;
            let all = records(mkbc, 1);
            let (replay, keys) = (Replay::of(&all), keys(&all));
            let open: BTreeSet<&String> = replay.begun.keys().filter(|p| !replay.done.contains_key(*p)).collect();
            chaos.allowed += open.len();
            chaos.most_in_flight = chaos.most_in_flight.max(open.len());
            // A child dies a moment after its parent.
            std::thread::sleep(Duration::from_millis(5));
            let counts = counted(mkbc);
            for path in replay.done.keys() {
                let key = &keys[path];
                let now = counts[key].0;
                assert_eq!(*settled.entry(key.clone()).or_insert(now), now, "{path} was finished and made again");
            }
            continue;
        };
        let output = child.wait_with_output().expect("output");
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(status.success(), "{words:?}: {err}");
        let report: Value = serde_json::from_str(&out).unwrap_or_else(|e| panic!("{e}: {out} {err}"));
        assert_eq!(&report["result"]["ok"], wanted);
        break;
    }
    let counts = counted(mkbc);
    assert_eq!(counts.len(), calls(items), "none is lost, none is strange");
    for (key, now) in settled {
        assert_eq!(counts[&key].0, now, "a finished call was made again");
    }
    assert!(counts.values().all(|(_, ends)| *ends >= 1), "each ended");
    chaos.begun = counts.values().map(|(begins, _)| begins).sum();
    chaos.duplicates = chaos.begun - counts.len();
    assert!(chaos.duplicates <= chaos.allowed, "{chaos:?}");
    let answers = records(mkbc, 1).iter().filter(|r| matches!(r, Record::Answer { .. })).count();
    assert_eq!(answers, 1, "the outcome is recorded once");
    chaos
}

#[test]
fn a_run_that_is_killed_at_any_instant_goes_on_where_it_was() {
    let (kills, nodes) = (number("MKBC_CHAOS", 10), number("MKBC_CHAOS_NODES", 46));
    let items = (nodes - 4) / 3;
    let quiet = counting("0.005");
    let unfaulted = quiet.run(&arguments(items).iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(unfaulted.code, Some(0), "{}", unfaulted.err);
    let wanted = answer_of(&unfaulted);
    assert_eq!(wanted["all"].as_array().map(Vec::len), Some(items));
    let (mut total, mut runs) = (Chaos::default(), 0);
    let mut state = number("MKBC_CHAOS_SEED", 7) as u64;
    while total.kills < kills {
        let mkbc = counting("0.02");
        let chaos = kill_until_done(&mkbc, items, &wanted, kills - total.kills, &mut state);
        let verified = mkbc.run(&["journal", "verify"]);
        assert_eq!(verified.code, Some(0), "{}", verified.err);
        runs += 1;
        total.kills += chaos.kills;
        total.begun += chaos.begun;
        total.duplicates += chaos.duplicates;
        total.allowed += chaos.allowed;
        total.most_in_flight = total.most_in_flight.max(chaos.most_in_flight);
    }
    println!("{runs} runs of {} calls to their end: {total:?}", calls(items));
}

#[test]
fn runs_are_listed_shown_logged_and_exported() {
    let mkbc = counting("0");
    let words = arguments(2);
    let done = mkbc.run(&words.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(done.code, Some(0), "{}", done.err);
    let json = |arguments: &[&str]| -> Value {
        let done = mkbc.run(arguments);
        assert_eq!(done.code, Some(0), "{arguments:?}: {}", done.err);
        serde_json::from_str(&done.out).expect("JSON")
    };
    let runs = json(&["runs", "--json"]);
    assert_eq!((&runs[0]["id"], &runs[0]["state"], &runs[0]["job"]), (&1.into(), &"done".into(), &"counting".into()));
    let shown = json(&["show", "1", "--json"]);
    let calls: u64 = shown["steps"].as_array().into_iter().flatten().filter_map(|s| s["calls"].as_u64()).sum();
    assert_eq!(calls, 10, "{shown:#}");
    assert!(mkbc.run(&["show", "1"]).out.starts_with("run 1 of `counting`: done"));
    let logs = mkbc.run(&["logs", "1"]).out;
    assert!(
        logs.lines().next().is_some_and(|l| l.contains("took over")) && logs.trim_end().ends_with("answered"),
        "{logs}"
    );
    let exported = mkbc.run(&["journal", "export", "1"]).out;
    let lines: Vec<Value> = exported.lines().map(|l| serde_json::from_str(l).expect("JSON")).collect();
    assert_eq!(lines.len(), 1 + 1 + 10 + 10 + 1, "what it is of, who took over, intents, results, the answer");
    assert_eq!(mkbc.run(&["show", "9"]).code, Some(1));
    let again = mkbc.run(&["resume", "1"]);
    assert_eq!(again.code, Some(0), "{}", again.err);
    assert!(again.err.contains("nothing was run"), "{}", again.err);
    assert_eq!(counted(&mkbc).values().map(|c| c.0).sum::<usize>(), 10);
    let nothing = mkbc.run(&["resume"]);
    assert!(nothing.code == Some(1) && nothing.err.contains("no run to resume"), "{}", nothing.err);
    for entry in ["", "journal.db", "blobs", "runs/1"] {
        let mode = std::os::unix::fs::PermissionsExt::mode(
            &project(&mkbc).join(entry).metadata().expect("there").permissions(),
        );
        assert_eq!(mode & 0o077, 0, "others can look into .mkbc/{entry}");
    }
}

#[test]
fn a_key_is_one_run() {
    let mkbc = counting("0");
    let keyed = |items: usize| {
        let words = [arguments(items), vec!["--key".to_owned(), "monday".to_owned()]].concat();
        mkbc.run(&words.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let first = keyed(2);
    assert_eq!(first.code, Some(0), "{}", first.err);
    let count = counted(&mkbc);
    let second = keyed(2);
    assert_eq!((second.code, answer_of(&second)), (Some(0), answer_of(&first)), "{}", second.err);
    assert_eq!(counted(&mkbc), count, "nothing was run");
    let other = keyed(3);
    assert_eq!(other.code, Some(1));
    assert!(other.err.contains("the key `monday` is that of run 1"), "{}", other.err);
    assert_eq!(counted(&mkbc), count);
}

/// Waits until something holds.
fn wait_for(what: &str, holds: impl Fn() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(60), "{what} does not happen");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn signal(child: &Child, signal: &str) {
    let sent = std::process::Command::new("sh").arg("-c").arg(format!("kill -{signal} {}", child.id())).status();
    assert!(sent.expect("sh").success());
}

#[test]
fn a_second_runtime_is_refused_and_a_dead_one_is_not_in_the_way() {
    let mkbc = counting("0.3");
    // Long enough to be under way when it is killed, also on a busy machine.
    let mut child = spawn(&mkbc, &arguments(20));
    wait_for("a call", || !counted(&mkbc).is_empty());
    let refused = mkbc.run(&["resume", "1"]);
    assert_eq!(refused.code, Some(1));
    assert!(refused.err.contains(&format!("process {}", child.id())), "{}", refused.err);
    assert!(mkbc.run(&["runs"]).out.contains("running"));
    // Another run of the same project is in nobody's way.
    let words = arguments(0);
    let other = mkbc.run(&words[..5].iter().map(String::as_str).chain(["--xs", "y"]).collect::<Vec<_>>());
    assert_eq!(other.code, Some(0), "{}", other.err);
    child.kill().expect("killed");
    child.wait().expect("dead");
    assert!(mkbc.run(&["runs"]).out.contains("interrupted"));
    let resumed = mkbc.run(&["resume", "--json"]);
    assert_eq!(resumed.code, Some(0), "{}", resumed.err);
    assert_eq!(answer_of(&resumed)["all"].as_array().map(Vec::len), Some(20));
}

#[test]
fn a_resumed_run_takes_nothing_over_where_it_began_so_and_its_time_is_that_of_all_runtimes() {
    let mkbc = counting("0.3");
    mkbc.write("job.mkb", mkbc.read("job.mkb").replace("  expect xs", "  cache on\n  expect xs"));
    let words = arguments(1);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    assert_eq!(mkbc.run(&words).code, Some(0));
    fs::remove_file(mkbc.path("count.txt")).expect("it was counted");
    let mut child = spawn(&mkbc, &[&words[..], &["--no-cache"]].concat());
    wait_for("a result", || records(&mkbc, 2).iter().any(|r| matches!(r, Record::Result { .. })));
    child.kill().expect("killed");
    child.wait().expect("dead");
    let resumed = mkbc.run(&["resume", "2", "--json"]);
    assert_eq!(resumed.code, Some(0), "{}", resumed.err);
    let report: Value = serde_json::from_str(&resumed.out).expect("JSON");
    let cached: u64 = report["steps"].as_array().expect("steps").iter().filter_map(|s| s["cached"].as_u64()).sum();
    assert_eq!(cached, 0, "{}", resumed.out);
    assert!(report["earlier_s"].as_f64().is_some_and(|earlier| earlier > 0.2), "{}", resumed.out);
}

#[test]
fn the_first_signal_lets_calls_end_and_the_second_does_not() {
    for (name, status) in [("INT", 130), ("TERM", 143)] {
        let mkbc = counting("0.5");
        let child = spawn(&mkbc, &arguments(6));
        wait_for("a call", || !counted(&mkbc).is_empty());
        signal(&child, name);
        let output = child.wait_with_output().expect("it ends");
        let err = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "{err}");
        assert!(err.contains("`mkbc resume 1` goes on"), "{err}");
        let counts = counted(&mkbc);
        assert!(counts.values().all(|(begins, ends)| begins == ends), "what was under way ended: {counts:?}");
        let replay = Replay::of(&records(&mkbc, 1));
        assert_eq!(replay.done.len(), counts.len(), "and is recorded");
        assert!(mkbc.run(&["runs"]).out.contains("stopped"));
    }
    let mkbc = counting("20");
    let child = spawn(&mkbc, &arguments(2));
    wait_for("a call", || !counted(&mkbc).is_empty());
    signal(&child, "INT");
    std::thread::sleep(Duration::from_millis(300));
    let start = Instant::now();
    signal(&child, "INT");
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(130));
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
    assert!(counted(&mkbc).values().all(|(_, ends)| *ends == 0));
}

#[test]
fn a_failed_run_goes_on_once_the_cause_is_mended() {
    let mkbc = counting("0");
    mkbc.write("counter.sh", COUNTER.replace("sleep $3", "[ \"$2\" = r+ ] && { echo broken >&2; exit 3; }"));
    let words = arguments(1);
    let failed = mkbc.run(&words.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(failed.code, Some(1));
    assert!(failed.err.contains("`mkbc resume 1` goes on from there"), "{}", failed.err);
    assert!(mkbc.run(&["show", "1"]).out.contains("failed"));
    let recorded = records(&mkbc, 1);
    let (before, keys) = (Replay::of(&recorded).done, keys(&recorded));
    mkbc.write("counter.sh", COUNTER);
    let resumed = mkbc.run(&["resume", "--json"]);
    assert_eq!(resumed.code, Some(0), "{}", resumed.err);
    assert_eq!(answer_of(&resumed), serde_json::json!({"all": ["x0+++"], "last": "r++++"}));
    assert!(!before.is_empty() && records(&mkbc, 1).iter().filter(|r| matches!(r, Record::Opened { .. })).count() == 2);
    let counts = counted(&mkbc);
    for path in before.keys() {
        assert_eq!(counts[&keys[path]], (1, 1), "{path} was recorded and done again");
    }
}

/// A stopped run, and its files.
fn stopped() -> (Mkbc, Vec<(PathBuf, Vec<u8>)>) {
    let mkbc = counting("0.1");
    let mut child = spawn(&mkbc, &arguments(4));
    wait_for("six calls", || counted(&mkbc).values().filter(|(_, ends)| *ends > 0).count() >= 6);
    child.kill().expect("killed");
    child.wait().expect("dead");
    let files = ["journal.db", "journal.db-wal"].map(|name| project(&mkbc).join(name));
    let files = files.into_iter().filter_map(|path| Some((path.clone(), fs::read(path).ok()?))).collect();
    (mkbc, files)
}

/// What a journal says of the run, or that it is damaged.
fn read(project: &Path) -> Result<Vec<Record>, String> {
    let journal = Journal::existing(project).map_err(|f| f.message)?.ok_or("no journal")?;
    journal.check().map_err(|f| f.message)?;
    journal.run(1).map_err(|f| f.message)?.ok_or("no run")?;
    journal.records(1).map_err(|f| f.message)
}

#[test]
fn a_damaged_journal_is_refused_or_rolled_back_and_never_wrong() {
    let (mkbc, files) = stopped();
    let restore = || {
        let _ = fs::remove_file(project(&mkbc).join("journal.db-shm"));
        for (path, bytes) in &files {
            fs::write(path, bytes).expect("restored");
        }
    };
    restore();
    let whole = read(&project(&mkbc)).expect("it is whole");
    let mut state = 11;
    let (mut refused, mut rolled_back, mut unharmed) = (0, 0, 0);
    for case in 0..number("MKBC_DAMAGE", 400) {
        restore();
        let (path, bytes) = &files[random(&mut state) as usize % files.len()];
        let mut bytes = bytes.clone();
        if bytes.is_empty() {
            continue;
        }
        let at = random(&mut state) as usize % bytes.len();
        match case % 4 {
            0 => bytes.truncate(at),
            1 => bytes.truncate(at / 512 * 512),
            _ => bytes[at] ^= 1 << (random(&mut state) % 8),
        }
        fs::write(path, bytes).expect("damaged");
        match read(&project(&mkbc)) {
            Err(_) => refused += 1,
            Ok(records) if records == whole => unharmed += 1,
            Ok(records) => {
                assert_eq!(records, whole[..records.len()], "case {case}: not a prefix of what was written");
                rolled_back += 1;
            }
        }
    }
    println!("damaged journals: {refused} refused, {rolled_back} rolled back, {unharmed} unharmed");
    assert!(refused > 0);
}

#[test]
fn a_lost_write_ahead_log_loses_no_finished_call() {
    let (mkbc, _) = stopped();
    // The kill came with the log full: the main file knows less, or nothing.
    let before = counted(&mkbc);
    let all = records(&mkbc, 1);
    let (finished, keys) = (Replay::of(&all).done, keys(&all));
    let done = finished.len();
    let wal = project(&mkbc).join("journal.db-wal");
    let journal = Journal::existing(&project(&mkbc)).expect("no error").expect("a journal");
    let result = Replay::of(&journal.records(1).expect("records"));
    assert_eq!(result.done.len(), done);
    // Records that never reached the disk, as if the log had been cut.
    drop(journal);
    let db = rusqlite::Connection::open(project(&mkbc).join("journal.db")).expect("a database");
    let (fence, half): (u64, u64) = db
        .query_row("SELECT fence, count / 2 FROM runs WHERE id = 1", [], |row| Ok((row.get(0)?, row.get(1)?)))
        .expect("a run");
    db.execute("DELETE FROM records WHERE run = 1 AND n >= ?1", [half]).expect("cut");
    let crc = murakkab::run::journal::record::checksum(1, half, &fence.to_le_bytes());
    db.execute("UPDATE runs SET count = ?1, count_crc = ?2 WHERE id = 1", [half, crc.into()]).expect("cut");
    drop(db);
    assert!(!wal.exists() || wal.metadata().is_ok_and(|m| m.len() == 0));
    let verified = mkbc.run(&["journal", "verify"]);
    assert_eq!(verified.code, Some(1), "{}", verified.out);
    assert!(verified.err.contains("finished in its folder and not in the journal"), "{}", verified.err);
    let resumed = mkbc.run(&["resume", "1", "--json"]);
    assert_eq!(resumed.code, Some(0), "{}", resumed.err);
    assert!(resumed.err.contains("were taken from their folders"), "{}", resumed.err);
    let after = counted(&mkbc);
    for key in finished.keys().map(|path| &keys[path]) {
        assert_eq!(after[key].0, before[key].0, "a finished call was made again");
    }
    assert_eq!(mkbc.run(&["journal", "verify"]).code, Some(0));
}

#[test]
fn what_is_damaged_is_said() {
    let mkbc = counting("0");
    let words = arguments(1);
    assert_eq!(mkbc.run(&words.iter().map(String::as_str).collect::<Vec<_>>()).code, Some(0));
    let db = rusqlite::Connection::open(project(&mkbc).join("journal.db")).expect("a database");
    let mut body: Vec<u8> =
        db.query_row("SELECT body FROM records WHERE run = 1 AND n = 2", [], |row| row.get(0)).expect("a record");
    body[10] ^= 1;
    db.execute("UPDATE records SET body = ?1 WHERE run = 1 AND n = 2", [body]).expect("changed");
    drop(db);
    for (arguments, part) in [
        (&["journal", "verify"][..], "cannot be resumed"),
        (&["show", "1"], "record 2 of run 1: its checksum does not fit"),
        (&["resume", "1"], "record 2 of run 1"),
        (&["logs", "1"], "the journal is damaged"),
    ] {
        let done = mkbc.run(arguments);
        assert_eq!(done.code, Some(1), "{arguments:?}: {}", done.out);
        assert!(done.err.contains(part), "{arguments:?}: {}", done.err);
        assert!(!done.err.contains("panicked"), "{}", done.err);
    }
    assert!(mkbc.run(&["runs"]).out.contains("damaged"));
    // A plan that is not the one that was kept.
    let blobs: Vec<PathBuf> = walk(&project(&mkbc).join("blobs"));
    for blob in blobs {
        fs::write(blob, "{}").expect("changed");
    }
    assert!(mkbc.run(&["journal", "verify"]).err.contains("is not what was written"));
}

#[test]
fn a_damaged_run_does_not_stand_before_the_others() {
    let mkbc = counting("0");
    let keyed = |key: &str| {
        let words = [arguments(1), vec!["--key".to_owned(), key.to_owned()]].concat();
        mkbc.run(&words.iter().map(String::as_str).collect::<Vec<_>>())
    };
    assert_eq!((keyed("a").code, keyed("b").code), (Some(0), Some(0)));
    let db = rusqlite::Connection::open(project(&mkbc).join("journal.db")).expect("a database");
    let mut body: Vec<u8> = db.query_row("SELECT body FROM runs WHERE id = 1", [], |row| row.get(0)).expect("a run");
    body[10] ^= 1;
    db.execute("UPDATE runs SET body = ?1 WHERE id = 1", [body]).expect("changed");
    drop(db);
    let listed = mkbc.run(&["runs", "--json"]);
    let listed: Value = serde_json::from_str(&listed.out).unwrap_or_else(|e| panic!("{e}: {}", listed.err));
    assert_eq!((&listed[0]["state"], &listed[1]["state"]), (&"damaged".into(), &"done".into()), "{listed:#}");
    assert_eq!((keyed("b").code, mkbc.run(&["top", "--once"]).code), (Some(0), Some(0)));
    assert!(mkbc.run(&["resume"]).err.contains("no run to resume"));
    assert!(mkbc.run(&["show"]).out.starts_with("run 2 of"), "the latest");
    assert!(mkbc.run(&["logs", "-f"]).out.trim_end().ends_with("answered"));
    let last = mkbc.run(&["runs", "--limit", "1"]).out;
    assert!(last.contains("done") && !last.contains("damaged"), "{last}");
}

fn walk(folder: &Path) -> Vec<PathBuf> {
    let (mut found, mut folders) = (Vec::new(), vec![folder.to_path_buf()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            if entry.path().is_dir() { folders.push(entry.path()) } else { found.push(entry.path()) }
        }
    }
    found
}

#[test]
fn no_secret_of_the_environment_is_written() {
    let mkbc = counting("0");
    let canary = "canary-9b1f77d2";
    let mut command = mkbc.command(arguments(2));
    let done = mkbc.end(command.env("OPENAI_API_KEY", canary).env("SOME_TOKEN", canary));
    assert_eq!(done.code, Some(0), "{}", done.err);
    let files = walk(&project(&mkbc));
    assert!(files.len() > 20);
    for file in files {
        let bytes = fs::read(&file).expect("a file");
        assert!(!bytes.windows(canary.len()).any(|w| w == canary.as_bytes()), "{}", file.display());
    }
}
