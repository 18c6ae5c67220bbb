//! Any text → tokens, tree, diagnostics and their rendering: no panic, and every place lies in the text.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mkbc_front::diag::source::Sources;
use mkbc_front::diag::{Diagnostics, render};
use mkbc_front::syntax::parse::parse;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut sources = Sources::default();
    let file = sources.add("fuzz.mkb", text);
    let mut cx = Diagnostics::default();
    parse(file, &sources, &mut cx);
    for d in cx.iter() {
        let places = std::iter::once(d.primary.span).chain(d.secondary.iter().map(|l| l.span));
        for span in places.chain(d.fix.as_ref().map(|fix| fix.span)) {
            assert!(text.get(span.range()).is_some(), "{} speaks of {span:?}", d.code);
        }
    }
    // Rendering takes long where there are thousands of diagnostics, and finds nothing more there.
    if cx.iter().count() <= 20 {
        render::text(&cx, &sources, false);
        render::json(&cx, &sources);
    }
});
