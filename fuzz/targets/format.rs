//! Any text, formatted: every token and comment is kept, formatting again changes nothing, and neither does a range lose anything.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mkbc_front::syntax::fmt::{apply, format, format_range, same_tokens};

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let formatted = format(text);
    assert!(same_tokens(text, &formatted), "a token or comment is lost:\n{formatted}");
    assert_eq!(format(&formatted), formatted, "formatted again");
    let middle = text.len() / 2;
    let edits = format_range(text, middle..(middle + 20).min(text.len()));
    assert!(same_tokens(text, &apply(text, &edits)), "a token or comment of a range is lost");
});
