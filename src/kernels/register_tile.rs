//! Register tiles: six output pixels × two vectors of output channels, whose sums over all taps and input channels stay
//! in registers until they are finished.
//!
//! Nothing but src, the weights and dst is touched: an output pixel reads its taps where they lie in an NHWC image. The
//! pixels of a tile are taken in groups that see the same taps, so that padding costs nothing; what is left of each kind
//! shares groups in which an absent tap reads zeros.

use std::mem::MaybeUninit;
use std::ops::Range;

use pulp::{Arch, Simd, WithSimd};

use crate::lowering::epilogue::clamped;
use crate::lowering::image::Image;
use crate::lowering::lanes::Lanes;
use crate::matrix::MatrixMut;
use crate::problem::{Axis, Clamp, Problem, common};

/// Output pixels of a register tile: with two vectors of channels its sums fill 12 registers, which is what hides the
/// latency of the multiply-adds, and leave three of AVX2's 16 for the factors.
const PIXELS: usize = 6;
/// Vectors of output channels of a register tile.
const VECTORS: usize = 2;
/// Pixels that are put into groups at once; their list is on the stack.
const LISTED: usize = 480;
/// Input channels that an absent tap reads at once.
const ABSENT: usize = 1024;
/// What an absent tap reads.
static ZEROS: [f32; ABSENT] = [0.0; ABSENT];

/// Output channels of a block of packed weights: those of a register tile of this machine.
pub fn channels_of_block() -> usize {
    struct Channels;
    impl WithSimd for Channels {
        type Output = usize;
        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) -> usize {
            VECTORS * S::F32_LANES
        }
    }
    Arch::new().dispatch(Channels)
}

/// Some output pixels × channels of one group of an NHWC image.
pub struct PixelTile<'a, 'b> {
    /// The convolution.
    pub problem: &'a Problem,
    /// Its input.
    pub image: &'a Image<'a>,
    /// The channels' weights in blocks of [`channels_of_block`], each taps × C × channels.
    pub weights: &'a [f32],
    /// One float a channel.
    pub bias: Option<&'a [f32]>,
    /// The output rows.
    pub rows: Range<usize>,
    /// The output columns.
    pub cols: Range<usize>,
    /// Pixels × channels.
    pub dst: MatrixMut<'b>,
}

impl PixelTile<'_, '_> {
    /// dst ← clamp(convolution + bias), or + dst where the problem accumulates.
    pub fn run(self) {
        assert_eq!(self.dst.rows(), self.rows.len() * self.cols.len());
        assert_eq!(self.weights.len(), self.dst.cols() * self.problem.depth());
        assert!(self.bias.is_none_or(|bias| bias.len() == self.dst.cols()));
        let Problem { rows, cols, .. } = self.problem;
        assert!(self.rows.end <= rows.output && self.cols.end <= cols.output);
        let last_pixel = (rows.input - 1) * self.image.row + (cols.input - 1) * self.image.pixel;
        assert!(self.image.channel == 1 && last_pixel + self.problem.group_in() <= self.image.data.len());
        Arch::new().dispatch(self);
    }
}

impl WithSimd for PixelTile<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let mut groups = Groups::new();
        let width = self.cols.len().min(LISTED);
        let height = (LISTED / width).min(self.rows.len());
        for y in self.rows.clone().step_by(height) {
            for x in self.cols.clone().step_by(width) {
                let ys = y..(y + height).min(self.rows.end);
                let xs = x..(x + width).min(self.cols.end);
                groups.list(&self, &ys, &xs);
                self.run_groups(simd, &groups);
            }
        }
    }
}

/// The taps that a pixel sees, or that some pixel of a group sees.
#[derive(Clone, Copy)]
struct Window {
    rows: [usize; 2],
    cols: [usize; 2],
}

impl Window {
    fn holds(&self, i: usize, j: usize) -> bool {
        (self.rows[0]..self.rows[1]).contains(&i) && (self.cols[0]..self.cols[1]).contains(&j)
    }

    /// All taps between those of both.
    fn around(&self, other: &Self) -> Self {
        let around = |[a, b]: [usize; 2], [c, d]: [usize; 2]| match (a < b, c < d) {
            (true, true) => [a.min(c), b.max(d)],
            (true, false) => [a, b],
            (false, _) => [c, d],
        };
        Self { rows: around(self.rows, other.rows), cols: around(self.cols, other.cols) }
    }
}

