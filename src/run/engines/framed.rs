//! A worker process -> replies: frames over two pipes that nothing else uses, and what it prints as a log beside them.
//!
//! A frame is a length (four bytes, big-endian) and so many bytes of JSON. A worker's first frame says that it is `ready`, or an `error`; then
//! it answers a request with a `value` or an `error`, one at a time. A request of several `calls` is answered with `answers`, each a `value` or
//! an `error`; a worker of a model that takes them says so when it is ready (`together`). The other side is `python/murakkab/worker.py`, or a model's (`workers/`).

use super::child::{Command, Group, Limits, ended, prepared, resident, unstarted};
use super::{Args, batch};
use crate::run::fault::{Fault, FaultKind, head, printable, tail};
use crate::run::probe::Env;
use crate::run::store;
use serde_json::{Value, json};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe::{Receiver, Sender};
use tokio::process::{Child, ChildStderr};

/// Bytes of a frame, in either direction.
const MOST: usize = 64 << 20;
/// Bytes of a call's log that are kept, the last ones.
const LOG: usize = 1 << 20;

/// What a worker is started with: `PROGRAM BEFORE… READ WRITE SUBJECT LIMIT BEHIND…`, the descriptors of its pipes in the middle.
pub struct Start<'a> {
    /// The program.
    pub program: &'a str,
    /// Arguments in front of the descriptors.
    pub before: &'a [&'a str],
    /// What it is to work with: a module, a model.
    pub subject: &'a str,
    /// Arguments behind the most bytes of a frame.
    pub behind: &'a [String],
    /// Its working directory at first.
    pub folder: &'a Path,
    /// Variables of its own.
    pub variables: &'a [(&'a str, OsString)],
}

/// Workers that wait for calls, by what they were started with. There are as many as calls overlap, which the devices that a step holds
/// bound.
pub struct Pool {
    folder: PathBuf,
    idle: RefCell<BTreeMap<Vec<String>, Vec<Worker>>>,
    calls: Cell<u64>,
}

impl Pool {
    /// None yet; they are started in this folder.
    pub fn new(folder: PathBuf) -> Pool {
        Pool { folder, idle: RefCell::default(), calls: Cell::new(0) }
    }

    /// The folder that workers are started in.
    pub fn folder(&self) -> Result<&Path, Fault> {
        store::folder(&self.folder)?;
        Ok(&self.folder)
    }

    /// One that waits.
    pub fn take(&self, key: &[String]) -> Option<Worker> {
        self.idle.borrow_mut().get_mut(key).and_then(Vec::pop)
    }

    /// It answered, and waits again.
    pub fn put(&self, key: Vec<String>, worker: Worker) {
        self.idle.borrow_mut().entry(key).or_default().push(worker);
    }

    /// A request, with a mark that ends its log.
    pub fn request(&self, function: &str, args: &Args, out: &Path) -> Value {
        let arguments = args.iter().map(|(n, v)| (n.clone(), v.as_ref().clone())).collect();
        json!({"function": function, "arguments": Value::Object(arguments), "folder": out, "mark": self.mark()})
    }

    /// A request of several calls, as `batch::told` has them; they have one log.
    pub fn request_of(&self, function: &str, calls: Value, out: &Path) -> Value {
        json!({"function": function, "calls": calls, "folder": out, "mark": self.mark()})
    }

    fn mark(&self) -> String {
        let number = self.calls.replace(self.calls.get() + 1);
        format!("-- end of call {number} of this run --")
    }
}

/// A process that answers one call after the other.
pub struct Worker {
    child: Child,
    /// Bytes of its GPU that were in use before it started, where it has one and that is known.
    pub gpu_before: Option<u64>,
    /// Whether it takes several calls as one, which a model's worker says when it is ready.
    pub together: bool,
    /// Killed with everything it started, when the worker is dropped.
    _group: Group,
    to: Sender,
    from: Receiver,
    log: ChildStderr,
}

