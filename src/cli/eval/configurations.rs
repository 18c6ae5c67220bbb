//! A prepared job → the configurations that are evaluated: its best plan, its plans along the front, or all that can carry it out.

use crate::ask::front::{Wanted, front};
use crate::check::program::{Metric, Pin};
use crate::cli::Failure;
use crate::compile::{Changes, Prepared, Undecided, decide};
use crate::eval::measure::Configuration;
use crate::plan::model::Plan;
use crate::solve::Limits;
use crate::space::Candidate;
use clap::ValueEnum;
use std::collections::BTreeSet;

/// Which configurations are evaluated.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Which {
    /// The plan that `mkbc plan` makes
    Best,
    /// The plans along the front of quality and cost, and of quality and latency
    Front,
    /// Every model or tool with every knob setting, on everything that it runs on here
    All,
}

/// Makes the configurations; `metric` is how they are scored. Limits of the job are left out: what is measured may break them.
pub fn configurations(
    prepared: &Prepared,
    which: Which,
    only: &[String],
    most: usize,
    metric: &str,
    limits: &Limits,
) -> Result<Vec<Configuration>, Failure> {
    let limited = prepared.job.clauses.iter().map(|c| c.span);
    let without: BTreeSet<_> = if which == Which::Best { BTreeSet::new() } else { limited.collect() };
    let open = Changes { without, ..Changes::default() };
    let plans = match which {
        Which::Best => vec![planned(prepared, &open, limits)?],
        Which::Front => along(prepared, &open, limits)?,
        Which::All => all(prepared, &open, only, most, limits)?,
    };
    let mut seen = BTreeSet::new();
    let made = plans.into_iter().map(|plan| Configuration::of(plan, metric));
    Ok(made.filter(|c| seen.insert(c.digest.clone())).collect())
}

fn planned(prepared: &Prepared, changes: &Changes, limits: &Limits) -> Result<Plan, Failure> {
    decide(prepared, changes, limits).map(|decision| decision.plan).map_err(|why| said(why, prepared))
}

fn said(why: Undecided, prepared: &Prepared) -> Failure {
    Failure::Message(match why {
        Undecided::Unknown(why) => why,
        Undecided::Clash(clash) => format!("there is no plan to evaluate: {}", clash.diagnostic(prepared).message),
    })
}

fn along(prepared: &Prepared, open: &Changes, limits: &Limits) -> Result<Vec<Plan>, Failure> {
    let mut plans = Vec::new();
    for metrics in [[Metric::Cost, Metric::Quality], [Metric::Latency, Metric::Quality]] {
        let wanted = Wanted { metrics: &metrics, points: 50, beyond: true };
        let found = front(prepared, &wanted, None, limits).map_err(|why| said(why, prepared))?;
        for point in &found.points {
            let pins = point.steps.iter().enumerate().map(|(step, (_, carrier))| {
                let knobs = carrier.knobs.iter().map(|(n, v)| (n.as_str().into(), v.as_str().into())).collect();
                let (device, units) = (carrier.hardware.device.as_str().into(), carrier.hardware.units);
                (step, pin(prepared, carrier.implementation.as_str().into(), knobs, device, units))
            });
            plans.push(planned(prepared, &Changes { pins: pins.collect(), ..open.clone() }, limits)?);
        }
    }
    Ok(plans)
}

fn all(
    prepared: &Prepared,
    open: &Changes,
    only: &[String],
    most: usize,
    limits: &Limits,
) -> Result<Vec<Plan>, Failure> {
    let steps: Vec<Vec<&Candidate>> = prepared
        .space
        .steps
        .iter()
        .map(|step| {
            let wanted = |c: &&Candidate| {
                let named = step.candidates.iter().any(|c| only.iter().any(|o| *o == c.implementation));
                // A step that no name is about keeps all of its own.
                !named || only.iter().any(|o| *o == c.implementation)
            };
            step.candidates.iter().filter(wanted).collect()
        })
        .collect();
    if let Some(name) = only.iter().find(|o| !steps.iter().flatten().any(|c| c.implementation == o.as_str())) {
        return Err(Failure::Usage(format!("`--only {name}`: nothing of this name can carry out a step here")));
    }
    let count = steps.iter().try_fold(1_usize, |n, step| n.checked_mul(step.len())).unwrap_or(usize::MAX);
    if count > most {
        return Err(Failure::Usage(format!(
            "there are {count} configurations: take those along the front (`--configurations front`), name some (`--only NAME`), or \
             allow more (`--most {count}`)"
        )));
    }
    let mut choices: Vec<Vec<&Candidate>> = vec![Vec::new()];
    for step in &steps {
        choices = choices.iter().flat_map(|choice| step.iter().map(|c| [choice.clone(), vec![*c]].concat())).collect();
    }
    let mut plans = Vec::new();
    for choice in choices {
        let pins = choice.iter().enumerate().map(|(step, c)| {
            (step, pin(prepared, c.implementation.clone(), c.knobs.clone(), c.device.clone(), c.units))
        });
        // What breaks a rule of the job is no configuration of it.
        match decide(prepared, &Changes { pins: pins.collect(), ..open.clone() }, limits) {
            Ok(decision) => plans.push(decision.plan),
            Err(Undecided::Clash(_)) => {}
            Err(why) => return Err(said(why, prepared)),
        }
    }
    if plans.is_empty() {
        return Err("nothing that can be used here keeps the job's rules".to_string().into());
    }
    Ok(plans)
}

fn pin(
    prepared: &Prepared,
    implementation: ecow::EcoString,
    knobs: Vec<(ecow::EcoString, ecow::EcoString)>,
    device: ecow::EcoString,
    units: u32,
) -> Pin {
    let units = if device == "api" { Vec::new() } else { vec![units] };
    Pin {
        implementation: Some(implementation),
        knobs,
        device: Some(device),
        memory_gb: None,
        units,
        span: prepared.job.span,
    }
}
