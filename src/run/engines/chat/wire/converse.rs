//! Amazon Bedrock's Converse. Structure is asked for by a tool whose input is the answer, of the models that know tools.

use super::messages::thoughts;
use super::{Ask, Dialect, Exchanged, Function, Level, Step, exchanges, system, turns};
use crate::run::engines::chat::said::{Called, Error, Said, Stop, Tokens};
use crate::run::engines::openai::answer::Shape;
use serde_json::{Value, json};
use std::fmt::Write;

/// The path under the base URL; a model may be named by an ARN, whose slashes are part of the name.
pub fn path(model: &str, stream: bool) -> String {
    let mut path = String::from("model/");
    for byte in model.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            path.push(char::from(byte));
        } else {
            let _ = write!(path, "%{byte:02X}");
        }
    }
    path.push_str(if stream { "/converse-stream" } else { "/converse" });
    path
}

/// The body of a request.
pub fn request(ask: &Ask<'_>, dialect: Dialect) -> Value {
    let turn = |(role, content)| json!({"role": role, "content": blocks(content)});
    let mut messages: Vec<Value> = turns(ask, dialect).into_iter().map(turn).collect();
    for (index, told) in exchanges(ask, dialect) {
        let id = Exchanged::id(index);
        let call = json!({"toolUse": {"toolUseId": id, "name": told.name, "input": told.arguments}});
        messages.push(json!({"role": "assistant", "content": [call]}));
        let result = json!({"toolResult": {"toolUseId": id, "content": blocks(told.parts())}});
        messages.push(json!({"role": "user", "content": [result]}));
    }
    let mut body = json!({"messages": messages, "inferenceConfig": {"maxTokens": ask.max_tokens}});
    let by_tool = !matches!(ask.shape, Shape::Text) && dialect.level == Level::Schema;
    let system = system(ask, by_tool);
    if !system.is_empty() {
        body["system"] = json!([{"text": system}]);
    }
    // Of the models there, Claude's think with a share of the tokens, as in their own protocol; others take an effort.
    let thoughts = thoughts(ask.reasoning, ask.max_tokens).filter(|_| ask.model.contains("anthropic"));
    if let Some(tokens) = thoughts {
        body["additionalModelRequestFields"] = json!({"thinking": {"type": "enabled", "budget_tokens": tokens}});
    } else if !matches!(ask.reasoning, "" | "none" | "default") && !ask.model.contains("anthropic") {
        body["additionalModelRequestFields"] = json!({"reasoning_effort": ask.reasoning});
    }
    let tool = |name: &str, about: &str, schema: &Value| json!({"toolSpec": {"name": name, "description": about, "inputSchema": {"json": schema}}});
    let choice = |forced: Option<&str>| match forced.filter(|_| thoughts.is_none()) {
        Some(name) => json!({"tool": {"name": name}}),
        // A model that thinks cannot be forced to call a tool.
        None => json!({"auto": {}}),
    };
    if by_tool {
        let about = "Call this once, with the answer.";
        body["toolConfig"] =
            json!({"tools": [tool("answer", about, ask.shape.schema())], "toolChoice": choice(Some("answer"))});
    }
    if let Some(talk) = ask.talk {
        let tools: Vec<Value> = talk.functions.iter().map(|f: &Function| tool(&f.name, &f.says, &f.schema)).collect();
        body["toolConfig"] = json!({"tools": tools, "toolChoice": choice(talk.forced)});
    }
    body
}

/// A message's blocks; each is an object whose only field says what it is.
fn blocks(content: Value) -> Value {
    let parts = match content {
        Value::Array(parts) => parts,
        text => vec![json!({"text": text})],
    };
    let block = |part: &Value| {
        let url = part["image_url"]["url"].as_str();
        match url.and_then(|url| url.strip_prefix("data:image/")?.split_once(";base64,")) {
            Some((format, data)) => json!({"image": {"format": format, "source": {"bytes": data}}}),
            None => json!({"text": part["text"]}),
        }
    };
    parts.iter().map(block).collect()
}

/// Takes in one event: an object whose only field is the event's type, or `error`.
pub fn event(said: &mut Said, data: &Value) -> Step {
    if let Some(error) = Error::of(&data["error"]) {
        said.error = Some(error);
        return Step::End;
    }
    if let Some(begun) = data["contentBlockStart"].as_object() {
        said.answered = true;
        if let Some(name) = begun.get("start").and_then(|start| start["toolUse"]["name"].as_str()) {
            // What was said before the tool is called is no part of the answer.
            said.text.clear();
            said.calls.push(Called { name: name.to_owned(), arguments: String::new() });
        }
        return Step::Idle;
    }
    let delta = &data["contentBlockDelta"]["delta"];
    if delta.is_object() {
        said.answered = true;
        let input = delta["toolUse"]["input"].as_str();
        let piece = delta["text"].as_str().or(input);
        said.text.push_str(piece.unwrap_or_default());
        if let (Some(input), Some(call)) = (input, said.calls.last_mut()) {
            call.arguments.push_str(input);
        }
        let thought = delta["reasoningContent"]["text"].as_str();
        return if piece.or(thought).is_some_and(|p| !p.is_empty()) { Step::Piece } else { Step::Idle };
    }
    finish(said, &data["messageStop"]["stopReason"]);
    // What was used comes behind the end of the answer, which stands by itself where the connection breaks in between.
    said.ended |= data["messageStop"].is_object();
    usage(said, &data["metadata"]["usage"]);
    if data["metadata"].is_object() { Step::End } else { Step::Idle }
}

/// What a whole body says.
pub fn whole(body: &Value) -> Said {
    let mut said = Said { error: Error::of(&body["error"]), ..Said::default() };
    let content = &body["output"]["message"]["content"];
    for block in content.as_array().into_iter().flatten() {
        let call = &block["toolUse"];
        if let Some(name) = call["name"].as_str() {
            said.text = call["input"].to_string();
            said.calls.push(Called { name: name.to_owned(), arguments: said.text.clone() });
        } else {
            said.text.push_str(block["text"].as_str().unwrap_or_default());
        }
    }
    said.answered = content.is_array();
    finish(&mut said, &body["stopReason"]);
    usage(&mut said, &body["usage"]);
    said
}

fn finish(said: &mut Said, reason: &Value) {
    said.stop = match reason.as_str() {
        Some("max_tokens" | "model_context_window_exceeded") => Stop::Length,
        Some("content_filtered" | "guardrail_intervened") => Stop::Filter,
        Some(_) => Stop::Done,
        None => return,
    };
}

/// Tokens from a cache are counted beside those that were read anew; all but what was written was read.
fn usage(said: &mut Said, usage: &Value) {
    let number = |name: &str| usage[name].as_u64();
    let (Some(fresh), Some(written)) = (number("inputTokens"), number("outputTokens")) else { return };
    let cached = number("cacheReadInputTokens").unwrap_or(0);
    let parts = fresh.saturating_add(cached).saturating_add(number("cacheWriteInputTokens").unwrap_or(0));
    let read = number("totalTokens").map_or(parts, |all| all.saturating_sub(written).max(fresh));
    said.tokens = Some(Tokens { read, cached: cached.min(read), written });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_one_segment_of_the_path() {
        assert_eq!(path("openai.gpt-oss-20b-1:0", false), "model/openai.gpt-oss-20b-1%3A0/converse");
        let profile = path("arn:aws:bedrock:us-east-1:1:inference-profile/x", true);
        assert_eq!(profile, "model/arn%3Aaws%3Abedrock%3Aus-east-1%3A1%3Ainference-profile%2Fx/converse-stream");
    }
}
