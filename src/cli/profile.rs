//! `mkbc profile`

mod command;
mod import;
mod samples;
mod stopping;

use super::here::{HERE, machines};
use super::inputs::Inputs;
use super::load::{library as load_library, read, show, writable, write};
use super::{Failure, count, note, print};
use crate::compile::{Texts, check_tree};
use crate::diag::{Diagnostic, Diagnostics, nearest};
use crate::library::{Implementation, Library, Task};
use crate::profile::call::{self, is_paid};
use crate::profile::power::estimate;
use crate::profile::record::{Record, Run};
use crate::profile::repeat::{Rule, half_width};
use crate::profile::rows::{self, Circumstances};
use crate::profile::{Sample, Subject, Work, earlier, named, settings, take_together, tells_apart, work};
use crate::run::devices::{Inventory, inventory};
use crate::run::observer::Silent;
use crate::run::servers::Servers;
use crate::run::{RunContext, preflight};
use crate::space::Candidate;
use crate::syntax::ast::File;
use clap::{Args, Subcommand};
use command::command;
use ecow::EcoString;
use indicatif::{ProgressBar, ProgressStyle};
use samples::samples;
use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use stopping::Stopping;

/// What is usual: percent, runs, runs and seconds.
const WITHIN: f64 = 5.0;
const LEAST: usize = 3;
const MOST: usize = 20;
const SECONDS: f64 = 60.0;
/// How often the bar shows the time that has passed.
const TICK: Duration = Duration::from_millis(250);

#[derive(Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct ProfileOptions {
    #[command(subcommand)]
    pub other: Option<Other>,
    /// The model or tool
    #[arg(required = true)]
    pub name: Option<String>,
    /// The task, where it carries out several
    #[arg(long)]
    pub task: Option<String>,
    /// Samples as JSON lines, one object of arguments a line; files are relative to this one
    #[arg(long, value_name = "FILE")]
    pub samples: Option<PathBuf>,
    /// Only these values of a knob: search=full,fast (repeatable)
    #[arg(long, value_name = "KNOB=VALUES")]
    pub knob: Vec<String>,
    /// Only these numbers of devices
    #[arg(long, value_name = "N", value_delimiter = ',')]
    pub units: Vec<u32>,
    /// Half the 95 % interval of the mean that is narrow enough
    #[arg(long, value_name = "PERCENT", default_value_t = WITHIN)]
    pub within: f64,
    /// Runs of a sample at least, after one that is not counted
    #[arg(long, value_name = "N", default_value_t = LEAST)]
    pub least: usize,
    /// Runs of a sample at most
    #[arg(long, value_name = "N", default_value_t = MOST)]
    pub most: usize,
    /// Seconds for a sample in a setting; a run that has begun is finished
    #[arg(long, value_name = "SECONDS", default_value_t = SECONDS)]
    pub seconds: f64,
    /// Forget earlier runs
    #[arg(long)]
    pub fresh: bool,
    /// Calls to providers cost money: allow them
    #[arg(long)]
    pub paid: bool,
    /// Where `measured/NAME.csv` and the record of all runs are kept; `--library DIR` then plans with them
    #[arg(long, short, value_name = "DIR", default_value = ".mkbc/library")]
    pub out: PathBuf,
    /// A folder to add to the library (repeatable)
    #[arg(long, value_name = "DIR")]
    pub library: Vec<PathBuf>,
}

#[derive(Subcommand)]
pub enum Other {
    /// Take figures over from others
    #[command(subcommand)]
    Import(import::Import),
}

