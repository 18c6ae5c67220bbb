//! A request to a provider -> its body, bounded, or why there is none; the key appears in the request and nowhere else.

use super::endpoint::Endpoint;
use super::status::refusal;
use crate::run::fault::{Fault, FaultKind, head};
use reqwest::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderName, HeaderValue};
use reqwest::{Client, RequestBuilder, Url};
use serde_json::Value;
use std::cell::OnceCell;
use std::path::Path;
use std::time::Duration;

/// The largest body that is read. No compression is offered and none is undone, so that this bounds memory.
const MOST: usize = 16 << 20;
/// What is read of an error, and how long each part of it is waited for.
pub const MOST_OF_ERROR: usize = 64 << 10;
const ERROR_WAIT: Duration = Duration::from_secs(5);

/// The header by which a provider can tell that two requests are one.
pub const IDEMPOTENCY: &str = "idempotency-key";

/// The headers in which providers say which request it was.
const REQUEST_IDS: [&str; 3] = ["x-request-id", "request-id", "x-amzn-requestid"];

/// A provider's body.
#[derive(Debug)]
pub struct Reply {
    /// The body.
    pub body: Value,
    /// Host and request id, for messages.
    pub origin: String,
}

/// A request that gave no body.
#[derive(Debug)]
pub struct Refused {
    /// The status, where there was one.
    pub status: Option<u16>,
    /// The beginning (64 KB) of what the provider said, without the key.
    pub said: String,
    /// The fault to report.
    pub fault: Fault,
    /// Whether the provider may have worked, and charge for it.
    pub charged: bool,
}

impl Refused {
    /// Whether the provider answered, be it with a refusal: the same request would be given the same.
    pub fn answered(&self) -> bool {
        self.status.is_some() || self.fault.kind == FaultKind::Answer
    }
}

/// Where a provider wants the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyIn {
    /// `Authorization: Bearer …`.
    Bearer,
    /// `x-api-key: …`.
    ApiKey,
}

/// What is sent.
pub enum Body<'a> {
    /// JSON.
    Json(&'a Value),
    /// A sound file, with what is wanted of it.
    Sound {
        /// The file's bytes.
        bytes: &'a [u8],
        /// Its path; only the extension is sent.
        file: &'a str,
        /// The model.
        model: &'a str,
        /// The format of the answer.
        format: &'a str,
    },
}

/// Connections, made when first needed.
#[derive(Default)]
pub struct Clients {
    local: OnceCell<Client>,
    remote: OnceCell<Client>,
}

