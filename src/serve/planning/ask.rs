//! A source, with other limits → the plan there is then, and what is to be had for what: exact, and bounded in time.

use super::{Order, Planner};
use crate::ask::Asked;
use crate::ask::answer::Front;
use crate::ask::front::{Wanted, front};
use crate::ask::question::{self, Unread};
use crate::check::program::Metric;
use crate::check::select;
use crate::compile::{self, Changes, Compiled, Decision, Target, Undecided, decide, fill, prepare_job};
use crate::diag::{Diagnostics, render};
use crate::expand::lock::Lock;
use crate::plan::model::Plan;
use crate::serve::api::refusal::Refusal;
use crate::solve::{Certify, Limits};
use crate::space::ends::End;
use crate::space::sizes::InputSizes;
use std::time::{Duration, Instant};

/// Nodes that one question may visit: a front asks many.
const NODES: u64 = 200_000;
/// How long one question may take.
const PATIENCE: Duration = Duration::from_secs(4);

/// A question about a source.
pub struct Question<'a> {
    /// The source.
    pub order: &'a Order,
    /// The job.
    pub job: &'a str,
    /// The sizes of its inputs.
    pub sizes: &'a InputSizes,
    /// Metrics whose limits are left out.
    pub dropped: &'a [Metric],
    /// Limits that take the place of the job's on the same metric, as lines of the language: `latency <= 30 s`.
    pub limits: &'a [String],
    /// The metrics that are traded off, two or three.
    pub metrics: &'a [Metric],
    /// Points of the front at most.
    pub points: usize,
}

/// What there is.
pub struct Answer {
    /// The best plan under the limits, or why there is none.
    pub plan: Result<Plan, String>,
    /// What is to be had for what without the limits on the metrics that are traded off; none where it was not found in time.
    pub front: Option<Front>,
}

impl Planner {
    /// Answers a question. Takes processor time: not for a thread that others wait for.
    pub fn ask(&self, question: &Question<'_>) -> Result<Answer, Refusal> {
        let Question { order, sizes, metrics, points, .. } = question;
        let mut texts = self.texts.clone();
        let file = texts.sources.add(order.file()?, order.source.as_str());
        let mut cx = Diagnostics::default();
        let checked = compile::check_file(&texts, file, &mut cx);
        if cx.has_errors() {
            return Err(Refusal::diagnosed(&cx, &texts.sources));
        }
        let lock = order.lock.as_deref().map(Lock::read).transpose();
        let lock = lock.map_err(|why| Refusal::invalid("bad_lock", why))?.unwrap_or_default();
        let filled = fill(&mut texts, checked, &lock, false, &mut cx);
        let Some((checked, lock)) = filled else { return Err(Refusal::diagnosed(&cx, &texts.sources)) };
        let lock = (!lock.holes.is_empty()).then(|| lock.write()).transpose();
        let lock = lock.map_err(|why| Refusal::invalid("bad_lock", why))?;
        let job = select(&checked.program, Some(question.job)).map_err(|why| Refusal::invalid("no_job", why))?.clone();
        let mut changed = job.clone();
        for clauses in [&mut changed.clauses, &mut changed.preferred] {
            clauses.retain(|clause| !question.dropped.contains(&clause.metric));
        }
        for line in question.limits {
            let read =
                question::change(question::WHAT_IF, line, &mut changed, &checked.library, &mut texts.sources, &mut cx);
            read.map_err(|unread| match unread {
                Unread::Because(why) => Refusal::invalid("bad_limit", why),
                Unread::Said => Refusal::diagnosed(&cx, &texts.sources),
            })?;
        }
        // Its run is planned for this machine, whatever cluster the job names.
        let machines = (self.here.machines)(self.here.name, &checked.library);
        let machines = machines.map_err(|why| Refusal::invalid("no_cluster", why))?;
        let usable = self.here.usable;
        let began = Instant::now();
        let out_of_time = move || began.elapsed() >= PATIENCE;
        let limits = Limits {
            nodes: NODES,
            out_of_time: Some(&out_of_time),
            z3_ms: super::Z3_MS,
            certify: Certify::Off,
            judge: None,
        };
        let end = if order.robust { End::Worst } else { End::Typical };
        let target =
            Target { job: Some(question.job), machines: &machines, measured: sizes, usable: &usable, limits, end };
        let compiled = Compiled { texts: &texts, file, checked: &checked, lock: lock.as_deref() };
        let prepared = prepare_job(compiled, changed, &target, &mut cx);
        let prepared = prepared.map_err(|why| match cx.has_errors() {
            true => Refusal::diagnosed(&cx, &texts.sources),
            false => Refusal::invalid("no_plan", why),
        })?;
        let decided = decide(&prepared, &Changes::default(), &limits);
        let began = Instant::now();
        let out_of_time = move || began.elapsed() >= PATIENCE;
        let limits = Limits { out_of_time: Some(&out_of_time), ..limits };
        let chosen = decided.as_ref().ok().map(|decision| Asked::of(&prepared, decision, limits));
        let front = front(&prepared, &Wanted { metrics, points: *points, beyond: true }, chosen, &limits).ok();
        let plan = match decided {
            Ok(Decision { plan, .. }) => Ok(plan),
            Err(Undecided::Unknown(why)) => Err(why),
            Err(Undecided::Clash(clash)) => {
                let mut said = Diagnostics::default();
                said.push(clash.diagnostic(&prepared));
                Err(render::text(&said, &texts.sources, false))
            }
        };
        Ok(Answer { plan, front })
    }
}
