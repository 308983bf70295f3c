//! [`RegisterTile`]: some neighbouring outputs, and their sums.

use crate::axis::Axis;
use crate::depthwise_tile::channels::Channels;
use crate::depthwise_tile::outputs::{MOST_OUTPUTS, for_each};
use crate::depthwise_tile::row::Row;
use crate::places::Place;
use crate::scheme::Scheme;
use crate::sums::{Sums, VECTORS, finish, reread};
use crate::vectors::{Apart, Vectors};
use crate::width::{Reading, Whole, Width};

/// Some outputs that lie one behind the other.
#[derive(Clone, Copy)]
pub struct RegisterTile<X: Scheme> {
    /// Where the first output's first tap would lie.
    pub src: *const X::Src,
    pub dst: *mut X::Dst,
    pub addend: Option<*const X::Dst>,
    /// Outputs, at most [`MOST_OUTPUTS`].
    pub count: usize,
    /// The taps of the two other axes that are inside the input: from one to before another.
    pub outer: [usize; 2],
    pub inner: [usize; 2],
    /// The taps that some output sees, and those that [`MOST_OUTPUTS`] of them see.
    pub taps: [usize; 2],
    pub of_all: [usize; 2],
    /// Where on its axis the first output's first tap would lie, which wraps around.
    pub position: usize,
    /// Tiles side by side that differ in nothing but their place.
    pub alike: usize,
}

/// Any number of taps, with any stride and dilation.
pub const ANY: usize = 0;

/// Whether padding of half the kernel's width may cover this input column of a tile.
const fn is_edge(taps: usize, stride: usize, column: usize) -> bool {
    column < taps / 2 || column + taps / 2 + stride > (MOST_OUTPUTS - 1) * stride + taps
}

/// Whether taps × stride are at most so many that one more loop of their own is worth its bytes in the library. With many
/// registers it always is. With few, seven taps have a loop for tiles inside the image, but none for a single vector; five
/// taps of stride 2 have neither.
const fn is_short<S: Vectors>(taps: usize, stride: usize, most: usize) -> bool {
    S::MANY_REGISTERS || taps * stride <= most
}

/// Whether this distance, which wraps around, is so short that the product of two of them is none that does.
const fn is_near(distance: usize) -> bool {
    const NEAR: usize = 1 << 28;
    distance.wrapping_add(NEAR) < 2 * NEAR
}

/// The output that sees this input column of a tile under a tap, or one that there is not.
const fn output_of(column: usize, tap: usize, taps: usize, stride: usize) -> usize {
    if tap < taps && tap <= column && (column - tap).is_multiple_of(stride) {
        (column - tap) / stride
    } else {
        MOST_OUTPUTS
    }
}

/// All rows of a tile and of those that are alike: the channels of blocks that are taken as whole ones, or those behind
/// them.
struct TileRows<'a, S, X: Scheme, const TAPS: usize, const STRIDE: usize, const ALL: bool, const WHOLE: bool>
{
    simd: S,
    tile: &'a RegisterTile<X>,
    channels: &'a Channels<X>,
    /// Channels of whole blocks.
    whole: usize,
}

impl<S: Vectors, X: Scheme, const TAPS: usize, const STRIDE: usize, const ALL: bool, const WHOLE: bool> Apart
    for TileRows<'_, S, X, TAPS, STRIDE, ALL, WHOLE>
{
    #[inline(always)]
    fn run(self) {
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
                    if const { WHOLE } {
                        tile.add_blocks::<S, TAPS, STRIDE, ALL>(self.simd, &channels, self.whole);
                    } else {
                        tile.add_rest::<S, TAPS, STRIDE>(self.simd, &channels, self.whole);
                    }
                }
                tile = tile.plus(channels.output_step, MOST_OUTPUTS);
                tile.position = tile.position.wrapping_add(channels.along.stride.wrapping_mul(MOST_OUTPUTS));
                left -= 1;
            }
            first = first.plus(channels.row_step, 1);
            row += 1;
        }
    }
}

