//! `mkbc eval`

mod columns;
mod configurations;
mod judging;
mod options;
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
use crate::eval::dataset;
use crate::eval::halving::{Halving, Seen};
use crate::eval::judge::{self, Judge};
use crate::eval::measure::{Bench, Configuration, Ended, ready};
use crate::eval::metric::Metric;
use crate::eval::output::Against;
use crate::eval::record::Records;
use crate::run::cancel::Cancel;
use crate::run::servers::Servers;
use crate::run::{block_on, preflight, stop_on_signals, value};
use crate::solve::{Certify, Limits};
use crate::space::ends::End;
use crate::space::sizes::InputSizes;
use crate::syntax::ast::File;
use crate::types::Type;
use columns::columns;
use configurations::{Which, configurations};
use indicatif::{ProgressBar, ProgressStyle};
use judging::judging;
use options::consistent;
pub use options::{Axis, EvalOptions, Search};
use rust_decimal::Decimal;
use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Nodes that planning one configuration may take.
const NODES: u64 = 500_000;

/// Measures how good a task's implementations or a job's plans are.
pub fn eval(options: &EvalOptions) -> Result<(), Failure> {
    let metric = Metric::read(&options.metric).map_err(Failure::Usage)?;
    consistent(options, &metric)?;
    let set = dataset::open(&options.data, options.limit).map_err(Failure::Message)?;
    let mut subject = subject(options)?;
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
    let which = options.configurations.unwrap_or(if options.is_job() { Which::Best } else { Which::All });
    // What is measured anew need not be comparable before.
    Arc::make_mut(&mut subject.checked.library).demand.mixed = which != Which::Best;
    let configurations = with_prepared(&subject, options.job.as_deref(), &sizes, |prepared, limits| {
        configurations(prepared, which, &options.only, options.most, &options.metric, limits)
    })?;
    let out = options.out.clone().unwrap_or_else(|| {
        let what = Path::new(&options.what).file_stem().map_or("job".into(), |s| s.to_string_lossy());
        Path::new(".mkbc/eval").join(format!("{what}-{}", set.name))
    });
    std::fs::create_dir_all(&out).map_err(|e| format!("cannot make the folder `{}`: {e}", out.display()))?;
    let file = if options.is_job() { PathBuf::from(&options.what) } else { PathBuf::from(".").join("task") };
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

/// The job: the file's, or one that calls the task.
fn subject(options: &EvalOptions) -> Result<Filled, Failure> {
    let source = |file: PathBuf| Source { file, library: options.library.clone(), format: Format::Text };
    if options.is_job() {
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
