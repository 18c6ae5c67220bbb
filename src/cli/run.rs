//! `mkbc run`

use super::args::{RunOptions, Source};
use super::cache::Reuse;
use super::here::HERE;
use super::inputs::{Inputs, known, missing};
use super::load::{writable, write};
use super::plan::{Extras, demand, given, make_and, read_plan};
use super::streaming::Streaming;
use super::verify::{against_source, beside};
use super::{Failure, note, print, print_json};
use crate::adapt::{Adapt, Mode};
use crate::digest::{digest, file_digest};
use crate::eval::measure::now;
use crate::library::Library;
use crate::library::evidence::Demand;
use crate::plan::model::{Engine, Plan, PlanClause};
use crate::ray::Ray;
use crate::run::cache::MOST;
use crate::run::fault::{Fault, FaultKind, RunError};
use crate::run::journal::recorder::Recording;
use crate::run::journal::replay::{End, Replay};
use crate::run::journal::{Journal, MadeOf, PROJECT, Run, RunInfo};
use crate::run::observer::{Bars, Changes, Event, Observer, Silent};
use crate::run::remote::{Remote, portable};
use crate::run::report::clauses::{self, Kept};
use crate::run::report::html::Recorded;
use crate::run::shown::steps::{Planned, planned};
use crate::run::steer::Steer;
use crate::run::trace::{self, Traced};
use crate::run::value::held::Held;
use crate::run::{RunContext, RunReport, block_on, pins, preflight, report, run_to_end, store, value};
use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Tells of what changed, where no bars are drawn.
#[derive(Default)]
struct Notes(Changes);

impl Observer for Notes {
    fn event(&self, event: &Event<'_>) {
        if let Some(change) = self.0.said(event) {
            note(&change);
        }
    }
}

/// A time on the command line.
pub fn seconds(text: &str) -> Result<Duration, String> {
    let time = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    time.ok_or_else(|| "it is seconds, 0 or more".to_owned())
}

/// How a run bears being stopped.
#[derive(Args)]
pub struct Durable {
    /// After Ctrl-C or SIGTERM, seconds that what is under way has to end; a second signal stops at once
    #[arg(long, default_value = "10", value_name = "SECONDS", value_parser = seconds)]
    pub grace: Duration,
    /// Where a step fails, let everything end that does not wait for it; `resume` then has only the rest to do
    #[arg(long, short = 'k')]
    pub keep_going: bool,
    /// Seconds that a call waits at most for others that can be made with it as one request, where the plan has the time; 0: for none
    #[arg(long, default_value = "0.005", value_name = "SECONDS", value_parser = seconds)]
    pub gather: Duration,
    #[command(flatten)]
    pub reuse: Reuse,
    /// Send the run's trace to this collector of OpenTelemetry (http://localhost:4318); no prompt or answer is in it
    #[arg(long, value_name = "URL")]
    pub otlp: Option<String>,
    /// Have programs run on the Ray cluster with this dashboard; its token is in RAY_AUTH_TOKEN
    #[arg(long, value_name = "ray://HOST:PORT")]
    pub engine: Option<String>,
}

/// What is done where the plan does not fit any more.
#[derive(Args)]
pub struct AdaptOptions {
    /// Where a step runs late or dear, and a limit on time or money would be broken: plan the rest again within what remains, leave the
    /// plan as it is, or only say what would be changed [default: on where the job is planned here]
    #[arg(long, value_enum, value_name = "WHEN")]
    pub adapt: Option<Adapting>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Adapting {
    /// Plan the rest again
    On,
    /// Leave the plan as it is
    Off,
    /// Say what would be changed
    Show,
}

impl AdaptOptions {
    /// What is done; none where nobody is asked.
    pub fn mode(&self) -> Option<Mode> {
        match self.adapt {
            None | Some(Adapting::On) => Some(Mode::Change),
            Some(Adapting::Show) => Some(Mode::Show),
            Some(Adapting::Off) => None,
        }
    }
}

/// How an outcome is shown.
#[derive(Args, Default)]
pub struct Showing {
    /// Write a page with the answer, the data flow by state, a timeline, and what was measured against what was planned
    #[arg(long, value_name = "FILE.html")]
    pub report: Option<PathBuf>,
    /// Print the answer, and what it took, as JSON
    #[arg(long)]
    pub json: bool,
    /// No progress bars and no report, only the answer
    #[arg(long, short)]
    pub quiet: bool,
    /// Fail (exit status 1) where the run broke a limit of its job, which is else a warning
    #[arg(long)]
    pub strict_slo: bool,
    /// Print the answer while a model writes it, where it is a text that the job yields as it is
    #[arg(long, conflicts_with = "json")]
    pub stream: bool,
}

/// A run of the journal, with what it needs.
pub struct Running<'a> {
    /// The run.
    pub run: Run,
    /// Its plan.
    pub plan: Plan,
    /// Its inputs.
    pub inputs: BTreeMap<String, Value>,
    /// Limits of the plan that it did not begin with.
    pub limits: Vec<PlanClause>,
    /// Tokens that its steps were planned to read and write, where that is known.
    pub tokens: Option<Planned>,
    /// Who plans the rest again.
    pub steer: Option<&'a dyn Steer>,
}

