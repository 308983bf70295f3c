//! The kernel of planes: products for some output channels × pixels, from patches that lie as depth × pixels.

use std::ops::Range;

use crate::ahead::Ahead;
use crate::data_type::Layout;
use crate::end::End;
use crate::isa;
use crate::lanes::prefetch_line;
use crate::matrix::{Matrix, MatrixMut};
use crate::number::Number;
use crate::spread::AllLanes;
use crate::sums::{
    FEW, FOUR, Factors, MANY, Run, VECTORS, WIDE, add, finish, most_rows, most_vectors, rows_of_rest,
};
use crate::vectors::{Kernel, Vectors};
use crate::width::{Reading, Whole, Width};

/// Output channels of a block of packed weights, depth × channels each: those of a register tile of this machine.
pub fn channels_of_rows() -> usize {
    struct Channels;
    impl Kernel for Channels {
        type Output = usize;
        #[inline(always)]
        fn run<S: Vectors>(self, _: S) -> usize {
            most_rows::<S>()
        }
    }
    isa::dispatch(Channels)
}

/// Some output channels of some pixels.
pub struct PlaneTile<'a, 'b, T: Number> {
    /// Depth × pixels.
    pub patches: Matrix<'a, T>,
    /// The channels' weights in blocks of [`channels_of_rows`], each depth × channels.
    pub weights: &'a [T],
    /// What becomes of the products.
    pub end: End<'a, T>,
    /// Channels × pixels.
    pub dst: MatrixMut<'b, T>,
}

impl<T: Number> PlaneTile<'_, '_, T> {
    /// Computes dst.
    pub(crate) fn run_checked(mut self) {
        let (channels, pixels, depth) = (self.dst.rows(), self.dst.cols(), self.patches.rows());
        assert_eq!(self.patches.cols(), pixels);
        assert!(self.weights.len() >= channels * depth);
        assert!(self.end.has(channels));
        let rest = self.end.in_memory();
        self.end = self.end.in_registers();
        isa::dispatch(PlaneTile { dst: self.dst.reborrow(), ..self });
        rest.finish_checked(&mut self.dst, Layout::Nchw);
    }
}

impl<T: Number> Kernel for PlaneTile<'_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Vectors>(mut self, simd: S) {
        let most = most_rows::<S>();
        let channels = self.dst.rows();
        let mut first = 0;
        while first < channels {
            let rows = most.min(channels - first);
            // All pixels of a block of channels, whose weights then stay in the first cache level.
            let mut row = 0;
            while row < rows {
                let few = if rows - row >= most { most } else { rows_of_rest::<S>(rows - row) };
                let block = self.rows(first, row, rows);
                // SAFETY: `run_checked` saw that weights, bias, patches and dst have these rows and pixels.
                unsafe {
                    match few {
                        1 => block.run::<S, 1>(simd, &self.patches),
                        2 if const { !S::FEW_FORMS } => block.run::<S, 2>(simd, &self.patches),
                        3 if const { !S::FEW_FORMS } => block.run::<S, 3>(simd, &self.patches),
                        FOUR if const { !S::FEW_FORMS } => block.run::<S, FOUR>(simd, &self.patches),
                        _ if const { S::MANY_REGISTERS } && few == MANY => {
                            block.run_wide::<S, FEW>(simd, &self.patches);
                            let pixel =
                                self.rows(first, row + FEW, rows).run_wide::<S, FEW>(simd, &self.patches);
                            block.run_rest::<S, MANY>(simd, &self.patches, pixel);
                        }
                        _ => block.run::<S, FEW>(simd, &self.patches),
                    }
                }
                row += few;
            }
            first += rows;
        }
    }
}

impl<T: Number> PlaneTile<'_, '_, T> {
    /// The channels of the block of `rows` that begins with `first`, from its one of number `row` on.
    #[inline(always)]
    fn rows(&mut self, first: usize, row: usize, rows: usize) -> ChannelRows<T> {
        let ld = self.dst.ld();
        ChannelRows {
            weights: self.weights[first * self.patches.rows() + row..].as_ptr(),
            step: rows,
            bias: self.end.bias.map(|bias| bias[first + row..].as_ptr()),
            // A pointer to an element of dst, as there is this row.
            dst: self.dst.as_mut_ptr().wrapping_add((first + row) * ld),
            ld,
            addend: self.end.accumulate.then(|| self.dst.addend_ptr().wrapping_add((first + row) * ld)),
            bounds: self.end.bounds(),
        }
    }
}

/// Some channels.
struct ChannelRows<T> {
    weights: *const T,
    /// Channels of the block of weights.
    step: usize,
    bias: Option<*const T>,
    dst: *mut T,
    ld: usize,
    /// What they are added to, if they are.
    addend: Option<*const T>,
    bounds: Option<[T; 2]>,
}