#[derive(Clone, Copy)]
struct Pixel {
    /// Where in the image its tap (0, 0) would lie. That may be before the image, or farther away than numbers reach:
    /// places wrap around, and those of the taps that the pixel sees come out right.
    src: usize,
    /// Its place in the tile.
    dst: usize,
    window: Window,
}

/// The pixels of a part of a tile in the order in which they are computed.
struct Groups {
    /// The first `all` are there, and of these the first `uniform` are whole groups that see the same taps.
    pixels: [MaybeUninit<Pixel>; LISTED],
    all: usize,
    uniform: usize,
}

/// Ranges of neighbouring outputs that see the same taps, and these.
fn for_each_kind(axis: &Axis, outputs: &Range<usize>, mut f: impl FnMut(Range<usize>, [usize; 2])) {
    let inside = common(outputs, &axis.outputs_of_all_taps());
    let mut at = outputs.start;
    while at < outputs.end {
        let (mut end, taps) = (at + 1, axis.taps_of_output(at));
        if inside.contains(&at) {
            end = inside.end;
        } else {
            while end < outputs.end && !inside.contains(&end) && axis.taps_of_output(end) == taps {
                end += 1;
            }
        }
        f(at..end, [taps.start, taps.end]);
        at = end;
    }
}

impl Groups {
    fn new() -> Self {
        Self { pixels: [const { MaybeUninit::uninit() }; LISTED], all: 0, uniform: 0 }
    }

    fn pixels(&self) -> &[Pixel] {
        let pixels = &self.pixels[..self.all];
        // SAFETY: `list` has written the first `all`.
        unsafe { std::slice::from_raw_parts(pixels.as_ptr().cast(), pixels.len()) }
    }

    fn list(&mut self, tile: &PixelTile<'_, '_>, ys: &Range<usize>, xs: &Range<usize>) {
        let Problem { rows, cols, .. } = tile.problem;
        let (image, pitch) = (tile.image, tile.cols.len());
        let place = |y: usize, x: usize| y.wrapping_mul(image.row).wrapping_add(x.wrapping_mul(image.pixel));
        let first = place(rows.pad_before, cols.pad_before);
        // Whole groups grow from the front of the list, what is left from its back.
        let (mut front, mut back) = (0, LISTED);
        for_each_kind(rows, ys, |ys, of_rows| {
            for_each_kind(cols, xs, |xs, of_cols| {
                let mut whole = ys.len() * xs.len() / PIXELS * PIXELS;
                for y in ys.clone() {
                    let dst = (y - tile.rows.start) * pitch;
                    for x in xs.clone() {
                        let pixel = Pixel {
                            src: place(y * rows.stride, x * cols.stride).wrapping_sub(first),
                            dst: dst + x - tile.cols.start,
                            window: Window { rows: of_rows, cols: of_cols },
                        };
                        if whole > 0 {
                            self.pixels[front].write(pixel);
                            front += 1;
                            whole -= 1;
                        } else {
                            back -= 1;
                            self.pixels[back].write(pixel);
                        }
                    }
                }
            });
        });
        self.pixels.copy_within(back.., front);
        self.uniform = front;
        self.all = front + LISTED - back;
    }
}

/// One block of channels: everything that its register tiles share.
struct Block {
    src: *const f32,
    weights: *const f32,
    bias: *const f32,
    dst: *mut f32,
    ld: usize,
    channels: usize,
    depth: usize,
    kernel_cols: usize,
    /// Elements of the image from one tap to the next.
    row_step: usize,
    col_step: usize,
    /// Whether the taps of a kernel row lie one behind the other.
    joined: bool,
    accumulate: bool,
    clamp: Option<Clamp>,
}

