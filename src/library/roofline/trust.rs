//! Model + device + server → whether the roofline may be trusted there: checked, outside of what was checked, or refused.

use super::architecture::Transformer;
use super::chip::{Architecture, Chip};
use super::family::Constants;
use ecow::{EcoString, eco_format};

/// The factor within which a figure is said to lie outside of what was checked. It holds published cells of mixtures of experts and of
/// weights of 8 bits (tests/roofline.rs); for servers and devices that nobody published cells of it is a guess.
pub const UNCHECKED: f64 = 2.0;
/// Devices of one node.
const NODE: u32 = 8;
/// With more sequences than that, the constants of H100 are off on Blackwell.
const BLACKWELL_BATCH: u32 = 16;

/// Whether an estimate may be trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Published cells of this kind lie within the spread of the constants.
    Checked,
    /// It is computed, and nothing says how good it is: why.
    Outside(Vec<EcoString>),
    /// It would mean nothing: why.
    Refused(EcoString),
}

/// The constants that a server on a device is computed with: its own, or the first of the maker. Ollama runs llama.cpp.
pub fn constants<'a>(all: &'a [Constants], serve: &str, chip: &Chip) -> Option<&'a Constants> {
    let maker = chip.architecture.maker();
    let serve = if serve == "ollama" { "llama_cpp" } else { serve };
    let of_maker = || all.iter().filter(|c| c.maker == maker);
    of_maker().find(|c| c.serve == serve).or_else(|| of_maker().next())
}

/// Judges an estimate for so many devices and requests at once.
pub fn judge(
    model: &Transformer,
    chip: &Chip,
    units: u32,
    batch: u32,
    serve: &str,
    constants: Option<&Constants>,
) -> Trust {
    let Some(constants) = constants else {
        return Trust::Refused(eco_format!("no constants are known for devices of {}", chip.architecture.maker()));
    };
    let cores = chip.architecture == Architecture::Cores;
    // Cores share the memory of their machine, as one device does.
    let devices = if cores { 1 } else { units };
    if devices > NODE {
        return Trust::Refused(eco_format!("{units} devices are more than a node, and networks are not modelled"));
    }
    if devices > 1 && chip.link.is_none() {
        return Trust::Refused("the devices have no direct link, and other paths are not modelled".into());
    }
    if model.heads % f64::from(devices) != 0.0 {
        return Trust::Refused(eco_format!("{} heads cannot be shared by {units} devices", model.heads));
    }
    let mut why: Vec<EcoString> = Vec::new();
    let mut outside = |holds: bool, reason: EcoString| why.extend(holds.then_some(reason));
    outside(model.is_mixture(), "a mixture of experts".into());
    outside(model.latent.is_some(), "attention over a latent state".into());
    outside(model.weight_bits != 16 && constants.bits.is_none(), eco_format!("weights of {} bits", model.weight_bits));
    outside(constants.serve != serve, eco_format!("constants of {}, not of `{serve}`", constants.family));
    let fitted = matches!(chip.architecture, Architecture::Ampere | Architecture::Hopper);
    let blackwell = chip.architecture == Architecture::Blackwell;
    outside(cores, "one processor was measured, and no more than two cores".into());
    outside(
        !(fitted || cores || blackwell && constants.serve == "vllm"),
        eco_format!("no published cells of {} were held against it", chip.architecture.name()),
    );
    outside(blackwell && batch > BLACKWELL_BATCH, eco_format!("blackwell with {batch} requests at once"));
    if why.is_empty() { Trust::Checked } else { Trust::Outside(why) }
}
