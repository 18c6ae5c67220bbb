//! Figures of others → rows of a profile, each with where it comes from.
//!
//! Nothing is taken for more than it is: a tool's estimate stays `estimated`, a submitted result is `published`.

pub mod aiconfigurator;
pub mod csv;
pub mod mlperf;

use super::plain;
use crate::library::Implementation;
use crate::library::profile::table::COLUMNS;
use std::ops::Range;

/// A row to be: cells by column; what is left out is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Row {
    cells: Vec<(String, String)>,
    /// The bytes of the table that cells were read from, by column.
    read_from: Vec<(String, Range<usize>)>,
}

impl Row {
    /// The row with a cell more; a cell that is there already is replaced.
    pub fn with(mut self, column: &str, value: impl Into<String>) -> Row {
        self.cells.retain(|(c, _)| c != column);
        self.cells.push((column.to_string(), value.into()));
        self
    }

    /// The row, with the bytes of the table that a cell was read from.
    fn read_from(mut self, column: &str, bytes: Range<usize>) -> Row {
        self.read_from.push((column.to_string(), bytes));
        self
    }

    fn cell(&self, column: &str) -> &str {
        self.cells.iter().find(|(c, _)| c == column).map_or("", |(_, v)| v.as_str())
    }

    /// The bytes that a cell was read from; those of its figure, where it was given otherwise.
    fn origin(&self, column: &str) -> Option<Range<usize>> {
        let of = |column: &str| self.read_from.iter().find(|(c, _)| c == column).map(|(_, bytes)| bytes.clone());
        of(column).or_else(|| of("value"))
    }
}

/// Rows as a profile's text, which knows where its cells were read from.
pub struct Written {
    /// The text.
    pub text: String,
    header: Vec<String>,
    /// In the order of the lines.
    rows: Vec<Row>,
}

impl Written {
    /// The bytes of the table that stand behind the cell at a byte of the text.
    pub fn origin(&self, at: usize) -> Option<Range<usize>> {
        let before = self.text.get(..at)?;
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let row = self.rows.get(before.matches('\n').count().checked_sub(1)?)?;
        let field = fields(&self.text, start).iter().position(|bytes| bytes.end >= at)?;
        row.origin(self.header.get(field)?)
    }
}

/// The bytes of the fields of the record that begins at a byte, without quotes and blanks around them.
fn fields(text: &str, start: usize) -> Vec<Range<usize>> {
    // A reader says that a record begins where the last one's line feed is.
    let start = start + text[start..].bytes().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    let (mut all, mut from, mut quoted) = (Vec::new(), start, false);
    let trimmed = |bytes: Range<usize>| {
        let field = text[bytes.clone()].trim_start_matches([' ', '\t', '"']);
        let begin = bytes.end - field.len();
        begin..begin + field.trim_end_matches([' ', '\t', '\r', '"']).len()
    };
    for (at, byte) in text.bytes().enumerate().skip(start) {
        match byte {
            b'"' => quoted = !quoted,
            b',' if !quoted => {
                all.push(trimmed(from..at));
                from = at + 1;
            }
            b'\n' if !quoted => {
                all.push(trimmed(from..at));
                return all;
            }
            _ => {}
        }
    }
    all.push(trimmed(from..text.len()));
    all
}

/// The columns in front of the usual ones that imported rows may fill, beside the knobs.
const CONDITIONS: [&str; 8] = ["task", "benchmark", "reporter", "date", "input", "output", "engine", "otherwise"];

/// The rows as a profile of an implementation, in order and each once; with the columns that some row fills.
pub fn written(entry: &Implementation, mut rows: Vec<Row>) -> Result<Written, String> {
    let knobs = entry.knobs.iter().map(|(n, _)| n.as_str());
    let used = |column: &&str| rows.iter().any(|r| !r.cell(column).is_empty());
    let header: Vec<&str> = knobs.chain(CONDITIONS).filter(used).chain(COLUMNS).collect();
    let unknown = |(c, v): &&(String, String)| !v.is_empty() && !header.contains(&c.as_str());
    if let Some((column, _)) = rows.iter().flat_map(|row| &row.cells).find(unknown) {
        return Err(format!("`{}` has no knob `{column}`", entry.name));
    }
    let header: Vec<String> = header.into_iter().map(str::to_string).collect();
    let line = |row: &Row| header.iter().map(|column| row.cell(column).to_string()).collect::<Vec<_>>();
    rows.sort_by_cached_key(line);
    rows.dedup_by_key(|row| line(row));
    let mut writer = ::csv::Writer::from_writer(Vec::new());
    let all = std::iter::once(header.clone()).chain(rows.iter().map(line));
    all.into_iter().try_for_each(|line| writer.write_record(line)).map_err(|e| e.to_string())?;
    let text = String::from_utf8(writer.into_inner().map_err(|e| e.to_string())?).map_err(|e| e.to_string())?;
    Ok(Written { text, header, rows })
}

/// The rows of a profile that was written so, to be added to.
pub fn read(text: &str) -> Result<Vec<Row>, String> {
    let mut reader = ::csv::Reader::from_reader(text.as_bytes());
    let header = reader.headers().map_err(|e| e.to_string())?.clone();
    let row = |record: ::csv::StringRecord| {
        let cells = header.iter().zip(&record).filter(|(_, cell)| !cell.is_empty());
        cells.fold(Row::default(), |row, (column, cell)| row.with(column, cell))
    };
    reader.records().map(|record| record.map(row).map_err(|e| e.to_string())).collect()
}

/// Earlier rows with new ones in place of those that speak of the same figure in the same setting.
pub fn added(earlier: Vec<Row>, rows: Vec<Row>) -> Vec<Row> {
    const ABOUT: [&str; 7] = ["value", "unit", "low", "high", "evidence", "source", "date"];
    let key = |row: &Row| {
        let mut cells: Vec<(String, String)> =
            row.cells.iter().filter(|(c, _)| !ABOUT.contains(&c.as_str())).cloned().collect();
        cells.sort();
        cells
    };
    let new: std::collections::BTreeSet<_> = rows.iter().map(key).collect();
    earlier.into_iter().filter(|row| !new.contains(&key(row))).chain(rows).collect()
}
