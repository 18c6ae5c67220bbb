//! A record → what it says, in a sentence for people.

use super::record::{Record, Source};
use crate::ir::workflow::StepId;
use crate::run::servers::{ServerEvent, ServerState};

/// What a record says; `name` knows the names of steps.
pub fn said<'n>(record: &Record, name: &dyn Fn(StepId) -> &'n str) -> String {
    let call = record.call().map(|c| format!("{} {:04} ({})", name(c.step), c.number, c.path)).unwrap_or_default();
    match record {
        Record::Opened { fence, pid, at, compiler } => {
            format!("runtime {fence} (process {pid}, {compiler}) took over at {at}")
        }
        Record::Intent { attempt, .. } => format!("{call}: attempt {attempt}"),
        Record::Result { wall_s, source, .. } => {
            let whence = match source {
                Source::Made => "",
                Source::Cached => ", from the cache",
                Source::Recovered => ", recovered from its folder",
            };
            format!("{call}: done, {wall_s:.3} s{whence}")
        }
        Record::Failed { message, .. } => format!("{call}: failed: {message}"),
        Record::Retried { step, attempt, message, .. } => {
            format!("{}: attempt {attempt} failed, again: {message}", name(*step))
        }
        Record::Server { event, .. } => server(event),
        Record::Left { from, to, message, .. } => {
            format!("{call}: {from} failed for good, {to} stands in: {message}")
        }
        Record::Reserved { id, usd, .. } => format!("{usd} usd kept for request {id}"),
        Record::Settled { id, usd, .. } => format!("request {id} cost {usd} usd"),
        Record::Limits { limits, .. } => {
            let limits: Vec<String> = limits.iter().map(|limit| format!("`{}`", limit.text)).collect();
            format!("goes on under {}", limits.join(", "))
        }
        Record::Adapted { message, .. } => message.clone(),
        Record::Paused { stopped: true, message, .. } => format!("stopped: {message}"),
        Record::Paused { message, .. } => format!("failed: {message}"),
        Record::Answer { .. } => "answered".to_owned(),
    }
}

/// What happened to a server, in one line.
fn server(event: &ServerEvent) -> String {
    let ServerEvent { server, state, devices, memory_gb, as_planned, said } = event;
    let what = match state {
        ServerState::Starting => "starting",
        ServerState::Ready => "ready",
        ServerState::Crashed => "died, and is started again",
        ServerState::Asleep => "asleep",
        ServerState::Stopped => "stopped",
    };
    let elsewhere = if *as_planned { "" } else { ", not where the plan says" };
    let said = said.as_deref().map(|said| format!(": {said}")).unwrap_or_default();
    format!("server {server}: {what} on {} with {memory_gb:.2} GB{elsewhere}{said}", devices.join(", "))
}