impl PixelTile<'_, '_> {
    #[inline(always)]
    fn run_groups<S: Simd>(&mut self, simd: S, groups: &Groups) {
        let Problem { rows, cols, accumulate, clamp, .. } = *self.problem;
        let (image, ld, all) = (self.image, self.dst.ld(), self.dst.cols());
        let most = VECTORS * S::F32_LANES;
        let mut first = 0;
        while first < all {
            let channels = most.min(all - first);
            let block = Block {
                src: image.data.as_ptr(),
                weights: self.weights[first * self.problem.depth()..].as_ptr(),
                bias: self.bias.map_or(ZEROS.as_ptr(), |bias| bias[first..].as_ptr()),
                // A pointer to an element of dst, as `first` is less than its columns.
                dst: self.dst.as_mut_ptr().wrapping_add(first),
                ld,
                channels,
                depth: self.problem.group_in(),
                kernel_cols: cols.kernel,
                row_step: rows.dilation.wrapping_mul(image.row),
                col_step: cols.dilation.wrapping_mul(image.pixel),
                joined: cols.dilation == 1 && image.pixel == self.problem.group_in(),
                accumulate,
                clamp,
            };
            let pixels = groups.pixels();
            // SAFETY: `run` checked that the image holds every pixel of the input and that dst and bias have these
            // channels; the groups hold pixels of the tile and windows inside the image.
            unsafe {
                match (channels.div_ceil(S::F32_LANES), channels % S::F32_LANES) {
                    (1, 0) => block.run::<S, 1, false>(simd, pixels, groups.uniform),
                    (1, _) => block.run::<S, 1, true>(simd, pixels, groups.uniform),
                    (_, 0) => block.run::<S, 2, false>(simd, pixels, groups.uniform),
                    _ => block.run::<S, 2, true>(simd, pixels, groups.uniform),
                }
            }
            first += channels;
        }
    }
}

impl Block {
    /// All pixels with `V` vectors of channels, the last of which is not whole if `PART`.
    #[inline(always)]
    unsafe fn run<S: Simd, const V: usize, const PART: bool>(
        &self,
        simd: S,
        pixels: &[Pixel],
        uniform: usize,
    ) {
        let mut at = 0;
        while at < pixels.len() {
            let group = &pixels[at..pixels.len().min(at + PIXELS)];
            // SAFETY: the caller's promise.
            unsafe {
                match group.len() {
                    1 => self.tile::<S, 1, V, PART>(simd, group, false),
                    2 => self.tile::<S, 2, V, PART>(simd, group, false),
                    3 => self.tile::<S, 3, V, PART>(simd, group, false),
                    4 => self.tile::<S, 4, V, PART>(simd, group, false),
                    5 => self.tile::<S, 5, V, PART>(simd, group, false),
                    _ => self.tile::<S, PIXELS, V, PART>(simd, group, at < uniform),
                }
            }
            at += group.len();
        }
    }

    /// One register tile of `P` pixels.
    #[inline(always)]
    unsafe fn tile<S: Simd, const P: usize, const V: usize, const PART: bool>(
        &self,
        simd: S,
        pixels: &[Pixel],
        uniform: bool,
    ) {
        let mut sums = [[simd.splat_f32s(0.0); V]; P];
        let mut around = pixels[0].window;
        if !uniform {
            around = pixels[1..].iter().fold(around, |all, pixel| all.around(&pixel.window));
        }
        let mut i = around.rows[0];
        while i < around.rows[1] {
            let mut j = around.cols[0];
            while j < around.cols[1] {
                let offset = i.wrapping_mul(self.row_step).wrapping_add(j.wrapping_mul(self.col_step));
                // SAFETY: the tap is one of the kernel's, so that the block has its weights.
                let weights =
                    unsafe { self.weights.add((i * self.kernel_cols + j) * self.depth * self.channels) };
                let src: [*const f32; P] =
                    std::array::from_fn(|p| self.src.wrapping_add(pixels[p].src.wrapping_add(offset)));
                if uniform {
                    let taps = if self.joined { around.cols[1] - j } else { 1 };
                    // SAFETY: every pixel sees these taps, which lie one behind the other.
                    unsafe { self.add::<S, P, V, PART>(simd, &mut sums, src, weights, taps * self.depth) };
                    j += taps;
                    continue;
                }
                let mut channel = 0;
                while channel < self.depth {
                    let len = ABSENT.min(self.depth - channel);
                    let src = std::array::from_fn(|p| {
                        if pixels[p].window.holds(i, j) {
                            src[p].wrapping_add(channel)
                        } else {
                            ZEROS.as_ptr()
                        }
                    });
                    // SAFETY: what is read are channels of a tap that the pixel sees, or as many zeros.
                    unsafe {
                        let weights = weights.add(channel * self.channels);
                        self.add::<S, P, V, PART>(simd, &mut sums, src, weights, len);
                    }
                    channel += len;
                }
                j += 1;
            }
            i += 1;
        }
        // SAFETY: the caller's promise.
        unsafe { self.finish::<S, P, V, PART>(simd, pixels, sums) };
    }

