//! A plan's limit on cost -> which calls may be made: the most that a call can cost is reserved before it, and settled after it.
//!
//! What is reserved and what is spent never exceed the limit together, so that neither retries nor a provider that reports nonsense can
//! overspend it. The plan's cost of what is not paid by the call (hardware of one's own) is set aside at the start; it is billed by time, so
//! that a call begins only where its planned rent still fits, and exceeds the limit at most by what it takes longer than planned.

use super::fault::{Fault, FaultKind};
use super::journal::replay::Replay;
use crate::plan::model::{Plan, PlanStep, Predicted};
use crate::plan::render::dollars;
use crate::space::either::cost_together;
use crate::units::counted;
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use serde::{Deserialize, Serialize};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt;
use tokio::sync::Notify;

/// Requests of which nobody knows whether they were carried out: they were under way when whoever made them stopped or died.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Unsettled {
    /// How many.
    pub requests: u64,
    /// The most that they cost together, dollars.
    pub usd: f64,
}

impl Unsettled {
    /// Requests for which so much was kept; none where there are none.
    pub fn of(kept: impl IntoIterator<Item = Decimal>) -> Option<Unsettled> {
        let kept: Vec<Decimal> = kept.into_iter().collect();
        let usd = kept.iter().sum::<Decimal>().to_f64().unwrap_or(f64::INFINITY);
        (!kept.is_empty()).then_some(Unsettled { requests: kept.len() as u64, usd })
    }
}

impl fmt::Display for Unsettled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let usd = dollars(Decimal::try_from(self.usd).unwrap_or(Decimal::MAX));
        write!(f, "at most {usd} of {} whose end nobody knows", counted(self.requests, "request"))
    }
}

/// The money of a run, in dollars.
#[derive(Debug, Default)]
pub struct Budget {
    limit: Option<Limit>,
    spent: Cell<Decimal>,
    /// What of it earlier runtimes kept for requests of which nobody knows.
    unsettled: Option<Unsettled>,
    held: Cell<Decimal>,
    /// What of the limit is not for providers' calls: the planned rent of all steps.
    aside: Cell<Decimal>,
    /// The rent of calls that ended.
    rent: Cell<Decimal>,
    /// The planned rent of calls that are under way.
    renting: Cell<Decimal>,
    settled: Notify,
    /// Those of the job's agents that have one of their own, by number.
    agents: BTreeMap<u32, Budget>,
}

#[derive(Debug)]
struct Limit {
    /// As the job has it.
    text: String,
    /// What all may cost together.
    usd: Decimal,
}

impl Budget {
    /// The budget of a plan: its tightest clause on cost that is no wish, and what whoever runs it allows at most, dollars; none where
    /// there is neither. What earlier runtimes of the run spent, with all that they kept for requests of which nobody knows, is spent.
    pub fn of(plan: &Plan, earlier: Option<&Replay>, most: Option<Decimal>) -> Budget {
        let clauses = plan.clauses.iter().filter(|c| c.metric == "cost" && !c.soft);
        let clauses = clauses.map(|clause| (clause.limit, clause.text.clone()));
        let most = most.map(|usd| (usd, format!("at most {} usd", usd.normalize())));
        let limit = clauses.chain(most).min_by_key(|(limit, _)| *limit).map(|(usd, text)| Limit { text, usd });
        let unpaid = plan.steps.iter().filter(|s| s.engine.provider().is_none());
        let unpaid = cost_together(unpaid.map(|s| {
            let Predicted { cost_usd, either_usd, .. } = s.predicted;
            (s.agent.as_ref().map(|agent| agent.number), cost_usd, either_usd)
        }));
        let aside = Cell::new(unpaid + plan.instances.iter().map(|i| i.cost_usd).sum::<Decimal>());
        let agents = plan.steps.iter().filter_map(|s| s.agent.as_ref());
        let agents = agents.filter_map(|agent| {
            let usd = agent.cost_usd?;
            let text = format!("cost: {} usd", usd.normalize());
            let limit = Some(Limit { text, usd });
            let spent = Cell::new(earlier.map(|replay| replay.spent_by(agent.number)).unwrap_or_default());
            Some((agent.number, Budget { limit, spent, ..Budget::default() }))
        });
        let spent = earlier.map(Replay::spent).unwrap_or_default();
        let unsettled = earlier.and_then(|replay| replay.unsettled(false));
        Budget { limit, spent: Cell::new(spent), unsettled, aside, agents: agents.collect(), ..Budget::default() }
    }

