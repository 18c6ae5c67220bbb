//! One run's side of the journal: what is done already, and the way to write what happens now.

use super::alive::Alive;
use super::asked::{Asked, Earlier, Known, Made, Of};
use super::lock::Lock;
use super::record::{CallId, Record, Source, Stored};
use super::replay::{End, Replay};
use super::rows::{failed, one, put_count};
use super::seal::{self, Seal, value_digest};
use super::writer::Writer;
use super::{Journal, Run, RunInfo, damaged};
use crate::digest::digest;
use crate::ir::workflow::StepId;
use crate::library::embedded;
use crate::plan::model::{COMPILER, Engine, Plan, PlanClause, PlanStep};
use crate::run::budget::Unsettled;
use crate::run::engines::process::TESTS;
use crate::run::engines::{Args, builtin};
use crate::run::fault::{Fault, FaultKind};
use crate::run::meter::Usage;
use crate::run::observer::{Event, Observer};
use crate::run::value::held::Held;
use crate::run::value::with_files;
use rusqlite::TransactionBehavior;
use rust_decimal::Decimal;
use serde_json::Value;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Records that are not written yet, beyond which results are waited for: what a kill can lose of calls that have no effects is bounded.
const MOST_BEHIND: u64 = 512;

/// The journal of one run, while this runtime works on it.
#[derive(Debug)]
pub struct Recorder {
    run: Run,
    of: Arc<Of>,
    folder: PathBuf,
    fence: u64,
    replay: Replay,
    lost: BTreeMap<String, (Seal, Value)>,
    recovered: RefCell<BTreeSet<String>>,
    numbers: RefCell<BTreeMap<StepId, u64>>,
    reservations: Cell<u64>,
    /// Reservations of this runtime that are not settled, dollars.
    open: RefCell<BTreeMap<u64, Decimal>>,
    standard: BTreeSet<String>,
    weighs_all: bool,
    names: Option<Names>,
    blobs: super::Blobs,
    begun: Instant,
    writer: Writer,
    // Last, so that it is given back only after the writer's thread has ended.
    _lock: Lock,
}

/// Other names for files.
#[derive(Clone)]
pub struct Names(pub Arc<dyn Fn(&str) -> String + Send + Sync>);

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Names")
    }
}

impl Journal {
    /// Makes this runtime the one that works on a run: an older one writes no more.
    pub(crate) fn take_over(&mut self, id: u64) -> Result<Run, Fault> {
        let tx = self.db.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
        let run = one(&tx, id)?;
        let run = run.ok_or_else(|| damaged(&format!("run {id} is gone")))?;
        let fence = run.fence + 1;
        put_count(&tx, id, fence, run.count)?;
        tx.commit().map_err(failed)?;
        Ok(Run { fence, ..run })
    }

    /// Begins to work on a run: nobody else does, and all that is recorded of it is read and checked.
    pub fn attach(mut self, run: &Run, at: String) -> Result<Recorder, Fault> {
        let folder = crate::run::store::run_folder(&self.folder(run))?;
        let lock = Lock::take(&folder)?;
        let run = self.take_over(run.id)?;
        let (mut lost, mut numbers, mut replay) = Default::default();
        if run.count > 0 || run.fence > 1 {
            self.check()?;
            let before = Run { fence: run.fence.saturating_sub(1), ..run.clone() };
            replay = self.replay(&before, &self.records(run.id)?);
            let (seals, folders) = seal::found(run.id, &folder);
            lost = seals;
            numbers = replay.next_numbers();
            for (step, most) in folders {
                let next: &mut u64 = numbers.entry(StepId(step)).or_default();
                *next = (*next).max(most + 1);
            }
        }
        let blobs = self.blobs.clone();
        let standard = standard_tools();
        let writer = Writer::start(self.db, (run.id, run.fence, run.count), self.ears, Alive::new(&folder, run.fence))?;
        let opened = Record::Opened { fence: run.fence, pid: std::process::id(), at, compiler: COMPILER.to_owned() };
        answer(writer.send(opened, true).blocking_recv())?;
        let (fence, recovered, numbers) = (run.fence, RefCell::default(), RefCell::new(numbers));
        let begun = Instant::now();
        let reservations = Cell::new(replay.next_reservation);
        let of = Arc::new(Of { identity: run.info.identity.clone(), run: run.id.to_string() });
        Ok(Recorder {
            run,
            of,
            folder,
            fence,
            replay,
            lost,
            recovered,
            numbers,
            reservations,
            open: RefCell::default(),
            standard,
            weighs_all: false,
            names: None,
            blobs,
            begun,
            writer,
            _lock: lock,
        })
    }

