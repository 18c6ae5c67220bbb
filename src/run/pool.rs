//! A plan's devices -> permits, so that steps that run at the same time never hold more than there is.

pub mod line;

use self::line::{Line, Permit, Rank};
use super::fault::Fault;
use crate::ir::dag::Dag;
use crate::ir::workflow::StepId;
use crate::plan::model::{Plan, PlanStep};
use rust_decimal::Decimal;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::rc::Rc;

/// The devices of a run.
#[derive(Debug)]
pub struct Pools {
    pools: BTreeMap<String, Rc<Line>>,
    /// Seconds from the beginning of a step to the end of the run, as planned.
    behind: BTreeMap<StepId, Decimal>,
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
        let pools = units.into_iter().map(|(name, n)| (name.to_owned(), Line::of(n))).collect();
        let behind = Dag::of(&plan.body, plan.steps.len()).behind(&|step| plan.steps[step].predicted.latency_s);
        Pools { pools, behind: plan.steps.iter().map(|s| s.id).zip(behind).collect() }
    }

    /// Seconds from the beginning of a step to the end of the run, as planned.
    pub fn behind(&self, step: StepId) -> Decimal {
        self.behind.get(&step).copied().unwrap_or_default()
    }

    /// Units of each pool.
    pub fn units(&self) -> BTreeMap<String, u32> {
        self.pools.iter().map(|(name, line)| (name.clone(), line.size())).collect()
    }

    /// Where a call of a step stands among those that wait for the same; the path says which items it is in.
    pub fn rank(&self, step: StepId, path: &str) -> Rank {
        Rank { behind: Reverse(self.behind(step)), step, items: items(path) }
    }

    /// Waits for a step's devices.
    pub async fn hold(&self, step: &PlanStep, path: &str) -> Result<Permit, Fault> {
        let unknown = || Fault::plan(format!("the plan's cluster has no `{}`", step.hardware.device));
        let pool = self.pools.get(&step.hardware.device).ok_or_else(unknown)?;
        pool.hold(step.hardware.units, || self.rank(step.id, path)).await
    }
}

/// The items and rounds of a path, outermost first: `m4[7]/r2[0]/` is in item 7 and round 0.
fn items(path: &str) -> Vec<usize> {
    path.split('[').skip(1).filter_map(|rest| rest.split_once(']')?.0.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::tests::samples::{call, plan, process, step, value};
    use crate::types::Type;
    use futures_util::future::{FutureExt, join_all};
    use futures_util::stream::{FuturesUnordered, StreamExt};
    use proptest::prelude::*;
    use std::cell::Cell;

    /// Two steps, of which the second is followed by a long third, and one as short as the first.
    fn two_ways() -> Plan {
        let mut steps: Vec<PlanStep> =
            (0..4).map(|n| step(n, process(&[&["true"]], "text"), &[("x", Type::Text)], Type::Text)).collect();
        steps[2].predicted.latency_s = Decimal::from(10);
        let nodes = vec![call(0, value(0), 1), call(1, value(0), 2), call(2, value(2), 3), call(3, value(0), 4)];
        plan(Type::Text, nodes, (value(3), Type::Text), steps)
    }

    #[tokio::test]
    async fn the_longest_way_goes_first_and_equals_in_the_order_of_the_source() {
        let plan = two_ways();
        let pools = Pools::new(&plan, 1, 8);
        let held = pools.hold(&plan.steps[2], "").await.expect("free");
        let waits = |step: usize, path: &'static str| {
            let (pools, step) = (&pools, &plan.steps[step]);
            async move { pools.hold(step, path).await.map(|permit| (step.id.0, path, permit)) }
        };
        let asked = [(3, ""), (0, "m3[0]/"), (1, "m3[10]/"), (0, "m3[1]/"), (1, "m3[9]/")];
        let mut line: FuturesUnordered<_> = asked.into_iter().map(|(step, path)| waits(step, path)).collect();
        // Everybody stands in line before anybody goes.
        assert!(line.next().now_or_never().is_none());
        drop(held);
        let mut order = Vec::new();
        while let Some(next) = line.next().await {
            let (step, path, _permit) = next.expect("a permit");
            order.push((step, path));
        }
        // The step that asked first has as little behind it as another, and stands later in the source.
        assert_eq!(order, [(1, "m3[9]/"), (1, "m3[10]/"), (0, "m3[0]/"), (0, "m3[1]/"), (3, "")]);
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
                            let _ = pools.hold(&step, "").now_or_never();
                            return;
                        }
                        let _held = pools.hold(&step, "").await.expect("a permit");
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
                assert_eq!(pool.seen(), (4, 0));
            });
        }
    }
}
