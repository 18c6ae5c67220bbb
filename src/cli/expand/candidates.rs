//! Holes → numbered fills: typed search's and a model's, checked, predicted by the solver where machines are known, ranked.

use super::meaning::{lacking, vectors};
use super::options::ExpandOptions;
use super::planner::Planner;
use super::{list, read_lock, said, write_lock};
use crate::check::program::{Hole, Job};
use crate::cli::here::machines_of;
use crate::cli::load::{load, show};
use crate::cli::plan::usable_on;
use crate::cli::{Failure, note, print};
use crate::compile::predict::{Filling, compared_by, predict};
use crate::compile::{self, Checked, Texts, check_file};
use crate::diag::source::FileId;
use crate::diag::{Diagnostics, Severity};
use crate::expand::current::change;
use crate::expand::errors::doubtful;
use crate::expand::lock::{Entry, Lock, Planner as Provenance, Rejected};
use crate::expand::meaning::{Near, meanings};
use crate::expand::planner::Asked;
use crate::expand::rank::{Candidate, Predicted, rank};
use crate::expand::search::{Found as Fill, search, search_near};
use crate::expand::{SEARCH, fills_by};
use crate::library::Library;
use crate::space::Machines;
use crate::space::sizes::InputSizes;
use ecow::{EcoString, eco_format};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// A model's fill, where it checks, is taken to fit as well as typed search's best, and a little better: a model has read the goal.
const READ: f64 = 0.05;

/// Says which tasks of a library cannot read the inputs that are given.
pub type Unfit<'a> = &'a dyn Fn(&Library) -> Vec<EcoString>;

/// What fills are made for, beside the job.
#[derive(Default)]
pub struct About<'a> {
    /// The sizes of inputs that are given.
    pub measured: InputSizes,
    /// What is left out.
    pub unfit: Option<Unfit<'a>>,
    /// Whether nothing is shown but what is wrong or doubtful.
    pub quiet: bool,
}

