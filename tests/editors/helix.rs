//! Helix, for real: in a terminal of tmux, with the configuration of editors/helix, as a user would type. HX_PROGRAM names it where it is not on the
//! PATH as `hx`. Debian 12 has none: the test says so and passes, in CI as well.

use super::mkbc::{BINARY, Mkbc, repository};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// How long something on the screen is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// A terminal of its own, with a program in it.
struct Screen {
    socket: String,
}

impl Screen {
    fn start(socket: &str, folder: &Path, command: &str) -> Screen {
        let screen = Screen { socket: socket.to_string() };
        screen.tmux(&["new-session", "-d", "-x", "150", "-y", "45", "-c", folder.to_str().expect("UTF-8"), command]);
        screen
    }

    fn tmux(&self, arguments: &[&str]) -> String {
        let mut command = Command::new("tmux");
        let output =
            command.args(["-L", &self.socket, "-f", "/dev/null"]).args(arguments).output().expect("tmux starts");
        assert!(output.status.success(), "tmux {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Keys by their names (`Escape`, `Space`, `C-u`), one after the other: what comes right behind Escape is another key to a terminal.
    fn press(&self, keys: &[&str]) {
        for key in keys {
            self.tmux(&["send-keys", key]);
            std::thread::sleep(Duration::from_millis(150));
        }
    }

    fn write(&self, text: &str) {
        self.tmux(&["send-keys", "-l", text]);
        std::thread::sleep(Duration::from_millis(150));
    }

    fn shown(&self) -> String {
        self.tmux(&["capture-pane", "-p"])
    }

    /// Does something again and again until the screen shows what is wanted.
    fn until(&self, what: &str, again: impl Fn(), holds: impl Fn(&str) -> bool) {
        let start = Instant::now();
        loop {
            again();
            std::thread::sleep(Duration::from_millis(300));
            let shown = self.shown();
            if holds(&shown) {
                return;
            }
            assert!(start.elapsed() < PATIENCE, "{what} is not shown:\n{shown}");
        }
    }

    /// Selects the first place where a pattern fits.
    fn select(&self, pattern: &str) {
        self.press(&["Escape", "%", "s"]);
        self.write(pattern);
        self.press(&["Enter", ","]);
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = Command::new("tmux").args(["-L", &self.socket, "kill-server"]).output();
    }
}

/// Helix and tmux, where both are there.
fn helix() -> Option<String> {
    let program = std::env::var("HX_PROGRAM").ok().filter(|p| !p.is_empty()).unwrap_or_else(|| "hx".into());
    let there =
        |program: &str, version: &str| Command::new(program).arg(version).output().is_ok_and(|o| o.status.success());
    if there(&program, "--version") && there("tmux", "-V") {
        return Some(program);
    }
    let text = "SKIPPED helix_shows_a_diagnostic_fills_a_hole_and_renames: no `hx` (or HX_PROGRAM) and `tmux`\n";
    // Not `eprintln!`: the test harness would capture it, and nobody would see it.
    let _ = std::io::Write::write_all(&mut std::io::stderr(), text.as_bytes());
    None
}

#[test]
fn helix_shows_a_diagnostic_fills_a_hole_and_renames() {
    let Some(program) = helix() else { return };
    let home = Mkbc::new();
    std::fs::create_dir_all(home.path("config/helix")).expect("a folder");
    let languages =
        std::fs::read_to_string(repository().join("editors/helix/languages.toml")).expect("the configuration");
    // Without the grammar, which is compiled by `hx --grammar build`.
    let languages = languages.split("[[grammar]]").next().unwrap_or_default();
    home.write("config/helix/languages.toml", languages);
    std::fs::copy(repository().join("tests/editors/job.mkb"), home.path("job.mkb")).expect("the job is copied");
    let place = |name: &str| home.path(name).display().to_string();
    let path = std::env::var("PATH").unwrap_or_default();
    let programs = Path::new(BINARY).parent().expect("a folder").display().to_string();
    let command = format!(
        "env HOME='{}' XDG_CONFIG_HOME='{}' XDG_CACHE_HOME='{}' PATH='{programs}:{path}' TERM=screen-256color '{program}' job.mkb",
        place(""),
        place("config"),
        place("cache")
    );
    let socket = format!("mkbc-helix-{}", std::process::id());
    let screen = Screen::start(&socket, &home.path(""), &command);
    screen.until("the file", || (), |shown| shown.contains("cost <= 60 s"));

    // A diagnostic appears, and goes when its cause does.
    let problems = || {
        screen.press(&["Escape", "Escape"]);
        screen.press(&["Space", "d"]);
    };
    screen.until("the diagnostic", problems, |shown| shown.contains("E0303"));
    screen.press(&["Escape"]);
    screen.select("60 s");
    screen.press(&["c"]);
    screen.write("2 usd");
    screen.press(&["Escape"]);
    screen.until("the end of the diagnostic", problems, |shown| !shown.contains("E0303") && shown.contains("I0501"));
    screen.press(&["Escape"]);

    // A hole is filled by a code action.
    screen.select("\\? \"what is said\"");
    let actions = || {
        screen.press(&["Escape"]);
        screen.press(&["Space", "a"]);
    };
    screen.until("the fills", actions, |shown| shown.contains("Fill the hole"));
    screen.press(&["Enter"]);
    screen.until("the fill", || (), |shown| shown.contains("speech_to_text(audio)"));

    // A name gets another one everywhere.
    screen.select("audio\\) =");
    screen.press(&["b", "Space", "r"]);
    screen.until("the question for the name", || (), |shown| shown.contains("rename-to"));
    screen.press(&["C-u"]);
    screen.write("sound");
    screen.press(&["Enter"]);
    screen.until("the new name", || (), |shown| shown.contains("speech_to_text(sound)"));
    screen.press(&["Escape"]);
    screen.write(":write");
    screen.press(&["Enter"]);
    screen.until("the file written", || (), |_| home.read("job.mkb").contains("(_, sound) ="));
    let checked = home.run(&["check", "job.mkb"]);
    assert_eq!(checked.code, Some(0), "{}\n{}", home.read("job.mkb"), checked.err);
}
