//! An open document: its text, places in the client's encoding, and what is known of it.

use crate::diag::source::Span;
use crate::ide::Analysis;
use crate::ide::planning::Plans;
use crate::lsp::semantic::Sent;
use gen_lsp_types::{Position, Range};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;

/// How a position counts in its line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Bytes.
    Utf8,
    /// UTF-16 code units: what every client can do.
    Utf16,
}

/// A text with its lines.
pub struct Lines {
    /// The text.
    pub text: Arc<str>,
    starts: Vec<u32>,
}

impl Lines {
    /// Finds the lines of a text.
    pub fn new(text: Arc<str>) -> Lines {
        let starts = std::iter::once(0).chain(text.match_indices('\n').map(|(i, _)| i as u32 + 1)).collect();
        Lines { text, starts }
    }

    /// The byte of a position; one that is not there is the nearest that is.
    pub fn offset(&self, position: &Position, encoding: Encoding) -> usize {
        let line = position.line as usize;
        let Some(&start) = self.starts.get(line) else { return self.text.len() };
        let end = self.starts.get(line + 1).map_or(self.text.len(), |e| *e as usize);
        let text = &self.text[start as usize..end];
        let text = text.trim_end_matches(['\n', '\r']);
        let wanted = position.character as usize;
        let within = match encoding {
            Encoding::Utf8 => {
                let mut at = wanted.min(text.len());
                while !text.is_char_boundary(at) {
                    at -= 1;
                }
                at
            }
            Encoding::Utf16 => {
                let mut units = 0;
                let found = text.char_indices().find(|(_, c)| {
                    let here = units;
                    units += c.len_utf16();
                    here >= wanted || units > wanted
                });
                found.map_or(text.len(), |(i, _)| i)
            }
        };
        start as usize + within
    }

    /// The position of a byte.
    pub fn position(&self, at: u32, encoding: Encoding) -> Position {
        let mut at = (at as usize).min(self.text.len());
        while !self.text.is_char_boundary(at) {
            at -= 1;
        }
        let line = self.starts.partition_point(|s| *s as usize <= at).saturating_sub(1);
        let before = &self.text[self.starts[line] as usize..at];
        let character = match encoding {
            Encoding::Utf8 => before.len(),
            Encoding::Utf16 => before.chars().map(char::len_utf16).sum(),
        };
        Position::new(line as u32, character as u32)
    }

    /// The range of a place.
    pub fn range(&self, span: Span, encoding: Encoding) -> Range {
        Range::new(self.position(span.start, encoding), self.position(span.end, encoding))
    }

    /// The line that a byte is on, from 0.
    pub fn line(&self, at: u32) -> u32 {
        self.starts.partition_point(|s| *s <= at).saturating_sub(1) as u32
    }
}

/// An open document.
pub struct Document {
    /// Its text.
    pub lines: Lines,
    /// The client's version of it.
    pub version: i64,
    /// How often it has been saved.
    pub saved: u64,
    /// The version that plans are wanted for, shared with the planner: an older plan stops.
    pub newest: Arc<AtomicI64>,
    /// What the check says of this version.
    pub analysis: Option<Rc<Analysis>>,
    /// What the check said of the version before it.
    pub before: Option<Rc<Analysis>>,
    /// What plans say, with the version that they are for.
    pub plans: Option<(i64, Rc<Plans>)>,
    /// Whether this version's diagnostics are yet to be published.
    pub unpublished: bool,
    /// The semantic tokens that the client was sent last.
    pub sent: Option<Sent>,
}

impl Document {
    /// A document as the client opened it.
    pub fn new(text: &str, version: i64) -> Document {
        Document {
            lines: Lines::new(text.into()),
            version,
            saved: 0,
            newest: Arc::new(AtomicI64::new(version)),
            analysis: None,
            before: None,
            plans: None,
            unpublished: true,
            sent: None,
        }
    }

    /// The text with a range of it replaced, or with all of it replaced.
    pub fn change(&mut self, range: Option<&Range>, insert: &str, encoding: Encoding) {
        let text = match range {
            None => insert.into(),
            Some(range) => {
                let (a, b) = (self.lines.offset(&range.start, encoding), self.lines.offset(&range.end, encoding));
                let (start, end) = (a.min(b), a.max(b));
                let old = &self.lines.text;
                let mut text = String::with_capacity(old.len() + insert.len());
                text.push_str(&old[..start]);
                text.push_str(insert);
                text.push_str(&old[end..]);
                text.into()
            }
        };
        self.lines = Lines::new(text);
    }

    /// Forgets what was known of the text before.
    pub fn changed(&mut self, version: i64) {
        self.version = version;
        self.newest.store(version, std::sync::atomic::Ordering::Relaxed);
        self.recheck();
    }

    /// Forgets what was known of the text, since what it builds on is another.
    pub fn recheck(&mut self) {
        self.before = self.analysis.take().or(self.before.take());
        self.plans = None;
        self.unpublished = true;
    }

    /// What plans say of this version.
    pub fn current_plans(&self) -> Option<&Rc<Plans>> {
        self.plans.as_ref().filter(|(version, _)| *version == self.version).map(|(_, plans)| plans)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_in_the_clients_units() {
        let lines = Lines::new("a😀b\r\nc\n".into());
        let at = |line, character| Position::new(line, character);
        assert_eq!(lines.offset(&at(0, 3), Encoding::Utf16), 5);
        assert_eq!(lines.offset(&at(0, 2), Encoding::Utf16), 1, "inside of a pair is before it");
        assert_eq!(lines.offset(&at(0, 5), Encoding::Utf8), 5);
        assert_eq!(lines.offset(&at(0, 99), Encoding::Utf16), 6, "beyond the line is its end");
        assert_eq!(lines.offset(&at(9, 0), Encoding::Utf16), 10);
        assert_eq!(lines.position(5, Encoding::Utf16), at(0, 3));
        assert_eq!(lines.position(8, Encoding::Utf16), at(1, 0));
        assert_eq!(lines.position(99, Encoding::Utf8), at(2, 0));
    }
}
