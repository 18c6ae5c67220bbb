//! What editors ask, as goldens: `tests/ide/FEATURE.txt` holds cases of a feature. A case is `#### NAME`, a source with a cursor
//! `<|>`, `----`, and what the feature answers there. `BLESS=1 cargo test --test ide` writes the answers again.

use murakkab::compile::{Base, Near, Texts, anywhere};
use murakkab::diag::Diagnostics;
use murakkab::diag::source::Span;
use murakkab::ide::{
    Analysis, Beside, actions, analyse, analyse_after, calls, completion, definition, folding, hints, hover, links,
    outline, planning, references, rename, selection, signature, tokens,
};
use murakkab::space::Machines;
use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;

const CURSOR: &str = "<|>";

/// A source, checked, with its cursor.
struct Case<'a> {
    name: &'a str,
    base: &'a mut Base,
    analysis: Analysis,
    at: u32,
}

impl Case<'_> {
    fn place(&self, span: Span) -> String {
        if span.file != self.analysis.file {
            let texts = self.base.texts();
            let (line, column) = texts.sources.line_column(span);
            return format!("{}:{line}:{column} `{}`", texts.sources.get(span.file).name, texts.sources.text(span));
        }
        let before = &self.analysis.text[..span.start as usize];
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
        format!("{line}:{column} `{}`", self.analysis.slice(span).replace('\n', "⏎"))
    }
}

/// The plans of a case.
fn plans(case: &mut Case) -> planning::Plans {
    planned(case.base, case.analysis.text.clone(), &mut planning::Memory::default())
}

/// The planner of the tests: whatever cluster is named, and no clock.
fn planned(base: &mut Base, text: Arc<str>, memory: &mut planning::Memory) -> planning::Plans {
    let machines = |name: Option<&str>, library: &murakkab::library::Library| {
        let cluster = library.clusters.get(name.unwrap_or("azure_mixed")).ok_or("no such cluster")?;
        let pools = cluster.pools.iter().map(|(d, n, price)| (d.clone(), (*n, *price)));
        Ok(Machines { name: cluster.name.clone(), pools: pools.collect() })
    };
    let planner = planning::Planner { machines: &machines, reports: &|_| true, usable: &|_| anywhere, stop: &|| false };
    planning::plans(base, "test.mkb", text, Beside::default(), &planner, memory)
}

fn answer(feature: &str, case: &mut Case) -> String {
    let mut out = String::new();
    let at = case.at;
    match feature {
        "hover" => match hover::hover(&case.analysis, at) {
            Some((span, text)) => {
                let _ = writeln!(out, "{}\n{text}", case.place(span));
            }
            None => out.push_str("nothing\n"),
        },
        "completion" => {
            let list = completion::completions(&case.analysis, at);
            for c in list.iter().take(14) {
                let insert = if c.insert == c.label { String::new() } else { format!(" => {:?}", c.insert) };
                let more: String =
                    c.more.iter().map(|e| format!(" + {:?} at {}", e.insert, case.place(e.span))).collect();
                let _ = writeln!(out, "{:?} {} ({}){insert}{more}", c.kind, c.label, c.detail);
            }
            let _ = writeln!(out, "{} in all", list.len());
        }
        "definition" => match definition::definition(&case.analysis, case.base, at) {
            Some((from, to)) => {
                let _ = writeln!(out, "{} is defined at {}", case.place(from), case.place(to));
            }
            None => out.push_str("nothing\n"),
        },
        "references" => {
            for o in references::references(&case.analysis, at, true) {
                let _ = writeln!(out, "{}{}", case.place(o.span), if o.definition { " defines it" } else { "" });
            }
        }
        "rename" => {
            let to = case.name.rsplit(' ').next().unwrap_or("x");
            match rename::rename(&case.analysis, case.base, at, to, Beside::default()) {
                Ok(edits) => out.push_str(&rename::applied(&case.analysis.text, &edits)),
                Err(why) => {
                    let _ = writeln!(out, "refused: {why}");
                }
            }
        }
        "symbols" => outline::outline(&case.analysis).iter().for_each(|e| show_entry(e, case, 0, &mut out)),
        "folding" => {
            for (span, kind) in folding::folds(&case.analysis) {
                let _ = writeln!(out, "{kind:?} {}", case.place(span));
            }
        }
        "selection" => {
            for span in selection::selections(&case.analysis, at) {
                let _ = writeln!(out, "{}", case.place(span));
            }
        }
        "tokens" => {
            for t in tokens::semantic(&case.analysis) {
                let more = if t.definition { " definition" } else { "" };
                let library = if t.library { " library" } else { "" };
                let _ = writeln!(out, "{:?}{more}{library} {}", t.kind, case.place(t.span));
            }
        }
        "signature" => {
            let _ = match signature::signature(&case.analysis, at) {
                Some(s) => {
                    let active = s
                        .active
                        .and_then(|a| s.params.get(a as usize))
                        .map(|(a, b)| &s.label[*a as usize..*b as usize]);
                    writeln!(out, "{}\n{}\nat {}", s.label, s.docs, active.unwrap_or("no parameter"))
                }
                None => writeln!(out, "nothing"),
            };
        }
        "links" => {
            for link in links::links(&case.analysis) {
                let _ = writeln!(out, "{} -> {}", case.place(link.span), link.paths.join(" or "));
            }
        }
        "hints" => {
            let plans = plans(case);
            let mut text = case.analysis.text.to_string();
            for hint in hints::hints(&case.analysis, Some(&plans)).iter().rev() {
                text.insert_str(hint.at as usize, &format!("«{}»", hint.label));
            }
            out.push_str(&text);
            for job in &plans.jobs {
                let _ = writeln!(out, "lens of {}: {}", job.job, job.summary);
            }
        }
        "actions" => {
            let plans = plans(case);
            for action in actions::actions(&case.analysis, Some(&plans), case.analysis.span(at as usize, at as usize)) {
                let text = rename::applied(&case.analysis.text, &action.edits);
                let after = analyse(case.base, "after.mkb", text.as_str().into(), Beside::default());
                let errors = after.diagnostics.iter().filter(|d| d.severity == murakkab::diag::Severity::Error).count();
                let preferred = if action.preferred { ", preferred" } else { "" };
                let _ =
                    writeln!(out, "== {:?}{preferred}: {} ({errors} errors then)\n{text}", action.kind, action.title);
            }
        }
        "calls" => {
            let Some(item) = calls::prepare(&case.analysis, at) else { return "nothing\n".into() };
            for (word, list) in [
                ("called by", calls::incoming(&case.analysis, &item.name)),
                ("calls", calls::outgoing(&case.analysis, &item.name)),
            ] {
                for c in list {
                    let places: Vec<String> = c.places.iter().map(|p| case.place(*p)).collect();
                    let _ = writeln!(out, "{} {word} {}: {}", item.name, c.name, places.join(", "));
                }
            }
        }
        other => panic!("tests/ide/{other}.txt is of no feature"),
    }
    out
}