/// Plans a job for this machine, or takes a plan as it is, and runs it.
pub fn run(options: &RunOptions, inputs: &Inputs) -> Result<(), Failure> {
    let inputs = &inputs.with(options.inputs.as_deref())?;
    let Some(path) = &options.plan else {
        let extras = Extras { slo: &options.slo, whole: true, ..Extras::default() };
        return make_and(&options.planning, inputs, Some(HERE), extras, |planned, prepared, decision| {
            let adapt = options.adapt.mode().map(|mode| Adapt::new(prepared, decision, mode));
            let steer = adapt.as_ref().map(|adapt| adapt as &dyn Steer);
            run_plan(options, planned.plan, planned.inputs, (steer, Some(prepared.library)))
        });
    };
    if let Some(Adapting::On | Adapting::Show) = options.adapt.adapt {
        return Err(Failure::Usage("a plan from a file is run as it is: `--adapt` needs the job alone".to_string()));
    }
    let plan = trusted(path, options)?;
    let names: Vec<&str> = plan.inputs.iter().map(|i| i.name.as_str()).collect();
    known(inputs, &names)?;
    missing(plan.inputs.iter().map(|i| (i.name.as_str(), &i.ty)), &|name| inputs.has(name))?;
    let (inputs, _) = given(plan.inputs.iter().map(|i| (i.name.as_str(), &i.ty)), inputs)?;
    run_plan(options, plan, inputs, (None, None))
}

fn run_plan(
    options: &RunOptions,
    plan: Plan,
    inputs: BTreeMap<String, Value>,
    (steer, library): (Option<&dyn Steer>, Option<&Library>),
) -> Result<(), Failure> {
    let folders = folders(&options.planning.source);
    able(&plan, &folders, options.durable.engine.is_some())?;
    let showing = &options.show;
    if let Some(path) = &showing.report {
        writable(path)?;
    }
    let mut journal = Journal::open(Path::new(PROJECT))?;
    let key = options.key.clone();
    let identity = identity(&plan, &inputs, key.is_some())?;
    let before = match &key {
        None => None,
        Some(key) => of_key(&journal, key, &identity)?,
    };
    let run = match before {
        Some(run) if again(&journal, &run, showing)? => return Ok(()),
        Some(run) => {
            // Its files may lie elsewhere than this command's.
            able(&plan, &run.info.folders, options.durable.engine.is_some())?;
            run
        }
        None => {
            let text = serde_json::to_string(&plan).map_err(|e| e.to_string())?;
            let (text, given) = (journal.blobs().put(&text)?, journal.blobs().keep(&json!(inputs))?);
            let folder = options.folder.as_deref().map(free).transpose()?;
            let absolute = |path: &PathBuf| std::path::absolute(path).unwrap_or_else(|_| path.clone());
            let folders = folders.iter().map(absolute).collect();
            let (job, at) = (plan.job.clone(), now());
            let (made_of, identity) = (steer.map(|_| made_of(options)), identity.as_str());
            let (plan, inputs, own) = (text, given, identity.to_owned());
            let no_cache = options.durable.reuse.no_cache;
            let info = RunInfo { job, key, identity: own, plan, inputs, folder, folders, at, made_of, no_cache };
            let run = journal.begin(&info)?;
            // Another process may have begun one with this key since.
            if run.info.identity != identity {
                return Err(other_run(&run));
            }
            run
        }
    };
    let tokens = library.filter(|_| showing.report.is_some()).map(|library| planned(&plan, library));
    execute(journal, Running { run, plan, inputs, limits: Vec::new(), tokens, steer }, &options.durable, showing)
}

