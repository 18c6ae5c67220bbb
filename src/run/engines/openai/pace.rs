//! A provider's limit on calls -> when the next one may be made. What the library says of a model holds for its account there.

use crate::plan::model::Provider;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use rust_decimal::prelude::ToPrimitive;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::rc::Rc;
use std::time::Duration;

/// The limits of a run's models, each made when it is first needed.
#[derive(Default)]
pub struct Pace(RefCell<BTreeMap<String, Rc<DefaultDirectRateLimiter>>>);

impl Pace {
    /// Waits until a model of an account may be asked; at once where nobody says how fast.
    pub async fn turn(&self, account: &str, provider: &Provider) {
        let Some(quota) = quota(provider) else { return };
        let key = format!("{account} {}", provider.model);
        let limiter = self.0.borrow_mut().entry(key).or_insert_with(|| Rc::new(RateLimiter::direct(quota))).clone();
        limiter.until_ready().await;
    }
}

/// Calls come evenly; those of one second may come together.
fn quota(provider: &Provider) -> Option<Quota> {
    let per_s = provider.calls_per_s.and_then(|n| n.to_f64()).filter(|n| *n > 0.0)?;
    let each = Duration::try_from_secs_f64(1.0 / per_s).ok()?;
    let burst = NonZeroU32::new((per_s.floor() as u32).clamp(1, 10_000))?;
    Quota::with_period(each).map(|quota| quota.allow_burst(burst))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rust_decimal::{Decimal, dec};

    fn provider(calls_per_s: Option<Decimal>) -> Provider {
        Provider {
            api: "chat".into(),
            model: "m".into(),
            url_env: String::new(),
            url: "http://localhost/v1".into(),
            key_env: String::new(),
            system: String::new(),
            prompt: String::new(),
            max_tokens: 1,
            functions: String::new(),
            serve: None,
            reasoning: String::new(),
            prices: BTreeMap::new(),
            calls_per_s,
        }
    }

    #[test]
    fn a_limit_becomes_an_even_pace() {
        assert!(quota(&provider(None)).is_none());
        assert!(quota(&provider(Some(dec!(0)))).is_none());
        let slow = quota(&provider(Some(dec!(0.5)))).expect("a pace");
        assert_eq!((slow.burst_size().get(), slow.replenish_interval()), (1, Duration::from_secs(2)));
        let quick = quota(&provider(Some(dec!(10)))).expect("a pace");
        assert_eq!((quick.burst_size().get(), quick.replenish_interval()), (10, Duration::from_millis(100)));
        let limiter = RateLimiter::direct(quick);
        assert_eq!((0..100).filter(|_| limiter.check().is_ok()).count(), 10, "more has to wait");
    }
}
