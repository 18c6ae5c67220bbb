//! `mkbc plan a.mkb b.mkb … --cluster C --load L`, and `mkbc verify` for what it writes.

mod asked;
mod proof;

use self::asked::Asked;
use super::args::{EvidenceOptions, FleetOptions, FleetTerms, Format, PlanOptions, Source, VerifyOptions};
use super::expand::{Filled, Open, filled, filled_on};
use super::here::{HERE, machines_of};
use super::inputs::Inputs;
use super::load::{library, read, show, time_limit, write};
use super::{Failure, print, width};
use crate::check::program::Job;
use crate::check::select;
use crate::compile::{Base, Compiled, anywhere, check_tree, library_digest};
use crate::diag::Diagnostics;
use crate::fleet::instance::Instance;
use crate::fleet::load::{Arrivals, Window, peak, rate, trace};
use crate::fleet::member::{Wanted, member};
use crate::fleet::model::{JointPlan, Switching};
use crate::fleet::translate::{Member, Settings};
use crate::fleet::{render, verify};
use crate::plan::audit::audit;
use crate::space::Machines;
use crate::syntax::ast::File;
use crate::units::counted;
use flate2::read::MultiGzDecoder;
use rust_decimal::Decimal;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A trace larger than this is not read.
const MOST_TRACE: u64 = 1 << 30;

/// Plans several jobs on one cluster and shows the joint plan.
pub fn plan(options: &PlanOptions, inputs: &Inputs) -> Result<(), Failure> {
    if let Some(name) = inputs.keys().next() {
        return Err(Failure::Usage(format!(
            "`--{name}` is no option, and a joint plan takes no inputs: `expect` in a job says how large they are"
        )));
    }
    let (planning, fleet) = (&options.planning, &options.fleet);
    let alone = [
        ("--robust", planning.robust),
        ("--export", options.export.is_some()),
        ("--cross-check", options.cross_check),
        ("--choices", options.choices),
    ];
    if let Some((name, _)) = alone.iter().find(|(_, given)| *given) {
        return Err(Failure::Usage(format!("`{name}` is for the plan of one job: leave it out of a joint plan")));
    }
    let limit = time_limit(planning.time_limit)?;
    if let Some(out) = &options.out {
        super::load::writable(out)?;
    }
    let mut files: Vec<&PathBuf> = vec![&planning.source.file];
    files.extend(&fleet.more);
    let settings = settings(&fleet.terms, fleet.from.as_deref())?;
    let sources = opened(&files, &planning.source, planning.locked, planning.evidence)?;
    let jobs = chosen(&sources, &files, planning.job.as_deref())?;
    let names: Vec<&str> = jobs.iter().map(|job| job.name.as_str()).collect();
    let rates = rates(fleet, &jobs)?;
    let cluster = planning.cluster.as_deref().or(jobs[0].cluster.as_ref().map(|(name, _)| name.as_str()));
    let machines = cluster_of(cluster, &planning.source, &sources[0])?;
    let asked = Asked { sources: &sources, files: &files, names: &names, rates: &rates, machines: &machines };
    let format = planning.source.format;
    let joined = match fleet.split.map(NonZeroUsize::get).filter(|size| *size < jobs.len()) {
        Some(_) if options.proof.is_some() => {
            return Err(Failure::Usage("`--proof` is for jobs that are planned at once: leave out `--split`".into()));
        }
        Some(size) => asked.in_parts(size, &settings, limit, format)?,
        None => asked.at_once(&settings, limit, format, options.proof.as_deref())?,
    };
    let json = serde_json::to_string_pretty(&joined).map_err(|e| e.to_string())?;
    let as_json = options.json || planning.source.format == Format::Json;
    print(&if as_json { format!("{json}\n") } else { render::text(&joined, width()) });
    if let Some(out) = &options.out {
        write(out, &format!("{json}\n"))?;
        if !as_json {
            print(&format!("written to {}\n", out.display()));
        }
    }
    Ok(())
}

