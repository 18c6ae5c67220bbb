//! The types of the language: what a value may be, from the source through the plan to the runtime.

use ecow::EcoString;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A type of the language.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Type {
    /// UTF-8 text.
    Text,
    /// A 64-bit integer.
    Int,
    /// A 64-bit float.
    Float,
    /// A truth value.
    Bool,
    /// Any JSON value.
    Json,
    /// Uninterpreted bytes, in a file.
    Bytes,
    /// A picture, in a file.
    Image,
    /// Sound, in a file.
    Audio,
    /// Moving pictures, in a file.
    Video,
    /// A document (PDF or pictures of pages), in a file.
    Document,
    /// Pictures with times, in a folder.
    Frames,
    /// Speech as text, with times.
    Transcript,
    /// A vector.
    Embedding,
    /// A list.
    List(Box<Type>),
    /// A value that may be absent.
    Optional(Box<Type>),
    /// A record: its name (empty for the result of a task with several named results) and its fields, in order.
    Record(#[schemars(with = "String")] EcoString, #[schemars(with = "Vec<(String, Type)>")] Vec<(EcoString, Type)>),
    /// An enum: its name and its values.
    Enum(#[schemars(with = "String")] EcoString, #[schemars(with = "Vec<String>")] Vec<EcoString>),
    /// The type of something that did not check; it goes with every type, so that one error has no echo.
    Unknown,
}

impl Type {
    /// The built-in types that have a name of their own.
    pub const BUILT_IN: [(&'static str, Type); 13] = [
        ("Text", Type::Text),
        ("Int", Type::Int),
        ("Float", Type::Float),
        ("Bool", Type::Bool),
        ("Json", Type::Json),
        ("Bytes", Type::Bytes),
        ("Image", Type::Image),
        ("Audio", Type::Audio),
        ("Video", Type::Video),
        ("Document", Type::Document),
        ("Frames", Type::Frames),
        ("Transcript", Type::Transcript),
        ("Embedding", Type::Embedding),
    ];

    /// The built-in type of this name.
    pub fn built_in(name: &str) -> Option<Type> {
        Type::BUILT_IN.iter().find(|(n, _)| *n == name).map(|(_, t)| t.clone())
    }

    /// Whether a value of this type can stand where `wanted` is asked.
    pub fn fits(&self, wanted: &Type) -> bool {
        match (self, wanted) {
            (Type::Unknown, _) | (_, Type::Unknown) => true,
            (a, b) if a == b => true,
            (Type::Optional(a), Type::Optional(b)) => a.fits(b),
            (a, Type::Optional(b)) => a.fits(b),
            (Type::List(a), Type::List(b)) => a.fits(b),
            (Type::Int, Type::Float) => true,
            (Type::Record(_, a), Type::Record(_, b)) if a.len() == b.len() => {
                a.iter().zip(b).all(|((an, at), (bn, bt))| an == bn && at.fits(bt))
            }
            (a, Type::Json) => a.is_data(),
            _ => false,
        }
    }

    /// Whether a value is plain data (no file behind it), so that it is JSON as it stands.
    pub fn is_data(&self) -> bool {
        match self {
            Type::Text | Type::Int | Type::Float | Type::Bool | Type::Json | Type::Transcript | Type::Embedding => true,
            Type::Enum(..) | Type::Unknown => true,
            Type::List(t) | Type::Optional(t) => t.is_data(),
            Type::Record(_, fields) => fields.iter().all(|(_, t)| t.is_data()),
            Type::Bytes | Type::Image | Type::Audio | Type::Video | Type::Document | Type::Frames => false,
        }
    }

    /// The sizes that a value of this type carries, each with its dimension.
    pub fn sizes(&self) -> &'static [(&'static str, Size)] {
        match self {
            Type::Text => &[("tokens", Size::Tokens)],
            Type::Transcript => &[("duration", Size::Seconds), ("tokens", Size::Tokens)],
            Type::Audio => &[("duration", Size::Seconds)],
            Type::Video => &[("duration", Size::Seconds), ("pixels", Size::Count)],
            Type::Image => &[("pixels", Size::Count)],
            Type::Document => &[("pages", Size::Count)],
            Type::Frames => &[("count", Size::Count), ("pixels", Size::Count)],
            Type::List(_) => &[("count", Size::Count), ("tokens", Size::Tokens)],
            Type::Json | Type::Record(..) => &[("tokens", Size::Tokens)],
            Type::Optional(t) => t.sizes(),
            _ => &[],
        }
    }

    /// The JSON schema that a model's structured answer of this type must satisfy (strict: nothing else is allowed).
    pub fn json_schema(&self) -> serde_json::Value {
        use serde_json::json;
        match self {
            Type::Text => json!({"type": "string"}),
            Type::Int => json!({"type": "integer"}),
            Type::Float => json!({"type": "number"}),
            Type::Bool => json!({"type": "boolean"}),
            Type::Embedding => json!({"type": "array", "items": {"type": "number"}}),
            Type::List(t) => json!({"type": "array", "items": t.json_schema()}),
            Type::Optional(t) => json!({"anyOf": [t.json_schema(), {"type": "null"}]}),
            Type::Enum(_, values) => {
                let values: Vec<&str> = values.iter().map(|v| v.as_str()).collect();
                json!({"type": "string", "enum": values})
            }
            Type::Record(_, fields) => {
                let names: Vec<&str> = fields.iter().map(|(n, _)| n.as_str()).collect();
                let properties: serde_json::Map<_, _> =
                    fields.iter().map(|(n, t)| (n.to_string(), t.json_schema())).collect();
                json!({"type": "object", "properties": properties, "required": names, "additionalProperties": false})
            }
            _ => json!({}),
        }
    }
}

/// What a size counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Size {
    /// Seconds of media.
    Seconds,
    /// Tokens of text.
    Tokens,
    /// Things: frames, items, pages, pixels.
    Count,
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Type::List(t) => write!(f, "List[{t}]"),
            Type::Optional(t) => write!(f, "{t}?"),
            Type::Record(name, fields) if name.is_empty() => {
                f.write_str("(")?;
                for (i, (n, t)) in fields.iter().enumerate() {
                    let comma = if i > 0 { ", " } else { "" };
                    write!(f, "{comma}{n}: {t}")?;
                }
                f.write_str(")")
            }
            Type::Record(name, _) | Type::Enum(name, _) => f.write_str(name),
            Type::Unknown => f.write_str("_"),
            other => {
                let name = Type::BUILT_IN.iter().find(|(_, t)| t == other).map_or("_", |(n, _)| n);
                f.write_str(name)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_value_fits_where_an_optional_is_asked() {
        assert!(Type::Text.fits(&Type::Optional(Box::new(Type::Text))));
        assert!(!Type::Optional(Box::new(Type::Text)).fits(&Type::Text));
        assert!(!Type::Video.fits(&Type::Json));
    }
}
