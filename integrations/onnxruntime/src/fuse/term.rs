//! What operators do with a value, in the order in which a model says them.

use super::step::Step;

/// What is done with a value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Term {
    /// Arithmetic.
    Step(Step<f64>),
    /// A function that is no arithmetic.
    Curve(Curve),
    /// What is negative is multiplied by the slope of its channel.
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