/// What the plan is made from, for when the run is resumed.
fn made_of(options: &RunOptions) -> MadeOf {
    let Source { file, library, .. } = &options.planning.source;
    let absolute = |path: &PathBuf| std::path::absolute(path).unwrap_or_else(|_| path.clone());
    let Demand { least, beyond, mixed } = demand(options.planning.evidence);
    let library = library.iter().map(absolute).collect();
    MadeOf { file: absolute(file), library, slo: options.slo.clone(), least, beyond, mixed }
}

/// What is sent to other machines as `mkbc`: this program, or the one that MKBC_WORKER names, where they are of another kind.
pub fn program() -> Result<PathBuf, Fault> {
    if let Some(other) = std::env::var_os("MKBC_WORKER") {
        return Ok(other.into());
    }
    std::env::current_exe().map_err(|e| Fault::new(FaultKind::Storage, format!("this program is not found: {e}")))
}

/// The journal of the project in this folder, which must be there.
pub fn journal() -> Result<Journal, Failure> {
    let journal = Journal::existing(Path::new(PROJECT))?;
    journal.ok_or_else(|| format!("there is no journal here: `{PROJECT}` has none; `mkbc run` begins one").into())
}

/// Whether this machine can run a plan, which is asked before anything is recorded of a run; programs may be elsewhere, where steps are carried out.
pub fn able(plan: &Plan, folders: &[PathBuf], elsewhere: bool) -> Result<(), Failure> {
    let env = |name: &str| std::env::var(name).ok();
    let mut here = plan.clone();
    // Programs are those of where they are run; Python files go there from here.
    here.steps.retain(|step| !(elsewhere && matches!(step.engine, Engine::Process { .. })));
    let changed = pins::changed(&here, folders, &env).into_iter().map(RunError::from);
    here.steps.retain(|step| !(elsewhere && portable(&step.engine)));
    let missing = preflight::missing(&here, &env, folders);
    let missing: Vec<RunError> = missing.into_iter().chain(changed).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let lines: Vec<String> = missing.iter().map(|m| m.to_string()).collect();
    Err(format!("this machine cannot run the plan:\n  {}", lines.join("\n  ")).into())
}

/// What a run is of, as a digest; with `contents`, that of the files among the inputs counts too.
fn identity(plan: &Plan, inputs: &BTreeMap<String, Value>, contents: bool) -> Result<String, Failure> {
    let plan = serde_json::to_string(plan).map_err(|e| e.to_string())?;
    let mut texts = vec![plan, serde_json::to_string(inputs).map_err(|e| e.to_string())?];
    if contents {
        for file in inputs.values().flat_map(value::files) {
            texts.push(file_digest(Path::new(file)).map_err(|e| format!("cannot read `{file}`: {e}"))?);
        }
    }
    Ok(digest(texts.iter().map(String::as_str)))
}

/// The run with a key, which must be of this plan and these inputs.
fn of_key(journal: &Journal, key: &str, identity: &str) -> Result<Option<Run>, Failure> {
    match journal.of_key(key)? {
        Some(run) if run.info.identity != identity => Err(other_run(&run)),
        run => Ok(run),
    }
}

fn other_run(run: &Run) -> Failure {
    let RunInfo { job, key, .. } = &run.info;
    let (id, key) = (run.id, key.as_deref().unwrap_or_default());
    let what = format!("the key `{key}` is that of run {id} of `{job}`, whose plan or inputs are others");
    format!("{what}\n  help: give another key, or `mkbc resume {id}` to go on with that run as it was planned").into()
}

