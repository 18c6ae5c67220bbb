//! `mkbc lsp`

use super::Failure;
use super::here::{HERE, machines};
use super::load::{libraries, library, traced};
use super::plan::usable_on;
use crate::lsp::disk::Disk;
use crate::lsp::{Setup, serve};
use clap::Args;
use std::path::{Path, PathBuf};

#[derive(Args)]
pub struct LspOptions {
    /// A folder of .mkb files and profiles/*.csv to add to the library (repeatable)
    #[arg(long, value_name = "DIR")]
    pub library: Vec<PathBuf>,
    /// The cluster that jobs are planned for that name none; this machine where it is not given
    #[arg(long, value_name = "NAME")]
    pub cluster: Option<String>,
    /// Speak over standard input and output; the default, and all there is
    #[arg(long)]
    pub stdio: bool,
}

/// Serves one client; fails where it goes without having said `shutdown`.
pub fn lsp(options: &LspOptions) -> Result<(), Failure> {
    let default = options.cluster.clone().unwrap_or_else(|| HERE.to_string());
    let said = |failure: Failure| failure.to_string();
    let given = options.library.clone();
    let folders = move |file: Option<&Path>| file.map_or_else(|| given.clone(), |file| libraries(file, &given));
    let load = move |folders: &[PathBuf]| library(folders).map_err(said);
    let setup = Setup {
        machines: Box::new(move |name, library| machines(name.unwrap_or(&default), library).map_err(said)),
        // What this machine lacks is no fault of the job.
        reports: |machines| machines.name != HERE,
        usable: usable_on,
        files: Box::new(Disk::new(Box::new(folders), Box::new(load), Box::new(traced))),
    };
    match serve(setup, library(&options.library)?) {
        true => Ok(()),
        false => Err(Failure::Said),
    }
}
