//! The rules that divide dst into tiles, for the algorithms that share them.

use std::ops::Range;

use convlow_kernels::geometry::Geometry;
use convlow_kernels::matrix::MatrixMut;
use convlow_kernels::scheme::Stored;

use crate::problem::{Axis, Layout, Problem, product};
use crate::tiles::{Grid, Tile};

/// A problem's axes; where every output pixel reads the input pixel of the same number, those of one long row.
pub fn flattened(problem: &Problem) -> Geometry {
    let geometry = problem.geometry();
    let unpadded = |axis: &Axis| (axis.pad_before, axis.input) == (0, axis.output);
    if problem.taps() > 1 || !problem.unit_stride() || !geometry.axes.iter().all(unpadded) {
        return geometry;
    }
    let pixels = problem.in_pixels();
    let cols = Axis { input: pixels, output: pixels, ..Axis::ONE };
    Geometry { axes: [Axis::ONE, Axis::ONE, cols], ..geometry }
}

/// Channels of each of so many blocks of about the same size, in whole vectors.
#[cfg(any(feature = "gemm", feature = "winograd"))]
pub fn channels_of_block(channels: usize, blocks: usize) -> usize {
    channels.div_ceil(blocks).next_multiple_of(16).min(channels)
}

/// Output channels of a tile, in whole blocks: divided into so many groups that the threads finish the tiles of so
/// many strips together. Each group but the first costs `again` of the work, for what is lowered or listed for it
/// once more. How many there are changes no sum.
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

/// The tiles of a unit's dst as it lies: its pixels and channels, and those of a tile.
pub fn dst_grid(layout: Layout, (pixels, channels): (usize, usize), tile: (usize, usize)) -> Grid {
    match layout {
        Layout::Nchw => Grid::new(channels, pixels, tile.1, tile.0),
        Layout::Nhwc => Grid::new(pixels, channels, tile.0, tile.1).by_columns(),
    }
}

/// Pixels and channels of a tile of [`dst_grid`].
pub fn pixels_and_channels(layout: Layout, tile: Tile) -> (Range<usize>, Range<usize>) {
    match layout {
        Layout::Nchw => (tile.cols, tile.rows),
        Layout::Nhwc => (tile.rows, tile.cols),
    }
}

/// Some channels of all pixels of such a tile's dst, counted from its first.
pub fn part_of_channels<'a, T: Stored>(
    layout: Layout,
    dst: &'a mut MatrixMut<'_, T>,
    channels: Range<usize>,
) -> MatrixMut<'a, T> {
    let (rows, cols) = (dst.rows(), dst.cols());
    match layout {
        Layout::Nchw => dst.part(channels, 0..cols),
        Layout::Nhwc => dst.part(0..rows, channels),
    }
}

/// Some pixels of all channels of such a tile's dst, counted from its first.
pub fn part_of_pixels<'a, T: Stored>(
    layout: Layout,
    dst: &'a mut MatrixMut<'_, T>,
    pixels: Range<usize>,
) -> MatrixMut<'a, T> {
    let (rows, cols) = (dst.rows(), dst.cols());
    match layout {
        Layout::Nchw => dst.part(0..rows, pixels),
        Layout::Nhwc => dst.part(pixels, 0..cols),
    }
}

/// Output pixels of tiles of about the same size, of `most` at most: whole planes, whole rows of one, or a part of a
/// row.
pub fn pixels_of_tile(geometry: &Geometry, most: usize) -> usize {
    let [planes, rows, cols] = &geometry.axes;
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

/// The least part of the input channels.
pub const LEAST_DEPTH: usize = 32;

/// Input channels that may be moved at once: all, and halves of them down to [`LEAST_DEPTH`].
pub fn depths(channels: usize) -> impl DoubleEndedIterator<Item = usize> {
    let halvings = (channels.saturating_sub(1) / (LEAST_DEPTH - 1)).checked_ilog2().unwrap_or(0);
    (0..=halvings).map(move |halving| channels.div_ceil(1 << halving))
}

/// Some outputs: planes, rows and columns.
pub type Outputs = [Range<usize>; 3];

/// How many outputs they are.
pub fn count(outputs: &Outputs) -> usize {
    outputs.iter().map(Range::len).product()
}

/// The parts of a run of output pixels that lie in a box of planes, rows and columns, and where in the run each begins:
/// the end of a row, whole rows, the begin of one, and in volumes the same with planes; those of them that there are.
pub fn boxes(geometry: &Geometry, pixels: &Range<usize>) -> impl Iterator<Item = (usize, Outputs)> + use<> {
    let [_, height, width] = geometry.axes.map(|axis| axis.output);
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

/// The most elements of the input that a tile of so many pixels sees.
pub fn window_elements(geometry: &Geometry, pixels: usize, depth: usize) -> Option<usize> {
    let [_, rows, cols] = &geometry.axes;
    let width = pixels.min(cols.output);
    let height = pixels.div_ceil(cols.output).min(rows.output);
    let of_plane = rows.output * cols.output;
    product(&[
        geometry.largest_window(0, pixels.div_ceil(of_plane)),
        geometry.largest_window(1, height),
        geometry.largest_window(2, width),
        depth,
    ])
}

/// Tiles up to which each is looked at for what it sees of the image; of more, one in the middle tells.
const MOST_TILES: usize = 1 << 12;

/// The most pixels of the input that one of the tiles of so many output pixels sees: near a border, fewer than in the
/// middle.
pub fn largest_window(geometry: &Geometry, pixels: usize) -> Option<usize> {
    let all: usize = geometry.axes.iter().map(|axis| axis.output).product();
    if all.div_ceil(pixels) > MOST_TILES {
        return window_elements(geometry, pixels, 1);
    }
    let seen = |outputs: &Outputs| -> usize {
        outputs.iter().enumerate().map(|(axis, outputs)| geometry.window(axis, outputs).len()).product()
    };
    let tiles = (0..all).step_by(pixels).map(|first| first..all.min(first + pixels));
    tiles.flat_map(|tile| boxes(geometry, &tile)).map(|(_, outputs)| seen(&outputs)).max()
}
