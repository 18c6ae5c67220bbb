//! A value while a run has it: as it is, or, where it is a long list, items in a file that are read one after another.
//!
//! So the memory of a run does not grow with the items of its maps. The file has no name: it goes with the value, or with the process.
//! Whoever needs such a list as a whole, as a step does that takes it as an argument, has it read once, and it is held from then on.

use super::{check, check_at};
use crate::run::fault::{Fault, FaultKind};
use crate::types::Type;
use serde::ser::{Error, SerializeSeq};
use serde::{Serialize, Serializer};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Arc, OnceLock};

/// Items beyond which a list is kept in a file.
pub const LONG: usize = 4_096;
/// Results of later items that wait, in memory, for that of an earlier one, so that the file is in order.
const AHEAD: usize = 1_024;
/// Bytes that are read or written at a time.
const PART: usize = 64 << 10;

/// A value.
#[derive(Clone, Debug)]
pub enum Held {
    /// As it is.
    Whole(Arc<Value>),
    /// A long list.
    Long(Arc<Long>),
}

/// A list of which each item is a line of JSON in a file.
#[derive(Debug)]
pub struct Long {
    file: File,
    count: usize,
    /// Of all lines, with their ends.
    bytes: u64,
    whole: OnceLock<Arc<Value>>,
}

impl From<Value> for Held {
    fn from(value: Value) -> Held {
        Held::Whole(Arc::new(value))
    }
}

impl Held {
    /// The same value; a list of many items in a file of the folder.
    pub fn short(self, folder: &Path) -> Result<Held, Fault> {
        match self {
            Held::Whole(value) if value.as_array().is_some_and(|items| items.len() > LONG) => {
                match Arc::unwrap_or_clone(value) {
                    Value::Array(items) => Held::list(items.len(), items, folder),
                    other => Ok(Held::from(other)),
                }
            }
            held => Ok(held),
        }
    }

    /// A list of so many items, in a file of the folder where they are many.
    pub fn list(count: usize, items: impl IntoIterator<Item = Value>, folder: &Path) -> Result<Held, Fault> {
        let mut list = Gathered::new(count, folder)?;
        for (at, item) in items.into_iter().enumerate() {
            list.put(at, item.into())?;
        }
        list.done()
    }

    /// All of it. A long list is in memory from then on.
    pub fn whole(&self) -> Result<Arc<Value>, Fault> {
        match self {
            Held::Whole(value) => Ok(value.clone()),
            Held::Long(list) => {
                if let Some(whole) = list.whole.get() {
                    return Ok(whole.clone());
                }
                let items: Vec<Value> = list.items().collect::<Result<_, _>>()?;
                Ok(list.whole.get_or_init(|| Arc::new(Value::Array(items))).clone())
            }
        }
    }

    /// The value, for whoever needs nothing else of it.
    pub fn into_value(self) -> Result<Value, Fault> {
        let whole = self.whole()?;
        drop(self);
        Ok(Arc::unwrap_or_clone(whole))
    }

    /// How many items it has, if it is a list.
    pub fn count(&self) -> Option<usize> {
        match self {
            Held::Whole(value) => value.as_array().map(Vec::len),
            Held::Long(list) => Some(list.count),
        }
    }

    /// Its items in order; none where it is no list.
    pub fn items(&self) -> Box<dyn Iterator<Item = Result<Value, Fault>> + '_> {
        match self {
            Held::Whole(value) => Box::new(value.as_array().into_iter().flatten().map(|item| Ok(item.clone()))),
            Held::Long(list) => Box::new(list.items()),
        }
    }

    /// Whether it is of a type; why not.
    pub fn check(&self, ty: &Type) -> Result<(), String> {
        match (self, ty) {
            (Held::Whole(value), ty) => check(value, ty).map_err(|m| m.to_string()),
            (Held::Long(list), Type::List(item)) => {
                for (at, value) in list.items().enumerate() {
                    let value = value.map_err(|fault| fault.message)?;
                    check_at(&value, item, &format!("$[{at}]")).map_err(|m| m.to_string())?;
                }
                Ok(())
            }
            (Held::Long(_), Type::Json | Type::Unknown) => Ok(()),
            (Held::Long(list), ty) => Err(format!("expected {ty}, found a list of {}", list.count)),
        }
    }

    /// Bytes of the JSON that [`Held::write`] writes, without spaces; none where that is not known beforehand.
    pub fn json_bytes(&self) -> Option<u64> {
        match self {
            Held::Whole(_) => None,
            // A comma or the bracket stands where a line ended.
            Held::Long(list) => Some(list.bytes + if list.count == 0 { 2 } else { 1 }),
        }
    }

    /// Writes it as JSON without spaces.
    pub fn write(&self, to: &mut dyn Write) -> std::io::Result<()> {
        match self {
            Held::Whole(value) => serde_json::to_writer(to, value.as_ref()).map_err(Into::into),
            Held::Long(list) => {
                to.write_all(b"[")?;
                let mut lines = Lines::of(list);
                let mut first = true;
                while let Some(line) = lines.next()? {
                    if !std::mem::take(&mut first) {
                        to.write_all(b",")?;
                    }
                    to.write_all(line)?;
                }
                to.write_all(b"]")
            }
        }
    }
}

