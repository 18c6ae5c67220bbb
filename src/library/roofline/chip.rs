//! A device of the library → what the roofline needs of it.

use crate::library::Device;
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

/// What a device's tensor units are built like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names of their makers")]
pub enum Architecture {
    Volta,
    Turing,
    Ampere,
    Ada,
    Hopper,
    Blackwell,
    Cdna3,
    Cdna4,
    /// Cores of a processor, which share its memory.
    Cores,
}

impl Architecture {
    /// All, with their names in the language.
    pub const ALL: [(&str, Architecture); 9] = [
        ("volta", Architecture::Volta),
        ("turing", Architecture::Turing),
        ("ampere", Architecture::Ampere),
        ("ada", Architecture::Ada),
        ("hopper", Architecture::Hopper),
        ("blackwell", Architecture::Blackwell),
        ("cdna3", Architecture::Cdna3),
        ("cdna4", Architecture::Cdna4),
        ("cores", Architecture::Cores),
    ];

    /// By its name.
    pub fn parse(name: &str) -> Option<Architecture> {
        Architecture::ALL.iter().find(|(n, _)| *n == name).map(|(_, a)| *a)
    }

    /// Its name in the language.
    pub fn name(self) -> &'static str {
        Architecture::ALL.iter().find(|(_, a)| *a == self).map_or("", |(name, _)| name)
    }

    /// Who makes it, as in the table of constants.
    pub fn maker(self) -> &'static str {
        match self {
            Architecture::Cdna3 | Architecture::Cdna4 => "amd",
            Architecture::Cores => "cores",
            _ => "nvidia",
        }
    }

    /// How much faster than with 16 bits it multiplies weights of so many bits. Four bits are unpacked to 16 first.
    pub fn speedup(self, weight_bits: u32) -> f64 {
        let plain = [Architecture::Volta, Architecture::Turing, Architecture::Ampere, Architecture::Cores];
        if weight_bits == 8 && !plain.contains(&self) { 2.0 } else { 1.0 }
    }
}

/// A device, in operations, bytes, seconds and watts.
#[derive(Clone, Debug, PartialEq)]
pub struct Chip {
    /// Its architecture.
    pub architecture: Architecture,
    /// Dense bf16 operations a second.
    pub flops: f64,
    /// Bytes a second from its memory.
    pub bandwidth: f64,
    /// Bytes a second to another one, where they are linked directly.
    pub link: Option<f64>,
    /// Bytes of memory of its own; cores have their machine's.
    pub memory: Option<f64>,
    /// The most that it draws, watts.
    pub power: f64,
    /// What it draws idle, watts.
    pub idle: Option<f64>,
}

impl Chip {
    /// What the library says of a device; the first fact that is missing where it says too little.
    pub fn of(device: &Device) -> Result<Chip, &'static str> {
        let needed = |value: Option<Decimal>, name| value.and_then(|v| v.to_f64()).filter(|v| *v > 0.0).ok_or(name);
        let optional = |value: Option<Decimal>| value.and_then(|v| v.to_f64()).filter(|v| *v > 0.0);
        let facts = &device.facts;
        let architecture = facts.architecture.ok_or("architecture")?;
        let memory = optional(device.memory_gb).map(|memory| memory * 1e9);
        if memory.is_none() && architecture != Architecture::Cores {
            return Err("memory");
        }
        Ok(Chip {
            architecture,
            flops: needed(facts.tflops, "tflops")? * 1e12,
            bandwidth: needed(facts.bandwidth, "bandwidth")? * 1e9,
            link: optional(facts.link).map(|link| link * 1e9),
            memory,
            power: needed(facts.power, "power")?,
            idle: optional(facts.idle),
        })
    }
}
