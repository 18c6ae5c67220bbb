//! What can be done at a place: mend a problem, fill a hole, pin a choice, relax a clause.

use super::hover::{is_written_hole, places};
use super::planning::Plans;
use super::{Analysis, Edit};
use crate::check::program::{Hole, Job};
use crate::diag::source::Span;
use crate::diag::{Diagnostic, Fix};
use crate::expand::search;
use crate::syntax::ast::{ItemKind, StmtKind};
use crate::types::Type;

/// What an action is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActionKind {
    /// It mends a problem.
    Fix,
    /// It fills a hole.
    Fill,
    /// It changes what is written, not what is meant.
    Refactor,
}

/// An action.
#[derive(Clone, Debug, PartialEq)]
pub struct Action {
    /// What it does, as an instruction.
    pub title: String,
    /// What it is for.
    pub kind: ActionKind,
    /// The problem that it mends.
    pub mends: Option<Diagnostic>,
    /// Whether it is the one to take where there are several.
    pub preferred: bool,
    /// Its edits.
    pub edits: Vec<Edit>,
}

/// What can be done in a part of the text.
pub fn actions(analysis: &Analysis, plans: Option<&Plans>, part: Span) -> Vec<Action> {
    let touches = |s: Span| s.file == analysis.file && s.start <= part.end && part.start <= s.end;
    let mut out = Vec::new();
    let planned = plans.into_iter().flat_map(|p| &p.diagnostics);
    for problem in analysis.diagnostics.iter().chain(planned) {
        let near = touches(problem.primary.span) || problem.secondary.iter().any(|l| touches(l.span));
        let ways = problem.ways.iter().flat_map(|way| &way.edits).map(|(at, _)| *at);
        let mut edited = problem.fix.iter().map(|fix| fix.span).chain(ways);
        if near || edited.any(touches) {
            out.extend(mended(analysis, problem));
        }
    }
    for job in &analysis.program.jobs {
        for hole in job.holes.iter().filter(|h| places(job, h).any(touches) && h.ty != Type::Unknown) {
            out.extend(fills(analysis, plans, job, hole));
        }
    }
    for (of, step) in plans.into_iter().flat_map(Plans::steps) {
        if let (Some(call), Some(pin)) = (step.call, &step.pin)
            && touches(call)
        {
            let of = of.map_or(String::new(), |job| format!(" in `{job}`"));
            let title = format!("Pin the current choice{of}: `{}`", pin.insert.trim());
            out.push(Action {
                title,
                kind: ActionKind::Refactor,
                mends: None,
                preferred: false,
                edits: vec![pin.clone()],
            });
        }
    }
    out
}

/// The ways to mend a problem: all of them where there may be several, else its fix.
fn mended(analysis: &Analysis, problem: &Diagnostic) -> Vec<Action> {
    let ways: Vec<(&str, Vec<Edit>)> = if problem.ways.is_empty() {
        let edit = |fix: &Fix| Edit { span: fix.span, insert: fix.insert.clone() };
        problem.fix.iter().map(|fix| (fix.title.as_str(), vec![edit(fix)])).collect()
    } else {
        let edit = |(at, text): &(Span, String)| match text.as_str() {
            "" => Edit { span: whole_line(analysis, *at), insert: String::new() },
            text => Edit { span: *at, insert: text.to_string() },
        };
        problem.ways.iter().map(|way| (way.title.as_str(), way.edits.iter().map(edit).collect())).collect()
    };
    let own = ways.into_iter().filter(|(_, edits)| edits.iter().all(|edit| edit.span.file == analysis.file));
    let action = |(at, (title, mut edits)): (usize, (&str, Vec<Edit>))| {
        edits.sort();
        let (title, mends) = (sentence(title), Some(problem.clone()));
        Action { title, kind: ActionKind::Fix, mends, preferred: at == 0, edits }
    };
    own.enumerate().map(action).collect()
}

/// The line of a place with its end, where nothing else stands on it.
fn whole_line(analysis: &Analysis, at: Span) -> Span {
    let (Some(before), Some(behind)) = (analysis.text.get(..at.start as usize), analysis.text.get(at.end as usize..))
    else {
        return at;
    };
    let (start, end) = (before.rfind('\n').map_or(0, |n| n + 1), behind.find('\n').map_or(behind.len(), |n| n + 1));
    let alone = before[start..].trim().is_empty() && behind[..end].trim().is_empty();
    if alone { analysis.span(start, at.end as usize + end) } else { at }
}

fn sentence(title: &str) -> String {
    let mut chars = title.chars();
    chars.next().map_or(String::new(), |c| c.to_uppercase().collect::<String>() + chars.as_str())
}

