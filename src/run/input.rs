//! What was typed on the command line or stands in a file of inputs, and the input's type -> a runtime value, checked.

use super::fault::{Fault, FaultKind};
use super::value::{check, check_at};
use crate::types::Type;
use serde_json::{Value, json};
use std::path::Path;

/// The value that texts of the command line stand for: one text, or for a list one per repeated flag.
pub fn parse_input(texts: &[String], ty: &Type) -> Result<Value, Fault> {
    match (ty, texts) {
        (Type::Optional(_), []) => Ok(Value::Null),
        (Type::Optional(inner), texts) => parse_input(texts, inner),
        (Type::List(item), texts) => {
            texts.iter().map(|text| one(text, item)).collect::<Result<Vec<_>, _>>().map(Value::Array)
        }
        (ty, [text]) => one(text, ty),
        (ty, []) => Err(bad(format!("a value is missing: one {ty} is needed"))),
        (ty, texts) => Err(bad(format!("one {ty} is needed, and {} were given", texts.len()))),
    }
}

/// Where JSON values are from.
#[derive(Clone, Copy, Debug)]
pub struct Cells<'a> {
    /// The folder that paths of media are relative to.
    pub folder: &'a Path,
    /// Whether a cell is a text, whatever it means (CSV).
    pub plain: bool,
}

/// The value that JSON stands for: a medium is the path of its file. `path` says in errors where it is: `$.videos`.
pub fn admit(cell: &Value, ty: &Type, cells: Cells<'_>, path: &str) -> Result<Value, Fault> {
    let inner = Cells { plain: false, ..cells };
    // Whoever gives one value knows where it is.
    let placed = |fault: Fault| {
        if path == "$" { fault } else { Fault { message: format!("at `{path}`: {}", fault.message), ..fault } }
    };
    match (ty, cell) {
        (Type::Optional(_), Value::Null) => Ok(Value::Null),
        (Type::Optional(ty), cell) => admit(cell, ty, cells, path),
        (Type::Bytes | Type::Image | Type::Audio | Type::Video | Type::Document, Value::String(text)) => {
            file(&cells.folder.join(text).to_string_lossy()).map_err(placed)
        }
        (Type::List(item), Value::Array(all)) => {
            let item = |(at, cell)| admit(cell, item, inner, &format!("{path}[{at}]"));
            all.iter().enumerate().map(item).collect::<Result<_, _>>().map(Value::Array)
        }
        (Type::List(_), Value::String(text)) if cells.plain => match serde_json::from_str::<Value>(text) {
            Ok(list @ Value::Array(_)) => admit(&list, ty, inner, path),
            _ => Err(placed(bad(format!("a {ty} is needed: write it as a JSON array")))),
        },
        (_, Value::String(text)) if cells.plain => parse_input(std::slice::from_ref(text), ty).map_err(placed),
        (Type::Record(_, fields), Value::Object(given)) => {
            let mut object = given.clone();
            for (name, ty) in fields.iter().filter(|(_, ty)| !ty.is_data()) {
                if let Some(field) = object.get_mut(name.as_str()) {
                    *field = admit(field, ty, inner, &format!("{path}.{name}"))?;
                }
            }
            let value = Value::Object(object);
            check_at(&value, ty, path).map_err(|m| bad(m.to_string()))?;
            Ok(value)
        }
        (_, cell) => check_at(cell, ty, path).map(|()| cell.clone()).map_err(|m| bad(m.to_string())),
    }
}

fn one(text: &str, ty: &Type) -> Result<Value, Fault> {
    let refuse = || bad(format!("`{text}` is no {ty}"));
    match ty {
        Type::Text => Ok(Value::from(text)),
        Type::Int => text.trim().parse::<i64>().map(Value::from).map_err(|_| refuse()),
        Type::Float => match text.trim().parse::<f64>() {
            Ok(n) if n.is_finite() => Ok(Value::from(n)),
            _ => Err(refuse()),
        },
        Type::Bool => match text.trim() {
            "true" | "yes" => Ok(Value::Bool(true)),
            "false" | "no" => Ok(Value::Bool(false)),
            _ => Err(refuse().help("write `true` or `false`")),
        },
        Type::Enum(_, values) if values.iter().any(|v| v == text) => Ok(Value::from(text)),
        Type::Enum(_, values) => Err(refuse().help(format!("one of {}", values.join(", ")))),
        Type::Bytes | Type::Image | Type::Audio | Type::Video | Type::Document => file(text),
        Type::Frames => Err(bad("frames cannot be given on the command line").help("give the video they come from")),
        Type::Optional(inner) => one(text, inner),
        // Of a library that is elsewhere: what it is to be is said there.
        Type::Unknown => Ok(serde_json::from_str(text).unwrap_or_else(|_| Value::from(text))),
        _ => {
            let value: Value = serde_json::from_str(text).map_err(|e| refuse().help(format!("not JSON: {e}")))?;
            check(&value, ty).map_err(|m| bad(m.to_string()))?;
            Ok(value)
        }
    }
}

