//! The format of the pipe: a frame is a length (four bytes, big-endian) and so many bytes of JSON.
//!
//! It is that of `python/murakkab/worker.py`, and mkbc's side of both is `src/run/engines/framed.rs`.

use serde_json::Value;
use std::fs::File;
use std::io::{self, Read, Write};

/// Frames over two files.
pub struct Pipe<R, W> {
    source: R,
    target: W,
    /// Bytes of a frame, in either direction.
    limit: usize,
}

impl Pipe<File, File> {
    /// The pipe behind two descriptors that this process inherited.
    pub fn inherited(read: u32, write: u32, limit: usize) -> io::Result<Pipe<File, File>> {
        // Opened once more by name, which needs no unsafe code; the ends are one's own from here on.
        let source = File::open(format!("/dev/fd/{read}"))?;
        let target = File::options().write(true).open(format!("/dev/fd/{write}"))?;
        Ok(Pipe::new(source, target, limit))
    }
}

impl<R: Read, W: Write> Pipe<R, W> {
    /// Frames of at most `limit` bytes.
    pub fn new(source: R, target: W, limit: usize) -> Pipe<R, W> {
        Pipe { source, target, limit }
    }

    /// The next frame; none once the other side is gone.
    pub fn receive(&mut self) -> io::Result<Option<Value>> {
        let mut length = [0; 4];
        match self.source.read_exact(&mut length) {
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            other => other?,
        }
        let length = u32::from_be_bytes(length) as usize;
        if length > self.limit {
            return Err(io::Error::other(format!("a frame of {length} bytes was announced; {} are taken", self.limit)));
        }
        let mut body = vec![0; length];
        match self.source.read_exact(&mut body) {
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            other => other?,
        }
        Ok(Some(serde_json::from_slice(&body)?))
    }

    /// Sends a frame; one that is too long is not begun.
    pub fn send(&mut self, value: &Value) -> io::Result<()> {
        let body = serde_json::to_vec(value)?;
        let length = u32::try_from(body.len()).ok().filter(|_| body.len() <= self.limit).ok_or_else(|| {
            let (has, most) = (body.len() >> 20, self.limit >> 20);
            io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("the result has {has} MB, and at most {most} MB are taken"),
            )
        })?;
        self.target.write_all(&length.to_be_bytes())?;
        self.target.write_all(&body)?;
        self.target.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_sent_is_received_and_what_is_too_long_is_refused() {
        let mut wire = Vec::new();
        let value = json!({"text": "é", "numbers": [1, 0.1]});
        Pipe::new(io::empty(), &mut wire, 100).send(&value).expect("it fits");
        assert_eq!(wire[..4], [0, 0, 0, (wire.len() - 4) as u8]);
        let mut pipe = Pipe::new(wire.as_slice(), io::sink(), 100);
        assert_eq!(pipe.receive().expect("a frame"), Some(value.clone()));
        assert_eq!(pipe.receive().expect("the end"), None);
        assert!(Pipe::new(io::empty(), io::sink(), 8).send(&value).is_err());
        assert!(Pipe::new(wire.as_slice(), io::sink(), 8).receive().is_err());
        assert_eq!(Pipe::new(&wire[..6], io::sink(), 100).receive().expect("cut off"), None);
    }
}
