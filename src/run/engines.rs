//! A call of a step -> its value: the engine is chosen by the plan; deadlines, retries and the check of the result are here.

pub mod arguments;
pub mod batch;
pub mod browser;
pub mod builtin;
pub mod chat;
pub mod child;
pub mod framed;
pub mod http;
pub mod interpreter;
mod keeper;
pub mod kept;
pub mod mcp;
pub mod openai;
pub mod process;
pub mod python;
pub mod readers;
pub mod sandbox;
pub mod shares;
pub mod template;
pub mod typed;
pub mod worker;

use super::RunContext;
use super::fault::{Fault, FaultKind};
use super::journal::asked::Asked;
use super::meter::Usage;
use super::observer::Event;
use super::pool::line::Rank;
use super::remote::{Working, portable};
use super::servers::serving::Lease;
use super::store;
use super::under_way::UnderWay;
use super::value::{check, tokens};
use crate::digest::digest;
use crate::plan::model::{Engine, PlanStep};
use serde_json::Value;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// The arguments of a call, by parameter name; an absent optional one is null.
pub type Args = BTreeMap<String, Arc<Value>>;

/// Most attempts after the first, whatever a plan says: nothing is retried without end.
const MOST_RETRIES: u32 = 20;
/// How often, and how long together, a provider that says when to come again is waited for: this is no failure, and not without end.
const MOST_PUT_OFF: u32 = 8;
const LONGEST_PATIENCE: Duration = Duration::from_secs(300);
/// The longest wait between two attempts, also where a provider asks for more.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// One call of a step.
pub struct Call<'a> {
    /// The step.
    pub step: &'a PlanStep,
    /// The arguments.
    pub args: Args,
    /// The folder of this call.
    pub folder: PathBuf,
    /// Which call of the step this is, from 0.
    pub number: u64,
    /// What the journal says of it, where there is one.
    pub asked: Option<&'a Asked>,
    /// The run.
    pub cx: &'a RunContext<'a>,
    /// What calls share.
    pub shared: &'a openai::Shared,
    /// Processes and sessions that outlive a call.
    pub kept: &'a kept::Kept,
    /// The model server that answers it, where mkbc started one.
    pub server: Option<&'a Lease<'a>>,
    /// The GPUs that it is to use, by UUID; none where the plan has none for it, a server has them, or there are none here.
    pub gpus: &'a [String],
    /// Where it stands among those that wait for the same provider.
    pub rank: Rank,
    /// Attempts that were made of it together with other calls.
    pub before: Before,
    /// Whether its value is a text and the run's answer: whoever watches has it as it is made.
    pub answers_run: bool,
    /// What it used, over all attempts.
    pub usage: Cell<Usage>,
    /// Answers of a provider so far, good or bad.
    pub answers: Cell<u32>,
    /// That it is under way, where somebody counts.
    pub under_way: Option<&'a UnderWay>,
}

/// Attempts at a call that were made together with others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Before {
    /// All of them, which have their folders.
    pub made: u32,
    /// Those that were its own failures: the others say nothing of it.
    pub failed: u32,
}

impl Call<'_> {
    /// Adds to what was used.
    pub fn used(&self, add: impl FnOnce(&mut Usage)) {
        let mut usage = self.usage.get();
        add(&mut usage);
        self.usage.set(usage);
    }

    /// The key of a request: the same where the same request may have been made before and nobody knows what came of it, another one
    /// after an answer, since a provider would give that again.
    pub fn idempotency(&self, request: &[&str]) -> Option<String> {
        let call = self.asked?.idempotency();
        let answers = self.answers.get().to_string();
        Some(digest([call, &self.step.implementation, &answers].into_iter().chain(request.iter().copied())))
    }

    /// Tokens read and written so far.
    fn tokens(&self) -> u64 {
        let usage = self.usage.get();
        usage.tokens_in.saturating_add(usage.tokens_out)
    }

    /// A request came to its end, with an answer or not.
    pub fn heard(&self, answered: bool) {
        self.answers.set(self.answers.get() + u32::from(answered));
    }

    /// The folder of an attempt. What an earlier runtime left running may still write to its own, never to this one's.
    fn out(&self, attempt: u32) -> String {
        match self.cx.recorder.map(|r| r.fence()).filter(|fence| *fence > 1) {
            None => format!("out-{attempt}"),
            Some(fence) => format!("out-{fence}-{attempt}"),
        }
    }
}

