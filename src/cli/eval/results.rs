//! Results of an evaluation → the table or JSON that is printed, and the files that the library and jobs can use.

use super::{Axis, EvalOptions};
use crate::cli::load::{read, write};
use crate::cli::{Failure, note, print};
use crate::eval::dataset::Dataset;
use crate::eval::fit::{Observation, fit};
use crate::eval::grid;
use crate::eval::halving::Halving;
use crate::eval::measure::{Bench, Configuration, now};
use crate::eval::output::{self, Circumstances, QualityRow, Setting, Summary, summaries, table};
use crate::eval::record::{Outcome, Records};
use crate::library::Library;
use crate::run::devices::inventory;
use rust_decimal::prelude::ToPrimitive;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::Path;

/// A finished evaluation.
pub struct Done<'a> {
    pub options: &'a EvalOptions,
    pub bench: &'a Bench<'a>,
    pub records: &'a Records,
    pub set: &'a Dataset,
    pub out: &'a Path,
    pub library: &'a Library,
    pub measured: Option<Halving>,
}

/// Shows and writes what was found.
pub fn show(done: &Done) -> Result<(), Failure> {
    let Done { options, bench, records, .. } = done;
    let of = |c: usize| -> Vec<&Outcome> {
        let digest = &bench.configurations[c].digest;
        bench.items.iter().filter_map(|ready| records.get(digest, &ready.item.digest)).collect()
    };
    // Those that a search dropped were seen on fewer items: they are shown, and are no part of the front.
    let places: Vec<usize> = match &done.measured {
        None => (0..bench.configurations.len()).collect(),
        Some(search) => search.alive().to_vec(),
    };
    let results: Vec<(&Configuration, Vec<&Outcome>)> =
        places.iter().map(|c| (&bench.configurations[*c], of(*c))).collect();
    let mut all = summaries(&results, &bench.metric, options.against.into());
    let unscored: usize = all.iter().map(|s| s.unscored).sum();
    if all.iter().all(|s| s.items == 0) {
        let why = results.iter().flat_map(|(_, o)| o).find_map(|o| o.failed.clone()).unwrap_or_default();
        return Err(format!("no answer could be scored: {}", crate::run::fault::printable(&why)).into());
    }
    let circumstances = circumstances(done);
    if let Some(dir) = &options.write {
        quality_rows(done, &results, &circumstances, dir)?;
    }
    let fitted = match &options.fit {
        Some(path) => Some(rule(done, &results, &circumstances, path)?),
        None => None,
    };
    if let Some(search) = &done.measured {
        let others: Vec<usize> = (0..bench.configurations.len()).filter(|c| !places.contains(c)).collect();
        let dropped: Vec<_> = others.iter().map(|c| (&bench.configurations[*c], of(*c))).collect();
        let dropped = summaries(&dropped, &bench.metric, options.against.into());
        all.extend(dropped.into_iter().map(|s| Summary { on_front: false, ..s }));
        let grid = bench.configurations.len() * bench.items.len();
        if !options.json {
            note(&format!(
                "{} runs of the {grid} of the full grid; configurations on fewer items were dropped",
                search.spent()
            ));
        }
    }
    let summary = json!({
        "what": options.what, "dataset": done.set.name, "metric": options.metric, "items": bench.items.len(),
        "machine": circumstances.machine, "date": circumstances.date, "command": circumstances.command,
        "configurations": all, "rule": fitted,
    });
    let every = (0..bench.configurations.len()).flat_map(of);
    write(&done.out.join("results.csv"), &grid::write(every).map_err(Failure::Message)?)?;
    let text = serde_json::to_string_pretty(&summary).map_err(|e| e.to_string())?;
    write(&done.out.join("summary.json"), &format!("{text}\n"))?;
    if options.json {
        print(&format!("{text}\n"));
        return Ok(());
    }
    let axis = match options.against {
        Axis::Latency => "s",
        Axis::Cpu => "cpu s",
        Axis::Cost => "usd",
    };
    print(&format!(
        "{}\n* no other one has more quality for less ({axis}); failed items count as 0, unscored ones do not count\n",
        table(&all)
    ));
    if unscored > 0 {
        let why = results.iter().flat_map(|(_, o)| o).find(|o| o.score.is_none()).and_then(|o| o.failed.clone());
        note(&format!(
            "{unscored} answers could not be scored: {}",
            crate::run::fault::printable(&why.unwrap_or_default())
        ));
    }
    let failed = results.iter().flat_map(|(_, o)| o).find(|o| o.score == Some(0.0) && o.failed.is_some());
    if let Some(why) = failed.and_then(|o| o.failed.clone()) {
        note(&format!("a run failed: {}", crate::run::fault::printable(&why)));
    }
    if let Some(fitted) = fitted {
        print(&fitted.text);
    }
    print(&format!("results are in {}\n", done.out.join("results.jsonl").display()));
    Ok(())
}

fn circumstances(done: &Done) -> Circumstances {
    let cpu = inventory().cpu;
    let machine = format!("{}, {} cores", cpu.model.as_deref().unwrap_or("unknown processor"), cpu.cores);
    let words = std::env::args().skip(1).map(|word| {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,%".contains(c);
        if !word.is_empty() && word.chars().all(plain) { word } else { format!("'{}'", word.replace('\'', "'\\''")) }
    });
    let command = format!("mkbc {}", words.collect::<Vec<_>>().join(" "));
    let on = format!("{} items of {} ({})", done.bench.items.len(), done.set.name, done.options.metric);
    Circumstances { machine, date: now()[..10].to_string(), on, command }
}

