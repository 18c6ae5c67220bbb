//! Bytes → what an editor, sane or not, says to the language server, and whether the answer is one. Random bytes drive it in a test,
//! libFuzzer in `fuzz/targets/messages.rs`.

use murakkab::compile::{Texts, anywhere};
use murakkab::diag::source::FileId;
use murakkab::lsp::files::Files;
use murakkab::lsp::{Setup, converse};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{Cursor, Write};
use std::sync::{Arc, Mutex};

const METHODS: [&str; 25] = [
    "textDocument/hover",
    "textDocument/completion",
    "textDocument/signatureHelp",
    "textDocument/definition",
    "textDocument/references",
    "textDocument/documentHighlight",
    "textDocument/rename",
    "textDocument/prepareRename",
    "textDocument/documentSymbol",
    "workspace/symbol",
    "textDocument/semanticTokens/full",
    "textDocument/semanticTokens/full/delta",
    "textDocument/semanticTokens/range",
    "mkbc/graph",
    "textDocument/foldingRange",
    "textDocument/selectionRange",
    "textDocument/documentLink",
    "textDocument/formatting",
    "textDocument/rangeFormatting",
    "textDocument/onTypeFormatting",
    "textDocument/inlayHint",
    "textDocument/codeAction",
    "textDocument/codeLens",
    "textDocument/prepareCallHierarchy",
    "mkbc/nonsense",
];

const TYPED: [&str; 24] = [
    " ",
    "\n",
    "{",
    "}",
    "(",
    ")",
    "[",
    "?",
    "\"",
    ".",
    ":",
    "=",
    "let a = ",
    "slo {",
    "job f(x: Text) -> Text {\n",
    "use std.llm\n",
    "summarise(text)",
    "cost <= 2 usd",
    "80",
    " %",
    "é",
    "𝕏",
    "//",
    "\r\n",
];

const TEXTS: [&str; 4] = [
    include_str!("../../examples/video_qa.mkb"),
    include_str!("../../examples/code_generation.mkb"),
    include_str!("../check/accepted.mkb"),
    "",
];

/// Bytes that decide; zeros once they are used up.
struct Choices<'a>(std::slice::Iter<'a, u8>);

impl Choices<'_> {
    fn byte(&mut self) -> u8 {
        self.0.next().copied().unwrap_or(0)
    }

    fn below(&mut self, n: usize) -> usize {
        (usize::from(self.byte()) << 8 | usize::from(self.byte())) % n
    }

    fn position(&mut self) -> Value {
        let number = |choices: &mut Self, usual| match choices.byte() {
            0 => json!(u32::MAX),
            1 => json!(-1),
            2 => json!("x"),
            _ => json!(choices.below(usual)),
        };
        json!({"line": number(self, 30), "character": number(self, 90)})
    }

    fn range(&mut self) -> Value {
        json!({"start": self.position(), "end": self.position()})
    }

    fn uri(&mut self) -> &'static str {
        ["file:///nowhere/a.mkb", "file:///nowhere/b.mkb", "untitled:x", "%%%"][match self.byte() {
            0..200 => 0,
            200..240 => 1,
            byte => usize::from(byte % 4),
        }]
    }
}

