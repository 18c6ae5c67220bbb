//! What goes in and out over HTTP. The OpenAPI document is made of these types and their comments.

use crate::serve::store::{Accepted, State};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A job to run: a plan, or a source that the server plans.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Submission {
    /// A plan, as `mkbc plan --json` prints it, or as a text the digest of one that this tenant submitted before (`plan` of a run).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<Value>,
    /// The text of a `.mkb` file, in place of a plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// What the source's file is called where something is said about it; `job.mkb` where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The job, where the source has several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
    /// The text of the source's lock file. Holes that it does not fill are filled by typed search.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lock: Option<String>,
    /// Lines that count as if the source's job said them, limits in place of its own: `cost <= 0.10 usd`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub slo: Vec<String>,
    /// Whether the source's limits are to hold at the worst end of every figure.
    #[serde(default)]
    pub robust: bool,
    /// Seconds to look for a better plan of the source, 60 at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_limit_s: Option<f64>,
    /// The job's inputs by name. A medium is `{"blob": "<SHA-256>"}`, uploaded before.
    #[serde(default)]
    pub inputs: Map<String, Value>,
    /// A name for this run, as the header `Idempotency-Key` gives one: submitted again with the same content, it is the same run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// 0 (lowest) to 9; 4 where it is left out, or the tenant's highest where that is lower.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<u8>,
    /// What the run may cost at most, in dollars, whatever its plan allows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_usd: Option<f64>,
}

/// A run.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct RunStatus {
    /// Its number.
    pub id: u64,
    /// Whose it is.
    pub tenant: String,
    /// The job.
    pub job: String,
    /// The tenant's key for it.
    pub key: Option<String>,
    /// How far it is.
    pub state: State,
    /// 0 (lowest) to 9.
    pub priority: u8,
    /// When it was submitted (RFC 3339).
    pub submitted: String,
    /// When its state changed last (RFC 3339).
    pub changed: String,
    /// The digest of its plan.
    pub plan: String,
    /// What is kept of the tenant's budget for it, dollars; 0 where it has none.
    pub held_usd: f64,
    /// What it cost, dollars, once it has ended.
    pub cost_usd: Option<f64>,
    /// Why it failed.
    pub error: Option<String>,
    /// Its number in the project's journal (`mkbc show`), once it was begun.
    pub journal: Option<u64>,
}

impl From<Accepted> for RunStatus {
    fn from(run: Accepted) -> RunStatus {
        let usd = |micro: u64| micro as f64 / 1e6;
        RunStatus {
            id: run.id,
            tenant: run.tenant,
            job: run.job,
            key: run.key,
            state: run.state,
            priority: run.priority,
            submitted: moment(run.submitted_ms),
            changed: moment(run.changed_ms),
            plan: run.plan,
            held_usd: usd(run.held_micro),
            cost_usd: run.spent_micro.map(usd),
            error: run.error,
            journal: run.journal,
        }
    }
}

/// A moment in milliseconds since 1970, for people and programs.
pub fn moment(ms: i64) -> String {
    Timestamp::from_millisecond(ms).unwrap_or_default().to_string()
}

/// A page of runs, the latest first.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct RunList {
    /// The runs.
    pub runs: Vec<RunStatus>,
    /// What `cursor` is to be for the next page; none on the last.
    pub next: Option<String>,
}

/// Which runs are listed.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    /// Only runs in this state.
    pub state: Option<State>,
    /// Only runs of this job.
    pub job: Option<String>,
    /// Where the last page ended (its `next`).
    pub cursor: Option<String>,
    /// Runs on a page, 1 to 500; 50 where it is left out.
    pub limit: Option<usize>,
}

/// How long a result is waited for.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WaitQuery {
    /// Seconds to wait for the run to end, 60 at most.
    pub wait_s: Option<u32>,
}

/// What came of a run.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct RunResult {
    /// The run's number.
    pub id: u64,
    /// The answer. A file in it is `{"file": "<path>", "url": "/v1/runs/ID/files/<path>", …}`.
    pub result: Value,
    /// What it cost, dollars.
    pub cost_usd: Option<f64>,
    /// Seconds that the worker took that finished it.
    pub took_s: f64,
}

/// What became of the wish to stop a run.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Cancelled {
    /// The run.
    pub run: RunStatus,
    /// Whether what is under way may still end; a second request stops it at once.
    pub draining: bool,
}

/// A blob that is kept.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Uploaded {
    /// Its SHA-256, lower-case hex: inputs name it with `{"blob": "…"}`.
    pub blob: String,
    /// Its size.
    pub bytes: u64,
}

/// Whether the server is well.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Health {
    /// `ok`, or `stopping`.
    pub status: String,
    /// The server's version.
    pub version: String,
}

/// Something that happened to a run. The stream's `id` of each tells where to go on (`Last-Event-ID`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum RunEvent {
    /// Its state changed.
    State {
        /// To what.
        state: State,
        /// When (RFC 3339).
        at: String,
        /// What is said about it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        note: Option<String>,
    },
    /// A worker of this or an earlier server took it over.
    Opened {
        /// Which one, from 1.
        runtime: u64,
    },
    /// A call of a step is about to be made.
    Began {
        /// Which.
        #[serde(flatten)]
        call: EventCall,
        /// Which attempt this is.
        attempt: u32,
    },
    /// A call is done.
    Done {
        /// Which.
        #[serde(flatten)]
        call: EventCall,
        /// Seconds that it took.
        wall_s: f64,
        /// Dollars, where it cost something by itself.
        cost_usd: Option<f64>,
        /// Whether its result was known from another run.
        cached: bool,
    },
    /// An attempt failed, and another follows.
    Retried {
        /// The step.
        step: String,
        /// The attempt that failed.
        attempt: u32,
        /// Why.
        message: String,
    },
    /// A call failed for good, and a fallback of the plan carries it out.
    FellBack {
        /// Which.
        #[serde(flatten)]
        call: EventCall,
        /// What carries it out now.
        to: String,
        /// Why.
        message: String,
    },
    /// A call failed, and with it the run.
    Failed {
        /// Which.
        #[serde(flatten)]
        call: EventCall,
        /// Why.
        message: String,
    },
    /// Something is to be said of the run.
    Note {
        /// What.
        message: String,
    },
}

/// A call of a step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EventCall {
    /// The step, as the plan names it.
    pub step: String,
    /// Where in the data flow: items of maps and rounds of loops around it, then the value that it defines.
    pub path: String,
}

/// Why a request is not carried out.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Problems {
    /// Why.
    pub error: Problem,
}

/// Why a request is not carried out, for programs and people.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Problem {
    /// A word for programs.
    pub code: String,
    /// A sentence.
    pub message: String,
    /// What to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// What is wrong in the source, as `mkbc check --format json` says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diagnostics: Option<Vec<Value>>,
    /// The same for a terminal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}
