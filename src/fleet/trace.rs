//! Lines of a trace → arrivals, one after the other: CSV with a header (`TIMESTAMP` or `timestamp`, and `job` where there are several), in
//! seconds or as `2023-11-16 18:17:03.97`; or JSON lines with `timestamp` in milliseconds. Nothing but the line at hand is kept.

use crate::units::counted;
use ecow::EcoString;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::Deserialize;
use std::borrow::Cow;
use std::io::BufRead;

/// What columns of sizes are called, in lower case.
const INPUT: [&str; 4] = ["input", "input_tokens", "input_length", "contexttokens"];
const OUTPUT: [&str; 4] = ["output", "output_tokens", "output_length", "generatedtokens"];

/// A line of a trace.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// When, in microseconds; from when on differs from trace to trace.
    pub at: i64,
    /// Whose; empty where the trace says nothing.
    pub job: EcoString,
    /// What goes in, in any unit; where sizes are asked for and there.
    pub input: Option<f64>,
    /// What comes out, likewise.
    pub output: Option<f64>,
    /// The blocks of a prefix that the input begins with, where sizes are asked for and JSON says them (`hash_ids`).
    pub prefix: Vec<u64>,
    /// The line, from 1.
    pub line: u64,
}

/// A trace that is being read.
pub struct Trace<'a> {
    form: Form<'a>,
    sizes: bool,
}

enum Form<'a> {
    Csv {
        rows: Box<csv::Reader<Box<dyn BufRead + 'a>>>,
        row: csv::StringRecord,
        columns: Columns,
    },
    /// With what the first line says: whether there is an input, and an output.
    Json {
        reader: Box<dyn BufRead + 'a>,
        text: String,
        line: u64,
        says: Option<(bool, bool)>,
    },
}

struct Columns {
    count: usize,
    stamp: usize,
    job: Option<usize>,
    input: Option<usize>,
    output: Option<usize>,
}

#[derive(Deserialize)]
struct Json<'a> {
    timestamp: Option<f64>,
    #[serde(borrow, default)]
    job: Option<Cow<'a, str>>,
    #[serde(default, alias = "input", alias = "input_tokens")]
    input_length: Option<f64>,
    #[serde(default, alias = "output", alias = "output_tokens")]
    output_length: Option<f64>,
    #[serde(default)]
    hash_ids: Vec<u64>,
}

