//! Tables + the entry that they are for → its profile: rows of all tables together, held against each other.

use super::table::{Line, RESERVED, Table};
use super::{Condition, Profile, Row};
use crate::diag::source::Span;
use crate::diag::{Diagnostics, nearest};
use crate::library::evidence::EvidenceKind;
use crate::library::size::SizeExpr;
use crate::library::{Concurrency, HardwareOption, Library, errors};
use ecow::EcoString;
use rust_decimal::Decimal;
use std::collections::{BTreeMap, BTreeSet};

/// The entry that a profile is for.
pub struct For<'a> {
    /// Its name.
    pub name: &'a str,
    /// The tasks that it carries out.
    pub tasks: &'a [EcoString],
    /// Its knobs.
    pub knobs: &'a [(EcoString, Vec<EcoString>)],
    /// Its own work, beside that of its tasks.
    pub work: &'a [(EcoString, SizeExpr)],
    /// What it runs on; nothing for a composition.
    pub hardware: &'a [HardwareOption],
    /// The knob that says how many calls are under way at once, where one does.
    pub concurrency: &'a Concurrency,
    /// The tasks and devices that there are.
    pub library: &'a Library,
}

/// Why an entry never asks for a row.
#[derive(Clone, Debug)]
pub struct Unasked {
    /// The cell.
    pub at: Span,
    /// What is wrong.
    pub message: String,
    /// What to write.
    pub wanted: String,
    /// Whether it is for a value of a knob that the knob does not have.
    pub of_knob: bool,
}

impl Unasked {
    fn new(at: Span, message: String, wanted: String) -> Unasked {
        Unasked { at, message, wanted, of_knob: false }
    }
}

/// Says why an entry never asks for a row: only where it is reported, since tables that many entries share are full of rows for others.
pub type Why<'a> = Box<dyn Fn() -> Unasked + 'a>;

/// Told, by table and row, whether the entry may ask for it. A table may be for several entries, so that what one never asks for is not yet
/// a mistake.
pub type Told<'a> = &'a mut dyn FnMut(usize, usize, Option<Why>);

/// Pools the rows that an entry may ask for. What two rows contradict each other in is reported with both places.
///
/// Each table has a rank: where rows of a higher one fit, those of lower ones are not asked, however specific they are.
pub fn pool(tables: &[(&Table, u8)], entry: &For, told: Told, cx: &mut Diagnostics) -> Profile {
    let mut knobs: Vec<EcoString> = Vec::new();
    let work = work_of(entry);
    for (name, at) in tables.iter().flat_map(|(t, _)| &t.knobs) {
        // A column may say for how much work of any kind a row is.
        if !entry.knobs.iter().any(|(n, _)| n == name) && work.contains(name.as_str()) {
            continue;
        }
        if !entry.knobs.iter().any(|(n, _)| n == name) {
            let known = entry.knobs.iter().map(|(n, _)| n.as_str()).chain(RESERVED).chain(work.iter().copied());
            cx.push(errors::unknown_column(*at, name, entry.name, nearest(name, known)));
        } else if !knobs.contains(name) {
            knobs.push(name.clone());
        }
    }
    let mut profile = Profile::new(knobs);
    for (number, (table, rank)) in tables.iter().enumerate() {
        for (place, line) in table.rows.iter().enumerate() {
            if let Some((name, at)) = &line.device
                && name != "api"
                && !entry.library.devices.contains_key(name)
            {
                let near = nearest(name, entry.library.devices.keys().map(|k| k.as_str()).chain(["api"]));
                cx.push(errors::unknown_device(*at, name, near));
                continue;
            }
            if let Some((name, at)) = &line.task
                && !entry.library.tasks.contains_key(name)
            {
                let near = nearest(name, entry.library.tasks.keys().map(|k| k.as_str()));
                cx.push(errors::unknown_task(*at, name, near));
                continue;
            }
            let unasked = unasked(line, table, entry, &work);
            let asked = unasked.is_none();
            told(number, place, unasked);
            if !asked {
                continue;
            }
            let Some(mut row) = row(line, (table, *rank), &profile.knobs, entry, &work) else { continue };
            for ((name, _), cell) in table.knobs.iter().zip(&line.knobs) {
                let Some((text, at)) = cell.as_ref().filter(|_| !profile.knobs.contains(name)) else { continue };
                match Condition::parse(name, text) {
                    Some(condition) => row.figure.conditions.push(condition),
                    None if work.contains(name.as_str()) => {
                        let message = format!("`{text}` is no amount of `{name}`");
                        cx.push(errors::bad_figure(*at, message, "write `512` or `128..8192`"));
                    }
                    None => {}
                }
            }
            if let Some(first) = profile.twins(&line.name, &row).find(|twin| overlap(twin, &row)) {
                cx.push(errors::same_setting(row.figure.at, &line.name, first.figure.at));
                continue;
            }
            profile.push(line.name.clone(), row);
        }
    }
    rising(&profile, entry, cx);
    read_twice(&profile, cx);
    profile
}

