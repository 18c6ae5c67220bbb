//! `cache on`, `cache off`, `cache 24 h`, `cache weekly`: whether results of other runs are taken over, and how old they may be.

use super::program::Reuse;
use super::{errors, quantity};
use crate::diag::{Diagnostics, nearest};
use crate::library::declare::text_of;
use crate::syntax::ast::{Atom, AtomKind};
use crate::units::Dimension;
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

const HOUR_MS: u64 = 3_600_000;

/// What may stand behind `cache` beside a time, with what it means to people.
pub const WORDS: [(&str, Reuse, &str); 5] = [
    ("on", Reuse::On, "Results of other runs are taken over, whatever their age."),
    ("off", Reuse::Off, "No result of another run is taken over, and none is kept."),
    ("hourly", Reuse::For(HOUR_MS), "Results of other runs are taken over for an hour, as `1 h` says it."),
    ("daily", Reuse::For(24 * HOUR_MS), "Results of other runs are taken over for a day, as `24 h` says it."),
    ("weekly", Reuse::For(168 * HOUR_MS), "Results of other runs are taken over for a week, as `168 h` says it."),
];

/// Reads what stands behind `cache`; reports what means nothing there.
pub fn reuse(how: &Atom, cx: &mut Diagnostics) -> Option<Reuse> {
    if let AtomKind::Quantity(time) = &how.kind {
        let seconds = quantity::of_dimension(time, Dimension::TIME, "how long results may be used", "24 h", cx)?;
        let Some(ms) = seconds.checked_mul(Decimal::ONE_THOUSAND).and_then(|ms| ms.floor().to_u64()) else {
            cx.push(errors::number_too_long(how.span));
            return None;
        };
        if ms == 0 {
            cx.push(errors::no_age(how.span));
            return None;
        }
        return Some(Reuse::For(ms));
    }
    let word = text_of(how).filter(|_| matches!(how.kind, AtomKind::Word(_))).unwrap_or_default();
    let known = WORDS.iter().find(|(name, ..)| *name == word);
    if known.is_none() {
        cx.push(errors::unknown_reuse(how.span, nearest(&word, WORDS.iter().map(|(name, ..)| *name))));
    }
    known.map(|(_, reuse, _)| *reuse)
}
