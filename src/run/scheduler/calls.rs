//! A call of a step -> its value: from the journal, from the cache of other runs, or made, by the plan's choice or by whoever stands in for
//! it. Whatever has effects follows only from results that are recorded.

use super::{Scheduler, Scope, UnderWay};
use crate::ir::workflow::ValueId;
use crate::plan::model::{Engine, PlanStep};
use crate::run::budget::Renting;
use crate::run::carriers::replaceable;
use crate::run::engines::{self, Args, Call};
use crate::run::fault::{Fault, FaultKind};
use crate::run::journal::asked::{Asked, Earlier, Known, Made};
use crate::run::journal::recorder::Recorder;
use crate::run::observer::Event;
use crate::run::steer::Turn;
use crate::run::store;
use rust_decimal::Decimal;
use serde_json::Value;
use std::cell::Cell;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

impl Scheduler<'_> {
    /// A call's value.
    pub(super) async fn journalled(
        &self,
        step: Rc<PlanStep>,
        (scope, output): (&Scope<'_>, ValueId),
        args: Args,
    ) -> Result<Arc<Value>, Fault> {
        let Some(recorder) = self.cx.recorder else { return self.made(&step, args, None).await };
        let path = format!("{}v{}", scope.path, output.0);
        let path = path.as_str();
        let asked = match recorder.ask(&step, path, &args).await? {
            Known::Done(Earlier { value, usage, wall, .. }) => {
                let by = recorder.replay().stand_ins.get(path).and_then(|by| self.carriers.by_name(step.id, by));
                let by = by.unwrap_or(step);
                self.begin(&by);
                self.meter.earlier(&by, wall, usage);
                self.shared.budget.rented(self.meter.rented());
                self.done(&by, wall);
                return Ok(Arc::new(value));
            }
            Known::Open(asked) => asked,
        };
        let Some(cache) = self.cx.cache.filter(|cache| cache.wants(&step, recorder.cacheable(&step))) else {
            return self.made(&step, args, Some((recorder, &asked))).await;
        };
        let folder = store::call_folder(self.folder, &step, asked.call.number);
        let key = cache.key(&step, &args, self.cx).await;
        if let Some(key) = &key
            && let Some(value) = cache.find(key, &args, &folder).await
            && engines::checked(value.clone(), &step).is_ok()
        {
            store::folder(&folder)?;
            store::write(&folder.join(store::OUTPUT), format!("{value:#}\n").as_bytes())?;
            recorder.cached(&asked, &value).await?;
            self.begin(&step);
            self.meter.cached(&step);
            self.done(&step, Duration::ZERO);
            return Ok(Arc::new(value));
        }
        let value = self.made(&step, args, Some((recorder, &asked))).await?;
        // What a fallback gave is not what the choice gives.
        if let Some(key) = key.filter(|_| !self.stood_in.borrow_mut().remove(path)) {
            cache.keep(&key, &step, &value).await;
        }
        Ok(value)
    }

    /// Makes a call: by the first that can, each after the one before has failed for good.
    async fn made(
        &self,
        step: &Rc<PlanStep>,
        args: Args,
        journal: Option<(&Recorder, &Asked)>,
    ) -> Result<Arc<Value>, Fault> {
        self.steer(step).await?;
        let carrier = || Fault::plan(format!("nobody carries out step `{}`", step.name));
        let (mut at, mut by) = self.carriers.next(step.id, 0).ok_or_else(carrier)?;
        let mut first: Option<Fault> = None;
        if at > 0 {
            // The circuit of the choice is open: the call begins with a fallback.
            let fault = Fault::new(FaultKind::Provider, "it has failed for good in this run");
            let choice = self.carriers.first(step.id).ok_or_else(carrier)?;
            self.hardware(&choice, &by)?;
            self.left(&choice, &by, &fault, journal).await?;
        }
        loop {
            let fault = match self.measured(&by, args.clone(), journal).await {
                Ok(value) => {
                    self.carriers.good(&by);
                    return Ok(value);
                }
                Err(fault) => fault,
            };
            if !replaceable(&fault) {
                // Of several faults the first says what a person has to mend, unless the run was stopped or cannot go on.
                return Err(fault);
            }
            self.carriers.bad(&by, &fault);
            let next = self.carriers.next(step.id, at + 1);
            let said = match first.take() {
                Some(said) => said.and_of(&by.implementation, &fault),
                None => fault.clone(),
            };
            let Some((next_at, next)) = next else {
                return Err(if at > 0 { said.in_vain() } else { said });
            };
            first = Some(said);
            self.hardware(&by, &next)?;
            self.left(&by, &next, &fault, journal).await?;
            (at, by) = (next_at, next);
        }
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

    /// Before a call on hardware of one's own: its rent, of the whole step where it is the first. How often an agent calls a tool nobody knows.
    async fn rent(&self, step: &PlanStep) -> Result<Option<Renting<'_>>, Fault> {
        if step.hardware.device == "api" || step.engine.provider().is_some() {
            return Ok(None);
        }
        let each = step.predicted.cost_usd.checked_div(step.calls).unwrap_or_default();
        let first = self.change(step.id, |_| ()).started == 0;
        let least = if first && step.agent.is_none() { step.predicted.cost_usd.max(each) } else { each };
        self.shared.budget.rent(least, each).await.map(Some)
    }

    /// Before the first call of a step: whether the rest of the plan still fits what was measured.
    async fn steer(&self, step: &PlanStep) -> Result<(), Fault> {
        let Some(steer) = self.cx.steer else { return Ok(()) };
        if self.steered.borrow().contains(&step.id) {
            return Ok(());
        }
        let turn = steer.steer(&self.now());
        self.steered.borrow_mut().insert(step.id);
        let Some(Turn { steps, message }) = turn else { return Ok(()) };
        if let Some(recorder) = self.cx.recorder {
            recorder.adapted(&steps, &message).await?;
        }
        self.meter.adapt(&message, &steps);
        self.cx.observer.event(&Event::Adapted { message: &message });
        steps.into_iter().for_each(|step| self.carriers.replace(step));
        Ok(())
    }

    async fn measured(
        &self,
        step: &PlanStep,
        args: Args,
        journal: Option<(&Recorder, &Asked)>,
    ) -> Result<Arc<Value>, Fault> {
        let ready = Instant::now();
        // Before the run's own devices: what waits for another run's call must not hold up the rest of this one.
        let place = match self.cx.places {
            Some(places) => places.enter(step).await,
            None => None,
        };
        let held = self.serving.hold(step, &self.pools).await?;
        let renting = self.rent(step).await?;
        if self.cx.cancel.is_draining() {
            // What is under way ends; the run does, when nothing is.
            std::future::pending::<()>().await;
        }
        let _under_way = UnderWay::new(&self.under_way);
        let begun = self.begin(step);
        let number = journal.map_or(begun, |(_, asked)| asked.call.number);
        let weightier;
        let journal = match journal {
            // Whoever stands in may cost what the choice does not.
            Some((recorder, asked)) if !asked.weighty && recorder.weighty(step) => {
                weightier = asked.weightier();
                Some((recorder, &weightier))
            }
            known => known,
        };
        // What a function of the runtime gives stands in the journal: a folder and a file for each would take longer than it does.
        let elsewhere = journal.is_some() || !self.cx.outputs;
        let slight = elsewhere && matches!(&step.engine, Engine::Builtin { .. }) && !engines::writes(&step.engine);
        let mut folder = PathBuf::new();
        if !slight {
            folder = store::call_folder(self.folder, step, number);
            store::folder(&folder)?;
        }
        if let Some((recorder, asked)) = journal {
            recorder.intend(step, asked).await?;
        }
        self.meter.placed(step.id, self.serving.devices(step, &held));
        let reading = self.meter.start(step, ready.elapsed());
        if let Some(place) = &place {
            place.begin();
        }
        let (shared, kept, asked) = (&self.shared, &self.kept, journal.map(|(_, asked)| asked));
        let (server, gpus, usage, answers) = (held.lease(), held.gpus(), Cell::default(), Cell::default());
        let (cx, answers_run) = (self.cx, self.answers == Some(step.id));
        let call =
            Call { step, args, folder, number, asked, cx, shared, kept, server, gpus, answers_run, usage, answers };
        let result = engines::call(&call).await;
        let Call { folder, usage, .. } = call;
        let usage = usage.get();
        let wall = self.meter.stop(step, &reading, usage, result.is_ok());
        if let (Some(place), Ok(_)) = (&place, &result) {
            place.done(wall);
        }
        self.shared.budget.rented(self.meter.rented());
        drop((held, place, renting));
        let value = match (result, journal) {
            (Ok(value), _) => value,
            (Err(fault), None) => return Err(fault),
            (Err(fault), Some((recorder, asked))) => {
                recorder.failed(asked, &fault).await?;
                return Err(fault);
            }
        };
        // Written before anybody is told.
        if !slight {
            store::write(&folder.join(store::OUTPUT), format!("{value:#}\n").as_bytes())?;
        }
        if let Some((recorder, asked)) = journal {
            let made = Made { value: &value, usage, wall, folder: Some(folder.as_path()).filter(|_| !slight) };
            recorder.made(asked, made).await?;
        }
        self.done(step, wall);
        Ok(Arc::new(value))
    }
}
