//! A request that costs money -> the right to make it: kept in the budget and in the journal before, settled in both after.

use super::Call;
use crate::run::budget::Reservation;
use crate::run::fault::Fault;
use crate::run::journal::recorder::Recorder;
use rust_decimal::Decimal;

/// Money that is kept for a request. One that is dropped costs all of it, in this runtime and in every later one.
pub struct Paid<'a> {
    held: Reservation<'a>,
    journal: Option<(&'a Recorder, u64)>,
}

impl<'a> Paid<'a> {
    /// Keeps what a request can cost at most, or what is left where that is `least` or more.
    pub async fn reserve(call: &'a Call<'_>, least: Decimal, most: Decimal) -> Result<Paid<'a>, Fault> {
        let held = call.shared.budget.reserve_for(call.step, least, most).await?;
        let journal = match call.cx.recorder {
            Some(recorder) => {
                let agent = call.step.agent.as_ref().map(|agent| agent.number);
                Some((recorder, recorder.reserved(held.usd, agent).await?))
            }
            None => None,
        };
        Ok(Paid { held, journal })
    }

    /// How much, in dollars.
    pub fn usd(&self) -> Decimal {
        self.held.usd
    }

    /// The request is over and cost this much; all that was kept where that is not known or cannot be. Returns what is counted.
    pub fn settle(self, cost: Option<Decimal>) -> Decimal {
        let cost = self.held.settle(cost);
        if let Some((recorder, id)) = self.journal {
            recorder.settled(id, cost);
        }
        cost
    }
}
