//! Results → a summary of each configuration; summaries → a table, a profile's quality rows, a table of quality.

use super::fit::{Fit, Judged, Kind};
use super::front::{Worth, front};
use super::interval::{Estimate, average, mean, resampled, wilson};
use super::measure::Configuration;
use super::metric::Metric;
use super::record::Outcome;
use crate::library::end_to_end;
use crate::library::profile::table::COLUMNS;
use comfy_table::presets::ASCII_MARKDOWN;
use comfy_table::{Cell, CellAlignment, Table};
use serde::Serialize;
use std::collections::BTreeMap;

/// The seed of every bootstrap: the same results have the same interval.
const SEED: u64 = 20_260_923;

/// What a configuration is worth.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// The configuration.
    pub label: String,
    /// Items with a score.
    pub items: usize,
    /// Items whose run failed; they count as 0.
    pub failed: usize,
    /// Items whose answer could not be scored; they do not count.
    pub unscored: usize,
    /// The mean score.
    pub quality: Option<Estimate>,
    /// Wall time of an item, seconds, of runs that did not fail.
    pub latency_s: Option<Estimate>,
    /// Processor time of an item, seconds.
    pub cpu_s: Option<f64>,
    /// Dollars of an item.
    pub cost_usd: Option<f64>,
    /// Watt-hours of an item.
    pub energy_wh: Option<f64>,
    /// Whether no other measured configuration beats it.
    pub on_front: bool,
}

/// What the front is against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Against {
    /// Wall time.
    Latency,
    /// Processor time.
    Cpu,
    /// Dollars.
    Cost,
}

impl Against {
    /// The figure of a result; none where it is not known.
    pub fn of(self, outcome: &Outcome) -> Option<f64> {
        match self {
            Against::Latency => Some(outcome.wall_s),
            Against::Cpu => outcome.cpu_s,
            Against::Cost => outcome.cost_usd,
        }
    }
}

/// The score that counts, with the metric's interval.
pub fn quality(metric: &Metric, scores: &[f64]) -> Option<Estimate> {
    match scores {
        [] => None,
        _ if metric.is_share() => Some(wilson(average(scores), scores.len() as f64)),
        _ => Some(mean(scores, SEED)),
    }
}

/// Summaries in the order of the configurations; those without results say so.
pub fn summaries(results: &[(&Configuration, Vec<&Outcome>)], metric: &Metric, against: Against) -> Vec<Summary> {
    let mut all: Vec<Summary> = results.iter().map(|(what, outcomes)| summary(what, outcomes, metric)).collect();
    let worth = |(place, (_, outcomes)): (usize, &(&Configuration, Vec<&Outcome>))| {
        let costs: Option<Vec<f64>> = outcomes.iter().map(|o| against.of(o)).collect();
        Some((place, Worth { quality: all[place].quality?.value, cost: average(&costs?) }))
    };
    let (places, worths): (Vec<usize>, Vec<Worth>) = results.iter().enumerate().filter_map(worth).unzip();
    for at in front(&worths) {
        all[places[at]].on_front = true;
    }
    all
}

fn summary(what: &Configuration, outcomes: &[&Outcome], metric: &Metric) -> Summary {
    let scores: Vec<f64> = outcomes.iter().filter_map(|o| o.score).collect();
    let ran: Vec<&&Outcome> = outcomes.iter().filter(|o| o.failed.is_none()).collect();
    let all = |of: fn(&Outcome) -> Option<f64>| {
        let values: Option<Vec<f64>> = ran.iter().map(|o| of(o)).collect();
        values.filter(|v| !v.is_empty()).map(|v| average(&v))
    };
    let walls: Vec<f64> = ran.iter().map(|o| o.wall_s).collect();
    Summary {
        label: what.label.clone(),
        items: scores.len(),
        failed: outcomes.iter().filter(|o| o.score == Some(0.0) && o.failed.is_some()).count(),
        unscored: outcomes.iter().filter(|o| o.score.is_none()).count(),
        quality: quality(metric, &scores),
        latency_s: (!walls.is_empty()).then(|| resampled(&walls, SEED)),
        cpu_s: all(|o| o.cpu_s),
        cost_usd: all(|o| o.cost_usd),
        energy_wh: all(|o| o.energy_wh),
        on_front: false,
    }
}

/// The table for people.
pub fn table(summaries: &[Summary]) -> String {
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN);
    table.set_header(["", "configuration", "items", "failed", "quality %", "95 %", "s", "cpu s", "usd"]);
    let right = |text: String| Cell::new(text).set_alignment(CellAlignment::Right);
    let percent = |share: f64| format!("{:.1}", share * 100.0);
    for s in summaries {
        let q = s.quality;
        table.add_row([
            Cell::new(if s.on_front { "*" } else { "" }),
            Cell::new(crate::run::fault::printable(&s.label)),
            right(s.items.to_string()),
            right(if s.unscored > 0 {
                format!("{} (+{} unscored)", s.failed, s.unscored)
            } else {
                s.failed.to_string()
            }),
            right(q.map_or("-".into(), |q| percent(q.value))),
            right(q.map_or("-".into(), |q| format!("{} to {}", percent(q.low), percent(q.high)))),
            right(s.latency_s.map_or("-".into(), |l| format!("{:.3}", l.value))),
            right(s.cpu_s.map_or("-".into(), |c| format!("{c:.3}"))),
            right(s.cost_usd.map_or("-".into(), |c| format!("{c:.2e}"))),
        ]);
    }
    table.trim_fmt()
}

/// Where, when and how something was measured.
#[derive(Clone, Debug)]
pub struct Circumstances {
    /// The machine.
    pub machine: String,
    /// The ISO date.
    pub date: String,
    /// What was measured on: `24 items of pages (cer)`.
    pub on: String,
    /// The command that measures again.
    pub command: String,
}

