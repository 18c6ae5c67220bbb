//! A model's answer → a fill: a closed form with caps, never source. What a fill may call, take and say is checked
//! in `reader`; types are checked where every fill's are.

mod reader;

pub(super) use reader::{Allowed, Read, term};

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value as Json;

/// The longest answer that is read, in bytes.
pub const MAX_BYTES: usize = 64 << 10;

/// A fill.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Form {
    /// Why this fill, in a sentence.
    pub because: String,
    /// The steps, in order; each may take the results of those before.
    pub steps: Vec<Step>,
    /// The fill's value.
    pub result: Value,
}

/// A step with a name.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// What its result is called.
    pub name: String,
    /// What it does.
    pub does: Does,
}

/// What a step does.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Does {
    /// Calls a task.
    Call(Call),
    /// Computes a value for each item of a list.
    Map(Map),
    /// Lets a model call tasks, step by step, until it can answer.
    Agent(Agent),
}

/// A model that calls tasks until it can answer.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Agent {
    /// What it is told to do.
    pub goal: String,
    /// The tasks that it may call.
    pub tools: Vec<String>,
    /// The most calls that it makes.
    pub steps: u32,
    /// US dollars that its calls may cost together in a run; null where the job's limit is enough.
    #[serde(default)]
    pub usd: Option<f64>,
}

/// A call.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Call {
    /// The task.
    pub task: String,
    /// Its arguments.
    pub args: Vec<Arg>,
    /// What is to carry it out, where that matters; else the compiler chooses.
    #[serde(default)]
    pub using: Option<Using>,
}

/// A model or tool that is asked for.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Using {
    /// Its name.
    pub name: String,
    /// Its knobs that are set.
    pub knobs: Vec<Knob>,
}

/// A knob that is set.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Knob {
    /// The knob.
    pub knob: String,
    /// Its value.
    pub value: String,
}

/// An argument.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Arg {
    /// The parameter.
    pub param: String,
    /// What it is given.
    pub value: Value,
}

/// A map.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Map {
    /// The list.
    pub over: Value,
    /// What its item is called.
    pub item: String,
    /// The steps for each item.
    pub steps: Vec<Step>,
    /// The value for each item.
    pub result: Value,
}

/// A value.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Value {
    /// Something in scope, or the result of an earlier step.
    Ref(String),
    /// A field of such a value.
    Part(Part),
    /// A text.
    Text(String),
    /// Several texts.
    Texts(Vec<String>),
    /// A value of an enum.
    Choice(String),
}

/// A field of a value.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// The value's name.
    pub of: String,
    /// The field.
    pub field: String,
}

/// The JSON schema of [`Form`], as providers want it: closed, alternatives as `anyOf`.
pub fn schema() -> Json {
    let mut schema = schemars::schema_for!(Form).to_value();
    plain(&mut schema);
    schema
}

fn plain(schema: &mut Json) {
    match schema {
        Json::Object(map) => {
            for gone in ["$schema", "title", "description", "format"] {
                // A property may bear such a name; its value is then a schema.
                if map.get(gone).is_some_and(|v| v.is_string()) {
                    map.remove(gone);
                }
            }
            // Strict schemas want every field; what may be left out may be null.
            if let Some(fields) = map.get("properties").and_then(Json::as_object) {
                let all: Vec<Json> = fields.keys().map(|name| Json::from(name.as_str())).collect();
                map.insert("required".into(), Json::from(all));
            }
            map.remove("default");
            if let Some(alternatives) = map.remove("oneOf") {
                map.insert("anyOf".into(), alternatives);
            }
            map.values_mut().for_each(plain);
        }
        Json::Array(items) => items.iter_mut().for_each(plain),
        _ => {}
    }
}

/// The most places in an answer where an object may begin.
const MAX_STARTS: usize = 200;

/// Reads an answer: the last object in it that is a fill. Text around it is left out, as models like to think aloud, with braces in it.
pub fn read(answer: &str) -> Result<Form, String> {
    if answer.len() > MAX_BYTES {
        return Err(format!("the answer has {} kB; a fill has {} kB at most", answer.len() >> 10, MAX_BYTES >> 10));
    }
    if answer.trim().is_empty() {
        return Err("the answer is empty".to_string());
    }
    let (mut last, mut why) = (None, None);
    let mut at = 0;
    for _ in 0..MAX_STARTS {
        let Some(from) = answer[at..].find('{').map(|n| at + n) else { break };
        let mut objects = serde_json::Deserializer::from_str(&answer[from..]).into_iter::<Json>();
        match objects.next() {
            Some(Ok(object)) => {
                at = from + objects.byte_offset();
                match serde_json::from_value(object) {
                    Ok(form) => last = Some(form),
                    Err(error) => why = Some(error),
                }
            }
            Some(Err(error)) => {
                at = from + 1;
                why.get_or_insert(error);
            }
            None => break,
        }
    }
    let wrong = || why.map_or("the answer holds no JSON object".to_string(), |e| format!("the answer is no fill: {e}"));
    last.ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_is_closed_and_talk_around_an_answer_is_left_out() {
        let text = schema().to_string();
        assert!(!text.contains("oneOf") && text.contains("\"additionalProperties\":false"), "{text}");
        let form =
            read("Sure!\n```json\n{\"because\":\"b\",\"steps\":[],\"result\":{\"ref\":\"x\"}}\n```").expect("a form");
        assert_eq!(form.because, "b");
        let fill = |because: &str| format!("{{\"because\":\"{because}\",\"steps\":[],\"result\":{{\"ref\":\"x\"}}}}");
        let talk =
            format!("<think>I could use {{x}} or {{}}</think> {} No: {} Use {{braces}} freely.", fill("a"), fill("c"));
        assert_eq!(read(&talk).expect("the last one").because, "c");
        assert!(read(&"{\"a\":".repeat(10_000)).is_err());
        for wrong in
            ["", "no", "}{", "{}", "[1]", "{\"because\":\"b\",\"steps\":[],\"result\":{\"ref\":\"x\"},\"shell\":1}"]
        {
            assert!(read(wrong).is_err(), "{wrong}");
        }
        assert!(read(&" ".repeat(10 << 20)).is_err_and(|why| why.contains("at most")));
    }
}