/// Measures an implementation; what is measured already is not measured again.
pub fn profile(options: &ProfileOptions, inputs: &Inputs) -> Result<(), Failure> {
    if let Some(Other::Import(what)) = &options.other {
        return import::import(what);
    }
    let library = declared(&load_library(&options.library)?)?;
    let (entry, task) = subject(&library, options)?;
    let subject = Subject { entry, task };
    let samples = samples(subject, options, inputs)?;
    let here = inventory();
    let rule = rule(options)?;
    let settings = wanted(subject, &library, options)?;
    let machine = machine(&here);
    let folder = options.out.join("measured");
    std::fs::create_dir_all(&folder).map_err(|e| format!("cannot make the folder `{}`: {e}", folder.display()))?;
    let table = folder.join(format!("{}.csv", entry.name));
    writable(&table)?;
    let record_path = folder.join(format!("{}.runs.jsonl", entry.name));
    if options.fresh {
        match std::fs::remove_file(&record_path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                return Err(format!("cannot remove `{}`: {e}", record_path.display()).into());
            }
            _ => {}
        }
    }
    let stopping = Stopping::listening();
    let mut record = Record::open(&record_path)?;
    let bar = bar(settings.len() * samples.len());
    let (command, names) = (command(options, inputs), samples.iter().map(|s| s.name.as_str()).collect::<Vec<_>>());
    let (mut written, known) = (false, record.runs.len());
    for setting in &settings {
        let kept = tempfile::tempdir().map_err(|e| format!("cannot make a folder: {e}"))?;
        let servers = &Servers::kept_in(kept.path());
        let bounds =
            Bounds { rule, machine: &machine, bar: &bar, folders: &options.library, servers, stopping: &stopping };
        if let Err(failure) = measure(subject, setting, &samples, &mut record, &bounds) {
            bar.finish_and_clear();
            if stopping.stopped().is_some() {
                note(&left(record.runs.len() - known, &record_path, options.fresh));
            }
            return Err(failure);
        }
        // What was measured of this setting before counts as well.
        let now =
            |s: &Sample| Ok((call::key(subject, setting, s, &machine), (s.name.clone(), work(subject, setting, s)?)));
        let now = samples.iter().map(now).collect::<Result<Vec<_>, String>>()?;
        let like = now.first().map(|(_, (_, work))| work.clone()).unwrap_or_default();
        let before = earlier(&record.runs, &call::key_of_all(subject, setting, &machine), &names, &like);
        let (keys, works): (Vec<String>, Vec<(String, Work)>) = before.into_iter().chain(now).unzip();
        let runs: Vec<Run> = record.runs.iter().filter(|r| keys.contains(&r.key)).cloned().collect();
        let Some(measured) = take_together(&works, &runs, call::batch(subject, setting)) else { continue };
        let device = library.devices.get(&setting.device);
        let power = device.and_then(|device| estimate(subject, setting, &measured, device));
        let power = power.as_ref();
        if !tells_apart(&works) {
            bar.suspend(|| {
                print(&format!("{}\n", rows::line(setting, &measured, power)));
                let only = "one sample does not tell what a call takes by itself from what its work takes";
                note(&format!("warning: {}: {only}; its runs are recorded, and no figure is written", named(setting)));
                note("help: give a second sample of another size");
            });
            continue;
        }
        written = true;
        let date = runs.iter().map(|r| r.date.as_str()).max().unwrap_or_default();
        let earlier = if table.exists() { read(&table)? } else { String::new() };
        let at = Circumstances { machine: &machine, date, command: &command, power };
        let text = rows::merge(&earlier, subject, setting, &measured, at)
            .map_err(|e| format!("`{}` cannot be added to: {e}", table.display()))?;
        write(&table, &text)?;
        bar.suspend(|| print(&format!("{}\n", rows::line(setting, &measured, power))));
    }
    bar.finish_and_clear();
    if !written {
        return Ok(());
    }
    note(&format!("{}; plan with it by `--library {}`", table.display(), options.out.display()));
    Ok(())
}

/// The library of texts that have no error.
fn declared(texts: &Texts) -> Result<Library, Failure> {
    declared_as(texts, &Diagnostic::clone)
}

