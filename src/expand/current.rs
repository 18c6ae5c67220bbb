//! Hole, library and an entry of the lock file → whether the entry is about the hole as it is, and calls tasks that do what they did.

use super::lock::Entry;
use crate::check::program::{Hole, Job};
use crate::diag::Diagnostics;
use crate::diag::source::FileId;
use crate::digest::digest;
use crate::library::{Library, Task};
use crate::syntax::token::{Token, lex};
use ecow::EcoString;
use std::collections::BTreeMap;

/// How much of a digest tells tasks apart.
const TELLING: usize = 16;

/// What makes an entry stale.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The hole's type, goal or scope is another.
    Hole,
    /// A task that the fill calls takes, gives or is told something else.
    Task(String),
    /// A task that the fill calls is gone.
    Gone(String),
}

impl std::fmt::Display for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Change::Hole => f.write_str("this hole has changed since it was filled"),
            Change::Task(task) => write!(f, "`{task}`, which the fill calls, has changed since"),
            Change::Gone(task) => write!(f, "`{task}`, which the fill calls, is gone"),
        }
    }
}

/// What has changed since an entry was made, if anything that it depends on has.
pub fn change(entry: &Entry, hole: &Hole, job: &Job, library: &Library) -> Option<Change> {
    if entry.signature != signature(hole, job) {
        return Some(Change::Hole);
    }
    let changed = |(name, then): (&String, &String)| match library.tasks.get(name.as_str()) {
        None => Some(Change::Gone(name.clone())),
        Some(task) if declared(task) != *then => Some(Change::Task(name.clone())),
        Some(_) => None,
    };
    entry.calls.iter().find_map(changed)
}

/// The digest of what a fill depends on: the hole's type, goal and scope.
pub fn signature(hole: &Hole, job: &Job) -> String {
    let scope: Vec<String> =
        hole.scope.iter().map(|id| job.local(*id)).map(|l| format!("{}: {}", l.name, l.ty)).collect();
    digest([hole.ty.to_string().as_str(), hole.goal.as_str(), scope.join(", ").as_str()])
}

/// The tasks that a fill names, each with the digest of what it is declared to do.
pub fn calls(fill: &str, library: &Library) -> BTreeMap<String, String> {
    // What is no source is refused where the fill is checked.
    let lexed = lex(fill, FileId(0), &mut Diagnostics::default());
    let names = lexed.tokens.iter().filter(|(_, token, _)| *token == Token::Ident);
    let tasks = names.filter_map(|(start, _, end)| library.tasks.get(fill.get(*start as usize..*end as usize)?));
    tasks.map(|task| (task.name.to_string(), declared(task))).collect()
}

/// What a task takes, gives and is told; where nothing is told, what it says of itself.
fn declared(task: &Task) -> String {
    let params: Vec<EcoString> = task.params.iter().map(|(name, ty)| ecow::eco_format!("{name}: {ty}")).collect();
    let places: Vec<EcoString> =
        task.places.iter().map(|(name, place)| ecow::eco_format!("{name} {place:?}")).collect();
    let told = if task.prompt.is_empty() { &task.docs } else { &task.prompt };
    let gives = format!("{} {}", task.result, if task.gives_code { "code" } else { "" });
    let mut all = digest([&*params.join(", "), &*gives, &*places.join(", "), told, &task.system]);
    all.truncate(TELLING);
    all
}
