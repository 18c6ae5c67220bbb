//! The tree of a model or tool → what it implements, with which knobs, on what, and its profile.

use super::provider;
use super::{Measured, Profiles, Reading, hardware, read_size, read_work, text_of, whole};
use crate::diag::source::{FileId, Sources};
use crate::diag::{Diagnostics, nearest};
use crate::library::embedded::{self, STANDARD};
use crate::library::profile::Profile;
use crate::library::profile::late::Late;
use crate::library::profile::pool::{self, pool};
use crate::library::profile::table::{self, RESERVED, Table};
use crate::library::roofline::architecture::{self, Transformer};
use crate::library::roofline::chip::Chip;
use crate::library::roofline::estimates::{Basis, Estimates, VARIANT};
use crate::library::roofline::family::{self, Constants};
use crate::library::size::Scope;
use crate::library::{Concurrency, Device, Engine, Implementation, Library, Setting, errors};
use crate::library::{placeholders, reached};
use crate::syntax::ast::{self, Atom, AtomKind, LibraryLineKind, Name, Property};
use crate::types::Type;
use ecow::EcoString;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

/// Combinations of knob values that an entry may have: the planner looks at every one of them.
const MOST_SETTINGS: u64 = 10_000;

/// The words that lead a plain clause of a model or tool.
pub const IMPLEMENTATION_WORDS: [&str; 9] =
    ["estimate", "label", "license", "access", "region", "concurrency", "limit", "retention", "training"];

/// What a model or tool is read with.
pub(super) struct ImplementationPass<'a> {
    pub library: &'a Library,
    pub profiles: &'a Profiles,
    pub measured: &'a Measured,
    pub sources: &'a Sources,
}

/// Files that have been read: several entries may share one.
pub(super) struct Read {
    /// What profiles that are read later share; nothing where all are read now.
    later: Option<Arc<Later>>,
    /// Profiles.
    tables: BTreeMap<FileId, Table>,
    /// Files of architectures.
    architectures: BTreeMap<FileId, Vec<Transformer>>,
    /// The constants of the roofline.
    constants: Option<Vec<Constants>>,
    /// By profile and row: why no entry so far asks for it; nothing once one does.
    unasked: BTreeMap<FileId, BTreeMap<usize, Option<pool::Unasked>>>,
}

/// What the standard library's profiles are read with when they are asked for.
struct Later {
    /// The tasks and devices that there are.
    library: Library,
    /// Its tables, by the text that is embedded.
    tables: Mutex<BTreeMap<FileId, Arc<Table>>>,
}

impl Later {
    fn table(&self, file: FileId, text: &str) -> Arc<Table> {
        // What another thread left half done is a table less.
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        tables.entry(file).or_insert_with(|| Arc::new(table::read(text, file, &mut Diagnostics::default()))).clone()
    }
}

impl Read {
    /// Nothing read yet, for a library whose tasks and devices are known.
    pub fn new(library: &Library, reading: Reading) -> Read {
        let (tasks, devices) = (library.tasks.clone(), library.devices.clone());
        let later =
            || Arc::new(Later { library: Library { tasks, devices, ..Library::default() }, tables: Mutex::default() });
        Read {
            later: (reading == Reading::Late).then(later),
            tables: BTreeMap::new(),
            architectures: BTreeMap::new(),
            constants: None,
            unasked: BTreeMap::new(),
        }
    }

    /// Reports the rows of profiles that none of the entries that name them ever asks for. The published tables that come with mkbc
    /// hold models that none of its entries serves, and entries whose profiles are not read yet.
    pub fn report_unasked(&self, sources: &Sources, cx: &mut Diagnostics) {
        for row in self.unasked.values().flat_map(|rows| rows.values()).flatten() {
            let standard = sources.get(row.at.file).name.starts_with(STANDARD);
            if !standard || (!row.of_knob && self.later.is_none()) {
                cx.push(errors::bad_figure(row.at, row.message.clone(), &row.wanted));
            }
        }
    }
}

/// What an entry asks its profile for.
fn asking<'a>(entry: &'a Implementation, library: &'a Library) -> pool::For<'a> {
    pool::For {
        name: &entry.name,
        tasks: &entry.tasks,
        knobs: &entry.knobs,
        work: &entry.work,
        hardware: &entry.hardware,
        concurrency: &entry.concurrency,
        library,
    }
}

