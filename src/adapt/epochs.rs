//! A joint plan in force + what is seen of its fleet → whether to plan again, and the plan to go on with.
//!
//! [`Watch`] says when: an epoch is over, a load or a service time has left the room that the plan has, devices were lost or came, a
//! price moved. [`replan`] says how: the joint problem is solved anew with what runs as the running replicas, so that starting and
//! loading others costs, and a plan that saves less than a change is worth is not taken. Both are pure: clocks, measurements
//! and forecasts are handed in, so that a service and a simulation of it decide alike.

mod render;
mod replan;
mod today;
mod watch;

pub use self::replan::{Now, left, replan};
pub use self::watch::{Seen, Watch, devices};

use crate::fleet::instance::Instance;
use crate::fleet::model::{JointPlan, Switching};
use rust_decimal::{Decimal, dec};
use serde::Serialize;

/// How many looks at a plan there are in an epoch, and how many of the windows over which rates are measured.
pub const LOOKS: u32 = 120;
/// See [`LOOKS`].
pub const WINDOWS: u32 = 6;

/// What decides when a fleet is planned again, and which change is worth it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Seconds from one plan to the next where nothing happens.
    pub epoch_s: u32,
    /// Seconds for which a new plan is left alone, unless it does not fit the devices any more.
    pub rest_s: u32,
    /// Drift counts once it was seen so often in a row.
    pub looks: u32,
    /// The share by which an instance may be busier than the plan allows before that is drift.
    pub over: Decimal,
    /// The share by which calls may take longer than planned, or the plan longer than they do, before that is drift.
    pub pace: Decimal,
    /// The share of what the replicas cost that may be idle before that is drift.
    pub idle: Decimal,
    /// The share by which a price must move to count.
    pub price: Decimal,
    /// The share of what the fleet costs that a change must save.
    pub worth: Decimal,
    /// Seconds until devices for a replica are there.
    pub start_s: Decimal,
    /// Seconds that a replica is still paid for while it is drained.
    pub stop_s: Decimal,
    /// Gigabytes of a model that are loaded in a second; zero: loading is in `start_s`.
    pub load_gb_per_s: Decimal,
}

impl Default for Policy {
    /// Epochs of an hour, which the paper found best with those of up to three; replicas that serve after a minute and after
    /// loading at 2 GB/s.
    fn default() -> Self {
        Policy {
            epoch_s: 3600,
            rest_s: 600,
            looks: 3,
            over: dec!(0.05),
            pace: dec!(0.25),
            idle: dec!(0.5),
            price: dec!(0.05),
            worth: dec!(0.02),
            start_s: dec!(60),
            stop_s: dec!(30),
            load_gb_per_s: dec!(2),
        }
    }
}

impl Policy {
    /// For epochs of so many seconds. In shorter ones than usual what is switched is tools and small models, which are there sooner: the same
    /// share of it.
    pub fn every(epoch_s: u32) -> Policy {
        let usual = Policy::default();
        let part = (Decimal::from(epoch_s) / Decimal::from(usual.epoch_s)).min(Decimal::ONE);
        let (start_s, stop_s) = (usual.start_s * part, usual.stop_s * part);
        Policy { epoch_s, rest_s: epoch_s / WINDOWS, start_s, stop_s, ..usual }
    }

    /// What switching costs in the objective: seconds that are paid for without work, spread over an epoch.
    pub fn switching(&self) -> Switching {
        let epoch = Decimal::from(self.epoch_s.max(1));
        let share = |seconds: Decimal| (seconds / epoch).round_dp(9);
        let per_gb = if self.load_gb_per_s > Decimal::ZERO { Decimal::ONE / self.load_gb_per_s } else { Decimal::ZERO };
        Switching { start: share(self.start_s), stop: share(self.stop_s).min(Decimal::ONE), per_gb: share(per_gb) }
    }
}

/// How busy an instance would be, as shares of its replicas' time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Busy {
    /// The instance, for people.
    pub instance: String,
    /// What is seen.
    pub is: Decimal,
    /// What the plan allows.
    pub may: Decimal,
}

