//! The data flow and its inputs -> the result: every node starts as soon as what it uses is there and a device is free.
//!
//! All on one thread: nodes are futures in one set, woken singly; their work happens in child processes, over the network or on
//! the blocking pool. Dropping the set (an error, a cancelled run) drops every call, which kills its children.

mod batch;
mod calls;
pub mod flow;
mod gather;
mod scope;
mod stand_in;

use self::flow::{dependencies, steps_in};
use self::gather::Gather;
pub use self::scope::Scope;
use super::RunContext;
use super::carriers::Carriers;
use super::engines::{Args, kept::Kept, openai};
use super::fault::{Fault, FaultKind};
use super::meter::Meter;
use super::observer::Event;
use super::ops::compute;
use super::pool::Pools;
use super::report::measured_s;
use super::servers::serving::Serving;
use super::steer::{Now, Stage, StepNow};
use super::value::held::{Gathered, Held};
use crate::ir::workflow::{Node, Op, Operand, Region, StepId, ValueId};
use crate::plan::model::{Plan, PlanStep};
use futures_util::stream::{FuturesUnordered, StreamExt};
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use serde_json::Value;
use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

type Local<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// A fault, and the step where it happened.
#[derive(Debug)]
pub struct Failure {
    /// The step, where one is to blame.
    pub step: Option<StepId>,
    /// What went wrong.
    pub fault: Fault,
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Failure {
        Failure { step: None, fault }
    }
}

/// Calls of a step so far.
#[derive(Clone, Copy, Default)]
struct Progress {
    known: u64,
    started: u64,
    done: u64,
}

/// Executes a plan.
pub struct Scheduler<'a> {
    plan: &'a Plan,
    cx: &'a RunContext<'a>,
    folder: &'a Path,
    meter: &'a Meter<'a>,
    pools: Pools,
    shared: openai::Shared,
    kept: Kept,
    gather: Gather,
    serving: &'a Serving<'a>,
    carriers: Carriers,
    /// The step whose value is the run's answer as it is.
    answers: Option<StepId>,
    progress: RefCell<BTreeMap<StepId, Progress>>,
    /// Steps all of whose calls are done.
    finished: RefCell<BTreeSet<StepId>>,
    /// Steps of which somebody was asked, before their first call, whether they still fit.
    steered: RefCell<BTreeSet<StepId>>,
    /// Held while somebody is asked.
    steering: tokio::sync::Mutex<()>,
    /// Calls under way that a fallback carries out, by path.
    stood_in: RefCell<BTreeSet<String>>,
    under_way: Rc<Cell<usize>>,
}

