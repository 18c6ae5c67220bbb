//! A run that ended -> spans for a collector of OpenTelemetry: the run, its steps, their calls; with the names of the conventions for
//! generative AI, which stand in [`names`] alone. No prompt, no answer and no key is in any of them.

use super::RunReport;
use super::engines::mcp::transport::client;
use super::engines::openai::endpoint::Endpoint;
use super::fault::{Fault, FaultKind, head};
use super::meter::StepMeasure;
use super::observer::{Event, Observer};
use super::probe::Env;
use crate::digest::digest;
use crate::ir::workflow::StepId;
use crate::plan::model::{Engine, Plan, PlanStep, Provider};
use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanExporter as _, SpanLinks};
use serde::Serialize;
use std::cell::RefCell;
use std::time::{Duration, SystemTime};

/// Names of attributes.
mod names {
    pub const OPERATION: &str = "gen_ai.operation.name";
    pub const PROVIDER: &str = "gen_ai.provider.name";
    pub const MODEL: &str = "gen_ai.request.model";
    pub const INPUT: &str = "gen_ai.usage.input_tokens";
    pub const OUTPUT: &str = "gen_ai.usage.output_tokens";
    pub const ERROR: &str = "error.type";
    pub const SERVER: &str = "server.address";
    pub const PORT: &str = "server.port";
}

/// Spans of calls that are kept of one run.
const MOST: usize = 10_000;
/// Spans of one request.
const BATCH: usize = 500;
/// How long a collector may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Something that happened to a call.
struct Noted {
    step: StepId,
    at: SystemTime,
    what: What,
}

enum What {
    /// It is done; it took so long, and this carried it out, as the conventions have it.
    Done(Duration, By),
    /// It is said of the step or, without one, of the run.
    Said(&'static str, String),
}

/// Who carried a call out.
#[derive(Clone)]
struct By {
    implementation: String,
    /// What the span of a call is called.
    name: String,
    /// What the conventions say of the model; nothing where no provider has one.
    model: Vec<KeyValue>,
}

impl By {
    fn of(step: &PlanStep, env: Env<'_>) -> By {
        let implementation = step.implementation.clone();
        match step.engine.provider() {
            Some(provider) => {
                // `chat gpt-4o-mini`, as the conventions have it.
                let name = format!("{} {}", operation(&provider.api), provider.model);
                By { implementation, name, model: of_model(&step.engine, provider, env) }
            }
            None => By { name: implementation.clone(), implementation, model: Vec::new() },
        }
    }
}

/// Keeps what a trace needs of the calls, and tells everything to who watches.
pub struct Traced<'a> {
    inner: &'a dyn Observer,
    env: Env<'a>,
    began: SystemTime,
    noted: RefCell<Vec<Noted>>,
}

impl<'a> Traced<'a> {
    /// From now on; `env` knows where providers are.
    pub fn new(inner: &'a dyn Observer, env: Env<'a>) -> Traced<'a> {
        Traced { inner, env, began: SystemTime::now(), noted: RefCell::default() }
    }

    fn note(&self, step: StepId, what: What) {
        let mut noted = self.noted.borrow_mut();
        if noted.len() < MOST {
            noted.push(Noted { step, at: SystemTime::now(), what });
        }
    }
}

impl Observer for Traced<'_> {
    fn event(&self, event: &Event<'_>) {
        match event {
            Event::ItemDone { step, wall, .. } => self.note(step.id, What::Done(*wall, By::of(step, self.env))),
            Event::Retried { step, .. } => self.note(step.id, What::Said("mkbc.retried", step.implementation.clone())),
            Event::Left { step, to, .. } => {
                let change = format!("{} -> {}", step.implementation, to.implementation);
                self.note(step.id, What::Said("mkbc.fallback", change));
            }
            _ => {}
        }
        self.inner.event(event);
    }
}