/// The same, where what is wrong is said as it is made of what was found.
fn declared_as(texts: &Texts, said: &dyn Fn(&Diagnostic) -> Diagnostic) -> Result<Library, Failure> {
    let mut cx = Diagnostics::default();
    let library = check_tree(texts, File::default(), &mut cx).library;
    if cx.has_errors() {
        let mut shown = Diagnostics::default();
        shown.extend(cx.iter().map(said));
        show(&shown, texts, super::args::Format::Text);
        return Err(Failure::Said);
    }
    Ok(Arc::unwrap_or_clone(library))
}

/// The implementation of a name.
fn entry<'a>(library: &'a Library, name: &str) -> Result<&'a Implementation, Failure> {
    library.implementations.get(name).ok_or_else(|| {
        let names = library.implementations.keys().map(EcoString::as_str);
        let near = nearest(name, names).map_or(String::new(), |n| format!(": did you mean `{n}`?"));
        Failure::Usage(format!("there is no model or tool `{name}`{near}"))
    })
}

struct Bounds<'a> {
    rule: Rule,
    machine: &'a str,
    bar: &'a ProgressBar,
    /// Where files that a library brings along are looked for.
    folders: &'a [PathBuf],
    /// Model servers, which are kept between runs.
    servers: &'a Servers,
    stopping: &'a Stopping,
}

/// What a command that was stopped leaves.
fn left(runs: usize, record: &Path, fresh: bool) -> String {
    if runs == 0 {
        return "no run was finished".to_string();
    }
    let again = if fresh { "the same command without `--fresh`" } else { "the same command" };
    format!("recorded so far: {} in {}; {again} goes on from there", count(runs, "run"), record.display())
}

/// Runs each sample in a setting until its mean is known well enough.
fn measure(
    subject: Subject,
    setting: &Candidate,
    samples: &[Sample],
    record: &mut Record,
    bounds: &Bounds,
) -> Result<(), Failure> {
    let env = |name: &str| std::env::var(name).ok();
    let plan = call::plan(subject, setting);
    let missing = preflight::missing(&plan, &env, bounds.folders);
    if let Some(missing) = missing.first() {
        return Err(format!("this machine cannot run `{}`: {missing}", subject.entry.name).into());
    }
    let all = call::key_of_all(subject, setting, bounds.machine);
    for sample in samples {
        let key = call::key(subject, setting, sample, bounds.machine);
        let work = work(subject, setting, sample)?;
        let of = call::Of { key: &key, all: &all, setting, sample, work: &work };
        loop {
            let known: Vec<&Run> = record.runs.iter().filter(|r| r.key == key).collect();
            let seconds: Vec<f64> = known.iter().filter(|r| !r.warm_up).map(|r| r.seconds).collect();
            let warm_up = known.is_empty();
            if !warm_up && !bounds.rule.wants_more(&seconds) {
                break;
            }
            if let Some(stopped) = bounds.stopping.stopped() {
                return Err(stopped);
            }
            let run = if warm_up { "warming up".to_string() } else { format!("run {}", seconds.len() + 1) };
            let sure = half_width(&seconds).map_or(String::new(), |width| format!(", ± {:.0} % so far", width * 100.0));
            bounds.bar.set_message(format!("{}: {}, {run}{sure}", named(setting), sample.name));
            let folder = tempfile::tempdir().map_err(|e| format!("cannot make a folder: {e}"))?;
            let folders = bounds.folders.to_vec();
            let servers = Some(bounds.servers.clone());
            let cancel = bounds.stopping.cancel();
            let cx =
                RunContext { folders, servers, cancel, ..RunContext::new(folder.path().join("run"), &Silent, &env) };
            let took = call::run_once(&call::anew(&plan, record.runs.len()), sample, &cx).map_err(|e| {
                let failed =
                    || format!("`{}` with {} on {}: {e}", subject.entry.name, named(setting), sample.name).into();
                bounds.stopping.stopped().unwrap_or_else(failed)
            })?;
            record.add(took.run(of, warm_up, &today()))?;
        }
        bounds.bar.inc(1);
    }
    Ok(())
}

