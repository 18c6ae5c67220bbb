//! Picture → an SVG document that needs nothing else.

use super::layout::{self, Places, Rect};
use super::{Picture, Shape, ShapeKind, colours};
use crate::html::escaped;
use std::fmt::Write;

/// Around the picture.
const MARGIN: f64 = 20.0;
/// Title and summary.
const HEAD: f64 = 56.0;
/// The legend.
const FOOT: f64 = 40.0;
/// A line of a box.
const LINE: f64 = 17.0;
/// Characters of a line that are shown; all of it is in the box's tooltip.
const MOST: usize = 44;

/// The picture, drawn; a box says the line that it stands for.
pub fn svg(picture: &Picture) -> String {
    svg_at(picture, &|shape| (shape.line > 0).then_some((shape.line, None)))
}

/// Line and column in a source, from 1.
pub type Place = (u32, Option<u32>);

/// The same; `place` knows where in the source a box leads. Classes say what is what, so that a page may give it its own colours.
pub fn svg_at(picture: &Picture, place: &dyn Fn(&Shape) -> Option<Place>) -> String {
    svg_marked(picture, &|shape| Mark { place: place(shape), ..Mark::default() })
}

/// What a page makes of a box.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    /// Where in the source it leads.
    pub place: Option<Place>,
    /// A class of its own: its state in a run, say.
    pub class: &'static str,
    /// The address that it leads to.
    pub link: Option<String>,
}

/// The same, as a page wants it. A picture without a title has no head.
pub fn svg_marked(picture: &Picture, mark: &dyn Fn(&Shape) -> Mark) -> String {
    let sizes: Vec<(f64, f64)> = picture.boxes.iter().map(size).collect();
    let titles: Vec<f64> = picture.groups.iter().map(|g| width(&shown(&g.title), 12.0)).collect();
    let places = layout::place(picture, &sizes, &titles);
    let legend: f64 = picture.legend.iter().map(|name| entry(name)).sum();
    let heading = width(&picture.title, 18.0).max(width(&picture.summary, 12.0));
    let w = places.width.max(legend).max(heading) + 2.0 * MARGIN;
    let foot = if picture.legend.is_empty() { 0.0 } else { FOOT };
    let head = if picture.title.is_empty() { 0.0 } else { HEAD };
    let h = places.height + head + foot + 2.0 * MARGIN;
    let marks: Vec<Mark> = picture.boxes.iter().map(mark).collect();
    // What has links in it is no single image.
    let role = if marks.iter().any(|mark| mark.link.is_some()) { "group" } else { "img" };
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{w}\" height=\"{h}\" viewBox=\"0 0 {w} {h}\" role=\"{role}\" \
         font-family=\"sans-serif\">\n<title>{}</title>\n",
        escaped(format!("The steps of {}", picture.title).trim_end_matches(" of "))
    );
    out.push_str(
        "<defs><marker id=\"tip\" markerUnits=\"userSpaceOnUse\" markerWidth=\"12\" markerHeight=\"11\" refX=\"11\" refY=\"5.5\" \
         orient=\"auto\"><path d=\"M0 0 L12 5.5 L0 11 z\" fill=\"#555555\"/></marker></defs>\n",
    );
    let _ = writeln!(out, "<rect class=\"paper\" width=\"{w}\" height=\"{h}\" fill=\"#ffffff\"/>");
    let (x, y) = (MARGIN, MARGIN + 16.0);
    if !picture.title.is_empty() {
        let title = escaped(&picture.title);
        let _ = writeln!(
            out,
            "<text class=\"title\" x=\"{x}\" y=\"{y}\" font-size=\"18\" font-weight=\"bold\" fill=\"#111111\">{title}</text>"
        );
    }
    if !picture.summary.is_empty() {
        let (y, summary) = (y + 20.0, escaped(&picture.summary));
        let _ = writeln!(
            out,
            "<text class=\"about\" x=\"{x}\" y=\"{y}\" font-size=\"12\" fill=\"#444444\">{summary}</text>"
        );
    }
    // A narrow picture stands in the middle of a wide legend.
    let left = ((w - places.width) / 2.0).round();
    let _ = writeln!(out, "<g transform=\"translate({left} {})\">", MARGIN + head);
    groups(picture, &places, &mut out);
    arrows(picture, &places, &mut out);
    for (at, group) in picture.groups.iter().enumerate() {
        let Rect { x, y, .. } = places.groups[at];
        let (x, y, title) = (x + 12.0, y + 19.0, escaped(&shown(&group.title)));
        let _ = writeln!(
            out,
            "<text class=\"about over\" x=\"{x}\" y=\"{y}\" font-size=\"12\" fill=\"#444444\" stroke=\"#ffffff\" stroke-width=\"4\" \
             paint-order=\"stroke\">{title}</text>"
        );
    }
    for ((shape, at), mark) in picture.boxes.iter().zip(&places.boxes).zip(&marks) {
        boxed(shape, *at, mark, &mut out);
    }
    out.push_str("</g>\n");
    let mut x = MARGIN;
    let y = h - MARGIN - 14.0;
    for (at, name) in picture.legend.iter().enumerate() {
        let (fill, line) = colours(Some(at));
        let (text, name_x, name_y) = (escaped(&shown(name)), x + 22.0, y + 11.0);
        let _ = writeln!(
            out,
            "<rect x=\"{x}\" y=\"{y}\" width=\"16\" height=\"14\" rx=\"3\" fill=\"{fill}\" stroke=\"{line}\"/>\
             <text class=\"about\" x=\"{name_x}\" y=\"{name_y}\" font-size=\"12\" fill=\"#111111\">{text}</text>"
        );
        x += entry(name);
    }
    out.push_str("</svg>\n");
    out
}

