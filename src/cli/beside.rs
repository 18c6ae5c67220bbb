//! Which libraries the job of a command line has: the same for every command, and for the editor's server. And whose errors are read by programs.

use super::args::{Command, Format, Shape, Source};
use super::expand::LockCommand;
use super::load::libraries;
use std::path::{Path, PathBuf};

/// Adds the `library` folders beside the job files of a command to those that are given. `check`, which may have files of many folders,
/// looks for each of them by itself.
pub fn complete(command: &mut Command) {
    if let Some((files, library)) = jobs(command) {
        for file in files {
            *library = libraries(&file, library);
        }
    }
}

/// The file whose errors a command writes as JSON; none where they are for people, or the command sees to that by itself.
pub fn reported(command: &Command) -> Option<String> {
    let source = match command {
        Command::Pareto(options) => {
            return (options.format == Shape::Json).then(|| options.file.display().to_string());
        }
        Command::Expand(options) => &options.source,
        Command::Lock(LockCommand::Verify(options)) => &options.source,
        Command::Plan(options) => &options.planning.source,
        Command::Run(options) => &options.planning.source,
        Command::Why(options) => &options.planning.source,
        Command::WhyNot(options) => &options.planning.source,
        Command::WhatIf(options) => &options.planning.source,
        Command::Sensitivity(options) => &options.planning.source,
        _ => return None,
    };
    (source.format == Format::Json).then(|| source.file.display().to_string())
}

/// The job files of a command and the libraries that it is given; none where it is about no job.
fn jobs(command: &mut Command) -> Option<(Vec<PathBuf>, &mut Vec<PathBuf>)> {
    let is_job = |path: &Path| path.extension().is_some_and(|ending| ending == "mkb");
    fn of(source: &mut Source) -> Option<(Vec<PathBuf>, &mut Vec<PathBuf>)> {
        Some((vec![source.file.clone()], &mut source.library))
    }
    match command {
        Command::Expand(options) => of(&mut options.source),
        Command::Lock(LockCommand::Verify(options)) => of(&mut options.source),
        Command::Run(options) => of(&mut options.planning.source),
        Command::Why(options) => of(&mut options.planning.source),
        Command::WhyNot(options) => of(&mut options.planning.source),
        Command::WhatIf(options) => of(&mut options.planning.source),
        Command::Sensitivity(options) => of(&mut options.planning.source),
        Command::Plan(options) => {
            let source = &mut options.planning.source;
            let files = std::iter::once(&source.file).chain(&options.fleet.more).cloned();
            Some((files.collect(), &mut source.library))
        }
        Command::Simulate(options) => Some((options.files.clone(), &mut options.library)),
        Command::Graph(options) => Some((vec![options.file.clone()], &mut options.library)),
        Command::Pareto(options) => Some((vec![options.file.clone()], &mut options.library)),
        Command::Inputs(options) => Some((vec![options.job.file.clone()], &mut options.job.library)),
        Command::Validate(options) => Some((vec![options.job.file.clone()], &mut options.job.library)),
        Command::Export(options) => Some((options.run.iter().cloned().collect(), &mut options.library)),
        Command::Verify(options) => Some((options.source.iter().cloned().collect(), &mut options.library)),
        Command::Deploy(options) => Some((options.file.iter().cloned().collect(), &mut options.library)),
        // These two also take what is no job: a plan, the name of a task.
        Command::Submit(options) if is_job(&options.file) => Some((vec![options.file.clone()], &mut options.library)),
        Command::Eval(options) if is_job(Path::new(&options.what)) => {
            Some((vec![PathBuf::from(&options.what)], &mut options.library))
        }
        _ => None,
    }
}
