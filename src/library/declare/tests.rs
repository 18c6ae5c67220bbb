//! The standard library's profiles are read late, when nobody would be told of a mistake: here they are read at once.

use super::{Module, Reading, declare};
use crate::compile::Texts;
use crate::diag::Diagnostics;
use crate::library::Library;
use crate::syntax::parse::parse;

fn standard(reading: Reading, cx: &mut Diagnostics) -> Library {
    let texts = Texts::with_stdlib();
    let trees: Vec<_> =
        texts.modules.iter().map(|(name, file)| (name.clone(), parse(*file, &texts.sources, cx))).collect();
    let modules: Vec<Module> =
        trees.iter().map(|(name, tree)| Module { name: name.clone(), tree, of_library: true }).collect();
    declare(&modules, (&texts.profiles, &texts.measured), (&texts.sources, reading), cx)
}

#[test]
fn the_standard_library_has_no_mistake_and_reads_the_same_late_and_now() {
    let mut cx = Diagnostics::default();
    let now = standard(Reading::Now, &mut cx);
    let said: Vec<String> = cx.into_sorted().iter().map(|d| format!("{} {}", d.code, d.message)).collect();
    assert!(said.is_empty(), "{said:#?}");
    let late = standard(Reading::Late, &mut Diagnostics::default());
    for (name, entry) in &now.implementations {
        assert_eq!(format!("{:?}", late.implementations[name]), format!("{entry:?}"));
        assert!(entry.profile.names().next().is_some() || entry.flow.is_some() || entry.profile.estimates.is_some());
    }
}
