//! Traces as a collector gets them: a real HTTP server on the loopback interface takes what `run --otlp` sends. The provider is a FAKE
//! (`tests/run/provider.rs`).

#[path = "cli/mkbc.rs"]
mod mkbc;
#[path = "run/provider.rs"]
mod provider;

use axum::extract::State;
use mkbc::Mkbc;
use provider::{KEY, Provider, chat, say};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

type Bodies = Arc<Mutex<Vec<String>>>;

/// A collector; it ends with the test's process.
fn collector() -> (String, Bodies) {
    let bodies = Bodies::default();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    listener.set_nonblocking(true).expect("non-blocking");
    let take = |State(bodies): State<Bodies>, body: String| async move {
        bodies.lock().expect("bodies").push(body);
        axum::Json(json!({"partialSuccess": {}}))
    };
    let router = axum::Router::new().route("/v1/traces", axum::routing::post(take)).with_state(bodies.clone());
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async move {
            let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
            let _ = axum::serve(listener, router).await;
        });
    });
    (url, bodies)
}

const SECRET_TEXT: &str = "the text that nobody may see";

fn job() -> Mkbc {
    let mkbc = Mkbc::new();
    mkbc.write(
        "job.mkb",
        "use std.llm\n\njob short(text: Text) -> Text {\n  expect text of 100 tok\n\n  \
         summarise(text) using openai_chat(variant: \"gpt-4o-mini\") retry 1\n}\n",
    );
    mkbc
}

fn run(mkbc: &Mkbc, url: &str, collector: &str) -> mkbc::Done {
    let mut command = mkbc.command(["run", "job.mkb", "--text", SECRET_TEXT, "--otlp", collector]);
    mkbc.end(command.env("OPENAI_BASE_URL", url).env("OPENAI_API_KEY", KEY))
}

/// The attributes of a span, whatever their kind.
fn attributes(span: &Value) -> BTreeMap<String, Value> {
    let all = span["attributes"].as_array().into_iter().flatten();
    let value = |v: &Value| v.as_object().and_then(|o| o.values().next().cloned()).unwrap_or(Value::Null);
    all.map(|a| (a["key"].as_str().unwrap_or_default().to_owned(), value(&a["value"]))).collect()
}

#[test]
fn a_collector_gets_the_run_its_steps_and_their_calls_and_no_text() {
    let (url, bodies) = collector();
    let provider = Provider::start(|n, _| {
        if n == 0 { say(500, json!({"error": {"message": SECRET_TEXT}})) } else { chat("Secret answer.") }
    });
    let mkbc = job();
    let done = run(&mkbc, &provider.url, &url);
    assert_eq!(done.code, Some(0), "{}", done.err);
    let bodies = bodies.lock().expect("bodies").clone();
    assert_eq!(bodies.len(), 1, "{}", done.err);
    for hidden in [SECRET_TEXT, "Secret answer.", "canary-4d1f8e", "Summarise in at most"] {
        assert!(!bodies[0].contains(hidden), "`{hidden}` is in the trace");
    }
    let sent: Value = serde_json::from_str(&bodies[0]).expect("JSON");
    let resource = &sent["resourceSpans"][0];
    assert_eq!(attributes(&resource["resource"])["service.name"], "mkbc");
    let spans = resource["scopeSpans"][0]["spans"].as_array().expect("spans");
    let named = |name: &str| spans.iter().find(|s| s["name"] == name).unwrap_or_else(|| panic!("{name}: {sent:#}"));
    let (whole, step, call) = (named("job short"), named("step summarise"), named("chat gpt-4o-mini"));
    assert_eq!(step["parentSpanId"], whole["spanId"]);
    assert_eq!(call["parentSpanId"], step["spanId"]);
    assert!(
        spans.iter().all(|s| s["traceId"] == whole["traceId"] && s["traceId"].as_str().is_some_and(|t| t.len() == 32))
    );
    let of_step = attributes(step);
    // Where it was asked, not where the library has it.
    for span in [&of_step, &attributes(call)] {
        assert_eq!(span["server.address"], "127.0.0.1", "{span:?}");
        let port = provider.url.split(['/', ':']).find_map(|part| part.parse::<u16>().ok()).expect("a port");
        assert_eq!(span["server.port"].to_string().trim_matches('"'), port.to_string(), "{span:?}");
    }
    for (name, value) in [
        ("gen_ai.operation.name", json!("chat")),
        ("gen_ai.provider.name", json!("openai")),
        ("gen_ai.request.model", json!("gpt-4o-mini")),
        ("gen_ai.usage.input_tokens", json!("11")),
        ("gen_ai.usage.output_tokens", json!("5")),
    ] {
        let found = &of_step[name];
        assert!(*found == value || found.to_string().as_str() == value.as_str().unwrap_or_default(), "{name}: {found}");
    }
    assert!(of_step.contains_key("mkbc.cost_usd") && of_step.contains_key("mkbc.planned.latency_s"), "{of_step:?}");
    let events = step["events"].as_array().into_iter().flatten().filter(|e| e["name"] == "mkbc.retried").count();
    assert_eq!(events, 1, "{step:#}");
}

