//! The tree-sitter grammar against the compiler's own reader: whatever `mkbc` reads without an error has no ERROR node, an edit
//! gives the tree that a new reading gives, all queries compile and find something, and editors have the same bytes of them.
//! `BLESS=1 cargo test --test tree_sitter` writes the corpus' trees and the golden of the highlighting again.

use murakkab::compile::Texts;
use murakkab::diag::Diagnostics;
use murakkab::syntax::parse::parse;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{CString, OsStr};
use std::fmt::Write;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use tree_sitter::{InputEdit, Language, Node, Parser, Point, Query, QueryCursor, StreamingIterator, Tree};

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn grammar() -> PathBuf {
    repository().join("editors/tree-sitter-mkb")
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The files below a folder with this ending, in order.
fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let entries = fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    for path in entries.map(|entry| entry.expect("an entry").path()) {
        if path.is_dir() {
            found.extend(files(&path, ending));
        } else if path.extension() == Some(OsStr::new(ending)) {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The generated parser as a shared library, as editors load it: nothing of it is part of the build.
#[allow(unsafe_code)]
fn language() -> &'static Language {
    static LANGUAGE: OnceLock<Language> = OnceLock::new();
    LANGUAGE.get_or_init(|| {
        let source = grammar().join("src");
        let library = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("mkb-{}.so", std::process::id()));
        let compiled = Command::new("cc")
            .args(["-std=c11", "-Wall", "-Wextra", "-Wno-unused", "-Werror", "-O1", "-shared", "-fPIC", "-o"])
            .args([&library, &source.join("parser.c"), &source.join("scanner.c")])
            .arg("-I")
            .arg(&source)
            .status();
        assert!(compiled.expect("cc starts").success(), "the parser does not compile");
        let path = CString::new(library.as_os_str().as_bytes()).expect("a path");
        // SAFETY: the library was made just now by the system's compiler, stays loaded, and exports what tree-sitter names.
        let language = unsafe {
            let handle = libc::dlopen(path.as_ptr(), libc::RTLD_NOW);
            assert!(!handle.is_null(), "the parser does not load");
            let symbol = libc::dlsym(handle, c"tree_sitter_mkb".as_ptr());
            assert!(!symbol.is_null(), "the parser does not export tree_sitter_mkb");
            let language: unsafe extern "C" fn() -> *const tree_sitter::ffi::TSLanguage = std::mem::transmute(symbol);
            Language::from_raw(language())
        };
        fs::remove_file(&library).expect("the library is there");
        language
    })
}

fn parser() -> Parser {
    let mut parser = Parser::new();
    parser.set_language(language()).expect("a parser of a version that this library reads");
    parser
}

fn tree(source: &str) -> Tree {
    parser().parse(source, None).expect("a tree")
}

/// The first node that is wrong, with its line.
fn wrong(node: Node) -> Option<String> {
    if node.is_error() || node.is_missing() {
        return Some(format!("line {}: {}", node.start_position().row + 1, node.to_sexp()));
    }
    let mut cursor = node.walk();
    node.children(&mut cursor).find_map(wrong)
}

/// Whether the compiler's own reader has something to say of a text.
fn compiler_reads(name: &str, source: &str) -> bool {
    let mut texts = Texts::default();
    let file = texts.sources.add(name, source);
    let mut cx = Diagnostics::default();
    parse(file, &texts.sources, &mut cx);
    !cx.has_errors()
}

/// Every .mkb text of the repository: files, and the examples on the pages of the documentation and of the diagnostics.
fn texts() -> BTreeMap<String, String> {
    let mut texts = BTreeMap::new();
    let name = |path: &Path| path.strip_prefix(repository()).expect("in the repository").display().to_string();
    for folder in ["examples", "stdlib", "tests", "bench"] {
        for path in files(&repository().join(folder), "mkb") {
            // Some tests are of files that are not UTF-8.
            texts.extend(fs::read_to_string(&path).ok().map(|text| (name(&path), text)));
        }
    }
    for path in [files(&repository().join("docs"), "md"), files(&repository().join("src/diag/codes"), "md")].concat() {
        for (number, block) in read(&path).split("```mkb\n").skip(1).enumerate() {
            let block = block.split("```").next().unwrap_or_default();
            texts.insert(format!("{}#{number}", name(&path)), block.to_string());
        }
    }
    texts
}

#[test]
fn what_the_compiler_reads_has_no_error() {
    let (mut read, mut wrong_in) = (0, Vec::new());
    // Each of these has a mistake, some of which the compiler reads as they were meant and says later.
    let mistaken = |name: &str| name.starts_with("tests/toolchain/mistakes/");
    for (name, text) in texts().iter().filter(|(name, text)| !mistaken(name) && compiler_reads(name, text)) {
        read += 1;
        wrong_in.extend(wrong(tree(text).root_node()).map(|wrong| format!("{name}: {wrong}")));
    }
    assert!(wrong_in.is_empty(), "{}", wrong_in.join("\n"));
    // Examples, library and error-free tests are among them.
    for folder in ["examples", "stdlib"] {
        for path in files(&repository().join(folder), "mkb") {
            assert!(compiler_reads("file", &self::read(&path)), "{}", path.display());
        }
    }
    assert!(read > 150, "only {read} texts");
}

/// The grammar for editors is lenient in one place: after an operator a newline is white space. The compiler says what is wrong there.
#[test]
fn what_layout_forbids_is_an_error() {
    let forbidden = [
        "job a() -> Text { f() g() }",
        "job a() -> Text {\n  f\n  (a) b\n}",
        "job a() -> Text { let x = f(a) retry 2 + 1 }",
        "job a() -> Text {} job b() -> Text {}",
        "cluster c { a100 * }",
    ];
    for source in forbidden {
        assert!(!compiler_reads("forbidden.mkb", source), "the compiler reads {source}");
        assert!(wrong(tree(source).root_node()).is_some(), "no error in {source}");
    }
}

/// The point of an offset.
fn point(source: &str, at: usize) -> Point {
    let before = &source[..at];
    let start = before.rfind('\n').map_or(0, |i| i + 1);
    Point { row: before.matches('\n').count(), column: at - start }
}

/// An edit of the text that leaves out `range` and puts `new` in its place.
fn edited(source: &str, range: std::ops::Range<usize>, new: &str) -> (String, InputEdit) {
    let text = [&source[..range.start], new, &source[range.end..]].concat();
    let new_end = range.start + new.len();
    let edit = InputEdit {
        start_byte: range.start,
        old_end_byte: range.end,
        new_end_byte: new_end,
        start_position: point(source, range.start),
        old_end_position: point(source, range.end),
        new_end_position: point(&text, new_end),
    };
    (text, edit)
}

/// Random edits: what was right before and is right again after must be the same tree, read anew or from the edited one.
#[test]
fn an_edit_gives_the_tree_of_a_new_reading() {
    let source = read(&repository().join("tests/check/accepted.mkb"));
    let mut random = fastrand::Rng::with_seed(8);
    let inserted = ["\n", " ", "}", "{", "(", ")", "// x\n", "else", "\"", "let a = b\n", "8", "é"];
    let mut compared = 0;
    for _ in 0..2_000 {
        let mut parser = parser();
        let mut old = parser.parse(&source, None).expect("a tree");
        let start = source.floor_char_boundary(random.usize(..source.len()));
        let end = source.floor_char_boundary((start + random.usize(..4)).min(source.len())).max(start);
        let (text, edit) = edited(&source, start..end, inserted[random.usize(..inserted.len())]);
        old.edit(&edit);
        let again = parser.parse(&text, Some(&old)).expect("a tree");
        // How an error is repaired may depend on what was read before; the tree of a right text may not.
        let anew = parser.parse(&text, None).expect("a tree");
        if compiler_reads("edited.mkb", &text) {
            compared += 1;
            assert_eq!(again.root_node().to_sexp(), anew.root_node().to_sexp(), "{text}");
        }
        // And back: the text is right again, so its tree must be.
        let mut back = again;
        let (original, undo) = edited(&text, edit.start_byte..edit.new_end_byte, &source[start..end]);
        assert_eq!(original, source);
        back.edit(&undo);
        let restored = parser.parse(&source, Some(&back)).expect("a tree");
        assert_eq!(restored.root_node().to_sexp(), tree_of_source(&source), "undo of {edit:?}");
    }
    assert!(compared > 200, "only {compared} edits left a text that is right");
}

fn tree_of_source(source: &str) -> &'static str {
    static SEXP: OnceLock<String> = OnceLock::new();
    SEXP.get_or_init(|| tree(source).root_node().to_sexp())
}