impl Circumstances {
    /// The evidence of a row that rests on so many runs.
    pub fn source(&self, runs: usize) -> String {
        format!("{}; {}; {runs} runs; {}; {}", self.machine, self.date, self.on, self.command)
    }
}

/// A quality that belongs into an implementation's profile.
pub struct QualityRow {
    /// The task that it was measured for.
    pub task: String,
    /// The benchmark that it counts for; empty for the task's own, whatever that is.
    pub benchmark: String,
    /// The knobs.
    pub knobs: BTreeMap<String, String>,
    /// The quality.
    pub quality: Estimate,
    /// Who judged.
    pub reporter: String,
    /// The ISO date.
    pub date: String,
    /// Where it comes from.
    pub source: String,
}

/// The profile with these rows in place of earlier ones for the same task, benchmark and knobs. `Err` where the earlier text is no
/// such profile.
pub fn profile(earlier: &str, knobs: &[&str], rows: &[QualityRow]) -> Result<String, String> {
    let head =
        ["task", "benchmark"].into_iter().chain(knobs.iter().copied()).chain(["reporter", "date"]).chain(COLUMNS);
    let header: Vec<String> = head.map(str::to_string).collect();
    let key = knobs.len() + 2;
    let mut kept: BTreeMap<Vec<String>, Vec<String>> = BTreeMap::new();
    let mut reader = csv::Reader::from_reader(earlier.as_bytes());
    if !earlier.trim().is_empty() {
        if reader.headers().map_err(|e| e.to_string())?.iter().ne(header.iter().map(String::as_str)) {
            return Err(format!("its columns are not `{}`", header.join(",")));
        }
        for record in reader.records() {
            let row: Vec<String> = record.map_err(|e| e.to_string())?.iter().map(str::to_string).collect();
            kept.insert(row[..key].to_vec(), row);
        }
    }
    for row in rows {
        let cells = [row.task.clone(), row.benchmark.clone()];
        let settings = knobs.iter().map(|k| row.knobs.get(*k).cloned().unwrap_or_default());
        let place: Vec<String> = cells.into_iter().chain(settings).collect();
        let percent = |share: f64| format!("{:.2}", share * 100.0);
        let Estimate { value, low, high } = row.quality;
        let figure = ["".into(), "".into(), "quality".into(), percent(value), "%".into(), percent(low), percent(high)];
        let rest = [row.reporter.clone(), row.date.clone()]
            .into_iter()
            .chain(figure)
            .chain(["measured".to_string(), row.source.clone()]);
        kept.insert(place.clone(), place.into_iter().chain(rest).collect());
    }
    write(&header, kept.into_values())
}

/// The rule as the table that `quality from` reads.
pub fn rule(judged: &Judged, steps: &[(String, BTreeMap<String, Setting>)], source: &str) -> Result<String, String> {
    let fit = &judged.fit;
    // The end that nearly all left-out configurations are better than: the interval speaks of what the rule predicts.
    let mut off: Vec<f64> = judged.off.iter().map(|d| d.max(0.0)).collect();
    off.sort_by(f64::total_cmp);
    let worst = off[((off.len() as f64 * 0.95).ceil() as usize).clamp(1, off.len()) - 1];
    let low = (fit.constant - worst / typical(judged)).max(0.0);
    let number = |n: f64| format!("{n:.9}").trim_end_matches('0').trim_end_matches('.').to_string();
    let down = |n: f64| number((n * 1e9).floor() / 1e9);
    let row = |cells: [&str; 4], value: f64, low: f64| {
        let numbers = [down(value), down(low.min(value)), down(value)];
        let all = cells.map(str::to_string).into_iter().chain(numbers).chain(["measured".into(), source.to_string()]);
        all.collect::<Vec<String>>()
    };
    let form = if fit.kind == Kind::Min { "min" } else { "product" };
    let mut rows = vec![row([form, "", "", ""], fit.constant, low)];
    for (i, (step, settings)) in steps.iter().enumerate() {
        match fit.effects.get(i) {
            None => rows.push(row(["weight", step, "", ""], fit.weights.get(i).copied().unwrap_or(1.0), f64::INFINITY)),
            Some(effects) => rows.extend(effects.iter().filter_map(|(name, effect)| {
                let setting = settings.get(name)?;
                let knobs: Vec<String> = setting.knobs.iter().map(|(n, v)| format!("{n}={v}")).collect();
                Some(row(["effect", step, &setting.implementation, &knobs.join(";")], *effect, f64::INFINITY))
            })),
        }
    }
    rows.push(row(["error", "", "", ""], judged.error.min(1.0), f64::INFINITY));
    write(&end_to_end::COLUMNS.map(str::to_string), rows.into_iter())
}

/// A typical predicted quality, per unit of the constant.
fn typical(judged: &Judged) -> f64 {
    let Fit { constant, .. } = judged.fit;
    if constant > 0.0 { (judged.typical / constant).max(1e-6) } else { 1.0 }
}

/// What carries a step out.
#[derive(Clone, Debug, PartialEq)]
pub struct Setting {
    /// The implementation.
    pub implementation: String,
    /// Its knobs.
    pub knobs: BTreeMap<String, String>,
}

fn write(header: &[String], rows: impl Iterator<Item = Vec<String>>) -> Result<String, String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(header).map_err(|e| e.to_string())?;
    for row in rows {
        writer.write_record(&row).map_err(|e| e.to_string())?;
    }
    let bytes = writer.into_inner().map_err(|e| e.to_string())?;
    String::from_utf8(bytes).map_err(|e| e.to_string())
}
