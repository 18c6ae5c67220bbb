//! An OpenAPI document (3.0 or 3.1) → stubs, a tool an operation.
//!
//! It is read as plain JSON: of the specification only paths, parameters, bodies, answers and keys matter here, and a typed model of
//! all the rest would refuse documents that differ from it somewhere else. References are followed within the document alone.

use super::names::{Taken, quoted, snake};
use super::schema::{Reader, required};
use super::stub::{MOST_PARAMS, Stub, Tool, place_of};
use crate::legible::plain;
use indexmap::IndexMap;
use serde_json::{Map, Value};

const METHODS: [&str; 5] = ["get", "put", "post", "delete", "patch"];

/// What the importer was told.
pub struct Wanted<'a> {
    /// What every name begins with.
    pub prefix: &'a str,
    /// The address that paths are relative to, in place of the document's.
    pub url: Option<&'a str>,
    /// The variable that may hold another address.
    pub url_env: &'a str,
    /// The variable that holds the key.
    pub key_env: &'a str,
    /// The operations, by id or its beginning; all where it is empty.
    pub only: &'a [String],
}

/// Stubs for the operations of a document, and what was left out; or why it is no such document.
pub fn stubs(document: &Value, wanted: &Wanted, command: String) -> Result<(Stub, Vec<String>), String> {
    let version = document.get("openapi").and_then(Value::as_str).unwrap_or_default();
    if !version.starts_with("3.") {
        return Err(match document.get("swagger") {
            Some(_) => "this is Swagger 2.0: convert it to OpenAPI 3 first (swagger2openapi does)".to_string(),
            None => "this is no OpenAPI document: it has no `openapi: 3.…`".to_string(),
        });
    }
    let url = address(document, wanted.url)?;
    let none = Map::new();
    let paths = document.get("paths").and_then(Value::as_object).unwrap_or(&none);
    let mut pass =
        Pass { document, wanted, url, taken: Taken::default(), types: IndexMap::new(), left_out: Vec::new() };
    /// An operation: its name, method and path, the path's item, and itself.
    type Operation<'a> = (String, &'a str, &'a String, &'a Map<String, Value>, &'a Map<String, Value>);
    let mut operations: Vec<Operation> = Vec::new();
    for (path, item) in paths {
        let Some(item) = pass.resolved(item).as_object() else { continue };
        for method in METHODS {
            let Some(operation) = item.get(method).and_then(Value::as_object) else { continue };
            let id = operation.get("operationId").and_then(Value::as_str);
            let id = id.map_or_else(|| format!("{method} {path}"), str::to_string);
            if wanted.only.is_empty() || wanted.only.iter().any(|o| id.starts_with(o.as_str())) {
                operations.push((id, method, path, operation, item));
            }
        }
    }
    operations.sort_by(|a, b| a.0.cmp(&b.0));
    let tools = operations
        .iter()
        .filter_map(|(id, method, path, operation, item)| pass.operation(id, method, path, operation, item));
    let tools: Vec<Tool> = tools.collect();
    let title = document.pointer("/info/title").and_then(Value::as_str).unwrap_or("an OpenAPI document");
    let from = format!("Operations of {}.", plain(title, 80));
    Ok((Stub { from, command, types: pass.types, tools }, pass.left_out))
}

/// The address of the document's first server, with its variables at their defaults.
fn address(document: &Value, given: Option<&str>) -> Result<String, String> {
    let server = document.pointer("/servers/0");
    let own = server.and_then(|s| s.get("url")).and_then(Value::as_str).unwrap_or_default();
    let mut url = own.to_string();
    for (name, about) in server.and_then(|s| s.get("variables")).and_then(Value::as_object).into_iter().flatten() {
        let default = about.get("default").and_then(Value::as_str).unwrap_or_default();
        url = url.replace(&format!("{{{name}}}"), default);
    }
    let url = given.map_or(url, str::to_string);
    let parsed =
        reqwest::Url::parse(&url).ok().filter(|u| matches!(u.scheme(), "http" | "https") && u.host().is_some());
    match parsed {
        Some(parsed) if parsed.username().is_empty() && parsed.password().is_none() => {
            Ok(url.trim_end_matches('/').to_string())
        }
        Some(_) => Err("the server's address holds a user name or a key".to_string()),
        None => Err(format!("the document's server `{}` is no whole address: give it with `--url`", plain(&url, 100))),
    }
}

