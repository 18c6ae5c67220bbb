//! `GET /v1/runs`, and what is asked of one run: status, result, files, cancel.

use super::guard::Caller;
use super::refusal::Refusal;
use super::types::{Cancelled, ListQuery, RunList, RunResult, RunStatus, WaitQuery};
use crate::run::journal::record::Record;
use crate::run::value::with_files;
use crate::serve::audit::Act;
use crate::serve::dispatch::Stopped;
use crate::serve::hosts::lease::beneath;
use crate::serve::store::writer::Turned;
use crate::serve::store::{Accepted, Filter, State as RunState};
use crate::serve::{Service, now_ms};
use axum::Json;
use axum::body::Body;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Extension, Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use std::fs::File;
use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

/// Bytes of a file that are read at a time.
const PART: usize = 64 << 10;

/// The run of a number, if the caller may see it: that of another tenant is as absent as one that never was.
pub fn seen(service: &Service, caller: &Caller, id: Result<Path<u64>, PathRejection>) -> Result<Accepted, Refusal> {
    let absent = || Refusal::absent("there is no such run");
    let Path(id) = id.map_err(|_| absent())?;
    let run = service.store.run(id)?.ok_or_else(absent)?;
    if run.tenant == caller.tenant.name || caller.tenant.sees_all { Ok(run) } else { Err(absent()) }
}

/// Lists runs.
pub async fn list(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Json<RunList>, Refusal> {
    let Query(query) = query?;
    let bad = |why: &str| Refusal::new(400, "bad_query", why);
    let limit = query.limit.unwrap_or(50);
    if !(1..=500).contains(&limit) {
        return Err(bad("`limit` is a number from 1 to 500"));
    }
    let before = query.cursor.as_deref().map(str::parse).transpose().map_err(|_| bad("`cursor` is that of no page"))?;
    let filter = Filter {
        tenant: (!caller.tenant.sees_all).then_some(caller.tenant.name.as_str()),
        state: query.state,
        job: query.job.as_deref(),
        before,
        most: limit + 1,
    };
    let mut found = service.store.list(&filter)?;
    let more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| more).map(|run| run.id.to_string());
    Ok(Json(RunList { runs: found.into_iter().map(RunStatus::from).collect(), next }))
}

/// Shows a run.
pub async fn show(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
    id: Result<Path<u64>, PathRejection>,
) -> Result<Json<RunStatus>, Refusal> {
    seen(&service, &caller, id).map(|run| Json(run.into()))
}

/// Stops a run: one that waits at once, one under way in two stages.
pub async fn cancel(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
    id: Result<Path<u64>, PathRejection>,
) -> Result<(StatusCode, Json<Cancelled>), Refusal> {
    let run = seen(&service, &caller, id)?;
    if run.state == RunState::Cancelled {
        return Ok((StatusCode::OK, Json(Cancelled { run: run.into(), draining: false })));
    }
    if run.state.is_final() {
        return Err(Refusal::conflict("ended", format!("the run has ended: it is {}", run.state.text())));
    }
    let id = run.id;
    let stopped = service.dispatch.stop(id);
    let (from, to): (&'static [RunState], _) = match stopped {
        Stopped::Waiting => (&[RunState::Queued], RunState::Cancelled),
        Stopped::Drained => (&[RunState::Queued, RunState::Running], RunState::Cancelling),
        Stopped::AtOnce | Stopped::Unknown => (&[], RunState::Cancelling),
    };
    let spent_micro = (stopped == Stopped::Waiting && run.journal.is_none()).then_some(0);
    let turned = Turned { run: id, from, to, at_ms: now_ms(), note: None, journal: None, spent_micro };
    service.turned(turned).await?;
    let from = Some(caller.from);
    service.audit.note(Act { what: "cancel", tenant: Some(&caller.tenant.name), from, run: Some(id), note: "" });
    let run = service.store.run(id)?.ok_or_else(|| Refusal::absent("there is no such run"))?;
    let status = if run.state.is_final() { StatusCode::OK } else { StatusCode::ACCEPTED };
    Ok((status, Json(Cancelled { draining: stopped == Stopped::Drained, run: run.into() })))
}

/// Shows a run's answer, and waits for it a while where that is asked for.
pub async fn result(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
    id: Result<Path<u64>, PathRejection>,
    query: Result<Query<WaitQuery>, QueryRejection>,
) -> Result<Json<RunResult>, Refusal> {
    let Query(query) = query?;
    let run = seen(&service, &caller, id)?;
    let run = awaited(&service, run, query.wait_s.unwrap_or(0)).await?;
    answer(&service, &run).map(Json)
}

