//! Generates the parser, and says in one sentence what to install where z3 is missing.

use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=grammar/mkb.lalrpop");
    println!("cargo:rerun-if-env-changed=Z3_LIBRARY_PATH_OVERRIDE");
    println!("cargo:rerun-if-env-changed=Z3_NO_PKG_CONFIG");
    let own_z3 =
        std::env::var_os("Z3_LIBRARY_PATH_OVERRIDE").is_some() || std::env::var_os("Z3_NO_PKG_CONFIG").is_some();
    let found = Command::new("pkg-config").args(["--exists", "z3"]).status().is_ok_and(|s| s.success());
    if !own_z3 && !found {
        println!(
            "cargo:warning=z3 was not found: `sudo apt-get install libz3-dev pkg-config` installs it (`make setup` does)"
        );
    }
    let mut config = lalrpop::Configuration::new();
    config.set_in_dir("grammar").emit_rerun_directives(true);
    if let Err(error) = config.process() {
        eprintln!("grammar/mkb.lalrpop: {error}");
        std::process::exit(1);
    }
}
