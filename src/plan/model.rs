//! The compiled artefact: which implementation, knobs and hardware carry out each step, what that is predicted to take, and
//! the data flow to execute. Versioned; its JSON schema is published (`mkbc schema plan`).

mod changed;
mod engine;
mod fallback;
mod figures;

pub use self::engine::{CALL, COUNTED, Engine, HttpCall, LongPrices, McpServer, Provider, Serve, takes_calls};
pub use self::fallback::Fallback;
pub use self::figures::{PlanClause, PlanWish, Predicted, PriceChange, ShadowPrice, Totals};
use crate::check::program;
use crate::ir::workflow::{InAgent, Region, StepId, ValueId};
use crate::library::end_to_end::EndToEnd;
pub use crate::library::evidence::{Evidence, EvidenceKind};
use crate::solve::outcome::{Proof, Status};
pub use crate::space::Streamed;
use crate::types::Type;
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The version of the plan's format. A plan of another version is refused.
pub const PLAN_VERSION: u32 = 3;
/// This compiler: what a plan means is what the one that made it meant.
pub const COMPILER: &str = concat!("mkbc ", env!("CARGO_PKG_VERSION"));

/// A compiled job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// [`PLAN_VERSION`] of the compiler that wrote it.
    pub version: u32,
    /// The compiler's name and version.
    pub compiler: String,
    /// The job's name.
    pub job: String,
    /// Digests of what went in.
    pub hashes: Hashes,
    /// The cluster it is for.
    pub cluster: ClusterSpec,
    /// The job's inputs.
    pub inputs: Vec<Input>,
    /// The type of the answer.
    pub result: Type,
    /// The data flow.
    pub body: Region,
    /// What carries out each step; the index is the step's id.
    pub steps: Vec<PlanStep>,
    /// What several steps share, under a rate.
    pub instances: Vec<PlanInstance>,
    /// The calls that are carried out by compositions, in the order of the calls.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub compositions: Vec<PlanComposition>,
    /// Among how many steps the share of late runs is split, where calls could be composed: as many as any plan of them has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tail_steps: Option<u64>,
    /// What lies on each GPU, under a rate: all of them stand ready at once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub placement: Vec<Placed>,
    /// Lines of the language that count as if the job said them, as they were given beside it (`--slo`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub beside: Vec<String>,
    /// The job's clauses, each with its value and slack.
    pub clauses: Vec<PlanClause>,
    /// The wishes, most important first.
    pub wishes: Vec<PlanWish>,
    /// Totals for one run.
    pub total: Totals,
    /// How per-step quality becomes the total: `product`, `min` or `measured`.
    pub quality_rule: String,
    /// The measured rule, where it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measured_quality: Option<EndToEnd>,
    /// How often the job is run, in runs a second. Hardware then stands ready for all of them: its whole time is in the cost, shared
    /// among the runs. Without a rate, a run pays for the time that it keeps hardware busy.
    pub rate_per_s: Option<Decimal>,
    /// The trace beside the job's file whose busiest minute that is, where the job names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_from: Option<String>,
    /// Whether every figure is taken at the end of its interval that is against the user: clauses then hold for all that lies
    /// between the ends, and a wish is that of the worst case.
    pub robust: bool,
    /// How far the choice is proved.
    pub proof: Proof,
    /// Programs and scripts that carry it out on the machine that it was made for, by path, with the SHA-256 of their bytes: a run begins
    /// only where they are still these. Empty where none are pinned.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub programs: BTreeMap<String, String>,
}

impl Plan {
    /// A data flow with those who carry it out, and no word of what that takes: what is run in order to be measured.
    pub fn to_measure(
        job: String,
        pools: BTreeMap<String, Pool>,
        inputs: Vec<Input>,
        body: Region,
        result: Type,
        steps: Vec<PlanStep>,
    ) -> Plan {
        Plan {
            version: PLAN_VERSION,
            compiler: COMPILER.into(),
            job,
            hashes: Hashes { source: String::new(), library: String::new(), lock: None },
            cluster: ClusterSpec { name: "here".into(), pools },
            inputs,
            result,
            body,
            steps,
            instances: Vec::new(),
            compositions: Vec::new(),
            tail_steps: None,
            placement: Vec::new(),
            clauses: Vec::new(),
            wishes: Vec::new(),
            total: Totals::default(),
            quality_rule: "product".into(),
            measured_quality: None,
            rate_per_s: None,
            rate_from: None,
            robust: false,
            proof: Proof {
                status: Status::Feasible { wish: 0, bound: 0 },
                by: "nobody".into(),
                z3_checks: 0,
                nodes: 0,
                kept: (0, 0),
            },
            programs: BTreeMap::new(),
            beside: Vec::new(),
        }
    }

    /// Puts steps in the place of those that have their numbers.
    pub fn replace(&mut self, steps: &[PlanStep]) {
        for step in steps {
            let place = self.steps.iter_mut().find(|s| s.id == step.id);
            place.into_iter().for_each(|place| *place = step.clone());
        }
    }

    /// Whether a clause or wish speaks of a metric.
    pub fn speaks_of(&self, metric: &str) -> bool {
        let wished = self.wishes.iter().filter_map(|w| w.text.split_once(' ')).any(|(_, m)| m == metric);
        wished || self.clauses.iter().any(|c| c.metric == metric)
    }
}

/// Digests (SHA-256, lower-case hex) of what a plan was compiled from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Hashes {
    /// The `.mkb` file.
    pub source: String,
    /// The library: every `.mkb` and profile in it.
    pub library: String,
    /// The lock file, where holes were filled.
    pub lock: Option<String>,
}