    /// The plan that a run executes.
    pub fn plan(&self, info: &RunInfo) -> Result<Plan, Fault> {
        let text = self.blobs.text(&info.plan)?;
        serde_json::from_str(&text).map_err(|e| Fault::plan(format!("the run's plan cannot be read: {e}")))
    }

    /// The inputs of a run.
    pub fn inputs(&self, info: &RunInfo) -> Result<BTreeMap<String, Value>, Fault> {
        let inputs = self.blobs.value(&info.inputs)?;
        serde_json::from_value(inputs).map_err(|e| damaged(&format!("the inputs cannot be read: {e}")))
    }
}

impl Recorder {
    /// The run.
    pub fn run(&self) -> &Run {
        &self.run
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Which runtime this is, from 1.
    pub fn fence(&self) -> u64 {
        self.fence
    }

    /// What was recorded before this runtime.
    pub fn replay(&self) -> &Replay {
        &self.replay
    }

    /// Finished calls that the journal had lost and their folders had not, so far.
    pub fn recovered(&self) -> usize {
        self.recovered.borrow().len()
    }

    fn t(&self) -> f64 {
        self.begun.elapsed().as_secs_f64()
    }

    /// The same, with every call taken for one that may cost money.
    pub fn weighing_all(self) -> Recorder {
        Recorder { weighs_all: true, ..self }
    }

    /// The same, with other names for files where digests of arguments are made: those that they have where the run's journal is kept.
    pub fn naming(self, names: Names) -> Recorder {
        Recorder { names: Some(names), ..self }
    }

    fn digest(&self, args: &Args) -> Result<String, Fault> {
        let Some(Names(name)) = &self.names else { return input_digest(args) };
        let named =
            |(key, value): (&String, &Arc<Value>)| (key.clone(), Arc::new(with_files(value, &|file| name(file))));
        input_digest(&args.iter().map(named).collect())
    }

    /// Whether a call of a step may cost money or change something. Functions of the runtime and tools of the standard library do neither.
    pub fn weighty(&self, step: &PlanStep) -> bool {
        match &step.engine {
            _ if self.weighs_all => true,
            Engine::Builtin { .. } => false,
            Engine::Process { .. } => !self.standard.contains(&step.implementation),
            _ => true,
        }
    }

    /// What is known of a call.
    pub async fn ask(&self, step: &PlanStep, path: &str, args: &Args) -> Result<Known, Fault> {
        let input = self.digest(args)?;
        let other = || {
            Fault::plan(format!("`{}` was called with other arguments before this run was resumed ({path})", step.name))
        };
        if let Some(done) = self.replay.done.get(path) {
            if done.input != input || done.call.step != step.id {
                return Err(other());
            }
            let value = self.blobs.value(&done.value)?;
            let wall = Duration::try_from_secs_f64(done.wall_s).unwrap_or_default();
            return Ok(Known::Done(Earlier { value, usage: done.usage, wall, source: done.source }));
        }
        if let Some((seal, value)) = self.lost.get(path).filter(|(s, _)| s.input == input && s.call.step == step.id) {
            let wall = Duration::try_from_secs_f64(seal.wall_s).unwrap_or_default();
            self.finish(seal.call.clone(), &input, value, seal.usage, wall, Source::Recovered, true).await?;
            self.recovered.borrow_mut().insert(path.to_owned());
            let source = Source::Recovered;
            return Ok(Known::Done(Earlier { value: value.clone(), usage: seal.usage, wall, source }));
        }
        let begun = self.replay.begun.get(path);
        let number = match begun {
            Some(begun) => begun.call.number,
            None => {
                let mut numbers = self.numbers.borrow_mut();
                let next = numbers.entry(step.id).or_default();
                *next += 1;
                *next - 1
            }
        };
        let attempt = begun.map_or(0, |b| b.attempts) + 1;
        let call = CallId { path: path.to_owned(), step: step.id, number };
        let weighty = self.weighty(step);
        let brief = match &step.engine {
            Engine::Builtin { function, .. } => !weighty && builtin::brief(function, args),
            _ => false,
        };
        Ok(Known::Open(Asked::new(call, input, attempt, (weighty, brief), self.of.clone())))
    }

    /// A call of a step is about to be made. Where it leaves this process, it and all that was recorded before it are written when this
    /// returns, and on the disk if it may cost money: what has effects follows only from results that last.
    pub async fn intend(&self, step: &PlanStep, asked: &Asked) -> Result<(), Fault> {
        let here = matches!(step.engine, Engine::Builtin { .. });
        if asked.brief && here {
            return Ok(());
        }
        let record = Record::Intent {
            call: asked.call.clone(),
            attempt: asked.attempt,
            idempotency: asked.idempotency().to_owned(),
            input: asked.input.clone(),
            t: self.t(),
        };
        if asked.weighty || !here {
            return answer(self.writer.send(record, asked.weighty).await);
        }
        self.writer.note(record, false);
        Ok(())
    }

    /// A call is done. Its result is written before any later call that leaves this process is made, and before the run has an answer.
    pub async fn made(&self, asked: &Asked, made: Made<'_>) -> Result<(), Fault> {
        let Made { value, usage, wall, folder } = made;
        if let Some(folder) = folder.filter(|_| asked.weighty) {
            let seal = Seal {
                run: self.run.id,
                call: asked.call.clone(),
                input: asked.input.clone(),
                value: value_digest(value),
                usage,
                wall_s: wall.as_secs_f64(),
            };
            seal.write(folder)?;
        }
        self.finish(asked.call.clone(), &asked.input, value, usage, wall, Source::Made, asked.weighty).await
    }

    #[allow(clippy::too_many_arguments)]
    async fn finish(
        &self,
        call: CallId,
        input: &str,
        value: &Value,
        usage: Usage,
        wall: Duration,
        source: Source,
        durable: bool,
    ) -> Result<(), Fault> {
        let (value, t) = (self.blobs.keep(value)?, self.t());
        let record =
            Record::Result { call, input: input.to_owned(), value, usage, wall_s: wall.as_secs_f64(), source, t };
        if self.writer.behind() < MOST_BEHIND {
            self.writer.note(record, durable);
            return Ok(());
        }
        answer(self.writer.send(record, durable).await)
    }

    /// A call failed; `unsent` where nothing was sent of it.
    pub async fn failed(&self, asked: &Asked, fault: &Fault, unsent: bool) -> Result<(), Fault> {
        let (call, message) = (asked.call.clone(), fault.message.clone());
        let record = Record::Failed { call, message, unsent, t: self.t() };
        answer(self.writer.send(record, asked.weighty).await)
    }

    /// A call failed for good, and a fallback carries it out.
    pub async fn left(&self, asked: &Asked, from: &str, to: &str, fault: &Fault) -> Result<(), Fault> {
        let (call, message) = (asked.call.clone(), fault.message.clone());
        let record = Record::Left { call, from: from.to_owned(), to: to.to_owned(), message, t: self.t() };
        answer(self.writer.send(record, true).await)
    }

    /// Money is kept for a request, of an agent's as it may be: on the disk when this returns. Returns the number of the reservation.
    pub async fn reserved(&self, usd: Decimal, agent: Option<u32>) -> Result<u64, Fault> {
        let id = self.reservations.get();
        self.reservations.set(id + 1);
        answer(self.writer.send(Record::Reserved { id, usd, agent, t: self.t() }, true).await)?;
        self.open.borrow_mut().insert(id, usd);
        Ok(id)
    }

    /// A request is over. Nobody waits: until this is written, all that was kept counts as spent.
    pub fn settled(&self, id: u64, usd: Decimal) {
        self.open.borrow_mut().remove(&id);
        self.writer.note(Record::Settled { id, usd, t: self.t() }, false);
    }

    /// Requests of this runtime and of earlier ones that nobody has seen the end of.
    pub fn unsettled(&self) -> Option<Unsettled> {
        let earlier = self.replay.reserved.values().map(|(usd, _)| *usd);
        Unsettled::of(earlier.chain(self.open.borrow().values().copied()))
    }

    /// The run goes on under other limits, each in place of those on the same figure: on the disk when this returns.
    pub fn limited(&self, limits: &[PlanClause]) -> Result<(), Fault> {
        let record = Record::Limits { limits: limits.to_vec(), t: self.t() };
        answer(self.writer.send(record, true).blocking_recv())
    }

    /// The rest of the run is carried out otherwise.
    pub async fn adapted(&self, steps: &[PlanStep], message: &str) -> Result<(), Fault> {
        let steps = serde_json::to_value(steps).map_err(|e| Fault::new(FaultKind::Storage, e.to_string()))?;
        let record = Record::Adapted { steps: self.blobs.keep(&steps)?, message: message.to_owned(), t: self.t() };
        answer(self.writer.send(record, true).await)
    }

    /// The steps that an earlier runtime had carried out otherwise, in order.
    pub fn adaptations(&self) -> Result<Vec<PlanStep>, Fault> {
        self.replay.changes(&self.blobs)
    }

    /// Another run had made the same call: its result is this one's.
    pub async fn cached(&self, asked: &Asked, value: &Value) -> Result<(), Fault> {
        let (usage, wall) = (Usage::default(), Duration::ZERO);
        self.finish(asked.call.clone(), &asked.input, value, usage, wall, Source::Cached, false).await
    }

    /// Whether results of a step are kept for other runs where nobody says anything of it: they follow from the arguments alone, and cost
    /// more than looking them up.
    pub fn cacheable(&self, step: &PlanStep) -> bool {
        match &step.engine {
            Engine::Process { reader, .. } => self.standard.contains(&step.implementation) && reader != TESTS,
            _ => false,
        }
    }

    /// The run has an answer. Recorded once, however often it is said.
    pub async fn answer(&self, value: &Held, cost_usd: Option<f64>) -> Result<(), Fault> {
        if let End::Answered(before) = &self.replay.end {
            let same = self.blobs.value(before)? == *value.whole()?;
            return if same { Ok(()) } else { Err(Fault::plan("the run has another answer in the journal")) };
        }
        let record = Record::Answer { value: self.blobs.keep_held(value)?, cost_usd, t: self.t() };
        answer(self.writer.send(record, true).await)
    }

    /// The run failed, or was stopped; it can be resumed.
    pub async fn paused(&self, fault: &Fault, cost_usd: Option<f64>) -> Result<(), Fault> {
        let stopped = fault.kind == FaultKind::Cancelled;
        let record = Record::Paused { stopped, message: fault.message.clone(), cost_usd, t: self.t() };
        answer(self.writer.send(record, true).await)
    }

    /// The answer that was recorded before.
    pub fn answered(&self) -> Option<&Stored> {
        match &self.replay.end {
            End::Answered(value) => Some(value),
            _ => None,
        }
    }
}

/// What the writer answered; one that is gone has panicked, and nothing counts as written.
fn answer(said: Result<Result<(), Fault>, tokio::sync::oneshot::error::RecvError>) -> Result<(), Fault> {
    said.unwrap_or_else(|_| Err(Fault::new(FaultKind::Storage, "the journal's writer is gone")))
}

/// The digest of a call's arguments.
pub fn input_digest(args: &Args) -> Result<String, Fault> {
    let text = |(name, value): (&String, &Arc<Value>)| [name.clone(), value.to_string()];
    let texts: Vec<String> = args.iter().flat_map(text).collect();
    Ok(digest(texts.iter().map(String::as_str)))
}

/// Names of the models and tools of the standard library.
fn standard_tools() -> BTreeSet<String> {
    let named = |line: &str| {
        let mut words = line.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        words.next().filter(|w| matches!(*w, "tool" | "model")).and_then(|_| words.next().map(str::to_owned))
    };
    embedded::modules().iter().flat_map(|(_, text)| text.lines().filter_map(named)).collect()
}

/// Tells the journal of attempts that failed, and everything to who watches.
pub struct Recording<'a> {
    /// The journal.
    pub recorder: &'a Recorder,
    /// Who watches.
    pub inner: &'a dyn Observer,
}

impl Observer for Recording<'_> {
    fn event(&self, event: &Event<'_>) {
        if let Event::Retried { step, attempt, wait, fault } = event {
            let (message, wait_s) = (fault.message.clone(), wait.as_secs_f64());
            let record = Record::Retried { step: step.id, attempt: *attempt, message, wait_s, t: self.recorder.t() };
            // Nobody waits: should it not be written, nothing later will be either, and that is noticed.
            self.recorder.writer.note(record, false);
        }
        if let Event::Server(event) = event {
            let record = Record::Server { event: (*event).clone(), t: self.recorder.t() };
            self.recorder.writer.note(record, false);
        }
        self.inner.event(event);
    }
}
