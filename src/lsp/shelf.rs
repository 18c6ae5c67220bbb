//! The libraries that documents build on. A document has the folders that its job would have on the command line; documents with the same
//! folders share a library, which is read again when one of its files changes, comes or goes.

use super::document::Lines;
use super::{Published, Server};
use crate::compile::{Base, Texts};
use crate::diag::Diagnostic;
use crate::diag::source::{FileId, Span};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

/// Of more libraries than this, the one that was not used longest is read again.
const MOST: usize = 8;

/// A library.
pub(super) struct Shelf {
    /// Its folders; the standard library is always there.
    pub(super) folders: Vec<PathBuf>,
    /// Its texts, for whoever makes a base of them elsewhere.
    pub(super) texts: Arc<Texts>,
    /// The same, read.
    pub(super) base: Base,
}

impl Shelf {
    pub(super) fn new(folders: Vec<PathBuf>, texts: Arc<Texts>) -> Shelf {
        let base = Base::new((*texts).clone());
        Shelf { folders, texts, base }
    }

    /// What is wrong with files that are somebody's, by file.
    fn faults(&self) -> BTreeMap<FileId, Vec<&Diagnostic>> {
        let mut faults: BTreeMap<FileId, Vec<&Diagnostic>> = BTreeMap::new();
        let own = self.base.problems().sorted().into_iter().filter(|d| !self.texts.is_standard(d.primary.span.file));
        own.for_each(|d| faults.entry(d.primary.span.file).or_default().push(d));
        faults
    }
}

impl Server {
    /// Takes the library that a document builds on for the one that is asked from here on.
    pub(super) fn turn_to(&mut self, uri: &str) {
        let folders = self.setup.files.libraries(uri);
        if folders == self.shelf.folders {
            return;
        }
        let known = self.shelves.iter().position(|shelf| shelf.folders == folders);
        let next = known.map(|at| self.shelves.remove(at)).unwrap_or_else(|| {
            let texts = self.setup.files.load(&folders).unwrap_or_else(|why| {
                self.log(&why);
                Texts::with_stdlib()
            });
            self.untold = true;
            Shelf::new(folders, Arc::new(texts))
        });
        self.shelves.push(std::mem::replace(&mut self.shelf, next));
        if self.shelves.len() > MOST {
            self.shelves.remove(0);
        }
    }

    /// Takes up what was typed at, or written to, files of libraries: everything that builds on them is checked again.
    pub(super) fn settle(&mut self) {
        let touched = std::mem::take(&mut self.touched);
        let Server { setup, shelf, shelves, documents, .. } = self;
        let files = &setup.files;
        let mut changed = false;
        for shelf in std::iter::once(shelf).chain(shelves) {
            if !touched.iter().any(|uri| files.within(&shelf.folders, uri)) {
                continue;
            }
            let Ok(mut texts) = files.load(&shelf.folders) else { continue };
            let own = (0..texts.sources.count() as u32).map(FileId).filter(|file| !texts.is_standard(*file));
            for file in own.collect::<Vec<_>>() {
                let Some(address) = files.library(&texts, file) else { continue };
                let open = documents.iter().find(|(uri, _)| files.same(uri, &address));
                open.into_iter().for_each(|(_, document)| texts.sources.replace(file, &*document.lines.text));
            }
            if !texts.same(&shelf.texts) {
                *shelf = Shelf::new(std::mem::take(&mut shelf.folders), Arc::new(texts));
                changed = true;
            }
        }
        if changed {
            self.untold = true;
            self.documents.values_mut().for_each(super::Document::recheck);
        }
    }

    /// Publishes what is wrong with files of libraries, each at its own address; an open one says it by itself.
    pub(super) fn tell_faults(&mut self) {
        if !std::mem::take(&mut self.untold) {
            return;
        }
        let mut told = BTreeSet::new();
        for shelf in std::iter::once(&self.shelf).chain(&self.shelves) {
            for (file, faults) in shelf.faults() {
                let Some(uri) = self.setup.files.library(&shelf.texts, file) else { continue };
                let open = self.documents.keys().any(|open| self.setup.files.same(open, &uri));
                if open || !told.insert(uri.clone()) {
                    continue;
                }
                let lines = Lines::new(shelf.texts.sources.get(file).text.as_str().into());
                let place = |at: Span| {
                    let lines = Lines::new(shelf.texts.sources.get(at.file).text.as_str().into());
                    Some((self.setup.files.library(&shelf.texts, at.file)?, lines.range(at, self.encoding)))
                };
                let mut diagnostics = Vec::new();
                for fault in faults {
                    let range = Some(lines.range(fault.primary.span, self.encoding));
                    diagnostics.push(self.problem(&uri, fault, "mkbc", range, &place));
                }
                let published = Published { uri: &uri, version: None, diagnostics };
                self.notify("textDocument/publishDiagnostics", published);
            }
        }
        for gone in std::mem::replace(&mut self.told, told).difference(&self.told) {
            if !self.documents.keys().any(|open| self.setup.files.same(open, gone)) {
                let published = Published { uri: gone, version: None, diagnostics: Vec::new() };
                self.notify("textDocument/publishDiagnostics", published);
            }
        }
    }
}
