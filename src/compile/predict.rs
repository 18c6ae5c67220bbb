//! A fill of a hole → the figures of the best plan with it: what fills are ranked by.

use super::{Checked, Compiled, Target, Texts, plan, with_fills};
use crate::check::program::{Hole, Job, Metric};
use crate::diag::source::FileId;
use crate::diag::{Diagnostics, Severity};
use crate::expand::lock::{Entry, Foreseen, Lock};
use crate::expand::rank::Predicted;
use crate::plan::build::total_of;
use crate::solve::{Certify, Limits};
use crate::space::ends::End;
use crate::space::sizes::InputSizes;
use crate::space::{Machines, Usable};

/// Nodes that predicting a fill may take.
const NODES: u64 = 50_000;

/// What plans with a hole's fills are for.
pub struct Filling<'a> {
    /// The file.
    pub file: FileId,
    /// What it means, its holes open.
    pub checked: &'a Checked,
    /// The fills of the job's other holes.
    pub lock: &'a Lock,
    /// The job.
    pub job: &'a Job,
    /// The machines.
    pub machines: &'a Machines,
    /// What can be used on them.
    pub usable: &'a Usable<'a>,
    /// The sizes of inputs that are given.
    pub measured: &'a InputSizes,
    /// Says when nobody waits for the answer any more.
    pub stop: Option<&'a (dyn Fn() -> bool + Sync)>,
}

/// The metric that a job's fills are compared by: what it wishes for first, or its cost.
pub fn compared_by(job: &Job) -> Metric {
    job.wishes.first().map_or(Metric::Cost, |wish| wish.metric)
}

/// Predicts a fill. Its source, and those of the other fills, are added to the texts.
pub fn predict(texts: &mut Texts, filling: &Filling, hole: &Hole, fill: &str) -> Predicted {
    let &Filling { checked, lock, job, .. } = filling;
    let mut cx = Diagnostics::default();
    let mut lock = lock.clone();
    lock.put(Entry::plain(job, hole, fill, "a candidate"));
    match with_fills(texts, checked, &lock, &mut cx) {
        Some(checked) => best(texts, &Filling { checked: &checked, lock: &lock, ..*filling }),
        None => Predicted::NoPlan("it does not check".into()),
    }
}

/// The best plan's figures where every hole has its fill.
pub fn best(texts: &Texts, filled: &Filling) -> Predicted {
    let &Filling { file, checked, lock, job, machines, usable, measured, stop, .. } = filled;
    let mut cx = Diagnostics::default();
    let limits = Limits { nodes: NODES, out_of_time: stop, certify: Certify::Off, ..Limits::default() };
    let name = Some(job.name.as_str());
    let target = Target { job: name, machines, measured, usable, limits, end: End::Typical };
    let text = lock.write().unwrap_or_default();
    match plan(Compiled { texts, file, checked, lock: Some(&text) }, &target, &mut cx) {
        Ok((_, decision)) => {
            let total = &decision.plan.total;
            let figures = Foreseen::of(&machines.name, total.cost_usd, total.latency_s, total.quality);
            Predicted::Plan(total_of(compared_by(job), total), figures)
        }
        Err(why) => {
            let said = cx.iter().find(|d| d.severity == Severity::Error);
            Predicted::NoPlan(said.map_or(why, |d| d.message.clone()))
        }
    }
}
