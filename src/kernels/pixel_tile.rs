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
/// Runs of elements that are listed at once.
const RUNS: usize = 32;
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
    /// Whether each output channel has an input channel of its own instead, which the image's data hold side by side.
    pub each: bool,
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
        assert!(!self.each || (self.problem.group_in(), self.image.channel) == (1, 1));
        let (seen_rows, seen_cols) = (rows.window(&self.rows), cols.window(&self.cols));
        if !seen_rows.is_empty() && !seen_cols.is_empty() {
            let [first_row, first_col] = self.origin;
            assert!(first_row <= seen_rows.start && first_col <= seen_cols.start);
            let deep = if self.each { channels } else { self.depth.len() };
            let last = (seen_rows.end - 1 - first_row) * self.image.row
                + (seen_cols.end - 1 - first_col) * self.image.pixel
                + (deep - 1) * self.image.channel;
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
        let block = VECTORS * S::F32_LANES;
        let ld = match self.problem.dst_layout {
            Layout::Nhwc => self.dst.ld(),
            Layout::Nchw => block,
        };
        let listed = match self.problem.dst_layout {
            Layout::Nhwc => LISTED,
            Layout::Nchw => LISTED.min(KEPT / block),
        };
        let width = self.cols.len().min(listed);
        let height = (listed / width).min(self.rows.len());
        for y in self.rows.clone().step_by(height) {
            for x in self.cols.clone().step_by(width) {
                let ys = y..(y + height).min(self.rows.end);
                let xs = x..(x + width).min(self.cols.end);
                groups.list(&self, &ys, &xs, ld);
                let first = (y - self.rows.start) * self.cols.len() + x - self.cols.start;
                self.run_part(simd, &groups, first..first + ys.len() * xs.len());
            }
        }
    }
}

/// The taps that a pixel sees, or that some pixel of a group sees.
#[derive(Clone, Copy, PartialEq)]
struct Window {
    rows: [usize; 2],
    cols: [usize; 2],
}

impl Window {
    fn holds(&self, i: usize, j: usize) -> bool {
        (self.rows[0]..self.rows[1]).contains(&i) && (self.cols[0]..self.cols[1]).contains(&j)
    }

    fn rows(&self) -> usize {
        self.rows[1].saturating_sub(self.rows[0])
    }

    fn cols(&self) -> usize {
        self.cols[1].saturating_sub(self.cols[0])
    }

    fn taps(&self) -> usize {
        self.rows().saturating_mul(self.cols())
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
    /// Where in dst, from the part's first pixel on.
    dst: usize,
}

/// How many windows are the first one.
fn same_as_first(windows: &[Window]) -> usize {
    windows.iter().take_while(|window| **window == windows[0]).count()
}

/// Pixels that see the same taps, in whole groups.
#[derive(Clone, Copy)]
struct Kind {
    window: Window,
    /// Where in the list they end.
    end: usize,
}

/// The pixels of a part of a tile in the order in which they are computed.
struct Groups {
    /// The first `all` are there.
    places: [MaybeUninit<Place>; LISTED],
    /// What those see that are left over from the kinds.
    windows: [MaybeUninit<Window>; LISTED],
    all: usize,
    /// The first `len` are there.
    kinds: [MaybeUninit<Kind>; LISTED / FEW],
    len: usize,
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
        Self { places, windows, all: 0, kinds: [const { MaybeUninit::uninit() }; LISTED / FEW], len: 0, most }
    }

    fn kinds(&self) -> &[Kind] {
        let kinds = &self.kinds[..self.len];
        // SAFETY: `list` has written the first `len`.
        unsafe { std::slice::from_raw_parts(kinds.as_ptr().cast(), kinds.len()) }
    }

    /// Pixels of whole groups.
    fn uniform(&self) -> usize {
        self.kinds().last().map_or(0, |kind| kind.end)
    }

    fn places(&self, range: Range<usize>) -> &[Place] {
        let places = &self.places[..self.all][range];
        // SAFETY: `list` has written the first `all`.
        unsafe { std::slice::from_raw_parts(places.as_ptr().cast(), places.len()) }
    }

    /// The windows of pixels that are left over.
    fn windows(&self, range: Range<usize>) -> &[Window] {
        assert!(self.uniform() <= range.start);
        let windows = &self.windows[..self.all][range];
        // SAFETY: as above.
        unsafe { std::slice::from_raw_parts(windows.as_ptr().cast(), windows.len()) }
    }

