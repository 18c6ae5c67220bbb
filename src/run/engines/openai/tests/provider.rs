//! A FAKE provider that misbehaves in every way we could think of: a real server on the loopback interface, with no model behind it.

use crate::ir::workflow::{Node, Operand, Region, StepId, ValueId};
use crate::library::size::SizeExpr;
use crate::plan::model::{Conditions, Engine, Plan, PlanClause};
use crate::run::engines::chat::stream::Deadlines;
use crate::run::fault::Fault;
use crate::run::tests::samples::{Diary, plan, step, value};
use crate::run::{RunContext, RunReport, run};
use crate::types::Type;
use aws_smithy_eventstream::frame::write_message_to;
use aws_smithy_types::event_stream::{Header, HeaderValue, Message};
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, Response, Uri};
use rust_decimal::Decimal;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// The key, which must appear nowhere.
pub const KEY: &str = "sk-canary-7f3a9c+/=";

/// What the server does next.
#[derive(Clone)]
pub enum Act {
    /// This status, these headers, this body.
    Say(u16, &'static [(&'static str, &'static str)], String),
    /// A byte now and then, for ever.
    Drip,
    /// Zeros for ever.
    Flood,
    /// Less than it promised.
    Break,
    /// These parts of a stream of events, each after so many milliseconds; then the end, or silence for ever.
    Stream(Vec<(u64, String)>, bool),
    /// These messages of one of AWS' event streams, in parts that are cut anywhere.
    Messages(Vec<Message>),
    /// These bytes, packed by gzip, which nobody asked for.
    Packed(Bytes),
    /// What this makes of the request's body.
    Make(fn(&Value) -> Act),
}

/// When a request came, for what, with which headers and body.
pub type Seen = (Instant, String, HeaderMap, Bytes);

#[derive(Clone, Default)]
struct Provider {
    acts: Arc<Mutex<Vec<Act>>>,
    seen: Arc<Mutex<Vec<Seen>>>,
}

async fn respond(State(provider): State<Provider>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response<Body> {
    provider.seen.lock().expect("seen").push((Instant::now(), uri.to_string(), headers, body));
    let act = {
        let mut acts = provider.acts.lock().expect("acts");
        if acts.len() > 1 { acts.remove(0) } else { acts[0].clone() }
    };
    let endless = |part: &'static [u8], pause: u64| {
        Body::from_stream(futures_util::stream::unfold((), move |()| async move {
            tokio::time::sleep(Duration::from_millis(pause)).await;
            Some((Ok::<_, std::io::Error>(part), ()))
        }))
    };
    static ZEROS: [u8; 1 << 20] = [b'0'; 1 << 20];
    let act = match act {
        Act::Make(make) => make(&serde_json::from_slice(&body_of(&provider)).expect("JSON")),
        act => act,
    };
    match act {
        Act::Make(_) => unreachable!("made above"),
        Act::Say(status, headers, text) => {
            let mut response = Response::builder().status(status);
            for (name, value) in headers {
                response = response.header(*name, *value);
            }
            response.body(Body::from(text)).expect("a response")
        }
        Act::Drip => Response::new(endless(b" ", 50)),
        Act::Stream(parts, ends) => {
            let parts = parts.into_iter();
            let body = Body::from_stream(futures_util::stream::unfold(parts, move |mut parts| async move {
                match parts.next() {
                    Some((pause, part)) => {
                        tokio::time::sleep(Duration::from_millis(pause)).await;
                        Some((Ok::<_, std::io::Error>(Bytes::from(part)), parts))
                    }
                    None if ends => None,
                    None => std::future::pending().await,
                }
            }));
            let head = Response::builder().header("content-type", "text/event-stream").header("x-request-id", "req-1");
            head.body(body).expect("a response")
        }
        Act::Messages(messages) => {
            let mut bytes = Vec::new();
            messages.iter().for_each(|message| write_message_to(message, &mut bytes).expect("a message"));
            let parts: Vec<_> =
                bytes.chunks(17).map(|part| Ok::<_, std::io::Error>(Bytes::copy_from_slice(part))).collect();
            let head = Response::builder().header("content-type", "application/vnd.amazon.eventstream");
            let head = head.header("x-amzn-requestid", "req-1");
            head.body(Body::from_stream(futures_util::stream::iter(parts))).expect("a response")
        }
        Act::Packed(bytes) => {
            Response::builder().header("content-encoding", "gzip").body(Body::from(bytes)).expect("a response")
        }
        Act::Flood => Response::new(endless(&ZEROS, 0)),
        Act::Break => {
            let parts = [Ok(Bytes::from_static(b"{\"choices\": [")), Err(std::io::Error::other("broken"))];
            Response::new(Body::from_stream(futures_util::stream::iter(parts)))
        }
    }
}

fn body_of(provider: &Provider) -> Bytes {
    provider.seen.lock().expect("seen").last().expect("a request").3.clone()
}

/// What came of a run.
pub struct Outcome {
    /// The report.
    pub report: RunReport,
    /// The requests.
    pub seen: Vec<Seen>,
    /// What was kept of answers that were no good.
    pub kept: Vec<String>,
}

impl Outcome {
    /// Why there is no result.
    pub fn fault(&self) -> &Fault {
        &self.report.result.as_ref().expect_err("a fault").fault
    }

