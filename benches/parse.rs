//! Bytes a second of lexer, layout and parser, of the formatter, and of the whole check, over a file of 10,000 lines.

#[path = "texts/large.rs"]
mod large;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use large::large_file;
use murakkab::compile::{Texts, check_file};
use murakkab::diag::Diagnostics;
use murakkab::diag::source::{FileId, Span};
use murakkab::syntax::fmt::format;
use murakkab::syntax::layout::layout;
use murakkab::syntax::parse::parse_text;
use murakkab::syntax::token::lex;
use std::hint::black_box;
use std::time::Duration;

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
