//! One step of an agent: the model is asked for a call of one of the declared tools, or for its answer. What it calls is data: the name must
//! be a declared one, the arguments of their types, and what reaches outside must have been given or found. A call that is refused is a step
//! as well, and the model is told why in the next one.

use super::said::{Called, Said};
use super::stream::Heard;
use super::wire::{Exchanged, Function, Talk, Wire};
use super::{Asked, Call};
use crate::check::agents::ANSWER;
use crate::ir::agent::{MOST_SHOWN, Powers, Tool};
use crate::library::place::{self, Place};
use crate::plan::model::Provider;
use crate::run::engines::openai::answer::{Shape, extract};
use crate::run::engines::openai::endpoint::Endpoint;
use crate::run::engines::openai::prompt;
use crate::run::fault::{Fault, FaultKind, head};
use crate::run::value::check;
use crate::types::Type;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// The most bytes of the arguments of one call.
const MOST_ARGUMENTS: usize = 64 << 10;
/// The most bytes that a model is shown of one thing: a token is about four.
const MOST_TEXT: usize = 4 * MOST_SHOWN as usize;
/// The most bytes of what a tool says of itself.
const MOST_SAID: usize = 1_000;
/// The most pictures that a model is shown in one request.
const MOST_PICTURES: usize = 12;
/// How a model points at a value that it cannot say, or need not.
const FROM: &str = "from";

/// What a model wants.
enum Wish {
    /// A tool, with arguments of its types.
    Tool(String, Value),
    /// To answer.
    Answer(Value),
    /// Something that it may not: what it said, and why not.
    Refused(String, Value, String),
}

/// One attempt of a step.
pub async fn turn(call: &Call<'_>, wire: Wire, provider: &Provider, endpoint: &Endpoint) -> Result<Value, Fault> {
    let powers =
        call.args.get(&provider.functions).ok_or_else(|| Fault::plan("the step does not say what may be called"))?;
    let powers: Powers = serde_json::from_value(powers.as_ref().clone())
        .map_err(|e| Fault::plan(format!("what the agent may call cannot be read: {e}")))?;
    let account =
        call.args.get("so_far").and_then(|v| v.as_array()).ok_or_else(|| Fault::plan("the agent has no account"))?;
    let story = Story::of(account, call.args.get("wanted").and_then(|g| g.as_str()).unwrap_or_default());
    let last = story.rounds.len() as u32 + 1 >= powers.steps;
    let mut content = prompt::content(&provider.prompt, &call.args).await?;
    let pictures = Pictures::of(&story, provider).await;
    if let Some(text) = content.as_str() {
        content = Value::from(format!("{text}{}", story.given_in_words(&pictures)));
    }
    let tools = if last { &[][..] } else { &powers.tools };
    let mut functions: Vec<Function> = tools.iter().map(function).collect();
    functions.push(answer_function(&powers.answer));
    let exchanges = story.rounds.iter().zip(pictures.rounds).map(|(round, picture)| told(round, picture)).collect();
    let pictures = pictures.given.into_values().map(|(_, picture)| picture).collect();
    let mut talk = Talk { functions, pictures, exchanges, forced: last.then_some(ANSWER) };
    let limits = call.cx.deadlines;
    let mut left = call.step.conditions.timeout_ms.map_or(limits.total, std::time::Duration::from_millis);
    let mut mended = false;
    loop {
        let asked = Asked { call, wire, provider, endpoint, shape: &Shape::Text, content: &content, talk: Some(&talk) };
        let heard = Heard::default();
        let mut dialect = call.shared.dialect(endpoint, &provider.model);
        let said = asked.said(&mut dialect, &[], (&mut left, limits), &heard).await?;
        let origin = heard.origin.borrow().clone();
        said.whole(&origin).map_err(|fault| asked.kept(&heard, fault))?;
        match wish(&said, &powers, &story, last) {
            Wish::Tool(name, args) => return Ok(json!({"does": name, "args": args, "answer": null, "refused": null})),
            Wish::Answer(value) => return Ok(json!({"does": ANSWER, "args": {}, "answer": value, "refused": null})),
            Wish::Refused(name, args, why) if !last => {
                let refused = json!({"name": name, "args": args, "why": why});
                return Ok(json!({"does": "", "args": {}, "answer": null, "refused": refused}));
            }
            Wish::Refused(name, arguments, why) if !mended && !left.is_zero() => {
                mended = true;
                talk.exchanges.push(Exchanged::plain(name, as_object(arguments), refusal(&why)));
            }
            Wish::Refused(.., why) => {
                let message = format!("the agent came to no answer in {} steps: {why}", powers.steps);
                let fault = Fault::new(FaultKind::Answer, message).help("allow it more steps, or another model");
                return Err(asked.kept(&heard, fault.detail(head(&said.text, 500))));
            }
        }
    }
}

