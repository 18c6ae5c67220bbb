//! The job's inputs on the command line: `--videos a.mp4 b.mp4 --question "…"`, beside the command's own options.

use super::args::Cli;
use super::load::{MAX_BYTES, read};
use super::{Failure, note};
use crate::diag::nearest;
use crate::run::fault::Fault;
use crate::run::input::{Cells, admit, parse_input};
use crate::types::Type;
use clap::CommandFactory;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::io::Read;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// The text that stands for what standard input holds.
const PIPE: &str = "@-";

/// The job's inputs as they were given.
#[derive(Clone, Debug, Default)]
pub struct Inputs {
    /// On the command line, by name, each with its values as typed.
    typed: BTreeMap<String, Vec<String>>,
    /// The names that were written otherwise: `max-words` for `max_words`.
    written: BTreeMap<String, String>,
    /// What standard input held, once it is read for `@-`.
    piped: Arc<OnceLock<String>>,
    /// In a file: the folder that paths in it are relative to, and the values.
    file: Option<(PathBuf, Map<String, Value>)>,
}

impl Deref for Inputs {
    type Target = BTreeMap<String, Vec<String>>;

    fn deref(&self) -> &Self::Target {
        &self.typed
    }
}

/// The object with a field for each input that a file holds; `-` is standard input.
pub fn object(path: &Path) -> Result<Map<String, Value>, Failure> {
    let text = match path.to_str() {
        Some("-") => std::io::read_to_string(std::io::stdin()).map_err(|e| format!("cannot read the inputs: {e}"))?,
        _ => read(path)?,
    };
    let shown = path.display();
    // Programs of Windows put a byte order mark in front.
    let json = text.strip_prefix('\u{feff}').unwrap_or(&text);
    match serde_json::from_str(json).map_err(|e| format!("`{shown}` is no JSON: {e}"))? {
        Value::Object(values) => Ok(values),
        _ => Err(format!("`{shown}` holds no JSON object with a field for each input").into()),
    }
}

impl FromIterator<(String, Vec<String>)> for Inputs {
    fn from_iter<T: IntoIterator<Item = (String, Vec<String>)>>(all: T) -> Inputs {
        Inputs { typed: all.into_iter().collect(), ..Inputs::default() }
    }
}

impl Inputs {
    /// The same with those of a file, as `mkbc inputs` prints it; `-` is standard input.
    pub fn with(&self, path: Option<&Path>) -> Result<Inputs, Failure> {
        let Some(path) = path else { return Ok(self.clone()) };
        if path == Path::new("-") && self.pipes() > 0 {
            return Err(Failure::Usage("`--inputs -` and `@-` cannot both have standard input".into()));
        }
        let values = object(path)?;
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        Ok(Inputs { file: Some((folder.to_path_buf(), values)), ..self.clone() })
    }

    /// How many texts are to be read from standard input.
    fn pipes(&self) -> usize {
        self.typed.values().flatten().filter(|text| *text == PIPE).count()
    }

    /// What standard input holds, for the one text that takes it.
    fn piped(&self) -> Result<String, Failure> {
        if self.pipes() > 1 {
            return Err(Failure::Usage("`@-` is given for several texts, and standard input is one".into()));
        }
        if let Some(text) = self.piped.get() {
            return Ok(text.clone());
        }
        let text = std::io::read_to_string(std::io::stdin().lock().take(MAX_BYTES + 1))
            .map_err(|e| format!("cannot read standard input as UTF-8 text: {e}"))?;
        if text.len() as u64 > MAX_BYTES {
            return Err(format!("standard input has more than {} MB: a text has no more", MAX_BYTES >> 20).into());
        }
        Ok(self.piped.get_or_init(|| text).clone())
    }

    /// The option of an input as it was written.
    fn option(&self, name: &str) -> String {
        format!("--{}", self.written.get(name).map_or(name, String::as_str))
    }

    /// Whether an input is given.
    pub fn has(&self, name: &str) -> bool {
        self.typed.contains_key(name) || self.file.as_ref().is_some_and(|(_, values)| values.contains_key(name))
    }

    /// What was typed for an input: in place of a text, `@FILE` is what the file holds, `@-` what standard input holds, and `@@` begins one
    /// with `@`.
    fn text(&self, option: &str, text: &str, ty: &Type) -> Result<String, Failure> {
        match ty {
            Type::Optional(inner) | Type::List(inner) => return self.text(option, text, inner),
            Type::Text if text == PIPE => return self.piped(),
            Type::Text => {}
            _ => return Ok(text.to_string()),
        }
        match text.strip_prefix('@') {
            Some(rest) if rest.starts_with('@') => return Ok(rest.to_string()),
            Some(file) => {
                let help =
                    format!("write `@@{}…` for a text that begins so", file.chars().take(12).collect::<String>());
                return read(Path::new(file)).map_err(|e| format!("the input `{option}`: {e}\n  help: {help}").into());
            }
            None => {}
        }
        if Path::new(text).is_file() {
            note(&format!(
                "`{option}` is the text `{text}`; `{option} @{text}` gives what the file of that name holds"
            ));
        }
        Ok(text.to_string())
    }

