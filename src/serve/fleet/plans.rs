//! A workflow that is to be deployed or taken down → the joint plan of all that are left, or who clashes and what would let them fit.
//!
//! Admission is a proof: for the rates that the workflows were admitted for (or those planned now, where these are higher) a joint plan of
//! all of them exists on the machines that there are. What is put in force then is the plan for the rates of now, changed as little as pays.

use super::{Fleet, InForce, said};
use crate::adapt::epochs::{Cause, Now, left, replan};
use crate::check::select;
use crate::compile::{Checked, Compiled};
use crate::diag::Diagnostics;
use crate::fleet::join::{Unjoined, join};
use crate::fleet::member::{Wanted, member};
use crate::fleet::model::JointPlan;
use crate::fleet::paces::Paces;
use crate::fleet::refuse::explain;
use crate::fleet::translate::{Member, Settings, Translated};
use crate::serve::Service;
use crate::serve::api::deployed::{Deployment, Replanned};
use crate::serve::api::refusal::Refusal;
use crate::serve::deploy::Workflow;
use crate::serve::tenants::Tenant;
use crate::solve::joint::Limits;
use crate::space::{Machines, Usable};
use rust_decimal::Decimal;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The word for workflows that do not fit together.
const CLASH: &str = "does_not_fit";
/// What another tenant's workflow is called in a refusal.
const HIDDEN: &str = "another tenant's workflow";

/// A workflow and the runs a second that are planned for.
pub type AtRate = (Arc<Workflow>, Decimal);

/// What workflows are planned again for, beside their rates.
pub struct Case<'a> {
    /// The plan in force.
    pub force: &'a InForce,
    /// The machines, as they were when the causes were seen: what happens to them meanwhile is a cause of its own.
    pub machines: &'a Machines,
    /// The times that were measured.
    pub paces: &'a Paces,
    /// Why.
    pub causes: Vec<Cause>,
    /// How the rates were foreseen.
    pub foreseen: said::Foreseen,
}

impl Fleet {
    /// Deploys a workflow where all fit together; whether it is new. Takes processor time.
    pub fn deploy(
        &self,
        service: &Service,
        tenant: &Tenant,
        deployment: Deployment,
    ) -> Result<(bool, Arc<Workflow>), Refusal> {
        let workflow = Arc::new(Workflow::of(&service.planner, &tenant.name, deployment)?);
        let _one = self.changing();
        let mut all = self.state().workflows.clone();
        let name = &workflow.ordered.name;
        if let Some(there) = all.get(&workflow.key) {
            if there.is_draining() {
                let message = format!("`{name}` is being taken down, and still has runs");
                return Err(Refusal::conflict("draining", message).help("deploy it again when it is gone"));
            }
            if there.ordered.is_again(&workflow.ordered) {
                return Ok((false, there.clone()));
            }
            let message = format!("another workflow `{name}` is deployed, or the same one for another rate");
            return Err(Refusal::conflict("other_workflow", message).help("give another name, or take that one down"));
        }
        all.insert(workflow.key.clone(), workflow.clone());
        let came = Cause::Jobs { came: vec![workflow.key.clone()], went: Vec::new() };
        let (joint, said) = self.admitted(service, &all, &tenant.name, came)?;
        self.enact(service, all, (Some(joint), self.paces()), said)?;
        Ok((true, workflow))
    }

