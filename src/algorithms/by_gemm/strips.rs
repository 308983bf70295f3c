//! The rules that divide dst into strips of rows × blocks of channels, for algorithms that multiply tap by tap.

use std::ops::Range;

use convlow_kernels::geometry::Geometry;

use crate::algorithms::tiling::channels_of_block;

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

/// Output pixels and channels of a tile, for so many input and output channels. The axes are flattened.
pub fn strip_tile(geometry: &Geometry, inputs: usize, channels: usize) -> (usize, usize) {
    let [_, height, width] = geometry.axes.map(|axis| axis.output);
    let pixels = if height == 1 {
        width.div_ceil(width.div_ceil(PIXELS))
    } else {
        // Strips of equal height; an even number where there is but one block of channels, so that two threads finish
        // together.
        let fitting = height.div_ceil((PIXELS / width).max(1));
        let alone = channels < 2 * LEAST_CHANNELS && height * width >= 2 * LEAST_PIXELS;
        let strips = if alone { fitting.next_multiple_of(2) } else { fitting };
        height.div_ceil(strips) * width
    };
    let strips = (height * width).div_ceil(pixels);
    let streamed = pixels <= STREAMED_PIXELS && inputs >= STREAMED_DEPTH;
    let fewest = channels.div_ceil(if streamed { STREAMED_CHANNELS } else { CHANNELS });
    let blocks = fewest.max(TILES.div_ceil(strips).min(channels / LEAST_CHANNELS));
    (pixels, channels_of_block(channels, blocks))
}

/// The output rows and columns of a tile: whole rows of this width, or a part of one.
pub fn rows_and_columns(width: usize, pixels: &Range<usize>) -> (Range<usize>, Range<usize>) {
    let ys = pixels.start / width..pixels.end.div_ceil(width);
    let first = ys.start * width;
    let xs = pixels.start - first..if ys.len() > 1 { width } else { pixels.end - first };
    (ys, xs)
}

/// Groups into which to divide the channels so that so many threads have two tiles each, where strips of pixels alone
/// are fewer. Each group lowers its strip for itself. How many there are changes no sum.
pub fn groups_for_threads(strips: usize, threads: usize) -> usize {
    let tiles = if threads == 1 { 1 } else { 2 * threads };
    tiles / strips
}

/// Channels of one of so many groups of whole blocks, of which there is at least one and no more than blocks.
pub fn channels_of_group(channels: usize, block: usize, groups: usize) -> usize {
    let blocks = channels.div_ceil(block);
    (blocks.div_ceil(groups.clamp(1, blocks)) * block).min(channels)
}
