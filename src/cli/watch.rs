//! Files → the same work again whenever one of them changes, until somebody stops it.

use super::{Failure, print};
use crate::run::{Signals, block_on};
use notify::event::ModifyKind;
use notify::{Event, EventKind, RecursiveMode, Watcher};
use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// Editors write a file in several steps: the work waits until nothing has happened for so long,
const QUIET: Duration = Duration::from_millis(60);
/// but no longer than this many times that.
const PATIENCE: u32 = 16;

/// Does the work now and after every change of a `.mkb` or `.csv` file that is named or lies in a named folder. Ends when a signal
/// asks for it.
pub fn watch(paths: &[PathBuf], work: &mut dyn FnMut()) -> Result<(), Failure> {
    let (sender, mut events) = unbounded_channel();
    let tell = move |event: notify::Result<Event>| {
        if event.is_ok_and(|event| concerns(&event)) {
            // Nobody listens any more once the watch ends.
            let _ = sender.send(());
        }
    };
    let cannot = |e: notify::Error| Failure::Message(format!("cannot watch files: {e}"));
    let mut watcher = notify::recommended_watcher(tell).map_err(cannot)?;
    for (path, mode) in watched(paths) {
        watcher.watch(&path, mode).map_err(|e| Failure::Message(format!("cannot watch `{}`: {e}", path.display())))?;
    }
    block_on(async {
        let Some(mut signals) = Signals::new() else {
            return Err(Failure::Message("cannot listen to signals".to_string()));
        };
        loop {
            clear();
            work();
            tokio::select! {
                status = signals.next() => {
                    return Err(if status == 143 { Failure::Terminated } else { Failure::Stopped });
                }
                () = change(&mut events) => {}
            }
        }
    })
    .map_err(|e| e.to_string())?
}

/// Returns once something has changed and it is quiet again.
async fn change(events: &mut UnboundedReceiver<()>) {
    if events.recv().await.is_none() {
        // The watcher is gone, and with it all that could happen.
        std::future::pending::<()>().await;
    }
    for _ in 0..PATIENCE {
        let more = tokio::time::timeout(QUIET, events.recv()).await;
        if more.is_err() {
            return;
        }
        while events.try_recv().is_ok() {}
    }
}

/// Whether an event may change what is read. Reading is an event too, and changes nothing.
fn concerns(event: &Event) -> bool {
    let changes = match event.kind {
        EventKind::Access(_) | EventKind::Modify(ModifyKind::Metadata(_)) => false,
        EventKind::Any | EventKind::Create(_) | EventKind::Modify(_) | EventKind::Remove(_) | EventKind::Other => true,
    };
    let source = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "mkb" || ending == "csv");
    changes && event.paths.iter().any(source)
}

/// What is watched for some paths. Editors put a new file in the place of an old one, so that a file is watched by its folder.
fn watched(paths: &[PathBuf]) -> BTreeMap<PathBuf, RecursiveMode> {
    let mut all = BTreeMap::new();
    for path in paths {
        if path.is_dir() {
            all.insert(path.clone(), RecursiveMode::Recursive);
        } else {
            let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
            all.entry(folder.to_path_buf()).or_insert(RecursiveMode::NonRecursive);
        }
    }
    all
}

/// Begins a terminal anew; what is no terminal keeps everything.
fn clear() {
    if std::io::stdout().is_terminal() {
        print("\u{1b}[2J\u{1b}[3J\u{1b}[H");
    }
}