    /// The plan with a workflow that came, if there is one for the rates of admission.
    fn admitted(
        &self,
        service: &Service,
        all: &BTreeMap<String, Arc<Workflow>>,
        tenant: &str,
        came: Cause,
    ) -> Result<(JointPlan, Replanned), Refusal> {
        let force = self.in_force();
        let machines = self.look(&service.planner).map_err(|why| Refusal::invalid("no_cluster", why))?;
        let usable = service.planner.usable();
        let now = at_rates(all, force.as_deref());
        let proof: Vec<AtRate> = now.iter().map(|(w, rate)| (w.clone(), w.ordered.rate.max(*rate))).collect();
        let checked = at_paces(&proof, &self.paces());
        let mut members = members(&proof, &checked, &machines, &usable)?;
        let (began, limit) = (Instant::now(), self.terms.limit);
        let out_of_time = move || began.elapsed() >= limit;
        let limits = Limits { rounds: u64::MAX, out_of_time: Some(&out_of_time), ..Limits::default() };
        // What each costs alone is only for people.
        let late = move |_: usize| began.elapsed() >= limit * 2;
        let joined = match join(&members, &machines, &self.settings(force.as_deref()), &limits, &late) {
            Ok(joined) => joined,
            Err(Unjoined::Unknown(why) | Unjoined::Open(_, why)) => return Err(Refusal::invalid("no_plan", why)),
            Err(Unjoined::Refused(translated)) => {
                return Err(clash(members, &proof, *translated, &machines, tenant, limit));
            }
        };
        let Some(force) = force else {
            let said = said::first("first", &[came], &joined);
            return Ok((joined, said));
        };
        members.iter_mut().zip(&now).for_each(|(member, (_, rate))| member.rate = *rate);
        let (began, causes) = (Instant::now(), vec![came]);
        let out_of_time = move || began.elapsed() >= limit;
        let limits = Limits { out_of_time: Some(&out_of_time), ..limits };
        let running = force.joint.running();
        let late = move |_: usize| began.elapsed() >= limit * 2;
        let now = Now { members: &members, machines: &machines, running: &running, late: &late };
        Ok(match replan(&force.joint, &now, causes.clone(), &self.terms.policy, &limits) {
            Ok(again) => {
                let said = said::again(&again, said::Foreseen::new());
                (again.plan, said)
            }
            // What holds at higher rates holds at these.
            Err(_) => {
                let said = said::first("changed", &causes, &joined);
                (joined, said)
            }
        })
    }

    /// Takes a workflow down: it takes no more runs, and is gone once those that it has are carried out. Whether it is gone.
    pub fn take_down(&self, service: &Service, workflow: &Workflow) -> Result<bool, Refusal> {
        let _one = self.changing();
        workflow.drain();
        let state = self.state();
        let force = (state.force.as_deref(), &state.paces);
        let kept = super::Kept::of(state.number, &state.workflows, force, &state.replans);
        drop(state);
        kept.write(&service.store)?;
        self.swept(service)?;
        Ok(!self.state().workflows.contains_key(&workflow.key))
    }

    /// Removes workflows that are taken down and have no runs any more.
    pub(super) fn sweep(&self, service: &Service) -> Result<(), Refusal> {
        let _one = self.changing();
        self.swept(service)
    }

    fn swept(&self, service: &Service) -> Result<(), Refusal> {
        let mut all = self.state().workflows.clone();
        let mut went = Vec::new();
        for workflow in all.values().filter(|workflow| workflow.is_draining()) {
            if service.store.open_of(&workflow.key, workflow.ordered.deployed_ms)? == 0 {
                went.push(workflow.key.clone());
            }
        }
        if went.is_empty() {
            return Ok(());
        }
        went.iter().for_each(|key| drop(all.remove(key)));
        let causes = vec![Cause::Jobs { came: Vec::new(), went }];
        let Some(force) = self.in_force().filter(|_| !all.is_empty()) else {
            let said = said::none("emptied", &causes, said::Foreseen::new(), None, None);
            return self.enact(service, all, (None, self.paces()), said);
        };
        let rates = at_rates(&all, Some(&force));
        let machines = self.look(&service.planner).map_err(|why| Refusal::invalid("no_cluster", why))?;
        let (paces, foreseen) = (&self.paces(), said::Foreseen::new());
        let case = Case { force: &force, machines: &machines, paces, causes: causes.clone(), foreseen };
        let (joint, said) = match self.again(service, &case, &rates) {
            Ok(planned) => planned,
            // The plan in force carries out all that are left, and more.
            Err(why) => {
                let why = Some(why.message().to_owned());
                let said = said::none("refused", &causes, said::Foreseen::new(), Some(&force.joint), why);
                (force.joint.clone(), said)
            }
        };
        self.enact(service, all, (Some(joint), self.paces()), said)
    }

