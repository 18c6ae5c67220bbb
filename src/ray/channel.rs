//! The connection to a driver: frames of a JSON header and a body, many calls at a time.

use super::defined::Defined;
use super::files::{self, Sent};
use crate::run::engines::Args;
use crate::run::fault::{Fault, FaultKind};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::mem::take;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, oneshot};

/// Bytes of a header, and of a body, that are taken.
const MOST_HEADER: u32 = 64 << 20;
const MOST_BODY: u64 = 2 << 30;
/// How long a connection may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// Bytes that are read, and frames that are written, at once.
const READ: usize = 256 << 10;
const WRITTEN: usize = 64;

/// Whoever worked on a call is gone.
#[derive(Clone, Copy, Debug)]
pub struct Lost;

/// A frame: what it says, and bytes that go with it.
type Frame = (Value, Vec<u8>);

/// A connection to a driver.
pub struct Channel {
    to: mpsc::UnboundedSender<Frame>,
    shared: Arc<Shared>,
    next: AtomicU64,
    /// Files and steps that the driver has, by name.
    there: Mutex<BTreeSet<String>>,
}

#[derive(Default)]
struct Shared {
    broken: AtomicBool,
    waiting: Mutex<BTreeMap<u64, oneshot::Sender<Frame>>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A call that is given up where this is dropped before it is done.
struct UnderWay<'a> {
    channel: &'a Channel,
    id: u64,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        if locked(&self.channel.shared.waiting).remove(&self.id).is_some() {
            let _ = self.channel.to.send((json!({ "drop": self.id }), Vec::new()));
        }
    }
}

impl Channel {
    /// Connects, and proves who we are.
    pub async fn open(host: &str, port: u16, secret: &str) -> Result<Channel, Fault> {
        let host = host.trim_matches(['[', ']']);
        let away = |why: String| {
            let message = format!("the driver on the Ray cluster at {host}:{port} cannot be reached: {why}");
            Fault::new(FaultKind::Provider, message).help("the head's ports must be open for this machine")
        };
        let stream = tokio::time::timeout(PATIENCE, TcpStream::connect((host, port))).await;
        let stream = stream.map_err(|_| away("no answer".into()))?.map_err(|e| away(e.to_string()))?;
        let _ = stream.set_nodelay(true);
        let (from, into) = stream.into_split();
        let (to, frames) = mpsc::unbounded_channel();
        let shared = Arc::<Shared>::default();
        let _ = to.send((json!({ "secret": secret }), Vec::new()));
        tokio::spawn(write(into, frames));
        tokio::spawn(read(from, shared.clone()));
        Ok(Channel { to, shared, next: AtomicU64::new(1), there: Mutex::default() })
    }

    /// Whether it still works.
    pub fn works(&self) -> bool {
        !self.shared.broken.load(Ordering::SeqCst)
    }

    /// Has a call carried out. Its files are below `out` when it is done.
    pub async fn call(&self, step: &Defined, args: &Args, out: &Path) -> Result<Result<Value, Fault>, Lost> {
        let (args, sent) = match files::named(args) {
            Ok(named) => named,
            Err(fault) => return Ok(Err(fault)),
        };
        if locked(&self.there).insert(step.name.clone()) {
            self.send(json!({ "step": step.name, "needs": step.needs }), step.text.clone())?;
        }
        for (name, path) in &sent.0 {
            if locked(&self.there).insert(name.clone()) {
                match std::fs::read(path) {
                    Ok(bytes) => self.send(json!({ "put": name }), bytes)?,
                    Err(error) => return Ok(Err(Fault::storage("read", path, &error))),
                }
            }
        }
        let id = self.next.fetch_add(1, Ordering::SeqCst);
        let (answer, answered) = oneshot::channel();
        locked(&self.shared.waiting).insert(id, answer);
        let under_way = UnderWay { channel: self, id };
        let blobs: Vec<&String> = sent.0.keys().collect();
        let body = Value::Object(args).to_string().into_bytes();
        self.send(json!({ "call": id, "step": step.name, "blobs": blobs }), body)?;
        // Broken between the look and the entry, nobody would wake us.
        if !self.works() {
            return Err(Lost);
        }
        let (header, body) = answered.await.map_err(|_| Lost)?;
        drop(under_way);
        if header.get("lost").is_some() {
            return Err(Lost);
        }
        Ok(result(&header, &body, &sent, out))
    }

    fn send(&self, header: Value, body: Vec<u8>) -> Result<(), Lost> {
        if !self.works() {
            return Err(Lost);
        }
        self.to.send((header, body)).map_err(|_| Lost)
    }
}

fn result(header: &Value, body: &[u8], sent: &Sent, out: &Path) -> Result<Value, Fault> {
    let unread = || Fault::new(FaultKind::Process, "the worker on the Ray cluster gave neither a value nor an error");
    let length = header["answer"].as_u64().and_then(|length| usize::try_from(length).ok()).ok_or_else(unread)?;
    let (answer, made) = body.split_at_checked(length).ok_or_else(unread)?;
    let mut answer: Value = serde_json::from_slice(answer).map_err(|_| unread())?;
    if let Some(fault) = answer.get("fault") {
        return Err(files::fault(fault));
    }
    let value = answer.get_mut("ok").map(take).ok_or_else(unread)?;
    files::write(&header["files"], made, out)?;
    files::renamed(value, sent, out)
}

async fn write(mut into: OwnedWriteHalf, mut frames: mpsc::UnboundedReceiver<Frame>) {
    let mut some = Vec::with_capacity(WRITTEN);
    while frames.recv_many(&mut some, WRITTEN).await > 0 {
        let mut bytes = Vec::new();
        for (header, body) in some.drain(..) {
            let header = header.to_string();
            bytes.extend((header.len() as u32).to_be_bytes());
            bytes.extend(header.as_bytes());
            bytes.extend((body.len() as u64).to_be_bytes());
            // A file is not copied.
            if body.len() > READ {
                if into.write_all(&take(&mut bytes)).await.is_err() || into.write_all(&body).await.is_err() {
                    return;
                }
            } else {
                bytes.extend(&body);
            }
        }
        if into.write_all(&bytes).await.is_err() {
            return;
        }
    }
}

async fn read(from: OwnedReadHalf, shared: Arc<Shared>) {
    let mut from = BufReader::with_capacity(READ, from);
    while let Some((header, body)) = frame(&mut from).await {
        let id = header.get("done").or_else(|| header.get("lost")).and_then(Value::as_u64);
        if let Some(waiting) = id.and_then(|id| locked(&shared.waiting).remove(&id)) {
            let _ = waiting.send((header, body));
        }
    }
    shared.broken.store(true, Ordering::SeqCst);
    // Whoever waits is told by the end of what it waits for.
    locked(&shared.waiting).clear();
}

async fn frame(from: &mut BufReader<OwnedReadHalf>) -> Option<Frame> {
    let size = from.read_u32().await.ok().filter(|size| *size <= MOST_HEADER)?;
    let mut header = vec![0; size as usize];
    from.read_exact(&mut header).await.ok()?;
    let size = from.read_u64().await.ok().filter(|size| *size <= MOST_BODY)?;
    let mut body = vec![0; usize::try_from(size).ok()?];
    from.read_exact(&mut body).await.ok()?;
    Some((serde_json::from_slice(&header).ok()?, body))
}
