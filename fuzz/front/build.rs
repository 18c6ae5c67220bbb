//! Generates the parser, as the compiler's own build does.

fn main() {
    println!("cargo:rerun-if-changed=../../grammar/mkb.lalrpop");
    let mut config = lalrpop::Configuration::new();
    if let Err(error) = config.set_in_dir("../../grammar").process() {
        eprintln!("grammar/mkb.lalrpop: {error}");
        std::process::exit(1);
    }
}
