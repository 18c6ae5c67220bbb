//! Connections: a bounded number of them, and none that stands still for long. A reader that does not take what is sent, and a sender that
//! does not go on, are cut off; whatever they come back for is in the store.

use super::owner::owner;
use super::tls::{Tls, Wire};
use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep};

/// How long a connection may stand still: bytes that nobody takes, or nothing in either direction.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// With bytes that the other side does not take.
    pub write: Duration,
    /// With nothing at all; longer than the pause between heartbeats of event streams, and than an answer takes that needs a plan.
    pub idle: Duration,
    /// From the beginning of a request, and of a connection, until the request's head is whole, however its bytes trickle in.
    pub head: Duration,
}

/// Who is at the other end.
#[derive(Clone, Copy, Debug)]
pub struct Peer {
    /// From where.
    pub address: SocketAddr,
    /// The user of this machine who made the connection, where that was looked for.
    pub owner: Option<u32>,
}

impl Connected<IncomingStream<'_, Door>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Door>) -> Peer {
        Peer { address: *stream.remote_addr(), owner: stream.io().owner }
    }
}

/// Files that a process has open beside its connections.
const OTHER_FILES: u64 = 512;

/// Lets this process have so many connections open, as far as it may: the usual limit is 1024 files.
pub fn allow(connections: usize) {
    let now = getrlimit(Resource::Nofile);
    let needed = (connections as u64).saturating_add(OTHER_FILES);
    let most = now.maximum.map_or(needed, |most| needed.min(most));
    if now.current.is_some_and(|current| current < most) {
        // One that cannot be raised shows when connections have to wait.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(most), maximum: now.maximum });
    }
}

/// A listener that lets in only so many at once.
pub struct Door {
    listener: TcpListener,
    room: Arc<Semaphore>,
    patience: Patience,
    /// Whether it is looked for which user of this machine makes a connection.
    owners: bool,
    tls: Option<Tls>,
}

impl Door {
    /// A door for so many connections at once.
    pub fn new(listener: TcpListener, most: usize, patience: Patience, owners: bool) -> Door {
        Door { listener, room: Arc::new(Semaphore::new(most)), patience, owners, tls: None }
    }

    /// The same, where connections are in TLS.
    pub fn in_tls(self, tls: Option<Tls>) -> Door {
        Door { tls, ..self }
    }
}