    /// Lists the pixels of some rows and columns, row by row, with so many floats from one pixel of dst to the next.
    fn list(&mut self, tile: &PixelTile<'_, '_>, ys: &Range<usize>, xs: &Range<usize>, ld: usize) {
        let Problem { rows, cols, .. } = tile.problem;
        let (image, [first_row, first_col]) = (tile.image, tile.origin);
        let place = |y: usize, x: usize| y.wrapping_mul(image.row).wrapping_add(x.wrapping_mul(image.pixel));
        let first = place(rows.pad_before.wrapping_add(first_row), cols.pad_before.wrapping_add(first_col));
        let step = place(0, cols.stride);
        // Whole groups grow from the front of the list, what is left from its back.
        let (mut front, mut back) = (0, LISTED);
        self.len = 0;
        for_each_kind(rows, ys, |of_kind, of_rows| {
            for_each_kind(cols, xs, |xs_of_kind, of_cols| {
                let end = front + of_kind.len() * xs_of_kind.len() / self.most * self.most;
                let window = Window { rows: of_rows, cols: of_cols };
                if front < end {
                    self.kinds[self.len].write(Kind { window, end });
                    self.len += 1;
                }
                for y in of_kind.clone() {
                    let mut at = Place {
                        src: place(y * rows.stride, xs_of_kind.start * cols.stride).wrapping_sub(first),
                        dst: ((y - ys.start) * xs.len() + xs_of_kind.start - xs.start) * ld,
                    };
                    for _ in xs_of_kind.clone() {
                        if front < end {
                            self.places[front].write(at);
                            front += 1;
                        } else {
                            back -= 1;
                            self.places[back].write(at);
                            self.windows[back].write(window);
                        }
                        at = Place { src: at.src.wrapping_add(step), dst: at.dst + ld };
                    }
                }
            });
        });
        self.places.copy_within(back.., front);
        self.windows.copy_within(back.., front);
        self.all = front + LISTED - back;
        if !tile.each {
            self.bring_together();
        }
    }