struct Pass<'a> {
    document: &'a Value,
    wanted: &'a Wanted<'a>,
    url: String,
    taken: Taken,
    types: IndexMap<String, String>,
    left_out: Vec<String>,
}

/// Where an argument goes.
struct Slot<'a> {
    place: &'static str,
    name: &'a str,
    schema: &'a Value,
    must: bool,
}

impl<'a> Pass<'a> {
    /// What a reference refers to, a few steps at most.
    fn resolved(&self, value: &'a Value) -> &'a Value {
        let mut value = value;
        for _ in 0..8 {
            let pointer = value.get("$ref").and_then(Value::as_str).and_then(|r| r.strip_prefix('#'));
            match pointer.and_then(|p| self.document.pointer(p)) {
                Some(found) => value = found,
                None => break,
            }
        }
        value
    }

    fn operation(
        &mut self,
        id: &str,
        method: &str,
        path: &str,
        operation: &'a Map<String, Value>,
        item: &'a Map<String, Value>,
    ) -> Option<Tool> {
        let left_out = |why: &str| format!("{}: {why}", plain(id, 80));
        let mut slots = self.parameters(operation, item);
        let mut whole = None;
        match self.body(operation) {
            Ok(None) => {}
            Ok(Some((schema, must))) => match self.fields(schema, &slots) {
                Some(fields) if must => slots.extend(fields),
                _ => whole = Some(Slot { place: "body", name: "body", schema, must }),
            },
            Err(why) => {
                self.left_out.push(left_out(&why));
                return None;
            }
        }
        slots.extend(whole);
        let unfilled = path.split('{').skip(1).filter_map(|rest| rest.split_once('}')).map(|(name, _)| name);
        if let Some(name) = unfilled.clone().find(|n| !slots.iter().any(|s| s.place == "path" && s.name == *n)) {
            self.left_out.push(left_out(&format!("its path has `{{{}}}`, which no parameter fills", plain(name, 40))));
            return None;
        }
        // Those that must be given come first, those of the path before all others, as a call without names has them.
        slots.sort_by_key(|slot| (!slot.must, slot.place != "path"));
        let beyond = slots.iter().skip(MOST_PARAMS).filter(|slot| !slot.must).count();
        slots.truncate(slots.len() - beyond);

        let own = snake(id);
        let prefix = self.wanted.prefix;
        let name = if prefix.is_empty() { own } else { format!("{prefix}_{own}") };
        let task = self.taken.fresh(&name, "operation");
        let tool = self.taken.fresh(&format!("{task}_http"), "operation_http");
        let mut reader = Reader::new(self.document, if prefix.is_empty() { &task } else { prefix });
        reader.types = std::mem::take(&mut self.types);
        let (mut params, mut places) = (Vec::new(), Vec::new());
        let (mut settings, mut names) = (Vec::new(), Taken::default());
        let mut filled = path.to_string();
        for slot in &slots {
            let param = names.fresh(&snake(slot.name), "argument");
            let read = reader.read(slot.schema, slot.name, &format!("{task}_{param}"));
            match slot.place {
                "path" => filled = filled.replace(&format!("{{{}}}", slot.name), &format!("{{{param}}}")),
                "body" => settings.push(format!("body {param}")),
                place => settings.push(format!("{place} {param} {}", quoted(slot.name))),
            }
            places.extend(place_of(slot.name, slot.schema, &read.text).map(|place| (param.clone(), place)));
            params.push((param, read.optional(!slot.must)));
        }
        let (result, text) = self.answer(operation, &mut reader, &task);
        let mut notes = reader.notes();
        self.types = reader.types;
        let mut head = vec![format!("method {method}"), format!("url {}", quoted(&self.url))];
        if !self.wanted.url_env.is_empty() {
            head.push(format!("url_env {}", self.wanted.url_env));
        }
        head.push(format!("path {}", quoted(&filled)));
        let keyed = self.key(operation);
        match (keyed, self.wanted.key_env) {
            (Some(Ok(place)), key_env) if !key_env.is_empty() => {
                head.push(format!("key env {key_env}"));
                head.extend(place);
            }
            (Some(Ok(_)), _) => notes.push("it wants a key: import with `--key-env NAME`".to_string()),
            (Some(Err(why)), _) => notes.push(why),
            (None, _) => {}
        }
        if text {
            head.push("answer text".to_string());
        }
        if beyond > 0 {
            notes.push(format!("{beyond} more parameters, which may be left out, are left out"));
        }
        head.extend(settings);
        let docs = ["summary", "description"].iter().filter_map(|w| operation.get(*w).and_then(Value::as_str));
        let docs = docs.collect::<Vec<_>>().join("\n\n");
        Some(Tool { task, tool, docs, notes, params, places, result, runs_on: "api", engine: "http", settings: head })
    }

    /// The parameters of an operation; its own stand before those of its path.
    fn parameters(&self, operation: &'a Map<String, Value>, item: &'a Map<String, Value>) -> Vec<Slot<'a>> {
        let lists = [operation, item].map(|o| o.get("parameters").and_then(Value::as_array));
        let mut slots: Vec<Slot> = Vec::new();
        for parameter in lists.into_iter().flatten().flatten() {
            let parameter = self.resolved(parameter);
            let text = |word: &str| parameter.get(word).and_then(Value::as_str);
            let place = match text("in") {
                Some("path") => "path",
                Some("query") => "query",
                Some("header") => "header",
                // A cookie is a session of a browser.
                _ => continue,
            };
            let Some(name) = text("name") else { continue };
            // These are the protocol's own, and the specification has them ignored.
            let own = ["accept", "content-type", "authorization"].contains(&name.to_lowercase().as_str());
            if (place == "header" && own) || slots.iter().any(|s| s.place == place && s.name == name) {
                continue;
            }
            let content = parameter.pointer("/content/application~1json/schema");
            let schema = parameter.get("schema").or(content).unwrap_or(&Value::Bool(true));
            let must = place == "path" || parameter.get("required") == Some(&Value::Bool(true));
            slots.push(Slot { place, name, schema, must });
        }
        slots
    }

