//! What hosts ask of their server over HTTP ([`super::table`] says where). These addresses are for programs of the same version.

use super::lease::Lease;
use super::protocol::{Appended, Ask, DIGEST, Ended, HOSTS, Hello, LEASES, News, PAGE, Records, Welcome, Wish};
use super::wish;
use crate::digest::{file_digest, hex};
use crate::run::fault::{Fault, FaultKind};
use crate::serve::Service;
use crate::serve::api::refusal::Refusal;
use crate::serve::api::runs::sent;
use crate::serve::api::submit::read;
use crate::serve::audit::{Act, REFUSE};
use crate::serve::queue::Waiting;
use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::rejection::{BytesRejection, PathRejection, QueryRejection};
use axum::extract::{Extension, Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use futures_util::future::{FutureExt, select_all};
use schemars::JsonSchema;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::io::{Seek, Write};
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::time::Instant;

/// A host that asks.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Whose token it has.
    pub owner: String,
    /// From where.
    pub from: IpAddr,
}

/// Whether an address is for hosts, and nobody else.
pub fn is_for(path: &str) -> bool {
    [HOSTS, LEASES]
        .iter()
        .any(|root| path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
}

/// Which lease is asked about.
pub(super) type Which<T> = Result<Path<T>, PathRejection>;

fn lease(service: &Service, caller: &Caller, which: Which<(u64, u64)>) -> Result<Arc<Lease>, Refusal> {
    let Path((run, fence)) = which.map_err(|_| Refusal::absent("there is no such lease"))?;
    leased(service, caller, run, fence)
}

/// The lease of a run, if it is the caller's.
pub(super) fn leased(service: &Service, caller: &Caller, run: u64, fence: u64) -> Result<Arc<Lease>, Refusal> {
    let found = service.hosts.lease(service, &caller.owner, run, fence);
    if found.is_err() {
        // What comes late is worth knowing: a host goes on that was given up.
        let (from, note) = (Some(caller.from), "lease_lost");
        service.audit.note(Act { what: REFUSE, tenant: None, from, run: Some(run), note });
    }
    found
}

/// What hosts send that does not fit is theirs to answer for; what this server cannot do is not.
fn refused(fault: Fault) -> Refusal {
    match fault.kind {
        FaultKind::Data => Refusal::invalid("bad_records", fault.message),
        _ => Refusal::from(fault),
    }
}

/// Does what waits for the disk where nobody waits for it.
pub(super) async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Refusal> + Send + 'static,
) -> Result<T, Refusal> {
    tokio::task::spawn_blocking(work).await.map_err(|_| Refusal::broken("the work panicked"))?
}

