//! Library engine + knobs → plan engine: placeholders of knobs filled in, those of arguments left to the runtime.

use super::model::{CALL, COUNTED, Engine, HttpCall, LongPrices, McpServer, Provider, Serve};
use crate::library::size::SizeExpr;
use crate::library::{Concurrency, Implementation, Setting, TOGETHER, Task, profile};
use crate::space::Candidate;
use ecow::EcoString;
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use std::collections::BTreeMap;

/// The engines that the runtime of this version executes.
pub const EXECUTABLE: [&str; 10] =
    ["process", "builtin", "browser", "openai", "anthropic", "bedrock", "python", "worker", "mcp", "http"];

/// Lowers the engine of an implementation for one candidate.
pub fn lower(entry: &Implementation, candidate: &Candidate, task: &Task) -> Engine {
    let units = candidate.units.to_string();
    let fill = |text: &str| {
        let knobs = candidate.knobs.iter().map(|(n, v)| (n.as_str(), v.as_str()));
        knobs.chain([("units", units.as_str())]).fold(text.to_string(), |t, (n, v)| t.replace(&format!("{{{n}}}"), v))
    };
    let Some(engine) = &entry.engine else {
        return Engine::Planned { name: "none".into(), options: BTreeMap::new() };
    };
    let together = together(engine, candidate);
    let text = |name: &str, default: &str| fill(engine.text(name).unwrap_or(default));
    let of_knob = |name: &str| fill(of_knob(engine, name, candidate));
    let options = |known: &[&str]| -> BTreeMap<String, String> {
        let settings = engine.settings.iter().filter(|(n, _)| !known.contains(&n.as_str()));
        let settings = settings.filter_map(|(n, v)| Some((n.to_string(), fill(&joined(v)?))));
        let knobs = candidate.knobs.iter().map(|(n, v)| (n.to_string(), v.to_string()));
        let calls = Some((TOGETHER.to_string(), together.to_string())).filter(|_| together > 0);
        knobs.chain([("units".to_string(), units.clone())]).chain(settings).chain(calls).collect()
    };
    let prices = prices(entry, candidate);
    let provider = |api: &str, url: &str| Provider {
        api: text("api", api),
        // `named llama_3_3_70b "meta-llama/Llama-3.3-70B-Instruct"`: a name that a provider has for the value of a knob.
        model: Some(of_knob("named")).filter(|n| !n.is_empty()).unwrap_or_else(|| text("model", "")),
        url_env: text("url_env", ""),
        url: text("url", url),
        key_env: key_env(engine).unwrap_or_default().to_string(),
        system: task.system.to_string(),
        prompt: task.prompt.to_string(),
        max_tokens: task.max_tokens,
        functions: task.functions.to_string(),
        reasoning: of_knob("reasoning"),
        work: charged(&prices, entry, candidate, task),
        long: long(entry, candidate, &prices),
        prices: prices.clone(),
        serve: serve(entry, candidate).map(|serve| Serve { weights: fill(&serve.weights), ..serve }),
        calls_per_s: limit(entry, candidate, false),
        tokens_per_s: limit(entry, candidate, true),
        together,
    };
    match engine.kind.as_str() {
        "process" => Engine::Process {
            commands: commands(engine, candidate).iter().map(|c| c.iter().map(|a| fill(a)).collect()).collect(),
            reader: text("read", "lines"),
            options: options(&["command", "arguments", "read"]),
        },
        "builtin" => Engine::Builtin { function: text("function", ""), options: options(&["function"]) },
        "browser" => Engine::Browser { action: text("action", "open") },
        "anthropic" => Engine::Anthropic(provider("messages", "https://api.anthropic.com/v1")),
        "bedrock" => Engine::Bedrock(provider("converse", "https://bedrock-runtime.us-east-1.amazonaws.com")),
        kind if kind == "openai" || serves(engine) => Engine::Openai(provider("chat", "https://api.openai.com/v1")),
        "python" => Engine::Python {
            module: text("module", ""),
            function: text("function", ""),
            interpreter: text("interpreter", "python3"),
            together,
        },
        "worker" => {
            let mut options = options(&["serve", "model", "named", "function", "sha256"]);
            options.extend(Some(("sha256".to_string(), of_knob("sha256"))).filter(|(_, sum)| !sum.is_empty()));
            let model = Some(of_knob("named")).filter(|n| !n.is_empty()).unwrap_or_else(|| text("model", ""));
            Engine::Worker { worker: text("serve", ""), model, function: text("function", ""), options }
        }
        "http" => Engine::Http(http(engine)),
        "mcp" => Engine::Mcp {
            server: mcp_server(engine),
            tool: text("tool", ""),
            schema: text("schema", ""),
            names: pairs(engine, "name"),
            nulls: engine.texts("null").map(str::to_string).collect(),
            answer: text("answer", ""),
        },
        other => Engine::Planned { name: other.to_string(), options: options(&[]) },
    }
}

