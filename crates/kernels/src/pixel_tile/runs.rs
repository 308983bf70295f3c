//! [`Runs`] and [`MixedRuns`]: the elements that some pixels see, as runs of products.

use std::mem::MaybeUninit;

use crate::pixel_tile::absent::{ABSENT, zeros};
use crate::pixel_tile::block::Block;
use crate::pixel_tile::tap_box::{TapBox, around_all};
use crate::scheme::Scheme;
use crate::sums::Run;

/// Runs of elements that are listed at once.
const RUNS: usize = 32;

/// The same of pixels that do not see the same taps, which need more room each.
const MIXED_RUNS: usize = 8;

/// The runs of elements that the pixels of a tap box see, as many as there is room for at once.
pub struct Runs<'a, X: Scheme> {
    block: &'a Block<X>,
    tap_box: TapBox,
    /// The first `len` are there: those from `first` on, of `all`.
    list: [MaybeUninit<Run<X>>; RUNS],
    len: usize,
    first: usize,
    all: usize,
}

impl<'a, X: Scheme> Runs<'a, X> {
    /// None: it is not made with its runs, which would be copied then.
    #[inline(always)]
    pub fn none(block: &'a Block<X>) -> Self {
        let tap_box = TapBox::NONE;
        Self { block, tap_box, list: [const { MaybeUninit::uninit() }; RUNS], len: 0, first: 0, all: 0 }
    }

    /// Lists the runs of a tap box.
    pub fn see(&mut self, tap_box: TapBox) {
        self.all = match tap_box.count() {
            0 => 0,
            _ if self.block.joined => tap_box.len(0) * tap_box.len(1),
            taps => taps,
        };
        self.tap_box = tap_box;
        self.fill(0);
    }

    /// The taps that are seen.
    pub fn tap_box(&self) -> TapBox {
        self.tap_box
    }

    /// Those that are listed.
    pub fn list(&self) -> &[Run<X>] {
        let list = &self.list[..self.len];
        // SAFETY: `fill` has written the first `len`.
        unsafe { std::slice::from_raw_parts(list.as_ptr().cast(), list.len()) }
    }

    /// Lists the runs from `first` on.
    #[inline(never)]
    fn fill(&mut self, first: usize) {
        let (block, tap_box) = (self.block, self.tap_box);
        (self.first, self.len) = (first, RUNS.min(self.all - first));
        // Columns of a run, and runs of a row.
        let (taps, of_row) = if block.joined { (tap_box.len(2), 1) } else { (1, tap_box.len(2)) };
        let [mut z, mut row, mut col] = match first {
            0 => [0; 3],
            run => [run / of_row / tap_box.len(1), run / of_row % tap_box.len(1), run % of_row],
        };
        for at in 0..self.len {
            let tap = [tap_box.first(0) + z, tap_box.first(1) + row, tap_box.first(2) + col];
            self.list[at].write(block.run_of_taps(tap_box.first_tap, tap, taps));
            col += 1;
            if col == of_row {
                (row, col) = (row + 1, 0);
                if row == tap_box.len(1) {
                    (z, row) = (z + 1, 0);
                }
            }
        }
    }

    /// Whether all runs are listed.
    #[inline(always)]
    pub fn are_all(&self) -> bool {
        self.len == self.all
    }

    /// Lists the next runs, or the first again if there are no more; whether there are.
    pub fn next(&mut self) -> bool {
        let next = self.first + self.len;
        self.fill(if next < self.all { next } else { 0 });
        self.first > 0
    }
}

/// Channels of a tap of some pixels: where each pixel's lie, the vectors that they multiply, and how many they are.
#[derive(Clone, Copy)]
pub struct MixedRun<X: Scheme, const P: usize> {
    pub rows: [*const X::Src; P],
    pub vectors: *const X::Weight,
    pub len: usize,
}

/// Runs of pixels that do not see the same taps, as many as there is room for at once. A tap that a pixel does not see
/// reads zeros.
pub struct MixedRuns<'a, X: Scheme, const P: usize> {
    block: &'a Block<X>,
    rows: [*const X::Src; P],
    tap_boxes: &'a [TapBox],
    around: TapBox,
    /// The first `len` are there.
    list: [MaybeUninit<MixedRun<X, P>>; MIXED_RUNS],
    len: usize,
    /// The tap that is listed next, from this channel on, and the taps that are left with it.
    tap: [usize; 3],
    channel: usize,
    left: usize,
}

impl<'a, X: Scheme, const P: usize> MixedRuns<'a, X, P> {
    /// Those of pixels whose input begins at these places. The last tap box is that of all pixels behind it.
    #[inline(always)]
    pub fn new(block: &'a Block<X>, rows: [*const X::Src; P], tap_boxes: &'a [TapBox]) -> Self {
        let around = around_all(tap_boxes);
        let tap = std::array::from_fn(|at| around.first(at));
        let list = [const { MaybeUninit::uninit() }; MIXED_RUNS];
        Self { block, rows, tap_boxes, around, list, len: 0, tap, channel: 0, left: around.count() }
    }

    /// Those that are listed.
    pub fn list(&self) -> &[MixedRun<X, P>] {
        let list = &self.list[..self.len];
        // SAFETY: `fill` has written the first `len`.
        unsafe { std::slice::from_raw_parts(list.as_ptr().cast(), list.len()) }
    }

    /// Lists the next runs; whether there are any.
    #[inline(never)]
    pub fn fill(&mut self) -> bool {
        self.len = 0;
        while self.left > 0 && self.len < MIXED_RUNS {
            let run = self.block.run_of_taps(self.around.first_tap, self.tap, 1);
            let place = run.row.wrapping_add(self.channel);
            let rows = std::array::from_fn(|p| {
                match self.tap_boxes[p.min(self.tap_boxes.len() - 1)].holds(self.tap) {
                    true => self.rows[p].wrapping_add(place),
                    false => zeros(),
                }
            });
            let vectors = run.vectors.wrapping_add(self.channel * self.block.channels);
            let len = ABSENT.min(run.len - self.channel);
            self.list[self.len].write(MixedRun { rows, vectors, len });
            self.len += 1;
            self.channel += len;
            if self.channel == run.len {
                self.next_tap();
            }
        }
        self.len > 0
    }

    fn next_tap(&mut self) {
        (self.left, self.channel) = (self.left - 1, 0);
        for at in (0..3).rev() {
            self.tap[at] += 1;
            if self.tap[at] < self.around.first(at) + self.around.len(at) {
                return;
            }
            self.tap[at] = self.around.first(at);
        }
    }
}
