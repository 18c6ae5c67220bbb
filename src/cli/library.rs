//! `mkbc library audit`

use super::args::{AuditOptions, Format};
use super::load::{library as load_library, show};
use super::{Failure, print};
use crate::compile::{Texts, check_tree};
use crate::diag::Diagnostics;
use crate::diag::source::Span;
use crate::library::audit::{Audit, Audited, Computed, NAMES, Weakness, audit, names};
use crate::library::evidence::EvidenceKind;
use crate::library::profile::date::Date;
use crate::syntax::ast::File;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

/// Says what the library's figures rest on. Figures without evidence are a failure; with `--strict` all that is weak is.
pub fn audit_library(folders: &[PathBuf], options: &AuditOptions) -> Result<(), Failure> {
    let folders: Vec<PathBuf> = folders.iter().chain(&options.library).cloned().collect();
    let texts = load_library(&folders)?;
    let mut cx = Diagnostics::default();
    let library = check_tree(&texts, File::default(), &mut cx).library;
    let names = texts.profiles.get(NAMES).map(|file| names(&texts.sources.get(*file).text, *file, &mut cx));
    if cx.has_errors() {
        show(&cx, &texts, options.format);
        return Err(Failure::Said);
    }
    let audit = audit(&library, &names.unwrap_or_default(), today(), options.older_than);
    match options.format {
        Format::Json => print(&format!("{:#}\n", json(&audit, &texts))),
        Format::Text => print(&text(&audit, &texts, options.older_than)),
    }
    let unsupported = audit.weak(Weakness::Unsupported).count();
    let weak = audit.figures.iter().filter(|f| !f.weak.is_empty()).count();
    let outside = audit.computed.iter().any(|c| !c.outside.is_empty());
    if unsupported > 0 {
        return Err(Failure::Message(format!("{unsupported} figures have no evidence")));
    }
    if options.strict && (weak > 0 || outside || !audit.mixed.is_empty()) {
        return Err(Failure::Message(format!("{weak} figures are weak, and --strict forbids it")));
    }
    Ok(())
}

/// The day in UTC.
fn today() -> Date {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    Date::of_days(u32::try_from(seconds / 86_400).unwrap_or(u32::MAX))
}

fn share(part: usize, all: usize) -> String {
    let tenths = (part * 1000 + all / 2).checked_div(all).unwrap_or(0);
    format!("{}.{} %", tenths / 10, tenths % 10)
}

fn text(audit: &Audit, texts: &Texts, older_than: Option<u32>) -> String {
    let mut out = String::new();
    let all = audit.figures.len();
    let _ = writeln!(out, "{all} figures");
    for kind_of in EvidenceKind::ALL {
        let count = audit.count(kind_of);
        let _ = writeln!(out, "  {:10} {count:6}  {:>7}", kind_of.text(), share(count, all));
    }
    for how in Weakness::ALL {
        let found: Vec<&Audited> = audit.weak(how).collect();
        if how == Weakness::Old && older_than.is_none() {
            continue;
        }
        let age =
            older_than.filter(|_| how == Weakness::Old).map_or(String::new(), |days| format!(" (over {days} days)"));
        let _ = writeln!(out, "\n{}{age}: {}", how.text(), found.len());
        for (file, lines) in by_file(&found, texts) {
            let _ = writeln!(out, "  {file}: {}", ranges(&lines));
        }
    }
    for Computed { implementation, checked, outside, refused } in &audit.computed {
        let _ = writeln!(out, "\nroofline of {implementation}: {checked} settings as in its check");
        for (what, reasons) in [("outside", outside), ("refused", refused)] {
            for (why, count) in reasons {
                let _ = writeln!(out, "  {what} {count:6}  {why}");
            }
        }
    }
    if !audit.mixed.is_empty() {
        let _ = writeln!(out, "\nby several, of which a plan compares one at a time:");
    }
    for mixed in &audit.mixed {
        let groups = mixed.groups.iter().map(|(group, entries)| {
            let group = if group.is_empty() { "not said" } else { group.as_str() };
            let entries: Vec<&str> = entries.iter().map(|e| e.as_str()).collect();
            format!("{group} ({})", few(&entries))
        });
        let groups: Vec<String> = groups.collect();
        let _ = writeln!(out, "  {}: {}s {}", mixed.task, mixed.by, groups.join("; "));
    }
    out
}

fn place(at: Span, texts: &Texts) -> (String, usize, usize) {
    let (line, column) = texts.sources.line_column(at);
    (texts.sources.get(at.file).name.clone(), line, column)
}

fn by_file(figures: &[&Audited], texts: &Texts) -> BTreeMap<String, Vec<usize>> {
    let mut files: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    // One walk through a file's text counts all of its lines.
    let mut walked = (None, 0, 1);
    for figure in figures {
        let text = &texts.sources.get(figure.at.file).text;
        if walked.0 != Some(figure.at.file) {
            walked = (Some(figure.at.file), 0, 1);
        }
        let end = (figure.at.start as usize).min(text.len());
        walked.2 += text.as_bytes()[walked.1.min(end)..end].iter().filter(|b| **b == b'\n').count();
        walked.1 = end;
        files.entry(texts.sources.get(figure.at.file).name.clone()).or_default().push(walked.2);
    }
    files
}

/// Three of many names; `--json` has all.
fn few(names: &[impl AsRef<str>]) -> String {
    let mut shown: Vec<&str> = names.iter().take(3).map(AsRef::as_ref).collect();
    let more = format!("{} more", names.len() - shown.len());
    if names.len() > shown.len() {
        shown.push(&more);
    }
    shown.join(", ")
}

/// `2-5, 9`
fn ranges(lines: &[usize]) -> String {
    let mut parts: Vec<(usize, usize)> = Vec::new();
    for line in lines {
        match parts.last_mut() {
            Some((_, last)) if *line <= *last + 1 => *last = *line,
            _ => parts.push((*line, *line)),
        }
    }
    let shown = parts.iter().map(|(a, b)| if a == b { a.to_string() } else { format!("{a}-{b}") });
    let lines = if lines.len() == 1 { "line" } else { "lines" };
    format!("{lines} {}", shown.collect::<Vec<_>>().join(", "))
}

fn json(audit: &Audit, texts: &Texts) -> Value {
    let weak = audit.figures.iter().filter(|f| !f.weak.is_empty());
    let figures: Vec<Value> = weak
        .map(|f| {
            let (file, line, column) = place(f.at, texts);
            json!({"file": file, "line": line, "column": column, "figure": f.figure.as_str(), "setting": f.setting,
                   "implementations": f.implementations.iter().map(|i| i.as_str()).collect::<Vec<_>>(),
                   "evidence": f.evidence, "weak": f.weak, "date": f.date.map(|d| d.to_string()), "source": f.source.as_str()})
        })
        .collect();
    let computed: Vec<Value> = audit
        .computed
        .iter()
        .map(|c| {
            json!({"implementation": c.implementation.as_str(), "checked": c.checked, "outside": c.outside, "refused": c.refused})
        })
        .collect();
    let mixed: Vec<Value> =
        audit.mixed.iter().map(|m| json!({"task": m.task.as_str(), "by": m.by, "groups": m.groups})).collect();
    let shares: BTreeMap<&str, usize> = EvidenceKind::ALL.map(|k| (k.text(), audit.count(k))).into_iter().collect();
    let counts: BTreeMap<&str, usize> =
        Weakness::ALL.iter().map(|how| (how.text(), audit.weak(*how).count())).collect();
    json!({"figures": audit.figures.len(), "evidence": shares, "weak": counts, "listed": figures, "roofline": computed, "mixed": mixed})
}
