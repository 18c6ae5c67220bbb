//! The choice of a deployment with replicas that follow the load: as many as are busy the target share of their time with the work of the
//! last minute, and fewer only after a while in which fewer would have done. This is the usual rule (a target utilisation, with the
//! stabilisation of Kubernetes' HorizontalPodAutoscaler); it looks at the work that is sent, not at how busy replicas are, so that it
//! neither creeps upwards while all are busy nor takes a queue for load.

use super::{Policy, Seen};
use crate::simulate::model::Deployment;
use crate::simulate::{Micros, SECOND};
use std::collections::VecDeque;
use std::rc::Rc;

/// How often it looks.
const EVERY: Micros = 60 * SECOND;
/// Looks that must agree before replicas are given up: five minutes.
const STEADY: usize = 5;

/// The autoscaler.
pub struct Autoscaled {
    deployment: Rc<Deployment>,
    target: f64,
    /// By kind placed: what the last looks asked for.
    asked: Vec<VecDeque<i64>>,
}

impl Autoscaled {
    /// Of a deployment; `target` is the share of what replicas take at once.
    pub fn of(deployment: Rc<Deployment>, target: f64) -> Autoscaled {
        let asked = vec![VecDeque::new(); deployment.placed.len()];
        Autoscaled { deployment, target, asked }
    }
}

impl Policy for Autoscaled {
    fn name(&self) -> &str {
        "autoscaled"
    }

    fn start(&mut self) -> Result<Rc<Deployment>, String> {
        Ok(self.deployment.clone())
    }

    fn asked(&self) -> Option<(Micros, Micros)> {
        Some((EVERY, EVERY))
    }

    fn at(&mut self, seen: &Seen) -> Result<Option<Rc<Deployment>>, String> {
        let mut placed = self.deployment.placed.clone();
        let mut changed = false;
        for ((kind, replicas), asked) in placed.iter_mut().zip(&mut self.asked) {
            let demand = seen.demand.get(kind.id).copied().unwrap_or(0.0);
            let wanted = (demand / (kind.pace.len() as f64 * self.target)).ceil().max(1.0) as i64;
            if asked.len() == STEADY {
                asked.pop_front();
            }
            asked.push_back(wanted);
            let now = *replicas;
            let steady = if asked.len() < STEADY { now } else { asked.iter().copied().max().unwrap_or(now) };
            *replicas = if wanted > now { wanted } else { steady.min(now) };
            changed |= *replicas != now;
        }
        if !changed {
            return Ok(None);
        }
        self.deployment = Rc::new(Deployment { placed, jobs: self.deployment.jobs.clone() });
        Ok(Some(self.deployment.clone()))
    }
}