impl ImplementationPass<'_> {
    /// Reads one.
    pub fn read(
        &self,
        i: &ast::Implementation,
        docs: &EcoString,
        files: &mut Read,
        cx: &mut Diagnostics,
    ) -> Implementation {
        let mut tasks = Vec::new();
        for name in &i.tasks {
            if self.library.tasks.contains_key(&name.text) {
                tasks.push(name.text.clone());
            } else {
                let near = nearest(&name.text, self.library.tasks.keys().map(|k| k.as_str()));
                cx.push(errors::unknown_task(name.span, &name.text, near));
            }
        }
        let mut entry = Implementation::named(&i.name, tasks, docs);
        // Knobs come first: sizes and engines may use them, wherever they stand.
        for line in &i.lines {
            if let LibraryLineKind::Knob(name, values) = &line.kind {
                let values: Vec<EcoString> = values.iter().filter_map(text_of).collect();
                if entry.knobs.iter().any(|(n, _)| *n == name.text) {
                    cx.push(errors::declared_twice(name.span, "knob", &name.text, name.span));
                } else if values.is_empty() {
                    cx.push(errors::bad_value(line.span, &name.text, "at least one value"));
                } else if RESERVED.contains(&name.text.as_str()) {
                    let wanted = "another name: a column of this name means something else in profiles";
                    cx.push(errors::bad_value(name.span, &name.text, wanted));
                } else {
                    entry.knobs.push((name.text.clone(), values));
                }
            }
        }
        let combinations = entry.knobs.iter().fold(1u64, |all, (_, values)| all.saturating_mul(values.len() as u64));
        if combinations > MOST_SETTINGS {
            let wanted = format!("knobs with {MOST_SETTINGS} combinations of values at most: every one is looked at");
            cx.push(errors::bad_value(i.name.span, &i.name.text, &wanted));
            // What is reported here is looked at nowhere.
            entry.knobs.clear();
        }
        let mut profiles: Vec<FileId> = Vec::new();
        let mut has_profile = false;
        let mut estimate = None;
        for line in &i.lines {
            match &line.kind {
                LibraryLineKind::Knob(..) | LibraryLineKind::Error => {}
                LibraryLineKind::Work(name, expr) => self.with_scope(&entry.clone(), |scope, _| {
                    entry.work.extend(read_work(name.as_ref(), expr, scope, cx));
                }),
                LibraryLineKind::Size(path, expr) => self.with_scope(&entry.clone(), |scope, result| {
                    entry.sizes.extend(read_size(path, expr, result, scope, cx));
                }),
                LibraryLineKind::Runs(h) => entry.hardware.extend(hardware::option(h, self.library, cx)),
                LibraryLineKind::Engine(kind, settings) => {
                    reached::check(kind, settings, cx);
                    let of_tasks = entry.tasks.iter().filter_map(|t| self.library.tasks.get(t)).flat_map(|t| &t.params);
                    let known = of_tasks.map(|(n, _)| n.as_str()).chain(entry.knobs.iter().map(|(n, _)| n.as_str()));
                    placeholders::check(settings, &known.chain(placeholders::OWN).collect(), cx);
                    reached::check_together(kind, settings, &entry.knobs, cx);
                    entry.engine = Some(engine(kind, settings));
                }
                LibraryLineKind::Profile(path, span) => {
                    has_profile = true;
                    match self.profiles.get(path) {
                        Some(file) if profiles.contains(file) => {
                            cx.push(errors::bad_value(
                                *span,
                                "profile",
                                "another file: this one has been named already",
                            ));
                        }
                        Some(file) => profiles.push(*file),
                        None => cx.push(errors::profile_missing(*span, path)),
                    }
                }
                LibraryLineKind::Property(p) if p.name.text == "estimate" => {
                    has_profile = true;
                    estimate = Some(p);
                }
                LibraryLineKind::Property(p) => property(p, &mut entry, cx),
            }
        }
        let estimates = estimate.and_then(|p| self.estimates(p, &entry, files, cx));
        entry.profile = match self.late(&entry, &profiles, files) {
            Some(read) => Late::new(move || read().estimated(estimates.clone())),
            None => self.profile(&entry, &profiles, files, cx).estimated(estimates).into(),
        };
        let name = &entry.name;
        if !i.lines.iter().any(|l| matches!(l.kind, LibraryLineKind::Runs(_) | LibraryLineKind::Error)) {
            cx.push(errors::missing_part(i.name.span, name, "hardware", "runs on cpu * 1"));
        }
        if entry.engine.is_none() {
            cx.push(errors::missing_part(i.name.span, name, "engine", "engine process { command [\"…\"] }"));
        }
        if !has_profile {
            cx.push(errors::missing_part(i.name.span, name, "profile", "profile \"….csv\""));
        }
        entry
    }

    /// The files of an entry's profile with their ranks: those that it names, then those that were measured since. There are never as many
    /// as ranks.
    fn ranked(&self, entry: &Implementation, files: &[FileId]) -> Vec<(FileId, u8)> {
        let measured = self.measured.get(&entry.name).map_or(&[][..], Vec::as_slice);
        files.iter().map(|file| (*file, 0)).chain(measured.iter().copied().zip(1..=u8::MAX)).collect()
    }

    /// How the profile of one of the standard library's entries is read later; `None` where anything of it is not the standard library's.
    fn late(
        &self,
        entry: &Implementation,
        files: &[FileId],
        known: &Read,
    ) -> Option<impl Fn() -> Profile + Send + Sync + use<>> {
        let later = known.later.clone()?;
        let embedded = |file: FileId| {
            let source = self.sources.get(file);
            embedded::text(&source.name).filter(|text| *text == source.text)
        };
        embedded(entry.span.file)?;
        let ranked = self.ranked(entry, files).into_iter();
        let texts: Vec<(FileId, &'static str, u8)> =
            ranked.map(|(file, rank)| Some((file, embedded(file)?, rank))).collect::<Option<_>>()?;
        let entry = entry.clone();
        Some(move || {
            let tables: Vec<(Arc<Table>, u8)> =
                texts.iter().map(|(file, text, rank)| (later.table(*file, text), *rank)).collect();
            let tables: Vec<(&Table, u8)> = tables.iter().map(|(table, rank)| (&**table, *rank)).collect();
            pool(&tables, &asking(&entry, &later.library), &mut |_, _, _| {}, &mut Diagnostics::default())
        })
    }

    /// The profile of an entry, out of all files that it names and those that were measured since.
    pub fn profile(&self, entry: &Implementation, files: &[FileId], known: &mut Read, cx: &mut Diagnostics) -> Profile {
        let ranked = self.ranked(entry, files);
        for (file, _) in &ranked {
            let read = || table::read(&self.sources.get(*file).text, *file, cx);
            known.tables.entry(*file).or_insert_with(read);
        }
        let tables: Vec<(&Table, u8)> =
            ranked.iter().filter_map(|(file, rank)| Some((known.tables.get(file)?, *rank))).collect();
        let of = asking(entry, self.library);
        let unasked = &mut known.unasked;
        let mut told = |table: usize, row: usize, why: Option<pool::Why>| {
            let Some((file, _)) = ranked.get(table) else { return };
            let rows = unasked.entry(*file).or_default();
            if let Some(why) = why {
                rows.entry(row).or_insert_with(|| Some(why()));
            } else {
                rows.insert(row, None);
            }
        };
        pool(&tables, &of, &mut told, cx)
    }

    /// What an entry's figures are estimated with: the architectures in a file, on the devices that it may run on.
    fn estimates(
        &self,
        p: &Property,
        entry: &Implementation,
        known: &mut Read,
        cx: &mut Diagnostics,
    ) -> Option<Estimates> {
        let [Atom { kind: AtomKind::Text(path), span }] = p.values.as_slice() else {
            cx.push(errors::bad_value(p.span, "estimate", "a file of architectures, `\"architectures.csv\"` say"));
            return None;
        };
        let mut needs = |what: &str| cx.push(errors::bad_value(p.span, "estimate", what));
        let work = |task: &EcoString, name: &str| {
            let of_task = self.library.tasks.get(task).into_iter().flat_map(|t| &t.work);
            entry.work.iter().chain(of_task).any(|(n, _)| n == name)
        };
        if !entry.knobs.iter().any(|(n, _)| n == VARIANT) {
            needs("a knob `variant` whose values are those of the file");
            return None;
        }
        if !entry.tasks.iter().all(|t| work(t, "input") && work(t, "output")) {
            needs("tasks whose work is `input` and `output` tokens");
            return None;
        }
        let batch = match &entry.concurrency {
            Concurrency::Fixed(calls) => (None, vec![*calls]),
            Concurrency::Knob(knob) => {
                let values = entry.knobs.iter().filter(|(n, _)| n == knob).flat_map(|(_, values)| values);
                (Some(knob.clone()), values.filter_map(|v| v.parse().ok()).collect())
            }
        };
        let Some(file) = self.profiles.get(path) else {
            cx.push(errors::profile_missing(*span, path));
            return None;
        };
        let Some(fitted) = self.profiles.get(family::FILE) else {
            cx.push(errors::profile_missing(*span, family::FILE));
            return None;
        };
        let text = |file: FileId| &self.sources.get(file).text;
        let architectures =
            known.architectures.entry(*file).or_insert_with(|| architecture::read(text(*file), *file, cx));
        let constants = known.constants.get_or_insert_with(|| family::read(text(*fitted), *fitted, cx));
        let has = |variant: &EcoString| entry.knobs.iter().any(|(n, values)| n == VARIANT && values.contains(variant));
        let units = |d: &Device| -> BTreeSet<u32> {
            let named = entry.hardware.iter().filter(|h| h.device == d.name || (h.device == "gpu" && d.gpu));
            named.flat_map(|h| h.units.iter().copied()).filter(|units| *units > 0).collect()
        };
        // Cores are estimated where they say what they are; of a GPU that does not, the refusal says so.
        let devices = self.library.devices.values().filter(|d| d.gpu || d.facts.architecture.is_some());
        let devices = devices.map(|d| (d.name.clone(), Chip::of(d), units(d))).filter(|(.., units)| !units.is_empty());
        let chips: Vec<_> = devices.collect();
        let units: BTreeSet<u32> = chips.iter().flat_map(|chip| chip.2.iter().copied()).collect();
        Some(Estimates::new(Basis {
            models: architectures.iter().filter(|m| has(&m.variant)).cloned().collect(),
            chips,
            units: units.into_iter().collect(),
            batch,
            serve: entry.engine.as_ref().and_then(|e| e.text("serve")).unwrap_or("vllm").into(),
            constants: constants.clone(),
        }))
    }

    fn with_scope(&self, entry: &Implementation, f: impl FnOnce(&Scope, &Type)) {
        if let Some(task) = entry.tasks.first().and_then(|t| self.library.tasks.get(t)) {
            f(&Scope { params: &task.params, knobs: &entry.knobs }, &task.result);
        }
    }
}

