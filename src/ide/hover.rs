//! What a place means, in Markdown.

use super::Analysis;
use super::cursor::expressions;
use super::names::Target;
use crate::check::program::{Hole, Job, Tier};
use crate::check::reuse::WORDS;
use crate::diag::source::Span;
use crate::doc::{declared, of_entry, of_task};
use crate::expand::current::change;
use crate::expand::search;
use crate::legible::plain;
use crate::library::{Implementation, Library, Stated, Task};
use crate::plan::render::percent;
use crate::syntax::ast::{Expectation, ExprKind, ItemKind, StmtKind};
use crate::syntax::token::Token;
use crate::types::Type;
use crate::units::{UNITS, counted, shown};
use rust_decimal::Decimal;
use std::fmt::Write;

/// How many figures of an implementation a hover shows.
const MAX_FIGURES: usize = 12;

/// What a place means, with the place of the whole.
pub fn hover(analysis: &Analysis, at: u32) -> Option<(Span, String)> {
    if let Some(name) = analysis.names().at(at)
        && let Some(text) = meaning(analysis, &name.target, name.span)
    {
        return Some((name.span, text));
    }
    if let Some((job, hole)) = hole_at(analysis, at) {
        let place = places(job, hole).find(|s| s.start <= at && at <= s.end).unwrap_or(hole.span);
        return Some((place, of_hole(analysis, job, hole)));
    }
    trace(analysis, at).or_else(|| word(analysis, at))
}

/// What the trace of arrivals at a place says.
fn trace(analysis: &Analysis, at: u32) -> Option<(Span, String)> {
    let there = |span: Span| span.file == analysis.file && span.start <= at && at < span.end;
    let items = analysis.tree.items.iter().filter(|item| there(item.span));
    let job = items.filter_map(|item| if let ItemKind::Job(job) = &item.kind { Some(job) } else { None }).next()?;
    let (file, place) = job.body.iter().filter(|stmt| there(stmt.span)).find_map(|stmt| match &stmt.kind {
        StmtKind::Expect(Expectation::Trace(word, file, place)) => {
            [word.span, *place].into_iter().find(|span| there(*span)).map(|span| (file, span))
        }
        _ => None,
    })?;
    let checked = analysis.program.jobs.iter().find(|checked| checked.span == job.name.span)?;
    let rate = checked.rate.as_ref().filter(|rate| rate.trace.as_ref() == Some(file))?.per_s;
    let said = format!("The busiest minute of `{file}` has {}/s.", counted(shown(rate, 4), "run"));
    Some((place, format!("{}\n{said}", code(analysis.slice(place)))))
}

/// The hole at a place. A job that is one hole has it at its name and at its goal.
pub fn hole_at(analysis: &Analysis, at: u32) -> Option<(&Job, &Hole)> {
    let holes = analysis.program.jobs.iter().flat_map(|j| j.holes.iter().map(move |h| (j, h)));
    let there = |s: Span| s.file == analysis.file && s.start <= at && at <= s.end;
    holes.into_iter().find(|(job, hole)| places(job, hole).any(there))
}

/// Where a hole is.
pub fn places<'a>(job: &'a Job, hole: &'a Hole) -> impl Iterator<Item = Span> + 'a {
    let goal = job.goal.iter().map(|(_, at)| *at).filter(|_| hole.span == job.span);
    std::iter::once(hole.span).chain(goal)
}

fn code(text: &str) -> String {
    format!("```mkb\n{text}\n```\n")
}