/// The files of a fleet's jobs, each with its holes filled.
pub fn opened(
    files: &[&PathBuf],
    given: &Source,
    locked: bool,
    evidence: EvidenceOptions,
) -> Result<Vec<Filled>, Failure> {
    let mut known = BTreeSet::new();
    if let Some(file) = files.iter().find(|file| !known.insert(file.as_os_str())) {
        return Err(Failure::Usage(format!("`{}` is given twice", file.display())));
    }
    let source =
        |file: &Path| Source { file: file.to_path_buf(), library: given.library.clone(), format: given.format };
    let base = Base::new(library(&given.library)?).demanding(super::plan::demand(evidence));
    let one = |file: &&PathBuf| {
        let mut filled = filled_on(&base, &source(file), Open::unless(locked))?;
        // A fleet places the calls of a job as they stand: what composes them is chosen for a job by itself.
        filled.checked.program.compositions.clear();
        Ok(filled)
    };
    files.iter().map(one).collect()
}

/// The job of each file; no two of them have the same name.
pub fn chosen<'s>(sources: &'s [Filled], files: &[&PathBuf], job: Option<&str>) -> Result<Vec<&'s Job>, Failure> {
    let mut jobs: Vec<&Job> = Vec::new();
    for (filled, file) in sources.iter().zip(files) {
        if filled.checked.program.jobs.is_empty() {
            return Err(Failure::Message(format!("`{}` has no job", file.display())));
        }
        jobs.push(select(&filled.checked.program, job).map_err(Failure::Usage)?);
    }
    let mut names = BTreeSet::new();
    if let Some(job) = jobs.iter().find(|job| !names.insert(&job.name)) {
        return Err(Failure::Usage(format!("two files have a job `{}`: loads go by the job's name", job.name)));
    }
    Ok(jobs)
}

/// What is said of jobs while they are prepared.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Say {
    /// What keeps them from having a plan and, as text, all that is to be said besides.
    All(Format),
    /// What keeps them from having a plan, where the rest has been said already.
    Errors,
    /// Nothing: whoever asks says it.
    Nothing,
}

/// Every job, as `wished` makes it, prepared for the cluster, with its plan alone, for which there may be a limit of time each; what keeps
/// one from having that is said in its source.
pub fn members<'a>(
    sources: &'a [Filled],
    files: &[&PathBuf],
    names: &[&'a str],
    rates: &BTreeMap<String, Decimal>,
    machines: &'a Machines,
    (say, time): (Say, Option<Duration>),
    wished: &dyn Fn(&Job) -> Job,
) -> Result<Vec<Member<'a>>, Failure> {
    let mut members = Vec::new();
    for ((filled, file), name) in sources.iter().zip(files).zip(names) {
        let mut cx = Diagnostics::default();
        let begun = Instant::now();
        let late = move || time.is_some_and(|time| begun.elapsed() >= time);
        let compiled = Compiled {
            texts: &filled.texts,
            file: filled.file,
            checked: &filled.checked,
            lock: filled.lock.as_deref(),
        };
        let job = select(&filled.checked.program, Some(name)).map(wished);
        let of = |job| Wanted { file: file.display().to_string(), compiled, job, rate: rates[*name] };
        let made = job.and_then(|job| member(of(job), machines, &anywhere, Some(&late), &mut cx));
        let found = cx.iter().next().is_some();
        match say {
            Say::All(format) if made.is_err() || found && format == Format::Text => show(&cx, &filled.texts, format),
            Say::Errors if made.is_err() => show(&cx, &filled.texts, Format::Text),
            _ => {}
        }
        match made {
            Ok(made) => members.push(made),
            Err(_) if cx.has_errors() => return Err(Failure::Said),
            Err(why) => return Err(Failure::Message(format!("`{}`: {why}", file.display()))),
        }
    }
    Ok(members)
}