impl Clients {
    fn client(&self, local: bool) -> Result<&Client, Fault> {
        let cell = if local { &self.local } else { &self.remote };
        if let Some(client) = cell.get() {
            return Ok(client);
        }
        let builder = Client::builder()
            .connect_timeout(Duration::from_secs(10))
            // A redirect could carry the request, and the key, to another host.
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("mkbc/", env!("CARGO_PKG_VERSION")));
        let builder = if local { builder.no_proxy() } else { builder };
        let client =
            builder.build().map_err(|e| Fault::new(FaultKind::Provider, format!("HTTP cannot be set up: {e}")))?;
        Ok(cell.get_or_init(|| client))
    }

    /// A request with a body and the key, for [`Clients::open`].
    pub fn posting(&self, to: &Endpoint, path: &str, body: Body<'_>, key: KeyIn) -> Result<RequestBuilder, Fault> {
        let url = to.at(path)?;
        let request = self.client(to.local())?.post(url.clone());
        let request = match body {
            Body::Json(json) if to.signer().is_some() => return signed(to, &url, request, json),
            Body::Json(json) => request.json(json),
            Body::Sound { bytes, file, model, format } => {
                let extension = Path::new(file).extension().and_then(|e| e.to_str()).unwrap_or("wav");
                let part = reqwest::multipart::Part::bytes(bytes.to_vec()).file_name(format!("audio.{extension}"));
                let form = reqwest::multipart::Form::new().part("file", part);
                request.multipart(form.text("model", model.to_owned()).text("response_format", format.to_owned()))
            }
        };
        let Some(secret) = to.key() else { return Ok(request) };
        let (name, text) = match key {
            KeyIn::Bearer => (AUTHORIZATION, format!("Bearer {secret}")),
            KeyIn::ApiKey => (HeaderName::from_static("x-api-key"), secret.to_owned()),
        };
        Ok(request.header(name, kept_back(to, &text)?))
    }

    /// Sends a request and reads the JSON that comes back; requests with the same idempotency key are one.
    pub async fn post(&self, to: &Endpoint, path: &str, body: Body<'_>, once: Option<&str>) -> Result<Reply, Refused> {
        let request = self.posting(to, path, body, KeyIn::Bearer)?;
        let request = match once {
            Some(key) => request.header(IDEMPOTENCY, key),
            None => request,
        };
        let (text, origin) = self.text(to, request).await?;
        let body = json(&text, &origin)?;
        Ok(Reply { body, origin })
    }

    /// A request to be filled in; [`Clients::text`] sends it.
    pub fn request(&self, to: &Endpoint, method: reqwest::Method, url: Url) -> Result<RequestBuilder, Fault> {
        Ok(self.client(to.local())?.request(method, url))
    }

    /// Sends a request and reads the text that comes back, without the key, and who sent it; a status that is no success is refused.
    pub async fn text(&self, to: &Endpoint, request: RequestBuilder) -> Result<(String, String), Refused> {
        let mut opened = self.open(to, request).await?;
        let mut bytes = Vec::new();
        while let Some(part) = opened.chunk(to).await? {
            bytes.extend_from_slice(&part);
        }
        Ok((to.redact(&String::from_utf8_lossy(&bytes)), opened.origin))
    }

    /// Sends a request; returns once the head of a successful response is there.
    pub async fn open(&self, to: &Endpoint, request: RequestBuilder) -> Result<Opened, Refused> {
        let response = request.send().await.map_err(|e| Refused {
            // Nothing was sent where nobody was reached, so that nothing is charged.
            charged: !e.is_connect(),
            ..Refused::from(unreached(to, &e))
        })?;
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let mut origin = format!("{} (status {status}", to.host());
        let id = REQUEST_IDS.iter().find_map(|name| headers.get(*name)?.to_str().ok());
        if let Some(id) = id {
            origin.push_str(&format!(", request {}", to.redact(head(id, 100))));
        }
        origin.push(')');
        let of = |name| headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default().trim().to_lowercase();
        let encoding = of(CONTENT_ENCODING);
        let packed = !matches!(encoding.as_str(), "" | "identity");
        let mut opened = Opened { response, origin, form: Form::of(&of(CONTENT_TYPE)), read: 0 };
        if (200..300).contains(&status) {
            if packed {
                // It is never unpacked, so that a small body cannot become a huge one.
                let what =
                    format!("{} packed its answer ({}), which nobody asked for", opened.origin, head(&encoding, 40));
                return Err(Fault::new(FaultKind::Answer, what).into());
            }
            return Ok(opened);
        }
        // Of an error its beginning is enough, and it may have no end.
        let mut bytes = Vec::new();
        while !packed && bytes.len() < MOST_OF_ERROR {
            match tokio::time::timeout(ERROR_WAIT, opened.chunk(to)).await {
                Ok(Ok(Some(part))) => bytes.extend_from_slice(&part),
                _ => break,
            }
        }
        bytes.truncate(MOST_OF_ERROR);
        let text = to.redact(&String::from_utf8_lossy(&bytes));
        let fault = refusal(to.key_env(), status, &opened.origin, &text, &headers);
        Err(Refused { status: Some(status), said: text, fault, charged: false })
    }
}

/// The value of a header that is told to nobody.
fn kept_back(to: &Endpoint, text: &str) -> Result<HeaderValue, Fault> {
    let mut value = HeaderValue::from_str(text).map_err(|_| {
        Fault::new(FaultKind::Key, format!("the key in {} holds characters that no key has", to.key_env()))
    })?;
    value.set_sensitive(true);
    Ok(value)
}

