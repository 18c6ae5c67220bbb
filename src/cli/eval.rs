//! `mkbc eval`

mod configurations;
pub mod results;

use super::args::{Format, Source};
use super::expand::{Filled, Open, filled};
use super::here::{HERE, machines, usable_here};
use super::load::{library, show};
use super::run::folders;
use super::{Failure, note};
use crate::check::select;
use crate::compile::{Compiled, Prepared, Target, check_file, check_tree, prepare};
use crate::diag::{Diagnostics, nearest};
use crate::eval::dataset::{self, Dataset};
use crate::eval::halving::{Halving, Seen};
use crate::eval::judge::{self, Judge};
use crate::eval::measure::{Bench, Columns, Configuration, Ended, ready};
use crate::eval::metric::Metric;
use crate::eval::output::Against;
use crate::eval::record::Records;
use crate::plan::model::Plan;
use crate::run::cancel::Cancel;
use crate::run::servers::Servers;
use crate::run::{block_on, preflight, stop_on_signals, value};
use crate::solve::{Certify, Limits};
use crate::space::ends::End;
use crate::space::sizes::InputSizes;
use crate::syntax::ast::File;
use crate::types::Type;
use clap::{Args, ValueEnum};
use configurations::{Which, configurations};
use indicatif::{ProgressBar, ProgressStyle};
use rust_decimal::Decimal;
use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Nodes that planning one configuration may take.
const NODES: u64 = 500_000;

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

/// Measures how good a task's implementations or a job's plans are.
pub fn eval(options: &EvalOptions) -> Result<(), Failure> {
    let metric = Metric::read(&options.metric).map_err(Failure::Usage)?;
    consistent(options, &metric)?;
    let set = dataset::open(&options.data, options.limit).map_err(Failure::Message)?;
    let subject = subject(options)?;
    let program = &subject.checked.program;
    let job = select(program, options.job.as_deref()).map_err(Failure::Usage)?;
    let params: Vec<(String, Type)> =
        job.params.iter().map(|p| job.local(*p)).map(|l| (l.name.to_string(), l.ty.clone())).collect();
    let columns = columns(options, &metric, &set, &params)?;
    let env = |name: &str| std::env::var(name).ok();
    let items = block_on(ready(&set, &params, &columns, &env)).map_err(|e| e.to_string())?.map_err(Failure::Message)?;
    let mut sums: BTreeMap<(String, String), (f64, u32)> = BTreeMap::new();
    for item in &items {
        for (name, ty) in &params {
            for (size, n) in item.inputs.get(name).map(|v| value::sizes(v, ty)).into_iter().flatten() {
                let sum = sums.entry((name.clone(), size)).or_default();
                *sum = (sum.0 + n, sum.1 + 1);
            }
        }
    }
    let mut sizes = InputSizes::new();
    for ((name, size), (sum, count)) in sums {
        let mean = Decimal::from_f64_retain(sum / f64::from(count)).unwrap_or_default().round_dp(3);
        sizes.entry(name.into()).or_default().insert(size.into(), mean);
    }
    let judge = judging(options, &metric)?;
    let which = options.configurations.unwrap_or(if is_job(options) { Which::Best } else { Which::All });
    let configurations = with_prepared(&subject, options.job.as_deref(), &sizes, |prepared, limits| {
        configurations(prepared, which, &options.only, options.most, &options.metric, limits)
    })?;
    let out = options.out.clone().unwrap_or_else(|| {
        let what = Path::new(&options.what).file_stem().map_or("job".into(), |s| s.to_string_lossy());
        Path::new(".mkbc/eval").join(format!("{what}-{}", set.name))
    });
    std::fs::create_dir_all(&out).map_err(|e| format!("cannot make the folder `{}`: {e}", out.display()))?;
    let file = if is_job(options) { PathBuf::from(&options.what) } else { PathBuf::from(".").join("task") };
    let folders = folders(&Source { file, library: options.library.clone(), format: Format::Text });
    able(&configurations, judge.as_ref(), &env, &folders)?;
    let pairs = configurations.len() * items.len();
    let shown = !options.quiet && !options.json && std::io::stderr().is_terminal();
    let bar = if shown { ProgressBar::new(pairs as u64) } else { ProgressBar::hidden() };
    if let Ok(style) = ProgressStyle::with_template("{spinner} {bar:30} {pos}/{len} {elapsed} {eta} {wide_msg}") {
        bar.set_style(style);
    }
    let folder = out.join("runs");
    let servers = Servers::kept_in(&folder.join("servers"));
    let bench = Bench {
        configurations,
        items,
        metric,
        judge,
        folder,
        keep: options.keep,
        again: options.retry_failed,
        concurrency: options.concurrency,
        env: &env,
        folders,
        cancel: Cancel::new(),
        bar,
        servers,
    };
    let mut records = Records::open(&out.join("results.jsonl")).map_err(Failure::Message)?;
    let searched = block_on(async {
        let signals = tokio::spawn(stop_on_signals(bench.cancel.clone()));
        let searched = search(options, &bench, &mut records).await;
        signals.abort();
        searched
    });
    bench.bar.finish_and_clear();
    if !options.keep {
        // Empty folders are of no use; results are in the file.
        let _ = std::fs::remove_dir_all(&bench.folder);
    }
    let measured = match searched.map_err(|e| e.to_string())? {
        Ok(measured) => measured,
        Err(Ended::Stopped) => {
            note(&format!("results so far are in {}; the same command goes on from there", out.display()));
            return Err(Failure::Stopped);
        }
        Err(Ended::Failed(why)) => return Err(format!("{why}\n  results so far are in {}", out.display()).into()),
    };
    let library = &subject.checked.library;
    results::show(&results::Done { options, bench: &bench, records: &records, set: &set, out: &out, library, measured })
}