/// Shows the answer of a run that has one; whether it did.
pub fn again(journal: &Journal, run: &Run, showing: &Showing) -> Result<bool, Failure> {
    let records = journal.records(run.id)?;
    let End::Answered(value) = Replay::of(&records).end else { return Ok(false) };
    // Without its report it was killed between the two: everything is replayed, and the report written.
    let report = journal.folder(run).join("report.json");
    let Ok(text) = std::fs::read_to_string(&report) else { return Ok(false) };
    if showing.report.is_some() {
        return Ok(false);
    }
    let answer = journal.blobs().value(&value)?;
    if showing.json {
        print(&format!("{}\n", text.trim_end()))
    } else {
        print(&format!("{}\n", shown(&answer)))
    }
    if !showing.quiet {
        note(&format!("this is the answer of run {}, which was recorded; nothing was run", run.id));
    }
    let recorded: Value = serde_json::from_str(&text).unwrap_or_default();
    demanded(showing, &serde_json::from_value::<Vec<Kept>>(recorded["clauses"].clone()).unwrap_or_default())?;
    Ok(true)
}

/// Works on a run until it ends; whether this machine can has been asked.
pub fn execute(journal: Journal, running: Running<'_>, durable: &Durable, showing: &Showing) -> Result<(), Failure> {
    let Running { run, plan, inputs, limits, tokens, steer } = running;
    let folders = run.info.folders.clone();
    let grace = durable.grace;
    let env = |name: &str| std::env::var(name).ok();
    let ray = durable.engine.as_deref().map(|at| Ray::at(at, &program()?, folders.clone(), &env)).transpose()?;
    if let Some(ray) = &ray {
        let ready = block_on(ray.ready(&plan)).map_err(|e| format!("cannot start the runtime: {e}"))?;
        if let Err(fault) = ready {
            let _ = block_on(ray.stop());
            return Err(fault.into());
        }
    }
    let recorder = journal.attach(&run, now())?;
    if !limits.is_empty() {
        recorder.limited(&limits)?;
        let said: Vec<String> = limits.iter().map(|limit| format!("`{}`", limit.text)).collect();
        note(&format!("run {} goes on under {}", run.id, said.join(", ")));
    }
    let text = serde_json::to_string_pretty(&plan).map_err(|e| e.to_string())?;
    store::write(&recorder.folder().join("plan.json"), format!("{text}\n").as_bytes())?;
    let loud = !showing.quiet && !showing.json && std::io::stderr().is_terminal();
    let (bars, notes) = (Bars::new(), Notes::default());
    let inner: &dyn Observer = match loud {
        true => &bars,
        false if showing.quiet => &Silent,
        false => &notes,
    };
    let traced = Traced::new(inner, &env);
    let inner: &dyn Observer = if durable.otlp.is_some() { &traced } else { inner };
    let streaming = Streaming::new(inner);
    let inner: &dyn Observer = if showing.stream { &streaming } else { inner };
    let recording = Recording { recorder: &recorder, inner };
    let cache = durable.reuse.open().filter(|_| !run.info.no_cache);
    let mut cx = RunContext {
        folders,
        recorder: Some(&recorder),
        cache: cache.as_ref(),
        steer,
        keep_going: durable.keep_going,
        gather: durable.gather,
        remote: ray.as_ref().map(|ray| ray as &dyn Remote),
        ..RunContext::new(recorder.folder(), &recording, &env)
    };
    if ray.is_some() {
        // What this machine takes is not what the work takes.
        cx.powercap = PathBuf::new();
    }
    let inputs = inputs.into_iter().map(|(name, value)| (name, value.into())).collect();
    let done = run_to_end(&plan, inputs, &cx, grace).map_err(|e| format!("cannot start the runtime: {e}"))?;
    if let Some(ray) = &ray {
        let _ = block_on(ray.stop());
    }
    if recorder.recovered() > 0 {
        let calls = recorder.recovered();
        note(&format!("{calls} finished calls were missing from the journal, and were taken from their folders"));
    }
    if let Some(to) = &durable.otlp {
        // A collector that is away takes nothing from a run that is done.
        match block_on(trace::export(to, &plan, &done.0, &traced, &run.info.identity)) {
            Ok(Ok(_)) => {}
            Ok(Err(fault)) => note(&fault.message),
            Err(error) => note(&format!("the trace could not be sent: {error}")),
        }
    }
    if let Some(cache) = cache {
        cache.collect(MOST, None, SystemTime::now());
    }
    // The journal is closed, and the run free, before anybody is told.
    drop(recorder);
    if let Some(path) = &showing.report {
        let recorded = Recorded { journal: &self::journal()?, run: &run, tokens: tokens.as_ref() };
        write(path, &report::html::of_run(&recorded, &plan, &done.0.clone().whole())?)?;
    }
    finish(showing, &plan, &done.0, (run.id, done.1), &streaming)
}

