//! Lexer and parser of mkbc and of nickel (the published crate), on texts of the same size, in turns in one process:
//!
//!     cd bench/nickel && cargo run --release
//!
//! (and mkbc's formatter, beside them). Both are checked to read their text without an error. What is measured of mkbc is lexer, layout and parser; of nickel its lexer, its
//! parser and the arena that the tree lies in. Times are those of the best of many rounds, so that what else runs on the machine
//! counts little, and medians beside them.

#[path = "../../../benches/texts/large.rs"]
mod large;

use large::{LINES, large_file};
use mkbc_front::diag::Diagnostics;
use mkbc_front::diag::source::FileId;
use mkbc_front::syntax::fmt::format;
use mkbc_front::syntax::parse::parse_text;
use nickel_lang_parser::ErrorTolerantParser;
use nickel_lang_parser::ast::AstAlloc;
use nickel_lang_parser::files::Files;
use nickel_lang_parser::grammar::TermParser;
use nickel_lang_parser::lexer::Lexer;
use std::fmt::Write;
use std::hint::black_box;
use std::time::{Duration, Instant};

const ROUNDS: usize = 40;

/// What the examples say, as a nickel program would say it: records with contracts, lists, texts, functions, arithmetic.
const JOB: &str = r#"  # What is wanted of it, and what it may take.
  job_NUMBER = {
    goal | String = "the question is answered from the videos",
    inputs = {
      question | String,
      videos | Array String,
    },
    slo = {
      cost | Number = 2,
      latency | Number = 120,
      quality | Number = 0.8,
    },
    minimize = ['cost, 'energy],
    steps = [
      { name = "transcribe", model = 'whisper, knobs = { variant = 'small, beam = 5 } },
      { name = "answer", model = 'chat, knobs = { variant = "gpt-4o-mini" }, retries = 2 },
    ],
    budget = fun runs => if runs > 100 then slo.cost * runs * 0.9 else slo.cost * runs,
    answer =
      let texts = std.array.map (fun video => "text of %{video}") inputs.videos in
      if inputs.question == "" && std.array.length texts >= 1 then
        std.array.first texts
      else
        std.string.join "\n" (texts @ [inputs.question]),
  },
"#;

fn nickel_text(bytes: usize) -> String {
    let mut text = String::from("{\n");
    for number in 0.. {
        if text.len() >= bytes {
            break;
        }
        text.push_str(&JOB.replace("NUMBER", &number.to_string()));
    }
    text.push_str("}\n");
    text
}

fn once(work: &mut dyn FnMut()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

fn main() {
    let mkb = large_file();
    let nickel = nickel_text(mkb.len());
    let mut files = Files::new(std::iter::empty::<(String, String)>());
    let file = files.add("bench.ncl", nickel.as_str());
    let parser = TermParser::new();
    let mut of_mkbc = || {
        let mut cx = Diagnostics::default();
        black_box(parse_text(black_box(&mkb), FileId(0), &mut cx));
        assert!(!cx.has_errors(), "mkbc reads its text");
    };
    let mut of_nickel = || {
        let arena = AstAlloc::new();
        let tree = parser.parse_strict(&arena, file, Lexer::new(black_box(&nickel)));
        assert!(tree.is_ok(), "nickel reads its text: {:?}", tree.err());
    };
    let mut of_formatter = || {
        black_box(format(black_box(&mkb)));
    };
    let (mut ours, mut theirs, mut formatted) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        ours.push(once(&mut of_mkbc));
        theirs.push(once(&mut of_nickel));
        formatted.push(once(&mut of_formatter));
    }
    let mut out = format!("{LINES} lines; {} and {} bytes; {ROUNDS} rounds each, in turns\n", mkb.len(), nickel.len());
    let measured = [
        ("mkbc", mkb.len(), ours),
        ("nickel-lang-parser 0.4.0", nickel.len(), theirs),
        ("mkbc's formatter", mkb.len(), formatted),
    ];
    for (name, bytes, mut times) in measured {
        times.sort();
        let rate = |time: Duration| bytes as f64 / time.as_secs_f64() / 1e6;
        let (best, median) = (rate(times[0]), rate(times[ROUNDS / 2]));
        let _ = writeln!(out, "{name:<26} best {best:>6.1} MB/s   median {median:>6.1} MB/s");
    }
    print!("{out}");
}
