//! A step -> who carries out its next call: the plan's choice, or the first of its fallbacks that has not failed for good.
//!
//! What fails together (an account at a provider; a tool) shares a circuit. It opens at once where nothing but a person can mend it (a
//! refused key, a missing program), and after so many calls in a row that failed for good otherwise; it stays open for the run.

use super::fault::{Fault, FaultKind};
use crate::ir::workflow::StepId;
use crate::plan::model::{Plan, PlanStep};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

/// Calls in a row that fail for good before nobody else tries.
const MOST_FAILED: u32 = 3;

/// The steps as they are carried out now.
pub struct Carriers {
    /// By step: the choice, then its fallbacks.
    steps: RefCell<BTreeMap<StepId, Vec<Rc<PlanStep>>>>,
    /// By account, calls that failed for good in a row.
    failed: RefCell<BTreeMap<String, u32>>,
}

impl Carriers {
    /// Those of a plan.
    pub fn of(plan: &Plan) -> Carriers {
        let carriers = Carriers { steps: RefCell::default(), failed: RefCell::default() };
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

    /// Who carries out a call: from a place in the order on, the first whose circuit is closed; where all are open, the choice.
    pub fn next(&self, id: StepId, from: usize) -> Option<(usize, Rc<PlanStep>)> {
        let steps = self.steps.borrow();
        let all = steps.get(&id)?;
        let failed = self.failed.borrow();
        let closed = |step: &PlanStep| failed.is_empty() || failed.get(&account(step)).is_none_or(|n| *n < MOST_FAILED);
        let found = all.iter().enumerate().skip(from).find(|(_, step)| closed(step));
        found.or_else(|| all.first().filter(|_| from == 0).map(|first| (0, first))).map(|(at, step)| (at, step.clone()))
    }

    /// Whether who is to carry a call out has failed for good by now, and one behind it has not.
    pub fn passes(&self, step: &PlanStep) -> bool {
        let failed = self.failed.borrow();
        if failed.is_empty() {
            return false;
        }
        let closed = |step: &PlanStep| failed.get(&account(step)).is_none_or(|n| *n < MOST_FAILED);
        let steps = self.steps.borrow();
        let behind = steps.get(&step.id).into_iter().flatten().skip_while(|s| s.implementation != step.implementation);
        !closed(step) && behind.skip(1).any(|s| closed(s))
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
        let count = failed.entry(account(step)).or_default();
        *count = if hopeless(fault) { MOST_FAILED } else { *count + 1 };
    }
}

fn account(step: &PlanStep) -> String {
    step.engine.account(&step.implementation)
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
        let who = || carriers.next(StepId(0), 0).map(|(at, s)| (at, s.implementation.clone()));
        let first = carriers.first(StepId(0)).expect("a choice");
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
        let (_, b) = carriers.next(StepId(0), 1).expect("b");
        carriers.bad(&b, &Fault::new(FaultKind::Key, "refused"));
        assert_eq!(who(), Some((2, "c".to_owned())));
        let (_, c) = carriers.next(StepId(0), 2).expect("c");
        carriers.bad(&c, &Fault::new(FaultKind::Program, "gone"));
        // All are open: the first tells why.
        assert_eq!(who(), Some((0, "tool".to_owned())));
        assert_eq!(carriers.next(StepId(0), 1), None);
    }

    #[test]
    fn what_lies_with_inputs_money_or_disk_is_nobody_elses() {
        use FaultKind::*;
        for kind in [Cancelled, Input, Budget, Data, Storage, Plan] {
            assert!(!replaceable(&Fault::new(kind, "x")), "{kind:?}");
        }
    }
}
