//! The data flow and its inputs -> the result: every node starts as soon as what it uses is there and a device is free.
//!
//! All on one thread: nodes are futures in one set, woken singly; their work happens in child processes, over the network or on
//! the blocking pool. Dropping the set (an error, a cancelled run) drops every call, which kills its children.

use super::engines::{self, Args, Call, kept::Kept, openai};
use super::fault::Fault;
use super::journal::recorder::{Asked, Earlier, Known, Made, Recorder};
use super::meter::Meter;
use super::observer::Event;
use super::ops::compute;
use super::pool::Pools;
use super::servers::serving::Serving;
use super::{RunContext, store};
use crate::ir::workflow::{Node, Operand, Region, StepId, ValueId};
use crate::plan::model::{Plan, PlanStep};
use futures_util::stream::{FuturesUnordered, StreamExt};
use serde_json::Value;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

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

/// Values by id; what is not here is looked up further out.
#[derive(Default)]
pub struct Scope<'a> {
    /// Items of maps and rounds of loops around it: `m4[7]/`.
    path: String,
    values: RefCell<BTreeMap<ValueId, Arc<Value>>>,
    outer: Option<&'a Scope<'a>>,
}

impl<'a> Scope<'a> {
    fn inside(outer: &'a Scope<'a>) -> Scope<'a> {
        Scope { path: outer.path.clone(), values: RefCell::default(), outer: Some(outer) }
    }

    /// The scope of one item of a map (`m`) or round of a loop (`r`), that defines a value.
    fn repeated(outer: &'a Scope<'a>, kind: char, of: ValueId, index: usize) -> Scope<'a> {
        let path = format!("{}{kind}{}[{index}]/", outer.path, of.0);
        Scope { path, values: RefCell::default(), outer: Some(outer) }
    }

    /// Defines a value.
    pub fn set(&self, id: ValueId, value: Arc<Value>) {
        self.values.borrow_mut().insert(id, value);
    }

    fn get(&self, operand: &Operand) -> Result<Arc<Value>, Fault> {
        let id = match operand {
            Operand::Literal(value) => return Ok(Arc::new(value.clone())),
            Operand::Value(id) => *id,
        };
        let mut scope = Some(self);
        while let Some(s) = scope {
            if let Some(value) = s.values.borrow().get(&id) {
                return Ok(value.clone());
            }
            scope = s.outer;
        }
        Err(Fault::plan(format!("value {} is used and not defined", id.0)))
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
    serving: &'a Serving<'a>,
    progress: RefCell<BTreeMap<StepId, Progress>>,
    under_way: Cell<usize>,
}

/// Counts a call as under way until dropped.
struct UnderWay<'a>(&'a Cell<usize>);

impl UnderWay<'_> {
    fn new(count: &Cell<usize>) -> UnderWay<'_> {
        count.set(count.get() + 1);
        UnderWay(count)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

