//! `mkbc devices`

use super::{Failure, print};
use crate::run::devices::{Gpu, Gpus, inventory};
use clap::Args;

#[derive(Args)]
pub struct DevicesOptions {
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

/// Shows what this machine has.
pub fn devices(options: &DevicesOptions) -> Result<(), Failure> {
    let inventory = inventory();
    if options.json {
        let json = serde_json::to_value(&inventory).map_err(|e| e.to_string())?;
        print(&format!("{json:#}\n"));
        return Ok(());
    }
    let cpu = &inventory.cpu;
    let model = cpu.model.as_ref().map_or(String::new(), |m| format!(", {m}"));
    let memory = cpu.memory.map_or(String::new(), |m| format!(", {}", gigabytes(m)));
    print(&format!("cpu: {} cores{memory}{model}\n", cpu.cores));
    if let Some(driver) = &inventory.driver {
        let words = [("NVIDIA driver", &driver.version), ("CUDA up to", &driver.cuda)];
        let known: Vec<String> =
            words.iter().filter_map(|(what, v)| v.as_ref().map(|v| format!("{what} {v}"))).collect();
        if !known.is_empty() {
            print(&format!("driver: {}\n", known.join(", ")));
        }
    }
    print(&gpus(&inventory.gpus));
    Ok(())
}

/// A line for each GPU, or one that says why there is none.
pub fn gpus(gpus: &Gpus) -> String {
    match gpus {
        Gpus::NoDriver => "gpu: none (no NVIDIA driver)\n".to_owned(),
        Gpus::Unusable(why) => format!("gpu: none usable ({why})\n"),
        Gpus::Devices(gpus) => gpus.iter().map(line).collect(),
    }
}

fn line(gpu: &Gpu) -> String {
    let parts = [
        gpu.memory.map(gigabytes),
        gpu.used.map(|used| format!("{} in use", gigabytes(used))),
        gpu.capability.as_ref().map(|c| format!("compute {c}")),
        gpu.power_w.map(|w| format!("{w:.0} W")),
        gpu.power_limit_w.map(|w| format!("at most {w:.0} W")),
        gpu.part.then(|| "an instance of a parted GPU (MIG)".to_owned()),
        gpu.mig.filter(|on| *on).map(|_| "parted by MIG".to_owned()),
        gpu.nvlinks.filter(|n| *n > 0).map(|n| format!("{n} NVLinks")),
        gpu.pci.as_ref().map(|bus| format!("PCI {bus}")),
        Some(gpu.uuid.clone()),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    format!("gpu: {}, {}\n", gpu.name, parts.join(", "))
}

fn gigabytes(bytes: u64) -> String {
    format!("{:.1} GB", bytes as f64 / 1e9)
}
