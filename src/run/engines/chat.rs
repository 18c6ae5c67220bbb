//! A prompt with pictures, and a type -> a value of it, said by a model of a provider. What the provider promises of its answer is checked here.
//!
//! Each request is paid from the run's budget beforehand. What an endpoint does not understand is asked more simply, and what it
//! understood is remembered for the run; an answer of another type may be mended once.

pub mod agent;
pub mod said;
pub mod stream;
pub mod wire;

use super::Call;
use super::openai::answer::Shape;
use super::openai::endpoint::Endpoint;
use super::openai::http::{Body, IDEMPOTENCY, MOST_OF_ERROR, Refused};
use super::openai::paid::Paid;
use super::openai::price::Price;
use super::openai::prompt;
use crate::plan::model::Provider;
use crate::run::fault::{Fault, FaultKind, head};
use crate::run::observer::Event;
use crate::run::store;
use said::{Said, Tokens};
use serde_json::Value;
use std::time::Duration;
use stream::{Deadlines, Exchange, Heard};
use tokio::time::Instant;
use wire::{Ask, Dialect, Level, Talk, Wire, mending, messages, with_thoughts};

/// Answers of another type than was asked for that are sent back to be mended, in one attempt.
const MENDS: u32 = 1;
/// What a picture is counted as in tokens before the call: no provider's rule for pictures of the size that is sent gives more, but
/// that of models that count them many times over (see docs/providers.md).
const PICTURE: usize = 5_000;
/// Tokens around the text: roles, and what a provider adds itself (Anthropic's for tools are some 350).
const AROUND: usize = 600;
/// The least of an answer that is worth a request, in tokens.
const LEAST: u32 = 64;

/// One attempt of a call.
pub async fn call(call: &Call<'_>, wire: Wire, provider: &Provider, endpoint: &Endpoint) -> Result<Value, Fault> {
    if !provider.functions.is_empty() {
        return agent::turn(call, wire, provider, endpoint).await;
    }
    let shape = Shape::of(&call.step.output);
    let content = prompt::content(&provider.prompt, &call.args).await?;
    let asked = Asked { call, wire, provider, endpoint, shape: &shape, content: &content, talk: None };
    if matches!(shape, Shape::Text) {
        return asked.attempt().await;
    }
    // Where nobody knows yet what an endpoint understands, one call finds out, and the others wait for it.
    let probe = call.shared.probe(endpoint, &provider.model);
    let first = probe.lock().await;
    if *first {
        drop(first);
        return asked.attempt().await;
    }
    let mut first = first;
    let result = asked.attempt().await;
    *first = result.is_ok();
    result
}

struct Asked<'a> {
    call: &'a Call<'a>,
    wire: Wire,
    provider: &'a Provider,
    endpoint: &'a Endpoint,
    shape: &'a Shape,
    content: &'a Value,
    talk: Option<&'a Talk>,
}

