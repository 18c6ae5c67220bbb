//! A record of the journal <-> its bytes, with a checksum over what it says and where it stands.

use crate::ir::workflow::StepId;
use crate::plan::model::PlanClause;
use crate::run::meter::Usage;
use crate::run::servers::ServerEvent;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Something that a run did. The journal of a run is a list of these, numbered from 0 without a gap.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Record {
    /// A runtime took the run over.
    Opened {
        /// Which one; larger than every earlier one. Whatever an earlier one still writes is refused.
        fence: u64,
        /// Its process.
        pid: u32,
        /// Wall-clock time, for people; nothing is ordered by it.
        at: String,
        /// The compiler that it is part of.
        compiler: String,
    },
    /// A call is about to be made.
    Intent {
        /// The call.
        call: CallId,
        /// Which attempt at it this is, over all runtimes, from 1.
        attempt: u32,
        /// The same for every attempt at this call with this input.
        idempotency: String,
        /// Digest of the arguments.
        input: String,
        /// Seconds since the runtime took over.
        t: f64,
    },
    /// A call is done, and is never made again.
    Result {
        /// The call.
        call: CallId,
        /// Digest of the arguments.
        input: String,
        /// What it gave.
        value: Stored,
        /// What it used.
        usage: Usage,
        /// Seconds that it took.
        wall_s: f64,
        /// Whence it is, where it was not made now.
        source: Source,
        /// Seconds since the runtime took over.
        t: f64,
    },
    /// A call failed, and with it the run.
    Failed {
        /// The call.
        call: CallId,
        /// What went wrong.
        message: String,
        /// Whether nothing was sent of it: its money was refused before.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        unsent: bool,
        /// Seconds since the runtime took over.
        t: f64,
    },
    /// An attempt failed, and another follows.
    Retried {
        /// The step.
        step: StepId,
        /// The attempt that failed, of this runtime's.
        attempt: u32,
        /// What went wrong.
        message: String,
        /// How long the next one waits, seconds.
        #[serde(default)]
        wait_s: f64,
        /// Seconds since the runtime took over.
        t: f64,
    },
    /// Something happened to a model server that the runtime starts: where it was placed, say.
    Server {
        /// What, and to which.
        event: ServerEvent,
        /// Seconds since the runtime took over.
        t: f64,
    },
    /// A call failed for good, and a fallback of the plan carries it out.
    Left {
        /// The call.
        call: CallId,
        /// What failed.
        from: String,
        /// What carries it out.
        to: String,
        /// What went wrong.
        message: String,
        /// Seconds since the runtime took over.
        t: f64,
    },
    /// Money is kept for a request that is about to be made; until it is settled, all of it counts as spent.
    Reserved {
        /// Which reservation of the run.
        id: u64,
        /// Dollars.
        usd: Decimal,
        /// The agent of whose budget it is kept as well, by number.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        agent: Option<u32>,
        /// Seconds since the runtime took over.
        t: f64,
    },
    /// A request is over.
    Settled {
        /// Which reservation.
        id: u64,
        /// What it cost, dollars.
        usd: Decimal,
        /// Seconds since the runtime took over.
        t: f64,
    },
    /// From now on the run goes on under other limits than those of its plan.
    Limits {
        /// Each in place of those on the same figure.
        limits: Vec<PlanClause>,
        /// Seconds since the runtime took over.
        t: f64,
    },
    /// The rest of the run was planned again.
    Adapted {
        /// The steps that are carried out otherwise from now on: a list of steps as in a plan; empty where nothing could be changed.
        steps: Stored,
        /// What is said about it.
        message: String,
        /// Seconds since the runtime took over.
        t: f64,
    },
    /// The runtime gave up the run, which can be resumed.
    Paused {
        /// Whether somebody stopped it; it failed otherwise.
        stopped: bool,
        /// What is said about it.
        message: String,
        /// Money of all calls so far, dollars, where it is known.
        cost_usd: Option<f64>,
        /// Seconds since the runtime took over.
        t: f64,
    },
    /// The answer. At most one in a run.
    Answer {
        /// It.
        value: Stored,
        /// Money of all calls, dollars, where it is known.
        cost_usd: Option<f64>,
        /// Seconds since the runtime took over.
        t: f64,
    },
}

/// One call of a step: where in the data flow it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CallId {
    /// Items of maps and rounds of loops around it, then the value that it defines: `m4[7]/v2`.
    pub path: String,
    /// The step.
    pub step: StepId,
    /// Its folder's number among those of its step.
    pub number: u64,
}

/// A value in the journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stored {
    /// As it is.
    Inline(Value),
    /// In the store of values, under its digest.
    Blob(String),
}

/// Whence a result is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The call was made.
    Made,
    /// Another run had made the same call.
    Cached,
    /// The call had been made and the journal had lost it; its folder had not.
    Recovered,
}

