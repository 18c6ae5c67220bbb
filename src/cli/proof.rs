//! Proof files: written by `mkbc plan --proof`, checked by `mkbc verify --proof`.

use super::args::Source;
use super::expand::filled;
use super::load::{read, write};
use super::plan::of_plan;
use super::{Failure, note};
use crate::ask::names::choice;
use crate::check::select;
use crate::compile::proof::{Proof, check, prove};
use crate::compile::{Compiled, Decision, Prepared, Target, prepare};
use crate::plan::model::Plan;
use crate::solve::{Certify, Limits};
use std::path::Path;

/// Proves a decision and writes the proof.
pub fn store(prepared: &Prepared, decision: &Decision, limits: &Limits, path: &Path) -> Result<(), Failure> {
    let limits = Limits { certify: Certify::Off, ..*limits };
    let proof = prove(prepared, decision, &limits).ok_or(
        "the plan is not proved to be optimal within the limits, so that there is no proof to write".to_string(),
    )?;
    let json = serde_json::to_string(&proof).map_err(|e| e.to_string())?;
    write(path, &format!("{json}\n"))?;
    note(&format!("the proof is written to {}", path.display()));
    Ok(())
}

/// Checks a proof against the job that the plan was made from; says what is wrong.
pub fn verify(plan: &Plan, source: &Source, path: &Path) -> Result<Vec<String>, Failure> {
    let proof: Proof = serde_json::from_str(&read(path)?)
        .map_err(|e| format!("`{}` is no proof that this mkbc can read: {e}", path.display()))?;
    let mut filled = filled(source, true, false)?;
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
