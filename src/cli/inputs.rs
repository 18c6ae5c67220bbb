//! The job's inputs on the command line: `--videos a.mp4 b.mp4 --question "…"`, beside the command's own options.

use super::Failure;
use super::args::Cli;
use crate::diag::nearest;
use crate::types::Type;
use clap::CommandFactory;
use std::collections::BTreeMap;

/// Inputs by name, each with its values as typed.
pub type Inputs = BTreeMap<String, Vec<String>>;

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

/// Parts the arguments of commands that plan into the command's own and the job's inputs.
pub fn split(all: Vec<String>) -> (Vec<String>, Inputs) {
    let mut inputs = Inputs::new();
    let command = Cli::command();
    let name = all.get(1).map(String::as_str).unwrap_or_default();
    let imports = name == "profile" && all.get(2).is_some_and(|word| word == "import");
    let Some(sub) = command.find_subcommand(name).filter(|_| TAKE_INPUTS.contains(&name) && !imports) else {
        return (all, inputs);
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
    let mut rest = all[2..].iter().peekable();
    while let Some(word) = rest.next() {
        let Some(option) = word.strip_prefix("--").filter(|o| !o.is_empty()) else {
            own.push(word.clone());
            continue;
        };
        let (long, given) = option.split_once('=').map_or((option, None), |(l, v)| (l, Some(v)));
        match takes_value(long) {
            Some(takes) => {
                own.push(word.clone());
                if takes && given.is_none() {
                    own.extend(rest.next().cloned());
                }
            }
            None => {
                let values = inputs.entry(long.replace('-', "_")).or_default();
                values.extend(given.map(str::to_string));
                if given.is_none() {
                    while let Some(value) = rest.next_if(|w| !w.starts_with("--") && !shorts.contains(w)) {
                        values.push(value.clone());
                    }
                }
            }
        }
    }
    (own, inputs)
}

/// Refuses inputs that the job does not have.
pub fn known(inputs: &Inputs, names: &[&str]) -> Result<(), Failure> {
    for (name, values) in inputs {
        if !names.contains(&name.as_str()) {
            let command = Cli::command();
            let given = std::env::args().nth(1).unwrap_or_default();
            let own = command.get_subcommands().filter(|c| c.get_name() == given);
            let own: Vec<&str> = own.flat_map(|c| c.get_arguments()).filter_map(|a| a.get_long()).collect();
            let hint = match nearest(name, names.iter().copied().chain(own)) {
                Some(near) => format!("did you mean `--{near}`?"),
                None => format!(
                    "the job's inputs are {}",
                    names.iter().map(|n| format!("--{n}")).collect::<Vec<_>>().join(", ")
                ),
            };
            return Err(Failure::Usage(format!("there is no option or input `--{name}`: {hint}")));
        }
        if values.is_empty() {
            return Err(Failure::Usage(format!("`--{name}` has no value")));
        }
    }
    Ok(())
}

/// Refuses a command line that leaves out an input that the job needs.
pub fn missing<'a>(
    params: impl Iterator<Item = (&'a str, &'a Type)>,
    given: &dyn Fn(&str) -> bool,
) -> Result<(), Failure> {
    let mut needed = params.filter(|(name, ty)| !given(name) && !matches!(ty, Type::Optional(_)));
    match needed.next() {
        Some((name, ty)) => Err(Failure::Usage(format!("the input `{name}` ({ty}) is missing: give `--{name} …`"))),
        None => Ok(()),
    }
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
    fn other_commands_keep_their_arguments() {
        let (own, inputs) = split(words("mkbc check job.mkb --fix"));
        assert_eq!(own, words("mkbc check job.mkb --fix"));
        assert!(inputs.is_empty());
    }
}
