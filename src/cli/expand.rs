//! `mkbc expand` and `mkbc lock`, and the lock file for the commands that need it.

pub mod candidates;
mod ledger;
pub mod meaning;
mod options;
pub mod planner;

pub use candidates::About;
pub use ledger::lock;
pub use options::{ExpandOptions, LockCommand, PlannerOptions};

use super::args::{Format, Source};
use super::inputs::Inputs;
use super::load::{folder_of, load, lock_path, read, show, table, traced, write};
use super::plan::given;
use super::{Failure, note, print};
use crate::check::program::Program;
use crate::compile::{Base, Checked, Texts, check_file, fill};
use crate::diag::Diagnostics;
use crate::diag::source::FileId;
use crate::expand::lock::{Entry, Lock};
use std::cell::RefCell;
use std::path::Path;

/// A file whose holes are filled.
pub struct Filled {
    pub texts: Texts,
    pub file: FileId,
    pub checked: Checked,
    /// The lock's text, where there are holes.
    pub lock: Option<String>,
    /// What has been said so far.
    pub cx: Diagnostics,
}

/// What becomes of holes that the lock file has no fill for.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub enum Open {
    /// They are filled, and the lock file is written at once, so that people see what was filled.
    #[default]
    Written,
    /// They are filled, and nothing is written.
    InMemory,
    /// They are an error.
    Refused,
}

impl Open {
    /// As `--locked` says.
    pub fn unless(locked: bool) -> Open {
        if locked { Open::Refused } else { Open::Written }
    }
}

/// Fills the holes of a file and writes the lock file.
pub fn expand(options: &ExpandOptions) -> Result<(), Failure> {
    let path = lock_path(&options.source.file);
    if let Some(n) = options.accept {
        return ledger::accept(&options.source, &path, n, options.hole.as_deref());
    }
    if options.hole.is_some() && !options.refresh && !options.diff {
        return Err(Failure::Usage("`--hole` says what `--accept`, `--refresh` or `--diff` is about".into()));
    }
    if !options.locked {
        return candidates::expand(options, &path, &About::default());
    }
    let filled = filled(&options.source, Open::Refused)?;
    show(&filled.cx, &filled.texts, options.source.format);
    let Some(lock) = &filled.lock else {
        print("no holes: nothing to fill\n");
        return Ok(());
    };
    let lock = Lock::read(lock).map_err(Failure::Message)?;
    list(&lock);
    print(&format!("all of them are in {}\n", path.display()));
    Ok(())
}

/// Fills the holes of a file for inputs that are given, so that the limits choose by their sizes, and writes the lock file.
pub fn expand_for(options: &ExpandOptions, inputs: &Inputs, about: About<'_>) -> Result<(), Failure> {
    let (texts, file) = load(&options.source)?;
    let mut cx = Diagnostics::default();
    let checked = check_file(&texts, file, &mut cx);
    let Some(job) = checked.program.jobs.first().filter(|_| !cx.has_errors()) else {
        return said(&cx, &texts, options.source.format);
    };
    let params = job.params.iter().map(|p| job.local(*p)).map(|l| (l.name.as_str(), &l.ty));
    let (_, measured) = given(params, inputs)?;
    candidates::expand(options, &lock_path(&options.source.file), &About { measured, ..about })
}

/// Shows fills, each with the others that its hole could have.
fn list(lock: &Lock) {
    for entry in &lock.holes {
        let Entry { job, hole, wants, filled_by, because, .. } = entry;
        let number = if entry.number > 1 { format!(", fill {}", entry.number) } else { String::new() };
        print(&format!("{job}.{hole}: {wants} by {filled_by}{number} ({because})\n"));
        entry.fill.lines().for_each(|line| print(&format!("    {line}\n")));
        for (n, other) in entry.choices().filter(|(n, _)| !entry.takes(*n)) {
            print(&format!("  {n}: {}\n", other.because));
            other.fill.iter().flat_map(|f| f.lines()).for_each(|line| print(&format!("      {line}\n")));
        }
    }
}

