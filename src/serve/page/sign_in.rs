//! `/login`: a token, once, for a session. Only servers that ask for tokens have it.

use super::frame::Page;
use super::{Shown, own_page, query, session};
use crate::html;
use crate::serve::Service;
use crate::serve::api::guard::Caller;
use crate::serve::api::refusal::Refusal;
use crate::serve::audit::Act;
use crate::serve::listen::Peer;
use axum::body::Bytes;
use axum::extract::{ConnectInfo, Extension, RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use std::sync::Arc;

/// Shows the form.
pub async fn show(State(service): State<Arc<Service>>, RawQuery(raw): RawQuery) -> Response {
    if !service.tenants.ask_for_tokens() {
        return Redirect::to("/").into_response();
    }
    form(&service, StatusCode::OK, &next(raw.as_deref()), None)
}

fn form(service: &Service, status: StatusCode, next: &str, wrong: Option<&str>) -> Response {
    let said = wrong.map(|why| html!("<p id=\"why\" class=\"wrong\" role=\"alert\">{}</p>", why));
    let described = wrong.map(|_| html!(" aria-describedby=\"why\" aria-invalid=\"true\""));
    let main = html!(
        "<div class=\"sign-in\"><h1>Sign in</h1>{}<form method=\"post\" action=\"/login\"><input type=\"hidden\" name=\"next\" value=\"{}\">\
         <label for=\"token\">Token</label><input id=\"token\" type=\"password\" name=\"token\" autocomplete=\"current-password\" required \
         autofocus{}><button class=\"primary\">Sign in</button></form><p class=\"note\">The token that <code>mkbc serve --new-token</code> printed for you. \
         It is checked once and not kept; the session ends after twelve hours, or with the server.</p></div>",
        said,
        next,
        described
    );
    Page { title: "Sign in", section: "", events: None, main }.answer_with(status, service, None)
}

/// Where a browser wanted to go: a page of this server, and nothing that could be read as another one's address.
fn next(raw: Option<&str>) -> String {
    let wanted = query(raw).into_iter().find(|(name, _)| name == "next").map(|(_, value)| value).unwrap_or_default();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/?&=%-._~#".contains(c);
    let own = wanted.starts_with('/') && !wanted.starts_with("//") && wanted.chars().all(plain);
    if own { wanted } else { "/".to_owned() }
}

/// Begins a session for a token.
pub async fn begin(
    State(service): State<Arc<Service>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    headers: HeaderMap,
    body: Bytes,
) -> Shown<Response> {
    own_page(&headers)?;
    let body = std::str::from_utf8(&body).ok().filter(|body| body.len() < 10_000);
    let (pairs, next) = (query(body), next(body));
    let token = pairs.iter().find(|(name, _)| name == "token").map(|(_, token)| token.trim());
    let from = Some(peer.address.ip());
    let Some(tenant) = service.tenants.of_token(token).filter(|_| service.tenants.ask_for_tokens()) else {
        if let Err(wait) = service.wrong_requests() {
            return Err(Refusal::later("too_many_requests", "too many requests with a wrong token", wait));
        }
        service.audit.note(Act { what: "refuse", tenant: None, from, run: None, note: "no_token" });
        return Ok(form(&service, StatusCode::UNAUTHORIZED, &next, Some("The token is nobody's.")));
    };
    let session = service.sessions.begin(&tenant.name)?;
    service.audit.note(Act { what: "sign_in", tenant: Some(&tenant.name), from, run: None, note: "" });
    Ok(with_cookie(&headers, Some(&session), &next))
}

/// Ends a session.
pub async fn end(
    State(service): State<Arc<Service>>,
    Extension(_): Extension<Caller>,
    headers: HeaderMap,
) -> Shown<Response> {
    own_page(&headers)?;
    service.sessions.end(&headers);
    Ok(with_cookie(&headers, None, super::SIGN_IN))
}

fn with_cookie(headers: &HeaderMap, session: Option<&str>, to: &str) -> Response {
    let mut response = Redirect::to(to).into_response();
    if let Ok(cookie) = HeaderValue::from_str(&session::set(headers, session)) {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::next;

    #[test]
    fn signing_in_leads_to_no_other_site() {
        assert_eq!(next(Some("next=%2Fruns%2F3%3Flog%3Dall")), "/runs/3?log=all");
        for wrong in
            ["", "next=", "next=//evil.example", "next=/%5Cevil.example", "next=https://evil.example", "next=/%0D%0Ax"]
        {
            assert_eq!(next(Some(wrong)), "/", "{wrong}");
        }
    }
}
