//! Steps on GPUs that mkbc itself, a worker or a program carries out -> the devices of each call: those that the plan names, else those with
//! the fewest calls on them and the most memory left.
//!
//! What a local model holds is entered in the ledger, so that servers go elsewhere where they can. They do not wait for it: a worker keeps its
//! model until the run ends.

use super::ledger::Holder;
use super::{Room, Servers};
use crate::ir::workflow::StepId;
use crate::plan::model::{Engine, PlanStep};
use crate::run::fault::{Fault, FaultKind};
use rust_decimal::prelude::ToPrimitive;
use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::rc::Rc;

/// The GPUs of a run's calls.
#[derive(Default)]
pub struct Seats {
    /// Calls that are under way, by device.
    calls: RefCell<BTreeMap<String, u32>>,
    /// Memory of the models that workers have loaded, by step and device.
    rooms: RefCell<BTreeMap<(StepId, String), Room>>,
}

/// The GPUs of one call, until dropped.
pub struct Seat {
    seats: Rc<Seats>,
    /// Their UUIDs.
    pub devices: Vec<String>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut calls = self.seats.calls.borrow_mut();
        for device in &self.devices {
            if let Some(count) = calls.get_mut(device) {
                *count = count.saturating_sub(1);
            }
        }
    }
}

/// Whether a step is on GPUs of this machine, and no server's.
pub fn seated(step: &PlanStep) -> bool {
    !matches!(step.hardware.device.as_str(), "cpu" | "api") && step.engine.provider().is_none()
}

impl Seats {
    /// The devices of a call: of `placed`, the plan's numbers among those of its kind, where it has any. None where this machine has no
    /// device of the kind, which the call itself says best.
    pub fn take(self: &Rc<Seats>, step: &PlanStep, placed: &[u32], servers: &Servers) -> Result<Option<Seat>, Fault> {
        let kind = &step.hardware.device;
        let mut devices = servers.ledger().devices(kind);
        if !placed.is_empty() {
            let there = devices.len();
            devices = placed.iter().filter_map(|i| devices.get(*i as usize).cloned()).collect();
            if devices.len() < placed.len() {
                let last = placed.iter().max().copied().unwrap_or(0);
                let message =
                    format!("the plan places a step on `{kind} {last}`, and this machine has {there} `{kind}`");
                return Err(Fault::new(FaultKind::Unsupported, message).help("plan for this machine: `--cluster here`"));
            }
        }
        let calls = |d: &String| self.calls.borrow().get(d).copied().unwrap_or(0);
        let loaded = |d: &String| self.rooms.borrow().contains_key(&(step.id, d.clone()));
        devices.sort_by_key(|d| (calls(d), !loaded(d), Reverse(servers.ledger().left(d))));
        devices.truncate(step.hardware.units.max(1) as usize);
        if devices.is_empty() {
            return Ok(None);
        }
        for device in &devices {
            *self.calls.borrow_mut().entry(device.clone()).or_default() += 1;
        }
        let seat = Seat { seats: self.clone(), devices };
        if matches!(step.engine, Engine::Worker { .. }) {
            for device in &seat.devices {
                self.enter(step, device, seat.devices.len() as u64, servers);
            }
        }
        Ok(Some(seat))
    }

    /// Enters what a worker's model holds there, as the plan counts it, until the run ends.
    fn enter(&self, step: &PlanStep, device: &str, parts: u64, servers: &Servers) {
        let bytes = step.predicted.memory_gb.to_f64().unwrap_or(0.0) * 1e9;
        self.rooms.borrow_mut().entry((step.id, device.to_owned())).or_insert_with(|| {
            // Numbers of servers are counted from below.
            let number = Holder::MAX - servers.tick();
            servers.ledger().beside(number, device, bytes as u64 / parts);
            servers.room(number)
        });
    }
}
