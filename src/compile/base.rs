//! The library, parsed and declared once for many checks of files that build on it: what makes an editor's check fast.

use super::{Checked, Texts, declared, echoes, module_trees, table_names};
use crate::check::kept::{Earlier, Trail};
use crate::check::program::{Composition, Program};
use crate::check::{self, Context};
use crate::diag::source::FileId;
use crate::diag::{Diagnostic, Diagnostics};
use crate::library::evidence::Demand;
use crate::library::{Library, Load};
use crate::syntax::ast::{File, Item, ItemKind};
use crate::syntax::parse::parse;
use crate::syntax::reread::{Pieces, read, reread};
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
    extended: Option<Extended>,
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
    /// What the check of its next text needs.
    pub left: Left,
}

/// What a check leaves for that of the next text, beside its results.
#[derive(Default)]
pub struct Left {
    pieces: Pieces,
    jobs: Trail,
}

/// Who says what lies beside a file; by default nothing does.
#[derive(Clone, Copy)]
pub struct Near<'a> {
    /// The text of a table of quality by its name.
    pub table: &'a dyn Fn(&str) -> Option<String>,
    /// What a trace of arrivals says, by its name.
    pub load: &'a dyn Fn(&str) -> Option<Load>,
}

impl Default for Near<'_> {
    fn default() -> Self {
        Near { table: &|_| None, load: &|_| None }
    }
}

/// A text that was checked before the one that is to be checked now.
pub struct Before {
    /// The text.
    pub text: Arc<str>,
    /// What came of it.
    pub checked: BaseChecked,
}

/// A table of quality by its name: its path and text.
pub type ReadTable<'a> = dyn Fn(&str) -> Option<(String, String)> + 'a;
/// What a trace of arrivals says, by its name.
pub type ReadLoad<'a> = dyn Fn(&str) -> Option<Load> + 'a;

impl Base {
    /// Parses and declares a library.
    pub fn new(texts: Texts) -> Base {
        let mut problems = Diagnostics::default();
        let trees = module_trees(&texts, &mut problems);
        let library = Arc::new(declared(&texts, &trees, &File::default(), &mut problems));
        let own = texts.sources.count();
        Base { texts, trees, library, problems, own, composed: BTreeMap::new(), extended: None }
    }

    /// The same library with other texts in the place of some of its files.
    pub fn with(&self, changes: &[(FileId, Arc<str>)]) -> Base {
        let mut texts = self.texts.clone();
        texts.sources.truncate(self.own);
        texts.tables.clear();
        texts.loads.clear();
        changes.iter().for_each(|(file, text)| texts.sources.replace(*file, &**text));
        Base::new(texts)
    }

