//! The language server and clients that say anything. `MKBC_FUZZ_SECONDS=600 cargo test --release --test toolchain clients` goes on for
//! so long, from another seed each time.

use crate::conversation::hold;
use std::time::{Duration, Instant};

#[test]
fn clients_may_say_anything() {
    let seconds: Option<u64> = std::env::var("MKBC_FUZZ_SECONDS").ok().and_then(|s| s.parse().ok());
    let start = Instant::now();
    let mut rng = match seconds {
        Some(_) => fastrand::Rng::new(),
        None => fastrand::Rng::with_seed(20_265),
    };
    let (mut conversations, mut sent, mut received) = (0, 0, 0);
    let more = |conversations: usize| match seconds {
        Some(seconds) => start.elapsed() < Duration::from_secs(seconds),
        None => conversations < 30,
    };
    while more(conversations) {
        let seed = rng.u64(..);
        let mut inner = fastrand::Rng::with_seed(seed);
        let choices: Vec<u8> = (0..inner.usize(..1_500)).map(|_| inner.u8(..)).collect();
        println!("seed {seed}");
        let (to, from) = hold(&choices);
        conversations += 1;
        sent += to;
        received += from;
    }
    eprintln!("{conversations} conversations, {sent} messages to the server, {received} from it");
}
