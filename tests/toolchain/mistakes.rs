//! Mistakes that everybody makes: `tests/toolchain/mistakes/NAME.mkb` has one, `NAME.txt` is all that is said of it, and
//! `NAME.fixed` the file once `check --fix` has mended it.

use crate::mkbc::{Bless, Mkbc, at_once, repository};
use std::fs;

#[test]
fn each_has_one_diagnostic_and_a_fix_that_mends_it() {
    let folder = repository().join("tests/toolchain/mistakes");
    let mut names: Vec<String> = fs::read_dir(&folder)
        .expect("a folder")
        .flatten()
        .filter_map(|e| e.file_name().into_string().ok()?.strip_suffix(".mkb").map(str::to_string))
        .collect();
    names.sort();
    assert!(names.len() >= 10, "{names:?}");
    let bless = Bless::default();
    at_once(&names, |name| {
        let mkbc = Mkbc::new();
        mkbc.write("job.mkb", fs::read(folder.join(format!("{name}.mkb"))).expect("a case"));
        let concise = mkbc.run(&["check", "job.mkb", "--format", "concise"]);
        if concise.out.lines().count() != 1 {
            bless.wrong(format!("{name}: one thing is wrong, and this is said:\n{}", concise.out));
        }
        let said = mkbc.run(&["check", "job.mkb"]);
        bless.golden(&folder.join(format!("{name}.txt")), &mkbc.masked(&said.err));
        let fixed = mkbc.run(&["check", "job.mkb", "--fix"]);
        if fixed.code != Some(0) {
            bless.wrong(format!("{name}: the fix leaves\n{}\n{}", fixed.err, mkbc.read("job.mkb")));
        }
        let text = mkbc.read("job.mkb");
        bless.golden(&folder.join(format!("{name}.fixed")), &text);
    });
    bless.end();
}
