//! The real binary in a folder of its own, with a clean environment; goldens.

#![allow(dead_code)]

use std::ffi::OsString;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The binary under test.
pub const BINARY: &str = env!("CARGO_BIN_EXE_mkbc");

/// The folder of the repository.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A folder to run the binary in; it goes when this is dropped.
pub struct Mkbc {
    folder: tempfile::TempDir,
}

/// What came of a command.
#[derive(Debug)]
pub struct Done {
    /// The arguments.
    pub arguments: Vec<OsString>,
    /// The exit status; `None` where a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Mkbc {
    /// A new folder.
    pub fn new() -> Mkbc {
        Mkbc { folder: tempfile::tempdir().expect("a folder") }
    }

    /// A path in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file in the folder.
    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        fs::write(self.path(name), text).expect("a file");
    }

    /// Reads a file in the folder.
    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
    }

    /// The binary with arguments: a clean environment but for PATH and HOME, nothing on standard input.
    pub fn command<A: Into<OsString>>(&self, arguments: impl IntoIterator<Item = A>) -> Command {
        let mut command = Command::new(BINARY);
        command.args(arguments.into_iter().map(Into::into)).current_dir(self.folder.path()).env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("HOME", self.folder.path());
        command.env("COLUMNS", "140").env("RUST_BACKTRACE", "0").stdin(Stdio::null());
        command
    }

    /// Runs the binary.
    pub fn run(&self, arguments: &[&str]) -> Done {
        self.end(&mut self.command(arguments))
    }

    /// Runs a command to its end.
    pub fn end(&self, command: &mut Command) -> Done {
        let arguments = command.get_args().map(Into::into).collect();
        let output = command.output().expect("mkbc starts");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("mkbc writes UTF-8");
        Done { arguments, code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }

    /// A text without what differs from run to run: this folder and the repository, however they are written.
    pub fn masked(&self, text: &str) -> String {
        let mut text = text.to_string();
        let real = |p: &Path| p.canonicalize().unwrap_or_else(|_| p.to_path_buf());
        for (path, name) in [(self.folder.path(), "[folder]"), (repository(), "[repository]")] {
            for form in [real(path), path.to_path_buf()] {
                text = text.replace(&form.display().to_string(), name);
            }
        }
        text.replace(env!("CARGO_PKG_VERSION"), "[version]")
    }
}

impl Done {
    /// Command, exit status and both outputs, as goldens hold them.
    pub fn shown(&self, mkbc: &Mkbc) -> String {
        let words: Vec<String> = self.arguments.iter().map(|a| quoted(&a.to_string_lossy())).collect();
        let mut text = format!("$ mkbc {}\n", words.join(" "));
        let _ = writeln!(text, "exit {}", self.code.map_or("by a signal".to_string(), |c| c.to_string()));
        for (name, part) in [("standard output", &self.out), ("standard error", &self.err)] {
            if !part.is_empty() {
                let _ = write!(text, "--- {name}\n{part}{}", if part.ends_with('\n') { "" } else { "\n" });
            }
        }
        // Rows of tables end in spaces, which no file of ours does.
        mkbc.masked(&text).lines().map(|l| format!("{}\n", l.trim_end())).collect()
    }
}

fn quoted(word: &str) -> String {
    let plain = !word.is_empty() && word.chars().all(|c| c.is_alphanumeric() || "-_./=,:\u{fffd}".contains(c));
    if plain { word.to_string() } else { format!("'{word}'") }
}

/// Compares with goldens, or rewrites them where `BLESS` is set; collects everything that is wrong before it fails.
#[derive(Default)]
pub struct Bless {
    faults: Mutex<Vec<String>>,
}

impl Bless {
    fn blessing() -> bool {
        std::env::var_os("BLESS").is_some_and(|v| !v.is_empty() && v != "0")
    }

    /// Something is wrong.
    pub fn wrong(&self, what: String) {
        self.faults.lock().expect("faults").push(what);
    }

    /// Compares a text with its golden.
    pub fn golden(&self, path: &Path, text: &str) {
        let old = fs::read_to_string(path).unwrap_or_default();
        if old == text {
            return;
        }
        if Self::blessing() {
            fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            fs::write(path, text).expect("a golden");
            return;
        }
        let same = old.lines().zip(text.lines()).take_while(|(a, b)| a == b).count();
        let rest = |text: &str, sign: char| -> String {
            text.lines().skip(same).take(12).map(|l| format!("  {sign} {l}\n")).collect()
        };
        let shown = path.strip_prefix(repository()).unwrap_or(path).display();
        self.wrong(format!("{shown} differs from line {}:\n{}{}", same + 1, rest(&old, '-'), rest(text, '+')));
    }

    /// Goldens whose case is gone.
    pub fn no_strangers(&self, folder: &Path, names: &[&str]) {
        for entry in fs::read_dir(folder).expect("a folder").flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let Some(stem) = name.strip_suffix(".txt").filter(|stem| !names.contains(stem)) else { continue };
            match Self::blessing() {
                true => fs::remove_file(entry.path()).expect("removed"),
                false => self.wrong(format!("{stem}.txt belongs to no case")),
            }
        }
    }

    /// Fails where something was wrong.
    pub fn end(self) {
        let faults = self.faults.into_inner().expect("faults");
        assert!(faults.is_empty(), "{} faults (BLESS=1 rewrites goldens):\n{}", faults.len(), faults.join("\n"));
    }
}

/// Does something for every item, on all cores; results in order.
pub fn at_once<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                while let Some((n, item)) =
                    Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|n| Some((n, items.get(n)?)))
                {
                    let result = work(item);
                    done.lock().expect("results").push((n, result));
                }
            });
        }
    });
    let mut done = done.into_inner().expect("results");
    done.sort_by_key(|(n, _)| *n);
    done.into_iter().map(|(_, result)| result).collect()
}

/// Whether programs are installed. A missing one is a reported skip, and a failure where `MKBC_REQUIRE_TOOLS=1`.
pub fn have(programs: &[&str]) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = |program: &str| std::env::split_paths(&path).any(|folder| folder.join(program).is_file());
    let missing: Vec<&str> = programs.iter().copied().filter(|p| !on_path(p)).collect();
    if missing.is_empty() {
        return true;
    }
    let test = std::thread::current().name().unwrap_or("a test").to_string();
    let text = format!("SKIPPED {test}: {} not installed", missing.join(", "));
    assert!(std::env::var_os("MKBC_REQUIRE_TOOLS").is_none_or(|v| v != "1"), "{text}, and MKBC_REQUIRE_TOOLS=1");
    // Not `eprintln!`: the test harness would capture it, and nobody would see it.
    let _ = std::io::Write::write_all(&mut std::io::stderr(), format!("{text}\n").as_bytes());
    false
}
