//! `mkbc serve` with the real program, over real HTTP: what is accepted is not lost, is one run, and is nobody else's.

#[path = "serve/browser.rs"]
mod browser;
#[path = "serve/decides.rs"]
mod decides;
#[path = "serve/deploy.rs"]
mod deploy;
#[path = "serve/desk.rs"]
mod desk;
#[path = "serve/hosts.rs"]
mod hosts;
#[path = "cli/mkbc.rs"]
mod mkbc;
#[path = "serve/openapi.rs"]
mod openapi;
#[path = "serve/page.rs"]
mod page;
#[path = "serve/server.rs"]
mod server;
#[path = "serve/spread.rs"]
mod spread;
#[path = "serve/survive.rs"]
mod survive;
#[path = "serve/tenants.rs"]
mod tenants;
#[path = "serve/tls.rs"]
mod tls;

use serde_json::{Value, json};
use server::{Server, plan, project, source};

#[test]
fn a_source_is_planned_run_and_answered() {
    let mkbc = project("0");
    let server = Server::start(&mkbc, &[]);
    let submitted = server.submit(&source(&["a", "b"]), &[]);
    assert_eq!(submitted.status, 202, "{submitted:?}");
    let id = submitted.id();
    assert_eq!(submitted.header("location"), Some(format!("/v1/runs/{id}").as_str()));
    let result = server.get(&format!("/v1/runs/{id}/result?wait_s=30"));
    assert_eq!((result.status, &result.json()["result"]), (200, &json!(["a!", "b!"])), "{result:?}");
    let events = server.events(id, None, 100);
    let kinds: Vec<&str> = events.iter().filter_map(|(_, event)| event["kind"].as_str()).collect();
    assert_eq!((kinds.first(), kinds.last()), (Some(&"state"), Some(&"state")), "{events:?}");
    assert_eq!(events[0].1["state"], "queued");
    assert_eq!(events.last().expect("one").1["state"], "done");
    assert_eq!(kinds.iter().filter(|kind| **kind == "done").count(), 2, "a call for each word: {events:?}");
    // Whoever comes back gets exactly what is behind the last event that was seen, wherever that was.
    for at in 0..events.len() {
        let rest = server.events(id, Some(&events[at].0), 100);
        assert_eq!(rest, events[at + 1..], "behind {}", events[at].0);
    }
    let last = events.last().map(|(place, _)| place.as_str()).unwrap_or_default();
    let path = format!("/v1/runs/{id}/events");
    assert_eq!(server.ask("GET", &path, &[("Last-Event-ID", last)], "").status, 204);
    assert_eq!(server.ask("GET", &path, &[("Last-Event-ID", "x")], "").status, 400);
    // The command line sees the same.
    let url = server.url();
    let done = mkbc.run(&["submit", "job.mkb", "--library", "lib", "--to", &url, "--wait", "--words", "c"]);
    assert_eq!((done.code, done.out.trim()), (Some(0), "[\n  \"c!\"\n]"), "{}", done.err);
    let done = mkbc.run(&["fetch", &format!("{url}/{id}"), "-o", "answer.json"]);
    assert_eq!(done.code, Some(0), "{}", done.err);
    assert_eq!(serde_json::from_str::<Value>(&mkbc.read("answer.json")).expect("JSON"), json!(["a!", "b!"]));
    let done = mkbc.run(&["watch", &format!("{url}/{id}"), "--json"]);
    let watched: Vec<Value> = done.out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(watched, events.into_iter().map(|(_, event)| event).collect::<Vec<_>>());
    // An error of the server looks like ours.
    let done = mkbc.run(&["fetch", &format!("{url}/999")]);
    assert_eq!((done.code, done.err.as_str()), (Some(1), "mkbc: there is no such run\n"));
}