/// Sends the trace of a run to a collector; `identity` is the run's own. Returns how many spans that were.
pub async fn export<A: Serialize>(
    to: &str,
    plan: &Plan,
    report: &RunReport<A>,
    traced: &Traced<'_>,
    identity: &str,
) -> Result<usize, Fault> {
    let failed =
        |why: String| Fault::new(FaultKind::Provider, format!("the trace could not be sent: {}", head(&why, 300)));
    let url = reqwest::Url::parse(to).ok().filter(|u| matches!(u.scheme(), "http" | "https"));
    let url = url.ok_or_else(|| failed("the collector's address is no http or https".to_owned()))?;
    let local = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
    let at = to.trim_end_matches('/');
    let at = if at.ends_with("/v1/traces") { at.to_owned() } else { format!("{at}/v1/traces") };
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(client(local)?)
        .with_endpoint(at)
        .with_protocol(Protocol::HttpJson)
        .with_timeout(PATIENCE)
        .build();
    let mut exporter = exporter.map_err(|e| failed(e.to_string()))?;
    let service = [KeyValue::new("service.name", "mkbc"), KeyValue::new("service.version", env!("CARGO_PKG_VERSION"))];
    exporter.set_resource(&Resource::builder_empty().with_attributes(service).build());
    let spans = spans(plan, report, traced, identity);
    for batch in spans.chunks(BATCH) {
        let sent = tokio::time::timeout(PATIENCE, exporter.export(batch.to_vec())).await;
        sent.map_err(|_| failed("the collector did not answer in time".to_owned()))?
            .map_err(|e| failed(e.to_string()))?;
    }
    Ok(spans.len())
}

fn spans<A: Serialize>(plan: &Plan, report: &RunReport<A>, traced: &Traced<'_>, identity: &str) -> Vec<SpanData> {
    let began = traced.began;
    // One trace a runtime: a run that is resumed has several.
    let since = began.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_nanos().to_string();
    let trace = TraceId::from_bytes(half::<16>(&digest([identity, &since])));
    let span = |name: &str| SpanId::from_bytes(half::<8>(&digest([identity, &since, name])));
    let scope = InstrumentationScope::builder("mkbc").with_version(env!("CARGO_PKG_VERSION")).build();
    let new = |id: SpanId, parent: SpanId, name: String, (from, to): (SystemTime, SystemTime)| SpanData {
        span_context: SpanContext::new(trace, id, TraceFlags::SAMPLED, false, TraceState::NONE),
        parent_span_id: parent,
        parent_span_is_remote: false,
        span_kind: SpanKind::Internal,
        name: name.into(),
        start_time: from,
        end_time: to.max(from),
        attributes: Vec::new(),
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status: Status::Unset,
        instrumentation_scope: scope.clone(),
    };
    let at = |s: f64| began + Duration::try_from_secs_f64(s).unwrap_or_default();
    let root = span("run");
    let mut whole = new(root, SpanId::INVALID, format!("job {}", report.job), (began, at(report.wall_s)));
    whole.attributes =
        vec![KeyValue::new("mkbc.job", report.job.clone()), KeyValue::new("mkbc.run", identity.to_owned())];
    match &report.result {
        Ok(_) => whole.status = Status::Ok,
        Err(error) => {
            let kind = serde_json::to_value(error.fault.kind).ok().and_then(|k| k.as_str().map(str::to_owned));
            whole.attributes.push(KeyValue::new(names::ERROR, kind.unwrap_or_default()));
            // What a program or provider said may hold anything: only the kind is told.
            whole.status = Status::error("the run failed");
        }
    }
    for _ in &report.adapted {
        let event = opentelemetry::trace::Event::new("mkbc.adapted", at(report.wall_s), Vec::new(), 0);
        whole.events.events.push(event);
    }
    let mut all = vec![whole];
    for m in &report.steps {
        let Some(step) = plan.steps.iter().find(|s| s.id == m.step) else { continue };
        let id = span(&format!("step {}", step.id.0));
        let mut of_step = new(id, root, format!("step {}", step.name), (at(m.from_s), at(m.to_s)));
        let noted = traced.noted.borrow();
        let last = noted.iter().rfind(|note| note.step == step.id && matches!(note.what, What::Done(..)));
        let by = match last.map(|note| &note.what) {
            Some(What::Done(_, by)) => by.clone(),
            _ => By::of(report.changes.iter().find(|s| s.id == step.id).unwrap_or(step), traced.env),
        };
        of_step.attributes = attributes(step, m, by);
        for (n, note) in noted.iter().enumerate().filter(|(_, note)| note.step == step.id) {
            match &note.what {
                What::Said(name, text) => {
                    let said = vec![KeyValue::new("mkbc.implementation", text.clone())];
                    of_step.events.events.push(opentelemetry::trace::Event::new(*name, note.at, said, 0));
                }
                What::Done(wall, by) => {
                    let from = note.at.checked_sub(*wall).unwrap_or(note.at);
                    let mut call = new(span(&format!("call {n}")), id, by.name.clone(), (from, note.at));
                    if !by.model.is_empty() {
                        call.span_kind = SpanKind::Client;
                    }
                    call.attributes = vec![KeyValue::new("mkbc.implementation", by.implementation.clone())];
                    call.attributes.extend_from_slice(&by.model);
                    all.push(call);
                }
            }
        }
        all.push(of_step);
    }
    all
}

