//! A planner's request → its answer in text, by an OpenAI-compatible chat endpoint: bounded waits and attempts, simpler requests
//! where an endpoint does not know the better ones.

use super::block_on;
use super::engines::openai::answer::tokens;
use super::engines::openai::http::{Body, Clients, Endpoint, Refused};
use super::fault::{Fault, FaultKind};
use crate::expand::planner::{Reply, Request};
use serde_json::{Value, json};
use std::time::Duration;

/// The longest that a provider's wish to wait is followed.
const LONGEST_WAIT: Duration = Duration::from_secs(20);
/// The first wait where a provider names none; doubles.
const FIRST_WAIT: Duration = Duration::from_millis(300);

/// How structure is asked for, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    /// `response_format: json_schema`.
    Schema,
    /// `response_format: json_object`, the schema in the prompt.
    Object,
    /// Only the prompt.
    Plain,
}

/// A chat endpoint, and what it was found to understand.
pub struct Chat<'a> {
    endpoint: Endpoint,
    model: &'a str,
    /// How long an answer may take.
    pub timeout: Duration,
    /// Attempts where another one may help.
    pub attempts: u32,
    level: Level,
    /// Newer models refuse `max_tokens`.
    completion_tokens: bool,
}

impl<'a> Chat<'a> {
    /// An endpoint and one of its models.
    pub fn new(endpoint: Endpoint, model: &'a str) -> Chat<'a> {
        let timeout = Duration::from_secs(60);
        Chat { endpoint, model, timeout, attempts: 3, level: Level::Schema, completion_tokens: false }
    }

    /// Asks, and asks again where that may help; `say` is told of waits and of simpler requests.
    pub fn ask(&mut self, request: &Request, say: &mut dyn FnMut(&str)) -> Result<Reply, Fault> {
        let mut wait = FIRST_WAIT;
        let mut attempt = 1;
        loop {
            let body = self.body(request);
            let sent = block_on(async {
                // Connections belong to the runtime that made them.
                let clients = Clients::default();
                tokio::time::timeout(
                    self.timeout,
                    clients.post(&self.endpoint, "chat/completions", Body::Json(&body), None),
                )
                .await
            });
            let sent = sent.map_err(|e| Fault::new(FaultKind::Provider, format!("the runtime cannot start: {e}")))?;
            let refused = match sent {
                Ok(Ok(reply)) => return read(&reply.body, &reply.origin),
                Ok(Err(refused)) => refused,
                Err(_) => {
                    let message =
                        format!("{} gave no answer in {} s", self.endpoint.host(), self.timeout.as_secs_f64());
                    Refused::from(Fault::new(FaultKind::Timeout, message).transient())
                }
            };
            if self.simpler(&refused) {
                say("the endpoint does not know this form of request: asking in a simpler one");
                continue;
            }
            if !refused.fault.transient || attempt >= self.attempts {
                return Err(refused.fault);
            }
            let asked = refused.fault.retry_after.unwrap_or(wait);
            if asked > LONGEST_WAIT {
                let fault = Fault { transient: false, ..refused.fault };
                return Err(fault.help(format!("the provider asks to wait {} s: try again then", asked.as_secs())));
            }
            say(&format!(
                "{}: attempt {} of {} in {:.1} s",
                refused.fault.message,
                attempt + 1,
                self.attempts,
                asked.as_secs_f64()
            ));
            std::thread::sleep(asked);
            wait *= 2;
            attempt += 1;
        }
    }

    fn body(&self, request: &Request) -> Value {
        let mut messages: Vec<Value> =
            request.messages.iter().map(|(role, text)| json!({"role": role, "content": text})).collect();
        if self.level != Level::Schema
            && let Some(first) = messages.first_mut()
        {
            let text = first["content"].as_str().unwrap_or_default();
            first["content"] = json!(format!("{text}\n\nThe JSON schema of the answer:\n{}", request.schema));
        }
        let limit = if self.completion_tokens { "max_completion_tokens" } else { "max_tokens" };
        let mut body = json!({"model": self.model, "messages": messages, "seed": request.sample});
        body[limit] = json!(request.max_tokens);
        match self.level {
            Level::Schema => {
                let schema = json!({"name": "fill", "strict": true, "schema": request.schema});
                body["response_format"] = json!({"type": "json_schema", "json_schema": schema});
            }
            Level::Object => body["response_format"] = json!({"type": "json_object"}),
            Level::Plain => {}
        }
        body
    }

    /// Takes a step down where a refusal is about the form of the request; each step is taken once, so that this ends.
    fn simpler(&mut self, refused: &Refused) -> bool {
        if !matches!(refused.status, Some(400 | 404 | 415 | 422 | 500 | 501)) {
            return false;
        }
        let said = refused.said.to_lowercase();
        if !self.completion_tokens && said.contains("max_completion_tokens") {
            self.completion_tokens = true;
            return true;
        }
        let about = ["response_format", "json_schema", "json_object", "schema", "grammar", "structured"];
        let next = match self.level {
            Level::Schema => Level::Object,
            Level::Object => Level::Plain,
            Level::Plain => return false,
        };
        if about.iter().any(|word| said.contains(word)) {
            self.level = next;
            return true;
        }
        false
    }
}

/// The text of a chat's answer.
fn read(body: &Value, origin: &str) -> Result<Reply, Fault> {
    let unusable = |what: &str| Fault::new(FaultKind::Answer, format!("{origin} {what}"));
    let choice = &body["choices"][0];
    let Some(text) = choice["message"]["content"].as_str() else {
        let said = body["error"]["message"].as_str().or(choice["message"]["refusal"].as_str()).unwrap_or_default();
        return Err(unusable("sent no answer").detail(said));
    };
    // An answer that was cut short is refused as a fill, so that the model hears of it.
    let tokens = tokens(body).map_or((0, 0), |t| (t.read, t.written));
    Ok(Reply { text: text.to_string(), tokens })
}
