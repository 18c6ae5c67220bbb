//! The diagnostics of checking: E02xx names and types, E03xx units and clauses, E05xx holes, E06xx what is not supported yet.

use crate::diag::source::Span;
use crate::diag::{Diagnostic, nearest};
use crate::types::Type;
use crate::units::{self, Dimension, counted};
use ecow::EcoString;
use rust_decimal::Decimal;
use std::collections::BTreeSet;

fn with_near(d: Diagnostic, at: Span, name: &str, near: Option<&str>) -> Diagnostic {
    match near {
        Some(near) => d.near(at, name, near),
        None => d,
    }
}

/// E0201: a name that means nothing.
pub fn unknown_name(at: Span, name: &str, near: Option<&str>) -> Diagnostic {
    let d = Diagnostic::error("E0201", format!("there is no `{name}`"), at, "not in scope");
    with_near(d.help("define it with `let`, or make it an input of the job"), at, name, near)
}

/// E0201: a metric where a value stands, as of a limit outside of `slo`.
pub fn metric_outside(at: Span, name: &str, rule: Option<&str>) -> Diagnostic {
    let d = Diagnostic::error("E0201", format!("there is no `{name}` here"), at, "a metric is no value");
    let sign = if name == "quality" { ">=" } else { "<=" };
    let limit = format!("write a limit as `slo {{ {name} {sign} … }}`, or behind `prefer`");
    d.help(match rule {
        Some(rule) => format!("{limit}; a rule as `{rule}`"),
        None => limit,
    })
}

/// E0202: a task or job that does not exist.
pub fn unknown_task(at: Span, name: &str, near: Option<&str>) -> Diagnostic {
    let d = Diagnostic::error(
        "E0202",
        format!("there is no task `{name}`"),
        at,
        "neither a task of the library nor a job of this file",
    );
    with_near(d.help("declare the task, or leave a hole: `?`"), at, name, near)
}

/// E0203: a task of a module that is not used.
pub fn not_imported(at: Span, name: &str, module: &str, source: &str) -> Diagnostic {
    let (top, line_end) = top(source);
    let top = Span { start: top, end: top, ..at };
    Diagnostic::error("E0203", format!("`{name}` is not in scope"), at, format!("declared in `{module}`"))
        .help(format!("add `use {module}` at the top of the file"))
        .fix(format!("add `use {module}`"), top, format!("use {module}{line_end}"))
}

/// Where the first `use` of a file belongs, behind the comment that heads it, and how the file ends its lines.
fn top(source: &str) -> (u32, &'static str) {
    let line_end = if source.contains("\r\n") { "\r\n" } else { "\n" };
    let mut at = if source.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    let mut top = at;
    for line in source[at..].split_inclusive('\n') {
        let text = line.trim();
        let comment = text.starts_with("//") && (!text.starts_with("///") || text.starts_with("////"));
        if !(comment || text.is_empty()) || !line.ends_with('\n') {
            break;
        }
        at += line.len();
        // A comment that touches an item is the item's.
        if text.is_empty() {
            top = at;
        }
    }
    if source[at..].starts_with("use ") {
        top = at;
    }
    (top as u32, line_end)
}

/// E0204: a type that does not exist.
pub fn unknown_type(at: Span, name: &str, near: Option<&str>) -> Diagnostic {
    let d = Diagnostic::error("E0204", format!("there is no type `{name}`"), at, "neither built in nor declared");
    if let Some((_, here)) = TYPES_ELSEWHERE.iter().find(|(words, _)| words.contains(&name.to_lowercase().as_str())) {
        return d.help(format!("write `{here}`")).fix(format!("write `{here}`"), at, *here);
    }
    with_near(d.help(format!("declare it: `type {name} {{ … }}`")), at, name, near)
}

/// What types are called elsewhere, in lower case, and here.
const TYPES_ELSEWHERE: [(&[&str], &str); 6] = [
    (&["string", "str", "varchar"], "Text"),
    (&["integer", "int32", "int64", "i64", "u64"], "Int"),
    (&["double", "float64", "f64", "number", "decimal"], "Float"),
    (&["boolean"], "Bool"),
    (&["pdf"], "Document"),
    (&["object", "dict", "map", "any"], "Json"),
];

