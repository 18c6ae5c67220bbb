//! `GET /healthz` and `GET /metrics` (Prometheus' text format). A tenant sees figures of its own runs and of the server, not of others.

mod figures;

use super::guard::Caller;
use super::refusal::Refusal;
use super::types::Health;
use crate::serve::Service;
use crate::serve::hosts::statuses;
use crate::serve::queue::Queue;
use axum::Json;
use axum::extract::{Extension, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What is counted since the server started.
#[derive(Debug, Default)]
pub struct Counters {
    /// Requests.
    pub requests: AtomicU64,
    /// Requests that the guard refused.
    pub refused: AtomicU64,
    /// Submissions that became runs.
    pub accepted: AtomicU64,
    /// Submissions of runs that were there.
    pub repeated: AtomicU64,
    /// Submissions that became nothing.
    pub rejected: AtomicU64,
}

/// Says whether the server is well.
pub async fn health(State(service): State<Arc<Service>>) -> Json<Health> {
    let status = if service.is_stopping() { "stopping" } else { "ok" };
    Json(Health { status: status.to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() })
}

/// Shows figures.
pub async fn metrics(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
) -> Result<Response, Refusal> {
    let tenant = &caller.tenant;
    let of = (!tenant.sees_all).then_some(tenant.name.as_str());
    let mut text = String::new();
    let mut family = |name: &str, kind: &str, help: &str, rows: &[(String, f64)]| {
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        for (labels, value) in rows {
            let _ = writeln!(text, "{name}{labels} {value}");
        }
    };
    let runs: Vec<_> = service.store.counts(of)?.into_iter().map(|(s, n)| (label("state", &s), n as f64)).collect();
    family("mkbc_runs", "gauge", "Runs by state.", &runs);
    let waiting = service.dispatch.queue(|queue| {
        let all = queue.lengths().filter(|(name, _)| of.is_none_or(|own| own == *name));
        all.map(|(name, n)| (label("tenant", name), n as f64)).collect::<Vec<_>>()
    });
    family("mkbc_queue_tenant", "gauge", "Runs that wait, by tenant.", &waiting);
    let money = service.tenants.iter().filter(|t| of.is_none_or(|own| own == t.name));
    let spent: Vec<_> = money.map(|t| (label("tenant", &t.name), t.money().spent as f64 / 1e6)).collect();
    family("mkbc_spent_usd", "counter", "What runs that ended cost, dollars.", &spent);
    figures::workflows(&service, &caller, &mut family)?;
    let number = |n: u64| vec![(String::new(), n as f64)];
    let count = |n: &AtomicU64| number(n.load(Ordering::Relaxed));
    let counters = &service.counters;
    if tenant.sees_all {
        figures::fleet(&service, &mut family);
        family("mkbc_queue", "gauge", "Runs that wait.", &number(service.dispatch.queue(Queue::len) as u64));
        let hosts = statuses(&service.hosts);
        figures::machines(&service.sensors.read(), &hosts, &mut family);
        let of = |lost: bool| hosts.iter().filter(|host| host.lost == lost).count() as f64;
        let states = [("there", of(false)), ("lost", of(true))].map(|(state, n)| (label("state", state), n));
        family("mkbc_hosts", "gauge", "Other machines that carry runs out.", &states);
        let held = hosts.iter().map(|host| host.runs.len() as u64).sum();
        family("mkbc_running_elsewhere", "gauge", "Runs under way on other machines.", &number(held));
        family("mkbc_running", "gauge", "Runs under way.", &number(service.dispatch.under_way() as u64));
        let open = service.settings.streams.saturating_sub(service.streams.available_permits());
        family("mkbc_event_streams", "gauge", "Open event streams.", &number(open as u64));
        family("mkbc_requests_total", "counter", "Requests.", &count(&counters.requests));
        family("mkbc_refused_total", "counter", "Requests without a right to be here.", &count(&counters.refused));
        family("mkbc_accepted_total", "counter", "Submissions that became runs.", &count(&counters.accepted));
        family("mkbc_repeated_total", "counter", "Submissions of runs that were there.", &count(&counters.repeated));
        family("mkbc_rejected_total", "counter", "Submissions that became nothing.", &count(&counters.rejected));
    }
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response())
}

/// `{name="value"}`.
fn label(name: &str, value: &str) -> String {
    labels(&[(name, value)])
}

/// `{name="value",…}`.
fn labels(all: &[(&str, &str)]) -> String {
    let all: Vec<String> = all.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
    format!("{{{}}}", all.join(","))
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
