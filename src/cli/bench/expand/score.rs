//! First choices on a corpus → how many are right, and how many are warned of.

use crate::expand::search::DOUBTFUL;
use std::fmt::Write;
use std::time::Duration;

/// What came of a case.
pub struct Posed {
    pub right: bool,
    pub held_out: bool,
    /// Whether nothing in the library does what is wanted.
    pub beyond: bool,
    /// The share of the goal's words that speak for the first choice, where there is one.
    pub told: Option<f64>,
    pub took: Duration,
}

/// What came of all cases.
#[derive(Default)]
pub struct Score {
    posed: Vec<Counted>,
    slowest: Duration,
    total: Duration,
}

/// What of a case is counted.
struct Counted {
    right: bool,
    held_out: bool,
    beyond: bool,
    told: Option<f64>,
}

/// So many of so many.
struct Share(usize, usize);

impl std::fmt::Display for Share {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of {}", self.0, self.1)
    }
}

impl Score {
    /// Counts a case.
    pub fn add(&mut self, posed: &Posed) {
        let Posed { right, held_out, beyond, told, took } = *posed;
        self.posed.push(Counted { right, held_out, beyond, told });
        (self.slowest, self.total) = (self.slowest.max(took), self.total + took);
    }

    fn share(&self, of: impl Fn(&Counted) -> bool, which: impl Fn(&Counted) -> bool) -> Share {
        let of: Vec<&Counted> = self.posed.iter().filter(|p| of(p)).collect();
        Share(of.iter().filter(|p| which(p)).count(), of.len())
    }

    /// For people.
    pub fn text(&self, who: &str) -> String {
        let half = |held_out: bool| {
            let share = self.share(|p| !p.beyond && p.held_out == held_out, |p| p.right);
            format!("{share} ({:.1} %)", 100.0 * share.0 as f64 / share.1.max(1) as f64)
        };
        let warned = |right: bool| self.warned(DOUBTFUL, |p| p.right == right);
        let ms = |d: Duration| d.as_secs_f64() * 1e3;
        format!(
            "{who}, first choices that are right\n  tuned on   {}\n  held out   {}\n  warned of  {} that are right, {} that are wrong\n  {:.1} ms a goal, {:.1} ms the slowest\n",
            half(false),
            half(true),
            warned(true),
            warned(false),
            ms(self.total) / self.posed.len().max(1) as f64,
            ms(self.slowest),
        )
    }

    /// Of first choices, those of whose goals less than a share of the words speak for them.
    fn warned(&self, least: f64, of: impl Fn(&Counted) -> bool) -> Share {
        self.share(|p| p.told.is_some() && of(p), |p| p.told.is_some_and(|told| told < least))
    }

    /// How many are warned of below which share of the words, for choosing it on one half and seeing what it does on the other.
    pub fn doubts(&self) -> String {
        let mut out = String::from(
            "warned of below a share of the goal's words\n           tuned on                   held out\n           right        wrong         right        wrong\n",
        );
        for percent in (5..=50).step_by(5) {
            let warned = |right: bool, held_out: bool| {
                let all = self.warned(f64::from(percent) / 100.0, |p| p.right == right && p.held_out == held_out);
                all.to_string()
            };
            let _ = writeln!(
                out,
                "  {percent:>4} %   {:<13}{:<14}{:<13}{}",
                warned(true, false),
                warned(false, false),
                warned(true, true),
                warned(false, true)
            );
        }
        out
    }
}
