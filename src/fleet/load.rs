//! What is said of loads → runs a second: `30/s`, `5/min`, `2/h`, or a trace of arrivals.

use super::trace::Trace;
use ecow::EcoString;
use rust_decimal::{Decimal, RoundingStrategy};
use std::collections::BTreeMap;

/// How a trace becomes a rate; by default its busiest minute counts.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// Seconds over which arrivals are counted.
    pub seconds: u32,
    /// Which window counts: 100 is the busiest one, 95 one that 95 % of the windows do not exceed.
    pub percentile: u32,
}

impl Default for Window {
    fn default() -> Self {
        Window { seconds: 60, percentile: 100 }
    }
}

/// The most that a rate may be, in runs a second.
const MOST: Decimal = Decimal::from_parts(1_000_000_000, 0, 0, false, 0);

/// Reads `30/s`.
pub fn rate(text: &str) -> Result<Decimal, String> {
    let asked = || format!("`{text}` is no rate: write `30/s`, `5/min` or `2/h`");
    let (number, unit) = text.split_once('/').ok_or_else(asked)?;
    let per = match unit.trim() {
        "s" => 1,
        "min" => 60,
        "h" => 3600,
        _ => return Err(asked()),
    };
    let number: Decimal = number.trim().parse().map_err(|_| asked())?;
    if number <= Decimal::ZERO || number > MOST {
        return Err(format!("the rate `{text}` must be more than 0 and at most {MOST} a second"));
    }
    Ok(number / Decimal::from(per))
}

/// Runs a second as people speak of them, by the second, minute or hour: what [`rate`] reads, with three digits that say something.
pub fn per_time(rate: Decimal, rounding: RoundingStrategy) -> String {
    let units = [(1, "s"), (60, "min"), (3600, "h")].map(|(per, unit)| (rate * Decimal::from(per), unit));
    let of_one = units.iter().find(|(number, _)| *number >= Decimal::ONE || rate.is_zero());
    let (number, unit) = of_one.unwrap_or(&units[2]);
    let number = number.round_sf_with_strategy(3, rounding).unwrap_or(*number).normalize();
    format!("{number}/{unit}")
}

/// Arrivals in milliseconds by job; an arrival without a job is under the empty name.
pub type Arrivals = BTreeMap<String, Vec<i64>>;

/// Reads a trace: [`Trace`].
pub fn trace(text: &str) -> Result<Arrivals, String> {
    let mut arrivals = Arrivals::new();
    for row in Trace::open(Box::new(text.as_bytes()), false)? {
        let row = row?;
        arrivals.entry(row.job.to_string()).or_default().push(row.at.div_euclid(1000));
    }
    if arrivals.is_empty() {
        return Err("it has no arrivals".to_string());
    }
    Ok(arrivals)
}

/// The rate of a trace: arrivals in a window by its length, of the window that the percentile names. Windows stand side by
/// side from the first arrival to the last; a trace shorter than one window counts as one.
pub fn peak(arrivals: &[i64], window: Window) -> Result<Decimal, String> {
    let length = i64::from(window.seconds.max(1)) * 1000;
    let (Some(first), Some(last)) = (arrivals.iter().min(), arrivals.iter().max()) else {
        return Err("it has no arrivals".to_string());
    };
    let windows = (last - first) / length + 1;
    let mut counts: BTreeMap<i64, i64> = BTreeMap::new();
    for arrival in arrivals {
        *counts.entry((arrival - first) / length).or_default() += 1;
    }
    busiest(counts.into_values().collect(), windows, window)
}

/// By job, the rate of a trace.
pub fn rates(arrivals: &Arrivals, window: Window) -> Result<BTreeMap<EcoString, Decimal>, String> {
    arrivals.iter().map(|(job, arrivals)| Ok((job.as_str().into(), peak(arrivals, window)?))).collect()
}

/// The same from what arrived in each window, of so many in all; those without arrivals need not be listed.
pub fn busiest(mut counts: Vec<i64>, windows: i64, window: Window) -> Result<Decimal, String> {
    // Windows without arrivals that are not listed come first in order.
    counts.sort_unstable();
    let empty = windows - counts.len() as i64;
    let rank = (windows * i64::from(window.percentile.clamp(1, 100)) + 99) / 100 - 1 - empty;
    let count = usize::try_from(rank).ok().and_then(|rank| counts.get(rank)).copied().unwrap_or(0);
    if count == 0 {
        return Err(format!("nothing arrives in {} % of its windows: take a higher percentile", window.percentile));
    }
    Ok(Decimal::from(count) / Decimal::from(window.seconds.max(1)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rust_decimal::dec;

    #[test]
    fn rates_are_runs_a_second() {
        assert_eq!(rate("30/s"), Ok(dec!(30)));
        assert_eq!(rate("6/min"), Ok(dec!(0.1)));
        for bad in ["0/s", "-1/s", "NaN/s", "inf/s", "30", "30/day", "1e400/s", "/s", "99999999999/s"] {
            assert!(rate(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn rates_are_shown_as_they_are_read() {
        let shown = |rate| per_time(rate, RoundingStrategy::ToZero);
        assert_eq!(
            [dec!(30), dec!(0.5), dec!(0.0005), dec!(0.0001), dec!(0)].map(shown),
            ["30/s", "30/min", "1.8/h", "0.36/h", "0/s"]
        );
        assert_eq!(shown(dec!(1639.99)), "1630/s", "no more than it is");
        assert_eq!(per_time(dec!(1639.99), RoundingStrategy::MidpointAwayFromZero), "1640/s");
    }

    #[test]
    fn the_busiest_window_of_a_trace_counts() {
        let csv = "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 23:59:59.5,1,1\n2023-11-17 00:00:00.25,2,2\n\
                   2023-11-17 00:00:10,3,3\n";
        let arrivals = trace(csv).unwrap();
        assert_eq!(arrivals[""].iter().map(|t| t - arrivals[""][0]).collect::<Vec<_>>(), [0, 750, 10_500]);
        assert_eq!(peak(&arrivals[""], Window { seconds: 1, percentile: 100 }), Ok(dec!(2)));
        assert_eq!(peak(&arrivals[""], Window { seconds: 60, percentile: 100 }), Ok(dec!(0.05)));
        assert!(peak(&arrivals[""], Window { seconds: 1, percentile: 50 }).is_err());
    }

    #[test]
    fn lines_of_json_are_in_milliseconds_and_may_name_jobs() {
        let arrivals = trace("{\"timestamp\": 0, \"job\": \"a\"}\n{\"timestamp\": 500, \"job\": \"b\"}\n").unwrap();
        assert_eq!(arrivals["b"], [500]);
        for bad in
            ["", "timestamp\n", "time\n1\n", "timestamp\nyesterday\n", "{\"timestamp\": \"x\"}", "timestamp\nNaN\n"]
        {
            assert!(trace(bad).is_err(), "{bad}");
        }
    }
}
