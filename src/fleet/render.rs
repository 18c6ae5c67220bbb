//! Joint plan → text for people.

use super::model::{JointPlan, Replicas};
use crate::plan::render::{metric, percent, seconds, table};
use crate::units::{counted, shown as rounded};
use comfy_table::CellAlignment;
use rust_decimal::Decimal;
use std::fmt::Write;

/// The joint plan as text, at most `width` columns wide.
pub fn text(joint: &JointPlan, width: u16) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "joint plan for {} on `{}`\n", counted(joint.jobs.len(), "job"), joint.cluster.name);
    let mut instances = table(width, &["instance", "replicas", "busy", "devices", "usd/h"]);
    (1..5).for_each(|at| {
        if let Some(column) = instances.column_mut(at) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    });
    for used in &joint.instances {
        let account = used.instance.is_account();
        let devices = used.replicas * i64::from(used.instance.units);
        instances.add_row(vec![
            used.instance.shown(),
            if account { String::new() } else { changed(used) },
            busy(used),
            if account { "provider".to_string() } else { format!("{devices} {}", used.instance.device) },
            money(used.usd_per_hour),
        ]);
    }
    let _ = writeln!(out, "{instances}\n");
    for job in &joint.jobs {
        let _ = writeln!(
            out,
            "{} ({}): {}/h",
            job.plan.job,
            job.file,
            counted(rounded(job.rate * Decimal::from(3600), 2), "run")
        );
        for (step, route) in job.plan.steps.iter().zip(&job.routes) {
            let to = match route.instance.and_then(|at| joint.instances.get(at)) {
                Some(used) if used.instance.is_account() => {
                    let (share, fees) = (percent(route.load), money(route.fees_usd_per_hour));
                    format!("{} by the call, {fees} usd/h, {share} of what it takes", step.implementation)
                }
                Some(used) => {
                    format!(
                        "{}, {} of its load, spread over {}",
                        used.instance.shown(),
                        percent(route.share),
                        counted(used.replicas, "replica")
                    )
                }
                None => format!("{} by the call, {} usd/h", step.implementation, money(route.fees_usd_per_hour)),
            };
            let _ = writeln!(out, "  {}: {to}", step.name);
        }
        for rule in job.plan.clauses.iter().filter(|clause| clause.metric == "rule" && !clause.holds) {
            let _ = writeln!(out, "  {} (preferred, broken)", rule.text);
        }
        for clause in job.plan.clauses.iter().filter(|clause| clause.metric != "rule") {
            let verdict = if clause.holds { "" } else { " (preferred, broken)" };
            let (value, slack) = (metric(&clause.metric, clause.value), metric(&clause.metric, clause.slack));
            let _ = writeln!(out, "  {}: {value} (slack {slack}){verdict}", clause.text);
        }
        let _ = writeln!(
            out,
            "  a run takes {}; alone this job costs {} usd/h or more",
            seconds(job.plan.total.latency_s),
            money(job.alone_usd_per_hour)
        );
    }
    let total = &joint.total;
    let saved = total.alone_usd_per_hour - total.usd_per_hour;
    let share = saved.checked_div(total.alone_usd_per_hour).unwrap_or_default();
    let _ = writeln!(out, "\ntotal: {} usd/h, {}", money(total.usd_per_hour), counted(total.gpus, "GPU"));
    if joint.instances.iter().any(|used| used.running > 0) {
        let started: i64 = joint.instances.iter().map(|used| (used.replicas - used.running).max(0)).sum();
        let stopped: i64 = joint.instances.iter().map(|used| (used.running - used.replicas).max(0)).sum();
        let cost: Decimal = joint.instances.iter().map(|used| used.switching_usd).sum();
        let _ = writeln!(out, "switching: {started} started, {stopped} stopped, {} usd, in the total", money(cost));
    }
    let alone = money(total.alone_usd_per_hour);
    // What the jobs cost alone is a bound: one that lies below this plan says nothing of what sharing saves.
    let _ = if saved > Decimal::ZERO {
        let saves = format!("sharing saves {} usd/h ({}) at least", money(saved), percent(share));
        writeln!(out, "{saves}: the jobs alone, each with whole replicas of its own, cost {alone} usd/h or more")
    } else {
        writeln!(out, "what sharing saves is not known: the jobs alone cost {alone} usd/h or more")
    };
    let proof = &joint.proof;
    let bound = proof.bound_usd_per_hour;
    let gap = (total.usd_per_hour - bound).checked_div(total.usd_per_hour).unwrap_or_default();
    let word = if proof.optimal {
        "proved: no plan costs less".to_string()
    } else {
        format!("no plan costs less than {} usd/h: gap {}", money(bound), percent(gap))
    };
    let _ = writeln!(out, "{word} (by {}, {})", proof.by, counted(proof.nodes, "node"));
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

/// Dollars to the cent, and small amounts to two digits that count.
pub fn money(value: Decimal) -> String {
    rounded(value, 2)
}
