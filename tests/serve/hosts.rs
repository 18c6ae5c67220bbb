//! Workers on other hosts, as processes of their own: each gets runs, a killed one loses none, and nobody answers for a run that is another's.

use crate::mkbc::Mkbc;
use crate::server::{Answer, Server, project};
use crate::tenants::token;
use serde_json::{Value, json};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

/// The longest that anything is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// A tool that doubles a file, waits until there is another one, and notes each call in a third.
const DOUBLE: &str = "#!/bin/sh\necho \"begin $MKBC_IDEMPOTENCY_KEY\" >> \"$1\"\ncat \"$2\" \"$2\" > made.txt\nuntil [ -e \"$3\" ]; do sleep 0.05; done\necho \"end $MKBC_IDEMPOTENCY_KEY\" >> \"$1\"\necho \"{\\\"file\\\": \\\"$PWD/made.txt\\\"}\"\n";

/// The job: a file four times, in two calls, of which the second takes until the file `go` is there.
const JOB: &str = "use double\njob four(file: Bytes) -> Bytes {\n  let twice = double(file)\n  slowly(twice)\n}\n";

/// A project with these tools, a tenant that sees all and its token, and a token of workers in the file `worker.token`.
pub fn hosted() -> (Mkbc, String) {
    let mkbc = project("0");
    mkbc.write("double.sh", DOUBLE);
    let (script, notes) = (mkbc.path("double.sh"), mkbc.path("doubled.txt"));
    let tool = |task: &str, gate: &str| {
        format!(
            "task {task}(file: Bytes) -> Bytes\ntool {task}_tool implements {task} {{\n  runs on cpu * 1\n  engine process {{\n    \
             command [\"sh\", \"{}\", \"{}\", \"{{file}}\", \"{}\"]\n    read \"json\"\n  }}\n  profile \"shout.csv\"\n}}\n",
            script.display(),
            notes.display(),
            mkbc.path(gate).display(),
        )
    };
    mkbc.write("lib/double.mkb", format!("{}{}", tool("double", "."), tool("slowly", "go")));
    let root = token(&mkbc, "root", "sees_all = true");
    let done = mkbc.run(&["serve", "--new-worker-token", "site"]);
    assert_eq!(done.code, Some(0), "{}", done.err);
    let worker = done.err.trim().rsplit(' ').next().unwrap_or_default().to_owned();
    mkbc.write("tokens.toml", format!("{}{}", mkbc.read("tokens.toml"), done.out));
    mkbc.write("worker.token", &worker);
    closed(&mkbc, "worker.token");
    (mkbc, root)
}

pub fn closed(mkbc: &Mkbc, file: &str) {
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(mkbc.path(file), mode).expect("closed to others");
}

/// A worker at work; killed when it is dropped.
pub struct Worker(Child);

impl Worker {
    pub fn start(mkbc: &Mkbc, url: &str, name: &str, more: &[&str]) -> Worker {
        Worker::start_with(mkbc, url, name, more, &[])
    }

    /// The same with variables of its own.
    pub fn start_with(mkbc: &Mkbc, url: &str, name: &str, more: &[&str], env: &[(&str, &str)]) -> Worker {
        let log = std::fs::OpenOptions::new().append(true).create(true).open(mkbc.path("worker.log")).expect("a log");
        let words = ["worker", "--to", url, "--token-file", "worker.token", "--name", name, "--runs", "1"];
        let words = words.into_iter().chain(more.iter().copied());
        let child = mkbc.command(words).envs(env.iter().copied()).stdout(Stdio::null()).stderr(log).spawn();
        Worker(child.expect("it starts"))
    }

    /// Ends it as nothing should end.
    fn kill(mut self) {
        self.0.kill().expect("killed");
        self.0.wait().expect("ended");
    }

    /// Asks it to end; its exit status.
    fn terminate(mut self) -> Option<i32> {
        self.signal("-TERM");
        self.0.wait().expect("ended").code()
    }

