//! Every request, before anything else sees it: is it meant for this server, may a page have sent it, whose is it, are there too many.

use super::refusal::Refusal;
use crate::serve::audit::{Act, REFUSE};
use crate::serve::hosts::routes;
use crate::serve::listen::Peer;
use crate::serve::owner::may_use;
use crate::serve::tenants::Tenant;
use crate::serve::{Service, page};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Who asks.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Whose the token is.
    pub tenant: Arc<Tenant>,
    /// From where.
    pub from: IpAddr,
}

/// Who is let through.
enum Admitted {
    Anybody,
    Tenant(Arc<Tenant>),
    /// A host with the token of this entry.
    Host(String),
}

/// Lets a request through to its handler, or refuses it.
pub async fn guard(
    State(service): State<Arc<Service>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    mut request: Request,
    next: Next,
) -> Response {
    service.counters.requests.fetch_add(1, Ordering::Relaxed);
    let (uri, headers) = (request.uri(), request.headers());
    let open = uri.path() == "/healthz" || page::is_open(uri.path());
    let admitted = meant(&service, request.method(), headers, uri.host()).and_then(|()| match uri.path() {
        _ if open => Ok(Admitted::Anybody),
        path if routes::is_for(path) => worker(&service, headers).map(Admitted::Host),
        _ => whose(&service, peer, headers).map(Admitted::Tenant),
    });
    let wanted = page::wanted(uri, headers);
    let from = peer.address.ip();
    let response = match admitted {
        Ok(admitted) => {
            match admitted {
                Admitted::Anybody => {}
                Admitted::Host(owner) => drop(request.extensions_mut().insert(routes::Caller { owner, from })),
                Admitted::Tenant(tenant) => drop(request.extensions_mut().insert(Caller { tenant, from })),
            }
            next.run(request).await
        }
        Err(refusal) => {
            service.counters.refused.fetch_add(1, Ordering::Relaxed);
            let note = refusal.code();
            service.audit.note(Act { what: REFUSE, tenant: None, from: Some(from), run: None, note });
            refusal.into_response()
        }
    };
    let mut response = match wanted {
        Some(address) => page::told(&service, &address, response),
        None => response,
    };
    let headers = response.headers_mut();
    // What is no page must not be made one.
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers
        .entry(header::CONTENT_SECURITY_POLICY)
        .or_insert(HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// Whether a request is for a name of this server (a page's name that was made to lead here is none), and from no other site's page.
fn meant(service: &Service, method: &Method, headers: &HeaderMap, target: Option<&str>) -> Result<(), Refusal> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let host = match (hosts.next().map(HeaderValue::to_str), hosts.next()) {
        (Some(Ok(host)), None) => host.to_ascii_lowercase(),
        _ => return Err(Refusal::new(400, "bad_host", "one header `Host` is needed")),
    };
    let known = |host: &str| service.names.iter().any(|known| known == host);
    if !known(name_of(&host)) || target.is_some_and(|target| !known(&target.to_ascii_lowercase())) {
        let refusal = Refusal::new(421, "bad_host", "this server has another name");
        return Err(refusal.help("`--host NAME` lets it be asked by that name"));
    }
    let foreign = || Refusal::forbidden("bad_origin", "the request comes from another site's page");
    for origin in headers.get_all(header::ORIGIN) {
        let origin = origin.to_str().map_err(|_| foreign())?.to_ascii_lowercase();
        let own = origin.strip_prefix("http://").or(origin.strip_prefix("https://"));
        if own != Some(host.as_str()) {
            return Err(foreign());
        }
    }
    let site = headers.get("sec-fetch-site").map(HeaderValue::as_bytes);
    // A link that leads here from elsewhere changes nothing; everything else does, or reads.
    let followed = *method == Method::GET && headers.get("sec-fetch-mode").is_some_and(|mode| mode == "navigate");
    match site {
        Some(b"cross-site" | b"same-site") if !followed => Err(foreign()),
        _ => Ok(()),
    }
}

/// A host without its port.
fn name_of(host: &str) -> &str {
    let digits = |port: &str| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
    match host.rsplit_once(':') {
        Some((name, port)) if digits(port) && (!name.contains(':') || name.ends_with(']')) => name,
        _ => host,
    }
}

fn whose(service: &Service, peer: Peer, headers: &HeaderMap) -> Result<Arc<Tenant>, Refusal> {
    let by_certificate = service.settings.tls.as_ref().is_some_and(|tls| tls.mutual);
    if !service.tenants.ask_for_tokens() && !by_certificate && !may_use(peer.owner) {
        let refusal =
            Refusal::forbidden("other_user", "without tokens, only the user who started this server may use it");
        return Err(refusal.help("start it with `--tokens FILE`"));
    }
    let token = bearer(headers);
    let tenant = match token {
        None => service.sessions.of(headers, &service.tenants).or_else(|| service.tenants.of_token(None)),
        token => service.tenants.of_token(token),
    };
    let Some(tenant) = tenant else {
        return Err(nobody(service, token));
    };
    tenant.request().map_err(|wait| {
        let wait = wait.max(Duration::from_millis(1));
        Refusal::later("too_many_requests", format!("`{}` asks more often than it may", tenant.name), wait)
    })?;
    Ok(tenant.clone())
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    given.and_then(|value| value.strip_prefix("Bearer "))
}

/// A token that is missing or nobody's. Who guesses is slowed down, and with them everybody whose token is wrong.
fn nobody(service: &Service, token: Option<&str>) -> Refusal {
    if let Err(wait) = service.wrong_requests() {
        return Refusal::later("too_many_requests", "too many requests with a wrong token", wait);
    }
    let why = if token.is_some() { "the token is nobody's" } else { "a token is needed: `Authorization: Bearer …`" };
    Refusal::new(401, "no_token", why)
}

/// The entry of a host's token. A tenant's token is none, nor is a session of a browser.
fn worker(service: &Service, headers: &HeaderMap) -> Result<String, Refusal> {
    let token = bearer(headers);
    match token.and_then(|token| service.tenants.of_worker(token)) {
        Some(owner) => Ok(owner.to_owned()),
        None => Err(nobody(service, token)
            .help("hosts have a token of their own: `mkbc serve --new-worker-token NAME` prints one, and its entry for `--tokens`")),
    }
}

#[cfg(test)]
mod tests {
    use super::name_of;

    #[test]
    fn a_port_is_no_part_of_a_name() {
        let pairs =
            [("localhost:80", "localhost"), ("[::1]:80", "[::1]"), ("[::1]", "[::1]"), ("::1", "::1"), ("a:", "a:")];
        for (host, name) in pairs {
            assert_eq!(name_of(host), name);
        }
    }
}
