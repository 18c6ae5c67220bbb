//! Runs and plans → pages for people, made here and complete without a script; one script keeps them up to date by the stream of events.
//!
//! [`crate::html::markup`] escapes whatever is put into a page, [`crate::run::shown`] shows a run, [`frame`] is what all pages have, [`facts`] what is read of a run. A page that waits for a
//! disk or for the solver is made on a thread of its own. Who may see what is decided where the API decides it ([`super::api::guard`], `seen`);
//! a browser signs in with a [`session`]. Forms change something only where they come from a page of this server.

mod compare;
pub mod facts;
mod fleet;
mod frame;
mod log;
mod plan;
mod plot;
mod run;
mod runs;
pub mod session;
mod sign_in;
mod solve;
mod steps;

use super::Service;
use super::api::refusal::Refusal;
use super::api::routes::{Asker, Content, PLAIN, Route, bytes};
use crate::html;
use crate::run::shown::STYLE as SHOWN;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{MethodRouter, get, post};
use frame::Page;
use std::fmt::Write;
use std::sync::Arc;

const HTML: Content = bytes("text/html");
const STYLE: (&str, &str) = ("text/css; charset=utf-8", SHOWN);
const SCRIPT: (&str, &str) = ("text/javascript; charset=utf-8", include_str!("page/script.js"));
const ICON: (&str, &str) = ("image/svg+xml", include_str!("page/icon.svg"));

/// The pages' routes, beside those of the API.
pub fn table() -> Vec<Route> {
    type Words = &'static str;
    let page = |name: Words, path: Words, summary: Words, serve: fn() -> MethodRouter<Arc<Service>>| Route {
        path,
        name,
        summary,
        answers: vec![(200, "The page", Some(HTML)), (303, "It leads to where a browser signs in", None)],
        refusals: &[400, 404, 422, 503],
        serve,
        ..PLAIN
    };
    // What a form does is seen on the page to which it leads.
    let form = |name, path, summary, serve: fn() -> _| Route {
        method: "post",
        answers: vec![(303, "It leads to a page", None)],
        refusals: &[400, 404, 409, 413, 415, 422, 503],
        ..page(name, path, summary, serve)
    };
    let asset = |name, path, kind, serve: fn() -> _| Route {
        asker: Asker::Anybody,
        answers: vec![(200, "It", Some(bytes(kind)))],
        refusals: &[],
        ..page(name, path, "What pages are made with", serve)
    };
    vec![
        page("pageOfRuns", "/", "Runs, the latest first", || get(runs::list)),
        page("pageOfRun", "/runs/{id}", "A run", || get(run::show)),
        form("cancelRunByForm", "/runs/{id}/cancel", "Stops a run", || post(run::cancel)),
        page("pageOfStep", "/runs/{id}/steps/{step}", "A step of a run", || get(steps::show)),
        page("pageOfPlan", "/runs/{id}/plan", "The plan of a run", || get(plan::show)),
        page("pageOfSolve", "/runs/{id}/solve", "A run's job, planned again with other limits", || get(solve::show)),
        page("pageOfComparison", "/compare", "Two runs beside each other", || get(compare::show)),
        page("pageOfFleet", "/fleet", "The fleet", || get(fleet::show)),
        Route {
            asker: Asker::Anybody,
            ..page("pageOfSignIn", SIGN_IN, "Where a browser signs in", || get(sign_in::show))
        },
        Route {
            asker: Asker::Anybody,
            refusals: &[400, 401, 403, 413, 415, 422, 429],
            ..form("signIn", SIGN_IN, "Signs a browser in", || post(sign_in::begin))
        },
        form("signOut", "/logout", "Signs a browser out", || post(sign_in::end)),
        asset("pageStyle", "/assets/page.css", STYLE.0, || asset_of(STYLE)),
        asset("pageScript", "/assets/page.js", SCRIPT.0, || asset_of(SCRIPT)),
        asset("pageIcon", "/assets/icon.svg", ICON.0, || asset_of(ICON)),
    ]
}

fn asset_of((kind, text): (&'static str, &'static str)) -> MethodRouter<Arc<Service>> {
    get(move || async move {
        let headers = [(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "max-age=3600")];
        (headers.map(|(name, value)| (name, HeaderValue::from_static(value))), text)
    })
}

/// Where a browser signs in.
const SIGN_IN: &str = "/login";

