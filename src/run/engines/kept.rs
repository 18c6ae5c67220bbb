//! A run's folder -> what its calls keep between them: workers of Python modules and of models, sessions of MCP servers. All die with it.

use super::framed::Pool;
use super::mcp::Sessions;
use crate::run::fault::{Fault, FaultKind};
use std::path::{Path, PathBuf};

/// What outlives a call, and no run.
pub struct Kept {
    /// Workers of Python modules.
    pub python: Pool,
    /// Workers that loaded a model.
    pub models: Pool,
    /// Sessions of MCP servers.
    pub mcp: Sessions,
}

impl Kept {
    /// Nothing yet; processes start when they are first needed, in folders under the run's.
    pub fn new(run: &Path) -> Kept {
        let folder = run.join("kept");
        let pool = |name: &str| Pool::new(folder.join(name));
        Kept { python: pool("python"), models: pool("models"), mcp: Sessions::new(folder.join("mcp")) }
    }
}

/// A file that a library brings along, by its path relative to the first of some folders that has it; absolute.
pub fn find(name: &str, folders: &[PathBuf]) -> Option<PathBuf> {
    let candidates = folders.iter().map(|folder| folder.join(name));
    candidates.filter(|path| path.is_file()).find_map(|path| std::path::absolute(path).ok())
}

/// The fault that such a file is nowhere.
pub fn not_found(name: &str, folders: &[PathBuf]) -> Fault {
    let shown = |folder: &PathBuf| {
        if folder.as_os_str().is_empty() { "`.`".to_owned() } else { format!("`{}`", folder.display()) }
    };
    let looked: Vec<String> = folders.iter().map(shown).collect();
    Fault::new(FaultKind::Program, format!("there is no file `{name}` in {}", looked.join(", ")))
        .help("a relative path is looked for beside the job and in each `--library` folder")
}
