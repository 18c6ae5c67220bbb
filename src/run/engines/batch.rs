//! One attempt at calls that are made as one -> each one's value or fault, by the engines that take several.

use super::{Call, openai, process, python, worker};
use crate::plan::model::Engine;
use crate::run::fault::Fault;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// What came of each call, in their order; a fault of all of them where nobody can tell them apart.
pub type Each = Result<Vec<Result<Value, Fault>>, Fault>;

/// Carries out calls as one. All have the engine of the first; each has a folder, where the engine writes to one.
pub async fn once(calls: &[Call<'_>], outs: &[PathBuf]) -> Each {
    let Some(first) = calls.first() else { return Ok(Vec::new()) };
    match &first.step.engine {
        Engine::Openai(provider) => Box::pin(openai::together(calls, provider)).await,
        Engine::Python { module, function, interpreter, .. } => {
            Box::pin(python::together(calls, &python::Module { module, interpreter }, function, outs)).await
        }
        Engine::Worker { worker, model, function, options } => {
            Box::pin(worker::together(calls, &worker::Local { worker, model, function, options }, outs)).await
        }
        Engine::Process { commands, reader, options } => {
            Box::pin(process::together(calls, commands, (reader, options), outs)).await
        }
        _ => Err(Fault::plan("the engine takes one call at a time")),
    }
}

/// The calls as others are told them: arguments, folder, and the key by which a tool with effects can tell a repeated one.
pub fn told(calls: &[Call<'_>], outs: &[PathBuf]) -> Value {
    let one = |(call, out): (&Call<'_>, &PathBuf)| {
        let arguments: serde_json::Map<String, Value> =
            call.args.iter().map(|(name, value)| (name.clone(), value.as_ref().clone())).collect();
        let mut told = json!({"arguments": arguments, "folder": out});
        if let Some(asked) = call.asked {
            told["key"] = json!(asked.idempotency());
        }
        told
    };
    calls.iter().zip(outs).map(one).collect()
}

/// The answers of a list, one for each of so many calls; none where it is no such list.
pub fn answers(list: Value, calls: usize) -> Option<Vec<Value>> {
    match list {
        Value::Array(answers) if answers.len() == calls => Some(answers),
        _ => None,
    }
}

/// Where the first call's files are: what serves all of them works there.
pub fn folder(outs: &[PathBuf]) -> &Path {
    outs.first().map_or(Path::new(""), PathBuf::as_path)
}
