//! Depthwise sums of pixels: some output columns of a row × a vector of channels that each have an input of their own. A
//! pixel is loaded once for all the taps of a kernel row that read it.

use std::ops::Range;

use pulp::{Simd, WithSimd};

use super::isa;
use super::sums::{Sums, VECTORS, Width, apart, finish};
use crate::lowering::image::Image;
use crate::matrix::MatrixMut;
use crate::number::Number;
use crate::problem::{Axis, Clamp, Problem};

/// Columns of a tile: networks halve their maps down to 7×7, so that all their widths are multiples of it. With kernels
/// of three columns two vectors of each fill a line of the cache; their sums leave two of AVX2's 16 registers, and weights are
/// read from the first cache level as they are used. With larger ones it is a vector, and weights have registers.
const MOST: usize = 7;

/// Input columns before and behind those of a tile that padding as wide as half of the kernel may cover: they alone are tested.
const fn edges(kernel: usize, stride: usize) -> [usize; 2] {
    [kernel / 2, kernel / 2 + stride - 1]
}

/// Whether rows of this axis are computed here.
pub fn takes_row(Axis { kernel, stride, dilation, transposed, .. }: &Axis) -> bool {
    !transposed && *dilation == 1 && matches!((kernel, stride), (3 | 5, 1 | 2) | (7, 1))
}

/// Some output pixels × channels, each channel with an input channel of its own, of a convolution of two dimensions whose
/// columns [`takes_row`].
pub struct RowTile<'a, 'b, T> {
    /// The convolution.
    pub problem: &'a Problem,
    /// Its input, or a part of it, from the first of the channels on, which lie side by side.
    pub image: &'a Image<'a, T>,
    /// The input row and column with which the image's data begin.
    pub origin: [usize; 2],
    /// The channels' weights in blocks of [`channels_of_block`](super::channels_of_block), each taps × channels.
    pub weights: &'a [T],
    /// One value a channel.
    pub bias: Option<&'a [T]>,
    /// Whether the sums are added to dst's addend.
    pub accumulate: bool,
    /// What is applied last.
    pub clamp: Option<Clamp>,
    /// The output rows and columns.
    pub outputs: [Range<usize>; 2],
    /// Pixels × channels.
    pub dst: MatrixMut<'b, T>,
}

impl<T: Number> RowTile<'_, '_, T> {
    /// dst ← clamp(convolution + bias), or + dst.
    pub fn run(self) {
        let Problem { rows, cols, .. } = self.problem;
        let channels = self.dst.cols();
        assert!(takes_row(cols) && !rows.transposed);
        assert_eq!(self.dst.rows(), self.outputs[0].len() * self.outputs[1].len());
        assert_eq!(self.weights.len(), channels * rows.kernel * cols.kernel);
        assert!(self.bias.is_none_or(|bias| bias.len() == channels));
        assert_eq!(self.image.channel, 1);
        let [ys, xs] = [(rows, &self.outputs[0]), (cols, &self.outputs[1])].map(|(axis, outputs)| {
            assert!(outputs.end <= axis.output);
            axis.window(outputs)
        });
        if !ys.is_empty() && !xs.is_empty() {
            assert!(self.origin[0] <= ys.start && self.origin[1] <= xs.start);
            let last = (ys.end - 1 - self.origin[0]) * self.image.row
                + (xs.end - 1 - self.origin[1]) * self.image.pixel;
            assert!(last + channels <= self.image.data.len());
        }
        isa::dispatch(self);
    }
}

impl<T: Number> WithSimd for RowTile<'_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        // SAFETY: `run` has checked that the image holds what the outputs see of these channels, and that weights, bias and
        // dst have them.
        unsafe {
            match (self.problem.cols.kernel, self.problem.cols.stride) {
                (3, 1) => self.rows::<S, 3, 1>(simd),
                (3, _) => self.rows::<S, 3, 2>(simd),
                (5, 1) => self.rows::<S, 5, 1>(simd),
                (5, _) => self.rows::<S, 5, 2>(simd),
                _ => self.rows::<S, 7, 1>(simd),
            }
        }
    }
}

/// The channels' weights, bias and clamp.
struct Channels<T> {
    count: usize,
    weights: *const T,
    bias: Option<*const T>,
    taps: usize,
    clamp: Option<Clamp<T>>,
}

