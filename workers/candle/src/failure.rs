//! What went wrong -> the `error` of an answer: a kind that a program can tell, and a sentence for people.

use serde_json::{Value, json};
use std::fmt;

/// Who has to do something about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The call: its arguments are wrong or too many.
    Input,
    /// The weights are not there, are others than expected, or are of a model that is not supported.
    Weights,
    /// The device is not there, or this build cannot use it.
    Device,
    /// The computation failed.
    Model,
}

/// Why a call, or the start, failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Its kind.
    pub kind: Kind,
    /// One sentence or two.
    pub message: String,
}

impl Failure {
    /// The call is at fault.
    pub fn input(message: impl Into<String>) -> Failure {
        Failure { kind: Kind::Input, message: message.into() }
    }

    /// The weights are.
    pub fn weights(message: impl Into<String>) -> Failure {
        Failure { kind: Kind::Weights, message: message.into() }
    }

    /// The device is.
    pub fn device(message: impl Into<String>) -> Failure {
        Failure { kind: Kind::Device, message: message.into() }
    }

    /// The computation is.
    pub fn model(message: impl Into<String>) -> Failure {
        Failure { kind: Kind::Model, message: message.into() }
    }

    /// As an answer.
    pub fn answer(&self) -> Value {
        let kind = match self.kind {
            Kind::Input => "InputError",
            Kind::Weights => "WeightsError",
            Kind::Device => "DeviceError",
            Kind::Model => "ModelError",
        };
        json!({"error": {"type": kind, "message": self.message, "traceback": ""}})
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

impl From<candle_core::Error> for Failure {
    fn from(error: candle_core::Error) -> Failure {
        Failure::model(error.to_string())
    }
}
