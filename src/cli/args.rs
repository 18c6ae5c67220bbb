//! The command line's grammar.

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::num::NonZeroUsize;
use std::path::PathBuf;

/// Compiles what you want from AI models into a plan of what to run, and runs it.
#[derive(Parser)]
#[command(name = "mkbc", version, about, max_term_width = 100, after_help = super::failure::statuses())]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand)]
pub enum Command {
    /// Write a job from a template
    New(super::new::NewOptions),
    /// Check job files
    Check(super::check::CheckOptions),
    /// Format job files in place
    Fmt(super::fmt::FmtOptions),
    /// Explain a diagnostic by its code
    Explain(ExplainOptions),
    /// Fill the holes of a job file and write its lock file
    Expand(Box<super::expand::ExpandOptions>),
    /// Ask a question about files: the job is written, filled, planned, shown, and run after a yes
    Ask(Box<super::goal::AskOptions>),
    /// Check the fills in a lock file
    #[command(subcommand)]
    Lock(super::expand::LockCommand),
    /// Choose model, knobs and hardware for every step, and show the plan; nothing is run
    Plan(PlanOptions),
    /// Simulate a fleet under a load: what policies would hold, cost and keep waiting, side by side
    Simulate(Box<super::simulate::SimulateOptions>),
    /// Draw a job's steps and who waits for whom, with the choices of its plan: DOT, Mermaid or SVG
    Graph(super::graph::GraphOptions),
    /// Print a template of a job's inputs, or their JSON schema
    Inputs(super::validate::InputsOptions),
    /// Say whether values are what a job takes
    Validate(super::validate::ValidateOptions),
    /// Say why a step is carried out as it is: what decided, what else there is and what it would break
    Why(WhyOptions),
    /// Say why a model or tool was not chosen: its price, the lines that clash with it, or why it cannot be used
    WhyNot(WhyNotOptions),
    /// Plan a job with another limit, wish, pin or rule, and compare
    WhatIf(WhatIfOptions),
    /// Show what is to be had for what: the exact Pareto front of two or three metrics
    Pareto(ParetoOptions),
    /// Say by how much figures must move until the plan changes, and which to measure first
    Sensitivity(SensitivityOptions),
    /// Plan a job for this machine and run it; the job's inputs are options: --videos a.mp4 b.mp4
    Run(RunOptions),
    /// Go on with a run that was killed, stopped or failed: what is finished is not done again
    Resume(super::resume::ResumeOptions),
    /// List the runs of this folder's project
    Runs(super::runs::RunsOptions),
    /// Show a run step by step: state, attempts, time, cost, error
    Show(super::runs::OneRun),
    /// Print what a run did, in order
    Logs(super::runs::LogsOptions),
    /// Compare two runs step by step: choices, time, cost, tokens, quality, and how their plans differ
    Compare(super::compare::CompareOptions),
    /// Watch the project's runs, live
    Top(super::top::TopOptions),
    /// Serve runs over HTTP: plans and sources are submitted, queued, carried out here, and watched
    Serve(Box<super::serve::ServeOptions>),
    /// Submit a job or a plan to a server; the job's inputs are options, as for `run`
    Submit(Box<super::remote::SubmitOptions>),
    /// Deploy a job on a server: it gets an endpoint of its own, where all that is deployed fits together
    Deploy(Box<super::remote::DeployOptions>),
    /// Watch a run of a server until it ends
    Watch(super::remote::WatchOptions),
    /// Fetch the answer of a server's run, and the files in it
    Fetch(super::remote::FetchOptions),
    /// Check the journal of runs, or export from it
    #[command(subcommand)]
    Journal(super::journal::JournalCommand),
    /// List or remove results that are kept for other runs
    #[command(subcommand)]
    Cache(super::cache::CacheCommand),
    /// Write pages about every task, model and tool of the library, with all figures and their evidence
    Doc(super::doc::DocOptions),
    /// Serve an editor: the language server over standard input and output
    Lsp(super::lsp::LspOptions),
    /// Write stubs for the tools of an MCP server, an OpenAPI document or a Python module
    #[command(subcommand)]
    Import(super::import::Import),
    /// Measure how good a task's models and tools, or a job's plans, are on a dataset
    Eval(Box<super::eval::EvalOptions>),
    /// Say how good a run's answer was, and fold such verdicts into qualities
    Feedback(super::feedback::FeedbackOptions),
    /// Measure a model or tool on this machine, with samples as options: --audio short.wav long.wav
    Profile(super::profile::ProfileOptions),
    /// Write manifests for Kubernetes from a plan or a joint plan: its model servers, and where a run finds them
    Export(super::manifests::ExportOptions),
    /// Check a plan: its data flow, its totals and every clause, without the solver
    Verify(VerifyOptions),
    /// List the tasks of the library and what implements them
    Library(LibraryOptions),
    /// Show this machine's devices
    Devices(super::devices::DevicesOptions),
    /// Say what this machine lacks: programs, packages, keys, drivers, and which tasks cannot be carried out for it
    Doctor(super::doctor::DoctorOptions),
    /// Print the JSON schema of plans, of joint plans, or of the answers to questions
    Schema(SchemaOptions),
    /// Print what somebody must know who writes a job: the language, or with --json the whole library as well
    Describe(super::describe::DescribeOptions),
    /// Print the script that completes commands in a shell
    Completions(super::completions::CompletionsOptions),
    /// Write manual pages
    Man(super::completions::ManOptions),
    /// Carry out runs of a server on this machine: --to URL
    Worker(Box<super::worker::WorkerOptions>),
    /// Let z3 decide what comes on standard input, for another process of mkbc
    #[command(hide = true)]
    Judge,
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
pub struct ExplainOptions {
    /// The code, E0203 say; all codes are listed without it
    #[arg(value_parser = super::explain::Code, hide_possible_values = true)]
    pub code: Option<String>,
}

/// What planning needs.
#[derive(Args)]
pub struct Planning {
    #[command(flatten)]
    pub source: Source,
    /// The job, where the file has several
    #[arg(long)]
    pub job: Option<String>,
    /// The cluster to plan for: its name, `FILE.mkb` or `FILE.mkb:NAME`; `here` is this machine
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
    #[command(flatten)]
    pub evidence: EvidenceOptions,
}

/// What figures must rest on.
#[derive(Args, Clone, Copy, Default)]
pub struct EvidenceOptions {
    /// Leave out what is only to be had with figures that are weaker
    #[arg(long, value_enum, value_name = "KIND")]
    pub evidence: Option<Least>,
    /// Leave out what is only to be had with figures for other amounts of work or for none that is said
    #[arg(long)]
    pub strict_evidence: bool,
    /// Compare qualities whoever they are by, instead of those by one reporter for each step
    #[arg(long)]
    pub any_reporter: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Least {
    /// By a formula, as well
    Estimated,
    /// By somebody else, as well
    Published,
    /// Only what was measured here
    Measured,
}

#[derive(Args)]
pub struct PlanOptions {
    #[command(flatten)]
    pub planning: Planning,
    #[command(flatten)]
    pub fleet: FleetOptions,
    /// The job's inputs as JSON, as `mkbc inputs` prints them; `-` reads standard input
    #[arg(long, value_name = "FILE.json")]
    pub inputs: Option<PathBuf>,
    /// Write the plan to this file
    #[arg(long, short, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Print the plan as JSON
    #[arg(long)]
    pub json: bool,
    /// Say how many choices each step has, and why others are out
    #[arg(long)]
    pub choices: bool,
    /// Write the problem that the solver gets: .json, .smt2 or .mps
    #[arg(long, value_name = "FILE")]
    pub export: Option<PathBuf>,
    /// Have HiGHS solve the problem as well, and fail where it finds another optimum
    #[arg(long)]
    pub cross_check: bool,
    /// Write a proof that no plan is better, or that there is none, for `mkbc verify --proof`
    #[arg(long, value_name = "FILE")]
    pub proof: Option<PathBuf>,
    /// Pin the programs that carry the plan out on this machine: `run --plan` begins only where their bytes are the same
    #[arg(long)]
    pub pin: bool,
    /// Leave out what each limit costs, which takes two more plans a limit
    #[arg(long)]
    pub no_prices: bool,
    /// A line of the language that counts as if the job said it, a limit in place of the job's own: "cost <= 0.10 usd" (repeatable)
    #[arg(long, value_name = "LINE", conflicts_with = "proof")]
    pub slo: Vec<String>,
}

/// What planning several jobs on one cluster needs.
#[derive(Args)]
pub struct FleetOptions {
    /// Further job files: all jobs share the cluster's instances
    #[arg(value_name = "FILE")]
    pub more: Vec<PathBuf>,
    /// How often jobs are run: `a=30/s,b=5/min`, a trace with a column `job`, or `a=trace.csv.gz`
    #[arg(long, value_name = "LOAD")]
    pub load: Option<String>,
    /// A joint plan that runs now: replicas that are started cost extra
    #[arg(long, value_name = "PLAN")]
    pub from: Option<PathBuf>,
    /// Plan so many jobs at a time, one part after another: for more jobs than can be planned at once
    #[arg(long, value_name = "JOBS", conflicts_with = "from")]
    pub split: Option<NonZeroUsize>,
    #[command(flatten)]
    pub terms: FleetTerms,
}

/// What a joint plan reckons with.
#[derive(Args)]
pub struct FleetTerms {
    /// Seconds over which the arrivals of a trace are counted
    #[arg(long, default_value_t = 60, value_name = "SECONDS")]
    pub window: u32,
    /// Which of a trace's windows counts; 100 is the busiest
    #[arg(long, default_value_t = 100, value_name = "PERCENT")]
    pub percentile: u32,
    /// The most of its time that a replica may be busy
    #[arg(long, default_value_t = 80.0, value_name = "PERCENT")]
    pub utilisation: f64,
    /// Minutes of its price that starting a replica costs, where a fleet runs already
    #[arg(long, default_value_t = 5.0, value_name = "MINUTES")]
    pub start_minutes: f64,
}

#[derive(Args)]
pub struct RunOptions {
    #[command(flatten)]
    pub planning: Planning,
    /// The job's inputs as JSON, as `mkbc inputs` prints them; `-` reads standard input
    #[arg(long, value_name = "FILE.json")]
    pub inputs: Option<PathBuf>,
    /// A line of the language that counts as if the job said it, a limit in place of the job's own: "cost <= 0.10 usd" (repeatable)
    #[arg(long, value_name = "LINE", conflicts_with = "plan")]
    pub slo: Vec<String>,
    /// Run exactly this plan; FILE is then the job that it was made from
    #[arg(long, value_name = "PLAN", conflicts_with_all = ["cluster", "time_limit"])]
    pub plan: Option<PathBuf>,
    /// Where outputs, the plan and the report are kept [default: .mkbc/runs/<n>]
    #[arg(long, value_name = "DIR")]
    pub folder: Option<PathBuf>,
    /// A name for this run: the next `run` with it goes on with it, or shows the answer that it has
    #[arg(long, value_name = "KEY", value_parser = crate::run::journal::user_key)]
    pub key: Option<String>,
    #[command(flatten)]
    pub durable: super::run::Durable,
    #[command(flatten)]
    pub adapt: super::run::AdaptOptions,
    #[command(flatten)]
    pub show: super::run::Showing,
}

#[derive(Args)]
pub struct VerifyOptions {
    /// The plan; left out where a proof says that there is none
    #[arg(required_unless_present = "proof")]
    pub plan: Option<PathBuf>,
    /// A folder of .mkb files and profiles/*.csv that the plan was compiled with (repeatable)
    #[arg(long, value_name = "DIR")]
    pub library: Vec<PathBuf>,
    /// The job file that the plan was compiled from, where it declares tasks, models or tools of its own
    #[arg(long, value_name = "FILE")]
    pub source: Option<PathBuf>,
    /// The line that the plan was made with beside the job's; the plan has it as well, and this makes sure of it (repeatable)
    #[arg(long, value_name = "LINE", requires = "source")]
    pub slo: Vec<String>,
    /// Check this proof that no plan is better (or, of several jobs, cheaper than it says), or that there is none, of `mkbc plan --proof`; needs --source
    #[arg(long, value_name = "FILE", requires = "source", conflicts_with = "alone")]
    pub proof: Option<PathBuf>,
    /// Check the plan by itself, without computing its figures again from the library
    #[arg(long)]
    pub alone: bool,
}

#[derive(Args)]
pub struct LibraryOptions {
    #[command(subcommand)]
    pub what: Option<LibraryCommand>,
    /// A folder to add to the library (repeatable)
    #[arg(long, value_name = "DIR")]
    pub library: Vec<PathBuf>,
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Subcommand)]
pub enum LibraryCommand {
    /// List the figures that are guessed, undated, old or second-hand, and what rests on what
    Audit(AuditOptions),
}

#[derive(Args)]
pub struct AuditOptions {
    /// A folder to add to the library (repeatable)
    #[arg(long, value_name = "DIR")]
    pub library: Vec<PathBuf>,
    /// List figures that are older
    #[arg(long, value_name = "DAYS")]
    pub older_than: Option<u32>,
    /// Fail where any figure is weak, not only where one has no evidence
    #[arg(long)]
    pub strict: bool,
    /// How it is written: by file and line, or each figure with its source
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

#[derive(Args)]
pub struct SchemaOptions {
    /// Of what
    #[arg(value_enum, default_value_t = Schema::Plan)]
    pub of: Schema,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Schema {
    /// What `mkbc plan --json` prints
    Plan,
    /// What it prints for several jobs on one cluster
    Joint,
    /// What `why`, `why-not`, `what-if`, `pareto` and `sensitivity` print with `--format json`
    Answer,
}

#[derive(Args)]
pub struct WhyOptions {
    #[command(flatten)]
    pub planning: Planning,
    /// The step, as it is named in the plan
    pub step: String,
    /// Ask of this plan, not of the best one
    #[arg(long, value_name = "PLAN", conflicts_with_all = ["cluster", "robust"])]
    pub plan: Option<PathBuf>,
}

#[derive(Args)]
pub struct WhyNotOptions {
    #[command(flatten)]
    pub planning: Planning,
    /// The model or tool, as behind `using`: whisper, or "whisper(variant: small) on a100 * 1"
    pub model: String,
    /// The step, where it is only about one
    #[arg(long)]
    pub step: Option<String>,
}

#[derive(Args)]
pub struct WhatIfOptions {
    #[command(flatten)]
    pub planning: Planning,
    /// Lines of the language: "latency <= 30 s", "minimize energy", "avoid whisper", "on cpu_only"
    pub changes: Vec<String>,
    /// Leave out what the job says: the limits on a metric, or the line that is written so (repeatable)
    #[arg(long, value_name = "METRIC|LINE")]
    pub drop: Vec<String>,
}

/// As [`Planning`], but for the format: a front can be written in more ways than an answer in words.
#[derive(Args)]
pub struct ParetoOptions {
    /// The job file
    pub file: PathBuf,
    /// Two or three of cost, latency, quality, energy, gpus, ttft, tpot (and their .p95, .p99), with commas
    pub metrics: String,
    /// A folder of .mkb files and profiles/*.csv to add to the library (repeatable)
    #[arg(long, value_name = "DIR")]
    pub library: Vec<PathBuf>,
    /// The job, where the file has several
    #[arg(long)]
    pub job: Option<String>,
    /// The cluster to plan for: its name, `FILE.mkb` or `FILE.mkb:NAME`; `here` is this machine
    #[arg(long)]
    pub cluster: Option<String>,
    /// Fail where the lock file does not hold every fill
    #[arg(long)]
    pub locked: bool,
    /// Seconds to look for points
    #[arg(long, default_value_t = 20.0, value_name = "SECONDS")]
    pub time_limit: f64,
    /// Take every figure at the end of its interval that is against you
    #[arg(long)]
    pub robust: bool,
    #[command(flatten)]
    pub evidence: EvidenceOptions,
    /// At most so many points, spread over the front where it has more
    #[arg(long, default_value_t = 50, value_name = "N")]
    pub points: usize,
    /// Ignore the job's limits on these metrics; its other limits and rules hold
    #[arg(long)]
    pub beyond: bool,
    /// How the front is written
    #[arg(long, value_enum, default_value_t = Shape::Table)]
    pub format: Shape,
    /// Write it to this file
    #[arg(long, short, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Shape {
    /// For people
    Table,
    /// For spreadsheets
    Csv,
    /// For programs
    Json,
    /// A plot: two axes, the third metric as colour
    Svg,
    /// A page with the plot and a table, that needs nothing else
    Html,
}

impl ParetoOptions {
    /// What planning needs of it.
    pub fn planning(&self) -> Planning {
        let format = if self.format == Shape::Json { Format::Json } else { Format::Text };
        Planning {
            source: Source { file: self.file.clone(), library: self.library.clone(), format },
            job: self.job.clone(),
            cluster: self.cluster.clone(),
            locked: self.locked,
            time_limit: self.time_limit,
            robust: self.robust,
            evidence: self.evidence,
        }
    }
}

#[derive(Args)]
pub struct SensitivityOptions {
    #[command(flatten)]
    pub planning: Planning,
    /// At most so many re-solves; the answer says where that was not enough
    #[arg(long, default_value_t = 5_000, value_name = "N")]
    pub solves: usize,
}
