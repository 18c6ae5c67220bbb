//! The engine against closed forms, and what must hold of any simulation.

use super::arrivals::{Arrival, Arrivals, Form, Process, Source};
use super::change::Change;
use super::engine::{Service, Settings, simulate};
use super::measure::Outcome;
use super::model::{Carried, Deployment, Job, Kind, Limit, Pace, Pool, Route, To};
use super::policy::{Autoscaled, Fixed, Policy, Seen};
use super::{Micros, SECOND, micros};
use proptest::prelude::*;
use rust_decimal::Decimal;
use std::rc::Rc;

fn pools() -> Vec<Pool> {
    vec![Pool { name: "gpu".into(), units: 1_000, gpu: true, usd_per_hour: Decimal::TWO }]
}

fn settings(end: Micros, service: Service) -> Settings {
    Settings {
        drain: 0,
        end,
        epoch: 600 * SECOND,
        window: 60 * SECOND,
        seed: 11,
        service,
        mtbf: None,
        pools: pools(),
        changes: Vec::new(),
        tiers: Vec::new(),
        prefix_blocks: 0,
    }
}

/// A kind whose calls go on at these paces, for one, two, … at once.
fn kind(id: usize, speeds: &[f64]) -> Rc<Kind> {
    Rc::new(Kind {
        id,
        name: format!("kind {id}"),
        pool: 0,
        units: 1,
        pace: speeds.iter().map(|speed| Pace { speed: *speed, watts: 100.0 }).collect(),
        idle_w: 10.0,
        start: 90 * SECOND,
        memory_gb: 1.0,
    })
}

fn route(to: To, calls: f64, fixed_s: f64) -> Route {
    Route { to, calls, window: 4, fixed_s, input_s: 0.0, output_s: 0.0, fee_usd: 0.0 }
}

fn carried(routes: Vec<Route>) -> Carried {
    Carried { routes, quality: 0.9 }
}

fn fixed(placed: Vec<(Rc<Kind>, i64)>, jobs: Vec<Carried>) -> Fixed {
    Fixed { name: "fixed".into(), deployment: Rc::new(Deployment { placed, jobs: Rc::new(jobs) }) }
}

fn one_step(limit_s: Option<f64>) -> [Job; 1] {
    let limit = limit_s.map(|limit| Limit { text: "limit".into(), time: micros(limit), allowed: 0.0 });
    [Job::new("job", 1, &[], limit)]
}

/// A queue: Poisson arrivals at a rate, so many replicas, one call at a time on each or all at its pace.
fn queue(rate: Decimal, runs: u32, service: (Service, f64), replicas: i64, speeds: &[f64]) -> Outcome {
    let sources = [Source::Process(Process { job: 0, form: Form::Poisson, rates: vec![rate] })];
    let end = Decimal::from(runs) / rate * Decimal::from(SECOND);
    let end = i64::try_from(end.round()).unwrap();
    let mut policy = fixed(vec![(kind(0, speeds), replicas)], vec![carried(vec![route(To::Kind(0), 1.0, service.1)])]);
    let mut arrivals = Arrivals::of(&sources, 3).unwrap();
    simulate(&settings(end, service.0), &one_step(None), &mut arrivals, &mut policy).unwrap()
}

fn near(measured: f64, exact: f64) {
    assert!((measured / exact - 1.0).abs() < 0.02, "{measured} instead of {exact}");
}

#[test]
fn one_server_with_exponential_service_waits_as_long_as_mm1() {
    // Wq = ρ / (μ − λ), with μ = 2 and λ = 1.
    let outcome = queue(Decimal::ONE, 400_000, (Service::Exponential, 0.5), 1, &[1.0]);
    near(outcome.kinds[0].waited_s, 0.5);
    near(outcome.runs.latency.mean_s, 1.0);
    near(outcome.busy, 0.5);
    // The time in the system is exponential with mean 1: its quantiles are known as well.
    near(outcome.runs.latency.p95_s / 20f64.ln(), 1.0);
}

#[test]
fn one_server_with_constant_service_waits_as_long_as_md1() {
    // Wq = ρ / (2 μ (1 − ρ)), with μ = 2 and λ = 1.2.
    let outcome = queue(Decimal::new(12, 1), 400_000, (Service::Planned, 0.5), 1, &[1.0]);
    near(outcome.kinds[0].waited_s, 0.6 / (2.0 * 2.0 * 0.4));
}