    /// The JSON of a request.
    pub fn sent(&self, i: usize) -> Value {
        serde_json::from_slice(&self.seen[i].3).expect("JSON")
    }
}

/// What is asked, and how.
#[derive(Clone)]
pub struct Question {
    /// The provider's API.
    pub api: &'static str,
    /// The model.
    pub model: &'static str,
    /// How long it is to think.
    pub reasoning: &'static str,
    /// What is wanted.
    pub output: Type,
    /// The argument; a list is asked about item by item where `each`.
    pub x: (Type, Value),
    /// Whether each item of the list is a call.
    pub each: bool,
    /// Conditions of the step.
    pub conditions: Conditions,
    /// Largest number of tokens in an answer.
    pub max_tokens: u32,
    /// Dollars by unit of work.
    pub prices: &'static [(&'static str, Decimal)],
    /// The job's limit on cost, dollars.
    pub limit: Option<Decimal>,
    /// Deadlines.
    pub deadlines: Deadlines,
    /// Whether the key is that of an account at AWS, which signs.
    pub signs: bool,
    /// An address in the place of the fake's.
    pub url: Option<String>,
}

impl Default for Question {
    fn default() -> Question {
        Question {
            api: "chat",
            model: "m",
            reasoning: "",
            output: Type::Text,
            x: (Type::Text, json!("hello {x}")),
            each: false,
            conditions: Conditions { retries: 0, timeout_ms: Some(3000), cache: None },
            max_tokens: 50,
            prices: &[],
            limit: None,
            deadlines: Deadlines::default(),
            signs: false,
            url: None,
        }
    }
}

/// The work that a price is for, where the provider does not count it.
fn work(price: &str) -> Option<SizeExpr> {
    match price {
        "call" => Some(SizeExpr::Number(Decimal::ONE)),
        "duration" => Some(SizeExpr::Size("x".into(), "duration".into())),
        "frames" => Some(SizeExpr::Size("x".into(), "count".into())),
        _ => None,
    }
}

/// Runs one call of a provider that does this, in order; the last act is repeated.
pub async fn ask(acts: Vec<Act>, api: &'static str, output: Type, x: (Type, Value), conditions: Conditions) -> Outcome {
    Question { api, output, x, conditions, ..Question::default() }.ask(acts).await
}

impl Question {
    fn plan(&self) -> Plan {
        let provider = crate::plan::model::Provider {
            api: self.api.into(),
            model: self.model.into(),
            url_env: "TEST_URL".into(),
            url: "https://nowhere.invalid/v1".into(),
            key_env: "TEST_KEY".into(),
            system: "Be brief.".into(),
            prompt: "Answer: {x}".into(),
            max_tokens: self.max_tokens,
            functions: String::new(),
            reasoning: self.reasoning.into(),
            long: None,
            prices: self.prices.iter().map(|(n, p)| ((*n).to_owned(), *p)).collect(),
            work: self.prices.iter().filter_map(|(n, _)| Some(((*n).to_owned(), work(n)?))).collect(),
            serve: None,
            calls_per_s: None,
            tokens_per_s: None,
            together: 0,
        };
        let engine = match self.api {
            "messages" => Engine::Anthropic(provider),
            "converse" => Engine::Bedrock(provider),
            _ => Engine::Openai(provider),
        };
        let (ty, result) = match &self.x.0 {
            Type::List(item) if self.each => ((**item).clone(), Type::List(Box::new(self.output.clone()))),
            ty => (ty.clone(), self.output.clone()),
        };
        let mut s = step(0, engine, &[("x", ty)], self.output.clone());
        s.hardware.device = "api".into();
        s.hardware.units = 0;
        s.conditions = self.conditions.clone();
        let call = |x| Node::Call { step: StepId(0), args: vec![("x".into(), x)], output: ValueId(1) };
        let node = if self.each {
            let body = Region { nodes: vec![call(value(2))], result: value(1) };
            Node::Map { over: value(0), item: ValueId(2), body, output: ValueId(3) }
        } else {
            call(value(0))
        };
        let last = node.output();
        let mut plan = plan(self.x.0.clone(), vec![node], (Operand::Value(last), result), vec![s]);
        plan.total.cost_usd = Decimal::ZERO;
        plan.clauses.extend(self.limit.map(|limit| PlanClause {
            text: format!("cost <= {limit} usd"),
            line: 1,
            metric: "cost".into(),
            limit,
            value: Decimal::ZERO,
            slack: limit,
            soft: false,
            holds: true,
            price: None,
        }));
        plan
    }

