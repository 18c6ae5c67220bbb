//! Answers that come in pieces, late, never, without end or by a connection that is reset.

use super::provider::{Act, KEY, Question, chat, say, text};
use crate::run::engines::chat::stream::Deadlines;
use crate::run::fault::FaultKind;
use axum::body::Bytes;
use serde_json::json;
use std::io::Write;
use std::time::{Duration, Instant};

fn piece(text: &str) -> String {
    format!("data: {}\n\n", json!({"choices": [{"delta": {"content": text}}]}))
}

fn end() -> String {
    let usage = json!({"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 4}}});
    let stop = json!({"choices": [{"delta": {}, "finish_reason": "stop"}]});
    format!("data: {stop}\n\ndata: {usage}\n\ndata: [DONE]\n\n")
}

fn short() -> Question {
    let ms = Duration::from_millis;
    let deadlines = Deadlines { first: ms(400), between: ms(200), total: ms(1500) };
    let mut question = Question { deadlines, ..Question::default() };
    question.conditions.timeout_ms = None;
    question
}

#[tokio::test]
async fn an_answer_in_pieces_is_put_together_and_timed() {
    let parts = vec![(100, piece(" Mar")), (150, piece("ia. ")), (0, end())];
    let outcome = text(vec![Act::Stream(parts, false)], 0).await;
    assert_eq!(outcome.report.result, Ok(json!("Maria.")));
    let step = &outcome.report.steps[0];
    assert_eq!((step.tokens_in, step.tokens_cached, step.tokens_out), (7, 4, 3));
    let first = step.ttft_s.expect("a time to the first token");
    assert!((0.1..0.24).contains(&first) && step.busy_s >= 0.25, "{first} of {}", step.busy_s);
    assert_eq!(text(vec![chat("x")], 0).await.report.steps[0].ttft_s, None);
}

#[tokio::test]
async fn each_deadline_holds_by_itself() {
    let begun = Instant::now();
    let ping = (50, ": ping\n\n".to_owned());
    // Signs of life, and no answer.
    let outcome = short().ask(vec![Act::Stream(vec![ping; 40], false)]).await;
    assert!(outcome.fault().message.contains("did not begin to answer"), "{}", outcome.fault().message);
    // One byte after the other.
    let slow = piece("Maria").chars().map(|c| (30, c.to_string())).collect::<Vec<_>>();
    let outcome = short().ask(vec![Act::Stream([vec![(0, piece("a"))], slow].concat(), false)]).await;
    assert!(outcome.fault().message.contains("stopped in the middle"), "{}", outcome.fault().message);
    // Pieces without end, never late.
    let outcome = short().ask(vec![Act::Stream(vec![(100, piece("a")); 40], false)]).await;
    assert!(outcome.fault().message.contains("within 1.5 s"), "{}", outcome.fault().message);
    // Whole, byte by byte.
    let outcome = short().ask(vec![Act::Drip]).await;
    assert!(outcome.fault().message.contains("within 1.5 s"), "{}", outcome.fault().message);
    assert_eq!((outcome.fault().kind, outcome.fault().transient), (FaultKind::Timeout, true));
    assert!(begun.elapsed() < Duration::from_secs(6), "{:?}", begun.elapsed());
}

/// Memory of this process, MiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("status");
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).expect("VmRSS");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") >> 10
}

#[tokio::test]
async fn bombs_and_floods_fill_no_memory() {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    for _ in 0..1024 {
        packed.write_all(&vec![b'0'; 1 << 20]).expect("zeros");
    }
    let packed = Bytes::from(packed.finish().expect("a bomb"));
    let before = resident();
    let outcome = text(vec![Act::Packed(packed)], 0).await;
    assert!(outcome.fault().message.contains("packed its answer (gzip)"), "{}", outcome.fault().message);
    let endless = vec![(0, piece("a").repeat(100)); 10_000];
    let outcome = text(vec![Act::Stream(endless, false)], 0).await;
    assert!(outcome.fault().message.contains("says more than the 50 tokens"), "{}", outcome.fault().message);
    let line = vec![(0, "data: ".to_owned()), (0, "x".repeat(3 << 20))];
    let outcome = text(vec![Act::Stream(line, false)], 0).await;
    assert!(outcome.fault().message.contains("a line of more than 1 MB"), "{}", outcome.fault().message);
    let comment = format!(":{}\n", "x".repeat(1022));
    let mut question = Question::default();
    question.conditions.timeout_ms = Some(60_000);
    let outcome = question.ask(vec![Act::Stream(vec![(0, comment.repeat(1 << 10)); 40], false)]).await;
    assert!(outcome.fault().message.contains("more than 16 MB"), "{}", outcome.fault().message);
    let grown = resident().saturating_sub(before);
    assert!(grown < 200, "{grown} MiB more");
}

#[tokio::test]
async fn a_key_that_comes_in_pieces_is_shown_in_no_form() {
    let pieces = KEY.chars().map(|c| (0, piece(&c.to_string()))).chain([(0, end())]).collect();
    let outcome = text(vec![Act::Stream(pieces, true)], 0).await;
    assert_eq!(outcome.report.result, Ok(json!("[key]")));
    let pieces = KEY.chars().map(|c| (0, piece(&c.to_string()))).collect();
    let outcome = text(vec![Act::Stream(pieces, true)], 0).await;
    assert!(outcome.fault().message.contains("broke off its answer"));
    assert_eq!(outcome.kept.len(), 1);
}

/// A server that reads a request, says this, and resets the connection.
async fn resetting(said: &'static str) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/v1", listener.local_addr().expect("an address"));
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut buffer = [0; 4096];
            let _ = stream.read(&mut buffer).await;
            let _ = stream.write_all(said.as_bytes()).await;
            let _ = stream.flush().await;
            tokio::time::sleep(Duration::from_millis(50)).await;
            let _ = stream.set_zero_linger();
        }
    });
    url
}

#[tokio::test]
async fn a_connection_that_is_reset_is_tried_again_and_named() {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 500\r\nx-request-id: req-9\r\n\r\n{\"choices\"";
    for (said, parts) in
        [("", vec!["did not answer"]), (head, vec!["broke off its answer", "status 200, request req-9"])]
    {
        let mut question = Question { url: Some(resetting(said).await), ..Question::default() };
        question.conditions.retries = 2;
        let fault = question.ask(vec![say(200, "")]).await.fault().clone();
        assert_eq!((fault.kind, fault.transient), (FaultKind::Provider, true));
        for part in parts.iter().chain(&["(attempt 3)"]) {
            assert!(fault.message.contains(part), "{} does not say {part}", fault.message);
        }
    }
}

#[tokio::test]
async fn waits_grow_and_are_not_alike() {
    let outcome = text(vec![say(503, "busy")], 6).await;
    let gaps: Vec<_> = outcome.seen.windows(2).map(|w| w[1].0 - w[0].0).collect();
    assert_eq!(gaps.len(), 6);
    // From a millisecond, doubled each time, of which half or more.
    for (gap, n) in gaps.iter().zip(0_u32..) {
        assert!(*gap >= Duration::from_micros(500) * 2_u32.pow(n), "{gaps:?}");
    }
}
