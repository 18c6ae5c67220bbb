//! A command with placeholders, and arguments -> its argument vector.
//!
//! `{p}` a text or number; `{p.file}` the file of a medium; `{p.list}` a text file that names the files of frames or of a list of media;
//! `{p.concat}` the same as ffmpeg's concat list; `{p.pages}` the same for the pages of a document; `{p.as.py}` a file with the text in it;
//! `{p.join.q.py}` a file with two texts in it; `{p.field}` a field of a record; `{out}` the folder of the call; `{units}` the devices it
//! holds, `{device}` of which kind; `{calls}` a file with several calls; `{rate}` frames a second (for scenes); `{script.name}` a file with that script of the standard library.

use super::Args;
use super::readers::habits;
use super::template::{Piece, pieces};
use crate::library::embedded;
use crate::run::fault::{Fault, FaultKind};
use crate::run::{probe, store};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

/// The file with the calls that a program is to carry out as one, in the folder of the first.
pub const FILE_OF_CALLS: &str = "calls.json";

/// What placeholders stand for.
pub struct Slots<'a> {
    /// The arguments.
    pub args: &'a Args,
    /// The folder of the call.
    pub out: &'a Path,
    /// The reader: some have habits.
    pub reader: &'a str,
    /// Its settings.
    pub options: &'a BTreeMap<String, String>,
    /// Devices that the call holds.
    pub units: u32,
    /// Their kind, as the library names it: `cpu`, `h100`.
    pub device: &'a str,
}

/// The argument vector of a command: every placeholder becomes part of one argument, and is never read again.
pub fn argv(command: &[String], slots: &Slots<'_>) -> Result<Vec<String>, Fault> {
    let mut argv: Vec<String> = Vec::with_capacity(command.len());
    for template in command {
        let mut argument = String::new();
        for (i, piece) in pieces(template).into_iter().enumerate() {
            let value = match piece {
                Piece::Text(text) => {
                    argument.push_str(text);
                    continue;
                }
                Piece::Slot(_) if argv.is_empty() => return Err(Fault::plan("a command's program is a placeholder")),
                Piece::Slot(path) => slot(&path, slots)?,
            };
            // A text that begins with `-` would be an option to the program; after `--` it cannot be.
            if i == 0 && value.guarded && value.text.starts_with('-') && !argv.iter().any(|a| a == "--") {
                let message = format!("a text beginning with `-` would be an option to `{}`", argv[0]);
                return Err(Fault::new(FaultKind::Input, message).help("begin the text with something else"));
            }
            if value.text.contains('\0') {
                return Err(Fault::new(FaultKind::Input, "a text with a NUL byte cannot be an argument"));
            }
            argument.push_str(&value.text);
        }
        argv.push(argument);
    }
    if argv.first().is_none_or(String::is_empty) {
        return Err(Fault::plan("an empty command"));
    }
    Ok(argv)
}

struct Filled {
    text: String,
    /// Whether it is free text, which could pass for an option.
    guarded: bool,
}

