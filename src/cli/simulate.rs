//! `mkbc simulate a.mkb b.mkb … --cluster C --trace T | --load L`

mod changes;
mod load;
mod options;

use options::Shown;
pub use options::SimulateOptions;

use super::args::{Format, Source as Given};
use super::expand::Filled;
use super::fleet::{Say, chosen, cluster_of, known_job, members, opened, read_joint, settings};
use super::goal::shell;
use super::load::{show, writable, write};
use super::{Failure, print, width};
use crate::check::program::{Job, Metric, Wish};
use crate::diag::Diagnostics;
use crate::fleet::translate::Member;
use crate::simulate::arrivals::Source;
use crate::simulate::change::machines as states;
use crate::simulate::compare::{Kind, Made, Study, Wanted};
use crate::simulate::deploy::{Starting, pools};
use crate::simulate::engine::Settings;
use crate::simulate::model::Tier;
use crate::simulate::policy::foreseen;
use crate::simulate::render::{Heading, Results, outcomes, text, value};
use crate::simulate::{HOUR, Micros, SECOND, hours, micros, report};
use crate::space::Machines;
use crate::units::{Dimension, resolve};
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Hours that stated rates are simulated for where nothing is said.
const DAY: f64 = 24.0;
/// The most hours, and the most epochs: what is kept of each is held in memory.
const MOST_HOURS: f64 = 24.0 * 366.0;
const MOST_EPOCHS: i64 = 100_000;
/// How long is looked for what would let jobs fit.
const EXPLAINED: Duration = Duration::from_secs(10);

/// Simulates and shows what came of it.
pub fn simulate(options: &SimulateOptions) -> Result<(), Failure> {
    if let Some(report) = &options.report {
        writable(report)?;
    }
    let epoch = time("epoch", &options.epoch, SECOND, MOST_HOURS)?;
    let machine = time("provision", &options.provision, 0, MOST_HOURS)?;
    let mtbf = options.mtbf.as_ref().map(|text| time("mtbf", text, SECOND, 1e6)).transpose()?;
    if !(options.load_speed.is_finite() && options.load_speed > 0.0) {
        return Err(Failure::Usage("`--load-speed` takes gigabytes a second, more than 0".into()));
    }
    let planning = settings(&options.terms, None)?;
    let files: Vec<&PathBuf> = options.files.iter().collect();
    let given = Given { file: PathBuf::new(), library: options.library.clone(), format: Format::Text };
    let sources = opened(&files, &given, options.locked, options.evidence)?;
    let jobs = chosen(&sources, &files, None)?;
    let names: Vec<&str> = jobs.iter().map(|job| job.name.as_str()).collect();
    let cluster = options.cluster.as_deref().or(jobs[0].cluster.as_ref().map(|(name, _)| name.as_str()));
    let machines = cluster_of(cluster, &given, &sources[0])?;
    let wanted = wanted(options)?;
    let arriving = load::sources(options, &jobs)?;
    let peaks = load::peaks(&arriving);
    let rates: BTreeMap<String, Decimal> =
        peaks.into_iter().map(|(job, peak)| (names[job].to_string(), peak)).collect();
    let end = until(options.hours, &arriving)?;
    let drain = match (&options.drain, options.hours) {
        (Some(text), _) => time("drain", text, 0, MOST_HOURS)?,
        (None, Some(_)) => 0,
        (None, None) => HOUR,
    };
    if end / epoch > MOST_EPOCHS {
        return Err(Failure::Usage(format!("`--epoch {}` makes more than {MOST_EPOCHS} epochs", options.epoch)));
    }
    let own = members(&sources, &files, &names, &rates, &machines, (Say::All(Format::Text), None), &Job::clone)?;
    let hands: Vec<&PathBuf> = options.by_hand.iter().collect();
    let hand_sources = opened(&hands, &given, options.locked, options.evidence)?;
    let by_hand = wanted.iter().any(|wanted| matches!(wanted, Wanted::Own(Kind::Static | Kind::Autoscaled, None)));
    let by_hand = if by_hand {
        let setup =
            Setup { sources: &sources, files: &files, names: &names, hand_sources: &hand_sources, hands: &hands };
        set_up(setup, &rates, &machines)?
    } else {
        Vec::new()
    };
    let pools = pools(&machines, &sources[0].checked.library);
    let changes = changes::happening(options, &pools, end)?;
    let becomes = states(&machines, &pools, &changes);
    let frame = Settings {
        end,
        drain,
        epoch,
        window: Micros::from(options.terms.window) * SECOND,
        seed: options.seed,
        service: options.service.into(),
        mtbf,
        changes,
        tiers: options.tier.iter().map(|text| tier(text, &names)).collect::<Result<_, _>>()?,
        prefix_blocks: options.prefix_cache,
        pools,
    };
    let forecast = foreseen(epoch);
    let prepare = |wanted: &Machines| {
        let state = becomes.iter().find(|state| *state == wanted).unwrap_or(&machines);
        let made = members(&sources, &files, &names, &rates, state, (Say::Nothing, None), &Job::clone);
        made.map_err(|_| "a job cannot be carried out on what is left".to_string())
    };
    let mut study = Study {
        members: own,
        by_hand,
        machines: &machines,
        planning,
        start_minutes: Decimal::from_f64_retain(options.terms.start_minutes).unwrap_or_default(),
        rounds: options.rounds,
        starting: Starting { machine, load_gb_s: options.load_speed },
        sources: &arriving,
        settings: &frame,
        forecast: &forecast,
        prepare: &prepare,
        made: Made::default(),
    };
    let mut results = Vec::new();
    for wanted in &wanted {
        let compared = study.run(wanted).map_err(Failure::Message)?;
        results.push((wanted.name().to_string(), compared));
    }
    let owned: Vec<String> = names.iter().map(|name| name.to_string()).collect();
    let heading = Heading { cluster: &machines.name, jobs: &owned, hours: hours(end), seed: options.seed };
    match options.format {
        Shown::Json => {
            let json = serde_json::to_string_pretty(&value(&heading, &results)).map_err(|e| e.to_string())?;
            print(&format!("{json}\n"));
        }
        Shown::Text => print(&text(&heading, &results, width())),
    }
    let any = outcomes(&results).next().is_some();
    // A page of nothing is no report.
    if let Some(path) = options.report.as_ref().filter(|_| any) {
        let words: Vec<String> = std::env::args().skip(1).map(|word| shell(&word)).collect();
        write(path, &report::page(&heading, &results, &format!("mkbc {}", words.join(" ")))?)?;
        if options.format == Shown::Text {
            print(&format!("written to {}\n", path.display()));
        }
    }
    if any { Ok(()) } else { Err(nothing(&study, &results)) }
}

