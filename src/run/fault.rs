//! What went wrong in a run -> what is said about it: the cause, where, and what to do.

use crate::plan::model::PlanStep;
use serde::{Deserialize, Serialize, Serializer};
use std::fmt;
use std::io::ErrorKind;
use std::time::Duration;

/// What kind of thing went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// Somebody stopped the run.
    Cancelled,
    /// An input of the job cannot be used.
    Input,
    /// A program is not installed.
    Program,
    /// A program ended badly, or wrote what cannot be read.
    Process,
    /// A deadline passed.
    Timeout,
    /// A provider's key is missing or refused.
    Key,
    /// A provider could not be reached or refused the request.
    Provider,
    /// A provider answered, and the answer cannot be used.
    Answer,
    /// A call could cost more than is left of the job's limit.
    Budget,
    /// The data do not allow the operation: division by zero, say.
    Data,
    /// A GPU is missing or refuses, or a kernel on it failed.
    Device,
    /// The run folder cannot be read or written.
    Storage,
    /// The plan asks for what this version cannot execute.
    Unsupported,
    /// The plan contradicts itself; a fault of the compiler, or of somebody who edited the plan.
    Plan,
}

/// What went wrong, with what to do.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Fault {
    /// What kind of thing.
    pub kind: FaultKind,
    /// One sentence.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
    /// The end of what the program or provider said.
    pub detail: Option<String>,
    /// Whether another attempt may succeed.
    pub transient: bool,
    /// How long the provider asks us to wait.
    #[serde(serialize_with = "seconds")]
    pub retry_after: Option<Duration>,
}

fn seconds<S: Serializer>(wait: &Option<Duration>, s: S) -> Result<S::Ok, S::Error> {
    wait.map(|w| w.as_secs_f64()).serialize(s)
}

impl Fault {
    /// A fault that no further attempt mends.
    pub fn new(kind: FaultKind, message: impl Into<String>) -> Fault {
        Fault { kind, message: message.into(), help: None, detail: None, transient: false, retry_after: None }
    }

    /// With what to do.
    pub fn help(mut self, help: impl Into<String>) -> Fault {
        self.help = Some(help.into());
        self
    }

    /// With what the program or provider said; nothing is added where it said nothing.
    pub fn detail(mut self, said: &str) -> Fault {
        let said = printable(said.trim());
        if !said.is_empty() {
            self.detail = Some(said);
        }
        self
    }

    /// One that another attempt may mend.
    pub fn transient(mut self) -> Fault {
        self.transient = true;
        self
    }

    /// With what befell whoever stood in: who mends the first alone would meet it next.
    pub fn and_of(mut self, who: &str, other: &Fault) -> Fault {
        let why = other.message.lines().next().unwrap_or_default();
        self.message = format!("{}; {who}, which stood in, failed too: {why}", self.message);
        self
    }

    /// Where nobody of the plan is left to stand in.
    pub fn in_vain(mut self) -> Fault {
        let vain = "no fallback of the plan could do better";
        self.help = Some(self.help.map_or_else(|| vain.to_owned(), |help| format!("{help}; {vain}")));
        self
    }

    /// Where somebody is left, and may not stand in.
    pub fn unfit(mut self, why: &str) -> Fault {
        self.message = format!("{}; {why}", self.message);
        let mend = "mend what failed and resume the run, or ask for less";
        self.help = Some(self.help.map_or_else(|| mend.to_owned(), |help| format!("{help}; {mend}")));
        self
    }

