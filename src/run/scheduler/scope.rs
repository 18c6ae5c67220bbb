//! Values by id, while a region runs.

use crate::ir::workflow::{Operand, ValueId};
use crate::run::fault::Fault;
use crate::run::value::held::Held;
use serde_json::Value;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Values by id; what is not here is looked up further out.
#[derive(Default)]
pub struct Scope<'a> {
    /// Items of maps and rounds of loops around it: `m4[7]/`.
    pub path: String,
    values: RefCell<BTreeMap<ValueId, Held>>,
    outer: Option<&'a Scope<'a>>,
}

impl<'a> Scope<'a> {
    /// A scope in another.
    pub fn inside(outer: &'a Scope<'a>) -> Scope<'a> {
        Scope { path: outer.path.clone(), values: RefCell::default(), outer: Some(outer) }
    }

    /// The scope of one item of a map (`m`) or round of a loop (`r`), that defines a value.
    pub fn repeated(outer: &'a Scope<'a>, kind: char, of: ValueId, index: usize) -> Scope<'a> {
        let path = format!("{}{kind}{}[{index}]/", outer.path, of.0);
        Scope { path, values: RefCell::default(), outer: Some(outer) }
    }

    /// Defines a value.
    pub fn set(&self, id: ValueId, value: Held) {
        self.values.borrow_mut().insert(id, value);
    }

    /// The value behind an operand, all of it.
    pub fn get(&self, operand: &Operand) -> Result<Arc<Value>, Fault> {
        self.held(operand)?.whole()
    }

    /// The value behind an operand, as the run has it.
    pub fn held(&self, operand: &Operand) -> Result<Held, Fault> {
        let id = match operand {
            Operand::Literal(value) => return Ok(value.clone().into()),
            Operand::Value(id) => *id,
        };
        let mut scope = Some(self);
        while let Some(s) = scope {
            if let Some(value) = s.values.borrow().get(&id) {
                return Ok(value.clone());
            }
            scope = s.outer;
        }
        Err(Fault::plan(format!("value {} is used and not defined", id.0)))
    }
}
