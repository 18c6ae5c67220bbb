//! `mkbc bench joint`: seeded fleets of jobs, or fleets from files, planned together, with cost, bound and gap.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use rustix::time::{ClockId, clock_gettime};

use crate::bench::fleet_file::FleetFile;
use crate::bench::joint_families::{Sharing, fleet};
use crate::cli::load::{read, time_limit, write};
use crate::cli::{Failure, print};
use crate::solve::joint::problem::Fleet;
use crate::solve::joint::{Limits, Outcome, solve};

/// How much the jobs share.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Family {
    /// Most models can carry out every task
    Dense,
    /// A task has few models of its own
    Sparse,
}

#[derive(Args)]
pub struct JointOptions {
    /// How many jobs
    #[arg(long, default_value_t = 10, value_name = "N")]
    pub jobs: usize,
    /// How much they share
    #[arg(long, value_enum, default_value_t = Family::Dense)]
    pub family: Family,
    /// How many fleets
    #[arg(long, default_value_t = 3, value_name = "N")]
    pub seeds: u64,
    /// Write each fleet to this folder as JSON, and plan nothing
    #[arg(long, value_name = "DIR")]
    pub write: Option<PathBuf>,
    /// Plan this fleet (repeatable)
    #[arg(long, value_name = "FILE")]
    pub read: Vec<PathBuf>,
    /// Seconds of CPU time for each fleet
    #[arg(long, default_value_t = 10.0, value_name = "SECONDS")]
    pub time_limit: f64,
}

/// Makes or reads fleets, plans them, shows what came of it.
pub fn joint(options: &JointOptions) -> Result<(), Failure> {
    time_limit(options.time_limit)?;
    if !(1..=10_000).contains(&options.jobs) {
        return Err(Failure::Usage("`--jobs` is from 1 to 10000".into()));
    }
    for path in &options.read {
        let file = FleetFile::read(&read(path)?);
        let file = file.map_err(|why| Failure::Message(format!("`{}` {why}", path.display())))?;
        run(&file.name, &file.fleet, options.time_limit)?;
    }
    for seed in 0..if options.read.is_empty() { options.seeds } else { 0 } {
        let (sharing, word) = match options.family {
            Family::Dense => (Sharing::Dense, "dense"),
            Family::Sparse => (Sharing::Sparse, "sparse"),
        };
        let fleet = fleet(options.jobs, sharing, seed);
        let name = format!("joint-{}-{word}-{seed}", options.jobs);
        match &options.write {
            Some(folder) => {
                write(&folder.join(format!("{name}.json")), &FleetFile::new(&name, fleet).write())?;
            }
            None => run(&name, &fleet, options.time_limit)?,
        }
    }
    Ok(())
}

fn run(name: &str, fleet: &Fleet, seconds: f64) -> Result<(), Failure> {
    let start = cpu();
    let out_of_time = move || cpu() - start >= seconds;
    let limits = Limits { rounds: u64::MAX, out_of_time: Some(&out_of_time), ..Limits::default() };
    let outcome = solve(fleet, &limits);
    let took = cpu() - start;
    match outcome {
        Outcome::Planned(planned) => {
            let dollars = |micro: i128| micro as f64 / 1e6;
            let proved = if planned.optimal() { " proved" } else { "" };
            print(&format!(
                "{name}: {:.6} bound {:.6} gap {:.3} % cpu {took:.2} s, {} nodes, {} jobs solved{proved}\n",
                dollars(planned.cost),
                dollars(planned.bound),
                100.0 * planned.gap(),
                planned.nodes,
                planned.solves,
            ));
            Ok(())
        }
        Outcome::Refused(_) => {
            print(&format!("{name}: no plan, proved; cpu {took:.2} s\n"));
            Ok(())
        }
        Outcome::Unknown(why) => Err(Failure::Message(format!("{name}: {why}"))),
    }
}

/// Seconds of CPU time of this process.
fn cpu() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}
