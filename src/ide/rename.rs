//! Another name for what the file itself defines.

use super::names::Target;
use super::{Analysis, Edit};
use crate::diag::source::Span;
use crate::syntax::token::{Token, lex};

/// The name at a place that can be given another, or why it cannot.
pub fn prepare(analysis: &Analysis, at: u32) -> Result<Span, String> {
    let name = analysis.names().at(at).ok_or("there is no name here")?;
    let text = analysis.slice(name.span);
    if analysis.is_library {
        return Err("this file belongs to the library".to_string());
    }
    let own = analysis.names().of(&name.target).any(|o| o.definition);
    match &name.target {
        Target::Metric(_) => Err(format!("`{text}` is a word of the language")),
        Target::Type(_) if !own => Err(format!("`{text}` is not declared in this file")),
        Target::Field(_) | Target::Parameter(..) | Target::Knob(..) | Target::Value(..) => Err(format!(
            "`{text}` may stand in prompts, profiles and answers as well, which this rename does not reach"
        )),
        _ if own => Ok(name.span),
        _ => Err(format!("`{text}` belongs to the library")),
    }
}

/// The edits that give the name at a place another one.
pub fn rename(analysis: &Analysis, at: u32, to: &str) -> Result<Vec<Edit>, String> {
    prepare(analysis, at)?;
    let name = analysis.names().at(at).ok_or("there is no name here")?;
    let lexed = lex(to, analysis.file, &mut Default::default());
    match lexed.tokens.as_slice() {
        [(_, Token::Ident, end)] if *end as usize == to.len() => {}
        [(_, word, _)] if word.is_keyword() => return Err(format!("`{to}` is a word of the language")),
        _ => return Err(format!("`{to}` is no name: a letter, then letters, digits and `_`")),
    }
    if let Some(other) = taken(analysis, &name.target, to) {
        return Err(format!("`{to}` is already the name of {other}"));
    }
    let edit = |span| Edit { span, insert: to.to_string() };
    Ok(analysis.names().of(&name.target).map(|o| edit(o.span)).collect())
}

/// What has a name already that would be mistaken for the renamed one.
fn taken(analysis: &Analysis, target: &Target, to: &str) -> Option<&'static str> {
    let library = &analysis.library;
    match target {
        Target::Local(span) => {
            let job = analysis.jobs().find(|(job, ..)| job.start <= span.start && span.end <= job.end)?.0;
            let inside = |s: Span| job.start <= s.start && s.end <= job.end;
            let local =
                |t: &Target| matches!(t, Target::Local(s) if s != span && inside(*s) && analysis.slice(*s) == to);
            analysis.names().iter().any(|o| o.definition && local(&o.target)).then_some("another value of the job")
        }
        Target::Job(_) | Target::Task(_) => {
            let job = analysis.program.jobs.iter().any(|j| j.name == to);
            if job { Some("a job") } else { library.tasks.contains_key(to).then_some("a task") }
        }
        Target::Implementation(_) => library.implementations.contains_key(to).then_some("a model or tool"),
        Target::Device(_) => library.devices.contains_key(to).then_some("a device"),
        Target::Cluster(_) => library.clusters.contains_key(to).then_some("a cluster"),
        Target::Type(_) => {
            let known = library.types.contains_key(to) || crate::types::Type::built_in(to).is_some();
            known.then_some("a type")
        }
        _ => None,
    }
}