/// Whether an address can be asked by anybody who may reach the server: it says nothing of runs.
pub fn is_open(path: &str) -> bool {
    path == SIGN_IN || path.starts_with("/assets/")
}

/// A page, or why there is none.
type Shown<T> = Result<T, Refusal>;

/// The address of the page that a browser asks for; programs, and whoever asks the API, ask for none.
pub fn wanted(uri: &Uri, headers: &HeaderMap) -> Option<String> {
    let html = headers.get(header::ACCEPT).and_then(|a| a.to_str().ok()).is_some_and(|a| a.contains("text/html"));
    (html && !uri.path().starts_with("/v1/"))
        .then(|| uri.path_and_query().map_or("/", |whole| whole.as_str()).to_owned())
}

/// An answer to a browser that asked for a page at an address: a refusal is told as a page, or leads to where it signs in.
pub fn told(service: &Service, at: &str, response: Response) -> Response {
    let Some(refusal) = response.extensions().get::<Refusal>() else { return response };
    if refusal.status() == 401 {
        return Redirect::to(&address(SIGN_IN, &[("next", at.to_owned())])).into_response();
    }
    let help = refusal.advice().map(|help| html!("<p>{}</p>", help));
    let text = refusal.text().map(|text| html!("<pre tabindex=\"0\">{}</pre>", text));
    let main = html!(
        "<div class=\"refused\"><h1>{}</h1><p>{}.</p>{}{}<p><a class=\"button\" href=\"/\">All runs</a></p></div>",
        if refusal.status() == 404 { "Not found" } else { "This cannot be done" },
        refusal.message(),
        help,
        text
    );
    let status = StatusCode::from_u16(refusal.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut page = Page { title: "Not done", section: "", events: None, main }.answer_with(status, service, None);
    if let Some(after) = response.headers().get(header::RETRY_AFTER) {
        page.headers_mut().insert(header::RETRY_AFTER, after.clone());
    }
    page
}

/// Makes a page on a thread that may wait.
async fn aside<T: Send + 'static>(work: impl FnOnce() -> Shown<T> + Send + 'static) -> Shown<T> {
    let made = tokio::task::spawn_blocking(work).await;
    made.unwrap_or_else(|_| Err(Refusal::broken("the page could not be made")))
}

/// Refuses a form that a page of this server did not send: a browser says where a form comes from, and the guard has looked whether that is
/// here; what says nothing is no browser's form.
fn own_page(headers: &HeaderMap) -> Result<(), Refusal> {
    let said = headers.contains_key(header::ORIGIN) || headers.contains_key("sec-fetch-site");
    let refusal = || Refusal::forbidden("bad_origin", "the form does not say that it comes from a page of this server");
    if said { Ok(()) } else { Err(refusal().help("programs use /v1/ (see /v1/openapi.json)")) }
}

/// The pairs behind `?`, or of a form.
fn query(raw: Option<&str>) -> Vec<(String, String)> {
    let Ok(url) = reqwest::Url::parse(&format!("http://here/?{}", raw.unwrap_or_default())) else { return Vec::new() };
    url.query_pairs().map(|(name, value)| (name.into_owned(), value.into_owned())).take(64).collect()
}

/// An address with pairs behind `?`.
fn address(path: &str, pairs: &[(&str, String)]) -> String {
    let mut out = path.to_owned();
    for (at, (name, value)) in pairs.iter().enumerate() {
        let _ = write!(out, "{}{name}={}", if at == 0 { '?' } else { '&' }, percent(value, false));
    }
    out
}

/// A file's name as the path of an address.
fn path_of(name: &str) -> String {
    percent(name, true)
}

fn percent(text: &str, slashes: bool) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        let plain = byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || (slashes && byte == b'/');
        match plain {
            true => out.push(byte.into()),
            false => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_into_an_address_is_read_from_it() {
        let value = "a b&c=d/?#%é\"<".to_owned();
        let made = address("/x", &[("q", value.clone()), ("n", "1".to_owned())]);
        assert!(made.bytes().all(|b| b.is_ascii_graphic() && !b"\"<>'".contains(&b)), "{made}");
        let (_, raw) = made.split_once('?').expect("a query");
        assert_eq!(query(Some(raw)), [("q".to_owned(), value), ("n".to_owned(), "1".to_owned())]);
        assert_eq!(path_of("steps/00-a b/0001/x.txt"), "steps/00-a%20b/0001/x.txt");
    }
}
