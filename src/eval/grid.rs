//! Results ↔ a CSV of a grid: configuration, item, score and what it took; such a CSV → a grid that searches are tried on.

use super::front::Worth;
use super::halving::Seen;
use super::output::Against;
use super::record::Outcome;

/// The columns.
const COLUMNS: [&str; 7] = ["configuration", "item", "score", "wall_s", "cpu_s", "cost_usd", "failed"];

/// A recorded grid.
#[derive(Clone, Debug)]
pub struct Grid {
    /// The configurations.
    pub configurations: Vec<String>,
    /// The items.
    pub items: Vec<String>,
    /// What was measured.
    pub seen: Seen,
}

/// Writes results.
pub fn write<'a>(outcomes: impl Iterator<Item = &'a Outcome>) -> Result<String, String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(COLUMNS).map_err(|e| e.to_string())?;
    let shown = |n: Option<f64>| {
        n.map_or(String::new(), |n| format!("{:.6}", n).trim_end_matches('0').trim_end_matches('.').to_string())
    };
    for o in outcomes {
        let numbers = [
            shown(o.score),
            shown(Some(o.wall_s)),
            shown(o.cpu_s),
            o.cost_usd.map_or(String::new(), |c| format!("{c:.4e}")),
        ];
        let [score, wall, cpu, cost] = numbers;
        let failed = inert(o.failed.as_deref().unwrap_or_default());
        writer.write_record([&o.label, &o.item, &score, &wall, &cpu, &cost, &failed]).map_err(|e| e.to_string())?;
    }
    let bytes = writer.into_inner().map_err(|e| e.to_string())?;
    String::from_utf8(bytes).map_err(|e| e.to_string())
}

/// A text of others as it may stand in a table: a program that opens the table must not take it for a formula.
fn inert(text: &str) -> String {
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    if formula { format!("'{text}") } else { text.to_owned() }
}

/// Reads a recording; the error names the line.
pub fn read(text: &str, against: Against) -> Result<Grid, String> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    if reader.headers().map_err(|e| e.to_string())?.iter().ne(COLUMNS) {
        return Err(format!(
            "its columns are not `{}`: `mkbc eval` writes such a file as results.csv",
            COLUMNS.join(",")
        ));
    }
    let cost = match against {
        Against::Latency => 3,
        Against::Cpu => 4,
        Against::Cost => 5,
    };
    let mut grid = Grid { configurations: Vec::new(), items: Vec::new(), seen: Seen::new() };
    let place = |names: &mut Vec<String>, name: &str| {
        names.iter().position(|n| n == name).unwrap_or_else(|| {
            names.push(name.to_string());
            names.len() - 1
        })
    };
    for (number, record) in reader.records().enumerate() {
        let record = record.map_err(|e| e.to_string())?;
        let figure = |column: usize| record[column].parse::<f64>().ok().filter(|n| n.is_finite() && *n >= 0.0);
        let (quality, cost) = match (figure(2).filter(|q| *q <= 1.0), figure(cost)) {
            (Some(quality), Some(cost)) => (quality, cost),
            _ => return Err(format!("line {}: a score or `{}` that is no figure", number + 2, COLUMNS[cost])),
        };
        let pair = (place(&mut grid.configurations, &record[0]), place(&mut grid.items, &record[1]));
        if grid.seen.insert(pair, Worth { quality, cost }).is_some() {
            return Err(format!("line {}: this configuration and item are there twice", number + 2));
        }
    }
    Ok(grid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_say_is_no_formula() {
        for text in ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx"] {
            assert_eq!(inert(text), format!("'{text}"));
        }
        assert_eq!((inert("a=1").as_str(), inert("").as_str()), ("a=1", ""));
    }

    #[test]
    fn bad_recordings_are_named() {
        let head = COLUMNS.join(",");
        assert!(read("a,b\n", Against::Cpu).is_err());
        for (lines, part) in [
            ("a,1,NaN,1,1,1,\n", "line 2"),
            ("a,1,2,1,1,1,\n", "line 2"),
            ("a,1,1,1,,1,\n", "`cpu_s`"),
            ("a,1,1,1,1,1,\na,1,1,1,1,1,\n", "twice"),
        ] {
            let said = read(&format!("{head}\n{lines}"), Against::Cpu).expect_err(part);
            assert!(said.contains(part), "{said}");
        }
        let grid = read(&format!("{head}\na,1,0.5,2,1,3e-5,\nb,1,1,2,1,3e-5,\n"), Against::Cost).expect("a grid");
        assert_eq!(grid.seen[&(1, 0)], Worth { quality: 1.0, cost: 3e-5 });
    }
}
