//! `mkbc worker`: carries out calls of a run that is somewhere else.

use super::Failure;
use crate::ray::worker::work;
use crate::run::block_on;
use std::io::{BufRead, Write};

/// Answers line after line, until there are no more.
pub fn worker() -> Result<(), Failure> {
    let failed = |e: std::io::Error| Failure::Message(format!("the worker cannot go on: {e}"));
    let env = |name: &str| std::env::var(name).ok();
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let answer = block_on(work(&line.map_err(failed)?, &env)).map_err(failed)?;
        writeln!(out, "{answer}").and_then(|()| out.flush()).map_err(failed)?;
    }
    Ok(())
}
