//! `mkbc bench expand`: fills the holes of a corpus of goals, and says how often the first choice is right.

mod score;

use crate::check::program::{Hole, Job};
use crate::cli::expand::PlannerOptions;
use crate::cli::expand::candidates::wrong;
use crate::cli::expand::meaning::{lacking, vectors};
use crate::cli::expand::planner::Planner;
use crate::cli::load::{files, library, read};
use crate::cli::{Failure, note, print};
use crate::compile::{Checked, Texts, check_file};
use crate::diag::Diagnostics;
use crate::expand::SEARCH;
use crate::expand::corpus::{Case, held_out};
use crate::expand::lock::{Entry, Lock};
use crate::expand::meaning::meanings;
use crate::expand::planner::Asked;
use crate::expand::search::{Found, search_near};
use clap::Args;
use score::{Posed, Score};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Instant;

#[derive(Args)]
pub struct ExpandOptions {
    /// The corpora: folders of .toml files, each with a job and the shapes that are right for it
    #[arg(default_value = "tests/expand/corpus")]
    pub corpus: Vec<PathBuf>,
    /// Pose the goals in the other words that the cases have for them
    #[arg(long)]
    pub reworded: bool,
    /// Name the cases that are wrong and what was chosen, of those that are not held out
    #[arg(long)]
    pub wrong: bool,
    /// Show how many first choices would be warned of (W0508) from which share of the goal's words on, right ones and wrong ones
    #[arg(long)]
    pub doubts: bool,
    /// Add made-up tasks until the library has this many
    #[arg(long, value_name = "N", conflicts_with = "planner")]
    pub tasks: Option<usize>,
    /// Which tasks are made up
    #[arg(long, value_name = "N", default_value_t = 0, requires = "tasks")]
    pub seed: usize,
    /// Rank fills by meaning too, with all-MiniLM-L6-v2
    #[arg(long, conflicts_with = "planner")]
    pub meaning: bool,
    /// Ask a language model for the fills, and score its first one that checks in place of typed search's
    #[command(flatten)]
    pub planner: PlannerOptions,
}

/// Scores typed search, or a language model, on a corpus.
pub fn expand(options: &ExpandOptions) -> Result<(), Failure> {
    let mut texts = library(&[])?;
    if let Some(tasks) = options.tasks {
        enlarge(&mut texts, tasks, options.seed);
    }
    let mut planner = Planner::of(&options.planner)?;
    let cases = cases(options)?;
    let known = if options.meaning { embedded(&cases, &texts)? } else { BTreeMap::new() };
    let mut score = Score::default();
    for (path, case) in &cases {
        let (sources, checked) = checked(&texts, path, case)?;
        let (job, hole) = hole(&checked).ok_or_else(|| about(path, "its job has no hole"))?;
        let at = format!("{}.{}", job.name, hole.name);
        let near = match options.meaning {
            true => meanings(&checked.program, &checked.library, &mut |texts| {
                texts.iter().map(|text| known.get(text).cloned()).collect()
            }),
            false => None,
        };
        let near = near.as_ref().and_then(|all| all.get(at.as_str()));
        let started = Instant::now();
        let found: Vec<Found> = match &mut planner {
            None => search_near(hole, job, &checked.program, &checked.library, near),
            Some(planner) => {
                let asked = Asked { hole, job, program: &checked.program, library: &checked.library };
                let base = Lock::default();
                let check = |text: &str| {
                    wrong(&sources, &checked, &base, Entry::plain(job, hole, &checked.library, text, "a candidate"))
                };
                planner.fill(&asked, &mut { check }).found
            }
        };
        let took = started.elapsed();
        let name = path.file_stem().and_then(|n| n.to_str()).unwrap_or_default();
        let (right, held_out) = (case.accepts(&found), held_out(name));
        if options.wrong && !right && !held_out {
            let chosen = found.first().map_or("nothing".to_string(), |f| format!("{} ({})", f.shape, f.because));
            note(&format!("{name}: {chosen}"));
        }
        let told = found.first().map(|first| first.told);
        score.add(&Posed { right, held_out, beyond: case.accept.is_empty(), told, took });
    }
    if let Some(planner) = &planner {
        note(&planner.account());
    }
    let who = planner.as_ref().map_or(SEARCH, |planner| planner.name());
    print(&score.text(who));
    if options.doubts {
        print(&score.doubts());
    }
    Ok(())
}

