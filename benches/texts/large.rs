//! A large text of the examples, for benchmarks.

use std::fmt::Write;

/// Lines of the text.
pub const LINES: usize = 10_000;

/// The jobs that are repeated, each under a new name, until the file is long enough.
const EXAMPLES: [(&str, &str); 4] = [
    ("video_qa", include_str!("../../examples/video_qa.mkb")),
    ("document_qa", include_str!("../../examples/document_qa.mkb")),
    ("code_generation", include_str!("../../examples/code_generation.mkb")),
    ("math_qa", include_str!("../../examples/math_qa.mkb")),
];

/// A file of [`LINES`] lines or a few more, without errors.
pub fn large_file() -> String {
    let mut uses: Vec<&str> = EXAMPLES.iter().flat_map(|(_, text)| text.lines().filter(|l| is_use(l))).collect();
    uses.sort_unstable();
    uses.dedup();
    let mut file = uses.join("\n");
    let mut lines = uses.len();
    for round in 0.. {
        for (name, text) in EXAMPLES {
            if lines >= LINES {
                return file;
            }
            for line in text.lines().filter(|l| !is_use(l)) {
                let line =
                    line.replace(name, &format!("{name}_{round}")).replace("Attempt", &format!("Attempt{name}{round}"));
                writeln!(file, "{line}").expect("a text can be written to");
                lines += 1;
            }
        }
    }
    file
}

fn is_use(line: &str) -> bool {
    line.starts_with("use ")
}
