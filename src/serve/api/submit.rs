//! `POST /v1/runs`: a plan or a source → a run that is on the disk before the answer.

use super::guard::Caller;
use super::refusal::Refusal;
use super::types::{RunStatus, Submission};
use crate::digest::digest;
use crate::plan::model::Plan;
use crate::serve::audit::Act;
use crate::serve::deploy::Workflow;
use crate::serve::dispatch::Promise;
use crate::serve::inputs::{Files, Given, given, has_media};
use crate::serve::planning::{LONGEST, Order, Trusted};
use crate::serve::queue::{Full, HIGHEST};
use crate::serve::store::Accepted;
use crate::serve::store::writer::{Outcome, Submitted};
use crate::serve::tenants::{Tenant, USUAL};
use crate::serve::{Service, micro, now_ms, sources};
use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::de::DeserializeOwned;
use serde_json::error::Category;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Characters of a key.
const KEY: usize = 200;

/// Accepts a run, or shows the one that has the key.
pub async fn submit(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Refusal> {
    let submission: Submission = read(&headers, body, "submission")?;
    let (new, run) = counted(&service, accept(&service, &caller, &headers, submission).await)?;
    let status = if new { StatusCode::ACCEPTED } else { StatusCode::OK };
    Ok(accepted(status, run))
}

/// Counts what became of a submission.
fn counted(service: &Service, done: Result<(bool, Accepted), Refusal>) -> Result<(bool, Accepted), Refusal> {
    let counter = match &done {
        Ok((true, _)) => &service.counters.accepted,
        Ok((false, _)) => &service.counters.repeated,
        Err(_) => &service.counters.rejected,
    };
    counter.fetch_add(1, Ordering::Relaxed);
    done
}

/// The answer that shows a run, with its address.
pub fn accepted(status: StatusCode, run: Accepted) -> Response {
    let place = HeaderValue::from_str(&format!("/v1/runs/{}", run.id));
    let mut response = (status, Json(RunStatus::from(run))).into_response();
    if let Ok(place) = place {
        response.headers_mut().insert(header::LOCATION, place);
    }
    response
}

/// The body of a request, which must be JSON and say so: a page of another site cannot send that without being asked first.
pub fn read<T: DeserializeOwned>(
    headers: &HeaderMap,
    body: Result<Bytes, BytesRejection>,
    what: &str,
) -> Result<T, Refusal> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if kind.split(';').next().unwrap_or_default().trim() != "application/json" {
        return Err(Refusal::new(415, "no_json", "the body must be JSON: `Content-Type: application/json`"));
    }
    let body = body.map_err(|why| match why.status().as_u16() {
        413 => Refusal::new(413, "too_large", "the body is larger than this server takes"),
        status => Refusal::new(status, "bad_body", "the body cannot be read"),
    })?;
    serde_json::from_slice(&body).map_err(|e| match e.classify() {
        Category::Data => Refusal::invalid("bad_submission", format!("this is no {what}: {e}")),
        _ => Refusal::new(400, "no_json", format!("the body is no JSON: {e}")),
    })
}

async fn accept(
    service: &Arc<Service>,
    caller: &Caller,
    headers: &HeaderMap,
    submission: Submission,
) -> Result<(bool, Accepted), Refusal> {
    let tenant = &caller.tenant;
    let key = key(headers, submission.key.as_ref())?;
    let (wanted, identity) = wanted(&submission)?;
    let priority = priority(tenant, submission.priority)?;
    let asked = Asked { key, identity, priority, max_usd: submission.max_usd, workflow: None };
    take(service, caller, asked, wanted, submission.inputs).await
}

/// Accepts a run of a deployed workflow, under the plan in force.
pub async fn of_workflow(
    service: &Arc<Service>,
    caller: &Caller,
    headers: &HeaderMap,
    workflow: &Workflow,
    inputs: Map<String, Value>,
) -> Result<(bool, Accepted), Refusal> {
    let part = service.fleet.in_force().and_then(|force| force.parts.get(&workflow.key).cloned());
    let part = part.ok_or_else(|| Refusal::broken("the workflow has no plan"))?;
    let text = Value::Object(inputs.clone()).to_string();
    let asked = Asked {
        key: key(headers, None)?,
        // Not of the plan, which may be another one when the same is asked again.
        identity: digest(["workflow", &workflow.key, &workflow.ordered.source, &text]),
        priority: priority(&caller.tenant, None)?,
        max_usd: None,
        workflow: Some(workflow.key.clone()),
    };
    let wanted = Wanted::Plan(part.digest.clone(), part.text.clone());
    counted(service, take(service, caller, asked, wanted, inputs).await)
}

