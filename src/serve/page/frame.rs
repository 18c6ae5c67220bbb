//! What every page has: its head, the way to the others, and how states, moments and figures look.

use crate::html;
use crate::html::markup::Markup;
pub use crate::run::shown::look::*;
use crate::serve::Service;
use crate::serve::api::guard::Caller;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

/// What a page may do: what comes from here, and no script or style that stands in the page itself.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; \
                      base-uri 'none'; frame-ancestors 'none'";

/// A page.
pub struct Page<'a> {
    /// Its title.
    pub title: &'a str,
    /// Which entry of the navigation it belongs to.
    pub section: &'a str,
    /// The address of the events that change it, where it is live.
    pub events: Option<String>,
    /// Its content.
    pub main: Markup,
}

impl Page<'_> {
    /// The page as an answer.
    pub fn answer(self, service: &Service, caller: Option<&Caller>) -> Response {
        self.answer_with(StatusCode::OK, service, caller)
    }

    /// The same, with a status.
    pub fn answer_with(self, status: StatusCode, service: &Service, caller: Option<&Caller>) -> Response {
        let live = self.events.as_ref().map(|events| html!(" data-events=\"{}\"", events));
        let item = |name: &str, to: &str, words: &str| {
            let here = if self.section == name { html!(" aria-current=\"page\"") } else { Markup::default() };
            html!("<li><a href=\"{}\"{}>{}</a></li>", to, here, words)
        };
        let out = caller.filter(|_| service.tenants.ask_for_tokens()).map(|caller| {
            html!(
                "<form method=\"post\" action=\"/logout\" class=\"who\"><span>{}</span><button class=\"quiet\">Sign out</button></form>",
                caller.tenant.name
            )
        });
        let nav = caller.map(|_| {
            html!(
                "<nav aria-label=\"Pages\"><ul>{}{}{}</ul></nav>",
                item("runs", "/", "Runs"),
                item("fleet", "/fleet", "Fleet"),
                item("compare", "/compare", "Compare")
            )
        });
        let page = html!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n<title>{} · mkbc</title>\n\
             <link rel=\"icon\" href=\"/assets/icon.svg\" type=\"image/svg+xml\">\n<link rel=\"stylesheet\" href=\"/assets/page.css\">\n\
             <script src=\"/assets/page.js\" defer></script>\n</head>\n<body>\n\
             <a class=\"skip\" href=\"#main\">Skip to the content</a>\n\
             <header class=\"top\"><a class=\"brand\" href=\"/\"><img src=\"/assets/icon.svg\" alt=\"\" width=\"22\" height=\"22\">mkbc</a>{}{}</header>\n\
             <main id=\"main\" tabindex=\"-1\"{}>\n{}\n</main>\n\
             <p id=\"said\" class=\"unseen\" role=\"status\"></p>\n</body>\n</html>\n",
            self.title,
            nav,
            out,
            live,
            self.main
        );
        let headers = [
            (header::CONTENT_TYPE, "text/html; charset=utf-8"),
            (header::CONTENT_SECURITY_POLICY, POLICY),
            // Forms must say where they come from, and nobody else is to know.
            (header::REFERRER_POLICY, "same-origin"),
        ];
        let headers = headers.map(|(name, value)| (name, HeaderValue::from_static(value)));
        (status, headers, page.into_string()).into_response()
    }
}

/// Whether a limit holds; a soft one may be broken.
pub fn held(holds: bool, soft: bool) -> Markup {
    match (holds, soft) {
        (true, _) => marked("done", "holds"),
        (false, true) => marked("stopped", "preferred, broken"),
        (false, false) => marked("failed", "broken"),
    }
}
