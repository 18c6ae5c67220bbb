//! A server of the Model Context Protocol -> its tools and their answers, over standard input and output, streamable HTTP, or HTTP as it was
//! before that.
//!
//! The protocol, its two eras and what they negotiate are `rmcp`'s; the process, the bounds and the deadlines are ours.

use super::sse::Events;
use super::transport::{Bounded, Said, client, listen};
use super::{lacks, pin};
use crate::plan::model::McpServer;
use crate::run::engines::child::{Command, Group, Limits, prepared, unstarted};
use crate::run::engines::kept::find;
use crate::run::engines::openai::endpoint::Endpoint;
use crate::run::fault::{Fault, FaultKind, head, tail};
use crate::run::probe::Env;
use rmcp::model::{
    CallToolRequestParams, CallToolResult, ClientCapabilities, ClientConfig, Implementation, PaginatedRequestParams,
    ProtocolVersion, Tool,
};
use rmcp::service::{
    ClientInitializeError, ClientLifecycleMode, ClientServiceExt, NotificationContext, RunningService, ServiceError,
};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use rmcp::{ClientHandler, RoleClient};
use serde_json::{Map, Value};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Bytes of one message.
const MOST: usize = 16 << 20;
/// Tools of one server, and pages that list them.
const MOST_TOOLS: usize = 2_000;
const MOST_PAGES: usize = 200;
/// How long a server may take to start and to say what it is, if nobody says otherwise.
pub const START: Duration = Duration::from_secs(60);
/// How long it may take for a page of its list.
const PAGE: Duration = Duration::from_secs(30);

/// Our side: asks for nothing, offers nothing, and notes when the list of tools changed.
#[derive(Clone)]
struct Client(Arc<AtomicBool>);

impl ClientHandler for Client {
    async fn on_tool_list_changed(&self, _: NotificationContext<RoleClient>) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn get_info(&self) -> ClientConfig {
        ClientConfig::new(ClientCapabilities::default(), Implementation::new("mkbc", env!("CARGO_PKG_VERSION")))
    }
}

/// A connection to a server.
pub struct Session {
    service: RunningService<RoleClient, Client>,
    /// The process, where we started it: killed with everything it started, when the session is dropped.
    process: RefCell<Option<Group>>,
    said: Said,
    name: String,
    stale: Arc<AtomicBool>,
    digests: tokio::sync::Mutex<Option<BTreeMap<String, String>>>,
    _child: Option<tokio::process::Child>,
}

impl Session {
    /// Connects to a server, or starts it in a folder of its own.
    pub async fn open(
        server: &McpServer,
        folder: &Path,
        folders: &[PathBuf],
        env: Env<'_>,
        most: Duration,
    ) -> Result<Session, Fault> {
        if let Some(fault) = lacks(server, env).into_iter().next() {
            return Err(fault);
        }
        let opened = async {
            if server.command.is_empty() {
                return Session::connect(server, env).await;
            }
            match Session::start(server, folder, folders, env, lifecycle()).await {
                // Some servers of the older era end at the first word that they do not know.
                Err(fault) if fault.kind == FaultKind::Provider => {
                    let older = ClientLifecycleMode::Initialize;
                    Session::start(server, folder, folders, env, older).await.map_err(|_| fault)
                }
                opened => opened,
            }
        };
        let late = || {
            let message = format!("{} did not say what it is within {} s", named(server), most.as_secs_f64());
            Fault::new(FaultKind::Timeout, message).transient()
        };
        tokio::time::timeout(most, opened).await.map_err(|_| late())?
    }