/// A request whose body is signed; what is sent is what was signed, byte by byte.
fn signed(to: &Endpoint, url: &Url, request: RequestBuilder, json: &Value) -> Result<RequestBuilder, Fault> {
    let body = json.to_string().into_bytes();
    let headers = to.signer().into_iter().flat_map(|signer| signer.headers(url, &body, jiff::Timestamp::now()));
    let mut request = request.header(CONTENT_TYPE, "application/json");
    for (name, text) in headers {
        request = request.header(name, kept_back(to, &text)?);
    }
    Ok(request.body(body))
}

/// How a body comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// As one document.
    Whole,
    /// As server-sent events.
    Events,
    /// As messages of AWS' event streams.
    Messages,
}

impl Form {
    fn of(content_type: &str) -> Form {
        match content_type {
            text if text.starts_with("text/event-stream") => Form::Events,
            text if text.starts_with("application/vnd.amazon.eventstream") => Form::Messages,
            _ => Form::Whole,
        }
    }
}

/// A response whose head is there.
pub struct Opened {
    response: reqwest::Response,
    /// Host, status and request id, for messages.
    pub origin: String,
    /// How its body comes.
    pub form: Form,
    read: usize,
}

impl Opened {
    /// The next part of the body, as the provider sent it: the key may be in it. All parts together are bounded.
    pub async fn chunk(&mut self, to: &Endpoint) -> Result<Option<Vec<u8>>, Fault> {
        let part = self.response.chunk().await.map_err(|e| {
            let fault = unreached(to, &e);
            Fault { message: fault.message.replacen(to.host(), &self.origin, 1), ..fault }
        })?;
        let Some(part) = part else { return Ok(None) };
        self.read += part.len();
        if self.read > MOST {
            return Err(Fault::new(FaultKind::Answer, format!("{} sent more than {} MB", self.origin, MOST >> 20)));
        }
        Ok(Some(part.to_vec()))
    }
}

/// The JSON in a body.
pub fn json(text: &str, origin: &str) -> Result<Value, Fault> {
    serde_json::from_str(text).map_err(|e| {
        let html = text.trim_start().starts_with('<');
        let what = if html { "a web page instead of JSON".to_owned() } else { format!("no valid JSON ({e})") };
        let fault = Fault::new(FaultKind::Answer, format!("{origin} sent {what}")).detail(head(text, 500)).transient();
        if html { fault.help("check the address: it should end in /v1") } else { fault }
    })
}

impl From<Fault> for Refused {
    fn from(fault: Fault) -> Refused {
        Refused { status: None, said: String::new(), fault, charged: true }
    }
}

/// No response, or not all of it. The error's own text may hold the URL; only its kind is told.
fn unreached(to: &Endpoint, error: &reqwest::Error) -> Fault {
    let why = match error {
        e if e.is_connect() => "cannot be reached",
        e if e.is_timeout() => "took too long",
        e if e.is_body() || e.is_decode() => "broke off its answer",
        _ => "did not answer",
    };
    let mut cause: Option<&dyn std::error::Error> = std::error::Error::source(error);
    while let Some(inner) = cause.and_then(std::error::Error::source) {
        cause = Some(inner);
    }
    let said = cause.map(|c| to.redact(&c.to_string())).unwrap_or_default();
    let fault = Fault::new(FaultKind::Provider, format!("{} {why}", to.host())).detail(&said).transient();
    if to.local() {
        fault.help(if error.is_connect() {
            "is the server running?"
        } else {
            "try again; `retry 2` behind the call does so by itself"
        })
    } else {
        fault.help("check the network, and the proxy settings")
    }
}

/// A file's bytes, if it is not too large to send.
pub async fn load(path: &Path, most: u64) -> Result<Vec<u8>, Fault> {
    let size = tokio::fs::metadata(path).await.map_err(|e| Fault::storage("read", path, &e))?.len();
    if size > most {
        let message = format!("`{}` has {} MB; at most {} MB are sent", path.display(), size >> 20, most >> 20);
        return Err(Fault::new(FaultKind::Input, message));
    }
    tokio::fs::read(path).await.map_err(|e| Fault::storage("read", path, &e))
}
