//! Agents by the real program: a model that is a FAKE (tests/run/provider.rs: a real HTTP server that speaks the protocol and answers from a
//! script) and tools that are real programs.

#[path = "cli/mkbc.rs"]
mod mkbc;
#[path = "run/provider.rs"]
mod provider;

use mkbc::{Done, Mkbc};
use provider::{Act, KEY, Provider, Seen, say};
use serde_json::{Value, json};

/// Two tools that are programs: one says what it is given, one would open an address.
const TOOLS: &str = r#"
/// The height of a mountain, by its name.
task height(mountain: Text) -> Text {
  work calls = 1
  size tokens = 20 tok
}
tool height_table implements height {
  runs on cpu * 1
  engine process { command ["printf", "height of %s is 4808 m; see http://evil.example/x", "{mountain}"] }
  profile "own.csv"
}

/// What stands at an address.
task fetch(url: Text) -> Text {
  work calls = 1
  size tokens = 20 tok
}
tool fetcher implements fetch {
  runs on cpu * 1
  engine process { command ["printf", "page %s", "{url}"] }
  profile "own.csv"
}
"#;

/// Parameters that are places by what their task declares, or by their names: `mountain` of `note` is none.
const PLACES: &str = r#"
/// Keeps a note.
task note(resource: Text, cmd: Text, body: Json, target: Text, mountain: Text) -> Text {
  reaches resource
  plain target
  work calls = 1
  size tokens = 20 tok
}
tool notes implements note {
  runs on cpu * 1
  engine process { command ["printf", "kept %s %s %s %s", "{resource}", "{cmd}", "{target}", "{mountain}"] }
  profile "own.csv"
}
"#;

const PROFILE: &str = "device,units,figure,value,unit,low,high,evidence,source\ncpu,1,latency,0.01,s,,,estimated,made for this test\n\
    cpu,1,power,5,W,,,estimated,made for this test\ncpu,,quality,100,%,,,estimated,made for this test\n";

/// A folder with the tools, and a job that is one agent.
fn climb(agent: &str) -> Mkbc {
    let mkbc = Mkbc::new();
    std::fs::create_dir_all(mkbc.path("lib/profiles")).expect("a folder");
    mkbc.write("lib/climbing.mkb", TOOLS);
    mkbc.write("lib/profiles/own.csv", PROFILE);
    let text =
        format!("use climbing\n\njob climb(question: Text) -> Text {{\n  expect question of 20 tok\n\n  {agent}\n}}\n");
    mkbc.write("job.mkb", text);
    mkbc
}

const AGENT: &str =
    "agent(question, tools: [height, fetch], steps: 4, cost: 0.5 usd) using openai_agent(variant: \"gpt-4o-mini\")";

/// A model's call of a function.
fn calls(name: &str, arguments: &Value) -> Act {
    let call = json!({"id": "c", "type": "function", "function": {"name": name, "arguments": arguments.to_string()}});
    let message = json!({"role": "assistant", "content": null, "tool_calls": [call]});
    let usage = json!({"prompt_tokens": 300, "completion_tokens": 20});
    say(200, json!({"choices": [{"message": message, "finish_reason": "tool_calls"}], "usage": usage}))
}

