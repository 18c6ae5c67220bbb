//! Library + today's date → what its figures rest on: shares by evidence, and every figure that is weakly supported.

use super::evidence::EvidenceKind;
use super::profile::Row;
use super::profile::date::Date;
use super::roofline::trust::Trust;
use super::{Library, Stated, errors, sheet};
use crate::diag::Diagnostics;
use crate::diag::source::{FileId, Span};
use ecow::EcoString;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// How a figure is supported less than it could be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Weakness {
    /// Its source does not say what its kind of evidence must: an address; when, on what, how often and by which command it was measured;
    /// how it was estimated.
    Unsupported,
    /// By a formula, or a guess.
    Estimated,
    /// From a copy, or from memory.
    SecondHand,
    /// Nothing says when it was valid.
    Undated,
    /// Older than asked for.
    Old,
    /// A time by work that somebody took and that does not say for how much: a plan cannot say where it is extrapolated.
    Unbounded,
}

impl Weakness {
    /// All, the worst first.
    pub const ALL: [Weakness; 6] = [
        Weakness::Unsupported,
        Weakness::SecondHand,
        Weakness::Estimated,
        Weakness::Undated,
        Weakness::Old,
        Weakness::Unbounded,
    ];

    /// For people.
    pub fn text(self) -> &'static str {
        match self {
            Weakness::Unsupported => "without evidence",
            Weakness::Estimated => "estimated",
            Weakness::SecondHand => "from a lower-trust source",
            Weakness::Undated => "undated",
            Weakness::Old => "old",
            Weakness::Unbounded => "for work that is not said",
        }
    }
}

/// A figure of a profile, or what a device or a cluster states.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audited {
    /// Where its value stands.
    pub at: Span,
    /// The entries that use it, or the device or cluster that states it.
    pub implementations: BTreeSet<EcoString>,
    /// Its name.
    pub figure: EcoString,
    /// What it is for, in words.
    pub setting: String,
    /// What it rests on.
    pub evidence: EvidenceKind,
    /// Where it comes from.
    pub source: EcoString,
    /// When it was valid, as far as its row says.
    pub date: Option<Date>,
    /// In which ways it is weak; the worst first.
    pub weak: Vec<Weakness>,
}

/// What the roofline computes for one entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Computed {
    /// The entry.
    pub implementation: EcoString,
    /// Settings like those that published cells were held against.
    pub checked: usize,
    /// Settings outside of that, by reason.
    pub outside: BTreeMap<EcoString, usize>,
    /// Settings that it refuses, by reason.
    pub refused: BTreeMap<EcoString, usize>,
}

/// Qualities that are compared with each other, and should not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mixed {
    /// The task.
    pub task: EcoString,
    /// What differs: `benchmark` or `reporter`.
    pub by: &'static str,
    /// The entries by benchmark or reporter; the empty one where a row names none.
    pub groups: BTreeMap<EcoString, BTreeSet<EcoString>>,
}

/// What a library's figures rest on.
#[derive(Clone, Debug, Default)]
pub struct Audit {
    /// Every figure of its profiles that is used, each once, in order of its place.
    pub figures: Vec<Audited>,
    /// What is computed by the roofline, by entry.
    pub computed: Vec<Computed>,
    /// Comparisons of what is not comparable.
    pub mixed: Vec<Mixed>,
}

impl Audit {
    /// How many figures rest on this kind of evidence.
    pub fn count(&self, kind: EvidenceKind) -> usize {
        self.figures.iter().filter(|f| f.evidence == kind).count()
    }

    /// The figures that are weak in one way.
    pub fn weak(&self, how: Weakness) -> impl Iterator<Item = &Audited> {
        self.figures.iter().filter(move |f| f.weak.contains(&how))
    }
}

