//! The rules by which dst is divided into tiles, for the algorithms that share them.

use std::ops::Range;

use crate::matrix::{Grid, MatrixMut, Tile};
use crate::number::Number;
use crate::problem::{Axis, Layout, Problem};

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
    let unpadded = |axis: &Axis| (axis.pad_before, axis.pad_after, axis.output_padding) == (0, 0, 0);
    if problem.taps() > 1 || !problem.unit_stride() || !problem.axes().into_iter().all(unpadded) {
        return *problem;
    }
    let pixels = problem.in_pixels();
    let cols = Axis { input: pixels, output: pixels, transposed: problem.cols.transposed, ..Axis::ONE };
    Problem { planes: Axis::ONE, rows: Axis::ONE, cols, ..*problem }
}

/// The output rows and columns of a tile: whole rows, or a part of one.
pub fn rows_and_columns(problem: &Problem, pixels: &Range<usize>) -> (Range<usize>, Range<usize>) {
    let width = problem.cols.output;
    let ys = pixels.start / width..pixels.end.div_ceil(width);
    let first = ys.start * width;
    let xs = pixels.start - first..if ys.len() > 1 { width } else { pixels.end - first };
    (ys, xs)
}

/// Channels of each of so many blocks of about the same size, in whole vectors.
pub fn channels_of_block(channels: usize, blocks: usize) -> usize {
    channels.div_ceil(blocks).next_multiple_of(16).min(channels)
}

/// Groups into which to divide the channels so that so many threads have two tiles each, where strips of pixels alone are
/// fewer. Each group lowers its strip for itself. How many there are changes no sum.
pub fn groups_for_threads(strips: usize, threads: usize) -> usize {
    let tiles = if threads == 1 { 1 } else { 2 * threads };
    tiles / strips
}

/// Channels of one of so many groups of whole blocks, of which there is at least one and no more than blocks.
pub fn channels_of_group(channels: usize, block: usize, groups: usize) -> usize {
    let blocks = channels.div_ceil(block);
    (blocks.div_ceil(groups.clamp(1, blocks)) * block).min(channels)
}

/// Output channels of a tile, in whole blocks: divided into so many groups that the threads finish the tiles of so many
/// strips together. Each group but the first costs `again` of the work, for what is lowered or listed for it once more. How
/// many there are changes no sum.
pub fn channels_of_tile(channels: usize, block: usize, strips: usize, threads: usize, again: f64) -> usize {
    let blocks = channels.div_ceil(block);
    let time = |of_tile: usize| {
        let groups = blocks.div_ceil(of_tile);
        let rounds = strips.saturating_mul(groups).div_ceil(threads);
        rounds as f64 * of_tile as f64 * (1.0 + again * (groups - 1) as f64)
    };
    // More groups than these help no thread.
    let most = blocks.min(4 * threads);
    let of_tiles = (1..=most).map(|groups| blocks.div_ceil(groups));
    let best = of_tiles.min_by(|&a, &b| time(a).total_cmp(&time(b))).unwrap_or(blocks);
    (best * block).min(channels)
}

/// The tiles of a unit's dst, of so many pixels and channels, as dst lies.
pub fn dst_grid(problem: &Problem, tile_pixels: usize, tile_channels: usize) -> Grid {
    let (pixels, channels) = (problem.out_pixels(), problem.group_out());
    match problem.dst_layout {
        Layout::Nchw => Grid::new(channels, pixels, tile_channels, tile_pixels),
        Layout::Nhwc => Grid::new(pixels, channels, tile_pixels, tile_channels).by_columns(),
    }
}

/// Pixels and channels of a tile of [`dst_grid`].
pub fn pixels_and_channels(problem: &Problem, tile: Tile) -> (Range<usize>, Range<usize>) {
    match problem.dst_layout {
        Layout::Nchw => (tile.cols, tile.rows),
        Layout::Nhwc => (tile.rows, tile.cols),
    }
}

/// Some channels of all pixels of such a tile's dst, counted from its first.
pub fn part_of_channels<'a, T: Number>(
    problem: &Problem,
    dst: &'a mut MatrixMut<'_, T>,
    channels: Range<usize>,
) -> MatrixMut<'a, T> {
    let (rows, cols) = (dst.rows(), dst.cols());
    match problem.dst_layout {
        Layout::Nchw => dst.part(channels, 0..cols),
        Layout::Nhwc => dst.part(0..rows, channels),
    }
}

/// Some pixels of all channels of such a tile's dst, counted from its first.
pub fn part_of_pixels<'a, T: Number>(
    problem: &Problem,
    dst: &'a mut MatrixMut<'_, T>,
    pixels: Range<usize>,
) -> MatrixMut<'a, T> {
    let (rows, cols) = (dst.rows(), dst.cols());
    match problem.dst_layout {
        Layout::Nchw => dst.part(0..rows, pixels),
        Layout::Nhwc => dst.part(pixels, 0..cols),
    }
}

/// Output pixels of tiles of about the same size, of `most` at most: whole planes, whole rows of one, or a part of a row.
pub fn pixels_of_tile(problem: &Problem, most: usize) -> usize {
    let Problem { planes, rows, cols, .. } = problem;
    let of_plane = rows.output * cols.output;
    // Parts of about the same size of so many units of so many pixels.
    let parts = |units: usize, pixels: usize| units.div_ceil(units.div_ceil(most / pixels)) * pixels;
    if most >= of_plane {
        parts(planes.output, of_plane)
    } else if most >= cols.output {
        parts(rows.output, cols.output)
    } else {
        parts(cols.output, 1)
    }
}

/// Some outputs: planes, rows and columns.
pub type Outputs = [Range<usize>; 3];

/// How many outputs they are.
pub fn count(outputs: &Outputs) -> usize {
    outputs.iter().map(Range::len).product()
}

/// The parts of a run of output pixels that lie in a box of planes, rows and columns, and where in the run each begins:
/// the end of a row, whole rows, the begin of one, and in volumes the same with planes; those of them that there are.
pub fn boxes(problem: &Problem, pixels: &Range<usize>) -> impl Iterator<Item = (usize, Outputs)> + use<> {
    let (height, width) = (problem.rows.output, problem.cols.output);
    let of_plane = height * width;
    let Range { start, end } = *pixels;
    let mut at = start;
    std::iter::from_fn(move || {
        let (plane, row, col) = (at / of_plane, at % of_plane / width, at % width);
        let part = match end.saturating_sub(at) {
            0 => return None,
            left if col > 0 || left < width => [plane..plane + 1, row..row + 1, col..width.min(col + left)],
            left if row > 0 || left < of_plane => {
                [plane..plane + 1, row..height.min(row + left / width), 0..width]
            }
            left => [plane..plane + left / of_plane, 0..height, 0..width],
        };
        let first = at - start;
        at += count(&part);
        Some((first, part))
    })
}
