//! Four protocols for one thing: a prompt with pictures -> what a model says, whole or in pieces.

pub mod completions;
pub mod converse;
pub mod messages;
pub mod responses;

use super::said::Said;
use crate::run::engines::openai::answer::Shape;
use crate::run::engines::openai::http::KeyIn;
use crate::run::fault::Fault;
use serde_json::{Value, json};
use std::borrow::Cow;

/// Tokens that a model may think with before it answers; its limit counts them too.
const THINKING: u32 = 16_384;

/// A protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    /// OpenAI's Chat Completions, which most servers speak.
    Completions,
    /// OpenAI's Responses.
    Responses,
    /// Anthropic's Messages.
    Messages,
    /// Amazon Bedrock's Converse.
    Converse,
}

/// How an endpoint is asked for structure, best first. What an endpoint refuses is not asked of it again in this run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// By the schema: `json_schema`, strict; for Anthropic and Bedrock a tool that takes it.
    Schema,
    /// `json_object`, the schema in the prompt.
    Object,
    /// Only the prompt.
    Prompt,
}

/// What an endpoint was found to understand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dialect {
    /// How it is asked for structure.
    pub level: Level,
    /// Newer models refuse `max_tokens` and want `max_completion_tokens`.
    pub completion_tokens: bool,
    /// Whether it streams.
    pub stream: bool,
    /// Whether it takes `stream_options`, without which usage may be missing.
    pub usage: bool,
    /// Whether it takes the pictures of a conversation with functions, which goes on without them.
    pub pictures: bool,
    /// Whether it takes a `seed`, without which samples differ as they like.
    pub seed: bool,
}

impl Dialect {
    /// What is tried first.
    pub const BEST: Dialect = Dialect {
        level: Level::Schema,
        completion_tokens: false,
        stream: true,
        usage: true,
        pictures: true,
        seed: true,
    };
}

/// One request.
pub struct Ask<'a> {
    /// The model's name there.
    pub model: &'a str,
    /// The system prompt.
    pub system: &'a str,
    /// How long it is to think; see the plan's engine.
    pub reasoning: &'a str,
    /// Most tokens that it may write, those thought with included.
    pub max_tokens: u32,
    /// The user's message: text, or parts as Chat Completions has them.
    pub content: &'a Value,
    /// What is wanted.
    pub shape: &'a Shape,
    /// What was said since: role and text.
    pub since: &'a [(&'static str, String)],
    /// What makes answers to the same question differ, where that is wanted.
    pub seed: Option<u32>,
    /// What it may call, where it is asked for a call.
    pub talk: Option<&'a Talk>,
}

/// A conversation with functions.
#[derive(Clone, Debug, Default)]
pub struct Talk {
    /// What may be called.
    pub functions: Vec<Function>,
    /// Pictures beside the user's message, as Chat Completions has them.
    pub pictures: Vec<Value>,
    /// What was called so far, after the user's message.
    pub exchanges: Vec<Exchanged>,
    /// The function that must be called.
    pub forced: Option<&'static str>,
}

/// A function as a model sees it.
#[derive(Clone, Debug)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// What it does.
    pub says: String,
    /// The JSON schema of its arguments.
    pub schema: Value,
}

/// A call that was made, and what it gave.
#[derive(Clone, Debug)]
pub struct Exchanged {
    /// The function that was called.
    pub name: String,
    /// The arguments, a JSON object.
    pub arguments: Value,
    /// What came of it.
    pub result: String,
    /// Pictures of that, as Chat Completions has them.
    pub pictures: Vec<Value>,
}

impl Exchanged {
    /// A call without pictures.
    pub fn plain(name: String, arguments: Value, result: String) -> Exchanged {
        Exchanged { name, arguments, result, pictures: Vec::new() }
    }

    /// What came of it: text and pictures.
    fn parts(&self) -> Value {
        with_pictures(json!(self.result), &self.pictures)
    }

    /// The name by which its result is told to belong to it.
    fn id(index: usize) -> String {
        format!("call_{}", index + 1)
    }
}

/// What an event of a stream brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing that moves the answer on.
    Idle,
    /// A piece of the answer, or of the thoughts before it.
    Piece,
    /// The end.
    End,
}

