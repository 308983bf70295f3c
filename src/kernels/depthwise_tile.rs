//! Depthwise sums of pixels: some outputs of a row × a vector of channels that each have an input of their own.

use std::ops::Range;

use pulp::{NullaryFnOnce, Simd, WithSimd};

use super::isa;
use super::pixel_tile::{KEPT_BYTES, channels_of_block};
use super::places::{Place, Places, last_seen, tap_steps};
use super::sums::{Sums, VECTORS, Width, apart, finish, reread};
use crate::lowering::image::Image;
use crate::lowering::lanes::prefetch_line;
use crate::lowering::moves::finish_planes;
use crate::matrix::{Matrix, MatrixMut};
use crate::number::Number;
use crate::problem::{Axis, Clamp, Class, Layout, Problem, common};

/// Outputs of a register tile: networks halve their maps down to 7×7, so that all their widths are multiples of it. Two
/// vectors of each fill a line of the cache; their sums leave two of AVX2's 16 registers, one of them for the weights of a
/// tap, which multiply the outputs' pixels as these are read from the first cache level.
const MOST: usize = 7;
/// Bytes of an image that the first cache level holds.
const FIRST_LEVEL_BYTES: usize = 16 << 10;

/// Some output pixels × channels, each channel with an input channel of its own.
pub struct DepthwiseTile<'a, 'b, T> {
    /// The convolution.
    pub problem: &'a Problem,
    /// Its input, or a part of it, from the first of the channels on, which lie side by side.
    pub image: &'a Image<'a, T>,
    /// The input plane, row and column with which the image's data begin.
    pub origin: [usize; 3],
    /// The channels' weights in blocks of [`channels_of_block`], each taps × channels.
    pub weights: &'a [T],
    /// One value a channel.
    pub bias: Option<&'a [T]>,
    /// Whether the sums are added to dst's addend.
    pub accumulate: bool,
    /// What is applied last.
    pub clamp: Option<Clamp>,
    /// The output planes, rows and columns.
    pub outputs: [Range<usize>; 3],
    /// The pixels' part of dst, as the problem's layout has it.
    pub dst: MatrixMut<'b, T>,
}

impl<T: Number> DepthwiseTile<'_, '_, T> {
    /// dst ← clamp(convolution + bias), or + dst. On the way to planes, sums are kept in [`KEPT_BYTES`] of elements, whatever
    /// these hold.
    pub fn run(self, kept: &mut [T]) {
        let pixels = self.outputs.iter().map(Range::len).product::<usize>();
        let (of_dst, channels) = match self.problem.dst_layout {
            Layout::Nhwc => (self.dst.rows(), self.dst.cols()),
            Layout::Nchw => (self.dst.cols(), self.dst.rows()),
        };
        assert!(pixels > 0 && of_dst == pixels);
        assert_eq!(self.weights.len(), channels * self.problem.taps());
        assert!(self.bias.is_none_or(|bias| bias.len() == channels));
        assert_eq!(self.image.channel, 1);
        let last = last_seen(self.problem, self.image, self.origin, &self.outputs);
        assert!(last.is_none_or(|last| last + channels <= self.image.data.len()));
        match self.problem.dst_layout {
            Layout::Nhwc => isa::dispatch(self),
            Layout::Nchw => self.run_to_planes(kept),
        }
    }

