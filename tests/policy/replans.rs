//! Plans of a fleet that are made again: when, how far they differ, and what they say.

use crate::mkbc::{Bless, repository};
use murakkab::adapt::epochs::{Cause, Change, Now, Policy, Replan, Seen, Verdict, Watch, replan};
use murakkab::check::select;
use murakkab::compile::{Changes, Checked, Compiled, Target, Texts, anywhere, check_file, decide, prepare_job};
use murakkab::diag::Diagnostics;
use murakkab::diag::source::FileId;
use murakkab::fleet::instance::Instance;
use murakkab::fleet::join::{Unjoined, join};
use murakkab::fleet::model::JointPlan;
use murakkab::fleet::translate::{Member, Settings};
use murakkab::solve::{Limits, joint};
use murakkab::space::Machines;
use murakkab::space::ends::End;
use murakkab::space::sizes::InputSizes;
use rust_decimal::{Decimal, dec};
use std::collections::BTreeMap;
use std::fs;

/// Jobs that are checked, to be prepared for any machines.
struct Jobs(Vec<(&'static str, Texts, FileId, Checked)>);

const FAST: &str = "  slo {\n    quality >= 60 %\n    latency <= 5 s\n  }\n";
const GOOD: &str = "  slo {\n    quality >= 80 %\n    latency <= 5 s\n  }\n";

fn jobs(all: &[(&'static str, &str)]) -> Jobs {
    let text = |name: &str| fs::read_to_string(repository().join("tests/policy").join(name)).expect(name);
    let job = |(name, limits): &(&'static str, &str)| {
        let mut texts = Texts::default();
        let library = texts.sources.add("desk.mkb", text("desk.mkb"));
        texts.modules.push(("desk".into(), library));
        for profile in ["small.csv", "big.csv"] {
            let file = texts.sources.add(profile, text(profile));
            texts.profiles.insert(profile.into(), file);
        }
        let own = format!(
            "use desk\n\njob {name}(text: Text) -> Text {{\n{limits}  expect text of 100 tok\n\n  answer(text)\n}}\n"
        );
        let file = texts.sources.add(format!("{name}.mkb"), own);
        let mut cx = Diagnostics::default();
        let checked = check_file(&texts, file, &mut cx);
        assert!(!cx.has_errors(), "{:?}", cx.iter().map(|d| &d.message).collect::<Vec<_>>());
        (*name, texts, file, checked)
    };
    Jobs(all.iter().map(job).collect())
}

fn both() -> Jobs {
    jobs(&[("fast", FAST), ("good", GOOD)])
}

fn machines(l4: (u32, Decimal), h100: (u32, Decimal)) -> Machines {
    Machines { name: "desk".into(), pools: [("l4".into(), l4), ("h100".into(), h100)].into() }
}

fn usual() -> Machines {
    machines((8, dec!(0.8)), (4, dec!(6)))
}

fn members<'a>(jobs: &'a Jobs, machines: &'a Machines, rates: &[Decimal]) -> Vec<Member<'a>> {
    const NOTHING: &InputSizes = &InputSizes::new();
    let member = |((name, texts, file, checked), rate): (&'a (&'static str, Texts, FileId, Checked), &Decimal)| {
        let mut cx = Diagnostics::default();
        let compiled = Compiled { texts, file: *file, checked, lock: None };
        let limits = Limits::default();
        let target = Target { job: None, machines, measured: NOTHING, usable: &anywhere, end: End::Typical, limits };
        let job = select(&checked.program, None).expect("a job").clone();
        let prepared = prepare_job(compiled, job, &target, &mut cx).expect(name);
        let Ok(alone) = decide(&prepared, &Changes::default(), &limits) else { panic!("{name} has no plan") };
        Member { file: format!("{name}.mkb"), prepared, alone, rate: *rate }
    };
    jobs.0.iter().zip(rates).map(member).collect()
}

/// The first plan: both jobs twice a second on the usual machines.
fn first(jobs: &Jobs) -> JointPlan {
    let machines = usual();
    let switching = Policy::default().switching();
    let settings = Settings { utilisation: dec!(0.8), switching, running: BTreeMap::new() };
    match join(&members(jobs, &machines, &[dec!(2), dec!(2)]), &machines, &settings, &joint::Limits::default(), &|_| {
        false
    }) {
        Ok(plan) => plan,
        Err(_) => panic!("no first plan"),
    }
}

fn again(
    today: &JointPlan,
    jobs: &Jobs,
    machines: &Machines,
    rates: &[Decimal],
    causes: Vec<Cause>,
) -> Result<Replan, Unjoined> {
    again_under(today, jobs, machines, rates, causes, &Policy::default())
}

fn again_under(
    today: &JointPlan,
    jobs: &Jobs,
    machines: &Machines,
    rates: &[Decimal],
    causes: Vec<Cause>,
    policy: &Policy,
) -> Result<Replan, Unjoined> {
    let (members, running) = (members(jobs, machines, rates), today.running());
    let now = Now { members: &members, machines, running: &running, late: &|_| false };
    replan(today, &now, causes, policy, &joint::Limits::default())
}

fn made(replan: Result<Replan, Unjoined>) -> Replan {
    match replan {
        Ok(replan) => replan,
        Err(Unjoined::Refused(_)) => panic!("nothing fits"),
        Err(Unjoined::Unknown(why) | Unjoined::Open(_, why)) => panic!("{why}"),
    }
}

/// One look at a plan, by a watch that needs only one.
fn look(
    plan: &JointPlan,
    machines: &Machines,
    rates: &[(&str, Decimal)],
    paces: &[(usize, Decimal)],
    since_s: u64,
) -> Vec<Cause> {
    let rates = rates.iter().map(|(job, rate)| ((*job).to_string(), *rate)).collect();
    let paces = paces.iter().map(|(at, pace)| (plan.instances[*at].instance.clone(), *pace)).collect();
    let seen = Seen { since_s, rates: &rates, paces: &paces, machines };
    Watch::default().look(plan, &seen, &Policy { looks: 1, ..Policy::default() })
}

/// The place of an instance of a plan.
fn of(plan: &JointPlan, model: &str) -> usize {
    plan.instances.iter().position(|used| used.instance.implementation == model).expect(model)
}

#[test]
fn every_replan_says_why_what_and_what_it_saves() {
    let (jobs, bless) = (both(), Bless::default());
    let today = first(&jobs);
    let replicas: BTreeMap<String, i64> = today.running().iter().map(|(i, n)| (i.shown(), *n)).collect();
    assert_eq!(replicas, [("big(batch: 4) on h100 * 1".into(), 1), ("small(batch: 4) on l4 * 1".into(), 2)].into());
    let planned = [dec!(2), dec!(2)];
    let cases: [(&str, Machines, [Decimal; 2], Verdict); 8] = [
        ("nothing_new", usual(), planned, Verdict::Kept),
        ("more_runs", usual(), [dec!(4), dec!(2)], Verdict::Scaled),
        ("fewer_runs", usual(), [dec!(1.3), dec!(2)], Verdict::Scaled),
        // So few that they find room where the other job's are answered.
        ("few_runs", usual(), [dec!(1), dec!(2)], Verdict::Changed),
        ("devices_lost", machines((1, dec!(0.8)), (4, dec!(6))), planned, Verdict::Changed),
        ("devices_gained", machines((16, dec!(0.8)), (4, dec!(6))), planned, Verdict::Kept),
        ("dearer", machines((8, dec!(4)), (4, dec!(6))), planned, Verdict::Changed),
        ("hardly_dearer", machines((8, dec!(3.15)), (4, dec!(6))), planned, Verdict::Kept),
    ];
    for (name, machines, rates, verdict) in &cases {
        let measured = [("fast", rates[0]), ("good", rates[1])];
        let causes = look(&today, machines, &measured, &[], 3600);
        let replan = made(again(&today, &jobs, machines, rates, causes));
        assert_eq!(replan.verdict, *verdict, "{name}:\n{replan}");
        assert!(replan.saves.usd_per_hour().is_none_or(|saved| saved >= Decimal::ZERO), "{name}:\n{replan}");
        bless.golden(&repository().join("tests/policy").join(format!("{name}.txt")), &replan.to_string());
        // From there, nothing is left to be done.
        let again = made(again(&replan.plan, &jobs, machines, rates, vec![Cause::Schedule]));
        assert_eq!(again.verdict, Verdict::Kept, "{name}, once more:\n{again}");
    }
    bless.no_strangers(&repository().join("tests/policy"), &cases.each_ref().map(|(name, ..)| *name));
    bless.end();
}

#[test]
fn a_plan_after_a_loss_holds_only_what_is_left() {
    let jobs = both();
    let today = first(&jobs);
    for left in 0..3u32 {
        let machines = machines((left, dec!(0.8)), (2, dec!(6)));
        let causes = look(&today, &machines, &[], &[], 0);
        assert_eq!(causes.iter().any(Cause::urgent), left < 2, "{left} left: {causes:?}");
        let replan = made(again(&today, &jobs, &machines, &[dec!(2), dec!(2)], causes));
        let held = |device: &str| -> i64 {
            let of = replan.plan.instances.iter().filter(|used| used.instance.device == device);
            of.map(|used| used.replicas).sum()
        };
        assert!(held("l4") <= i64::from(left) && held("h100") <= 2, "{left} left:\n{replan}");
        assert_eq!(replan.saves.going_on.is_none(), left < 2, "{left} left:\n{replan}");
    }
    // Without any large device, the good answers cannot be had.
    let none = machines((8, dec!(0.8)), (0, dec!(6)));
    let causes = look(&today, &none, &[], &[], 0);
    assert!(matches!(causes.as_slice(), [Cause::Lost { device, had: 4, has: 0 }] if device == "h100"), "{causes:?}");
    let too_few = machines((0, dec!(0.8)), (1, dec!(6)));
    assert!(matches!(again(&today, &jobs, &too_few, &[dec!(2), dec!(2)], causes), Err(Unjoined::Refused(_))));
}

#[test]
fn noise_changes_nothing() {
    let jobs = both();
    let machines = usual();
    let (mut plan, policy, mut watch) = (first(&jobs), Policy::default(), Watch::default());
    let mut noise = 7u64;
    let mut rate = |mean: Decimal| {
        noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        mean * (Decimal::ONE + Decimal::new((noise >> 33) as i64 % 101 - 50, 3))
    };
    // A look each five minutes for a day, a plan for each epoch, loads within 5 % of 2.25 runs a second: the plan has room for 3.2.
    for at in 1..=288u64 {
        let rates = [rate(dec!(2.25)), rate(dec!(2.25))];
        let named: BTreeMap<String, Decimal> = [("fast".into(), rates[0]), ("good".into(), rates[1])].into();
        let seen = Seen { since_s: at % 12 * 300 + 300, rates: &named, paces: &BTreeMap::new(), machines: &machines };
        let causes = watch.look(&plan, &seen, &policy);
        if at % 12 != 11 {
            assert_eq!(causes, [], "at {at}");
            continue;
        }
        assert_eq!(causes, [Cause::Schedule], "at {at}");
        let replan = made(again(&plan, &jobs, &machines, &rates, causes));
        assert_eq!((replan.verdict, replan.changes.len()), (Verdict::Kept, 0), "at {at}:\n{replan}");
        (plan, watch) = (replan.plan, Watch::default());
    }
}

#[test]
fn drift_counts_once_it_was_seen_several_times_in_a_row() {
    let today = first(&both());
    let (machines, policy) = (usual(), Policy::default());
    let mut watch = Watch::default();
    let mut see = |rate: Decimal| {
        let rates = [("fast".to_string(), rate)].into();
        let seen = Seen { since_s: 1200, rates: &rates, paces: &BTreeMap::new(), machines: &machines };
        watch.look(&today, &seen, &policy).len()
    };
    // One look that is as planned begins the count anew.
    assert_eq!([dec!(4), dec!(4), dec!(2), dec!(4), dec!(4), dec!(4)].map(&mut see), [0, 0, 0, 0, 0, 1]);
}

#[test]
fn causes_are_named_for_what_they_are() {
    let today = first(&both());
    let small = of(&today, "small");
    let at =
        |rates: &[(&str, Decimal)], paces: &[(usize, Decimal)], since: u64| look(&today, &usual(), rates, paces, since);
    assert_eq!(at(&[], &[], 1200), []);
    assert!(matches!(at(&[("fast", dec!(4))], &[], 1200).as_slice(), [Cause::Rate { job, .. }] if job == "fast"));
    // A new plan is left alone for a while.
    assert_eq!(at(&[("fast", dec!(4))], &[], 300), []);
    let slow = at(&[], &[(small, dec!(2))], 1200);
    assert_eq!(slow.len(), 1, "{slow:?}");
    assert_eq!(
        slow[0].to_string(),
        "calls take 2 times as long as planned: small(batch: 4) on l4 * 1 would be busy 100 % of its time, and may be 80 %"
    );
    // What is a little faster and rarer leaves room, and no drift; what is much faster was planned for other times.
    assert_eq!(at(&[("fast", dec!(3))], &[(small, dec!(0.81))], 1200), []);
    let fast = at(&[("fast", dec!(3.9))], &[(small, dec!(0.5))], 1200);
    assert_eq!(
        fast.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["calls of small(batch: 4) on l4 * 1 take 0.5 times as long as planned"]
    );
    let dearer = look(&today, &machines((8, dec!(0.9)), (4, dec!(6))), &[], &[], 1200);
    assert_eq!(dearer.iter().map(ToString::to_string).collect::<Vec<_>>(), ["`l4` costs 0.9 usd/h instead of 0.8"]);
    assert_eq!(look(&today, &machines((8, dec!(0.81)), (4, dec!(6))), &[], &[], 1200), []);
    // Devices that nothing runs on may go without a word.
    assert_eq!(look(&today, &machines((2, dec!(0.8)), (4, dec!(6))), &[], &[], 1200), []);
}

#[test]
fn loading_a_large_model_is_part_of_what_a_change_costs() {
    let jobs = both();
    let today = first(&jobs);
    // With dear small devices, the large one is worth starting, unless its model takes most of the epoch to be loaded.
    let machines = machines((8, dec!(3.4)), (4, dec!(6)));
    let verdict = |gb_per_s: Decimal| {
        let policy = Policy { load_gb_per_s: gb_per_s, ..Policy::default() };
        let replan = made(again_under(&today, &jobs, &machines, &[dec!(2), dec!(2)], vec![Cause::Schedule], &policy));
        let started = replan.changes.iter().any(|change| matches!(change, Change::Replicas { from: 0, .. }));
        assert_eq!(started, replan.verdict == Verdict::Changed, "{replan}");
        replan.verdict
    };
    assert_eq!([dec!(2), dec!(0.01)].map(verdict), [Verdict::Changed, Verdict::Kept]);
}

#[test]
fn a_job_that_came_has_its_steps_planned_beside_the_others() {
    let jobs = both();
    let today = first(&jobs);
    let three = self::jobs(&[("fast", FAST), ("good", GOOD), ("new", FAST)]);
    let causes = vec![Cause::Jobs { came: vec!["new".into()], went: Vec::new() }];
    let replan = made(again(&today, &three, &usual(), &[dec!(2), dec!(2), dec!(1)], causes));
    assert_eq!(replan.saves.broken.as_deref(), Some("`new` is not in it"));
    assert_eq!(replan.plan.jobs.len(), 3);
    let went = vec![Cause::Jobs { came: Vec::new(), went: vec!["new".into()] }];
    let fewer = made(again(&replan.plan, &jobs, &usual(), &[dec!(2), dec!(2)], went));
    assert_eq!(fewer.plan.running(), today.running(), "{fewer}");
}

/// Instances name what they are in JSON, too.
#[test]
fn a_replan_is_data() {
    let jobs = both();
    let today = first(&jobs);
    let causes = vec![Cause::Lost { device: "l4".into(), had: 8, has: 1 }];
    let replan = made(again(&today, &jobs, &machines((1, dec!(0.8)), (4, dec!(6))), &[dec!(2), dec!(2)], causes));
    let json = serde_json::to_value(&replan).expect("JSON");
    assert_eq!(json["causes"][0]["cause"], "lost");
    assert_eq!(json["verdict"], "changed");
    assert!(json["plan"]["instances"].as_array().is_some_and(|kinds| !kinds.is_empty()));
    let running: BTreeMap<Instance, i64> = replan.plan.running();
    assert!(running.keys().all(|instance| instance.device == "h100"), "{running:?}");
}