#[test]
fn several_servers_wait_as_long_as_mmc() {
    // Erlang's C for 4 servers and an offered load of 3.
    let (servers, offered) = (4, 3.0f64);
    let term = |n: i32| offered.powi(n) / (1..=n).map(f64::from).product::<f64>();
    let last = term(servers) / (1.0 - offered / 4.0);
    let waits = last / ((0..servers).map(term).sum::<f64>() + last);
    let outcome = queue(Decimal::from(3), 600_000, (Service::Exponential, 1.0), 4, &[1.0]);
    near(outcome.kinds[0].waited_s, waits / (4.0 - 3.0));
    near(outcome.busy, 0.75);
}

#[test]
fn calls_that_share_a_replica_take_as_long_as_processor_sharing_says() {
    // With n calls each goes on at 1/n of its pace alone: E[T] = E[S] / (1 − ρ), whatever the distribution of S.
    let speeds: Vec<f64> = (1..=200).map(|calls| 200.0 / f64::from(calls)).collect();
    let outcome = queue(Decimal::ONE, 200_000, (Service::Planned, 100.0), 1, &speeds);
    near(outcome.runs.latency.mean_s, 0.5 / (1.0 - 0.5));
    near(outcome.busy, 0.5);
}

#[test]
fn money_energy_and_time_add_up() {
    let mut policy = fixed(vec![(kind(0, &[1.0]), 2)], vec![carried(vec![route(To::Kind(0), 1.0, 10.0)])]);
    let arrivals = [0, 1, 2].map(|at| Ok(Arrival::planned(at * SECOND, 0)));
    let settings = settings(3_600 * SECOND, Service::Planned);
    let outcome = simulate(&settings, &one_step(Some(15.0)), &mut arrivals.into_iter(), &mut policy).unwrap();
    let (runs, spent) = (&outcome.runs, &outcome.spent);
    // The third one waits eight seconds for the first.
    assert_eq!((runs.arrived, runs.done, runs.in_flight, runs.late), (3, 3, 0, 1));
    assert!((runs.latency.mean_s - 38.0 / 3.0).abs() < 1e-9, "{}", runs.latency.mean_s);
    assert!((spent.gpu_hours - 2.0).abs() < 1e-9 && (spent.cost_usd - 4.0).abs() < 1e-9);
    let busy = 30.0 / 3600.0;
    assert!((spent.busy_wh - busy * 100.0).abs() < 1e-9 && (spent.idle_wh - (2.0 - busy) * 10.0).abs() < 1e-9);
    assert_eq!(outcome.epochs.len(), 6);
    let by_epoch: f64 = outcome.epochs.iter().map(|epoch| epoch.spent.cost_usd).sum();
    assert!((by_epoch - 4.0).abs() < 1e-9);
}

#[test]
fn a_provider_takes_what_its_limit_allows() {
    // Two calls a second: what it takes in a second at once, the others at that pace.
    let to = To::Account { account: 0, share: 0.5 };
    let mut policy = fixed(Vec::new(), vec![carried(vec![Route { fee_usd: 0.01, ..route(to, 1.0, 3.0) }])]);
    let arrivals = (0..6).map(|_| Ok(Arrival::planned(0, 0)));
    let settings = settings(60 * SECOND, Service::Planned);
    let outcome = simulate(&settings, &one_step(None), &mut arrivals.into_iter(), &mut policy).unwrap();
    // Begun at 0, 0, 0, 0.5, 1, 1.5.
    assert!((outcome.runs.latency.mean_s - (3.0 + 3.0 / 6.0)).abs() < 1e-9, "{}", outcome.runs.latency.mean_s);
    assert!((outcome.spent.cost_usd - 0.06).abs() < 1e-9 && outcome.spent.gpu_hours == 0.0);
}

#[test]
fn steps_wait_for_those_before_them_and_calls_go_by_rounds() {
    // Two steps side by side, then one of eight calls, of which four go at once.
    let job = [Job::new("job", 3, &[(0, 2), (1, 2)], None)];
    let routes = vec![route(To::Free, 1.0, 2.0), route(To::Free, 1.0, 5.0), route(To::Free, 8.0, 1.0)];
    let arrivals = [Ok(Arrival::planned(0, 0))];
    let settings = settings(60 * SECOND, Service::Planned);
    let mut policy = fixed(Vec::new(), vec![carried(routes)]);
    let outcome = simulate(&settings, &job, &mut arrivals.into_iter(), &mut policy).unwrap();
    assert!((outcome.runs.latency.mean_s - 7.0).abs() < 1e-9, "{}", outcome.runs.latency.mean_s);
}

/// Another deployment at a certain time.
struct Switch {
    first: Rc<Deployment>,
    then: Rc<Deployment>,
    at: Micros,
}

impl Policy for Switch {
    fn name(&self) -> &str {
        "switch"
    }

