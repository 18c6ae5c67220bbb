//! Completions inside items of a library: the lines of a task, model, tool, composition, device or cluster.

use super::{CompletionKind, List};
use crate::ide::cursor::Cursor;
use crate::library::declare::{CLUSTER_WORDS, COMPOSITION_WORDS, DEVICE_WORDS, IMPLEMENTATION_WORDS, TASK_WORDS};
use crate::syntax::token::{Spanned, Token};
use std::collections::BTreeSet;

impl List<'_> {
    /// Lists what can stand in the block of an item of a library, where the cursor is in one that is no data flow.
    pub(super) fn item(&mut self, cursor: &Cursor) -> bool {
        let Some(head) = head(cursor) else { return false };
        let line = cursor.line();
        let begins = line.is_empty() || cursor.previous().is_some_and(|t| t.1 == Token::OpenBrace);
        match head[0].1 {
            Token::Task if begins => {
                self.lines(&["work", "size"]);
                self.lines(&TASK_WORDS);
            }
            Token::Model | Token::Tool if begins => {
                self.lines(&["knob", "runs", "engine", "profile", "size"]);
                self.lines(&IMPLEMENTATION_WORDS);
            }
            // The rest of a composition is data flow.
            Token::Compose => {
                if begins {
                    self.lines(&["knob", "profile"]);
                    self.lines(&COMPOSITION_WORDS);
                }
                return false;
            }
            Token::Cluster if begins => {
                self.devices();
                self.lines(&CLUSTER_WORDS);
            }
            Token::Device if begins => self.lines(&DEVICE_WORDS),
            Token::Engine if begins => self.settings(head.get(1).map_or("", |kind| cursor.text(kind))),
            Token::Task | Token::Model | Token::Tool => match line {
                [(_, Token::Engine, _)] => self.engines(),
                [(_, Token::Runs, _)] => self.keywords(&["on"]),
                [(_, Token::Runs, _), (_, Token::On, _)] => self.devices(),
                [word] if cursor.text(word) == "region" => self.regions(),
                [word] if cursor.text(word) == "access" => self.lines(&["open", "closed"]),
                _ => {}
            },
            Token::Cluster | Token::Device | Token::Engine | Token::Enum => {}
            _ => return false,
        }
        true
    }

    fn lines(&mut self, words: &[&str]) {
        for word in words {
            self.add(word, CompletionKind::Keyword, "line", "", self.out.len() as u32);
        }
    }

    fn engines(&mut self) {
        let library = self.analysis.library.clone();
        let kinds: BTreeSet<&str> =
            library.implementations.values().filter_map(|i| Some(i.engine.as_ref()?.kind.as_str())).collect();
        for kind in kinds {
            self.add(kind, CompletionKind::Value, "engine", "", 0);
            self.snippet(format!("{kind} {{\n  $0\n}}"));
        }
    }

    /// The settings that engines of a kind have in the library.
    fn settings(&mut self, kind: &str) {
        let library = self.analysis.library.clone();
        let engines = library.implementations.values().filter_map(|i| i.engine.as_ref()).filter(|e| e.kind == kind);
        let names: BTreeSet<&str> = engines.flat_map(|e| &e.settings).map(|setting| setting.0.as_str()).collect();
        for name in names {
            self.add(name, CompletionKind::Knob, "setting", "", 0);
        }
    }

    /// The regions that models and tools are in.
    pub(super) fn regions(&mut self) {
        let library = self.analysis.library.clone();
        let regions: BTreeSet<&str> = library.implementations.values().filter_map(|i| i.region.as_deref()).collect();
        for region in regions {
            self.add(region, CompletionKind::Value, "region", "", 0);
        }
    }
}

/// The line, up to the cursor, of the block that the cursor is in: its first word says what block it is.
fn head<'a>(cursor: &Cursor<'a>) -> Option<&'a [Spanned]> {
    let open = *cursor.open.last().filter(|open| cursor.before[**open].1 == Token::OpenBrace)?;
    let before = &cursor.before[..open];
    let from = before.iter().rposition(|(_, token, _)| matches!(token, Token::Newline | Token::OpenBrace));
    let head = &before[from.map_or(0, |at| at + 1)..];
    (!head.is_empty()).then_some(head)
}
