//! Sources → plan: the whole way through the compiler, in one place. No IO: texts, machines and limits are handed in.

pub mod base;
pub mod decide;
mod echoes;
pub mod predict;
pub mod prepare;
pub mod proof;

pub use base::{Base, Near};
pub use decide::{Changes, Clash, Decision, Undecided, decide};
pub use prepare::{Compiled, Prepared, prepare, prepare_job};

use crate::check::load::TRACE;
use crate::check::program::Program;
use crate::check::{self, Context};
use crate::diag::Diagnostics;
use crate::diag::source::{FileId, Sources};
use crate::digest::digest;
use crate::expand;
use crate::expand::lock::Lock;
use crate::ir::workflow::{Step, Workflow};
use crate::library::declare::{Measured, Module, Profiles, Reading, declare, text_of};
use crate::library::embedded::STANDARD;
use crate::library::{Implementation, Library, Load, embedded};
use crate::solve::Limits;
use crate::solve::outcome::Solution;
use crate::solve::problem::Problem;
use crate::space::ends::End;
use crate::space::sizes::InputSizes;
use crate::space::{self, Machines, Space, StepSpace};
use crate::syntax::ast::{Atom, AtomKind, Expectation, File, ItemKind, StmtKind};
use crate::syntax::parse::parse;
use ecow::EcoString;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The texts of a compilation.
#[derive(Clone, Default)]
pub struct Texts {
    /// Every source, with its place.
    pub sources: Sources,
    /// Library modules by name.
    pub modules: Vec<(EcoString, FileId)>,
    /// Profiles by file name.
    pub profiles: Profiles,
    /// Tables of quality beside the job's file, by the name that the job uses.
    pub tables: Profiles,
    /// What the traces of arrivals beside it say, by the name that the job uses.
    pub loads: BTreeMap<EcoString, Load>,
    /// Whether the job's text came without the files beside it.
    pub alone: bool,
    /// Measured profiles by implementation: their rows stand before those of its other profiles.
    pub measured: Measured,
    /// Whether the file that is checked is a module of the library, whose types the others see.
    pub own_is_module: bool,
}

impl Texts {
    /// Takes what the traces say that a file names, in the place of another file's; one of which nothing is said is the check's to report.
    pub fn read_traces(&mut self, tree: &File, load: &dyn Fn(&str) -> Option<Load>) {
        self.loads = trace_names(tree).into_iter().filter_map(|name| Some((name.clone(), load(&name)?))).collect();
    }

    /// The standard library.
    pub fn with_stdlib() -> Texts {
        let mut texts = Texts::default();
        for (name, text) in embedded::modules() {
            let file = texts.sources.add(format!("{STANDARD}{name}.mkb"), text);
            texts.modules.push((ecow::eco_format!("std.{name}"), file));
        }
        for (name, text) in embedded::profiles() {
            let file = texts.sources.add(format!("{STANDARD}profiles/{name}"), text);
            texts.profiles.insert(name.into(), file);
        }
        for (name, text) in embedded::measured() {
            let file = texts.sources.add(format!("{STANDARD}measured/{name}"), text);
            texts.add_measured(&name, file);
        }
        texts
    }
}

impl Texts {
    /// Whether a file is the standard library's, which nobody edits.
    pub fn is_standard(&self, file: FileId) -> bool {
        self.sources.get(file).name.starts_with(STANDARD)
    }

    /// Whether they are the same files with the same texts.
    pub fn same(&self, other: &Texts) -> bool {
        let Texts { sources, modules, profiles, measured, .. } = self;
        let mut files = sources.iter().zip(other.sources.iter());
        modules == &other.modules
            && profiles == &other.profiles
            && measured == &other.measured
            && sources.count() == other.sources.count()
            && files.all(|(one, other)| one.name == other.name && one.text == other.text)
    }

    /// Adds a measured profile; the implementation is what its file's name begins with: `whisper.csv`, `whisper.eval.csv`. Those that
    /// come later stand before earlier ones.
    pub fn add_measured(&mut self, name: &str, file: FileId) {
        let implementation = name.split('.').next().unwrap_or(name);
        self.measured.entry(implementation.into()).or_default().push(file);
    }
}

/// A checked file, with everything that it builds on.
pub struct Checked {
    /// Its tree, holes filled where the lock fills them.
    pub tree: File,
    /// The library, the file's own items included.
    pub library: Arc<Library>,
    /// Its jobs.
    pub program: Program,
}

