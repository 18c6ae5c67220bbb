//! Deployed workflows and plans over several machines: hosts' devices are planned with, their calls take the server's places, a host that is
//! lost is planned for, and what only a host can run goes there.

use crate::hosts::{Worker, hosted};
use crate::mkbc::Mkbc;
use crate::server::{Answer, Server, notes};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// The longest that anything is waited for.
const PATIENCE: Duration = Duration::from_secs(90);

/// A call keeps its replica busy for a second, as planned; what it really takes is the tool's pause.
const PROFILE: &str = "device,units,figure,value,unit,low,high,evidence,source
cpu,,latency,1,s,,,estimated,made for this test
,,quality,99,%,,,estimated,made for this test
";

const JOB: &str =
    "use shout\njob loud(word: Text) -> Text {\n  slo { latency <= 60 s }\n  minimize cost\n  shout(word)\n}\n";

fn ask(server: &Server, token: &str, method: &str, path: &str, body: &Value) -> Answer {
    let bearer = format!("Bearer {token}");
    let headers = [("Authorization", bearer.as_str()), ("Content-Type", "application/json")];
    let body = if body.is_null() { String::new() } else { body.to_string() };
    server.ask(method, path, &headers, &body)
}

fn fleet(server: &Server, token: &str) -> Value {
    ask(server, token, "GET", "/v1/fleet", &Value::Null).json()
}