/// `--utilisation`, `--start-minutes`, `--from`.
pub fn settings(terms: &FleetTerms, from: Option<&Path>) -> Result<Settings, Failure> {
    let share = |value: f64, most: f64, name: &str| -> Result<Decimal, Failure> {
        let taken = (value > 0.0 && value <= most).then(|| Decimal::from_f64_retain(value)).flatten();
        let taken = taken.map(|value| value.round_dp(6)).filter(|value| !value.is_zero());
        taken.ok_or_else(|| Failure::Usage(format!("`--{name}` takes more than 0 and at most {most}")))
    };
    let utilisation = share(terms.utilisation, 100.0, "utilisation")? / Decimal::ONE_HUNDRED;
    let start = match terms.start_minutes {
        0.0 => Decimal::ZERO,
        minutes => (share(minutes, 1440.0, "start-minutes")? / Decimal::from(60)).round_dp(6),
    };
    let mut running: BTreeMap<Instance, i64> = BTreeMap::new();
    if let Some(path) = from {
        running = read_joint(path)?.running();
        if running.values().any(|replicas| *replicas > 1 << 40) {
            return Err(Failure::Message(format!("`{}` has a number of replicas beyond reason", path.display())));
        }
    }
    Ok(Settings { utilisation, switching: Switching { start, stop: Decimal::ZERO, per_gb: Decimal::ZERO }, running })
}

/// `--window`, `--percentile`.
pub fn window(terms: &FleetTerms) -> Result<Window, Failure> {
    let FleetTerms { window: seconds, percentile, .. } = *terms;
    if seconds == 0 || !(1..=100).contains(&percentile) {
        return Err(Failure::Usage("`--window` takes seconds from 1, and `--percentile` 1 to 100".into()));
    }
    Ok(Window { seconds, percentile })
}

/// The rate of every job: what `--load` says of it, or what the job expects.
fn rates(options: &FleetOptions, jobs: &[&Job]) -> Result<BTreeMap<String, Decimal>, Failure> {
    let names: Vec<&str> = jobs.iter().map(|job| job.name.as_str()).collect();
    let names = names.as_slice();
    let window = window(&options.terms)?;
    let mut rates = BTreeMap::new();
    let mut set = |name: &str, rate: Decimal| -> Result<(), Failure> {
        known_job(name, names)?;
        match rates.insert(name.to_string(), rate) {
            None => Ok(()),
            Some(_) => Err(Failure::Usage(format!("`--load` says the rate of `{name}` twice"))),
        }
    };
    for item in options.load.iter().flat_map(|load| load.split(',')).map(str::trim).filter(|item| !item.is_empty()) {
        let fault = |path: &str| {
            let path = path.to_string();
            move |why: String| Failure::Message(format!("the trace `{path}`: {why}"))
        };
        match item.split_once('=') {
            Some((name, text)) if text.contains('/') && rate(text).is_ok() || !Path::new(text).exists() => {
                set(
                    name.trim(),
                    rate(text).map_err(|why| Failure::Usage(format!("`--load`: {why}, or name a trace")))?,
                )?;
            }
            Some((name, path)) => {
                let arrivals: Vec<i64> =
                    arrivals(Path::new(path)).map_err(fault(path))?.into_values().flatten().collect();
                set(name.trim(), peak(&arrivals, window).map_err(fault(path))?)?;
            }
            None => {
                for (name, arrivals) in arrivals(Path::new(item)).map_err(fault(item))? {
                    let rate = peak(&arrivals, window).map_err(fault(item))?;
                    match (name.as_str(), names) {
                        ("", [only]) => set(only, rate)?,
                        ("", _) => {
                            let help = format!("say whose it is: `--load {}={item}`", names[0]);
                            return Err(Failure::Usage(format!("the trace `{item}` has no column `job`: {help}")));
                        }
                        (name, _) => set(name, rate)?,
                    }
                }
            }
        }
    }
    for (job, rate) in jobs.iter().filter_map(|job| Some((job, job.rate_per_s()?))) {
        rates.entry(job.name.to_string()).or_insert(rate);
    }
    if let Some(missing) = names.iter().find(|name| !rates.contains_key(**name)) {
        return Err(Failure::Usage(format!("no load for `{missing}`: `--load {missing}=30/s`, or a trace")));
    }
    Ok(rates)
}

/// Refuses a load for a job that there is none of.
pub fn known_job(name: &str, names: &[&str]) -> Result<usize, Failure> {
    names.iter().position(|known| *known == name).ok_or_else(|| {
        let near = crate::diag::nearest(name, names.iter().copied());
        let hint =
            near.map_or_else(|| format!("the jobs are {}", names.join(", ")), |n| format!("did you mean `{n}`?"));
        Failure::Usage(format!("`--load`: there is no job `{name}`: {hint}"))
    })
}

