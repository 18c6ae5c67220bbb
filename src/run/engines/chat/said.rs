//! What a model said, in whichever protocol -> the typed value in it, or why it cannot be used.

use crate::run::engines::openai::answer::{Shape, extract};
use crate::run::fault::{Fault, FaultKind, head};
use crate::run::value::check;
use crate::types::Type;
use serde_json::Value;

/// Tokens of one request, as the provider reports them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tokens {
    /// Read, those from a cache included.
    pub read: u64,
    /// Of these, from a cache.
    pub cached: u64,
    /// Written, those thought with included.
    pub written: u64,
}

/// Why a model stopped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stop {
    /// It was not said.
    #[default]
    Unsaid,
    /// It was done.
    Done,
    /// The limit on tokens was reached.
    Length,
    /// The provider held the rest back.
    Filter,
    /// The model refused.
    Refusal,
}

/// What a model said.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Said {
    /// Its answer, as far as it came.
    pub text: String,
    /// A refusal, in its words.
    pub refusal: String,
    /// The functions that it calls, in order.
    pub calls: Vec<Called>,
    /// An error that came in the place of the answer, or behind its beginning.
    pub error: Option<Error>,
    /// Why it stopped.
    pub stop: Stop,
    /// What was used; none where the provider does not say.
    pub tokens: Option<Tokens>,
    /// Whether the protocol's end was seen.
    pub ended: bool,
    /// Whether there was an answer at all, be it empty.
    pub answered: bool,
}

impl Said {
    /// What was used, where that can be believed: a model that was asked something has read something, and one that said something has
    /// written it.
    pub fn counted(&self) -> Option<Tokens> {
        let spoke = !(self.text.is_empty() && self.refusal.is_empty() && self.calls.is_empty());
        self.tokens.filter(|t| t.read > 0 && (t.written > 0 || !spoke))
    }
}

/// A function that a model calls.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Called {
    /// Its name, as the model says it.
    pub name: String,
    /// The arguments, as JSON that may be broken.
    pub arguments: String,
}

/// An error within an answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Error {
    /// Code or type, where there is one.
    pub code: String,
    /// In the provider's words.
    pub message: String,
}

impl Error {
    /// The error in a field `error`, in every form that is about: an object with a code that is a text or a number, or only a text.
    pub fn of(error: &Value) -> Option<Error> {
        if error.is_null() {
            return None;
        }
        let text = |v: &Value| v.as_str().map(str::to_owned).or_else(|| v.is_number().then(|| v.to_string()));
        let code = ["code", "type", "status"].iter().find_map(|name| text(&error[*name]));
        let message = error["message"].as_str().or(error.as_str()).map_or_else(|| error.to_string(), str::to_owned);
        Some(Error { code: code.unwrap_or_default(), message })
    }

    /// Whether another attempt may help: the provider is busy or broken; a request that is wrong stays so.
    fn passes(&self) -> bool {
        !["400", "401", "402", "403", "404", "413", "422"].contains(&self.code.as_str())
            && !self.code.contains("invalid")
            && !self.code.contains("validation")
            && !self.code.contains("quota")
    }
}

/// An answer that is of another type than was asked for; the model may mend it.
pub struct Mismatch {
    /// Why it is no such value.
    pub why: String,
    /// The fault, where nothing mends it.
    pub fault: Fault,
}

impl Said {
    /// The typed value, a fault, or an answer of another type.
    pub fn value(&self, origin: &str, ty: &Type, shape: &Shape) -> Result<Result<Value, Mismatch>, Fault> {
        let unusable = |what: &str| Fault::new(FaultKind::Answer, format!("{origin} {what}"));
        self.whole(origin)?;
        let text = self.text.trim();
        if text.is_empty() {
            return Err(unusable("sent an empty answer").transient());
        }
        if matches!(shape, Shape::Text) {
            return Ok(Ok(Value::from(text)));
        }
        let wrong = |why: String| {
            let message = format!("sent an answer that is no {ty}: {why}");
            Mismatch { why, fault: unusable(&message).detail(head(text, 500)).transient() }
        };
        let Some(found) = extract(text) else {
            return Ok(Err(wrong("there is no JSON in it".to_owned())));
        };
        let inner = found.get("answer").filter(|_| matches!(shape, Shape::Wrapped(..)));
        let inner = inner.and_then(|inner| check(inner, ty).ok().map(|()| inner.clone()));
        Ok(match inner {
            Some(value) => Ok(value),
            None => check(&found, ty).map(|()| found).map_err(|mismatch| wrong(mismatch.to_string())),
        })
    }

    /// Whether the answer came whole, and no error or refusal in its place.
    pub fn whole(&self, origin: &str) -> Result<(), Fault> {
        let unusable = |what: &str| Fault::new(FaultKind::Answer, format!("{origin} {what}"));
        if let Some(error) = &self.error {
            let code = if error.code.is_empty() { String::new() } else { format!(" {}", head(&error.code, 60)) };
            let what =
                if self.answered { "broke off with an error" } else { "sent no answer (no choices) but an error" };
            let fault = unusable(&format!("{what}{code}")).detail(head(&error.message, 500));
            return Err(if error.passes() { fault.transient() } else { fault });
        }
        if !self.answered {
            return Err(unusable("sent no answer (no choices)").transient());
        }
        let refused = || unusable("refused to answer").help("rephrase the question, or choose another model");
        if !self.refusal.is_empty() {
            return Err(refused().detail(head(&self.refusal, 500)));
        }
        match self.stop {
            Stop::Length => {
                let help = "raise the model's `max_tokens`, or ask for a shorter answer";
                return Err(unusable("broke off: the answer is longer than the limit on tokens").help(help));
            }
            Stop::Filter => {
                return Err(unusable("held the answer back (content filter)").help("rephrase the question"));
            }
            Stop::Refusal => return Err(refused()),
            Stop::Unsaid | Stop::Done => {}
        }
        if !self.ended {
            return Err(unusable("broke off its answer").transient());
        }
        Ok(())
    }
}