/// Parses and checks a file with its library.
pub fn check_file(texts: &Texts, file: FileId, cx: &mut Diagnostics) -> Checked {
    let tree = parse(file, &texts.sources, cx);
    check_tree(texts, tree, cx)
}

/// Checks a tree with its library.
pub fn check_tree(texts: &Texts, tree: File, cx: &mut Diagnostics) -> Checked {
    let trees = module_trees(texts, cx);
    let library = Arc::new(declared(texts, &trees, &tree, cx));
    let program = check::check(&tree, &Context::new(&library, &texts.sources), cx);
    echoes::silence(trees.iter().map(|(_, tree)| tree).chain([&tree]), &texts.sources, cx);
    Checked { tree, library, program }
}

/// The trees of the library's modules, by name.
fn module_trees(texts: &Texts, cx: &mut Diagnostics) -> Vec<(EcoString, File)> {
    texts.modules.iter().map(|(name, file)| (name.clone(), parse(*file, &texts.sources, cx))).collect()
}

/// The library of modules and of a file's own items.
fn declared(texts: &Texts, trees: &[(EcoString, File)], own: &File, cx: &mut Diagnostics) -> Library {
    let mut modules: Vec<Module> =
        trees.iter().map(|(name, tree)| Module { name: name.clone(), tree, of_library: true }).collect();
    modules.push(Module { name: EcoString::new(), tree: own, of_library: texts.own_is_module });
    let mut library = declare(&modules, (&texts.profiles, &texts.measured), (&texts.sources, Reading::Late), cx);
    library.tables = texts.tables.clone();
    library.loads = texts.loads.clone();
    library.alone = texts.alone;
    library
}

/// The statements of a file's jobs, those in blocks aside.
fn statements(tree: &File) -> impl Iterator<Item = &StmtKind> {
    let jobs = tree.items.iter().filter_map(|i| if let ItemKind::Job(job) = &i.kind { Some(&job.body) } else { None });
    jobs.flatten().map(|stmt| &stmt.kind)
}

/// The traces of arrivals that a file's jobs name (`expect trace "arrivals.csv"`), in order.
fn trace_names(tree: &File) -> Vec<EcoString> {
    let named = statements(tree).filter_map(|stmt| match stmt {
        StmtKind::Expect(Expectation::Trace(word, name, _)) if word.text == TRACE => Some(name.clone()),
        _ => None,
    });
    named.collect()
}

/// The tables of quality that a file's jobs name (`quality from "eval.csv"`), in order.
pub fn table_names(tree: &File) -> Vec<EcoString> {
    let rules = statements(tree).filter_map(|stmt| if let StmtKind::Rule(rule) = stmt { Some(rule) } else { None });
    let named = rules.filter_map(|rule| match rule.values.as_slice() {
        [from, Atom { kind: AtomKind::Text(name), .. }] => {
            (rule.name.text == "quality" && text_of(from).as_deref() == Some("from")).then(|| name.clone())
        }
        _ => None,
    });
    named.collect()
}

/// What a plan is made for.
pub struct Target<'a> {
    /// The job's name, where the file has several.
    pub job: Option<&'a str>,
    /// The machines.
    pub machines: &'a Machines,
    /// Measured sizes of the inputs.
    pub measured: &'a InputSizes,
    /// What can be used.
    pub usable: &'a space::Usable<'a>,
    /// How long to look.
    pub limits: Limits<'a>,
    /// Where in their intervals figures are taken: at the worst end for a robust plan.
    pub end: End,
}

/// Fills the holes of a checked file from its lock and, where that says nothing, by typed search. Returns the file checked
/// again and the lock that now holds every fill; `None` where a hole stays open.
pub fn fill(
    texts: &mut Texts,
    checked: Checked,
    lock: &Lock,
    locked: bool,
    cx: &mut Diagnostics,
) -> Option<(Checked, Lock)> {
    if checked.program.jobs.iter().all(|j| j.holes.is_empty()) {
        return Some((checked, lock.clone()));
    }
    let fills = expand::fills(&checked.program, &checked.library, lock, locked, cx)?;
    let (tree, program) = with(texts, &checked, &fills, cx)?;
    // A fill is data flow: the library is the one that the file was checked with.
    Some((Checked { tree, library: checked.library, program }, fills))
}