/// No policy could be simulated: what stands in the way of the last one for which there is no plan, in the source of its job.
fn nothing(study: &Study, results: &Results) -> Failure {
    let last = results.iter().rev().find_map(|(_, compared)| compared.outcome.as_ref().err()?.refused.as_ref());
    let Some(refused) = last else { return Failure::Message("no policy could be simulated".into()) };
    let begun = Instant::now();
    let (member, diagnostic) = study.explained(refused, &move || begun.elapsed() >= EXPLAINED);
    let mut cx = Diagnostics::default();
    cx.push(diagnostic);
    show(&cx, member.prepared.compiled.texts, Format::Text);
    Failure::Said
}

/// A time as an option says it: `30min`.
fn time(name: &str, text: &str, least: Micros, most_hours: f64) -> Result<Micros, Failure> {
    let at = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(at);
    let unit = resolve(unit.trim()).filter(|(dimension, _)| *dimension == Dimension::TIME);
    let seconds =
        number.trim().parse::<Decimal>().ok().zip(unit).and_then(|(number, (_, factor))| number.checked_mul(factor));
    let time = seconds.and_then(|seconds| seconds.to_f64()).filter(|seconds| *seconds <= most_hours * 3600.0);
    let time = time.map(micros).filter(|time| *time >= least.max(0));
    time.ok_or_else(|| Failure::Usage(format!("`--{name}` takes a time such as `90s`, `30min` or `1h`, not `{text}`")))
}

/// `gold=letters,invoices`.
fn tier(text: &str, names: &[&str]) -> Result<Tier, Failure> {
    let usage = || Failure::Usage(format!("`--tier` takes a name and jobs, as `gold=letters,invoices`, not `{text}`"));
    let (name, jobs) = text.split_once('=').filter(|(name, _)| !name.trim().is_empty()).ok_or_else(usage)?;
    let jobs = jobs.split(',').map(|job| known_job(job.trim(), names)).collect::<Result<_, _>>()?;
    Ok(Tier { name: name.trim().to_string(), jobs })
}