    /// Reserves what a call of a step can cost at most, from its agent's budget as well where it is an agent's.
    pub async fn reserve_for(&self, step: &PlanStep, least: Decimal, most: Decimal) -> Result<Reservation<'_>, Fault> {
        let Some(agent) = step.agent.as_ref().and_then(|agent| self.agents.get(&agent.number)) else {
            return self.reserve(least, most).await;
        };
        let own = agent.reserve(least, most).await?;
        let mut held = self.reserve(least, own.usd).await?;
        held.agent = Some(Box::new(own));
        Ok(held)
    }

    /// Sets money aside for hardware that the plan did not count with, dollars; an error where it is not there.
    pub fn set_aside(&self, usd: Decimal) -> Result<(), Fault> {
        let Some(limit) = &self.limit else { return Ok(()) };
        let left = self.left(limit);
        if usd > left {
            return Err(self.refuse(limit, usd, left));
        }
        self.aside.set(self.aside.get() + usd);
        Ok(())
    }

    /// What hardware has cost so far in all, dollars.
    pub fn rented(&self, usd: Decimal) {
        self.rent.set(usd);
        self.settled.notify_waiters();
    }

    /// Begins a call on hardware of one's own, whose planned rent is `each`, where the limit has `least` left. Where it has less, calls under
    /// way are waited for, since they may cost less than is kept for them.
    pub async fn rent(&self, least: Decimal, each: Decimal) -> Result<Renting<'_>, Fault> {
        loop {
            let settled = self.settled.notified();
            let kept = || {
                self.renting.set(self.renting.get() + each);
                Renting { budget: self, usd: each }
            };
            let Some(limit) = &self.limit else { return Ok(kept()) };
            let left = limit.usd - self.spent.get() - self.held.get() - self.rent.get() - self.renting.get();
            if least <= left || least.is_zero() {
                return Ok(kept());
            }
            if self.held.get().is_zero() && self.renting.get().is_zero() {
                return Err(self.too_dear(limit, least, left));
            }
            settled.await;
        }
    }

    /// What hardware takes of the limit: what is planned, or what it cost where that is more.
    fn for_hardware(&self) -> Decimal {
        self.aside.get().max(self.rent.get() + self.renting.get())
    }

    /// What is left of the limit for providers' calls.
    fn left(&self, limit: &Limit) -> Decimal {
        (limit.usd - self.for_hardware()).max(Decimal::ZERO) - self.spent.get() - self.held.get()
    }

    /// What calls have cost so far, in dollars.
    pub fn spent(&self) -> Decimal {
        self.spent.get()
    }

    /// Reserves what a call can cost at most. Where less is left, calls under way are waited for, since they cost less than they might;
    /// then what is left is given, if it is `least` or more. The caller must keep the call within what it is given.
    pub async fn reserve(&self, least: Decimal, most: Decimal) -> Result<Reservation<'_>, Fault> {
        loop {
            let settled = self.settled.notified();
            let Some(limit) = &self.limit else { return Ok(self.hold(most)) };
            let left = self.left(limit);
            if most <= left {
                return Ok(self.hold(most));
            }
            if self.held.get().is_zero() {
                return if least <= left { Ok(self.hold(left)) } else { Err(self.refuse(limit, least, left)) };
            }
            settled.await;
        }
    }

    fn hold(&self, usd: Decimal) -> Reservation<'_> {
        self.held.set(self.held.get() + usd);
        Reservation { budget: self, usd, open: true, agent: None }
    }

    fn refuse(&self, limit: &Limit, least: Decimal, left: Decimal) -> Fault {
        let hardware = self.for_hardware();
        let mut aside = self.unsettled.map_or(String::new(), |unsettled| format!(", of it {unsettled}"));
        if !hardware.is_zero() {
            aside.push_str(&format!(", {} usd set aside for hardware", text(hardware)));
        }
        let message = format!(
            "the call is not made: it could cost {} usd, and {} usd of `{}` are left ({} usd spent{aside})",
            text(least),
            text(left.max(Decimal::ZERO)),
            limit.text,
            text(self.spent.get()),
        );
        let needed = self.spent.get() + hardware + least;
        Fault::new(FaultKind::Budget, message)
            .help(format!("raise the limit to {} usd or more, or give a smaller input", text(needed)))
    }

    fn too_dear(&self, limit: &Limit, least: Decimal, left: Decimal) -> Fault {
        let spent = self.spent.get() + self.rent.get();
        let message = format!(
            "the step is not begun: its hardware is planned to cost {} usd, and {} usd of `{}` are left ({} usd spent)",
            text(least),
            text(left.max(Decimal::ZERO)),
            limit.text,
            text(spent),
        );
        Fault::new(FaultKind::Budget, message)
            .help(format!("raise the limit to {} usd or more, or give a smaller input", text(spent + least)))
    }

    fn settle(&self, held: Decimal, cost: Decimal) {
        self.held.set(self.held.get() - held);
        self.spent.set(self.spent.get() + cost);
        self.settled.notify_waiters();
    }
}

