//! `mkbc judge`: z3 for another process of this program; and those processes, for this one.

use super::{Failure, note};
use crate::apart::{Apart, answer};
use crate::solve::judge::Judge;
use std::sync::OnceLock;

static APART: OnceLock<Apart> = OnceLock::new();

/// Answers one order after the other, until there are no more.
pub fn judge() -> Result<(), Failure> {
    answer().map_err(|e| Failure::Message(format!("z3 cannot go on: {e}")))
}

/// z3 in a process of its own; `None` where this program does not know where it lies.
pub fn apart() -> Option<&'static dyn Judge> {
    let program = std::env::current_exe().ok()?;
    Some(APART.get_or_init(|| Apart::new(program, &["judge"])))
}

/// Says how z3 ended, if it did so too early.
pub fn tell() {
    if let Some(how) = APART.get().and_then(Apart::ended) {
        note(&format!("z3 {how}; what it did not certify rests on the native search alone"));
    }
}
