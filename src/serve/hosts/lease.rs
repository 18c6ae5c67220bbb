//! A run that a host carries out → what is needed to take its records and files: the run's journal, held under the fence of this lease, and its
//! folder, which nobody else of this machine works in meanwhile.

use super::places::Calls;
use super::protocol::Grant;
use crate::run::cancel::Cancel;
use crate::run::fault::{Fault, FaultKind};
use crate::run::journal::lock::Lock;
use crate::run::journal::record::{Record, Stored};
use crate::run::journal::{Journal, Run};
use crate::run::store::{folder, run_folder, write};
use crate::run::value::files;
use crate::serve::Service;
use crate::serve::api::refusal::Refusal;
use crate::serve::execute::Begun;
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat2};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// A run that a host carries out.
#[derive(Debug)]
pub struct Lease {
    /// The run in the service.
    pub id: u64,
    /// The host.
    pub host: String,
    /// Which runtime of the run the host is.
    pub fence: u64,
    /// The run in the journal, as it was when the lease began.
    pub run: Run,
    /// The run's folder.
    pub folder: PathBuf,
    /// Stops the run.
    pub cancel: Cancel,
    /// Files that its inputs name.
    inputs: BTreeSet<PathBuf>,
    journal: Mutex<Journal>,
    /// Bytes of files that came.
    bytes: AtomicU64,
    /// Calls that hold places.
    pub calls: Calls,
    /// Nobody else of this machine works on the run until this is given back.
    lock: Mutex<Option<Lock>>,
}

/// What of a lease survives its server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// The run.
    pub run: u64,
    /// The host.
    pub host: String,
    /// The fence.
    pub fence: u64,
}

impl Lease {
    /// Takes a run over for a host: what an earlier runtime of it still writes is refused from now on.
    pub fn take(begun: Begun, host: &str, cancel: Cancel) -> Result<Lease, Fault> {
        let Begun { accepted, plan, inputs, run, mut journal } = begun;
        let folder = run_folder(&journal.folder(&run))?;
        let lock = Lock::take(&folder)?;
        write(&folder.join("plan.json"), plan.as_bytes())?;
        let run = journal.take_over(run.id)?;
        Ok(Lease::of(accepted.id, host, cancel, (run, journal), folder, lock, &inputs))
    }

    /// Goes on with a lease that an earlier server gave, if it is the last one of its run.
    pub fn resume(service: &Service, kept: &Kept, journal: u64, cancel: Cancel) -> Result<Option<Lease>, Fault> {
        let db = Journal::open(&service.settings.project)?;
        let Some(run) = db.run(journal)?.filter(|run| run.fence == kept.fence) else { return Ok(None) };
        let folder = run_folder(&db.folder(&run))?;
        let lock = Lock::take(&folder)?;
        let inputs = service.store.inputs(kept.run)?.unwrap_or_default();
        let inputs: BTreeMap<String, Value> = serde_json::from_str(&inputs).unwrap_or_default();
        Ok(Some(Lease::of(kept.run, &kept.host, cancel, (run, db), folder, lock, &inputs)))
    }

    fn of(
        id: u64,
        host: &str,
        cancel: Cancel,
        (run, journal): (Run, Journal),
        folder: PathBuf,
        lock: Lock,
        inputs: &BTreeMap<String, Value>,
    ) -> Lease {
        Lease {
            id,
            host: host.to_owned(),
            fence: run.fence,
            run,
            folder,
            cancel,
            inputs: inputs.values().flat_map(files).map(PathBuf::from).collect(),
            journal: Mutex::new(journal),
            bytes: AtomicU64::new(0),
            calls: Calls::default(),
            lock: Mutex::new(Some(lock)),
        }
    }

    /// What of it survives the server.
    pub fn kept(&self) -> Kept {
        Kept { run: self.id, host: self.host.clone(), fence: self.fence }
    }

    /// The refusal of a lease that is over.
    pub fn lost() -> Refusal {
        Refusal::conflict("lease_lost", "the run is not this host's any longer")
    }

