//! Calls that are ready at the same time, of whatever step, map and item -> windows, in which those come together that can be made as one.
//!
//! The first call opens a window and leads it. It closes once it is full, or has been open as long as the run waits and there is a device for it.
//! All waiting of a run together is never longer than the time that its plan leaves below the job's limits.

use crate::ir::workflow::StepId;
use crate::plan::model::{Engine, Plan, PlanClause, PlanStep};
use crate::run::engines::openai::retrieval;
use crate::run::engines::{Args, Before};
use crate::run::fault::Fault;
use crate::run::journal::asked::Asked;
use crate::run::meter::Usage;
use crate::run::servers::serving::placed;
use crate::run::under_way::UnderWay;
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use serde_json::{Value, json};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::sync::{Notify, oneshot};

/// What calls have in common that can be made as one.
#[derive(Debug)]
pub struct Kind {
    /// Engine, settings, conditions and devices.
    key: String,
    /// Calls of a window at most.
    most: usize,
    /// Whether a request also bounds the texts of all.
    texts: bool,
    /// Whether several steps of the plan are of it.
    shared: bool,
}

/// A step as it is carried out, and the kind of its calls.
type CarriedOut = (Rc<PlanStep>, Rc<Kind>);

/// The windows of a run.
pub struct Gather {
    wait: Duration,
    /// How much longer the run may wait.
    slack: Cell<Duration>,
    open: RefCell<BTreeMap<String, Rc<Window>>>,
    /// By what the calls of each have in common.
    kinds: RefCell<BTreeMap<String, Rc<Kind>>>,
    /// The kind of each step, as it was carried out last.
    latest: RefCell<BTreeMap<StepId, CarriedOut>>,
}

/// Calls that come together.
struct Window {
    members: RefCell<Vec<Member>>,
    load: Cell<(usize, usize)>,
    full: Notify,
}

/// A call in a window.
pub struct Member {
    /// Its step.
    pub step: Rc<PlanStep>,
    /// Its arguments.
    pub args: Args,
    /// What the journal says of it.
    pub asked: Option<Asked>,
    /// When it was ready.
    pub ready: Instant,
    /// What came of it goes here.
    pub tell: oneshot::Sender<Told>,
}

/// A call that has begun: which of its step it is, and where its files are.
#[derive(Clone, Debug)]
pub struct Begun {
    /// Which call of the step, from 0.
    pub number: u64,
    /// Its folder.
    pub folder: PathBuf,
    /// Whether it has none.
    pub slight: bool,
}

/// What came of a call that was made with others.
pub enum Told {
    /// Its own value, or the fault that ends it.
    Result {
        /// Which.
        result: Result<Value, Fault>,
        /// Its files.
        begun: Begun,
        /// Its share of what was used.
        usage: Usage,
        /// Its share of the time.
        wall: Duration,
        /// It is under way until what came of it is recorded.
        under_way: UnderWay,
    },
    /// Who was to carry it out has failed for good meanwhile, and another has not.
    Passed,
    /// Nobody knows yet: it is to be made by itself.
    Alone(Option<Left>),
}

/// A call that was begun with others and goes on by itself.
pub struct Left {
    /// Its files.
    pub begun: Begun,
    /// What it used so far, which is counted.
    pub usage: Usage,
    /// The attempts so far.
    pub before: Before,
    /// Its own failure among them.
    pub fault: Option<Fault>,
}

/// Whoever leads a window; dropped before it is closed, its calls are each made alone.
pub struct Leading<'a> {
    gather: &'a Gather,
    kind: Rc<Kind>,
    window: Rc<Window>,
}

impl Gather {
    /// No window yet; calls wait so long for others, and all together no longer than the plan has time. What earlier runtimes left of that
    /// nobody knows: a run that was resumed does not wait, where its job limits time.
    pub fn new(plan: &Plan, wait: Duration, resumed: bool) -> Gather {
        let timed = |metric: &str| metric.starts_with("latency") || metric.starts_with("ttft");
        let limits = plan.clauses.iter().filter(|clause| !clause.soft && timed(&clause.metric));
        let seconds = |slack: Decimal| Duration::try_from_secs_f64(slack.to_f64().unwrap_or(0.0)).unwrap_or_default();
        let left = |clause: &PlanClause| if resumed { Duration::ZERO } else { seconds(clause.slack) };
        let slack = limits.map(left).min().unwrap_or(Duration::MAX);
        let (open, kinds, latest) = Default::default();
        Gather { wait, slack: Cell::new(slack), open, kinds, latest }
    }

