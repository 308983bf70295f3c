//! A convolution's own inner loop: some output pixels × channels, whose sums over all taps and input channels stay in
//! registers until they are finished.
//!
//! Nothing but src, the weights and dst is touched: an output pixel reads its taps where they lie in the image. The
//! pixels of a tile are taken in groups that see the same taps, so that padding costs nothing; what is left of each kind
//! shares groups in which an absent tap reads zeros. The pixels of a transposed convolution that see the same taps lie a
//! stride apart: nothing else tells it from an ordinary one here. Small groups lie side by side in a vector of channels, each
//! multiplied by its own input.

use std::mem::MaybeUninit;
use std::ops::Range;
use std::sync::atomic::AtomicU64;

use pulp::{Simd, WithSimd};

use super::isa;
use super::places::{Place, Places, last_seen, tap_steps};
use super::sums::{
    Ahead, EachFour, EachVector, FEW, Factors, FoursApart, MANY, Run, Shared, Spread, Sums, VECTORS, Width,
    add_before, apart, finish,
};
use crate::lowering::image::Image;
use crate::lowering::lanes::prefetch_line;
use crate::lowering::moves::finish_planes;
use crate::matrix::{Matrix, MatrixMut};
use crate::number::{Number, QUAD};
use crate::problem::{Axis, Clamp, Class, DataType, Layout, Problem, common};

/// Pixels that are put into groups at once; their list is on the stack.
const LISTED: usize = 480;
/// Bytes of sums that are kept on the stack, before they are moved to planes.
pub const KEPT_BYTES: usize = 15 << 10;
/// They lie on lines of the cache: vectors that lie in two of them take twice as long.
#[repr(align(64))]
struct Kept([MaybeUninit<f64>; KEPT_BYTES / size_of::<f64>()]);
/// Runs of elements that are listed at once.
const RUNS: usize = 32;
/// Input channels that an absent tap reads at once.
const ABSENT: usize = 1024;
/// What an absent tap reads. Nobody writes it: of atomics it takes no room in the library's file.
static ZEROS: [AtomicU64; ABSENT] = [const { AtomicU64::new(0) }; ABSENT];

/// Output channels of a block of packed weights: those of a register tile of this machine for elements of this type.
pub fn channels_of_block(data_type: DataType) -> usize {
    struct Channels(DataType);
    impl WithSimd for Channels {
        type Output = usize;
        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) -> usize {
            let lanes = match self.0 {
                DataType::F32 => S::F32_LANES,
                DataType::F64 => S::F64_LANES,
            };
            VECTORS * lanes
        }
    }
    isa::dispatch(Channels(data_type))
}

/// How output channels are divided into blocks, whose weights are packed together and which register tiles compute at once.
#[derive(Debug, Clone, Copy)]
pub struct Blocks {
    /// Output channels of a block: some of a group, or those of one or several groups.
    pub channels: usize,
    /// Output channels that see the same input channels.
    pub of_group: usize,
}

impl Blocks {
    /// Those of a convolution. Small groups share a block if each fills a vector or four lanes of one.
    pub fn new(problem: &Problem) -> Self {
        let (of_group, most) = (problem.group_out(), channels_of_block(problem.data_type));
        let lanes = most / VECTORS;
        let fill = of_group == lanes || (of_group == QUAD && lanes > QUAD);
        let groups = (most / of_group).min(problem.groups);
        let share =
            fill && problem.out_channels.is_multiple_of(lanes) && groups * problem.group_in() <= ABSENT;
        Self { channels: if share || of_group >= most { most } else { of_group }, of_group }
    }
}