impl<'a> Trace<'a> {
    /// Begins to read. With `sizes`, a size that is not more than zero is an error, and so is a line without one where others have one.
    pub fn open(mut reader: Box<dyn BufRead + 'a>, sizes: bool) -> Result<Trace<'a>, String> {
        let begins = reader.fill_buf().map_err(|e| fault(1, &e.to_string()))?;
        if begins.is_empty() {
            return Err("it is empty".to_owned());
        }
        let begins = begins.trim_ascii_start().first().copied();
        if begins == Some(b'{') {
            return Ok(Trace { form: Form::Json { reader, text: String::new(), line: 0, says: None }, sizes });
        }
        let mut rows = csv::ReaderBuilder::new().flexible(true).trim(csv::Trim::All).from_reader(reader);
        let header = rows.headers().map_err(|e| unread(1, &e))?;
        let column = |names: &[&str]| {
            let mut places = (0..header.len()).filter(|at| names.contains(&header[*at].to_lowercase().as_str()));
            match (places.next(), places.next()) {
                (Some(one), Some(other)) => {
                    Err(fault(1, &format!("the columns `{}` and `{}` say the same", &header[one], &header[other])))
                }
                (place, _) => Ok(place),
            }
        };
        let columns = Columns {
            count: header.len(),
            stamp: column(&["timestamp"])?.ok_or("it has no column `timestamp`")?,
            job: column(&["job"])?,
            input: column(&INPUT)?,
            output: column(&OUTPUT)?,
        };
        Ok(Trace { form: Form::Csv { rows: Box::new(rows), row: csv::StringRecord::new(), columns }, sizes })
    }

    fn read(&mut self) -> Result<Option<Row>, String> {
        let sizes = self.sizes;
        match &mut self.form {
            Form::Csv { rows, row, columns } => {
                let here = rows.position().line();
                if !rows.read_record(row).map_err(|e| unread(here, &e))? {
                    return Ok(None);
                }
                let line = row.position().map_or(here, csv::Position::line);
                if row.len() != columns.count {
                    let (has, count) = (counted(row.len(), "field"), columns.count);
                    return Err(fault(line, &format!("it has {has}, and the header has {count}")));
                }
                let text = row.get(columns.stamp).unwrap_or_default();
                let at = time(text).ok_or_else(|| fault(line, &format!("`{text}` is no time")))?;
                let size =
                    |column: Option<usize>| match column.filter(|_| sizes).map(|c| row.get(c).unwrap_or_default()) {
                        None => Ok(None),
                        Some(text) => match text.parse::<f64>() {
                            Ok(size) => sized(size, text, line).map(Some),
                            Err(_) => Err(fault(line, &format!("`{text}` is no size"))),
                        },
                    };
                let job = columns.job.and_then(|job| row.get(job)).unwrap_or_default().into();
                let (input, output) = (size(columns.input)?, size(columns.output)?);
                Ok(Some(Row { at, job, input, output, prefix: Vec::new(), line }))
            }
            Form::Json { reader, text, line, says } => loop {
                text.clear();
                *line += 1;
                if reader.read_line(text).map_err(|e| fault(*line, &e.to_string()))? == 0 {
                    return Ok(None);
                }
                if text.trim().is_empty() {
                    continue;
                }
                // A list would be read as the fields in their order.
                if !text.trim_start().starts_with('{') {
                    return Err(fault(*line, "it is no JSON object"));
                }
                let row: Json = serde_json::from_str(text).map_err(|e| {
                    // The parser sees one line, and calls it the first.
                    let why = e.to_string().replace(" at line 1 column ", " at column ");
                    fault(*line, &format!("no JSON: {why}"))
                })?;
                let stamp = row.timestamp.ok_or_else(|| fault(*line, "no number `timestamp`"))?;
                let at = whole(stamp * 1000.0).ok_or_else(|| fault(*line, "the time is out of range"))?;
                let size = |size: Option<f64>| match size.filter(|_| sizes) {
                    None => Ok(None),
                    Some(size) => sized(size, &size.to_string(), *line).map(Some),
                };
                let job = row.job.as_deref().unwrap_or_default().into();
                let (input, output) = (size(row.input_length)?, size(row.output_length)?);
                // What a line without a size takes nobody knows, where sizes are shares of their mean.
                let (first, own) = (says.get_or_insert((input.is_some(), output.is_some())), (&input, &output));
                for (name, first, own) in [("input", first.0, own.0), ("output", first.1, own.1)] {
                    match (first, own) {
                        (true, None) => {
                            return Err(fault(*line, &format!("no `{name}_length`, as the first line has")));
                        }
                        (false, Some(_)) => {
                            return Err(fault(*line, &format!("the first line has no `{name}_length`")));
                        }
                        _ => {}
                    }
                }
                let prefix = if sizes { row.hash_ids } else { Vec::new() };
                return Ok(Some(Row { at, job, input, output, prefix, line: *line }));
            },
        }
    }
}

impl Iterator for Trace<'_> {
    type Item = Result<Row, String>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}

fn fault(line: u64, what: &str) -> String {
    format!("line {line}: {what}")
}

/// What keeps a line of CSV from being read: the reader's own words name the line once more.
fn unread(line: u64, why: &csv::Error) -> String {
    match why.kind() {
        csv::ErrorKind::Io(why) => fault(line, &why.to_string()),
        csv::ErrorKind::Utf8 { .. } => fault(line, "it is no text in UTF-8"),
        _ => fault(line, &why.to_string()),
    }
}

fn sized(size: f64, text: &str, line: u64) -> Result<f64, String> {
    match size.is_finite() && size > 0.0 {
        true => Ok(size),
        false => Err(fault(line, &format!("the size `{text}` is not more than zero"))),
    }
}

