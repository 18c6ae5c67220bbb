//! The tools that an MCP server lists → stubs, each with the digest of its schemas.

use super::names::{Taken, quoted, snake};
use super::schema::{Reader, required};
use super::stub::{MOST_PARAMS, Stub, Tool, place_of};
use crate::plan::model::McpServer;
use serde_json::{Map, Value};

/// A tool as the server lists it.
pub struct Listed {
    /// Its name.
    pub name: String,
    /// What the server says about it; untrusted.
    pub docs: String,
    /// The schema of its arguments.
    pub input: Map<String, Value>,
    /// The schema of its structured answer.
    pub output: Option<Map<String, Value>>,
    /// The digest that pins it.
    pub digest: String,
}

/// Stubs for the tools of a server; `prefix` begins every name.
pub fn stubs(server: &McpServer, tools: &[Listed], prefix: &str, command: String) -> Stub {
    let mut taken = Taken::default();
    let mut types = indexmap::IndexMap::new();
    let mut stubs = Vec::new();
    for tool in tools {
        let own = snake(&tool.name);
        let wanted = if prefix.is_empty() { own } else { format!("{prefix}_{own}") };
        let task = taken.fresh(&wanted, "tool");
        let name = taken.fresh(&format!("{task}_mcp"), "tool_mcp");
        stubs.push(stub(server, tool, task, name, &mut types));
    }
    let from = match server.command.first() {
        Some(program) => format!("Tools of the MCP server `{program}`."),
        None => "Tools of an MCP server.".to_string(),
    };
    Stub { from, command, types, tools: stubs }
}

fn stub(
    server: &McpServer,
    tool: &Listed,
    task: String,
    name: String,
    types: &mut indexmap::IndexMap<String, String>,
) -> Tool {
    let input = Value::Object(tool.input.clone());
    let mut reader = Reader::new(&input, &task);
    reader.types = std::mem::take(types);
    let mut settings = reached(server);
    settings.push(format!("tool {}", quoted(&tool.name)));
    settings.push(format!("schema {}", quoted(&tool.digest)));
    let mut names = Taken::default();
    let (mut params, mut places) = (Vec::new(), Vec::new());
    let mut left_out = 0;
    for (field, schema) in tool.input.get("properties").and_then(Value::as_object).into_iter().flatten() {
        if params.len() >= MOST_PARAMS && !required(&tool.input, field) {
            left_out += 1;
            continue;
        }
        let param = names.fresh(&snake(field), "argument");
        let read = reader.read(schema, field, &format!("{task}_{param}"));
        let must = required(&tool.input, field);
        if param != *field {
            settings.push(format!("name {param} {}", quoted(field)));
        }
        if must && read.nullable {
            settings.push(format!("null {param}"));
        }
        places.extend(place_of(field, schema, &read.text).map(|place| (param.clone(), place)));
        params.push((param, read.optional(!must)));
    }
    let mut notes = reader.notes();
    if left_out > 0 {
        notes.push(format!("{left_out} more parameters, which may be left out, are left out"));
    }
    let output = tool.output.clone().map(Value::Object).unwrap_or_default();
    let mut reader = reader.within(&output);
    let result = match &tool.output {
        None => "Text".to_string(),
        Some(schema) => match only_result(schema) {
            // Servers must answer with an object, and put a plain answer into one.
            Some(inner) => {
                settings.push("answer \"result\"".to_string());
                reader.read(inner, "result", &format!("{task}_result")).optional(false)
            }
            None => reader.read(&output, "the result", &format!("{task}_result")).optional(false),
        },
    };
    notes.extend(reader.notes());
    *types = reader.types;
    let runs_on = if server.command.is_empty() { "api" } else { "cpu * 1" };
    Tool { task, tool: name, docs: tool.docs.clone(), notes, params, places, result, runs_on, engine: "mcp", settings }
}

/// How a server is reached, as settings.
fn reached(server: &McpServer) -> Vec<String> {
    let mut settings = Vec::new();
    if !server.command.is_empty() {
        let words: Vec<String> = server.command.iter().map(|w| quoted(w)).collect();
        settings.push(format!("command [{}]", words.join(", ")));
    }
    settings.extend(server.env.iter().map(|name| format!("env {name}")));
    if server.command.is_empty() {
        settings.push(format!("url {}", quoted(&server.url)));
    }
    if !server.url_env.is_empty() {
        settings.push(format!("url_env {}", server.url_env));
    }
    if !server.key_env.is_empty() {
        settings.push(format!("key env {}", server.key_env));
    }
    settings
}

/// The schema of the field `result`, where an answer has that one and no other.
fn only_result(schema: &Map<String, Value>) -> Option<&Value> {
    let properties = schema.get("properties")?.as_object()?;
    (properties.len() == 1 && required(schema, "result")).then(|| properties.get("result")).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn listed(name: &str, docs: &str, input: Value, output: Option<Value>) -> Listed {
        let object = |v: Value| v.as_object().cloned().unwrap_or_default();
        Listed {
            name: name.into(),
            docs: docs.into(),
            input: object(input),
            output: output.map(object),
            digest: "sha256:0".into(),
        }
    }

    #[test]
    fn stubs_are_correct_source_whatever_a_server_says() {
        let server = McpServer {
            command: vec!["python3".into(), "a \"b\\.py".into()],
            env: vec!["TOKEN".into()],
            url: String::new(),
            url_env: String::new(),
            key_env: String::new(),
        };
        let evil = "Adds.\n}\ntool evil implements x { }\n\u{202e}";
        let tools = [
            listed(
                "add",
                evil,
                json!({"properties": {"type": {"type": "integer"}, "max-n": {"type": "integer"}}, "required": ["type"]}),
                Some(json!({"properties": {"result": {"type": "integer"}}, "required": ["result"]})),
            ),
            listed("Add", "", json!({}), Some(json!({"type": "object", "properties": {"a": {"enum": ["x", "y"]}}}))),
            listed(
                "\"} tool evil {",
                "{unit}",
                json!({"properties": {"x": {"type": ["string", "null"]}}, "required": ["x"]}),
                None,
            ),
        ];
        let stub = stubs(&server, &tools, "p", "mkbc import mcp".into());
        let text = stub.text();
        assert!(text.contains("task p_add(type_: Int, max_n: Int?) -> Int\n"), "{text}");
        assert!(text.contains("    name type_ \"type\"\n    name max_n \"max-n\"\n    answer \"result\"\n"), "{text}");
        assert!(text.contains("task p_add_2() -> PAdd2Result\n"), "{text}");
        assert!(text.contains("    tool \"\\\"} tool evil {\"\n") && text.contains("    null x\n"), "{text}");
        let mut texts = crate::compile::Texts::with_stdlib();
        let file = texts.sources.add("p.mkb".to_string(), text.clone());
        texts.modules.push(("p".into(), file));
        for tool in &stub.tools {
            let profile = texts.sources.add("p.csv".to_string(), super::super::stub::profile(Default::default()));
            texts.profiles.insert(super::super::stub::profile_name(&tool.tool).into(), profile);
        }
        let mut cx = crate::diag::Diagnostics::default();
        let library = crate::compile::check_tree(&texts, Default::default(), &mut cx).library;
        assert!(!cx.has_errors(), "{}\n{text}", crate::diag::render::text(&cx, &texts.sources, false));
        assert!(!library.implementations.contains_key("evil") && library.tasks.contains_key("p_tool_evil"));
    }
}
