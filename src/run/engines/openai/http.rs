//! A request to a provider -> its body, bounded, or why there is none; the key appears in the request and nowhere else.

use super::sign::{self, Signer};
use super::status::refusal;
use crate::run::fault::{Fault, FaultKind, head};
use crate::run::probe::Env;
use base64::Engine as _;
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

/// Where a provider is.
#[derive(Clone)]
pub struct Endpoint {
    /// The base URL: what stands in front of an API's path.
    pub url: Url,
    host: String,
    key: Option<String>,
    key_env: String,
    signer: Option<Signer>,
}

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

impl Endpoint {
    /// The endpoint of a step: the address in `url_env` where it is set, else `url`; the key in `key_env`, which may be missing only
    /// for an address that the user gave (a server of their own).
    pub fn find(env: Env<'_>, url_env: &str, url: &str, key_env: &str) -> Result<Endpoint, Fault> {
        Endpoint::locate(env, [url_env, url, key_env], false)
    }

    /// The endpoint of a step at AWS: without a bearer token in `key_env`, requests are signed by the account whose access key is given.
    pub fn at_aws(env: Env<'_>, url_env: &str, url: &str, key_env: &str) -> Result<Endpoint, Fault> {
        let signs = env(key_env).is_none_or(|key| key.trim().is_empty()) && sign::given(env);
        let mut found = Endpoint::locate(env, [url_env, url, key_env], signs)?;
        if signs {
            let own = env(url_env).is_some_and(|url| !url.trim().is_empty());
            found.signer = match Signer::find(env, found.url.host_str().unwrap_or_default()) {
                // A server of the user's own in no region of AWS wants no signature.
                Err(_) if own => None,
                signer => signer?,
            };
        }
        if found.signer.is_some() {
            found.key_env = sign::ACCESS_KEY.to_owned();
        }
        Ok(found)
    }

    fn locate(env: Env<'_>, [url_env, url, key_env]: [&str; 3], signs: bool) -> Result<Endpoint, Fault> {
        let set = |name: &str| {
            if name.is_empty() { None } else { env(name).map(|v| v.trim().to_owned()).filter(|v| !v.is_empty()) }
        };
        let own = set(url_env);
        let key = set(key_env);
        if key.is_none() && own.is_none() && !key_env.is_empty() && !signs {
            let mut help = format!("export {key_env}=… with the provider's key");
            if !url_env.is_empty() {
                help.push_str(&format!(", or {url_env}=http://… for a server that needs none"));
            }
            return Err(Fault::new(FaultKind::Key, format!("the environment variable {key_env} is not set")).help(help));
        }
        let from = if own.is_some() { url_env } else { "the plan" };
        let wrong = |why: &str| Fault::new(FaultKind::Provider, format!("the provider's address in {from} {why}"));
        let url = Url::parse(own.as_deref().unwrap_or(url)).map_err(|e| wrong(&format!("is no URL: {e}")))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(wrong("is neither http nor https"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(wrong("holds a user name or password").help(format!("put the key into {key_env}")));
        }
        let host = url.host_str().ok_or_else(|| wrong("names no host"))?;
        let host = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        Ok(Endpoint { url, host, key, key_env: key_env.to_owned(), signer: None })
    }

    /// The endpoint of a server that we started on this machine.
    pub fn own(port: u16, key: Option<String>) -> Result<Endpoint, Fault> {
        let host = format!("127.0.0.1:{port}");
        let url = Url::parse(&format!("http://{host}/v1")).map_err(|e| Fault::plan(e.to_string()))?;
        Ok(Endpoint { url, host, key, key_env: String::new(), signer: None })
    }

    fn at(&self, path: &str) -> Result<Url, Fault> {
        let base = self.url.as_str().trim_end_matches('/');
        Url::parse(&format!("{base}/{path}"))
            .map_err(|e| Fault::new(FaultKind::Provider, format!("the provider's address: {e}")))
    }

    /// Host and port, for messages.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The key, for a request and nothing else.
    pub fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }

    /// Whether it is on this machine.
    pub fn local(&self) -> bool {
        matches!(self.url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"))
    }

    /// A text without the key, also where a provider returns it in another form.
    pub fn redact(&self, text: &str) -> String {
        self.forms().iter().fold(text.to_owned(), |text, form| text.replace(form.as_str(), "[key]"))
    }

    /// How many bytes of a text that goes on may be told once they are redacted: all but its longest end that the beginning of a key is.
    pub fn settled(&self, text: &str) -> usize {
        let forms = self.forms();
        let end = text.len() - forms.iter().map(|form| begun(text, form)).max().unwrap_or(0);
        // A whole key goes with what is told, though its own end may look like the beginning of one.
        let keys = forms.iter().flat_map(|form| text.match_indices(form.as_str()));
        keys.filter(|(from, _)| *from < end).map(|(from, key)| from + key.len()).fold(end, usize::max)
    }

    /// The forms in which a provider may return the key.
    fn forms(&self) -> Vec<String> {
        let secrets = self.key.iter().chain(self.signer.iter().flat_map(Signer::secrets));
        let forms = |key: &String| {
            let encoded: String = key
                .bytes()
                .map(|b| if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("%{b:02X}") })
                .collect();
            // Some servers write `\/` for `/` in JSON.
            let escaped = key.replace('/', "\\/");
            [key.clone(), escaped, base64::engine::general_purpose::STANDARD.encode(key), encoded]
        };
        secrets.filter(|k| k.len() >= 4).flat_map(forms).collect()
    }
}

