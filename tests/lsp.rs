//! The real `mkbc lsp` over its pipes, as an editor drives it.

use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

struct Editor {
    server: Child,
    to: Option<ChildStdin>,
    from: BufReader<ChildStdout>,
    next: i64,
    notes: Vec<Value>,
    folder: tempfile::TempDir,
}

impl Editor {
    fn start() -> Editor {
        Editor::start_in(tempfile::tempdir().expect("a folder"), &[])
    }

    fn start_in(folder: tempfile::TempDir, options: &[&str]) -> Editor {
        let mut server = Command::new(env!("CARGO_BIN_EXE_mkbc"))
            .args(["lsp", "--stdio", "--cluster", "azure_mixed"])
            .args(options)
            .current_dir(folder.path())
            .env("XDG_CACHE_HOME", folder.path().join(".cache"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("starts");
        let to = server.stdin.take();
        let from = BufReader::new(server.stdout.take().expect("a pipe"));
        Editor { server, to, from, next: 0, notes: Vec::new(), folder }
    }

    fn initialized(capabilities: Value) -> Editor {
        let mut editor = Editor::start();
        let answer =
            editor.ask("initialize", json!({"processId": null, "rootUri": null, "capabilities": capabilities}));
        assert_eq!(answer["result"]["serverInfo"]["name"], "mkbc");
        editor.tell("initialized", json!({}));
        editor
    }

    fn raw(&mut self, bytes: &[u8]) {
        let to = self.to.as_mut().expect("open");
        to.write_all(bytes).and_then(|()| to.flush()).expect("writes");
    }

    fn send(&mut self, message: Value) {
        let text = message.to_string();
        self.raw(format!("Content-Length: {}\r\n\r\n{text}", text.len()).as_bytes());
    }

    fn tell(&mut self, method: &str, params: Value) {
        self.send(json!({"jsonrpc": "2.0", "method": method, "params": params}));
    }

    fn read(&mut self) -> Option<Value> {
        let mut size = 0;
        loop {
            let mut line = String::new();
            if self.from.read_line(&mut line).expect("reads") == 0 {
                return None;
            }
            match line.trim().split_once(": ") {
                Some((_, value)) => size = value.parse().expect("a length"),
                None => break,
            }
        }
        let mut body = vec![0; size];
        self.from.read_exact(&mut body).expect("the body");
        Some(serde_json::from_slice(&body).expect("JSON"))
    }

    /// Asks, and waits for the answer; what comes between is kept.
    fn ask(&mut self, method: &str, params: Value) -> Value {
        self.next += 1;
        let id = self.next;
        self.send(json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}));
        loop {
            let message = self.read().expect("an answer");
            if message["id"] == id {
                return message;
            }
            self.notes.push(message);
        }
    }

    /// The first message, among those kept and those to come, that is wanted.
    fn wait(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        let started = Instant::now();
        loop {
            if let Some(at) = self.notes.iter().position(&wanted) {
                return self.notes.remove(at);
            }
            assert!(started.elapsed() < Duration::from_secs(120), "nothing of the kind came");
            let message = self.read().expect("a message");
            self.notes.push(message);
        }
    }

    fn open(&mut self, text: &str) -> String {
        let uri = format!("file://{}/test.mkb", self.folder.path().display());
        self.tell(
            "textDocument/didOpen",
            json!({"textDocument": {"uri": uri, "languageId": "mkb", "version": 1, "text": text}}),
        );
        uri
    }

    fn diagnostics(&mut self, version: i64) -> Vec<Value> {
        let note = self.wait(|n| n["method"] == "textDocument/publishDiagnostics" && n["params"]["version"] == version);
        note["params"]["diagnostics"].as_array().expect("a list").clone()
    }

    fn end(mut self) -> Option<i32> {
        let answer = self.ask("shutdown", Value::Null);
        assert!(answer["error"].is_null(), "{answer}");
        self.tell("exit", Value::Null);
        self.server.wait().expect("ends").code()
    }
}

fn place(line: u32, character: u32) -> Value {
    json!({"line": line, "character": character})
}

fn at(uri: &str, line: u32, character: u32) -> Value {
    json!({"textDocument": {"uri": uri}, "position": place(line, character)})
}

