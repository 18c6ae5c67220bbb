//! `mkbc plan`, and the way from options to a verified plan for `run`.

use super::args::{EvidenceOptions, Format, Least, PlanOptions, Planning, Source};
use super::expand::{Filled, Open, filled_after};
use super::export::{self, Decided};
use super::here::{HERE, machines_of, usable_here};
use super::inputs::{Inputs, about, known, missing};
use super::judge::apart;
use super::load::{read, show, show_with, time_limit, write};
use super::{Failure, note, print, proof, width};
use crate::ask::Asked;
use crate::ask::figures::used;
use crate::ask::prices::price;
use crate::ask::question::{self, Unread};
use crate::ask::render::{exact, first_measurement};
use crate::ask::sensitivity::{Work, measure};
use crate::check::program::{Job, Program};
use crate::check::select;
use crate::compile::{self, Compiled, Decision, Offer, Prepared, Seen, Target, Texts, anywhere, offers};
use crate::diag::Diagnostics;
use crate::library::Implementation;
use crate::library::evidence::{Demand, EvidenceKind};
use crate::plan::diff::diff;
use crate::plan::model::Plan;
use crate::plan::render;
use crate::run::{block_on, pins, probe, value};
use crate::solve::judge::Judge;
use crate::solve::{Certify, Limits};
use crate::space::Machines;
use crate::space::ends::End;
use crate::space::sizes::InputSizes;
use crate::types::Type;
use crate::units::counted;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Milliseconds that one call of z3 may take.
const Z3_MS: u32 = 2_000;

/// A plan, with the inputs that were given for it.
pub struct Planned {
    pub plan: Plan,
    pub offers: Vec<Offer>,
    pub inputs: BTreeMap<String, Value>,
    /// Which measurement is worth most, in a line, where that was asked for.
    pub measure: Option<String>,
}

/// What is asked of a plan beside the plan.
#[derive(Clone, Copy, Default)]
pub struct Extras<'a> {
    /// What each limit costs.
    pub prices: bool,
    /// Which measurement is worth most.
    pub measure: bool,
    /// Where a proof that nothing is better, or that there is no plan, is to be written.
    pub proof: Option<&'a Path>,
    /// Lines of the language that count as if the job said them.
    pub slo: &'a [String],
    /// What becomes of holes that the lock file has no fill for, where `--locked` does not say it.
    pub open: Open,
    /// Whether every input must be given, which is then said before anything else is done.
    pub whole: bool,
}

/// Nodes that each of these may take, and re-solves that finding a measurement may.
const EXTRA_NODES: u64 = 50_000;
const EXTRA_SOLVES: usize = 1_000;

/// Plans a job and shows the plan.
pub fn plan(options: &PlanOptions, inputs: &Inputs) -> Result<(), Failure> {
    let inputs = &inputs.with(options.inputs.as_deref())?;
    let fleet = &options.fleet;
    if !fleet.more.is_empty() || fleet.load.is_some() || fleet.from.is_some() {
        if !options.slo.is_empty() {
            return Err(Failure::Usage("`--slo` is for one job: write the line in the job's file".to_string()));
        }
        return super::fleet::plan(options, inputs);
    }
    if let Some(out) = &options.out {
        super::load::writable(out)?;
    }
    if let Some(path) = &options.proof {
        super::load::writable(path)?;
    }
    let outputs: Vec<_> = [&options.out, &options.proof, &options.export].into_iter().flatten().collect();
    if let Some((_, path)) = outputs.iter().enumerate().find(|(at, path)| outputs[..*at].contains(path)) {
        return Err(Failure::Usage(format!("`{}` is given for two outputs", path.display())));
    }
    if let Some(path) = &options.export {
        export::known(path)?;
    }
    let mut decided = None;
    let mut see = |seen: Seen| {
        let (problem, solution) = seen.problem();
        decided = Some(Decided { problem: problem.clone(), solution: solution.cloned() });
    };
    let proof = options.proof.as_deref();
    let (prices, measure, slo) = (!options.no_prices, options.planning.robust, options.slo.as_slice());
    let extras = Extras { prices, measure, proof, slo, open: Open::Written, whole: false };
    let made = make_seen(&options.planning, inputs, None, extras, &mut see);
    if let Some(decided) = &decided {
        hand_on(options, decided)?;
    }
    let mut planned = made?;
    if options.pin {
        let (folders, env) = (super::run::folders(&options.planning.source), |name: &str| std::env::var(name).ok());
        planned.plan.programs = pins::pinned(&planned.plan, &folders, &env)?;
    }
    let json = serde_json::to_string_pretty(&planned.plan).map_err(|e| e.to_string())?;
    if options.json {
        print(&format!("{json}\n"));
    } else {
        print(&render::text(&planned.plan, width()));
        print(planned.measure.as_deref().unwrap_or_default());
        if options.choices {
            print(&choices(&planned.offers));
        }
    }
    if let Some(out) = &options.out {
        let old = read_plan(out).ok();
        write(out, &format!("{json}\n"))?;
        if !options.json {
            if let Some(old) = old {
                let lines = diff(&old, &planned.plan);
                let what = if lines.is_empty() { "nothing".to_string() } else { format!("\n  {}", lines.join("\n  ")) };
                print(&format!("changed since the last plan: {what}\n"));
            }
            print(&format!("written to {}\n", out.display()));
        }
    }
    Ok(())
}

