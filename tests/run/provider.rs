//! A FAKE provider: a real HTTP server on the loopback interface that answers from a script. There is no model behind it; it shows
//! that requests, answers, refusals and loops are handled, and says nothing about the quality of any model.

#![allow(dead_code)]

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Response, Uri};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};

/// The key that every run here is given; it must appear nowhere.
pub const KEY: &str = "sk-canary-4d1f8e+/=";

/// What the server answers: status, headers, body; and whether it promises more than it sends.
pub struct Act {
    status: u16,
    headers: Vec<(&'static str, &'static str)>,
    body: String,
    cut: bool,
    stall: bool,
}

/// A response.
pub fn say(status: u16, body: impl ToString) -> Act {
    Act { status, headers: Vec::new(), body: body.to_string(), cut: false, stall: false }
}

/// A chat's answer.
pub fn chat(content: &str) -> Act {
    let usage = json!({"prompt_tokens": 11, "completion_tokens": 5});
    say(
        200,
        json!({"choices": [{"message": {"role": "assistant", "content": content}, "finish_reason": "stop"}], "usage": usage}),
    )
}

impl Act {
    /// With a header.
    pub fn header(mut self, name: &'static str, value: &'static str) -> Act {
        self.headers.push((name, value));
        self
    }

    /// Breaking off after what is there.
    pub fn cut(mut self) -> Act {
        self.cut = true;
        self
    }

    /// Saying nothing more after what is there, and not ending either.
    #[allow(dead_code)]
    pub fn stall(mut self) -> Act {
        (self.cut, self.stall) = (true, true);
        self
    }
}

/// A request as it came.
pub struct Seen {
    /// Path of the address.
    pub path: String,
    /// Whether the key was sent as it should be.
    pub key: bool,
    /// The idempotency key.
    pub once: String,
    /// The body.
    pub body: Value,
}

impl Seen {
    /// The system prompt and the user's, as one text.
    pub fn prompt(&self) -> String {
        let messages = self.body["messages"].as_array().into_iter().flatten();
        messages.filter_map(|m| m["content"].as_str()).collect::<Vec<_>>().join("\n")
    }
}

type Script = dyn Fn(usize, &Seen) -> Act + Send + Sync;

#[derive(Clone)]
struct Shared {
    script: Arc<Script>,
    seen: Arc<Mutex<Vec<Seen>>>,
}

/// The server; it ends with the test's process.
pub struct Provider {
    /// The base URL.
    pub url: String,
    shared: Shared,
}

impl Provider {
    /// Starts a server that answers the n-th request as the script says.
    pub fn start(script: impl Fn(usize, &Seen) -> Act + Send + Sync + 'static) -> Provider {
        let shared = Shared { script: Arc::new(script), seen: Arc::default() };
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}/v1", listener.local_addr().expect("an address"));
        listener.set_nonblocking(true).expect("non-blocking");
        let router = axum::Router::new().fallback(respond).with_state(shared.clone());
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async move {
                let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
                let _ = axum::serve(listener, router).await;
            });
        });
        Provider { url, shared }
    }

    /// The requests so far.
    pub fn seen(&self) -> Vec<Seen> {
        std::mem::take(&mut *self.shared.seen.lock().expect("seen"))
    }
}

async fn respond(State(shared): State<Shared>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response<Body> {
    let sent = headers.get("authorization").and_then(|v| v.to_str().ok()).unwrap_or_default();
    let seen = Seen {
        path: uri.path().to_string(),
        key: sent == format!("Bearer {KEY}"),
        once: headers.get("idempotency-key").and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned(),
        body: serde_json::from_slice(&body).unwrap_or(Value::Null),
    };
    let act = {
        let mut all = shared.seen.lock().expect("seen");
        let act = (shared.script)(all.len(), &seen);
        all.push(seen);
        act
    };
    let mut response = Response::builder().status(act.status);
    for (name, value) in act.headers {
        response = response.header(name, value);
    }
    let body = if act.cut {
        // The first part must be on its way before the connection breaks.
        let wait = std::time::Duration::from_millis(if act.stall { 60_000 } else { 100 });
        Body::from_stream(futures_util::stream::unfold(Some(act.body), move |part| async move {
            match part {
                Some(part) if !part.is_empty() => Some((Ok(Bytes::from(part)), Some(String::new()))),
                Some(_) => {
                    tokio::time::sleep(wait).await;
                    Some((Err(std::io::Error::other("broken off")), None))
                }
                None => None,
            }
        }))
    } else {
        Body::from(act.body)
    };
    response.body(body).expect("a response")
}
