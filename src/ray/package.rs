//! The driver's files and this program → a zip file that Ray unpacks where its jobs work, of a name of its own for each. Nothing is
//! compressed: it is made once.

use crate::digest::hex;
use crate::run::fault::Fault;
use sha2::{Digest, Sha256};
use std::path::Path;

/// What a job's package is called at Ray. No two jobs share one: Ray deletes that of a job that has ended, also from under one that begins.
pub fn name(job: &str) -> String {
    format!("_ray_pkg_{}.zip", hex(&Sha256::digest(job.as_bytes())[..16]))
}

/// The bytes of a package.
pub fn package(driver: &[(&str, &str)], program: &Path) -> Result<Vec<u8>, Fault> {
    let binary = std::fs::read(program).map_err(|e| Fault::storage("read", program, &e))?;
    let own = driver.iter().map(|(name, text)| (*name, text.as_bytes()));
    Ok(zip(&own.chain([("mkbc", binary.as_slice())]).collect::<Vec<_>>()))
}

/// A zip file with these files, stored as they are, without times.
fn zip(files: &[(&str, &[u8])]) -> Vec<u8> {
    let (mut bytes, mut directory) = (Vec::new(), Vec::new());
    for (name, content) in files {
        let at = bytes.len() as u32;
        let (crc, size) = (crc32fast::hash(content), content.len() as u32);
        // Version 2.0; no flags; stored; the first day there is.
        let mut about = Vec::new();
        for half in [20_u16, 0, 0, 0, 0x21] {
            about.extend(half.to_le_bytes());
        }
        for word in [crc, size, size] {
            about.extend(word.to_le_bytes());
        }
        about.extend((name.len() as u16).to_le_bytes());
        about.extend([0, 0]);
        bytes.extend(b"PK\x03\x04");
        bytes.extend(&about);
        bytes.extend(name.as_bytes());
        bytes.extend(*content);
        directory.extend(b"PK\x01\x02\x14\x03");
        directory.extend(&about);
        // No comment, first disk, no attributes; a file that may be run.
        directory.extend([0; 6]);
        directory.extend((0o100_755_u32 << 16).to_le_bytes());
        directory.extend(at.to_le_bytes());
        directory.extend(name.as_bytes());
    }
    let (at, size, count) = (bytes.len() as u32, directory.len() as u32, files.len() as u16);
    bytes.extend(&directory);
    bytes.extend(b"PK\x05\x06\0\0\0\0");
    bytes.extend([count.to_le_bytes(), count.to_le_bytes()].concat());
    bytes.extend([size.to_le_bytes(), at.to_le_bytes()].concat());
    bytes.extend([0, 0]);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn python_unpacks_a_package() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.zip");
        std::fs::write(&path, zip(&[("a.txt", b"one"), ("b", b"")])).expect("a file");
        let code = "import sys, zipfile; z = zipfile.ZipFile(sys.argv[1]); z.testzip(); \
                    print([(i.filename, z.read(i), oct(i.external_attr >> 16)) for i in z.infolist()])";
        let done = std::process::Command::new("python3").args(["-c", code]).arg(&path).output().expect("python3");
        let said = String::from_utf8_lossy(&done.stdout);
        assert_eq!(said.trim(), "[('a.txt', b'one', '0o100755'), ('b', b'', '0o100755')]");
    }
}