/// Some columns of an output row.
#[derive(Clone)]
struct Columns<T> {
    /// Where the first tap of the first column would lie in the first kernel row that is inside the input, which wraps around
    /// where it is padding.
    src: *const T,
    /// Elements from one kernel row to the next, and from one pixel.
    row: usize,
    pixel: usize,
    /// Kernel rows inside the input.
    is: Range<usize>,
    /// Input columns, counted from the first tap's, that are inside.
    inside: Range<usize>,
    dst: *mut T,
    ld: usize,
    addend: Option<*const T>,
}

impl<T: Number> RowTile<'_, '_, T> {
    /// All rows, for kernel rows of `KW` taps. The channels of a few pixels one after the other, since they lie side by side.
    #[inline(always)]
    unsafe fn rows<S: Simd, const KW: usize, const STRIDE: usize>(&mut self, simd: S) {
        let Problem { rows, cols, .. } = self.problem;
        let (image, ld, width) = (self.image, self.dst.ld(), self.outputs[1].len());
        let channels = Channels {
            count: self.dst.cols(),
            weights: self.weights.as_ptr(),
            bias: self.bias.map(<[T]>::as_ptr),
            taps: self.problem.taps(),
            clamp: self.clamp.map(Clamp::of),
        };
        for (number, y) in self.outputs[0].clone().enumerate() {
            let is = rows.taps_of_output(y);
            let first_row = if is.is_empty() { 0 } else { rows.input_of(y, is.start) - self.origin[0] };
            let mut x = 0;
            while x < width {
                let mut count = if width - x < MOST { 1 } else { MOST };
                if count == 1 && width > MOST && !self.accumulate {
                    // Some columns once more, rather than one by one.
                    (x, count) = (width - MOST, MOST);
                }
                // The input column of the first tap, behind the padding.
                let start = (self.outputs[1].start + x) * STRIDE;
                let reach = (count - 1) * STRIDE + KW;
                let first = cols.pad_before.saturating_sub(start).min(reach);
                let end = (cols.input + cols.pad_before).saturating_sub(start).clamp(first, reach);
                let column = start.wrapping_sub(cols.pad_before).wrapping_sub(self.origin[1]);
                let place = (first_row * image.row).wrapping_add(column.wrapping_mul(image.pixel));
                let at = (number * width + x) * ld;
                let columns = Columns {
                    src: image.data.as_ptr().wrapping_add(place),
                    row: image.row * rows.dilation,
                    pixel: image.pixel,
                    is: is.clone(),
                    inside: first..end,
                    dst: self.dst.as_mut_ptr().wrapping_add(at),
                    ld,
                    addend: self.accumulate.then(|| self.dst.addend_ptr().wrapping_add(at)),
                };
                // SAFETY: the caller's promise.
                unsafe {
                    match count {
                        MOST if columns.inside == (0..reach) => {
                            apart(simd, || columns.channels::<S, KW, STRIDE, MOST, true>(simd, &channels));
                        }
                        MOST if first <= edges(KW, STRIDE)[0] && reach - end <= edges(KW, STRIDE)[1] => {
                            apart(simd, || columns.channels::<S, KW, STRIDE, MOST, false>(simd, &channels));
                        }
                        _ => {
                            for p in 0..count {
                                let column = columns.column::<KW, STRIDE>(p);
                                apart(simd, || {
                                    column.channels::<S, KW, STRIDE, 1, false>(simd, &channels);
                                });
                            }
                        }
                    }
                }
                x += count;
            }
        }
    }
}

/// Writes a block for each number, which is a constant there: every index is known, and sums stay in registers.
macro_rules! for_each {
    ($name:ident in [$($number:literal)+] => $body:block) => { $({
        const $name: usize = $number;
        $body
    })+ };
}

impl<T: Number> Columns<T> {
    /// All channels of `P` columns. Their taps are all inside if `ALL`, and otherwise, of several columns, but for the edges.
    #[inline(always)]
    unsafe fn channels<S: Simd, const KW: usize, const STRIDE: usize, const P: usize, const ALL: bool>(
        &self,
        simd: S,
        channels: &Channels<T>,
    ) {
        let lanes = T::lanes::<S>();
        let mut first = 0;
        while first < channels.count {
            // Those that are packed together.
            let of_block = (VECTORS * lanes).min(channels.count - first);
            let weights = channels.weights.wrapping_add(first * channels.taps);
            let mut lane = 0;
            while lane < of_block {
                let (rest, at) = (of_block - lane, first + lane);
                let weights = (weights.wrapping_add(lane), of_block);
                // SAFETY: the caller's promise; there are so many channels left.
                unsafe {
                    if KW == 3 && rest == VECTORS * lanes {
                        let width = Width::<VECTORS, false>(rest);
                        self.vectors::<S, KW, STRIDE, P, VECTORS, false, ALL>(
                            simd, width, channels, at, weights,
                        );
                        lane += rest;
                    } else if rest >= lanes {
                        let width = Width::<1, false>(lanes);
                        self.vectors::<S, KW, STRIDE, P, 1, false, ALL>(simd, width, channels, at, weights);
                        lane += lanes;
                    } else {
                        self.part::<S, KW, STRIDE, P>(simd, Width(rest), channels, at, weights);
                        lane += rest;
                    }
                }
            }
            first += of_block;
        }
    }

