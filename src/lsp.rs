//! The language server: messages of the protocol in, messages of the protocol out. What it says comes from [`crate::ide`].
//!
//! [`Server`] has no threads, pipes or files of its own. `mkbc lsp` (`stdio.rs`) gives it those of a process: one thread owns the
//! documents and answers in the order of the messages; one reads, one writes, one plans. A page that has a loop of its own keeps a
//! [`Session`].

mod capabilities;
mod convert;
#[cfg(not(target_family = "wasm"))]
pub mod disk;
pub mod document;
pub mod files;
mod requests;
mod semantic;
mod session;
mod shelf;
#[cfg(not(target_family = "wasm"))]
mod stdio;
pub mod wire;
#[cfg(not(target_family = "wasm"))]
mod worker;
mod workspace;

pub use session::Session;
#[cfg(not(target_family = "wasm"))]
pub use stdio::{converse, serve};

use crate::compile::{Base, Near, Texts};
use crate::ide::planning::{MachinesOf, Memory, Planner, Plans, Usability, plans};
use crate::ide::{Analysis, Beside, analyse_after};
use crate::space::Machines;
use document::{Document, Encoding};
use files::Files;
use gen_lsp_types::TextDocumentContentChangeEvent;
use lsp_server::{ErrorCode, Message, Notification, Request};
use serde::Serialize;
use serde_json::{Value, json};
use shelf::Shelf;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// What the server is started with; whatever reads files or looks at this machine is handed in.
pub struct Setup {
    /// The machines of a cluster's name, or of a job that names none.
    pub machines: Box<MachinesOf>,
    /// Whether what clashes on these machines is to be reported.
    pub reports: fn(&Machines) -> bool,
    /// What can be used on machines.
    pub usable: fn(&Machines) -> Usability,
    /// What lies beside documents.
    pub files: Box<dyn Files>,
}

impl Setup {
    /// Plans a text; `stop` is asked between jobs and while the solver looks.
    fn plans(&self, base: &mut Base, memory: &mut Memory, text: &Wanted, stop: &(dyn Fn() -> bool + Sync)) -> Plans {
        let planner = Planner {
            machines: self.machines.as_ref(),
            reports: &|machines| (self.reports)(machines),
            usable: &|machines| (self.usable)(machines),
            stop,
        };
        let table = |name: &str| self.files.table(&text.uri, name);
        let trace = |name: &str| self.files.trace(&text.uri, name);
        let beside = Beside { near: Near { table: &table, load: &trace }, lock: self.files.lock(&text.uri) };
        memory.since(&text.uri, text.saved);
        plans(base, &text.uri, text.text.clone(), beside, &planner, memory)
    }
}

/// A text to be planned.
pub(crate) struct Wanted {
    /// The document.
    pub uri: String,
    /// Its version.
    pub version: i64,
    /// The document's newest version.
    pub newest: Arc<AtomicI64>,
    /// The text.
    pub text: Arc<str>,
    /// How often the document has been saved.
    pub saved: u64,
    /// The texts of the library that it builds on.
    pub library: Arc<Texts>,
}

impl Wanted {
    /// Whether the document has changed since.
    fn stale(&self) -> bool {
        self.newest.load(Ordering::Relaxed) != self.version
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    New,
    Running,
    ShutDown,
}

/// What the client can do.
#[derive(Default)]
struct Client {
    refreshes_hints: bool,
    refreshes_lenses: bool,
    snippets: bool,
    /// Whether it opens the page behind a diagnostic's code.
    links_codes: bool,
    /// Whether it tells of files that change, where it is asked to.
    watches: bool,
    /// The client's commands that lenses may name.
    commands: Vec<String>,
}

/// A notification of ours.
#[derive(Serialize)]
struct Note<P> {
    jsonrpc: &'static str,
    method: &'static str,
    params: P,
}

/// The diagnostics of a version of a document, or of a file that is not open.
#[derive(Serialize)]
struct Published<'a> {
    uri: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<i64>,
    diagnostics: Vec<convert::Problem<'a>>,
}

