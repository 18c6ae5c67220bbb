//! A call of an MCP server's tool -> its typed result; refused where the tool's schema is no longer the pinned one.
//!
//! What a server says is data: the descriptions that it gives now are never shown to a model, its answer is cut to the declared type and checked.

pub mod pin;
pub mod session;
mod sse;
pub mod transport;

use super::typed::conform;
use super::{Args, Call};
use crate::plan::model::McpServer;
use crate::run::fault::{Fault, FaultKind, head};
use crate::run::preflight::absent;
use crate::run::probe::Env;
use crate::run::store;
use crate::types::Type;
use rmcp::model::{CallToolResult, ContentBlock};
use serde_json::{Map, Value};
use session::Session;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;

/// A tool of a server, as a plan names it.
pub struct Tool<'a> {
    /// Its name there.
    pub name: &'a str,
    /// The pinned digest.
    pub schema: &'a str,
    /// Parameters whose names there are other than here.
    pub names: &'a BTreeMap<String, String>,
    /// Parameters that are sent as null where they are left out.
    pub nulls: &'a [String],
    /// The field of the structured answer that is the result; empty for the whole.
    pub answer: &'a str,
}

/// Servers that a run has started or connected to; each is shared by all calls of it.
pub struct Sessions {
    folder: PathBuf,
    open: RefCell<BTreeMap<McpServer, Rc<tokio::sync::OnceCell<Rc<Session>>>>>,
    started: Cell<u32>,
}

impl Sessions {
    /// None yet; servers work in folders under this one.
    pub fn new(folder: PathBuf) -> Sessions {
        Sessions { folder, open: RefCell::default(), started: Cell::new(0) }
    }

    /// The session of a server, which is opened by whoever asks first.
    async fn of(&self, server: &McpServer, call: &Call<'_>) -> Result<Rc<Session>, Fault> {
        let cell = self.open.borrow_mut().entry(server.clone()).or_default().clone();
        let opened = cell.get_or_try_init(|| async {
            let number = self.started.get();
            self.started.set(number + 1);
            let folder = self.folder.join(format!("server-{number}"));
            store::folder(&folder)?;
            Session::open(server, &folder, &call.cx.folders, call.cx.env, session::START).await.map(Rc::new)
        });
        opened.await.cloned()
    }

    /// Forgets a session, so that the next call opens another; calls under way in it fail when its server is gone.
    fn drop_session(&self, server: &McpServer, session: &Rc<Session>) {
        let mut open = self.open.borrow_mut();
        if open.get(server).and_then(|cell| cell.get()).is_some_and(|current| Rc::ptr_eq(current, session)) {
            open.remove(server);
        }
        session.kill();
    }
}

/// Ends a session whose call was given up: a server that hangs must not keep the ones after it waiting.
struct Watched<'a> {
    sessions: &'a Sessions,
    server: &'a McpServer,
    session: Rc<Session>,
    done: bool,
}

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        if !self.done {
            self.sessions.drop_session(self.server, &self.session);
        }
    }
}

/// Opens the session that a call needs, where it is not open yet: how long a server takes to start is not the call's time.
pub async fn opened(call: &Call<'_>, server: &McpServer) -> Result<(), Fault> {
    call.kept.mcp.of(server, call).await.map(drop)
}

/// One attempt of a call.
pub async fn call(call: &Call<'_>, server: &McpServer, tool: &Tool<'_>) -> Result<Value, Fault> {
    let sessions = &call.kept.mcp;
    let session = sessions.of(server, call).await?;
    let mut watched = Watched { sessions, server, session: session.clone(), done: false };
    let answer = async {
        let found = session.digest(tool.name).await?;
        pinned(found.as_deref(), tool, session.name())?;
        session.call(tool.name, arguments(&call.args, tool)).await
    };
    let answer = answer.await;
    // A fault of the session itself ends it: the server may be gone, or in the middle of a sentence.
    watched.done = !matches!(&answer, Err(fault) if fault.kind == FaultKind::Provider);
    drop(watched);
    read(answer?, &call.step.output, tool, session.name())
}

/// Refuses a tool that is gone, or that is no longer what was imported.
fn pinned(found: Option<&str>, tool: &Tool<'_>, server: &str) -> Result<(), Fault> {
    match found {
        Some(found) if found == tool.schema => Ok(()),
        Some(found) => {
            let message =
                format!("the tool `{}` of {server} is not the one that was imported: its schema changed", tool.name);
            Err(Fault::new(FaultKind::Answer, message)
                .detail(&format!("pinned {}, found {found}", tool.schema))
                .help("see what changed with `mkbc import mcp … --check`, and import it again if it is right"))
        }
        None => Err(Fault::new(FaultKind::Answer, format!("{server} has no tool `{}` any more", tool.name))
            .help("import the server again (`mkbc import mcp …`)")),
    }
}

/// The arguments by the server's names; those that were left out are not sent, but where the server wants a null.
fn arguments(args: &Args, tool: &Tool<'_>) -> Map<String, Value> {
    let sent = args.iter().filter(|(name, value)| !value.is_null() || tool.nulls.contains(name));
    sent.map(|(name, value)| (tool.names.get(name).unwrap_or(name).clone(), value.as_ref().clone())).collect()
}

fn read(answer: CallToolResult, ty: &Type, tool: &Tool<'_>, server: &str) -> Result<Value, Fault> {
    let texts = || {
        let texts = answer.content.iter().filter_map(|block| match block {
            ContentBlock::Text(text) => Some(text.text.as_str()),
            _ => None,
        });
        texts.collect::<Vec<_>>().join("\n")
    };
    if answer.is_error == Some(true) {
        let message = format!("the tool `{}` of {server} failed", tool.name);
        return Err(Fault::new(FaultKind::Process, message).detail(head(&texts(), 2000)).transient());
    }
    let unusable = |why: String| Fault::new(FaultKind::Answer, format!("the tool `{}` of {server} {why}", tool.name));
    let value = match (&answer.structured_content, ty) {
        (Some(Value::Object(object)), _) if !tool.answer.is_empty() => {
            let field = object.get(tool.answer).cloned();
            field.ok_or_else(|| unusable(format!("answered without the field `{}`", tool.answer)))?
        }
        (Some(value), ty) if *ty != Type::Text || value.is_string() => value.clone(),
        (_, Type::Text) => match answer.content.iter().find(|b| !matches!(b, ContentBlock::Text(_))) {
            None => Value::String(texts()),
            Some(_) => {
                return Err(unusable("answered with more than text, and its result is Text".into())
                    .help("declare the result as Json, which holds all that it answers"));
            }
        },
        (_, Type::Json) => serde_json::to_value(&answer.content).unwrap_or_default(),
        // Servers of the older era put structure into text.
        (_, _) => serde_json::from_str(&texts())
            .map_err(|_| unusable(format!("answered without structure, and its result is {ty}")))?,
    };
    Ok(conform(value, ty))
}

/// What a server lacks on this machine.
pub fn lacks(server: &McpServer, env: Env<'_>) -> Vec<Fault> {
    let unset = |name: &&String| env(name).is_none_or(|v| v.is_empty());
    let missing = |name: &String| {
        Fault::new(FaultKind::Key, format!("the environment variable {name} is not set"))
            .help(format!("export {name}=…"))
    };
    let mut found: Vec<Fault> = server.env.iter().filter(unset).map(missing).collect();
    match server.command.first() {
        Some(program) => found.extend(absent(program, env)),
        None => {
            let address = super::openai::endpoint::Endpoint::find(env, &server.url_env, &server.url, &server.key_env);
            found.extend(address.err());
        }
    }
    found
}
