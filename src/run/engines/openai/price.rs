//! What a provider charges -> what a request costs, in dollars.

use crate::run::engines::chat::said::Tokens;
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use std::collections::BTreeMap;

/// Prices of a token.
#[derive(Clone, Copy, Debug)]
pub struct Price {
    input: Decimal,
    cached: Decimal,
    output: Decimal,
}

impl Price {
    /// The prices of tokens, where a provider charges by them; what is only read (for an embedding, say) has no price of what is written.
    pub fn of(prices: &BTreeMap<String, Decimal>) -> Option<Price> {
        let of = |name: &str| prices.get(name).copied().map(|p| p.max(Decimal::ZERO));
        let input = of("input")?;
        let cached = of("cached").map_or(input, |p| p.min(input));
        Some(Price { input, cached, output: of("output").unwrap_or_default() })
    }

    /// What so many tokens cost; what no number holds costs more than anybody has.
    pub fn cost(&self, tokens: Tokens) -> Decimal {
        let fresh = tokens.read.saturating_sub(tokens.cached);
        let part = |price: Decimal, n: u64| price.checked_mul(Decimal::from(n));
        let sum = || {
            let read = part(self.input, fresh)?.checked_add(part(self.cached, tokens.cached)?)?;
            read.checked_add(part(self.output, tokens.written)?)
        };
        sum().unwrap_or(Decimal::MAX)
    }

    /// How many tokens may be written for so much money, after what is read is paid; `most` at most, one at least.
    pub fn affords(&self, usd: Decimal, read: u64, most: u32) -> u32 {
        let rest = usd - self.cost(Tokens { read, cached: 0, written: 0 });
        let tokens = rest.checked_div(self.output).and_then(|n| n.floor().to_u32());
        tokens.unwrap_or(if self.output.is_zero() { most } else { 1 }).clamp(1, most.max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rust_decimal::dec;

    #[test]
    fn tokens_cost_and_money_buys_them() {
        let prices = [("input", dec!(0.000001)), ("cached", dec!(0.0000001)), ("output", dec!(0.00001))];
        let price = Price::of(&prices.map(|(n, p)| (n.to_owned(), p)).into()).expect("prices");
        assert_eq!(price.cost(Tokens { read: 1000, cached: 400, written: 10 }), dec!(0.00074));
        assert_eq!(price.affords(dec!(0.002), 1000, 500), 100);
        assert_eq!(price.affords(dec!(9), 1000, 500), 500);
        assert_eq!(price.affords(dec!(0), 1000, 500), 1);
        let absurd = Tokens { read: u64::MAX, cached: 0, written: u64::MAX };
        assert!(price.cost(absurd) > dec!(100_000_000_000));
    }
}
