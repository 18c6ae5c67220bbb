//! A call of a step -> its value: from the journal, from the cache of other runs, or made. Whatever has effects follows only from results that
//! are recorded.

use super::gather::{Begun, Left};
use super::{Scheduler, Scope};
use crate::ir::workflow::ValueId;
use crate::plan::model::{Engine, PlanStep};
use crate::run::budget::Renting;
use crate::run::carriers::replaceable;
use crate::run::engines::{self, Args, Before, Call};
use crate::run::fault::{Fault, FaultKind};
use crate::run::journal::asked::{Asked, Earlier, Known, Made};
use crate::run::journal::recorder::Recorder;
use crate::run::meter::Usage;
use crate::run::observer::Event;
use crate::run::places::Place;
use crate::run::steer::Turn;
use crate::run::store;
use crate::run::under_way::UnderWay;
use rust_decimal::Decimal;
use serde_json::Value;
use std::cell::Cell;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

/// Where a call stands, and what the journal says of it.
#[derive(Clone, Copy)]
pub struct Asking<'a> {
    /// The items and rounds that it is in, as its scope has them.
    pub path: &'a str,
    /// The journal, where there is one.
    pub journal: Option<(&'a Recorder, &'a Asked)>,
}

/// Whether a step's calls are on hardware of one's own, which is paid by time.
pub fn rented(step: &PlanStep) -> bool {
    step.hardware.device != "api" && step.engine.provider().is_none()
}

