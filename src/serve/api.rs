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

use super::Service;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use refusal::Refusal;
use std::sync::Arc;

/// Every address with its handler.
fn addresses() -> Router<Arc<Service>> {
    routes::all().into_iter().fold(Router::new(), |router, route| router.route(route.path, (route.serve)()))
}

/// The service's router. Whatever is asked passes the guard first.
pub fn router(service: Arc<Service>) -> Router {
    addresses()
        .fallback(|| async { Refusal::absent("there is nothing at this address: see /v1/openapi.json") })
        .method_not_allowed_fallback(|| async { Refusal::new(405, "method", "this address knows no such method") })
        .layer(DefaultBodyLimit::max(service.settings.body_bytes))
        .layer(from_fn_with_state(service.clone(), guard::guard))
        .with_state(service)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    #[test]
    fn the_document_has_every_address_of_the_router() {
        // The router says in no other way what it has; it has a fallback of its own among its addresses.
        let router = format!("{:?}", super::addresses());
        let served: BTreeSet<String> = router
            .split('"')
            .filter(|text| text.starts_with('/') && !text.contains("__private"))
            .map(|path| path.replace("{*", "{"))
            .collect();
        let document = super::openapi::document();
        let paths: BTreeSet<String> = document["paths"].as_object().expect("paths").keys().cloned().collect();
        assert_eq!(served, paths);
        for path in ["/v1/runs/{id}/files/{path}", "/v1/hosts/{session}/ask", "/v1/leases/{run}/{fence}/end", "/fleet"]
        {
            assert!(served.contains(path), "{path}");
        }
    }
}