    /// The schema of the JSON body, and whether it must be there.
    fn body(&self, operation: &'a Map<String, Value>) -> Result<Option<(&'a Value, bool)>, String> {
        let Some(body) = operation.get("requestBody") else { return Ok(None) };
        let body = self.resolved(body);
        let must = body.get("required") == Some(&Value::Bool(true));
        let contents = body.get("content").and_then(Value::as_object);
        match contents.and_then(|c| c.iter().find(|(kind, _)| is_json(kind))) {
            Some((_, content)) => Ok(Some((content.get("schema").unwrap_or(&Value::Bool(true)), must))),
            None if !must => Ok(None),
            None => {
                let kind = contents.and_then(|c| c.keys().next()).map_or("nothing", String::as_str);
                Err(format!("its body is {}, and only JSON is sent", plain(kind, 60)))
            }
        }
    }

    /// The fields of a body as parameters of their own, where none is called as another.
    fn fields(&self, schema: &'a Value, slots: &[Slot]) -> Option<Vec<Slot<'a>>> {
        let schema = self.resolved(schema).as_object()?;
        if ["allOf", "anyOf", "oneOf"].iter().any(|w| schema.contains_key(*w)) {
            return None;
        }
        let properties = schema.get("properties")?.as_object()?;
        let taken: Vec<String> = slots.iter().map(|s| snake(s.name)).collect();
        let good = !properties.is_empty() && properties.keys().all(|name| !taken.contains(&snake(name)));
        let slot = |(name, ty): (&'a String, &'a Value)| Slot {
            place: "field",
            name,
            schema: ty,
            must: required(schema, name),
        };
        good.then(|| properties.iter().map(slot).collect())
    }

    /// The type of the answer, and whether it is sent as text.
    fn answer(&self, operation: &'a Map<String, Value>, reader: &mut Reader, task: &str) -> (String, bool) {
        let responses = operation.get("responses").and_then(Value::as_object);
        let good = |code: &str| code.starts_with('2');
        let mut found = responses.into_iter().flatten().filter(|(code, _)| good(code)).collect::<Vec<_>>();
        found.sort_by(|a, b| a.0.cmp(b.0));
        for (_, response) in found {
            let contents = self.resolved(response).get("content").and_then(Value::as_object);
            for (kind, content) in contents.into_iter().flatten() {
                if is_json(kind) {
                    let schema = content.get("schema").unwrap_or(&Value::Bool(true));
                    return (reader.read(schema, "the answer", &format!("{task}_result")).optional(false), false);
                }
                if kind.starts_with("text/") {
                    return ("Text".to_string(), true);
                }
            }
        }
        ("Json".to_string(), false)
    }

    /// Whether an operation wants a key, and where: a setting, or nothing for the usual header.
    fn key(&self, operation: &Map<String, Value>) -> Option<Result<Option<String>, String>> {
        let Some(security) = operation.get("security").or(self.document.get("security")) else {
            // The document does not speak of it, and whoever imports does.
            let schemes = self.document.pointer("/components/securitySchemes").and_then(Value::as_object);
            let said = schemes.and_then(|all| all.values().find_map(|scheme| self.place(scheme).ok()));
            return (!self.wanted.key_env.is_empty()).then(|| Ok(said.flatten()));
        };
        let security = security.as_array()?;
        let names = security.iter().filter_map(Value::as_object);
        // An empty requirement says that it also goes without.
        if names.clone().any(Map::is_empty) && self.wanted.key_env.is_empty() {
            return None;
        }
        let scheme = names.flat_map(|n| n.keys()).find_map(|name| {
            let pointer = format!("/components/securitySchemes/{}", name.replace('~', "~0").replace('/', "~1"));
            self.document.pointer(&pointer)
        })?;
        Some(self.place(scheme))
    }

    /// Where a scheme's key goes, as in [`Self::key`].
    fn place(&self, scheme: &Value) -> Result<Option<String>, String> {
        let scheme = self.resolved_now(scheme);
        let text = |word: &str| scheme.get(word).and_then(Value::as_str).unwrap_or_default();
        match (text("type"), text("in")) {
            ("http", _) if text("scheme").eq_ignore_ascii_case("bearer") => Ok(None),
            ("oauth2" | "openIdConnect", _) => Ok(None),
            ("apiKey", place @ ("header" | "query")) => Ok(Some(format!("key_in {place} {}", quoted(text("name"))))),
            (kind, _) => {
                Err(format!("it wants a key of the kind `{}`, which this version cannot send", plain(kind, 40)))
            }
        }
    }

    fn resolved_now<'b>(&'b self, value: &'b Value) -> &'b Value {
        let pointer = value.get("$ref").and_then(Value::as_str).and_then(|r| r.strip_prefix('#'));
        pointer.and_then(|p| self.document.pointer(p)).unwrap_or(value)
    }
}

fn is_json(kind: &str) -> bool {
    let kind = kind.split(';').next().unwrap_or_default().trim();
    kind == "application/json" || kind.ends_with("+json") || kind == "*/*"
}
