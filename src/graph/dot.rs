//! Picture → Graphviz' DOT.

use super::{Picture, ShapeKind, colours};
use std::fmt::Write;

/// The picture in DOT.
pub fn dot(picture: &Picture) -> String {
    let mut out = format!("digraph {} {{\n", quoted(&picture.title));
    let title: Vec<&str> = [picture.title.as_str(), &picture.summary].into_iter().filter(|l| !l.is_empty()).collect();
    let _ = writeln!(out, "  label={}", lines(&title));
    out.push_str("  labelloc=t\n  node [shape=box, style=\"filled,rounded\", fontname=\"sans-serif\"]\n");
    group(picture, None, 1, &mut out);
    if !picture.legend.is_empty() {
        out.push_str("  subgraph cluster_legend {\n    label=\"carried out by\"\n");
        for (at, name) in picture.legend.iter().enumerate() {
            let (fill, line) = colours(Some(at));
            let _ = writeln!(out, "    legend{at} [label={}, fillcolor={fill:?}, color={line:?}]", quoted(name));
        }
        out.push_str("  }\n");
    }
    for arrow in &picture.arrows {
        let style = [(arrow.control, "style=dashed"), (arrow.critical, "penwidth=2.6")];
        let style: Vec<&str> = style.into_iter().filter(|(is, _)| *is).map(|(_, style)| style).collect();
        let style = if style.is_empty() { String::new() } else { format!(" [{}]", style.join(", ")) };
        let _ = writeln!(out, "  n{} -> n{}{style}", arrow.from, arrow.to);
    }
    out.push_str("}\n");
    out
}

/// The boxes and groups right inside a group.
fn group(picture: &Picture, inside: Option<usize>, depth: usize, out: &mut String) {
    let indent = "  ".repeat(depth);
    for (at, shape) in picture.boxes.iter().enumerate().filter(|(_, shape)| shape.group == inside) {
        let (fill, line) = colours(shape.colour);
        let texts: Vec<&str> = shape.lines.iter().map(String::as_str).collect();
        let ends = match shape.kind {
            ShapeKind::Step if shape.critical => ", penwidth=3",
            ShapeKind::Step => "",
            ShapeKind::Input | ShapeKind::Result => ", shape=ellipse, style=filled",
        };
        let _ = writeln!(out, "{indent}n{at} [label={}, fillcolor={fill:?}, color={line:?}{ends}]", lines(&texts));
    }
    for (at, inner) in picture.groups.iter().enumerate().filter(|(_, inner)| inner.parent == inside) {
        let _ = writeln!(out, "{indent}subgraph cluster_{at} {{\n{indent}  label={}", quoted(&inner.title));
        let _ = writeln!(out, "{indent}  style=rounded\n{indent}  color=\"#999999\"");
        group(picture, Some(at), depth + 1, out);
        let _ = writeln!(out, "{indent}}}");
    }
}

fn quoted(text: &str) -> String {
    lines(&[text])
}

/// Lines in one quoted text.
fn lines(all: &[&str]) -> String {
    let escaped = |text: &&str| {
        let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        text.replace('\\', "\\\\").replace('"', "\\\"")
    };
    format!("\"{}\"", all.iter().map(escaped).collect::<Vec<_>>().join("\\n"))
}