/// A text with edits of the protocol applied; positions in UTF-16.
fn applied(text: &str, edits: &Value) -> String {
    let offset = |p: &Value| {
        let lines: Vec<&str> = text.split_inclusive('\n').collect();
        let line = p["line"].as_u64().expect("a line") as usize;
        let start: usize = lines.iter().take(line).map(|l| l.len()).sum();
        let wanted = p["character"].as_u64().expect("a character") as usize;
        let mut units = 0;
        let rest = lines.get(line).copied().unwrap_or("");
        start
            + rest
                .chars()
                .take_while(|c| {
                    units += c.len_utf16();
                    units <= wanted
                })
                .map(char::len_utf8)
                .sum::<usize>()
    };
    let mut list: Vec<(usize, usize, &str)> = edits
        .as_array()
        .expect("edits")
        .iter()
        .map(|e| (offset(&e["range"]["start"]), offset(&e["range"]["end"]), e["newText"].as_str().expect("a text")))
        .collect();
    list.sort();
    let mut out = text.to_string();
    for (start, end, insert) in list.into_iter().rev() {
        out.replace_range(start..end, insert);
    }
    out
}

const JOB: &str = "use std.speech\n\njob j(audio: Audio) -> Transcript {\n  speech_to_text(audio)\n}\n";

#[test]
fn a_session_from_the_first_message_to_the_last() {
    let mut editor = Editor::initialized(json!({
        "workspace": {"inlayHint": {"refreshSupport": true}},
        "textDocument": {"publishDiagnostics": {"codeDescriptionSupport": true}},
    }));
    let uri = editor.open(JOB);
    assert_eq!(editor.diagnostics(1), Vec::<Value>::new());

    // A letter goes: the check says so, with its code and what helps.
    let range = json!({"start": place(3, 2), "end": place(3, 3)});
    editor.tell(
        "textDocument/didChange",
        json!({"textDocument": {"uri": uri, "version": 2},
        "contentChanges": [{"range": range, "text": ""}]}),
    );
    let said = editor.diagnostics(2);
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0]["code"].as_str().is_some_and(|c| c.starts_with('E')), "{said:?}");
    assert!(said[0]["relatedInformation"].to_string().contains("mkbc explain"));
    // Its page is a file that the editor opens.
    let (code, link) = (said[0]["code"].as_str().expect("a code"), said[0]["codeDescription"]["href"].as_str());
    let page = link.and_then(|link| link.strip_prefix("file://")).and_then(|path| std::fs::read_to_string(path).ok());
    assert!(page.is_some_and(|page| page.starts_with(&format!("# {code}"))), "{said:?}");

    // The fix of the diagnostic gives back what was there.
    let actions = editor.ask(
        "textDocument/codeAction",
        json!({"textDocument": {"uri": uri},
        "range": {"start": place(3, 4), "end": place(3, 4)}, "context": {"diagnostics": []}}),
    );
    let broken = JOB.replace("  speech", "  peech");
    let edits = &actions["result"][0]["edit"]["changes"][&uri];
    assert_eq!(applied(&broken, edits), JOB, "{actions}");
    editor.tell(
        "textDocument/didChange",
        json!({"textDocument": {"uri": uri, "version": 3}, "contentChanges": [{"text": JOB}]}),
    );
    assert_eq!(editor.diagnostics(3), Vec::<Value>::new());

    // The library is a file that an editor can open, and is not checked as a file of the user's.
    let found = editor.ask("textDocument/definition", at(&uri, 3, 5));
    let target = found["result"]["uri"].as_str().expect("a place").to_string();
    let path = target.strip_prefix("file://").expect("a file").to_string();
    let text = std::fs::read_to_string(&path).expect("the library's text");
    assert!(std::fs::metadata(&path).expect("a file").permissions().readonly());
    assert!(Path::new(&path).ends_with("std/speech.mkb"));
    editor.tell(
        "textDocument/didOpen",
        json!({"textDocument": {"uri": target, "languageId": "mkb", "version": 7, "text": text}}),
    );
    assert_eq!(editor.diagnostics(7), Vec::<Value>::new());

    let hover = editor.ask("textDocument/hover", at(&uri, 3, 5));
    assert!(hover["result"]["contents"]["value"].as_str().is_some_and(|t| t.contains("Carried out by")), "{hover}");
    let listed = editor.ask("textDocument/completion", at(&uri, 3, 8));
    assert!(listed["result"]["items"].to_string().contains("speech_to_text"));
    let renamed = editor
        .ask("textDocument/rename", json!({"textDocument": {"uri": uri}, "position": place(2, 7), "newName": "sound"}));
    assert_eq!(applied(JOB, &renamed["result"]["changes"][&uri]), JOB.replace("(audio", "(sound"));
    let refused = editor.ask("textDocument/prepareRename", at(&uri, 3, 5));
    assert!(refused["error"]["message"].as_str().is_some_and(|m| m.contains("library")), "{refused}");

    for method in ["documentSymbol", "foldingRange", "semanticTokens/full", "documentLink", "codeLens"] {
        let answer = editor.ask(&format!("textDocument/{method}"), json!({"textDocument": {"uri": uri}}));
        assert!(answer["error"].is_null(), "{answer}");
    }
    // The plan comes later, and says so.
    editor.wait(|n| n["method"] == "workspace/inlayHint/refresh");
    let whole = json!({"textDocument": {"uri": uri}, "range": {"start": place(0, 0), "end": place(9, 0)}});
    let mut hints = editor.ask("textDocument/inlayHint", whole.clone());
    while !hints["result"].to_string().contains(" on ") {
        editor.wait(|n| n["method"] == "workspace/inlayHint/refresh");
        hints = editor.ask("textDocument/inlayHint", whole.clone());
    }
    let lenses = editor.ask("textDocument/codeLens", json!({"textDocument": {"uri": uri}}));
    assert!(lenses["result"].to_string().contains("quality"), "{lenses}");
    let drawn = editor.ask("mkbc/graph", json!({"textDocument": {"uri": uri}}));
    let picture = drawn["result"][0]["svg"].as_str().expect("a picture");
    let boxes: Vec<&str> =
        picture.split("<g class=\"box ").skip(1).map(|b| b.split("><title>").next().unwrap_or_default()).collect();
    assert_eq!(boxes, ["input\"", "step critical\" data-line=\"4\" data-column=\"3\"", "result\""], "{picture}");
    assert_eq!(picture.matches("class=\"arrow").count(), 2, "{picture}");
    assert_eq!(editor.end(), Some(0));
}

