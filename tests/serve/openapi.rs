//! The OpenAPI document: every route is in it and answers, every schema can be used, and what the server says fits it.

use crate::server::{Server, project, source};
use serde_json::{Value, json};
use std::collections::BTreeSet;

fn references<'a>(value: &'a Value, found: &mut BTreeSet<&'a str>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        Value::Object(fields) => {
            found.extend(fields.get("$ref").and_then(Value::as_str));
            fields.values().for_each(|field| references(field, found));
        }
        _ => {}
    }
}

/// A schema of the document with all that it refers to.
fn alone(document: &Value, schema: &Value) -> Value {
    json!({"allOf": [schema], "components": document["components"]})
}

#[test]
fn the_document_is_what_the_server_does() {
    let mkbc = project("0");
    let server = Server::start(&mkbc, &[]);
    let document = server.get("/v1/openapi.json").json();
    assert_eq!(document["openapi"], "3.1.0");
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    for reference in &found {
        let pointer = reference.strip_prefix('#').unwrap_or_else(|| panic!("{reference} leads elsewhere"));
        assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
    }
    for (name, schema) in document["components"]["schemas"].as_object().expect("schemas") {
        jsonschema::draft202012::new(&alone(&document, schema)).unwrap_or_else(|e| panic!("{name}: {e}"));
        let used = format!("#/components/schemas/{name}");
        assert!(found.contains(used.as_str()), "{name} is used by nothing");
    }
    let id = server.submit(&source(&["a"]), &[]).id();
    server.until(id, "done");
    let mut names = BTreeSet::new();
    for (path, operations) in document["paths"].as_object().expect("paths") {
        for (method, operation) in operations.as_object().expect("operations") {
            let name = operation["operationId"].as_str().expect("a name");
            assert!(names.insert(name.to_owned()), "{name} is there twice");
            let parts: Vec<&str> = path.split('{').skip(1).filter_map(|part| part.split('}').next()).collect();
            let all = operation["parameters"].as_array().cloned().unwrap_or_default();
            let declared: Vec<&str> =
                all.iter().filter(|p| p["in"] == "path").filter_map(|p| p["name"].as_str()).collect();
            assert_eq!(parts, declared, "{path}");
            // Each is there, and what it answers is in the document and fits it.
            let number = id.to_string();
            let parts = [("{id}", number.as_str()), ("{path}", "report.json"), ("{name}", "none"), ("{step}", "0")];
            let hosts =
                [("{session}", "none"), ("{run}", "1"), ("{fence}", "1"), ("{digest}", "none"), ("{place}", "0")];
            let at = parts.iter().chain(&hosts).fold(path.clone(), |at, (part, with)| at.replace(part, with));
            let body = if method == "put" { "x" } else { "" };
            let answer = server.ask(&method.to_uppercase(), &at, &[], body);
            let response = &operation["responses"][answer.status.to_string()];
            assert!(response.is_object(), "{method} {at} answers with {}: {answer:?}", answer.status);
            assert_ne!(answer.status, 405, "{method} {at}");
            let schema = &response["content"]["application/json"]["schema"];
            if schema.is_object() {
                let validator = jsonschema::draft202012::new(&alone(&document, schema)).expect("a schema");
                let json = answer.json();
                let wrong: Vec<String> = validator.iter_errors(&json).map(|e| e.to_string()).collect();
                assert!(wrong.is_empty(), "{method} {at}: {wrong:?}: {json}");
            }
        }
    }
    let event = json!({"$ref": "#/components/schemas/RunEvent"});
    let validator = jsonschema::draft202012::new(&alone(&document, &event)).expect("a schema");
    for (_, event) in server.events(id, None, 100) {
        assert!(validator.is_valid(&event), "{event}");
    }
    let submission = json!({"$ref": "#/components/schemas/Submission"});
    let validator = jsonschema::draft202012::new(&alone(&document, &submission)).expect("a schema");
    assert!(validator.is_valid(&source(&["a"])));
    assert!(!validator.is_valid(&json!({"nonsense": 1})));
}
