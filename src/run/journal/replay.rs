//! The records of a run -> what is done, and what state the run is in.

use super::blobs::{Blobs, damaged};
use super::record::{CallId, Record, Source, Stored};
use super::{Journal, Run, alive};
use crate::ir::workflow::StepId;
use crate::plan::model::{PlanClause, PlanStep};
use crate::run::budget::Unsettled;
use crate::run::fault::Fault;
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
    /// Whether an earlier attempt may have reached somebody.
    before: bool,
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
    /// The limits that it goes on under, where others were given than those of its plan: the last of each figure.
    pub limits: Vec<PlanClause>,
    /// Seconds of the runtimes before the last one, and when that one took over, for people.
    pub last_opened: Option<(f64, String)>,
    /// The first reservation of the last runtime.
    last_reserved: u64,
    /// Seconds of the last runtime so far.
    last_s: f64,
}

impl Journal {
    /// What all of a run's records say of it, and the time that its last runtime worked on it without a record.
    pub fn replay(&self, run: &Run, records: &[Record]) -> Replay {
        Replay::of(records).worked(alive::seconds(&self.folder(run), run.fence))
    }
}

impl Replay {
    /// Replays records in order; of the last runtime only the time up to its last record is known here ([`Journal::replay`]).
    pub fn of<'a>(records: impl IntoIterator<Item = &'a Record>) -> Replay {
        let mut replay = Replay::default();
        records.into_iter().for_each(|r| replay.step(r));
        replay.took_s += replay.last_s;
        replay
    }

    /// The same, where the last runtime is known to have worked so many seconds, be it without a record.
    fn worked(mut self, seconds: f64) -> Replay {
        let more = (seconds - self.last_s).max(0.0);
        self.took_s += more;
        self.last_s += more;
        self
    }

    fn step(&mut self, record: &Record) {
        match record {
            Record::Opened { at, .. } => {
                self.took_s += self.last_s;
                self.last_s = 0.0;
                self.runtimes += 1;
                self.last_opened = Some((self.took_s, at.clone()));
                self.last_reserved = self.next_reservation;
                // An answer stays: whoever opens such a run only reads it.
                if !matches!(self.end, End::Answered(_)) {
                    self.end = End::Open;
                }
            }
            Record::Intent { call, attempt, .. } => {
                let again = self.begun.contains_key(&call.path);
                // Of what was not sent nothing is under way.
                let before = !self.unsent.remove(&call.path) && again;
                let begun = Begun { call: call.clone(), attempts: *attempt, before };
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
                if self.begun.get(&call.path).is_none_or(|begun| !begun.before) {
                    self.unsent.insert(call.path.clone());
                }
            }
            Record::Failed { .. } | Record::Retried { .. } | Record::Server { .. } => {}
            Record::Limits { limits, .. } => {
                self.limits.retain(|before| limits.iter().all(|limit| limit.metric != before.metric));
                self.limits.extend_from_slice(limits);
            }
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

    /// The steps that were to be carried out otherwise than planned at first, in the order of the changes.
    pub fn changes(&self, blobs: &Blobs) -> Result<Vec<PlanStep>, Fault> {
        let mut steps = Vec::new();
        for (stored, _) in &self.adapted {
            let read = serde_json::from_value::<Vec<PlanStep>>(blobs.value(stored)?);
            steps.extend(read.map_err(|e| damaged(&format!("a change of the plan cannot be read: {e}")))?);
        }
        Ok(steps)
    }

    /// Requests of which nobody knows the end; of a run that is worked on now (`live`), those of earlier runtimes alone.
    pub fn unsettled(&self, live: bool) -> Option<Unsettled> {
        let before = if live { self.last_reserved } else { u64::MAX };
        Unsettled::of(self.reserved.range(..before).map(|(_, (usd, _))| *usd))
    }

    /// Money, dollars: of a run with an answer what was said of it; of another as far as it is known, by what was said last, or by what
    /// requests have cost since.
    pub fn cost(&self) -> Option<f64> {
        if let End::Answered(_) = self.end {
            return self.cost_usd;
        }
        let paid = self.settled.max(self.known()).to_f64().filter(|usd| *usd > 0.0);
        self.cost_usd.into_iter().chain(paid).reduce(f64::max)
    }

    /// Whether a call of a step was begun, of which something may have been sent.
    pub fn has_begun(&self, step: StepId) -> bool {
        let begun = self.begun.iter().filter(|(path, _)| !self.unsent.contains(*path));
        begun.map(|(_, b)| &b.call).chain(self.done.values().map(|d| &d.call)).any(|call| call.step == step)
    }

    /// The calls that are done by others than their step's choice, and by whom.
    pub fn stood_in(&self) -> impl Iterator<Item = (StepId, &str)> {
        let by = |(path, done): (&String, &Done)| Some((done.call.step, self.stand_ins.get(path)?.as_str()));
        let made = self.done.iter().filter(|(_, done)| done.source != Source::Cached);
        made.filter_map(by)
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

    #[test]
    fn a_call_that_was_refused_for_money_was_begun_only_where_something_may_have_been_sent() {
        let call = CallId { path: "v1".into(), step: StepId(0), number: 0 };
        let (key, input) = (String::new(), String::new());
        let intent = |attempt| Record::Intent {
            call: call.clone(),
            attempt,
            idempotency: key.clone(),
            input: input.clone(),
            t: 0.0,
        };
        let failed = |unsent| Record::Failed { call: call.clone(), message: "no".into(), unsent, t: 0.0 };
        let begun = |records: &[Record]| Replay::of(records).has_begun(StepId(0));
        assert!(begun(&[intent(1)]), "whoever made it died");
        assert!(!begun(&[intent(1), failed(true)]));
        assert!(!begun(&[intent(1), failed(true), intent(2), failed(true)]));
        assert!(begun(&[intent(1), failed(true), intent(2)]));
        assert!(begun(&[intent(1), failed(false)]), "it failed at somebody's");
        assert!(begun(&[intent(1), intent(2), failed(true)]), "a request of the first runtime may be under way");
        assert!(begun(&[intent(1), failed(false), intent(2), failed(true)]), "so it may have been by another runtime");
    }

    #[test]
    fn what_is_under_way_is_not_what_nobody_knows() {
        let opened = |fence| Record::Opened { fence, pid: 1, at: "2026-01-01T00:00:00Z".into(), compiler: "c".into() };
        let reserved = |id| Record::Reserved { id, usd: Decimal::ONE, agent: None, t: 0.0 };
        let settled = Record::Settled { id: 1, usd: Decimal::ONE, t: 0.0 };
        let replay = Replay::of(&[opened(1), reserved(0), reserved(1), settled, opened(2), reserved(2)]);
        let known = |requests| Some(Unsettled { requests, usd: requests as f64 });
        assert_eq!((replay.unsettled(true), replay.unsettled(false)), (known(1), known(2)));
        assert_eq!(replay.cost(), Some(1.0), "what was settled was paid");
    }

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