/// An error for a request: the code and the message.
type Refusal = (ErrorCode, String);

/// A server for one client. What it sends and what it wants planned goes where its owner says.
pub(crate) struct Server {
    /// The library of the document that is asked about, and those of others.
    shelf: Shelf,
    shelves: Vec<Shelf>,
    setup: Arc<Setup>,
    documents: BTreeMap<String, Document>,
    /// The folders that the client has open, by their addresses.
    folders: Vec<String>,
    /// The files whose texts may be others than the library has.
    touched: BTreeSet<String>,
    /// Whether there may be something new to say of files of libraries, and those of which something was said last.
    untold: bool,
    told: BTreeSet<String>,
    encoding: Encoding,
    client: Client,
    state: State,
    out: Box<dyn Fn(String)>,
    want: Box<dyn Fn(Wanted)>,
    next_id: i32,
}

impl Server {
    fn new(texts: Arc<Texts>, setup: Arc<Setup>, out: Box<dyn Fn(String)>, want: Box<dyn Fn(Wanted)>) -> Server {
        Server {
            shelf: Shelf::new(setup.files.libraries(""), texts),
            shelves: Vec::new(),
            setup,
            documents: BTreeMap::new(),
            folders: Vec::new(),
            touched: BTreeSet::new(),
            untold: false,
            told: BTreeSet::new(),
            encoding: Encoding::Utf16,
            client: Client::default(),
            state: State::New,
            out,
            want,
            next_id: 0,
        }
    }

    /// Takes a message; breaks at `exit`, with whether the client said `shutdown` before. A request that was taken back is refused.
    fn take(&mut self, frame: wire::Frame, cancelled: bool) -> ControlFlow<bool> {
        match frame {
            wire::Frame::End => return ControlFlow::Break(self.state == State::ShutDown),
            wire::Frame::Fault(why, id) => {
                let code = if id.is_some() { ErrorCode::InvalidRequest } else { ErrorCode::ParseError };
                self.send(json!({"id": id, "error": {"code": code as i32, "message": why}}));
            }
            wire::Frame::Message(Message::Request(request)) => self.request(request, cancelled),
            wire::Frame::Message(Message::Notification(note)) => {
                if note.method == "exit" {
                    return ControlFlow::Break(self.state == State::ShutDown);
                }
                let method = note.method.clone();
                if let Err(why) = guarded(|| self.notification(note)) {
                    self.log(&format!("`{method}`: {why}"));
                }
            }
            wire::Frame::Message(Message::Response(_)) => {}
        }
        ControlFlow::Continue(())
    }

    fn send(&self, mut message: Value) {
        message["jsonrpc"] = "2.0".into();
        (self.out)(message.to_string());
    }

    fn notify(&self, method: &'static str, params: impl Serialize) {
        let message = Note { jsonrpc: "2.0", method, params };
        // Nothing that is sent can fail to be written as JSON.
        serde_json::to_string(&message).into_iter().for_each(|text| (self.out)(text));
    }

    fn log(&self, text: &str) {
        self.notify("window/logMessage", json!({"type": 2, "message": text}));
    }

    fn request(&mut self, request: Request, cancelled: bool) {
        let Request { id, method, params } = request;
        let answer = match (self.state, method.as_str()) {
            _ if cancelled => Err((ErrorCode::RequestCanceled, "cancelled".to_string())),
            (State::New, "initialize") => Ok(self.initialize(&params)),
            (State::New, _) => Err((ErrorCode::ServerNotInitialized, "`initialize` comes first".to_string())),
            (State::ShutDown, _) => Err((ErrorCode::InvalidRequest, "the server is shut down".to_string())),
            (State::Running, "initialize") => {
                Err((ErrorCode::InvalidRequest, "`initialize` comes only once".to_string()))
            }
            (State::Running, "shutdown") => {
                self.state = State::ShutDown;
                Ok(Value::Null)
            }
            (State::Running, method) => match guarded(|| self.answer(method, &params)) {
                Ok(answer) => answer,
                Err(why) => Err((ErrorCode::InternalError, format!("a fault of mkbc in `{method}`: {why}"))),
            },
        };
        self.send(match answer {
            Ok(result) => json!({"id": id, "result": result}),
            Err((code, message)) => json!({"id": id, "error": {"code": code as i32, "message": message}}),
        });
    }

