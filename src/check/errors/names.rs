//! E02xx: names, types, and values that nothing takes.

use super::with_near;
use crate::diag::Diagnostic;
use crate::diag::source::Span;
use crate::syntax::imports;
use crate::types::Type;
use crate::units::counted;

/// E0201: a name that means nothing.
pub fn unknown_name(at: Span, name: &str, near: Option<&str>) -> Diagnostic {
    let d = Diagnostic::error("E0201", format!("there is no `{name}`"), at, "not in scope");
    match name {
        "True" | "TRUE" => return d.help("write `true`").fix("write `true`", at, "true"),
        "False" | "FALSE" => return d.help("write `false`").fix("write `false`", at, "false"),
        "null" | "None" | "nil" | "undefined" => {
            return d.help("leave the value out: what may be absent has a type with `?`");
        }
        "pass" | "todo" | "TODO" => {
            return d.help("write a hole for what is yet to come: `?`").fix("write a hole", at, "?");
        }
        _ => {}
    }
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
    match name {
        "range" => return d.help("write whole numbers as `0 to 2`: both ends belong to them"),
        "print" | "println" | "console" => return d.help("leave it out: the last line of a block is its value"),
        "len" | "length" | "count" => return d.help("write `list.count` for the number of a list's items"),
        _ => {}
    }
    with_near(d.help("declare the task, or leave a hole: `?`"), at, name, near)
}

/// E0203: a task of a module that is not used.
pub fn not_imported(at: Span, name: &str, module: &str, source: &str) -> Diagnostic {
    let (top, lines) = imports::lines(source, &[module]);
    let top = Span { start: top, end: top, ..at };
    Diagnostic::error("E0203", format!("`{name}` is not in scope"), at, format!("declared in `{module}`"))
        .help(format!("add `use {module}` at the top of the file"))
        .fix(format!("add `use {module}`"), top, lines)
}

/// E0204: a type that does not exist.
pub fn unknown_type(at: Span, name: &str, near: Option<&str>) -> Diagnostic {
    let d = Diagnostic::error("E0204", format!("there is no type `{name}`"), at, "neither built in nor declared");
    if let Some((_, here)) = TYPES_ELSEWHERE.iter().find(|(words, _)| words.contains(&name.to_lowercase().as_str())) {
        return d.help(format!("write `{here}`")).fix(format!("write `{here}`"), at, *here);
    }
    if matches!(name, "None" | "void" | "Void" | "Unit" | "null" | "undefined" | "never") {
        return d.help("write the type of what comes out: a job without a result would do nothing");
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

/// E0215: an `if` without its second block.
pub fn no_else(at: Span) -> Diagnostic {
    let word = Span { end: at.start + "if".len() as u32, ..at };
    Diagnostic::error("E0215", "an `if` without `else` has no value", word, "what is the value where it does not hold?")
        .help("add `else { … }` behind its block; what follows belongs into it where the `if` is to end the job")
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
