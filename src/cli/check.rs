//! `mkbc check`

use super::args::{Format, Source};
use super::load::{folder_of, load, read, same, show, sources, write};
use super::watch::watch;
use super::{Failure, note, print};
use crate::check::hole::report_holes;
use crate::compile::{Texts, check_file};
use crate::diag::fixes::apply;
use crate::diag::{Diagnostics, render};
use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

#[derive(Args)]
pub struct CheckOptions {
    /// Job files, and folders with .mkb files at any depth
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// A folder of .mkb files and profiles/*.csv to add to the library (repeatable)
    #[arg(long, value_name = "DIR")]
    pub library: Vec<PathBuf>,
    /// How diagnostics are written
    #[arg(long, value_enum, default_value_t = Report::Text)]
    pub format: Report,
    /// Apply the fixes that diagnostics offer, and check again
    #[arg(long)]
    pub fix: bool,
    /// Check again whenever a file changes, until Ctrl-C
    #[arg(long, conflicts_with = "fix")]
    pub watch: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Report {
    /// With the source beside them
    Text,
    /// One JSON array on standard output
    Json,
    /// A SARIF 2.1.0 log on standard output
    Sarif,
    /// Workflow commands of GitHub on standard output
    Github,
    /// A line each on standard output
    Concise,
}

/// How many times fixes are applied before it is taken that they undo each other. Of the syntax of a line, one is mended a time.
const MAX_ROUNDS: usize = 32;

/// Checks files; with `--fix`, applies what can be applied first; with `--watch`, again after every change.
pub fn check(options: &CheckOptions) -> Result<(), Failure> {
    if !options.watch {
        return once(options);
    }
    // A path that is wrong from the start is a mistake, and one that goes later is not.
    sources(&options.files)?.iter().try_for_each(|path| read(path).map(drop))?;
    let paths: Vec<PathBuf> = options.files.iter().chain(&options.library).cloned().collect();
    watch(&paths, &mut || {
        if let Err(failure) = once(options)
            && !matches!(failure, Failure::Said)
        {
            note(&failure.to_string());
        }
        note("waiting for changes; Ctrl-C ends");
    })
}

fn once(options: &CheckOptions) -> Result<(), Failure> {
    let files = sources(&options.files)?;
    let alone = files.len() == 1;
    let mut failed = false;
    let mut results: Vec<Value> = Vec::new();
    for path in &files {
        let (texts, cx) = match checked(path, options) {
            Ok(checked) => checked,
            Err(failure) if alone => return Err(failure),
            Err(failure) => {
                note(&failure.to_string());
                failed = true;
                continue;
            }
        };
        failed |= cx.has_errors();
        match options.format {
            Report::Text => show(&cx, &texts, Format::Text),
            Report::Json => match render::json(&cx, &texts.sources) {
                Value::Array(mut all) => results.append(&mut all),
                other => results.push(other),
            },
            Report::Sarif => results.append(&mut render::report::sarif_results(&cx, &texts.sources)),
            Report::Github => print(&render::report::github(&cx, &texts.sources)),
            Report::Concise => print(&render::report::concise(&cx, &texts.sources)),
        }
        if options.format == Report::Text && !cx.has_errors() {
            print(&format!("{}: no errors\n", path.display()));
        }
    }
    match options.format {
        Report::Json => print(&format!("{:#}\n", json!(results))),
        Report::Sarif => print(&format!("{:#}\n", render::report::sarif(results))),
        _ => {}
    }
    if failed { Err(Failure::Said) } else { Ok(()) }
}

/// The folders that a file's library has: those that are given, and for a file that was found in a folder the `library` that stands
/// beside it, or that it is in.
fn libraries(path: &Path, options: &CheckOptions) -> Vec<PathBuf> {
    let mut all = options.library.clone();
    if options.files.iter().any(|given| given == path) {
        return all;
    }
    let own = folder_of(path);
    let inside = own.canonicalize().is_ok_and(|whole| whole.ends_with("library"));
    let beside = if inside { own.to_path_buf() } else { own.join("library") };
    if beside.is_dir() && !all.iter().any(|given| same(given, &beside)) {
        all.push(beside);
    }
    all
}

/// The diagnostics of a file, once its fixes are applied where that is asked for.
fn checked(path: &Path, options: &CheckOptions) -> Result<(Texts, Diagnostics), Failure> {
    let source = Source { file: path.to_path_buf(), library: libraries(path, options), format: Format::Text };
    let mut rounds = 0;
    loop {
        let (texts, file) = load(&source)?;
        let mut cx = Diagnostics::default();
        let checked = check_file(&texts, file, &mut cx);
        for job in &checked.program.jobs {
            report_holes(job, &checked.library, &mut cx);
        }
        if options.fix && rounds < MAX_ROUNDS {
            let text = &texts.sources.get(file).text;
            let (fixed, applied) = apply(text, cx.iter().filter_map(|d| d.sure_fix()).filter(|f| f.span.file == file));
            if fixed != *text {
                for fix in applied {
                    let (line, _) = texts.sources.line_column(fix.span);
                    note(&format!("line {line}: {}", fix.title));
                }
                write(path, &fixed)?;
                rounds += 1;
                continue;
            }
        }
        return Ok((texts, cx));
    }
}