    /// Orders what is left so that those of a group see nearly the same taps.
    fn bring_together(&mut self) {
        /// Pixels among which the next one of a group is looked for.
        const NEAR: usize = 24;
        let mut around = None;
        let uniform = self.uniform();
        for at in uniform..self.all {
            let windows = self.windows(at..self.all.min(at + NEAR));
            let group = around.filter(|_| !(at - uniform).is_multiple_of(self.most));
            let taps = |other: &Window| group.map_or(0, |group: Window| group.around(other).taps());
            let near = windows.iter().enumerate().min_by_key(|(_, other)| taps(other));
            let (best, window) = near.map_or((at, windows[0]), |(next, &window)| (at + next, window));
            around = Some(group.map_or(window, |group| group.around(&window)));
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
    /// The channels of the part's first pixel.
    dst: *mut f32,
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

/// The runs of elements that the pixels of a window see, as many as there is room for at once.
struct Runs<'a> {
    block: &'a Block,
    window: Window,
    /// The first `len` are there: those from `first` on, of `all`.
    list: [MaybeUninit<Run>; RUNS],
    len: usize,
    first: usize,
    all: usize,
}

impl<'a> Runs<'a> {
    /// None: it is not made with its runs, which would be copied then.
    #[inline(always)]
    fn none(block: &'a Block) -> Self {
        let window = Window { rows: [0; 2], cols: [0; 2] };
        Self { block, window, list: [const { MaybeUninit::uninit() }; RUNS], len: 0, first: 0, all: 0 }
    }

    /// Lists the runs of a window.
    fn see(&mut self, window: Window) {
        self.all = if self.block.joined && window.taps() > 0 { window.rows() } else { window.taps() };
        self.window = window;
        self.fill(0);
    }

    fn list(&self) -> &[Run] {
        let list = &self.list[..self.len];
        // SAFETY: `fill` has written the first `len`.
        unsafe { std::slice::from_raw_parts(list.as_ptr().cast(), list.len()) }
    }

    /// Lists the runs from `first` on.
    #[inline(never)]
    fn fill(&mut self, first: usize) {
        let (block, window) = (self.block, self.window);
        (self.first, self.len) = (first, RUNS.min(self.all - first));
        for at in 0..self.len {
            let (row, col, taps) = match (block.joined, first + at) {
                (true, row) => (row, 0, window.cols()),
                (false, tap) => (tap / window.cols(), tap % window.cols(), 1),
            };
            self.list[at].write(block.run_of_taps(window.rows[0] + row, window.cols[0] + col, taps));
        }
    }

    /// Whether all runs are listed.
    #[inline(always)]
    fn are_all(&self) -> bool {
        self.len == self.all
    }

    /// Lists the next runs, or the first again if there are no more; whether there are.
    fn next(&mut self) -> bool {
        let next = self.first + self.len;
        self.fill(if next < self.all { next } else { 0 });
        self.first > 0
    }
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
        if planes && !all.is_multiple_of(most) {
            // The last block leaves gaps, which are moved together with what lies between them.
            kept[..pixels.len() * most].fill(MaybeUninit::new(0.0));
        }
        let elements = groups.all.div_ceil(groups.most) * self.problem.taps() * depth;
        let mut first = 0;
        while first < all {
            let channels = most.min(all - first);
            let dst = if planes {
                kept.as_mut_ptr().cast()
            } else {
                // A pointer to an element of dst, as there are these pixels and channels.
                self.dst.as_mut_ptr().wrapping_add(pixels.start * self.dst.ld() + first)
            };
            let weights = &self.weights[first * self.problem.depth()..];
            let block = Block {
                src: image.data.as_ptr().wrapping_add(if self.each { first } else { 0 }),
                weights: weights[self.depth.start * channels..].as_ptr(),
                bias: self.bias.map_or(ZEROS.as_ptr(), |bias| bias[first..].as_ptr()),
                dst,
                channels,
                tap_depth: self.problem.group_in(),
                depth,
                kernel_cols: cols.kernel,
                row_step: rows.dilation.wrapping_mul(image.row),
                col_step: cols.dilation.wrapping_mul(image.pixel),
                channel_step: image.channel,
                joined: self.each
                    || cols.dilation == 1
                        && image.channel == 1
                        && (image.pixel, depth) == (self.problem.group_in(), self.problem.group_in()),
                accumulate: self.accumulate && !planes,
                clamp: self.clamp.filter(|_| !(planes && self.accumulate)),
            };
            let next = &weights[channels * self.problem.depth()..];
            let next = &next[..next.len().min(most * self.problem.depth())];
            let mut ahead = Ahead::new(next, self.weights.len(), elements);
            // SAFETY: `run` checked that the image holds every pixel of the input that is seen and that dst and bias
            // have these channels; the groups hold the pixels of the part and windows inside the image.
            unsafe {
                if self.each {
                    block.run_vectors::<S, true>(simd, groups, &mut ahead);
                } else {
                    block.run_vectors::<S, false>(simd, groups, &mut ahead);
                }
            }
            if planes {
                // SAFETY: what is read has been written: all channels of all pixels of the part.
                let sums =
                    unsafe { std::slice::from_raw_parts(kept.as_ptr().cast::<f32>(), pixels.len() * most) };
                let mut to = self.dst.part(first..first + channels, pixels.clone());
                transpose(&Matrix::new(sums, pixels.len(), channels, most), &mut to, self.accumulate);
                if self.accumulate {
                    epilogue::finish(&mut to, Layout::Nchw, None, self.clamp);
                }
            }
            first += channels;
        }
    }
}

impl Block {
    /// All pixels.
    #[inline(always)]
    unsafe fn run_vectors<S: Simd, const EACH: bool>(&self, simd: S, groups: &Groups, ahead: &mut Ahead) {
        // SAFETY: the caller's promise.
        unsafe {
            match (self.channels.div_ceil(S::F32_LANES), self.channels % S::F32_LANES) {
                (1, 0) => self.run::<S, 1, false, EACH>(simd, groups, ahead),
                (1, _) => self.run::<S, 1, true, EACH>(simd, groups, ahead),
                (_, 0) => self.run::<S, 2, false, EACH>(simd, groups, ahead),
                _ => self.run::<S, 2, true, EACH>(simd, groups, ahead),
            }
        }
    }

