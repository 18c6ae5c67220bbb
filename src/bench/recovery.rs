//! Sources + seed → how much of a file is still read after one random edit, and how much is said of it.
//!
//! Statements (statements, clauses, library lines) of the tree are compared with those of the unedited one. What the edit itself
//! cuts away is not counted: no parser can keep it. The statement that is edited counts, and is kept where it is still read as a
//! statement of its kind.

use crate::diag::Diagnostics;
use crate::diag::source::{FileId, Span};
use crate::syntax::ast::*;
use crate::syntax::parse::parse_text;
use crate::syntax::token::{Token, lex};
use std::collections::BTreeMap;
use std::ops::Range;

/// What is inserted; `↵` is the end of a line.
const INSERTED: &str = "( ) [ ] { } : = , -> \" . ? let job for slo until zebra 12 5s == ↵ using";

/// A kind of statement, and its first line without spaces.
type Key = (&'static str, String);

/// What came of some files.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sum {
    /// How many.
    pub files: usize,
    /// Their statements.
    pub all: usize,
    /// Statements that are read as ones of their kind.
    pub kept: usize,
    /// Statements that are read with the same first line.
    pub same: usize,
    /// Diagnostics of lexer, layout and parser.
    pub said: usize,
    /// The most of them for one file.
    pub most: usize,
    /// Files of which nothing is said.
    pub silent: usize,
}

impl Sum {
    fn add(&mut self, file: &Edited) {
        self.files += 1;
        self.all += file.all;
        self.kept += file.kept;
        self.same += file.same;
        self.said += file.said;
        self.most = self.most.max(file.said);
        self.silent += usize::from(file.said == 0);
    }

    /// The share of statements that are kept, 0 to 1.
    pub fn share(&self) -> f64 {
        self.kept as f64 / self.all.max(1) as f64
    }

    /// The share that is kept as it was, 0 to 1.
    pub fn unchanged(&self) -> f64 {
        self.same as f64 / self.all.max(1) as f64
    }

    /// Diagnostics a file.
    pub fn mean(&self) -> f64 {
        self.said as f64 / self.files.max(1) as f64
    }
}

/// A file after its edit.
#[derive(Clone, Debug)]
pub struct Edited {
    /// The kind of the edit.
    pub kind: &'static str,
    /// Which source it was made of.
    pub source: usize,
    /// The text.
    pub text: String,
    /// Statements that the edit did not cut away.
    pub all: usize,
    /// Those that are read as ones of their kind.
    pub kept: usize,
    /// Those that are read with the same first line.
    pub same: usize,
    /// Diagnostics.
    pub said: usize,
}

/// Edits random sources once each, so many times; `see` is shown each. Sums by kind of edit, and of all.
pub fn measure(
    sources: &[String],
    files: usize,
    seed: u64,
    see: &mut dyn FnMut(&Edited),
) -> (BTreeMap<&'static str, Sum>, Sum) {
    let whole: Vec<Vec<(Key, Span)>> = sources.iter().map(|text| read(text).0).collect();
    let mut rng = fastrand::Rng::with_seed(seed);
    let (mut sums, mut total) = (BTreeMap::<&str, Sum>::new(), Sum::default());
    for _ in 0..if sources.is_empty() { 0 } else { files } {
        let source = rng.usize(..sources.len());
        let (kind, text, cut) = edit(&sources[source], &mut rng);
        let (found, said) = read(&text);
        let left: Vec<&(Key, Span)> =
            whole[source].iter().filter(|(_, span)| !cut.contains(&(span.start as usize))).collect();
        let kept = common(&count(left.iter().copied(), |k| k.0), &count(found.iter(), |k| k.0));
        let same = common(&count(left.iter().copied(), |k| k.clone()), &count(found.iter(), |k| k.clone()));
        let edited = Edited { kind, source, text, all: left.len(), kept, same, said };
        sums.entry(kind).or_default().add(&edited);
        total.add(&edited);
        see(&edited);
    }
    (sums, total)
}

/// One random edit of a text that has tokens: its kind, the text, and what of the unedited text was cut away.
pub fn edit(source: &str, rng: &mut fastrand::Rng) -> (&'static str, String, Range<usize>) {
    let tokens = lex(source, FileId(0), &mut Diagnostics::default()).tokens;
    let words: Vec<usize> = (0..tokens.len()).filter(|at| tokens[*at].1 != Token::Newline).collect();
    if words.is_empty() {
        return ("nothing", source.to_string(), 0..0);
    }
    let (start, _, end) = tokens[rng.usize(..tokens.len())];
    let (start, end) = (start as usize, end as usize);
    match rng.u8(..8) {
        0..3 => {
            let (start, _, end) = tokens[words[rng.usize(..words.len())]];
            ("token dropped", format!("{}{}", &source[..start as usize], &source[end as usize..]), 0..0)
        }
        3..6 => {
            let inserted: Vec<&str> = INSERTED.split(' ').collect();
            let new = inserted[rng.usize(..inserted.len())].replace('↵', "\n");
            ("token inserted", format!("{} {new} {}", &source[..start], &source[start..]), 0..0)
        }
        6 => {
            let from = source[..start].rfind('\n').map_or(0, |i| i + 1);
            let to = source[end..].find('\n').map_or(source.len(), |i| end + i + 1);
            ("line cut", format!("{}{}", &source[..from], &source[to..]), from..to)
        }
        _ => ("file cut", source[..start].to_string(), start..source.len()),
    }
}