fn is_job(options: &EvalOptions) -> bool {
    options.what.ends_with(".mkb") || Path::new(&options.what).is_file()
}

/// Refuses options that do not go together.
fn consistent(options: &EvalOptions, metric: &Metric) -> Result<(), Failure> {
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
    if options.fit.is_some() && !is_job(options) {
        return wrong("`--fit` fits the rule of a job: a task has one step");
    }
    if options.write.is_some() && is_job(options) {
        return wrong("`--write` writes what is known of a task's implementations; for a job use `--fit`");
    }
    Ok(())
}

/// The job: the file's, or one that calls the task.
fn subject(options: &EvalOptions) -> Result<Filled, Failure> {
    let source = |file: PathBuf| Source { file, library: options.library.clone(), format: Format::Text };
    if is_job(options) {
        let filled = filled(&source(PathBuf::from(&options.what)), Open::Written)?;
        show(&filled.cx, &filled.texts, Format::Text);
        return Ok(filled);
    }
    calling(&options.what, &options.library, &[])
}

/// A job of one call of a task; `modules` are added to the library.
fn calling(task: &str, folders: &[PathBuf], modules: &[(&str, String)]) -> Result<Filled, Failure> {
    let mut texts = library(folders)?;
    for (name, text) in modules {
        let file = texts.sources.add(format!("{name}.mkb"), text.as_str());
        texts.modules.push(((*name).into(), file));
        let profile = texts.sources.add(format!("{name}.csv"), judge::PROFILE);
        texts.profiles.insert(format!("{name}.csv").into(), profile);
    }
    let mut cx = Diagnostics::default();
    let library = check_tree(&texts, File::default(), &mut cx).library;
    if cx.has_errors() {
        show(&cx, &texts, Format::Text);
        return Err(Failure::Said);
    }
    let Some(found) = library.tasks.get(task) else {
        let near = nearest(task, library.tasks.keys().map(|k| k.as_str()));
        let hint = near.map_or("`mkbc library` lists them".to_string(), |n| format!("did you mean `{n}`?"));
        return Err(Failure::Usage(format!("there is no job file and no task `{task}`: {hint}")));
    };
    let params: Vec<String> = found.params.iter().map(|(name, ty)| format!("{name}: {ty}")).collect();
    let names: Vec<&str> = found.params.iter().map(|(name, _)| name.as_str()).collect();
    let module = if found.module.is_empty() { String::new() } else { format!("use {}\n\n", found.module) };
    let text = format!(
        "{module}job evaluate_{task}({}) -> {} {{\n  {task}({})\n}}\n",
        params.join(", "),
        found.result,
        names.join(", ")
    );
    let file = texts.sources.add(format!("{task}.mkb"), text);
    let checked = check_file(&texts, file, &mut cx);
    if cx.has_errors() {
        show(&cx, &texts, Format::Text);
        return Err(Failure::Message(format!("`{task}` cannot be evaluated by itself: write a job that calls it")));
    }
    Ok(Filled { texts, file, checked, lock: None, cx })
}

