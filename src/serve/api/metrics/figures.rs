//! Deployed workflows and their fleet → families of figures.

use super::super::deployed::{HostStatus, Slo};
use super::super::guard::Caller;
use super::super::refusal::Refusal;
use super::super::workflows::{held, of};
use super::{label, labels};
use crate::run::devices::sensors::Load;
use crate::serve::Service;

/// Adds a family: its name, kind, help, and a figure for each set of labels.
type Add<'a> = dyn FnMut(&str, &str, &str, &[(String, f64)]) + 'a;

/// What the runs of the workflows that a caller sees took, against their limits.
pub fn workflows(service: &Service, caller: &Caller, add: &mut Add<'_>) -> Result<(), Refusal> {
    let all = of(service, caller);
    if all.is_empty() {
        return Ok(());
    }
    let all: Vec<(String, Slo)> =
        all.iter().map(|w| Ok((w.key.clone(), held(service, w)?))).collect::<Result<_, Refusal>>()?;
    let (rates, force) = (service.fleet.sight().rates, service.fleet.in_force());
    let each = |figure: &dyn Fn(&str, &Slo) -> Option<f64>| -> Vec<(String, f64)> {
        all.iter().filter_map(|(key, slo)| Some((label("workflow", key), figure(key, slo)?))).collect()
    };
    let planned = |key: &str| {
        let rate = force.as_ref()?.job(key)?.rate;
        rust_decimal::prelude::ToPrimitive::to_f64(&rate)
    };
    add("mkbc_workflow_runs", "gauge", "Latest runs that have ended.", &each(&|_, slo| Some(slo.runs as f64)));
    add("mkbc_workflow_failed", "gauge", "Those of them that failed.", &each(&|_, slo| Some(slo.failed as f64)));
    add("mkbc_workflow_cost_usd", "gauge", "Dollars a run, of the latest.", &each(&|_, slo| slo.cost_usd));
    add("mkbc_workflow_rate", "gauge", "Runs a second, measured.", &each(&|key, _| rates.get(key).copied()));
    add("mkbc_workflow_planned_rate", "gauge", "Runs a second that are provided for.", &each(&|key, _| planned(key)));
    let quantile = |(key, slo): &(String, Slo)| {
        let latency = slo.latency_s.unwrap_or_default();
        let of = [("0.5", latency.p50), ("0.95", latency.p95), ("0.99", latency.p99)];
        let row = |(q, value): (&str, f64)| (labels(&[("workflow", key), ("quantile", q)]), value);
        of.into_iter().filter(|_| slo.latency_s.is_some()).map(row).collect::<Vec<_>>()
    };
    let quantiles: Vec<(String, f64)> = all.iter().flat_map(quantile).collect();
    add("mkbc_workflow_latency_seconds", "gauge", "From acceptance to answer, of the latest runs.", &quantiles);
    let clauses = |figure: &dyn Fn(&super::super::deployed::ClauseStatus) -> Option<f64>| -> Vec<(String, f64)> {
        let rows = all.iter().flat_map(|(key, slo)| slo.clauses.iter().map(move |clause| (key, clause)));
        let row = |(key, clause): (&String, _)| {
            let clause: &super::super::deployed::ClauseStatus = clause;
            Some((labels(&[("workflow", key), ("clause", &clause.text)]), figure(clause)?))
        };
        rows.filter_map(row).collect()
    };
    add("mkbc_workflow_within_ratio", "gauge", "The share of the latest runs within a limit.", &clauses(&|c| c.within));
    let broken = clauses(&|c| c.measured.then_some(c.broken_since_start as f64));
    add("mkbc_workflow_broken_total", "counter", "Runs that broke a limit.", &broken);
    Ok(())
}

/// Instances of the plan in force.
pub fn fleet(service: &Service, add: &mut Add<'_>) {
    let sight = service.fleet.sight();
    let busy: Vec<_> = sight.busy.iter().map(|(i, share)| (label("instance", &i.shown()), *share)).collect();
    add("mkbc_instance_busy_ratio", "gauge", "The share of its slots that was busy.", &busy);
    let seen = service.fleet.gates.seen();
    let slots: Vec<_> = seen.iter().map(|(i, seen)| (label("instance", &i.shown()), seen.slots as f64)).collect();
    add("mkbc_instance_slots", "gauge", "Calls that an instance takes at once.", &slots);
    let plans = [(String::new(), service.fleet.number() as f64)];
    add("mkbc_plans_total", "counter", "Joint plans that were put in force.", &plans);
}

/// What machines do: this one, and hosts that are there.
pub fn machines(here: &Load, hosts: &[HostStatus], add: &mut Add<'_>) {
    let there = hosts.iter().filter(|host| !host.lost).map(|host| (host.name.as_str(), &host.load));
    let (mut busy, mut memory, mut power) = (Vec::new(), Vec::new(), Vec::new());
    for (machine, load) in std::iter::once(("", here)).chain(there) {
        let mut note = |device: &str, shares: [Option<f64>; 3]| {
            let names = labels(&[("host", machine), ("device", device)]);
            for (rows, figure) in [&mut busy, &mut memory, &mut power].into_iter().zip(shares) {
                rows.extend(figure.map(|figure| (names.clone(), figure)));
            }
        };
        note("cpu", [load.cpu_busy, load.memory_used_gb, load.cpu_power_w]);
        for (at, gpu) in load.gpus.iter().enumerate() {
            note(&format!("{at} {}", gpu.name), [gpu.busy, gpu.memory_used_gb, gpu.power_w]);
        }
    }
    let bytes: Vec<_> = memory.into_iter().map(|(names, gb)| (names, gb * 1e9)).collect();
    add("mkbc_device_busy_ratio", "gauge", "The share of its time that a machine's device was busy.", &busy);
    add("mkbc_device_memory_bytes", "gauge", "Memory in use.", &bytes);
    add("mkbc_device_power_watts", "gauge", "Power that is drawn.", &power);
}
