//! A wish to stop -> everything that waits for it.

use std::sync::Arc;
use tokio::sync::watch;

/// A switch that stops a run; clones share it.
#[derive(Clone, Debug)]
pub struct Cancel(Arc<watch::Sender<bool>>);

impl Default for Cancel {
    fn default() -> Cancel {
        Cancel(Arc::new(watch::Sender::new(false)))
    }
}

impl Cancel {
    /// A switch that is off.
    pub fn new() -> Cancel {
        Cancel::default()
    }

    /// Stops the run: nothing more is admitted, children are killed.
    pub fn cancel(&self) {
        self.0.send_replace(true);
    }

    /// Whether it was stopped.
    pub fn is_cancelled(&self) -> bool {
        *self.0.borrow()
    }

    /// Returns once it is stopped.
    pub async fn cancelled(&self) {
        let mut seen = self.0.subscribe();
        // The sender lives as long as `self`, so that waiting cannot fail.
        let _ = seen.wait_for(|stopped| *stopped).await;
    }
}
