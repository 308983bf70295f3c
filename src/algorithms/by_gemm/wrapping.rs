//! Rows that are joined into one run of pixels, if OW = W.
//!
//! The pixels of a tap then lie at a fixed distance in src and dst. Only the columns that wrap around the end of a
//! row receive wrong values. Their former values are saved and restored. If there is no former value yet, they are
//! set back to zero.

use std::ops::Range;

use crate::problem::Axis;

/// Columns of a row that wrap around for a tap: [0, xs.start) or [xs.end, W).
pub fn junk_of(cols: &Axis, j: usize) -> Range<usize> {
    let xs = cols.outputs_of_tap(j);
    if xs.start > 0 { 0..xs.start } else { xs.end..cols.output }
}

/// Whether a tap's junk columns hold sums already when its turn comes.
pub fn must_save(cols: &Axis, j: usize, accumulate: bool) -> bool {
    accumulate || cols.shift_of_tap(j) > 0
}

/// Columns saved at most at one time: those of the farthest tap on a side that still sees the input.
pub fn saved_cols(cols: &Axis, accumulate: bool) -> usize {
    let farthest_right = (cols.kernel - 1).min((cols.input - 1 + cols.pad_before) / cols.dilation);
    let farthest_left = (cols.pad_before + 1).saturating_sub(cols.input).div_ceil(cols.dilation);
    [farthest_left, farthest_right]
        .into_iter()
        .filter(|&j| j < cols.kernel && !cols.outputs_of_tap(j).is_empty() && must_save(cols, j, accumulate))
        .map(|j| junk_of(cols, j).len())
        .max()
        .unwrap_or_default()
}

/// The pixels of a tile, and the first pixel of src, that one tap's GEMM over rows `ys` joins: whole rows, less the
/// wrapped columns at the very ends where src or the tile would be left.
pub fn flat_run(
    [rows, cols]: [&Axis; 2],
    strip: &Range<usize>,
    (i, j): (usize, usize),
    ys: &Range<usize>,
) -> (Range<usize>, usize) {
    let width = cols.output;
    let to = (ys.start - strip.start) * width;
    let from = (rows.input_of(ys.start, i) * width) as isize + cols.shift_of_tap(j);
    let before = (-from).max(0);
    let (from, before) = ((from + before) as usize, before as usize);
    let len = (ys.len() * width - before).min(rows.input * cols.input - from);
    (to + before..to + before + len, from)
}
