//! `GET /v1/fleet`: machines, the instances that the plan in force has on them, how busy they are, and why plans were made.

use super::deployed::{DeviceStatus, FleetPlan, FleetStatus, InstanceStatus};
use super::guard::Caller;
use super::types::moment;
use super::workflows;
use crate::fleet::instance::Instance;
use crate::fleet::model::{JointPlan, Route};
use crate::library::Library;
use crate::serve::Service;
use crate::serve::fleet::gates::Seen;
use crate::serve::fleet::{InForce, Sight};
use crate::serve::hosts::statuses;
use axum::Json;
use axum::extract::{Extension, State};
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Shows the fleet.
pub async fn show(State(service): State<Arc<Service>>, Extension(caller): Extension<Caller>) -> Json<FleetStatus> {
    Json(whole(&service, &caller))
}

/// The fleet, as far as a caller sees it.
pub fn whole(service: &Service, caller: &Caller) -> FleetStatus {
    let fleet = &service.fleet;
    let (sight, force) = (fleet.sight(), fleet.in_force());
    let own: BTreeSet<String> = workflows::of(service, caller).iter().map(|workflow| workflow.key.clone()).collect();
    let joint = force.as_ref().map(|force| &force.joint);
    let machines = sight.machines.as_ref();
    FleetStatus {
        cluster: machines.map(|machines| machines.name.to_string()).unwrap_or_default(),
        unseen: sight.unseen.clone(),
        devices: machines.map(|machines| devices(machines, joint, service.planner.library())).unwrap_or_default(),
        instances: instances(joint, &fleet.gates.seen(), &sight, &own, caller.tenant.sees_all),
        workflows: own.into_iter().collect(),
        plan: force.as_ref().map(|force| plan(force)),
        load: caller.tenant.sees_all.then(|| service.sensors.read()),
        hosts: if caller.tenant.sees_all { statuses(&service.hosts) } else { Vec::new() },
        replans: if caller.tenant.sees_all { fleet.replans() } else { Vec::new() },
    }
}

fn devices(
    machines: &crate::space::Machines,
    joint: Option<&JointPlan>,
    library: &Library,
) -> BTreeMap<String, DeviceStatus> {
    let held = |name: &str| {
        let on = joint.into_iter().flat_map(|joint| &joint.instances).filter(|used| used.instance.device == name);
        on.map(|used| used.replicas * i64::from(used.instance.units)).sum()
    };
    let device = |(name, (units, price)): (&ecow::EcoString, &(u32, Decimal))| {
        let memory = library.devices.get(name).and_then(|device| device.memory_gb);
        let (units, usd_per_hour, held) = (*units, float(*price), held(name));
        (name.to_string(), DeviceStatus { units, held, usd_per_hour, memory_gb: memory.map(float) })
    };
    machines.pools.iter().map(device).collect()
}

/// The instances of the plan, and those of earlier ones that still have calls under way. Who does not see all sees those that its workflows
/// use, and no figure that others' calls go into: it would say when they work.
fn instances(
    joint: Option<&JointPlan>,
    seen: &BTreeMap<Instance, Seen>,
    sight: &Sight,
    own: &BTreeSet<String>,
    sees_all: bool,
) -> Vec<InstanceStatus> {
    let used = joint.into_iter().flat_map(|joint| joint.instances.iter().enumerate());
    let mut shown = BTreeSet::new();
    let mut all = Vec::new();
    for (at, used) in used.filter(|(_, used)| used.replicas > 0) {
        let uses = |route: &&Route| route.instance == Some(at);
        let jobs = joint.into_iter().flat_map(|joint| &joint.jobs).filter(|job| job.routes.iter().any(|r| uses(&r)));
        let (own, others): (Vec<_>, Vec<_>) = jobs.partition(|job| own.contains(&job.plan.job));
        if own.is_empty() && !sees_all {
            continue;
        }
        let gate = seen.get(&used.instance).copied().unwrap_or_default();
        let load: Decimal = match sees_all {
            true => used.load,
            false => own.iter().flat_map(|job| &job.routes).filter(uses).map(|route| route.load).sum(),
        };
        shown.insert(&used.instance);
        let whole = status(&used.instance, gate, sight);
        let (shared, hidden) = (
            !others.is_empty(),
            InstanceStatus { under_way: None, calls: None, busy: None, pace: None, ..whole.clone() },
        );
        all.push(InstanceStatus {
            planned_busy: load.checked_div(Decimal::from(used.replicas)).map_or(0.0, float),
            replicas: used.replicas,
            memory_gb: float(used.memory_gb),
            workflows: own.iter().map(|job| job.plan.job.clone()).collect(),
            shared,
            ..if shared && !sees_all { hidden } else { whole }
        });
    }
    if !sees_all {
        return all;
    }
    let ending = seen.iter().filter(|(instance, seen)| seen.under_way > 0 && !shown.contains(instance));
    all.extend(ending.map(|(instance, seen)| status(instance, *seen, sight)));
    all
}

fn status(instance: &Instance, seen: Seen, sight: &Sight) -> InstanceStatus {
    InstanceStatus {
        instance: instance.shown(),
        device: instance.device.clone(),
        replicas: 0,
        slots: seen.slots,
        under_way: Some(seen.under_way),
        memory_gb: 0.0,
        planned_busy: 0.0,
        busy: sight.busy.get(instance).copied(),
        pace: sight.paces.get(instance).copied().map(float),
        calls: Some(seen.calls),
        workflows: Vec::new(),
        shared: false,
    }
}

fn plan(force: &InForce) -> FleetPlan {
    let total = &force.joint.total;
    FleetPlan {
        number: force.number,
        since: moment(force.since_ms),
        usd_per_hour: float(total.usd_per_hour),
        alone_usd_per_hour: float(total.alone_usd_per_hour),
        optimal: force.joint.proof.optimal,
    }
}

fn float(value: Decimal) -> f64 {
    value.to_f64().unwrap_or_default()
}
