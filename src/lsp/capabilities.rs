//! What the server says that it can do.

use super::document::Encoding;
use crate::ide::tokens::TokenKind;
use serde_json::{Value, json};

/// The answer to `initialize`.
pub fn answer(encoding: Encoding) -> Value {
    let types: Vec<&str> = TokenKind::ALL.iter().map(|(_, name)| *name).collect();
    let encoding = match encoding {
        Encoding::Utf8 => "utf-8",
        Encoding::Utf16 => "utf-16",
    };
    json!({
        "serverInfo": {"name": "mkbc", "version": env!("CARGO_PKG_VERSION")},
        "capabilities": {
            "positionEncoding": encoding,
            "textDocumentSync": {"openClose": true, "change": 2, "save": true},
            "hoverProvider": true,
            "completionProvider": {"triggerCharacters": [".", "(", ":", ",", " "]},
            "signatureHelpProvider": {"triggerCharacters": ["(", ","]},
            "definitionProvider": true,
            "referencesProvider": true,
            "documentHighlightProvider": true,
            "renameProvider": {"prepareProvider": true},
            "documentSymbolProvider": true,
            "workspaceSymbolProvider": true,
            "foldingRangeProvider": true,
            "selectionRangeProvider": true,
            "documentLinkProvider": {},
            "inlayHintProvider": true,
            "codeActionProvider": {"codeActionKinds": ["quickfix", "refactor.rewrite"]},
            "codeLensProvider": {},
            "callHierarchyProvider": true,
            "workspace": {"workspaceFolders": {"supported": true, "changeNotifications": true}},
            "documentFormattingProvider": true,
            "documentRangeFormattingProvider": true,
            "documentOnTypeFormattingProvider": {"firstTriggerCharacter": "\n", "moreTriggerCharacter": ["}"]},
            "semanticTokensProvider": {
                "legend": {"tokenTypes": types, "tokenModifiers": ["declaration", "defaultLibrary"]},
                "full": {"delta": true},
                "range": true,
            },
        },
    })
}
