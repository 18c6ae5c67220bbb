//! An arithmetic expression -> its value, exact where it is rational.

use super::Given;
use crate::run::fault::{Fault, FaultKind};
use fend_core::{Context, Interrupt, evaluate_with_interrupt};
use serde_json::Value;
use std::time::{Duration, Instant};

/// The longest expression, in bytes.
const LONGEST: usize = 10_000;
/// The longest value, in bytes: `9^9^6` is a number, and nobody's answer.
const LONGEST_VALUE: usize = 100_000;
/// How long an expression may take.
const MOST_TIME: Duration = Duration::from_secs(2);

struct Until(Instant);

impl Interrupt for Until {
    fn should_interrupt(&self) -> bool {
        Instant::now() > self.0
    }
}

/// `expression` -> its value as text: rational numbers to 30 decimals (shorter ones exactly), roots and
/// other functions to 10.
pub fn calculate(given: &Given) -> Result<Value, Fault> {
    let expression = given.text("expression")?.trim();
    let refuse = |why: &str| {
        let shown: String = expression.chars().take(80).collect();
        Err(Fault::new(FaultKind::Data, format!("`{shown}` is no arithmetic expression: {why}"))
            .help("write numbers, `+ - * / ^ ( )` and functions such as `sqrt`"))
    };
    if expression.is_empty() || expression.len() > LONGEST {
        return refuse(if expression.is_empty() { "it is empty" } else { "it is too long" });
    }
    // The library also knows units, dates, dice and names; those are no arithmetic, and some are no function of the expression.
    if let Some(word) = words(expression).find(|w| !FUNCTIONS.contains(w)) {
        return refuse(&format!("`{word}` is no function here"));
    }
    let mut context = Context::new();
    context.set_decimal_separator_style(fend_core::DecimalSeparatorStyle::Dot);
    let until = Until(Instant::now() + MOST_TIME);
    let mut evaluated = |text: &str| {
        let result = evaluate_with_interrupt(text, &mut context, &until)?;
        Ok::<String, String>(result.get_main_result().to_owned())
    };
    // A fraction tells what is exact. Roots and functions are not, and fend shows the decimals that it stands for.
    let value = match evaluated(expression).and_then(|_| evaluated(&format!("({expression}) to fraction"))) {
        Ok(fraction) if fraction.starts_with(APPROXIMATE) => evaluated(expression),
        Ok(_) => evaluated(&format!("({expression}) to 30 dp")),
        Err(why) => Err(why),
    };
    match value.map(|v| v.trim_start_matches(APPROXIMATE).to_owned()) {
        Ok(value) if value.len() <= LONGEST_VALUE => Ok(Value::from(value)),
        Ok(value) => refuse(&format!("its value has {} digits", value.len())),
        Err(why) if Instant::now() > until.0 => {
            let message = format!("the expression takes more than {} s: {why}", MOST_TIME.as_secs());
            Err(Fault::new(FaultKind::Timeout, message))
        }
        Err(why) => refuse(&why),
    }
}

/// What fend writes before a value that is rounded.
const APPROXIMATE: &str = "approx. ";

/// The words that an expression may hold.
const FUNCTIONS: [&str; 21] = [
    "sqrt", "cbrt", "abs", "exp", "ln", "log", "log2", "log10", "sin", "cos", "tan", "asin", "acos", "atan", "floor",
    "ceil", "round", "pi", "e", "mod", "choose",
];

/// The words of an expression; the `e` of `1e9` belongs to its number.
fn words(expression: &str) -> impl Iterator<Item = &str> {
    let parts = expression.split(|c: char| !c.is_alphanumeric() && c != '_' && c != '.');
    let numeric = |p: &&str| p.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    parts.filter(|p| !p.is_empty()).filter(move |p| {
        let exponent = p.chars().all(|c| c.is_ascii_digit() || c == '.' || c == 'e' || c == 'E');
        !(numeric(p) && exponent)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::collections::BTreeMap;
    use std::sync::Arc;

    fn value(expression: &str) -> Result<String, Fault> {
        let args = BTreeMap::from([("expression".to_owned(), Arc::new(json!(expression)))]);
        calculate(&Given { args, ..Given::default() }).map(|v| v.as_str().unwrap_or_default().to_owned())
    }

    #[test]
    fn rational_values_are_exact() {
        assert_eq!(value("(3/4 + 1/8) * 16").as_deref(), Ok("14"));
        assert_eq!(value("2^100").as_deref(), Ok("1267650600228229401496703205376"));
        assert_eq!(value("0.1 + 0.2").as_deref(), Ok("0.3"));
        assert_eq!(value("7 mod 3 + 1e3").as_deref(), Ok("1001"));
        assert_eq!(value("sqrt(2)").as_deref(), Ok("1.4142135624"));
        assert_eq!(value("sqrt(9)").as_deref(), Ok("3"));
        assert!(value("1/3").is_ok_and(|v| v.starts_with("0.333333333333333333333")), "{:?}", value("1/3"));
    }

    #[test]
    fn what_is_no_arithmetic_is_refused() {
        for text in ["", "1/0", "two + two", "roll d6", "5 km to miles", "today", "x = 3", "1 +", "(", "\u{0}"] {
            let fault = value(text).expect_err(text);
            assert_eq!(fault.kind, FaultKind::Data, "{text}: {}", fault.message);
        }
        assert!(value(&"9".repeat(20_000)).is_err());
    }

    #[test]
    fn no_expression_takes_for_ever() {
        assert!(value("9^9^9^9").is_err());
    }
}
