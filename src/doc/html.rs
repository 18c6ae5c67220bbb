//! Documentation → HTML pages that need nothing else: one with all tasks and a search box, and one with the figures of each
//! implementation. They work from a file; everything that comes from a library is escaped.

use super::{Docs, EstimatedDoc, FigureDoc, ImplementationDoc, TaskDoc};
use crate::html::escaped;
use crate::library::evidence::EvidenceKind;
use std::collections::BTreeMap;
use std::fmt::Write;

const STYLE: &str = "\
:root{--ink:#1c2024;--dim:#5f6873;--line:#dfe3e8;--back:#f6f7f9;--mark:#0b63c5}\
*{box-sizing:border-box}body{margin:0;font:15px/1.5 system-ui,sans-serif;color:var(--ink);display:grid;grid-template-columns:17rem minmax(0,1fr)}\
nav{position:sticky;top:0;height:100vh;overflow:auto;padding:1rem;background:var(--back);border-right:1px solid var(--line)}\
nav input{width:100%;font:inherit;padding:.4rem .6rem;border:1px solid #b8c0ca;border-radius:6px}\
nav h2{font-size:.78rem;margin:1rem 0 .2rem;color:var(--dim);font-weight:600}nav a{display:block;padding:.05rem 0;text-decoration:none}\
main{padding:1.5rem 2rem 6rem;max-width:72rem}a{color:var(--mark)}h1{font-size:1.5rem;margin:.2rem 0 1rem}\
section{border-top:1px solid var(--line);padding:1rem 0 1.2rem}section h3{margin:0 0 .3rem;font-size:1.08rem}\
code,pre{font:13px/1.5 ui-monospace,monospace}pre{background:var(--back);padding:.6rem .8rem;border-radius:6px;overflow:auto;white-space:pre-wrap}\
.dim{color:var(--dim)}.docs{white-space:pre-line;max-width:48rem;margin:.2rem 0 .6rem}\
table{border-collapse:collapse;width:100%;font-size:13.5px;margin:.4rem 0}td,th{padding:.3rem .7rem .3rem 0;text-align:left;vertical-align:top;border-bottom:1px solid var(--line)}\
th{color:var(--dim);font-weight:600}td.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}td.long{overflow-wrap:anywhere;max-width:32rem}\
.tag{display:inline-block;border:1px solid var(--line);border-radius:4px;padding:0 .4rem;margin:0 .3rem .2rem 0;font-size:12.5px;color:var(--dim)}\
.measured{color:#12693c}.published{color:#0b58a8}.estimated{color:#92600a}summary{cursor:pointer;color:var(--dim)}[hidden]{display:none!important}\
@media(max-width:50rem){body{display:block}nav{position:static;height:auto}}";

/// Hides what does not hold all words of the box; compares text with text, and writes none.
const SCRIPT: &str = "\
const box=document.getElementById('find'),all=[...document.querySelectorAll('[data-find]')],none=document.getElementById('none');\
const find=()=>{const words=box.value.toLowerCase().split(/\\s+/).filter(Boolean);let shown=0;\
all.forEach(e=>{const good=words.every(w=>e.dataset.find.includes(w));e.hidden=!good;if(good&&e.tagName==='SECTION')shown++});\
document.querySelectorAll('nav h2').forEach(h=>{let e=h.nextElementSibling,any=false;while(e&&e.tagName==='A'){any=any||!e.hidden;e=e.nextElementSibling}h.hidden=!any});\
none.hidden=shown>0};box.addEventListener('input',find);\
document.addEventListener('keydown',e=>{if(e.key==='/'&&document.activeElement!==box){e.preventDefault();box.focus()}});find();";

/// The pages by file name.
pub fn pages(docs: &Docs) -> BTreeMap<String, String> {
    let figures = docs.implementations.values().filter(|entry| !entry.figures.is_empty());
    let mut pages: BTreeMap<String, String> =
        figures.map(|entry| (format!("figures/{}.html", entry.name), figure_page(entry))).collect();
    pages.insert("index.html".to_string(), index(docs));
    pages
}

fn page(title: &str, nav: &str, main: &str, script: &str) -> String {
    // Nothing is loaded and nothing can be sent: a page of a library is as harmless as its text.
    let policy = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'";
    let script = if script.is_empty() { String::new() } else { format!("<script>{script}</script>\n") };
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{policy}\">\n<title>{}</title>\n<style>{STYLE}</style>\n</head>\n\
         <body>\n<nav>\n{nav}</nav>\n<main>\n{main}</main>\n{script}</body>\n</html>\n",
        escaped(title)
    )
}

