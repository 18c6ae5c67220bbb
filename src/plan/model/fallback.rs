//! What takes a step's place where its choice fails for good.

use super::{Engine, Evidence, Hardware, PlanStep, Predicted};
use crate::space::Candidate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Another way to carry a step out, with everything else as it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Fallback {
    /// The model or tool.
    pub implementation: String,
    /// What it is called where people must not take it for more than it is.
    pub label: Option<String>,
    /// The knobs' values, as text.
    pub knobs: BTreeMap<String, String>,
    /// The hardware.
    pub hardware: Hardware,
    /// How it is executed.
    pub engine: Engine,
    /// Predicted figures for all calls of the step in one run.
    pub predicted: Predicted,
    /// What the figures rest on, weakest first.
    pub evidence: Vec<Evidence>,
}

impl PlanStep {
    /// The candidate that carries it out.
    pub fn candidate(&self) -> Candidate {
        Candidate {
            task: self.task.as_str().into(),
            implementation: self.implementation.as_str().into(),
            knobs: self.knobs.iter().map(|(name, value)| (name.as_str().into(), value.as_str().into())).collect(),
            device: self.hardware.device.as_str().into(),
            units: self.hardware.units,
            class: 0,
        }
    }

    /// The step, carried out by one of its fallbacks.
    pub fn standing_in(&self, by: &Fallback) -> PlanStep {
        let Fallback { implementation, label, knobs, hardware, engine, predicted, evidence } = by.clone();
        let fallbacks = Vec::new();
        PlanStep { implementation, label, knobs, hardware, engine, predicted, evidence, fallbacks, ..self.clone() }
    }
}

impl Engine {
    /// What fails together: one account at one address of a provider; else the implementation by itself.
    pub fn account(&self, implementation: &str) -> String {
        match self.provider() {
            Some(p) => format!("{} {} {}", p.url_env, p.url, p.key_env),
            None => implementation.to_owned(),
        }
    }
}
