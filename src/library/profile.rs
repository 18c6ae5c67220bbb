//! Profile CSV → profile: figures by knobs, task, device and units, each with its interval, conditions and evidence.

pub mod date;
pub mod figure;
pub mod late;
pub mod pool;
pub mod table;

pub use figure::{Condition, Figure, Pace};

use super::roofline::estimates::Estimates;
use ecow::{EcoString, eco_format};
use rust_decimal::Decimal;
use std::collections::BTreeMap;

/// The figures of one implementation.
#[derive(Clone, Debug, Default)]
pub struct Profile {
    /// Rows by figure name.
    figures: BTreeMap<EcoString, Rows>,
    /// The knobs that have a column.
    pub knobs: Vec<EcoString>,
    /// What is estimated where no row fits.
    pub estimates: Option<Estimates>,
    /// Settings whose times were measured, with this profile at their pace.
    paced: Vec<(Paced, Box<Profile>)>,
}

/// The settings that a measured pace is for.
#[derive(Clone, Debug)]
pub struct Paced {
    /// Knobs and their values; any value of the others.
    pub knobs: Vec<(EcoString, EcoString)>,
    /// The device.
    pub device: EcoString,
    /// How many.
    pub units: u32,
}

impl Paced {
    fn is_of(&self, setting: &Setting) -> bool {
        self.device == setting.device
            && self.units == setting.units
            && self.knobs.iter().all(|knob| setting.knobs.contains(knob))
    }
}

/// Places of rows by what they are found by.
type Places = BTreeMap<Vec<EcoString>, Vec<usize>>;

/// The rows of a figure, in the order of the files.
#[derive(Clone, Debug, Default)]
struct Rows {
    rows: Vec<Row>,
    /// The places of rows, by which columns they fill and then by what with; the highest rank first, and then those that fill most columns.
    index: Vec<(Filled, Places)>,
}

/// A row of a profile, as its entry asks for it.
#[derive(Clone, Debug)]
pub struct Row {
    /// That of its table: rows of a higher rank stand before all of a lower one.
    rank: u8,
    /// By knob; `None` for any value.
    knobs: Vec<Option<EcoString>>,
    /// The tasks that it is for; `None` for all.
    tasks: Option<Vec<EcoString>>,
    /// Whether the row names its task itself.
    of_task: bool,
    device: Option<EcoString>,
    units: Option<u32>,
    /// Whether it holds the reading of the prompt.
    reads_prompt: bool,
    /// Its figure.
    pub figure: Figure,
}

/// The columns that a row fills.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Filled {
    rank: u8,
    knobs: Vec<bool>,
    task: bool,
    benchmark: bool,
    device: bool,
    units: bool,
}

impl Filled {
    /// How many: the more, the more specific is the row.
    fn count(&self) -> usize {
        let others = [self.task, self.benchmark, self.device, self.units];
        self.knobs.iter().chain(&others).filter(|filled| **filled).count()
    }

    /// What stands before what: the rank, then how specific it is.
    fn order(&self) -> (u8, usize) {
        (self.rank, self.count())
    }
}

impl Row {
    /// Whether a task may ask for it.
    pub fn is_for(&self, task: &str) -> bool {
        self.tasks.as_ref().is_none_or(|tasks| tasks.iter().any(|t| t == task))
    }

    /// Whether it says which device it is for.
    pub fn is_of_a_device(&self) -> bool {
        self.device.is_some()
    }

    fn filled(&self) -> Filled {
        Filled {
            rank: self.rank,
            knobs: self.knobs.iter().map(Option::is_some).collect(),
            task: self.of_task,
            benchmark: self.figure.benchmark.is_some(),
            device: self.device.is_some(),
            units: self.units.is_some(),
        }
    }

    /// All that it is for.
    fn key(&self) -> Vec<Option<EcoString>> {
        let tasks = self.tasks.as_ref().map(|t| t.join(",").into());
        let units = self.units.map(|u| eco_format!("{u}"));
        self.knobs.iter().cloned().chain([tasks, self.device.clone(), units]).collect()
    }

    /// What it is found by: what its columns are filled with, once for each of its tasks.
    fn keys(&self) -> Vec<Vec<EcoString>> {
        let tasks: Vec<Option<&EcoString>> = match &self.tasks {
            None => vec![None],
            Some(tasks) => tasks.iter().map(Some).collect(),
        };
        let units = self.units.map(|u| eco_format!("{u}"));
        let key = |task| self.knobs.iter().flatten().chain(task).chain(&self.device).chain(&units).cloned().collect();
        tasks.into_iter().map(key).collect()
    }

