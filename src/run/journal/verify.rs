//! A journal -> what is damaged in it, and what that loses. Goes on after the first thing it finds.

use super::record::{Record, Stored};
use super::replay::Replay;
use super::rows::{all, failed};
use super::seal;
use super::{Journal, Run};
use crate::run::fault::Fault;

/// What was looked at, and what is wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// Runs.
    pub runs: usize,
    /// Records that are what was written.
    pub records: usize,
    /// Large values that are what was written.
    pub values: usize,
    /// Problems, each with what it loses.
    pub wrong: Vec<String>,
}

impl Journal {
    /// Checks everything.
    pub fn verify(&self) -> Verified {
        let mut found = Verified::default();
        match self.integrity() {
            Ok(lines) => found.wrong.extend(lines.into_iter().map(|line| format!("the database: {line}"))),
            Err(fault) => found.wrong.push(fault.message),
        }
        let runs = match all(&self.db) {
            Ok(runs) => runs,
            Err(fault) => {
                found.wrong.push(format!("{}; no run can be listed or resumed", fault.message));
                return found;
            }
        };
        found.runs = runs.len();
        for run in &runs {
            self.verify_run(run, &mut found);
        }
        match self.strangers() {
            Ok(0) => {}
            Ok(n) => found.wrong.push(format!("{n} records belong to no run")),
            Err(fault) => found.wrong.push(fault.message),
        }
        found
    }

    fn verify_run(&self, run: &Run, found: &mut Verified) {
        let id = run.id;
        if let Err(fault) = self.plan(&run.info).and_then(|_| self.inputs(&run.info)) {
            found.wrong.push(format!("run {id}: {}; it cannot be resumed", fault.message));
        } else {
            found.values += 1;
        }
        let records = match self.records(id) {
            Ok(records) => records,
            Err(fault) => {
                let kept = seal::found(id, &self.folder(run)).0.len();
                let message = fault.message;
                found.wrong.push(format!(
                    "{message}; the run cannot be resumed; {kept} finished calls are whole in its folder"
                ));
                return;
            }
        };
        found.records += records.len();
        for (n, record) in records.iter().enumerate() {
            let (Record::Result { value, .. } | Record::Answer { value, .. }) = record else { continue };
            match self.blobs.value(value) {
                Ok(_) => found.values += usize::from(matches!(value, Stored::Blob(_))),
                Err(fault) => found.wrong.push(format!("run {id}, record {n}: {}; its value is lost", fault.message)),
            }
        }
        if let Err(fault) = self.answers_once(id, &records) {
            found.wrong.push(fault.message);
        }
        let replay = Replay::of(&records);
        for (path, (seal, _)) in seal::found(id, &self.folder(run)).0 {
            if !replay.done.contains_key(&path) {
                let (step, number) = (seal.call.step.0, seal.call.number);
                found.wrong.push(format!(
                    "run {id}: call {number} of step {step} is finished in its folder and not in the journal; `mkbc resume {id}` takes it from there"
                ));
            }
        }
    }

    fn integrity(&self) -> Result<Vec<String>, Fault> {
        let mut check = self.db.prepare("PRAGMA integrity_check(20)").map_err(failed)?;
        let lines = check.query_map([], |row| row.get::<_, String>(0)).map_err(failed)?;
        let lines = lines.collect::<Result<Vec<_>, _>>().map_err(failed)?;
        Ok(lines.into_iter().filter(|line| line != "ok").collect())
    }

    fn strangers(&self) -> Result<u64, Fault> {
        let count = "SELECT count(*) FROM records WHERE run NOT IN (SELECT id FROM runs)";
        self.db.query_row(count, [], |row| row.get(0)).map_err(failed)
    }

    fn answers_once(&self, id: u64, records: &[Record]) -> Result<(), Fault> {
        let said = records.iter().filter(|r| matches!(r, Record::Answer { .. })).count();
        let noted: usize =
            self.db.query_row("SELECT count(*) FROM answers WHERE run = ?1", [id], |row| row.get(0)).map_err(failed)?;
        if said == noted && said <= 1 {
            return Ok(());
        }
        Err(super::damaged(&format!("run {id} has {said} answers, and {noted} are noted")))
    }
}
