//! Configurations × items → results, by really running them: bounded concurrency, every failure recorded, nothing run twice.

use super::dataset::{Dataset, Item};
use super::judge::{self, Judge};
use super::metric::{Metric, score};
use super::record::{Outcome, Records};
use crate::digest::digest;
use crate::plan::model::Plan;
use crate::run::cancel::Cancel;
use crate::run::devices::cpu::children_seconds;
use crate::run::fault::{FaultKind, RunError};
use crate::run::input::{self, Cells};
use crate::run::observer::Silent;
use crate::run::probe::{self, Env};
use crate::run::servers::Servers;
use crate::run::{RunContext, RunReport, run};
use crate::types::Type;
use futures_util::stream::{FuturesUnordered, StreamExt};
use indicatif::ProgressBar;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Something that is evaluated.
#[derive(Clone, Debug)]
pub struct Configuration {
    /// For people: `tesseract_pages dpi=100 psm=6 on cpu * 1`, one part a step.
    pub label: String,
    /// What it is recognised by when an evaluation goes on.
    pub digest: String,
    /// What is run.
    pub plan: Plan,
}

impl Configuration {
    /// A plan as a configuration; `metric` says how its answers are scored.
    pub fn of(plan: Plan, metric: &str) -> Configuration {
        let part = |s: &crate::plan::model::PlanStep| {
            let knobs = s.knobs.iter().map(|(name, value)| format!("{name}={value}"));
            let units = if s.hardware.device == "api" { String::new() } else { format!(" * {}", s.hardware.units) };
            let words =
                [s.implementation.clone()].into_iter().chain(knobs).chain([format!("on {}{units}", s.hardware.device)]);
            words.collect::<Vec<_>>().join(" ")
        };
        let label = plan.steps.iter().map(part).collect::<Vec<_>>().join("; ");
        // What changes an answer or its time; not what the compiler happened to know of the sizes.
        let steps =
            plan.steps.iter().map(|s| json!([s.task, s.implementation, s.knobs, s.hardware, s.engine, s.conditions]));
        let what = json!([plan.job, plan.body, steps.collect::<Vec<_>>(), metric]).to_string();
        Configuration { label, digest: digest([what.as_str()])[..16].to_string(), plan }
    }
}

/// An item, ready to be run.
#[derive(Clone, Debug)]
pub struct Ready {
    /// The item.
    pub item: Item,
    /// The job's inputs.
    pub inputs: BTreeMap<String, Value>,
    /// What is expected.
    pub expected: Value,
}

/// Which column gives which input, and what is expected.
pub struct Columns {
    /// Input to column.
    pub inputs: BTreeMap<String, String>,
    /// The column of what is expected; none where a judge or program needs no such thing.
    pub expected: Option<String>,
}

/// Reads the inputs of every item; media are measured. The error names the item.
pub async fn ready(
    set: &Dataset,
    params: &[(String, Type)],
    columns: &Columns,
    env: Env<'_>,
) -> Result<Vec<Ready>, String> {
    for column in columns.inputs.values().chain(&columns.expected) {
        if !set.columns.contains(column) {
            let near = crate::diag::nearest(column, set.columns.iter().map(String::as_str));
            let hint =
                near.map_or_else(|| format!("it has {}", set.columns.join(", ")), |n| format!("did you mean `{n}`?"));
            return Err(format!("the dataset `{}` has no column `{column}`: {hint}", set.name));
        }
    }
    let mut all = Vec::with_capacity(set.items.len());
    for item in &set.items {
        let mut inputs = BTreeMap::new();
        let about = |column: &str, why: String| format!("item `{}`, column `{column}`: {why}", item.id);
        for (name, ty) in params {
            let Some(column) = columns.inputs.get(name) else { continue };
            let value = match item.cells.get(column) {
                None if matches!(ty, Type::Optional(_)) => continue,
                None => return Err(about(column, format!("there is no value, and the input `{name}` needs one"))),
                Some(cell) => input::admit(cell, ty, Cells { folder: &set.folder, plain: set.plain }, "$"),
            };
            let mut value = value.map_err(|fault| about(column, fault.message))?;
            probe::measure(&mut value, ty, env).await.map_err(|fault| about(column, fault.message))?;
            inputs.insert(name.clone(), value);
        }
        let expected = match &columns.expected {
            None => Value::Null,
            Some(column) => match item.cells.get(column) {
                Some(value) => value.clone(),
                None => return Err(about(column, "nothing is expected here: fill the cell or remove the item".into())),
            },
        };
        all.push(Ready { item: item.clone(), inputs, expected });
    }
    Ok(all)
}

/// What an evaluation runs with.
pub struct Bench<'a> {
    /// What is evaluated.
    pub configurations: Vec<Configuration>,
    /// On what.
    pub items: Vec<Ready>,
    /// How answers are scored.
    pub metric: Metric,
    /// Who scores, where the metric alone does not.
    pub judge: Option<Judge>,
    /// Where runs have their folders.
    pub folder: PathBuf,
    /// Whether those folders are kept.
    pub keep: bool,
    /// Whether items that failed are run again.
    pub again: bool,
    /// Items that are under way at once.
    pub concurrency: usize,
    /// The environment.
    pub env: Env<'a>,
    /// Where files of the library are looked for.
    pub folders: Vec<PathBuf>,
    /// Stops it.
    pub cancel: Cancel,
    /// Shows how far it is.
    pub bar: ProgressBar,
    /// Model servers, which are kept between runs.
    pub servers: Servers,
}