fn groups(picture: &Picture, places: &Places, out: &mut String) {
    for (at, group) in picture.groups.iter().enumerate() {
        let Rect { x, y, w, h } = places.groups[at];
        let _ = writeln!(
            out,
            "<rect class=\"group\" x=\"{x}\" y=\"{y}\" width=\"{w}\" height=\"{h}\" rx=\"8\" fill=\"#808080\" fill-opacity=\"0.05\" \
             stroke=\"#999999\" stroke-dasharray=\"5 3\"><title>{}</title></rect>",
            escaped(&group.title)
        );
    }
}

fn arrows(picture: &Picture, places: &Places, out: &mut String) {
    for (arrow, route) in picture.arrows.iter().zip(&places.routes) {
        let Some((x, y)) = route.first() else { continue };
        let mut path = format!("M{} {}", x.round(), y.round());
        for pair in route.windows(2) {
            let [(ax, ay), (bx, by)] = [pair[0], pair[1]].map(|(x, y): (f64, f64)| (x.round(), y.round()));
            if ax == bx {
                let _ = write!(path, " V{by}");
            } else {
                let middle = ((ay + by) / 2.0).round();
                let _ = write!(path, " C{ax} {middle} {bx} {middle} {bx} {by}");
            }
        }
        let dashed = if arrow.control { " stroke-dasharray=\"4 3\"" } else { "" };
        let (class, wide) = if arrow.critical { ("arrow critical", 2.6) } else { ("arrow", 1.3) };
        let _ = writeln!(
            out,
            "<path class=\"{class}\" d=\"{path}\" fill=\"none\" stroke=\"#555555\" stroke-width=\"{wide}\"{dashed} \
             marker-end=\"url(#tip)\"/>"
        );
    }
}

fn boxed(shape: &Shape, at: Rect, mark: &Mark, out: &mut String) {
    let Rect { x, y, w, h } = at;
    let (fill, line) = colours(shape.colour);
    let round = if shape.kind == ShapeKind::Step { 6.0 } else { h / 2.0 };
    let kind = match shape.kind {
        ShapeKind::Input => "input",
        ShapeKind::Step => "step",
        ShapeKind::Result => "result",
    };
    let (critical, wide) = if shape.critical { (" critical", 3.0) } else { ("", 1.5) };
    let source = mark.place.map_or(String::new(), |(line, column)| {
        let column = column.map_or(String::new(), |column| format!(" data-column=\"{column}\""));
        format!(" data-line=\"{line}\"{column}")
    });
    let longest = if shape.critical { "\non the longest path" } else { "" };
    let whole = escaped(&format!("{}{longest}", shape.lines.join("\n")));
    let class = if mark.class.is_empty() { String::new() } else { format!(" {}", mark.class) };
    if let Some(link) = &mark.link {
        let _ = write!(out, "<a href=\"{}\">", escaped(link));
    }
    let _ = write!(
        out,
        "<g class=\"box {kind}{critical}{class}\"{source}><title>{whole}</title><rect x=\"{x}\" y=\"{y}\" width=\"{w}\" height=\"{h}\" rx=\"{round}\" \
         fill=\"{fill}\" stroke=\"{line}\" stroke-width=\"{wide}\"/>"
    );
    for (at, text) in shape.lines.iter().enumerate() {
        let (x, y) = ((x + w / 2.0).round(), y + 8.0 + LINE * (at as f64 + 0.72));
        let style = if at == 0 {
            "font-size=\"13\" font-weight=\"bold\" fill=\"#111111\""
        } else {
            "font-size=\"11\" fill=\"#333333\""
        };
        let _ =
            write!(out, "<text x=\"{x}\" y=\"{y:.0}\" text-anchor=\"middle\" {style}>{}</text>", escaped(&shown(text)));
    }
    out.push_str(if mark.link.is_some() { "</g></a>\n" } else { "</g>\n" });
}

fn size(shape: &Shape) -> (f64, f64) {
    let widths =
        shape.lines.iter().enumerate().map(|(at, line)| width(&shown(line), if at == 0 { 13.5 } else { 11.0 }));
    let widest = widths.fold(60.0, f64::max);
    let round = if shape.kind == ShapeKind::Step { 24.0 } else { 36.0 };
    ((widest + round).ceil(), 16.0 + LINE * shape.lines.len() as f64)
}

/// The width of an entry of the legend, with the room behind it.
fn entry(name: &str) -> f64 {
    (22.0 + width(&shown(name), 12.0) + 18.0).ceil()
}

/// How wide a text is at most, about: no font is at hand, and a box that is a little wide does no harm.
fn width(text: &str, size: f64) -> f64 {
    let wide = |c: char| match c {
        'i' | 'l' | 'j' | '.' | ',' | ':' | ' ' | '\'' | '|' | '(' | ')' | '[' | ']' | 't' | 'f' => 0.42,
        'm' | 'w' | 'M' | 'W' | '%' | '…' => 0.95,
        'A'..='Z' => 0.74,
        c if u32::from(c) >= 0x1100 => 1.05,
        _ => 0.62,
    };
    text.chars().map(wide).sum::<f64>() * size
}

/// A text, cut where it is too long for a box.
fn shown(text: &str) -> String {
    let short: String = text.chars().take(MOST).collect();
    if short.len() < text.len() { format!("{short}…") } else { short }
}
