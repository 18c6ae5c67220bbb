//! OpenAI's Responses.

use super::{Ask, Dialect, Exchanged, Function, Level, Step, exchanges, system, turns};
use crate::run::engines::chat::said::{Called, Error, Said, Stop, Tokens};
use crate::run::engines::openai::answer::Shape;
use serde_json::{Value, json};

/// The body of a request. Nothing is to be stored at the provider.
pub fn request(ask: &Ask<'_>, dialect: Dialect) -> Value {
    let part = |part: &Value| match part["type"].as_str() {
        Some("image_url") => json!({"type": "input_image", "image_url": part["image_url"]["url"]}),
        _ => json!({"type": "input_text", "text": part["text"]}),
    };
    let content = |content: Value| match content {
        Value::Array(parts) => parts.iter().map(part).collect(),
        other => other,
    };
    let turn = |(role, c)| json!({"role": role, "content": content(c)});
    let mut input: Vec<Value> = turns(ask, dialect).into_iter().map(turn).collect();
    for (index, told) in exchanges(ask, dialect) {
        let (id, arguments) = (Exchanged::id(index), told.arguments.to_string());
        input.push(json!({"type": "function_call", "call_id": id, "name": told.name, "arguments": arguments}));
        input.push(json!({"type": "function_call_output", "call_id": id, "output": content(told.parts())}));
    }
    let mut body = json!({"model": ask.model, "input": input, "max_output_tokens": ask.max_tokens, "store": false});
    let system = system(ask, dialect.level == Level::Schema);
    if !system.is_empty() {
        body["instructions"] = json!(system);
    }
    if !matches!(ask.reasoning, "" | "default") {
        body["reasoning"] = json!({"effort": ask.reasoning});
    }
    if !matches!(ask.shape, Shape::Text) {
        match dialect.level {
            Level::Schema => {
                let schema =
                    json!({"type": "json_schema", "name": "answer", "strict": true, "schema": ask.shape.schema()});
                body["text"] = json!({"format": schema});
            }
            Level::Object => body["text"] = json!({"format": {"type": "json_object"}}),
            Level::Prompt => {}
        }
    }
    if let Some(talk) = ask.talk {
        let function = |f: &Function| json!({"type": "function", "name": f.name, "description": f.says, "parameters": f.schema, "strict": false});
        body["tools"] = talk.functions.iter().map(function).collect();
        body["tool_choice"] = match talk.forced {
            Some(name) => json!({"type": "function", "name": name}),
            None => json!("auto"),
        };
        body["parallel_tool_calls"] = json!(false);
    }
    if dialect.stream {
        body["stream"] = json!(true);
    }
    body
}

/// Takes in one event.
pub fn event(said: &mut Said, data: &Value) -> Step {
    let delta = data["delta"].as_str().unwrap_or_default();
    match data["type"].as_str().unwrap_or_default() {
        "response.output_text.delta" => {
            said.answered = true;
            said.text.push_str(delta);
            Step::Piece
        }
        "response.refusal.delta" => {
            said.answered = true;
            said.refusal.push_str(delta);
            Step::Piece
        }
        "response.function_call_arguments.delta" => {
            said.answered = true;
            Step::Piece
        }
        kind if kind.starts_with("response.reasoning") && kind.ends_with(".delta") => Step::Piece,
        "response.completed" | "response.incomplete" | "response.failed" => {
            let last = whole(&data["response"]);
            // The pieces together are the answer; the last event only repeats it.
            let text = if said.text.is_empty() { last.text } else { std::mem::take(&mut said.text) };
            let refusal = if said.refusal.is_empty() { last.refusal } else { std::mem::take(&mut said.refusal) };
            let answered = said.answered || last.answered;
            *said = Said { text, refusal, answered, ended: true, ..last };
            Step::End
        }
        "error" => {
            said.error = Error::of(if data["error"].is_object() { &data["error"] } else { data });
            Step::End
        }
        _ if !data["error"].is_null() => {
            said.error = Error::of(&data["error"]);
            Step::End
        }
        _ => Step::Idle,
    }
}

/// What a whole body says.
pub fn whole(body: &Value) -> Said {
    let mut said = Said { error: Error::of(&body["error"]), ..Said::default() };
    let messages = body["output"].as_array().into_iter().flatten().filter(|o| o["type"] == "message");
    for part in messages.filter_map(|m| m["content"].as_array()).flatten() {
        said.answered = true;
        said.text.push_str(part["text"].as_str().unwrap_or_default());
        said.refusal.push_str(part["refusal"].as_str().unwrap_or_default());
    }
    let called = body["output"].as_array().into_iter().flatten().filter(|o| o["type"] == "function_call");
    let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
    said.calls = called.map(|c| Called { name: text(&c["name"]), arguments: text(&c["arguments"]) }).collect();
    said.answered |= !said.calls.is_empty();
    said.stop = match (body["status"].as_str(), body["incomplete_details"]["reason"].as_str()) {
        (Some("completed"), _) => Stop::Done,
        (_, Some("max_output_tokens")) => Stop::Length,
        (_, Some("content_filter")) => Stop::Filter,
        _ => Stop::Unsaid,
    };
    // All tokens may have gone into thoughts.
    said.answered |= said.stop == Stop::Length || said.stop == Stop::Filter;
    let usage = &body["usage"];
    if let (Some(read), Some(written)) = (usage["input_tokens"].as_u64(), usage["output_tokens"].as_u64()) {
        let cached = usage["input_tokens_details"]["cached_tokens"].as_u64().unwrap_or(0).min(read);
        said.tokens = Some(Tokens { read, cached, written });
    }
    said
}