/// Some output pixels × channels of an image.
pub struct PixelTile<'a, 'b, T> {
    /// The convolution.
    pub problem: &'a Problem,
    /// Its input, or a part of it.
    pub image: &'a Image<'a, T>,
    /// The input plane, row and column with which the image's data begin.
    pub origin: [usize; 3],
    /// The input channels of each group that the image's data hold and that are summed.
    pub depth: Range<usize>,
    /// How the output channels are divided. They are channels of one group, or begin with the first of a group.
    pub blocks: Blocks,
    /// The output channels' weights block by block, each taps × C × channels, and whatever lies behind them: the more, the
    /// more often is a vector read whole that is not.
    pub weights: &'a [T],
    /// One value an output channel.
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

impl<T: Number> PixelTile<'_, '_, T> {
    /// dst ← clamp(convolution + bias), or + dst.
    pub fn run(self) {
        let pixels = self.outputs.iter().map(Range::len).product::<usize>();
        let (of_dst, channels) = match self.problem.dst_layout {
            Layout::Nhwc => (self.dst.rows(), self.dst.cols()),
            Layout::Nchw => (self.dst.cols(), self.dst.rows()),
        };
        assert_eq!(of_dst, pixels);
        assert!(self.weights.len() >= channels * self.problem.depth());
        assert!(self.bias.is_none_or(|bias| bias.len() == channels));
        assert!(!self.depth.is_empty() && self.depth.end <= self.problem.group_in());
        assert!(self.problem.axes().iter().all(|axis| axis.kernel <= MOST_TAPS));
        assert!(channels <= self.blocks.of_group || self.depth == (0..self.problem.group_in()));
        let before = (channels - 1) / self.blocks.of_group * self.problem.group_in();
        let deep = (before + self.depth.len() - 1) * self.image.channel;
        let last = last_seen(self.problem, self.image, self.origin, &self.outputs);
        assert!(last.is_none_or(|last| last + deep < self.image.data.len()));
        isa::dispatch(self);
    }
}

impl<T: Number> WithSimd for PixelTile<'_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let most = if S::REGISTER_COUNT >= 32 { MANY } else { FEW };
        let mut groups = Groups::new(most);
        let block = VECTORS * T::lanes::<S>();
        let ld = match self.problem.dst_layout {
            Layout::Nhwc => self.dst.ld(),
            Layout::Nchw => block,
        };
        let listed = match self.problem.dst_layout {
            Layout::Nhwc => LISTED,
            Layout::Nchw => LISTED.min(KEPT_BYTES / size_of::<T>() / block),
        };
        let [planes, rows, cols] = self.outputs.clone();
        let width = cols.len().min(listed);
        let height = (listed / width).min(rows.len());
        let depth = if (height, width) == (rows.len(), cols.len()) { listed / (height * width) } else { 1 };
        for z in planes.clone().step_by(depth) {
            let zs = z..(z + depth).min(planes.end);
            for y in rows.clone().step_by(height) {
                let ys = y..(y + height).min(rows.end);
                for x in cols.clone().step_by(width) {
                    let xs = x..(x + width).min(cols.end);
                    let first =
                        ((z - planes.start) * rows.len() + y - rows.start) * cols.len() + x - cols.start;
                    let all = zs.len() * ys.len() * xs.len();
                    groups.list(&self, [&zs, &ys, &xs], ld);
                    self.run_part(simd, &groups, first..first + all);
                }
            }
        }
    }
}

/// The most taps of an axis: they are counted in 32 bits.
pub const MOST_TAPS: usize = u32::MAX as usize;

/// The taps that a pixel sees, or that some pixel of a group sees: of each axis those from one to before another, as the
/// pixel's class counts them.
#[derive(Clone, Copy, PartialEq)]
struct Window {
    taps: [[u32; 2]; 3],
    /// The tap (0, 0, 0) of the class, as the weights count taps.
    first_tap: usize,
}

impl Window {
    /// No tap.
    const NONE: Self = Self { taps: [[0; 2]; 3], first_tap: 0 };

    fn holds(&self, taps: [usize; 3]) -> bool {
        self.taps.iter().zip(taps).all(|([first, end], tap)| (*first as usize..*end as usize).contains(&tap))
    }

    fn first(&self, axis: usize) -> usize {
        self.taps[axis][0] as usize
    }

    fn len(&self, axis: usize) -> usize {
        let [first, end] = self.taps[axis];
        end.saturating_sub(first) as usize
    }

    fn count(&self) -> usize {
        self.len(0).saturating_mul(self.len(1)).saturating_mul(self.len(2))
    }

