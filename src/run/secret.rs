//! Keys that nobody can guess.

use super::fault::{Fault, FaultKind};
use crate::digest::hex;
use std::io::Read;

/// So many random bytes, in hex.
pub fn random<const BYTES: usize>() -> Result<String, Fault> {
    let mut bytes = [0; BYTES];
    let read = std::fs::File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes));
    read.map_err(|e| Fault::new(FaultKind::Process, format!("no key can be made: {e}")))?;
    Ok(hex(&bytes))
}