fn index(docs: &Docs) -> String {
    let mut nav = String::from("<input id=\"find\" type=\"search\" placeholder=\"Search  /\" aria-label=\"Search\">\n");
    let mut module = None;
    for task in &docs.tasks {
        if module != Some(&task.module) {
            module = Some(&task.module);
            let shown = if task.module.is_empty() { "this job" } else { &task.module };
            let _ = writeln!(nav, "<h2>{}</h2>", escaped(shown));
        }
        let (name, find) = (escaped(&task.name), escaped(&words(task, docs)));
        let _ = writeln!(nav, "<a href=\"#task-{name}\" data-find=\"{find}\">{name}</a>");
    }
    let rows: usize = docs.implementations.values().map(|i| i.figures.len()).sum();
    let mut main = format!(
        "<h1>The library</h1>\n<p class=\"dim\">{} tasks, {} models and tools, {rows} figures: {}.</p>\n<p id=\"none\" hidden>Nothing is called so.</p>\n",
        docs.tasks.len(),
        docs.implementations.len(),
        shares(docs.implementations.values().flat_map(|i| &i.figures)),
    );
    for task in &docs.tasks {
        main.push_str(&of_task(task, docs));
    }
    let _ = writeln!(main, "<section data-find=\"types records enums\"><h3 id=\"types\">Types</h3>");
    for (name, text) in &docs.types {
        let _ = writeln!(main, "<pre id=\"type-{}\">{}</pre>", escaped(name), escaped(text));
    }
    let _ = writeln!(
        main,
        "</section>\n<section data-find=\"clusters machines\"><h3 id=\"clusters\">Clusters</h3>\n<table>"
    );
    for (name, pools) in &docs.clusters {
        let _ =
            writeln!(main, "<tr><td><code>{}</code></td><td>{}</td></tr>", escaped(name), escaped(&pools.join(", ")));
    }
    main.push_str(
        "</table>\n</section>\n<section data-find=\"devices gpus machines\"><h3 id=\"devices\">Devices</h3>\n<table>\n",
    );
    for (name, device) in &docs.devices {
        let facts: Vec<String> = device
            .facts
            .iter()
            .map(|(fact, value)| {
                let rests = device.evidence.get(*fact).map_or("", String::as_str);
                format!("<span title=\"{}\">{}</span>", escaped(rests), escaped(&format!("{fact} {value}")))
            })
            .collect();
        let _ = writeln!(
            main,
            "<tr><td><code>{}</code></td><td>{}</td><td>{}</td><td class=\"docs\">{}</td></tr>",
            escaped(name),
            device.kind,
            facts.join(", "),
            escaped(&device.docs)
        );
    }
    main.push_str("</table>\n</section>\n");
    page("The library", &nav, &main, SCRIPT)
}

/// What a search finds a task by.
fn words(task: &TaskDoc, docs: &Docs) -> String {
    let entries = task.implementations.iter().filter_map(|name| docs.implementations.get(name));
    let entries = entries.flat_map(|i| {
        let knobs = i.knobs.iter().flat_map(|(name, values)| std::iter::once(name).chain(values));
        [&i.name, &i.docs].into_iter().chain(knobs).chain(i.engine.iter().map(|e| &e.kind)).cloned().collect::<Vec<_>>()
    });
    let types = task.params.iter().map(|(_, ty)| ty.clone()).chain([task.result.clone()]);
    let own = [task.name.clone(), task.module.clone(), task.docs.clone()];
    own.into_iter().chain(types).chain(entries).collect::<Vec<_>>().join(" ").to_lowercase().replace('\n', " ")
}

