//! Step → candidates: implementation × knobs × hardware that the machines have, and why the others are out.

use super::ends::End;
use super::{Candidate, Input, StepSpace};
use crate::ir::workflow::Step;
use crate::library::profile::{Figure, Setting};
use crate::library::{HardwareOption, Implementation};
use ecow::EcoString;
use rust_decimal::Decimal;

/// Lists what could carry out the step at an index.
pub fn enumerate(index: usize, step: &Step, input: &Input) -> StepSpace {
    let mut space = StepSpace { classes: 1, in_turn: Decimal::ONE, share: Decimal::ONE, ..StepSpace::default() };
    for implementation in input.library.implementing(&step.task) {
        if let Err(why) = (input.usable)(implementation) {
            space.absent.push((implementation.name.clone(), why));
            space.excluded.extend(space.absent.last().cloned());
            continue;
        }
        let settings = knob_settings(&implementation.knobs);
        let before = space.excluded.len();
        for option in &implementation.hardware {
            let devices = devices(option, input);
            if devices.is_empty() {
                let why = format!("`{}` has no {}", input.machines.name, needed(option));
                space.excluded.push((implementation.name.clone(), why));
            }
            for (device, limit) in devices {
                for units in option.units.iter().copied().filter(|u| *u <= limit) {
                    for knobs in &settings {
                        add(&mut space, (index, &step.task, implementation), knobs, &device, units, input);
                    }
                }
                if option.units.iter().all(|u| *u > limit) {
                    let why = format!("`{}` has only {limit} `{device}`", input.machines.name);
                    space.excluded.push((implementation.name.clone(), why));
                }
            }
        }
        shorten(&mut space.excluded, before, &implementation.name);
    }
    space
}

/// Reasons of one implementation beyond this number are counted, not shown: a profile without rows for a batch says so for each
/// variant on each device.
const SHOWN: usize = 12;

fn shorten(excluded: &mut Vec<(EcoString, String)>, before: usize, name: &EcoString) {
    let more = excluded.len().saturating_sub(before + SHOWN);
    if more > 1 {
        excluded.truncate(before + SHOWN);
        excluded.push((name.clone(), format!("{more} other settings without figures, or that do not fit")));
    }
}

fn add(
    space: &mut StepSpace,
    (index, task, entry): (usize, &str, &Implementation),
    knobs: &[(EcoString, EcoString)],
    device: &EcoString,
    units: u32,
    input: &Input,
) {
    let candidate = || Candidate {
        task: task.into(),
        implementation: entry.name.clone(),
        knobs: knobs.to_vec(),
        device: device.clone(),
        units,
        class: 0,
    };
    if input.only.is_some_and(|only| !only(index, &candidate())) {
        return;
    }
    let setting = Setting { task, knobs, device, units, work: &[], by: None };
    let shown = || {
        let knobs: Vec<String> = knobs.iter().map(|(n, v)| format!("{n} {v}")).collect();
        let knobs = if knobs.is_empty() { String::new() } else { format!("{} on ", knobs.join(", ")) };
        format!("{knobs}{device} * {units}")
    };
    for figure in ["latency", "quality"] {
        if entry.profile.figure(figure, &setting).is_none() {
            let why = entry.profile.refusal(&setting).map_or(String::new(), |why| format!(": {why}"));
            space.excluded.push((entry.name.clone(), format!("its profile has no `{figure}` for {}{why}", shown())));
            return;
        }
    }
    // A robust plan holds at every end: what may not fit is out.
    let most = |f: &Figure| if input.end == End::Worst { f.interval.1 } else { f.value };
    let memory = entry.profile.figure("memory", &setting).map_or(Decimal::ZERO, most);
    let has = input.library.devices.get(device).filter(|d| d.gpu).and_then(|d| d.memory_gb);
    if let Some(has) = has
        && memory > has * Decimal::from(units)
    {
        space.excluded.push((entry.name.clone(), format!("{memory} GB do not fit {}", shown())));
        return;
    }
    let candidate = candidate();
    if !space.candidates.contains(&candidate) {
        space.candidates.push(candidate);
    }
}

/// The devices of the machines that an option allows, with how many there are.
fn devices(option: &HardwareOption, input: &Input) -> Vec<(EcoString, u32)> {
    if option.device == "api" {
        return vec![("api".into(), u32::MAX)];
    }
    let fits = |name: &EcoString| {
        let device = input.library.devices.get(name);
        let enough = option.memory_gb.is_none_or(|needed| input.library.has_memory(name, needed).unwrap_or(true));
        let kind = *name == option.device || (option.device == "gpu" && device.is_some_and(|d| d.gpu));
        kind && enough
    };
    input
        .machines
        .pools
        .iter()
        .filter(|(name, _)| fits(name))
        .map(|(name, (units, _))| (name.clone(), *units))
        .collect()
}

fn needed(option: &HardwareOption) -> String {
    match option.memory_gb {
        Some(gb) => format!("`{}` with {gb} GB", option.device),
        None => format!("`{}`", option.device),
    }
}

/// Every combination of knob values, the last knob's counting fastest.
fn knob_settings(knobs: &[(EcoString, Vec<EcoString>)]) -> Vec<Vec<(EcoString, EcoString)>> {
    let mut all: Vec<Vec<(EcoString, EcoString)>> = vec![Vec::new()];
    for (name, values) in knobs {
        all = all
            .into_iter()
            .flat_map(|setting| {
                values.iter().map(move |v| {
                    let mut with = setting.clone();
                    with.push((name.clone(), v.clone()));
                    with
                })
            })
            .collect();
    }
    all
}
