//! Diagnostics → text with the source beside it (codespan-reporting), or JSON.

pub mod report;

use super::source::{FileId, Sources};
use super::{Diagnostic, Diagnostics, Severity};
use crate::legible::turns;
use codespan_reporting::diagnostic::{self as cs, LabelStyle};
use codespan_reporting::files::{Error, Files};
use codespan_reporting::term;
use codespan_reporting::term::termcolor::{Ansi, NoColor, WriteColor};
use serde_json::json;
use std::ops::Range;

/// The sources with their line starts, computed once for a rendering.
struct Lines<'a> {
    sources: &'a Sources,
    /// Texts as a terminal may be given them, where they are others.
    shown: std::collections::BTreeMap<FileId, String>,
    starts: std::cell::RefCell<std::collections::BTreeMap<FileId, Vec<usize>>>,
}

impl Lines<'_> {
    fn with<T>(&self, id: FileId, f: impl FnOnce(&[usize]) -> T) -> T {
        let mut starts = self.starts.borrow_mut();
        f(starts.entry(id).or_insert_with(|| {
            let text = &self.sources.get(id).text;
            std::iter::once(0).chain(text.match_indices('\n').map(|(i, _)| i + 1)).collect()
        }))
    }
}

impl<'a> Files<'a> for Lines<'a> {
    type FileId = FileId;
    type Name = &'a str;
    type Source = &'a str;

    fn name(&'a self, id: FileId) -> Result<&'a str, Error> {
        Ok(&self.sources.get(id).name)
    }

    fn source(&'a self, id: FileId) -> Result<&'a str, Error> {
        Ok(self.shown.get(&id).unwrap_or(&self.sources.get(id).text))
    }

    fn line_index(&'a self, id: FileId, byte: usize) -> Result<usize, Error> {
        Ok(self.with(id, |starts| starts.partition_point(|s| *s <= byte).saturating_sub(1)))
    }

    fn line_range(&'a self, id: FileId, line: usize) -> Result<Range<usize>, Error> {
        let len = self.sources.get(id).text.len();
        self.with(id, |starts| {
            let start = *starts.get(line).ok_or(Error::LineTooLarge { given: line, max: starts.len() })?;
            Ok(start..starts.get(line + 1).copied().unwrap_or(len))
        })
    }
}

/// A text with what steers a terminal, or turns the order of what is read around, replaced by as many bytes that do not; `None` where there is
/// nothing of it.
fn harmless(text: &str) -> Option<String> {
    let steers = |c: char| turns(c) || (c.is_control() && !matches!(c, '\n' | '\r' | '\t'));
    let other = |c: char| match (steers(c), c.len_utf8()) {
        (false, _) => c,
        (true, 1) => '?',
        (true, 2) => '\u{bf}',
        (true, _) => '\u{fffd}',
    };
    text.contains(steers).then(|| text.chars().map(other).collect())
}

/// Of more problems than this, people are only told how many there are.
const MOST: usize = 100;

/// As text for people, in the order of the source.
pub fn text(diagnostics: &Diagnostics, sources: &Sources, colour: bool) -> String {
    let labelled =
        diagnostics.iter().flat_map(|d| std::iter::once(&d.primary).chain(&d.secondary)).map(|l| l.span.file);
    let ids: std::collections::BTreeSet<FileId> = labelled.collect();
    let shown = ids.into_iter().filter_map(|id| Some((id, harmless(&sources.get(id).text)?)));
    let files = Lines { sources, shown: shown.collect(), starts: Default::default() };
    let config = term::Config::default();
    let mut out = Vec::new();
    let sorted = diagnostics.sorted();
    // What stands in the way of a plan is not hidden behind warnings.
    let (shown, hidden): (Vec<&Diagnostic>, usize) = if sorted.len() > MOST {
        let mut first = sorted.clone();
        first.sort_by_key(|d| std::cmp::Reverse(d.severity));
        first.truncate(MOST);
        first.sort_by_key(|d| super::order(d));
        (first, sorted.len() - MOST)
    } else {
        (sorted, 0)
    };
    for diagnostic in shown {
        let mut buffer = Vec::new();
        if too_wide(diagnostic, &files) {
            out.extend_from_slice(one_line(diagnostic, sources).as_bytes());
            continue;
        }
        let rendered = if colour {
            emit(&mut Ansi::new(&mut buffer), &config, &files, diagnostic)
        } else {
            emit(&mut NoColor::new(&mut buffer), &config, &files, diagnostic)
        };
        match rendered {
            Ok(()) => out.append(&mut buffer),
            Err(_) => out.extend_from_slice(one_line(diagnostic, sources).as_bytes()),
        }
    }
    if hidden > 0 {
        out.extend_from_slice(format!("… and {hidden} more\n\n").as_bytes());
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Lines beyond this are not shown: a file may be one line.
const MAX_LINE: usize = 2_000;

fn too_wide(d: &Diagnostic, files: &Lines) -> bool {
    let spans = std::iter::once(d.primary.span).chain(d.secondary.iter().map(|l| l.span));
    let width = |span: super::source::Span| {
        let line = files.line_index(span.file, span.start as usize).and_then(|l| files.line_range(span.file, l));
        line.map_or(0, |r| r.len())
    };
    spans.map(width).any(|w| w > MAX_LINE)
}

fn emit(out: &mut dyn WriteColor, config: &term::Config, files: &Lines, d: &Diagnostic) -> Result<(), Error> {
    let severity = match d.severity {
        Severity::Error => cs::Severity::Error,
        Severity::Warning => cs::Severity::Warning,
        Severity::Info => cs::Severity::Note,
    };
    let mut labels = vec![
        cs::Label::new(LabelStyle::Primary, d.primary.span.file, d.primary.span.range()).with_message(&d.primary.text),
    ];
    labels.extend(
        d.secondary
            .iter()
            .map(|l| cs::Label::new(LabelStyle::Secondary, l.span.file, l.span.range()).with_message(&l.text)),
    );
    let mut notes = Vec::new();
    if let Some(help) = &d.help {
        notes.push(format!("help: {help}"));
    }
    if let Some(fix) = d.sure_fix() {
        notes.push(format!("fix: {}", fix.title));
    }
    let rendered =
        cs::Diagnostic::new(severity).with_code(d.code).with_message(&d.message).with_labels(labels).with_notes(notes);
    term::emit_to_write_style(&mut { out }, config, files, &rendered)
}

fn one_line(d: &Diagnostic, sources: &Sources) -> String {
    let (line, column) = sources.line_column(d.primary.span);
    format!(
        "{}[{}]: {} ({}:{line}:{column})\n",
        d.severity.text(),
        d.code,
        d.message,
        sources.get(d.primary.span.file).name
    )
}

/// As one JSON document: an array in the order of the source.
pub fn json(diagnostics: &Diagnostics, sources: &Sources) -> serde_json::Value {
    diagnostics.sorted().iter().map(|d| json_one(d, sources)).collect()
}

fn json_one(d: &Diagnostic, sources: &Sources) -> serde_json::Value {
    let place = |span: super::Span| {
        let (line, column) = sources.line_column(span);
        let (end_line, end_column) = sources.line_column(span.after());
        json!({
            "file": sources.get(span.file).name, "start": span.start, "end": span.end,
            "line": line, "column": column, "end_line": end_line, "end_column": end_column,
        })
    };
    let label = |l: &super::Label| json!({"place": place(l.span), "text": l.text});
    json!({
        "code": d.code,
        "severity": d.severity.text(),
        "message": d.message,
        "primary": label(&d.primary),
        "secondary": d.secondary.iter().map(label).collect::<Vec<_>>(),
        "help": d.help,
        "fix": d.sure_fix().map(|f| json!({"title": f.title, "place": place(f.span), "insert": f.insert})),
    })
}

#[cfg(test)]
mod tests {
    use super::harmless;

    #[test]
    fn nothing_of_a_source_steers_a_terminal() {
        assert_eq!(harmless("job a() -> Text {\r\n\t\"ü\"\n}"), None);
        let text = "goal \"a\u{1b}[31m\u{202e}b\u{85}\"";
        let shown = harmless(text).expect("another text");
        assert_eq!(shown, "goal \"a?[31m\u{fffd}b\u{bf}\"");
        assert_eq!(shown.len(), text.len());
    }
}