impl<'a> Scheduler<'a> {
    /// A scheduler for one run; an error where what an earlier runtime had changed of the plan cannot be read.
    pub fn new(
        plan: &'a Plan,
        cx: &'a RunContext<'a>,
        folder: &'a Path,
        meter: &'a Meter<'a>,
        serving: &'a Serving<'a>,
        cores: u32,
    ) -> Result<Scheduler<'a>, Fault> {
        let pools = Pools::new(plan, cores, cx.api_calls);
        let earlier = cx.recorder.map(|r| r.replay());
        let (shared, kept) = (openai::Shared::new(plan, earlier, cx.most_usd), Kept::new(folder));
        let (carriers, gather) =
            (Carriers::of(plan), Gather::new(plan, cx.gather, earlier.is_some_and(|replay| replay.runtimes > 0)));
        let changed = cx.recorder.map(|r| r.adaptations()).transpose()?.unwrap_or_default();
        if let Some(steer) = cx.steer {
            steer.changed(&changed);
        }
        meter.changed(&changed);
        changed.into_iter().for_each(|step| carriers.replace(step));
        // Whoever gave something to an earlier runtime counts before this one has come to that call.
        let stood_in = earlier.into_iter().flat_map(|replay| replay.stood_in());
        stood_in.filter_map(|(step, by)| carriers.by_name(step, by)).for_each(|by| carriers.stood_in(by));
        let (progress, finished, steered, stood_in, under_way) = Default::default();
        let steering = tokio::sync::Mutex::default();
        Ok(Scheduler {
            plan,
            cx,
            folder,
            meter,
            pools,
            shared,
            kept,
            gather,
            serving,
            carriers,
            answers: plan.body.given_by(),
            progress,
            finished,
            steered,
            steering,
            stood_in,
            under_way,
        })
    }

    /// What the run took so far.
    fn now(&self) -> Now {
        let measures = self.meter.measures();
        let own_s = self.meter.elapsed().as_secs_f64();
        let earlier = self.cx.recorder.map(|r| r.replay());
        // What an earlier runtime began is not chosen anew: a request may be under way in its name.
        let begun = |step| earlier.is_some_and(|replay| replay.has_begun(step));
        let (progress, finished, steered) = (self.progress.borrow(), self.finished.borrow(), self.steered.borrow());
        let steps = self.plan.steps.iter().map(|step| {
            let Progress { known, started, done } = progress.get(&step.id).copied().unwrap_or_default();
            let m = measures.iter().find(|m| m.step == step.id);
            let by = self.carriers.first(step.id);
            StepNow {
                step: step.id,
                stage: match (finished.contains(&step.id), begun(step.id) || started > 0 || steered.contains(&step.id))
                {
                    (true, _) => Stage::Done,
                    (false, true) => Stage::Begun,
                    (false, false) => Stage::Waiting,
                },
                known,
                done,
                // Of calls that failed for good only those that take their place are under way.
                under_way: started.min(known.max(done)).saturating_sub(done),
                busy_s: m.map_or(0.0, |m| m.busy_s),
                took_s: m.zip(by).map_or(0.0, |(m, by)| measured_s(m, &by)),
                running_s: m.map_or(0.0, |m| own_s - m.from_s),
                cost_usd: m.and_then(|m| m.cost_usd).unwrap_or(0.0),
                worse: self.carriers.worse(step.id),
            }
        });
        let steps = steps.collect();
        let (earlier_s, lost) = earlier.map_or_else(Default::default, |replay| (replay.took_s, replay.lost()));
        let (pools, fan_out) = (self.pools.units(), self.cx.fan_out.max(1));
        Now { elapsed_s: earlier_s + own_s, earlier_s, lost_usd: lost.to_f64().unwrap_or(0.0), pools, fan_out, steps }
    }

    /// Runs the whole data flow.
    pub async fn run(&self, inputs: &Scope<'_>) -> Result<Held, Failure> {
        let scope = Scope::inside(inputs);
        self.known(&self.plan.body, 1);
        self.nodes(&self.plan.body, &scope, true).await?;
        Ok(scope.held(&self.plan.body.result)?)
    }

    fn region<'s>(&'s self, region: &'s Region, scope: &'s Scope<'s>) -> Local<'s, Result<Held, Failure>> {
        Box::pin(async move {
            self.nodes(region, scope, false).await?;
            Ok(scope.held(&region.result)?)
        })
    }

    /// Runs the nodes of a region; their values are in the scope afterwards.
    async fn nodes(&self, region: &Region, scope: &Scope<'_>, outermost: bool) -> Result<(), Failure> {
        // The body of most maps: nobody waits for anybody.
        if let [node] = region.nodes.as_slice() {
            scope.set(node.output(), self.node(node, scope).await?);
            if outermost {
                self.finished(node);
            }
            return Ok(());
        }
        let (mut missing, dependents) = dependencies(region);
        let mut running = FuturesUnordered::new();
        let start = |i: usize| async move { (i, self.node(&region.nodes[i], scope).await) };
        // Of nodes that become ready together, those with the longest way behind them ask for devices first.
        let ranked = |mut ready: Vec<usize>| {
            if ready.len() > 1 {
                ready.sort_by_cached_key(|i| (Reverse(self.behind(&region.nodes[*i])), *i));
            }
            ready
        };
        running.extend(ranked((0..region.nodes.len()).filter(|i| missing[*i] == 0).collect()).into_iter().map(start));
        let (mut done, mut first) = (0, None);
        while let Some((i, result)) = running.next().await {
            match result {
                Ok(value) => scope.set(region.nodes[i].output(), value),
                Err(failure) => {
                    first.get_or_insert(self.bearable(failure)?);
                    continue;
                }
            }
            done += 1;
            if outermost {
                self.finished(&region.nodes[i]);
            }
            let mut ready = Vec::new();
            for &d in &dependents[i] {
                missing[d] -= 1;
                if missing[d] == 0 {
                    ready.push(d);
                }
            }
            running.extend(ranked(ready).into_iter().map(start));
        }
        match first {
            Some(failure) => Err(failure),
            None if done == region.nodes.len() => Ok(()),
            None => Err(Fault::plan("the data flow goes in a circle").into()),
        }
    }

    /// Seconds from the beginning of a node to the end of the run, as planned; more than any for one that calls nobody and is over at once.
    fn behind(&self, node: &Node) -> Decimal {
        if let Node::Call { step, .. } = node {
            return self.pools.behind(*step);
        }
        let mut steps = BTreeSet::new();
        steps_in(node, &mut steps);
        steps.into_iter().map(|step| self.pools.behind(step)).max().unwrap_or(Decimal::MAX)
    }

    /// A failure beside which the rest may go on; an error where nothing may.
    fn bearable(&self, failure: Failure) -> Result<Failure, Failure> {
        let for_all = matches!(failure.fault.kind, FaultKind::Cancelled | FaultKind::Storage | FaultKind::Plan);
        if self.cx.keep_going && !for_all { Ok(failure) } else { Err(failure) }
    }

    fn node<'s>(&'s self, node: &'s Node, scope: &'s Scope<'s>) -> Local<'s, Result<Held, Failure>> {
        match node {
            Node::Call { step, args, output } => Box::pin(self.call(*step, args, *output, scope)),
            Node::Map { over, item, body, output } => Box::pin(self.map(over, (*item, *output), body, scope)),
            Node::Branch { when, then, otherwise, .. } => Box::pin(async move {
                let taken = match *scope.get(when)? {
                    Value::Bool(true) => then,
                    Value::Bool(false) => otherwise,
                    _ => return Err(Fault::plan("the condition of a branch is no Bool").into()),
                };
                self.known(taken, 1);
                self.region(taken, &Scope::inside(scope)).await
            }),
            Node::Repeat { limit, carry, body, until, output, .. } => Box::pin(async move {
                let mut last = match carry {
                    Some((_, first)) => scope.held(first)?,
                    None => Value::Null.into(),
                };
                for n in 0..(*limit).max(1) {
                    self.known(body, 1);
                    let round = Scope::repeated(scope, 'r', *output, n as usize);
                    if let Some((id, _)) = carry {
                        round.set(*id, last);
                    }
                    last = self.region(body, &round).await?;
                    match *round.get(until)? {
                        Value::Bool(true) => break,
                        Value::Bool(false) => {}
                        _ => return Err(Fault::plan("the condition of a loop is no Bool").into()),
                    }
                }
                Ok(last)
            }),
            Node::Choose { .. } => {
                Box::pin(async { Err(Fault::plan("the plan has a choice that is not made").into()) })
            }
            Node::Compute { op, args, .. } => Box::pin(async move {
                // The one thing that is known of a long list without reading it.
                if let (Op::Field(name), [list]) = (op, args.as_slice())
                    && name == "count"
                    && let Some(count) = scope.held(list)?.count()
                {
                    return Ok(Value::from(count).into());
                }
                let args = args.iter().map(|a| scope.get(a)).collect::<Result<Vec<_>, _>>()?;
                let args: Vec<&Value> = args.iter().map(Arc::as_ref).collect();
                Ok(compute(op, &args)?.into())
            }),
        }
    }

    async fn map(
        &self,
        over: &Operand,
        (item, output): (ValueId, ValueId),
        body: &Region,
        scope: &Scope<'_>,
    ) -> Result<Held, Failure> {
        let list = scope.held(over)?;
        let count = list.count().ok_or_else(|| Fault::plan("a loop over what is no list"))?;
        self.known(body, count as u64);
        let start = |i: usize, value: Value| async move {
            let scope = Scope::repeated(scope, 'm', output, i);
            scope.set(item, value.into());
            (i, self.region(body, &scope).await)
        };
        let mut waiting = list.items().enumerate();
        let mut results = Gathered::new(count, self.folder)?;
        let (mut running, mut begun, mut first) = (FuturesUnordered::new(), 0, None);
        loop {
            while running.len() < self.cx.fan_out.max(1) && results.takes(begun) {
                let Some((i, value)) = waiting.next() else { break };
                running.push(start(i, value?));
                begun += 1;
            }
            let Some((i, result)) = running.next().await else { break };
            let result = match result {
                Ok(value) => value,
                Err(failure) => {
                    first.get_or_insert(self.bearable(failure)?);
                    Value::Null.into()
                }
            };
            results.put(i, result)?;
        }
        first.map_or_else(|| Ok(results.done()?), Err)
    }

    async fn call(
        &self,
        id: StepId,
        args: &[(String, Operand)],
        output: ValueId,
        scope: &Scope<'_>,
    ) -> Result<Held, Failure> {
        let step = self.carriers.first(id);
        let step =
            step.ok_or_else(|| Fault::plan(format!("the data flow calls step {}, which the plan lacks", id.0)))?;
        let mut given = Args::new();
        for (name, operand) in args {
            given.insert(name.clone(), scope.get(operand)?);
        }
        for (name, _) in &step.params {
            if !given.contains_key(name) {
                given.insert(name.clone(), Arc::new(Value::Null));
            }
        }
        let value = self.journalled(step, (scope, output), given).await;
        let value = value.and_then(|value| Held::Whole(value).short(self.folder));
        value.map_err(|fault| Failure { step: Some(id), fault })
    }

    /// Returns once no call is under way.
    pub async fn idle(&self) {
        while self.under_way.get() > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn done(&self, step: &PlanStep, wall: Duration) {
        let Progress { done, known, .. } = self.change(step.id, |p| p.done += 1);
        self.cx.observer.event(&Event::ItemDone { step, done, of: known.max(done), wall });
    }

    fn begin(&self, step: &PlanStep) -> u64 {
        let Progress { started, known, .. } = self.change(step.id, |p| p.started += 1);
        if started == 1 {
            self.cx.observer.event(&Event::StepStarted { step, of: known.max(1) });
        }
        started - 1
    }

    fn change(&self, step: StepId, change: impl FnOnce(&mut Progress)) -> Progress {
        let mut all = self.progress.borrow_mut();
        let progress = all.entry(step).or_default();
        change(progress);
        *progress
    }

    /// So many more rounds of a region are certain: its own calls will happen as often.
    fn known(&self, region: &Region, times: u64) {
        for node in &region.nodes {
            if let Node::Call { step, .. } = node {
                self.change(*step, |p| p.known += times);
            }
        }
    }

    /// An outermost node is done, and with it every step in it.
    fn finished(&self, node: &Node) {
        let mut steps = BTreeSet::new();
        steps_in(node, &mut steps);
        for id in steps {
            self.serving.finished(id);
            self.finished.borrow_mut().insert(id);
            let calls = self.change(id, |_| ()).done;
            if let Some(step) = self.plan.steps.iter().find(|s| s.id == id).filter(|_| calls > 0) {
                self.cx.observer.event(&Event::StepFinished { step, calls });
            }
        }
    }
}
