//! Expansion by the real program: typed search, a planner behind a FAKE provider (tests/run/provider.rs: a real HTTP server that
//! answers from a script), the lock file.

#[path = "cli/mkbc.rs"]
mod mkbc;
#[allow(dead_code)]
#[path = "run/provider.rs"]
mod provider;

use mkbc::{Done, Mkbc};
use provider::{Act, KEY, Provider, Seen, chat, say};
use serde_json::{Value, json};

const JOB: &str = "/// In short.\njob brief(text: Text) -> Text {\n  goal \"A short summary of the text\"\n}\n";

/// A model's answer that fills the hole of [`JOB`] with one call.
fn fill(task: &str, param: &str, name: &str) -> String {
    let args = json!([{"param": param, "value": {"ref": name}}]);
    json!({"because": "it does that", "steps": [{"name": "made", "does": {"call": {"task": task, "args": args}}}], "result": {"ref": "made"}})
        .to_string()
}

fn asked(provider: &Provider, mkbc: &Mkbc, more: &[&str]) -> Done {
    mkbc.write("job.mkb", JOB);
    let mut arguments = vec!["expand", "job.mkb", "--planner", "openai:fake", "--endpoint", provider.url.as_str()];
    arguments.extend(more);
    let done =
        mkbc.end(mkbc.command(arguments.iter().copied()).env("OPENAI_API_KEY", KEY).env("CANARY", "sk-other-canary"));
    let lock = std::fs::read_to_string(mkbc.path("job.mkb.lock")).unwrap_or_default();
    for request in provider.seen() {
        let sent = request.body.to_string();
        assert!(request.key && !sent.contains(KEY) && !sent.contains("sk-other-canary"), "a secret is in a prompt");
    }
    assert!(!format!("{}{}{lock}", done.out, done.err).contains(KEY), "the key is shown");
    done
}

#[test]
fn a_goal_becomes_the_four_stages_of_the_road_trip() {
    let mkbc = Mkbc::new();
    mkbc.write("road_trip.mkb", std::fs::read(mkbc::repository().join("examples/road_trip.mkb")).expect("the example"));
    let done = mkbc.run(&["expand", "road_trip.mkb"]);
    assert_eq!(done.code, Some(0), "{}", done.err);
    for part in [
        "scene_detection(video)",
        "speech_to_text(audio)",
        "object_detection(frames",
        "question_answer(",
        "combine_answers(",
    ] {
        assert!(done.out.contains(part), "no {part}:\n{}", done.out);
    }
    let lock = mkbc.read("road_trip.mkb.lock");
    assert_eq!(mkbc.run(&["expand", "road_trip.mkb", "--locked"]).code, Some(0));
    assert_eq!(mkbc.read("road_trip.mkb.lock"), lock);
    let verified = mkbc.run(&["lock", "verify", "road_trip.mkb"]);
    assert_eq!(verified.code, Some(0), "{}", verified.err);
}

#[test]
fn a_models_fill_is_checked_kept_and_can_be_swapped() {
    let provider = Provider::start(|n, _| match n {
        0 => chat(&fill("open_page", "url", "nothing")),
        _ => chat(&fill("summarise", "text", "text")),
    });
    let mkbc = Mkbc::new();
    let done = asked(&provider, &mkbc, &["--price", "1,2"]);
    assert_eq!(done.code, Some(0), "{}", done.err);
    assert!(
        done.err.contains("a fill is refused") && done.err.contains("22 tokens read, 10 written, 0.000042 USD"),
        "{}",
        done.err
    );
    let lock = mkbc.read("job.mkb.lock");
    assert!(
        lock.contains("model = \"fake\"") && lock.contains("prompt = \"") && lock.contains("summarise(text)"),
        "{lock}"
    );
    assert!(lock.contains("nothing is called"), "the refused answer and why:\n{lock}");
    assert_eq!(mkbc.run(&["lock", "verify", "job.mkb"]).code, Some(0));
    let none = mkbc.run(&["expand", "job.mkb", "--accept", "99"]);
    assert_eq!(none.code, Some(2));
    assert_eq!(mkbc.read("job.mkb.lock"), lock);
}

