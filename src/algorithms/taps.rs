//! The taps of one tile of an NHWC image: for each tap, GEMM calls straight on the input rows.
//!
//! A tile is a few output rows, or a part of one, × a block of output channels. It stays in the first two cache levels
//! while the taps are added to it one after the other.

use std::ops::Range;

use super::{Calls, Cost, Unit, channels_of_block, weights_streamed, work};
use crate::matrix::{Matrix, MatrixMut};
use crate::problem::{Axis, Problem, common};

/// Output channels of a tile, if there are more: enough for a GEMM to run near its peak, and few enough that a
/// tile stays in the second cache level.
const CHANNELS: usize = 128;
/// The same where weights are read once for few pixels: a few vectors, so that a GEMM reads its weights almost in the
/// order in which they lie.
const STREAMED_CHANNELS: usize = 32;
/// Pixels up to which that is so, and the least depth of a call.
const STREAMED_PIXELS: usize = 256;
/// See `STREAMED_PIXELS`.
const STREAMED_DEPTH: usize = 96;
/// The fewest channels that a tile is reduced to for the sake of more tiles.
const LEAST_CHANNELS: usize = 64;
/// Output pixels of a tile: the weights of a tap are packed once for so many.
const PIXELS: usize = 448;
/// The fewest pixels to which a tile is reduced for that.
const LEAST_PIXELS: usize = 96;
/// Tiles to have, if the sizes allow: enough for several threads to finish together.
const TILES: usize = 8;

/// Output pixels and channels of a tile. The problem is flattened.
pub fn tile_size(problem: &Problem) -> (usize, usize) {
    let (width, height) = (problem.cols.output, problem.rows.output);
    let pixels = if height == 1 {
        width.div_ceil(width.div_ceil(PIXELS))
    } else {
        // Strips of equal height; an even number where there is but one block of channels, so that two threads finish
        // together.
        let fitting = height.div_ceil((PIXELS / width).max(1));
        let alone = problem.group_out() < 2 * LEAST_CHANNELS && problem.out_pixels() >= 2 * LEAST_PIXELS;
        let strips = if alone { fitting.next_multiple_of(2) } else { fitting };
        height.div_ceil(strips) * width
    };
    let strips = problem.out_pixels().div_ceil(pixels);
    let channels = problem.group_out();
    let streamed = pixels <= STREAMED_PIXELS && problem.group_in() >= STREAMED_DEPTH;
    let fewest = channels.div_ceil(if streamed { STREAMED_CHANNELS } else { CHANNELS });
    let blocks = fewest.max(TILES.div_ceil(strips).min(channels / LEAST_CHANNELS));
    (pixels, channels_of_block(channels, blocks))
}

/// The problem as one long row, where every output pixel reads the input pixel of the same number.
pub fn flattened(problem: &Problem) -> Problem {
    if problem.taps() > 1 || !problem.unit_stride() || problem.in_pixels() != problem.out_pixels() {
        return *problem;
    }
    let one = Axis { output: 1, ..Axis::dense(1, 1) };
    let pixels = problem.in_pixels();
    Problem { rows: one, cols: Axis { input: pixels, output: pixels, ..one }, ..*problem }
}

/// The output rows and columns of a tile: whole rows, or a part of one.
pub fn rows_and_columns(problem: &Problem, pixels: &Range<usize>) -> (Range<usize>, Range<usize>) {
    let width = problem.cols.output;
    let ys = pixels.start / width..pixels.end.div_ceil(width);
    let first = ys.start * width;
    let xs = pixels.start - first..if ys.len() > 1 { width } else { pixels.end - first };
    (ys, xs)
}

/// A tap of an axis that all these outputs see: its products may overwrite what dst holds.
pub fn overwriting_tap(axis: &Axis, outputs: &Range<usize>) -> Option<usize> {
    (0..axis.kernel).find(|&tap| common(outputs, &axis.outputs_of_tap(tap)) == *outputs)
}