#[test]
fn semantic_tokens_come_whole_in_part_and_as_what_changed() {
    let mut editor = Editor::initialized(json!({}));
    let uri = editor.open(JOB);
    let document = json!({"textDocument": {"uri": uri}});
    let first = editor.ask("textDocument/semanticTokens/full", document.clone());
    let numbers = |v: &Value| -> Vec<u64> { v.as_array().expect("a list").iter().filter_map(Value::as_u64).collect() };
    let mut data = numbers(&first["result"]["data"]);
    let range = json!({"start": place(3, 0), "end": place(4, 0)});
    let part = editor.ask("textDocument/semanticTokens/range", json!({"textDocument": {"uri": uri}, "range": range}));
    let part = numbers(&part["result"]["data"]);
    assert!(part[0] == 3 && part.len() < data.len() && data.ends_with(&part[5..]), "{part:?}");
    editor.tell(
        "textDocument/didChange",
        json!({"textDocument": {"uri": uri, "version": 2},
        "contentChanges": [{"range": {"start": place(3, 0), "end": place(3, 0)}, "text": "  // a comment\n"}]}),
    );
    let asked = json!({"textDocument": {"uri": uri}, "previousResultId": first["result"]["resultId"]});
    let changed = editor.ask("textDocument/semanticTokens/full/delta", asked.clone());
    let edits = changed["result"]["edits"].as_array().expect("edits");
    assert_eq!(edits.len(), 1, "{changed}");
    let at = |name: &str| edits[0][name].as_u64().expect("a number") as usize;
    data.splice(at("start")..at("start") + at("deleteCount"), numbers(&edits[0]["data"]));
    let whole = editor.ask("textDocument/semanticTokens/full", document);
    assert_eq!(data, numbers(&whole["result"]["data"]));
    // An answer that the server no longer has is followed by all tokens.
    let late = editor.ask("textDocument/semanticTokens/full/delta", asked);
    assert_eq!(data, numbers(&late["result"]["data"]));
    assert_eq!(editor.end(), Some(0));
}

#[test]
fn a_file_is_laid_out_whole_in_part_and_as_it_is_typed() {
    let mut editor = Editor::initialized(json!({}));
    let messy = JOB
        .replace("  speech_to_text(audio)", "      speech_to_text( audio )")
        .replace("job j(audio: ", "job j( audio:");
    let uri = editor.open(&messy);
    let options = json!({"tabSize": 2, "insertSpaces": true});
    let whole = editor.ask("textDocument/formatting", json!({"textDocument": {"uri": uri}, "options": options}));
    assert_eq!(applied(&messy, &whole["result"]), JOB, "{whole}");
    let range = json!({"start": place(3, 0), "end": place(3, 1)});
    let part = json!({"textDocument": {"uri": uri}, "range": range, "options": options});
    let part = editor.ask("textDocument/rangeFormatting", part);
    let expected = messy.replace("      speech_to_text( audio )", "  speech_to_text(audio)");
    assert_eq!(applied(&messy, &part["result"]), expected, "{part}");
    // A new line lays out the one before it, and leaves the others.
    let typed = json!({"textDocument": {"uri": uri}, "position": place(4, 0), "ch": "\n", "options": options});
    let typed = editor.ask("textDocument/onTypeFormatting", typed);
    assert_eq!(applied(&messy, &typed["result"]), expected, "{typed}");
}

