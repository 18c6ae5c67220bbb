//! Vectors of texts by all-MiniLM-L6-v2, where it is installed on this machine (docs/tools.md).

use crate::cli::here::usable_here;
use crate::library::Library;
use crate::profile::{Subject, call};
use crate::run::observer::Silent;
use crate::run::{RunContext, block_on};
use crate::space::Candidate;
use serde_json::json;
use std::collections::BTreeMap;

/// What carries it out: it needs no network, and gives the same vectors on every machine of a kind.
const EMBEDDER: &str = "minilm";
const EMBED: &str = "embed";

/// Why there are no vectors on this machine; nothing where there are.
pub fn lacking(library: &Library) -> Option<String> {
    match library.implementations.get(EMBEDDER) {
        None => Some(format!("the library has no `{EMBEDDER}`")),
        Some(entry) => usable_here(entry).err(),
    }
}

/// The vectors of texts; `None` where there are none to be had.
pub fn vectors(library: &Library, texts: &[String]) -> Option<Vec<Vec<f32>>> {
    let entry = library.implementations.get(EMBEDDER).filter(|entry| usable_here(entry).is_ok())?;
    let subject = Subject { entry, task: library.tasks.get(EMBED)? };
    let setting = Candidate {
        task: EMBED.into(),
        implementation: EMBEDDER.into(),
        knobs: Vec::new(),
        device: "cpu".into(),
        units: 1,
        class: 0,
    };
    let plan = call::plan(subject, &setting);
    let folder = tempfile::tempdir().ok()?;
    let env = |name: &str| std::env::var(name).ok();
    let cx = RunContext::new(folder.path().join("run"), &Silent, &env);
    let inputs = BTreeMap::from([("texts".to_string(), json!(texts))]);
    let report = block_on(crate::run::run(&plan, inputs, &cx)).ok()?;
    serde_json::from_value(report.result.ok()?).ok()
}
