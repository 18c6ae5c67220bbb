//! A STAND-IN for a server of the Model Context Protocol of 2024: the protocol is the SDK's, for which there is no such transport any more, so that
//! the transport is ours: a stream of events, and an address for what is posted. What is posted to the stream's address is refused.

use super::tools::Actor;
use axum::body::{Body, Bytes};
use axum::extract::{Query, State};
use axum::http::{Response, StatusCode};
use axum::routing::{get, post};
use futures_util::stream;
use rmcp::ServiceExt;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream, ReadHalf, WriteHalf, duplex, split};
use tokio::sync::Mutex;

/// Sessions, by number: where what is posted goes.
type Sessions = Arc<Mutex<BTreeMap<usize, WriteHalf<DuplexStream>>>>;

async fn events(State(sessions): State<Sessions>) -> Response<Body> {
    let (ours, theirs) = duplex(1 << 20);
    tokio::spawn(async move {
        if let Ok(service) = Actor.serve(split(theirs)).await {
            let _ = service.waiting().await;
        }
    });
    let (from, to) = split(ours);
    let mut all = sessions.lock().await;
    let session = all.len();
    all.insert(session, to);
    let first = format!("event: endpoint\r\ndata: /messages?session={session}\r\n\r\n: hello\r\n\r\n");
    let said = stream::unfold((Some(first), BufReader::new(from)), next);
    let response = Response::builder().header("content-type", "text/event-stream; charset=utf-8");
    response.body(Body::from_stream(said)).expect("a response")
}

type Said = (Option<String>, BufReader<ReadHalf<DuplexStream>>);

async fn next((first, mut from): Said) -> Option<(std::io::Result<String>, Said)> {
    if let Some(first) = first {
        return Some((Ok(first), (None, from)));
    }
    let mut line = String::new();
    match from.read_line(&mut line).await {
        Ok(1..) => Some((Ok(format!("event: message\r\ndata: {}\r\n\r\n", line.trim_end())), (None, from))),
        _ => None,
    }
}

async fn messages(
    State(sessions): State<Sessions>,
    Query(query): Query<BTreeMap<String, usize>>,
    body: Bytes,
) -> StatusCode {
    let mut all = sessions.lock().await;
    let Some(to) = query.get("session").and_then(|n| all.get_mut(n)) else { return StatusCode::NOT_FOUND };
    match to.write_all(&[&body, &b"\n"[..]].concat()).await {
        Ok(()) => StatusCode::ACCEPTED,
        Err(_) => StatusCode::GONE,
    }
}

/// Starts the server; it ends with the test's process. Returns its address.
pub fn start() -> String {
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let app = axum::Router::new().route("/sse", get(events)).route("/messages", post(messages));
            let app = app.with_state(Sessions::default());
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
            let port = listener.local_addr().expect("an address").port();
            tell.send(format!("http://127.0.0.1:{port}/sse")).expect("somebody waits");
            axum::serve(listener, app).await.expect("served");
        });
    });
    told.recv().expect("an address")
}
