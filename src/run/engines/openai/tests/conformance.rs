//! One suite for all protocols: what is asked, what comes back, what goes wrong.

use super::person;
use super::provider::{Act, KEY, Outcome, Question, account, message, say};
use crate::run::engines::openai::sign::Signer;
use crate::run::fault::FaultKind;
use crate::types::Type;
use serde_json::{Value, json};

const APIS: [&str; 4] = ["chat", "responses", "messages", "converse"];

/// An answer as a provider of this API sends it, whole; structured where it is an object.
fn whole(api: &str, answer: &Value) -> Act {
    let text = answer.as_str().map_or_else(|| answer.to_string(), str::to_owned);
    say(
        200,
        match api {
            "chat" => json!({"choices": [{"message": {"content": text}, "finish_reason": "stop"}],
                "usage": {"prompt_tokens": 9, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 4}}}),
            "responses" => json!({"status": "completed",
                "output": [{"type": "reasoning", "summary": []}, {"type": "message", "content": [{"type": "output_text", "text": text}]}],
                "usage": {"input_tokens": 9, "output_tokens": 2, "input_tokens_details": {"cached_tokens": 4}}}),
            "converse" => {
                let block = match answer {
                    Value::String(text) => json!({"text": text}),
                    object => json!({"toolUse": {"toolUseId": "t", "name": "answer", "input": object}}),
                };
                json!({"output": {"message": {"role": "assistant", "content": [block]}},
                    "stopReason": if answer.is_string() { "end_turn" } else { "tool_use" },
                    "usage": {"inputTokens": 5, "cacheReadInputTokens": 4, "outputTokens": 2, "totalTokens": 11}})
            }
            _ => {
                let block = match answer {
                    Value::String(text) => json!({"type": "text", "text": text}),
                    object => json!({"type": "tool_use", "id": "t", "name": "answer", "input": object}),
                };
                json!({"content": [block], "stop_reason": if answer.is_string() { "end_turn" } else { "tool_use" },
                    "usage": {"input_tokens": 5, "cache_read_input_tokens": 4, "output_tokens": 2}})
            }
        },
    )
}

/// The same in pieces of three characters; without its last events where it is cut.
fn pieces(api: &str, answer: &Value, cut: bool) -> Act {
    let text = answer.as_str().map_or_else(|| answer.to_string(), str::to_owned);
    let letters: Vec<char> = text.chars().collect();
    let parts = letters.chunks(3).map(|c| c.iter().collect::<String>());
    if api == "converse" {
        let structured = !answer.is_string();
        let begun = structured
            .then(|| json!({"contentBlockIndex": 0, "start": {"toolUse": {"toolUseId": "t", "name": "answer"}}}));
        let delta = |part: String| {
            let delta = if structured { json!({"toolUse": {"input": part}}) } else { json!({"text": part}) };
            ("contentBlockDelta", json!({"contentBlockIndex": 0, "delta": delta}))
        };
        let last = [
            ("contentBlockStop", json!({"contentBlockIndex": 0})),
            ("messageStop", json!({"stopReason": if structured { "tool_use" } else { "end_turn" }})),
            (
                "metadata",
                json!({"usage": {"inputTokens": 5, "cacheReadInputTokens": 4, "outputTokens": 2}, "metrics": {"latencyMs": 9}}),
            ),
        ];
        let first = std::iter::once(("messageStart", json!({"role": "assistant"})))
            .chain(begun.map(|b| ("contentBlockStart", b)));
        let events = first.chain(parts.map(delta)).chain(last.into_iter().filter(|_| !cut));
        return Act::Messages(events.map(message).collect());
    }
    let delta = |part: String| match api {
        "chat" => json!({"choices": [{"delta": {"content": part}}]}),
        "responses" => json!({"type": "response.output_text.delta", "delta": part}),
        _ if answer.is_string() => {
            json!({"type": "content_block_delta", "delta": {"type": "text_delta", "text": part}})
        }
        _ => json!({"type": "content_block_delta", "delta": {"type": "input_json_delta", "partial_json": part}}),
    };
    let (first, last) = match api {
        "chat" => (
            vec![json!({"choices": [{"delta": {"role": "assistant", "content": null}}]})],
            vec![
                json!({"choices": [{"delta": {}, "finish_reason": "stop"}]}),
                json!({"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 4}}}),
            ],
        ),
        "responses" => (
            vec![json!({"type": "response.created", "response": {}})],
            vec![json!({"type": "response.completed", "response": {"status": "completed", "output": [],
                "usage": {"input_tokens": 9, "output_tokens": 2, "input_tokens_details": {"cached_tokens": 4}}}})],
        ),
        _ => (
            vec![
                json!({"type": "message_start", "message": {"usage": {"input_tokens": 5, "cache_read_input_tokens": 4, "output_tokens": 1}}}),
                json!({"type": "content_block_start", "content_block": if answer.is_string() { json!({"type": "text", "text": ""}) } else { json!({"type": "tool_use", "name": "answer", "input": {}}) }}),
            ],
            vec![
                json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}}),
                json!({"type": "message_stop"}),
            ],
        ),
    };
    let events = first.into_iter().chain(parts.map(delta)).chain(last.into_iter().filter(|_| !cut));
    Act::Stream(events.map(|e| (1, format!("data: {e}\n\n"))).collect(), true)
}

