//! `mkbc runs`, `mkbc show`, `mkbc logs`

use super::resume::find;
use super::run::journal;
use super::{Failure, print};
use crate::plan::model::Plan;
use crate::run::budget::Unsettled;
use crate::run::fault::printable;
use crate::run::journal::lock::Lock;
use crate::run::journal::record::Record;
use crate::run::journal::said::said;
use crate::run::journal::view::{state, took};
use crate::run::journal::{Journal, Run};
use crate::run::report::clauses;
use crate::units::counted;
use clap::Args;
use comfy_table::Table;
use comfy_table::presets::ASCII_MARKDOWN;
use serde_json::{Value, json};
use std::time::Duration;

#[derive(Args)]
pub struct RunsOptions {
    /// Only the last so many
    #[arg(long, short = 'n', value_name = "N")]
    pub limit: Option<usize>,
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

/// A run's number on the command line.
pub fn number(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| "it is no number of a run: `mkbc runs` lists them".to_owned())
}

#[derive(Args)]
pub struct OneRun {
    /// The run's number [default: the latest]
    #[arg(value_parser = number)]
    pub run: Option<u64>,
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Args)]
pub struct LogsOptions {
    #[command(flatten)]
    pub run: OneRun,
    /// Go on until the run ends
    #[arg(long, short, conflicts_with = "json")]
    pub follow: bool,
}

impl OneRun {
    fn find(&self, journal: &Journal) -> Result<Run, Failure> {
        match self.run {
            Some(id) => find(journal, id),
            None => journal
                .readable()?
                .0
                .pop()
                .ok_or_else(|| "there is no run yet: `mkbc run` begins one".to_owned().into()),
        }
    }
}

/// A line of the list; a run whose row is damaged has a number alone.
struct Listed {
    id: u64,
    run: Option<Run>,
    state: &'static str,
    took: Option<f64>,
    cost: Option<f64>,
    unsettled: Option<Unsettled>,
}

/// Lists the runs of the project.
pub fn runs(options: &RunsOptions) -> Result<(), Failure> {
    let journal = journal()?;
    let (runs, damaged) = journal.readable()?;
    let damaged = damaged.into_iter().map(|id| (id, None));
    let mut all: Vec<(u64, Option<Run>)> = runs.into_iter().map(|run| (run.id, Some(run))).chain(damaged).collect();
    all.sort_by_key(|(id, _)| *id);
    let from = options.limit.map_or(0, |most| all.len().saturating_sub(most));
    let rows: Vec<Listed> = all.into_iter().skip(from).map(|(id, run)| listed(&journal, id, run)).collect();
    if options.json {
        let row = |row: &Listed| {
            let info = row.run.as_ref().map(|run| &run.info);
            json!({
                "id": row.id, "job": info.map(|i| &i.job), "key": info.and_then(|i| i.key.as_ref()), "state": row.state,
                "started": info.map(|i| &i.at), "took_s": row.took, "cost_usd": row.cost,
                "unsettled": row.unsettled,
                "folder": row.run.as_ref().map(|run| journal.folder(run)),
            })
        };
        let all: Vec<Value> = rows.iter().map(row).collect();
        print(&format!("{:#}\n", Value::from(all)));
        return Ok(());
    }
    let mut table = table(&["run", "job", "state", "started", "took s", "usd", "key"]);
    for Listed { id, run, state, took, cost, unsettled } in &rows {
        let info = run.as_ref().map(|run| &run.info);
        let of = |text: Option<&String>| text.map_or_else(|| "-".to_owned(), |text| printable(text));
        table.add_row([
            id.to_string(),
            of(info.map(|i| &i.job)),
            (*state).to_owned(),
            of(info.map(|i| &i.at)),
            figure(*took, 2),
            match unsettled {
                Some(more) => format!("{}, {} more at most", figure(*cost, 6), figure(Some(more.usd), 6)),
                None => figure(*cost, 6),
            },
            of(info.and_then(|i| i.key.as_ref())),
        ]);
    }
    print(&format!("{}\n", table.trim_fmt()));
    Ok(())
}

