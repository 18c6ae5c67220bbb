//! A call of a provider -> the typed answer: which protocol it is, and what all calls of a run share.

pub mod answer;
pub mod endpoint;
pub mod http;
pub mod pace;
pub mod paid;
pub mod price;
pub mod prompt;
pub mod retrieval;
pub mod sign;
pub mod status;

use super::batch::Each;
use super::chat::said::Tokens;
use super::chat::wire::{Dialect, Wire};
use super::chat::{self, unknown};
use super::{Call, shares};
use crate::plan::model::{Plan, Provider};
use crate::run::budget::Budget;
use crate::run::fault::Fault;
use crate::run::journal::replay::Replay;
use crate::run::pool::line::Rank;
use crate::run::probe::Env;
use crate::run::servers::find;
use crate::types::Type;
use endpoint::Endpoint;
use paid::Paid;
use price::Price;
use rust_decimal::Decimal;
use serde_json::Value;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::Instant;

/// The largest sound file that is sent.
const MOST_SOUND: u64 = 200 << 20;

/// An endpoint's address and the model that is asked there.
type Asked = (String, String);

/// What the calls of a run share: connections, money, and what endpoints were found to understand.
pub struct Shared {
    /// Connections.
    pub clients: http::Clients,
    /// Money.
    pub budget: Budget,
    dialects: RefCell<BTreeMap<Asked, Dialect>>,
    /// Whether somebody found out what an endpoint understands; held while somebody does.
    probes: RefCell<BTreeMap<Asked, Rc<Mutex<bool>>>>,
    /// Transcription models that know only `json`, without times.
    plain: RefCell<BTreeSet<Asked>>,
    /// When a provider that asked us to wait may be asked again, by its address.
    waits: RefCell<BTreeMap<String, Instant>>,
    /// How fast models may be asked.
    pace: pace::Pace,
}

impl Shared {
    /// What the calls of a run of a plan share; what earlier runtimes of the run spent is spent, and all together may spend so many dollars.
    pub fn new(plan: &Plan, earlier: Option<&Replay>, most: Option<Decimal>) -> Shared {
        Shared {
            clients: http::Clients::default(),
            budget: Budget::of(plan, earlier, most),
            dialects: RefCell::default(),
            probes: RefCell::default(),
            plain: RefCell::default(),
            waits: RefCell::default(),
            pace: pace::Pace::default(),
        }
    }

    /// What an endpoint was found to understand.
    pub fn dialect(&self, endpoint: &Endpoint, model: &str) -> Dialect {
        self.dialects.borrow().get(&asked(endpoint, model)).copied().unwrap_or(Dialect::BEST)
    }

    /// Remembers what an endpoint understands.
    pub fn learn(&self, endpoint: &Endpoint, model: &str, dialect: Dialect) {
        self.dialects.borrow_mut().insert(asked(endpoint, model), dialect);
    }

    /// Whether it is known what an endpoint understands.
    pub fn probe(&self, endpoint: &Endpoint, model: &str) -> Rc<Mutex<bool>> {
        self.probes.borrow_mut().entry(asked(endpoint, model)).or_default().clone()
    }

    /// A provider asked us to wait: all calls to it do.
    pub fn hold_off(&self, provider: &Provider, wait: Duration) {
        let until = Instant::now() + wait;
        let mut waits = self.waits.borrow_mut();
        let known = waits.entry(address(provider)).or_insert(until);
        *known = until.max(*known);
    }

    /// Waits until a provider may be asked with so many tokens; of the calls that wait, the one that ranks first goes first.
    pub async fn turn(&self, provider: &Provider, tokens: u64, rank: &Rank) {
        let address = address(provider);
        let until = || self.waits.borrow().get(&address).copied().filter(|until| *until > Instant::now());
        self.pace.turn(&address, (provider, tokens), rank, &until).await;
    }

    /// A call that counted with so many tokens took so many.
    pub fn took(&self, provider: &Provider, expected: u64, tokens: u64) {
        self.pace.took(&address(provider), provider, expected, tokens);
    }
}

fn asked(endpoint: &Endpoint, model: &str) -> Asked {
    (endpoint.url.to_string(), model.to_owned())
}

/// One address and one key are one account.
fn address(provider: &Provider) -> String {
    format!("{} {} {}", provider.url_env, provider.url, provider.key_env)
}

/// The protocol in which a provider's model is asked, where it is asked for an answer.
pub fn wire(provider: &Provider) -> Option<Wire> {
    match provider.api.as_str() {
        "chat" => Some(Wire::Completions),
        "responses" => Some(Wire::Responses),
        "messages" => Some(Wire::Messages),
        "converse" => Some(Wire::Converse),
        _ => None,
    }
}

/// Where a provider's model is.
pub fn endpoint(provider: &Provider, env: Env<'_>) -> Result<Endpoint, Fault> {
    let Provider { model, url_env, url, key_env, .. } = provider;
    let at = match wire(provider) {
        Some(Wire::Converse) => Endpoint::at_aws,
        _ => Endpoint::find,
    };
    at(env, &find::address(url_env, model, env), url, key_env)
}

/// One attempt of a call.
pub async fn call(call: &Call<'_>, provider: &Provider) -> Result<Value, Fault> {
    let Some(server) = call.server else {
        let endpoint = endpoint(provider, call.cx.env)?;
        return ask(call, provider, &endpoint).await;
    };
    let result = server.asking(provider, async |provider, endpoint| ask(call, provider, endpoint).await).await;
    call.used(|u| u.peak_bytes = u.peak_bytes.max(server.peak()));
    result
}