/// E0205: a value of the wrong type.
pub fn wrong_type(at: Span, wanted: &Type, found: &Type, why: Option<(Span, String)>) -> Diagnostic {
    let d = Diagnostic::error(
        "E0205",
        format!("`{wanted}` is wanted here, and this is `{found}`"),
        at,
        format!("this is `{found}`"),
    );
    let d = match why {
        Some((span, text)) if span != at => d.because(span, text),
        _ => d,
    };
    match (wanted, found) {
        (wanted, Type::Optional(inner)) if inner.fits(wanted) => {
            d.help(format!("say what stands in where it is absent: `… or VALUE`, with a value of type `{wanted}`"))
        }
        (item, Type::List(t)) if **t == *item => d.help("take one item at a time: `for item in list { … }`"),
        (Type::List(t), item) if **t == *item => d.help("put it into a list: `[value]`"),
        _ => d.help(format!("give a value of type `{wanted}`")),
    }
}

/// E0206: wrong number of arguments.
pub fn wrong_arity(at: Span, name: &str, wanted: &[String], given: usize) -> Diagnostic {
    let are = if given == 1 { "is" } else { "are" };
    Diagnostic::error(
        "E0206",
        format!("`{name}` takes {}, and {given} {are} given", counted(wanted.len(), "argument")),
        at,
        "in this call",
    )
    .help(format!("it takes ({})", wanted.join(", ")))
}

/// E0207: an argument that the callee does not have, or has already.
pub fn unknown_argument(at: Span, callee: &str, name: &str, near: Option<&str>) -> Diagnostic {
    if near == Some(name) {
        return Diagnostic::error("E0207", format!("`{callee}` is given `{name}` twice"), at, "given already")
            .help("remove one of the two");
    }
    let d = Diagnostic::error("E0207", format!("`{callee}` takes no `{name}`"), at, "no such parameter");
    with_near(d.help("look at the task's parameters"), at, name, near)
}

/// E0208: a required argument is missing.
pub fn missing_argument(at: Span, callee: &str, name: &str, ty: &Type) -> Diagnostic {
    Diagnostic::error("E0208", format!("`{callee}` needs `{name}`"), at, format!("`{name}: {ty}` is not given"))
        .help(format!("give it a value, or a hole: `{name}: ?`"))
}

/// E0209: a field that a value does not have.
pub fn unknown_field(at: Span, ty: &Type, name: &str, near: Option<&str>) -> Diagnostic {
    let d = Diagnostic::error("E0209", format!("`{ty}` has no `{name}`"), at, "no such field or size");
    with_near(d, at, name, near)
}

/// W0210: something is never used.
pub fn unused(at: Span, what: &str, name: &str) -> Diagnostic {
    Diagnostic::warning("W0210", format!("the {what} `{name}` is never used"), at, "nothing depends on it")
        .help("use it or remove it; what nothing uses is not run")
}

/// W0211: a module that is never used.
pub fn unused_module(at: Span, line: Span, name: &str) -> Diagnostic {
    Diagnostic::warning("W0211", format!("nothing of `{name}` is used"), at, "not needed").help("remove the line").fix(
        "remove it",
        line,
        "",
    )
}

/// W0212: a value that nobody takes.
pub fn value_not_used(at: Span) -> Diagnostic {
    Diagnostic::warning("W0212", "the value of this line is not used", at, "steps have no effects: nothing comes of it")
        .help("give it a name with `let`, or remove the line")
}

/// E0213: a job that calls itself, by way of others.
pub fn cycle(at: Span, path: &[&str]) -> Diagnostic {
    Diagnostic::error("E0213", format!("`{}` calls itself", path[0]), at, format!("cycle: {}", path.join(" → ")))
        .help("a workflow is a DAG: write a loop as `repeat up to 4 until …`")
}

/// E0214: a value that is used before it is defined.
pub fn used_before(at: Span, name: &str, defined: Span) -> Diagnostic {
    Diagnostic::error("E0214", format!("`{name}` is used before it is defined"), at, "not defined yet")
        .because(defined, "defined here")
        .help("move the definition up; if each needs the other, it is a cycle: carry the value with `repeat`")
}

/// E0215: a job without a result.
pub fn no_result(at: Span, ty: &Type) -> Diagnostic {
    Diagnostic::error("E0215", format!("this block must end with a value of type `{ty}`"), at, "no value at its end")
        .help("end it with an expression, or with a hole: `?`")
}

/// E0216: a name that hides another.
pub fn shadows(at: Span, name: &str, first: Span) -> Diagnostic {
    Diagnostic::error("E0216", format!("`{name}` is defined twice"), at, "defined again here")
        .because(first, "first defined here")
        .help("choose another name: values never change")
}