#[test]
fn any_bytes_have_a_tree() {
    let mut parser = parser();
    let deep = ["(", "[", "{", "? : ", "not ", "-", "if a {", "\"{"]
        .map(|s| format!("job a() -> Text {{ {}", s.repeat(10_000)));
    let long = format!("job a() -> Text {{ goal \"{}\" }}", "x".repeat(1 << 20));
    for text in deep.iter().map(String::as_bytes).chain([long.as_bytes(), b"\xff\xfe\0", b"\xef\xbb\xbfuse a\r\n"]) {
        assert!(parser.parse(text, None).is_some());
    }
    // Windows' ends of lines are ends of lines.
    let source = read(&repository().join("tests/check/accepted.mkb")).replace('\n', "\r\n");
    assert_eq!(wrong(tree(&source).root_node()), None);
}

// ---- the corpus ----

/// One test of the corpus: its head, its text, its tree.
struct Case {
    head: String,
    source: String,
    tree: String,
}

fn is_rule(line: &str, sign: char) -> bool {
    line.len() >= 3 && line.chars().all(|c| c == sign)
}

/// The tests of a file, in the format of `tree-sitter test`.
fn cases(text: &str) -> Vec<Case> {
    let lines: Vec<&str> = text.lines().collect();
    let heads: Vec<usize> =
        (0..lines.len().saturating_sub(2)).filter(|&i| is_rule(lines[i], '=') && is_rule(lines[i + 2], '=')).collect();
    let ends = heads.iter().skip(1).copied().chain([lines.len()]);
    let mut cases = Vec::new();
    for (&start, end) in heads.iter().zip(ends) {
        let middle = (start..end).find(|&i| is_rule(lines[i], '-')).expect("a line of `-`");
        cases.push(Case {
            head: lines[start + 1].to_string(),
            source: lines[start + 3..middle].join("\n").trim_matches('\n').to_string(),
            tree: lines[middle + 1..end].join("\n").trim().to_string(),
        });
    }
    cases
}