impl<X: Scheme> RegisterTile<X> {
    /// All channels, whose kernel rows have so many taps that lie side by side, with outputs so many columns apart.
    ///
    /// # Safety
    /// The image, weights, bias, dst and its addend have the channels, and of each output what it sees.
    #[inline(always)]
    pub unsafe fn run<S: Vectors, const TAPS: usize, const STRIDE: usize>(
        &self,
        simd: S,
        channels: &Channels<X>,
    ) {
        let (tile, whole) = (self, channels.count - channels.count % (VECTORS * X::channels::<S>()));
        if whole > 0 || channels.count > X::channels::<S>() {
            if const { TAPS != ANY && is_short::<S>(TAPS, STRIDE, 7) } && self.of_all == [0, TAPS] {
                simd.apart(TileRows::<S, X, TAPS, STRIDE, true, true> { simd, tile, channels, whole });
            } else {
                simd.apart(TileRows::<S, X, TAPS, STRIDE, false, true> { simd, tile, channels, whole });
            }
        }
        let rest = channels.count - whole;
        // The last tile is the farthest, unless places wrap around.
        let in_blocks = rest > X::channels::<S>()
            && [channels.row_step.src, channels.output_step.src].into_iter().all(is_near)
            && self.last(channels).sees_whole(channels, X::channels::<S>());
        if rest > 0 && !in_blocks {
            if const { is_short::<S>(TAPS, STRIDE, 6) } {
                simd.apart(TileRows::<S, X, TAPS, STRIDE, false, false> { simd, tile, channels, whole });
            } else {
                simd.apart(TileRows::<S, X, ANY, ANY, false, false> { simd, tile, channels, whole });
            }
        }
    }