#[test]
fn a_span_names_the_model_that_was_asked_at_last() {
    let (url, bodies) = collector();
    let refusing = Provider::start(|_, _| say(401, json!({"error": {"message": "no"}})));
    let other = Provider::start(|_, _| chat("Done."));
    let mkbc = Mkbc::new();
    std::fs::create_dir_all(mkbc.path("lib/profiles")).expect("a folder");
    let mut library = "task draft(text: Text) -> Text {\n  work input = text.tokens\n  work output = 9 tok\n  size tokens = 9 tok\n  \
                       prompt \"{text}\"\n}\n"
        .to_owned();
    for (name, quality) in [("first", 99), ("second", 90)] {
        library.push_str(&format!(
            "model {name} implements draft {{\n  runs on api\n  engine openai {{\n    model \"{name}\"\n    url \"https://example.org\"\n    \
             url_env URL_{name}\n    key env KEY_{name}\n  }}\n  profile \"{name}.csv\"\n}}\n"
        ));
        mkbc.write(
            &format!("lib/profiles/{name}.csv"),
            format!(
                "device,units,figure,value,unit,low,high,evidence,source\n,,latency,0.1,s,,,estimated,made for tests\n\
                 ,,quality,{quality},%,,,estimated,made for tests\n"
            ),
        );
    }
    mkbc.write("lib/two.mkb", library);
    mkbc.write("job.mkb", "use two\n\njob short(text: Text) -> Text {\n  expect text of 9 tok\n  maximize quality\n\n  draft(text) fallback second\n}\n");
    let mut command = mkbc.command(["run", "job.mkb", "--library", "lib", "--text", "x", "--otlp", &url]);
    for (name, provider) in [("first", &refusing), ("second", &other)] {
        command.env(format!("URL_{name}"), &provider.url).env(format!("KEY_{name}"), KEY);
    }
    let done = mkbc.end(&mut command);
    assert_eq!((done.code, done.out.trim()), (Some(0), "Done."), "{}", done.err);
    let sent: Value = serde_json::from_str(&bodies.lock().expect("bodies")[0]).expect("JSON");
    let spans = sent["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().expect("spans");
    for name in ["step draft", "chat second"] {
        let span = spans.iter().find(|s| s["name"] == name).unwrap_or_else(|| panic!("{name}: {sent:#}"));
        let found = attributes(span);
        assert_eq!(
            (&found["gen_ai.request.model"], &found["mkbc.implementation"]),
            (&json!("second"), &json!("second")),
            "{name}"
        );
    }
}

#[test]
fn a_collector_that_is_away_or_odd_takes_nothing_from_a_run() {
    let provider = Provider::start(|_, _| chat("Done."));
    for collector in ["http://127.0.0.1:9", "nonsense", "ftp://somewhere"] {
        let mkbc = job();
        let done = run(&mkbc, &provider.url, collector);
        assert_eq!((done.code, done.out.trim()), (Some(0), "Done."), "{}", done.err);
        assert!(done.err.contains("the trace could not be sent"), "{}", done.err);
    }
}
