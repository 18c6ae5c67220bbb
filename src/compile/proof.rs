//! Decision or clash → a file that proves it; such a file and the same job, prepared again → whether it does.
//!
//! The problem is not in the file: whoever checks it encodes the job again, from its source and the library. What has to be
//! trusted is that encoding and the checker of [`crate::solve::proof`], not the search and not z3.

use super::{Clash, Decision, Prepared};
use crate::check::program::Job;
use crate::diag::source::Span;
use crate::digest::digest;
use crate::plan::model::{ClusterSpec, Pool};
use crate::plan::reason::said;
use crate::solve::Limits;
use crate::solve::problem::Problem;
use crate::solve::proof::{Certificate, certify, certify_conflict, verify, verify_conflict};
use crate::space::encode::{self, Encoded, Origin, encode};
use crate::space::ends::End;
use crate::space::sizes::InputSizes;
use ecow::EcoString;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The format that [`Proof::version`] counts.
pub const PROOF_VERSION: u32 = 2;

/// A proof that a plan is the best one for its job, wish by wish, or that a job has no plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proof {
    /// [`PROOF_VERSION`] of the compiler that wrote it.
    pub version: u32,
    /// The job's name.
    pub job: String,
    /// The digest (SHA-256) of the integer problem that the certificate is about.
    pub problem: String,
    /// Where the soft lines that the plan keeps begin in the job's source.
    pub kept: Vec<u32>,
    /// Where the lines begin whose limits are taken without the allowance for rounding.
    pub strict: Vec<u32>,
    /// What is proved where no plan is: that lines clash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clash: Option<Clashing>,
    /// The refutation of anything better, or of anything at all.
    pub certificate: Certificate,
}

/// Lines that clash, with what a job is planned for: there is no plan that says so.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Clashing {
    /// The lines, as clauses of the integer problem.
    pub core: Vec<usize>,
    /// The machines.
    pub cluster: ClusterSpec,
    /// The sizes of inputs that were given, by name.
    pub inputs: BTreeMap<String, BTreeMap<String, Decimal>>,
    /// Whether figures are taken at the worse ends of their intervals.
    pub robust: bool,
}

/// Proves a decision; `None` where it is not proved optimal, or the limits do not suffice to see it again.
pub fn prove(prepared: &Prepared, decision: &Decision, limits: &Limits) -> Option<Proof> {
    let kept = decision.encoded.origins.iter().filter(|origin| is_soft(&prepared.job, origin));
    Some(Proof {
        version: PROOF_VERSION,
        job: prepared.job.name.to_string(),
        problem: digest_of(&decision.encoded.problem),
        kept: kept.filter_map(|origin| place(origin).map(|span| span.start)).collect(),
        strict: decision.strict.iter().map(|span| span.start).collect(),
        clash: None,
        certificate: certify(&decision.encoded.problem, &decision.solution, limits)?,
    })
}

/// Proves that lines clash, for inputs of the given sizes; `None` where the limits do not suffice to see it again.
pub fn prove_clash(prepared: &Prepared, clash: &Clash, given: &InputSizes, limits: &Limits) -> Option<Proof> {
    let Prepared { job, machines, end, .. } = prepared;
    let pools = machines.pools.iter();
    let pools = pools.map(|(name, &(units, usd_per_hour))| (name.to_string(), Pool { units, usd_per_hour }));
    let sizes = |sizes: &BTreeMap<EcoString, Decimal>| sizes.iter().map(|(of, size)| (of.to_string(), *size)).collect();
    Some(Proof {
        version: PROOF_VERSION,
        job: job.name.to_string(),
        problem: digest_of(&clash.encoded.problem),
        kept: Vec::new(),
        strict: clash.strict.iter().map(|span| span.start).collect(),
        clash: Some(Clashing {
            core: clash.found.core.clone(),
            cluster: ClusterSpec { name: machines.name.to_string(), pools: pools.collect() },
            inputs: given.iter().map(|(name, of)| (name.to_string(), sizes(of))).collect(),
            robust: *end == End::Worst,
        }),
        certificate: certify_conflict(&clash.encoded.problem, &clash.found, limits)?,
    })
}

/// Checks a proof for a plan of the prepared job, which took the given options.
pub fn check(prepared: &Prepared, choice: &[usize], proof: &Proof) -> Result<(), String> {
    if proof.clash.is_some() {
        return Err("it says that the job has no plan, not that one is the best".into());
    }
    verify(&again(prepared, proof)?.problem, choice, &proof.certificate)
}

/// Checks a proof that the prepared job has no plan; the lines that it says clash, in words.
pub fn check_clash(prepared: &Prepared, proof: &Proof) -> Result<Vec<String>, String> {
    let Some(clash) = &proof.clash else {
        return Err("it says that a plan is the best: give that plan, too".into());
    };
    let encoded = again(prepared, proof)?;
    let origins: Option<Vec<&Origin>> = clash.core.iter().map(|&clause| encoded.origins.get(clause)).collect();
    let origins = origins.ok_or("it names a line that the job does not have")?;
    verify_conflict(&encoded.problem, &clash.core, &proof.certificate)?;
    Ok(origins.into_iter().map(said).collect())
}

/// The problem that a proof is about, encoded again.
fn again(prepared: &Prepared, proof: &Proof) -> Result<Encoded, String> {
    let Prepared { job, workflow, space, library, machines, .. } = prepared;
    if proof.version != PROOF_VERSION {
        return Err(format!("the proof is of version {}, and this mkbc reads version {PROOF_VERSION}", proof.version));
    }
    if proof.job != job.name {
        return Err(format!("the proof is for the job `{}`, the plan for `{}`", proof.job, job.name));
    }
    let clauses = job.preferred.iter().cloned().map(Origin::Clause);
    let rules = job.rules.iter().filter(|rule| rule.soft).cloned().map(Origin::Rule);
    let mut kept: Vec<Origin> = clauses.chain(rules).collect();
    kept.retain(|origin| place(origin).is_some_and(|span| proof.kept.contains(&span.start)));
    kept.sort_by_key(|origin| place(origin).map(|span| span.start));
    let lines = job.clauses.iter().chain(&job.preferred).map(|clause| clause.span);
    let strict: BTreeSet<Span> = lines.filter(|span| proof.strict.contains(&span.start)).collect();
    let input = encode::Input { job, kept: &kept, workflow, space, library, machines, strict: &strict };
    let encoded = encode(&input);
    if digest_of(&encoded.problem) != proof.problem {
        return Err("the proof is about another problem than the one that the job is here: plan and prove again".into());
    }
    Ok(encoded)
}

fn is_soft(job: &Job, origin: &Origin) -> bool {
    match origin {
        Origin::Clause(clause) => job.preferred.iter().any(|soft| soft.span == clause.span),
        Origin::Rule(rule) => rule.soft,
        Origin::Called(..) | Origin::StepPin(..) | Origin::EnergyKnown(..) | Origin::AgentCost(..) => false,
    }
}

fn place(origin: &Origin) -> Option<Span> {
    match origin {
        Origin::Clause(clause) => Some(clause.span),
        Origin::Rule(rule) | Origin::Called(rule, _) => Some(rule.span),
        Origin::StepPin(..) | Origin::EnergyKnown(..) | Origin::AgentCost(..) => None,
    }
}

fn digest_of(problem: &Problem) -> String {
    let json = serde_json::to_string(problem).unwrap_or_default();
    digest([json.as_str()])
}
