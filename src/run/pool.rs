//! A plan's devices -> permits, so that steps that run at the same time never hold more than there is. Of the calls that wait, the one with
//! the longest way behind it goes first, since the run can end no sooner; of equal ones, who asked first.

use super::fault::Fault;
use crate::ir::dag::Dag;
use crate::ir::workflow::StepId;
use crate::plan::model::{Plan, PlanStep};
use rust_decimal::Decimal;
use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::rc::Rc;
use tokio::sync::oneshot;

/// The devices of a run.
#[derive(Debug)]
pub struct Pools {
    pools: BTreeMap<String, Rc<Pool>>,
    /// Seconds from the beginning of a step to the end of the run, as planned.
    behind: BTreeMap<StepId, Decimal>,
}

/// Whose turn it is: the longest way first, then who asked first.
type Turn = (Reverse<Decimal>, u64);

#[derive(Debug)]
struct Pool {
    size: u32,
    free: Cell<u32>,
    asked: Cell<u64>,
    waiting: RefCell<BTreeMap<Turn, (u32, oneshot::Sender<Permit>)>>,
}

/// Devices that are held until this is dropped.
#[derive(Debug)]
pub struct Permit {
    pool: Rc<Pool>,
    units: u32,
}

impl Pools {
    /// The pools of a plan's cluster; `api_calls` bounds the calls to providers at one time. Cores are those of this machine at most: a
    /// plan for a larger one must not oversubscribe it.
    pub fn new(plan: &Plan, cores: u32, api_calls: u32) -> Pools {
        let mut units: BTreeMap<&str, u32> =
            plan.cluster.pools.iter().map(|(name, pool)| (name.as_str(), pool.units)).collect();
        let cpu = units.entry("cpu").or_insert(cores);
        *cpu = (*cpu).min(cores);
        units.insert("api", api_calls);
        let pools = units.into_iter().map(|(name, n)| (name.to_owned(), Pool::of(n.max(1)))).collect();
        let behind = Dag::of(&plan.body, plan.steps.len()).behind(&|step| plan.steps[step].predicted.latency_s);
        Pools { pools, behind: plan.steps.iter().map(|s| s.id).zip(behind).collect() }
    }

    /// Waits for a step's devices. Who needs many is not passed by who needs few and has less behind it.
    pub async fn hold(&self, step: &PlanStep) -> Result<Permit, Fault> {
        let unknown = || Fault::plan(format!("the plan's cluster has no `{}`", step.hardware.device));
        let pool = self.pools.get(&step.hardware.device).ok_or_else(unknown)?;
        let units = step.hardware.units.clamp(1, pool.size);
        if units <= pool.free.get() && pool.waiting.borrow().is_empty() {
            pool.free.set(pool.free.get() - units);
            return Ok(Permit { pool: pool.clone(), units });
        }
        let number = pool.asked.replace(pool.asked.get() + 1);
        let turn = (Reverse(self.behind.get(&step.id).copied().unwrap_or_default()), number);
        let (tell, told) = oneshot::channel();
        pool.waiting.borrow_mut().insert(turn, (units, tell));
        let _leaves = Leaves { pool, turn };
        pool.serve();
        told.await.map_err(|_| Fault::plan("a pool of devices was closed"))
    }
}

impl Pool {
    fn of(size: u32) -> Rc<Pool> {
        Rc::new(Pool { size, free: Cell::new(size), asked: Cell::default(), waiting: RefCell::default() })
    }

    /// Gives what is free to those whose turn it is.
    fn serve(self: &Rc<Pool>) {
        loop {
            let mut waiting = self.waiting.borrow_mut();
            let Some(first) = waiting.first_entry().filter(|first| first.get().0 <= self.free.get()) else { return };
            let (units, tell) = first.remove();
            drop(waiting);
            self.free.set(self.free.get() - units);
            if let Err(mut unheard) = tell.send(Permit { pool: self.clone(), units }) {
                // Whoever waited is gone. Given back here, so that many such permits do not serve one inside another.
                unheard.units = 0;
                self.free.set(self.free.get() + units);
            }
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if self.units > 0 {
            self.pool.free.set(self.pool.free.get() + self.units);
            self.pool.serve();
        }
    }
}

/// Takes a call that waits no longer out of the line.
struct Leaves<'a> {
    pool: &'a Rc<Pool>,
    turn: Turn,
}

impl Drop for Leaves<'_> {
    fn drop(&mut self) {
        if self.pool.waiting.borrow_mut().remove(&self.turn).is_some() {
            // It may have stood in the way of one that needs less.
            self.pool.serve();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::tests::samples::{call, plan, process, step, value};
    use crate::types::Type;
    use futures_util::future::{FutureExt, join_all};
    use futures_util::stream::{FuturesUnordered, StreamExt};
    use proptest::prelude::*;

    /// Two steps, of which the second is followed by a long third.
    fn two_ways() -> Plan {
        let mut steps: Vec<PlanStep> =
            (0..3).map(|n| step(n, process(&[&["true"]], "text"), &[("x", Type::Text)], Type::Text)).collect();
        steps[2].predicted.latency_s = Decimal::from(10);
        let nodes = vec![call(0, value(0), 1), call(1, value(0), 2), call(2, value(2), 3)];
        plan(Type::Text, nodes, (value(3), Type::Text), steps)
    }

    #[tokio::test]
    async fn the_longest_way_goes_first_and_equals_in_order() {
        let plan = two_ways();
        let pools = Pools::new(&plan, 1, 8);
        let held = pools.hold(&plan.steps[2]).await.expect("free");
        let waits = |step: usize, name: &'static str| {
            let (pools, step) = (&pools, &plan.steps[step]);
            async move { pools.hold(step).await.map(|permit| (name, permit)) }
        };
        let mut line: FuturesUnordered<_> =
            [waits(0, "short"), waits(1, "long"), waits(0, "short too"), waits(1, "long too")].into_iter().collect();
        // Everybody stands in line before anybody goes.
        assert!(line.next().now_or_never().is_none());
        drop(held);
        let mut order = Vec::new();
        while let Some(next) = line.next().await {
            order.push(next.expect("a permit").0);
        }
        assert_eq!(order, ["long", "long too", "short", "short too"]);
    }

    proptest! {
        /// Never more than there is, everybody gets a turn, and nothing is lost, also where some stop waiting.
        #[test]
        fn all_is_given_and_given_back(calls in prop::collection::vec((1_u32..6, 0_usize..3, any::<bool>()), 1..40)) {
            let mut plan = two_ways();
            plan.cluster.pools.values_mut().for_each(|pool| pool.units = 4);
            let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
            runtime.block_on(async {
                let pools = Pools::new(&plan, 4, 8);
                let most = Cell::new(0_u32);
                let now = Cell::new(0_u32);
                let one = |(units, number, leaves): (u32, usize, bool)| {
                    let (pools, plan, most, now) = (&pools, &plan, &most, &now);
                    async move {
                        let mut step = plan.steps[number].clone();
                        step.hardware.units = units;
                        if leaves {
                            let _ = pools.hold(&step).now_or_never();
                            return;
                        }
                        let _held = pools.hold(&step).await.expect("a permit");
                        let units = units.min(4);
                        now.set(now.get() + units);
                        most.set(most.get().max(now.get()));
                        tokio::task::yield_now().await;
                        now.set(now.get() - units);
                    }
                };
                join_all(calls.into_iter().map(one)).await;
                assert!(most.get() <= 4);
                let pool = &pools.pools["cpu"];
                assert_eq!((pool.free.get(), pool.waiting.borrow().len()), (4, 0));
            });
        }
    }
}
