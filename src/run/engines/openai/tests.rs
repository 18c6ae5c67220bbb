//! Calls of a provider that misbehaves.

mod conformance;
mod corpus;
mod money;
mod provider;
mod streams;

use crate::ir::workflow::{Node, StepId, ValueId};
use crate::plan::model::{Conditions, Engine, Provider};
use crate::run::fault::FaultKind;
use crate::run::pool::line::Rank;
use crate::run::tests::samples::{Diary, plan, step, value};
use crate::run::{RunContext, run};
use crate::types::Type;
use futures_util::FutureExt;
use provider::{Act, KEY, Outcome, Question, ask, chat, say, text, typed};
use rust_decimal::{Decimal, dec};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

fn person() -> Type {
    Type::Record("Person".into(), vec![("name".into(), Type::Text), ("age".into(), Type::Int)])
}

#[tokio::test]
async fn a_plain_answer() {
    let outcome = text(vec![chat(" Maria. ")], 0).await;
    assert_eq!(outcome.report.result, Ok(json!("Maria.")));
    assert_eq!((outcome.report.steps[0].tokens_in, outcome.report.steps[0].tokens_out), (7, 3));
    assert_eq!(outcome.report.steps[0].cost_usd, None);
    assert_eq!(outcome.seen[0].1, "/v1/chat/completions");
    assert_eq!(outcome.seen[0].2["authorization"], format!("Bearer {KEY}"));
    let messages =
        [json!({"role": "system", "content": "Be brief."}), json!({"role": "user", "content": "Answer: hello {x}"})];
    let options = json!({"include_usage": true});
    assert_eq!(
        outcome.sent(0),
        json!({"model": "m", "messages": messages, "max_tokens": 50, "stream": true, "stream_options": options})
    );
}

