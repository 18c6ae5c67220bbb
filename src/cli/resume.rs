//! `mkbc resume`

mod limits;
mod rest;

use super::Failure;
use super::run::{AdaptOptions, Adapting, Durable, Running, Showing, able, again, execute, journal};
use crate::library::Library;
use crate::run::journal::replay::{End, Replay};
use crate::run::journal::{Journal, Run, lock::Lock};
use crate::run::shown::steps::planned;
use crate::run::steer::Steer;
use clap::Args;

#[derive(Args)]
pub struct ResumeOptions {
    /// The run's number [default: the last one that has no answer and that nobody works on]
    #[arg(value_parser = super::runs::number)]
    pub run: Option<u64>,
    /// Go on under this limit, in place of the plan's on the same figure: "cost <= 2 usd" (may be repeated)
    #[arg(long, value_name = "LINE")]
    pub slo: Vec<String>,
    #[command(flatten)]
    pub durable: Durable,
    #[command(flatten)]
    pub adapt: AdaptOptions,
    #[command(flatten)]
    pub show: Showing,
}

/// Goes on with a run that was killed, stopped or failed: what is finished is not done again.
pub fn resume(options: &ResumeOptions) -> Result<(), Failure> {
    let journal = journal()?;
    let run = match options.run {
        Some(id) => find(&journal, id)?,
        None => last(&journal)?,
    };
    let showing = &options.show;
    if again(&journal, &run, showing)? {
        return Ok(());
    }
    let replay = journal.replay(&run, &journal.records(run.id)?);
    let mut plan = journal.plan(&run.info)?;
    let limits = limits::read(&options.slo, &plan)?;
    // Of each figure the limit that was given last.
    let lines: Vec<String> = replay.limits.iter().chain(&limits).map(|limit| limit.text.clone()).collect();
    plan = plan.with_limits(&replay.limits).with_limits(&limits);
    let inputs = journal.inputs(&run.info)?;
    able(&plan, &run.info.folders, options.durable.engine.is_some())?;
    let (made_of, mode) = (run.info.made_of.clone(), options.adapt.mode());
    let text = plan.clone();
    let go = |steer: Option<&dyn Steer>, library: Option<&Library>| {
        let tokens = library.filter(|_| showing.report.is_some()).map(|library| planned(&plan, library));
        execute(journal, Running { run, plan, inputs, limits, tokens, steer }, &options.durable, showing)
    };
    match made_of.zip(mode) {
        Some((mut made_of, mode)) => {
            made_of.slo.extend(lines);
            rest::with_rest(&made_of, &text, mode, go)
        }
        None if options.adapt.adapt.is_some_and(|a| a != Adapting::Off) => Err(Failure::Usage(
            "this run was planned elsewhere, or began with `--adapt off`: its rest cannot be planned again".to_string(),
        )),
        None => go(None, None),
    }
}

/// A run by its number.
pub fn find(journal: &Journal, id: u64) -> Result<Run, Failure> {
    let run = journal.run(id)?;
    run.ok_or_else(|| format!("the journal has no run {id}: `mkbc runs` lists them").into())
}

fn last(journal: &Journal) -> Result<Run, Failure> {
    let (runs, _) = journal.readable()?;
    // A service goes on with its own runs when it starts again.
    for run in runs.into_iter().rev().filter(|run| !run.info.of_service()) {
        // One that is damaged does not stand before the others; by its number it says what is wrong.
        let Ok(records) = journal.records(run.id) else { continue };
        let open = !matches!(Replay::of(&records).end, End::Answered(_));
        if open && Lock::held(&journal.folder(&run)).is_none() {
            return Ok(run);
        }
    }
    Err("there is no run to resume: all have their answers, or are being worked on".to_string().into())
}
