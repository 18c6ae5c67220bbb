//! How a step is executed: by programs, functions, models behind endpoints, servers of one's own or tools of others.

use crate::library::size::SizeExpr;
use crate::library::{CALLS, TOGETHER};
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How a step is executed. Placeholders `{name}` in strings stand for a knob (already filled in by the planner), a parameter
/// (filled in by the runtime, always as one argument), or `{out}`, the folder that the call may write to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Engine {
    /// Programs, run one after the other; `reader` names how their output becomes the typed result.
    Process {
        /// Argument vectors.
        commands: Vec<Vec<String>>,
        /// The reader's name.
        reader: String,
        /// Values that a reader needs (knobs, say).
        options: BTreeMap<String, String>,
    },
    /// A function of the runtime itself.
    Builtin {
        /// Its name.
        function: String,
        /// Its settings.
        options: BTreeMap<String, String>,
    },
    /// A headless browser.
    Browser {
        /// What it does: `open`, `click` or `screenshot`.
        action: String,
    },
    /// An OpenAI-compatible endpoint.
    Openai(Provider),
    /// Anthropic's endpoint.
    Anthropic(Provider),
    /// Amazon Bedrock.
    Bedrock(Provider),
    /// A function of a Python module, called in a worker process that is kept between calls.
    Python {
        /// The module: a file (`words.py`, looked for in the job's folder and the libraries') or an importable name.
        module: String,
        /// The tool's name there.
        function: String,
        /// The interpreter.
        interpreter: String,
        /// Calls that it takes as one; 0 where the library says nothing, which is one by one.
        #[serde(default, skip_serializing_if = "is_zero")]
        together: u32,
    },
    /// A model in a worker process of this project, which loads it once and is kept between calls.
    Worker {
        /// The worker: `candle`.
        worker: String,
        /// The model's weights: a name as on Hugging Face, or a `.gguf` file.
        model: String,
        /// What the model is asked for.
        function: String,
        /// Settings and knobs.
        options: BTreeMap<String, String>,
    },
    /// A tool of a server that speaks the Model Context Protocol.
    Mcp {
        /// The server.
        server: McpServer,
        /// The tool's name there.
        tool: String,
        /// Digest of the tool's name and schemas, `sha256:` and lower-case hex; a server that now says otherwise is refused.
        schema: String,
        /// Parameters whose names there are other than here.
        names: BTreeMap<String, String>,
        /// Parameters that are sent as null where they are left out; others are then not sent.
        nulls: Vec<String>,
        /// The field of the structured answer that is the result; empty for the whole answer.
        answer: String,
    },
    /// An operation of an HTTP interface, whose answer is JSON or text.
    Http(HttpCall),
    /// An engine that this version can plan for and not execute (a managed model server, say).
    Planned {
        /// Its name.
        name: String,
        /// Its settings.
        options: BTreeMap<String, String>,
    },
}

/// The work that providers count and report.
pub const COUNTED: [&str; 3] = ["input", "cached", "output"];

/// The price of a request as such.
pub const CALL: &str = "call";

/// Calls for embeddings in one request, where the library does not say.
const EMBEDDED_TOGETHER: u32 = 64;

impl Engine {
    /// The provider that carries it out, where one does.
    pub fn provider(&self) -> Option<&Provider> {
        match self {
            Engine::Openai(provider) | Engine::Anthropic(provider) | Engine::Bedrock(provider) => Some(provider),
            _ => None,
        }
    }

    /// The same, to be changed.
    pub fn provider_mut(&mut self) -> Option<&mut Provider> {
        match self {
            Engine::Openai(provider) | Engine::Anthropic(provider) | Engine::Bedrock(provider) => Some(provider),
            _ => None,
        }
    }

    /// How many calls it takes as one: those of whatever step or item that come at the same time. Models that answer prompts are asked one by
    /// one, and put what they are asked at once into batches by themselves.
    pub fn together(&self) -> u32 {
        let said = |options: &BTreeMap<String, String>| options.get(TOGETHER).and_then(|n| n.trim().parse().ok());
        let most = match self {
            Engine::Openai(provider) if provider.api == "embeddings" => match provider.together {
                0 => EMBEDDED_TOGETHER,
                most => most,
            },
            Engine::Python { together, .. } => *together,
            Engine::Worker { options, .. } => said(options).unwrap_or(1),
            Engine::Process { commands, options, .. } if takes_calls(commands) => said(options).unwrap_or(1),
            _ => 1,
        };
        most.max(1)
    }
}