impl Worker {
    /// Starts a worker; it is ready, or says why not, in the reply.
    pub async fn start(start: &Start<'_>, env: Env<'_>, threads: u32) -> Result<(Worker, Value), Fault> {
        let failed = |e: std::io::Error| Fault::new(FaultKind::Process, format!("cannot be reached: {e}"));
        let (theirs_in, ours_out) = std::io::pipe().map_err(failed)?;
        let (ours_in, theirs_out) = std::io::pipe().map_err(failed)?;
        let fds = [theirs_in.as_raw_fd(), theirs_out.as_raw_fd()];
        let mut arguments: Vec<String> = start.before.iter().map(|a| (*a).to_owned()).collect();
        arguments.extend(fds.map(|fd| fd.to_string()));
        arguments.extend([start.subject.to_owned(), MOST.to_string()]);
        arguments.extend_from_slice(start.behind);
        let command = Command { argv: &[], folder: start.folder, env, threads, limits: Limits::default() };
        let mut program = prepared(start.program, &arguments, &command);
        program.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        program.envs(start.variables.iter().map(|(name, value)| (name, value)));
        inherited(&mut program, fds);
        let mut child = program.spawn().map_err(|e| unstarted(start.program, &e))?;
        // The worker's ends are the worker's alone, so that its end is the end of the pipes.
        drop((theirs_in, theirs_out));
        let group = Group::of(&child);
        let log = child.stderr.take().ok_or_else(|| Fault::new(FaultKind::Process, "has no standard error"))?;
        let to = Sender::from_owned_fd(OwnedFd::from(ours_out)).map_err(failed)?;
        let from = Receiver::from_owned_fd(OwnedFd::from(ours_in)).map_err(failed)?;
        let mut worker = Worker { child, gpu_before: None, together: false, _group: group, to, from, log };
        let (reply, _) = worker.reply(None).await?;
        Ok((worker, reply))
    }

    /// Sends a request, and waits for its reply and the end of its log, which the request's `mark` ends.
    pub async fn exchange(&mut self, request: &Value) -> Result<(Value, Vec<u8>), Fault> {
        let body = request.to_string();
        let length = u32::try_from(body.len()).ok().filter(|_| body.len() <= MOST).ok_or_else(|| {
            let message = format!("is not sent arguments of {} MB; at most {} MB are", body.len() >> 20, MOST >> 20);
            Fault::new(FaultKind::Input, message)
        })?;
        let mark = request["mark"].as_str().unwrap_or_default().to_owned();
        let sent = async {
            self.to.write_all(&length.to_be_bytes()).await?;
            self.to.write_all(body.as_bytes()).await
        };
        // A worker that died in between is found below, with what it said.
        let _ = sent.await;
        self.reply(Some(&mark)).await
    }

    /// The most memory that it held at once, bytes; 0 where the system does not say.
    pub fn peak(&self) -> u64 {
        self.child.id().map_or(0, |id| resident(id, 0))
    }

    async fn reply(&mut self, mark: Option<&str>) -> Result<(Value, Vec<u8>), Fault> {
        let Worker { child, from, log, .. } = self;
        let mut said = Log { mark: mark.map(|m| format!("\n{m}\n").into_bytes()), bytes: Vec::new(), over: false };
        let mut part = vec![0; 32 << 10];
        let mut reply = None;
        {
            let receiving = frame(from);
            tokio::pin!(receiving);
            while reply.is_none() || (mark.is_some() && !said.over) {
                tokio::select! {
                    received = &mut receiving, if reply.is_none() => match received {
                        Ok(value) => reply = Some(value),
                        Err(Broken::Closed) => break,
                        Err(Broken::Fault(fault)) => return Err(fault.detail(said.tail())),
                    },
                    read = log.read(&mut part), if !said.over => said.take(&part[..read.unwrap_or(0)]),
                    // What it forked may hold its pipes open.
                    _ = child.wait(), if reply.is_none() => break,
                }
            }
        }
        if let Some(value) = reply {
            return Ok((value, said.bytes));
        }
        // It is going, or gone: what it still says explains it.
        let rest = async {
            while let Ok(n @ 1..) = log.read(&mut part).await {
                said.take(&part[..n]);
            }
        };
        let _ = tokio::time::timeout(Duration::from_millis(500), rest).await;
        let how = match tokio::time::timeout(Duration::from_secs(2), child.wait()).await {
            Ok(Ok(status)) => ended(status),
            _ => "closed its pipe without an answer".to_owned(),
        };
        Err(Fault::new(FaultKind::Process, how).detail(said.tail()).transient())
    }
}

