//! Calls over the pipe, one after the other, until the other side is gone. A call that fails, even by a panic, is an answer.

use crate::call::Call;
use crate::device;
use crate::failure::Failure;
use crate::frame::Pipe;
use crate::model::Model;
use candle_core::Device;
use serde_json::{Value, json};
use std::any::Any;
use std::io::{self, Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Answers calls of a model that was loaded, or says why it was not.
pub fn serve<R: Read, W: Write>(
    pipe: &mut Pipe<R, W>,
    load: impl FnOnce() -> Result<(Box<dyn Model>, Device), Failure>,
) -> io::Result<()> {
    let (mut model, device) = match caught(load) {
        Ok(loaded) => loaded,
        Err(failure) => return pipe.send(&failure.answer()),
    };
    let mut ready = json!({"ready": model.functions(), "device": device::name(&device), "together": true});
    if let Some(gpu) = device::gpu_of(&device) {
        ready["gpu"] = json!(gpu);
    }
    pipe.send(&ready)?;
    while let Some(request) = pipe.receive()? {
        let answer = match request["calls"].as_array() {
            None => one(model.as_mut(), &request),
            Some(calls) => json!({"answers": several(model.as_mut(), &request, calls)}),
        };
        mark(request["mark"].as_str().unwrap_or_default());
        match pipe.send(&answer) {
            Err(e) if e.kind() == io::ErrorKind::InvalidInput => pipe.send(&Failure::input(e.to_string()).answer())?,
            other => other?,
        }
    }
    Ok(())
}

/// The answer to one call.
fn one(model: &mut dyn Model, request: &Value) -> Value {
    answer(caught(|| model.call(&Call::of(request)?)))
}

fn answer(result: Result<Value, Failure>) -> Value {
    match result {
        Ok(value) => json!({"value": value}),
        Err(failure) => failure.answer(),
    }
}

/// The answers to several calls: of all at once where the model can, else one after the other, so that each fails for itself.
fn several(model: &mut dyn Model, request: &Value, calls: &[Value]) -> Vec<Value> {
    let whole = |call: &Value| {
        let mut whole = request.clone();
        whole["arguments"] = call["arguments"].clone();
        whole
    };
    let requests: Vec<Value> = calls.iter().map(whole).collect();
    let read: Option<Vec<Call>> = requests.iter().map(|request| Call::of(request).ok()).collect();
    let at_once = read.and_then(|calls| caught(|| Ok(model.together(&calls))).ok().flatten());
    match at_once.filter(|results| results.len() == calls.len()) {
        Some(results) => results.into_iter().map(answer).collect(),
        None => requests.iter().map(|request| one(model, request)).collect(),
    }
}

/// Ends the log of a call.
fn mark(text: &str) {
    // Whoever closed standard error does not read it.
    let _ = io::stderr().write_all(format!("\n{text}\n").as_bytes());
}

/// What a computation yields; a panic in it is a failure of the model.
fn caught<T>(work: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| Err(Failure::model(said(panic.as_ref()))))
}

fn said(panic: &(dyn Any + Send)) -> String {
    format!("the computation broke down: {}", words(panic).unwrap_or("it did not say why"))
}

/// What a panic says.
pub fn words(panic: &(dyn Any + Send)) -> Option<&str> {
    panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied())
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Moody;

    impl Model for Moody {
        fn functions(&self) -> &'static [&'static str] {
            &["double", "panic"]
        }

        fn call(&mut self, call: &Call) -> Result<Value, Failure> {
            match call.function.as_str() {
                "double" => Ok(json!(call.number("of", 0_i64, 0, 9)? * 2)),
                "panic" => panic!("index out of bounds"),
                "big" => Ok(json!("a".repeat(300))),
                _ => Err(call.unknown(self.functions())),
            }
        }
    }

    fn exchanged(requests: &[Value], load: impl FnOnce() -> Result<(Box<dyn Model>, Device), Failure>) -> Vec<Value> {
        let (mut to, mut from) = (Vec::new(), Vec::new());
        for request in requests {
            Pipe::new(io::empty(), &mut to, 200).send(request).expect("it fits");
        }
        serve(&mut Pipe::new(to.as_slice(), &mut from, 200), load).expect("a pipe");
        let mut pipe = Pipe::new(from.as_slice(), io::sink(), 200);
        std::iter::from_fn(|| pipe.receive().expect("frames")).collect()
    }

    #[test]
    fn a_call_that_fails_is_an_answer_and_the_next_one_works() {
        let call = |function: &str, of: &str| json!({"function": function, "options": {"of": of}, "mark": "m"});
        let requests =
            [call("panic", ""), call("double", "x"), call("none", ""), call("big", ""), call("double", "4"), json!(1)];
        let said = exchanged(&requests, || Ok((Box::new(Moody), Device::Cpu)));
        assert_eq!(said[0], json!({"ready": ["double", "panic"], "device": "cpu", "together": true}));
        let kind = |i: usize| said[i]["error"]["type"].as_str().unwrap_or_default().to_owned();
        assert_eq!([kind(1), kind(2), kind(3), kind(4)], ["ModelError", "InputError", "InputError", "InputError"]);
        assert!(said[1]["error"]["message"].as_str().is_some_and(|m| m.ends_with("index out of bounds")));
        assert!(said[4]["error"]["message"].as_str().is_some_and(|m| m.contains("MB")));
        assert_eq!(said[5], json!({"value": 8}));
        assert_eq!(kind(6), "InputError");
    }

    #[test]
    fn several_calls_each_have_their_own_answer() {
        let calls = json!([{"arguments": {}}, {"arguments": 1}, {"arguments": {}}]);
        let request = json!({"function": "double", "options": {"of": "3"}, "mark": "m", "calls": calls});
        let said = exchanged(&[request], || Ok((Box::new(Moody), Device::Cpu)));
        let answers = said[1]["answers"].as_array().expect("answers");
        assert_eq!((&answers[0], &answers[2]), (&json!({"value": 6}), &json!({"value": 6})));
        assert_eq!(answers[1]["error"]["type"], "InputError");
    }

    #[test]
    fn a_model_that_cannot_be_loaded_says_why_once() {
        let said = exchanged(&[json!({})], || Err(Failure::weights("not here")));
        assert_eq!(said, [json!({"error": {"type": "WeightsError", "message": "not here", "traceback": ""}})]);
    }
}
