//! The records of a run -> what is done, and what state the run is in.

use super::record::{CallId, Record, Source, Stored};
use crate::ir::workflow::StepId;
use crate::run::meter::Usage;
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use std::collections::{BTreeMap, BTreeSet};

/// A call that is done.
#[derive(Clone, Debug, PartialEq)]
pub struct Done {
    /// The call.
    pub call: CallId,
    /// Digest of its arguments.
    pub input: String,
    /// What it gave.
    pub value: Stored,
    /// What it used.
    pub usage: Usage,
    /// Seconds that it took.
    pub wall_s: f64,
    /// Whence it is.
    pub source: Source,
}

/// A call that was begun.
#[derive(Clone, Debug, PartialEq)]
pub struct Begun {
    /// The call.
    pub call: CallId,
    /// Attempts so far.
    pub attempts: u32,
}

/// How a run ended last.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum End {
    /// It did not: it runs now, or its runtime died.
    #[default]
    Open,
    /// It failed, or somebody stopped it.
    Paused {
        /// Whether somebody stopped it.
        stopped: bool,
        /// What was said.
        message: String,
    },
    /// It has an answer.
    Answered(Stored),
}

/// What the records of a run come to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Replay {
    /// Calls that are done, by path.
    pub done: BTreeMap<String, Done>,
    /// Calls that were begun, by path.
    pub begun: BTreeMap<String, Begun>,
    /// Of these, the ones of which nothing was sent, since their money was refused.
    pub unsent: BTreeSet<String>,
    /// How it ended last.
    pub end: End,
    /// Seconds of all runtimes that worked on it.
    pub took_s: f64,
    /// Money, dollars, as far as the last one that said so knew.
    pub cost_usd: Option<f64>,
    /// Runtimes that worked on it.
    pub runtimes: u64,
    /// Who carries a call out in place of the plan's choice, by path.
    pub stand_ins: BTreeMap<String, String>,
    /// What the rest was planned to be, in order: steps as in a plan, and what was said.
    pub adapted: Vec<(Stored, String)>,
    /// Money that is kept for requests of which nobody knows what they cost, by reservation, with the agent whose it is.
    pub reserved: BTreeMap<u64, (Decimal, Option<u32>)>,
    /// What requests cost, dollars.
    pub settled: Decimal,
    /// Of it, what agents' requests cost, by the agent's number.
    pub settled_by: BTreeMap<u32, Decimal>,
    /// The next number of a reservation.
    pub next_reservation: u64,
    /// Seconds of the last runtime so far.
    last_s: f64,
}

