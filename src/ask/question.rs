//! The text of a question → a changed job. It is parsed, typed and unit-checked as a line of the job would be, and its
//! diagnostics stand in the question's own text.

use crate::check::Context;
use crate::check::clauses::check_clauses;
use crate::check::program::{Clause, Job, Metric, Pin, Rule, RuleKind};
use crate::check::rules::check_rules;
use crate::diag::source::{FileId, Sources, Span};
use crate::diag::{Diagnostics, nearest};
use crate::library::Library;
use crate::syntax::ast::{File, Item, ItemKind, Stmt, StmtKind};
use crate::syntax::parse::parse;

/// What a change took the place of, or dropped.
pub type Replaced = Vec<(Span, String)>;

/// Why a question could not be read.
#[derive(Debug)]
pub enum Unread {
    /// It has errors, which have been reported.
    Said,
    /// In words.
    Because(String),
}

/// What a line is called that `mkbc what-if` asks about.
pub const WHAT_IF: &str = "what-if";

/// Changes a job by a line of the language: a limit (`latency <= 30 s`), a wish, a `prefer`, an `expect`, a pin, a rule, a cluster.
/// Diagnostics say that it stands in `name`.
pub fn change(
    name: &str,
    text: &str,
    job: &mut Job,
    library: &Library,
    sources: &mut Sources,
    cx: &mut Diagnostics,
) -> Result<Replaced, Unread> {
    let read = read_line(name, "", text, job, library, sources, cx)?;
    let mut replaced = Replaced::new();
    let mut take = |clauses: &mut Vec<Clause>, new: &[Clause]| {
        let (gone, kept) = clauses.drain(..).partition(|c: &Clause| new.iter().any(|n| n.figure() == c.figure()));
        *clauses = kept;
        replaced.extend::<Replaced>(gone.into_iter().map(|c: Clause| (c.span, c.text.to_string())).collect());
    };
    take(&mut job.clauses, &read.clauses);
    take(&mut job.preferred, &read.preferred);
    job.clauses.extend(read.clauses);
    job.preferred.extend(read.preferred);
    job.rules.extend(read.rules);
    job.expectations.extend(read.expectations);
    job.rate = read.rate.or(job.rate.take());
    if !read.wishes.is_empty() {
        let gone = std::mem::replace(&mut job.wishes, read.wishes);
        replaced.extend(gone.iter().map(|w| (w.span, format!("the wish for {}", w.metric.name()))));
    }
    job.quality_rule = read.quality_rule;
    job.cache = read.cache;
    job.personal = read.personal;
    let holding = job.holding_personal_data();
    for rule in &mut job.rules {
        if let RuleKind::NoPiiToClosed { inputs } = &mut rule.kind {
            inputs.clone_from(&holding);
        }
    }
    if let Some(cluster) = read.cluster {
        let gone = job.cluster.replace(cluster);
        replaced.extend(gone.map(|(name, span)| (span, format!("on {name}"))));
    }
    Ok(replaced)
}

/// Drops lines of a job: all limits on a metric, or the limit or rule that is written so.
pub fn drop(what: &str, job: &mut Job) -> Result<Replaced, String> {
    let wanted = what.split_whitespace().collect::<Vec<_>>().join(" ");
    let metric = Metric::ALL.iter().find(|(_, name)| *name == wanted).map(|(metric, _)| *metric);
    let gone = |metric_of: Option<Metric>, text: &str| (metric.is_some() && metric_of == metric) || text == wanted;
    let mut dropped = Replaced::new();
    let names: Vec<String> = job
        .clauses
        .iter()
        .chain(&job.preferred)
        .flat_map(|c| [c.metric.name().to_string(), c.text.to_string()])
        .chain(job.rules.iter().map(|r| r.text.to_string()))
        .collect();
    for clauses in [&mut job.clauses, &mut job.preferred] {
        dropped.extend(clauses.iter().filter(|c| gone(Some(c.metric), &c.text)).map(|c| (c.span, c.text.to_string())));
        clauses.retain(|c| !gone(Some(c.metric), &c.text));
    }
    dropped.extend(job.rules.iter().filter(|r| gone(None, &r.text)).map(|r| (r.span, r.text.to_string())));
    job.rules.retain(|r| !gone(None, &r.text));
    if !dropped.is_empty() {
        return Ok(dropped);
    }
    Err(match nearest(&wanted, names.iter().map(String::as_str)) {
        Some(near) => format!("the job has no line `{what}` to drop: did you mean `{near}`?"),
        None if names.is_empty() => format!("the job has no line `{what}` to drop: it has no limits and rules"),
        None => {
            let mut all: Vec<String> = names.iter().map(|n| format!("`{n}`")).collect();
            all.sort();
            all.dedup();
            format!("the job has no line `{what}` to drop; there are {}", all.join(", "))
        }
    })
}

/// Reads a pin as it is written behind `using`: `whisper(variant: small) on a100 * 1`.
pub fn pin(
    text: &str,
    job: &Job,
    library: &Library,
    sources: &mut Sources,
    cx: &mut Diagnostics,
) -> Result<Pin, Unread> {
    let read = read_line("why-not", "using ", text, job, library, sources, cx)?;
    match read.rules.as_slice() {
        [Rule { kind: RuleKind::Pin(pin), .. }] => Ok(pin.clone()),
        _ => Err(Unread::Because(format!("`{text}` is no pin: write `whisper(variant: small) on a100`, say"))),
    }
}