impl Scheduler<'_> {
    /// A call's value.
    pub(super) async fn journalled(
        &self,
        step: Rc<PlanStep>,
        (scope, output): (&Scope<'_>, ValueId),
        args: Args,
    ) -> Result<Arc<Value>, Fault> {
        let asking = |journal| Asking { path: &scope.path, journal };
        let Some(recorder) = self.cx.recorder else { return self.made(&step, args, asking(None)).await };
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
            return self.made(&step, args, asking(Some((recorder, &asked)))).await;
        };
        let folder = store::call_folder(self.folder, &step, asked.call.number);
        let key = cache.key(&step, &args, self.cx).await;
        let now = SystemTime::now();
        if let Some(key) = &key
            && let Some(value) = cache.find(key, (&step, &args), &folder, now).await
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
        let value = self.made(&step, args, asking(Some((recorder, &asked)))).await?;
        // What a fallback gave is not what the choice gives.
        if let Some(key) = key.filter(|_| !self.stood_in.borrow_mut().remove(path)) {
            cache.keep(&key, &step, &value, now).await;
        }
        Ok(value)
    }

    /// Before a call on hardware of one's own: its rent, of the whole step where it is the first. How often an agent calls a tool nobody knows.
    async fn rent(&self, step: &PlanStep) -> Result<Option<Renting<'_>>, Fault> {
        if !rented(step) {
            return Ok(None);
        }
        let (least, each) = self.planned_rent(step, 1);
        self.shared.budget.rent(least, each).await.map(Some)
    }

    /// What must be left for a step's next calls to begin, and what they themselves are planned to cost.
    pub(super) fn planned_rent(&self, step: &PlanStep, calls: u64) -> (Decimal, Decimal) {
        let each = step.predicted.cost_usd.checked_div(step.calls).unwrap_or_default();
        let own = each.saturating_mul(calls.into());
        let first = self.change(step.id, |_| ()).started == 0;
        (if first && step.agent.is_none() { step.predicted.cost_usd.max(own) } else { own }, own)
    }

    /// Before the first call of a step: whether the rest of the plan still fits what was measured.
    pub(super) async fn steer(&self, step: &PlanStep) -> Result<(), Fault> {
        let Some(steer) = self.cx.steer else { return Ok(()) };
        if self.steered.borrow().contains(&step.id) {
            return Ok(());
        }
        // Until a change is recorded and in force, no other call goes on with the plan as it was.
        let _turn = self.steering.lock().await;
        if self.steered.borrow().contains(&step.id) {
            return Ok(());
        }
        if let Some(turn) = steer.steer(&self.now()) {
            self.turn(turn).await?;
        }
        self.steered.borrow_mut().insert(step.id);
        Ok(())
    }

    /// The rest is carried out otherwise, once that is recorded.
    pub(super) async fn turn(&self, Turn { steps, message }: Turn) -> Result<(), Fault> {
        if let Some(recorder) = self.cx.recorder {
            recorder.adapted(&steps, &message).await?;
        }
        self.meter.adapt(&message, &steps);
        self.cx.observer.event(&Event::Adapted { message: &message });
        steps.into_iter().for_each(|step| self.carriers.replace(step));
        Ok(())
    }

    /// A call by somebody; none where this one has failed for good since the call began to wait, and another has not.
    pub(super) async fn measured(
        &self,
        step: &Rc<PlanStep>,
        args: Args,
        asking: Asking<'_>,
    ) -> Result<Option<Arc<Value>>, Fault> {
        let ready = Instant::now();
        let weightier;
        let asking = match asking.journal {
            // Whoever stands in may cost what the choice does not.
            Some((recorder, asked)) if !asked.weighty && recorder.weighty(step) => {
                weightier = asked.weightier();
                Asking { journal: Some((recorder, &weightier)), ..asking }
            }
            _ => asking,
        };
        // Before the run's own devices: what waits for another run's call must not hold up the rest of this one.
        let place = match self.cx.places {
            Some(places) => places.enter(step).await,
            None => None,
        };
        // Who carries calls out elsewhere puts them together there.
        let here = self.cx.remote.is_none();
        let kind = here.then(|| self.gather.kind(self.plan, (step, asking.path), &args)).flatten();
        if let Some(kind) = kind {
            return Box::pin(self.gathered((step, kind), args, asking, place)).await;
        }
        self.alone(step, args, asking, (ready, place), None).await
    }

    /// A call that is made by itself; it may have been begun with others.
    pub(super) async fn alone(
        &self,
        step: &PlanStep,
        args: Args,
        asking: Asking<'_>,
        (ready, place): (Instant, Option<Box<dyn Place + '_>>),
        left: Option<Left>,
    ) -> Result<Option<Arc<Value>>, Fault> {
        let held = self.serving.hold(step, asking.path, &self.pools).await;
        let held = held.inspect_err(|fault| self.blame(step, fault))?;
        if left.is_none() && self.carriers.passes(step) {
            return Ok(None);
        }
        let renting = self.rent(step).await?;
        if self.cx.cancel.is_draining() {
            // What is under way ends; the run does, when nothing is.
            std::future::pending::<()>().await;
        }
        let under_way = UnderWay::new(&self.under_way);
        let journal = asking.journal;
        let asked = journal.map(|(_, asked)| asked);
        let first = left.is_none();
        let Left { begun, usage: spent, before, fault } = match left {
            Some(left) => left,
            None => {
                let begun = self.begun(step, asked)?;
                if let Some((recorder, asked)) = journal {
                    recorder.intend(step, asked).await?;
                }
                Left { begun, usage: Usage::default(), before: Before::default(), fault: None }
            }
        };
        self.meter.placed(step.id, self.serving.devices(step, &held));
        let reading = self.meter.start(step, ready.elapsed(), first);
        if let Some(place) = &place {
            place.begin();
        }
        let (folder, number) = (begun.folder.clone(), begun.number);
        let (shared, kept) = (&self.shared, &self.kept);
        let (server, gpus, usage, answers) = (held.lease(), held.gpus(), Cell::default(), Cell::default());
        let (cx, answers_run) = (self.cx, self.answers == Some(step.id));
        // Nothing but a provider is waited for any more.
        let rank = step.engine.provider().map(|_| self.pools.rank(step.id, asking.path)).unwrap_or_default();
        #[rustfmt::skip]
        let call = Call {
            step, args, folder, number, asked, cx, shared, kept, server, gpus, rank, before, answers_run, usage, answers,
            under_way: Some(&under_way),
        };
        if let Some(fault) = &fault {
            engines::pause(&call, engines::again(&call, before.made, fault)).await;
        }
        let result = engines::call(&call).await;
        let usage = call.usage.get();
        drop(call);
        let wall = self.meter.stop(step, &reading, usage, (result.is_ok(), 1));
        if let (Some(place), Ok(_)) = (&place, &result) {
            place.done(wall);
        }
        self.shared.budget.rented(self.meter.rented());
        // Known before whoever waits for its devices goes on.
        let result = result.inspect_err(|fault| self.blame(step, fault));
        drop((held, place, renting));
        self.recorded(step, journal, result, &begun, (spent.and(usage), wall)).await.map(Some)
    }

    /// A call failed for good: whoever carried it out may be left by all.
    pub(super) fn blame(&self, step: &PlanStep, fault: &Fault) {
        if replaceable(fault) {
            self.carriers.bad(step, fault);
        }
    }

    /// A call of a step begins: its number, and its folder.
    pub(super) fn begun(&self, step: &PlanStep, asked: Option<&Asked>) -> Result<Begun, Fault> {
        let begun = self.begin(step);
        let number = asked.map_or(begun, |asked| asked.call.number);
        // What a function of the runtime gives stands in the journal: a folder and a file for each would take longer than it does.
        let elsewhere = asked.is_some() || !self.cx.outputs;
        let slight = elsewhere && matches!(&step.engine, Engine::Builtin { .. }) && !engines::writes(&step.engine);
        let mut folder = PathBuf::new();
        if !slight {
            folder = store::call_folder(self.folder, step, number);
            store::folder(&folder)?;
        }
        Ok(Begun { number, folder, slight })
    }

    /// What came of a call, once it is recorded: written before anybody is told.
    pub(super) async fn recorded(
        &self,
        step: &PlanStep,
        journal: Option<(&Recorder, &Asked)>,
        result: Result<Value, Fault>,
        begun: &Begun,
        (usage, wall): (Usage, Duration),
    ) -> Result<Arc<Value>, Fault> {
        let value = match (result, journal) {
            (Ok(value), _) => value,
            (Err(fault), None) => return Err(fault),
            (Err(fault), Some((recorder, asked))) => {
                // Each attempt that sends something is paid or answered.
                let unsent =
                    fault.kind == FaultKind::Budget && usage == Usage { attempts: usage.attempts, ..Usage::default() };
                recorder.failed(asked, &fault, unsent && usage.attempts <= 1).await?;
                return Err(fault);
            }
        };
        let Begun { folder, slight, .. } = begun;
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