/// The request of an `http` engine.
pub fn http(engine: &crate::library::Engine) -> HttpCall {
    let text = |name: &str| engine.text(name).unwrap_or_default().to_string();
    let key_in = pairs(engine, "key_in").into_iter().next().map(|(place, name)| format!("{place} {name}"));
    HttpCall {
        method: text("method"),
        url: text("url"),
        url_env: text("url_env"),
        path: text("path"),
        query: pairs(engine, "query"),
        headers: pairs(engine, "header"),
        fields: pairs(engine, "field"),
        body: text("body"),
        key_env: key_env(engine).unwrap_or_default().to_string(),
        key_in: key_in.unwrap_or_default(),
        text: text("answer") == "text",
    }
}

/// The server of an `mcp` engine.
pub fn mcp_server(engine: &crate::library::Engine) -> McpServer {
    let text = |name: &str| engine.text(name).unwrap_or_default().to_string();
    McpServer {
        command: engine.lists("command").into_iter().next().unwrap_or_default(),
        env: engine.texts("env").map(str::to_string).collect(),
        url: text("url"),
        url_env: text("url_env"),
        key_env: key_env(engine).unwrap_or_default().to_string(),
    }
}

/// How many calls an engine takes as one: so many, or as many as a knob says; 0 where it says nothing.
fn together(engine: &crate::library::Engine, candidate: &Candidate) -> u32 {
    let Some(said) = engine.text(TOGETHER) else { return 0 };
    let knob = candidate.knobs.iter().find(|(name, _)| name == said).map(|(_, value)| value.as_str());
    knob.unwrap_or(said).parse().unwrap_or(0)
}

/// Settings that give a word for a word: `name max_results "max-results"`.
fn pairs(engine: &crate::library::Engine, name: &str) -> BTreeMap<String, String> {
    let values = engine.settings.iter().filter(|(n, _)| n == name).map(|(_, values)| values.as_slice());
    let pair = |values: &[Setting]| match values {
        [Setting::Text(from), Setting::Text(to)] => Some((from.to_string(), to.to_string())),
        _ => None,
    };
    values.filter_map(pair).collect()
}

/// Whether an engine is a model server of one's own (vLLM, SGLang, Ollama, llama.cpp) with an address: all of them speak the protocol of
/// OpenAI.
pub fn serves(engine: &crate::library::Engine) -> bool {
    engine.kind == "server" && engine.text("url").is_some()
}

/// The model server that an engine is, where `serve` names one: `weights` are those of its model's name, if nothing else is said.
pub fn serve(entry: &Implementation, candidate: &Candidate) -> Option<Serve> {
    let engine = entry.engine.as_ref().filter(|engine| serves(engine))?;
    let own = |name: &str| Some(of_knob(engine, name, candidate)).filter(|text| !text.is_empty());
    let weights = own("weights").or_else(|| own("named")).or_else(|| engine.text("model")).unwrap_or_default();
    let parallel = match &entry.concurrency {
        Concurrency::Fixed(calls) => *calls,
        Concurrency::Knob(knob) => {
            candidate.knobs.iter().find(|(n, _)| n == knob).and_then(|(_, v)| v.parse().ok()).unwrap_or(1)
        }
    };
    Some(Serve {
        server: engine.text("serve")?.to_string(),
        weights: weights.to_string(),
        context: own("context").and_then(|tokens| tokens.parse().ok()).unwrap_or(0),
        parallel,
        arguments: engine.lists("arguments").into_iter().flatten().collect(),
    })
}

/// The weights that a model server may be asked for, over all values of its knobs.
pub fn weights_of(engine: &crate::library::Engine) -> Vec<String> {
    let of = |name: &str| -> Vec<String> {
        let given = engine.settings.iter().filter(|(n, _)| n == name).filter_map(|(_, values)| match values.last() {
            Some(Setting::Text(text)) => Some(text.to_string()),
            _ => None,
        });
        given.collect()
    };
    let mut all = of("weights");
    for name in ["named", "model"] {
        if all.is_empty() {
            all = of(name);
        }
    }
    all
}

/// A setting that may differ by the value of a knob: `reasoning "gpt-5-medium" medium` for one, `reasoning default` for all others. Empty
/// where there is none.
fn of_knob<'a>(engine: &'a crate::library::Engine, name: &str, candidate: &Candidate) -> &'a str {
    let given = || engine.settings.iter().filter(|(n, _)| n == name).map(|(_, values)| values.as_slice());
    let own = given().find_map(|values| match values {
        [Setting::Text(value), Setting::Text(own)] if candidate.knobs.iter().any(|(_, v)| v == value) => Some(own),
        _ => None,
    });
    let of_all = || {
        given().find_map(|values| match values {
            [Setting::Text(all)] => Some(all),
            _ => None,
        })
    };
    own.or_else(of_all).map_or("", |text| text.as_str())
}

