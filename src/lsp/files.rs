//! What a server wants of the files around a document. Without an implementation of its own, a place has none.

use crate::compile::Texts;
use crate::diag::source::FileId;
use crate::expand::lock::Lock;
use crate::library::Load;
use std::path::PathBuf;

/// The files around documents, by the documents' addresses.
pub trait Files: Send + Sync {
    /// The text of a table of quality beside a document.
    fn table(&self, _uri: &str, _name: &str) -> Option<String> {
        None
    }

    /// What a trace of arrivals beside a document says.
    fn trace(&self, _uri: &str, _name: &str) -> Option<Load> {
        None
    }

    /// The lock file beside a document, or why it cannot be read.
    fn lock(&self, _uri: &str) -> Option<Result<Lock, String>> {
        None
    }

    /// The address of the first of these names that is a file, relative to a document.
    fn beside(&self, _uri: &str, _names: &[String]) -> Option<String> {
        None
    }

    /// The text of a file.
    fn text(&self, _uri: &str) -> Option<String> {
        None
    }

    /// Whether two addresses are the same file's.
    fn same(&self, uri: &str, other: &str) -> bool {
        uri == other
    }

    /// The `.mkb` files in folders: addresses and texts, in order.
    fn inside(&self, _folders: &[String]) -> Vec<(String, String)> {
        Vec::new()
    }

    /// The folders that the library of a document has beside the standard one; of an empty address, those that every document has.
    fn libraries(&self, _uri: &str) -> Vec<PathBuf> {
        Vec::new()
    }

    /// The texts of the library of such folders, or why they cannot be read.
    fn load(&self, _folders: &[PathBuf]) -> Result<Texts, String> {
        Ok(Texts::with_stdlib())
    }

    /// Whether a file is, or would be, one of a library's of such folders.
    fn within(&self, _folders: &[PathBuf], _uri: &str) -> bool {
        false
    }

    /// The address where an editor can open the page of a diagnostic's code.
    fn page(&self, _code: &'static str, _page: &str) -> Option<String> {
        None
    }

    /// The address where an editor can open a text of the library.
    fn library(&self, _texts: &Texts, _file: FileId) -> Option<String> {
        None
    }
}
