//! What calls that were made as one took together -> each one's part of it, by weight; the parts add up to the whole, to the last digit.

use rust_decimal::Decimal;

/// Digits behind the point of a part of an amount.
const DIGITS: u32 = 12;

/// Each one's part of a count.
pub fn of_count(whole: u64, weights: &[u64]) -> Vec<u64> {
    let all = total(weights);
    let until = |sum: u128| u64::try_from(u128::from(whole) * sum / all).unwrap_or(whole);
    parts(weights, until, |to, from| to - from)
}

/// Each one's part of an amount.
pub fn of_amount(whole: Decimal, weights: &[u64]) -> Vec<Decimal> {
    let all = total(weights);
    let until = |sum: u128| {
        let share = Decimal::from(sum).checked_div(Decimal::from(all)).unwrap_or_default();
        let part = whole.checked_mul(share).unwrap_or(whole);
        if sum == all { whole } else { part.round_dp(DIGITS).min(whole) }
    };
    parts(weights, until, |to, from| to - from)
}

/// What all weigh, where each weighs something.
fn total(weights: &[u64]) -> u128 {
    weights.iter().map(|weight| weigh(*weight)).sum::<u128>().max(1)
}

fn weigh(weight: u64) -> u128 {
    u128::from(weight.max(1))
}

/// Differences of what all up to each one have, so that what is rounded off one is the next one's.
fn parts<T: Copy>(weights: &[u64], until: impl Fn(u128) -> T, minus: impl Fn(T, T) -> T) -> Vec<T> {
    let mut sum = 0;
    let mut before = until(0);
    let part = |weight: &u64| {
        sum += weigh(*weight);
        let to = until(sum);
        minus(to, std::mem::replace(&mut before, to))
    };
    weights.iter().map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rust_decimal::dec;

    #[test]
    fn parts_follow_the_weights() {
        assert_eq!(of_count(10, &[1, 3, 1]), [2, 6, 2]);
        assert_eq!(of_count(2, &[0, 0, 0, 0]), [0, 1, 0, 1]);
        assert_eq!(of_amount(dec!(1), &[1, 2]), [dec!(0.333333333333), dec!(0.666666666667)]);
        assert_eq!(of_count(7, &[]), [0_u64; 0]);
    }

    proptest! {
        #[test]
        fn nothing_is_lost(whole in 0..u64::MAX, weights in prop::collection::vec(0..u64::MAX / 64, 1..20)) {
            let all: u128 = of_count(whole, &weights).into_iter().map(u128::from).sum();
            prop_assert_eq!(all, u128::from(whole));
            let amount = Decimal::from(whole) / dec!(1_000_000_000);
            let parts = of_amount(amount, &weights);
            prop_assert!(parts.iter().all(|part| *part >= Decimal::ZERO));
            prop_assert_eq!(parts.into_iter().sum::<Decimal>(), amount);
        }
    }
}
