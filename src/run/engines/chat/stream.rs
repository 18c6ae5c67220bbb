//! A response -> what the model said, with deadlines: for the first piece of the answer, between two pieces, and for all of it.

mod lines;
mod messages;

use super::said::Said;
use super::wire::{Step, Wire};
use crate::run::engines::openai::endpoint::Endpoint;
use crate::run::engines::openai::http::{Clients, Form, MOST_OF_ERROR, Opened, Refused, json};
use crate::run::fault::{Fault, FaultKind};
use futures_util::StreamExt;
use reqwest::RequestBuilder;
use std::cell::RefCell;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// How long a provider may take. Connecting has 10 s.
#[derive(Clone, Copy, Debug)]
pub struct Deadlines {
    /// Until the first piece of the answer, or of thoughts: what a model does before it cannot be seen. Signs of life do not count.
    pub first: Duration,
    /// Between two pieces.
    pub between: Duration,
    /// For all of it, where the plan says nothing else.
    pub total: Duration,
}

impl Default for Deadlines {
    fn default() -> Deadlines {
        let s = Duration::from_secs;
        Deadlines { first: s(120), between: s(30), total: s(600) }
    }
}

/// The longest line or message of a stream.
const MOST_OF_PART: usize = 1 << 20;

/// What came of a request, also where it came to nothing.
#[derive(Default)]
pub struct Heard {
    /// Host, status and request id.
    pub origin: RefCell<String>,
    /// The beginning of the body, as it was sent: the key may be in it.
    pub raw: RefCell<Vec<u8>>,
    /// From the request to the first piece.
    pub first: std::cell::Cell<Option<Duration>>,
}

impl Heard {
    /// Forgets what came, for another request.
    pub fn forget(&self) {
        self.raw.borrow_mut().clear();
        self.first.set(None);
    }

    fn keep(&self, part: &[u8]) {
        let mut raw = self.raw.borrow_mut();
        let room = MOST_OF_ERROR.saturating_sub(raw.len());
        raw.extend_from_slice(&part[..part.len().min(room)]);
    }
}

/// One request.
pub struct Exchange<'a> {
    /// The protocol.
    pub wire: Wire,
    /// Connections.
    pub clients: &'a Clients,
    /// Who is asked.
    pub to: &'a Endpoint,
    /// How long it may take.
    pub deadlines: Deadlines,
    /// The most tokens that it may say.
    pub max_tokens: u32,
    /// What came.
    pub heard: &'a Heard,
    /// Who is told the answer piece by piece, without the key.
    pub watch: Option<&'a dyn Fn(&str)>,
}

impl Exchange<'_> {
    /// Sends the request and reads what is said.
    pub async fn run(&self, request: RequestBuilder) -> Result<Said, Refused> {
        let begun = Instant::now();
        let whole = begun + self.deadlines.total;
        let first = (begun + self.deadlines.first).min(whole);
        let opened = timeout_at(first, self.clients.open(self.to, request)).await;
        let opened = opened.map_err(|_| self.late("did not begin to answer", first - begun))?;
        let mut opened = opened.inspect_err(|refused| self.heard.keep(refused.said.as_bytes()))?;
        *self.heard.origin.borrow_mut() = opened.origin.clone();
        if opened.form != Form::Whole {
            return Ok(self.events(opened, begun, first, whole).await?);
        }
        let mut bytes = Vec::new();
        loop {
            let due = (Instant::now() + self.deadlines.between).min(whole);
            let part = timeout_at(due, opened.chunk(self.to)).await;
            let late = |_| self.late("stopped in the middle of its answer", due - begun);
            let Some(part) = part.map_err(late)?? else { break };
            self.heard.keep(&part);
            bytes.extend_from_slice(&part);
        }
        let text = self.to.redact(&String::from_utf8_lossy(&bytes));
        Ok(self.wire.whole(&json(&text, &opened.origin)?))
    }

    async fn events(&self, opened: Opened, begun: Instant, first: Instant, whole: Instant) -> Result<Said, Fault> {
        let origin = opened.origin.clone();
        let events = match opened.form {
            Form::Messages => messages::data(opened, self).left_stream(),
            _ => lines::data(opened, self).right_stream(),
        };
        let mut events = std::pin::pin!(events);
        let mut said = Said::default();
        let mut due = first;
        let (mut pieces, mut told) = (0_u64, 0);
        loop {
            let event = timeout_at(due.min(whole), events.next()).await;
            let after = due.min(whole) - begun;
            let data = match event {
                // The answer is there; only the farewell is missing.
                Err(_) | Ok(Some(Err(_))) if said.ended => break,
                Ok(None) => break,
                Ok(Some(data)) => data?,
                Err(_) if self.heard.first.get().is_none() => return Err(self.late("did not begin to answer", after)),
                Err(_) => return Err(self.late("stopped in the middle of its answer", after)),
            };
            let data = self.to.redact(&data);
            match self.wire.event(&mut said, &data, &origin)? {
                Step::Idle => {}
                Step::Piece => {
                    if self.heard.first.get().is_none() {
                        self.heard.first.set(Some(begun.elapsed()));
                    }
                    due = Instant::now() + self.deadlines.between;
                    pieces += 1;
                    self.tell(&said.text, &mut told, false);
                    self.bounded(pieces, &origin)?;
                }
                Step::End => break,
            }
        }
        self.tell(&said.text, &mut told, true);
        // The key may have come in pieces.
        said.text = self.to.redact(&said.text);
        said.refusal = self.to.redact(&said.refusal);
        Ok(said)
    }

    /// Tells what came of an answer since `told`, but what may be the beginning of the key.
    fn tell(&self, text: &str, told: &mut usize, whole: bool) {
        let Some((watch, rest)) = self.watch.zip(text.get(*told..)) else { return };
        let settled = if whole { rest.len() } else { self.to.settled(rest) };
        if settled > 0 {
            watch(&self.to.redact(&rest[..settled]));
            *told += settled;
        }
    }

    /// A piece is a token or more, rarely less.
    fn bounded(&self, pieces: u64, origin: &str) -> Result<(), Fault> {
        if pieces <= 2 * u64::from(self.max_tokens) + 64 {
            return Ok(());
        }
        let message = format!("{origin} says more than the {} tokens that it was asked for", self.max_tokens);
        Err(Fault::new(FaultKind::Answer, message))
    }

    fn late(&self, what: &str, after: Duration) -> Fault {
        let origin = self.heard.origin.borrow();
        let who = if origin.is_empty() { self.to.host() } else { &origin };
        let message = format!("{who} {what}: no result within {} s", round(after));
        Fault::new(FaultKind::Timeout, message).help("raise the step's `timeout`, or try again").transient()
    }
}

fn round(after: Duration) -> f64 {
    (after.as_secs_f64() * 10.0).round() / 10.0
}

/// The fault of a stream that is not of its form.
fn unreadable(origin: &str) -> Fault {
    Fault::new(FaultKind::Answer, format!("{origin} sent a stream that cannot be read")).transient()
}

/// The fault of a line or message that has no end.
fn endless(origin: &str, what: &str) -> Fault {
    Fault::new(FaultKind::Answer, format!("{origin} sent {what} of more than {} MB", MOST_OF_PART >> 20))
}
