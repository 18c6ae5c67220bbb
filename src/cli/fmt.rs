//! `mkbc fmt`

use super::load::{read, sources, write};
use super::{Failure, note, print};
use crate::diag::source::FileId;
use crate::diag::{Diagnostics, Severity};
use crate::syntax::fmt::{format, same_tokens};
use crate::syntax::parse::parse_text;
use crate::units::counted;
use clap::Args;
use similar::TextDiff;
use std::io::Read;
use std::path::{Path, PathBuf};

#[derive(Args)]
pub struct FmtOptions {
    /// Files, folders with .mkb files at any depth, or `-` for standard input to standard output
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Write nothing; show what would change and fail where anything would
    #[arg(long)]
    pub check: bool,
}

/// Formats files in place.
pub fn fmt(options: &FmtOptions) -> Result<(), Failure> {
    if options.files.iter().any(|f| f == Path::new("-")) {
        if options.files.len() > 1 {
            return Err(Failure::Usage("`-` stands alone: standard input is formatted to standard output".into()));
        }
        return standard_input(options.check);
    }
    let files = sources(&options.files)?;
    let (mut changed, mut failed) = (0, false);
    for path in &files {
        let done = read(path).and_then(|text| {
            let name = path.display().to_string();
            failed |= unread(&name, &text) && options.check;
            let formatted = formatted(&name, &text)?;
            if formatted == text {
                return Ok(false);
            }
            if options.check {
                print(&difference(&name, &text, &formatted));
            } else {
                write(path, &formatted)?;
            }
            Ok(true)
        });
        match done {
            Ok(does) => changed += usize::from(does),
            // The other files are formatted all the same.
            Err(failure) => {
                note(&failure.to_string());
                failed = true;
            }
        }
    }
    let verb = if options.check { "would change" } else { "changed" };
    note(&std::format!("{changed} of {} {verb}", super::count(files.len(), "file")));
    if failed || (options.check && changed > 0) { Err(Failure::Said) } else { Ok(()) }
}

fn standard_input(check: bool) -> Result<(), Failure> {
    let mut bytes = Vec::new();
    std::io::stdin().lock().read_to_end(&mut bytes).map_err(|e| std::format!("cannot read standard input: {e}"))?;
    let text = String::from_utf8(bytes).map_err(|e| {
        std::format!("standard input is not UTF-8 text: byte {} cannot be read", e.utf8_error().valid_up_to())
    })?;
    let broken = unread("standard input", &text);
    let formatted = formatted("standard input", &text)?;
    if !check {
        print(&formatted);
        return Ok(());
    }
    if formatted == text {
        return if broken { Err(Failure::Said) } else { Ok(()) };
    }
    print(&difference("standard input", &text, &formatted));
    Err(Failure::Said)
}

/// Whether a text has errors of syntax, which is said; it is formatted all the same.
fn unread(name: &str, text: &str) -> bool {
    let mut cx = Diagnostics::default();
    parse_text(text, FileId::default(), &mut cx);
    let errors = cx.count(Severity::Error);
    if errors > 0 {
        note(&std::format!("`{name}` has {} of syntax: `mkbc check` shows where", counted(errors, "error")));
    }
    errors > 0
}

/// The formatted text; refused where its tokens would not be those of the text.
fn formatted(name: &str, text: &str) -> Result<String, Failure> {
    let formatted = format(text);
    if !same_tokens(text, &formatted) {
        let what = "formatting would change what it says, which is a fault of mkbc; nothing is written";
        return Err(Failure::Message(std::format!("`{name}`: {what}")));
    }
    Ok(formatted)
}

fn difference(name: &str, old: &str, new: &str) -> String {
    TextDiff::from_lines(old, new).unified_diff().header(name, &std::format!("{name}, formatted")).to_string()
}
