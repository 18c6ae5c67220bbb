//! Lines → text: indentation, columns, comments behind lines.

use super::WIDTH;
use super::lines::{INDENT, Line, Lines};
use std::ops::Range;

/// Spaces in front of a comment that stands behind a line.
const GAP: usize = 2;

/// Writes lines; those that follow each other and are alike stand in columns, unless one of them would be too wide.
pub fn write(lines: &Lines, out: &mut String) {
    let text = lines.text.as_str();
    let all = lines.lines.as_slice();
    let mut pads = vec![[0usize; 2]; all.len()];
    each_run(
        all,
        |a, b| a.column.is_some() && a.column == b.column,
        |run| columns(text, &all[run.clone()], &mut pads[run]),
    );
    let mut comments = vec![0usize; all.len()];
    each_run(
        all,
        |a, b| has_comment(text, a) && has_comment(text, b),
        |run| {
            let width = |at: usize| width(text, &all[at].text) + pads[at].iter().sum::<usize>();
            let widest = run.clone().map(width).max().unwrap_or(0);
            run.for_each(|at| comments[at] = widest - width(at));
        },
    );
    for (at, line) in all.iter().enumerate() {
        if line.blank {
            out.push('\n');
        }
        spaces(out, line.depth * INDENT);
        let mut from = line.text.start;
        for (stop, pad) in line.stops.iter().zip(pads[at]) {
            out.push_str(&text[from..*stop]);
            spaces(out, pad);
            from = *stop;
        }
        out.push_str(&text[from..line.text.end]);
        if !line.comment.is_empty() {
            if !line.text.is_empty() {
                spaces(out, GAP + comments[at]);
            }
            out.push_str(&text[line.comment.clone()]);
        }
        out.push('\n');
    }
}

/// Calls `with` for each run of at least two lines that follow each other directly and are alike.
fn each_run(lines: &[Line], alike: impl Fn(&Line, &Line) -> bool, mut with: impl FnMut(Range<usize>)) {
    let mut from = 0;
    for at in 1..=lines.len() {
        let goes_on = lines.get(at).is_some_and(|next| {
            let last = &lines[at - 1];
            !next.blank && next.depth == last.depth && alike(last, next)
        });
        if !goes_on {
            if at - from > 1 {
                with(from..at);
            }
            from = at;
        }
    }
}

/// A comment behind code that is one line.
fn has_comment(text: &str, line: &Line) -> bool {
    !line.comment.is_empty() && !line.text.is_empty() && !text[line.text.clone()].contains('\n')
}

fn columns(text: &str, lines: &[Line], pads: &mut [[usize; 2]]) {
    let stop = |line: &Line, nth: usize| (line.stops[nth] < line.text.end).then_some(line.stops[nth]);
    for nth in 0..2 {
        let at = |line: &Line, pad: &[usize; 2]| {
            stop(line, nth).map(|place| width(text, &(line.text.start..place)) + if nth == 1 { pad[0] } else { 0 })
        };
        let widest = lines.iter().zip(pads.iter()).filter_map(|(line, pad)| at(line, pad)).max().unwrap_or(0);
        for (line, pad) in lines.iter().zip(pads.iter_mut()) {
            if let Some(here) = at(line, pad) {
                pad[nth] = widest - here;
            }
        }
    }
    let too_wide = lines.iter().zip(pads.iter()).any(|(line, pad)| {
        pad.iter().any(|p| *p > 0) && line.depth * INDENT + width(text, &line.text) + pad[0] + pad[1] > WIDTH
    });
    if too_wide {
        pads.fill([0; 2]);
    }
}

/// In characters.
fn width(text: &str, range: &Range<usize>) -> usize {
    let part = &text[range.clone()];
    if part.is_ascii() { part.len() } else { part.chars().count() }
}

fn spaces(out: &mut String, mut n: usize) {
    const SOME: &str = "                                ";
    while n > 0 {
        let now = n.min(SOME.len());
        out.push_str(&SOME[..now]);
        n -= now;
    }
}
