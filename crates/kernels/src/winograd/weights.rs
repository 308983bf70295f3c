//! The transform of weights: all kernels of a block of output channels, a few of them side by side.

use super::matrices::{KernelTransform, MOST_ALPHA};
use crate::isa;
use crate::number::Number;
use crate::vectors::{Kernel, Vectors};

/// Output channels that are transformed side by side.
const LANES: usize = 8;
/// The largest r.
const MOST_TAPS: usize = 5;

/// Writes the transformed kernels of a block of output channels: `packed[(position · channels + channel) · outputs + output]`.
pub struct WeightsTransform<'a, T> {
    /// G.
    pub transform: &'a KernelTransform,
    /// From the block's first kernel on.
    pub weights: &'a [T],
    /// From one output channel to the next, from one input channel to the next, from one tap to the next.
    pub strides: [usize; 3],
    /// Whether the taps are those of a kernel turned round, which begins with the last one.
    pub turned_round: bool,
    /// Output channels of the block.
    pub outputs: usize,
    /// Input channels.
    pub channels: usize,
    /// All of the block, which is written.
    pub packed: &'a mut [T],
}

impl<T: Number> WeightsTransform<'_, T> {
    /// # Panics
    /// If the lengths do not agree.
    pub(crate) fn run_checked(self) {
        let KernelTransform { alpha, r, .. } = *self.transform;
        let Self { outputs, channels, strides: [output, input, tap], .. } = self;
        assert!(alpha <= MOST_ALPHA && r <= MOST_TAPS && outputs > 0 && channels > 0, "there is a block");
        assert_eq!(self.packed.len(), alpha * alpha * channels * outputs, "the block is whole");
        let last = (outputs - 1) * output + (channels - 1) * input + (r * r - 1) * tap;
        assert!(last < self.weights.len(), "all weights are there");
        isa::dispatch(self);
    }
}

impl<T: Number> Kernel for WeightsTransform<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Vectors>(self, _: S) {
        let Self { transform, weights, strides: [output, input, tap], .. } = self;
        let Self { turned_round, outputs, channels, packed, .. } = self;
        let KernelTransform { alpha, r, rows } = transform;
        let (alpha, r) = (*alpha, *r);
        let mut kernels = [[0.0f64; LANES]; MOST_TAPS * MOST_TAPS];
        for (channel, first) in (0..channels).flat_map(|c| (0..outputs).step_by(LANES).map(move |m| (c, m))) {
            let lanes = LANES.min(outputs - first);
            let begin = first * output + channel * input;
            for (at, values) in kernels.iter_mut().enumerate().take(r * r) {
                for (lane, value) in values.iter_mut().enumerate().take(lanes) {
                    let at = if turned_round { r * r - 1 - at } else { at };
                    *value = weights[begin + lane * output + at * tap].into();
                }
            }
            for k in 0..alpha {
                let mut half = [[0.0f64; LANES]; MOST_TAPS];
                for (j, half) in half.iter_mut().enumerate().take(r) {
                    for i in 0..r {
                        add(half, rows[k][i], &kernels[i * r + j]);
                    }
                }
                for (l, row) in rows.iter().enumerate().take(alpha) {
                    let mut sum = [0.0f64; LANES];
                    half.iter().zip(row).take(r).for_each(|(half, &factor)| add(&mut sum, factor, half));
                    let at = ((k * alpha + l) * channels + channel) * outputs + first;
                    let to = packed[at..at + lanes].iter_mut();
                    to.zip(sum).for_each(|(to, value)| *to = T::from_f64(value));
                }
            }
        }
    }
}

/// sum ← sum + factor · values.
#[inline(always)]
fn add(sum: &mut [f64; LANES], factor: f64, values: &[f64; LANES]) {
    sum.iter_mut().zip(values).for_each(|(sum, value)| *sum += factor * value);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// G·g·Gᵀ of each kernel, whatever the strides and however many are left over.
    #[test]
    fn each_kernel_is_transformed_by_itself() {
        for (alpha, r) in [(4, 3), (6, 3), (8, 3), (6, 5), (8, 5)] {
            let transform = KernelTransform::new(alpha, r);
            for (outputs, channels) in [(1, 1), (7, 3), (8, 2), (21, 5)] {
                let taps = r * r;
                let count = outputs * channels * taps;
                let weights: Vec<f32> = (0..count).map(|at| (at * 7 % 23) as f32 - 11.0).collect();
                for (strides, turned_round) in
                    [([channels * taps, taps, 1], false), ([1, outputs, outputs * channels], true)]
                {
                    let mut packed = vec![f32::NAN; alpha * alpha * channels * outputs];
                    let packed_to = packed.as_mut_slice();
                    WeightsTransform {
                        transform: &transform,
                        weights: &weights,
                        strides,
                        turned_round,
                        outputs,
                        channels,
                        packed: packed_to,
                    }
                    .run_checked();
                    for (at, &found) in packed.iter().enumerate() {
                        let (output, rest) = (at % outputs, at / outputs);
                        let (channel, position) = (rest % channels, rest / channels);
                        let (k, l) = (position / alpha, position % alpha);
                        let mut expected = 0.0;
                        for (i, j) in (0..r).flat_map(|i| (0..r).map(move |j| (i, j))) {
                            let tap = if turned_round { taps - 1 - (i * r + j) } else { i * r + j };
                            let place = output * strides[0] + channel * strides[1] + tap * strides[2];
                            expected +=
                                transform.rows[k][i] * f64::from(weights[place]) * transform.rows[l][j];
                        }
                        assert!((f64::from(found) - expected).abs() <= 1e-4, "{found} is not {expected}");
                    }
                }
            }
        }
    }
}