/// Asks a provider at its endpoint.
async fn ask(call: &Call<'_>, provider: &Provider, endpoint: &Endpoint) -> Result<Value, Fault> {
    if let Some(wire) = wire(provider) {
        return chat::call(call, wire, provider, endpoint).await;
    }
    match provider.api.as_str() {
        "transcription" => transcription(call, provider, endpoint).await,
        "embeddings" => retrieval::embeddings(call, provider, endpoint).await,
        "rerank" => retrieval::rerank(call, endpoint, &provider.model).await,
        other => Err(unknown(other)),
    }
}

/// One attempt of calls for embeddings, as one request.
pub async fn together(calls: &[Call<'_>], provider: &Provider) -> Each {
    let Some(first) = calls.first() else { return Ok(Vec::new()) };
    let Some(server) = first.server else {
        let endpoint = endpoint(provider, first.cx.env)?;
        return retrieval::together(calls, provider, &endpoint).await;
    };
    let ask = async |provider: &Provider, endpoint: &Endpoint| retrieval::together(calls, provider, endpoint).await;
    let result = server.asking(provider, ask).await;
    calls.iter().for_each(|call| call.used(|u| u.peak_bytes = u.peak_bytes.max(server.peak())));
    result
}

/// Sends a request that says nothing but its answer, paid from the budget: at most so many tokens are read.
pub async fn post(
    call: &Call<'_>,
    endpoint: &Endpoint,
    path: &str,
    body: http::Body<'_>,
    read: u64,
) -> Result<http::Reply, http::Refused> {
    post_for(std::slice::from_ref(call), endpoint, path, body, &[read]).await
}

/// The same for several calls at once, of each of which at most so many tokens are read: each pays its share of the one request.
pub async fn post_for(
    calls: &[Call<'_>],
    endpoint: &Endpoint,
    path: &str,
    body: http::Body<'_>,
    reads: &[u64],
) -> Result<http::Reply, http::Refused> {
    let call = calls.first().ok_or_else(|| Fault::plan("no call is to be made"))?;
    let provider = call.step.engine.provider().ok_or_else(|| Fault::plan("the step is not for a provider"))?;
    let price = Price::together(calls, provider);
    let planned = |call: &Call<'_>| call.step.predicted.cost_usd.checked_div(call.step.calls).unwrap_or_default();
    let cost = match price {
        Some(price) => price.cost(Tokens { read: reads.iter().sum(), cached: 0, written: 0 }),
        None => calls.iter().map(planned).sum(),
    };
    let held = Paid::reserve(call, cost, cost).await?;
    let what = match &body {
        http::Body::Json(json) => json.to_string(),
        http::Body::Sound { format, .. } => (*format).to_owned(),
    };
    let key = super::idempotency(calls, &[path, &what]);
    let reply = call.shared.clients.post(endpoint, path, body, key.as_deref()).await;
    let answered = reply.as_ref().map_or_else(http::Refused::answered, |_| true);
    let charged = reply.as_ref().map_or_else(|refused| refused.charged, |_| true);
    let tokens = reply.as_ref().ok().and_then(|reply| answer::tokens(&reply.body));
    let reported = price.and_then(|price| price.bill(tokens));
    let cost = held.settle(if charged { reported } else { Some(Decimal::ZERO) });
    let Tokens { read, written, .. } = tokens.unwrap_or_default();
    let (costs, read) = (shares::of_amount(cost, reads), shares::of_count(read, reads));
    let written = shares::of_count(written, reads);
    for (call, ((cost, read), written)) in calls.iter().zip(costs.into_iter().zip(read).zip(written)) {
        call.heard(answered);
        call.used(|u| {
            u.tokens_in = u.tokens_in.saturating_add(read);
            u.tokens_out = u.tokens_out.saturating_add(written);
            if charged && !provider.prices.is_empty() {
                u.cost_usd = Some(u.cost_usd.unwrap_or_default() + cost);
            }
        });
    }
    reply
}

async fn transcription(call: &Call<'_>, provider: &Provider, endpoint: &Endpoint) -> Result<Value, Fault> {
    let model = provider.model.as_str();
    if !Type::Transcript.fits(&call.step.output) && call.step.output != Type::Text {
        return Err(Fault::plan(format!("a transcription is no {}", call.step.output)));
    }
    let params = call.step.params.iter().filter(|(_, ty)| Type::Audio.fits(ty));
    let mut sounds = params.filter_map(|(name, _)| call.args.get(name));
    let sound = sounds.next().ok_or_else(|| Fault::plan("the step has no parameter of type Audio"))?;
    let file = super::arguments::file("audio", sound)?;
    let bytes = http::load(Path::new(&file), MOST_SOUND).await?;
    let duration = sound.get("duration").and_then(Value::as_f64);
    loop {
        let plain = call.shared.plain.borrow().contains(&asked(endpoint, model));
        let format = if plain { "json" } else { "verbose_json" };
        let form = http::Body::Sound { bytes: &bytes, file: &file, model, format };
        match post(call, endpoint, "audio/transcriptions", form, 0).await {
            Ok(reply) => {
                let transcript = answer::transcript(&reply, duration)?;
                return Ok(if call.step.output == Type::Text { transcript["text"].clone() } else { transcript });
            }
            Err(refused) if !plain && refused.status == Some(400) && refused.said.contains("response_format") => {
                call.shared.plain.borrow_mut().insert(asked(endpoint, model));
            }
            Err(refused) => return Err(refused.fault),
        }
    }
}

#[cfg(test)]
mod tests;
