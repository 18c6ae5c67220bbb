//! The table of routes. What is not in it is neither served nor in the OpenAPI document.

use super::deployed::{Deployment, FleetStatus, RunQuery, WorkflowList, WorkflowStatus};
use super::types::{
    Cancelled, Health, ListQuery, Problems, RunEvent, RunList, RunResult, RunStatus, Submission, Uploaded, WaitQuery,
};
use super::{blobs, events, fleet, metrics, openapi, runs, submit, workflows};
use crate::serve::{Service, hosts, page};
use axum::routing::{MethodRouter, delete, get, post, put};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value};
use std::sync::Arc;

/// Makes the schema of a type in a document.
pub type Of = fn(&mut SchemaGenerator) -> Schema;

/// Who may ask at an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asker {
    /// Anybody who reaches the server.
    Anybody,
    /// A tenant.
    Tenant,
    /// A host with a worker's token.
    Host,
}

/// An address and what it does.
pub struct Route {
    /// `get`, `post`, `put` or `delete`.
    pub method: &'static str,
    /// Its path, with parts in braces.
    pub path: &'static str,
    /// What it is called in clients that are generated.
    pub name: &'static str,
    /// One sentence.
    pub summary: &'static str,
    /// Who may ask.
    pub asker: Asker,
    /// What it takes behind `?`: a type whose fields these are.
    pub query: Option<Of>,
    /// Headers that it knows, with what they are for.
    pub headers: &'static [(&'static str, &'static str)],
    /// What it takes.
    pub body: Option<Content>,
    /// What it answers when all is well: status, what it means, content.
    pub answers: Vec<(u16, &'static str, Option<Content>)>,
    /// What else it answers, with [`Problems`].
    pub refusals: &'static [u16],
    /// Its handler.
    pub serve: fn() -> MethodRouter<Arc<Service>>,
}

/// What stands in a body.
#[derive(Clone, Copy)]
pub struct Content {
    /// Its media type.
    pub kind: &'static str,
    /// Its schema; none for bytes.
    pub of: Option<Of>,
}

/// The schema of a type.
pub fn of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

/// JSON of a type.
pub const fn json(of: Of) -> Content {
    Content { kind: "application/json", of: Some(of) }
}

/// Bytes of a media type.
pub const fn bytes(kind: &'static str) -> Content {
    Content { kind, of: None }
}

/// The schema of what every route refuses with.
pub const PROBLEMS: Content = json(of::<Problems>);

/// A route that takes nothing; others differ from it.
pub const PLAIN: Route = Route {
    method: "get",
    path: "",
    name: "",
    summary: "",
    asker: Asker::Tenant,
    query: None,
    headers: &[],
    body: None,
    answers: Vec::new(),
    refusals: &[],
    serve: || MethodRouter::new(),
};

/// All routes, in the order of the document: those of tenants' programs, of hosts and of pages.
pub fn all() -> Vec<Route> {
    programs().into_iter().chain(hosts::table::table()).chain(page::table()).collect()
}

fn programs() -> Vec<Route> {
    vec![
        Route {
            method: "post",
            path: "/v1/runs",
            name: "submitRun",
            summary: "Accepts a run: it is on the disk before the answer",
            headers: &[(
                "Idempotency-Key",
                "A name for the run: submitted again with the same content, it is the same run",
            )],
            body: Some(json(of::<Submission>)),
            answers: vec![
                (200, "The run that has the key", Some(json(of::<RunStatus>))),
                (202, "A new run", Some(json(of::<RunStatus>))),
            ],
            refusals: &[400, 402, 403, 409, 413, 415, 422, 429, 503],
            serve: || post(submit::submit),
            ..PLAIN
        },
        Route {
            path: "/v1/runs",
            name: "listRuns",
            summary: "Lists the tenant's runs, the latest first",
            query: Some(of::<ListQuery>),
            answers: vec![(200, "A page of runs", Some(json(of::<RunList>)))],
            refusals: &[400],
            serve: || get(runs::list),
            ..PLAIN
        },
        Route {
            path: "/v1/runs/{id}",
            name: "showRun",
            summary: "Shows a run",
            answers: vec![(200, "The run", Some(json(of::<RunStatus>)))],
            refusals: &[404],
            serve: || get(runs::show),
            ..PLAIN
        },
        Route {
            path: "/v1/runs/{id}/events",
            name: "watchRun",
            summary: "Streams what happens to a run, from its beginning or behind the last event seen",
            headers: &[("Last-Event-ID", "The id of the last event that was seen")],
            answers: vec![
                (
                    200,
                    "Server-sent events, each with an event as JSON in its data",
                    Some(Content { kind: "text/event-stream", of: Some(of::<RunEvent>) }),
                ),
                (204, "The run has ended, and all of it was seen", None),
            ],
            refusals: &[400, 404, 429],
            serve: || get(events::events),
            ..PLAIN
        },
        Route {
            path: "/v1/runs/{id}/result",
            name: "runResult",
            summary: "Shows a run's answer, and waits for it where that is asked for",
            query: Some(of::<WaitQuery>),
            answers: vec![(200, "The answer", Some(json(of::<RunResult>)))],
            refusals: &[400, 404, 409],
            serve: || get(runs::result),
            ..PLAIN
        },
        Route {
            path: "/v1/runs/{id}/files/{*path}",
            name: "runFile",
            summary: "A file that the run made",
            answers: vec![(200, "The file", Some(bytes("application/octet-stream")))],
            refusals: &[404],
            serve: || get(runs::file),
            ..PLAIN
        },
        Route {
            method: "post",
            path: "/v1/runs/{id}/cancel",
            name: "cancelRun",
            summary: "Stops a run: what is under way may end; asked again, it stops at once",
            answers: vec![
                (200, "It is stopped", Some(json(of::<Cancelled>))),
                (202, "It stops", Some(json(of::<Cancelled>))),
            ],
            refusals: &[404, 409],
            serve: || post(runs::cancel),
            ..PLAIN
        },
        Route {
            method: "put",
            path: "/v1/blobs",
            name: "putBlob",
            summary: "Keeps a file for inputs, under its digest",
            body: Some(bytes("application/octet-stream")),
            answers: vec![
                (200, "It was there", Some(json(of::<Uploaded>))),
                (201, "It is kept", Some(json(of::<Uploaded>))),
            ],
            refusals: &[400, 413, 422, 503],
            serve: || put(blobs::put),
            ..PLAIN
        },
        Route {
            method: "post",
            path: "/v1/workflows",
            name: "deployWorkflow",
            summary: "Deploys a workflow, if a joint plan of all has room for it: else it says who clashes, and what would let them fit",
            body: Some(json(of::<Deployment>)),
            answers: vec![
                (200, "It is deployed already", Some(json(of::<WorkflowStatus>))),
                (201, "It is deployed", Some(json(of::<WorkflowStatus>))),
            ],
            refusals: &[400, 403, 409, 413, 415, 422, 429, 503],
            serve: || post(workflows::deploy),
            ..PLAIN
        },
        Route {
            path: "/v1/workflows",
            name: "listWorkflows",
            summary: "Lists the tenant's workflows",
            answers: vec![(200, "They", Some(json(of::<WorkflowList>)))],
            refusals: &[503],
            serve: || get(workflows::list),
            ..PLAIN
        },
        Route {
            path: "/v1/workflows/{name}",
            name: "showWorkflow",
            summary: "Shows a workflow: schemas of its inputs and answer, its rates, how its limits were kept",
            answers: vec![(200, "The workflow", Some(json(of::<WorkflowStatus>)))],
            refusals: &[404, 503],
            serve: || get(workflows::show),
            ..PLAIN
        },
        Route {
            method: "delete",
            path: "/v1/workflows/{name}",
            name: "takeDownWorkflow",
            summary: "Takes a workflow down: what it has accepted is carried out, and then it is gone",
            answers: vec![
                (200, "It is gone", Some(json(of::<WorkflowStatus>))),
                (202, "It still has runs", Some(json(of::<WorkflowStatus>))),
            ],
            refusals: &[404, 422, 503],
            serve: || delete(workflows::take_down),
            ..PLAIN
        },
        Route {
            method: "post",
            path: "/v1/workflows/{name}/run",
            name: "runWorkflow",
            summary: "Runs a workflow: its inputs as an object; answers when it is done",
            query: Some(of::<RunQuery>),
            headers: &[("Idempotency-Key", "A name for the run: asked again with the same inputs, it is the same run")],
            body: Some(json(of::<Map<String, Value>>)),
            answers: vec![
                (200, "The answer", Some(json(of::<RunResult>))),
                (202, "It takes longer than was waited for", Some(json(of::<RunStatus>))),
            ],
            refusals: &[400, 402, 404, 409, 413, 415, 422, 429, 500, 503],
            serve: || post(workflows::run),
            ..PLAIN
        },
        Route {
            path: "/v1/fleet",
            name: "showFleet",
            summary: "Shows machines, instances of the joint plan, how busy they are, and why plans were made",
            answers: vec![(200, "The fleet", Some(json(of::<FleetStatus>)))],
            serve: || get(fleet::show),
            ..PLAIN
        },
        Route {
            path: "/v1/openapi.json",
            name: "openapi",
            summary: "This document",
            answers: vec![(200, "It", Some(json(of::<Value>)))],
            serve: || get(openapi::show),
            ..PLAIN
        },
        Route {
            path: "/healthz",
            name: "health",
            summary: "Says whether the server is well",
            asker: Asker::Anybody,
            answers: vec![(200, "It is there", Some(json(of::<Health>)))],
            serve: || get(metrics::health),
            ..PLAIN
        },
        Route {
            path: "/metrics",
            name: "metrics",
            summary: "Figures, in Prometheus' text format",
            answers: vec![(200, "Figures", Some(bytes("text/plain")))],
            refusals: &[503],
            serve: || get(metrics::metrics),
            ..PLAIN
        },
    ]
}
