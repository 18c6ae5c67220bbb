//! `mkbc`: the command line.

use std::process::ExitCode;

fn main() -> ExitCode {
    murakkab::cli::main()
}