/// One action for each fill that typed search finds, the best first: by their plans where those are known, else by their words.
pub fn fills(analysis: &Analysis, plans: Option<&Plans>, job: &Job, hole: &Hole) -> Vec<Action> {
    let mut found = search::search(hole, job, &analysis.program, &analysis.library);
    let problem = analysis.diagnostics.iter().find(|d| d.primary.span == hole.span && d.code == "I0501").cloned();
    let ranked = plans.and_then(|p| p.fills.iter().find(|r| r.hole == hole.span)).map_or(&[][..], |r| &r.fills);
    let place = |text: &str| ranked.iter().position(|(t, _)| t == text);
    found.sort_by_key(|fill| place(&fill.text).unwrap_or(usize::MAX));
    let value = |fill: &search::Found| -> String {
        // Its score and the words that fit are for those who compare fills.
        let value = fill.because.split_once(": ").map_or(fill.because.as_str(), |(_, what)| what);
        value.split_once("; ").map_or(value, |(what, _)| what).to_string()
    };
    let named: Vec<(String, &str)> = found.iter().map(|fill| (value(fill), fill.text.as_str())).collect();
    let actions = found.iter().enumerate().filter_map(|(rank, fill)| {
        let mut edits = placed(analysis, job, hole, &fill.text)?;
        edits.extend(uses(analysis, &fill.text));
        edits.sort();
        let (value, own) =
            (&named[rank].0, differs(rank, &named).map_or(String::new(), |line| format!(" by `{line}`")));
        let figures = place(&fill.text).map_or(String::new(), |at| format!(" · {}", ranked[at].1));
        let title = format!("Fill the hole: {value}{own}{figures}");
        Some(Action { title, kind: ActionKind::Fill, mends: problem.clone(), preferred: rank == 0, edits })
    });
    actions.collect()
}

/// The first line of a fill that no other fill has which calls the same; nothing where none does.
fn differs<'a>(fill: usize, all: &[(String, &'a str)]) -> Option<&'a str> {
    let (called, text) = &all[fill];
    let others: Vec<&str> =
        all.iter().enumerate().filter(|(at, (name, _))| *at != fill && name == called).map(|(_, (_, t))| *t).collect();
    let own = |line: &&str| others.iter().all(|other| other.lines().all(|l| l.trim() != *line));
    if others.is_empty() { None } else { text.lines().map(str::trim).find(own) }
}

/// The edits that put a fill into the place of its hole: the statements before the hole's own, the value in its place.
fn placed(analysis: &Analysis, job: &Job, hole: &Hole, fill: &str) -> Option<Vec<Edit>> {
    if is_written_hole(analysis, hole) {
        let (lead, value) = split(fill);
        let at = hole.span.start as usize;
        let line = analysis.text.get(..at)?.rfind('\n').map_or(0, |i| i + 1);
        let indent: String = analysis.text[line..].chars().take_while(|c| *c == ' ' || *c == '\t').collect();
        let start = line + indent.len();
        let mut edits = vec![Edit { span: hole.span, insert: indented(&value, &indent, false) }];
        if !lead.is_empty() {
            let insert = format!("{}\n{indent}", indented(&lead, &indent, false));
            edits.push(Edit { span: analysis.span(start, start), insert });
        }
        return Some(edits);
    }
    // A job that is one hole: the fill becomes the end of its body.
    let tree = analysis.tree.items.iter().find_map(|item| match &item.kind {
        ItemKind::Job(tree) if tree.name.span == job.span => Some((item.span, tree)),
        _ => None,
    })?;
    let close = analysis.slice(tree.0).trim_end();
    if tree.1.body.iter().any(|s| matches!(s.kind, StmtKind::Error)) {
        return None;
    }
    if !close.ends_with('}') || tree.1.body.is_empty() && !close.contains('{') {
        let end = tree.0.start as usize + close.len();
        let insert = format!(" {{\n  {}\n}}", indented(fill.trim_end(), "  ", false));
        return Some(vec![Edit { span: analysis.span(end, end), insert }]);
    }
    let brace = tree.0.start as usize + close.len() - 1;
    let before = analysis.text.get(..brace)?;
    let kept = before.trim_end().len();
    let insert = format!("\n\n  {}\n", indented(fill.trim_end(), "  ", false));
    Some(vec![Edit { span: analysis.span(kept, brace), insert }])
}

/// The statements of a fill and its value.
fn split(fill: &str) -> (String, String) {
    let lines: Vec<&str> = fill.trim_end().lines().collect();
    // The value begins at the last line that is not indented and closes nothing.
    let first = lines.iter().rposition(|l| !l.starts_with([' ', '}'])).unwrap_or(0);
    (lines[..first].join("\n"), lines[first..].join("\n"))
}

fn indented(text: &str, indent: &str, first: bool) -> String {
    let line =
        |(i, l): (usize, &str)| if (i == 0 && !first) || l.is_empty() { l.to_string() } else { format!("{indent}{l}") };
    text.lines().enumerate().map(line).collect::<Vec<_>>().join("\n")
}

/// The `use` lines that a fill's tasks need.
fn uses(analysis: &Analysis, fill: &str) -> Option<Edit> {
    let words = fill.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let mut modules: Vec<&str> =
        words.filter_map(|w| analysis.library.tasks.get(w)).map(|t| t.module.as_str()).collect();
    modules.sort_unstable();
    modules.dedup();
    analysis.use_edit(&modules)
}

#[cfg(test)]
mod tests {
    use super::differs;

    #[test]
    fn fills_that_call_the_same_are_told_apart() {
        let named = |called: &str, text| (called.to_string(), text);
        let all = [
            named("f from a", "let x = f(a)\nx"),
            named("f from a", "let x = f(a, \"b\")\nx"),
            named("g from a", "g(a)"),
        ];
        assert_eq!(differs(0, &all), Some("let x = f(a)"));
        assert_eq!(differs(1, &all), Some("let x = f(a, \"b\")"));
        assert_eq!(differs(2, &all), None);
    }
}
