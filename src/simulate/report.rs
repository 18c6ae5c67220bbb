//! Outcomes of several policies → one HTML file that needs nothing else: curves over time, and the tables.

use super::measure::{Epoch, Outcome};
use super::render::{
    COLUMNS, Heading, OF_JOBS, OF_KINDS, Results, SAVED, against_base, notes, number, of_jobs, of_kinds, outcomes, row,
};
use crate::html::escaped;
use plotters::prelude::*;
use std::fmt::Write;

const STYLE: &str = "body{font:15px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:62rem;padding:0 1rem;color:#222}\
svg{max-width:100%;height:auto}table{border-collapse:collapse;width:100%;font-size:14px;margin:1rem 0}td,th{padding:.3rem .6rem;\
text-align:right;border-bottom:1px solid #ddd;white-space:nowrap}td:first-child,th:first-child{text-align:left}\
h2{font-size:1.1rem;margin:2rem 0 0}.key span{display:inline-block;margin-right:1.2rem}.key i{display:inline-block;width:1.6em;\
height:.25em;margin:0 .4em .2em 0}pre{background:#f5f5f5;padding:.6rem;white-space:pre-wrap}";

/// The size of a plot in pixels.
const SIZE: (u32, u32) = (900, 260);

/// Told apart by people who see red and green alike (Okabe and Ito).
const COLOURS: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(230, 159, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(213, 94, 0),
    RGBColor(86, 180, 233),
    RGBColor(0, 0, 0),
];

/// A curve's name, what it shows of an epoch, and its unit.
type Curve = (&'static str, fn(&Epoch) -> f64);

const CURVES: [Curve; 8] = [
    ("GPUs held, on average", |epoch| epoch.gpus),
    ("Replicas held, on average", |epoch| epoch.replicas),
    ("Busy: share of the replicas' time with at least one call, %", |epoch| epoch.busy * 100.0),
    ("Cost, usd an hour", |epoch| epoch.spent.cost_usd / epoch.hours),
    ("Energy, kWh an hour", |epoch| epoch.spent.energy_wh() / 1000.0 / epoch.hours),
    ("Runs above their job's limit, % of those that ended", |epoch| match epoch.done {
        0 => 0.0,
        done => epoch.late as f64 * 100.0 / done as f64,
    }),
    ("p95 of the latency of runs that ended, s", |epoch| epoch.latency.p95_s),
    ("p50 of the latency of runs that ended, s", |epoch| epoch.latency.p50_s),
];

/// The page. `command` repeats it.
pub fn page(heading: &Heading, results: &Results, command: &str) -> Result<String, String> {
    let title = format!("{} on {}, {} h", heading.jobs.join(", "), heading.cluster, number(heading.hours, 2));
    let mut body = String::new();
    let all: Vec<&Outcome> = outcomes(results).collect();
    table(&mut body, &COLUMNS, all.iter().map(|outcome| row(outcome)));
    table(&mut body, &SAVED, against_base(&all));
    for note in notes(results) {
        let _ = writeln!(body, "<p>{}.</p>", escaped(&note));
    }
    if let Some(any) = all.first() {
        let _ = writeln!(body, "<h2>Load: arrivals a second</h2>\n{}", plot(&[any], &|epoch| epoch.load)?);
    }
    body.push_str("<p class=\"key\">");
    for (outcome, colour) in all.iter().zip(COLOURS.iter().cycle()) {
        let RGBColor(r, g, b) = colour;
        let name = escaped(&outcome.policy);
        let _ = write!(body, "<span><i style=\"background:rgb({r},{g},{b})\"></i>{name}</span>");
    }
    body.push_str("</p>\n");
    for (name, value) in CURVES {
        let _ = writeln!(body, "<h2>{}</h2>\n{}", escaped(name), plot(&all, &value)?);
    }
    body.push_str("<h2>By job</h2>\n");
    table(&mut body, &OF_JOBS, of_jobs(results).into_iter());
    body.push_str(
        "<h2>By kind of instance: replicas on average, calls under way while busy, time that a call waited</h2>\n",
    );
    table(&mut body, &OF_KINDS, of_kinds(results).into_iter());
    Ok(format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>{title}</title>\n<style>{STYLE}</style>\n\
         </head>\n<body>\n<h1>{title}</h1>\n<p>A simulation, seed {seed}: what is modelled and what is not is in docs/simulation.md. \
         Quantiles are within 1 %. Repeat it with</p>\n<pre>{command}</pre>\n{body}</body>\n</html>\n",
        title = escaped(&title),
        seed = heading.seed,
        command = escaped(command),
    ))
}