/// E0217: a built-in type cannot be declared.
pub fn built_in_type(at: Span, name: &str) -> Diagnostic {
    Diagnostic::error("E0217", format!("`{name}` is built in"), at, "cannot be declared again")
        .help("choose another name")
}

/// E0106: a record that holds too many others.
pub fn record_too_large(at: Span, name: &str, parts: usize, deep: usize) -> Diagnostic {
    let message =
        format!("the record `{name}` holds more than {parts} values, or more than {deep} records inside each other");
    Diagnostic::error("E0106", message, at, "too large").help("let it hold fewer records, or their names")
}

/// E0218: `List` without item type.
pub fn list_of_what(at: Span) -> Diagnostic {
    Diagnostic::error("E0218", "a list of what?", at, "the item type is missing").help("write `List[Text]`, say").fix(
        "write `List[Text]`",
        at,
        "List[Text]",
    )
}

/// E0219: a type that takes no argument.
pub fn takes_no_type(at: Span, name: &str) -> Diagnostic {
    Diagnostic::error("E0219", format!("`{name}` takes no type in brackets"), at, "only `List` does")
        .help("remove the brackets")
}

/// E0220: a module that does not exist.
pub fn unknown_module(at: Span, name: &str, near: Option<&str>) -> Diagnostic {
    let d = Diagnostic::error("E0220", format!("there is no module `{name}`"), at, "not in the library");
    with_near(d.help("`mkbc library` lists the modules; `--library DIR` adds your own"), at, name, near)
}

/// E0221: something else than a list in `for`.
pub fn not_a_list(at: Span, found: &Type) -> Diagnostic {
    Diagnostic::error(
        "E0221",
        format!("`for` goes over a list, and this is `{found}`"),
        at,
        format!("this is `{found}`"),
    )
    .help("give it a list")
}

/// E0221: a number of items of something that is no list.
pub fn not_counted(at: Span, input: &str, found: &Type) -> Diagnostic {
    Diagnostic::error("E0221", format!("`{input}` is one `{found}`, not a list of them"), at, "a number of items")
        .help("leave it out, or make the input a list")
}

/// E0222: an operator that does not fit.
pub fn bad_operands(at: Span, op: &str, left: (Span, &Type), right: (Span, &Type)) -> Diagnostic {
    Diagnostic::error("E0222", format!("`{op}` does not go with `{}` and `{}`", left.1, right.1), at, "here")
        .because(left.0, format!("`{}`", left.1))
        .because(right.0, format!("`{}`", right.1))
        .help("bring both sides to the same type")
}

/// E0223: names in a pattern that the value does not have.
pub fn bad_pattern(at: Span, names: usize, ty: &Type) -> Diagnostic {
    Diagnostic::error(
        "E0223",
        format!("{names} names for a value of type `{ty}`"),
        at,
        "the value has not so many parts",
    )
    .help("write one name for each part of the result")
}

/// E0301: a unit that does not exist.
pub fn unknown_unit(at: Span, text: &str) -> Diagnostic {
    let d = Diagnostic::error("E0301", format!("there is no unit `{text}`"), at, "not a unit");
    match units::suggest(text) {
        // What people write for a unit says which is meant; a near one is a guess.
        Some((near, true)) => d.help(format!("write `{near}`")).fix(format!("write `{near}`"), at, near),
        Some((near, false)) => d.help(format!("did you mean `{near}`?")).guess(format!("write `{near}`"), at, near),
        None => {
            let all: Vec<&str> = units::UNITS.iter().map(|u| u.name).collect();
            d.help(format!("the units are {} and rates of them, `tok/s` say", all.join(", ")))
        }
    }
}

/// E0303: a quantity of the wrong dimension.
pub fn wrong_dimension(at: Span, what: &str, wanted: Dimension, found: Dimension, example: &str) -> Diagnostic {
    Diagnostic::error("E0303", format!("{what} is {wanted}, and this is {found}"), at, format!("this is {found}"))
        .help(format!("write `{example}`, say"))
}

/// E0303: a share or a number with a unit that it does not have.
pub fn not_its_unit(at: Span, metric: &str, wanted: &str, example: &str) -> Diagnostic {
    Diagnostic::error("E0303", format!("`{metric}` is {wanted}"), at, format!("not {wanted}"))
        .help(format!("write `{example}`, say"))
}

