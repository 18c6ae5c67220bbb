//! Joint plan → text for people.

use super::model::{JointPlan, Replicas};
use crate::plan::render::{percent, seconds, table};
use comfy_table::CellAlignment;
use rust_decimal::Decimal;
use std::fmt::Write;

/// The joint plan as text, at most `width` columns wide.
pub fn text(joint: &JointPlan, width: u16) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "joint plan for {} jobs on `{}`\n", joint.jobs.len(), joint.cluster.name);
    let mut instances = table(width, &["instance", "replicas", "busy", "devices", "usd/h"]);
    (1..5).for_each(|at| {
        if let Some(column) = instances.column_mut(at) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    });
    for used in &joint.instances {
        instances.add_row(vec![
            used.instance.shown(),
            changed(used),
            busy(used),
            format!("{} {}", used.replicas * i64::from(used.instance.units), used.instance.device),
            money(used.usd_per_hour),
        ]);
    }
    let _ = writeln!(out, "{instances}\n");
    for job in &joint.jobs {
        let _ = writeln!(out, "{} ({}): {} runs/h", job.plan.job, job.file, shown(job.rate * Decimal::from(3600)));
        for (step, route) in job.plan.steps.iter().zip(&job.routes) {
            let to = match route.instance.and_then(|at| joint.instances.get(at)) {
                Some(used) => {
                    format!(
                        "{}, {} of its load, spread over {}",
                        used.instance.shown(),
                        percent(route.share),
                        replicas(used.replicas)
                    )
                }
                None => format!("{} by the call, {} usd/h", step.implementation, money(route.fees_usd_per_hour)),
            };
            let _ = writeln!(out, "  {}: {to}", step.name);
        }
        for clause in job.plan.clauses.iter().filter(|clause| clause.metric != "rule") {
            let verdict = if clause.holds { "" } else { " (preferred, broken)" };
            let _ = writeln!(out, "  {}: {}, slack {}{verdict}", clause.text, shown(clause.value), shown(clause.slack));
        }
        let _ = writeln!(
            out,
            "  a run takes {}; alone this job costs {} usd/h",
            seconds(job.plan.total.latency_s),
            money(job.alone_usd_per_hour)
        );
    }
    let total = &joint.total;
    let saved = total.alone_usd_per_hour - total.usd_per_hour;
    let share = saved.checked_div(total.alone_usd_per_hour).unwrap_or_default();
    let _ = writeln!(out, "\ntotal: {} usd/h, {} GPUs", money(total.usd_per_hour), total.gpus);
    if joint.instances.iter().any(|used| used.running > 0) {
        let started: i64 = joint.instances.iter().map(|used| (used.replicas - used.running).max(0)).sum();
        let stopped: i64 = joint.instances.iter().map(|used| (used.running - used.replicas).max(0)).sum();
        let cost: Decimal = joint.instances.iter().map(|used| used.switching_usd).sum();
        let _ = writeln!(out, "switching: {started} started, {stopped} stopped, {} usd, in the total", money(cost));
    }
    let _ = writeln!(
        out,
        "sharing saves {} usd/h ({}): the jobs alone, each with whole replicas of its own, cost {} usd/h",
        money(saved),
        percent(share),
        money(total.alone_usd_per_hour)
    );
    let proof = &joint.proof;
    let bound = proof.bound_usd_per_hour;
    let gap = (total.usd_per_hour - bound).checked_div(total.usd_per_hour).unwrap_or_default();
    let word = if proof.optimal {
        "proved: no plan costs less".to_string()
    } else {
        format!("no plan costs less than {} usd/h: gap {}", money(bound), percent(gap))
    };
    let _ = writeln!(out, "{word} (by {}, {} nodes)", proof.by, proof.nodes);
    out
}

fn changed(used: &Replicas) -> String {
    match used.running {
        0 => used.replicas.to_string(),
        running if running == used.replicas => format!("{running} (as now)"),
        running => format!("{} (now {running})", used.replicas),
    }
}

fn busy(used: &Replicas) -> String {
    used.load.checked_div(Decimal::from(used.replicas)).map_or_else(|| "-".to_string(), percent)
}

fn replicas(count: i64) -> String {
    if count == 1 { "1 replica".to_string() } else { format!("{count} replicas") }
}

fn money(value: Decimal) -> String {
    shown(value.round_dp(2))
}

fn shown(value: Decimal) -> String {
    value.round_dp(6).normalize().to_string()
}
