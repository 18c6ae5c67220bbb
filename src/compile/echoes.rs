//! Errors of the syntax → what is not said besides them: what checking finds wrong only because a part of the text was not read.
//! Once the syntax is mended, what is still wrong is said.

use crate::diag::source::{FileId, Sources, Span};
use crate::diag::{Diagnostic, Diagnostics, Severity, codes};
use crate::syntax::ast::{File, ItemKind};
use crate::syntax::token::{begins_item, has_word};
use std::collections::{BTreeMap, BTreeSet};

/// What says that a name means nothing: a line of the same item that was not read may have named it.
const NAMES: [&str; 4] = ["E0201", "E0214", "E0401", "E0414"];
/// What says that an item lacks something: a line of it that was not read may have had it.
const PARTS: [&str; 8] = ["E0208", "E0215", "E0408", "E0410", "E0740", "W0210", "W0212", "W0225"];
/// What says that something is declared or used nowhere: an item that was not read may have done it.
const ITEMS: [&str; 6] = ["E0202", "E0203", "E0204", "E0406", "E0409", "W0211"];
/// What says that something is declared nowhere: a module that is not there may have done it.
const DECLARED: [&str; 4] = ["E0201", "E0202", "E0203", "E0204"];
/// The words that begin a line which names a value.
const NAMING: [&str; 3] = ["let", "for", "knob"];

/// Forgets what only follows from errors of the syntax; `trees` are those of the file and of the library.
pub(super) fn silence<'a>(trees: impl IntoIterator<Item = &'a File>, sources: &Sources, cx: &mut Diagnostics) {
    // Where a value is to be given another one, `let` is not what is missing.
    let again: Vec<Span> = cx.iter().filter(|d| d.code == "E0216").map(|d| d.primary.span).collect();
    let starts = |at: Span| again.iter().any(|name| name.file == at.file && name.start == at.start);
    cx.retain(|d| !codes::is_syntax(d.code) || !d.fix.as_ref().is_some_and(|fix| starts(fix.span)));
    let lacking: BTreeSet<FileId> = cx.iter().filter(|d| d.code == "E0220").map(|d| d.primary.span.file).collect();
    if !lacking.is_empty() {
        let undeclared = |d: &Diagnostic| DECLARED.contains(&d.code) && (d.code == "E0203" || d.sure_fix().is_none());
        cx.retain(|d| !(lacking.contains(&d.primary.span.file) && undeclared(d)));
    }
    let mut broken: BTreeMap<FileId, Broken> = BTreeMap::new();
    for d in cx.iter().filter(|d| codes::is_syntax(d.code)) {
        let at = d.primary.span;
        let text = &sources.get(at.file).text;
        broken.entry(at.file).or_insert_with(|| Broken::new(text)).note(d);
    }
    if broken.is_empty() {
        return;
    }
    let lost = trees.into_iter().flat_map(|tree| &tree.items).any(|item| matches!(item.kind, ItemKind::Error));
    cx.retain(|d| {
        let is_echo = !codes::is_syntax(d.code)
            && d.severity != Severity::Info
            && (broken.get(&d.primary.span.file).is_some_and(|file| file.echoes(d)) || (lost && of_items(d)));
        !is_echo
    });
}

/// Whether something is said of an item that is nowhere. A name that is plainly misspelt is its own mistake.
fn of_items(d: &Diagnostic) -> bool {
    ITEMS.contains(&d.code) && (d.code == "E0203" || d.sure_fix().is_none())
}

/// What of a file was not read.
struct Broken<'a> {
    text: &'a str,
    /// Where each line ends.
    ends: Vec<usize>,
    /// Where the lines begin at which an item does: whatever is open before them ends there.
    heads: Vec<usize>,
    /// The lines of which a syntax error speaks, by the head above them.
    lines: BTreeMap<usize, BTreeSet<usize>>,
    /// The heads below which a bracket has no partner.
    unpaired: BTreeSet<usize>,
}

impl Broken<'_> {
    fn new(text: &str) -> Broken<'_> {
        let (mut ends, mut heads, mut at) = (Vec::new(), Vec::new(), 0);
        for line in text.split_inclusive('\n') {
            if begins_item(line) {
                heads.push(at);
            }
            at += line.len();
            ends.push(at);
        }
        Broken { text, ends, heads, lines: BTreeMap::new(), unpaired: BTreeSet::new() }
    }

    fn note(&mut self, d: &Diagnostic) {
        let (head, line) = (self.head(d.primary.span), self.line(d.primary.span));
        self.lines.entry(head).or_default().insert(line);
        if codes::is_of_brackets(d.code) {
            self.unpaired.insert(head);
        }
    }

    /// Which head is the last one at or above a place.
    fn head(&self, at: Span) -> usize {
        self.heads.partition_point(|head| *head <= at.start as usize)
    }

    /// Which line a place is on.
    fn line(&self, at: Span) -> usize {
        self.ends.partition_point(|end| *end <= at.start as usize)
    }

    fn text_of(&self, line: usize) -> &str {
        let start = line.checked_sub(1).and_then(|above| self.ends.get(above)).copied().unwrap_or(0);
        let end = self.ends.get(line).copied().unwrap_or(self.text.len());
        self.text.get(start..end).unwrap_or_default()
    }

    fn echoes(&self, d: &Diagnostic) -> bool {
        let (head, line) = (self.head(d.primary.span), self.line(d.primary.span));
        let Some(lines) = self.lines.get(&head) else { return false };
        if lines.contains(&line) || PARTS.contains(&d.code) {
            return true;
        }
        let name = self.text.get(d.primary.span.range()).unwrap_or_default();
        let named = |line: &usize| {
            let line = self.text_of(*line);
            has_word(line, name) || leaves_out_a_name(line)
        };
        NAMES.contains(&d.code) && (self.unpaired.contains(&head) || lines.iter().any(named))
    }
}

/// Whether a line would name a value, and the name is not there.
fn leaves_out_a_name(line: &str) -> bool {
    let behind = NAMING.iter().find_map(|word| line.trim_start().strip_prefix(word)?.strip_prefix(' '));
    behind.is_some_and(|rest| !rest.trim_start().starts_with(|c: char| c.is_alphabetic() || c == '_' || c == '('))
}