/// What is asked of a run, beside its plan and inputs.
struct Asked {
    key: Option<String>,
    /// A digest of all that makes the run what it is.
    identity: String,
    priority: u8,
    max_usd: Option<f64>,
    workflow: Option<String>,
}

async fn take(
    service: &Arc<Service>,
    caller: &Caller,
    asked: Asked,
    wanted: Wanted,
    inputs: Map<String, Value>,
) -> Result<(bool, Accepted), Refusal> {
    let tenant = &caller.tenant;
    let Asked { key, identity, priority, max_usd, workflow } = asked;
    if let Some(key) = &key
        && let Some(run) = service.store.of_key(&tenant.name, key)?
    {
        return same(run, &identity, key);
    }
    if service.is_stopping() {
        return Err(Refusal::new(503, "stopping", "the server is about to stop"));
    }
    // The place is promised before work is done for it.
    let promise = promised(service, tenant)?;
    let (trusted, given) = understood(service, tenant, wanted, inputs).await?;
    drop(promise);
    let held = held(&trusted.plan, tenant, max_usd)?;
    let inputs = serde_json::to_string(&given.values).map_err(|e| Refusal::broken(&e.to_string()))?;
    let cost_ms =
        rust_decimal::prelude::ToPrimitive::to_u64(&(trusted.plan.total.latency_s * rust_decimal::dec!(1000)));
    let submitted = Submitted {
        tenant: tenant.name.clone(),
        key: key.clone(),
        digest: identity.clone(),
        job: trusted.plan.job.clone(),
        priority,
        cost_ms: cost_ms.unwrap_or(1).clamp(1, 3_600_000),
        plan: (trusted.digest.clone(), trusted.text.clone()),
        inputs,
        held_micro: held,
        workflow,
        at_ms: now_ms(),
    };
    // On a task of its own: a client that hangs up must not leave a run that is stored and not queued.
    let (service, caller) = (service.clone(), caller.clone());
    let kept = tokio::spawn(async move { keep(&service, &caller, submitted).await });
    let (outcome, run) = kept.await.map_err(|_| Refusal::broken("the submission's task panicked"))??;
    match (outcome.new, &key) {
        (false, Some(key)) => same(run, &identity, key),
        _ => Ok((true, run)),
    }
}

/// Stores a run and queues it.
async fn keep(service: &Arc<Service>, caller: &Caller, submitted: Submitted) -> Result<(Outcome, Accepted), Refusal> {
    let tenant = &caller.tenant;
    let promise = promised(service, tenant)?;
    let held = submitted.held_micro;
    tenant.hold(held).map_err(|left| {
        let (needed, left) = (held as f64 / 1e6, left as f64 / 1e6);
        let message =
            format!("the run may cost {needed} usd, and {left} usd of the budget of `{}` are left", tenant.name);
        Refusal::new(402, "no_budget", message).help("`max_usd` sets a lower limit for the run")
    })?;
    let stored = service.store.writer().submit(submitted).await;
    if !stored.as_ref().is_ok_and(|outcome| outcome.new) {
        tenant.settle(held, 0);
    }
    let outcome = stored?;
    let run = service.store.run(outcome.id)?.ok_or_else(|| Refusal::broken("the run is not in the store"))?;
    if outcome.new {
        promise.put(service.waiting(&run));
        let note = run.digest.get(..16).unwrap_or_default();
        let from = Some(caller.from);
        service.audit.note(Act { what: "submit", tenant: Some(&tenant.name), from, run: Some(run.id), note });
    }
    Ok((outcome, run))
}

