//! E03xx: units, limits, wishes and rules.

use super::with_near;
use crate::diag::source::Span;
use crate::diag::{Diagnostic, nearest};
use crate::library::{Implementation, Library};
use crate::syntax::ast::Name;
use crate::units::{self, Dimension};
use ecow::EcoString;
use rust_decimal::Decimal;
use std::collections::BTreeSet;

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

/// E0301: weeks.
pub fn longer_than_days(at: Span, unit: &Name, days: Decimal) -> Diagnostic {
    let instead = format!("{} d", days.normalize());
    Diagnostic::error("E0301", format!("there is no unit `{}`", unit.text), unit.span, "the longest unit is the day")
        .help(format!("write `{instead}`"))
        .fix(format!("write `{instead}`"), at, instead)
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
    // Which currency is meant, or which unit of time, nobody can tell.
    let sure = unit == "%";
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

/// E0305: results that are used for no time at all.
pub fn no_age(at: Span) -> Diagnostic {
    Diagnostic::error("E0305", "results are used again for a millisecond at least", at, "none is that new")
        .help("write `cache off` to use none, or a time: `cache 24 h`, `cache weekly`")
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

/// E0308: a comparison that makes no sense for a metric; `touches` says whether it touches the metric, as a `:` does.
pub fn wrong_comparison(at: Span, metric: &str, wanted: &str, touches: bool) -> Diagnostic {
    let why = if wanted == ">=" { "more of it is better" } else { "less of it is better" };
    Diagnostic::error("E0308", format!("`{metric}` is limited with `{wanted}`"), at, why)
        .help(format!("write `{wanted}`"))
        .fix(format!("write `{wanted}`"), at, format!("{}{wanted}", if touches { " " } else { "" }))
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

/// E0310: memory that no device has.
pub fn no_such_memory(at: Span, why: &str) -> Diagnostic {
    Diagnostic::error("E0310", "no device can meet this condition", at, why.to_string())
        .help("ask for less, or name a device: `mkbc library` shows what each has")
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

/// E0312: a value where a rule would stand, with something behind it.
pub fn value_as_rule(at: Span, name: &str) -> Diagnostic {
    Diagnostic::error("E0312", format!("`{name}` is a value, and no rule"), at, "something else stands behind it")
        .help("take the items of a list one by one: `for item in list { … }`")
}

/// E0312: a text with a sign in front of it, as others write one with placeholders.
pub fn prefixed_text(at: Span, sign: &str) -> Diagnostic {
    Diagnostic::error("E0312", format!("`{sign}` means nothing in front of a text"), at, "no rule, and no value")
        .help("a text has no placeholders: join texts with `+`")
}

/// E0313: a rule whose words do not fit.
pub fn bad_rule(at: Span, word: &str, example: &str) -> Diagnostic {
    Diagnostic::error("E0313", format!("`{word}` is not said like this"), at, "cannot be understood")
        .help(format!("write `{example}`"))
}

/// E0313: what stands behind `cache` and means nothing there.
pub fn unknown_reuse(at: Span, near: Option<&str>) -> Diagnostic {
    let d = Diagnostic::error("E0313", "`cache` is not said like this", at, "says nothing of other runs' results");
    let help = "write `cache on`, `cache off`, a time (`cache 24 h`), or `hourly`, `daily` or `weekly`";
    match near {
        Some(near) => d.help(help).guess(format!("write `{near}`"), at, near),
        None => d.help(help),
    }
}

/// E0314: an implementation, knob or value that does not exist.
pub fn unknown_choice(at: Span, what: &str, name: &str, near: Option<&str>) -> Diagnostic {
    let d = Diagnostic::error("E0314", format!("there is no {what} `{name}`"), at, "not in the library");
    with_near(d.help("`mkbc library` lists what there is"), at, name, near)
}

/// E0314: a value that a knob does not have.
pub fn unknown_value(at: Span, knob: &str, name: &str, values: &[EcoString], near: Option<&str>) -> Diagnostic {
    let all = format!("it is one of {}", values.join(", "));
    let d = unknown_choice(at, &format!("value of `{knob}`"), name, near);
    d.help(near.map_or(all.clone(), |near| format!("did you mean `{near}`? {all}")))
}

/// E0314: a model or tool that does not exist, though several may be called after it, or have it for the value of a knob; `task` is the
/// step's, where it is to carry out one.
pub fn unknown_entry(at: Span, name: &str, task: Option<&str>, library: &Library) -> Diagnostic {
    let known = &library.implementations;
    let d = unknown_choice(at, "model or tool", name, nearest(name, known.keys().map(|k| k.as_str())));
    if d.fix.is_some() {
        return d;
    }
    let (start, letters) = (format!("{name}_"), alphanumeric(name));
    let alike = known.keys().filter(|entry| entry.starts_with(&start)).take(5).map(|entry| format!("`{entry}`"));
    let alike: Vec<String> = alike.collect();
    let able = |entry: &&Implementation| task.is_none_or(|task| entry.tasks.iter().any(|t| t == task));
    let valued = known.values().filter(able).find_map(|entry| {
        let mut values = entry.knobs.iter().flat_map(|(knob, values)| values.iter().map(move |value| (knob, value)));
        let (knob, value) = values.find(|(_, value)| !letters.is_empty() && alphanumeric(value) == letters)?;
        Some(format!("write `{}({knob}: \"{value}\")`", entry.name))
    });
    match valued {
        Some(help) => d.help(help),
        None if alike.is_empty() => d,
        None => d.help(format!("name one of those that are called after it: {}", alike.join(", "))),
    }
}

/// The letters and digits of a name, in lower case.
fn alphanumeric(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_lowercase()
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
/// E0318: a limit per item of a job that has not one list.
pub fn no_items(at: Span, why: &str) -> Diagnostic {
    Diagnostic::error("E0318", "it is not known which items are meant", at, why.to_string())
        .help("limit the whole run, or let the job have one input that is a list")
}