    /// Whether some setting may ask for both.
    fn may_meet(&self, other: &Row) -> bool {
        let meets = |a: &Option<EcoString>, b: &Option<EcoString>| a.is_none() || b.is_none() || a == b;
        let tasks = match (&self.tasks, &other.tasks) {
            (Some(a), Some(b)) => a.iter().any(|t| b.contains(t)),
            _ => true,
        };
        let units = self.units.is_none() || other.units.is_none() || self.units == other.units;
        self.knobs.iter().zip(&other.knobs).all(|(a, b)| meets(a, b))
            && meets(&self.device, &other.device)
            && tasks
            && units
            && self.rank == other.rank
    }
}

/// Whether a figure is a call's time, or a part of it.
fn is_time(name: &str) -> bool {
    name == "latency" || name.starts_with("latency.")
}

/// What a figure is asked for.
#[derive(Clone, Copy)]
pub struct Setting<'a> {
    /// The task.
    pub task: &'a str,
    /// The value of each knob.
    pub knobs: &'a [(EcoString, EcoString)],
    /// The device.
    pub device: &'a str,
    /// How many.
    pub units: u32,
    /// The work of a call, by dimension; empty where it is not known yet.
    pub work: &'a [(EcoString, Decimal)],
    /// Whose figure is asked for, where several say one; the first that fits where this is `None` or says nothing of it.
    pub by: Option<&'a str>,
}

impl Figure {
    /// The first amount of work that the figure is not for.
    pub fn outside<'a>(&'a self, work: &[(EcoString, Decimal)]) -> Option<(&'a Condition, Decimal)> {
        let amount = |c: &Condition| work.iter().find(|(n, _)| *n == c.work).map(|(_, amount)| *amount);
        self.conditions.iter().find_map(|c| amount(c).filter(|a| c.beyond(*a) > Decimal::ZERO).map(|a| (c, a)))
    }

    /// How far work lies outside of what the figure is for, over all dimensions.
    fn beyond(&self, work: &[(EcoString, Decimal)]) -> Decimal {
        let of = |c: &Condition| work.iter().find(|(n, _)| *n == c.work).map_or(Decimal::ZERO, |(_, a)| c.beyond(*a));
        self.conditions.iter().map(of).fold(Decimal::ZERO, Decimal::saturating_add)
    }
}

impl Profile {
    fn new(knobs: Vec<EcoString>) -> Profile {
        Profile { knobs, ..Profile::default() }
    }

    /// The same with what is estimated where no row fits.
    pub fn estimated(self, estimates: Option<Estimates>) -> Profile {
        Profile { estimates, ..self }
    }

    fn push(&mut self, name: EcoString, row: Row) {
        let filled = row.filled();
        let rows = self.figures.entry(name).or_default();
        let place = rows.rows.len();
        let level = rows.index.iter().position(|(have, _)| *have == filled).unwrap_or_else(|| {
            // Stable among equals, so that the order of the file decides nothing else.
            let at = rows.index.partition_point(|(have, _)| have.order() >= filled.order());
            rows.index.insert(at, (filled.clone(), BTreeMap::new()));
            at
        });
        for key in row.keys() {
            rows.index[level].1.entry(key).or_default().push(place);
        }
        rows.rows.push(row);
    }

