//! The pass over outputs, in their place, for arithmetic that the library's own end does not do.

use convlow::Layout;
use pulp::{Simd, WithSimd};

use super::places::PIECE;
use crate::fuse::{Chain, Step, Steps};
use crate::number::Number;
use crate::session::Threads;

/// Outputs of a piece of which each is computed alone.
const OUTPUTS: usize = 8192;

/// The arithmetic of outputs behind the library's end.
pub struct Behind<T> {
    /// With each alone.
    steps: Vec<Step<T>>,
    /// Then negative ones are multiplied by their channel's.
    slopes: Option<Vec<T>>,
}

impl<T: Number> Behind<T> {
    /// That of a chain, with the slopes if they come last.
    pub fn of(chain: &Chain<'_>, slopes: Option<Vec<T>>) -> Self {
        Self { steps: chain.ending.steps.iter().map(|step| step.of_type()).collect(), slopes }
    }

    /// Does it with a tensor of these sizes.
    pub fn finish(&self, dst: &mut [T], sizes: &[usize], layout: Layout, threads: &Threads<'_>) {
        let Self { steps, slopes } = self;
        if dst.is_empty() || (steps.is_empty() && slopes.is_none()) {
            return;
        }
        let vectors = pulp::Arch::new();
        let do_steps = |values: &mut [T]| vectors.dispatch(Steps { steps, values });
        match (slopes, layout) {
            (None, _) => threads.for_each_piece(dst, OUTPUTS, |_, values| do_steps(values)),
            (Some(slopes), Layout::Nchw) => {
                let pixels = sizes[2..].iter().product();
                threads.for_each_piece(dst, pixels, |plane, values| {
                    do_steps(values);
                    let slope = slopes[plane % slopes.len()];
                    vectors.dispatch(Steepen { values, slopes: &[slope] });
                });
            }
            (Some(slopes), Layout::Nhwc) => {
                let piece = slopes.len() * PIECE;
                threads.for_each_piece(dst, piece, |_, values| {
                    do_steps(values);
                    vectors.dispatch(Steepen { values, slopes });
                });
            }
        }
    }
}

/// Values that are multiplied by slopes where they are negative: by the same one, or by turns. A closure would not be
/// compiled for the vectors that are there.
struct Steepen<'a, T> {
    values: &'a mut [T],
    slopes: &'a [T],
}

impl<T: Number> WithSimd for Steepen<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { values, slopes } = self;
        if let &[slope] = slopes {
            for value in values {
                *value = value.steepened(slope);
            }
            return;
        }
        for pixel in values.chunks_exact_mut(slopes.len()) {
            for (value, &slope) in pixel.iter_mut().zip(slopes) {
                *value = value.steepened(slope);
            }
        }
    }
}
