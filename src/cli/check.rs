//! `mkbc check`

use super::Failure;
use super::args::{CheckOptions, Format};
use super::load::{load, show, write};
use crate::check::hole::report_holes;
use crate::compile::check_file;
use crate::diag::{Diagnostics, Fix};

/// How many times fixes are applied before it is taken that they undo each other.
const MAX_ROUNDS: usize = 8;

/// Checks a file; with `--fix`, applies what can be applied first.
pub fn check(options: &CheckOptions) -> Result<(), Failure> {
    let mut rounds = 0;
    loop {
        let (texts, file) = load(&options.source)?;
        let mut cx = Diagnostics::default();
        let checked = check_file(&texts, file, &mut cx);
        for job in &checked.program.jobs {
            report_holes(job, &checked.library, &mut cx);
        }
        if options.fix && rounds < MAX_ROUNDS {
            let text = &texts.sources.get(file).text;
            let (fixed, applied) =
                apply(text, cx.iter().filter_map(|d| d.fix.as_ref()).filter(|f| f.span.file == file));
            if fixed != *text {
                for fix in applied {
                    let (line, _) = texts.sources.line_column(fix.span);
                    super::note(&format!("line {line}: {}", fix.title));
                }
                write(&options.source.file, &fixed)?;
                rounds += 1;
                continue;
            }
        }
        show(&cx, &texts, options.source.format);
        if cx.has_errors() {
            return Err(Failure::Said);
        }
        if options.source.format == Format::Text {
            super::print(&format!("{}: no errors\n", options.source.file.display()));
        }
        return Ok(());
    }
}

/// Applies the fixes that do not overlap, first come first served.
fn apply<'a>(text: &str, fixes: impl Iterator<Item = &'a Fix>) -> (String, Vec<&'a Fix>) {
    let mut fixes: Vec<&Fix> = fixes.collect();
    fixes.sort_by_key(|f| (f.span.start, f.span.end));
    let mut out = String::with_capacity(text.len());
    let mut applied = Vec::new();
    let mut at = 0usize;
    let mut last: Option<&Fix> = None;
    let mut fixes_imports = fixes.iter().any(|f| f.insert.starts_with("std."));
    for fix in fixes {
        let range = fix.span.range();
        // One change of the `use` lines a round: a misspelt module and a missing one may be the same.
        let imports = fix.insert.starts_with("use ") && fixes_imports;
        fixes_imports |= fix.insert.starts_with("use ") || fix.insert.starts_with("std.");
        let repeated = imports || last.is_some_and(|l| l == fix || l.span.start == fix.span.start);
        if range.start < at || range.end > text.len() || repeated {
            continue;
        }
        out.push_str(&text[at..range.start]);
        out.push_str(&fix.insert);
        at = range.end;
        last = Some(fix);
        applied.push(fix);
    }
    out.push_str(&text[at..]);
    (out, applied)
}
