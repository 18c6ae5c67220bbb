//! The marks of Whisper's vocabulary: tokenizer and settings -> ids.

use crate::failure::Failure;
use serde_json::Value;
use std::collections::BTreeMap;
use tokenizers::Tokenizer;

/// The first time that a window may begin with, in steps of 0.02 s, where nothing else is said.
const LATEST_START: u32 = 50;

/// Ids with a meaning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vocabulary {
    /// All ids.
    pub size: usize,
    /// `<|startoftranscript|>`.
    pub start: u32,
    /// `<|endoftext|>`; ids below it are text.
    pub end: u32,
    /// `<|notimestamps|>`; the times follow it.
    pub no_times: u32,
    /// `<|0.00|>`.
    pub first_time: u32,
    /// What says that nobody speaks.
    pub no_speech: Option<u32>,
    /// By code (`en`); none in a model for English alone.
    pub languages: BTreeMap<String, u32>,
    /// `<|transcribe|>` and `<|translate|>`.
    pub tasks: Option<(u32, u32)>,
    /// Ids that are never said.
    pub suppressed: Vec<u32>,
    /// Ids that are not said first.
    pub not_first: Vec<u32>,
    /// The latest first time, in steps.
    pub latest_start: u32,
}

impl Vocabulary {
    /// As the tokenizer has it; `settings` are `generation_config.json` and `config.json`, the first that says something counts.
    pub fn of(tokenizer: &Tokenizer, size: usize, settings: &[Value]) -> Result<Vocabulary, Failure> {
        let id = |token: &str| tokenizer.token_to_id(token);
        let needed = |token: &str| id(token).ok_or_else(|| Failure::weights(format!("the tokenizer has no `{token}`")));
        let said = |name: &str| settings.iter().map(|s| &s[name]).find(|v| !v.is_null());
        let ids = |name: &str| -> Vec<u32> {
            let ids = said(name).and_then(Value::as_array).into_iter().flatten();
            ids.filter_map(|id| id.as_u64().map(|id| id as u32)).filter(|id| (*id as usize) < size).collect()
        };
        let (start, end, no_times) =
            (needed("<|startoftranscript|>")?, needed("<|endoftext|>")?, needed("<|notimestamps|>")?);
        let tasks = id("<|transcribe|>").zip(id("<|translate|>"));
        // The languages stand between the start and the tasks. A model for English has their marks as well, and does not know them.
        let multilingual =
            said("is_multilingual").and_then(Value::as_bool).unwrap_or(end > 50256 || tasks.is_some() && end != 50256);
        let mut languages = BTreeMap::new();
        for language in start + 1..tasks.map_or(start + 1, |(one, other)| one.min(other)) {
            let token = tokenizer.id_to_token(language).unwrap_or_default();
            if let Some(code) = token.strip_prefix("<|").and_then(|t| t.strip_suffix("|>")) {
                languages.insert(code.to_owned(), language);
            }
        }
        if !multilingual {
            languages.clear();
        }
        if (no_times + 1) as usize >= size {
            return Err(Failure::weights("the vocabulary has no times: this is no Whisper that mkbc can use"));
        }
        Ok(Vocabulary {
            size,
            start,
            end,
            no_times,
            first_time: no_times + 1,
            no_speech: id("<|nospeech|>").or_else(|| id("<|nocaptions|>")),
            tasks: tasks.filter(|_| multilingual),
            languages,
            suppressed: ids("suppress_tokens"),
            not_first: ids("begin_suppress_tokens"),
            latest_start: said("max_initial_timestamp_index")
                .and_then(Value::as_u64)
                .map_or(LATEST_START, |i| i as u32),
        })
    }

    /// What a window's tokens begin with.
    pub fn prompt(&self, language: Option<&str>, translate: bool) -> Result<Vec<u32>, Failure> {
        let mut prompt = vec![self.start];
        match (self.tasks, language) {
            (Some((transcription, translation)), Some(language)) => {
                let unknown = || {
                    let known: Vec<&str> = self.languages.keys().map(String::as_str).collect();
                    Failure::input(format!(
                        "the model does not know the language `{language}`; it knows {}",
                        known.join(", ")
                    ))
                };
                prompt.push(*self.languages.get(language).ok_or_else(unknown)?);
                prompt.push(if translate { translation } else { transcription });
            }
            (None, Some(other)) if other != "en" => {
                return Err(Failure::input(format!("the model knows English alone, and not `{other}`")));
            }
            (None, _) if translate => {
                return Err(Failure::input("the model knows English alone: there is nothing to translate"));
            }
            _ => {}
        }
        Ok(prompt)
    }

    /// Whether an id is a time.
    pub fn is_time(&self, token: u32) -> bool {
        token >= self.first_time
    }
}
