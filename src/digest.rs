//! Texts and files → digests.

use sha2::{Digest, Sha256};
use std::io::Read;
use std::path::Path;

/// SHA-256 over texts, each with its length, in lower-case hex.
pub fn digest<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    let mut hash = Sha256::new();
    for text in texts {
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text.as_bytes());
    }
    hex(&hash.finalize())
}

/// SHA-256 of a file's bytes, in lower-case hex.
pub fn file_digest(path: &Path) -> std::io::Result<String> {
    let (mut file, mut hash, mut part) = (std::fs::File::open(path)?, Sha256::new(), vec![0; 64 << 10]);
    loop {
        match file.read(&mut part)? {
            0 => return Ok(hex(&hash.finalize())),
            n => hash.update(&part[..n]),
        }
    }
}

/// Bytes in lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
