//! A fleet -> a certificate of its bound, from the prices of the relaxation at its root.

use super::super::master::{Effort, Master};
use super::super::menu::{Menu, menu};
use super::super::problem::faults;
use super::super::{Limits as Joint, Search, problem::Fleet};
use super::{Certificate, Least, MOST_PRICE, Rounded, verify};
use crate::solve::outcome::{NATIVE, Outcome, Status};
use crate::solve::{Certify, Limits, proof, solve};

/// A certificate, what it proves, and who refuted that the jobs cost less.
pub struct Certified {
    /// The certificate.
    pub certificate: Certificate,
    /// No plan costs less, in micro-dollars an hour.
    pub bound: i128,
    /// `native`, or z3 with its version where it refuted it for every job.
    pub by: String,
}

/// A certificate that a fleet costs as much as the relaxation at the root of the search says, of which a plan for `cost` is known; `None` where there
/// is no relaxation, or what a job costs at its prices is not proved within the limits.
pub fn certify(fleet: &Fleet, cost: i128, limits: &Joint, of_jobs: &Limits) -> Option<Certified> {
    faults(fleet).ok()?;
    let menus: Vec<Menu> = fleet.jobs.iter().map(menu).collect::<Option<_>>()?;
    let late = || limits.out_of_time.is_some_and(|clock| clock());
    let search = Search { fleet, menus: &menus, late: &late, rounds: limits.rounds, any: false, enough: 0 };
    let mut root = search.root();
    let ceiling = search.ceiling(&root);
    let mut master = Master::new(fleet, &menus, &root, ceiling);
    if !master.impossible.is_empty() {
        return None;
    }
    master.bound(&mut root, cost.min(ceiling), Effort::Root, &late, &mut |_, _, _| ());
    let lagrange = master.lagrange()?;
    let cuts = lagrange.cuts.iter().filter(|cut| cut.1 > 0).map(|(cut, price)| {
        let place = |(&(job, place), &load): (&(u32, u32), &i64)| {
            (job as usize, menus[job as usize].order[place as usize], load)
        };
        let mut set: Vec<(usize, usize, i64)> = cut.set().iter().map(place).collect();
        set.sort_unstable();
        Rounded { kind: cut.kind, price: (*price).min(MOST_PRICE), set }
    });
    // Less than the relaxation says is a weaker bound and still one.
    let capped = |prices: &[i64]| prices.iter().map(|&price| price.min(MOST_PRICE)).collect();
    let mut certificate = Certificate {
        shift: lagrange.shift,
        load: capped(&lagrange.load),
        cuts: cuts.collect(),
        pools: capped(&lagrange.pools),
        jobs: Vec::new(),
    };
    let mut by: Option<String> = None;
    for job in 0..fleet.jobs.len() {
        let priced = certificate.priced(fleet, job)?;
        let Outcome::Solved(solution) = solve(&priced.problem, of_jobs) else { return None };
        if solution.proof.status != Status::Optimal {
            return None;
        }
        let native = Limits { certify: Certify::Off, ..*of_jobs };
        let refutation = proof::certify(&priced.problem, &solution, &native)?;
        certificate.jobs.push(Least { cost: solution.values[0], refutation });
        // One job that z3 did not agree on leaves the native search as the one who says it of all.
        let name = solution.proof.by;
        by = Some(by.filter(|by| *by != name).map_or(name, |_| NATIVE.to_owned()));
    }
    let bound = verify(fleet, &certificate).ok()?;
    Some(Certified { certificate, bound, by: by.unwrap_or_else(|| NATIVE.to_owned()) })
}