/// Begins to read a file that may be packed with gzip.
pub fn unpacked(path: &Path) -> Result<Box<dyn BufRead>, String> {
    let file = std::fs::File::open(path).map_err(|e| e.to_string())?;
    let packed = path.extension().is_some_and(|ending| ending == "gz");
    Ok(if packed { Box::new(BufReader::new(MultiGzDecoder::new(file))) } else { Box::new(BufReader::new(file)) })
}

/// Reads a trace, packed with gzip or not; what cannot be read is said with the line.
pub fn arrivals(path: &Path) -> Result<Arrivals, String> {
    let mut text = String::new();
    let read = unpacked(path)?.take(MOST_TRACE).read_to_string(&mut text).map_err(|e| e.to_string())?;
    if read as u64 == MOST_TRACE {
        return Err("it is larger than 1 GiB".to_string());
    }
    trace(&text)
}

/// The cluster that all jobs share.
pub fn cluster_of(given: Option<&str>, source: &Source, first: &Filled) -> Result<Machines, Failure> {
    let machines = match given {
        None => return Err(Failure::Usage("say the cluster: `--cluster NAME` or `--cluster FILE.mkb`".into())),
        Some(HERE) => return Err(Failure::Usage("a joint plan is for a cluster, not for `here`".into())),
        Some(given) => machines_of(given, source, &first.checked.library)?,
    };
    if machines.pools.values().all(|(units, _)| *units == 0) {
        return Err(Failure::Message(format!("the cluster `{}` has no devices", machines.name)));
    }
    Ok(machines)
}

/// Reads a joint plan.
pub fn read_joint(path: &Path) -> Result<JointPlan, Failure> {
    let text = read(path)?;
    let shown = path.display();
    serde_json::from_str(&text)
        .map_err(|e| format!("`{shown}` is no joint plan that this mkbc can read: {e}; plan again").into())
}

/// Whether a file holds a joint plan.
pub fn is_joint(path: &Path) -> bool {
    let text = read(path).unwrap_or_default();
    serde_json::from_str::<serde_json::Value>(&text).is_ok_and(|value| value.get("joint_version").is_some())
}

/// Verifies a joint plan against the library, and each job against its file where the files are at hand.
pub fn verify_joint(plan: &Path, options: &VerifyOptions) -> Result<(), Failure> {
    let joint = read_joint(plan)?;
    let shown = plan.display();
    let texts = library(&options.library)?;
    if joint.jobs.iter().any(|job| job.plan.hashes.library != library_digest(&texts)) {
        return Err(format!("`{shown}` was compiled with another library: plan again").into());
    }
    let checked = check_tree(&texts, File::default(), &mut Diagnostics::default());
    let mut wrong = verify::faults(&joint, &checked.library);
    let mut against = "the library".to_string();
    if let Some(path) = &options.source {
        let source = Source { file: path.clone(), library: options.library.clone(), format: Format::Text };
        let filled = filled(&source, Open::Refused)?;
        let mut compared = 0;
        for job in &joint.jobs {
            if let Ok(own) = select(&filled.checked.program, Some(&job.plan.job)) {
                // The plan is that of one run: its rate is the fleet's, whoever said it.
                let own = Job { rate: None, ..own.clone() };
                wrong.extend(audit(&job.plan, &own, &filled.checked.program, &filled.checked.library));
                compared += 1;
            }
        }
        if compared == 0 {
            return Err(format!("`{}` has none of the jobs of `{shown}`", path.display()).into());
        }
        against = format!("the library, {compared} of them against `{}`", path.display());
    }
    if let (Some(path), true) = (&options.proof, wrong.is_empty()) {
        match proof::verify(&joint, &options.library, path)? {
            Ok(proved) => against = format!("{against}; {proved}"),
            Err(why) => wrong.push(format!("its proof: {why}")),
        }
    }
    match wrong.as_slice() {
        [] => {
            let (jobs, kinds) = (counted(joint.jobs.len(), "job"), counted(joint.instances.len(), "kind"));
            print(&format!("{shown}: {jobs} on {kinds} of instances verified against {against}\n"));
            Ok(())
        }
        wrong => Err(format!("`{shown}` does not hold:\n  {}", wrong.join("\n  ")).into()),
    }
}