    /// The same to planes, to which the sums of some pixels of some channels are moved.
    fn run_to_planes(mut self, kept: &mut [T]) {
        assert_eq!(size_of_val(kept), KEPT_BYTES);
        let block = channels_of_block(self.problem.data_type);
        let most = kept.len() / block;
        let [planes, rows, cols] = self.outputs.clone();
        let width = cols.len().min(most);
        let height = (most / width).min(rows.len());
        let (taps, all) = (self.problem.taps(), self.dst.rows());
        let at_once = kept.len() / (width * height) / block * block;
        for first in (0..all).step_by(at_once) {
            let channels = first..all.min(first + at_once);
            let image = self.image.channels_from(first);
            for z in planes.clone() {
                for y in rows.clone().step_by(height) {
                    for x in cols.clone().step_by(width) {
                        let outputs = [z..z + 1, y..rows.end.min(y + height), x..cols.end.min(x + width)];
                        let pixels = outputs[1].len() * outputs[2].len();
                        let sums = &mut kept[..pixels * channels.len()];
                        isa::dispatch(DepthwiseTile {
                            image: &image,
                            weights: &self.weights[channels.start * taps..channels.end * taps],
                            bias: self.bias.map(|bias| &bias[channels.clone()]),
                            accumulate: false,
                            clamp: self.clamp.filter(|_| !self.accumulate),
                            outputs,
                            dst: MatrixMut::new(sums, pixels, channels.len(), channels.len()),
                            ..self
                        });
                        let from =
                            ((z - planes.start) * rows.len() + y - rows.start) * cols.len() + x - cols.start;
                        let mut to = self.dst.part(channels.clone(), from..from + pixels);
                        let sums = Matrix::new(sums, pixels, channels.len(), channels.len());
                        finish_planes(&sums, &mut to, self.accumulate, self.clamp);
                    }
                }
            }
        }
    }
}

impl<T: Number> WithSimd for DepthwiseTile<'_, '_, T> {
    type Output = ();

    /// dst is pixels × channels here.
    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let [planes, rows, cols] = self.problem.axes();
        for z in planes.classes(&self.outputs[0]) {
            for y in rows.classes(&self.outputs[1]) {
                for x in cols.classes(&self.outputs[2]) {
                    // SAFETY: `run` has checked that the image holds what the outputs see of these channels, and that
                    // weights, bias and dst have them.
                    unsafe { self.run_class(simd, [&z, &y, &x]) };
                }
            }
        }
    }
}

/// What all tiles of a class share.
#[derive(Clone, Copy)]
struct Channels<T> {
    count: usize,
    /// Those of the class's tap (0, 0, 0) of the first block.
    weights: *const T,
    bias: Option<*const T>,
    clamp: Option<Clamp<T>>,
    /// Whether the image is larger than the first cache level.
    is_far: bool,
    /// Taps of a channel, all classes together, and the class's first one.
    taps: usize,
    first_tap: usize,
    /// From one tap to the next of the two outer axes and of that along which the tiles lie: elements of the image, and
    /// taps.
    tap_steps: [(usize, usize); 3],
    /// The axis along which the tiles lie, and the one across.
    along: Axis,
    across: Axis,
    /// From one output to the next of both.
    output_step: Place,
    row_step: Place,
    /// The outputs across, from one to before another.
    rows: [usize; 2],
}

/// Some outputs that lie one behind the other.
#[derive(Clone, Copy)]
struct Tile<T> {
    /// Where the first output's first tap would lie.
    src: *const T,
    dst: *mut T,
    addend: Option<*const T>,
    /// Outputs, at most [`MOST`].
    count: usize,
    /// The taps of the two other axes that are inside the input: from one to before another.
    outer: [usize; 2],
    inner: [usize; 2],
    /// The taps that some output sees, and those that [`MOST`] of them see.
    taps: [usize; 2],
    of_all: [usize; 2],
    /// Where on its axis the first output's first tap would lie, which wraps around.
    position: usize,
    /// Tiles side by side that differ in nothing but their place.
    alike: usize,
}

