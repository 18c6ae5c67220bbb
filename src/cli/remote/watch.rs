//! `mkbc watch`

use super::{Server, TlsOptions, causes, wait};
use crate::cli::runs::one_line;
use crate::cli::{Failure, note, print};
use crate::run::fault::printable;
use crate::serve::api::types::{EventCall, RunEvent, RunStatus};
use crate::serve::store::State;
use clap::Args;
use eventsource_stream::Eventsource;
use futures_util::StreamExt;
use reqwest::{Method, StatusCode};
use std::time::Duration;

/// How often in a row a connection may break off, without a word in between.
const PATIENCE: u32 = 10;

#[derive(Args)]
pub struct WatchOptions {
    /// The run: URL/ID, or ID alone for $MKBC_SERVER
    pub run: String,
    /// Print each event as JSON, one a line
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub tls: TlsOptions,
}

/// Prints what happens to a run until it ends; a failure where the run failed or was stopped.
pub fn watch(options: &WatchOptions) -> Result<(), Failure> {
    let (server, id) = Server::of_run(&options.run, &options.tls)?;
    wait(follow(&server, id, options.json))
}

/// Prints what happens to a run until it ends, also where the connection breaks off or the server is started again.
pub async fn follow(server: &Server, id: u64, json: bool) -> Result<(), Failure> {
    let path = format!("/v1/runs/{id}/events");
    let (mut last, mut broken) = (String::new(), 0);
    loop {
        let mut request = server.request(Method::GET, &path);
        if !last.is_empty() {
            request = request.header("last-event-id", &last);
        }
        let why = match request.try_clone().unwrap_or(request).send().await {
            Ok(response) if response.status() == StatusCode::NO_CONTENT => return ended(server, id).await,
            Ok(response) if response.status().is_success() => {
                let mut events = response.bytes_stream().eventsource();
                loop {
                    match events.next().await {
                        Some(Ok(event)) => {
                            broken = 0;
                            last = event.id;
                            tell(&event.data, json);
                        }
                        Some(Err(error)) => break causes(&error),
                        None => break "the server ended the stream".to_owned(),
                    }
                }
            }
            // What the server refuses for good, it says when it is asked for the run.
            Ok(response)
                if response.status().is_client_error() && response.status() != StatusCode::TOO_MANY_REQUESTS =>
            {
                return ended(server, id).await;
            }
            Ok(response) => format!("status {}", response.status()),
            Err(error) => causes(&error),
        };
        broken += 1;
        if broken > PATIENCE {
            return Err(format!("the server cannot be watched: {why}").into());
        }
        // The end of a run ends the stream as well: then the next answer is that there is nothing more.
        tokio::time::sleep(Duration::from_millis(100) * (1 << broken.min(6)) / 2).await;
    }
}

/// How a run ended.
async fn ended(server: &Server, id: u64) -> Result<(), Failure> {
    let run: RunStatus = server.ask(server.request(Method::GET, &format!("/v1/runs/{id}"))).await?;
    match run.state {
        State::Failed => {
            let why = run.error.as_deref().map(printable).unwrap_or_default();
            Err(format!("run {id} failed: {why}").into())
        }
        State::Cancelled => Err(format!("run {id} was stopped").into()),
        state => {
            note(&format!("run {id} is {}", state.text()));
            Ok(())
        }
    }
}

fn tell(data: &str, json: bool) {
    if json {
        print(&format!("{}\n", printable(data)));
        return;
    }
    // An event that a later server has, and this program does not know, is shown as it is.
    let text = serde_json::from_str(data).map_or_else(|_| data.to_owned(), |event| line(&event));
    note(&one_line(&text));
}

fn line(event: &RunEvent) -> String {
    let at = |call: &EventCall| format!("{} ({})", call.step, call.path);
    match event {
        RunEvent::State { state, note: None, .. } => state.text().to_owned(),
        RunEvent::State { state, note: Some(note), .. } => format!("{}: {note}", state.text()),
        RunEvent::Opened { runtime } => format!("runtime {runtime} took over"),
        RunEvent::Began { call, attempt } => format!("{}: attempt {attempt}", at(call)),
        RunEvent::Done { call, wall_s, cached, .. } => {
            let whence = if *cached { ", from the cache" } else { "" };
            format!("{}: done, {wall_s:.3} s{whence}", at(call))
        }
        RunEvent::Retried { step, attempt, message } => format!("{step}: attempt {attempt} failed, again: {message}"),
        RunEvent::FellBack { call, to, message } => format!("{}: {to} stands in: {message}", at(call)),
        RunEvent::Failed { call, message } => format!("{}: failed: {message}", at(call)),
        RunEvent::Note { message } => message.clone(),
    }
}