fn today() -> String {
    jiff::Zoned::now().date().to_string()
}

fn subject<'a>(library: &'a Library, options: &ProfileOptions) -> Result<(&'a Implementation, &'a Task), Failure> {
    let entry = entry(library, options.name.as_deref().unwrap_or_default())?;
    let name = match (&options.task, entry.tasks.as_slice()) {
        (Some(wanted), tasks) if tasks.iter().any(|t| t == wanted) => wanted.as_str(),
        (None, [one]) => one.as_str(),
        (_, tasks) => {
            let tasks: Vec<String> = tasks.iter().map(|t| format!("`--task {t}`")).collect();
            return Err(Failure::Usage(format!("say which task of `{}`: {}", entry.name, tasks.join(" or "))));
        }
    };
    let task = library.tasks.get(name).ok_or_else(|| Failure::Usage(format!("there is no task `{name}`")))?;
    Ok((entry, task))
}

fn rule(options: &ProfileOptions) -> Result<Rule, Failure> {
    let good = |x: f64| x.is_finite() && x > 0.0;
    if !good(options.within) || !good(options.seconds) || options.seconds > 86_400.0 {
        return Err(Failure::Usage("`--within` and `--seconds` take numbers above zero".into()));
    }
    if options.least == 0 || options.most < options.least {
        return Err(Failure::Usage("`--least` is 1 at least, and `--most` no less than it".into()));
    }
    let budget = Duration::from_secs_f64(options.seconds);
    Ok(Rule { least: options.least, most: options.most, within: options.within / 100.0, budget })
}

/// The settings to measure, of those that exist and that this machine has devices for.
fn wanted(subject: Subject, library: &Library, options: &ProfileOptions) -> Result<Vec<Candidate>, Failure> {
    let entry = subject.entry;
    let mut only: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for given in &options.knob {
        let Some((knob, values)) = given.split_once('=') else {
            return Err(Failure::Usage(format!("`--knob {given}` is not of the form KNOB=VALUE,VALUE")));
        };
        let Some((_, known)) = entry.knobs.iter().find(|(n, _)| n == knob) else {
            return Err(Failure::Usage(format!("`{}` has no knob `{knob}`", entry.name)));
        };
        for value in values.split(',') {
            if !known.iter().any(|k| k == value) {
                let known: Vec<&str> = known.iter().map(EcoString::as_str).collect();
                return Err(Failure::Usage(format!("`{knob}` cannot be `{value}`: it is one of {}", known.join(", "))));
            }
            only.entry(knob).or_default().push(value);
        }
    }
    let pools = machines(HERE, library)?.pools;
    let devices: BTreeMap<EcoString, u32> = pools.into_iter().map(|(device, (units, _))| (device, units)).collect();
    let gpu = |name: &str| library.devices.get(name).is_some_and(|d| d.gpu);
    let mut all = settings(subject, &devices, &gpu, &|knob, value| only.get(knob).is_none_or(|v| v.contains(&value)));
    all.retain(|s| options.units.is_empty() || options.units.contains(&s.units));
    let Some(first) = all.first() else {
        return Err(format!("`{}` has no setting that this machine has devices for", entry.name).into());
    };
    let engine = crate::plan::engine::lower(entry, first, subject.task);
    if is_paid(&engine) && !options.paid {
        let help = "add `--paid` if that is meant; narrow it with `--knob` and `--most`";
        return Err(format!("measuring `{}` calls a provider, which costs money\n  help: {help}", entry.name).into());
    }
    Ok(all)
}

fn machine(here: &Inventory) -> String {
    let model = here.cpu.model.as_deref().unwrap_or("unknown processor");
    format!("{model}, {} cores", here.cpu.cores)
}

fn bar(length: usize) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:20} {pos}/{len} {elapsed} {wide_msg}");
    let bar = ProgressBar::new(length as u64).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    // A call may take minutes: that time passes is seen meanwhile.
    bar.enable_steady_tick(TICK);
    bar
}
