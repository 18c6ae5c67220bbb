//! A wish to stop -> everything that waits for it.

use std::sync::Arc;
use tokio::sync::watch;

/// How far a run is to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Wish {
    Go,
    Drain,
    Stop,
}

/// A switch that stops a run; clones share it.
#[derive(Clone, Debug)]
pub struct Cancel(Arc<watch::Sender<Wish>>);

impl Default for Cancel {
    fn default() -> Cancel {
        Cancel(Arc::new(watch::Sender::new(Wish::Go)))
    }
}

impl Cancel {
    /// A switch that is off.
    pub fn new() -> Cancel {
        Cancel::default()
    }

    /// Stops the run: nothing more is admitted, children are killed.
    pub fn cancel(&self) {
        self.0.send_replace(Wish::Stop);
    }

    /// Whether it was stopped.
    pub fn is_cancelled(&self) -> bool {
        *self.0.borrow() == Wish::Stop
    }

    /// Returns once it is stopped.
    pub async fn cancelled(&self) {
        let mut seen = self.0.subscribe();
        // The sender lives as long as `self`, so that waiting cannot fail.
        let _ = seen.wait_for(|wish| *wish == Wish::Stop).await;
    }

    /// Lets the run end gently: nothing more is admitted, what is under way goes on.
    pub fn drain(&self) {
        self.0.send_if_modified(|wish| {
            let changed = *wish == Wish::Go;
            *wish = (*wish).max(Wish::Drain);
            changed
        });
    }

    /// Whether nothing more is admitted.
    pub fn is_draining(&self) -> bool {
        *self.0.borrow() != Wish::Go
    }

    /// Returns once nothing more is admitted.
    pub async fn draining(&self) {
        let mut seen = self.0.subscribe();
        let _ = seen.wait_for(|wish| *wish != Wish::Go).await;
    }
}
