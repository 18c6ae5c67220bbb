//! `PUT /v1/blobs`: a file → its digest, by which inputs name it.

use super::guard::Caller;
use super::refusal::Refusal;
use super::types::Uploaded;
use crate::serve::Service;
use crate::serve::audit::Act;
use axum::Json;
use axum::body::Body;
use axum::extract::{Extension, State};
use axum::http::StatusCode;
use futures_util::StreamExt;
use std::sync::Arc;

/// Keeps a file, whole or not at all.
pub async fn put(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
    body: Body,
) -> Result<(StatusCode, Json<Uploaded>), Refusal> {
    let tenant = &caller.tenant.name;
    let most = service.settings.blob_bytes;
    let large = || Refusal::new(413, "too_large", format!("a blob has {most} bytes at most"));
    let mut upload = service.blobs.begin(tenant)?;
    let mut parts = body.into_data_stream();
    while let Some(part) = parts.next().await {
        let part = part.map_err(|_| Refusal::new(400, "bad_body", "the body ended too early"))?;
        if upload.bytes() + part.len() as u64 > most {
            return Err(large());
        }
        upload.write(&part)?;
    }
    if upload.bytes() == 0 {
        return Err(Refusal::invalid("empty", "the blob is empty"));
    }
    // What a tenant keeps is bounded, and known only once it is all here.
    let (there, room) = (service.store.blob_bytes(tenant)?, service.settings.blobs_bytes);
    let (digest, bytes) = (upload.digest(), upload.bytes());
    let new = !service.store.has_blob(tenant, &digest)?;
    if new && there.saturating_add(bytes) > room {
        let message = format!("`{tenant}` keeps {there} bytes of blobs, and may keep {room}");
        return Err(Refusal::new(413, "blobs_full", message));
    }
    tokio::task::spawn_blocking(move || upload.finish())
        .await
        .map_err(|_| Refusal::broken("the upload panicked"))??;
    service.store.writer().blob(tenant, &digest, bytes).await?;
    let (note, from) = (digest.get(..16).unwrap_or_default(), Some(caller.from));
    service.audit.note(Act { what: "upload", tenant: Some(tenant), from, run: None, note });
    let status = if new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(Uploaded { blob: digest, bytes })))
}
