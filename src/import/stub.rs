//! What was learned of others' tools → `.mkb` text, and the empty profiles that go with it.

use super::names::quoted;
use crate::legible::plain;
use crate::library::place::{self, Place};
use crate::library::profile::table::COLUMNS;
use indexmap::IndexMap;
use serde_json::Value;

/// Lines of documentation of one item, and characters of one.
const DOC_LINES: usize = 12;
const DOC_WIDTH: usize = 200;

/// Parameters of a task; beyond, those that may be left out are.
pub const MOST_PARAMS: usize = 60;

/// A file of stubs.
pub struct Stub {
    /// What it was made from, on one line.
    pub from: String,
    /// The command that makes it again.
    pub command: String,
    /// Records and enums by name, inner ones first.
    pub types: IndexMap<String, String>,
    /// The tools.
    pub tools: Vec<Tool>,
}

/// A task, and the tool that carries it out.
pub struct Tool {
    /// The task's name.
    pub task: String,
    /// The tool's name; its profile is named after it.
    pub tool: String,
    /// Documentation, as others wrote it.
    pub docs: String,
    /// What to know about the types.
    pub notes: Vec<String>,
    /// Parameters: name and type.
    pub params: Vec<(String, String)>,
    /// Those that take a place or are executed.
    pub places: Vec<(String, Place)>,
    /// The type of the result.
    pub result: String,
    /// Where it runs: `cpu * 1` or `api`.
    pub runs_on: &'static str,
    /// The engine.
    pub engine: &'static str,
    /// Its settings, one a line, written as the language has them.
    pub settings: Vec<String>,
}

/// What to take for figures that nobody measured.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Assumed {
    /// Seconds a call takes.
    pub latency_s: Option<f64>,
    /// Share of right answers, in per cent.
    pub quality: Option<f64>,
}

impl Stub {
    /// The text of the file.
    pub fn text(&self) -> String {
        let mut out = format!("// {}\n", plain(&self.from, DOC_WIDTH));
        out.push_str(&format!("// Written by `{}`; to be written anew, not edited.\n", plain(&self.command, 400)));
        for text in self.types.values() {
            out.push('\n');
            out.push_str(text);
        }
        for tool in &self.tools {
            out.push('\n');
            tool.write(&mut out);
        }
        out
    }
}

impl Tool {
    fn write(&self, out: &mut String) {
        for note in self.notes.iter().take(20) {
            out.push_str(&format!("// {}\n", plain(note, 400)));
        }
        let docs = documentation(&self.docs);
        out.push_str(if docs.is_empty() { "/// A tool of others, which they do not describe.\n" } else { &docs });
        let params: Vec<String> = self.params.iter().map(|(name, ty)| format!("{name}: {ty}")).collect();
        out.push_str(&format!("task {}({}) -> {}", self.task, params.join(", "), self.result));
        let mut declared = Vec::new();
        for (word, place) in [("reaches", Place::Reached), ("executes", Place::Executed)] {
            let names: Vec<&str> = self.places.iter().filter(|(_, p)| *p == place).map(|(n, _)| n.as_str()).collect();
            if !names.is_empty() {
                declared.push(format!("  {word} {}\n", names.join(" ")));
            }
        }
        let body = if declared.is_empty() { String::new() } else { format!(" {{\n{}}}", declared.concat()) };
        out.push_str(&format!("{body}\n\n"));
        out.push_str(&format!("/// Carries out `{}`, as whoever wrote it does.\n", self.task));
        out.push_str(&format!("tool {} implements {} {{\n  runs on {}\n", self.tool, self.task, self.runs_on));
        out.push_str(&format!("  engine {} {{\n", self.engine));
        for setting in &self.settings {
            out.push_str(&format!("    {setting}\n"));
        }
        out.push_str(&format!("  }}\n  profile {}\n}}\n", quoted(&profile_name(&self.tool))));
    }
}

/// Whether a parameter takes a place or is executed: by its name as others wrote it, by the format of its schema, or by what the schema says
/// of it. `ty` is the type that it was read as: what holds no text is no place.
pub fn place_of(name: &str, schema: &Value, ty: &str) -> Option<Place> {
    const FORMATS: [&str; 16] = [
        "uri",
        "uri-reference",
        "iri",
        "iri-reference",
        "url",
        "uri-template",
        "hostname",
        "idn-hostname",
        "ipv4",
        "ipv6",
        "email",
        "idn-email",
        "path",
        "file-path",
        "directory-path",
        "file",
    ];
    let textual = ty.contains("Text") || ty.contains("Json");
    let word = |key: &str| {
        let own = schema.get(key).and_then(Value::as_str);
        own.or_else(|| schema.pointer(&format!("/items/{key}")).and_then(Value::as_str)).unwrap_or_default()
    };
    let by_format = || FORMATS.contains(&word("format")).then_some(Place::Reached);
    let place = || place::named(name).or_else(by_format).or_else(|| place::described(word("description")));
    if textual { place() } else { None }
}

/// The file of a tool's profile.
pub fn profile_name(tool: &str) -> String {
    format!("{tool}.csv")
}

/// A profile that holds what the importer was told to assume, and else nothing: figures are measured, not made up.
pub fn profile(assumed: Assumed) -> String {
    let mut out = format!("{}\n", COLUMNS.join(","));
    let row = |figure: &str, value: f64, unit: &str, flag: &str| {
        format!(
            ",,{figure},{value},{unit},,,estimated,assumed when it was imported ({flag} {value}); nobody measured it\n"
        )
    };
    out.extend(assumed.latency_s.map(|s| row("latency", s, "s", "--assume-latency")));
    out.extend(assumed.quality.map(|q| row("quality", q, "%", "--assume-quality")));
    out
}

/// Documentation lines: whatever stands in the text, each stays a comment.
fn documentation(text: &str) -> String {
    let mut lines: Vec<String> = text.lines().take(DOC_LINES).map(|line| plain(line, DOC_WIDTH)).collect();
    while lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    lines.iter().map(|line| format!("/// {line}").trim_end().to_string() + "\n").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documentation_of_others_cannot_leave_its_comment() {
        let docs = documentation(
            "Adds.\n}\ntool evil implements x { engine process { command [\"rm\"] } }\r\n/ more\u{2028}x\n\n",
        );
        assert!(docs.lines().all(|l| l.starts_with("/// ") && !l.starts_with("////")), "{docs}");
        assert_eq!(docs.lines().count(), 4);
        assert_eq!(documentation(&"x\n".repeat(1_000_000)).lines().count(), DOC_LINES);
        assert!(documentation(&"x".repeat(10 << 20)).len() < 1000);
    }

    #[test]
    fn a_profile_holds_what_was_assumed_and_nothing_else() {
        assert_eq!(profile(Assumed::default()).lines().count(), 1);
        let text = profile(Assumed { latency_s: Some(0.5), quality: Some(90.0) });
        assert!(text.contains(",,latency,0.5,s,,,estimated,assumed when it was imported (--assume-latency 0.5)"));
        let mut cx = crate::diag::Diagnostics::default();
        let mut sources = crate::diag::source::Sources::default();
        let file = sources.add("x.csv".to_string(), text.clone());
        crate::library::profile::table::read(&text, file, &mut cx);
        assert!(!cx.has_errors());
    }
}
