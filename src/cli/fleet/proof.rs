//! Proof files of joint plans: written by `mkbc plan a.mkb b.mkb … --proof`, checked by `mkbc verify joint.json --proof`.

use super::{Say, members, opened};
use crate::check::program::Job;
use crate::cli::args::{EvidenceOptions, Format, Source};
use crate::cli::judge::apart;
use crate::cli::load::{read, write};
use crate::cli::{Failure, note};
use crate::fleet::instance::Instance;
use crate::fleet::model::JointPlan;
use crate::fleet::proof::{FleetProof, check, prove};
use crate::fleet::translate::{Settings, Translated};
use crate::solve::{Limits, joint};
use crate::space::Machines;
use rust_decimal::Decimal;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Proves the bound of a plan and writes the proof.
pub fn store(joint: &JointPlan, made: &Translated, limit: Duration, path: &Path) -> Result<(), Failure> {
    let begun = Instant::now();
    let late = || begun.elapsed() >= limit;
    // What comes before the refutations has half of the time.
    let half = || begun.elapsed() >= limit / 2;
    let together = joint::Limits { rounds: u64::MAX, out_of_time: Some(&half), ..joint::Limits::default() };
    let of_jobs = Limits { out_of_time: Some(&late), judge: apart(), ..Limits::default() };
    let Some(proof) = prove(joint, made, &together, &of_jobs) else {
        return Err("the bound is not proved within the limits, so that there is no proof to write".to_string().into());
    };
    let json = serde_json::to_string(&proof).map_err(|e| e.to_string())?;
    write(path, &format!("{json}\n"))?;
    note(&format!("the proof of the bound, by {}, is written to {}", proof.by, path.display()));
    Ok(())
}

/// Checks a proof against the jobs that the plan was made from: what it proves, in words, or what is wrong.
pub fn verify(joint: &JointPlan, library: &[PathBuf], path: &Path) -> Result<Result<String, String>, Failure> {
    let proof: FleetProof = serde_json::from_str(&read(path)?)
        .map_err(|e| format!("`{}` is no proof of a joint plan that this mkbc can read: {e}", path.display()))?;
    let files: Vec<PathBuf> = joint.jobs.iter().map(|job| PathBuf::from(&job.file)).collect();
    let files: Vec<&PathBuf> = files.iter().collect();
    let names: Vec<&str> = joint.jobs.iter().map(|job| job.plan.job.as_str()).collect();
    let rates: BTreeMap<String, Decimal> = joint.jobs.iter().map(|job| (job.plan.job.clone(), job.rate)).collect();
    let Some(first) = files.first() else { return Ok(Err("there are no jobs".to_owned())) };
    let given = Source { file: first.to_path_buf(), library: library.to_vec(), format: Format::Text };
    let sources = opened(&files, &given, true, EvidenceOptions::default())?;
    let pools = joint.cluster.pools.iter().map(|(name, pool)| (name.as_str().into(), (pool.units, pool.usd_per_hour)));
    let machines = Machines { name: joint.cluster.name.as_str().into(), pools: pools.collect() };
    let members = members(&sources, &files, &names, &rates, &machines, (Say::All(Format::Text), None), &Job::clone)?;
    let running = joint.instances.iter().filter(|used| used.running > 0);
    let running: BTreeMap<Instance, i64> = running.map(|used| (used.instance.clone(), used.running)).collect();
    let settings = Settings { utilisation: joint.utilisation, switching: joint.switching.clone(), running };
    let checked = check(joint, &members, &machines, &settings, &proof);
    Ok(checked.map(|bound| format!("proved that no plan costs less than {bound} usd/h")))
}