impl Replay {
    /// Replays records in order.
    pub fn of<'a>(records: impl IntoIterator<Item = &'a Record>) -> Replay {
        let mut replay = Replay::default();
        records.into_iter().for_each(|r| replay.step(r));
        replay.took_s += replay.last_s;
        replay
    }

    /// The same, where the last runtime is known to have worked so many seconds, be it without a record.
    pub fn worked(mut self, seconds: f64) -> Replay {
        let more = (seconds - self.last_s).max(0.0);
        self.took_s += more;
        self.last_s += more;
        self
    }

    fn step(&mut self, record: &Record) {
        match record {
            Record::Opened { .. } => {
                self.took_s += self.last_s;
                self.last_s = 0.0;
                self.runtimes += 1;
                // An answer stays: whoever opens such a run only reads it.
                if !matches!(self.end, End::Answered(_)) {
                    self.end = End::Open;
                }
            }
            Record::Intent { call, attempt, .. } => {
                let begun = Begun { call: call.clone(), attempts: *attempt };
                self.unsent.remove(&call.path);
                self.begun.insert(call.path.clone(), begun);
            }
            Record::Result { call, input, value, usage, wall_s, source, .. } => {
                // The first result stands.
                self.done.entry(call.path.clone()).or_insert_with(|| Done {
                    call: call.clone(),
                    input: input.clone(),
                    value: value.clone(),
                    usage: *usage,
                    wall_s: *wall_s,
                    source: *source,
                });
            }
            Record::Failed { call, unsent: true, .. } => {
                self.unsent.insert(call.path.clone());
            }
            Record::Failed { .. } | Record::Retried { .. } | Record::Server { .. } => {}
            Record::Left { call, to, .. } => {
                self.stand_ins.insert(call.path.clone(), to.clone());
            }
            Record::Reserved { id, usd, agent, .. } => {
                self.reserved.insert(*id, (*usd, *agent));
                self.next_reservation = self.next_reservation.max(id + 1);
            }
            Record::Settled { id, usd, .. } => {
                // What was never reserved was never spent; what is settled twice is spent once.
                if let Some((_, agent)) = self.reserved.remove(id) {
                    self.settled += *usd;
                    if let Some(agent) = agent {
                        *self.settled_by.entry(agent).or_default() += *usd;
                    }
                }
            }
            Record::Adapted { steps, message, .. } => self.adapted.push((steps.clone(), message.clone())),
            Record::Paused { stopped, message, cost_usd, .. } => {
                if !matches!(self.end, End::Answered(_)) {
                    self.end = End::Paused { stopped: *stopped, message: message.clone() };
                    self.cost_usd = *cost_usd;
                }
            }
            Record::Answer { value, cost_usd, .. } => {
                if !matches!(self.end, End::Answered(_)) {
                    self.end = End::Answered(value.clone());
                    self.cost_usd = *cost_usd;
                }
            }
        }
        self.last_s = self.last_s.max(record.t());
    }

    /// What counts as spent, dollars: what requests cost, all that was kept for those of which nobody knows; of a journal without
    /// reservations, what finished calls cost.
    pub fn spent(&self) -> Decimal {
        (self.settled + self.reserved.values().map(|(usd, _)| *usd).sum::<Decimal>()).max(self.known())
    }

    /// What finished calls cost, dollars.
    fn known(&self) -> Decimal {
        self.done.values().filter_map(|done| done.usage.cost_usd).sum()
    }

    /// What of the money that counts as spent no finished call took, dollars.
    pub fn lost(&self) -> Decimal {
        self.spent() - self.known()
    }

    /// What the run cost, dollars, as far as anybody knows: what its last runtime said, or what requests were billed.
    pub fn cost(&self) -> Option<f64> {
        self.cost_usd.or_else(|| self.settled.to_f64().filter(|usd| *usd > 0.0))
    }

    /// What requests of which nobody knows the end may have cost at most, dollars.
    pub fn unknown_usd(&self) -> f64 {
        self.reserved.values().map(|(usd, _)| *usd).sum::<Decimal>().to_f64().unwrap_or(f64::INFINITY)
    }

    /// Whether a call of a step was begun, of which something may have been sent.
    pub fn has_begun(&self, step: StepId) -> bool {
        let begun = self.begun.iter().filter(|(path, _)| !self.unsent.contains(*path));
        begun.map(|(_, b)| &b.call).chain(self.done.values().map(|d| &d.call)).any(|call| call.step == step)
    }

    /// What of it counts as spent by an agent.
    pub fn spent_by(&self, agent: u32) -> Decimal {
        let kept = self.reserved.values().filter(|(_, by)| *by == Some(agent)).map(|(usd, _)| *usd);
        self.settled_by.get(&agent).copied().unwrap_or_default() + kept.sum::<Decimal>()
    }

    /// The next free folder number of each step.
    pub fn next_numbers(&self) -> BTreeMap<StepId, u64> {
        let mut next = BTreeMap::new();
        let calls = self.begun.values().map(|b| &b.call).chain(self.done.values().map(|d| &d.call));
        for call in calls {
            let n: &mut u64 = next.entry(call.step).or_default();
            *n = (*n).max(call.number + 1);
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::journal::record::tests::records;
    use proptest::prelude::*;

    proptest! {
        /// Whatever more a journal says, what was done stays done, with the value it had.
        #[test]
        fn what_is_done_stays_done(all in prop::collection::vec(records(), 0..24), cut in 0..24_usize) {
            let early = Replay::of(&all[..cut.min(all.len())]);
            let late = Replay::of(&all);
            for (path, done) in &early.done {
                prop_assert_eq!(late.done.get(path), Some(done));
            }
            prop_assert!(late.begun.len() >= early.begun.len());
            prop_assert!(late.took_s >= early.took_s);
            prop_assert!(late.settled >= early.settled);
            prop_assert!((0..2).map(|agent| late.spent_by(agent)).sum::<Decimal>() <= late.spent());
            for (step, n) in early.next_numbers() {
                prop_assert!(late.next_numbers().get(&step).is_some_and(|later| *later >= n));
            }
        }
    }
}