    fn start(&mut self) -> Result<Rc<Deployment>, String> {
        Ok(self.first.clone())
    }

    fn asked(&self) -> Option<(Micros, Micros)> {
        Some((self.at, Micros::MAX / 4))
    }

    fn at(&mut self, _: &Seen) -> Result<Option<Rc<Deployment>>, String> {
        Ok(Some(self.then.clone()))
    }
}

fn switch(units: i64) -> Outcome {
    let deployment = |id: usize| {
        let jobs = Rc::new(vec![carried(vec![route(To::Kind(id), 1.0, 1.0)])]);
        Rc::new(Deployment { placed: vec![(kind(id, &[1.0]), 2)], jobs })
    };
    let arrivals = (0..600).map(|at| Ok(Arrival::planned(at * SECOND, 0)));
    let mut settings = settings(1_200 * SECOND, Service::Planned);
    settings.pools[0].units = units;
    let mut policy = Switch { first: deployment(0), then: deployment(1), at: 300 * SECOND };
    simulate(&settings, &one_step(Some(10.0)), &mut arrivals.into_iter(), &mut policy).unwrap()
}

#[test]
fn what_is_new_starts_before_what_is_old_goes() {
    let outcome = switch(4);
    assert_eq!((outcome.runs.done, outcome.runs.late, outcome.gpus_peak), (600, 0, 4));
    // Until it is there, after 90 s, calls go where they went.
    assert_eq!((outcome.kinds[0].calls, outcome.kinds[1].calls), (390, 210));
    let held = |at: usize| outcome.kinds[at].replicas * 1200.0;
    assert!((held(0) - 2.0 * 390.0).abs() <= 2.0 && (held(1) - 2.0 * 900.0).abs() <= 2.0, "{} {}", held(0), held(1));
}

#[test]
fn without_devices_for_both_the_old_goes_first_and_calls_wait() {
    let outcome = switch(2);
    assert_eq!((outcome.runs.done, outcome.gpus_peak), (600, 2));
    assert!(outcome.runs.late > 60, "{}", outcome.runs.late);
}

/// Two replicas of one call a time, calls of 10 s at 0, 1, … 5 s, and what happens to the devices.
fn devices(changes: &[(Micros, i64, i64)]) -> Outcome {
    let arrivals = (0..6).map(|at| Ok(Arrival::planned(at * SECOND, 0)));
    let mut settings = settings(600 * SECOND, Service::Planned);
    let change = |(at, units, price): &(Micros, i64, i64)| Change {
        at: at * SECOND,
        pool: 0,
        units: *units,
        usd_per_hour: Decimal::from(*price),
        taken: None,
    };
    settings.changes = changes.iter().map(change).collect();
    let mut policy = fixed(vec![(kind(0, &[1.0]), 2)], vec![carried(vec![route(To::Kind(0), 1.0, 10.0)])]);
    simulate(&settings, &one_step(None), &mut arrivals.into_iter(), &mut policy).unwrap()
}

#[test]
fn a_lost_device_takes_its_replica_along_until_there_is_another() {
    let whole = devices(&[]);
    assert_eq!((whole.runs.done, whole.lost, whole.gpus_peak), (6, 0, 2));
    // Ends at 10, 11, 20, 21, 30, 31.
    assert!((whole.runs.latency.mean_s - (123.0 - 15.0) / 6.0).abs() < 1e-6, "{}", whole.runs.latency.mean_s);
    let lost = devices(&[(5, 1, 2)]);
    assert_eq!((lost.runs.done, lost.lost), (6, 1));
    // One of the first two calls begins anew behind the other, and all others after it, on one replica.
    assert!(lost.runs.latency.mean_s > 25.0, "{}", lost.runs.latency.mean_s);
    assert!((lost.spent.gpu_hours - (2.0 * 5.0 + 595.0) / 3600.0).abs() < 1e-9);
    // The second one starts as soon as there is a device for it.
    let back = devices(&[(5, 1, 2), (300, 4, 2)]);
    assert!((back.spent.gpu_hours - (2.0 * 5.0 + 295.0 + 2.0 * 300.0) / 3600.0).abs() < 1e-9);
    // Without any, calls wait until there are some: a replica needs 90 s to start.
    let none = devices(&[(5, 0, 2), (300, 2, 2)]);
    assert_eq!((none.runs.done, none.lost, none.runs.in_flight), (6, 2, 0));
    assert!(none.runs.latency.mean_s > 390.0, "{}", none.runs.latency.mean_s);
}

