//! A provider's limits on calls and tokens -> when the next call may be made, and whose that is. What the library says of a model holds for
//! its account there.

use crate::plan::model::Provider;
use crate::run::pool::line::Rank;
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use rust_decimal::prelude::ToPrimitive;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// The limits of a run's models, each made when it is first needed.
#[derive(Default)]
pub struct Pace {
    calls: RefCell<BTreeMap<String, Rc<DefaultDirectRateLimiter>>>,
    /// When the tokens of the calls so far are through.
    tokens: RefCell<BTreeMap<String, Instant>>,
    queues: RefCell<BTreeMap<String, Rc<Queue>>>,
}

/// The calls that wait for a model, in the order of their ranks, and of equal ones who asked first.
#[derive(Default)]
struct Queue {
    waiting: RefCell<BTreeSet<(Rank, u64)>>,
    asked: Cell<u64>,
    changed: Notify,
}

/// A call in a queue, until dropped.
struct Waits {
    queue: Rc<Queue>,
    turn: (Rank, u64),
}

impl Waits {
    fn new(queue: Rc<Queue>, rank: Rank) -> Waits {
        let turn = (rank, queue.asked.replace(queue.asked.get() + 1));
        queue.waiting.borrow_mut().insert(turn.clone());
        queue.changed.notify_waiters();
        Waits { queue, turn }
    }

    fn first(&self) -> bool {
        self.queue.waiting.borrow().first() == Some(&self.turn)
    }
}

impl Drop for Waits {
    fn drop(&mut self) {
        self.queue.waiting.borrow_mut().remove(&self.turn);
        self.queue.changed.notify_waiters();
    }
}

impl Pace {
    /// Waits until a model of an account may be asked with so many tokens; at once where nobody says how fast, and the account asked nobody to
    /// wait until some moment. Whoever ranks first of those who wait goes first, whenever it came.
    pub async fn turn(
        &self,
        account: &str,
        (provider, tokens): (&Provider, u64),
        rank: &Rank,
        until: &dyn Fn() -> Option<Instant>,
    ) {
        if provider.calls_per_s.is_none() && provider.tokens_per_s.is_none() && until().is_none() {
            return;
        }
        let queue = self.queues.borrow_mut().entry(key(account, provider)).or_default().clone();
        let waits = Waits::new(queue, rank.clone());
        loop {
            let changed = waits.queue.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if !waits.first() {
                changed.await;
                continue;
            }
            let Some(moment) = self.ready(account, (provider, tokens), until()) else { return };
            tokio::select! {
                () = tokio::time::sleep_until(moment) => {}
                () = changed => {}
            }
        }
    }

    /// When a call of so many tokens can be looked at again; none where it may be made now, which it then is.
    fn ready(&self, account: &str, (provider, tokens): (&Provider, u64), until: Option<Instant>) -> Option<Instant> {
        let (key, now) = (key(account, provider), Instant::now());
        let through = self.tokens.borrow().get(&key).copied().filter(|_| provider.tokens_per_s.is_some());
        if let Some(later) = until.max(through).filter(|moment| *moment > now) {
            return Some(later);
        }
        if let Some(quota) = quota(provider) {
            let limiter =
                self.calls.borrow_mut().entry(key).or_insert_with(|| Rc::new(RateLimiter::direct(quota))).clone();
            if let Err(early) = limiter.check() {
                return Some(now + early.wait_time_from(DefaultClock::default().now()));
            }
        }
        self.place(account, provider, tokens, now);
        None
    }

    /// When a call of so many tokens may be made, behind those before it.
    fn place(&self, account: &str, provider: &Provider, tokens: u64, now: Instant) -> Option<Instant> {
        let time = through(provider, tokens)?;
        let mut all = self.tokens.borrow_mut();
        let through = all.entry(key(account, provider)).or_insert(now);
        let turn = now.max(*through);
        *through = turn + time;
        Some(turn)
    }

    /// A call that counted with so many tokens took so many: who comes later waits for the difference as well, or not as long.
    pub fn took(&self, account: &str, provider: &Provider, expected: u64, tokens: u64) {
        let (Some(expected), Some(took)) = (through(provider, expected), through(provider, tokens)) else { return };
        if let Some(through) = self.tokens.borrow_mut().get_mut(&key(account, provider)) {
            *through += took.saturating_sub(expected);
            *through = through.checked_sub(expected.saturating_sub(took)).unwrap_or(*through);
        }
    }
}

fn key(account: &str, provider: &Provider) -> String {
    format!("{account} {}", provider.model)
}

/// How long a model takes for so many tokens at the pace that it allows.
fn through(provider: &Provider, tokens: u64) -> Option<Duration> {
    let per_s = provider.tokens_per_s.and_then(|n| n.to_f64()).filter(|n| *n > 0.0)?;
    Duration::try_from_secs_f64(tokens as f64 / per_s).ok()
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
            long: None,
            prices: BTreeMap::new(),
            work: Default::default(),
            calls_per_s,
            tokens_per_s: None,
            together: 0,
        }
    }

    #[test]
    fn tokens_are_paced_by_what_calls_took() {
        let provider = Provider { tokens_per_s: Some(dec!(100)), ..provider(None) };
        let (pace, begun) = (Pace::default(), Instant::now());
        let asked = |account: &str, tokens: u64, at: u64| {
            let turn = pace.place(account, &provider, tokens, begun + Duration::from_secs(at)).expect("a limit");
            turn.duration_since(begun).as_secs()
        };
        assert_eq!(asked("a", 200, 0), 0, "nothing was asked before");
        assert_eq!(asked("a", 200, 0), 2);
        // It took three times as many as it counted with: the next waits for these, too.
        pace.took("a", &provider, 200, 600);
        assert_eq!(asked("a", 100, 1), 8);
        // This one took none: it was refused.
        pace.took("a", &provider, 100, 0);
        assert_eq!(asked("a", 100, 1), 8);
        assert_eq!(asked("a", 100, 20), 20, "what was not used is not saved up");
        assert_eq!(asked("b", 100, 3), 3, "another account");
        let free = Provider { tokens_per_s: None, ..provider.clone() };
        assert!(pace.place("a", &free, 100, begun).is_none());
    }

    #[tokio::test]
    async fn of_those_who_wait_the_longest_way_goes_first() {
        let provider = Provider { tokens_per_s: Some(dec!(500)), ..provider(None) };
        let (pace, order) = (Pace::default(), RefCell::new(Vec::new()));
        let call = |name: &'static str, behind: Decimal| {
            let (pace, provider, order) = (&pace, &provider, &order);
            async move {
                let rank = Rank { behind: std::cmp::Reverse(behind), ..Rank::default() };
                pace.turn("a", (provider, 100), &rank, &|| None).await;
                order.borrow_mut().push(name);
            }
        };
        // The first goes at once; one that comes when the others already wait passes them.
        let late = async {
            tokio::task::yield_now().await;
            call("late and long", dec!(9)).await;
        };
        tokio::join!(
            call("first", dec!(1)),
            call("short", dec!(2)),
            call("short too", dec!(2)),
            call("long", dec!(5)),
            late
        );
        assert_eq!(*order.borrow(), ["first", "late and long", "long", "short", "short too"]);
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