impl<'a> Scheduler<'a> {
    /// A scheduler for one run.
    pub fn new(
        plan: &'a Plan,
        cx: &'a RunContext<'a>,
        folder: &'a Path,
        meter: &'a Meter<'a>,
        serving: &'a Serving<'a>,
        cores: u32,
    ) -> Scheduler<'a> {
        let pools = Pools::new(&plan.cluster, cores, cx.api_calls);
        let (shared, kept) = (openai::Shared::new(plan), Kept::new(folder));
        let (progress, under_way) = Default::default();
        Scheduler { plan, cx, folder, meter, pools, shared, kept, serving, progress, under_way }
    }

    /// Runs the whole data flow.
    pub async fn run(&self, inputs: &Scope<'_>) -> Result<Arc<Value>, Failure> {
        let scope = Scope::inside(inputs);
        self.known(&self.plan.body, 1);
        self.nodes(&self.plan.body, &scope, true).await?;
        Ok(scope.get(&self.plan.body.result)?)
    }

    fn region<'s>(&'s self, region: &'s Region, scope: &'s Scope<'s>) -> Local<'s, Result<Arc<Value>, Failure>> {
        Box::pin(async move {
            self.nodes(region, scope, false).await?;
            Ok(scope.get(&region.result)?)
        })
    }

    /// Runs the nodes of a region; their values are in the scope afterwards.
    async fn nodes(&self, region: &Region, scope: &Scope<'_>, outermost: bool) -> Result<(), Failure> {
        let (mut missing, dependents) = dependencies(region);
        let mut running = FuturesUnordered::new();
        let start = |i: usize| async move { (i, self.node(&region.nodes[i], scope).await) };
        running.extend((0..region.nodes.len()).filter(|i| missing[*i] == 0).map(start));
        let mut done = 0;
        while let Some((i, result)) = running.next().await {
            scope.set(region.nodes[i].output(), result?);
            done += 1;
            if outermost {
                self.finished(&region.nodes[i]);
            }
            for &d in &dependents[i] {
                missing[d] -= 1;
                if missing[d] == 0 {
                    running.push(start(d));
                }
            }
        }
        if done == region.nodes.len() { Ok(()) } else { Err(Fault::plan("the data flow goes in a circle").into()) }
    }

    fn node<'s>(&'s self, node: &'s Node, scope: &'s Scope<'s>) -> Local<'s, Result<Arc<Value>, Failure>> {
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
                    Some((_, first)) => scope.get(first)?,
                    None => Arc::new(Value::Null),
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
                let args = args.iter().map(|a| scope.get(a)).collect::<Result<Vec<_>, _>>()?;
                let args: Vec<&Value> = args.iter().map(Arc::as_ref).collect();
                Ok(Arc::new(compute(op, &args)?))
            }),
        }
    }

    async fn map(
        &self,
        over: &Operand,
        (item, output): (ValueId, ValueId),
        body: &Region,
        scope: &Scope<'_>,
    ) -> Result<Arc<Value>, Failure> {
        let list = scope.get(over)?;
        let Some(items) = list.as_array() else {
            return Err(Fault::plan("a loop over what is no list").into());
        };
        self.known(body, items.len() as u64);
        let start = |(i, value): (usize, &Value)| {
            let value = Arc::new(value.clone());
            async move {
                let scope = Scope::repeated(scope, 'm', output, i);
                scope.set(item, value);
                (i, self.region(body, &scope).await)
            }
        };
        let mut waiting = items.iter().enumerate();
        let mut running: FuturesUnordered<_> = waiting.by_ref().take(self.cx.fan_out.max(1)).map(start).collect();
        let mut results: Vec<Value> = vec![Value::Null; items.len()];
        while let Some((i, result)) = running.next().await {
            results[i] = Arc::unwrap_or_clone(result?);
            running.extend(waiting.next().map(start));
        }
        Ok(Arc::new(Value::Array(results)))
    }

    async fn call(
        &self,
        id: StepId,
        args: &[(String, Operand)],
        output: ValueId,
        scope: &Scope<'_>,
    ) -> Result<Arc<Value>, Failure> {
        let step = self.plan.steps.iter().find(|s| s.id == id);
        let step =
            step.ok_or_else(|| Fault::plan(format!("the data flow calls step {}, which the plan lacks", id.0)))?;
        let mut given: Args = step.params.iter().map(|(name, _)| (name.clone(), Arc::new(Value::Null))).collect();
        for (name, operand) in args {
            given.insert(name.clone(), scope.get(operand)?);
        }
        let path = format!("{}v{}", scope.path, output.0);
        self.journalled(step, &path, given).await.map_err(|fault| Failure { step: Some(id), fault })
    }

    /// A call's value: from the journal where it is done, else made.
    async fn journalled(&self, step: &PlanStep, path: &str, args: Args) -> Result<Arc<Value>, Fault> {
        let Some(recorder) = self.cx.recorder else { return self.measured(step, args, None).await };
        match recorder.ask(step, path, &args).await? {
            Known::Done(Earlier { value, usage, wall, .. }) => {
                self.begin(step);
                self.meter.earlier(step, wall, usage);
                self.done(step, wall);
                Ok(Arc::new(value))
            }
            Known::Open(asked) => self.measured(step, args, Some((recorder, &asked))).await,
        }
    }

    async fn measured(
        &self,
        step: &PlanStep,
        args: Args,
        journal: Option<(&Recorder, &Asked)>,
    ) -> Result<Arc<Value>, Fault> {
        let ready = Instant::now();
        let held = self.serving.hold(step, &self.pools).await?;
        if self.cx.cancel.is_draining() {
            // What is under way ends; the run does, when nothing is.
            std::future::pending::<()>().await;
        }
        let _under_way = UnderWay::new(&self.under_way);
        let begun = self.begin(step);
        let number = journal.map_or(begun, |(_, asked)| asked.call.number);
        let folder = store::call_folder(self.folder, step, number);
        store::folder(&folder)?;
        if let Some((recorder, asked)) = journal {
            recorder.intend(asked).await?;
        }
        self.meter.placed(step.id, self.serving.devices(step.id));
        let reading = self.meter.start(step, ready.elapsed());
        let (shared, kept, asked) = (&self.shared, &self.kept, journal.map(|(_, asked)| asked));
        let (server, usage) = (held.lease(), Cell::default());
        let call = Call { step, args, folder, number, asked, cx: self.cx, shared, kept, server, usage };
        let result = engines::call(&call).await;
        let Call { folder, usage, .. } = call;
        let usage = usage.get();
        let wall = self.meter.stop(step, &reading, usage, result.is_ok());
        drop(held);
        let value = match (result, journal) {
            (Ok(value), _) => value,
            (Err(fault), None) => return Err(fault),
            (Err(fault), Some((recorder, asked))) => {
                recorder.failed(asked, &fault).await?;
                return Err(fault);
            }
        };
        // Written before anybody is told: a result that is reported is on disk.
        store::write(&folder.join(store::OUTPUT), format!("{value:#}\n").as_bytes())?;
        if let Some((recorder, asked)) = journal {
            let made = Made { value: &value, usage, wall, folder: &folder };
            recorder.made(asked, made).await?;
        }
        self.done(step, wall);
        Ok(Arc::new(value))
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
            let calls = self.change(id, |_| ()).done;
            if let Some(step) = self.plan.steps.iter().find(|s| s.id == id).filter(|_| calls > 0) {
                self.cx.observer.event(&Event::StepFinished { step, calls });
            }
        }
    }
}

