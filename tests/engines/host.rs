//! A HOST for the conformance suite: a real HTTP server on the loopback interface that does what a path says (`/DO/v1/…`), in the words
//! of the API that is asked. There is no model behind it.

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Response, Uri};
use futures_util::stream;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::time::Duration;

/// Starts the host; it ends with the test's process. Returns its address.
pub fn start() -> String {
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async move {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
            tell.send(listener.local_addr().expect("an address")).expect("somebody waits");
            let app = axum::Router::new().fallback(answer);
            axum::serve(listener, app).await.expect("it serves");
        });
    });
    format!("http://{}", told.recv().expect("an address"))
}

async fn answer(uri: Uri, headers: HeaderMap, body: Bytes) -> Response<Body> {
    let path = uri.path().trim_start_matches('/').to_owned();
    let (what, rest) = path.split_once('/').unwrap_or((&path, ""));
    let every = |part: Vec<u8>, pause: u64| {
        Body::from_stream(stream::unfold(part, move |part| async move {
            tokio::time::sleep(Duration::from_millis(pause)).await;
            Some((Ok::<_, Infallible>(part.clone()), part))
        }))
    };
    let key = headers.values().filter_map(|v| v.to_str().ok()).collect::<Vec<_>>().join(" ");
    match what {
        "fail" => say(400, json!({"error": {"message": "the host failed as told"}})),
        "hang" => {
            tokio::time::sleep(Duration::from_secs(60)).await;
            say(200, json!({}))
        }
        "drip" => Response::new(every(b" ".to_vec(), 100)),
        "big" => Response::new(every(vec![b'x'; 1 << 20], 0)),
        "garbage" => Response::new(Body::from("<html>no such thing")),
        // A host that gives the key back, as an error and in its headers.
        "secret" => say(400, json!({"error": {"message": format!("you sent {key}")}})),
        _ => say(200, good(rest, &body)),
    }
}

fn say(status: u16, body: Value) -> Response<Body> {
    let response = Response::builder().status(status).header("content-type", "application/json");
    response.body(Body::from(body.to_string())).expect("a response")
}

/// An answer in the words of the API.
fn good(path: &str, body: &[u8]) -> Value {
    let asked: Value = serde_json::from_slice(body).unwrap_or_default();
    if path.ends_with("chat/completions") {
        let structured = path.contains("structure/");
        let content = if structured { json!({"what": "did answer"}).to_string() } else { "did answer".to_owned() };
        json!({"choices": [{"message": {"role": "assistant", "content": content}, "finish_reason": "stop"}],
               "usage": {"prompt_tokens": 3, "completion_tokens": 2}})
    } else if path.ends_with("embeddings") {
        json!({"data": [{"index": 0, "embedding": [7.25]}], "usage": {"prompt_tokens": 3}})
    } else if path.ends_with("audio/transcriptions") {
        json!({"text": "did answer", "duration": 4.0, "segments": [{"start": 0.0, "end": 4.0, "text": "did answer"}]})
    } else if path.ends_with("responses") {
        json!({"status": "completed", "output": [{"type": "message", "role": "assistant",
               "content": [{"type": "output_text", "text": "did answer"}]}], "usage": {"input_tokens": 3, "output_tokens": 2}})
    } else if path.ends_with("converse-stream") {
        json!({"output": {"message": {"role": "assistant", "content": [{"text": "did answer"}]}}, "stopReason": "end_turn",
               "usage": {"inputTokens": 3, "outputTokens": 2, "totalTokens": 5}})
    } else if path.ends_with("messages") {
        json!({"type": "message", "content": [{"type": "text", "text": "did answer"}], "stop_reason": "end_turn",
               "usage": {"input_tokens": 3, "output_tokens": 2}})
    } else {
        json!(format!("did {}", asked["x"].as_str().unwrap_or("answer")))
    }
}