impl Record {
    /// Seconds since the runtime took over.
    pub fn t(&self) -> f64 {
        match self {
            Record::Opened { .. } => 0.0,
            Record::Intent { t, .. }
            | Record::Result { t, .. }
            | Record::Failed { t, .. }
            | Record::Retried { t, .. }
            | Record::Server { t, .. }
            | Record::Left { t, .. }
            | Record::Reserved { t, .. }
            | Record::Settled { t, .. }
            | Record::Limits { t, .. }
            | Record::Adapted { t, .. }
            | Record::Paused { t, .. }
            | Record::Answer { t, .. } => *t,
        }
    }

    /// The value that it holds.
    pub fn stored(&self) -> Option<&Stored> {
        match self {
            Record::Result { value, .. } | Record::Answer { value, .. } | Record::Adapted { steps: value, .. } => {
                Some(value)
            }
            _ => None,
        }
    }

    /// The same, to be changed.
    pub fn stored_mut(&mut self) -> Option<&mut Stored> {
        match self {
            Record::Result { value, .. } | Record::Answer { value, .. } | Record::Adapted { steps: value, .. } => {
                Some(value)
            }
            _ => None,
        }
    }

    /// The call that it is about.
    pub fn call(&self) -> Option<&CallId> {
        match self {
            Record::Intent { call, .. }
            | Record::Result { call, .. }
            | Record::Failed { call, .. }
            | Record::Left { call, .. } => Some(call),
            _ => None,
        }
    }
}

/// The checksum of what stands at a place: bytes that wander to another place do not fit there.
pub fn checksum(run: u64, place: u64, body: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&run.to_le_bytes());
    crc.update(&place.to_le_bytes());
    crc.update(body);
    crc.finalize()
}

/// The bytes of a record.
pub fn encode(record: &Record) -> Result<Vec<u8>, String> {
    serde_json::to_vec(record).map_err(|e| e.to_string())
}

/// The record behind bytes, if they are those that were written at this place.
pub fn decode(run: u64, place: u64, body: &[u8], crc: u32) -> Result<Record, String> {
    if checksum(run, place, body) != crc {
        return Err("its checksum does not fit".to_owned());
    }
    serde_json::from_slice(body).map_err(|e| format!("it cannot be read: {e}"))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            ".{0,12}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 16, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[a-z]{1,4}", inner, 0..4)
                    .prop_map(|m| Value::Object(m.into_iter().collect())),
            ]
        })
    }

    /// Any record of one of few calls.
    pub fn records() -> impl Strategy<Value = Record> {
        let call = (0..4_u64).prop_map(|n| CallId { path: format!("m1[{n}]/v2"), step: StepId(0), number: n });
        let t = 0.0..1e6_f64;
        prop_oneof![
            (call.clone(), 1..4_u32, t.clone()).prop_map(|(call, attempt, t)| Record::Intent {
                idempotency: format!("k{}", call.number),
                input: "i".into(),
                call,
                attempt,
                t
            }),
            (call.clone(), json(), t.clone()).prop_map(|(call, value, t)| Record::Result {
                call,
                input: "i".into(),
                value: Stored::Inline(value),
                usage: Usage::default(),
                wall_s: t / 2.0,
                source: Source::Made,
                t
            }),
            (call.clone(), ".{0,20}", any::<bool>(), t.clone()).prop_map(|(call, message, unsent, t)| Record::Failed {
                call,
                message,
                unsent,
                t
            }),
            (call, "[a-c]", ".{0,20}", t.clone()).prop_map(|(call, to, message, t)| Record::Left {
                call,
                from: "first".into(),
                to,
                message,
                t
            }),
            (0..4_u64, 0..99_i64, proptest::option::of(0..2_u32), t.clone())
                .prop_map(|(id, n, agent, t)| { Record::Reserved { id, usd: Decimal::new(n, 2), agent, t } }),
            (0..4_u64, 0..99_i64, t.clone()).prop_map(|(id, n, t)| Record::Settled { id, usd: Decimal::new(n, 2), t }),
            (any::<bool>(), ".{0,20}", t).prop_map(|(stopped, message, t)| Record::Paused {
                stopped,
                message,
                cost_usd: Some(t),
                t
            }),
        ]
    }

    proptest! {
        #[test]
        fn what_is_written_is_what_is_read(record in records(), run in 1..9_u64, place in 0..9_u64) {
            let body = encode(&record).expect("bytes");
            let crc = checksum(run, place, &body);
            prop_assert_eq!(decode(run, place, &body, crc), Ok(record));
            prop_assert!(decode(run, place + 1, &body, crc).is_err());
            prop_assert!(decode(run + 1, place, &body, crc).is_err());
        }

        #[test]
        fn no_flipped_bit_goes_unseen(record in records(), at in any::<prop::sample::Index>(), bit in 0..8_u8) {
            let mut body = encode(&record).expect("bytes");
            let crc = checksum(1, 0, &body);
            let at = at.index(body.len());
            body[at] ^= 1 << bit;
            prop_assert!(decode(1, 0, &body, crc).is_err());
        }
    }
}