#[test]
fn a_device_that_is_taken_may_be_one_in_use_though_others_are_not() {
    let taken = |which: i64| {
        let arrivals = [Ok(Arrival::planned(0, 0))];
        let mut settings = settings(600 * SECOND, Service::Planned);
        let (at, usd_per_hour) = (5 * SECOND, Decimal::TWO);
        settings.changes = vec![Change { at, pool: 0, units: 999, usd_per_hour, taken: Some(which) }];
        let mut policy = fixed(vec![(kind(0, &[1.0]), 2)], vec![carried(vec![route(To::Kind(0), 1.0, 10.0)])]);
        simulate(&settings, &one_step(None), &mut arrivals.into_iter(), &mut policy).unwrap()
    };
    // The call goes to one of two replicas; who loses it begins anew on the other, and a third device takes the place of the lost one.
    let (first, second, other) = (taken(0), taken(1), taken(2));
    assert_eq!((first.lost, second.lost, other.lost), (1, 1, 0));
    let mut latencies = [first.runs.latency.mean_s, second.runs.latency.mean_s];
    latencies.sort_by(f64::total_cmp);
    assert!((latencies[0] - 10.0).abs() < 1e-6 && (latencies[1] - 15.0).abs() < 1e-6, "{latencies:?}");
    assert!((other.runs.latency.mean_s - 10.0).abs() < 1e-6);
    for outcome in [first, second, other] {
        assert!((outcome.spent.gpu_hours - 2.0 / 6.0).abs() < 1e-9, "{}", outcome.spent.gpu_hours);
    }
}

#[test]
fn what_a_replica_has_read_is_not_read_again() {
    // Reading takes 8 s, writing 1 s; the second begins like the first, the third like neither.
    let prefixes: [&[u64]; 3] = [&[1, 2, 3, 4], &[1, 2, 3, 9], &[7, 2, 3, 4]];
    let arrivals = prefixes
        .iter()
        .zip(0..)
        .map(|(prefix, at)| Ok(Arrival { prefix: Some((*prefix).into()), ..Arrival::planned(at * 100 * SECOND, 0) }));
    let run = |prefix_blocks: usize| {
        let settings = Settings { prefix_blocks, ..settings(600 * SECOND, Service::Planned) };
        let of = carried(vec![Route { input_s: 8.0, ..route(To::Kind(0), 1.0, 1.0) }]);
        let mut policy = fixed(vec![(kind(0, &[1.0]), 1)], vec![of]);
        simulate(&settings, &one_step(None), &mut arrivals.clone(), &mut policy).unwrap()
    };
    let (none, some) = (run(0), run(64));
    assert!((none.runs.latency.mean_s - 9.0).abs() < 1e-6 && none.reused == 0.0);
    assert!((some.runs.latency.mean_s - (9.0 + 3.0 + 9.0) / 3.0).abs() < 1e-6, "{}", some.runs.latency.mean_s);
    assert!((some.reused - 6.0 / 24.0).abs() < 1e-9);
}

#[test]
fn a_price_holds_from_when_it_is_asked() {
    let cost = devices(&[(150, 1_000, 6)]).spent.cost_usd;
    assert!((cost - 2.0 * (2.0 * 150.0 + 6.0 * 450.0) / 3600.0).abs() < 1e-9, "{cost}");
}

#[test]
fn a_deployment_that_does_not_fit_is_refused() {
    let mut policy = fixed(vec![(kind(0, &[1.0]), 2_000)], vec![carried(vec![route(To::Kind(0), 1.0, 1.0)])]);
    let done = simulate(&settings(SECOND, Service::Planned), &one_step(None), &mut std::iter::empty(), &mut policy);
    assert_eq!(done.unwrap_err(), "its replicas hold 2000 `gpu`, and there are 1000");
}

#[test]
fn an_autoscaler_follows_the_load_both_ways() {
    let sources = [Source::Process(Process {
        job: 0,
        form: Form::Constant,
        rates: vec![Decimal::from(2), Decimal::from(20), Decimal::from(2)],
    })];
    let deployment = fixed(vec![(kind(0, &[1.0]), 30)], vec![carried(vec![route(To::Kind(0), 1.0, 1.0)])]).deployment;
    let mut settings = settings(3 * 3_600 * SECOND, Service::Planned);
    settings.epoch = 3_600 * SECOND;
    let mut arrivals = Arrivals::of(&sources, 0).unwrap();
    let outcome = simulate(&settings, &one_step(None), &mut arrivals, &mut Autoscaled::of(deployment, 0.8)).unwrap();
    let gpus: Vec<f64> = outcome.epochs.iter().map(|epoch| epoch.gpus).collect();
    // ⌈2 / 0.8⌉ = 3 and 20 / 0.8 = 25, but for the minutes until it has followed.
    assert!(gpus[0] < 6.5 && gpus[1] > 22.0 && gpus[2] < 7.0, "{gpus:?}");
    assert_eq!(outcome.runs.in_flight + outcome.runs.done, outcome.runs.arrived);
}