/// Loads and checks a file and fills its holes.
pub fn filled(source: &Source, open: Open) -> Result<Filled, Failure> {
    filled_after(source, open, &|_| Ok(()))
}

/// The same; before a hole is filled, the jobs that check are looked at.
pub fn filled_after(
    source: &Source,
    open: Open,
    look: &dyn Fn(&Program) -> Result<(), Failure>,
) -> Result<Filled, Failure> {
    let (texts, file) = load(source)?;
    let mut cx = Diagnostics::default();
    let checked = check_file(&texts, file, &mut cx);
    if !cx.has_errors() {
        look(&checked.program)?;
    }
    fill_checked(source, (texts, file, checked), cx, open)
}

/// The same for one of many files, which share the texts and the library of a base.
pub fn filled_on(base: &Base, source: &Source, open: Open) -> Result<Filled, Failure> {
    let (mut cx, text) = (Diagnostics::default(), read(&source.file)?);
    let unread = RefCell::new(None);
    let beside = |name: &str| {
        table(&source.file, name).unwrap_or_else(|why| {
            unread.replace(Some(why));
            None
        })
    };
    let load = |name: &str| traced(&source.file, name);
    let checked = base.apart((&source.file.display().to_string(), text), (&beside, &load), &mut cx);
    if let Some(why) = unread.into_inner() {
        return Err(why);
    }
    fill_checked(source, checked, cx, open)
}

fn fill_checked(
    source: &Source,
    checked: (Texts, FileId, Checked),
    cx: Diagnostics,
    open: Open,
) -> Result<Filled, Failure> {
    match filled_or(source, checked, cx, open)? {
        Ok(filled) => Ok(filled),
        Err((cx, texts)) => said(&cx, &texts, source.format),
    }
}

/// Fills the holes of a file that was checked; where that or this found errors, they are for the caller to show.
pub fn filled_or(
    source: &Source,
    (mut texts, file, checked): (Texts, FileId, Checked),
    mut cx: Diagnostics,
    open: Open,
) -> Result<Result<Filled, (Diagnostics, Texts)>, Failure> {
    if cx.has_errors() {
        return Ok(Err((cx, texts)));
    }
    let path = lock_path(&source.file);
    let old = read_lock(&path)?;
    let before = std::fs::read_to_string(&path).ok();
    match fill(&mut texts, checked, &old, open == Open::Refused, &mut cx) {
        None => Ok(Err((cx, texts))),
        Some((checked, lock)) if lock.holes.is_empty() => Ok(Ok(Filled { texts, file, checked, lock: None, cx })),
        Some((checked, lock)) => {
            let text = lock.write().map_err(Failure::Message)?;
            if before.as_deref() != Some(text.as_str()) && open == Open::Written {
                write_lock(&path, &text)?;
                if source.format == Format::Text {
                    let new = lock.holes.iter().filter(|e| !old.holes.contains(e)).count();
                    let what = if new == 1 { "1 hole".to_string() } else { format!("{new} holes") };
                    note(&format!("filled {what} by typed search; review `{}`", path.display()));
                }
            }
            Ok(Ok(Filled { texts, file, checked, lock: Some(text), cx }))
        }
    }
}

/// Writes the lock file beside a job.
fn write_lock(path: &Path, text: &str) -> Result<(), Failure> {
    write(path, text).map_err(|why| {
        let folder = folder_of(path).display();
        let help =
            format!("fills are kept beside the job: make `{folder}` writable, or copy the job to a folder that is");
        Failure::Message(format!("the fills of holes cannot be kept: {why}\n  help: {help}"))
    })
}

fn said<T>(cx: &Diagnostics, texts: &Texts, format: Format) -> Result<T, Failure> {
    show(cx, texts, format);
    Err(Failure::Said)
}

fn read_lock(path: &Path) -> Result<Lock, Failure> {
    if !path.exists() {
        return Ok(Lock::default());
    }
    let text = read(path)?;
    Lock::read(&text).map_err(|why| {
        format!("cannot read the lock file `{}`: {why}; mend it, or remove it and run `mkbc expand`", path.display())
            .into()
    })
}
