//! How a type is asked for, and JSON in a text; a transcription's body -> the transcript.

use super::http::Reply;
use crate::run::engines::chat::said::Tokens;
use crate::run::fault::{Fault, FaultKind};
use crate::types::Type;
use serde_json::{Value, json};

/// How a type is asked for: providers want an object on the outside.
#[derive(Debug)]
pub enum Shape {
    /// Plain text: no structure is asked for.
    Text,
    /// An object, as it is.
    Object(Value, bool),
    /// Something else, in the field `answer` of an object.
    Wrapped(Value, bool),
}

impl Shape {
    /// The shape of a type.
    pub fn of(ty: &Type) -> Shape {
        match ty {
            Type::Text => Shape::Text,
            Type::Record(..) => Shape::Object(ty.json_schema(), closed(ty)),
            _ => {
                let schema = json!({"type": "object", "properties": {"answer": ty.json_schema()}, "required": ["answer"], "additionalProperties": false});
                Shape::Wrapped(schema, closed(ty))
            }
        }
    }

    /// The schema.
    pub fn schema(&self) -> &Value {
        match self {
            Shape::Text => &Value::Null,
            Shape::Object(schema, _) | Shape::Wrapped(schema, _) => schema,
        }
    }

    /// Whether a provider that is strict about schemas can take this one: every part of it must say what it is.
    pub fn strict(&self) -> bool {
        match self {
            Shape::Text => true,
            Shape::Object(_, strict) | Shape::Wrapped(_, strict) => *strict,
        }
    }
}

fn closed(ty: &Type) -> bool {
    match ty {
        Type::List(t) | Type::Optional(t) => closed(t),
        Type::Record(_, fields) => fields.iter().all(|(_, t)| closed(t)),
        Type::Text | Type::Int | Type::Float | Type::Bool | Type::Enum(..) | Type::Embedding => true,
        _ => false,
    }
}

/// Tokens read and written, where the provider says.
pub fn tokens(body: &Value) -> Option<Tokens> {
    let usage = &body["usage"];
    let number = |names: [&str; 2]| names.iter().find_map(|n| usage[*n].as_u64());
    let read = number(["prompt_tokens", "input_tokens"])?;
    Some(Tokens { read, cached: 0, written: number(["completion_tokens", "output_tokens"]).unwrap_or(0) })
}

/// The JSON in a text: all of it, or the first whole value after a fence or some words.
pub fn extract(text: &str) -> Option<Value> {
    if let Ok(value) = serde_json::from_str(text) {
        return Some(value);
    }
    // Every opening bracket could start it; a few tries are enough for any answer worth having.
    let starts = text.char_indices().filter(|(_, c)| matches!(c, '{' | '['));
    starts.take(20).find_map(|(from, _)| {
        let mut values = serde_json::Deserializer::from_str(&text[from..]).into_iter::<Value>();
        values.next()?.ok()
    })
}

/// A transcription's body as a transcript; where the provider gives no times, one segment that covers all.
pub fn transcript(reply: &Reply, duration: Option<f64>) -> Result<Value, Fault> {
    let body = &reply.body;
    let unusable = |what: &str| Fault::new(FaultKind::Answer, format!("{} {what}", reply.origin)).transient();
    let text = body["text"].as_str();
    let duration = body["duration"].as_f64().or_else(|| body["duration"].as_str()?.parse().ok()).or(duration);
    let mut segments: Vec<Value> = Vec::new();
    for s in body["segments"].as_array().into_iter().flatten() {
        let (Some(start), Some(end), Some(text)) = (s["start"].as_f64(), s["end"].as_f64(), s["text"].as_str()) else {
            return Err(unusable("sent a segment without times or text"));
        };
        segments.push(json!({"start": start, "end": end, "text": text.trim()}));
    }
    if segments.is_empty() {
        let text = text.ok_or_else(|| unusable("sent no text"))?.trim();
        if !text.is_empty() {
            segments.push(json!({"start": 0.0, "end": duration.unwrap_or(0.0), "text": text}));
        }
    }
    let mut transcript = json!({"segments": segments, "text": text.unwrap_or_default().trim()});
    if let Some(duration) = duration {
        transcript["duration"] = json!(duration);
    }
    Ok(transcript)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_found_among_words() {
        assert_eq!(extract("Sure!\n```json\n{\"a\": [1]}\n```\nBye {"), Some(json!({"a": [1]})));
        assert_eq!(extract("[not json] {\"a\": 1}"), Some(json!({"a": 1})));
        assert_eq!(extract("nothing"), None);
        assert_eq!(extract(&"[".repeat(100_000)), None);
    }

    #[test]
    fn usage_may_be_absent() {
        let read = |body: Value| tokens(&body).map(|t| (t.read, t.written));
        assert_eq!(read(json!({"usage": {"prompt_tokens": 3, "completion_tokens": 4}})), Some((3, 4)));
        assert_eq!(read(json!({"usage": null})), None);
    }

    #[test]
    fn bodies_of_another_shape_are_refused() {
        for body in [json!(null), json!([]), json!({"text": 1}), json!({"segments": [1]})] {
            assert!(transcript(&Reply { body, origin: "x".into() }, None).is_err());
        }
    }
}