#[test]
fn limits_beside_a_source_count_as_if_it_said_them() {
    let mkbc = project("0");
    let server = Server::start(&mkbc, &[]);
    let with = |lines: Value| {
        let mut submission = source(&["a"]);
        submission["slo"] = lines;
        server.submit(&submission, &[])
    };
    let taken = with(json!(["latency <= 50 s", "cost <= 1 usd"]));
    assert_eq!(taken.status, 202, "{taken:?}");
    let id = taken.id();
    assert_eq!(server.get(&format!("/v1/runs/{id}/result?wait_s=30")).status, 200);
    let made = server.get(&format!("/v1/runs/{id}/files/plan.json")).json();
    let clauses = made["clauses"].as_array().expect("clauses").iter().map(|clause| clause["text"].clone());
    assert_eq!(clauses.collect::<Vec<_>>(), ["latency <= 50 s", "cost <= 1 usd"]);
    assert_eq!(made["beside"], json!(["latency <= 50 s", "cost <= 1 usd"]));
    assert!(server.get(&format!("/runs/{id}/solve")).body.contains("50 s"), "the sliders begin there");
    // One that nothing can keep is said as that of a source is, and one that is none is refused.
    let tight = with(json!(["latency <= 1 ms"]));
    assert_eq!((tight.status, tight.code().as_str()), (422, "diagnostics"));
    assert!(tight.body.contains("E0710"), "{tight:?}");
    assert_eq!(with(json!(["latency <="])).status, 422);
    // They are part of what a key stands for, and no part of a plan.
    let keyed = |lines: Value| {
        let mut submission = source(&["a"]);
        (submission["slo"], submission["key"]) = (lines, json!("k"));
        server.submit(&submission, &[]).status
    };
    assert_eq!([json!([]), json!([]), json!(["cost <= 1 usd"])].map(keyed), [202, 200, 409]);
    let finished = json!({"plan": plan(&mkbc), "inputs": {"words": ["a"]}, "slo": ["cost <= 1 usd"]});
    let refused = server.submit(&finished, &[]);
    assert_eq!((refused.status, refused.code().as_str()), (422, "bad_submission"));
    // The command line says them too.
    let words =
        ["submit", "job.mkb", "--library", "lib", "--to", &server.url(), "--words", "c", "--slo", "latency <= 1 ms"];
    let done = mkbc.run(&words);
    assert!(done.code == Some(1) && done.err.contains("no plan can keep `latency <= 1 ms`"), "{}", done.err);
}

#[test]
fn a_source_is_planned_for_the_machine_of_the_server() {
    let mkbc = project("0");
    let server = Server::start(&mkbc, &[]);
    // Its tool runs on processors, of which this cluster has none.
    let job = server::JOB.replace("  expect", "  on moon\n  expect");
    let source = format!("{job}\ncluster moon {{\n  h100 * 8 at 1 usd/h\n}}\n");
    let submitted = server.submit(&json!({"source": source, "inputs": {"words": ["a"]}}), &[]);
    assert_eq!(submitted.status, 202, "{submitted:?}");
    let result = server.get(&format!("/v1/runs/{}/result?wait_s=30", submitted.id()));
    assert_eq!(result.json()["result"], json!(["a!"]), "{result:?}");
}

#[test]
fn errors_of_a_source_are_diagnostics() {
    let mkbc = project("0");
    let server = Server::start(&mkbc, &["--workers", "0"]);
    let broken = server::JOB.replace("shout(word)", "shuot(word)");
    let refused = server.submit(&json!({"source": broken, "inputs": {"words": ["a"]}}), &[]);
    assert_eq!((refused.status, refused.code().as_str()), (422, "diagnostics"));
    let error = &refused.json()["error"];
    assert!(error["diagnostics"][0]["code"].as_str().is_some_and(|code| code.starts_with('E')), "{error}");
    assert!(error["text"].as_str().is_some_and(|text| text.contains("shuot")), "{error}");
}

#[test]
fn a_source_that_names_files_beside_it_is_refused_since_they_did_not_come_along() {
    let mkbc = project("0");
    let server = Server::start(&mkbc, &["--workers", "0"]);
    mkbc.write("arrivals.csv", "timestamp\n0\n");
    let job = server::JOB.replace("  expect", "  expect trace \"arrivals.csv\"\n  expect");
    let refused = server.submit(&json!({"source": job, "inputs": {"words": ["a"]}}), &[]);
    assert_eq!((refused.status, refused.code().as_str()), (422, "diagnostics"));
    for part in ["E0723", "the job came without the files beside it", "write the load itself: `expect 30 requests/s`"] {
        assert!(refused.body.contains(part), "{part}: {}", refused.body);
    }
}

