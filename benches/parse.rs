//! Bytes a second of lexer, layout and parser, of the formatter, and of the whole check, over a file of 10,000 lines.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use murakkab::compile::{Texts, check_file};
use murakkab::diag::Diagnostics;
use murakkab::diag::source::{FileId, Span};
use murakkab::syntax::fmt::format;
use murakkab::syntax::layout::layout;
use murakkab::syntax::parse::parse_text;
use murakkab::syntax::token::lex;
use std::fmt::Write;
use std::hint::black_box;
use std::time::Duration;

const LINES: usize = 10_000;

/// The jobs that are repeated, each under a new name, until the file is long enough.
const EXAMPLES: [(&str, &str); 4] = [
    ("video_qa", include_str!("../examples/video_qa.mkb")),
    ("document_qa", include_str!("../examples/document_qa.mkb")),
    ("code_generation", include_str!("../examples/code_generation.mkb")),
    ("math_qa", include_str!("../examples/math_qa.mkb")),
];

/// A file of [`LINES`] lines or a few more, without errors.
fn large_file() -> String {
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

fn throughput(c: &mut Criterion) {
    let source = large_file();
    let file = FileId(0);
    let mut group = c.benchmark_group("10,000 lines");
    group.throughput(Throughput::Bytes(source.len() as u64)).sample_size(20).measurement_time(Duration::from_secs(5));
    group.bench_function("lex", |b| b.iter(|| lex(black_box(&source), file, &mut Diagnostics::default()).tokens.len()));
    group.bench_function("format", |b| b.iter(|| format(black_box(&source)).len()));
    group.bench_function("lex and layout", |b| {
        b.iter(|| {
            let mut cx = Diagnostics::default();
            let lexed = lex(black_box(&source), file, &mut cx);
            layout(&source, &lexed.tokens, file, &mut cx).len()
        });
    });
    group.bench_function("lex, layout and parse", |b| {
        b.iter(|| {
            let mut cx = Diagnostics::default();
            let tree = parse_text(black_box(&source), file, &mut cx);
            assert!(!cx.has_errors());
            tree
        });
    });
    let mut texts = Texts::with_stdlib();
    let file = texts.sources.add("large.mkb", source.as_str());
    let mut cx = Diagnostics::default();
    check_file(&texts, file, &mut cx);
    let said: Vec<(&str, Span)> = cx.iter().map(|d| (d.code, d.primary.span)).take(3).collect();
    assert!(said.is_empty(), "{said:?}");
    group.bench_function("check", |b| {
        b.iter(|| check_file(black_box(&texts), file, &mut Diagnostics::default()).program.jobs.len())
    });
    group.finish();
}

criterion_group!(benches, throughput);
criterion_main!(benches);
