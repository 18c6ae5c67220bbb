//! A table of anybody's → rows, by saying which of its columns is what.

use super::{Row, fields};
use std::ops::Range;

/// Which column holds what.
#[derive(Clone, Debug, Default)]
pub struct Mapping {
    /// A profile's column (a knob, `device`, `units`, `date`, …) and the table's.
    pub columns: Vec<(String, String)>,
    /// A figure, the table's column, and the unit of its values.
    pub figures: Vec<(String, String, String)>,
    /// A profile's column, a value in the table, and the value that the library calls it by.
    pub values: Vec<(String, String, String)>,
}

/// Reads a table. `base` holds the cells that are the same for all rows: `evidence`, `source`, …; rows with an empty figure give none.
pub fn read(text: &str, mapping: &Mapping, base: &Row) -> Result<Vec<Row>, String> {
    let mut reader = ::csv::ReaderBuilder::new().trim(::csv::Trim::All).from_reader(text.as_bytes());
    let header = reader.headers().map_err(|e| e.to_string())?.clone();
    let place = |name: &str| {
        header.iter().position(|h| h == name).ok_or_else(|| {
            let near = crate::diag::nearest(name, header.iter());
            format!("there is no column `{name}`{}", near.map_or(String::new(), |n| format!(": did you mean `{n}`?")))
        })
    };
    let columns: Result<Vec<(&str, usize)>, String> =
        mapping.columns.iter().map(|(to, from)| Ok((to.as_str(), place(from)?))).collect();
    let figures: Result<Vec<(&str, usize, &str)>, String> =
        mapping.figures.iter().map(|(figure, from, unit)| Ok((figure.as_str(), place(from)?, unit.as_str()))).collect();
    let (columns, figures) = (columns?, figures?);
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|e| e.to_string())?;
        let line = record.position().map_or(0, ::csv::Position::line);
        let start = record.position().map_or(0, |position| position.byte() as usize);
        let places = fields(text, start);
        let place = |row: Row, column: &str, field: usize| match places.get(field) {
            Some(bytes) => row.read_from(column, bytes.clone()),
            None => row,
        };
        let mut at = base.clone();
        for (to, from) in &columns {
            let value = record.get(*from).unwrap_or_default();
            let renamed = mapping.values.iter().find(|(column, v, _)| column == to && v == value);
            at = place(at.with(to, renamed.map_or(value, |(.., to)| to.as_str())), to, *from);
        }
        for (figure, from, unit) in &figures {
            let cell = record.get(*from).unwrap_or_default();
            if cell.is_empty() {
                continue;
            }
            let number = cell.parse::<f64>().ok().filter(|n| n.is_finite() && *n >= 0.0);
            let number = number.ok_or_else(|| {
                let before =
                    |bytes: &Range<usize>| text[..bytes.start].rsplit('\n').next().map_or(0, |t| t.chars().count());
                let column = 1 + places.get(*from).map_or(0, before);
                format!("line {line}, column {column}: `{cell}` is no figure for `{figure}`")
            })?;
            let row = at.clone().with("figure", *figure).with("value", super::plain(number)).with("unit", *unit);
            rows.push(place(row, "value", *from));
        }
    }
    if rows.is_empty() {
        return Err("the table gives no figure".into());
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapping() -> Mapping {
        Mapping {
            columns: vec![("variant".into(), "model".into()), ("batch".into(), "concurrency".into())],
            figures: vec![("ttft".into(), "ttft_ms".into(), "ms".into())],
            values: vec![("variant".into(), "Llama 8B".into(), "llama_8b".into())],
        }
    }

    #[test]
    fn columns_are_found_and_values_renamed() {
        let table = "model,concurrency,ttft_ms\nLlama 8B,8,12.5\nother,1,\n";
        let rows = read(table, &mapping(), &Row::default().with("evidence", "published")).expect("rows");
        assert_eq!(rows.len(), 1);
        let cells = ["variant", "batch", "figure", "value", "unit", "evidence"].map(|c| rows[0].cell(c));
        assert_eq!(cells, ["llama_8b", "8", "ttft", "12.5", "ms", "published"]);
    }

    #[test]
    fn cells_know_where_they_were_read() {
        let table = "model, concurrency ,ttft_ms\r\n\"Llama 8B\", 8 ,12.5\r\n\"a, b\",1,3\r\n";
        let rows = read(table, &mapping(), &Row::default()).expect("rows");
        let of = |row: usize, column: &str| rows[row].origin(column).map(|bytes| &table[bytes]);
        assert_eq!((of(0, "variant"), of(0, "batch"), of(0, "value")), (Some("Llama 8B"), Some("8"), Some("12.5")));
        assert_eq!((of(1, "variant"), of(1, "device")), (Some("a, b"), Some("3")));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let wrong = |table: &str| read(table, &mapping(), &Row::default()).expect_err("wrong");
        assert_eq!(wrong("model,concurency,ttft_ms\n"), "there is no column `concurrency`: did you mean `concurency`?");
        assert_eq!(wrong("model,concurrency,ttft_ms\na,1,NaN\n"), "line 2, column 5: `NaN` is no figure for `ttft`");
        assert_eq!(wrong("model,concurrency,ttft_ms\na,1,-3\n"), "line 2, column 5: `-3` is no figure for `ttft`");
        assert_eq!(wrong("model,concurrency,ttft_ms\na,1,\n"), "the table gives no figure");
    }
}
