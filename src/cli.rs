//! Arguments → calls. All reading of files and all printing happens here; one file a subcommand. `failure.rs` says what a command ends with.

mod args;
mod ask;
mod bench;
mod beside;
mod cache;
mod check;
mod compare;
mod completions;
mod describe;
mod devices;
mod doc;
mod doctor;
mod eval;
mod expand;
mod explain;
mod export;
mod failure;
mod feedback;
mod fleet;
mod fmt;
mod goal;
mod graph;
mod here;
mod highs;
mod import;
mod inputs;
mod inspect;
mod journal;
mod judge;
mod library;
mod load;
mod lsp;
mod manifests;
mod new;
mod parsed;
mod plan;
mod profile;
mod proof;
mod remote;
mod resume;
mod run;
mod runs;
mod serve;
mod simulate;
mod streaming;
mod top;
mod validate;
mod verify;
mod watch;
mod worker;

use args::Command;
pub(crate) use failure::Failure;
use ratatui::crossterm::terminal::size;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

/// Runs the command that the arguments ask for.
pub fn main() -> ExitCode {
    crate::syntax::room::with_room(carried_out)
}

fn carried_out() -> ExitCode {
    let words: Result<Vec<String>, _> = std::env::args_os().map(|word| word.into_string()).collect();
    let words = match words {
        Ok(words) => words,
        Err(word) => {
            let _ = writeln!(io::stderr(), "mkbc: the argument `{}` is not UTF-8 text", word.to_string_lossy());
            return ExitCode::from(2);
        }
    };
    let (own, inputs) = inputs::split(words);
    let mut cli = match parsed::parsed(&own) {
        Ok(cli) => cli,
        Err(status) => return ExitCode::from(status),
    };
    beside::complete(&mut cli.command);
    let reported = beside::reported(&cli.command);
    let done = match cli.command {
        Command::Check(options) => check::check(&options),
        Command::New(options) => new::new(&options),
        Command::Describe(options) => describe::describe(&options),
        Command::Completions(options) => completions::completions(&options),
        Command::Man(options) => completions::man(&options),
        Command::Fmt(options) => fmt::fmt(&options),
        Command::Explain(options) => explain::explain(&options),
        Command::Expand(options) => expand::expand(&options),
        Command::Ask(options) => goal::ask(*options),
        Command::Lock(what) => expand::lock(&what),
        Command::Plan(options) => plan::plan(&options, &inputs),
        Command::Simulate(options) => simulate::simulate(&options),
        Command::Graph(options) => graph::graph(&options, &inputs),
        Command::Inputs(options) => validate::inputs(&options),
        Command::Validate(options) => validate::validate(&options, &inputs),
        Command::Why(options) => ask::why(&options, &inputs),
        Command::WhyNot(options) => ask::why_not(&options, &inputs),
        Command::WhatIf(options) => ask::what_if(&options, &inputs),
        Command::Pareto(options) => ask::pareto(&options, &inputs),
        Command::Sensitivity(options) => ask::sensitivity(&options, &inputs),
        Command::Profile(options) => profile::profile(&options, &inputs),
        Command::Run(options) => run::run(&options, &inputs),
        Command::Resume(options) => resume::resume(&options),
        Command::Runs(options) => runs::runs(&options),
        Command::Show(options) => runs::show(&options),
        Command::Logs(options) => runs::logs(&options),
        Command::Compare(options) => compare::compare(&options),
        Command::Top(options) => top::top(&options),
        Command::Serve(options) => serve::serve(&options),
        Command::Submit(options) => remote::submit(&options, &inputs),
        Command::Deploy(options) => remote::deploy(&options),
        Command::Watch(options) => remote::watch(&options),
        Command::Fetch(options) => remote::fetch(&options),
        Command::Journal(what) => journal::journal(&what),
        Command::Cache(what) => cache::cache(&what),
        Command::Doc(options) => doc::doc(&options),
        Command::Lsp(options) => lsp::lsp(&options),
        Command::Import(what) => import::import(&what),
        Command::Eval(options) => eval::eval(&options),
        Command::Feedback(options) => feedback::feedback(&options),
        Command::Export(options) => manifests::export(&options, &inputs),
        Command::Verify(options) => verify::verify(&options),
        Command::Library(args::LibraryOptions { what: Some(args::LibraryCommand::Audit(audit)), library, .. }) => {
            library::audit_library(&library, &audit)
        }
        Command::Library(options) => inspect::library(&options),
        Command::Devices(options) => devices::devices(&options),
        Command::Doctor(options) => doctor::doctor(&options),
        Command::Schema(options) => inspect::schema(&options),
        Command::Worker(options) => worker::worker(&options),
        Command::Judge => judge::judge(),
        Command::Bench(what) => bench::bench(&what),
    };
    judge::tell();
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // Programs read one document.
            let silent = !PRINTED.load(Ordering::Relaxed);
            if let (Some(file), Failure::Message(_) | Failure::Usage(_), true) = (reported, &failure, silent) {
                let (cx, sources) = failure.alone(&file);
                print(&format!("{:#}\n", crate::diag::render::json(&cx, &sources)));
            }
            if !failure.is_said() {
                note(&failure.to_string());
            }
            ExitCode::from(failure.status())
        }
    }
}

/// Prints to standard output. A reader that has gone away is no error; output that cannot be written ends the command.
pub(crate) fn print(text: &str) {
    written(|out| out.write_all(text.as_bytes()));
}

/// Prints a value as JSON for people, with a line's end; it is never in memory as a text.
pub(crate) fn print_json(value: &impl serde::Serialize) {
    written(|out| {
        let mut out = io::BufWriter::new(out);
        serde_json::to_writer_pretty(&mut out, value)?;
        out.write_all(b"\n")?;
        out.flush()
    });
}

/// Whether anything was printed to standard output.
static PRINTED: AtomicBool = AtomicBool::new(false);

fn written(write: impl FnOnce(&mut io::StdoutLock<'static>) -> io::Result<()>) {
    PRINTED.store(true, Ordering::Relaxed);
    let mut out = io::stdout().lock();
    let written = write(&mut out).and_then(|()| out.flush());
    if let Err(error) = written
        && error.kind() != io::ErrorKind::BrokenPipe
    {
        let _ = writeln!(io::stderr(), "mkbc: cannot write to standard output: {error}");
        std::process::exit(1);
    }
}

/// Writes a line for people to standard error.
pub(crate) fn note(text: &str) {
    let _ = writeln!(io::stderr(), "mkbc: {text}");
}

/// `1 file`, `2 files`.
pub(crate) fn count(n: usize, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}

/// The width of the terminal, or one that fits a page.
pub(crate) fn width() -> u16 {
    let said = std::env::var("COLUMNS").ok().and_then(|c| c.parse().ok());
    let terminal = || io::stdout().is_terminal().then(|| size().ok()).flatten().map(|(columns, _)| columns);
    said.or_else(terminal).filter(|columns| *columns > 0).unwrap_or(140)
}