fn show_entry(entry: &outline::Entry, case: &Case, depth: usize, out: &mut String) {
    let _ = writeln!(
        out,
        "{:depth$}{:?} {} {} at {}",
        "",
        entry.kind,
        entry.name,
        entry.detail,
        case.place(entry.name_span),
        depth = depth * 2
    );
    entry.children.iter().for_each(|c| show_entry(c, case, depth + 1, out));
}

/// What lies beside the cases: a trace.
fn beside() -> Beside<'static> {
    Beside {
        near: Near {
            load: &|name| (name == "arrivals.csv").then(|| Ok([("".into(), 5.into())].into())),
            ..Near::default()
        },
        ..Beside::default()
    }
}

#[test]
fn every_feature_answers_as_its_golden_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ide");
    let mut wrong = Vec::new();
    let mut base = Base::new(Texts::with_stdlib());
    let mut files: Vec<_> = std::fs::read_dir(&folder).expect("the folder").flatten().map(|e| e.path()).collect();
    files.retain(|p| p.extension().is_some_and(|e| e == "txt"));
    files.sort();
    assert!(files.len() >= 13, "a file a feature");
    for path in files {
        let feature = path.file_stem().and_then(|s| s.to_str()).expect("a name").to_string();
        let old = std::fs::read_to_string(&path).expect("the cases");
        let mut new = String::new();
        for case in old.split("#### ").skip(1) {
            let (name, rest) = case.split_once('\n').expect("a name");
            let source = rest.split("\n----\n").next().unwrap_or(rest).trim_end_matches('\n');
            let source = format!("{source}\n");
            let at = source.find(CURSOR).unwrap_or(0);
            let text = source.replacen(CURSOR, "", 1);
            let analysis = analyse(&mut base, "test.mkb", text.as_str().into(), beside());
            let mut case = Case { name, base: &mut base, analysis, at: at as u32 };
            let answer = answer(&feature, &mut case);
            let _ = write!(new, "#### {name}\n{source}----\n{}\n\n", answer.trim_end());
        }
        if new != old {
            if std::env::var_os("BLESS").is_some() {
                std::fs::write(&path, &new).expect("writes");
            } else {
                let diff = similar::TextDiff::from_lines(&old, &new);
                wrong.push(format!("{}:\n{}", path.display(), diff.unified_diff()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Every prefix of a file, with the cursor at its end and in its middle: nothing panics, and places stay inside.
#[test]
fn no_feature_panics_on_a_file_that_is_being_typed() {
    let source = include_str!("../examples/video_qa.mkb");
    let mut base = Base::new(Texts::with_stdlib());
    for end in (0..source.len()).filter(|i| source.is_char_boundary(*i)).step_by(7).chain([source.len()]) {
        let analysis = analyse(&mut base, "typed.mkb", source[..end].into(), Beside::default());
        let inside = |s: Span| assert!(s.file != analysis.file || s.end as usize <= end, "{s:?} of {end}");
        for at in [end, end / 2] {
            let at = at as u32;
            hover::hover(&analysis, at).iter().for_each(|(s, _)| inside(*s));
            completion::completions(&analysis, at).iter().for_each(|c| inside(c.span));
            definition::definition(&analysis, &base, at).iter().for_each(|(s, _)| inside(*s));
            let _ = rename::rename(&analysis, &mut base, at, "other", Beside::default());
            let _ = signature::signature(&analysis, at);
            selection::selections(&analysis, at).into_iter().for_each(inside);
            let part = analysis.span(at as usize, at as usize);
            actions::actions(&analysis, None, part).iter().flat_map(|a| &a.edits).for_each(|e| inside(e.span));
        }
        tokens::semantic(&analysis).iter().for_each(|t| inside(t.span));
        folding::folds(&analysis).into_iter().for_each(|(s, _)| inside(s));
        outline::outline(&analysis).iter().for_each(|e| inside(e.span));
        let _ = (hints::hints(&analysis, None), links::links(&analysis));
    }
}

/// What a person, or a paste that goes wrong, does to a text.
fn edited(text: &str, random: &mut fastrand::Rng) -> String {
    const TYPED: [&str; 28] = [
        "x",
        " ",
        "\n",
        "\n\n",
        "{",
        "}",
        "(",
        ")",
        "[",
        "]",
        "\"",
        ",",
        ":",
        "=",
        ".",
        "?",
        "//",
        "/// says\n",
        "é",
        "# no\n",
        "\njob added(text: Text) -> Text {\n  text\n}\n",
        "job half(text: Text) ->",
        "use std.llm\n",
        "use std.nowhere\n",
        "type T { a: Text }\n",
        "let a = ",
        "  ",
        "}}",
    ];
    let place = |random: &mut fastrand::Rng, below: usize| {
        (random.usize(..=below)..).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len())
    };
    let line_start = |at: usize| text[..at].rfind('\n').map_or(0, |end| end + 1);
    let at = place(random, text.len());
    let (from, to) = match random.u8(..8) {
        // Lines go, or only their starts.
        0 => (line_start(at), text[at..].find('\n').map_or(text.len(), |end| at + end + 1)),
        1 => (line_start(at), at),
        2 => (at, place(random, text.len()).max(at).min(at + 200)),
        3 | 4 => (line_start(at), line_start(at)),
        5 => (at, text[at..].char_indices().nth(1).map_or(text.len(), |(next, _)| at + next)),
        _ => (at, at),
    };
    let to = (to..).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len());
    let insert = match random.u8(..4) {
        0 => "",
        1 => {
            let (a, b) = (place(random, text.len()), place(random, text.len()));
            let (a, b) = (a.min(b), a.max(b));
            &text[a..(b.min(a + 120)..).find(|at| text.is_char_boundary(*at)).unwrap_or(b)]
        }
        _ => TYPED[random.usize(..TYPED.len())],
    };
    format!("{}{insert}{}", &text[..from], &text[to..])
}

/// Edits upon edits: what stayed of the text before is what a check of the whole text finds, to the last place.
#[test]
fn a_check_after_an_edit_says_what_a_check_of_the_whole_says() {
    let files = ["examples", "tests/check", "tests/toolchain/mistakes"]
        .iter()
        .flat_map(|folder| std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)).expect("the folder"))
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|e| e == "mkb"));
    let mut sources: Vec<String> = files.map(|path| std::fs::read_to_string(path).expect("a text")).collect();
    sources.sort();
    let (mut base, mut fresh) = (Base::new(Texts::with_stdlib()), Base::new(Texts::with_stdlib()));
    let mut random = fastrand::Rng::with_seed(8);
    for source in &sources {
        let (mut text, mut before) = (source.clone(), None);
        for _ in 0..5 {
            let after = analyse_after(&mut base, "test.mkb", text.as_str().into(), Beside::default(), before);
            let whole = analyse(&mut fresh, "test.mkb", text.as_str().into(), Beside::default());
            assert_eq!(after.tree, whole.tree, "of {text}");
            assert_eq!(after.diagnostics, whole.diagnostics, "of {text}");
            assert_eq!(format!("{:?}", after.program), format!("{:?}", whole.program), "of {text}");
            before = Some(after);
            text = edited(&text, &mut random);
        }
    }
}

