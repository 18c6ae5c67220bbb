//! An implementation and samples → figures measured on this machine, as rows of a profile.
//!
//! A call is made as a run would make it: through the runtime, as a plan of one step. What comes of each call is written down before the
//! next begins, so that a session that is killed goes on where it stopped.

pub mod call;
pub mod fit;
pub mod import;
pub mod power;
pub mod record;
pub mod repeat;
pub mod rows;

use crate::library::{Implementation, Task};
use crate::space::Candidate;
use crate::space::shape::{Missing, amount};
use ecow::EcoString;
use record::Run;
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use serde_json::Value;
use std::collections::BTreeMap;

/// Arguments that a task is tried with.
#[derive(Clone, Debug)]
pub struct Sample {
    /// What it is called in the record: the names of its files, say.
    pub name: String,
    /// The arguments, by parameter, media with their sizes.
    pub args: BTreeMap<String, Value>,
    /// The sizes of the arguments, by parameter and path.
    pub sizes: BTreeMap<EcoString, BTreeMap<EcoString, Decimal>>,
}

/// What is measured: an implementation that carries out a task.
#[derive(Clone, Copy)]
pub struct Subject<'a> {
    /// The model or tool.
    pub entry: &'a Implementation,
    /// The task.
    pub task: &'a Task,
}

/// The work of a call, by dimension.
pub type Work = Vec<(EcoString, f64)>;

/// The work of one call for a setting; `Err` names a size that the sample lacks.
pub fn work(subject: Subject, setting: &Candidate, sample: &Sample) -> Result<Work, String> {
    let Subject { entry, task } = subject;
    let knob = |name: &str| setting.knobs.iter().find(|(n, _)| n == name).and_then(|(_, v)| v.parse().ok());
    // An implementation's own work stands in place of the task's.
    let own = |dimension: &EcoString| entry.work.iter().any(|(d, _)| d == dimension);
    let all = entry.work.iter().chain(task.work.iter().filter(|(d, _)| !own(d)));
    all.map(|(dimension, expr)| {
        let amount = amount(expr, &sample.sizes, &knob).map_err(|missing| match missing {
            Missing::Size(param, path) => format!("the sample `{}` says nothing of `{param}.{path}`", sample.name),
            Missing::TooMany => format!("the work `{dimension}` cannot be computed"),
        })?;
        Ok((dimension.clone(), amount.to_f64().unwrap_or(0.0)))
    })
    .collect()
}

/// The settings that can be measured: every combination of the knobs that `wanted` allows, on hardware that is here.
pub fn settings(
    Subject { entry, task }: Subject,
    here: &BTreeMap<EcoString, u32>,
    gpu: &dyn Fn(&str) -> bool,
    wanted: &dyn Fn(&str, &str) -> bool,
) -> Vec<Candidate> {
    let mut knobs: Vec<Vec<(EcoString, EcoString)>> = vec![Vec::new()];
    for (name, values) in &entry.knobs {
        let values: Vec<&EcoString> = values.iter().filter(|v| wanted(name, v)).collect();
        knobs = knobs
            .into_iter()
            .flat_map(|set| values.iter().map(move |v| [set.clone(), vec![(name.clone(), (*v).clone())]].concat()))
            .collect();
    }
    let mut hardware: Vec<(EcoString, u32)> = Vec::new();
    for option in &entry.hardware {
        let devices = here.iter().filter(|(d, _)| **d == option.device || option.device == "gpu" && gpu(d));
        for (device, there) in devices {
            hardware.extend(option.units.iter().filter(|u| *u <= there).map(|u| (device.clone(), *u)));
        }
        if option.device == "api" {
            hardware.push(("api".into(), 0));
        }
    }
    hardware.sort();
    hardware.dedup();
    let candidate = |knobs: &Vec<(EcoString, EcoString)>, (device, units): &(EcoString, u32)| Candidate {
        implementation: entry.name.clone(),
        task: task.name.clone(),
        knobs: knobs.clone(),
        device: device.clone(),
        units: *units,
        class: 0,
    };
    knobs.iter().flat_map(|k| hardware.iter().map(move |h| candidate(k, h))).collect()
}

