//! `mkbc bench solver`: instances from families or files, solved, measured and shown.

mod expand;
mod joint;
mod lsp;
mod ray;
mod recovery;
mod runtime;
mod search;
mod serve;

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use comfy_table::CellAlignment;
use rustix::time::{ClockId, clock_gettime};
use serde_json::json;

use super::highs::Highs;
use super::load::{files, read, time_limit, writable, write};
use super::{Failure, note, print, width};
use crate::bench::families::generate;
use crate::bench::instance::Instance;
use crate::bench::measure::{Answer, Effort, Measured, Meters, Summary, measure, summarise};
use crate::bench::recipe::{Recipe, STANDARD};
use crate::plan::render::table;
use crate::solve::export::reduced::reduced;
use crate::solve::{Certify, warm_up};

/// Milliseconds that one call of z3 may take.
const Z3_MS: u32 = 5_000;

#[derive(Subcommand)]
pub enum Bench {
    /// Solve seeded families of problems, or instances from files, and show how long it takes
    Solver(SolverOptions),
    /// Plan seeded fleets of jobs together, or fleets from files, and show cost, bound and gap
    Joint(joint::JointOptions),
    /// Search a recorded grid of an evaluation for its Pareto front, and compare with the whole grid
    Search(search::SearchOptions),
    /// Fill the holes of a corpus of goals, and say how often the first choice is right
    Expand(expand::ExpandOptions),
    /// Run nodes that do nothing, and show what the runtime takes for each
    Runtime(runtime::RuntimeOptions),
    /// Run nodes that do nothing on a Ray cluster, and show what each takes
    Ray(ray::RayOptions),
    /// Load a server of this machine with submissions, and show what it takes
    Serve(serve::ServeOptions),
    /// Type into a file before the language server, and show how long diagnostics take
    Lsp(lsp::LspOptions),
    /// Break files with one random edit each, and show how much is still read and how much is said
    Recovery(recovery::RecoveryOptions),
}

/// What z3 is asked.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Level {
    /// Nothing
    Off,
    /// To refute anything better among the options that price rows leave
    Core,
    /// To refute anything better among all options that no other one dominates
    Full,
}

impl From<Level> for Certify {
    fn from(level: Level) -> Certify {
        match level {
            Level::Off => Certify::Off,
            Level::Core => Certify::Core,
            Level::Full => Certify::Full,
        }
    }
}

#[derive(Args)]
pub struct SolverOptions {
    /// A family, such as realistic-20x100-tight-coupled (repeatable) [default: the standard ones]
    #[arg(long, value_name = "NAME", conflicts_with = "read")]
    pub family: Vec<String>,
    /// How many problems of each family
    #[arg(long, default_value_t = 3, value_name = "N")]
    pub seeds: u64,
    /// The seed of the first
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub first_seed: u64,
    /// Write each problem to this folder as JSON
    #[arg(long, value_name = "DIR")]
    pub write: Option<PathBuf>,
    /// Write each problem without dominated options to this folder
    #[arg(long, value_name = "DIR")]
    pub write_reduced: Option<PathBuf>,
    /// Solve this instance, or all of this folder (repeatable)
    #[arg(long, value_name = "PATH")]
    pub read: Vec<PathBuf>,
    /// Write the results to this file
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// What z3 is asked
    #[arg(long, value_enum, default_value_t = Level::Core)]
    pub certify: Level,
    /// Nodes that the native search may visit; from there on z3 searches (1: from the bound and the plans of the whole problem)
    #[arg(long, default_value_t = u64::MAX, hide_default_value = true, value_name = "N")]
    pub nodes: u64,
    /// Seconds of CPU time for each problem
    #[arg(long, default_value_t = 20.0, value_name = "SECONDS")]
    pub time_limit: f64,
    /// Have HiGHS solve each problem as well, and fail where it finds another optimum
    #[arg(long)]
    pub cross_check: bool,
}

/// An instance, and the file that it came from or goes to.
struct Job {
    instance: Instance,
    file: Option<PathBuf>,
}

/// Runs a bench.
pub fn bench(what: &Bench) -> Result<(), Failure> {
    match what {
        Bench::Solver(options) => solver(options),
        Bench::Joint(options) => joint::joint(options),
        Bench::Search(options) => search::search(options),
        Bench::Expand(options) => expand::expand(options),
        Bench::Recovery(options) => recovery::recovery(options),
        Bench::Lsp(options) => lsp::lsp(options),
        Bench::Runtime(options) => runtime::runtime(options),
        Bench::Ray(options) => ray::ray(options),
        Bench::Serve(options) => serve::serve(options),
    }
}