fn table<const N: usize>(out: &mut String, header: &[&str; N], rows: impl Iterator<Item = [String; N]>) {
    let cells = |tag: &str, cells: Vec<String>| -> String {
        cells.iter().map(|cell| format!("<{tag}>{}</{tag}>", escaped(cell))).collect()
    };
    let head = cells("th", header.iter().map(|cell| cell.to_string()).collect());
    let rows: String = rows.map(|row| format!("<tr>{}</tr>\n", cells("td", row.to_vec()))).collect();
    let _ = writeln!(out, "<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}</tbody>\n</table>");
}

/// Curves over the hours, a step for each epoch. Nothing of it is text that somebody gave.
fn plot(outcomes: &[&Outcome], value: &dyn Fn(&Epoch) -> f64) -> Result<String, String> {
    let mut svg = String::new();
    draw(outcomes, value, &mut svg).map_err(|e| format!("the plot cannot be drawn: {e}"))?;
    Ok(svg)
}

type Drawn = Result<(), DrawingAreaErrorKind<std::io::Error>>;

fn draw(outcomes: &[&Outcome], value: &dyn Fn(&Epoch) -> f64, svg: &mut String) -> Drawn {
    let area = SVGBackend::with_string(svg, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let epochs = || outcomes.iter().flat_map(|outcome| &outcome.epochs);
    let hours = epochs().map(|epoch| epoch.from_h + epoch.hours).fold(1e-6, f64::max);
    let most = epochs().map(value).fold(1e-6, f64::max);
    let mut chart = ChartBuilder::on(&area)
        .margin(10)
        .x_label_area_size(36)
        .y_label_area_size(64)
        .build_cartesian_2d(0.0..hours, 0.0..most * 1.06)?;
    chart
        .configure_mesh()
        .light_line_style(RGBColor(240, 240, 240))
        .x_desc("hours")
        .x_labels(13)
        .y_labels(6)
        .x_label_formatter(&|v| number(*v, 2))
        .y_label_formatter(&|v| number(*v, 3))
        .draw()?;
    for (outcome, colour) in outcomes.iter().zip(COLOURS.iter().cycle()) {
        let steps = outcome.epochs.iter().flat_map(|epoch| {
            let height = value(epoch);
            [(epoch.from_h, height), (epoch.from_h + epoch.hours, height)]
        });
        chart.draw_series([PathElement::new(steps.collect::<Vec<_>>(), colour.stroke_width(2))])?;
    }
    area.present()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulate::compare::Compared;

    #[test]
    fn names_and_the_command_are_text_and_nothing_else() {
        let why = Err("<b>none</b>".to_string().into());
        let results = [("<i>x</i>".to_string(), Compared { outcome: why, unknown: Vec::new(), refused: 0 })];
        let jobs = ["<script>alert(1)</script>".to_string()];
        let heading = Heading { cluster: "a&b", jobs: &jobs, hours: 1.0, seed: 0 };
        let page = page(&heading, &results, "mkbc simulate '<x>'").unwrap();
        for bad in ["<script>alert", "<b>none", "<i>x", "a&b", "'<x>'"] {
            assert!(!page.contains(bad), "{bad}");
        }
    }
}