    /// Lets others of this machine work on the run, and others have the places of its calls.
    pub fn release(&self) {
        self.calls.end();
        drop(self.lock.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    /// What the host is to know of it.
    pub fn grant(&self, service: &Service) -> Result<Grant, Fault> {
        let gone = || Fault::new(FaultKind::Storage, "the run is not in the store any more");
        let accepted = service.store.run(self.id)?.ok_or_else(gone)?;
        let inputs = service.store.inputs(self.id)?.ok_or_else(gone)?;
        Ok(Grant {
            run: self.id,
            fence: self.fence,
            journal: self.run.id,
            count: self.run.count,
            info: self.run.info.clone(),
            folder: self.folder.clone(),
            plan: service.store.plan(&accepted.tenant, &accepted.plan)?.ok_or_else(gone)?,
            inputs: serde_json::from_str(&inputs).map_err(|e| Fault::plan(e.to_string()))?,
            placed: accepted.workflow.is_some(),
            held_micro: accepted.held_micro,
            grace_s: service.settings.grace.as_secs_f64(),
            tenant: accepted.tenant,
        })
    }

    fn journal<T>(&self, work: impl FnOnce(&mut Journal) -> Result<T, Fault>) -> Result<T, Fault> {
        work(&mut self.journal.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Writes records: on the disk when this returns. Returns how many the run has.
    pub fn append(&self, from: u64, records: &[Record]) -> Result<u64, Fault> {
        self.journal(|db| {
            for record in records {
                if let Some(Stored::Blob(hash)) = record.stored() {
                    // A value that is named must be here, or nobody could read the run any more.
                    db.blobs().text(hash).map_err(|_| {
                        Fault::new(FaultKind::Data, format!("records are refused: the value {hash} did not come"))
                    })?;
                }
            }
            db.append(self.run.id, self.fence, from, records)
        })
    }

    /// Keeps a large value. Returns its digest.
    pub fn value(&self, text: &str) -> Result<String, Fault> {
        self.journal(|db| db.blobs().put(text))
    }

    /// Whether the journal has an answer of the run.
    pub fn answered(&self) -> Result<bool, Fault> {
        self.journal(|db| Ok(db.answer(self.run.id)?.is_some()))
    }

    /// What counts as spent of the run, over all that worked on it, in dollars.
    pub fn spent(&self) -> Result<rust_decimal::Decimal, Fault> {
        let records = self.journal(|db| db.records(self.run.id))?;
        Ok(crate::run::journal::replay::Replay::of(&records).spent())
    }

    /// A file that the host may read: one of the run's inputs, or one below the run's folder.
    pub fn file(&self, path: &Path) -> Option<File> {
        if self.inputs.contains(path) {
            return File::open(path).ok();
        }
        beneath(&self.folder, path.strip_prefix(&self.folder).ok()?.to_str()?)
    }

    /// Where a file goes that the host sends; its folder is made.
    pub fn place(&self, path: &Path) -> Result<PathBuf, Fault> {
        let refused = || Fault::new(FaultKind::Data, "a file of the run must lie below the run's folder");
        let within = path.strip_prefix(&self.folder).map_err(|_| refused())?;
        let plain = within.components().all(|part| matches!(part, Component::Normal(_)));
        if !plain || within.as_os_str().is_empty() {
            return Err(refused());
        }
        let place = self.folder.join(within);
        folder(place.parent().unwrap_or(&self.folder))?;
        Ok(place)
    }

    /// Counts bytes of files; whether they are no more than may come.
    pub fn count(&self, bytes: u64, most: u64) -> bool {
        self.bytes.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes) <= most
    }
}

/// A file below a folder, wherever a name leads: the kernel itself resolves it, without links.
pub fn beneath(folder: &Path, name: &str) -> Option<File> {
    let within = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let folder = rustix::fs::openat(CWD, folder, within, Mode::empty()).ok()?;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    // A pipe that somebody put there must not be waited for.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    Some(File::from(openat2(&folder, name, flags, Mode::empty(), resolve).ok()?))
}
