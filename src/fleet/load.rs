//! What is said of loads → runs a second: `30/s`, `5/min`, `2/h`, or a trace of arrivals.

use rust_decimal::Decimal;
use std::collections::BTreeMap;

/// How a trace becomes a rate.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// Seconds over which arrivals are counted.
    pub seconds: u32,
    /// Which window counts: 100 is the busiest one, 95 one that 95 % of the windows do not exceed.
    pub percentile: u32,
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

/// Arrivals in milliseconds by job; an arrival without a job is under the empty name.
pub type Arrivals = BTreeMap<String, Vec<i64>>;

/// Reads a trace: CSV with a header (`TIMESTAMP` or `timestamp`, and `job` where there are several), in seconds or as
/// `2023-11-16 18:17:03.97`; or JSON lines with `timestamp` in milliseconds.
pub fn trace(text: &str) -> Result<Arrivals, String> {
    let mut arrivals = Arrivals::new();
    if text.trim_start().starts_with('{') {
        for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let fault = |what: &str| format!("line {}: {what}", at + 1);
            let value: serde_json::Value = serde_json::from_str(line).map_err(|e| fault(&format!("no JSON: {e}")))?;
            let stamp = value.get("timestamp").and_then(serde_json::Value::as_f64);
            let stamp = stamp.ok_or_else(|| fault("no number `timestamp`"))?;
            let job = value.get("job").and_then(serde_json::Value::as_str).unwrap_or_default();
            arrivals
                .entry(job.to_string())
                .or_default()
                .push(whole(stamp).ok_or_else(|| fault("the time is out of range"))?);
        }
    } else {
        let mut reader = csv::ReaderBuilder::new().flexible(true).trim(csv::Trim::All).from_reader(text.as_bytes());
        let header = reader.headers().map_err(|e| e.to_string())?.clone();
        let column = |name: &str| header.iter().position(|h| h.eq_ignore_ascii_case(name));
        let stamp = column("timestamp").ok_or("it has no column `timestamp`")?;
        let job = column("job");
        for (at, row) in reader.records().enumerate() {
            let fault = |what: &str| format!("line {}: {what}", at + 2);
            let row = row.map_err(|e| fault(&e.to_string()))?;
            let text = row.get(stamp).unwrap_or_default();
            let time = time(text).ok_or_else(|| fault(&format!("`{text}` is no time")))?;
            let job = job.and_then(|job| row.get(job)).unwrap_or_default();
            arrivals.entry(job.to_string()).or_default().push(time);
        }
    }
    if arrivals.is_empty() {
        return Err("it has no arrivals".to_string());
    }
    Ok(arrivals)
}

/// Milliseconds of a time in seconds or as date and time of day.
fn time(text: &str) -> Option<i64> {
    if let Ok(seconds) = text.parse::<f64>() {
        return whole(seconds * 1000.0);
    }
    let (date, clock) = text.split_once([' ', 'T'])?;
    let part = |text: &str| text.parse::<i64>().ok().filter(|n| (0..10_000).contains(n));
    let mut date = date.splitn(3, '-');
    let (year, month, day) = (part(date.next()?)?, part(date.next()?)?, part(date.next()?)?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let clock = clock.trim_end_matches('Z');
    let clock = clock.split_once('+').map_or(clock, |(clock, _)| clock);
    let mut clock = clock.splitn(3, ':');
    let (hour, minute) = (part(clock.next()?)?, part(clock.next()?)?);
    let seconds: f64 = clock.next()?.parse().ok()?;
    if hour > 23 || minute > 59 || !(0.0..61.0).contains(&seconds) {
        return None;
    }
    // Days since the year 0, March first (Hinnant's algorithm).
    let year = if month > 2 { year } else { year - 1 };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    whole((((days * 24 + hour) * 60 + minute) * 60) as f64 * 1000.0 + seconds * 1000.0)
}

fn whole(milliseconds: f64) -> Option<i64> {
    (milliseconds.is_finite() && milliseconds.abs() < 1e15).then_some(milliseconds as i64)
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
    // Windows without arrivals are not listed and come first in order.
    let mut sorted: Vec<i64> = counts.into_values().collect();
    sorted.sort_unstable();
    let empty = windows - sorted.len() as i64;
    let rank = (windows * i64::from(window.percentile.clamp(1, 100)) + 99) / 100 - 1 - empty;
    let count = usize::try_from(rank).ok().and_then(|rank| sorted.get(rank)).copied().unwrap_or(0);
    if count == 0 {
        return Err(format!("nothing arrives in {} % of its windows: take a higher percentile", window.percentile));
    }
    Ok(Decimal::from(count) * Decimal::from(1000) / Decimal::from(length))
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