    fn signal(&self, signal: &str) {
        let id = self.0.id().to_string();
        assert!(std::process::Command::new("kill").args([signal, &id]).status().expect("kill").success());
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A server with a token to ask it.
struct Site<'a> {
    server: &'a Server,
    token: &'a str,
}

impl Site<'_> {
    fn ask(&self, method: &str, path: &str, body: &str) -> Answer {
        let bearer = format!("Bearer {}", self.token);
        let headers = [("Authorization", bearer.as_str()), ("Content-Type", "application/json")];
        self.server.ask(method, path, &headers, body)
    }

    fn get(&self, path: &str) -> Value {
        self.ask("GET", path, "").json()
    }

    /// Submits the job with a file of four bytes.
    fn submit(&self) -> u64 {
        let blob = self.ask("PUT", "/v1/blobs", "abcd").json()["blob"].clone();
        let submission = json!({"source": JOB, "inputs": {"file": {"blob": blob}}, "max_usd": 0.5});
        self.ask("POST", "/v1/runs", &submission.to_string()).id()
    }

    fn state(&self, id: u64) -> Value {
        self.get(&format!("/v1/runs/{id}"))["state"].clone()
    }

    /// The hosts that are there, with their runs.
    fn hosts(&self) -> Vec<(String, Vec<u64>)> {
        let fleet = self.get("/v1/fleet");
        let hosts = fleet["hosts"].as_array().expect("hosts").iter().filter(|host| host["lost"] == false);
        let runs = |host: &Value| host["runs"].as_array().expect("runs").iter().filter_map(Value::as_u64).collect();
        hosts.map(|host| (host["name"].as_str().expect("a name").to_owned(), runs(host))).collect()
    }

    /// The answer's file.
    fn answer(&self, id: u64) -> String {
        let result = self.get(&format!("/v1/runs/{id}/result"));
        let url = result["result"]["url"].as_str().unwrap_or_else(|| panic!("{result}")).to_owned();
        self.ask("GET", &url, "").body
    }

    /// Words and notes of the audit log about a run, in order.
    fn audit(&self, mkbc: &Mkbc, id: u64) -> Vec<(String, String)> {
        let log = mkbc.read(".mkbc/service/audit.log");
        let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        let own = lines.filter(|line| line["run"] == id);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        own.map(|line| (text(&line["what"]), text(&line["note"]))).collect()
    }
}

/// Waits until something is so.
pub fn until(what: &str, mut so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !so() {
        assert!(began.elapsed() < PATIENCE, "never: {what}");
        std::thread::sleep(Duration::from_millis(30));
    }
}

/// How often calls of the tools began.
fn begun(mkbc: &Mkbc) -> usize {
    let notes = std::fs::read_to_string(mkbc.path("doubled.txt")).unwrap_or_default();
    notes.lines().filter(|line| line.starts_with("begin")).count()
}

