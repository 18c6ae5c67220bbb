//! `/v1/workflows`: deploy, list, show, run, take down; what the OpenAPI document says of each, and its figures.

use super::deployed::{Deployment, RunQuery, Slo, WorkflowList, WorkflowState, WorkflowStatus};
use super::guard::Caller;
use super::refusal::Refusal;
use super::runs::{answer, awaited};
use super::submit::{accepted, of_workflow, read, turn};
use super::types::moment;
use crate::serve::Service;
use crate::serve::audit::Act;
use crate::serve::deploy::{Workflow, schema, slo};
use crate::serve::store::State as RunState;
use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, PathRejection, QueryRejection};
use axum::extract::{Extension, Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use rust_decimal::prelude::ToPrimitive;
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// The latest runs of a workflow that its figures are of.
const LATEST: usize = 10_000;

/// Deploys a workflow, if a joint plan of all has room for it.
pub async fn deploy(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Refusal> {
    let deployment: Deployment = read(&headers, body, "deployment")?;
    if service.is_stopping() {
        return Err(Refusal::new(503, "stopping", "the server is about to stop"));
    }
    let turn = turn(&service).await?;
    let (of, who) = (service.clone(), caller.clone());
    let work = move || {
        let _turn = turn;
        of.fleet.deploy(&of, &who.tenant, deployment)
    };
    let (new, workflow) = blocking(work).await?;
    if new {
        audited(&service, &caller, "deploy", &workflow);
    }
    let status = if new { StatusCode::CREATED } else { StatusCode::OK };
    let mut response = (status, Json(shown(&service, &workflow)?)).into_response();
    if let Ok(place) = HeaderValue::from_str(&format!("/v1/workflows/{}", workflow.ordered.name)) {
        response.headers_mut().insert(header::LOCATION, place);
    }
    Ok(response)
}

/// Lists workflows.
pub async fn list(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<WorkflowList>, Refusal> {
    Ok(Json(WorkflowList { workflows: all(&service, &caller)? }))
}

/// The workflows that a caller sees, by name.
pub fn all(service: &Service, caller: &Caller) -> Result<Vec<WorkflowStatus>, Refusal> {
    of(service, caller).iter().map(|workflow| shown(service, workflow)).collect()
}

/// Shows a workflow.
pub async fn show(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
    name: Result<Path<String>, PathRejection>,
) -> Result<Json<WorkflowStatus>, Refusal> {
    shown(&service, &*named(&service, &caller, name)?).map(Json)
}

/// Takes a workflow down: what it has accepted is carried out, and then it is gone.
pub async fn take_down(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
    name: Result<Path<String>, PathRejection>,
) -> Result<(StatusCode, Json<WorkflowStatus>), Refusal> {
    let workflow = named(&service, &caller, name)?;
    let new = !workflow.is_draining();
    let turn = turn(&service).await?;
    let (of, which) = (service.clone(), workflow.clone());
    let work = move || {
        let _turn = turn;
        of.fleet.take_down(&of, &which)
    };
    let gone = blocking(work).await?;
    if new {
        audited(&service, &caller, "undeploy", &workflow);
    }
    let status = if gone { StatusCode::OK } else { StatusCode::ACCEPTED };
    Ok((status, Json(shown(&service, &workflow)?)))
}

/// Runs a workflow and answers.
pub async fn run(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
    name: Result<Path<String>, PathRejection>,
    query: Result<Query<RunQuery>, QueryRejection>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Refusal> {
    let Query(query) = query?;
    let workflow = named(&service, &caller, name)?;
    let inputs: Map<String, Value> = read(&headers, body, "object of inputs")?;
    if workflow.is_draining() {
        let message = format!("`{}` is being taken down, and takes no more runs", workflow.ordered.name);
        return Err(Refusal::conflict("draining", message));
    }
    let (_, run) = of_workflow(&service, &caller, &headers, &workflow, inputs).await?;
    let run = awaited(&service, run, query.wait_s.unwrap_or(60)).await?;
    match run.state {
        RunState::Done => Ok(Json(answer(&service, &run)?).into_response()),
        RunState::Failed => {
            let why = run.error.as_ref().map_or(String::new(), |why| format!(": {why}"));
            Err(Refusal::new(500, "run_failed", format!("run {} failed{why}", run.id)))
        }
        RunState::Cancelled => Err(Refusal::conflict("cancelled", format!("somebody stopped run {}", run.id))),
        RunState::Queued | RunState::Running | RunState::Cancelling => Ok(accepted(StatusCode::ACCEPTED, run)),
    }
}

/// The endpoints of a caller's workflows, for the OpenAPI document: what each takes and answers.
pub fn endpoints(service: &Service, caller: &Caller) -> Vec<(String, Value)> {
    let own = |workflow: &&Arc<Workflow>| workflow.ordered.tenant == caller.tenant.name && !workflow.is_draining();
    let endpoint = |workflow: &Arc<Workflow>| {
        let name = &workflow.ordered.name;
        let content = |schema: Value| json!({"application/json": {"schema": schema}});
        let mut answer = json!({"$ref": "#/components/schemas/RunResult"});
        answer = json!({"allOf": [answer, {"type": "object", "properties": {"result": schema::of_result(workflow)}}]});
        let summary = if workflow.docs.is_empty() { format!("Runs `{name}`") } else { workflow.docs.clone() };
        let accepted = json!({"$ref": "#/components/schemas/RunStatus"});
        let problems =
            json!({"description": "Why not", "content": content(json!({"$ref": "#/components/schemas/Problems"}))});
        let post = json!({
            "operationId": format!("run_{name}"),
            "summary": summary,
            "requestBody": {"required": true, "content": content(schema::of_inputs(workflow))},
            "responses": {
                "200": {"description": "The answer", "content": content(answer)},
                "202": {"description": "It takes longer: ask for the run", "content": content(accepted)},
                "default": problems,
            },
            "security": [{}, {"token": []}],
        });
        (format!("/v1/workflows/{name}/run"), json!({"post": post}))
    };
    service.fleet.workflows().iter().filter(own).map(endpoint).collect()
}

/// What a workflow's latest runs took, against its limits.
pub fn held(service: &Service, workflow: &Workflow) -> Result<Slo, Refusal> {
    let ended = service.store.ended(&workflow.key, workflow.ordered.deployed_ms, LATEST)?;
    let part = service.fleet.in_force().and_then(|force| force.parts.get(&workflow.key).cloned());
    let clauses = part.as_ref().map(|part| part.plan.clauses.as_slice()).unwrap_or_default();
    Ok(slo::slo(&ended, clauses, &workflow.broken()))
}

/// The workflows that a caller sees, by key.
pub fn of(service: &Service, caller: &Caller) -> Vec<Arc<Workflow>> {
    let tenant = &caller.tenant;
    let sees = |workflow: &Arc<Workflow>| tenant.sees_all || workflow.ordered.tenant == tenant.name;
    service.fleet.workflows().into_iter().filter(sees).collect()
}

fn named(
    service: &Service,
    caller: &Caller,
    name: Result<Path<String>, PathRejection>,
) -> Result<Arc<Workflow>, Refusal> {
    let Path(name) = name.map_err(|_| Refusal::absent("there is no such workflow"))?;
    service.fleet.workflow(&caller.tenant.name, &name)
}

fn shown(service: &Service, workflow: &Workflow) -> Result<WorkflowStatus, Refusal> {
    let (force, ordered) = (service.fleet.in_force(), &workflow.ordered);
    let planned = force.as_ref().and_then(|force| force.job(&workflow.key)).map(|job| job.rate);
    let part = force.as_ref().and_then(|force| force.parts.get(&workflow.key));
    let state = if workflow.is_draining() { WorkflowState::Draining } else { WorkflowState::Serving };
    Ok(WorkflowStatus {
        name: ordered.name.clone(),
        tenant: ordered.tenant.clone(),
        job: ordered.job.clone(),
        docs: workflow.docs.clone(),
        state,
        endpoint: format!("/v1/workflows/{}/run", ordered.name),
        rate_per_s: ordered.rate.to_f64().unwrap_or_default(),
        planned_per_s: planned.and_then(|rate| rate.to_f64()).unwrap_or_default(),
        measured_per_s: service.fleet.sight().rates.get(&workflow.key).copied(),
        deployed: moment(ordered.deployed_ms),
        plan: part.map(|part| part.digest.clone()).unwrap_or_default(),
        open: service.store.open_of(&workflow.key, ordered.deployed_ms)?,
        inputs: schema::of_inputs(workflow),
        result: schema::of_result(workflow),
        slo: held(service, workflow)?,
    })
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Refusal> + Send + 'static) -> Result<T, Refusal> {
    tokio::task::spawn_blocking(work).await.map_err(|_| Refusal::broken("planning panicked"))?
}

fn audited(service: &Service, caller: &Caller, what: &'static str, workflow: &Workflow) {
    let (tenant, from) = (Some(caller.tenant.name.as_str()), Some(caller.from));
    service.audit.note(Act { what, tenant, from, run: None, note: &workflow.key });
}
