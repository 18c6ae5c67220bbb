//! What programs wrote (standard output, files) -> the typed result, by a reader that the plan names.

pub mod documents;
pub mod habits;
pub mod pictures;
pub mod scenes;
pub mod speech;

use super::Args;
use super::child::Captured;
use crate::run::fault::{Fault, FaultKind, head, tail};
use crate::types::Type;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;

/// The largest file that a reader takes.
const MOST: u64 = 64 << 20;

/// What a reader may look at.
pub struct Reading<'a> {
    /// The folder that the programs wrote to.
    pub out: &'a Path,
    /// What each program said.
    pub captured: &'a [Captured],
    /// The reader's settings.
    pub options: &'a BTreeMap<String, String>,
    /// The arguments of the call.
    pub args: &'a Args,
    /// The type of the result.
    pub ty: &'a Type,
}

impl Reading<'_> {
    /// Standard output of the last program.
    pub fn stdout(&self) -> Result<String, Fault> {
        let bytes = self.captured.last().map(|c| c.stdout.clone()).unwrap_or_default();
        self.text(bytes, "the program's output")
    }

    /// A text is never what was made of one.
    fn text(&self, bytes: Vec<u8>, what: &str) -> Result<String, Fault> {
        String::from_utf8(bytes).map_err(|e| {
            let at = e.utf8_error().valid_up_to();
            self.unread(&format!("{what} is no UTF-8 text (byte {at})")).help("have the program write UTF-8")
        })
    }

    /// A setting that is a number.
    pub fn number(&self, name: &str, otherwise: f64) -> Result<f64, Fault> {
        let Some(text) = self.options.get(name) else {
            return Ok(otherwise);
        };
        let number = text.trim().parse::<f64>().ok().filter(|n| n.is_finite());
        number.ok_or_else(|| Fault::plan(format!("the setting `{name}` is `{text}`, and no number")))
    }

    /// A file that a program should have written.
    pub fn file(&self, name: &str) -> Result<String, Fault> {
        let path = self.out.join(name);
        let size = std::fs::metadata(&path).map_err(|_| self.unread(&format!("the program wrote no `{name}`")))?.len();
        if size > MOST {
            return Err(self.unread(&format!("`{name}` has {} MB, which is too much", size >> 20)));
        }
        let bytes = std::fs::read(&path).map_err(|e| Fault::storage("read", &path, &e))?;
        self.text(bytes, &format!("`{name}`"))
    }

    /// The output cannot be read.
    pub fn unread(&self, why: &str) -> Fault {
        let said = self.captured.last().map(|c| String::from_utf8_lossy(&c.stderr).into_owned()).unwrap_or_default();
        Fault::new(FaultKind::Process, why).detail(tail(&said, 1000))
    }
}

/// A reader.
type Reader = fn(&Reading<'_>) -> Result<Value, Fault>;

/// The readers, by name.
pub const READERS: [(&str, Reader); 8] = [
    ("ffmpeg_scenes", scenes::ffmpeg_scenes),
    ("pocketsphinx", speech::pocketsphinx),
    ("tesseract_frames", pictures::tesseract_frames),
    ("tesseract_pages", pictures::tesseract_pages),
    ("pdftotext", documents::pdftotext),
    ("lines", lines),
    ("json", json),
    ("python_tests", python_tests),
];

/// Reads what was written.
pub fn read(reader: &str, reading: &Reading<'_>) -> Result<Value, Fault> {
    match READERS.iter().find(|(name, _)| *name == reader) {
        Some((_, read)) => read(reading),
        None => Err(Fault::new(FaultKind::Unsupported, format!("this version has no reader `{reader}`"))),
    }
}

/// Standard output as text, or as a list of its lines.
fn lines(reading: &Reading<'_>) -> Result<Value, Fault> {
    let text = reading.stdout()?;
    Ok(match reading.ty {
        Type::List(_) => text.lines().map(Value::from).collect(),
        _ => Value::from(text.trim_end_matches(['\n', '\r'])),
    })
}

/// Standard output as JSON.
fn json(reading: &Reading<'_>) -> Result<Value, Fault> {
    let text = reading.stdout()?;
    serde_json::from_str(&text).map_err(|e| reading.unread(&format!("the program's output is no JSON: {e}")))
}

/// Whether the tests passed, by the program's status, and what it said.
fn python_tests(reading: &Reading<'_>) -> Result<Value, Fault> {
    let ended_well = reading.captured.iter().all(|c| c.status.success());
    let said: Vec<String> = reading
        .captured
        .iter()
        .flat_map(|c| [&c.stdout, &c.stderr])
        .map(|bytes| String::from_utf8_lossy(bytes).trim().to_owned())
        .filter(|text| !text.is_empty())
        .collect();
    let said = said.join("\n");
    // No tests at all pass in Python's eyes.
    let none = said.lines().any(|line| line.starts_with("Ran 0 tests"));
    let passed = ended_well && !none;
    // The end says what failed; a whole log would only cost tokens.
    Ok(tests_report(passed, if passed { head(&said, 4000) } else { tail(&said, 4000) }))
}

/// The result of a test run.
pub fn tests_report(passed: bool, report: &str) -> Value {
    json!({"passed": passed, "report": report})
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::os::unix::process::ExitStatusExt;

    #[test]
    fn what_is_no_text_is_not_made_one() {
        let status = std::process::ExitStatus::from_raw(0);
        let captured = [Captured { status, stdout: b"caf\xe9\n".to_vec(), stderr: Vec::new(), peak: 0 }];
        let (options, args) = (BTreeMap::new(), Args::new());
        let reading =
            Reading { out: Path::new("."), captured: &captured, options: &options, args: &args, ty: &Type::Text };
        let fault = lines(&reading).expect_err("Latin-1");
        assert_eq!(fault.message, "the program's output is no UTF-8 text (byte 3)");
        assert_eq!(fault.kind, FaultKind::Process);
    }

    proptest! {
        /// Whatever a program writes, a reader answers or refuses: it does not break down, and what it answers is plausible.
        #[test]
        fn no_output_breaks_a_reader(text in "[\\x00-\\x7fé\t\n0-9.:<>{}\\[\\]]{0,300}", rows in prop::collection::vec("[0-9]{1,3}(\t[0-9-]{1,20}){10}\t.{0,5}", 0..20)) {
            let stdout = format!("{text}\n{}", rows.join("\n")).into_bytes();
            let captured = [Captured { status: std::process::ExitStatus::from_raw(0), stderr: stdout.clone(), stdout, peak: 0 }];
            let out = std::env::temp_dir();
            for ty in [Type::Text, Type::List(Box::new(Type::Text)), Type::Json] {
                let reading = Reading { out: &out.join("nothing"), captured: &captured, options: &BTreeMap::new(), args: &Args::new(), ty: &ty };
                for (name, read) in READERS {
                    if let (Ok(value), "pocketsphinx") = (read(&reading), name) {
                        prop_assert!(crate::run::value::check(&value, &Type::Transcript).is_ok());
                    }
                }
            }
        }
    }
}
