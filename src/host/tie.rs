//! Questions to a service → its answers. One that cannot be reached is asked again, for as long as it takes.

use crate::run::cancel::Cancel;
use crate::run::fault::{Fault, FaultKind, printable};
use crate::serve::api::types::Problems;
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use serde::de::DeserializeOwned;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

/// Makes a client. Connections belong to the runtime that they were made in, of which each run has its own.
pub type Connect = Arc<dyn Fn() -> Result<Client, String> + Send + Sync>;

/// A service, and the right to ask it.
#[derive(Clone)]
pub struct Service {
    /// Its address, without a slash at the end.
    pub base: String,
    /// A host's token.
    pub token: String,
    /// How connections are made.
    pub connect: Connect,
}

impl Service {
    /// A way to ask it, in the runtime of whoever asks.
    pub fn tie(&self) -> Result<Tie, Fault> {
        let client = (self.connect)().map_err(|why| Fault::new(FaultKind::Provider, why))?;
        Ok(Tie { base: self.base.clone(), token: self.token.clone(), client })
    }
}

/// A way to ask a service.
pub struct Tie {
    base: String,
    token: String,
    client: Client,
}

/// No answer.
#[derive(Clone, Debug)]
pub enum No {
    /// The service cannot be reached, or cannot answer now.
    Away(String),
    /// It says no.
    Refused {
        /// A word for programs.
        code: String,
        /// Why.
        message: String,
        /// What to do.
        help: Option<String>,
    },
}

impl Tie {
    /// A request for a path.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.base)).bearer_auth(&self.token)
    }

    /// Sends a request.
    pub async fn send(&self, request: RequestBuilder) -> Result<Response, No> {
        let response = request.send().await.map_err(|e| No::Away(causes(&e)))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let body = response.bytes().await.unwrap_or_default();
        match serde_json::from_slice::<Problems>(&body) {
            Ok(problems) if status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS => {
                let problem = problems.error;
                let help = problem.help.as_deref().map(printable);
                Err(No::Refused { code: problem.code, message: printable(&problem.message), help })
            }
            Ok(problems) => Err(No::Away(printable(&problems.error.message))),
            Err(_) => Err(No::Away(format!("status {status}"))),
        }
    }

    /// Sends a request and reads its answer.
    pub async fn ask<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, No> {
        let response = self.send(request).await?;
        let body = response.bytes().await.map_err(|e| No::Away(causes(&e)))?;
        serde_json::from_slice(&body).map_err(|e| No::Away(format!("the answer cannot be read: {e}")))
    }
}

/// Asks until there is an answer, or until nobody wants it any more.
pub async fn insist<T, F: Future<Output = Result<T, No>>>(unwanted: &Cancel, ask: impl Fn() -> F) -> Result<T, No> {
    let mut pause = Duration::from_millis(50);
    loop {
        let why = match ask().await {
            Err(No::Away(why)) => why,
            answer => return answer,
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => pause = (pause * 2).min(Duration::from_secs(2)),
            () = unwanted.cancelled() => return Err(No::Away(why)),
        }
    }
}

/// An error with what is behind it.
pub fn causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    printable(&text)
}

impl From<No> for Fault {
    fn from(no: No) -> Fault {
        match no {
            No::Away(why) => Fault::new(FaultKind::Storage, format!("the server cannot be asked: {why}")),
            No::Refused { message, .. } => Fault::new(FaultKind::Storage, format!("the server refuses: {message}")),
        }
    }
}
