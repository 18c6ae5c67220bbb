//! The lock file as people handle it: taking another of its fills, and checking all of them.

use super::{LockCommand, read_lock, said, write_lock};
use crate::cli::args::Source;
use crate::cli::here::machines_of;
use crate::cli::load::{load, lock_path, show};
use crate::cli::plan::usable_on;
use crate::cli::{Failure, print};
use crate::compile::predict::{Filling, best};
use crate::compile::{Checked, check_file, fill};
use crate::diag::Diagnostics;
use crate::expand::lock::{Entry, Lock};
use crate::expand::rank::Predicted;
use crate::space::sizes::InputSizes;
use std::path::Path;

/// Takes the N-th fill of a hole; those before and behind it stay in the lock as refused ones.
pub fn accept(source: &Source, path: &Path, n: usize, hole: Option<&str>) -> Result<(), Failure> {
    let (texts, file) = load(source)?;
    let mut lock = read_lock(path)?;
    let names: Vec<String> = lock.holes.iter().map(|e| format!("{}.{}", e.job, e.hole)).collect();
    let place = match (hole, names.as_slice()) {
        (_, []) => return Err(format!("`{}` holds no fill: run `mkbc expand` first", path.display()).into()),
        (Some(hole), names) => names.iter().position(|name| name == hole),
        (None, [_]) => Some(0),
        (None, _) => None,
    };
    let Some(entry) = place.and_then(|place| lock.holes.get_mut(place)) else {
        return Err(Failure::Usage(format!("choose one of {} with `--hole`", names.join(", "))));
    };
    let checked = check_file(&texts, file, &mut Diagnostics::default());
    entry.accept(n, &checked.library).map_err(Failure::Usage)?;
    let text = lock.write().map_err(Failure::Message)?;
    // A fill that does not check never reaches the lock.
    check(source, &lock)?;
    write_lock(path, &text)?;
    super::list(&lock);
    print(&format!("kept in {}\n", path.display()));
    Ok(())
}

/// `mkbc lock`
pub fn lock(what: &LockCommand) -> Result<(), Failure> {
    let LockCommand::Verify(options) = what;
    let path = lock_path(&options.source.file);
    if !path.exists() {
        if holes(&options.source)?.is_empty() {
            print("no holes: nothing to verify\n");
            return Ok(());
        }
        return Err(format!("there is no lock file `{}`: run `mkbc expand`", path.display()).into());
    }
    let lock = read_lock(&path)?;
    let (holes, changed) = check_today(&options.source, &lock)?;
    let unknown: Vec<&Entry> =
        lock.holes.iter().filter(|e| !holes.contains(&(e.job.clone(), e.hole.clone()))).collect();
    if let Some(entry) = unknown.first() {
        let Entry { job, hole, .. } = entry;
        return Err(format!(
            "`{}` holds a fill for `{job}.{hole}`, which is no hole of the job: run `mkbc expand --refresh`",
            path.display()
        )
        .into());
    }
    let today = if lock.write().is_ok_and(|text| std::fs::read_to_string(&path).is_ok_and(|now| now == text)) {
        ""
    } else {
        "; it was edited by hand, and reads the same"
    };
    print(&format!("{}: every fill is current and checks against the library{today}\n", path.display()));
    changed.iter().for_each(|line| print(&format!("  {line}\n")));
    Ok(())
}

/// Checks all fills, and that there is still a plan with them where there was one: what it would cost today, where that has changed.
fn check_today(source: &Source, lock: &Lock) -> Result<(Holes, Vec<String>), Failure> {
    let holes = check(source, lock)?;
    let (mut texts, file) = load(source)?;
    let mut cx = Diagnostics::default();
    let checked = check_file(&texts, file, &mut cx);
    let Some((checked, _)) = fill(&mut texts, checked, lock, true, &mut cx) else { return Ok((holes, Vec::new())) };
    let mut changed = Vec::new();
    for entry in &lock.holes {
        let Some(then) = &entry.predicted else { continue };
        let Some(job) = checked.program.jobs.iter().find(|j| j.name == entry.job) else { continue };
        let machines = machines_of(&then.on, source, &checked.library)?;
        let (usable, measured) = (&usable_on(&machines), &InputSizes::new());
        let (machines, checked, stop) = (&machines, &checked, None);
        let filled = Filling { file, checked, lock, job, machines, usable, measured, stop };
        let name = format!("{}.{}", entry.job, entry.hole);
        match best(&texts, &filled) {
            Predicted::Plan(_, now) if now == *then => {}
            Predicted::Plan(_, now) => {
                changed.push(format!("{name}: {then} when it was filled, {now} today, on `{}`", then.on));
            }
            Predicted::NoPlan(why) => {
                let what = format!(
                    "{name}: there was a plan on `{}` when it was filled, and there is none today: {why}",
                    then.on
                );
                return Err(format!("{what}\n  help: `mkbc expand --refresh` looks for another fill").into());
            }
            Predicted::Unknown => {}
        }
    }
    Ok((holes, changed))
}

/// Holes by job and name.
type Holes = Vec<(String, String)>;

/// The holes of a file that checks.
fn holes(source: &Source) -> Result<Holes, Failure> {
    let (texts, file) = load(source)?;
    let mut cx = Diagnostics::default();
    let checked = check_file(&texts, file, &mut cx);
    if cx.has_errors() { said(&cx, &texts, source.format) } else { Ok(holes_of(&checked)) }
}

fn holes_of(checked: &Checked) -> Holes {
    let jobs = checked.program.jobs.iter();
    jobs.flat_map(|j| j.holes.iter().map(|h| (j.name.to_string(), h.name.to_string()))).collect()
}

/// Checks that a lock fills every hole of a file, with fills that check; the holes that it has.
fn check(source: &Source, lock: &Lock) -> Result<Holes, Failure> {
    let (mut texts, file) = load(source)?;
    let mut cx = Diagnostics::default();
    let checked = check_file(&texts, file, &mut cx);
    if cx.has_errors() {
        return said(&cx, &texts, source.format);
    }
    let holes = holes_of(&checked);
    let done = fill(&mut texts, checked, lock, true, &mut cx);
    show(&cx, &texts, source.format);
    if done.is_some() { Ok(holes) } else { Err(Failure::Said) }
}
