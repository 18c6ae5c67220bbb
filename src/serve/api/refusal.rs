//! Why a request is not carried out → a status and a body.

use super::types::{Problem, Problems};
use crate::diag::source::Sources;
use crate::diag::{Diagnostics, render};
use crate::run::fault::{Fault, FaultKind};
use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use std::time::Duration;

/// A request that is not carried out.
#[derive(Clone, Debug)]
pub struct Refusal {
    status: u16,
    retry_after: Option<Duration>,
    problem: Box<Problem>,
}

impl From<QueryRejection> for Refusal {
    fn from(why: QueryRejection) -> Refusal {
        let text = why.body_text();
        let said = text.strip_prefix("Failed to deserialize query string: ").unwrap_or(&text);
        Refusal::new(400, "bad_query", format!("the query cannot be read: {said}"))
    }
}

impl Refusal {
    /// With a status, a word for programs and a sentence for people.
    pub fn new(status: u16, code: &'static str, message: impl Into<String>) -> Refusal {
        let problem = Problem { code: code.into(), message: message.into(), help: None, diagnostics: None, text: None };
        Refusal { status, retry_after: None, problem: Box::new(problem) }
    }

    /// What is asked for cannot be used.
    pub fn invalid(code: &'static str, message: impl Into<String>) -> Refusal {
        Refusal::new(422, code, message)
    }

    /// There is no such thing, or none that the tenant may know of.
    pub fn absent(message: impl Into<String>) -> Refusal {
        Refusal::new(404, "not_found", message)
    }

    /// It is there, and not allowed.
    pub fn forbidden(code: &'static str, message: impl Into<String>) -> Refusal {
        Refusal::new(403, code, message)
    }

    /// It does not fit the state that something is in.
    pub fn conflict(code: &'static str, message: impl Into<String>) -> Refusal {
        Refusal::new(409, code, message)
    }

    /// There is too much of it now; it may be asked again after a while.
    pub fn later(code: &'static str, message: impl Into<String>, after: Duration) -> Refusal {
        Refusal { retry_after: Some(after), ..Refusal::new(429, code, message) }
    }

    /// The server cannot do its work.
    pub fn broken(message: &str) -> Refusal {
        Refusal::new(503, "broken", message)
    }

    /// A source has errors.
    pub fn diagnosed(cx: &Diagnostics, sources: &Sources) -> Refusal {
        let mut refusal = Refusal::invalid("diagnostics", "the source has errors, or no plan keeps its limits");
        refusal.problem.diagnostics = render::json(cx, sources).as_array().cloned();
        refusal.problem.text = Some(render::text(cx, sources, false));
        refusal
    }

    /// With what to do.
    pub fn help(mut self, help: impl Into<String>) -> Refusal {
        self.problem.help = Some(help.into());
        self
    }

    /// What to do.
    pub fn hint(&self) -> Option<&str> {
        self.problem.help.as_deref()
    }

    /// The sentence for people.
    pub fn message(&self) -> &str {
        &self.problem.message
    }

    /// The status of the answer.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// What to do.
    pub fn advice(&self) -> Option<&str> {
        self.problem.help.as_deref()
    }

    /// What is wrong in the source, for a terminal.
    pub fn text(&self) -> Option<&str> {
        self.problem.text.as_deref()
    }

    /// The word for programs.
    pub fn code(&self) -> &str {
        &self.problem.code
    }
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Refusal {
        Refusal::broken(&fault.message)
    }
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Fault {
        let fault = Fault::new(FaultKind::Plan, refusal.message());
        match refusal.hint() {
            Some(help) => fault.help(help),
            None => fault,
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(Problems { error: (*self.problem).clone() })).into_response();
        if let Some(after) = self.retry_after {
            // Whole seconds, and never none: the client would ask again at once.
            let seconds = after.as_secs_f64().ceil().max(1.0) as u64;
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        // Whoever makes a page of it finds it here.
        response.extensions_mut().insert(self);
        response
    }
}