/// All taps of a kernel's axis, this one before the others.
pub fn beginning_with(first: Option<usize>, kernel: usize) -> impl Iterator<Item = usize> {
    first.into_iter().chain((0..kernel).filter(move |&tap| Some(tap) != first))
}

/// A tile of dst and what its taps are multiplied with.
pub struct TapTile<'a> {
    pub unit: &'a Unit<'a>,
    /// The unit's problem, flattened.
    pub problem: &'a Problem,
    /// Those of the tile's channels, taps × C × channels.
    pub weights: &'a [f32],
    /// The output pixels.
    pub pixels: &'a Range<usize>,
}

impl TapTile<'_> {
    /// dst ← all taps, row by row, added to what dst holds where the problem accumulates. `dst` is pixels × channels.
    pub fn multiply(&self, dst: &mut MatrixMut<'_>) {
        let Problem { rows, cols, accumulate, .. } = self.problem;
        let (ys, xs) = rows_and_columns(self.problem, self.pixels);
        let (channels, ld) = (dst.cols(), cols.stride * self.unit.src.pixel);
        let overwriting = overwriting_tap(rows, &ys).zip(overwriting_tap(cols, &xs)).filter(|_| !accumulate);
        if overwriting.is_none() && !accumulate {
            dst.fill(0.0);
        }
        let (first_row, first_col) = overwriting.unzip();
        for i in beginning_with(first_row, rows.kernel) {
            for j in beginning_with(first_col, cols.kernel) {
                let beta = if Some((i, j)) == overwriting { 0.0 } else { 1.0 };
                let xs = common(&xs, &cols.outputs_of_tap(j));
                if xs.is_empty() {
                    continue;
                }
                for y in common(&ys, &rows.outputs_of_tap(i)) {
                    let from = self.unit.src.at(0, rows.input_of(y, i), cols.input_of(xs.start, j));
                    let to = y * cols.output + xs.start - self.pixels.start;
                    self.add((i, j), from, ld, beta, dst.part(to..to + xs.len(), 0..channels));
                }
            }
        }
    }

    /// dst ← the product of pixels that lie `ld` floats apart and a tap's weights + β·dst.
    pub fn add(&self, (i, j): (usize, usize), from: &[f32], ld: usize, beta: f32, dst: MatrixMut<'_>) {
        let (depth, channels) = (self.problem.group_in(), dst.cols());
        let tap = &self.weights[(i * self.problem.cols.kernel + j) * depth * channels..];
        let tap = Matrix::new(tap, depth, channels, channels);
        let src = Matrix::new(from, dst.rows(), depth, ld);
        self.unit.gemm.multiply(dst, src.into(), tap.into(), beta);
    }
}

/// The cost of [`TapTile::multiply`] for all tiles of so many output pixels and channels.
pub fn cost(problem: &Problem, (pixels, block): (usize, usize)) -> Cost {
    let Problem { rows, cols, .. } = problem;
    let whole_rows = rows.output > 1 || pixels == cols.output;
    let taps = if whole_rows { cols.count_taps_inside() } else { cols.count_taps_of_strips(pixels) };
    let calls = Calls {
        shape: [pixels.min(cols.output), block, problem.group_in()],
        count: rows.count_inside().saturating_mul(taps),
        macs: work(&[rows.count_inside(), cols.count_inside(), problem.group_in(), problem.group_out()]),
        plane: 0,
    };
    cost_of_calls(problem, (pixels, block), calls)
}

/// The cost of these calls for each block of channels.
pub fn cost_of_calls(problem: &Problem, (pixels, block): (usize, usize), calls: Calls) -> Cost {
    let (tiles, blocks) = (problem.out_pixels().div_ceil(pixels), problem.group_out().div_ceil(block));
    let src_ld = problem.in_channels.saturating_mul(problem.cols.stride);
    let calls = Calls { count: calls.count.saturating_mul(blocks), ..calls };
    Cost {
        calls: Some(calls),
        largest_size: problem.out_pixels().max(problem.out_channels).max(src_ld),
        tiles: tiles.saturating_mul(blocks),
        streamed: weights_streamed(problem, tiles),
        ..Cost::default()
    }
}