/// A checked file with fills put into its holes, checked again; holes without a fill stay. `None` where a fill is wrong.
pub fn with_fills(texts: &mut Texts, checked: &Checked, fills: &Lock, cx: &mut Diagnostics) -> Option<Checked> {
    let (tree, program) = with(texts, checked, fills, cx)?;
    Some(Checked { tree, library: checked.library.clone(), program })
}

fn with(texts: &mut Texts, checked: &Checked, fills: &Lock, cx: &mut Diagnostics) -> Option<(File, Program)> {
    let tree = expand::fill::apply(&checked.tree, &checked.program, fills, &mut texts.sources, cx);
    if cx.has_errors() {
        return None;
    }
    // The first check has said what there is to say of the file; the second speaks of the fills.
    let mut again = Diagnostics::default();
    let program = check::check(&tree, &Context::new(&checked.library, &texts.sources), &mut again);
    if again.has_errors() {
        cx.append(again);
        return None;
    }
    Some((tree, program))
}

/// What a step could choose from.
#[derive(Clone, Debug)]
pub struct Offer {
    /// The step's display name.
    pub step: EcoString,
    /// Implementation × knobs × hardware.
    pub candidates: usize,
    /// The same under everything that upstream choices lead to.
    pub options: usize,
    /// What was left out, and why.
    pub excluded: Vec<(EcoString, String)>,
}

/// Compiles a job of a checked file whose holes are filled.
pub fn plan<'a>(
    compiled: Compiled<'a>,
    target: &Target<'a>,
    cx: &mut Diagnostics,
) -> Result<(Prepared<'a>, Decision), String> {
    plan_seen(compiled, target, cx, &mut |_, _| {})
}

/// What the solver came to.
#[derive(Clone, Copy)]
pub enum Seen<'a> {
    /// A plan.
    Plan(&'a Decision),
    /// Clauses that clash.
    Clash(&'a Clash),
}

impl Seen<'_> {
    /// The problem that the solver had last, and its solution.
    pub fn problem(&self) -> (&Problem, Option<&Solution>) {
        match self {
            Seen::Plan(decision) => (&decision.encoded.problem, Some(&decision.solution)),
            Seen::Clash(clash) => (&clash.encoded.problem, None),
        }
    }
}

/// The same; `see` is shown what the solver came to.
pub fn plan_seen<'a>(
    compiled: Compiled<'a>,
    target: &Target<'a>,
    cx: &mut Diagnostics,
    see: &mut dyn FnMut(&Prepared, Seen),
) -> Result<(Prepared<'a>, Decision), String> {
    let prepared = prepare(compiled, target, cx)?;
    match decide(&prepared, &Changes::default(), &target.limits) {
        Ok(decision) => {
            see(&prepared, Seen::Plan(&decision));
            Ok((prepared, decision))
        }
        Err(Undecided::Unknown(why)) => Err(why),
        Err(Undecided::Clash(clash)) => {
            see(&prepared, Seen::Clash(&clash));
            cx.push(clash.diagnostic(&prepared));
            Err(prepare::nothing())
        }
    }
}

/// What each step could choose from.
pub fn offers(workflow: &Workflow, space: &Space) -> Vec<Offer> {
    let steps = workflow.steps.iter().zip(&space.steps);
    let offer = |(step, space): (&Step, &StepSpace)| {
        let mut excluded = space.excluded.clone();
        excluded.dedup();
        Offer { step: step.name.clone(), candidates: space.candidates.len(), options: space.options.len(), excluded }
    };
    steps.map(offer).collect()
}

/// The digest of a library: every module and profile, by name.
pub fn library_digest(texts: &Texts) -> String {
    let modules = texts.modules.iter().map(|(n, f)| (n.as_str(), *f));
    let profiles = texts.profiles.iter().map(|(n, f)| (n.as_str(), *f));
    let measured = texts.measured.iter().flat_map(|(n, files)| files.iter().map(|f| (n.as_str(), *f)));
    let all: Vec<(&str, FileId)> = modules.chain(profiles).chain(measured).collect();
    digest(all.iter().flat_map(|(name, file)| [*name, texts.sources.get(*file).text.as_str()]))
}

/// An implementation that can always be used: planning for machines that are elsewhere.
pub fn anywhere(_: &Implementation) -> Result<(), String> {
    Ok(())
}
