//! A joint plan → a file that proves its bound; such a file and the same jobs, prepared again → whether it does.
//!
//! The problem is not in the file: whoever checks it translates the jobs again. What has to be trusted is that translation and
//! the checker of [`crate::solve::joint::proof`].

use super::instance::{millionths, up};
use super::model::JointPlan;
use super::translate::{Member, Settings, Soft, Translated, translate};
use crate::digest::digest;
use crate::solve::Limits;
use crate::solve::joint::proof::{Certificate, certify, verify};
use crate::solve::joint::{self, problem::Fleet};
use crate::space::Machines;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The format that [`FleetProof::fleet_version`] counts.
pub const FLEET_PROOF_VERSION: u32 = 1;

/// A proof that no plan of a fleet costs less than so much.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FleetProof {
    /// [`FLEET_PROOF_VERSION`] of the compiler that wrote it.
    pub fleet_version: u32,
    /// The digest (SHA-256) of the integer problem that the certificate is about.
    pub problem: String,
    /// The soft lines that gave way: the number of the job, and where the line begins in its source.
    pub broken: Vec<(usize, u32)>,
    /// Who refuted that a job costs less at the certificate's prices.
    pub by: String,
    /// The certificate.
    pub certificate: Certificate,
}

/// Proves the bound of a plan that was made of the translated jobs; `None` where the limits do not suffice.
pub fn prove(joint: &JointPlan, made: &Translated, limits: &joint::Limits, of_jobs: &Limits) -> Option<FleetProof> {
    let cost = i128::from(up(joint.total.usd_per_hour)?);
    let certified = certify(&made.fleet, cost, limits, of_jobs)?;
    Some(FleetProof {
        fleet_version: FLEET_PROOF_VERSION,
        problem: digest_of(&made.fleet),
        broken: made.broken.iter().map(|(job, span)| (*job, span.start)).collect(),
        by: certified.by,
        certificate: certified.certificate,
    })
}

/// Checks a proof for a plan of these members: what it proves that no plan costs less than, in dollars an hour.
pub fn check(
    joint: &JointPlan,
    members: &[Member],
    machines: &Machines,
    settings: &Settings,
    proof: &FleetProof,
) -> Result<Decimal, String> {
    if proof.fleet_version != FLEET_PROOF_VERSION {
        let version = proof.fleet_version;
        return Err(format!("it is of version {version}, and this mkbc reads version {FLEET_PROOF_VERSION}"));
    }
    let lines =
        members.iter().enumerate().flat_map(|(at, member)| member.kept().into_iter().map(move |span| (at, span)));
    let broken: BTreeSet<Soft> = lines.filter(|(at, span)| proof.broken.contains(&(*at, span.start))).collect();
    let fleet = translate(members, machines, settings, &broken)?.fleet;
    if digest_of(&fleet) != proof.problem {
        return Err("it is about another problem than the one that the jobs are here: plan and prove again".into());
    }
    let bound = millionths(verify(&fleet, &proof.certificate)?);
    if bound > joint.total.usd_per_hour {
        return Err(format!("no plan costs less than {bound} usd/h, and this one says {}", joint.total.usd_per_hour));
    }
    Ok(bound)
}

fn digest_of(fleet: &Fleet) -> String {
    let json = serde_json::to_string(fleet).unwrap_or_default();
    digest([json.as_str()])
}
