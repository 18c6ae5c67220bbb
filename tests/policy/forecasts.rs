//! Forecasts: what holds of every history, and who wins on which.

use murakkab::adapt::forecast::{Forecast, Forecasting, Method, forecast};
use proptest::prelude::*;

fn hours() -> Forecasting {
    Forecasting { periods: vec![24], ..Forecasting::default() }
}

fn of(history: &[f64]) -> Forecast {
    forecast(history, &hours()).expect("a forecast")
}

/// Pseudorandom numbers from 0 to 1, the same ones every time.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// So many hours of a load that doubles by day, each within 5 % of its curve.
fn days(hours: usize, noise: &mut Noise) -> Vec<f64> {
    let at = |hour: usize| 30.0 - 10.0 * (hour as f64 / 24.0 * std::f64::consts::TAU).cos();
    (0..hours).map(|hour| at(hour) * (0.95 + 0.1 * noise.next())).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_constant_load_is_forecast_exactly(rate in 0.0..1e6f64, epochs in 1usize..120) {
        let made = of(&vec![rate; epochs]);
        prop_assert_eq!((made.expected, made.provision, made.headroom), (rate, rate, 1.0));
    }

    #[test]
    fn forecasts_stay_within_what_was_seen(
        history in proptest::collection::vec(prop_oneof![4 => 0.0..1e3f64, 1 => Just(0.0)], 1..150),
        ahead in 1usize..4,
    ) {
        let made = forecast(&history, &Forecasting { ahead, ..hours() }).expect("a forecast");
        let (least, most) = history.iter().fold((f64::MAX, 0.0f64), |(l, m), r| (l.min(*r), m.max(*r)));
        prop_assert!(made.expected >= least && made.expected <= most, "{made:?}");
        prop_assert!(made.headroom >= 1.0 && made.headroom.is_finite(), "{made:?}");
        prop_assert!(made.provision >= made.expected && made.provision <= most * made.headroom, "{made:?}");
        prop_assert!(made.error >= 0.0 && made.error.is_finite(), "{made:?}");
    }

    #[test]
    fn twice_the_load_is_twice_the_forecast(history in proptest::collection::vec(0.0..1e3f64, 1..150), twos in -8i32..9) {
        // Powers of two, so that no rounding decides between two methods that are equally good.
        let times = 2.0f64.powi(twos);
        let scaled: Vec<f64> = history.iter().map(|rate| rate * times).collect();
        let (one, other) = (of(&history), of(&scaled));
        prop_assert_eq!(other.method, one.method);
        prop_assert_eq!((other.expected, other.provision), (one.expected * times, one.provision * times));
        prop_assert_eq!((other.headroom, other.error), (one.headroom, one.error));
    }

    #[test]
    fn nothing_that_can_be_measured_breaks_it(
        history in proptest::collection::vec(prop_oneof![any::<f64>(), Just(f64::NAN), Just(f64::INFINITY)], 0..80),
        ahead in 0usize..100,
        period in 0usize..100,
        within in any::<f64>(),
    ) {
        if let Some(made) = forecast(&history, &Forecasting { ahead, periods: vec![period], within }) {
            prop_assert!(made.provision.is_finite() && made.provision >= 0.0, "{made:?}");
            prop_assert!(!made.rate().is_sign_negative() && !made.to_string().is_empty());
        }
    }
}

#[test]
fn a_day_is_seen_in_a_daily_load() {
    let made = of(&days(24 * 7, &mut Noise(1)));
    assert!(matches!(made.method, Method::Seasonal { period: 24, .. }), "{made}");
    let (_, smoothed) = made.other.expect("another method");
    assert!(made.error < 0.05 && smoothed > 1.5 * made.error, "{made}");
}

#[test]
fn a_period_that_nobody_named_is_found() {
    let noise = &mut Noise(2);
    let every_ten = |epoch: usize| if epoch % 10 < 3 { 40.0 } else { 10.0 };
    let history: Vec<f64> = (0..100).map(|epoch| every_ten(epoch) * (0.95 + 0.1 * noise.next())).collect();
    let made = of(&history);
    assert!(matches!(made.method, Method::Seasonal { period: 10, .. }), "{made}");
}

#[test]
fn no_season_is_seen_in_a_random_walk() {
    for seed in 0..20 {
        let noise = &mut Noise(seed);
        let mut rate = 100.0f64;
        let walk: Vec<f64> = (0..24 * 7)
            .map(|_| {
                rate = (rate * (0.9 + 0.2 * noise.next())).max(1.0);
                rate
            })
            .collect();
        let made = of(&walk);
        assert!(matches!(made.method, Method::Smoothed { level } if level >= 0.8), "seed {seed}: {made}");
    }
}

#[test]
fn what_is_provisioned_is_enough_as_often_as_asked() {
    let noise = &mut Noise(3);
    let load = days(24 * 21, noise);
    let mut enough = 0;
    let tested = 24 * 14;
    for epoch in 24 * 7..24 * 21 {
        enough += usize::from(of(&load[..epoch]).provision >= load[epoch]);
    }
    // 95 % are asked for; of 336 epochs, a share of 91 % would be three standard deviations off.
    assert!(enough * 100 >= 91 * tested, "{enough} of {tested}");
}

#[test]
fn with_little_history_the_highest_rate_counts_and_that_is_said() {
    assert_eq!(forecast(&[], &hours()), None);
    let made = of(&[3.0, 5.0, 4.0]);
    assert_eq!((made.method, made.provision, made.tested), (Method::Highest, 5.0, 0));
    assert_eq!(
        made.to_string(),
        "5 runs/s expected, 5 to provision for: the highest so far, too few epochs for a test"
    );
    assert_eq!(of(&[0.1; 3]).rate(), rust_decimal::dec!(0.1));
}

#[test]
fn an_error_that_no_decimal_holds_is_said_as_the_most_that_counts() {
    let mut history = vec![0.0; 30];
    (history[4], history[14]) = (5.8e183, 9.7e-20);
    assert!(!of(&history).to_string().is_empty());
}

#[test]
fn a_forecast_says_how_it_was_made() {
    let history: Vec<f64> = (0..72).map(|hour| if hour % 24 < 12 { 10.0 } else { 30.0 }).collect();
    let said = of(&history).to_string();
    assert_eq!(
        said,
        "10 runs/s expected, 10 to provision for (headroom 0 %): seasonal over 24 epochs (level 0, offsets 0.2), off by 0 % over \
         36 epochs; as in the last epoch: 7.1 %"
    );
}
