//! A job's inputs → a JSON schema of a file that gives them, and a template of one. A medium is the path of its file.

use crate::types::Type;
use serde_json::{Map, Value, json};

/// The dialect of the schemas.
const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// The JSON schema of an object with a value for each input; an input that may be absent may be left out or null.
pub fn schema(job: &str, docs: &str, params: &[(&str, &Type)]) -> Value {
    let mut schema = object(params.iter().map(|(name, ty)| (*name, *ty)));
    let mut whole = Map::new();
    whole.insert("$schema".to_string(), DIALECT.into());
    whole.insert("title".to_string(), job.into());
    if !docs.is_empty() {
        whole.insert("description".to_string(), docs.into());
    }
    if let Some(fields) = schema.as_object_mut() {
        whole.append(fields);
    }
    Value::Object(whole)
}

/// An object with a value of the right type for each input: texts to be replaced, media at paths that are not there.
pub fn template(params: &[(&str, &Type)]) -> Value {
    Value::Object(params.iter().map(|(name, ty)| (name.to_string(), example(name, ty))).collect())
}

/// How names of files of a type usually end. What counts is what is in the file: `ffprobe` and `pdfinfo` read it.
pub fn endings(ty: &Type) -> &'static [&'static str] {
    match ty {
        Type::Video => &["mp4", "mkv", "mov", "webm", "avi"],
        Type::Audio => &["wav", "mp3", "flac", "ogg", "m4a"],
        Type::Image => &["png", "jpg", "jpeg", "webp", "gif", "bmp", "tiff"],
        Type::Document => &["pdf", "png", "jpg", "jpeg", "tiff", "bmp", "gif", "webp", "pnm"],
        _ => &[],
    }
}

fn object<'a>(fields: impl Iterator<Item = (&'a str, &'a Type)> + Clone) -> Value {
    let required: Vec<&str> =
        fields.clone().filter(|(_, ty)| !matches!(ty, Type::Optional(_))).map(|(n, _)| n).collect();
    let properties: Map<String, Value> = fields.map(|(name, ty)| (name.to_string(), of(ty))).collect();
    json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false})
}

/// The schema of a value.
fn of(ty: &Type) -> Value {
    match ty {
        Type::List(item) => json!({"type": "array", "items": of(item)}),
        Type::Optional(inner) => json!({"anyOf": [of(inner), {"type": "null"}]}),
        Type::Record(name, fields) => {
            let mut schema = object(fields.iter().map(|(n, t)| (n.as_str(), t)));
            if let Some(schema) = schema.as_object_mut().filter(|_| !name.is_empty()) {
                schema.insert("title".to_string(), name.as_str().into());
            }
            schema
        }
        Type::Enum(name, _) => {
            let mut schema = ty.json_schema();
            schema["title"] = name.as_str().into();
            schema
        }
        Type::Bytes | Type::Image | Type::Audio | Type::Video | Type::Document => {
            let endings = endings(ty);
            let kinds =
                if endings.is_empty() { String::new() } else { format!(": {}, or the like", endings.join(", ")) };
            json!({
                "type": "string",
                "minLength": 1,
                "description": format!("The path of a file ({ty}){kinds}"),
                "x-file": {"type": ty.to_string(), "endings": endings},
            })
        }
        Type::Frames => {
            let frame = json!({"type": "object", "properties": {"file": {"type": "string"}}, "required": ["file"]});
            json!({"type": "object", "properties": {"frames": {"type": "array", "items": frame}}, "required": ["frames"]})
        }
        Type::Transcript => {
            let times = json!({"start": {"type": "number"}, "end": {"type": "number"}, "text": {"type": "string"}});
            let segment = json!({"type": "object", "properties": times, "required": ["start", "end", "text"]});
            json!({"type": "object", "properties": {"segments": {"type": "array", "items": segment}}, "required": ["segments"]})
        }
        Type::Int => json!({"type": "integer", "minimum": i64::MIN, "maximum": i64::MAX}),
        Type::Text | Type::Float | Type::Bool | Type::Json | Type::Embedding | Type::Unknown => ty.json_schema(),
    }
}

