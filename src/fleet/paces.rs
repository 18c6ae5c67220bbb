//! Times that a service measured of its calls → the library with them, for the next plan.

use super::instance::Instance;
use crate::library::Library;
use crate::library::profile::{Pace, Paced};
use ecow::eco_format;
use rust_decimal::{Decimal, dec};
use serde::{Deserialize, Serialize};

/// A pace that differs from the profile's by less than this is the profile's.
const SAME: Decimal = dec!(0.05);
/// Digits of a pace behind the point.
const DIGITS: u32 = 3;

/// How long calls of an instance take against what its profile says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measured {
    /// Which instance.
    pub instance: Instance,
    /// How many times as long.
    pub times: Decimal,
    /// Over how many calls.
    pub calls: u64,
}

/// The paces that plans are made with; instances that are not named take as long as their profiles say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Paces(Vec<Measured>);

impl Paces {
    /// Whether there are any.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many times as long as its profile says calls of an instance take.
    pub fn of(&self, instance: &Instance) -> Decimal {
        self.0.iter().find(|known| known.instance == *instance).map_or(Decimal::ONE, |known| known.times)
    }

    /// The same once calls of an instance were seen to take so many times as long as a plan that was made with these.
    pub fn seen(&self, instance: &Instance, times: Decimal, calls: u64) -> Paces {
        let times = self.of(instance).saturating_mul(times).round_dp(DIGITS).normalize();
        let others = self.0.iter().filter(|known| known.instance != *instance).cloned();
        let differs = times > Decimal::ZERO && (times - Decimal::ONE).abs() >= SAME;
        let own = differs.then(|| Measured { instance: instance.clone(), times, calls });
        let mut all: Vec<Measured> = others.chain(own).collect();
        all.sort_by(|a, b| a.instance.cmp(&b.instance));
        Paces(all)
    }

    /// A library whose figures are those that were measured, where there are such.
    pub fn with(&self, library: &Library) -> Library {
        let mut library = library.clone();
        for Measured { instance, times, calls } in &self.0 {
            let Some(entry) = library.implementations.get_mut(instance.implementation.as_str()) else { continue };
            let knobs = instance.knobs.iter().map(|(name, value)| (name.as_str().into(), value.as_str().into()));
            let of = Paced { knobs: knobs.collect(), device: instance.device.as_str().into(), units: instance.units };
            let source = eco_format!("{calls} calls of this service");
            entry.profile.change(|profile| profile.pace(of, &Pace { times: *times, source }));
        }
        library
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn instance(units: u32) -> Instance {
        Instance { implementation: "t".into(), knobs: BTreeMap::new(), device: "cpu".into(), units }
    }

    #[test]
    fn paces_multiply_and_go_where_calls_are_as_their_profile_says() {
        let once = Paces::default().seen(&instance(1), dec!(2.5), 20).seen(&instance(2), dec!(0.5), 30);
        assert_eq!(
            (once.of(&instance(1)), once.of(&instance(2)), once.of(&instance(3))),
            (dec!(2.5), dec!(0.5), dec!(1))
        );
        let twice = once.seen(&instance(1), dec!(2), 20);
        assert_eq!(twice.of(&instance(1)), dec!(5));
        let back = twice.seen(&instance(1), dec!(0.201), 20);
        assert_eq!((back.of(&instance(1)), back.0.len()), (dec!(1), 1));
        let kept: Paces = serde_json::from_str(&serde_json::to_string(&once).expect("JSON")).expect("paces");
        assert_eq!(kept, once);
    }
}