    fn initialize(&mut self, params: &Value) -> Value {
        self.state = State::Running;
        let can = |path: &str| params["capabilities"].pointer(path).and_then(Value::as_bool).unwrap_or(false);
        self.client = Client {
            refreshes_hints: can("/workspace/inlayHint/refreshSupport"),
            refreshes_lenses: can("/workspace/codeLens/refreshSupport"),
            snippets: can("/textDocument/completion/completionItem/snippetSupport"),
            links_codes: can("/textDocument/publishDiagnostics/codeDescriptionSupport"),
            watches: can("/workspace/didChangeWatchedFiles/dynamicRegistration"),
            commands: params["initializationOptions"]["commands"]
                .as_array()
                .map(|list| list.iter().filter_map(|c| c.as_str().map(str::to_string)).collect())
                .unwrap_or_default(),
        };
        let folders = params["workspaceFolders"].as_array();
        let folders = folders.map(|list| list.iter().filter_map(|f| f["uri"].as_str()).map(str::to_string).collect());
        self.folders = folders.unwrap_or_else(|| params["rootUri"].as_str().map(str::to_string).into_iter().collect());
        let offered = params["capabilities"]["general"]["positionEncodings"].as_array();
        if offered.is_some_and(|list| list.iter().any(|e| e == "utf-8")) {
            self.encoding = Encoding::Utf8;
        }
        capabilities::answer(self.encoding)
    }

    fn notification(&mut self, note: Notification) {
        if self.state != State::Running {
            return;
        }
        let params = note.params;
        let Some(uri) = params["textDocument"]["uri"].as_str().map(str::to_string) else {
            return self.of_the_workspace(&note.method, &params);
        };
        self.touched.insert(uri.clone());
        self.untold |= matches!(note.method.as_str(), "textDocument/didOpen" | "textDocument/didClose");
        let version = params["textDocument"]["version"].as_i64().unwrap_or(0);
        match note.method.as_str() {
            "textDocument/didOpen" => {
                let text = params["textDocument"]["text"].as_str().unwrap_or_default();
                self.documents.insert(uri, Document::new(text, version));
            }
            "textDocument/didChange" => {
                let Some(document) = self.documents.get_mut(&uri) else {
                    return self.log(&format!("a change of `{uri}`, which is not open"));
                };
                let changes =
                    serde_json::from_value::<Vec<TextDocumentContentChangeEvent>>(params["contentChanges"].clone());
                let Ok(changes) = changes else { return self.log("a change that cannot be read") };
                for change in &changes {
                    match change {
                        TextDocumentContentChangeEvent::TextDocumentContentChangePartial(part) => {
                            document.change(Some(&part.range), &part.text, self.encoding);
                        }
                        TextDocumentContentChangeEvent::TextDocumentContentChangeWholeDocument(whole) => {
                            document.change(None, &whole.text, self.encoding);
                        }
                    }
                }
                document.changed(version);
            }
            "textDocument/didSave" => {
                // The lock file and tables beside it may be others now.
                if let Some(document) = self.documents.get_mut(&uri) {
                    let version = document.version;
                    document.saved += 1;
                    document.changed(version);
                }
            }
            "textDocument/didClose" => {
                if let Some(document) = self.documents.remove(&uri) {
                    document.newest.store(i64::MIN, std::sync::atomic::Ordering::Relaxed);
                    self.notify("textDocument/publishDiagnostics", json!({"uri": uri, "diagnostics": []}));
                }
            }
            _ => {}
        }
    }