    /// An input's value, if it is given.
    pub fn value(&self, name: &str, ty: &Type) -> Result<Option<Value>, Failure> {
        let cell = self.file.as_ref().and_then(|(folder, values)| Some((folder, values.get(name)?)));
        match (self.typed.get(name), cell) {
            (None, None) => Ok(None),
            (Some(_), Some(_)) => {
                Err(Failure::Usage(format!("the input `{name}` is given twice: in the file and as an option")))
            }
            (Some(texts), None) => {
                let option = self.option(name);
                let texts = texts.iter().map(|text| self.text(&option, text, ty)).collect::<Result<Vec<_>, _>>()?;
                parse_input(&texts, ty).map(Some).map_err(|fault| about(&format!("`{option}`"), &fault))
            }
            (None, Some((folder, cell))) => {
                let cells = Cells { folder, plain: false };
                admit(cell, ty, cells, "$").map(Some).map_err(|fault| about(&format!("`{name}`"), &fault))
            }
        }
    }
}

/// What is wrong with an input.
pub fn about(what: &str, fault: &Fault) -> Failure {
    let help = fault.help.as_ref().map_or(String::new(), |h| format!("\n  help: {h}"));
    let said = fault.detail.as_ref().map_or(String::new(), |d| format!("\n  it said: {d}"));
    Failure::Message(format!("the input {what}: {}{said}{help}", fault.message))
}

/// The commands that take a job's inputs.
const TAKE_INPUTS: [&str; 12] = [
    "export",
    "graph",
    "plan",
    "profile",
    "run",
    "submit",
    "why",
    "why-not",
    "what-if",
    "pareto",
    "sensitivity",
    "validate",
];

/// Whether a command takes a job's inputs as options.
pub fn takes_inputs(command: &str) -> bool {
    command != "profile" && TAKE_INPUTS.contains(&command)
}

/// Parts the arguments of commands that plan into the command's own and the job's inputs.
pub fn split(all: Vec<String>) -> (Vec<String>, Inputs) {
    let (mut inputs, mut written) = (BTreeMap::<String, Vec<String>>::new(), BTreeMap::new());
    let command = Cli::command();
    let name = all.get(1).map(String::as_str).unwrap_or_default();
    let imports = name == "profile" && all.get(2).is_some_and(|word| word == "import");
    let Some(sub) = command.find_subcommand(name).filter(|_| TAKE_INPUTS.contains(&name) && !imports) else {
        return (all, Inputs::default());
    };
    let shorts: Vec<String> =
        sub.get_arguments().filter_map(|a| a.get_short()).chain(['h']).map(|c| format!("-{c}")).collect();
    let takes_value = |long: &str| -> Option<bool> {
        if matches!(long, "help" | "version") {
            return Some(false);
        }
        let arg = sub.get_arguments().find(|a| a.get_long() == Some(long))?;
        Some(arg.get_action().takes_values())
    };
    let mut own: Vec<String> = all[..2].to_vec();
    // Arguments behind `--`, which may begin with a dash.
    let mut plain: Option<Vec<String>> = None;
    let mut rest = all[2..].iter().peekable();
    // Behind `--`, every option is an input, whatever it is called.
    let mut behind = false;
    while let Some(word) = rest.next() {
        if word == "--" && !behind {
            behind = true;
            let mut words = Vec::new();
            while let Some(word) = rest.next_if(|w| !w.starts_with("--")) {
                words.push(word.clone());
            }
            if !words.is_empty() {
                plain = Some(words);
            }
            continue;
        }
        let Some(option) = word.strip_prefix("--").filter(|o| !o.is_empty()) else {
            own.push(word.clone());
            continue;
        };
        let (long, given) = option.split_once('=').map_or((option, None), |(l, v)| (l, Some(v)));
        match takes_value(long).filter(|_| !behind) {
            Some(takes) => {
                own.push(word.clone());
                if takes && given.is_none() {
                    own.extend(rest.next().cloned());
                }
            }
            None => {
                let name = long.replace('-', "_");
                if name != long {
                    written.insert(name.clone(), long.to_string());
                }
                let values = inputs.entry(name).or_default();
                values.extend(given.map(str::to_string));
                if given.is_none() {
                    while let Some(value) = rest.next_if(|w| !w.starts_with("--") && (behind || !shorts.contains(w))) {
                        values.push(value.clone());
                    }
                }
            }
        }
    }
    if let Some(words) = plain {
        own.push("--".to_owned());
        own.extend(words);
    }
    (own, Inputs { typed: inputs, written, ..Inputs::default() })
}

