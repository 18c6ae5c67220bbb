//! `GET /v1/runs/{id}/events`: what happens to a run, as server-sent events.
//!
//! Events are read from the store and the journal when the connection takes more, a page at a time: nothing is kept for a reader that is
//! slow, however much happens meanwhile. An event's id is a [`Place`]; a client that comes back says the last one it saw, to this server or
//! one that was started later.

use super::guard::Caller;
use super::refusal::Refusal;
use super::runs::seen;
use super::types::{EventCall, RunEvent, moment};
use crate::ir::workflow::StepId;
use crate::plan::model::Plan;
use crate::run::fault::Fault;
use crate::run::journal::record::{CallId, Record, Source};
use crate::serve::Service;
use crate::serve::store::{Change, State as RunState};
use axum::extract::rejection::PathRejection;
use axum::extract::{Extension, Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::unfold;
use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, watch};

/// Records that are read at a time.
const PAGE: usize = 256;
/// How often something is sent where nothing happens, so that both sides know of each other.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// How many changes of state and records of the journal a reader has seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    changes: u64,
    records: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.changes, self.records)
    }
}

impl FromStr for Place {
    type Err = ();

    fn from_str(text: &str) -> Result<Place, ()> {
        let (changes, records) = text.split_once('-').ok_or(())?;
        let number = |text: &str| text.parse().map_err(|_| ());
        Ok(Place { changes: number(changes)?, records: number(records)? })
    }
}

/// A page of what happened to a run behind a place; whether that was all that ever will.
///
/// What a runtime recorded stands between the change that began it and the next one, whenever it is read: a place means the same to whoever
/// watches and to whoever comes later.
pub fn page(service: &Service, run: u64, place: &mut Place, names: &mut Names) -> Result<(Page, bool), Fault> {
    let changes = service.store.changes(run)?;
    let accepted = service.store.run(run)?;
    let mut records = VecDeque::new();
    if let Some(journal) = accepted.as_ref().and_then(|accepted| accepted.journal) {
        records.extend(service.journal(|db| db.records_from(journal, place.records, PAGE))?);
    }
    if names.is_empty() && !records.is_empty() {
        let text = accepted.map(|accepted| service.store.plan(&accepted.tenant, &accepted.plan)).transpose()?.flatten();
        let plan: Option<Plan> = text.and_then(|text| serde_json::from_str(&text).ok());
        *names = plan.into_iter().flat_map(|plan| plan.steps).map(|step| (step.id, step.name)).collect();
    }
    let (mut page, full) = (Page::new(), records.len() == PAGE);
    loop {
        let (seen, coming) = changes.split_at_checked(place.changes as usize).unwrap_or((&changes, &[]));
        let begun = seen.iter().filter(|change| change.state == RunState::Running).count() as u64;
        let between = coming.first().is_some_and(|change| !change.state.is_final());
        let later = |record: &Record| matches!(record, Record::Opened { fence, .. } if between && *fence > begun);
        while records.front().is_some_and(|record| !later(record))
            && let Some(record) = records.pop_front()
        {
            place.records += 1;
            if let Some(event) = told(record, names) {
                page.push_back((*place, event));
            }
        }
        if full && records.is_empty() {
            return Ok((page, false));
        }
        let Some(Change { state, at_ms, note }) = coming.first().cloned() else { break };
        place.changes += 1;
        page.push_back((*place, RunEvent::State { state, at: moment(at_ms), note }));
        if state.is_final() {
            return Ok((page, true));
        }
    }
    Ok((page, false))
}

/// The names of a plan's steps: a reader keeps no more of the plan.
type Names = BTreeMap<StepId, String>;

/// Events with the places behind them.
type Page = VecDeque<(Place, RunEvent)>;