#[test]
fn a_key_is_one_run() {
    let mkbc = project("0");
    let server = Server::start(&mkbc, &["--workers", "0"]);
    let plan = plan(&mkbc);
    let of = |words: &[&str]| json!({"plan": plan, "inputs": {"words": words}});
    let first = server.submit(&of(&["a"]), &[("Idempotency-Key", "k")]);
    assert_eq!(first.status, 202, "{first:?}");
    let again = server.submit(&of(&["a"]), &[("Idempotency-Key", "k")]);
    assert_eq!((again.status, again.id()), (200, first.id()));
    let mut with_key = of(&["a"]);
    with_key["key"] = json!("k");
    let again = server.submit(&with_key, &[]);
    assert_eq!((again.status, again.id()), (200, first.id()), "the key may stand in the body");
    assert_eq!(server.submit(&with_key, &[("Idempotency-Key", "other")]).status, 400);
    let other = server.submit(&of(&["b"]), &[("Idempotency-Key", "k")]);
    assert_eq!((other.status, other.code().as_str()), (409, "other_run"));
    // The plan is known by its digest from now on.
    let known = json!({"plan": first.json()["plan"], "inputs": {"words": ["c"]}});
    assert_eq!(server.submit(&known, &[]).status, 202);
    let unknown = json!({"plan": "0".repeat(64), "inputs": {"words": ["c"]}});
    assert_eq!(server.submit(&unknown, &[]).status, 422);
    // A hundred at once are one run.
    let answers: Vec<(u16, u64)> = std::thread::scope(|scope| {
        let one = || {
            let answer = server.submit(&of(&["z"]), &[("Idempotency-Key", "race")]);
            (answer.status, answer.id())
        };
        let all: Vec<_> = (0..100).map(|_| scope.spawn(one)).collect();
        all.into_iter().map(|one| one.join().expect("answered")).collect()
    });
    assert_eq!(answers.iter().filter(|(status, _)| *status == 202).count(), 1, "{answers:?}");
    assert!(answers.iter().all(|(status, id)| matches!(status, 200 | 202) && *id == answers[0].1), "{answers:?}");
    // Pages hang together.
    let (mut seen, mut path) = (Vec::new(), "/v1/runs?limit=1".to_owned());
    loop {
        let page = server.get(&path).json();
        seen.extend(page["runs"].as_array().expect("runs").iter().map(|run| run["id"].as_u64().expect("a number")));
        match page["next"].as_str() {
            Some(next) => path = format!("/v1/runs?limit=1&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(seen, [3, 2, 1]);
    assert_eq!(server.get("/v1/runs?state=done").json()["runs"], json!([]));
    assert_eq!(server.get("/v1/runs?state=queued&job=loud").json()["runs"].as_array().map(Vec::len), Some(3));
    for wrong in ["limit=0", "limit=501", "cursor=x", "state=lost", "nonsense=1"] {
        assert_eq!(server.get(&format!("/v1/runs?{wrong}")).status, 400, "{wrong}");
    }
}

#[test]
fn a_full_queue_says_when_to_come_back() {
    let mkbc = project("0");
    let server = Server::start(&mkbc, &["--workers", "0", "--queue", "2"]);
    let plan = plan(&mkbc);
    let submit =
        |key: &str| server.submit(&json!({"plan": plan, "inputs": {"words": ["a"]}}), &[("Idempotency-Key", key)]);
    assert_eq!((submit("1").status, submit("2").status), (202, 202));
    let full = submit("3");
    assert_eq!(full.status, 429, "{full:?}");
    assert!(full.header("retry-after").and_then(|s| s.parse::<u64>().ok()).is_some_and(|s| s >= 1), "{full:?}");
    assert_eq!(submit("2").status, 200, "what is there already needs no place");
    let cancelled = server.ask("POST", "/v1/runs/1/cancel", &[], "");
    assert_eq!((cancelled.status, &cancelled.json()["run"]["state"]), (200, &json!("cancelled")));
    assert_eq!(server.ask("POST", "/v1/runs/1/cancel", &[], "").status, 200, "stopped is stopped");
    assert_eq!(submit("3").status, 202, "there is a place again");
}

#[test]
fn a_run_under_way_is_stopped_in_two_stages() {
    let mkbc = project("30");
    let server = Server::start(&mkbc, &["--workers", "1"]);
    let id = server.submit(&source(&["a", "b"]), &[]).id();
    server.until(id, "running");
    while server::notes(&mkbc).is_empty() {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let cancel = || server.ask("POST", &format!("/v1/runs/{id}/cancel"), &[], "");
    let first = cancel();
    assert_eq!((first.status, &first.json()["draining"]), (202, &json!(true)), "{first:?}");
    assert_eq!(first.json()["run"]["state"], "cancelling");
    // It may be gone before this is answered.
    assert!(matches!(cancel().status, 200 | 202));
    server.until(id, "cancelled");
    assert!(server::notes(&mkbc).values().all(|(_, ended)| *ended == 0), "what was under way is gone");
    assert_eq!(server.get(&format!("/v1/runs/{id}/result")).status, 409);
}

#[test]
fn what_cannot_be_used_is_refused_and_the_server_goes_on() {
    let mkbc = project("0");
    let server = Server::start(&mkbc, &["--workers", "0"]);
    let plan = plan(&mkbc);
    let post = |body: &str| server.ask("POST", "/v1/runs", &[("Content-Type", "application/json")], body);
    let good = json!({"plan": plan, "inputs": {"words": ["a"]}});
    let changed = |path: &str, value: Value| {
        let mut submission = good.clone();
        *submission.pointer_mut(path).unwrap_or_else(|| panic!("{path}")) = value;
        submission.to_string()
    };
    let literal = json!({"literal": {"file": "/etc/passwd"}});
    let tool = "tool own implements shout {\n  runs on cpu * 1\n  engine process { command [\"sh\", \"-c\", \"id\"] }\n  profile \"shout.csv\"\n}\n";
    let own = json!({"source": format!("{}\n{tool}", server::JOB), "inputs": {"words": ["a"]}}).to_string();
    let cases = [
        (400, "no_json", "{".to_owned()),
        (400, "no_json", String::new()),
        (400, "no_json", "\u{fffd}".to_owned()),
        (400, "no_json", format!("{}{}", "[".repeat(10_000), "]".repeat(10_000))),
        (400, "no_json", format!("{{\"inputs\": {{\"words\": {}{}}}}}", "[".repeat(200), "]".repeat(200))),
        (422, "bad_submission", "[]".to_owned()),
        (422, "bad_submission", "{}".to_owned()),
        (422, "bad_submission", "{\"plan\": 1, \"source\": \"\"}".to_owned()),
        (422, "bad_submission", "{\"source\": 7}".to_owned()),
        (422, "bad_submission", "{\"nonsense\": 7}".to_owned()),
        (422, "bad_submission", "{\"source\": \"\", \"priority\": 300}".to_owned()),
        (422, "bad_priority", json!({"source": server::JOB, "priority": 10}).to_string()),
        (422, "bad_submission", json!({"source": server::JOB, "time_limit_s": -1}).to_string()),
        (422, "no_job", "{\"source\": \"\"}".to_owned()),
        (422, "bad_plan", "{\"plan\": {}}".to_owned()),
        (422, "bad_plan", changed("/plan/version", json!("x"))),
        (422, "unverified_plan", changed("/plan/version", json!(999))),
        (422, "unverified_plan", changed("/plan/steps/0/engine/commands/0", json!(["sh", "-c", "id"]))),
        (422, "unverified_plan", changed("/plan/total/cost_usd", json!("7"))),
        (422, "unverified_plan", changed("/plan/body/result", literal)),
        (422, "bad_input", changed("/inputs", json!({}))),
        (422, "bad_input", changed("/inputs", json!({"words": "a"}))),
        (422, "bad_input", changed("/inputs", json!({"words": ["a"], "more": 1}))),
        (422, "bad_input", changed("/inputs/words", json!([1]))),
        (403, "own_tools", own),
    ];
    for (status, code, body) in &cases {
        let answer = post(body);
        let shown: String = body.chars().take(200).collect();
        assert_eq!((answer.status, answer.code().as_str()), (*status, *code), "{shown}: {answer:?}");
    }
    assert_eq!(post(&" ".repeat(10 << 20)).status, 413);
    let body = good.to_string();
    assert_eq!(server.ask("POST", "/v1/runs", &[("Content-Type", "text/plain")], &body).status, 415);
    assert_eq!(server.ask("POST", "/v1/runs", &[], &body).status, 415);
    let long = "k".repeat(201);
    assert_eq!(server.submit(&good, &[("Idempotency-Key", &long)]).status, 400);
    for path in ["/v1/runs/x", "/v1/runs/-1", "/v1/runs/99999999999999999999", "/v1/runs/9", "/v2/runs", "/v1"] {
        assert_eq!(server.get(path).status, 404, "{path}");
    }
    assert_eq!(server.ask("DELETE", "/v1/runs", &[], "").status, 405);
    assert_eq!(server.raw(b"nonsense\r\n\r\n").status, 400);
    assert_eq!(server.get("/v1/runs").json()["runs"], json!([]), "nothing of this is a run");
    assert_eq!(server.submit(&good, &[]).status, 202, "and all is well");
}

#[test]
fn other_names_and_other_sites_are_refused() {
    let mkbc = project("0");
    let server = Server::start(&mkbc, &["--workers", "0", "--host", "runs.example"]);
    let port = server.address.rsplit(':').next().unwrap_or_default();
    let get = |headers: &[(&str, &str)]| server.ask("GET", "/v1/runs", headers, "").status;
    let at = |name: &str| format!("{name}:{port}");
    for good in [at("localhost"), at("127.0.0.1"), at("RUNS.example"), "runs.example".to_owned()] {
        assert_eq!(get(&[("Host", &good)]), 200, "{good}");
    }
    for wrong in
        [at("evil.example"), at("127.0.0.1.evil.example"), at("0.0.0.0"), "x@localhost".to_owned(), String::new()]
    {
        assert_eq!(get(&[("Host", &wrong)]), 421, "{wrong}");
    }
    assert_eq!(get(&[("Host", "localhost"), ("Host", "localhost")]), 400);
    let local = at("localhost");
    let own = format!("http://{local}");
    assert_eq!(get(&[("Host", &local), ("Origin", &own)]), 200);
    for wrong in ["http://evil.example", "null", "http://localhost:1", "file://", ""] {
        assert_eq!(get(&[("Host", &local), ("Origin", wrong)]), 403, "{wrong}");
    }
    assert_eq!(get(&[("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "no-cors")]), 403);
    assert_eq!(get(&[("Sec-Fetch-Site", "same-origin")]), 200);
    let absolute = format!("GET http://evil.example/v1/runs HTTP/1.1\r\nHost: {local}\r\nConnection: close\r\n\r\n");
    assert_ne!(server.raw(absolute.as_bytes()).status, 200);
    assert_eq!(server.get("/healthz").json()["status"], "ok");
    let metrics = server.get("/metrics");
    assert!(metrics.body.contains("# TYPE mkbc_queue gauge\nmkbc_queue 0\n"), "{}", metrics.body);
    let done = mkbc.run(&["serve", "--addr", "127.0.0.1:0"]);
    assert_eq!(done.code, Some(1));
    assert!(done.err.contains("another server is at work in this project"), "{}", done.err);
}

#[test]
fn an_upload_is_an_input_and_files_of_the_server_are_not() {
    let mkbc = project("0");
    let server = Server::start(&mkbc, &[]);
    let job = "use shout\njob sizes(file: Bytes) -> Text {\n  size(file)\n}\n";
    mkbc.write("sizes.mkb", job);
    mkbc.write("in.txt", "twelve bytes");
    let of = |file: Value| json!({"source": job, "inputs": {"file": file}});
    for wrong in
        [json!("/etc/passwd"), json!({"file": "/etc/passwd"}), json!({"blob": "../x"}), json!({"blob": "0".repeat(64)})]
    {
        let refused = server.submit(&of(wrong.clone()), &[]);
        assert_eq!((refused.status, refused.code().as_str()), (422, "bad_input"), "{wrong}");
    }
    let put = |body: &str| server.ask("PUT", "/v1/blobs", &[], body);
    let kept = put("twelve bytes");
    assert_eq!((kept.status, &kept.json()["bytes"]), (201, &json!(12)), "{kept:?}");
    assert_eq!(put("twelve bytes").status, 200, "it is there");
    assert_eq!(put("").status, 422);
    let id = server.submit(&of(json!({"blob": kept.json()["blob"]})), &[]).id();
    let result = server.get(&format!("/v1/runs/{id}/result?wait_s=30"));
    assert_eq!(result.json()["result"], "twelve bytes", "{result:?}");
    let url = server.url();
    let done = mkbc.run(&["submit", "sizes.mkb", "--library", "lib", "--to", &url, "--wait", "--file", "in.txt"]);
    assert_eq!((done.code, done.out.as_str()), (Some(0), "twelve bytes\n"), "{}", done.err);
    // Of the run's folder files are shown, and nothing beside it.
    let file = |name: &str| server.get(&format!("/v1/runs/{id}/files/{name}")).status;
    assert_eq!(file("report.json"), 200);
    for wrong in ["../../journal.db", "%2e%2e/%2e%2e/journal.db", "/etc/passwd", "nothing", "steps"] {
        assert_eq!(file(wrong), 404, "{wrong}");
    }
    std::os::unix::fs::symlink("/etc/passwd", mkbc.path(".mkbc/runs/1/link")).expect("a link");
    assert_eq!(file("link"), 404);
}
