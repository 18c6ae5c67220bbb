//! Deployed workflows on one fleet, with the real program and tools that really run: what they share, who does not fit, and what happens when
//! the load, the machines or the workflows change.

use crate::mkbc::Mkbc;
use crate::server::{Answer, Server, notes, project};
use crate::tenants::token;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// The longest that anything is waited for.
const PATIENCE: Duration = Duration::from_secs(90);

/// A call keeps its replica busy for a second, as planned; what it really takes is the tool's pause.
const PROFILE: &str = "device,units,figure,value,unit,low,high,evidence,source
cpu,,latency,1,s,,,estimated,made for this test
,,quality,99,%,,,estimated,made for this test
";

fn job(name: &str, limit: &str) -> String {
    format!(
        "use shout\n\n/// Says a word loud.\njob {name}(word: Text) -> Text {{\n  slo {{\n    latency <= {limit}\n    cost <= 1 usd\n  }}\n  \
         minimize cost\n\n  shout(word)\n}}\n"
    )
}

fn cluster(cores: u32) -> String {
    format!("cluster small {{\n  cpu * {cores} at 0.1 usd/h\n}}\n")
}

/// Two jobs, a library whose tool pauses so long, and a cluster.
pub fn folder(pause: &str, cores: u32) -> Mkbc {
    let mkbc = project(pause);
    mkbc.write("lib/profiles/shout.csv", PROFILE);
    mkbc.write("loud.mkb", job("loud", "60 s"));
    mkbc.write("calls.mkb", job("calls", "90 s"));
    mkbc.write("small.mkb", cluster(cores));
    mkbc
}

/// Of an epoch of 30 s, rates are those of the last five seconds, and it is looked at four times a second.
pub fn start(mkbc: &Mkbc) -> Server {
    with_epoch(mkbc, "30")
}

fn with_epoch(mkbc: &Mkbc, epoch: &str) -> Server {
    Server::start(mkbc, &["--workers", "4", "--cluster", "small.mkb", "--epoch", epoch])
}

pub fn deploy(server: &Server, name: &str, limit: &str, rate: &str) -> Answer {
    let body = json!({"source": job(name, limit), "rate": rate}).to_string();
    server.ask("POST", "/v1/workflows", &[("Content-Type", "application/json")], &body)
}

pub fn run(server: &Server, name: &str, word: &str, wait_s: u32) -> Answer {
    let path = format!("/v1/workflows/{name}/run?wait_s={wait_s}");
    server.ask("POST", &path, &[("Content-Type", "application/json")], &json!({"word": word}).to_string())
}