/// What an agent was given, and what it did so far.
struct Story<'a> {
    goal: &'a str,
    given: &'a Map<String, Value>,
    rounds: &'a [Value],
}

static NOTHING: std::sync::LazyLock<Map<String, Value>> = std::sync::LazyLock::new(Map::new);

impl<'a> Story<'a> {
    fn of(account: &'a [Value], goal: &'a str) -> Story<'a> {
        let (first, rounds) = account.split_first().map_or((&Value::Null, &[][..]), |(first, rounds)| (first, rounds));
        Story { goal, given: first["given"].as_object().unwrap_or(&NOTHING), rounds }
    }

    fn given_in_words(&self, pictures: &Pictures) -> String {
        let caption = |name: &str| pictures.given.get(name).map_or(String::new(), |(caption, _)| format!(" {caption}"));
        let lines = self.given.iter().map(|(name, value)| format!("\n- {name}: {}{}", shown(value), caption(name)));
        let lines: String = lines.collect();
        if lines.is_empty() { lines } else { format!("\n\nGiven:{lines}") }
    }

    /// The value that a model points at: `step 2`, or the name of what is given.
    fn at(&self, place: &str) -> Option<&'a Value> {
        match place.strip_prefix("step ").and_then(|n| n.trim().parse::<usize>().ok()) {
            Some(number) => self.rounds.get(number.checked_sub(1)?).map(|r| &r["result"]).filter(|r| !r.is_null()),
            None => self.given.get(place),
        }
    }

    /// Whether a text may go where something outside is reached, or executed: it was given, or a tool gave it as such a thing.
    fn knows(&self, place: Place, text: &str, tools: &[Tool]) -> bool {
        let in_goal = place == Place::Reached && place::says_whole(self.goal, text);
        let found = |round: &Value| match place {
            Place::Executed => {
                let wrote = |does: &str| tools.iter().any(|tool| tool.name == does && tool.gives_code);
                round["turn"]["does"].as_str().is_some_and(wrote) && holds(&round["result"], text, &|_| true)
            }
            _ => holds(&round["result"], text, &|field| field.and_then(place::named) == Some(Place::Reached)),
        };
        in_goal || self.given.values().any(|v| holds(v, text, &|_| true)) || self.rounds.iter().any(found)
    }
}

/// Whether a value holds a text, at a field that counts; what stands in a list stands at the list's field.
fn holds(value: &Value, text: &str, counts: &dyn Fn(Option<&str>) -> bool) -> bool {
    fn at(value: &Value, field: Option<&str>, text: &str, counts: &dyn Fn(Option<&str>) -> bool) -> bool {
        match value {
            Value::String(own) => own == text && counts(field),
            Value::Array(items) => items.iter().any(|item| at(item, field, text, counts)),
            Value::Object(fields) => fields.iter().any(|(name, value)| at(value, Some(name), text, counts)),
            _ => false,
        }
    }
    at(value, None, text, counts)
}

/// A tool as the model sees it.
fn function(tool: &Tool) -> Function {
    let properties: Map<String, Value> = tool.params.iter().map(|(name, ty)| (name.clone(), schema(ty))).collect();
    let needed = tool.params.iter().filter(|(_, ty)| !matches!(ty, Type::Optional(_)));
    let needed: Vec<&String> = needed.map(|(name, _)| name).collect();
    let schema = json!({"type": "object", "properties": properties, "required": needed, "additionalProperties": false});
    let says: String = tool.says.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    Function { name: tool.name.clone(), says: head(&says, MOST_SAID).to_owned(), schema }
}

/// Data is said; records may be pointed at as well, and media are.
fn schema(ty: &Type) -> Value {
    let place = || {
        let about = format!(
            "where the {ty} comes from: `step N` for the result of the N-th step, or the name of what is given"
        );
        json!({"type": "object", "properties": {FROM: {"type": "string", "description": about}}, "required": [FROM], "additionalProperties": false})
    };
    match ty {
        Type::Optional(inner) => schema(inner),
        ty if !ty.is_data() => place(),
        Type::Text | Type::Int | Type::Float | Type::Bool | Type::Enum(..) => ty.json_schema(),
        ty => json!({"anyOf": [ty.json_schema(), place()]}),
    }
}

fn answer_function(ty: &Type) -> Function {
    let schema = json!({"type": "object", "properties": {ANSWER: ty.json_schema()}, "required": [ANSWER], "additionalProperties": false});
    Function { name: ANSWER.into(), says: "Ends the work with the answer to the goal.".into(), schema }
}