fn solver(options: &SolverOptions) -> Result<(), Failure> {
    let time = time_limit(options.time_limit)?;
    if let Some(json) = &options.json {
        writable(json)?;
    }
    let highs = options.cross_check.then(Highs::find).transpose()?;
    let jobs = if options.read.is_empty() { generated(options)? } else { from_files(&options.read)? };
    for job in &jobs {
        save(job, options)?;
    }
    warm_up();
    let meters = Meters { cpu: &cpu, reset_memory: &reset_memory, memory: &memory };
    let effort = Effort { time, z3_ms: Z3_MS, certify: options.certify.into(), nodes: options.nodes };
    let (mut results, mut confirmed) = (Vec::new(), 0);
    for job in &jobs {
        let mut measured = measure(&job.instance, effort, &meters);
        measured.file = job.file.as_ref().map(|file| file.display().to_string());
        if let Answer::Unknown { why } = &measured.answer {
            note(&format!("{}: {why}", job.instance.file_stem()));
        }
        if let Some(highs) = &highs {
            let about = |failure: Failure| Failure::Message(format!("{}: {failure}", job.instance.file_stem()));
            confirmed += cross_check(highs, job, &measured, options.time_limit).map_err(about)?;
        }
        results.push(measured);
    }
    print(&shown(&summarise(&results)));
    if highs.is_some() {
        let rest = if confirmed < jobs.len() { "; of the others there is no proof to confirm" } else { "" };
        print(&format!("HiGHS agrees on {confirmed} of {} problems{rest}\n", jobs.len()));
    }
    if let Some(path) = &options.json {
        let about = json!({ "format": "murakkab-results", "version": 1, "mkbc": env!("CARGO_PKG_VERSION"),
            "time_limit_s": options.time_limit, "results": results });
        let text = serde_json::to_string_pretty(&about).map_err(|e| e.to_string())?;
        write(path, &format!("{text}\n"))?;
    }
    Ok(())
}

/// 1 when HiGHS agrees, 0 when there is nothing proved to agree with.
fn cross_check(highs: &Highs, job: &Job, measured: &Measured, seconds: f64) -> Result<usize, Failure> {
    match &measured.answer {
        Answer::Optimal { values, .. } => highs.agree(&job.instance.problem, Some(values), seconds).map(|()| 1),
        Answer::Infeasible { .. } => highs.agree(&job.instance.problem, None, seconds).map(|()| 1),
        Answer::Feasible { .. } | Answer::Unknown { .. } => Ok(0),
    }
}

fn generated(options: &SolverOptions) -> Result<Vec<Job>, Failure> {
    let mut recipes: Vec<Recipe> = Vec::new();
    for name in &options.family {
        recipes.push(name.parse().map_err(Failure::Usage)?);
    }
    if recipes.is_empty() {
        recipes.extend(STANDARD.iter().filter_map(|name| name.parse::<Recipe>().ok()));
    }
    let seeds = options.first_seed..options.first_seed.saturating_add(options.seeds);
    let job = |recipe: &Recipe, seed| {
        let instance = Instance::new(&recipe.to_string(), Some(seed), generate(recipe, seed));
        let file = options.write.as_ref().map(|folder| file_in(folder, &instance));
        Job { instance, file }
    };
    Ok(recipes.iter().flat_map(|recipe| seeds.clone().map(move |seed| job(recipe, seed))).collect())
}

fn from_files(paths: &[PathBuf]) -> Result<Vec<Job>, Failure> {
    let mut found = Vec::new();
    for path in paths {
        if path.is_dir() {
            found.extend(files(path, "json")?);
        } else {
            found.push(path.clone());
        }
    }
    if found.is_empty() {
        return Err(Failure::Message("there is no instance to read: no file ends in `.json`".to_owned()));
    }
    let open = |path: PathBuf| {
        let instance = Instance::read(&read(&path)?).map_err(|why| format!("`{}` {why}", path.display()))?;
        Ok(Job { instance, file: Some(path) })
    };
    found.into_iter().map(open).collect()
}

fn file_in(folder: &Path, instance: &Instance) -> PathBuf {
    folder.join(format!("{}.json", instance.file_stem()))
}

fn save(job: &Job, options: &SolverOptions) -> Result<(), Failure> {
    let to = |folder: &Path, instance: &Instance| {
        std::fs::create_dir_all(folder).map_err(|e| format!("cannot make the folder `{}`: {e}", folder.display()))?;
        write(&file_in(folder, instance), &instance.write())
    };
    if let Some(folder) = &options.write {
        to(folder, &job.instance)?;
    }
    if let Some(folder) = &options.write_reduced {
        let smaller = reduced(&job.instance.problem)?;
        to(folder, &Instance::new(&job.instance.name, job.instance.seed, smaller))?;
    }
    Ok(())
}

fn shown(families: &[Summary]) -> String {
    let header = ["family", "n", "median ms", "p95", "max", "proved", "by z3", "nodes", "z3's share", "memory"];
    let mut table = table(width(), &header);
    for column in 1..header.len() {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let percent = |share: f64| format!("{:.0} %", share * 100.0);
    for family in families {
        let [median, p95, most] =
            family.cpu_ms.map(|ms| if ms < 10.0 { format!("{ms:.2}") } else { format!("{ms:.0}") });
        let [proved, certified] = family.proved.map(percent);
        table.add_row(vec![
            family.name.clone(),
            family.count.to_string(),
            median,
            p95,
            most,
            proved,
            certified,
            family.nodes.map_or("–".to_owned(), |nodes| nodes.to_string()),
            family.z3.map_or("–".to_owned(), percent),
            family.memory.map_or("–".to_owned(), |bytes| format!("{} MB", bytes >> 20)),
        ]);
    }
    format!("{table}\n")
}

/// The CPU time of this process.
fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Linux counts the mark anew when told so; elsewhere it stays, and is not known either.
fn reset_memory() {
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

fn memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()? << 10)
}
