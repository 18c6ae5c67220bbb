//! `mkbc worker`: carries out runs of a server on this machine, or calls of a run that is somewhere else.

use super::here::usable_here;
use super::load::library;
use super::remote::{Address, TOKEN, TlsOptions};
use super::{Failure, note};
use crate::compile::{Checked, check_tree};
use crate::diag::{Diagnostics, render};
use crate::host::tie::Service;
use crate::host::{self, Settings};
use crate::ray::worker::Worker;
use crate::run::block_on;
use crate::run::devices::cpu::cores;
use crate::run::journal::PROJECT;
use crate::serve::tenants::plain_name;
use crate::syntax::ast::File;
use clap::Args;
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Bytes of calls that are read at once.
const AHEAD: usize = 64 << 10;
/// How long answers wait for others.
const TOGETHER: Duration = Duration::from_millis(1);

#[derive(Args)]
pub struct WorkerOptions {
    /// The server whose runs are carried out here; without it, calls of a run that is elsewhere come on standard input
    #[arg(long, value_name = "URL")]
    pub to: Option<String>,
    /// The file with this worker's token, of which the server has the digest [default: $MKBC_TOKEN holds it]
    #[arg(long, value_name = "FILE", requires = "to")]
    pub token_file: Option<PathBuf>,
    /// What this worker is called [default: the name of this machine]
    #[arg(long, requires = "to")]
    pub name: Option<String>,
    /// The process that started this one, whose end is this one's
    #[arg(long, hide = true, value_name = "PID", conflicts_with = "to")]
    pub dies_with: Option<u32>,
    /// Runs at a time [default: as many as there are cores]
    #[arg(long, value_name = "N", requires = "to", value_parser = clap::value_parser!(u32).range(1..=1_024))]
    pub runs: Option<u32>,
    /// The folder whose `.mkbc/worker` holds runs that are under way, and results that are kept for others
    #[arg(long, value_name = "DIR", default_value = ".", requires = "to")]
    pub project: PathBuf,
    /// Where modules and programs that the server's library brings along are looked for (repeatable)
    #[arg(long, value_name = "DIR", requires = "to")]
    pub library: Vec<PathBuf>,
    #[command(flatten)]
    pub tls: TlsOptions,
}

/// Carries out what a server has, until it is stopped; or answers line after line, until there are no more.
pub fn worker(options: &WorkerOptions) -> Result<(), Failure> {
    match &options.to {
        Some(to) => host(options, to),
        None => calls(options.dies_with),
    }
}

fn calls(dies_with: Option<u32>) -> Result<(), Failure> {
    if let Some(parent) = dies_with {
        rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))
            .map_err(|e| Failure::Message(format!("the worker would outlive whoever started it: {e}")))?;
        // It may be gone already.
        if std::os::unix::process::parent_id() != parent {
            return Ok(());
        }
    }
    let failed = |e: std::io::Error| Failure::Message(format!("the worker cannot go on: {e}"));
    block_on(answer()).map_err(failed)?.map_err(failed)
}

async fn answer() -> std::io::Result<()> {
    let env = |name: &str| std::env::var(name).ok();
    let mut worker = Worker::new(&std::env::current_dir()?);
    let mut out = BufWriter::new(std::io::stdout().lock());
    let mut calls = BufReader::with_capacity(AHEAD, std::io::stdin().lock());
    let mut line = String::new();
    let mut flushed = Instant::now();
    while calls.read_line(&mut line)? > 0 {
        if let Some(answer) = worker.take(&line, &env).await {
            writeln!(out, "{answer}")?;
        }
        // Answers go together where the next call is there already and they do not wait for long: whoever waits is woken once.
        if !calls.buffer().contains(&b'\n') || flushed.elapsed() > TOGETHER {
            out.flush()?;
            flushed = Instant::now();
        }
        line.clear();
    }
    Ok(())
}

fn host(options: &WorkerOptions, to: &str) -> Result<(), Failure> {
    let name = options.name.clone().unwrap_or_else(machine);
    if !plain_name(&name) {
        let why = "a name has 1 to 64 letters, digits, `-`, `_` and `.`";
        return Err(Failure::Usage(format!("a worker cannot be called `{}`: {why}", name.escape_debug())));
    }
    let token = token(options.token_file.as_deref())?;
    let Address { base, here } = Address::of(Some(to), true)?;
    let absolute = |path: &PathBuf| {
        let cannot = |e| Failure::Message(format!("cannot find the folder `{}`: {e}", path.display()));
        path.canonicalize().map_err(cannot)
    };
    // What is wrong with certificates is said now, and not with the first run.
    options.tls.client(here)?;
    let tls = options.tls.clone();
    let connect = Arc::new(move || tls.client(here).map_err(|failure| failure.to_string()));
    let libraries = options.library.iter().map(absolute).collect::<Result<Vec<_>, _>>()?;
    let settings = Settings {
        service: Service { base: base.as_str().trim_end_matches('/').to_owned(), token, connect },
        runs: options.runs.unwrap_or_else(cores),
        folder: absolute(&options.project)?.join(PROJECT).join("worker").join(&name),
        usable: usable(&libraries)?,
        libraries,
        name,
    };
    match host::work(&settings, &note)? {
        143 => Err(Failure::Terminated),
        _ => Err(Failure::Stopped),
    }
}

/// What of the library, and of the folders beside it, this machine can run.
fn usable(libraries: &[PathBuf]) -> Result<BTreeSet<String>, Failure> {
    let (texts, mut cx) = (library(libraries)?, Diagnostics::default());
    let Checked { library, .. } = check_tree(&texts, File::default(), &mut cx);
    if cx.has_errors() {
        return Err(Failure::Message(render::text(&cx, &texts.sources, false)));
    }
    let usable = library.implementations.values().filter(|entry| usable_here(entry).is_ok());
    Ok(usable.map(|entry| entry.name.to_string()).collect())
}

/// What this machine is called, as far as that can be a worker's name.
fn machine() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '-' };
    let name: String = name.trim().chars().take(64).map(plain).collect();
    if plain_name(&name) { name } else { "worker".to_owned() }
}

/// The token, of a file that nobody else can read, or of the environment.
fn token(file: Option<&Path>) -> Result<String, Failure> {
    let Some(path) = file else {
        let set = std::env::var(TOKEN).ok().filter(|token| !token.is_empty());
        return set.ok_or_else(|| Failure::Usage(format!("a token is needed: `--token-file FILE`, or `{TOKEN}`")));
    };
    let cannot = |e| Failure::Message(format!("cannot read `{}`: {e}", path.display()));
    if path.metadata().map_err(cannot)?.permissions().mode() & 0o077 != 0 {
        let (path, what) = (path.display(), "can be read or written by others");
        return Err(Failure::Message(format!("`{path}` {what}\n  help: chmod 600 {path}")));
    }
    let token = std::fs::read_to_string(path).map_err(cannot)?.trim().to_owned();
    // A text with such characters is no token, and would be shown where the header is refused.
    if token.is_empty() || !token.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(Failure::Message(format!("`{}` holds no token", path.display())));
    }
    Ok(token)
}
