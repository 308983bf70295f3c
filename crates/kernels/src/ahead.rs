//! [`Ahead`]: cache lines of the next weights, which are prefetched while sums are computed.

use crate::lanes::prefetch_to_second_level;

/// Weights that are read next: their lines are brought to the second cache level while sums are built. They may come from
/// memory, as a layer's weights do in a network whose weights the caches do not hold.
pub struct Ahead {
    at: *const u8,
    lines: usize,
    /// Lines that lie one behind the other, and of these the ones that are left.
    of_row: usize,
    left: usize,
    /// Bytes from the last line of a row to the next row.
    gap: usize,
    /// Lines after each piece of a run.
    at_once: usize,
    /// Elements of a piece.
    piece: usize,
}

/// Lines that are asked for at once, where that is soon enough. Few: a processor that waits for as many lines as it can reads
/// nothing else.
const AT_ONCE: usize = 4;
/// The fewest elements of a piece.
const PIECE: usize = 8;
/// Bytes of a line of the cache.
pub const LINE: usize = 64;

impl Ahead {
    /// Rows of so many weights that begin `apart`, during runs of so many elements; none are asked for during none.
    pub fn new<T>(next: &[T], of_row: usize, apart: usize, elements: usize) -> Self {
        if next.is_empty() || of_row == 0 || elements == 0 {
            return Self::nothing();
        }
        // Without gaps they are one row.
        let [of_row, apart] = if of_row == apart { [next.len(); 2] } else { [of_row, apart] };
        let rows = next.len().div_ceil(apart);
        let of_row = (of_row * size_of::<T>()).div_ceil(LINE);
        let lines = rows * of_row;
        let piece = (elements * AT_ONCE / lines).max(PIECE);
        Self {
            at: next.as_ptr().cast(),
            lines,
            of_row,
            left: of_row,
            // Rows may end within a line.
            gap: (apart * size_of::<T>()).wrapping_sub((of_row - 1) * LINE),
            at_once: lines.div_ceil((elements / piece).max(1)),
            piece,
        }
    }

    /// Nothing.
    pub fn nothing() -> Self {
        Self { at: std::ptr::null(), lines: 0, of_row: 0, left: 0, gap: 0, at_once: 0, piece: usize::MAX }
    }

    /// Elements of a run after which it is to [`ask`](Self::ask).
    #[inline(always)]
    pub fn piece(&self) -> usize {
        self.piece
    }

    /// Asks for the lines that are due.
    #[inline(always)]
    pub fn ask(&mut self) {
        let mut line = 0;
        while line < self.at_once && self.lines > 0 {
            prefetch_to_second_level(self.at);
            (self.lines, self.left) = (self.lines - 1, self.left - 1);
            let mut step = LINE;
            if self.left == 0 {
                (step, self.left) = (self.gap, self.of_row);
            }
            self.at = self.at.wrapping_add(step);
            line += 1;
        }
    }
}
