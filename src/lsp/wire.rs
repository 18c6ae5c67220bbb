//! Bytes ↔ messages. What is no message is reported and left out: a client's fault ends no session.

use lsp_server::{Message, Notification, Request};
use serde_json::Value;
use std::io::{self, BufRead, Read, Write};

/// A message larger than this is refused; its bytes are skipped.
const MAX_BYTES: u64 = 256 << 20;

/// What was read.
pub enum Frame {
    /// A message.
    Message(Message),
    /// Something else: why, and the id of the request that it was, where it has one.
    Fault(String, Option<Value>),
    /// The client has gone.
    End,
}

/// Reads the next frame.
pub fn read(from: &mut impl BufRead) -> Frame {
    match body(from) {
        Ok(body) => understand(&body),
        Err(instead) => instead.into(),
    }
}

/// What is there where a message's bytes should be.
pub enum Instead {
    /// Something else: why.
    Fault(String),
    /// The client has gone.
    End,
}

impl From<Instead> for Frame {
    fn from(instead: Instead) -> Frame {
        match instead {
            Instead::Fault(why) => Frame::Fault(why, None),
            Instead::End => Frame::End,
        }
    }
}

/// Reads the next message's bytes.
pub fn body(from: &mut impl BufRead) -> Result<Vec<u8>, Instead> {
    let mut size: Option<u64> = None;
    let mut strange = String::new();
    loop {
        let mut line = Vec::new();
        match from.by_ref().take(8 << 10).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return Err(Instead::End),
            Ok(_) => {}
        }
        let line = String::from_utf8_lossy(&line);
        let line = line.trim_end_matches(['\r', '\n']);
        if line.is_empty() && size.is_some() {
            break;
        }
        match line.split_once(':') {
            Some((name, value)) if name.trim().eq_ignore_ascii_case("content-length") => {
                size = value.trim().parse().ok();
            }
            Some((name, _)) if name.trim().to_ascii_lowercase().starts_with("content-") => {}
            _ if line.is_empty() && strange.is_empty() => {}
            _ if line.is_empty() => return Err(Instead::Fault(format!("no header of a message: {strange:?}"))),
            _ => strange = line.chars().take(80).collect(),
        }
    }
    let size = size.unwrap_or(0);
    if size > MAX_BYTES {
        let _ = io::copy(&mut from.by_ref().take(size), &mut io::sink());
        return Err(Instead::Fault(format!("a message of {size} bytes is too large")));
    }
    let mut body = Vec::new();
    match from.by_ref().take(size).read_to_end(&mut body) {
        Ok(read) if read as u64 == size => Ok(body),
        _ => Err(Instead::End),
    }
}

/// What a message's bytes are.
pub fn understand(body: &[u8]) -> Frame {
    match serde_json::from_slice::<Value>(body) {
        Err(e) => Frame::Fault(format!("no JSON: {e}"), None),
        Ok(value) => frame(value),
    }
}

/// What a value is as a message. By hand, since an untagged enum would copy the whole value for each of its variants.
pub fn frame(mut value: Value) -> Frame {
    let id = value.get("id").filter(|id| id.is_string() || id.is_number()).cloned();
    let method = value.get("method").and_then(Value::as_str).map(str::to_string);
    let message = match (method, id.clone().and_then(|id| serde_json::from_value(id).ok())) {
        (Some(method), Some(id)) => Some(Message::Request(Request { id, method, params: value["params"].take() })),
        (Some(method), None) if value.get("id").is_none() => {
            Some(Message::Notification(Notification { method, params: value["params"].take() }))
        }
        _ => serde_json::from_value(value).ok(),
    };
    match message {
        Some(message) => Frame::Message(message),
        None => Frame::Fault("neither request, response nor notification".to_string(), id),
    }
}

/// Writes a message's JSON.
pub fn write(to: &mut impl Write, text: &str) -> io::Result<()> {
    write!(to, "Content-Length: {}\r\n\r\n{text}", text.len())?;
    to.flush()
}
