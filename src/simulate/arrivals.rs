//! Traces and stated processes → arrivals in order of time, one after the other: a trace is read anew each time and never held.

use super::{HOUR, Micros, SECOND};
use crate::bench::rng::Rng;
use crate::fleet::load::{Window, busiest, rate};
use crate::fleet::trace::{Row, Trace};
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use std::collections::BTreeMap;
use std::io::BufRead;
use std::rc::Rc;

/// A run arrives.
#[derive(Clone, Debug, PartialEq)]
pub struct Arrival {
    /// When.
    pub at: Micros,
    /// Of which job.
    pub job: usize,
    /// What goes in, as a share of what is planned for.
    pub input: f32,
    /// What comes out, likewise.
    pub output: f32,
    /// The blocks of a prefix that its input begins with, where the trace says them.
    pub prefix: Option<Rc<[u64]>>,
}

impl Arrival {
    /// Of a job, with the sizes that are planned for.
    pub fn planned(at: Micros, job: usize) -> Arrival {
        Arrival { at, job, input: 1.0, output: 1.0, prefix: None }
    }
}

/// Begins to read a file.
pub type Open<'a> = dyn Fn() -> Result<Box<dyn BufRead>, String> + 'a;

/// Where arrivals come from.
pub enum Source<'a> {
    /// A file.
    Traced(Traced<'a>),
    /// A process.
    Process(Process),
}

/// A trace in a file, looked through once.
pub struct Traced<'a> {
    name: String,
    open: Box<Open<'a>>,
    /// Whose runs they all are; otherwise the lines say it.
    job: Option<usize>,
    names: Vec<String>,
    first: i64,
    last: i64,
    of: BTreeMap<usize, OfJob>,
}

/// What a trace has of a job.
#[derive(Default)]
struct OfJob {
    /// Its rate in the window that counts.
    peak: Decimal,
    /// The mean of its sizes: what is planned for.
    input: f64,
    output: f64,
}

/// How a process goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Whenever: times between arrivals are exponentially distributed.
    Poisson,
    /// At equal times from each other.
    Constant,
}

/// Arrivals of a job at stated rates.
#[derive(Clone, Debug)]
pub struct Process {
    /// The job.
    pub job: usize,
    /// How they come.
    pub form: Form,
    /// Runs a second in each hour; from the first again after the last.
    pub rates: Vec<Decimal>,
}

/// Reads `30/s`, or one rate for each hour: `30/s|45/s|20/min`.
pub fn rates(text: &str) -> Result<Vec<Decimal>, String> {
    text.split('|').map(|text| rate(text.trim())).collect()
}

