//! `mkbc feedback`

use super::eval::results::into_profile;
use super::load::{library, read};
use super::plan::read_plan;
use super::{Failure, note, print};
use crate::compile::check_tree;
use crate::diag::Diagnostics;
use crate::digest::digest;
use crate::eval::feedback::{self, Carried, Folded, Verdict, fold};
use crate::eval::measure::now;
use crate::eval::output::QualityRow;
use crate::library::Library;
use crate::library::profile::Setting;
use crate::plan::verify::verify;
use crate::syntax::ast::File;
use crate::units::counted;
use clap::Args;
use rust_decimal::prelude::ToPrimitive;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Where runs are kept.
const RUNS: &str = ".mkbc/runs";
/// The file of verdicts, beside the runs.
const VERDICTS: &str = "feedback.jsonl";
/// Characters of a note.
const MOST_NOTE: usize = 2_000;

#[derive(Args)]
pub struct FeedbackOptions {
    /// The run: its number in .mkbc/runs, or its folder
    #[arg(required_unless_present = "fold", requires = "verdict")]
    pub run: Option<String>,
    /// 👍, 👎, good, bad, a score from 0 to 1, or a percentage
    #[arg(allow_hyphen_values = true)]
    pub verdict: Option<String>,
    /// Why
    #[arg(long, value_name = "TEXT")]
    pub note: Option<String>,
    /// How much this verdict counts
    #[arg(long, default_value_t = 1.0, value_name = "N")]
    pub weight: f64,
    /// Fold all verdicts into qualities, and write them to DIR/measured, for `--library DIR`
    #[arg(long, value_name = "DIR")]
    pub fold: Option<PathBuf>,
    /// Where the runs are, with --fold
    #[arg(long, value_name = "DIR", default_value = RUNS, requires = "fold")]
    pub runs: PathBuf,
    /// Days after which a verdict counts half, with --fold
    #[arg(long, default_value_t = 30.0, value_name = "DAYS", requires = "fold")]
    pub half_life: f64,
    /// Which benchmark the rows are for; rows without one count whenever their task is planned
    #[arg(long, value_name = "NAME", requires = "fold")]
    pub benchmark: Option<String>,
    /// A folder of .mkb files and profiles/*.csv that the runs were planned with (repeatable)
    #[arg(long, value_name = "DIR")]
    pub library: Vec<PathBuf>,
}

/// Records a verdict, folds verdicts, or both.
pub fn feedback(options: &FeedbackOptions) -> Result<(), Failure> {
    if let (Some(run), Some(verdict)) = (&options.run, &options.verdict) {
        record(options, run, verdict)?;
    }
    options.fold.as_deref().map_or(Ok(()), |dir| folded(options, dir))
}

fn record(options: &FeedbackOptions, run: &str, said: &str) -> Result<(), Failure> {
    let score = feedback::score(said).map_err(Failure::Usage)?;
    if !(options.weight > 0.0 && options.weight <= 1000.0) {
        return Err(Failure::Usage("`--weight` takes a number above 0, at most 1000".into()));
    }
    if options.note.as_ref().is_some_and(|note| note.chars().count() > MOST_NOTE) {
        return Err(Failure::Usage(format!("`--note` takes at most {MOST_NOTE} characters")));
    }
    let folder = find(run)?;
    let verdict = judged(&folder, score, options)?;
    let file = folder.parent().unwrap_or(Path::new(".")).join(VERDICTS);
    // What stands there already must be in order: a verdict behind a broken line would be lost with it.
    let earlier = verdicts(&file)?;
    let same = |v: &&Verdict| v.run == verdict.run;
    if let Some(before) = earlier.iter().find(same).filter(|v| v.plan != verdict.plan || v.report != verdict.report) {
        return Err(format!(
            "`{}` is not the run that a verdict of {} was about: its plan or report has changed since",
            folder.display(),
            before.at
        )
        .into());
    }
    let line = serde_json::to_string(&verdict).map_err(|e| e.to_string())?;
    let written = OpenOptions::new().append(true).create(true).open(&file);
    let written = written.and_then(|mut f| f.write_all(format!("{line}\n").as_bytes()).and_then(|()| f.sync_all()));
    written.map_err(|e| format!("cannot write `{}`: {e}", file.display()))?;
    let count = earlier.iter().filter(same).count() + 1;
    print(&format!(
        "run {} of `{}`: {score}; {} on it in {}\n",
        verdict.run,
        verdict.job,
        counted(count, "verdict"),
        file.display()
    ));
    Ok(())
}

