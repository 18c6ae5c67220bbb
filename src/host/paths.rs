//! Names of files on the service's machine ↔ names of the same files here.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Which file is which.
#[derive(Clone, Debug)]
pub struct Paths {
    /// The run's folder there, and here.
    there: PathBuf,
    here: PathBuf,
    /// Files that the inputs name: as there, as here.
    inputs: BTreeMap<String, String>,
}

impl Paths {
    /// Of a run with these folders, and no inputs yet.
    pub fn new(there: &Path, here: &Path) -> Paths {
        Paths { there: there.to_path_buf(), here: here.to_path_buf(), inputs: BTreeMap::new() }
    }

    /// An input's file is called so here.
    pub fn input(&mut self, there: &str, here: &Path) {
        self.inputs.insert(there.to_owned(), here.to_string_lossy().into_owned());
    }

    /// Whether a file lies in the run's folder there.
    pub fn is_within(&self, there: &str) -> bool {
        Path::new(there).starts_with(&self.there)
    }

    /// Where a file of the service's machine is here. One that is no file of the run keeps its name.
    pub fn here(&self, there: &str) -> String {
        self.inputs.get(there).cloned().unwrap_or_else(|| moved(there, &self.there, &self.here))
    }

    /// What a file of this machine is called there; none where it is no file of the run's folder.
    pub fn sent(&self, here: &str) -> Option<String> {
        let path = Path::new(here);
        (path.starts_with(&self.here) && path != self.here).then(|| moved(here, &self.here, &self.there))
    }

    /// What a file of this machine is called there.
    pub fn there(&self, here: &str) -> String {
        let input = self.inputs.iter().find(|(_, name)| *name == here).map(|(there, _)| there.clone());
        input.unwrap_or_else(|| moved(here, &self.here, &self.there))
    }
}

/// A path below one folder as one below another.
fn moved(path: &str, from: &Path, to: &Path) -> String {
    match Path::new(path).strip_prefix(from) {
        Ok(rest) if !rest.as_os_str().is_empty() => to.join(rest).to_string_lossy().into_owned(),
        _ => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_comes_back_as_it_was() {
        let mut paths = Paths::new(Path::new("/srv/runs/3"), Path::new("/tmp/w/3"));
        paths.input("/srv/blobs/ab", Path::new("/tmp/w/in/0/ab"));
        for there in ["/srv/runs/3/steps/a.png", "/srv/blobs/ab", "/usr/share/x", "/srv/runs/33/a"] {
            assert_eq!(paths.there(&paths.here(there)), there);
        }
        assert_eq!(paths.here("/srv/runs/3/a/b"), "/tmp/w/3/a/b");
        assert_eq!(paths.sent("/tmp/w/3/a"), Some("/srv/runs/3/a".to_owned()));
        assert_eq!((paths.sent("/etc/passwd"), paths.sent("/tmp/w/3")), (None, None));
    }
}
