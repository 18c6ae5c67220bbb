//! Front → one HTML file that needs nothing else: the plot, and a table; a point and its row light up together.

use super::front::{digits, extent, labels, value};
use super::svg::plot;
use crate::ask::answer::{Front, FrontPoint};
use crate::ask::names::{said, shown};
use crate::html::escaped;
use crate::plan::render::metric_to;
use std::fmt::Write;

const STYLE: &str = "body{font:15px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:60rem;padding:0 1rem;color:#222}\
svg{max-width:100%;height:auto}.hit{fill:transparent;stroke:none;cursor:pointer}.hit.on{stroke:#d33;stroke-width:3}\
table{border-collapse:collapse;width:100%;font-size:14px}td,th{padding:.3rem .6rem;text-align:left;vertical-align:top;\
border-bottom:1px solid #ddd}td.n{text-align:right;white-space:nowrap}tr.on{background:#fdeaea}tr.off{color:#888}\
#tip{position:fixed;display:none;pointer-events:none;background:#fff;border:1px solid #999;padding:.4rem .6rem;\
font-size:13px;max-width:26rem;white-space:pre-line;box-shadow:0 2px 6px #0003}";

/// Data goes in as text of elements alone; the script only moves classes and copies text.
const SCRIPT: &str = "const all=[...document.querySelectorAll('[data-point]')],tip=document.getElementById('tip');\
const light=(id,on)=>all.forEach(e=>e.classList.toggle('on',on&&e.dataset.point===id));\
all.forEach(e=>{e.addEventListener('mouseenter',()=>{light(e.dataset.point,true);if(e.tagName==='circle'){\
tip.textContent=e.querySelector('title').textContent;tip.style.display='block'}});\
e.addEventListener('mousemove',v=>{tip.style.left=Math.min(v.clientX+14,innerWidth-330)+'px';tip.style.top=v.clientY+14+'px'});\
e.addEventListener('mouseleave',()=>{light('',false);tip.style.display='none'})});";

/// The page.
pub fn page(front: &Front, job: &str, cluster: &str) -> Result<String, String> {
    let title = format!("{} of {job} on {cluster}", front.metrics.join(", "));
    let plot = plot(front, &title)?;
    let mut hits = String::new();
    for (number, (point, (x, y))) in front.points.iter().zip(&plot.places).enumerate() {
        let _ = writeln!(
            hits,
            "<circle class=\"hit\" data-point=\"{number}\" cx=\"{x}\" cy=\"{y}\" r=\"10\"><title>{}</title></circle>",
            escaped(&described(front, point))
        );
    }
    let svg = match plot.svg.rfind("</svg>") {
        Some(end) => format!("{}{hits}{}", &plot.svg[..end], &plot.svg[end..]),
        None => plot.svg,
    };
    let mut head = String::from("<th></th>");
    for m in &front.metrics {
        let _ = write!(head, "<th>{}</th>", escaped(m));
    }
    head.push_str("<th>carried out by</th>");
    let mut rows = String::new();
    let digits = digits(front);
    for (number, point) in front.points.iter().enumerate() {
        let class = if point.on_front { "" } else { " class=\"off\"" };
        let _ = write!(rows, "<tr data-point=\"{number}\"{class}><td>{}</td>", escaped(&labels(point)));
        for (m, more) in front.metrics.iter().zip(&digits) {
            let _ = write!(rows, "<td class=\"n\">{}</td>", escaped(&metric_to(m, value(point, m), *more)));
        }
        let steps: Vec<String> = point.steps.iter().map(|(n, c)| escaped(&format!("{n}: {}", shown(c)))).collect();
        let _ = writeln!(rows, "<td>{}</td></tr>", steps.join("<br>"));
    }
    let without: String = front.ignored.iter().map(|l| format!("<p>Without {}.</p>\n", escaped(&said(l)))).collect();
    Ok(format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>{title}</title>\n<style>{STYLE}</style>\n\
         </head>\n<body>\n<h1>{title}</h1>\n{svg}\n<p>{extent}.</p>\n{without}<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n\
         {rows}</tbody>\n</table>\n<div id=\"tip\"></div>\n<script>{SCRIPT}</script>\n</body>\n</html>\n",
        title = escaped(&title),
        extent = escaped(&extent(front)),
    ))
}

/// A point in a few lines.
fn described(front: &Front, point: &FrontPoint) -> String {
    let mut lines: Vec<String> = Vec::new();
    if !point.labels.is_empty() {
        lines.push(labels(point));
    }
    let metrics = front.metrics.iter().zip(digits(front));
    lines.extend(metrics.map(|(m, more)| format!("{m}: {}", metric_to(m, value(point, m), more))));
    lines.extend(point.steps.iter().map(|(name, c)| format!("{name}: {}", shown(c))));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_text_and_nothing_else() {
        let front = Front {
            metrics: vec!["cost".into(), "quality".into()],
            extent: "complete".into(),
            ignored: vec![],
            limits: vec![],
            points: vec![],
        };
        let page = page(&front, "<script>alert(1)</script>", "a\"b'&c").expect("a page");
        assert!(!page.contains("<script>alert") && page.contains("&lt;script&gt;alert"));
        assert!(page.contains("a&quot;b&#39;&amp;c"));
    }
}
