//! `mkbc explain`

use super::args::ExplainOptions;
use super::{Failure, print};
use crate::diag::{codes, nearest};

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