fn meaning(analysis: &Analysis, target: &Target, at: Span) -> Option<String> {
    let library = &analysis.library;
    let text = analysis.slice(at);
    Some(match target {
        Target::Local(definition) => {
            let ty = analysis.type_of(*definition)?;
            let sizes: Vec<&str> = ty.sizes().iter().map(|(name, _)| *name).collect();
            let sizes = if sizes.is_empty() { String::new() } else { format!("\nSizes: `{}`", sizes.join("`, `")) };
            format!("{}{sizes}", code(&format!("{text}: {ty}")))
        }
        Target::Job(name) => {
            let job = analysis.program.jobs.iter().find(|j| j.name == *name)?;
            let params: Vec<String> =
                job.params.iter().map(|p| job.local(*p)).map(|l| format!("{}: {}", l.name, l.ty)).collect();
            let mut out = code(&format!("job {name}({}) -> {}", params.join(", "), job.result));
            let _ = write!(out, "\n{}", job.docs);
            for hole in job.holes.iter().filter(|h| h.span == job.span) {
                let _ = write!(out, "\n\n{}", of_hole(analysis, job, hole));
            }
            out
        }
        Target::Task(name) => task(analysis, library.tasks.get(name)?),
        Target::Implementation(name) => implementation(library.implementations.get(name)?),
        Target::Knob(of, knob) => {
            let entry = library.implementations.get(of)?;
            let (_, values) = entry.knobs.iter().find(|(n, _)| n == knob)?;
            format!("{}\nA knob of `{of}`.", code(&format!("knob {knob} in [{}]", values.join(", "))))
        }
        Target::Parameter(of, param) => {
            let task = library.tasks.get(of)?;
            let (_, ty) = task.params.iter().find(|(n, _)| n == param)?;
            format!("{}\nA parameter of `{of}`: {}", code(&format!("{param}: {ty}")), task.docs)
        }
        Target::Type(name) => match (library.types.get(name), Type::built_in(name)) {
            (Some((ty, _)), _) => {
                let docs = library.type_docs.get(name).map_or("", |docs| docs.as_str());
                format!("{}\n{docs}", code(&declared(ty)))
            }
            (None, Some(ty)) => built_in(name, &ty),
            (None, None) => return None,
        },
        Target::Value(of, value) => code(&format!("{value}: {of}")),
        Target::Module(name) => module(library, name),
        Target::Device(name) => {
            let device = library.devices.get(name)?;
            let kind = if device.gpu { "gpu" } else { "cpu" };
            let mut out = code(&format!("device {name} // {kind}"));
            let facts = &device.facts;
            let figures = [
                ("memory", "memory", device.memory_gb, "GB"),
                ("tflops", "dense bf16", facts.tflops, "Tflop/s"),
                ("bandwidth", "memory bandwidth", facts.bandwidth, "GB/s"),
                ("link", "link", facts.link, "GB/s"),
                ("power", "power at most", facts.power, "W"),
                ("idle", "power with nothing to do", facts.idle, "W"),
            ];
            let _ = write!(out, "\n{}", device.docs);
            for (word, what, value, unit) in figures {
                if let Some(value) = value {
                    let rests =
                        Stated::rests(&device.stated, word).map_or(String::new(), |rests| format!(" ({rests})"));
                    let _ = write!(out, "\n- {what}: {} {unit}{rests}", value.normalize());
                }
            }
            out
        }
        Target::Cluster(name) => {
            let cluster = library.clusters.get(name)?;
            let pools = cluster.pools.iter().map(|(d, n, usd)| {
                let rests = Stated::rests(&cluster.stated, d).map_or(String::new(), |rests| format!("  // {rests}"));
                format!("  {d} * {n} at {} usd/h{rests}", usd.normalize())
            });
            code(&format!("cluster {name} {{\n{}\n}}", pools.collect::<Vec<_>>().join("\n")))
        }
        Target::Metric(name) => format!("{}\n{}", code(name), METRICS.iter().find(|(n, _)| n == name)?.1),
        Target::Field(of, field) => {
            let (Type::Record(_, fields), _) = library.types.get(of)? else { return None };
            let (_, ty) = fields.iter().find(|(n, _)| n == field)?;
            format!("{}\nA field of `{of}`.", code(&format!("{field}: {ty}")))
        }
        Target::Part(_) => return None,
    })
}

/// The metrics, in words.
pub const METRICS: [(&str, &str); 13] = [
    ("cost", "Money for one run, in `usd`."),
    ("latency", "Wall time of one run: its critical path."),
    ("latency.p95", "Wall time that 95 % of all runs stay within."),
    ("latency.p99", "Wall time that 99 % of all runs stay within."),
    ("quality", "How good the answer is, 0 % to 100 %, from the steps' own qualities."),
    ("energy", "Energy of one run, in `Wh`."),
    ("gpus", "GPUs held."),
    ("ttft", "Wall time from the start of a run to the first token of its result."),
    ("ttft.p95", "Time to the first token that 95 % of all runs stay within."),
    ("ttft.p99", "Time to the first token that 99 % of all runs stay within."),
    ("tpot", "Time for each token of the result after its first one."),
    ("tpot.p95", "Time for each further token that 95 % of all runs stay within."),
    ("tpot.p99", "Time for each further token that 99 % of all runs stay within."),
];