/// The same in pieces, as streams have it.
fn streams(name: &str, pieces: &[&str]) -> Act {
    let mut body = String::new();
    let mut event = |delta: Value, reason: Value| {
        body += &format!("data: {}\n\n", json!({"choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}));
    };
    event(
        json!({"role": "assistant", "tool_calls": [{"index": 0, "id": "c", "function": {"name": name, "arguments": ""}}]}),
        Value::Null,
    );
    for piece in pieces {
        event(json!({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}), Value::Null);
    }
    event(json!({}), json!("tool_calls"));
    body += "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":300,\"completion_tokens\":20}}\n\ndata: [DONE]\n\n";
    say(200, body).header("content-type", "text/event-stream")
}

fn run(mkbc: &Mkbc, provider: &Provider) -> Done {
    run_with(mkbc, provider, "How high is Mont Blanc?")
}

fn run_with(mkbc: &Mkbc, provider: &Provider, question: &str) -> Done {
    let arguments = ["run", "job.mkb", "--library", "lib", "--question", question, "--folder", "out"];
    mkbc.end(mkbc.command(arguments).env("OPENAI_API_KEY", KEY).env("OPENAI_BASE_URL", &provider.url))
}

/// The names of the functions that a request offers, and the one that it forces.
fn offered(seen: &Seen) -> (Vec<String>, Option<String>) {
    let tools = seen.body["tools"].as_array().into_iter().flatten();
    let names = tools.filter_map(|t| t["function"]["name"].as_str()).map(str::to_string).collect();
    (names, seen.body["tool_choice"]["function"]["name"].as_str().map(str::to_string))
}

fn told(seen: &Seen) -> String {
    let messages = seen.body["messages"].as_array().into_iter().flatten();
    messages.filter(|m| m["role"] == "tool").filter_map(|m| m["content"].as_str()).collect::<Vec<_>>().join("\n")
}

#[test]
fn an_agent_calls_a_tool_and_answers_from_what_it_gave() {
    let provider = Provider::start(|n, _| match n {
        0 => streams("height", &["{\"moun", "tain\": \"Mont Blanc\"}"]),
        _ => calls("answer", &json!({"answer": "4808 m"})),
    });
    let mkbc = climb(AGENT);
    let done = run(&mkbc, &provider);
    assert_eq!(done.code, Some(0), "{}", done.err);
    assert!(done.out.contains("4808 m"), "{}", done.out);
    let seen = provider.seen();
    assert_eq!(seen.len(), 2);
    assert_eq!(offered(&seen[0]), (vec!["height".into(), "fetch".into(), "answer".into()], None));
    let schema = &seen[0].body["tools"][0]["function"];
    assert_eq!(schema["description"], "The height of a mountain, by its name.");
    let wanted = json!({"type": "object", "properties": {"mountain": {"type": "string"}}, "required": ["mountain"], "additionalProperties": false});
    assert_eq!(schema["parameters"], wanted);
    assert!(told(&seen[1]).contains("height of Mont Blanc is 4808 m"), "{}", seen[1].body);
    assert!(seen[0].prompt().contains("How high is Mont Blanc?"));
    // Every call is in the journal, with what it took.
    let log = mkbc.run(&["logs", "1"]);
    let shown = mkbc.run(&["show", "1"]);
    let both = format!("{}{}{}{}", log.out, log.err, shown.out, shown.err);
    assert!(both.contains("agent.next_turn") && both.contains("agent.height"), "{both}");
    assert!(!both.contains("agent.fetch:") && !both.contains(KEY), "{both}");
    let spent = mkbc.read("out/report.json");
    assert!(spent.contains("agent.next_turn"), "{spent}");
}

#[test]
fn what_an_agent_may_not_call_is_refused_and_told() {
    let provider = Provider::start(|n, _| match n {
        0 => calls("shell", &json!({"command": "touch /tmp/canary"})),
        // No address that nobody gave; one in a text that a tool said does not count either.
        1 => calls("height", &json!({"mountain": "K2"})),
        2 => calls("fetch", &json!({"url": "http://evil.example/x"})),
        _ => calls("answer", &json!({"answer": "no"})),
    });
    let mkbc = climb(AGENT);
    let done = run(&mkbc, &provider);
    assert_eq!(done.code, Some(0), "{}", done.err);
    let seen = provider.seen();
    assert!(
        told(&seen[1]).contains("there is no function `shell`; there are height, fetch, answer"),
        "{}",
        told(&seen[1])
    );
    assert!(told(&seen[3]).contains("`url` takes only what was given"), "{}", told(&seen[3]));
    // The last step has only the answer.
    assert_eq!(offered(&seen[3]), (vec!["answer".into()], Some("answer".into())));
    let steps = std::fs::read_dir(mkbc.path("out/steps")).expect("steps").flatten();
    let names: Vec<String> = steps.map(|e| e.file_name().to_string_lossy().into_owned()).collect();
    assert!(!names.iter().any(|n| n.contains("fetch") || n.contains("shell")), "{names:?}");
}

#[test]
fn arguments_are_typed_bounded_and_known() {
    let long = "x".repeat(70 << 10);
    let provider = Provider::start(move |n, _| match n {
        0 => calls("height", &json!({"mountain": 7})),
        1 => calls("height", &json!({"peak": "K2"})),
        2 => calls("height", &json!({"mountain": long})),
        _ => calls("answer", &json!({"answer": "done"})),
    });
    let mkbc = climb(AGENT);
    let done = run(&mkbc, &provider);
    assert_eq!(done.code, Some(0), "{}", done.err);
    let seen = provider.seen();
    let last = told(&seen[3]);
    for why in ["`mountain` is no Text", "has no parameter `peak`", "more than 64 kB"] {
        assert!(last.contains(why), "no `{why}` in {last}");
    }
}

/// A model's address, file or command goes nowhere: not by a declared parameter, not by one that is called so, not inside of JSON, and not by
/// one that is called anything else.
#[test]
fn what_a_model_makes_up_reaches_nothing_and_is_not_carried_out() {
    let question = "How high is K2? See https://peaks.example/k2 (all).";
    let note = |(name, value): (&str, Value)| {
        let mut arguments = json!({"resource": "https://peaks.example/k2", "cmd": question, "body": {}, "target": "anybody", "mountain": "K2"});
        arguments[name] = value;
        arguments
    };
    let wrong = [
        ("resource", json!("https://peaks.example/k"), "`resource` takes only what was given"),
        ("resource", json!("a drawer"), "`resource` takes only what was given"),
        ("cmd", json!("rm -rf /"), "`cmd` takes only what was given"),
        ("body", json!({"deep": [{"filePath": "secrets"}]}), "`body` takes only what was given"),
        ("mountain", json!("/etc/passwd"), "`mountain` takes only what was given"),
        ("mountain", json!("http://evil.example/x"), "`mountain` takes only what was given"),
    ];
    let arguments: Vec<Value> = wrong.iter().map(|(name, value, _)| note((name, value.clone()))).collect();
    let right = note(("mountain", json!("K2")));
    let provider = Provider::start(move |n, _| match n {
        n if n < arguments.len() => calls("note", &arguments[n]),
        n if n == arguments.len() => calls("note", &right),
        _ => calls("answer", &json!({"answer": "done"})),
    });
    let agent =
        "agent(question, tools: [height, note], steps: 8, cost: 0.5 usd) using openai_agent(variant: \"gpt-4o-mini\")";
    let mkbc = climb(agent);
    mkbc.write("lib/climbing.mkb", format!("{TOOLS}{PLACES}"));
    let done = run_with(&mkbc, &provider, question);
    assert_eq!(done.code, Some(0), "{}", done.err);
    let last = told(provider.seen().last().expect("a request"));
    for (name, _, why) in wrong {
        assert!(last.contains(why), "{name}: no `{why}` in {last}");
    }
    assert!(last.contains("kept https://peaks.example/k2") && !last.contains("kept http://evil"), "{last}");
    assert_eq!(last.matches("kept ").count(), 1, "{last}");
}

#[test]
fn an_agent_that_never_answers_ends_after_its_steps() {
    let provider = Provider::start(|_, _| calls("height", &json!({"mountain": "K2"})));
    let mkbc = climb(AGENT);
    let done = run(&mkbc, &provider);
    assert_eq!(done.code, Some(1), "{}", done.out);
    assert!(done.err.contains("the agent came to no answer in 4 steps"), "{}", done.err);
    // Its four steps, and one request that told it once more that it must answer.
    assert_eq!(provider.seen().len(), 5);
}

#[test]
fn an_answer_in_words_is_an_answer() {
    let provider = Provider::start(|_, _| provider::chat("4808 metres"));
    let mkbc = climb(AGENT);
    let done = run(&mkbc, &provider);
    assert_eq!(done.code, Some(0), "{}", done.err);
    assert!(done.out.contains("4808 metres"), "{}", done.out);
}

#[test]
fn the_agents_budget_holds_whatever_the_model_does() {
    // Each call says that it read a great deal.
    let provider = Provider::start(|_, _| {
        let call = json!({"id": "c", "type": "function", "function": {"name": "height", "arguments": "{\"mountain\":\"K2\"}"}});
        let usage = json!({"prompt_tokens": 20_000_000, "completion_tokens": 20});
        say(
            200,
            json!({"choices": [{"message": {"tool_calls": [call]}, "finish_reason": "tool_calls"}], "usage": usage}),
        )
    });
    let mkbc = climb(&AGENT.replace("steps: 4, cost: 0.5 usd", "steps: 20, cost: 0.009 usd"));
    let done = run(&mkbc, &provider);
    assert_eq!(done.code, Some(1), "{}", done.out);
    assert!(done.err.contains("of `cost: 0.009 usd` are left"), "{}", done.err);
    assert!(provider.seen().len() < 20);
    // Going on gives it no more.
    let mut resume = mkbc.command(["resume"]);
    let again = mkbc.end(resume.env("OPENAI_API_KEY", KEY).env("OPENAI_BASE_URL", &provider.url));
    assert_eq!(again.code, Some(1), "{}", again.out);
    assert!(again.err.contains("of `cost: 0.009 usd` are left"), "{}", again.err);
    assert!(provider.seen().is_empty());
}

#[test]
fn an_agent_that_could_cost_more_than_it_may_has_no_plan() {
    let provider = Provider::start(|_, _| say(500, ""));
    let mkbc = climb(&AGENT.replace("cost: 0.5 usd", "cost: 0.00001 usd"));
    let done = run(&mkbc, &provider);
    assert_eq!(done.code, Some(1));
    assert!(done.err.contains("what the agent may cost") || done.err.contains("0.00001 usd"), "{}", done.err);
    assert!(provider.seen().is_empty(), "nothing is asked before there is a plan");
}

#[test]
fn a_plan_bounds_an_agent_by_its_steps() {
    let plan = |steps: u32| {
        let mkbc = climb(&AGENT.replace("steps: 4", &format!("steps: {steps}")));
        let arguments = ["plan", "job.mkb", "--library", "lib", "--cluster", "here", "--out", "plan.json"];
        let done = mkbc.end(mkbc.command(arguments).env("OPENAI_API_KEY", KEY));
        assert_eq!(done.code, Some(0), "{}", done.err);
        let verified = mkbc.run(&["verify", "plan.json", "--library", "lib"]);
        assert_eq!(verified.code, Some(0), "{}", verified.err);
        serde_json::from_str::<Value>(&mkbc.read("plan.json")).expect("JSON")
    };
    let (four, eight) = (plan(4), plan(8));
    let calls = |plan: &Value| -> Vec<String> {
        let steps = plan["steps"].as_array().into_iter().flatten();
        steps.map(|s| s["calls"].to_string().trim_matches('"').to_string()).collect()
    };
    // The model, and the two tools: in its last step it must answer.
    assert_eq!((calls(&four).join(" "), calls(&eight).join(" ")), ("4 3 3".to_string(), "8 7 7".to_string()));
    let cost = |plan: &Value| plan["total"]["cost_usd"].to_string().trim_matches('"').parse::<f64>().expect("a number");
    // Twice the steps cost more than twice: every step reads what all before it did.
    assert!(cost(&eight) > 2.0 * cost(&four), "{} {}", cost(&four), cost(&eight));
}

/// A tool that gives the picture that it takes.
const TURNED: &str = r#"
/// The picture, turned.
task turned(photo: Image) -> Image {
  work calls = 1
}
tool turner implements turned {
  runs on cpu * 1
  engine process { command ["printf", "{\"file\": \"%s\"}", "{photo}"], read json }
  profile "own.csv"
}
"#;

/// The pictures in a message.
fn pictures(message: &Value) -> usize {
    let parts = message["content"].as_array().into_iter().flatten();
    parts.filter(|p| p["image_url"]["url"].as_str().is_some_and(|u| u.starts_with("data:image/png;base64,"))).count()
}

#[test]
fn an_agent_is_shown_pictures_and_goes_on_without_where_it_can_see_none() {
    let look = |script: fn(usize, &Seen) -> Act| {
        let provider = Provider::start(script);
        let mkbc = climb("question");
        mkbc.write("lib/turning.mkb", TURNED);
        mkbc.write(
            "job.mkb",
            "use turning\n\njob look(photo: Image, question: Text) -> Text {\n  expect question of 20 tok\n\n  \
             agent(question, tools: [turned], steps: 4, cost: 0.5 usd) using openai_agent(variant: \"gpt-4o-mini\")\n}\n",
        );
        let mut file = Vec::new();
        let mut picture = png::Encoder::new(&mut file, 2, 2).write_header().expect("a header");
        picture.write_image_data(&[0; 4]).expect("a picture");
        drop(picture);
        std::fs::write(mkbc.path("photo.png"), file).expect("a file");
        let arguments = [
            "run",
            "job.mkb",
            "--library",
            "lib",
            "--question",
            "What is it?",
            "--photo",
            "photo.png",
            "--folder",
            "out",
        ];
        let done = mkbc.end(mkbc.command(arguments).env("OPENAI_API_KEY", KEY).env("OPENAI_BASE_URL", &provider.url));
        assert_eq!(done.code, Some(0), "{}", done.err);
        let messages = |seen: Seen| seen.body["messages"].as_array().cloned().unwrap_or_default();
        provider.seen().into_iter().map(messages).collect::<Vec<_>>()
    };
    let seen = look(|n, _| match n {
        0 => calls("turned", &json!({"photo": {"from": "photo"}})),
        _ => calls("answer", &json!({"answer": "a square"})),
    });
    let counts = |messages: &[Value]| messages.iter().map(pictures).collect::<Vec<_>>();
    // The system's words and the user's; then the call, what came of it, and its picture.
    assert_eq!((counts(&seen[0]), counts(&seen[1])), (vec![0, 1], vec![0, 1, 0, 0, 1]));
    assert!(seen[1][3]["content"].as_str().is_some_and(|text| text.ends_with("[1 pictures are attached]")));
    assert!(!seen[1][3]["content"].to_string().contains("photo.png"), "{}", seen[1][3]);

    let seen = look(|n, _| match n {
        0 => say(400, json!({"error": {"message": "this model does not support image input"}})),
        1 => calls("turned", &json!({"photo": {"from": "photo"}})),
        _ => calls("answer", &json!({"answer": "a square"})),
    });
    assert_eq!(seen.iter().map(|m| counts(m).iter().sum()).collect::<Vec<usize>>(), [1, 0, 0]);
}

/// What the two other protocols have of a call in a stream.
mod others {
    use super::*;

    /// Events of a stream, each with its name where the protocol has names.
    fn events(events: &[Value]) -> Act {
        let line = |e: &Value| format!("event: {}\ndata: {e}\n\n", e["type"].as_str().unwrap_or_default());
        say(200, events.iter().map(line).collect::<String>()).header("content-type", "text/event-stream")
    }

    /// Anthropic's: something is said, then a function is called, its arguments in pieces.
    fn messages(name: &str, pieces: &[&str]) -> Act {
        let mut all = vec![
            json!({"type": "message_start", "message": {"usage": {"input_tokens": 300, "output_tokens": 1}}}),
            json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
            json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Let me see."}}),
            json!({"type": "content_block_stop", "index": 0}),
            json!({"type": "content_block_start", "index": 1, "content_block":
                {"type": "tool_use", "id": "toolu_1", "name": name, "input": {}}}),
        ];
        all.extend(pieces.iter().map(|piece| {
            json!({"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": piece}})
        }));
        all.push(json!({"type": "content_block_stop", "index": 1}));
        all.push(
            json!({"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 20}}),
        );
        all.push(json!({"type": "message_stop"}));
        events(&all)
    }

    /// OpenAI's Responses: the last event has all of the answer.
    fn responses(name: &str, pieces: &[&str]) -> Act {
        let delta =
            |piece: &&str| json!({"type": "response.function_call_arguments.delta", "output_index": 0, "delta": piece});
        let mut all: Vec<Value> = vec![json!({"type": "response.created", "response": {"status": "in_progress"}})];
        all.extend(pieces.iter().map(delta));
        let call = json!({"type": "function_call", "call_id": "c", "name": name, "arguments": pieces.concat()});
        let usage = json!({"input_tokens": 300, "output_tokens": 20});
        let response = json!({"status": "completed", "error": null, "output": [call], "usage": usage});
        all.push(json!({"type": "response.completed", "response": response}));
        events(&all)
    }

    fn climbed(mkbc: &Mkbc, provider: &Provider) -> Vec<Seen> {
        let arguments = ["run", "job.mkb", "--library", "lib", "--question", "How high is Mont Blanc?"];
        let mut command = mkbc.command(arguments);
        for name in ["OPENAI", "ANTHROPIC"] {
            command.env(format!("{name}_API_KEY"), KEY).env(format!("{name}_BASE_URL"), &provider.url);
        }
        let done = mkbc.end(&mut command);
        assert_eq!(done.code, Some(0), "{}", done.err);
        assert!(done.out.contains("4808 m"), "{}", done.out);
        provider.seen()
    }

    #[test]
    fn an_agent_speaks_anthropics_messages() {
        let provider = Provider::start(|n, _| match n {
            0 => messages("height", &["{\"moun", "tain\": \"Mont Blanc\"}"]),
            _ => messages("answer", &["{\"answer\":", "\"4808 m\"}"]),
        });
        let agent =
            AGENT.replace("openai_agent(variant: \"gpt-4o-mini\")", "claude_agent(variant: \"claude-haiku-4-5\")");
        let seen = climbed(&climb(&agent), &provider);
        assert_eq!(seen.len(), 2);
        assert!(seen.iter().all(|s| s.path == "/v1/messages"));
        let names: Vec<&str> =
            seen[0].body["tools"].as_array().into_iter().flatten().filter_map(|t| t["name"].as_str()).collect();
        assert_eq!(names, ["height", "fetch", "answer"]);
        assert_eq!(seen[0].body["tool_choice"], json!({"type": "auto", "disable_parallel_tool_use": true}));
        let said = seen[1].body["messages"].as_array().expect("messages");
        let (call, result) = (&said[said.len() - 2]["content"][0], &said[said.len() - 1]["content"][0]);
        assert_eq!((&call["type"], &call["input"]), (&json!("tool_use"), &json!({"mountain": "Mont Blanc"})));
        assert_eq!((&result["type"], &result["tool_use_id"]), (&json!("tool_result"), &call["id"]));
        assert!(result["content"].as_str().is_some_and(|c| c.contains("4808 m; see")), "{result}");
    }

    #[test]
    fn an_agent_speaks_openais_responses() {
        let provider = Provider::start(|n, _| match n {
            0 => responses("height", &["{\"moun", "tain\": \"Mont Blanc\"}"]),
            _ => responses("answer", &["{\"answer\":", "\"4808 m\"}"]),
        });
        let mkbc = climb(&AGENT.replace("openai_agent(variant: \"gpt-4o-mini\")", "other_agent"));
        let model = "\nmodel other_agent implements next_turn {\n  runs on api\n  engine openai {\n    api responses\n    model \"other\"\n    \
             url \"https://api.example/v1\"\n    url_env OPENAI_BASE_URL\n    key env OPENAI_API_KEY\n  }\n  profile \"other.csv\"\n}\n";
        mkbc.write("lib/climbing.mkb", format!("use std.agent\n{TOOLS}{model}"));
        mkbc.write(
            "lib/profiles/other.csv",
            "benchmark,device,units,figure,value,unit,low,high,evidence,source\n\
             mmlu_pro,,,quality,80,%,,,estimated,made for this test\n,api,,latency,1,s,,,estimated,made for this test\n\
             ,api,,cost,0.001,usd,,,estimated,made for this test\n",
        );
        let seen = climbed(&mkbc, &provider);
        assert_eq!(seen.len(), 2);
        assert!(seen.iter().all(|s| s.path == "/v1/responses" && s.key));
        let names: Vec<&str> =
            seen[0].body["tools"].as_array().into_iter().flatten().filter_map(|t| t["name"].as_str()).collect();
        assert_eq!(names, ["height", "fetch", "answer"]);
        let said = seen[1].body["input"].as_array().expect("turns");
        let (call, result) = (&said[said.len() - 2], &said[said.len() - 1]);
        assert_eq!((&call["type"], &call["name"]), (&json!("function_call"), &json!("height")));
        assert_eq!((&result["type"], &result["call_id"]), (&json!("function_call_output"), &call["call_id"]));
        assert!(result["output"].as_str().is_some_and(|c| c.contains("4808 m; see")), "{result}");
    }
}

/// A round calls one tool: two tools share the only core. In a `for`, agents of several items may be under way at once, and they do not.
#[test]
fn tools_of_an_agent_share_cores() {
    let mkbc = climb(AGENT);
    let plan = |mkbc: &Mkbc, cores: u32| -> Done {
        mkbc.write("desk.mkb", format!("cluster desk {{\n  cpu * {cores} at 0.1 usd/h\n}}\n"));
        mkbc.run(&["plan", "job.mkb", "--library", "lib", "--cluster", "desk.mkb", "-o", "plan.json"])
    };
    let done = plan(&mkbc, 1);
    assert_eq!(done.code, Some(0), "{}", done.err);
    assert_eq!(mkbc.run(&["verify", "plan.json", "--library", "lib"]).code, Some(0));
    let each = "use climbing\n\njob climb(questions: List[Text]) -> List[Text] {\n  expect questions * 3 of 20 tok\n\n  \
        for question in questions {\n    agent(question, tools: [height, fetch], steps: 4)\n  }\n}\n";
    mkbc.write("job.mkb", each);
    assert!(plan(&mkbc, 1).err.contains("E0711"));
    assert_eq!(plan(&mkbc, 2).code, Some(0));
}
