//! `im2row-strip`, `im2col-strip`: the patches of a strip of output pixels, multiplied while they are in the cache:
//! dst[strip × M] = patches[strip × D] · weights[D × M], or with everything transposed, D = C·Kh·Kw.
//! Workspace: C·Kh·Kw·T for each thread, T pixels a strip; as few as one where the limit says so.
//! Wins where an input row holds too little for a GEMM of its own: first layers with 3 channels, large strides.
//! Source: the classic lowering (Chellapilla, Puri, Simard 2006), strip by strip.

use std::ops::Range;

use super::tiles::most_channels;
use super::{
    Algorithm, Calls, Cost, Limits, Reason, Unit, Workspace, channels_of_block, channels_of_group, dst_grid,
    groups_of_strips, part_of_channels, pixels_and_channels, require, weights_streamed, work,
};
use crate::lowering::patches::{fill_pixel_patches, fill_plane_patches};
use crate::lowering::weights::{IJCM, MCIJ, WeightOrder};
use crate::matrix::{Grid, Matrix, MatrixMut, Operand};
use crate::problem::{Layout, Problem};

/// How the patches of a strip lie.
#[derive(Clone, Copy, PartialEq)]
pub enum Strip {
    /// Pixels × D, filled with runs of NHWC pixels.
    Im2row,
    /// D × pixels, filled with runs of NCHW rows.
    Im2col,
}

/// Floats of a strip's patches, so that they stay in the second cache level: 192 KiB.
const STRIP_FLOATS: usize = 48 * 1024;
/// The fewest pixels that a strip is reduced to for that.
const LEAST_PIXELS: usize = 96;
/// The most pixels of a strip: more make no GEMM faster.
const MOST_PIXELS: usize = 448;
/// Pixels of the vectors that the kernels take at once.
const VECTORS: usize = 16;
/// Strips to have, so that several threads finish together.
const STRIPS: usize = 8;
/// Output channels of a GEMM call.
const CHANNELS: usize = 128;

/// Pixels of a strip where nothing limits it.
fn strip_pixels(problem: &Problem) -> usize {
    let pixels = problem.out_pixels();
    let fitting = (STRIP_FLOATS / problem.depth()).clamp(LEAST_PIXELS, MOST_PIXELS);
    let shared = pixels.div_ceil(STRIPS).max(LEAST_PIXELS);
    // Whole vectors, strips of about the same size.
    let strips = pixels.div_ceil(fitting.min(shared) / VECTORS * VECTORS);
    pixels.div_ceil(strips).next_multiple_of(VECTORS).min(pixels)
}

impl Strip {
    /// Output channels that are packed and multiplied as one.
    fn channel_block(self, problem: &Problem) -> usize {
        let channels = problem.group_out();
        let blocks = match self {
            Strip::Im2row => channels.div_ceil(most_channels(strip_pixels(problem), problem.depth())),
            // A GEMM packs the patches again for each block; two of them where there is but one strip.
            Strip::Im2col if strip_pixels(problem) < problem.out_pixels() => 1,
            Strip::Im2col => (channels / CHANNELS).clamp(1, 2),
        };
        channels_of_block(channels, blocks)
    }

    /// The tiles of dst.
    fn grid(self, problem: &Problem, strip: usize, threads: usize) -> Grid {
        let groups = groups_of_strips(problem.out_pixels().div_ceil(strip), threads);
        let channels = channels_of_group(problem.group_out(), self.channel_block(problem), groups);
        dst_grid(problem, strip, channels)
    }