/// What a record says to those who watch; nothing where it is of no use to them.
fn told(record: Record, names: &Names) -> Option<RunEvent> {
    let name = |id| names.get(&id).cloned().unwrap_or_default();
    let call = |call: CallId| EventCall { step: name(call.step), path: call.path };
    Some(match record {
        Record::Opened { fence, .. } => RunEvent::Opened { runtime: fence },
        Record::Intent { call: id, attempt, .. } => RunEvent::Began { call: call(id), attempt },
        Record::Result { call: id, usage, wall_s, source, .. } => {
            let cost_usd = usage.cost_usd.and_then(|usd| rust_decimal::prelude::ToPrimitive::to_f64(&usd));
            RunEvent::Done { call: call(id), wall_s, cost_usd, cached: source == Source::Cached }
        }
        Record::Failed { call: id, message, .. } => RunEvent::Failed { call: call(id), message },
        Record::Retried { step, attempt, message, .. } => RunEvent::Retried { step: name(step), attempt, message },
        Record::Left { call: id, to, message, .. } => RunEvent::FellBack { call: call(id), to, message },
        Record::Adapted { message, .. } => RunEvent::Note { message },
        Record::Paused { .. } | Record::Answer { .. } => return None,
        Record::Reserved { .. } | Record::Settled { .. } | Record::Limits { .. } | Record::Server { .. } => {
            return None;
        }
    })
}

/// A reader of a run's events.
struct Reader {
    service: Arc<Service>,
    run: u64,
    place: Place,
    page: Page,
    ended: bool,
    names: Names,
    bell: watch::Receiver<()>,
    stopping: watch::Receiver<bool>,
    _permit: OwnedSemaphorePermit,
}

impl Reader {
    /// The next event; none at the end of the run, of the server, or of what can be read.
    async fn next(mut self) -> Option<(Result<Event, Infallible>, Reader)> {
        loop {
            if let Some((place, event)) = self.page.pop_front() {
                let data = serde_json::to_string(&event).ok()?;
                return Some((Ok(Event::default().id(place.to_string()).data(data)), self));
            }
            if self.ended || *self.stopping.borrow() {
                return None;
            }
            // Looked at before it is waited for: what happens in between rings again.
            self.bell.mark_unchanged();
            (self.page, self.ended) = page(&self.service, self.run, &mut self.place, &mut self.names).ok()?;
            if self.page.is_empty() && !self.ended {
                tokio::select! {
                    changed = self.bell.changed() => changed.ok()?,
                    _ = self.stopping.wait_for(|stops| *stops) => return None,
                }
            }
        }
    }
}

/// Streams what happens to a run, from the place that the client says.
pub async fn events(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
    id: Result<Path<u64>, PathRejection>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let run = seen(&service, &caller, id)?;
    let place = match headers.get("last-event-id").map(|id| id.to_str().unwrap_or_default().parse()) {
        None => Place::default(),
        Some(Ok(place)) => place,
        Some(Err(())) => return Err(Refusal::new(400, "bad_event", "`Last-Event-ID` is that of no event")),
    };
    let bell = service.bells.listen(run.id);
    let (mut place, mut names) = (place, Names::new());
    let (page, ended) = page(&service, run.id, &mut place, &mut names)?;
    if page.is_empty() && (ended || run.state.is_final()) {
        // What tells a browser not to come back.
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let busy = || {
        Refusal::later("streams_full", "as many event streams are open as this server takes", Duration::from_secs(5))
    };
    let permit = service.streams.clone().try_acquire_owned().map_err(|_| busy())?;
    let stopping = service.stopping();
    let reader = Reader { run: run.id, place, page, ended, names, bell, stopping, _permit: permit, service };
    let stream = Sse::new(unfold(reader, Reader::next)).keep_alive(KeepAlive::new().interval(HEARTBEAT));
    // A proxy must hand on what it gets at once.
    Ok(([("x-accel-buffering", "no")], stream).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_as_it_is_written() {
        let place = Place { changes: 3, records: 250 };
        assert_eq!(place.to_string().parse(), Ok(place));
        for wrong in ["", "3", "3-", "-3", "a-b", "3-4-5", "99999999999999999999-1"] {
            assert_eq!(wrong.parse::<Place>(), Err(()), "{wrong}");
        }
    }
}