/// A tree as `tree-sitter test` shows it, a node a line.
fn sexp(node: Node, depth: usize, out: &mut String) {
    let kind = if node.is_error() { "ERROR" } else { node.kind() };
    let _ = write!(out, "({kind}");
    let mut cursor = node.walk();
    for (i, child) in node.children(&mut cursor).enumerate().filter(|(_, child)| child.is_named()) {
        let _ = write!(out, "\n{}", "  ".repeat(depth + 1));
        if let Some(field) = node.field_name_for_child(i as u32) {
            let _ = write!(out, "{field}: ");
        }
        sexp(child, depth + 1, out);
    }
    out.push(')');
}

#[test]
fn corpus() {
    let mut number = 0;
    for path in files(&grammar().join("test/corpus"), "txt") {
        let text = read(&path);
        let mut written = String::new();
        for case in cases(&text) {
            number += 1;
            let mut found = String::new();
            sexp(tree(&case.source).root_node(), 0, &mut found);
            if std::env::var_os("BLESS").is_none() {
                assert_eq!(found, case.tree, "{}: {}", path.display(), case.head);
            }
            let (double, single) = ("=".repeat(80), "-".repeat(80));
            let gap = if written.is_empty() { "" } else { "\n" };
            let _ =
                write!(written, "{gap}{double}\n{}\n{double}\n\n{}\n\n{single}\n\n{found}\n", case.head, case.source);
        }
        if std::env::var_os("BLESS").is_some() {
            fs::write(&path, written).expect("the corpus is written");
        }
    }
    assert!(number >= 20, "only {number} cases");
}

