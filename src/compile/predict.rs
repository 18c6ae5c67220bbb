//! A fill of a hole → the figures of the best plan with it: what fills are ranked by.

use super::{Checked, Compiled, Target, Texts, plan, with_fills};
use crate::check::program::{Hole, Job, Metric};
use crate::diag::source::FileId;
use crate::diag::{Diagnostics, Severity};
use crate::expand::lock::{Entry, Foreseen, Lock};
use crate::expand::rank::Predicted;
use crate::plan::build::total_of;
use crate::solve::{Certify, Limits};
use crate::space::encode::wishes;
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

/// The metric that a job's fills are compared by: the first that its plan is made for.
pub fn compared_by(job: &Job) -> Metric {
    wishes(job).first().copied().unwrap_or(Metric::Quality)
}

/// Predicts a fill. Its source, and those of the other fills, are added to the texts.
pub fn predict(texts: &mut Texts, filling: &Filling, hole: &Hole, fill: &str) -> Predicted {
    let &Filling { checked, lock, job, .. } = filling;
    let mut cx = Diagnostics::default();
    let mut lock = lock.clone();
    lock.put(Entry::plain(job, hole, &checked.library, fill, "a candidate"));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compile::check_file;

    #[test]
    fn fills_are_compared_by_what_their_plan_is_made_for() {
        let compared = |clauses: &str| {
            let mut texts = Texts::with_stdlib();
            let job = format!("job j(text: Text) -> Text {{\n  goal \"A short summary\"\n{clauses}}}\n");
            let file = texts.sources.add("job.mkb", job);
            let checked = check_file(&texts, file, &mut Diagnostics::default());
            compared_by(&checked.program.jobs[0])
        };
        assert_eq!(compared(""), Metric::Quality);
        assert_eq!(compared("  slo { quality >= 60 % }\n"), Metric::Cost);
        assert_eq!(compared("  minimize latency\n"), Metric::Latency);
    }
}
