//! A server for a host that has a loop of its own, as a page has: a message in, the messages that it leads to out. What is to be
//! planned waits until the host has time.

use super::{Server, Setup, Wanted, guarded, wire};
use crate::compile::Texts;
use crate::ide::planning::Memory;
use serde_json::Value;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

/// A server and what it has said.
pub struct Session {
    server: Server,
    said: Rc<RefCell<Vec<String>>>,
    wanted: Rc<RefCell<BTreeMap<String, Wanted>>>,
    memory: Memory,
}

impl Session {
    /// A session in which nothing was said yet.
    pub fn new(setup: Setup, texts: Texts) -> Session {
        let said: Rc<RefCell<Vec<String>>> = Rc::default();
        let wanted: Rc<RefCell<BTreeMap<String, Wanted>>> = Rc::default();
        let (out, want) = (said.clone(), wanted.clone());
        let say = move |message| out.borrow_mut().push(message);
        let want = move |text: Wanted| drop(want.borrow_mut().insert(text.uri.clone(), text));
        let server = Server::new(Arc::new(texts), Arc::new(setup), Box::new(say), Box::new(want));
        Session { server, said, wanted, memory: Memory::default() }
    }

    /// The names of the clusters that the library knows, in order.
    pub fn clusters(&self) -> impl Iterator<Item = &str> {
        self.server.shelf.base.library().clusters.keys().map(|name| name.as_str())
    }

    /// Takes a message and returns the JSON of what the server sends after it, diagnostics included.
    pub fn tell(&mut self, message: Value) -> Vec<String> {
        // A session ends with its host: `exit` changes nothing.
        let _ = self.server.take(wire::frame(message), false);
        self.server.publish_all();
        self.said.take()
    }

    /// Whether a text waits to be planned.
    pub fn waits(&self) -> bool {
        !self.wanted.borrow().is_empty()
    }

    /// Plans what waits, until it is done or `stop` says so, and returns what the server sends then.
    pub fn plan(&mut self, stop: &(dyn Fn() -> bool + Sync)) -> Vec<String> {
        for (uri, text) in self.wanted.take() {
            if text.stale() {
                continue;
            }
            let (setup, base, memory) = (self.server.setup.clone(), &mut self.server.shelf.base, &mut self.memory);
            if let Ok(plans) = guarded(|| setup.plans(base, memory, &text, stop)) {
                self.server.planned(&uri, text.version, plans);
            }
        }
        self.said.take()
    }
}
