//! The diagnostics of the library: E04xx.

use super::size::Scope;
use crate::diag::source::Span;
use crate::diag::{Diagnostic, nearest};
use crate::types::Type;
use crate::units::Dimension;

/// E0401: a name that is neither a parameter's size nor a knob.
pub fn unknown_size(at: Span, name: &str, scope: &Scope) -> Diagnostic {
    let names = scope.params.iter().map(|(n, _)| n.as_str()).chain(scope.knobs.iter().map(|(n, _)| n.as_str()));
    let d =
        Diagnostic::error("E0401", format!("`{name}` is no size here"), at, "neither a size of a parameter nor a knob");
    match nearest(name, names) {
        Some(near) => d.help(format!("did you mean `{near}`?")),
        None => d.help("write a size of a parameter (`audio.duration`) or a knob"),
    }
}

/// E0402: a type has no such size.
pub fn no_such_size(at: Span, param: &str, path: &str, ty: &Type) -> Diagnostic {
    let sizes: Vec<String> = ty.sizes().iter().map(|(n, _)| format!("`{param}.{n}`")).collect();
    let d =
        Diagnostic::error("E0402", format!("`{param}` has no size `{path}`"), at, format!("`{ty}` has no such size"));
    if sizes.is_empty() {
        d.help(format!("`{ty}` has no sizes"))
    } else {
        d.help(format!("write one of {}", sizes.join(", ")))
    }
}

/// E0403: something in a size expression that is no arithmetic.
pub fn not_a_size(at: Span) -> Diagnostic {
    Diagnostic::error("E0403", "this is no size", at, "not arithmetic over sizes and knobs")
        .help("use `+ - * /`, `min`, `max`, `ceil`, numbers, sizes and knobs")
}

/// E0404: a knob whose values are words stands where a number is needed.
pub fn knob_is_no_number(at: Span, name: &str) -> Diagnostic {
    Diagnostic::error("E0404", format!("the knob `{name}` is no number"), at, "its values are words")
        .help("use a knob whose values are numbers")
}

/// E0302: two dimensions that must be equal are not.
pub fn dimensions_differ(at: Span, left: Span, a: Dimension, right: Span, b: Dimension) -> Diagnostic {
    // Beside another currency, money is a currency too.
    let named = |one: Dimension, other: Dimension| match (one, other) {
        (Dimension::MONEY, Dimension::EURO) => "dollars".to_string(),
        (one, _) => one.to_string(),
    };
    let (a, b) = (named(a, b), named(b, a));
    Diagnostic::error("E0302", format!("{a} and {b} do not go together"), at, "both sides must measure the same")
        .because(left, a)
        .because(right, b)
        .help("give both sides the same dimension")
}

/// E0405: a name that is declared twice.
pub fn declared_twice(at: Span, what: &str, name: &str, first: Span) -> Diagnostic {
    Diagnostic::error("E0405", format!("the {what} `{name}` is declared twice"), at, "declared again here")
        .because(first, "first declared here")
        .help(if what == "pool" { "add the two up" } else { "rename or remove one of them" })
}

/// E0406: an implementation of something that is no task.
pub fn unknown_task(at: Span, name: &str, near: Option<&str>) -> Diagnostic {
    let d = Diagnostic::error("E0406", format!("there is no task `{name}`"), at, "nothing of this name to implement");
    match near {
        Some(near) => d.near(at, name, near),
        None => d.help("declare the task, or name another"),
    }
}

/// E0407: a clause that the library does not know.
pub fn unknown_property(at: Span, name: &str, known: &[&str]) -> Diagnostic {
    let d =
        Diagnostic::error("E0407", format!("`{name}` means nothing here"), at, "not a clause of a task, model or tool");
    match nearest(name, known.iter().copied()) {
        Some(near) => d.near(at, name, near),
        None => {
            d.help(format!("write one of {}", known.iter().map(|k| format!("`{k}`")).collect::<Vec<_>>().join(", ")))
        }
    }
}

/// E0408: a value of the wrong kind behind a known word.
pub fn bad_value(at: Span, name: &str, wanted: &str) -> Diagnostic {
    Diagnostic::error("E0408", format!("`{name}` needs {wanted}"), at, format!("not {wanted}"))
        .help(format!("write {wanted}"))
}

/// E0409: a device that is declared nowhere.
pub fn unknown_device(at: Span, name: &str, near: Option<&str>) -> Diagnostic {
    let d = Diagnostic::error("E0409", format!("there is no device `{name}`"), at, "declared nowhere");
    match near {
        Some(near) => d.near(at, name, near),
        None => d.help(format!("declare it: `device {name} {{ kind gpu }}`")),
    }
}

/// E0408: a pool without a `*`.
pub fn no_times(at: Span, count: Span, device: &str) -> Diagnostic {
    let before = Span { end: count.start, ..count };
    Diagnostic::error(
        "E0408",
        format!("the pool of `{device}` needs a `*` before how many there are"),
        at,
        "no `*` here",
    )
    .help("write the `*`")
    .fix("write the `*`", before, "* ")
}

