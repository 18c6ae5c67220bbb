//! Measured figures + a measured profile → the profile with these rows in place of earlier ones for the same setting.

use super::fit::{self, Range};
use super::power::Estimate;
use super::{Measured, Subject, named, plain};
use crate::library::Concurrency;
use crate::library::profile::table::COLUMNS;
use crate::space::Candidate;
use ecow::EcoString;

/// Where, when and how it was measured: the evidence of every row.
#[derive(Clone, Copy, Debug)]
pub struct Circumstances<'a> {
    /// The machine: processor and cores.
    pub machine: &'a str,
    /// The ISO date of the last run.
    pub date: &'a str,
    /// The command that measures again.
    pub command: &'a str,
    /// What it draws, where that could not be counted.
    pub power: Option<&'a Estimate>,
}

/// One row: date, task, knobs, the work that it is for, device and units; then figure, value, unit, low, high, evidence, source.
type Row = Vec<String>;

/// The CSV with the figures of a setting. `Err` where the earlier text is no profile with these knobs.
pub fn merge(
    earlier: &str,
    subject: Subject,
    setting: &Candidate,
    measured: &Measured,
    at: Circumstances,
) -> Result<String, String> {
    let knobs: Vec<&str> = subject.entry.knobs.iter().map(|(n, _)| n.as_str()).collect();
    // For how much work it is stands behind the knobs; one that is called like a knob has no column.
    let work: Vec<&(EcoString, (f64, f64))> =
        measured.work.iter().filter(|(name, _)| !knobs.contains(&name.as_str())).collect();
    let ranges = work.iter().map(|(name, _)| name.as_str());
    let header: Row = ["date", "task"]
        .into_iter()
        .chain(knobs.iter().copied())
        .chain(ranges)
        .chain(COLUMNS)
        .map(str::to_string)
        .collect();
    let place: Row = [subject.task.name.to_string()]
        .into_iter()
        .chain(setting.knobs.iter().map(|(_, v)| v.to_string()))
        .chain(
            work.iter()
                .map(|(_, (least, most))| if least == most { format!("{least}") } else { format!("{least}..{most}") }),
        )
        .chain([setting.device.to_string(), setting.units.to_string()])
        .collect();
    let is_range = |at: usize| (2 + knobs.len()..2 + knobs.len() + work.len()).contains(&at);
    let mut rows: Vec<Row> = Vec::new();
    let mut reader = csv::Reader::from_reader(earlier.as_bytes());
    if !earlier.trim().is_empty() {
        let found = reader.headers().map_err(|e| e.to_string())?.clone();
        let at = |name: &str| found.iter().position(|column| column == name);
        // A file of an earlier version has no ranges; what is measured again gets them.
        let whole = header.iter().enumerate().all(|(place, name)| is_range(place) || at(name).is_some());
        if !whole || !found.iter().all(|column| header.iter().any(|name| name == column)) {
            return Err(format!("its columns are not `{}`", header.join(",")));
        }
        for record in reader.records() {
            let record = record.map_err(|e| e.to_string())?;
            let cell = |name: &String| at(name).and_then(|at| record.get(at)).unwrap_or_default().to_string();
            let row: Row = header.iter().map(cell).collect();
            // The same setting, for whatever work it was measured before.
            let same = (1..=place.len()).all(|column| is_range(column) || row[column] == place[column - 1]);
            if !same {
                rows.push(row);
            }
        }
    }
    let row = |(figure, unit, range): (String, String, Range), evidence: &str, source: String| -> Row {
        let numbers = [plain(range.value), unit, plain(range.low), plain(range.high)];
        [at.date.to_string()]
            .into_iter()
            .chain(place.iter().cloned())
            .chain([figure])
            .chain(numbers)
            .chain([evidence.to_string(), source])
            .collect()
    };
    let batched = matches!(subject.entry.concurrency, Concurrency::Knob(_));
    rows.extend(figures(measured, batched).into_iter().map(|figure| row(figure, "measured", source(measured, at))));
    rows.extend(at.power.map(|power| {
        let source = format!("{}; {}", power.formula, source(measured, at));
        row(("power".to_string(), "W".to_string(), power.watts), "estimated", source)
    }));
    rows.sort_by(|a, b| a[1..].cmp(&b[1..]));
    let mut writer = csv::Writer::from_writer(Vec::new());
    let written = std::iter::once(&header).chain(&rows).try_for_each(|row| writer.write_record(row));
    written.map_err(|e| e.to_string())?;
    let bytes = writer.into_inner().map_err(|e| e.to_string())?;
    String::from_utf8(bytes).map_err(|e| e.to_string())
}