/// Makes fills anew and writes the lock file, or shows how it would change.
pub fn expand(options: &ExpandOptions, path: &Path, about: &About<'_>) -> Result<(), Failure> {
    let (texts, file) = load(&options.source)?;
    let mut cx = Diagnostics::default();
    let mut checked = check_file(&texts, file, &mut cx);
    if cx.has_errors() {
        return said(&cx, &texts, options.source.format);
    }
    if let Some(unfit) = about.unfit {
        let tasks = unfit(&checked.library);
        Arc::make_mut(&mut checked.library).tasks.retain(|name, _| !tasks.contains(name));
    }
    if let Some(cluster) = &options.cluster {
        machines_of(cluster, &options.source, &checked.library)?;
    }
    let old = read_lock(path)?;
    let anew = options.refresh || options.diff;
    if let Some(named) = &options.hole {
        let holes =
            checked.program.jobs.iter().flat_map(|job| job.holes.iter().map(|h| format!("{}.{}", job.name, h.name)));
        let holes: Vec<String> = holes.collect();
        if !holes.contains(named) {
            let holes = if holes.is_empty() { "there is none".to_string() } else { holes.join(", ") };
            return Err(Failure::Usage(format!("there is no hole `{named}`: {holes}")));
        }
    }
    // What people chose is theirs, unless they name it.
    let keeps = |entry: &Entry| match &options.hole {
        Some(named) => !anew || *named != format!("{}.{}", entry.job, entry.hole),
        None => !anew || entry.accepted,
    };
    let is_current = |entry: &Entry, hole: &Hole, job: &Job| change(entry, hole, job, &checked.library).is_none();
    let current = |entry: &Entry| {
        let Some(job) = checked.program.jobs.iter().find(|job| job.name == entry.job) else { return false };
        job.holes.iter().any(|hole| hole.name == entry.hole && is_current(entry, hole, job))
    };
    let kept = old.holes.iter().filter(|entry| keeps(entry) && (!anew || current(entry)));
    let known = Lock { holes: kept.cloned().collect(), ..Lock::default() };
    let mut own = Diagnostics::default();
    let mut searched = BTreeMap::new();
    let mut find = |hole: &Hole, job: &Job| {
        let found = search(hole, job, &checked.program, &checked.library);
        let best = found.first().cloned();
        searched.insert(full_name(hole, job), found);
        best
    };
    let first = fills_by(&checked.program, &checked.library, &known, false, &mut find, &mut own);
    // Which fill is doubtful is said of those that are taken.
    own.retain(|d| d.severity == Severity::Error);
    cx.append(own);
    // Where typed search finds nothing, a model may; what else keeps a hole open is for people to look at.
    let only_nothing_fits = cx.iter().all(|d| d.severity != Severity::Error || d.code == "E0505");
    if first.is_none() && (options.planner.planner.is_none() || !only_nothing_fits) {
        return said(&cx, &texts, options.source.format);
    }
    let (mut planner, silent) = match Planner::of(&options.planner) {
        // As with one that does not answer: what typed search finds remains.
        Err(Failure::Message(why)) if first.is_some() => {
            note(&why);
            (None, true)
        }
        made => (made?, false),
    };
    let mut base = first.unwrap_or(known);
    let near = match options.meaning {
        true => meanings(&checked.program, &checked.library, &mut |texts| vectors(&checked.library, texts)),
        false => None,
    };
    if let (true, Some(why)) = (options.meaning, lacking(&checked.library)) {
        note(&format!("fills are not ranked by meaning: {why}"));
    }
    let near = near.unwrap_or_default();
    let (mut open, mut doubts) = (Vec::new(), Diagnostics::default());
    let mut gathered: Vec<(At, Gathered)> = Vec::new();
    let measured = &about.measured;
    for job in &checked.program.jobs {
        for hole in &job.holes {
            let locked = old.find(&job.name, &hole.name).is_some_and(|e| keeps(e) && is_current(e, hole, job));
            if locked {
                continue;
            }
            let at = At {
                options,
                texts: &texts,
                file,
                checked: &checked,
                job,
                hole,
                measured,
                old: &old,
                near: &near,
                searched: &searched,
            };
            let kept = if silent { at.kept() } else { None };
            let found = match kept {
                Some(entry) => Found::Kept(Box::new(entry)),
                None => at.gathered(&base, planner.as_mut()),
            };
            match found {
                Found::Kept(entry) => base.put(*entry),
                Found::Fills(fills) if fills.candidates.is_empty() => {
                    open.push(format!("{}.{}", job.name, hole.name));
                }
                Found::Fills(fills) => gathered.push((at, fills)),
            }
        }
    }
    // What a fill comes to depends on the other holes': those are by words the first time, and by their figures the second.
    let rounds = if gathered.len() > 1 { 2 } else { 1 };
    for round in 1..=rounds {
        for (at, fills) in &gathered {
            let said = if round == rounds { Some(&mut doubts) } else { None };
            if let Some(entry) = at.entry(&base, fills.clone(), said)? {
                base.put(entry);
            }
        }
    }
    if let Some(planner) = &planner {
        note(&planner.account());
    }
    // Who names what fills are made for, or by, means that some are made.
    let wanted = options.cluster.is_some() || options.planner.planner.is_some() || options.meaning;
    if wanted && !anew && gathered.is_empty() && !base.holes.is_empty() {
        note("the lock file has a fill for every hole: `--refresh` makes them anew");
    }
    if !open.is_empty() {
        show(&cx, &texts, options.source.format);
        note(&format!("{} stays open; the lock file is as it was", open.join(", ")));
        return Err(Failure::Said);
    }
    if base.holes.is_empty() {
        print("no holes: nothing to fill\n");
        return Ok(());
    }
    // What the lock file had may have been edited by hand since it was checked.
    let (mut filled, mut whole) = (texts.clone(), Diagnostics::default());
    if compile::with_fills(&mut filled, &checked, &base, &mut whole).is_none() || whole.has_errors() {
        return said(&whole, &filled, options.source.format);
    }
    // In the order of the source.
    let order = |e: &Entry| {
        let jobs = checked.program.jobs.iter();
        jobs.flat_map(|j| j.holes.iter().map(move |h| (&j.name, &h.name)))
            .position(|(j, h)| **j == e.job && **h == e.hole)
    };
    base.holes.sort_by_key(order);
    let text = base.write().map_err(Failure::Message)?;
    if !options.diff && std::fs::read_to_string(path).ok().as_deref() != Some(text.as_str()) {
        write_lock(path, &text)?;
    }
    if !about.quiet {
        cx.append(doubts);
        show(&cx, &texts, options.source.format);
    } else if doubts.iter().next().is_some() {
        show(&doubts, &texts, options.source.format);
    }
    if options.diff {
        let before = std::fs::read_to_string(path).unwrap_or_default();
        let diff = similar::TextDiff::from_lines(&before, &text);
        let diff = diff.unified_diff().header("the lock file", "filled anew").to_string();
        print(if diff.is_empty() { "nothing would change\n" } else { &diff });
        return Ok(());
    }
    if about.quiet {
        return Ok(());
    }
    list(&base);
    print(&format!(
        "kept in {}; `mkbc expand {} --accept N` takes another\n",
        path.display(),
        options.source.file.display()
    ));
    Ok(())
}