/// Why an entry never asks for a line: no such work, knob value, task or hardware.
fn unasked<'a>(line: &'a Line, table: &'a Table, entry: &'a For, work: &'a BTreeSet<&str>) -> Option<Why<'a>> {
    let name = entry.name;
    for ((knob, _), cell) in table.knobs.iter().zip(&line.knobs) {
        let values = entry.knobs.iter().find(|(n, _)| n == knob).map(|(_, values)| values);
        if let (Some(values), Some((value, at))) = (values, cell)
            && !values.contains(value)
        {
            return Some(Box::new(move || {
                let message = format!("the knob `{knob}` of `{name}` is never `{value}`");
                let wanted = one_of(value, values.iter().map(|v| v.as_str()));
                Unasked { at: *at, message, wanted, of_knob: true }
            }));
        }
    }
    if let Some((task, at)) = &line.task
        && !entry.tasks.contains(task)
    {
        return Some(Box::new(move || {
            let message = format!("`{name}` does not carry out `{task}`");
            Unasked::new(*at, message, one_of(task, entry.tasks.iter().map(|t| t.as_str())))
        }));
    }
    if let Some((device, at)) = &line.device
        && !entry.hardware.is_empty()
        && !entry.hardware.iter().any(|option| on(option, device, entry.library))
    {
        return Some(Box::new(move || {
            let message = format!("`{name}` does not run on `{device}`");
            Unasked::new(*at, message, one_of(device, entry.hardware.iter().map(|option| option.device.as_str())))
        }));
    }
    if let Some((units, at)) = line.units {
        let fits = |option: &&HardwareOption| line.device.as_ref().is_none_or(|(d, _)| on(option, d, entry.library));
        let options: Vec<&HardwareOption> = entry.hardware.iter().filter(fits).collect();
        if !options.is_empty() && !options.iter().any(|option| option.units.contains(&units)) {
            return Some(Box::new(move || {
                let counts: BTreeSet<u32> = options.iter().flat_map(|option| option.units.iter().copied()).collect();
                let counts: Vec<String> = counts.iter().map(u32::to_string).collect();
                let of = line.device.as_ref().map_or(String::new(), |(device, _)| format!(" `{device}`"));
                let message = format!("`{name}` never runs on {units}{of}");
                Unasked::new(at, message, format!("write {}", counts.join(" or ")))
            }));
        }
    }
    let wanted = WORK_OF.iter().find_map(|prefix| line.name.strip_prefix(prefix))?;
    // A token that the provider has seen before is one that is read.
    let there =
        work.contains(wanted) || (wanted == "cached" && work.contains("input") && line.name.starts_with("cost."));
    if there || entry.tasks.is_empty() {
        return None;
    }
    Some(Box::new(move || {
        let message = format!("no task of `{name}` has the work `{wanted}`");
        let instead = match work.is_empty() {
            true => "say it in the task, `work input = text.tokens`, or leave the row out".to_string(),
            false => one_of(wanted, work.iter().copied()),
        };
        Unasked::new(line.name_at, message, instead)
    }))
}

/// The dimensions of work that the entry's tasks have.
fn work_of<'a>(entry: &For<'a>) -> BTreeSet<&'a str> {
    let of_tasks = entry.tasks.iter().filter_map(|t| entry.library.tasks.get(t)).flat_map(|t| &t.work);
    of_tasks.chain(entry.work).map(|(n, _)| n.as_str()).collect()
}

/// What leads the name of a figure for a unit of work.
const WORK_OF: [&str; 4] = ["latency.per.", "latency.p95.per.", "latency.p99.per.", "cost.per."];

/// Whether an option of hardware is, or may be, a device.
fn on(option: &HardwareOption, device: &str, library: &Library) -> bool {
    option.device == device || (option.device == "gpu" && library.devices.get(device).is_some_and(|d| d.gpu))
}