    /// What a call comes together with others as; none where it is made by itself: its engine takes one at a time, there is no other call
    /// that could come at the same time, or it fills a request by itself. An agent's calls follow one another, and its budget is its own.
    pub fn kind(&self, plan: &Plan, (step, path): (&Rc<PlanStep>, &str), args: &Args) -> Option<Rc<Kind>> {
        if step.engine.together() < 2 || step.agent.is_some() {
            return None;
        }
        let kind = self.kind_of(plan, step);
        let others = kind.shared || path.contains('m');
        (others && (!kind.texts || retrieval::has_room(retrieval::load(step, args)))).then_some(kind)
    }

    /// The kind of a step's calls. Millions of them may be carried out in the same way: what they have in common is written down once.
    fn kind_of(&self, plan: &Plan, step: &Rc<PlanStep>) -> Rc<Kind> {
        if let Some((same, kind)) = self.latest.borrow().get(&step.id)
            && Rc::ptr_eq(same, step)
        {
            return kind.clone();
        }
        let key = key(plan, step);
        let mut kinds = self.kinds.borrow_mut();
        let kind = kinds.entry(key.clone()).or_insert_with(|| Rc::new(Kind::of(plan, step, key))).clone();
        self.latest.borrow_mut().insert(step.id, (step.clone(), kind.clone()));
        kind
    }

    /// Joins a window. Who opens it leads it.
    pub fn join(&self, kind: &Rc<Kind>, member: Member) -> Option<Leading<'_>> {
        let load = if kind.texts { retrieval::load(&member.step, &member.args) } else { (0, 0) };
        let mut open = self.open.borrow_mut();
        if let Some(window) = open.get(&kind.key) {
            let (texts, bytes) = window.load.get();
            let all = (texts + load.0, bytes + load.1);
            if retrieval::has_room(all) {
                window.load.set(all);
                window.members.borrow_mut().push(member);
                if window.members.borrow().len() >= kind.most {
                    window.full.notify_one();
                    open.remove(&kind.key);
                }
                return None;
            }
            window.full.notify_one();
            open.remove(&kind.key);
        }
        let window =
            Rc::new(Window { members: RefCell::new(vec![member]), load: Cell::new(load), full: Notify::new() });
        open.insert(kind.key.clone(), window.clone());
        drop(open);
        Some(Leading { gather: self, kind: kind.clone(), window })
    }
}

impl Kind {
    fn of(plan: &Plan, step: &PlanStep, key: String) -> Kind {
        let same = |other: &PlanStep| other.id != step.id && self::key(plan, other) == key;
        let shared = plan.steps.iter().any(same);
        let texts = matches!(step.engine, Engine::Openai(_));
        Kind { most: step.engine.together() as usize, texts, shared, key }
    }
}

/// What must be the same: who is asked and for what, by which rules, and where.
fn key(plan: &Plan, step: &PlanStep) -> String {
    let PlanStep { engine, implementation, knobs, hardware, instance, conditions, .. } = step;
    let rules = (conditions.retries, conditions.timeout_ms);
    json!([engine, implementation, knobs, hardware, instance, rules, placed(plan, step)]).to_string()
}

impl Leading<'_> {
    /// Waits until the window is full, as long as the run may wait; without any time at all, for what is ready at this moment.
    pub async fn others(&self) {
        let (begun, patience) = (Instant::now(), self.gather.wait.min(self.gather.slack.get()));
        if self.closed() {
            return;
        }
        if patience.is_zero() {
            return tokio::task::yield_now().await;
        }
        tokio::select! {
            () = self.window.full.notified() => {}
            () = tokio::time::sleep(patience) => {}
        }
        let slack = &self.gather.slack;
        slack.set(slack.get().saturating_sub(begun.elapsed()));
    }

    fn closed(&self) -> bool {
        self.gather.open.borrow().get(&self.kind.key).is_none_or(|open| !Rc::ptr_eq(open, &self.window))
    }

    /// Closes the window: the calls that are made as one now, as they came.
    pub fn close(self) -> Vec<Member> {
        self.window.members.take()
    }
}

impl Drop for Leading<'_> {
    fn drop(&mut self) {
        if !self.closed() {
            self.gather.open.borrow_mut().remove(&self.kind.key);
        }
        // Without members of its own a window tells nobody anything: those who wait are told by that.
        self.window.members.take();
    }
}
