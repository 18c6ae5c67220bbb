//! A step → what a worker is told of it once: the step itself, what its calls hold, and the Python files that carry it out.

use super::needs;
use super::worker::{Definition, Modules};
use crate::digest::hex;
use crate::ir::workflow::StepId;
use crate::plan::model::{Engine, PlanStep};
use crate::run::engines::kept::{find, not_found};
use crate::run::fault::{Fault, FaultKind};
use sha2::{Digest, Sha256};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// Bytes of Python that go along with a step.
const MOST_TEXT: usize = 4 << 20;

/// A step as workers are told it.
pub struct Defined {
    /// Its name there: a digest.
    pub name: String,
    /// What a call holds.
    pub needs: BTreeMap<String, f64>,
    /// A [`Definition`] as JSON.
    pub text: Vec<u8>,
}

/// The steps of a run that were told, and may be told again to another driver.
#[derive(Default)]
pub struct Steps(RefCell<BTreeMap<StepId, Vec<Told>>>);

/// A step as it was when it was told; in a run that adapts, its place may be taken by another.
type Told = (PlanStep, Rc<Defined>);

impl Steps {
    /// A step as workers are told it; `folders` is where its Python files are looked for.
    pub fn defined(&self, step: &PlanStep, folders: &[PathBuf]) -> Result<Rc<Defined>, Fault> {
        let mut all = self.0.borrow_mut();
        let told = all.entry(step.id).or_default();
        if let Some((_, defined)) = told.iter().find(|(known, _)| known == step) {
            return Ok(defined.clone());
        }
        let definition = Definition::of(step, modules(&step.engine, folders)?);
        let text = serde_json::to_vec(&definition).map_err(|e| Fault::plan(e.to_string()))?;
        let name = hex(&Sha256::digest(&text)[..12]);
        let needs = needs(&step.hardware).into_iter().map(|(name, units)| (name.to_owned(), units)).collect();
        let defined = Rc::new(Defined { name, needs, text });
        told.push((step.clone(), defined.clone()));
        Ok(defined)
    }
}

/// The text of the module of a step in Python, by its name there, with those of the Python files beside it, which it may import.
fn modules(engine: &Engine, folders: &[PathBuf]) -> Result<Option<Modules>, Fault> {
    let Engine::Python { module, .. } = engine else { return Ok(None) };
    let path = find(module, folders).ok_or_else(|| not_found(module, folders))?;
    let folder = path.parent().unwrap_or(Path::new("."));
    let entries = std::fs::read_dir(folder).map_err(|e| Fault::storage("read the folder", folder, &e))?;
    let mut texts = BTreeMap::new();
    for file in entries.filter_map(Result::ok).map(|entry| entry.path()) {
        if file.extension().is_none_or(|e| e != "py") || !file.is_file() {
            continue;
        }
        let text = std::fs::read_to_string(&file).map_err(|e| Fault::storage("read", &file, &e))?;
        texts.insert(file.file_name().unwrap_or_default().to_string_lossy().into_owned(), text);
    }
    let size: usize = texts.values().map(String::len).sum();
    if size > MOST_TEXT {
        let (size, most) = (size >> 20, MOST_TEXT >> 20);
        let message = format!("the Python files beside `{module}` have {size} MB, and {most} MB go along to Ray");
        return Err(Fault::new(FaultKind::Unsupported, message).help("put the tool into a folder of its own"));
    }
    // Modules of one name in several folders are several modules.
    let all = texts.iter().flat_map(|(name, text)| [name.as_bytes(), b"\0", text.as_bytes(), b"\0"]).flatten();
    let within = hex(&Sha256::digest(all.copied().collect::<Vec<u8>>())[..8]);
    let there = |name: &str| format!("{within}/{name}");
    let module = there(&path.file_name().unwrap_or_default().to_string_lossy());
    Ok(Some(Modules { module, texts: texts.into_iter().map(|(name, text)| (there(&name), text)).collect() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn python(module: &str) -> Engine {
        Engine::Python { module: module.into(), function: "f".into(), interpreter: "python3".into(), together: 0 }
    }

    #[test]
    fn a_module_brings_its_neighbours_along_and_nothing_else() {
        let folder = tempfile::tempdir().expect("a folder");
        let here = [folder.path().join("library")];
        for name in ["tools", "library"] {
            std::fs::create_dir(folder.path().join(name)).expect("a folder");
        }
        for (name, text) in [("tools/a.py", "import b"), ("tools/b.py", "x = 1"), ("tools/c.txt", "no"), ("d.py", "")] {
            std::fs::write(folder.path().join(name), text).expect("a file");
        }
        let found = modules(&python("../tools/a.py"), &here).expect("readable").expect("a module");
        let within = found.module.strip_suffix("/a.py").expect("the module").to_owned();
        let texts: Vec<_> = found.texts.into_iter().collect();
        let there = |name: &str, text: &str| (format!("{within}/{name}"), text.to_owned());
        assert_eq!(texts, [there("a.py", "import b"), there("b.py", "x = 1")]);
        let fault = modules(&python("../tools/e.py"), &here).expect_err("it is not there");
        assert!(fault.message.contains("there is no file `../tools/e.py`"), "{}", fault.message);
        std::fs::write(folder.path().join("tools/f.py"), "#".repeat(MOST_TEXT)).expect("a file");
        let fault = modules(&python("../tools/a.py"), &here).expect_err("too much");
        assert!(fault.message.contains("go along to Ray"), "{}", fault.message);
    }
}
