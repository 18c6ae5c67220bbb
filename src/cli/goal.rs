//! `mkbc ask "…" FILE…`: a question and what it is about → a job, its fill, its plan, and, after a yes, its answer.

mod job;
mod scans;
mod things;

use super::args::{EvidenceOptions, Format, Planning, RunOptions, Source};
use super::expand::candidates::Unfit;
use super::expand::{self, About, ExpandOptions, PlannerOptions};
use super::here::HERE;
use super::inputs::Inputs;
use super::load::{lock_path, read, writable, write};
use super::run::{AdaptOptions, Durable, Showing};
use super::{Failure, note, plan, print, run, width};
use crate::plan::render;
use crate::run::journal::PROJECT;
use clap::Args;
use std::io::{BufRead, IsTerminal};
use std::path::{Path, PathBuf};

#[derive(Args)]
pub struct AskOptions {
    /// What you want to know or have
    pub question: String,
    /// What it is about: files (videos, recordings, pictures, documents, texts), addresses, or texts
    #[arg(value_name = "FILE")]
    pub about: Vec<String>,
    /// The most that the answer may cost: 2usd
    #[arg(long, value_name = "MONEY")]
    pub cost: Option<String>,
    /// How long it may take: 60s
    #[arg(long, value_name = "TIME")]
    pub latency: Option<String>,
    /// How good it must be: 80%
    #[arg(long, value_name = "SHARE")]
    pub quality: Option<String>,
    /// The type of the answer, as the language writes it: Text, List[Text], Int …
    #[arg(long, value_name = "TYPE", default_value = "Text")]
    pub result: String,
    /// Do not ask before the plan is run
    #[arg(long, short)]
    pub yes: bool,
    /// Write the job here, its lock file and plan beside it [default: .mkbc/asked/N.mkb]
    #[arg(long, value_name = "FILE.mkb")]
    pub save: Option<PathBuf>,
    /// A folder of .mkb files and profiles/*.csv to add to the library (repeatable)
    #[arg(long, value_name = "DIR")]
    pub library: Vec<PathBuf>,
    /// Seconds to look for a better plan
    #[arg(long, default_value_t = 20.0, value_name = "SECONDS")]
    pub time_limit: f64,
    /// No progress bars and no report, only the answer
    #[arg(long, short)]
    pub quiet: bool,
    #[command(flatten)]
    pub planner: PlannerOptions,
    #[command(flatten)]
    pub durable: Durable,
}

/// Writes the job, fills and plans it, shows all three, and runs it after a yes.
pub fn ask(options: AskOptions) -> Result<(), Failure> {
    let inputs = things::inputs(things::read_things(&options.about)?);
    let file = match &options.save {
        Some(path) if path.exists() => {
            return Err(Failure::Usage(format!("`{}` is there already; choose another name", path.display())));
        }
        Some(path) => path.clone(),
        None => unused()?,
    };
    writable(&file)?;
    let values: Inputs = inputs.iter().map(|i| (i.name.clone(), i.values.clone())).collect();
    let text = job::text(&options, &inputs)?;
    let pictures = scans::pictures(&inputs);
    if let (Some(first), false) = (pictures.first(), options.quiet) {
        note(&format!("`{first}` holds no text but pictures of it: what reads the text of a PDF is left out"));
    }
    write(&file, &text)?;
    // From here on, what was made stays: whatever goes wrong is said with the place where it lies.
    let made = fill_and_plan(&options, &file, &values, !pictures.is_empty());
    let plan_file = made.inspect_err(|_| note(&format!("the job is kept in {}", file.display())))?;
    if !agreed(&options)? {
        // A text that came from a file is that file, however long it is.
        let file_of = |value: &str| {
            let same = |word: &&String| std::fs::read_to_string(word).is_ok_and(|text| text == value);
            options.about.iter().find(same).map_or_else(|| shell(value), |word| shell(&format!("@{word}")))
        };
        let by_hand: Vec<String> = values
            .iter()
            .map(|(name, all)| format!(" --{name} {}", all.iter().map(|v| file_of(v)).collect::<Vec<_>>().join(" ")))
            .collect();
        let (job, plan) = (file.display(), plan_file.display());
        return Err(format!(
            "nothing was run; the job and its plan are kept\n  help: `mkbc run {job} --plan {plan}{}` runs it, and so does `--yes`",
            by_hand.concat()
        )
        .into());
    }
    let planning = planning(&options, &file);
    let (key, folder) = (None, None);
    let (plan, show) = (Some(plan_file), Showing { quiet: options.quiet, ..Showing::default() });
    let adapt = AdaptOptions { adapt: None };
    let (slo, inputs) = (Vec::new(), None);
    let durable = options.durable;
    run::run(&RunOptions { planning, inputs, slo, plan, folder, key, durable, adapt, show }, &values)
}

