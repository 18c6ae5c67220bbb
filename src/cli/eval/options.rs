//! What `mkbc eval` is asked for, and which of it goes together.

use super::super::Failure;
use super::configurations::Which;
use crate::eval::metric::Metric;
use crate::eval::output::Against;
use clap::{Args, ValueEnum};
use std::path::{Path, PathBuf};

#[derive(Args)]
pub struct EvalOptions {
    /// A job file, or a task of the library
    pub what: String,
    /// The dataset: .jsonl, .csv, .tsv or .parquet; a column for each input, paths of media relative to it
    #[arg(long, value_name = "FILE")]
    pub data: PathBuf,
    /// exact, accuracy, contains, f1, wer, cer, numeric[:0.5|:1%], json[:FIELD,…], judge, process
    #[arg(long)]
    pub metric: String,
    /// The column of what is expected [default: expected]
    #[arg(long, value_name = "COLUMN")]
    pub expected: Option<String>,
    /// The column of an input that has another name (repeatable)
    #[arg(long, value_name = "INPUT=COLUMN")]
    pub input: Vec<String>,
    /// A folder of .mkb files and profiles/*.csv to add to the library (repeatable)
    #[arg(long, value_name = "DIR")]
    pub library: Vec<PathBuf>,
    /// The job, where the file has several
    #[arg(long)]
    pub job: Option<String>,
    /// What is evaluated [default: all of a task, the best plan of a job]
    #[arg(long, value_enum)]
    pub configurations: Option<Which>,
    /// Only this model or tool (repeatable), with `--configurations all`
    #[arg(long, value_name = "NAME")]
    pub only: Vec<String>,
    /// At most so many configurations
    #[arg(long, default_value_t = 200, value_name = "N")]
    pub most: usize,
    /// Which runs are made: the full grid, or those that the Pareto front needs
    #[arg(long, value_enum, default_value_t = Search::Full)]
    pub search: Search,
    /// At most so many runs, with `--search halving` [default: a quarter of the grid]
    #[arg(long, value_name = "RUNS")]
    pub budget: Option<usize>,
    /// What quality is traded against
    #[arg(long, value_enum, default_value_t = Axis::Latency)]
    pub against: Axis,
    /// Only the first N items
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
    /// Items that are run at once; latency and processor time are only comparable one at a time
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub concurrency: usize,
    /// Seed of the order in which a search takes items
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Where results are kept; an evaluation in the same folder goes on [default: .mkbc/eval/<what>-<dataset>]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Keep the folders of all runs
    #[arg(long)]
    pub keep: bool,
    /// Run items again whose run failed
    #[arg(long)]
    pub retry_failed: bool,
    /// Judge by this task of the library: it takes `answer`, `expected` (and `question`, or any column) and yields a score
    #[arg(long, value_name = "TASK", conflicts_with = "judge_model")]
    pub judge: Option<String>,
    /// Judge by this model of an OpenAI-compatible endpoint, with a fixed rubric
    #[arg(long, value_name = "MODEL")]
    pub judge_model: Option<String>,
    /// Its address
    #[arg(long, value_name = "URL", default_value = "https://api.openai.com/v1")]
    pub judge_url: String,
    /// The environment variable that holds its key
    #[arg(long, value_name = "NAME", default_value = "OPENAI_API_KEY")]
    pub judge_key: String,
    /// Seconds that a scorer may take for an item
    #[arg(long, default_value_t = 30.0, value_name = "SECONDS")]
    pub scorer_timeout: f64,
    /// Write quality rows to DIR/measured, for `--library DIR`
    #[arg(long, value_name = "DIR")]
    pub write: Option<PathBuf>,
    /// Which benchmark the rows are for; rows without one count whenever their task is planned
    #[arg(long, value_name = "NAME", requires = "write")]
    pub benchmark: Option<String>,
    /// Fit the rule that makes the job's quality of its steps', and write it for `quality from "FILE"`
    #[arg(long, value_name = "FILE")]
    pub fit: Option<PathBuf>,
    /// Print the summary as JSON
    #[arg(long)]
    pub json: bool,
    /// No progress
    #[arg(long, short)]
    pub quiet: bool,
    /// With `--metric process`, behind `--`: the program and its arguments; it reads {"answer", "expected", "item"} and prints a score
    #[arg(last = true, value_name = "SCORER")]
    pub scorer: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Search {
    /// Every configuration on every item
    Full,
    /// Successive halving towards the Pareto front
    Halving,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Axis {
    /// Wall time
    Latency,
    /// Processor time, which other work on the machine disturbs less
    Cpu,
    /// Dollars
    Cost,
}

impl From<Axis> for Against {
    fn from(axis: Axis) -> Against {
        match axis {
            Axis::Latency => Against::Latency,
            Axis::Cpu => Against::Cpu,
            Axis::Cost => Against::Cost,
        }
    }
}

impl EvalOptions {
    /// Whether a job is evaluated, and not a task of the library.
    pub fn is_job(&self) -> bool {
        self.what.ends_with(".mkb") || Path::new(&self.what).is_file()
    }
}

/// Refuses options that do not go together.
pub fn consistent(options: &EvalOptions, metric: &Metric) -> Result<(), Failure> {
    let wrong = |text: &str| Err(Failure::Usage(text.to_string()));
    let asked = options.judge.is_some() || options.judge_model.is_some();
    match (metric, asked, options.scorer.is_empty()) {
        (Metric::Judge, false, _) => return wrong("`--metric judge` needs `--judge TASK` or `--judge-model MODEL`"),
        (Metric::Process, _, true) => {
            return wrong("`--metric process` needs the program behind `--`: `-- python3 score.py`");
        }
        (Metric::Judge, true, true) | (Metric::Process, false, false) => {}
        (Metric::Judge | Metric::Process, ..) | (_, true, _) | (_, _, false) => {
            return wrong("a judge goes with `--metric judge`, and a program with `--metric process`");
        }
        _ => {}
    }
    if options.concurrency == 0 || options.concurrency > 256 {
        return wrong("`--concurrency` takes a number from 1 to 256");
    }
    if options.against == Axis::Cpu && options.concurrency > 1 {
        return wrong("processor time cannot be told apart between items that run at once: leave out `--concurrency`");
    }
    if options.limit == Some(0) {
        return wrong("`--limit 0` leaves nothing to evaluate");
    }
    if !(options.scorer_timeout > 0.0 && options.scorer_timeout <= 86_400.0) {
        return wrong("`--scorer-timeout` takes seconds, more than 0 and at most 86400");
    }
    if options.budget.is_some() && options.search == Search::Full {
        return wrong("`--budget` goes with `--search halving`");
    }
    if options.fit.is_some() && !options.is_job() {
        return wrong("`--fit` fits the rule of a job: a task has one step");
    }
    if options.write.is_some() && options.is_job() {
        return wrong("`--write` writes what is known of a task's implementations; for a job use `--fit`");
    }
    Ok(())
}
