//! What a provider charges -> what a request costs, in dollars.

use crate::plan::model::{CALL, COUNTED, Provider};
use crate::run::engines::Call;
use crate::run::engines::chat::said::Tokens;
use crate::run::value::planned_sizes;
use crate::space::shape::amount;
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use std::collections::BTreeMap;

/// Prices of a request.
#[derive(Clone, Copy, Debug)]
pub struct Price {
    /// What it costs beside its tokens.
    flat: Decimal,
    /// Its tokens.
    each: Each,
    /// The least tokens that are read where they cost something else, and what they cost then.
    long: Option<(u64, Each)>,
    /// Whether tokens cost anything.
    counted: bool,
}

/// Prices of a token.
#[derive(Clone, Copy, Debug)]
struct Each {
    /// That is read.
    input: Decimal,
    /// That is read from a cache.
    cached: Decimal,
    /// That is written.
    output: Decimal,
}

impl Each {
    /// What is only read (for an embedding, say) has no price of what is written.
    fn of(prices: &BTreeMap<String, Decimal>) -> Each {
        let of = |name: &str| prices.get(name).copied().map(|p| p.max(Decimal::ZERO));
        let input = of("input").unwrap_or_default();
        Each { input, cached: of("cached").map_or(input, |p| p.min(input)), output: of("output").unwrap_or_default() }
    }
}

impl Price {
    /// What a provider charges for a request of a call; `None` where it states no prices. What is charged by work that the arguments do
    /// not tell costs what the plan says.
    pub fn of(call: &Call<'_>, provider: &Provider) -> Option<Price> {
        let planned = || call.step.predicted.cost_usd.checked_div(call.step.calls).unwrap_or_default();
        let flat = flat(call, provider).unwrap_or_else(planned);
        let long = provider.long.as_ref().map(|long| (long.from, Each::of(&long.prices)));
        Some(Price { long, ..Price::new(&provider.prices, flat)? })
    }

    /// The same for a request of several calls of a provider, which is one request.
    pub fn together(calls: &[Call<'_>], provider: &Provider) -> Option<Price> {
        let prices = calls.iter().map(|call| Price::of(call, provider)).collect::<Option<Vec<_>>>()?;
        let first = *prices.first()?;
        let request = provider.prices.get(CALL).copied().unwrap_or_default().max(Decimal::ZERO);
        let more = prices.iter().skip(1).map(|price| (price.flat - request).max(Decimal::ZERO));
        Some(Price { flat: more.fold(first.flat, |sum, flat| sum.saturating_add(flat)), ..first })
    }

    /// The prices of tokens, beside what is charged for a request as such.
    fn new(prices: &BTreeMap<String, Decimal>, flat: Decimal) -> Option<Price> {
        let counted = COUNTED.iter().any(|name| prices.contains_key(*name));
        let price = || Price { flat: flat.max(Decimal::ZERO), each: Each::of(prices), long: None, counted };
        (!prices.is_empty()).then(price)
    }

    /// What a token costs where so many are read.
    fn each(&self, read: u64) -> Each {
        self.long.filter(|(from, _)| read >= *from).map_or(self.each, |(_, each)| each)
    }

    /// What so many tokens cost; what no number holds costs more than anybody has.
    pub fn cost(&self, tokens: Tokens) -> Decimal {
        let fresh = tokens.read.saturating_sub(tokens.cached);
        let Each { input, cached, output } = self.each(tokens.read);
        let part = |price: Decimal, n: u64| price.checked_mul(Decimal::from(n));
        let sum = || {
            let read = part(input, fresh)?.checked_add(part(cached, tokens.cached)?)?;
            read.checked_add(part(output, tokens.written)?)?.checked_add(self.flat)
        };
        sum().unwrap_or(Decimal::MAX)
    }

    /// What a request cost by what the provider reports; `None` where it charges by tokens and reports none.
    pub fn bill(&self, reported: Option<Tokens>) -> Option<Decimal> {
        match reported {
            None if self.counted => None,
            tokens => Some(self.cost(tokens.unwrap_or_default())),
        }
    }

    /// How many tokens may be written for so much money, after what is read is paid; `most` at most, one at least.
    pub fn affords(&self, usd: Decimal, read: u64, most: u32) -> u32 {
        let rest = usd - self.cost(Tokens { read, cached: 0, written: 0 });
        let output = self.each(read).output;
        let tokens = rest.checked_div(output).and_then(|n| n.floor().to_u32());
        tokens.unwrap_or(if output.is_zero() { most } else { 1 }).clamp(1, most.max(1))
    }
}

/// What a request costs beside its tokens: as such, and for work that its arguments tell; `None` where they do not.
fn flat(call: &Call<'_>, provider: &Provider) -> Option<Decimal> {
    let priced = provider.prices.iter().filter(|(name, _)| !COUNTED.contains(&name.as_str()));
    let mut sum = Decimal::ZERO;
    for (name, price) in priced {
        let params = call.step.params.iter();
        let sizes =
            params.filter_map(|(name, ty)| Some((name.as_str().into(), planned_sizes(call.args.get(name)?, ty))));
        let amount = amount(provider.work.get(name)?, &sizes.collect(), &|_| None).ok()?;
        sum = sum.checked_add(price.checked_mul(amount)?)?;
    }
    Some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rust_decimal::dec;

    #[test]
    fn tokens_cost_and_money_buys_them() {
        let prices = [("input", dec!(0.000001)), ("cached", dec!(0.0000001)), ("output", dec!(0.00001))];
        let prices = prices.map(|(n, p)| (n.to_owned(), p)).into();
        let price = Price::new(&prices, Decimal::ZERO).expect("prices");
        assert_eq!(price.cost(Tokens { read: 1000, cached: 400, written: 10 }), dec!(0.00074));
        assert_eq!(price.affords(dec!(0.002), 1000, 500), 100);
        assert_eq!(price.affords(dec!(9), 1000, 500), 500);
        assert_eq!(price.affords(dec!(0), 1000, 500), 1);
        let absurd = Tokens { read: u64::MAX, cached: 0, written: u64::MAX };
        assert!(price.cost(absurd) > dec!(100_000_000_000));
        assert_eq!(price.bill(None), None, "nobody knows how many there were");
        let beside = Price::new(&prices, dec!(0.5)).expect("prices");
        assert_eq!(beside.bill(Some(Tokens { read: 1000, cached: 400, written: 10 })), Some(dec!(0.50074)));
        assert_eq!(beside.affords(dec!(0.502), 1000, 500), 100);
        let each = Each { input: dec!(0.000002), cached: dec!(0.0000002), output: dec!(0.00002) };
        let long = Price { long: Some((1001, each)), ..price };
        assert_eq!(long.cost(Tokens { read: 1000, cached: 400, written: 10 }), dec!(0.00074));
        assert_eq!(long.cost(Tokens { read: 1001, cached: 401, written: 10 }), dec!(0.0014802));
        assert_eq!(long.affords(dec!(0.004002), 1001, 500), 100);
        let alone = Price::new(&[("call".to_owned(), dec!(0.5))].into(), dec!(0.5)).expect("a price");
        assert_eq!((alone.bill(None), Price::new(&BTreeMap::new(), dec!(0)).is_none()), (Some(dec!(0.5)), true));
    }
}
