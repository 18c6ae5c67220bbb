//! How states, moments and figures look on a page, and what its parts are made of.

use crate::html::markup::Markup;
use crate::plan::render;
use crate::{html, html_to};
use rust_decimal::Decimal;
use serde_json::Value;

/// Characters of a value that a page shows.
pub const MOST: usize = 20_000;

/// A state, as a sign and a word.
pub fn badge(state: &str) -> Markup {
    marked(state, state)
}

/// Another word with the sign and the colour of a state.
pub fn marked(state: &str, word: &str) -> Markup {
    html!("<span class=\"badge {}\">{}{}</span>", state.replace(' ', "-"), sign(state), word)
}

/// The sign of a state: its shape says what its colour says.
pub fn sign(state: &str) -> Markup {
    let path = match state {
        "done" => "M3.5 8.5l3 3 6-7",
        "failed" => "M4 4l8 8M12 4l-8 8",
        "running" => "M5 3.5v9l7.5-4.5z",
        "cancelling" | "cancelled" | "stopped" => "M4.5 4.5h7v7h-7z",
        "not needed" | "not begun" => "M4 8h8",
        _ => "M8 4.5V8l2.5 2M14 8A6 6 0 1 1 2 8a6 6 0 0 1 12 0z",
    };
    html!("<svg class=\"sign\" viewBox=\"0 0 16 16\" aria-hidden=\"true\"><path d=\"{}\"/></svg>", path)
}

/// A moment in milliseconds since 1970.
pub fn moment(ms: i64) -> Markup {
    let at = jiff::Timestamp::from_millisecond(ms).unwrap_or_default();
    html!("<time datetime=\"{}\">{} UTC</time>", at.to_string(), at.strftime("%d %b %Y, %H:%M:%S").to_string())
}

/// A figure that was measured, as those of plans are shown.
pub fn figure(metric: &str, value: f64) -> String {
    render::metric(metric, Decimal::from_f64_retain(value).unwrap_or_default())
}

/// The same; a dash where there is none.
pub fn figure_or_dash(metric: &str, value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), |value| figure(metric, value))
}

/// Seconds, for people: minutes and hours where they are many.
pub fn duration(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match whole {
        0..100 => figure("latency", seconds),
        100..7200 => format!("{} min {} s", whole / 60, whole % 60),
        _ => format!("{} h {} min", whole / 3600, whole % 3600 / 60),
    }
}

/// A value for people: a text as it is, anything else as JSON, the beginning of what is long.
pub fn value(value: &Value) -> Markup {
    excerpt(value, MOST)
}

/// The same; so many characters of it.
pub fn excerpt(value: &Value, most: usize) -> Markup {
    let text = match value {
        Value::String(text) => text.clone(),
        other => format!("{other:#}"),
    };
    let shown: String = text.chars().take(most).collect();
    let more = (shown.len() < text.len())
        .then(|| html!("<p class=\"note\">{} of {} bytes are shown.</p>", shown.len(), text.len()));
    html!("<pre tabindex=\"0\">{}</pre>{}", shown, more)
}

/// Words and what they mean.
pub fn pairs(class: &str, all: &[(&str, Markup)]) -> Markup {
    let mut out = html!("<dl class=\"{}\">", class);
    for (word, what) in all.iter().filter(|(_, what)| !what.is_empty()) {
        html_to!(out, "<div><dt>{}</dt><dd>{}</dd></div>", word, what);
    }
    html_to!(out, "</dl>");
    out
}

/// A table in a box that scrolls by itself: `head` are its columns, those of figures with `#` before the name.
pub fn table(caption: &str, head: &[&str], rows: &[Vec<Markup>]) -> Markup {
    let mut out = html!(
        "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{}\"><table><caption class=\"unseen\">{}</caption><thead><tr>",
        caption,
        caption
    );
    for name in head {
        let (class, name) = name.strip_prefix('#').map_or(("", *name), |name| ("n", name));
        html_to!(out, "<th scope=\"col\" class=\"{}\">{}</th>", class, name);
    }
    html_to!(out, "</tr></thead><tbody>");
    for row in rows {
        html_to!(out, "<tr>");
        for (at, (cell, name)) in row.iter().zip(head).enumerate() {
            let class = if name.starts_with('#') { "n" } else { "" };
            match at {
                0 => html_to!(out, "<th scope=\"row\" class=\"{}\">{}</th>", class, cell),
                _ => html_to!(out, "<td class=\"{}\">{}</td>", class, cell),
            }
        }
        html_to!(out, "</tr>");
    }
    html_to!(out, "</tbody></table></div>");
    out
}

/// A part of a page that is exchanged when something happened.
pub fn part(id: &str, heading: &str, inside: Markup) -> Markup {
    html!(
        "<section id=\"{}\" class=\"part\" aria-labelledby=\"{}-h\" data-live><h2 id=\"{}-h\">{}</h2>{}</section>\n",
        id,
        id,
        id,
        heading,
        inside
    )
}