fn of_task(task: &TaskDoc, docs: &Docs) -> String {
    let params: Vec<String> = task.params.iter().map(|(n, ty)| format!("{n}: {ty}")).collect();
    let signature = format!("task {}({}) -> {}", task.name, params.join(", "), task.result);
    let mut out = format!(
        "<section id=\"task-{name}\" data-find=\"{}\">\n<h3>{name} <span class=\"dim\">{}</span></h3>\n<p class=\"docs\">{}</p>\n<pre>{}",
        escaped(&words(task, docs)),
        escaped(&task.module),
        escaped(&task.docs),
        escaped(&signature),
        name = escaped(&task.name),
    );
    for (word, lines) in [("work", &task.work), ("size", &task.sizes)] {
        for (name, expr) in lines {
            let _ = write!(out, "\n  {word} {} = {}", escaped(name), escaped(expr));
        }
    }
    out.push_str("</pre>\n");
    if let Some(benchmark) = &task.benchmark {
        let _ = writeln!(out, "<p class=\"dim\">Quality is that of <code>{}</code>.</p>", escaped(benchmark));
    }
    if !task.prompt.is_empty() {
        let system = if task.system.is_empty() { String::new() } else { format!("{}\n\n", task.system) };
        let text = escaped(&format!("{system}{}", task.prompt));
        let _ = writeln!(out, "<details><summary>What a language model is told</summary><pre>{text}</pre></details>");
    }
    let entries: Vec<&ImplementationDoc> =
        task.implementations.iter().filter_map(|n| docs.implementations.get(n)).collect();
    if entries.is_empty() {
        out.push_str("<p class=\"dim\">Nothing carries it out.</p>\n");
    } else {
        out.push_str(
            "<table>\n<tr><th>carried out by</th><th>knobs</th><th>on</th><th>engine</th><th>figures</th></tr>\n",
        );
        entries.iter().for_each(|entry| out.push_str(&row(entry)));
        out.push_str("</table>\n");
    }
    out.push_str("</section>\n");
    out
}

fn row(entry: &ImplementationDoc) -> String {
    let mut tags = vec![entry.access.to_string()];
    tags.extend(entry.label.clone());
    tags.extend(entry.license.clone());
    tags.extend(entry.region.iter().map(|r| format!("region {r}")));
    tags.extend(entry.limits.iter().chain(&entry.handling).cloned());
    if entry.concurrency != "1" {
        tags.push(format!("concurrency {}", entry.concurrency));
    }
    let tags: String = tags.iter().map(|t| format!("<span class=\"tag\">{}</span>", escaped(t))).collect();
    let knobs: Vec<String> =
        entry.knobs.iter().map(|(n, v)| format!("<b>{}</b> {}", escaped(n), escaped(&v.join(", ")))).collect();
    let hardware: Vec<String> = entry.hardware.iter().map(|h| escaped(h)).collect();
    let engine = match &entry.engine {
        None => "none".to_string(),
        Some(engine) => {
            let lines: Vec<String> = engine.settings.iter().map(|(n, v)| format!("{n} {v}")).collect();
            let text = escaped(&lines.join("\n"));
            format!("<details><summary>{}</summary><pre>{text}</pre></details>", escaped(&engine.kind))
        }
    };
    let name = escaped(&entry.name);
    let mut figures = if entry.figures.is_empty() {
        "<span class=\"dim\">none: no plan can use it</span>".to_string()
    } else {
        format!("<a href=\"figures/{name}.html\">{}</a><br>{}", entry.figures.len(), shares(entry.figures.iter()))
    };
    figures.extend(entry.estimated.as_ref().map(|estimated| format!("<br>{}", computed(estimated))));
    format!(
        "<tr><td><b>{name}</b><div class=\"docs\">{}</div>{tags}</td><td class=\"long\">{}</td><td>{}</td><td class=\"long\">{engine}</td><td>{figures}</td></tr>\n",
        escaped(&entry.docs),
        knobs.join("<br>"),
        hardware.join("<br>"),
    )
}

/// What is computed where no figure is there.
fn computed(of: &EstimatedDoc) -> String {
    format!(
        "<span class=\"estimated\">the rest by a roofline: {} settings as in its check, {} outside of it, {} refused</span>",
        of.checked, of.outside, of.refused
    )
}

/// How many figures are measured, published and estimated.
fn shares<'a>(figures: impl Iterator<Item = &'a FigureDoc>) -> String {
    let mut counts = [0usize; 3];
    for figure in figures {
        counts[figure.evidence as usize] += 1;
    }
    let shown = EvidenceKind::ALL.into_iter().filter(|k| counts[*k as usize] > 0).map(|kind| {
        let word = kind.text();
        format!("<span class=\"{word}\">{} {word}</span>", counts[kind as usize])
    });
    let shown: Vec<String> = shown.collect();
    if shown.is_empty() { "none".to_string() } else { shown.join(", ") }
}

