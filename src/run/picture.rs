//! PNG files <-> pictures of three bytes a pixel.

use super::fault::{Fault, FaultKind};
use super::kernels::Shape;
use super::store;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

/// The largest picture and its longest side, in pixels: a small file can claim to be an enormous one.
const MOST_PIXELS: usize = 64 << 20;
const LONGEST: u32 = 16 << 10;

/// A picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// Its size.
    pub shape: Shape,
    /// Red, green and blue of every pixel, row by row.
    pub rgb: Vec<u8>,
}

impl Picture {
    /// Reads a PNG; what lies behind transparent pixels is not known, and their own colour is taken.
    pub fn read(file: &Path) -> Result<Picture, Fault> {
        let unreadable = |why: String| {
            Fault::new(FaultKind::Process, format!("the frame `{}` cannot be read: {why}", file.display()))
        };
        let opened = File::open(file).map_err(|e| unreadable(e.to_string()))?;
        let mut decoder = png::Decoder::new(BufReader::new(opened));
        decoder.set_limits(png::Limits { bytes: 512 << 20 });
        decoder.set_transformations(png::Transformations::normalize_to_color8());
        let mut reader = decoder.read_info().map_err(|e| unreadable(e.to_string()))?;
        let shape = Shape { width: reader.info().width, height: reader.info().height };
        if shape.pixels() > MOST_PIXELS || shape.width.max(shape.height) > LONGEST {
            return Err(unreadable(format!("{} by {} pixels are too many", shape.width, shape.height)));
        }
        let size = reader.output_buffer_size().ok_or_else(|| unreadable("it is too large".to_owned()))?;
        let mut buffer = vec![0; size];
        let frame = reader.next_frame(&mut buffer).map_err(|e| unreadable(e.to_string()))?;
        let samples = frame.color_type.samples();
        if samples == 3 && frame.line_size == shape.width as usize * 3 {
            buffer.truncate(shape.bytes());
            return Ok(Picture { shape, rgb: buffer });
        }
        let rows = buffer[..frame.buffer_size()].chunks_exact(frame.line_size.max(1));
        let pixels = rows.flat_map(|row| row[..shape.width as usize * samples].chunks_exact(samples));
        let rgb = pixels.flat_map(|pixel| match pixel {
            [r, g, b] | [r, g, b, _] => [*r, *g, *b],
            [y, ..] => [*y; 3],
            [] => [0; 3],
        });
        Ok(Picture { shape, rgb: rgb.collect() })
    }

    /// Writes a PNG, quickly rather than small.
    pub fn write(&self, file: &Path) -> Result<(), Fault> {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, self.shape.width, self.shape.height);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_compression(png::Compression::Fast);
        let written = encoder.write_header().and_then(|mut writer| {
            writer.write_image_data(&self.rgb)?;
            writer.finish()
        });
        let failed = |e: png::EncodingError| {
            Fault::new(FaultKind::Storage, format!("the frame `{}` cannot be written: {e}", file.display()))
        };
        written.map_err(failed)?;
        store::write(file, &bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_read_as_it_was_written() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("a.png");
        let shape = Shape { width: 5, height: 3 };
        let picture = Picture { shape, rgb: (0..45).map(|i| i * 5).collect() };
        picture.write(&file).expect("written");
        assert_eq!(Picture::read(&file).expect("read"), picture);
        assert!(Picture::read(Path::new("/etc/hostname")).is_err());
    }
}
