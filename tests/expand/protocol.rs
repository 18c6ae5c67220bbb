//! How a planner is talked to: what its endpoint does not know, what it leaves unsaid, what it may spend, and what it takes away.

use super::mkbc::{BINARY, Mkbc, have};
use super::provider::{KEY, Provider, Seen, chat, say};
use super::{JOB, asked, fill};
use serde_json::{Value, json};

#[test]
fn limits_on_what_is_spent_hold_before_anything_is_sent() {
    for limit in [["--tokens", "500"].as_slice(), &["--price", "1000,1000", "--budget", "0.0001usd"]] {
        let provider = Provider::start(|_, _| chat(&fill("summarise", "text", "text")));
        let mkbc = Mkbc::new();
        let done = asked(&provider, &mkbc, &[&["--rounds", "9"], limit].concat());
        assert_eq!(done.code, Some(0), "{}", done.err);
        assert!(done.err.contains("do not fit what is left of"), "{}", done.err);
        assert!(done.err.contains("0 tokens read") && provider.seen().is_empty(), "{}", done.err);
    }
    // What fits is bounded to what is left.
    let provider = Provider::start(|_, seen: &Seen| match seen.body["max_tokens"].as_u64() {
        Some(1000) => chat(&fill("summarise", "text", "text")),
        other => say(400, json!({"error": {"message": format!("{other:?} tokens were asked for")}})),
    });
    let done = asked(&provider, &Mkbc::new(), &["--price", "0,1000", "--budget", "1usd"]);
    assert!(done.out.contains("openai:fake"), "{}{}", done.out, done.err);
}

#[test]
fn an_endpoint_that_takes_no_seed_is_asked_without() {
    // Nothing else is given up.
    let provider = Provider::start(|_, seen: &Seen| match &seen.body["seed"] {
        Value::Null if seen.body["response_format"]["json_schema"].is_object() => {
            chat(&fill("summarise", "text", "text"))
        }
        _ => say(400, json!({"error": {"message": "Unsupported parameter: 'seed'"}})),
    });
    let mkbc = Mkbc::new();
    let done = asked(&provider, &mkbc, &[]);
    assert_eq!(done.code, Some(0), "{}", done.err);
    assert!(done.out.contains("openai:fake"), "{}", done.out);
}

#[test]
fn thoughts_with_braces_around_an_answer_are_left_out() {
    let answer = format!(
        "<think>I could use {{summarise}} here.</think> {} Use {{braces}} freely.",
        fill("summarise", "text", "text")
    );
    let provider = Provider::start(move |_, _| chat(&answer));
    let done = asked(&provider, &Mkbc::new(), &[]);
    assert!(done.out.contains("openai:fake"), "{}{}", done.out, done.err);
}

#[test]
fn an_endpoint_that_counts_nothing_is_counted_for() {
    let answer = json!({"choices": [{"message": {"content": "no"}, "finish_reason": "stop"}], "usage": {"prompt_tokens": 0, "completion_tokens": 0}});
    let provider = Provider::start(move |_, _| say(200, answer.clone()));
    let done = asked(&provider, &Mkbc::new(), &["--rounds", "1"]);
    assert!(!done.err.contains(" 0 tokens read") && done.err.contains("tokens read"), "{}", done.err);
}

#[test]
fn a_providers_words_stay_on_their_line_and_help_is_about_this_command() {
    let said = json!({"error": {"message": "busy\n mkbc: all fine\u{202e}"}});
    let provider = Provider::start(move |_, _| say(500, said.clone()));
    let done = asked(&provider, &Mkbc::new(), &[]);
    assert!(!done.err.contains("\n mkbc: all fine") && !done.err.contains('\u{202e}'), "{}", done.err);
    assert!(!done.err.contains("retry`"), "{}", done.err);
}

#[test]
fn nonsense_takes_no_models_fill_away() {
    let good = Provider::start(|_, _| chat(&fill("summarise", "text", "text")));
    let mkbc = Mkbc::new();
    assert_eq!(asked(&good, &mkbc, &[]).code, Some(0));
    let lock = mkbc.read("job.mkb.lock").replace("openai:fake and typed search", "openai:fake");
    mkbc.write("job.mkb.lock", &lock);
    for nonsense in ["", "I cannot.", "{\"shell\":\"rm\"}", &"x".repeat(10 << 20)] {
        let nonsense = nonsense.to_owned();
        let provider = Provider::start(move |_, _| chat(&nonsense));
        let arguments =
            ["expand", "job.mkb", "--refresh", "--planner", "openai:fake", "--endpoint", provider.url.as_str()];
        let done = mkbc.end(mkbc.command(arguments).env("OPENAI_API_KEY", KEY));
        assert_eq!(done.code, Some(0), "{}", done.err);
        assert_eq!(mkbc.read("job.mkb.lock"), lock, "{}", done.err);
    }
}

