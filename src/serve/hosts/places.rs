//! Calls of a workflow's run on a host → places on the instances of the joint plan, which this server counts for all machines together.

use super::lease::Lease;
use super::protocol::{Enter, Left, Placed};
use super::routes::{Which, aside, leased};
use crate::plan::model::Plan;
use crate::run::fault::Fault;
use crate::run::places::Place;
use crate::serve::Service;
use crate::serve::api::refusal::Refusal;
use crate::serve::api::submit::read;
use crate::serve::fleet::gates::Taken;
use crate::serve::hosts::routes::Caller;
use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{Extension, Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

/// Places that a run holds at a time, at most.
const MOST: usize = 4_096;

/// The calls of a run that hold places, by the host's own numbers, until the lease is over.
#[derive(Debug)]
pub struct Calls {
    held: Mutex<Option<BTreeMap<u64, Taken>>>,
    /// What the run is of; none where it is of no workflow.
    of: OnceLock<Option<Of>>,
}

/// What a run of a workflow is.
#[derive(Debug)]
struct Of {
    workflow: String,
    /// The plan that it follows.
    plan: Plan,
    /// Its priority: higher ones go first.
    priority: u8,
}

impl Default for Calls {
    fn default() -> Calls {
        Calls { held: Mutex::new(Some(BTreeMap::new())), of: OnceLock::new() }
    }
}

impl Calls {
    fn held(&self) -> MutexGuard<'_, Option<BTreeMap<u64, Taken>>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives all places back; none is taken any more.
    pub fn end(&self) {
        drop(self.held().take());
    }

    fn has(&self, place: u64) -> bool {
        self.held().as_ref().is_some_and(|held| held.contains_key(&place))
    }

    fn is_full(&self) -> bool {
        self.held().as_ref().is_some_and(|held| held.len() >= MOST)
    }

    /// Holds a place; whether the lease still is.
    fn hold(&self, place: u64, taken: Taken) -> bool {
        let mut held = self.held();
        let there = held.as_mut().map(|held| drop(held.insert(place, taken)));
        there.is_some()
    }

    fn leave(&self, place: u64) -> Option<Taken> {
        self.held().as_mut()?.remove(&place)
    }

    fn of(&self, service: &Service, run: u64) -> Result<Option<&Of>, Fault> {
        if self.of.get().is_none() {
            let found =
                service.store.run(run)?.and_then(|run| Some((run.workflow?, run.tenant, run.plan, run.priority)));
            let found = match found {
                Some((workflow, tenant, digest, priority)) => {
                    let text = service.store.plan(&tenant, &digest)?.unwrap_or_default();
                    serde_json::from_str(&text).ok().map(|plan| Of { workflow, plan, priority })
                }
                None => None,
            };
            let _ = self.of.set(found);
        }
        Ok(self.of.get().and_then(Option::as_ref))
    }
}

/// Answers when there is a place, or after a third of the lease.
pub async fn enter(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
    which: Which<(u64, u64, u64)>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Placed>, Refusal> {
    let Path((run, fence, place)) = which.map_err(|_| Refusal::absent("there is no such lease"))?;
    let lease = leased(&service, &caller, run, fence)?;
    let Enter { step } = read(&headers, body, "call")?;
    if lease.calls.has(place) {
        // The answer got lost.
        return Ok(Json(Placed::Taken));
    }
    if lease.calls.is_full() {
        return Err(Refusal::later(
            "too_many_calls",
            "the run has as many calls under way as may be",
            service.settings.retry_after,
        ));
    }
    let known = {
        let (service, lease) = (service.clone(), lease.clone());
        aside(move || Ok(lease.calls.of(&service, lease.id)?.is_some())).await?
    };
    let of = if known { lease.calls.of(&service, lease.id)? } else { None };
    let Some(Of { workflow, plan, priority }) = of else { return Ok(Json(Placed::Unbounded)) };
    let unknown = || Refusal::invalid("no_step", "the run's plan has no such step");
    let step = plan.steps.iter().find(|known| known.id == step).ok_or_else(unknown)?;
    let entering = service.fleet.gates.enter(service.planner.library(), workflow, step, *priority);
    let taken = match tokio::time::timeout(service.hosts.lease / 3, entering).await {
        Err(_) => return Ok(Json(Placed::Later)),
        Ok(None) => return Ok(Json(Placed::Unbounded)),
        Ok(Some(taken)) => taken,
    };
    taken.begin();
    match lease.calls.hold(place, taken) {
        true => Ok(Json(Placed::Taken)),
        false => Err(Lease::lost()),
    }
}

/// A call is over.
pub async fn leave(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
    which: Which<(u64, u64, u64)>,
    query: Result<Query<Left>, QueryRejection>,
) -> Result<StatusCode, Refusal> {
    let Path((run, fence, place)) = which.map_err(|_| Refusal::absent("there is no such lease"))?;
    let lease = leased(&service, &caller, run, fence)?;
    let Query(Left { took_s }) = query?;
    if let Some(taken) = lease.calls.leave(place)
        && let Some(took) = took_s.and_then(|took| Duration::try_from_secs_f64(took).ok())
    {
        taken.done(took);
    }
    Ok(StatusCode::NO_CONTENT)
}
