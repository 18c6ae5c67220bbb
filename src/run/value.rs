//! A runtime value and the type it should have -> whether it has it, and how large it is.
//!
//! Values are JSON. Media are objects that name a file: `{"file": "/abs/path", "duration": 12.0, …}`; frames are
//! `{"frames": [{"file", "time"}], "count"}`; a transcript is `{"segments": [{"start", "end", "text"}]}`.

pub mod held;

use crate::types::Type;
use ecow::EcoString;
use rust_decimal::Decimal;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;

/// A value that is not of its type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// Where: `$.people[2].name`.
    pub path: String,
    /// The type.
    pub wanted: String,
    /// What stands there.
    pub found: String,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at `{}`: expected {}, found {}", self.path, self.wanted, self.found)
    }
}

/// Whether a value is of a type. Records may hold no field that their type lacks.
pub fn check(value: &Value, ty: &Type) -> Result<(), Mismatch> {
    check_at(value, ty, "$")
}

/// The same for a value that is a part of another one; `path` says where.
pub fn check_at(value: &Value, ty: &Type, path: &str) -> Result<(), Mismatch> {
    at(value, ty, &mut String::from(path))
}

fn at(value: &Value, ty: &Type, path: &mut String) -> Result<(), Mismatch> {
    let good = match ty {
        Type::Unknown | Type::Json => true,
        Type::Text => value.is_string(),
        Type::Int => value.is_i64(),
        Type::Float => value.is_number(),
        Type::Bool => value.is_boolean(),
        Type::Enum(_, values) => value.as_str().is_some_and(|v| values.iter().any(|known| known == v)),
        Type::Optional(inner) => {
            return if value.is_null() { Ok(()) } else { at(value, inner, path) };
        }
        Type::Embedding => return each(value, &Type::Float, ty, path),
        Type::List(item) => return each(value, item, ty, path),
        Type::Record(_, fields) => return record(value, fields, ty, path),
        // Sound may be absent (a silent video): the file is null, and only a step that needs it fails.
        Type::Audio => value.get("file").is_some_and(|f| f.is_string() || f.is_null()),
        Type::Bytes | Type::Image | Type::Video | Type::Document => value.get("file").is_some_and(Value::is_string),
        Type::Frames => entries(value, "frames", |frame| frame.get("file").is_some_and(Value::is_string)),
        Type::Transcript => entries(value, "segments", |s| {
            s.get("text").is_some_and(Value::is_string)
                && ["start", "end"].iter().all(|k| s.get(*k).is_some_and(Value::is_number))
        }),
    };
    if good { Ok(()) } else { Err(mismatch(value, ty, path)) }
}

fn entries(value: &Value, key: &str, good: impl Fn(&Value) -> bool) -> bool {
    value.get(key).and_then(Value::as_array).is_some_and(|items| items.iter().all(good))
}

fn each(value: &Value, item: &Type, whole: &Type, path: &mut String) -> Result<(), Mismatch> {
    let Some(items) = value.as_array() else {
        return Err(mismatch(value, whole, path));
    };
    for (i, v) in items.iter().enumerate() {
        let length = path.len();
        path.push_str(&format!("[{i}]"));
        at(v, item, path)?;
        path.truncate(length);
    }
    Ok(())
}

fn record(value: &Value, fields: &[(ecow::EcoString, Type)], ty: &Type, path: &mut String) -> Result<(), Mismatch> {
    let Some(object) = value.as_object() else {
        return Err(mismatch(value, ty, path));
    };
    for (name, field) in fields {
        let length = path.len();
        path.push('.');
        path.push_str(name);
        // An absent optional field is as good as null.
        at(object.get(name.as_str()).unwrap_or(&Value::Null), field, path)?;
        path.truncate(length);
    }
    match object.keys().find(|key| !fields.iter().any(|(name, _)| name == key.as_str())) {
        None => Ok(()),
        Some(extra) => Err(Mismatch {
            path: format!("{path}.{extra}"),
            wanted: format!("no such field in {ty}"),
            found: kind(object.get(extra).unwrap_or(&Value::Null)),
        }),
    }
}

fn mismatch(value: &Value, ty: &Type, path: &str) -> Mismatch {
    let wanted = match ty {
        Type::Enum(_, values) => format!("one of {}", values.join(", ")),
        other => other.to_string(),
    };
    Mismatch { path: path.to_owned(), wanted, found: kind(value) }
}

fn kind(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::Bool(b) => b.to_string(),
        Value::Number(n) => n.to_string(),
        Value::String(s) if s.chars().count() <= 40 => format!("the text {s:?}"),
        Value::String(_) => "a text".to_owned(),
        Value::Array(items) => format!("a list of {}", items.len()),
        Value::Object(_) => "an object".to_owned(),
    }
}

/// Tokens of a text, estimated: four bytes a token, as providers' own rule of thumb has it.
pub fn tokens(text: &str) -> u64 {
    (text.len() as u64).div_ceil(4)
}

/// One size of a value by its name (`duration`, `count`, `pages`, `pixels`, `tokens`); none where the value has no such size or it
/// was not measured.
pub fn size(value: &Value, name: &str) -> Option<Value> {
    if let Some(stored) = value.get(name).filter(|v| v.is_number()) {
        return Some(stored.clone());
    }
    let segments = value.get("segments").and_then(Value::as_array);
    match (name, value) {
        ("count", Value::Array(items)) => Some(items.len().into()),
        ("count", _) => value.get("frames").and_then(Value::as_array).map(|f| f.len().into()),
        ("duration", _) => segments.map(|s| s.last().and_then(|s| s.get("end")).cloned().unwrap_or(0.into())),
        ("tokens", Value::String(text)) => Some(tokens(text).into()),
        ("tokens", _) if segments.is_some() => {
            let texts = segments.into_iter().flatten().filter_map(|s| s.get("text")).filter_map(Value::as_str);
            Some(texts.map(tokens).sum::<u64>().into())
        }
        ("tokens", Value::Array(items)) => {
            let parts: Vec<u64> = items.iter().filter_map(|i| size(i, "tokens")?.as_u64()).collect();
            (parts.len() == items.len()).then(|| parts.iter().sum::<u64>().into())
        }
        ("tokens", Value::Object(o)) if !o.contains_key("file") && !o.contains_key("frames") => {
            Some(tokens(&value.to_string()).into())
        }
        _ => None,
    }
}

