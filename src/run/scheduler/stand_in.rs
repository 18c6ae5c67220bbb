//! A call -> who carries it out: the plan's choice, or whoever stands in for it where it fails for good.
//!
//! Who stands in must keep the plan's lines beside all that stand in already; where nobody does, the rest may be planned again so that one
//! does. Quality is never lowered below its line: rather than that, the call fails. Money is bounded by what is reserved, and time is lost as it is.

use super::Scheduler;
use super::calls::Asking;
use crate::plan::model::PlanStep;
use crate::plan::verify::Broken;
use crate::run::carriers::{Carrier, replaceable};
use crate::run::engines::Args;
use crate::run::fault::{Fault, FaultKind};
use crate::run::journal::asked::Asked;
use crate::run::journal::recorder::Recorder;
use crate::run::observer::Event;
use rust_decimal::Decimal;
use serde_json::Value;
use std::rc::Rc;
use std::sync::Arc;

/// Who is next where somebody failed for good.
enum Next<'a> {
    /// Somebody who is told to stand in.
    By(Carrier<'a>),
    /// There is none.
    Nobody,
    /// Nobody who is left may, and why not.
    Unfit(String),
}

impl Scheduler<'_> {
    /// Makes a call: by the first that can and may, each after the one before has failed for good.
    pub(super) async fn made(&self, step: &Rc<PlanStep>, args: Args, asking: Asking<'_>) -> Result<Arc<Value>, Fault> {
        let journal = asking.journal;
        self.steer(step).await?;
        let carrier = || Fault::plan(format!("nobody carries out step `{}`", step.name));
        let mut by = self.carriers.choice(step.id).ok_or_else(carrier)?;
        // Where the circuit of the choice is open, the call begins with a fallback; where none has a closed one, the choice tells why.
        if self.carriers.passes(&by.step) {
            by = Box::pin(self.instead_of_failed(&by, journal)).await?;
        }
        let mut first: Option<Fault> = None;
        loop {
            let fault = match self.measured(&by.step, args.clone(), asking).await {
                Ok(Some(value)) => {
                    by.gave();
                    self.carriers.good(&by.step);
                    return Ok(value);
                }
                // Its circuit was opened by others while it waited.
                Ok(None) => {
                    by.failed();
                    by = Box::pin(self.instead_of_failed(&by, journal)).await?;
                    continue;
                }
                // Of several faults the first says what a person has to mend, unless the run was stopped or cannot go on.
                Err(fault) if !replaceable(&fault) => return Err(fault),
                Err(fault) => fault,
            };
            by.failed();
            let said = match first.take() {
                Some(said) => said.and_of(&by.step.implementation, &fault),
                None => fault.clone(),
            };
            // In a box: what most calls never do must not make all of them larger.
            by = match Box::pin(self.instead(&by, &fault, journal)).await? {
                Next::By(next) => next,
                Next::Nobody if by.at > 0 => return Err(said.in_vain()),
                Next::Nobody => return Err(said),
                Next::Unfit(why) => return Err(said.unfit(&why)),
            };
            first = Some(said);
        }
    }

    /// Who stands in for somebody whose circuit is open.
    async fn instead_of_failed(
        &self,
        by: &Carrier<'_>,
        journal: Option<(&Recorder, &Asked)>,
    ) -> Result<Carrier<'_>, Fault> {
        let fault = Fault::new(FaultKind::Provider, "it has failed for good in this run");
        match self.instead(by, &fault, journal).await? {
            Next::By(next) => Ok(next),
            Next::Nobody => Err(Fault::plan(format!("nobody carries out step `{}`", by.step.name))),
            Next::Unfit(why) => Err(self.carriers.why(&by.step).unwrap_or(fault).unfit(&why)),
        }
    }

    /// Who stands in for somebody who failed for good, once that is recorded.
    async fn instead(
        &self,
        from: &Carrier<'_>,
        fault: &Fault,
        journal: Option<(&Recorder, &Asked)>,
    ) -> Result<Next<'_>, Fault> {
        if self.carriers.behind(from.step.id, from.at).is_empty() {
            return Ok(Next::Nobody);
        }
        let next = match self.keeping(from).await? {
            Ok(next) => next,
            Err(why) => return Ok(Next::Unfit(why)),
        };
        self.hardware(&from.step, &next.step)?;
        self.left(&from.step, &next.step, fault, journal).await?;
        Ok(Next::By(next))
    }

    /// The first behind somebody that keeps the plan's lines beside all who stand in; else the first for which the rest can be planned so that
    /// they are kept; else the first that at least does not lower quality below its line. An error where that is none.
    async fn keeping(&self, from: &Carrier<'_>) -> Result<Result<Carrier<'_>, String>, Fault> {
        let kept = || {
            let behind = self.carriers.behind(from.step.id, from.at);
            behind.into_iter().find(|(_, by)| self.carriers.breaks(self.plan, by).is_empty())
        };
        if let Some((at, by)) = kept() {
            return Ok(Ok(self.carriers.stand_in(at, by)));
        }
        if let Some(steer) = self.cx.steer {
            // What another call is asking for just now may change who fits.
            let _turn = self.steering.lock().await;
            if let Some((at, by)) = kept() {
                return Ok(Ok(self.carriers.stand_in(at, by)));
            }
            for (at, by) in self.carriers.behind(from.step.id, from.at) {
                if let Some(turn) = steer.stand_in(&self.now(), &by) {
                    // From here on it counts, whoever else asks.
                    let next = self.carriers.stand_in(at, by);
                    if !turn.steps.is_empty() {
                        self.turn(turn).await?;
                    }
                    return Ok(Ok(next));
                }
            }
        }
        let mut unfit: Option<(Rc<PlanStep>, Broken)> = None;
        for (at, by) in self.carriers.behind(from.step.id, from.at) {
            match self.carriers.breaks(self.plan, &by).into_iter().find(Broken::worsens) {
                None => return Ok(Ok(self.carriers.stand_in(at, by))),
                Some(broken) => unfit = unfit.or(Some((by, broken))),
            }
        }
        let why = unfit.map(|(by, broken)| format!("`{}` may not stand in: {broken}", by.implementation));
        Ok(Err(why.unwrap_or_default()))
    }

    /// Says and records that somebody else carries a call out.
    async fn left(
        &self,
        from: &PlanStep,
        to: &PlanStep,
        fault: &Fault,
        journal: Option<(&Recorder, &Asked)>,
    ) -> Result<(), Fault> {
        if let Some((recorder, asked)) = journal {
            recorder.left(asked, &from.implementation, &to.implementation, fault).await?;
            self.stood_in.borrow_mut().insert(asked.call.path.clone());
        }
        self.cx.observer.event(&Event::Left { step: from, to, fault });
        Ok(())
    }

    /// What a fallback on hardware of one's own costs is no provider's bill: it is taken from the limit here.
    fn hardware(&self, from: &PlanStep, to: &PlanStep) -> Result<(), Fault> {
        if to.engine.provider().is_some() {
            return Ok(());
        }
        let each = |s: &PlanStep| s.predicted.cost_usd.checked_div(s.calls).unwrap_or_default();
        let counted = if from.engine.provider().is_some() { Decimal::ZERO } else { each(from) };
        self.shared.budget.set_aside((each(to) - counted).max(Decimal::ZERO))
    }
}