#[test]
fn positions_count_utf16_unless_the_client_takes_bytes() {
    for (encodings, wide) in [(json!(["utf-16"]), 2), (json!(["utf-8", "utf-16"]), 4)] {
        let mut editor = Editor::initialized(json!({"general": {"positionEncodings": encodings}}));
        let text = "job j(text: Text) -> Text {\n  goal \"😀\" x\n  text\n}\n";
        let uri = editor.open(text);
        let said = editor.diagnostics(1);
        assert_eq!(said[0]["range"]["start"], place(1, 7 + wide + 3), "{said:?}");
        // The letter behind the picture goes, and the file is whole.
        let range = json!({"start": place(1, 7 + wide + 2), "end": place(1, 7 + wide + 4)});
        editor.tell(
            "textDocument/didChange",
            json!({"textDocument": {"uri": uri, "version": 2},
            "contentChanges": [{"range": range, "text": ""}]}),
        );
        assert_eq!(editor.diagnostics(2), Vec::<Value>::new());
        assert_eq!(editor.end(), Some(0));
    }
}

#[test]
fn what_is_no_message_and_what_comes_too_early_ends_nothing() {
    let mut editor = Editor::start();
    let early = editor.ask("textDocument/hover", json!({}));
    assert_eq!(early["error"]["code"], -32002, "{early}");
    editor.raw(b"nonsense\r\n\r\n");
    assert_eq!(editor.wait(|m| m["error"]["code"] == -32700)["id"], Value::Null);
    editor.raw(b"Content-Length: 7\r\n\r\n{not js");
    editor.wait(|m| m["error"]["code"] == -32700);
    editor.raw(b"Content-Length: 11\r\n\r\n{\"id\": 41 }");
    assert_eq!(editor.wait(|m| m["id"] == 41)["error"]["code"], -32600);
    editor.ask("initialize", json!({"capabilities": {}}));
    for (method, params, code) in [
        ("initialize", json!({}), -32600),
        ("textDocument/hover", json!({"textDocument": {"uri": "file:///no.mkb"}, "position": place(0, 0)}), -32602),
        ("textDocument/hover", json!(3), -32602),
        ("textDocument/unheardOf", json!({"textDocument": {"uri": 1}}), -32602),
        ("unheardOf", json!({}), -32601),
    ] {
        let answer = editor.ask(method, params);
        assert_eq!(answer["error"]["code"], code, "{method}: {answer}");
    }
    // Changes of what is not open, and changes that are none.
    editor.tell(
        "textDocument/didChange",
        json!({"textDocument": {"uri": "file:///no.mkb", "version": 2}, "contentChanges": []}),
    );
    editor.tell("textDocument/didChange", json!(null));
    let uri = editor.open("job");
    editor.tell(
        "textDocument/didChange",
        json!({"textDocument": {"uri": uri, "version": 2}, "contentChanges": [{"range": 3}]}),
    );
    // Positions that are not there are the nearest that are.
    let far = editor.ask("textDocument/completion", at(&uri, 4_000_000_000, 4_000_000_000));
    assert!(far["error"].is_null(), "{far}");
    editor.ask("shutdown", Value::Null);
    let late = editor.ask("textDocument/hover", at(&uri, 0, 0));
    assert_eq!(late["error"]["code"], -32600);
    editor.tell("exit", Value::Null);
    assert_eq!(editor.server.wait().expect("ends").code(), Some(0));
}

#[test]
fn a_client_that_goes_away_ends_the_server() {
    for wish in [false, true] {
        let mut editor = Editor::initialized(json!({}));
        if wish {
            editor.tell("exit", Value::Null);
        } else {
            editor.to = None;
        }
        let code = editor.server.wait().expect("ends").code();
        assert_eq!(code, Some(1), "without `shutdown` it is no good end");
    }
}

#[test]
fn a_file_of_a_megabyte_is_answered() {
    let mut editor = Editor::initialized(json!({}));
    let line = "// a line that says nothing at all, many times over\n";
    let text = format!("{JOB}{}", line.repeat((1 << 20) / line.len()));
    let uri = editor.open(&text);
    assert_eq!(editor.diagnostics(1), Vec::<Value>::new());
    let answer = editor.ask("textDocument/semanticTokens/full", json!({"textDocument": {"uri": uri}}));
    assert!(answer["result"]["data"].as_array().is_some_and(|d| d.len() > 100_000));
    // One line of a megabyte.
    editor.tell(
        "textDocument/didChange",
        json!({"textDocument": {"uri": uri, "version": 2},
        "contentChanges": [{"text": "(".repeat(1 << 20)}]}),
    );
    assert!(!editor.diagnostics(2).is_empty());
    assert_eq!(editor.end(), Some(0));
}