/// Whether commands of a process read their calls from a file.
pub fn takes_calls(commands: &[Vec<String>]) -> bool {
    commands.iter().flatten().any(|argument| argument.contains(CALLS))
}

/// Prices of tokens of long requests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LongPrices {
    /// The least tokens that such a request reads.
    pub from: u64,
    /// In dollars by `input`, `cached` and `output` tokens.
    pub prices: BTreeMap<String, Decimal>,
}

/// A model behind an endpoint, and what it is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Provider {
    /// The API: `chat`, `responses`, `transcription`, `embeddings` or `rerank`; `messages` for Anthropic, `converse` for
    /// Bedrock.
    pub api: String,
    /// The model's name there.
    pub model: String,
    /// Environment variable that holds the base URL; `url` where it is not set.
    pub url_env: String,
    /// The base URL: what stands in front of the API's path (`/chat/completions`).
    pub url: String,
    /// Environment variable that holds the key. The key itself never enters a plan.
    pub key_env: String,
    /// The system prompt.
    pub system: String,
    /// The user prompt.
    pub prompt: String,
    /// Largest number of tokens in an answer.
    pub max_tokens: u32,
    /// The parameter that says what the model may call, where it is asked for a call; empty where it is asked for an answer.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub functions: String,
    /// How long the model is to think: what the API calls `reasoning_effort`; `default` for a model that thinks as it will, empty for
    /// one that does not.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reasoning: String,
    /// What the provider charges, in dollars by unit of work (`input` and `output` tokens, say; `call` for each request), so that a
    /// run can tell what it cost.
    pub prices: BTreeMap<String, Decimal>,
    /// What it charges for tokens instead where a request reads many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub long: Option<LongPrices>,
    /// How much work a request is, for prices of what the provider does not count itself: seconds of sound, pictures.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub work: BTreeMap<String, SizeExpr>,
    /// The server of one's own that it is, which a run starts where `url_env` is not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serve: Option<Serve>,
    /// Calls that it takes a second, where the library says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calls_per_s: Option<Decimal>,
    /// Tokens that it takes a second, read and written, where the library says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_per_s: Option<Decimal>,
    /// Calls that it takes in one request, where the library says so; 0 for as many as its protocol has room for.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub together: u32,
}

fn is_zero(n: &u32) -> bool {
    *n == 0
}

/// A model server of one's own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Serve {
    /// Which: `vllm`, `sglang`, `llama_cpp`, `ollama` or `transformers`.
    pub server: String,
    /// The weights: a file, a folder, the name of a model on Hugging Face, or Ollama's name.
    pub weights: String,
    /// The tokens of one call that it has room for; 0 for as many as the model has.
    pub context: u32,
    /// The calls that it works on at once.
    pub parallel: u32,
    /// Further arguments of its command line.
    pub arguments: Vec<String>,
}

/// A request that arguments fill in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpCall {
    /// The method, in lower case.
    pub method: String,
    /// The address that the path is relative to.
    pub url: String,
    /// Environment variable that holds the address; `url` where it is not set.
    pub url_env: String,
    /// The path, with `{parameter}` for the arguments that are in it.
    pub path: String,
    /// Parameters in the query, by name: what they are called there.
    pub query: BTreeMap<String, String>,
    /// Parameters in headers.
    pub headers: BTreeMap<String, String>,
    /// Parameters that are fields of the JSON body.
    pub fields: BTreeMap<String, String>,
    /// The parameter that is the whole JSON body; empty where there is none.
    pub body: String,
    /// Environment variable that holds the key.
    pub key_env: String,
    /// Where the key goes: `header NAME` or `query NAME`; empty for `Authorization: Bearer`.
    pub key_in: String,
    /// Whether the answer is text, not JSON.
    pub text: bool,
}

/// Where a server of the Model Context Protocol is: a program that we start, or an address.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct McpServer {
    /// The program and its arguments; empty for an address.
    pub command: Vec<String>,
    /// Environment variables that the program may see. Their values never enter a plan.
    pub env: Vec<String>,
    /// The address; empty for a program.
    pub url: String,
    /// Environment variable that holds the address; `url` where it is not set.
    pub url_env: String,
    /// Environment variable that holds the key for the address.
    pub key_env: String,
}
