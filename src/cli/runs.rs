//! `mkbc runs`, `mkbc show`, `mkbc logs`

use super::resume::find;
use super::run::journal;
use super::{Failure, print};
use crate::run::fault::printable;
use crate::run::journal::Run;
use crate::run::journal::replay::Replay;
use crate::run::journal::said::said;
use crate::run::journal::view::state;
use crate::units::counted;
use clap::Args;
use comfy_table::Table;
use comfy_table::presets::ASCII_MARKDOWN;
use serde_json::{Value, json};

#[derive(Args)]
pub struct RunsOptions {
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Args)]
pub struct OneRun {
    /// The run's number
    pub run: u64,
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

/// Lists the runs of the project.
pub fn runs(options: &RunsOptions) -> Result<(), Failure> {
    let journal = journal()?;
    let mut rows = Vec::new();
    for run in journal.runs()? {
        // One damaged run does not hide the others.
        let replay = journal.records(run.id).map(|records| Replay::of(&records));
        let (state, took, cost) = match &replay {
            Ok(replay) => (state(&journal, &run, replay), Some(replay.took_s), replay.cost_usd),
            Err(_) => ("damaged", None, None),
        };
        rows.push((run, state, took, cost));
    }
    if options.json {
        let row = |(run, state, took, cost): &(Run, &str, Option<f64>, Option<f64>)| {
            json!({
                "id": run.id, "job": run.info.job, "key": run.info.key, "state": state, "started": run.info.at,
                "took_s": took, "cost_usd": cost, "folder": journal.folder(run),
            })
        };
        let all: Vec<Value> = rows.iter().map(row).collect();
        print(&format!("{:#}\n", Value::from(all)));
        return Ok(());
    }
    let mut table = table(&["run", "job", "state", "started", "took s", "usd", "key"]);
    for (run, state, took, cost) in &rows {
        let key = run.info.key.as_deref().unwrap_or("-");
        table.add_row([
            run.id.to_string(),
            printable(&run.info.job),
            (*state).to_owned(),
            printable(&run.info.at),
            figure(*took, 2),
            figure(*cost, 6),
            printable(key),
        ]);
    }
    print(&format!("{}\n", table.trim_fmt()));
    Ok(())
}

fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN);
    table.set_header(header);
    table
}

/// A figure, or a dash.
pub fn figure(n: Option<f64>, digits: usize) -> String {
    n.map_or_else(|| "-".to_owned(), |n| format!("{n:.digits$}"))
}

/// Shows a run, step by step.
pub fn show(options: &OneRun) -> Result<(), Failure> {
    let journal = journal()?;
    let run = journal.view(&find(&journal, options.run)?)?;
    if options.json {
        let shown = serde_json::to_value(&run).map_err(|e| e.to_string())?;
        print(&format!("{shown:#}\n"));
        return Ok(());
    }
    let mut table = table(&["step", "by", "state", "calls", "attempts", "time s", "usd", "error"]);
    for step in &run.steps {
        let all = step.calls + step.unfinished;
        let calls = if step.unfinished == 0 { all.to_string() } else { format!("{} of {all}", step.calls) };
        let others: Vec<&str> = step.stood_in.keys().map(String::as_str).collect();
        let others = if others.is_empty() { String::new() } else { format!(", then {}", others.join(", ")) };
        table.add_row([
            printable(&step.step),
            printable(&format!("{}{others}", step.implementation)),
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
    print(&format!("{text}{}\n", table.trim_fmt()));
    Ok(())
}

/// A text of others in one line.
pub fn one_line(text: &str) -> String {
    printable(text).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Prints a run's records in order.
pub fn logs(options: &OneRun) -> Result<(), Failure> {
    let journal = journal()?;
    let run = find(&journal, options.run)?;
    if options.json {
        return super::journal::export(&journal, &run);
    }
    let plan = journal.plan(&run.info)?;
    let name = |id| plan.steps.iter().find(|s| s.id == id).map_or("a step", |s| s.name.as_str());
    let mut text = String::new();
    for record in journal.records(run.id)? {
        let said = said(&record, &name);
        text.push_str(&format!("{:>10.3}  {}\n", record.t(), one_line(&said)));
    }
    print(&text);
    Ok(())
}
