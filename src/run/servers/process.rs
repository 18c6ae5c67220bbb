//! A command line -> a server's process below its guard, with a log; nothing of it is left when it is dropped.

use super::guard::{GRACE, Word, below_guard, tell};
use crate::run::engines::child::{Command, Limits, ended, prepared, resident, unstarted};
use crate::run::fault::{Fault, FaultKind, head, tail};
use crate::run::probe::Env;
use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError, mpsc};
use std::time::{Duration, Instant};

/// Bytes of the end of a log that are looked at.
const TAIL: u64 = 16 << 10;
/// Bytes of its beginning that are searched for the first error.
const MOST: u64 = 4 << 20;
/// Characters of it that an error shows.
const SHOWN: usize = 2000;

/// What starts servers: one thread, since the kernel ties a child's life to the thread that started it, and not to the process.
pub struct Spawner(mpsc::Sender<Job>);

type Job = Box<dyn FnOnce() + Send>;

impl Spawner {
    /// A thread that ends when this is dropped.
    pub fn new() -> Result<Spawner, Fault> {
        let (jobs, waiting) = mpsc::channel::<Job>();
        let work = move || waiting.into_iter().for_each(|job| job());
        let started = std::thread::Builder::new().name("servers".into()).spawn(work);
        started.map_err(|e| Fault::new(FaultKind::Process, format!("a thread for servers cannot be started: {e}")))?;
        Ok(Spawner(jobs))
    }

    async fn spawn(&self, mut start: std::process::Command) -> std::io::Result<Child> {
        let gone = || std::io::Error::other("the thread that starts servers is gone");
        let (tell, told) = tokio::sync::oneshot::channel();
        let job = Box::new(move || {
            // Nobody may be waiting any more: the child is dropped, and ends, with the answer.
            if let Err(Ok(mut unwanted)) = tell.send(start.spawn()) {
                super::guard::tell(unwanted.id(), Word::Kill);
                let _ = unwanted.wait();
            }
        });
        self.0.send(job).map_err(|_| gone())?;
        told.await.map_err(|_| gone())?
    }
}

/// A server that runs, or ran.
pub struct Process {
    child: Mutex<Child>,
    id: u32,
    program: String,
    log: PathBuf,
    /// Where its own words begin in the log, behind those of servers before it.
    since: u64,
}

/// What a process is started with.
pub struct Start<'a> {
    /// The program and its arguments.
    pub argv: &'a [String],
    /// Variables, beside the few that every child has.
    pub env: &'a BTreeMap<String, String>,
    /// Ours, of which it sees the few.
    pub ours: Env<'a>,
    /// The folder that it works in.
    pub folder: &'a Path,
    /// Where what it says goes; added to what is there.
    pub log: &'a Path,
    /// Threads that it may use.
    pub threads: u32,
}

impl Process {
    /// Starts a server.
    pub async fn start(start: &Start<'_>, spawner: &Spawner) -> Result<Process, Fault> {
        let Some((program, arguments)) = start.argv.split_first() else {
            return Err(Fault::plan("a server without a program"));
        };
        let limits = Limits { file: u64::MAX, ..Limits::default() };
        let command = Command { argv: &[], folder: start.folder, env: start.ours, threads: start.threads, limits };
        let mut prepared = prepared(program, arguments, &command).into_std();
        let log = OpenOptions::new().create(true).append(true).mode(0o600).open(start.log);
        let log = log.and_then(|log| Ok((log.metadata()?.len(), log.try_clone()?, log)));
        let (since, out, errors) = log.map_err(|e| Fault::storage("write", start.log, &e))?;
        prepared.stdin(Stdio::null()).stdout(out).stderr(errors).envs(start.env);
        below_guard(&mut prepared);
        let child = spawner.spawn(prepared).await.map_err(|e| unstarted(program, &e))?;
        let (id, log) = (child.id(), start.log.to_path_buf());
        Ok(Process { child: Mutex::new(child), id, program: program.clone(), log, since })
    }

    fn child(&self) -> MutexGuard<'_, Child> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How it ended, if it did.
    pub fn status(&self) -> Option<ExitStatus> {
        self.child().try_wait().ok().flatten()
    }

    /// Whether it runs.
    pub fn runs(&self) -> bool {
        self.status().is_none()
    }

    /// The id of its guard.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// High-water marks of the memory of everything below the guard, added up, bytes.
    pub fn resident(&self) -> u64 {
        // The guard is a copy of mkbc, and would count mkbc's own memory.
        crate::run::engines::child::children(self.id).into_iter().map(|id| resident(id, 0)).sum()
    }

    /// Ends it: gently first, after [`GRACE`] for good.
    pub async fn stop(&self) {
        tell(self.id, Word::End);
        let begun = Instant::now();
        while self.runs() && begun.elapsed() < GRACE + Duration::from_secs(3) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        self.kill();
    }

    /// Kills it and everything that it started; returns when they are gone.
    pub fn kill(&self) {
        let begun = Instant::now();
        while self.runs() {
            if begun.elapsed() > Duration::from_secs(3) {
                let _ = self.child().kill();
                let _ = self.child().wait();
                return;
            }
            tell(self.id, Word::Kill);
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// The fault that it ended.
    pub fn death(&self, name: &str) -> Fault {
        let how = self.status().map_or_else(|| "does not answer".to_owned(), ended);
        let message = format!("the server {name} (`{}`) {how}", self.program);
        Fault::new(FaultKind::Process, message).detail(&self.said())
    }

    /// What it said: its first error, since servers end with many lines that only say that there was one, and its last words.
    pub fn said(&self) -> String {
        let length = std::fs::metadata(&self.log).map_or(0, |m| m.len());
        let end = self.read(length.saturating_sub(TAIL).max(self.since), TAIL);
        let end = tail(&end, SHOWN);
        match first_error(&self.read(self.since, MOST)) {
            Some(error) if !end.contains(error) => format!("{}\n…\n{end}", head(error, SHOWN)),
            _ => end.to_owned(),
        }
    }

    fn read(&self, from: u64, most: u64) -> String {
        let bytes = std::fs::File::open(&self.log).and_then(|mut file| {
            file.seek(SeekFrom::Start(from))?;
            let mut bytes = Vec::new();
            file.take(most).read_to_end(&mut bytes)?;
            Ok(bytes)
        });
        String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned()
    }
}

/// The first line that names an error, as programs in Python, C++ and Go write them: `ValueError: …`, `error: …`.
fn first_error(log: &str) -> Option<&str> {
    let names = |line: &str| ["Error: ", "Exception: ", "error: "].iter().any(|word| line.contains(word));
    log.lines().find(|line| names(line)).map(str::trim)
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}
