//! `mkbc profile`

mod import;

use super::here::{HERE, machines};
use super::inputs::{Inputs, known};
use super::load::{library as load_library, read, show, writable, write};
use super::{Failure, note, print};
use crate::compile::{Texts, check_tree};
use crate::diag::Diagnostics;
use crate::diag::nearest;
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
use crate::run::{RunContext, block_on, input, preflight, probe, value};
use crate::space::Candidate;
use crate::syntax::ast::File;
use crate::types::Type;
use clap::{Args, Subcommand};
use ecow::EcoString;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// What is usual: percent, runs, runs and seconds.
const WITHIN: f64 = 5.0;
const LEAST: usize = 3;
const MOST: usize = 20;
const SECONDS: f64 = 60.0;

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
    let mut record = Record::open(&record_path)?;
    let bar = bar(settings.len() * samples.len());
    let (command, names) = (command(options, inputs), samples.iter().map(|s| s.name.as_str()).collect::<Vec<_>>());
    let mut written = false;
    for setting in &settings {
        let kept = tempfile::tempdir().map_err(|e| format!("cannot make a folder: {e}"))?;
        let servers = &Servers::kept_in(kept.path());
        let bounds = Bounds { rule, machine: &machine, bar: &bar, folders: &options.library, servers };
        measure(subject, setting, &samples, &mut record, &bounds)?;
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
    let mut cx = Diagnostics::default();
    let library = check_tree(texts, File::default(), &mut cx).library;
    if cx.has_errors() {
        show(&cx, texts, super::args::Format::Text);
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
        bounds.bar.set_message(format!("{}: {}", named(setting), sample.name));
        loop {
            let known: Vec<&Run> = record.runs.iter().filter(|r| r.key == key).collect();
            let seconds: Vec<f64> = known.iter().filter(|r| !r.warm_up).map(|r| r.seconds).collect();
            let warm_up = known.is_empty();
            if !warm_up && !bounds.rule.wants_more(&seconds) {
                break;
            }
            if let Some(width) = half_width(&seconds) {
                let sure = format!("{}: {} ± {:.0} %", named(setting), sample.name, width * 100.0);
                bounds.bar.set_message(sure);
            }
            let folder = tempfile::tempdir().map_err(|e| format!("cannot make a folder: {e}"))?;
            let folders = bounds.folders.to_vec();
            let servers = Some(bounds.servers.clone());
            let cx = RunContext { folders, servers, ..RunContext::new(folder.path().join("run"), &Silent, &env) };
            let took = call::run_once(&plan, sample, &cx)
                .map_err(|e| format!("`{}` with {} on {}: {e}", subject.entry.name, named(setting), sample.name))?;
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

/// The samples: of a file, or one for each value on the command line.
fn samples(subject: Subject, options: &ProfileOptions, inputs: &Inputs) -> Result<Vec<Sample>, Failure> {
    let params = &subject.task.params;
    let names: Vec<&str> = params.iter().map(|(n, _)| n.as_str()).collect();
    known(inputs, &names)?;
    let mut all = Vec::new();
    if let Some(path) = &options.samples {
        let folder = path.parent().unwrap_or(Path::new("."));
        for (line, text) in read(path)?.lines().enumerate().filter(|(_, l)| !l.trim().is_empty()) {
            let at = |why: String| Failure::Message(format!("`{}`, line {}: {why}", path.display(), line + 1));
            let object: BTreeMap<String, Value> =
                serde_json::from_str(text).map_err(|e| at(format!("no object of arguments: {e}")))?;
            if let Some(name) = object.keys().find(|k| !names.contains(&k.as_str())) {
                return Err(at(format!("the task `{}` has no `{name}`", subject.task.name)));
            }
            let mut texts = BTreeMap::new();
            for (name, value) in object {
                let text = match value {
                    Value::String(text) => text,
                    other => other.to_string(),
                };
                texts.insert(name, text);
            }
            let taken = sample(subject, &texts, folder).map_err(|f| at(f.to_string()))?;
            all.push(Sample { name: format!("{}:{}", short(&path.display().to_string()), line + 1), ..taken });
        }
    } else {
        let many = inputs.values().map(Vec::len).max().unwrap_or(0);
        if let Some((name, values)) = inputs.iter().find(|(_, v)| v.len() != 1 && v.len() != many) {
            let said = format!("`--{name}` has {} values and another option {many}", values.len());
            return Err(Failure::Usage(format!("{said}: give one for all samples, or one for each")));
        }
        for i in 0..many {
            let texts = inputs.iter().filter_map(|(n, v)| Some((n.clone(), v.get(i).or(v.first())?.clone())));
            all.push(sample(subject, &texts.collect(), Path::new("."))?);
        }
    }
    // Runs are told apart by the names of their samples.
    for i in 0..all.len() {
        if all[..i].iter().any(|other: &Sample| other.name == all[i].name) {
            all[i].name = format!("{} ({})", all[i].name, i + 1);
        }
    }
    if all.is_empty() {
        let wanted: Vec<String> = params.iter().map(|(n, ty)| format!("--{n} ({ty})")).collect();
        let help = "two or more, of different size, tell what a call costs from what its work costs";
        return Err(Failure::Usage(format!("give samples to measure with: {}\n  help: {help}", wanted.join(" "))));
    }
    Ok(all)
}

/// One sample: each argument as on the command line of `run`, JSON for lists and records, `@FILE` for JSON in a file,
/// `@FILE#FIELD` for a field of it (an earlier run's `output.json`, say).
fn sample(subject: Subject, texts: &BTreeMap<String, String>, folder: &Path) -> Result<Sample, Failure> {
    let env = |name: &str| std::env::var(name).ok();
    let mut sample = Sample { name: String::new(), args: BTreeMap::new(), sizes: BTreeMap::new() };
    let mut names = Vec::new();
    for (name, ty) in &subject.task.params {
        let Some(text) = texts.get(name.as_str()) else {
            if matches!(ty, Type::Optional(_)) {
                continue;
            }
            return Err(format!("the argument `{name}` ({ty}) is missing").into());
        };
        let about = |fault: crate::run::fault::Fault| Failure::Message(format!("`{name}`: {}", fault.message));
        let mut value = argument(text, ty, folder)?;
        block_on(probe::measure(&mut value, ty, &env)).map_err(|e| e.to_string())?.map_err(about)?;
        value::check(&value, ty).map_err(|m| format!("`{name}`: {m}"))?;
        sample.sizes.insert(name.clone(), value::planned_sizes(&value, ty));
        sample.args.insert(name.to_string(), value);
        names.push(short(text));
    }
    sample.name = names.join(" ");
    Ok(sample)
}

fn argument(text: &str, ty: &Type, folder: &Path) -> Result<Value, Failure> {
    let media = |t: &Type| matches!(t, Type::Bytes | Type::Image | Type::Audio | Type::Video | Type::Document);
    let within = |name: &str| folder.join(name).display().to_string();
    if let Some(reference) = text.strip_prefix('@') {
        let (file, field) = reference.split_once('#').map_or((reference, None), |(f, field)| (f, Some(field)));
        let path = folder.join(file);
        let value: Value =
            serde_json::from_str(&read(&path)?).map_err(|e| format!("`{}` is not JSON: {e}", path.display()))?;
        return match field {
            None => Ok(value),
            Some(field) => {
                value.get(field).cloned().ok_or_else(|| format!("`{}` has no field `{field}`", path.display()).into())
            }
        };
    }
    let parse =
        |text: &str, ty: &Type| input::parse_input(&[text.to_string()], ty).map_err(|f| Failure::Message(f.message));
    match ty {
        Type::Optional(inner) => argument(text, inner, folder),
        ty if media(ty) => parse(&within(text), ty),
        // A file that holds a text is a sample of a text; one that does not exist is the text itself.
        Type::List(item) if !text.trim_start().starts_with('[') => {
            Ok(Value::Array(vec![argument(text, item, folder)?]))
        }
        Type::List(item) if media(item) => {
            let files: Vec<String> = serde_json::from_str(text).map_err(|e| format!("`{text}` is no list: {e}"))?;
            files.iter().map(|f| parse(&within(f), item)).collect::<Result<Vec<_>, _>>().map(Value::Array)
        }
        Type::List(_) | Type::Frames | Type::Transcript => {
            Ok(serde_json::from_str(text).map_err(|e| format!("`{text}` is no {ty}: {e}"))?)
        }
        ty => parse(text, ty),
    }
}

/// The end of a path or the beginning of a text: what a sample is called.
fn short(text: &str) -> String {
    let last = text.rsplit('/').next().unwrap_or(text);
    let clean: String = last.chars().filter(|c| !c.is_control()).collect();
    if clean.chars().count() <= 32 { clean } else { format!("{}…", clean.chars().take(31).collect::<String>()) }
}

fn machine(here: &Inventory) -> String {
    let model = here.cpu.model.as_deref().unwrap_or("unknown processor");
    format!("{model}, {} cores", here.cpu.cores)
}

/// The command that measures again, as a shell takes it. A text that is too long for a table is cut off.
fn command(options: &ProfileOptions, inputs: &Inputs) -> String {
    let mut words = vec!["mkbc".to_owned(), "profile".to_owned(), options.name.clone().unwrap_or_default()];
    let mut option = |name: &str, value: String| words.extend([format!("--{name}"), value]);
    let folder = |path: &PathBuf| path.display().to_string();
    options.task.iter().for_each(|task| option("task", task.clone()));
    options.knob.iter().for_each(|knob| option("knob", knob.clone()));
    if !options.units.is_empty() {
        option("units", options.units.iter().map(u32::to_string).collect::<Vec<_>>().join(","));
    }
    for (name, given, usual) in [("within", options.within, WITHIN), ("seconds", options.seconds, SECONDS)] {
        if given != usual {
            option(name, given.to_string());
        }
    }
    for (name, given, usual) in [("least", options.least, LEAST), ("most", options.most, MOST)] {
        if given != usual {
            option(name, given.to_string());
        }
    }
    options.library.iter().for_each(|path| option("library", folder(path)));
    options.samples.iter().for_each(|path| option("samples", folder(path)));
    if options.paid {
        words.push("--paid".to_owned());
    }
    // Last, since an input takes all values behind it.
    for (name, values) in inputs.iter() {
        words.push(format!("--{name}"));
        words.extend(values.iter().map(|value| {
            let clean: String = value.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
            let cut: String = clean.chars().take(LONGEST).collect();
            if cut.len() < clean.len() { format!("{cut}…") } else { clean }
        }));
    }
    words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
}

/// Characters of a sample's text that stand in the command of its evidence.
const LONGEST: usize = 200;

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=,:@%+".contains(c);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', "'\\''")),
    }
}

fn bar(length: usize) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:20} {pos}/{len} {elapsed} {wide_msg}");
    let bar = ProgressBar::new(length as u64);
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