/// A library of one's own, a job that is open, and files that are not: one that uses the library, one that declares the same names for
/// itself, and one in a folder that nobody looks into.
const HOUSE: [(&str, &str); 6] = [
    (
        "lib/house.mkb",
        "type Remark {\n  text: Text\n  loud: Bool\n}\n\n/// Says it loudly.\ntask shout(words: Text) -> Remark {\n  \
         work input = words.tokens\n  size text.tokens = words.tokens\n  prompt \"Shout: {words}\"\n}\n\n\
         tool megaphone implements shout {\n  knob strength in [1, 2]\n  runs on cpu * 1\n  \
         engine process { command [\"shout\", \"{words}\", \"{strength}\"] }\n  profile \"megaphone.csv\"\n}\n",
    ),
    (
        "lib/profiles/megaphone.csv",
        "strength,device,units,figure,value,unit,low,high,evidence,source\n1,cpu,1,latency,1,s,,,estimated,a guess\n\
         ,cpu,1,quality,90,%,,,estimated,a guess\n2,cpu,1,latency,2,s,,,estimated,a guess\n",
    ),
    (
        "jobs/open.mkb",
        "use house\n\njob open(text: Text) -> Text {\n  let remark = shout(words: text) using megaphone(strength: 1)\n  \
         remark.text\n}\n",
    ),
    (
        "jobs/far/closed.mkb",
        "use house\n\njob closed(words: Text) -> Text {\n  using megaphone(strength: 2)\n  shout(words: words).text\n}\n",
    ),
    (
        "jobs/own.mkb",
        "type Remark { text: Text }\njob own(words: Text) -> Text {\n  let remark = Remark(text: words)\n  remark.text\n}\n",
    ),
    ("jobs/.hidden/house.mkb", "use house\njob hidden(text: Text) -> Text { shout(words: text).text }\n"),
];

#[test]
fn names_of_a_library_are_found_and_renamed_in_files_that_are_not_open() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path().canonicalize().expect("a path");
    for (name, text) in HOUSE {
        let path = root.join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        std::fs::write(path, text).expect("written");
    }
    let uri = |name: &str| format!("file://{}/{name}", root.display());
    let read = |name: &str| std::fs::read_to_string(root.join(name)).expect("a file");
    let mut editor = Editor::start_in(folder, &["--library", "lib"]);
    editor.ask(
        "initialize",
        json!({"capabilities": {}, "workspaceFolders": [{"uri": uri(""), "name": "house"}], "processId": null}),
    );
    let open = uri("jobs/open.mkb");
    let document = json!({"uri": open, "languageId": "mkb", "version": 1, "text": read("jobs/open.mkb")});
    editor.tell("textDocument/didOpen", json!({"textDocument": document}));
    assert_eq!(editor.diagnostics(1), Vec::<Value>::new());

    // The parameter, from a call that names it.
    let mut asked = at(&open, 3, 22);
    asked["context"] = json!({"includeDeclaration": true});
    let found = editor.ask("textDocument/references", asked);
    let mut places: Vec<(String, u64)> = found["result"]
        .as_array()
        .expect("places")
        .iter()
        .map(|p| {
            (p["uri"].as_str().expect("a file").to_string(), p["range"]["start"]["line"].as_u64().expect("a line"))
        })
        .collect();
    places.sort();
    let house = |line| (uri("lib/house.mkb"), line);
    let wanted =
        [(uri("jobs/far/closed.mkb"), 4), (open.clone(), 3), house(6), house(7), house(8), house(9), house(15)];
    assert_eq!(places, wanted, "{found}");

    // Each of these in turn, on the disk; then the files are what the command line accepts, and the open document is still right.
    let mut version = 1;
    for (line, character, to) in [(3, 22, "said"), (3, 49, "power"), (4, 9, "written"), (3, 15, "cry"), (3, 38, "horn")]
    {
        let asked = json!({"textDocument": {"uri": open}, "position": place(line, character), "newName": to});
        let renamed = editor.ask("textDocument/rename", asked);
        let changes = renamed["result"]["changes"].as_object().unwrap_or_else(|| panic!("{renamed}")).clone();
        for (file, edits) in &changes {
            let path = file.strip_prefix("file://").expect("a file");
            let text = std::fs::read_to_string(path).expect("a file");
            std::fs::write(path, applied(&text, edits)).expect("written");
        }
        let watched: Vec<Value> = changes.keys().map(|file| json!({"uri": file, "type": 2})).collect();
        version += 1;
        let text = read("jobs/open.mkb");
        let change = json!({"textDocument": {"uri": open, "version": version}, "contentChanges": [{"text": text}]});
        editor.tell("textDocument/didChange", change);
        editor.tell("workspace/didChangeWatchedFiles", json!({"changes": watched}));
        // What is published between the two messages is of the library before.
        editor.wait(|n| n["params"]["version"] == version && n["params"]["diagnostics"] == json!([]));
    }
    let lib = read("lib/house.mkb");
    for part in ["task cry(said: Text)", "size written.tokens = said.tokens", "knob power", "tool horn implements cry"]
    {
        assert!(lib.contains(part), "{part}: {lib}");
    }
    assert!(lib.contains("[\"shout\", \"{said}\", \"{power}\"]"), "a command is no name: {lib}");
    assert!(read("lib/profiles/megaphone.csv").starts_with("power,device,"));
    assert_eq!(read("jobs/own.mkb"), HOUSE[4].1, "its own names are its own");
    assert_eq!(read("jobs/.hidden/house.mkb"), HOUSE[5].1);
    for job in ["jobs/open.mkb", "jobs/far/closed.mkb"] {
        let check = Command::new(env!("CARGO_BIN_EXE_mkbc"))
            .args(["check", "--library", "lib", job])
            .current_dir(&root)
            .output()
            .expect("mkbc starts");
        assert!(check.status.success(), "{job}: {}{}", String::from_utf8_lossy(&check.stderr), read(job));
    }

    // Names that are taken in the library and in a file that is not open, and one that is a file's.
    for (line, character, to, why) in [
        (0, 5, "home", "`house` is called as its file is"),
        (3, 15, "summarise", "`summarise` is already the name of a task"),
        (3, 15, "closed", "closed.mkb: `closed` is already the name of a job"),
    ] {
        let asked = json!({"textDocument": {"uri": open}, "position": place(line, character), "newName": to});
        let refused = editor.ask("textDocument/rename", asked);
        let said = refused["error"]["message"].as_str().unwrap_or_default();
        assert!(said.ends_with(why), "{to}: {refused}");
    }

    // The library's file is typed at: what builds on it is checked against what is typed.
    let house = uri("lib/house.mkb");
    let typed = lib.replace("task cry", "task yell");
    let document = json!({"uri": house, "languageId": "mkb", "version": 100, "text": typed});
    editor.tell("textDocument/didOpen", json!({"textDocument": document}));
    let mentions = |n: &Value, uri: &str| n["method"] == "textDocument/publishDiagnostics" && n["params"]["uri"] == uri;
    editor.wait(|n| mentions(n, &open) && n["params"]["diagnostics"].to_string().contains("there is no task `cry`"));
    let said = editor.wait(|n| mentions(n, &house));
    assert!(said["params"]["diagnostics"].to_string().contains("cry"), "its tool names a task that is gone: {said}");
    assert_eq!(editor.end(), Some(0));
}