fn figure_page(entry: &ImplementationDoc) -> String {
    let nav = "<p><a href=\"../index.html\">The library</a></p>\n";
    let mut main = format!(
        "<h1>Figures of {}</h1>\n<p class=\"docs\">{}</p>\n<p>{}</p>\n<table>\n<tr><th>figure</th><th>for</th><th>value</th><th></th><th>from, to</th><th>evidence</th><th>source</th></tr>\n",
        escaped(&entry.name),
        escaped(&entry.docs),
        std::iter::once(shares(entry.figures.iter()))
            .chain(entry.estimated.as_ref().map(computed))
            .collect::<Vec<_>>()
            .join("<br>"),
    );
    for f in &entry.figures {
        let interval =
            if f.interval.0 == f.interval.1 { String::new() } else { format!("{}, {}", f.interval.0, f.interval.1) };
        let about: Vec<String> = f.about.iter().chain(&f.date).map(|t| escaped(t)).collect();
        let about = if about.is_empty() {
            String::new()
        } else {
            format!("<br><span class=\"dim\">{}</span>", about.join("; "))
        };
        let word = f.evidence.text();
        let _ = writeln!(
            main,
            "<tr><td>{}</td><td>{}</td><td class=\"n\">{}</td><td>{}</td><td class=\"n\">{}</td><td class=\"{word}\">{word}</td><td class=\"long\">{}{about}</td></tr>",
            escaped(&f.figure),
            escaped(&f.setting),
            f.value,
            escaped(&f.unit),
            interval,
            escaped(&f.source),
        );
    }
    main.push_str("</table>\n");
    page(&format!("Figures of {}", entry.name), nav, &main, "")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compile::{Texts, check_tree};
    use crate::diag::Diagnostics;

    fn library(own: &str, profile: &str) -> Docs {
        let mut texts = Texts::with_stdlib();
        let file = texts.sources.add("own.mkb".to_string(), own.to_string());
        texts.modules.push(("own".into(), file));
        let file = texts.sources.add("own.csv".to_string(), profile.to_string());
        texts.profiles.insert("own.csv".into(), file);
        let mut cx = Diagnostics::default();
        let library = check_tree(&texts, Default::default(), &mut cx).library;
        assert!(!cx.has_errors(), "{}", crate::diag::render::text(&cx, &texts.sources, false));
        super::super::document(&library)
    }

    const OWN: &str = "/// <script>alert(1)</script> \"onload='x'\ntask hurt(text: Text) -> Text {\n  prompt \"<img src=x onerror=alert(2)>{text}\"\n}\n\
        /// </table><svg onload=alert(3)>\ntool hurtful implements hurt {\n  label \"\\\"><script>alert(4)</script>\"\n  knob k in [\"<b>\"]\n  runs on cpu * 1\n\
        \x20 engine process { command [\"echo\", \"</pre><script>alert(5)</script>\"] }\n  profile \"own.csv\"\n}\n";
    const PROFILE: &str = "device,units,figure,value,unit,low,high,evidence,source\n,,latency,1,s,,,estimated,\"<script>alert(6)</script>\"\n";

    #[test]
    fn nothing_of_a_library_is_markup() {
        let pages = pages(&library(OWN, PROFILE));
        for (name, text) in &pages {
            let elements = text.matches("<script").count();
            assert_eq!(elements, usize::from(name == "index.html"), "{name}");
            for element in ["<img", "<svg", "onload=\"", "onerror=\"", "<b>,", "<b>\""] {
                assert!(!text.contains(element), "{name}: {element}");
            }
        }
        let index = &pages["index.html"];
        assert!(index.contains("&lt;script&gt;alert(1)&lt;/script&gt; &quot;onload=&#39;x&#39;"));
        assert!(pages["figures/hurtful.html"].contains("&lt;script&gt;alert(6)"));
    }

    #[test]
    fn every_task_model_and_figure_of_the_library_is_shown_and_always_the_same() {
        let docs = library(OWN, PROFILE);
        let (one, two) = (pages(&docs), pages(&library(OWN, PROFILE)));
        assert_eq!(one, two);
        let index = &one["index.html"];
        assert!(docs.tasks.len() > 10);
        assert!(docs.tasks.iter().all(|t| index.contains(&format!("<section id=\"task-{}\"", t.name))));
        for entry in docs.implementations.values() {
            assert!(index.contains(&format!("<b>{}</b>", entry.name)), "{}", entry.name);
            let rows = one.get(&format!("figures/{}.html", entry.name)).map_or(0, |p| p.matches("<tr><td>").count());
            assert_eq!(rows, entry.figures.len(), "{}", entry.name);
        }
        let markup = |text: &str| text.matches("<section").count() == text.matches("</section>").count();
        assert!(markup(index) && !index.contains("src=\""));
    }
}
