//! `mkbc resume --slo`: limits that a run goes on under, in place of those of its plan.

use super::super::Failure;
use super::super::args::Format;
use super::super::load::show;
use crate::ask::question::{self, Unread};
use crate::check::program::Metric;
use crate::compile::{Texts, check_file};
use crate::diag::Diagnostics;
use crate::plan::build::total_of;
use crate::plan::model::{Plan, PlanClause};
use crate::plan::render::SLO;

/// A job that holds nothing: limits on what a run takes are read as lines of it, whatever became of the run's own.
const EMPTY: &str = "job resumed() -> Text {\n  \"\"\n}\n";

/// Reads limits. Those of which a run can have others while its plan stays are on what is used up as it goes on.
pub fn read(lines: &[String], plan: &Plan) -> Result<Vec<PlanClause>, Failure> {
    if lines.is_empty() {
        return Ok(Vec::new());
    }
    let mut texts = Texts::with_stdlib();
    let file = texts.sources.add(SLO, EMPTY);
    let mut cx = Diagnostics::default();
    let checked = check_file(&texts, file, &mut cx);
    let mut jobs = checked.program.jobs;
    let job = jobs.first_mut().ok_or_else(|| "the limits cannot be read".to_owned())?;
    for line in lines {
        let clauses = job.clauses.len();
        match question::change(SLO, line, job, &checked.library, &mut texts.sources, &mut cx) {
            Ok(replaced) if job.clauses.len() + replaced.len() > clauses => {}
            Ok(_) => return Err(Failure::Usage(format!("`{line}` is no limit: {LIMITS}"))),
            Err(Unread::Because(why)) => return Err(Failure::Usage(why)),
            Err(Unread::Said) => {
                show(&cx, &texts, Format::Text);
                return Err(Failure::Misused);
            }
        }
    }
    let limit = |clause: &crate::check::program::Clause| {
        let metric = clause.metric;
        if !matches!(metric, Metric::Cost | Metric::Latency | Metric::LatencyP95 | Metric::LatencyP99 | Metric::Energy)
        {
            let text =
                format!("the plan of a run stays as it is, and with it what `{}` is about: {LIMITS}", clause.text);
            return Err(Failure::Usage(text));
        }
        let (value, limit) = (total_of(metric, &plan.total), clause.limit.normalize());
        Ok(PlanClause {
            text: clause.text.to_string(),
            line: 0,
            metric: metric.name().to_owned(),
            limit,
            value,
            slack: limit - value,
            soft: false,
            holds: value <= limit,
            price: None,
        })
    };
    job.clauses.iter().map(limit).collect()
}

const LIMITS: &str = "`resume` takes limits on cost, latency and energy: --slo \"cost <= 2 usd\"";