/// The folder of a run.
fn find(run: &str) -> Result<PathBuf, Failure> {
    let number = run.chars().all(|c| c.is_ascii_digit()) && !run.is_empty();
    let folder = if number && !Path::new(run).is_dir() { Path::new(RUNS).join(run) } else { PathBuf::from(run) };
    if !folder.is_dir() {
        return Err(format!("there is no run `{run}`: no folder `{}`", folder.display()).into());
    }
    folder.canonicalize().map_err(|e| format!("cannot find `{}`: {e}", folder.display()).into())
}

/// The verdict on the run in a folder, whose plan and report must hold together.
fn judged(folder: &Path, score: f64, options: &FeedbackOptions) -> Result<Verdict, Failure> {
    let shown = folder.display();
    let no_run = |what: &str| Failure::Message(format!("`{shown}` is no run: {what}"));
    let (plan_file, report_file) = (folder.join("plan.json"), folder.join("report.json"));
    for file in [&plan_file, &report_file] {
        if !file.is_file() {
            let name = file.file_name().map_or("a file".into(), |n| n.to_string_lossy());
            return Err(no_run(&format!("it has no `{name}`; give the folder that `mkbc run` names")));
        }
    }
    let plan = read_plan(&plan_file)?;
    let wrong = verify(&plan);
    if let Some(first) = wrong.first() {
        return Err(no_run(&format!("its plan does not hold, so that it was changed after the run: {first}")));
    }
    let text = read(&report_file)?;
    let report: Value = serde_json::from_str(&text).map_err(|e| no_run(&format!("its report cannot be read: {e}")))?;
    if report.get("job").and_then(Value::as_str) != Some(plan.job.as_str()) {
        return Err(no_run(&format!("its report is not of `{}`, which its plan is for", plan.job)));
    }
    if report.get("result").and_then(|r| r.get("ok")).is_none() {
        return Err(no_run("it has no answer that a verdict could be about"));
    }
    let steps = report.get("steps").and_then(Value::as_array).map_or(&[][..], |s| s.as_slice());
    let ran = |name: &str, implementation: &str| {
        let of = |s: &Value, key: &str| s.get(key).and_then(Value::as_str).map(str::to_string);
        steps.iter().any(|s| {
            of(s, "name").as_deref() == Some(name) && of(s, "implementation").as_deref() == Some(implementation)
        })
    };
    if steps.iter().any(|s| {
        let (name, by) = (s.get("name").and_then(Value::as_str), s.get("implementation").and_then(Value::as_str));
        !plan.steps.iter().any(|p| Some(p.name.as_str()) == name && Some(p.implementation.as_str()) == by)
    }) {
        return Err(no_run("its report speaks of steps that its plan does not have"));
    }
    // A branch that was not taken had no hand in the answer.
    let carried = plan.steps.iter().filter(|s| ran(&s.name, &s.implementation)).map(|s| Carried {
        task: s.task.clone(),
        implementation: s.implementation.clone(),
        knobs: s.knobs.clone(),
        quality: s.predicted.quality.to_f64().unwrap_or(1.0),
    });
    Ok(Verdict {
        run: folder.file_name().map_or(String::new(), |n| n.to_string_lossy().into_owned()),
        plan: digest([read(&plan_file)?.as_str()]),
        report: digest([text.as_str()]),
        job: plan.job.clone(),
        at: now(),
        score,
        weight: options.weight,
        note: options.note.clone(),
        steps: carried.collect(),
    })
}

fn verdicts(file: &Path) -> Result<Vec<Verdict>, Failure> {
    if !file.exists() {
        return Ok(Vec::new());
    }
    let text = read(file)?;
    feedback::read(&text).map_err(|why| format!("`{}`, {why}; correct or remove the line", file.display()).into())
}

