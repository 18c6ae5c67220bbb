//! HTTP requests → answers. One table of routes ([`routes`]) makes the router and the OpenAPI document, so that they cannot differ.

pub mod blobs;
pub mod deployed;
pub mod events;
pub mod fleet;
pub mod guard;
pub mod metrics;
pub mod openapi;
pub mod refusal;
pub mod routes;
pub mod runs;
pub mod submit;
pub mod types;
pub mod workflows;

use super::{Service, hosts, page};
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use refusal::Refusal;
use std::sync::Arc;

/// The service's router. Whatever is asked passes the guard first.
pub fn router(service: Arc<Service>) -> Router {
    let all = routes::all().into_iter().fold(Router::new(), |router, route| router.route(route.path, (route.serve)()));
    all.merge(page::routes())
        .merge(hosts::routes::routes())
        .fallback(|| async { Refusal::absent("there is nothing at this address: see /v1/openapi.json") })
        .method_not_allowed_fallback(|| async { Refusal::new(405, "method", "this address knows no such method") })
        .layer(DefaultBodyLimit::max(service.settings.body_bytes))
        .layer(from_fn_with_state(service.clone(), guard::guard))
        .with_state(service)
}
