//! Who did what -> a line of JSON behind the others, in a file that is only appended to. No token and no input is in it.

use crate::run::fault::Fault;
use serde_json::{Value, json};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// The audit log of a service.
#[derive(Debug)]
pub struct Audit(Mutex<File>);

/// Something that was done, or refused.
#[derive(Clone, Copy, Debug)]
pub struct Act<'a> {
    /// What: `submit`, `cancel`, `upload`, `sign_in`, `refuse`, `start`, `stop`; of hosts `host`, `host_lost`, `host_left`, `lease`, `lease_end`, `lease_lost`.
    pub what: &'a str,
    /// Who; nobody where it is not known.
    pub tenant: Option<&'a str>,
    /// From where.
    pub from: Option<IpAddr>,
    /// Which run.
    pub run: Option<u64>,
    /// More about it.
    pub note: &'a str,
}

impl Audit {
    /// The log in a folder.
    pub fn open(folder: &Path) -> Result<Audit, Fault> {
        let path = folder.join("audit.log");
        let file = OpenOptions::new().append(true).create(true).mode(0o600).open(&path);
        Ok(Audit(Mutex::new(file.map_err(|e| Fault::storage("open", &path, &e))?)))
    }

    /// Appends a line. One that cannot be written stops nothing: the disk that is full says so elsewhere.
    pub fn note(&self, act: Act<'_>) {
        let Act { what, tenant, from, run, note } = act;
        let at = jiff::Timestamp::now().to_string();
        let mut line = json!({"at": at, "what": what, "tenant": tenant, "from": from.map(|ip| ip.to_string())});
        if let Some(run) = run {
            line["run"] = run.into();
        }
        if !note.is_empty() {
            line["note"] = Value::from(note);
        }
        let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = file.write_all(format!("{line}\n").as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_writes_a_line_of_their_own() {
        let folder = tempfile::tempdir().expect("a folder");
        let audit = Audit::open(folder.path()).expect("a log");
        let note = "x\"}\n{\"what\": \"start\"}\r\u{1b}[2J\u{2028}";
        audit.note(Act { what: "refuse", tenant: None, from: None, run: None, note });
        let text = std::fs::read_to_string(folder.path().join("audit.log")).expect("a log");
        assert_eq!(text.matches('\n').count(), 1, "{text}");
        assert!(!text.contains(['\r', '\u{1b}']), "{text:?}");
        let line: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!((line["what"].as_str(), line["note"].as_str()), (Some("refuse"), Some(note)));
    }
}
