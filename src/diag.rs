//! Problems → text, JSON. A [`Diagnostic`] is data; how it looks is decided in [`render`].

pub mod codes;
pub mod fixes;
pub mod render;
pub mod shift;
pub mod source;

use source::Span;

/// How bad a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Worth knowing; nothing is wrong.
    Info,
    /// Probably not what was meant.
    Warning,
    /// Nothing can be built from this.
    Error,
}

impl Severity {
    /// In lower case.
    pub fn text(self) -> &'static str {
        match self {
            Severity::Info => "info",
            Severity::Warning => "warning",
            Severity::Error => "error",
        }
    }
}

/// A place and what is to be said about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// The place.
    pub span: Span,
    /// What is said.
    pub text: String,
}

/// An edit that mends the problem. The editor offers it; the command line (`check --fix`) applies it where it is sure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fix {
    /// What it does, as an instruction.
    pub title: String,
    /// What is replaced.
    pub span: Span,
    /// By what.
    pub insert: String,
    /// Whether it says what was meant. A guess, which may say something else, is only offered, by the editor.
    pub sure: bool,
}

/// One of the ways to mend a problem, where there are several and each of them is enough: edits that are made together. Editors offer it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Way {
    /// What it does, as an instruction.
    pub title: String,
    /// What is replaced, by what; a line that goes is replaced by nothing.
    pub edits: Vec<(Span, String)>,
}

/// A problem in a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Its code; `mkbc explain CODE` shows its page.
    pub code: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong, in lower case, names in back quotes.
    pub message: String,
    /// Where (what is wrong there).
    pub primary: Label,
    /// Other places (why).
    pub secondary: Vec<Label>,
    /// What to do, as an instruction.
    pub help: Option<String>,
    /// An edit that does it.
    pub fix: Option<Fix>,
    /// All the ways to do it, where there may be several.
    pub ways: Vec<Way>,
}

impl Diagnostic {
    fn new(
        code: &'static str,
        severity: Severity,
        message: impl Into<String>,
        at: Span,
        what: impl Into<String>,
    ) -> Self {
        let primary = Label { span: at, text: what.into() };
        let (secondary, help, fix, ways) = (Vec::new(), None, None, Vec::new());
        Diagnostic { code, severity, message: message.into(), primary, secondary, help, fix, ways }
    }

    /// An error at a place.
    pub fn error(code: &'static str, message: impl Into<String>, at: Span, what: impl Into<String>) -> Self {
        Diagnostic::new(code, Severity::Error, message, at, what)
    }

    /// A warning at a place.
    pub fn warning(code: &'static str, message: impl Into<String>, at: Span, what: impl Into<String>) -> Self {
        Diagnostic::new(code, Severity::Warning, message, at, what)
    }

    /// An information at a place.
    pub fn info(code: &'static str, message: impl Into<String>, at: Span, what: impl Into<String>) -> Self {
        Diagnostic::new(code, Severity::Info, message, at, what)
    }

    /// With another place that says why.
    pub fn because(mut self, at: Span, why: impl Into<String>) -> Self {
        self.secondary.push(Label { span: at, text: why.into() });
        self
    }

    /// With an instruction.
    pub fn help(mut self, text: impl Into<String>) -> Self {
        self.help = Some(text.into());
        self
    }

    /// With an edit.
    pub fn fix(mut self, title: impl Into<String>, span: Span, insert: impl Into<String>) -> Self {
        self.fix = Some(Fix { title: title.into(), span, insert: insert.into(), sure: true });
        self
    }

    /// With an edit that may not be what was meant.
    pub fn guess(mut self, title: impl Into<String>, span: Span, insert: impl Into<String>) -> Self {
        self.fix = Some(Fix { title: title.into(), span, insert: insert.into(), sure: false });
        self
    }

    /// With the near name that a misspelt one may stand for: an edit where it is plainly a slip of the keys, else a guess.
    pub fn near(self, at: Span, name: &str, near: &str) -> Self {
        let d = self.help(format!("did you mean `{near}`?"));
        let title = format!("write `{near}`");
        if is_slip(name, near.trim_matches('"')) { d.fix(title, at, near) } else { d.guess(title, at, near) }
    }

