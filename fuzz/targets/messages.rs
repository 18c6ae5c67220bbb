//! Any client → the language server: every request gets one answer, and none is a fault of ours.

#![no_main]

#[path = "../../tests/toolchain/conversation.rs"]
mod conversation;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    conversation::hold(data);
});