/// E0408: a source for something that is not stated.
pub fn not_stated(at: Span, name: &str, what: &str, known: &[&str]) -> Diagnostic {
    let d = Diagnostic::error(
        "E0408",
        format!("a source for `{name}`, which is not stated"),
        at,
        format!("none of the {what}"),
    );
    match nearest(name, known.iter().copied()) {
        Some(near) => d.near(at, name, near),
        None => d.help("name what it is for, or nothing if it is for all"),
    }
}

/// E0408: a value that no knob has.
pub fn unknown_value(at: Span, value: &str, near: Option<&str>) -> Diagnostic {
    let d = Diagnostic::error("E0408", format!("no knob is ever `{value}`"), at, "not a value of a knob");
    match near {
        Some(near) => d.near(at, value, near),
        None => d.help("name a value of one of its knobs, or leave it out"),
    }
}

/// E0410: a part that a model or tool must have is missing.
pub fn missing_part(at: Span, name: &str, part: &str, example: &str) -> Diagnostic {
    Diagnostic::error("E0410", format!("`{name}` has no {part}"), at, format!("needs {part}"))
        .help(format!("add `{example}`"))
}

/// E0411: a profile that cannot be read.
pub fn profile_missing(at: Span, path: &str) -> Diagnostic {
    Diagnostic::error("E0411", format!("there is no profile `{path}`"), at, "in no folder of the library")
        .help("put it into `DIR/profiles/` and give `--library DIR`, or correct the name")
}

/// E0412: something wrong in a profile.
pub fn bad_figure(at: Span, message: String, wanted: &str) -> Diagnostic {
    Diagnostic::error("E0412", message, at, "in this profile").help(wanted.to_string())
}

/// E0414: a placeholder that stands for nothing.
pub fn unknown_placeholder(at: Span, name: &str, near: Option<&str>) -> Diagnostic {
    let d =
        Diagnostic::error("E0414", format!("`{{{name}}}` stands for nothing"), at, "neither a parameter nor a knob");
    match near {
        Some(near) => d.help(format!("did you mean `{{{near}}}`?")),
        None => d.help("name a parameter of the task, a knob, or `{units}`, `{device}`, `{out}`, `{rate}`"),
    }
}

/// W0415: a pool without a price.
pub fn no_price(at: Span, device: &str) -> Diagnostic {
    Diagnostic::warning(
        "W0415",
        format!("`{device}` has no price here"),
        at,
        "counts as free: a plan says that it costs nothing",
    )
    .help(format!("say what one costs, `{device} * 4 at 3.40 usd/h`; where it really is free, `at 0 usd/h`"))
}

/// E0320: two rows of a profile for the same setting.
pub fn same_setting(at: Span, figure: &str, first: Span) -> Diagnostic {
    Diagnostic::error("E0320", format!("`{figure}` is given twice for the same setting"), at, "given again here")
        .because(first, "first given here")
        .help("remove one of the two, or tell them apart by a knob, `task`, `device`, `units` or the work that they are for")
}

/// E0321: figures that cannot both be true.
pub fn falls(at: Span, message: String, other: Span, wanted: &str) -> Diagnostic {
    Diagnostic::error("E0321", message, at, "this one").because(other, "and this one").help(wanted.to_string())
}

/// E0321: a time to first token beside a time per token of the prompt.
pub fn prompt_read_twice(at: Span, ttft: Span) -> Diagnostic {
    let message = "the time to read the prompt is counted twice".to_string();
    falls(at, message, ttft, "remove this one, or give `latency` without the reading in place of `ttft`")
}

/// E0322: a column of a profile that is neither a knob nor one of those that profiles have.
pub fn unknown_column(at: Span, column: &str, entry: &str, near: Option<&str>) -> Diagnostic {
    let message = format!("the profile has a column `{column}`, and `{entry}` has no such knob");
    let d = Diagnostic::error("E0322", message, at, "neither a knob nor a column of every profile");
    match near {
        Some(near) => d.near(at, column, near),
        None => d.help("name the column after a knob, or add the knob"),
    }
}

/// E0740: an engine that lacks a setting.
pub fn missing_setting(at: Span, engine: &str, group: &[&str]) -> Diagnostic {
    let names: Vec<String> = group.iter().map(|name| format!("`{name}`")).collect();
    let names = names.join(" or ");
    Diagnostic::error("E0740", format!("the engine `{engine}` has no {names}"), at, format!("needs {names}"))
        .help("`mkbc import` writes whole engines; docs/authoring.md lists the settings")
}

/// E0741: a key that stands in the library itself.
pub fn literal_key(at: Span, engine: &str) -> Diagnostic {
    let message = format!("the `key` of the engine `{engine}` does not name a variable of the environment");
    Diagnostic::error("E0741", message, at, "libraries are shared, and keys are not")
        .help("write `key env OPENAI_API_KEY`, with the name of the variable that holds it; revoke a key that has been shared")
}

/// E0741: a setting that an engine does not have.
pub fn unknown_setting(at: Span, engine: &str, name: &str, near: Option<&str>) -> Diagnostic {
    let d =
        Diagnostic::error("E0741", format!("the engine `{engine}` has no setting `{name}`"), at, "nothing reads it");
    if name == "price" {
        return d.help("prices are figures: give them in the profile, with date and source, as `cost.per.WORK`");
    }
    match near {
        Some(near) => d.help(format!("did you mean `{near}`?")),
        None => d.help("remove it; docs/authoring.md lists the settings"),
    }
}