fn arrivals() -> impl Strategy<Value = Vec<Arrival>> {
    let one = (0i64..40, 0usize..2, 0.1f32..4.0);
    prop::collection::vec(one, 0..120).prop_map(|gaps| {
        let mut at = 0;
        let arrival = |(gap, job, size): (i64, usize, f32)| {
            at += gap * SECOND / 10;
            Arrival { input: size, ..Arrival::planned(at, job) }
        };
        gaps.into_iter().map(arrival).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Work in = work out + in flight, whoever breaks and whatever is switched; the same bytes each time.
    #[test]
    fn nothing_is_lost_and_the_same_comes_again(
        arrivals in arrivals(),
        calls in prop::collection::vec(0.0f64..6.0, 3),
        replicas in 1i64..4,
        breaks in any::<bool>(),
        left in 0i64..4,
        end in 10i64..4_000,
        drain in prop_oneof![Just(0i64), Just(5_000)],
    ) {
        let jobs = [Job::new("a", 3, &[(0, 1), (0, 2)], None), Job::new("b", 1, &[], None)];
        let mut settings = settings(end * SECOND, Service::Exponential);
        settings.drain = drain * SECOND;
        settings.mtbf = breaks.then_some(120 * SECOND);
        // Devices go and come back, while and after the fleet becomes another one.
        let change = |at: i64, units: i64, taken| Change {
            at: at * SECOND,
            pool: 0,
            units,
            usd_per_hour: Decimal::ONE,
            taken,
        };
        settings.changes =
            vec![change(5, 999, Some(0)), change(15, left + 1, None), change(25, left, None), change(400, 1_000, None)];
        let routed = |id: usize| {
            let step = |at: usize| Route { input_s: 0.4, ..route(To::Kind(id), calls[at], 0.3) };
            Rc::new(vec![carried((0..3).map(step).collect()), carried(vec![route(To::Kind(0), 1.0, 2.0)])])
        };
        let placed = |more: i64| vec![(kind(0, &[2.0, 1.5, 1.0]), replicas), (kind(1, &[1.0]), more)];
        let go = || {
            let first = Rc::new(Deployment { placed: placed(0), jobs: routed(0) });
            let then = Rc::new(Deployment { placed: placed(2), jobs: routed(1) });
            let mut policy = Switch { first, then, at: 20 * SECOND };
            simulate(&settings, &jobs, &mut arrivals.iter().cloned().map(Ok), &mut policy).unwrap()
        };
        let outcome = go();
        prop_assert_eq!(&outcome, &go());
        let before = arrivals.iter().filter(|arrival| arrival.at < settings.end).count() as u64;
        prop_assert_eq!(outcome.runs.arrived, before);
        prop_assert_eq!(outcome.runs.done + outcome.runs.in_flight, before);
        let by_job: u64 = outcome.jobs.iter().map(|job| job.runs.arrived).sum();
        let by_epoch: u64 = outcome.epochs.iter().map(|epoch| epoch.done).sum();
        prop_assert_eq!((by_job, by_epoch), (before, outcome.runs.done));
        if !breaks && (end > 3_000 || drain > 0) {
            prop_assert_eq!(outcome.runs.in_flight, 0);
        }
        let by_job: f64 = outcome.jobs.iter().map(|job| job.spent.gpu_hours).sum();
        prop_assert!(by_job <= outcome.spent.gpu_hours + 1e-9);
    }

    /// One more replica never makes calls of one step wait longer in all: first come, first served, with the same arrivals and sizes.
    #[test]
    fn more_replicas_never_wait_longer(arrivals in arrivals(), replicas in 1i64..6) {
        let jobs = [Job::new("a", 1, &[], None), Job::new("b", 1, &[], None)];
        let settings = settings(4_000 * SECOND, Service::Planned);
        let waited = |replicas: i64| {
            let of = carried(vec![Route { input_s: 1.0, ..route(To::Kind(0), 1.0, 0.2) }]);
            let mut policy = fixed(vec![(kind(0, &[1.0]), replicas)], vec![of.clone(), of]);
            let all = &mut arrivals.iter().cloned().map(Ok);
            simulate(&settings, &jobs, all, &mut policy).unwrap().kinds[0].waited_s
        };
        prop_assert!(waited(replicas + 1) <= waited(replicas) + 1e-9);
    }
}
