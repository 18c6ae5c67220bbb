//! What the store knows of deployed workflows: when their runs came, what became of them, and what the fleet keeps.

use super::{Fault, State, Store};
use rusqlite::{OptionalExtension, Row, params};

/// A run of a workflow that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Whether it has an answer.
    pub done: bool,
    /// Milliseconds from its acceptance to its end.
    pub took_ms: u64,
    /// What it cost, millionths of a dollar, where that is known.
    pub spent_micro: Option<u64>,
}

impl Store {
    /// The latest runs of a workflow that came since a moment and have an answer or failed, so many at most.
    pub fn ended(&self, workflow: &str, since_ms: i64, most: usize) -> Result<Vec<Ended>, Fault> {
        self.read(|db| {
            let mut select = db.prepare_cached(
                "SELECT state, changed_ms - submitted_ms, spent_micro FROM runs
                 WHERE workflow = ?1 AND submitted_ms >= ?2 AND state IN ('done', 'failed')
                 ORDER BY submitted_ms DESC LIMIT ?3",
            )?;
            let ended = |row: &Row<'_>| {
                let state: String = row.get(0)?;
                let took: i64 = row.get(1)?;
                let took_ms = took.max(0).unsigned_abs();
                Ok(Ended { done: state == State::Done.text(), took_ms, spent_micro: row.get(2)? })
            };
            select.query_map(params![workflow, since_ms, most as u64], ended)?.collect()
        })
    }

    /// How many runs of a workflow were accepted from one moment until before another.
    pub fn arrived(&self, workflow: &str, from_ms: i64, to_ms: i64) -> Result<u64, Fault> {
        self.read(|db| {
            let mut select = db.prepare_cached(
                "SELECT count(*) FROM runs WHERE workflow = ?1 AND submitted_ms >= ?2 AND submitted_ms < ?3",
            )?;
            select.query_row(params![workflow, from_ms, to_ms], |row| row.get(0))
        })
    }

    /// How many runs of a workflow that came since a moment have not ended.
    pub fn open_of(&self, workflow: &str, since_ms: i64) -> Result<u64, Fault> {
        self.read(|db| {
            let mut select = db.prepare_cached(
                "SELECT count(*) FROM runs WHERE state IN ('queued', 'running', 'cancelling')
                 AND workflow = ?1 AND submitted_ms >= ?2",
            )?;
            select.query_row(params![workflow, since_ms], |row| row.get(0))
        })
    }

    /// What is kept under a name.
    pub fn kept(&self, name: &str) -> Result<Option<String>, Fault> {
        self.read(|db| db.query_row("SELECT body FROM kept WHERE name = ?1", [name], |row| row.get(0)).optional())
    }
}