    /// Asks a provider that does this, in order; the last act is repeated.
    pub async fn ask(&self, acts: Vec<Act>) -> Outcome {
        let provider = Provider { acts: Arc::new(Mutex::new(acts)), ..Provider::default() };
        let router =
            axum::Router::new().fallback(respond).layer(DefaultBodyLimit::disable()).with_state(provider.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let own = format!("http://{}/v1", listener.local_addr().expect("an address"));
        let url = self.url.clone().unwrap_or(own);
        let server = tokio::spawn(async move { axum::serve(listener, router).await });
        let folder = tempfile::tempdir().expect("a folder");
        let diary = Diary::default();
        let signs = self.signs;
        let env = move |name: &str| match name {
            "TEST_URL" => Some(url.clone()),
            "TEST_KEY" if !signs => Some(KEY.to_owned()),
            name if signs => account(name),
            _ => None,
        };
        let mut cx = RunContext::new(folder.path().join("run"), &diary, &env);
        cx.backoff = Duration::from_millis(1);
        cx.deadlines = self.deadlines;
        let report = run(&self.plan(), BTreeMap::from([("x".to_owned(), self.x.1.clone())]), &cx).await;
        server.abort();
        no_key_anywhere(&report, folder.path());
        let kept = files(folder.path()).into_iter().filter(|f| f.to_string_lossy().contains("/answer-"));
        let kept = kept.map(|f| std::fs::read_to_string(f).expect("a file")).collect();
        let seen = std::mem::take(&mut *provider.seen.lock().expect("seen"));
        Outcome { report, seen, kept }
    }
}

/// All files in a folder and those below it, in order.
fn files(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut entries: Vec<_> =
        std::fs::read_dir(folder).expect("a folder").map(|e| e.expect("an entry").path()).collect();
    entries.sort();
    entries.into_iter().flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// Every byte that a run shows or leaves is free of the key, also encoded.
/// An account at AWS, whose secret must appear nowhere.
pub fn account(name: &str) -> Option<String> {
    let value = match name {
        "AWS_ACCESS_KEY_ID" => "AKIDEXAMPLE",
        "AWS_SECRET_ACCESS_KEY" => KEY,
        "AWS_REGION" => "us-east-1",
        _ => return None,
    };
    Some(value.to_owned())
}

fn no_key_anywhere(report: &RunReport, folder: &std::path::Path) {
    let mut shown = format!("{report:?}");
    if let Err(error) = &report.result {
        shown.push_str(&error.to_string());
    }
    for file in files(folder) {
        shown.push_str(&String::from_utf8_lossy(&std::fs::read(file).expect("a file")));
    }
    for form in ["canary-7f3a9c", "c2stY2FuYXJ5LTdmM2E5Yysv", "sk%2Dcanary"] {
        assert!(!shown.contains(form), "the key is in {shown}");
    }
}

/// A response with a request id.
pub fn say(status: u16, text: impl ToString) -> Act {
    Act::Say(status, &[("x-request-id", "req-1")], text.to_string())
}

/// A message of an event stream: the event's type (or the exception's, behind `!`) and its body.
pub fn message((name, body): (&str, Value)) -> Message {
    let text = |text: &str| HeaderValue::String(text.to_owned().into());
    let (kind, header, name) = match name.strip_prefix('!') {
        Some(exception) => ("exception", ":exception-type", exception),
        None => ("event", ":event-type", name),
    };
    let headers = vec![
        Header::new(header, text(name)),
        Header::new(":content-type", text("application/json")),
        Header::new(":message-type", text(kind)),
    ];
    Message::new_from_parts(headers, body.to_string().into_bytes())
}

/// A chat's answer.
pub fn chat(content: &str) -> Act {
    let body = json!({"choices": [{"message": {"content": content}, "finish_reason": "stop"}], "usage": {"prompt_tokens": 7, "completion_tokens": 3}});
    say(200, body)
}

/// One call that yields text.
pub async fn text(acts: Vec<Act>, retries: u32) -> Outcome {
    ask(
        acts,
        "chat",
        Type::Text,
        (Type::Text, json!("hello {x}")),
        Conditions { retries, timeout_ms: Some(3000), cache: None },
    )
    .await
}

/// One call that yields a value of a type.
pub async fn typed(acts: Vec<Act>, output: Type, retries: u32) -> Outcome {
    ask(acts, "chat", output, (Type::Text, json!("hello")), Conditions { retries, timeout_ms: Some(3000), cache: None })
        .await
}
