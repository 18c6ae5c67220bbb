//! Job + measured files → the sizes of its inputs: measured before expected before assumed, and it is said which.

use super::errors;
use crate::check::program::Job;
use crate::diag::Diagnostics;
use crate::types::Type;
use ecow::{EcoString, eco_format};
use rust_decimal::Decimal;
use rust_decimal::dec;
use std::collections::BTreeMap;

/// Sizes by path (`count`, `item.duration`) of each input.
pub type InputSizes = BTreeMap<EcoString, BTreeMap<EcoString, Decimal>>;

/// Settles the sizes of a job's inputs.
pub fn settle(job: &Job, measured: &InputSizes, cx: &mut Diagnostics) -> InputSizes {
    let mut all = InputSizes::new();
    for id in &job.params {
        let local = job.local(*id);
        let known = measured.get(&local.name).cloned().unwrap_or_default();
        let expected: Vec<_> = job.expectations.iter().filter(|e| e.input == *id).collect();
        let mut sizes = assumed("", &local.ty);
        for expectation in &expected {
            let prefix = if matches!(local.ty, Type::List(_)) { "item." } else { "" };
            if let Some(each) = expectation.each {
                sizes.insert(eco_format!("{prefix}{}", expectation.size), each);
            }
            if let Some(count) = expectation.count {
                sizes.insert("count".into(), count);
            }
        }
        if known.is_empty() && expected.is_empty() && !sizes.is_empty() {
            let shown: Vec<String> = sizes.iter().map(|(path, value)| format!("{path} {value}")).collect();
            cx.push(errors::assumed_size(local.span, &local.name, &shown.join(", "), example(&local.name, &sizes)));
        }
        sizes.extend(known);
        all.insert(local.name.clone(), sizes);
    }
    all
}

/// The line that says sizes of an input as they are: `expect question of 32 tok`.
fn example(name: &str, sizes: &BTreeMap<EcoString, Decimal>) -> Option<String> {
    let count = sizes.get("count").map(|count| format!(" * {count}"));
    let sized = [("duration", " s"), ("tokens", " tok"), ("pages", "")];
    let each = sized.iter().find_map(|(size, unit)| {
        let value = sizes.get(*size).or(sizes.get(format!("item.{size}").as_str()))?;
        Some(format!(" of {value}{unit}"))
    });
    (count.is_some() || each.is_some())
        .then(|| format!("expect {name}{}{}", count.unwrap_or_default(), each.unwrap_or_default()))
}

/// What is assumed of a value that nobody has measured or described: one minute of media, one page, a sentence of text, one
/// item in a list. A plan shows these where they were used.
fn assumed(prefix: &str, ty: &Type) -> BTreeMap<EcoString, Decimal> {
    let one = |name: &str, value: Decimal| BTreeMap::from([(eco_format!("{prefix}{name}"), value)]);
    match ty {
        Type::Text => one("tokens", dec!(32)),
        Type::Audio => one("duration", dec!(60)),
        Type::Video => one("duration", dec!(60)),
        Type::Document => one("pages", dec!(1)),
        Type::Json => one("tokens", dec!(64)),
        Type::Transcript => {
            let mut sizes = one("duration", dec!(60));
            sizes.extend(one("tokens", dec!(200)));
            sizes
        }
        Type::Frames => one("count", dec!(10)),
        Type::List(item) => {
            let mut sizes = one("count", dec!(1));
            sizes.extend(assumed(&format!("{prefix}item."), item));
            sizes
        }
        Type::Optional(inner) => assumed(prefix, inner),
        Type::Record(_, fields) => fields.iter().flat_map(|(n, t)| assumed(&format!("{prefix}{n}."), t)).collect(),
        _ => BTreeMap::new(),
    }
}
