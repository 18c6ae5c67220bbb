//! Front → a table for people, CSV for programs.

use super::carried;
use crate::ask::answer::{Front, FrontPoint};
use crate::ask::names::shown;
use crate::check::program::Metric;
use crate::plan::build::total_of;
use crate::plan::render::{metric_to, rounded, table as empty_table};
use comfy_table::CellAlignment;
use rust_decimal::Decimal;
use std::collections::BTreeSet;
use std::fmt::Write;

/// Digits beyond the usual ones: values that differ further behind are the same to people.
const MOST_DIGITS: u32 = 6;

/// The value of a metric of a point.
pub fn value(point: &FrontPoint, name: &str) -> Decimal {
    let metric = Metric::ALL.iter().find(|(_, n)| *n == name).map_or(Metric::Cost, |(m, _)| *m);
    total_of(metric, &point.total)
}

/// The points, their labels and what is different between their plans.
pub fn table(front: &Front, width: u16) -> String {
    let mut header = vec![""];
    header.extend(front.metrics.iter().map(String::as_str));
    header.push("carried out by");
    let mut rows = empty_table(width, &header);
    for column in 1..=front.metrics.len() {
        if let Some(column) = rows.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let (differing, digits) = (differing(front), digits(front));
    for point in &front.points {
        let mut row = vec![labels(point)];
        let known = |m: &str| m != "energy" || point.total.energy_known;
        let shown = |(m, more): (&String, &u32)| match known(m) {
            true => metric_to(m, value(point, m), *more),
            false => "unknown".to_string(),
        };
        row.extend(front.metrics.iter().zip(&digits).map(shown));
        let steps: Vec<_> = point.steps.iter().filter(|(name, _)| differing.contains(name)).cloned().collect();
        row.push(carried(&steps));
        rows.add_row(row);
    }
    let mut out = format!("{rows}\n");
    let same: Vec<String> = front.points.first().map_or(Vec::new(), |p| {
        let same = p.steps.iter().filter(|(name, _)| !differing.contains(name));
        same.map(|(name, c)| format!("  {name}: {}", shown(c))).collect()
    });
    if !same.is_empty() {
        let _ = writeln!(out, "\nin every plan\n{}", same.join("\n"));
    }
    for line in &front.ignored {
        let _ = writeln!(out, "\nwithout {}", crate::ask::names::said(line));
    }
    let _ = writeln!(out, "\n{}", extent(front));
    out
}

/// By metric, how many digits more than usual tell its values apart and keep each on its side of the job's limits.
pub fn digits(front: &Front) -> Vec<u32> {
    let enough = |m: &str, more: u32| {
        let values: BTreeSet<Decimal> = front.points.iter().map(|point| value(point, m)).collect();
        let shown: BTreeSet<String> = values.iter().map(|v| metric_to(m, *v, more)).collect();
        let keeps = |v: &Decimal, limit: &Decimal| {
            let rounded = rounded(m, *v, more);
            (v > limit || rounded <= *limit) && (v < limit || rounded >= *limit)
        };
        let limits = || front.limits.iter().filter(|(of, _)| of == m).map(|(_, limit)| limit);
        shown.len() == values.len() && values.iter().all(|v| limits().all(|limit| keeps(v, limit)))
    };
    front.metrics.iter().map(|m| (0..=MOST_DIGITS).find(|more| enough(m, *more)).unwrap_or(MOST_DIGITS)).collect()
}

/// `cheapest, knee`
pub fn labels(point: &FrontPoint) -> String {
    let beaten = if point.on_front { "" } else { " (beaten)" };
    format!("{}{beaten}", point.labels.join(", "))
}

/// What a front is, in a sentence.
pub fn extent(front: &Front) -> String {
    let count = front.points.iter().filter(|p| p.on_front).count();
    let points = if count == 1 { "1 point".to_string() } else { format!("{count} points") };
    match front.extent.as_str() {
        "complete" => format!("{points}: the complete front, proved in exact integers; no other plan is on it"),
        "subset" => format!("{points}, each exact, spread over the front; there are more: `--points N` asks for them"),
        _ => format!("{points}, each exact; the search was cut short: `--time-limit` gives it longer"),
    }
}

/// The steps that not all points carry out alike.
fn differing(front: &Front) -> Vec<String> {
    let Some(first) = front.points.first() else { return Vec::new() };
    let different =
        |name: &str, at: usize| front.points.iter().any(|p| p.steps[at].1 != first.steps[at].1 && !name.is_empty());
    let steps = first.steps.iter().enumerate();
    steps.filter(|(at, (name, _))| different(name, *at)).map(|(_, (name, _))| name.clone()).collect()
}

/// CSV: labels, whether nothing beats it, the metrics of the front in base units (usd, s, ratio, Wh, devices), then every step.
pub fn csv(front: &Front) -> Result<String, String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let unit = |metric: &str| match metric {
        "cost" => "cost_usd".to_string(),
        "energy" => "energy_wh".to_string(),
        other if other.starts_with("latency") => format!("{}_s", other.replace('.', "_")),
        other => other.to_string(),
    };
    let mut header = vec!["labels".to_string(), "on_front".to_string()];
    header.extend(front.metrics.iter().map(|m| unit(m)));
    if let Some(first) = front.points.first() {
        header.extend(first.steps.iter().map(|(name, _)| name.clone()));
    }
    let failed = |e: csv::Error| format!("the table cannot be written: {e}");
    writer.write_record(&header).map_err(failed)?;
    for point in &front.points {
        let mut row = vec![point.labels.join(" "), point.on_front.to_string()];
        row.extend(front.metrics.iter().map(|m| value(point, m).normalize().to_string()));
        row.extend(point.steps.iter().map(|(_, c)| shown(c)));
        writer.write_record(&row).map_err(failed)?;
    }
    let bytes = writer.into_inner().map_err(|e| format!("the table cannot be written: {e}"))?;
    String::from_utf8(bytes).map_err(|e| format!("the table cannot be written: {e}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::model::Totals;
    use rust_decimal::dec;

    fn front(costs: &[Decimal], limits: &[Decimal]) -> Front {
        let point = |cost: &Decimal| FrontPoint {
            labels: vec![],
            on_front: true,
            total: Totals { cost_usd: *cost, ..Totals::default() },
            steps: vec![],
        };
        Front {
            metrics: vec!["cost".into()],
            extent: "complete".into(),
            ignored: vec![],
            limits: limits.iter().map(|limit| ("cost".into(), *limit)).collect(),
            points: costs.iter().map(point).collect(),
        }
    }

    #[test]
    fn what_is_shown_tells_points_apart_and_keeps_limits() {
        assert_eq!(digits(&front(&[dec!(1.006), dec!(2)], &[])), [0]);
        assert_eq!(digits(&front(&[dec!(1.006), dec!(1.0061)], &[])), [2]);
        // `$1.01` would break what $1.006 keeps.
        assert_eq!(digits(&front(&[dec!(1.006)], &[dec!(1.006)])), [1]);
        assert_eq!(digits(&front(&[dec!(1.006)], &[dec!(1.5)])), [0]);
        let shown = table(&front(&[dec!(1.006), dec!(1.0061)], &[]), 100);
        assert!(shown.contains("$1.006 ") && shown.contains("$1.0061 "), "{shown}");
    }
}