/// Turns all verdicts into quality rows.
fn folded(options: &FeedbackOptions, dir: &Path) -> Result<(), Failure> {
    if !(options.half_life > 0.0 && options.half_life <= 100_000.0) {
        return Err(Failure::Usage("`--half-life` takes days, more than 0".into()));
    }
    let file = options.runs.join(VERDICTS);
    let all = verdicts(&file)?;
    if all.is_empty() {
        return Err(
            format!("there are no verdicts in `{}`: give one with `mkbc feedback RUN 👍`", file.display()).into()
        );
    }
    let (mut known, mut changed): (Vec<Verdict>, Vec<&Verdict>) = (Vec::new(), Vec::new());
    for verdict in &all {
        let folder = options.runs.join(&verdict.run);
        let now = |name: &str| std::fs::read_to_string(folder.join(name)).ok().map(|text| digest([text.as_str()]));
        // A run that was cleared away keeps its verdict; one that was changed does not.
        let same = |name: &str, then: &str| now(name).is_none_or(|digest| digest == then);
        let fine = same("plan.json", &verdict.plan) && same("report.json", &verdict.report);
        if fine { known.push(verdict.clone()) } else { changed.push(verdict) }
    }
    if let Some(first) = changed.first() {
        return Err(format!(
            "{} of runs whose plan or report has changed since, run {} first: to be removed from `{}`",
            counted(changed.len(), "verdict"),
            first.run,
            file.display()
        )
        .into());
    }
    let texts = library(&options.library)?;
    let library = check_tree(&texts, File::default(), &mut Diagnostics::default()).library;
    let at = now();
    let mut rows: BTreeMap<String, Vec<QualityRow>> = BTreeMap::new();
    for found in fold(&known, &at, options.half_life) {
        if !library.implementations.contains_key(found.implementation.as_str()) {
            note(&format!(
                "`{}` is no model or tool of the library here: give its folder with `--library`",
                found.implementation
            ));
            continue;
        }
        rows.entry(found.implementation.clone()).or_default().push(row(found, &library, &at, options));
    }
    for (implementation, rows) in rows {
        for row in &rows {
            let q = row.quality;
            let knobs: Vec<String> = row.knobs.iter().map(|(n, v)| format!(" {n}={v}")).collect();
            let percent = [q.value, q.low, q.high].map(|n| n * 100.0);
            let [value, low, high] = percent;
            print(&format!("{}: {implementation}{}: {value:.1} % ({low:.1} to {high:.1})\n", row.task, knobs.concat()));
        }
        into_profile(dir, &implementation, "feedback", &library, &rows)?;
    }
    Ok(())
}

/// What verdicts came to. They divide what was expected of a step, and so stand on the scale of whoever judged it before.
fn row(found: Folded, library: &Library, at: &str, options: &FeedbackOptions) -> QualityRow {
    let reporter = scale(&found, library);
    let Folded { task, implementation: _, knobs, quality, verdicts, worth } = found;
    let date = at[..10].to_string();
    let days = options.half_life;
    let source = format!(
        "users' verdicts in {}; {date}; {verdicts} verdicts, worth {worth:.1} of today at a half-life of {days} days; mkbc feedback --fold",
        options.runs.display()
    );
    let benchmark = options.benchmark.clone().unwrap_or_default();
    QualityRow { task, benchmark, knobs, quality, reporter, date, source }
}

/// By whom the quality is that a plan counts with; empty where nobody is named.
fn scale(found: &Folded, library: &Library) -> String {
    let Some(entry) = library.implementations.get(found.implementation.as_str()) else { return String::new() };
    let knobs: Vec<_> = found.knobs.iter().map(|(name, value)| (name.into(), value.into())).collect();
    let judged = |device: &str, units: u32| {
        let setting = Setting { task: &found.task, knobs: &knobs, device, units, work: &[], by: None };
        entry.profile.figure("quality", &setting)?.reporter.as_ref().map(|by| by.to_string())
    };
    let mut devices = entry.hardware.iter().flat_map(|h| h.units.iter().map(|units| (h.device.as_str(), *units)));
    devices.find_map(|(device, units)| judged(device, units)).unwrap_or_default()
}
