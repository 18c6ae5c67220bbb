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

/// A transcription's body as the transcript of a sound of so many seconds; where the provider gives no times, one segment that covers all.
pub fn transcript(reply: &Reply, sound: Option<f64>) -> Result<Value, Fault> {
    let body = &reply.body;
    let unusable = |what: &str| Fault::new(FaultKind::Answer, format!("{} {what}", reply.origin)).transient();
    let text = body["text"].as_str();
    let duration = body["duration"].as_f64().or_else(|| body["duration"].as_str()?.parse().ok()).or(sound);
    let sound = sound.or(duration);
    let mut segments: Vec<Value> = Vec::new();
    for s in body["segments"].as_array().into_iter().flatten() {
        let (Some(start), Some(end), Some(text)) = (s["start"].as_f64(), s["end"].as_f64(), s["text"].as_str()) else {
            return Err(unusable("sent a segment without times or text"));
        };
        // The last segment often ends where the model's window does, which is behind the end of the sound.
        let end = sound.map_or(end, |whole| end.min(whole));
        if !(0.0..=end).contains(&start) {
            return Err(unusable(&format!("sent a segment from {start} s to {end} s, which is no part of the sound")));
        }
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
    fn segments_that_are_no_part_of_the_sound_are_refused() {
        let read = |start: f64, end: f64, duration: Option<f64>| {
            let segments = json!([{"start": start, "end": end, "text": "x"}]);
            let reply = Reply { body: json!({"text": "x", "segments": segments}), origin: "x".into() };
            transcript(&reply, duration).map(|transcript| transcript["segments"][0]["end"].as_f64())
        };
        assert_eq!(read(0.5, 3.0, Some(3.0)), Ok(Some(3.0)));
        assert_eq!(read(0.5, 30.0, Some(3.0)), Ok(Some(3.0)), "the window's end, not the sound's");
        assert_eq!(read(0.5, 30.0, None), Ok(Some(30.0)));
        for (start, end, duration) in
            [(5.0, -3.0, Some(3.0)), (2.0, 1.0, None), (-1.0, 1.0, None), (3.5, 9.0, Some(3.0))]
        {
            let fault = read(start, end, duration).expect_err("no part of it");
            assert_eq!((fault.kind, fault.transient), (FaultKind::Answer, true), "{}", fault.message);
        }
    }

    #[test]
    fn bodies_of_another_shape_are_refused() {
        for body in [json!(null), json!([]), json!({"text": 1}), json!({"segments": [1]})] {
            assert!(transcript(&Reply { body, origin: "x".into() }, None).is_err());
        }
    }
}
