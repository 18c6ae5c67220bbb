//! The options and a dataset's columns → which column gives which input, and which what is expected.

use super::super::Failure;
use super::EvalOptions;
use crate::eval::dataset::Dataset;
use crate::eval::measure::Columns;
use crate::eval::metric::Metric;
use crate::types::Type;
use std::collections::BTreeMap;

/// Which column gives which input.
pub fn columns(
    options: &EvalOptions,
    metric: &Metric,
    set: &Dataset,
    params: &[(String, Type)],
) -> Result<Columns, Failure> {
    let mut inputs = BTreeMap::new();
    for given in &options.input {
        let Some((name, column)) = given.split_once('=') else {
            return Err(Failure::Usage(format!("`--input {given}`: write `--input INPUT=COLUMN`")));
        };
        if !params.iter().any(|(n, _)| n == name) {
            let names: Vec<&str> = params.iter().map(|(n, _)| n.as_str()).collect();
            return Err(Failure::Usage(format!(
                "`--input {given}`: there is no input `{name}`; there are {}",
                names.join(", ")
            )));
        }
        inputs.insert(name.to_string(), column.to_string());
    }
    for (name, ty) in params {
        if inputs.contains_key(name) {
        } else if set.columns.contains(name) {
            inputs.insert(name.clone(), name.clone());
        } else if !matches!(ty, Type::Optional(_)) {
            let has = set.columns.join(", ");
            return Err(Failure::Message(format!(
                "the dataset `{}` has no column for the input `{name}` ({ty}): it has {has}; use `--input {name}=COLUMN`",
                set.name
            )));
        }
    }
    let expected = match &options.expected {
        Some(column) => Some(column.clone()),
        None if set.columns.iter().any(|c| c == "expected") => Some("expected".to_string()),
        None if metric.is_asked() => None,
        None => {
            let has = set.columns.join(", ");
            return Err(Failure::Message(format!(
                "the dataset `{}` has no column `expected`: it has {has}; use `--expected COLUMN`",
                set.name
            )));
        }
    };
    Ok(Columns { inputs, expected })
}