impl Serialize for Held {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match self {
            Held::Whole(value) => value.serialize(s),
            Held::Long(list) => {
                let mut all = s.serialize_seq(Some(list.count))?;
                for item in list.items() {
                    all.serialize_element(&item.map_err(|fault| S::Error::custom(fault.message))?)?;
                }
                all.end()
            }
        }
    }
}

impl Long {
    fn items(&self) -> impl Iterator<Item = Result<Value, Fault>> + '_ {
        let mut lines = Lines::of(self);
        std::iter::from_fn(move || {
            let line = lines.next().map_err(|e| unread(&e));
            let read = |line: &[u8]| serde_json::from_slice(line).map_err(|e| unread(&e.into()));
            line.map(|line| line.map(read)).transpose().map(|read| read.and_then(|read| read))
        })
    }
}

fn unread(error: &std::io::Error) -> Fault {
    Fault::new(FaultKind::Storage, format!("a list of the run cannot be read back: {error}"))
}

/// Reads the lines of a list, at a place of its own.
struct Lines<'a> {
    list: &'a Long,
    part: Vec<u8>,
    /// Where in `part` the next line begins.
    at: usize,
    /// Where in the file the next part begins.
    next: u64,
}

impl<'a> Lines<'a> {
    fn of(list: &'a Long) -> Lines<'a> {
        Lines { list, part: Vec::new(), at: 0, next: 0 }
    }

    fn next(&mut self) -> std::io::Result<Option<&[u8]>> {
        let mut seen = self.at;
        loop {
            if let Some(end) = self.part[seen..].iter().position(|b| *b == b'\n') {
                let (from, to) = (self.at, seen + end);
                self.at = to + 1;
                return Ok(Some(&self.part[from..to]));
            }
            let left = self.list.bytes - self.next;
            if left == 0 {
                return if self.at == self.part.len() {
                    Ok(None)
                } else {
                    Err(std::io::ErrorKind::UnexpectedEof.into())
                };
            }
            self.part.drain(..self.at);
            (self.at, seen) = (0, self.part.len());
            let more = left.min(PART as u64) as usize;
            self.part.resize(seen + more, 0);
            self.list.file.read_exact_at(&mut self.part[seen..], self.next)?;
            self.next += more as u64;
        }
    }
}

/// A list that grows in any order.
pub struct Gathered {
    count: usize,
    place: Place,
}

enum Place {
    Memory(Vec<Value>),
    File { file: BufWriter<File>, bytes: u64, written: usize, later: BTreeMap<usize, Held> },
}

impl Gathered {
    /// A list that will have so many items; in a file of the folder where they are many.
    pub fn new(count: usize, folder: &Path) -> Result<Gathered, Fault> {
        let place = if count <= LONG {
            Place::Memory(vec![Value::Null; count])
        } else {
            let file = tempfile::tempfile_in(folder).map_err(|e| Fault::storage("make a file in", folder, &e))?;
            let file = BufWriter::with_capacity(PART, file);
            Place::File { file, bytes: 0, written: 0, later: BTreeMap::new() }
        };
        Ok(Gathered { count, place })
    }

    /// Whether the item at a place may be begun: in a file, not too far before the first that is not there.
    pub fn takes(&self, at: usize) -> bool {
        match &self.place {
            Place::Memory(_) => true,
            Place::File { written, .. } => at < written + AHEAD,
        }
    }

    /// How many values are in memory.
    pub fn held(&self) -> usize {
        match &self.place {
            Place::Memory(items) => items.len(),
            Place::File { later, .. } => later.len(),
        }
    }