    /// dst ← patches · weights, or its transpose, for some channels of the pixels of one strip.
    fn run_strip(
        self,
        unit: &Unit<'_>,
        (pixels, channels): &(Range<usize>, Range<usize>),
        dst: &mut MatrixMut<'_>,
        scratch: &mut [f32],
    ) {
        let (problem, depth) = (unit.problem, unit.problem.depth());
        let scratch = &mut scratch[..depth * pixels.len()];
        // 1. Fill the patches; as a pixels × depth factor.
        let patches = match self {
            Strip::Im2row => {
                fill_pixel_patches(problem, &unit.src, pixels, scratch);
                Operand::from(Matrix::new(scratch, pixels.len(), depth, depth))
            }
            Strip::Im2col => {
                fill_plane_patches(problem, &unit.src, pixels, scratch);
                Matrix::new(scratch, depth, pixels.len(), pixels.len()).t()
            }
        };
        // 2. Multiply, a block of channels after the other.
        for first in channels.clone().step_by(self.channel_block(problem)) {
            let part = first..(first + self.channel_block(problem)).min(channels.end);
            let weights = &unit.weights[first * depth..part.end * depth];
            let in_dst = first - channels.start..part.end - channels.start;
            // As a depth × channels factor.
            let weights = match self {
                Strip::Im2row => Operand::from(Matrix::new(weights, depth, part.len(), part.len())),
                Strip::Im2col => Matrix::new(weights, part.len(), depth, depth).t(),
            };
            let mut part = part_of_channels(problem, dst, in_dst);
            match problem.dst_layout {
                Layout::Nchw => unit.gemm.multiply(part.reborrow(), weights.t(), patches.t(), unit.beta()),
                Layout::Nhwc => unit.gemm.multiply(part.reborrow(), patches, weights, unit.beta()),
            }
            unit.finish(&mut part, first);
        }
    }
}

impl Algorithm for Strip {
    fn applicable(&self, problem: &Problem) -> Result<(), Reason> {
        match self {
            Strip::Im2row => require(problem.src_layout == Layout::Nhwc, c"needs src_layout NHWC"),
            Strip::Im2col => require(problem.src_layout == Layout::Nchw, c"needs src_layout NCHW"),
        }
    }

    fn weight_order(&self, problem: &Problem) -> WeightOrder {
        match self {
            Strip::Im2row => IJCM.blocked(self.channel_block(problem)),
            Strip::Im2col => MCIJ,
        }
    }

    fn workspace(&self, problem: &Problem, limits: Limits) -> Option<Workspace> {
        let depth = problem.depth();
        // The strip follows from the limit alone; threads take what room is left.
        let strip = strip_pixels(problem).min(limits.floats / depth).max(1);
        let floats = crate::problem::product(&[strip, depth])?;
        Workspace::of_tiles(floats, self.grid(problem, strip, limits.threads).tiles(), strip, limits)
    }

    fn cost(&self, problem: &Problem, workspace: &Workspace) -> Cost {
        let (pixels, channels, depth) = (problem.out_pixels(), problem.group_out(), problem.depth());
        let block = self.channel_block(problem);
        let strips = pixels.div_ceil(workspace.strip);
        let calls = Calls {
            shape: match problem.dst_layout {
                Layout::Nchw => [block, workspace.strip, depth],
                Layout::Nhwc => [workspace.strip, block, depth],
            },
            count: strips.saturating_mul(channels.div_ceil(block)),
            macs: work(&[pixels, channels, depth]),
            plane: 0,
        };
        let largest_size = [depth, pixels, problem.out_channels].into_iter().max().unwrap_or_default();
        let streamed = weights_streamed(problem, strips);
        let tiles = self.grid(problem, workspace.strip, workspace.slots).tiles();
        let fills = tiles / strips;
        let patches = work(&[pixels, depth, fills]);
        let cached = match self {
            Strip::Im2row => 2.0 * patches,
            // Copied a row at a time, each with a start of its own, and packed by the GEMM.
            Strip::Im2col => (4.0 + 64.0 / problem.cols.output as f64) * patches,
        };
        // The GEMM packs the weights for each strip.
        let cached = cached + 2.0 * work(&[depth, channels, strips]);
        Cost { calls: calls.alone(), largest_size, tiles, streamed, cached, ..Cost::default() }
    }

    fn run(&self, unit: &Unit<'_>, dst: MatrixMut<'_>, workspace: &Workspace, scratch: &mut [f32]) {
        let grid = self.grid(unit.problem, workspace.strip, workspace.slots);
        unit.pool.for_each_tile(dst, grid, scratch, workspace.slots, |tile, mut view, scratch| {
            let place = pixels_and_channels(unit.problem, tile);
            self.run_strip(unit, &place, &mut view, scratch);
        });
    }
}
