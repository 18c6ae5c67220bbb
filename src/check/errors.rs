//! The diagnostics of checking: E02xx names and types, E03xx units and clauses, E05xx holes, E06xx what is not supported yet.

mod limits;
mod names;

pub use limits::*;
pub use names::*;

use crate::diag::Diagnostic;
use crate::diag::source::Span;
use crate::syntax::ast::Name;
use crate::types::Type;
use ecow::EcoString;

/// The most names that are listed in a message.
const SHOWN: usize = 5;

fn with_near(d: Diagnostic, at: Span, name: &str, near: Option<&str>) -> Diagnostic {
    match near {
        Some(near) => d.near(at, name, near),
        None => d,
    }
}

/// I0501: a hole, and what would fit.
pub fn hole(at: Span, ty: &Type, scope: &str, fits: &[String]) -> Diagnostic {
    let d = Diagnostic::info("I0501", format!("a hole of type `{ty}`"), at, format!("in scope: {scope}"));
    match fits {
        [] => d.help("`mkbc expand` looks for a fill"),
        _ => d.help(format!("in the library: {}; `mkbc expand` fills it", fits.join(", "))),
    }
}

/// E0502: a hole whose type nothing says.
pub fn hole_without_type(at: Span) -> Diagnostic {
    Diagnostic::error("E0502", "nothing says what type this hole has", at, "type unknown")
        .help("write its type: `? \"…\" : Text`, or use the value where a type is wanted")
}

/// Why a file beside the job's is not there; `alone` says that none came along.
fn absent(alone: bool) -> &'static str {
    if alone { "the job came without the files beside it" } else { "no such file beside the job's" }
}

/// E0721: a table of quality that is not there.
pub fn no_table(at: Span, name: &str, alone: bool) -> Diagnostic {
    let help = match alone {
        true => "plan it where the table is and send the plan, or write `quality product`",
        false => "write it with `mkbc eval --fit`, correct the name, or write `quality product`",
    };
    Diagnostic::error("E0721", format!("there is no table `{name}`"), at, absent(alone)).help(help)
}

/// E0723: a trace of arrivals that is not there.
pub fn no_trace(at: Span, name: &str, alone: bool) -> Diagnostic {
    let help = match alone {
        true => "write the load itself: `expect 30 requests/s`",
        false => "put it there, correct the name, or write the load itself: `expect 30 requests/s`",
    };
    Diagnostic::error("E0723", format!("there is no trace `{name}`"), at, absent(alone)).help(help)
}

/// E0723: a trace of arrivals that says nothing.
pub fn bad_trace(at: Span, name: &str, why: &str) -> Diagnostic {
    Diagnostic::error("E0723", format!("the trace `{name}` cannot be read"), at, why.to_string()).help(
        "a trace has a column `timestamp`, in seconds or as `2023-11-16 18:17:03.97`, or lines of JSON with it in \
         milliseconds",
    )
}

/// E0723: a trace of other jobs' arrivals.
pub fn not_in_trace<'a>(
    at: Span,
    name: &str,
    job: &str,
    jobs: impl Iterator<Item = &'a EcoString> + Clone,
) -> Diagnostic {
    let d = Diagnostic::error("E0723", format!("the trace `{name}` has no arrivals of `{job}`"), at, "of other jobs");
    let named: Vec<String> = jobs.filter(|job| !job.is_empty()).take(SHOWN).map(|job| format!("`{job}`")).collect();
    d.help(format!("its column `job` has {}: name a trace of this job's", named.join(", ")))
}

/// E0313: a file behind `expect` that is not said to be a trace.
pub fn no_trace_word(word: &Name, trace: &str) -> Diagnostic {
    Diagnostic::error("E0313", "`expect` is not said like this", word.span, "says nothing of a file")
        .help(format!("write `expect trace \"{trace}\"`"))
        .guess("write `trace`", word.span, "trace")
}

/// E0601: something that the language has words for and this version does not do: why, and what to write instead.
pub fn unsupported(at: Span, what: &str, why: &str, instead: &str) -> Diagnostic {
    Diagnostic::error("E0601", format!("{what} is not supported yet"), at, why.to_string()).help(instead.to_string())
}

/// E0260: a number that must be known before a run, and is not.
pub fn not_known_before(at: Span, what: &str) -> Diagnostic {
    Diagnostic::error("E0260", format!("{what} is not known before the run"), at, "computed by the run")
        .help("write a whole number, or, in a composition, the name of a knob whose values are whole numbers")
}

/// E0261: a range that is empty or too long.
pub fn bad_range(at: Span, longest: u32) -> Diagnostic {
    Diagnostic::error("E0261", "the range is empty or too long".to_string(), at, "for some value of its ends")
        .help(format!("let it go from a smaller to a larger number, over at most {longest} of them"))
}

/// E0262: a share above 100 %.
pub fn not_a_share(at: Span) -> Diagnostic {
    Diagnostic::error("E0262", "more than all of the runs".to_string(), at, "above 100 %")
        .help("say in what share of the runs the first block is taken: `expect 30 %`")
}

/// E0263: a line of a job in a composition.
pub fn not_in_composition(at: Span, name: &str) -> Diagnostic {
    Diagnostic::error("E0263", format!("the composition `{name}` cannot say this"), at, "a line for a job")
        .help("limits, wishes, rules and sizes belong to the job: a composition has knobs, a profile and data flow")
}

/// E0264: a hole in a composition.
pub fn hole_in_composition(at: Span, name: &str) -> Diagnostic {
    Diagnostic::error("E0264", format!("the composition `{name}` has a hole"), at, "not filled")
        .help("write the step: holes are filled in jobs")
}

/// E0266: an agent that cannot work.
pub fn bad_agent(at: Span, message: &str, label: &str, help: &str) -> Diagnostic {
    Diagnostic::error("E0266", message.to_string(), at, label.to_string()).help(help.to_string())
}

/// E0265: a knob or a profile in a job.
pub fn of_compositions(at: Span) -> Diagnostic {
    Diagnostic::error(
        "E0265",
        "a job has no knobs and no profile".to_string(),
        at,
        "for compositions, models and tools",
    )
    .help("remove it, or write a composition: `compose NAME implements TASK { … }`")
}
