//! The command line, or a file → the samples that a profile is measured with.

use super::super::Failure;
use super::super::inputs::{Inputs, known};
use super::super::load::read;
use super::ProfileOptions;
use crate::profile::{Sample, Subject};
use crate::run::{block_on, input, probe, value};
use crate::types::Type;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

/// The samples: of a file, or one for each value on the command line.
pub fn samples(subject: Subject, options: &ProfileOptions, inputs: &Inputs) -> Result<Vec<Sample>, Failure> {
    let params = &subject.task.params;
    let names: Vec<&str> = params.iter().map(|(n, _)| n.as_str()).collect();
    known(inputs, &names)?;
    let mut all = Vec::new();
    if let Some(path) = &options.samples {
        let folder = path.parent().unwrap_or(Path::new("."));
        for (line, text) in read(path)?.lines().enumerate().filter(|(_, l)| !l.trim().is_empty()) {
            let at = |why: String| Failure::Message(format!("`{}`, line {}: {why}", path.display(), line + 1));
            let object: BTreeMap<String, Value> =
                serde_json::from_str(text).map_err(|e| at(format!("no object of arguments: {e}")))?;
            if let Some(name) = object.keys().find(|k| !names.contains(&k.as_str())) {
                return Err(at(format!("the task `{}` has no `{name}`", subject.task.name)));
            }
            let mut texts = BTreeMap::new();
            for (name, value) in object {
                let text = match value {
                    Value::String(text) => text,
                    other => other.to_string(),
                };
                texts.insert(name, text);
            }
            let taken = sample(subject, &texts, folder).map_err(|f| at(f.to_string()))?;
            all.push(Sample { name: format!("{}:{}", short(&path.display().to_string()), line + 1), ..taken });
        }
    } else {
        let many = inputs.values().map(Vec::len).max().unwrap_or(0);
        if let Some((name, values)) = inputs.iter().find(|(_, v)| v.len() != 1 && v.len() != many) {
            let said = format!("`--{name}` has {} values and another option {many}", values.len());
            return Err(Failure::Usage(format!("{said}: give one for all samples, or one for each")));
        }
        for i in 0..many {
            let texts = inputs.iter().filter_map(|(n, v)| Some((n.clone(), v.get(i).or(v.first())?.clone())));
            all.push(sample(subject, &texts.collect(), Path::new("."))?);
        }
    }
    // Runs are told apart by the names of their samples.
    for i in 0..all.len() {
        if all[..i].iter().any(|other: &Sample| other.name == all[i].name) {
            all[i].name = format!("{} ({})", all[i].name, i + 1);
        }
    }
    if all.is_empty() {
        let wanted: Vec<String> = params.iter().map(|(n, ty)| format!("--{n} ({ty})")).collect();
        let help = "two or more, of different size, tell what a call costs from what its work costs";
        return Err(Failure::Usage(format!("give samples to measure with: {}\n  help: {help}", wanted.join(" "))));
    }
    Ok(all)
}

/// One sample: each argument as on the command line of `run`, JSON for lists and records, `@FILE` for JSON in a file,
/// `@FILE#FIELD` for a field of it (an earlier run's `output.json`, say).
fn sample(subject: Subject, texts: &BTreeMap<String, String>, folder: &Path) -> Result<Sample, Failure> {
    let env = |name: &str| std::env::var(name).ok();
    let mut sample = Sample { name: String::new(), args: BTreeMap::new(), sizes: BTreeMap::new() };
    let mut names = Vec::new();
    for (name, ty) in &subject.task.params {
        let Some(text) = texts.get(name.as_str()) else {
            if matches!(ty, Type::Optional(_)) {
                continue;
            }
            return Err(Failure::Usage(format!("the argument `{name}` ({ty}) is missing: give `--{name} …`")));
        };
        let about = |fault: crate::run::fault::Fault| Failure::Message(format!("`{name}`: {}", fault.message));
        let mut value = argument(text, ty, folder)?;
        block_on(probe::measure(&mut value, ty, &env)).map_err(|e| e.to_string())?.map_err(about)?;
        value::check(&value, ty).map_err(|m| format!("`{name}`: {m}"))?;
        sample.sizes.insert(name.clone(), value::planned_sizes(&value, ty));
        sample.args.insert(name.to_string(), value);
        names.push(short(text));
    }
    sample.name = names.join(" ");
    Ok(sample)
}

fn argument(text: &str, ty: &Type, folder: &Path) -> Result<Value, Failure> {
    let media = |t: &Type| matches!(t, Type::Bytes | Type::Image | Type::Audio | Type::Video | Type::Document);
    let within = |name: &str| folder.join(name).display().to_string();
    if let Some(reference) = text.strip_prefix('@') {
        let (file, field) = reference.split_once('#').map_or((reference, None), |(f, field)| (f, Some(field)));
        let path = folder.join(file);
        let value: Value =
            serde_json::from_str(&read(&path)?).map_err(|e| format!("`{}` is not JSON: {e}", path.display()))?;
        return match field {
            None => Ok(value),
            Some(field) => {
                value.get(field).cloned().ok_or_else(|| format!("`{}` has no field `{field}`", path.display()).into())
            }
        };
    }
    let parse =
        |text: &str, ty: &Type| input::parse_input(&[text.to_string()], ty).map_err(|f| Failure::Message(f.message));
    match ty {
        Type::Optional(inner) => argument(text, inner, folder),
        ty if media(ty) => parse(&within(text), ty),
        // A file that holds a text is a sample of a text; one that does not exist is the text itself.
        Type::List(item) if !text.trim_start().starts_with('[') => {
            Ok(Value::Array(vec![argument(text, item, folder)?]))
        }
        Type::List(item) if media(item) => {
            let files: Vec<String> = serde_json::from_str(text).map_err(|e| format!("`{text}` is no list: {e}"))?;
            files.iter().map(|f| parse(&within(f), item)).collect::<Result<Vec<_>, _>>().map(Value::Array)
        }
        Type::List(_) | Type::Frames | Type::Transcript => {
            Ok(serde_json::from_str(text).map_err(|e| format!("`{text}` is no {ty}: {e}"))?)
        }
        ty => parse(text, ty),
    }
}

/// The end of a path or the beginning of a text: what a sample is called.
fn short(text: &str) -> String {
    let last = text.rsplit('/').next().unwrap_or(text);
    let clean: String = last.chars().filter(|c| !c.is_control()).collect();
    if clean.chars().count() <= 32 { clean } else { format!("{}…", clean.chars().take(31).collect::<String>()) }
}