/// The sizes of a value as plans reckon with them: decimals, to a thousandth.
pub fn planned_sizes(value: &Value, ty: &Type) -> BTreeMap<EcoString, Decimal> {
    let exact = |(path, size): (String, f64)| Some((path.into(), Decimal::from_f64_retain(size)?.round_dp(3)));
    sizes(value, ty).into_iter().filter_map(exact).collect()
}

/// All sizes of a value of a type, by name, as far as they are known; for a list also the mean sizes of its items.
pub fn sizes(value: &Value, ty: &Type) -> BTreeMap<String, f64> {
    let mut found = BTreeMap::new();
    if let (Type::List(item), Value::Array(items)) = (ty, value) {
        let mut sums: BTreeMap<String, (f64, u32)> = BTreeMap::new();
        for (name, n) in items.iter().flat_map(|v| sizes(v, item)) {
            let sum = sums.entry(name).or_default();
            *sum = (sum.0 + n, sum.1 + 1);
        }
        found.extend(sums.into_iter().map(|(name, (sum, n))| (name, sum / f64::from(n.max(1)))));
    }
    if let Type::Record(_, fields) = ty {
        for (field, ty) in fields {
            let inner = value.get(field.as_str()).map(|v| sizes(v, ty)).unwrap_or_default();
            found.extend(inner.into_iter().map(|(path, n)| (format!("{field}.{path}"), n)));
        }
    }
    for (name, _) in ty.sizes() {
        if let Some(n) = size(value, name).and_then(|n| n.as_f64()) {
            found.insert((*name).to_owned(), n);
        }
    }
    found
}

/// The files that a value names: every text in a field `file`.
pub fn files(value: &Value) -> Vec<&str> {
    match value {
        Value::Array(items) => items.iter().flat_map(files).collect(),
        Value::Object(fields) => {
            let own = fields.get("file").and_then(Value::as_str);
            own.into_iter().chain(fields.values().flat_map(files)).collect()
        }
        _ => Vec::new(),
    }
}

/// A value with other names for its files.
pub fn with_files(value: &Value, name: &dyn Fn(&str) -> String) -> Value {
    match value {
        Value::Array(items) => items.iter().map(|item| with_files(item, name)).collect(),
        Value::Object(fields) => {
            let field = |(key, value): (&String, &Value)| match value {
                Value::String(file) if key == "file" => (key.clone(), Value::from(name(file))),
                other => (key.clone(), with_files(other, name)),
            };
            Value::Object(fields.iter().map(field).collect())
        }
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn person() -> Type {
        Type::Record(
            "Person".into(),
            vec![("name".into(), Type::Text), ("age".into(), Type::Optional(Box::new(Type::Int)))],
        )
    }

    #[test]
    fn a_mismatch_names_its_path() {
        let ty = Type::List(Box::new(person()));
        assert!(check(&json!([{"name": "a"}, {"name": "b", "age": 3}]), &ty).is_ok());
        let wrong = check(&json!([{"name": "a"}, {"name": "b", "age": "x"}]), &ty).expect_err("a text is no Int");
        assert_eq!(wrong.to_string(), "at `$[1].age`: expected Int, found the text \"x\"");
        let extra = check(&json!([{"name": "a", "sex": 1}]), &ty).expect_err("no such field");
        assert_eq!(extra.path, "$[0].sex");
    }

    #[test]
    fn media_are_objects_with_files() {
        assert!(check(&json!({"file": "/a"}), &Type::Video).is_ok());
        assert!(check(&json!({"file": null}), &Type::Video).is_err());
        assert!(check(&json!({"file": null}), &Type::Audio).is_ok());
        assert!(check(&json!({"frames": [{"file": "/a", "time": 1.0}], "count": 1}), &Type::Frames).is_ok());
        assert!(check(&json!({"segments": [{"start": 0, "end": 1, "text": "x"}]}), &Type::Transcript).is_ok());
        assert!(check(&json!("x"), &Type::Enum("E".into(), vec!["y".into()])).is_err());
    }

    #[test]
    fn sizes_of_records_are_those_of_their_fields() {
        let ty = Type::Record("Index".into(), vec![("texts".into(), Type::List(Box::new(Type::Text)))]);
        let found = sizes(&json!({"texts": ["one two", "three"]}), &ty);
        assert_eq!(found.get("texts.count"), Some(&2.0), "{found:?}");
        assert!(found.contains_key("texts.tokens"), "{found:?}");
    }

    #[test]
    fn sizes_of_lists_are_counts_and_means() {
        let ty = Type::List(Box::new(Type::Video));
        let value = json!([{"file": "/a", "duration": 10.0}, {"file": "/b", "duration": 20.0}]);
        assert_eq!(sizes(&value, &ty), BTreeMap::from([("count".to_owned(), 2.0), ("duration".to_owned(), 15.0)]));
        assert_eq!(
            size(&json!({"segments": [{"start": 0, "end": 4.5, "text": "hello you"}]}), "duration"),
            Some(json!(4.5))
        );
    }
}