/// What a step did, by whom at last, and what was planned.
fn attributes(step: &PlanStep, m: &StepMeasure, by: By) -> Vec<KeyValue> {
    let mut all = vec![
        KeyValue::new("mkbc.step", step.name.clone()),
        KeyValue::new("mkbc.task", step.task.clone()),
        KeyValue::new("mkbc.implementation", by.implementation),
        KeyValue::new("mkbc.planned.implementation", step.implementation.clone()),
        KeyValue::new("mkbc.device", step.hardware.device.clone()),
        KeyValue::new("mkbc.calls", whole(m.calls)),
        KeyValue::new("mkbc.attempts", whole(m.attempts)),
        KeyValue::new("mkbc.cached", whole(m.cached)),
        KeyValue::new("mkbc.busy_s", m.busy_s),
        KeyValue::new("mkbc.queue_s", m.queue_s),
    ];
    all.extend(m.cost_usd.map(|usd| KeyValue::new("mkbc.cost_usd", usd)));
    all.extend(m.energy_wh.map(|wh| KeyValue::new("mkbc.energy_wh", wh)));
    let planned =
        [("mkbc.planned.latency_s", step.predicted.latency_s), ("mkbc.planned.cost_usd", step.predicted.cost_usd)];
    let number = |d: rust_decimal::Decimal| rust_decimal::prelude::ToPrimitive::to_f64(&d).unwrap_or(0.0);
    all.extend(planned.map(|(name, value)| KeyValue::new(name, number(value))));
    if !by.model.is_empty() {
        all.extend(by.model);
        all.push(KeyValue::new(names::INPUT, whole(m.tokens_in)));
        all.push(KeyValue::new(names::OUTPUT, whole(m.tokens_out)));
    }
    all
}

/// The model of a provider, and where it was asked.
fn of_model(engine: &Engine, provider: &Provider, env: Env<'_>) -> Vec<KeyValue> {
    let name = match engine {
        Engine::Anthropic(_) => "anthropic",
        Engine::Bedrock(_) => "aws.bedrock",
        _ => "openai",
    };
    let mut all = vec![
        KeyValue::new(names::OPERATION, operation(&provider.api)),
        KeyValue::new(names::PROVIDER, name),
        KeyValue::new(names::MODEL, provider.model.clone()),
    ];
    // A server that the run starts has an address of its own, which nobody knows here.
    let at = Endpoint::find(env, &provider.url_env, &provider.url, &provider.key_env).ok();
    let at = at.filter(|_| provider.serve.is_none() || env(&provider.url_env).is_some()).map(|at| at.url);
    if let Some(host) = at.as_ref().and_then(|url| url.host_str()) {
        all.push(KeyValue::new(names::SERVER, host.to_owned()));
    }
    if let Some(port) = at.as_ref().and_then(|url| url.port()) {
        all.push(KeyValue::new(names::PORT, i64::from(port)));
    }
    all
}

fn operation(api: &str) -> &'static str {
    match api {
        "embeddings" => "embeddings",
        "transcription" => "transcription",
        "rerank" => "rerank",
        _ => "chat",
    }
}

fn whole(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// The first bytes of a digest.
fn half<const N: usize>(digest: &str) -> [u8; N] {
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digest.as_bytes().chunks(2)) {
        *byte = std::str::from_utf8(pair).ok().and_then(|p| u8::from_str_radix(p, 16).ok()).unwrap_or(1);
    }
    bytes
}
