//! Process groups that are under way -> a shell beside us, which kills them when we are gone.
//!
//! `PR_SET_PDEATHSIG` reaches the program that we started and nothing that it started: after `kill -9` of mkbc, what a tool's script
//! waits for would live on, and a resumed run would start a second one beside it. The shell learns of our end by the end of its input.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};

/// Reads `+ GROUP` and `- GROUP`; signals that a terminal or a manager sends to all of us do not end it before us.
const SCRIPT: &str = r#"trap '' INT TERM HUP QUIT
all=' '
while read -r sign id; do
  case $sign in
    +) all="$all$id " ;;
    -) case $all in *" $id "*) all="${all%% "$id" *} ${all#* "$id" }" ;; esac ;;
  esac
done
for id in $all; do kill -s KILL -- "-$id"; done"#;

/// The shell's input; none where there is no shell, and groups are then bound to us by the kernel alone.
static KEEPER: OnceLock<Option<Mutex<ChildStdin>>> = OnceLock::new();

/// A group runs: it dies when we do.
pub fn begun(group: u32) {
    tell('+', group);
}

/// A group is gone: its number may soon be somebody else's.
pub fn ended(group: u32) {
    tell('-', group);
}

fn tell(sign: char, group: u32) {
    if let Some(keeper) = KEEPER.get_or_init(start) {
        let mut input = keeper.lock().unwrap_or_else(PoisonError::into_inner);
        // One write, which a pipe takes whole. A keeper that somebody killed keeps nothing, which is no reason to fail.
        let _ = input.write_all(format!("{sign} {group}\n").as_bytes());
    }
}

fn start() -> Option<Mutex<ChildStdin>> {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", SCRIPT, "mkbc-keeper"]).env_clear().current_dir("/").process_group(0);
    let started = shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    started.ok()?.stdin.take().map(Mutex::new)
}
