//! `--planner openai:MODEL`: the model behind the planner's questions, what it may spend, and what it has spent.

use super::options::PlannerOptions;
use crate::cli::{Failure, note};
use crate::expand::planner::{Asked, Bounds, Outcome, Request, plan};
use crate::legible::plain;
use crate::run::chat::{Chat, Listener, question};
use crate::run::engines::openai::endpoint::Endpoint;
use crate::run::fault::{Fault, FaultKind};
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use std::io::{IsTerminal, Write};
use std::time::Duration;

/// The shortest answer that is worth asking for, in tokens.
const LEAST: u64 = 256;

/// The option that names an endpoint.
const ENDPOINT: &str = "--endpoint";

/// A language model that fills holes.
pub struct Planner<'a> {
    chat: Chat<'a>,
    model: &'a str,
    name: String,
    bounds: Bounds,
    /// USD for a million tokens read and for a million written.
    price: Option<(Decimal, Decimal)>,
    budget: Option<Decimal>,
    spent: (u64, u64),
}

impl<'a> Planner<'a> {
    /// The planner that the options name, if any.
    pub fn of(options: &'a PlannerOptions) -> Result<Option<Planner<'a>>, Failure> {
        let Some(name) = &options.planner else { return Ok(None) };
        let Some(model) = name.strip_prefix("openai:").filter(|m| !m.is_empty()) else {
            return Err(Failure::Usage(format!("`--planner {name}`: a planner is `openai:MODEL`")));
        };
        let said_by = if options.endpoint.is_some() { ENDPOINT } else { "OPENAI_BASE_URL" };
        let env = |name: &str| match (name, &options.endpoint) {
            (ENDPOINT, Some(url)) => Some(url.clone()),
            _ => std::env::var(name).ok(),
        };
        let endpoint = Endpoint::find(&env, said_by, "https://api.openai.com/v1", "OPENAI_API_KEY");
        let mut chat = Chat::new(endpoint.map_err(|fault| Failure::Message(said(&fault)))?, model);
        if !(0.1..=3_600.0).contains(&options.answer_timeout) {
            return Err(Failure::Usage("`--answer-timeout` takes seconds, from 0.1 to 3600".into()));
        }
        chat.timeout = Duration::from_secs_f64(options.answer_timeout);
        let price = options.price.as_deref().map(price).transpose()?;
        let budget = options.budget.as_deref().map(money).transpose()?;
        let bounds = Bounds { samples: options.samples, rounds: options.rounds, tokens: options.tokens };
        let name = name.clone();
        Ok(Some(Planner { chat, model, name, bounds, price, budget, spent: (0, 0) }))
    }

    /// As it stands in the lock file.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The model.
    pub fn model(&self) -> &str {
        self.model
    }

    /// Asks for fills of a hole; what goes wrong is said, and typed search's fills remain.
    pub fn fill(&mut self, asked: &Asked, check: &mut dyn FnMut(&str) -> Vec<String>) -> Outcome {
        let left = self.bounds.tokens.saturating_sub(self.spent.0 + self.spent.1);
        let bounds = Bounds { tokens: left, ..self.bounds };
        let hole = format!("{}.{}", asked.job.name, asked.hole.name);
        let (chat, price, budget, before) = (&mut self.chat, self.price, self.budget, self.spent);
        let (mut asked_for, mut tokens) = (0, before);
        let mut ask = |request: &Request| {
            // What a question may cost is known before it is sent: one that does not fit is not sent.
            let read = question(request);
            let used = (tokens.0 - before.0) + (tokens.1 - before.1);
            let mut most = bounds.tokens.saturating_sub(used.saturating_add(read));
            let mut limit = format!("{} tokens", self.bounds.tokens);
            if let (Some(price), Some(budget)) = (price, budget) {
                let left = budget - cost(price, (tokens.0 + read, tokens.1));
                let afforded = written_for(price, left);
                if afforded < most {
                    (most, limit) = (afforded, format!("{budget} USD"));
                }
            }
            if most < LEAST {
                return Err(format!(
                    "a question of some {read} tokens and an answer of {LEAST} do not fit what is left of {limit}"
                ));
            }
            let max_tokens = request.max_tokens.min(u32::try_from(most).unwrap_or(u32::MAX));
            let request = &Request { max_tokens, ..request.clone() };
            asked_for += 1;
            note(&format!("{hole}: asking for a fill, request {asked_for}"));
            let progress = Progress::new(&hole);
            let listener =
                Listener { say: &|what| note(&format!("{hole}: {what}")), watch: &|bytes| progress.show(bytes) };
            let reply = chat.ask(request, &listener);
            progress.clear();
            tokens.0 += std::mem::take(&mut chat.in_vain);
            let reply = reply.map_err(|fault| said(&fault))?;
            tokens = (tokens.0 + reply.tokens.0, tokens.1 + reply.tokens.1);
            Ok(reply)
        };
        let mut refusals = 0;
        let outcome = plan(asked, &bounds, &mut ask, &mut |text| {
            let wrong = check(text);
            refusals += usize::from(!wrong.is_empty());
            wrong
        });
        self.spent = tokens;
        for refused in &outcome.refused {
            note(&format!("{hole}: a fill is refused: {}", refused.because));
        }
        if let Some(why) = &outcome.stopped {
            note(&format!("{hole}: {} is not asked further: {why}", self.name));
        }
        outcome
    }

    /// What was spent, in a line.
    pub fn account(&self) -> String {
        let (read, written) = self.spent;
        let money = self.price.map_or("; no `--price`, so no money is counted".to_string(), |price| {
            format!(", {} USD", cost(price, self.spent).round_dp(6).normalize())
        });
        format!("{}: {read} tokens read, {written} written{money}", self.name)
    }
}

/// How far an answer has come, on a line of the terminal that goes when it is there.
struct Progress<'a> {
    hole: &'a str,
    shown: std::cell::Cell<bool>,
}