/// E0304: a number without its unit.
pub fn missing_unit(at: Span, metric: &str, text: &str, unit: &str) -> Diagnostic {
    // `quality >= 0.8` means 80 %.
    let share = text.parse::<Decimal>().ok().filter(|n| unit == "%" && *n <= Decimal::ONE);
    let with_unit = match share {
        Some(share) => format!("{} %", (share * Decimal::ONE_HUNDRED).normalize()),
        None => format!("{text} {unit}"),
    };
    let d = Diagnostic::error("E0304", format!("`{metric}` needs a unit"), at, "a plain number");
    let title = format!("write `{with_unit}`");
    // 1 may be all of it, or one in a hundred.
    if share == Some(Decimal::ONE) {
        return d.help("write `100 %` or `1 %`").guess(title, at, with_unit);
    }
    // Which currency is meant, nobody can tell.
    let sure = unit != "usd";
    let d = d.help(title.clone());
    if sure { d.fix(title, at, with_unit) } else { d.guess(title, at, with_unit) }
}

/// E0305: a number that is not whole.
pub fn not_whole(at: Span, what: &str) -> Diagnostic {
    Diagnostic::error("E0305", format!("{what} must be a whole number"), at, "not a whole number of reasonable size")
        .help("write `4`, say")
}

/// E0305: a loop without a round.
pub fn no_rounds(at: Span) -> Diagnostic {
    Diagnostic::error("E0305", "a loop has at least one round", at, "none").help("write `up to 4`, say")
}

/// E0305: a load of nothing.
pub fn no_load(at: Span) -> Diagnostic {
    Diagnostic::error("E0305", "a load is more than zero", at, "no runs")
        .help("write how often the job is run, `30 requests/s` say, or remove the line")
}

/// E0306: too many digits.
pub fn number_too_long(at: Span) -> Diagnostic {
    Diagnostic::error("E0306", "this number cannot be held exactly", at, "more than 28 digits")
        .help("write fewer digits")
}

/// E0306: a whole number that is too large.
pub fn int_too_large(at: Span) -> Diagnostic {
    Diagnostic::error("E0306", "this number is larger than an Int holds", at, "above 9223372036854775807")
        .help("write a smaller number, or one with a point: `1.5`")
}

/// E0307: a metric that does not exist.
pub fn unknown_metric(at: Span, name: &str, near: Option<&str>) -> Diagnostic {
    let d = Diagnostic::error("E0307", format!("there is no metric `{name}`"), at, "nothing that can be limited");
    let called =
        [("time", "latency"), ("duration", "latency"), ("price", "cost"), ("money", "cost"), ("accuracy", "quality")];
    if let Some((_, here)) = called.iter().find(|(word, _)| *word == name) {
        return d.help(format!("write `{here}`")).guess(format!("write `{here}`"), at, *here);
    }
    let known = "limit `cost`, `latency`, `ttft`, `tpot`, `quality`, `energy` or `gpus`";
    with_near(d.help(known), at, name, near)
}

/// E0307: a percentile of something that has none.
pub fn no_percentile(at: Span, metric: &str, percentile: &str, part: Span) -> Diagnostic {
    let d = Diagnostic::error("E0307", format!("`{metric}` has no `{percentile}`"), at, "not a part of this metric");
    if ["latency", "ttft", "tpot"].contains(&metric) {
        return d.help(format!("`{metric}` has `mean`, `p50`, `p95` and `p99`"));
    }
    d.help("`latency`, `ttft` and `tpot` have `mean`, `p50`, `p95` and `p99`").guess(
        format!("limit `{metric}`"),
        part,
        "",
    )
}

/// W0224: a module that is used twice.
pub fn used_twice(at: Span, line: Span, name: &str) -> Diagnostic {
    Diagnostic::warning("W0224", format!("`{name}` is used twice"), at, "again here").help("remove the line").fix(
        "remove it",
        line,
        "",
    )
}

/// W0225: a pin of the job that fits none of its steps.
pub fn idle_pin(at: Span, name: &str, tasks: &[ecow::EcoString]) -> Diagnostic {
    let carries: Vec<String> = tasks.iter().map(|task| format!("`{task}`")).collect();
    let label = "no step of this job can be carried out by it";
    let does = format!("`{name}` carries out {}", carries.join(", "));
    Diagnostic::warning("W0225", format!("nothing here can use `{name}`"), at, label)
        .help(format!("remove the line, or name what carries out a step: {does}"))
}

/// E0308: a comparison that makes no sense for a metric.
pub fn wrong_comparison(at: Span, metric: &str, wanted: &str) -> Diagnostic {
    let why = if wanted == ">=" { "more of it is better" } else { "less of it is better" };
    Diagnostic::error("E0308", format!("`{metric}` is limited with `{wanted}`"), at, why)
        .help(format!("write `{wanted}`"))
        .fix(format!("write `{wanted}`"), at, wanted)
}