fn slot(path: &[&str], slots: &Slots<'_>) -> Result<Filled, Fault> {
    let out = slots.out;
    let trusted = |text: String| Ok(Filled { text, guarded: false });
    let written = |name: String, text: &str| {
        let at = out.join(name);
        store::write(&at, text.as_bytes())?;
        trusted(utf8(&at)?)
    };
    let name = path[0];
    let missing = || Fault::plan(format!("no parameter `{name}` for `{{{}}}`", path.join(".")));
    let Some(value) = slots.args.get(name) else {
        return match path {
            ["out"] => trusted(utf8(out)?),
            ["calls"] => trusted(utf8(&out.join(FILE_OF_CALLS))?),
            ["units"] => trusted(slots.units.to_string()),
            ["device"] => trusted(slots.device.to_owned()),
            ["rate"] => trusted(habits::rate(slots.options)?.to_string()),
            ["script", script] => {
                let none = || Fault::plan(format!("the standard library has no script `{script}`"));
                written(format!("{script}.py"), embedded::script(script).ok_or_else(none)?)
            }
            _ => Err(missing()),
        };
    };
    match path[1..] {
        ["file"] => file(name, value).and_then(trusted),
        ["list"] => {
            let mut files = files(name, value)?;
            for extra in habits::extra(slots.reader, slots.options, files.len()) {
                files.push(utf8(&out.join(extra))?);
            }
            written(format!("{name}.list.txt"), &listed(&files))
        }
        ["concat"] => {
            let entry = |file: &String| format!("file '{}'\nduration 1\n", file.replace('\'', "'\\''"));
            written(format!("{name}.concat.txt"), &files(name, value)?.iter().map(entry).collect::<String>())
        }
        ["pages"] => {
            let document = file(name, value)?;
            let pages = if probe::is_pdf(&document) { habits::pages(out)? } else { vec![document] };
            written(format!("{name}.pages.txt"), &listed(&pages))
        }
        ["as", extension] => written(format!("{name}.{extension}"), &text(value)),
        ["join", other, extension] => {
            let second = slots.args.get(other).ok_or_else(missing)?;
            written(format!("{name}.{extension}"), &format!("{}\n\n{}\n", text(value), text(second)))
        }
        ref fields => {
            let mut value = value.as_ref();
            for field in fields {
                let absent = || Fault::new(FaultKind::Data, format!("`{name}` has no `{field}`"));
                value = value.get(*field).ok_or_else(absent)?;
            }
            match value {
                Value::Null => trusted(String::new()),
                Value::String(text) => Ok(Filled { text: text.clone(), guarded: true }),
                Value::Object(medium) if medium.contains_key("file") => file(name, value).and_then(trusted),
                other => trusted(other.to_string()),
            }
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The file behind a medium, always absolute, so that no name can pass for an option.
pub fn file(name: &str, value: &Value) -> Result<String, Fault> {
    match value.get("file") {
        Some(Value::String(file)) if Path::new(file).is_absolute() => Ok(file.clone()),
        Some(Value::Null) => {
            let of = value.get("of").and_then(Value::as_str).unwrap_or("its video");
            let message = format!("`{of}` has no sound, and this step needs it");
            Err(Fault::new(FaultKind::Input, message)
                .help("leave the video out, or ask for a job that does not listen"))
        }
        _ => Err(Fault::plan(format!("`{name}` names no file"))),
    }
}

/// The files of frames, or of a list of media.
fn files(name: &str, value: &Value) -> Result<Vec<String>, Fault> {
    let items = value.get("frames").unwrap_or(value).as_array();
    let items = items.ok_or_else(|| Fault::plan(format!("`{name}` is no list of files")))?;
    let files = items.iter().map(|item| file(name, item)).collect::<Result<Vec<_>, _>>()?;
    // Such a name would be two lines of the list.
    if files.iter().any(|f| f.contains('\n')) {
        let message = format!("a file name of `{name}` holds a line break");
        return Err(Fault::new(FaultKind::Input, message).help("rename the file"));
    }
    Ok(files)
}

fn listed(files: &[String]) -> String {
    files.iter().map(|file| format!("{file}\n")).collect()
}

fn utf8(path: &Path) -> Result<String, Fault> {
    let wrong = || Fault::new(FaultKind::Storage, format!("the path `{}` is not UTF-8", path.display()));
    path.to_str().map(str::to_owned).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::sync::Arc;

    fn slots<'a>(args: &'a Args, out: &'a Path) -> Slots<'a> {
        static NONE: BTreeMap<String, String> = BTreeMap::new();
        Slots { args, out, reader: "lines", options: &NONE, units: 3, device: "cpu" }
    }

    fn fill(command: &[&str], args: &[(&str, Value)]) -> Result<Vec<String>, Fault> {
        let command: Vec<String> = command.iter().map(|c| (*c).to_owned()).collect();
        let args: Args = args.iter().map(|(n, v)| ((*n).to_owned(), Arc::new(v.clone()))).collect();
        let out = tempfile::tempdir().expect("a folder");
        argv(&command, &slots(&args, out.path()))
    }

    #[test]
    fn one_placeholder_is_part_of_one_argument_and_read_once() {
        let nasty = "{other} ; $(touch canary) \n \" -rf";
        let filled =
            fill(&["echo", "a={text}", "{text}"], &[("text", json!(nasty)), ("other", json!("no"))]).expect("filled");
        assert_eq!(filled, ["echo", &format!("a={nasty}"), nasty]);
        assert!(fill(&["{text}"], &[("text", json!("rm"))]).is_err());
        assert!(fill(&["echo", "{nobody}"], &[]).is_err());
        assert!(fill(&["echo", "{text}"], &[("text", json!("a\0b"))]).is_err());
    }

    #[test]
    fn a_text_cannot_become_an_option() {
        assert_eq!(fill(&["rm", "{text}"], &[("text", json!("-rf"))]).expect_err("refused").kind, FaultKind::Input);
        assert!(fill(&["rm", "--", "{text}"], &[("text", json!("-rf"))]).is_ok());
        assert!(fill(&["seq", "{n}"], &[("n", json!(-3))]).is_ok());
        assert!(fill(&["cat", "{video.file}"], &[("video", json!({"file": "-rf"}))]).is_err());
    }

    #[test]
    fn silence_is_explained() {
        let fault =
            fill(&["x", "{audio.file}"], &[("audio", json!({"file": null, "of": "/v.mp4"}))]).expect_err("no sound");
        assert!(fault.message.starts_with("`/v.mp4` has no sound"));
    }

    #[test]
    fn data_become_files() {
        let out = tempfile::tempdir().expect("a folder");
        let frames = json!({"frames": [{"file": "/a b", "time": 0}, {"file": "/c", "time": 1}], "count": 2});
        let args: Args =
            BTreeMap::from([("code".into(), Arc::new(json!("print(1)\n"))), ("frames".into(), Arc::new(frames))]);
        let command: Vec<String> = ["x", "{code.as.py}", "{frames.list}"].map(String::from).into();
        let argv = argv(&command, &slots(&args, out.path())).expect("filled");
        assert_eq!(std::fs::read_to_string(&argv[1]).expect("written"), "print(1)\n");
        assert_eq!(std::fs::read_to_string(&argv[2]).expect("written"), "/a b\n/c\n");
    }

    #[test]
    fn lists_for_ffmpeg_and_code_with_its_tests() {
        let out = tempfile::tempdir().expect("a folder");
        let frames = json!({"frames": [{"file": "/it's", "time": 0}], "count": 1});
        let args: Args = [("f", frames), ("code", json!("a = 1")), ("tests", json!("assert a"))]
            .map(|(n, v)| (n.to_owned(), Arc::new(v)))
            .into();
        let command: Vec<String> =
            ["x", "{f.concat}", "{code.join.tests.py}", "{units}", "{out}"].map(String::from).into();
        let argv = argv(&command, &slots(&args, out.path())).expect("filled");
        let read = |i: usize| std::fs::read_to_string(&argv[i]).expect("written");
        assert_eq!(read(1), "file '/it'\\''s'\nduration 1\n");
        assert_eq!(read(2), "a = 1\n\nassert a\n");
        assert_eq!(argv[3..], ["3".to_owned(), out.path().display().to_string()]);
    }
}
