//! Products for planes: some output channels × pixels, of patches that lie as depth × pixels.

use std::ops::Range;

use pulp::{Simd, WithSimd};

use super::isa;
use super::sums::{Ahead, FEW, Factors, MANY, Run, Shared, VECTORS, Width, add, apart, finish};
use crate::lowering::lanes::prefetch_line;
use crate::matrix::{Matrix, MatrixMut};
use crate::number::Number;
use crate::problem::Clamp;

/// Output channels of a block of packed weights, depth × channels each: those of a register tile of this machine.
pub fn channels_of_rows() -> usize {
    struct Channels;
    impl WithSimd for Channels {
        type Output = usize;
        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) -> usize {
            if S::REGISTER_COUNT >= 32 { MANY } else { FEW }
        }
    }
    isa::dispatch(Channels)
}

/// Some output channels of some pixels.
pub struct PlaneTile<'a, 'b, T> {
    /// Depth × pixels.
    pub patches: Matrix<'a, T>,
    /// The channels' weights in blocks of [`channels_of_rows`], each depth × channels.
    pub weights: &'a [T],
    /// One value a channel.
    pub bias: Option<&'a [T]>,
    /// Whether the products are added to dst's addend.
    pub accumulate: bool,
    /// What is applied last.
    pub clamp: Option<Clamp>,
    /// Channels × pixels.
    pub dst: MatrixMut<'b, T>,
}

impl<T: Number> PlaneTile<'_, '_, T> {
    /// dst ← clamp(weights · patches + bias), or + dst.
    pub fn run(self) {
        let (channels, pixels, depth) = (self.dst.rows(), self.dst.cols(), self.patches.rows());
        assert_eq!(self.patches.cols(), pixels);
        assert_eq!(self.weights.len(), channels * depth);
        assert!(self.bias.is_none_or(|bias| bias.len() == channels));
        isa::dispatch(self);
    }
}

impl<T: Number> WithSimd for PlaneTile<'_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let most = if S::REGISTER_COUNT >= 32 { MANY } else { FEW };
        let (channels, depth) = (self.dst.rows(), self.patches.rows());
        let ld = self.dst.ld();
        let mut first = 0;
        while first < channels {
            let rows = most.min(channels - first);
            // All pixels of a block of channels, whose weights then stay in the first cache level.
            let mut row = 0;
            while row < rows {
                let few = if rows - row >= most { most } else { (rows - row).min(FEW) };
                let block = Rows {
                    weights: self.weights[first * depth + row..].as_ptr(),
                    step: rows,
                    bias: self.bias.map(|bias| bias[first + row..].as_ptr()),
                    // A pointer to an element of dst, as there is this row.
                    dst: self.dst.as_mut_ptr().wrapping_add((first + row) * ld),
                    ld,
                    addend: self.accumulate.then(|| self.dst.addend_ptr().wrapping_add((first + row) * ld)),
                    clamp: self.clamp.map(Clamp::of),
                };
                // SAFETY: `run` checked that weights, bias, patches and dst have these rows and pixels.
                unsafe {
                    match few {
                        1 => block.run::<S, 1>(simd, &self.patches),
                        2 => block.run::<S, 2>(simd, &self.patches),
                        3 => block.run::<S, 3>(simd, &self.patches),
                        4 => block.run::<S, 4>(simd, &self.patches),
                        5 => block.run::<S, 5>(simd, &self.patches),
                        MANY if S::REGISTER_COUNT >= 32 => block.run::<S, MANY>(simd, &self.patches),
                        _ => block.run::<S, FEW>(simd, &self.patches),
                    }
                }
                row += few;
            }
            first += rows;
        }
    }
}

/// Some channels.
struct Rows<T> {
    weights: *const T,
    /// Channels of the block of weights.
    step: usize,
    bias: Option<*const T>,
    dst: *mut T,
    ld: usize,
    /// What they are added to, if they are.
    addend: Option<*const T>,
    clamp: Option<Clamp<T>>,
}

impl<T: Number> Rows<T> {
    /// `P` channels of all pixels.
    #[inline(always)]
    unsafe fn run<S: Simd, const P: usize>(&self, simd: S, patches: &Matrix<'_, T>) {
        let (pixels, step) = (patches.cols(), VECTORS * T::lanes::<S>());
        let mut pixel = 0;
        apart(simd, || {
            while pixel + step <= pixels {
                // SAFETY: the caller's promise.
                unsafe { self.tile::<S, P, VECTORS, false>(simd, patches, pixel..pixel + step) };
                pixel += step;
            }
        });
        let rest = pixels - pixel;
        // SAFETY: the caller's promise.
        unsafe {
            match (rest.div_ceil(T::lanes::<S>()), rest % T::lanes::<S>()) {
                (0, _) => {}
                (1, 0) => self.tile::<S, P, 1, false>(simd, patches, pixel..pixels),
                (1, _) => self.tile::<S, P, 1, true>(simd, patches, pixel..pixels),
                _ => self.tile::<S, P, 2, true>(simd, patches, pixel..pixels),
            }
        }
    }

    /// One register tile of `P` channels × `V` vectors of pixels.
    #[inline(always)]
    unsafe fn tile<S: Simd, const P: usize, const V: usize, const PART: bool>(
        &self,
        simd: S,
        patches: &Matrix<'_, T>,
        pixels: Range<usize>,
    ) {
        let width = Width::<V, PART>(pixels.len());
        let dst: [*mut T; P] = std::array::from_fn(|p| self.dst.wrapping_add(p * self.ld + pixels.start));
        let mut sums = [[T::splat(simd, T::ZERO); V]; P];
        let mut p = 0;
        while p < P {
            // They come from far away while the sums are built.
            prefetch_line(dst[p]);
            if let Some(bias) = self.bias {
                // SAFETY: the caller has as many biases as channels.
                sums[p] = [T::splat(simd, unsafe { *bias.add(p) }); V];
            }
            p += 1;
        }
        let factors = Factors {
            rows: std::array::from_fn(|p| self.weights.wrapping_add(p)),
            row_step: self.step,
            vector_step: patches.ld(),
            spread: Shared,
        };
        let vectors = patches.data().as_ptr().wrapping_add(pixels.start);
        let run = Run { row: 0, vectors, len: patches.rows() };
        // SAFETY: the caller's promise.
        unsafe {
            let sums = add(simd, width, &factors, run, sums, &mut Ahead::nothing());
            let addend =
                self.addend.map(|at| std::array::from_fn(|p| at.wrapping_add(p * self.ld + pixels.start)));
            finish(simd, width, dst, sums, addend, self.clamp);
        }
    }
}