impl<'a> Traced<'a> {
    /// Looks a trace through: whether it can be read and is in order, its extent, and for each job the mean of its sizes and its rate in the
    /// window that counts.
    pub fn survey(
        name: &str,
        open: Box<Open<'a>>,
        job: Option<usize>,
        names: &[String],
        window: Window,
    ) -> Result<Traced<'a>, String> {
        let mut traced =
            Traced { name: name.to_string(), open, job, names: names.to_vec(), first: 0, last: 0, of: BTreeMap::new() };
        let length = i64::from(window.seconds.max(1)) * SECOND;
        let mut counts: BTreeMap<usize, BTreeMap<i64, i64>> = BTreeMap::new();
        let mut sums: BTreeMap<usize, (f64, f64)> = BTreeMap::new();
        let mut extent = None;
        for row in traced.rows()? {
            let (row, job) = row?;
            let (first, _) = extent.unwrap_or((row.at, row.at));
            extent = Some((first, row.at));
            let (input, output) = sums.entry(job).or_default();
            *input += row.input.unwrap_or(1.0);
            *output += row.output.unwrap_or(1.0);
            *counts.entry(job).or_default().entry((row.at - first) / length).or_default() += 1;
        }
        let Some((first, last)) = extent else { return Err(traced.fault("it has no arrivals")) };
        (traced.first, traced.last) = (first, last);
        let windows = (last - first) / length + 1;
        for ((job, counts), (input, output)) in counts.into_iter().zip(sums.into_values()) {
            let rows = counts.values().sum::<i64>() as f64;
            let peak = busiest(counts.into_values().collect(), windows, window).map_err(|why| traced.fault(&why))?;
            traced.of.insert(job, OfJob { peak, input: input / rows, output: output / rows });
        }
        Ok(traced)
    }

    fn fault(&self, why: &str) -> String {
        format!("the trace `{}`: {why}", self.name)
    }

    /// Its lines with their jobs.
    fn rows(&self) -> Result<impl Iterator<Item = Result<(Row, usize), String>> + '_, String> {
        let reader = (self.open)().map_err(|why| self.fault(&why))?;
        let rows = Trace::open(reader, true).map_err(|why| self.fault(&why))?;
        let mut before: Option<i64> = None;
        Ok(rows.map(move |row| {
            let row = row.map_err(|why| self.fault(&why))?;
            let said = |why: &str| Err(self.fault(&format!("line {}: {why}", row.line)));
            if before.is_some_and(|before| row.at < before) {
                return said("its time is before that of the line above: a trace must be sorted by time");
            }
            before = Some(row.at);
            let job = match self.job {
                Some(job) => Some(job),
                None if row.job.is_empty() && self.names.len() == 1 => Some(0),
                None => self.names.iter().position(|name| name.as_str() == row.job.as_str()),
            };
            match job {
                Some(job) => Ok((row, job)),
                None if row.job.is_empty() => {
                    let help = format!("`--load {}={}`", self.names.first().map_or("JOB", String::as_str), self.name);
                    said(&format!("it names no job: a column `job` does, or {help}"))
                }
                None => said(&format!("there is no job `{}`: the jobs are {}", row.job, self.names.join(", "))),
            }
        }))
    }

    fn arrivals(&self) -> Result<impl Iterator<Item = Result<Arrival, String>> + '_, String> {
        let share = |size: Option<f64>, mean: f64| size.map_or(1.0, |size| (size / mean) as f32);
        Ok(self.rows()?.map(move |row| {
            let (row, job) = row?;
            let at = row.at - self.first;
            let prefix = (!row.prefix.is_empty()).then(|| row.prefix.as_slice().into());
            // Every row's job was there when the trace was looked through.
            let (input, output) =
                self.of.get(&job).map_or((1.0, 1.0), |of| (share(row.input, of.input), share(row.output, of.output)));
            Ok(Arrival { at, job, input, output, prefix })
        }))
    }
}

impl Process {
    fn arrivals(&self, seed: u64) -> impl Iterator<Item = Result<Arrival, String>> + '_ {
        let per_second: Vec<f64> = self.rates.iter().map(|rate| rate.to_f64().unwrap_or(0.0)).collect();
        let mut rng = Rng(seed ^ (self.job as u64 + 1).wrapping_mul(0x9FB2_1C65_1E98_DF25));
        let mut now = 0.0f64;
        let hour = super::seconds(HOUR);
        std::iter::from_fn(move || {
            // So many arrivals are to be expected until the next one.
            let mut left = match self.form {
                Form::Poisson => -(1.0 - rng.unit()).ln(),
                Form::Constant => 1.0,
            };
            loop {
                let passed = (now / hour).floor();
                let rate = per_second[passed as usize % per_second.len()];
                let until = (passed + 1.0) * hour - now;
                if rate * until >= left {
                    now += left / rate;
                    return Some(Ok(Arrival::planned(super::micros(now), self.job)));
                }
                left -= rate * until;
                now = (passed + 1.0) * hour;
            }
        })
    }
}

type Stream<'a> = Box<dyn Iterator<Item = Result<Arrival, String>> + 'a>;

impl Source<'_> {
    /// When its last run arrives; none for a process, which goes on.
    pub fn end(&self) -> Option<Micros> {
        match self {
            Source::Traced(traced) => Some(traced.last - traced.first),
            Source::Process(_) => None,
        }
    }

    /// Each job's rate where it is highest, runs a second.
    pub fn peaks(&self) -> BTreeMap<usize, Decimal> {
        match self {
            Source::Traced(traced) => traced.of.iter().map(|(job, of)| (*job, of.peak)).collect(),
            Source::Process(process) => {
                process.rates.iter().max().map(|rate| (process.job, *rate)).into_iter().collect()
            }
        }
    }

    fn arrivals(&self, seed: u64) -> Result<Stream<'_>, String> {
        Ok(match self {
            Source::Traced(traced) => Box::new(traced.arrivals()?),
            Source::Process(process) => Box::new(process.arrivals(seed)),
        })
    }
}