/// The run that has the key, if it is of the same content.
fn same(run: Accepted, identity: &str, key: &str) -> Result<(bool, Accepted), Refusal> {
    if run.digest == identity {
        return Ok((false, run));
    }
    let message = format!("the key `{key}` is that of run {}, which is of another plan or other inputs", run.id);
    Err(Refusal::conflict("other_run", message).help("give another key"))
}

fn promised<'a>(service: &'a Service, tenant: &Tenant) -> Result<Promise<'a>, Refusal> {
    let wait = service.settings.retry_after;
    service.dispatch.promise(&tenant.name, tenant.share).map_err(|full| match full {
        Full::Tenant => {
            let message = format!("`{}` has as many runs waiting as it may ({})", tenant.name, tenant.share.most);
            Refusal::later("tenant_queue_full", message, wait)
        }
        Full::All => Refusal::later("queue_full", "as many runs are waiting as this server takes", wait),
    })
}

/// The key, in the header or in the body.
fn key(headers: &HeaderMap, body: Option<&String>) -> Result<Option<String>, Refusal> {
    let bad = |why: &str| Refusal::new(400, "bad_key", why);
    let header = headers.get("idempotency-key").map(|key| key.to_str().map_err(|_| bad("the key is no plain text")));
    let header = header.transpose()?.map(str::to_owned);
    let key = match (header, body.cloned()) {
        (Some(one), Some(other)) if one != other => return Err(bad("the header and the body give different keys")),
        (one, other) => one.or(other),
    };
    match &key {
        Some(key) if key.is_empty() || key.len() > KEY || key.chars().any(char::is_control) => {
            Err(bad("a key has 1 to 200 characters and no control characters"))
        }
        _ => Ok(key),
    }
}

fn priority(tenant: &Tenant, asked: Option<u8>) -> Result<u8, Refusal> {
    match asked {
        None => Ok(USUAL.min(tenant.priority)),
        Some(asked) if asked > HIGHEST => {
            Err(Refusal::invalid("bad_priority", format!("a priority is a number from 0 to {HIGHEST}")))
        }
        Some(asked) if asked > tenant.priority => {
            let message = format!("`{}` may ask for priority {} at most", tenant.name, tenant.priority);
            Err(Refusal::forbidden("bad_priority", message))
        }
        Some(asked) => Ok(asked),
    }
}

/// What a submission asks for.
enum Wanted {
    /// A plan: its digest and text.
    Plan(String, String),
    /// A plan that was submitted before, by its digest.
    Known(String),
    Source(Order),
}

/// What is wanted, and a digest of all that makes the run what it is.
fn wanted(submission: &Submission) -> Result<(Wanted, String), Refusal> {
    let Submission { plan, source, file, job, lock, slo, robust, time_limit_s, inputs, .. } = submission;
    let named = file.is_some() || job.is_some() || lock.is_some();
    let of_source = named || !slo.is_empty() || *robust || time_limit_s.is_some();
    let inputs = Value::Object(inputs.clone()).to_string();
    let bad = |why: &str| Err(Refusal::invalid("bad_submission", why));
    match (plan, source) {
        (Some(_), Some(_)) | (None, None) => bad("give a `plan` or a `source`, and one of them"),
        (Some(_), None) if of_source => {
            bad("`file`, `job`, `lock`, `slo`, `robust` and `time_limit_s` belong to a `source`")
        }
        (Some(Value::String(hash)), None) => Ok((Wanted::Known(hash.clone()), digest(["plan", hash, &inputs]))),
        (Some(plan), None) => {
            let text = plan.to_string();
            let hash = digest([text.as_str()]);
            let identity = digest(["plan", &hash, &inputs]);
            Ok((Wanted::Plan(hash, text), identity))
        }
        (None, Some(source)) => {
            if time_limit_s.is_some_and(|limit| !(0.0..=LONGEST).contains(&limit)) {
                return bad("`time_limit_s` is seconds, from 0 to 60");
            }
            // Without lines it is what it was before there were any: keys outlive versions.
            let settings = if slo.is_empty() { json!([job, lock, robust]) } else { json!([job, lock, robust, slo]) };
            let settings = settings.to_string();
            let identity = digest(["source", source, &settings, &inputs]);
            let order = Order {
                source: source.clone(),
                file: file.clone(),
                job: job.clone(),
                lock: lock.clone(),
                slo: slo.clone(),
                robust: *robust,
                time_limit_s: *time_limit_s,
            };
            Ok((Wanted::Source(order), identity))
        }
    }
}

