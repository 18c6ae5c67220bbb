//! Calls of a workflow's run here → places on the instances of the service's joint plan, which are asked for there.

use super::fetch::{ANSWER, below};
use super::tie::{Tie, insist};
use crate::plan::model::PlanStep;
use crate::run::cancel::Cancel;
use crate::run::fault::Fault;
use crate::run::places::{Entering, Place, Places};
use crate::serve::hosts::protocol::{Enter, Grant, Placed};
use reqwest::Method;
use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;

/// A run's way to places, in the runtime of the run.
pub struct AtService<'a> {
    tie: Arc<Tie>,
    grant: &'a Grant,
    cancel: &'a Cancel,
    next: Cell<u64>,
}

impl<'a> AtService<'a> {
    /// Where a run is one of a workflow.
    pub fn of(
        service: &super::tie::Service,
        grant: &'a Grant,
        cancel: &'a Cancel,
    ) -> Result<Option<AtService<'a>>, Fault> {
        if !grant.placed {
            return Ok(None);
        }
        let tie = Arc::new(service.tie()?);
        Ok(Some(AtService { tie, grant, cancel, next: Cell::new(0) }))
    }
}

impl Places for AtService<'_> {
    fn enter<'a>(&'a self, step: &'a PlanStep) -> Entering<'a> {
        Box::pin(async move {
            let number = self.next.replace(self.next.get() + 1);
            let path = below(self.grant, &format!("places/{number}"));
            // From now on a place may be held there, whether its answer comes or not.
            let mut held = Held { tie: Some(self.tie.clone()), path: path.clone(), took: Cell::new(None) };
            let asked = Enter { step: step.id };
            loop {
                let ask = || {
                    let request = self.tie.request(Method::PUT, &path).json(&asked);
                    self.tie.ask::<Placed>(request.timeout(ANSWER * 2))
                };
                match insist(self.cancel, ask).await {
                    Ok(Placed::Taken) => return Some(Box::new(held) as Box<dyn Place>),
                    Ok(Placed::Later) => {}
                    Ok(Placed::Unbounded) => {
                        held.tie = None;
                        return None;
                    }
                    // The run is another's by now: what it still begins counts for nobody, and its next record is refused.
                    Err(_) => return None,
                }
            }
        })
    }
}

/// A place there, until it is dropped.
struct Held {
    tie: Option<Arc<Tie>>,
    path: String,
    took: Cell<Option<Duration>>,
}

impl Place for Held {
    fn begin(&self) {}

    fn done(&self, took: Duration) {
        self.took.set(Some(took));
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let (Some(tie), Ok(runtime)) = (self.tie.take(), Handle::try_current()) else { return };
        let (path, took) = (std::mem::take(&mut self.path), self.took.get());
        // Nobody waits for it: what is not said by the end of the run, its end says.
        drop(runtime.spawn(async move {
            let say = || {
                let request = tie.request(Method::DELETE, &path).timeout(ANSWER);
                let took = took.map(|took| [("took_s", took.as_secs_f64())]);
                tie.send(request.query(took.as_ref().map_or(&[][..], |took| &took[..])))
            };
            let _ = insist(&Cancel::new(), say).await;
        }));
    }
}
