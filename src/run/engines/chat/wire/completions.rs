//! OpenAI's Chat Completions.

use super::{Ask, Dialect, Level, Step, system, turns};
use crate::run::engines::chat::said::{Error, Said, Stop, Tokens};
use crate::run::engines::openai::answer::Shape;
use serde_json::{Value, json};

/// The body of a request.
pub fn request(ask: &Ask<'_>, dialect: Dialect) -> Value {
    let mut messages = Vec::new();
    let system = system(ask, dialect.level == Level::Schema);
    if !system.is_empty() {
        messages.push(json!({"role": "system", "content": system}));
    }
    messages.extend(turns(ask).into_iter().map(|(role, content)| json!({"role": role, "content": content})));
    let mut body = json!({"model": ask.model, "messages": messages});
    let limit = if dialect.completion_tokens { "max_completion_tokens" } else { "max_tokens" };
    body[limit] = json!(ask.max_tokens);
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
    said.text.len() + said.refusal.len() > before
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
