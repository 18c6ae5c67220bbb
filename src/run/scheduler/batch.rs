//! A call that can be made with others -> its value: it joins a window, whoever leads the window makes all calls in it as one, and each goes on
//! with what came of it alone: its record, its share of time and money, its own retries.

use super::Scheduler;
use super::calls::{Asking, rented};
use super::gather::{Kind, Leading, Left, Member, Told};
use crate::ir::workflow::StepId;
use crate::plan::model::PlanStep;
use crate::run::budget::Renting;
use crate::run::engines::{self, Args, Before, Call};
use crate::run::fault::Fault;
use crate::run::meter::Usage;
use crate::run::places::Place;
use crate::run::under_way::UnderWay;
use serde_json::Value;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::oneshot;

impl Scheduler<'_> {
    /// A call's value, made with others of its kind where there are any.
    pub(super) async fn gathered(
        &self,
        (step, kind): (&Rc<PlanStep>, Rc<Kind>),
        args: Args,
        asking: Asking<'_>,
        place: Option<Box<dyn Place + '_>>,
    ) -> Result<Option<Arc<Value>>, Fault> {
        let (ready, (tell, told)) = (Instant::now(), oneshot::channel());
        if let Some(place) = &place {
            place.begin();
        }
        let asked = asking.journal.map(|(_, asked)| asked.clone());
        let member = Member { step: step.clone(), args: args.clone(), asked, ready, tell };
        if let Some(leading) = self.gather.join(&kind, member) {
            self.lead(leading, (step, asking.path)).await?;
        }
        // Nobody tells where whoever led is gone.
        let told = told.await.unwrap_or(Told::Alone(None));
        match told {
            Told::Passed => Ok(None),
            Told::Alone(left) => self.alone(step, args, asking, (ready, place), left).await,
            Told::Result { result, begun, usage, wall, under_way: _under_way } => {
                if let (Some(place), Ok(_)) = (&place, &result) {
                    place.done(wall);
                }
                drop(place);
                self.recorded(step, asking.journal, result, &begun, (usage, wall)).await.map(Some)
            }
        }
    }

    /// Makes the calls of a window, and tells each what came of it.
    async fn lead(&self, leading: Leading<'_>, (step, path): (&PlanStep, &str)) -> Result<(), Fault> {
        leading.others().await;
        // Others may still come while a device is waited for.
        let held = self.serving.hold(step, path, &self.pools).await;
        let held = held.inspect_err(|fault| self.blame(step, fault))?;
        if self.cx.cancel.is_draining() {
            std::future::pending::<()>().await;
        }
        let members = leading.close();
        if self.carriers.passes(step) {
            members.into_iter().for_each(|member| drop(member.tell.send(Told::Passed)));
            return Ok(());
        }
        let Ok(renting) = self.rents(&members).await else {
            // Some of them may fit into what is left.
            members.into_iter().for_each(|member| drop(member.tell.send(Told::Alone(None))));
            return Ok(());
        };
        let under_way: Vec<_> = members.iter().map(|_| UnderWay::new(&self.under_way)).collect();
        let mut begun = Vec::with_capacity(members.len());
        for member in &members {
            begun.push(self.begun(&member.step, member.asked.as_ref())?);
        }
        if let Some(recorder) = self.cx.recorder {
            let intents = members.iter().filter_map(|m| Some(recorder.intend(&m.step, m.asked.as_ref()?)));
            futures_util::future::try_join_all(intents).await?;
        }
        let devices = self.serving.devices(step, &held);
        let reading = |member: &Member| {
            self.meter.placed(member.step.id, devices.clone());
            self.meter.start(&member.step, member.ready.elapsed(), true)
        };
        let readings: Vec<_> = members.iter().map(reading).collect();
        let calls = members.iter().zip(&begun).zip(&under_way).map(|((member, begun), under_way)| Call {
            step: &member.step,
            args: member.args.clone(),
            folder: begun.folder.clone(),
            number: begun.number,
            asked: member.asked.as_ref(),
            cx: self.cx,
            shared: &self.shared,
            kept: &self.kept,
            server: held.lease(),
            gpus: held.gpus(),
            rank: self.pools.rank(step.id, path),
            before: Before::default(),
            answers_run: false,
            usage: Cell::default(),
            answers: Cell::default(),
            under_way: Some(under_way),
        });
        let calls: Vec<Call<'_>> = calls.collect();
        let results = engines::together(&calls).await;
        let usages: Vec<Usage> = calls.iter().map(|call| call.usage.get()).collect();
        drop(calls);
        let among = members.len() as u32;
        let (results, whole) = match results {
            Ok(results) => (results, false),
            Err(fault) => (members.iter().map(|_| Err(fault.clone())).collect(), true),
        };
        let all = members.into_iter().zip(begun).zip(readings.into_iter().zip(usages)).zip(results);
        for ((((member, begun), (reading, usage)), result), under_way) in all.zip(under_way) {
            let Member { step, tell, .. } = member;
            let wall = self.meter.stop(&step, &reading, usage, (result.is_ok(), among));
            let goes_on = |fault: Option<Fault>| {
                let before = Before { made: usage.attempts, failed: u32::from(fault.is_some()) };
                Told::Alone(Some(Left { begun: begun.clone(), usage, before, fault }))
            };
            let told = match result {
                // Any one of them may be to blame.
                Err(fault) if whole && among > 1 && !engines::of_all(&fault) => goes_on(None),
                Err(fault) if !whole && fault.transient && step.conditions.retries > 0 => goes_on(Some(fault)),
                result => Told::Result { result, begun: begun.clone(), usage, wall, under_way },
            };
            if let Told::Result { result: Err(fault), .. } = &told {
                self.blame(&step, fault);
            }
            // Whoever does not listen any more was stopped.
            let _ = tell.send(told);
        }
        self.shared.budget.rented(self.meter.rented());
        drop((held, renting));
        Ok(())
    }

    /// The planned rent of calls on hardware of one's own, of which each step has its own share.
    async fn rents(&self, members: &[Member]) -> Result<Option<Renting<'_>>, Fault> {
        let mut steps: BTreeMap<StepId, (&PlanStep, u64)> = BTreeMap::new();
        for member in members {
            steps.entry(member.step.id).or_insert((&member.step, 0)).1 += 1;
        }
        let planned = steps.into_values().filter(|(step, _)| rented(step));
        let planned: Vec<_> = planned.map(|(step, calls)| self.planned_rent(step, calls)).collect();
        if planned.is_empty() {
            return Ok(None);
        }
        let (least, all) = (planned.iter().map(|(least, _)| least).sum(), planned.iter().map(|(_, all)| all).sum());
        self.shared.budget.rent(least, all).await.map(Some)
    }
}