impl<T: Number> DepthwiseTile<'_, '_, T> {
    /// The outputs of a class.
    #[inline(always)]
    unsafe fn run_class<S: Simd>(&mut self, simd: S, classes: [&Class; 3]) {
        let places = Places::new(self.image, self.origin, classes, self.outputs.each_ref(), self.dst.ld());
        // Tiles lie along the columns, or along rows or planes where these are more.
        let long = |at: &usize| places.outputs[*at].len() >= MOST;
        let [a, b, c] = match [2, 1, 0].into_iter().find(long) {
            Some(0) => [1, 2, 0],
            Some(1) => [0, 2, 1],
            _ => [0, 1, 2],
        };
        let steps = tap_steps(self.problem, self.image);
        let (along, across) = (classes[c].axis, classes[b].axis);
        let channels = Channels {
            count: self.dst.cols(),
            weights: self.weights.as_ptr(),
            bias: self.bias.map(<[T]>::as_ptr),
            clamp: self.clamp.map(Clamp::of),
            is_far: size_of_val(self.image.data) > FIRST_LEVEL_BYTES,
            taps: self.problem.taps(),
            first_tap: self.problem.first_tap(classes),
            tap_steps: [steps[a], steps[b], steps[c]],
            along,
            across,
            output_step: places.steps[c],
            row_step: places.steps[b],
            rows: [places.outputs[b].start, places.outputs[b].end],
        };
        let xs = &places.outputs[c];
        let inside = common(xs, &along.outputs_of_all_taps());
        for outer in places.outputs[a].clone() {
            let of_outer = classes[a].axis.taps_of_output(outer);
            let mut x = xs.start;
            while x < xs.end {
                let mut count = (xs.end - x).min(MOST);
                if count < MOST && xs.len() > MOST && !self.accumulate {
                    // Some outputs once more, rather than fewer at a time.
                    (x, count) = (xs.end - MOST, MOST);
                }
                let (mut taps, mut of_all, mut alike) = (0..along.kernel, 0..along.kernel, 1);
                if inside.start <= x && x + count <= inside.end {
                    alike = ((inside.end - x) / MOST).max(1);
                } else {
                    let (first, last) = (along.taps_of_output(x), along.taps_of_output(x + count - 1));
                    (taps, of_all) = (last.start..first.end, common(&first, &last));
                }
                if count < MOST || of_all.is_empty() {
                    of_all = taps.end..taps.end;
                }
                let mut output = [x; 3];
                (output[a], output[b]) = (outer, places.outputs[b].start);
                let place = places.of(output);
                let tile = Tile {
                    src: self.image.data.as_ptr().wrapping_add(place.src),
                    dst: self.dst.as_mut_ptr().wrapping_add(place.dst),
                    addend: self.accumulate.then(|| self.dst.addend_ptr().wrapping_add(place.dst)),
                    count,
                    outer: [of_outer.start, of_outer.end],
                    inner: [0; 2],
                    taps: [taps.start, taps.end],
                    of_all: [of_all.start, of_all.end],
                    position: (x * along.stride).wrapping_sub(along.pad_before),
                    alike,
                };
                // SAFETY: the caller's promise.
                unsafe {
                    match (along.kernel, along.stride, along.dilation) {
                        (3, 1, 1) if tile.is_regular::<3, 1>(&along) => tile.run::<S, 3, 1>(simd, &channels),
                        (3, 2, 1) if tile.is_regular::<3, 2>(&along) => tile.run::<S, 3, 2>(simd, &channels),
                        (5, 1, 1) if tile.is_regular::<5, 1>(&along) => tile.run::<S, 5, 1>(simd, &channels),
                        (5, 2, 1) if tile.is_regular::<5, 2>(&along) => tile.run::<S, 5, 2>(simd, &channels),
                        (7, 1, 1) if tile.is_regular::<7, 1>(&along) => tile.run::<S, 7, 1>(simd, &channels),
                        _ => tile.run::<S, ANY, ANY>(simd, &channels),
                    }
                }
                x += count + (alike - 1) * MOST;
            }
        }
    }
}

/// Any number of taps, with any stride and dilation.
const ANY: usize = 0;

/// Whether padding of half the kernel's width may cover this input column of a tile.
const fn is_edge(taps: usize, stride: usize, column: usize) -> bool {
    column < taps / 2 || column + taps / 2 + stride > (MOST - 1) * stride + taps
}

/// Writes a block for each of some numbers, which is a constant there: sums stay in registers.
macro_rules! for_each {
    ($name:ident => $body:block) => {
        for_each! { $name in [0 1 2 3 4 5 6] => $body }
    };
    ($name:ident in [$($number:literal)+] => $body:block) => { $({
        const $name: usize = $number;
        $body
    })+ };
}

