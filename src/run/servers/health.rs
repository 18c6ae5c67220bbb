//! A server that was started -> one that has answered a real request, or why it does not.

use super::command::CommandLine;
use super::process::Process;
use crate::run::engines::openai::endpoint::Endpoint;
use crate::run::engines::openai::http::{Body, Clients, KeyIn};
use crate::run::fault::{Fault, FaultKind, printable};
use reqwest::Method;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// How long one question whether it is there may take.
const ASK: Duration = Duration::from_secs(5);

/// Asks a server whether it is there.
async fn there(clients: &Clients, endpoint: &Endpoint, path: &str) -> bool {
    let Ok(url) = endpoint.url.join(&format!("/{path}")) else { return false };
    let Ok(mut request) = clients.request(endpoint, Method::GET, url) else { return false };
    if let Some(key) = endpoint.key() {
        request = request.bearer_auth(key);
    }
    matches!(tokio::time::timeout(ASK, clients.text(endpoint, request)).await, Ok(Ok(_)))
}

/// Whether a server that was there still is.
pub async fn answers(endpoint: &Endpoint, line: &CommandLine) -> bool {
    there(&Clients::default(), endpoint, line.health).await
}

/// The smallest request of an API; none where there is none without a file.
fn smallest(api: &str, model: &str) -> Option<(&'static str, Value)> {
    match api {
        "embeddings" => Some(("embeddings", json!({"model": model, "input": ["a"]}))),
        "rerank" => Some(("rerank", json!({"model": model, "query": "a", "documents": ["a"]}))),
        "transcription" => None,
        _ => {
            let message = json!({"role": "user", "content": "Hi"});
            Some(("chat/completions", json!({"model": model, "messages": [message], "max_tokens": 1})))
        }
    }
}

/// Waits until a server has answered a real request.
pub async fn ready(
    process: &Process,
    endpoint: &Endpoint,
    line: &CommandLine,
    api: &str,
    name: &str,
    within: Duration,
) -> Result<(), Fault> {
    let begun = Instant::now();
    let clients = Clients::default();
    let died = || process.death(name);
    let late = || {
        let message = format!("the server {name} does not answer after {:.0} s", within.as_secs_f64());
        Fault::new(FaultKind::Timeout, message).detail(&endpoint.redact(&process.said()))
    };
    let mut pause = Duration::from_millis(20);
    while !there(&clients, endpoint, line.health).await {
        if !process.runs() {
            return Err(died());
        }
        if begun.elapsed() > within {
            return Err(late());
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(500));
    }
    let Some((path, body)) = smallest(api, &line.model) else { return Ok(()) };
    // The first answer loads what was not loaded, and compiles what was not compiled.
    let left = within.saturating_sub(begun.elapsed());
    let request = clients.posting(endpoint, path, Body::Json(&body), KeyIn::Bearer)?;
    match tokio::time::timeout(left.max(ASK), clients.text(endpoint, request)).await {
        Err(_) => Err(late()),
        Ok(Ok(_)) => Ok(()),
        Ok(Err(_)) if !process.runs() => Err(died()),
        Ok(Err(refused)) => {
            let message = format!("the server {name} is there, and refuses the model `{}`", printable(&line.model));
            let said = format!("{}\n{}", refused.fault.message, endpoint.redact(&process.said()));
            Err(Fault::new(FaultKind::Provider, message).detail(&said))
        }
    }
}

/// Says a word to a server that needs no answer but that it was heard: `sleep?level=1`, `wake_up`.
pub async fn said(endpoint: &Endpoint, word: &str, within: Duration) -> bool {
    let clients = Clients::default();
    let Ok(url) = endpoint.url.join(&format!("/{word}")) else { return false };
    let Ok(mut request) = clients.request(endpoint, Method::POST, url) else { return false };
    if let Some(key) = endpoint.key() {
        request = request.bearer_auth(key);
    }
    matches!(tokio::time::timeout(within, clients.text(endpoint, request)).await, Ok(Ok(_)))
}
