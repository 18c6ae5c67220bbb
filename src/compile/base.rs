//! The library, parsed and declared once for many checks of files that build on it: what makes an editor's check fast.

use super::{Texts, declared, module_trees, table_names};
use crate::check::program::{Composition, Program};
use crate::check::{self, Context};
use crate::diag::Diagnostics;
use crate::diag::source::FileId;
use crate::library::Library;
use crate::syntax::ast::{File, Item, ItemKind};
use crate::syntax::parse::parse;
use ecow::EcoString;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Sets of modules whose compositions are kept.
const MOST_COMPOSED: usize = 16;

/// A library that many files are checked against, one after the other.
pub struct Base {
    /// Its texts; a file that is checked stands behind them until the next one is.
    texts: Texts,
    trees: Vec<(EcoString, File)>,
    library: Arc<Library>,
    problems: Diagnostics,
    own: usize,
    /// The compositions of the modules that files used, by these modules: they are the library's, and checked once.
    composed: BTreeMap<BTreeSet<EcoString>, BTreeMap<EcoString, Arc<Composition>>>,
}

/// A file that was checked against a base.
pub struct BaseChecked {
    /// The file, until the next one is checked.
    pub file: FileId,
    /// Its tree.
    pub tree: File,
    /// The library, the file's own items included.
    pub library: Arc<Library>,
    /// Its jobs.
    pub program: Program,
}

impl Base {
    /// Parses and declares a library.
    pub fn new(texts: Texts) -> Base {
        let mut problems = Diagnostics::default();
        let trees = module_trees(&texts, &mut problems);
        let library = Arc::new(declared(&texts, &trees, &File::default(), &mut problems));
        let own = texts.sources.count();
        Base { texts, trees, library, problems, own, composed: BTreeMap::new() }
    }

    /// What is wrong with the library itself.
    pub fn problems(&self) -> &Diagnostics {
        &self.problems
    }

    /// The texts, with the last file that was checked.
    pub fn texts(&self) -> &Texts {
        &self.texts
    }

    /// The same, for what adds texts of its own behind them.
    pub fn texts_mut(&mut self) -> &mut Texts {
        &mut self.texts
    }

    /// The items of the library's modules.
    pub fn items(&self) -> impl Iterator<Item = (&EcoString, &Item)> {
        self.trees.iter().flat_map(|(module, tree)| tree.items.iter().map(move |item| (module, item)))
    }

    /// The library without any file's own items.
    pub fn library(&self) -> &Arc<Library> {
        &self.library
    }

    /// The module whose text this is, with its tree: an editor that shows a file of the library has it open.
    pub fn module(&self, text: &str) -> Option<(FileId, &File)> {
        let modules = self.texts.modules.iter().zip(&self.trees);
        modules.map(|((_, file), (_, tree))| (*file, tree)).find(|(file, _)| self.texts.sources.get(*file).text == text)
    }

    /// Checks a file. `table` is asked for the text of the tables of quality that it names; one that it has not is a problem
    /// of the file.
    pub fn check(
        &mut self,
        (name, text): (&str, &str),
        table: &dyn Fn(&str) -> Option<String>,
        cx: &mut Diagnostics,
    ) -> BaseChecked {
        self.texts.sources.truncate(self.own);
        self.texts.tables.clear();
        let file = self.texts.sources.add(name, text);
        let tree = parse(file, &self.texts.sources, cx);
        for name in table_names(&tree) {
            if let Some(text) = table(&name) {
                let file = self.texts.sources.add(name.as_str(), text);
                self.texts.tables.insert(name, file);
            }
        }
        // Only what declares something, or brings tables, needs a library of its own.
        let declares = |item: &Item| !matches!(item.kind, ItemKind::Use(_) | ItemKind::Job(_) | ItemKind::Error);
        let library = if tree.items.iter().any(declares) || !self.texts.tables.is_empty() {
            let mut said = Diagnostics::default();
            let library = declared(&self.texts, &self.trees, &tree, &mut said);
            let new: Vec<_> = said.iter().filter(|d| d.primary.span.file.0 as usize >= self.own).cloned().collect();
            new.into_iter().for_each(|d| cx.push(d));
            Arc::new(library)
        } else {
            self.library.clone()
        };
        let used = Arc::ptr_eq(&library, &self.library).then(|| check::used_modules(&tree, &library));
        let composed = used.as_ref().and_then(|used| self.composed.get(used));
        let program = check::check(&tree, &Context { composed, ..Context::new(&library, &self.texts.sources) }, cx);
        if let (Some(used), None) = (used, composed) {
            if self.composed.len() >= MOST_COMPOSED {
                self.composed.clear();
            }
            self.composed.insert(used, program.compositions.clone());
        }
        BaseChecked { file, tree, library, program }
    }
}
