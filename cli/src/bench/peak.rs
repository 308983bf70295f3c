//! One core's peak: the limit that shares are taken of.

use std::hint::black_box;
use std::time::{Duration, Instant};

use pulp::{Arch, Simd, WithSimd};

/// Sums that do not wait for each other: more than any core needs to hide the latency of its multiply-adds, and
/// few enough for 16 registers.
const CHAINS: usize = 12;
const STEPS: usize = 20_000;
const TIME: Duration = Duration::from_millis(4);

/// The best seen so far, in floating-point operations a second: clocks rise and fall during a run, and the limit
/// is the highest.
#[derive(Default)]
pub(super) struct Peak(f64);

impl Peak {
    /// Takes a few milliseconds' more look.
    pub(super) fn look(&mut self) {
        let start = Instant::now();
        while start.elapsed() < TIME {
            let before = Instant::now();
            let operations = Arch::new().dispatch(Chains);
            self.0 = self.0.max(operations as f64 / before.elapsed().as_secs_f64());
        }
    }

    pub(super) fn flops_per_second(&self) -> f64 {
        self.0
    }
}

/// Multiply-adds in the machine's widest vectors and registers only, whatever instructions the library's kernels are told to
/// use: the limit is the core's, and a GEMM may reach it in any case.
struct Chains;

impl WithSimd for Chains {
    /// Floating-point operations, two a multiply-add.
    type Output = usize;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> usize {
        // Sums that stay finite and normal, from numbers that the compiler does not know.
        let (factor, term) = (simd.splat_f32s(black_box(0.5)), simd.splat_f32s(black_box(1.0)));
        let mut sums = [term; CHAINS];
        for (number, sum) in sums.iter_mut().enumerate() {
            *sum = simd.splat_f32s(black_box(number as f32));
        }
        for _ in 0..STEPS {
            for sum in &mut sums {
                *sum = simd.mul_add_f32s(*sum, factor, term);
            }
        }
        let all = sums.into_iter().fold(term, |all, sum| simd.add_f32s(all, sum));
        black_box(simd.reduce_sum_f32s(all));
        2 * CHAINS * STEPS * S::F32_LANES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_is_that_of_a_core() {
        let mut peak = Peak::default();
        peak.look();
        assert!((1e8..1e13).contains(&peak.flops_per_second()), "{}", peak.flops_per_second());
    }
}