/// Where what a job or a library brings along is looked for: beside the job, then in each library.
pub fn folders(source: &Source) -> Vec<PathBuf> {
    let beside = source.file.parent().map(Path::to_path_buf);
    beside.into_iter().chain(source.library.iter().cloned()).collect()
}

/// Reads a plan that is to be run as it is: made from this file, this library and this lock, and true to them.
fn trusted(path: &Path, options: &RunOptions) -> Result<Plan, Failure> {
    let plan = read_plan(path)?;
    let shown = path.display();
    if let Some(job) = options.planning.job.as_deref().filter(|j| *j != plan.job) {
        return Err(format!("`{shown}` is a plan for `{}`, and not for `{job}`: plan again", plan.job).into());
    }
    match against_source(&plan, &options.planning.source)?.as_slice() {
        [] => {
            if !plan.beside.is_empty() {
                note(&format!("`{shown}` was made with {}", beside(&plan)));
            }
            Ok(plan)
        }
        wrong => Err(format!("`{shown}` does not pass verification and is not run:\n  {}", wrong.join("\n  ")).into()),
    }
}

fn finish(
    showing: &Showing,
    plan: &Plan,
    done: &RunReport<Held>,
    (id, signal): (u64, Option<u8>),
    streaming: &Streaming<'_>,
) -> Result<(), Failure> {
    if showing.json {
        print_json(done);
    }
    if done.result.is_err() {
        streaming.broken_off();
    }
    match &done.result {
        Ok(answer) => {
            if !showing.json {
                match answer {
                    Held::Long(_) => print_json(answer),
                    Held::Whole(answer) => print(&streaming.rest(&shown(answer))),
                }
            }
            if !showing.json && !showing.quiet {
                let _ = writeln!(std::io::stderr(), "\n{}", report::table(plan, done));
                note(&format!("outputs, plan and report are in {}", done.folder.display()));
            }
            demanded(showing, &done.clauses)
        }
        Err(error) if error.fault.kind == FaultKind::Cancelled => {
            note(&format!("{error}; they are in {}; `mkbc resume {id}` goes on", done.folder.display()));
            Err(if signal == Some(143) { Failure::Terminated } else { Failure::Stopped })
        }
        Err(error) => {
            let kept = format!("outputs of finished steps are in {}", done.folder.display());
            let how = match error.fault.kind {
                FaultKind::Budget => format!("`mkbc resume {id} --slo \"cost <= … usd\"` goes on from there with more"),
                _ => format!("`mkbc resume {id}` goes on from there"),
            };
            Err(format!("{error}\n  {kept}; {how}").into())
        }
    }
}

/// Warns of limits that a run broke; an error where the user wants it so.
fn demanded(showing: &Showing, clauses: &[Kept]) -> Result<(), Failure> {
    match clauses::warning(clauses) {
        Some(broken) if showing.strict_slo => Err(broken.into()),
        Some(broken) => {
            note(&format!("warning: {broken}"));
            Ok(())
        }
        None => Ok(()),
    }
}

/// An answer for people: a text as it is, everything else as JSON.
pub fn shown(answer: &Value) -> String {
    match answer {
        Value::String(text) => crate::run::fault::printable(text),
        other => format!("{:#}", json!(other)),
    }
}

/// A folder that no run has, made.
fn free(folder: &Path) -> Result<PathBuf, Failure> {
    if ["report.json", "run.lock"].iter().any(|file| folder.join(file).exists()) {
        return Err(format!("`{}` holds an earlier run: give another folder", folder.display()).into());
    }
    Ok(store::run_folder(folder)?)
}