/// Waits for a run to end, so many seconds and a minute at most.
pub async fn awaited(service: &Service, mut run: Accepted, seconds: u32) -> Result<Accepted, Refusal> {
    if seconds == 0 || run.state.is_final() {
        return Ok(run);
    }
    let until = tokio::time::Instant::now() + Duration::from_secs(seconds.min(60).into());
    let mut bell = service.bells.listen(run.id);
    let mut stopping = service.stopping();
    loop {
        run = service.store.run(run.id)?.ok_or_else(|| Refusal::absent("there is no such run"))?;
        if run.state.is_final() {
            return Ok(run);
        }
        tokio::select! {
            _ = bell.changed() => {}
            _ = stopping.wait_for(|stops| *stops) => return Ok(run),
            () = tokio::time::sleep_until(until) => return Ok(run),
        }
    }
}

/// A run's answer.
pub fn answer(service: &Service, run: &Accepted) -> Result<RunResult, Refusal> {
    if run.state != RunState::Done {
        let why = run.error.as_ref().map_or(String::new(), |why| format!(": {why}"));
        return Err(Refusal::conflict("no_result", format!("the run has no answer: it is {}{why}", run.state.text())));
    }
    let journal = run.journal.ok_or_else(|| Refusal::broken("the run is in no journal"))?;
    let (answer, took_s) = service.journal(|db| match db.answer(journal)? {
        Some(Record::Answer { value, t, .. }) => Ok((Some(db.blobs().value(&value)?), t)),
        _ => Ok((None, 0.0)),
    })?;
    let answer = answer.ok_or_else(|| Refusal::broken("the journal has no answer of the run"))?;
    let result = addressed(service, run, journal, &answer);
    let cost_usd = run.spent_micro.map(|micro| micro as f64 / 1e6);
    Ok(RunResult { id: run.id, result, cost_usd, took_s })
}

/// An answer whose files of the run have addresses here; no path of the server is in it.
fn addressed(service: &Service, run: &Accepted, journal: u64, answer: &Value) -> Value {
    let folder = service.run_folder(journal);
    let relative = |file: &str| std::path::Path::new(file).strip_prefix(&folder).ok()?.to_str().map(str::to_owned);
    let renamed = with_files(answer, &|file| relative(file).unwrap_or_default());
    with_urls(renamed, run.id)
}

fn with_urls(value: Value, id: u64) -> Value {
    match value {
        Value::Array(items) => items.into_iter().map(|item| with_urls(item, id)).collect(),
        Value::Object(fields) => {
            let url = match fields.get("file") {
                Some(Value::String(file)) if !file.is_empty() => Some(format!("/v1/runs/{id}/files/{file}")),
                _ => None,
            };
            let fields = fields.into_iter().map(|(name, value)| (name, with_urls(value, id)));
            fields.chain(url.map(|url| ("url".to_owned(), Value::from(url)))).collect::<serde_json::Map<_, _>>().into()
        }
        other => other,
    }
}

/// A file of a run's folder. The kernel itself resolves the name, below the folder and without links.
pub async fn file(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
    path: Result<Path<(u64, String)>, PathRejection>,
) -> Result<Response, Refusal> {
    let absent = || Refusal::absent("the run has no such file");
    let Path((id, name)) = path.map_err(|_| absent())?;
    let run = seen(&service, &caller, Ok(Path(id)))?;
    let folder = service.run_folder(run.journal.ok_or_else(absent)?);
    let work = move || {
        let file = beneath(&folder, &name)?;
        let about = file.metadata().ok()?;
        about.is_file().then_some((file, about.len()))
    };
    let found = tokio::task::spawn_blocking(work).await.map_err(|_| absent())?;
    let (file, bytes) = found.ok_or_else(absent)?;
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (header::CONTENT_LENGTH, bytes.to_string()),
        (header::CONTENT_DISPOSITION, "attachment".to_owned()),
    ];
    Ok((headers, sent(file)).into_response())
}

/// A file as a body, read part by part.
pub fn sent(file: File) -> Body {
    let parts = futures_util::stream::unfold(file, |mut file| async {
        let read = tokio::task::spawn_blocking(move || {
            let mut part = vec![0; PART];
            let read = file.read(&mut part).map(|n| {
                part.truncate(n);
                part
            });
            (read, file)
        });
        match read.await {
            Ok((Ok(part), _)) if part.is_empty() => None,
            Ok((read, file)) => Some((read, file)),
            Err(_) => None,
        }
    });
    Body::from_stream(parts)
}