/// E0309: a limit that is not a constant.
pub fn limit_not_constant(at: Span) -> Diagnostic {
    Diagnostic::error("E0309", "a limit is a number with its unit, of zero or more", at, "not such a number")
        .help("write `2 usd`, say")
}

/// E0310: a limit that nothing can meet.
pub fn impossible_limit(at: Span, why: &str) -> Diagnostic {
    Diagnostic::error("E0310", "no plan can meet this limit", at, why.to_string()).help("correct the number")
}

/// W0311: a clause that another makes superfluous.
pub fn superfluous(at: Span, text: &str, other: Span) -> Diagnostic {
    Diagnostic::warning("W0311", format!("`{text}` says nothing more"), at, "looser")
        .because(other, "than this")
        .help("remove it")
}

/// W0311: a wish that was wished before.
pub fn wished_twice(at: Span, metric: &str, first: Span) -> Diagnostic {
    Diagnostic::warning("W0311", format!("`{metric}` is wished already"), at, "says nothing more")
        .because(first, "here")
        .help("remove it")
}

/// W0311: clauses that others make superfluous, beyond those that are shown.
pub fn more_superfluous(at: Span, count: usize) -> Diagnostic {
    let (limits, say, they) = if count == 1 { ("limit", "says", "it") } else { ("limits", "say", "the first of them") };
    Diagnostic::warning("W0311", format!("{count} more {limits} {say} nothing more"), at, they)
        .help("keep the tightest limit on each metric, and remove the others")
}

/// E0312: a rule that does not exist.
pub fn unknown_rule(at: Span, word: &str, near: Option<&str>) -> Diagnostic {
    let d = Diagnostic::error("E0312", format!("`{word}` is no rule"), at, "means nothing to a job");
    let known = "`avoid NAME`, `only open_models`, `region NAME`, `license permissive`, `quality product`, `pii INPUT`, `no pii to closed models`";
    match word {
        "return" => d.help("leave out `return`: the last line of a block is its value"),
        "while" => d.help("write `repeat up to 4 until … { … }`: a loop says how often it may go round"),
        _ => with_near(d.help(format!("the rules are {known}")), at, word, near),
    }
}

/// E0313: a rule whose words do not fit.
pub fn bad_rule(at: Span, word: &str, example: &str) -> Diagnostic {
    Diagnostic::error("E0313", format!("`{word}` is not said like this"), at, "cannot be understood")
        .help(format!("write `{example}`"))
}

/// E0314: an implementation, knob or value that does not exist.
pub fn unknown_choice(at: Span, what: &str, name: &str, near: Option<&str>) -> Diagnostic {
    let d = Diagnostic::error("E0314", format!("there is no {what} `{name}`"), at, "not in the library");
    with_near(d.help("`mkbc library` lists what there is"), at, name, near)
}

/// E0314: a region that no model or tool is in.
pub fn unknown_region(at: Span, name: &str, known: &BTreeSet<&EcoString>) -> Diagnostic {
    let d = Diagnostic::error("E0314", format!("there is no region `{name}`"), at, "no model or tool is there");
    let names: Vec<String> = known.iter().map(|region| format!("`{region}`")).collect();
    let near = nearest(name, known.iter().map(|region| region.as_str()));
    // A place's name begins like its short form: `europe`, `usa`.
    let begins = |region: &&&EcoString| name.to_lowercase().starts_with(region.as_str());
    match near.or_else(|| known.iter().find(begins).map(|region| region.as_str())) {
        Some(near) => d.near(at, name, near),
        None => d.help(format!("the library's models and tools are in {}", names.join(", "))),
    }
}

/// E0216: a line of which a job can have one.
pub fn said_twice(at: Span, word: &str, first: Span) -> Diagnostic {
    Diagnostic::error("E0216", format!("`{word}` is said twice"), at, "said again here")
        .because(first, "first said here")
        .help("remove one of the two")
}

/// E0315: an implementation that cannot carry out the step.
pub fn wrong_implementation(at: Span, name: &str, task: &str) -> Diagnostic {
    Diagnostic::error("E0315", format!("`{name}` does not implement `{task}`"), at, "carries out something else")
        .help(format!("name an implementation of `{task}`"))
}