/// An input of the job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// Its name: `--NAME VALUE` on the command line.
    pub name: String,
    /// Its type.
    #[serde(rename = "type")]
    pub ty: Type,
    /// The value that the body uses.
    pub value: ValueId,
    /// The sizes that the plan assumes (seconds, tokens, counts), by size name.
    pub sizes: BTreeMap<String, Decimal>,
}

/// The machines a plan is for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClusterSpec {
    /// Its name; `here` for the machine the compiler ran on.
    pub name: String,
    /// Pools, by device name.
    pub pools: BTreeMap<String, Pool>,
}

/// So many devices of a kind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pool {
    /// How many (cores, for `cpu`).
    pub units: u32,
    /// Price of one for an hour, in dollars.
    pub usd_per_hour: Decimal,
}

/// What carries out a step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlanStep {
    /// The step.
    pub id: StepId,
    /// Its display name, unique in the plan: the task's name, numbered where a task is called twice.
    pub name: String,
    /// The library task.
    pub task: String,
    /// Where in the source it was called (1-based line); 0 for a fill from the lock file.
    pub line: u32,
    /// The model or tool.
    pub implementation: String,
    /// What the implementation is called where people must not take it for more than it is (`lowest tier`).
    pub label: Option<String>,
    /// The knobs' values, as text.
    pub knobs: BTreeMap<String, String>,
    /// The hardware; of a step that shares an instance, the instance's.
    pub hardware: Hardware,
    /// The instance that it shares with other steps, as an index into the plan's.
    pub instance: Option<usize>,
    /// The composition that it is a part of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<PlanPart>,
    /// The agent that it is a step or a tool of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<InAgent>,
    /// How it is executed.
    pub engine: Engine,
    /// The parameters that the task takes, in order.
    pub params: Vec<(String, Type)>,
    /// What it yields.
    pub output: Type,
    /// Expected calls in one run (maps and loops multiplied).
    pub calls: Decimal,
    /// Conditions on the execution.
    pub conditions: Conditions,
    /// Predicted figures for all its calls in one run.
    pub predicted: Predicted,
    /// What the figures rest on, weakest first.
    pub evidence: Vec<Evidence>,
    /// By whom the qualities are that were compared for it, the choice's own first (empty for one that nobody is named for): one alone where
    /// what others judged was left out; empty where nobody says other qualities, or the job says nothing of quality.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reporters: Vec<String>,
    /// Why this and nothing else, in one sentence.
    pub reason: String,
    /// What carries a call out where this fails for good, in this order. Each of them keeps every clause in this one's place.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fallbacks: Vec<Fallback>,
}

/// A call that a composition carries out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlanComposition {
    /// The name that the call's step would have.
    pub call: String,
    /// The task that is called.
    pub task: String,
    /// The composition.
    pub composition: String,
    /// What it must not be taken for more than.
    pub label: Option<String>,
    /// The knobs' values, as text.
    pub knobs: BTreeMap<String, String>,
    /// Why this and no plain call, in one sentence.
    pub reason: String,
}

/// What a step is in a composition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlanPart {
    /// The composition, as an index into the plan's.
    pub composition: usize,
    /// The share of its answers that are this step's, 0 to 1; none for a step that does not answer.
    pub answers: Option<Decimal>,
}

/// What stands ready for several steps: a served model that they use, or a GPU on which their models lie side by side.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlanInstance {
    /// The model that all of them use; `None` where each has one of its own there.
    pub implementation: Option<String>,
    /// The knobs that are the model's.
    pub knobs: BTreeMap<String, String>,
    /// What it holds, once for all steps that use it.
    pub hardware: Hardware,
    /// What it costs a run, beside the steps' own cost, in dollars.
    pub cost_usd: Decimal,
}

/// What lies on one GPU.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Placed {
    /// The GPU's kind.
    pub device: String,
    /// Which one of its pool, from 0.
    pub index: u32,
    /// The steps whose models lie on it.
    pub steps: Vec<StepId>,
    /// The memory that these fill, in gigabytes.
    pub memory_gb: Decimal,
}

/// Devices that a step holds while it runs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Hardware {
    /// `cpu`, a GPU's name (`a100`), or `api` where a provider runs it.
    pub device: String,
    /// How many (cores, for `cpu`); 0 for `api`.
    pub units: u32,
    /// How often they are there side by side, to keep up with the job's rate.
    pub replicas: u32,
}

impl Hardware {
    /// All devices that the step holds.
    pub fn held(&self) -> u32 {
        self.units.saturating_mul(self.replicas)
    }
}

/// Conditions on the execution of a step.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Conditions {
    /// Further attempts after the first, for failures that may pass.
    pub retries: u32,
    /// Wall-clock limit of one attempt, in milliseconds.
    pub timeout_ms: Option<u64>,
    /// Whether results of other runs are taken over, and its own kept for them, where the job says so; else what kind of thing carries it
    /// out decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<Reuse>,
}

/// Whether results of other runs are taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Reuse {
    /// They are, whatever their age; or they are not.
    Always(bool),
    /// They are while they are new.
    While(Age),
}

/// How old a result may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Age {
    /// Milliseconds since its call began, at most.
    pub at_most_ms: u64,
}

impl From<program::Reuse> for Reuse {
    fn from(said: program::Reuse) -> Reuse {
        match said {
            program::Reuse::Off => Reuse::Always(false),
            program::Reuse::On => Reuse::Always(true),
            program::Reuse::For(at_most_ms) => Reuse::While(Age { at_most_ms }),
        }
    }
}