#[test]
fn a_hover_over_a_hole_shows_the_fill_that_the_lock_file_holds() {
    let mut editor = Editor::initialized(json!({}));
    let text =
        "use std.llm\n\njob brief(text: Text) -> Text {\n  let short = ?\"a summary of the text\": Text\n  short\n}\n";
    std::fs::write(editor.folder.path().join("test.mkb"), text).expect("written");
    let expanded = Command::new(env!("CARGO_BIN_EXE_mkbc"))
        .args(["expand", "test.mkb"])
        .current_dir(editor.folder.path())
        .output()
        .expect("mkbc starts");
    assert!(expanded.status.success(), "{}", String::from_utf8_lossy(&expanded.stderr));
    // As somebody mended it by hand.
    let lock = editor.folder.path().join("test.mkb.lock");
    let held = std::fs::read_to_string(&lock).expect("a lock").replace("summarise(text)", "summarise(text + text)");
    std::fs::write(&lock, held).expect("written");
    let uri = editor.open(text);
    editor.diagnostics(1);
    let shown = |editor: &mut Editor| -> String {
        let hover = editor.ask("textDocument/hover", at(&uri, 3, 14));
        hover["result"]["contents"]["value"].as_str().unwrap_or_default().to_string()
    };
    let now = shown(&mut editor);
    assert!(now.contains("The lock file holds, by typed search") && now.contains("text + text"), "{now}");
    // Each state of it, written while the file is open and without a word of the editor.
    let held = std::fs::read_to_string(&lock).expect("a lock");
    std::fs::write(&lock, held.replace("text + text", "text + text + text")).expect("written");
    let now = shown(&mut editor);
    assert!(now.contains("text + text + text"), "{now}");
    std::fs::write(&lock, held.replace("signature = \"", "signature = \"0")).expect("written");
    let now = shown(&mut editor);
    assert!(now.contains("The lock file holds (stale: this hole has changed since it was filled)"), "{now}");
    std::fs::write(&lock, held.replace("summarise = \"", "summarise = \"0")).expect("written");
    let now = shown(&mut editor);
    assert!(now.contains("(stale: `summarise`, which the fill calls, has changed since)"), "{now}");
    std::fs::write(&lock, "version = 1\n").expect("written");
    let now = shown(&mut editor);
    assert!(now.contains("The lock file holds no fill of it."), "{now}");
    std::fs::write(&lock, "<<<<<<< ours").expect("written");
    let now = shown(&mut editor);
    assert!(now.contains("The lock file cannot be read: "), "{now}");
    editor.wait(|n| n["params"]["diagnostics"].to_string().contains("the lock file cannot be read"));
    std::fs::remove_file(&lock).expect("removed");
    let now = shown(&mut editor);
    assert!(!now.contains("The lock file"), "{now}");
    assert_eq!(editor.end(), Some(0));
}