// ---- queries ----

fn query(path: &Path) -> Query {
    Query::new(language(), &read(path)).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// What a query finds: where, what it is called, and the text.
fn captures(query: &Query, source: &str) -> Vec<(usize, usize, String)> {
    let tree = tree(source);
    let mut cursor = QueryCursor::new();
    let mut found = Vec::new();
    let mut captures = cursor.captures(query, tree.root_node(), source.as_bytes());
    while let Some((matched, index)) = captures.next() {
        let capture = matched.captures[*index];
        let name = query.capture_names()[capture.index as usize].to_string();
        found.push((capture.node.start_byte(), capture.node.end_byte(), name));
    }
    found
}

/// All queries: those of the grammar, and those that an editor has of its own.
fn queries() -> Vec<PathBuf> {
    files(&repository().join("editors"), "scm")
        .into_iter()
        .filter(|p| !p.components().any(|c| c.as_os_str() == "node_modules"))
        .collect()
}

#[test]
fn every_query_compiles_and_every_pattern_of_it_is_used() {
    let corpus: Vec<String> =
        texts().into_iter().filter(|(name, text)| compiler_reads(name, text)).map(|(_, text)| text).collect();
    for path in queries() {
        let query = query(&path);
        let mut used = BTreeSet::new();
        for source in &corpus {
            let tree = tree(source);
            let mut cursor = QueryCursor::new();
            let mut matches = cursor.matches(&query, tree.root_node(), source.as_bytes());
            while let Some(matched) = matches.next() {
                used.insert(matched.pattern_index);
            }
        }
        let text = read(&path);
        let idle: Vec<&str> = (0..query.pattern_count())
            .filter(|i| !used.contains(i))
            .map(|i| &text[query.start_byte_for_pattern(i)..query.end_byte_for_pattern(i)])
            .collect();
        assert!(idle.is_empty(), "{}: nothing fits {idle:?}", path.display());
    }
}

/// Every name, number, text and word of the language has a colour, and the golden says which.
#[test]
fn highlights() {
    let source = read(&repository().join("tests/check/accepted.mkb"));
    let found = captures(&query(&grammar().join("queries/highlights.scm")), &source);
    let mut colours: BTreeMap<(usize, usize), String> = BTreeMap::new();
    for (start, end, name) in found {
        // The later pattern holds.
        colours.insert((start, end), name);
    }
    let mut out = String::new();
    for ((start, end), name) in &colours {
        let _ = writeln!(out, "{}: {name} {}", point(&source, *start).row + 1, &source[*start..*end]);
    }
    let coloured = |at: usize| colours.keys().any(|(start, end)| (*start..*end).contains(&at));
    let bare: Vec<_> = source.char_indices().filter(|(at, c)| !c.is_whitespace() && !coloured(*at)).collect();
    assert!(bare.is_empty(), "without a colour: {bare:?}");
    let golden = repository().join("tests/tree_sitter/accepted.highlights.txt");
    if std::env::var_os("BLESS").is_some() {
        fs::write(&golden, &out).expect("the golden is written");
    }
    assert_eq!(out, read(&golden), "BLESS=1 writes it again");
}

/// Queries have one place; an editor that wants them in its own folder gets the same bytes.
#[test]
fn editors_have_the_same_queries() {
    let own = grammar().join("queries");
    let mut copies = 0;
    for path in queries().into_iter().filter(|path| !path.starts_with(&own)) {
        let name = path.file_name().expect("a file");
        if read(&path).starts_with("; Only ") || !own.join(name).is_file() {
            continue;
        }
        copies += 1;
        if std::env::var_os("BLESS").is_some() {
            fs::copy(own.join(name), &path).expect("the copy is written");
        }
        assert_eq!(read(&path), read(&own.join(name)), "{}: BLESS=1 copies it again", path.display());
    }
    assert!(copies >= 10, "only {copies} copies");
}

// ---- Zed ----

/// What Zed reads of a language's `config.toml`, of the fields that ours has: Zed passes over names that it does not know.
const ZED_CONFIG: [&str; 7] =
    ["name", "grammar", "path_suffixes", "line_comments", "tab_size", "hard_tabs", "brackets"];
/// The queries that Zed loads for a language, each with the captures that it knows; none where it knows any.
const ZED_QUERIES: [(&str, &[&str]); 5] = [
    ("highlights.scm", &[]),
    ("injections.scm", &["injection.content", "injection.language"]),
    ("brackets.scm", &["open", "close"]),
    ("indents.scm", &["indent", "end", "start", "outdent"]),
    ("outline.scm", &["item", "name", "context", "context.extra", "annotation", "open", "close"]),
];

/// The rules by which Zed loads and builds an extension (`ExtensionManifest`, `LanguageConfig` and `ExtensionBuilder` of its sources).
#[test]
fn zed_finds_what_it_looks_for() {
    let folder = repository().join("editors/zed");
    let toml = |path: &Path| read(path).parse::<toml::Table>().unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let manifest = toml(&folder.join("extension.toml"));
    for text in ["id", "name", "version", "description", "repository"] {
        assert!(manifest[text].as_str().is_some_and(|text| !text.is_empty()), "extension.toml: `{text}`");
    }
    assert_eq!(manifest["schema_version"].as_integer(), Some(1));
    assert!(manifest["authors"].as_array().is_some_and(|authors| authors.iter().all(toml::Value::is_str)));
    // A Rust part is built where there is a `Cargo.toml`; the module is named after its package.
    let package = toml(&folder.join("Cargo.toml"));
    assert_eq!(package["lib"]["crate-type"].as_array().map(Vec::len), Some(1));
    assert_eq!(package["lib"]["crate-type"][0].as_str(), Some("cdylib"));
    assert!(folder.join(package["lib"]["path"].as_str().expect("a path")).is_file());
    let grammars = manifest["grammars"].as_table().expect("grammars");
    for (name, grammar) in grammars {
        assert!(name.chars().all(|c| c.is_ascii_lowercase() || c == '_'), "`{name}` is not in snake case");
        assert!(grammar["repository"].is_str() && grammar["rev"].is_str());
        let source = repository().join(grammar["path"].as_str().expect("a path")).join("src/parser.c");
        assert!(read(&source).contains(&format!("tree_sitter_{name}(void)")), "the parser exports no `{name}`");
    }
    let languages = fs::read_dir(folder.join("languages")).expect("languages");
    let mut names = BTreeSet::new();
    for language in languages.map(|entry| entry.expect("an entry").path()) {
        let config = toml(&language.join("config.toml"));
        names.insert(config["name"].as_str().expect("a name").to_string());
        assert!(config["grammar"].as_str().is_some_and(|grammar| grammars.contains_key(grammar)));
        assert!(config["path_suffixes"].as_array().is_some_and(|all| all.iter().any(|s| s.as_str() == Some("mkb"))));
        let strange: Vec<&String> = config.keys().filter(|key| !ZED_CONFIG.contains(&key.as_str())).collect();
        assert!(strange.is_empty(), "Zed reads no {strange:?}");
        for pair in config["brackets"].as_array().expect("brackets") {
            assert!(pair["start"].is_str() && pair["end"].is_str() && pair["close"].is_bool());
        }
        for path in files(&language, "scm") {
            let name = path.file_name().and_then(OsStr::to_str).expect("a name");
            let (_, known) = ZED_QUERIES.iter().find(|(query, _)| *query == name).expect("a query that Zed loads");
            let query = query(&path);
            let strange: Vec<&&str> =
                query.capture_names().iter().filter(|c| !known.is_empty() && !known.contains(c)).collect();
            assert!(strange.is_empty(), "{name}: Zed knows no {strange:?}");
        }
    }
    for (server, entry) in manifest["language_servers"].as_table().expect("language servers") {
        let of = entry["languages"].as_array().expect("languages");
        assert!(of.iter().all(|language| language.as_str().is_some_and(|name| names.contains(name))), "{server}");
    }
}
