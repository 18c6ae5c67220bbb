//! Rows of the database -> runs and records, each held to its checksum; and what SQLite says, in our words.

use super::blobs::damaged;
use super::record::{Record, checksum, decode};
use super::{DESCRIPTION, Run};
use crate::run::fault::{Fault, FaultKind};
use rusqlite::{Connection, ErrorCode, Transaction, params};

/// What is checked of a run's fence and number of records.
pub(super) fn count_checksum(run: u64, count: u64, fence: u64) -> u32 {
    checksum(run, count, &fence.to_le_bytes())
}

/// Notes in a transaction how many records a run has.
pub(super) fn put_count(tx: &Transaction<'_>, run: u64, fence: u64, count: u64) -> Result<(), Fault> {
    tx.prepare_cached("UPDATE runs SET fence = ?2, count = ?3, count_crc = ?4 WHERE id = ?1")
        .and_then(|mut update| update.execute(params![run, fence, count, count_checksum(run, count, fence)]))
        .map_err(failed)
        .map(|_| ())
}

/// The record in a row, which must be that of a place.
pub(super) fn record_of(row: &rusqlite::Row<'_>, run: u64, place: u64) -> Result<Record, Fault> {
    let n: u64 = row.get(0).map_err(failed)?;
    let (body, crc): (Vec<u8>, u32) = (row.get(1).map_err(failed)?, row.get(2).map_err(failed)?);
    if n != place {
        return Err(damaged(&format!("record {place} of run {run} is missing")));
    }
    decode(run, n, &body, crc).map_err(|why| damaged(&format!("record {n} of run {run}: {why}")))
}

/// The run with a number.
pub(super) fn one(db: &Connection, id: u64) -> Result<Option<Run>, Fault> {
    let text = "SELECT id, body, crc, fence, count, count_crc FROM runs WHERE id = ?1";
    let mut select = db.prepare_cached(text).map_err(failed)?;
    let mut rows = select.query([id]).map_err(failed)?;
    rows.next().map_err(failed)?.map(run_of).transpose()
}

/// The run with a key. Bodies are texts of ours: only those that hold the key are read.
pub(super) fn of_key(db: &Connection, key: &str) -> Result<Option<Run>, Fault> {
    let quoted = serde_json::to_vec(key).map_err(|e| Fault::new(FaultKind::Storage, e.to_string()))?;
    let text = "SELECT id, body, crc, fence, count, count_crc FROM runs WHERE instr(body, ?1) > 0 ORDER BY id";
    let mut select = db.prepare_cached(text).map_err(failed)?;
    let mut rows = select.query([quoted]).map_err(failed)?;
    while let Some(row) = rows.next().map_err(failed)? {
        let run = run_of(row)?;
        if run.info.key.as_deref() == Some(key) {
            return Ok(Some(run));
        }
    }
    Ok(None)
}

/// All runs, in order.
pub(super) fn all(db: &Connection) -> Result<Vec<Run>, Fault> {
    let mut select =
        db.prepare_cached("SELECT id, body, crc, fence, count, count_crc FROM runs ORDER BY id").map_err(failed)?;
    let mut rows = select.query([]).map_err(failed)?;
    let mut runs = Vec::new();
    while let Some(row) = rows.next().map_err(failed)? {
        runs.push(run_of(row)?);
    }
    Ok(runs)
}

/// The run in a row, whose checksums must fit.
pub(super) fn run_of(row: &rusqlite::Row<'_>) -> Result<Run, Fault> {
    let read = || {
        let (id, body, crc): (u64, Vec<u8>, u32) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let (fence, count, count_crc): (u64, u64, u32) = (row.get(3)?, row.get(4)?, row.get(5)?);
        Ok((id, body, crc, fence, count, count_crc))
    };
    let (id, body, crc, fence, count, count_crc) = read().map_err(failed)?;
    if checksum(id, DESCRIPTION, &body) != crc || count_checksum(id, count, fence) != count_crc {
        return Err(damaged(&format!("the checksum of run {id} does not fit")));
    }
    let info = serde_json::from_slice(&body).map_err(|e| damaged(&format!("run {id} cannot be read: {e}")))?;
    Ok(Run { id, info, fence, count })
}

/// What SQLite says, in our words.
pub(super) fn failed(error: rusqlite::Error) -> Fault {
    let storage = |message: String| Fault::new(FaultKind::Storage, message);
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => storage(format!("the journal cannot be written: the disk is full ({error})"))
            .help("free some space, then `mkbc resume`: what is finished is kept"),
        Some(
            ErrorCode::SystemIoFailure | ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied,
        ) => storage(format!("the journal cannot be read or written: {error}"))
            .help("mend that, then `mkbc resume`: what is finished is kept"),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            storage(format!("another process has held the journal for too long: {error}"))
                .help("wait for it, then `mkbc resume`")
        }
        _ => damaged(&error.to_string()),
    }
}