/// How a setting is named in records and messages: `search full, cpu * 1`.
pub fn named(setting: &Candidate) -> String {
    let knobs = setting.knobs.iter().map(|(n, v)| format!("{n} {v}"));
    let hardware = match setting.device.as_str() {
        "api" => "api".to_string(),
        device => format!("{device} * {}", setting.units),
    };
    knobs.chain([hardware]).collect::<Vec<_>>().join(", ")
}

/// The figures of a setting from all its runs; none before there is a run that counts.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    /// The fixed part of a call (of a round, where calls are made in batches), seconds.
    pub fixed: fit::Range,
    /// Seconds by unit of work.
    pub per: Vec<(EcoString, fit::Range)>,
    /// The least and the most work of a sample, by dimension.
    pub work: Vec<(EcoString, (f64, f64))>,
    /// What 95 % of runs stay within, as a multiple of the typical; with 20 runs or more.
    pub p95: Option<f64>,
    /// The least and the largest time of a sample as a multiple of what its work says.
    pub off: (f64, f64),
    /// Memory of one call, gigabytes.
    pub memory: Option<fit::Range>,
    /// Power while busy, watts; where a counter can be read.
    pub power: Option<fit::Range>,
    /// Cores that were busy with a call, where what a call spends is known.
    pub busy: Option<fit::Range>,
    /// Calls a second at each sample, with its name.
    pub throughput: Vec<(String, f64)>,
    /// Runs of each sample, with its name.
    pub runs: Vec<(String, usize)>,
    /// The median of the machine's load; what else ran makes figures worse.
    pub load: Option<f64>,
}

/// Samples of earlier sessions with a setting, beside those with these names, and the keys of their runs: the latest where one name was given
/// to several. `all` is [`call::key_of_all`]; their work has the dimensions of `like`.
pub fn earlier(runs: &[Run], all: &str, names: &[&str], like: &Work) -> Vec<(String, (String, Work))> {
    let alike = |run: &Run| run.work.iter().map(|(d, _)| d.as_str()).eq(like.iter().map(|(d, _)| d.as_str()));
    let mut found: Vec<(String, (String, Work))> = Vec::new();
    for run in runs.iter().rev().filter(|run| run.of == all && !names.contains(&run.sample.as_str())) {
        if alike(run) && !found.iter().any(|(_, (name, _))| *name == run.sample) {
            let work = run.work.iter().map(|(dimension, n)| (dimension.as_str().into(), *n)).collect();
            found.push((run.key.clone(), (run.sample.clone(), work)));
        }
    }
    found.reverse();
    found
}

/// Whether samples tell what a call takes by itself from what its work takes: one alone does not, where there is work.
pub fn tells_apart(samples: &[(String, Work)]) -> bool {
    samples.len() > 1 || samples.iter().all(|(_, work)| work.is_empty())
}

/// The work of a sample: of tokens, what the server says it read anew and wrote for each call of a round, where it says so in every run. What
/// it still has of an earlier run it does not read again.
fn counted(work: &Work, runs: &[&Run], batch: u32) -> Work {
    let tokens = |of: &dyn Fn(&Run) -> u64| {
        let all: Vec<f64> = runs.iter().map(|run| of(run) as f64 / f64::from(batch.max(1))).collect();
        fit::median(&all)
    };
    let reports = runs.iter().all(|run| run.tokens_in > 0 && run.tokens_out > 0);
    let amount = |dimension: &str, planned: f64| match dimension {
        "input" if reports => tokens(&|run| run.tokens_in.saturating_sub(run.tokens_cached)).unwrap_or(planned),
        "output" if reports => tokens(&|run| run.tokens_out).unwrap_or(planned),
        _ => planned,
    };
    work.iter().map(|(dimension, planned)| (dimension.clone(), amount(dimension, *planned))).collect()
}

