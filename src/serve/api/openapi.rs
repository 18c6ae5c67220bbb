//! The table of routes → an OpenAPI 3.1 document, whose schemas are those of the types that are read and written.

use super::guard::Caller;
use super::routes::{Asker, Content, PROBLEMS, Route, all};
use super::workflows::endpoints;
use crate::serve::Service;
use axum::Json;
use axum::extract::{Extension, State};
use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// Shows the document, with the endpoints of the caller's workflows.
pub async fn show(State(service): State<Arc<Service>>, Extension(caller): Extension<Caller>) -> Json<Value> {
    let mut document = document();
    for (path, operations) in endpoints(&service, &caller) {
        document["paths"][path] = operations;
    }
    Json(document)
}

/// The document of this version.
pub fn document() -> Value {
    let settings =
        SchemaSettings::draft2020_12().with(|settings| settings.definitions_path = "/components/schemas".into());
    let mut generator = settings.into_generator();
    let mut paths: Map<String, Value> = Map::new();
    for route in all() {
        // A part that takes slashes is one parameter like the others.
        let at = route.path.replace("{*", "{");
        let operation = operation(&route, &at, &mut generator);
        let path = paths.entry(at).or_insert_with(|| json!({}));
        path[route.method] = operation;
    }
    let schemas = generator.take_definitions(true);
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "mkbc serve",
            "version": "1",
            "description": "Plans and sources → runs on this server. What is not for anybody asks for a token where the server has tenants; what is for hosts, for a worker's.",
        },
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "worker": {"type": "http", "scheme": "bearer", "description": "`mkbc serve --new-worker-token`"},
            },
        },
    })
}

fn operation(route: &Route, path: &str, generator: &mut SchemaGenerator) -> Value {
    let mut operation = json!({"operationId": route.name, "summary": route.summary});
    let mut parameters = Vec::new();
    for name in path.split('{').skip(1).filter_map(|part| part.split('}').next()) {
        let number = matches!(name, "id" | "run" | "fence" | "step" | "place");
        let least = u8::from(!matches!(name, "step" | "place"));
        let schema = if number { json!({"type": "integer", "minimum": least}) } else { json!({"type": "string"}) };
        parameters.push(json!({"name": name, "in": "path", "required": true, "schema": schema}));
    }
    if let Some(query) = route.query {
        parameters.extend(fields(query, generator));
    }
    for (name, about) in route.headers {
        let schema = json!({"type": "string"});
        parameters
            .push(json!({"name": name, "in": "header", "required": false, "description": about, "schema": schema}));
    }
    if !parameters.is_empty() {
        operation["parameters"] = parameters.into();
    }
    if let Some(body) = &route.body {
        operation["requestBody"] = json!({"required": true, "content": content(body, generator)});
    }
    let mut responses = Map::new();
    for (status, about, body) in &route.answers {
        let mut response = json!({"description": about});
        if let Some(body) = body {
            response["content"] = content(body, generator);
        }
        responses.insert(status.to_string(), response);
    }
    let of_all: &[u16] = if route.asker == Asker::Anybody { &[] } else { &[401, 403, 421, 429] };
    let mut refusals: Vec<u16> = route.refusals.iter().chain(of_all).copied().collect();
    refusals.sort_unstable();
    refusals.dedup();
    for status in refusals {
        responses
            .insert(status.to_string(), json!({"description": why(status), "content": content(&PROBLEMS, generator)}));
    }
    operation["responses"] = responses.into();
    operation["security"] = match route.asker {
        Asker::Anybody => json!([]),
        Asker::Tenant => json!([{}, {"token": []}]),
        Asker::Host => json!([{"worker": []}]),
    };
    operation
}

/// The fields of a type as parameters behind `?`.
fn fields(query: super::routes::Of, generator: &mut SchemaGenerator) -> Vec<Value> {
    // A generator of its own: the type itself is no part of the document, but what it uses is.
    let schema = query(generator).to_value();
    let name = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next()).unwrap_or_default().to_owned();
    let whole = generator.definitions_mut().remove(&name).unwrap_or(schema);
    let properties = whole["properties"].as_object().cloned().unwrap_or_default();
    let parameter = |(name, mut schema): (String, Value)| {
        let about = schema.as_object_mut().and_then(|schema| schema.remove("description"));
        let mut parameter = json!({"name": name, "in": "query", "required": false, "schema": schema});
        if let Some(about) = about {
            parameter["description"] = about;
        }
        parameter
    };
    properties.into_iter().map(parameter).collect()
}

fn content(content: &Content, generator: &mut SchemaGenerator) -> Value {
    let schema = content.of.map_or(json!({}), |of| of(generator).to_value());
    json!({content.kind: {"schema": schema}})
}

fn why(status: u16) -> &'static str {
    match status {
        400 => "The request cannot be read",
        401 => "A token is needed, or it is nobody's",
        402 => "The tenant's budget is used up",
        403 => "It is not allowed",
        404 => "There is no such thing for this tenant",
        409 => {
            "It does not fit the state of things, the key is that of another run, or the workflows do not fit together"
        }
        413 => "It is too large",
        415 => "The body is of another media type",
        421 => "The server has another name",
        422 => "It can be read, and not be used",
        500 => "The run failed",
        429 => "Too much at once: `Retry-After` says when to come back",
        _ => "The server cannot do its work now",
    }
}