/// Prepares a job for this machine and hands it on.
fn with_prepared<T>(
    subject: &Filled,
    job: Option<&str>,
    sizes: &InputSizes,
    then: impl FnOnce(&Prepared, &Limits) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let machines = machines(HERE, &subject.checked.library)?;
    let limits = Limits { nodes: NODES, out_of_time: None, z3_ms: 1, certify: Certify::Off, judge: None };
    let target = Target { job, machines: &machines, measured: sizes, usable: &usable_here, limits, end: End::Typical };
    let Filled { texts, file, checked, lock, .. } = subject;
    let compiled = Compiled { texts, file: *file, checked, lock: lock.as_deref() };
    let mut cx = Diagnostics::default();
    let prepared = prepare(compiled, &target, &mut cx);
    if cx.has_errors() {
        show(&cx, texts, Format::Text);
        return Err(Failure::Said);
    }
    then(&prepared.map_err(Failure::Message)?, &limits)
}

/// Which column gives which input.
fn columns(
    options: &EvalOptions,
    metric: &Metric,
    set: &Dataset,
    params: &[(String, Type)],
) -> Result<Columns, Failure> {
    let mut inputs = BTreeMap::new();
    for given in &options.input {
        let Some((name, column)) = given.split_once('=') else {
            return Err(Failure::Usage(format!("`--input {given}`: write `--input INPUT=COLUMN`")));
        };
        if !params.iter().any(|(n, _)| n == name) {
            let names: Vec<&str> = params.iter().map(|(n, _)| n.as_str()).collect();
            return Err(Failure::Usage(format!(
                "`--input {given}`: there is no input `{name}`; there are {}",
                names.join(", ")
            )));
        }
        inputs.insert(name.to_string(), column.to_string());
    }
    for (name, ty) in params {
        if inputs.contains_key(name) {
        } else if set.columns.contains(name) {
            inputs.insert(name.clone(), name.clone());
        } else if !matches!(ty, Type::Optional(_)) {
            let has = set.columns.join(", ");
            return Err(Failure::Message(format!(
                "the dataset `{}` has no column for the input `{name}` ({ty}): it has {has}; use `--input {name}=COLUMN`",
                set.name
            )));
        }
    }
    let expected = match &options.expected {
        Some(column) => Some(column.clone()),
        None if set.columns.iter().any(|c| c == "expected") => Some("expected".to_string()),
        None if metric.is_asked() => None,
        None => {
            let has = set.columns.join(", ");
            return Err(Failure::Message(format!(
                "the dataset `{}` has no column `expected`: it has {has}; use `--expected COLUMN`",
                set.name
            )));
        }
    };
    Ok(Columns { inputs, expected })
}

