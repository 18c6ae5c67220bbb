//! OpenAI's Chat Completions.

use super::{Ask, Dialect, Exchanged, Function, Level, Step, exchanges, system, turns, with_pictures};
use crate::run::engines::chat::said::{Called, Error, Said, Stop, Tokens};
use crate::run::engines::openai::answer::Shape;
use serde_json::{Value, json};

/// Calls that are read of one answer; only the first counts.
const MOST_CALLS: usize = 15;

/// The body of a request.
pub fn request(ask: &Ask<'_>, dialect: Dialect) -> Value {
    let mut messages = Vec::new();
    let system = system(ask, dialect.level == Level::Schema);
    if !system.is_empty() {
        messages.push(json!({"role": "system", "content": system}));
    }
    messages.extend(turns(ask, dialect).into_iter().map(|(role, content)| json!({"role": role, "content": content})));
    for (index, told) in exchanges(ask, dialect) {
        let id = Exchanged::id(index);
        let function = json!({"name": told.name, "arguments": told.arguments.to_string()});
        let calls = json!([{"id": id, "type": "function", "function": function}]);
        messages.push(json!({"role": "assistant", "content": null, "tool_calls": calls}));
        messages.push(json!({"role": "tool", "tool_call_id": id, "content": told.result}));
        // What a tool says is text in this protocol: its pictures come right behind it, as the user's.
        if !told.pictures.is_empty() {
            let about = json!(format!("[the picture of step {}]", index + 1));
            messages.push(json!({"role": "user", "content": with_pictures(about, &told.pictures)}));
        }
    }
    let mut body = json!({"model": ask.model, "messages": messages});
    if let Some(talk) = ask.talk {
        let function = |f: &Function| json!({"type": "function", "function": {"name": f.name, "description": f.says, "parameters": f.schema}});
        body["tools"] = talk.functions.iter().map(function).collect();
        body["tool_choice"] = match talk.forced {
            Some(name) => json!({"type": "function", "function": {"name": name}}),
            None => json!("auto"),
        };
        body["parallel_tool_calls"] = json!(false);
    }
    let limit = if dialect.completion_tokens { "max_completion_tokens" } else { "max_tokens" };
    body[limit] = json!(ask.max_tokens);
    if let Some(seed) = ask.seed.filter(|_| dialect.seed) {
        body["seed"] = json!(seed);
    }
    if !matches!(ask.reasoning, "" | "default") {
        body["reasoning_effort"] = json!(ask.reasoning);
    }
    if !matches!(ask.shape, Shape::Text) {
        match dialect.level {
            Level::Schema => {
                let schema = json!({"name": "answer", "strict": true, "schema": ask.shape.schema()});
                body["response_format"] = json!({"type": "json_schema", "json_schema": schema});
            }
            Level::Object => body["response_format"] = json!({"type": "json_object"}),
            Level::Prompt => {}
        }
    }
    if dialect.stream {
        body["stream"] = json!(true);
        if dialect.usage {
            body["stream_options"] = json!({"include_usage": true});
        }
    }
    body
}

/// Takes in one event. The last one may have no choices and only the usage; the first may have content that is null.
pub fn event(said: &mut Said, data: &Value) -> Step {
    if let Some(error) = Error::of(&data["error"]) {
        said.error = Some(error);
        return Step::End;
    }
    usage(said, data);
    let Some(choice) = data["choices"].as_array().and_then(|c| c.first()) else { return Step::Idle };
    // A server that streams and sends the whole message at its end is understood too.
    let delta = if choice["delta"].is_object() { &choice["delta"] } else { &choice["message"] };
    said.answered = true;
    let thought = ["reasoning_content", "reasoning"].iter().any(|n| delta[*n].as_str().is_some_and(|t| !t.is_empty()));
    let piece = take(said, delta) || thought;
    finish(said, choice);
    if piece { Step::Piece } else { Step::Idle }
}

/// What a whole body says.
pub fn whole(body: &Value) -> Said {
    let mut said = Said { error: Error::of(&body["error"]), ..Said::default() };
    usage(&mut said, body);
    if let Some(choice) = body["choices"].as_array().and_then(|c| c.first()) {
        (said.answered, said.error) = (true, None);
        take(&mut said, &choice["message"]);
        finish(&mut said, choice);
    }
    said
}

fn take(said: &mut Said, message: &Value) -> bool {
    let before = said.text.len() + said.refusal.len();
    match &message["content"] {
        Value::String(text) => said.text.push_str(text),
        Value::Array(parts) => said.text.extend(parts.iter().filter_map(|p| p["text"].as_str())),
        _ => {}
    }
    said.refusal.push_str(message["refusal"].as_str().unwrap_or_default());
    let called = message["tool_calls"].as_array().into_iter().flatten().map(|call| called(said, call)).count();
    said.text.len() + said.refusal.len() > before || called > 0
}

/// A call, or a piece of one: the pieces of a stream bear its number.
fn called(said: &mut Said, call: &Value) {
    let index = call["index"].as_u64().map_or(said.calls.len(), |i| i as usize).min(MOST_CALLS);
    if said.calls.len() <= index {
        said.calls.resize(index + 1, Called::default());
    }
    let function = &call["function"];
    let at = &mut said.calls[index];
    at.name.push_str(function["name"].as_str().unwrap_or_default());
    match &function["arguments"] {
        Value::String(piece) => at.arguments.push_str(piece),
        Value::Object(whole) => at.arguments = Value::Object(whole.clone()).to_string(),
        _ => {}
    }
}

fn finish(said: &mut Said, choice: &Value) {
    let Some(reason) = choice["finish_reason"].as_str().filter(|r| !r.is_empty()) else { return };
    said.ended = true;
    said.stop = match reason {
        "length" => Stop::Length,
        "content_filter" => Stop::Filter,
        _ => Stop::Done,
    };
}

fn usage(said: &mut Said, body: &Value) {
    let usage = &body["usage"];
    if let (Some(read), Some(written)) = (usage["prompt_tokens"].as_u64(), usage["completion_tokens"].as_u64()) {
        let cached = usage["prompt_tokens_details"]["cached_tokens"].as_u64().unwrap_or(0).min(read);
        said.tokens = Some(Tokens { read, cached, written });
    }
}
