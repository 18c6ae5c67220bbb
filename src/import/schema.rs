//! A JSON schema (of 2020-12, of older drafts, of OpenAPI 3.0) → a type of the language, with the records and enums that it needs.
//!
//! What cannot be expressed becomes `Json`, and a note says why. References are followed within the document and nowhere else.

use super::names::{is_name, pascal};
use crate::legible::plain;
use indexmap::IndexMap;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Schemas that are looked at, at most; a larger document is `Json` from there on.
const BUDGET: usize = 20_000;
/// How deep they nest.
const DEPTH: usize = 24;
/// Fields of a record, values of an enum.
const MANY: usize = 200;

/// Reads the schemas of one document.
pub struct Reader<'a> {
    root: &'a Value,
    prefix: String,
    /// Records and enums by name, inner ones first: the text of each.
    pub types: IndexMap<String, String>,
    references: BTreeMap<String, Read>,
    open: Vec<String>,
    budget: usize,
    /// What could not be expressed, since the last [`Reader::notes`].
    notes: Vec<String>,
}

/// What a schema was read as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read {
    /// The type, without `?`.
    pub text: String,
    /// Whether null is allowed.
    pub nullable: bool,
}

impl Read {
    /// The type of something that may, or may not, be left out.
    pub fn optional(&self, optional: bool) -> String {
        if optional || self.nullable { format!("{}?", self.text) } else { self.text.clone() }
    }
}

fn json() -> Read {
    Read { text: "Json".into(), nullable: false }
}

