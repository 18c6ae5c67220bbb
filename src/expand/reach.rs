//! Parameters that take a place, or something that is executed, and what a fill may give them. Holds for whoever fills.

use super::term::Term;

/// Parts of parameters' names that take a place or something that is executed: only what the job itself was given goes there.
const REACHING: [&str; 10] = ["url", "address", "path", "file", "command", "host", "code", "tests", "script", "target"];

/// Which of these a name has.
pub fn reaching(name: &str) -> Option<&'static str> {
    let singular = |word: &'static str| word.trim_end_matches('s');
    name.split('_').find_map(|w| REACHING.into_iter().find(|r| w.trim_end_matches('s') == singular(r)))
}

/// Whether a term may go there: what is in scope or said, a part of a value that is such a thing, and code from what writes code;
/// nothing gives addresses.
pub(super) fn may_give(kind: &str, term: &Term) -> bool {
    match term {
        Term::Var(_) | Term::Text(_) | Term::Texts(_) | Term::Value(_) => true,
        Term::Field(_, field) if reaching(field).is_some() => true,
        Term::One(inner) => may_give(kind, inner),
        term => matches!(kind, "code" | "tests") && term.calls().last().is_some_and(|c| c.contains("code")),
    }
}