#[test]
fn a_job_that_was_not_typed_at_is_not_checked_again() {
    let mut base = Base::new(Texts::with_stdlib());
    let text = "job a(text: Text) -> Text {\n  text\n}\n\njob b(text: Text) -> Text {\n  text\n}\n\njob c(n: Int) -> Int {\n  n\n}\n";
    let mut docs_after = |edited: &str| {
        let mut before = analyse(&mut base, "test.mkb", text.into(), Beside::default());
        before.program.jobs[2].docs = "kept".into();
        let after = analyse_after(&mut base, "test.mkb", edited.into(), Beside::default(), Some(before));
        after.program.jobs[2].docs.to_string()
    };
    assert_eq!(docs_after(&text.replacen("  text\n", "  text + \"!\"\n", 1)), "kept");
    assert_eq!(docs_after(&text.replacen("  n\n", "  n + 1\n", 1)), "", "its own text is another");
    assert_eq!(docs_after(&text.replacen("a(text: Text)", "a(text: Int)", 1)), "", "it could call `a`");
    assert_eq!(docs_after(&format!("use std.llm\n{text}")), "", "it could call other tasks");
}

#[test]
fn the_compositions_of_a_module_are_checked_once() {
    let mut base = Base::new(Texts::with_stdlib());
    let text = "use std.compose\nuse std.math\n\njob j(problem: Text) -> Text { solve_math(problem) }\n";
    let mut checked = |text: &str| base.check(("test.mkb", text), Near::default(), &mut Diagnostics::default()).program;
    let (first, again) = (checked(text), checked(&format!("// typed\n{text}")));
    assert!(!first.compositions.is_empty());
    assert_eq!(first.compositions.len(), again.compositions.len());
    for (name, composition) in &first.compositions {
        assert!(std::sync::Arc::ptr_eq(composition, &again.compositions[name]), "`{name}` was checked again");
    }
    // A file that uses no module has none of them.
    assert!(checked("job j(text: Text) -> Text { text }\n").compositions.is_empty());
}

