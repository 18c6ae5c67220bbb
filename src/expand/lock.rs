//! The lock file: which fill each hole has, who filled it, and what it depends on. TOML, for people to review.

use serde::{Deserialize, Serialize};

/// The version of the lock file's format.
pub const LOCK_VERSION: u32 = 1;

/// A lock file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    /// [`LOCK_VERSION`].
    pub version: u32,
    /// One entry a hole, in the order of the source.
    #[serde(default, rename = "hole")]
    pub holes: Vec<Entry>,
}

impl Default for Lock {
    fn default() -> Lock {
        Lock { version: LOCK_VERSION, holes: Vec::new() }
    }
}

/// The fill of a hole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// The job.
    pub job: String,
    /// The hole: what its value is called, or `result`.
    pub hole: String,
    /// Its type.
    pub wants: String,
    /// What is wanted, in words.
    pub goal: String,
    /// Digest of the type, the goal and the scope.
    pub signature: String,
    /// Who filled it.
    pub filled_by: String,
    /// Why this fill.
    pub because: String,
    /// The fill, in the language: statements and a value.
    pub fill: String,
}

impl Lock {
    /// The entry of a hole.
    pub fn find(&self, job: &str, hole: &str) -> Option<&Entry> {
        self.holes.iter().find(|e| e.job == job && e.hole == hole)
    }

    /// Reads a lock file.
    pub fn read(text: &str) -> Result<Lock, String> {
        let lock: Lock = toml::from_str(text).map_err(|e| e.message().to_string())?;
        if lock.version != LOCK_VERSION {
            return Err(format!("it has version {}, and this mkbc reads version {LOCK_VERSION}", lock.version));
        }
        Ok(lock)
    }

    /// Writes a lock file; the same lock gives the same bytes.
    pub fn write(&self) -> Result<String, String> {
        let text = toml::to_string_pretty(self).map_err(|e| e.to_string())?;
        Ok(format!(
            "# The fills of this job's holes. Review it, commit it; `mkbc expand --refresh` makes it anew.\n{text}"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_reads_what_it_writes() {
        let entry = Entry {
            job: "j".into(),
            hole: "result".into(),
            wants: "Text".into(),
            goal: "say \"hi\"".into(),
            signature: "00".into(),
            filled_by: "typed search".into(),
            because: "it is the only one".into(),
            fill: "let a = f(x)\ng(a)\n".into(),
        };
        let lock = Lock { holes: vec![entry], ..Lock::default() };
        assert_eq!(Lock::read(&lock.write().expect("writes")), Ok(lock));
        assert!(Lock::read("version = 2").is_err());
    }
}