/// Writes the problem for other solvers and asks one, as far as the options say so.
fn hand_on(options: &PlanOptions, decided: &Decided) -> Result<(), Failure> {
    if let Some(path) = &options.export {
        let name = options.planning.source.file.file_stem().map_or("job".into(), |stem| stem.to_string_lossy());
        let files = export::export(&name, decided, path)?;
        files.iter().for_each(|file| note(&format!("the problem is written to {}", file.display())));
    }
    if options.cross_check { export::cross_check(decided, options.planning.time_limit) } else { Ok(()) }
}

/// What each step could choose from, and what was left out.
fn choices(offers: &[Offer]) -> String {
    let mut out = String::from("\nchoices\n");
    for offer in offers {
        out.push_str(&format!(
            "  {}: {}, {} under upstream choices\n",
            offer.step,
            counted(offer.candidates, "candidate"),
            counted(offer.options, "option")
        ));
        for (name, why) in &offer.excluded {
            out.push_str(&format!("    without {name}: {why}\n"));
        }
    }
    out
}

/// Reads a plan file.
pub fn read_plan(path: &Path) -> Result<Plan, Failure> {
    let text = read(path)?;
    if path.extension().is_some_and(|ending| ending == "mkb") {
        let shown = path.display();
        return Err(format!(
            "`{shown}` is a job, and no plan\n  help: `mkbc plan {shown} -o plan.json` writes its plan"
        )
        .into());
    }
    serde_json::from_str(&text).map_err(|e| {
        format!("`{}` is no plan that this mkbc can read: {e}; compile the job again", path.display()).into()
    })
}

/// Plans a job, and does something with the plan while all that it was made from is there; `cluster` overrides what the job says.
pub fn make_and<T>(
    options: &Planning,
    inputs: &Inputs,
    cluster: Option<&str>,
    extras: Extras<'_>,
    mut then: impl FnMut(Planned, &Prepared, &Decision) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let mut done = None;
    let mut run = |planned: Planned, prepared: &Prepared, decision: &Decision| {
        done = Some(then(planned, prepared, decision));
    };
    made(options, inputs, cluster, extras, &mut |_| {}, &mut run)?;
    done.unwrap_or(Err(Failure::Said))
}

/// What is shown what the solver came to.
type See<'a> = &'a mut dyn FnMut(Seen);

/// What is done with a plan.
type Then<'a> = &'a mut dyn FnMut(Planned, &Prepared, &Decision);

fn make_seen(
    options: &Planning,
    inputs: &Inputs,
    cluster: Option<&str>,
    extras: Extras<'_>,
    see: See,
) -> Result<Planned, Failure> {
    let mut planned = None;
    made(options, inputs, cluster, extras, see, &mut |made, _, _| planned = Some(made))?;
    planned.ok_or(Failure::Said)
}

fn made(
    options: &Planning,
    inputs: &Inputs,
    cluster: Option<&str>,
    extras: Extras<'_>,
    see: See,
    then: Then,
) -> Result<(), Failure> {
    // z3's process takes some milliseconds to wake up; it can do so while the file is read.
    let waking = std::thread::spawn(|| apart().map(Judge::warm_up));
    let open = if options.locked { Open::Refused } else { extras.open };
    let whole = |program: &Program| match select(program, options.job.as_deref()) {
        Ok(job) if extras.whole => lacking(job, inputs),
        _ => Ok(()),
    };
    let mut filled = filled_after(&options.source, open, &whole)?;
    Arc::make_mut(&mut filled.checked.library).demand = demand(options.evidence);
    change(options, extras.slo, &mut filled)?;
    with_filled(options, inputs, cluster, extras, &mut filled, (see, then), waking)
}

/// Refuses inputs that a job does not have, and the lack of one that it needs.
fn lacking(job: &Job, inputs: &Inputs) -> Result<(), Failure> {
    let params: Vec<(&str, &Type)> =
        job.params.iter().map(|p| job.local(*p)).map(|l| (l.name.as_str(), &l.ty)).collect();
    let names: Vec<&str> = params.iter().map(|(name, _)| *name).collect();
    known(inputs, &names)?;
    missing(params.into_iter(), &|name| inputs.has(name))
}

