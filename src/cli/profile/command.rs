//! The options of `mkbc profile` → the command that measures again, for the evidence of a figure.

use super::super::inputs::Inputs;
use super::{LEAST, MOST, ProfileOptions, SECONDS, WITHIN};
use std::path::PathBuf;

/// Characters of a sample's text that stand in the command of its evidence.
const LONGEST: usize = 200;

/// The command that measures again, as a shell takes it. A text that is too long for a table is cut off.
pub fn command(options: &ProfileOptions, inputs: &Inputs) -> String {
    let mut words = vec!["mkbc".to_owned(), "profile".to_owned(), options.name.clone().unwrap_or_default()];
    let mut option = |name: &str, value: String| words.extend([format!("--{name}"), value]);
    let folder = |path: &PathBuf| path.display().to_string();
    options.task.iter().for_each(|task| option("task", task.clone()));
    options.knob.iter().for_each(|knob| option("knob", knob.clone()));
    if !options.units.is_empty() {
        option("units", options.units.iter().map(u32::to_string).collect::<Vec<_>>().join(","));
    }
    for (name, given, usual) in [("within", options.within, WITHIN), ("seconds", options.seconds, SECONDS)] {
        if given != usual {
            option(name, given.to_string());
        }
    }
    for (name, given, usual) in [("least", options.least, LEAST), ("most", options.most, MOST)] {
        if given != usual {
            option(name, given.to_string());
        }
    }
    options.library.iter().for_each(|path| option("library", folder(path)));
    options.samples.iter().for_each(|path| option("samples", folder(path)));
    if options.paid {
        words.push("--paid".to_owned());
    }
    // Last, since an input takes all values behind it.
    for (name, values) in inputs.iter() {
        words.push(format!("--{name}"));
        words.extend(values.iter().map(|value| {
            let clean: String = value.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
            let cut: String = clean.chars().take(LONGEST).collect();
            if cut.len() < clean.len() { format!("{cut}…") } else { clean }
        }));
    }
    words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=,:@%+".contains(c);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', "'\\''")),
    }
}