    /// sums += src · weights over a run of elements of each pixel.
    #[inline(always)]
    unsafe fn add<S: Simd, const P: usize, const V: usize, const PART: bool>(
        &self,
        simd: S,
        sums: &mut [[S::f32s; V]; P],
        src: [*const f32; P],
        weights: *const f32,
        len: usize,
    ) {
        // Few sums wait for themselves: several sets of them take turns.
        let sets = const {
            match P * V {
                1..=3 => 4,
                4..=7 => 2,
                _ => 1,
            }
        };
        if sets == 1 {
            let mut local = *sums;
            let mut at = 0;
            while at < len {
                // SAFETY: the caller's promise: `len` elements of each pixel, and as many rows of weights.
                unsafe { self.add_one::<S, P, V, PART>(simd, &mut local, src, weights, at) };
                at += 1;
            }
            *sums = local;
            return;
        }
        let mut local = [[[simd.splat_f32s(0.0); V]; P]; 4];
        local[0] = *sums;
        let mut at = 0;
        while at + sets <= len {
            let mut set = 0;
            while set < sets {
                // SAFETY: as above.
                unsafe { self.add_one::<S, P, V, PART>(simd, &mut local[set], src, weights, at + set) };
                set += 1;
            }
            at += sets;
        }
        while at < len {
            // SAFETY: as above.
            unsafe { self.add_one::<S, P, V, PART>(simd, &mut local[0], src, weights, at) };
            at += 1;
        }
        let mut set = 1;
        while set < sets {
            let mut p = 0;
            while p < P {
                let mut v = 0;
                while v < V {
                    local[0][p][v] = simd.add_f32s(local[0][p][v], local[set][p][v]);
                    v += 1;
                }
                p += 1;
            }
            set += 1;
        }
        *sums = local[0];
    }

    /// sums += element `at` of each pixel · its row of weights.
    #[inline(always)]
    unsafe fn add_one<S: Simd, const P: usize, const V: usize, const PART: bool>(
        &self,
        simd: S,
        sums: &mut [[S::f32s; V]; P],
        src: [*const f32; P],
        weights: *const f32,
        at: usize,
    ) {
        // SAFETY: the caller's promise: each pixel has the element, and the block its row.
        unsafe {
            let weights = weights.add(at * self.channels);
            let factors: [S::f32s; V] = std::array::from_fn(|v| self.load::<S, V, PART>(simd, weights, v));
            let mut p = 0;
            while p < P {
                let value = simd.splat_f32s(*src[p].add(at));
                let mut v = 0;
                while v < V {
                    sums[p][v] = simd.mul_add_e_f32s(value, factors[v], sums[p][v]);
                    v += 1;
                }
                p += 1;
            }
        }
    }

    /// Vector `v` of a block's channels.
    #[inline(always)]
    unsafe fn load<S: Simd, const V: usize, const PART: bool>(
        &self,
        simd: S,
        from: *const f32,
        v: usize,
    ) -> S::f32s {
        // SAFETY: the caller has a block's channels there.
        unsafe {
            let from = from.add(v * S::F32_LANES);
            if PART && v + 1 == V {
                let rest = self.channels - v * S::F32_LANES;
                Lanes::<false>(rest).load(simd, std::slice::from_raw_parts(from, rest))
            } else {
                let all = S::F32_LANES;
                Lanes::<true>(all).load(simd, std::slice::from_raw_parts(from, all))
            }
        }
    }

    /// Bias, what dst holds, clamp; and the sums are dst.
    #[inline(always)]
    unsafe fn finish<S: Simd, const P: usize, const V: usize, const PART: bool>(
        &self,
        simd: S,
        pixels: &[Pixel],
        sums: [[S::f32s; V]; P],
    ) {
        let mut p = 0;
        while p < P {
            let mut v = 0;
            while v < V {
                // SAFETY: the pixel is one of the tile's, which has the block's channels, and bias has as many.
                unsafe {
                    let to = self.dst.add(pixels[p].dst * self.ld);
                    let mut value = simd.add_f32s(sums[p][v], self.load::<S, V, PART>(simd, self.bias, v));
                    if self.accumulate {
                        value = simd.add_f32s(value, self.load::<S, V, PART>(simd, to, v));
                    }
                    value = clamped(simd, value, self.clamp);
                    let to = to.add(v * S::F32_LANES);
                    if PART && v + 1 == V {
                        let rest = self.channels - v * S::F32_LANES;
                        Lanes::<false>(rest).store(simd, std::slice::from_raw_parts_mut(to, rest), value);
                    } else {
                        let all = S::F32_LANES;
                        Lanes::<true>(all).store(simd, std::slice::from_raw_parts_mut(to, all), value);
                    }
                }
                v += 1;
            }
            p += 1;
        }
    }
}
