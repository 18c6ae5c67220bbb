//! Starts `mkbc lsp` in Zed: the binary of the settings, else the one in the worktree's PATH. Nothing is downloaded.

use zed_extension_api::settings::LspSettings;
use zed_extension_api::{self as zed, Command, LanguageServerId, Result, Worktree};

struct Mkb;

impl zed::Extension for Mkb {
    fn new() -> Self {
        Mkb
    }

    fn language_server_command(&mut self, server: &LanguageServerId, worktree: &Worktree) -> Result<Command> {
        let binary = LspSettings::for_worktree(server.as_ref(), worktree).ok().and_then(|settings| settings.binary);
        let set = binary.as_ref().and_then(|binary| binary.path.clone());
        let command = set.or_else(|| worktree.which("mkbc")).ok_or(
            "mkbc is not in the PATH: install it, or set lsp.mkbc.binary.path in Zed's settings",
        )?;
        let args = binary.and_then(|binary| binary.arguments).unwrap_or_else(|| vec!["lsp".to_string()]);
        Ok(Command { command, args, env: worktree.shell_env() })
    }
}

zed::register_extension!(Mkb);
