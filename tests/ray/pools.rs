//! Workers that hold different resources on one cluster: who gives way to whom, how often, and nodes that Ray cannot set up.

use crate::mkbc::{Done, Mkbc};
use crate::{Head, INSIDE, alive, head, house, node, on_cluster, wait};
use murakkab::run::block_on;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

const ROOMS: &str = r#"
/// Fakes with round figures, made for these tests.
task narrow(text: Text) -> Text {
  work text.tokens
  size tokens = text.tokens
}
task slow(text: Text) -> Text {
  work text.tokens
  size tokens = text.tokens
}
task wide(text: Text) -> Text {
  work text.tokens
  size tokens = text.tokens
}
task both(one: Text, other: Text) -> Text {
  size tokens = one.tokens
}
task alone(text: Text) -> Text {
  work text.tokens
  size tokens = text.tokens
}
tool narrower implements narrow {
  runs on cpu * 1
  engine process { command ["sh", "-c", "echo narrow $PPID >> NOTES; echo $0", "{text}"] }
  profile "fake.csv"
}
tool slower implements slow {
  runs on cpu * 1
  engine process { command ["sh", "-c", "grep -q wide NOTES || sleep 0.8; echo slow $PPID >> NOTES; echo $0", "{text}"] }
  profile "fake.csv"
}
tool wider implements wide {
  runs on cpu * 2
  engine process { command ["sh", "-c", "echo wide $PPID >> NOTES; echo $0", "{text}"] }
  profile "fake.csv"
}
tool gatherer implements both {
  runs on cpu * 1
  engine process { command ["echo", "{one}{other}"] }
  profile "fake.csv"
}
tool loner implements alone {
  runs on lone * 1
  engine process { command ["sh", "-c", "sleep 1.5; echo $0", "{text}"] }
  profile "fake.csv"
}
device lone { kind gpu
  memory 16 GB
}
cluster rooms {
  cpu * 64 at 1 usd/h
  lone * 8 at 1 usd/h
}
"#;

/// Files of Python that run by themselves, with neither Ray nor a namespace.
#[test]
fn a_room_is_given_to_whom_it_should_be() {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let mut command = Command::new("python3");
    command.arg(here.join("tests/ray/room.py")).env("PYTHONPATH", here.join("src/ray"));
    let done = command.env("PYTHONDONTWRITEBYTECODE", "1").output().expect("python3");
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success() && said.trim_end().ends_with("OK"), "{said}");
}

/// What was called by which worker, in order.
fn notes(mkbc: &Mkbc) -> Vec<(String, String)> {
    let text = fs::read_to_string(mkbc.path("notes")).unwrap_or_default();
    text.lines().filter_map(|line| line.split_once(' ')).map(|(kind, id)| (kind.into(), id.into())).collect()
}

fn workers(notes: &[(String, String)]) -> usize {
    notes.iter().map(|(_, id)| id).collect::<BTreeSet<_>>().len()
}

fn run(mkbc: &Mkbc, job: &str, inputs: &[&str]) -> Done {
    let words = ["run", job, "--library", "lib", "--cluster", "rooms", "--no-cache"];
    on_cluster(mkbc, &[&words, inputs].concat(), None)
}

fn texts_of(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("t{n}")).collect()
}

fn words(texts: &[String]) -> Vec<&str> {
    ["--texts"].into_iter().chain(texts.iter().map(String::as_str)).collect()
}

fn rooms() -> Mkbc {
    let mkbc = house();
    mkbc.write("lib/rooms.mkb", ROOMS.replace("NOTES", &mkbc.path("notes").display().to_string()));
    let each = |name: &str, body: &str| {
        let job = format!(
            "use rooms\njob {name}(texts: List[Text]) -> List[Text] {{\n  expect texts * 24\n  for text in texts {{\n    {body}\n  }}\n}}\n"
        );
        mkbc.write(&format!("{name}.mkb"), job);
    };
    each("fan", "wide(narrow(text))");
    each("lonely", "alone(text)");
    let chain = "use rooms\njob chain(text: Text) -> Text {\n  narrow(wide(narrow(wide(narrow(text)))))\n}\n";
    mkbc.write("chain.mkb", chain);
    let turns = "use rooms\njob turns(text: Text, texts: List[Text]) -> List[Text] {\n  expect texts * 150\n  let one = wide(text)\n  \
                 let rest = for each in texts {\n    slow(each)\n  }\n  for each in rest {\n    both(each, one)\n  }\n}\n";
    mkbc.write("turns.mkb", turns);
    mkbc
}

