//! A runtime that works on a run -> how long it has, in a file of the run folder, once a second: of one that is killed, the time counts up to its
//! end, and not only up to its last record.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The file's name in the run folder.
const NAME: &str = "run.alive";
/// How often it is written.
pub const BEAT: Duration = Duration::from_secs(1);

/// The sign of life of one runtime.
#[derive(Debug)]
pub struct Alive {
    path: PathBuf,
    /// Made when there is something to say.
    file: Option<File>,
    fence: u64,
    begun: Instant,
    last: Instant,
}

impl Alive {
    /// Of the runtime with this fence, from now on.
    pub fn new(folder: &Path, fence: u64) -> Alive {
        let now = Instant::now();
        Alive { path: folder.join(NAME), file: None, fence, begun: now, last: now }
    }

    /// Says how long the runtime has worked, where it did not say so within the last second.
    pub fn beat(&mut self) {
        if self.last.elapsed() < BEAT {
            return;
        }
        self.last = Instant::now();
        let text = line(self.fence, self.begun.elapsed());
        let open = || OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&self.path).ok();
        self.file = self.file.take().or_else(open);
        // In one piece and of one length, so that nobody reads half of it. Where it cannot be written, records alone tell the time.
        let _ = self.file.as_ref().map(|file| file.write_all_at(text.as_bytes(), 0));
    }
}

fn line(fence: u64, worked: Duration) -> String {
    format!("{fence:020} {:020}\n", worked.as_millis())
}

/// Seconds that the runtime with this fence has worked on the run in a folder, as far as it said so.
pub fn seconds(folder: &Path, fence: u64) -> f64 {
    let text = std::fs::read_to_string(folder.join(NAME)).unwrap_or_default();
    let said =
        text.trim().split_once(' ').and_then(|(by, ms)| Some((by.parse::<u64>().ok()?, ms.parse::<u64>().ok()?)));
    said.filter(|(by, _)| *by == fence).map_or(0.0, |(_, ms)| ms as f64 / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_another_runtime_said_or_nobody_can_read_counts_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        assert_eq!(seconds(folder.path(), 1), 0.0);
        std::fs::write(folder.path().join(NAME), line(3, Duration::from_millis(2500))).expect("a file");
        assert_eq!((seconds(folder.path(), 3), seconds(folder.path(), 2)), (2.5, 0.0));
        std::fs::write(folder.path().join(NAME), "3").expect("a file");
        assert_eq!(seconds(folder.path(), 3), 0.0);
    }
}
