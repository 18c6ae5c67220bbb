//! A pure operation and its operands -> its value, or why there is none.

use super::fault::{Fault, FaultKind};
use super::value::size;
use crate::ir::workflow::Op;
use serde_json::{Map, Number, Value};
use std::cmp::Ordering;

/// Carries out an operation.
pub fn compute(op: &Op, args: &[&Value]) -> Result<Value, Fault> {
    match (op, args) {
        (Op::List, items) => Ok(Value::Array(items.iter().map(|v| (*v).clone()).collect())),
        (Op::Record(names), values) if names.len() == values.len() => {
            let fields: Map<String, Value> = names.iter().cloned().zip(values.iter().map(|v| (*v).clone())).collect();
            Ok(Value::Object(fields))
        }
        (Op::Field(name), [value]) => field(value, name),
        (Op::Said(name), [value, ..]) => Ok(value.get(name).cloned().unwrap_or(Value::Null)),
        (Op::Note { .. }, [Value::Array(list), more]) => {
            Ok(Value::Array(list.iter().chain([*more]).cloned().collect()))
        }
        (Op::Neg, [Value::Number(n)]) => arithmetic(&Op::Sub, &Number::from(0), n),
        (Op::Not, [Value::Bool(b)]) => Ok(Value::Bool(!b)),
        (Op::And, [Value::Bool(a), Value::Bool(b)]) => Ok(Value::Bool(*a && *b)),
        (Op::Or, [Value::Bool(a), Value::Bool(b)]) => Ok(Value::Bool(*a || *b)),
        (Op::Otherwise, [Value::Null, other]) => Ok((*other).clone()),
        (Op::Otherwise, [value, _]) => Ok((*value).clone()),
        (Op::Eq, [a, b]) => Ok(Value::Bool(equal(a, b))),
        (Op::Ne, [a, b]) => Ok(Value::Bool(!equal(a, b))),
        (Op::Lt, [a, b]) => order(a, b).map(|o| Value::Bool(o == Ordering::Less)),
        (Op::Le, [a, b]) => order(a, b).map(|o| Value::Bool(o != Ordering::Greater)),
        (Op::Gt, [a, b]) => order(a, b).map(|o| Value::Bool(o == Ordering::Greater)),
        (Op::Ge, [a, b]) => order(a, b).map(|o| Value::Bool(o != Ordering::Less)),
        (Op::Add, [Value::String(a), Value::String(b)]) => Ok(Value::String(format!("{a}{b}"))),
        (Op::Add, [Value::Array(a), Value::Array(b)]) => Ok(Value::Array(a.iter().chain(b).cloned().collect())),
        (Op::Add | Op::Sub | Op::Mul | Op::Div, [Value::Number(a), Value::Number(b)]) => arithmetic(op, a, b),
        _ => Err(Fault::plan(format!("the operation {op:?} does not go with these {} operands", args.len()))),
    }
}

fn field(value: &Value, name: &str) -> Result<Value, Fault> {
    if let Some(found) = value.get(name) {
        return Ok(found.clone());
    }
    size(value, name).ok_or_else(|| match value {
        Value::Null => Fault::new(FaultKind::Data, format!("`.{name}` of a value that is absent")),
        _ => Fault::new(FaultKind::Data, format!("the value has no `{name}`, or it was not measured")),
    })
}

/// Integers stay integers as long as the result is one; a quotient that is not whole is a float.
fn arithmetic(op: &Op, a: &Number, b: &Number) -> Result<Value, Fault> {
    let data = |message: &str| Fault::new(FaultKind::Data, message);
    if let (Some(a), Some(b)) = (a.as_i64(), b.as_i64()) {
        let whole = match op {
            Op::Add => a.checked_add(b),
            Op::Sub => a.checked_sub(b),
            Op::Mul => a.checked_mul(b),
            _ if b == 0 => return Err(data("division by zero").help("guard the division with `if`")),
            _ if a.checked_rem(b).is_none_or(|rest| rest == 0) => a.checked_div(b),
            _ => return float(a as f64 / b as f64),
        };
        return whole.map(Value::from).ok_or_else(|| data("an integer leaves the range of 64 bits"));
    }
    let (Some(a), Some(b)) = (a.as_f64(), b.as_f64()) else {
        return Err(data("a number leaves the range of floats"));
    };
    match op {
        Op::Add => float(a + b),
        Op::Sub => float(a - b),
        Op::Mul => float(a * b),
        _ if b == 0.0 => Err(data("division by zero").help("guard the division with `if`")),
        _ => float(a / b),
    }
}