/// The first words of lines that are no limit.
const STATEMENTS: [&str; 14] = [
    "prefer",
    "minimize",
    "maximize",
    "expect",
    "using",
    "on",
    "avoid",
    "only",
    "region",
    "license",
    "no",
    "pii",
    "cache",
    "retention",
];
/// The first words of lines that no question changes.
const DATA_FLOW: [&str; 7] = ["let", "goal", "for", "if", "repeat", "slo", "knob"];

/// A job that holds what a line says and nothing else. The line is read inside a job of its own, and every place in it is then
/// moved to a source that holds the line alone, so that people see what they typed.
fn read_line(
    name: &str,
    before: &str,
    text: &str,
    job: &Job,
    library: &Library,
    sources: &mut Sources,
    cx: &mut Diagnostics,
) -> Result<Job, Unread> {
    let first = text.split_whitespace().next().unwrap_or_default();
    let statement = !before.is_empty()
        || STATEMENTS.contains(&first)
        || DATA_FLOW.contains(&first)
        || (first == "quality" && !text.contains(['<', '>', '=']));
    let (open, close) = if statement { ("", "") } else { ("  slo {\n", "\n  }") };
    let head = format!("job question() -> Text {{\n{open}{before}");
    let wrapped = format!("{head}{text}{close}\n}}\n");
    let inner = sources.add(name, wrapped);
    let shown = sources.add(name, text);
    let mut said = Diagnostics::default();
    let tree = parse(inner, sources, &mut said);
    let mut read = Job {
        clauses: Vec::new(),
        preferred: Vec::new(),
        wishes: Vec::new(),
        rules: Vec::new(),
        expectations: Vec::new(),
        rate: None,
        cluster: None,
        ..job.clone()
    };
    let place = Place { inner, shown, head: head.len() as u32, len: text.len() as u32 };
    if !said.has_errors() {
        let Some(body) = statements(&tree) else {
            return Err(Unread::Because(format!(
                "`{text}` is nothing that a question can change: write a limit (`latency <= 30 s`), a wish (`minimize energy`), a \
                 pin (`using whisper on a100`), a rule (`avoid whisper`), an expectation or `on CLUSTER`"
            )));
        };
        let context = Context::new(library, sources);
        check_clauses(body, &mut read, &context, &mut said);
        check_rules(body, &mut read, &context, &mut said);
    }
    let failed = said.has_errors();
    for diagnostic in said.iter() {
        let mut d = diagnostic.clone();
        // What stands behind the text is not the user's.
        if d.primary.span.start >= place.head + place.len {
            d.message = "the line ends too early".to_string();
        }
        d.primary.span = place.moved(d.primary.span);
        d.secondary.iter_mut().for_each(|label| label.span = place.moved(label.span));
        d.fix.iter_mut().for_each(|fix| fix.span = place.moved(fix.span));
        d.ways.iter_mut().flat_map(|way| &mut way.edits).for_each(|(at, _)| *at = place.moved(*at));
        cx.push(d);
    }
    if failed {
        return Err(Unread::Said);
    }
    for clause in read.clauses.iter_mut().chain(&mut read.preferred) {
        (clause.span, clause.limit_span) = (place.moved(clause.span), place.moved(clause.limit_span));
    }
    for rule in &mut read.rules {
        rule.span = place.moved(rule.span);
        if let RuleKind::Pin(pin) = &mut rule.kind {
            pin.span = place.moved(pin.span);
        }
    }
    read.wishes.iter_mut().for_each(|wish| wish.span = place.moved(wish.span));
    read.expectations.iter_mut().for_each(|e| e.span = place.moved(e.span));
    read.cluster.iter_mut().for_each(|(_, span)| *span = place.moved(*span));
    Ok(read)
}

/// The statements of the one job that a question's text becomes; `None` where it holds none or anything but limits, wishes,
/// expectations, pins and rules.
fn statements(tree: &File) -> Option<&[Stmt]> {
    let [Item { kind: ItemKind::Job(job), .. }] = tree.items.as_slice() else { return None };
    let asks = |stmt: &Stmt| {
        matches!(
            stmt.kind,
            StmtKind::Slo(_)
                | StmtKind::Prefer(_)
                | StmtKind::Wish(_)
                | StmtKind::Expect(_)
                | StmtKind::Rule(_)
                | StmtKind::Pin(_)
                | StmtKind::On(_)
        )
    };
    let empty = job.body.iter().all(|s| matches!(&s.kind, StmtKind::Slo(clauses) if clauses.is_empty()));
    (!empty && job.body.iter().all(asks)).then_some(job.body.as_slice())
}

struct Place {
    inner: FileId,
    shown: FileId,
    head: u32,
    len: u32,
}

impl Place {
    /// A place of the wrapped text, in the text as typed.
    fn moved(&self, span: Span) -> Span {
        if span.file != self.inner {
            return span;
        }
        let at = |offset: u32| offset.saturating_sub(self.head).min(self.len);
        Span::new(self.shown, at(span.start), at(span.end))
    }
}
