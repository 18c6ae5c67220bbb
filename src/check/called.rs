//! Lines of a job that count for the job itself and not where another one calls it. Its rules and pins hold there too.

use super::errors;
use super::program::{Clause, Job, Metric, Program};
use crate::diag::Diagnostics;

/// Warns, at each call of a job, of the lines of that job that do not count there.
pub fn check_called(program: &Program, cx: &mut Diagnostics) {
    for job in &program.jobs {
        for (name, at) in &job.calls {
            let Some(called) = program.jobs.iter().find(|j| j.name == *name && j.name != job.name) else { continue };
            let lines = not_counting(called, job);
            if !lines.is_empty() {
                cx.push(errors::of_called_job(*at, name, &lines, &job.name));
            }
        }
    }
}

/// What of a called job does not count, in words; not what the caller says itself.
fn not_counting(called: &Job, caller: &Job) -> Vec<String> {
    let states = |clause: &&Clause| {
        !caller.clauses.iter().any(|own| {
            let as_tight =
                if own.metric == Metric::Quality { own.limit >= clause.limit } else { own.limit <= clause.limit };
            own.metric == clause.metric && as_tight
        })
    };
    let mut lines: Vec<String> = called.clauses.iter().filter(states).map(|c| format!("`{}`", c.text)).collect();
    lines.extend(called.preferred.iter().map(|c| format!("`prefer {}`", c.text)));
    lines.extend(called.rules.iter().filter(|rule| rule.soft).map(|rule| format!("`{}`", rule.text)));
    if let Some(wish) = called.wishes.first().filter(|_| caller.wishes.is_empty()) {
        lines.push(format!("the wish for {}", wish.metric.name()));
    }
    if called.quality_rule != caller.quality_rule {
        lines.push(format!("`quality {}`", called.quality_rule.name()));
    }
    if let Some((cluster, _)) =
        called.cluster.as_ref().filter(|(name, _)| caller.cluster.as_ref().is_none_or(|(n, _)| n != name))
    {
        lines.push(format!("`on {cluster}`"));
    }
    if called.rate.is_some() || !called.expectations.is_empty() {
        lines.push("`expect`".to_string());
    }
    lines
}