/// Audits a library; figures that are more than so many days old on that day count as old.
///
/// Sources may name an address by a name of [`names`].
pub fn audit(library: &Library, names: &[Named], today: Date, older_than: Option<u32>) -> Audit {
    let mut figures: BTreeMap<(Span, EcoString), Audited> = BTreeMap::new();
    for (name, entry) in &library.implementations {
        for figure in entry.profile.names() {
            for (place, whole) in entry.profile.rows(figure).iter().enumerate() {
                let row = &whole.figure;
                let audited = figures.entry((row.at, figure.clone())).or_insert_with(|| Audited {
                    at: row.at,
                    implementations: BTreeSet::new(),
                    figure: figure.clone(),
                    setting: entry.profile.setting(figure, place),
                    evidence: row.evidence,
                    source: row.source.clone(),
                    date: row.date.or_else(|| written(&row.source, names)),
                    weak: weak(&of_row(figure, whole), names, today, older_than),
                });
                audited.implementations.insert(name.clone());
            }
        }
    }
    for mut stated in machines(library) {
        stated.date = written(&stated.source, names);
        stated.weak = weak(&of_machine(&stated), names, today, older_than);
        figures.insert((stated.at, stated.figure.clone()), stated);
    }
    Audit { figures: figures.into_values().collect(), computed: computed(library), mixed: mixed(library) }
}

/// What sources are said to be where nobody can look them up, or nobody did.
const SECOND_HAND: [&str; 6] =
    ["second-hand", "public file id", "public github file id", "recalled", "a leak", "from memory"];
/// What leads an address of the web, and names of repositories.
const WEB: [&str; 2] = ["https://", "http://"];
const REPOSITORIES: [&str; 2] = ["github:", "hf:"];
/// What the command of a measurement looks like.
const COMMANDS: [&str; 5] = ["mkbc ", ".py", ".sh", "cargo ", "make "];
/// What is counted of a measurement.
const COUNTED: [&str; 4] = ["run", "question", "sample", "verdict"];
/// Fewer words, none of them with a digit, say nothing of how a figure was come by.
const FEW_WORDS: usize = 5;

/// The file that says which addresses names in sources stand for.
pub const NAMES: &str = "sources.csv";

/// What stands for an address in sources.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// The name.
    pub name: EcoString,
    /// When what is there was published, where that is known.
    pub date: Option<Date>,
}

/// Names that stand for an address in sources: the columns `name`, `address` and `date`, which may be empty or missing. A line without an
/// address, or with a date that is none, is reported.
pub fn names(text: &str, file: FileId, cx: &mut Diagnostics) -> Vec<Named> {
    let sheet = sheet::read(text, file, cx);
    let mut all = Vec::new();
    for record in sheet.iter() {
        match (record.get("name"), record.get("address")) {
            (Some(name), Some(address)) if is_address(&address.to_lowercase()) => {
                let date = record.get("date").map(|text| Date::parse(text));
                if date == Some(None) {
                    let wanted = "write `2026-11-24`, or `2026-11`";
                    cx.push(errors::bad_figure(record.at("date"), "a date that is none".into(), wanted));
                }
                all.push(Named { name: name.clone(), date: date.flatten() });
            }
            _ => {
                let wanted = "give a name and an address: a URL, `arXiv:…` or `github:owner/repo@commit:path`";
                cx.push(errors::bad_figure(record.at("address"), "a source without an address".into(), wanted));
            }
        }
    }
    all
}

