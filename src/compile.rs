//! Sources → plan: the whole way through the compiler, in one place. No IO: texts, machines and limits are handed in.

use crate::check::program::{Clause, Metric, Program};
use crate::check::{self, Context};
use crate::diag::Diagnostics;
use crate::diag::source::{FileId, Sources, Span};
use crate::digest::digest;
use crate::expand;
use crate::expand::lock::Lock;
use crate::ir::lower::lower;
use crate::ir::workflow::{Step, Workflow};
use crate::library::declare::{Module, Profiles, declare};
use crate::library::{Implementation, Library, embedded};
use crate::plan::audit::audit;
use crate::plan::build::{BuildInput, build, total_of};
use crate::plan::model::{Hashes, Plan};
use crate::plan::{conflict, verify};
use crate::solve::outcome::{Outcome, Solution};
use crate::solve::{Limits, solve};
use crate::space::encode::{self, Encoded, Origin, encode};
use crate::space::ends::End;
use crate::space::sizes::{InputSizes, settle};
use crate::space::{self, Machines, Space, StepSpace};
use crate::syntax::ast::File;
use crate::syntax::parse::parse;
use ecow::EcoString;
use std::collections::BTreeSet;

/// The texts of a compilation.
#[derive(Default)]
pub struct Texts {
    /// Every source, with its place.
    pub sources: Sources,
    /// Library modules by name.
    pub modules: Vec<(EcoString, FileId)>,
    /// Profiles by file name.
    pub profiles: Profiles,
}

impl Texts {
    /// The standard library.
    pub fn with_stdlib() -> Texts {
        let mut texts = Texts::default();
        for (name, text) in embedded::modules() {
            let file = texts.sources.add(format!("std/{name}.mkb"), text);
            texts.modules.push((ecow::eco_format!("std.{name}"), file));
        }
        for (name, text) in embedded::profiles() {
            let file = texts.sources.add(format!("std/profiles/{name}"), text);
            texts.profiles.insert(name.into(), file);
        }
        texts
    }
}