/// Writes `DIR/measured/IMPLEMENTATION.eval.csv` for each implementation that was measured.
fn quality_rows(
    done: &Done,
    results: &[(&Configuration, Vec<&Outcome>)],
    at: &Circumstances,
    dir: &Path,
) -> Result<(), Failure> {
    // Hardware changes no answer: runs on all of it count together.
    /// An implementation with its knobs.
    type Setting = (String, BTreeMap<String, String>);
    let mut scores: BTreeMap<Setting, (String, Vec<f64>)> = BTreeMap::new();
    for (what, outcomes) in results {
        let Some(step) = what.plan.steps.first() else { continue };
        let key = (step.implementation.clone(), step.knobs.clone());
        let of = scores.entry(key).or_insert_with(|| (step.task.clone(), Vec::new()));
        of.1.extend(outcomes.iter().filter_map(|o| o.score));
    }
    let mut rows: BTreeMap<String, Vec<QualityRow>> = BTreeMap::new();
    for ((implementation, knobs), (task, scores)) in scores {
        let Some(quality) = output::quality(&done.bench.metric, &scores) else { continue };
        let benchmark = done.options.benchmark.clone().unwrap_or_default();
        let (date, source) = (at.date.clone(), at.source(scores.len()));
        let reporter = format!("mkbc eval on {}", done.set.name);
        let row = QualityRow { task, benchmark, knobs, quality, reporter, date, source };
        rows.entry(implementation).or_default().push(row);
    }
    for (implementation, rows) in rows {
        into_profile(dir, &implementation, "eval", done.library, &rows)?;
    }
    Ok(())
}

/// Adds rows to `DIR/measured/IMPLEMENTATION.WORD.csv`.
pub fn into_profile(
    dir: &Path,
    implementation: &str,
    word: &str,
    library: &Library,
    rows: &[QualityRow],
) -> Result<(), Failure> {
    let folder = dir.join("measured");
    std::fs::create_dir_all(&folder).map_err(|e| format!("cannot make the folder `{}`: {e}", folder.display()))?;
    let path = folder.join(format!("{implementation}.{word}.csv"));
    let entry = library.implementations.get(implementation);
    let knobs: Vec<&str> = entry.map(|e| e.knobs.iter().map(|(n, _)| n.as_str()).collect()).unwrap_or_default();
    let earlier = if path.exists() { read(&path)? } else { String::new() };
    let text = output::profile(&earlier, &knobs, rows);
    let text = text.map_err(|why| format!("`{}`: {why}; move it away", path.display()))?;
    write(&path, &text)?;
    note(&format!("{} rows in {}", rows.len(), path.display()));
    Ok(())
}

/// A fitted rule, for people and programs.
#[derive(serde::Serialize)]
struct Fitted {
    formula: String,
    error: f64,
    others: Vec<(String, f64)>,
    #[serde(skip)]
    text: String,
}

/// Fits the rule and writes its table.
fn rule(
    done: &Done,
    results: &[(&Configuration, Vec<&Outcome>)],
    at: &Circumstances,
    path: &Path,
) -> Result<Fitted, Failure> {
    let mut steps: Vec<(String, BTreeMap<String, Setting>)> = Vec::new();
    let mut observations = Vec::new();
    for (what, outcomes) in results {
        let scores: Vec<f64> = outcomes.iter().filter_map(|o| o.score).collect();
        let Some(quality) = output::quality(&done.bench.metric, &scores) else { continue };
        let mut seen = Vec::new();
        for (i, step) in what.plan.steps.iter().enumerate() {
            let setting = Setting { implementation: step.implementation.clone(), knobs: step.knobs.clone() };
            let name = format!("{} {:?}", setting.implementation, setting.knobs);
            if steps.len() <= i {
                steps.push((step.name.clone(), BTreeMap::new()));
            }
            steps[i].1.insert(name.clone(), setting);
            seen.push((step.predicted.quality.to_f64().unwrap_or(0.0), name));
        }
        observations.push(Observation { steps: seen, measured: quality.value, items: scores.len() });
    }
    let judged = fit(&observations).map_err(Failure::Message)?;
    let runs: usize = observations.iter().map(|o| o.items).sum();
    let source = format!(
        "{}; rule: {}; cross-validated error {:.1} points",
        at.source(runs),
        judged[0].fit.kind.formula(),
        judged[0].error * 100.0
    );
    write(path, &output::rule(&judged[0], &steps, &source).map_err(Failure::Message)?)?;
    let lines = judged.iter().map(|j| format!("  {:5.1} points  {}\n", j.error * 100.0, j.fit.kind.formula()));
    let text = format!(
        "\nthe job's quality of its steps', by the error for configurations that the fit has not seen ({} configurations, {runs} runs):\n{}written to {}: `quality from \"{}\"`\n",
        observations.len(),
        lines.collect::<String>(),
        path.display(),
        path.file_name().map_or("eval.csv".into(), |n| n.to_string_lossy()),
    );
    let others = judged[1..].iter().map(|j| (j.fit.kind.formula().to_string(), j.error)).collect();
    Ok(Fitted { formula: judged[0].fit.kind.formula().to_string(), error: judged[0].error, others, text })
}
