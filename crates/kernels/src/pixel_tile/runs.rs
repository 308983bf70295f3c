//! [`Runs`]: the elements that the pixels of a tap box see, as runs of products.

use std::mem::MaybeUninit;

use crate::pixel_tile::block::Block;
use crate::pixel_tile::tap_box::TapBox;
use crate::scheme::Scheme;
use crate::sums::Run;

/// Runs of elements that are listed at once.
const RUNS: usize = 32;

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
