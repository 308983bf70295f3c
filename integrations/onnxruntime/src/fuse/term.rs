//! Terms: the operators behind a value, in a model's order.

use super::step::Step;

/// An operator behind a value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Term {
    /// Arithmetic.
    Step(Step<f64>),
    /// A function that is no arithmetic.
    Curve(Curve),
    /// Negative values times the slope of their channel.
    Slopes,
}

/// A function of a value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Curve {
    Sigmoid,
    Tanh,
    Erf,
    Gelu,
    GeluTanh,
}

impl From<Step<f64>> for Term {
    fn from(step: Step<f64>) -> Self {
        Self::Step(step)
    }
}
