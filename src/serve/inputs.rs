//! Inputs as JSON and their types -> values and sizes. A medium is a blob that was uploaded, `{"blob": "<SHA-256>"}`; the name of a file of the
//! server's machine counts only below the folder that the server allows.

use super::api::refusal::Refusal;
use crate::diag::nearest;
use crate::run::fault::Fault;
use crate::run::input::{Cells, admit};
use crate::run::{block_on, probe, value};
use crate::space::sizes::InputSizes;
use crate::types::Type;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Which files inputs may name.
pub struct Files<'a> {
    /// The file of a blob of the tenant's, by its digest.
    pub blob: &'a dyn Fn(&str) -> Option<PathBuf>,
    /// The folder below which files may be named.
    pub allowed: Option<&'a Path>,
}

/// The inputs of a run.
#[derive(Clone, Debug, Default)]
pub struct Given {
    /// Their values.
    pub values: BTreeMap<String, Value>,
    /// Their sizes.
    pub sizes: InputSizes,
}

/// Whether a type holds media, which take a look at their files.
pub fn has_media(ty: &Type) -> bool {
    !ty.is_data()
}

/// The values that were given for a job's inputs, checked and measured. Waits for programs that look at media.
pub fn given(params: &[(&str, &Type)], inputs: &Map<String, Value>, files: &Files<'_>) -> Result<Given, Refusal> {
    if let Some(name) = inputs.keys().find(|name| !params.iter().any(|(known, _)| known == name)) {
        let near = nearest(name, params.iter().map(|(known, _)| *known));
        let hint = near.map_or(String::new(), |near| format!(": did you mean `{near}`?"));
        return Err(Refusal::invalid("bad_input", format!("the job has no input `{name}`{hint}")));
    }
    let mut all = Given::default();
    let env = |name: &str| std::env::var(name).ok();
    for (name, ty) in params {
        let Some(cell) = inputs.get(*name) else {
            if matches!(ty, Type::Optional(_)) {
                continue;
            }
            return Err(Refusal::invalid("bad_input", format!("the input `{name}` ({ty}) is missing")));
        };
        let at = format!("$.{name}");
        let about = |fault: Fault| {
            let refusal = Refusal::invalid("bad_input", format!("the input `{name}`: {}", fault.message));
            fault.help.map_or(refusal.clone(), |help| refusal.help(help))
        };
        let cell = located(cell, ty, files, &at)?;
        let mut value = admit(&cell, ty, Cells { folder: Path::new("/"), plain: false }, &at).map_err(about)?;
        if has_media(ty) {
            let measured = block_on(probe::measure(&mut value, ty, &env));
            measured.map_err(|e| Refusal::broken(&e.to_string()))?.map_err(about)?;
        }
        all.sizes.insert((*name).into(), value::planned_sizes(&value, ty));
        all.values.insert((*name).to_owned(), value);
    }
    Ok(all)
}

/// A value with the paths of its media in place of what names them.
fn located(cell: &Value, ty: &Type, files: &Files<'_>, at: &str) -> Result<Value, Refusal> {
    match (ty, cell) {
        (Type::Optional(_), Value::Null) => Ok(Value::Null),
        (Type::Optional(inner), cell) => located(cell, inner, files, at),
        (Type::Bytes | Type::Image | Type::Audio | Type::Video | Type::Document, cell) => medium(cell, ty, files, at),
        (Type::Frames, _) => Err(refuse(at, "frames cannot be submitted: give the video that they come from")),
        (Type::List(item), Value::Array(all)) => {
            let item = |(n, cell)| located(cell, item, files, &format!("{at}[{n}]"));
            all.iter().enumerate().map(item).collect::<Result<_, _>>().map(Value::Array)
        }
        (Type::Record(_, fields), Value::Object(given)) if !ty.is_data() => {
            let mut object = given.clone();
            for (name, ty) in fields {
                if let Some(field) = object.get_mut(name.as_str()) {
                    *field = located(field, ty, files, &format!("{at}.{name}"))?;
                }
            }
            Ok(Value::Object(object))
        }
        // What looks like a file would be taken for one further on.
        (_, cell) if !value::files(cell).is_empty() => Err(refuse(at, "a field `file` names a file of the server")),
        (_, cell) => Ok(cell.clone()),
    }
}