pub(super) async fn register(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Welcome>, Refusal> {
    let hello: Hello = read(&headers, body, "registration")?;
    aside(move || service.hosts.register(&service, &caller.owner, caller.from, hello).map(Json)).await
}

pub(super) async fn leave(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
    session: Which<String>,
) -> Result<StatusCode, Refusal> {
    let Path(session) = session.map_err(|_| Refusal::absent("there is no such host"))?;
    let key = service.hosts.heard(&service, &caller.owner, &session, &[])?;
    aside(move || {
        service.hosts.leave(&service, &key);
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}

/// Answers when there is something to do, or after a third of the lease.
pub(super) async fn ask(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
    session: Which<String>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<News>, Refusal> {
    let Path(session) = session.map_err(|_| Refusal::absent("there is no such host"))?;
    let ask: Ask = read(&headers, body, "question")?;
    let host = service.hosts.heard(&service, &caller.owner, &session, &ask.leases)?;
    service.hosts.see(&host, &ask.load);
    let until = Instant::now() + service.hosts.lease / 3;
    let mut stopping = service.stopping();
    loop {
        // Looked at only after it is listened for: what comes in between is heard.
        let more = service.dispatch.news();
        tokio::pin!(more);
        more.as_mut().enable();
        let (mut news, room) = service.hosts.news(&service, &host, &ask)?;
        if news.is_none() && room {
            let may = |run: &Waiting, idle: bool| service.hosts.may(&service, &host, run, idle);
            if let Some((run, cancel)) = service.dispatch.take_elsewhere(&may) {
                let (service, host) = (service.clone(), host.clone());
                // On a thread of its own: a host that hangs up must not leave a run that was taken and given to nobody.
                let given = aside(move || Ok(service.hosts.give(&service, &host, run.id, &cancel))).await?;
                match given {
                    Some(grant) => news.grant = Some(Box::new(grant)),
                    None => continue,
                }
            }
        }
        if !news.is_none() || service.is_stopping() {
            return Ok(Json(news));
        }
        let wishes = service.hosts.told(&host, &ask).into_iter().filter(|(_, told)| *told < Wish::Stop);
        let mut wishes: Vec<_> = wishes
            .map(|(cancel, told)| {
                let changed = async move {
                    if told < Wish::Drain && wish(&cancel) < Wish::Drain {
                        cancel.draining().await;
                    } else {
                        cancel.cancelled().await;
                    }
                };
                changed.boxed()
            })
            .collect();
        wishes.push(std::future::pending().boxed());
        tokio::select! {
            () = &mut more => {}
            _ = select_all(wishes) => {}
            _ = stopping.wait_for(|stops| *stops) => {}
            () = tokio::time::sleep_until(until) => return Ok(Json(News::default())),
        }
    }
}

/// From where on records are asked for.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Behind {
    /// The number of the first record, from 0.
    from: u64,
}

pub(super) async fn records(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
    which: Which<(u64, u64)>,
    query: Result<Query<Behind>, QueryRejection>,
) -> Result<Json<Records>, Refusal> {
    let lease = lease(&service, &caller, which)?;
    let Query(Behind { from }) = query?;
    aside(move || {
        let records = service.journal(|db| db.records_from(lease.run.id, from, PAGE))?;
        Ok(Json(Records { from, records }))
    })
    .await
}

pub(super) async fn append(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
    which: Which<(u64, u64)>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Appended>, Refusal> {
    let lease = lease(&service, &caller, which)?;
    let Records { from, records } = read::<Records>(&headers, body, "list of records")?;
    aside(move || {
        let next = lease.append(from, &records).map_err(refused)?;
        service.bells.ring(lease.id);
        Ok(Json(Appended { next }))
    })
    .await
}

pub(super) async fn value(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
    which: Which<(u64, u64, String)>,
) -> Result<String, Refusal> {
    let absent = || Refusal::absent("there is no such value");
    let Path((run, fence, digest)) = which.map_err(|_| absent())?;
    lease(&service, &caller, Ok(Path((run, fence))))?;
    aside(move || service.journal(|db| db.blobs().text(&digest)).map_err(|_| absent())).await
}

pub(super) async fn keep(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
    which: Which<(u64, u64, String)>,
    body: Body,
) -> Result<StatusCode, Refusal> {
    let Path((run, fence, digest)) = which.map_err(|_| Refusal::absent("there is no such value"))?;
    let lease = lease(&service, &caller, Ok(Path((run, fence))))?;
    let most = usize::try_from(service.settings.blob_bytes).unwrap_or(usize::MAX);
    let bytes = axum::body::to_bytes(body, most).await;
    let bytes = bytes.map_err(|_| Refusal::new(413, "too_large", format!("a value has {most} bytes at most")))?;
    aside(move || {
        let text = std::str::from_utf8(&bytes).map_err(|_| Refusal::invalid("bad_value", "a value is a text"))?;
        let room = lease.count(bytes.len() as u64, service.settings.blobs_bytes);
        room.then_some(()).ok_or_else(|| full(&service))?;
        if crate::digest::digest([text]) != digest || lease.value(text)? != digest {
            return Err(Refusal::invalid("bad_value", "the value is not that of its digest"));
        }
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}

fn full(service: &Service) -> Refusal {
    let most = service.settings.blobs_bytes;
    Refusal::new(413, "too_large", format!("all files of a run have {most} bytes at most"))
}

/// Which file.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Named {
    /// Its path on the server: that of an input, or one below the run's folder.
    path: PathBuf,
}

pub(super) async fn file(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
    which: Which<(u64, u64)>,
    query: Result<Query<Named>, QueryRejection>,
) -> Result<Response, Refusal> {
    let lease = lease(&service, &caller, which)?;
    let Query(Named { path }) = query?;
    let absent = || Refusal::absent("the run has no such file");
    let (file, digest) = aside(move || {
        let mut file =
            lease.file(&path).filter(|file| file.metadata().is_ok_and(|about| about.is_file())).ok_or_else(absent)?;
        let mut hash = Sha256::new();
        std::io::copy(&mut file, &mut hash).and_then(|_| file.rewind()).map_err(|_| absent())?;
        Ok((file, hex(&hash.finalize())))
    })
    .await?;
    let headers = [(header::CONTENT_TYPE.as_str(), "application/octet-stream".to_owned()), (DIGEST, digest)];
    Ok((headers, sent(file)).into_response())
}

pub(super) async fn place(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
    which: Which<(u64, u64)>,
    query: Result<Query<Named>, QueryRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, Refusal> {
    let lease = lease(&service, &caller, which)?;
    let Query(Named { path }) = query?;
    let place = lease.place(&path).map_err(refused)?;
    let folder = place.parent().unwrap_or(&lease.folder).to_path_buf();
    let cannot = |e: std::io::Error| Refusal::from(Fault::storage("write a file of a run below", &folder, &e));
    let mut part = tempfile::NamedTempFile::new_in(&folder).map_err(cannot)?;
    let mut parts = body.into_data_stream();
    let mut bytes = 0_u64;
    while let Some(bytes_of) = parts.next().await {
        let bytes_of = bytes_of.map_err(|_| Refusal::new(400, "bad_body", "the body ended too early"))?;
        bytes += bytes_of.len() as u64;
        let room = lease.count(bytes_of.len() as u64, service.settings.blobs_bytes);
        if bytes > service.settings.blob_bytes || !room {
            return Err(full(&service));
        }
        part.write_all(&bytes_of).map_err(cannot)?;
    }
    let digest = headers.get(DIGEST).and_then(|digest| digest.to_str().ok()).unwrap_or_default().to_owned();
    aside(move || {
        let cannot = |e: std::io::Error| Refusal::from(Fault::storage("write", &place, &e));
        if file_digest(part.path()).map_err(cannot)? != digest {
            return Err(Refusal::invalid("bad_file", "the file is not that of its digest"));
        }
        part.as_file().sync_all().map_err(cannot)?;
        // An upload takes its time, in which a lease may end.
        service.hosts.lease(&service, &caller.owner, lease.id, lease.fence)?;
        part.persist(&place).map_err(|e| cannot(e.error))?;
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}

pub(super) async fn end(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
    which: Which<(u64, u64)>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<StatusCode, Refusal> {
    let lease = lease(&service, &caller, which)?;
    let ended: Ended = read(&headers, body, "end")?;
    aside(move || service.hosts.end(&service, &lease, ended).map(|()| StatusCode::NO_CONTENT)).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_addresses_of_hosts_are_for_hosts() {
        for path in ["/v1/hosts", "/v1/hosts/x/ask", "/v1/leases/1/2/end"] {
            assert!(is_for(path), "{path}");
        }
        for path in ["/v1/hostsx", "/v1/runs", "/", "/v1/leases.json"] {
            assert!(!is_for(path), "{path}");
        }
    }
}
