//! Jobs at their rates + a cluster + a limit of time → the joint plan, made at once or for a part of the jobs at a time.

use super::{Say, members};
use crate::check::program::Job;
use crate::cli::Failure;
use crate::cli::args::Format;
use crate::cli::expand::Filled;
use crate::cli::load::show;
use crate::diag::Diagnostics;
use crate::fleet::join::{Unjoined, joined};
use crate::fleet::model::JointPlan;
use crate::fleet::refuse;
use crate::fleet::split::Split;
use crate::fleet::translate::{Member, Settings};
use crate::solve::joint;
use crate::space::Machines;
use rust_decimal::Decimal;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Jobs that are to be planned together.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    pub sources: &'a [Filled],
    pub files: &'a [&'a PathBuf],
    pub names: &'a [&'a str],
    pub rates: &'a BTreeMap<String, Decimal>,
    pub machines: &'a Machines,
}

impl<'a> Asked<'a> {
    /// The jobs, each with its plan alone, for all of which there is so much time.
    fn members(&self, time: Duration, format: Format) -> Result<Vec<Member<'a>>, Failure> {
        let Asked { sources, files, names, rates, machines } = *self;
        members(
            sources,
            files,
            names,
            rates,
            machines,
            (Say::All(format), Some(time / names.len() as u32)),
            &Job::clone,
        )
    }

    /// Of the time a quarter is for each job by itself, half for all together, and the rest for what each would cost alone; what it takes to
    /// prepare the jobs is not in it, and a proof has as much again.
    pub fn at_once(
        &self,
        settings: &Settings,
        limit: Duration,
        format: Format,
        proof: Option<&Path>,
    ) -> Result<JointPlan, Failure> {
        let members = self.members(limit / 4, format)?;
        let clock = Clock::new(limit, members.len());
        let out_of_time = || clock.out();
        let limits = joint::Limits { rounds: u64::MAX, out_of_time: Some(&out_of_time), ..joint::Limits::default() };
        match joined(&members, self.machines, settings, &limits, &|job| clock.alone(job)) {
            Ok((joint, made)) => {
                if let Some(path) = proof {
                    super::proof::store(&joint, &made, limit, path)?;
                }
                Ok(joint)
            }
            Err(Unjoined::Unknown(why)) => Err(Failure::Message(why)),
            Err(Unjoined::Refused(translated) | Unjoined::Open(translated, _)) => {
                let asked = Instant::now();
                let late = move || asked.elapsed() >= limit.max(Duration::from_secs(1));
                let (job, diagnostic) = refuse::explain(&members, &translated, &self.machines.name, &late);
                let mut cx = Diagnostics::default();
                cx.push(diagnostic);
                show(&cx, members[job].prepared.compiled.texts, format);
                Err(Failure::Said)
            }
        }
    }

    /// The same for so many jobs at a time, each part with its share of the time.
    pub fn in_parts(
        &self,
        size: usize,
        settings: &Settings,
        limit: Duration,
        format: Format,
    ) -> Result<JointPlan, Failure> {
        let count = self.names.len();
        let mut split = Split::new(self.machines, settings.utilisation);
        for from in (0..count).step_by(size) {
            let to = (from + size).min(count);
            let (sources, files, names) = (&self.sources[from..to], &self.files[from..to], &self.names[from..to]);
            let time = limit.mul_f64((to - from) as f64 / count as f64);
            let members = Asked { sources, files, names, ..*self }.members(time / 4, format)?;
            let clock = Clock::new(time, members.len());
            let out_of_time = || clock.out();
            let limits =
                joint::Limits { rounds: u64::MAX, out_of_time: Some(&out_of_time), ..joint::Limits::default() };
            split.add(&members, &limits, &|job| clock.alone(job)).map_err(unjoined)?;
        }
        split.plan(&self.sources[0].checked.library).map_err(unjoined)
    }
}

/// Why there is no plan, where nobody can say what would help.
fn unjoined(why: Unjoined) -> Failure {
    match why {
        Unjoined::Unknown(why) | Unjoined::Open(_, why) => Failure::Message(why),
        Unjoined::Refused(_) => Failure::Message("the jobs do not fit together".to_string()),
    }
}

/// The time of a joint plan, from now on.
struct Clock {
    begun: Instant,
    quarter: Duration,
    jobs: u32,
}

impl Clock {
    fn new(limit: Duration, jobs: usize) -> Clock {
        Clock { begun: Instant::now(), quarter: limit / 4, jobs: jobs as u32 }
    }

    /// Whether that for all jobs together is out.
    fn out(&self) -> bool {
        self.begun.elapsed() >= self.quarter * 2
    }

    /// Whether that for what a job would cost alone is.
    fn alone(&self, job: usize) -> bool {
        self.begun.elapsed() >= self.quarter * 3 - self.quarter / self.jobs * (self.jobs - 1 - job as u32)
    }
}
