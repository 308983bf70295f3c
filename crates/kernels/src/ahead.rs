//! [`Ahead`]: cache lines of the next weights, which are prefetched while sums are computed.

use crate::lanes::prefetch_line;

/// Weights that are read next, from farther away than the machine foresees: their lines are asked for while sums are
/// built.
pub struct Ahead {
    at: *const u8,
    lines: usize,
    /// Lines after each piece of a run.
    at_once: usize,
    /// Elements of a piece.
    piece: usize,
}

/// Elements of a run after which lines are asked for.
const PIECE: usize = 16;
/// Weights of up to so many bytes stay in the second cache level: 256 KiB.
const NEAR_BYTES: usize = 256 << 10;
/// Bytes of a line of the cache.
pub const LINE: usize = 64;

impl Ahead {
    /// The next of `all` weights, during runs of so many elements.
    pub fn new<T>(next: &[T], all: usize, elements: usize) -> Self {
        if next.is_empty() || all <= NEAR_BYTES / size_of::<T>() {
            return Self::nothing();
        }
        let lines = size_of_val(next).div_ceil(LINE);
        Self {
            at: next.as_ptr().cast(),
            lines,
            at_once: lines.div_ceil((elements / PIECE).max(1)),
            piece: PIECE,
        }
    }

    /// Nothing.
    pub fn nothing() -> Self {
        Self { at: std::ptr::null(), lines: 0, at_once: 0, piece: usize::MAX }
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
            prefetch_line(self.at);
            self.at = self.at.wrapping_add(LINE);
            self.lines -= 1;
            line += 1;
        }
    }
}
