//! Documents whose pages are pictures: which of those that were named are, and which tasks cannot read them.

use super::things::Input;
use crate::library::Library;
use crate::run::block_on;
use crate::run::probe::holds_text;
use crate::types::Type;
use ecow::EcoString;

/// What reads the text of a PDF, as engines say it (`read pdftotext`).
const READER: &str = "pdftotext";

/// The documents that hold no text; one that cannot be looked into is taken to hold some.
pub fn pictures(inputs: &[Input]) -> Vec<String> {
    let env = |name: &str| std::env::var(name).ok();
    let documents =
        inputs.iter().filter(|input| input.ty == Type::Document || input.ty == Type::List(Type::Document.into()));
    let without = |file: &&String| block_on(holds_text(file, &env)).is_ok_and(|holds| holds == Some(false));
    documents.flat_map(|input| &input.values).filter(without).cloned().collect()
}

/// The tasks that nothing but a reader of text carries out.
pub fn readers_of_text(library: &Library) -> Vec<EcoString> {
    let reads = |task: &EcoString| {
        let mut carriers = library.implementations.values().filter(|i| i.tasks.contains(task)).peekable();
        let text = |engine: Option<&crate::library::Engine>| engine.and_then(|e| e.text("read")) == Some(READER);
        carriers.peek().is_some() && carriers.all(|i| text(i.engine.as_ref()))
    };
    library.tasks.keys().filter(|task| reads(task)).cloned().collect()
}