fn medium(cell: &Value, ty: &Type, files: &Files<'_>, at: &str) -> Result<Value, Refusal> {
    let path = match cell {
        Value::Object(fields) if fields.len() == 1 => {
            let digest = fields.get("blob").and_then(Value::as_str);
            let digest = digest.ok_or_else(|| refuse(at, &format!("one {ty} is needed: {HOW}")))?;
            (files.blob)(digest).ok_or_else(|| refuse(at, "there is no such blob: upload it first (PUT /v1/blobs)"))?
        }
        Value::String(path) => {
            let Some(allowed) = files.allowed else {
                return Err(refuse(at, &format!("this server takes no names of files: {HOW}")));
            };
            below(allowed, path).ok_or_else(|| refuse(at, "there is no such file below the folder that is allowed"))?
        }
        _ => return Err(refuse(at, &format!("one {ty} is needed: {HOW}"))),
    };
    match path.to_str() {
        Some(path) => Ok(Value::from(path)),
        None => Err(refuse(at, "the file's path is not UTF-8")),
    }
}

/// How media are given.
const HOW: &str = "upload it (PUT /v1/blobs) and give {\"blob\": \"<its SHA-256>\"}";

/// The file of a name below a folder, wherever links in it lead: whoever may ask learns nothing of files elsewhere.
fn below(folder: &Path, name: &str) -> Option<PathBuf> {
    let folder = folder.canonicalize().ok()?;
    let file = folder.join(name).canonicalize().ok()?;
    (file.starts_with(&folder) && file.is_file()).then_some(file)
}

fn refuse(at: &str, why: &str) -> Refusal {
    Refusal::invalid("bad_input", format!("at `{at}`: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn given_of(ty: &Type, cell: Value, allowed: Option<&Path>) -> Result<Given, Refusal> {
        let inputs = Map::from_iter([("x".to_owned(), cell)]);
        given(&[("x", ty)], &inputs, &Files { blob: &|_| None, allowed })
    }

    #[test]
    fn no_input_names_a_file_of_the_server() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("in"), "x").expect("written");
        std::os::unix::fs::symlink("/etc/passwd", folder.path().join("link")).expect("linked");
        let record = Type::Record("R".into(), vec![("f".into(), Type::Bytes), ("j".into(), Type::Json)]);
        let wrong = [
            (Type::Bytes, json!("/etc/passwd")),
            (Type::Bytes, json!("../../../../etc/passwd")),
            (Type::Bytes, json!("link")),
            (Type::Bytes, json!("/dev/zero")),
            (Type::Bytes, json!("a\0b")),
            (Type::Bytes, json!({"file": "/etc/passwd"})),
            (Type::Bytes, json!({"blob": "../../etc/passwd"})),
            (Type::Audio, json!({"file": null})),
            (Type::Json, json!({"a": [{"file": "/etc/passwd"}]})),
            (Type::Frames, json!({"frames": [{"file": "/etc/passwd"}]})),
            (Type::List(Box::new(Type::Bytes)), json!([{"file": "/etc/passwd"}])),
            (Type::Optional(Box::new(Type::Bytes)), json!({"file": "/etc/passwd"})),
            (record.clone(), json!({"f": {"file": "/etc/passwd"}, "j": 1})),
            (record, json!({"f": {"blob": "x"}, "j": {"file": "/etc/passwd"}})),
        ];
        for (ty, cell) in wrong {
            let refused = given_of(&ty, cell.clone(), Some(folder.path()));
            assert!(refused.is_err(), "{ty}: {cell}");
        }
        assert!(given_of(&Type::Bytes, json!("in"), None).is_err(), "no folder is allowed");
        let good = given_of(&Type::Bytes, json!("in"), Some(folder.path())).expect("below the folder");
        assert_eq!(good.values["x"]["bytes"], 1);
    }

    #[test]
    fn names_and_types_are_those_of_the_job() {
        let inputs = Map::from_iter([("qestion".to_owned(), json!("why"))]);
        let none = Files { blob: &|_| None, allowed: None };
        let refused = given(&[("question", &Type::Text)], &inputs, &none).expect_err("misspelt");
        assert!(refused.message().contains("did you mean `question`?"));
        assert!(given_of(&Type::Int, json!("1"), None).is_err());
        assert!(given(&[("x", &Type::Optional(Box::new(Type::Int)))], &Map::new(), &none).is_ok());
    }
}
