//! Editors, for real: a headless Neovim with the configuration of editors/nvim, alone and with `mkbc lsp`, and Helix. Where a program is missing a test says so and passes, but
//! not where MKBC_REQUIRE_TOOLS is set. NVIM_PROGRAM names another Neovim than that of the PATH.

#[path = "editors/helix.rs"]
mod helix;
#[path = "cli/mkbc.rs"]
mod mkbc;

use mkbc::{BINARY, Done, Mkbc, have, repository};
use std::path::Path;
use std::process::Command;

/// What Neovim says when it runs a script of tests/editors; nothing where there is no Neovim.
fn neovim(home: &Mkbc, script: &str, env: &[(&str, &Path)]) -> Option<Done> {
    let program = std::env::var_os("NVIM_PROGRAM").filter(|program| !program.is_empty());
    if program.is_none() && !have(&["nvim"]) {
        return None;
    }
    let mut command = Command::new(program.unwrap_or_else(|| "nvim".into()));
    command.args(["--headless", "-u", "NONE", "-i", "NONE", "-n", "-c"]);
    command.arg(format!("luafile tests/editors/{script}")).current_dir(repository());
    command.env_remove("NVIM").env("HOME", home.path("")).env("EDITORS", repository().join("editors/nvim"));
    for (name, folder) in [("CONFIG", "config"), ("STATE", "state"), ("DATA", "data"), ("CACHE", "cache")] {
        command.env(format!("XDG_{name}_HOME"), home.path(folder));
    }
    Some(home.end(command.envs(env.iter().copied())))
}

#[test]
fn neovim_reads_the_grammar_and_all_queries() {
    let home = Mkbc::new();
    let (source, parser) = (repository().join("editors/tree-sitter-mkb/src"), home.path("mkb.so"));
    let file = repository().join("tests/check/accepted.mkb");
    let mut cc = Command::new("cc");
    cc.args(["-O1", "-shared", "-fPIC", "-o"]).arg(&parser).arg("-I").arg(&source);
    let compiled = cc.args([source.join("parser.c"), source.join("scanner.c")]).status().expect("cc starts");
    assert!(compiled.success(), "the parser does not compile");
    let Some(done) = neovim(&home, "nvim_treesitter.lua", &[("PARSER", &parser), ("FILE", &file)]) else { return };
    assert_eq!(done.code, Some(0), "{}{}", done.out, done.err);
    assert_eq!(
        done.out.split_whitespace().collect::<Vec<_>>(),
        ["highlights", "folds", "indents", "locals", "injections"]
    );
}

#[test]
fn neovim_shows_a_diagnostic_fills_a_hole_and_renames() {
    let home = Mkbc::new();
    let file = home.path("job.mkb");
    std::fs::copy(repository().join("tests/editors/job.mkb"), &file).expect("the job is copied");
    let Some(done) = neovim(&home, "nvim.lua", &[("MKBC", Path::new(BINARY)), ("FILE", &file)]) else { return };
    assert_eq!(done.code, Some(0), "{}{}", done.out, done.err);
    let said: Vec<&str> = done.out.lines().map(|line| line.split(':').next().unwrap_or_default()).collect();
    assert_eq!(said, ["diagnostic", "diagnostic gone", "filled", "renamed", "done"], "{}", done.err);
    // What the editor wrote is a job that the command line accepts, with the hole filled from the renamed value.
    let written = home.read("job.mkb");
    assert!(written.contains("speech_to_text(sound)"), "{written}");
    let checked = home.run(&["check", "job.mkb"]);
    assert_eq!(checked.code, Some(0), "{written}\n{}", checked.err);
}