    /// Plans the workflows again for these rates, or, where they do not fit at them, for the largest share of them that does.
    pub(super) fn again(
        &self,
        service: &Service,
        case: &Case,
        rates: &[AtRate],
    ) -> Result<(JointPlan, Replanned), Refusal> {
        let limit = self.terms.limit_again;
        let why = match self.tried(service, case, rates, limit, true) {
            Err(why) if matches!(why.code(), CLASH | "no_plan") => why,
            other => return other,
        };
        // In hundredths: what fits at some rates fits at lower ones.
        let (mut fits, mut clashes, mut best) = (0, 100, None);
        while clashes - fits > 1 {
            let share = (fits + clashes) / 2;
            let part = |(workflow, rate): &AtRate| (workflow.clone(), *rate * Decimal::new(share, 2));
            let part: Vec<AtRate> = rates.iter().map(part).collect();
            match self.tried(service, case, &part, limit / 4, false) {
                Ok(planned) => (fits, best) = (share, Some(planned)),
                Err(_) => clashes = share,
            }
        }
        let Some((joint, said)) = best else { return Err(why) };
        let (message, help) = (why.message(), why.hint().unwrap_or_default());
        let broken = format!("{message}; this plan is for {fits} % of what is foreseen, and more has to wait\n{help}");
        Ok((joint, Replanned { broken: Some(broken), ..said }))
    }

    /// Plans the workflows again, at these rates. Where they do not fit, it takes a while to find out why: only where it is to be
    /// `explained`.
    fn tried(
        &self,
        service: &Service,
        case: &Case,
        rates: &[AtRate],
        limit: Duration,
        explained: bool,
    ) -> Result<(JointPlan, Replanned), Refusal> {
        let Case { force, machines, paces, causes, foreseen } = case;
        let usable = service.planner.usable();
        let checked = at_paces(rates, paces);
        let members = members(rates, &checked, machines, &usable)?;
        let began = Instant::now();
        let out_of_time = move || began.elapsed() >= limit;
        let limits = Limits { rounds: u64::MAX, out_of_time: Some(&out_of_time), ..Limits::default() };
        let running = left(&force.joint, machines);
        // As for a first plan: the time to plan once more.
        let late = move |_: usize| began.elapsed() >= limit * 2;
        let now = Now { members: &members, machines, running: &running, late: &late };
        match replan(&force.joint, &now, causes.clone(), &self.terms.policy, &limits) {
            Ok(again) => {
                let mut said = said::again(&again, foreseen.clone());
                said::lost(&mut said, &force.joint.running(), &running);
                Ok((again.plan, said))
            }
            Err(Unjoined::Unknown(why) | Unjoined::Open(_, why)) => Err(Refusal::invalid("no_plan", why)),
            Err(Unjoined::Refused(_)) if !explained => Err(Refusal::conflict(CLASH, "the workflows do not fit")),
            Err(Unjoined::Refused(translated)) => Err(refused(&members, &translated, machines, limit / 2)),
        }
    }

    /// The first plan of workflows that an earlier server had, where its own does not hold any more.
    pub(super) fn afresh(&self, service: &Service, rates: &[AtRate], paces: &Paces) -> Result<JointPlan, Refusal> {
        let machines = self.look(&service.planner).map_err(|why| Refusal::invalid("no_cluster", why))?;
        let usable = service.planner.usable();
        let checked = at_paces(rates, paces);
        let members = members(rates, &checked, &machines, &usable)?;
        let (began, limit) = (Instant::now(), self.terms.limit);
        let out_of_time = move || began.elapsed() >= limit;
        let limits = Limits { rounds: u64::MAX, out_of_time: Some(&out_of_time), ..Limits::default() };
        // What each costs alone is only for people.
        let late = move |_: usize| began.elapsed() >= limit * 2;
        match join(&members, &machines, &self.settings(None), &limits, &late) {
            Ok(joined) => Ok(joined),
            Err(Unjoined::Unknown(why) | Unjoined::Open(_, why)) => Err(Refusal::invalid("no_plan", why)),
            Err(Unjoined::Refused(translated)) => Err(refused(&members, &translated, &machines, limit)),
        }
    }

    fn settings(&self, force: Option<&InForce>) -> Settings {
        let running = force.map(|force| force.joint.running()).unwrap_or_default();
        Settings { utilisation: self.terms.utilisation, switching: self.terms.policy.switching(), running }
    }
}