/// What a worker says, until the mark.
struct Log {
    mark: Option<Vec<u8>>,
    bytes: Vec<u8>,
    over: bool,
}

impl Log {
    fn take(&mut self, part: &[u8]) {
        // User code that closes its standard error ends the log.
        self.over = part.is_empty();
        let length = self.mark.as_ref().map_or(0, Vec::len);
        let from = self.bytes.len().saturating_sub(length);
        self.bytes.extend_from_slice(part);
        let found = self.mark.as_ref().and_then(|mark| self.bytes[from..].windows(length).position(|w| w == mark));
        if let Some(at) = found {
            self.bytes.truncate(from + at);
            self.over = true;
        } else if self.bytes.len() > 2 * LOG {
            self.bytes.drain(..self.bytes.len() - LOG);
        }
    }

    fn tail(&self) -> &str {
        // Cut at a character, if it is text at all.
        let from = self.bytes.len().saturating_sub(2000);
        let from = (from..self.bytes.len()).find(|i| self.bytes[*i] & 0xc0 != 0x80).unwrap_or(from);
        tail(std::str::from_utf8(&self.bytes[from..]).unwrap_or_default(), 2000)
    }
}

enum Broken {
    Closed,
    Fault(Fault),
}

/// A length and so many bytes of JSON.
async fn frame(from: &mut (impl AsyncRead + Unpin)) -> Result<Value, Broken> {
    let mut length = [0; 4];
    from.read_exact(&mut length).await.map_err(|_| Broken::Closed)?;
    let length = u32::from_be_bytes(length) as usize;
    if length > MOST {
        let message = format!("announced an answer of {} MB; at most {} MB are taken", length >> 20, MOST >> 20);
        return Err(Broken::Fault(Fault::new(FaultKind::Answer, message)));
    }
    let mut body = vec![0; length];
    from.read_exact(&mut body).await.map_err(|_| Broken::Closed)?;
    let unread = |e: serde_json::Error| Broken::Fault(Fault::new(FaultKind::Answer, format!("sent no JSON: {e}")));
    serde_json::from_slice(&body).map_err(unread)
}

/// What a worker answered to so many calls at once, each one's.
pub fn answers(mut reply: Value, calls: usize) -> Result<Vec<Value>, Fault> {
    let none = || Fault::new(FaultKind::Answer, format!("sent no list of {calls} answers"));
    batch::answers(reply.get_mut("answers").map(Value::take).unwrap_or_default(), calls).ok_or_else(none)
}

/// What an error says.
pub fn said(error: &Value) -> String {
    let part = |name: &str| error[name].as_str().unwrap_or_default();
    let (kind, message) = (part("type"), printable(part("message")));
    if message.is_empty() { kind.to_owned() } else { format!("{kind}: {}", head(&message, 500)) }
}

/// Has a program keep two descriptors, which all others of our children lack.
#[allow(unsafe_code)]
fn inherited(program: &mut tokio::process::Command, fds: [RawFd; 2]) {
    // SAFETY: the closure runs between fork and exec and calls only fcntl(2), on descriptors that are open until the program has
    // started; it allocates nothing and takes no lock.
    unsafe {
        program.pre_exec(move || {
            for fd in fds {
                if libc::fcntl(fd, libc::F_SETFD, 0) != 0 {
                    return Err(std::io::Error::last_os_error());
                }
            }
            Ok(())
        });
    }
}
