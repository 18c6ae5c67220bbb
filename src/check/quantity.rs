//! Quantity as written → exact value in base units.

use super::errors;
use crate::diag::Diagnostics;
use crate::syntax::ast::Quantity;
use crate::units::{self, Dimension, Measure};
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

/// Reads a number with its unit; reports what is wrong and yields `None`.
pub fn measure(quantity: &Quantity, cx: &mut Diagnostics) -> Option<Measure> {
    let digits: String = quantity.number.chars().filter(|c| *c != '_').collect();
    let Ok(number) = Decimal::from_str_exact(&digits) else {
        cx.push(errors::number_too_long(quantity.span));
        return None;
    };
    let Some(unit) = &quantity.unit else { return Some(Measure::number(number)) };
    let Some((dimension, factor)) = units::resolve(&unit.text) else {
        let days = units::days(&unit.text).and_then(|days| number.checked_mul(days.into()));
        cx.push(match days {
            Some(days) => errors::longer_than_days(quantity.span, unit, days),
            None => errors::unknown_unit(unit.span, &unit.text),
        });
        return None;
    };
    match number.checked_mul(factor) {
        Some(value) => Some(Measure { value, dimension }),
        None => {
            cx.push(errors::number_too_long(quantity.span));
            None
        }
    }
}

/// Reads a quantity of one dimension; `example` is shown where it is of another.
pub fn of_dimension(
    q: &Quantity,
    wanted: Dimension,
    what: &str,
    example: &str,
    cx: &mut Diagnostics,
) -> Option<Decimal> {
    let read = measure(q, cx)?;
    if read.dimension == wanted {
        return Some(read.value);
    }
    cx.push(errors::wrong_dimension(q.span, what, wanted, read.dimension, example));
    None
}

/// Reads a whole number without unit.
pub fn whole(q: &Quantity, what: &str, cx: &mut Diagnostics) -> Option<u32> {
    let value = of_dimension(q, Dimension::NONE, what, "4", cx)?;
    let whole = if value.fract().is_zero() { value.to_u32() } else { None };
    if whole.is_none() {
        cx.push(errors::not_whole(q.span, what));
    }
    whole
}
