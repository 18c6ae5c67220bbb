//! The JSON schema of plans, derived from the types that read and write them.

use super::model::Plan;

/// The schema, as published in `docs/plan.schema.json` and by `mkbc schema`.
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(Plan).to_value()
}