/// The fills that a hole could have, and where they come from.
#[derive(Clone)]
struct Gathered {
    candidates: Vec<Candidate>,
    /// What was refused.
    rejected: Vec<Rejected>,
    provenance: Option<Provenance>,
}

/// What was found for a hole.
enum Found {
    /// The fill that the lock file has.
    Kept(Box<Entry>),
    Fills(Gathered),
}

/// A hole and all that its fills are judged by.
struct At<'a> {
    options: &'a ExpandOptions,
    texts: &'a Texts,
    file: FileId,
    checked: &'a Checked,
    job: &'a Job,
    hole: &'a Hole,
    /// The sizes of inputs that are given.
    measured: &'a InputSizes,
    /// The lock file as it is.
    old: &'a Lock,
    /// What is near to goals in meaning, where an embedding model says so.
    near: &'a BTreeMap<EcoString, Near>,
    /// What typed search found, by words alone.
    searched: &'a BTreeMap<EcoString, Vec<Fill>>,
}

/// What a hole is called among those of all jobs.
fn full_name(hole: &Hole, job: &Job) -> EcoString {
    eco_format!("{}.{}", job.name, hole.name)
}

impl At<'_> {
    /// The fill that the lock file has and that is not stale, said to be kept: a planner that says nothing of use changes nothing.
    fn kept(&self) -> Option<Entry> {
        let (job, hole) = (self.job, self.hole);
        let kept =
            self.old.find(&job.name, &hole.name).filter(|e| change(e, hole, job, &self.checked.library).is_none())?;
        note(&format!("{}.{}: the lock file keeps the fill that it has", job.name, hole.name));
        Some(kept.clone())
    }

    /// What typed search finds, by meaning as well where that is known.
    fn found(&self) -> Vec<Fill> {
        let (job, hole, name) = (self.job, self.hole, full_name(self.hole, self.job));
        match (self.near.get(&name), self.searched.get(&name)) {
            (None, Some(found)) => found.clone(),
            (near, _) => search_near(hole, job, &self.checked.program, &self.checked.library, near),
        }
    }

    /// The fills that check: typed search's, and a model's where one is asked.
    fn gathered(&self, base: &Lock, planner: Option<&mut Planner>) -> Found {
        let (job, hole) = (self.job, self.hole);
        let mut candidates = Vec::new();
        let mut rejected = Vec::new();
        for found in self.found() {
            let wrong = self.wrong(base, &found.text);
            if wrong.is_empty() {
                candidates.push(Candidate { found, by: SEARCH.into(), predicted: Predicted::Unknown });
            }
        }
        let mut provenance = None;
        if let Some(planner) = planner {
            let asked = Asked { hole, job, program: &self.checked.program, library: &self.checked.library };
            let outcome = planner.fill(&asked, &mut |text| self.wrong(base, text));
            if outcome.found.is_empty() {
                if let Some(entry) = self.kept() {
                    return Found::Kept(Box::new(entry));
                }
                let others = if candidates.is_empty() { "the hole stays open" } else { "typed search's are offered" };
                note(&format!("{}: no fill of {} can be used; {others}", full_name(hole, job), planner.name()));
            }
            let best = candidates.first().map_or(0.0, |c| c.found.score);
            for found in outcome.found {
                match candidates.iter_mut().find(|c| c.found.text == found.text) {
                    Some(same) => {
                        same.by = format!("{} and typed search", planner.name());
                        same.found = Fill { score: same.found.score.max(best) + READ, told: 1.0, ..same.found.clone() };
                    }
                    None => candidates.push(Candidate {
                        found: Fill { score: best + READ, ..found },
                        by: planner.name().to_string(),
                        predicted: Predicted::Unknown,
                    }),
                }
            }
            rejected.extend(outcome.refused.into_iter().map(|r| Rejected {
                filled_by: planner.name().to_string(),
                because: r.because,
                usable: false,
                predicted: None,
                fill: r.fill,
            }));
            provenance = Some(Provenance {
                model: planner.model().to_string(),
                prompt: outcome.prompt,
                date: jiff::Zoned::now().date().to_string(),
            });
        }
        Found::Fills(Gathered { candidates, rejected, provenance })
    }

    /// The best fill, where the other holes have those of a lock, with the others behind it; `None` where there is none.
    fn entry(
        &self,
        base: &Lock,
        gathered: Gathered,
        doubts: Option<&mut Diagnostics>,
    ) -> Result<Option<Entry>, Failure> {
        let Gathered { mut candidates, mut rejected, provenance } = gathered;
        let (job, hole) = (self.job, self.hole);
        if let Some(machines) = self.machines()? {
            let (file, checked, usable) = (self.file, self.checked, &usable_on(&machines));
            let filling = Filling {
                file,
                checked,
                lock: base,
                job,
                machines: &machines,
                usable,
                measured: self.measured,
                stop: None,
            };
            for candidate in &mut candidates {
                candidate.predicted = predict(&mut self.texts.clone(), &filling, hole, &candidate.found.text);
            }
        }
        rank(&mut candidates, compared_by(job));
        let because = |c: &Candidate| match &c.predicted {
            Predicted::Unknown => c.found.because.clone(),
            Predicted::Plan(_, figures) => format!("{}; predicted {figures}", c.found.because),
            Predicted::NoPlan(why) => format!("{}; no plan: {why}", c.found.because),
        };
        let foreseen = |c: &Candidate| match &c.predicted {
            Predicted::Plan(_, figures) => Some(figures.clone()),
            Predicted::Unknown | Predicted::NoPlan(_) => None,
        };
        let mut candidates = candidates.into_iter();
        let Some(best) = candidates.next() else { return Ok(None) };
        if let Some(doubts) = doubts.filter(|_| best.found.is_doubtful()) {
            doubts.push(doubtful(hole.span, &job.name, &hole.name, &best.found.because));
        }
        let others = candidates.map(|c| Rejected {
            because: because(&c),
            usable: true,
            predicted: foreseen(&c),
            fill: Some(c.found.text.clone()),
            filled_by: c.by,
        });
        rejected.splice(0..0, others);
        Ok(Some(Entry {
            because: because(&best),
            predicted: foreseen(&best),
            planner: provenance,
            rejected,
            ..Entry::plain(job, hole, &self.checked.library, &best.found.text, &best.by)
        }))
    }

    fn wrong(&self, base: &Lock, fill: &str) -> Vec<String> {
        let entry = Entry::plain(self.job, self.hole, &self.checked.library, fill, "a candidate");
        wrong(self.texts, self.checked, base, entry)
    }

    /// The machines that the job or the command line names; what is installed here says nothing of a workflow.
    fn machines(&self) -> Result<Option<Machines>, Failure> {
        let named = self.options.cluster.as_deref().or(self.job.cluster.as_ref().map(|(name, _)| name.as_str()));
        named.map(|name| machines_of(name, &self.options.source, &self.checked.library)).transpose()
    }
}

/// What is wrong with a fill, in the words of the diagnostics.
pub fn wrong(texts: &Texts, checked: &Checked, base: &Lock, entry: Entry) -> Vec<String> {
    let mut cx = Diagnostics::default();
    let mut lock = base.clone();
    lock.put(entry);
    let done = compile::with_fills(&mut texts.clone(), checked, &lock, &mut cx);
    let errors = cx.iter().filter(|d| d.severity == Severity::Error);
    let mut wrong: Vec<String> = errors.map(|d| format!("{}: {} ({})", d.code, d.message, d.primary.text)).collect();
    if done.is_none() && wrong.is_empty() {
        wrong.push("it does not check".to_string());
    }
    wrong
}
