//! Words → options. What clap says of them is completed: which number is wanted, and which inputs the job of a command line has.

use super::args::{Cli, Source};
use super::inputs::takes_inputs;
use super::load::{libraries, load};
use crate::check::program::Job;
use crate::compile::check_file;
use crate::diag::Diagnostics;
use crate::types::Type;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory, Error, FromArgMatches};
use std::error::Error as _;
use std::io::{IsTerminal, Write};
use std::num::{IntErrorKind, ParseFloatError, ParseIntError};
use std::path::{Path, PathBuf};

/// The options of a command line; where there are none, why is said, and this is what the command ends with.
pub fn parsed(words: &[String]) -> Result<Cli, u8> {
    let name = words.get(1).map(String::as_str).unwrap_or_default();
    let mut command = Cli::command();
    if let Some(inputs) = asks_for_help(words).then(|| of_job(name, words)).flatten() {
        command = command.mut_subcommand(name, |sub| sub.after_help(inputs));
    }
    let matches = command.try_get_matches_from_mut(words);
    matches.and_then(|mut found| Cli::from_arg_matches_mut(&mut found)).map_err(|error| said(&error))
}

fn said(error: &Error) -> u8 {
    let status = u8::try_from(error.exit_code()).unwrap_or(2);
    let Some((said, wanted)) = number(error) else {
        // A reader that has gone away is no error.
        let _ = error.print();
        return status;
    };
    let plain = std::env::var_os("NO_COLOR").is_some() || !std::io::stderr().is_terminal();
    let text = if plain { error.render().to_string() } else { error.render().ansi().to_string() };
    let _ = std::io::stderr().write_all(text.replace(&said, &wanted).as_bytes());
    status
}

/// What the standard library says of a number that is none, and what is wanted.
fn number(error: &Error) -> Option<(String, String)> {
    let cause = error.source().filter(|_| error.kind() == ErrorKind::ValueValidation)?;
    let wanted = match (cause.downcast_ref::<ParseIntError>(), cause.downcast_ref::<ParseFloatError>()) {
        (Some(wrong), _) => match wrong.kind() {
            IntErrorKind::PosOverflow => "the number is too large",
            IntErrorKind::Zero => "a whole number from 1 is wanted",
            _ if negative(error) => "a whole number is wanted, not below 0",
            _ => "a whole number is wanted",
        },
        (_, Some(_)) => "a number is wanted",
        _ => return None,
    };
    Some((cause.to_string(), wanted.to_string()))
}

fn negative(error: &Error) -> bool {
    let value = error.get(ContextKind::InvalidValue);
    matches!(value, Some(ContextValue::String(text)) if text.strip_prefix('-').is_some_and(|n| n.parse::<u64>().is_ok()))
}

fn asks_for_help(words: &[String]) -> bool {
    words.iter().skip(2).take_while(|word| *word != "--").any(|word| word == "--help" || word == "-h")
}

/// The inputs of the job that a command line names, as options.
fn of_job(command: &str, words: &[String]) -> Option<String> {
    if !takes_inputs(command) {
        return None;
    }
    let words = &words[2..];
    let file =
        words.iter().map(Path::new).find(|word| word.extension().is_some_and(|e| e == "mkb") && word.is_file())?;
    let valued = |name: &str| {
        let (name, is) = (format!("--{name}"), format!("--{name}="));
        let behind = words.windows(2).filter(move |pair| pair[0] == name).map(|pair| pair[1].clone());
        let within = words.iter().filter_map(move |word| word.strip_prefix(&is).map(str::to_string));
        behind.chain(within).collect::<Vec<String>>()
    };
    let given: Vec<PathBuf> = valued("library").into_iter().map(PathBuf::from).collect();
    let source =
        Source { file: file.to_path_buf(), library: libraries(file, &given), format: super::args::Format::Text };
    let mut cx = Diagnostics::default();
    let (texts, id) = load(&source).ok()?;
    let jobs = check_file(&texts, id, &mut cx).program.jobs;
    if cx.has_errors() {
        return Some(format!("`{0}` has errors: `mkbc check {0}` says which", file.display()));
    }
    let wanted = valued("job").pop();
    let shown: Vec<String> =
        jobs.iter().filter(|job| wanted.as_ref().is_none_or(|name| *name == *job.name)).map(inputs).collect();
    (!shown.is_empty()).then(|| shown.join("\n\n"))
}

/// A job's inputs, laid out as clap lays out options.
fn inputs(job: &Job) -> String {
    let docs = job.docs.lines().next().filter(|line| !line.trim().is_empty());
    let docs = docs.map_or(String::new(), |line| format!(" ({})", line.trim().trim_end_matches('.')));
    let params = job.params.iter().map(|p| job.local(*p)).map(|l| (format!("--{} {}", l.name, holder(&l.ty)), &l.ty));
    let params: Vec<(String, &Type)> = params.collect();
    if params.is_empty() {
        return format!("The job `{}`{docs} has no inputs", job.name);
    }
    let width = params.iter().map(|(option, _)| option.chars().count()).max().unwrap_or(0);
    let line =
        |(option, ty): &(String, &Type)| format!("\n      {option:width$}  {}", about(ty)).trim_end().to_string();
    format!("Inputs of the job `{}`{docs}:{}", job.name, params.iter().map(line).collect::<String>())
}

/// What stands for a value in its option.
fn holder(ty: &Type) -> String {
    match ty {
        Type::Optional(inner) => holder(inner),
        Type::List(inner) => format!("{}...", holder(inner)),
        Type::Record(name, _) if name.is_empty() => "<JSON>".to_string(),
        other => format!("<{other}>"),
    }
}

/// How a value is written, in a few words.
fn about(ty: &Type) -> String {
    let how = |ty: &Type| match ty {
        Type::Text => Some("`@FILE`: what a file holds, `@-`: standard input".to_string()),
        Type::Bool => Some("true or false".to_string()),
        Type::Enum(_, values) => Some(format!("one of {}", values.join(", "))),
        Type::Bytes | Type::Image | Type::Audio | Type::Video | Type::Document => Some("a file".to_string()),
        Type::Int | Type::Float => None,
        _ => Some("JSON".to_string()),
    };
    match ty {
        Type::Optional(inner) => [about(inner), "may be left out".to_string()]
            .into_iter()
            .filter(|words| !words.is_empty())
            .collect::<Vec<_>>()
            .join("; "),
        Type::List(inner) => ["one or more".to_string()].into_iter().chain(how(inner)).collect::<Vec<_>>().join("; "),
        other => how(other).unwrap_or_default(),
    }
}
