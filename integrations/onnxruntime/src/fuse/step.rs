//! Steps with each output of a convolution alone: arithmetic with constants, bounds, and products with an earlier value, as
//! in HardSwish.
//!
//! ONNX Runtime reads and writes a tensor for each of these operators. Here all of them are done with a few outputs after the
//! other, in the order and in the type in which the model says them, so that the bits are the same.

use pulp::WithSimd;

use crate::number::Number;

/// Outputs that all steps are done with before the next ones.
const BLOCK: usize = 256;

/// A step with a value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Step<T> {
    Add(T),
    Subtract(T),
    Multiply(T),
    Divide(T),
    Clamp(T, T),
    /// Multiplies negative values.
    Steepen(T),
    /// Notes the value as it is.
    Note,
    /// Multiplies it by the noted one.
    MultiplyByNoted,
}

impl Step<f64> {
    /// The same in elements of another type.
    pub fn of_type<T: Number>(self) -> Step<T> {
        let of = T::from_f64;
        match self {
            Self::Add(value) => Step::Add(of(value)),
            Self::Subtract(value) => Step::Subtract(of(value)),
            Self::Multiply(value) => Step::Multiply(of(value)),
            Self::Divide(value) => Step::Divide(of(value)),
            Self::Clamp(min, max) => Step::Clamp(of(min), of(max)),
            Self::Steepen(slope) => Step::Steepen(of(slope)),
            Self::Note => Step::Note,
            Self::MultiplyByNoted => Step::MultiplyByNoted,
        }
    }
}

/// All steps with some outputs. A closure would not be compiled for the vectors that are there.
pub struct Steps<'a, T> {
    pub steps: &'a [Step<T>],
    pub values: &'a mut [T],
}

impl<T: Number> WithSimd for Steps<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) {
        let mut noted = [T::from_f64(0.0); BLOCK];
        for values in self.values.chunks_mut(BLOCK) {
            for &step in self.steps {
                match step {
                    Step::Add(constant) => values.iter_mut().for_each(|value| *value += constant),
                    Step::Subtract(constant) => values.iter_mut().for_each(|value| *value -= constant),
                    Step::Multiply(constant) => values.iter_mut().for_each(|value| *value *= constant),
                    Step::Divide(constant) => values.iter_mut().for_each(|value| *value /= constant),
                    Step::Clamp(min, max) => {
                        values.iter_mut().for_each(|value| *value = value.clamped(min, max));
                    }
                    Step::Steepen(slope) => {
                        values.iter_mut().for_each(|value| *value = value.steepened(slope));
                    }
                    Step::Note => noted[..values.len()].copy_from_slice(values),
                    Step::MultiplyByNoted => {
                        values.iter_mut().zip(&noted).for_each(|(value, &noted)| *value *= noted);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after<T: Number>(steps: &[Step<f64>], values: &[T]) -> Vec<T> {
        let steps: Vec<Step<T>> = steps.iter().map(|step| step.of_type()).collect();
        let mut values = values.to_vec();
        pulp::Arch::new().dispatch(Steps { steps: &steps, values: &mut values });
        values
    }

    #[test]
    fn steps_are_done_in_their_order_with_every_value() {
        let values: Vec<f32> = (0..3 * BLOCK + 5).map(|at| at as f32 / 100.0 - 4.0).collect();
        let swish =
            [Step::Note, Step::Add(3.0), Step::Clamp(0.0, 6.0), Step::MultiplyByNoted, Step::Divide(6.0)];
        for (x, y) in values.iter().zip(after(&swish, &values)) {
            assert_eq!(y, (x + 3.0).clamp(0.0, 6.0) * x / 6.0);
        }
        let line = [Step::Subtract(1.0), Step::Multiply(2.0), Step::Steepen(0.5)];
        assert_eq!(after(&line, &[0.0, 1.0, 3.0f64]), [-1.0, 0.0, 4.0]);
    }

    #[test]
    fn what_is_no_number_stays_none() {
        let steps = [Step::Note, Step::Clamp(0.0, 6.0), Step::MultiplyByNoted];
        assert!(after(&steps, &[f32::NAN])[0].is_nan());
        assert_eq!(after(&steps, &[f32::INFINITY, f32::NEG_INFINITY])[0], f32::INFINITY);
    }
}
