use super::writer::{Submitted, Turned};
use super::*;
use crate::run::block_on;

fn submitted(tenant: &str, key: Option<&str>, digest: &str) -> Submitted {
    Submitted {
        tenant: tenant.into(),
        key: key.map(str::to_owned),
        digest: digest.into(),
        job: "j".into(),
        priority: 4,
        cost_ms: 10,
        plan: ("p".into(), "{}".into()),
        inputs: "{}".into(),
        held_micro: 7,
        workflow: None,
        at_ms: 1_000,
    }
}

fn submit(store: &Store, run: Submitted) -> writer::Outcome {
    block_on(store.writer().submit(run)).expect("a runtime").expect("stored")
}

fn turn(store: &Store, run: u64, from: &'static [State], to: State) -> bool {
    let turned = Turned { run, from, to, at_ms: 2_000, note: None, journal: None, spent_micro: None };
    store.writer().turn_now(turned).expect("stored")
}

#[test]
fn a_key_is_one_run_of_one_tenant() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(folder.path()).expect("a store");
    let first = submit(&store, submitted("a", Some("k"), "d1"));
    assert!(first.new);
    let again = submit(&store, submitted("a", Some("k"), "d2"));
    assert_eq!((again.id, again.new, again.digest.as_str()), (first.id, false, "d1"));
    assert!(submit(&store, submitted("b", Some("k"), "d1")).new, "another tenant's key is another key");
    assert!(submit(&store, submitted("a", None, "d1")).new);
    assert_eq!(store.of_key("a", "k").expect("read").map(|r| r.id), Some(first.id));
    assert_eq!(store.list(&Filter { tenant: Some("a"), most: 10, ..Filter::default() }).expect("read").len(), 2);
}

#[test]
fn states_change_only_from_where_they_are() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(folder.path()).expect("a store");
    let id = submit(&store, submitted("a", None, "d")).id;
    assert!(!turn(&store, id, &[State::Running], State::Done), "it does not run");
    assert!(turn(&store, id, &[State::Queued], State::Running));
    assert!(turn(&store, id, &[State::Running], State::Done));
    assert!(!turn(&store, id, &[State::Queued, State::Running], State::Cancelled), "it has ended");
    let states: Vec<State> = store.changes(id).expect("read").into_iter().map(|c| c.state).collect();
    assert_eq!(states, [State::Queued, State::Running, State::Done]);
}

#[test]
fn what_was_accepted_is_there_after_opening_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(folder.path()).expect("a store");
    let ids: Vec<u64> = (0..5).map(|_| submit(&store, submitted("a", None, "d")).id).collect();
    turn(&store, ids[3], &[State::Queued], State::Running);
    let journal = Turned {
        run: ids[3],
        from: &[State::Running],
        to: State::Running,
        at_ms: 3,
        note: None,
        journal: Some(9),
        spent_micro: None,
    };
    store.writer().turn_now(journal).expect("stored");
    turn(&store, ids[0], &[State::Queued], State::Cancelled);
    drop(store);
    let store = Store::open(folder.path()).expect("a store");
    let open: Vec<u64> = store.open_runs().expect("read").into_iter().map(|r| r.id).collect();
    assert_eq!(open, [ids[3], ids[1], ids[2], ids[4]], "what was begun goes on first");
    assert_eq!(store.plan("a", "p").expect("read").as_deref(), Some("{}"));
    assert_eq!(store.money().expect("read")["a"], (0, 35));
}

#[test]
fn a_file_of_something_else_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("service.db"), "This is no database.\n".repeat(99)).expect("written");
    assert!(Store::open(folder.path()).is_err());
}

#[test]
fn a_store_of_the_first_version_is_brought_up_to_date() {
    let folder = tempfile::tempdir().expect("a folder");
    let db = Connection::open(folder.path().join("service.db")).expect("a database");
    db.execute_batch(SCHEMA).expect("the first version");
    db.pragma_update(None, "application_id", APPLICATION).expect("set");
    db.pragma_update(None, "user_version", 1).expect("set");
    db.execute_batch(
        "INSERT INTO runs (tenant, digest, job, priority, cost_ms, plan, inputs, state, submitted_ms, changed_ms, held_micro)
         VALUES ('a', 'd', 'j', 4, 1, 'p', '{}', 'queued', 1, 1, 0)",
    )
    .expect("a run");
    drop(db);
    for _ in 0..2 {
        let store = Store::open(folder.path()).expect("a store");
        assert_eq!(store.open_runs().expect("read").len(), 1, "what was accepted is there");
        store.writer().keep_now("fleet", "1".into()).expect("kept");
        assert_eq!(store.kept("fleet").expect("read").as_deref(), Some("1"));
    }
}

#[test]
fn runs_of_a_workflow_are_counted_by_when_they_came() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(folder.path()).expect("a store");
    let of = |at_ms| Submitted { workflow: Some("w".into()), at_ms, ..submitted("a", None, "d") };
    let ids: Vec<u64> = [1_000, 1_500, 2_500].into_iter().map(|at| submit(&store, of(at)).id).collect();
    submit(&store, submitted("a", None, "d"));
    assert_eq!(store.arrived("w", 1_000, 2_000).expect("read"), 2);
    assert_eq!(store.open_of("w", 0).expect("read"), 3);
    turn(&store, ids[0], &[State::Queued], State::Done);
    turn(&store, ids[1], &[State::Queued], State::Cancelled);
    let ended = store.ended("w", 0, 10).expect("read");
    assert_eq!(ended, [workflows::Ended { done: true, took_ms: 1_000, spent_micro: None }]);
    assert_eq!((store.open_of("w", 0).expect("read"), store.open_of("w", 2_600).expect("read")), (1, 0));
}