/// A kernel row from one of its taps on, for the first output of a tile and some channels.
#[derive(Clone, Copy)]
struct Row<T> {
    src: *const T,
    weights: *const T,
    /// To the next tap: of the image, and of the weights.
    tap: Place,
    /// To the next output of the image.
    output: usize,
}

impl<T: Number> Row<T> {
    /// So many taps farther.
    #[inline(always)]
    fn plus(self, taps: usize) -> Self {
        Self {
            src: self.src.wrapping_add(self.tap.src.wrapping_mul(taps)),
            weights: self.weights.wrapping_add(self.tap.dst.wrapping_mul(taps)),
            ..self
        }
    }

    /// Adds the products of the tap of those outputs that see it.
    #[inline(always)]
    unsafe fn add<S: Simd, const V: usize, const PART: bool>(
        &self,
        simd: S,
        width: Width<V, PART>,
        sees: impl Fn(usize) -> bool,
        sums: &mut Sums<S, T, MOST, V>,
    ) {
        for_each!(VECTOR in [0 1] => {
            if VECTOR < V {
                // SAFETY: a tap of these channels.
                let weight = unsafe { width.load(simd, self.weights, VECTOR) };
                for_each!(OUTPUT => {
                    if sees(OUTPUT) {
                        let pixel = self.src.wrapping_add(self.output.wrapping_mul(OUTPUT));
                        // SAFETY: the output sees the tap.
                        let value = unsafe { width.load(simd, pixel, VECTOR) };
                        sums[OUTPUT][VECTOR] = T::multiply_add(simd, value, weight, sums[OUTPUT][VECTOR]);
                    }
                });
            }
        });
    }

    /// Asks for the next channels of the pixels under the tap, or if earlier taps have read all others, of the last one: they
    /// are too many, and lie too far apart, for the machine to foresee.
    #[inline(always)]
    fn ask<const V: usize, S: Simd>(&self, channels: &Channels<T>, fresh: bool) {
        if channels.is_far {
            let ahead = self.src.wrapping_add(V * T::lanes::<S>());
            for_each!(OUTPUT => {
                if fresh || OUTPUT + 1 == MOST {
                    prefetch_line(ahead.wrapping_add(self.output.wrapping_mul(OUTPUT)));
                }
            });
        }
    }
}

/// All rows of a tile and of those that are alike: the channels of whole blocks, or those behind them.
struct Rows<'a, S, T, const TAPS: usize, const STRIDE: usize, const ALL: bool, const WHOLE: bool> {
    simd: S,
    tile: &'a Tile<T>,
    channels: &'a Channels<T>,
    /// Channels of whole blocks.
    whole: usize,
}

impl<S: Simd, T: Number, const TAPS: usize, const STRIDE: usize, const ALL: bool, const WHOLE: bool>
    NullaryFnOnce for Rows<'_, S, T, TAPS, STRIDE, ALL, WHOLE>
{
    type Output = ();

    #[inline(always)]
    fn call(self) {
        // Copied, so that they are known to be the same after dst is written.
        let (mut first, channels) = (*self.tile, *self.channels);
        let [mut row, end] = channels.rows;
        while row < end {
            let taps = channels.across.taps_of_output(row);
            first.inner = [taps.start, taps.end];
            let (mut tile, mut left) = (first, first.alike);
            while left > 0 {
                // SAFETY: a tile of these channels is made only where all that it sees is there.
                unsafe {
                    if WHOLE {
                        tile.add_blocks::<S, TAPS, STRIDE, ALL>(self.simd, &channels, self.whole);
                    } else {
                        tile.add_rest(self.simd, &channels, self.whole);
                    }
                }
                tile = tile.plus(channels.output_step, MOST);
                tile.position = tile.position.wrapping_add(channels.along.stride.wrapping_mul(MOST));
                left -= 1;
            }
            first = first.plus(channels.row_step, 1);
            row += 1;
        }
    }
}