    /// All pixels with `V` vectors of channels, the last of which is not whole if `PART`.
    #[inline(always)]
    unsafe fn run<S: Simd, const V: usize, const PART: bool, const EACH: bool>(
        &self,
        simd: S,
        groups: &Groups,
        ahead: &mut Ahead,
    ) {
        let (mut at, mut runs) = (0, Runs::none(self));
        for &Kind { window, end } in groups.kinds() {
            let places = groups.places(at..end);
            runs.see(window);
            apart(simd, || {
                // SAFETY: the caller's promise.
                unsafe {
                    match S::REGISTER_COUNT {
                        32.. => self.tiles::<S, MANY, V, PART, EACH>(simd, places, &mut runs, ahead),
                        _ => self.tiles::<S, FEW, V, PART, EACH>(simd, places, &mut runs, ahead),
                    }
                }
            });
            at = end;
        }
        while at < groups.all {
            let left = groups.all - at;
            let len = match left {
                // A factor for each lane costs as much as the product, so that no pixel computes what another one sees.
                // Channels that lie apart are no line of zeros: pixel by pixel.
                _ if EACH => same_as_first(groups.windows(at..groups.all.min(at + FEW))),
                _ if self.channel_step != 1 => 1,
                _ if left >= groups.most => groups.most,
                _ => left.min(FEW),
            };
            let (places, windows) = (groups.places(at..at + len), groups.windows(at..at + len));
            if EACH || len == 1 {
                runs.see(windows[0]);
            }
            let runs = &mut runs;
            // SAFETY: the caller's promise.
            unsafe {
                match (EACH, len) {
                    (_, 1) => apart(simd, || self.tiles::<S, 1, V, PART, EACH>(simd, places, runs, ahead)),
                    (true, 2) => apart(simd, || self.tiles::<S, 2, V, PART, EACH>(simd, places, runs, ahead)),
                    (true, 3) => apart(simd, || self.tiles::<S, 3, V, PART, EACH>(simd, places, runs, ahead)),
                    (true, 4) => apart(simd, || self.tiles::<S, 4, V, PART, EACH>(simd, places, runs, ahead)),
                    (true, 5) => apart(simd, || self.tiles::<S, 5, V, PART, EACH>(simd, places, runs, ahead)),
                    (true, _) => {
                        apart(simd, || self.tiles::<S, FEW, V, PART, EACH>(simd, places, runs, ahead))
                    }
                    (_, 2) => self.tile::<S, 2, V, PART>(simd, places, windows, ahead),
                    (_, 3) => self.tile::<S, 3, V, PART>(simd, places, windows, ahead),
                    (_, 4) => self.tile::<S, 4, V, PART>(simd, places, windows, ahead),
                    (_, 5) => self.tile::<S, 5, V, PART>(simd, places, windows, ahead),
                    (_, FEW) => self.tile::<S, FEW, V, PART>(simd, places, windows, ahead),
                    _ => self.tile::<S, MANY, V, PART>(simd, places, windows, ahead),
                }
            }
            at += len;
        }
    }

    /// The factors of some pixels, the places of their dst, and the sums before any product.
    #[inline(always)]
    unsafe fn begin<S: Simd, const P: usize, const V: usize, const PART: bool, const EACH: bool>(
        &self,
        simd: S,
        places: &[Place; P],
    ) -> (Factors<P, EACH>, [*mut f32; P], [[S::f32s; V]; P]) {
        let factors = Factors {
            rows: std::array::from_fn(|p| self.src.wrapping_add(places[p].src)),
            row_step: if EACH { self.col_step } else { self.channel_step },
            vector_step: if PART { self.channels } else { V * S::F32_LANES },
        };
        let dst: [*mut f32; P] = std::array::from_fn(|p| self.dst.wrapping_add(places[p].dst));
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
            vectors: self.weights.wrapping_add((i * self.kernel_cols + j) * self.tap_depth * self.channels),
            len: taps * self.depth,
        }
    }

    /// Register tiles of `P` pixels that see the same taps.
    #[inline(always)]
    unsafe fn tiles<S: Simd, const P: usize, const V: usize, const PART: bool, const EACH: bool>(
        &self,
        simd: S,
        places: &[Place],
        runs: &mut Runs<'_>,
        ahead: &mut Ahead,
    ) {
        let width = Width::<V, PART>(self.channels);
        for group in places.chunks_exact(P) {
            // SAFETY: the chunk has `P`; the caller's promise.
            let (factors, dst, mut sums) =
                unsafe { self.begin::<S, P, V, PART, EACH>(simd, &*group.as_ptr().cast()) };
            loop {
                for &run in runs.list() {
                    // SAFETY: every pixel sees these taps, which lie one behind the other.
                    sums = unsafe { add(simd, width, &factors, run, sums, ahead) };
                }
                if runs.are_all() || !runs.next() {
                    break;
                }
            }
            // SAFETY: the pixels are the part's, and dst has the block's channels of them.
            unsafe { finish(simd, width, dst, sums, self.accumulate, self.clamp) };
        }
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
            let (factors, dst, mut sums) =
                unsafe { self.begin::<S, P, V, PART, false>(simd, &*places.as_ptr().cast()) };
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
                        let vectors = tap.vectors.wrapping_add(channel * self.channels);
                        let run = Run { row: 0, vectors, len };
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
