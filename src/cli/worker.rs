//! `mkbc worker`: carries out calls of a run that is somewhere else.

use super::Failure;
use crate::ray::worker::Worker;
use crate::run::block_on;
use std::io::{BufRead, BufReader, BufWriter, Write};

/// Bytes of calls that are read at once.
const AHEAD: usize = 64 << 10;

/// Answers line after line, until there are no more.
pub fn worker() -> Result<(), Failure> {
    let failed = |e: std::io::Error| Failure::Message(format!("the worker cannot go on: {e}"));
    block_on(answer()).map_err(failed)?.map_err(failed)
}

async fn answer() -> std::io::Result<()> {
    let env = |name: &str| std::env::var(name).ok();
    let mut worker = Worker::new(&std::env::current_dir()?);
    let mut out = BufWriter::new(std::io::stdout().lock());
    let mut calls = BufReader::with_capacity(AHEAD, std::io::stdin().lock());
    let mut line = String::new();
    while calls.read_line(&mut line)? > 0 {
        if let Some(answer) = worker.take(&line, &env).await {
            writeln!(out, "{answer}")?;
        }
        // Answers go together where the next call is there already: whoever waits is woken once.
        if !calls.buffer().contains(&b'\n') {
            out.flush()?;
        }
        line.clear();
    }
    Ok(())
}
