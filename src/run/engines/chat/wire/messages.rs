//! Anthropic's Messages. Structure is asked for by a tool whose input is the answer.

use super::{Ask, Dialect, Exchanged, Function, Level, Step, exchanges, system, turns};
use crate::run::engines::chat::said::{Called, Error, Said, Stop, Tokens};
use crate::run::engines::openai::answer::Shape;
use serde_json::{Value, json};

/// The version of the protocol that is spoken.
pub const VERSION: &str = "2023-06-01";

/// The body of a request.
pub fn request(ask: &Ask<'_>, dialect: Dialect) -> Value {
    let turn = |(role, content)| json!({"role": role, "content": blocks(content)});
    let mut messages: Vec<Value> = turns(ask, dialect).into_iter().map(turn).collect();
    for (index, told) in exchanges(ask, dialect) {
        let id = Exchanged::id(index);
        let call = json!({"type": "tool_use", "id": id, "name": told.name, "input": told.arguments});
        messages.push(json!({"role": "assistant", "content": [call]}));
        let result = json!({"type": "tool_result", "tool_use_id": id, "content": blocks(told.parts())});
        messages.push(json!({"role": "user", "content": [result]}));
    }
    let mut body = json!({"model": ask.model, "max_tokens": ask.max_tokens, "messages": messages});
    let by_tool = !matches!(ask.shape, Shape::Text) && dialect.level == Level::Schema;
    let system = system(ask, by_tool);
    if !system.is_empty() {
        body["system"] = json!(system);
    }
    let thoughts = thoughts(ask.reasoning, ask.max_tokens);
    if by_tool {
        let about = "Call this once, with the answer.";
        body["tools"] = json!([{"name": "answer", "description": about, "input_schema": ask.shape.schema()}]);
        // A model that thinks cannot be forced to call a tool.
        body["tool_choice"] = match thoughts {
            None => json!({"type": "tool", "name": "answer"}),
            Some(_) => json!({"type": "auto"}),
        };
    }
    if let Some(talk) = ask.talk {
        let function = |f: &Function| json!({"name": f.name, "description": f.says, "input_schema": f.schema});
        body["tools"] = talk.functions.iter().map(function).collect();
        body["tool_choice"] = match talk.forced.filter(|_| thoughts.is_none()) {
            Some(name) => json!({"type": "tool", "name": name}),
            None => json!({"type": "auto", "disable_parallel_tool_use": true}),
        };
    }
    if let Some(tokens) = thoughts {
        body["thinking"] = json!({"type": "enabled", "budget_tokens": tokens});
    }
    if dialect.stream {
        body["stream"] = json!(true);
    }
    body
}

/// How many tokens a model may think with: a share of all, by how long it is to think; at least 1,024, which is the least there is.
pub fn thoughts(reasoning: &str, max_tokens: u32) -> Option<u32> {
    let share = match reasoning {
        "low" => 8,
        "medium" | "default" => 4,
        "high" | "xhigh" => 2,
        _ => return None,
    };
    Some(max_tokens / share).filter(|tokens| *tokens >= 1024)
}

fn blocks(content: Value) -> Value {
    let Value::Array(parts) = content else { return content };
    let block = |part: &Value| {
        let url = part["image_url"]["url"].as_str().and_then(|url| url.strip_prefix("data:")?.split_once(";base64,"));
        match url {
            Some((kind, data)) => {
                json!({"type": "image", "source": {"type": "base64", "media_type": kind, "data": data}})
            }
            None => json!({"type": "text", "text": part["text"]}),
        }
    };
    parts.iter().map(block).collect()
}

/// Takes in one event.
pub fn event(said: &mut Said, data: &Value) -> Step {
    match data["type"].as_str().unwrap_or_default() {
        "message_start" => {
            usage(said, &data["message"]["usage"]);
            Step::Idle
        }
        "content_block_start" => {
            said.answered = true;
            let block = &data["content_block"];
            if block["type"] == "tool_use" {
                // What was said before the tool is called is no part of the answer.
                said.text.clear();
                let name = block["name"].as_str().unwrap_or_default().to_owned();
                said.calls.push(Called { name, arguments: String::new() });
            }
            said.text.push_str(block["text"].as_str().unwrap_or_default());
            Step::Idle
        }
        "content_block_delta" => {
            said.answered = true;
            let delta = &data["delta"];
            let piece = delta["text"].as_str().or(delta["partial_json"].as_str());
            said.text.push_str(piece.unwrap_or_default());
            if let (Some(piece), Some(call)) = (delta["partial_json"].as_str(), said.calls.last_mut()) {
                call.arguments.push_str(piece);
            }
            if piece.or(delta["thinking"].as_str()).is_some_and(|p| !p.is_empty()) { Step::Piece } else { Step::Idle }
        }
        "message_delta" => {
            finish(said, &data["delta"]["stop_reason"]);
            usage(said, &data["usage"]);
            Step::Idle
        }
        "message_stop" => {
            said.ended = true;
            Step::End
        }
        _ => match Error::of(&data["error"]) {
            Some(error) => {
                said.error = Some(error);
                Step::End
            }
            None => Step::Idle,
        },
    }
}

/// What a whole body says.
pub fn whole(body: &Value) -> Said {
    let mut said = Said { error: Error::of(&body["error"]), ..Said::default() };
    for block in body["content"].as_array().into_iter().flatten() {
        match block["type"].as_str() {
            Some("tool_use") => {
                said.text = block["input"].to_string();
                let name = block["name"].as_str().unwrap_or_default().to_owned();
                said.calls.push(Called { name, arguments: said.text.clone() });
            }
            _ => said.text.push_str(block["text"].as_str().unwrap_or_default()),
        }
    }
    said.answered = body["content"].is_array();
    finish(&mut said, &body["stop_reason"]);
    usage(&mut said, &body["usage"]);
    said
}

fn finish(said: &mut Said, reason: &Value) {
    said.stop = match reason.as_str() {
        Some("max_tokens" | "model_context_window_exceeded") => Stop::Length,
        Some("refusal") => Stop::Refusal,
        Some(_) => Stop::Done,
        None => return,
    };
}

/// What is read comes with the first event and what is written with the last; those from a cache are counted beside, not within.
fn usage(said: &mut Said, usage: &Value) {
    let number = |name: &str| usage[name].as_u64();
    let before = said.tokens.unwrap_or_default();
    let fresh = number("input_tokens").map(|read| {
        let cached = number("cache_read_input_tokens").unwrap_or(0);
        let made = number("cache_creation_input_tokens").unwrap_or(0);
        (read.saturating_add(cached).saturating_add(made), cached)
    });
    let (read, cached) = fresh.unwrap_or((before.read, before.cached));
    if fresh.is_some() || number("output_tokens").is_some() {
        let written = number("output_tokens").unwrap_or(before.written);
        said.tokens = Some(Tokens { read, cached, written });
    }
}
