//! The Python package, which is part of this program -> files that an interpreter can import.

use crate::run::fault::Fault;
use crate::run::store;
use std::path::Path;

const FILES: [(&str, &str); 6] = [
    ("__init__.py", include_str!("../../../../python/murakkab/__init__.py")),
    ("client.py", include_str!("../../../../python/murakkab/client.py")),
    ("hints.py", include_str!("../../../../python/murakkab/hints.py")),
    ("service.py", include_str!("../../../../python/murakkab/service.py")),
    ("stub.py", include_str!("../../../../python/murakkab/stub.py")),
    ("worker.py", include_str!("../../../../python/murakkab/worker.py")),
];

/// Writes the package `murakkab` into a folder, once.
pub fn write(folder: &Path) -> Result<(), Fault> {
    let package = folder.join("murakkab");
    if package.join(FILES[FILES.len() - 1].0).exists() {
        return Ok(());
    }
    store::folder(&package)?;
    FILES.iter().try_for_each(|(name, text)| store::write(&package.join(name), text.as_bytes()))
}
