//! `mkbc explain`

use super::args::ExplainOptions;
use super::{Failure, print};
use crate::diag::{codes, nearest};
use clap::builder::{PossibleValue, TypedValueParser};
use clap::{Arg, Command};
use std::ffi::OsStr;

/// A code as it is typed: shells complete those that there are, and any other has an answer of its own.
#[derive(Clone)]
pub struct Code;

impl TypedValueParser for Code {
    type Value = String;

    fn parse_ref(&self, _: &Command, _: Option<&Arg>, value: &OsStr) -> Result<String, clap::Error> {
        Ok(value.to_string_lossy().into_owned())
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(codes::PAGES.iter().map(|(code, _)| PossibleValue::new(*code))))
    }
}

/// Prints the page of a code, or the list of codes.
pub fn explain(options: &ExplainOptions) -> Result<(), Failure> {
    let Some(code) = &options.code else {
        for (code, page) in codes::PAGES {
            print(&format!("{code}  {}\n", codes::title(page)));
        }
        return Ok(());
    };
    let wanted = code.to_uppercase();
    match codes::page(&wanted) {
        Some(page) => {
            print(page);
            Ok(())
        }
        None => {
            let near = nearest(&wanted, codes::PAGES.iter().map(|(c, _)| *c));
            let hint = near.map_or(String::new(), |n| format!(": did you mean `{n}`?"));
            Err(Failure::Usage(format!("there is no code `{code}`{hint}; `mkbc explain` lists all of them")))
        }
    }
}
