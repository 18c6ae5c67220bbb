//! Something happened to a run -> those who wait for it. What happened they read from the store: a bell only says that it is worth looking.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use tokio::sync::watch;

/// A bell for each run that somebody listens to.
#[derive(Debug, Default)]
pub struct Bells(Mutex<BTreeMap<u64, watch::Sender<()>>>);

impl Bells {
    /// Something happened to a run.
    pub fn ring(&self, run: u64) {
        let mut bells = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bell) = bells.get(&run) {
            if bell.receiver_count() == 0 {
                bells.remove(&run);
            } else {
                bell.send_replace(());
            }
        }
    }

    /// From now on, [`ring`](Bells::ring) is seen by the receiver.
    pub fn listen(&self, run: u64) -> watch::Receiver<()> {
        let mut bells = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Runs that nobody listens to any more, and that nothing happens to, would stay for ever.
        if bells.len() > 1_024 && bells.len().is_power_of_two() {
            bells.retain(|_, bell| bell.receiver_count() > 0);
        }
        bells.entry(run).or_insert_with(|| watch::Sender::new(())).subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_listens_hears_and_nobody_else_stays() {
        let bells = Bells::default();
        let mut ear = bells.listen(1);
        bells.ring(2);
        assert!(!ear.has_changed().expect("it hangs"));
        bells.ring(1);
        assert!(ear.has_changed().expect("it hangs"));
        ear.mark_unchanged();
        drop(ear);
        bells.ring(1);
        assert!(bells.0.lock().expect("bells").is_empty());
    }
}
