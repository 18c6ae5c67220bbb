//! Completions that are words of a closed list: keywords, units, types, metrics, modules, models, knobs, machines.

use super::{CompletionKind, List};
use crate::check::load::TRACE;
use crate::check::program::Tier;
use crate::check::reuse::WORDS;
use crate::ide::cursor::Cursor;
use crate::ide::hover::{KEYWORDS, METRICS, implementation};
use crate::syntax::token::{Spanned, Token};
use crate::types::Type;
use crate::units::{Dimension, UNITS};

/// The snippets of statements: as listed, what is inserted.
const STATEMENTS: [(&str, &str); 14] = [
    ("let", "let ${1:name} = $0"),
    ("for", "for ${1:item} in ${2:items} {\n  $0\n}"),
    ("if", "if ${1:condition} {\n  $2\n} else {\n  $0\n}"),
    ("repeat", "repeat ${1:value} = ${2:first} up to ${3:4} until ${4:done} {\n  $0\n}"),
    ("goal", "goal \"$0\""),
    ("slo", "slo {\n  $0\n}"),
    ("minimize", "minimize $0"),
    ("maximize", "maximize $0"),
    ("prefer", "prefer $0"),
    ("expect", "expect $0"),
    ("using", "using $0"),
    ("on", "on $0"),
    ("avoid", "avoid $0"),
    ("only", "only open_models"),
];