    /// One of the columns.
    fn column<const KW: usize, const STRIDE: usize>(&self, p: usize) -> Self {
        let before = p * STRIDE;
        let inside = |at: usize| at.saturating_sub(before).min(KW);
        Self {
            src: self.src.wrapping_add(before * self.pixel),
            inside: inside(self.inside.start)..inside(self.inside.end),
            dst: self.dst.wrapping_add(p * self.ld),
            addend: self.addend.map(|addend| addend.wrapping_add(p * self.ld)),
            is: self.is.clone(),
            ..*self
        }
    }

    /// A part of a vector, which is rare: column by column.
    #[inline(always)]
    unsafe fn part<S: Simd, const KW: usize, const STRIDE: usize, const P: usize>(
        &self,
        simd: S,
        width: Width<1, true>,
        channels: &Channels<T>,
        first: usize,
        weights: (*const T, usize),
    ) {
        for p in 0..P {
            let column = self.column::<KW, STRIDE>(p);
            // SAFETY: the caller's promise.
            unsafe {
                column.vectors::<S, KW, STRIDE, 1, 1, true, false>(simd, width, channels, first, weights)
            };
        }
    }

    /// `V` vectors of channels of `P` columns. The weights of a tap lie so far from those of the next.
    #[inline(always)]
    unsafe fn vectors<
        S: Simd,
        const KW: usize,
        const STRIDE: usize,
        const P: usize,
        const V: usize,
        const PART: bool,
        const ALL: bool,
    >(
        &self,
        simd: S,
        width: Width<V, PART>,
        channels: &Channels<T>,
        first: usize,
        (weights, tap_step): (*const T, usize),
    ) {
        let mut sums: Sums<S, T, P, V> = [std::array::from_fn(|v| match channels.bias {
            // SAFETY: bias has these channels.
            Some(bias) => unsafe { width.load(simd, bias.wrapping_add(first), v) },
            None => T::splat(simd, T::ZERO),
        }); P];
        let mut src = self.src.wrapping_add(first);
        let mut weights = weights.wrapping_add(self.is.start * KW * tap_step);
        for _ in self.is.clone() {
            for_each!(COLUMN in [0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16] => {
                let reach = (P - 1) * STRIDE + KW;
                let [before, behind] = if P == 1 { [KW; 2] } else { edges(KW, STRIDE) };
                let tested = !ALL && (COLUMN < before || COLUMN + behind >= reach);
                if COLUMN < reach && (!tested || self.inside.contains(&COLUMN)) {
                    let pixel = src.wrapping_add(COLUMN * self.pixel);
                    for_each!(VECTOR in [0 1] => {
                        if VECTOR < V {
                            // SAFETY: the column is inside the input.
                            let value = unsafe { width.load(simd, pixel, VECTOR) };
                            for_each!(OUTPUT in [0 1 2 3 4 5 6] => {
                                // Beyond every tap where the column lies before the output's first.
                                let tap = COLUMN.wrapping_sub(OUTPUT * STRIDE);
                                if OUTPUT < P && tap < KW {
                                    let tap = weights.wrapping_add(tap * tap_step);
                                    // SAFETY: a tap of the kernel row.
                                    let weight = unsafe { width.load(simd, tap, VECTOR) };
                                    let sum = &mut sums[OUTPUT][VECTOR];
                                    *sum = T::multiply_add(simd, value, weight, *sum);
                                }
                            });
                        }
                    });
                }
            });
            src = src.wrapping_add(self.row);
            weights = weights.wrapping_add(KW * tap_step);
        }
        let dst = std::array::from_fn(|p| self.dst.wrapping_add(p * self.ld + first));
        let addend =
            self.addend.map(|addend| std::array::from_fn(|p| addend.wrapping_add(p * self.ld + first)));
        // SAFETY: dst has these columns and channels, and so has its addend.
        unsafe { finish(simd, width, dst, sums, addend, channels.clamp) };
    }
}