    /// The edit that can be made without asking.
    pub fn sure_fix(&self) -> Option<&Fix> {
        self.fix.as_ref().filter(|fix| fix.sure)
    }
}

/// The problems that passes report; user errors are pushed here, never returned and never panics.
#[derive(Clone, Debug, Default)]
pub struct Diagnostics {
    list: Vec<Diagnostic>,
}

impl Diagnostics {
    /// Reports a problem.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        self.list.push(diagnostic);
    }

    /// Whether an error was reported.
    pub fn has_errors(&self) -> bool {
        self.list.iter().any(|d| d.severity == Severity::Error)
    }

    /// How many problems of this severity were reported.
    pub fn count(&self, severity: Severity) -> usize {
        self.sorted().iter().filter(|d| d.severity == severity).count()
    }

    /// In the order of the source, each said once.
    pub fn sorted(&self) -> Vec<&Diagnostic> {
        let mut list: Vec<&Diagnostic> = self.list.iter().collect();
        list.sort_by_key(|d| order(d));
        list.dedup();
        list
    }

    /// The same, for whoever keeps them.
    pub fn into_sorted(mut self) -> Vec<Diagnostic> {
        self.list.sort_by_key(order);
        self.list.dedup();
        self.list
    }

    /// All of them, in the order in which they were reported.
    pub fn iter(&self) -> impl Iterator<Item = &Diagnostic> {
        self.list.iter()
    }

    /// Forgets the problems that do not concern.
    pub fn retain(&mut self, concerns: impl FnMut(&Diagnostic) -> bool) {
        self.list.retain(concerns);
    }

    /// Reports problems, or none.
    pub fn extend(&mut self, diagnostics: impl IntoIterator<Item = Diagnostic>) {
        self.list.extend(diagnostics);
    }

    /// Takes over the problems of another pass.
    pub fn append(&mut self, mut other: Diagnostics) {
        self.list.append(&mut other.list);
    }
}

/// The order of the source.
fn order(d: &Diagnostic) -> (Span, &'static str) {
    (d.primary.span, d.code)
}

/// The name that is nearest to a misspelt one, if any is near.
pub fn nearest<'a>(name: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = name.to_lowercase();
    let letters = lower.chars().count();
    let distance = |candidate: &'a str| {
        let other = candidate.to_lowercase();
        let most = 1 + candidate.len().min(name.len()) / 4;
        // Each edit changes the length by one at most: most names of a library need no more looking at.
        let distance = (other.chars().count().abs_diff(letters) <= most)
            .then(|| strsim::damerau_levenshtein(&lower, &other))
            .filter(|distance| *distance <= most)?;
        Some((distance, candidate))
    };
    names.into_iter().filter_map(distance).min().map(|(_, candidate)| candidate)
}

/// Whether a name is plainly another one with a slip of the keys: one edit, among letters, in a word (or a path, as of a module) of at
/// least four. `gpt-9` is not `gpt-5`, and `tpu` not `cpu`.
pub fn is_slip(name: &str, near: &str) -> bool {
    let (name, near) = (name.to_lowercase(), near.to_lowercase());
    if name == near {
        return true;
    }
    let digits = |text: &str| text.chars().filter(char::is_ascii_digit).collect::<String>();
    if strsim::damerau_levenshtein(&name, &near) != 1 || digits(&name) != digits(&near) {
        return false;
    }
    let at = name.chars().zip(near.chars()).take_while(|(a, b)| a == b).count();
    let letters: Vec<char> = near.chars().collect();
    let (before, behind) = letters.split_at(at.min(letters.len()));
    let alike = |c: &&char| c.is_alphabetic() || **c == '.';
    before.iter().rev().take_while(alike).count() + behind.iter().take_while(alike).count() >= SHORTEST_WORD
}

/// The letters of a word, from which on one wrong letter does not make it another.
const SHORTEST_WORD: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_keys_is_told_from_another_name() {
        for (name, near) in [("txet", "text"), ("minimise", "minimize"), ("whispr", "whisper"), ("text", "Text")] {
            assert!(is_slip(name, near), "{name} {near}");
        }
        for (name, near) in [("gpt-9", "gpt-5"), ("tpu", "cpu"), ("S", "T"), ("model_a", "model_b"), ("cats", "dogs")] {
            assert!(!is_slip(name, near), "{name} {near}");
        }
    }
}
