//! How long a chain like `a + b + c` may be. Its tree is as deep as it is long, and every pass goes down it: what is read on a thread
//! with room may be long, and elsewhere it is refused before a stack runs out.

use std::cell::Cell;

/// The stack of a thread with room. A debug build takes some 12 kB a link; what no pass touches takes no memory.
pub const STACK: usize = 128 << 20;
/// Operators that may follow each other on such a thread, and elsewhere.
const MANY: usize = 2_000;
const FEW: usize = super::layout::MAX_DEPTH;

thread_local! {
    static ROOM: Cell<bool> = const { Cell::new(false) };
}

/// Says of this thread that its stack has [`STACK`] bytes.
pub fn has_room() {
    ROOM.set(true);
}

/// Operators that may follow each other in what this thread reads.
pub fn most_links() -> usize {
    if ROOM.get() { MANY } else { FEW }
}

/// Works on a thread with room; on this one where there is none to be had.
pub fn with_room<T: Send>(work: fn() -> T) -> T {
    let roomy = move || {
        has_room();
        work()
    };
    std::thread::scope(|scope| {
        let begun = std::thread::Builder::new().name("main".to_owned()).stack_size(STACK).spawn_scoped(scope, roomy);
        match begun.map(|thread| thread.join()) {
            Ok(Ok(done)) => done,
            Ok(Err(panic)) => std::panic::resume_unwind(panic),
            Err(_) => work(),
        }
    })
}
