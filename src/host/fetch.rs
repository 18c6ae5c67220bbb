//! A run that was granted → its inputs' files, and what earlier runtimes recorded of it, here: under the names that files have here.

use super::paths::Paths;
use super::tie::{No, Tie, causes, insist};
use crate::digest::{digest, hex};
use crate::run::cancel::Cancel;
use crate::run::fault::{Fault, FaultKind};
use crate::run::journal::blobs::Blobs;
use crate::run::journal::record::{Record, Stored};
use crate::run::store::folder;
use crate::run::value::{files, with_files};
use crate::serve::hosts::protocol::{DIGEST, Grant, LEASES, Records};
use futures_util::StreamExt;
use reqwest::Method;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;
use tokio::io::AsyncWriteExt;

/// How long an answer may take, and how long a file.
pub const ANSWER: Duration = Duration::from_secs(60);
pub const FILE: Duration = Duration::from_secs(3_600);

/// The address of something below a lease.
pub fn below(grant: &Grant, rest: &str) -> String {
    format!("{LEASES}/{}/{}/{rest}", grant.run, grant.fence)
}

/// A run's own way to the service.
pub struct Fetch<'a> {
    pub tie: &'a Tie,
    pub grant: &'a Grant,
    pub cancel: &'a Cancel,
    /// Where large values are kept here.
    pub blobs: &'a Blobs,
}

impl Fetch<'_> {
    /// The inputs, whose files lie below a folder.
    pub async fn inputs(&self, root: &Path, paths: &mut Paths) -> Result<BTreeMap<String, Value>, Fault> {
        let named: std::collections::BTreeSet<&str> = self.grant.inputs.values().flat_map(files).collect();
        for (n, there) in named.into_iter().enumerate() {
            let name = Path::new(there).file_name().unwrap_or("input".as_ref());
            let here = root.join(n.to_string()).join(name);
            self.file(there, &here).await?;
            paths.input(there, &here);
        }
        let here = |value: &Value| with_files(value, &|file| paths.here(file));
        Ok(self.grant.inputs.iter().map(|(name, value)| (name.clone(), here(value))).collect())
    }

    /// What earlier runtimes recorded.
    pub async fn records(&self, paths: &Paths) -> Result<Vec<Record>, Fault> {
        let mut all: Vec<Record> = Vec::new();
        while (all.len() as u64) < self.grant.count {
            let path = below(self.grant, &format!("records?from={}", all.len()));
            let page =
                insist(self.cancel, || self.tie.ask::<Records>(self.tie.request(Method::GET, &path).timeout(ANSWER)));
            let page = page.await?.records;
            if page.is_empty() {
                return Err(Fault::new(FaultKind::Storage, "the server has fewer records of the run than it says"));
            }
            all.extend(page);
        }
        all.truncate(usize::try_from(self.grant.count).unwrap_or(usize::MAX));
        for record in &mut all {
            if let Some(stored) = record.stored_mut() {
                *stored = self.stored(stored, paths).await?;
            }
        }
        Ok(all)
    }

    async fn stored(&self, stored: &Stored, paths: &Paths) -> Result<Stored, Fault> {
        let value = match stored {
            Stored::Inline(value) => value.clone(),
            Stored::Blob(hash) => {
                let path = below(self.grant, &format!("values/{hash}"));
                let text = insist(self.cancel, || async {
                    let response = self.tie.send(self.tie.request(Method::GET, &path).timeout(FILE)).await?;
                    response.text().await.map_err(|e| No::Away(causes(&e)))
                });
                let text = text.await?;
                if digest([text.as_str()]) != *hash {
                    return Err(Fault::new(FaultKind::Storage, "a value of the run is not that of its digest"));
                }
                serde_json::from_str(&text).map_err(|e| Fault::new(FaultKind::Storage, e.to_string()))?
            }
        };
        for there in files(&value).into_iter().filter(|file| paths.is_within(file)) {
            let here = paths.here(there);
            if !Path::new(&here).exists() {
                self.file(there, Path::new(&here)).await?;
            }
        }
        self.blobs.keep(&with_files(&value, &|file| paths.here(file)))
    }

    /// Brings a file here, whole or not at all.
    async fn file(&self, there: &str, here: &Path) -> Result<(), Fault> {
        folder(here.parent().unwrap_or(Path::new("/")))?;
        let cannot = |e: &std::io::Error| Fault::storage("write", here, e);
        let request =
            || self.tie.request(Method::GET, &below(self.grant, "files")).query(&[("path", there)]).timeout(FILE);
        let brought = insist(self.cancel, || async {
            let response = self.tie.send(request()).await?;
            let said = response.headers().get(DIGEST).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
            let (mut parts, mut hash) = (response.bytes_stream(), Sha256::new());
            let mut open = tokio::fs::OpenOptions::new();
            let file = open.write(true).create(true).truncate(true).mode(0o600).open(here);
            let mut file = match file.await {
                Ok(file) => file,
                Err(e) => return Ok(Err(cannot(&e))),
            };
            while let Some(part) = parts.next().await {
                let part = part.map_err(|e| No::Away(causes(&e)))?;
                hash.update(&part);
                if let Err(e) = file.write_all(&part).await {
                    return Ok(Err(cannot(&e)));
                }
            }
            if let Err(e) = file.flush().await {
                return Ok(Err(cannot(&e)));
            }
            // What came otherwise than it is there is asked for again.
            if hex(&hash.finalize()) == said { Ok(Ok(())) } else { Err(No::Away("a file broke off".to_owned())) }
        });
        brought.await?
    }
}