fn read(source: &str) -> (Vec<(Key, Span)>, usize) {
    let mut cx = Diagnostics::default();
    let tree = parse_text(source, FileId(0), &mut cx);
    (Kept::of(source, &tree), cx.sorted().len())
}

fn count<'a, T: Ord>(keys: impl Iterator<Item = &'a (Key, Span)>, key: impl Fn(&'a Key) -> T) -> BTreeMap<T, usize> {
    let mut counts = BTreeMap::new();
    for (k, _) in keys {
        *counts.entry(key(k)).or_insert(0) += 1;
    }
    counts
}

fn common<T: Ord>(a: &BTreeMap<T, usize>, b: &BTreeMap<T, usize>) -> usize {
    a.iter().map(|(key, n)| (*n).min(b.get(key).copied().unwrap_or(0))).sum()
}

/// Every statement of a tree that was read, with its place.
struct Kept<'a> {
    source: &'a str,
    found: Vec<(Key, Span)>,
}

impl Kept<'_> {
    fn of(source: &str, tree: &File) -> Vec<(Key, Span)> {
        let mut kept = Kept { source, found: Vec::new() };
        for item in &tree.items {
            match &item.kind {
                ItemKind::Job(job) => kept.stmts(&job.body),
                ItemKind::Task(task) => kept.lines(&task.lines),
                ItemKind::Implementation(implementation) => kept.lines(&implementation.lines),
                _ => {}
            }
        }
        kept.found
    }

    fn keep(&mut self, kind: &'static str, span: Span) {
        let text = self.source.get(span.range()).unwrap_or("");
        let line: String = text.lines().next().unwrap_or("").chars().filter(|c| !c.is_whitespace()).collect();
        self.found.push(((kind, line), span));
    }

    fn lines(&mut self, lines: &[LibraryLine]) {
        for line in lines {
            let kind = match line.kind {
                LibraryLineKind::Error => continue,
                LibraryLineKind::Work(..) => "work",
                LibraryLineKind::Size(..) => "size",
                LibraryLineKind::Knob(..) => "knob",
                LibraryLineKind::Runs(_) => "runs",
                LibraryLineKind::Engine(..) => "engine",
                LibraryLineKind::Profile(..) => "profile",
                LibraryLineKind::Property(_) => "property",
            };
            self.keep(kind, line.span);
        }
    }

    fn stmts(&mut self, stmts: &[Stmt]) {
        for stmt in stmts {
            let kind = match &stmt.kind {
                StmtKind::Error => continue,
                // A value that is lost is no statement that was read.
                StmtKind::Let(_, _, value) if matches!(value.kind, ExprKind::Error) => continue,
                StmtKind::Let(..) => "let",
                StmtKind::Expr(_) => "expression",
                StmtKind::Goal(..) => "goal",
                StmtKind::Slo(_) => "slo",
                StmtKind::Wish(_) => "wish",
                StmtKind::Prefer(_) => "prefer",
                StmtKind::Expect(_) => "expect",
                StmtKind::Pin(_) => "pin",
                StmtKind::On(_) => "on",
                StmtKind::Rule(_) => "rule",
                StmtKind::Knob(..) => "knob",
                StmtKind::Profile(..) => "profile",
            };
            self.keep(kind, stmt.span);
            match &stmt.kind {
                StmtKind::Let(_, _, value) | StmtKind::Expr(value) => self.inside(value),
                StmtKind::Slo(clauses) => {
                    clauses.iter().filter(|c| !c.metric.is_empty()).for_each(|c| self.keep("clause", c.span));
                }
                _ => {}
            }
        }
    }

    fn inside(&mut self, value: &Expr) {
        match &value.kind {
            ExprKind::If(branch) => {
                self.stmts(&branch.then);
                self.stmts(branch.otherwise.as_deref().unwrap_or_default());
            }
            ExprKind::For(_, _, body) => self.stmts(body),
            ExprKind::Repeat(repeat) => self.stmts(&repeat.body),
            _ => {}
        }
    }
}