fn regions(node: &Node) -> Vec<&Region> {
    match node {
        Node::Map { body, .. } | Node::Repeat { body, .. } => vec![body],
        Node::Branch { then, otherwise, .. } => vec![then, otherwise],
        Node::Choose { ways, .. } => ways.iter().collect(),
        Node::Call { .. } | Node::Compute { .. } => Vec::new(),
    }
}

fn steps_in(node: &Node, steps: &mut BTreeSet<StepId>) {
    if let Node::Call { step, .. } = node {
        steps.insert(*step);
    }
    for inner in regions(node).into_iter().flat_map(|r| &r.nodes) {
        steps_in(inner, steps);
    }
}

/// Every value that a node mentions, its inner regions included. Ids are unique in a workflow, so that values defined inside
/// cannot be mistaken for values of the region around it.
fn uses(node: &Node, used: &mut BTreeSet<ValueId>) {
    let mut add = |operand: &Operand| {
        if let Operand::Value(id) = operand {
            used.insert(*id);
        }
    };
    match node {
        Node::Call { args, .. } | Node::Choose { args, .. } => args.iter().for_each(|(_, a)| add(a)),
        Node::Map { over, .. } => add(over),
        Node::Branch { when, .. } => add(when),
        Node::Repeat { carry, until, .. } => {
            add(until);
            carry.iter().for_each(|(_, first)| add(first));
        }
        Node::Compute { args, .. } => args.iter().for_each(&mut add),
    }
    for region in regions(node) {
        add(&region.result);
    }
    for inner in regions(node).into_iter().flat_map(|r| &r.nodes) {
        uses(inner, used);
    }
}

/// For each node, how many nodes of the region it waits for, and which wait for it.
fn dependencies(region: &Region) -> (Vec<usize>, Vec<Vec<usize>>) {
    let defined: BTreeMap<ValueId, usize> = region.nodes.iter().enumerate().map(|(i, n)| (n.output(), i)).collect();
    let mut missing = vec![0; region.nodes.len()];
    let mut dependents = vec![Vec::new(); region.nodes.len()];
    for (i, node) in region.nodes.iter().enumerate() {
        let mut used = BTreeSet::new();
        uses(node, &mut used);
        for &on in used.iter().filter_map(|id| defined.get(id)) {
            missing[i] += 1;
            dependents[on].push(i);
        }
    }
    (missing, dependents)
}
