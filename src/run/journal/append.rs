//! Records of a run that is worked on elsewhere ↔ this journal: what comes is written behind what is there, by who has the run now, and what
//! was written of a run is taken over as it is.

use super::record::{Record, checksum, encode};
use super::rows::{count_checksum, failed, put_count};
use super::{DESCRIPTION, damaged};
use super::{Journal, Run};
use crate::run::fault::{Fault, FaultKind};
use rusqlite::{Transaction, TransactionBehavior, params};

/// Writes records of a run behind the others, as the runtime of a fence; `next` is the number of the first. Returns that of the next one.
pub(super) fn write(tx: &Transaction<'_>, run: u64, fence: u64, next: u64, records: &[&Record]) -> Result<u64, Fault> {
    let now: u64 = tx
        .prepare_cached("SELECT fence FROM runs WHERE id = ?1")
        .and_then(|mut select| select.query_row([run], |row| row.get(0)))
        .map_err(failed)?;
    if now != fence {
        let message = format!("run {run} was taken over by another runtime, and this one writes no more");
        return Err(Fault::new(FaultKind::Storage, message));
    }
    let mut insert =
        tx.prepare_cached("INSERT INTO records (run, n, body, crc) VALUES (?1, ?2, ?3, ?4)").map_err(failed)?;
    for (n, record) in (next..).zip(records) {
        let body = encode(record).map_err(|e| Fault::new(FaultKind::Storage, e))?;
        insert.execute(params![run, n, body, checksum(run, n, &body)]).map_err(failed)?;
        if matches!(record, Record::Answer { .. }) {
            // The key is the run: a second answer is an error.
            tx.execute("INSERT INTO answers (run, n) VALUES (?1, ?2)", params![run, n]).map_err(failed)?;
        }
    }
    let next = next + records.len() as u64;
    put_count(tx, run, fence, next)?;
    Ok(next)
}

impl Journal {
    /// Writes records that a runtime elsewhere made, the first of which has the number `from`: on the disk when this returns. Those that are
    /// there already were sent again, and must be the same. Returns how many the run has.
    pub fn append(&mut self, run: u64, fence: u64, from: u64, records: &[Record]) -> Result<u64, Fault> {
        let refused = |why: &str| Fault::new(FaultKind::Data, format!("records of run {run} are refused: {why}"));
        let there = self.run(run)?.ok_or_else(|| refused("there is no such run"))?.count;
        let again = there.checked_sub(from).ok_or_else(|| refused("some before them are missing"))?;
        let again = usize::try_from(again).unwrap_or(usize::MAX).min(records.len());
        let (known, new) = records.split_at(again);
        if self.records_from(run, from, known.len())? != known {
            return Err(refused("other ones have their numbers"));
        }
        self.db.pragma_update(None, "synchronous", "FULL").map_err(failed)?;
        let tx = self.db.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
        let new: Vec<&Record> = new.iter().collect();
        let next = write(&tx, run, fence, from + again as u64, &new)?;
        tx.commit().map_err(failed)?;
        Ok(next)
    }

    /// Takes over a run of another journal, with its number and its records: the next runtime that works on it here has the fence behind
    /// that of the run.
    pub fn import(&mut self, run: &Run, records: &[Record]) -> Result<(), Fault> {
        let body = serde_json::to_vec(&run.info).map_err(|e| Fault::new(FaultKind::Storage, e.to_string()))?;
        let tx = self.db.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
        tx.execute(
            "INSERT INTO runs (id, body, crc, fence, count, count_crc) VALUES (?1, ?2, ?3, ?4, 0, ?5)",
            params![
                run.id,
                body,
                checksum(run.id, DESCRIPTION, &body),
                run.fence,
                count_checksum(run.id, 0, run.fence)
            ],
        )
        .map_err(failed)?;
        let records: Vec<&Record> = records.iter().collect();
        if write(&tx, run.id, run.fence, 0, &records)? != run.count {
            return Err(damaged(&format!("run {} came with {} records of {}", run.id, records.len(), run.count)));
        }
        tx.commit().map_err(failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::journal::tests::{begun, info, paused};

    #[test]
    fn what_is_sent_again_is_written_once_and_nothing_is_skipped() {
        let (_folder, mut journal, run) = begun();
        let fence = journal.take_over(run).expect("ours").fence;
        let [a, b, c] = ["a", "b", "c"].map(paused);
        assert_eq!(journal.append(run, fence, 0, &[a.clone(), b.clone()]), Ok(2));
        assert_eq!(journal.append(run, fence, 0, &[a.clone(), b.clone()]), Ok(2), "an answer that got lost");
        assert_eq!(journal.append(run, fence, 1, &[b.clone(), c.clone()]), Ok(3));
        assert!(journal.append(run, fence, 1, std::slice::from_ref(&c)).is_err(), "another record has that number");
        assert!(journal.append(run, fence, 4, std::slice::from_ref(&a)).is_err(), "one is missing");
        assert_eq!(journal.records(run).expect("records"), [a.clone(), b, c]);
        journal.take_over(run).expect("theirs");
        assert!(journal.append(run, fence, 3, &[a]).expect_err("late").message.contains("taken over"));
    }

    #[test]
    fn a_run_goes_on_in_another_journal_behind_its_fence() {
        let (_folder, mut journal, _) = begun();
        let records = ["a", "b"].map(paused);
        let run = Run { id: 40, info: info(None), fence: 6, count: 2 };
        journal.import(&run, &records).expect("taken over");
        assert_eq!(journal.records(40).expect("records"), records);
        assert_eq!(journal.take_over(40).expect("ours").fence, 7);
        assert!(journal.import(&run, &records).is_err(), "it is there");
        assert!(journal.import(&Run { id: 41, count: 3, ..run }, &records).is_err(), "one is missing");
    }
}