/// Writes files into a folder and starts a server there; the addresses of files.
fn housed(files: &[(&str, &str)]) -> (Editor, std::path::PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path().canonicalize().expect("a path");
    for (name, text) in files {
        let path = root.join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        std::fs::write(path, text).expect("written");
    }
    let mut editor = Editor::start_in(folder, &[]);
    editor.ask("initialize", json!({"capabilities": {}, "rootUri": null, "processId": null}));
    editor.tell("initialized", json!({}));
    (editor, root)
}

const WORDS: &str = "/// Says it loudly.\ntask loud(text: Text) -> Text { size tokens = 200 tok }\n\ntool louder implements loud {\n  runs on cpu * 1\n  engine process { command [\"echo\", \"{text}\"] }\n  profile \"louder.csv\"\n}\n";
const LOUDER: &str =
    "device,units,figure,value,unit,low,high,evidence,source\n,,quality,80,%,70,90,estimated,a guess\n";
const SHOUT: &str = "use words\n\njob shout(text: Text) -> Text {\n  loud(text)\n}\n";

/// The library beside a document is its own, without an option; what is wrong in it is said at its files, and goes when it is mended. A
/// module that goes or comes back is missed or known at once.
#[test]
fn the_library_beside_a_document_is_its_own_and_says_what_is_wrong_with_it() {
    let wrong = LOUDER.replace("80,%", "20,%");
    let files = [("a/job.mkb", SHOUT), ("a/library/words.mkb", WORDS), ("a/library/profiles/louder.csv", &wrong)];
    let (mut editor, root) = housed(&[&files[..], &[("b/job.mkb", SHOUT)]].concat());
    let uri = |name: &str| format!("file://{}/{name}", root.display());
    let said = |n: &Value, uri: &str, part: &str| {
        let list = &n["params"]["diagnostics"];
        n["method"] == "textDocument/publishDiagnostics"
            && n["params"]["uri"] == uri
            && if part.is_empty() { *list == json!([]) } else { list.to_string().contains(part) }
    };
    let (job, csv, module) = (uri("a/job.mkb"), uri("a/library/profiles/louder.csv"), uri("a/library/words.mkb"));
    for (uri, version) in [(&job, 1), (&uri("b/job.mkb"), 2)] {
        let document = json!({"uri": uri, "languageId": "mkb", "version": version, "text": SHOUT});
        editor.tell("textDocument/didOpen", json!({"textDocument": document}));
    }
    let list = editor.diagnostics(1);
    assert!(!list.iter().any(|d| d["severity"] == 1), "{list:?}");
    assert!(json!(editor.diagnostics(2)).to_string().contains("E0220"), "another folder has another library");
    let fault = editor.wait(|n| said(n, &csv, "quality"));
    assert_eq!(fault["params"]["diagnostics"][0]["range"]["start"]["line"], 1, "{fault}");

    let change = |editor: &mut Editor, name: &str, text: Option<&str>| {
        match text {
            Some(text) => std::fs::write(root.join(name), text).expect("written"),
            None => std::fs::remove_file(root.join(name)).expect("removed"),
        }
        let changes = json!([{"uri": uri(name), "type": if text.is_some() { 2 } else { 3 }}]);
        editor.tell("workspace/didChangeWatchedFiles", json!({"changes": changes}));
    };
    change(&mut editor, "a/library/profiles/louder.csv", Some(LOUDER));
    editor.wait(|n| said(n, &csv, ""));
    change(&mut editor, "a/library/words.mkb", Some(&WORDS.replace("text: Text", "text: Txt")));
    editor.wait(|n| said(n, &module, "Txt"));
    change(&mut editor, "a/library/words.mkb", None);
    editor.wait(|n| said(n, &job, "E0220"));
    editor.wait(|n| said(n, &module, ""));
    editor.notes.clear();
    change(&mut editor, "a/library/words.mkb", Some(WORDS));
    editor.wait(|n| said(n, &job, ""));
    assert_eq!(editor.end(), Some(0));
}

