//! CSV of constants → what servers add to a roofline, by server and maker of the device.

use crate::diag::Diagnostics;
use crate::diag::source::FileId;
use crate::library::errors;
use crate::library::sheet::{self, Record, Wrong};
use ecow::EcoString;
use rust_decimal::prelude::ToPrimitive;

/// The profile that holds the constants.
pub const FILE: &str = "roofline.csv";

/// Constants that were fitted to published cells of one server.
#[derive(Clone, Debug, PartialEq)]
pub struct Constants {
    /// Their name.
    pub family: EcoString,
    /// The server, as in `serve vllm`.
    pub serve: EcoString,
    /// The maker of the devices.
    pub maker: EcoString,
    /// The share of peak operations that is reached.
    pub compute: f64,
    /// The share of peak bandwidth.
    pub memory: f64,
    /// Seconds of an all-reduce, for each doubling of the devices.
    pub allreduce: f64,
    /// Seconds of a layer.
    pub layer: f64,
    /// Seconds of a sequence in a step.
    pub sequence: f64,
    /// Seconds of a step.
    pub step: f64,
    /// How many times as long as the formulas say a mixture of experts takes.
    pub mixture: f64,
    /// Bits of a weight as the server keeps it there, whatever the architecture says.
    pub bits: Option<f64>,
    /// How many times it holds the weights in memory.
    pub copies: f64,
    /// The factor within which the published cells lie.
    pub spread: f64,
    /// What they were fitted to.
    pub source: EcoString,
}

/// Reads the constants; lines that cannot be used are reported at their cells and left out.
pub fn read(text: &str, file: FileId, cx: &mut Diagnostics) -> Vec<Constants> {
    let sheet = sheet::read(text, file, cx);
    let mut all = Vec::new();
    for record in sheet.iter() {
        match constants(&record) {
            Ok(read) => all.push(read),
            Err((column, message, wanted)) => cx.push(errors::bad_figure(record.at(column), message, &wanted)),
        }
    }
    all
}

fn constants(record: &Record) -> Result<Constants, Wrong> {
    let number = |column: &'static str, least: f64| -> Result<f64, Wrong> {
        let value = record.number(column, column)?.and_then(|d| d.to_f64()).filter(|v| *v >= least);
        value.ok_or_else(|| (column, format!("`{column}` is missing or too small"), "give a number".to_string()))
    };
    let said = |column: &'static str| record.get(column).map(|_| number(column, 1.0)).transpose();
    let share = |column: &'static str| -> Result<f64, Wrong> {
        let value = number(column, 0.01)?;
        let wrong = || (column, format!("`{column}` is no share of a peak"), "give a number up to 1".to_string());
        if value <= 1.0 { Ok(value) } else { Err(wrong()) }
    };
    let text = |column: &'static str| {
        let missing = || (column, format!("`{column}` is missing"), "fill the cell".to_string());
        record.get(column).cloned().ok_or_else(missing)
    };
    Ok(Constants {
        family: text("family")?,
        serve: text("serve")?,
        maker: text("maker")?,
        compute: share("compute")?,
        memory: share("memory")?,
        allreduce: number("allreduce_us", 0.0)? * 1e-6,
        layer: number("layer_us", 0.0)? * 1e-6,
        sequence: number("sequence_us", 0.0)? * 1e-6,
        step: number("step_ms", 0.0)? * 1e-3,
        mixture: said("mixture")?.unwrap_or(1.0),
        bits: said("weight_bits")?,
        copies: said("copies")?.unwrap_or(1.0),
        spread: number("spread", 1.0)?,
        source: text("source")?,
    })
}
