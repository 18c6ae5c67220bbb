//! The command line's grammar.

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Compiles what you want from AI models into a plan of what to run, and runs it.
#[derive(Parser)]
#[command(name = "mkbc", version, about, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand)]
pub enum Command {
    /// Check a job file
    Check(CheckOptions),
    /// Explain a diagnostic by its code
    Explain(ExplainOptions),
    /// Fill the holes of a job file and write its lock file
    Expand(ExpandOptions),
    /// Choose model, knobs and hardware for every step, and show the plan; nothing is run
    Plan(PlanOptions),
    /// Plan a job for this machine and run it; the job's inputs are options: --videos a.mp4 b.mp4
    Run(RunOptions),
    /// Check a plan: its data flow, its totals and every clause, without the solver
    Verify(VerifyOptions),
    /// List the tasks of the library and what implements them
    Library(LibraryOptions),
    /// Show this machine's devices
    Devices(DevicesOptions),
    /// Print the JSON schema of plans
    Schema,
    /// Measure parts of mkbc
    #[command(subcommand)]
    Bench(super::bench::Bench),
}

/// What every command that reads a job file takes.
#[derive(Args)]
pub struct Source {
    /// The job file
    pub file: PathBuf,
    /// A folder of .mkb files and profiles/*.csv to add to the library (repeatable)
    #[arg(long, value_name = "DIR")]
    pub library: Vec<PathBuf>,
    /// How diagnostics are written
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// With the source beside them
    Text,
    /// One JSON array on standard output
    Json,
}

#[derive(Args)]
pub struct CheckOptions {
    #[command(flatten)]
    pub source: Source,
    /// Apply the fixes that diagnostics offer, and check again
    #[arg(long)]
    pub fix: bool,
}

#[derive(Args)]
pub struct ExplainOptions {
    /// The code, E0203 say; all codes are listed without it
    pub code: Option<String>,
}

#[derive(Args)]
pub struct ExpandOptions {
    #[command(flatten)]
    pub source: Source,
    /// Forget the fills in the lock file and look again
    #[arg(long)]
    pub refresh: bool,
    /// Fail where the lock file does not hold every fill
    #[arg(long, conflicts_with = "refresh")]
    pub locked: bool,
}

/// What planning needs.
#[derive(Args)]
pub struct Planning {
    #[command(flatten)]
    pub source: Source,
    /// The job, where the file has several
    #[arg(long)]
    pub job: Option<String>,
    /// The cluster to plan for; `here` is this machine
    #[arg(long)]
    pub cluster: Option<String>,
    /// Fail where the lock file does not hold every fill
    #[arg(long)]
    pub locked: bool,
    /// Seconds to look for a better plan
    #[arg(long, default_value_t = 20.0, value_name = "SECONDS")]
    pub time_limit: f64,
    /// Keep every limit even where each figure is at the worst end of its interval; wishes are then the worst case's
    #[arg(long)]
    pub robust: bool,
}

#[derive(Args)]
pub struct PlanOptions {
    #[command(flatten)]
    pub planning: Planning,
    /// Write the plan to this file
    #[arg(long, short, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Print the plan as JSON
    #[arg(long)]
    pub json: bool,
    /// Say how many choices each step has, and why others are out
    #[arg(long)]
    pub choices: bool,
}

#[derive(Args)]
pub struct RunOptions {
    #[command(flatten)]
    pub planning: Planning,
    /// Run exactly this plan; FILE is then the job that it was made from
    #[arg(long, value_name = "PLAN", conflicts_with_all = ["cluster", "time_limit"])]
    pub plan: Option<PathBuf>,
    /// Where outputs, the plan and the report are kept [default: .mkbc/runs/<n>]
    #[arg(long, value_name = "DIR")]
    pub folder: Option<PathBuf>,
    /// Print the answer, and what it took, as JSON
    #[arg(long)]
    pub json: bool,
    /// No progress bars and no report, only the answer
    #[arg(long, short)]
    pub quiet: bool,
}

#[derive(Args)]
pub struct VerifyOptions {
    /// The plan
    pub plan: PathBuf,
    /// A folder of .mkb files and profiles/*.csv that the plan was compiled with (repeatable)
    #[arg(long, value_name = "DIR")]
    pub library: Vec<PathBuf>,
    /// The job file that the plan was compiled from, where it declares tasks, models or tools of its own
    #[arg(long, value_name = "FILE")]
    pub source: Option<PathBuf>,
    /// Check the plan by itself, without computing its figures again from the library
    #[arg(long)]
    pub alone: bool,
}

#[derive(Args)]
pub struct LibraryOptions {
    /// A folder to add to the library (repeatable)
    #[arg(long, value_name = "DIR")]
    pub library: Vec<PathBuf>,
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Args)]
pub struct DevicesOptions {
    /// As JSON
    #[arg(long)]
    pub json: bool,
}