async fn ask(api: &'static str, output: Type, acts: Vec<Act>) -> Outcome {
    Question { api, output, ..Question::default() }.ask(acts).await
}

#[tokio::test]
async fn text_whole_and_in_pieces() {
    for api in APIS {
        let answer = json!("Maria has a lamb.");
        for act in [whole(api, &answer), pieces(api, &answer, false)] {
            let outcome = ask(api, Type::Text, vec![act]).await;
            assert_eq!(outcome.report.result, Ok(answer.clone()), "{api}");
            let step = &outcome.report.steps[0];
            assert_eq!((step.tokens_in, step.tokens_cached, step.tokens_out), (9, 4, 2), "{api}");
            let streams = match api {
                "converse" => outcome.seen[0].1.ends_with("/converse-stream"),
                _ => outcome.sent(0)["stream"] == json!(true),
            };
            assert!(streams, "{api}");
            let request = outcome.sent(0).to_string();
            for part in ["Be brief.", "Answer: hello {x}", "50"] {
                assert!(request.contains(part), "{api}: {request}");
            }
        }
    }
}

#[tokio::test]
async fn each_has_its_path_and_its_place_for_the_key() {
    let bearer = format!("Bearer {KEY}");
    for (api, path, header, value) in [
        ("chat", "/v1/chat/completions", "authorization", bearer.as_str()),
        ("responses", "/v1/responses", "authorization", bearer.as_str()),
        ("messages", "/v1/messages", "x-api-key", KEY),
        ("converse", "/v1/model/m/converse-stream", "authorization", bearer.as_str()),
    ] {
        let outcome = ask(api, Type::Text, vec![whole(api, &json!("x"))]).await;
        assert_eq!((outcome.seen[0].1.as_str(), outcome.seen[0].2[header].to_str().ok()), (path, Some(value)));
        assert_eq!(outcome.seen[0].2.contains_key("anthropic-version"), api == "messages");
    }
}