/// A trace beside a document is read when it is there, and again when it has changed.
#[test]
fn the_trace_beside_a_document_is_its_load() {
    let text = "use std.llm\n\njob short(text: Text) -> Text {\n  expect text of 100 tok\n  expect trace \"arrivals.csv\"\n\n  summarise(text)\n}\n";
    let (mut editor, root) = housed(&[("job.mkb", text)]);
    let uri = format!("file://{}/job.mkb", root.display());
    let document = json!({"uri": uri, "languageId": "mkb", "version": 1, "text": text});
    editor.tell("textDocument/didOpen", json!({"textDocument": document}));
    let list = editor.diagnostics(1);
    assert!(list.iter().any(|d| d["code"] == "E0723" && d["range"]["start"] == place(4, 15)), "{list:?}");
    for (arrivals, says) in [("timestamp\n0\n30\n59\n", "0.05 runs/s"), ("timestamp\n0\n1\n2\n3\n4\n5\n", "0.1 runs/s")]
    {
        std::fs::write(root.join("arrivals.csv"), arrivals).expect("written");
        editor.tell("textDocument/didSave", json!({"textDocument": {"uri": uri}}));
        let hover = editor.ask("textDocument/hover", at(&uri, 4, 20));
        assert!(hover["result"].to_string().contains(says), "{hover}");
    }
    assert_eq!(editor.end(), Some(0));
}

/// A job that has no plan on a cluster which it does not name is not wrong: that is information, with the ways out.
#[test]
fn what_this_machine_lacks_is_information_with_ways_out() {
    let mut editor = Editor::initialized(json!({}));
    let text = "use std.llm\n\njob a(text: Text) -> Text {\n  slo { cost <= 0.0000000001 usd }\n  on here\n  expect text of 1000 tok\n  using extractive_summary\n  summarise(text)\n}\n";
    let uri = editor.open(text);
    let clash = |n: &Value| n["params"]["diagnostics"].to_string().contains("E0710");
    let said = editor.wait(clash);
    let list = said["params"]["diagnostics"].as_array().expect("a list").clone();
    let said = list.iter().find(|d| d["code"] == "E0710").expect("the clash");
    assert_eq!((said["severity"].as_i64(), said["range"]["start"]["line"].as_i64()), (Some(3), Some(3)), "{said}");
    assert!(said["message"].as_str().is_some_and(|m| m.starts_with("on `here`, no plan can keep")), "{said}");
    let range = json!({"start": place(3, 10), "end": place(3, 10)});
    let asked = json!({"textDocument": {"uri": uri}, "range": range, "context": {"diagnostics": []}});
    let actions = editor.ask("textDocument/codeAction", asked);
    let titles: Vec<&str> =
        actions["result"].as_array().into_iter().flatten().filter_map(|a| a["title"].as_str()).collect();
    assert!(titles.iter().any(|t| t.starts_with("Relax `cost <= 0.0000000001 usd` to `")), "{actions}");
    assert_eq!(editor.end(), Some(0));
}

/// Whatever is written into a file of Windows has its line ends: fills of several lines, and the `use` line of a completion.
#[test]
fn edits_have_the_line_ends_of_their_file() {
    let mut editor = Editor::initialized(json!({}));
    let text = "use std.video\n\njob j(video: Video) -> Transcript {\n  on azure_mixed\n  expect video of 60 s\n  ?\n}\n\njob k(text: Text) -> Text {\n  summ\n}\n";
    let text = text.replace('\n', "\r\n");
    let uri = editor.open(&text);
    editor.diagnostics(1);
    let mixed = |text: &str| text.matches('\n').count() != text.matches("\r\n").count();
    let range = json!({"start": place(5, 2), "end": place(5, 2)});
    let asked = json!({"textDocument": {"uri": uri}, "range": range, "context": {"diagnostics": []}});
    let actions = editor.ask("textDocument/codeAction", asked);
    let fills =
        actions["result"].as_array().expect("actions").iter().filter(|a| a["title"].to_string().contains("Fill"));
    let filled: Vec<String> = fills.map(|a| applied(&text, &a["edit"]["changes"][&uri])).collect();
    let lines = text.lines().count();
    assert!(filled.iter().any(|f| f.lines().count() > lines + 1), "a fill of several lines: {actions}");
    assert!(!filled.iter().any(|f| mixed(f)), "{filled:?}");
    let listed = editor.ask("textDocument/completion", at(&uri, 9, 6));
    let items = listed["result"]["items"].as_array().expect("items");
    let item = items.iter().find(|i| i["label"] == "summarise").expect("the task");
    let used = applied(&text, &item["additionalTextEdits"]);
    assert!(used.contains("use std.llm\r\n") && !mixed(&used), "{used:?}");
    assert_eq!(editor.end(), Some(0));
}
