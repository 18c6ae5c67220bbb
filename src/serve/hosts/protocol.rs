//! What a server and its hosts say to each other, as JSON. Both sides are one version of mkbc: another one is refused.

use crate::ir::workflow::StepId;
use crate::run::devices::Inventory;
use crate::run::devices::sensors::Load;
use crate::run::journal::RunInfo;
use crate::run::journal::record::Record;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// Where hosts register.
pub const HOSTS: &str = "/v1/hosts";
/// Below which leases are.
pub const LEASES: &str = "/v1/leases";
/// The header with the SHA-256 of a file that is sent, lower-case hex.
pub const DIGEST: &str = "x-mkbc-sha256";
/// Records of a run that are sent at a time.
pub const PAGE: usize = 256;
/// Bytes of a report that goes with the end of its run.
pub const SMALL: usize = 64 << 10;

/// Who registers.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Hello {
    /// What it calls itself; letters, digits, `-`, `_` and `.`.
    pub name: String,
    /// Its mkbc.
    pub version: String,
    /// Which process it is: a word that it has drawn.
    pub process: String,
    /// Whether this process was registered before.
    pub again: bool,
    /// Runs that it carries out at a time.
    pub runs: u32,
    /// What it has, as `mkbc devices --json` shows it.
    #[schemars(with = "Value")]
    pub inventory: Inventory,
    /// Implementations of its library that it can run.
    #[serde(default)]
    pub usable: BTreeSet<String>,
    /// What it works on since an earlier server.
    pub leases: Vec<Held>,
}

/// A run that a host works on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Held {
    /// The run.
    pub run: u64,
    /// Which runtime of the run it is. Whatever an earlier one still sends is refused.
    pub fence: u64,
    /// What it was told to do.
    pub told: Wish,
}

/// How far a run is to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Wish {
    /// To its end.
    Go,
    /// To the end of what is under way.
    Drain,
    /// No further.
    Stop,
}

/// A host is registered.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Welcome {
    /// The name under which the server shows it.
    pub host: String,
    /// What it says when it asks, as long as this server knows it.
    pub session: String,
    /// Seconds of silence after which its runs go to others.
    pub lease_s: f64,
}

/// A host asks what there is to do, and says that it is there. Answered when there is news, or after a third of the lease.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ask {
    /// Runs that it can take.
    pub free: u32,
    /// Runs that it works on.
    pub leases: Vec<Held>,
    /// What its machine does.
    #[serde(default)]
    pub load: Load,
}

/// What there is to do.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct News {
    /// A run to carry out. One whose answer got lost is granted again.
    pub grant: Option<Box<Grant>>,
    /// Runs that are to go less far.
    pub stop: Vec<Stop>,
    /// Runs that are the host's no longer.
    pub lost: Vec<u64>,
}

impl News {
    /// Whether there is nothing to say.
    pub fn is_none(&self) -> bool {
        self.grant.is_none() && self.stop.is_empty() && self.lost.is_empty()
    }
}

/// A run that is to go less far.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Stop {
    /// Which.
    pub run: u64,
    /// How far.
    pub wish: Wish,
}

/// A run to carry out. Its files are named as on the server, of which the host asks for them.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Grant {
    /// The run's number in the service.
    pub run: u64,
    /// Whose it is.
    pub tenant: String,
    /// Which runtime of the run the host is.
    pub fence: u64,
    /// The run's number in the server's journal.
    pub journal: u64,
    /// Records that are there.
    pub count: u64,
    /// What the journal says of the run.
    #[schemars(with = "Value")]
    pub info: RunInfo,
    /// Its folder on the server.
    pub folder: PathBuf,
    /// The plan's text.
    pub plan: String,
    /// The inputs.
    pub inputs: BTreeMap<String, Value>,
    /// Whether it is of a deployed workflow: its calls ask for places.
    pub placed: bool,
    /// What is kept for it, millionths of a dollar; 0 where nothing is.
    pub held_micro: u64,
    /// Seconds that calls have to end where the run is stopped.
    pub grace_s: f64,
}

/// A call of a run is about to begin.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Enter {
    /// The step that it is of.
    pub step: StepId,
}

/// Whether there is a place for a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Placed {
    /// It has one, until it is given back or the lease is over.
    Taken,
    /// Not yet: it is asked again.
    Later,
    /// Nothing bounds the step.
    Unbounded,
}

/// A call is over.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Left {
    /// How long it took until it gave a value, seconds; left out where it gave none.
    pub took_s: Option<f64>,
}

/// Records of a run.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Records {
    /// The number of the first.
    pub from: u64,
    /// They, in order, as the journal writes them.
    #[schemars(with = "Vec<Value>")]
    pub records: Vec<Record>,
}

/// Records are written.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Appended {
    /// How many the run has now: the number of the next one.
    pub next: u64,
}

/// A run is the host's no longer.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ended {
    /// How it ended.
    pub outcome: Outcome,
    /// What it cost, millionths of a dollar, where that is known.
    pub spent_micro: Option<u64>,
    /// What of it is for people, and small: files of the run's folder, with their texts. The larger ones were sent before.
    #[serde(default)]
    pub reports: BTreeMap<ReportFile, String>,
}

/// A file of a run's folder that says how the run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReportFile {
    /// `report.json`.
    Report,
    /// `result.json`.
    Result,
}

impl ReportFile {
    /// Both.
    pub const ALL: [ReportFile; 2] = [ReportFile::Report, ReportFile::Result];

    /// What the file is called.
    pub fn name(self) -> &'static str {
        match self {
            ReportFile::Report => "report.json",
            ReportFile::Result => "result.json",
        }
    }
}

/// How a run ended on a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It has an answer, which is in the records.
    Done,
    /// It failed; why.
    Failed(String),
    /// It was stopped, by somebody or with the host.
    Stopped,
    /// The host lacks something that the plan needs; what. The run is another's.
    Refused(String),
}