/// Whether a text, in lower case, names where something can be looked up: a URL, `github:owner/name`, `arXiv:2310.01798`, `doi:10.…`.
fn is_address(text: &str) -> bool {
    let behind = |lead: &str| text.match_indices(lead).map(|(at, _)| &text[at + lead.len()..]).collect::<Vec<_>>();
    let host = |rest: &&str| {
        let host = rest.split(|c: char| !(c.is_ascii_alphanumeric() || ['.', '-'].contains(&c))).next().unwrap_or("");
        let parts: Vec<&str> = host.trim_end_matches('.').split('.').collect();
        parts.len() > 1 && parts.iter().all(|part| !part.is_empty())
    };
    let owned = |rest: &&str| {
        rest.split_once('/').is_some_and(|(owner, name)| !owner.is_empty() && !owner.contains(' ') && !name.is_empty())
    };
    WEB.iter().flat_map(|lead| behind(lead)).any(|rest| host(&rest))
        || REPOSITORIES.iter().flat_map(|lead| behind(lead)).any(|rest| owned(&rest))
        || ["arxiv", "doi"]
            .iter()
            .flat_map(|lead| numbers(text, lead))
            .any(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}

/// Whether the source of a measurement, in lower case, says how often and with which command.
fn is_repeatable(source: &str) -> bool {
    let words: Vec<&str> = source.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let counted =
        |word: &str| COUNTED.iter().any(|what| word.strip_prefix(what).is_some_and(|rest| ["", "s"].contains(&rest)));
    let number = |word: &str| word.bytes().all(|b| b.is_ascii_digit());
    let often = words.windows(2).any(|pair| number(pair[0]) && counted(pair[1]) || counted(pair[0]) && number(pair[1]));
    often && COMMANDS.iter().any(|command| source.contains(command))
}

/// Whether the source of an estimate, in lower case, says how it was come by.
fn is_reasoned(source: &str) -> bool {
    source.contains(|c: char| c.is_ascii_digit())
        || source.split_whitespace().count() >= FEW_WORDS
        || is_address(source)
}

/// Whether a text has a word.
fn mentions(text: &str, word: &str) -> bool {
    let within = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    text.match_indices(word)
        .any(|(at, _)| !within(text[..at].chars().next_back()) && !within(text[at + word.len()..].chars().next()))
}

/// Whether a source says what its kind of evidence must, but for a date: an address, how often and by which command, or how it was come by.
pub fn supports(kind: EvidenceKind, source: &str) -> bool {
    let source = source.to_lowercase();
    match kind {
        EvidenceKind::Published => is_address(&source),
        EvidenceKind::Measured => is_repeatable(&source),
        EvidenceKind::Estimated => is_reasoned(&source),
    }
}

/// What a figure rests on, as far as its weakness goes.
struct Rests<'a> {
    evidence: EvidenceKind,
    source: &'a str,
    date: Option<Date>,
    /// Whether nothing is missing that it was taken on.
    placed: bool,
    unbounded: bool,
}

fn of_row<'a>(name: &str, row: &'a Row) -> Rests<'a> {
    let figure = &row.figure;
    Rests {
        evidence: figure.evidence,
        source: &figure.source,
        date: figure.date,
        // How good an answer is does not depend on what it runs on.
        placed: row.is_of_a_device() || name == "quality",
        unbounded: figure.is_unbounded(name),
    }
}

fn of_machine(stated: &Audited) -> Rests<'_> {
    Rests { evidence: stated.evidence, source: &stated.source, date: stated.date, placed: true, unbounded: false }
}

/// What devices and clusters state. What says nothing of where it comes from is a guess.
fn machines(library: &Library) -> Vec<Audited> {
    let audited = |owner: &EcoString, figure: EcoString, setting: String, stated: &Stated| {
        let (evidence, source) = match &stated.evidence {
            Some((kind, source, _)) => (*kind, source.clone()),
            None => (EvidenceKind::Estimated, EcoString::new()),
        };
        let implementations = BTreeSet::from([owner.clone()]);
        Audited { at: stated.at, implementations, figure, setting, evidence, source, date: None, weak: Vec::new() }
    };
    let devices = library.devices.values().flat_map(|device| device.stated.iter().map(move |stated| (device, stated)));
    let devices = devices
        .map(|(device, stated)| audited(&device.name, stated.name.clone(), "as the device declares it".into(), stated));
    let clusters =
        library.clusters.values().flat_map(|cluster| cluster.stated.iter().map(move |stated| (cluster, stated)));
    let clusters = clusters.map(|(cluster, stated)| {
        audited(&cluster.name, "price".into(), format!("one `{}` for an hour", stated.name), stated)
    });
    let handled = library
        .implementations
        .values()
        .flat_map(|entry| entry.stated.iter().zip(&entry.handling).map(move |both| (entry, both)));
    let handled = handled.map(|(entry, (stated, handling))| {
        let of = handling.of.as_ref().map_or("any".to_owned(), |of| format!("`{of}`"));
        audited(&entry.name, stated.name.clone(), format!("what {of} is sent"), stated)
    });
    devices.chain(clusters).chain(handled).collect()
}