/// Of a model that says when the first token of each answer came: reading is the time until then, writing the time of each token after it. So
/// both are known however alike the answers are in length.
fn read_and_written(
    dimensions: &[EcoString],
    points: &[fit::Point],
    samples: &[(String, Work)],
    runs: &[&Run],
    batch: u32,
) -> Option<fit::Fitted> {
    let [input, output] = ["input", "output"].map(|of| dimensions.iter().position(|d| d == of));
    let (input, output) = (input?, output?);
    if dimensions.len() != 2 {
        return None;
    }
    let firsts: Vec<fit::Point> = samples
        .iter()
        .map(|(name, work)| {
            let firsts: Option<Vec<f64>> = runs.iter().filter(|r| r.sample == *name).map(|r| r.ttft_s).collect();
            Some(fit::Point { work: vec![work[input].1], seconds: firsts? })
        })
        .filter(|point| point.as_ref().is_none_or(|p| !p.seconds.is_empty()))
        .collect::<Option<_>>()?;
    let reading = fit::fit(&firsts)?;
    let after = |run: &&Run| {
        let written = run.tokens_out as f64 / f64::from(batch.max(1)) - 1.0;
        (written > 0.0).then_some((run.seconds - run.ttft_s?) / written)
    };
    let writing = fit::ends(&runs.iter().filter_map(after).collect::<Vec<_>>())?;
    let mut per = reading.per.clone();
    per.insert(output, writing);
    Some(fit::Fitted::new(reading.fixed, per, points))
}

/// Takes a setting's runs together. `batch` is how many calls a run makes at once; `power` whether the energy was counted.
pub fn take_together(samples: &[(String, Work)], runs: &[Run], batch: u32) -> Option<Measured> {
    let runs: Vec<&Run> = runs.iter().filter(|r| !r.warm_up).collect();
    let of = |name: &str| runs.iter().filter(|r| r.sample == name).copied().collect::<Vec<_>>();
    let counted = |(name, work): &(String, Work)| (name.clone(), counted(work, &of(name), batch));
    let samples: Vec<(String, Work)> = samples.iter().map(counted).collect();
    let points: Vec<fit::Point> = samples
        .iter()
        .map(|(name, work)| fit::Point {
            work: work.iter().map(|(_, w)| *w).collect(),
            seconds: of(name).iter().map(|r| r.seconds).collect(),
        })
        .filter(|p| !p.seconds.is_empty())
        .collect();
    let dimensions = samples.first().map(|(_, work)| work.iter().map(|(d, _)| d.clone()).collect::<Vec<_>>())?;
    let fitted = read_and_written(&dimensions, &points, &samples, &runs, batch).or_else(|| fit::fit(&points))?;
    let memory: Vec<f64> = runs.iter().filter_map(|r| r.memory_gb).collect();
    let power: Vec<f64> = runs.iter().filter_map(|r| Some(r.joules? / r.seconds)).filter(|w| w.is_finite()).collect();
    let busy: Vec<f64> =
        runs.iter().filter_map(|r| Some(r.processor_s? / r.seconds)).filter(|n| n.is_finite()).collect();
    let throughput = samples.iter().filter_map(|(name, _)| {
        let seconds: Vec<f64> = of(name).iter().map(|r| r.seconds).collect();
        Some((name.clone(), f64::from(batch) / fit::median(&seconds)?))
    });
    let ends = |at: usize| {
        let amounts = points.iter().filter_map(|point| point.work.get(at).copied());
        amounts.fold((f64::INFINITY, 0.0f64), |(least, most), amount| (least.min(amount), most.max(amount)))
    };
    let work = dimensions.iter().enumerate().map(|(at, dimension)| (dimension.clone(), ends(at))).collect();
    Some(Measured {
        fixed: fitted.fixed,
        work,
        per: dimensions.into_iter().zip(fitted.per).collect(),
        p95: fitted.p95,
        off: fitted.off,
        // What is held for one call: the most that any run held, since a machine must have it.
        memory: fit::ends(&memory).map(|range| fit::Range { value: range.high, ..range }),
        power: fit::ends(&power),
        busy: fit::ends(&busy),
        throughput: throughput.collect(),
        runs: samples.iter().map(|(name, _)| (name.clone(), of(name).len())).collect(),
        load: fit::median(&runs.iter().filter_map(|r| r.load).collect::<Vec<_>>()),
    })
}

