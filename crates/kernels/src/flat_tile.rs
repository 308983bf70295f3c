//! The kernel of phases: sums of a plane's elements at fixed distances, for some neighbouring outputs. Each distance
//! has a weight.

use crate::ahead::Ahead;
use crate::data_type::Layout;
use crate::end::End;
use crate::finish::Finish;
use crate::isa;
use crate::matrix::MatrixMut;
use crate::scheme::Scheme;
use crate::spread::EachLane;
use crate::sums::{FEW, FOUR, Factors, MANY, Run, VECTORS, add, finish, most_rows, rows_of_rest};
use crate::vectors::{Kernel, Vectors};
use crate::width::{Whole, Width};

/// Some taps of a plane.
#[derive(Debug, Clone, Copy, Default)]
pub struct FlatRun {
    /// The distance of the first one.
    pub offset: usize,
    /// How many they are.
    pub len: usize,
    /// The number of the first one's weights.
    pub weight: usize,
}

/// `dst[q]` = activation(bias + Σ `weight[t]` · `src[q + distance[t]]`) over all taps t.
pub struct FlatTile<'a, X: Scheme> {
    /// The elements, from the first output's distance 0 on.
    pub src: &'a [X::Src],
    /// The taps.
    pub runs: &'a [FlatRun],
    /// From one tap of a run to the next: distance, and weights.
    pub step: [usize; 2],
    /// Each weight for all outputs of [`channels_of_register_tile`](crate::register::channels_of_register_tile).
    pub weights: &'a [X::Weight],
    /// What becomes of the sums, which are those of one channel and are added to nothing.
    pub end: End<'a, X>,
    /// The outputs, whole blocks of [`channels_of_register_tile`](crate::register::channels_of_register_tile).
    pub dst: &'a mut [X::Dst],
}

impl<X: Finish> FlatTile<'_, X> {
    /// Computes dst.
    pub(crate) fn run_checked(self) {
        assert!(self.end.has(1) && !self.end.accumulate);
        let rest = self.end.in_memory();
        isa::dispatch(FlatTile { end: self.end.in_registers(), dst: &mut *self.dst, ..self });
        let outputs = self.dst.len();
        X::finish_in_memory(&rest, &mut MatrixMut::new(self.dst, 1, outputs, outputs), Layout::Nchw);
    }
}

impl<X: Finish> Kernel for FlatTile<'_, X> {
    type Output = ();

    #[inline(always)]
    fn run<S: Vectors>(self, simd: S) {
        let mut tile = self;
        let block = VECTORS * X::channels::<S>();
        let [distance, weight] = tile.step;
        assert!(tile.dst.len().is_multiple_of(block));
        for run in tile.runs {
            let last = run.len.checked_sub(1).expect("a run has a tap");
            assert!(run.offset + last * distance + tile.dst.len() <= tile.src.len());
            assert!((run.weight + last * weight + 1) * block <= tile.weights.len());
        }
        let most = most_rows::<S>();
        let groups = tile.dst.len() / block;
        let mut at = groups / most * most;
        // SAFETY: as seen above, src has every distance of these outputs, and the weights those of all taps.
        unsafe {
            if const { S::MANY_REGISTERS } {
                simd.apart(|| tile.outputs::<S, MANY>(simd, 0..at));
            } else {
                simd.apart(|| tile.outputs::<S, FEW>(simd, 0..at));
            }
            while at < groups {
                let next = at..at + rows_of_rest::<S>(groups - at);
                at = next.end;
                match next.len() {
                    1 => simd.apart(|| tile.outputs::<S, 1>(simd, next)),
                    2 if const { !S::FEW_FORMS } => simd.apart(|| tile.outputs::<S, 2>(simd, next)),
                    3 if const { !S::FEW_FORMS } => simd.apart(|| tile.outputs::<S, 3>(simd, next)),
                    FOUR if const { !S::FEW_FORMS } => simd.apart(|| tile.outputs::<S, FOUR>(simd, next)),
                    _ => simd.apart(|| tile.outputs::<S, FEW>(simd, next)),
                }
            }
        }
    }
}

impl<X: Finish> FlatTile<'_, X> {
    /// Register tiles of `P` blocks of outputs.
    #[inline(always)]
    unsafe fn outputs<S: Vectors, const P: usize>(&mut self, simd: S, blocks: std::ops::Range<usize>) {
        let block = VECTORS * X::channels::<S>();
        let width = Width::<VECTORS>(block);
        let (src, weights, dst) = (self.src.as_ptr(), self.weights.as_ptr(), self.dst.as_mut_ptr());
        let bounds = self.end.bounds();
        let bias = self.end.bias.map_or(X::no_sums(simd), |bias| X::sum(simd, bias[0]));
        let mut first = blocks.start;
        while first + P <= blocks.end {
            let factors = Factors::<X, P, _> {
                rows: std::array::from_fn(|p| src.wrapping_add((first + p) * block)),
                row_step: self.step[0],
                // A run of one tap takes no step, and that of a large stride may be of any size.
                vector_step: self.step[1].wrapping_mul(block),
                spread: EachLane,
            };
            let mut sums = [[bias; VECTORS]; P];
            for run in self.runs {
                let vectors = weights.wrapping_add(run.weight * block);
                let run = Run { row: run.offset, vectors, len: run.len };
                // SAFETY: the caller's promise.
                sums = unsafe { add(simd, Whole, &factors, run, sums, &mut Ahead::nothing()) };
            }
            let to = std::array::from_fn(|p| dst.wrapping_add((first + p) * block));
            // SAFETY: dst has these blocks.
            unsafe { finish::<S, X, P, VECTORS>(simd, width, to, sums, None, bounds) };
            first += P;
        }
    }
}