fn listed(journal: &Journal, id: u64, run: Option<Run>) -> Listed {
    // One damaged run does not hide the others.
    let replay = run.as_ref().and_then(|run| Some((run, journal.replay(run, &journal.records(id).ok()?))));
    let (state, took, cost, unsettled) = match &replay {
        Some((run, replay)) => {
            let state = state(journal, run, replay);
            let live = state == "running";
            (state, Some(took(replay, live)), replay.cost(), replay.unsettled(live))
        }
        None => ("damaged", None, None, None),
    };
    Listed { id, run, state, took, cost, unsettled }
}

fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN);
    table.set_header(header);
    table
}

/// A figure, or a dash. One that is not nothing never looks like it.
pub fn figure(n: Option<f64>, digits: usize) -> String {
    match n {
        None => "-".to_owned(),
        Some(n) if n != 0.0 && n.abs() < 0.5 * 10_f64.powi(-(digits as i32)) => format!("{n:.1e}"),
        Some(n) => format!("{n:.digits$}"),
    }
}

/// Shows a run, step by step.
pub fn show(options: &OneRun) -> Result<(), Failure> {
    let journal = journal()?;
    let run = journal.view(&options.find(&journal)?)?;
    if options.json {
        let shown = serde_json::to_value(&run).map_err(|e| e.to_string())?;
        print(&format!("{shown:#}\n"));
        return Ok(());
    }
    let mut table = table(&["step", "by", "state", "calls", "attempts", "time s", "usd", "error"]);
    for step in &run.steps {
        let all = step.calls + step.unfinished;
        let calls = if step.unfinished == 0 { all.to_string() } else { format!("{} of {all}", step.calls) };
        table.add_row([
            printable(&step.step),
            printable(&step.by()),
            step.state.to_owned(),
            calls,
            step.attempts.to_string(),
            figure(step.busy_s, 3),
            figure(step.cost_usd, 6),
            step.error.as_deref().map(one_line).unwrap_or_default(),
        ]);
    }
    let mut text = format!(
        "run {} of `{}`: {}; begun {}; {:.2} s in {}\n",
        run.id,
        printable(&run.job),
        run.state,
        printable(&run.started),
        run.took_s,
        counted(run.runtimes, "runtime"),
    );
    for said in run.adapted.iter().chain(&run.error) {
        text.push_str(&format!("{}\n", one_line(said)));
    }
    let unsettled = run.unsettled.map(|unsettled| format!("\nnot in usd: {unsettled}")).unwrap_or_default();
    print(&format!("{text}{}{unsettled}{}\n", table.trim_fmt(), clauses::lines(&run.clauses)));
    Ok(())
}

/// A text of others in one line.
pub fn one_line(text: &str) -> String {
    printable(text).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Prints a run's records in order.
pub fn logs(options: &LogsOptions) -> Result<(), Failure> {
    let journal = journal()?;
    let run = options.run.find(&journal)?;
    if options.run.json {
        return super::journal::export(&journal, &run);
    }
    let plan = journal.plan(&run.info)?;
    if !options.follow {
        print(&journal.records(run.id)?.iter().map(|record| line(&plan, record)).collect::<String>());
        return Ok(());
    }
    let mut seen = 0;
    loop {
        // Asked before the records are read: what a run writes last is not missed.
        let live = Lock::held(&journal.folder(&run)).is_some();
        let records = journal.records_from(run.id, seen, 1000)?;
        seen += records.len() as u64;
        print(&records.iter().map(|record| line(&plan, record)).collect::<String>());
        if records.is_empty() {
            if !live {
                return Ok(());
            }
            std::thread::sleep(EVERY);
        }
    }
}

/// Between two looks at the journal.
const EVERY: Duration = Duration::from_millis(200);

/// A record as a line.
fn line(plan: &Plan, record: &Record) -> String {
    let name = |id| plan.steps.iter().find(|s| s.id == id).map_or("a step", |s| s.name.as_str());
    let said = said(record, &name);
    format!("{:>10.3}  {}\n", record.t(), one_line(&said))
}
