//! The shapes of answers, as `--format json` prints them; `mkbc schema answer` prints their schema.

use crate::check::program::Metric;
use crate::plan::build::total_of;
use crate::plan::model::{Evidence, EvidenceKind, Hardware, PlanStep, Totals};
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeMap;

/// The version of the answers' shapes.
pub const ANSWER_VERSION: u32 = 1;

/// What `--format json` prints for a question that has an answer; a conflict or a mistake is diagnostics instead.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Answer {
    /// [`ANSWER_VERSION`].
    pub version: u32,
    /// The job's name.
    pub job: String,
    /// The cluster's name.
    pub cluster: String,
    /// The question and its answer.
    #[serde(flatten)]
    pub answer: Kind,
}

/// An answer by the question.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(tag = "question", rename_all = "kebab-case")]
pub enum Kind {
    /// `mkbc why`
    Why(Box<Why>),
    /// `mkbc why-not`
    WhyNot(WhyNot),
    /// `mkbc what-if`
    WhatIf(Box<WhatIf>),
    /// `mkbc pareto`
    Pareto(Front),
    /// `mkbc sensitivity`
    Sensitivity(Sensitivity),
}

/// A line of the job, or of a question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Line {
    /// As written.
    pub text: String,
    /// Its line in the job's file, 1-based; `None` where it stands elsewhere (in a question, in a fill).
    pub line: Option<u32>,
}

/// What carries out a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Carrier {
    /// The model or tool.
    pub implementation: String,
    /// The knobs' values, as text.
    pub knobs: BTreeMap<String, String>,
    /// The hardware.
    pub hardware: Hardware,
}

impl Carrier {
    /// Whether this is what carries out a step of a plan.
    pub fn is_of(&self, step: &PlanStep) -> bool {
        // How many replicas there are follows from the load, not from the choice.
        self.implementation == step.implementation
            && self.knobs == step.knobs
            && (&self.hardware.device, self.hardware.units) == (&step.hardware.device, step.hardware.units)
    }
}

/// A step of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct StepName {
    /// Its name in plans.
    pub name: String,
    /// The task.
    pub task: String,
    /// Where it is called, 1-based; 0 for a fill from the lock file.
    pub line: u32,
}

/// What changes from one plan to another in one metric.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Change {
    /// `cost` (usd), `latency` (s), `quality` (ratio), `energy` (Wh), `gpus`, `ttft` and `tpot` (s).
    pub metric: String,
    /// In the plan asked of.
    pub before: Decimal,
    /// In the other one.
    pub after: Decimal,
}

/// Every metric of two plans that is known of both.
pub fn changes(before: &Totals, after: &Totals) -> Vec<Change> {
    let change = |(metric, name): &(Metric, &str)| Change {
        metric: (*name).to_string(),
        before: total_of(*metric, before),
        after: total_of(*metric, after),
    };
    let streams = [before, after].iter().any(|total| !total.streamed.tpot_s.is_zero());
    let known = |metric: Metric| match metric {
        Metric::Energy => before.energy_known && after.energy_known,
        // Where nothing comes token by token, its first token says what its latency says.
        metric => streams || !metric.of_tokens(),
    };
    Metric::ALL.iter().filter(|(metric, _)| known(*metric)).map(change).collect()
}

/// Why a step is carried out as it is.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Why {
    /// The step.
    pub step: StepName,
    /// What carries it out.
    pub chosen: Carrier,
    /// The plan's totals.
    pub total: Totals,
    /// The weakest evidence of the step's figures.
    pub evidence: Option<Evidence>,
    /// The wishes, most important first.
    pub wishes: Vec<String>,
    /// From this plan to the best one; empty where this is the best.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(default)]
    pub better: Vec<Change>,
    /// Lines that decide: without one of them alone, the best plan carries the step out otherwise.
    pub decided_by: Vec<Deciding>,
    /// The best plans in which the step is carried out otherwise; the runner-up first.
    pub alternatives: Vec<Alternative>,
    /// What cannot carry the step out here at all, and why.
    pub excluded: Vec<Excluded>,
}

/// A line without which a step would be carried out otherwise.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Deciding {
    /// The line.
    pub line: Line,
    /// What would carry the step out without it.
    pub instead: Carrier,
    /// What the plan without it comes to.
    pub changes: Vec<Change>,
}

/// The best plan in which a step is carried out otherwise.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Alternative {
    /// What is different: "`whisper`", "other knobs", "other hardware".
    pub what: String,
    /// What then carries the step out; `None` where there is no such plan.
    pub carrier: Option<Carrier>,
    /// What that plan comes to.
    pub changes: Vec<Change>,
    /// The first wish in which it is worse (better, for a plan that was not the best).
    pub differs_in: Option<String>,
    /// Other steps that change with it.
    pub also: Vec<String>,
    /// The lines that cannot be kept with it.
    pub breaks: Vec<Line>,
    /// What else there is to say: `not proved`, `does not fit the machines`.
    pub note: Option<String>,
}

/// What cannot be used, and why.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub struct Excluded {
    /// The model or tool.
    pub implementation: String,
    /// Why.
    pub why: String,
}

/// Why a model or tool was not chosen, by step.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct WhyNot {
    /// What was asked for, as typed.
    pub asked: String,
    /// For each step that it could carry out.
    pub steps: Vec<StepWhyNot>,
}

