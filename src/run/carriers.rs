//! A step -> who carries out its next call: the plan's choice, or one of its fallbacks that has not failed for good.
//!
//! A plan proves each fallback with all other choices as they are. Those who stand in at once are held against the plan's lines together:
//! who has given something counts to the end of the run, who is under way as long as that lasts.
//!
//! What fails together (an account at a provider; a tool) shares a circuit. It opens at once where nothing but a person can mend it (a
//! refused key, a missing program), and after so many calls in a row that failed for good otherwise; it stays open for the run.

use super::fault::{Fault, FaultKind};
use crate::ir::workflow::StepId;
use crate::plan::model::{Plan, PlanStep};
use crate::plan::verify::{self, Broken};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

/// Calls in a row that fail for good before nobody else tries.
const MOST_FAILED: u32 = 3;

/// The steps as they are carried out now.
pub struct Carriers {
    /// By step: the choice, then its fallbacks.
    steps: RefCell<BTreeMap<StepId, Vec<Rc<PlanStep>>>>,
    /// By account, calls that failed for good in a row, and why the last did.
    failed: RefCell<BTreeMap<String, (u32, Fault)>>,
    /// By step, those who stand in for its choice.
    standing: RefCell<BTreeMap<StepId, Vec<Standing>>>,
}

/// Somebody who stands in for a step's choice.
struct Standing {
    step: Rc<PlanStep>,
    /// Calls under way.
    calls: u32,
    /// Whether one of them gave something.
    gave: bool,
}

/// Who carries out one call.
pub struct Carrier<'a> {
    /// The step in its hands.
    pub step: Rc<PlanStep>,
    /// Where it stands in the order.
    pub at: usize,
    /// None for the plan's choice.
    stands_in: Option<&'a Carriers>,
}

impl Carrier<'_> {
    /// The call failed for good: it stands in no more.
    pub fn failed(&mut self) {
        if let Some(carriers) = self.stands_in.take() {
            carriers.stands_no_more(&self.step);
        }
    }

    /// The call gave something.
    pub fn gave(&self) {
        if let Some(carriers) = self.stands_in {
            carriers.stood_in(self.step.clone());
        }
    }
}

impl Drop for Carrier<'_> {
    fn drop(&mut self) {
        self.failed();
    }
}

impl Carriers {
    /// Those of a plan.
    pub fn of(plan: &Plan) -> Carriers {
        let (steps, failed, standing) = Default::default();
        let carriers = Carriers { steps, failed, standing };
        plan.steps.iter().for_each(|step| carriers.replace(step.clone()));
        carriers
    }

    /// From now on a step is carried out like this.
    pub fn replace(&self, step: PlanStep) {
        let id = step.id;
        let all: Vec<Rc<PlanStep>> = step.fallbacks.iter().map(|by| Rc::new(step.standing_in(by))).collect();
        let all = std::iter::once(Rc::new(step)).chain(all).collect();
        self.steps.borrow_mut().insert(id, all);
    }

    /// The choice for a step.
    pub fn first(&self, id: StepId) -> Option<Rc<PlanStep>> {
        self.steps.borrow().get(&id).and_then(|all| all.first().cloned())
    }

    /// The step in the hands of an implementation.
    pub fn by_name(&self, id: StepId, implementation: &str) -> Option<Rc<PlanStep>> {
        self.steps.borrow().get(&id)?.iter().find(|step| step.implementation == implementation).cloned()
    }

