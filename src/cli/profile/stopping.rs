//! Ctrl-C and SIGTERM while something is measured: the call under way is stopped, and what is recorded stays.

use super::super::Failure;
use crate::run::cancel::Cancel;
use crate::run::{Signals, block_on};
use std::sync::mpsc::channel;
use std::sync::{Arc, OnceLock};

/// Listens for signals. The first stops the call under way, the second ends the process.
pub struct Stopping {
    cancel: Cancel,
    status: Arc<OnceLock<u8>>,
}

impl Stopping {
    /// Listens from now on.
    pub fn listening() -> Stopping {
        let (cancel, status) = (Cancel::new(), Arc::new(OnceLock::new()));
        let (ready, heard) = channel();
        let (switch, first) = (cancel.clone(), status.clone());
        std::thread::spawn(move || {
            let _ = block_on(async {
                let signals = Signals::new();
                let _ = ready.send(());
                let Some(mut signals) = signals else { return };
                let _ = first.set(signals.next().await);
                switch.cancel();
                std::process::exit(signals.next().await.into());
            });
        });
        // What is begun before somebody listens could not be stopped.
        let _ = heard.recv();
        Stopping { cancel, status }
    }

    /// The switch of a call.
    pub fn cancel(&self) -> Cancel {
        self.cancel.clone()
    }

    /// How the command ends, once somebody has stopped it.
    pub fn stopped(&self) -> Option<Failure> {
        self.status.get().map(|status| if *status == 143 { Failure::Terminated } else { Failure::Stopped })
    }
}
