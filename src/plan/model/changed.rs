//! A plan and what was changed of it after it was made → the plan as it is carried out.

use super::{Plan, PlanClause, PlanStep};

impl Plan {
    /// The same, with these of its steps carried out otherwise. Its totals stay those that were planned.
    pub fn with_steps(mut self, steps: &[PlanStep]) -> Plan {
        for step in steps {
            let place = self.steps.iter_mut().find(|s| s.id == step.id);
            place.into_iter().for_each(|place| *place = step.clone());
        }
        self
    }

    /// The same under other limits: each takes the place of those on the same figure.
    pub fn with_limits(mut self, limits: &[PlanClause]) -> Plan {
        for limit in limits {
            self.clauses.retain(|clause| clause.soft || clause.metric != limit.metric);
            self.clauses.push(limit.clone());
            self.beside.push(limit.text.clone());
        }
        self
    }
}