/// Microseconds of a time in seconds, or as date and time of day: with an offset, or in the trace's own time, as it stands.
fn time(text: &str) -> Option<i64> {
    if let Ok(seconds) = text.parse::<f64>() {
        return whole(seconds * 1e6);
    }
    let at = match text.parse::<jiff::Timestamp>() {
        Ok(at) => at,
        Err(_) => text.parse::<DateTime>().ok()?.to_zoned(TimeZone::UTC).ok()?.timestamp(),
    };
    Some(at.as_microsecond())
}

/// A number of microseconds, to the nearest one.
fn whole(microseconds: f64) -> Option<i64> {
    (microseconds.is_finite() && microseconds.abs() < 1e17).then_some(microseconds.round() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(text: &str) -> Result<Vec<Row>, String> {
        Trace::open(Box::new(text.as_bytes()), true)?.collect()
    }

    #[test]
    fn lines_have_times_jobs_and_sizes() {
        let csv = rows("TIMESTAMP,ContextTokens,GeneratedTokens,job\n2023-11-16 18:17:03.9799600,4808,10,a\n").unwrap();
        assert_eq!((csv[0].at % 1_000_000, csv[0].job.as_str(), csv[0].line), (979_960, "a", 2));
        assert_eq!((csv[0].input, csv[0].output), (Some(4808.0), Some(10.0)));
        let json =
            rows("{\"timestamp\": 27, \"input_length\": 3, \"output_length\": 2, \"hash_ids\": [1, 2]}\n\n").unwrap();
        assert_eq!((json.len(), json[0].at, json[0].input), (1, 27_000, Some(3.0)));
        assert_eq!(json[0].prefix, [1, 2]);
    }

    #[test]
    fn times_are_those_of_a_calendar() {
        let at = |text: &str| time(text).map(|at| at / 1_000_000);
        assert_eq!(at("1970-01-01 00:01:00"), Some(60));
        assert_eq!(at("1970-01-01T02:01:00+02:00"), Some(60));
        assert_eq!(at("1969-12-31 22:01:00-02:00"), Some(60));
        assert_eq!(at("1970-01-01T00:01:00Z"), Some(60));
        for wrong in ["2023-02-30 10:00:00", "2023-13-01 10:00:00", "2023-01-01 25:00:00", "soon", ""] {
            assert_eq!(at(wrong), None, "{wrong}");
        }
        assert_eq!(rows("").unwrap_err(), "it is empty");
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        for (text, said) in [
            ("timestamp,input\n1,4\n2,0\n", "line 3: the size `0` is not more than zero"),
            ("timestamp,input\n1,-4\n", "line 2: the size `-4` is not more than zero"),
            ("timestamp,input\n1,\n", "line 2: `` is no size"),
            ("timestamp,input\n1\n", "line 2: it has 1 field, and the header has 2"),
            ("timestamp,input\n1,5\n2,5,5\n", "line 3: it has 3 fields, and the header has 2"),
            ("timestamp,input,ContextTokens\n1,5,6\n", "line 1: the columns `input` and `ContextTokens` say the same"),
            ("TIMESTAMP,timestamp\n1,5\n", "line 1: the columns `TIMESTAMP` and `timestamp` say the same"),
            ("timestamp\n1\nsoon\n", "line 3: `soon` is no time"),
            (
                "{\"timestamp\": 1}\n{\"timestamp\": 2, \"output_length\": 0}\n",
                "line 2: the size `0` is not more than zero",
            ),
            ("{\"timestamp\": 1}\n{}\n", "line 2: no number `timestamp`"),
            ("{\"timestamp\": 1}\n[2]\n", "line 2: it is no JSON object"),
            (
                "{\"timestamp\": 1, \"input\": 4}\n\n{\"timestamp\": 2}\n",
                "line 3: no `input_length`, as the first line has",
            ),
            (
                "{\"timestamp\": 1}\n{\"timestamp\": 2, \"output\": 4}\n",
                "line 2: the first line has no `output_length`",
            ),
        ] {
            assert_eq!(rows(text).unwrap_err(), said);
        }
        assert!(rows("{\"timestamp\": 1}\n{broken\n").unwrap_err().starts_with("line 2: no JSON"));
    }
}