/// Refuses inputs that the job does not have.
pub fn known(inputs: &Inputs, names: &[&str]) -> Result<(), Failure> {
    if let Some((name, _)) =
        inputs.file.iter().flat_map(|(_, values)| values).find(|(n, _)| !names.contains(&n.as_str()))
    {
        let hint =
            nearest(name, names.iter().copied()).map_or(String::new(), |near| format!(": did you mean `{near}`?"));
        return Err(Failure::Usage(format!("the file of inputs has `{name}`, and the job no such input{hint}")));
    }
    for (name, values) in &inputs.typed {
        if !names.contains(&name.as_str()) {
            let command = Cli::command();
            let given = std::env::args().nth(1).unwrap_or_default();
            let own = command.get_subcommands().filter(|c| c.get_name() == given);
            let own: Vec<&str> = own.flat_map(|c| c.get_arguments()).filter_map(|a| a.get_long()).collect();
            let as_written = inputs.written.get(name).map_or(name.as_str(), String::as_str);
            let near = nearest(name, names.iter().copied()).or_else(|| nearest(as_written, own));
            let hint = match near {
                Some(near) => format!("did you mean `--{near}`?"),
                None => {
                    let whose = if given == "profile" { "task" } else { "job" };
                    match names {
                        [] => format!("the {whose} has no inputs"),
                        names => format!("the {whose}'s inputs are --{}", names.join(", --")),
                    }
                }
            };
            return Err(Failure::Usage(format!("there is no option or input `{}`: {hint}", inputs.option(name))));
        }
        if values.is_empty() {
            return Err(Failure::Usage(format!("`{}` has no value", inputs.option(name))));
        }
    }
    Ok(())
}

/// Refuses a command line that leaves out an input that the job needs.
pub fn missing<'a>(
    params: impl Iterator<Item = (&'a str, &'a Type)>,
    given: &dyn Fn(&str) -> bool,
) -> Result<(), Failure> {
    let needed: Vec<(&str, &Type)> =
        params.filter(|(name, ty)| !given(name) && !matches!(ty, Type::Optional(_))).collect();
    if needed.is_empty() {
        return Ok(());
    }
    let command = Cli::command();
    let taking = || command.get_subcommands().filter(|c| TAKE_INPUTS.contains(&c.get_name()));
    let taken = |name: &str| taking().any(|c| c.get_arguments().any(|a| a.get_long() == Some(name)));
    let all: Vec<String> = needed.iter().map(|(name, ty)| format!("`{name}` ({ty})")).collect();
    let what = match all.as_slice() {
        [one] => format!("the input {one} is missing"),
        all => format!("the inputs {} are missing", all.join(", ")),
    };
    let options: Vec<String> = needed.iter().map(|(name, _)| format!("--{name} …")).collect();
    let hint = match needed.iter().find(|(name, _)| taken(name)) {
        Some((name, _)) => {
            let them = if needed.len() == 1 { "it" } else { "them" };
            format!("give {them} behind `--`, since `--{name}` is an option: `-- {}`", options.join(" "))
        }
        None => format!("give `{}`", options.join(" ")),
    };
    Err(Failure::Usage(format!("{what}: {hint}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_string).collect()
    }

    #[test]
    fn own_options_and_inputs_part_wherever_they_stand() {
        let (own, inputs) = split(words("mkbc run job.mkb --videos a.mp4 b.mp4 --json --cluster here --question=why"));
        assert_eq!(own, words("mkbc run job.mkb --json --cluster here"));
        assert_eq!(inputs["videos"], ["a.mp4", "b.mp4"]);
        assert_eq!(inputs["question"], ["why"]);
    }

    #[test]
    fn a_short_option_ends_the_values_of_an_input() {
        let (own, inputs) = split(words("mkbc run job.mkb --offset -5 --videos a.mp4 -q"));
        assert_eq!(own, words("mkbc run job.mkb -q"));
        assert_eq!((&inputs["videos"], &inputs["offset"]), (&words("a.mp4"), &words("-5")));
    }

    #[test]
    fn behind_two_dashes_all_options_are_inputs() {
        let (own, inputs) = split(words("mkbc run job.mkb --report a.html -- --report Q3 -q --key k --key l"));
        assert_eq!(own, words("mkbc run job.mkb --report a.html"));
        assert_eq!((&inputs["report"], &inputs["key"]), (&words("Q3 -q"), &words("k l")));
        let (own, inputs) = split(words("mkbc run --json -- -job.mkb --text a"));
        assert_eq!((own, &inputs["text"]), (words("mkbc run --json -- -job.mkb"), &words("a")));
    }

    #[test]
    fn an_option_is_shown_as_it_was_written() {
        let (_, inputs) = split(words("mkbc run job.mkb --max-words 5 --min_words 2 --text a"));
        assert_eq!((&inputs["max_words"], &inputs["min_words"]), (&words("5"), &words("2")));
        assert_eq!(
            ["max_words", "min_words", "text"].map(|name| inputs.option(name)),
            ["--max-words", "--min_words", "--text"]
        );
    }

    #[test]
    fn other_commands_keep_their_arguments() {
        let (own, inputs) = split(words("mkbc check job.mkb --fix"));
        assert_eq!(own, words("mkbc check job.mkb --fix"));
        assert!(inputs.is_empty());
    }
}
