//! Soft lines (`prefer`) that the jobs of a fleet cannot all keep together give way, as they do in the plan of one job.

use super::translate::{Member, Settings, Soft, Translated, translate};
use crate::solve::joint::{Limits, Outcome, solve};
use crate::space::Machines;
use std::collections::BTreeSet;

/// Solves for all members with the soft lines that each keeps alone; where nothing fits, with as many of them as leave a plan, in the
/// order of jobs and lines. What was solved last belongs to the outcome.
pub fn solved(
    members: &[Member],
    machines: &Machines,
    settings: &Settings,
    limits: &Limits,
) -> Result<(Translated, Outcome), String> {
    let attempt = |broken: &BTreeSet<Soft>| -> Result<(Translated, Outcome), String> {
        let translated = translate(members, machines, settings, broken)?;
        let outcome = solve(&translated.fleet, limits);
        Ok((translated, outcome))
    };
    let first = attempt(&BTreeSet::new())?;
    let soft: Vec<Soft> =
        members.iter().enumerate().flat_map(|(at, m)| m.kept().into_iter().map(move |span| (at, span))).collect();
    if soft.is_empty() || !matches!(first.1, Outcome::Refused(_)) {
        return Ok(first);
    }
    let mut broken: BTreeSet<Soft> = soft.iter().copied().collect();
    let mut best = attempt(&broken)?;
    if !matches!(best.1, Outcome::Planned(_)) {
        return Ok(best);
    }
    for line in soft {
        broken.remove(&line);
        let with = attempt(&broken)?;
        if matches!(with.1, Outcome::Planned(_)) {
            best = with;
        } else {
            broken.insert(line);
        }
    }
    Ok(best)
}
