//! JSON text -> a named [`Problem`], and back: the format of `docs/instances.md`.

use serde::{Deserialize, Serialize};

use crate::solve::problem::Problem;
use crate::solve::well_formed;

/// What the field `format` of an instance says.
pub const FORMAT: &str = "murakkab-instance";
/// The version of the format that is written, and the only one that is read.
pub const VERSION: u32 = 1;

/// A problem with the name that results are listed under.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Instance {
    format: String,
    version: u32,
    /// The family, say, or the job.
    pub name: String,
    /// The seed that the family made it from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// The problem, well-formed.
    pub problem: Problem,
}

/// What is read first, so that a file of another kind or version is told apart from a broken one.
#[derive(Deserialize)]
struct Head {
    format: Option<serde_json::Value>,
    version: Option<serde_json::Value>,
}

/// Says what a text is instead of a file of this format and version.
pub(super) fn told_apart(text: &str, what: &str, format: &str, version: u32) -> Result<(), String> {
    let head: Head = serde_json::from_str(text).map_err(|e| format!("is no JSON object: {e}"))?;
    if head.format.as_ref().and_then(|format| format.as_str()) != Some(format) {
        let (_, bare) = what.split_once(' ').unwrap_or_default();
        return Err(format!("is no {bare}: its `format` is not `{format}`"));
    }
    if head.version.as_ref().and_then(|version| version.as_u64()) != Some(u64::from(version)) {
        return Err(format!("is {what} of another version: this mkbc reads version {version}"));
    }
    Ok(())
}

/// A file as text, one option a line.
pub(super) fn by_options(file: &impl Serialize) -> String {
    let text = serde_json::to_string(file).unwrap_or_default();
    text.replace("{\"figures\"", "\n{\"figures\"").replace("],\"edges\"", "],\n\"edges\"") + "\n"
}

impl Instance {
    /// Names a problem.
    pub fn new(name: &str, seed: Option<u64>, problem: Problem) -> Self {
        Instance { format: FORMAT.to_owned(), version: VERSION, name: name.to_owned(), seed, problem }
    }

    /// Reads an instance; the error says what is wrong with the text, without naming the file.
    pub fn read(text: &str) -> Result<Self, String> {
        told_apart(text, "an instance", FORMAT, VERSION)?;
        let instance: Instance = serde_json::from_str(text).map_err(|e| format!("is a broken instance: {e}"))?;
        if instance.name.chars().any(char::is_control) {
            return Err("is a malformed instance: its name has control characters".to_owned());
        }
        well_formed(&instance.problem).map_err(|words| format!("is a malformed instance: {words}"))?;
        Ok(instance)
    }

    /// Writes the instance, one option a line, so that two can be compared by lines.
    pub fn write(&self) -> String {
        by_options(self)
    }

    /// The name with the seed, as a file is called.
    pub fn file_stem(&self) -> String {
        match self.seed {
            Some(seed) => format!("{}-{seed:03}", self.name),
            None => self.name.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::families::generate;
    use crate::bench::recipe::STANDARD;

    fn instance(name: &str, seed: u64) -> Instance {
        Instance::new(name, Some(seed), generate(&name.parse().expect("a recipe"), seed))
    }

    #[test]
    fn what_is_written_is_read_again() {
        for name in STANDARD.iter().filter(|name| !name.contains("50x")) {
            let written = instance(name, 1);
            assert_eq!(Instance::read(&written.write()).as_ref(), Ok(&written), "{name}");
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_bytes() {
        let text = instance("realistic-6x8-tight-coupled-side2-pools", 5).write();
        let shared = instance("shared-6x8-infeasible", 4).write();
        assert_eq!(
            crate::digest::digest([text.as_str(), &shared]),
            "4b54d9b320edbc9f0cd7abb97fc81335084a79a47239920c2fe3694db149a073"
        );
    }

    #[test]
    fn the_example_of_the_documentation_is_an_instance() {
        let page = include_str!("../../docs/instances.md");
        let example = page.split("```json").nth(1).and_then(|rest| rest.split("```").next()).expect("an example");
        let read = Instance::read(example).expect("an instance");
        assert_eq!((read.problem.steps.len(), read.problem.clauses.len()), (2, 3));
        assert_eq!(Instance::read(&read.write()), Ok(read));
    }

    #[test]
    fn other_texts_are_refused_with_the_reason() {
        let good = instance("shared-3x4-tight", 0).write();
        let cases = [
            ("[]".to_owned(), "is no JSON object"),
            ("{".to_owned(), "is no JSON object"),
            ("{}".to_owned(), "its `format` is not"),
            (good.replacen("\"version\":1", "\"version\":2", 1), "another version"),
            (good.replacen("\"class\"", "\"klass\"", 1), "unknown field `klass`"),
            (good.replacen("\"figures\":[", "\"figures\":[1,1,1,1,1,1,1,", 1), "broken instance"),
            (good.replacen("\"figures\":[", "\"figures\":[-1,", 1), "Cost is negative"),
            (good.replacen("\"load\":", "\"load\":-", 1), "its load is negative"),
            (good.replacen("\"load\":", "\"load\":1e300,\"l\":", 1), "broken instance"),
            (good.replacen("\"instance\":", "\"instance\":9", 1), "which does not exist"),
            (good.replacen("\"edges\":[", "\"edges\":[[7,0],", 1), "there are only 3 steps"),
            (good.replacen("\"edges\":[", "\"edges\":[[1,0],[0,1],", 1), "cycle"),
            ("[".repeat(100_000), "is no JSON object"),
        ];
        for (text, reason) in cases {
            let error = Instance::read(&text).expect_err(reason);
            assert!(error.contains(reason), "{error} does not say: {reason}");
        }
    }
}
