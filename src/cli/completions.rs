//! `mkbc completions` and `mkbc man`

use super::args::Cli;
use super::{Failure, note, print};
use clap::{Args, CommandFactory};
use clap_complete::Shell;
use std::path::PathBuf;

#[derive(Args)]
pub struct CompletionsOptions {
    /// The shell
    #[arg(value_enum)]
    pub shell: Shell,
}

#[derive(Args)]
pub struct ManOptions {
    /// The folder of the pages; made if it is not there
    #[arg(long, short, value_name = "DIR", default_value = "man")]
    pub out: PathBuf,
}

/// Prints the script that completes commands and options in a shell.
pub fn completions(options: &CompletionsOptions) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(options.shell, &mut Cli::command(), "mkbc", &mut script);
    print(&String::from_utf8_lossy(&script));
    Ok(())
}

/// Writes a manual page for `mkbc` and for each command.
pub fn man(options: &ManOptions) -> Result<(), Failure> {
    let folder = &options.out;
    std::fs::create_dir_all(folder).map_err(|e| format!("cannot make the folder `{}`: {e}", folder.display()))?;
    clap_mangen::generate_to(Cli::command(), folder)
        .map_err(|e| format!("cannot write the pages into `{}`: {e}", folder.display()))?;
    note(&format!("pages in {}: man -l {}", folder.display(), folder.join("mkbc.1").display()));
    Ok(())
}