/// A cluster with two cores, and plans for one with more: its workers hold one core or both.
#[test]
#[ignore = "runs in namespaces of its own, by a_run_on_ray"]
fn inside_with_pools() {
    assert!(std::env::var_os(INSIDE).is_some(), "only in namespaces");
    let _head = head(None);
    let mkbc = rooms();
    // Each call needs what the worker of the one before holds.
    let since = Instant::now();
    let done = run(&mkbc, "chain.mkb", &["--text", "abc"]);
    assert!(done.code == Some(0) && done.out.trim() == "abc", "{}{}", done.out, done.err);
    let seen = notes(&mkbc);
    eprintln!("five calls, each with another worker: {:.1} s", since.elapsed().as_secs_f64());
    let kinds: Vec<&str> = seen.iter().map(|(kind, _)| kind.as_str()).collect();
    assert_eq!(kinds, ["narrow", "wide", "narrow", "wide", "narrow"]);
    assert_eq!(workers(&seen), 5, "{seen:?}");
    fs::remove_file(mkbc.path("notes")).expect("removed");
    // Many calls of each: workers are not made anew for every one.
    let since = Instant::now();
    let texts = texts_of(24);
    let done = run(&mkbc, "fan.mkb", &words(&texts));
    assert_eq!(done.code, Some(0), "{}", done.err);
    let seen = notes(&mkbc);
    eprintln!("48 calls by {} workers: {:.1} s", workers(&seen), since.elapsed().as_secs_f64());
    assert_eq!(seen.len(), 48);
    assert!(workers(&seen) <= 6, "{seen:?}");
    fs::remove_file(mkbc.path("notes")).expect("removed");
    // Workers that always have something to do give way all the same.
    let since = Instant::now();
    let texts = texts_of(150);
    let done = run(&mkbc, "turns.mkb", &[&["--text", "one"][..], &words(&texts)].concat());
    assert_eq!(done.code, Some(0), "{}", done.err);
    let seen = notes(&mkbc);
    eprintln!(
        "busy ones give way: {} calls by {} workers: {:.1} s",
        seen.len(),
        workers(&seen),
        since.elapsed().as_secs_f64()
    );
    let at = seen.iter().position(|(kind, _)| kind == "wide").expect("a call");
    assert!(seen[..at].iter().any(|(kind, _)| kind == "slow"), "nobody had to give way: {seen:?}");
    assert!(seen[at..].iter().any(|(kind, _)| kind == "slow"), "it waited until all others were done: {seen:?}");
    assert!(workers(&seen) <= 6, "{seen:?}");
}

/// The folder of a node in which Ray unpacks packages, as this namespace sees it.
fn unpacked(node: &Head) -> PathBuf {
    let ray = PathBuf::from(format!("/proc/{}/root/tmp/ray", node.0.id()));
    let mut found = None;
    wait("the folder of a node", || {
        let sessions = fs::read_dir(&ray).into_iter().flatten().flatten().map(|entry| entry.path());
        // Not by the link to the latest one, which leads to where it does here.
        let mut sessions =
            sessions.filter(|path| !path.is_symlink()).map(|p| p.join("runtime_resources/working_dir_files"));
        found = sessions.find(|path| path.is_dir());
        found.is_some()
    });
    found.expect("a folder")
}

/// What the latest driver said.
fn log() -> String {
    let asked = |path: String| {
        let text =
            async { reqwest::get(format!("http://127.0.0.1:8265/api/jobs/{path}")).await?.json::<Value>().await };
        block_on(text).expect("a runtime").expect("an answer")
    };
    let jobs = asked(String::new());
    let latest = jobs.as_array().expect("jobs").iter().max_by_key(|job| job["start_time"].as_u64()).expect("a job");
    let logs = asked(format!("{}/logs", latest["submission_id"].as_str().expect("a name")));
    logs["logs"].as_str().expect("a text").to_owned()
}

/// Two nodes have what a step needs, and Ray cannot unpack the package on both, and then on one of them.
#[test]
#[ignore = "runs in namespaces of its own, by a_run_on_ray"]
fn inside_with_a_node_that_cannot_be_set_up() {
    assert!(std::env::var_os(INSIDE).is_some(), "only in namespaces");
    let _head = head(None);
    let mkbc = rooms();
    let lone = |address: &str| {
        let address = format!("--node-ip-address={address}");
        let words = ["--address=127.0.0.1:6379", &address, "--num-cpus=1", "--num-gpus=1", "--resources={\"lone\": 1}"];
        // Ray keeps what went wrong for ten minutes.
        let own = "export BAD_RUNTIME_ENV_CACHE_TTL_SECONDS=1; mount -t tmpfs tmpfs /tmp/ray && exec \"$0\" \"$@\"";
        node(own, &words, None)
    };
    let mut nodes = Vec::new();
    for (address, there) in [("127.0.0.2", 2), ("127.0.0.3", 3)] {
        nodes.push(lone(address));
        wait("the node", || alive() == there);
    }
    let folders: Vec<PathBuf> = nodes.iter().map(unpacked).collect();
    for folder in &folders {
        fs::remove_dir_all(folder).expect("removed");
        fs::write(folder, "no folder").expect("a file");
    }
    let texts = ["--texts", "a", "b", "c", "d"];
    let since = Instant::now();
    let done = run(&mkbc, "lonely.mkb", &texts);
    assert_eq!(done.code, Some(1), "{}", done.out);
    assert!(done.err.contains("Ray can set up no node that has what the step needs"), "{}", done.err);
    eprintln!("refused where no node can be set up: {:.1} s", since.elapsed().as_secs_f64());
    fs::remove_file(&folders[1]).expect("removed");
    fs::create_dir(&folders[1]).expect("a folder");
    std::thread::sleep(std::time::Duration::from_secs(2));
    let since = Instant::now();
    let done = run(&mkbc, "lonely.mkb", &texts);
    assert_eq!(done.code, Some(0), "{}\n{}", done.err, log());
    eprintln!("four calls of 1.5 s beside a node that cannot be set up: {:.1} s", since.elapsed().as_secs_f64());
    // Tried once, though calls wait all the while; not at all where Ray took the other node at once, and the calls were done before it looked further.
    let tried = log().matches("RuntimeEnvSetupError").count();
    assert!(tried <= 1, "{}", log());
}