/// When the simulation ends.
fn until(hours: Option<f64>, arriving: &[Source]) -> Result<Micros, Failure> {
    if let Some(hours) = hours {
        let fits = hours > 0.0 && hours <= MOST_HOURS;
        let end = micros(if fits { hours * 3600.0 } else { 0.0 });
        return match end > 0 {
            true => Ok(end),
            false => Err(Failure::Usage(format!("`--hours` takes more than 0 and at most {MOST_HOURS}"))),
        };
    }
    // A process goes on for ever; a trace is over a moment after its last arrival.
    let traced = arriving.iter().filter_map(Source::end).max().map(|last| last + SECOND);
    let end = traced.unwrap_or_else(|| micros(DAY * 3600.0));
    match end as f64 <= MOST_HOURS * HOUR as f64 {
        true => Ok(end),
        false => Err(Failure::Usage(format!("the trace is longer than {MOST_HOURS} h: say `--hours`"))),
    }
}

/// The policies that are asked for.
fn wanted(options: &SimulateOptions) -> Result<Vec<Wanted>, Failure> {
    let mut plans = BTreeMap::new();
    let mut named = Vec::new();
    for item in &options.policy_plan {
        let usage = || Failure::Usage(format!("`--policy-plan` takes NAME=PLAN, not `{item}`"));
        let (name, path) = item.split_once('=').filter(|(name, _)| !name.trim().is_empty()).ok_or_else(usage)?;
        let name = name.trim().to_string();
        if plans.insert(name.clone(), read_joint(Path::new(path))?).is_some() {
            return Err(Failure::Usage(format!("`--policy-plan` gives two plans for `{name}`")));
        }
        named.push(name);
    }
    let own: Vec<&str> = Kind::ALL.iter().map(|(_, name)| *name).collect();
    let others = named.iter().filter(|name| !own.contains(&name.as_str()));
    let all: Vec<String> = own.iter().map(|name| name.to_string()).chain(others.cloned()).collect();
    let asked: Vec<String> = match options.policy.trim() {
        "all" => all.clone(),
        list => list.split(',').map(|name| name.trim().to_string()).collect(),
    };
    let one = |name: &String| match Kind::ALL.iter().find(|(_, own)| own == name) {
        Some((kind, _)) => Ok(Wanted::Own(*kind, plans.get(name).cloned())),
        None => match plans.get(name) {
            Some(plan) => Ok(Wanted::Plan(name.clone(), plan.clone())),
            None => Err(Failure::Usage(format!("there is no policy `{name}`: there are {}", all.join(", ")))),
        },
    };
    asked.iter().map(one).collect()
}

/// Files of jobs, and those of the same jobs as somebody sets them up by hand.
#[derive(Clone, Copy)]
struct Setup<'a> {
    sources: &'a [Filled],
    files: &'a [&'a PathBuf],
    names: &'a [&'a str],
    hand_sources: &'a [Filled],
    hands: &'a [&'a PathBuf],
}

/// The jobs as they are set up by hand, in the order of the jobs.
fn set_up<'a>(
    setup: Setup<'a>,
    rates: &BTreeMap<String, Decimal>,
    machines: &'a Machines,
) -> Result<Vec<Member<'a>>, Failure> {
    let Setup { sources, files, names, hand_sources, hands } = setup;
    let set_up = chosen(hand_sources, hands, None)?;
    let hand_names: Vec<&'a str> = set_up.iter().map(|job| job.name.as_str()).collect();
    if let Some(name) = hand_names.iter().find(|name| !names.contains(name)) {
        return Err(Failure::Usage(format!("`--by-hand` sets up `{name}`, which is not among the jobs")));
    }
    let mut own =
        members(hand_sources, hands, &hand_names, rates, machines, (Say::All(Format::Text), None), &Job::clone)?;
    // Who sets a job up without a planner takes what answers best.
    let best = |job: &Job| {
        let wish = |metric| Wish { metric, span: job.span };
        Job { wishes: vec![wish(Metric::Quality), wish(Metric::Cost)], ..job.clone() }
    };
    let mut all = Vec::new();
    for (at, name) in names.iter().enumerate() {
        match own.iter().position(|member| member.prepared.job.name == *name) {
            Some(place) => all.push(own.swap_remove(place)),
            None => all.extend(members(
                &sources[at..=at],
                &files[at..=at],
                &names[at..=at],
                rates,
                machines,
                (Say::Errors, None),
                &best,
            )?),
        }
    }
    Ok(all)
}