/// Why a fleet is planned again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "cause", rename_all = "snake_case")]
pub enum Cause {
    /// An epoch is over.
    Schedule,
    /// A job runs more often than the plan has room for.
    Rate {
        /// The job.
        job: String,
        /// Runs a second that it was planned for.
        planned: Decimal,
        /// Runs a second that are seen.
        measured: Decimal,
        /// The instance that has no room left; none where the plan has nothing for the job.
        busy: Option<Busy>,
    },
    /// Calls take longer than planned, or less.
    Pace {
        /// Those of this instance.
        instance: Instance,
        /// How many times as long.
        times: Decimal,
        /// How busy it would be, where the plan has no room for that.
        busy: Option<Busy>,
    },
    /// Replicas stand idle.
    Idle {
        /// What they cost by the hour.
        usd_per_hour: Decimal,
        /// What all cost.
        of: Decimal,
    },
    /// Devices that the plan holds are gone.
    Lost {
        /// Which.
        device: String,
        /// How many there were.
        had: u32,
        /// How many there are.
        has: u32,
    },
    /// There are more devices.
    Gained {
        /// Which.
        device: String,
        /// How many there were.
        had: u32,
        /// How many there are.
        has: u32,
    },
    /// A device has another price.
    Price {
        /// Which.
        device: String,
        /// Dollars an hour that it was planned with.
        was: Decimal,
        /// Dollars an hour that it costs.
        is: Decimal,
    },
    /// Jobs came or went: nothing that is watched, but said by who admits them.
    Jobs {
        /// Jobs that are new.
        came: Vec<String>,
        /// Jobs that are gone.
        went: Vec<String>,
    },
}

impl Cause {
    /// Whether it is nothing but replicas that have nothing to do.
    pub fn is_idle(&self) -> bool {
        matches!(self, Cause::Idle { .. })
    }

    /// Whether the plan cannot be left alone for a while: it holds what is no longer there.
    pub fn urgent(&self) -> bool {
        matches!(self, Cause::Lost { .. })
    }
}

/// How far a plan differs from the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Not at all.
    Kept,
    /// In numbers of replicas.
    Scaled,
    /// In what carries out some step.
    Changed,
}

/// One difference from the plan before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "change", rename_all = "snake_case")]
pub enum Change {
    /// Replicas are started or stopped.
    Replicas {
        /// The instance, for people.
        instance: String,
        /// How many run.
        from: i64,
        /// How many are to run.
        to: i64,
    },
    /// A step is carried out otherwise.
    Step {
        /// The job.
        job: String,
        /// The step.
        step: String,
        /// What carried it out.
        from: String,
        /// What is to carry it out.
        to: String,
    },
}

/// What a change saves, in dollars an hour at the loads and prices of now; what switching costs is in it, spread over the epoch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Saves {
    /// What going on with the plan before costs; none where it does not hold any more.
    pub going_on: Option<Decimal>,
    /// Why it does not hold.
    pub broken: Option<String>,
    /// What the cheapest plan that was found costs, whether it is taken or not.
    pub cheapest: Decimal,
    /// What the plan that is taken costs.
    pub taken: Decimal,
    /// What of that is for switching.
    pub switching: Decimal,
}

impl Saves {
    /// What taking the plan saves against going on; none where going on is no choice.
    pub fn usd_per_hour(&self) -> Option<Decimal> {
        self.going_on.map(|going_on| going_on - self.taken)
    }

    /// That going on is no choice, and why.
    pub fn no_going_on(&self) -> Option<String> {
        self.broken.as_ref().map(|why| format!("going on as before does not hold: {why}"))
    }
}

/// A plan that was made again: why, what it changes and what that saves.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Replan {
    /// Why.
    pub causes: Vec<Cause>,
    /// How far it differs from the plan before.
    pub verdict: Verdict,
    /// In what.
    pub changes: Vec<Change>,
    /// What that saves.
    pub saves: Saves,
    /// The plan to go on with, for the loads, devices and prices of now.
    pub plan: JointPlan,
}