#[tokio::test]
async fn without_a_bearer_token_bedrock_is_asked_with_a_signature() {
    let question = Question { api: "converse", output: Type::Text, signs: true, ..Question::default() };
    let outcome = question.ask(vec![whole("converse", &json!("x"))]).await;
    assert_eq!(outcome.report.result, Ok(json!("x")));
    let (_, path, headers, body) = &outcome.seen[0];
    let text = |name: &str| headers[name].to_str().expect("text");
    // What came is what was signed: its path, its host and every byte of its body.
    let url = reqwest::Url::parse(&format!("http://{}{path}", text("host"))).expect("an address");
    let signer = Signer::find(&account, "127.0.0.1").expect("a region").expect("an account");
    let at = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", text("x-amz-date")).expect("a moment");
    let at = at.to_zoned(jiff::tz::TimeZone::UTC).expect("a moment").timestamp();
    let expected = signer.headers(&url, body, at).pop().expect("a signature").1;
    assert_eq!(text("authorization"), expected);
    // A refusal names the variable, and what it says is told without the secret.
    let refuse = say(403, json!({"message": format!("The signature of {KEY} does not match")}));
    let outcome = question.ask(vec![refuse]).await;
    let fault = outcome.report.result.expect_err("refused").to_string();
    assert!(fault.contains("the key in AWS_ACCESS_KEY_ID does not allow this") && fault.contains("[key]"), "{fault}");
}

#[tokio::test]
async fn structure_by_its_schema_whole_and_in_pieces() {
    let maria = json!({"name": "Maria", "age": 30});
    for api in APIS {
        for act in [whole(api, &maria), pieces(api, &maria, false)] {
            let outcome = ask(api, person(), vec![act]).await;
            assert_eq!(outcome.report.result, Ok(maria.clone()), "{api}");
            let sent = outcome.sent(0);
            let schema = match api {
                "chat" => &sent["response_format"]["json_schema"]["schema"],
                "responses" => &sent["text"]["format"]["schema"],
                "converse" => &sent["toolConfig"]["tools"][0]["toolSpec"]["inputSchema"]["json"],
                _ => &sent["tools"][0]["input_schema"],
            };
            assert_eq!(*schema, person().json_schema(), "{api}");
        }
    }
}

#[tokio::test]
async fn what_an_endpoint_refuses_is_asked_more_simply_and_found_out_once() {
    let maria = json!({"name": "Maria", "age": 30});
    for (api, refused, refusals) in [
        ("chat", "response_format", 2),
        ("responses", "json_schema is not supported", 2),
        ("messages", "tools", 1),
        ("converse", "This model doesn't support tool use in streaming mode.", 1),
    ] {
        let refuse = match api {
            "converse" => say(400, json!({"message": refused})),
            _ => say(400, json!({"error": {"message": format!("{refused}: no")}})),
        };
        let text = whole(api, &json!(maria.to_string()));
        let acts = [vec![refuse; refusals], vec![text]].concat();
        let items = json!(["a", "b", "c", "d", "e", "f"]);
        let x = (Type::List(Box::new(Type::Text)), items);
        let question = Question { api, output: person(), x, each: true, ..Question::default() };
        let outcome = question.ask(acts).await;
        assert_eq!(outcome.report.result, Ok(json!(vec![maria.clone(); 6])), "{api}");
        assert_eq!(outcome.seen.len(), refusals + 6, "{api}: one call finds out for all");
        assert!(outcome.sent(refusals + 5).to_string().contains("JSON schema"), "{api}");
    }
}

#[tokio::test]
async fn pictures_go_along() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("a.png");
    std::fs::write(&file, b"\x89PNG\r\n").expect("write");
    for api in APIS {
        let x = (Type::Image, json!({"file": file}));
        let outcome = Question { api, x, ..Question::default() }.ask(vec![whole(api, &json!("a cat"))]).await;
        assert_eq!(outcome.report.result, Ok(json!("a cat")), "{api}");
        let sent = outcome.sent(0);
        let data = match api {
            "chat" => sent["messages"][1]["content"][1]["image_url"]["url"]
                .as_str()
                .map(|u| u.starts_with("data:image/png;base64,iVBO")),
            "responses" => sent["input"][0]["content"][1]["image_url"]
                .as_str()
                .map(|u| u.starts_with("data:image/png;base64,iVBO")),
            "converse" => {
                let image = &sent["messages"][0]["content"][1]["image"];
                assert_eq!(image["format"], json!("png"));
                image["source"]["bytes"].as_str().map(|d| d.starts_with("iVBO"))
            }
            _ => sent["messages"][0]["content"][1]["source"]["data"].as_str().map(|d| d.starts_with("iVBO")),
        };
        assert_eq!(data, Some(true), "{api}: {sent}");
    }
}