impl Wire {
    /// The path under the base URL.
    pub fn path(self, model: &str, dialect: Dialect) -> Cow<'static, str> {
        match self {
            Wire::Completions => "chat/completions".into(),
            Wire::Responses => "responses".into(),
            Wire::Messages => "messages".into(),
            Wire::Converse => converse::path(model, dialect.stream).into(),
        }
    }

    /// Whether structure is asked for by a tool that takes the answer, so that there is nothing between a schema and a prompt.
    pub fn by_tool(self) -> bool {
        matches!(self, Wire::Messages | Wire::Converse)
    }

    /// Where the key goes.
    pub fn key(self) -> KeyIn {
        if self == Wire::Messages { KeyIn::ApiKey } else { KeyIn::Bearer }
    }

    /// The body of a request.
    pub fn request(self, ask: &Ask<'_>, dialect: Dialect) -> Value {
        match self {
            Wire::Completions => completions::request(ask, dialect),
            Wire::Responses => responses::request(ask, dialect),
            Wire::Messages => messages::request(ask, dialect),
            Wire::Converse => converse::request(ask, dialect),
        }
    }

    /// Takes in one event of a stream, by the text of its data.
    pub fn event(self, said: &mut Said, data: &str, origin: &str) -> Result<Step, Fault> {
        if data.trim() == "[DONE]" {
            said.ended = true;
            return Ok(Step::End);
        }
        let data = super::super::openai::http::json(data, origin)?;
        Ok(match self {
            Wire::Completions => completions::event(said, &data),
            Wire::Responses => responses::event(said, &data),
            Wire::Messages => messages::event(said, &data),
            Wire::Converse => converse::event(said, &data),
        })
    }

    /// What a body that came whole says.
    pub fn whole(self, body: &Value) -> Said {
        let mut said = match self {
            Wire::Completions => completions::whole(body),
            Wire::Responses => responses::whole(body),
            Wire::Messages => messages::whole(body),
            Wire::Converse => converse::whole(body),
        };
        said.ended = true;
        said
    }
}

/// The limit on tokens of a model that thinks before it answers.
pub fn with_thoughts(reasoning: &str, max_tokens: u32) -> u32 {
    let thinks = !matches!(reasoning, "" | "none" | "minimal");
    if thinks { max_tokens.saturating_add(THINKING) } else { max_tokens }
}

/// The system prompt, with the schema where the endpoint is not given it.
fn system(ask: &Ask<'_>, by_schema: bool) -> String {
    let mut system = ask.system.to_owned();
    if !matches!(ask.shape, Shape::Text) && !by_schema {
        system.push_str("\n\nAnswer with one JSON value and nothing else. It must satisfy this JSON schema:\n");
        system.push_str(&ask.shape.schema().to_string());
    }
    system.trim().to_owned()
}

/// The conversation: what the user says, and what was said since.
fn turns(ask: &Ask<'_>, dialect: Dialect) -> Vec<(&'static str, Value)> {
    let since = ask.since.iter().map(|(role, text)| (*role, json!(text)));
    let pictures = ask.talk.filter(|_| dialect.pictures).map_or(&[][..], |talk| &talk.pictures);
    std::iter::once(("user", with_pictures(ask.content.clone(), pictures))).chain(since).collect()
}

/// The calls so far, with their pictures where the endpoint takes them.
fn exchanges<'a>(ask: &Ask<'a>, dialect: Dialect) -> impl Iterator<Item = (usize, Cow<'a, Exchanged>)> {
    let plain = |told: &Exchanged| Exchanged { pictures: Vec::new(), ..told.clone() };
    let shown = move |told: &'a Exchanged| match dialect.pictures || told.pictures.is_empty() {
        true => Cow::Borrowed(told),
        false => Cow::Owned(plain(told)),
    };
    ask.talk.into_iter().flat_map(|talk| &talk.exchanges).map(shown).enumerate()
}

/// Text with pictures behind it, in the parts of Chat Completions.
fn with_pictures(content: Value, pictures: &[Value]) -> Value {
    if pictures.is_empty() {
        return content;
    }
    let mut parts = match content {
        Value::Array(parts) => parts,
        text => vec![json!({"type": "text", "text": text})],
    };
    parts.extend(pictures.iter().cloned());
    Value::Array(parts)
}

/// The turns that send an answer back to be mended.
pub fn mending(wrong: String, why: &str) -> Vec<(&'static str, String)> {
    let asked = format!("That is not what was asked for: {why}. Answer again, with nothing but the JSON.");
    vec![("assistant", wrong), ("user", asked)]
}