#[tokio::test]
async fn structure_is_asked_for_checked_and_unwrapped() {
    let outcome = typed(vec![chat(r#"{"name": "Maria", "age": 30}"#)], person(), 0).await;
    assert_eq!(outcome.report.result, Ok(json!({"name": "Maria", "age": 30})));
    assert_eq!(outcome.sent(0)["response_format"]["json_schema"]["schema"], person().json_schema());
    let list = Type::List(Box::new(Type::Text));
    let outcome = typed(vec![chat(r#"{"answer": ["a", "b"]}"#)], list.clone(), 0).await;
    assert_eq!(outcome.report.result, Ok(json!(["a", "b"])));
    let bare = typed(vec![chat("Here: ```json\n[\"a\"]\n```")], list, 0).await;
    assert_eq!(bare.report.result, Ok(json!(["a"])));
}

#[tokio::test]
async fn an_endpoint_without_schemas_is_asked_more_simply() {
    let refuse = || say(400, json!({"error": {"message": "response_format json_schema is not supported"}}));
    let outcome = typed(vec![refuse(), refuse(), chat(r#"{"name": "Maria", "age": 30}"#)], person(), 0).await;
    assert_eq!(outcome.report.result, Ok(json!({"name": "Maria", "age": 30})));
    assert_eq!(outcome.sent(1)["response_format"], json!({"type": "json_object"}));
    assert_eq!(outcome.sent(2).get("response_format"), None);
    assert!(outcome.sent(2)["messages"][0]["content"].as_str().is_some_and(|s| s.contains("JSON schema")));
    let stubborn = typed(vec![refuse()], person(), 3).await;
    assert_eq!((stubborn.fault().kind, stubborn.seen.len()), (FaultKind::Provider, 3));
    let plain = say(400, json!({"error": {"message": "stream_options is not known"}}));
    let none = say(400, json!({"error": {"message": "this model does not stream"}}));
    let outcome = text(vec![plain, none, chat("x")], 0).await;
    assert_eq!(outcome.report.result, Ok(json!("x")));
    assert_eq!((&outcome.sent(1)["stream"], outcome.sent(1).get("stream_options")), (&json!(true), None));
    assert_eq!(outcome.sent(2).get("stream"), None);
    let newer = say(400, json!({"error": {"message": "use max_completion_tokens instead of max_tokens"}}));
    let outcome = text(vec![newer, chat("x")], 0).await;
    assert_eq!(outcome.sent(1)["max_completion_tokens"], json!(50));
}

#[tokio::test]
async fn a_wrong_answer_is_sent_back_once_an_attempt_and_never_passed_on() {
    let wrong = || chat(r#"{"name": "Maria", "age": "old"}"#);
    let outcome =
        typed(vec![wrong(), chat("I'd rather not"), chat(r#"{"name": "Maria", "age": 3}"#)], person(), 1).await;
    assert_eq!(outcome.report.result, Ok(json!({"name": "Maria", "age": 3})));
    assert_eq!((outcome.report.steps[0].attempts, outcome.report.steps[0].tokens_in), (2, 21));
    let mended = outcome.sent(1)["messages"].clone();
    assert_eq!(
        (&mended[2]["role"], &mended[2]["content"]),
        (&json!("assistant"), &json!("{\"name\": \"Maria\", \"age\": \"old\"}"))
    );
    assert!(mended[3]["content"].as_str().is_some_and(|t| t.contains("`$.age`: expected Int")), "{mended}");
    assert_eq!(outcome.kept.len(), 1, "of an attempt, the last: {:?}", outcome.kept);
    let outcome = typed(vec![wrong()], person(), 1).await;
    assert_eq!((outcome.fault().kind, outcome.seen.len()), (FaultKind::Answer, 4));
    assert!(
        outcome.fault().message.contains("`$.age`: expected Int, found the text \"old\""),
        "{}",
        outcome.fault().message
    );
    assert!(outcome.kept[1].contains("Maria"));
}

#[tokio::test]
async fn too_many_requests_wait_as_long_as_asked() {
    let busy = Act::Say(429, &[("retry-after", "1")], json!({"error": {"message": "slow down"}}).to_string());
    let outcome = text(vec![busy.clone(), chat("x")], 1).await;
    assert_eq!(outcome.report.result, Ok(json!("x")));
    assert!(outcome.seen[1].0 - outcome.seen[0].0 >= Duration::from_secs(1));
    // It said when to come again: that is no failure, and not for ever either.
    let outcome = text(vec![busy, chat("x")], 0).await;
    assert_eq!((outcome.report.result.clone(), outcome.seen.len()), (Ok(json!("x")), 2));
    let soon = Act::Say(429, &[("retry-after", "0")], "{}".to_owned());
    assert_eq!(text(vec![soon], 1).await.seen.len(), 10, "8 times put off, and 1 retry");
    // Nothing was said of when.
    let outcome = text(vec![say(429, json!({"error": {"message": "slow down"}}))], 0).await;
    assert_eq!(outcome.seen.len(), 1);
    assert!(outcome.fault().transient);
    let broke = say(429, json!({"error": {"message": "no credit", "code": "insufficient_quota"}}));
    assert_eq!(text(vec![broke], 5).await.seen.len(), 1);
}

#[tokio::test]
async fn servers_that_fail_are_tried_again_within_the_plans_limit() {
    for status in [500, 502, 503, 529] {
        let outcome = text(vec![say(status, "oops"), chat("x")], 1).await;
        assert_eq!(outcome.report.result, Ok(json!("x")), "{status}");
    }
    let outcome = text(vec![say(503, "oops")], 4).await;
    assert_eq!(outcome.seen.len(), 5);
    let message = &outcome.fault().message;
    assert!(
        message.starts_with("127.0.0.1:")
            && message.contains("(status 503, request req-1): the provider failed (attempt 5)"),
        "{message}"
    );
}

#[tokio::test]
async fn refusals_are_final_and_say_what_to_do() {
    let echo = json!({"error": {"message": format!("Incorrect API key provided: {KEY}")}});
    for (status, kind) in [
        (401, FaultKind::Key),
        (403, FaultKind::Key),
        (404, FaultKind::Provider),
        (400, FaultKind::Provider),
        (302, FaultKind::Provider),
    ] {
        let outcome = text(vec![say(status, &echo)], 3).await;
        assert_eq!((outcome.fault().kind, outcome.seen.len()), (kind, 1), "{status}");
        assert_eq!(outcome.fault().detail.as_deref(), Some("Incorrect API key provided: [key]"));
    }
    assert!(text(vec![say(401, &echo)], 0).await.fault().message.ends_with("the key in TEST_KEY is not accepted"));
}

#[tokio::test]
async fn a_key_that_is_sent_back_is_shown_in_no_form() {
    // The harness looks for the key in everything that a run shows or leaves.
    let escaped = format!(r#"{{"error": {{"message": "bad key {}"}}}}"#, KEY.replace('/', "\\/"));
    assert_eq!(text(vec![say(400, escaped)], 0).await.fault().detail.as_deref(), Some("bad key [key]"));
    text(vec![say(200, format!("<html>{KEY}"))], 0).await;
    text(vec![say(500, format!("{KEY} {KEY}"))], 1).await;
}

#[tokio::test]
async fn unusable_bodies_are_typed_errors() {
    let cases: Vec<(Act, &str)> = vec![
        (say(200, "<html>login</html>"), "a web page instead of JSON"),
        (say(200, r#"{"choices": [{"message": {"content": "Mar"#), "no valid JSON"),
        (say(200, ""), "no valid JSON"),
        (say(200, "[".repeat(200_000)), "no valid JSON"),
        (say(200, "null"), "no choices"),
        (say(200, json!({"choices": []})), "no choices"),
        (say(200, json!({"error": {"message": "overloaded"}})), "no choices"),
        (say(200, json!({"choices": [{}]})), "an empty answer"),
        (say(200, json!({"choices": [{"message": {"content": null}}]})), "an empty answer"),
        (
            say(200, json!({"choices": [{"message": {"content": "Ma"}, "finish_reason": "length"}]})),
            "longer than the limit",
        ),
        (say(200, json!({"choices": [{"message": {"content": null, "refusal": "no"}}]})), "refused to answer"),
        (
            say(200, json!({"choices": [{"message": {"content": ""}, "finish_reason": "content_filter"}]})),
            "content filter",
        ),
        (Act::Flood, "more than 16 MB"),
    ];
    for (act, expected) in cases {
        let outcome = text(vec![act], 0).await;
        assert_eq!(outcome.fault().kind, FaultKind::Answer, "{expected}");
        assert!(outcome.fault().message.contains(expected), "{} does not say {expected}", outcome.fault().message);
    }
    let broken = text(vec![Act::Break], 0).await;
    assert_eq!((broken.fault().kind, broken.fault().transient), (FaultKind::Provider, true));
}

#[tokio::test]
async fn a_provider_that_drips_is_given_up() {
    let begun = Instant::now();
    let conditions = Conditions { retries: 0, timeout_ms: Some(300), cache: None };
    let outcome = ask(vec![Act::Drip], "chat", Type::Text, (Type::Text, json!("x")), conditions).await;
    assert_eq!(outcome.fault().kind, FaultKind::Timeout);
    assert!(begun.elapsed() < Duration::from_secs(2));
}

#[tokio::test]
async fn speech_becomes_a_transcript() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("a.wav");
    std::fs::write(&file, b"RIFF").expect("write");
    let sound = || (Type::Audio, json!({"file": file, "duration": 4.0}));
    let verbose = say(
        200,
        json!({"text": " Hi. Bye.", "duration": 4.0, "segments": [{"start": 0.0, "end": 1.0, "text": " Hi.", "id": 0}, {"start": 1.0, "end": 4.0, "text": " Bye."}]}),
    );
    let outcome = ask(vec![verbose], "transcription", Type::Transcript, sound(), Conditions::default()).await;
    assert_eq!(
        outcome.report.result.expect("a transcript")["segments"][1],
        json!({"start": 1.0, "end": 4.0, "text": "Bye."})
    );
    assert!(String::from_utf8_lossy(&outcome.seen[0].3).contains("verbose_json"));
    let refuse = say(400, json!({"error": {"message": "response_format verbose_json is not supported"}}));
    let outcome = ask(
        vec![refuse, say(200, json!({"text": "Hi."}))],
        "transcription",
        Type::Transcript,
        sound(),
        Conditions::default(),
    )
    .await;
    assert_eq!(
        outcome.report.result.expect("a transcript")["segments"],
        json!([{"start": 0.0, "end": 4.0, "text": "Hi."}])
    );
    let silent = ask(
        vec![say(200, "{}")],
        "transcription",
        Type::Transcript,
        (Type::Audio, json!({"file": null, "of": "/v.mp4"})),
        Conditions::default(),
    )
    .await;
    assert!(silent.fault().message.starts_with("`/v.mp4` has no sound"));
}

#[test]
fn a_provider_that_asks_to_wait_holds_up_nobody_else() {
    let of = |url: &str| Provider {
        api: "chat".into(),
        model: "m".into(),
        url_env: String::new(),
        url: url.into(),
        key_env: String::new(),
        system: String::new(),
        prompt: String::new(),
        max_tokens: 5,
        functions: String::new(),
        reasoning: String::new(),
        long: None,
        prices: Default::default(),
        work: Default::default(),
        serve: None,
        calls_per_s: None,
        tokens_per_s: None,
        together: 0,
    };
    let (busy, other) = (of("http://localhost:1/v1"), of("http://localhost:2/v1"));
    let plan = plan(Type::Text, Vec::new(), (value(0), Type::Text), Vec::new());
    let shared = super::Shared::new(&plan, None, None);
    shared.hold_off(&busy, Duration::from_secs(60));
    let rank = Rank::default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let _inside = runtime.enter();
    assert_eq!(shared.turn(&busy, 1, &rank).now_or_never(), None);
    assert_eq!(shared.turn(&other, 1, &rank).now_or_never(), Some(()));
}

#[tokio::test]
async fn nobody_there() {
    let env = |name: &str| (name == "TEST_URL").then(|| "http://127.0.0.1:9/v1".to_owned());
    let engine = Engine::Openai(Provider {
        api: "chat".into(),
        model: "m".into(),
        url_env: "TEST_URL".into(),
        url: String::new(),
        key_env: "TEST_KEY".into(),
        system: String::new(),
        prompt: "{x}".into(),
        max_tokens: 5,
        functions: String::new(),
        reasoning: String::new(),
        long: None,
        prices: Default::default(),
        work: Default::default(),
        serve: None,
        calls_per_s: None,
        tokens_per_s: None,
        together: 0,
    });
    let mut s = step(0, engine, &[("x", Type::Text)], Type::Text);
    s.hardware.device = "api".into();
    let call = Node::Call { step: StepId(0), args: vec![("x".into(), value(0))], output: ValueId(1) };
    let plan = plan(Type::Text, vec![call], (value(1), Type::Text), vec![s]);
    let folder = tempfile::tempdir().expect("a folder");
    let diary = Diary::default();
    let report =
        run(&plan, BTreeMap::from([("x".to_owned(), json!("a"))]), &RunContext::new(folder.path(), &diary, &env)).await;
    let error = report.result.expect_err("nobody is there").to_string();
    assert!(error.contains("127.0.0.1:9 cannot be reached") && error.contains("is the server running?"), "{error}");
}

#[tokio::test]
async fn embeddings_come_in_the_order_of_the_texts() {
    let data = json!([{"index": 1, "embedding": [0, 1]}, {"index": 0, "embedding": [1, 0]}]);
    let good = say(200, json!({"data": data, "usage": {"prompt_tokens": 4}}));
    let texts = (Type::List(Box::new(Type::Text)), json!(["a", ""]));
    let wanted = Type::List(Box::new(Type::Embedding));
    let outcome = ask(vec![good], "embeddings", wanted.clone(), texts.clone(), Conditions::default()).await;
    assert!(outcome.seen[0].1.ends_with("/embeddings"));
    assert_eq!(outcome.sent(0)["input"], json!(["a", " "]));
    assert_eq!(outcome.report.result.expect("vectors"), json!([[1, 0], [0, 1]]));
    let few = say(200, json!({"data": [{"index": 0, "embedding": [1]}]}));
    let outcome = ask(vec![few], "embeddings", wanted, texts, Conditions::default()).await;
    assert!(outcome.fault().message.ends_with("sent no embedding of text 2 of 2"), "{}", outcome.fault().message);
}

/// Vectors of two calls with a text each; the provider reports so many tokens.
async fn two_calls(acts: Vec<Act>, prices: &'static [(&'static str, Decimal)], limit: Decimal) -> Outcome {
    let texts = Type::List(Box::new(Type::Text));
    let output = Type::List(Box::new(Type::Embedding));
    let x = (Type::List(Box::new(texts)), json!([["a"], ["bcdefg"]]));
    let limit = Some(limit);
    Question { api: "embeddings", output, x, each: true, prices, limit, ..Question::default() }.ask(acts).await
}

fn vectors(count: usize, tokens: u64) -> Act {
    let data: Vec<Value> = (0..count).map(|i| json!({"index": i, "embedding": [i]})).collect();
    say(200, json!({"data": data, "usage": {"prompt_tokens": tokens}}))
}

#[tokio::test]
async fn calls_that_share_a_request_share_what_it_costs() {
    const PRICES: &[(&str, Decimal)] = &[("input", dec!(0.1)), ("call", dec!(1))];
    let outcome = two_calls(vec![vectors(2, 8)], PRICES, dec!(10)).await;
    assert_eq!(outcome.seen.len(), 1);
    assert_eq!(outcome.sent(0)["input"], json!(["a", "bcdefg"]));
    let step = &outcome.report.steps[0];
    assert_eq!((step.tokens_in, step.attempts, step.together), (8, 2, 2));
    // One request, and eight tokens; not a request for each.
    assert!(step.cost_usd.is_some_and(|usd| (usd - 1.8).abs() < 1e-9), "{step:?}");
    assert_eq!(outcome.report.result.expect("vectors"), json!([[[0]], [[1]]]));
}

#[tokio::test]
async fn what_cannot_be_paid_together_is_paid_one_after_the_other() {
    // Together they could cost 1.1 usd; the one 0.3, of which it uses 0.1, and the other 0.8.
    const PRICES: &[(&str, Decimal)] = &[("input", dec!(0.1))];
    let outcome = two_calls(vec![vectors(1, 1)], PRICES, dec!(1)).await;
    assert_eq!(outcome.seen.len(), 2, "each by itself: {:?}", outcome.report.result);
    let step = &outcome.report.steps[0];
    assert_eq!((step.started, step.calls, step.together), (2, 2, 0));
    let budget = two_calls(vec![vectors(1, 1)], PRICES, dec!(0.5)).await;
    assert_eq!(budget.fault().kind, FaultKind::Budget);
    assert!(budget.seen.len() <= 1, "the one that fits may have been made");
}