impl<'a> Reader<'a> {
    /// A reader whose types all begin with a prefix, so that they meet no others; references are looked up in `root`.
    pub fn new(root: &'a Value, prefix: &str) -> Reader<'a> {
        let (types, references) = (IndexMap::new(), BTreeMap::new());
        Reader { root, prefix: pascal(prefix), types, references, open: Vec::new(), budget: BUDGET, notes: Vec::new() }
    }

    /// The same reader for another document: its types stay, its references go.
    pub fn within<'b>(self, root: &'b Value) -> Reader<'b> {
        let Reader { prefix, types, budget, notes, .. } = self;
        Reader { root, prefix, types, references: BTreeMap::new(), open: Vec::new(), budget, notes }
    }

    /// What could not be expressed since this was last asked.
    pub fn notes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notes)
    }

    /// Reads a schema. `at` names its place for notes, `name` the record or enum that it may need.
    pub fn read(&mut self, schema: &Value, at: &str, name: &str) -> Read {
        if self.budget == 0 || self.open.len() > DEPTH {
            return self.give_up(at, "the schema is too large or too deep");
        }
        self.budget -= 1;
        self.open.push(String::new());
        let read = self.any(schema, at, name);
        self.open.pop();
        read
    }

    fn give_up(&mut self, at: &str, why: &str) -> Read {
        let note = format!("`{}` is Json: {why}", plain(at, 80));
        if self.notes.len() < 20 && !self.notes.contains(&note) {
            self.notes.push(note);
        }
        json()
    }

    fn any(&mut self, schema: &Value, at: &str, name: &str) -> Read {
        let Some(object) = schema.as_object() else {
            // `true` is any value.
            return if schema.as_bool() == Some(false) { self.give_up(at, "no value is allowed") } else { json() };
        };
        let nullable = object.get("nullable") == Some(&Value::Bool(true));
        let read = self.object(object, at, name);
        Read { nullable: read.nullable || nullable, ..read }
    }

    fn object(&mut self, schema: &Map<String, Value>, at: &str, name: &str) -> Read {
        if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
            return self.reference(reference, at);
        }
        for word in ["anyOf", "oneOf"] {
            if let Some(parts) = schema.get(word).and_then(Value::as_array) {
                return self.union(parts, at, name);
            }
        }
        if let Some(parts) = schema.get("allOf").and_then(Value::as_array) {
            return self.all(schema, parts, at, name);
        }
        if let Some(values) = schema.get("enum").and_then(Value::as_array) {
            return self.choice(values, at, name);
        }
        if let Some(value) = schema.get("const") {
            return Read { text: kind(value).into(), nullable: value.is_null() };
        }
        let (ty, nullable) = match schema.get("type") {
            Some(Value::String(ty)) => (ty.as_str(), false),
            Some(Value::Array(types)) => {
                let rest: Vec<&str> = types.iter().filter_map(Value::as_str).filter(|t| *t != "null").collect();
                match rest.as_slice() {
                    [one] => (*one, rest.len() < types.len()),
                    ["integer", "number"] | ["number", "integer"] => ("number", types.len() > 2),
                    _ => return self.give_up(at, "it may be of several types"),
                }
            }
            _ if schema.contains_key("properties") => ("object", false),
            _ => return json(),
        };
        let plain = |text: &str| Read { text: text.into(), nullable };
        match ty {
            "string" => plain("Text"),
            "integer" => plain("Int"),
            "number" => plain("Float"),
            "boolean" => plain("Bool"),
            "array" => {
                let item = match schema.get("items") {
                    Some(item) if !schema.contains_key("prefixItems") && !item.is_array() => {
                        self.read(item, &format!("{at}[]"), name).optional(false)
                    }
                    Some(_) => self.give_up(&format!("{at}[]"), "its items are of different types").text,
                    None => "Json".into(),
                };
                plain(&format!("List[{item}]"))
            }
            "object" => Read { nullable, ..self.record(schema, at, name) },
            "null" => Read { nullable: true, ..json() },
            _ => self.give_up(at, "its type is unknown"),
        }
    }

    fn reference(&mut self, reference: &str, at: &str) -> Read {
        if let Some(known) = self.references.get(reference) {
            return known.clone();
        }
        if self.open.iter().any(|r| r == reference) {
            return self.give_up(at, "it holds itself");
        }
        let root = self.root;
        let found = reference.strip_prefix('#').and_then(|pointer| root.pointer(pointer));
        let Some(found) = found else {
            let elsewhere = !reference.starts_with('#');
            let why = if elsewhere {
                "it is described in another document, which is not read"
            } else {
                "what it refers to is not there"
            };
            return self.give_up(at, why);
        };
        self.open.push(reference.to_string());
        let name = pascal(reference.rsplit('/').next().unwrap_or_default());
        let read = self.read(found, at, &name);
        self.open.pop();
        self.references.insert(reference.to_string(), read.clone());
        read
    }

    fn union(&mut self, parts: &[Value], at: &str, name: &str) -> Read {
        let null = |p: &&Value| p.get("type") == Some(&Value::String("null".into()));
        let rest: Vec<&Value> = parts.iter().filter(|p| !null(p)).collect();
        let nullable = rest.len() < parts.len();
        let read = match rest.as_slice() {
            [one] => self.read(one, at, name),
            many => {
                let all = |types: &[&str]| {
                    many.iter().all(|p| p.get("type").and_then(Value::as_str).is_some_and(|t| types.contains(&t)))
                };
                if !many.is_empty() && all(&["string"]) {
                    Read { text: "Text".into(), nullable }
                } else if !many.is_empty() && all(&["integer", "number"]) {
                    Read { text: "Float".into(), nullable }
                } else {
                    self.give_up(at, "it is one of several kinds")
                }
            }
        };
        Read { nullable: nullable || read.nullable, ..read }
    }

    /// Several objects in one.
    fn all(&mut self, schema: &Map<String, Value>, parts: &[Value], at: &str, name: &str) -> Read {
        if let [one] = parts
            && !schema.contains_key("properties")
        {
            return self.read(one, at, name);
        }
        let root = self.root;
        let own =
            Value::Object(schema.iter().filter(|(k, _)| *k != "allOf").map(|(k, v)| (k.clone(), v.clone())).collect());
        let (mut properties, mut required) = (Map::new(), Vec::new());
        for part in parts.iter().chain([&own]) {
            let target = part.get("$ref").and_then(Value::as_str).and_then(|r| root.pointer(r.strip_prefix('#')?));
            let part = target.unwrap_or(part);
            if ["anyOf", "oneOf", "allOf", "enum"].iter().any(|w| part.get(*w).is_some()) {
                return self.give_up(at, "it is put together from parts that are no plain objects");
            }
            for (field, ty) in part.get("properties").and_then(Value::as_object).into_iter().flatten() {
                properties.insert(field.clone(), ty.clone());
            }
            required.extend(part.get("required").and_then(Value::as_array).into_iter().flatten().cloned());
        }
        let whole: Map<String, Value> =
            [("properties".to_string(), Value::Object(properties)), ("required".to_string(), Value::Array(required))]
                .into_iter()
                .collect();
        self.record(&whole, at, name)
    }

    fn choice(&mut self, values: &[Value], at: &str, name: &str) -> Read {
        let nullable = values.iter().any(Value::is_null);
        let rest: Vec<&Value> = values.iter().filter(|v| !v.is_null()).collect();
        let names: Option<Vec<&str>> = rest.iter().map(|v| v.as_str()).collect();
        let Some(names) = names else {
            let kinds: Vec<&str> = rest.iter().map(|v| kind(v)).collect();
            let same = kinds.windows(2).all(|w| w[0] == w[1]);
            let text = kinds.first().filter(|_| same).copied().unwrap_or("Json");
            return Read { text: text.into(), nullable };
        };
        let mut sorted = names.clone();
        sorted.sort_unstable();
        sorted.dedup();
        if names.is_empty() || names.len() > MANY || sorted.len() < names.len() || !names.iter().all(|n| is_name(n)) {
            let shown: Vec<String> = names.iter().take(20).map(|n| plain(n, 40)).collect();
            let more = if names.len() > 20 { ", …" } else { "" };
            self.notes.push(format!("`{}` is one of: {}{more}", plain(at, 80), shown.join(", ")));
            return Read { text: "Text".into(), nullable };
        }
        let text = self.declare("enum", name, &format!(" {{ {} }}\n", names.join(", ")));
        Read { text, nullable }
    }

    fn record(&mut self, schema: &Map<String, Value>, at: &str, name: &str) -> Read {
        let none = Map::new();
        let properties = schema.get("properties").and_then(Value::as_object).unwrap_or(&none);
        if properties.is_empty() {
            return json();
        }
        if properties.len() > MANY {
            return self.give_up(at, "it has too many fields");
        }
        if let Some(odd) = properties.keys().find(|k| !is_name(k)) {
            let why = format!("its field `{}` is no name of the language", plain(odd, 40));
            return self.give_up(at, &why);
        }
        let mut body = String::from(" {\n");
        for (field, ty) in properties {
            let read = self.read(ty, &format!("{at}.{field}"), &format!("{name}_{field}"));
            body.push_str(&format!("  {field}: {}\n", read.optional(!required(schema, field))));
        }
        body.push_str("}\n");
        Read { text: self.declare("type", name, &body), nullable: false }
    }

    /// Adds a type, under a name of its own where another has this one.
    fn declare(&mut self, word: &str, name: &str, body: &str) -> String {
        let pascal = pascal(name);
        // `PThing` begins with the prefix `P`, and `Place` does not.
        let rest = pascal.strip_prefix(&self.prefix);
        let has_prefix = rest.is_some_and(|rest| !rest.starts_with(char::is_lowercase));
        let wanted = if has_prefix { pascal } else { format!("{}{pascal}", self.prefix) };
        let wanted = if is_name(&wanted) && crate::types::Type::built_in(&wanted).is_none() && wanted != "List" {
            wanted
        } else {
            format!("Type{}", wanted.chars().take(40).collect::<String>())
        };
        for n in 1.. {
            let name = if n == 1 { wanted.clone() } else { format!("{wanted}{n}") };
            let text = format!("{word} {name}{body}");
            match self.types.get(&name) {
                Some(known) if *known != text => continue,
                Some(_) => return name,
                None => {
                    self.types.insert(name.clone(), text);
                    return name;
                }
            }
        }
        wanted
    }
}

