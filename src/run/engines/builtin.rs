//! A built-in function's name, settings and arguments -> its value, computed on the blocking pool; or at once, where going there would
//! take longer than the function does.
//!
//! These are the lowest tier: they find, count and quote. None composes a sentence.

pub mod arithmetic;
pub mod colour_regions;
pub mod distinct;
pub mod extract;
pub mod fields;
pub mod passages;
pub mod retrieval;
pub mod scenes;
pub mod select;

use super::{Args, Call};
use crate::run::fault::{Fault, FaultKind};
use crate::run::kernels::{Place, gpu};
use crate::run::preflight::absent;
use crate::run::probe::Env;
use serde_json::Value;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

/// What a function is given.
#[derive(Default)]
pub struct Given {
    /// The arguments.
    pub args: Args,
    /// The settings.
    pub options: BTreeMap<String, String>,
    /// Where it is computed; most functions are for one core.
    pub place: Place,
    /// The folder that files of the result belong into.
    pub out: PathBuf,
}

impl Given {
    /// A text argument; empty where an optional one is absent.
    pub fn text(&self, name: &str) -> Result<&str, Fault> {
        match self.args.get(name).map(AsRef::as_ref) {
            Some(Value::String(text)) => Ok(text),
            None | Some(Value::Null) => Ok(""),
            Some(_) => Err(Fault::plan(format!("the parameter `{name}` is no Text"))),
        }
    }

    /// An argument; null where an optional one is absent.
    pub fn value(&self, name: &str) -> &Value {
        self.args.get(name).map_or(&Value::Null, AsRef::as_ref)
    }

    /// A number among the settings.
    pub fn number(&self, name: &str, otherwise: f64) -> Result<f64, Fault> {
        let Some(text) = self.options.get(name) else {
            return Ok(otherwise);
        };
        let number = text.trim().parse::<f64>().ok().filter(|n| n.is_finite());
        number.ok_or_else(|| Fault::plan(format!("the setting `{name}` is `{text}`, and no number")))
    }
}

/// A function.
type Function = fn(&Given) -> Result<Value, Fault>;

/// The functions, by name.
pub const FUNCTIONS: [(&str, Function); 20] = [
    ("bm25_answer", passages::answer),
    ("bm25_pages", passages::pages),
    ("best_answer", passages::best),
    ("extractive_summary", extract::summary),
    ("majority_answer", select::majority),
    ("agreement", select::agreement),
    ("first_passing", select::first_passing),
    ("join_texts", select::join),
    ("transcript_text", select::transcript_text),
    ("colour_regions", colour_regions::colour_regions),
    (distinct::NAME, distinct::distinct_frames),
    ("split_passages", retrieval::split),
    ("vector_index", retrieval::index),
    ("nearest_vectors", retrieval::nearest),
    ("bm25_search", retrieval::search),
    ("bm25_rerank", retrieval::rerank),
    ("bm25_passages", retrieval::answer),
    ("labelled_fields", fields::extract),
    ("calculator", arithmetic::calculate),
    ("same", same),
];

/// `x` as it is: what the runtime is measured with.
fn same(given: &Given) -> Result<Value, Fault> {
    Ok(given.value("x").clone())
}

/// Calls a function.
pub async fn call(
    call: &Call<'_>,
    function: &str,
    options: &BTreeMap<String, String>,
    out: &Path,
) -> Result<Value, Fault> {
    let place = Place::on(&call.step.hardware, call.gpus);
    if function == scenes::NAME {
        return Box::pin(scenes::call(call, options, place, out)).await;
    }
    let brief = brief(function, &call.args);
    let Some((_, function)) = FUNCTIONS.iter().find(|(name, _)| *name == function).copied() else {
        return Err(Fault::new(FaultKind::Unsupported, format!("this version has no built-in function `{function}`")));
    };
    let given = Given { args: call.args.clone(), options: options.clone(), place, out: out.to_path_buf() };
    let broken = || Err(Fault::new(FaultKind::Process, "a built-in function broke down; this is a bug in mkbc"));
    if brief {
        return catch_unwind(AssertUnwindSafe(|| function(&given))).unwrap_or_else(|_| broken());
    }
    tokio::task::spawn_blocking(move || function(&given)).await.unwrap_or_else(|_| broken())
}

/// Whether a call is over before anybody could look: it is made where it is asked for, and nothing says that it is under way.
pub fn brief(function: &str, args: &Args) -> bool {
    BRIEF.contains(&function) && args.values().all(|value| left_of(value, SMALL).is_some())
}

/// Functions that take less time on small arguments than another thread takes to wake.
const BRIEF: [&str; 6] = ["majority_answer", "agreement", "first_passing", "join_texts", "transcript_text", "same"];
/// What is small: parts, where 64 bytes of text are one.
const SMALL: usize = 256;

/// What remains of so many parts after a value's; none where it has more. Looks at no more than these.
fn left_of(value: &Value, parts: usize) -> Option<usize> {
    let left = parts.checked_sub(1)?;
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => Some(left),
        Value::String(text) => left.checked_sub(text.len() / 64),
        Value::Array(items) => items.iter().try_fold(left, |left, item| left_of(item, left)),
        Value::Object(fields) => fields.values().try_fold(left, |left, field| left_of(field, left)),
    }
}

/// Whether a function writes files of its result.
pub fn writes(function: &str) -> bool {
    matches!(function, scenes::NAME | distinct::NAME)
}

/// What a function lacks on this machine.
pub fn lacks(function: &str, place: &Place, env: Env<'_>) -> Vec<Fault> {
    let program = (function == scenes::NAME).then(|| absent("ffmpeg", env)).flatten();
    let device = match place {
        Place::Cpu { .. } => None,
        Place::Gpu { kind } => gpu::lacking(kind),
    };
    program.into_iter().chain(device).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_small_is_known_without_a_look_at_all_of_it() {
        assert_eq!(left_of(&json!([1, {"a": null}, "text"]), 10), Some(5));
        assert_eq!(left_of(&json!([1, {"a": null}, "text"]), 4), None);
        assert_eq!(left_of(&json!("x".repeat(640)), 12), Some(1));
        assert_eq!(left_of(&json!("x".repeat(640)), 10), None);
        assert!(BRIEF.iter().all(|name| FUNCTIONS.iter().any(|(n, _)| n == name)));
    }
}
