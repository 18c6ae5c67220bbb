//! A dataset file (JSONL, CSV, Parquet) → items: cells by column, each item with a digest; everything bounded.

use crate::digest::digest;
use parquet::file::reader::{FileReader, SerializedFileReader};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

/// Bytes of the longest line.
const MOST_LINE: u64 = 16 << 20;
/// Bytes of a dataset that is read as a whole (CSV, Parquet), and of all kept items.
const MOST_BYTES: u64 = 512 << 20;
/// Items of a dataset.
const MOST_ITEMS: usize = 1_000_000;

/// An item.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// Its cell in the column `id`, or its number from 1.
    pub id: String,
    /// Its cells by column.
    pub cells: Map<String, Value>,
    /// What it is recognised by when an evaluation goes on: a digest of its cells.
    pub digest: String,
}

/// A dataset.
#[derive(Clone, Debug)]
pub struct Dataset {
    /// The file's name without ending.
    pub name: String,
    /// The folder that paths of media are relative to.
    pub folder: PathBuf,
    /// The columns, in order.
    pub columns: Vec<String>,
    /// The items; at least one.
    pub items: Vec<Item>,
    /// Whether cells are texts, whatever they mean (CSV).
    pub plain: bool,
}

/// Reads a dataset, at most `limit` items of it. The error names the file and the line.
pub fn open(path: &Path, limit: Option<usize>) -> Result<Dataset, String> {
    let shown = path.display();
    let about = std::fs::metadata(path).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => format!("there is no dataset `{shown}`"),
        _ => format!("cannot read the dataset `{shown}`: {e}"),
    })?;
    if !about.is_file() {
        return Err(format!("the dataset `{shown}` is no regular file"));
    }
    let ending = path.extension().and_then(|e| e.to_str()).unwrap_or_default().to_lowercase();
    let most = limit.unwrap_or(MOST_ITEMS).min(MOST_ITEMS);
    let said = |why: String| format!("the dataset `{shown}`: {why}");
    if ending != "jsonl" && about.len() > MOST_BYTES {
        let mb = about.len() >> 20;
        return Err(said(format!(
            "it has {mb} MB; write it as JSONL, which is read line by line (others: {} MB)",
            MOST_BYTES >> 20
        )));
    }
    let rows = match ending.as_str() {
        "jsonl" | "ndjson" => jsonl(path, most),
        "csv" | "tsv" => table(path, most, if ending == "tsv" { b'\t' } else { b',' }),
        "parquet" => columns(path, most),
        _ => Err("its name ends in none of .jsonl, .csv, .tsv, .parquet".to_string()),
    };
    let rows = rows.map_err(said)?;
    if rows.is_empty() {
        return Err(format!("the dataset `{shown}` has no items"));
    }
    let mut names: Vec<String> = Vec::new();
    for row in &rows {
        names.extend(row.keys().filter(|k| !names.contains(k)).cloned().collect::<Vec<_>>());
    }
    let mut seen = BTreeMap::new();
    let mut items = Vec::with_capacity(rows.len());
    for (number, cells) in rows.into_iter().enumerate() {
        let id = match cells.get("id") {
            Some(Value::String(text)) if !text.is_empty() => text.clone(),
            Some(Value::Number(n)) => n.to_string(),
            _ => (number + 1).to_string(),
        };
        if let Some(first) = seen.insert(id.clone(), number + 1) {
            return Err(format!("the dataset `{shown}`: items {first} and {} have the same id `{id}`", number + 1));
        }
        let text = serde_json::to_string(&cells).unwrap_or_default();
        items.push(Item { id, digest: digest([text.as_str()])[..16].to_string(), cells });
    }
    let stem = path.file_stem().and_then(|s| s.to_str()).unwrap_or("dataset");
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let folder = folder.canonicalize().map_err(|e| format!("cannot find the folder of `{shown}`: {e}"))?;
    let plain = matches!(ending.as_str(), "csv" | "tsv");
    Ok(Dataset { name: stem.to_string(), folder, columns: names, items, plain })
}

/// What programs of Windows write in front of UTF-8.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

type Rows = Result<Vec<Map<String, Value>>, String>;

fn jsonl(path: &Path, most: usize) -> Rows {
    let mut reader = BufReader::new(File::open(path).map_err(|e| e.to_string())?);
    let (mut rows, mut number, mut kept) = (Vec::new(), 0_usize, 0_u64);
    let mut line = Vec::new();
    let marked = reader.fill_buf().map_err(|e| e.to_string())?.starts_with(BYTE_ORDER_MARK);
    reader.consume(if marked { BYTE_ORDER_MARK.len() } else { 0 });
    while rows.len() < most {
        line.clear();
        number += 1;
        let read = reader.by_ref().take(MOST_LINE + 1).read_until(b'\n', &mut line).map_err(|e| e.to_string())? as u64;
        kept += read;
        if read > MOST_LINE {
            return Err(format!(
                "line {number} is longer than {} MB: give large data as a file's path",
                MOST_LINE >> 20
            ));
        }
        if kept > MOST_BYTES {
            return Err(format!("its first {number} lines have more than {} MB: use `--limit`", MOST_BYTES >> 20));
        }
        if read == 0 {
            break;
        }
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        match serde_json::from_slice(&line) {
            Ok(Value::Object(cells)) => rows.push(cells),
            Ok(_) => return Err(format!("line {number} is no JSON object")),
            Err(e) => {
                // The row is a line: which one of its own lines the parser was at says nothing.
                let why = e.to_string();
                let why = why.split(" at line ").next().unwrap_or_default();
                return Err(format!("line {number} is no JSON: {why}"));
            }
        }
    }
    Ok(rows)
}

