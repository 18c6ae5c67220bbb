//! The protocol over HTTP as servers of 2024 speak it: what they say is one stream of events, whose first names the address that messages are
//! posted to. `rmcp` has this transport no more; its messages and its handshake are the same.

use crate::run::engines::openai::endpoint::Endpoint;
use crate::run::fault::{Fault, FaultKind, head};
use reqwest_mcp::header::{ACCEPT, CONTENT_TYPE};
use reqwest_mcp::{Client, RequestBuilder, Response, Url};
use rmcp::RoleClient;
use rmcp::service::{RxJsonRpcMessage, TxJsonRpcMessage};
use rmcp::transport::Transport;
use std::fmt;

/// A connection.
pub struct Events {
    client: Client,
    key: Option<String>,
    /// Where our messages go.
    post: Url,
    stream: Stream,
}

/// Why a message did not go out.
#[derive(Debug)]
pub struct Unsent(String);

impl fmt::Display for Unsent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unsent {}

impl Events {
    /// Opens the stream and waits for the address; an error where the server speaks otherwise. No event is longer than so many bytes.
    pub async fn open(client: Client, endpoint: &Endpoint, most: usize) -> Result<Events, Fault> {
        let key = endpoint.key().map(str::to_owned);
        let wrong = |why: &str| Fault::new(FaultKind::Provider, format!("the MCP server {} {why}", endpoint.host()));
        let asked = with_key(client.get(endpoint.url.as_str()), &key).header(ACCEPT, "text/event-stream").send().await;
        let response = asked.map_err(|_| wrong("cannot be reached").transient())?;
        let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        if !response.status().is_success() || !kind.starts_with("text/event-stream") {
            return Err(wrong("has no stream of events"));
        }
        let mut stream = Stream { response, buffer: Vec::new(), at: 0, most };
        let first = stream.next().await.ok_or_else(|| wrong("went away before it said where to post"))?;
        if first.name != "endpoint" {
            return Err(wrong("does not say where to post"));
        }
        let post = Url::parse(endpoint.url.as_str()).and_then(|url| url.join(first.data.trim()));
        let post = post.map_err(|_| wrong("says to post to what is no address"))?;
        // A server must not have the key sent to another.
        if (post.scheme(), post.host_str(), post.port_or_known_default())
            != (endpoint.url.scheme(), endpoint.url.host_str(), endpoint.url.port_or_known_default())
        {
            return Err(wrong("says to post to another server"));
        }
        Ok(Events { client, key, post, stream })
    }
}

fn with_key(request: RequestBuilder, key: &Option<String>) -> RequestBuilder {
    match key {
        Some(key) => request.bearer_auth(key),
        None => request,
    }
}

impl Transport<RoleClient> for Events {
    type Error = Unsent;

    fn send(
        &mut self,
        message: TxJsonRpcMessage<RoleClient>,
    ) -> impl Future<Output = Result<(), Unsent>> + Send + 'static {
        let request = with_key(self.client.post(self.post.clone()), &self.key);
        async move {
            let body = serde_json::to_vec(&message).map_err(|e| Unsent(e.to_string()))?;
            let sent = request.header(CONTENT_TYPE, "application/json").body(body).send().await;
            // The error would tell the address, which may hold a secret.
            let response = sent.map_err(|e| Unsent(e.without_url().to_string()))?;
            match response.status() {
                status if status.is_success() => Ok(()),
                status => Err(Unsent(format!("a message was answered with status {}", status.as_u16()))),
            }
        }
    }

    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleClient>> {
        loop {
            let event = self.stream.next().await?;
            // What is no message, as a line that keeps the connection open, is passed over.
            if matches!(event.name.as_str(), "" | "message")
                && let Ok(message) = serde_json::from_str(&event.data)
            {
                return Some(message);
            }
        }
    }

    async fn close(&mut self) -> Result<(), Unsent> {
        Ok(())
    }
}

#[derive(Debug, Default, PartialEq)]
struct Event {
    name: String,
    data: String,
}

/// A body that is read event by event.
struct Stream {
    response: Response,
    buffer: Vec<u8>,
    /// What of the buffer was looked through.
    at: usize,
    most: usize,
}

impl Stream {
    /// The next event; none where the stream ended, or broke, or an event is too long. It may be dropped while it waits: nothing is lost.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some((end, rest)) = end_of_event(&self.buffer, self.at) {
                let event = read(&String::from_utf8_lossy(&self.buffer[..end]));
                self.buffer.drain(..rest);
                self.at = 0;
                if event != Event::default() {
                    return Some(event);
                }
                continue;
            }
            self.at = self.buffer.len().saturating_sub(3);
            if self.buffer.len() > self.most {
                return None;
            }
            self.buffer.extend_from_slice(&self.response.chunk().await.ok()??);
        }
    }
}

/// Where the first event ends, an empty line, and where what follows it begins; nothing before `from` has to be looked at.
fn end_of_event(bytes: &[u8], from: usize) -> Option<(usize, usize)> {
    let ends = [&b"\n\n"[..], b"\r\n\r\n", b"\r\r"];
    (from..bytes.len()).find_map(|at| {
        let end = ends.iter().find(|end| bytes[at..].starts_with(end))?;
        Some((at, at + end.len()))
    })
}

fn read(text: &str) -> Event {
    let mut event = Event::default();
    for line in text.split(['\n', '\r']) {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => event.name = head(value, 100).to_owned(),
            "data" if event.data.is_empty() => event.data.push_str(value),
            "data" => event.data.extend(["\n", value]),
            _ => {}
        }
    }
    event
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_end_with_an_empty_line() {
        let text = b"event: endpoint\r\ndata: /messages?id=1\r\n\r\n: ping\n\ndata: {\ndata: }\n\ndata: half";
        let (end, rest) = end_of_event(text, 0).expect("one");
        let first = read(std::str::from_utf8(&text[..end]).expect("a text"));
        assert_eq!((first.name.as_str(), first.data.as_str()), ("endpoint", "/messages?id=1"));
        let text = &text[rest..];
        let (end, rest) = end_of_event(text, 0).expect("a comment");
        assert_eq!(read(std::str::from_utf8(&text[..end]).expect("a text")), Event::default());
        let text = &text[rest..];
        let (end, rest) = end_of_event(text, 0).expect("a message");
        assert_eq!(read(std::str::from_utf8(&text[..end]).expect("a text")).data, "{\n}");
        assert_eq!(end_of_event(&text[rest..], 0), None);
    }
}
