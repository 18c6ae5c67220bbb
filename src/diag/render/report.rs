//! Diagnostics for other programs: SARIF 2.1.0, workflow commands of GitHub, a line each.

use crate::diag::codes;
use crate::diag::source::{Sources, Span};
use crate::diag::{Diagnostic, Diagnostics, Severity};
use serde_json::{Value, json};

/// One line each: `job.mkb:4:3: error[E0201]: there is no `x` (fix: write `y`)`.
pub fn concise(diagnostics: &Diagnostics, sources: &Sources) -> String {
    let line = |d: &&Diagnostic| {
        let (line, column) = sources.line_column(d.primary.span);
        let file = &sources.get(d.primary.span.file).name;
        let fix = d.sure_fix().map_or(String::new(), |f| format!(" (fix: {})", f.title));
        format!("{file}:{line}:{column}: {}[{}]: {}{fix}\n", d.severity.text(), d.code, d.message)
    };
    diagnostics.sorted().iter().map(line).collect()
}

/// Workflow commands that put each problem beside its line in a pull request.
pub fn github(diagnostics: &Diagnostics, sources: &Sources) -> String {
    let command = |d: &&Diagnostic| {
        let ((line, column), (end_line, end_column)) = ends(d.primary.span, sources);
        let kind = match d.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Info => "notice",
        };
        let file = property(&sources.get(d.primary.span.file).name);
        let help = d.help.as_ref().map_or(String::new(), |h| format!("\nhelp: {h}"));
        let text = message(&format!("{}: {}{help}", d.message, d.primary.text));
        format!(
            "::{kind} file={file},line={line},col={column},endLine={end_line},endColumn={end_column},title={}::{text}\n",
            d.code
        )
    };
    diagnostics.sorted().iter().map(command).collect()
}

fn message(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    message(text).replace(':', "%3A").replace(',', "%2C")
}

/// Line and column of the first character, and of what is behind the last one.
fn ends(span: Span, sources: &Sources) -> ((usize, usize), (usize, usize)) {
    (sources.line_column(span), sources.line_column(span.after()))
}

/// The results of a SARIF run, for [`sarif`].
pub fn sarif_results(diagnostics: &Diagnostics, sources: &Sources) -> Vec<Value> {
    diagnostics.sorted().into_iter().map(|d| sarif_result(d, sources)).collect()
}

fn sarif_result(d: &Diagnostic, sources: &Sources) -> Value {
    let artifact = |span: Span| json!({"uri": uri(&sources.get(span.file).name)});
    let region = |span: Span| {
        let ((line, column), (end_line, end_column)) = ends(span, sources);
        json!({"startLine": line, "startColumn": column, "endLine": end_line, "endColumn": end_column})
    };
    let place = |span: Span| json!({"artifactLocation": artifact(span), "region": region(span)});
    let help = d.help.as_ref().map_or(String::new(), |h| format!("\nhelp: {h}"));
    let mut result = json!({
        "ruleId": d.code,
        "level": match d.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Info => "note",
        },
        "message": {"text": format!("{}: {}{help}", d.message, d.primary.text)},
        "locations": [{"physicalLocation": place(d.primary.span)}],
    });
    if !d.secondary.is_empty() {
        let related = |l: &crate::diag::Label| json!({"physicalLocation": place(l.span), "message": {"text": l.text}});
        result["relatedLocations"] = d.secondary.iter().map(related).collect();
    }
    if let Some(fix) = d.sure_fix() {
        result["fixes"] = json!([{
            "description": {"text": fix.title},
            "artifactChanges": [{
                "artifactLocation": artifact(fix.span),
                "replacements": [{"deletedRegion": region(fix.span), "insertedContent": {"text": fix.insert}}],
            }],
        }]);
    }
    result
}

/// A SARIF 2.1.0 log with one run; `faults` are what kept files from being read.
pub fn sarif(results: Vec<Value>, faults: &[String]) -> Value {
    let used = |code: &str| results.iter().any(|r| r["ruleId"] == code);
    let rule = |(code, page): &(&str, &str)| json!({"id": code, "shortDescription": {"text": codes::title(page)}, "help": {"text": page}});
    let rules: Vec<Value> = codes::PAGES.iter().filter(|(code, _)| used(code)).map(rule).collect();
    let mut run = json!({
        "tool": {"driver": {"name": "mkbc", "version": env!("CARGO_PKG_VERSION"), "rules": rules}},
        "columnKind": "unicodeCodePoints",
        "results": results,
    });
    if !faults.is_empty() {
        let notification = |fault: &String| json!({"level": "error", "message": {"text": fault}});
        let said: Vec<Value> = faults.iter().map(notification).collect();
        run["invocations"] = json!([{"executionSuccessful": false, "toolExecutionNotifications": said}]);
    }
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [run],
    })
}

/// A path as an address: what addresses may not hold is written as `%XX`.
fn uri(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}