/// Workflows at the rates that the plan in force provides for, in the order in which they came; a new one at its own.
pub fn at_rates(all: &BTreeMap<String, Arc<Workflow>>, force: Option<&InForce>) -> Vec<AtRate> {
    let planned = |workflow: &Workflow| force.and_then(|force| force.job(&workflow.key)).map(|job| job.rate);
    let at = |workflow: &Arc<Workflow>| (workflow.clone(), planned(workflow).unwrap_or(workflow.ordered.rate));
    let mut all: Vec<AtRate> = all.values().map(at).collect();
    all.sort_by_key(|(workflow, _)| workflow.ordered.deployed_ms);
    all
}

/// The sources of workflows, checked, with the times that were measured; none where there are no such times.
fn at_paces(rates: &[AtRate], paces: &Paces) -> Vec<Option<Checked>> {
    let made = |(workflow, _): &AtRate| {
        let Checked { tree, library, program } = &workflow.opened.checked;
        let paced = || Checked { tree: tree.clone(), library: paces.with(library).into(), program: program.clone() };
        (!paces.is_empty()).then(paced)
    };
    rates.iter().map(made).collect()
}

/// The members of a fleet that workflows are, by their keys.
fn members<'a>(
    rates: &'a [AtRate],
    at_paces: &'a [Option<Checked>],
    machines: &'a Machines,
    usable: &'a Usable<'a>,
) -> Result<Vec<Member<'a>>, Refusal> {
    let made = |((workflow, rate), at_pace): (&'a AtRate, &'a Option<Checked>)| {
        let opened = &workflow.opened;
        let (texts, checked) = (&opened.texts, at_pace.as_ref().unwrap_or(&opened.checked));
        let compiled = Compiled { texts, file: opened.file, checked, lock: opened.lock.as_deref() };
        let job =
            select(&checked.program, Some(&workflow.ordered.job)).map_err(|why| Refusal::invalid("no_job", why))?;
        let (mut cx, rate) = (Diagnostics::default(), *rate);
        let wanted = Wanted { file: format!("{}.mkb", workflow.key), compiled, job: job.clone(), rate };
        match member(wanted, machines, usable, None, &mut cx) {
            Ok(mut made) => {
                // Two workflows may be of the same job.
                made.prepared.job.name = workflow.key.as_str().into();
                Ok(made)
            }
            Err(_) if cx.has_errors() => Err(Refusal::diagnosed(&cx, &texts.sources)),
            Err(why) => Err(Refusal::invalid("no_plan", why)),
        }
    };
    rates.iter().zip(at_paces).map(made).collect()
}

/// Why workflows do not fit, and what would let them: as `mkbc plan a b` says it.
fn refused(members: &[Member], translated: &Translated, machines: &Machines, limit: Duration) -> Refusal {
    let began = Instant::now();
    let late = move || began.elapsed() >= limit;
    let (_, diagnostic) = explain(members, translated, &machines.name, &late);
    let refusal = Refusal::conflict(CLASH, diagnostic.message);
    match diagnostic.help {
        Some(help) => refusal.help(help),
        None => refusal,
    }
}

/// The same for somebody who does not see what other tenants have.
fn clash(
    mut members: Vec<Member>,
    rates: &[AtRate],
    mut translated: Translated,
    machines: &Machines,
    tenant: &str,
    limit: Duration,
) -> Refusal {
    let others: Vec<usize> = (0..rates.len()).filter(|at| rates[*at].0.ordered.tenant != tenant).collect();
    for at in others {
        members[at].file = (at + 1).to_string();
        translated.fleet.jobs[at].name = HIDDEN.to_owned();
    }
    let refusal = refused(&members, &translated, machines, limit);
    // Another's limits are not for sale.
    let shown = refusal.hint().map(|help| {
        let foreign = |line: &&str| line.starts_with("    ") && line.contains(HIDDEN);
        help.lines().filter(|line| !foreign(line)).collect::<Vec<_>>().join("\n")
    });
    match shown {
        Some(help) => refusal.help(help),
        None => refusal,
    }
}
