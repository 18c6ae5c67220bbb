//! A plan that was made again, or could not be → what is shown of it and noted in the audit log.

use crate::adapt::epochs::{Cause, Replan, Verdict};
use crate::fleet::instance::Instance;
use crate::fleet::model::JointPlan;
use crate::serve::api::deployed::Replanned;
use crate::serve::now_ms;
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use std::collections::BTreeMap;

/// How the rates of workflows were foreseen, by key.
pub type Foreseen = BTreeMap<String, String>;

/// What is said of a plan that was made again.
pub fn again(replan: &Replan, foreseen: Foreseen) -> Replanned {
    let verdict = match replan.verdict {
        Verdict::Kept => "kept",
        Verdict::Scaled => "scaled",
        Verdict::Changed => "changed",
    };
    Replanned {
        changes: replan.changes.iter().map(ToString::to_string).collect(),
        usd_per_hour: float(replan.saves.taken),
        saves_usd_per_hour: replan.saves.usd_per_hour().map(float),
        broken: replan.saves.no_going_on(),
        ..made(verdict, &replan.causes, foreseen)
    }
}

/// Says which replicas were lost with their devices, before what the plan changes of those that are left.
pub fn lost(said: &mut Replanned, ran: &BTreeMap<Instance, i64>, left: &BTreeMap<Instance, i64>) {
    let lost = ran.iter().filter_map(|(instance, ran)| {
        let left = left.get(instance).copied().unwrap_or(0);
        (left < *ran).then(|| format!("{}: {left} of {} are left", instance.shown(), replicas(*ran)))
    });
    let mut changes: Vec<String> = lost.collect();
    if !changes.is_empty() && said.verdict == "kept" {
        said.verdict = "scaled".to_owned();
    }
    changes.append(&mut said.changes);
    said.changes = changes;
}

/// What is said of the first plan, or of one that is made from nothing.
pub fn first(verdict: &str, causes: &[Cause], joint: &JointPlan) -> Replanned {
    let run = joint.instances.iter().filter(|used| used.replicas > 0 && !used.instance.is_account());
    let started = run.map(|used| format!("{}: {}", used.instance.shown(), replicas(used.replicas)));
    Replanned {
        changes: started.collect(),
        usd_per_hour: float(joint.total.usd_per_hour),
        ..made(verdict, causes, Foreseen::new())
    }
}

/// What is said where the plan in force goes on, or none is in force any more.
pub fn none(
    verdict: &str,
    causes: &[Cause],
    foreseen: Foreseen,
    force: Option<&JointPlan>,
    why: Option<String>,
) -> Replanned {
    let usd_per_hour = force.map_or(0.0, |joint| float(joint.total.usd_per_hour));
    Replanned { usd_per_hour, broken: why, ..made(verdict, causes, foreseen) }
}

fn made(verdict: &str, causes: &[Cause], foreseen: Foreseen) -> Replanned {
    Replanned {
        plan: 0,
        at: crate::serve::api::types::moment(now_ms()),
        verdict: verdict.to_owned(),
        because: causes.iter().map(ToString::to_string).collect(),
        foreseen,
        changes: Vec::new(),
        usd_per_hour: 0.0,
        saves_usd_per_hour: None,
        broken: None,
    }
}

/// It in one line.
pub fn line(said: &Replanned) -> String {
    let mut parts = vec![format!("plan {} {}", said.plan, said.verdict)];
    if !said.because.is_empty() {
        parts.push(format!("because {}", said.because.join(", ")));
    }
    parts.extend(said.changes.iter().cloned());
    parts.extend(said.foreseen.iter().map(|(key, how)| format!("`{key}`: {how}")));
    parts.extend(said.broken.iter().map(|why| why.split_whitespace().collect::<Vec<_>>().join(" ")));
    parts.extend(said.saves_usd_per_hour.map(|saves| format!("saves {saves:.4} usd/h")));
    parts.push(format!("{:.4} usd/h", said.usd_per_hour));
    parts.join("; ")
}

fn replicas(count: i64) -> String {
    crate::units::counted(count, "replica")
}

fn float(value: Decimal) -> f64 {
    value.to_f64().unwrap_or(0.0)
}