    /// The run folder failed us.
    pub fn storage(doing: &str, path: &std::path::Path, error: &std::io::Error) -> Fault {
        let help = match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
                "free some space, or give another folder; outputs written so far are kept"
            }
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
                "see to whom it belongs and what they may do with it, or give another path"
            }
            ErrorKind::NotFound => "see whether the path is right",
            ErrorKind::AlreadyExists | ErrorKind::NotADirectory => "something else stands there: give another path",
            ErrorKind::AddrNotAvailable => {
                "give an address of this machine: `127.0.0.1:7411`, or `0.0.0.0:7411` for all of them"
            }
            ErrorKind::AddrInUse => "another program listens there: give another address",
            _ => "mend that, or give another path; outputs written so far are kept",
        };
        Fault::new(FaultKind::Storage, format!("cannot {doing} `{}`: {error}", path.display())).help(help)
    }

    /// The plan contradicts itself.
    pub fn plan(message: impl Into<String>) -> Fault {
        Fault::new(FaultKind::Plan, message).help("compile the job again (`mkbc plan`) rather than editing the plan")
    }
}

/// Where in the job something went wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Site {
    /// The step's display name.
    pub step: String,
    /// What carries it out.
    pub implementation: String,
    /// Line of the call in the source; 0 for a fill from the lock file.
    pub line: u32,
}

impl Site {
    /// The site of a step.
    pub fn of(step: &PlanStep) -> Site {
        Site { step: step.name.clone(), implementation: step.implementation.clone(), line: step.line }
    }
}

/// Why a run has no result.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RunError {
    /// The step, where one is to blame.
    pub site: Option<Box<Site>>,
    /// What went wrong.
    pub fault: Fault,
}

impl From<Fault> for RunError {
    fn from(fault: Fault) -> RunError {
        RunError { site: None, fault }
    }
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(site) = &self.site {
            let Site { step, implementation, line } = site.as_ref();
            write!(f, "step `{step}` ({implementation}")?;
            match line {
                0 => f.write_str(", filled hole) failed: ")?,
                line => write!(f, ", line {line}) failed: ")?,
            }
        }
        f.write_str(&self.fault.message)?;
        if let Some(detail) = &self.fault.detail {
            f.write_str("\n  it said:")?;
            for line in detail.lines() {
                write!(f, "\n    {line}")?;
            }
        }
        if let Some(help) = &self.fault.help {
            write!(f, "\n  help: {help}")?;
        }
        Ok(())
    }
}

impl std::error::Error for RunError {}

/// Text of others as it may stand on a terminal: no control characters but newlines and tabs (they could repaint the screen).
pub fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')).collect()
}

/// The last `limit` bytes of a text, cut at a character.
pub fn tail(text: &str, limit: usize) -> &str {
    let mut from = text.len().saturating_sub(limit);
    while !text.is_char_boundary(from) {
        from += 1;
    }
    &text[from..]
}

/// The first `limit` bytes of a text, cut at a character.
pub fn head(text: &str, limit: usize) -> &str {
    let mut to = text.len().min(limit);
    while !text.is_char_boundary(to) {
        to -= 1;
    }
    &text[..to]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_step_line_cause_and_help() {
        let fault = Fault::new(FaultKind::Process, "`x` ended with status 1").detail("\u{1b}[2Jbad\n").help("look");
        let site = Some(Box::new(Site { step: "s".into(), implementation: "i".into(), line: 3 }));
        let shown = RunError { site, fault }.to_string();
        assert_eq!(shown, "step `s` (i, line 3) failed: `x` ended with status 1\n  it said:\n    [2Jbad\n  help: look");
    }

    #[test]
    fn help_is_about_what_happened() {
        let help =
            |kind: ErrorKind| Fault::storage("read", std::path::Path::new("a"), &kind.into()).help.expect("help");
        assert!(help(ErrorKind::StorageFull).starts_with("free some space"));
        for kind in [ErrorKind::PermissionDenied, ErrorKind::NotFound, ErrorKind::AlreadyExists, ErrorKind::Other] {
            assert!(!help(kind).contains("space"), "{kind}");
        }
    }

    #[test]
    fn cuts_fall_between_characters() {
        assert_eq!(tail("aé", 1), "");
        assert_eq!(head("éa", 1), "");
        assert_eq!(tail("abc", 2), "bc");
    }
}