/// A checked file, with everything that it builds on.
pub struct Checked {
    /// Its tree, holes filled where the lock fills them.
    pub tree: File,
    /// The library, the file's own items included.
    pub library: Library,
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
    let trees: Vec<(EcoString, File)> =
        texts.modules.iter().map(|(name, file)| (name.clone(), parse(*file, &texts.sources, cx))).collect();
    let mut modules: Vec<Module> = trees.iter().map(|(name, tree)| Module { name: name.clone(), tree }).collect();
    modules.push(Module { name: EcoString::new(), tree: &tree });
    let library = declare(&modules, &texts.profiles, &texts.sources, cx);
    let program = check::check(&tree, &Context { library: &library, sources: &texts.sources }, cx);
    Checked { tree, library, program }
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
    let tree = expand::fill::apply(&checked.tree, &checked.program, &fills, &mut texts.sources, cx);
    if cx.has_errors() {
        return None;
    }
    // The first check has said what there is to say of the file; the second speaks of the fills.
    let mut again = Diagnostics::default();
    // A fill is data flow: the library is the one that the file was checked with.
    let library = checked.library;
    let program = check::check(&tree, &Context { library: &library, sources: &texts.sources }, &mut again);
    if again.has_errors() {
        cx.append(again);
        return None;
    }
    Some((Checked { tree, library, program }, fills))
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

/// Compiles a job of a checked file whose holes are filled; says what each step could choose from.
pub fn plan(
    texts: &Texts,
    file: FileId,
    checked: &Checked,
    target: &Target,
    lock: Option<&str>,
    cx: &mut Diagnostics,
) -> Result<(Plan, Vec<Offer>), String> {
    let job = check::select(&checked.program, target.job)?;
    let nothing = || "no plan was made".to_string();
    if cx.has_errors() {
        return Err(nothing());
    }
    let workflow = lower(job, &checked.program)
        .ok_or_else(|| format!("`{}` still has holes: `mkbc expand` fills them", job.name))?;
    let sizes = settle(job, target.measured, cx);
    let tail = job.clauses.iter().chain(&job.preferred).any(|c| c.tail);
    let (library, machines, usable) = (&checked.library, target.machines, target.usable);
    let input = space::Input { workflow: &workflow, library, machines, sizes: &sizes, usable, tail, end: target.end };
    let space = space::build(&input, cx);
    if cx.has_errors() {
        return Err(nothing());
    }
    let hashes = Hashes {
        source: digest([texts.sources.get(file).text.as_str()]),
        library: library_digest(texts),
        lock: lock.map(|l| digest([l])),
    };
    // Limits are first looser than written, by what rounding can add; the lines that a plan then breaks are taken as they are.
    let mut strict = BTreeSet::new();
    loop {
        let encoding = |kept: &[Origin]| {
            encode(&encode::Input { job, kept, workflow: &workflow, space: &space, library, machines, strict: &strict })
        };
        let hard = encoding(&[]);
        let first = match solve(&hard.problem, &target.limits) {
            Outcome::Solved(solution) => solution,
            Outcome::Conflict(found) => {
                cx.push(conflict::explain(&found, &hard, &space, &workflow, job.span));
                return Err(nothing());
            }
            Outcome::Unknown(why) => return Err(format!("the solver found neither a plan nor a conflict: {why}")),
        };
        let (encoded, solution, kept, broken) = prefer(job, hard, first, &encoding, &target.limits);
        let plan = build(&BuildInput {
            job,
            workflow: &workflow,
            space: &space,
            encoded: &encoded,
            solution: &solution,
            library,
            machines,
            sizes: &sizes,
            kept: &kept,
            broken: &broken,
            sources: &texts.sources,
            file,
            hashes: hashes.clone(),
        });
        // The verifier knows nothing of the solver: what else it finds is a fault of ours, and such a plan goes nowhere.
        let mut wrong = verify::verify_against(&plan, library, tail);
        wrong.extend(audit(&plan, job, &checked.program, library));
        if wrong.is_empty() {
            return Ok((plan, offers(&workflow, &space)));
        }
        let limits = job.clauses.iter().chain(&job.preferred);
        let broken_now = limits.filter(|c| !holds(c, &plan)).map(|c| c.span);
        let kept_soft = |span: &Span| !broken.iter().any(|o| matches!(o, Origin::Clause(c) if c.span == *span));
        let new: Vec<Span> = broken_now.filter(|s| kept_soft(s) && !strict.contains(s)).collect();
        if new.is_empty() {
            return Err(format!("the plan does not pass verification, which is a fault of mkbc: {}", wrong.join("; ")));
        }
        strict.extend(new);
    }
}

/// Whether a plan keeps a limit, in exact decimals.
fn holds(clause: &Clause, plan: &Plan) -> bool {
    let value = total_of(clause.metric, &plan.total);
    if clause.metric == Metric::Quality { value >= clause.limit } else { value <= clause.limit }
}

fn offers(workflow: &Workflow, space: &Space) -> Vec<Offer> {
    let steps = workflow.steps.iter().zip(&space.steps);
    let offer = |(step, space): (&Step, &StepSpace)| {
        let mut excluded = space.excluded.clone();
        excluded.dedup();
        Offer { step: step.name.clone(), candidates: space.candidates.len(), options: space.options.len(), excluded }
    };
    steps.map(offer).collect()
}

type Chosen = (Encoded, Solution, Vec<Origin>, Vec<Origin>);

/// Keeps as many of the soft limits and rules as can be, in the order in which they are written.
fn prefer(
    job: &check::program::Job,
    hard: Encoded,
    first: Solution,
    encoding: &dyn Fn(&[Origin]) -> Encoded,
    limits: &Limits,
) -> Chosen {
    let mut soft: Vec<(u32, Origin)> =
        job.preferred.iter().map(|c| (c.span.start, Origin::Clause(c.clone()))).collect();
    soft.extend(job.rules.iter().filter(|r| r.soft).map(|r| (r.span.start, Origin::Rule(r.clone()))));
    soft.sort_by_key(|(at, _)| *at);
    let (mut chosen, mut kept, mut broken) = ((hard, first), Vec::new(), Vec::new());
    for (_, wish) in soft {
        kept.push(wish);
        let with = encoding(&kept);
        match solve(&with.problem, limits) {
            Outcome::Solved(solution) => chosen = (with, solution),
            _ => broken.extend(kept.pop()),
        }
    }
    (chosen.0, chosen.1, kept, broken)
}

/// The digest of a library: every module and profile, by name.
pub fn library_digest(texts: &Texts) -> String {
    let modules = texts.modules.iter().map(|(n, f)| (n.as_str(), *f));
    let profiles = texts.profiles.iter().map(|(n, f)| (n.as_str(), *f));
    let all: Vec<(&str, FileId)> = modules.chain(profiles).collect();
    digest(all.iter().flat_map(|(name, file)| [*name, texts.sources.get(*file).text.as_str()]))
}

/// An implementation that can always be used: planning for machines that are elsewhere.
pub fn anywhere(_: &Implementation) -> Result<(), String> {
    Ok(())
}
