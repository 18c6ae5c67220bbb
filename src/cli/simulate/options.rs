//! The options of `mkbc simulate`.

use crate::cli::args::{EvidenceOptions, FleetTerms};
use crate::simulate::arrivals::Form;
use crate::simulate::engine::Service;
use clap::{Args, ValueEnum};
use std::path::PathBuf;

#[derive(Args)]
pub struct SimulateOptions {
    /// The job files: all jobs are on one cluster
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// A folder of .mkb files and profiles/*.csv to add to the library (repeatable)
    #[arg(long, value_name = "DIR")]
    pub library: Vec<PathBuf>,
    /// The cluster: its name, `FILE.mkb` or `FILE.mkb:NAME`
    #[arg(long)]
    pub cluster: Option<String>,
    /// The jobs as somebody sets them up by hand, for `static` and `autoscaled`; of one without such a file, the best quality that its limits
    /// allow, as cheap as that can be had (repeatable)
    #[arg(long, value_name = "FILE")]
    pub by_hand: Vec<PathBuf>,
    /// A trace of arrivals, .csv or .jsonl, packed with gzip or not; with a column `job` where there are several
    #[arg(long, value_name = "FILE")]
    pub trace: Option<PathBuf>,
    /// Rates by job: `a=30/s`, one for each hour `a=30/s|45/s|20/s`, or a trace `a=trace.csv.gz`; several with commas
    #[arg(long, value_name = "LOAD")]
    pub load: Option<String>,
    /// How runs arrive at a stated rate
    #[arg(long, value_enum, default_value_t = Arriving::Poisson)]
    pub arrivals: Arriving,
    /// Hours to simulate [default: until a trace's last arrival; 24 for stated rates]
    #[arg(long, value_name = "HOURS")]
    pub hours: Option<f64>,
    /// How long runs that are open when arrivals end may go on [default: 1h; with `--hours` not at all]
    #[arg(long, value_name = "TIME")]
    pub drain: Option<String>,
    /// How long a plan of `adaptive` is for, and the stretches that the report shows: `1h`, `30min`
    #[arg(long, default_value = "1h", value_name = "TIME")]
    pub epoch: String,
    /// Policies, with commas: static, autoscaled, per-job, joint, adaptive, or names of --policy-plan
    #[arg(long, default_value = "all", value_name = "NAMES")]
    pub policy: String,
    /// A joint plan by hand for a policy: NAME=PLAN; under another name, one that never changes (repeatable)
    #[arg(long, value_name = "NAME=PLAN")]
    pub policy_plan: Vec<String>,
    /// What everything that is drawn hangs on
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub seed: u64,
    /// How long a call takes about what is planned for it
    #[arg(long, value_enum, default_value_t = Drawn::Planned)]
    pub service: Drawn,
    #[command(flatten)]
    pub terms: FleetTerms,
    /// How long it takes until a machine is there
    #[arg(long, default_value = "2min", value_name = "TIME")]
    pub provision: String,
    /// How fast a model is loaded, gigabytes a second
    #[arg(long, default_value_t = 1.0, value_name = "GB")]
    pub load_speed: f64,
    /// Mean time between failures of a replica: `720h` [default: none fails]
    #[arg(long, value_name = "TIME")]
    pub mtbf: Option<String>,
    /// What becomes of devices, from a time on: `2h: h100 * 6`, `8h: h100 at 1.9 usd/h`, `8h: h100 * 6 at 1.9 usd/h` (repeatable)
    #[arg(long, value_name = "CHANGE")]
    pub change: Vec<String>,
    /// Spot devices, each taken away so often in the mean: `h100=5%/h` (repeatable)
    #[arg(long, value_name = "DEVICE=SHARE")]
    pub spot: Vec<String>,
    /// How long it takes until a spot device is back
    #[arg(long, default_value = "30min", value_name = "TIME")]
    pub spot_back: String,
    /// Jobs whose figures are also shown together: `gold=letters,invoices` (repeatable)
    #[arg(long, value_name = "TIER=JOBS")]
    pub tier: Vec<String>,
    /// How many blocks of prefixes a replica keeps of what it has read, where a trace says them (`hash_ids`)
    #[arg(long, default_value_t = 0, value_name = "BLOCKS")]
    pub prefix_cache: usize,
    /// Rounds of the joint solver for each plan: more may find cheaper plans
    #[arg(long, default_value_t = 2000, value_name = "N")]
    pub rounds: u64,
    /// Fail where a lock file does not hold every fill
    #[arg(long)]
    pub locked: bool,
    #[command(flatten)]
    pub evidence: EvidenceOptions,
    /// Write a page with curves over time and all tables
    #[arg(long, value_name = "FILE.html")]
    pub report: Option<PathBuf>,
    /// How the figures are written
    #[arg(long, value_enum, default_value_t = Shown::Text)]
    pub format: Shown,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Shown {
    /// Tables
    Text,
    /// One JSON document with everything, epochs among it
    Json,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Arriving {
    /// Whenever: exponential times between them
    Poisson,
    /// At equal times from each other
    Constant,
}

impl From<Arriving> for Form {
    fn from(arriving: Arriving) -> Form {
        match arriving {
            Arriving::Poisson => Form::Poisson,
            Arriving::Constant => Form::Constant,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Drawn {
    /// Just as long
    Planned,
    /// Exponentially distributed
    Exponential,
}

impl From<Drawn> for Service {
    fn from(drawn: Drawn) -> Service {
        match drawn {
            Drawn::Planned => Service::Planned,
            Drawn::Exponential => Service::Exponential,
        }
    }
}
