//! A planner's request → its answer in text, by the client that runs use for Chat Completions: streamed, with deadlines, asked more simply
//! where an endpoint does not understand the better form, and again, a bounded number of times, where that may help.

use super::block_on;
use super::engines::chat::said::{Said, Stop};
use super::engines::chat::simpler;
use super::engines::chat::stream::{Deadlines, Exchange, Heard};
use super::engines::chat::wire::{Ask, Dialect, Wire};
use super::engines::openai::answer::Shape;
use super::engines::openai::endpoint::Endpoint;
use super::engines::openai::http::{Body, Clients, Refused};
use super::fault::{Fault, FaultKind};
use super::value;
use crate::expand::planner::{Reply, Request};
use serde_json::Value;
use std::cell::Cell;
use std::time::Duration;

/// The longest that a provider's wish to wait is followed.
const LONGEST_WAIT: Duration = Duration::from_secs(20);
/// The first wait where a provider names none; doubles.
const FIRST_WAIT: Duration = Duration::from_millis(300);

/// A chat endpoint, and what it was found to understand.
pub struct Chat<'a> {
    endpoint: Endpoint,
    model: &'a str,
    /// How long an answer may take.
    pub timeout: Duration,
    /// Attempts where another one may help.
    pub attempts: u32,
    /// Tokens, estimated, of requests that gave no answer and that the provider may charge for; whoever counts them takes them.
    pub in_vain: u64,
    dialect: Dialect,
}

/// Who is told of an answer while it comes.
pub struct Listener<'a> {
    /// Waits, and simpler requests.
    pub say: &'a dyn Fn(&str),
    /// How long the answer is so far, in bytes.
    pub watch: &'a dyn Fn(usize),
}

impl<'a> Chat<'a> {
    /// An endpoint and one of its models.
    pub fn new(endpoint: Endpoint, model: &'a str) -> Chat<'a> {
        Chat { endpoint, model, timeout: Duration::from_secs(60), attempts: 3, in_vain: 0, dialect: Dialect::BEST }
    }

    /// Asks, and asks again where that may help.
    pub fn ask(&mut self, request: &Request, listener: &Listener<'_>) -> Result<Reply, Fault> {
        let mut wait = FIRST_WAIT;
        let mut attempt = 1;
        loop {
            // Connections belong to the runtime that made them.
            let sent = block_on(self.once(request, listener));
            let sent = sent.map_err(|e| Fault::new(FaultKind::Provider, format!("the runtime cannot start: {e}")))?;
            let refused = match sent {
                Ok(reply) => return Ok(reply),
                Err(refused) => refused,
            };
            if refused.charged {
                self.in_vain += question(request);
            }
            if let Some(next) = simpler(Wire::Completions, &refused, self.dialect, true) {
                (listener.say)("the endpoint does not know this form of request: asking in a simpler one");
                self.dialect = next;
                continue;
            }
            if !refused.fault.transient || attempt >= self.attempts {
                return Err(refused.fault);
            }
            let asked = refused.fault.retry_after.unwrap_or(wait);
            if asked > LONGEST_WAIT {
                let fault = Fault { transient: false, ..refused.fault };
                return Err(fault.help(format!("the provider asks to wait {} s: try again then", asked.as_secs())));
            }
            (listener.say)(&format!(
                "{}: attempt {} of {} in {:.1} s",
                refused.fault.message,
                attempt + 1,
                self.attempts,
                asked.as_secs_f64()
            ));
            std::thread::sleep(asked);
            wait *= 2;
            attempt += 1;
        }
    }

    async fn once(&self, request: &Request, listener: &Listener<'_>) -> Result<Reply, Refused> {
        let (content, shape) = (Value::from(request.prompt.as_str()), Shape::Object(request.schema.clone(), true));
        let ask = Ask {
            model: self.model,
            system: &request.system,
            reasoning: "",
            max_tokens: request.max_tokens,
            content: &content,
            shape: &shape,
            since: &request.since,
            seed: Some(request.sample),
            talk: None,
        };
        let body = Wire::Completions.request(&ask, self.dialect);
        let (clients, heard) = (Clients::default(), Heard::default());
        let between = self.timeout.min(Deadlines::default().between);
        let bytes = Cell::new(0);
        let watch = |piece: &str| (listener.watch)(bytes.replace(bytes.get() + piece.len()) + piece.len());
        let exchange = Exchange {
            wire: Wire::Completions,
            clients: &clients,
            to: &self.endpoint,
            deadlines: Deadlines { first: self.timeout, between, total: self.timeout },
            max_tokens: request.max_tokens,
            heard: &heard,
            watch: Some(&watch),
        };
        let (path, key) = (Wire::Completions.path(self.model, self.dialect), Wire::Completions.key());
        let said = exchange.run(clients.posting(&self.endpoint, &path, Body::Json(&body), key)?).await?;
        // An answer that was cut short is refused as a fill, so that the model hears of it.
        if said.stop != Stop::Length {
            let origin = heard.origin.borrow();
            said.whole(&origin)?;
        }
        // A report of nothing beside an answer is none.
        let tokens = said.counted().map_or_else(|| estimated(request, &said), |t| (t.read, t.written));
        Ok(Reply { text: said.text, tokens })
    }
}

/// Tokens of a question, estimated.
pub fn question(request: &Request) -> u64 {
    estimated(request, &Said::default()).0
}

/// Tokens of an exchange of which the provider does not say them, so that limits hold all the same.
fn estimated(request: &Request, said: &Said) -> (u64, u64) {
    let since: u64 = request.since.iter().map(|(_, text)| value::tokens(text)).sum();
    (value::tokens(&request.system) + value::tokens(&request.prompt) + since, value::tokens(&said.text))
}
