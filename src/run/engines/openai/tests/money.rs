//! Budgets that hold, whatever a provider reports and however often it is asked.

use super::provider::{Act, Outcome, Question, chat, say, text};
use crate::run::fault::FaultKind;
use crate::types::Type;
use rust_decimal::{Decimal, dec};
use serde_json::{Value, json};

/// A dollar for a million bytes read and ten for a million tokens written.
const PRICES: &[(&str, Decimal)] = &[("input", dec!(0.000001)), ("output", dec!(0.00001))];

/// What the fake charges for a request: each of its bytes as a token, and as many tokens written as were allowed.
fn bill(request: &Value) -> (u64, u64) {
    let content = |m: &Value| m["content"].as_str().map_or(0, str::len) as u64 + 4;
    let read = request["messages"].as_array().into_iter().flatten().map(content).sum();
    (read, request["max_tokens"].as_u64().expect("a limit on tokens"))
}

fn cost(request: &Value) -> Decimal {
    let (read, written) = bill(request);
    Decimal::from(read) * dec!(0.000001) + Decimal::from(written) * dec!(0.00001)
}

fn answer(usage: Value) -> Act {
    say(200, json!({"choices": [{"message": {"content": "x"}, "finish_reason": "stop"}], "usage": usage}))
}

fn honest(request: &Value) -> Act {
    let (read, written) = bill(request);
    answer(json!({"prompt_tokens": read, "completion_tokens": written}))
}

fn silent(_: &Value) -> Act {
    answer(Value::Null)
}

fn nothing(_: &Value) -> Act {
    answer(json!({"prompt_tokens": 0, "completion_tokens": 0}))
}

fn unwritten(request: &Value) -> Act {
    let (read, _) = bill(request);
    answer(json!({"prompt_tokens": read, "completion_tokens": 0}))
}

fn everything(_: &Value) -> Act {
    answer(json!({"prompt_tokens": u64::MAX, "completion_tokens": u64::MAX}))
}

fn negative(_: &Value) -> Act {
    answer(json!({"prompt_tokens": -5, "completion_tokens": -5}))
}

/// It charges, and breaks off.
fn broken(_: &Value) -> Act {
    Act::Break
}

fn empty(_: &Value) -> Act {
    say(200, json!({"choices": []}))
}

fn spent(outcome: &Outcome) -> Decimal {
    (0..outcome.seen.len()).map(|i| cost(&outcome.sent(i))).sum()
}

#[tokio::test]
async fn no_provider_and_no_retry_overspends() {
    let items: Vec<String> = (0..40).map(|i| format!("item {i} {}", "long ".repeat(i))).collect();
    let all = [honest, silent, nothing, unwritten, everything, negative, broken, empty];
    for (make, name) in
        all.into_iter().zip(["honest", "silent", "nothing", "unwritten", "everything", "negative", "broken", "empty"])
    {
        for limit in [dec!(0.0015), dec!(0.004), dec!(0.03)] {
            let mut question = Question {
                x: (Type::List(Box::new(Type::Text)), json!(items)),
                each: true,
                prices: PRICES,
                limit: Some(limit),
                ..Question::default()
            };
            question.conditions.retries = 3;
            let outcome = question.ask(vec![Act::Make(make)]).await;
            let (spent, asked) = (spent(&outcome), outcome.seen.len());
            assert!(spent <= limit, "{name}: {spent} of {limit} in {asked} requests");
            assert!(asked > 0, "{name}, {limit}");
            let fault = &outcome.report.result.as_ref().err().map(|e| &e.fault);
            if name == "honest" && limit == dec!(0.03) {
                assert_eq!(*fault, None, "40 calls of some 0.0006 fit");
                let counted = outcome.report.steps[0].cost_usd.expect("a cost");
                assert!((counted - f64::try_from(spent).expect("a number")).abs() < 1e-9, "{counted}, {spent}");
            } else if limit < dec!(0.01) {
                let fault = fault.expect("it does not fit");
                assert_eq!(fault.kind, FaultKind::Budget, "{name}: {}", fault.message);
                for part in [&format!("`cost <= {limit} usd` are left"), "usd spent", "it could cost"] {
                    assert!(fault.message.contains(part), "{}", fault.message);
                }
                assert!(fault.help.as_ref().is_some_and(|h| h.starts_with("raise the limit to 0.0")));
            }
        }
    }
}

#[tokio::test]
async fn a_call_that_could_cost_too_much_is_not_made() {
    let question = Question { prices: PRICES, limit: Some(dec!(0.0001)), ..Question::default() };
    let outcome = question.ask(vec![chat("x")]).await;
    assert_eq!((outcome.fault().kind, outcome.seen.len()), (FaultKind::Budget, 0));
    assert!(outcome.fault().message.ends_with("(0 usd spent)"), "{}", outcome.fault().message);
}

#[tokio::test]
async fn what_is_left_bounds_the_answer() {
    // 1,000 tokens would cost 0.0106 with what is read; some 300 are left, and 64 would be worth it.
    let question = Question { prices: PRICES, limit: Some(dec!(0.0036)), max_tokens: 1000, ..Question::default() };
    let outcome = question.ask(vec![chat("x")]).await;
    assert_eq!(outcome.report.result, Ok(json!("x")));
    let most = outcome.sent(0)["max_tokens"].as_u64().expect("a limit on tokens");
    assert!((280..=300).contains(&most), "{most}");
}

#[tokio::test]
async fn refused_requests_cost_nothing() {
    let mut question = Question { prices: PRICES, limit: Some(dec!(0.01)), ..Question::default() };
    question.conditions.retries = 20;
    let mut acts = vec![say(503, "busy"); 19];
    acts.push(chat("x"));
    let outcome = question.ask(acts).await;
    assert_eq!(outcome.report.result, Ok(json!("x")));
    assert_eq!(outcome.report.steps[0].cost_usd, Some(0.000037));
    assert_eq!(text(vec![chat("x")], 0).await.report.steps[0].cost_usd, None, "without prices nobody knows");
}

#[tokio::test]
async fn pictures_seconds_and_requests_have_prices_too() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).expect("write");
        path
    };
    let picture = json!({"file": file("a.png", b"\x89PNG\r\n"), "time": 0.0});
    let frames = json!({"frames": [picture, picture, picture], "count": 3});
    const BY_PICTURE: &[(&str, Decimal)] = &[("frames", dec!(0.002)), ("call", dec!(0.01))];
    let question = Question { x: (Type::Frames, frames), prices: BY_PICTURE, ..Question::default() };
    let silent = say(200, json!({"choices": [{"message": {"content": "x"}, "finish_reason": "stop"}]}));
    for act in [chat("x"), silent] {
        let outcome = question.clone().ask(vec![act]).await;
        assert_eq!(outcome.report.steps[0].cost_usd, Some(0.016), "three pictures and a request");
    }
    let outcome = Question { limit: Some(dec!(0.015)), ..question }.ask(vec![chat("x")]).await;
    assert_eq!((outcome.fault().kind, outcome.seen.len()), (FaultKind::Budget, 0));
    let sound = json!({"file": file("a.wav", b"RIFF"), "duration": 90.0});
    const BY_SECOND: &[(&str, Decimal)] = &[("duration", dec!(0.0001))];
    let x = (Type::Audio, sound);
    let question =
        Question { api: "transcription", output: Type::Transcript, x, prices: BY_SECOND, ..Question::default() };
    let outcome = question.ask(vec![say(200, json!({"text": "Hi."}))]).await;
    assert_eq!(outcome.report.steps[0].cost_usd, Some(0.009));
}
