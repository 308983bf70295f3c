//! Which factors and shifts the weights and the bias of a convolution can take.
//!
//! A model adds up first and multiplies then. With the factor in the weights the sum is one of other products: these may
//! overflow, to infinities of both signs, or the weights may lose their digits, where the model's own sum and its product
//! are ordinary numbers. So a factor is multiplied in only where
//!
//! - it is a normal number, which 0 is not, and so is its product with each weight and with the bias; those of 0 stay 0;
//! - no such product is greater than [`MOST`], unless the weight itself was as great: sums of products with inputs below
//!   2^90 then stay far from float32's limit of 2^128, whichever of them cancel;
//! - a shift is at most [`MOST`], and so is what the bias has become where it is added: a convolution's sum may begin with
//!   its bias, and neither that sum nor the bias alone may overflow, or lose the digits of what stands beside a great shift.
//!
//! A factor of 1 multiplies nothing. Whatever these rules refuse stays behind the convolution, as the model writes it.

use super::line::Line;
use crate::host::{Listed, Result, Tensor};
use crate::number::Number;

/// The greatest number that constants are combined to, of whatever size these are: 2^16. Those of networks are far below.
pub const MOST: f64 = 65_536.0;

/// Whether a few factors of this size make one that is far from both ends of float32.
pub fn is_ordinary(factor: f64) -> bool {
    (1.0 / MOST..=MOST).contains(&factor.abs())
}

/// The least and the greatest magnitude of some numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Extent {
    /// Of those that are not 0.
    least: f64,
    /// Infinite if one is no number.
    most: f64,
}

impl Extent {
    const NONE: Self = Self { least: f64::INFINITY, most: 0.0 };

    fn with(self, number: f64) -> Self {
        let magnitude = if number.is_nan() { f64::INFINITY } else { number.abs() };
        let least = if magnitude == 0.0 { self.least } else { self.least.min(magnitude) };
        Self { least, most: self.most.max(magnitude) }
    }
}

/// The room that the weights of a convolution have for factors.
pub struct Headroom {
    /// Of each output channel.
    weights: Vec<Extent>,
    /// The least normal number of their type.
    normal: f64,
}

impl Headroom {
    /// That of weights whose runs of so many belong to these output channels.
    ///
    /// # Errors
    /// If they are neither float32 nor float64.
    pub fn of(
        weights: &Tensor<'_>,
        run: usize,
        channels: usize,
        channel_of: impl Fn(usize) -> usize,
    ) -> Result<Self> {
        let (normal, weights) = match weights.element {
            f32::ELEMENT => {
                (f32::MIN_POSITIVE.into(), extents(weights.elements::<f32>()?, run, channels, channel_of))
            }
            _ => (f64::MIN_POSITIVE, extents(weights.elements::<f64>()?, run, channels, channel_of)),
        };
        Ok(Self { weights, normal })
    }

    /// Whether the weights times a line's factors, and its shifts as their bias, can take another line.
    pub fn takes(&self, line: &Line, behind: &Line) -> bool {
        (0..self.weights.len()).all(|channel| {
            let (factor, by) = (line.factors[channel], behind.factors[channel]);
            let (shift, more) = (line.shifts[channel], behind.shifts[channel]);
            let is_scaled = by == 1.0
                || self.scales(Extent::NONE.with(shift), by)
                    && self.scales(self.weights[channel], factor * by);
            let is_shifted = more == 0.0 || more.abs() <= MOST && (shift * by).abs() <= MOST;
            is_scaled && is_shifted
        })
    }

    /// Whether numbers can take a factor.
    fn scales(&self, numbers: Extent, factor: f64) -> bool {
        let Extent { least, most } = numbers;
        let factor = factor.abs();
        factor.is_finite()
            && factor >= self.normal
            && least * factor >= self.normal
            && most.is_finite()
            && most * factor <= most.max(MOST)
    }
}

