//! What the call that is being typed takes.

use super::Analysis;
use super::cursor::Cursor;
use crate::types::Type;
use ecow::EcoString;

/// A signature, with the parameter that comes next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// `speech_to_text(audio: Audio) -> Transcript`
    pub label: String,
    /// What it does.
    pub docs: String,
    /// The places of the parameters in the label, in bytes (which are characters: names are ASCII).
    pub params: Vec<(u32, u32)>,
    /// The parameter that the cursor is at.
    pub active: Option<u32>,
}

/// The signature of the call around a place.
pub fn signature(analysis: &Analysis, at: u32) -> Option<Signature> {
    let cursor = Cursor::at(analysis, at)?;
    let (callee, commas, named) = cursor.call()?;
    let (params, result, docs) = callable(analysis, callee)?;
    let mut label = format!("{callee}(");
    let mut places = Vec::new();
    for (i, (name, ty)) in params.iter().enumerate() {
        label.push_str(if i > 0 { ", " } else { "" });
        let start = label.len() as u32;
        label.push_str(&format!("{name}: {ty}"));
        places.push((start, label.len() as u32));
    }
    label.push_str(&format!(") -> {result}"));
    let active = match named {
        Some(name) => params.iter().position(|(n, _)| n == name),
        None => (commas < params.len()).then_some(commas),
    };
    Some(Signature { label, docs, params: places, active: active.map(|a| a as u32) })
}

/// Parameters, result and documentation.
pub type Callable = (Vec<(EcoString, Type)>, Type, String);

/// What a name calls.
pub fn callable(analysis: &Analysis, name: &str) -> Option<Callable> {
    if let Some(task) = analysis.library.tasks.get(name) {
        return Some((task.params.clone(), task.result.clone(), task.docs.to_string()));
    }
    if let Some(job) = analysis.program.jobs.iter().find(|j| j.name == name) {
        let params = job.params.iter().map(|p| job.local(*p)).map(|l| (l.name.clone(), l.ty.clone()));
        return Some((params.collect(), job.result.clone(), job.docs.to_string()));
    }
    match analysis.library.types.get(name) {
        Some((ty @ Type::Record(_, fields), _)) => Some((fields.clone(), ty.clone(), String::new())),
        _ => None,
    }
}