#[test]
fn two_workers_share_runs_and_a_killed_one_loses_none() {
    let (mkbc, root) = hosted();
    let server = Server::start(&mkbc, &["--workers", "0", "--tokens", "tokens.toml", "--lease", "2", "--grace", "0.1"]);
    let site = Site { server: &server, token: &root };
    let mut workers = ["a", "b"].map(|name| Some(Worker::start(&mkbc, &server.url(), name, &[])));
    until("both are registered", || site.hosts().len() == 2);
    let fleet = site.get("/v1/fleet");
    assert!(fleet["hosts"][0]["cores"].as_u64().is_some_and(|cores| cores > 0), "{fleet}");
    assert!(site.ask("GET", "/fleet", "").body.contains("site/a"), "the page shows them");
    // What machines do is seen: of hosts as often as they ask, of the server's own at once.
    until("the hosts' load is seen", || {
        let fleet = site.get("/v1/fleet");
        let used = |load: &Value| load["memory_used_gb"].as_f64().is_some_and(|gb| gb > 0.0);
        used(&fleet["load"]) && fleet["hosts"].as_array().expect("hosts").iter().all(|host| used(&host["load"]))
    });
    let figures = site.ask("GET", "/metrics", "").body;
    for labels in ["host=\"\",device=\"cpu\"", "host=\"site/a\",device=\"cpu\""] {
        assert!(figures.contains(&format!("mkbc_device_memory_bytes{{{labels}}}")), "{figures}");
    }
    // Each takes one run at a time, so that both have one.
    let (first, second) = (site.submit(), site.submit());
    until("each has a run", || site.hosts().iter().all(|(_, runs)| runs.len() == 1));
    // Both calls that are quick are done, and both that take a while are under way.
    until("the slow calls are under way", || begun(&mkbc) == 4);
    let hosts = site.hosts();
    let lost = usize::from(hosts[1].1 == [first]);
    workers[lost].take().expect("there").kill();
    until("it is shown as lost", || site.hosts().len() == 1);
    mkbc.write("go", "");
    for id in [first, second] {
        until("the run is done", || site.state(id) == "done");
        assert_eq!(site.answer(id), "abcd".repeat(4), "{:?}", site.audit(&mkbc, id));
    }
    // How it ended is told there for people too, in the names that files have there.
    let report = site.ask("GET", &format!("/v1/runs/{first}/files/report.json"), "").json();
    assert_eq!(report["job"], site.get(&format!("/v1/runs/{first}"))["job"], "{report}");
    assert!(!report.to_string().contains("/leases/"), "{report}");
    // What was finished was not made again, though another host went on with it; what was in flight was.
    assert_eq!(begun(&mkbc), 5);
    let states: Vec<String> = site.audit(&mkbc, first).into_iter().map(|(what, _)| what).collect();
    assert_eq!(states, ["submit", "lease", "lease_lost", "lease", "lease_end"]);
    let bearer = format!("Bearer {root}");
    let events = server.ask("GET", &format!("/v1/runs/{first}/events"), &[("Authorization", &bearer)], "").body;
    assert_eq!(events.matches("\"state\":\"done\"").count(), 1, "{events}");
    assert!(events.contains("was not heard of for too long; the run goes on elsewhere"), "{events}");
    std::fs::remove_file(mkbc.path("go")).expect("removed");
    // A run that is stopped is stopped there, and one whose worker is stopped goes back.
    let third = site.submit();
    until("the slow call is under way", || begun(&mkbc) == 7);
    assert_eq!(site.ask("POST", &format!("/v1/runs/{third}/cancel"), "").status, 202);
    until("it is stopped", || site.state(third) == "cancelled");
    let fourth = site.submit();
    until("the slow call is under way", || begun(&mkbc) == 9);
    let rest = workers[1 - lost].take().expect("there");
    assert_eq!(rest.terminate(), Some(143), "{}", mkbc.read("worker.log"));
    until("it waits again", || site.state(fourth) == "queued");
    assert_eq!(site.hosts(), []);
    // Nothing stays with the workers, and no token is anywhere.
    for name in ["a", "b"] {
        let leases = std::fs::read_dir(mkbc.path(&format!(".mkbc/worker/{name}/leases"))).expect("a folder");
        let left: Vec<_> = leases.flatten().map(|entry| entry.path()).collect();
        assert!(left.is_empty() || name == ["a", "b"][lost], "{left:?}");
    }
    let logs = ["worker.log", "serve.log", ".mkbc/service/audit.log"].map(|name| mkbc.read(name)).join("");
    assert!(!logs.contains(mkbc.read("worker.token").trim()), "{logs}");
}

