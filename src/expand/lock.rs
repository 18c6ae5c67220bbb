//! The lock file: which fill each hole has, who filled it, and what it depends on. TOML, for people to review.

use super::current::{calls, signature};
use crate::check::program::{Hole, Job};
use crate::library::Library;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The version of the lock file's format.
pub const LOCK_VERSION: u32 = 1;

/// A lock file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    /// [`LOCK_VERSION`].
    pub version: u32,
    /// One entry a hole, in the order of the source.
    #[serde(default, rename = "hole")]
    pub holes: Vec<Entry>,
}

impl Default for Lock {
    fn default() -> Lock {
        Lock { version: LOCK_VERSION, holes: Vec::new() }
    }
}

/// The fill of a hole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// The job.
    pub job: String,
    /// The hole: what its value is called, or `result`.
    pub hole: String,
    /// Its type.
    pub wants: String,
    /// What is wanted, in words.
    pub goal: String,
    /// Digest of the type, the goal and the scope.
    pub signature: String,
    /// Who filled it.
    pub filled_by: String,
    /// Why this fill.
    pub because: String,
    /// The model that was asked, what it was asked, and when, where a model filled it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub planner: Option<Planner>,
    /// What the solver said of it then, where machines were known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predicted: Option<Foreseen>,
    /// Whether people took it in place of another.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub accepted: bool,
    /// Its number among the fills that people choose from: they keep the numbers under which they were shown first.
    #[serde(default = "first", skip_serializing_if = "is_first")]
    pub number: usize,
    /// The fill, in the language: statements and a value.
    pub fill: String,
    /// The tasks that it names, each with the digest of what it was declared to do.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub calls: BTreeMap<String, String>,
    /// The other fills that there were, and those that were refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rejected: Vec<Rejected>,
}

/// The figures of the best plan with a fill, rounded to three digits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Foreseen {
    /// The cluster.
    pub on: String,
    /// Dollars of a run.
    pub cost_usd: String,
    /// Seconds of a run.
    pub latency_s: String,
    /// Quality, in percent.
    pub quality: String,
}

impl Foreseen {
    /// The figures of a plan on a cluster: dollars, seconds, quality from 0 to 1.
    pub fn of(on: &str, cost_usd: Decimal, latency_s: Decimal, quality: Decimal) -> Foreseen {
        let rounded = |d: Decimal| d.round_sf(3).unwrap_or_default().normalize().to_string();
        Foreseen {
            on: on.to_string(),
            cost_usd: rounded(cost_usd),
            latency_s: rounded(latency_s),
            quality: rounded(quality * Decimal::ONE_HUNDRED),
        }
    }
}

impl std::fmt::Display for Foreseen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "${}, {} s, quality {} %", self.cost_usd, self.latency_s, self.quality)
    }
}

/// Where a model's fill comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Planner {
    /// The model.
    pub model: String,
    /// SHA-256 of the prompt.
    pub prompt: String,
    /// The day, `2026-01-31`.
    pub date: String,
}

/// A fill that was not taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rejected {
    /// Who made it.
    pub filled_by: String,
    /// Why it was not taken.
    pub because: String,
    /// Whether it checks, so that people can take it.
    #[serde(default)]
    pub usable: bool,
    /// What the solver said of it, where machines were known and there is a plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predicted: Option<Foreseen>,
    /// The fill, where it could be written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fill: Option<String>,
}

impl Entry {
    /// A fill of a hole, with nothing said of why.
    pub fn plain(job: &Job, hole: &Hole, library: &Library, fill: &str, filled_by: &str) -> Entry {
        Entry {
            job: job.name.to_string(),
            hole: hole.name.to_string(),
            wants: hole.ty.to_string(),
            goal: hole.goal.to_string(),
            signature: signature(hole, job),
            filled_by: filled_by.to_string(),
            because: String::new(),
            planner: None,
            predicted: None,
            accepted: false,
            number: first(),
            fill: fill.to_string(),
            calls: calls(fill, library),
            rejected: Vec::new(),
        }
    }

    /// The fills that people can choose from, by number from 1: the usable others in their order, and the one that is taken in its place.
    pub fn choices(&self) -> impl Iterator<Item = (usize, Rejected)> + '_ {
        let taken = Rejected {
            filled_by: self.filled_by.clone(),
            because: self.because.clone(),
            usable: true,
            predicted: self.predicted.clone(),
            fill: Some(self.fill.clone()),
        };
        let mut all: Vec<Rejected> = self.rejected.iter().filter(|r| r.can_be_taken()).cloned().collect();
        all.insert(self.place(), taken);
        all.into_iter().enumerate().map(|(i, choice)| (i + 1, choice))
    }

    /// How many choices stand before the one that is taken; a lock may have been edited by hand.
    fn place(&self) -> usize {
        self.number.saturating_sub(1).min(self.rejected.iter().filter(|r| r.can_be_taken()).count())
    }

    /// Whether a choice is the one that is taken.
    pub fn takes(&self, n: usize) -> bool {
        n == self.place() + 1
    }

    /// Takes the N-th choice; what was taken before becomes one of the others, under its number.
    pub fn accept(&mut self, n: usize, library: &Library) -> Result<(), String> {
        let mut all: Vec<Rejected> = self.choices().map(|(_, choice)| choice).collect();
        if n == 0 || n > all.len() {
            let count = all.len();
            return Err(format!("`{}.{}` has fills 1 to {count} in the lock file, and no {n}", self.job, self.hole));
        }
        self.accepted = true;
        if self.takes(n) {
            return Ok(());
        }
        let Rejected { filled_by, because, predicted, fill, .. } = all.remove(n - 1);
        self.number = n;
        (self.filled_by, self.because, self.predicted) = (filled_by, because, predicted);
        self.fill = fill.unwrap_or_default();
        self.calls = calls(&self.fill, library);
        let refused = self.rejected.drain(..).filter(|r| !r.can_be_taken());
        all.extend(refused);
        self.rejected = all;
        Ok(())
    }
}

