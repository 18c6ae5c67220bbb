//! The same bytes on every machine: a lock file and a plan that were written on one machine (`tests/expand/machines/`, rewritten by `BLESS=1`) are
//! made again on whatever machine this runs on, under other users, folders, time zones, languages, host names and numbers of cores.

use crate::mkbc::{BINARY, Bless, Mkbc, repository};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where the job is built: what stands before the program, its environment, and the folder.
struct Place {
    name: &'static str,
    before: &'static [&'static str],
    env: &'static [(&'static str, &'static str)],
    folder: &'static str,
}

const PLAIN: Place = Place { name: "plain", before: &[], env: &[], folder: "job" };

fn places() -> Vec<Place> {
    let all = vec![
        PLAIN,
        Place {
            name: "another time and language",
            env: &[("TZ", "Asia/Kathmandu"), ("LC_ALL", "tr_TR.UTF-8"), ("LANG", "tr_TR.UTF-8"), ("LANGUAGE", "tr")],
            ..PLAIN
        },
        Place { name: "another folder", folder: "deeper/a folder of Ünal/x", ..PLAIN },
        Place {
            name: "no home, another terminal",
            env: &[("HOME", "/nowhere"), ("USER", "nobody"), ("COLUMNS", "40"), ("TERM", "dumb"), ("NO_COLOR", "1")],
            ..PLAIN
        },
        Place {
            name: "an allocator and hashes of their own",
            env: &[("MALLOC_PERTURB_", "165"), ("MALLOC_ARENA_MAX", "1"), ("RAYON_NUM_THREADS", "1")],
            ..PLAIN
        },
        Place { name: "a strict umask", before: &["sh", "-c", "umask 077; exec \"$0\" \"$@\""], ..PLAIN },
        Place { name: "one core", before: &["taskset", "-c", "0"], ..PLAIN },
        Place {
            name: "little memory for the stack",
            before: &["sh", "-c", "ulimit -s 2048; exec \"$0\" \"$@\""],
            ..PLAIN
        },
        Place {
            name: "another user",
            before: &["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"],
            ..PLAIN
        },
        Place {
            name: "another host",
            before: &["unshare", "--uts", "sh", "-c", "echo elsewhere > /proc/sys/kernel/hostname; exec \"$0\" \"$@\""],
            ..PLAIN
        },
    ];
    // What this machine cannot do is left out: the first places can be had everywhere.
    all.into_iter().filter(|place| place.before.is_empty() || done(place.before, &["true"])).collect()
}

fn done(before: &[&str], command: &[&str]) -> bool {
    let words: Vec<&str> = before.iter().chain(command).copied().collect();
    Command::new(words[0]).args(&words[1..]).output().is_ok_and(|output| output.status.success())
}

/// The lock file and the plan that are made at a place: filled there, and then built from the lock file alone.
fn built(place: &Place) -> (String, String) {
    let mkbc = Mkbc::new();
    let folder = mkbc.path(place.folder);
    copy(&repository().join("tests/expand/machines"), &folder);
    let _ = std::fs::remove_file(folder.join("job.mkb.lock"));
    // Whoever builds may write there.
    assert!(done(&["chmod", "-R", "a+rwX"], &[&mkbc.path(".").display().to_string()]));
    let run = |arguments: &[&str]| {
        let words: Vec<&str> = place.before.iter().copied().chain([BINARY]).chain(arguments.iter().copied()).collect();
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).current_dir(&folder).env_clear().stdin(std::process::Stdio::null());
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default()).envs(place.env.iter().copied());
        let output = command.output().expect("it starts");
        assert!(output.status.success(), "{}: {}", place.name, String::from_utf8_lossy(&output.stderr));
    };
    run(&["expand", "job.mkb", "--library", "own"]);
    let lock = std::fs::read_to_string(folder.join("job.mkb.lock")).expect("a lock file");
    run(&["expand", "job.mkb", "--library", "own", "--locked"]);
    run(&["plan", "job.mkb", "--library", "own", "--locked", "--no-prices", "-o", "plan.json"]);
    assert_eq!(std::fs::read_to_string(folder.join("job.mkb.lock")).ok().as_ref(), Some(&lock), "{}", place.name);
    (lock, std::fs::read_to_string(folder.join("plan.json")).expect("a plan"))
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("the folder") {
        let path: PathBuf = entry.expect("a file").path();
        let to = to.join(path.file_name().expect("a name"));
        if path.is_dir() { copy(&path, &to) } else { std::fs::copy(&path, &to).map(|_| ()).expect("copied") }
    }
}

/// A plan without what belongs to the program that wrote it: its library's digest, and the version of the z3 that it was linked with.
fn masked(plan: &str) -> String {
    let line = |line: &str| {
        let value = |key: &str| line.trim_start().starts_with(&format!("\"{key}\": "));
        let z3 = line.find("\"z3 ").filter(|_| value("by"));
        match (value("library"), z3) {
            (true, _) => format!("{}\"library\": \"\",\n", &line[..line.len() - line.trim_start().len()]),
            (_, Some(at)) => format!("{}\"z3\",\n", &line[..at]),
            _ => format!("{line}\n"),
        }
    };
    plan.lines().map(line).collect()
}

#[test]
fn a_lock_and_its_plan_are_the_same_bytes_on_every_machine() {
    let (bless, golden) = (Bless::default(), repository().join("tests/expand/machines"));
    let places = places();
    assert!(places.len() >= 5, "{} places", places.len());
    let (lock, plan) = built(&places[0]);
    bless.golden(&golden.join("job.mkb.lock"), &lock);
    bless.golden(&golden.join("plan.json"), &masked(&plan));
    bless.end();
    for place in &places[1..] {
        let (other_lock, other_plan) = built(place);
        assert_eq!(other_lock, lock, "{}: the lock file", place.name);
        assert_eq!(other_plan, plan, "{}: the plan", place.name);
    }
}
