//! Runs ↔ a file of one JSON line a run, written through before the next run begins.

use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// A line longer than this is none of ours.
const LONGEST: usize = 64 << 10;

/// What one run took.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// Digest of what was run: the engine as lowered, the setting, the sample's files, the machine. A run with another key counts for nothing.
    pub key: String,
    /// The setting, for people.
    pub setting: String,
    /// The sample.
    pub sample: String,
    /// Whether it was the first one, which fills caches and is not counted.
    pub warm_up: bool,
    /// When, as an ISO date.
    pub date: String,
    /// Wall time of the call (of the round), seconds.
    pub seconds: f64,
    /// The most memory of one call, gigabytes.
    pub memory_gb: Option<f64>,
    /// Energy by a counter, joules.
    pub joules: Option<f64>,
    /// Mean number of processes that wanted a core over the minute before, this one included; none where the system does not say.
    pub load: Option<f64>,
    /// Tokens that a provider says it read.
    pub tokens_in: u64,
    /// Tokens that it says it wrote.
    pub tokens_out: u64,
    /// Tokens among those read that it had from a cache.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub tokens_cached: u64,
    /// Processor time that we and the programs of the call spent, seconds; none where a server did the work, or in records of earlier
    /// versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub processor_s: Option<f64>,
    /// Seconds until the first token of an answer, the mean of a round; none where a call took more than one request, where nobody says it,
    /// or in records of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttft_s: Option<f64>,
    /// Digest of what was run, but for the sample: runs of all samples with the same one tell together what a call takes. Empty in records of
    /// earlier versions.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub of: String,
    /// The work of the sample, by dimension.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub work: Vec<(String, f64)>,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl Run {
    fn is_sane(&self) -> bool {
        let good = |x: f64| x.is_finite() && x >= 0.0;
        good(self.seconds)
            && self.seconds > 0.0
            && self.memory_gb.is_none_or(good)
            && self.joules.is_none_or(good)
            && self.processor_s.is_none_or(good)
            && self.ttft_s.is_none_or(|first| good(first) && first <= self.seconds)
    }
}

/// The record of an implementation's runs.
pub struct Record {
    file: File,
    /// Where it is, if it was begun here.
    begun: Option<PathBuf>,
    /// All runs so far, oldest first.
    pub runs: Vec<Run>,
}

impl Record {
    /// Opens a record, or begins one. A last line that a kill cut off is dropped; any other line that is no run is an error that names
    /// it, since somebody's measurements may be in there.
    pub fn open(path: &Path) -> Result<Record, String> {
        let shown = path.display();
        let failed = |e: io::Error| format!("cannot open the record `{shown}`: {e}");
        let (text, begun) = match std::fs::read(path) {
            Ok(bytes) => (bytes, None),
            Err(e) if e.kind() == io::ErrorKind::NotFound => (Vec::new(), Some(path.to_path_buf())),
            Err(e) => return Err(failed(e)),
        };
        let whole = text.iter().rposition(|b| *b == b'\n').map_or(0, |i| i + 1);
        let mut runs = Vec::new();
        for (number, line) in text[..whole].split(|b| *b == b'\n').enumerate().filter(|(_, l)| !l.is_empty()) {
            let run = (line.len() <= LONGEST).then(|| serde_json::from_slice::<Run>(line).ok()).flatten();
            match run.filter(Run::is_sane) {
                Some(run) => runs.push(run),
                None => {
                    let help = "remove the line, or measure anew with `--fresh`";
                    return Err(format!("`{shown}`, line {}: this is no run\n  help: {help}", number + 1));
                }
            }
        }
        let file = OpenOptions::new().create(true).append(true).open(path).map_err(failed)?;
        if whole < text.len() {
            file.set_len(whole as u64).map_err(failed)?;
        }
        Ok(Record { file, begun, runs })
    }

    /// Adds a run; it is on disk when this returns.
    pub fn add(&mut self, run: Run) -> Result<(), String> {
        let failed = |e: io::Error| format!("cannot write the record: {e}");
        let mut line = serde_json::to_vec(&run).map_err(|e| failed(e.into()))?;
        line.push(b'\n');
        self.file.write_all(&line).map_err(failed)?;
        self.file.sync_data().map_err(failed)?;
        self.runs.push(run);
        Ok(())
    }
}

/// A record that was begun for nothing is not left behind; another process may have written to it since.
impl Drop for Record {
    fn drop(&mut self) {
        let empty = self.file.metadata().is_ok_and(|about| about.len() == 0);
        if let Some(path) = self.begun.as_ref().filter(|_| empty) {
            let _ = std::fs::remove_file(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(sample: &str, seconds: f64) -> Run {
        Run {
            key: "k".into(),
            setting: "cpu * 1".into(),
            sample: sample.into(),
            warm_up: false,
            date: "2026-11-24".into(),
            seconds,
            memory_gb: Some(0.1),
            joules: None,
            load: None,
            tokens_in: 0,
            tokens_out: 0,
            tokens_cached: 0,
            processor_s: None,
            ttft_s: None,
            of: String::new(),
            work: Vec::new(),
        }
    }

    #[test]
    fn a_record_without_runs_is_not_left_behind() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("x.runs.jsonl");
        drop(Record::open(&path).expect("a new record"));
        assert!(!path.exists());
    }

    #[test]
    fn a_line_that_was_cut_off_is_dropped_and_the_rest_kept() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("x.runs.jsonl");
        let mut record = Record::open(&path).expect("a new record");
        record.add(run("a", 1.5)).expect("written");
        record.add(run("b", 2.5)).expect("written");
        let text = std::fs::read(&path).expect("a file");
        std::fs::write(&path, &text[..text.len() - 7]).expect("written");
        let mut record = Record::open(&path).expect("the record");
        assert_eq!(record.runs, [run("a", 1.5)]);
        record.add(run("c", 3.5)).expect("written");
        assert_eq!(Record::open(&path).expect("the record").runs, [run("a", 1.5), run("c", 3.5)]);
    }

    #[test]
    fn what_is_no_run_is_named_and_nothing_is_lost() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("x.runs.jsonl");
        let wrong = [
            "{\"seconds\": 1}\n",
            "nonsense\n",
            "{\"key\":\"k\",\"setting\":\"\",\"sample\":\"\",\"warm_up\":false,\"date\":\"\",\"seconds\":-1.0,\"memory_gb\":null,\"joules\":null,\"load\":null,\"tokens_in\":0,\"tokens_out\":0}\n",
        ];
        for line in wrong {
            std::fs::write(&path, line).expect("written");
            let error = Record::open(&path).err().expect("no run");
            assert!(error.contains("line 1: this is no run"), "{error}");
            assert_eq!(std::fs::read_to_string(&path).expect("kept"), line);
        }
    }
}