/// Why an evaluation ended early.
pub enum Ended {
    /// Somebody stopped it; results so far are on disk.
    Stopped,
    /// Something that is no fault of the configuration.
    Failed(String),
}

impl Bench<'_> {
    /// The known result of a pair, if it need not be run again.
    pub fn known<'r>(&self, records: &'r Records, (configuration, item): (usize, usize)) -> Option<&'r Outcome> {
        let found = records.get(&self.configurations[configuration].digest, &self.items[item].item.digest)?;
        let fine = found.score.is_some() && !(self.again && found.failed.is_some());
        fine.then_some(found)
    }

    /// Runs the pairs that are not known yet.
    pub async fn measure(&self, pairs: &[(usize, usize)], records: &mut Records) -> Result<(), Ended> {
        let wanted: Vec<(usize, usize)> = pairs.iter().copied().filter(|p| self.known(records, *p).is_none()).collect();
        self.bar.inc((pairs.len() - wanted.len()) as u64);
        let mut waiting = wanted.into_iter();
        let mut running = FuturesUnordered::new();
        running.extend(waiting.by_ref().take(self.concurrency.max(1)).map(|pair| self.one(pair)));
        while let Some(result) = running.next().await {
            records.add(result?).map_err(Ended::Failed)?;
            self.bar.inc(1);
            if self.cancel.is_cancelled() {
                return Err(Ended::Stopped);
            }
            running.extend(waiting.next().map(|pair| self.one(pair)));
        }
        Ok(())
    }

    async fn one(&self, (configuration, item): (usize, usize)) -> Result<Outcome, Ended> {
        let (what, ready) = (&self.configurations[configuration], &self.items[item]);
        let folder = self.folder.join(&what.digest).join(format!("{:06}", item + 1));
        if let Err(e) = std::fs::remove_dir_all(&folder)
            && e.kind() != std::io::ErrorKind::NotFound
        {
            return Err(Ended::Failed(format!("cannot clear `{}`: {e}", folder.display())));
        }
        let context = |folder: &Path| RunContext {
            cancel: self.cancel.clone(),
            folders: self.folders.clone(),
            servers: Some(self.servers.clone()),
            ..RunContext::new(folder, &Silent, self.env)
        };
        let before = if self.concurrency <= 1 { children_seconds() } else { None };
        let report = run(&what.plan, ready.inputs.clone(), &context(&folder)).await;
        let cpu_s = before.zip(children_seconds()).map(|(from, to)| to - from);
        let (score, failed) = match &report.result {
            Err(error) if error.fault.kind == FaultKind::Cancelled => return Err(Ended::Stopped),
            Err(error) if !counts(error) => return Err(Ended::Failed(format!("{}: {error}", what.label))),
            Err(error) => (Some(0.0), Some(error.to_string())),
            Ok(answer) => match self.score(ready, answer, &context(&judge::folder(&folder))).await {
                Ok(score) => (Some(score), None),
                Err(why) => (None, Some(why)),
            },
        };
        if self.cancel.is_cancelled() {
            return Err(Ended::Stopped);
        }
        if !self.keep {
            // What cannot be removed is only in the way.
            let _ = std::fs::remove_dir_all(&folder);
        }
        Ok(outcome(what, ready, &report, (score, failed, cpu_s)))
    }

    async fn score(&self, ready: &Ready, answer: &Value, cx: &RunContext<'_>) -> Result<f64, String> {
        match &self.judge {
            Some(judge) if self.metric.is_asked() => judge.score(&ready.item, answer, &ready.expected, cx).await,
            _ => score(&self.metric, answer, &ready.expected),
        }
    }
}

/// Whether a failure is the configuration's: it then scores 0, as nobody gets an answer. A missing key or program, a full disk or
/// a broken plan would fail all items alike, and says nothing of quality.
fn counts(error: &RunError) -> bool {
    matches!(
        error.fault.kind,
        // Whether the dataset's values are what the job takes was asked before: this one is what the tool cannot take.
        FaultKind::Input
            | FaultKind::Process
            | FaultKind::Timeout
            | FaultKind::Provider
            | FaultKind::Answer
            | FaultKind::Budget
            | FaultKind::Data
    )
}

type Scored = (Option<f64>, Option<String>, Option<f64>);

fn outcome(what: &Configuration, ready: &Ready, report: &RunReport, (score, failed, cpu_s): Scored) -> Outcome {
    Outcome {
        configuration: what.digest.clone(),
        label: what.label.clone(),
        item: ready.item.id.clone(),
        digest: ready.item.digest.clone(),
        score,
        failed,
        wall_s: report.wall_s,
        busy_s: report.steps.iter().map(|s| s.busy_s).sum(),
        cpu_s,
        cost_usd: report.steps.iter().map(|s| s.cost_usd).sum(),
        energy_wh: report.steps.iter().map(|s| s.energy_wh).sum(),
        at: now(),
    }
}

/// This moment, UTC, to the second.
pub fn now() -> String {
    let now = jiff::Timestamp::now();
    jiff::Timestamp::from_second(now.as_second()).unwrap_or(now).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::fault::Fault;

    #[test]
    fn what_a_tool_cannot_take_is_an_answer_less_and_no_end() {
        let counted = |kind| counts(&Fault::new(kind, "").into());
        assert!(counted(FaultKind::Input) && counted(FaultKind::Process));
        assert!(!counted(FaultKind::Key) && !counted(FaultKind::Storage) && !counted(FaultKind::Plan));
    }
}
