//! A workflow's inputs and answer → JSON schemas, as they go over HTTP: a medium of the inputs is a blob that was uploaded, one of the answer
//! is a file of the run.

use super::Workflow;
use crate::inputs;
use crate::types::Type;
use serde_json::{Value, json};

/// The schema of a workflow's inputs.
pub fn of_inputs(workflow: &Workflow) -> Value {
    let params: Vec<(&str, &Type)> = workflow.inputs.iter().map(|(name, ty)| (name.as_str(), ty)).collect();
    let blob = json!({
        "type": "object",
        "properties": {"blob": {"type": "string", "pattern": "^[0-9a-f]{64}$"}},
        "required": ["blob"],
        "additionalProperties": false,
        "description": "A file that was uploaded: PUT /v1/blobs",
    });
    with_media(inputs::schema(&workflow.ordered.name, &workflow.docs, &params), &blob)
}

/// The schema of a workflow's answer.
pub fn of_result(workflow: &Workflow) -> Value {
    let mut whole = inputs::schema(&workflow.ordered.name, "", &[("result", &workflow.result)]);
    let file = json!({
        "type": "object",
        "properties": {"file": {"type": "string"}, "url": {"type": "string"}},
        "required": ["file", "url"],
        "description": "A file of the run, to be fetched at its url",
    });
    with_media(whole["properties"]["result"].take(), &file)
}

/// A schema with another one in place of those of media.
fn with_media(schema: Value, medium: &Value) -> Value {
    match schema {
        Value::Object(fields) if fields.contains_key("x-file") => medium.clone(),
        Value::Object(fields) => fields
            .into_iter()
            .map(|(name, field)| (name, with_media(field, medium)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        Value::Array(items) => items.into_iter().map(|item| with_media(item, medium)).collect(),
        other => other,
    }
}