/// A value of a type; `name` says what it is of.
fn example(name: &str, ty: &Type) -> Value {
    match ty {
        Type::Text => format!("({name})").into(),
        Type::Int => 0.into(),
        Type::Float => 0.0.into(),
        Type::Bool => false.into(),
        Type::Json | Type::Unknown => json!({}),
        Type::Bytes => format!("path/to/{name}").into(),
        Type::Image | Type::Audio | Type::Video | Type::Document => {
            format!("path/to/{name}.{}", endings(ty).first().copied().unwrap_or_default()).into()
        }
        Type::Frames => json!({"frames": [{"file": "path/to/frame.png", "time": 0.0}], "count": 1}),
        Type::Transcript => json!({"segments": [{"start": 0.0, "end": 1.0, "text": format!("({name})")}]}),
        Type::Embedding => json!([0.0]),
        Type::List(item) => json!([example(name, item)]),
        Type::Optional(_) => Value::Null,
        Type::Record(_, fields) => {
            Value::Object(fields.iter().map(|(n, ty)| (n.to_string(), example(n, ty))).collect())
        }
        Type::Enum(_, values) => values.first().map_or(Value::Null, |first| first.as_str().into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::value::check;

    fn every_type() -> Vec<Type> {
        let mut all: Vec<Type> = Type::BUILT_IN.iter().map(|(_, ty)| ty.clone()).collect();
        let fields = all.iter().map(|ty| (ecow::eco_format!("f_{ty}"), ty.clone())).collect();
        all.push(Type::Record("Everything".into(), fields));
        all.push(Type::Enum("Size".into(), vec!["small".into(), "large".into()]));
        all.extend(all.clone().into_iter().map(|ty| Type::List(Box::new(ty))));
        all.extend(all.clone().into_iter().map(|ty| Type::Optional(Box::new(ty))));
        all
    }

    /// Media are objects once they are read; the template names paths.
    fn read(value: Value, ty: &Type) -> Value {
        match (ty, value) {
            (Type::Bytes | Type::Image | Type::Audio | Type::Video | Type::Document, path) => json!({"file": path}),
            (Type::List(item), Value::Array(all)) => all.into_iter().map(|v| read(v, item)).collect(),
            (Type::Record(_, fields), Value::Object(mut object)) => {
                for (name, ty) in fields {
                    let value = object.get(name.as_str()).cloned().expect("a field");
                    object.insert(name.to_string(), read(value, ty));
                }
                Value::Object(object)
            }
            (_, value) => value,
        }
    }

    #[test]
    fn a_template_has_the_type_and_fits_the_schema() {
        for ty in every_type() {
            let template = template(&[("x", &ty)]);
            let schema = schema("job", "", &[("x", &ty)]);
            let validator = jsonschema::draft202012::new(&schema).expect("a schema");
            assert!(validator.is_valid(&template), "{ty}: {template} is no {schema}");
            check(&read(template["x"].clone(), &ty), &ty).unwrap_or_else(|m| panic!("{ty}: {m}"));
        }
    }

    #[test]
    fn what_is_of_no_use_does_not_fit_the_schema() {
        let wrong = [
            (Type::Text, json!(1)),
            (Type::Int, json!(1.5)),
            (Type::Enum("E".into(), vec!["a".into()]), json!("b")),
            (Type::List(Box::new(Type::Text)), json!(["a", 1])),
            (Type::Optional(Box::new(Type::Int)), json!("a")),
            (Type::Record("R".into(), vec![("a".into(), Type::Int)]), json!({})),
            (Type::Record("R".into(), vec![("a".into(), Type::Int)]), json!({"a": 1, "b": 2})),
            (Type::Video, json!({"file": 1})),
            (Type::Transcript, json!({"segments": [{"start": 0}]})),
        ];
        for (ty, value) in wrong {
            let schema = schema("job", "", &[("x", &ty)]);
            let validator = jsonschema::draft202012::new(&schema).expect("a schema");
            assert!(!validator.is_valid(&json!({"x": value})), "{ty}: {value}");
            assert!(!validator.is_valid(&json!({"x": value, "y": 1})));
        }
        let none = schema("job", "", &[("x", &Type::Text)]);
        assert!(!jsonschema::draft202012::new(&none).expect("a schema").is_valid(&json!({})));
    }
}