fn source(measured: &Measured, at: Circumstances) -> String {
    let runs: Vec<String> = measured.runs.iter().map(|(name, n)| format!("{n} of {name}")).collect();
    // What a machine had to do besides belongs to the evidence.
    let load = measured.load.map_or(String::new(), |l| format!(" at load {l:.1}"));
    format!("{}{load}; runs: {}; {}", at.machine, runs.join(", "), at.command)
}

/// `batched` says that a knob says how many calls are made at once: then calls a second are a figure of their own.
fn figures(measured: &Measured, batched: bool) -> Vec<(String, String, Range)> {
    let mut all = vec![("latency".to_string(), "s".to_string(), measured.fixed)];
    // What cannot be told from the rest has no row: nothing was measured of it.
    let told = || measured.per.iter().filter(|(_, range)| range.high > 0.0);
    for (dimension, range) in told() {
        all.push((format!("latency.per.{dimension}"), unit(dimension).to_string(), *range));
    }
    if let Some(factor) = measured.p95 {
        let times = |r: Range| Range { value: r.value * factor, low: r.value * factor, high: r.value * factor };
        all.push(("latency.p95".to_string(), "s".to_string(), times(measured.fixed)));
        for (dimension, range) in told() {
            all.push((format!("latency.p95.per.{dimension}"), unit(dimension).to_string(), times(*range)));
        }
    }
    let rates: Vec<f64> = measured.throughput.iter().map(|(_, calls)| *calls).collect();
    let rate = fit::ends(&rates).filter(|_| batched);
    all.extend(rate.map(|range| ("throughput".to_string(), "item/s".to_string(), range)));
    all.extend(measured.memory.map(|range| ("memory".to_string(), "GB".to_string(), range)));
    all.extend(measured.power.map(|range| ("power".to_string(), "W".to_string(), range)));
    all
}

/// The unit of a figure by work: seconds, tokens, or things.
fn unit(dimension: &str) -> &'static str {
    match dimension {
        "duration" => "s/s",
        "input" | "output" | "tokens" => "s/tok",
        _ => "s/item",
    }
}

/// By how much a sample may be off the line before it is said.
const OFF: f64 = 1.25;

/// A line for people: what a setting takes at each sample.
pub fn line(setting: &Candidate, measured: &Measured, power: Option<&Estimate>) -> String {
    let at: Vec<String> = measured
        .throughput
        .iter()
        .zip(&measured.runs)
        .map(|((name, calls), (_, runs))| format!("{name}: {} s ({runs} runs)", plain(1.0 / calls)))
        .collect();
    let memory = measured.memory.map_or(String::new(), |m| format!("; {} GB", plain(m.value)));
    let estimated = power.map_or(String::new(), |p| format!("; {} W, estimated", plain(p.watts.value)));
    let power = measured.power.map_or(estimated, |p| format!("; {} W", plain(p.value)));
    let (least, most) = measured.off;
    let off = if most > OFF || least < 1.0 / OFF {
        let by = plain(most.max(1.0 / least));
        format!(
            "; the time does not follow the work in a line: a sample is {by} times off it, and the intervals hold it"
        )
    } else {
        String::new()
    };
    format!("{}: {}{memory}{power}{off}", named(setting), at.join(", "))
}