fn weak(of: &Rests, names: &[Named], today: Date, older_than: Option<u32>) -> Vec<Weakness> {
    let source = of.source.to_lowercase();
    let supported = supports(of.evidence, of.source);
    let says = |words: &[&str]| words.iter().any(|w| source.contains(w));
    let date = of.date.or_else(|| written(of.source, names));
    let unsupported = match of.evidence {
        EvidenceKind::Published => !supported && !names.iter().any(|named| mentions(of.source, &named.name)),
        EvidenceKind::Measured => date.is_none() || !of.placed || !supported,
        EvidenceKind::Estimated => !supported,
    };
    let old = |date: Date, days: u32| today.days().saturating_sub(date.days()) > days;
    let holds = |how: &Weakness| match how {
        Weakness::Unsupported => unsupported,
        Weakness::Estimated => of.evidence == EvidenceKind::Estimated,
        Weakness::SecondHand => says(&SECOND_HAND),
        Weakness::Undated => date.is_none(),
        Weakness::Unbounded => of.unbounded,
        Weakness::Old => date.zip(older_than).is_some_and(|(date, days)| old(date, days)),
    };
    Weakness::ALL.into_iter().filter(|how| holds(how)).collect()
}

/// The latest date that a source names, by itself, by the number of a paper or by what it calls an address.
fn written(source: &str, names: &[Named]) -> Option<Date> {
    let word = |c: char| c.is_ascii_digit() || c == '-';
    let dates = source.split(|c: char| !word(c)).filter(|w| w.len() >= 7).filter_map(Date::parse);
    let called = names.iter().filter(|named| mentions(source, &named.name)).filter_map(|named| named.date);
    dates.chain(papers(source)).max().or_else(|| called.max())
}

/// What stands behind a name of numbers in a text in lower case: of `arxiv`, `2310.01798` and what follows.
fn numbers<'t>(text: &'t str, lead: &str) -> Vec<&'t str> {
    let behind = text.match_indices(lead).map(|(at, _)| &text[at + lead.len()..]);
    behind.map(|rest| rest.trim_start_matches([':', ' ', '.']).trim_start_matches("org/abs/")).collect()
}

/// The months of the papers that a source names: `arXiv:2310.01798` is of October 2023.
fn papers(source: &str) -> Vec<Date> {
    let digits = |text: &str| text.len() >= 4 && text.bytes().take(4).all(|b| b.is_ascii_digit());
    let month = |number: &str| {
        let (month, rest) = number.split_once('.')?;
        let is = month.len() == 4 && digits(month) && digits(rest);
        is.then(|| Date::parse(&format!("20{}-{}", &month[..2], &month[2..])))?
    };
    numbers(&source.to_lowercase(), "arxiv").into_iter().filter_map(month).collect()
}

/// How the settings of an entry that are estimated stand to what was checked.
fn computed(library: &Library) -> Vec<Computed> {
    let mut all = Vec::new();
    for (name, entry) in &library.implementations {
        let Some(estimates) = &entry.profile.estimates else { continue };
        let mut computed =
            Computed { implementation: name.clone(), checked: 0, outside: BTreeMap::new(), refused: BTreeMap::new() };
        for trust in estimates.judged() {
            match trust {
                Trust::Checked => computed.checked += 1,
                Trust::Outside(why) => {
                    why.iter().for_each(|w| *computed.outside.entry(w.clone()).or_default() += 1);
                }
                Trust::Refused(why) => *computed.refused.entry(why.clone()).or_default() += 1,
            }
        }
        all.push(computed);
    }
    all
}

/// The tasks whose qualities come from several benchmarks or reporters.
fn mixed(library: &Library) -> Vec<Mixed> {
    let mut all = Vec::new();
    for task in library.tasks.keys() {
        let mut by: [BTreeMap<EcoString, BTreeSet<EcoString>>; 2] = Default::default();
        for entry in library.implementing(task) {
            for row in entry.profile.rows("quality").iter().filter(|row| row.is_for(task)) {
                let groups = [&row.figure.benchmark, &row.figure.reporter];
                for (groups, group) in by.iter_mut().zip(groups) {
                    groups.entry(group.clone().unwrap_or_default()).or_default().insert(entry.name.clone());
                }
            }
        }
        for (by, groups) in ["benchmark", "reporter"].into_iter().zip(by) {
            // Where no row names one, there is nothing to tell apart.
            if groups.len() > 1 {
                all.push(Mixed { task: task.clone(), by, groups });
            }
        }
    }
    all
}
