//! A convolution's own inner loop: some output pixels × channels, whose sums over all taps and input channels stay in
//! registers until they are finished.
//!
//! Nothing but src, the weights and dst is touched: an output pixel reads its taps where they lie in the image. The
//! pixels of a tile are taken in groups that see the same taps, so that padding costs nothing; what is left of each kind
//! shares groups in which an absent tap reads zeros.

use std::mem::MaybeUninit;
use std::ops::Range;

use pulp::{Simd, WithSimd};

use super::isa;
use super::sums::{Ahead, FEW, Factors, MANY, Run, VECTORS, Width, add, apart, finish};
use crate::lowering::epilogue;
use crate::lowering::image::Image;
use crate::lowering::lanes::prefetch_line;
use crate::lowering::moves::transpose;
use crate::matrix::{Matrix, MatrixMut};
use crate::problem::{Axis, Clamp, Layout, Problem, common};

/// Pixels that are put into groups at once; their list is on the stack.
const LISTED: usize = 480;
/// Sums that are kept on the stack, before they are moved to planes.
const KEPT: usize = 240 * 16;
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
    isa::dispatch(Channels)
}

/// Some output pixels × channels of one group of an image.
pub struct PixelTile<'a, 'b> {
    /// The convolution.
    pub problem: &'a Problem,
    /// Its input, or a part of it.
    pub image: &'a Image<'a>,
    /// The input row and column with which the image's data begin.
    pub origin: [usize; 2],
    /// The input channels that the image's data hold and that are summed.
    pub depth: Range<usize>,
    /// The output channels' weights in blocks of [`channels_of_block`], each taps × C × channels.
    pub weights: &'a [f32],
    /// One float an output channel.
    pub bias: Option<&'a [f32]>,
    /// Whether the sums are added to what dst holds.
    pub accumulate: bool,
    /// What is applied last.
    pub clamp: Option<Clamp>,
    /// The output rows.
    pub rows: Range<usize>,
    /// The output columns.
    pub cols: Range<usize>,
    /// The pixels' part of dst, as the problem's layout has it.
    pub dst: MatrixMut<'b>,
}

impl PixelTile<'_, '_> {
    /// dst ← clamp(convolution + bias), or + dst.
    pub fn run(self) {
        let Problem { rows, cols, .. } = self.problem;
        let pixels = self.rows.len() * self.cols.len();
        let (of_dst, channels) = match self.problem.dst_layout {
            Layout::Nhwc => (self.dst.rows(), self.dst.cols()),
            Layout::Nchw => (self.dst.cols(), self.dst.rows()),
        };
        assert_eq!(of_dst, pixels);
        assert_eq!(self.weights.len(), channels * self.problem.depth());
        assert!(self.bias.is_none_or(|bias| bias.len() == channels));
        assert!(self.rows.end <= rows.output && self.cols.end <= cols.output);
        assert!(!self.depth.is_empty() && self.depth.end <= self.problem.group_in());
        let (seen_rows, seen_cols) = (rows.window(&self.rows), cols.window(&self.cols));
        if !seen_rows.is_empty() && !seen_cols.is_empty() {
            let [first_row, first_col] = self.origin;
            assert!(first_row <= seen_rows.start && first_col <= seen_cols.start);
            let last = (seen_rows.end - 1 - first_row) * self.image.row
                + (seen_cols.end - 1 - first_col) * self.image.pixel
                + (self.depth.len() - 1) * self.image.channel;
            assert!(last < self.image.data.len());
        }
        isa::dispatch(self);
    }
}

