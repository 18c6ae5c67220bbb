//! A device → the nodes that have it, by label.

use super::{Setup, Unfit};
use crate::run::servers::ledger::RAM;
use std::collections::BTreeMap;

/// The label that NVIDIA's feature discovery puts on nodes, and its value by the device's name in the library.
const PRODUCT: &str = "nvidia.com/gpu.product";
const PRODUCTS: [(&str, &str); 9] = [
    ("a100", "NVIDIA-A100-SXM4-80GB"),
    ("a100_40gb", "NVIDIA-A100-SXM4-40GB"),
    ("a10g", "NVIDIA-A10G"),
    ("b200", "NVIDIA-B200"),
    ("h100", "NVIDIA-H100-80GB-HBM3"),
    ("h200", "NVIDIA-H200"),
    ("l4", "NVIDIA-L4"),
    ("l40s", "NVIDIA-L40S"),
    ("t4", "Tesla-T4"),
];

/// The labels of the nodes with a device; none for cores, which every node has.
pub fn selector(device: &str, setup: &Setup) -> Result<BTreeMap<String, String>, Unfit> {
    if let Some((key, value)) = setup.nodes.get(device) {
        return Ok(BTreeMap::from([(key.clone(), value.clone())]));
    }
    if device == RAM {
        return Ok(BTreeMap::new());
    }
    match PRODUCTS.iter().find(|(name, _)| *name == device) {
        Some((_, product)) => Ok(BTreeMap::from([(PRODUCT.to_owned(), (*product).to_owned())])),
        None => Err(Unfit::Device { device: device.to_owned() }),
    }
}
