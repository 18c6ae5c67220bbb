//! `gpu(memory >= 6 GB) * [1, 2]` → devices that an entry runs on; the condition is that of pins too.

use super::machines::unknown_device;
use crate::check::errors::wrong_comparison;
use crate::check::quantity;
use crate::diag::Diagnostics;
use crate::library::{HardwareOption, Library, errors};
use crate::syntax::ast::{BinaryOp, ExprKind, HardwareExpr};
use crate::units::Dimension;
use rust_decimal::Decimal;

/// What an entry runs on.
pub(super) fn option(h: &HardwareExpr, library: &Library, cx: &mut Diagnostics) -> Option<HardwareOption> {
    let device = &h.device.text;
    if device != "gpu" && device != "api" && !library.devices.contains_key(device) {
        cx.push(unknown_device(&h.device, library));
        return None;
    }
    let memory_gb = least_memory(h, cx);
    let mut units: Vec<u32> = h.units.iter().filter_map(|q| quantity::whole(q, "the number of devices", cx)).collect();
    if units.is_empty() {
        units.push(if device == "api" { 0 } else { 1 });
    }
    Some(HardwareOption { device: device.clone(), memory_gb, units, span: h.device.span })
}

/// The least memory that one device must have, in gigabytes: `gpu(memory >= 6 GB)`. Reports what is no such condition.
pub fn least_memory(h: &HardwareExpr, cx: &mut Diagnostics) -> Option<Decimal> {
    let mut memory_gb = None;
    for condition in &h.conditions {
        let metric: Vec<&str> = condition.metric.iter().map(|n| n.text.as_str()).collect();
        match (&metric[..], &condition.limit.kind) {
            (["memory"], ExprKind::Number(q)) => {
                let (op, at) = condition.op;
                if op != BinaryOp::Ge {
                    cx.push(wrong_comparison(at, "memory", BinaryOp::Ge.text(), false));
                }
                memory_gb = memory_gb.max(quantity::of_dimension(q, Dimension::BYTES, "memory", "6 GB", cx));
            }
            ([], _) => {}
            _ => cx.push(errors::bad_value(condition.span, &h.device.text, "a condition like `memory >= 6 GB`")),
        }
    }
    memory_gb
}
