//! `mkbc submit`, `mkbc watch`, `mkbc fetch`, `mkbc deploy`: the other side of `mkbc serve`.

mod deploy;
mod fetch;
mod submit;
mod tls;
mod watch;

pub use deploy::{DeployOptions, deploy};
pub use fetch::{FetchOptions, fetch};
pub use submit::{SubmitOptions, submit};
pub use tls::TlsOptions;
pub use watch::{WatchOptions, watch};

use super::Failure;
use super::serve::ADDRESS;
use crate::host::tie::causes;
use crate::run::block_on;
use crate::run::fault::printable;
use crate::serve::api::types::{Problem, Problems};
use reqwest::header::RETRY_AFTER;
use reqwest::{Client, Method, RequestBuilder, Response, Url};
use serde::de::DeserializeOwned;
use std::net::IpAddr;

/// The variable that holds the token.
pub const TOKEN: &str = "MKBC_TOKEN";
/// The variable that says which server, where the command line does not.
const SERVER: &str = "MKBC_SERVER";

/// A variable of the environment that is not empty.
fn set(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The address of a server.
pub struct Address {
    /// It.
    pub base: Url,
    /// Whether it is this machine's.
    pub here: bool,
}

impl Address {
    /// What was given; else what the environment says, or the usual one. With a token, it must be this machine's or speak TLS.
    pub fn of(given: Option<&str>, token: bool) -> Result<Address, Failure> {
        let address = given.map(str::to_owned).or_else(|| set(SERVER)).unwrap_or_else(|| format!("http://{ADDRESS}"));
        let bad = |why: &str| Failure::Usage(format!("`{address}` is no address of a server: {why}"));
        let base = Url::parse(&address).map_err(|e| bad(&e.to_string()))?;
        let host = base.host_str().unwrap_or_default().trim_matches(['[', ']']);
        let here = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
        match base.scheme() {
            "https" => {}
            "http" if here || !token => {}
            "http" => return Err(bad("the token would cross the network for everybody to read: https is needed")),
            _ => return Err(bad("it begins with http:// or https://")),
        }
        if !base.username().is_empty() || base.password().is_some() {
            return Err(bad(&format!("a token stands in `{TOKEN}`, not in the address")));
        }
        Ok(Address { base, here })
    }
}

/// A server, and the right to ask it.
struct Server {
    base: Url,
    token: Option<String>,
    client: Client,
}

impl Server {
    /// The server at an address; without one, that of the environment or the usual one.
    fn at(address: Option<&str>, tls: &TlsOptions) -> Result<Server, Failure> {
        let token = set(TOKEN);
        let Address { base, here } = Address::of(address, token.is_some())?;
        Ok(Server { base, token, client: tls.client(here)? })
    }

    /// A server and a run of it: `URL/ID`, `URL/v1/runs/ID`, or `ID` alone.
    fn of_run(given: &str, tls: &TlsOptions) -> Result<(Server, u64), Failure> {
        let (address, id) = given.rsplit_once('/').map_or((None, given), |(address, id)| (Some(address), id));
        let id = id.parse().map_err(|_| Failure::Usage(format!("`{given}` names no run: URL/ID, or ID")))?;
        let address = address.map(|address| address.strip_suffix("/v1/runs").unwrap_or(address));
        Ok((Server::at(address, tls)?, id))
    }

    /// The address of a path.
    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base.as_str().trim_end_matches('/'))
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.client.request(method, self.url(path));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// Sends a request; an answer that is no success becomes what the server says.
    async fn send(&self, request: RequestBuilder) -> Result<Response, Failure> {
        let at = self.base.as_str().trim_end_matches('/');
        // The error's own text may hold the address, and nothing of the headers.
        let response = request.send().await.map_err(|e| match e.is_connect() {
            true => format!(
                "no server answers at `{at}`: {}\n  help: start one with `mkbc serve`, or give the address of another",
                last_cause(&e)
            ),
            false => format!("`{at}` cannot be asked: {}", causes(&e)),
        })?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status();
        let after = response.headers().get(RETRY_AFTER).and_then(|v| v.to_str().ok()).map(str::to_owned);
        let body = response.bytes().await.unwrap_or_default();
        match serde_json::from_slice::<Problems>(&body) {
            Ok(problems) => Err(said(&problems.error, after.as_deref())),
            Err(_) => Err(format!("`{at}` answers with status {status}, and is perhaps no server of runs").into()),
        }
    }

    /// Sends a request and reads its answer.
    async fn ask<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, Failure> {
        let response = self.send(request).await?;
        let body = response.bytes().await.map_err(|e| format!("the server's answer broke off: {}", causes(&e)))?;
        serde_json::from_slice(&body).map_err(|e| format!("the server's answer cannot be read: {e}").into())
    }
}

/// What a server says of a request that it refuses, as our own errors look.
fn said(problem: &Problem, after: Option<&str>) -> Failure {
    let mut text = match &problem.text {
        Some(diagnostics) => format!("{}\n{}", printable(&problem.message), printable(diagnostics.trim_end())),
        None => printable(&problem.message),
    };
    if let Some(help) = &problem.help {
        text.push_str(&format!("\n  help: {}", printable(help)));
    }
    if let Some(after) = after {
        text.push_str(&format!("\n  help: ask again in {} s", printable(after)));
    }
    Failure::Message(text)
}

/// What is behind all that an error says.
fn last_cause(error: &dyn std::error::Error) -> String {
    let mut last = error;
    while let Some(inner) = last.source() {
        last = inner;
    }
    printable(&last.to_string())
}

/// Waits for what is asked of a server.
fn wait<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    block_on(work).map_err(|e| format!("cannot start the runtime: {e}"))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_named_by_its_address() {
        for given in ["http://127.0.0.1:9/7", "http://127.0.0.1:9/v1/runs/7"] {
            let (server, id) = Server::of_run(given, &TlsOptions::default()).expect("an address");
            assert_eq!((server.url("/v1/runs"), id), ("http://127.0.0.1:9/v1/runs".to_owned(), 7));
        }
        for wrong in ["http://127.0.0.1:9", "x", "ftp://127.0.0.1/7", "http://a:b@127.0.0.1/7"] {
            assert!(Server::of_run(wrong, &TlsOptions::default()).is_err(), "{wrong}");
        }
    }
}