    /// The item at a place.
    pub fn put(&mut self, at: usize, item: Held) -> Result<(), Fault> {
        match &mut self.place {
            Place::Memory(items) => {
                if let Some(place) = items.get_mut(at) {
                    *place = item.into_value()?;
                }
            }
            Place::File { file, bytes, written, later } => {
                later.insert(at, item);
                let mut to = Counted { to: file, bytes: 0 };
                while let Some(item) = later.remove(written) {
                    let wrote = item.write(&mut to).and_then(|()| to.write_all(b"\n"));
                    wrote.map_err(|e| {
                        Fault::new(FaultKind::Storage, format!("a list of the run cannot be written: {e}"))
                            .help("free some space, then `mkbc resume`: what is finished is kept")
                    })?;
                    *written += 1;
                }
                *bytes += to.bytes;
            }
        }
        Ok(())
    }

    /// The list; an item that was never put is null, at the end of a long one missing.
    pub fn done(self) -> Result<Held, Fault> {
        match self.place {
            Place::Memory(items) => Ok(Value::Array(items).into()),
            Place::File { file, bytes, written, .. } if written == self.count => {
                let file = file.into_inner().map_err(|e| unread(e.error()))?;
                Ok(Held::Long(Arc::new(Long { file, count: written, bytes, whole: OnceLock::new() })))
            }
            Place::File { written, .. } => {
                Err(Fault::plan(format!("a list has {written} items, and {} were said", self.count)))
            }
        }
    }
}

struct Counted<'a> {
    to: &'a mut BufWriter<File>,
    bytes: u64,
}

impl Write for Counted<'_> {
    fn write(&mut self, part: &[u8]) -> std::io::Result<usize> {
        let wrote = self.to.write(part)?;
        self.bytes += wrote as u64;
        Ok(wrote)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.to.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn item(n: usize) -> Value {
        json!({"n": n, "text": "ä\n".repeat(n % 50), "x": 0.1 * n as f64})
    }

    #[test]
    fn a_long_list_is_what_went_in_whatever_the_order() {
        let folder = tempfile::tempdir().expect("a folder");
        let count = LONG + 500;
        let all: Vec<Value> = (0..count).map(item).collect();
        let mut list = Gathered::new(count, folder.path()).expect("a list");
        let mut most = 0;
        // Blocks of 300, each from behind.
        for block in (0..count).collect::<Vec<_>>().chunks(300) {
            for at in block.iter().rev() {
                assert!(list.takes(*at));
                list.put(*at, all[*at].clone().into()).expect("written");
                most = most.max(list.held());
            }
        }
        assert_eq!((most, list.held()), (299, 0), "no more is in memory than waits for an earlier one");
        let held = list.done().expect("a list");
        assert!(matches!(held, Held::Long(_)) && held.count() == Some(count));
        assert!(held.items().map(|i| i.expect("an item")).eq(all.iter().cloned()));
        let whole = Value::Array(all);
        let mut text = Vec::new();
        held.write(&mut text).expect("written");
        assert_eq!(held.json_bytes(), Some(text.len() as u64));
        assert_eq!(text, whole.to_string().into_bytes());
        assert_eq!(serde_json::to_value(&held).expect("JSON"), whole);
        assert_eq!(held.into_value().expect("a value"), whole);
        assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 0, "the file has no name");
    }

    #[test]
    fn items_are_read_one_after_another() {
        let folder = tempfile::tempdir().expect("a folder");
        let held = Held::list(3 * LONG, (0..3 * LONG).map(item), folder.path()).expect("a list");
        // Two readers at their own places.
        for (n, (a, b)) in held.items().zip(held.items()).enumerate() {
            assert_eq!((a.expect("an item"), b.expect("an item")), (item(n), item(n)));
        }
        let short = Held::from(json!([1, 2])).short(folder.path()).expect("the same");
        assert!(matches!(short, Held::Whole(_)));
        let long = Held::from(Value::from(vec![0; LONG + 1])).short(folder.path()).expect("a list");
        assert!(matches!(long, Held::Long(_)));
    }

    #[test]
    fn types_are_those_of_the_items() {
        let folder = tempfile::tempdir().expect("a folder");
        let numbers = (0..=LONG).map(|n| if n == LONG { json!("x") } else { json!(n) });
        let held = Held::list(LONG + 1, numbers, folder.path()).expect("a list");
        let list = |item| Type::List(Box::new(item));
        assert_eq!(held.check(&list(Type::Json)), Ok(()));
        let wrong = held.check(&list(Type::Int)).expect_err("a text");
        assert!(wrong.starts_with("at `$[4096]`"), "{wrong}");
        assert!(held.check(&Type::Text).is_err());
        assert!(Gathered::new(LONG + 1, folder.path()).expect("a list").done().is_err(), "nothing was put");
    }
}
