//! A front → a plot whose colours are the page's. What is shown by a colour is shown by a shape too.

use super::frame::figure;
use super::solve::{Limit, METRICS};
use crate::ask::answer::{Front, FrontPoint};
use crate::ask::render::front::labels;
use crate::html::markup::Markup;
use crate::plan::build::total_of;
use crate::plan::model::Totals;
use crate::plan::render::metric;
use crate::{html, html_to};
use rust_decimal::prelude::ToPrimitive;

/// The plot's size, and the room of its axes.
const SIZE: (f64, f64) = (720.0, 420.0);
const LEFT: f64 = 92.0;
const BELOW: f64 = 52.0;
const ABOVE: f64 = 20.0;

/// One axis.
struct Axis {
    at: usize,
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Axis {
    fn of(at: usize, values: impl Iterator<Item = f64> + Clone, (from, to): (f64, f64)) -> Axis {
        let (low, high) = (values.clone().fold(f64::INFINITY, f64::min), values.fold(f64::NEG_INFINITY, f64::max));
        let room = ((high - low) * 0.08).max(high.abs() * 0.02).max(1e-9);
        let lowest = if low >= 0.0 { (low - room).max(0.0) } else { low - room };
        Axis { at, low: lowest, high: high + room, from, to }
    }

    fn place(&self, value: f64) -> f64 {
        let share = (value - self.low) / (self.high - self.low);
        (self.from + share * (self.to - self.from)).clamp(self.from.min(self.to), self.from.max(self.to))
    }

    fn name(&self) -> &'static str {
        METRICS[self.at].1
    }

    fn value(&self, total: &Totals) -> f64 {
        total_of(METRICS[self.at].0, total).to_f64().unwrap_or(0.0)
    }

    fn ticks(&self) -> Vec<f64> {
        let rough = (self.high - self.low) / 5.0;
        let power = 10f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].map(|n| n * power).into_iter().find(|n| *n >= rough).unwrap_or(rough);
        let range = (self.low / step).ceil() as i64..=(self.high / step).floor() as i64;
        let mut ticks: Vec<f64> = range.map(|n| n as f64 * step).collect();
        // A narrow range has steps that read alike.
        ticks.dedup_by_key(|tick| figure(self.name(), *tick));
        ticks
    }
}

/// The plot of a front over two metrics, with limits as lines; `chosen` is what the plan under them comes to.
pub fn of(front: &Front, axes: [usize; 2], limits: &[Limit], chosen: Option<&Totals>) -> Markup {
    let all = || front.points.iter().map(|point| &point.total).chain(chosen);
    let value = |at: usize| move |total: &Totals| total_of(METRICS[at].0, total).to_f64().unwrap_or(0.0);
    let x = Axis::of(axes[0], all().map(value(axes[0])), (LEFT, SIZE.0 - 16.0));
    let y = Axis::of(axes[1], all().map(value(axes[1])), (SIZE.1 - BELOW, ABOVE));
    let mut out = html!(
        "<svg class=\"plot\" viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{} against {}; the table of points has the figures\">",
        SIZE.0,
        SIZE.1,
        y.name(),
        x.name()
    );
    for tick in x.ticks() {
        let at = format!("{:.1}", x.place(tick));
        html_to!(
            out,
            "<line class=\"rule\" x1=\"{}\" x2=\"{}\" y1=\"{}\" y2=\"{}\"/><text class=\"tick\" x=\"{}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
            at,
            at,
            ABOVE,
            SIZE.1 - BELOW,
            at,
            SIZE.1 - BELOW + 18.0,
            figure(x.name(), tick)
        );
    }
    for tick in y.ticks() {
        let at = y.place(tick);
        html_to!(
            out,
            "<line class=\"rule\" x1=\"{}\" x2=\"{}\" y1=\"{}\" y2=\"{}\"/><text class=\"tick\" x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>",
            LEFT,
            SIZE.0 - 16.0,
            format!("{at:.1}"),
            format!("{at:.1}"),
            LEFT - 10.0,
            format!("{:.1}", at + 4.0),
            figure(y.name(), tick)
        );
    }
    html_to!(
        out,
        "<text class=\"axis\" x=\"{}\" y=\"{}\" text-anchor=\"middle\">{}</text><text class=\"axis\" x=\"{}\" y=\"12\">{}</text>",
        (LEFT + SIZE.0) / 2.0,
        SIZE.1 - 10.0,
        x.name(),
        8.0,
        y.name()
    );
    for limit in limits {
        let Some(at) = limit.limit.and_then(|limit| limit.to_f64()) else { continue };
        for (axis, upright) in [(&x, true), (&y, false)] {
            if METRICS[axis.at].0 != limit.metric || !(axis.low..=axis.high).contains(&at) {
                continue;
            }
            let place = format!("{:.1}", axis.place(at));
            let said = format!("limit: {} {}", limit.name, figure(limit.name, at));
            match upright {
                true => html_to!(
                    out,
                    "<line class=\"limit\" x1=\"{}\" x2=\"{}\" y1=\"{}\" y2=\"{}\"><title>{}</title></line>",
                    place,
                    place,
                    ABOVE,
                    SIZE.1 - BELOW,
                    said
                ),
                false => html_to!(
                    out,
                    "<line class=\"limit\" x1=\"{}\" x2=\"{}\" y1=\"{}\" y2=\"{}\"><title>{}</title></line>",
                    LEFT,
                    SIZE.0 - 16.0,
                    place,
                    place,
                    said
                ),
            }
        }
    }
    for (n, point) in front.points.iter().enumerate() {
        dot(&mut out, n, point, front, (&x, &y), limits);
    }
    if let Some(chosen) = chosen {
        html_to!(
            out,
            "<circle class=\"chosen\" cx=\"{}\" cy=\"{}\" r=\"11\"><title>the plan under these limits</title></circle>",
            format!("{:.1}", x.place(x.value(chosen))),
            format!("{:.1}", y.place(y.value(chosen)))
        );
    }
    html_to!(
        out,
        "</svg><ul class=\"key\" aria-label=\"Signs\"><li><i class=\"swatch keeps\"></i>keeps the limits</li><li><i class=\"swatch beyond\"></i>beyond them</li>\
         <li><i class=\"swatch chosen\"></i>the plan under them</li><li><i class=\"swatch limit\"></i>a limit</li></ul>"
    );
    out
}

fn dot(out: &mut Markup, n: usize, point: &FrontPoint, front: &Front, (x, y): (&Axis, &Axis), limits: &[Limit]) {
    let kept = limits.iter().all(|limit| limit.keeps(&point.total));
    let (class, size) = if kept { ("point keeps", 6.0) } else { ("point beyond", 5.0) };
    let figures =
        front.metrics.iter().map(|m| format!("{m} {}", metric(m, crate::ask::render::front::value(point, m))));
    let said = format!("{} {}: {}", n + 1, labels(point), figures.collect::<Vec<_>>().join(", "));
    html_to!(
        out,
        "<circle class=\"{}\" cx=\"{}\" cy=\"{}\" r=\"{}\"><title>{}</title></circle>",
        class,
        format!("{:.1}", x.place(x.value(&point.total))),
        format!("{:.1}", y.place(y.value(&point.total))),
        size,
        said
    );
}