/// Asks for the fleet until it is as it should be.
fn until(server: &Server, what: &str, mut good: impl FnMut(&Value) -> bool) -> Value {
    let began = Instant::now();
    loop {
        let fleet = server.get("/v1/fleet").json();
        if good(&fleet) {
            return fleet;
        }
        assert!(began.elapsed() < PATIENCE, "{what}: {fleet:#}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn said(made: &Value, field: &str) -> String {
    match &made[field] {
        Value::Array(lines) => lines.iter().filter_map(Value::as_str).collect::<Vec<_>>().join("\n"),
        other => other.as_str().unwrap_or_default().to_owned(),
    }
}

#[test]
fn two_workflows_share_an_instance_and_its_places() {
    let mkbc = folder("0.05", 4);
    let server = start(&mkbc);
    let url = server.url();
    let deployed = |file: &str| {
        let done = mkbc.run(&["deploy", file, "--library", "lib", "--rate", "0.3/s", "--to", &url]);
        assert_eq!(done.code, Some(0), "{}", done.err);
        done.out.trim().to_owned()
    };
    assert_eq!(deployed("loud.mkb"), format!("{url}/v1/workflows/loud/run"));
    assert_eq!(deployed("calls.mkb"), format!("{url}/v1/workflows/calls/run"));
    // Apart each needs a replica; a replica is planned to be busy for 80 % of its time, and 60 % are needed.
    let fleet = server.get("/v1/fleet").json();
    let instances = fleet["instances"].as_array().expect("instances");
    assert_eq!(instances.len(), 1, "{fleet:#}");
    assert_eq!((&instances[0]["replicas"], &instances[0]["planned_busy"]), (&json!(1), &json!(0.6)));
    assert_eq!(instances[0]["workflows"], json!(["loud", "calls"]));
    assert_eq!(fleet["devices"]["cpu"]["held"], 1);
    assert_eq!(fleet["plan"]["usd_per_hour"], 0.1);
    assert_eq!(fleet["plan"]["alone_usd_per_hour"], 0.2, "half of it is saved: {fleet:#}");
    assert_eq!(said(&fleet["replans"][0], "because"), "`calls` came");
    assert_eq!(said(&fleet["replans"][0], "broken"), "going on as before does not hold: `calls` is not in it");
    // What each takes and answers is published, and so it is.
    let shown = server.get("/v1/workflows/loud").json();
    let inputs = jsonschema::draft202012::new(&shown["inputs"]).expect("a schema");
    assert!(
        inputs.is_valid(&json!({"word": "a"})) && !inputs.is_valid(&json!({"word": 1})) && !inputs.is_valid(&json!({}))
    );
    let answer = run(&server, "loud", "a", 60);
    assert_eq!((answer.status, &answer.json()["result"]), (200, &json!("a!")), "{answer:?}");
    assert!(jsonschema::draft202012::new(&shown["result"]).expect("a schema").is_valid(&json!("a!")));
    let refused =
        server.ask("POST", "/v1/workflows/loud/run", &[("Content-Type", "application/json")], "{\"wrod\": \"a\"}");
    assert_eq!((refused.status, refused.code().as_str()), (422, "bad_input"));
    let document = server.get("/v1/openapi.json").json();
    let endpoint = &document["paths"]["/v1/workflows/calls/run"]["post"];
    assert_eq!(endpoint["summary"], "Says a word loud.");
    let schema = &endpoint["requestBody"]["content"]["application/json"]["schema"];
    assert_eq!(schema["properties"]["word"]["type"], "string", "{endpoint:#}");
    // Two workflows, four workers and one place: never two calls at once.
    let ids: Vec<u64> = (0..4)
        .flat_map(|n| ["loud", "calls"].map(|name| run(&server, name, &n.to_string(), 0)))
        .map(|accepted| {
            assert_eq!(accepted.status, 202, "{accepted:?}");
            accepted.id()
        })
        .collect();
    ids.iter().for_each(|id| drop(server.until(*id, "done")));
    let notes = mkbc.read("notes.txt");
    let words: Vec<&str> = notes.lines().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(words, ["begin", "end"].repeat(9), "{notes}");
    // The limits were kept, and that is counted.
    let slo = &server.get("/v1/workflows/calls").json()["slo"];
    assert_eq!((&slo["runs"], &slo["failed"]), (&json!(4), &json!(0)), "{slo:#}");
    let clause = &slo["clauses"][0];
    assert_eq!(
        (&clause["within"], &clause["broken"], &clause["holds"]),
        (&json!(1.0), &json!(0), &json!(true)),
        "{slo:#}"
    );
    assert!(slo["latency_s"]["p99"].as_f64().is_some_and(|p99| p99 >= 0.05), "{slo:#}");
    let metrics = server.get("/metrics").body;
    assert!(
        metrics.contains("mkbc_workflow_within_ratio{workflow=\"calls\",clause=\"latency <= 90 s\"} 1\n"),
        "{metrics}"
    );
    assert!(metrics.contains("mkbc_workflow_runs{workflow=\"loud\"} 5\n"), "{metrics}");
    // A name is one workflow; the same again is the same.
    assert_eq!(deploy(&server, "loud", "60 s", "0.3/s").status, 200);
    let other = deploy(&server, "loud", "60 s", "0.4/s");
    assert_eq!((other.status, other.code().as_str()), (409, "other_workflow"));
    let listed = mkbc.run(&["deploy", "--list", "--to", &url]).out;
    assert!(listed.contains("calls: latency <= 90 s: 100 % of runs within, 0 broke it"), "{listed}");
    let shown = mkbc.run(&["deploy", "--fleet", "--to", &url]).out;
    assert!(shown.contains("shouter on cpu * 1") && shown.contains("because `calls` came"), "{shown}");
}

#[test]
fn a_workflow_that_does_not_fit_is_refused_and_the_clash_is_named() {
    let mkbc = folder("0", 1);
    let server = start(&mkbc);
    assert_eq!(deploy(&server, "loud", "60 s", "0.5/s").status, 201);
    let done = mkbc.run(&["deploy", "calls.mkb", "--library", "lib", "--rate", "0.5/s", "--to", &server.url()]);
    assert_eq!(done.code, Some(1));
    for part in ["do not fit on `small` together", "not admitted: `calls`", "`loud` (loud.mkb)", "1 more `cpu`"] {
        assert!(done.err.contains(part), "{part}: {}", done.err);
    }
    let refused = deploy(&server, "calls", "90 s", "0.5/s");
    assert_eq!((refused.status, refused.code().as_str()), (409, "does_not_fit"));
    // A core carries 0.8 runs/s, of which 0.5 are taken: the rate that is offered is within a thousandth of the rest, and fits.
    let help = refused.json()["error"]["help"].as_str().expect("help").to_owned();
    let offered = help.lines().find_map(|line| line.trim().strip_prefix("`calls` (calls.mkb) at ")?.split(',').next());
    let offered = offered.unwrap_or_else(|| panic!("{help}")).to_owned();
    let rate: f64 = offered.strip_suffix("/min").and_then(|rate| rate.parse().ok()).expect("a rate");
    assert!((17.9..=18.0).contains(&rate), "{help}");
    assert_eq!(server.get("/v1/workflows").json()["workflows"].as_array().map(Vec::len), Some(1));
    assert_eq!(server.get("/v1/workflows/calls").status, 404);
    // What keeps no limit even alone is told in its own source.
    let broken = deploy(&server, "hasty", "0.5 s", "0.1/s");
    assert_eq!((broken.status, broken.code().as_str()), (422, "diagnostics"));
    for (rate, name, code) in [("often", "x", "bad_rate"), ("1/s", "a/b", "bad_name")] {
        let body = json!({"source": job("loud", "60 s"), "rate": rate, "name": name}).to_string();
        let wrong = server.ask("POST", "/v1/workflows", &[("Content-Type", "application/json")], &body);
        assert_eq!((wrong.status, wrong.code().as_str()), (422, code));
    }
    // There is room for less.
    assert_eq!(deploy(&server, "calls", "90 s", &offered).status, 201);
}

#[test]
fn a_load_that_grows_gets_more_replicas_and_it_is_said_why() {
    let mkbc = folder("0", 4);
    let server = start(&mkbc);
    assert_eq!(deploy(&server, "loud", "60 s", "0.1/s").status, 201);
    let first = server.get("/v1/workflows/loud").json()["plan"].clone();
    let mut accepted = Vec::new();
    let grown = until(&server, "a rate of two a second needs three replicas", |fleet| {
        accepted.push(run(&server, "loud", "x", 0).id());
        std::thread::sleep(Duration::from_millis(350));
        fleet["instances"][0]["replicas"].as_i64().is_some_and(|replicas| replicas > 1)
    });
    let made = grown["replans"].as_array().expect("plans").iter().find(|made| made["verdict"] == "scaled");
    let made = made.unwrap_or_else(|| panic!("{grown:#}"));
    assert!(said(made, "because").contains("`loud` runs "), "{made:#}");
    assert!(said(made, "because").contains("planned for 0.1: shouter on cpu * 1 would be busy"), "{made:#}");
    assert!(said(made, "changes").contains("instead of 1"), "{made:#}");
    assert!(made["foreseen"]["loud"].as_str().is_some_and(|how| how.contains("runs/s expected")), "{made:#}");
    let noted = mkbc.read(".mkbc/service/audit.log");
    assert!(noted.lines().any(|line| line.contains("\"replan\"") && line.contains("would be busy")), "{noted}");
    // Nothing was dropped, and every run kept the plan that it was accepted under.
    accepted.iter().for_each(|id| drop(server.until(*id, "done")));
    assert_eq!(server.get(&format!("/v1/runs/{}", accepted[0])).json()["plan"], first);
    // The next server goes on with it.
    let before = server.get("/v1/fleet").json();
    assert_eq!(server.terminate(), Some(143));
    let server = start(&mkbc);
    let after = server.get("/v1/fleet").json();
    assert_eq!(after["workflows"], json!(["loud"]));
    assert!(after["plan"]["number"].as_u64() >= before["plan"]["number"].as_u64(), "{after:#}");
    let answer = run(&server, "loud", "again", 60);
    assert_eq!((answer.status, &answer.json()["result"]), (200, &json!("again!")), "{answer:?}");
}

#[test]
fn a_tool_that_gets_slower_is_planned_for_what_it_takes_now() {
    let mkbc = folder("0", 8);
    mkbc.write("lib/profiles/shout.csv", PROFILE.replace(",1,s,", ",0.05,s,"));
    // Its pause is read at each call.
    mkbc.write("note.sh", "#!/bin/sh\nsleep \"$(cat \"$(dirname \"$1\")/pause.txt\")\"\necho \"$3!\"\n");
    mkbc.write("pause.txt", "0.4");
    let server = start(&mkbc);
    assert_eq!(deploy(&server, "loud", "60 s", "10/s").status, 201);
    assert_eq!(server.get("/v1/fleet").json()["instances"][0]["replicas"], 1);
    let grown = until(&server, "calls that take longer need more replicas", |fleet| {
        run(&server, "loud", "x", 0);
        std::thread::sleep(Duration::from_millis(300));
        fleet["instances"][0]["replicas"].as_i64().is_some_and(|replicas| replicas > 1)
    });
    let all = grown["replans"].as_array().expect("plans");
    let made = all.iter().find(|made| made["verdict"] == "scaled").unwrap_or_else(|| panic!("{grown:#}"));
    assert!(said(made, "because").contains("times as long as planned: shouter on cpu * 1 would be busy"), "{made:#}");
    assert!(said(made, "changes").contains("instead of 1"), "{made:#}");
    // What was measured is what the plan is made of, and says so; measured against it, calls are as planned.
    let id = run(&server, "loud", "again", 0).id();
    server.until(id, "done");
    let folders = std::fs::read_dir(mkbc.path(".mkbc/runs")).expect("runs").flatten();
    let plans = folders.map(|run| std::fs::read_to_string(run.path().join("plan.json")).unwrap_or_default());
    let measured = "20 calls of this service, ";
    assert!(plans.into_iter().any(|plan| plan.contains(measured) && plan.contains("\"measured\"")), "no plan says it");
    until(&server, "calls take as long as the new plan says", |fleet| fleet["instances"][0]["pace"] == 1.0);
    // The next server knows it.
    let before = server.get("/v1/fleet").json();
    assert_eq!(server.terminate(), Some(143));
    let after = start(&mkbc).get("/v1/fleet").json();
    assert!(after["plan"]["number"].as_u64() >= before["plan"]["number"].as_u64(), "{after:#}");
    assert!(!after["replans"].to_string().contains("is not what the library of this one says"), "{after:#}");
}

#[test]
fn a_device_that_is_lost_is_planned_around_and_what_it_cannot_carry_is_said() {
    let mkbc = folder("0", 4);
    // Long enough that no rate is measured before the loss is seen.
    let server = with_epoch(&mkbc, "240");
    assert_eq!(deploy(&server, "loud", "60 s", "3/s").status, 201);
    assert_eq!(server.get("/v1/fleet").json()["instances"][0]["replicas"], 4);
    mkbc.write("small.mkb", cluster(1));
    // At the rate that it is planned for it does not fit any more: what is left is used, and it is said what is missing.
    let fleet = until(&server, "the plan goes on with what is left", |fleet| {
        fleet["instances"][0]["replicas"] == 1 && fleet["devices"]["cpu"]["units"] == 1
    });
    let lost =
        fleet["replans"].as_array().expect("plans").iter().find(|made| said(made, "because").contains("are gone"));
    let lost = lost.unwrap_or_else(|| panic!("{fleet:#}"));
    assert!(said(lost, "because").contains("3 `cpu` are gone, 1 are left"), "{lost:#}");
    assert!(said(lost, "changes").contains("shouter on cpu * 1: 1 of 4 replicas are left"), "{lost:#}");
    for part in ["the job does not fit", "this plan is for 26 % of what is foreseen", "3 more `cpu`"] {
        assert!(said(lost, "broken").contains(part), "{part}: {lost:#}");
    }
    assert_eq!(server.get("/v1/workflows/loud").json()["planned_per_s"], 0.78, "of the 0.8 that one replica carries");
    // A file that cannot be read is said, and the machines are those that were seen last.
    mkbc.write("small.mkb", "cluster");
    let unseen = until(&server, "the file cannot be read", |fleet| !fleet["unseen"].is_null());
    assert_eq!(unseen["devices"]["cpu"]["units"], 1);
    mkbc.write("small.mkb", cluster(4));
    let back =
        until(&server, "devices came", |fleet| fleet["devices"]["cpu"]["units"] == 4 && fleet["unseen"].is_null());
    assert_eq!(back["cluster"], "small");
}

#[test]
fn a_price_that_moves_is_a_cause_to_plan_again() {
    let mkbc = folder("0", 4);
    let server = start(&mkbc);
    assert_eq!(deploy(&server, "loud", "60 s", "0.1/s").status, 201);
    assert_eq!(server.get("/v1/fleet").json()["plan"]["usd_per_hour"], 0.1);
    mkbc.write("small.mkb", cluster(4).replace("0.1 usd/h", "0.3 usd/h"));
    let moved = |made: &Value| said(made, "because").contains("`cpu` costs 0.3 usd/h instead of 0.1");
    let fleet = until(&server, "the price moved", |fleet| {
        fleet["replans"].as_array().expect("plans").iter().any(moved) && fleet["plan"]["usd_per_hour"] == 0.3
    });
    assert_eq!(fleet["devices"]["cpu"]["usd_per_hour"], 0.3);
    assert!(mkbc.read(".mkbc/service/audit.log").contains("costs 0.3 usd/h"), "{fleet:#}");
}

#[test]
fn what_is_in_flight_ends_before_a_workflow_is_gone() {
    let mkbc = folder("2", 4);
    let server = start(&mkbc);
    assert_eq!(deploy(&server, "loud", "60 s", "0.1/s").status, 201);
    let [first, second] = ["a", "b"].map(|word| run(&server, "loud", word, 0).id());
    server.until(first, "running");
    let taken = server.ask("DELETE", "/v1/workflows/loud", &[], "");
    assert_eq!((taken.status, &taken.json()["state"]), (202, &json!("draining")), "{taken:?}");
    assert_eq!(taken.json()["open"], 2);
    let refused = run(&server, "loud", "c", 0);
    assert_eq!((refused.status, refused.code().as_str()), (409, "draining"));
    let again = deploy(&server, "loud", "60 s", "0.2/s");
    assert_eq!((again.status, again.code().as_str()), (409, "draining"));
    // Also when the server is another one meanwhile.
    assert_eq!(server.terminate(), Some(143));
    let server = start(&mkbc);
    for id in [first, second] {
        server.until(id, "done");
    }
    let empty = until(&server, "it is gone", |fleet| fleet["workflows"] == json!([]));
    assert_eq!(empty["plan"], Value::Null);
    assert_eq!(
        (&empty["replans"][0]["verdict"], said(&empty["replans"][0], "because")),
        (&json!("emptied"), "`loud` went".into())
    );
    assert_eq!(server.get("/v1/workflows/loud").status, 404);
    assert!(notes(&mkbc).values().all(|(_, ended)| *ended >= 1), "every call ended");
    // One that has no runs is gone at once, and its name is free.
    assert_eq!(deploy(&server, "loud", "60 s", "0.2/s").status, 201);
    let done = mkbc.run(&["deploy", "--remove", "loud", "--to", &server.url()]);
    assert_eq!((done.code, done.err.contains("is gone")), (Some(0), true), "{}", done.err);
    assert_eq!(mkbc.run(&["deploy", "--remove", "loud", "--to", &server.url()]).code, Some(1));
}

#[test]
fn a_tenant_learns_nothing_of_what_others_have_deployed() {
    let mkbc = folder("0", 1);
    let [a, b] = ["a", "b"].map(|name| format!("Bearer {}", token(&mkbc, name, "")));
    let server = Server::start(&mkbc, &["--tokens", "tokens.toml", "--cluster", "small.mkb"]);
    let post = |who: &str, path: &str, body: Value| {
        let headers = [("Content-Type", "application/json"), ("Authorization", who)];
        server.ask("POST", path, &headers, &body.to_string())
    };
    let get = |who: &str, path: &str| server.ask("GET", path, &[("Authorization", who)], "");
    let deploy = |who: &str, name: &str, rate: &str| {
        post(who, "/v1/workflows", json!({"source": job("loud", "60 s"), "name": name, "rate": rate}))
    };
    assert_eq!(deploy(&a, "secret", "0.5/s").status, 201);
    let refused = deploy(&b, "mine", "0.5/s");
    assert_eq!((refused.status, refused.code().as_str()), (409, "does_not_fit"));
    assert!(!refused.body.contains("secret") && refused.body.contains("another tenant's workflow"), "{}", refused.body);
    assert!(refused.body.contains("1 more `cpu`"), "{}", refused.body);
    for path in ["/v1/workflows", "/v1/fleet", "/v1/openapi.json", "/metrics"] {
        assert!(!get(&b, path).body.contains("secret"), "{path}");
    }
    assert_eq!(get(&b, "/v1/workflows/secret").status, 404);
    assert_eq!(post(&b, "/v1/workflows/secret/run", json!({"word": "a"})).status, 404);
    assert_eq!(server.ask("DELETE", "/v1/workflows/secret", &[("Authorization", &b)], "").status, 404);
    // The same name is another workflow of another tenant.
    assert_eq!(deploy(&b, "secret", "0.2/s").status, 201);
    let answer = post(&b, "/v1/workflows/secret/run", json!({"word": "a"}));
    assert_eq!((answer.status, &answer.json()["result"]), (200, &json!("a!")), "{answer:?}");
    assert_eq!(get(&b, "/v1/workflows/secret").json()["slo"]["runs"], 1);
    assert_eq!(get(&a, "/v1/workflows/secret").json()["slo"]["runs"], 0);
    // What they share says nothing of when the other works, and to whom it belongs.
    let instance = get(&a, "/v1/fleet").json()["instances"][0].clone();
    for figure in ["under_way", "calls", "busy", "pace"] {
        assert_eq!(instance[figure], Value::Null, "{figure}: {instance}");
    }
    assert_eq!((&instance["workflows"], &instance["shared"]), (&json!(["a/secret"]), &json!(true)));
    assert_eq!(instance["planned_busy"], 0.5, "that of its own workflow");
    let page = server.ask("GET", "/fleet", &[("Authorization", &a)], "").body;
    assert!(page.contains("and other tenants'") && page.contains("– of 1"), "{page}");
    assert_eq!(get(&a, "/v1/fleet").json()["load"], Value::Null);
    // What is nobody's but another's is not shown.
    assert_eq!(server.ask("DELETE", "/v1/workflows/secret", &[("Authorization", &a)], "").status, 200);
    assert_eq!(get(&a, "/v1/fleet").json()["instances"], json!([]));
    assert_eq!(get(&b, "/v1/fleet").json()["instances"][0]["calls"], 1);
}

#[test]
fn what_is_wrong_with_a_source_is_said_by_the_name_of_its_file() {
    let mkbc = folder("0", 4);
    let server = start(&mkbc);
    let deployed = |file: &str| {
        let body = json!({"source": "job j(word: Text) -> Text {\n  shuot(word)\n}\n", "rate": "1/s", "file": file});
        server.ask("POST", "/v1/workflows", &[("Content-Type", "application/json")], &body.to_string())
    };
    let refused = deployed("my job.mkb");
    assert_eq!(refused.status, 422, "{refused:?}");
    assert!(refused.body.contains("my job.mkb:2") && !refused.body.contains("\"job.mkb"), "{}", refused.body);
    for wrong in ["", "../a.mkb", "a\nb"] {
        assert_eq!(deployed(wrong).code(), "bad_file_name", "{wrong:?}");
    }
}
