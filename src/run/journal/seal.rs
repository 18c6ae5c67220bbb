//! A finished call -> a line in its folder that vouches for its output, so that a journal that was lost or cut off does not lose a call that
//! cost something.

use super::record::{CallId, checksum};
use crate::digest::digest;
use crate::run::fault::{Fault, FaultKind};
use crate::run::meter::Usage;
use crate::run::store;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

const NAME: &str = "call.json";

/// What is vouched for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seal {
    /// The run.
    pub run: u64,
    /// The call.
    pub call: CallId,
    /// Digest of its arguments.
    pub input: String,
    /// Digest of its value, as JSON without spaces.
    pub value: String,
    /// What it used.
    pub usage: Usage,
    /// Seconds that it took.
    pub wall_s: f64,
}

#[derive(Serialize, Deserialize)]
struct Sealed {
    seal: String,
    crc: u32,
}

impl Seal {
    /// Writes it into the folder of the call, whose output is there already.
    pub fn write(&self, folder: &Path) -> Result<(), Fault> {
        let text = serde_json::to_string(self).map_err(|e| Fault::new(FaultKind::Storage, e.to_string()))?;
        let crc = checksum(self.run, self.call.number, text.as_bytes());
        let sealed = serde_json::to_string(&Sealed { seal: text, crc });
        let sealed = sealed.map_err(|e| Fault::new(FaultKind::Storage, e.to_string()))?;
        store::write(&folder.join(NAME), sealed.as_bytes())
    }

    /// Reads it with the value, if both are what was written.
    pub fn read(folder: &Path) -> Option<(Seal, Value)> {
        let sealed: Sealed = serde_json::from_slice(&std::fs::read(folder.join(NAME)).ok()?).ok()?;
        let seal: Seal = serde_json::from_str(&sealed.seal).ok()?;
        let value: Value = serde_json::from_slice(&std::fs::read(folder.join(store::OUTPUT)).ok()?).ok()?;
        let whole = checksum(seal.run, seal.call.number, sealed.seal.as_bytes()) == sealed.crc;
        (whole && value_digest(&value) == seal.value).then_some((seal, value))
    }
}

/// The digest of a value.
pub fn value_digest(value: &Value) -> String {
    digest([value.to_string().as_str()])
}

/// Every call of a run whose folder vouches for it, by path; and the highest folder number of each step's folder.
pub fn found(run: u64, folder: &Path) -> (BTreeMap<String, (Seal, Value)>, BTreeMap<u32, u64>) {
    let (mut seals, mut numbers) = (BTreeMap::new(), BTreeMap::new());
    for step in std::fs::read_dir(folder.join("steps")).into_iter().flatten().flatten() {
        let name = step.file_name().to_string_lossy().into_owned();
        let id = name.split_once('-').and_then(|(id, _)| id.parse::<u32>().ok());
        for call in std::fs::read_dir(step.path()).into_iter().flatten().flatten() {
            let number = call.file_name().to_str().and_then(|n| n.parse::<u64>().ok());
            if let (Some(id), Some(number)) = (id, number) {
                let most: &mut u64 = numbers.entry(id).or_default();
                *most = (*most).max(number);
            }
            if let Some((seal, value)) = Seal::read(&call.path()).filter(|(seal, _)| seal.run == run) {
                seals.entry(seal.call.path.clone()).or_insert((seal, value));
            }
        }
    }
    (seals, numbers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::workflow::StepId;
    use serde_json::json;

    #[test]
    fn only_what_was_written_is_vouched_for() {
        let run = tempfile::tempdir().expect("a folder");
        let folder = run.path().join("steps/03-s/0002");
        store::folder(&folder).expect("a folder");
        let value = json!({"x": 0.1});
        let call = CallId { path: "v1".into(), step: StepId(3), number: 2 };
        let (usage, input) = (Usage::default(), "i".to_owned());
        let seal = Seal { run: 4, call, input, value: value_digest(&value), usage, wall_s: 1.0 };
        seal.write(&folder).expect("written");
        assert_eq!(Seal::read(&folder), None, "there is no output");
        store::write(&folder.join(store::OUTPUT), format!("{value:#}\n").as_bytes()).expect("written");
        assert_eq!(found(4, run.path()).0.get("v1"), Some(&(seal, value)));
        assert_eq!(found(4, run.path()).1, BTreeMap::from([(3, 2)]));
        assert!(found(5, run.path()).0.is_empty(), "another run's");
        store::write(&folder.join(store::OUTPUT), b"{\"x\": 0.2}").expect("written");
        assert_eq!(Seal::read(&folder), None, "the output was changed");
    }
}