    async fn start(
        server: &McpServer,
        folder: &Path,
        folders: &[PathBuf],
        env: Env<'_>,
        lifecycle: ClientLifecycleMode,
    ) -> Result<Session, Fault> {
        let name = named(server);
        // A file that the library brings along is given by its full path: the server works elsewhere.
        let file = |word: &String| word.contains(['.', '/']).then(|| find(word, folders)).flatten();
        let own = |word: &String| file(word).map_or_else(|| word.clone(), |path| path.to_string_lossy().into_owned());
        let words: Vec<String> = server.command.iter().map(own).collect();
        let Some((program, arguments)) = words.split_first() else {
            return Err(Fault::plan("a server without a command"));
        };
        let command = Command { argv: &[], folder, env, threads: 1, limits: Limits::default() };
        let mut start = prepared(program, arguments, &command);
        start.envs(server.env.iter().filter_map(|n| Some((n, env(n)?))));
        start.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = start.spawn().map_err(|e| unstarted(program, &e))?;
        let group = Group::of(&child);
        let (Some(to), Some(from), Some(errors)) = (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(Fault::new(FaultKind::Process, format!("{name} has no pipes")));
        };
        let said = listen(errors);
        let stale = Arc::new(AtomicBool::new(false));
        let transport = (Bounded::new(from, MOST, said.clone()), to);
        let served = Client(stale.clone()).serve_with_lifecycle(transport, lifecycle).await;
        let service = match served {
            Ok(service) => service,
            Err(error) => {
                // What it wrote to standard error explains more than that it went.
                let _ = tokio::time::timeout(Duration::from_millis(300), child.wait()).await;
                return Err(unready(&name, &error, &said));
            }
        };
        let process = RefCell::new(Some(group));
        Ok(Session { service, process, said, name, stale, digests: Default::default(), _child: Some(child) })
    }

    async fn connect(server: &McpServer, env: Env<'_>) -> Result<Session, Fault> {
        let endpoint = Endpoint::find(env, &server.url_env, &server.url, &server.key_env)?;
        let name = format!("the MCP server {}", endpoint.host());
        let mut config = StreamableHttpClientTransportConfig::with_uri(endpoint.url.as_str());
        config.max_json_response_size = MOST;
        config.max_sse_event_size = MOST;
        config.auth_header = endpoint.key().map(str::to_owned);
        let http = client(endpoint.local())?;
        let transport = StreamableHttpClientTransport::with_client(http.clone(), config);
        let (said, stale) = (Said::default(), Arc::new(AtomicBool::new(false)));
        let served = Client(stale.clone()).serve_with_lifecycle(transport, lifecycle()).await;
        let service = match served {
            Ok(service) => service,
            Err(error) if error.is_authorization_required() => return Err(unready(&name, &error, &said)),
            Err(error) => {
                // A server of before streamable HTTP refuses what is posted here, and has a stream of events instead.
                let Ok(events) = Events::open(http, &endpoint, MOST).await else {
                    return Err(unready(&name, &error, &said));
                };
                let served = Client(stale.clone()).serve_with_lifecycle(events, ClientLifecycleMode::Initialize).await;
                served.map_err(|error| unready(&name, &error, &said))?
            }
        };
        let process = RefCell::new(None);
        Ok(Session { service, process, said, name, stale, digests: Default::default(), _child: None })
    }

    /// The server, for messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Ends the server.
    pub fn kill(&self) {
        self.service.cancellation_token().cancel();
        if let Some(mut group) = self.process.borrow_mut().take() {
            group.kill();
        }
    }

    /// All tools of the server, by name.
    pub async fn tools(&self) -> Result<Vec<Tool>, Fault> {
        let mut tools: Vec<Tool> = Vec::new();
        let mut cursor = None;
        for _ in 0..MOST_PAGES {
            let page = self.service.list_tools(Some(PaginatedRequestParams::default().with_cursor(cursor)));
            let page = tokio::time::timeout(PAGE, page).await.map_err(|_| {
                let message = format!("{} did not list its tools within {} s", self.name, PAGE.as_secs());
                Fault::new(FaultKind::Provider, message).transient()
            })?;
            let page = page.map_err(|e| self.broke(&e))?;
            tools.extend(page.tools);
            cursor = page.next_cursor;
            if cursor.is_none() || tools.len() > MOST_TOOLS {
                break;
            }
        }
        if cursor.is_some() || tools.len() > MOST_TOOLS {
            let message =
                format!("{} lists more than {MOST_TOOLS} tools, or on more than {MOST_PAGES} pages", self.name);
            return Err(Fault::new(FaultKind::Answer, message));
        }
        tools.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(tools)
    }

