//! The language server in a page: the page writes a message of the protocol into a buffer and reads the answers from it. There is no
//! second implementation: the module is `murakkab::lsp::Session` behind five functions.
//!
//! Page and module share nothing but the buffer, and only between calls: `room` makes it large enough and says where it lies, the page
//! fills it, a call takes it and leaves its answer there with the answer's length as its result.

#![expect(
    unsafe_code,
    reason = "names and imports of a WebAssembly module are declared with it; nothing else here is unsafe"
)]

use murakkab::compile::{Texts, anywhere};
use murakkab::diag::source::FileId;
use murakkab::lsp::{Session, Setup, files::Files};
use murakkab::space::Machines;
use serde_json::Value;
use std::cell::RefCell;

/// How long the plans of a text may take, in milliseconds: a worker that plans answers nothing meanwhile.
const LIMIT: f64 = 6_000.0;

#[link(wasm_import_module = "page")]
unsafe extern "C" {
    /// Milliseconds since some moment. The module has no clock of its own.
    safe fn now() -> f64;
}

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    static SESSION: RefCell<Option<Session>> = const { RefCell::new(None) };
}

/// The library's texts have an address, so that a definition can lead there; the page shows them.
struct Embedded;

impl Files for Embedded {
    fn library(&self, texts: &Texts, file: FileId) -> Option<String> {
        Some(format!("library:/{}", texts.sources.get(file).name))
    }
}

/// Makes the buffer as long as a message, and says where it lies until the next call.
#[unsafe(no_mangle)]
pub extern "C" fn room(length: usize) -> *mut u8 {
    BUFFER.with_borrow_mut(|buffer| {
        buffer.clear();
        buffer.resize(length, 0);
        buffer.as_mut_ptr()
    })
}

/// Where the answer lies until the next call.
#[unsafe(no_mangle)]
pub extern "C" fn answer() -> *const u8 {
    BUFFER.with_borrow(|buffer| buffer.as_ptr())
}

/// Starts a server that plans for a cluster of the library, whose name is in the buffer. Answers with the names of all clusters.
#[unsafe(no_mangle)]
pub extern "C" fn start() -> usize {
    std::panic::set_hook(Box::new(|fault| {
        leave(fault.to_string().into_bytes());
    }));
    let default = BUFFER.with_borrow(|buffer| String::from_utf8_lossy(buffer).into_owned());
    let setup = Setup {
        machines: Box::new(move |name, library| {
            let name = name.unwrap_or(&default);
            library.clusters.get(name).map(Machines::of).ok_or_else(|| format!("there is no cluster `{name}`"))
        }),
        reports: |_| true,
        usable: |_| anywhere,
        files: Box::new(Embedded),
    };
    let session = Session::new(setup, Texts::with_stdlib());
    let clusters: Vec<Value> = session.clusters().map(Value::from).collect();
    SESSION.set(Some(session));
    leave(Value::from(clusters).to_string().into_bytes())
}

/// Takes the message in the buffer; answers with a list of messages.
#[unsafe(no_mangle)]
pub extern "C" fn tell() -> usize {
    let message = BUFFER.with_borrow(|buffer| serde_json::from_slice(buffer)).unwrap_or(Value::Null);
    with(|session| session.tell(message))
}

/// Whether a text waits to be planned.
#[unsafe(no_mangle)]
pub extern "C" fn waits() -> bool {
    SESSION.with_borrow(|session| session.as_ref().is_some_and(Session::waits))
}

/// Plans what waits; answers with a list of messages.
#[unsafe(no_mangle)]
pub extern "C" fn plan() -> usize {
    let started = now();
    with(|session| session.plan(&|| now() - started > LIMIT))
}

fn with(take: impl FnOnce(&mut Session) -> Vec<String>) -> usize {
    let said = SESSION.with_borrow_mut(|session| session.as_mut().map(take).unwrap_or_default());
    leave(format!("[{}]", said.join(",")).into_bytes())
}

/// Leaves an answer in the buffer. A panic leaves its reason there, which may be while the buffer is held: then it is lost.
fn leave(text: Vec<u8>) -> usize {
    let length = text.len();
    BUFFER.with(|buffer| buffer.try_borrow_mut().map(|mut buffer| *buffer = text)).map_or(0, |()| length)
}
