//! A corpus of goals in words with the workflow shapes that are right for each → the share of first choices that are.

use super::search::Found;
use super::write::quoted;
use crate::digest::digest;
use serde::Deserialize;

/// A goal, in a job file, and the shapes of the workflows that are right for it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// The job file; its last job is the one whose hole is filled.
    pub job: String,
    /// Its goal in other words: those of somebody who does not know the library's.
    #[serde(default)]
    pub reworded: Option<String>,
    /// Shapes as [`Found::shape`] has them; none where nothing in the library does what is wanted.
    pub accept: Vec<String>,
}

/// Whether a case is kept out of tuning: an odd one where cases are numbered, else by the first hexadecimal digit of its name's SHA-256, so that
/// nobody chooses.
pub fn held_out(name: &str) -> bool {
    if let Some(last) = name.chars().next_back().and_then(|c| c.to_digit(10)) {
        return last % 2 == 1;
    }
    digest([name]).bytes().next().is_some_and(|b| matches!(b, b'1' | b'3' | b'5' | b'7' | b'9' | b'b' | b'd' | b'f'))
}

impl Case {
    /// Reads a case.
    pub fn read(text: &str) -> Result<Case, String> {
        toml::from_str(text).map_err(|e| e.message().to_string())
    }

    /// The case with its goal in the other words, where it has any.
    pub fn in_other_words(&self) -> Option<Case> {
        const GOAL: &str = "goal ";
        let from = self.job.rfind(GOAL)? + GOAL.len();
        let to = from + self.job[from..].find('\n')?;
        let job = format!("{}{}{}", &self.job[..from], quoted(self.reworded.as_ref()?), &self.job[to..]);
        Some(Case { job, ..self.clone() })
    }

    /// Whether the first of these fills is right.
    pub fn accepts(&self, found: &[Found]) -> bool {
        found.first().is_some_and(|f| self.accept.contains(&f.shape))
    }
}