/// The words of the language that need a word of explanation.
pub const KEYWORDS: [(&str, &str); 25] = [
    ("use", "Brings a module's tasks into the file: `use std.video`."),
    ("job", "What is wanted: inputs, a result, limits, and as much of the how as one cares to say."),
    ("task", "An interface: what a step takes and yields, and what its time and cost scale with."),
    ("model", "A model that carries out tasks: knobs, hardware, engine, profile."),
    ("tool", "A program that carries out tasks: knobs, hardware, engine, profile."),
    ("compose", "A way to carry out a task by several calls."),
    ("cluster", "Machines with their prices."),
    ("device", "A kind of processor."),
    ("type", "A record: `type Person { name: Text }`."),
    ("enum", "One of several values: `enum Colour { red, blue }`."),
    ("let", "Names a value: `let transcript = speech_to_text(audio)`."),
    ("for", "A block for each item of a list; its value is the list of the results."),
    ("if", "One of two blocks; `expect 30 %` says how often the first is taken."),
    ("repeat", "A block until it is good: `repeat x = first up to 4 until c { … }`."),
    ("goal", "What is wanted, in words; holes are filled with it in mind."),
    ("slo", "Limits that every plan must keep."),
    ("minimize", "What should be small, within the limits; several in order: `minimize cost, then latency`."),
    ("maximize", "What should be large, within the limits."),
    ("prefer", "A limit, pin or rule that is kept if it can be."),
    ("expect", "What is known of an input's size, or of how often the job runs: `expect videos * 2 of 60 s`."),
    ("using", "Pins the model or tool, and its knobs: `using whisper(variant: small) on a100 * 1`."),
    ("on", "Pins the cluster of a job, or the hardware of a step."),
    ("retry", "How often a call that failed is made again."),
    ("timeout", "How long a call may take."),
    (
        "cache",
        "Whether results of other runs are taken over: `cache on`, `cache off`, for a time: `cache 24 h`, `cache weekly`.",
    ),
];

fn word(analysis: &Analysis, at: u32) -> Option<(Span, String)> {
    let tokens = &analysis.lexed().tokens;
    let index = tokens.iter().position(|(start, t, end)| *start <= at && at < *end && *t != Token::Newline)?;
    let (start, token, end) = tokens[index];
    let span = analysis.span(start as usize, end as usize);
    let text = analysis.slice(span);
    let number = index.checked_sub(1).is_some_and(|i| tokens[i].1 == Token::Number);
    if let Some(unit) = UNITS.iter().find(|u| number && u.name == text) {
        let factor = unit.factor.normalize();
        let base = if unit.dimension == crate::units::Dimension::NONE {
            String::new()
        } else {
            format!(" ({})", unit.dimension)
        };
        return Some((span, format!("{}\n{}{base}, {factor} of the base unit", code(text), unit.meaning)));
    }
    if let Some(tier) = Tier::named(text)
        && index.checked_sub(1).is_some_and(|i| tokens[i].1 == Token::GreaterEq)
    {
        return Some((span, format!("{}\n{}", code(text), tier.meaning())));
    }
    let cached = index.checked_sub(1).is_some_and(|i| tokens[i].1 == Token::Cache);
    if let Some((_, _, meaning)) = WORDS.iter().find(|(word, ..)| cached && *word == text) {
        return Some((span, format!("{}\n{meaning}", code(text))));
    }
    let docs = KEYWORDS.iter().find(|(word, _)| token.is_keyword() && *word == text)?.1;
    Some((span, format!("{}\n{docs}", code(text))))
}

/// A module with what it declares.
fn module(library: &Library, name: &str) -> String {
    let mut out = format!("{}\n", code(&format!("use {name}")));
    let tasks: Vec<&Task> = library.tasks.values().filter(|task| task.module == *name).collect();
    for task in &tasks {
        let _ = writeln!(out, "- `{}`: {}", task.name, first_line(&task.docs));
    }
    // What else stands in the file of its tasks.
    let Some(file) = tasks.first().map(|task| task.span.file) else { return out };
    for (ty, _) in library.types.values().filter(|(_, at)| at.file == file) {
        let _ = writeln!(out, "- `{}`", declared(ty));
    }
    for entry in library.implementations.values().filter(|entry| entry.span.file == file) {
        let _ = writeln!(out, "- `{}` carries out `{}`", entry.name, entry.tasks.join("`, `"));
    }
    out
}

fn first_line(docs: &str) -> &str {
    docs.lines().next().unwrap_or("")
}

fn built_in(name: &str, ty: &Type) -> String {
    let sizes: Vec<&str> = ty.sizes().iter().map(|(name, _)| *name).collect();
    let what = if ty.is_data() { "plain data" } else { "a file" };
    let sizes = if sizes.is_empty() { String::new() } else { format!(". Sizes: `{}`", sizes.join("`, `")) };
    format!("{}\nA built-in type, {what}{sizes}", code(name))
}

