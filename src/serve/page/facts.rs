//! Store + journal → all that there is to show of a run, read once a page, and no more of it than a page can hold.

use crate::run::fault::Fault;
use crate::run::journal::replay::Replay;
use crate::run::shown::story::Story;
use crate::serve::store::{Accepted, Change, State};
use crate::serve::{Service, now_ms};

/// Records of a run that are read at most.
const MOST: usize = 20_000;

/// A run, as its pages show it.
pub struct Facts {
    /// What was accepted.
    pub run: Accepted,
    /// What its runtimes made of it.
    pub story: Story,
    /// The changes of its state.
    pub changes: Vec<Change>,
    /// Whether there are more records than were read.
    pub cut: bool,
    /// When this was read, milliseconds since 1970.
    pub now_ms: i64,
}

impl Facts {
    /// Reads what there is of a run.
    pub fn read(service: &Service, run: Accepted) -> Result<Facts, Fault> {
        let text = service.store.plan(&run.tenant, &run.plan)?;
        let plan = text.and_then(|text| serde_json::from_str(&text).ok());
        let inputs = service.store.inputs(run.id)?.and_then(|text| serde_json::from_str(&text).ok());
        let changes = service.store.changes(run.id)?;
        let (mut records, mut folder, mut again) = (Vec::new(), None, Vec::new());
        if let Some(journal) = run.journal {
            service.journal(|db| {
                records = db.records_from(journal, 0, MOST + 1)?;
                folder = db.run(journal)?.map(|run| db.folder(&run));
                again = Replay::of(&records).changes(db.blobs())?;
                Ok(())
            })?;
        }
        let cut = records.len() > MOST;
        records.truncate(MOST);
        let now_ms = now_ms();
        let mut story = Story::of(plan, &again, inputs.unwrap_or_default(), records, folder);
        story.under_way = matches!(run.state, State::Running | State::Cancelling);
        story.ended = run.state.is_final();
        if story.ended {
            story.reported();
        }
        if let Some(begun) = story.begun_ms.filter(|_| story.under_way) {
            story.took_s = (now_ms - begun) as f64 / 1e3;
        }
        let waited_to = match (story.begun_ms, story.ended) {
            (Some(begun), _) => begun,
            (None, true) => run.changed_ms,
            (None, false) => now_ms,
        };
        story.waited_s = ((waited_to - run.submitted_ms) as f64 / 1e3).max(0.0);
        Ok(Facts { run, story, changes, cut, now_ms })
    }
}
