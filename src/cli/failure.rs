//! Why a command did not do what it was asked, and what it ends with.

use crate::diag::source::{Sources, Span};
use crate::diag::{Diagnostic, Diagnostics};
use crate::run::fault::{Fault, RunError};
use std::fmt::{Display, Formatter};

/// What a command ends with, and when. `mkbc --help` and docs/plan.md say it in these words.
const STATUSES: [(u8, &str); 5] = [
    (0, "done"),
    (
        1,
        "the input has errors or is not there (a file, a run, a value that does not fit), there is no plan, or the run failed",
    ),
    (
        2,
        "the command line is wrong: an option or its value, a line in quotes, a name that the job or the library does not have, an input left out",
    ),
    (130, "stopped by Ctrl-C"),
    (143, "stopped by SIGTERM"),
];

/// The statuses for people, a line each.
pub fn statuses() -> String {
    let lines = STATUSES.iter().map(|(status, when)| format!("  {status:<3}  {when}\n"));
    format!("Exit codes:\n{}", lines.collect::<String>())
}

/// Why a command did not do what it was asked.
#[derive(Debug)]
pub enum Failure {
    /// What went wrong has been said already.
    Said,
    /// What is wrong with the command line has been said already.
    Misused,
    /// What went wrong, with what to do.
    Message(String),
    /// The command line is wrong.
    Usage(String),
    /// Somebody stopped the command.
    Stopped,
    /// Somebody asked it to terminate.
    Terminated,
}

impl Failure {
    /// What the command ends with.
    pub fn status(&self) -> u8 {
        match self {
            Failure::Said | Failure::Message(_) => 1,
            Failure::Misused | Failure::Usage(_) => 2,
            Failure::Stopped => 130,
            Failure::Terminated => 143,
        }
    }

    /// Whether nothing of it is left to be said.
    pub fn is_said(&self) -> bool {
        matches!(self, Failure::Said | Failure::Misused)
    }

    /// The same, once it has been said.
    pub fn said(self) -> Failure {
        match self {
            Failure::Message(_) => Failure::Said,
            Failure::Usage(_) => Failure::Misused,
            other => other,
        }
    }

    /// The same where what is wrong stands in a file, and not on the command line.
    pub fn of_file(self) -> Failure {
        match self {
            Failure::Misused => Failure::Said,
            Failure::Usage(why) => Failure::Message(why),
            other => other,
        }
    }

    /// As an error among others, for programs that read them.
    pub fn diagnostic(&self, at: Span) -> Diagnostic {
        let said = self.to_string();
        let (message, help) = said.split_once("\n  help: ").map_or((said.as_str(), None), |(m, h)| (m, Some(h)));
        let error = Diagnostic::error("E0001", message, at, "asked for on the command line");
        help.into_iter().fold(error, Diagnostic::help)
    }

    /// As the only error of a file, which may not be there.
    pub fn alone(&self, file: &str) -> (Diagnostics, Sources) {
        let (mut sources, mut cx) = (Sources::default(), Diagnostics::default());
        let file = sources.add(file, "");
        cx.push(self.diagnostic(Span::new(file, 0, 0)));
        (cx, sources)
    }
}

impl From<String> for Failure {
    fn from(message: String) -> Failure {
        Failure::Message(message)
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Failure {
        Failure::Message(RunError::from(fault).to_string())
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        match self {
            Failure::Said | Failure::Misused => Ok(()),
            Failure::Stopped | Failure::Terminated => f.write_str("stopped"),
            Failure::Message(text) | Failure::Usage(text) => f.write_str(text),
        }
    }
}