fn table(path: &Path, most: usize, delimiter: u8) -> Rows {
    let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).from_path(path).map_err(|e| e.to_string())?;
    let header = reader.headers().map_err(|e| format!("its header cannot be read: {e}"))?.clone();
    if let Some(twice) = header.iter().enumerate().find(|(i, name)| header.iter().take(*i).any(|n| n == *name)) {
        return Err(format!("the column `{}` is there twice", twice.1));
    }
    let mut rows = Vec::new();
    for record in reader.records().take(most) {
        let record = record.map_err(|e| e.to_string())?;
        // An empty cell is an absent value.
        let cells = header.iter().zip(&record).filter(|(_, cell)| !cell.is_empty());
        rows.push(cells.map(|(name, cell)| (name.to_string(), Value::from(cell))).collect());
    }
    Ok(rows)
}

fn columns(path: &Path, most: usize) -> Rows {
    let file = File::open(path).map_err(|e| e.to_string())?;
    let reader = SerializedFileReader::new(file).map_err(|e| format!("it is no Parquet file: {e}"))?;
    let iterate = reader.get_row_iter(None).map_err(|e| e.to_string())?;
    let mut rows = Vec::new();
    for (number, row) in iterate.take(most).enumerate() {
        let row = row.map_err(|e| format!("row {}: {e}", number + 1))?;
        match row.to_json_value() {
            Value::Object(cells) => rows.push(cells.into_iter().filter(|(_, v)| !v.is_null()).collect()),
            _ => return Err(format!("row {} is no record", number + 1)),
        }
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn opened(name: &str, bytes: &[u8]) -> Result<Dataset, String> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).expect("write");
        open(&path, None).map_err(|e| e.replace(&format!("{}", path.display()), name))
    }

    #[test]
    fn lines_are_items() {
        let set = opened("a.jsonl", b"{\"id\": \"x\", \"q\": \"1+1\", \"a\": 2}\n\n{\"q\": \"2\", \"a\": [1]}\n")
            .expect("a set");
        assert_eq!((set.name.as_str(), set.columns.as_slice()), ("a", ["id", "q", "a"].map(String::from).as_slice()));
        assert_eq!(set.items.iter().map(|i| i.id.as_str()).collect::<Vec<_>>(), ["x", "2"]);
        assert_eq!(set.items[1].cells["a"], json!([1]));
        let set = opened("a.csv", b"q,a\nx,\"1, 2\"\ny,\n").expect("a set");
        assert_eq!(set.items[0].cells["a"], json!("1, 2"));
        assert!(!set.items[1].cells.contains_key("a"));
    }

    #[test]
    fn bad_files_are_named() {
        let long = [b"{\"a\": \"".to_vec(), vec![b'x'; (MOST_LINE + 10) as usize], b"\"}\n".to_vec()].concat();
        let wrong: [(&str, &[u8], &str); 8] = [
            ("a.jsonl", b"", "has no items"),
            ("a.jsonl", b"{\"a\": 1}\n[1]\n", "line 2 is no JSON object"),
            ("a.jsonl", b"{\"a\": NaN}\n", "line 1 is no JSON"),
            ("a.jsonl", &long, "line 1 is longer than 16 MB"),
            ("a.csv", b"a,a\n1,2\n", "the column `a` is there twice"),
            ("a.csv", b"a,b\n1\n", "found record with 1 fields"),
            ("a.parquet", b"nothing", "it is no Parquet file"),
            ("a.xml", b"<a/>", "ends in none of"),
        ];
        for (name, bytes, part) in wrong {
            let said = opened(name, bytes).expect_err(part);
            assert!(said.contains(part), "{said}");
        }
        assert!(opened("b.jsonl", b"{\"id\": 1}\n{\"id\": 1}\n").expect_err("twice").contains("same id `1`"));
    }

    #[test]
    fn parquet_rows_are_items() {
        use parquet::data_type::{ByteArray, ByteArrayType, DoubleType};
        use parquet::file::writer::SerializedFileWriter;
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.parquet");
        let schema = "message m { required binary q (UTF8); optional double a; }";
        let schema = parquet::schema::parser::parse_message_type(schema).expect("a schema");
        let file = File::create(&path).expect("a file");
        let mut writer = SerializedFileWriter::new(file, schema.into(), Default::default()).expect("a writer");
        let mut group = writer.next_row_group().expect("a group");
        let mut column = group.next_column().expect("a column").expect("one");
        let texts = [ByteArray::from("one"), ByteArray::from("two")];
        column.typed::<ByteArrayType>().write_batch(&texts, None, None).expect("written");
        column.close().expect("closed");
        let mut column = group.next_column().expect("a column").expect("one");
        column.typed::<DoubleType>().write_batch(&[0.5], Some(&[1, 0]), None).expect("written");
        column.close().expect("closed");
        group.close().expect("closed");
        writer.close().expect("closed");
        let set = open(&path, None).expect("a set");
        assert_eq!(set.items[0].cells, *json!({"q": "one", "a": 0.5}).as_object().expect("an object"));
        assert_eq!(set.items[1].cells, *json!({"q": "two"}).as_object().expect("an object"));
    }
}