/// What a model is shown: a caption, and a picture as Chat Completions has it.
type Picture = (String, Value);

/// The pictures that a model is shown with an account: one of each thing, so that none counts for more than the plan took it for.
#[derive(Default)]
struct Pictures {
    given: BTreeMap<String, Picture>,
    /// Those of each round.
    rounds: Vec<Option<Picture>>,
}

impl Pictures {
    async fn of(story: &Story<'_>, provider: &Provider) -> Pictures {
        let mut pictures = Pictures { rounds: vec![None; story.rounds.len()], ..Pictures::default() };
        // The models that a run serves for agents read text alone.
        if provider.serve.is_some() {
            return pictures;
        }
        // The newest first: what a request cannot hold is left out of the oldest.
        let (mut left, mut room) = (MOST_PICTURES, prompt::MOST_ALL);
        for (round, place) in story.rounds.iter().zip(&mut pictures.rounds).rev() {
            *place = one(&round["result"], &mut left, &mut room).await;
        }
        for (name, value) in story.given {
            pictures.given.extend(one(value, &mut left, &mut room).await.map(|picture| (name.clone(), picture)));
        }
        pictures
    }
}

/// A picture of a value, where it has one and there is room for it.
async fn one(value: &Value, left: &mut usize, room: &mut usize) -> Option<Picture> {
    if *left == 0 {
        return None;
    }
    let (caption, picture) = prompt::one_picture(value).await?;
    *room = room.checked_sub(picture["image_url"]["url"].as_str().map_or(0, str::len))?;
    *left -= 1;
    Some((caption, picture))
}

/// A round as the model is told of it.
fn told(round: &Value, picture: Option<Picture>) -> Exchanged {
    let (turn, text) = (&round["turn"], |v: &Value| v.as_str().unwrap_or_default().to_owned());
    match &turn["refused"] {
        Value::Null => {
            let (caption, picture) = picture.map_or((String::new(), None), |(c, p)| (format!("\n{c}"), Some(p)));
            let result = shown(&round["result"]) + &caption;
            let plain = Exchanged::plain(text(&turn["does"]), as_object(veiled(&turn["args"])), result);
            Exchanged { pictures: picture.into_iter().collect(), ..plain }
        }
        refused => Exchanged::plain(
            text(&refused["name"]),
            as_object(refused["args"].clone()),
            refusal(&text(&refused["why"])),
        ),
    }
}

fn refusal(why: &str) -> String {
    format!("Refused: {why}. Call one of the given functions, with arguments of the given types.")
}

fn as_object(value: Value) -> Value {
    if value.is_object() { value } else { json!({}) }
}

/// A value as the model is shown it: not too long, and without the paths of files.
fn shown(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        other => veiled(other).to_string(),
    };
    let kept = head(&text, MOST_TEXT);
    if kept.len() == text.len() { text } else { format!("{kept}… (the rest of {} kB is left out)", text.len() >> 10) }
}

fn veiled(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let own = |(name, value): (&String, &Value)| {
                (name.clone(), if name == "file" && value.is_string() { json!("(kept)") } else { veiled(value) })
            };
            Value::Object(fields.iter().map(own).collect())
        }
        Value::Array(items) => items.iter().map(veiled).collect(),
        other => other.clone(),
    }
}

/// What a model wants, by its first call; one that says its answer in words has answered.
fn wish(said: &Said, powers: &Powers, story: &Story, last: bool) -> Wish {
    let Some(Called { name, arguments }) = said.calls.first() else {
        let text = said.text.trim();
        let value = match &powers.answer {
            _ if text.is_empty() => None,
            Type::Text => Some(Value::from(text)),
            ty => extract(text).map(|v| v.get(ANSWER).cloned().unwrap_or(v)).filter(|v| check(v, ty).is_ok()),
        };
        let why = format!("no function is called; `{ANSWER}` ends the work");
        return value.map_or_else(|| Wish::Refused(ANSWER.into(), json!({}), why), Wish::Answer);
    };
    let name: String = head(&name.chars().filter(|c| !c.is_control()).collect::<String>(), 64).to_owned();
    let refused = |args: Value, why: String| Wish::Refused(name.clone(), args, why);
    if arguments.len() > MOST_ARGUMENTS {
        return refused(json!({}), format!("the arguments have more than {} kB", MOST_ARGUMENTS >> 10));
    }
    let arguments = if arguments.trim().is_empty() { "{}" } else { arguments };
    let Ok(Value::Object(args)) = serde_json::from_str::<Value>(arguments) else {
        return refused(json!({}), "the arguments are no JSON object".into());
    };
    if name == ANSWER {
        let value = args.get(ANSWER).cloned().unwrap_or(Value::Null);
        return match check(&value, &powers.answer) {
            Ok(()) => Wish::Answer(value),
            Err(mismatch) => refused(Value::Object(args), format!("the answer is no {}: {mismatch}", powers.answer)),
        };
    }
    let Some(tool) = powers.tools.iter().find(|t| t.name == name).filter(|_| !last) else {
        let names: Vec<&str> = powers.tools.iter().map(|t| t.name.as_str()).filter(|_| !last).chain([ANSWER]).collect();
        return refused(Value::Object(args), format!("there is no function `{name}`; there are {}", names.join(", ")));
    };
    match arguments_of(tool, &args, (story, &powers.tools)) {
        Ok(typed) => Wish::Tool(name, typed),
        Err(why) => refused(Value::Object(args), why),
    }
}