/// The extent of each channel's weights.
fn extents<T: Number>(
    weights: &[T],
    run: usize,
    channels: usize,
    channel_of: impl Fn(usize) -> usize,
) -> Vec<Extent> {
    let mut extents = vec![Extent::NONE; channels];
    for (at, run) in weights.chunks_exact(run).enumerate() {
        let extent = &mut extents[channel_of(at)];
        let (least, most) = T::extent(run);
        *extent = extent.with(least.into()).with(most.into());
    }
    extents
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether weights of one channel, times a factor and with a bias, can take another factor and another shift.
    fn takes(weights: &[f32], [factor, shift]: [f64; 2], [by, more]: [f64; 2]) -> bool {
        let weights = extents(weights, weights.len(), 1, |_| 0);
        let line = |factor, shift| Line { factors: vec![factor], shifts: vec![shift] };
        Headroom { weights, normal: f32::MIN_POSITIVE.into() }.takes(&line(factor, shift), &line(by, more))
    }

    #[test]
    fn ordinary_constants_are_taken() {
        for constants in [[0.75, 0.0], [-3.0, 1.0], [1.0, -2.0], [1e-4, 5.0], [1.0 / 3.0, 0.0]] {
            assert!(takes(&[0.5, -2.0, 0.0, 1e-3], [2.0, 0.3], constants), "{constants:?}");
            assert!(takes(&[0.0, 0.0], [1.0, 0.0], constants), "{constants:?}");
        }
        // What stands as it is, however great or small.
        assert!(takes(&[1e38, 1e-40], [1.0, 0.0], [1.0, 1e-40]) && takes(&[1.0], [1.0, 3e38], [1.0, 0.0]));
        assert!(takes(&[f32::INFINITY, f32::NAN], [1.0, f64::NAN], [1.0, 0.0]));
        // Great weights may become smaller, small ones greater.
        assert!(
            takes(&[1e30, 1.0], [1.0, 1e30], [0.5, 0.0]) && takes(&[1e-30, 1.0], [1.0, 1e-30], [2.0, 0.0])
        );
    }

    #[test]
    fn factors_out_of_the_ordinary_are_not_taken() {
        for by in [1e37, 65_537.0, 1e-38, 1e-40, 0.0, f64::INFINITY, f64::NEG_INFINITY, f64::NAN] {
            assert!(!takes(&[1.0, 0.0], [1.0, 0.0], [by, 0.0]), "{by}");
        }
        for by in [0.0, 1e-40, f64::INFINITY, f64::NAN] {
            assert!(!takes(&[0.0], [1.0, 0.0], [by, 0.0]), "{by}");
        }
        assert!(!takes(&[1.0, 1e-30], [1.0, 0.0], [1e-9, 0.0]) && !takes(&[1e-40], [1.0, 0.0], [1.5, 0.0]));
        assert!(
            !takes(&[f32::INFINITY], [1.0, 0.0], [2.0, 0.0]) && !takes(&[f32::NAN], [1.0, 0.0], [2.0, 0.0])
        );
        // Together with the one before.
        assert!(!takes(&[1.0], [1e3, 0.0], [1e3, 0.0]) && takes(&[1.0], [1e3, 0.0], [1e-3, 0.0]));
    }

    #[test]
    fn shifts_out_of_the_ordinary_are_not_taken() {
        for [shift, by, more] in
            [[0.0, 1.0, 3e38], [1e30, 1.0, -1e30], [3e38, 1.0, 1.0], [1e30, 1.5, 0.0], [1e-38, 0.1, 0.0]]
        {
            assert!(!takes(&[1.0], [1.0, shift], [by, more]), "{shift} {by} {more}");
        }
        assert!(
            !takes(&[1.0], [1.0, 0.0], [1.0, f64::INFINITY]) && !takes(&[1.0], [1.0, 0.0], [1.0, f64::NAN])
        );
    }
}