/// Dollars, up to the next millionth.
fn text(usd: Decimal) -> Decimal {
    usd.round_dp_with_strategy(6, rust_decimal::RoundingStrategy::AwayFromZero).normalize()
}

/// A call on hardware of one's own that is under way; what it cost is told by [`Budget::rented`].
#[derive(Debug)]
pub struct Renting<'a> {
    budget: &'a Budget,
    /// Its planned rent, dollars.
    usd: Decimal,
}

impl Drop for Renting<'_> {
    fn drop(&mut self) {
        self.budget.renting.set(self.budget.renting.get() - self.usd);
        self.budget.settled.notify_waiters();
    }
}

/// Money that is kept for a call. A call that is dropped costs all of it, since nobody knows what the provider did.
#[derive(Debug)]
pub struct Reservation<'a> {
    budget: &'a Budget,
    /// How much, in dollars.
    pub usd: Decimal,
    open: bool,
    /// What is kept of the budget of the call's agent.
    agent: Option<Box<Reservation<'a>>>,
}

impl Reservation<'_> {
    /// The call is over and cost this much; all of the reservation where that is not known or cannot be. Returns what is counted.
    pub fn settle(mut self, cost: Option<Decimal>) -> Decimal {
        self.open = false;
        let cost = cost.filter(|c| *c >= Decimal::ZERO && *c <= self.usd).unwrap_or(self.usd);
        self.budget.settle(self.usd, cost);
        if let Some(agent) = self.agent.take() {
            agent.settle(Some(cost));
        }
        cost
    }
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        if self.open {
            self.budget.settle(self.usd, self.usd);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rust_decimal::dec;

    fn of(usd: Decimal) -> Budget {
        let limit = Some(Limit { text: "cost <= 1 usd".into(), usd });
        Budget { limit, ..Budget::default() }
    }

    #[tokio::test]
    async fn what_is_reserved_and_spent_stays_within_the_limit() {
        let budget = of(dec!(1));
        let first = budget.reserve(dec!(0.1), dec!(0.7)).await.expect("it fits");
        // The second waits until the first has cost less than it might.
        let second = async { budget.reserve(dec!(0.5), dec!(0.6)).await.expect("it fits then").usd };
        let (_, second) = tokio::join!(async { first.settle(Some(dec!(0.2))) }, second);
        assert_eq!(second, dec!(0.6));
        // It was dropped, and counts whole.
        assert_eq!(budget.spent(), dec!(0.8));
        let shrunk = budget.reserve(dec!(0.1), dec!(5)).await.expect("a smaller one fits");
        assert_eq!(shrunk.usd, dec!(0.2));
        assert_eq!(shrunk.settle(Some(dec!(400))), dec!(0.2), "a bill of more than was possible");
        let fault = budget.reserve(dec!(0.001), dec!(1)).await.expect_err("nothing is left");
        assert_eq!(fault.kind, FaultKind::Budget);
        assert!(fault.message.contains("0.001 usd") && fault.message.contains("(1 usd spent"), "{}", fault.message);
        assert!(fault.help.is_some_and(|h| h.contains("1.001 usd")));
    }

    #[tokio::test]
    async fn hardware_of_a_fallback_and_earlier_runtimes_take_their_share() {
        let unsettled = Unsettled::of([dec!(0.2), dec!(0.1)]);
        let budget = Budget { spent: Cell::new(dec!(0.5)), unsettled, ..of(dec!(1)) };
        budget.set_aside(dec!(0.2)).expect("it fits");
        let held = budget.reserve(dec!(0.1), dec!(0.4)).await.expect("what is left");
        assert_eq!(held.usd, dec!(0.3));
        let fault = budget.set_aside(dec!(0.1)).expect_err("all is kept for a call");
        assert_eq!(fault.kind, FaultKind::Budget);
        let known = "(0.5 usd spent, of it at most $0.3 of 2 requests whose end nobody knows, 0.2 usd set aside";
        assert!(fault.message.contains(known), "{}", fault.message);
        assert_eq!(Budget::default().set_aside(dec!(9)), Ok(()), "no limit, no refusal");
    }

    #[tokio::test]
    async fn no_call_begins_whose_rent_does_not_fit_any_more() {
        let budget = Budget { aside: Cell::new(dec!(0.6)), ..of(dec!(1)) };
        let first = budget.rent(dec!(0.6), dec!(0.3)).await.expect("the whole step fits");
        // The first takes longer than planned.
        let second = async { budget.rent(dec!(0.3), dec!(0.3)).await.expect("it fits") };
        let (_, second) = tokio::join!(
            async {
                budget.rented(dec!(0.5));
                drop(first)
            },
            second
        );
        assert_eq!(budget.reserve(dec!(0.1), dec!(0.4)).await.expect("a provider's call").usd, dec!(0.2));
        budget.rented(dec!(0.9));
        drop(second);
        let fault = budget.rent(dec!(0.3), dec!(0.3)).await.expect_err("0.1 usd are left, less the provider's 0.2");
        assert_eq!(fault.kind, FaultKind::Budget);
        assert!(fault.message.contains("planned to cost 0.3 usd, and 0 usd of `cost <= 1 usd`"), "{}", fault.message);
        assert!(fault.help.is_some_and(|h| h.contains("1.4 usd")));
        assert!(Budget::default().rent(dec!(9), dec!(9)).await.is_ok(), "no limit, no refusal");
    }

    proptest::proptest! {
        /// Whatever calls ask for, whatever they say that they cost, in whatever order they end.
        #[test]
        fn no_order_of_calls_overspends(calls in proptest::collection::vec((0_i64..400, 0_i64..400, -50_i64..2000, 0_usize..4), 1..40)) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
            let budget = of(Decimal::ONE);
            let mut open = Vec::new();
            for (least, more, cost, ends) in calls {
                let [least, most, cost] = [least, least + more, cost].map(|n| Decimal::new(n, 3));
                // One poll: what would wait is not made.
                let held = runtime.block_on(async {
                    tokio::select! { biased; held = budget.reserve(least, most) => held.ok(), () = std::future::ready(()) => None }
                });
                open.extend(held.map(|held| (held, cost)));
                proptest::prop_assert!(budget.spent.get() + budget.held.get() <= Decimal::ONE);
                for _ in 0..ends.min(open.len()) {
                    let (held, cost): (Reservation<'_>, Decimal) = open.remove(0);
                    if ends == 3 { drop(held) } else { let _ = held.settle(Some(cost)); }
                }
            }
            drop(open);
            proptest::prop_assert!(budget.spent() <= Decimal::ONE);
        }
    }
}
