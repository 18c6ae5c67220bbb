//! A job of a checked file, at a rate → a member of a fleet: prepared for the cluster, with the plan that it would have alone.

use super::translate::Member;
use crate::check::program::Job;
use crate::compile::{Changes, Compiled, Target, Undecided, decide, prepare_job};
use crate::diag::Diagnostics;
use crate::solve::{Certify, Limits};
use crate::space::ends::End;
use crate::space::sizes::InputSizes;
use crate::space::{Machines, Usable};
use rust_decimal::Decimal;

/// A job that is to be a member.
pub struct Wanted<'a> {
    /// Its file, for people.
    pub file: String,
    /// Where it comes from.
    pub compiled: Compiled<'a>,
    /// The job.
    pub job: Job,
    /// Runs a second.
    pub rate: Decimal,
}

/// Makes a member; `late` says when the search for its own plan is to end. Where that cannot be, the diagnostics say why, else the words that come back.
pub fn member<'a>(
    wanted: Wanted<'a>,
    machines: &'a Machines,
    usable: &'a Usable<'a>,
    late: Option<&(dyn Fn() -> bool + Sync)>,
    cx: &mut Diagnostics,
) -> Result<Member<'a>, String> {
    const NOTHING: &InputSizes = &InputSizes::new();
    let Wanted { file, compiled, job, rate } = wanted;
    let limits = Limits { certify: Certify::Off, ..Limits::default() };
    let target = Target { job: None, machines, measured: NOTHING, usable, end: End::Typical, limits };
    // The fleet sees to what the job's rate needs; its plan is that of one run.
    let prepared = prepare_job(compiled, Job { rate: None, ..job }, &target, cx)?;
    match decide(&prepared, &Changes::default(), &Limits { out_of_time: late, ..limits }) {
        Ok(alone) => Ok(Member { file, prepared, alone, rate }),
        Err(Undecided::Unknown(why)) => Err(why),
        Err(Undecided::Clash(clash)) => {
            cx.push(clash.diagnostic(&prepared));
            Err(String::new())
        }
    }
}