impl List<'_> {
    pub(super) fn keywords(&mut self, words: &[&str]) {
        for (rank, word) in words.iter().enumerate() {
            let docs = KEYWORDS.iter().find(|(w, _)| w == word).map_or("", |(_, docs)| docs);
            self.add(word, CompletionKind::Keyword, "keyword", docs, rank as u32);
        }
    }

    pub(super) fn words(&mut self, detail: &str, words: &[&str]) {
        for (rank, word) in words.iter().enumerate() {
            self.add(word, CompletionKind::Keyword, detail, "", rank as u32);
        }
    }

    /// What may stand in place of a percentage.
    pub(super) fn tiers(&mut self) {
        for (rank, tier) in Tier::ALL.into_iter().enumerate() {
            self.add(tier.name(), CompletionKind::Keyword, "tier of quality", tier.meaning(), rank as u32);
        }
    }

    /// What may be asked of hardware.
    pub(super) fn conditions(&mut self) {
        self.add("memory", CompletionKind::Keyword, "condition", "The least memory of one device.", 0);
        self.snippet("memory >= $0");
    }

    /// What names a trace of arrivals.
    pub(super) fn trace(&mut self) {
        let docs = "How often the job is run, from a file of arrivals beside it: its busiest minute counts.";
        self.add(TRACE, CompletionKind::Keyword, "load", docs, 40);
        self.snippet(format!("{TRACE} \"$0\""));
    }

    /// What may stand behind `cache`.
    pub(super) fn reuses(&mut self) {
        for (rank, (word, _, meaning)) in WORDS.iter().enumerate() {
            self.add(word, CompletionKind::Keyword, "results of other runs", *meaning, rank as u32);
        }
    }

    /// What stands behind the word of a rule; whether it is one.
    pub(super) fn rule(&mut self, word: &str) -> bool {
        match word {
            "only" => {
                self.add("open_models", CompletionKind::Keyword, "rule", "Only models whose weights are open.", 0)
            }
            "region" => self.regions(),
            "license" => self.words("rule", &["permissive"]),
            "quality" => self.words("rule", &["product", "min", "from"]),
            "no" => self.words("rule", &["pii to closed models", "training on inputs"]),
            "retention" => self.words("rule", &["0 d", "30 d"]),
            _ => return false,
        }
        true
    }

    pub(super) fn statements(&mut self) {
        for (word, snippet) in STATEMENTS {
            let docs = KEYWORDS.iter().find(|(w, _)| *w == word).map_or("", |(_, docs)| docs);
            self.add(word, CompletionKind::Keyword, "statement", docs, 60);
            if let Some(last) = self.out.last_mut() {
                last.insert = snippet.to_string();
                last.snippet = snippet.contains('$');
            }
        }
    }

    pub(super) fn modules(&mut self, cursor: &Cursor) {
        // The whole path is replaced: an editor's word ends at a dot.
        if let Some(first) = cursor.line().get(1) {
            self.span.start = first.0.min(self.span.start);
        }
        for module in self.analysis.library.modules.clone() {
            let tasks: Vec<String> = self
                .analysis
                .library
                .tasks
                .values()
                .filter(|t| t.module == module)
                .map(|t| format!("`{}`", t.name))
                .collect();
            self.add(&module, CompletionKind::Module, "module", tasks.join(", "), 0);
        }
    }

    /// Units behind a number: those of the metric that the line limits first.
    pub(super) fn units(&mut self, line: &[Spanned]) {
        let text = |t: &Spanned| self.analysis.text.get(t.0 as usize..t.2 as usize).unwrap_or("");
        let metric = line.iter().find(|t| t.1 == Token::Ident).map(text).unwrap_or_default();
        let wanted = match metric {
            "cost" => Some(Dimension::MONEY),
            "latency" | "ttft" | "tpot" => Some(Dimension::TIME),
            "energy" => Some(Dimension::ENERGY),
            _ if matches!(line, [.., of, (_, Token::GreaterEq, _), _] if text(of) == "memory") => {
                Some(Dimension::BYTES)
            }
            _ if matches!(line, [.., (_, Token::Timeout | Token::Cache, _), _]) => Some(Dimension::TIME),
            _ => None,
        };
        for unit in UNITS {
            let fits = wanted == Some(unit.dimension) || metric == "quality" && unit.name == "%";
            self.add(unit.name, CompletionKind::Unit, unit.meaning, "", if fits { 0 } else { 50 });
        }
    }

    pub(super) fn types(&mut self) {
        for (name, ty) in Type::BUILT_IN {
            let sizes: Vec<&str> = ty.sizes().iter().map(|(n, _)| *n).collect();
            let docs = if sizes.is_empty() { String::new() } else { format!("Sizes: {}", sizes.join(", ")) };
            self.add(name, CompletionKind::Type, "built-in type", docs, 10);
        }
        self.add("List", CompletionKind::Type, "a list of a type", "", 10);
        self.snippet("List[$0]");
        for (name, (ty, _)) in self.analysis.library.types.clone() {
            self.add(&name, CompletionKind::Type, crate::doc::declared(&ty), "", 5);
        }
    }

    pub(super) fn metrics(&mut self, space: &str) {
        for (rank, (name, docs)) in METRICS.iter().enumerate() {
            self.add(name, CompletionKind::Metric, "metric", *docs, 20 + rank as u32);
            if !space.is_empty() {
                let op = if *name == "quality" { ">=" } else { "<=" };
                self.snippet(format!("{name} {op} $0"));
            }
        }
    }

    pub(super) fn implementations(&mut self, task: Option<String>) {
        let library = self.analysis.library.clone();
        for entry in library.implementations.values() {
            if task.as_ref().is_none_or(|t| entry.tasks.iter().any(|e| e == t)) {
                let detail = format!("implements {}", entry.tasks.join(", "));
                self.add(&entry.name, CompletionKind::Implementation, detail, implementation(entry), 0);
            }
        }
    }

    /// Knobs of an implementation, or the values of one behind its `:`.
    pub(super) fn knobs(&mut self, cursor: &Cursor, of: &str) {
        let Some(entry) = self.analysis.library.implementations.get(of).cloned() else { return };
        let tokens = cursor.before;
        match tokens {
            [.., knob, (_, Token::Colon, _)] => {
                let name = cursor.text(knob);
                let values = entry.knobs.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone()).unwrap_or_default();
                for (rank, value) in values.iter().enumerate() {
                    self.add(value, CompletionKind::Value, format!("value of `{name}`"), "", rank as u32);
                    let quoted = value.contains(['-', '.', '/']) && value.parse::<f64>().is_err();
                    if let (Some(last), true) = (self.out.last_mut(), quoted) {
                        last.insert = format!("\"{value}\"");
                    }
                }
            }
            [.., (_, Token::OpenParen | Token::Comma, _)] => {
                for (knob, values) in &entry.knobs {
                    self.add(knob, CompletionKind::Knob, values.join(", "), format!("A knob of `{of}`."), 0);
                    if let Some(last) = self.out.last_mut() {
                        last.insert = format!("{knob}: ");
                    }
                }
            }
            _ => {}
        }
    }

    pub(super) fn clusters(&mut self) {
        for (name, cluster) in self.analysis.library.clusters.clone() {
            let pools: Vec<String> = cluster.pools.iter().map(|(d, n, _)| format!("{d} * {n}")).collect();
            self.add(&name, CompletionKind::Cluster, pools.join(", "), "", 0);
        }
        self.add("here", CompletionKind::Cluster, "this machine", "", 1);
    }

    pub(super) fn devices(&mut self) {
        for (name, device) in self.analysis.library.devices.clone() {
            let memory = device.memory_gb.map_or(String::new(), |gb| format!("{} GB", gb.normalize()));
            self.add(&name, CompletionKind::Device, memory, device.docs.to_string(), 0);
        }
        self.add("gpu", CompletionKind::Device, "any GPU", "", 1);
        self.add("api", CompletionKind::Device, "a provider's machines", "", 1);
    }
}
