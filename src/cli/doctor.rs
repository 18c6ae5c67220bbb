//! `mkbc doctor`: what this machine lacks, and what cannot be carried out for it.

use super::devices::gpus;
use super::here::{known, usable_here};
use super::load::{library as load_library, show};
use super::{Failure, print};
use crate::compile::check_tree;
use crate::diag::Diagnostics;
use crate::library::Library;
use crate::plan::engine::key_env;
use crate::run::devices::{Gpus, Inventory, inventory};
use crate::run::engines::sandbox;
use crate::run::engines::worker::{WORKERS, program};
use crate::syntax::ast::File;
use crate::units::counted;
use clap::Args;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::args::Format;

#[derive(Args)]
pub struct DoctorOptions {
    /// A folder to add to the library (repeatable)
    #[arg(long, value_name = "DIR")]
    pub library: Vec<PathBuf>,
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

/// What was looked at, and how it is.
#[derive(Serialize)]
struct Finding {
    what: &'static str,
    state: State,
    says: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    /// As it should be.
    Good,
    /// Something is not there; the rest works.
    Absent,
    /// mkbc cannot work like this.
    Bad,
}

/// Looks at everything that plans and runs need here.
pub fn doctor(options: &DoctorOptions) -> Result<(), Failure> {
    let texts = load_library(&options.library)?;
    let mut cx = Diagnostics::default();
    let library = check_tree(&texts, File::default(), &mut cx).library;
    if cx.has_errors() {
        show(&cx, &texts, Format::Text);
        return Err(Failure::Said);
    }
    let mut findings = machine(&inventory(), &library);
    findings.push(Finding {
        what: "solver",
        state: State::Good,
        says: format!("z3 {}", z3::full_version()),
        help: None,
    });
    findings.push(tests_of_code());
    findings.extend(local_models());
    findings.push(folder());
    findings.extend(keys(&library));
    findings.extend(tools(&library));
    findings.extend(tasks(&library));
    if options.json {
        let json = serde_json::to_value(&findings).map_err(|e| e.to_string())?;
        print(&format!("{json:#}\n"));
    } else {
        print(&findings.iter().map(line).collect::<String>());
    }
    if findings.iter().any(|f| f.state == State::Bad) { Err(Failure::Said) } else { Ok(()) }
}

fn line(finding: &Finding) -> String {
    let mark = match finding.state {
        State::Good => "ok     ",
        State::Absent => "absent ",
        State::Bad => "bad    ",
    };
    let help = finding.help.as_ref().map_or(String::new(), |h| format!("\n         {h}"));
    format!("{mark} {}: {}{help}\n", finding.what, finding.says)
}

fn machine(inventory: &Inventory, library: &Library) -> Vec<Finding> {
    let cores = inventory.cpu.cores;
    let says = format!("{cores} core{}", if cores == 1 { "" } else { "s" });
    let mut findings = vec![Finding { what: "processor", state: State::Good, says, help: None }];
    let says = gpus(&inventory.gpus).trim_end().trim_start_matches("gpu: ").replace("\ngpu: ", "; ");
    let (state, help) = match &inventory.gpus {
        Gpus::NoDriver => (State::Absent, None),
        Gpus::Unusable(_) => (State::Absent, Some("plans for this machine leave GPUs out".to_owned())),
        Gpus::Devices(gpus) => {
            let strangers: BTreeSet<&str> =
                gpus.iter().filter(|g| known(g, library).is_none()).map(|g| g.name.as_str()).collect();
            let help =
                || format!("the library has no device for `{}`: declare one, with `--library`", join(&strangers));
            if strangers.is_empty() { (State::Good, None) } else { (State::Absent, Some(help())) }
        }
    };
    findings.push(Finding { what: "gpu", state, says, help });
    findings
}

fn tests_of_code() -> Finding {
    let what = "sandbox for generated code";
    if sandbox::offered() {
        return Finding { what, state: State::Good, says: "Landlock and seccomp".to_owned(), help: None };
    }
    let help = "`run_tests` is refused; a kernel from 5.13 on with Landlock switched on offers it".to_owned();
    Finding { what, state: State::Absent, says: "the kernel offers no Landlock".to_owned(), help: Some(help) }
}

/// The programs that run models in processes of their own.
fn local_models() -> Vec<Finding> {
    let env = |name: &str| std::env::var(name).ok();
    let finding = |(worker, _): &(&str, &str)| {
        let what = "local models";
        match program(worker, &env) {
            Ok(path) => Finding { what, state: State::Good, says: path, help: None },
            Err(fault) => Finding { what, state: State::Absent, says: fault.message, help: fault.help },
        }
    };
    WORKERS.iter().map(finding).collect()
}

/// Runs are kept in the folder that `mkbc run` is called in.
fn folder() -> Finding {
    let what = "folder for runs";
    match tempfile::Builder::new().prefix(".mkbc-doctor").tempfile_in(".") {
        Ok(_) => Finding { what, state: State::Good, says: "writable".to_owned(), help: None },
        Err(error) => {
            let help = "work in a folder that you may write, or give `mkbc run --folder`".to_owned();
            Finding {
                what,
                state: State::Bad,
                says: format!("`.mkbc` cannot be written here: {error}"),
                help: Some(help),
            }
        }
    }
}

/// Which keys are set: their names, never their values.
fn keys(library: &Library) -> Vec<Finding> {
    let mut names: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for entry in library.implementations.values() {
        if let Some(name) = entry.engine.as_ref().and_then(key_env) {
            names.entry(name.to_owned()).or_default().insert(entry.name.as_str());
        }
    }
    let finding = |(name, used): (String, BTreeSet<&str>)| {
        let set = std::env::var_os(&name).is_some_and(|v| !v.is_empty());
        let says = format!("`{name}` is {}set, for {}", if set { "" } else { "not " }, join(&used));
        Finding { what: "key", state: if set { State::Good } else { State::Absent }, says, help: None }
    };
    names.into_iter().map(finding).collect()
}

/// What keeps models and tools from running here, keys aside.
fn tools(library: &Library) -> Vec<Finding> {
    let mut reasons: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    let mut works = BTreeSet::new();
    // A composition runs where its parts do.
    let entries: Vec<_> = library.implementations.values().filter(|e| e.engine.is_some()).collect();
    for entry in &entries {
        match usable_here(entry) {
            Ok(()) => {
                works.insert(entry.name.as_str());
            }
            Err(_) if entry.engine.as_ref().is_some_and(|e| key_env(e).is_some()) => {}
            Err(why) => {
                reasons.entry(why).or_default().insert(entry.name.as_str());
            }
        }
    }
    let mut findings: Vec<Finding> = reasons
        .into_iter()
        .map(|(why, names)| Finding {
            what: "models and tools",
            state: State::Absent,
            says: format!("{why}: {}", join(&names)),
            help: None,
        })
        .collect();
    let compositions = counted(library.implementations.len() - entries.len(), "composition");
    let says = format!("{} of {} run here, beside {compositions} of their calls", works.len(), entries.len());
    findings.insert(0, Finding { what: "models and tools", state: State::Good, says, help: None });
    findings
}

/// Tasks that nothing can carry out here.
fn tasks(library: &Library) -> Vec<Finding> {
    let without = |name: &&str| !library.implementing(name).any(|i| usable_here(i).is_ok());
    let missing: BTreeSet<&str> = library.tasks.keys().map(|t| t.as_str()).filter(without).collect();
    if missing.is_empty() {
        let says = format!("all {} can be carried out here", library.tasks.len());
        return vec![Finding { what: "tasks", state: State::Good, says, help: None }];
    }
    let help = "`mkbc library` says of each model and tool what it lacks here".to_owned();
    vec![Finding {
        what: "tasks",
        state: State::Absent,
        says: format!("nothing here carries out {}", join(&missing)),
        help: Some(help),
    }]
}

fn join(names: &BTreeSet<&str>) -> String {
    names.iter().copied().collect::<Vec<_>>().join(", ")
}
