//! Calls that are carried out elsewhere: what a run needs of those who do.
//!
//! Attempts, deadlines, results of other runs, money and the journal stay with the run; only the work itself is done elsewhere, and what
//! it gives is brought here before it counts.

use super::engines::Args;
use super::fault::Fault;
use crate::plan::model::{Engine, PlanStep};
use serde_json::Value;
use std::future::Future;
use std::path::Path;
use std::pin::Pin;

/// A call that is under way elsewhere. Dropped, it is given up.
pub type Working<'a> = Pin<Box<dyn Future<Output = Result<Value, Fault>> + 'a>>;

/// Somebody who carries out calls elsewhere.
pub trait Remote {
    /// Carries out a call; files that it makes are below `out` when it is done.
    fn call<'a>(&'a self, step: &'a PlanStep, args: &'a Args, out: &'a Path) -> Working<'a>;
}

/// Whether an engine's work can be done elsewhere: that of programs, and of Python files, which go along, by an interpreter that is found
/// there. A provider is asked from here, so that no key leaves; what is left is quick, or needs other files of this machine.
pub fn portable(engine: &Engine) -> bool {
    match engine {
        Engine::Process { .. } => true,
        Engine::Python { module, interpreter, .. } => module.ends_with(".py") && !interpreter.contains('/'),
        _ => false,
    }
}
