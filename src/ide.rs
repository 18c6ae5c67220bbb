//! What editors ask of a file: pure functions from an [`Analysis`] and a place to an answer, one file a feature. No protocol here:
//! places are bytes, edits are [`Edit`]s. `src/lsp` speaks the protocol.

pub mod actions;
pub mod calls;
pub mod completion;
pub mod cursor;
pub mod definition;
pub mod folding;
pub mod formatting;
pub mod hints;
pub mod hover;
pub mod links;
pub mod names;
pub mod outline;
pub mod planning;
pub mod ranking;
pub mod references;
pub mod rename;
pub mod selection;
pub mod signature;
pub mod tokens;
mod walk;

use crate::check::program::{Job, Program};
use crate::compile::base::{BaseChecked, Before, Left};
use crate::compile::{Base, Near};
use crate::diag::source::{FileId, Span};
use crate::diag::{Diagnostic, Diagnostics};
use crate::expand::lock::Lock;
use crate::library::Library;
use crate::syntax::ast::{self, File, ItemKind};
use crate::syntax::imports;
use crate::syntax::token::{Lexed, lex};
use names::Names;
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

/// A replacement of a place by a text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Edit {
    /// The place.
    pub span: Span,
    /// What stands there then.
    pub insert: String,
}

/// A text, checked, with what its features share.
pub struct Analysis {
    /// The text.
    pub text: Arc<str>,
    /// Its file; any other file of a span is the library's.
    pub file: FileId,
    /// Its tree.
    pub tree: File,
    /// The library, the file's own items included.
    pub library: Arc<Library>,
    /// Its jobs.
    pub program: Program,
    /// What is wrong with it and what its holes are, in the order of the source.
    pub diagnostics: Vec<Diagnostic>,
    /// The fills of its holes, where it has a lock file; or why that cannot be read.
    pub lock: Option<Result<Lock, String>>,
    /// Whether it is a file of the library: it is checked with the library, and has no jobs that are looked at.
    pub is_library: bool,
    left: Left,
    lexed: OnceLock<Lexed>,
    names: OnceLock<Names>,
    /// Where the named values of jobs are in the program, by the places that name them.
    locals: OnceLock<BTreeMap<Span, (usize, usize)>>,
}

/// What stands beside a file; by default nothing.
#[derive(Default)]
pub struct Beside<'a> {
    /// Tables of quality and traces of arrivals.
    pub near: Near<'a>,
    /// The lock file, or why it cannot be read.
    pub lock: Option<Result<Lock, String>>,
}

/// Checks a text as `mkbc check` does.
pub fn analyse(base: &mut Base, name: &str, text: Arc<str>, beside: Beside) -> Analysis {
    analyse_after(base, name, text, beside, None)
}

/// The same of a file's next text: what was not typed at is neither read nor checked again.
pub fn analyse_after(
    base: &mut Base,
    name: &str,
    text: Arc<str>,
    beside: Beside,
    before: Option<Analysis>,
) -> Analysis {
    if let Some((file, tree)) = base.module(&text) {
        let (tree, library) = (tree.clone(), base.library().clone());
        return Analysis {
            text,
            file,
            tree,
            library,
            program: Program { compositions: base.compositions(file), ..Program::default() },
            diagnostics: base
                .problems()
                .sorted()
                .into_iter()
                .filter(|d| d.primary.span.file == file)
                .cloned()
                .collect(),
            lock: None,
            is_library: true,
            left: Left::default(),
            lexed: OnceLock::new(),
            names: OnceLock::new(),
            locals: OnceLock::new(),
        };
    }
    let mut cx = Diagnostics::default();
    let before = before.filter(|before| !before.is_library).map(Analysis::into_before);
    let checked = base.check_after((name, &text), beside.near, before, &mut cx);
    let BaseChecked { file, tree, library, program, left } = checked;
    let mut diagnostics = cx.into_sorted();
    diagnostics.retain(|d| d.primary.span.file == file);
    Analysis {
        text,
        file,
        tree,
        library,
        program,
        diagnostics,
        lock: beside.lock,
        is_library: false,
        left,
        lexed: OnceLock::new(),
        names: OnceLock::new(),
        locals: OnceLock::new(),
    }
}

impl Analysis {
    fn into_before(self) -> Before {
        let Analysis { text, file, tree, library, program, left, .. } = self;
        Before { text, checked: BaseChecked { file, tree, library, program, left } }
    }

    /// Its tokens and comments.
    pub fn lexed(&self) -> &Lexed {
        self.lexed.get_or_init(|| lex(&self.text, self.file, &mut Diagnostics::default()))
    }

    /// Its names, each with what it means.
    pub fn names(&self) -> &Names {
        self.names.get_or_init(|| walk::names(&self.tree, &self.text, &self.library, &self.program))
    }

    /// A place in it.
    pub fn span(&self, start: usize, end: usize) -> Span {
        Span::new(self.file, start as u32, end as u32)
    }

    /// The name at a place; empty where none is.
    pub fn slice_at(&self, at: u32) -> &str {
        self.names().at(at).map_or("", |name| self.slice(name.span))
    }

    /// The text of a place.
    pub fn slice(&self, span: Span) -> &str {
        if span.file == self.file { self.text.get(span.range()).unwrap_or("") } else { "" }
    }

    /// The job that a place is in, as written and as checked.
    pub fn job_at(&self, at: u32) -> Option<(&ast::Job, Option<&Job>)> {
        self.jobs().find(|(span, ..)| span.start <= at && at <= span.end).map(|(_, tree, typed)| (tree, typed))
    }

    /// Every job: its whole place, as written, and as checked.
    pub fn jobs(&self) -> impl Iterator<Item = (Span, &ast::Job, Option<&Job>)> {
        self.tree.items.iter().filter_map(|item| match &item.kind {
            ItemKind::Job(job) => {
                let typed = self.program.jobs.iter().find(|j| j.span == job.name.span);
                Some((item.span, job, typed))
            }
            _ => None,
        })
    }

    /// The edit that uses modules, where one of them is not used yet.
    pub fn use_edit(&self, modules: &[&str]) -> Option<Edit> {
        let uses = |module: &str| {
            self.tree.items.iter().any(|item| match &item.kind {
                ItemKind::Use(path) => path.iter().map(|n| n.text.as_str()).eq(module.split('.')),
                _ => false,
            })
        };
        let missing: Vec<&str> = modules.iter().copied().filter(|module| !module.is_empty() && !uses(module)).collect();
        let (at, insert) = imports::lines(&self.text, &missing);
        (!missing.is_empty()).then(|| Edit { span: self.span(at as usize, at as usize), insert })
    }
}