#[tokio::test]
async fn what_goes_wrong_goes_wrong_alike() {
    let maria = json!({"name": "Maria", "age": 30});
    for api in APIS {
        // Cut short: tried again.
        let mut question = Question { api, ..Question::default() };
        question.conditions.retries = 1;
        let outcome = question.ask(vec![pieces(api, &json!("Maria"), true), whole(api, &json!("Maria"))]).await;
        assert_eq!((outcome.report.result.clone(), outcome.seen.len()), (Ok(json!("Maria")), 2), "{api}");
        // Of another type: sent back.
        let outcome = ask(api, person(), vec![whole(api, &json!({"name": "Maria"})), whole(api, &maria)]).await;
        assert_eq!((outcome.report.result.clone(), outcome.seen.len()), (Ok(maria.clone()), 2), "{api}");
        // Put off: waited for.
        let busy = Act::Say(429, &[("retry-after", "1")], json!({"error": {"message": "slow"}}).to_string());
        let outcome = ask(api, Type::Text, vec![busy, whole(api, &json!("x"))]).await;
        assert!(outcome.seen[1].0 - outcome.seen[0].0 >= std::time::Duration::from_secs(1), "{api}");
        // Refused for good.
        let outcome = ask(api, Type::Text, vec![say(401, json!({"error": {"message": format!("no {KEY}")}}))]).await;
        assert_eq!((outcome.fault().kind, outcome.seen.len()), (FaultKind::Key, 1), "{api}");
    }
}

#[tokio::test]
async fn an_exception_in_a_stream_of_messages_is_what_it_says() {
    let begun = || message(("contentBlockDelta", json!({"contentBlockIndex": 0, "delta": {"text": "Ma"}})));
    for (exception, transient) in [("throttlingException", true), ("validationException", false)] {
        let broke = message((&format!("!{exception}"), json!({"message": "as told"})));
        let outcome = ask("converse", Type::Text, vec![Act::Messages(vec![begun(), broke])]).await;
        let fault = outcome.fault();
        assert_eq!((fault.kind, fault.transient), (FaultKind::Answer, transient), "{exception}");
        assert!(fault.message.contains(exception) && fault.message.contains("req-1"), "{}", fault.message);
    }
    // Bytes that are no message.
    let act = Act::Say(200, &[("content-type", "application/vnd.amazon.eventstream")], "no message at all".repeat(9));
    let fault = ask("converse", Type::Text, vec![act]).await;
    assert_eq!(fault.fault().kind, FaultKind::Answer, "{}", fault.fault().message);
}

#[tokio::test]
async fn models_of_bedrock_think_as_they_can() {
    for (model, reasoning, field) in [
        ("us.anthropic.claude-x", "high", json!({"thinking": {"type": "enabled", "budget_tokens": 8217}})),
        ("openai.gpt-oss-20b-1:0", "low", json!({"reasoning_effort": "low"})),
        ("openai.gpt-oss-20b-1:0", "default", Value::Null),
    ] {
        let question = Question { api: "converse", model, reasoning, output: person(), ..Question::default() };
        let outcome = question.ask(vec![whole("converse", &json!({"name": "Maria", "age": 30}))]).await;
        let sent = outcome.sent(0);
        assert_eq!(sent["additionalModelRequestFields"], field, "{model}, {reasoning}");
        let forced =
            if field["thinking"].is_null() { json!({"tool": {"name": "answer"}}) } else { json!({"auto": {}}) };
        assert_eq!(sent["toolConfig"]["toolChoice"], forced, "{model}, {reasoning}");
    }
}