/// Asks for the fleet until it is as it should be.
fn until(server: &Server, token: &str, what: &str, good: impl Fn(&Value) -> bool) -> Value {
    let began = Instant::now();
    loop {
        let fleet = fleet(server, token);
        if good(&fleet) {
            return fleet;
        }
        assert!(began.elapsed() < PATIENCE, "{what}: {fleet:#}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn there(fleet: &Value) -> usize {
    fleet["hosts"].as_array().expect("hosts").iter().filter(|host| host["lost"] == false).count()
}

/// How often something stands in the audit log.
fn noted(mkbc: &Mkbc, what: &str) -> usize {
    mkbc.read(".mkbc/service/audit.log").lines().filter(|line| line.contains(&format!("\"what\":\"{what}\""))).count()
}

#[test]
fn a_workflow_runs_on_hosts_and_a_lost_one_is_planned_for() {
    let (mkbc, root) = hosted();
    mkbc.write("lib/profiles/shout.csv", PROFILE);
    let server = Server::start(&mkbc, &["--workers", "0", "--tokens", "tokens.toml", "--lease", "2", "--epoch", "60"]);
    let _a = Worker::start(&mkbc, &server.url(), "a", &["--library", "lib"]);
    let b = Worker::start(&mkbc, &server.url(), "b", &["--library", "lib"]);
    let both = until(&server, &root, "both are there", |fleet| there(fleet) == 2);
    let cores = both["hosts"][0]["cores"].as_u64().expect("cores");
    let units = |fleet: &Value| fleet["devices"]["cpu"]["units"].as_u64().unwrap_or_default();
    until(&server, &root, "their cores are counted", |fleet| units(fleet) == 2 * cores);
    // A replica more than one machine has room for.
    let rate = format!("{}/min", 48 * (cores + 1) - 6);
    let deployment = json!({"source": JOB, "rate": rate});
    let deployed = ask(&server, &root, "POST", "/v1/workflows", &deployment);
    assert_eq!(deployed.status, 201, "{deployed:?}");
    assert_eq!(fleet(&server, &root)["instances"][0]["replicas"], cores + 1);
    let run = |word: &str| ask(&server, &root, "POST", "/v1/workflows/loud/run", &json!({"word": word}));
    let answer = run("x");
    assert_eq!((answer.status, &answer.json()["result"]), (200, &json!("x!")), "{answer:?}");
    assert_eq!(noted(&mkbc, "lease"), 1, "a host carried it out");
    let free = until(&server, &root, "the place is free", |fleet| fleet["instances"][0]["under_way"] == 0);
    assert_eq!(free["instances"][0]["calls"], 1, "its call took a place here");
    drop(b);
    let one = until(&server, &root, "one is lost, and planned for", |fleet| {
        units(fleet) == cores && fleet["replans"][0]["because"].to_string().contains("cpu")
    });
    assert_eq!(one["instances"][0]["replicas"], cores, "as many as are left: {one:#}");
    assert!(one["replans"][0]["broken"].as_str().is_some_and(|why| why.contains("has to wait")), "{one:#}");
    let answer = run("y");
    assert_eq!((answer.status, &answer.json()["result"]), (200, &json!("y!")), "{answer:?}");
}

#[test]
fn a_server_without_room_leaves_a_workflows_run_to_a_host() {
    let (mkbc, root) = hosted();
    mkbc.write("lib/profiles/shout.csv", PROFILE);
    let script = mkbc.read("note.sh").replace("sleep \"$2\"", "until [ -e \"$1.go\" ]; do sleep 0.05; done");
    mkbc.write("note.sh", script);
    let server = Server::start(&mkbc, &["--workers", "1", "--tokens", "tokens.toml", "--epoch", "60"]);
    let _a = Worker::start(&mkbc, &server.url(), "a", &["--library", "lib"]);
    until(&server, &root, "it is there", |fleet| there(fleet) == 1);
    // Two replicas, so that two calls may be under way.
    let deployed = ask(&server, &root, "POST", "/v1/workflows", &json!({"source": JOB, "rate": "90/min"}));
    assert_eq!(deployed.status, 201, "{deployed:?}");
    let begin = |word: &str| {
        let answer = ask(&server, &root, "POST", "/v1/workflows/loud/run?wait_s=0", &json!({"word": word}));
        assert_eq!(answer.status, 202, "{answer:?}");
        answer.id()
    };
    let mut ids = Vec::new();
    for (word, calls) in [("one", 1), ("two", 2)] {
        ids.push(begin(word));
        let began = Instant::now();
        while notes(&mkbc).len() < calls {
            assert!(began.elapsed() < PATIENCE, "run {word} does not begin");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
    assert_eq!(fleet(&server, &root)["instances"][0]["under_way"], 2, "one here, one there, both counted");
    assert_eq!(noted(&mkbc, "lease"), 1, "the second one is the host's");
    // Another host takes the third one, whose call has no place anywhere.
    let _b = Worker::start(&mkbc, &server.url(), "b", &["--library", "lib"]);
    ids.push(begin("three"));
    let began = Instant::now();
    while noted(&mkbc, "lease") < 2 {
        assert!(began.elapsed() < PATIENCE, "run three goes nowhere");
        std::thread::sleep(Duration::from_millis(50));
    }
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(notes(&mkbc).len(), 2);
    mkbc.write("notes.txt.go", "");
    for (id, word) in ids.iter().zip(["one", "two", "three"]) {
        let path = format!("/v1/runs/{id}/result?wait_s=60");
        assert_eq!(ask(&server, &root, "GET", &path, &Value::Null).json()["result"], json!(format!("{word}!")));
    }
}

#[test]
fn what_only_a_host_can_run_goes_there() {
    let (mkbc, root) = hosted();
    mkbc.write(
        "lib/rare.mkb",
        "task rare(word: Text) -> Text\ntool rarely implements rare {\n  runs on cpu * 1\n  engine process { command [\"mkbc-test-rarely\", \"{word}\"] }\n  profile \"shout.csv\"\n}\n",
    );
    std::fs::create_dir(mkbc.path("bin")).expect("a folder");
    mkbc.write("bin/mkbc-test-rarely", "#!/bin/sh\necho \"rarely $1\"\n");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    std::fs::set_permissions(mkbc.path("bin/mkbc-test-rarely"), mode).expect("a program");
    let server = Server::start(&mkbc, &["--workers", "2", "--tokens", "tokens.toml"]);
    let source = "use rare\njob rare_word(word: Text) -> Text {\n  rare(word)\n}\n";
    let submission = json!({"source": source, "file": "rare word.mkb", "inputs": {"word": "said"}});
    let refused = ask(&server, &root, "POST", "/v1/runs", &submission);
    assert_eq!(refused.status, 422, "nobody can run it: {refused:?}");
    assert!(
        refused.body.contains("rare word.mkb") && !refused.body.contains("job.mkb"),
        "its name is said: {refused:?}"
    );
    let path = format!("{}:{}", mkbc.path("bin").display(), std::env::var("PATH").unwrap_or_default());
    let _a = Worker::start_with(&mkbc, &server.url(), "a", &["--library", "lib"], &[("PATH", &path)]);
    until(&server, &root, "it is there", |fleet| there(fleet) == 1);
    let accepted = ask(&server, &root, "POST", "/v1/runs", &submission);
    assert_eq!(accepted.status, 202, "{accepted:?}");
    let result = format!("/v1/runs/{}/result?wait_s=60", accepted.id());
    assert_eq!(ask(&server, &root, "GET", &result, &Value::Null).json()["result"], "rarely said");
    assert_eq!(noted(&mkbc, "lease"), 1);
}