/// Why it was not chosen for one step.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct StepWhyNot {
    /// The step.
    pub step: StepName,
    /// What carries it out.
    pub chosen: Carrier,
    /// Why.
    pub verdict: NotChosen,
}

/// Why something was not chosen.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum NotChosen {
    /// It was.
    IsChosen,
    /// There is a plan with it, and it is worse.
    Worse {
        /// What then carries the step out.
        carrier: Carrier,
        /// What that plan comes to.
        changes: Vec<Change>,
        /// The first wish in which it is worse; `None` where both plans are equally good.
        differs_in: Option<String>,
        /// What changes in the plan, in lines.
        diff: Vec<String>,
    },
    /// No plan has it and keeps these lines.
    Conflict {
        /// The lines that clash with it.
        lines: Vec<Line>,
        /// What each could reach, what would help.
        said: Vec<String>,
    },
    /// It cannot be used here at all.
    Excluded {
        /// Why, each reason once.
        why: Vec<String>,
    },
    /// The limits of the search were reached.
    Unknown {
        /// In words.
        why: String,
    },
}

/// What a change makes of a plan.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct WhatIf {
    /// What was changed, as typed.
    pub asked: Vec<String>,
    /// The lines of the job that it takes the place of, or drops.
    pub replaced: Vec<Line>,
    /// The cluster of the changed plan.
    pub cluster: String,
    /// What changes in the plan, in lines; empty where nothing does.
    pub diff: Vec<String>,
    /// Every metric before and after; empty where there was no plan before.
    pub changes: Vec<Change>,
    /// The totals of the changed plan.
    pub total: Totals,
    /// Whether the changed plan is proved optimal, and by whom.
    pub proof: String,
    /// Whether it is.
    #[serde(skip)]
    pub optimal: bool,
}

/// Plans that no other one beats.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Front {
    /// The metrics that are traded off, in order.
    pub metrics: Vec<String>,
    /// `complete` (no other point exists, proved), `subset` (there are more), `cut` (the search was cut short).
    pub extent: String,
    /// The limits of the job on these metrics that were ignored.
    pub ignored: Vec<Line>,
    /// The limits that hold, by metric: what is shown of a value keeps them as it does.
    #[serde(skip)]
    pub limits: Vec<(String, Decimal)>,
    /// The points, ascending in the first metric.
    pub points: Vec<FrontPoint>,
}

/// A plan of a front.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct FrontPoint {
    /// `cheapest`, `fastest`, `best`, `chosen`, `knee`, …
    pub labels: Vec<String>,
    /// Whether no plan beats it; the chosen plan may be beaten where the job wishes something else than the front.
    pub on_front: bool,
    /// What it comes to.
    pub total: Totals,
    /// What carries out each step, by the step's name.
    pub steps: Vec<(String, Carrier)>,
}

/// What a plan hangs on.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Sensitivity {
    /// The wish in which regret is counted.
    pub wish: String,
    /// Figures, the one with the smallest move that changes the plan first.
    pub figures: Vec<FigureMoves>,
    /// Figures by what is lost at an end of their interval if the plan is kept: the measurement worth most first.
    pub measure_first: Vec<Value>,
    /// How far figures were moved at most: to nothing, and to so many times their value.
    pub up_to: Decimal,
    /// Why not every figure was examined, where that is so.
    pub bounded: Option<String>,
}

/// A figure of the library that a plan, or one of its close competitors, rests on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub struct FigureName {
    /// The model or tool.
    pub implementation: String,
    /// `latency`, `latency.per.audio`, `quality`, …
    pub figure: String,
    /// The knobs, device and units that its row is for; empty for all.
    pub setting: String,
}

/// By how much a figure must move until a plan changes.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct FigureMoves {
    /// The figure.
    #[serde(flatten)]
    pub name: FigureName,
    /// Its value, in base units (s, usd, W, GB, ratio).
    pub value: Decimal,
    /// What it rests on.
    pub evidence: EvidenceKind,
    /// Where it comes from.
    pub source: String,
    /// Whether the plan itself rests on it, or only a competitor.
    pub used: bool,
    /// The smallest move down that changes the plan.
    pub down: Option<Move>,
    /// The smallest move up that does.
    pub up: Option<Move>,
}

/// A move of a figure that changes a plan.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Move {
    /// The value at which the plan is another one; it is still the same two thousandths of the figure before.
    pub to: Decimal,
    /// The move as a ratio of the figure: −0.25 is a quarter less.
    pub ratio: Decimal,
    /// The line that then breaks, or what then carries out which step.
    pub then: String,
}

/// What a measurement of a figure is worth.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Value {
    /// The figure.
    #[serde(flatten)]
    pub name: FigureName,
    /// Its interval.
    pub interval: (Decimal, Decimal),
    /// What it rests on.
    pub evidence: EvidenceKind,
    /// Where it comes from.
    pub source: String,
    /// What is lost at the worse end, in the wish's unit, if the plan is kept; `None` where the plan then breaks a line.
    pub regret: Option<Decimal>,
    /// The end at which that is so.
    pub at: Decimal,
    /// What would be chosen there, or which line breaks.
    pub then: String,
}

/// The schema of answers, as published in `docs/answer.schema.json`.
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(Answer).to_value()
}