    /// The choice for a call of a step.
    pub fn choice(&self, id: StepId) -> Option<Carrier<'_>> {
        self.first(id).map(|step| Carrier { step, at: 0, stands_in: None })
    }

    /// Those behind a place in the order whose circuits are closed.
    pub fn behind(&self, id: StepId, at: usize) -> Vec<(usize, Rc<PlanStep>)> {
        let steps = self.steps.borrow();
        let all = steps.get(&id).into_iter().flatten().enumerate().skip(at + 1);
        all.filter(|(_, step)| self.closed(step)).map(|(at, step)| (at, step.clone())).collect()
    }

    fn closed(&self, step: &PlanStep) -> bool {
        let failed = self.failed.borrow();
        failed.is_empty() || failed.get(&account(step)).is_none_or(|(n, _)| *n < MOST_FAILED)
    }

    /// Whether who is to carry a call out has failed for good by now, and one behind it has not.
    pub fn passes(&self, step: &PlanStep) -> bool {
        let at = || {
            let steps = self.steps.borrow();
            steps.get(&step.id)?.iter().position(|s| same(s, step))
        };
        !self.closed(step) && at().is_some_and(|at| !self.behind(step.id, at).is_empty())
    }

    /// Why the last call of somebody's account failed for good.
    pub fn why(&self, step: &PlanStep) -> Option<Fault> {
        self.failed.borrow().get(&account(step)).map(|(_, fault)| fault.clone())
    }

    /// Somebody stands in for a step's choice, in one call.
    pub fn stand_in(&self, at: usize, step: Rc<PlanStep>) -> Carrier<'_> {
        self.with(&step, |standing| standing.calls += 1);
        Carrier { step, at, stands_in: Some(self) }
    }

    /// Somebody stood in for a step's choice, and gave something.
    pub fn stood_in(&self, step: Rc<PlanStep>) {
        self.with(&step, |standing| standing.gave = true);
    }

    fn stands_no_more(&self, step: &Rc<PlanStep>) {
        self.with(step, |standing| standing.calls = standing.calls.saturating_sub(1));
        let mut standing = self.standing.borrow_mut();
        standing.entry(step.id).or_default().retain(|s| s.calls > 0 || s.gave);
    }

    fn with(&self, step: &Rc<PlanStep>, change: impl FnOnce(&mut Standing)) {
        let mut all = self.standing.borrow_mut();
        let all = all.entry(step.id).or_default();
        let at = all.iter().position(|s| same(&s.step, step)).unwrap_or(all.len());
        if at == all.len() {
            all.push(Standing { step: step.clone(), calls: 0, gave: false });
        }
        change(&mut all[at]);
    }

    /// Of those who stand in for a step's choice, the one that is planned to do it worst, where that is worse than the choice.
    pub fn worse(&self, id: StepId) -> Option<PlanStep> {
        let standing = self.standing.borrow();
        let worst = standing.get(&id)?.iter().map(|s| &s.step).min_by_key(|s| s.predicted.quality)?;
        let choice = self.first(id)?.predicted.quality;
        (worst.predicted.quality < choice).then(|| worst.as_ref().clone())
    }

    /// What of a plan's lines would be broken with one more who stands in, beside those who do already. Who does already breaks nothing more.
    pub fn breaks(&self, plan: &Plan, by: &PlanStep) -> Vec<Broken> {
        let stands = |all: &Vec<Standing>| all.iter().any(|s| same(&s.step, by));
        if self.standing.borrow().get(&by.id).is_some_and(stands) {
            return Vec::new();
        }
        let mut carried = plan.clone();
        for step in &mut carried.steps {
            if let Some(now) = self.worse(step.id).or_else(|| self.first(step.id).map(|first| first.as_ref().clone())) {
                *step = now;
            }
        }
        // Of those who stand in for one step, each does part of it.
        let worst = carried.steps.iter().find(|step| step.id == by.id).map(|step| step.predicted.quality);
        let mut broken = Vec::new();
        if worst.is_some_and(|worst| worst < by.predicted.quality) {
            broken = verify::broken(&carried);
        }
        carried.replace(std::slice::from_ref(by));
        broken.extend(verify::broken(&carried));
        broken
    }

    /// A call was carried out.
    pub fn good(&self, step: &PlanStep) {
        let mut failed = self.failed.borrow_mut();
        if !failed.is_empty() {
            failed.remove(&account(step));
        }
    }

    /// A call failed for good.
    pub fn bad(&self, step: &PlanStep, fault: &Fault) {
        let mut failed = self.failed.borrow_mut();
        let before = failed.get(&account(step)).map_or(0, |(count, _)| *count);
        let count = if hopeless(fault) { MOST_FAILED } else { before + 1 };
        failed.insert(account(step), (count, fault.clone()));
    }
}

fn account(step: &PlanStep) -> String {
    step.engine.account(&step.implementation)
}

/// Whether a step is in the same hands: an implementation may stand in for itself on other hardware.
fn same(one: &PlanStep, other: &PlanStep) -> bool {
    one.implementation == other.implementation && one.hardware == other.hardware && one.knobs == other.knobs
}

