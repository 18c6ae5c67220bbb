//! Front → an SVG plot: the first two metrics as axes, the third as colour.

use super::front::value;
use crate::ask::answer::{Front, FrontPoint};
use crate::plan::render::metric;
use plotters::coord::Shift;
use plotters::prelude::*;
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

/// The size of a plot in pixels.
pub const SIZE: (u32, u32) = (900, 560);

/// A plot, and where its points are in it.
pub struct Plot {
    /// The SVG document.
    pub svg: String,
    /// By point, in pixels.
    pub places: Vec<(i32, i32)>,
}

/// Draws a front; a front without points is an empty plot.
pub fn plot(front: &Front, title: &str) -> Result<Plot, String> {
    let mut svg = String::new();
    let places = {
        let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        let places = draw(front, title, &area).map_err(|e| format!("the plot cannot be drawn: {e}"))?;
        area.present().map_err(|e| format!("the plot cannot be drawn: {e}"))?;
        places
    };
    Ok(Plot { svg, places })
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn<T> = Result<T, DrawingAreaErrorKind<std::io::Error>>;

fn draw(front: &Front, title: &str, area: &Area) -> Drawn<Vec<(i32, i32)>> {
    area.fill(&WHITE)?;
    let [x, y] = [0, 1].map(|at| front.metrics.get(at).map_or("cost", String::as_str));
    let third = front.metrics.get(2).map(String::as_str);
    let legend = third.map_or(String::new(), |m| {
        let (least, most) = range(front, m);
        format!(" · colour: {m}, {} (yellow) to {} (violet)", metric(m, least), metric(m, most))
    });
    let mut chart = ChartBuilder::on(area)
        .margin(16)
        .caption(format!("{title}{legend}"), ("sans-serif", 17))
        .x_label_area_size(48)
        .y_label_area_size(84)
        .build_cartesian_2d(axis(front, x), axis(front, y))?;
    let label = |name: &str, v: &f64| metric(name, Decimal::from_f64_retain(*v).unwrap_or_default());
    chart
        .configure_mesh()
        .light_line_style(RGBColor(240, 240, 240))
        .x_desc(x)
        .y_desc(y)
        .x_labels(7)
        .y_labels(8)
        .x_label_formatter(&|v| label(x, v))
        .y_label_formatter(&|v| label(y, v))
        .draw()?;
    let at = |p: &FrontPoint| (float(value(p, x)), float(value(p, y)));
    if third.is_none() {
        let line = front.points.iter().filter(|p| p.on_front).map(at);
        chart.draw_series([PathElement::new(line.collect::<Vec<_>>(), RGBColor(190, 190, 190))])?;
    }
    let mut places = Vec::new();
    for point in &front.points {
        let colour = third.map_or(RGBColor(31, 90, 160), |m| colour(share(front, m, point)));
        let (size, style) = if point.labels.is_empty() { (4, colour.filled()) } else { (7, colour.filled()) };
        if point.on_front {
            chart.draw_series([Circle::new(at(point), size, style)])?;
        } else {
            chart.draw_series([Cross::new(at(point), size, colour.stroke_width(2))])?;
        }
        places.push(chart.backend_coord(&at(point)));
    }
    for (point, place) in front.points.iter().zip(&places).filter(|(p, _)| !p.labels.is_empty()) {
        // A label near the right edge stands to the left of its point.
        let text = super::front::labels(point);
        let left = place.0 + 12 + 8 * text.chars().count() as i32 > SIZE.0 as i32;
        let x = if left { place.0 - 10 - 7 * text.chars().count() as i32 } else { place.0 + 10 };
        area.draw(&Text::new(text, (x, place.1 - 16), ("sans-serif", 14)))?;
    }
    Ok(places)
}

fn range(front: &Front, name: &str) -> (Decimal, Decimal) {
    let values = front.points.iter().map(|p| value(p, name));
    (values.clone().min().unwrap_or_default(), values.max().unwrap_or_default())
}

/// The values of a metric with some room around them, so that an axis is never empty.
fn axis(front: &Front, name: &str) -> std::ops::Range<f64> {
    let (least, most) = range(front, name);
    let (least, most) = (float(least), float(most));
    let room = ((most - least) * 0.06).max(most.abs() * 1e-3).max(1e-6);
    let low = least - room;
    (if least >= 0.0 { low.max(0.0) } else { low })..most + room
}

fn float(value: Decimal) -> f64 {
    value.to_f64().unwrap_or(0.0)
}

/// Where a point lies in the range of a metric, 0 to 1.
fn share(front: &Front, name: &str, point: &FrontPoint) -> f64 {
    let (least, most) = range(front, name);
    let width = float(most - least);
    if width > 0.0 { float(value(point, name) - least) / width } else { 0.0 }
}

/// Yellow to violet by way of green: told apart by people who see red and green alike.
fn colour(share: f64) -> RGBColor {
    const STOPS: [(f64, f64, f64); 5] =
        [(253.0, 231.0, 37.0), (94.0, 201.0, 98.0), (33.0, 145.0, 140.0), (59.0, 82.0, 139.0), (68.0, 1.0, 84.0)];
    let place = share.clamp(0.0, 1.0) * (STOPS.len() - 1) as f64;
    let (low, part) = (place.floor() as usize, place.fract());
    let (a, b) = (STOPS[low], STOPS[(low + 1).min(STOPS.len() - 1)]);
    let mix = |a: f64, b: f64| (a + (b - a) * part).round() as u8;
    RGBColor(mix(a.0, b.0), mix(a.1, b.1), mix(a.2, b.2))
}
