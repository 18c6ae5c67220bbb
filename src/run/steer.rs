//! What a run took so far -> how the rest of it is to be carried out, by somebody who knows more than the plan. The runtime asks and does what
//! it is told; it chooses nothing.

use crate::ir::workflow::StepId;
use crate::plan::model::PlanStep;
use std::collections::BTreeMap;

/// How far a step is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// None of its calls was begun.
    Waiting,
    /// Some of its calls were begun.
    Begun,
    /// All of them are done.
    Done,
}

/// What a step took so far.
#[derive(Clone, Debug, PartialEq)]
pub struct StepNow {
    /// The step.
    pub step: StepId,
    /// How far it is.
    pub stage: Stage,
    /// Calls that are certain so far.
    pub known: u64,
    /// Calls that are done.
    pub done: u64,
    /// Calls that are being made.
    pub under_way: u64,
    /// Time of its calls, as a plan predicts it, seconds.
    pub took_s: f64,
    /// Time of the calls that are done, added up, seconds.
    pub busy_s: f64,
    /// Since its first call began, seconds.
    pub running_s: f64,
    /// Money, dollars.
    pub cost_usd: f64,
    /// Who stands in for its choice and is planned to do it worse: what it gives is in what follows.
    pub worse: Option<PlanStep>,
}

/// What a run took so far.
#[derive(Clone, Debug, PartialEq)]
pub struct Now {
    /// What it has taken of its time, earlier runtimes included, seconds.
    pub elapsed_s: f64,
    /// Of it, what earlier runtimes took, seconds.
    pub earlier_s: f64,
    /// Money that counts as spent and that no finished call took: requests of earlier runtimes of which nobody knows the end, dollars.
    pub lost_usd: f64,
    /// Units of each kind of device that calls can hold at once; `api`: calls to providers.
    pub pools: BTreeMap<String, u32>,
    /// Items of a map that are under way at once.
    pub fan_out: usize,
    /// Step by step, in the order of the plan.
    pub steps: Vec<StepNow>,
}

/// What is changed.
#[derive(Clone, Debug, PartialEq)]
pub struct Turn {
    /// Steps none of whose calls was begun, as they are to be carried out; none where nothing can be changed.
    pub steps: Vec<PlanStep>,
    /// What is said about it.
    pub message: String,
}

/// Whoever plans the rest of a run again.
pub trait Steer {
    /// Asked before the first call of each step; none where the plan still fits. Called on the scheduler's thread.
    fn steer(&self, now: &Now) -> Option<Turn>;

    /// Asked where somebody is to stand in for a step's choice beside whom, and all that stand in already, the plan would not keep its lines: how
    /// the rest is to be carried out so that it does; none where it cannot be. Called on the scheduler's thread.
    fn stand_in(&self, now: &Now, by: &PlanStep) -> Option<Turn>;

    /// Said once, before anything is asked: steps that an earlier runtime of the run had carried out otherwise.
    fn changed(&self, steps: &[PlanStep]);
}