/// A task in Markdown: what it does, what scales it, what carries it out.
pub fn task(analysis: &Analysis, task: &Task) -> String {
    let doc = of_task(task, &analysis.library);
    let params: Vec<String> = doc.params.iter().map(|(n, ty)| format!("{n}: {ty}")).collect();
    let mut out = code(&format!("task {}({}) -> {}", doc.name, params.join(", "), doc.result));
    let _ = write!(out, "\n{}", doc.docs);
    for (what, list) in [("work", &doc.work), ("size", &doc.sizes)] {
        for (name, expr) in list {
            let _ = write!(out, "\n- {what} `{name} = {expr}`");
        }
    }
    if let Some(benchmark) = &doc.benchmark {
        let _ = write!(out, "\n- quality from `{benchmark}`");
    }
    if !doc.implementations.is_empty() {
        let _ = write!(out, "\n\nCarried out by `{}`", doc.implementations.join("`, `"));
    }
    if !doc.module.is_empty() {
        let _ = write!(out, "\n\n`use {}`", doc.module);
    }
    out
}

/// A model or tool in Markdown, its figures with what they rest on.
pub fn implementation(entry: &Implementation) -> String {
    let doc = of_entry(entry);
    let kind = if entry.flow.is_some() { "compose" } else { "implementation" };
    let mut out = code(&format!("{} implements {} // {kind}", doc.name, doc.tasks.join(", ")));
    let _ = write!(out, "\n{}", doc.docs);
    if let Some(label) = &doc.label {
        let _ = write!(out, "\n\n**{label}**");
    }
    let _ = write!(out, "\n- {}", doc.access);
    if let Some(license) = &doc.license {
        let _ = write!(out, ", licence {license}");
    }
    if let Some(region) = &doc.region {
        let _ = write!(out, ", region {region}");
    }
    for handling in &doc.handling {
        let _ = write!(out, "\n- {handling}");
    }
    for (name, values) in &doc.knobs {
        let _ = write!(out, "\n- knob `{name}` in `{}`", values.join("`, `"));
    }
    if !doc.hardware.is_empty() {
        let _ = write!(out, "\n- runs on `{}`", doc.hardware.join("`, `"));
    }
    if !doc.figures.is_empty() {
        out.push_str("\n\n| figure | for | value | evidence |\n|---|---|---|---|");
        for f in doc.figures.iter().take(MAX_FIGURES) {
            let date = f.date.as_ref().map_or(String::new(), |d| format!(", {d}"));
            let cell = |text: &str| text.replace('|', "\\|").replace('\n', " ");
            // A ratio as a plan says it; the unit of any other figure stands behind its value.
            let is_ratio = f.unit == "ratio";
            let number = |value: Decimal| if is_ratio { percent(value) } else { value.to_string() };
            let unit = if is_ratio { String::new() } else { format!(" {}", f.unit) };
            let _ = write!(
                out,
                "\n| {} | {} | {}{unit} ({} to {}) | {}: {}{date} |",
                f.figure,
                cell(&f.setting),
                number(f.value),
                number(f.interval.0),
                number(f.interval.1),
                f.evidence,
                cell(&f.source)
            );
        }
        if doc.figures.len() > MAX_FIGURES {
            let _ =
                write!(out, "\n\n… and {} more figures: `mkbc library {}`", doc.figures.len() - MAX_FIGURES, doc.name);
        }
    }
    out
}

/// A hole in Markdown: its type, what could fill it, and what the lock holds.
fn of_hole(analysis: &Analysis, job: &Job, hole: &Hole) -> String {
    if hole.ty == Type::Unknown {
        return "A hole. Nothing says its type: write `? : Type`.".to_string();
    }
    let mut out = format!("{}\nA hole, `{}.{}`.", code(&format!("? : {}", hole.ty)), job.name, hole.name);
    match &analysis.lock {
        Some(Ok(lock)) => out.push_str(&lock.find(&job.name, &hole.name).map_or(
            "\n\nThe lock file holds no fill of it.".to_string(),
            |entry| {
                let stale = change(entry, hole, job, &analysis.library).map(|why| format!(" (stale: {why})"));
                let (stale, by, fill) = (stale.unwrap_or_default(), &entry.filled_by, code(entry.fill.trim_end()));
                format!("\n\nThe lock file holds{stale}, by {by}:\n{fill}")
            },
        )),
        Some(Err(why)) => {
            let _ = write!(out, "\n\nThe lock file cannot be read: {}", plain(why, 200));
        }
        None => {}
    }
    let found = search::search(hole, job, &analysis.program, &analysis.library);
    if found.is_empty() {
        out.push_str("\n\nNothing in the library gives this type from what is in scope.");
    }
    for (i, fill) in found.iter().enumerate() {
        let _ = write!(out, "\n\n{}. {}\n{}", i + 1, fill.because, code(fill.text.trim_end()));
    }
    out
}

/// Whether a place is a hole as written, `?`.
pub fn is_written_hole(analysis: &Analysis, hole: &Hole) -> bool {
    let mut found = false;
    for (_, job, _) in analysis.jobs() {
        expressions(&job.body, &mut |e| found |= e.span == hole.span && matches!(e.kind, ExprKind::Hole(..)));
    }
    found
}
