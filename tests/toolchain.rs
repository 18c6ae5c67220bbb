//! What stands around the compiler, driven through the binary: pictures of workflows, a job's inputs, checking while files change,
//! mistakes that everybody makes, tests that the documentation names, and clients of the language server that say anything. Goldens lie in `tests/toolchain/`; `BLESS=1 cargo test --test toolchain` rewrites them.

#[path = "toolchain/conversation.rs"]
mod conversation;
#[path = "toolchain/graph.rs"]
mod graph;
#[path = "toolchain/inputs.rs"]
mod inputs;
#[path = "toolchain/messages.rs"]
mod messages;
#[path = "toolchain/mistakes.rs"]
mod mistakes;
#[path = "cli/mkbc.rs"]
mod mkbc;
#[path = "toolchain/pages.rs"]
mod pages;
#[path = "toolchain/watch.rs"]
mod watch;
