//! A text and the edits that mend it → the text with those that can be made together.

use super::Fix;

/// Applies the fixes that do not overlap, first come first served.
pub fn apply<'a>(text: &str, fixes: impl Iterator<Item = &'a Fix>) -> (String, Vec<&'a Fix>) {
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