/// E0316: a wish in the wrong direction.
pub fn wrong_direction(at: Span, metric: &str, word: &str) -> Diagnostic {
    let other = if word == "minimize" { "maximize" } else { "minimize" };
    Diagnostic::error("E0316", format!("nobody wants to {word} `{metric}`"), at, "the wrong way round")
        .help(format!("write `{other} {metric}`"))
}

/// W0317: a line that changes nothing.
pub fn no_effect(at: Span, message: impl Into<String>, label: &str, help: &str) -> Diagnostic {
    Diagnostic::warning("W0317", message, at, label).help(help)
}

/// W0317: lines of a job that do not count where it is called.
pub fn of_called_job(at: Span, name: &str, lines: &[String], caller: &str) -> Diagnostic {
    let (do_not, them) = if lines.len() == 1 { ("does not", "it") } else { ("do not", "them") };
    let message = format!("{} of `{name}` {do_not} count here", lines.join(", "));
    let label = format!("a part of `{caller}`, whose own lines count; rules and pins of `{name}` hold");
    no_effect(at, message, &label, &format!("write in `{caller}` what is to hold of {them} for the whole run"))
}

/// I0501: a hole, and what would fit.
pub fn hole(at: Span, ty: &Type, scope: &str, fits: &[String]) -> Diagnostic {
    let d = Diagnostic::info("I0501", format!("a hole of type `{ty}`"), at, format!("in scope: {scope}"));
    match fits {
        [] => d.help("`mkbc expand` looks for a fill"),
        _ => d.help(format!("in the library: {}; `mkbc expand` fills it", fits.join(", "))),
    }
}

/// E0502: a hole whose type nothing says.
pub fn hole_without_type(at: Span) -> Diagnostic {
    Diagnostic::error("E0502", "nothing says what type this hole has", at, "type unknown")
        .help("write its type: `? \"…\" : Text`, or use the value where a type is wanted")
}

/// E0721: a table of quality that is not there.
pub fn no_table(at: Span, name: &str) -> Diagnostic {
    Diagnostic::error("E0721", format!("there is no table `{name}`"), at, "no such file beside the job's")
        .help("write it with `mkbc eval --fit`, correct the name, or write `quality product`")
}

/// E0601: something that the language has and this version does not do yet.
pub fn unsupported(at: Span, what: &str, instead: &str) -> Diagnostic {
    Diagnostic::error("E0601", format!("{what} is not supported yet"), at, "this version cannot promise it")
        .help(instead.to_string())
}

/// E0260: a number that must be known before a run, and is not.
pub fn not_known_before(at: Span, what: &str) -> Diagnostic {
    Diagnostic::error("E0260", format!("{what} is not known before the run"), at, "computed by the run")
        .help("write a whole number, or, in a composition, the name of a knob whose values are whole numbers")
}

/// E0261: a range that is empty or too long.
pub fn bad_range(at: Span, longest: u32) -> Diagnostic {
    Diagnostic::error("E0261", "the range is empty or too long".to_string(), at, "for some value of its ends")
        .help(format!("let it go from a smaller to a larger number, over at most {longest} of them"))
}

/// E0262: a share above 100 %.
pub fn not_a_share(at: Span) -> Diagnostic {
    Diagnostic::error("E0262", "more than all of the runs".to_string(), at, "above 100 %")
        .help("say in what share of the runs the first block is taken: `expect 30 %`")
}

/// E0263: a line of a job in a composition.
pub fn not_in_composition(at: Span, name: &str) -> Diagnostic {
    Diagnostic::error("E0263", format!("the composition `{name}` cannot say this"), at, "a line for a job")
        .help("limits, wishes, rules and sizes belong to the job: a composition has knobs, a profile and data flow")
}

/// E0264: a hole in a composition.
pub fn hole_in_composition(at: Span, name: &str) -> Diagnostic {
    Diagnostic::error("E0264", format!("the composition `{name}` has a hole"), at, "not filled")
        .help("write the step: holes are filled in jobs")
}

/// E0266: an agent that cannot work.
pub fn bad_agent(at: Span, message: &str, label: &str, help: &str) -> Diagnostic {
    Diagnostic::error("E0266", message.to_string(), at, label.to_string()).help(help.to_string())
}

/// E0265: a knob or a profile in a job.
pub fn of_compositions(at: Span) -> Diagnostic {
    Diagnostic::error(
        "E0265",
        "a job has no knobs and no profile".to_string(),
        at,
        "for compositions, models and tools",
    )
    .help("remove it, or write a composition: `compose NAME implements TASK { … }`")
}