fn fill_and_plan(options: &AskOptions, file: &Path, values: &Inputs, pictures: bool) -> Result<PathBuf, Failure> {
    // Who is asked for a yes must see what for; standard output is the answer's.
    let show = |text: &str| match options.quiet {
        false => print(text),
        true if !options.yes => eprint!("{text}"),
        true => {}
    };
    show(&format!("{}\n", read(file)?));
    let of_job = ExpandOptions {
        source: source(options, file),
        refresh: false,
        locked: false,
        accept: None,
        hole: None,
        diff: false,
        cluster: Some(HERE.to_string()),
        meaning: false,
        planner: options.planner.clone(),
    };
    let unfit: Option<Unfit<'_>> = if pictures { Some(&scans::readers_of_text) } else { None };
    expand::expand_for(&of_job, values, About { unfit, quiet: options.quiet, ..About::default() })?;
    let planned =
        plan::make_and(&planning(options, file), values, Some(HERE), plan::Extras::default(), |planned, _, _| {
            Ok(planned)
        })?;
    show(&render::text(&planned.plan, width()));
    let plan_file = file.with_extension("plan.json");
    let json = serde_json::to_string_pretty(&planned.plan).map_err(|e| e.to_string())?;
    write(&plan_file, &format!("{json}\n"))?;
    Ok(plan_file)
}

/// Whether the plan may be run.
fn agreed(options: &AskOptions) -> Result<bool, Failure> {
    if options.yes {
        return Ok(true);
    }
    if !std::io::stdin().is_terminal() {
        note("there is no terminal to ask on, and no `--yes`");
        return Ok(false);
    }
    eprint!("run this plan? [y/N] ");
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).map_err(|e| format!("cannot read the answer: {e}"))?;
    Ok(matches!(line.trim().to_lowercase().as_str(), "y" | "yes"))
}

fn source(options: &AskOptions, file: &Path) -> Source {
    Source { file: file.to_path_buf(), library: options.library.clone(), format: Format::Text }
}

fn planning(options: &AskOptions, file: &Path) -> Planning {
    let evidence = EvidenceOptions::default();
    let (job, cluster, robust, locked) = (None, None, false, false);
    Planning { source: source(options, file), job, cluster, locked, time_limit: options.time_limit, robust, evidence }
}

/// A name in the project that no job, lock file or plan has.
fn unused() -> Result<PathBuf, Failure> {
    let folder = Path::new(PROJECT).join("asked");
    std::fs::create_dir_all(&folder).map_err(|e| format!("cannot make the folder `{}`: {e}", folder.display()))?;
    let free = |path: &PathBuf| !path.exists() && !lock_path(path).exists();
    let mut names = (1..=1_000_000).map(|n| folder.join(format!("{n}.mkb")));
    names.find(free).ok_or_else(|| Failure::Message(format!("the folder `{}` is full", folder.display())))
}

/// A word as a shell takes it.
pub fn shell(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+=,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_string()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}