impl<'a> Progress<'a> {
    fn new(hole: &'a str) -> Progress<'a> {
        Progress { hole, shown: std::cell::Cell::new(false) }
    }

    fn show(&self, bytes: usize) {
        if std::io::stderr().is_terminal() {
            self.shown.set(true);
            let _ = write!(std::io::stderr(), "\r{}: {bytes} bytes of an answer", self.hole);
        }
    }

    fn clear(&self) {
        if self.shown.take() {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}

/// A fault on one line, with what helps here: there is no step whose conditions could be changed.
fn said(fault: &Fault) -> String {
    let detail = fault.detail.as_ref().map_or(String::new(), |d| format!("; it said: {}", plain(d, 200)));
    let help = match fault.kind {
        FaultKind::Timeout => Some("give it longer with `--answer-timeout`"),
        _ if fault.transient => Some("try again later"),
        _ => fault.help.as_deref(),
    };
    let help = help.map_or(String::new(), |h| format!("; {h}"));
    format!("{}{detail}{help}", plain(&fault.message, 500))
}

/// Tokens that can be written for so much money.
fn written_for(price: (Decimal, Decimal), usd: Decimal) -> u64 {
    if usd.is_sign_negative() {
        return 0;
    }
    let tokens = (usd * Decimal::from(1_000_000)).checked_div(price.1);
    tokens.and_then(|tokens| tokens.floor().to_u64()).unwrap_or(u64::MAX)
}

fn cost(price: (Decimal, Decimal), tokens: (u64, u64)) -> Decimal {
    (price.0 * Decimal::from(tokens.0) + price.1 * Decimal::from(tokens.1)) / Decimal::from(1_000_000)
}

fn price(text: &str) -> Result<(Decimal, Decimal), Failure> {
    let parsed = text.split_once(',').and_then(|(a, b)| Some((number(a)?, number(b)?)));
    parsed.ok_or_else(|| {
        Failure::Usage(format!("`--price {text}`: two prices in USD for a million tokens, as 0.15,0.60"))
    })
}

/// Money as `0.05usd`.
pub fn money(text: &str) -> Result<Decimal, Failure> {
    let parsed = text.trim().strip_suffix("usd").and_then(|n| number(n.trim()));
    parsed.ok_or_else(|| Failure::Usage(format!("`{text}` is no money: write `0.05usd`")))
}

fn number(text: &str) -> Option<Decimal> {
    text.trim().parse::<Decimal>().ok().filter(|n| !n.is_sign_negative())
}
