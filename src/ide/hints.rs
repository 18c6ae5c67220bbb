//! What stands beside the text: inferred types at once, and what a plan chose for each step once it is known.

use super::Analysis;
use super::planning::Plans;
use crate::syntax::ast::{ExprKind, Stmt, StmtKind};
use crate::types::Type;

/// A hint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hint {
    /// Where it stands, in bytes.
    pub at: u32,
    /// What it says.
    pub label: String,
    /// More, in Markdown.
    pub tooltip: String,
    /// Whether it is a type.
    pub is_type: bool,
}

/// The hints of a file, in order; those of a plan where one is known for this text.
pub fn hints(analysis: &Analysis, plans: Option<&Plans>) -> Vec<Hint> {
    let mut out = Vec::new();
    for (_, job, _) in analysis.jobs() {
        types(&job.body, analysis, &mut out);
    }
    for (of, step) in plans.into_iter().flat_map(Plans::steps) {
        let label = of.map_or_else(|| step.label.clone(), |job| format!("{job}: {}", step.label));
        out.push(Hint { at: step.at, label, tooltip: step.tooltip.clone(), is_type: false });
    }
    out.sort_by_key(|h| h.at);
    out
}

fn types(stmts: &[Stmt], analysis: &Analysis, out: &mut Vec<Hint>) {
    let mut of_name = |name: &crate::syntax::ast::Name| match analysis.type_of(name.span) {
        None | Some(Type::Unknown) => {}
        Some(ty) => {
            out.push(Hint { at: name.span.end, label: format!(": {ty}"), tooltip: String::new(), is_type: true });
        }
    };
    super::cursor::expressions(stmts, &mut |e| {
        if let ExprKind::For(name, _, body) = &e.kind {
            of_name(name);
            bound(body, &mut of_name);
        } else if let ExprKind::If(branch) = &e.kind {
            bound(&branch.then, &mut of_name);
            branch.otherwise.iter().for_each(|o| bound(o, &mut of_name));
        } else if let ExprKind::Repeat(repeat) = &e.kind {
            repeat.carry.iter().for_each(|(name, _)| of_name(name));
            bound(&repeat.body, &mut of_name);
        }
    });
    bound(stmts, &mut of_name);
}

/// The names that a block binds without saying their types.
fn bound(stmts: &[Stmt], see: &mut dyn FnMut(&crate::syntax::ast::Name)) {
    for stmt in stmts {
        if let StmtKind::Let(names, None, _) = &stmt.kind {
            names.iter().for_each(&mut *see);
        }
    }
}