impl WithSimd for PixelTile<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let most = if S::REGISTER_COUNT >= 32 { MANY } else { FEW };
        let mut groups = Groups::new(most);
        let listed = match self.problem.dst_layout {
            Layout::Nhwc => LISTED,
            Layout::Nchw => LISTED.min(KEPT / (VECTORS * S::F32_LANES)),
        };
        let width = self.cols.len().min(listed);
        let height = (listed / width).min(self.rows.len());
        for y in self.rows.clone().step_by(height) {
            for x in self.cols.clone().step_by(width) {
                let ys = y..(y + height).min(self.rows.end);
                let xs = x..(x + width).min(self.cols.end);
                groups.list(&self, &ys, &xs);
                let first = (y - self.rows.start) * self.cols.len() + x - self.cols.start;
                self.run_part(simd, &groups, first..first + ys.len() * xs.len());
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

    fn taps(&self) -> usize {
        (self.rows[1] - self.rows[0]).saturating_mul(self.cols[1] - self.cols[0])
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
struct Place {
    /// Where in the image the pixel's tap (0, 0) would lie. That may be before the image, or farther away than numbers
    /// reach: places wrap around, and those of the taps that the pixel sees come out right.
    src: usize,
    /// Which pixel of the part it is.
    dst: usize,
}

/// The pixels of a part of a tile in the order in which they are computed.
struct Groups {
    /// The first `all` are there, and of these the first `uniform` are whole groups that see the same taps.
    places: [MaybeUninit<Place>; LISTED],
    /// What each of them sees: apart from the places, since a group that sees the same needs but one.
    windows: [MaybeUninit<Window>; LISTED],
    all: usize,
    uniform: usize,
    /// Pixels of a group.
    most: usize,
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
    fn new(most: usize) -> Self {
        let (places, windows) =
            ([const { MaybeUninit::uninit() }; LISTED], [const { MaybeUninit::uninit() }; LISTED]);
        Self { places, windows, all: 0, uniform: 0, most }
    }

    fn places(&self) -> &[Place] {
        let places = &self.places[..self.all];
        // SAFETY: `list` has written the first `all`.
        unsafe { std::slice::from_raw_parts(places.as_ptr().cast(), places.len()) }
    }

    fn windows(&self) -> &[Window] {
        let windows = &self.windows[..self.all];
        // SAFETY: as above.
        unsafe { std::slice::from_raw_parts(windows.as_ptr().cast(), windows.len()) }
    }

    /// Lists the pixels of some rows and columns, row by row.
    fn list(&mut self, tile: &PixelTile<'_, '_>, ys: &Range<usize>, xs: &Range<usize>) {
        let Problem { rows, cols, .. } = tile.problem;
        let (image, [first_row, first_col]) = (tile.image, tile.origin);
        let place = |y: usize, x: usize| y.wrapping_mul(image.row).wrapping_add(x.wrapping_mul(image.pixel));
        let first = place(rows.pad_before.wrapping_add(first_row), cols.pad_before.wrapping_add(first_col));
        // Whole groups grow from the front of the list, what is left from its back.
        let (mut front, mut back) = (0, LISTED);
        for_each_kind(rows, ys, |of_kind, of_rows| {
            for_each_kind(cols, xs, |xs_of_kind, of_cols| {
                let mut whole = of_kind.len() * xs_of_kind.len() / self.most * self.most;
                let window = Window { rows: of_rows, cols: of_cols };
                for y in of_kind.clone() {
                    for x in xs_of_kind.clone() {
                        let place = Place {
                            src: place(y * rows.stride, x * cols.stride).wrapping_sub(first),
                            dst: (y - ys.start) * xs.len() + x - xs.start,
                        };
                        let at = if whole > 0 {
                            whole -= 1;
                            front += 1;
                            front - 1
                        } else {
                            back -= 1;
                            back
                        };
                        self.places[at].write(place);
                        self.windows[at].write(window);
                    }
                }
            });
        });
        self.places.copy_within(back.., front);
        self.windows.copy_within(back.., front);
        self.uniform = front;
        self.all = front + LISTED - back;
        self.bring_together();
    }

    /// Orders what is left so that those of a group see nearly the same taps.
    fn bring_together(&mut self) {
        /// Pixels among which the next one of a group is looked for.
        const NEAR: usize = 24;
        let mut around = None;
        for at in self.uniform..self.all {
            let windows = self.windows();
            let first = (at - self.uniform).is_multiple_of(self.most);
            let group = around.filter(|_| !first);
            let taps = |other: usize| group.map_or(0, |group: Window| group.around(&windows[other]).taps());
            let best = (at..self.all.min(at + NEAR)).min_by_key(|&other| taps(other)).unwrap_or(at);
            around = Some(group.map_or(windows[best], |group| group.around(&windows[best])));
            self.places.swap(at, best);
            self.windows.swap(at, best);
        }
    }
}

/// One block of channels: everything that its register tiles share.
struct Block {
    src: *const f32,
    weights: *const f32,
    bias: *const f32,
    /// Pixels × channels, `ld` floats from one pixel to the next.
    dst: *mut f32,
    ld: usize,
    channels: usize,
    /// Input channels whose weights a tap has, and of these the part that is summed.
    tap_depth: usize,
    depth: usize,
    kernel_cols: usize,
    /// Elements of the image from one tap or channel to the next.
    row_step: usize,
    col_step: usize,
    channel_step: usize,
    /// Whether the taps of a kernel row lie one behind the other.
    joined: bool,
    accumulate: bool,
    clamp: Option<Clamp>,
}

impl PixelTile<'_, '_> {
    /// The listed pixels, which are these of the tile.
    #[inline(always)]
    fn run_part<S: Simd>(&mut self, simd: S, groups: &Groups, pixels: Range<usize>) {
        let Problem { rows, cols, .. } = *self.problem;
        let (image, depth) = (self.image, self.depth.len());
        let planes = self.problem.dst_layout == Layout::Nchw;
        let all = if planes { self.dst.rows() } else { self.dst.cols() };
        let most = VECTORS * S::F32_LANES;
        let mut kept = [const { MaybeUninit::<f32>::uninit() }; KEPT];
        let mut first = 0;
        while first < all {
            let channels = most.min(all - first);
            let (dst, ld) = if planes {
                (kept.as_mut_ptr().cast(), channels)
            } else {
                let ld = self.dst.ld();
                // A pointer to an element of dst, as there are these pixels and channels.
                (self.dst.as_mut_ptr().wrapping_add(pixels.start * ld + first), ld)
            };
            let weights = &self.weights[first * self.problem.depth()..];
            let block = Block {
                src: image.data.as_ptr(),
                weights: weights[self.depth.start * channels..].as_ptr(),
                bias: self.bias.map_or(ZEROS.as_ptr(), |bias| bias[first..].as_ptr()),
                dst,
                ld,
                channels,
                tap_depth: self.problem.group_in(),
                depth,
                kernel_cols: cols.kernel,
                row_step: rows.dilation.wrapping_mul(image.row),
                col_step: cols.dilation.wrapping_mul(image.pixel),
                channel_step: image.channel,
                joined: cols.dilation == 1
                    && image.channel == 1
                    && (image.pixel, depth) == (self.problem.group_in(), self.problem.group_in()),
                accumulate: self.accumulate && !planes,
                clamp: self.clamp.filter(|_| !(planes && self.accumulate)),
            };
            let next = &weights[channels * self.problem.depth()..];
            let next = &next[..next.len().min(most * self.problem.depth())];
            let mut ahead = Ahead::new(
                next,
                self.weights.len(),
                groups.all.div_ceil(groups.most) * self.problem.taps() * depth,
            );
            // SAFETY: `run` checked that the image holds every pixel of the input that is seen and that dst and bias
            // have these channels; the groups hold the pixels of the part and windows inside the image.
            unsafe {
                match (channels.div_ceil(S::F32_LANES), channels % S::F32_LANES) {
                    (1, 0) => block.run::<S, 1, false>(simd, groups, &mut ahead),
                    (1, _) => block.run::<S, 1, true>(simd, groups, &mut ahead),
                    (_, 0) => block.run::<S, 2, false>(simd, groups, &mut ahead),
                    _ => block.run::<S, 2, true>(simd, groups, &mut ahead),
                }
            }
            if planes {
                // SAFETY: the block has written all channels of all pixels of the part.
                let sums = unsafe {
                    std::slice::from_raw_parts(kept.as_ptr().cast::<f32>(), pixels.len() * channels)
                };
                let mut to = self.dst.part(first..first + channels, pixels.clone());
                transpose(&Matrix::new(sums, pixels.len(), channels, channels), &mut to, self.accumulate);
                if self.accumulate {
                    epilogue::finish(&mut to, Layout::Nchw, None, self.clamp);
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
        groups: &Groups,
        ahead: &mut Ahead,
    ) {
        let (places, windows, most) = (groups.places(), groups.windows(), groups.most);
        let mut at = 0;
        apart(simd, || {
            while at < groups.uniform {
                let (places, window) = (&places[at..at + most], windows[at]);
                // SAFETY: the caller's promise.
                unsafe {
                    match S::REGISTER_COUNT {
                        32.. => self.tile_of_same::<S, MANY, V, PART>(simd, places, window, ahead),
                        _ => self.tile_of_same::<S, FEW, V, PART>(simd, places, window, ahead),
                    }
                }
                at += most;
            }
        });
        while at < places.len() {
            let left = places.len() - at;
            let len = match left {
                // Channels that lie apart are no line of zeros: pixel by pixel.
                _ if self.channel_step != 1 => 1,
                _ if left >= most => most,
                _ => left.min(FEW),
            };
            let (places, windows) = (&places[at..at + len], &windows[at..at + len]);
            // SAFETY: the caller's promise.
            unsafe {
                match len {
                    1 => self.tile_of_same::<S, 1, V, PART>(simd, places, windows[0], ahead),
                    2 => self.tile::<S, 2, V, PART>(simd, places, windows, ahead),
                    3 => self.tile::<S, 3, V, PART>(simd, places, windows, ahead),
                    4 => self.tile::<S, 4, V, PART>(simd, places, windows, ahead),
                    5 => self.tile::<S, 5, V, PART>(simd, places, windows, ahead),
                    FEW => self.tile::<S, FEW, V, PART>(simd, places, windows, ahead),
                    _ => self.tile::<S, MANY, V, PART>(simd, places, windows, ahead),
                }
            }
            at += len;
        }
    }

    /// The factors of some pixels, the places of their dst, and the sums before any product.
    #[inline(always)]
    unsafe fn begin<S: Simd, const P: usize, const V: usize, const PART: bool>(
        &self,
        simd: S,
        places: &[Place],
    ) -> (Factors<P>, [*mut f32; P], [[S::f32s; V]; P]) {
        let factors = Factors {
            rows: std::array::from_fn(|p| self.src.wrapping_add(places[p].src)),
            row_step: self.channel_step,
            vectors: self.weights,
            vector_step: self.channels,
        };
        let dst: [*mut f32; P] = std::array::from_fn(|p| self.dst.wrapping_add(places[p].dst * self.ld));
        let mut p = 0;
        while p < P {
            // They come from far away while the sums are built.
            prefetch_line(dst[p]);
            p += 1;
        }
        let width = Width::<V, PART>(self.channels);
        // SAFETY: bias has the block's channels.
        let bias: [S::f32s; V] = std::array::from_fn(|v| unsafe { width.load(simd, self.bias, v) });
        (factors, dst, [bias; P])
    }

    /// The elements of a tap and of others that lie behind it.
    #[inline(always)]
    fn run_of_taps(&self, i: usize, j: usize, taps: usize) -> Run {
        Run {
            row: i.wrapping_mul(self.row_step).wrapping_add(j.wrapping_mul(self.col_step)),
            vector: (i * self.kernel_cols + j) * self.tap_depth * self.channels,
            len: taps * self.depth,
        }
    }

    /// One register tile of `P` pixels that see the same taps.
    #[inline(always)]
    unsafe fn tile_of_same<S: Simd, const P: usize, const V: usize, const PART: bool>(
        &self,
        simd: S,
        places: &[Place],
        window: Window,
        ahead: &mut Ahead,
    ) {
        let width = Width::<V, PART>(self.channels);
        // SAFETY: the caller's promise.
        let (factors, dst, mut sums) = unsafe { self.begin::<S, P, V, PART>(simd, places) };
        let [first, end] = window.cols;
        let taps = if self.joined { end - first } else { 1 };
        let mut i = window.rows[0];
        while i < window.rows[1] && first < end {
            let mut j = first;
            while j < end {
                let run = self.run_of_taps(i, j, taps);
                // SAFETY: every pixel sees these taps, which lie one behind the other.
                sums = unsafe { add(simd, width, &factors, run, sums, ahead) };
                j += taps;
            }
            i += 1;
        }
        // SAFETY: the pixels are the part's, and dst has the block's channels of them.
        unsafe { finish(simd, width, dst, sums, self.accumulate, self.clamp) };
    }

    /// One register tile of `P` pixels whose absent taps read zeros.
    #[inline(always)]
    unsafe fn tile<S: Simd, const P: usize, const V: usize, const PART: bool>(
        &self,
        simd: S,
        places: &[Place],
        windows: &[Window],
        ahead: &mut Ahead,
    ) {
        apart(simd, || {
            let width = Width::<V, PART>(self.channels);
            // SAFETY: the caller's promise.
            let (factors, dst, mut sums) = unsafe { self.begin::<S, P, V, PART>(simd, places) };
            let around = windows[1..].iter().fold(windows[0], |all, window| all.around(window));
            let mut i = around.rows[0];
            while i < around.rows[1] {
                let mut j = around.cols[0];
                while j < around.cols[1] {
                    let tap = self.run_of_taps(i, j, 1);
                    let mut channel = 0;
                    while channel < self.depth {
                        let len = ABSENT.min(self.depth - channel);
                        let rows = std::array::from_fn(|p| {
                            if windows[p].holds(i, j) {
                                factors.rows[p].wrapping_add(tap.row.wrapping_add(channel))
                            } else {
                                ZEROS.as_ptr()
                            }
                        });
                        let run = Run { row: 0, vector: tap.vector + channel * self.channels, len };
                        // SAFETY: what is read are channels of a tap that the pixel sees, or as many zeros.
                        sums = unsafe { add(simd, width, &Factors { rows, ..factors }, run, sums, ahead) };
                        channel += len;
                    }
                    j += 1;
                }
                i += 1;
            }
            // SAFETY: the pixels are the part's, and dst has the block's channels of them.
            unsafe { finish(simd, width, dst, sums, self.accumulate, self.clamp) };
        });
    }
}