fn bad(message: impl Into<String>) -> Fault {
    Fault::new(FaultKind::Input, message)
}

/// A medium behind a path: an existing, regular file that is not empty. A FIFO or a device could block or never end, so they
/// are refused before anything opens them.
fn file(text: &str) -> Result<Value, Fault> {
    let refuse = |why: &str| bad(format!("`{text}` {why}"));
    if text.is_empty() {
        return Err(bad("a path is missing"));
    }
    let path = Path::new(text).canonicalize().map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => refuse("does not exist"),
        _ => refuse(&format!("cannot be used: {e}")),
    })?;
    let about = path.metadata().map_err(|e| refuse(&format!("cannot be read: {e}")))?;
    if about.is_dir() {
        return Err(refuse("is a directory, and a file is needed"));
    }
    if !about.is_file() {
        return Err(refuse("is no regular file (a pipe, socket or device)"));
    }
    if about.len() == 0 {
        return Err(refuse("is empty"));
    }
    std::fs::File::open(&path).map_err(|e| refuse(&format!("cannot be read: {e}")))?;
    match path.to_str() {
        Some(path) => Ok(json!({"file": path, "bytes": about.len()})),
        None => Err(refuse("has a path that is not UTF-8").help("rename the file")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str, ty: &Type) -> Result<Value, Fault> {
        parse_input(&[text.to_owned()], ty)
    }

    #[test]
    fn plain_values() {
        assert_eq!(parse(" a ", &Type::Text), Ok(json!(" a ")));
        assert_eq!(parse("-3", &Type::Int), Ok(json!(-3)));
        assert!(parse("3.5", &Type::Int).is_err());
        assert!(parse("inf", &Type::Float).is_err());
        assert!(parse("NaN", &Type::Float).is_err());
        assert_eq!(parse("yes", &Type::Bool), Ok(json!(true)));
        assert_eq!(parse(r#"{"a": [1]}"#, &Type::Json), Ok(json!({"a": [1]})));
        assert_eq!(parse_input(&[], &Type::Optional(Box::new(Type::Int))), Ok(Value::Null));
        let list = Type::List(Box::new(Type::Text));
        assert_eq!(parse_input(&["a".into(), "b".into()], &list), Ok(json!(["a", "b"])));
        assert!(parse_input(&["a".into(), "b".into()], &Type::Text).is_err());
        assert!(parse(&"[".repeat(100_000), &Type::Json).is_err());
    }

    #[test]
    fn cells_become_values() {
        let at = |plain| Cells { folder: Path::new("/"), plain };
        let texts = Type::List(Box::new(Type::Text));
        assert_eq!(admit(&json!("3"), &Type::Int, at(true), "$"), Ok(json!(3)));
        assert_eq!(admit(&json!("[\"a\", \"b\"]"), &texts, at(true), "$"), Ok(json!(["a", "b"])));
        let said = |cell: Value, ty: &Type, plain| admit(&cell, ty, at(plain), "$.x").expect_err("wrong").message;
        assert_eq!(said(json!("3"), &Type::Int, false), "at `$.x`: expected Int, found the text \"3\"");
        assert_eq!(said(json!("a,b"), &texts, true), "at `$.x`: a List[Text] is needed: write it as a JSON array");
        assert_eq!(said(json!(["a", 1]), &texts, false), "at `$.x[1]`: expected Text, found 1");
        assert!(said(json!("none.wav"), &Type::Audio, false).ends_with("does not exist"));
        let clip = Type::Record("Clip".into(), vec![("sound".into(), Type::Audio), ("name".into(), Type::Text)]);
        assert!(
            said(json!({"sound": "none.wav", "name": ""}), &clip, false).starts_with("at `$.x.sound`: `/none.wav`")
        );
        let extra = said(json!({"sound": {"file": "/a"}, "name": "", "more": 1}), &clip, false);
        assert_eq!(extra, "at `$.x.more`: expected no such field in Clip, found 1");
    }

    #[test]
    fn only_regular_files_with_something_in_them() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
        std::fs::write(at("empty.mp4"), "").expect("write");
        std::fs::write(at("-rf.mp4"), "x").expect("write");
        assert!(parse(&at("none.mp4"), &Type::Video).expect_err("missing").message.ends_with("does not exist"));
        assert!(parse(&at("empty.mp4"), &Type::Video).expect_err("empty").message.ends_with("is empty"));
        assert!(parse("/tmp", &Type::Video).expect_err("folder").message.contains("directory"));
        assert!(parse("/dev/zero", &Type::Video).expect_err("device").message.contains("no regular file"));
        assert!(parse("a\0b", &Type::Video).is_err());
        let value = parse(&at("-rf.mp4"), &Type::Video).expect("a file");
        assert!(value["file"].as_str().is_some_and(|p| p.starts_with('/')));
    }
}