/// The arguments of a call, typed: what is pointed at is put in, what is left out is null.
fn arguments_of(tool: &Tool, args: &Map<String, Value>, (story, tools): (&Story, &[Tool])) -> Result<Value, String> {
    if let Some(extra) = args.keys().find(|key| tool.params.iter().all(|(name, _)| name != *key)) {
        return Err(format!("`{}` has no parameter `{}`", tool.name, head(extra, 64)));
    }
    let mut typed = Map::new();
    for (name, ty) in &tool.params {
        let mut value = args.get(name).cloned().unwrap_or(Value::Null);
        let pointed_at = pointed(&value, ty).map(str::to_owned);
        if let Some(place) = &pointed_at {
            let found = story.at(place);
            value = found.cloned().ok_or_else(|| format!("there is nothing at `{}` for `{name}`", head(place, 64)))?;
        } else if !value.is_null() && !data(ty) {
            return Err(format!("`{name}` takes a {ty}: say where it comes from, as {{\"{FROM}\": \"step 1\"}}"));
        }
        check(&value, ty).map_err(|mismatch| format!("`{name}` is no {ty}: {mismatch}"))?;
        let taken = place::taken(&tool.places, name);
        let all = match &pointed_at {
            _ if tool.places.get(name.as_str()) == Some(&Place::Plain) => Vec::new(),
            // It was given or found; what has to be seen is whether as a place, where it goes to one as a whole.
            Some(_) if taken.is_none() => Vec::new(),
            Some(_) => placed(&value, ty, taken, false).into_iter().filter(|placed| !placed.inside).collect(),
            None => placed(&value, ty, taken, false),
        };
        if let Some(Placed { text, .. }) = all.iter().find(|placed| !story.knows(placed.place, placed.text, tools)) {
            return Err(format!(
                "`{name}` takes only what was given, or what a tool gave as such, and not `{}`",
                head(text, 80)
            ));
        }
        typed.insert(name.clone(), value);
    }
    Ok(Value::Object(typed))
}

fn data(ty: &Type) -> bool {
    ty.is_data()
}

/// Where a value points, if it does: an object of this one field, which no record of the type has.
fn pointed<'v>(value: &'v Value, ty: &Type) -> Option<&'v str> {
    let fields = value.as_object().filter(|fields| fields.len() == 1)?;
    let own = matches!(ty, Type::Record(_, fields) if fields.iter().any(|(n, _)| n == FROM));
    fields.get(FROM).filter(|_| !own)?.as_str()
}

/// A text of a value that goes where something is reached or executed.
struct Placed<'v> {
    place: Place,
    text: &'v str,
    /// Whether it stands inside of an object.
    inside: bool,
}

/// The texts of a value that go where something is reached or executed: by the parameter, by a field's name, or because the text is an
/// address or a file itself.
fn placed<'v>(value: &'v Value, ty: &Type, taken: Option<Place>, inside: bool) -> Vec<Placed<'v>> {
    match (value, ty) {
        (value, Type::Optional(of)) => placed(value, of, taken, inside),
        (_, Type::Enum(..)) => Vec::new(),
        (Value::String(text), _) => {
            let place = taken.or(place::is_one(text).then_some(Place::Reached));
            place.map(|place| Placed { place, text, inside }).into_iter().collect()
        }
        (Value::Array(items), ty) => {
            let of = if let Type::List(of) = ty { of.as_ref() } else { ty };
            items.iter().flat_map(|item| placed(item, of, taken, inside)).collect()
        }
        (Value::Object(fields), ty) => {
            let own = |name: &str| match ty {
                Type::Record(_, fields) => fields.iter().find(|(n, _)| n == name).map_or(&Type::Json, |(_, ty)| ty),
                _ => &Type::Json,
            };
            let field =
                |(name, value): (&'v String, &'v Value)| placed(value, own(name), place::named(name).or(taken), true);
            fields.iter().flat_map(field).collect()
        }
        _ => Vec::new(),
    }
}
