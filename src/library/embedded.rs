//! The standard library, embedded in the binary.

use include_dir::{Dir, include_dir};

/// How the names of the standard library's files begin.
pub const STANDARD: &str = "std/";

static STDLIB: Dir = include_dir!("$CARGO_MANIFEST_DIR/stdlib");

/// The modules of the standard library: name and text, in order of name.
pub fn modules() -> Vec<(String, &'static str)> {
    let mut modules: Vec<(String, &'static str)> = STDLIB
        .files()
        .filter(|f| f.path().extension().is_some_and(|e| e == "mkb"))
        .filter_map(|f| Some((f.path().file_stem()?.to_str()?.to_string(), f.contents_utf8()?)))
        .collect();
    modules.sort();
    modules
}

/// The profiles of the standard library: file name and text, in order of name.
pub fn profiles() -> Vec<(String, &'static str)> {
    tables("profiles")
}

/// What `mkbc profile` measured of the standard library's tools: file name and text, in order of name.
pub fn measured() -> Vec<(String, &'static str)> {
    tables("measured")
}

/// The text of a file of the standard library by the name of its source (`std/profiles/whisper.csv`).
pub fn text(source: &str) -> Option<&'static str> {
    STDLIB.get_file(source.strip_prefix(STANDARD)?)?.contents_utf8()
}

fn tables(folder: &str) -> Vec<(String, &'static str)> {
    let files = STDLIB.get_dir(folder).into_iter().flat_map(|d| d.files());
    let mut profiles: Vec<(String, &'static str)> = files
        .filter(|f| f.path().extension().is_some_and(|e| e == "csv"))
        .filter_map(|f| Some((f.path().file_name()?.to_str()?.to_string(), f.contents_utf8()?)))
        .collect();
    profiles.sort();
    profiles
}

/// A script of the offline tools by its name: `{script.minilm}` in a tool's command is the file with this text.
pub fn script(name: &str) -> Option<&'static str> {
    STDLIB.get_file(format!("tools/{name}.py"))?.contents_utf8()
}