impl Asked<'_> {
    async fn attempt(&self) -> Result<Value, Fault> {
        let limits = self.call.cx.deadlines;
        let total = self.call.step.conditions.timeout_ms.map_or(limits.total, Duration::from_millis);
        let mut left = total;
        let mut since = Vec::new();
        let mut mends = 0;
        let mut dialect = self.call.shared.dialect(self.endpoint, &self.provider.model);
        if !self.shape.strict() && !self.wire.by_tool() {
            dialect.level = dialect.level.max(Level::Object);
        }
        loop {
            let heard = Heard::default();
            let said = self.said(&mut dialect, &since, (&mut left, limits), &heard).await?;
            let origin = heard.origin.borrow().clone();
            match said.value(&origin, &self.call.step.output, self.shape) {
                Ok(Ok(value)) => return Ok(value),
                Ok(Err(mismatch)) if mends < MENDS && !left.is_zero() => {
                    self.kept(&heard, mismatch.fault);
                    mends += 1;
                    since = mending(head(&said.text, 8_000).to_owned(), &mismatch.why);
                }
                Ok(Err(mismatch)) => return Err(self.kept(&heard, mismatch.fault)),
                Err(fault) => return Err(self.kept(&heard, fault)),
            }
        }
    }

    /// What the model says, asked more simply where the endpoint does not understand the request.
    async fn said(
        &self,
        dialect: &mut Dialect,
        since: &[(&'static str, String)],
        (left, limits): (&mut Duration, Deadlines),
        heard: &Heard,
    ) -> Result<Said, Fault> {
        loop {
            let deadlines = Deadlines { total: *left, ..limits };
            let begun = Instant::now();
            let said = self.request(*dialect, since, deadlines, heard).await;
            *left = left.saturating_sub(begun.elapsed());
            let refused = match said {
                Ok(said) => return Ok(said),
                Err(refused) => refused,
            };
            let structured = self.talk.is_none() && !matches!(self.shape, Shape::Text);
            match simpler(self.wire, &refused, *dialect, structured) {
                Some(next) if !left.is_zero() => {
                    *dialect = next;
                    self.call.shared.learn(self.endpoint, &self.provider.model, *dialect);
                    heard.forget();
                }
                _ => return Err(self.kept(heard, refused.fault)),
            }
        }
    }

    /// One request, paid from the budget.
    async fn request(
        &self,
        dialect: Dialect,
        since: &[(&'static str, String)],
        deadlines: Deadlines,
        heard: &Heard,
    ) -> Result<Said, Refused> {
        let provider = self.provider;
        let mut ask = Ask {
            model: &provider.model,
            system: &provider.system,
            reasoning: &provider.reasoning,
            max_tokens: with_thoughts(&provider.reasoning, provider.max_tokens),
            content: self.content,
            shape: self.shape,
            since,
            seed: None,
            talk: self.talk,
        };
        let price = Price::of(self.call, provider);
        let held = match price {
            Some(price) => {
                let read = most_read(&ask);
                let held = self.reserve(price, read, ask.max_tokens).await?;
                ask.max_tokens = price.affords(held.usd(), read, ask.max_tokens);
                Some((held, price))
            }
            None => None,
        };
        let body = self.wire.request(&ask, dialect);
        let clients = &self.call.shared.clients;
        let path = self.wire.path(&provider.model, dialect);
        let request = clients.posting(self.endpoint, &path, Body::Json(&body), self.wire.key())?;
        let request = match self.wire {
            Wire::Messages => request.header("anthropic-version", messages::VERSION),
            _ => request,
        };
        let request = match self.call.idempotency(&[&path, &body.to_string()]) {
            Some(key) => request.header(IDEMPOTENCY, key),
            None => request,
        };
        let step = self.call.step;
        let tell = |text: &str| self.call.cx.observer.event(&Event::Piece { step, text });
        let watched = self.call.answers_run && self.talk.is_none() && matches!(self.shape, Shape::Text);
        let exchange = Exchange {
            wire: self.wire,
            clients,
            to: self.endpoint,
            deadlines,
            max_tokens: ask.max_tokens,
            heard,
            watch: watched.then_some(&tell as &dyn Fn(&str)),
        };
        let said = exchange.run(request).await;
        self.call.heard(said.as_ref().map_or_else(Refused::answered, |_| true));
        let charged = said.as_ref().map_or_else(|refused| refused.charged, |_| true);
        self.account(held, charged, said.as_ref().ok(), heard);
        said
    }

    /// Reserves what the request can cost at most; with less, if that is still what the plan counts with.
    async fn reserve(&self, price: Price, read: u64, written: u32) -> Result<Paid<'_>, Fault> {
        let step = self.call.step;
        let most = price.cost(Tokens { read, cached: 0, written: u64::from(written) });
        let least = price.cost(Tokens { read, cached: 0, written: u64::from(written.min(LEAST)) });
        let planned = step.predicted.cost_usd.checked_div(step.calls).unwrap_or_default();
        Paid::reserve(self.call, least.max(planned).min(most), most).await
    }

    fn account(&self, held: Option<(Paid<'_>, Price)>, charged: bool, said: Option<&Said>, heard: &Heard) {
        let cost = held.map(|(held, price)| match charged {
            false => held.settle(Some(rust_decimal::Decimal::ZERO)),
            true => held.settle(price.bill(said.and_then(Said::counted))),
        });
        self.call.used(|u| {
            let Tokens { read, cached, written } = said.and_then(|said| said.tokens).unwrap_or_default();
            u.tokens_in = u.tokens_in.saturating_add(read);
            u.tokens_cached = u.tokens_cached.saturating_add(cached);
            u.tokens_out = u.tokens_out.saturating_add(written);
            if let Some(cost) = cost.filter(|_| charged) {
                u.cost_usd = Some(u.cost_usd.unwrap_or_default() + cost);
            }
            if let Some(first) = heard.first.get() {
                u.first += first;
                u.firsts += 1;
            }
        });
    }

    /// Keeps what was sent, without the key, beside the call's output, for whoever wants to know what was wrong with it.
    fn kept(&self, heard: &Heard, fault: Fault) -> Fault {
        let raw = heard.raw.borrow();
        if !raw.is_empty() {
            let text = self.endpoint.redact(&String::from_utf8_lossy(&raw));
            let number = self.call.usage.get().attempts;
            let file = self.call.folder.join(format!("answer-{number}.txt"));
            // The fault says more than that it could not be kept.
            let _ = store::write(&file, head(&text, MOST_OF_ERROR).as_bytes());
        }
        fault
    }
}

/// The most tokens that a request can be read as: no tokenizer makes more than one of a byte.
fn most_read(ask: &Ask<'_>) -> u64 {
    let parts = ask.content.as_array();
    let text: usize = match parts {
        None => ask.content.as_str().map_or(0, str::len),
        Some(parts) => parts.iter().filter_map(|p| p["text"].as_str()).map(str::len).sum(),
    };
    let pictures = parts.map_or(0, |p| p.iter().filter(|p| p["text"].is_null()).count());
    let schema = if matches!(ask.shape, Shape::Text) { 0 } else { ask.shape.schema().to_string().len() };
    let since: usize = ask.since.iter().map(|(_, text)| text.len()).sum();
    let talk = ask.talk.map_or(0, |talk| {
        let functions = talk.functions.iter().map(|f| f.name.len() + f.says.len() + f.schema.to_string().len());
        let told = talk.exchanges.iter().map(|e| e.name.len() + e.arguments.to_string().len() + e.result.len());
        let pictures = talk.pictures.len() + talk.exchanges.iter().map(|e| e.pictures.len()).sum::<usize>();
        functions.chain(told).map(|n| n + 40).sum::<usize>() + pictures * PICTURE
    });
    (ask.system.len() + text + pictures * PICTURE + schema + since + talk + AROUND) as u64
}

/// A simpler request that an endpoint may accept after it refused one; each step down is taken once, so that this ends.
pub fn simpler(wire: Wire, refused: &Refused, dialect: Dialect, structured: bool) -> Option<Dialect> {
    if !matches!(refused.status, Some(400 | 404 | 415 | 422 | 500 | 501)) {
        return None;
    }
    let said = refused.said.to_lowercase();
    let about = |words: &[&str]| words.iter().any(|word| said.contains(word));
    if refused.status == Some(404) && !about(&["response_format", "json_schema"]) {
        return None;
    }
    if wire == Wire::Completions && !dialect.completion_tokens && about(&["max_completion_tokens"]) {
        return Some(Dialect { completion_tokens: true, ..dialect });
    }
    if wire == Wire::Completions && dialect.seed && about(&["`seed`", "'seed'", "\"seed\"", " seed"]) {
        return Some(Dialect { seed: false, ..dialect });
    }
    if wire == Wire::Completions && dialect.stream && dialect.usage && about(&["stream_options", "include_usage"]) {
        return Some(Dialect { usage: false, ..dialect });
    }
    let format = ["response_format", "json_schema", "json_object", "schema", "grammar", "structured", "guided", "tool"];
    if structured && about(&format) {
        return match (dialect.level, wire) {
            (Level::Schema, wire) if wire.by_tool() => Some(Dialect { level: Level::Prompt, ..dialect }),
            (Level::Schema, _) => Some(Dialect { level: Level::Object, ..dialect }),
            (Level::Object, _) => Some(Dialect { level: Level::Prompt, ..dialect }),
            (Level::Prompt, _) => None,
        };
    }
    if dialect.pictures && about(&["image", "picture", "vision", "multimodal"]) {
        return Some(Dialect { pictures: false, ..dialect });
    }
    (dialect.stream && about(&["stream"])).then_some(Dialect { stream: false, ..dialect })
}

/// The fault of an API that this version does not speak.
pub fn unknown(api: &str) -> Fault {
    Fault::new(FaultKind::Unsupported, format!("this version does not speak the provider API `{api}`"))
}