/// Whether no further call can do better before a person mends something.
fn hopeless(fault: &Fault) -> bool {
    matches!(fault.kind, FaultKind::Key | FaultKind::Program | FaultKind::Unsupported)
}

/// Whether somebody else may do better: what lies with the inputs, the money, the disk or the plan does not.
pub fn replaceable(fault: &Fault) -> bool {
    matches!(
        fault.kind,
        FaultKind::Key
            | FaultKind::Program
            | FaultKind::Unsupported
            | FaultKind::Provider
            | FaultKind::Process
            | FaultKind::Timeout
            | FaultKind::Answer
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::model::Fallback;
    use crate::run::tests::samples::{plan, process, step, value};
    use crate::types::Type;
    use rust_decimal::Decimal;

    fn with_fallbacks(names: &[&str]) -> Plan {
        let mut first = step(0, process(&[&["true"]], "lines"), &[], Type::Text);
        let by = |name: &&str| Fallback {
            implementation: (*name).to_owned(),
            label: None,
            knobs: BTreeMap::new(),
            hardware: first.hardware.clone(),
            engine: first.engine.clone(),
            predicted: first.predicted.clone(),
            evidence: Vec::new(),
        };
        first.fallbacks = names.iter().map(by).collect();
        plan(Type::Text, Vec::new(), (value(0), Type::Text), vec![first])
    }

    #[test]
    fn circuits_open_at_once_or_after_some_calls_and_close_with_a_good_one() {
        let carriers = Carriers::of(&with_fallbacks(&["b", "c"]));
        let first = carriers.first(StepId(0)).expect("a choice");
        let who = || match carriers.passes(&first) {
            true => carriers.behind(StepId(0), 0).first().map(|(at, s)| (*at, s.implementation.clone())),
            false => Some((0, first.implementation.clone())),
        };
        let late = Fault::new(FaultKind::Timeout, "late");
        carriers.bad(&first, &late);
        carriers.bad(&first, &late);
        assert_eq!(who(), Some((0, "tool".to_owned())));
        carriers.good(&first);
        carriers.bad(&first, &late);
        carriers.bad(&first, &late);
        assert_eq!(who(), Some((0, "tool".to_owned())));
        carriers.bad(&first, &late);
        assert_eq!(who(), Some((1, "b".to_owned())));
        let (_, b) = carriers.behind(StepId(0), 0).remove(0);
        carriers.bad(&b, &Fault::new(FaultKind::Key, "refused"));
        assert_eq!(who(), Some((2, "c".to_owned())));
        let (_, c) = carriers.behind(StepId(0), 1).remove(0);
        carriers.bad(&c, &Fault::new(FaultKind::Program, "gone"));
        // All are open: the first tells why.
        assert_eq!(who(), Some((0, "tool".to_owned())));
        assert_eq!(carriers.behind(StepId(0), 0), []);
        assert_eq!(carriers.why(&c).map(|fault| fault.message), Some("gone".to_owned()));
    }

    #[test]
    fn who_stands_in_counts_while_it_is_under_way_and_to_the_end_once_it_gave() {
        let mut all = with_fallbacks(&["b", "c"]);
        let half = |n: i64| Decimal::new(n, 1);
        (all.steps[0].fallbacks[0].predicted.quality, all.steps[0].fallbacks[1].predicted.quality) = (half(5), half(8));
        let carriers = Carriers::of(&all);
        let worse = || carriers.worse(StepId(0)).map(|step| step.implementation);
        let [b, c] = [0, 1].map(|n| carriers.behind(StepId(0), n).remove(0));
        let one = carriers.stand_in(b.0, b.1.clone());
        let other = carriers.stand_in(b.0, b.1);
        assert_eq!(worse(), Some("b".to_owned()));
        drop(one);
        assert_eq!(worse(), Some("b".to_owned()));
        drop(other);
        assert_eq!(worse(), None, "it gave nothing");
        let one = carriers.stand_in(c.0, c.1);
        one.gave();
        drop(one);
        assert_eq!(worse(), Some("c".to_owned()));
    }

    #[test]
    fn what_lies_with_inputs_money_or_disk_is_nobody_elses() {
        use FaultKind::*;
        for kind in [Cancelled, Input, Budget, Data, Storage, Plan] {
            assert!(!replaceable(&Fault::new(kind, "x")), "{kind:?}");
        }
    }
}
