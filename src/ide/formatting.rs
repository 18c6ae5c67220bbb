//! A file, or a part of it → the edits that lay it out.

use super::{Analysis, Edit};
use crate::diag::source::Span;
use crate::syntax::fmt::format_range;

/// The edits that lay out a file as `mkbc fmt` does, or those that touch a part of it.
pub fn formatting(analysis: &Analysis, part: Option<Span>) -> Vec<Edit> {
    if analysis.is_library {
        return Vec::new();
    }
    let range = part.map_or(0..analysis.text.len(), |p| p.start as usize..p.end as usize);
    let edits = format_range(&analysis.text, range).into_iter();
    edits.map(|e| Edit { span: analysis.span(e.range.start, e.range.end), insert: e.insert }).collect()
}

/// The line that is done once a character has been typed before a place: the one before a new line, else its own.
pub fn typed(analysis: &Analysis, at: u32, character: &str) -> Vec<Edit> {
    let before = analysis.text.get(..at as usize).unwrap_or_default();
    let end = if character == "\n" { before.rfind('\n').unwrap_or(0) } else { before.len() };
    let start = before[..end].rfind('\n').map_or(0, |n| n + 1);
    if start >= end {
        return Vec::new();
    }
    let mut edits = formatting(analysis, Some(analysis.span(start, end)));
    // Nothing moves under the cursor's line: what is typed next goes where the eye is.
    edits.retain(|e| character != "\n" || e.span.end <= at);
    edits
}
