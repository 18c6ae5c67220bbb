//! The options of a server's fleet: which machines deployed workflows share, and how often their plan is made again.

use crate::adapt::epochs::{LOOKS, Policy, WINDOWS};
use crate::cli::Failure;
use crate::cli::args::{Format, Source};
use crate::cli::here::{HERE, machines, machines_of};
use crate::library::Library;
use crate::serve::fleet::{Fleet, Look, Terms};
use crate::space::Machines;
use crate::space::load::BUSY;
use clap::Args;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The longest that a joint plan is looked for.
const LIMIT: Duration = Duration::from_secs(20);

#[derive(Args)]
pub struct SharingOptions {
    /// The machines that deployed workflows share: a cluster of the library, FILE.mkb or FILE.mkb:NAME, which is read again when it changes
    /// [default: this machine and registered hosts]
    #[arg(long, value_name = "CLUSTER")]
    pub cluster: Option<String>,
    /// Seconds from one plan of the deployed workflows to the next, where nothing happens; rates are measured over a sixth of them, and
    /// a new plan is left alone as long
    #[arg(long, value_name = "SECONDS", default_value_t = 3600, value_parser = clap::value_parser!(u32).range(6..=604_800))]
    pub epoch: u32,
}

/// The fleet of a server with these folders of a library.
pub fn fleet(options: &SharingOptions, libraries: &[PathBuf]) -> Fleet {
    let epoch = Duration::from_secs(options.epoch.into());
    let window = epoch / WINDOWS;
    let policy = Policy::every(options.epoch);
    let machines = look(options.cluster.clone(), libraries.to_vec());
    Fleet::new(Terms {
        machines,
        with_hosts: options.cluster.is_none(),
        policy,
        utilisation: BUSY,
        look: epoch / LOOKS,
        window,
        limit: LIMIT,
        limit_again: LIMIT.min(window / 2),
    })
}

/// Looks at machines: this one's each time, those of a file when its text has changed.
fn look(cluster: Option<String>, library: Vec<PathBuf>) -> Look {
    let Some(cluster) = cluster.filter(|cluster| cluster != HERE) else {
        return Box::new(|library| said(machines(HERE, library)));
    };
    let path = cluster.rsplit_once(".mkb:").map_or_else(|| cluster.clone(), |(path, _)| format!("{path}.mkb"));
    let read = Mutex::new(None::<(Option<String>, Result<Machines, String>)>);
    Box::new(move |known: &Library| {
        let text = std::fs::read_to_string(&path).ok();
        let mut read = read.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, machines)) = read.as_ref().filter(|(before, _)| *before == text) {
            return machines.clone();
        }
        let source = Source { file: path.clone().into(), library: library.clone(), format: Format::Text };
        let machines = said(machines_of(&cluster, &source, known));
        *read = Some((text, machines.clone()));
        machines
    })
}

fn said(machines: Result<Machines, Failure>) -> Result<Machines, String> {
    machines.map_err(|why| match why {
        Failure::Said | Failure::Misused => {
            "its file has errors, which stand in the server's standard error".to_owned()
        }
        other => other.to_string(),
    })
}
