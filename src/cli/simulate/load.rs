//! `--load` and `--trace` → where arrivals come from.

use super::SimulateOptions;
use crate::check::program::Job;
use crate::cli::Failure;
use crate::cli::fleet::{known_job, unpacked, window};
use crate::simulate::arrivals::{Process, Source, Traced, rates};
use rust_decimal::Decimal;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Every source; a job that none of them speaks of arrives as it expects itself to.
pub fn sources(options: &SimulateOptions, jobs: &[&Job]) -> Result<Vec<Source<'static>>, Failure> {
    let names: Vec<&str> = jobs.iter().map(|job| job.name.as_str()).collect();
    let owned: Vec<String> = names.iter().map(|name| name.to_string()).collect();
    let window = window(&options.terms)?;
    let traced = |path: &Path, job: Option<usize>| {
        let (shown, path): (String, PathBuf) = (path.display().to_string(), path.to_path_buf());
        if path.metadata().is_ok_and(|about| !about.is_file()) {
            let why = "it is no regular file, and is read once for every policy: write it to a file first";
            return Err(Failure::Message(format!("the trace `{shown}`: {why}")));
        }
        let open = Box::new(move || unpacked(&path));
        Traced::survey(&shown, open, job, &owned, window).map(Source::Traced).map_err(Failure::Message)
    };
    let mut sources = Vec::new();
    if let Some(path) = &options.trace {
        sources.push(traced(path, None)?);
    }
    let mut said = vec![false; names.len()];
    for item in options.load.iter().flat_map(|load| load.split(',')).map(str::trim).filter(|item| !item.is_empty()) {
        let Some((name, text)) = item.split_once('=') else {
            sources.push(traced(Path::new(item), None)?);
            continue;
        };
        let job = known_job(name.trim(), &names)?;
        if std::mem::replace(&mut said[job], true) {
            return Err(Failure::Usage(format!("`--load` says the rate of `{}` twice", name.trim())));
        }
        match rates(text) {
            Ok(rates) => sources.push(Source::Process(Process { job, form: options.arrivals.into(), rates })),
            Err(_) if Path::new(text).exists() => sources.push(traced(Path::new(text), Some(job))?),
            Err(why) => return Err(Failure::Usage(format!("`--load`: {why}, or name a trace"))),
        }
    }
    let peaks = peaks(&sources);
    for (job, of) in jobs.iter().enumerate().filter(|(job, _)| !peaks.contains_key(job)) {
        let rate = of
            .rate_per_s()
            .ok_or_else(|| Failure::Usage(format!("no load for `{0}`: `--load {0}=30/s`, or a trace", of.name)))?;
        sources.push(Source::Process(Process { job, form: options.arrivals.into(), rates: vec![rate] }));
    }
    Ok(sources)
}

/// By job: its rate where it is highest, in sum over the sources.
pub fn peaks(sources: &[Source]) -> BTreeMap<usize, Decimal> {
    let mut peaks: BTreeMap<usize, Decimal> = BTreeMap::new();
    for (job, peak) in sources.iter().flat_map(Source::peaks) {
        *peaks.entry(job).or_default() += peak;
    }
    peaks
}
