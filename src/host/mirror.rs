//! Records of a run → the service, before they count here: with the values and files that they name, under the names that files have there.

use super::fetch::{ANSWER, FILE, below};
use super::paths::Paths;
use super::tie::{No, Service, Tie, insist};
use crate::digest::{digest, file_digest};
use crate::run::cancel::Cancel;
use crate::run::fault::{Fault, FaultKind};
use crate::run::journal::Mirror;
use crate::run::journal::blobs::Blobs;
use crate::run::journal::record::{Record, Stored};
use crate::run::value::{files, with_files};
use crate::serve::hosts::protocol::{DIGEST, Grant, Records};
use reqwest::Method;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// Bytes of records that are sent together.
const PART: usize = 1 << 20;

/// The way of a run's records to the service, on the thread that writes them here.
struct Way {
    runtime: tokio::runtime::Runtime,
    tie: Tie,
    grant: Grant,
    paths: Arc<Paths>,
    blobs: Blobs,
    cancel: Cancel,
    /// Files that are there.
    sent: BTreeSet<String>,
}

/// A mirror of a run's records. What the service refuses stops the run: it is another's.
pub fn mirror(
    service: &Service,
    grant: &Grant,
    paths: &Arc<Paths>,
    blobs: &Blobs,
    cancel: &Cancel,
) -> Result<Mirror, Fault> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let way = Way {
        runtime: runtime.map_err(|e| Fault::new(FaultKind::Process, format!("the run has no runtime: {e}")))?,
        tie: service.tie()?,
        grant: Grant { plan: String::new(), ..grant.clone() },
        paths: paths.clone(),
        blobs: blobs.clone(),
        cancel: cancel.clone(),
        sent: BTreeSet::new(),
    };
    let way = Mutex::new(way);
    Ok(Mirror(Arc::new(move |from, records| {
        let mut way = way.lock().unwrap_or_else(PoisonError::into_inner);
        let done = way.send(from, records);
        if done.is_err() {
            way.cancel.cancel();
        }
        done
    })))
}

impl Way {
    fn send(&mut self, from: u64, records: &[&Record]) -> Result<(), Fault> {
        let Way { runtime, tie, grant, paths, blobs, cancel, sent } = self;
        let out = Out { tie, grant, paths, blobs, cancel };
        runtime.block_on(async {
            let (mut next, mut part, mut bytes) = (from, Vec::new(), 0);
            for record in records {
                let mut record = (*record).clone();
                if let Some(stored) = record.stored_mut() {
                    *stored = out.stored(stored, sent).await?;
                }
                bytes += serde_json::to_string(&record).map_or(0, |text| text.len());
                part.push(record);
                if bytes >= PART {
                    next = out.records(next, std::mem::take(&mut part)).await?;
                    bytes = 0;
                }
            }
            if !part.is_empty() {
                out.records(next, part).await?;
            }
            Ok(())
        })
    }
}

/// What goes out of a run.
pub struct Out<'a> {
    pub tie: &'a Tie,
    pub grant: &'a Grant,
    pub paths: &'a Paths,
    pub blobs: &'a Blobs,
    pub cancel: &'a Cancel,
}

impl Out<'_> {
    async fn records(&self, from: u64, records: Vec<Record>) -> Result<u64, Fault> {
        let next = from + records.len() as u64;
        let (path, body) = (below(self.grant, "records"), Records { from, records });
        let put = || self.tie.ask::<Value>(self.tie.request(Method::POST, &path).json(&body).timeout(ANSWER));
        insist(self.cancel, put).await?;
        Ok(next)
    }

    /// A value as it is called there, which the service has when this returns.
    async fn stored(&self, stored: &Stored, sent: &mut BTreeSet<String>) -> Result<Stored, Fault> {
        let value = self.blobs.value(stored)?;
        for here in files(&value) {
            if let Some(there) = self.paths.sent(here)
                && !sent.contains(&there)
            {
                self.file(Path::new(here), &there).await?;
                sent.insert(there);
            }
        }
        let value = with_files(&value, &|file| self.paths.there(file));
        if matches!(stored, Stored::Inline(_)) {
            return Ok(Stored::Inline(value));
        }
        let text = value.to_string();
        let hash = digest([text.as_str()]);
        let path = below(self.grant, &format!("values/{hash}"));
        let put = || self.tie.send(self.tie.request(Method::PUT, &path).body(text.clone()).timeout(FILE));
        insist(self.cancel, put).await?;
        Ok(Stored::Blob(hash))
    }

    /// Sends a file of the run's folder.
    pub async fn file(&self, here: &Path, there: &str) -> Result<(), Fault> {
        let cannot = |e: std::io::Error| Fault::storage("read", here, &e);
        let digest = file_digest(here).map_err(cannot)?;
        let put = || async {
            // The file is the run's own: it was there a moment ago.
            let file = tokio::fs::File::open(here).await.map_err(|e| No::Away(e.to_string()))?;
            let request = self.tie.request(Method::PUT, &below(self.grant, "files")).query(&[("path", there)]);
            self.tie.send(request.header(DIGEST, &digest).body(file).timeout(FILE)).await
        };
        insist(self.cancel, put).await?;
        Ok(())
    }
}