fn float(n: f64) -> Result<Value, Fault> {
    let overflow = || Fault::new(FaultKind::Data, "a number leaves the range of floats");
    Number::from_f64(n).map(Value::Number).ok_or_else(overflow)
}

fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(x), Value::Number(y)) => x == y || (x.as_f64() == y.as_f64() && (x.is_f64() || y.is_f64())),
        (Value::Array(x), Value::Array(y)) => x.len() == y.len() && x.iter().zip(y).all(|(x, y)| equal(x, y)),
        (Value::Object(x), Value::Object(y)) => {
            x.len() == y.len() && x.iter().all(|(key, x)| y.get(key).is_some_and(|y| equal(x, y)))
        }
        _ => a == b,
    }
}

fn order(a: &Value, b: &Value) -> Result<Ordering, Fault> {
    let ordered = match (a, b) {
        (Value::Number(a), Value::Number(b)) => match (a.as_i64(), b.as_i64()) {
            (Some(a), Some(b)) => Some(a.cmp(&b)),
            _ => a.as_f64().partial_cmp(&b.as_f64()),
        },
        (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
        _ => None,
    };
    ordered.ok_or_else(|| Fault::plan("a comparison of values that have no order"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn two(op: Op, a: Value, b: Value) -> Result<Value, Fault> {
        compute(&op, &[&a, &b])
    }

    #[test]
    fn numbers() {
        assert_eq!(two(Op::Add, json!(1), json!(2)), Ok(json!(3)));
        assert_eq!(two(Op::Div, json!(6), json!(3)), Ok(json!(2)));
        assert_eq!(two(Op::Div, json!(7), json!(2)), Ok(json!(3.5)));
        assert_eq!(two(Op::Mul, json!(2), json!(0.5)), Ok(json!(1.0)));
        assert_eq!(compute(&Op::Neg, &[&json!(2.5)]), Ok(json!(-2.5)));
        for zero in [json!(0), json!(0.0)] {
            assert!(two(Op::Div, json!(1), zero).expect_err("no quotient").message.contains("division by zero"));
        }
        assert!(two(Op::Div, json!(i64::MIN), json!(-1)).is_err());
        assert!(two(Op::Mul, json!(i64::MAX), json!(2)).is_err());
        assert!(two(Op::Mul, json!(1e300), json!(1e300)).is_err());
        assert!(compute(&Op::Neg, &[&json!(i64::MIN)]).is_err());
    }

    #[test]
    fn comparisons_texts_and_records() {
        assert_eq!(two(Op::Eq, json!(1), json!(1.0)), Ok(json!(true)));
        assert_eq!(two(Op::Lt, json!("a"), json!("b")), Ok(json!(true)));
        assert!(two(Op::Lt, json!("a"), json!(1)).is_err());
        assert_eq!(two(Op::Add, json!("a"), json!("b")), Ok(json!("ab")));
        assert_eq!(two(Op::Add, json!(["a"]), json!(["b", "c"])), Ok(json!(["a", "b", "c"])));
        let record =
            compute(&Op::Record(vec!["x".into(), "y".into()]), &[&json!(1), &json!([1, 2])]).expect("a record");
        let y = compute(&Op::Field("y".into()), &[&record]).expect("a field");
        assert_eq!(compute(&Op::Field("count".into()), &[&y]), Ok(json!(2)));
        assert!(compute(&Op::Field("z".into()), &[&record]).is_err());
        assert!(compute(&Op::Not, &[]).is_err());
    }
}