#[test]
fn a_files_own_items_are_declared_again_only_when_they_change() {
    let mut base = Base::new(Texts::with_stdlib());
    let own = "task shout(text: Text) -> Text {\n  work input = text.tokens\n}\n";
    let mut said = Vec::new();
    let mut library = |text: &str| {
        let mut cx = Diagnostics::default();
        let library = base.check(("test.mkb", text), Near::default(), &mut cx).library;
        said.push(cx.sorted().into_iter().map(|d| (d.code, d.primary.span.start)).collect::<Vec<_>>());
        library
    };
    let first = library(&format!("{own}job j(text: Text) -> Text {{ shout(text) }}\n"));
    let typed = library(&format!("{own}job j(words: Text) -> Text {{ shout(words) }}\n"));
    assert!(std::sync::Arc::ptr_eq(&first, &typed), "only a job changed");
    let moved = library(&format!("\n{own}job j(text: Text) -> Text {{ shout(text) }}\n"));
    assert!(!std::sync::Arc::ptr_eq(&first, &moved), "its items have other places");
    let without = library("job j(text: Text) -> Text { text }\n");
    assert!(!without.tasks.contains_key("shout"));
    assert_eq!(said[0], said[1], "what is wrong with the items is said each time");
}

#[test]
fn a_plan_that_is_remembered_is_the_plan_that_would_be_made() {
    let job = |name: &str, seconds: u32| {
        format!(
            "job {name}(audio: Audio) -> Transcript {{\n  expect audio of {seconds} s\n  speech_to_text(audio)\n}}\n"
        )
    };
    let (uses, first, second) = ("use std.speech\n\n", job("first", 60), job("second", 90));
    // Of no known size, which planning says.
    let unsized_job = "job third(audio: Audio) -> Transcript { speech_to_text(audio) }\n";
    let clashes = second.replace("90 s\n", "90 s\n  slo { quality >= 100 % }\n");
    let texts = [
        format!("{uses}{first}{second}{unsized_job}"),
        format!("{uses}// typed 😀\n\n{first}{second}{unsized_job}"),
        format!("{uses}{}{unsized_job}{second}", job("first", 600)),
        format!("{uses}{first}{clashes}{unsized_job}"),
        format!("{uses}{first}job second(audio: Audio) -> Transcript {{ first(audio) }}\n{unsized_job}"),
        format!("use std.llm\n{uses}{first}{second}{unsized_job}"),
    ];
    let mut base = Base::new(Texts::with_stdlib());
    let mut memory = planning::Memory::default();
    for text in texts {
        let text: Arc<str> = text.into();
        let remembered = planned(&mut base, text.clone(), &mut memory);
        let made = planned(&mut base, text.clone(), &mut planning::Memory::default());
        assert!(made.jobs.len() == 3 && !made.diagnostics.is_empty(), "{text}");
        assert_eq!(format!("{remembered:#?}"), format!("{made:#?}"), "{text}");
    }
}