    /// All taps between those of both, which are of one class.
    fn around(&self, other: &Self) -> Self {
        let around = |[a, b]: [u32; 2], [c, d]: [u32; 2]| match (a < b, c < d) {
            (true, true) => [a.min(c), b.max(d)],
            (true, false) => [a, b],
            (false, _) => [c, d],
        };
        Self { taps: std::array::from_fn(|at| around(self.taps[at], other.taps[at])), ..*self }
    }
}

/// How many windows are of the first one's class.
fn of_first_class(windows: &[Window]) -> usize {
    windows.iter().take_while(|window| window.first_tap == windows[0].first_tap).count()
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
#[inline(always)]
fn for_each_kind(axis: &Axis, outputs: &Range<usize>, mut f: impl FnMut(Range<usize>, [u32; 2])) {
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
        // `run` has checked that they fit.
        f(at..end, [taps.start as u32, taps.end as u32]);
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

    /// Lists some outputs, class by class, with so many elements from one pixel of dst to the next.
    fn list<T: Number>(&mut self, tile: &PixelTile<'_, '_, T>, outputs: [&Range<usize>; 3], ld: usize) {
        let [planes, rows, cols] = tile.problem.axes();
        // Whole groups grow from the front of the list, what is left from its back.
        let (mut front, mut back) = (0, LISTED);
        self.len = 0;
        for z in planes.classes(outputs[0]) {
            for y in rows.classes(outputs[1]) {
                for x in cols.classes(outputs[2]) {
                    self.list_class(tile, [&z, &y, &x], outputs, ld, (&mut front, &mut back));
                }
            }
        }
        self.places.copy_within(back.., front);
        self.windows.copy_within(back.., front);
        self.all = front + LISTED - back;
        self.bring_together();
    }

    /// Lists those of a class.
    #[inline(always)]
    fn list_class<T: Number>(
        &mut self,
        tile: &PixelTile<'_, '_, T>,
        classes: [&Class; 3],
        outputs: [&Range<usize>; 3],
        ld: usize,
        (front, back): (&mut usize, &mut usize),
    ) {
        let places = Places::new(tile.image, tile.origin, classes, outputs, ld);
        let [zs, ys, xs] = &places.outputs;
        let first_tap = tile.problem.first_tap(classes);
        for_each_kind(&classes[0].axis, zs, |zs, of_planes| {
            for_each_kind(&classes[1].axis, ys, |ys, of_rows| {
                for_each_kind(&classes[2].axis, xs, |xs, of_cols| {
                    let all = zs.len() * ys.len() * xs.len();
                    let end = *front + all / self.most * self.most;
                    let window = Window { taps: [of_planes, of_rows, of_cols], first_tap };
                    if *front < end {
                        self.kinds[self.len].write(Kind { window, end });
                        self.len += 1;
                    }
                    for z in zs.clone() {
                        for y in ys.clone() {
                            let mut at = places.of([z, y, xs.start]);
                            for _ in xs.clone() {
                                if *front < end {
                                    self.places[*front].write(at);
                                    *front += 1;
                                } else {
                                    *back -= 1;
                                    self.places[*back].write(at);
                                    self.windows[*back].write(window);
                                }
                                at = at.plus(places.steps[2], 1);
                            }
                        }
                    }
                });
            });
        });
    }

    /// Orders what is left so that those of a group see nearly the same taps.
    fn bring_together(&mut self) {
        /// Pixels among which the next one of a group is looked for.
        const NEAR: usize = 24;
        let mut at = self.uniform();
        while at < self.all {
            // Groups of one class.
            let end = at + of_first_class(self.windows(at..self.all));
            let first = at;
            let mut around = None;
            while at < end {
                let windows = self.windows(at..end.min(at + NEAR));
                let group = around.filter(|_| !(at - first).is_multiple_of(self.most));
                let taps = |other: &Window| group.map_or(0, |group: Window| group.around(other).count());
                let near = windows.iter().enumerate().min_by_key(|(_, other)| taps(other));
                let (best, window) = near.map_or((at, windows[0]), |(next, &window)| (at + next, window));
                around = Some(group.map_or(window, |group| group.around(&window)));
                self.places.swap(at, best);
                self.windows.swap(at, best);
                at += 1;
            }
        }
    }
}

/// One block of channels: everything that its register tiles share.
struct Block<T> {
    src: *const T,
    weights: *const T,
    /// Behind all that may be read.
    weights_end: *const T,
    bias: *const T,
    /// The channels of the part's first pixel.
    dst: *mut T,
    channels: usize,
    /// Output channels of a group: of more of them than a block's, or of fewer.
    of_group: usize,
    /// Input channels whose weights a tap has, and of these the part that is summed.
    tap_depth: usize,
    depth: usize,
    /// Elements of the image from one tap of a class to the next, on each axis, and from one channel to the next.
    steps: [usize; 3],
    channel_step: usize,
    /// Taps from one of a class to the next, as the weights count them.
    tap_steps: [usize; 3],
    /// Whether the taps of a kernel row lie one behind the other.
    joined: bool,
    /// What the part's first pixel is added to, if the pixels are.
    addend: Option<*const T>,
    clamp: Option<Clamp<T>>,
}

/// The runs of elements that the pixels of a window see, as many as there is room for at once.
struct Runs<'a, T> {
    block: &'a Block<T>,
    window: Window,
    /// The first `len` are there: those from `first` on, of `all`.
    list: [MaybeUninit<Run<T>>; RUNS],
    len: usize,
    first: usize,
    all: usize,
}