/// Four significant digits, without an exponent.
pub fn plain(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return "0".to_string();
    }
    let places = (3 - value.abs().log10().floor() as i32).max(0) as usize;
    let text = format!("{value:.places$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_string() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(sample: &str, seconds: f64, (read, cached, written): (u64, u64, u64)) -> Run {
        Run {
            key: String::new(),
            setting: String::new(),
            sample: sample.into(),
            warm_up: false,
            date: String::new(),
            seconds,
            memory_gb: None,
            joules: None,
            load: None,
            tokens_in: read,
            tokens_out: written,
            tokens_cached: cached,
            processor_s: None,
            ttft_s: None,
            of: String::new(),
            work: Vec::new(),
        }
    }

    #[test]
    fn reading_and_writing_are_told_apart_by_the_first_token() {
        let planned = |input: f64| vec![("input".into(), input), ("output".into(), 60.0)];
        let samples = [("a".to_string(), planned(10.0)), ("b".to_string(), planned(20.0))];
        // Two seconds, one for each token read and three for each written after the first, of answers that are equally long.
        let timed = |sample: &str, first: f64| Run {
            ttft_s: Some(first),
            ..run(sample, first + 27.0, (first as u64 - 2, 0, 10))
        };
        let runs = [timed("a", 12.0), timed("b", 22.0)];
        let measured = take_together(&samples, &runs, 1).expect("runs");
        let per: Vec<f64> = measured.per.iter().map(|(_, range)| range.value).collect();
        assert!((measured.fixed.value - 2.0).abs() < 1e-6, "{:?}", measured.fixed);
        assert!((per[0] - 1.0).abs() < 1e-6 && (per[1] - 3.0).abs() < 1e-6, "{per:?}");
        // Where one run does not say it, the sizes have to tell.
        let unsaid = [timed("a", 12.0), run("b", 49.0, (20, 0, 10))];
        assert_eq!(take_together(&samples, &unsaid, 1).expect("runs").per.len(), 2);
    }

    #[test]
    fn the_work_of_a_model_is_what_it_read_anew_and_wrote() {
        let planned = |input: f64| vec![("input".into(), input), ("output".into(), 60.0)];
        let samples = [("a".to_string(), planned(10.0)), ("b".to_string(), planned(20.0))];
        // A second for each token read and ten for each written, of two calls at once; 5 of those read were there before.
        let runs = [run("a", 205.0, (20, 10, 40)), run("b", 425.0, (60, 10, 80))];
        let measured = take_together(&samples, &runs, 2).expect("runs");
        assert_eq!(measured.work, [("input".into(), (5.0, 25.0)), ("output".into(), (20.0, 40.0))]);
        let per: Vec<f64> = measured.per.iter().map(|(_, range)| range.value).collect();
        assert!((per[0] - 1.0).abs() < 1e-6 && (per[1] - 10.0).abs() < 1e-6, "{per:?}");
        // Where a run says nothing, what is planned stands.
        let silent = [runs[0].clone(), run("b", 425.0, (0, 0, 0))];
        let measured = take_together(&samples, &silent, 2).expect("runs");
        assert_eq!(measured.work, [("input".into(), (5.0, 20.0)), ("output".into(), (20.0, 60.0))]);
    }
}