impl Rejected {
    fn can_be_taken(&self) -> bool {
        self.usable && self.fill.is_some()
    }
}

fn first() -> usize {
    1
}

fn is_first(number: &usize) -> bool {
    *number == first()
}

impl Lock {
    /// The entry of a hole.
    pub fn find(&self, job: &str, hole: &str) -> Option<&Entry> {
        self.holes.iter().find(|e| e.job == job && e.hole == hole)
    }

    /// Puts an entry in, in the place of the hole's earlier one.
    pub fn put(&mut self, entry: Entry) {
        match self.holes.iter_mut().find(|e| e.job == entry.job && e.hole == entry.hole) {
            Some(place) => *place = entry,
            None => self.holes.push(entry),
        }
    }

    /// Reads a lock file.
    pub fn read(text: &str) -> Result<Lock, String> {
        let lock: Lock = toml::from_str(text).map_err(|e| e.message().to_string())?;
        if lock.version != LOCK_VERSION {
            return Err(format!("it has version {}, and this mkbc reads version {LOCK_VERSION}", lock.version));
        }
        let mut seen = std::collections::BTreeSet::new();
        if let Some(entry) = lock.holes.iter().find(|entry| !seen.insert((&entry.job, &entry.hole))) {
            return Err(format!("it has two entries for `{}.{}`", entry.job, entry.hole));
        }
        Ok(lock)
    }

    /// Writes a lock file; the same lock gives the same bytes.
    pub fn write(&self) -> Result<String, String> {
        let text = toml::to_string_pretty(self).map_err(|e| e.to_string())?;
        Ok(format!(
            "# The fills of this job's holes. Review it, commit it; `mkbc expand --refresh` makes it anew.\n{text}"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_reads_what_it_writes() {
        let of = |figure: &str| figure.to_string();
        let foreseen = |cost: &str| Foreseen { on: of("c"), cost_usd: of(cost), latency_s: of("1"), quality: of("90") };
        let entry = Entry {
            job: "j".into(),
            hole: "result".into(),
            wants: "Text".into(),
            goal: "say \"hi\"".into(),
            signature: "00".into(),
            filled_by: "typed search".into(),
            because: "it is the only one".into(),
            planner: Some(Planner { model: "m".into(), prompt: "00".into(), date: "2026-01-31".into() }),
            predicted: Some(foreseen("1")),
            accepted: true,
            number: 1,
            fill: "let a = f(x)\ng(a)\n".into(),
            calls: [("f".into(), "00".into())].into(),
            rejected: vec![Rejected {
                filled_by: "m".into(),
                because: "b".into(),
                usable: true,
                predicted: Some(foreseen("2")),
                fill: Some("h(x)\n".into()),
            }],
        };
        let lock = Lock { holes: vec![entry], ..Lock::default() };
        assert_eq!(Lock::read(&lock.write().expect("writes")), Ok(lock.clone()));
        assert!(Lock::read("version = 2").is_err());
        let mut entry = lock.holes[0].clone();
        assert!(entry.accept(3, &Library::default()).is_err());
        assert_eq!(entry.accept(2, &Library::default()), Ok(()));
        assert_eq!((entry.fill.as_str(), entry.filled_by.as_str()), ("h(x)\n", "m"));
        assert_eq!(entry.predicted, Some(foreseen("2")));
        // The numbers stay: the same one twice is the same fill.
        let (taken, shown) = (entry.clone(), |entry: &Entry| entry.choices().collect::<Vec<_>>());
        assert_eq!(shown(&taken), shown(&lock.holes[0]));
        assert_eq!(entry.accept(2, &Library::default()), Ok(()));
        assert_eq!(entry, taken);
        assert_eq!(entry.accept(1, &Library::default()), Ok(()));
        let before = &lock.holes[0];
        assert_eq!((entry.number, &entry.fill, &entry.rejected), (1, &before.fill, &before.rejected));
        let twice = Lock { holes: vec![entry.clone(), entry], ..Lock::default() };
        assert!(
            Lock::read(&twice.write().expect("writes")).is_err_and(|why| why.contains("two entries for `j.result`"))
        );
    }
}
