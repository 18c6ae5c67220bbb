//! The tables of the documentation that say which test shows what: each test that they name is there.

use crate::mkbc::repository;
use std::fs;
use std::path::Path;

/// The pages, each with how many tests it names at least.
const PAGES: [(&str, usize); 4] = [("toolchain.md", 40), ("lsp.md", 18), ("expansion.md", 20), ("reliability.md", 110)];
/// The column.
const COLUMN: &str = "shown by";

#[test]
fn every_test_that_a_page_names_is_there() {
    let mut sources = Vec::new();
    for folder in ["tests", "src"] {
        read(&repository().join(folder), &mut sources);
    }
    let function = |name: &str| sources.iter().any(|(_, text)| text.contains(&format!("fn {name}(")));
    let mut wrong = Vec::new();
    for (page, least) in PAGES {
        let text = fs::read_to_string(repository().join("docs").join(page)).expect("a page");
        let mut named = 0;
        for cell in cells(&text) {
            // A file is named in full, or after the folder of the one before it.
            let mut folder = "";
            for name in quoted(cell) {
                named += 1;
                let there = if name.contains(char::is_whitespace) {
                    // A command line.
                    true
                } else if let Some((module, name)) = name.rsplit_once("::") {
                    match name {
                        // All tests of a module.
                        "tests" | "…" => {
                            sources.iter().any(|(path, text)| is_module(path, module) && text.contains("test]"))
                        }
                        _ => sources.iter().any(|(path, text)| {
                            is_module(path, module) && text.contains(&format!("fn {name}("))
                                || is_module(path, &format!("{module}::{name}"))
                        }),
                    }
                } else if let Some((before, _)) = name.rsplit_once('/') {
                    folder = before;
                    repository().join(name).exists()
                } else if name.contains('.') {
                    !folder.is_empty() && repository().join(folder).join(name).exists()
                } else {
                    function(name)
                };
                if !there {
                    wrong.push(format!("{page}: there is no `{name}`"));
                }
            }
        }
        if named < least {
            wrong.push(format!("{page} names {named} tests, and {least} are expected at least"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The cells of every column of that name, in tables as Markdown has them.
fn cells(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut column = None;
    for line in text.lines() {
        let Some(row) = line.strip_prefix('|') else {
            column = None;
            continue;
        };
        let row: Vec<&str> = row.split('|').map(str::trim).collect();
        match column.or_else(|| row.iter().position(|cell| *cell == COLUMN)) {
            None => {}
            now if column.is_none() => column = now,
            Some(at) => found.extend(row.get(at).filter(|cell| !cell.starts_with("---"))),
        }
    }
    found
}

/// What stands between backticks.
fn quoted(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

/// Whether a source is a module, or one of those in it; the path of a module may begin at any of its parts, and its tests stand in
/// its file or beside it.
fn is_module(path: &str, module: &str) -> bool {
    let path: Vec<&str> = path.trim_end_matches(".rs").split('/').collect();
    let all: Vec<&str> = module.split("::").collect();
    let in_file: Vec<&str> = all.iter().copied().filter(|part| *part != "tests").collect();
    [all, in_file].iter().any(|parts| path.windows(parts.len()).any(|window| window == parts))
}

/// Every source, with its path in the repository.
fn read(folder: &Path, into: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            read(&path, into);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            let text = fs::read_to_string(&path).expect("a source");
            into.push((path.strip_prefix(repository()).expect("inside").display().to_string(), text));
        }
    }
}

/// `fuzz/front` links to the sources of `src/syntax` and `src/diag`: whatever crate these use must be one of its own.
#[test]
fn the_fuzzed_front_has_every_crate_that_its_sources_use() {
    let manifest = fs::read_to_string(repository().join("fuzz/front/Cargo.toml")).expect("a manifest");
    let has = |name: &str| {
        manifest.lines().any(|line| line.split(['=', '.', ' ']).next() == Some(&name.replace('_', "-")))
            || manifest.lines().any(|line| line.split(['=', '.', ' ']).next() == Some(name))
    };
    let mut folders = vec![repository().join("src/syntax"), repository().join("src/diag")];
    let (mut uses, mut lacks) = (0, Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder").flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            if path.extension().is_none_or(|ending| ending != "rs") {
                continue;
            }
            let text = fs::read_to_string(&path).expect("a source");
            let named = text.lines().filter_map(|line| line.trim_start_matches("pub ").strip_prefix("use "));
            for name in named.filter_map(|used| used.split_once("::")).map(|(name, _)| name) {
                if ["crate", "super", "self", "std", "core", "proptest"].contains(&name)
                    || !name.starts_with(|c: char| c.is_lowercase())
                {
                    continue;
                }
                uses += 1;
                let own = path.with_extension("").join(name).with_extension("rs").exists();
                if !own && !has(name) {
                    lacks.push(format!("{}: `{name}`", path.display()));
                }
            }
        }
    }
    assert!(uses > 10, "hardly a crate is used");
    assert!(lacks.is_empty(), "add them to fuzz/front/Cargo.toml: {lacks:#?}");
}