/// Changes the job that is planned by lines of the language.
pub fn change(options: &Planning, lines: &[String], filled: &mut Filled) -> Result<(), Failure> {
    if lines.is_empty() {
        return Ok(());
    }
    let name = select(&filled.checked.program, options.job.as_deref()).map_err(Failure::Usage)?.name.clone();
    change_job(&options.source, &name, lines, filled)
}

/// Changes a job of a file by lines of the language.
pub fn change_job(source: &Source, name: &str, lines: &[String], filled: &mut Filled) -> Result<(), Failure> {
    let Filled { texts, checked, cx, .. } = filled;
    let Some(job) = checked.program.jobs.iter_mut().find(|job| job.name == name) else { return Ok(()) };
    for line in lines {
        match question::change(render::SLO, line, job, &checked.library, &mut texts.sources, cx) {
            Ok(_) => {}
            Err(Unread::Because(why)) => return Err(Failure::Usage(why)),
            Err(Unread::Said) => {
                tell(source, cx, texts, true);
                return Err(Failure::Misused);
            }
        }
    }
    Ok(())
}

/// Shows what there is to say of a file before anything is done with its plan.
fn tell(source: &Source, cx: &Diagnostics, texts: &Texts, failed: bool) {
    if source.format == Format::Text || failed {
        show(cx, texts, source.format);
    } else if cx.iter().next().is_some() {
        // Standard output is the plan's.
        let _ = writeln!(std::io::stderr(), "{:#}", crate::diag::render::json(cx, &texts.sources));
    }
}

fn with_filled(
    options: &Planning,
    inputs: &Inputs,
    cluster: Option<&str>,
    extras: Extras<'_>,
    filled: &mut Filled,
    (see, then): (See, Then),
    waking: std::thread::JoinHandle<Option<()>>,
) -> Result<(), Failure> {
    let terms = match terms(options, inputs, cluster, filled) {
        Ok(terms) => terms,
        Err(why) => {
            let _ = waking.join();
            return Err(show_with(why, &mut filled.cx, filled.file, &filled.texts, options.source.format));
        }
    };
    let compile::Checked { tree, program, .. } = &filled.checked;
    crate::check::about(tree, program, &terms.job, &mut filled.cx);
    let started = Instant::now();
    let out_of_time = move || started.elapsed() >= terms.limit;
    let target = terms.target(&out_of_time);
    let compiled =
        Compiled { texts: &filled.texts, file: filled.file, checked: &filled.checked, lock: filled.lock.as_deref() };
    let mut stored = Ok(());
    let mut seen = |prepared: &Prepared, seen: Seen| {
        see(seen);
        if let Some(path) = extras.proof {
            stored = proof::store(prepared, seen, &terms.measured, &target.limits, path);
        }
    };
    let made = compile::plan_seen(compiled, &target, &mut filled.cx, &mut seen);
    let _ = waking.join();
    let (prepared, decision) = match (made, stored) {
        (Ok(made), Ok(())) => {
            tell(&options.source, &filled.cx, &filled.texts, false);
            made
        }
        (Err(_), stored) if filled.cx.has_errors() => {
            tell(&options.source, &filled.cx, &filled.texts, true);
            // The clash is the news; that its proof could not be written comes beside it.
            if let Err(Failure::Message(why)) = stored {
                note(&why);
            }
            return Err(Failure::Said);
        }
        (made, stored) => {
            let why = made.err().map(Failure::Message).or(stored.err()).unwrap_or(Failure::Said);
            return Err(show_with(why, &mut filled.cx, filled.file, &filled.texts, options.source.format));
        }
    };
    let limits = Limits { nodes: EXTRA_NODES, certify: Certify::Off, ..target.limits };
    let mut plan = decision.plan.clone();
    plan.beside = extras.slo.to_vec();
    if extras.prices {
        price(&Asked::of(&prepared, &decision, limits), &mut plan);
    }
    let measure = extras.measure.then(|| {
        let asked = Asked::of(&prepared, &decision, limits);
        let figures = used(&asked);
        let (list, cut) = measure(&asked, &figures, &Work::of(EXTRA_SOLVES));
        let wish = plan.wishes.first().and_then(|w| w.text.split_once(' ')).map_or("cost", |(_, metric)| metric);
        exact(&figures) + &first_measurement(&list, wish, cut)
    });
    let offers = offers(&prepared.workflow, &prepared.space);
    then(Planned { plan, offers, inputs: terms.values.clone(), measure }, &prepared, &decision);
    Ok(())
}

