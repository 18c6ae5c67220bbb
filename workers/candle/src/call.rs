//! A request -> a call with checked arguments: whatever a peer sends, nothing larger than these bounds reaches a model.

use crate::failure::Failure;
use serde_json::{Map, Value};
use std::path::PathBuf;
use std::str::FromStr;

/// Items (texts, pictures, prompts) of one call.
pub const MOST_ITEMS: usize = 4096;
/// Bytes of one text.
pub const MOST_TEXT: usize = 1 << 20;

/// A call of a function.
pub struct Call {
    /// The function's name.
    pub function: String,
    /// Values by parameter.
    pub arguments: Map<String, Value>,
    /// The engine's settings and the knobs, all of them texts.
    pub options: Map<String, Value>,
}

impl Call {
    /// The call of a request.
    pub fn of(request: &Value) -> Result<Call, Failure> {
        let object = |name: &str| match &request[name] {
            Value::Null => Ok(Map::new()),
            Value::Object(given) => Ok(given.clone()),
            _ => Err(Failure::input(format!("`{name}` of a request must be an object"))),
        };
        let function = request["function"].as_str().ok_or_else(|| Failure::input("a request names no `function`"))?;
        Ok(Call { function: function.to_owned(), arguments: object("arguments")?, options: object("options")? })
    }

    /// A list of texts.
    pub fn texts(&self, name: &str) -> Result<Vec<String>, Failure> {
        let texts = self.list(name)?.iter().map(|v| v.as_str().map(str::to_owned));
        let texts: Option<Vec<String>> = texts.collect();
        let texts = texts.ok_or_else(|| Failure::input(format!("`{name}` must be a list of texts")))?;
        texts.iter().try_for_each(|text| bounded(name, text))?;
        Ok(texts)
    }

    /// A text, where there is one.
    pub fn text(&self, name: &str) -> Result<Option<String>, Failure> {
        match self.arguments.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => bounded(name, text).map(|()| Some(text.clone())),
            Some(_) => Err(Failure::input(format!("`{name}` must be a text"))),
        }
    }

    /// A list.
    pub fn list(&self, name: &str) -> Result<&[Value], Failure> {
        let list = self.arguments.get(name).and_then(Value::as_array);
        let list = list.ok_or_else(|| Failure::input(format!("`{name}` must be a list")))?;
        if list.len() > MOST_ITEMS {
            return Err(Failure::input(format!("`{name}` has {} items; at most {MOST_ITEMS} are taken", list.len())));
        }
        Ok(list)
    }

    /// The file of a medium; none where the medium has nothing (a silent video's sound).
    pub fn file(&self, name: &str) -> Result<Option<PathBuf>, Failure> {
        match self.arguments.get(name) {
            Some(Value::Object(medium)) if medium.get("file").is_some_and(Value::is_null) => Ok(None),
            Some(medium) => file_of(medium).map(Some).map_err(|e| Failure::input(format!("`{name}`: {e}"))),
            None => Err(Failure::input(format!("`{name}` is missing"))),
        }
    }

    /// A setting.
    pub fn setting(&self, name: &str) -> Option<&str> {
        self.options.get(name).and_then(Value::as_str).map(str::trim).filter(|text| !text.is_empty())
    }

    /// A setting that is a number of some kind, within bounds.
    pub fn number<T: FromStr + PartialOrd>(&self, name: &str, usual: T, least: T, most: T) -> Result<T, Failure> {
        let Some(text) = self.setting(name) else { return Ok(usual) };
        let number = text.parse().ok().filter(|n| *n >= least && *n <= most);
        number.ok_or_else(|| Failure::input(format!("the setting `{name}` cannot be `{text}`")))
    }

    /// The failure that the model has no such function.
    pub fn unknown(&self, functions: &[&str]) -> Failure {
        Failure::input(format!("this model has no function `{}`; it has {}", self.function, functions.join(", ")))
    }
}

/// The file that a medium or a frame names.
pub fn file_of(medium: &Value) -> Result<PathBuf, Failure> {
    let file = medium["file"].as_str().map(PathBuf::from);
    file.ok_or_else(|| Failure::input("a medium must name its `file`"))
}

fn bounded(name: &str, text: &str) -> Result<(), Failure> {
    if text.len() > MOST_TEXT {
        let message = format!("a text of `{name}` has {} bytes; at most {MOST_TEXT} are taken", text.len());
        return Err(Failure::input(message));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_wrong_or_too_much_is_refused_by_name() {
        let call = |arguments: Value| Call::of(&json!({"function": "f", "arguments": arguments})).expect("a call");
        assert_eq!(call(json!({"texts": ["a"]})).texts("texts"), Ok(vec!["a".to_owned()]));
        for wrong in
            [json!({}), json!({"texts": "a"}), json!({"texts": [1]}), json!({"texts": vec!["a"; MOST_ITEMS + 1]})]
        {
            let said = call(wrong).texts("texts").expect_err("refused");
            assert!(said.message.contains("`texts`"), "{said}");
        }
        assert!(call(json!({"texts": ["a".repeat(MOST_TEXT + 1)]})).texts("texts").is_err());
        assert_eq!(call(json!({"audio": {"file": null}})).file("audio"), Ok(None));
        assert!(call(json!({"audio": 1})).file("audio").is_err());
        assert!(Call::of(&json!({"arguments": {}})).is_err());
        let set = Call::of(&json!({"function": "f", "options": {"seed": "7", "share": "2"}})).expect("a call");
        assert_eq!(set.number("seed", 0_u64, 0, 9), Ok(7));
        assert_eq!(set.number("other", 3_u64, 0, 9), Ok(3));
        assert!(set.number("share", 0.5_f64, 0.0, 1.0).is_err());
    }
}