/// What to write in place of a word.
fn one_of<'a>(word: &str, known: impl Iterator<Item = &'a str> + Clone) -> String {
    const SHOWN: usize = 12;
    match nearest(word, known.clone()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => {
            let known: BTreeSet<&str> = known.collect();
            let more = if known.len() > SHOWN { ", …" } else { "" };
            let shown: Vec<String> = known.iter().take(SHOWN).map(|k| format!("`{k}`")).collect();
            format!("write one of {}{more}, or leave the row out", shown.join(", "))
        }
    }
}

/// A line as a row of the entry; `None` where the entry never asks for it.
fn row(
    line: &Line,
    (table, rank): (&Table, u8),
    knobs: &[EcoString],
    entry: &For,
    work: &BTreeSet<&str>,
) -> Option<Row> {
    let mut values = vec![None; knobs.len()];
    for ((name, _), value) in table.knobs.iter().zip(&line.knobs) {
        let Some(place) = knobs.iter().position(|k| k == name) else {
            if work.contains(name.as_str()) {
                continue;
            }
            return None;
        };
        let has = |value: &EcoString| entry.knobs.iter().any(|(n, values)| n == name && values.contains(value));
        match value {
            Some((value, _)) if has(value) => values[place] = Some(value.clone()),
            Some(_) => return None,
            None => {}
        }
    }
    let of_benchmark = |task: &EcoString| {
        let wanted = entry.library.tasks.get(task).and_then(|t| t.benchmark.as_ref());
        line.figure.benchmark.as_ref().is_none_or(|b| wanted == Some(b))
    };
    let tasks = match (&line.task, &line.figure.benchmark) {
        (None, None) => None,
        (Some((task, _)), _) => Some(vec![task.clone()]),
        (None, Some(_)) => Some(entry.tasks.to_vec()),
    };
    let tasks = tasks.map(|tasks| {
        tasks.into_iter().filter(|t| entry.tasks.contains(t) && of_benchmark(t)).collect::<Vec<EcoString>>()
    });
    if tasks.as_ref().is_some_and(|tasks| tasks.is_empty()) {
        return None;
    }
    Some(Row {
        knobs: values,
        tasks,
        of_task: line.task.is_some(),
        device: line.device.as_ref().map(|(name, _)| name.clone()),
        units: line.units.map(|(units, _)| units),
        rank,
        reads_prompt: line.reads_prompt,
        figure: line.figure.clone(),
    })
}

/// Whether two rows speak of the same work.
fn overlap(a: &Row, b: &Row) -> bool {
    a.figure.conditions.iter().all(|c| b.figure.conditions.iter().all(|d| c.work != d.work || c.overlaps(d)))
}

/// The percentiles of a time, in the order in which they must rise.
const PERCENTILES: [&str; 3] = ["", ".p95", ".p99"];

/// Reports what cannot be true of figures of one setting: a percentile below a lower one, memory that falls where more calls are
/// under way, a cached token that costs more than one that is not.
fn rising(profile: &Profile, entry: &For, cx: &mut Diagnostics) {
    let works = profile
        .names()
        .filter_map(|n| n.strip_prefix("latency"))
        .map(|rest| rest.strip_prefix(".p95").or_else(|| rest.strip_prefix(".p99")).unwrap_or(rest).to_string());
    for per in works.collect::<BTreeSet<String>>() {
        for (place, high) in PERCENTILES.iter().enumerate().skip(1) {
            for row in profile.rows(&format!("latency{high}{per}")) {
                for low in &PERCENTILES[..place] {
                    let lower = format!("latency{low}{per}");
                    if let Some(below) = beside(profile, &lower, row).find(|r| r.figure.value > row.figure.value) {
                        let message = format!("`latency{high}{per}` lies below `{lower}` of the same setting");
                        let wanted = "a percentile is never below a lower one: correct one of the two";
                        cx.push(errors::falls(row.figure.at, message, below.figure.at, wanted));
                    }
                }
            }
        }
    }
    for cached in profile.rows("cost.per.cached") {
        let mut fresh = profile.twins("cost.per.input", cached);
        if let Some(fresh) = fresh.find(|r| r.figure.value < cached.figure.value) {
            let message = "a cached token costs more than one that is read".to_string();
            cx.push(errors::falls(cached.figure.at, message, fresh.figure.at, "correct one of the two prices"));
        }
    }
    by_work(profile, cx);
    let Concurrency::Knob(batch) = entry.concurrency else { return };
    let Some(column) = profile.knobs.iter().position(|k| k == batch) else { return };
    for (figure, means) in RISE {
        let mut settings: BTreeMap<Vec<Option<EcoString>>, Vec<(Decimal, &Row)>> = BTreeMap::new();
        // Estimates may suppose requests of other lengths for each batch, and what others print of times to first token goes up and down. Such a
        // time holds all that is read before; a part of a time by itself may fall.
        let counts = |row: &&Row| match row.figure.evidence {
            EvidenceKind::Measured => figure != "latency" || row.reads_prompt,
            EvidenceKind::Published => figure != "latency",
            EvidenceKind::Estimated => false,
        };
        for row in profile.rows(figure).iter().filter(counts) {
            let Some(calls) = row.knobs[column].as_ref().and_then(|v| v.parse().ok()) else { continue };
            let mut key = row.key();
            key[column] = None;
            settings.entry(key).or_default().push((calls, row));
        }
        for rows in settings.values_mut() {
            rows.sort_by_key(|(calls, _)| *calls);
            for pair in rows.windows(2) {
                let [(few, less), (many, more)] = pair else { continue };
                // What is known no better than to within intervals that meet does not fall.
                let falls = more.figure.interval.1 < less.figure.interval.0;
                if less.figure.conditions == more.figure.conditions && falls {
                    let message = format!("the {figure} for {batch} {many} lies below that for {batch} {few}");
                    cx.push(errors::falls(
                        more.figure.at,
                        message,
                        less.figure.at,
                        &format!("{means}: correct one of the two"),
                    ));
                }
            }
        }
    }
}