impl Listener for Door {
    type Io = Line;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Line, SocketAddr) {
        loop {
            // The semaphore is never closed. Who comes when all places are taken waits in the kernel.
            let Ok(permit) = self.room.clone().acquire_owned().await else { std::future::pending().await };
            match self.listener.accept().await {
                Ok((stream, from)) => {
                    // Small answers must not wait for more to be sent with them.
                    let _ = stream.set_nodelay(true);
                    let own = stream.local_addr().ok().filter(|_| self.owners);
                    let owner = own.and_then(|own| owner(from, own));
                    let wire = match &self.tls {
                        Some(tls) => tls.wire(stream),
                        None => Wire::Plain(stream),
                    };
                    return (Line::new(wire, self.patience, permit, owner), from);
                }
                // One that has gone away again is no reason to wait; having no more file descriptors is.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(_) => sleep(Duration::from_millis(200)).await,
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection that is cut off where it stands still.
pub struct Line {
    stream: Wire,
    patience: Patience,
    /// When it is cut off, unless something moves.
    end: Pin<Box<Sleep>>,
    /// Whether the other side does not take what is written.
    stalled: bool,
    /// What is being read.
    part: Part,
    owner: Option<u32>,
    _permit: OwnedSemaphorePermit,
}

/// What a connection is about to read.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Part {
    /// A request's head, until then; whether it has begun, and how many of the bytes that were read last are line breaks.
    Head { until: Instant, begun: bool, breaks: u8 },
    /// What comes behind it, an upload's bytes say.
    Body,
    /// The next request, which may take its time to come.
    Next,
}

impl Part {
    /// A head of which nothing has come yet.
    fn head(patience: Patience) -> Part {
        Part::Head { until: Instant::now() + patience.head, begun: false, breaks: 0 }
    }
}

/// How an answer begins that asks for the request's body.
const GO_ON: &[u8] = b"HTTP/1.1 100";

impl Line {
    fn new(stream: Wire, patience: Patience, permit: OwnedSemaphorePermit, owner: Option<u32>) -> Line {
        let part = Part::head(patience);
        let end = Box::pin(sleep(patience.idle.min(patience.head)));
        Line { stream, patience, end, stalled: false, part, owner, _permit: permit }
    }

    fn moved(&mut self) {
        self.stalled = false;
        let idle = Instant::now() + self.patience.idle;
        let end = if let Part::Head { until, .. } = self.part { idle.min(until) } else { idle };
        self.end.as_mut().reset(end);
    }

    /// Bytes have come.
    fn came(&mut self, bytes: &[u8]) {
        let head = if self.part == Part::Next { Part::head(self.patience) } else { self.part };
        let Part::Head { until, mut begun, mut breaks } = head else { return };
        for byte in bytes {
            match byte {
                b'\r' => {}
                // Empty lines before a request are no head.
                b'\n' => breaks += u8::from(begun),
                _ => (begun, breaks) = (true, 0),
            }
            if breaks == 2 {
                self.part = Part::Body;
                return;
            }
        }
        self.part = Part::Head { until, begun, breaks };
    }

    /// An answer begins or goes on: what comes next is another request, unless the answer asks for the rest of this one.
    fn answered(&mut self, bytes: &[u8]) {
        if !bytes.starts_with(GO_ON) {
            self.part = Part::Next;
        }
    }

    /// Ready once the patience is at an end.
    fn late(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        ready!(self.end.as_mut().poll(cx));
        Poll::Ready(still())
    }

    fn wrote(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match written {
            Poll::Ready(Ok(bytes)) => {
                self.moved();
                Poll::Ready(Ok(bytes))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => {
                if !std::mem::replace(&mut self.stalled, true) {
                    self.end.as_mut().reset(Instant::now() + self.patience.write);
                }
                self.late(cx).map(Err)
            }
        }
    }
}

fn still() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "the connection stands still")
}

impl AsyncRead for Line {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let line = self.get_mut();
        let before = buffer.filled().len();
        match Pin::new(&mut line.stream).poll_read(cx, buffer) {
            Poll::Ready(Ok(())) => {
                if buffer.filled().len() > before {
                    line.came(&buffer.filled()[before..]);
                    // Who sends without a pause is not waited for, and may be late all the same.
                    if matches!(line.part, Part::Head { until, .. } if Instant::now() >= until) {
                        return Poll::Ready(Err(still()));
                    }
                    if !line.stalled {
                        line.moved();
                    }
                }
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => line.late(cx).map(Err),
        }
    }
}

impl AsyncWrite for Line {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let line = self.get_mut();
        line.answered(bytes);
        let written = Pin::new(&mut line.stream).poll_write(cx, bytes);
        line.wrote(cx, written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let line = self.get_mut();
        line.answered(bytes.iter().find(|part| !part.is_empty()).map_or(&[][..], |part| &part[..]));
        let written = Pin::new(&mut line.stream).poll_write_vectored(cx, bytes);
        line.wrote(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::block_on;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    const PATIENCE: Patience =
        Patience { write: Duration::from_millis(50), idle: Duration::from_millis(400), head: Duration::from_secs(60) };

    async fn pair(patience: Patience) -> (Line, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let mut door = Door::new(listener, 1, patience, false);
        let client = TcpStream::connect(address);
        let ((line, _), client) = tokio::join!(door.accept(), client);
        (line, client.expect("connected"))
    }

    #[test]
    fn who_takes_nothing_is_cut_off() {
        block_on(async {
            let (mut line, client) = pair(PATIENCE).await;
            let part = vec![0; 1 << 20];
            // The kernel takes some of it; then nobody does.
            let error = loop {
                match line.write(&part).await {
                    Ok(_) => {}
                    Err(error) => break error,
                }
            };
            assert_eq!(error.kind(), io::ErrorKind::TimedOut);
            drop(client);
        })
        .expect("a runtime");
    }

    #[test]
    fn a_head_that_trickles_in_is_cut_off_and_a_body_is_not() {
        block_on(async {
            let (mut line, mut client) = pair(Patience { head: Duration::from_millis(200), ..PATIENCE }).await;
            client.write_all(b"\r\n\r\nPOST / HTTP/1.1\r\nA: b\r\n\r").await.expect("sent");
            client.write_all(b"\nbody").await.expect("sent");
            let mut head = [0; 33];
            line.read_exact(&mut head).await.expect("a head, and the beginning of a body");
            assert_eq!(line.part, Part::Body);
            line.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await.expect("sent");
            assert_eq!(line.part, Part::Body);
            line.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.expect("sent");
            assert_eq!(line.part, Part::Next);
            let error = loop {
                client.write_all(b"G").await.expect("sent");
                tokio::time::sleep(Duration::from_millis(10)).await;
                match line.read_u8().await {
                    Ok(byte) => assert_eq!(byte, b'G'),
                    Err(error) => break error,
                }
            };
            assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        })
        .expect("a runtime");
    }

    #[test]
    fn who_says_nothing_is_cut_off_and_who_goes_on_is_not() {
        block_on(async {
            let (mut line, mut client) = pair(PATIENCE).await;
            // Longer than the patience in all, and far shorter each time.
            for _ in 0..60 {
                client.write_all(b"x").await.expect("sent");
                assert_eq!(line.read_u8().await.expect("read"), b'x');
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            let error = line.read_u8().await.expect_err("nothing comes");
            assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        })
        .expect("a runtime");
    }
}