    /// The digest of a tool; listed once, and again when the server says that the list changed.
    pub async fn digest(&self, tool: &str) -> Result<Option<String>, Fault> {
        let mut digests = self.digests.lock().await;
        if self.stale.swap(false, Ordering::Relaxed) {
            *digests = None;
        }
        if let Some(known) = digests.as_ref() {
            return Ok(known.get(tool).cloned());
        }
        let listed = self.tools().await?;
        let known = digests.insert(listed.iter().map(|t| (t.name.to_string(), pin::digest(t))).collect());
        Ok(known.get(tool).cloned())
    }

    /// Calls a tool.
    pub async fn call(&self, tool: &str, arguments: Map<String, Value>) -> Result<CallToolResult, Fault> {
        let params = CallToolRequestParams::new(tool.to_owned()).with_arguments(arguments);
        self.service.call_tool(params).await.map_err(|e| self.broke(&e))
    }

    /// A fault of the protocol: [`FaultKind::Provider`] where the session is no use any more.
    fn broke(&self, error: &ServiceError) -> Fault {
        let fault = |kind, what: &str| Fault::new(kind, format!("{} {what}", self.name)).detail(&self.said.tail());
        match error {
            ServiceError::McpError(e) => {
                let said = format!("{} (code {})", head(&e.message, 1000), e.code.0);
                Fault::new(FaultKind::Answer, format!("{} refused the request", self.name)).detail(&said)
            }
            ServiceError::TransportClosed if self.said.too_long() => {
                fault(FaultKind::Provider, &format!("sent a message of more than {} MB", MOST >> 20))
            }
            ServiceError::TransportClosed | ServiceError::Cancelled { .. } => {
                fault(FaultKind::Provider, "went away without an answer").transient()
            }
            ServiceError::TransportSend(e) => {
                fault(FaultKind::Provider, &format!("cannot be reached: {}", cause(e.error.as_ref()))).transient()
            }
            ServiceError::UnexpectedResponse => fault(FaultKind::Answer, "answered something else than was asked"),
            other => fault(FaultKind::Answer, &format!("did not answer: {}", head(&other.to_string(), 500))),
        }
    }
}

/// First the era of 2026 (`server/discover`), then the older one (`initialize`).
fn lifecycle() -> ClientLifecycleMode {
    ClientLifecycleMode::Auto { preferred_versions: vec![ProtocolVersion::LATEST], legacy_version: None }
}

/// A server as messages name it: by its program or host, never by its arguments or address, which may hold a secret.
fn named(server: &McpServer) -> String {
    match server.command.first() {
        Some(program) => format!("the MCP server `{program}`"),
        None => {
            let url = reqwest::Url::parse(&server.url).ok();
            let host = url.as_ref().and_then(|u| u.host_str()).unwrap_or("at an address");
            format!("the MCP server {host}")
        }
    }
}

/// What lies at the bottom of an error: those above it tell the address, which may hold a secret.
fn cause(error: &(dyn std::error::Error + 'static)) -> String {
    let mut deepest = error;
    while let Some(inner) = deepest.source() {
        deepest = inner;
    }
    let text = deepest.to_string();
    let text = text.split(" for url").next().unwrap_or_default();
    head(text, 300).to_owned()
}

fn unready(name: &str, error: &ClientInitializeError, said: &Said) -> Fault {
    if said.too_long() {
        return Fault::new(FaultKind::Provider, format!("{name} sent a message of more than {} MB", MOST >> 20));
    }
    let why = match error {
        ClientInitializeError::ConnectionClosed(_) => "went away before it said what it is".to_owned(),
        e if e.is_authorization_required() => "wants a key, or does not take this one".to_owned(),
        ClientInitializeError::TransportError { error, .. } => {
            format!("cannot be reached: {}", cause(error.error.as_ref()))
        }
        ClientInitializeError::NoCompatibleProtocolVersion { .. } => {
            "speaks no version of the protocol that we do".to_owned()
        }
        other => format!("cannot be spoken to: {}", head(&other.to_string(), 500)),
    };
    let said = said.tail();
    let fault = Fault::new(FaultKind::Provider, format!("{name} {why}")).detail(tail(&said, 2000)).transient();
    if error.is_authorization_required() {
        let fault = Fault { transient: false, kind: FaultKind::Key, ..fault };
        return fault.help("name the variable that holds it: `key env NAME` (`--key-env NAME` when importing)");
    }
    fault
}