impl<T: Number> Tile<T> {
    /// All channels, whose kernel rows have so many taps that lie side by side, with outputs so many columns apart.
    #[inline(always)]
    unsafe fn run<S: Simd, const TAPS: usize, const STRIDE: usize>(&self, simd: S, channels: &Channels<T>) {
        let (tile, whole) = (self, channels.count - channels.count % (VECTORS * T::lanes::<S>()));
        if whole > 0 {
            if TAPS != ANY && self.of_all == [0, TAPS] {
                apart(simd, Rows::<S, T, TAPS, STRIDE, true, true> { simd, tile, channels, whole });
            } else {
                apart(simd, Rows::<S, T, TAPS, STRIDE, false, true> { simd, tile, channels, whole });
            }
        }
        if whole < channels.count {
            apart(simd, Rows::<S, T, ANY, ANY, false, false> { simd, tile, channels, whole });
        }
    }

    /// So many outputs farther.
    #[inline(always)]
    fn plus(self, step: Place, count: usize) -> Self {
        let [src, dst] = [step.src, step.dst].map(|step| step.wrapping_mul(count));
        Self {
            src: self.src.wrapping_add(src),
            dst: self.dst.wrapping_add(dst),
            addend: self.addend.map(|addend| addend.wrapping_add(dst)),
            ..self
        }
    }

    /// The channels of whole blocks.
    #[inline(always)]
    unsafe fn add_blocks<S: Simd, const TAPS: usize, const STRIDE: usize, const ALL: bool>(
        &self,
        simd: S,
        channels: &Channels<T>,
        whole: usize,
    ) {
        let block = VECTORS * T::lanes::<S>();
        let mut first = 0;
        while first < whole {
            let weights = (first * channels.taps + channels.first_tap * block, block);
            // SAFETY: the caller's promise; there are so many channels.
            unsafe {
                self.add::<S, VECTORS, false, TAPS, STRIDE, ALL>(
                    simd,
                    Width(block),
                    channels,
                    first,
                    weights,
                );
            }
            first += block;
        }
    }

    /// The channels behind them.
    #[inline(always)]
    unsafe fn add_rest<S: Simd>(&self, simd: S, channels: &Channels<T>, whole: usize) {
        let (lanes, of_block) = (T::lanes::<S>(), channels.count - whole);
        let first_weight = whole * channels.taps + channels.first_tap * of_block;
        let mut lane = 0;
        // SAFETY: the caller's promise; there are so many channels.
        unsafe {
            while lane + lanes <= of_block {
                let (width, weights) = (Width(lanes), (first_weight + lane, of_block));
                self.add::<S, 1, false, ANY, ANY, false>(simd, width, channels, whole + lane, weights);
                lane += lanes;
            }
            if lane < of_block {
                let (width, weights) = (Width(of_block - lane), (first_weight + lane, of_block));
                self.add::<S, 1, true, ANY, ANY, false>(simd, width, channels, whole + lane, weights);
            }
        }
    }