    /// The last one of those that are alike, as if its kernel were whole.
    #[inline(always)]
    fn last(&self, channels: &Channels<X>) -> Self {
        let [first, end] = channels.rows;
        let last = self
            .plus(channels.output_step, (self.alike - 1) * MOST_OUTPUTS)
            .plus(channels.row_step, end.wrapping_sub(first + 1));
        Self { inner: [0, channels.across.kernel], ..last }
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

    /// Whether all that the tile sees may be read in whole vectors: behind its channels lie those of other pixels, but
    /// behind the last pixel of the image nothing does.
    #[inline(never)]
    fn sees_whole(&self, channels: &Channels<X>, lanes: usize) -> bool {
        if [self.outer, self.inner, self.taps].iter().any(|[from, to]| from >= to) {
            return true; // Nothing is read, wherever it would lie.
        }
        let [a, b, c] = channels.tap_steps.map(|(src, _)| src);
        let mut last = 0isize;
        for (step, [from, to]) in
            [(a, self.outer), (b, self.inner), (c, self.taps), (channels.output_step.src, [0, self.count])]
        {
            // Products that may wrap around tell nothing.
            if to > 1 && !(is_near(step) && is_near(to)) {
                return false;
            }
            let at = |index: usize| (step as isize).wrapping_mul(index as isize);
            last += at(from).max(at(to - 1));
        }
        let read = channels.count.next_multiple_of(lanes);
        self.src.wrapping_offset(last).wrapping_add(read) <= channels.src_end
    }

    /// The channels of whole blocks, and those behind them if they fill more than a vector and may be read as a block.
    #[inline(always)]
    unsafe fn add_blocks<S: Vectors, const TAPS: usize, const STRIDE: usize, const ALL: bool>(
        &self,
        simd: S,
        channels: &Channels<X>,
        whole: usize,
    ) {
        let (lanes, block) = (X::channels::<S>(), VECTORS * X::channels::<S>());
        let all = channels.count - whole > lanes && self.sees_whole(channels, X::channels::<S>());
        let end = if all { channels.count } else { whole };
        let mut first = 0;
        while first < end {
            let count = block.min(end - first);
            let weights = (first * channels.taps + channels.first_tap * count, count);
            // SAFETY: the caller's promise; there are so many channels. Behind the last ones' weights and pixels lies what a
            // vector reads there.
            unsafe {
                let width = Width::<VECTORS>(count);
                self.add::<S, VECTORS, _, TAPS, STRIDE, ALL>(simd, (Whole, width), channels, first, weights);
            }
            first += block;
        }
    }

    /// The channels behind them.
    #[inline(always)]
    unsafe fn add_rest<S: Vectors, const TAPS: usize, const STRIDE: usize>(
        &self,
        simd: S,
        channels: &Channels<X>,
        whole: usize,
    ) {
        let (lanes, of_block) = (X::channels::<S>(), channels.count - whole);
        let first_weight = whole * channels.taps + channels.first_tap * of_block;
        let sees_whole_vectors = self.sees_whole(channels, X::channels::<S>());
        if sees_whole_vectors && of_block > lanes {
            return; // They are a block.
        }
        let mut lane = 0;
        while lane < of_block {
            let count = lanes.min(of_block - lane);
            let (width, first, weights) = (Width(count), whole + lane, (first_weight + lane, of_block));
            // SAFETY: the caller's promise; there are so many channels, and behind the last ones what a vector reads there, or
            // a part of it is read.
            unsafe {
                if count == lanes || sees_whole_vectors {
                    self.add::<S, 1, _, TAPS, STRIDE, false>(simd, (Whole, width), channels, first, weights);
                } else {
                    self.add_part(simd, width, channels, first, weights);
                }
            }
            lane += lanes;
        }
    }

    /// A vector of channels, of which no more is read than there is. A function of its own: only the last pixels of an
    /// image need it.
    unsafe fn add_part<S: Vectors>(
        &self,
        simd: S,
        width: Width<1>,
        channels: &Channels<X>,
        first: usize,
        weights: (usize, usize),
    ) {
        // SAFETY: the caller's promise.
        simd.apart(|| unsafe {
            self.add::<S, 1, _, ANY, ANY, false>(simd, (width, width), channels, first, weights);
        });
    }

    /// `V` vectors of channels from this one on, and where their weights begin and how far those of a tap lie from
    /// those of the next.
    #[inline(always)]
    unsafe fn add<
        S: Vectors,
        const V: usize,
        R: Reading<S, X>,
        const TAPS: usize,
        const STRIDE: usize,
        const ALL: bool,
    >(
        &self,
        simd: S,
        (reading, width): (R, Width<V>),
        channels: &Channels<X>,
        first: usize,
        (weights, of_tap): (usize, usize),
    ) {
        let mut sums: Sums<S, X, MOST_OUTPUTS, V> = [std::array::from_fn(|v| match channels.bias {
            // SAFETY: bias has these channels.
            Some(bias) => unsafe { width.bias::<S, X>(simd, bias.wrapping_add(first), v) },
            None => X::no_sums(simd),
        }); MOST_OUTPUTS];
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
                    let row = Row { src, weights, tap: steps[2], output };
                    if const { TAPS == ANY } {
                        self.add_row(simd, reading, channels, row, &mut sums);
                    } else if const { S::MANY_REGISTERS || V == 1 } {
                        self.add_columns::<S, V, R, TAPS, STRIDE, ALL>(
                            simd, reading, channels, row, &mut sums,
                        );
                    } else {
                        for_each!(TAP => {
                            if const { TAP < TAPS } {
                                let src = reread(src.wrapping_add(steps[2].src.wrapping_mul(TAP)));
                                let weights = weights.wrapping_add(steps[2].dst.wrapping_mul(TAP));
                                let row = Row { src, weights, ..row };
                                row.ask::<V, S>(channels, TAP < STRIDE);
                                let sees = |output| self.sees::<TAPS, STRIDE, ALL>(channels, output * STRIDE + TAP);
                                row.add(simd, reading, sees, &mut sums);
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
        // SAFETY: the caller's promise.
        unsafe { self.finish::<S, V, TAPS>(simd, width, channels, first, sums) };
    }

    /// Whether an input column of the tile is inside the image.
    #[inline(always)]
    fn sees<const TAPS: usize, const STRIDE: usize, const ALL: bool>(
        &self,
        channels: &Channels<X>,
        column: usize,
    ) -> bool {
        ALL || !is_edge(TAPS, STRIDE, column) || self.position.wrapping_add(column) < channels.along.input
    }

    /// Adds a kernel row whose weights stay in registers: each input column is read once for all taps. So few loads leave the
    /// machine time to bring the columns, and asking for the next ones ahead takes longer.
    #[inline(always)]
    unsafe fn add_columns<
        S: Vectors,
        const V: usize,
        R: Reading<S, X>,
        const TAPS: usize,
        const STRIDE: usize,
        const ALL: bool,
    >(
        &self,
        simd: S,
        reading: R,
        channels: &Channels<X>,
        row: Row<X>,
        sums: &mut Sums<S, X, MOST_OUTPUTS, V>,
    ) {
        for_each!(VECTOR in [0 1] => {
            if const { VECTOR < V } {
                let of_tap = |tap: usize| row.weights.wrapping_add(row.tap.dst.wrapping_mul(tap));
                // SAFETY: the kernel row is whole.
                let weights: [X::Weights<S>; TAPS] =
                    std::array::from_fn(|tap| unsafe { reading.weights(simd, of_tap(tap), VECTOR) });
                const { assert!((MOST_OUTPUTS - 1) * STRIDE + TAPS <= 17, "there are as many columns below") };
                let mut column = row.src;
                for_each!(COLUMN in [0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16] => {
                    if const { COLUMN < (MOST_OUTPUTS - 1) * STRIDE + TAPS } {
                        if self.sees::<TAPS, STRIDE, ALL>(channels, COLUMN) {
                            // SAFETY: the column is inside the image.
                            let value = unsafe { reading.factors(simd, column, VECTOR) };
                            for_each!(TAP => {
                                if const { output_of(COLUMN, TAP, TAPS, STRIDE) < MOST_OUTPUTS } {
                                    let sum = &mut sums[const { output_of(COLUMN, TAP, TAPS, STRIDE) }][VECTOR];
                                    *sum = X::add_products(simd, value, weights[TAP], *sum);
                                }
                            });
                        }
                        column = reread(column.wrapping_add(row.tap.src));
                    }
                });
            }
        });
    }

    /// Finishes the sums of `V` vectors of channels from this one on.
    #[inline(always)]
    unsafe fn finish<S: Vectors, const V: usize, const TAPS: usize>(
        &self,
        simd: S,
        width: Width<V>,
        channels: &Channels<X>,
        first: usize,
        sums: Sums<S, X, MOST_OUTPUTS, V>,
    ) {
        let step = channels.output_step.dst;
        let of_output = |output: usize| step.wrapping_mul(output).wrapping_add(first);
        // SAFETY: dst has these outputs and channels, and so has its addend.
        unsafe {
            if const { TAPS != ANY } || self.count == MOST_OUTPUTS {
                let dst = std::array::from_fn(|p| self.dst.wrapping_add(of_output(p)));
                let addend =
                    self.addend.map(|addend| std::array::from_fn(|p| addend.wrapping_add(of_output(p))));
                finish::<S, X, MOST_OUTPUTS, V>(simd, width, dst, sums, addend, channels.bounds);
            } else {
                for_each!(OUTPUT => {
                    if OUTPUT < self.count {
                        let dst = [self.dst.wrapping_add(of_output(OUTPUT))];
                        let addend = self.addend.map(|addend| [addend.wrapping_add(of_output(OUTPUT))]);
                        finish::<S, X, 1, V>(simd, width, dst, [sums[OUTPUT]], addend, channels.bounds);
                    }
                });
            }
        }
    }

    /// Adds a kernel row of any number of taps.
    #[inline(always)]
    unsafe fn add_row<S: Vectors, const V: usize, R: Reading<S, X>>(
        &self,
        simd: S,
        reading: R,
        channels: &Channels<X>,
        mut row: Row<X>,
        sums: &mut Sums<S, X, MOST_OUTPUTS, V>,
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
                        unsafe { row.add(simd, reading, |output| output == OUTPUT, sums) };
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
                unsafe { row.add(simd, reading, |_| true, sums) };
                (row, tap) = (row.plus(1), tap + 1);
            }
            end = last;
        }
    }

    /// Whether the outputs are as many as a register tile has, and see all taps but for those at [its edges](is_edge).
    #[inline(always)]
    pub fn is_regular<const TAPS: usize, const STRIDE: usize>(&self, along: &Axis) -> bool {
        let reach = (MOST_OUTPUTS - 1) * STRIDE + TAPS;
        let first = self.position.wrapping_add(TAPS / 2);
        let last = self.position.wrapping_add(reach - TAPS / 2 - STRIDE);
        self.count == MOST_OUTPUTS && first < along.input && last < along.input && first <= last
    }
}
