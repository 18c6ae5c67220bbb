//! Places that move together, since text before them came or went.

use super::source::{FileId, Span};
use super::{Diagnostic, Diagnostics, Fix, Label, Severity, Way};
use ecow::EcoString;
use std::collections::{BTreeMap, BTreeSet};

/// How far the places of a file move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shift {
    /// The file; places in others stay.
    pub file: FileId,
    /// By how many bytes.
    pub by: i64,
}

/// What has places.
pub trait Shifts {
    /// Moves every place in it.
    fn shift(&mut self, shift: Shift);
}

/// Implements [`Shifts`] part by part. A type is taken apart as a whole, so that a part that comes later cannot be forgotten; types
/// behind `nothing` have no places.
macro_rules! shifts {
    ($(nothing $plain:ty;)* $(struct $name:ident { $($field:ident),* $(,)? })*
        $(enum $sum:ident { $($variant:ident $(($($part:ident),*))? $({ $($inner:ident),* })?),* $(,)? })*) => {
        $(impl $crate::diag::shift::Shifts for $plain {
            fn shift(&mut self, _: $crate::diag::shift::Shift) {}
        })*
        $(impl $crate::diag::shift::Shifts for $name {
            fn shift(&mut self, shift: $crate::diag::shift::Shift) {
                let $name { $($field),* } = self;
                $($field.shift(shift);)*
            }
        })*
        $(impl $crate::diag::shift::Shifts for $sum {
            fn shift(&mut self, shift: $crate::diag::shift::Shift) {
                match self {
                    $($sum::$variant $(($($part),*))? $({ $($inner),* })? => {
                        $($($part.shift(shift);)*)?
                        $($($inner.shift(shift);)*)?
                    })*
                }
                let _ = shift;
            }
        })*
    };
}

pub(crate) use shifts;

impl Shifts for Span {
    fn shift(&mut self, shift: Shift) {
        if self.file == shift.file {
            let moved = |at: u32| (i64::from(at) + shift.by) as u32;
            (self.start, self.end) = (moved(self.start), moved(self.end));
        }
    }
}

impl<T: Shifts> Shifts for Vec<T> {
    fn shift(&mut self, shift: Shift) {
        self.iter_mut().for_each(|part| part.shift(shift));
    }
}

impl<T: Shifts> Shifts for Option<T> {
    fn shift(&mut self, shift: Shift) {
        self.iter_mut().for_each(|part| part.shift(shift));
    }
}

impl<T: Shifts> Shifts for Box<T> {
    fn shift(&mut self, shift: Shift) {
        (**self).shift(shift);
    }
}

impl<A: Shifts, B: Shifts> Shifts for (A, B) {
    fn shift(&mut self, shift: Shift) {
        self.0.shift(shift);
        self.1.shift(shift);
    }
}

impl<A: Shifts, B: Shifts, C: Shifts> Shifts for (A, B, C) {
    fn shift(&mut self, shift: Shift) {
        self.0.shift(shift);
        self.1.shift(shift);
        self.2.shift(shift);
    }
}

impl<V> Shifts for BTreeMap<Span, V> {
    fn shift(&mut self, shift: Shift) {
        let moved = |(mut at, value): (Span, V)| {
            at.shift(shift);
            (at, value)
        };
        *self = std::mem::take(self).into_iter().map(moved).collect();
    }
}

impl<V: Shifts> Shifts for BTreeMap<EcoString, V> {
    fn shift(&mut self, shift: Shift) {
        self.values_mut().for_each(|value| value.shift(shift));
    }
}

impl Shifts for &'static str {
    fn shift(&mut self, _: Shift) {}
}

shifts! {
    nothing EcoString;
    nothing BTreeSet<EcoString>;
    nothing String;
    nothing bool;
    nothing u32;
    nothing Severity;
    struct Label { span, text }
    struct Fix { title, span, insert, sure }
    struct Way { title, edits }
    struct Diagnostics { list }
    struct Diagnostic { code, severity, message, primary, secondary, help, fix, ways }
}
