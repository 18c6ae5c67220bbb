//! The diagnostics of the space: E07xx together with the solver's.

use crate::check::program::{Metric, Pin};
use crate::diag::Diagnostic;
use crate::diag::source::Span;
use ecow::EcoString;

/// Why models and tools are left out, each reason once: first those of what pins name, with their knobs, and of these what is wrong with figures.
pub fn left_out(excluded: &[(EcoString, String)], pins: &[&Pin]) -> Vec<String> {
    let mut reasons: Vec<(u8, String)> = Vec::new();
    for (name, why) in excluded {
        let line = format!("`{name}`: {why}");
        let pinned: Vec<&&Pin> = pins.iter().filter(|pin| pin.implementation.as_ref() == Some(name)).collect();
        let says =
            |pin: &&&Pin| why.starts_with("its `") || pin.knobs.iter().any(|(_, value)| why.contains(value.as_str()));
        let far = if pinned.iter().any(says) { 0 } else { 2 - u8::from(!pinned.is_empty()) };
        if !reasons.iter().any(|(_, known)| *known == line) {
            reasons.push((far, line));
        }
    }
    reasons.sort_by_key(|(far, _)| *far);
    reasons.into_iter().map(|(_, line)| line).collect()
}

/// E0701: a step that nothing can carry out; `pins` are those at its call.
pub fn no_candidate(
    at: Span,
    task: &str,
    machines: &str,
    excluded: &[(EcoString, String)],
    pins: &[Pin],
) -> Diagnostic {
    let mut reasons = left_out(excluded, &pins.iter().collect::<Vec<_>>());
    let more = reasons.len().saturating_sub(6);
    reasons.truncate(6);
    let more = if more > 0 { format!("; and {more} more") } else { String::new() };
    let d = Diagnostic::error(
        "E0701",
        format!("nothing can carry out `{task}` on `{machines}`"),
        at,
        "no model or tool can be used",
    );
    if reasons.is_empty() {
        return d.help("declare a model or tool that implements the task");
    }
    d.help(format!("{}{more}", reasons.join("; ")))
}

/// I0702: a size that was assumed.
pub fn assumed_size(at: Span, name: &str, sizes: &str, example: Option<String>) -> Diagnostic {
    let help = match example {
        Some(example) => format!("say it: `{example}`, say, or give the input on the command line"),
        None => "give the input on the command line: no line of a job says the sizes of a record's fields".to_string(),
    };
    Diagnostic::info("I0702", format!("the size of `{name}` is assumed: {sizes}"), at, "nothing says how large it is")
        .help(help)
}

/// W0620: a line about the tokens of a result that comes whole.
pub fn no_tokens(at: Span, metric: Metric, what: &str) -> Diagnostic {
    let name = metric.name();
    let (says, instead) = match metric {
        Metric::Tpot | Metric::TpotP95 | Metric::TpotP99 => {
            ("there is no time for a token of it", "leave the line out")
        }
        _ => ("its first token is there when all of it is", "write `latency` instead"),
    };
    Diagnostic::warning("W0620", format!("`{name}` says nothing of its own here"), at, says)
        .help(format!("{what}; {instead}, or let the job give the text of a model as its result"))
}

/// E0703: a size that nothing determines.
pub fn unknown_size(at: Span, task: &str, param: &str, path: &str) -> Diagnostic {
    Diagnostic::error("E0703", format!("nothing says how large `{param}.{path}` is"), at, format!("`{task}` needs it"))
        .help(format!("let the task that yields `{param}` say it: `size {path} = …`"))
}

/// E0705: loops in loops beyond what is planned for.
pub fn nested_too_deep(at: Span, task: &str, most: u32) -> Diagnostic {
    let message = format!("`{task}` stands in more than {most} loops");
    Diagnostic::error("E0705", message, at, "the sizes of what each round leaves behind are not followed so deep")
        .help("write fewer `repeat` in one another, here and in the jobs that are called")
}

/// E0704: too many upstream knobs reach a step.
pub fn too_many_couplings(at: Span, task: &str) -> Diagnostic {
    Diagnostic::error(
        "E0704",
        format!("too many knobs change the work of `{task}`"),
        at,
        "more than 4096 combinations reach it",
    )
    .help("let fewer knobs upstream change sizes: take knobs out of the library entries, or split the job")
}