/// The plan that is run, and its inputs. What takes a while is done on another thread, a bounded number of them at a time.
async fn understood(
    service: &Arc<Service>,
    tenant: &Arc<Tenant>,
    wanted: Wanted,
    inputs: Map<String, Value>,
) -> Result<(Arc<Trusted>, Given), Refusal> {
    let wanted = match wanted {
        Wanted::Known(hash) => {
            let absent = || Refusal::invalid("no_plan", "no plan with this digest was submitted before");
            let text = service.store.plan(&tenant.name, &hash)?.ok_or_else(absent)?;
            Wanted::Plan(hash, text)
        }
        other => other,
    };
    if let Wanted::Plan(hash, _) = &wanted
        && let Some(trusted) = service.planner.known(hash)
        && !trusted.plan.inputs.iter().any(|input| has_media(&input.ty))
    {
        let given = of_plan(service, tenant, &trusted.plan, &inputs)?;
        return Ok((trusted, given));
    }
    let turn = turn(service).await?;
    let (service, tenant) = (service.clone(), tenant.clone());
    let work = move || {
        let _turn = turn;
        match wanted {
            Wanted::Plan(hash, text) => {
                let known = service.planner.known(&hash);
                let trusted = known.map_or_else(|| service.planner.trust(text), Ok)?;
                let given = of_plan(&service, &tenant, &trusted.plan, &inputs)?;
                Ok((trusted, given))
            }
            Wanted::Source(order) => {
                let blob = |hash: &str| service.blobs.of(&service.store, &tenant.name, hash);
                let files = Files { blob: &blob, allowed: service.settings.allow_files.as_deref() };
                let (trusted, given) = service.planner.plan(&order, &inputs, &files)?;
                sources::keep(&service.folder, &tenant.name, &trusted.digest, &order)?;
                Ok((trusted, given))
            }
            Wanted::Known(_) => Err(Refusal::broken("the plan was not looked up")),
        }
    };
    tokio::task::spawn_blocking(work).await.map_err(|_| Refusal::broken("planning panicked"))?
}

fn of_plan(service: &Service, tenant: &Tenant, plan: &Plan, inputs: &Map<String, Value>) -> Result<Given, Refusal> {
    let params: Vec<_> = plan.inputs.iter().map(|input| (input.name.as_str(), &input.ty)).collect();
    let blob = |hash: &str| service.blobs.of(&service.store, &tenant.name, hash);
    given(&params, inputs, &Files { blob: &blob, allowed: service.settings.allow_files.as_deref() })
}

/// What is kept of the tenant's budget for a run, which may then cost no more, in millionths of a dollar: what the submission says, else
/// the plan's limit on cost, else twice what it is planned to cost. Nothing where neither the tenant nor the submission has a limit.
fn held(plan: &Plan, tenant: &Tenant, most: Option<f64>) -> Result<u64, Refusal> {
    if let Some(usd) = most {
        if !(usd > 0.0 && usd <= 1e9) {
            return Err(Refusal::invalid("bad_submission", "`max_usd` is dollars, more than 0"));
        }
        return Ok(micro(usd).max(1));
    }
    if tenant.budget_micro.is_none() {
        return Ok(0);
    }
    let limits = plan.clauses.iter().filter(|c| c.metric == "cost" && !c.soft).map(|c| c.limit);
    let usd = limits.min().unwrap_or(plan.total.cost_usd * rust_decimal::dec!(2));
    Ok(micro(rust_decimal::prelude::ToPrimitive::to_f64(&usd).unwrap_or_default()).max(1))
}

/// Waits for the turn to plan a job; refused where too many wait.
pub async fn turn(service: &Service) -> Result<tokio::sync::OwnedSemaphorePermit, Refusal> {
    let busy = || Refusal::later("busy", "as many jobs are being planned as this server takes", Duration::from_secs(5));
    service.planning_turn().await.ok_or_else(busy)
}
