//! What a run's records say, line by line.

use super::facts::Facts;
use super::frame::{moment, table};
use crate::html;
use crate::html::markup::Markup;
use crate::run::fault::printable;
use crate::run::journal::said::said;
use crate::serve::store::Change;

/// Lines that are shown unless all are asked for.
const USUAL: usize = 100;
/// Lines that are shown at most.
const MOST: usize = 5_000;

/// The log of a run: changes of its state, then what its runtimes recorded, the latest last.
pub fn of(facts: &Facts, whole: bool) -> Markup {
    let most = if whole { MOST } else { USUAL };
    let change =
        |change: &Change| vec![moment(change.at_ms), html!("{}", change.state.text()), html!("{}", change.note)];
    let changes: Vec<_> = facts.changes.iter().map(change).collect();
    let name = |id| facts.story.name(id);
    let skipped = facts.story.records.len().saturating_sub(most);
    let record = |(n, record): (usize, &crate::run::journal::record::Record)| {
        let line = printable(&said(record, &name));
        vec![html!("{}", n), html!("{}", format!("{:.3}", record.t())), html!("{}", line)]
    };
    let records: Vec<_> = facts.story.records.iter().enumerate().skip(skipped).map(record).collect();
    let more = (skipped > 0)
        .then(|| html!("<p><a href=\"/runs/{}?log=all#log\">{} earlier lines</a></p>", facts.run.id, skipped));
    let cut = facts
        .cut
        .then(|| html!("<p class=\"note\">This is the beginning of a longer journal: `mkbc logs` has all of it.</p>"));
    let recorded = match records.is_empty() {
        true => html!("<p class=\"dim\">No worker has recorded anything.</p>"),
        false => html!("{}{}{}", more, table("Records of the runtime", &["#No.", "#s", "What"], &records), cut),
    };
    html!(
        "{}<h3>Records of the runtime</h3>{}",
        table("Changes of state", &["When", "State", "Note"], &changes),
        recorded
    )
}
