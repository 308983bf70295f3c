//! What algorithms say of their GEMM calls, against the calls that they make.

use std::sync::atomic::{AtomicUsize, Ordering};

use convlow_threads::Pool;

use super::algorithm::{Element, Limits, Unit};
use super::registry::{Products, REGISTRY};
use crate::gemm::{Backend, Multiplied, Multiply};
use crate::lowering::image::image_of;
use crate::problem::Layout::{Nchw, Nhwc};
use crate::problem::{Axis, DataType, Layout, Problem};
use convlow_kernels::matrix::{MatrixMut, Operand};

/// Counts calls and remembers the largest size, and computes.
#[derive(Default)]
struct Counting {
    calls: AtomicUsize,
    macs: AtomicUsize,
    largest: AtomicUsize,
}

impl<T: Multiplied> Multiply<T> for Counting {
    fn multiply(&self, c: MatrixMut<'_, T>, a: Operand<'_, T>, b: Operand<'_, T>, beta: T) {
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.macs.fetch_add(c.rows() * c.cols() * a.cols(), Ordering::Relaxed);
        for size in [c.rows(), c.cols(), a.cols(), c.ld(), a.stored.ld(), b.stored.ld()] {
            self.largest.fetch_max(size, Ordering::Relaxed);
        }
        T::multiply_by(Backend::Embedded.gemm(), c, a, b, beta);
    }
}

/// The figures of the plan info and the check against the BLAS's integer rest on these counts.
#[test]
fn cost_counts_the_gemm_calls_that_run_makes() {
    let axis = |input, kernel, stride, dilation, pad_before, pad_after| Axis {
        stride,
        dilation,
        pad_before,
        pad_after,
        ..Axis::dense(input, kernel)
    };
    let axes = [
        [Axis::ONE, axis(40, 3, 1, 1, 1, 1), axis(40, 3, 1, 1, 1, 1)],
        [Axis::ONE, axis(9, 5, 1, 2, 9, 3), axis(8, 3, 1, 1, 0, 2)],
        [Axis::ONE, axis(3, 3, 1, 3, 6, 6), axis(4, 3, 1, 1, 1, 1)],
        [Axis::ONE, axis(30, 1, 1, 1, 0, 0), axis(33, 1, 1, 1, 0, 0)],
        [Axis::ONE, axis(23, 5, 2, 1, 2, 2), axis(19, 3, 3, 1, 1, 0)],
        [axis(4, 3, 1, 2, 2, 3), axis(6, 3, 1, 1, 1, 1), axis(7, 2, 1, 1, 1, 0)],
        [axis(3, 1, 1, 1, 0, 0), axis(4, 1, 1, 1, 0, 0), axis(5, 1, 1, 1, 0, 0)],
        [axis(5, 2, 2, 1, 0, 0), axis(6, 3, 2, 1, 1, 1), axis(9, 3, 1, 1, 1, 1)],
    ];
    for [planes, rows, cols] in axes {
        for (src_layout, dst_layout) in Layout::PAIRS {
            for limit in [0, 100, usize::MAX] {
                let problem = Problem {
                    in_channels: 6,
                    out_channels: 280,
                    planes,
                    rows,
                    cols,
                    src_layout,
                    dst_layout,
                    accumulate: true,
                    ..Problem::UNIT
                };
                let problem = Problem::new(problem).expect("the problems are valid");
                count_calls::<f32>(&problem, limit);
                let of_doubles = Problem { data_type: DataType::F64, ..problem };
                count_calls::<f64>(&of_doubles, limit);
            }
        }
    }
}

fn count_calls<T: Element>(problem: &Problem, limit: usize) {
    let limits = Limits::new(2, limit);
    for entry in REGISTRY {
        let Ok(prepared) = entry.prepare(problem, limits) else { continue };
        let cost = prepared.cost();
        let gemm = matches!(entry.products, Products::Gemm | Products::Either);
        assert_eq!(cost.calls.is_some(), gemm, "{entry:?}");
        let counting = Counting::default();
        let src = vec![T::ONE; problem.src_len()];
        let packing = prepared.packing(problem);
        let unit = Unit {
            problem,
            // SAFETY: src is the whole tensor, and nobody writes it.
            src: unsafe { image_of(problem, src.as_ptr(), 0, &(0..1)) },
            weights: &vec![T::ONE; packing.group_len() + convlow_kernels::BEHIND_WEIGHTS],
            bias: None,
            slopes: None,
            gemm: Some(&counting),
            pool: &Pool::SERIAL,
        };
        let (rows, cols) = match problem.dst_layout {
            Nchw => (problem.out_channels, problem.out_pixels()),
            Nhwc => (problem.out_pixels(), problem.out_channels),
        };
        let mut dst = vec![T::ZERO; rows * cols];
        let mut scratch = vec![T::ZERO; prepared.scratch().all()];
        T::run(&*prepared, &unit, MatrixMut::new(&mut dst, rows, cols, cols), &mut scratch);
        let counted = cost.calls.map_or(0, |calls| calls.count);
        let macs = cost.calls.map_or(0, |calls| calls.macs as usize);
        assert_eq!(counted, counting.calls.into_inner(), "{entry:?} on {problem}, {limit} elements");
        let largest = counting.largest.into_inner();
        assert!(largest <= cost.largest_size, "{entry:?} on {problem}: {largest} > {}", cost.largest_size);
        // The count takes whole rows; calls may leave out what wraps around at their ends, which is at most
        // as wide as the farthest tap reaches.
        let real = counting.macs.into_inner();
        let width = problem.cols.output;
        let reach = (0..problem.cols.kernel).map(|j| problem.cols.shift_of_tap(j).unsigned_abs()).max();
        let least = macs / width * width.saturating_sub(reach.unwrap_or_default());
        assert!((least..=macs).contains(&real), "{entry:?} on {problem}: {macs} for {real} multiplications");
    }
}
