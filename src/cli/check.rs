//! `mkbc check`

use super::args::{Format, Source};
use super::load::{libraries, load, once_each, read, show, sources, write};
use super::watch::watch;
use super::{Failure, note, print};
use crate::check::hole::report_holes;
use crate::compile::{Texts, check_file};
use crate::diag::fixes::apply;
use crate::diag::source::Sources;
use crate::diag::{Diagnostics, render};
use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use std::collections::BTreeSet;
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
    let files = sources(&options.files)?;
    files.iter().try_for_each(|path| read(path).map(drop))?;
    let folders: BTreeSet<PathBuf> = files.iter().flat_map(|path| libraries(path, &options.library)).collect();
    let paths: Vec<PathBuf> = options.files.iter().cloned().chain(folders).collect();
    watch(&paths, &mut || {
        if let Err(failure) = once(options)
            && !failure.is_said()
        {
            note(&failure.to_string());
        }
        note("waiting for changes; Ctrl-C ends");
    })
}

fn once(options: &CheckOptions) -> Result<(), Failure> {
    // What a program reads is whole even where a file cannot be read: that is an error among the others, and is said besides.
    let mut faults: Vec<(PathBuf, Failure)> = Vec::new();
    let mut files: Vec<PathBuf> = Vec::new();
    for named in &options.files {
        match sources(std::slice::from_ref(named)) {
            Ok(mut found) => files.append(&mut found),
            Err(failure) => faults.push((named.clone(), failure)),
        }
    }
    let mut failed = false;
    let mut results: Vec<Value> = Vec::new();
    let mut report = |cx: &Diagnostics, sources: &Sources| match options.format {
        Report::Text => {}
        Report::Json => match render::json(cx, sources) {
            Value::Array(mut all) => results.append(&mut all),
            other => results.push(other),
        },
        Report::Sarif => results.append(&mut render::report::sarif_results(cx, sources)),
        Report::Github => print(&render::report::github(cx, sources)),
        Report::Concise => print(&render::report::concise(cx, sources)),
    };
    for path in &once_each(files) {
        let (texts, cx) = match checked(path, options) {
            Ok(checked) => checked,
            Err(failure) => {
                faults.push((path.clone(), failure));
                continue;
            }
        };
        failed |= cx.has_errors();
        report(&cx, &texts.sources);
        if options.format == Report::Text {
            show(&cx, &texts, Format::Text);
        }
        if options.format == Report::Text && !cx.has_errors() {
            print(&format!("{}: no errors\n", path.display()));
        }
    }
    for (path, failure) in &faults {
        // In SARIF it has a place of its own.
        if options.format != Report::Sarif {
            let (cx, sources) = failure.alone(&path.display().to_string());
            report(&cx, &sources);
        }
        note(&failure.to_string());
    }
    failed |= !faults.is_empty();
    let faults: Vec<String> = faults.iter().map(|(_, failure)| failure.to_string()).collect();
    match options.format {
        Report::Json => print(&format!("{:#}\n", json!(results))),
        Report::Sarif => print(&format!("{:#}\n", render::report::sarif(results, &faults))),
        _ => {}
    }
    if failed { Err(Failure::Said) } else { Ok(()) }
}

/// The diagnostics of a file, once its fixes are applied where that is asked for.
fn checked(path: &Path, options: &CheckOptions) -> Result<(Texts, Diagnostics), Failure> {
    let source = Source { file: path.to_path_buf(), library: libraries(path, &options.library), format: Format::Text };
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
