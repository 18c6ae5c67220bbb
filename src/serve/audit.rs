//! Who did what -> a line of JSON behind the others, in a file that is only appended to. No token and no input is in it.

use crate::run::fault::Fault;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What is noted of a request that was refused. Anybody can make such requests, and nobody may fill the disk with them.
pub const REFUSE: &str = "refuse";
/// Refusals that are noted one by one in a while; those beyond are counted, and how many they were is a line of its own.
const REFUSALS: u32 = 120;
const WHILE: Duration = Duration::from_secs(60);

/// The audit log of a service.
#[derive(Debug)]
pub struct Audit(Mutex<Log>);

#[derive(Debug)]
struct Log {
    file: File,
    /// Since when refusals are counted, and how many were noted since.
    since: Instant,
    noted: u32,
    /// Those beyond, by what they were refused for.
    beyond: BTreeMap<String, u64>,
}

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
        let file = file.map_err(|e| Fault::storage("open", &path, &e))?;
        Ok(Audit(Mutex::new(Log { file, since: Instant::now(), noted: 0, beyond: BTreeMap::new() })))
    }

    /// Appends a line. One that cannot be written stops nothing: the disk that is full says so elsewhere.
    pub fn note(&self, act: Act<'_>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).note(act);
    }
}

impl Drop for Audit {
    fn drop(&mut self) {
        self.0.get_mut().unwrap_or_else(PoisonError::into_inner).summarise();
    }
}

impl Log {
    fn note(&mut self, act: Act<'_>) {
        if self.since.elapsed() >= WHILE {
            self.summarise();
        }
        if act.what == REFUSE {
            if self.noted >= REFUSALS {
                *self.beyond.entry(act.note.to_owned()).or_default() += 1;
                return;
            }
            self.noted += 1;
        }
        self.write(act);
    }

    /// Says how many refusals were not noted one by one, and begins to count anew.
    fn summarise(&mut self) {
        let beyond = std::mem::take(&mut self.beyond);
        (self.since, self.noted) = (Instant::now(), 0);
        if !beyond.is_empty() {
            let counts: Vec<String> = beyond.iter().map(|(why, count)| format!("{count} {why}")).collect();
            let note = format!("more were refused: {}", counts.join(", "));
            self.write(Act { what: REFUSE, tenant: None, from: None, run: None, note: &note });
        }
    }

    fn write(&mut self, act: Act<'_>) {
        let Act { what, tenant, from, run, note } = act;
        let at = jiff::Timestamp::now().to_string();
        let mut line = json!({"at": at, "what": what, "tenant": tenant, "from": from.map(|ip| ip.to_string())});
        if let Some(run) = run {
            line["run"] = run.into();
        }
        if !note.is_empty() {
            line["note"] = Value::from(note);
        }
        let _ = self.file.write_all(format!("{line}\n").as_bytes());
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
    #[test]
    fn whoever_is_refused_again_and_again_does_not_fill_the_disk() {
        let folder = tempfile::tempdir().expect("a folder");
        let audit = Audit::open(folder.path()).expect("a log");
        let act = |what, note| Act { what, tenant: None, from: None, run: None, note };
        for _ in 0..1_000 {
            audit.note(act(REFUSE, "no_token"));
            audit.note(act(REFUSE, "bad_host"));
        }
        audit.note(act("submit", ""));
        drop(audit);
        let text = std::fs::read_to_string(folder.path().join("audit.log")).expect("a log");
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), REFUSALS as usize + 2, "what is done is noted all the same");
        assert!(lines[REFUSALS as usize].contains("submit"), "{}", lines[REFUSALS as usize]);
        assert!(lines[REFUSALS as usize + 1].contains("more were refused: 940 bad_host, 940 no_token"), "{text}");
    }
}