    /// The compositions that a module declares, checked.
    pub fn compositions(&self, module: FileId) -> BTreeMap<EcoString, Arc<Composition>> {
        let names = self.texts.modules.iter().filter(|(_, file)| *file == module).map(|(name, _)| name.clone());
        let context = Context::new(&self.library, &self.texts.sources);
        let all = check::compose::offered(&names.collect(), &context, &mut Diagnostics::default());
        all.into_iter().filter(|(_, c)| c.job.span.file == module).collect()
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

    /// Checks a file. `near` is asked for the tables of quality and the traces that it names; one that it has not is a problem of the
    /// file.
    pub fn check(&mut self, (name, text): (&str, &str), near: Near, cx: &mut Diagnostics) -> BaseChecked {
        self.check_after((name, text), near, None, cx)
    }

    /// The same of a file's next text: what was not typed at is neither read nor checked again.
    pub fn check_after(
        &mut self,
        (name, text): (&str, &str),
        near: Near,
        before: Option<Before>,
        cx: &mut Diagnostics,
    ) -> BaseChecked {
        self.texts.sources.truncate(self.own);
        self.texts.tables.clear();
        let file = self.texts.sources.add(name, text);
        let before = before.filter(|before| before.checked.file == file);
        let (read, earlier) = match before {
            None => (read(text, file, cx), None),
            Some(Before { text: old, checked }) => {
                let BaseChecked { tree, library, program, left, .. } = checked;
                let read = reread(text, file, (&*old, tree, &left.pieces), cx);
                let earlier = Earlier::of(program, left.jobs, &|span| read.moved(span));
                (read, Some((library, earlier)))
            }
        };
        let tree = read.tree;
        let names = table_names(&tree);
        for name in &names {
            if let Some(text) = (near.table)(name) {
                let file = self.texts.sources.add(name.as_str(), text);
                self.texts.tables.insert(name.clone(), file);
            }
        }
        self.texts.read_traces(&tree, near.load);
        let library = self.library_of(&tree, cx);
        // A table may have other figures than the last time.
        let same = |(known, _): &(Arc<Library>, Earlier)| names.is_empty() && Arc::ptr_eq(known, &library);
        let earlier = earlier.filter(same).map(|(_, earlier)| earlier);
        let used = Arc::ptr_eq(&library, &self.library).then(|| check::used_modules(&tree, &library));
        let composed = used.as_ref().and_then(|used| self.composed.get(used));
        let context = Context { composed, holes: true, ..Context::new(&library, &self.texts.sources) };
        let (program, jobs) = check::check_after(&tree, &context, earlier, cx);
        echoes::silence(self.trees.iter().map(|(_, tree)| tree).chain([&tree]), &self.texts.sources, cx);
        if let (Some(used), None) = (used, composed) {
            if self.composed.len() >= MOST_COMPOSED {
                self.composed.clear();
            }
            self.composed.insert(used, program.compositions.clone());
        }
        BaseChecked { file, tree, library, program, left: Left { pieces: read.pieces, jobs } }
    }

    /// Checks a file on its own, as [`super::check_file`] does: texts and library are shared with all others, as far as the file declares nothing
    /// itself.
    pub fn apart(
        &self,
        (name, text): (&str, String),
        (table, load): (&ReadTable<'_>, &ReadLoad<'_>),
        cx: &mut Diagnostics,
    ) -> (Texts, FileId, Checked) {
        let mut texts = self.texts.clone();
        texts.sources.truncate(self.own);
        texts.tables.clear();
        let file = texts.sources.add(name, text);
        let tree = parse(file, &texts.sources, cx);
        for name in table_names(&tree) {
            if let Some((path, text)) = table(&name) {
                let table = texts.sources.add(path, text);
                texts.tables.insert(name, table);
            }
        }
        texts.read_traces(&tree, load);
        let plain = texts.tables.is_empty() && texts.loads.is_empty();
        let library = if plain && !tree.items.iter().any(declares) {
            self.problems.iter().for_each(|d| cx.push(d.clone()));
            self.library.clone()
        } else {
            let mut own = declared(&texts, &self.trees, &tree, cx);
            own.demand = self.library.demand;
            Arc::new(own)
        };
        let program = check::check(&tree, &Context::new(&library, &texts.sources), cx);
        echoes::silence(self.trees.iter().map(|(_, tree)| tree).chain([&tree]), &texts.sources, cx);
        (texts, file, Checked { tree, library, program })
    }

    /// The same library, of which figures must rest on more to be used.
    pub fn demanding(mut self, demand: Demand) -> Base {
        if self.library.demand != demand {
            Arc::make_mut(&mut self.library).demand = demand;
        }
        self
    }

    /// The library with a file's own items and tables. While only other parts of the file are typed at, it is the one from before.
    fn library_of(&mut self, tree: &File, cx: &mut Diagnostics) -> Arc<Library> {
        // Which modules are used decides which of their types the file's own may hide.
        let counts = |item: &&Item| !matches!(item.kind, ItemKind::Job(_) | ItemKind::Error);
        let items: Vec<&Item> = tree.items.iter().filter(counts).collect();
        let plain = self.texts.tables.is_empty() && self.texts.loads.is_empty();
        if plain && !items.iter().any(|item| declares(item)) {
            return self.library.clone();
        }
        let text = |file: &FileId| self.texts.sources.get(*file).text.as_str();
        let tables = self.texts.tables.iter().map(|(name, file)| (name.clone(), text(file).into()));
        let tables: Vec<(EcoString, EcoString)> = tables.collect();
        let named = |kept: &Extended| kept.tables == tables && kept.library.loads == self.texts.loads;
        let same = |kept: &Extended| kept.items.iter().eq(items.iter().copied()) && named(kept);
        let kept = match self.extended.take().filter(same) {
            Some(kept) => kept,
            None => {
                let mut said = Diagnostics::default();
                let library = Arc::new(declared(&self.texts, &self.trees, tree, &mut said));
                let own = |d: &&Diagnostic| d.primary.span.file.0 as usize >= self.own;
                Extended {
                    items: items.into_iter().cloned().collect(),
                    tables,
                    said: said.iter().filter(own).cloned().collect(),
                    library,
                }
            }
        };
        kept.said.iter().for_each(|d| cx.push(d.clone()));
        let library = kept.library.clone();
        self.extended = Some(kept);
        library
    }
}

/// Whether an item of a file adds something to the library.
fn declares(item: &Item) -> bool {
    !matches!(item.kind, ItemKind::Use(_) | ItemKind::Job(_) | ItemKind::Error)
}

/// The library with items of the file that was checked last.
struct Extended {
    /// The file's items that declare something, in their places.
    items: Vec<Item>,
    /// Its tables of quality: name and text.
    tables: Vec<(EcoString, EcoString)>,
    /// What is wrong with them.
    said: Vec<Diagnostic>,
    library: Arc<Library>,
}