/// Whether a field must be there.
pub fn required(schema: &Map<String, Value>, field: &str) -> bool {
    schema.get("required").and_then(Value::as_array).is_some_and(|r| r.iter().any(|name| name == field))
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "Text",
        Value::Bool(_) => "Bool",
        Value::Number(n) if n.is_i64() => "Int",
        Value::Number(_) => "Float",
        _ => "Json",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(schema: Value) -> (String, Vec<String>, Vec<String>) {
        let mut reader = Reader::new(&schema, "p");
        let read = reader.read(&schema, "x", "Thing");
        let notes = reader.notes();
        (read.optional(false), reader.types.values().cloned().collect(), notes)
    }

    #[test]
    fn plain_schemas_are_types() {
        for (schema, ty) in [
            (json!({"type": "string"}), "Text"),
            (json!({"type": ["integer", "null"]}), "Int?"),
            (json!({"anyOf": [{"type": "number"}, {"type": "null"}]}), "Float?"),
            (json!({"type": "string", "nullable": true}), "Text?"),
            (json!({"type": "array", "items": {"type": "array", "items": {"type": "boolean"}}}), "List[List[Bool]]"),
            (json!({"type": "object"}), "Json"),
            (json!({"type": "object", "additionalProperties": {"type": "string"}}), "Json"),
            (json!({"const": 3}), "Int"),
            (json!({"enum": [1, 2]}), "Int"),
            (json!({}), "Json"),
            (json!(true), "Json"),
        ] {
            assert_eq!(read(schema.clone()), (ty.to_string(), vec![], vec![]), "{schema}");
        }
    }

    #[test]
    fn records_enums_and_references() {
        let (ty, types, notes) = read(json!({
            "type": "object",
            "properties": {"unit": {"enum": ["metric", "imperial"]}, "spot": {"$ref": "#/$defs/place"}, "to": {"type": "string"}},
        }));
        assert_eq!((ty.as_str(), types.len()), ("Json", 0));
        assert_eq!(notes, ["`x` is Json: its field `to` is no name of the language"]);
        let (ty, types, notes) = read(json!({
            "type": "object", "required": ["spot"],
            "properties": {"unit": {"enum": ["metric", "imperial"]}, "spot": {"$ref": "#/$defs/place"}, "next": {"$ref": "#/$defs/place"}},
            "$defs": {"place": {"type": "object", "properties": {"name": {"type": "string"}, "inner": {"$ref": "#/$defs/place"}}}},
        }));
        assert_eq!(ty, "PThing");
        assert_eq!(
            types,
            [
                "enum PThingUnit { metric, imperial }\n",
                "type PPlace {\n  name: Text?\n  inner: Json?\n}\n",
                "type PThing {\n  unit: PThingUnit?\n  spot: PPlace\n  next: PPlace?\n}\n",
            ]
        );
        assert_eq!(notes, ["`x.spot.inner` is Json: it holds itself"]);
    }

    #[test]
    fn what_cannot_be_said_is_json_with_a_note() {
        let (ty, _, notes) = read(json!({"oneOf": [{"type": "string"}, {"type": "object"}]}));
        assert_eq!((ty.as_str(), notes.len()), ("Json", 1));
        let (ty, _, notes) = read(json!({"$ref": "http://169.254.169.254/x"}));
        assert_eq!(
            (ty.as_str(), notes[0].as_str()),
            ("Json", "`x` is Json: it is described in another document, which is not read")
        );
        assert_eq!(read(json!({"enum": ["a b", "c"]})).2, ["`x` is one of: a b, c"]);
    }

    #[test]
    fn hostile_schemas_end() {
        let mut deep = json!({"type": "string"});
        for _ in 0..100 {
            deep = json!({"type": "array", "items": deep});
        }
        let (ty, _, notes) = read(deep);
        assert!(ty.matches('[').count() < 30 && notes.len() == 1, "{ty} {notes:?}");
        // Each level refers to the next one twice: 2^40 schemas, were they not remembered.
        let level = |i: usize| json!({"type": "object", "properties": {"a": {"$ref": format!("#/$defs/d{}", i + 1)}, "b": {"$ref": format!("#/$defs/d{}", i + 1)}}});
        let mut defs: Map<String, Value> = (0..40).map(|i| (format!("d{i}"), level(i))).collect();
        defs.insert("d40".into(), json!({"type": "string"}));
        let (ty, types, _) = read(json!({"$ref": "#/$defs/d0", "$defs": defs}));
        assert_eq!(ty, "PD0");
        assert!(types.len() < 40);
    }
}