fn judging(options: &EvalOptions, metric: &Metric) -> Result<Option<Judge>, Failure> {
    if *metric == Metric::Process {
        let timeout = Duration::from_secs_f64(options.scorer_timeout);
        return Ok(Some(Judge::Process { argv: options.scorer.clone(), timeout }));
    }
    let subject = match (&options.judge, &options.judge_model) {
        (Some(task), _) => calling(task, &options.library, &[])?,
        (None, Some(model)) => {
            let text = judge::module(model, &options.judge_url, &options.judge_key).map_err(Failure::Usage)?;
            calling(judge::JUDGE, &options.library, &[(judge::JUDGE, text)])?
        }
        (None, None) => return Ok(None),
    };
    let job = select(&subject.checked.program, None).map_err(Failure::Message)?;
    let params = job.params.iter().map(|p| job.local(*p));
    let wrong = params.clone().find(|l| !matches!(&l.ty, Type::Text) && !matches!(&l.ty, Type::Optional(_)));
    if let Some(local) = wrong {
        let ty = &local.ty;
        return Err(Failure::Usage(format!("a judge takes texts, and its `{}` is of type {ty}", local.name)));
    }
    if !params.clone().any(|l| l.name == "answer") {
        return Err(Failure::Usage("a judge takes the `answer`, and this task does not".into()));
    }
    // Its texts are as long as they are; the plan's figures are not looked at.
    let size = |name: &ecow::EcoString| (name.clone(), BTreeMap::from([("tokens".into(), Decimal::from(100))]));
    let sizes: InputSizes = params.map(|l| size(&l.name)).collect();
    let plan = with_prepared(&subject, None, &sizes, |prepared, limits| {
        configurations(prepared, Which::Best, &[], 1, "judge", limits)
    })?;
    let plan: Option<Plan> = plan.into_iter().next().map(|c| c.plan);
    Ok(plan.map(|plan| Judge::Model(Box::new(plan))))
}

/// Refuses to begin what this machine cannot run.
fn able(
    all: &[Configuration],
    judge: Option<&Judge>,
    env: &dyn Fn(&str) -> Option<String>,
    folders: &[PathBuf],
) -> Result<(), Failure> {
    let judge = judge.and_then(|j| if let Judge::Model(plan) = j { Some(plan.as_ref()) } else { None });
    let mut lines: Vec<String> = Vec::new();
    for plan in all.iter().map(|c| &c.plan).chain(judge) {
        lines.extend(
            preflight::missing(plan, env, folders)
                .iter()
                .map(|m| m.to_string())
                .filter(|m| !lines.contains(m))
                .collect::<Vec<_>>(),
        );
    }
    if lines.is_empty() {
        Ok(())
    } else {
        Err(format!("this machine cannot run the evaluation:\n  {}", lines.join("\n  ")).into())
    }
}

/// Measures what the options ask for. Returns which configurations the search left, where it was one.
async fn search(options: &EvalOptions, bench: &Bench<'_>, records: &mut Records) -> Result<Option<Halving>, Ended> {
    let (configurations, items) = (bench.configurations.len(), bench.items.len());
    if options.search == Search::Full {
        let pairs: Vec<_> = (0..items).flat_map(|i| (0..configurations).map(move |c| (c, i))).collect();
        return bench.measure(&pairs, records).await.map(|()| None);
    }
    let budget = options.budget.unwrap_or((configurations * items).div_ceil(4).max(3 * configurations));
    let mut halving = Halving::new(configurations, items, budget, options.seed).map_err(Ended::Failed)?;
    bench.bar.set_length(budget as u64);
    let (mut seen, against) = (Seen::new(), Against::from(options.against));
    while let Some(batch) = halving.next(&seen) {
        bench.bar.set_message(format!("{} configurations left", halving.alive().len()));
        bench.measure(&batch, records).await?;
        for pair in batch {
            let found = bench.known(records, pair);
            let worth = found.and_then(|o| Some(crate::eval::front::Worth { quality: o.score?, cost: against.of(o)? }));
            if let Some(worth) = worth {
                seen.insert(pair, worth);
            }
        }
    }
    Ok(Some(halving))
}