fn property(p: &Property, entry: &mut Implementation, cx: &mut Diagnostics) {
    let word = p.name.text.as_str();
    let value = match p.values.as_slice() {
        [one] => text_of(one),
        _ => None,
    };
    match (word, value) {
        ("label", Some(v)) => entry.label = Some(v),
        ("license", Some(v)) => entry.license = Some(v),
        ("region", Some(v)) => entry.region = Some(v),
        ("access", Some(v)) if v == "open" || v == "closed" => entry.open = v == "open",
        ("concurrency", Some(name)) if entry.knobs.iter().any(|(n, _)| *n == name) => {
            let counts = |v: &EcoString| v.parse::<u32>().is_ok_and(|n| n > 0);
            let values = entry.knobs.iter().filter(|(n, _)| *n == name).flat_map(|(_, values)| values);
            match values.clone().all(counts) {
                true => entry.concurrency = Concurrency::Knob(name),
                false => cx.push(errors::bad_value(p.span, word, "a knob whose values are whole numbers from 1 on")),
            }
        }
        ("concurrency", _) => {
            let calls = p.values.first().and_then(|v| whole(v, word, cx)).unwrap_or(1).max(1);
            entry.concurrency = Concurrency::Fixed(calls);
        }
        ("limit", _) => provider::limit(p, entry, cx),
        ("retention" | "training", _) => provider::handling(p, entry, cx),
        ("access", _) => cx.push(errors::bad_value(p.span, word, "`open` or `closed`")),
        (word, _) if IMPLEMENTATION_WORDS.contains(&word) => cx.push(errors::bad_value(p.span, word, "one value")),
        (word, _) => cx.push(errors::unknown_property(p.name.span, word, &IMPLEMENTATION_WORDS)),
    }
}

fn engine(kind: &Name, settings: &[Property]) -> Engine {
    let value = |atom: &Atom| match &atom.kind {
        AtomKind::List(items) => Setting::List(items.iter().filter_map(text_of).collect()),
        _ => Setting::Text(text_of(atom).unwrap_or_default()),
    };
    let settings = settings.iter().map(|p| (p.name.text.clone(), p.values.iter().map(value).collect())).collect();
    Engine { kind: kind.text.clone(), span: kind.span, settings }
}
