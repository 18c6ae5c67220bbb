//! JSON text -> a named [`Fleet`], and back: the format of `docs/joint.md`.

use serde::{Deserialize, Serialize};

use super::instance::{by_options, told_apart};
use crate::solve::joint::problem::{Fleet, faults};

/// What the field `format` of a fleet says.
pub const FORMAT: &str = "murakkab-fleet";
/// The version of the format that is written, and the only one that is read.
pub const VERSION: u32 = 1;

/// A fleet with the name that results are listed under.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FleetFile {
    format: String,
    version: u32,
    /// The family with its seed, say.
    pub name: String,
    /// The fleet, without faults.
    pub fleet: Fleet,
}

impl FleetFile {
    /// Names a fleet.
    pub fn new(name: &str, fleet: Fleet) -> Self {
        FleetFile { format: FORMAT.to_owned(), version: VERSION, name: name.to_owned(), fleet }
    }

    /// Reads a fleet; the error says what is wrong with the text, without naming the file.
    pub fn read(text: &str) -> Result<Self, String> {
        told_apart(text, "a fleet", FORMAT, VERSION)?;
        let file: FleetFile = serde_json::from_str(text).map_err(|e| format!("is a broken fleet: {e}"))?;
        if file.name.chars().any(char::is_control) {
            return Err("is a malformed fleet: its name has control characters".to_owned());
        }
        faults(&file.fleet).map_err(|words| format!("is a malformed fleet: {words}"))?;
        Ok(file)
    }

    /// Writes the fleet, one option a line, so that two can be compared by lines.
    pub fn write(&self) -> String {
        by_options(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::joint_families::{Sharing, fleet};

    #[test]
    fn what_is_written_is_read_again() {
        let written = FleetFile::new("joint-3-dense-1", fleet(3, Sharing::Dense, 1));
        assert_eq!(FleetFile::read(&written.write()).as_ref(), Ok(&written));
    }

    #[test]
    fn other_texts_are_told_apart() {
        let good = FleetFile::new("two", fleet(2, Sharing::Sparse, 0)).write();
        for (text, wanted) in [
            ("hello".to_string(), "is no JSON object"),
            (good.replacen(FORMAT, "murakkab-instance", 1), "is no fleet"),
            (good.replacen("\"version\":1", "\"version\":2", 1), "is a fleet of another version"),
            (good.replacen("\"pools\"", "\"pool\"", 1), "is a broken fleet"),
            (good.replacen("\"name\":\"two\"", "\"name\":\"a\\u0007\"", 1), "control characters"),
        ] {
            let said = FleetFile::read(&text).expect_err("not a fleet");
            assert!(said.contains(wanted), "{said}");
        }
    }
}
