//! Sources and places in them.

use std::ops::Range;
use std::sync::Arc;

/// A source file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(pub u32);

/// A place in a source: bytes `start..end` of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// The file.
    pub file: FileId,
    /// The first byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

impl Span {
    /// `start..end` of a file.
    pub fn new(file: FileId, start: u32, end: u32) -> Span {
        Span { file, start, end }
    }

    /// From the start of this to the end of the other.
    pub fn to(self, other: Span) -> Span {
        Span { file: self.file, start: self.start, end: other.end.max(self.start) }
    }

    /// The empty place right behind this one.
    pub fn after(self) -> Span {
        Span { start: self.end, ..self }
    }

    /// As a range of bytes.
    pub fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// A source file: its name and text.
#[derive(Clone, Debug)]
pub struct Source {
    /// The path, as the user gave it; `std/video.mkb` for the embedded library.
    pub name: String,
    /// The text.
    pub text: String,
}

/// All sources of a compilation. A copy shares the texts.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    files: Vec<Arc<Source>>,
}

impl Sources {
    /// Adds a file.
    pub fn add(&mut self, name: impl Into<String>, text: impl Into<String>) -> FileId {
        self.files.push(Arc::new(Source { name: name.into(), text: text.into() }));
        FileId(self.files.len() as u32 - 1)
    }

    /// How many files there are: the number that [`Sources::add`] gives next.
    pub fn count(&self) -> usize {
        self.files.len()
    }

    /// Forgets all files but the first `count`.
    pub fn truncate(&mut self, count: usize) {
        self.files.truncate(count);
    }

    /// Gives a file that [`Sources::add`] returned another text.
    pub fn replace(&mut self, file: FileId, text: impl Into<String>) {
        Arc::make_mut(&mut self.files[file.0 as usize]).text = text.into();
    }

    /// A file that [`Sources::add`] returned.
    pub fn get(&self, file: FileId) -> &Source {
        &self.files[file.0 as usize]
    }

    /// All files, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Source> {
        self.files.iter().map(|file| &**file)
    }

    /// The text of a place.
    pub fn text(&self, span: Span) -> &str {
        self.files.get(span.file.0 as usize).and_then(|f| f.text.get(span.range())).unwrap_or("")
    }

    /// Line and column of a place, from 1; columns count characters.
    pub fn line_column(&self, span: Span) -> (usize, usize) {
        let text = &self.get(span.file).text;
        let mut start = (span.start as usize).min(text.len());
        while !text.is_char_boundary(start) {
            start -= 1;
        }
        let before = &text[..start];
        let line = before.bytes().filter(|b| *b == b'\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
        (line, column)
    }
}
