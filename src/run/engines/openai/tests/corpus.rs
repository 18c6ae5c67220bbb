//! Bodies that are no good, or odd and good nevertheless, as files: `tests/run/bad/NAME.txt`. The first line says how it is sent, what is
//! asked for, and what must come of it; the rest is the body.

use super::provider::{Act, Question};
use super::{person, say};
use crate::types::Type;
use serde_json::Value;

struct Case {
    name: String,
    api: &'static str,
    act: Act,
    output: Type,
    wanted: Result<Value, (String, bool, String)>,
}

fn cases() -> Vec<Case> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/run/bad");
    let mut files: Vec<_> = std::fs::read_dir(folder).expect("the corpus").map(|e| e.expect("a file").path()).collect();
    files.sort();
    files.iter().map(|file| case(&file.display().to_string(), &std::fs::read(file).expect("a file"))).collect()
}

fn case(name: &str, bytes: &[u8]) -> Case {
    let text = String::from_utf8_lossy(bytes);
    let (head, body) = text.split_once('\n').expect("a first line");
    let (how, wanted) = head.split_once(" -> ").unwrap_or_else(|| panic!("{name}: `… -> …`"));
    let [api, status, form, output] = how.split(' ').collect::<Vec<_>>()[..] else { panic!("{name}: {how}") };
    let act = match (form, status) {
        ("events", "200") => Act::Stream(vec![(0, body.to_owned())], true),
        ("stalled", "200") => Act::Stream(vec![(0, body.to_owned())], false),
        ("json", status) => say(status.parse().expect("a status"), body),
        _ => panic!("{name}: {how}"),
    };
    let (what, rest) = wanted.split_once(": ").unwrap_or_else(|| panic!("{name}: {wanted}"));
    let wanted = match what.split_once(' ') {
        None => Ok(serde_json::from_str(rest).expect("a value")),
        Some((kind, again)) => Err((kind.to_owned(), again == "again", rest.to_owned())),
    };
    let api = ["chat", "responses", "messages", "converse"].into_iter().find(|a| *a == api).expect("an API");
    let output = if output == "person" { person() } else { Type::Text };
    Case { name: name.to_owned(), api, act, output, wanted }
}

#[tokio::test]
async fn every_body_is_a_typed_value_or_a_typed_error() {
    let cases = cases();
    let bad = cases.iter().filter(|c| c.wanted.is_err()).count();
    assert!(bad >= 50, "{bad} bad bodies");
    for Case { name, api, act, output, wanted } in cases {
        let mut question = Question { api, output, ..Question::default() };
        question.deadlines.between = std::time::Duration::from_millis(100);
        question.deadlines.first = std::time::Duration::from_millis(200);
        let outcome = question.ask(vec![act]).await;
        match (&outcome.report.result, &wanted) {
            (Ok(value), Ok(wanted)) => assert_eq!(value, wanted, "{name}"),
            (Err(error), Err((kind, again, part))) => {
                let fault = &error.fault;
                let found = (format!("{:?}", fault.kind).to_lowercase(), fault.transient);
                assert_eq!((&found.0, found.1), (kind, *again), "{name}: {}", fault.message);
                assert!(fault.message.contains(part.as_str()), "{name}: {} does not say {part}", fault.message);
                assert!(fault.message.contains("127.0.0.1:"), "{name}: {} names no provider", fault.message);
                if !fault.message.contains("no result within") {
                    assert!(fault.message.contains("req-1"), "{name}: {} names no request", fault.message);
                }
                assert!(outcome.kept.iter().all(|k| k.len() <= 64 << 10), "{name}");
            }
            (found, _) => panic!("{name}: {found:?}"),
        }
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(400))]
    /// Whatever stands in events, in whichever protocol: no panic, and nothing that is not of the type.
    #[test]
    fn no_event_breaks_a_reader(wire in 0_usize..4, events in proptest::collection::vec((0_usize..15, "[a-c{}\":0-9 ]{0,12}"), 0..8)) {
        use crate::run::engines::chat::{said::Said, wire::Wire};
        use crate::run::engines::openai::answer::Shape;
        use serde_json::json;
        let wire = [Wire::Completions, Wire::Responses, Wire::Messages, Wire::Converse][wire];
        let mut said = Said::default();
        for (kind, text) in events {
            let event = match kind {
                0 => json!({"choices": [{"delta": {"content": text}}]}),
                1 => json!({"choices": [{"delta": {"content": null, "reasoning": text}, "finish_reason": text}]}),
                2 => json!({"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": text}}),
                3 => json!({"error": text}),
                4 => json!({"type": "response.output_text.delta", "delta": text}),
                5 => json!({"type": "response.completed", "response": {"output": [{"type": text}]}}),
                6 => json!({"type": "content_block_delta", "delta": {"text": text}}),
                7 => json!({"type": "content_block_delta", "delta": {"partial_json": text}}),
                8 => json!({"type": "message_delta", "delta": {"stop_reason": text}}),
                9 => json!({"type": "message_stop"}),
                10 => json!([text]),
                11 => json!({"contentBlockStart": {"start": {"toolUse": {"name": text}}}}),
                12 => json!({"contentBlockDelta": {"delta": {"toolUse": {"input": text}, "text": null}}}),
                13 => json!({"messageStop": {"stopReason": text}, "metadata": {"usage": {"inputTokens": text}}}),
                _ => json!({"choices": {"0": text}, "type": [text]}),
            };
            let _ = wire.event(&mut said, &event.to_string(), "x");
            let _ = wire.event(&mut said, &text, "x");
            let _ = wire.whole(&event);
        }
        let ty = person();
        if let Ok(Ok(value)) = said.value("x", &ty, &Shape::of(&ty)) {
            proptest::prop_assert!(crate::run::value::check(&value, &ty).is_ok());
        }
    }
}