    /// `V` vectors of channels from this one on, and where their weights begin and how far those of a tap lie from those of
    /// the next.
    #[inline(always)]
    unsafe fn add<
        S: Simd,
        const V: usize,
        const PART: bool,
        const TAPS: usize,
        const STRIDE: usize,
        const ALL: bool,
    >(
        &self,
        simd: S,
        width: Width<V, PART>,
        channels: &Channels<T>,
        first: usize,
        (weights, of_tap): (usize, usize),
    ) {
        let mut sums: Sums<S, T, MOST, V> = [std::array::from_fn(|v| match channels.bias {
            // SAFETY: bias has these channels.
            Some(bias) => unsafe { width.load(simd, bias.wrapping_add(first), v) },
            None => T::splat(simd, T::ZERO),
        }); MOST];
        let steps = channels.tap_steps.map(|(src, taps)| Place { src, dst: taps.wrapping_mul(of_tap) });
        let output = channels.output_step.src;
        let ([mut outer, outer_end], [inner, inner_end]) = (self.outer, self.inner);
        while outer < outer_end {
            let begin = Place { src: first, dst: weights }.plus(steps[0], outer).plus(steps[1], inner);
            let (mut src, mut weights) =
                (self.src.wrapping_add(begin.src), channels.weights.wrapping_add(begin.dst));
            let mut inner = inner;
            while inner < inner_end {
                // SAFETY: the caller's promise.
                unsafe {
                    if TAPS == ANY {
                        let row = Row { src, weights, tap: steps[2], output };
                        self.add_row(simd, width, channels, row, &mut sums);
                    } else {
                        for_each!(TAP => {
                            if TAP < TAPS {
                                let src = reread(src.wrapping_add(steps[2].src.wrapping_mul(TAP)));
                                let weights = weights.wrapping_add(steps[2].dst.wrapping_mul(TAP));
                                let row = Row { src, weights, tap: steps[2], output };
                                row.ask::<V, S>(channels, TAP < STRIDE);
                                let sees = |output| {
                                    let column = output * STRIDE + TAP;
                                    ALL || !is_edge(TAPS, STRIDE, column)
                                        || self.position.wrapping_add(column) < channels.along.input
                                };
                                row.add(simd, width, sees, &mut sums);
                            }
                        });
                    }
                }
                src = src.wrapping_add(steps[1].src);
                weights = weights.wrapping_add(steps[1].dst);
                inner += 1;
            }
            outer += 1;
        }
        let step = channels.output_step.dst;
        let of_output = |output: usize| step.wrapping_mul(output).wrapping_add(first);
        // SAFETY: dst has these outputs and channels, and so has its addend.
        unsafe {
            if TAPS != ANY || self.count == MOST {
                let dst = std::array::from_fn(|p| self.dst.wrapping_add(of_output(p)));
                let addend =
                    self.addend.map(|addend| std::array::from_fn(|p| addend.wrapping_add(of_output(p))));
                finish(simd, width, dst, sums, addend, channels.clamp);
            } else {
                for_each!(OUTPUT => {
                    if OUTPUT < self.count {
                        let dst = [self.dst.wrapping_add(of_output(OUTPUT))];
                        let addend = self.addend.map(|addend| [addend.wrapping_add(of_output(OUTPUT))]);
                        finish::<S, T, 1, V, PART>(simd, width, dst, [sums[OUTPUT]], addend, channels.clamp);
                    }
                });
            }
        }
    }

    /// Adds a kernel row of any number of taps.
    #[inline(always)]
    unsafe fn add_row<S: Simd, const V: usize, const PART: bool>(
        &self,
        simd: S,
        width: Width<V, PART>,
        channels: &Channels<T>,
        mut row: Row<T>,
        sums: &mut Sums<S, T, MOST, V>,
    ) {
        let along = &channels.along;
        let [mut tap, last] = self.taps;
        let fresh = if along.dilation == 1 { along.stride } else { last };
        row = row.plus(tap);
        let mut end = self.of_all[0];
        loop {
            while tap < end {
                let first = self.position.wrapping_add(tap.wrapping_mul(along.dilation));
                row.ask::<V, S>(channels, tap < fresh);
                for_each!(OUTPUT => {
                    let at = first.wrapping_add(along.stride.wrapping_mul(OUTPUT));
                    if OUTPUT < self.count && at < along.input {
                        // SAFETY: the output sees the tap.
                        unsafe { row.add(simd, width, |output| output == OUTPUT, sums) };
                    }
                });
                (row, tap) = (row.plus(1), tap + 1);
            }
            if tap >= last {
                break;
            }
            while tap < self.of_all[1] {
                row.ask::<V, S>(channels, tap < fresh);
                // SAFETY: all outputs see the tap.
                unsafe { row.add(simd, width, |_| true, sums) };
                (row, tap) = (row.plus(1), tap + 1);
            }
            end = last;
        }
    }

    /// Whether the outputs are as many as a register tile has, and see all taps but for those at [its edges](is_edge).
    #[inline(always)]
    fn is_regular<const TAPS: usize, const STRIDE: usize>(&self, along: &Axis) -> bool {
        let reach = (MOST - 1) * STRIDE + TAPS;
        let first = self.position.wrapping_add(TAPS / 2);
        let last = self.position.wrapping_add(reach - TAPS / 2 - STRIDE);
        self.count == MOST && first < along.input && last < along.input && first <= last
    }
}
