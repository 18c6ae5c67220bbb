//! A source, with other limits → the plan there is then, and what is to be had for what: exact, and bounded in time.

use super::{Opened, Order, Planner, limited};
use crate::ask::Asked;
use crate::ask::answer::Front;
use crate::ask::front::{Wanted, front};
use crate::ask::question;
use crate::check::program::{Job, Metric};
use crate::check::select;
use crate::compile::{Changes, Compiled, Decision, Target, Undecided, decide, prepare_job};
use crate::diag::{Diagnostics, render};
use crate::plan::model::Plan;
use crate::serve::api::refusal::Refusal;
use crate::solve::{Certify, Limits};
use crate::space::ends::End;
use crate::space::sizes::InputSizes;
use crate::space::{Machines, Usable};
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
        let order = question.order;
        // What it brings along was looked at when it was submitted.
        let Opened { mut texts, file, checked, lock, .. } = self.open(order, true)?;
        let job = select(&checked.program, Some(question.job)).map_err(|why| Refusal::invalid("no_job", why))?;
        let mut changed = job.clone();
        for clauses in [&mut changed.clauses, &mut changed.preferred] {
            clauses.retain(|clause| !question.dropped.contains(&clause.metric));
        }
        limited(&mut changed, question::WHAT_IF, question.limits, &checked.library, &mut texts)?;
        let (compiled, mut first) = (Compiled { texts: &texts, file, checked: &checked, lock: lock.as_deref() }, None);
        let found = self.somewhere(&checked.library, |machines, usable| {
            let answer = answered(question, compiled, changed.clone(), (machines, usable))?;
            match &answer.plan {
                Ok(_) => Ok(answer),
                Err(why) => {
                    let refusal = Refusal::invalid("no_plan", why.as_str());
                    first.get_or_insert(answer);
                    Err(refusal)
                }
            }
        });
        // What no machine can do is said of the first one.
        found.or_else(|refusal| first.ok_or(refusal))
    }
}

/// The answer for one machine.
fn answered(
    question: &Question<'_>,
    compiled: Compiled<'_>,
    job: Job,
    (machines, usable): (&Machines, &Usable<'_>),
) -> Result<Answer, Refusal> {
    let Question { order, sizes, metrics, points, .. } = question;
    let (mut cx, sources) = (Diagnostics::default(), &compiled.texts.sources);
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
    let target = Target { job: Some(question.job), machines, measured: sizes, usable, limits, end };
    let prepared = prepare_job(compiled, job, &target, &mut cx);
    let prepared = prepared.map_err(|why| match cx.has_errors() {
        true => Refusal::diagnosed(&cx, sources),
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
            Err(render::text(&said, sources, false))
        }
    };
    Ok(Answer { plan, front })
}
