//! The addresses for hosts: a table of routes like that of the API, so that they are in the OpenAPI document too.

use super::places;
use super::protocol::{Appended, Ask, Ended, Enter, Hello, Left, News, Placed, Records, Welcome};
use super::routes::{self, Behind, Named};
use crate::serve::api::routes::{Asker, PLAIN, Route, bytes, json, of};
use axum::routing::{delete, get, post, put};

fn host() -> Route {
    Route { asker: Asker::Host, ..PLAIN }
}

/// A header that goes with files.
const SHA256: (&str, &str) = (super::protocol::DIGEST, "The SHA-256 of the file, lower-case hex");

/// All routes for hosts.
pub fn table() -> Vec<Route> {
    vec![
        Route {
            method: "post",
            path: "/v1/hosts",
            name: "registerHost",
            summary: "Registers a host that carries runs out",
            body: Some(json(of::<Hello>)),
            answers: vec![(200, "It is registered", Some(json(of::<Welcome>)))],
            refusals: &[400, 409, 413, 415, 422, 429, 503],
            serve: || post(routes::register),
            ..host()
        },
        Route {
            method: "delete",
            path: "/v1/hosts/{session}",
            name: "leaveHost",
            summary: "Takes a host out: what it still has goes to others",
            answers: vec![(204, "It is gone", None)],
            refusals: &[404, 503],
            serve: || delete(routes::leave),
            ..host()
        },
        Route {
            method: "post",
            path: "/v1/hosts/{session}/ask",
            name: "askForWork",
            summary: "Says that a host is there, and asks what there is to do: answered when there is news, or after a third of a lease",
            body: Some(json(of::<Ask>)),
            answers: vec![(200, "What there is to do", Some(json(of::<News>)))],
            refusals: &[400, 404, 413, 415, 422, 503],
            serve: || post(routes::ask),
            ..host()
        },
        Route {
            path: "/v1/leases/{run}/{fence}/records",
            name: "readRecords",
            summary: "Reads what earlier runtimes recorded of a run",
            query: Some(of::<Behind>),
            answers: vec![(200, "A page of records", Some(json(of::<Records>)))],
            refusals: &[400, 404, 409, 503],
            serve: || get(routes::records),
            ..host()
        },
        Route {
            method: "post",
            path: "/v1/leases/{run}/{fence}/records",
            name: "appendRecords",
            summary: "Appends records to a run: they are on the disk before the answer",
            body: Some(json(of::<Records>)),
            answers: vec![(200, "They are written", Some(json(of::<Appended>)))],
            refusals: &[400, 404, 409, 413, 415, 422, 503],
            serve: || post(routes::append),
            ..host()
        },
        Route {
            path: "/v1/leases/{run}/{fence}/values/{digest}",
            name: "readValue",
            summary: "Reads a large value that records name",
            answers: vec![(200, "Its text", Some(bytes("text/plain")))],
            refusals: &[404, 409, 503],
            serve: || get(routes::value),
            ..host()
        },
        Route {
            method: "put",
            path: "/v1/leases/{run}/{fence}/values/{digest}",
            name: "keepValue",
            summary: "Keeps a large value that records will name",
            body: Some(bytes("text/plain")),
            answers: vec![(204, "It is kept", None)],
            refusals: &[404, 409, 413, 422, 503],
            serve: || put(routes::keep),
            ..host()
        },
        Route {
            path: "/v1/leases/{run}/{fence}/files",
            name: "readRunFile",
            summary: "Reads a file of a run's inputs or folder",
            query: Some(of::<Named>),
            answers: vec![(200, "It, with its SHA-256 in `x-mkbc-sha256`", Some(bytes("application/octet-stream")))],
            refusals: &[400, 404, 409, 503],
            serve: || get(routes::file),
            ..host()
        },
        Route {
            method: "put",
            path: "/v1/leases/{run}/{fence}/files",
            name: "placeRunFile",
            summary: "Puts a file into a run's folder, whole or not at all",
            query: Some(of::<Named>),
            headers: &[SHA256],
            body: Some(bytes("application/octet-stream")),
            answers: vec![(204, "It is there", None)],
            refusals: &[400, 404, 409, 413, 422, 503],
            serve: || put(routes::place),
            ..host()
        },
        Route {
            method: "put",
            path: "/v1/leases/{run}/{fence}/places/{place}",
            name: "enterPlace",
            summary: "Asks for a place for a call of a workflow's run, by a number of the host's own: answered when there is one, or after a third of a lease",
            body: Some(json(of::<Enter>)),
            answers: vec![(200, "Whether there is one", Some(json(of::<Placed>)))],
            refusals: &[400, 404, 409, 413, 415, 422, 429, 503],
            serve: || put(places::enter),
            ..host()
        },
        Route {
            method: "delete",
            path: "/v1/leases/{run}/{fence}/places/{place}",
            name: "leavePlace",
            summary: "Gives a place back",
            query: Some(of::<Left>),
            answers: vec![(204, "It is free", None)],
            refusals: &[400, 404, 409, 503],
            serve: || delete(places::leave),
            ..host()
        },
        Route {
            method: "post",
            path: "/v1/leases/{run}/{fence}/end",
            name: "endLease",
            summary: "Says how a run ended on a host",
            body: Some(json(of::<Ended>)),
            answers: vec![(204, "The lease is over", None)],
            refusals: &[400, 404, 409, 413, 415, 422, 503],
            serve: || post(routes::end),
            ..host()
        },
    ]
}
