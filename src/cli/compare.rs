//! `mkbc compare`: two runs of the journal, step by step.

use super::resume::find;
use super::run::journal;
use super::runs::{figure, number, one_line};
use super::{Failure, print};
use crate::plan::diff::diff;
use crate::plan::fallback::in_place;
use crate::plan::model::{Plan, PlanStep};
use crate::plan::render::{hardware, percent};
use crate::plan::verify::quality;
use crate::run::fault::printable;
use crate::run::journal::replay::End;
use crate::run::journal::view::{RunView, StepView, by};
use crate::run::journal::{Journal, Run};
use clap::Args;
use comfy_table::presets::ASCII_MARKDOWN;
use comfy_table::{CellAlignment, Table};
use serde_json::{Value, json};

#[derive(Args)]
pub struct CompareOptions {
    /// The number of one run
    #[arg(value_parser = number)]
    pub before: u64,
    /// The number of the other
    #[arg(value_parser = number)]
    pub after: u64,
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

/// One of the two runs.
struct Side {
    view: RunView,
    /// Its plan, with what was planned again; its total quality is that of who carried it out.
    plan: Plan,
    answer: Option<Value>,
}

impl Side {
    fn of(journal: &Journal, run: &Run) -> Result<Side, Failure> {
        let replay = journal.replay(run, &journal.records(run.id)?);
        let answer = match &replay.end {
            End::Answered(value) => Some(journal.blobs().value(value)?),
            _ => None,
        };
        let (view, changes) = (journal.view(run)?, replay.changes(journal.blobs())?);
        let mut plan = journal.plan(&run.info)?.with_limits(&replay.limits).with_steps(&changes);
        let by = |step: &PlanStep| view.steps.iter().find(|v| v.step == step.name).map(|view| worst(step, view));
        let carried: Vec<PlanStep> = plan.steps.iter().filter_map(by).collect();
        if let Some(quality) = quality(&plan.clone().with_steps(&carried)) {
            plan.total.quality = quality;
        }
        Ok(Side { view, plan, answer })
    }

    fn step(&self, name: &str) -> Option<(&StepView, &PlanStep)> {
        let step = self.plan.steps.iter().find(|s| s.name == name)?;
        Some((self.view.steps.iter().find(|s| s.step == name)?, step))
    }
}

/// A step in the hands of who is worst among those that carried it out.
fn worst(step: &PlanStep, view: &StepView) -> PlanStep {
    let others = in_place(step).filter(|by| view.stood_in.contains_key(&by.implementation));
    others.chain([step.clone()]).min_by_key(|by| by.predicted.quality).unwrap_or_else(|| step.clone())
}

/// What carried a step out, in a few words.
fn choice(step: &PlanStep, view: &StepView) -> String {
    let knobs: Vec<String> = step.knobs.iter().map(|(n, v)| format!("{n} {v}")).collect();
    let knobs = if knobs.is_empty() { String::new() } else { format!(" ({})", knobs.join(", ")) };
    let chosen = format!("{}{knobs} on {}", step.implementation, hardware(step));
    let first = view.planned_again.as_ref().map(|_| view.implementation.as_str());
    printable(&by(first.unwrap_or(&chosen), first.map(|_| chosen.as_str()), &view.stood_in))
}

/// Compares two runs.
pub fn compare(options: &CompareOptions) -> Result<(), Failure> {
    let journal = journal()?;
    let before = Side::of(&journal, &find(&journal, options.before)?)?;
    let after = Side::of(&journal, &find(&journal, options.after)?)?;
    let mut names: Vec<&str> = before.plan.steps.iter().map(|s| s.name.as_str()).collect();
    names.extend(after.plan.steps.iter().map(|s| s.name.as_str()).filter(|name| before.step(name).is_none()));
    let changes = diff(&before.plan, &after.plan);
    let same = before.answer.is_some() && before.answer == after.answer;
    if options.json {
        let side = |side: &Side, name: &str| {
            side.step(name).map(|(view, step)| {
                json!({"choice": choice(step, view), "quality": worst(step, view).predicted.quality, "measured": view})
            })
        };
        let steps = names.iter().map(|n| json!({"step": n, "before": side(&before, n), "after": side(&after, n)}));
        let run = |side: &Side| {
            let RunView { id, state, took_s, cost_usd, .. } = &side.view;
            json!({"run": id, "state": state, "took_s": took_s, "cost_usd": cost_usd, "quality": side.plan.total.quality})
        };
        let shown = json!({
            "before": run(&before), "after": run(&after), "steps": steps.collect::<Vec<_>>(),
            "plan": changes, "same_answer": same,
        });
        print(&format!("{shown:#}\n"));
        return Ok(());
    }
    print(&text(&before, &after, &names, &changes, same));
    Ok(())
}

fn text(before: &Side, after: &Side, names: &[&str], changes: &[String], same: bool) -> String {
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN);
    table.set_header(["step", "run", "carried out by", "state", "calls", "time s", "usd", "tokens", "quality"]);
    for column in 4..9 {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    for name in names {
        for (n, side) in [before, after].into_iter().enumerate() {
            let shown = if n == 0 { printable(name) } else { String::new() };
            let mut cells = vec![shown, side.view.id.to_string()];
            match side.step(name) {
                None => cells.extend(["-"; 7].map(str::to_owned)),
                Some((view, step)) => cells.extend([
                    choice(step, view),
                    view.state.to_owned(),
                    view.calls.to_string(),
                    figure(view.busy_s, 3),
                    figure(view.cost_usd, 6),
                    view.tokens_in.saturating_add(view.tokens_out).to_string(),
                    percent(worst(step, view).predicted.quality),
                ]),
            }
            table.add_row(cells);
        }
    }
    for (n, side) in [before, after].into_iter().enumerate() {
        let calls: u64 = side.view.steps.iter().map(|s| s.calls).sum();
        let tokens = side.view.steps.iter().map(|s| s.tokens_in.saturating_add(s.tokens_out)).sum::<u64>();
        table.add_row([
            if n == 0 { "whole run".to_owned() } else { String::new() },
            side.view.id.to_string(),
            String::new(),
            side.view.state.to_owned(),
            calls.to_string(),
            figure(Some(side.view.took_s), 3),
            figure(side.view.cost_usd, 6),
            tokens.to_string(),
            percent(side.plan.total.quality),
        ]);
    }
    let mut text = format!("{}\n", table.trim_fmt());
    for side in [before, after] {
        for said in &side.view.adapted {
            text.push_str(&format!("run {}: {}\n", side.view.id, one_line(said)));
        }
    }
    text.push_str(match changes {
        [] => "the plans are the same\n",
        _ => "the plans differ:\n",
    });
    for line in changes {
        text.push_str(&format!("  {}\n", printable(line)));
    }
    text.push_str(match (&before.answer, &after.answer) {
        (Some(_), Some(_)) if same => "the answers are the same\n",
        (Some(_), Some(_)) => "the answers differ\n",
        _ => "not both have an answer\n",
    });
    text
}