#[test]
fn a_worker_goes_on_while_its_server_is_started_again() {
    let (mkbc, root) = hosted();
    let options = ["--workers", "0", "--tokens", "tokens.toml", "--lease", "20"];
    let server = Server::start(&mkbc, &options);
    let address = server.address.clone();
    let _worker = Worker::start(&mkbc, &server.url(), "a", &[]);
    let id = {
        let site = Site { server: &server, token: &root };
        let id = site.submit();
        until("the slow call is under way", || begun(&mkbc) == 2);
        id
    };
    server.kill();
    let server = Server::at(&mkbc, &address, &options);
    let site = Site { server: &server, token: &root };
    assert_eq!(site.state(id), "running", "it is still the worker's");
    mkbc.write("go", "");
    until("the run is done", || site.state(id) == "done");
    assert_eq!((site.answer(id), begun(&mkbc)), ("abcd".repeat(4), 2));
    let states: Vec<String> = site.audit(&mkbc, id).into_iter().map(|(what, _)| what).collect();
    assert_eq!(states, ["submit", "lease", "lease_end"], "one lease is enough");
    until("it is registered again", || site.hosts().len() == 1);
}

#[test]
fn who_has_no_right_to_a_run_changes_nothing_of_it() {
    let (mkbc, root) = hosted();
    let server = Server::start(&mkbc, &["--workers", "0", "--tokens", "tokens.toml", "--lease", "2"]);
    let site = Site { server: &server, token: &root };
    let secret = mkbc.read("worker.token");
    // A token counts for what it is.
    let hello = |name: &str, process: &str, again: bool| {
        json!({
            "name": name, "version": env!("CARGO_PKG_VERSION"), "process": process, "again": again, "runs": 1, "leases": [],
            "inventory": {"cpu": {"model": null, "cores": 1, "memory": null}, "driver": null, "gpus": "no_driver"}
        })
    };
    for wrong in [root.as_str(), "mkbc_0", ""] {
        let stranger = Site { server: &server, token: wrong };
        assert_eq!(stranger.ask("POST", "/v1/hosts", &hello("x", "p", false).to_string()).status, 401, "{wrong}");
        assert_eq!(stranger.ask("POST", "/v1/leases/1/1/end", "{}").status, 401, "{wrong}");
    }
    let late = Site { server: &server, token: &secret };
    assert_eq!(late.ask("GET", "/v1/runs", "").status, 401);
    assert_eq!(late.ask("POST", "/v1/hosts", "{}").status, 422);
    assert_eq!(late.ask("POST", "/v1/hosts", &hello("../x", "p", false).to_string()).status, 422);
    let mut other = hello("x", "p", false);
    other["version"] = "0.0.0".into();
    assert_eq!(late.ask("POST", "/v1/hosts", &other.to_string()).code(), "other_version");
    mkbc.write("wrong.token", "mkbc_0");
    closed(&mkbc, "wrong.token");
    let done = mkbc.run(&["worker", "--to", &server.url(), "--token-file", "wrong.token"]);
    assert_eq!(done.code, Some(1));
    assert!(done.err.contains("the token is nobody's") && !done.err.contains("mkbc_0"), "{}", done.err);
    let done = mkbc.run(&["worker", "--to", "http://runs.example", "--token-file", "worker.token"]);
    assert!(done.code == Some(2) && done.err.contains("https is needed"), "{done:?}");
    // A host that this test plays: it takes a run, and is silent from then on.
    let welcome = late.ask("POST", "/v1/hosts", &hello("late", "p", false).to_string()).json();
    let asked = format!("/v1/hosts/{}/ask", welcome["session"].as_str().expect("a session"));
    let id = site.submit();
    let ask = json!({"free": 1, "leases": []}).to_string();
    let grant = late.ask("POST", &asked, &ask).json()["grant"].clone();
    assert_eq!((&grant["run"], &grant["fence"]), (&json!(id), &json!(1)), "{grant}");
    assert_eq!(late.ask("POST", &asked, &ask).json()["grant"]["fence"], 1, "an answer that got lost is said again");
    // It reads its own run's files, and none beside them, and writes only below the run's folder.
    let below = |rest: &str| format!("/v1/leases/{id}/1/{rest}");
    let input = grant["inputs"]["file"]["file"].as_str().expect("a file");
    assert_eq!(late.ask("GET", &below(&format!("files?path={input}")), "").body, "abcd");
    let folder = grant["folder"].as_str().expect("a folder");
    for wrong in ["/etc/passwd", &format!("{folder}/../../journal.db"), &format!("{folder}/nothing"), ""] {
        assert_eq!(late.ask("GET", &below(&format!("files?path={wrong}")), "").status, 404, "{wrong}");
    }
    for wrong in ["/etc/x", &format!("{folder}/../x"), folder, "x"] {
        assert_eq!(late.ask("PUT", &below(&format!("files?path={wrong}")), "x").status, 422, "{wrong}");
    }
    let broken = late.ask("PUT", &below(&format!("files?path={folder}/a/x")), "x");
    assert_eq!(broken.code(), "bad_file", "without its digest a file is not taken");
    let value = |digest: &str| late.ask("PUT", &below(&format!("values/{digest}")), "1").code();
    assert_eq!(value(&"0".repeat(64)), "bad_value");
    let opened = json!({"kind": "opened", "fence": 1, "pid": 1, "at": "", "compiler": ""});
    let records = |from: u64| json!({"from": from, "records": [opened]}).to_string();
    assert_eq!(late.ask("POST", &below("records"), &records(1)).code(), "bad_records", "one is missing");
    assert_eq!(late.ask("POST", &below("records"), &records(0)).status, 200);
    assert_eq!(late.ask("POST", &below("records"), &records(0)).status, 200, "sent again");
    let reserved = json!({"from": 1, "records": [{"kind": "reserved", "id": 0, "usd": "0.4", "t": 0.0}]}).to_string();
    assert_eq!(late.ask("POST", &below("records"), &reserved).status, 200);
    let done_with = |outcome: &str| json!({"outcome": outcome, "spent_micro": 0}).to_string();
    assert_eq!(late.ask("POST", &below("end"), &done_with("done")).code(), "no_answer");
    mkbc.write("go", "");
    // Silent for too long, it loses the run to another, and whatever it still says is refused.
    let b = Worker::start(&mkbc, &server.url(), "b", &[]);
    until("the run is done", || site.state(id) == "done");
    for (path, body) in [("records", records(2)), ("end", done_with("stopped")), ("end", done_with("done"))] {
        let refused = late.ask("POST", &below(path), &body);
        assert_eq!((refused.status, refused.code().as_str()), (409, "lease_lost"), "{path}");
    }
    assert_eq!(late.ask("GET", &below(&format!("files?path={input}")), "").status, 409);
    assert_eq!((site.state(id), site.answer(id)), (json!("done"), "abcd".repeat(4)));
    assert_eq!(site.get(&format!("/v1/runs/{id}"))["cost_usd"], 0.4, "what was reserved is spent");
    // A worker that stands still loses its run, and is refused when it goes on as if nothing had been.
    std::fs::remove_file(mkbc.path("go")).expect("removed");
    let before = begun(&mkbc);
    let id = site.submit();
    until("the slow call is under way", || begun(&mkbc) == before + 2);
    b.signal("-STOP");
    let _c = Worker::start(&mkbc, &server.url(), "c", &[]);
    until("another has it", || begun(&mkbc) == before + 3);
    mkbc.write("go", "");
    until("the run is done", || site.state(id) == "done");
    b.signal("-CONT");
    let said = |what: &str| site.audit(&mkbc, id).iter().filter(|(word, _)| word == what).count();
    until("the late record is refused", || said("refuse") > 0);
    until("it is there again", || site.hosts().len() == 2);
    assert_eq!((site.state(id), site.answer(id), said("lease_end")), (json!("done"), "abcd".repeat(4), 1));
    // A process that was superseded does not take its name back.
    let register =
        |process: &str, again: bool| late.ask("POST", "/v1/hosts", &hello("late", process, again).to_string());
    assert_eq!(register("p", true).status, 200, "it is the same");
    assert_eq!(register("q", false).status, 200, "a process that begins");
    assert_eq!(register("q", true).status, 200);
    assert_eq!(register("p", true).code(), "name_taken");
    assert_eq!(late.ask("POST", &asked, &ask).code(), "unknown_host");
}
