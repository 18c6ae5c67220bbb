//! A run folder -> the right to work in it, for one process of this machine at a time.
//!
//! The kernel's lock is what counts: it goes with its process, however that ends. The file says who holds it, for people, and for
//! file systems that lock nothing: a holder that is alive (process, start time and boot are the same) is respected there too.

use crate::run::fault::{Fault, FaultKind};
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// The file's name in the run folder.
const NAME: &str = "run.lock";

/// Who holds a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// The process.
    pub pid: u32,
    /// The boot of the machine that it belongs to.
    pub boot: String,
    /// When it started, in clock ticks since the boot: another process with the same number started later.
    pub started: u64,
}

impl Holder {
    fn us() -> Holder {
        let pid = std::process::id();
        Holder { pid, boot: boot(), started: started(pid).unwrap_or(0) }
    }

    /// Whether that very process is alive, on this boot.
    fn alive(&self) -> bool {
        self.boot == boot() && started(self.pid).is_some_and(|at| at == self.started)
    }
}

fn boot() -> String {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id");
    id.map(|id| id.trim().to_owned()).unwrap_or_default()
}

/// Field 22 of `/proc/PID/stat`; the name in field 2 may hold anything, so that counting begins behind its last parenthesis.
fn started(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()
}

/// The right to work in a run folder; given back when dropped.
#[derive(Debug)]
pub struct Lock(File);

impl Lock {
    /// Takes a run folder, from a dead holder too.
    pub fn take(folder: &Path) -> Result<Lock, Fault> {
        let path = folder.join(NAME);
        let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
        let mut file = open.map_err(|e| Fault::storage("open", &path, &e))?;
        let free = flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok();
        let holder = holder(&mut file);
        let us = Holder::us();
        if !free || holder.as_ref().is_some_and(|h| *h != us && h.alive()) {
            let who = holder.map_or("another process".to_owned(), |h| format!("process {}", h.pid));
            let message = format!("the run in `{}` is being worked on by {who}", folder.display());
            return Err(Fault::new(FaultKind::Storage, message).help("wait for it to end, or stop it (`kill -INT`)"));
        }
        let text = serde_json::to_string(&us).unwrap_or_default();
        let write = |file: &mut File| {
            file.set_len(0)?;
            file.rewind()?;
            file.write_all(text.as_bytes())
        };
        write(&mut file).map_err(|e| Fault::storage("write", &path, &e))?;
        Ok(Lock(file))
    }

    /// Who works in a run folder now, if anybody does.
    pub fn held(folder: &Path) -> Option<Holder> {
        let mut file = File::open(folder.join(NAME)).ok()?;
        let free = flock(&file, FlockOperation::NonBlockingLockShared).is_ok();
        holder(&mut file).filter(|h| !free || h.alive())
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Nobody is named before the lock itself goes with the file.
        let _ = self.0.set_len(0);
    }
}

fn holder(file: &mut File) -> Option<Holder> {
    let mut text = String::new();
    file.rewind().and_then(|()| file.take(4096).read_to_string(&mut text)).ok()?;
    serde_json::from_str(&text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_living_holder_is_named_and_a_dead_one_is_not_in_the_way() {
        let folder = tempfile::tempdir().expect("a folder");
        let lock = Lock::take(folder.path()).expect("free");
        let refused = Lock::take(folder.path()).expect_err("held").message;
        assert!(refused.contains(&format!("process {}", std::process::id())), "{refused}");
        assert_eq!(Lock::held(folder.path()).map(|h| h.pid), Some(std::process::id()));
        drop(lock);
        assert_eq!(Lock::held(folder.path()), None);
        let write = |holder: &Holder| {
            std::fs::write(folder.path().join(NAME), serde_json::to_string(holder).expect("JSON")).expect("written");
        };
        // The first process is alive, whoever that is; with another start time or boot it is somebody else.
        let alive = Holder { pid: 1, boot: boot(), started: started(1).expect("a start") };
        write(&Holder { started: alive.started + 1, ..alive.clone() });
        drop(Lock::take(folder.path()).expect("the number was used again"));
        write(&Holder { boot: "another".into(), ..alive.clone() });
        drop(Lock::take(folder.path()).expect("another boot"));
        write(&alive);
        assert!(Lock::take(folder.path()).is_err(), "a holder that is alive, where locks do nothing");
        std::fs::write(folder.path().join(NAME), "nonsense").expect("written");
        drop(Lock::take(folder.path()).expect("nobody is named"));
    }
}
