//! Picture → a Mermaid flowchart.

use super::{Picture, ShapeKind, colours};
use std::fmt::Write;

/// The picture as Mermaid reads it.
pub fn mermaid(picture: &Picture) -> String {
    let title: Vec<&str> = [picture.title.as_str(), &picture.summary].into_iter().filter(|l| !l.is_empty()).collect();
    let mut out = format!("---\ntitle: {:?}\n---\nflowchart TD\n", plain(&title.join(" ")));
    group(picture, None, 1, &mut out);
    if !picture.legend.is_empty() {
        out.push_str("  subgraph legend[\"carried out by\"]\n");
        for (at, name) in picture.legend.iter().enumerate() {
            let _ = writeln!(out, "    legend{at}[\"{}\"]:::c{at}", escaped(name));
        }
        out.push_str("  end\n");
    }
    for arrow in &picture.arrows {
        let line = if arrow.control { "-.->" } else { "-->" };
        let _ = writeln!(out, "  n{} {line} n{}", arrow.from, arrow.to);
    }
    let kinds = (0..picture.legend.len()).map(|at| (format!("c{at}"), Some(at)));
    for (name, colour) in kinds.chain([("plain".to_string(), None)]) {
        let (fill, line) = colours(colour);
        let _ = writeln!(out, "  classDef {name} fill:{fill},stroke:{line},color:#111111");
    }
    let longest = picture.boxes.iter().enumerate().filter(|(_, shape)| shape.critical);
    let longest: Vec<String> = longest.map(|(at, _)| format!("n{at}")).collect();
    if !longest.is_empty() {
        let _ = writeln!(out, "  classDef critical stroke-width:4px\n  class {} critical", longest.join(","));
    }
    out
}

/// The boxes and groups right inside a group.
fn group(picture: &Picture, inside: Option<usize>, depth: usize, out: &mut String) {
    let indent = "  ".repeat(depth);
    for (at, shape) in picture.boxes.iter().enumerate().filter(|(_, shape)| shape.group == inside) {
        let text = shape.lines.iter().map(|line| escaped(line)).collect::<Vec<_>>().join("<br/>");
        let (open, close) = if shape.kind == ShapeKind::Step { ("[", "]") } else { ("([", "])") };
        let class = shape.colour.map_or("plain".to_string(), |at| format!("c{at}"));
        let _ = writeln!(out, "{indent}n{at}{open}\"{text}\"{close}:::{class}");
    }
    for (at, inner) in picture.groups.iter().enumerate().filter(|(_, inner)| inner.parent == inside) {
        let _ = writeln!(out, "{indent}subgraph g{at}[\"{}\"]", escaped(&inner.title));
        group(picture, Some(at), depth + 1, out);
        let _ = writeln!(out, "{indent}end");
    }
}

/// A text without what ends a line or a quoted text of the head.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() || matches!(c, '"' | '\\') { ' ' } else { c }).collect()
}

/// What has a meaning in Mermaid's quoted texts, by its number.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            c if c.is_control() => out.push(' '),
            '"' | '#' | '&' | '<' | '>' | ';' | '`' | '\\' => {
                let _ = write!(out, "#{};", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out
}