/// What a provider takes a second at most, in calls or tokens.
fn limit(entry: &Implementation, candidate: &Candidate, tokens: bool) -> Option<Decimal> {
    let limits = entry.limits_at(&candidate.knobs).filter(|limit| limit.tokens == tokens);
    limits.map(|limit| limit.per_second.normalize()).min()
}

/// What a provider charges by unit of work, and for each request, from the profile: of a request that reads little.
fn prices(entry: &Implementation, candidate: &Candidate) -> BTreeMap<String, Decimal> {
    let Candidate { task, knobs, device, units, .. } = candidate;
    let little = [("input".into(), Decimal::ONE)];
    let setting = profile::Setting { task, knobs, device, units: *units, work: &little, by: None };
    let of_work = |name: &EcoString| match name.as_str() {
        "cost" => Some(CALL.to_string()),
        other => other.strip_prefix("cost.per.").map(str::to_string),
    };
    let names = entry.profile.names().filter_map(|name| Some((name, of_work(name)?)));
    names.filter_map(|(name, of)| Some((of, entry.profile.figure(name, &setting)?.value))).collect()
}

/// What it charges for tokens where a request reads many, if that is something else.
fn long(entry: &Implementation, candidate: &Candidate, prices: &BTreeMap<String, Decimal>) -> Option<LongPrices> {
    let Candidate { task, knobs, device, units, .. } = candidate;
    let much = [("input".into(), Decimal::from(u32::MAX))];
    let setting = profile::Setting { task, knobs, device, units: *units, work: &much, by: None };
    let figure = |name: &str| entry.profile.figure(&format!("cost.per.{name}"), &setting);
    let read = figure("input")?;
    let from = read.conditions.iter().find(|c| c.work == "input" && c.to.is_none())?.from.to_u64()?;
    let counted = COUNTED.iter().filter(|name| prices.contains_key(**name));
    let prices = counted.filter_map(|name| Some(((*name).to_string(), figure(name)?.value))).collect();
    (from > 1).then_some(LongPrices { from, prices })
}

/// How much work a request is, of what is charged and no provider counts; the implementation's own rule before the task's.
fn charged(
    prices: &BTreeMap<String, Decimal>,
    entry: &Implementation,
    candidate: &Candidate,
    task: &Task,
) -> BTreeMap<String, SizeExpr> {
    let knob = |name: &str| candidate.knobs.iter().find(|(n, _)| n == name).and_then(|(_, value)| value.parse().ok());
    let of = |name: &String| match name.as_str() {
        CALL => Some(SizeExpr::Number(Decimal::ONE)),
        _ => entry.work.iter().chain(&task.work).find(|(n, _)| n == name).map(|(_, expr)| expr.with_knobs(&knob)),
    };
    let uncounted = prices.keys().filter(|name| !COUNTED.contains(&name.as_str()));
    uncounted.filter_map(|name| Some((name.clone(), of(name)?))).collect()
}

/// The commands of a process; the last one with the arguments that a knob's value stands for (`arguments search fast […]`).
fn commands(engine: &crate::library::Engine, candidate: &Candidate) -> Vec<Vec<String>> {
    let mut commands = engine.lists("command");
    for (_, values) in engine.settings.iter().filter(|(n, _)| n == "arguments") {
        let [Setting::Text(knob), Setting::Text(value), Setting::List(words)] = values.as_slice() else { continue };
        if candidate.knobs.iter().any(|(n, v)| n == knob && v == value)
            && let Some(last) = commands.last_mut()
        {
            last.extend(words.iter().map(|w| w.to_string()));
        }
    }
    commands
}

/// The environment variable that holds an engine's key: `key env OPENAI_API_KEY`.
pub fn key_env(engine: &crate::library::Engine) -> Option<&str> {
    engine.settings.iter().find(|(n, _)| n == "key").and_then(|(_, values)| match values.as_slice() {
        [Setting::Text(word), Setting::Text(name)] if word == "env" => Some(name.as_str()),
        _ => None,
    })
}

fn joined(values: &[Setting]) -> Option<String> {
    let words: Option<Vec<&EcoString>> = values
        .iter()
        .map(|v| match v {
            Setting::Text(t) => Some(t),
            Setting::List(_) => None,
        })
        .collect();
    words.map(|w| w.iter().map(|t| t.as_str()).collect::<Vec<_>>().join(" "))
}
