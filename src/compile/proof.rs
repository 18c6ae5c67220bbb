//! Decision → a file that proves it optimal; such a file and the same job, prepared again → whether it does.
//!
//! The problem is not in the file: whoever checks it encodes the job again, from its source and the library. What has to be
//! trusted is that encoding and the checker of [`crate::solve::proof`], not the search and not z3.

use super::{Decision, Prepared};
use crate::check::program::Job;
use crate::diag::source::Span;
use crate::digest::digest;
use crate::solve::Limits;
use crate::solve::problem::Problem;
use crate::solve::proof::{Certificate, certify, verify};
use crate::space::encode::{self, Origin, encode};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The format that [`Proof::version`] counts.
pub const PROOF_VERSION: u32 = 1;

/// A proof that a plan is the best one for its job, wish by wish.
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
    /// The refutation of anything better.
    pub certificate: Certificate,
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
        certificate: certify(&decision.encoded.problem, &decision.solution, limits)?,
    })
}

/// Checks a proof for a plan of the prepared job, which took the given options.
pub fn check(prepared: &Prepared, choice: &[usize], proof: &Proof) -> Result<(), String> {
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
    let problem = encode(&input).problem;
    if digest_of(&problem) != proof.problem {
        return Err("the proof is about another problem than the one that the job is here: plan and prove again".into());
    }
    verify(&problem, choice, &proof.certificate)
}

fn is_soft(job: &Job, origin: &Origin) -> bool {
    match origin {
        Origin::Clause(clause) => job.preferred.iter().any(|soft| soft.span == clause.span),
        Origin::Rule(rule) => rule.soft,
        Origin::StepPin(..) | Origin::EnergyKnown(..) => false,
    }
}

fn place(origin: &Origin) -> Option<Span> {
    match origin {
        Origin::Clause(clause) => Some(clause.span),
        Origin::Rule(rule) => Some(rule.span),
        Origin::StepPin(..) | Origin::EnergyKnown(..) => None,
    }
}

fn digest_of(problem: &Problem) -> String {
    let json = serde_json::to_string(problem).unwrap_or_default();
    digest([json.as_str()])
}