    /// The rows of a figure that are for the same setting as a row, whatever their conditions.
    fn twins<'a>(&'a self, name: &str, row: &Row) -> impl Iterator<Item = &'a Row> {
        let of = self.figures.get(name);
        let filled = row.filled();
        let places = of.and_then(|of| of.index.iter().find(|(have, _)| *have == filled)).map(|(_, places)| places);
        let key = row.keys().into_iter().next();
        let places = places.zip(key).and_then(|(places, key)| places.get(&key)).into_iter().flatten();
        places.filter_map(move |place| of.and_then(|of| of.rows.get(*place)))
    }

    /// The rows of a figure, in order.
    pub fn rows(&self, name: &str) -> &[Row] {
        self.figures.get(name).map_or(&[], |rows| &rows.rows)
    }

    /// The figure of the most specific row that fits.
    pub fn figure(&self, name: &str, setting: &Setting) -> Option<&Figure> {
        self.row(name, setting).map(|(_, figure)| figure)
    }

    /// The same, with the row's place among those of this figure. Of rows that are as specific as each other, the one whose
    /// conditions are nearest to the work, and then the last, is taken; measured profiles come before all others.
    ///
    /// What no row is there for is estimated, where an entry has estimates; their places come behind those of the rows.
    pub fn row(&self, name: &str, setting: &Setting) -> Option<(usize, &Figure)> {
        let mut paced = self.paced.iter().filter(|(paced, _)| is_time(name) && paced.is_of(setting));
        paced.next().map_or(self, |(_, profile)| &**profile).row_of(name, setting)
    }

    /// From now on, calls of some settings take so many times as long as this profile says.
    pub fn pace(&mut self, of: Paced, pace: &Pace) {
        let mut at_pace = Profile { paced: Vec::new(), ..self.clone() };
        for (_, rows) in at_pace.figures.iter_mut().filter(|(name, _)| is_time(name)) {
            rows.rows.iter_mut().for_each(|row| row.figure = row.figure.paced(pace));
        }
        at_pace.estimates = at_pace.estimates.map(|estimates| estimates.paced(pace.clone()));
        self.paced.push((of, Box::new(at_pace)));
    }

    fn row_of(&self, name: &str, setting: &Setting) -> Option<(usize, &Figure)> {
        let theirs = setting.by.and_then(|_| self.place(name, setting));
        let written = theirs.or_else(|| self.place(name, &Setting { by: None, ..*setting }));
        // The parts of a time belong together: what was measured anew is not added to parts that were figured out before, nor is
        // what was estimated for the reading of a prompt added to a time to first token that somebody gives.
        let is_part = name.starts_with("latency.");
        let whole = if is_part { self.place("latency", setting).map(|(rank, _)| rank) } else { None };
        if let Some((rank, place)) = written {
            return (rank >= whole.unwrap_or(0)).then(|| (place, &self.figures[name].rows[place].figure));
        }
        if whole.is_some_and(|rank| rank > 0 || name == "latency.per.input") {
            return None;
        }
        let (place, figure) = self.estimates.as_ref()?.figure(name, setting)?;
        Some((self.rows(name).len() + place, figure))
    }

    /// The most tokens that a call may read and write; `None` where nobody says it.
    pub fn context(&self, setting: &Setting) -> Option<Decimal> {
        let row = self.place("context", setting).map(|(_, place)| self.figures["context"].rows[place].figure.value);
        row.or_else(|| self.estimates.as_ref()?.context(setting).map(Decimal::from))
    }

    /// Why a setting that is not in the rows has no estimate, where it could have one.
    pub fn refusal(&self, setting: &Setting) -> Option<EcoString> {
        self.estimates.as_ref()?.refusal(setting)
    }

    /// The rank and the place of the row.
    fn place(&self, name: &str, setting: &Setting) -> Option<(u8, usize)> {
        let of = self.figures.get(name)?;
        let mut best: Option<((u8, usize), Decimal, usize)> = None;
        for (filled, places) in &of.index {
            if best.is_some_and(|(order, ..)| order > filled.order()) {
                break;
            }
            let Some(key) = self.key(filled, setting) else { continue };
            for place in places.get(&key).into_iter().flatten() {
                if setting.by.is_some_and(|by| by != of.rows[*place].figure.by()) {
                    continue;
                }
                let beyond = of.rows[*place].figure.beyond(setting.work);
                let better = best.is_none_or(|(_, least, last)| beyond < least || (beyond == least && *place > last));
                if better {
                    best = Some((filled.order(), beyond, *place));
                }
            }
        }
        best.map(|((rank, _), _, place)| (rank, place))
    }

    /// What a row that fills these columns must be filled with.
    fn key(&self, filled: &Filled, setting: &Setting) -> Option<Vec<EcoString>> {
        let mut key = Vec::with_capacity(filled.count());
        for (knob, _) in self.knobs.iter().zip(&filled.knobs).filter(|(_, filled)| **filled) {
            key.push(setting.knobs.iter().find(|(n, _)| n == knob)?.1.clone());
        }
        if filled.task || filled.benchmark {
            key.push(setting.task.into());
        }
        if filled.device {
            key.push(setting.device.into());
        }
        if filled.units {
            key.push(eco_format!("{}", setting.units));
        }
        Some(key)
    }

    /// The knobs, device, units and conditions that a row of a figure is for, in words; empty for all.
    pub fn setting(&self, name: &str, row: usize) -> String {
        let Some(row) = self.rows(name).get(row) else {
            let place = row.saturating_sub(self.rows(name).len());
            return self.estimates.as_ref().map_or_else(String::new, |e| e.describe(name, place));
        };
        let knobs = self.knobs.iter().zip(&row.knobs).filter_map(|(n, v)| Some(format!("{n} {}", v.as_ref()?)));
        let units = row.units.map(|units| format!("* {units}"));
        let task = row.tasks.as_ref().filter(|_| row.of_task).map(|t| format!("for {}", t.join(", ")));
        let conditions = row.figure.conditions.iter().map(|c| c.to_string());
        let all = knobs.chain(row.device.iter().map(|d| d.to_string())).chain(units).chain(task).chain(conditions);
        all.collect::<Vec<_>>().join(", ")
    }

    /// The names of its figures.
    pub fn names(&self) -> impl Iterator<Item = &EcoString> {
        self.figures.keys()
    }
}
