use super::*;
use crate::plan::model::Conditions;
use crate::run::observer::Silent;
use crate::run::tests::samples::{environment, process, step};
use crate::types::Type;
use serde_json::json;

fn parts() -> (tempfile::TempDir, Cache, PlanStep) {
    let folder = tempfile::tempdir().expect("a folder");
    let cache = Cache::of(folder.path(), Policy::Usual);
    (folder, cache, step(0, process(&[&["cat", "{x}"]], "lines"), &[("x", Type::Text)], Type::Text))
}

fn args(value: Value) -> Args {
    Args::from([("x".to_owned(), Arc::new(value))])
}

fn wait<T>(work: impl Future<Output = T>) -> T {
    crate::run::block_on(work).expect("a runtime")
}

#[test]
fn a_key_follows_contents_and_knobs_and_not_names_of_files() {
    let (folder, cache, step) = parts();
    let cx = RunContext::new(folder.path(), &Silent, &environment);
    let at = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("written");
        args(json!({"file": path, "bytes": 1}))
    };
    let key = |step: &PlanStep, args: &Args| wait(cache.key(step, args, &cx));
    let (a, same, other) = (at("a", "one"), at("b", "one"), at("c", "two"));
    assert_eq!(key(&step, &a), key(&step, &same));
    assert_ne!(key(&step, &a), key(&step, &other));
    let knobs = PlanStep { knobs: BTreeMap::from([("k".into(), "v".into())]), ..step.clone() };
    assert_ne!(key(&step, &a), key(&knobs, &a));
    assert_eq!(key(&step, &args(json!({"file": folder.path().join("none")}))), None);
}

#[test]
fn what_is_kept_is_found_until_it_or_its_files_change() {
    let (folder, cache, step) = parts();
    let made = folder.path().join("made.txt");
    std::fs::write(&made, "made").expect("written");
    let (key, given) = ("ab".repeat(32), args(json!("x")));
    let now = SystemTime::now();
    wait(cache.keep(&key, &step, &json!([{"file": made}]), now));
    let call = folder.path().join("call");
    let value = wait(cache.find(&key, (&step, &given), &call, now)).expect("kept");
    let file = value[0]["file"].as_str().expect("a file");
    assert!(file.ends_with("call/cached/0000-made.txt"), "{file}");
    assert_eq!(std::fs::read_to_string(file).expect("linked"), "made");
    assert_eq!(cache.list()[0].implementation.as_deref(), Some("tool"));
    // A file that changed makes the entry none.
    std::fs::remove_file(&made).expect("gone");
    std::fs::write(&made, "MADE!").expect("written");
    assert_eq!(wait(cache.find(&key, (&step, &given), &call, now)), None);
    // So does a flipped byte of the entry itself.
    wait(cache.keep(&key, &step, &json!("plain"), now));
    assert_eq!(wait(cache.find(&key, (&step, &given), &call, now)), Some(json!("plain")));
    let mut bytes = std::fs::read(cache.path(&key)).expect("an entry");
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    std::fs::write(cache.path(&key), bytes).expect("written");
    assert_eq!(wait(cache.find(&key, (&step, &given), &call, now)), None);
    assert_eq!(cache.collect(MOST, None, SystemTime::now()).0, 1, "what cannot be read goes");
}

#[test]
fn a_result_serves_for_as_long_as_the_step_says_from_when_its_call_began() {
    let (folder, cache, step) = parts();
    let (key, given, call) = ("ab".repeat(32), args(json!("x")), folder.path().join("call"));
    let hour = Duration::from_secs(3600);
    let began = SystemTime::now() - 1000 * hour;
    wait(cache.keep(&key, &step, &json!("kept"), began));
    assert_eq!(cache.list()[0].made.map(millis), Some(millis(began)));
    let with = |cache| PlanStep { conditions: Conditions { cache, ..step.conditions.clone() }, ..step.clone() };
    let for_a_day = with(Some(Reuse::While(Age { at_most_ms: 24 * 3_600_000 })));
    let found = |step: &PlanStep, now: SystemTime| wait(cache.find(&key, (step, &given), &call, now)).is_some();
    assert!(found(&for_a_day, began) && found(&for_a_day, began + 24 * hour));
    // That it was used a moment ago makes it no newer.
    let (late, early) = (began + 24 * hour + Duration::from_millis(1), began - Duration::from_millis(1));
    assert!(!found(&for_a_day, late));
    assert!(!found(&for_a_day, early), "a clock that was set back says nothing of an age");
    for any in [with(Some(Reuse::Always(true))), with(None)] {
        assert!(found(&any, late) && found(&any, early));
    }
    // Made again, it serves again.
    wait(cache.keep(&key, &step, &json!("kept"), late));
    assert!(found(&for_a_day, late + 24 * hour));
    assert_eq!(cache.list().len(), 1);
}

#[test]
fn a_result_of_no_known_age_serves_only_where_any_age_does() {
    let (folder, cache, step) = parts();
    let (key, given, call) = ("ab".repeat(32), args(json!("x")), folder.path().join("call"));
    wait(cache.keep(&key, &step, &json!("kept"), SystemTime::UNIX_EPOCH - Duration::from_secs(1)));
    assert_eq!(cache.list()[0].made, None);
    let aged = Some(Reuse::While(Age { at_most_ms: u64::MAX }));
    let conditions = Conditions { cache: aged, ..step.conditions.clone() };
    let aged = PlanStep { conditions, ..step.clone() };
    let found = |step: &PlanStep| wait(cache.find(&key, (step, &given), &call, SystemTime::now())).is_some();
    assert!(found(&step) && !found(&aged));
}

#[test]
fn what_is_no_entry_goes_first_and_a_link_is_followed_nowhere() {
    let (folder, cache, step) = parts();
    let key = "ab".repeat(32);
    wait(cache.keep(&key, &step, &json!(["a"]), SystemTime::now()));
    let shard = folder.path().join("cache").join(&key[..2]);
    std::fs::write(shard.join(".half"), vec![0; 10_000]).expect("a stray file");
    assert_eq!(cache.collect(5_000, None, SystemTime::now()), (1, 10_000));
    assert_eq!(cache.list().len(), 1);
    let other = folder.path().join("other");
    std::fs::rename(folder.path().join("cache"), &other).expect("moved");
    std::os::unix::fs::symlink(&other, folder.path().join("cache")).expect("a link");
    assert_eq!((cache.list().len(), cache.collect(0, None, SystemTime::now())), (0, (0, 0)));
}

#[test]
fn the_least_recently_used_go_first() {
    let (_folder, cache, step) = parts();
    for n in 0..4_u64 {
        let key = format!("{n:02}").repeat(32);
        wait(cache.keep(&key, &step, &json!(n), SystemTime::now()));
        let used = SystemTime::UNIX_EPOCH + Duration::from_secs(1000 - n);
        let file = std::fs::File::options().append(true).open(cache.path(&key)).expect("an entry");
        file.set_modified(used).expect("set");
    }
    let each = cache.list()[0].bytes;
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1001);
    assert_eq!(cache.collect(each * 3, None, now).0, 1);
    assert!(cache.list().iter().all(|e| !e.key.starts_with("03")));
    assert_eq!(cache.collect(MOST, Some(Duration::from_millis(2500)), now).0, 1);
    assert!(cache.list().iter().all(|e| !e.key.starts_with("02")));
}