/// What figures must rest on.
pub fn demand(options: EvidenceOptions) -> Demand {
    let least = match options.evidence.unwrap_or(Least::Estimated) {
        Least::Estimated => EvidenceKind::Estimated,
        Least::Published => EvidenceKind::Published,
        Least::Measured => EvidenceKind::Measured,
    };
    Demand { least, beyond: !options.strict_evidence, mixed: options.any_reporter }
}

/// What the command line says a job is planned for.
pub struct Terms {
    /// The job.
    pub job: Job,
    /// The values of its inputs.
    pub values: BTreeMap<String, Value>,
    /// Their sizes.
    pub measured: InputSizes,
    /// The machines.
    pub machines: Machines,
    /// How long to look.
    pub limit: Duration,
    /// Where in their intervals figures are taken.
    pub end: End,
    usable: fn(&Implementation) -> Result<(), String>,
}

/// Settles what a job is planned for; `cluster` overrides what the job says.
pub fn terms(options: &Planning, inputs: &Inputs, cluster: Option<&str>, filled: &Filled) -> Result<Terms, Failure> {
    let program = &filled.checked.program;
    if program.jobs.is_empty() {
        return Err(Failure::Message(format!("`{}` has no job", options.source.file.display())));
    }
    let job = select(program, options.job.as_deref()).map_err(Failure::Usage)?;
    let params = job.params.iter().map(|p| job.local(*p)).map(|l| (l.name.as_str(), &l.ty));
    let (values, measured) = given(params, inputs)?;
    let cluster = options.cluster.as_deref().or(cluster).or(job.cluster.as_ref().map(|(name, _)| name.as_str()));
    let machines = machines_of(cluster.unwrap_or(HERE), &options.source, &filled.checked.library)?;
    let limit = time_limit(options.time_limit)?;
    let end = if options.robust { End::Worst } else { End::Typical };
    let usable = usable_on(&machines);
    Ok(Terms { job: job.clone(), values, measured, machines, limit, end, usable })
}

/// What can be used on machines: anything on a cluster, what is installed on this one.
pub fn usable_on(machines: &Machines) -> fn(&Implementation) -> Result<(), String> {
    if machines.name == HERE { usable_here } else { anywhere }
}

impl Terms {
    /// The same for the solver.
    pub fn target<'a>(&'a self, out_of_time: &'a (dyn Fn() -> bool + Sync)) -> Target<'a> {
        let limits = Limits {
            nodes: 2_000_000,
            out_of_time: Some(out_of_time),
            z3_ms: Z3_MS,
            certify: Certify::Core,
            judge: apart(),
        };
        let Terms { job, machines, measured, usable, end, .. } = self;
        Target { job: Some(&job.name), machines, measured, usable, limits, end: *end }
    }

    /// Takes machines, sizes and ends from a plan.
    pub fn of_plan(&mut self, plan: &Plan) {
        (self.machines, self.measured, self.usable, self.end) = of_plan(plan);
    }
}

/// What says whether an implementation can be used.
type Usability = fn(&Implementation) -> Result<(), String>;

/// The machines, sizes and ends that a plan was made for, and what can be used there.
pub fn of_plan(plan: &Plan) -> (Machines, InputSizes, Usability, End) {
    let pools = plan.cluster.pools.iter().map(|(n, p)| (n.as_str().into(), (p.units, p.usd_per_hour)));
    let machines = Machines { name: plan.cluster.name.as_str().into(), pools: pools.collect() };
    let usable = usable_on(&machines);
    let end = if plan.robust { End::Worst } else { End::Typical };
    let sizes = plan.inputs.iter().map(|i| {
        let sizes = i.sizes.iter().map(|(path, size)| (path.as_str().into(), *size)).collect();
        (i.name.as_str().into(), sizes)
    });
    (machines, sizes.collect(), usable, end)
}

/// The inputs that were given, typed and measured.
pub fn given<'a>(
    params: impl Iterator<Item = (&'a str, &'a Type)>,
    inputs: &Inputs,
) -> Result<(BTreeMap<String, Value>, InputSizes), Failure> {
    let params: Vec<(&str, &Type)> = params.collect();
    let names: Vec<&str> = params.iter().map(|(name, _)| *name).collect();
    known(inputs, &names)?;
    let (mut values, mut measured) = (BTreeMap::new(), InputSizes::new());
    let env = |name: &str| std::env::var(name).ok();
    for (name, ty) in params {
        let Some(mut value) = inputs.value(name, ty)? else { continue };
        let measured_all = block_on(probe::measure(&mut value, ty, &env)).map_err(|e| e.to_string())?;
        measured_all.map_err(|fault| about(&format!("`--{name}`"), &fault))?;
        measured.insert(name.into(), value::planned_sizes(&value, ty));
        values.insert(name.to_string(), value);
    }
    Ok((values, measured))
}