/// A conversation: the bytes that the client sends, and how often it asks with each id.
fn said(choices: &[u8]) -> (Vec<u8>, BTreeMap<i64, usize>) {
    let mut choices = Choices(choices.iter());
    let (mut bytes, mut asked) = (Vec::new(), BTreeMap::new());
    let mut send = |message: Value, asked: &mut BTreeMap<i64, usize>| {
        if let (Some(id), Some(_)) = (message["id"].as_i64(), message["method"].as_str()) {
            *asked.entry(id).or_default() += 1;
        }
        let text = message.to_string();
        bytes.extend(format!("Content-Length: {}\r\n\r\n{text}", text.len()).bytes());
    };
    let encodings = if choices.byte() % 2 == 0 { json!(["utf-8"]) } else { json!(["utf-16"]) };
    let capabilities = json!({"general": {"positionEncodings": encodings}});
    send(
        json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {"capabilities": capabilities}}),
        &mut asked,
    );
    let text = TEXTS[choices.below(TEXTS.len())];
    let document = json!({"uri": "file:///nowhere/a.mkb", "languageId": "mkb", "version": 1, "text": text});
    send(json!({"jsonrpc": "2.0", "method": "textDocument/didOpen", "params": {"textDocument": document}}), &mut asked);
    let mut id = 0;
    while choices.0.len() > 0 {
        match choices.byte() % 10 {
            0..4 => {
                let typed = TYPED[choices.below(TYPED.len())];
                let change = if choices.byte() < 245 {
                    json!({"range": choices.range(), "text": typed})
                } else {
                    json!({"text": typed})
                };
                let document = json!({"uri": choices.uri(), "version": choices.byte()});
                let params = json!({"textDocument": document, "contentChanges": [change]});
                send(json!({"jsonrpc": "2.0", "method": "textDocument/didChange", "params": params}), &mut asked);
            }
            4..9 => {
                id += 1;
                let mut params = json!({
                    "textDocument": {"uri": choices.uri()},
                    "position": choices.position(),
                    "range": choices.range(),
                    "positions": [choices.position()],
                    "newName": (["other", "let", "", "a b", "é"][choices.below(5)]),
                    "query": (TYPED[choices.below(TYPED.len())]),
                    "ch": (["\n", "}", ";"][choices.below(3)]),
                    "options": {"tabSize": 2, "insertSpaces": true},
                    "context": {"diagnostics": [], "includeDeclaration": true},
                });
                if choices.byte() < 10 {
                    params = Value::Null;
                }
                let method = METHODS[choices.below(METHODS.len())];
                send(json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}), &mut asked);
            }
            _ => match choices.byte() % 6 {
                5 => {
                    let changes = json!([{"uri": choices.uri(), "type": choices.byte() % 4}]);
                    let event = json!({"added": [{"uri": choices.uri()}], "removed": [{"uri": choices.uri()}]});
                    for (method, params) in [
                        ("workspace/didChangeWatchedFiles", json!({"changes": changes})),
                        ("workspace/didChangeWorkspaceFolders", json!({"event": event})),
                    ] {
                        send(json!({"jsonrpc": "2.0", "method": method, "params": params}), &mut asked);
                    }
                }
                0 => {
                    let params = json!({"textDocument": {"uri": choices.uri()}});
                    send(json!({"jsonrpc": "2.0", "method": "textDocument/didClose", "params": params}), &mut asked);
                }
                1 => {
                    // A client that takes back `initialize` has no session.
                    let params = json!({"id": id.max(1)});
                    send(json!({"jsonrpc": "2.0", "method": "$/cancelRequest", "params": params}), &mut asked);
                }
                2 => send(json!([1, {"a": null}]), &mut asked),
                3 => send(json!({"jsonrpc": "2.0", "id": 5, "result": 1}), &mut asked),
                _ => {
                    let document =
                        json!({"uri": choices.uri(), "version": 1, "text": (TYPED[choices.below(TYPED.len())])});
                    let params = json!({"textDocument": document});
                    send(json!({"jsonrpc": "2.0", "method": "textDocument/didOpen", "params": params}), &mut asked);
                }
            },
        }
    }
    send(json!({"jsonrpc": "2.0", "id": id + 1, "method": "shutdown"}), &mut asked);
    send(json!({"jsonrpc": "2.0", "method": "exit"}), &mut asked);
    (bytes, asked)
}

/// The library has addresses, and the workspace a file that is not open; no file is beside any document.
struct Around;

impl Files for Around {
    fn library(&self, texts: &Texts, file: FileId) -> Option<String> {
        Some(format!("library:/{}", texts.sources.get(file).name))
    }

    fn inside(&self, _folders: &[String]) -> Vec<(String, String)> {
        vec![("file:///nowhere/closed.mkb".to_string(), TEXTS[1].to_string())]
    }
}

#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("one writer").extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Holds a conversation with the real server. Every request gets one answer, none of them a fault of ours; how many messages went
/// each way.
pub fn hold(choices: &[u8]) -> (usize, usize) {
    let (bytes, asked) = said(choices);
    let sent = bytes.windows(15).filter(|w| w == b"Content-Length:").count();
    let setup = Setup {
        // Plans are another thread's, and take long: here every job has machines that are not there.
        machines: Box::new(|_, _| Err("no machines".to_string())),
        reports: |_| false,
        usable: |_| anywhere,
        files: Box::new(Around),
    };
    let written = Written::default();
    let clean = converse(setup, Texts::with_stdlib(), Cursor::new(bytes), written.clone());
    assert!(clean, "the client said `shutdown` and `exit`");
    let text = String::from_utf8(written.0.lock().expect("all is written").clone()).expect("UTF-8");
    let (mut answered, mut received, mut rest) = (BTreeMap::<i64, usize>::new(), 0, text.as_str());
    while let Some((head, behind)) = rest.split_once("\r\n\r\n") {
        let size = head.strip_prefix("Content-Length: ").and_then(|n| n.parse::<usize>().ok()).expect("a length");
        let message: Value = serde_json::from_str(&behind[..size]).expect("JSON");
        rest = &behind[size..];
        received += 1;
        assert!(!message.to_string().contains("a fault of mkbc"), "{message}");
        if let Some(id) = message["id"].as_i64().filter(|_| message["method"].is_null()) {
            *answered.entry(id).or_default() += 1;
        }
    }
    assert_eq!(answered, asked, "one answer for each request");
    (sent, received)
}
