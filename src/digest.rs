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

/// What [`digest`] gives for one text of so many bytes, which is written piece by piece.
pub fn digest_of_written(
    bytes: u64,
    write: impl FnOnce(&mut dyn std::io::Write) -> std::io::Result<()>,
) -> std::io::Result<String> {
    let mut hash = Sha256::new();
    hash.update(bytes.to_le_bytes());
    write(&mut hash)?;
    Ok(hex(&hash.finalize()))
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
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let both = |b: &u8| [DIGITS[usize::from(b >> 4)] as char, DIGITS[usize::from(b & 15)] as char];
    bytes.iter().flat_map(both).collect()
}
