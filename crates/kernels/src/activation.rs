//! [`Activation`]: what is applied to a finished sum.

use crate::number::Number;
use crate::vectors::Vectors;

/// What is applied last.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Activation {
    /// Nothing.
    #[default]
    None,
    /// `min(max(y, min), max)`; a NaN stays a NaN.
    Clamp {
        /// The smallest output; 0 for ReLU.
        min: f64,
        /// The largest output; infinity for ReLU, 6 for ReLU6.
        max: f64,
    },
}

/// An activation of elements of a type.
#[derive(Debug, Clone, Copy)]
pub enum Applied<T> {
    /// Nothing.
    None,
    /// The smallest and the largest output.
    Clamp(T, T),
}

impl<T: Number> Applied<T> {
    /// The same for elements of this type, whose nearest values the numbers become.
    pub fn new(activation: Activation) -> Self {
        match activation {
            Activation::None => Self::None,
            Activation::Clamp { min, max } => Self::Clamp(T::from_f64(min), T::from_f64(max)),
        }
    }

    /// Applies it to one number.
    pub fn of_number(&self, value: T) -> T {
        match *self {
            Self::None => value,
            Self::Clamp(min, _) if value < min => min,
            Self::Clamp(_, max) if max < value => max,
            Self::Clamp(..) => value,
        }
    }

    /// Applies it to a vector.
    #[inline(always)]
    pub fn of_vector<S: Vectors>(&self, simd: S, value: T::Vector<S>) -> T::Vector<S> {
        match *self {
            Self::None => value,
            Self::Clamp(min, max) => clamp(simd, value, min, max),
        }
    }
}

/// A vector clamped. A NaN stays a NaN, since it compares with nothing.
#[inline(always)]
pub fn clamp<S: Vectors, T: Number>(simd: S, value: T::Vector<S>, min: T, max: T) -> T::Vector<S> {
    let (min, max) = (T::splat(simd, min), T::splat(simd, max));
    let value = T::if_less(simd, value, min, min, value);
    T::if_less(simd, max, value, max, value)
}