/// The cases of the corpora, as they are posed.
fn cases(options: &ExpandOptions) -> Result<Vec<(PathBuf, Case)>, Failure> {
    let mut all = Vec::new();
    for corpus in &options.corpus {
        for path in files(corpus, "toml")? {
            let case = Case::read(&read(&path)?).map_err(|why| about(&path, &why))?;
            let case = if options.reworded { case.in_other_words() } else { Some(case) };
            all.extend(case.map(|case| (path, case)));
        }
    }
    if all.is_empty() {
        let corpora: Vec<String> = options.corpus.iter().map(|c| format!("`{}`", c.display())).collect();
        return Err(format!("{} holds no case", corpora.join(", ")).into());
    }
    Ok(all)
}

fn about(path: &std::path::Path, why: &str) -> Failure {
    Failure::Message(format!("`{}`: {why}", path.display()))
}

fn checked(texts: &Texts, path: &std::path::Path, case: &Case) -> Result<(Texts, Checked), Failure> {
    let mut sources = texts.clone();
    let file = sources.sources.add(path.display().to_string(), case.job.clone());
    let mut cx = Diagnostics::default();
    let checked = check_file(&sources, file, &mut cx);
    if cx.has_errors() {
        crate::cli::load::show(&cx, &sources, crate::cli::args::Format::Text);
        return Err(about(path, "its job does not check"));
    }
    Ok((sources, checked))
}

/// The hole that a case is about, and its job.
fn hole(checked: &Checked) -> Option<(&Job, &Hole)> {
    checked.program.jobs.iter().rev().find_map(|j| Some((j, j.holes.first()?)))
}

/// The vectors of all that is said in the cases, had at once: starting the model takes longer than a text.
fn embedded(cases: &[(PathBuf, Case)], texts: &Texts) -> Result<BTreeMap<String, Vec<f32>>, Failure> {
    let (mut said, mut library) = (Vec::new(), None);
    for (path, case) in cases {
        let (_, checked) = checked(texts, path, case)?;
        meanings(&checked.program, &checked.library, &mut |texts| {
            said.extend(texts.iter().cloned());
            None
        });
        library = Some(checked.library);
    }
    said.sort_unstable();
    said.dedup();
    let library = library.unwrap_or_default();
    match vectors(&library, &said) {
        Some(vectors) => Ok(said.into_iter().zip(vectors).collect()),
        None => {
            let why = lacking(&library).unwrap_or_else(|| "it gives no vectors".to_string());
            Err(format!("there is no meaning to rank by: {why}").into())
        }
    }
}

/// Adds tasks to a library until it has so many: each takes and gives types that are about, so that they lead to each other.
fn enlarge(texts: &mut Texts, tasks: usize, seed: usize) {
    let mut alone = texts.clone();
    let nothing = alone.sources.add("nothing", String::new());
    let there = check_file(&alone, nothing, &mut Diagnostics::default()).library.tasks.len();
    const TYPES: [&str; 9] =
        ["Text", "List[Text]", "Transcript", "Frames", "Audio", "Video", "Document", "Image", "List[Passage]"];
    const DOES: [&str; 8] = ["name", "find", "tell", "read", "sort", "merge", "count", "show"];
    let mut text = String::new();
    for n in (0..tasks.saturating_sub(there)).map(|n| n + 1_009 * seed) {
        let ty = |at: usize| TYPES[at % TYPES.len()];
        let (first, second, gives) = (ty(n * 7 + 3), ty(n * 5 + 1), ty(n * 11 + n / 9));
        let (does, what) = (DOES[n % DOES.len()], DOES[(n / 8) % DOES.len()]);
        text += &format!(
            "/// Can {does} the person or the dress, and {what} what a video, a text or a page has of it.\n\
             task {does}_{what}_{n}(first: {first}, second: {second}?) -> {gives}\n\n"
        );
    }
    let file = texts.sources.add("made up", text);
    // As part of the standard library: what files do not use is not offered.
    texts.modules.push(("std.made_up".into(), file));
}
