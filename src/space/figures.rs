//! Candidate + shape → figures: latency, cost, energy, quality and memory of a step for all its calls in one run.

use super::shape::{Missing, Shape, StepShape, evaluate, knob};
use super::table::{Table, assignments, union};
use super::{Candidate, Figured, Figures, Input, StepSpace};
use crate::library::Implementation;
use crate::library::evidence::Evidence;
use crate::library::profile::{Figure, Setting};
use crate::library::size::SizeExpr;
use ecow::{EcoString, eco_format};
use rust_decimal::Decimal;
use std::collections::BTreeMap;

const HOUR: Decimal = Decimal::from_parts(3600, 0, 0, false, 0);

/// Computes the figures of every candidate of a step, for every combination of the upstream classes that reach it.
pub fn fill(index: usize, step: &mut StepSpace, shapes: &[Option<StepShape>], input: &Input) {
    let Some(shape) = shapes.get(index).and_then(Option::as_ref) else { return };
    let task = &input.workflow.steps[index].task;
    let mut options = Vec::new();
    let mut excluded = Vec::new();
    for (number, candidate) in step.candidates.iter().enumerate() {
        let Some(entry) = input.library.implementations.get(&candidate.implementation) else { continue };
        let work = match work(task, entry, candidate, &shape.args, input) {
            Ok(work) => work,
            Err(missing) => {
                step.missing = Some(missing);
                continue;
            }
        };
        let mut all: Vec<&[(usize, u32)]> = work.iter().map(|(_, t)| t.deps()).collect();
        all.push(shape.calls.deps());
        let deps = union(&all);
        let Some(assignments) = assignments(&deps) else {
            excluded.push((entry.name.clone(), "too many upstream knobs change its work".to_string()));
            continue;
        };
        for classes in assignments {
            let amounts: Vec<(EcoString, Decimal)> = work.iter().map(|(n, t)| (n.clone(), t.at(&classes))).collect();
            match figures(entry, candidate, &amounts, shape.calls.at(&classes), input) {
                Some(figures) => {
                    let needs = classes.into_iter().collect();
                    options.push(Figured { candidate: number, needs, figures });
                }
                None => excluded.push((entry.name.clone(), "its figures are too large to compute with".to_string())),
            }
        }
    }
    step.options = options;
    step.excluded.extend(excluded);
}

/// The work of one call by dimension; the implementation's own rule before the task's.
fn work(
    task: &str,
    entry: &Implementation,
    candidate: &Candidate,
    args: &BTreeMap<EcoString, Shape>,
    input: &Input,
) -> Result<Vec<(EcoString, Table)>, Missing> {
    let of_task = input.library.tasks.get(task).map_or(&[][..], |t| &t.work);
    let mut rules: Vec<&(EcoString, SizeExpr)> = entry.work.iter().collect();
    rules.extend(of_task.iter().filter(|(n, _)| !entry.work.iter().any(|(own, _)| own == n)));
    let mut out = Vec::with_capacity(rules.len());
    for (name, expr) in rules {
        out.push((name.clone(), evaluate(expr, args, &|n| knob(candidate, n))?));
    }
    Ok(out)
}

/// The figures of a candidate for so much work a call and so many calls; `None` where they leave the range of exact decimals.
pub fn figures(
    entry: &Implementation,
    candidate: &Candidate,
    work: &[(EcoString, Decimal)],
    calls: Decimal,
    input: &Input,
) -> Option<Figures> {
    let setting = Setting { knobs: &candidate.knobs, device: &candidate.device, units: candidate.units };
    let mut evidence: Vec<Evidence> = Vec::new();
    let mut take = |name: &str| -> Option<&Figure> {
        let figure = entry.profile.figure(name, &setting)?;
        evidence.push(Evidence { kind: figure.evidence, figure: name.to_string(), source: figure.source.to_string() });
        Some(figure)
    };
    // The tail bounds the time alone: money and energy are what is expected.
    let upper = |f: &Figure| if input.tail { f.interval.1 } else { f.value };
    let first = take("latency")?;
    let (mut once, mut late) = (first.value, upper(first));
    let mut fee = take("cost").map_or(Decimal::ZERO, |f| f.value);
    for (dimension, amount) in work {
        if let Some(f) = take(&eco_format!("latency.per.{dimension}")) {
            once = once.checked_add(f.value.checked_mul(*amount)?)?;
            late = late.checked_add(upper(f).checked_mul(*amount)?)?;
        }
        if let Some(f) = take(&eco_format!("cost.per.{dimension}")) {
            fee = fee.checked_add(f.value.checked_mul(*amount)?)?;
        }
    }
    let quality = take("quality").map(|f| f.value)?;
    let memory = take("memory").map_or(Decimal::ZERO, |f| f.value);
    let power = take("power").map(|f| f.value);
    let rounds = (calls / Decimal::from(entry.concurrency)).ceil();
    let latency = late.checked_mul(rounds)?;
    let busy = once.checked_mul(calls)?;
    let hourly = input.machines.pools.get(&candidate.device).map_or(Decimal::ZERO, |(_, price)| *price);
    let rent = busy.checked_mul(hourly)?.checked_mul(Decimal::from(candidate.units))? / HOUR;
    let cost = fee.checked_mul(calls)?.checked_add(rent)?;
    let energy = match power {
        Some(watts) => Some(watts.checked_mul(busy)? / HOUR),
        None => None,
    };
    evidence.sort();
    Some(Figures { calls, latency, cost, energy, quality, memory, evidence })
}
