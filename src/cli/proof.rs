//! Proof files: written by `mkbc plan --proof`, checked by `mkbc verify --proof`.

use super::args::Source;
use super::expand::{Open, filled};
use super::here::{HERE, machines};
use super::load::{read, write};
use super::plan::{of_plan, usable_on};
use super::{Failure, note};
use crate::ask::names::choice;
use crate::check::select;
use crate::compile::proof::{Proof, check, check_clash, prove, prove_clash};
use crate::compile::{Compiled, Prepared, Seen, Target, prepare};
use crate::plan::model::Plan;
use crate::solve::{Certify, Limits};
use crate::space::Machines;
use crate::space::ends::End;
use crate::space::sizes::InputSizes;
use rust_decimal::Decimal;
use std::collections::BTreeMap;
use std::path::Path;

/// Proves a decision, or that there is none, and writes the proof.
pub fn store(prepared: &Prepared, seen: Seen, given: &InputSizes, limits: &Limits, path: &Path) -> Result<(), Failure> {
    let limits = Limits { certify: Certify::Off, ..*limits };
    let (proof, lacks) = match seen {
        Seen::Plan(decision) => (prove(prepared, decision, &limits), "the plan is not proved to be optimal"),
        Seen::Clash(clash) => (prove_clash(prepared, clash, given, &limits), "that there is no plan is not proved"),
    };
    let Some(proof) = proof else {
        return Err(format!("{lacks} within the limits, so that there is no proof to write").into());
    };
    let json = serde_json::to_string(&proof).map_err(|e| e.to_string())?;
    write(path, &format!("{json}\n"))?;
    note(&format!("the proof is written to {}", path.display()));
    Ok(())
}

/// Checks a proof against the job that the plan was made from; says what is wrong.
pub fn verify(plan: &Plan, source: &Source, path: &Path) -> Result<Vec<String>, Failure> {
    let proof = read_proof(path)?;
    let mut filled = filled(source, Open::Refused)?;
    let job = select(&filled.checked.program, Some(&plan.job))?.name.clone();
    let (machines, measured, usable, end) = of_plan(plan);
    let limits = Limits { certify: Certify::Off, ..Limits::default() };
    let target = Target { job: Some(&job), machines: &machines, measured: &measured, usable: &usable, limits, end };
    let compiled =
        Compiled { texts: &filled.texts, file: filled.file, checked: &filled.checked, lock: filled.lock.as_deref() };
    let prepared = prepare(compiled, &target, &mut filled.cx)?;
    let checked = choice(&prepared, plan).and_then(|choice| check(&prepared, &choice, &proof));
    Ok(checked.err().map(|why| format!("its proof: {why}")).into_iter().collect())
}

/// Checks a proof that a job has no plan; says what is proved.
pub fn verify_clash(source: &Source, path: &Path) -> Result<String, Failure> {
    let proof = read_proof(path)?;
    let refused = |why: String| Failure::Message(format!("`{}` does not hold: {why}", path.display()));
    let Some(clash) = &proof.clash else {
        return Err(refused("it says that a plan is the best: give that plan, too".to_string()));
    };
    let mut filled = filled(source, Open::Refused)?;
    let job = select(&filled.checked.program, Some(&proof.job)).map_err(refused)?.name.clone();
    let spec = &clash.cluster;
    let pools = spec.pools.iter().map(|(name, pool)| (name.as_str().into(), (pool.units, pool.usd_per_hour)));
    let stated = Machines { name: spec.name.as_str().into(), pools: pools.collect() };
    // What a name means is for the library to say; only this machine is as it was then.
    if spec.name != HERE && machines(&spec.name, &filled.checked.library)?.pools != stated.pools {
        return Err(refused(format!("the machines of `{}` are others here", spec.name)));
    }
    let sizes = |of: &BTreeMap<String, Decimal>| of.iter().map(|(name, size)| (name.as_str().into(), *size)).collect();
    let measured = clash.inputs.iter().map(|(name, of)| (name.as_str().into(), sizes(of))).collect();
    let (usable, end) = (usable_on(&stated), if clash.robust { End::Worst } else { End::Typical });
    let limits = Limits { certify: Certify::Off, ..Limits::default() };
    let target = Target { job: Some(&job), machines: &stated, measured: &measured, usable: &usable, limits, end };
    let compiled =
        Compiled { texts: &filled.texts, file: filled.file, checked: &filled.checked, lock: filled.lock.as_deref() };
    let prepared = prepare(compiled, &target, &mut filled.cx)?;
    let lines = check_clash(&prepared, &proof).map_err(refused)?;
    let what = if lines.is_empty() { "its steps".to_string() } else { lines.join(" and ") };
    let at_once = if lines.len() > 1 { " at once" } else { "" };
    let pools: Vec<String> = spec.pools.iter().map(|(name, pool)| format!("{} {name}", pool.units)).collect();
    let given = if clash.inputs.is_empty() { "" } else { ", for inputs of the sizes that were given" };
    let robust = if clash.robust { ", with figures at the worse ends of their intervals" } else { "" };
    Ok(format!(
        "{}: proved that no plan of `{job}` can keep {what}{at_once} on `{}` ({}){given}{robust}\n",
        path.display(),
        spec.name,
        pools.join(", ")
    ))
}

fn read_proof(path: &Path) -> Result<Proof, Failure> {
    serde_json::from_str(&read(path)?)
        .map_err(|e| format!("`{}` is no proof that this mkbc can read: {e}", path.display()).into())
}