/// What a bad endpoint does: each ends in a clear message, after a bounded number of requests, with typed search's fill.
#[test]
fn bad_endpoints_end_in_typed_searchs_fill() {
    type Script = Box<dyn Fn(usize, &Seen) -> Act + Send + Sync>;
    let cases: Vec<(&str, Script, &str, usize)> = vec![
        ("401", Box::new(|_, _| say(401, "{}")), "OPENAI_API_KEY is not accepted", 1),
        ("429", Box::new(|_, _| say(429, "{}").header("retry-after", "0")), "too many requests", 3),
        ("429 for long", Box::new(|_, _| say(429, "{}").header("retry-after", "9000")), "9000 s", 1),
        ("500", Box::new(|_, _| say(500, "{}")), "the provider failed", 3),
        ("a web page", Box::new(|_, _| say(200, "<html>hello</html>")), "a web page instead of JSON", 3),
        ("cut short", Box::new(|_, _| say(200, "{\"choices\":").cut()), "broke off its answer", 3),
        ("no answer", Box::new(|_, _| say(200, "{}")), "sent no answer", 1),
        ("no fill", Box::new(|_, _| chat("I cannot do that.")), "holds no JSON object", 2),
        ("empty", Box::new(|_, _| chat("")), "the answer is empty", 2),
        ("another form", Box::new(|_, _| chat("{\"shell\":\"rm -rf /\"}")), "the answer is no fill", 2),
        ("a wrong type", Box::new(|_, _| chat(&fill("embed", "texts", "text"))), "E0", 2),
        (
            "calls nothing",
            Box::new(|_, _| chat("{\"because\":\"\",\"steps\":[],\"result\":{\"ref\":\"text\"}}")),
            "calls nothing",
            2,
        ),
        ("10 MB", Box::new(|_, _| chat(&"x".repeat(10 << 20))), "64 kB at most", 2),
    ];
    for (name, script, says, most) in cases {
        let counted = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let count = counted.clone();
        let provider = Provider::start(move |n, seen| {
            count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            script(n, seen)
        });
        let mkbc = Mkbc::new();
        let done = asked(&provider, &mkbc, &["--rounds", "5"]);
        assert_eq!(done.code, Some(0), "{name}: {}", done.err);
        assert!(done.err.contains(says), "{name}: no `{says}` in {}", done.err);
        assert!(done.out.contains("typed search") && done.out.contains("summarise(text)"), "{name}: {}", done.out);
        let requests = counted.load(std::sync::atomic::Ordering::SeqCst);
        assert!(requests <= most, "{name}: {requests} requests");
    }
}

#[test]
fn an_endpoint_that_knows_no_schemas_is_asked_in_simpler_ways() {
    let provider = Provider::start(|_, seen: &Seen| match &seen.body["response_format"] {
        Value::Null => chat(&format!("Here it is:\n```json\n{}\n```", fill("summarise", "text", "text"))),
        _ => say(400, json!({"error": {"message": "response_format is not supported"}})),
    });
    let mkbc = Mkbc::new();
    let done = asked(&provider, &mkbc, &[]);
    assert_eq!(done.code, Some(0), "{}", done.err);
    assert!(done.out.contains("openai:fake"), "{}", done.out);
}

#[test]
fn limits_on_what_is_spent_hold() {
    let provider = Provider::start(|n, _| chat(&format!("{n}")));
    let mkbc = Mkbc::new();
    let done = asked(&provider, &mkbc, &["--rounds", "9", "--tokens", "20"]);
    assert!(
        done.err.contains("the limit of 20 tokens is reached") && done.err.contains("22 tokens read"),
        "{}",
        done.err
    );
    let done = asked(&provider, &mkbc, &["--rounds", "9", "--price", "1000,1000", "--budget", "0.001usd", "--refresh"]);
    assert!(done.err.contains("the budget of 0.001 USD is spent"), "{}", done.err);
}

#[test]
fn what_would_change_is_shown_and_nothing_is_written() {
    let mkbc = Mkbc::new();
    mkbc.write("job.mkb", JOB);
    let done = mkbc.run(&["expand", "job.mkb", "--diff"]);
    assert!(done.out.contains("+fill = "), "{}", done.out);
    assert!(!mkbc.path("job.mkb.lock").exists());
}

/// Answers that try to reach what a fill must not: each file holds one, and what is done about it.
#[test]
fn injected_answers_are_refused() {
    let mut cases = 0;
    for entry in std::fs::read_dir(mkbc::repository().join("tests/expand/injections")).expect("the folder") {
        let path = entry.expect("a file").path();
        let answer = std::fs::read_to_string(&path).expect("an answer");
        let job = "job look(url: Text, notes: Text, question: Text) -> Text {\n  goal \"Answer the question\"\n}\n";
        let mkbc = Mkbc::new();
        mkbc.write("job.mkb", job);
        let provider = Provider::start(move |_, _| chat(&answer));
        let arguments =
            ["expand", "job.mkb", "--planner", "openai:fake", "--endpoint", provider.url.as_str(), "--rounds", "1"];
        let done = mkbc.end(mkbc.command(arguments).env("OPENAI_API_KEY", KEY));
        assert!(done.err.contains("a fill is refused"), "{}: {}\n{}", path.display(), done.out, done.err);
        cases += 1;
    }
    assert!(cases >= 20, "{cases} cases");
}