impl<T: Number> ChannelRows<T> {
    /// `P` channels of all pixels.
    #[inline(always)]
    unsafe fn run<S: Vectors, const P: usize>(&self, simd: S, patches: &Matrix<'_, T>) {
        // SAFETY: the caller's promise.
        unsafe {
            let pixel = self.run_wide::<S, P>(simd, patches);
            self.run_rest::<S, P>(simd, patches, pixel);
        }
    }

    /// `P` channels of the first pixels, as many as there are in whole tiles of [`WIDE`] vectors; how many these are.
    #[inline(always)]
    unsafe fn run_wide<S: Vectors, const P: usize>(&self, simd: S, patches: &Matrix<'_, T>) -> usize {
        if const { most_vectors::<S>() < WIDE } {
            return 0;
        }
        let step = WIDE * T::lanes::<S>();
        let pixels = patches.cols() / step * step;
        simd.apart(|| {
            for pixel in (0..pixels).step_by(step) {
                // SAFETY: the caller's promise.
                unsafe { self.tile::<S, _, P, WIDE>(simd, Whole, patches, pixel..pixel + step) };
            }
        });
        pixels
    }

    /// `P` channels of the pixels from one on.
    #[inline(always)]
    unsafe fn run_rest<S: Vectors, const P: usize>(
        &self,
        simd: S,
        patches: &Matrix<'_, T>,
        mut pixel: usize,
    ) {
        let (pixels, step) = (patches.cols(), VECTORS * T::lanes::<S>());
        simd.apart(|| {
            while pixel + step <= pixels {
                // SAFETY: the caller's promise.
                unsafe { self.tile::<S, _, P, VECTORS>(simd, Whole, patches, pixel..pixel + step) };
                pixel += step;
            }
        });
        let (rest, left) = (pixels - pixel, pixel..pixels);
        // SAFETY: the caller's promise.
        unsafe {
            match rest.div_ceil(T::lanes::<S>()) {
                0 => {}
                1 => simd.apart(|| self.tile::<S, _, P, 1>(simd, Width::<1>(rest), patches, left)),
                _ => simd.apart(|| self.tile::<S, _, P, 2>(simd, Width::<2>(rest), patches, left)),
            }
        }
    }

    /// One register tile of `P` channels × `V` vectors of pixels.
    #[inline(always)]
    unsafe fn tile<S: Vectors, R: Reading<S, T>, const P: usize, const V: usize>(
        &self,
        simd: S,
        reading: R,
        patches: &Matrix<'_, T>,
        pixels: Range<usize>,
    ) {
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
        let factors = Factors::<T, P> {
            rows: std::array::from_fn(|p| self.weights.wrapping_add(p)),
            row_step: self.step,
            vector_step: patches.ld(),
            spread: AllLanes,
        };
        let vectors = patches.data().as_ptr().wrapping_add(pixels.start);
        let run = Run { row: 0, vectors, len: patches.rows() };
        // SAFETY: the caller's promise.
        unsafe {
            let sums = add(simd, reading, &factors, run, sums, &mut Ahead::nothing());
            let addend =
                self.addend.map(|at| std::array::from_fn(|p| at.wrapping_add(p * self.ld + pixels.start)));
            finish::<S, T, P, V>(simd, Width::<V>(pixels.len()), dst, sums, addend, self.bounds);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::for_each_shape;

    /// Products of small integers are exact, and so all shapes give the definition's.
    #[test]
    fn tiles_of_all_shapes_hold_the_products() {
        for_each_shape(|| {
            for (channels, pixels, depth) in [(29, 150, 5), (12, 64, 9), (7, 33, 3), (1, 1, 1), (24, 113, 2)]
            {
                check::<f32>(channels, pixels, depth);
                check::<f64>(channels, pixels, depth);
            }
        });
    }

    fn check<T: Number>(channels: usize, pixels: usize, depth: usize) {
        let value = |at: usize| T::from_f64((at * 7 % 11) as f64 - 5.0);
        let weight = |channel: usize, k: usize| value(3 * channel + 5 * k);
        let patches: Vec<T> = (0..depth * pixels).map(value).collect();
        let block = channels_of_rows();
        let mut weights = Vec::new();
        for first in (0..channels).step_by(block) {
            let of_block = first..channels.min(first + block);
            weights.extend((0..depth).flat_map(|k| of_block.clone().map(move |channel| weight(channel, k))));
        }
        let bias: Vec<T> = (0..channels).map(value).collect();
        let mut dst = vec![T::from_f64(f64::NAN); channels * pixels];
        PlaneTile {
            patches: Matrix::new(&patches[..], depth, pixels, pixels),
            weights: &weights,
            end: End { bias: Some(&bias), ..End::NOTHING },
            dst: MatrixMut::new(&mut dst, channels, pixels, pixels),
        }
        .run_checked();
        for (at, &sum) in dst.iter().enumerate() {
            let (channel, pixel) = (at / pixels, at % pixels);
            let products = (0..depth).map(|k| weight(channel, k).into() * patches[k * pixels + pixel].into());
            let exact: f64 = bias[channel].into() + products.sum::<f64>();
            assert_eq!(sum.into(), exact, "channel {channel}, pixel {pixel}");
        }
    }
}