/// What never falls where more calls are under way, and why.
const RISE: [(&str, &str); 4] = [
    ("latency", "more calls at once never get a first token sooner"),
    ("memory", "more calls at once never need less memory"),
    ("latency.per.output", "more calls at once never write a token sooner"),
    ("throughput", "more calls at once never get less done"),
];

/// The rows of a figure that stand beside a row of another one, as the planner finds them: of all that may be asked for together with it, for
/// the same work, those that fill most columns.
fn beside<'a>(profile: &'a Profile, name: &str, row: &'a Row) -> impl Iterator<Item = &'a Row> {
    let meets = |other: &&Row| {
        let no_wider = row.filled().count() >= other.filled().count();
        no_wider && other.may_meet(row) && other.figure.conditions == row.figure.conditions
    };
    let meeting: Vec<&Row> = profile.rows(name).iter().filter(meets).collect();
    let most = meeting.iter().map(|other| other.filled().count()).max().unwrap_or(0);
    meeting.into_iter().filter(move |other| other.filled().count() == most)
}

/// Reports a time or memory that somebody took and that falls where there is more work, of rows for ranges of the same work.
fn by_work(profile: &Profile, cx: &mut Diagnostics) {
    for figure in ["latency", "memory"] {
        // A time may have parts by work beside it, which then say how it rises.
        if figure == "latency" && profile.names().any(|name| name.starts_with("latency.per.")) {
            continue;
        }
        let taken = |row: &&Row| row.figure.evidence != EvidenceKind::Estimated;
        for row in profile.rows(figure).iter().filter(taken) {
            let [condition] = row.figure.conditions.as_slice() else { continue };
            let less = profile.twins(figure, row).filter(|other| taken(other)).find(|other| {
                let [of] = other.figure.conditions.as_slice() else { return false };
                let before = of.work == condition.work && of.to.is_some_and(|to| to <= condition.from);
                before && other.key() == row.key() && other.figure.value > row.figure.value
            });
            if let Some(less) = less {
                let (of, more) = (&less.figure.conditions[0], condition);
                let message = format!("the {figure} for {more} lies below that for {of}");
                let wanted = "more work never takes less: correct one of the two";
                cx.push(errors::falls(row.figure.at, message, less.figure.at, wanted));
            }
        }
    }
}

/// A time to first token holds the reading of the prompt: a time per token read beside it would count that twice.
fn read_twice(profile: &Profile, cx: &mut Diagnostics) {
    for per in PERCENTILES {
        for row in profile.rows(&format!("latency{per}")).iter().filter(|r| r.reads_prompt) {
            let again = profile.rows(&format!("latency{per}.per.input")).iter().find(|r| r.may_meet(row));
            if let Some(again) = again {
                cx.push(errors::prompt_read_twice(again.figure.at, row.figure.at));
            }
        }
    }
}