    /// A request of ours; its answer says nothing that is needed.
    fn ask(&mut self, method: &str, params: Value) {
        self.next_id += 1;
        let mut request = json!({"id": format!("mkbc-{}", self.next_id), "method": method});
        if !params.is_null() {
            request["params"] = params;
        }
        self.send(request);
    }

    /// What the check says of a document's text.
    fn analysis(&mut self, uri: &str) -> Option<Rc<Analysis>> {
        self.settle();
        self.turn_to(uri);
        let document = self.documents.get_mut(uri)?;
        if let Some(known) = &document.analysis {
            return Some(known.clone());
        }
        let files = &self.setup.files;
        let trace = |name: &str| files.trace(uri, name);
        let beside =
            Beside { near: Near { table: &|name| files.table(uri, name), load: &trace }, lock: files.lock(uri) };
        let before = document.before.take().and_then(Rc::into_inner);
        let analysis = Rc::new(analyse_after(&mut self.shelf.base, uri, document.lines.text.clone(), beside, before));
        document.analysis = Some(analysis.clone());
        Some(analysis)
    }

    /// Publishes what changed since the last time, and asks for plans of it.
    fn publish_all(&mut self) {
        self.settle();
        let changed: Vec<String> =
            self.documents.iter().filter(|(_, d)| d.unpublished).map(|(uri, _)| uri.clone()).collect();
        for uri in changed {
            let checked = guarded(|| self.analysis(&uri));
            let Some(document) = self.documents.get_mut(&uri) else { continue };
            document.unpublished = false;
            match checked {
                Ok(_) => {
                    (self.want)(Wanted {
                        uri: uri.clone(),
                        version: document.version,
                        newest: document.newest.clone(),
                        text: document.lines.text.clone(),
                        saved: document.saved,
                        library: self.shelf.texts.clone(),
                    });
                    self.publish(&uri);
                }
                Err(why) => self.log(&format!("a fault of mkbc in the check: {why}")),
            }
        }
        self.tell_faults();
    }

    fn publish(&mut self, uri: &str) {
        let Some(document) = self.documents.get(uri) else { return };
        let Some(analysis) = &document.analysis else { return };
        let plans = document.current_plans();
        let planned = plans.iter().flat_map(|p| &p.diagnostics).map(|d| (d, "mkbc plan"));
        let all = analysis.diagnostics.iter().map(|d| (d, "mkbc")).chain(planned);
        let diagnostics = all.map(|(d, source)| self.diagnostic(uri, d, source)).collect();
        let published = Published { uri, version: Some(document.version), diagnostics };
        self.notify("textDocument/publishDiagnostics", published);
    }

    /// Takes a plan, unless the text has changed since.
    fn planned(&mut self, uri: &str, version: i64, plans: Plans) {
        let Some(document) = self.documents.get_mut(uri).filter(|d| d.version == version) else { return };
        let news =
            !plans.diagnostics.is_empty() || document.plans.as_ref().is_some_and(|(_, p)| !p.diagnostics.is_empty());
        document.plans = Some((version, Rc::new(plans)));
        if news && !document.unpublished {
            self.turn_to(uri);
            self.publish(uri);
        }
        let refreshes = [
            (self.client.refreshes_hints, "workspace/inlayHint/refresh"),
            (self.client.refreshes_lenses, "workspace/codeLens/refresh"),
        ];
        for (_, method) in refreshes.into_iter().filter(|(can, _)| *can) {
            self.ask(method, Value::Null);
        }
    }
}

/// Runs something whose panic must lose nothing else; the reason where it panics.
fn guarded<T>(run: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(run)).map_err(|panic| {
        let text = panic.downcast_ref::<&str>().map(|s| s.to_string());
        text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "a panic".to_string())
    })
}

#[cfg(test)]
mod tests {
    use super::guarded;

    #[test]
    fn a_panic_has_a_reason_and_ends_nothing() {
        assert_eq!(guarded(|| if true { panic!("line {}", 3) } else { 1 }), Err("line 3".to_string()));
        assert_eq!(guarded(|| 1), Ok(1));
    }
}
