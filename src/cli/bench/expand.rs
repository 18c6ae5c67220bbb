//! `mkbc bench expand`: fills the holes of a corpus of goals, and says how often the first choice is right.

use crate::check::program::{Hole, Job};
use crate::cli::expand::PlannerOptions;
use crate::cli::expand::candidates::wrong;
use crate::cli::expand::meaning::{lacking, vectors};
use crate::cli::expand::planner::Planner;
use crate::cli::load::{files, library, read};
use crate::cli::{Failure, note, print};
use crate::compile::{Texts, check_file};
use crate::diag::Diagnostics;
use crate::expand::corpus::{Case, held_out};
use crate::expand::lock::{Entry, Lock};
use crate::expand::meaning::meanings;
use crate::expand::planner::Asked;
use crate::expand::search::search_near;
use clap::Args;
use std::path::PathBuf;
use std::time::{Duration, Instant};

#[derive(Args)]
pub struct ExpandOptions {
    /// The corpus: a folder of .toml files, each with a job and the shapes that are right for it
    #[arg(default_value = "tests/expand/corpus")]
    pub corpus: PathBuf,
    /// Name the cases that are wrong and what was chosen, of those that are not held out
    #[arg(long)]
    pub wrong: bool,
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

/// Right first choices, and how many cases there were.
#[derive(Default)]
struct Score {
    right: usize,
    of: usize,
}

impl Score {
    fn text(&self) -> String {
        format!("{} of {} ({:.1} %)", self.right, self.of, 100.0 * self.right as f64 / self.of.max(1) as f64)
    }
}

/// Scores typed search, or a language model, on a corpus.
pub fn expand(options: &ExpandOptions) -> Result<(), Failure> {
    let (mut tuned, mut held) = (Score::default(), Score::default());
    // Of right and of wrong choices, those that are warned of.
    let (mut needless, mut warned) = (Score::default(), Score::default());
    let (mut slowest, mut total) = (Duration::ZERO, Duration::ZERO);
    let mut texts = library(&[])?;
    if let Some(tasks) = options.tasks {
        enlarge(&mut texts, tasks, options.seed);
    }
    let mut planner = Planner::of(&options.planner)?;
    for path in files(&options.corpus, "toml")? {
        let name = path.file_stem().and_then(|n| n.to_str()).unwrap_or_default().to_string();
        let about = |why: String| Failure::Message(format!("`{}`: {why}", path.display()));
        let case = Case::read(&read(&path)?).map_err(about)?;
        let mut sources = texts.clone();
        let file = sources.sources.add(path.display().to_string(), case.job.clone());
        let mut cx = Diagnostics::default();
        let checked = check_file(&sources, file, &mut cx);
        if cx.has_errors() {
            crate::cli::load::show(&cx, &sources, crate::cli::args::Format::Text);
            return Err(about("its job does not check".into()));
        }
        let (job, hole): (&Job, &Hole) = checked
            .program
            .jobs
            .iter()
            .rev()
            .find_map(|j| Some((j, j.holes.first()?)))
            .ok_or_else(|| about("its job has no hole".into()))?;
        let near = match options.meaning {
            true => meanings(&checked.program, &checked.library, &mut |texts| vectors(&checked.library, texts)),
            false => None,
        };
        if options.meaning && near.is_none() {
            let why = lacking(&checked.library).unwrap_or_else(|| "it gives no vectors".to_string());
            return Err(format!("there is no meaning to rank by: {why}").into());
        }
        let near = near.as_ref().and_then(|all| all.get(format!("{}.{}", job.name, hole.name).as_str()));
        let started = Instant::now();
        let found = match &mut planner {
            None => search_near(hole, job, &checked.program, &checked.library, near),
            Some(planner) => {
                let asked = Asked { hole, job, program: &checked.program, library: &checked.library };
                let base = Lock::default();
                let check = |text: &str| wrong(&sources, &checked, &base, Entry::plain(job, hole, text, "a candidate"));
                planner.fill(&asked, &mut { check }).found
            }
        };
        let took = started.elapsed();
        (slowest, total) = (slowest.max(took), total + took);
        let right = case.accepts(&found);
        let score = if held_out(&name) { &mut held } else { &mut tuned };
        score.of += 1;
        score.right += usize::from(right);
        if let Some(first) = found.first() {
            let doubts = if right { &mut needless } else { &mut warned };
            doubts.of += 1;
            doubts.right += usize::from(first.is_doubtful());
        }
        if options.wrong && !right && !held_out(&name) {
            let chosen = found.first().map_or("nothing".to_string(), |f| format!("{} ({})", f.shape, f.because));
            note(&format!("{name}: {chosen}"));
        }
    }
    let cases = tuned.of + held.of;
    if cases == 0 {
        return Err(format!("`{}` holds no case", options.corpus.display()).into());
    }
    let who = planner.as_ref().map_or("typed search", |planner| planner.name());
    if let Some(planner) = &planner {
        note(&planner.account());
    }
    print(&format!(
        "{who}, first choices that are right\n  tuned on   {}\n  held out   {}\n  warned of  {} of {} that are right, {} of {} that are wrong\n  {:.1} ms a goal, {:.1} ms the slowest\n",
        tuned.text(),
        held.text(),
        needless.right,
        needless.of,
        warned.right,
        warned.of,
        total.as_secs_f64() * 1e3 / cases as f64,
        slowest.as_secs_f64() * 1e3,
    ));
    Ok(())
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