impl<'a, T: Number> Runs<'a, T> {
    /// None: it is not made with its runs, which would be copied then.
    #[inline(always)]
    fn none(block: &'a Block<T>) -> Self {
        let window = Window::NONE;
        Self { block, window, list: [const { MaybeUninit::uninit() }; RUNS], len: 0, first: 0, all: 0 }
    }

    /// Lists the runs of a window.
    fn see(&mut self, window: Window) {
        self.all = match window.count() {
            0 => 0,
            _ if self.block.joined => window.len(0) * window.len(1),
            taps => taps,
        };
        self.window = window;
        self.fill(0);
    }

    fn list(&self) -> &[Run<T>] {
        let list = &self.list[..self.len];
        // SAFETY: `fill` has written the first `len`.
        unsafe { std::slice::from_raw_parts(list.as_ptr().cast(), list.len()) }
    }

    /// Lists the runs from `first` on.
    #[inline(never)]
    fn fill(&mut self, first: usize) {
        let (block, window) = (self.block, self.window);
        (self.first, self.len) = (first, RUNS.min(self.all - first));
        // Columns of a run, and runs of a row.
        let (taps, of_row) = if block.joined { (window.len(2), 1) } else { (1, window.len(2)) };
        let [mut z, mut row, mut col] = match first {
            0 => [0; 3],
            run => [run / of_row / window.len(1), run / of_row % window.len(1), run % of_row],
        };
        for at in 0..self.len {
            let tap = [window.first(0) + z, window.first(1) + row, window.first(2) + col];
            self.list[at].write(block.run_of_taps(window.first_tap, tap, taps));
            col += 1;
            if col == of_row {
                (row, col) = (row + 1, 0);
                if row == window.len(1) {
                    (z, row) = (z + 1, 0);
                }
            }
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

impl<T: Number> PixelTile<'_, '_, T> {
    /// The listed pixels, which are these of the tile.
    #[inline(always)]
    fn run_part<S: Simd>(&mut self, simd: S, groups: &Groups, pixels: Range<usize>) {
        let (image, depth) = (self.image, self.depth.len());
        let planes = self.problem.dst_layout == Layout::Nchw;
        let all = if planes { self.dst.rows() } else { self.dst.cols() };
        let most = VECTORS * T::lanes::<S>();
        let mut kept = Kept([const { MaybeUninit::uninit() }; KEPT_BYTES / size_of::<f64>()]);
        let kept = &mut kept.0;
        let Blocks { channels: of_block, of_group } = self.blocks;
        // Small groups are moved to planes together.
        let together = if of_block < of_group { of_group } else { most / of_block * of_block };
        if planes && (!together.is_multiple_of(most) || !all.is_multiple_of(most)) {
            // Blocks that are not whole leave gaps, which are moved together with what lies between them.
            let bytes = pixels.len() * most * size_of::<T>();
            kept[..bytes.div_ceil(size_of::<f64>())].fill(MaybeUninit::new(0.0));
        }
        let tap_steps = tap_steps(self.problem, image);
        let (steps, tap_steps) = (tap_steps.map(|(image, _)| image), tap_steps.map(|(_, taps)| taps));
        // Of a transposed convolution's taps a pixel sees one in so many.
        let classes: usize = self.problem.axes().map(Axis::count_classes).iter().product();
        let of_all = groups.all.div_ceil(groups.most).max(classes.min(groups.all));
        let elements = of_all * self.problem.taps().div_ceil(classes) * depth;
        let mut first = 0;
        while first < all {
            let channels = most.min(together - first % together).min(all - first);
            // To an element of dst, as there are these pixels and channels.
            let offset = pixels.start * self.dst.ld() + first;
            let dst: *mut T =
                if planes { kept.as_mut_ptr().cast() } else { self.dst.as_mut_ptr().wrapping_add(offset) };
            let addend = self.dst.addend_ptr().wrapping_add(offset);
            let mut of_these = 0;
            while of_these < channels {
                let (at, channels) = (first + of_these, of_block.min(channels - of_these));
                let group_in = self.problem.group_in();
                let weights = &self.weights[at * self.problem.depth()..];
                let block = Block {
                    src: image.data.as_ptr().wrapping_add(at / of_group * group_in * image.channel),
                    weights: weights[self.depth.start * channels..].as_ptr(),
                    weights_end: self.weights.as_ptr_range().end,
                    bias: self.bias.map_or(ZEROS.as_ptr().cast(), |bias| bias[at..].as_ptr()),
                    dst: dst.wrapping_add(of_these),
                    channels,
                    of_group,
                    tap_depth: group_in,
                    depth,
                    steps,
                    channel_step: image.channel,
                    tap_steps,
                    joined: !self.problem.cols.transposed
                        && self.problem.cols.dilation == 1
                        && image.channel == 1
                        && (image.pixel, depth) == (group_in, group_in),
                    addend: (self.accumulate && !planes).then_some(addend.wrapping_add(of_these)),
                    clamp: self.clamp.filter(|_| !(planes && self.accumulate)).map(Clamp::of),
                };
                let next = of_block.min(all - at - channels) * self.problem.depth();
                let next = &weights[channels * self.problem.depth()..][..next];
                let mut ahead = Ahead::new(next, all * self.problem.depth(), elements);
                // SAFETY: `run` checked that the image holds every pixel of the input that is seen and that dst and
                // bias have these channels; the groups hold the pixels of the part and windows inside the image.
                unsafe {
                    block.run_vectors(simd, groups, &mut ahead);
                }
                of_these += channels;
            }
            if planes {
                // SAFETY: what is read has been written: all channels of all pixels of the part.
                let sums =
                    unsafe { std::slice::from_raw_parts(kept.as_ptr().cast::<T>(), pixels.len() * most) };
                let mut to = self.dst.part(first..first + channels, pixels.clone());
                let sums = Matrix::new(sums, pixels.len(), channels, most);
                finish_planes(&sums, &mut to, self.accumulate, self.clamp);
            }
            first += channels;
        }
    }
}

impl<T: Number> Block<T> {
    /// All pixels.
    #[inline(always)]
    unsafe fn run_vectors<S: Simd>(&self, simd: S, groups: &Groups, ahead: &mut Ahead) {
        // SAFETY: the caller's promise.
        unsafe {
            if self.of_group < self.channels {
                let apart = self.tap_depth * self.channel_step;
                let joined = self.tap_depth == QUAD && self.channel_step == 1;
                // As `Blocks` has it, a group of fewer channels than lanes has four: the compiler drops what a machine never does.
                let fours = T::lanes::<S>() > QUAD && self.of_group < T::lanes::<S>();
                return match (fours, joined, self.channels > T::lanes::<S>()) {
                    (false, ..) => self.run::<S, _, 2, false>(simd, EachVector(apart), groups, ahead),
                    (_, true, false) => self.run::<S, _, 1, false>(simd, EachFour, groups, ahead),
                    (_, true, true) => self.run::<S, _, 2, false>(simd, EachFour, groups, ahead),
                    (_, _, false) => self.run::<S, _, 1, false>(simd, FoursApart(apart), groups, ahead),
                    (_, _, true) => self.run::<S, _, 2, false>(simd, FoursApart(apart), groups, ahead),
                };
            }
            match (self.channels.div_ceil(T::lanes::<S>()), self.channels % T::lanes::<S>()) {
                (1, 0) => self.run::<S, _, 1, false>(simd, Shared, groups, ahead),
                (1, _) => self.run::<S, _, 1, true>(simd, Shared, groups, ahead),
                (_, 0) => self.run::<S, _, 2, false>(simd, Shared, groups, ahead),
                _ => self.run::<S, _, 2, true>(simd, Shared, groups, ahead),
            }
        }
    }

    /// All pixels with `V` vectors of channels, the last of which is not whole if `PART`.
    #[inline(always)]
    unsafe fn run<S: Simd, F: Spread<S, T>, const V: usize, const PART: bool>(
        &self,
        simd: S,
        spread: F,
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
                        32.. => {
                            self.tiles::<S, F, MANY, V, PART>(simd, spread, places, &mut runs, ahead);
                        }
                        _ => self.tiles::<S, F, FEW, V, PART>(simd, spread, places, &mut runs, ahead),
                    }
                }
            });
            at = end;
        }
        while at < groups.all {
            let left = groups.all - at;
            let len = match left {
                // Channels that lie apart are no line of zeros: pixel by pixel.
                _ if self.channel_step != 1 => 1,
                // A single vector of small groups is the last of all: tiles for what its pixels leave are not worth their bytes.
                _ if V == 1 && !F::SAME => 1,
                left => match of_first_class(groups.windows(at..groups.all.min(at + groups.most))) {
                    of_class if of_class == groups.most => of_class,
                    of_class => of_class.min(FEW).min(left),
                },
            };
            let (places, windows) = (groups.places(at..at + len), groups.windows(at..at + len));
            if len == 1 {
                runs.see(windows[0]);
            }
            let runs = &mut runs;
            // SAFETY: the caller's promise.
            unsafe {
                match len {
                    1 => apart(simd, || self.tiles::<S, F, 1, V, PART>(simd, spread, places, runs, ahead)),
                    2 => self.tile::<S, F, 2, V, PART>(simd, spread, places, windows, ahead),
                    3 => self.tile::<S, F, 3, V, PART>(simd, spread, places, windows, ahead),
                    4 => self.tile::<S, F, 4, V, PART>(simd, spread, places, windows, ahead),
                    5 => self.tile::<S, F, 5, V, PART>(simd, spread, places, windows, ahead),
                    MANY if S::REGISTER_COUNT >= 32 => {
                        self.tile::<S, F, MANY, V, PART>(simd, spread, places, windows, ahead);
                    }
                    _ => self.tile::<S, F, FEW, V, PART>(simd, spread, places, windows, ahead),
                }
            }
            at += len;
        }
    }

    /// The factors of some pixels, the places of their dst, and the sums before any product.
    #[inline(always)]
    unsafe fn begin<S: Simd, F: Spread<S, T>, const P: usize, const V: usize, const PART: bool>(
        &self,
        simd: S,
        spread: F,
        places: &[Place; P],
    ) -> (Factors<T, P, F>, [*mut T; P], Sums<S, T, P, V>) {
        let factors = Factors {
            rows: std::array::from_fn(|p| self.src.wrapping_add(places[p].src)),
            row_step: self.channel_step,
            vector_step: if PART { self.channels } else { V * T::lanes::<S>() },
            spread,
        };
        let dst: [*mut T; P] = std::array::from_fn(|p| self.dst.wrapping_add(places[p].dst));
        let mut p = 0;
        while p < P {
            // They come from far away while the sums are built.
            prefetch_line(dst[p]);
            p += 1;
        }
        let width = Width::<V, PART>(self.channels);
        // SAFETY: bias has the block's channels.
        let bias: [T::Vector<S>; V] = std::array::from_fn(|v| unsafe { width.load(simd, self.bias, v) });
        (factors, dst, [bias; P])
    }

    /// What these pixels are added to, if they are.
    #[inline(always)]
    fn addends<const P: usize>(&self, places: &[Place]) -> Option<[*const T; P]> {
        self.addend.map(|addend| std::array::from_fn(|p| addend.wrapping_add(places[p].dst)))
    }

    /// The elements of a tap of a class and of others that lie behind it.
    #[inline(always)]
    fn run_of_taps(&self, first_tap: usize, taps: [usize; 3], len: usize) -> Run<T> {
        let [mut row, mut tap] = [0usize, first_tap];
        let mut at = 0;
        while at < 3 {
            row = row.wrapping_add(taps[at].wrapping_mul(self.steps[at]));
            tap = tap.wrapping_add(taps[at].wrapping_mul(self.tap_steps[at]));
            at += 1;
        }
        let vectors = self.weights.wrapping_add(tap.wrapping_mul(self.tap_depth * self.channels));
        Run { row, vectors, len: len * self.depth }
    }

    /// Register tiles of `P` pixels that see the same taps.
    #[inline(always)]
    unsafe fn tiles<S: Simd, F: Spread<S, T>, const P: usize, const V: usize, const PART: bool>(
        &self,
        simd: S,
        spread: F,
        places: &[Place],
        runs: &mut Runs<'_, T>,
        ahead: &mut Ahead,
    ) {
        let width = Width::<V, PART>(self.channels);
        for group in places.chunks_exact(P) {
            // SAFETY: the chunk has `P`; the caller's promise.
            let (factors, dst, mut sums) =
                unsafe { self.begin::<S, F, P, V, PART>(simd, spread, &*group.as_ptr().cast()) };
            loop {
                for &run in runs.list() {
                    // SAFETY: every pixel sees these taps, which lie one behind the other.
                    sums = unsafe { add_before(simd, width, &factors, run, sums, ahead, self.weights_end) };
                }
                if runs.are_all() || !runs.next() {
                    break;
                }
            }
            // SAFETY: the pixels are the part's, and dst has the block's channels of them.
            unsafe { finish(simd, width, dst, sums, self.addends(group), self.clamp) };
        }
    }

    /// One register tile of `P` pixels whose absent taps read zeros.
    #[inline(always)]
    unsafe fn tile<S: Simd, F: Spread<S, T>, const P: usize, const V: usize, const PART: bool>(
        &self,
        simd: S,
        spread: F,
        places: &[Place],
        windows: &[Window],
        ahead: &mut Ahead,
    ) {
        apart(simd, || {
            let width = Width::<V, PART>(self.channels);
            // SAFETY: the caller's promise.
            let (factors, dst, mut sums) =
                unsafe { self.begin::<S, F, P, V, PART>(simd, spread, &*places.as_ptr().cast()) };
            let around = windows[1..].iter().fold(windows[0], |all, window| all.around(window));
            let [zs, is, js] = around.taps.map(|[first, end]| first as usize..end as usize);
            let mut z = zs.start;
            while z < zs.end {
                let mut i = is.start;
                while i < is.end {
                    let mut j = js.start;
                    while j < js.end {
                        let tap = self.run_of_taps(around.first_tap, [z, i, j], 1);
                        let mut channel = 0;
                        while channel < self.depth {
                            let len = ABSENT.min(self.depth - channel);
                            let rows = std::array::from_fn(|p| {
                                if windows[p].holds([z, i, j]) {
                                    factors.rows[p].wrapping_add(tap.row.wrapping_add(channel))
                                } else {
                                    ZEROS.as_ptr().cast()
                                }
                            });
                            let vectors = tap.vectors.wrapping_add(channel * self.channels);
                            let run = Run { row: 0, vectors, len };
                            let factors = Factors { rows, ..factors };
                            // SAFETY: what is read are channels of a tap that the pixel sees, or as many zeros.
                            sums = unsafe {
                                add_before(simd, width, &factors, run, sums, ahead, self.weights_end)
                            };
                            channel += len;
                        }
                        j += 1;
                    }
                    i += 1;
                }
                z += 1;
            }
            // SAFETY: the pixels are the part's, and dst has the block's channels of them.
            unsafe { finish(simd, width, dst, sums, self.addends(places), self.clamp) };
        });
    }
}