/// Several answers of a model: what each costs decides which comes first, not which came first.
#[test]
fn samples_are_ranked_by_what_the_job_wishes() {
    let call = |name: &str, of: &str| json!({"name": name, "does": {"call": {"task": "summarise", "args": [{"param": "text", "value": {"ref": of}}]}}});
    let twice =
        json!({"because": "twice", "steps": [call("once", "text"), call("again", "once")], "result": {"ref": "again"}});
    let provider = Provider::start(move |n, _| match n {
        0 => chat(&twice.to_string()),
        _ => chat(&fill("summarise", "text", "text")),
    });
    let mkbc = Mkbc::new();
    let job = "job brief(text: Text) -> Text {\n  goal \"A short summary of the text\"\n  expect text of 100 tok\n  \
        minimize cost\n  on cpu_only\n}\n";
    mkbc.write("job.mkb", job);
    let arguments =
        ["expand", "job.mkb", "--samples", "2", "--planner", "openai:fake", "--endpoint", provider.url.as_str()];
    let done = mkbc.end(mkbc.command(arguments).env("OPENAI_API_KEY", KEY));
    assert_eq!(done.code, Some(0), "{}", done.err);
    assert_eq!(provider.seen().len(), 2);
    let lock = mkbc.read("job.mkb.lock");
    let (first, others) = lock.split_once("[[hole.rejected]]").expect("others");
    assert!(first.contains("fill = \"summarise(text)") || first.contains("\nsummarise(text)"), "{lock}");
    assert!(first.contains("[hole.predicted]") && others.contains("let once = summarise(text)"), "{lock}");
}

#[test]
fn how_far_an_answer_has_come_is_shown_on_a_terminal() {
    if !have(&["script"]) {
        return;
    }
    let provider = Provider::start(|_, _| {
        let whole = fill("summarise", "text", "text");
        let event =
            |part: &str| format!("data: {}\n\n", json!({"choices": [{"index": 0, "delta": {"content": part}}]}));
        let parts = whole.as_bytes().chunks(20).map(|part| event(&String::from_utf8_lossy(part))).collect::<String>();
        let end = json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]});
        say(200, format!("{parts}data: {end}\n\ndata: [DONE]\n\n")).header("content-type", "text/event-stream")
    });
    let mkbc = Mkbc::new();
    mkbc.write("job.mkb", JOB);
    let words = format!("'{BINARY}' expand job.mkb --planner openai:fake --endpoint {}", provider.url);
    let mut script = std::process::Command::new("script");
    script.args(["--quiet", "--return", "--command", &words, "/dev/null"]).current_dir(mkbc.path(""));
    script.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("OPENAI_API_KEY", KEY);
    let output = script.stdin(std::process::Stdio::null()).output().expect("a terminal");
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && shown.contains("bytes of an answer") && shown.contains("openai:fake"),
        "{shown}"
    );
}

/// What puts a tuple together is a task without a name.
#[test]
fn a_model_puts_a_tuple_together() {
    let part = |param: &str, name: &str| json!({"param": param, "value": {"ref": name}});
    let step =
        |name: &str, task: &str, args: Value| json!({"name": name, "does": {"call": {"task": task, "args": args}}});
    let steps = json!([
        step("brief", "summarise", json!([part("text", "text")])),
        step("both", "", json!([part("short", "brief"), part("whole", "text")])),
    ]);
    let answer = json!({"because": "b", "steps": steps, "result": {"ref": "both"}}).to_string();
    let provider = Provider::start(move |_, _| chat(&answer));
    let mkbc = Mkbc::new();
    let job = "job both(text: Text) -> (short: Text, whole: Text) {\n  goal \"A short summary of the text and the text\"\n}\n";
    mkbc.write("job.mkb", job);
    let arguments = ["expand", "job.mkb", "--planner", "openai:fake", "--endpoint", provider.url.as_str()];
    let done = mkbc.end(mkbc.command(arguments).env("OPENAI_API_KEY", KEY));
    assert_eq!(done.code, Some(0), "{}", done.err);
    assert!(done.out.contains("by openai:fake") && done.out.contains("whole: text)"), "{}{}", done.out, done.err);
}

#[test]
fn an_agent_in_a_map_is_one_for_each_item_and_has_a_budget() {
    let agent = json!({"agent": {"goal": "Shorten it", "tools": ["summarise"], "steps": 3, "usd": 0.05}});
    let inner = json!([{"name": "short", "does": agent}]);
    let all = json!({"map": {"over": {"ref": "texts"}, "item": "one", "steps": inner, "result": {"ref": "short"}}});
    let steps = json!([{"name": "shorts", "does": all}]);
    let answer = json!({"because": "b", "steps": steps, "result": {"ref": "shorts"}}).to_string();
    let provider = Provider::start(move |_, _| chat(&answer));
    let mkbc = Mkbc::new();
    mkbc.write("job.mkb", "job all(texts: List[Text]) -> List[Text] {\n  goal \"Each of the texts, shortened\"\n}\n");
    let arguments = ["expand", "job.mkb", "--planner", "openai:fake", "--endpoint", provider.url.as_str()];
    let done = mkbc.end(mkbc.command(arguments).env("OPENAI_API_KEY", KEY));
    assert_eq!(done.code, Some(0), "{}", done.err);
    let lock = mkbc.read("job.mkb.lock");
    for part in ["for text in texts", "given: [text]", "cost: 0.05 usd"] {
        assert!(lock.contains(part), "no `{part}` in {lock}\n{}", done.err);
    }
}