/// Bytes of the longest end of a text with which a key begins, all of the key excepted.
fn begun(text: &str, key: &str) -> usize {
    let ends = text.char_indices().map(|(from, _)| &text[from..]).rev().take_while(|end| end.len() < key.len());
    ends.filter(|end| key.starts_with(end)).map(str::len).max().unwrap_or(0)
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
            Body::Json(json) if to.signer.is_some() => return signed(to, &url, request, json),
            Body::Json(json) => request.json(json),
            Body::Sound { bytes, file, model, format } => {
                let extension = Path::new(file).extension().and_then(|e| e.to_str()).unwrap_or("wav");
                let part = reqwest::multipart::Part::bytes(bytes.to_vec()).file_name(format!("audio.{extension}"));
                let form = reqwest::multipart::Form::new().part("file", part);
                request.multipart(form.text("model", model.to_owned()).text("response_format", format.to_owned()))
            }
        };
        let Some(secret) = &to.key else { return Ok(request) };
        let (name, text) = match key {
            KeyIn::Bearer => (AUTHORIZATION, format!("Bearer {secret}")),
            KeyIn::ApiKey => (HeaderName::from_static("x-api-key"), secret.clone()),
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
        let mut origin = format!("{} (status {status}", to.host);
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
        let fault = refusal(&to.key_env, status, &opened.origin, &text, &headers);
        Err(Refused { status: Some(status), said: text, fault, charged: false })
    }
}

/// The value of a header that is told to nobody.
fn kept_back(to: &Endpoint, text: &str) -> Result<HeaderValue, Fault> {
    let mut value = HeaderValue::from_str(text).map_err(|_| {
        Fault::new(FaultKind::Key, format!("the key in {} holds characters that no key has", to.key_env))
    })?;
    value.set_sensitive(true);
    Ok(value)
}

/// A request whose body is signed; what is sent is what was signed, byte by byte.
fn signed(to: &Endpoint, url: &Url, request: RequestBuilder, json: &Value) -> Result<RequestBuilder, Fault> {
    let body = json.to_string().into_bytes();
    let headers = to.signer.iter().flat_map(|signer| signer.headers(url, &body, jiff::Timestamp::now()));
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
            Fault { message: fault.message.replacen(&to.host, &self.origin, 1), ..fault }
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
    let fault = Fault::new(FaultKind::Provider, format!("{} {why}", to.host)).detail(&said).transient();
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_key_may_begin_with_is_held_back() {
        let env = |name: &str| (name == "K").then(|| "sk-proj-aé/b".to_owned());
        let to = Endpoint::find(&env, "", "https://example.org", "K").expect("an endpoint");
        let held = |text: &str| text.len() - to.settled(text);
        assert_eq!(held("a word and another"), 0);
        assert_eq!(held("a task"), "sk".len(), "the key may follow");
        assert_eq!(held("a task that"), 0);
        assert_eq!(held("ask sk-proj-a"), "sk-proj-a".len());
        assert_eq!(held("ask sk-proj-aé"), "sk-proj-aé".len());
        assert_eq!(held("ask sk-proj-aé\\"), "sk-proj-aé\\".len(), "with `/` as some write it in JSON");
        assert_eq!(held("ask sk-proj-aé/b"), 0, "a whole key is redacted");
        assert_eq!(held("ask sk-proj-b"), 0);
        // Whatever the pieces, what is told joins to what would be told of the whole.
        let whole = "ssk-proj-aé/bsk-proj-aé/b and sk-proj-a, sk-sk-proj-a\u{e9}%C3, c2stcHJvai1hw6kvYg==".to_owned();
        let chars: Vec<char> = whole.chars().collect();
        for size in 1..9 {
            let (mut said, mut come, mut told) = (String::new(), String::new(), 0);
            for piece in chars.chunks(size) {
                come.extend(piece);
                let settled = to.settled(&come[told..]);
                said.push_str(&to.redact(&come[told..told + settled]));
                told += settled;
            }
            said.push_str(&to.redact(&come[told..]));
            assert_eq!(said, to.redact(&whole), "pieces of {size}");
        }
    }

    #[test]
    fn a_missing_key_is_named_and_may_be_missing_for_an_own_server() {
        let nothing = |_: &str| None;
        let fault = Endpoint::find(&nothing, "OPENAI_BASE_URL", "https://api.openai.com/v1", "OPENAI_API_KEY")
            .err()
            .expect("no key");
        assert!(fault.message.contains("OPENAI_API_KEY"));
        let own = |name: &str| (name == "OPENAI_BASE_URL").then(|| "http://127.0.0.1:8080/v1".to_owned());
        assert!(Endpoint::find(&own, "OPENAI_BASE_URL", "https://api.openai.com/v1", "OPENAI_API_KEY").is_ok());
        for wrong in ["file:///etc/passwd", "nonsense", "http://user:pass@host/v1"] {
            let env = |_: &str| Some(wrong.to_owned());
            assert!(Endpoint::find(&env, "U", "", "K").is_err(), "{wrong}");
        }
    }
}