/// The arrivals of several sources, in order of time.
pub struct Arrivals<'a> {
    streams: Vec<(Option<Result<Arrival, String>>, Stream<'a>)>,
}

impl<'a> Arrivals<'a> {
    /// From their beginning.
    pub fn of(sources: &'a [Source<'_>], seed: u64) -> Result<Arrivals<'a>, String> {
        let begun = sources.iter().map(|source| {
            let mut stream = source.arrivals(seed)?;
            Ok((stream.next(), stream))
        });
        Ok(Arrivals { streams: begun.collect::<Result<_, String>>()? })
    }
}

impl Iterator for Arrivals<'_> {
    type Item = Result<Arrival, String>;

    fn next(&mut self) -> Option<Self::Item> {
        let when = |head: &Option<Result<Arrival, String>>| match head {
            Some(Ok(arrival)) => arrival.at,
            // What cannot be read is said at once.
            Some(Err(_)) => Micros::MIN,
            None => Micros::MAX,
        };
        let (head, stream) = self.streams.iter_mut().min_by_key(|(head, _)| when(head))?;
        let next = head.take()?;
        *head = stream.next();
        Some(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rust_decimal::dec;

    fn traced(text: &'static str, names: &[&str]) -> Result<Traced<'static>, String> {
        let names: Vec<String> = names.iter().map(|name| name.to_string()).collect();
        let open = Box::new(move || Ok(Box::new(text.as_bytes()) as Box<dyn BufRead>));
        Traced::survey("t.csv", open, None, &names, Window { seconds: 60, percentile: 100 })
    }

    #[test]
    fn a_trace_begins_with_its_first_arrival_and_sizes_are_shares_of_their_mean() {
        let traced = traced("timestamp,job,input,output\n100,a,1,5\n101.5,b,300,5\n102,a,3,5\n", &["a", "b"]).unwrap();
        let sources = [Source::Traced(traced)];
        let all: Vec<Arrival> = Arrivals::of(&sources, 0).unwrap().map(Result::unwrap).collect();
        assert_eq!(all[0], Arrival { input: 0.5, ..Arrival::planned(0, 0) });
        // Each job expects the mean of its own.
        assert_eq!(all[1], Arrival::planned(1_500_000, 1));
        assert_eq!(all[2], Arrival { input: 1.5, ..Arrival::planned(2_000_000, 0) });
        assert_eq!((sources[0].end(), sources[0].peaks()[&1]), (Some(2_000_000), dec!(1) / dec!(60)));
    }

    #[test]
    fn what_is_wrong_with_a_trace_is_said_with_its_line() {
        for (text, said) in [
            ("timestamp,job\n2,a\n1,a\n", "the trace `t.csv`: line 3: its time is before"),
            ("timestamp\n2\n", "the trace `t.csv`: line 2: it names no job"),
            ("timestamp,job\n2,a\n2,c\n", "the trace `t.csv`: line 3: there is no job `c`: the jobs are a, b"),
            ("timestamp,job\n", "the trace `t.csv`: it has no arrivals"),
        ] {
            let why = traced(text, &["a", "b"]).err().unwrap();
            assert!(why.starts_with(said), "{why}");
        }
    }

    #[test]
    fn a_process_keeps_the_rate_of_each_hour() {
        let process = Process { job: 0, form: Form::Poisson, rates: rates("2/s|1/min").unwrap() };
        let sources = [Source::Process(process)];
        let mut hours = [0u32; 4];
        for arrival in Arrivals::of(&sources, 5).unwrap() {
            match hours.get_mut((arrival.unwrap().at / HOUR) as usize) {
                Some(count) => *count += 1,
                None => break,
            }
        }
        assert!((6900..7500).contains(&hours[0]) && (6900..7500).contains(&hours[2]), "{hours:?}");
        assert!((35..85).contains(&hours[1]) && (35..85).contains(&hours[3]), "{hours:?}");
        let even = [Source::Process(Process { job: 0, form: Form::Constant, rates: vec![dec!(4)] })];
        let first: Vec<i64> = Arrivals::of(&even, 0).unwrap().take(3).map(|a| a.unwrap().at).collect();
        assert_eq!(first, [250_000, 500_000, 750_000]);
    }
}
