//! The diagnostics of expansion: E05xx.

use super::current::Change;
use crate::diag::Diagnostic;
use crate::diag::source::Span;
use crate::types::Type;

/// E0503: a lock entry whose hole, or a task that its fill calls, has changed.
pub fn stale(at: Span, job: &str, hole: &str, change: &Change) -> Diagnostic {
    Diagnostic::error("E0503", format!("the lock's fill of `{job}.{hole}` is stale"), at, change.to_string())
        .help("look at the change, then run `mkbc expand --refresh`")
}

/// E0504: `--locked`, and the lock has no fill.
pub fn not_locked(at: Span, job: &str, hole: &str) -> Diagnostic {
    Diagnostic::error("E0504", format!("the lock has no fill for `{job}.{hole}`"), at, "not filled")
        .help("run `mkbc expand`, and commit the lock file")
}

/// E0505: nothing in the library gives a hole's type from what is in scope.
pub fn nothing_fits(at: Span, ty: &Type) -> Diagnostic {
    Diagnostic::error("E0505", format!("nothing in the library gives `{ty}` from what is in scope"), at, "stays open")
        .help("write the step yourself, declare a task that gives it, or bring more into scope")
}

/// W0508: typed search's best fill, which little of the goal speaks for.
pub fn doubtful(at: Span, job: &str, hole: &str, because: &str) -> Diagnostic {
    let message = format!("little of the goal speaks for the fill of `{job}.{hole}`, only its type does");
    Diagnostic::warning("W0508", message, at, because).help(
        "look at the fill before it runs; ask in the words of the tasks that you want, or write the step yourself",
    )
}

/// E0507: a lock file that cannot be read.
pub fn unreadable_lock(at: Span, why: &str) -> Diagnostic {
    Diagnostic::error("E0507", "the lock file cannot be read", at, why)
        .help("mend it, or remove it and run `mkbc expand`")
}

/// E0507: a fill that does not check.
pub fn bad_fill(at: Span, job: &str, hole: &str) -> Diagnostic {
    Diagnostic::error("E0507", format!("the fill of `{job}.{hole}` is broken"), at, "this hole")
        .help("mend it in the lock file, or run `mkbc expand --refresh`")
}
