//! Sums of a plane's elements at fixed distances: some outputs that lie one behind the other, a weight for each distance.

use pulp::{Simd, WithSimd};

use super::isa;
use super::pixel_tile::channels_of_block;
use super::sums::{Ahead, EachLane, FEW, Factors, MANY, Run, VECTORS, Width, add, apart, finish};
use crate::number::Number;
use crate::problem::Clamp;

/// Some taps of a plane: the distance of the first, how many they are, and the number of its weights.
#[derive(Debug, Clone, Copy, Default)]
pub struct FlatRun {
    pub offset: usize,
    pub len: usize,
    pub weight: usize,
}

/// `dst[q]` = clamp(bias + Σ `weight[t]` · `src[q + distance[t]]`) over all taps t.
pub struct FlatTile<'a, T> {
    /// The elements, from the first output's distance 0 on.
    pub src: &'a [T],
    /// The taps.
    pub runs: &'a [FlatRun],
    /// From one tap of a run to the next: distance, and weights.
    pub step: [usize; 2],
    /// Each weight for all outputs of [`channels_of_block`].
    pub weights: &'a [T],
    /// What is added to every output.
    pub bias: T,
    /// What is applied last.
    pub clamp: Option<Clamp>,
    /// The outputs, whole blocks of [`channels_of_block`].
    pub dst: &'a mut [T],
}

impl<T: Number> FlatTile<'_, T> {
    /// Computes dst.
    pub fn run(self) {
        let block = channels_of_block(T::TYPE);
        let [distance, weight] = self.step;
        assert!(self.dst.len().is_multiple_of(block));
        for run in self.runs {
            let last = run.len.checked_sub(1).expect("a run has a tap");
            assert!(run.offset + last * distance + self.dst.len() <= self.src.len());
            assert!((run.weight + last * weight + 1) * block <= self.weights.len());
        }
        isa::dispatch(self);
    }
}

impl<T: Number> WithSimd for FlatTile<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let mut tile = self;
        let block = VECTORS * T::lanes::<S>();
        let most = if S::REGISTER_COUNT >= 32 { MANY } else { FEW };
        let groups = tile.dst.len() / block;
        let whole = groups / most * most;
        let rest = groups - whole;
        // SAFETY: `run` has checked that src has every distance of these outputs, and the weights those of all taps.
        unsafe {
            match most {
                MANY => apart(simd, || tile.outputs::<S, MANY>(simd, 0..whole)),
                _ => apart(simd, || tile.outputs::<S, FEW>(simd, 0..whole)),
            }
            let (sixes, few) = (rest / FEW * FEW, rest % FEW);
            if sixes > 0 {
                apart(simd, || tile.outputs::<S, FEW>(simd, whole..whole + sixes));
            }
            let few = groups - few..groups;
            match few.len() {
                0 => {}
                1 => apart(simd, || tile.outputs::<S, 1>(simd, few)),
                2 => apart(simd, || tile.outputs::<S, 2>(simd, few)),
                3 => apart(simd, || tile.outputs::<S, 3>(simd, few)),
                4 => apart(simd, || tile.outputs::<S, 4>(simd, few)),
                _ => apart(simd, || tile.outputs::<S, 5>(simd, few)),
            }
        }
    }
}

impl<T: Number> FlatTile<'_, T> {
    /// Register tiles of `P` blocks of outputs.
    #[inline(always)]
    unsafe fn outputs<S: Simd, const P: usize>(&mut self, simd: S, blocks: std::ops::Range<usize>) {
        let block = VECTORS * T::lanes::<S>();
        let width = Width::<VECTORS, false>(block);
        let (src, weights, dst) = (self.src.as_ptr(), self.weights.as_ptr(), self.dst.as_mut_ptr());
        let mut first = blocks.start;
        while first + P <= blocks.end {
            let factors = Factors {
                rows: std::array::from_fn(|p| src.wrapping_add((first + p) * block)),
                row_step: self.step[0],
                // A run of one tap takes no step, and that of a large stride may be of any size.
                vector_step: self.step[1].wrapping_mul(block),
                spread: EachLane,
            };
            let mut sums = [[T::splat(simd, self.bias); VECTORS]; P];
            for run in self.runs {
                let vectors = weights.wrapping_add(run.weight * block);
                let run = Run { row: run.offset, vectors, len: run.len };
                // SAFETY: the caller's promise.
                sums = unsafe { add(simd, width, &factors, run, sums, &mut Ahead::nothing()) };
            }
            let to = std::array::from_fn(|p| dst.wrapping_add((first + p) * block));
            // SAFETY: dst has these blocks.
            unsafe { finish(simd, width, to, sums, None, self.clamp.map(Clamp::of)) };
            first += P;
        }
    }
}
