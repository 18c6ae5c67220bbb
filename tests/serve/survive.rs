//! Servers that are killed or told to end: what was accepted goes on.

use crate::server::{Server, notes, plan, project, source};
use serde_json::json;
use std::time::Duration;

#[test]
fn a_killed_server_loses_no_accepted_run() {
    let mkbc = project("0.05");
    let server = Server::start(&mkbc, &["--workers", "2"]);
    let plan = plan(&mkbc);
    // Submissions from several clients until the server dies under them.
    let accepted: Vec<u64> = std::thread::scope(|scope| {
        let submit = |client: usize| {
            let (address, plan) = (server.address.clone(), plan.clone());
            move || submissions(&address, &plan, client)
        };
        let clients: Vec<_> = (0..4).map(|client| scope.spawn(submit(client))).collect();
        while notes(&mkbc).len() < 3 {
            std::thread::sleep(Duration::from_millis(10));
        }
        server.kill();
        clients.into_iter().flat_map(|client| client.join().expect("a client")).collect()
    });
    assert!(!accepted.is_empty());
    let before = notes(&mkbc);
    let done_before: Vec<String> = before.iter().filter(|(_, (_, end))| *end > 0).map(|(key, _)| key.clone()).collect();
    let server = Server::start(&mkbc, &["--workers", "2"]);
    for id in &accepted {
        server.until(*id, "done");
        let result = server.get(&format!("/v1/runs/{id}/result")).json();
        assert_eq!(result["result"], json!(["a!", "b!"]));
    }
    // Runs that were stored and whose answer nobody heard are carried out as well.
    for state in ["queued", "running"] {
        while server.get(&format!("/v1/runs?state={state}")).json()["runs"] != json!([]) {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    // Each call ran once; those in flight when the server died may have run twice. One call of a run is recorded shortly after it ended.
    let after = notes(&mkbc);
    let twice: Vec<_> = after.iter().filter(|(_, (begun, _))| *begun > 1).collect();
    assert!(twice.len() <= 4, "two workers with at most two calls each were under way: {twice:?}");
    assert!(after.values().all(|(begun, ended)| *begun <= 2 && *ended >= 1), "{after:?}");
    assert!(done_before.iter().all(|key| after.contains_key(key)));
    assert_eq!(server.terminate(), Some(143));
}

#[test]
fn a_lost_store_gives_no_run_the_answer_of_another() {
    let mkbc = project("0");
    let answer = |words: &[&str]| {
        let server = Server::start(&mkbc, &[]);
        let id = server.submit(&source(words), &[]).id();
        server.until(id, "done");
        let result = server.get(&format!("/v1/runs/{id}/result")).json();
        server.terminate();
        (id, result["result"].clone())
    };
    assert_eq!(answer(&["a"]), (1, json!(["a!"])));
    std::fs::remove_dir_all(mkbc.path(".mkbc/service")).expect("removed");
    // Nobody takes a key that a service may want.
    let taken = mkbc.run(&["run", "job.mkb", "--library", "lib", "--key", "service:1", "--words", "x"]);
    assert_eq!(taken.code, Some(2), "{}", taken.err);
    assert_eq!(answer(&["b"]), (1, json!(["b!"])));
}

/// Submits until nobody answers; the runs that were accepted.
fn submissions(address: &str, plan: &serde_json::Value, client: usize) -> Vec<u64> {
    use std::io::{Read, Write};
    let mut accepted = Vec::new();
    for n in 0..20 {
        let body = json!({"plan": plan, "inputs": {"words": ["a", "b"]}, "key": format!("{client}-{n}")}).to_string();
        let request = format!(
            "POST /v1/runs HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let Ok(mut stream) = std::net::TcpStream::connect(address) else { break };
        let mut answer = String::new();
        if stream.write_all(request.as_bytes()).is_err() || stream.read_to_string(&mut answer).is_err() {
            break;
        }
        let Some((head, body)) = answer.split_once("\r\n\r\n") else { break };
        // An answer that broke off promised nothing.
        let Ok(run) = serde_json::from_str::<serde_json::Value>(body) else { break };
        assert!(head.starts_with("HTTP/1.1 202"), "{answer}");
        accepted.push(run["id"].as_u64().expect("a number"));
    }
    accepted
}

#[test]
fn a_server_that_is_told_to_end_pauses_its_runs() {
    let mkbc = project("30");
    let server = Server::start(&mkbc, &["--workers", "1", "--grace", "0.1"]);
    let id = server.submit(&source(&["a"]), &[]).id();
    let waiting = server.submit(&source(&["b"]), &[]).id();
    server.until(id, "running");
    while notes(&mkbc).is_empty() {
        std::thread::sleep(Duration::from_millis(20));
    }
    // As far as the run's first change: the rest is read from the next server.
    let seen = server.events(id, None, 1).remove(0).0;
    assert_eq!(server.terminate(), Some(143));
    let server = Server::start(&mkbc, &["--workers", "0"]);
    for id in [id, waiting] {
        assert_eq!(server.get(&format!("/v1/runs/{id}")).json()["state"], "queued");
    }
    // A place of the first server's stream is one of the second's.
    let rest = server.events(id, Some(&seen), 4);
    let kinds: Vec<_> = rest.iter().map(|(_, event)| event.get("state").unwrap_or(&event["kind"]).clone()).collect();
    assert_eq!(kinds, ["running", "opened", "began", "queued"], "{rest:?}");
}
