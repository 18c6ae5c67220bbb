//! A call, before and after it is made: what the journal is asked about it, and what it is told.

use super::record::{CallId, Source};
use crate::digest::digest;
use crate::run::meter::Usage;
use serde_json::Value;
use std::cell::OnceCell;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// A call that is to be made.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Which.
    pub call: CallId,
    /// Digest of its arguments.
    pub input: String,
    /// Which attempt this is, over all runtimes.
    pub attempt: u32,
    /// Whether it may cost money or change something: it is then on the disk before and after.
    pub weighty: bool,
    /// Whether it is over before anybody could look, and costs nothing: then only its result is recorded.
    pub brief: bool,
    of: Arc<Of>,
    key: OnceCell<String>,
}

/// Whose calls: the part of their keys that is the same for all.
#[derive(Debug)]
pub struct Of {
    /// What the run is of.
    pub identity: String,
    /// Its number.
    pub run: String,
}

impl Asked {
    /// A call.
    pub fn new(call: CallId, input: String, attempt: u32, (weighty, brief): (bool, bool), of: Arc<Of>) -> Asked {
        Asked { call, input, attempt, weighty, brief, of, key: OnceCell::new() }
    }

    /// The same call by somebody whose work may cost money or change something.
    pub fn weightier(&self) -> Asked {
        Asked { weighty: true, brief: false, ..self.clone() }
    }

    /// The key of the call: the same for every attempt at it.
    pub fn idempotency(&self) -> &str {
        self.key.get_or_init(|| digest([self.of.identity.as_str(), &self.of.run, &self.call.path, &self.input]))
    }
}

/// A call that is done already.
#[derive(Clone, Debug)]
pub struct Earlier {
    /// What it gave.
    pub value: Value,
    /// What it used.
    pub usage: Usage,
    /// How long it took.
    pub wall: Duration,
    /// Whence it is.
    pub source: Source,
}

/// What the journal knows of a call.
#[derive(Debug)]
pub enum Known {
    /// It is done.
    Done(Earlier),
    /// It is to be made.
    Open(Asked),
}

/// What came of a call that was made.
pub struct Made<'a> {
    /// What it gave.
    pub value: &'a Value,
    /// What it used.
    pub usage: Usage,
    /// How long it took.
    pub wall: Duration,
    /// Its folder, if it has one.
    pub folder: Option<&'a Path>,
}
