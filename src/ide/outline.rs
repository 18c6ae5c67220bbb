//! The items of a file and what is in them: document symbols, and workspace symbols.

use super::Analysis;
use crate::diag::source::Span;
use crate::syntax::ast::{ExprKind, Item, ItemKind, LibraryLineKind, Name, Stmt, StmtKind};

/// What an entry of the outline is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum EntryKind {
    Job,
    Task,
    Model,
    Tool,
    Composition,
    Cluster,
    Device,
    Record,
    Enum,
    Value,
    Field,
    Local,
    Knob,
}

/// An entry of the outline.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: EntryKind,
    /// More about it: a type, mostly.
    pub detail: String,
    /// The whole of it.
    pub span: Span,
    /// Its name's place.
    pub name_span: Span,
    /// What is in it.
    pub children: Vec<Entry>,
}

/// The outline of a file.
pub fn outline(analysis: &Analysis) -> Vec<Entry> {
    analysis.tree.items.iter().filter_map(|item| entry(item, analysis)).collect()
}

/// The entry of an item; `use` has none.
pub fn entry(item: &Item, analysis: &Analysis) -> Option<Entry> {
    let text = |span: Span| analysis.slice(span).split_whitespace().collect::<Vec<_>>().join(" ");
    let leaf = |name: &Name, kind, detail: String, span: Span| Entry {
        name: name.text.to_string(),
        kind,
        detail,
        span,
        name_span: name.span,
        children: Vec::new(),
    };
    let (name, kind, detail, children) = match &item.kind {
        ItemKind::Job(job) => {
            let mut children: Vec<Entry> = job
                .params
                .iter()
                .map(|p| leaf(&p.name, EntryKind::Field, text(p.ty.span), p.name.span.to(p.ty.span)))
                .collect();
            lets(&job.body, &mut |stmt, name| {
                let detail = analysis.type_of(name.span).map(ToString::to_string).unwrap_or_default();
                children.push(leaf(name, EntryKind::Local, detail, stmt.span));
            });
            (&job.name, EntryKind::Job, format!("-> {}", text(job.result.span)), children)
        }
        ItemKind::Task(task) => {
            let children =
                task.params.iter().map(|p| leaf(&p.name, EntryKind::Field, text(p.ty.span), p.name.span.to(p.ty.span)));
            (&task.name, EntryKind::Task, format!("-> {}", text(task.result.span)), children.collect())
        }
        ItemKind::Implementation(entry) => {
            let kind = if entry.is_model { EntryKind::Model } else { EntryKind::Tool };
            let knobs = entry.lines.iter().filter_map(|l| match &l.kind {
                LibraryLineKind::Knob(name, _) => Some(leaf(name, EntryKind::Knob, String::new(), l.span)),
                _ => None,
            });
            let tasks: Vec<&str> = entry.tasks.iter().map(|t| t.text.as_str()).collect();
            (&entry.name, kind, format!("implements {}", tasks.join(", ")), knobs.collect())
        }
        ItemKind::Composition(c) => {
            (&c.name, EntryKind::Composition, format!("implements {}", c.task.text), Vec::new())
        }
        ItemKind::Cluster(cluster) => (&cluster.name, EntryKind::Cluster, String::new(), Vec::new()),
        ItemKind::Device(device) => (&device.name, EntryKind::Device, String::new(), Vec::new()),
        ItemKind::Record(name, fields) => {
            let children =
                fields.iter().map(|p| leaf(&p.name, EntryKind::Field, text(p.ty.span), p.name.span.to(p.ty.span)));
            (name, EntryKind::Record, String::new(), children.collect())
        }
        ItemKind::Enum(name, values) => {
            let children = values.iter().map(|v| leaf(v, EntryKind::Value, String::new(), v.span));
            (name, EntryKind::Enum, String::new(), children.collect())
        }
        ItemKind::Use(_) | ItemKind::Error => return None,
    };
    // What an editor shows as the name lies inside of the whole, also where the item did not parse to its end.
    let span = Span { end: item.span.end.max(name.span.end), ..item.span };
    Some(Entry { name: name.text.to_string(), kind, detail, span, name_span: name.span, children })
}

/// Every `let` of a block and of the blocks in it.
fn lets(stmts: &[Stmt], see: &mut dyn FnMut(&Stmt, &Name)) {
    for stmt in stmts {
        match &stmt.kind {
            StmtKind::Let(names, _, value) => {
                names.iter().for_each(|n| see(stmt, n));
                inner(&value.kind, see);
            }
            StmtKind::Expr(value) => inner(&value.kind, see),
            _ => {}
        }
    }
}

fn inner(expr: &ExprKind, see: &mut dyn FnMut(&Stmt, &Name)) {
    match expr {
        ExprKind::For(_, _, body) => lets(body, see),
        ExprKind::If(branch) => {
            lets(&branch.then, see);
            branch.otherwise.iter().for_each(|o| lets(o, see));
        }
        ExprKind::Repeat(repeat) => lets(&repeat.body, see),
        _ => {}
    }
}