/// The key of a request that several calls make as one; none where one of them has none.
fn idempotency(calls: &[Call<'_>], request: &[&str]) -> Option<String> {
    let keys = calls.iter().map(|call| call.idempotency(request)).collect::<Option<Vec<_>>>()?;
    match keys.as_slice() {
        [own] => Some(own.clone()),
        all => Some(digest(all.iter().map(String::as_str))),
    }
}

/// Carries out a call: attempts until one succeeds, one fails for good, or the plan allows no more.
pub async fn call(call: &Call<'_>) -> Result<Value, Fault> {
    attempts(std::slice::from_ref(call), async |attempt| {
        let out = out(call, attempt)?;
        if let Engine::Mcp { server, .. } = &call.step.engine {
            Box::pin(mcp::opened(call, server)).await?;
        }
        checked(limited(call, 1, once(call, &out)).await?, call.step)
    })
    .await
}

/// Carries out calls as one, each of which then has its own value or fault; a fault of all where nobody knows whose it is.
pub async fn together(calls: &[Call<'_>]) -> Result<Vec<Result<Value, Fault>>, Fault> {
    let Some(first) = calls.first() else { return Ok(Vec::new()) };
    attempts(calls, async |attempt| {
        let outs = calls.iter().map(|call| out(call, attempt)).collect::<Result<Vec<_>, _>>()?;
        let values = limited(first, calls.len() as u32, batch::once(calls, &outs)).await?;
        Ok(values.into_iter().zip(calls).map(|(value, call)| checked(value?, call.step)).collect())
    })
    .await
}

/// Attempts at calls that are made as one: of the provider and the conditions of the first, which all of them have.
async fn attempts<T>(calls: &[Call<'_>], once: impl AsyncFn(u32) -> Result<T, Fault>) -> Result<T, Fault> {
    let Some(call) = calls.first() else { return Err(Fault::plan("no call is to be made")) };
    let conditions = &call.step.conditions;
    let provider = call.step.engine.provider();
    let Before { made, failed } = call.before;
    let mut attempt = made + 1;
    // Attempts that a provider put off, and how long we waited for it: these are no failures.
    let (mut put_off, mut waited) = (made - failed, Duration::ZERO);
    loop {
        // What is written is known afterwards.
        let counted = provider.filter(|p| p.tokens_per_s.is_some());
        let expected = counted.map_or(0, |_| calls.iter().map(|call| given_tokens(&call.args)).sum());
        let tokens = || calls.iter().map(Call::tokens).sum::<u64>();
        let before = tokens();
        if let Some(provider) = provider {
            call.shared.turn(provider, expected, &call.rank).await;
        }
        calls.iter().for_each(|call| call.used(|u| u.attempts += 1));
        let result = once(attempt).await;
        if let Some(provider) = provider {
            call.shared.took(provider, expected, tokens().saturating_sub(before));
        }
        let fault = match result {
            Ok(value) => return Ok(value),
            Err(fault) => fault,
        };
        let asked = provider.zip(fault.retry_after);
        let patient = asked.is_some() && put_off < MOST_PUT_OFF && waited < LONGEST_PATIENCE;
        let failed = attempt - put_off;
        // Of several calls any one may be to blame for what no provider says of itself: each is then made by itself.
        let blameless = calls.len() == 1 || of_all(&fault);
        if !fault.transient || !blameless || (!patient && failed > conditions.retries.min(MOST_RETRIES)) {
            return Err(if attempt > 1 {
                Fault { message: format!("{} (attempt {attempt})", fault.message), ..fault }
            } else {
                fault
            });
        }
        let wait = again(call, attempt, &fault);
        for other in calls.iter().skip(1) {
            call.cx.observer.event(&Event::Retried { step: other.step, attempt, wait, fault: &fault });
        }
        if let Some((provider, _)) = asked {
            call.shared.hold_off(provider, wait);
        }
        if patient {
            (put_off, waited) = (put_off + 1, waited + wait);
        }
        let _rests: Vec<_> = calls.iter().skip(1).filter_map(|call| Some(call.under_way?.rest())).collect();
        pause(call, wait).await;
        attempt += 1;
    }
}

/// Says that a call is made again after an attempt of it failed, and how long it waits before.
pub fn again(call: &Call<'_>, attempt: u32, fault: &Fault) -> Duration {
    let wait = wait(call, attempt, fault.retry_after);
    call.cx.observer.event(&Event::Retried { step: call.step, attempt, wait, fault });
    wait
}

/// Waits before a call's next attempt. A run that is to end gently does not wait for it, and makes no further attempt.
pub async fn pause(call: &Call<'_>, wait: Duration) {
    let _rest = call.under_way.map(UnderWay::rest);
    tokio::time::sleep(wait).await;
    if call.cx.cancel.is_draining() {
        std::future::pending::<()>().await;
    }
}

/// Whether a fault of calls that were made as one would have been each one's own: it lies with the provider's state, the key, the disk, the
/// plan or the machine, and with nothing that was asked.
pub fn of_all(fault: &Fault) -> bool {
    match fault.kind {
        FaultKind::Provider => fault.transient,
        FaultKind::Process
        | FaultKind::Timeout
        | FaultKind::Answer
        | FaultKind::Input
        | FaultKind::Data
        | FaultKind::Budget => false,
        _ => true,
    }
}

/// The folder of an attempt, empty, where its engine writes to one.
fn out(call: &Call<'_>, attempt: u32) -> Result<PathBuf, Fault> {
    if !writes(&call.step.engine) {
        return Ok(PathBuf::new());
    }
    let out = call.folder.join(call.out(attempt));
    store::fresh_folder(&out)?;
    Ok(out)
}

/// An attempt within the time that a call has; so many calls have it one after the other.
async fn limited<T>(call: &Call<'_>, calls: u32, work: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
    let limit = match call.step.engine.provider().and_then(openai::wire) {
        // It has deadlines of its own, for which waiting for money does not count.
        Some(_) => None,
        None => call.step.conditions.timeout_ms.map(Duration::from_millis).or_else(|| usual_limit(&call.step.engine)),
    };
    match limit.map(|limit| limit.saturating_mul(calls)) {
        None => work.await,
        Some(limit) => tokio::time::timeout(limit, work).await.unwrap_or_else(|_| Err(too_long(limit))),
    }
}

/// Tokens of arguments, estimated.
fn given_tokens(args: &Args) -> u64 {
    args.values().map(|value| value.as_str().map_or_else(|| tokens(&value.to_string()), tokens)).sum()
}

/// One attempt. All but functions of the runtime are in boxes: their futures are large, and every call would carry them.
async fn once(call: &Call<'_>, out: &Path) -> Result<Value, Fault> {
    if let Some(remote) = call.cx.remote.filter(|_| portable(&call.step.engine)) {
        return remote.call(call.step, &call.args, out).await;
    }
    let work: Working<'_> = match &call.step.engine {
        Engine::Builtin { function, options } => return builtin::call(call, function, options, out).await,
        Engine::Process { commands, reader, options } => Box::pin(process::call(call, commands, reader, options, out)),
        Engine::Browser { action } => Box::pin(browser::call(call, action, out)),
        Engine::Openai(provider) | Engine::Anthropic(provider) | Engine::Bedrock(provider) => {
            Box::pin(openai::call(call, provider))
        }
        Engine::Python { module, function, interpreter, .. } => {
            Box::pin(async move { python::call(call, &python::Module { module, interpreter }, function, out).await })
        }
        Engine::Worker { worker, model, function, options } => {
            Box::pin(async move { worker::call(call, &worker::Local { worker, model, function, options }, out).await })
        }
        Engine::Http(request) => Box::pin(http::call(call, request)),
        Engine::Mcp { server, tool, schema, names, nulls, answer } => Box::pin(async move {
            let tool = mcp::Tool { name: tool, schema, names, nulls, answer };
            mcp::call(call, server, &tool).await
        }),
        Engine::Planned { name, .. } => {
            let message = format!("this version can plan for the engine `{name}`, and not execute it");
            let help = "pin the step to something that runs here (`using …`), or start the server and use its OpenAI-compatible address";
            return Err(Fault::new(FaultKind::Unsupported, message).help(help));
        }
    };
    work.await
}

/// Whether an engine's attempt has a folder that it may write to.
pub fn writes(engine: &Engine) -> bool {
    match engine {
        Engine::Builtin { function, .. } => builtin::writes(function),
        Engine::Openai(_) | Engine::Anthropic(_) | Engine::Bedrock(_) | Engine::Http(_) => false,
        _ => true,
    }
}

/// A provider that says nothing would otherwise hold the run for ever; a program may well take long.
fn usual_limit(engine: &Engine) -> Option<Duration> {
    let limited =
        engine.provider().is_some() || matches!(engine, Engine::Browser { .. } | Engine::Mcp { .. } | Engine::Http(_));
    limited.then_some(Duration::from_secs(120))
}

fn too_long(limit: Duration) -> Fault {
    Fault::new(FaultKind::Timeout, format!("no result within {} s", limit.as_secs_f64()))
        .help("raise the step's `timeout`")
        .transient()
}

/// A value, if it is what a step yields.
pub fn checked(value: Value, step: &PlanStep) -> Result<Value, Fault> {
    match check(&value, &step.output) {
        Ok(()) => Ok(value),
        Err(mismatch) => {
            let message = format!("the result is no {}: {mismatch}", step.output);
            Err(Fault::new(FaultKind::Answer, message)
                .help("the library declares another type for this tool than it yields"))
        }
    }
}

/// Exponential, with jitter (so that calls that failed together do not return together), from a seed (so that a run can be
/// repeated); at least what the provider asks for.
fn wait(call: &Call<'_>, attempt: u32, asked: Option<Duration>) -> Duration {
    let most = call.cx.backoff.saturating_mul(1 << (attempt - 1).min(10)).min(LONGEST_WAIT);
    let mut bits = call.cx.seed ^ (u64::from(call.step.id.0) << 40) ^ (call.number << 8) ^ u64::from(attempt);
    // SplitMix64, one step.
    bits = bits.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    let share = ((bits ^ (bits >> 31)) >> 11) as f64 / (1_u64 << 53) as f64;
    let own = most.mul_f64(0.5 + 0.5 * share);
    asked.unwrap_or_default().max(own).min(LONGEST_WAIT)
}
